//! The real binary as a child process: what it is given, and all that it says.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::Value;

use super::{TODAY, day, days, noon};

/// How long a run may take before it counts as hung; far beyond what any test needs.
const PATIENCE: Duration = Duration::from_mins(4);
/// How often the memory of a run is looked at; the system keeps the peak, so only its last moments could be missed.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The program, ready to start.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    folder: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    largest_file: Option<u32>,
    typed: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// In `folder`, with nothing in its environment but what tests need.
    pub(crate) fn at(folder: &Path) -> Self {
        let environment = BTreeMap::from([("CRITEO_SOURCE_TEST_SKIP_WAITS".to_owned(), OsString::from("1"))]);
        let program =
            Self { folder: folder.to_owned(), arguments: Vec::new(), environment, largest_file: None, typed: None };
        program.on(TODAY)
    }

    /// With a wall clock that says noon of this day.
    pub(crate) fn on(self, date: &str) -> Self {
        self.variable("CRITEO_SOURCE_TEST_NOW", noon(day(date)).to_rfc3339())
    }

    /// With the words of `line`.
    pub(crate) fn words(mut self, line: &str) -> Self {
        self.arguments.extend(line.split_whitespace().map(OsString::from));
        self
    }

    /// With one word that may have spaces.
    pub(crate) fn word(mut self, word: impl Into<OsString>) -> Self {
        self.arguments.push(word.into());
        self
    }

    /// With a variable.
    pub(crate) fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Without a variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// With somebody who types this, and a line end.
    pub(crate) fn typing(mut self, text: &str) -> Self {
        self.typed = Some(format!("{text}\n"));
        self
    }

    /// In a shell that limits the size of files to so many blocks of 512 bytes.
    #[cfg(unix)]
    pub(crate) fn with_largest_file(mut self, blocks: u32) -> Self {
        self.largest_file = Some(blocks);
        self
    }

    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_criteo-source");
        let Some(blocks) = self.largest_file else { return Command::new(program) };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("ulimit -f {blocks} && exec \"$0\" \"$@\""), program]);
        shell
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Running {
        let mut command = self.command();
        command.current_dir(&self.folder).args(&self.arguments).env_clear().envs(&self.environment);
        let stdin = if self.typed.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        if let (Some(typed), Some(mut stdin)) = (&self.typed, child.stdin.take()) {
            // A program that does not want it may have closed it.
            let _ = std::io::Write::write_all(&mut stdin, typed.as_bytes());
        }
        let (sender, texts) = mpsc::channel();
        let pipes: [(bool, Box<dyn Read + Send>); 2] = [
            (true, Box::new(child.stdout.take().expect("stdout is a pipe"))),
            (false, Box::new(child.stderr.take().expect("stderr is a pipe"))),
        ];
        for (is_stdout, pipe) in pipes {
            let sender = sender.clone();
            thread::spawn(move || forward(is_stdout, pipe, &sender));
        }
        Running { child, texts, stdout: String::new(), stderr: String::new() }
    }

    /// With its standard output going there, and no other pipe but that of standard error.
    #[cfg(unix)]
    pub(crate) fn run_into(&self, stdout: std::fs::File) -> Ended {
        let mut command = self.command();
        command.current_dir(&self.folder).args(&self.arguments).env_clear().envs(&self.environment);
        let output = command.stdin(Stdio::null()).stdout(stdout).output().expect("the program starts");
        let stderr = String::from_utf8(output.stderr).expect("everything printed is UTF-8");
        Ended { code: output.status.code().unwrap_or(-1), stdout: String::new(), stderr }
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(&self) -> Ended {
        self.start().end()
    }

    /// Starts it, waits for its end, and says how many bytes of memory it had at most.
    #[cfg(target_os = "linux")]
    pub(crate) fn run_measured(&self) -> (Ended, u64) {
        self.start().end_measured()
    }
}

fn forward(is_stdout: bool, mut pipe: Box<dyn Read + Send>, to: &mpsc::Sender<(bool, Vec<u8>)>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = pipe.read(&mut buffer) {
        // An empty piece says that the pipe has ended.
        if to.send((is_stdout, buffer[..count].to_vec())).is_err() || count == 0 {
            return;
        }
    }
}

/// A child process; it is killed if the test forgets it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    texts: mpsc::Receiver<(bool, Vec<u8>)>,
    stdout: String,
    stderr: String,
}

impl Running {
    /// Takes what comes next; false when a pipe has ended.
    fn hear(&mut self) -> bool {
        let Ok((is_stdout, bytes)) = self.texts.recv_timeout(PATIENCE) else {
            let _ = self.child.kill();
            panic!("the program hangs; so far:\n{}\n{}", self.stdout, self.stderr);
        };
        let text = if is_stdout { &mut self.stdout } else { &mut self.stderr };
        text.push_str(std::str::from_utf8(&bytes).expect("everything printed is UTF-8"));
        !bytes.is_empty()
    }

    /// The first line on stdout, once it is there.
    pub(crate) fn first_line(&mut self) -> String {
        while !self.stdout.contains('\n') {
            assert!(self.hear(), "no line came; stderr: {}", self.stderr);
        }
        self.stdout.lines().next().unwrap_or_default().to_owned()
    }

    /// The first whole line on stderr that starts with this, once it is there.
    pub(crate) fn line_on_stderr(&mut self, start: &str) -> String {
        loop {
            let whole = self.stderr.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().find(|line| line.starts_with(start)) {
                return line.to_owned();
            }
            assert!(self.hear(), "no line came; stderr: {}", self.stderr);
        }
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by name.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name} could be sent");
    }

    /// Waits for the end, and says how many bytes of memory the process had at most.
    #[cfg(target_os = "linux")]
    fn end_measured(mut self) -> (Ended, u64) {
        let (mut open, mut peak, mut quiet) = (2, 0, 0);
        while open > 0 {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            peak = peak.max(kilobytes.unwrap_or(0) * 1024);
            match self.texts.recv_timeout(LOOK_INTERVAL) {
                Ok((is_stdout, bytes)) => {
                    quiet = 0;
                    open -= usize::from(bytes.is_empty());
                    let text = if is_stdout { &mut self.stdout } else { &mut self.stderr };
                    text.push_str(std::str::from_utf8(&bytes).expect("everything printed is UTF-8"));
                }
                Err(_) => quiet += 1,
            }
            assert!(LOOK_INTERVAL * quiet < PATIENCE, "the program hangs; so far:\n{}\n{}", self.stdout, self.stderr);
        }
        assert!(peak > 0, "the memory of the program could be read");
        (self.end_of_process(), peak)
    }

    /// Waits for the end, but kills it after `delay`. This is the one place where a test lets time pass: a kill at any
    /// moment has no event to wait for.
    #[cfg(unix)]
    pub(crate) fn kill_after(mut self, delay: Duration) -> Ended {
        thread::sleep(delay);
        // Fails when it has ended by itself, which `end` tells.
        let _ = self.child.kill();
        self.end()
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let mut open = 2;
        while open > 0 {
            open -= usize::from(!self.hear());
        }
        self.end_of_process()
    }

    fn end_of_process(&mut self) -> Ended {
        let status = self.child.wait().expect("the program can be waited for");
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        Ended { code: status.code().unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The one JSON document on stdout; one of a command is as the JSON Schema in the documentation says.
    pub(crate) fn document(&self) -> Value {
        let document: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not exactly one JSON document: {error}\n{}\n{}", self.stdout, self.stderr));
        // `schema` and `sandbox` print something else.
        if document.get("run_id").is_some() {
            let problems: Vec<String> =
                schema().iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(
                problems.is_empty(),
                "not as docs/reference/document.schema.json says: {problems:#?}\n{document:#}"
            );
        }
        document
    }

    /// The document of a run that ended with `code`.
    pub(crate) fn expect(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "exit code\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        let document = self.document();
        let outcome = document["outcome"].as_str().unwrap_or_default();
        assert_eq!(outcome == "ok", code == 0, "outcome `{outcome}` with exit code {code}");
        document
    }

    /// Everything printed.
    pub(crate) fn everything(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

/// The schema of documents, in the documentation.
fn schema() -> &'static jsonschema::Validator {
    static SCHEMA: std::sync::OnceLock<jsonschema::Validator> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/document.schema.json");
        let text = std::fs::read_to_string(path).expect("the schema can be read");
        jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a valid schema")
    })
}

/// Code, message and remedy of each of the `errors` or `warnings`, one a line.
pub(crate) fn messages(document: &Value, list: &str) -> String {
    let entries = document[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let each = entries.iter().map(|entry| {
        let part = |name: &str| entry[name].as_str().unwrap_or_default();
        format!("{}: {}; {}", part("code"), part("message"), part("remedy"))
    });
    each.collect::<Vec<_>>().join("\n")
}

/// The codes of `errors` or `warnings`, each once, sorted.
pub(crate) fn codes(document: &Value, list: &str) -> Vec<String> {
    let entries = document[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut codes: Vec<String> = entries.iter().filter_map(|entry| Some(entry["code"].as_str()?.to_owned())).collect();
    codes.sort();
    codes.dedup();
    codes
}

/// The partitions that `errors` or `warnings` name, each by table and day.
pub(crate) fn partitions(document: &Value, list: &str) -> BTreeSet<(String, NaiveDate)> {
    let entries = document[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let each = entries.iter().filter_map(|entry| {
        let (table, from) = (entry["table"].as_str()?, entry["date"].as_str()?);
        let to = entry["to_date"].as_str().unwrap_or(from);
        Some(days(from, to).into_iter().map(move |date| (table.to_owned(), date)))
    });
    each.flatten().collect()
}
