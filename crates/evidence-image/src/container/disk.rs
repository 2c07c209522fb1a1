//! The disk of an image as a file.
//!
//! Every kind of image answers one question: where is what the disk has at an offset, and how far does that go on there
//! ([`Blocks`]). The rest is here, once.

use super::parts::Part;
use evidence::{SourceFile, Stamp};
use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// A disk in an image.
pub(super) trait Disk: Debug + Send + Sync {
    /// Bytes of the disk.
    fn length(&self) -> u64;

    /// The files that it lies in; that of the image first.
    fn parts(&self) -> &[Part];

    /// Fills `buffer` from `offset`. All of it lies within the disk.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Where bytes of a disk are.
pub(super) enum Run {
    /// Nowhere: they are zeros.
    Zeros,
    /// In the part of this number, from this offset on.
    At(usize, u64),
    /// In an unpacked block, from this offset on.
    Unpacked(Arc<Vec<u8>>, usize),
}

/// A disk in blocks.
pub(super) trait Blocks: Debug + Send + Sync {
    /// Bytes of the disk.
    fn length(&self) -> u64;

    /// The files that it lies in; that of the image first.
    fn parts(&self) -> &[Part];

    /// Where the bytes from `offset` on are, and how many more than none there are until the end of their block.
    fn run(&self, offset: u64) -> io::Result<(Run, u64)>;
}

impl<B: Blocks> Disk for B {
    fn length(&self) -> u64 {
        Blocks::length(self)
    }

    fn parts(&self) -> &[Part] {
        Blocks::parts(self)
    }

    fn fill(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let (run, left) = self.run(offset)?;
            let mut length = within(left, buffer.len());
            match run {
                Run::Zeros => buffer[..length].fill(0),
                Run::Unpacked(block, from) => {
                    buffer[..length].copy_from_slice(&block[from..from + length]);
                }
                Run::At(number, at) => {
                    // Blocks that follow each other in the file too are read at once.
                    while length < buffer.len() {
                        match self.run(offset + length as u64)? {
                            (Run::At(next, start), left)
                                if next == number
                                    && at.checked_add(length as u64) == Some(start) =>
                            {
                                length += within(left, buffer.len() - length);
                            }
                            _ => break,
                        }
                    }
                    let part = &Blocks::parts(self)[number];
                    part.read(&mut buffer[..length], at, "a block of the disk")?;
                }
            }
            buffer = &mut buffer[length..];
            offset += length as u64;
        }
        Ok(())
    }
}

/// The lesser of two lengths.
pub(super) fn within(left: u64, length: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(length)
}

/// A disk as a file.
#[derive(Debug)]
pub(super) struct DiskFile<D> {
    name: String,
    stamp: Stamp,
    disk: D,
}

impl<D: Disk> DiskFile<D> {
    /// The disk of the image of this name.
    pub(super) fn of(name: String, disk: D) -> Self {
        let first = disk.parts().first().map(|part| part.file().stamp());
        let stamp = Stamp {
            length: disk.length(),
            modified: first.and_then(|stamp| stamp.modified),
            tag: None,
        };
        DiskFile { name, stamp, disk }
    }
}

impl<D: Disk> SourceFile for DiskFile<D> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    /// The disk is the same as long as all files of its image are.
    fn stamp_now(&self) -> io::Result<Stamp> {
        for part in self.disk.parts() {
            if part.file().stamp_now()? != part.file().stamp() {
                let tag = Some(format!("{} was changed", part.name()));
                return Ok(Stamp {
                    tag,
                    ..self.stamp()
                });
            }
        }
        Ok(self.stamp())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.stamp.length.saturating_sub(offset);
        let length = within(left, buffer.len());
        self.disk.fill(&mut buffer[..length], offset)?;
        Ok(length)
    }
}
