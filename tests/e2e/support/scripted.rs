//! A loopback server with scripted answers, for shapes that the sandbox cannot produce.
//!
//! It grants every token and lists one advertiser; everything else a test scripts. One answer per connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::TODAY;
use super::program::Program;

/// The token that every request gets.
pub(crate) const TOKEN: &str = "scripted-token-1f6e";
/// The one advertiser.
pub(crate) const ADVERTISER: &str = "10";

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Path and query, without the version.
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// What goes back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// A good answer.
    pub(crate) fn ok(body: &dyn ToString) -> Self {
        Self::status(200, body)
    }

    /// A refusal or an outage.
    pub(crate) fn status(status: u16, body: &dyn ToString) -> Self {
        Self { status, headers: String::new(), body: body.to_string().into_bytes() }
    }

    /// The same with one more header.
    pub(crate) fn with_header(mut self, name: &str, value: &dyn ToString) -> Self {
        self.headers.extend([name, ": ", &value.to_string(), "\r\n"]);
        self
    }
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A scripted server and a folder to work in.
pub(crate) struct Scripted {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    pub(crate) folder: TempDir,
}

impl Scripted {
    /// Starts it; `script` answers everything but tokens and the list of advertisers.
    pub(crate) fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_all(move |asked| match asked.path.as_str() {
            "/advertisers/me" => Reply::ok(&json!({"data": [
                {"type": "advertiser", "id": ADVERTISER, "attributes": {"advertiserName": "Ten"}}], "errors": [], "warnings": []})),
            _ => script(asked),
        })
    }

    /// Starts it; `script` answers everything but tokens.
    pub(crate) fn start_all(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&asked));
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                thread::spawn(move || serve(&connection, &log, &*script));
            }
        });
        Self { address, asked, folder: tempfile::tempdir().expect("a scratch folder") }
    }

    /// Everything asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no script panics").clone()
    }

    /// Where jobs write.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A job against this server.
    pub(crate) fn job(&self, line: &str) -> Program {
        Program::at(self.folder.path())
            .variable("CRITEO_API_URL", format!("http://{}", self.address))
            .variable("CRITEO_CLIENT_ID", "id")
            .variable("CRITEO_CLIENT_SECRET", "scripted-secret")
            .words(&format!("{line} --as-of {TODAY} --format json --output"))
            .word(self.output())
    }
}

fn serve(mut connection: &TcpStream, log: &Mutex<Vec<Asked>>, script: &Script) {
    let Some(asked) = read(connection) else { return };
    log.lock().expect("no script panics").push(asked.clone());
    let reply = match asked.path.as_str() {
        "/oauth2/token" => {
            Reply::ok(&json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 900, "refresh_token": null}))
        }
        _ => script(&asked),
    };
    let head = format!(
        "HTTP/1.1 {} X\r\ncontent-type: application/json\r\n{}content-length: {}\r\nconnection: close\r\n\r\n",
        reply.status,
        reply.headers,
        reply.body.len()
    );
    // A client that has gone away is the client's business.
    let _ = connection.write_all(&[head.as_bytes(), &reply.body].concat());
}

fn read(connection: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
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
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = path.strip_prefix("/2026-07").unwrap_or(&path).to_owned();
    Some(Asked { path, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
