//! Exchanges under way that must not be cut off: a refresh token may be worthless once it was sent, and its successor is
//! known only from the answer. They run as tasks of their own, and the process waits for them before it ends.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;

/// How long the end of the process waits: schedulers kill what has not ended within half a minute or a minute.
const PATIENCE: Duration = Duration::from_mins(1);

static UNDER_WAY: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// An exchange that is under way for as long as this is kept.
#[derive(Debug)]
pub(super) struct UnderWay(());

/// The exchange is about to be sent.
pub(super) fn begin() -> UnderWay {
    UNDER_WAY.send_modify(|count| *count += 1);
    UnderWay(())
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Waits until every exchange of a refresh token has been answered and what it brought is stored, a minute at most. To be
/// called before the runtime ends, which would drop them.
pub async fn finish_exchanges() {
    let mut count = UNDER_WAY.subscribe();
    if *count.borrow_and_update() > 0 {
        tracing::info!("waiting for the exchange of a refresh token to be finished");
    }
    if tokio::time::timeout(PATIENCE, count.wait_for(|count| *count == 0)).await.is_err() {
        tracing::warn!(
            "the token endpoint has not answered the exchange of a refresh token; its new token may be lost"
        );
    }
}
