//! A simulated Criteo Marketing Solutions API, served on the loopback interface.
//!
//! Built from what is known of the API, in types of its own: it shares nothing with the client but the clock, so that
//! one misreading cannot hide in both. Data is invented but coherent: coarse and fine reports add up, days are restated
//! as sales come in, caps cut without a word. It refuses to be lenient where Criteo is strict, and says in its code
//! where Criteo's behaviour is not known. It is no load generator and keeps no data.

mod aggregate;
mod consent;
mod dice;
mod entities;
mod facts;
mod faults;
mod gateway;
mod metrics;
mod names;
mod options;
mod placements;
mod problem;
mod quota;
mod request;
mod running;
mod server;
mod statistics;
mod table;
mod tokens;
mod transactions;
mod wire;
mod world;

#[cfg(test)]
mod tests;

pub use entities::EntityKind;
pub use faults::{Envelope, Fault, FaultKind, KeyCase, RateReset, UnknownFault, ValueStyle};
pub use options::{ANALYTICS_READ, CAMPAIGN_READ, CREATIVE_READ, MARKETING_SOLUTIONS, RETAIL_MEDIA, SandboxOptions};
pub use running::{Call, Sandbox, Truth};

use running::Ask;
