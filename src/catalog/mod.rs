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
mod resolve;
pub mod sql;
mod table;
#[cfg(test)]
mod tests;

pub use connector::{Connector, Endpoint, EndpointId, Job, Method, Pagination, QuotaClass, Scope, TableDeclaration};
pub use fields::{Confidence, Field, FieldKind, Report, Unit};
pub use problem::{CatalogError, Warning};
pub use resolve::{Catalog, CustomReport, TableOverrides};
pub use table::{Column, ColumnType, Extract, Grain, Mode, Table};
