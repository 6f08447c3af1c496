//! The contract as a dbt source: descriptions, and tests for keys and required columns (they need the package
//! `dbt_utils`). Text is quoted as JSON, which YAML reads as it is.

use std::fmt::Write as _;

use crate::catalog::{Mode, Table};

const HEAD: &str = "version: 2

sources:
  - name: criteo
    description: \"Criteo Marketing Solutions, pulled by criteo-source.\"
    # database: and schema: say where `criteo-source load` wrote to.
    tables:
";

pub(super) fn render(tables: &[Table]) -> String {
    let mut text = HEAD.to_owned();
    for table in tables {
        push(&mut text, table).expect("a string takes any text");
    }
    text
}

fn push(text: &mut String, table: &Table) -> std::fmt::Result {
    writeln!(text, "      - name: {}", quote(&table.name))?;
    writeln!(text, "        description: {}", quote(&table.description))?;
    writeln!(text, "        data_tests:")?;
    writeln!(text, "          - dbt_utils.unique_combination_of_columns:")?;
    writeln!(text, "              arguments:")?;
    writeln!(text, "                combination_of_columns:")?;
    for column in &table.primary_key {
        writeln!(text, "                  - {}", quote(column))?;
    }
    writeln!(text, "        columns:")?;
    for column in &table.columns {
        writeln!(text, "          - name: {}", quote(&column.name))?;
        writeln!(text, "            description: {}", quote(&column.description))?;
        if column.mode == Mode::Required {
            writeln!(text, "            data_tests:\n              - not_null")?;
        }
    }
    Ok(())
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
