//! `[tables.*]` and `[[reports]]`: which tables, and which custom statistics reports, are wanted.
//!
//! It checks names and shapes. Whether Criteo has a metric of that name is for the catalogue, whose list may be older
//! than Criteo's.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{CustomReport, Grain, MAX_REPORT_NAME, TableOverrides, is_report_name};

use crate::notice::Code;

use super::file::{RawConfiguration, RawReport, RawTable};
use super::problem::{Invalid, Located, Origin, Problem};
use super::suggest;

/// Dimensions that cut time; `grain` decides that, so that a table has one rule for its partition date.
const TIME_DIMENSIONS: [&str; 5] = ["Hour", "Day", "Week", "Month", "Year"];

/// Days that a table can look back at most: the two years that Criteo keeps.
pub(super) const MAX_LOOKBACK_DAYS: u32 = 731;

/// The valid reports; what is wrong with the others goes to `problems`.
pub(super) fn resolve_reports(
    raw: &RawConfiguration,
    known_tables: &[&str],
    problems: &mut Vec<Problem>,
) -> Vec<CustomReport> {
    let mut taken = BTreeSet::new();
    raw.reports.iter().filter_map(|report| resolve_report(report, known_tables, &mut taken, problems)).collect()
}

fn resolve_report<'a>(
    raw: &'a RawReport,
    known_tables: &[&str],
    taken: &mut BTreeSet<&'a str>,
    problems: &mut Vec<Problem>,
) -> Option<CustomReport> {
    let name = required(raw.name.as_ref(), "name", "such as \"clicks_by_device\"", &raw.origin, problems);
    let metrics = required(raw.metrics.as_ref(), "metrics", "such as [\"Clicks\"]", &raw.origin, problems);
    let dimensions = required(raw.dimensions.as_ref(), "dimensions", "such as [\"CampaignId\"]", &raw.origin, problems);
    if let Some(name) = name {
        check_report_name(name, known_tables, problems);
        if !taken.insert(&name.value) {
            let invalid = Invalid::new(format!("a second report named `{}`", name.value), "give it a name of its own");
            problems.push(invalid.at(name.origin.clone()));
        }
    }
    for fields in [metrics, dimensions].into_iter().flatten() {
        check_fields(fields, problems);
    }
    if let Some(dimensions) = dimensions {
        check_no_time(dimensions, problems);
    }
    let grain = grain(raw.grain.as_ref(), problems);
    Some(CustomReport {
        name: name?.value.clone(),
        grain,
        dimensions: dimensions?.value.clone(),
        metrics: metrics?.value.clone(),
    })
}

fn required<'a, T>(
    value: Option<&'a Located<T>>,
    key: &str,
    example: &str,
    origin: &Origin,
    problems: &mut Vec<Problem>,
) -> Option<&'a Located<T>> {
    // A value of the wrong type is absent too, and already reported for its own line; naming it twice helps nobody.
    let Origin::File { key: entry, .. } = origin else { return value };
    let reported = problems
        .iter()
        .any(|problem| matches!(&problem.origin, Origin::File { key: at, .. } if *at == format!("{entry}.{key}")));
    if value.is_none() && !reported {
        let invalid = Invalid::new(format!("the report has no `{key}`"), format!("add `{key}`, {example}"));
        problems.push(Problem { code: Code::MissingKey, ..invalid.at(origin.clone()) });
    }
    value
}

fn check_report_name(name: &Located<String>, known_tables: &[&str], problems: &mut Vec<Problem>) {
    let text = &name.value;
    let invalid = if !is_report_name(text) {
        Invalid::new(
            format!("`{text}` cannot name a table"),
            format!("use up to {MAX_REPORT_NAME} lower-case letters, digits and underscores, a letter first"),
        )
    } else if known_tables.contains(&text.as_str()) {
        Invalid::new(format!("`{text}` is a built-in table"), "give the report another name")
    } else {
        return;
    };
    problems.push(invalid.at(name.origin.clone()));
}

fn grain(raw: Option<&Located<String>>, problems: &mut Vec<Problem>) -> Grain {
    match raw.map(|grain| (grain.value.as_str(), grain)) {
        None | Some(("day", _)) => Grain::Day,
        Some(("hour", _)) => Grain::Hour,
        Some((other, grain)) => {
            let invalid = Invalid::new(format!("`{other}` is not a grain"), "write \"day\" or \"hour\"");
            problems.push(invalid.at(grain.origin.clone()));
            Grain::Day
        }
    }
}

/// Names of fields: at least one, each an identifier, none twice.
fn check_fields(fields: &Located<Vec<String>>, problems: &mut Vec<Problem>) {
    let mut refuse = |message: String, remedy: &str| {
        problems.push(Invalid::new(message, remedy).at(fields.origin.clone()));
    };
    if fields.value.is_empty() {
        refuse("the list is empty".to_owned(), "name at least one field, as Criteo spells it");
    }
    let mut seen = BTreeSet::new();
    for name in &fields.value {
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            refuse(format!("`{name}` is not the name of a field"), "use Criteo's spelling, such as `AdvertiserCost`");
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            refuse(format!("`{name}` is listed twice"), "remove one of them");
        }
    }
}

fn check_no_time(dimensions: &Located<Vec<String>>, problems: &mut Vec<Problem>) {
    for name in
        dimensions.value.iter().filter(|name| TIME_DIMENSIONS.iter().any(|time| name.eq_ignore_ascii_case(time)))
    {
        let invalid = Invalid::new(
            format!("`{name}` is a time, and time is cut by the grain"),
            "remove it; a report takes `grain = \"day\"` or `grain = \"hour\"`",
        );
        problems.push(invalid.at(dimensions.origin.clone()));
    }
}

/// What is said about each table, by name; a custom report can be switched off and given its own look-back here too.
pub(super) fn resolve_tables(
    raw: &RawConfiguration,
    known_tables: &[&str],
    reports: &[CustomReport],
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, TableOverrides> {
    let report_names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
    let all_names: Vec<&str> = known_tables.iter().chain(&report_names).copied().collect();
    for table in &raw.tables {
        let name = table.name.value.as_str();
        if !all_names.contains(&name) {
            problems.push(unknown_table(&table.name, &all_names));
        } else if report_names.contains(&name) {
            refuse_fields_of_report(table, problems);
        }
        check_table(table, problems);
    }
    raw.tables.iter().map(|table| (table.name.value.clone(), table_settings(table))).collect()
}

pub(super) fn unknown_table(name: &Located<String>, all_names: &[&str]) -> Problem {
    Problem {
        code: Code::UnknownTable,
        origin: name.origin.clone(),
        message: format!("there is no table `{}`", name.value),
        remedy: suggest::remedy(&name.value, all_names),
    }
}

fn refuse_fields_of_report(table: &RawTable, problems: &mut Vec<Problem>) {
    for fields in [&table.metrics, &table.dimensions].into_iter().flatten() {
        let invalid = Invalid::new(
            format!("`{}` is a custom report, which already lists its fields", table.name.value),
            "change them in its `[[reports]]` entry",
        );
        problems.push(invalid.at(fields.origin.clone()));
    }
}

fn check_table(table: &RawTable, problems: &mut Vec<Problem>) {
    if let Some(days) = &table.lookback_days {
        check_lookback(days, problems);
    }
    for fields in [&table.metrics, &table.dimensions].into_iter().flatten() {
        check_fields(fields, problems);
    }
    if let Some(dimensions) = &table.dimensions {
        check_no_time(dimensions, problems);
    }
}

pub(super) fn check_lookback(days: &Located<u32>, problems: &mut Vec<Problem>) {
    if days.value > MAX_LOOKBACK_DAYS {
        let invalid = Invalid::new(
            format!("{} days is further back than Criteo keeps data", days.value),
            format!("use 0 to {MAX_LOOKBACK_DAYS} days; attribution windows end after 30"),
        );
        problems.push(invalid.at(days.origin.clone()));
    }
}

fn table_settings(raw: &RawTable) -> TableOverrides {
    TableOverrides {
        enabled: raw.enabled.as_ref().map(|enabled| enabled.value),
        lookback_days: raw.lookback_days.as_ref().map(|days| days.value),
        metrics: raw.metrics.as_ref().map(|metrics| metrics.value.clone()),
        dimensions: raw.dimensions.as_ref().map(|dimensions| dimensions.value.clone()),
    }
}
