//! Logs on stderr: text for people, JSON for collectors, warnings only unless asked for more.
//!
//! The crates that carry requests are held at warnings whatever was asked for: at finer levels some of them print
//! headers, and one header is the bearer token. Nothing here writes to stdout, which is for results.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::progress::LogWriter;

/// Crates that see headers or key material.
const HELD_AT_WARN: [&str; 9] =
    ["axum", "h2", "hyper", "hyper_rustls", "hyper_util", "reqwest", "rustls", "tokio_rustls", "tower"];

/// The target of errors and warnings that the summary of a run lists as well.
pub const NOTICES: &str = "criteo_source::notice";

/// How logs are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Text or JSON.
    pub format: LogFormat,
    /// How often `-v` was given.
    pub verbose: u8,
    /// How often `-q` was given.
    pub quiet: u8,
    /// Whether whoever reads the logs reads the summary as well: then its errors and warnings are logged with `-v` only.
    pub without_notices: bool,
}

impl LogOptions {
    /// Warnings by default; each `-v` adds info, debug, trace, each `-q` leaves errors, then nothing.
    pub fn level(self) -> LevelFilter {
        match i16::from(self.verbose) - i16::from(self.quiet) {
            ..=-2 => LevelFilter::OFF,
            -1 => LevelFilter::ERROR,
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            2 => LevelFilter::DEBUG,
            3.. => LevelFilter::TRACE,
        }
    }

    fn filter(self) -> Targets {
        let level = self.level();
        // Filters order by verbosity: the smaller one says less.
        let held = level.min(LevelFilter::WARN);
        let mut filter = Targets::new().with_default(level);
        if self.without_notices && level <= LevelFilter::WARN {
            filter = filter.with_target(NOTICES, LevelFilter::OFF);
        }
        HELD_AT_WARN.into_iter().fold(filter, |filter, name| filter.with_target(name, held))
    }
}

/// Starts logging for the rest of the process; a second call changes nothing.
pub fn start(options: LogOptions) {
    let layer = match options.format {
        LogFormat::Text => {
            fmt::layer().with_writer(LogWriter::default).with_ansi(wants_colour()).with_target(false).boxed()
        }
        LogFormat::Json => fmt::layer().with_writer(LogWriter::default).json().flatten_event(true).boxed(),
    };
    // Only a test that runs two commands in one process finds a subscriber in place, and keeps it.
    let _ = tracing_subscriber::registry().with(layer.with_filter(options.filter())).try_init();
}

/// Colour on a terminal, unless `NO_COLOR` is set to anything (<https://no-color.org>).
fn wants_colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn options(verbose: u8, quiet: u8) -> LogOptions {
        LogOptions { format: LogFormat::Text, verbose, quiet, without_notices: false }
    }

    #[test]
    fn warnings_are_the_default_and_flags_move_from_there() {
        let levels = [options(0, 9), options(0, 1), options(0, 0), options(1, 0), options(2, 0), options(9, 0)];
        let expected = [
            LevelFilter::OFF,
            LevelFilter::ERROR,
            LevelFilter::WARN,
            LevelFilter::INFO,
            LevelFilter::DEBUG,
            LevelFilter::TRACE,
        ];
        assert_eq!(levels.map(LogOptions::level), expected);
    }

    #[test]
    fn errors_that_the_summary_repeats_on_the_same_terminal_are_logged_when_asked_for() {
        let shown = |verbose, without_notices| {
            let filter = LogOptions { without_notices, ..options(verbose, 0) }.filter();
            assert!(filter.would_enable("criteo_source::http", &Level::ERROR));
            filter.would_enable(NOTICES, &Level::ERROR)
        };
        assert_eq!([shown(0, false), shown(0, true), shown(1, true)], [true, false, true]);
    }

    #[test]
    fn crates_that_see_headers_stay_at_warnings_even_at_trace() {
        let filter = options(3, 0).filter();
        assert!(filter.would_enable("criteo_source::http", &Level::TRACE));
        for target in ["hyper::proto", "h2::codec", "rustls::client", "reqwest::connect"] {
            assert!(
                filter.would_enable(target, &Level::WARN) && !filter.would_enable(target, &Level::INFO),
                "{target}"
            );
        }
        assert!(!options(0, 1).filter().would_enable("hyper", &Level::WARN));
    }
}
