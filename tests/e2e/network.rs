//! What goes wrong before an answer or in the middle of it: names that nobody knows, encryption that cannot work, servers
//! that fall silent, clocks that disagree. The run ends in reasonable time, says which host, why and what to do, and a
//! mistake that repeating does not mend is not repeated.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::support::account::{Account, tiny};
use crate::support::scripted::{ADVERTISER, Reply, Scripted};
use crate::support::truth::{Asked, contract};
use crate::support::{day, days, files, program};

const LINE: &str = "backfill --from 2026-11-08 --to 2026-11-09 --tables ad_statistics_daily,transactions";
/// Long enough for an honest answer on a busy machine, short enough to wait for.
const TIMEOUT_MILLIS: &str = "700";

/// A server of plain bytes: what each connection gets is the script's business.
struct Listening {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Listening {
    fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counter, serve) = (Arc::clone(&connections), Arc::new(serve));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(connection));
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A run whose API is at `url`: it ends with 5 and says each of `parts`.
fn assert_unreachable(url: &str, parts: &[&str]) {
    let account = Account::open(tiny());
    let program = account.job(LINE).variable("CRITEO_API_URL", url);
    let program = program.variable("CRITEO_SOURCE_TEST_TIMEOUT_MILLIS", TIMEOUT_MILLIS);
    let document = account.run_program(&program).expect(5);
    assert_eq!(program::codes(&document, "errors"), ["api_unavailable"], "{url}");
    let said = program::messages(&document, "errors");
    for part in parts.iter().chain(&["the next run fetches what is missing"]) {
        assert!(said.contains(part), "{url}: `{part}` is not in\n{said}");
    }
    assert_eq!(files::listing(&account.output()), [].into(), "{url}");
    files::assert_tidy(&account.output());
}

/// Until the other side has gone: what it says does not matter.
fn listen(mut connection: TcpStream) {
    let mut rest = [0; 1024];
    while connection.read(&mut rest).is_ok_and(|count| count > 0) {}
}

#[test]
fn a_host_that_nobody_knows_is_exit_5_and_named() {
    assert_unreachable(
        "https://does-not-exist.invalid",
        &["does-not-exist.invalid", "no connection", "check the network", "CRITEO_API_URL"],
    );
}

#[test]
fn a_certificate_that_nobody_signed_is_exit_5_after_one_attempt() {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(
            // Made for this test with `openssl req -x509`, CN localhost; nobody trusts it, and that is the point.
            vec![CertificateDer::from(include_bytes!("support/self_signed/certificate.der").as_slice())],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(include_bytes!("support/self_signed/key.der").as_slice())),
        )
        .expect("they belong together");
    let config = Arc::new(config);
    let server = Listening::start(move |mut connection| {
        let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).expect("a valid configuration");
        // Fails when the client refuses the certificate, which is what it should do.
        let _ = tls.complete_io(&mut connection);
    });
    assert_unreachable(
        &format!("https://localhost:{}", server.port),
        &["certificate is not trusted", "SSL_CERT_FILE", "`localhost`"],
    );
    assert_eq!(server.connections(), 1, "a certificate does not heal within minutes");
}

#[test]
fn a_server_that_does_not_speak_tls_is_exit_5_after_one_attempt() {
    let server = Listening::start(|mut connection| {
        let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        listen(connection);
    });
    assert_unreachable(
        &format!("https://127.0.0.1:{}", server.port),
        &["does not speak TLS", "check the address and its port", "`127.0.0.1`"],
    );
    assert_eq!(server.connections(), 1, "it will not learn it within minutes");
}

#[test]
fn a_refused_handshake_is_exit_5_after_one_attempt() {
    let server = Listening::start(|mut connection| {
        // A fatal alert, handshake_failure (RFC 8446, 6).
        let _ = connection.write_all(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28]);
        listen(connection);
    });
    assert_unreachable(
        &format!("https://127.0.0.1:{}", server.port),
        &["refuses the encrypted connection", "HandshakeFailure"],
    );
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_connection_that_does_not_come_about_is_given_up_in_time() {
    // The connection is accepted, and then nobody takes part in the handshake.
    let server = Listening::start(listen);
    assert_unreachable(&format!("https://127.0.0.1:{}", server.port), &["no connection in time to `127.0.0.1`"]);
    assert_eq!(server.connections(), 8, "a crowded server may answer the next time");
}

#[test]
fn a_server_that_never_answers_is_given_up_after_three_silences() {
    let server = Listening::start(listen);
    assert_unreachable(
        &format!("http://127.0.0.1:{}", server.port),
        &["gave up after 3 attempts", "no answer in time from `127.0.0.1`"],
    );
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_body_that_stalls_every_time_fails_its_table_and_no_other() {
    let account = Account::open(tiny());
    account.run(LINE).expect(0);
    let before = files::everything(&account.output());
    account.set_faults(["stall-mid-body@statistics/report"]);
    let program = account.job(&format!("{LINE} --force"));
    let ended = account.run_program(&program.variable("CRITEO_SOURCE_TEST_TIMEOUT_MILLIS", TIMEOUT_MILLIS));
    let document = ended.expect(4);
    let expected = days("2026-11-08", "2026-11-09").into_iter().map(|date| ("ad_statistics_daily".to_owned(), date));
    assert_eq!(program::partitions(&document, "errors"), expected.collect(), "{document}");
    assert_eq!(document["tables"]["transactions"]["partitions"], json!(2));
    assert_eq!(files::everything(&account.output()), before);
    files::assert_tidy(&account.output());
}

#[test]
fn a_body_that_comes_slowly_but_steadily_is_no_stall() {
    let account = Account::open(tiny());
    // 32 pieces, together more than three times as long as the silence that is put up with.
    account.set_faults(["slow-drip(80)@statistics/report"]);
    let program = account.job("backfill --from 2026-11-09 --to 2026-11-09 --tables ad_statistics_daily");
    let ended = account.run_program(&program.variable("CRITEO_SOURCE_TEST_TIMEOUT_MILLIS", TIMEOUT_MILLIS));
    assert_eq!(ended.expect(0)["retries"], json!(0));
    let truth =
        contract("ad_statistics_daily").rows(&account.sandbox, Asked::of(&account.advertisers(), day("2026-11-09")));
    assert_eq!(files::read(&account.output(), "ad_statistics_daily", day("2026-11-09")).content(), truth);
}

/// An empty answer with these rate-limit headers, by a server whose clock says `date`.
fn limited(reply: Reply, remaining: u32, reset: i64, date: &str) -> Reply {
    let reply = reply.with_header("x-ratelimit-limit", &40).with_header("x-ratelimit-remaining", &remaining);
    reply.with_header("x-ratelimit-reset", &reset).with_header("date", &date)
}

#[test]
fn a_reset_in_the_past_in_years_or_in_milliseconds_costs_two_minutes_a_call_at_most() {
    // 2026-11-10 12:00:00 UTC, which is also what the server's `Date` says.
    const NOW: i64 = 1_794_312_000;
    const DATE: &str = "Tue, 10 Nov 2026 12:00:00 GMT";
    for (name, reset) in [
        ("an hour ago", NOW - 3_600),
        ("1970", 0),
        ("negative", -5),
        ("in two hours", NOW + 7_200),
        ("in ten years", NOW + 315_360_000),
        ("milliseconds", (NOW + 20) * 1_000),
        ("the end of time", i64::MAX),
    ] {
        let refusals = Arc::new(AtomicUsize::new(0));
        let scripted = Scripted::start(move |asked| {
            if asked.path.contains("transactions") && refusals.fetch_add(1, Ordering::SeqCst) == 1 {
                return limited(Reply::status(429, &json!({"errors": []})), 0, reset, DATE);
            }
            limited(Reply::ok(&json!({"data": []})), 0, reset, DATE)
        });
        let document = scripted.job("backfill --from 2026-11-01 --to 2026-11-06 --tables transactions").run().expect(0);
        let asked = scripted.asked().iter().filter(|asked| asked.path.contains("transactions")).count();
        let waited = document["waited_secs"].as_f64().unwrap_or(f64::MAX);
        let most = 130.0 * f64::from(u32::try_from(asked).expect("few"));
        assert!(waited < most, "{name}: {waited} s for {asked} calls");
        assert_eq!(files::dates(&scripted.output(), "transactions"), days("2026-11-01", "2026-11-06"), "{name}");
    }
}

#[test]
fn a_clock_that_is_hours_off_does_not_make_a_wait_longer_or_shorter() {
    // The server's clock is two hours behind, or ahead, or two years; its resets are 20 seconds from its own now.
    for (date, now) in [
        ("Tue, 10 Nov 2026 10:00:00 GMT", 1_794_304_800_i64),
        ("Tue, 10 Nov 2026 14:00:00 GMT", 1_794_319_200),
        ("Sun, 10 Nov 2024 12:00:00 GMT", 1_731_240_000),
    ] {
        let refusals = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&refusals);
        let scripted = Scripted::start(move |asked| {
            let attributes = &asked.body["data"][0]["attributes"];
            if asked.path.contains("transactions") && counter.fetch_add(1, Ordering::SeqCst) == 0 {
                return limited(Reply::status(429, &json!({"errors": []})), 0, now + 20, date);
            }
            assert_eq!(attributes["advertiserIds"].as_str().unwrap_or(ADVERTISER), ADVERTISER);
            limited(Reply::ok(&json!({"data": []})), 39, now + 20, date)
        });
        let document = scripted.job("backfill --from 2026-11-01 --to 2026-11-01 --tables transactions").run().expect(0);
        let waited = document["waited_secs"].as_f64().unwrap_or_default();
        assert!((20.0..60.0).contains(&waited), "{date}: waited {waited} s");
        assert_eq!(document["warnings"], Value::Array(Vec::new()), "{date}");
    }
}

#[test]
fn http_2_is_not_offered_because_bodies_that_wait_would_starve_each_other() {
    // With HTTP/1.1 each response has a connection, and a window, of its own.
    let (sender, offered) = std::sync::mpsc::channel();
    let server = Listening::start(move |mut connection| {
        let mut acceptor = rustls::server::Acceptor::default();
        while acceptor.read_tls(&mut connection).is_ok_and(|count| count > 0) {
            if let Ok(Some(accepted)) = acceptor.accept() {
                let protocols = accepted.client_hello().alpn().map(|all| all.map(<[u8]>::to_vec).collect::<Vec<_>>());
                // The test has heard enough after the first one.
                let _ = sender.send(protocols.unwrap_or_default());
                return;
            }
        }
    });
    let account = Account::open(tiny());
    let program = account.job(LINE).variable("CRITEO_API_URL", format!("https://localhost:{}", server.port));
    program.variable("CRITEO_SOURCE_TEST_TIMEOUT_MILLIS", TIMEOUT_MILLIS).run().expect(5);
    let offered = offered.recv().expect("a handshake began");
    assert!(!offered.contains(&b"h2".to_vec()), "{offered:?}");
}

#[test]
fn a_proxy_that_cannot_work_is_exit_2_with_its_variable_before_anything_is_called() {
    let account = Account::open(tiny());
    for (name, value, said) in [
        ("HTTPS_PROXY", "http://me:hunter2@", "not an address"),
        ("https_proxy", "socks5://127.0.0.1:1080", "`socks5` are not supported"),
        ("ALL_PROXY", "\"http://127.0.0.1:3128\"", "in quotes"),
    ] {
        let program = account.job("plan").variable("CRITEO_API_URL", "https://api.example.com").variable(name, value);
        let ended = account.run_program(&program);
        let message = program::messages(&ended.expect(2), "errors");
        assert!(message.contains(name) && message.contains(said) && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_proxy_that_wants_a_password_is_exit_2_after_one_attempt() {
    let proxy = Listening::start(|mut connection| {
        let mut request = [0; 4096];
        let _ = connection.read(&mut request);
        let _ = connection.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    });
    let account = Account::open(tiny());
    let program = account.job("plan").variable("CRITEO_API_URL", "https://api.example.com");
    let program = program.variable("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port));
    let document = account.run_program(&program).expect(2);
    assert_eq!(program::codes(&document, "errors"), ["proxy_refused"]);
    let message = program::messages(&document, "errors");
    assert!(message.contains("407") && message.contains("HTTPS_PROXY"), "{message}");
    assert_eq!(proxy.connections(), 1, "asking again is of no use");
}
