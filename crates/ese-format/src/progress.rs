//! How a library reports its progress to its caller, and learns that it should stop.
//!
//! Libraries never print and never look at signals; the programs implement this trait with a progress bar and the
//! Ctrl-C flag.

/// What a long operation calls as it goes. Implementations are called from several threads at once.
pub trait Progress: Sync {
    /// `bytes` more bytes of input are done.
    fn advance(&self, bytes: u64);

    /// A step begins that takes `total` bytes of input, of which an earlier run has done `done`.
    fn begin(&self, total: u64, done: u64) {
        let _ = total;
        self.advance(done);
    }

    /// Whether the operation should end at the next safe point.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Nobody is watching.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}
