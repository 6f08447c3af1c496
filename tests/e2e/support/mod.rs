//! What every test here needs: the program as a child process, an account to pull from, the files read back, and what
//! should be in them. Nothing here judges; assertions are the tests' business, except that no run may show a secret.

pub(crate) mod account;
pub(crate) mod browser;
pub(crate) mod cells;
pub(crate) mod chance;
pub(crate) mod files;
#[cfg(unix)]
pub(crate) mod mounts;
pub(crate) mod program;
pub(crate) mod raw;
pub(crate) mod scripted;
pub(crate) mod truth;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// The day that every simulated account takes as today.
pub(crate) const TODAY: &str = "2026-11-10";

/// A date written in a test.
pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date written in a test is valid")
}

/// Noon of a day.
pub(crate) fn noon(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::from_hms_opt(12, 0, 0).expect("noon exists")).and_utc()
}

/// Both ends included.
pub(crate) fn days(from: &str, to: &str) -> Vec<NaiveDate> {
    day(from).iter_days().take_while(|date| *date <= day(to)).collect()
}
