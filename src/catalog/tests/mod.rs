//! Claims about the data files and about what a configuration makes of them.

mod contracts;
mod resolve;

use super::{Catalog, Table, TableOverrides};

fn table(name: &str) -> Table {
    let (table, warnings) =
        Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table resolves");
    assert_eq!(warnings, [], "a built-in table needs no warning");
    table
}

fn tables() -> Vec<Table> {
    Catalog::get().tables().map(table).collect()
}

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|column| column.name.as_str()).collect()
}
