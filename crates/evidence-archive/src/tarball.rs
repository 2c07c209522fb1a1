//! Tar archives, also within gzip or zstd: then all of it is unpacked once.

use crate::tree::{Member, Names};
use crate::unpacked::MemberFile;
use ese_format::foreign::is_tar;
use evidence::{Reading, SourceFile, Stamp, wrong};
use jiff::Timestamp;
use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// A tar archive.
#[derive(Debug)]
pub(crate) struct Tarball {
    file: Arc<dyn SourceFile>,
    members: Vec<TarMember>,
}

/// A member that is not a folder.
#[derive(Debug, Clone, Copy)]
enum TarMember {
    /// A file as it is: where it begins, and its length.
    File(u64, u64),
    Link,
    /// A device or a FIFO.
    Special,
    /// A sparse file, or one of a kind that is not known.
    Other,
}

const BLOCK: usize = 512;
/// What follows more zeros than this is not looked for.
const MOST_ZEROS: u64 = 1 << 30;
/// A member may have so many bytes before its content: its name and other words, which are read into memory.
const LONGEST: u64 = 16 << 20;
/// What is no member: a word for all that follow, the label of a tape.
const NO_MEMBERS: [u8; 2] = *b"gV";

/// A reader that does not go on for ever before the next member.
struct Sparing {
    from: BufReader<Reading>,
    left: Rc<Cell<u64>>,
}

impl Read for Sparing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        let why = "a member has more than 16 MiB of name and other words";
        self.left.set(left.ok_or_else(|| wrong(why))?);
        Ok(read)
    }
}

impl Seek for Sparing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.from.seek(to)
    }
}

impl Tarball {
    /// Unpacks a tar that is compressed, and reads its directory.
    pub(crate) fn unpack(from: &mut dyn Read) -> io::Result<(Self, Names)> {
        Tarball::of(Arc::new(MemberFile::unpack_all(from)?))
    }

    /// Reads the directory of an archive. Where it ends, another one may begin (`tar -A`, `cat`).
    pub(crate) fn of(file: Arc<dyn SourceFile>) -> io::Result<(Self, Names)> {
        let (mut names, members) = (Names::new(), Vec::new());
        let mut tar = Tarball { file, members };
        let mut next = Some(0);
        while let Some(start) = next {
            let (end, read) = tar.list(start, &mut names);
            match read {
                Ok(()) => {}
                Err(error) if tar.members.is_empty() => return Err(error),
                Err(error) => names.omit(format!(
                    "the archive is damaged at {end:#x}, and more may have been in it: {error}"
                )),
            }
            next = match names.omitted {
                None => tar.after(end, &mut names)?,
                Some(_) => None,
            };
        }
        Ok((tar, names))
    }

    /// Lists the members of the tar that begins at `start`; returns where it ends, as far as it can be read.
    fn list(&mut self, start: u64, names: &mut Names) -> (u64, io::Result<()>) {
        let mut end = start;
        let read = self.list_up_to(&mut end, names);
        (end, read)
    }

    fn list_up_to(&mut self, end: &mut u64, names: &mut Names) -> io::Result<()> {
        let start = *end;
        let stamp = Stamp {
            length: self.file.stamp().length.saturating_sub(start),
            modified: None,
            tag: None,
        };
        let rest = MemberFile::within(PathBuf::new(), stamp, Arc::clone(&self.file), start)?;
        let left = Rc::new(Cell::new(LONGEST));
        let from = Sparing {
            from: BufReader::new(Reading::new(Arc::new(rest))),
            left: Rc::clone(&left),
        };
        let mut archive = tar::Archive::new(from);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            left.set(LONGEST);
            let header = entry.header();
            let kind = header.entry_type();
            let name = entry.path_bytes();
            let place = start.saturating_add(entry.raw_file_position());
            let blocks = entry.size().div_ceil(BLOCK as u64);
            *end = place.saturating_add(blocks.saturating_mul(BLOCK as u64));
            if NO_MEMBERS.contains(&kind.as_byte()) {
                continue;
            }
            if kind.is_dir() {
                names.add_folder(&name);
                continue;
            }
            let modified = header.mtime().ok();
            let modified = modified.and_then(|seconds| i64::try_from(seconds).ok());
            let member = Member {
                number: self.members.len(),
                modified: modified.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            };
            if !names.add_file(&name, member) {
                continue;
            }
            self.members
                .push(if kind.is_file() || kind.is_contiguous() {
                    TarMember::File(place, entry.size())
                } else if kind.is_symlink() || kind.is_hard_link() {
                    TarMember::Link
                } else if kind.is_character_special() || kind.is_block_special() || kind.is_fifo() {
                    TarMember::Special
                } else {
                    TarMember::Other
                });
        }
        Ok(())
    }

    /// Where the next tar begins after one whose members end at `end`; none if nothing but zeros follows. What follows and is none
    /// is said, and so is an end that is missing: a block of zeros.
    fn after(&self, end: u64, names: &mut Names) -> io::Result<Option<u64>> {
        let mut block = [1; BLOCK];
        if self.file.read_at(&mut block, end)? < BLOCK || block != [0; BLOCK] {
            names.omit("the archive is cut off, and more may have been in it");
            return Ok(None);
        }
        let mut piece = vec![0; 1 << 16];
        let mut at = end + BLOCK as u64;
        loop {
            let read = self.file.read_at(&mut piece, at)?;
            let blocks = piece[..read].chunks(BLOCK);
            let used = blocks
                .enumerate()
                .find(|(_, block)| block.iter().any(|byte| *byte != 0));
            if let Some((number, block)) = used {
                let at = at + (number * BLOCK) as u64;
                if is_tar(block) {
                    return Ok(Some(at));
                }
                names.omit(format!(
                    "something follows at {at:#x} after the end of the archive, and is not read"
                ));
                return Ok(None);
            }
            if read < piece.len() {
                return Ok(None);
            }
            at += read as u64;
            if at - end > MOST_ZEROS {
                names.omit(
                    "what follows a gigabyte of zeros after the end of the archive is not read",
                );
                return Ok(None);
            }
        }
    }

    /// Whether a member is a link.
    pub(crate) fn is_link(&self, member: Member) -> bool {
        matches!(self.members.get(member.number), Some(TarMember::Link))
    }

    /// Whether a member is a device or a FIFO.
    pub(crate) fn is_special(&self, member: Member) -> bool {
        matches!(self.members.get(member.number), Some(TarMember::Special))
    }

    /// A member, where it is.
    pub(crate) fn member(&self, member: Member, at: &Path) -> io::Result<MemberFile> {
        let Some(TarMember::File(start, length)) = self.members.get(member.number).copied() else {
            return Err(wrong(
                "it is a link, a device or a sparse file: unpack it first",
            ));
        };
        let stamp = Stamp {
            length,
            modified: member.modified,
            tag: None,
        };
        MemberFile::within(at.to_owned(), stamp, Arc::clone(&self.file), start)
    }
}
