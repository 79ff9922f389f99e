//! What a test logs. Other tests log nothing meanwhile, and share its process.

use std::sync::{Arc, Once};

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

static LISTENING: Once = Once::new();

/// What is logged while `run` runs.
pub(crate) fn captured(run: impl FnOnce()) -> String {
    // Whoever first comes by an event decides whether it is ever looked at again, and with one subscriber asks that of its own thread only: a test that
    // captures nothing would decide for all. Where there is another for all threads both are asked.
    LISTENING.call_once(|| {
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(LevelFilter::INFO));
    });
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let writer = move || Sink(Arc::clone(&sink));
    let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).without_time().finish();
    tracing::subscriber::with_default(subscriber, run);
    let log = log.lock();
    String::from_utf8_lossy(&log).into_owned()
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
