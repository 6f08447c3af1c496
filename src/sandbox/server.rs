//! The sandbox as a server on the loopback interface.
//!
//! Here the gateway's replies become bytes on a connection, including the ways a connection can fail. A connection can
//! be told to reset: the next write closes it with `SO_LINGER` zero, so that the client sees a TCP RST rather than an
//! orderly end.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::gateway::{Delivery, Exchange, Gateway, Reply};
use crate::clock::Clock;

/// A server that runs until it is told to stop.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(gateway: Arc<Gateway>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Router::new().fallback(call).with_state(gateway).into_make_service_with_connect_info::<Line>();
        let serving = axum::serve(Doorman(listener), service).with_graceful_shutdown(async {
            // A dropped sender stops the server as well.
            let _ = stopped.await;
        });
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::warn!(%error, "the sandbox stopped");
            }
        });
        Ok(Self { address, stop, task })
    }

    /// Accepts no more calls; running ones get half a second.
    pub(super) async fn stop(mut self) {
        let _ = self.stop.send(());
        if tokio::time::timeout(Duration::from_millis(500), &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// The largest request body that is read.
const LARGEST_REQUEST: usize = 16 * 1024 * 1024;

async fn call(State(gateway): State<Arc<Gateway>>, ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_REQUEST).await.unwrap_or_default().to_vec();
    let text = |name| text_of(&parts.headers, name);
    let exchange = Exchange {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
        body,
    };
    let clock = gateway.clock.clone();
    let answering = tokio::task::spawn_blocking(move || gateway.handle(&exchange));
    match answering.await {
        Ok(reply) => response(reply, &line, clock),
        Err(panic) => {
            tracing::error!(%panic, "the sandbox failed to answer");
            response(Reply::json(500, Vec::new()), &line, clock)
        }
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn response(reply: Reply, line: &Line, clock: Clock) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::builder().status(status).header(header::CONTENT_TYPE, reply.content_type);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let body = delivered(Bytes::from(reply.body), reply.delivery, line, clock);
    response.body(body).unwrap_or_else(|_| Response::new(Body::empty()))
}

fn delivered(body: Bytes, delivery: Delivery, line: &Line, clock: Clock) -> Body {
    let half = body.slice(..body.len() / 2);
    match delivery {
        Delivery::Whole => Body::from(body),
        Delivery::Never => {
            line.reset();
            Body::empty()
        }
        Delivery::ResetMidway => {
            let line = line.clone();
            let breaking = stream::once(async move {
                // Lets the half that was written leave before the line breaks.
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
                line.reset();
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            });
            Body::from_stream(stream::iter([Ok(half)]).chain(breaking))
        }
        Delivery::StallMidway => Body::from_stream(stream::iter([Ok::<_, Infallible>(half)]).chain(stream::pending())),
        Delivery::Drip { millis } => Body::from_stream(drip(body, Duration::from_millis(millis), clock)),
        Delivery::Padded { bytes } => Body::from_stream(padding(bytes).chain(stream::iter([Ok(body)]))),
    }
}

fn drip(body: Bytes, pause: Duration, clock: Clock) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let size = body.len().div_ceil(32).max(1);
    stream::unfold(body, move |mut rest| {
        let clock = clock.clone();
        async move {
            if rest.is_empty() {
                return None;
            }
            clock.sleep(pause).await;
            let piece = rest.split_to(size.min(rest.len()));
            Some((Ok(piece), rest))
        }
    })
}

fn padding(bytes: usize) -> impl Stream<Item = Result<Bytes, Infallible>> {
    const BLOCK: &[u8] = &[b' '; 64 * 1024];
    stream::unfold(bytes, |left| async move {
        let size = left.min(BLOCK.len());
        (size > 0).then(|| (Ok(Bytes::from_static(&BLOCK[..size])), left - size))
    })
}

/// What the handler holds of a connection: the means to break it.
#[derive(Clone, Debug, Default)]
struct Line(Arc<AtomicBool>);

impl Line {
    fn reset(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_reset(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Connected<IncomingStream<'_, Doorman>> for Line {
    fn connect_info(stream: IncomingStream<'_, Doorman>) -> Self {
        stream.io().line.clone()
    }
}

/// Accepts connections and gives each its line.
struct Doorman(TcpListener);

impl Listener for Doorman {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small replies should not wait for more bytes.
        let _ = stream.set_nodelay(true);
        (Wire { stream, line: Line::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that can be made to break.
struct Wire {
    stream: TcpStream,
    line: Line,
}

impl Wire {
    fn intact(&self) -> io::Result<()> {
        if !self.line.is_reset() {
            return Ok(());
        }
        let _ = self.stream.set_zero_linger();
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.intact()?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.intact()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.intact()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.intact()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
