//! Zip archives, those of more than 4 GiB too.

use crate::tree::{MOST, Member, Names};
use crate::unpacked::MemberFile;
use evidence::{Reading, SourceFile, Stamp, wrong};
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
    /// Whether a file that starts with `start` ends as a zip does. Programs may have a signature after it.
    pub(crate) fn is_at_end(file: &dyn SourceFile, start: &[u8]) -> io::Result<bool> {
        const RECORD: usize = 22;
        let most = match start.starts_with(b"MZ") {
            true => 1 << 16,
            false => 1 << 10,
        };
        let from = file.stamp().length.saturating_sub(most);
        let mut end = vec![0; most as usize];
        let read = file.read_at(&mut end, from)?;
        let mut records = end[..read].windows(RECORD);
        let Some(at) = records.rposition(|record| record.starts_with(b"PK\x05\x06")) else {
            return Ok(false);
        };
        let record = &end[at..];
        let size = u32::from_le_bytes([record[12], record[13], record[14], record[15]]);
        let comment = usize::from(u16::from_le_bytes([record[20], record[21]]));
        if record[4..6] != [0, 0] && record[4..8] != [0xff; 4] {
            // The last part of a split zip.
            return Ok(at + RECORD + comment == read);
        }
        if size == u32::MAX {
            let locator = at.checked_sub(20).and_then(|at| end.get(at..at + 4));
            return Ok(locator == Some(b"PK\x06\x07"));
        }
        let Some(directory) = (from + at as u64).checked_sub(u64::from(size)) else {
            return Ok(false);
        };
        let mut first = [0; 4];
        let read = file.read_at(&mut first, directory)?;
        Ok(size > 0 && first[..read] == *b"PK\x01\x02")
    }

    /// Reads the directory of an archive.
    pub(crate) fn of(source: Reading) -> io::Result<(Self, Names)> {
        let directory = BufReader::new(source.clone());
        let mut directory = ZipIterable::try_new(directory, Config::default()).map_err(said)?;
        let entries = directory.files().map_err(said)?;
        let entries: Vec<_> = entries
            .take(MOST + 1)
            .map(|entry| entry.map(OwnedZipFileEntry::from))
            .collect::<Result<_, _>>()
            .map_err(said)?;
        let mut names = Names::new();
        for (number, entry) in entries.iter().enumerate() {
            let raw = entry.name_raw();
            let decoded = match str::from_utf8(raw) {
                Ok(name) => name.to_owned(),
                Err(_) => entry.name().map_err(said)?.into_owned(),
            };
            match entry.is_dir() {
                true => names.add_folder(decoded.as_bytes()),
                false => {
                    let member = Member {
                        number,
                        modified: None,
                    };
                    names.add_file(decoded.as_bytes(), member);
                }
            }
        }
        if entries.len() > MOST {
            names.omit_rest();
        }
        Ok((Zipped { source, entries }, names))
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
