//! The error that ends the process, on stderr whatever the level of the logs: for people as a report of several lines, for
//! collectors as a line of JSON for each problem.

use std::io::Write as _;

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::format::{in_order, run_id};
use super::options::LogFormat;
use super::stderr::LogWriter;
use crate::error::Error;
use crate::notice::Notice;

/// Prints it in this format.
pub fn fatal(error: &Error, format: LogFormat) {
    let text = match format {
        LogFormat::Text => error.report().to_string(),
        LogFormat::Json => error.notices().iter().map(|notice| line(notice, error.exit_code())).collect(),
    };
    // Without a standard error there is nobody to tell.
    let _ = LogWriter.write_all(text.as_bytes());
}

fn line(notice: &Notice, exit_code: u8) -> String {
    let Value::Object(mut fields) = json!(notice) else { return String::new() };
    let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    add("timestamp", Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true).into());
    add("level", "ERROR".into());
    add("target", "criteo_source::fatal".into());
    add("exit_code", exit_code.into());
    if let Some(run_id) = run_id() {
        add("run_id", run_id.into());
    }
    if let Some(days) = days(&mut fields) {
        fields.insert("days".to_owned(), days.into());
    }
    format!("{}\n", in_order(fields))
}

/// The days in the words of every other log line.
fn days(fields: &mut Map<String, Value>) -> Option<String> {
    let mut take = |name: &str| fields.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let (from, to) = (take("date"), take("to_date"));
    match (from?, to) {
        (from, Some(to)) => Some(format!("{from} to {to}")),
        (from, None) => Some(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dates::DateRange;
    use crate::notice::Code;

    #[test]
    fn a_problem_is_one_line_with_everything_that_is_known_of_it() {
        let days = DateRange::new("2026-11-01".parse().unwrap(), "2026-11-03".parse().unwrap()).unwrap();
        let notice = Notice::new(Code::ScopeMissing, "no\npermission").table("ads").days(days).advertiser("7");
        let line = line(&notice.trace(Some("abc")), 3);
        assert_eq!(line.lines().count(), 1, "{line}");
        let fields: Value = serde_json::from_str(&line).unwrap();
        for (name, value) in [
            ("level", json!("ERROR")),
            ("code", json!("scope_missing")),
            ("message", json!("no\npermission")),
            ("table", json!("ads")),
            ("days", json!("2026-11-01 to 2026-11-03")),
            ("advertiser_id", json!("7")),
            ("trace_id", json!("abc")),
            ("exit_code", json!(3)),
        ] {
            assert_eq!(fields[name], value, "{name} in {line}");
        }
        assert!(fields["remedy"].is_string() && fields["timestamp"].is_string(), "{line}");
    }
}
