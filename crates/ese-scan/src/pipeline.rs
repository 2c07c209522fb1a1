//! Reads chunks of a file on several threads and hands the results over in file order.
//!
//! A worker takes a buffer, then the number of the next chunk, reads and checks the chunk, and sends the result with
//! the buffer to the calling thread. Because the buffer comes before the number, the lowest chunk under way always
//! has one, so the calling thread, which waits for exactly that chunk, never waits for a buffer that it holds itself.

use crate::Buffer;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What came of one chunk: `T`, and the buffer it was read into.
struct Done<T> {
    number: u64,
    result: T,
    buffer: Buffer,
}

/// Runs `work(number, buffer)` for chunks `first..end` on `threads` threads, and `collect(number, result, buffer)` on
/// the calling thread in the order of their numbers. When `collect` returns `false` the rest is not begun.
pub(crate) fn in_order<T: Send>(
    chunks: std::ops::Range<u64>,
    threads: usize,
    work: impl Fn(u64, &mut Buffer) -> T + Sync,
    mut collect: impl FnMut(u64, T, &[u8]) -> bool,
) {
    let buffers = threads * 2 + 1;
    let (free, take_free) = bounded::<Buffer>(buffers);
    let (finish, finished) = bounded::<Done<T>>(buffers);
    for _ in 0..buffers {
        // The channel holds exactly as many.
        let _ = free.send(Buffer::default());
    }
    let next = AtomicU64::new(chunks.start);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (finish, take_free) = (finish.clone(), take_free.clone());
            let (next, stop, work) = (&next, &stop, &work);
            scope.spawn(move || {
                while let Ok(mut buffer) = take_free.recv() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= chunks.end || stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let result = work(number, &mut buffer);
                    let done = Done {
                        number,
                        result,
                        buffer,
                    };
                    if finish.send(done).is_err() {
                        break;
                    }
                }
            });
        }
        drop((finish, take_free));
        hand_over(chunks.start, &finished, free, |number, result, buffer| {
            let go_on = collect(number, result, buffer);
            stop.store(!go_on, Ordering::Relaxed);
            go_on
        });
    });
}

/// Takes results as they come, and passes them on in order. Dropping the channels ends the workers.
fn hand_over<T>(
    first: u64,
    finished: &Receiver<Done<T>>,
    free: Sender<Buffer>,
    mut collect: impl FnMut(u64, T, &[u8]) -> bool,
) {
    let mut waiting = BTreeMap::new();
    let mut expected = first;
    for done in finished {
        waiting.insert(done.number, (done.result, done.buffer));
        while let Some((result, buffer)) = waiting.remove(&expected) {
            if !collect(expected, result, &buffer) {
                return;
            }
            expected += 1;
            // No worker is left when the last chunk is done.
            let _ = free.send(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in 1..6 {
            let mut seen = Vec::new();
            let work = |number: u64, buffer: &mut Buffer| {
                buffer.resize(8);
                buffer.copy_from_slice(&number.to_le_bytes());
                std::thread::sleep(std::time::Duration::from_micros(number * 37 % 90));
                number * 2
            };
            in_order(3..200, threads, work, |number, result, buffer| {
                assert_eq!((result, buffer), (number * 2, &number.to_le_bytes()[..]));
                seen.push(number);
                true
            });
            assert_eq!(seen, (3..200).collect::<Vec<_>>());
        }
    }

    #[test]
    fn stopping_early_ends_the_workers() {
        let mut seen = 0;
        in_order(
            0..u64::MAX,
            4,
            |number, _| number,
            |_, _, _| {
                seen += 1;
                seen < 10
            },
        );
        assert_eq!(seen, 10);
    }
}
