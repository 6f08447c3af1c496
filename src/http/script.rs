//! A scripted server for tests: it answers each request on a loopback port with the next line of its script, and
//! remembers what it was asked. It is not a web server: one request per connection, raw bytes out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends these bytes and closes the connection.
    Raw(Vec<u8>),
    /// Closes the connection so that the client sees a reset, after sending these bytes.
    Reset(Vec<u8>),
    /// Sends these bytes and then nothing, for good.
    Stall(Vec<u8>),
}

impl Act {
    /// A whole answer; `headers` are lines without their line ends.
    pub(crate) fn answer(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let lines: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{lines}content-length: {}\r\n\r\n", body.len());
        Self::Raw([head.as_bytes(), body].concat())
    }

    /// The first `keep` bytes of an answer.
    pub(crate) fn cut(self, keep: usize) -> Vec<u8> {
        let (Self::Raw(mut bytes) | Self::Reset(mut bytes) | Self::Stall(mut bytes)) = self;
        bytes.truncate(keep);
        bytes
    }
}

/// The server; it runs until the test's runtime ends.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Answers with `acts`, one after the other, and with the last one from then on.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let script = Self { address, requests: Arc::default() };
        let requests = Arc::clone(&script.requests);
        tokio::spawn(async move {
            let mut acts = VecDeque::from(acts);
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = read_request(&mut stream).await else { continue };
                requests.lock().expect("no panic while locked").push(request);
                let act = if acts.len() > 1 { acts.pop_front() } else { acts.front().cloned() };
                tokio::spawn(perform(stream, act.expect("a script has at least one act")));
            }
        });
        script
    }

    /// An address on this server.
    pub(crate) fn url(&self, path: &str) -> reqwest::Url {
        format!("http://{}{path}", self.address).parse().expect("a valid address")
    }

    /// The requests so far, head and body, head in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic while locked").clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(format!("{head}\n\n{body}"));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn perform(mut stream: TcpStream, act: Act) {
    match act {
        Act::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Reset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.set_zero_linger();
        }
        Act::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
    }
}
