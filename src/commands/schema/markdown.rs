//! The reference page of all tables, generated so that it cannot differ from the contracts.

use std::fmt::Write as _;

use crate::catalog::{
    Catalog, CatalogError, Column, ColumnType, Confidence, Connector, Extract, Field, FieldKind, Grain, Report, Table,
    TableOverrides,
};

const HEAD: &str = "# Tables

<!-- Generated from schemas/ and connectors/; `UPDATE_DOCS=1 cargo test --lib tables_reference` rewrites it. -->

One section per table. `day` and `snapshot_date` are the dates tables are partitioned by; in the files the folder key is
`dt`, because BigQuery refuses a folder key that is also a column. All ids are text. `source` is the name of the report's
field, or the JSON pointer of an entity's attribute, or empty for a column that the connector adds.

Only columns that the connector fills itself, and the entity's own id, are REQUIRED: Criteo may send null for anything
else. A REPEATED column is a list, empty where Criteo sends none.

| type | holds | Parquet |
|---|---|---|
| STRING | text | UTF-8 |
| INTEGER | counts | int64 |
| NUMERIC | money, and every count of sales (attribution may split a sale) | decimal(38, 9) |
| FLOAT | ratios | double |
| BOOLEAN | true or false | boolean |
| DATE | a calendar date | date |
| TIMESTAMP | an instant, in UTC | timestamp, microseconds, UTC |
| JSON | JSON as text | UTF-8 |
| RECORD | several fields | group |

**Choosing fields.** `metrics` and `dimensions` of a report table replace its own. Both halves of an id and name pair are
always requested, and the advertiser always. What identifies a row follows from the dimensions: the day or hour and their
ids; if that differs from the table's primary key below, a warning says so. Names are matched without regard to case.

**Fields this version does not know** are requested as written, with a warning, because Criteo changes its list under a
stable version. A dimension becomes STRING. A metric becomes FLOAT if its name contains `Rate`, `Roas`, `ReturnOn`,
`CostOf`, `Cvr` or `Cos` (but not `Cost`), and NUMERIC otherwise.

**Hours.** Criteo sends hours and transaction times in the report timezone; they are stored in UTC. An hour that daylight
saving repeats is taken as the first of the two; one that it skips is moved forward by the length of the gap. `day` is
always the date in the report timezone.

";

/// The page `docs/reference/tables.md`.
pub fn reference(catalog: &Catalog) -> Result<String, CatalogError> {
    let mut tables = Vec::new();
    for name in catalog.tables() {
        tables.push(catalog.resolve(name, &TableOverrides::default())?.0);
    }
    let mut text = HEAD.to_owned();
    write(&mut text, catalog, &tables).expect("a string takes any text");
    Ok(text)
}

fn write(text: &mut String, catalog: &Catalog, tables: &[Table]) -> std::fmt::Result {
    writeln!(text, "| table | job | one row is | by default |\n|---|---|---|---|")?;
    for table in tables {
        let (name, state) = (&table.name, if table.enabled { "on" } else { "off" });
        writeln!(text, "| [`{name}`](#{name}) | {} | {} | {state} |", table.job.name(), list(&table.primary_key))?;
    }
    for table in tables {
        section(text, table)?;
    }
    for (report, title) in [(Report::Statistics, "Statistics"), (Report::Placements, "Placements")] {
        writeln!(text, "\n## Fields of the {} report", title.to_lowercase())?;
        fields(text, catalog.fields(report), FieldKind::Dimension)?;
        fields(text, catalog.fields(report), FieldKind::Metric)?;
    }
    Ok(())
}

fn section(text: &mut String, table: &Table) -> std::fmt::Result {
    let endpoint = Connector::get().endpoint(table.endpoint);
    let scope = endpoint.scope.as_deref().map_or("none".to_owned(), |scope| format!("`{scope}`"));
    writeln!(text, "\n## {}\n\n{}\n", table.name, table.description)?;
    writeln!(text, "- Endpoint: `{}`, scope {scope}", endpoint.path)?;
    writeln!(text, "- Primary key: {}", list(&table.primary_key))?;
    writeln!(text, "- Partitioned by: `{}`", table.partition_by)?;
    if let Some(ages) = &table.reread_ages {
        writeln!(text, "- Days are read again at ages (in days): {ages}")?;
    }
    match &table.extract {
        Extract::Report { grain, dimensions, .. } if !dimensions.is_empty() => {
            let grain = match grain {
                Grain::Day => "day",
                Grain::Hour => "hour",
            };
            writeln!(text, "- Requested per {grain}, dimensions: {}", list(dimensions))?;
        }
        Extract::Entity { not_stored } if !not_stored.is_empty() => {
            writeln!(text, "- Understood but not stored: {}", list(not_stored))?;
        }
        Extract::Report { .. } | Extract::Entity { .. } => {}
    }
    writeln!(text, "\n| column | type | mode | source | description |\n|---|---|---|---|---|")?;
    table.columns.iter().try_for_each(|column| row(text, column, ""))
}

fn row(text: &mut String, column: &Column, parent: &str) -> std::fmt::Result {
    let name = format!("{parent}{}", column.name);
    let source = column.source().map(|source| format!("`{source}`")).unwrap_or_default();
    writeln!(
        text,
        "| `{name}` | {} | {} | {source} | {} |",
        column.column_type.name(),
        column.mode.name(),
        escape(&column.description)
    )?;
    if let ColumnType::Record(fields) = &column.column_type {
        fields.iter().try_for_each(|field| row(text, field, &format!("{name}.")))?;
    }
    Ok(())
}

fn fields(text: &mut String, fields: &[Field], kind: FieldKind) -> std::fmt::Result {
    writeln!(text, "\n| {kind} | column | type | adds up | confidence | description |\n|---|---|---|---|---|---|")?;
    for field in fields.iter().filter(|field| field.kind == kind) {
        let confidence = match field.confidence {
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
            Confidence::Guessed => "guessed",
        };
        writeln!(
            text,
            "| `{}` | `{}` | {} | {} | {confidence} | {} |",
            field.name,
            field.column,
            field.column_type.name(),
            if field.additive { "yes" } else { "no" },
            escape(&field.description)
        )?;
    }
    Ok(())
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
