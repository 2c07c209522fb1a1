//! Zip archives, those of more than 4 GiB too.

use crate::tree::{Member, Node};
use crate::unpacked::MemberFile;
use evidence::{Reading, Stamp, wrong};
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use zip::read::{Config, OwnedZipFileEntry};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;
use zip::{CompressionMethod, SUPPORTED_COMPRESSION_METHODS, ZipReadOptions};

/// A zip archive. Its directory may name several members alike; `zip::ZipArchive` would keep only the last of them.
#[derive(Debug)]
pub(crate) struct Zipped {
    source: Reading,
    entries: Vec<OwnedZipFileEntry>,
}

fn said(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => wrong(other.to_string()),
    }
}

impl Zipped {
    /// Reads the directory of an archive.
    pub(crate) fn of(source: Reading) -> io::Result<(Self, Node)> {
        let directory = BufReader::new(source.clone());
        let mut directory = ZipIterable::try_new(directory, Config::default()).map_err(said)?;
        let entries = directory.files().map_err(said)?;
        let entries: Vec<_> = entries
            .map(|entry| entry.map(OwnedZipFileEntry::from))
            .collect::<Result<_, _>>()
            .map_err(said)?;
        let mut root = Node::default();
        root.add_folder(b"");
        for (number, entry) in entries.iter().enumerate() {
            let raw = entry.name_raw();
            let decoded = match str::from_utf8(raw) {
                Ok(name) => name.to_owned(),
                Err(_) => entry.name().map_err(said)?.into_owned(),
            };
            match entry.is_dir() {
                true => root.add_folder(decoded.as_bytes()),
                false => root.add_file(
                    decoded.as_bytes(),
                    Member {
                        number,
                        modified: None,
                    },
                ),
            }
        }
        Ok((Zipped { source, entries }, root))
    }

    /// What is said of a member that can be read.
    fn stamp(&self, member: Member) -> io::Result<Stamp> {
        let entry = &self.entries[member.number];
        if entry.encrypted() {
            return Err(wrong("it is encrypted: unpack it with its password first"));
        }
        let method = entry.compression();
        // The library unpacks LZMA, and leaves it out of its list.
        let is_read =
            method == CompressionMethod::Lzma || SUPPORTED_COMPRESSION_METHODS.contains(&method);
        if !is_read {
            return Err(wrong(format!(
                "it is packed in a way that is not read here ({method}): unpack it first"
            )));
        }
        if entry.is_symlink() {
            return Err(wrong("it is a link: name the file that it leads to"));
        }
        Ok(Stamp {
            length: entry.size(),
            modified: member.modified,
            tag: None,
        })
    }

    /// Whether a member is a link.
    pub(crate) fn is_link(&self, member: Member) -> bool {
        self.entries[member.number].is_symlink()
    }

    /// The first bytes of a member: nothing more is unpacked, and they are not held against its checksum.
    pub(crate) fn start(&self, member: Member, most: usize) -> io::Result<(Stamp, Vec<u8>)> {
        let stamp = self.stamp(member)?;
        let entry = &self.entries[member.number];
        let mut source = BufReader::with_capacity(1 << 16, self.source.clone());
        let file = entry
            .as_ref()
            .with_reader(&mut source, ZipReadOptions::new());
        let most = (most as u64).min(stamp.length);
        let mut start = Vec::new();
        file.map_err(said)?.take(most).read_to_end(&mut start)?;
        if (start.len() as u64) < most {
            return Err(wrong(format!(
                "it has {} bytes, and the archive says {}",
                start.len(),
                stamp.length
            )));
        }
        Ok((stamp, start))
    }

    /// A member: where it is, if it is stored as it is, else unpacked.
    pub(crate) fn member(&self, member: Member, at: &Path) -> io::Result<MemberFile> {
        let stamp = self.stamp(member)?;
        let entry = &self.entries[member.number];
        let method = entry.compression();
        let mut source = BufReader::with_capacity(1 << 18, self.source.clone());
        let file = entry
            .as_ref()
            .with_reader(&mut source, ZipReadOptions::new());
        let mut file = file.map_err(said)?;
        let is_stored = method == CompressionMethod::Stored;
        let Some(start) = file.data_start().filter(|_| is_stored) else {
            return MemberFile::unpack(at.to_owned(), stamp, &mut file);
        };
        // Read once, it is held against its checksum.
        let length = io::copy(&mut file, &mut io::sink())?;
        if length != stamp.length {
            return Err(wrong(format!(
                "it has {length} bytes, and the archive says {}",
                stamp.length
            )));
        }
        MemberFile::within(at.to_owned(), stamp, Arc::clone(self.source.file()), start)
    }
}
