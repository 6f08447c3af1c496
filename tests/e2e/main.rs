//! The real program, from the command line to the files it writes.
//!
//! Each test starts `criteo-source` as a child process against a sandbox in this process, or against a scripted server
//! where the sandbox has no such answer, and compares whole outputs: exit code, the one JSON document, every row of
//! every Parquet file. Waits are counted, not slept. Nothing here needs an account or a network.

mod calls;
mod check;
mod commands;
mod completeness;
mod deadlines;
mod disk;
mod endings;
mod entities;
mod exactness;
mod faults;
mod hostile;
mod isolation;
mod keys;
mod kills;
mod loads;
mod login;
mod matrix;
mod network;
mod operators;
mod plans;
mod pulls;
mod refusals;
mod resume;
mod secrets;
mod spellings;
mod status;
mod support;
mod trust;
