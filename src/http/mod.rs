//! Sending requests: one client, one send loop, one retry policy, one limiter.
//!
//! Nothing else in the program repeats a request or waits before one. It serves several servers: each request says which
//! statuses it accepts, how its server explains an error, and which errors of it are transient. This module knows HTTP,
//! rate-limit headers and the usual shapes of error bodies; it knows no endpoint, no token grant and no report. It never
//! follows a redirect and never shows a secret.

mod bearer;
mod client;
mod error;
mod problem;
mod quota;
mod request;
mod response;
mod retry;
#[cfg(test)]
pub(crate) mod script;
mod tls;

pub use crate::clock::Deadline;
pub use bearer::{Bearer, BearerError, BearerSource};
pub use client::{HttpClient, HttpOptions, HttpStatistics};
pub use error::{Failure, HttpError, SendError};
pub use problem::{Problem, ProblemEntry, ProblemReader};
pub use quota::{Permit, Quota, QuotaError};
pub use request::{Body, Request};
pub use response::{ReadError, Response};
pub use retry::{RandomSource, RetryPolicy};
