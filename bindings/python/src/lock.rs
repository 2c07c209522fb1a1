//! Python's lock, for code that others call: a stream is read by whoever has it, on any thread, with the lock or without.

use pyo3::{Python, ffi};

/// Does work with Python's lock; nothing is done where there is no Python any more.
///
/// pyo3 alone cannot know whether this thread has the lock. It counts its own frames: where one of them further up has called
/// Python, and what was called has released the lock (as pyarrow does while it reads), it takes the lock for held. The interpreter
/// itself knows.
#[expect(unsafe_code, reason = "the interpreter is asked, past pyo3's count")]
pub(crate) fn with<R>(work: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    struct Held(ffi::PyGILState_STATE);
    impl Drop for Held {
        fn drop(&mut self) {
            // SAFETY: it is the other half of the call below, on the same thread, in the reverse order.
            unsafe { ffi::PyGILState_Release(self.0) }
        }
    }
    // SAFETY: this may be called at any time, on any thread.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return None;
    }
    // SAFETY: there is an interpreter, and this may be called on any thread, whether it has the lock or not.
    let _held = Held(unsafe { ffi::PyGILState_Ensure() });
    Python::try_attach(work)
}
