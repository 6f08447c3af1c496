//! Signing in with a browser: from the printed link to a pull with the stored token, and every way in which it fails.
#![cfg(unix)]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use criteo_source::sandbox::SandboxOptions;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::account::{Account, tiny};
use crate::support::browser::{Shown, press, visit};
use crate::support::program::{Ended, Program, Running, messages};
use crate::support::raw::{Answer, Raw, Received};

/// An account of an authorization-code app, and where its refresh token goes.
struct Desk {
    account: Account,
    state: TempDir,
    redirect: String,
}

/// An address of this machine that nobody listens at.
fn redirect_uri() -> String {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    format!("http://localhost:{port}/criteo-auth/callback")
}

impl Desk {
    fn open(options: SandboxOptions) -> Self {
        let state = tempfile::tempdir().expect("a scratch folder");
        Self { account: Account::open(options), state, redirect: redirect_uri() }
    }

    fn program(&self, line: &str) -> Program {
        let consent = format!("{}/request", self.account.sandbox.url());
        let program = self.account.program(&format!("--format json {line}"));
        program.variable("CRITEO_CONSENT_URL", consent).variable("XDG_STATE_HOME", self.state.path())
    }

    fn login(&self, line: &str) -> Program {
        self.program(&format!("login --no-browser {line} --redirect-uri")).word(&self.redirect)
    }

    fn file(&self) -> PathBuf {
        self.state.path().join("criteo-source/sandbox-client.json")
    }

    /// Signs in and presses a button of the consent page.
    fn sign_in(&self, line: &str, decision: &str) -> (Shown, Ended) {
        let mut login = self.login(line).start();
        let link = link(&mut login);
        let page = visit(&link);
        assert!(page.status == 200 && page.body.contains("Approve"), "{page:?}");
        let shown = visit(&press(&link, &format!("decision={decision}")));
        (shown, login.end())
    }
}

/// The link that is printed alone on a line.
fn link(login: &mut Running) -> String {
    login.line_on_stderr("http")
}

fn assert_page(shown: &Shown, status: u16, said: &str) {
    assert_eq!(shown.status, status, "{shown:?}");
    assert!(shown.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{shown:?}");
    assert!(shown.body.starts_with("<!DOCTYPE html>") && shown.body.contains(said), "`{said}` is not in {shown:?}");
    assert!(!["src=", "href=", "url(", "<script"].iter().any(|outside| shown.body.contains(outside)), "{shown:?}");
}

fn query(link: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(link).expect("an address");
    url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

#[test]
fn an_approved_sign_in_is_stored_for_its_owner_and_the_next_pull_uses_it() {
    let desk = Desk::open(SandboxOptions { requires_pkce: true, ..tiny() });
    let (shown, ended) = desk.sign_in("", "approve");
    assert_page(&shown, 200, "Signed in");
    let document = ended.expect(0);
    assert_eq!((&document["command"], &document["client_id"]), (&json!("login"), &json!("sandbox-client")));
    assert_eq!(document["path"], json!(desk.file()));
    let mode = std::fs::metadata(desk.file()).expect("is stored").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(!ended.everything().contains("refresh."), "{}", ended.everything());

    let status = desk.program("login --status").run().expect(0);
    assert_eq!(
        (&status["apps"][0]["client_id"], &status["apps"][0]["encrypted"]),
        (&json!("sandbox-client"), &json!(false))
    );
    let known =
        desk.program("login --status").without("CRITEO_CLIENT_ID").without("CRITEO_CLIENT_SECRET").run().expect(0);
    assert_eq!(known["apps"], status["apps"], "a single app needs no id");

    let before = std::fs::read_to_string(desk.file()).expect("is stored");
    let pull = desk.program("pull --tables campaigns --output").word(desk.account.output());
    assert_eq!(pull.run().expect(0)["tables"]["campaigns"]["partitions"], json!(1));
    let grants: Vec<Value> =
        desk.account.calls("/oauth2/token").into_iter().map(|call| call.body["grant_type"].clone()).collect();
    assert_eq!(grants, [json!("authorization_code"), json!("refresh_token")]);
    assert_ne!(std::fs::read_to_string(desk.file()).expect("is stored"), before, "the rotated token is kept");

    let removed = desk.program("logout").run().expect(0);
    assert!(removed["removed"][0] == json!(desk.file()) && !desk.file().exists());
    let ended = desk.program("login --status").run();
    assert!(messages(&ended.expect(3), "errors").contains("criteo-source login"));
    desk.program("logout").run().expect(0);
}

#[test]
fn the_link_has_everything_that_criteo_wants_and_stands_alone_on_its_line() {
    let desk = Desk::open(tiny());
    let mut login = desk.login("").start();
    let link = link(&mut login);
    assert!(link.starts_with(&format!("{}/request?", desk.account.sandbox.url())) && !link.contains(' '), "{link}");
    for (name, value) in [
        ("response_type", Some("code")),
        ("client_id", Some("sandbox-client")),
        ("redirect_uri", Some(desk.redirect.as_str())),
        ("code_challenge_method", Some("S256")),
    ] {
        assert_eq!(query(&link, name).as_deref(), value);
    }
    assert!(query(&link, "state").is_some_and(|state| state.len() >= 22));
    assert_eq!(query(&link, "code_challenge").map(|challenge| challenge.len()), Some(43));

    // Looking at the address ends nothing, the root leads to the consent page, and both families are listened on.
    let waiting = visit(&desk.redirect);
    assert_page(&waiting, 200, "Waiting for the consent");
    let root = desk.redirect.replace("/criteo-auth/callback", "/");
    assert_eq!(visit(&root).header("location"), Some(link.as_str()));
    assert_eq!(visit(&root.replace("localhost", "127.0.0.1")).status, 303);
    if TcpListener::bind("[::1]:0").is_ok() {
        assert_eq!(visit(&root.replace("localhost", "[::1]")).status, 303);
    }
    assert_eq!(visit(&format!("{root}favicon.ico")).status, 404);
    login.signal("TERM");
    assert!(messages(&login.end().expect(143), "errors").contains("nothing was stored"));
    assert!(!desk.file().exists());
}

#[test]
fn a_denied_consent_is_exit_3_and_nothing_is_stored() {
    let desk = Desk::open(tiny());
    let (shown, ended) = desk.sign_in("", "deny");
    assert_page(&shown, 400, "denied");
    assert!(messages(&ended.expect(3), "errors").contains("`access_denied`"));
    assert!(!desk.file().exists());
}

#[test]
fn an_app_that_requires_a_proof_key_refuses_without_one_and_the_option_is_named() {
    let desk = Desk::open(SandboxOptions { requires_pkce: true, ..tiny() });
    let mut login = desk.login("--no-pkce").start();
    let link = link(&mut login);
    let back = visit(&link);
    let shown = visit(back.header("location").expect("an address"));
    assert_page(&shown, 400, "PKCE");
    assert!(messages(&login.end().expect(3), "errors").contains("`invalid_request`"));
    let plain = Desk::open(tiny());
    assert_page(&plain.sign_in("--no-pkce", "approve").0, 200, "Signed in");
}

#[test]
fn a_wrong_state_is_refused_on_the_page_and_by_exit_3() {
    for answer in ["code=stolen&state=made-up", "code=stolen", "error=access_denied&state=old"] {
        let desk = Desk::open(tiny());
        let mut login = desk.login("").start();
        link(&mut login);
        let shown = visit(&format!("{}?{answer}", desk.redirect));
        assert_page(&shown, 400, "belongs to another sign-in");
        assert!(messages(&login.end().expect(3), "errors").contains("old link"));
        assert_eq!(desk.account.calls("/oauth2/token").len(), 0, "nothing was exchanged");
    }
}

#[test]
fn a_code_that_is_used_up_names_what_a_code_needs() {
    let desk = Desk::open(tiny());
    let mut login = desk.login("").start();
    let state = query(&link(&mut login), "state").expect("a state");
    let shown = visit(&format!("{}?code=old&state={state}", desk.redirect));
    assert_page(&shown, 400, "did not accept the code");
    let message = messages(&login.end().expect(3), "errors");
    for part in ["invalid_grant", "30 seconds", "once", desk.redirect.as_str()] {
        assert!(message.contains(part), "`{part}` is not in {message}");
    }
}

#[test]
fn a_page_instead_of_a_token_is_said_to_be_one_and_not_asked_for_again() {
    let raw = Raw::start(|received: &Received| {
        received.is("/oauth2/token").then(|| Answer::body("<html>Proxy</html>").header("content-type", "text/html"))
    });
    let redirect = redirect_uri();
    let program = Program::at(raw.folder.path())
        .variable("CRITEO_API_URL", raw.url())
        .variable("CRITEO_CONSENT_URL", format!("{}/request", raw.url()))
        .variable("CRITEO_CLIENT_ID", "the-client-id")
        .variable("CRITEO_CLIENT_SECRET", "the-secret")
        .variable("XDG_STATE_HOME", raw.folder.path())
        .words("login --no-browser --format json --redirect-uri")
        .word(&redirect);
    let mut login = program.start();
    let state = query(&link(&mut login), "state").expect("a state");
    let shown = visit(&format!("{redirect}?code=c&state={state}"));
    assert_page(&shown, 400, "could not be exchanged");
    let message = messages(&login.end().expect(5), "errors");
    assert!(message.contains("not JSON") && message.contains("CRITEO_API_URL"), "{message}");
    assert_eq!(raw.received("/oauth2/token").len(), 1);
}

#[test]
fn a_busy_port_is_named_with_who_has_it() {
    let desk = Desk::open(tiny());
    let port = desk.redirect.split([':', '/']).nth(4).expect("a port").parse::<u16>().expect("a number");
    let _busy = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let message = messages(&desk.login("").run().expect(2), "errors");
    assert!(message.contains(&format!("127.0.0.1:{port}")) && message.contains("--redirect-uri"), "{message}");
    if cfg!(target_os = "linux") {
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    }
}

#[test]
fn a_code_can_be_pasted_where_nothing_can_be_listened_at() {
    let mut desk = Desk::open(tiny());
    desk.redirect = "https://example.com/criteo-auth/callback".to_owned();
    let code = desk.account.sandbox.issue_code(&desk.redirect, None);
    let ended = desk.login("--no-pkce").typing(&code).run();
    assert!(ended.stderr.contains("cannot listen at https://example.com"), "{}", ended.stderr);
    ended.expect(0);
    assert!(desk.file().exists());
    let stolen = desk.login("--paste").typing("https://example.com/criteo-auth/callback?code=c&state=other").run();
    assert!(messages(&stolen.expect(3), "errors").contains("another sign-in"));
    assert!(messages(&desk.login("--paste").run().expect(3), "errors").contains("nothing was pasted"));
}

#[test]
fn a_stored_token_that_others_can_read_is_refused_with_the_command_to_run() {
    let desk = Desk::open(tiny());
    desk.sign_in("", "approve").1.expect(0);
    std::fs::set_permissions(desk.file(), std::fs::Permissions::from_mode(0o644)).expect("our own file");
    for line in ["plan", "login --status"] {
        let message = messages(&desk.program(line).run().expect(2), "errors");
        assert!(message.contains(&format!("chmod 600 {}", desk.file().display())), "{message}");
    }
}

#[test]
fn a_time_out_is_announced_and_a_dead_key_before_a_good_one_is_named() {
    let desk = Desk::open(tiny());
    let keys = desk.state.path().join("keys.txt");
    let dead = "client_id: dead\nclient_secret: gone";
    let alive = "client_id: sandbox-client\nclient_secret: s3cret+with/slash 100%=odd&end";
    std::fs::write(&keys, format!("{dead}\n\n{alive}\n")).expect("writes");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    let program = desk.login("--timeout 7").variable("CRITEO_CREDENTIALS_FILE", &keys);
    let mut login = program.without("CRITEO_CLIENT_ID").without("CRITEO_CLIENT_SECRET").start();
    let link = link(&mut login);
    assert!(login.line_on_stderr("Waiting").contains("Waiting 7 minutes"));
    visit(&press(&link, "decision=approve"));
    let document = login.end().expect(0);
    assert!(
        messages(&document, "warnings")
            .contains("key_rejected: Criteo does not know the key pair with the client id `dead`")
    );
}

#[test]
fn a_real_browser_shows_the_consent_page_and_how_the_sign_in_ended() {
    /// What the script exits with where there is no browser.
    const SKIPPED: i32 = 77;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/login.py");
    let run = std::process::Command::new("python3").arg(script).arg(env!("CARGO_BIN_EXE_criteo-source")).output();
    let said = |output: &std::process::Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    match run {
        Ok(output) if output.status.code() == Some(SKIPPED) => eprintln!("{}", said(&output)),
        Ok(output) => assert!(output.status.success(), "{}", said(&output)),
        Err(error) => eprintln!("SKIPPED: there is no python3: {error}"),
    }
}
