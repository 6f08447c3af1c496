//! `schema [TABLE]`: the contract of each table, for people, programs and warehouses. Pure functions from tables to
//! text; nothing is read or written.

mod dbt;
mod json;
mod markdown;
mod render;
mod text;

pub use markdown::reference;
pub use render::{Selection, render};

use crate::cli::{GlobalOptions, SchemaArguments};
use crate::error::{Code, Error};
use crate::settings::nearest;

use super::session::Session;

/// Prints the contracts, as resolved for the current configuration.
pub fn run(arguments: &SchemaArguments, global: &GlobalOptions) -> Result<(), Error> {
    let mut tables = Session::load(global)?.all_tables()?;
    if let Some(name) = &arguments.table {
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        tables.retain(|table| table.name == *name);
        if tables.is_empty() {
            let error = Error::new(Code::UnknownTable, format!("there is no table `{name}`"));
            return Err(match nearest(name, names.iter().map(String::as_str)) {
                Some(nearest) => error.with_remedy(format!("did you mean `{nearest}`?")),
                None => error.with_remedy(format!("there are {}", names.join(", "))),
            });
        }
    }
    let selection = match tables.as_slice() {
        [table] if arguments.table.is_some() => Selection::One(table),
        tables => Selection::All(tables),
    };
    super::print_text(&render(selection, global.format))
}
