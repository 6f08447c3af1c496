//! `load duckdb` with the real `duckdb` program: what the target holds is compared with the Parquet files, value by value.
//!
//! The program is the one that `DUCKDB` names, or `duckdb` on `PATH`. Without one the tests say SKIPPED, or fail where
//! `E2E_SKIP_NOTHING` is set.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::support::account::{Account, tiny};
use super::support::program::{Ended, Program, codes, messages};

const SKIP_NOTHING: &str = "E2E_SKIP_NOTHING";

/// The `duckdb` to load with; `None` where there is none, which is said.
fn duckdb() -> Option<PathBuf> {
    let named = std::env::var_os("DUCKDB").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        named.or_else(|| std::env::split_paths(&path).map(|folder| folder.join("duckdb")).find(|file| file.is_file()));
    if found.is_none() {
        assert!(std::env::var_os(SKIP_NOTHING).is_none(), "there is no `duckdb`, and {SKIP_NOTHING} is set");
        eprintln!("SKIPPED: there is no `duckdb` here, so that loading into it is not tested");
    }
    found
}

/// An account that was pulled, and a database to load into.
struct Warehouse {
    account: Account,
    duckdb: PathBuf,
    database: PathBuf,
}

impl Warehouse {
    /// After a first pull of a few days.
    fn pulled() -> Option<Self> {
        let duckdb = duckdb()?;
        let account = Account::open(tiny());
        account.configure("start_date = '2026-11-01'\nlookback_days = 3\n[load.duckdb]\ndatabase = './its.duckdb'\n");
        let database = account.folder.path().join("its.duckdb");
        let warehouse = Self { account, duckdb, database };
        warehouse.account.run("pull").expect(0);
        Some(warehouse)
    }

    fn program(&self, line: &str) -> Program {
        self.account.job(line).variable("DUCKDB", &self.duckdb)
    }

    fn run(&self, line: &str) -> Ended {
        self.account.run_program(&self.program(line))
    }

    fn load(&self, line: &str) -> Value {
        self.run(&format!("load duckdb {line}")).expect(0)
    }

    /// Rows of a query on the database.
    fn query(&self, sql: &str) -> Vec<Value> {
        query(&self.duckdb, &self.database, sql)
    }

    fn number(&self, sql: &str) -> Value {
        self.query(&format!("SELECT CAST(({sql}) AS VARCHAR) AS n"))[0]["n"].clone()
    }

    fn glob(&self, table: &str) -> String {
        format!(
            "read_parquet('{}/{table}/*/data.parquet', hive_partitioning = false, union_by_name = true)",
            self.account.output().display()
        )
    }

    /// Every value of every table is that of the files.
    fn assert_equal_to_files(&self) {
        let document = self.load("");
        let tables = document["tables"].as_object().expect("tables");
        assert!(tables.len() >= 9, "{document:#}");
        for table in tables.keys() {
            let columns = self.query(&format!("SELECT column_name AS name, data_type AS type FROM duckdb_columns() WHERE table_name = '{table}' ORDER BY column_index"));
            let list = |json: &str| {
                let column = |column: &Value| {
                    let name = column["name"].as_str().expect("a name");
                    if column["type"] == "JSON" { format!("CAST({json}({name}) AS VARCHAR)") } else { name.to_owned() }
                };
                columns.iter().map(column).collect::<Vec<_>>().join(", ")
            };
            let (loaded, files) = (list(""), list("json"));
            let differing = format!(
                "SELECT count(*) FROM ((SELECT {loaded} FROM {table} EXCEPT ALL SELECT {files} FROM {0}) UNION ALL \
                 (SELECT {files} FROM {0} EXCEPT ALL SELECT {loaded} FROM {table}))",
                self.glob(table)
            );
            assert_eq!(self.number(&differing), json!("0"), "{table}");
        }
    }
}

fn query(duckdb: &Path, database: &Path, sql: &str) -> Vec<Value> {
    let mut command = Command::new(duckdb);
    command.args(["-json", "-init", "/dev/null"]).arg(database).arg("-c").arg(sql);
    let output = command.output().expect("`duckdb` starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{sql}\n{stderr}");
    if stdout.trim().is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }
}

/// The sum of a member over all tables of a document.
fn sum(document: &Value, member: &str) -> u64 {
    let tables = document["tables"].as_object().expect("tables");
    tables.values().map(|table| table[member].as_u64().unwrap_or_default()).sum()
}

#[test]
fn a_load_holds_every_value_of_the_output_and_the_second_one_loads_nothing() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    let first = warehouse.load("");
    assert_eq!((&first["target"], &first["outcome"]), (&json!("duckdb"), &json!("ok")));
    assert!(sum(&first, "rows_inserted") > 0 && sum(&first, "rows_deleted") == 0, "{first:#}");
    assert_eq!(first["loads"][0]["tables"], first["tables"]);
    let second = warehouse.load("");
    assert_eq!((sum(&second, "partitions"), &second["jobs"]), (0, &json!(0)), "{second:#}");
    warehouse.assert_equal_to_files();
    let files = warehouse.number("SELECT count(*) FROM _criteo_source_partitions");
    assert_eq!(files, json!(sum(&first, "partitions").to_string()));
}

#[test]
fn a_pulled_again_day_is_replaced_and_all_others_stay_as_they_are() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    warehouse.load("");
    let before = "SELECT max(loaded_at) FROM _criteo_source_partitions WHERE table_name = 'ad_statistics_daily' AND partition_date < DATE '2026-11-07'";
    let loaded_at = warehouse.number(before);
    warehouse.run("pull --as-of 2026-11-11").expect(0);
    let document = warehouse.load("");
    assert!(sum(&document, "partitions") > 0, "{document:#}");
    assert_eq!(warehouse.number(before), loaded_at);
    warehouse.assert_equal_to_files();
}

#[test]
fn rows_that_the_source_took_back_do_not_stay() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    warehouse.load("");
    // As if an earlier version of the day had had one row more.
    warehouse.query(
        "INSERT INTO ad_statistics_daily BY NAME SELECT * REPLACE ('gone' AS ad_id) FROM ad_statistics_daily WHERE day = DATE '2026-11-03' LIMIT 1",
    );
    warehouse.query("UPDATE _criteo_source_partitions SET sha256 = 'old' WHERE table_name = 'ad_statistics_daily' AND partition_date = DATE '2026-11-03'");
    let document = warehouse.load("");
    let table = &document["tables"]["ad_statistics_daily"];
    assert_eq!(table["partitions"], 1);
    let (inserted, deleted) = (table["rows_inserted"].as_u64(), table["rows_deleted"].as_u64());
    assert_eq!(inserted.map(|rows| rows + 1), deleted);
    warehouse.assert_equal_to_files();
}

#[test]
fn a_damaged_partition_is_never_loaded_and_the_other_tables_are() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    warehouse.load("--tables campaigns");
    let file = warehouse.account.output().join("ads/dt=2026-11-10/data.parquet");
    let mut bytes = std::fs::read(&file).expect("a partition");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("damaged");
    let document = warehouse.run("load duckdb").expect(6);
    assert_eq!(codes(&document, "errors"), ["load_file_damaged"]);
    let said = messages(&document, "errors");
    assert!(said.contains("ads/dt=2026-11-10/data.parquet"), "{said}");
    assert!(
        document["tables"].get("ads").is_none() && document["tables"]["creatives"]["partitions"] == 1,
        "{document:#}"
    );
    assert_eq!(warehouse.number("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'ads'"), json!("0"));
}

#[test]
fn a_table_of_somebody_else_or_of_other_types_is_left_alone_and_named() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    warehouse.query("CREATE TABLE campaigns AS SELECT 1 AS mine");
    warehouse.load("--tables creatives");
    warehouse.query("ALTER TABLE creatives ALTER creative_id TYPE BIGINT USING hash(creative_id) % 1000");
    warehouse.query("UPDATE _criteo_source_partitions SET sha256 = 'old'");
    let document = warehouse.run("load duckdb").expect(8);
    assert_eq!(codes(&document, "errors"), ["load_table_differs", "load_table_not_ours"]);
    let said = messages(&document, "errors");
    assert!(said.contains("column `creative_id` is BIGINT and should be VARCHAR"), "{said}");
    assert!(document["tables"]["ads"]["partitions"] == 1, "{document:#}");
    assert_eq!(warehouse.query("SELECT * FROM campaigns"), [json!({"mine": 1})]);
}

#[test]
fn two_outputs_do_not_replace_each_others_days_unless_a_prefix_keeps_them_apart() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    warehouse.load("");
    let other =
        warehouse.account.program("pull --as-of 2026-11-10 --format json --tables campaigns,ads --output other");
    other.run().expect(0);
    let load = |line: &str| {
        let program = warehouse.account.program(&format!("load duckdb --format json --output other {line}"));
        program.variable("DUCKDB", &warehouse.duckdb).run()
    };
    let document = load("").expect(8);
    assert_eq!(codes(&document, "errors"), ["load_table_claimed"]);
    warehouse.account.configure("[load.duckdb]\ndatabase = './its.duckdb'\ntable_prefix = 'other_'\n");
    load("").expect(0);
    assert_eq!(
        warehouse.number("SELECT count(*) FROM other_campaigns_latest"),
        warehouse.number("SELECT count(*) FROM campaigns_latest")
    );
}

#[test]
fn a_new_metric_becomes_a_new_column_also_in_a_window_that_spans_it() {
    let Some(duckdb) = duckdb() else { return };
    let account = Account::open(tiny());
    let database = account.folder.path().join("its.duckdb");
    let warehouse = Warehouse { account, duckdb, database };
    let configure = |metrics: &str| {
        let table = format!("[tables.ad_statistics_daily]\nmetrics = [{metrics}]\n");
        warehouse.account.configure(&format!(
            "start_date = '2026-11-01'\nlookback_days = 3\n[load.duckdb]\ndatabase = 'its.duckdb'\n{table}"
        ));
    };
    configure("'Clicks', 'Displays'");
    warehouse.run("pull").expect(0);
    warehouse.load("");
    configure("'Clicks', 'Displays', 'AdvertiserCost'");
    warehouse.run("backfill --from 2026-11-05 --to 2026-11-06 --tables ad_statistics_daily").expect(0);
    let document = warehouse.load("");
    assert_eq!(document["tables"]["ad_statistics_daily"]["columns_added"], json!(["advertiser_cost"]));
    let nulls = "SELECT count(*) FROM ad_statistics_daily WHERE (advertiser_cost IS NULL) = (day BETWEEN DATE '2026-11-05' AND DATE '2026-11-06')";
    assert_eq!(warehouse.number(nulls), json!("0"));
    // The whole of it at once: files of two schemas.
    warehouse.load("--full");
    assert_eq!(warehouse.number(nulls), json!("0"));
    warehouse.assert_equal_to_files();
}

#[test]
fn days_that_left_the_output_stay_until_they_are_pruned() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    warehouse.load("");
    warehouse.account.configure(
        "start_date = '2026-11-01'\nkeep_days = 5\nlookback_days = 3\n[load.duckdb]\ndatabase = 'its.duckdb'\n",
    );
    warehouse.run("pull").expect(0);
    let early = "SELECT count(*) FROM ad_statistics_daily WHERE day < DATE '2026-11-05'";
    let document = warehouse.load("");
    assert!(codes(&document, "warnings").contains(&"load_days_kept".to_owned()), "{document:#}");
    assert_ne!(warehouse.number(early), json!("0"));
    warehouse.load("--prune");
    assert_eq!(warehouse.number(early), json!("0"));
    warehouse.assert_equal_to_files();
}

#[test]
fn the_statements_of_print_do_what_a_load_does() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    let script = warehouse.account.program("load duckdb --print --output").word(warehouse.account.output());
    let script = script.variable("DUCKDB", &warehouse.duckdb).run();
    assert_eq!(script.code, 0, "{}", script.stderr);
    assert!(!warehouse.database.exists(), "printing created the database");
    let file = warehouse.account.folder.path().join("script.sql");
    std::fs::write(&file, &script.stdout).expect("written");
    let mut command = Command::new(&warehouse.duckdb);
    let input = std::fs::File::open(&file).expect("a file");
    let output = command.args(["-bail", "-init", "/dev/null"]).stdin(input).output().expect("`duckdb` starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sum(&warehouse.load("--dry-run"), "partitions"), 0);
    warehouse.assert_equal_to_files();
}

#[test]
fn views_do_not_multiply_money_and_ratios_are_null_where_nothing_is_divided() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    warehouse.run("pull --as-of 2026-11-11").expect(0);
    warehouse.load("");
    assert_eq!(warehouse.number("SELECT count(DISTINCT snapshot_date) FROM campaigns"), json!("2"));
    for column in ["displays", "clicks", "advertiser_cost", "sales_pc30d", "revenue_generated_pc30d"] {
        let sums = ["campaign_performance_daily", "ad_statistics_daily"]
            .map(|table| warehouse.number(&format!("SELECT sum({column}) FROM {table}")));
        assert_eq!(sums[0], sums[1], "{column}");
    }
    let rows = warehouse.number(
        "SELECT count(*) FROM (SELECT DISTINCT day, advertiser_id, campaign_id, currency FROM ad_statistics_daily)",
    );
    assert_eq!(warehouse.number("SELECT count(*) FROM campaign_performance_daily"), rows);
    for (ratio, wrong) in [
        ("ctr", "CASE WHEN displays = 0 THEN ctr IS NOT NULL ELSE abs(ctr - clicks / displays) > 1e-12 END"),
        ("cpc", "CASE WHEN clicks = 0 THEN cpc IS NOT NULL ELSE abs(cpc - advertiser_cost / clicks) > 1e-9 END"),
        (
            "roas",
            "CASE WHEN advertiser_cost = 0 THEN roas IS NOT NULL ELSE abs(roas - revenue_generated_pc30d / advertiser_cost) > 1e-9 END",
        ),
    ] {
        let wrong = warehouse.number(&format!("SELECT count(*) FROM campaign_performance_daily WHERE {wrong}"));
        assert_eq!(wrong, json!("0"), "{ratio}");
    }
    assert_eq!(
        warehouse.number("SELECT count(*) FROM campaign_performance_daily WHERE campaign_name IS NULL"),
        json!("0")
    );
    let latest = "SELECT count(DISTINCT snapshot_date) || ' ' || max(snapshot_date) FROM campaigns_latest";
    assert_eq!(warehouse.number(latest), json!("1 2026-11-11"));
}

#[test]
fn a_pull_whose_load_fails_does_not_report_success() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    warehouse.account.configure(
        "start_date = '2026-11-01'\nlookback_days = 3\n[load.duckdb]\ndatabase = './no/such/folder/x.duckdb'\n",
    );
    let document = warehouse.run("pull --load duckdb").expect(8);
    assert_eq!(document["loads"][0]["outcome"], "failed");
    assert_eq!(codes(&document["loads"][0], "errors"), ["warehouse_unavailable"]);
    warehouse
        .account
        .configure("start_date = '2026-11-01'\nlookback_days = 3\n[load.duckdb]\ndatabase = 'its.duckdb'\n");
    let document = warehouse.run("pull --load all").expect(0);
    assert_eq!(document["loads"][0]["target"], "duckdb");
    warehouse.assert_equal_to_files();
}

#[test]
fn without_the_program_the_message_says_how_to_get_it() {
    let account = Account::open(tiny());
    account.configure("start_date = '2026-11-08'\nlookback_days = 1\n");
    account.run("pull --tables campaigns").expect(0);
    let program = account.job("load duckdb").variable("DUCKDB", "/no/such/duckdb");
    let document = account.run_program(&program).expect(8);
    assert_eq!(codes(&document, "errors"), ["load_driver_missing"]);
    assert!(document["errors"][0]["remedy"].as_str().is_some_and(|remedy| remedy.contains("pip install duckdb-cli")));
    let nothing = account.run("load");
    assert_eq!(nothing.code, 2, "{}", nothing.stderr);
    assert!(nothing.stderr.contains("[load.duckdb]"), "{}", nothing.stderr);
}

#[test]
fn check_tells_what_is_loaded_and_neither_creates_nor_changes_a_database() {
    let Some(warehouse) = Warehouse::pulled() else { return };
    let told = || {
        let document = warehouse.run("check").expect(0);
        let checks = document["checks"].as_array().expect("a list").clone();
        let found = checks.iter().find(|check| check["name"] == "load.duckdb").expect("it is checked");
        found["message"].as_str().expect("text").to_owned()
    };
    let missing = told();
    assert!(missing.starts_with("DuckDB v") && missing.ends_with("the first load creates it"), "{missing}");
    assert!(!warehouse.database.exists(), "looking creates nothing");
    let ended = warehouse.run("load duckdb");
    assert_eq!(ended.code, 0, "{}", ended.everything());
    let before = std::fs::read(&warehouse.database).expect("the database");
    let loaded = told();
    assert!(loaded.ends_with(" tables are loaded") && loaded.contains(" partitions of "), "{loaded}");
    assert_eq!(std::fs::read(&warehouse.database).expect("the database"), before);
    warehouse.account.configure("[load.duckdb]\ndatabase = './no/such/folder/x.duckdb'\n");
    let document = warehouse.run("check").expect(8);
    assert_eq!(codes(&document, "errors"), ["warehouse_unavailable"]);
    assert!(messages(&document, "errors").contains("a folder that exists"), "{document:#}");
}
