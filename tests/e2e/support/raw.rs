//! A loopback server that sends whatever bytes a test makes up, for as long as somebody reads them.
//!
//! Unless a test says otherwise it grants every token and lists one advertiser. One answer per connection; a body ends
//! with its connection, so that it needs no length and may have no end.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use super::TODAY;
use super::program::Program;
use super::scripted::TOKEN;

/// The secret of every client; each character is one that some encoding changes.
pub(crate) const SECRET: &str = "raw s3cret+with/slash=and\"quote%";

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Method and path without the version.
    pub(crate) line: String,
    /// The header lines.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    /// Whether this is a call of a path that contains `part`.
    pub(crate) fn is(&self, part: &str) -> bool {
        self.line.contains(part)
    }
}

/// What goes back: a status, headers, and a body in pieces.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    pieces: Box<dyn Iterator<Item = Vec<u8>> + Send>,
}

impl Answer {
    /// A body in pieces, perhaps without an end.
    pub(crate) fn pieces(pieces: impl IntoIterator<Item = Vec<u8>, IntoIter: Send + 'static>) -> Self {
        Self { status: 200, headers: Vec::new(), pieces: Box::new(pieces.into_iter()) }
    }

    /// A body.
    pub(crate) fn body(body: impl Into<Vec<u8>>) -> Self {
        Self::pieces([body.into()])
    }

    /// With another status than 200.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Script = dyn Fn(&Received) -> Option<Answer> + Send + Sync;

/// The server and a folder to work in.
pub(crate) struct Raw {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
    pub(crate) folder: TempDir,
}

impl Raw {
    /// Starts it; where `script` has no answer, there is the usual one.
    pub(crate) fn start(script: impl Fn(&Received) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&received));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                thread::spawn(move || serve(&connection, &log, &*script));
            }
        });
        Self { address, received, folder: tempfile::tempdir().expect("a scratch folder") }
    }

    /// `http://127.0.0.1:…`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls so far of paths that contain `part`.
    pub(crate) fn received(&self, part: &str) -> Vec<Received> {
        let received = self.received.lock().expect("no script panics");
        received.iter().filter(|call| call.is(part)).cloned().collect()
    }

    /// Where jobs write.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A job against this server.
    pub(crate) fn job(&self, line: &str) -> Program {
        Program::at(self.folder.path())
            .variable("CRITEO_API_URL", self.url())
            .variable("CRITEO_CLIENT_ID", "the-client-id")
            .variable("CRITEO_CLIENT_SECRET", SECRET)
            .words(&format!("{line} --as-of {TODAY} --format json --output"))
            .word(self.output())
    }
}

fn serve(mut connection: &TcpStream, log: &Mutex<Vec<Received>>, script: &Script) {
    let Some(received) = read(connection) else { return };
    log.lock().expect("no script panics").push(received.clone());
    let Answer { status, headers, pieces } = script(&received).unwrap_or_else(|| usual(&received));
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name == "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    // A client that has gone away is the client's business.
    let mut sent = connection.write_all(format!("{head}\r\n").as_bytes());
    for piece in pieces {
        if sent.is_err() {
            return;
        }
        sent = connection.write_all(&piece);
    }
}

fn usual(received: &Received) -> Answer {
    let body = if received.is("/oauth2/token") {
        json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 900, "refresh_token": null})
    } else if received.is("/advertisers/me") {
        json!({"data": [{"type": "advertiser", "id": "10", "attributes": {"advertiserName": "Ten"}}]})
    } else {
        json!({"data": []})
    };
    Answer::body(body.to_string())
}

fn read(connection: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(connection);
    let (mut line, mut head) = (String::new(), String::new());
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = line.replace("/2026-07", "").trim().to_owned();
    Some(Received { line, head, body: String::from_utf8(body).ok()? })
}
