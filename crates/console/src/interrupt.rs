//! Ctrl-C: the first one asks the work to stop at a safe point, the second one ends the process.

use crate::complain;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Starts to watch for Ctrl-C (and termination). Call once, before the work starts.
pub fn watch_interrupts() {
    let installed = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        complain(&"stopping at the next safe point; press Ctrl-C again to stop at once");
    });
    // Without a handler Ctrl-C ends the process, which every command has to survive anyway.
    drop(installed);
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
