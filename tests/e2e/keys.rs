//! Key pairs and refresh tokens over the life of an app: replaced, rotated, revoked, and never lost.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criteo_source::sandbox::SandboxOptions;
use serde_json::json;
use tempfile::TempDir;

use crate::support::account::{Account, tiny};
use crate::support::chance::Chance;
use crate::support::program::{Program, codes, messages};
use crate::support::raw::{Answer, Raw, Received};

/// Runs that are killed while they exchange a refresh token.
const KILLS: u32 = 200;

fn write_secret(path: &Path, content: &str) {
    std::fs::write(path, content).expect("the scratch folder is writable");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// An account with a consent whose refresh token is in a file.
struct Consent {
    account: Account,
    folder: TempDir,
}

impl Consent {
    fn open(options: SandboxOptions) -> Self {
        let consent = Self { account: Account::open(options), folder: tempfile::tempdir().expect("a scratch folder") };
        write_secret(&consent.file(), &consent.account.sandbox.issue_refresh_token());
        consent
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("refresh-token")
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.file()).expect("the file is there").trim().to_owned()
    }

    /// `plan` calls nothing but the token endpoint and `advertisers/me`.
    fn plan(&self) -> Program {
        self.account.job("plan").variable("CRITEO_REFRESH_TOKEN_FILE", self.file())
    }
}

#[test]
fn of_five_key_pairs_the_first_that_is_known_is_used_and_the_dead_ones_are_named() {
    let account = Account::open(tiny());
    let path = account.folder.path().join("keys.txt");
    let dead =
        (1..=3).map(|n| format!("Client ID: dead-{n}\r\nClient Secret: gone-{n}+/=\r\n\r\n")).collect::<String>();
    let alive = "Client ID: sandbox-client\r\nClient Secret: s3cret+with/slash 100%=odd&end\r\n\r\n";
    let text = format!("\u{feff}{dead}{alive}Client ID: spare\r\nClient Secret: never-tried\r\n");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [text.into_bytes(), utf16] {
        std::fs::write(&path, bytes).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
        let before = account.calls("/oauth2/token").len();
        let job = account.job("pull --tables campaigns").variable("CRITEO_CREDENTIALS_FILE", &path);
        let document = job.without("CRITEO_CLIENT_ID").without("CRITEO_CLIENT_SECRET").run().expect(0);
        let warned = messages(&document, "warnings");
        for id in ["dead-1", "dead-2", "dead-3"] {
            assert!(
                warned.contains(&format!("key_rejected: Criteo does not know the key pair with the client id `{id}`")),
                "{warned}"
            );
        }
        assert!(!warned.contains("client id `sandbox-client` (any") && !warned.contains("gone-"), "{warned}");
        assert_eq!(account.calls("/oauth2/token").len() - before, 4);
    }
}

#[test]
fn a_file_with_the_refresh_token_is_kept_up_to_date_and_keeps_its_mode() {
    let consent = Consent::open(tiny());
    std::fs::set_permissions(consent.file(), std::fs::Permissions::from_mode(0o400)).expect("our own file");
    for _ in 0..3 {
        let before = consent.token();
        let document = consent.plan().run().expect(0);
        assert_eq!(codes(&document, "warnings"), Vec::<String>::new(), "{document}");
        assert!(consent.token() != before && consent.account.sandbox.accepts_refresh_token(&consent.token()));
        let mode = std::fs::metadata(consent.file()).expect("is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o400);
    }
}

#[test]
fn a_variable_cannot_be_kept_up_to_date_and_the_run_says_so() {
    let account = Account::open(tiny());
    let job =
        account.job("pull --tables campaigns").variable("CRITEO_REFRESH_TOKEN", account.sandbox.issue_refresh_token());
    let warned = messages(&job.run().expect(0), "warnings");
    assert!(warned.contains("refresh_token_not_stored: ") && warned.contains("CRITEO_REFRESH_TOKEN_FILE"), "{warned}");
}

#[test]
fn a_withdrawn_consent_says_who_has_to_consent_again_and_where_the_token_goes() {
    let consent = Consent::open(tiny());
    consent.account.sandbox.withdraw_consents();
    let message = messages(&consent.plan().run().expect(3), "errors");
    for part in ["invalid_grant", "six months", "business manager", "consent again", "refresh-token"] {
        assert!(message.contains(part), "`{part}` is not in {message}");
    }
    assert_eq!(consent.account.calls("/oauth2/token").len(), 1, "asking again is of no use");
}

#[test]
fn the_end_of_a_consent_is_announced_a_month_before() {
    // Nothing is rotated here, so that the file stays as old as it is.
    let raw = Raw::start(|_: &Received| None);
    let path = raw.folder.path().join("refresh-token");
    write_secret(&path, "refresh-1");
    let job = raw.job("pull --tables campaigns").variable("CRITEO_REFRESH_TOKEN_FILE", &path);
    // Times of files are those of the system's clock.
    let job = job.without("CRITEO_SOURCE_TEST_NOW");
    let age = |days: u64| {
        let file = std::fs::File::options().write(true).open(&path).expect("our own file");
        file.set_modified(std::time::SystemTime::now() - Duration::from_hours(days * 24)).expect("a time");
        messages(&job.run().expect(0), "warnings")
    };
    assert!(!age(140).contains("consent_ends_soon"));
    let warned = age(160);
    assert!(
        warned.contains("consent_ends_soon: the consent for the app with the client id `the-client-id` ends about"),
        "{warned}"
    );
}

#[test]
fn runs_at_the_same_time_take_turns_and_none_loses_the_others_token() {
    let consent = Consent::open(tiny());
    for _ in 0..3 {
        let running: Vec<_> = (0..4).map(|_| consent.plan().start()).collect();
        for run in running {
            run.end().expect(0);
        }
        assert!(consent.account.sandbox.accepts_refresh_token(&consent.token()));
    }
    assert_eq!(consent.account.calls("/oauth2/token").len(), 12, "each exchanged once");
}

#[test]
fn tokens_that_live_two_seconds_do_not_stop_a_run_of_either_grant() {
    for is_consent in [false, true] {
        let options = SandboxOptions { token_lifetime_secs: 2, ..tiny() };
        let account = Account::open(options);
        let path = account.folder.path().join("refresh-token");
        write_secret(&path, &account.sandbox.issue_refresh_token());
        account.set_faults(["slow-drip(60)@report"]);
        let job = account.job("backfill --from 2026-10-01 --to 2026-10-20 --tables placements_daily");
        let job = if is_consent { job.variable("CRITEO_REFRESH_TOKEN_FILE", &path) } else { job };
        let began = Instant::now();
        let document = job.run().expect(0);
        assert_eq!(document["tables"]["placements_daily"]["partitions"], json!(20));
        let tokens = u64::try_from(account.calls("/oauth2/token").len()).expect("a number");
        let most = began.elapsed().as_secs() + 2;
        assert!((2..=most).contains(&tokens), "{tokens} tokens in {:?}", began.elapsed());
    }
}

#[test]
fn an_exchange_under_way_is_finished_and_kept_when_the_run_is_told_to_stop() {
    let (sender, asked) = std::sync::mpsc::channel();
    let raw = Raw::start(move |received: &Received| {
        received.is("/oauth2/token").then(|| {
            sender.send(()).expect("the test waits");
            // The signal arrives in the middle of the exchange.
            std::thread::sleep(Duration::from_millis(700));
            let body = json!({"access_token": "access-2", "expires_in": 900, "refresh_token": "refresh-2"});
            Answer::body(body.to_string())
        })
    });
    let path = raw.folder.path().join("refresh-token");
    write_secret(&path, "refresh-1");
    let run = raw.job("pull --tables campaigns").variable("CRITEO_REFRESH_TOKEN_FILE", &path).start();
    asked.recv().expect("the token endpoint is asked");
    run.signal("TERM");
    assert_eq!(run.end().code, 143);
    assert_eq!(std::fs::read_to_string(&path).expect("is there"), "refresh-2\n");
}

#[test]
fn no_kill_at_any_moment_leaves_an_app_without_a_usable_refresh_token() {
    // The old token dies with the first use of the new access token, so one that is not yet stored then would be lost.
    let options =
        SandboxOptions { rotated_refresh_token_secs: 3600, rotated_refresh_token_ends_with_use: true, ..tiny() };
    let consent = Consent::open(options);
    let mut chance = Chance::of_variable("KILL_SEED");
    let began = Instant::now();
    consent.plan().run().expect(0);
    let (mut length, mut killed, mut rotated) = (began.elapsed(), 0, 0);
    for number in 0..KILLS {
        let before = consent.token();
        let ended = consent.plan().start().kill_after(length.mul_f64(chance.share()));
        let has_rotated = consent.token() != before;
        (killed, rotated) = (killed + u32::from(ended.code == -1), rotated + u32::from(has_rotated));
        // The moments are spread so that about half of the runs get as far as the new token, however fast the machine is.
        length = length.mul_f64(if has_rotated { 0.97 } else { 1.03 });
        let usable = consent.account.sandbox.accepts_refresh_token(&consent.token());
        assert!(usable, "kill {number} with seed {}: {}", chance.seed(), ended.everything());
    }
    assert!(
        killed > KILLS / 4 && rotated > KILLS / 10,
        "{killed} kills, {rotated} rotations: the moments prove nothing"
    );
    consent.plan().run().expect(0);
}
