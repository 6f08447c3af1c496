//! The three pull jobs: which days, which windows, what was wrong, what was published.
//!
//! `analytics` pulls report tables, `snapshots` the entity tables of the campaigns and creatives jobs. Both judge what
//! they get before `publish` makes it live, and note what failed in the `journal` and whom to leave alone in the `roster`, so
//! that one failing table, day or advertiser stops nothing else.

mod analytics;
mod caps;

mod context;
mod density;
mod fetch;
mod journal;
mod judge;
mod operations;
pub mod plan;
mod planner;
mod portfolio;
mod publish;
mod reconcile;
mod retained;
mod roster;
mod run;
#[cfg(test)]
mod sequences;
mod settled;
mod snapshots;
mod split;
pub mod summary;
mod survey;

pub use operations::finished;
pub use planner::{Forecast, Plan, Planner, Removal, Scope};
pub(crate) use portfolio::Portfolio;
pub use portfolio::portfolio_error;
pub use run::{Finished, Launch, clock_skew, is_clock_wrong, removal};
pub use survey::{Survey, Surveyed, adopt, adopt_start, refuse_mixture, remembered_refusals, remembered_unavailable};
