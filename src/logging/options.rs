//! What is logged: levels, targets, and the start of it all.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Format;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::format::{Finished, json_line, set_run_id, text_line};
use super::stderr::LogWriter;

/// Crates that see headers or key material.
const HELD_AT_WARN: [&str; 9] =
    ["axum", "h2", "hyper", "hyper_rustls", "hyper_util", "reqwest", "rustls", "tokio_rustls", "tower"];

/// The target of errors and warnings that the summary of a run lists as well.
pub const NOTICES: &str = "criteo_source::notice";

/// The target of what an operator wants to read of a run that goes well: its start, a line per table, a line a minute while it
/// goes on, its end.
pub const RUN: &str = "criteo_source::run";

/// How logs are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// What was requested on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Text or JSON.
    pub format: LogFormat,
    /// How often `-v` was given.
    pub verbose: u8,
    /// How often `-q` was given.
    pub quiet: u8,
    /// Whether somebody watches stderr, who has a line of progress and a summary.
    pub is_watched: bool,
    /// Whether whoever reads the logs reads the summary as well: then its errors and warnings are logged with `-v` only.
    pub without_notices: bool,
}

impl LogOptions {
    /// Warnings by default; each `-v` adds info, debug, trace. The first `-q` concerns what is said of a run that goes well
    /// ([`RUN`] and the summary); the second leaves errors, the third nothing.
    pub fn level(self) -> LevelFilter {
        match i16::from(self.verbose) - i16::from(self.quiet) {
            ..=-3 => LevelFilter::OFF,
            -2 => LevelFilter::ERROR,
            -1 | 0 => LevelFilter::WARN,
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
        if !self.is_watched && self.quiet == 0 {
            filter = filter.with_target(RUN, level.max(LevelFilter::INFO));
        }
        HELD_AT_WARN.into_iter().fold(filter, |filter, name| filter.with_target(name, held))
    }
}

/// Starts logging for the rest of the process, which is one run; a second call changes nothing.
pub fn start(options: LogOptions, run_id: &str) {
    set_run_id(run_id);
    let layer = match options.format {
        LogFormat::Text => {
            let format = Format::default().with_target(false).with_ansi(wants_colour());
            let line = Finished { format, finish: text_line };
            fmt::layer().with_writer(LogWriter::default).with_ansi(wants_colour()).event_format(line).boxed()
        }
        LogFormat::Json => {
            let format = Format::default().json().flatten_event(true).with_current_span(false);
            let line = Finished { format, finish: json_line };
            fmt::layer().with_writer(LogWriter::default).json().event_format(line).boxed()
        }
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
        LogOptions { format: LogFormat::Text, verbose, quiet, is_watched: false, without_notices: false }
    }

    #[test]
    fn warnings_are_the_default_and_flags_move_from_there() {
        let counts = [(0, 9), (0, 2), (0, 1), (0, 0), (1, 0), (2, 0), (9, 0)];
        let levels = counts.map(|(verbose, quiet)| options(verbose, quiet).level());
        let expected = [
            LevelFilter::OFF,
            LevelFilter::ERROR,
            LevelFilter::WARN,
            LevelFilter::WARN,
            LevelFilter::INFO,
            LevelFilter::DEBUG,
            LevelFilter::TRACE,
        ];
        assert_eq!(levels, expected);
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
    fn what_is_said_of_a_good_run_goes_to_a_log_unless_it_is_to_be_quiet() {
        let shown = |quiet, verbose, is_watched| {
            let filter = LogOptions { is_watched, ..options(verbose, quiet) }.filter();
            assert!(filter.would_enable("criteo_source::http", &Level::WARN));
            filter.would_enable(RUN, &Level::INFO)
        };
        assert_eq!([shown(0, 0, false), shown(1, 0, false)], [true, false], "a log file, a cron job with -q");
        assert_eq!([shown(0, 0, true), shown(0, 1, true)], [false, true], "a terminal, with -v");
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
        assert!(!options(0, 2).filter().would_enable("hyper", &Level::WARN));
    }
}
