//! Sending requests: one client, one send loop, one retry policy, one limiter.
//!
//! Nothing else in the program repeats a request or waits before one. This module knows HTTP, rate-limit headers and
//! the shape of Criteo's error body; it knows no endpoint, no token grant and no report. It never follows a redirect
//! and never shows a secret.

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
pub use problem::{Problem, ProblemEntry};
pub use quota::{Permit, Quota, QuotaError};
pub use request::{Body, Request};
pub use response::{ReadError, Response};
pub use retry::{RandomSource, RetryPolicy};
