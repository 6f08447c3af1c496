//! SIGINT and SIGTERM: the first asks a run to stop cleanly, the second ends the process at once. SIGXFSZ: a file that
//! grows beyond a limit is a failed write, which is reported, and not the end of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What has been received so far; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals(Arc<AtomicU8>);

/// By convention a process that a signal ended exits with 128 and the signal's number.
const EXIT_BASE: u8 = 128;
const INTERRUPT: u8 = 2;
const TERMINATE: u8 = 15;

impl Signals {
    /// Resolves when the first signal arrives; from then on, a second one exits the process.
    pub(super) async fn first(self) {
        let Some(mut signals) = Listener::new() else { return std::future::pending().await };
        let signal = signals.next().await;
        self.0.store(signal, Ordering::Relaxed);
        tokio::spawn(async move {
            let again = signals.next().await;
            std::process::exit((EXIT_BASE + again).into());
        });
    }

    /// The exit code of a process that was told to stop, if it was.
    pub(super) fn exit_code(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(EXIT_BASE + signal),
        }
    }
}

/// From now on a write beyond the limit on the size of files fails; by default the kernel ends the process instead.
pub(super) fn outlive_file_size_limits() {
    /// The number on Linux (but MIPS), macOS and the BSDs (`man 7 signal`).
    #[cfg(unix)]
    const FILE_SIZE_EXCEEDED: i32 = 25;
    #[cfg(unix)]
    if let Err(error) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(FILE_SIZE_EXCEEDED)) {
        tracing::debug!(%error, "a limit on the size of files would end the process");
    }
}

#[cfg(unix)]
struct Listener {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Listener {
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => TERMINATE,
        }
    }
}

#[cfg(not(unix))]
struct Listener;

#[cfg(not(unix))]
impl Listener {
    fn new() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) -> u8 {
        let _ = (tokio::signal::ctrl_c().await, TERMINATE);
        INTERRUPT
    }
}
