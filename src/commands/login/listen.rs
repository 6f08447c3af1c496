//! The address on this machine that the consent page sends the browser back to.
//!
//! Browsers resolve `localhost` to 127.0.0.1 or to `::1`, so both are listened on. Visits are handed to the sign-in, which
//! alone knows what they mean; here they are only received and answered.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::page::{Page, Tone};

/// How long the last page may take to reach the browser.
const FAREWELL: Duration = Duration::from_secs(2);

/// A visit of the redirect address.
pub(super) struct Visit {
    /// The query of the address.
    pub(super) query: String,
    answer: oneshot::Sender<Page>,
}

impl Visit {
    /// Shows a page to the visitor, who may have gone away.
    pub(super) fn answer(self, page: Page) {
        let _ = self.answer.send(page);
    }
}

/// The port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}{}", holder.as_ref().map(|holder| format!(", which {holder} listens on")).unwrap_or_default())]
pub(super) struct ListenError {
    address: SocketAddr,
    holder: Option<String>,
    source: io::Error,
}

/// Listens until it is closed.
pub(super) struct Listener {
    visits: mpsc::Receiver<Visit>,
    close: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

struct Shared {
    path: String,
    consent_url: String,
    visits: mpsc::Sender<Visit>,
}

impl Listener {
    /// Listens on both loopback addresses. A visit of `path` is one of [`Listener::next`]; the root leads to `consent_url`.
    pub(super) async fn open(port: u16, path: &str, consent_url: &str) -> Result<Self, ListenError> {
        let sockets = bind(port).await?;
        let (sender, visits) = mpsc::channel(8);
        let shared = Shared { path: path.to_owned(), consent_url: consent_url.to_owned(), visits: sender };
        let router = Router::new().fallback(receive).with_state(Arc::new(shared));
        let (close, closed) = watch::channel(false);
        let serve = |socket| {
            let (router, mut closed) = (router.clone(), closed.clone());
            tokio::spawn(async move {
                let serving = axum::serve(socket, router).with_graceful_shutdown(async move {
                    // An error means that the listener was dropped, which closes it as well.
                    let _ = closed.wait_for(|closed| *closed).await;
                });
                if let Err(error) = serving.await {
                    tracing::debug!(%error, "the listener ended");
                }
            })
        };
        Ok(Self { visits, close, servers: sockets.into_iter().map(serve).collect() })
    }

    /// The next visit.
    pub(super) async fn next(&mut self) -> Visit {
        match self.visits.recv().await {
            Some(visit) => visit,
            // Cannot be: the servers keep a sender until they are closed.
            None => std::future::pending().await,
        }
    }

    /// Stops listening once the pages under way are delivered.
    pub(super) async fn close(mut self) {
        self.visits.close();
        while let Ok(visit) = self.visits.try_recv() {
            visit.answer(over());
        }
        let _ = self.close.send(true);
        let all = futures_util::future::join_all(self.servers.iter_mut());
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            self.servers.iter().for_each(JoinHandle::abort);
        }
    }
}

fn over() -> Page {
    Page::new(Tone::Neutral, "This sign-in is over", &["See the other tab, or the terminal, for how it ended."])
}

async fn bind(port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let mut sockets = Vec::new();
    for host in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let address = SocketAddr::new(host, port);
        match TcpListener::bind(address).await {
            Ok(socket) => sockets.push(socket),
            Err(source) if source.kind() == io::ErrorKind::AddrInUse || host.is_ipv4() => {
                return Err(ListenError { address, holder: holder(port), source });
            }
            // No IPv6 on this machine.
            Err(error) => tracing::debug!(%address, %error, "not listening there"),
        }
    }
    Ok(sockets)
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if path == shared.path {
        let (answer, answered) = oneshot::channel();
        let visit = Visit { query: query.to_owned(), answer };
        let page = match shared.visits.send(visit).await {
            Ok(()) => answered.await.unwrap_or_else(|_| over()),
            Err(_) => over(),
        };
        return respond(page);
    }
    if path == "/" {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, shared.consent_url.clone())]).into_response();
    }
    let nothing = Page::new(Tone::Bad, "Nothing is here", &["The sign-in waits at another address of this machine."]);
    respond(Page { status: 404, ..nothing })
}

/// Never kept by the browser, never sent on: the address holds a code.
fn respond(page: Page) -> Response {
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::OK);
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONNECTION, "close"),
    ];
    (status, headers, page.html).into_response()
}

/// The process that listens on a port, where the system tells us.
#[cfg(target_os = "linux")]
fn holder(port: u16) -> Option<String> {
    let inodes: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening(table, port)).collect();
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    processes.into_iter().find_map(|process| {
        let files = std::fs::read_dir(process.path().join("fd")).ok()?.filter_map(Result::ok);
        let mut links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        let has = |link: std::path::PathBuf| {
            inodes.iter().any(|inode| link.as_os_str() == format!("socket:[{inode}]").as_str())
        };
        links.any(has).then_some(())?;
        let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("`{}` (process {})", name.trim(), process.file_name().to_string_lossy()))
    })
}

/// The sockets that listen on a port, by a table of the kernel (`man 5 proc`).
#[cfg(target_os = "linux")]
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTENS: &str = "0A";
    let text = std::fs::read_to_string(table).unwrap_or_default();
    let sockets = text.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (address, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let is_wanted = *state == LISTENS && address.rsplit(':').next() == Some(&format!("{port:04X}"));
        is_wanted.then(|| (*inode).to_owned())
    });
    sockets.collect()
}

#[cfg(not(target_os = "linux"))]
fn holder(_: u16) -> Option<String> {
    None
}
