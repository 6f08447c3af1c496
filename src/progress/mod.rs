//! How far a run is: one line on a terminal, which ticks while the run waits; a log line a minute elsewhere.
//!
//! It counts what it is told and decides nothing. What the line says is a pure function of the counts ([`View`]).

mod meter;
mod view;

pub use meter::Progress;
pub use view::{Calls, View};
