//! A progress bar on a terminal, and nothing anywhere else.
//!
//! There is at most one per process. Logs go through [`LogWriter`], which takes the bar away while a line is printed.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::redaction::redact;

static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// How far a run is, counted in partitions.
#[derive(Clone, Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar on stderr if it is a terminal and nobody asked for none.
    pub fn new(is_wanted: bool) -> Self {
        if !is_wanted || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = BAR.get_or_init(|| {
            let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len} partitions {msg}");
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
        });
        Self(bar.clone())
    }

    /// So many more partitions are to come.
    pub fn expect(&self, partitions: u64) {
        self.0.inc_length(partitions);
    }

    /// So many partitions of `table` were published.
    pub fn published(&self, table: &str, partitions: u64) {
        self.0.set_message(table.to_owned());
        self.0.inc(partitions);
    }

    /// The run is over; the bar goes away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Stderr for logs, in step with the bar, and without any secret that somebody else said.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The subscriber writes each event whole.
        let text = String::from_utf8_lossy(bytes);
        let shown = redact(&text);
        let write = || std::io::stderr().lock().write_all(shown.as_bytes());
        match BAR.get() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}
