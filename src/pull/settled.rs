//! For which advertisers a partition is settled: read for the last time, or at least not due again yet.
//!
//! A partition is settled only for those it was requested for. Pure functions of the ledger's records.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::dates;
use crate::ledger::{Ledger, PartitionRecord, PartitionStatus};

/// Advertisers whose rows in a partition need no further request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettledFor {
    /// Whoever was requested is not known: the record is of a program that did not say, and so is its run's.
    Everyone,
    /// These.
    Only(BTreeSet<String>),
}

impl SettledFor {
    /// Whether an advertiser is among them.
    pub fn includes(&self, advertiser: &str) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(advertisers) => advertisers.contains(advertiser),
        }
    }
}

/// The advertisers whose rows are as the status of the record says, or were settled before and retained.
pub fn read_for(ledger: &Ledger, record: &PartitionRecord) -> SettledFor {
    let Some(mut advertisers) = requested_for(ledger, record) else { return SettledFor::Everyone };
    advertisers.extend(record.retained_advertisers.iter().cloned());
    for advertiser in &record.without_advertisers {
        advertisers.remove(advertiser);
    }
    SettledFor::Only(advertisers)
}

/// The advertisers whose rows were read for the last time.
pub fn final_for(ledger: &Ledger, record: &PartitionRecord) -> SettledFor {
    if record.status == PartitionStatus::Final {
        return read_for(ledger, record);
    }
    let retained = record.retained_advertisers.iter();
    SettledFor::Only(retained.filter(|id| !record.without_advertisers.contains(id)).cloned().collect())
}

fn requested_for(ledger: &Ledger, record: &PartitionRecord) -> Option<BTreeSet<String>> {
    if let Some(advertisers) = &record.advertisers {
        return Some(advertisers.iter().cloned().collect());
    }
    let list = ledger.run(&record.run_id)?.parameters.get("advertisers")?;
    Some(list.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect())
}

/// The day, in the report time zone, on which a partition was last read: as the run that did so took it.
pub fn read_on(ledger: &Ledger, record: &PartitionRecord, timezone: Tz) -> NaiveDate {
    let as_of = || ledger.run(&record.run_id)?.parameters.get("as_of")?.parse().ok();
    let confirmed = record.confirmed_at.map(|at| dates::today(at, timezone));
    let first: NaiveDate = as_of().unwrap_or_else(|| dates::today(record.pulled_at, timezone));
    confirmed.map_or(first, |confirmed| confirmed.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::example;

    fn record(status: &str, mut more: serde_json::Value) -> PartitionRecord {
        more["status"] = status.into();
        example(more)
    }

    fn only(ids: &[&str]) -> SettledFor {
        SettledFor::Only(ids.iter().map(|&id| id.to_owned()).collect())
    }

    #[test]
    fn a_final_partition_is_settled_for_those_it_was_requested_for_and_for_what_was_final_before() {
        let ledger = Ledger::default();
        let more = serde_json::json!({
            "advertisers": ["1", "2"], "retained_advertisers": ["3", "4"], "without_advertisers": ["4", "5"],
        });
        let last = record("final", more.clone());
        assert_eq!(final_for(&ledger, &last), only(&["1", "2", "3"]));
        let young = record("provisional", more);
        assert_eq!(final_for(&ledger, &young), only(&["3"]));
        assert_eq!(read_for(&ledger, &young), only(&["1", "2", "3"]));
        assert_eq!(final_for(&ledger, &record("final", serde_json::json!({}))), SettledFor::Everyone);
    }
}
