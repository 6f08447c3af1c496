//! Data definition in the dialects of the warehouses, one file each: how they quote, what they call our types, and the
//! statement that creates a table. Views are defined once, in `views`. Nothing here connects to anything.

pub mod bigquery;
pub mod duckdb;
pub mod snowflake;
pub mod views;

use super::{Column, Mode, Table};

/// Ends the description of everything that `load` creates: how it knows its own tables and views again.
pub const MARK: &str = "Loaded by criteo-source.";

/// What a statement that creates a table says.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    /// One sentence for people.
    pub description: &'a str,
    /// Columns in order.
    pub columns: &'a [Column],
    /// Columns whose values identify a row.
    pub primary_key: &'a [String],
    /// The date by which partitions are replaced.
    pub partition_by: Option<&'a str>,
}

impl<'a> Definition<'a> {
    /// The contract of a table.
    pub fn of(table: &'a Table) -> Self {
        Self {
            description: &table.description,
            columns: &table.columns,
            primary_key: &table.primary_key,
            partition_by: Some(&table.partition_by),
        }
    }

    /// The description with [`MARK`].
    pub fn marked_description(&self) -> String {
        format!("{} {MARK}", self.description)
    }

    /// The key, where no column of it can be null: only then a declaration is true.
    pub fn declared_key(&self) -> Option<&'a [String]> {
        let is_required =
            |name: &String| self.columns.iter().any(|column| column.name == *name && column.mode == Mode::Required);
        (!self.primary_key.is_empty() && self.primary_key.iter().all(is_required)).then_some(self.primary_key)
    }
}
