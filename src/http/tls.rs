//! Problems of TLS, and of proxies, that will not go away by asking again.

use std::error::Error;
use std::io;

/// Why there will be no encrypted connection: nobody repairs that within minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsProblem {
    /// The server's certificate does not check out.
    Certificate,
    /// The server's certificate is not valid now, by the clock of this machine.
    CertificateDates,
    /// One side wants what the other cannot do.
    Handshake,
    /// Whatever answers there, it is not TLS.
    NotTls,
}

/// Whether an error is a problem of TLS that repeating does not solve.
pub(super) fn tls_problem(error: &(dyn Error + 'static)) -> Option<TlsProblem> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return lasting(tls);
        }
        // `source` of an I/O error steps over the error that it wraps, which is the one wanted here.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Whether a proxy wants a user name and a password that it was not given (407).
pub(super) fn is_proxy_refusal(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The client's error for this is private; its words are all there is (hyper-util 0.1, `TunnelError`).
        if error.to_string().contains("proxy authorization required") {
            return true;
        }
        cause = error.source();
    }
    false
}

fn lasting(error: &rustls::Error) -> Option<TlsProblem> {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls, InvalidMessage};
    match error {
        Tls::InvalidCertificate(
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. },
        ) => Some(TlsProblem::CertificateDates),
        Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented => Some(TlsProblem::Certificate),
        Tls::UnsupportedNameType | Tls::PeerIncompatible(_) => Some(TlsProblem::Handshake),
        // The first bytes are no record of TLS: an HTTP server that was sent a handshake answers like this.
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => Some(TlsProblem::NotTls),
        Tls::AlertReceived(
            Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::HandshakeFailure
            | Alert::ProtocolVersion
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate,
        ) => Some(TlsProblem::Handshake),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_problem_is_found_under_wrapped_io_errors_and_a_reset_is_none() {
        let wrapped = |inner| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(tls_problem(&wrapped(certificate)), Some(TlsProblem::Certificate));
        let early = rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidYet);
        assert_eq!(tls_problem(&wrapped(early)), Some(TlsProblem::CertificateDates));
        let refused = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert_eq!(tls_problem(&wrapped(refused)), Some(TlsProblem::Handshake));
        assert_eq!(tls_problem(&wrapped(rustls::Error::DecryptError)), None);
        assert_eq!(tls_problem(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
    }
}
