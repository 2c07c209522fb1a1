//! Tar archives, also within gzip or zstd: then all of it is unpacked once.

use crate::tree::{Member, Node};
use crate::unpacked::MemberFile;
use evidence::{Reading, SourceFile, Stamp, wrong};
use jiff::Timestamp;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// A tar archive.
#[derive(Debug)]
pub(crate) struct Tarball {
    file: Arc<dyn SourceFile>,
    members: Vec<TarMember>,
    /// Whether it does not end with the block of zeros that every tar ends with.
    pub(crate) is_cut_off: bool,
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

impl Tarball {
    /// Unpacks a tar that is compressed, and reads its directory.
    pub(crate) fn unpack(from: &mut dyn Read) -> io::Result<(Self, Node)> {
        Tarball::of(Arc::new(MemberFile::unpack_all(from)?))
    }

    /// Reads the directory of an archive.
    pub(crate) fn of(file: Arc<dyn SourceFile>) -> io::Result<(Self, Node)> {
        let (mut members, mut end) = (Vec::new(), 0);
        let mut root = Node::default();
        root.add_folder(b"");
        let reading = BufReader::new(Reading::new(Arc::clone(&file)));
        let mut archive = tar::Archive::new(reading);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let header = entry.header();
            let kind = header.entry_type();
            let name = entry.path_bytes();
            let place = (entry.raw_file_position(), entry.size());
            let blocks = place.1.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
            end = place.0.saturating_add(blocks);
            if kind.is_dir() {
                root.add_folder(&name);
                continue;
            }
            let modified = header.mtime().ok();
            let modified = modified.and_then(|seconds| i64::try_from(seconds).ok());
            let member = Member {
                number: members.len(),
                modified: modified.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            };
            root.add_file(&name, member);
            members.push(if kind.is_file() || kind.is_contiguous() {
                TarMember::File(place.0, place.1)
            } else if kind.is_symlink() || kind.is_hard_link() {
                TarMember::Link
            } else if kind.is_character_special() || kind.is_block_special() || kind.is_fifo() {
                TarMember::Special
            } else {
                TarMember::Other
            });
        }
        let mut last = [1; BLOCK];
        let is_cut_off = file.read_at(&mut last, end)? < BLOCK || last != [0; BLOCK];
        let tar = Tarball {
            file,
            members,
            is_cut_off,
        };
        Ok((tar, root))
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
