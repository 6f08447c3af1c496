//! Rows: what they look like, how they are read from Criteo's bodies, and how they are written as Parquet.
//!
//! This module knows neither HTTP nor where files live.

pub mod columns;
pub mod decode;
pub mod entity;
pub mod entity_rows;
mod envelope;
pub(crate) mod excerpt;
pub mod footer;
mod integers;
pub mod numeric;
pub mod order;
pub mod parquet;
pub mod partitions;
pub mod read_back;
pub mod schema;
mod texts;
pub mod time;
