//! The three pull jobs: which days, which windows, what was wrong, what was published.
//!
//! `analytics` pulls report tables, `snapshots` the entity tables of the campaigns and creatives jobs. Both judge what
//! they get before `publish` makes it live, and note what failed in the `journal` and whom to leave alone in the `roster`, so
//! that one failing table, day or advertiser stops nothing else.

mod analytics;
mod caps;
mod carry;
mod context;
mod density;
mod fetch;
mod journal;
pub mod plan;
mod planner;
mod portfolio;
mod publish;
mod reconcile;
mod roster;
mod run;
mod snapshots;
mod split;
pub mod summary;

pub use planner::{Forecast, Plan, Planner, Scope, planned_calls};
pub(crate) use portfolio::Portfolio;
pub use run::{Finished, Launch, local_root, portfolio_error, resume_key};
