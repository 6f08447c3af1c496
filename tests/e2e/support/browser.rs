//! As much of a browser as a sign-in needs: one request, one answer, and the address that it points to.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    /// The header lines, in lower case up to their values.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Shown {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Visits an `http` address.
pub(crate) fn visit(url: &str) -> Shown {
    send("GET", url, "")
}

/// Presses a button of the form at an `http` address, and returns where that leads.
pub(crate) fn press(url: &str, button: &str) -> String {
    let shown = send("POST", url, button);
    assert_eq!(shown.status, 302, "{shown:?}");
    shown.header("location").expect("an address").to_owned()
}

fn send(method: &str, url: &str, body: &str) -> Shown {
    let rest = url.strip_prefix("http://").expect("an http address");
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{url}: {error}"));
    let length = body.len();
    let form = "content-type: application/x-www-form-urlencoded";
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{form}\r\ncontent-length: {length}");
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Shown { status, head: head.to_owned(), body: body.to_owned() }
}
