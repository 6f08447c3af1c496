//! Rows that are retained: they are only ever replaced by an answer that was requested for them.
//!
//! A partition is replaced as a whole. Where the old file has rows of an advertiser that was not requested, or could not be,
//! these rows are taken over as they are, with the time they were pulled at; everybody else's are replaced. Where they cannot
//! be taken over (other columns, another currency or time zone) the old file stays, and the day is reported. Getting rid of
//! rows of advertisers that a run leaves out takes `--drop-others`. Every report has `advertiser_id`.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::context::Run;
use crate::catalog::EndpointId;
use crate::ledger::PartitionRecord;
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

/// Whose rows are retained.
#[derive(Clone, Debug)]
pub(super) struct RetainedRows {
    requested: BTreeSet<String>,
    /// The advertisers of the run; where others are dropped, only their rows are retained.
    only: Option<BTreeSet<String>>,
    currency: String,
    timezone: String,
}

impl RetainedRows {
    /// As things are now in this run, for a report or a list of these advertisers.
    pub(super) fn beside(run: &Run, endpoint: EndpointId, requested: BTreeSet<String>) -> Self {
        Self {
            requested,
            only: run.drop_others.then(|| run.roster.advertisers_of(endpoint).into_iter().collect()),
            currency: run.settings.currency.clone(),
            timezone: run.settings.timezone.name().to_owned(),
        }
    }

    /// Whether an advertiser's rows are retained.
    pub(super) fn includes(&self, advertiser: &str) -> bool {
        !self.requested.contains(advertiser) && self.only.as_ref().is_none_or(|only| only.contains(advertiser))
    }

    /// Whether the live file of a partition may have rows that have to stay: what is recorded of it says for whom it was
    /// requested; where nothing is recorded, only the file itself can tell.
    pub(super) fn may_retain(&self, record: Option<&PartitionRecord>) -> bool {
        let Some(record) = record else { return true };
        let Some(advertisers) = &record.advertisers else { return true };
        let mut known = advertisers.iter().chain(&record.retained_advertisers).chain(&record.without_advertisers);
        known.any(|advertiser| self.includes(advertiser))
    }

    /// What of the live file of a partition has to stay beside `rows`. What is not Parquet heals by being replaced.
    pub(super) fn before(&self, file: &Bytes, layout: &ReportLayout, rows: Partition<'_>) -> Before {
        match self.judge(file, layout, rows) {
            Ok(before) => before,
            Err(error) => {
                tracing::warn!(%error, "the file to be replaced is not Parquet");
                Before::Nothing
            }
        }
    }

    fn judge(&self, file: &Bytes, layout: &ReportLayout, rows: Partition<'_>) -> Result<Before, ReadError> {
        let known = Footer::read(file.clone())?;
        let mut stay = read_back::advertisers(file.clone())?;
        stay.retain(|advertiser| self.includes(advertiser));
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
        Ok(match read_back::rows_of(file.clone(), layout, &stay)? {
            Some(old) => Before::Rows(old, stay),
            None => Before::Whole("it has other columns"),
        })
    }
}
