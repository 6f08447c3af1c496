//! One running `duckdb`, spoken to over pipes: a batch of statements, then a marker that says where its answers end.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::program;
use crate::load::error::{LoadError, LoadErrorKind};

/// As much of an error as is shown.
const MAX_ERROR_BYTES: u64 = 16 * 1024;
/// An initialization file without content: what stands in a user's own could change how answers are printed.
const NO_INITIALIZATION: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };

/// A process; dropping it ends it, and with it whatever it had begun.
#[derive(Debug)]
pub(super) struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Option<ChildStderr>,
    batches: u64,
}

impl Session {
    /// Starts the program on a database in memory; the first error ends it.
    pub(super) fn start(named: Option<&Path>) -> Result<Self, LoadError> {
        let path = program::find(named)?;
        let failed = |error: std::io::Error| {
            LoadError::new(LoadErrorKind::DriverMissing, format!("could not start `{}`: {error}", path.display()))
        };
        // Statements go through stdin, so that nothing of them is in the list of processes.
        let mut command = Command::new(&path);
        command.args(["-json", "-bail", "-init", NO_INITIALIZATION]).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => {
                let stdout = BufReader::new(stdout).lines();
                Ok(Self { child, stdin, stdout, stderr: Some(stderr), batches: 0 })
            }
            _ => Err(LoadError::new(LoadErrorKind::DriverMissing, "`duckdb` was started without pipes")),
        }
    }

    /// Executes statements and returns the rows of all of them.
    pub(super) async fn run(&mut self, statements: &str) -> Result<Vec<Value>, LoadError> {
        self.batches += 1;
        let marker = format!("criteo-source-end-of-batch-{}", self.batches);
        let text = format!("{statements}\nSELECT '{marker}' AS marker;\n");
        let (stdin, stdout) = (&mut self.stdin, &mut self.stdout);
        let write = async {
            // A program that has ended says why on stderr; what could not be written is of no interest then.
            let _ = stdin.write_all(text.as_bytes()).await;
            let _ = stdin.flush().await;
        };
        let ((), answered) = tokio::join!(write, read_until(stdout, &marker));
        match answered {
            Ok(Some(answer)) => rows(&answer),
            Ok(None) => Err(self.last_words().await),
            Err(error) => Err(LoadError::new(LoadErrorKind::Failed, format!("`duckdb` cannot be read: {error}"))),
        }
    }

    /// Why the program has ended.
    async fn last_words(&mut self) -> LoadError {
        let mut text = String::new();
        if let Some(stderr) = self.stderr.take() {
            // What is not Unicode cannot be shown.
            let _ = stderr.take(MAX_ERROR_BYTES).read_to_string(&mut text).await;
        }
        let status = self.child.wait().await.map(|status| status.to_string()).unwrap_or_default();
        let said: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("-- Loading")).collect();
        let message = if said.is_empty() { format!("`duckdb` ended ({status})") } else { said.join(" ") };
        LoadError::new(LoadErrorKind::Failed, message)
    }
}

/// All lines before the one with the marker; `None` if there is no such line.
async fn read_until(stdout: &mut Lines<BufReader<ChildStdout>>, marker: &str) -> std::io::Result<Option<String>> {
    let mut answer = String::new();
    while let Some(line) = stdout.next_line().await? {
        if line.contains(marker) {
            return Ok(Some(answer));
        }
        answer.push_str(&line);
        answer.push('\n');
    }
    Ok(None)
}

/// The rows of every array in an answer.
fn rows(answer: &str) -> Result<Vec<Value>, LoadError> {
    let mut rows = Vec::new();
    for array in serde_json::Deserializer::from_str(answer).into_iter::<Vec<Value>>() {
        rows.extend(array.map_err(|error| super::unreadable(&error))?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_several_queries_are_read_one_after_the_other() {
        let answer = "[{\"a\":1},\n{\"a\":2}]\n[]\n[{\"b\":\"x\"}]\n";
        assert_eq!(rows(answer).expect("JSON").len(), 3);
        assert!(rows("Error").is_err());
    }
}
