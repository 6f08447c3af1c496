use crate::catalog::Grain;

use super::super::DEFAULT_CONFIGURATION;
use super::super::environment::{CLIENT_SECRET, REFRESH_TOKEN};
use super::*;

/// The tables of the contract, with whether they are on.
const TABLES: [(&str, bool); 14] = [
    ("ad_statistics_daily", true),
    ("ad_set_statistics_hourly", false),
    ("device_statistics_daily", false),
    ("placements_daily", true),
    ("placement_categories_daily", true),
    ("transactions", true),
    ("advertisers", true),
    ("campaigns", true),
    ("ad_sets", true),
    ("ad_set_category_bids", false),
    ("ad_set_display_multipliers", false),
    ("creatives", true),
    ("ads", true),
    ("coupons", true),
];

type Outcome = Result<(Settings, Vec<Warning>), Problems>;

fn resolve(flags: &Overrides, variables: &[(&str, &str)], text: Option<&str>) -> Outcome {
    let file = text.map(|text| ConfigurationFile { path: "c.toml".into(), text: text.to_owned() });
    let names = TABLES.map(|(name, _)| name);
    let environment = Environment::from_pairs(variables.iter().copied());
    // One in the afternoon in UTC: already tomorrow in Kiritimati.
    let now = DateTime::parse_from_rfc3339("2026-11-10T13:00:00Z").unwrap().to_utc();
    Settings::resolve(flags, &environment, file.as_ref(), &names, now)
}

fn from_file(text: &str) -> Outcome {
    resolve(&Overrides::default(), &[], Some(text))
}

fn problems_of(text: &str) -> String {
    from_file(text).unwrap_err().with_remedies()
}

#[test]
fn the_file_that_init_writes_says_exactly_the_defaults() {
    let (defaults, _) = resolve(&Overrides::default(), &[], None).unwrap();
    let (written, warnings) = from_file(DEFAULT_CONFIGURATION).unwrap();
    assert_eq!(format!("{defaults:?}"), format!("{written:?}"));
    assert_eq!(warnings, []);
    assert_eq!(defaults.output, OutputLocation::Local("./data".into()));
    assert_eq!((defaults.currency.as_str(), defaults.timezone), ("USD", Tz::UTC));
    assert_eq!(defaults.start_date.to_string(), "2026-10-11");
    assert_eq!((defaults.lookback_days, defaults.keep_days, defaults.max_run_minutes), (31, 0, 120));
}

#[test]
fn every_example_in_the_default_file_is_valid_when_uncommented() {
    let is_example =
        |line: &str| line.starts_with("# [") || line.split_once(" = ").is_some_and(|(key, _)| !key[2..].contains(' '));
    let uncommented: Vec<_> = DEFAULT_CONFIGURATION
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|_| line.starts_with("# ") && is_example(line)).unwrap_or(line))
        .collect();
    let (settings, _) = from_file(&uncommented.join("\n")).unwrap();
    assert_eq!(settings.tables.len(), TABLES.len());
    for (name, enabled) in TABLES {
        assert_eq!(settings.tables[name].enabled, Some(enabled), "{name}");
    }
    assert_eq!((settings.reports.len(), settings.reports[0].grain), (1, Grain::Hour));
    assert_eq!(settings.start_date.to_string(), "2026-01-01");
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let flags = Overrides { output: Some("flag".into()), advertisers: vec!["1".into()], ..Overrides::default() };
    let file = "output = 'file'\nadvertisers = [3]\ncurrency = 'CHF'\n";
    let variables = [(OUTPUT, "variable"), (ADVERTISER_IDS, "2, 22 2")];
    let shown = |flags: &Overrides, variables: &[(&str, &str)], file| {
        let (settings, _) = resolve(flags, variables, file).unwrap();
        format!("{} {} {}", settings.output, settings.advertisers.join("+"), settings.currency)
    };
    let none = Overrides::default();
    assert_eq!(shown(&flags, &variables, Some(file)), "flag 1 CHF");
    assert_eq!(shown(&none, &variables, Some(file)), "variable 2+22 CHF");
    assert_eq!(shown(&none, &[(OUTPUT, ""), (CURRENCY, "EUR")], Some(file)), "file 3 EUR");
    assert_eq!(shown(&none, &[], None), "./data  USD");
}

#[test]
fn only_the_winning_value_is_judged() {
    let (settings, _) = resolve(&Overrides::default(), &[(CURRENCY, "EUR")], Some("currency = 'euro'")).unwrap();
    assert_eq!(settings.currency, "EUR");
}

#[test]
fn problems_of_flags_variables_and_file_arrive_together() {
    let flags = Overrides {
        output: Some("ftp://x".into()),
        tables: vec!["adz".into()],
        advertisers: vec!["12x".into()],
        ..Overrides::default()
    };
    let variables = [(CURRENCY, "eur"), (API_URL, "http://example.com"), (TEST_SKIP_WAITS, "maybe")];
    let file = "timezone = 'PST'\nstart_date = '2026-13-01'\nlookback_days = 9999\n[tables.campaignz]\n";
    let problems = resolve(&flags, &variables, Some(file)).unwrap_err();
    let text = problems.with_remedies();
    assert_eq!(problems.0.len(), 10, "{text}");
    for expected in [
        "`--output`: `ftp://` is not a place to write to",
        "`--tables`: there is no table `adz`; did you mean `ads`?",
        "`--advertisers`: `12x` is not an advertiser id",
        "variable `CRITEO_CURRENCY`: `eur` is not a currency code; use upper-case letters: `EUR`",
        "variable `CRITEO_API_URL`: `http://example.com` would send credentials unencrypted",
        "variable `CRITEO_SOURCE_TEST_SKIP_WAITS`",
        "c.toml:1 `timezone`: `PST` is an abbreviation",
        "c.toml:2 `start_date`: `2026-13-01` is not a date",
        "c.toml:3 `lookback_days`: 9999 days",
        "c.toml:4 `tables.campaignz`: there is no table `campaignz`; did you mean `campaigns`?",
    ] {
        assert!(text.contains(expected), "{expected}\nnot in\n{text}");
    }
}

#[test]
fn today_is_taken_in_the_report_zone_unless_given() {
    let (settings, _) = from_file("timezone = 'Pacific/Kiritimati'").unwrap();
    assert_eq!(settings.as_of.to_string(), "2026-11-11");
    let flags = Overrides { as_of: NaiveDate::from_ymd_opt(2026, 2, 1), ..Overrides::default() };
    let (settings, _) = resolve(&flags, &[], None).unwrap();
    assert_eq!(
        (settings.as_of.to_string(), settings.start_date.to_string()),
        ("2026-02-01".into(), "2026-01-02".into())
    );
}

#[test]
fn what_is_allowed_but_hardly_meant_is_a_warning() {
    let flags = Overrides { as_of: NaiveDate::from_ymd_opt(2026, 12, 1), ..Overrides::default() };
    let codes = |outcome: Outcome| outcome.unwrap().1.iter().map(|warning| warning.code.name()).collect::<Vec<_>>();
    assert_eq!(codes(resolve(&flags, &[], None)), ["as_of_in_future"]);
    assert_eq!(codes(from_file("start_date = 2026-11-10")), ["nothing_due"]);
    assert_eq!(codes(from_file("keep_days = 7")), ["keep_below_lookback"]);
    assert_eq!(codes(from_file("client_id = 'a'\ncredentials_file = 'b'")), ["unused_client_id"]);
    let misspelt = resolve(&Overrides::default(), &[("CRITEO_TIMEZON", "UTC")], None);
    assert_eq!(codes(misspelt), ["unknown_variable"]);
}

#[test]
fn a_custom_report_becomes_a_table_that_can_be_selected_and_tuned() {
    let file = "
        [[reports]]
        name = 'clicks_by_device'
        dimensions = ['CampaignId', 'Device']
        metrics = ['Clicks']
        [tables.clicks_by_device]
        lookback_days = 3
    ";
    let flags = Overrides { tables: vec!["clicks_by_device".into()], ..Overrides::default() };
    let (settings, _) = resolve(&flags, &[], Some(file)).unwrap();
    assert_eq!(settings.reports[0].grain, Grain::Day);
    assert_eq!(settings.tables["clicks_by_device"].lookback_days, Some(3));
    assert_eq!(settings.selected_tables, ["clicks_by_device"]);
}

#[test]
fn a_report_that_cannot_be_is_refused_with_every_reason() {
    let text = problems_of(
        "
        [[reports]]
        name = 'ads'
        grain = 'week'
        dimensions = ['Day', 'AdId', 'adid', 'Ad-Id']
        metrics = []
        [[reports]]
        name = 'Bad-Name'
        metrics = 'Clicks'
        [[reports]]
        name = 'Bad-Name'
        dimensions = ['AdId']
        metrics = ['Clicks']
        ",
    );
    for expected in [
        "c.toml:3 `reports[0].name`: `ads` is a built-in table",
        "c.toml:4 `reports[0].grain`: `week` is not a grain",
        "`Day` is a time",
        "`adid` is listed twice",
        "`Ad-Id` is not the name of a field",
        "c.toml:6 `reports[0].metrics`: the list is empty",
        "c.toml:8 `reports[1].name`: `Bad-Name` cannot name a table",
        "c.toml:9 `reports[1].metrics`: this string is not a list",
        "`reports[1]`: the report has no `dimensions`",
        "a second report named `Bad-Name`",
    ] {
        assert!(text.contains(expected), "{expected}\nnot in\n{text}");
    }
    assert!(!text.contains("the report has no `metrics`"), "{text}");
}

#[test]
fn a_report_name_has_the_same_limit_in_the_file_and_in_the_catalogue() {
    let report = |letters: usize| {
        format!("\n[[reports]]\nname = '{}'\ndimensions = ['AdId']\nmetrics = ['Clicks']\n", "a".repeat(letters))
    };
    let longest = from_file(&report(63)).unwrap().0.reports;
    assert!(crate::catalog::Catalog::get().custom_report(&longest[0]).is_ok());
    let text = problems_of(&report(64));
    assert!(text.contains("c.toml:3 `reports[0].name`") && text.contains("cannot name a table"), "{text}");
}

#[test]
fn fields_of_a_custom_report_are_changed_in_one_place_only() {
    let text = problems_of(
        "[[reports]]\nname='r'\ndimensions=['AdId']\nmetrics=['Clicks']\n[tables.r]\nmetrics=['Displays']\n",
    );
    assert!(text.contains("c.toml:6 `tables.r.metrics`: `r` is a custom report"), "{text}");
}

#[test]
fn settings_can_be_shown_without_secrets() {
    let variables = [("CRITEO_CLIENT_ID", "me"), (CLIENT_SECRET, "hunter2"), (REFRESH_TOKEN, "hunter3")];
    let (settings, _) = resolve(&Overrides::default(), &variables, None).unwrap();
    assert!(settings.credentials().is_ok());
    assert!(!format!("{settings} {settings:?} {:?}", settings.credentials()).contains("hunter"));
    assert!(settings.to_string().contains("advertisers: all that consented"));
}

#[test]
fn missing_credentials_matter_only_when_needed() {
    let (settings, _) = resolve(&Overrides::default(), &[], None).unwrap();
    let error = crate::error::Error::from(settings.credentials().unwrap_err());
    assert_eq!(error.exit_code(), 2);
    assert!(error.report().to_string().contains("CRITEO_CLIENT_ID"));
}
