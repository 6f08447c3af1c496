//! Each fault at each endpoint, once and for good. One command prints the matrix:
//!
//! ```sh
//! cargo test --locked --test e2e matrix -- --nocapture
//! ```
//!
//! A fault that passes leaves the truth, and costs as many repeated calls as its cell says. A fault that lasts ends the
//! run with the exit code that its cell says: what was there before is untouched, and what has nothing to do with the
//! endpoint is published.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use crate::faults::assert_truth;
use crate::support::account::{Account, tiny};
use crate::support::program::Ended;
use crate::support::{TODAY, day, files};

/// Endpoints by a part of their path, and a table that comes from each; the token endpoint and the list of advertisers
/// are needed by all.
const ENDPOINTS: [(&str, &str); 10] = [
    ("statistics/report", "ad_statistics_daily"),
    ("placements/report", "placements_daily"),
    ("transactions/report", "transactions"),
    ("advertisers/me", "advertisers"),
    ("campaigns/search", "campaigns"),
    ("ad-sets/search", "ad_sets"),
    ("/creatives", "creatives"),
    ("/ads", "ads"),
    ("/coupons", "coupons"),
    (TOKEN, "advertisers"),
];
/// The endpoints above as columns.
const HEADS: [&str; 10] = [
    "statistics",
    "placements",
    "transactions",
    "advertisers/me",
    "campaigns",
    "ad-sets",
    "creatives",
    "ads",
    "coupons",
    "token",
];
const TOKEN: &str = "oauth2/token";
const PORTFOLIO: &str = "advertisers/me";

/// Faults that pass: each hits the first call of every endpoint.
const PASSING: [&str; 18] = [
    "too-many-requests(20)",
    "too-many-requests(-30)",
    "too-many-requests(silent)",
    // A reset in a year, and one in milliseconds where seconds are expected.
    "too-many-requests(31536000)",
    "too-many-requests(1792517688000)",
    "http-500",
    "http-502-html",
    "http-503",
    "http-504",
    "reset-before-response",
    "reset-mid-body",
    "stall-mid-body",
    "truncated-body",
    "html-with-200",
    "ok-with-errors",
    "slow-drip(1)",
    "wrong-content-type",
    "bom",
];

/// Faults that spoil nothing, so that no call is repeated.
const HARMLESS: [&str; 3] = ["slow-drip(1)", "wrong-content-type", "bom"];

/// Faults that last. A run that gets nothing at all exits with 5, one that loses a table with 4.
const LASTING: [&str; 12] = [
    "too-many-requests(20)",
    "too-many-requests(silent)",
    "http-500",
    "http-502-html",
    "http-503",
    "http-504",
    "reset-before-response",
    "reset-mid-body",
    "stall-mid-body",
    "truncated-body",
    "html-with-200",
    "ok-with-errors",
];

/// Long enough for an honest answer on a busy machine.
const TIMEOUT_MILLIS: &str = "500";

/// A table of cells, printed when it is whole.
struct Matrix {
    name: &'static str,
    rows: Vec<(String, Vec<String>)>,
}

impl Matrix {
    fn new(name: &'static str) -> Self {
        Self { name, rows: Vec::new() }
    }

    fn add(&mut self, fault: &str, cells: Vec<String>) {
        assert_eq!(cells.len(), ENDPOINTS.len(), "{fault} has a cell for each endpoint");
        self.rows.push((fault.to_owned(), cells));
    }

    /// Prints it; the number of cells that were tested.
    fn print(&self) -> usize {
        println!("\n{}", self.name);
        let head: String = HEADS.iter().map(|head| format!("{head:>15}")).collect();
        println!("{:32}{head}", "");
        for (fault, cells) in &self.rows {
            let cells: String = cells.iter().map(|cell| format!("{cell:>15}")).collect();
            println!("{fault:32}{cells}");
        }
        let tested = self.rows.iter().flat_map(|(_, cells)| cells).filter(|cell| cell.as_str() != "-").count();
        println!("{tested} cells");
        tested
    }
}

/// Calls of each endpoint so far.
fn calls(account: &Account) -> Vec<usize> {
    ENDPOINTS.iter().map(|(endpoint, _)| account.calls(endpoint).len()).collect()
}

/// A run in which each of these faults hits once; the calls of each endpoint.
fn outlast(faults: &[String]) -> Vec<usize> {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-11-08'\n");
    account.set_faults(faults);
    let what = faults.join(" ");
    let mut program = account.job("pull");
    if what.contains("stall") {
        program = program.variable("CRITEO_SOURCE_TEST_TIMEOUT_MILLIS", TIMEOUT_MILLIS);
    }
    let document = account.run_program(&program).expect(0);
    assert_truth(&account, "2026-11-08", &what);
    assert_eq!(document["warnings"], json!([]), "{what}");
    assert!(document["waited_secs"].as_f64().is_some_and(|waited| waited < 1500.0), "{what}: {document}");
    files::assert_tidy(&account.output());
    calls(&account)
}

#[test]
fn matrix_of_faults_that_pass_each_leaves_the_truth_at_every_endpoint() {
    let mut matrix = Matrix::new("repeated calls after a fault that passes");
    let usual = outlast(&[]);
    for fault in PASSING {
        // The envelope of a token has no place for `errors`.
        let applies = |endpoint: &str| fault != "ok-with-errors" || endpoint != TOKEN;
        let hit = ENDPOINTS.iter().filter(|(endpoint, _)| applies(endpoint));
        let calls = outlast(&hit.map(|(endpoint, _)| format!("{fault}@{endpoint}*1")).collect::<Vec<_>>());
        let mut cells = Vec::new();
        for ((endpoint, _), (calls, usual)) in ENDPOINTS.iter().zip(calls.iter().zip(&usual)) {
            let repeated = calls.checked_sub(*usual).unwrap_or_else(|| panic!("{fault}: fewer calls of {endpoint}"));
            let least = usize::from(applies(endpoint) && !HARMLESS.contains(&fault));
            assert!(repeated >= least, "{fault}: {endpoint} was not asked again");
            assert!(repeated <= 3 * least, "{fault}: {endpoint} was asked again {repeated} times");
            cells.push(if applies(endpoint) { repeated.to_string() } else { "-".to_owned() });
        }
        matrix.add(fault, cells);
    }
    // One token serves all endpoints, so its end is met by one of them at a time.
    let mut cells = Vec::new();
    for (endpoint, _) in ENDPOINTS {
        if endpoint == TOKEN {
            cells.push("-".to_owned());
            continue;
        }
        let calls = outlast(&[format!("token-expired@{endpoint}*1")]);
        let repeated: usize = calls.iter().zip(&usual).map(|(calls, usual)| calls.saturating_sub(*usual)).sum();
        assert!(repeated >= 2, "{endpoint} and the token were asked again");
        cells.push(repeated.to_string());
    }
    matrix.add("token-expired", cells);
    assert_eq!(matrix.print(), 188);
}

/// Everything live, byte for byte.
fn bytes(account: &Account) -> BTreeMap<PathBuf, Vec<u8>> {
    let listing = files::listing(&account.output()).into_iter();
    let paths = listing.flat_map(|(table, dates)| {
        dates.into_iter().map(|date| files::path(&account.output(), &table, date)).collect::<Vec<_>>()
    });
    paths.map(|path| (path.clone(), std::fs::read(&path).expect("a live file can be read"))).collect()
}

/// A pull of `table` and of one that has nothing to do with it, with a fault that stays.
fn endure(account: &Account, fault: &str, endpoint: &str, table: &str, other: &str) -> Ended {
    account.set_faults([format!("{fault}@{endpoint}")]);
    let mut program = account.job(&format!("pull --tables {table},{other}"));
    if fault.contains("stall") {
        program = program.variable("CRITEO_SOURCE_TEST_TIMEOUT_MILLIS", TIMEOUT_MILLIS);
    }
    account.run_program(&program)
}

#[test]
fn matrix_of_faults_that_last_each_keeps_what_was_there_and_publishes_the_rest() {
    let mut matrix = Matrix::new("exit code after a fault that lasts");
    for fault in LASTING {
        let account = Account::open(tiny());
        account.configure("start_date = '2026-11-08'\nmax_run_minutes = 40\n");
        account.run("pull").expect(0);
        // Criteo has restated everything since, so that a file that is replaced is another one.
        account.sandbox.set_today(day("2026-11-16"));
        let mut cells = Vec::new();
        for (endpoint, table) in ENDPOINTS {
            if fault == "ok-with-errors" && endpoint == TOKEN {
                cells.push("-".to_owned());
                continue;
            }
            let what = format!("{fault}@{endpoint}");
            let before = bytes(&account);
            let other = if endpoint == "ad-sets/search" { "campaigns" } else { "ad_sets" };
            let ended = endure(&account, fault, endpoint, table, other);
            let needed_by_all = [TOKEN, PORTFOLIO].contains(&endpoint);
            let document = ended.expect(if needed_by_all { 5 } else { 4 });
            let now = bytes(&account);
            for (path, content) in &before {
                let is_kept = needed_by_all || path.starts_with(account.output().join(table));
                assert!(!is_kept || now[path] == *content, "{what}: {} was replaced", path.display());
            }
            if !needed_by_all {
                assert_eq!(document["errors"][0]["table"], json!(table), "{what}: {document}");
                assert_eq!(document["tables"][other]["partitions"], json!(1), "{what}: {document}");
            }
            // Reports are fetched by the next run; a snapshot only by one of the same day.
            let is_helped = ["next run", "again today"].iter().any(|words| document.to_string().contains(words));
            assert!(is_helped, "{what}: {document}");
            files::assert_tidy(&account.output());
            cells.push(ended.code.to_string());
        }
        matrix.add(fault, cells);
        account.heal();
        account.sandbox.set_today(day(TODAY));
        account.run("pull").expect(0);
        assert_truth(&account, "2026-11-08", fault);
    }
    assert_eq!(matrix.print(), 119);
}
