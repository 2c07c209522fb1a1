//! Zip archives, those of more than 4 GiB too.

use crate::archive::Reading;
use crate::tree::{Member, Node};
use crate::unpacked::{MemberFile, wrong};
use evidence::Stamp;
use std::io::{self, Read};
use std::path::Path;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// A zip archive.
#[derive(Debug)]
pub(crate) struct Zipped(ZipArchive<Reading>);

fn said(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => wrong(other.to_string()),
    }
}

impl Zipped {
    /// Reads the directory of an archive.
    pub(crate) fn of(source: Reading) -> io::Result<(Self, Node)> {
        let archive = ZipArchive::new(source).map_err(said)?;
        let mut root = Node::default();
        root.add_folder(b"");
        for number in 0..archive.len() {
            let entry = archive.by_index_data(number).map_err(said)?;
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
        Ok((Zipped(archive), root))
    }

    /// A member: where it is, if it is stored as it is, else unpacked.
    pub(crate) fn member(&self, member: Member, at: &Path) -> io::Result<MemberFile> {
        let mut archive = self.0.clone();
        let number = member.number;
        let entry = archive.by_index_data(number).map_err(said)?;
        if entry.encrypted() {
            return Err(wrong("it is encrypted: unpack it with its password first"));
        }
        let stored = entry.compression() == CompressionMethod::Stored;
        let stamp = Stamp {
            length: entry.size(),
            modified: member.modified,
            tag: None,
        };
        let mut file = archive.by_index(number).map_err(said)?;
        let start = file.data_start().filter(|_| stored);
        match start {
            None => MemberFile::unpack(at.to_owned(), stamp, &mut file),
            Some(start) => {
                // Read once, it is held against its checksum.
                let mut length = 0;
                let mut buffer = vec![0; 1 << 20];
                loop {
                    match file.read(&mut buffer)? {
                        0 => break,
                        read => length += read as u64,
                    }
                }
                if length != stamp.length {
                    return Err(wrong(format!(
                        "it has {length} bytes, and the archive says {}",
                        stamp.length
                    )));
                }
                drop(file);
                let source = archive.into_inner().file;
                MemberFile::within(at.to_owned(), stamp, source, start)
            }
        }
    }
}
