//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends at once. What was acknowledged survives both.
//! SIGXFSZ, which a write beyond the limit of file sizes raises, ends nothing: that write fails, as on a full filesystem.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How a process that was told twice exits: as the shell reports SIGINT.
const EXIT_AT_ONCE: i32 = 130;

/// Signals are kept from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Kept only so that the system does not end the process.
    _file_too_large: Signal,
}

impl Signals {
    /// # Errors
    /// As the system says.
    pub(crate) fn install() -> io::Result<Signals> {
        let file_too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_too_large: signal(file_too_large)?,
        })
    }

    /// The next of them.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// From here on, one more ends the process at once.
    pub(crate) fn exit_on_next(mut self) {
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "told twice: stopping at once; nothing acknowledged is lost");
            std::process::exit(EXIT_AT_ONCE);
        });
    }
}
