//! Claims about `check` against the sandbox, and about what every run says of the API version and of deprecation.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};

use super::document::{CheckDocument, render};
use super::examine;
use super::finding::Verdict;
use crate::clock::Clock;
use crate::commands::session::Session;
use crate::notice::{Code, Notice};
use crate::progress::Progress;
use crate::pull::summary::Summary;
use crate::pull::{Launch, Scope};
use crate::sandbox::{ANALYTICS_READ, CAMPAIGN_READ, CREATIVE_READ, Sandbox, SandboxOptions};
use crate::settings::OutputLocation;
use crate::settings::{ConfigurationFile, Environment, Overrides, environment};
use crate::store::Store;

/// A sandbox, an output folder, and how to check with them.
struct Bench {
    sandbox: Sandbox,
    folder: tempfile::TempDir,
    secret: String,
    now: DateTime<Utc>,
    flags: Overrides,
    configuration: String,
}

impl Bench {
    async fn new(change: impl FnOnce(&mut SandboxOptions)) -> Self {
        Self::on("2026-11-22", change).await
    }

    async fn on(today: &str, change: impl FnOnce(&mut SandboxOptions)) -> Self {
        let mut options = SandboxOptions {
            today: today.parse().expect("a date"),
            report_calls_per_minute: 100_000,
            default_calls_per_minute: 100_000,
            ..SandboxOptions::default()
        };
        change(&mut options);
        let (secret, today) = (options.client_secret.clone(), options.today);
        let sandbox = Sandbox::start(options, Clock::starting_at(noon(today))).await.expect("a sandbox");
        let folder = tempfile::tempdir().expect("a scratch folder");
        let output = folder.path().join("data").display().to_string();
        let flags = Overrides { output: Some(output), as_of: Some(today), ..Overrides::default() };
        Self { sandbox, folder, secret, now: noon(today), flags, configuration: String::new() }
    }

    fn session(&self) -> Session {
        let environment = Environment::from_pairs([
            (environment::API_URL, self.sandbox.url()),
            (environment::CLIENT_ID, "sandbox-client".to_owned()),
            (environment::CLIENT_SECRET, self.secret.clone()),
        ]);
        let file = ConfigurationFile { path: "criteo-source.toml".into(), text: self.configuration.clone() };
        let mut session = Session::resolve(&self.flags, &environment, Some(&file), self.now).expect("a configuration");
        session.clock = Clock::skipping(self.now);
        // Settings compare the simulated day with the machine's own.
        session.warnings.retain(|warning| warning.code != Code::AsOfInFuture);
        session
    }

    async fn check(&self) -> (CheckDocument, u8) {
        let document = examine(self.session(), "run", false).await.expect("nothing is shown");
        let code = document.exit_code();
        (document, code)
    }

    async fn pull(&self) -> Summary {
        let mut session = self.session();
        let tables = session.wanted_tables().expect("tables");
        let Session { settings, warnings, clock } = session;
        let progress = Progress::new(false);
        let launch = Launch {
            command: "pull",
            settings,
            tables,
            scope: Scope::Pull,
            strict: false,
            drop_others: false,
            prune: false,
            progress,
            clock,
            warnings,
        };
        launch.run("run", std::future::pending()).await.expect("a run").summary
    }

    fn faults(&self, faults: &[&str]) {
        self.sandbox.set_faults(faults.iter().map(|fault| fault.parse().expect("a fault")).collect());
    }

    fn id(&self, index: usize) -> String {
        self.sandbox.advertiser_ids()[index].clone()
    }
}

fn noon(day: NaiveDate) -> DateTime<Utc> {
    day.and_hms_opt(12, 0, 0).expect("noon exists").and_utc()
}

/// What to do about the first error.
fn remedy(document: &CheckDocument) -> &str {
    document.errors[0].remedy.as_deref().unwrap_or_default()
}

/// Names of the checks with this outcome.
fn named(document: &CheckDocument, verdict: Verdict) -> Vec<&str> {
    let checks = document.members.checks.iter().filter(|check| check.outcome == verdict);
    checks.map(|check| check.name.as_str()).collect()
}

fn codes(notices: &[Notice]) -> Vec<&str> {
    notices.iter().map(|notice| notice.code.name()).collect()
}

#[tokio::test]
async fn where_all_is_well_every_check_is_listed_and_few_calls_are_made() {
    let bench = Bench::new(|_| {}).await;
    let (document, code) = bench.check().await;
    assert_eq!(code, 0, "{}", render(&document));
    let expected = [
        "configuration",
        "api_version",
        "output",
        "output.lock",
        "output.contents",
        "credentials",
        "application",
        "clock",
        "advertisers",
        "scope.analytics",
        "scope.campaigns",
        "scope.creatives",
        "consent",
        "report_settings",
        "table.ad_statistics_daily",
        "table.placements_daily",
        "table.placement_categories_daily",
        "table.transactions",
    ];
    assert_eq!(named(&document, Verdict::Ok), expected);
    assert_eq!(document.members.checks.len(), expected.len());
    let calls = document.calls;
    assert_eq!((calls.report, calls.default, calls.token), (5, 4, 1));
    assert!(render(&document).contains("everything is in place"));
    let json = serde_json::to_value(&document).expect("JSON");
    assert_eq!((json["command"].as_str(), json["outcome"].as_str()), (Some("check"), Some("ok")));
    assert_eq!(
        (json["checks"][6]["name"].as_str(), json["checks"][6]["outcome"].as_str()),
        (Some("application"), Some("ok"))
    );
    let application = "app `Sandbox app` (id 4711, organization 815, service MarketingSolutions)";
    assert_eq!(json["checks"][6]["message"], application);
}

#[tokio::test]
async fn a_wrong_secret_is_exit_3_with_what_to_compare_and_the_output_is_checked_all_the_same() {
    let mut bench = Bench::new(|_| {}).await;
    bench.secret = "wrong".to_owned();
    let (document, code) = bench.check().await;
    assert_eq!(code, 3, "{}", render(&document));
    assert_eq!(named(&document, Verdict::Problem), ["credentials"]);
    assert_eq!(codes(&document.errors), ["credentials_refused"]);
    assert!(remedy(&document).contains("CRITEO_CLIENT_SECRET"));
    assert_eq!(
        named(&document, Verdict::Ok),
        ["configuration", "api_version", "output", "output.lock", "output.contents"]
    );
    assert!(named(&document, Verdict::Skipped).contains(&"scope.creatives"));
}

#[tokio::test]
async fn each_missing_scope_is_named_with_what_the_portal_calls_it() {
    for (scope, check, permission) in [
        (ANALYTICS_READ, "scope.analytics", "Analytics — Read"),
        (CAMPAIGN_READ, "scope.campaigns", "Campaigns — Read"),
        (CREATIVE_READ, "scope.creatives", "Creatives — Read"),
    ] {
        let bench = Bench::new(|options| {
            options.scopes.remove(scope);
        })
        .await;
        let (document, code) = bench.check().await;
        assert_eq!((code, named(&document, Verdict::Problem)), (3, vec![check]), "{}", render(&document));
        assert_eq!(codes(&document.errors), ["scope_missing"]);
        let message = &document.errors[0].message;
        assert!(message.contains(permission) && message.contains(scope), "{message}");
    }
}

#[tokio::test]
async fn a_scope_that_no_wanted_table_needs_is_only_a_warning() {
    let mut bench = Bench::new(|options| {
        options.scopes.remove(CREATIVE_READ);
    })
    .await;
    bench.flags.tables = vec!["ad_statistics_daily".to_owned(), "campaigns".to_owned()];
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Warning)), (0, vec!["scope.creatives"]), "{}", render(&document));
}

#[tokio::test]
async fn an_advertiser_that_withdrew_is_found_among_several_and_the_others_are_checked() {
    let bench = Bench::new(|options| options.advertisers = 5).await;
    let lost = bench.id(2);
    bench.faults(&[&format!("consent-lost({lost})")]);
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Problem)), (3, vec!["consent"]), "{}", render(&document));
    assert_eq!(document.errors[0].advertiser_id, Some(lost));
    assert!(remedy(&document).contains("consent link"));
    assert!(named(&document, Verdict::Ok).contains(&"table.transactions"));
}

#[tokio::test]
async fn configured_advertisers_that_criteo_does_not_list_are_named() {
    let known = Bench::new(|_| {}).await.id(0);
    let unconsented = BTreeSet::from([known.clone()]);
    let mut bench = Bench::new(|options| options.unconsented_advertisers = unconsented).await;
    bench.flags.advertisers = vec![known.clone(), bench.id(1)];
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Problem)), (3, vec!["advertisers"]), "{}", render(&document));
    assert_eq!(document.errors[0].advertiser_id, Some(known.clone()));
    bench.flags.advertisers = vec![known];
    let (document, code) = bench.check().await;
    assert_eq!((code, codes(&document.errors)), (3, vec!["consent_missing"]), "{}", render(&document));
    assert!(named(&document, Verdict::Skipped).contains(&"scope.analytics"));
}

#[tokio::test]
async fn several_problems_are_all_listed_at_once() {
    let mut bench = Bench::new(|options| {
        options.scopes.remove(CAMPAIGN_READ);
        options.scopes.remove(CREATIVE_READ);
    })
    .await;
    bench.configuration = "currency = \"XXX\"\n\
        [tables.ad_statistics_daily]\nmetrics = [\"Clicks\", \"NoSuchMetric\"]\n\
        [[reports]]\nname = \"bad\"\ngrain = \"day\"\ndimensions = [\"NoSuchDimension\"]\nmetrics = [\"Clicks\"]\n"
        .to_owned();
    bench.flags.advertisers = vec![bench.id(0), bench.id(1), "99999999".to_owned()];
    bench.faults(&[&format!("consent-lost({})", bench.id(1))]);
    let (document, code) = bench.check().await;
    let text = render(&document);
    assert_eq!(code, 3, "{text}");
    let expected = [
        "advertisers",
        "scope.campaigns",
        "scope.creatives",
        "consent",
        "report_settings",
        "table.ad_statistics_daily",
        "table.bad",
    ];
    assert_eq!(named(&document, Verdict::Problem), expected, "{text}");
    for words in
        ["the currency `XXX`", "NoSuchMetric", "`[tables.ad_statistics_daily]`", "`name = \"bad\"`", "99999999"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let table = document.errors.iter().find(|error| error.table.as_deref() == Some("bad"));
    assert!(table.expect("an error of the table").trace_id.is_some());
}

#[tokio::test]
async fn a_refused_metric_alone_is_exit_2_and_a_silent_api_exit_5() {
    let mut bench = Bench::new(|_| {}).await;
    bench.faults(&["http-503"]);
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Problem)), (5, vec!["application"]), "{}", render(&document));
    bench.faults(&[]);
    bench.configuration = "[tables.ad_statistics_daily]\nmetrics = [\"NoSuchMetric\"]\n".to_owned();
    let (document, code) = bench.check().await;
    assert_eq!((code, codes(&document.errors)), (2, vec!["setting_rejected"]), "{}", render(&document));
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_exit_6_and_a_bucket_without_an_account_exit_2() {
    let mut bench = Bench::new(|_| {}).await;
    let file = bench.folder.path().join("file");
    std::fs::write(&file, "in the way").expect("a file");
    bench.flags.output = Some(file.join("data").display().to_string());
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Problem)), (6, vec!["output"]), "{}", render(&document));
    // No account is named.
    bench.flags.output = Some("az://container/prefix".to_owned());
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Problem)), (2, vec!["output"]), "{}", render(&document));
    assert_eq!(codes(&document.errors), ["bucket_not_configured"]);
}

#[tokio::test]
async fn a_run_that_holds_the_lock_is_a_warning_and_checking_leaves_the_lock_free() {
    let bench = Bench::new(|_| {}).await;
    let store = Store::open(&OutputLocation::Local(bench.folder.path().join("data"))).await.expect("an output folder");
    let lock = store.lock("other", "pull", bench.now).await.expect("free");
    let (document, code) = bench.check().await;
    assert_eq!((code, codes(&document.warnings)), (0, vec!["locked"]), "{}", render(&document));
    drop(lock);
    assert_eq!(bench.check().await.1, 0);
    store.lock("other", "pull", bench.now).await.expect("free again");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_a_warning_and_by_more_than_a_day_a_problem() {
    let mut bench = Bench::new(|_| {}).await;
    let today = bench.now;
    for (minutes, code, verdict, words) in [
        (0, 0, Verdict::Ok, "agrees"),
        (-10, 0, Verdict::Warning, "behind Criteo's"),
        (200, 0, Verdict::Warning, "3 hours ahead of Criteo's"),
        (3 * 24 * 60 + 5, 2, Verdict::Problem, "3 days ahead of Criteo's"),
    ] {
        bench.now = today + chrono::TimeDelta::minutes(minutes);
        let (document, exit) = bench.check().await;
        let check = document.members.checks.iter().find(|check| check.name == "clock").expect("it was checked");
        assert_eq!((exit, check.outcome), (code, verdict), "{minutes}: {}", check.message);
        assert!(check.message.contains(words), "{minutes}: {}", check.message);
    }
}

#[tokio::test]
async fn what_the_output_holds_is_told_and_other_settings_than_its_own_are_a_problem() {
    let mut bench = Bench::new(|_| {}).await;
    bench.flags.tables = vec!["campaigns".to_owned(), "creatives".to_owned()];
    bench.pull().await;
    let contents = |document: &CheckDocument| {
        let found = document.members.checks.iter().find(|check| check.name == "output.contents");
        found.map(|check| check.message.clone()).expect("it was checked")
    };
    let (document, code) = bench.check().await;
    let held = contents(&document);
    assert!(held.starts_with("2 tables, 2 partitions, ") && held.contains(" of 2026-11-22, amounts in USD"), "{held}");
    assert!(code == 0 && held.ends_with("days cut in UTC"), "{held}");
    bench.configuration = "currency = \"EUR\"\n".to_owned();
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Problem)), (2, vec!["output.contents"]), "{}", render(&document));
    std::fs::remove_dir_all(bench.folder.path().join("data/_ledger")).expect("removed");
    let (document, code) = bench.check().await;
    assert_eq!((code, codes(&document.errors)), (6, vec!["ledger_lost"]), "{}", render(&document));
    assert!(remedy(&document).contains("status --rebuild"));
}

#[tokio::test]
async fn missing_credentials_are_exit_2_with_the_variables_to_set() {
    let bench = Bench::new(|_| {}).await;
    let mut session = bench.session();
    session = Session { settings: without_credentials(&bench), ..session };
    let document = examine(session, "run", false).await.expect("nothing is shown");
    assert_eq!(document.exit_code(), 2, "{}", render(&document));
    assert_eq!(codes(&document.errors), ["missing_credentials"]);
    assert!(document.members.checks.iter().any(|check| check.name == "output" && check.outcome == Verdict::Ok));
}

fn without_credentials(bench: &Bench) -> crate::settings::Settings {
    let environment = Environment::from_pairs([(environment::API_URL, bench.sandbox.url())]);
    Session::resolve(&bench.flags, &environment, None, chrono::Utc::now()).expect("a configuration").settings
}

#[tokio::test]
async fn the_end_of_the_api_version_is_a_warning_of_checks_and_pulls_and_then_a_problem() {
    let mut bench = Bench::on("2027-05-10", |_| {}).await;
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Warning)), (0, vec!["api_version"]), "{}", render(&document));
    assert_eq!(codes(&document.warnings), ["api_version_sunset"]);
    bench.flags.tables = vec!["advertisers".to_owned()];
    let summary = bench.pull().await;
    assert_eq!(codes(&summary.warnings), ["api_version_sunset"]);
    assert!(summary.warnings[0].message.contains("2027-07-01, in 52 days"), "{summary:?}");
    let end = "2027-07-01".parse().expect("a date");
    bench.sandbox.set_today(end);
    bench.now = noon(end);
    let (document, code) = bench.check().await;
    assert_eq!((code, named(&document, Verdict::Problem)), (2, vec!["api_version"]), "{}", render(&document));
    let earlier = "2027-03-31".parse().expect("a date");
    bench.sandbox.set_today(earlier);
    (bench.now, bench.flags.as_of) = (noon(earlier), Some(earlier));
    assert_eq!(bench.pull().await.warnings, []);
}

#[tokio::test]
async fn deprecation_headers_are_noted_once_per_run() {
    let mut bench = Bench::new(|_| {}).await;
    bench.faults(&["deprecation-headers"]);
    let (document, code) = bench.check().await;
    assert_eq!((code, codes(&document.warnings)), (0, vec!["api_deprecation"; 2]), "{}", render(&document));
    assert_eq!(named(&document, Verdict::Warning), ["criteo", "criteo"]);
    bench.flags.tables = vec!["campaigns".to_owned(), "coupons".to_owned()];
    let summary = bench.pull().await;
    assert_eq!(codes(&summary.warnings), ["api_deprecation"; 2]);
    assert!(summary.calls.default > 2);
}
