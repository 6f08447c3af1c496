//! Stderr for logs, in step with the line of progress, and without any secret that somebody else said.

use std::io::Write;
use std::sync::OnceLock;

use indicatif::ProgressBar;

use crate::redaction::redact;

/// The line of progress; there is at most one per process.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// From now on this line of progress is taken away while a log line is printed; a second one is not heeded.
pub fn share_with(bar: &ProgressBar) {
    let _ = BAR.set(bar.clone());
}

/// Where log lines go.
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
