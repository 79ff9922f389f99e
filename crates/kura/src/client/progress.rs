//! A bar for long bodies, where there is somebody to see it.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bodies below this many bytes are there before a bar could be read.
const LONG: u64 = 1 << 20;

/// A bar on standard error; one that is not shown where that is no terminal, or the body is short.
pub(super) fn bar(length: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() || length.is_some_and(|length| length < LONG) {
        return ProgressBar::hidden();
    }
    let template = match length {
        Some(_) => "{bytes} of {total_bytes} [{wide_bar}] {bytes_per_sec}, {eta} left",
        None => "{bytes} {spinner} {bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr()).with_style(style)
}
