//! Data definition in the dialects of the warehouses, one file each: how they quote, what they call our types, and the
//! statement that creates a table. Nothing here connects to anything.

pub mod bigquery;
pub mod duckdb;
pub mod snowflake;
