//! A progress bar on standard error, when that is a terminal.

use crate::{complain, interrupted};
use ese_format::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Bytes done, rate and time left; invisible unless standard error is a terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for `total` bytes of `what`.
    pub fn new(total: u64, what: &str) -> Self {
        let bar = ProgressBar::new(total).with_message(what.to_owned());
        let template = "{msg} [{wide_bar}] {bytes}/{total_bytes} {binary_bytes_per_sec} ETA {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
    }

    /// A bar that never shows.
    pub fn hidden() -> Self {
        Bar(ProgressBar::hidden())
    }

    /// Prints a line above the bar.
    pub fn note(&self, line: &str) {
        self.0.suspend(|| complain(&line));
    }
}

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn should_stop(&self) -> bool {
        interrupted()
    }
}

/// A bar that is dropped leaves no trace on the terminal.
impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
