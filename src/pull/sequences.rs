//! Random sequences of runs, faults, caps, settings and stops against the sandbox's truth (issue 11).
//!
//! Two properties. No run makes a partition less complete than it was. And after any sequence, a few healthy daily pulls bring
//! every partition since `start_date` to the truth, for every advertiser. A hundred sequences by default, always the same;
//! `CRITEO_SOURCE_SEQUENCES` asks for so many others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use chrono::{Days, NaiveDate, NaiveTime};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Finished, Launch, Scope};
use crate::clock::Clock;
use crate::commands::session::Session;
use crate::dates::DateRange;
use crate::error::Error;
use crate::progress::Progress;
use crate::sandbox::{Fault, Sandbox, SandboxOptions, Truth};
use crate::settings::{ConfigurationFile, Environment, Overrides};

const STATISTICS: &str = "ad_statistics_daily";
const PLACEMENTS: &str = "placements_daily";
const START: &str = "2026-10-01";
/// Displays and clicks settle within five days, in the sandbox as with Criteo.
const SETTINGS: &str = "start_date = '2026-10-01'\nlookback_days = 6\n[tables.placements_daily]\nlookback_days = 6\n";
/// What may be wrong during a run; `1` stands for one of the advertisers.
const FAULTS: [&str; 14] = [
    "",
    "row-cap(7)@statistics/report",
    "row-cap(20)@placements/report",
    "absent-rows(1)@statistics/report",
    "absent-rows(1)@placements/report",
    "consent-lost(1)",
    "http-500@statistics/report+1*40",
    "truncated-body@/report*3",
    "drop-one-row@statistics/report+1",
    "long-range-refused(3)@/report",
    "bad-number(\"x\")@statistics/report+1*2",
    "http-500@placements/report#1",
    "http-500@statistics/report*60",
    "http-500@placements/report+9*60",
];

/// One run, and what is going on around it.
#[derive(Clone, Debug)]
struct Step {
    /// Days that pass before it.
    days: u8,
    faults: [usize; 2],
    /// Only this advertiser.
    advertiser: Option<usize>,
    is_backfill: bool,
    /// It is told to stop after so many calls.
    stop_after: Option<usize>,
}

fn any_step() -> impl Strategy<Value = Step> {
    let one_in_three = |range: std::ops::Range<usize>| prop_oneof![2 => Just(None), 1 => range.prop_map(Some)];
    let faults = (0..FAULTS.len(), one_in_three(0..FAULTS.len()));
    (0_u8..4, faults, one_in_three(0..2), prop::bool::weighted(0.3), one_in_three(1..30)).prop_map(
        |(days, (first, second), advertiser, is_backfill, stop_after)| Step {
            days,
            faults: [first, second.unwrap_or_default()],
            advertiser,
            is_backfill,
            stop_after,
        },
    )
}

/// The rows of a partition: their keys, as far as they are texts, with what they count.
type Keys = BTreeMap<Vec<String>, i64>;
type Partitions = BTreeMap<(String, NaiveDate), Keys>;

struct World {
    sandbox: Sandbox,
    folder: tempfile::TempDir,
    today: NaiveDate,
}

impl World {
    async fn open() -> Self {
        let today: NaiveDate = START.parse::<NaiveDate>().expect("a date") + Days::new(5);
        let sandbox = Sandbox::start(
            SandboxOptions {
                today,
                advertisers: 2,
                campaigns_per_advertiser: 2,
                ad_sets_per_campaign: 1,
                ads_per_ad_set: 2,
                report_calls_per_minute: 100_000,
                default_calls_per_minute: 100_000,
                ..SandboxOptions::default()
            },
            Clock::system(),
        );
        Self {
            sandbox: sandbox.await.expect("a sandbox starts"),
            folder: tempfile::tempdir().expect("a folder"),
            today,
        }
    }

    fn pass(&mut self, days: u64) {
        self.today = self.today + Days::new(days);
        self.sandbox.set_today(self.today);
    }

    async fn run(&self, step: &Step) -> Result<Finished, Error> {
        let ids = self.sandbox.advertiser_ids();
        let fault = |at: usize| {
            let fault = FAULTS[at].replace("(1)", &format!("({})", ids[0])).replace("#1", &format!("#{}", ids[0]));
            (!fault.is_empty()).then(|| fault.parse::<Fault>().expect("a fault"))
        };
        self.sandbox.set_faults(step.faults.into_iter().filter_map(fault).collect());
        let options = SandboxOptions::default();
        let environment = Environment::from_pairs([
            ("CRITEO_API_URL", self.sandbox.url()),
            ("CRITEO_CLIENT_ID", options.client_id),
            ("CRITEO_CLIENT_SECRET", options.client_secret),
            ("CRITEO_SOURCE_TEST_SKIP_WAITS", "1".to_owned()),
        ]);
        let flags = Overrides {
            output: Some(self.folder.path().join("out").display().to_string()),
            as_of: Some(self.today),
            tables: vec![STATISTICS.to_owned(), PLACEMENTS.to_owned()],
            advertisers: step.advertiser.map(|at| ids[at].clone()).into_iter().collect(),
            ..Overrides::default()
        };
        let file = ConfigurationFile { path: "c.toml".into(), text: SETTINGS.to_owned() };
        let now = self.today.and_time(NaiveTime::MIN).and_utc() + chrono::TimeDelta::hours(12);
        let mut session = Session::resolve(&flags, &environment, Some(&file), now)?;
        let tables = session.wanted_tables()?;
        let days = DateRange::new(self.today - Days::new(9), self.today - Days::new(1)).expect("a range");
        let scope = if step.is_backfill { Scope::Backfill { days, force: false } } else { Scope::Pull };
        let launch = Launch {
            command: if step.is_backfill { "backfill" } else { "pull" },
            settings: session.settings,
            tables,
            scope,
            strict: false,
            drop_others: false,
            prune: false,
            progress: Progress::new(false),
            clock: Clock::skipping(now),
            warnings: Vec::new(),
        };
        let begun_at = self.sandbox.calls().len();
        let stop = async {
            let Some(calls) = step.stop_after else { return std::future::pending().await };
            while self.sandbox.calls().len() < begun_at + calls {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        launch.run(&uuid::Uuid::now_v7().to_string(), stop).await
    }

    fn partitions(&self) -> Partitions {
        let mut found = Partitions::new();
        for table in [STATISTICS, PLACEMENTS] {
            let Ok(entries) = std::fs::read_dir(self.folder.path().join("out").join(table)) else { continue };
            for entry in entries {
                let folder = entry.expect("listed");
                let date = folder.file_name().to_string_lossy().trim_start_matches("dt=").parse().expect("a date");
                found.insert((table.to_owned(), date), keys_of(&folder.path().join("data.parquet")));
            }
        }
        found
    }

    /// Displays of each row that there is today.
    fn truth(&self, table: &str, date: NaiveDate) -> Keys {
        let ids = self.sandbox.advertiser_ids();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let dimensions: &[&str] = match table {
            STATISTICS => &["AdvertiserId", "CampaignId", "AdsetId", "AdId"],
            _ => &["AdvertiserId", "CampaignId", "AdsetId", "Environment", "Placement"],
        };
        let truth = Truth {
            advertiser_ids: &ids,
            from: date,
            to: date,
            dimensions,
            metrics: &["Displays"],
            currency: "USD",
            timezone: "UTC",
        };
        let rows = match table {
            STATISTICS => self.sandbox.truth_statistics(truth),
            _ => [true, false].iter().flat_map(|&disclosed| self.sandbox.truth_placements(truth, disclosed)).collect(),
        };
        let mut keys = Keys::new();
        for row in rows {
            let key = dimensions.iter().map(|name| row[*name].clone()).collect();
            *keys.entry(key).or_default() += row["Displays"].parse::<i64>().expect("a count");
        }
        keys
    }
}

fn keys_of(path: &Path) -> Keys {
    let columns = ["advertiser_id", "campaign_id", "ad_set_id", "ad_id", "environment", "placement"];
    let mut keys = Keys::new();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file")).expect("Parquet");
    for batch in reader.build().expect("readable") {
        let batch = batch.expect("readable");
        let texts: Vec<_> = columns.iter().filter_map(|name| batch.column_by_name(name)).collect();
        let displays =
            batch.column_by_name("displays").expect("a column").as_primitive::<arrow::datatypes::Int64Type>();
        for row in 0..batch.num_rows() {
            let text = |column: &&std::sync::Arc<dyn Array>| {
                let column = column.as_string::<i32>();
                if column.is_null(row) { String::new() } else { column.value(row).to_owned() }
            };
            *keys.entry(texts.iter().map(text).collect()).or_default() += displays.value(row);
        }
    }
    keys
}

fn less_complete(before: &Partitions, after: &Partitions) -> Option<String> {
    before.iter().find_map(|(partition, keys)| {
        let Some(now) = after.get(partition) else { return Some(format!("{partition:?} is gone")) };
        let lost: BTreeSet<_> = keys.keys().filter(|key| !now.contains_key(*key)).collect();
        (!lost.is_empty()).then(|| format!("{partition:?} lost {lost:?}"))
    })
}

async fn check(steps: &[Step]) -> Result<(), String> {
    let mut world = World::open().await;
    let mut before = Partitions::new();
    for step in steps {
        world.pass(step.days.into());
        drop(world.run(step).await);
        let after = world.partitions();
        if let Some(loss) = less_complete(&before, &after) {
            return Err(format!("after {step:?}: {loss}"));
        }
        before = after;
    }
    let healthy = Step { days: 1, faults: [0, 0], advertiser: None, is_backfill: false, stop_after: None };
    for _ in 0..2 {
        world.pass(1);
        if let Err(error) = world.run(&healthy).await {
            return Err(format!("a healthy pull: {error}"));
        }
    }
    let found = world.partitions();
    let start: NaiveDate = START.parse().expect("a date");
    for date in DateRange::new(start, world.today - Days::new(1)).expect("a range").days() {
        for table in [STATISTICS, PLACEMENTS] {
            let (is, truth) = (found.get(&(table.to_owned(), date)), world.truth(table, date));
            if is != Some(&truth) {
                return Err(format!("{table} {date} is {is:?}, not {truth:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn no_run_loses_rows_and_healthy_pulls_bring_everything() {
    let asked = std::env::var("CRITEO_SOURCE_SEQUENCES").ok().and_then(|count| count.parse().ok());
    let config =
        Config { cases: asked.unwrap_or(100), max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The same sequences each time, unless more are wanted: a change is judged by what it changes.
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let outcome = runner.run(&prop::collection::vec(any_step(), 1..5), |steps| {
        runtime.block_on(check(&steps)).map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
