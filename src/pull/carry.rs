//! Rows that stay although nobody may ask for them any more: an advertiser that withdrew its consent keeps its history.
//!
//! A partition is replaced as a whole. Where the old file has rows of an advertiser that could not be asked for, these
//! rows are taken over as they are, with the time they were pulled at; everybody else's are replaced. Where they cannot
//! be taken over (other columns, another currency or time zone) the old file stays, and the day is reported. Advertisers
//! that the configuration leaves out are not kept: that is a decision. Every report asks for `advertiser_id`.

use std::collections::BTreeSet;
use std::fs::File;

use chrono::NaiveDate;

use super::context::Run;
use crate::catalog::EndpointId;
use crate::ledger::partition_path;
use crate::store::Store;
use crate::table::decode::ReportLayout;
use crate::table::footer::{self, Footer, ReadError};
use crate::table::partitions::Partition;
use crate::table::read_back::{self, OldRows};

/// What a new file must know of the one it replaces.
#[derive(Debug)]
pub(super) enum Before {
    /// Nothing in it has to stay.
    Nothing,
    /// These rows stay.
    Rows(OldRows, BTreeSet<String>),
    /// Rows would have to stay, but cannot stand beside new ones: why.
    Whole(&'static str),
}

/// Who was asked for, and who should have been.
#[derive(Clone, Debug)]
pub(super) struct Carry {
    asked: BTreeSet<String>,
    /// Empty: everybody.
    configured: BTreeSet<String>,
    currency: String,
    timezone: String,
}

impl Carry {
    /// As things are now in this run, for a report.
    pub(super) fn of(run: &Run, endpoint: EndpointId) -> Self {
        Self {
            asked: run.roster.advertisers_of(endpoint).into_iter().collect(),
            configured: run.settings.advertisers.iter().cloned().collect(),
            currency: run.settings.currency.clone(),
            timezone: run.settings.timezone.name().to_owned(),
        }
    }

    /// Whether an advertiser's rows are missing against the configuration's will.
    fn is_missing(&self, advertiser: &str) -> bool {
        let is_wanted = self.configured.is_empty() || self.configured.contains(advertiser);
        is_wanted && !self.asked.contains(advertiser)
    }

    /// The advertisers that have rows in the live file of this partition and could not be asked for. What cannot be read
    /// heals by being replaced.
    pub(super) fn missing_from(&self, store: &Store, table: &str, date: NaiveDate) -> BTreeSet<String> {
        let Ok(file) = File::open(store.path(&partition_path(table, date))) else { return BTreeSet::new() };
        let mut advertisers = read_back::advertisers(file).unwrap_or_default();
        advertisers.retain(|advertiser| self.is_missing(advertiser));
        advertisers
    }

    /// What of the live file of this partition has to stay beside `rows`.
    pub(super) fn before(
        &self,
        store: &Store,
        table: &str,
        date: NaiveDate,
        layout: &ReportLayout,
        rows: Partition<'_>,
    ) -> Before {
        let path = store.path(&partition_path(table, date));
        let Ok(file) = File::open(&path) else { return Before::Nothing };
        match self.judge(&file, layout, rows) {
            Ok(before) => before,
            Err(error) => {
                // It heals by being replaced.
                tracing::warn!(path = %path.display(), %error, "the file to be replaced cannot be read");
                Before::Nothing
            }
        }
    }

    fn judge(&self, file: &File, layout: &ReportLayout, rows: Partition<'_>) -> Result<Before, ReadError> {
        let again = || file.try_clone().map_err(|error| ReadError::Parquet(error.into()));
        let known = Footer::read(again()?)?;
        let mut stay = read_back::advertisers(again()?)?;
        stay.retain(|advertiser| self.is_missing(advertiser));
        // It was answered for and refused a moment later: its new rows are there.
        for (advertiser, _) in layout.advertisers(rows) {
            stay.remove(advertiser);
        }
        if stay.is_empty() {
            return Ok(Before::Nothing);
        }
        let is_alike = |key, now: &str| known.get(key).is_none_or(|then| then == now);
        if !is_alike(footer::CURRENCY, &self.currency) || !is_alike(footer::TIMEZONE, &self.timezone) {
            return Ok(Before::Whole("it was pulled in another currency or time zone"));
        }
        Ok(match read_back::rows_of(again()?, layout, &stay)? {
            Some(old) => Before::Rows(old, stay),
            None => Before::Whole("it has other columns"),
        })
    }
}
