//! An output that cannot take what a run wants to write: full, limited, read-only. What was there stays as it was, the
//! error names the place and the way out, and the next run heals.
//!
//! A full disk is a real one, of a few hundred kilobytes. Mounting it takes root; where that is not allowed these tests
//! say so on stderr, and fail where nothing may be skipped (see [`mounts::Mount`]).
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::account::{Account, tiny};
use crate::support::mounts::Mount;
use crate::support::truth::{Asked, contract};
use crate::support::{TODAY, day, days, files, program};

const LINE: &str = "backfill --from 2026-11-07 --to 2026-11-09 --tables ad_statistics_daily,placements_daily --force";
const TABLES: [&str; 2] = ["ad_statistics_daily", "placements_daily"];
/// By then Criteo has restated the days above.
const LATER: &str = "2026-11-16";
const KIB: u64 = 1024;

/// An account whose output holds the days as they were, and which has restated them since.
fn restated(output: &Path) -> Account {
    let account = Account::open(tiny());
    account.run_program(&job(&account, output)).expect(0);
    account.sandbox.set_today(day(LATER));
    account
}

fn job(account: &Account, output: &Path) -> program::Program {
    account.program(&format!("{LINE} --as-of {TODAY} --format json --output")).word(output)
}

/// The live files, byte for byte.
fn bytes(output: &Path) -> BTreeMap<String, Vec<u8>> {
    let tables = files::names(output).into_iter().filter(|name| !name.starts_with('_'));
    let each = tables.flat_map(|table| {
        let dates = files::dates(output, &table).into_iter();
        dates.map(move |date| files::path(output, &table, date)).collect::<Vec<_>>()
    });
    each.map(|path| (path.display().to_string(), std::fs::read(&path).expect("a live file can be read"))).collect()
}

/// Every partition is what the account has now.
fn assert_truth(account: &Account, output: &Path) {
    for table in TABLES {
        for date in days("2026-11-07", "2026-11-09") {
            let truth = contract(table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
            assert_eq!(files::read(output, table, date).content(), truth, "{table} {date}");
        }
    }
    files::assert_tidy(output);
}

/// The ledger agrees with the files.
fn assert_verified(account: &Account, output: &Path, what: &str) {
    let status = account.program("status --verify --format json --output").word(output).run();
    assert_eq!(status.code, 0, "{what}: {}", status.stdout);
    assert_eq!(status.document()["verification"]["findings"], json!([]), "{what}");
}

/// What is live after a failed run: each file as it was, or new and whole; how many are new.
fn assert_whole(account: &Account, output: &Path, before: &BTreeMap<String, Vec<u8>>, what: &str) -> usize {
    let now = bytes(output);
    assert!(before.keys().eq(now.keys()), "{what}: {:?}", now.keys());
    for table in TABLES {
        for date in days("2026-11-07", "2026-11-09") {
            let path = files::path(output, table, date).display().to_string();
            if now[&path] != before[&path] {
                let truth = contract(table).rows(&account.sandbox, Asked::of(&account.advertisers(), date));
                assert_eq!(files::read(output, table, date).content(), truth, "{what}: {table} {date}");
            }
        }
    }
    assert_eq!(files::names(&output.join("_ledger/staging")), Vec::<String>::new(), "{what}: staged files are left");
    now.iter().filter(|(path, content)| before[*path] != **content).count()
}

/// The errors name where, why, and the way out.
fn assert_explained(document: &Value, output: &Path, parts: &[&str], what: &str) {
    let said = program::messages(document, "errors");
    for part in parts.iter().copied().chain([output.to_str().expect("a plain path")]) {
        assert!(said.contains(part), "{what}: `{part}` is not in\n{said}");
    }
    let codes = program::codes(document, "errors");
    assert!(codes.iter().all(|code| ["output", "output_failed"].contains(&code.as_str())), "{what}: {codes:?}");
}

#[test]
fn a_disk_that_fills_up_at_any_moment_is_exit_6_leaves_whole_files_and_the_next_run_heals() {
    let Some(mount) = Mount::small_disk(512) else { return };
    let output = mount.path().join("data");
    let account = restated(&output);
    let first = bytes(&output);
    let filler = mount.path().join("filler");
    let (mut refused, mut partly) = (0, 0);
    for free_kib in (0..).step_by(8) {
        let what = format!("{free_kib} KiB free");
        Mount::fill(&filler, free_kib * KIB);
        let before = bytes(&output);
        let ended = account.run_program(&job(&account, &output));
        if ended.code == 0 {
            break;
        }
        let document = ended.expect(6);
        assert_explained(&document, &output, &["No space left", "free space"], &what);
        let replaced = assert_whole(&account, &output, &before, &what);
        refused += 1;
        partly += usize::from(replaced > 0);
        assert_verified(&account, &output, &what);
    }
    println!("{refused} runs met a full disk, {partly} of them after they had published something");
    assert!(refused >= 3, "the disk was full {refused} times only");
    std::fs::remove_file(&filler).expect("the filler is there");
    account.run_program(&job(&account, &output)).expect(0);
    assert_truth(&account, &output);
    assert_verified(&account, &output, "healed");
    assert!(bytes(&output) != first, "the days were restated");
}

#[test]
fn a_full_disk_names_each_day_that_was_not_replaced_and_what_follows_is_not_confused_by_it() {
    let Some(mount) = Mount::small_disk(512) else { return };
    let output = mount.path().join("data");
    let account = restated(&output);
    let before = bytes(&output);
    let filler = mount.path().join("filler");
    // Enough for the lock, the record of the run and the files of a day or two, but not for all of them.
    Mount::fill(&filler, 24 * KIB);
    let document = account.run_program(&job(&account, &output)).expect(6);
    assert_whole(&account, &output, &before, "full");
    let now = bytes(&output);
    let named = program::partitions(&document, "errors");
    for table in TABLES {
        for date in days("2026-11-07", "2026-11-09") {
            let path = files::path(&output, table, date).display().to_string();
            // One that was replaced is named too where the disk was full for its record: the next run settles it.
            let is_named = named.contains(&(table.to_owned(), date));
            assert!(is_named || now[&path] != before[&path], "{table} {date} among {named:?}");
        }
    }
    std::fs::remove_file(&filler).expect("the filler is there");
    account.run_program(&job(&account, &output)).expect(0);
    assert_truth(&account, &output);
}

#[test]
fn a_limit_on_the_size_of_files_is_exit_6_and_not_the_end_of_the_process() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let output = scratch.path().join("data");
    let account = restated(&output);
    let mut refused = 0;
    for blocks in [0, 1, 4, 8, 16, 24, 32] {
        let before = bytes(&output);
        // A dozen kilobytes are a partition of this account, a record of a run is less than one.
        let ended = account.run_program(&job(&account, &output).with_largest_file(blocks));
        if ended.code == 0 {
            break;
        }
        let what = format!("files up to {blocks} blocks");
        let document = ended.expect(6);
        assert_explained(&document, &output, &["File too large", "ulimit -f"], &what);
        assert_whole(&account, &output, &before, &what);
        assert_verified(&account, &output, &what);
        refused += 1;
    }
    assert!(refused >= 3, "files were too large {refused} times only");
    account.run_program(&job(&account, &output)).expect(0);
    assert_truth(&account, &output);
}

#[test]
fn an_output_that_became_read_only_is_exit_6_and_nothing_is_called() {
    let Some(mount) = Mount::small_disk(512) else { return };
    let output = mount.path().join("data");
    let account = restated(&output);
    let (before, calls) = (bytes(&output), account.sandbox.calls().len());
    mount.make_read_only();
    let document = account.run_program(&job(&account, &output)).expect(6);
    assert_explained(&document, &output, &["Read-only file system", "mount it for writing"], "read-only");
    assert_eq!(bytes(&output), before);
    assert_eq!(account.sandbox.calls().len(), calls, "nothing is called");
    mount.make_writable();
    account.run_program(&job(&account, &output)).expect(0);
    assert_truth(&account, &output);
}

#[test]
fn a_folder_that_another_user_owns_is_exit_6_and_nothing_is_called() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let output = scratch.path().join("data");
    let account = restated(&output);
    let (before, calls) = (bytes(&output), account.sandbox.calls().len());
    let allow = |mode| {
        let staging = output.join("_ledger/staging");
        std::fs::set_permissions(staging, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    allow(0o555);
    if std::fs::write(output.join("_ledger/staging/probe"), "").is_ok() {
        // Root may write anywhere; the read-only disk above is root's version of this test.
        std::fs::remove_file(output.join("_ledger/staging/probe")).expect("it was just written");
        assert!(Mount::is_possible(), "neither a read-only disk nor a folder without permission can be tested here");
        return;
    }
    let document = account.run_program(&job(&account, &output)).expect(6);
    assert_explained(&document, &output, &["Permission denied", "let the user"], "no permission");
    assert_eq!(bytes(&output), before);
    assert_eq!(account.sandbox.calls().len(), calls, "nothing is called");
    allow(0o755);
    account.run_program(&job(&account, &output)).expect(0);
    assert_truth(&account, &output);
}
