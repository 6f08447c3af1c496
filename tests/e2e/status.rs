//! What people and monitors read in the morning: whether yesterday is complete, what changed, and the page.

use serde_json::json;

use crate::support::account::{Account, small};
use crate::support::{TODAY, day, files};

#[test]
fn a_check_passes_once_yesterday_is_there_and_fails_when_a_day_is_lost() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-06'\n");
    let empty = account.run("status --check").expect(4);
    assert_eq!(empty["errors"][0]["code"], json!("not_complete"));
    account.run("pull").expect(0);
    let complete = account.run("status --check").expect(0);
    assert_eq!(complete["problems"], json!([]));
    for job in ["analytics", "campaigns", "creatives"] {
        assert_eq!(complete["jobs"][job]["is_complete"], json!(true), "{complete}");
    }
    assert!(complete["jobs"]["analytics"]["summary"].to_string().contains("complete in 4 of 4 reports"), "{complete}");
    let tomorrow = account.run("status --check --as-of 2026-11-11").expect(4);
    assert!(tomorrow["problems"].to_string().contains(&format!("no file of {TODAY}")), "{tomorrow}");
    std::fs::remove_file(files::path(&account.output(), "ad_statistics_daily", day("2026-11-07")))
        .expect("it was there");
    let lost = account.run("status --check").expect(4);
    assert_eq!(lost["problems"], json!(["`ad_statistics_daily` has no file of 2026-11-07"]));
}

#[test]
fn a_mistyped_output_is_said_first() {
    let account = Account::open(small());
    for (line, code) in [("status", 0), ("status --check", 4)] {
        let ended = account.program(&format!("{line} --as-of {TODAY} --output /nowhere/at/all")).run();
        assert_eq!(ended.code, code, "{}", ended.everything());
        assert!(ended.stdout.contains("there is no output at /nowhere/at/all"), "{}", ended.stdout);
        assert!(ended.stdout.lines().all(|line| line.len() <= 80), "{}", ended.stdout);
    }
    let ended = account.program(&format!("status --as-of {TODAY} --output /nowhere/at/all")).run();
    assert!(ended.stdout.starts_with("there is no output at"), "{}", ended.stdout);
}

#[test]
fn a_restated_day_is_one_line_of_the_history_and_a_bar_of_the_page() {
    let account = Account::open(small());
    account.configure("start_date = '2026-11-05'\n");
    account.run("pull --as-of 2026-11-08 --tables ad_statistics_daily").expect(0);
    account.sandbox.set_today(day("2026-11-09"));
    account.run("pull --as-of 2026-11-09 --tables ad_statistics_daily").expect(0);
    let history = "status --as-of 2026-11-09 --history ad_statistics_daily";
    let all = account.run(history).expect(0);
    let dates: Vec<_> =
        all["history"].as_array().expect("a list").iter().map(|change| change["date"].clone()).collect();
    assert!(
        dates.len() > 1 && dates.is_sorted_by(|one, next| one.as_str() >= next.as_str()),
        "newest first: {dates:?}"
    );
    let one = account.run(&format!("{history} --day 2026-11-07")).expect(0);
    assert_eq!(one["history"].as_array().map(Vec::len), Some(1), "{one}");
    let text = account.program(&format!("{history} --output")).word(account.output()).on("2026-11-09").run().stdout;
    let line = text.lines().find(|line| line.contains("2026-11-07")).expect("a line for the day");
    assert!(line.contains(" %") && line.len() <= 80, "{line}");

    let page = account.output().join("status.html");
    let program = account.program("status --as-of 2026-11-09 --html").word(&page);
    assert_eq!(program.words("--output").word(account.output()).on("2026-11-09").run().code, 0);
    let html = std::fs::read_to_string(page).expect("a page");
    assert!(html.contains("<title>2026-11-07: provisional</title>") && html.contains("<h2>Restatement</h2>"), "{html}");
    for outside in ["http://", "https://", "src=", "<script", "<link", "url("] {
        assert!(!html.contains(outside), "the page needs nothing from anywhere: {outside}");
    }
    account.run("status --history no_such_table").expect(2);
}
