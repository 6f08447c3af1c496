//! What people and schedulers are told: one list of codes, one shape of a warning or error, one rule for exit codes.
//!
//! A [`Notice`] separates the fact (`message`) from what to do about it (`remedy`). Its [`Code`] is one of a closed list,
//! which the reference page `codes.md` and `criteo-source explain` print, and implies an [`ErrorKind`]; [`judge`] turns the
//! errors of a command into its outcome and exit code, and nothing else does. It knows no other module but `redaction`, and
//! prints nothing.

mod code;
mod exit;
mod message;

pub use code::Code;
pub use exit::{ErrorKind, ExitCodes, Outcome, judge};
pub use message::{Notice, error_chain};
