//! What can be pulled: the connector's declaration and the table contracts, parsed from the data files compiled in.
//!
//! `connectors/criteo/connector.toml` says where things come from (host, version, scopes, endpoints with quota class,
//! row cap and history limit, tables and their defaults); `schemas/` says what they look like (the field catalogues of
//! the report endpoints and one file per table). This module turns both into types, refuses unknown keys, and resolves
//! a table for a configuration. It does not fetch, decode or write.

mod connector;
mod contracts;
mod fields;
mod problem;
mod reread;
mod resolve;
pub mod sql;
mod table;
#[cfg(test)]
mod tests;

pub use connector::{
    Connector, DateFilter, Division, Endpoint, EndpointId, EndpointKind, Job, ListScope, Method, Pagination,
    QuotaClass, Report, ReportFacts, RowDay, Scope, TableDeclaration, TotalsBy,
};
pub use fields::{Confidence, Field, FieldKind, Unit};
pub use problem::{CatalogError, Warning};
pub use reread::RereadAges;
pub use resolve::{Catalog, CustomReport, MAX_REPORT_NAME, TableOverrides, is_report_name};
pub use table::{Column, ColumnType, DaySource, Extract, Grain, Mode, Origin, Parent, Table};
