//! What the files of the ledger say, and where they lie below the output.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// The format this program writes. Raised only for changes that an older program would get wrong.
pub const FORMAT_VERSION: u32 = 1;
/// Restatements remembered per partition; the oldest go first.
const MAX_HISTORY: usize = 90;
pub(crate) const VERSION_FILE: &str = "_ledger/ledger.json";
pub(crate) const PENDING_FILE: &str = "_ledger/pending.json";
pub(super) const PARTITIONS_FOLDER: &str = "_ledger/partitions";
pub(crate) const RUNS_FOLDER: &str = "_ledger/runs";
/// A parameter of a rebuild: the runs whose records were lost, which may have been the end of an interrupted job.
pub(crate) const LOST_RUNS: &str = "lost_runs";

/// How far a partition can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionStatus {
    /// Younger than the look-back: Criteo still restates it.
    Provisional,
    /// Older than the look-back when it was pulled, or a snapshot.
    Final,
    /// Its sums differ from Criteo's own totals.
    Mismatch,
}

/// One live file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// Table.
    pub table: String,
    /// Day or snapshot date: the `dt` of the path.
    pub date: NaiveDate,
    /// Rows in the file; zero is a day that was pulled and had none.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Exact sums of the additive columns, as decimal text.
    pub sums: BTreeMap<String, String>,
    /// What each advertiser has in it, for reports whose totals have no days; empty elsewhere. With it, a later pull knows the
    /// rows of those it requested again, whoever else's rows are retained.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub advertiser_counts: BTreeMap<String, AdvertiserCounts>,
    /// The run that wrote it.
    pub run_id: String,
    /// When its rows were pulled.
    pub pulled_at: DateTime<Utc>,
    /// Report or list calls that the request it came from took, shared with the other days of its window.
    pub calls: u64,
    /// Trust.
    pub status: PartitionStatus,
    /// Advertisers whose rows were requested and answered for, sorted; those of `retained_advertisers` are not among them.
    /// `None` where it is not known: the file was written before this was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertisers: Option<Vec<String>>,
    /// Advertisers whose rows are those of an earlier pull, because they were not requested or could not be, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retained_advertisers: Vec<String>,
    /// Fingerprint of the file's columns (`criteo_source.schema_version` of its footer); `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<String>,
    /// Currency of amounts; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Zone in which days are cut; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// When a later pull last found exactly the same rows, so that the file stayed as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<DateTime<Utc>>,
    /// The run that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// Fingerprint of the rows without the time they were pulled at; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_sha256: Option<String>,
    /// Advertisers that could not be requested: their rows are not in the file, or those of an earlier pull.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_advertisers: Vec<String>,
    /// How its sums compare with Criteo's totals; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<Reconciliation>,
    /// Where its sums are not Criteo's totals; empty when they agree or were not compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What it said before, newest last, where a re-pull changed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Restatement>,
}

impl PartitionRecord {
    /// Path of the file below the output.
    pub fn path(&self) -> String {
        partition_path(&self.table, self.date)
    }

    /// This record as the successor of `before`: with its history, and with `before` in it if the numbers changed.
    #[must_use]
    pub(crate) fn after(mut self, before: &Self) -> Self {
        self.history.clone_from(&before.history);
        if before.rows != self.rows || before.sums != self.sums {
            self.history.push(Restatement {
                run_id: before.last_seen_by().to_owned(),
                pulled_at: before.last_seen_at(),
                rows: before.rows,
                sums: before.sums.clone(),
            });
            let surplus = self.history.len().saturating_sub(MAX_HISTORY);
            self.history.drain(..surplus);
        }
        self
    }

    /// Whether Criteo's own totals speak against its rows, or could not be read to confirm them.
    pub fn is_unconfirmed(&self) -> bool {
        self.status == PartitionStatus::Mismatch || self.reconciliation == Some(Reconciliation::Unreadable)
    }

    /// This record with the status that its differences give it, and with the doubts about the record it replaces, as far as they
    /// are about advertisers that it did not request.
    #[must_use]
    pub fn judged_after(mut self, before: Option<&Self>) -> Self {
        let requested = self.advertisers.clone().unwrap_or_default();
        let is_left = |id: &String| !requested.contains(id);
        let doubts = before.into_iter().flat_map(|before| &before.differences);
        self.differences.extend(doubts.filter(|difference| is_left(&difference.advertiser_id)).cloned());
        let is_left_unread = before.is_some_and(|before| {
            before.reconciliation == Some(Reconciliation::Unreadable)
                && before.advertisers.iter().flatten().chain(&before.retained_advertisers).any(is_left)
        });
        if !self.differences.is_empty() {
            self.status = PartitionStatus::Mismatch;
            self.reconciliation = Some(Reconciliation::Differs);
        } else if is_left_unread {
            self.reconciliation = Some(Reconciliation::Unreadable);
        }
        self
    }

    /// Whether a newer record is of exactly the same rows and columns, and of a file whose footer would name the same
    /// advertisers as retained or left out.
    pub fn has_rows_of(&self, newer: &Self) -> bool {
        let is_same = |known: &Option<String>, new: &Option<String>| known.is_some() && known == new;
        is_same(&self.rows_sha256, &newer.rows_sha256)
            && is_same(&self.schema_version, &newer.schema_version)
            && self.retained_advertisers == newer.retained_advertisers
            && self.without_advertisers == newer.without_advertisers
    }

    /// This record, of a file that stays, after a later pull found the same rows: what that pull knows better is taken over.
    #[must_use]
    pub fn confirmed_as(self, newer: Self) -> Self {
        Self {
            calls: newer.calls,
            status: newer.status,
            advertisers: newer.advertisers,
            retained_advertisers: newer.retained_advertisers,
            without_advertisers: newer.without_advertisers,
            currency: newer.currency,
            timezone: newer.timezone,
            reconciliation: newer.reconciliation,
            differences: newer.differences,
            confirmed_at: Some(newer.pulled_at),
            confirmed_by: Some(newer.run_id),
            ..self
        }
    }

    /// The last pull that saw these rows: the one that wrote them, or that confirmed them later.
    pub fn last_seen_at(&self) -> DateTime<Utc> {
        self.confirmed_at.unwrap_or(self.pulled_at)
    }

    /// The run that saw these rows last.
    pub fn last_seen_by(&self) -> &str {
        self.confirmed_by.as_deref().unwrap_or(&self.run_id)
    }
}

/// Path of the file of the ledger that has a partition's record.
pub(super) fn month_file(table: &str, date: NaiveDate) -> String {
    format!("{PARTITIONS_FOLDER}/{table}/{}-{:02}.json", date.year(), date.month())
}

/// Path of a partition's file below the output: Hive layout, with `dt` as the key because no column has that name.
pub fn partition_path(table: &str, date: NaiveDate) -> String {
    format!("{table}/dt={date}/data.parquet")
}

/// What an advertiser has in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvertiserCounts {
    /// Rows.
    pub rows: u64,
    /// Sums of the columns that count whole things, as decimal text.
    pub sums: BTreeMap<String, String>,
}

/// How the sums of a partition compare with Criteo's own totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reconciliation {
    /// They are equal, but for rounding.
    Equal,
    /// They differ.
    Differs,
    /// The totals could not be read.
    Unreadable,
    /// Criteo has no totals of this report.
    None,
}

impl Reconciliation {
    /// As in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Differs => "differs",
            Self::Unreadable => "unreadable",
            Self::None => "none",
        }
    }
}

/// A sum that is not Criteo's own total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Advertiser.
    pub advertiser_id: String,
    /// Column.
    pub column: String,
    /// Sum of the rows that were pulled, as decimal text.
    pub pulled: String,
    /// Criteo's total, as decimal text.
    pub total: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { advertiser_id, column, pulled, total } = self;
        write!(f, "`{column}` of advertiser {advertiser_id} is {pulled}, Criteo's total is {total}")
    }
}

/// What a partition said before it was replaced by something different.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Restatement {
    /// The run that had written it, or confirmed it last.
    pub run_id: String,
    /// When its rows had been pulled, or confirmed last.
    pub pulled_at: DateTime<Utc>,
    /// Its rows.
    pub rows: u64,
    /// Its sums.
    pub sums: BTreeMap<String, String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Has not ended; or was killed.
    Running,
    /// Everything that was planned is published.
    Ok,
    /// Some of it is.
    Partial,
    /// Nothing is.
    Failed,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Format of this file.
    pub format_version: u32,
    /// Identifier, sorting by time.
    pub run_id: String,
    /// `pull`, `backfill`, …
    pub command: String,
    /// What it was asked to do, for people.
    pub parameters: BTreeMap<String, String>,
    /// Equal for runs that were asked to do exactly the same: an interrupted backfill is continued by these.
    pub resume_key: String,
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End.
    pub finished_at: Option<DateTime<Utc>>,
    /// Outcome.
    pub outcome: RunOutcome,
    /// Calls by quota class.
    pub calls: BTreeMap<String, u64>,
    /// Requests repeated.
    pub retries: u64,
    /// Seconds spent waiting for quotas and between retries, added over concurrent requests.
    pub waited_secs: f64,
    /// Partitions published.
    pub partitions: u64,
    /// First words of each error.
    pub errors: Vec<String>,
}

/// What holds for the whole output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFile {
    /// Format of this file.
    pub format_version: u32,
    /// Identity of the output, also in every footer; empty in ledgers written before it was recorded.
    #[serde(default)]
    pub output_id: String,
    /// Currency of all amounts, recorded with the first partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Zone in which all days are cut, recorded with the first partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Rows at which Criteo was proven to cut the answers of a table, by table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub row_caps: BTreeMap<String, u64>,
}

impl VersionFile {
    /// A new output's, or an old one's that had no identity yet.
    pub fn new() -> Self {
        let output_id = uuid::Uuid::now_v7().to_string();
        Self { format_version: FORMAT_VERSION, output_id, ..Self::default() }
    }

    /// What is missing in it, from the files (`output_id`) and from the records of a rebuilt ledger.
    #[must_use]
    pub fn completed(mut self, output_id: Option<String>, ledger: &super::Ledger) -> Self {
        self.format_version = FORMAT_VERSION;
        if self.output_id.is_empty() {
            self.output_id = output_id.unwrap_or_else(|| Self::new().output_id);
        }
        self.currency = self.currency.or_else(|| ledger.currency().map(str::to_owned));
        self.timezone = self.timezone.or_else(|| ledger.timezone().map(str::to_owned));
        self
    }
}

/// Records of files that are just being published.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct PendingFile {
    /// Format of this file.
    pub format_version: u32,
    /// The records.
    pub(super) partitions: Vec<PartitionRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PartitionsFile {
    /// Format of this file.
    pub format_version: u32,
    /// Records of one month.
    pub(super) partitions: BTreeMap<NaiveDate, PartitionRecord>,
}

/// A record for tests: of a final day of the table `t` with one row, and with these members.
#[cfg(test)]
pub fn example(members: serde_json::Value) -> PartitionRecord {
    let mut record = serde_json::json!({
        "table": "t", "date": "2026-11-01", "rows": 1, "bytes": 1, "sha256": "", "sums": {}, "run_id": "r",
        "pulled_at": DateTime::UNIX_EPOCH, "calls": 1, "status": "final",
    });
    let serde_json::Value::Object(members) = members else { panic!("members") };
    record.as_object_mut().expect("an object").extend(members);
    serde_json::from_value(record).expect("a record")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_about_advertisers_that_were_not_requested_outlive_a_pull_of_others() {
        let difference =
            |id: &str| serde_json::json!([{"advertiser_id": id, "column": "clicks", "pulled": "1", "total": "2"}]);
        let differing = example(serde_json::json!({"status": "mismatch", "differences": difference("1")}));
        let pull_of = |id: &str| {
            example(serde_json::json!({"advertisers": [id], "reconciliation": "equal", "retained_advertisers": ["1"]}))
        };
        let kept = pull_of("2").judged_after(Some(&differing));
        assert_eq!((kept.status, kept.reconciliation), (PartitionStatus::Mismatch, Some(Reconciliation::Differs)));
        assert_eq!(kept.differences, differing.differences);
        assert!(!pull_of("1").judged_after(Some(&differing)).is_unconfirmed(), "it was read again");
        let unread = example(serde_json::json!({"advertisers": ["1"], "reconciliation": "unreadable"}));
        assert!(pull_of("2").judged_after(Some(&unread)).is_unconfirmed());
        assert!(!pull_of("1").judged_after(Some(&unread)).is_unconfirmed());
    }
}
