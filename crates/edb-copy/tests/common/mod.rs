//! What the tests of copies share: databases of any size, sources that fail.
#![allow(dead_code, reason = "each test uses a part of it")]

use edb_copy::{BadPages, CopyError, CopyOptions, CopyReport, FileCopy, ReadPolicy};
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use evidence::{ReadError, Retry, SourceFile, Stamp};
use jiff::Timestamp;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use target_disk::Disk;

/// Bytes in a page of [`database`].
pub(crate) const PAGE: usize = 4096;

/// A clean database of `pages` pages: real headers, sealed pages of noise.
pub(crate) fn database(pages: usize, seed: u64) -> Vec<u8> {
    let path = fixtures::testdata_set("clean-p4k").join("state/db.edb");
    let mut bytes = std::fs::read(path).expect("a fixture can be read");
    bytes.truncate(2 * PAGE);
    bytes.resize(pages * PAGE, 0);
    let mut random = Random(seed);
    for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate().skip(2) {
        noise(page, &mut random);
        assert!(ese_checksum::seal_page(page, number as u32 - 1));
    }
    bytes
}

/// Gives page `number` of the file other content.
pub(crate) fn change_page(bytes: &mut [u8], number: usize, seed: u64) {
    let page = &mut bytes[number * PAGE..(number + 1) * PAGE];
    noise(page, &mut Random(seed));
    assert!(ese_checksum::seal_page(page, number as u32 - 1));
}

fn noise(page: &mut [u8], random: &mut Random) {
    for word in page.as_chunks_mut::<8>().0 {
        *word = random.number().to_le_bytes();
    }
}

/// What a source does before it reads: count, fail, wait.
pub(crate) type Hook = Box<dyn Fn(u64, u64) -> Result<(), ReadError> + Send + Sync>;

/// A source in memory. `hook(offset, length)` runs before every read.
pub(crate) struct MemorySource {
    pub(crate) bytes: Mutex<Arc<Vec<u8>>>,
    pub(crate) hook: Hook,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) piece: usize,
    /// The version that its store gives it.
    pub(crate) tag: Option<String>,
    pub(crate) modified: Option<Timestamp>,
}

impl MemorySource {
    pub(crate) fn new(bytes: &Arc<Vec<u8>>, hook: Hook) -> Arc<Self> {
        Arc::new(MemorySource {
            bytes: Mutex::new(Arc::clone(bytes)),
            hook,
            bytes_read: AtomicU64::new(0),
            piece: 1 << 20,
            tag: None,
            modified: None,
        })
    }

    /// Another version of the same file.
    pub(crate) fn version(bytes: &Arc<Vec<u8>>, tag: &str) -> Arc<Self> {
        Arc::new(MemorySource {
            bytes: Mutex::new(Arc::clone(bytes)),
            hook: Box::new(|_, _| Ok(())),
            bytes_read: AtomicU64::new(0),
            piece: 1 << 20,
            tag: Some(tag.into()),
            modified: None,
        })
    }

    /// The same file as it was at this time.
    pub(crate) fn of_time(bytes: &Arc<Vec<u8>>, modified: Timestamp) -> Arc<Self> {
        Arc::new(MemorySource {
            bytes: Mutex::new(Arc::clone(bytes)),
            hook: Box::new(|_, _| Ok(())),
            bytes_read: AtomicU64::new(0),
            piece: 1 << 20,
            tag: None,
            modified: Some(modified),
        })
    }

    pub(crate) fn sound(bytes: &Arc<Vec<u8>>) -> Arc<Self> {
        Self::new(bytes, Box::new(|_, _| Ok(())))
    }

    fn content(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.bytes.lock().unwrap())
    }
}

impl Debug for MemorySource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("MemorySource")
    }
}

impl SourceFile for MemorySource {
    fn name(&self) -> String {
        "memory".into()
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            length: self.content().len() as u64,
            modified: self.modified,
            tag: self.tag.clone(),
        }
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        Ok(self.stamp())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.hook)(offset, buffer.len() as u64)?;
        let content = self.content();
        let there = content.get(offset as usize..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn piece(&self) -> usize {
        self.piece
    }
}

/// Options for a quick test: small chunks, short waits.
pub(crate) fn options() -> CopyOptions {
    CopyOptions {
        chunk_size: 64 << 10,
        jobs: NonZeroUsize::new(4).unwrap(),
        bad_pages: BadPages::Fail,
        read: ReadPolicy {
            retry: Retry {
                retries: 3,
                backoff: Duration::from_millis(1),
            },
            ..ReadPolicy::default()
        },
        ..CopyOptions::default()
    }
}

/// Opens, runs and finishes a copy.
pub(crate) fn copy(
    source: Arc<dyn SourceFile>,
    disk: &dyn Disk,
    target: &Path,
    options: CopyOptions,
) -> Result<CopyReport, CopyError> {
    let mut copy = FileCopy::open(source, disk, target, options, &())?;
    assert!(copy.run(&())?, "nobody interrupted it");
    copy.finish()?;
    Ok(copy.report())
}
