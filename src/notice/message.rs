//! A warning or an error as people and machines read it.

use std::error::Error as StdError;
use std::io;

use chrono::NaiveDate;
use serde::Serialize;

use super::Code;
use crate::dates::DateRange;
use crate::redaction::redact;

/// One fact that somebody should know, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Stable identifier, for alerts.
    pub code: Code,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Table, where it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Day, or first day of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// Last day of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_date: Option<NaiveDate>,
    /// Advertiser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertiser_id: Option<String>,
    /// Criteo's identifier of the request, for their support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Notice {
    /// A notice about the whole run, with the remedy of its code; it will be printed and recorded, so no secret that a
    /// server said stays in it.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: redact(&message.into()).into_owned(),
            remedy: Some(code.remedy()).filter(|remedy| !remedy.is_empty()).map(str::to_owned),
            table: None,
            date: None,
            to_date: None,
            advertiser_id: None,
            trace_id: None,
        }
    }

    /// An error with its causes, in one line; where the operating system is the cause, with what to do about that.
    pub fn of_error(code: Code, error: &(dyn StdError + 'static)) -> Self {
        Self::new(code, error_chain(error)).remedy_or_usual(remedy_of_system(error))
    }

    /// With a remedy that fits better than that of its code.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(redact(&remedy.into()).into_owned());
        self
    }

    /// With this remedy, if there is one.
    #[must_use]
    pub fn remedy_or_usual(self, remedy: Option<impl Into<String>>) -> Self {
        match remedy {
            Some(remedy) => self.remedy(remedy),
            None => self,
        }
    }

    /// About one table.
    #[must_use]
    pub fn table(mut self, table: &str) -> Self {
        self.table = Some(table.to_owned());
        self
    }

    /// About these days, both included.
    #[must_use]
    pub fn days(mut self, days: DateRange) -> Self {
        self.date = Some(days.from());
        self.to_date = (days.to() != days.from()).then_some(days.to());
        self
    }

    /// The days that it is about.
    pub fn range(&self) -> Option<DateRange> {
        let from = self.date?;
        DateRange::new(from, self.to_date.unwrap_or(from))
    }

    /// About one advertiser.
    #[must_use]
    pub fn advertiser(mut self, advertiser_id: &str) -> Self {
        self.advertiser_id = Some(advertiser_id.to_owned());
        self
    }

    /// With Criteo's trace identifier.
    #[must_use]
    pub fn trace(mut self, trace_id: Option<&str>) -> Self {
        self.trace_id = trace_id.map(|trace_id| redact(trace_id).into_owned());
        self
    }
}

/// What to do where the operating system refused a file; its own words alone do not say it.
fn remedy_of_system(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<io::Error>() {
            return match refusal.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free space there, or let `output` name another place; the next run fetches what is missing")
                }
                io::ErrorKind::FileTooLarge => {
                    Some("raise the limit on the size of files (`ulimit -f`); the next run fetches what is missing")
                }
                io::ErrorKind::ReadOnlyFilesystem => Some("mount it for writing, or let `output` name another place"),
                io::ErrorKind::PermissionDenied => {
                    Some("let the user of this program write there, or let `output` name another place")
                }
                _ => None,
            };
        }
        cause = error.source();
    }
    None
}

/// An error and its causes on one line, each once: for summaries and logs.
pub fn error_chain(error: &(dyn StdError + 'static)) -> String {
    let mut shown = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some libraries paste the inner error into the outer one's text.
        if !shown.contains(&text) {
            shown = format!("{shown}: {text}");
        }
        cause = error.source();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_on_the_wire_has_only_the_members_that_say_something() {
        let days = DateRange::new("2026-11-01".parse().unwrap(), "2026-11-03".parse().unwrap()).unwrap();
        let notice = Notice::new(Code::RowCap, "too many rows").remedy("drop one").table("ads").days(days);
        let expected = serde_json::json!({"code": "row_cap", "message": "too many rows", "remedy": "drop one",
            "table": "ads", "date": "2026-11-01", "to_date": "2026-11-03"});
        assert_eq!(serde_json::to_value(notice).unwrap(), expected);
    }

    #[test]
    fn neither_message_nor_remedy_nor_trace_shows_a_secret_that_a_server_said_back() {
        crate::redaction::remember(&"n0tice-s3cret".into());
        let notice = Notice::new(Code::CredentialsRefused, "no n0tice-s3cret").remedy("not n0tice-s3cret");
        let shown = serde_json::to_string(&notice.trace(Some("n0tice-s3cret"))).unwrap();
        assert!(!shown.contains("n0tice-s3cret"), "{shown}");
    }
}
