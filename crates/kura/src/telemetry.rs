//! Logs: to standard error, for people on a terminal, as JSON otherwise.

use std::io::{IsTerminal, stderr};

use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

use crate::config::LogFormat;

/// Whose events are never logged, whatever the filter says: the library that speaks S3 tells its log what the right signature of a request would have
/// been.
const SECRETIVE: &str = "s3s";

/// Logs from here on. Called once.
pub(crate) fn log_to_stderr(format: LogFormat, level: &str) {
    let json = match format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    log_to(stderr, json, stderr().is_terminal(), level).init();
}

fn log_to<W>(writer: W, json: bool, ansi: bool, level: &str) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::new(level).and(filter_fn(|of: &Metadata<'_>| !is_secretive(of.target())));
    let layer = fmt::layer().with_writer(writer);
    if json {
        let layer = layer.json().flatten_event(true).with_span_list(false);
        Box::new(registry().with(layer.with_filter(filter)))
    } else {
        Box::new(registry().with(layer.with_ansi(ansi).with_target(false).with_filter(filter)))
    }
}

fn is_secretive(target: &str) -> bool {
    target.split("::").next() == Some(SECRETIVE)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, level: &str, what: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        tracing::subscriber::with_default(log_to(move || writer.clone(), json, false, level), what);
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_is_said_about_a_request_names_it() {
        for json in [true, false] {
            let text = logged(json, "info", || {
                tracing::info_span!("request", id = "of-its-client").in_scope(|| tracing::info!("said"));
            });
            assert!(text.contains("of-its-client") && text.contains("said"), "{text}");
        }
    }

    #[test]
    fn what_tells_secrets_is_not_logged_whatever_the_filter_says() {
        for (json, level) in [(true, "trace"), (false, "s3s=trace,s3s::ops=trace,info")] {
            let text = logged(json, level, || {
                tracing::error!(target: "s3s::ops::signature", "hush");
                tracing::error!(target: "s3s", "hush");
                tracing::info!("heard");
            });
            assert!(text.contains("heard") && !text.contains("hush"), "{text}");
        }
    }
}
