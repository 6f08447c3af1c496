//! What a run is told to do: flags, environment and file become one valid [`Settings`], or every reason why not.
//!
//! # Precedence
//!
//! **flag, environment, file, default**: the first that gives a value wins, and only the winning value is judged. An
//! empty variable is an unset one. A list (`advertisers`) is replaced, never merged. A secret is never a flag and never
//! in the file. This is the only place where the order is written down, and `resolve::first_given` the only code that
//! knows it.
//!
//! # Three types
//!
//! [`Overrides`] is what was typed, [`file::RawConfiguration`] what the file says with the line of every value, and
//! [`Settings`] what holds. Everything past this module takes [`Settings`]; nothing else reads a variable.
//!
//! Refuses to do: read the process environment on its own (a caller passes an [`Environment`]), look into the
//! catalogue of tables (a caller passes their names), or open a file that holds a secret.

mod api_url;
mod credentials;
pub mod environment;
pub mod file;
pub mod load;
mod output;
mod problem;
mod proxy;
mod report;
mod resolve;
mod suggest;
mod timezone;

pub use api_url::ApiUrl;
pub(crate) use credentials::is_quoted;
pub use credentials::{ClientSource, CredentialsSource, RefreshTokenSource};
pub use environment::Environment;
pub use file::{ConfigurationFile, DEFAULT_CONFIGURATION, DEFAULT_PATH};
pub use output::{ObjectStore, OutputLocation};
pub use problem::{Located, Origin, Problem, Problems, Warning};
pub use resolve::{Overrides, Settings};
pub use suggest::nearest;
pub use timezone::parse_timezone;
