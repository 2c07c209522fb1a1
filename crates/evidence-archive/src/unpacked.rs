//! The bytes of a member: in memory, in an unlinked temporary file, or where the archive has them as they are.

use evidence::{SourceFile, Stamp, read_file_at, wrong};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Members of up to so many bytes are unpacked into memory.
const IN_MEMORY: u64 = 16 << 20;
/// A member of more bytes than this is not unpacked: nobody has such a database, but an archive of a few bytes may say so.
const MOST: u64 = 1 << 40;

/// Where the bytes are.
#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    /// From this offset of a temporary file on.
    Temporary(Arc<File>, u64),
    /// From this offset of another file on.
    Within(Arc<dyn SourceFile>, u64),
}

/// A member of an archive.
#[derive(Debug)]
pub(crate) struct MemberFile {
    address: PathBuf,
    stamp: Stamp,
    bytes: Bytes,
}

impl MemberFile {
    /// Unpacks a member of `length` bytes.
    pub(crate) fn unpack(address: PathBuf, stamp: Stamp, from: &mut dyn Read) -> io::Result<Self> {
        let length = stamp.length;
        if length > MOST {
            return Err(wrong(format!(
                "it says that it has {length} bytes, and more than {MOST} are not unpacked"
            )));
        }
        let (got, bytes) = store(&mut from.take(length))?;
        // Reading up to its end also holds it against its checksum.
        let more = from.read(&mut [0])?;
        if got != length || more > 0 {
            let which = if more > 0 { "more" } else { "less" };
            return Err(wrong(format!(
                "it has {which} than the {length} bytes that the archive says"
            )));
        }
        Ok(MemberFile {
            address,
            stamp,
            bytes,
        })
    }

    /// Unpacks all there is.
    pub(crate) fn unpack_all(from: &mut dyn Read) -> io::Result<Self> {
        let mut spool = Spool::default();
        io::copy(from, &mut spool)?;
        Ok(spool.file())
    }

    /// A member that `file` has as it is from `offset` on.
    pub(crate) fn within(
        address: PathBuf,
        stamp: Stamp,
        file: Arc<dyn SourceFile>,
        offset: u64,
    ) -> io::Result<Self> {
        let end = offset.checked_add(stamp.length);
        let there = file.stamp().length;
        match end.is_some_and(|end| end <= there) {
            true => Ok(MemberFile {
                address,
                stamp,
                bytes: Bytes::Within(file, offset),
            }),
            false => Err(wrong(format!(
                "it should have {} bytes from offset {offset:#x} of the archive on, which has {there}",
                stamp.length
            ))),
        }
    }
}

/// Keeps what can be read, and says how much that is.
fn store(from: &mut dyn Read) -> io::Result<(u64, Bytes)> {
    let mut spool = Spool::default();
    let length = io::copy(from, &mut spool)?;
    Ok((length, spool.bytes()))
}

/// Where unpacked bytes go: into memory, and above a limit into a temporary file.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    /// Bytes in it.
    pub(crate) length: u64,
}

impl Spool {
    fn bytes(self) -> Bytes {
        match self.file {
            Some(file) => Bytes::Temporary(Arc::new(file), 0),
            None => Bytes::Memory(self.memory),
        }
    }

    /// All of it as a file.
    pub(crate) fn file(self) -> MemberFile {
        MemberFile {
            address: PathBuf::new(),
            stamp: Stamp {
                length: self.length,
                modified: None,
                tag: None,
            },
            bytes: self.bytes(),
        }
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        if self.length + length > MOST {
            return Err(wrong(format!("more than {MOST} bytes are not unpacked")));
        }
        if self.file.is_none() && self.length + length > IN_MEMORY {
            let mut file = tempfile::tempfile()?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.length += length;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Several files that are unpacked one after the other into one temporary file, and stay there.
#[derive(Debug, Default)]
pub(crate) struct Pile {
    file: Option<Arc<File>>,
    /// Bytes in it.
    pub(crate) length: u64,
}

impl Pile {
    /// What was written from `start` on.
    pub(crate) fn since(&self, start: u64) -> MemberFile {
        let bytes = match &self.file {
            Some(file) => Bytes::Temporary(Arc::clone(file), start),
            None => Bytes::Memory(Vec::new()),
        };
        MemberFile {
            address: PathBuf::new(),
            stamp: Stamp {
                length: self.length - start,
                modified: None,
                tag: None,
            },
            bytes,
        }
    }
}

impl Write for Pile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length + bytes.len() as u64 > MOST {
            return Err(wrong(format!("more than {MOST} bytes are not unpacked")));
        }
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(Arc::new(tempfile::tempfile()?)),
        };
        let written = write_at(file, bytes, self.length)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

impl SourceFile for MemberFile {
    fn name(&self) -> String {
        self.address.display().to_string()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    /// What was unpacked does not change any more; what is read in its place does with its archive.
    fn stamp_now(&self) -> io::Result<Stamp> {
        let is_same = match &self.bytes {
            Bytes::Within(file, _) => file.stamp_now()? == file.stamp(),
            Bytes::Memory(_) | Bytes::Temporary(..) => true,
        };
        Ok(Stamp {
            tag: (!is_same).then(|| "the archive was changed".to_owned()),
            ..self.stamp()
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.stamp.length.saturating_sub(offset);
        let length = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..length];
        match &self.bytes {
            Bytes::Memory(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let there = bytes.get(from..).unwrap_or_default();
                let length = length.min(there.len());
                buffer[..length].copy_from_slice(&there[..length]);
                Ok(length)
            }
            Bytes::Temporary(file, start) => read_file_at(file, buffer, start + offset),
            Bytes::Within(file, start) => file.read_at(buffer, start + offset),
        }
    }

    fn forget(&self, offset: u64, length: u64) {
        if let Bytes::Within(file, start) = &self.bytes {
            file.forget(start + offset, length);
        }
    }
}
