//! A report's body, decoded while it arrives.
//!
//! Decoding is work for a thread of its own, but answers are slow to arrive and quick to decode. A thread is taken for what
//! has arrived, while more arrives, so that dozens of answers under way need no more threads than one.

use bytes::Bytes;
use futures_util::future;
use tokio::task::{JoinError, spawn_blocking};

use crate::http::{ReadError, Response};
use crate::table::decode::{DecodeError, DecodedReport, ReportDecoder};

/// Bytes that are worth a thread's attention. While they are decoded as many more are read, and no further: a slow decoder
/// stops the socket.
const BATCH_BYTES: usize = 512 << 10;
/// Bytes that a chunk counts for, even if it has fewer.
const LEAST_COUNTED_BYTES: usize = 256;

/// What the decoder saw of a body.
pub(super) enum Decoded {
    Whole(DecodedReport),
    /// It need not be read to its end.
    Capped {
        rows: u64,
    },
}

/// Decodes a body to its end, or to `cap` rows.
pub(super) async fn decode(
    mut response: Response,
    mut decoder: ReportDecoder,
    cap: Option<u64>,
) -> Result<Decoded, ReadError> {
    let decoded = async {
        let mut batch = Batch::read(&mut response).await?;
        while !batch.is_last {
            let decoding = spawn_blocking(move || feed(decoder, &batch, cap));
            let decoding = async { decoding.await.map_err(Stop::from)? };
            (decoder, batch) = future::try_join(decoding, Batch::read(&mut response)).await?;
        }
        let last = move || feed(decoder, &batch, cap)?.finish().map_err(Stop::from);
        spawn_blocking(last).await?
    };
    match decoded.await {
        Ok(report) => Ok(Decoded::Whole(report)),
        Err(Stop::Capped { rows }) => Ok(Decoded::Capped { rows }),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why nothing more is read.
enum Stop {
    Capped { rows: u64 },
    Failed(ReadError),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Failed(if error.is_retryable() { ReadError::retry(error) } else { ReadError::fatal(error) })
    }
}

impl From<JoinError> for Stop {
    fn from(error: JoinError) -> Self {
        Self::Failed(ReadError::fatal(error))
    }
}

/// A part of a body.
#[derive(Default)]
struct Batch {
    chunks: Vec<Bytes>,
    /// The body ends with it.
    is_last: bool,
}

impl Batch {
    async fn read(response: &mut Response) -> Result<Self, Stop> {
        let (mut batch, mut bytes) = (Self::default(), 0);
        while bytes < BATCH_BYTES {
            let Some(chunk) = response.chunk().await? else {
                batch.is_last = true;
                break;
            };
            // Also chunks of a few bytes take memory, and there may be very many.
            bytes += chunk.len().max(LEAST_COUNTED_BYTES);
            batch.chunks.push(chunk);
        }
        Ok(batch)
    }
}

fn feed(mut decoder: ReportDecoder, batch: &Batch, cap: Option<u64>) -> Result<ReportDecoder, Stop> {
    for chunk in &batch.chunks {
        decoder.feed(chunk)?;
        if cap.is_some_and(|cap| decoder.rows() >= cap) {
            return Err(Stop::Capped { rows: decoder.rows() });
        }
    }
    Ok(decoder)
}
