//! Exit codes: what a scheduler branches on, and the one rule that picks one from the errors of a command.

use serde::Serialize;

use super::Notice;

/// The exit codes, as documented constants. This type has no value; it only gathers them.
#[derive(Debug)]
pub enum ExitCodes {}

impl ExitCodes {
    /// Everything that was requested is done.
    pub const DONE: u8 = 0;
    /// A bug, or a situation this program does not handle; please report it.
    pub const UNEXPECTED: u8 = 1;
    /// What was typed or configured cannot be used.
    pub const USAGE_OR_CONFIGURATION: u8 = 2;
    /// Criteo refused the credentials, or a consent or scope is missing.
    pub const REFUSED: u8 = 3;
    /// Some tables or partitions failed; the rest is published.
    pub const PARTIAL: u8 = 4;
    /// The API stayed unavailable or throttled past the deadline.
    pub const UNAVAILABLE: u8 = 5;
    /// The output, or the result on stdout, could not be written.
    pub const OUTPUT: u8 = 6;
    /// Another run holds the lock of this output.
    pub const LOCKED: u8 = 7;
    /// The warehouse refused or could not be reached.
    pub const WAREHOUSE: u8 = 8;
    /// SIGINT stopped the run before it was complete: 128 and the signal's number, as shells have it.
    pub const INTERRUPTED: u8 = 130;
    /// SIGTERM did.
    pub const TERMINATED: u8 = 143;

    /// Every code with its meaning, for `--help` and the reference page.
    pub const ALL: [(u8, &'static str); 11] = [
        (Self::DONE, "done"),
        (Self::UNEXPECTED, "unexpected"),
        (Self::USAGE_OR_CONFIGURATION, "usage or configuration"),
        (Self::REFUSED, "credentials, consent or scope refused"),
        (Self::PARTIAL, "some tables or partitions failed, the rest is published"),
        (Self::UNAVAILABLE, "the API stayed unavailable or throttled past the deadline"),
        (Self::OUTPUT, "output could not be written"),
        (Self::LOCKED, "another run holds the lock"),
        (Self::WAREHOUSE, "the warehouse refused or could not be reached; what was pulled is published"),
        (Self::INTERRUPTED, "stopped by SIGINT, what was complete is published"),
        (Self::TERMINATED, "stopped by SIGTERM, what was complete is published"),
    ];
}

/// What kind of failure an error is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A bug, or a situation this program does not handle.
    Unexpected,
    /// The command line cannot be used.
    Usage,
    /// The configuration cannot be used, or credentials are not configured.
    Configuration,
    /// Criteo refused the credentials.
    Credentials,
    /// No advertiser, or not the configured one, has given consent.
    Consent,
    /// The app lacks a Read permission.
    Scope,
    /// Some tables or partitions failed.
    Partial,
    /// A signal stopped the run; what was complete is published.
    Interrupted,
    /// The API stayed unavailable.
    Unavailable,
    /// The run's deadline passed.
    Deadline,
    /// The output could not be written.
    Output,
    /// Another run holds the lock.
    Locked,
    /// The warehouse refused or could not be reached.
    Warehouse,
}

impl ErrorKind {
    /// The process exit code of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unexpected => ExitCodes::UNEXPECTED,
            Self::Usage | Self::Configuration => ExitCodes::USAGE_OR_CONFIGURATION,
            Self::Credentials | Self::Consent | Self::Scope => ExitCodes::REFUSED,
            Self::Partial | Self::Interrupted => ExitCodes::PARTIAL,
            Self::Unavailable | Self::Deadline => ExitCodes::UNAVAILABLE,
            Self::Output => ExitCodes::OUTPUT,
            Self::Locked => ExitCodes::LOCKED,
            Self::Warehouse => ExitCodes::WAREHOUSE,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything is done.
    Ok,
    /// Some of it.
    Partial,
    /// None of it.
    Failed,
}

impl Outcome {
    /// As in documents and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// Kinds that decide whatever else happened: they concern the whole run, or everything that was still to come.
const DECISIVE: [ErrorKind; 6] = [
    ErrorKind::Usage,
    ErrorKind::Output,
    ErrorKind::Locked,
    ErrorKind::Interrupted,
    ErrorKind::Deadline,
    ErrorKind::Warehouse,
];

/// Kinds that explain why nothing at all was done, the most telling first.
const TELLING: [ErrorKind; 6] = [
    ErrorKind::Credentials,
    ErrorKind::Consent,
    ErrorKind::Scope,
    ErrorKind::Configuration,
    ErrorKind::Unavailable,
    ErrorKind::Unexpected,
];

/// What the errors of a command amount to: how it ended, and the kind that decides the exit code.
///
/// `done` is how much was done all the same, in partitions where the command publishes. Where it is more than nothing and
/// no decisive error happened, the rest is "partial"; where it is nothing, a refusal explains more than an outage.
pub fn judge(errors: &[Notice], done: u64) -> (Outcome, Option<ErrorKind>) {
    if errors.is_empty() {
        return (Outcome::Ok, None);
    }
    let first_of =
        |kinds: &[ErrorKind]| kinds.iter().copied().find(|kind| errors.iter().any(|error| error.code.kind() == *kind));
    let telling = || if done > 0 { None } else { first_of(&TELLING) };
    let kind = first_of(&DECISIVE).or_else(telling).unwrap_or(ErrorKind::Partial);
    (if done > 0 { Outcome::Partial } else { Outcome::Failed }, Some(kind))
}

#[cfg(test)]
mod tests {
    use super::super::Code;
    use super::*;

    #[test]
    fn every_exit_code_is_listed_once_in_order() {
        let codes: Vec<u8> = ExitCodes::ALL.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, (0..=8).chain([130, 143]).collect::<Vec<u8>>());
    }

    #[test]
    fn the_exit_code_follows_from_what_failed_and_whether_anything_was_done() {
        for (codes, done, expected) in [
            (&[][..], 0, None),
            (&[Code::AdvertiserRefused], 5, Some(ErrorKind::Partial)),
            (&[Code::AdvertiserRefused], 0, Some(ErrorKind::Consent)),
            (&[Code::ApiUnavailable, Code::ScopeMissing], 0, Some(ErrorKind::Scope)),
            (&[Code::ApiUnavailable], 0, Some(ErrorKind::Unavailable)),
            (&[Code::ApiUnavailable], 1, Some(ErrorKind::Partial)),
            (&[Code::DeadlinePassed], 1, Some(ErrorKind::Deadline)),
            (&[Code::RowCap, Code::OutputFailed], 1, Some(ErrorKind::Output)),
            (&[Code::SettingRejected, Code::ConsentMissing], 0, Some(ErrorKind::Consent)),
            (&[Code::ApiUnavailable, Code::MissingCredentials], 0, Some(ErrorKind::Configuration)),
            (&[Code::WarehouseRefused], 9, Some(ErrorKind::Warehouse)),
            // A code that is a warning by nature, reported as an error, is still something that is missing.
            (&[Code::RowsKept], 1, Some(ErrorKind::Partial)),
        ] {
            let errors: Vec<Notice> = codes.iter().map(|code| Notice::new(*code, "")).collect();
            assert_eq!(judge(&errors, done).1, expected, "{codes:?} {done}");
        }
    }
}
