//! The field catalogues against the names that the report endpoints take.

use std::collections::BTreeSet;

use criteo_source::catalog::{Catalog, FieldKind, Report};
use serde_json::Value;

use super::specification;

/// What the specification has and the catalogue lacks, and the other way round.
#[derive(Debug, Default, PartialEq)]
struct Differences<'n> {
    missing: Vec<&'n str>,
    invented: Vec<&'n str>,
}

fn differences(report: Report, kind: FieldKind, list: &Value) -> Differences<'_> {
    let theirs: BTreeSet<&str> = list.as_array().expect("a list of names").iter().filter_map(Value::as_str).collect();
    let fields = Catalog::get().fields(report).iter().filter(|field| field.kind == kind);
    let ours: BTreeSet<&str> = fields.map(|field| field.name.as_str()).collect();
    Differences {
        missing: theirs.difference(&ours).copied().collect(),
        invented: ours.difference(&theirs).copied().collect(),
    }
}

#[test]
fn the_catalogues_have_every_dimension_and_metric_of_the_specification_and_no_other() {
    let Some(specification) = specification() else { return };
    for (report, schema) in
        [(Report::Statistics, "StatisticsReportQueryMessage"), (Report::Placements, "PlacementsReportQueryMessage")]
    {
        for (key, kind) in [("dimensions", FieldKind::Dimension), ("metrics", FieldKind::Metric)] {
            let list = &specification.schema(schema)["properties"][key]["items"]["enum"];
            assert_eq!(differences(report, kind, list), Differences::default(), "{schema}.{key}");
        }
    }
}

#[test]
fn transactions_take_neither_dimensions_nor_metrics() {
    let Some(specification) = specification() else { return };
    let properties = specification.schema("TransactionsReportQueryMessage")["properties"].as_object();
    let names: Vec<_> = properties.expect("properties").keys().map(String::as_str).collect();
    assert!(!names.contains(&"dimensions") && !names.contains(&"metrics"), "{names:?}");
}
