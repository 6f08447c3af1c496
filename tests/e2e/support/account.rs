//! A simulated account, a working folder, and the program pointed at both.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use chrono::NaiveDate;
use criteo_source::clock::Clock;
use criteo_source::sandbox::{Call, Fault, Sandbox, SandboxOptions};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::program::{Ended, Program};
use super::{TODAY, day, noon};

/// Serves all sandboxes; the tests themselves are plain threads.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime can be made")
});

/// Appears in no token by chance: what the sandbox's access and refresh tokens begin with.
const TOKEN_PREFIXES: [&str; 2] = ["access.", "refresh."];

/// An account and a folder to work in.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: TempDir,
    client_id: String,
    client_secret: String,
}

/// A small world: quick to simulate, with every awkward entity in it, and quotas out of the way.
pub(crate) fn small() -> SandboxOptions {
    SandboxOptions {
        today: day(TODAY),
        advertisers: 3,
        campaigns_per_advertiser: 3,
        ad_sets_per_campaign: 2,
        ads_per_ad_set: 1,
        report_calls_per_minute: 100_000,
        default_calls_per_minute: 100_000,
        consented_calls_per_minute: 100_000,
        ..SandboxOptions::default()
    }
}

/// A world of four ads, for tests with many runs or many days.
pub(crate) fn tiny() -> SandboxOptions {
    SandboxOptions { advertisers: 2, campaigns_per_advertiser: 1, ..small() }
}

/// Faults from their texts.
pub(crate) fn faults(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<Fault> {
    texts.into_iter().map(|text| text.as_ref().parse().expect("a fault written in a test is valid")).collect()
}

impl Account {
    /// Opens an account.
    pub(crate) fn open(options: SandboxOptions) -> Self {
        let (client_id, client_secret) = (options.client_id.clone(), options.client_secret.clone());
        let today = options.today;
        let sandbox =
            RUNTIME.block_on(Sandbox::start(options, Clock::starting_at(noon(today)))).expect("a sandbox starts");
        let folder = tempfile::tempdir().expect("a scratch folder");
        Self { sandbox, folder, client_id, client_secret }
    }

    /// Opens an account with faults.
    pub(crate) fn with_faults(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::open(SandboxOptions { faults: faults(texts), ..small() })
    }

    /// Replaces the faults.
    pub(crate) fn set_faults(&self, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        self.sandbox.set_faults(faults(texts));
    }

    /// Removes all faults.
    pub(crate) fn heal(&self) {
        self.sandbox.set_faults(Vec::new());
    }

    /// Where runs write.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes the configuration file that runs find.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.folder.path().join("criteo-source.toml"), text).expect("the scratch folder is writable");
    }

    /// The program with credentials, and the words of `line`; nothing else.
    pub(crate) fn program(&self, line: &str) -> Program {
        Program::at(self.folder.path())
            .variable("CRITEO_API_URL", self.sandbox.url())
            .variable("CRITEO_CLIENT_ID", &self.client_id)
            .variable("CRITEO_CLIENT_SECRET", &self.client_secret)
            .words(line)
    }

    /// The program as a job would start it, on the day of its `--as-of`, which is [`TODAY`] unless the line has another.
    pub(crate) fn job(&self, line: &str) -> Program {
        let today = line.split_once("--as-of ").and_then(|(_, rest)| rest.split_whitespace().next());
        let as_of = if today.is_some() { String::new() } else { format!(" --as-of {TODAY}") };
        let program = self.program(&format!("{line}{as_of} --format json --output")).word(self.output());
        program.on(today.unwrap_or(TODAY))
    }

    /// Runs a job; what it printed and wrote shows no secret.
    pub(crate) fn run(&self, line: &str) -> Ended {
        self.run_program(&self.job(line))
    }

    /// Runs a program; what it printed and wrote shows no secret.
    pub(crate) fn run_program(&self, program: &Program) -> Ended {
        let ended = program.run();
        self.assert_no_secret(&ended, &[]);
        ended
    }

    /// Nothing printed or written has the client secret, a token, or one of `more`.
    pub(crate) fn assert_no_secret(&self, ended: &Ended, more: &[&str]) {
        let mut places = vec![("stdout".to_owned(), ended.stdout.as_bytes().to_vec())];
        places.push(("stderr".to_owned(), ended.stderr.as_bytes().to_vec()));
        collect_files(self.folder.path(), &mut places);
        let escaped: String = form_escaped(&self.client_secret);
        let secrets =
            [self.client_secret.as_str(), &escaped].into_iter().chain(TOKEN_PREFIXES).chain(more.iter().copied());
        for secret in secrets {
            for (place, bytes) in &places {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "`{secret}` is in {place}");
            }
        }
    }

    /// The report calls so far whose path contains `part`, as their request bodies.
    pub(crate) fn bodies(&self, part: &str) -> Vec<Value> {
        self.calls(part).into_iter().map(|call| call.body).collect()
    }

    /// The calls so far whose path contains `part`.
    pub(crate) fn calls(&self, part: &str) -> Vec<Call> {
        self.sandbox.calls().into_iter().filter(|call| call.path.contains(part)).collect()
    }

    /// The ids of all advertisers.
    pub(crate) fn advertisers(&self) -> Vec<String> {
        self.sandbox.advertiser_ids()
    }
}

fn collect_files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            collect_files(&path, into);
        } else {
            match std::fs::read(&path) {
                Ok(content) => into.push((path.display().to_string(), content)),
                // A database that is closed meanwhile removes its log.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
}

/// As it stands in the body of a token request.
fn form_escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    let escape = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// The days of the request bodies of a report, from first to last, as asked.
pub(crate) fn asked_days(bodies: &[Value]) -> Vec<(NaiveDate, NaiveDate)> {
    let date = |body: &Value, name: &str| {
        let attributes = if body["data"].is_array() { &body["data"][0]["attributes"] } else { body };
        day(attributes[name].as_str().unwrap_or_default())
    };
    bodies.iter().map(|body| (date(body, "startDate"), date(body, "endDate"))).collect()
}
