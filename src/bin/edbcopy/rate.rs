//! The rate of a copy, from the command line and from a file that may change while it runs.

use console::{Failure, complain, values};
use ese_scan::RateLimit;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Bytes a second; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) Option<NonZeroU64>);

/// A rate as a person writes it: `50MiB/s`, `50MiB`, `unlimited`.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("unlimited") {
        return Ok(Rate(None));
    }
    values::rate(text).map(|rate| Rate(Some(rate)))
}

/// A file that holds the rate in force; watched until this is dropped.
pub(crate) struct ControlFile {
    stop: Option<Sender<()>>,
    watcher: Option<JoinHandle<()>>,
}

impl ControlFile {
    /// Takes the rate from `path` now, and whenever it changes.
    pub(crate) fn watch(path: &Path, limit: Arc<RateLimit>) -> Result<Self, Failure> {
        let mut text = fs::read_to_string(path).map_err(|error| Failure::io(path, &error))?;
        apply(path, &text, &limit);
        let path: PathBuf = path.to_owned();
        let (stop, stopped) = channel();
        let watcher = std::thread::spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // A file that is gone for a moment, while an editor replaces it, changes nothing.
                match fs::read_to_string(&path) {
                    Ok(now) if now != text => {
                        apply(&path, &now, &limit);
                        text = now;
                    }
                    _ => {}
                }
            }
        });
        Ok(ControlFile {
            stop: Some(stop),
            watcher: Some(watcher),
        })
    }
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(watcher) = self.watcher.take() {
            // It ends when the channel does; that it panicked changes nothing for the copy.
            let _ = watcher.join();
        }
    }
}

/// What cannot be understood is said, and the rate stays as it is.
fn apply(path: &Path, text: &str, limit: &RateLimit) {
    match parse_rate(text) {
        Ok(Rate(rate)) => limit.set(rate),
        Err(why) => {
            let path = path.display();
            complain(&format_args!(
                "{path}: not a rate: {why}; the rate stays as it is"
            ));
        }
    }
}
