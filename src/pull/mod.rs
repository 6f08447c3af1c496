//! The three pull jobs: which days, which windows, what was wrong, what was published.
//!
//! `analytics` pulls report tables, `snapshots` the entity tables of the campaigns and creatives jobs. Both judge what
//! they get before `publish` makes it live, and note what failed in the `context`, so that one failing table, day or
//! advertiser stops nothing else.

mod analytics;
mod caps;
mod carry;
mod context;
mod density;
mod fetch;
pub mod plan;
mod planner;
mod portfolio;
mod publish;
mod reconcile;
mod run;
mod snapshots;
mod split;
pub mod summary;

pub(crate) use context::judge_fetch;
pub use planner::{Forecast, Plan, Planner, Scope, planned_calls};
pub(crate) use portfolio::Portfolio;
pub use run::{Finished, Launch, local_root, portfolio_error, resume_key};
