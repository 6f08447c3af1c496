//! A successful answer whose body is still on the wire, and what may go wrong while reading it.

use std::error::Error;
use std::fmt;

use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

/// A 2xx answer, to be read to its end.
#[derive(Debug)]
pub struct Response(reqwest::Response);

impl Response {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self(response)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The next piece of the body, decompressed; `None` at its end.
    ///
    /// A body that ends early, stalls or does not decompress is a retryable error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ReadError> {
        self.0.chunk().await.map_err(ReadError::from)
    }

    /// The whole body; more than `max` bytes are a fatal error.
    pub async fn bytes_limited(mut self, max: usize) -> Result<Bytes, ReadError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > max {
                return Err(ReadError::fatal(TooLong { max }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The beginning of the body, as much of it as arrives: for error pages.
    pub(super) async fn beginning(mut self, max: usize) -> Bytes {
        let mut body = BytesMut::new();
        while let Ok(Some(chunk)) = self.0.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(max - body.len())]);
            if body.len() == max {
                break;
            }
        }
        body.freeze()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than {max} bytes")]
struct TooLong {
    max: usize,
}

/// A body that could not be read; says whether sending the request again may help.
pub struct ReadError {
    retryable: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl ReadError {
    /// Sending the request again may help (a body cut short, a document that ends early).
    pub fn retry(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { retryable: true, source: source.into() }
    }

    /// Sending the request again cannot help (an unknown shape, a value of the wrong type).
    pub fn fatal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { retryable: false, source: source.into() }
    }

    /// Whether sending the request again may help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// What the reader said, for `downcast`.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.source
    }

    /// What the reader said, for `downcast_ref`.
    pub fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl From<reqwest::Error> for ReadError {
    fn from(error: reqwest::Error) -> Self {
        Self::retry(error.without_url())
    }
}

impl fmt::Debug for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadError").field("retryable", &self.retryable).field("source", &self.source).finish()
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(formatter)
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
