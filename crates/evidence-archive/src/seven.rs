//! 7z archives. Their members may be packed together, so that one can be unpacked only with those before it.

use crate::tree::{Member, Node};
use crate::unpacked::{MemberFile, Spool, wrong};
use evidence::{Reading, SourceFile, Stamp};
use jiff::Timestamp;
use sevenz_rust2::{Archive, BlockDecoder, Error, Password};
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What a dictionary of a packer may need, in KiB: twice that of the largest level of 7-Zip.
const MEMORY: usize = 512 << 10;
/// So many blocks that were unpacked last are kept.
const KEPT: usize = 2;
/// A link of Unix, in the attributes that 7-Zip writes there.
const UNIX: u32 = 0x8000;
const LINK: u32 = 0o120_000;

/// A 7z archive.
#[derive(Debug)]
pub(crate) struct Seven {
    source: Reading,
    archive: Archive,
    blocks: Mutex<VecDeque<(usize, Arc<Block>)>>,
}

/// Members that are packed together, unpacked.
#[derive(Debug)]
struct Block {
    bytes: Arc<dyn SourceFile>,
    /// Where each of them begins.
    starts: HashMap<usize, u64>,
    /// Why those that are not there could not be unpacked.
    damage: Option<String>,
}

fn said(error: Error) -> io::Error {
    match error {
        Error::Io(error, _) | Error::FileOpen(error, _) => error,
        other => wrong(other.to_string()),
    }
}

impl Seven {
    /// What a 7z archive begins with.
    pub(crate) const START: &[u8] = b"7z\xbc\xaf\x27\x1c";

    /// Reads the directory of an archive.
    pub(crate) fn of(source: Reading) -> io::Result<(Self, Node)> {
        let mut directory = BufReader::new(source.clone());
        let archive = Archive::read_with_memory_limit(&mut directory, &Password::empty(), MEMORY)
            .map_err(said)?;
        let mut root = Node::default();
        root.add_folder(b"");
        for (number, entry) in archive
            .files
            .iter()
            .enumerate()
            .filter(|(_, entry)| !entry.is_anti_item)
        {
            let name = entry.name.as_bytes();
            if entry.is_directory {
                root.add_folder(name);
                continue;
            }
            let modified = entry
                .has_last_modified_date
                .then(|| u64::from(entry.last_modified_date));
            let modified = modified.and_then(|ticks| {
                let nanoseconds = i128::from(ticks) * 100 - 11_644_473_600_000_000_000;
                Timestamp::from_nanosecond(nanoseconds).ok()
            });
            root.add_file(name, Member { number, modified });
        }
        let seven = Seven {
            source,
            archive,
            blocks: Mutex::default(),
        };
        Ok((seven, root))
    }

    /// A member, unpacked with those that are packed with it.
    pub(crate) fn member(&self, member: Member, at: &Path) -> io::Result<MemberFile> {
        let entry = &self.archive.files[member.number];
        let attributes = entry.windows_attributes;
        if entry.has_windows_attributes
            && attributes & UNIX != 0
            && (attributes >> 16) & 0o170_000 == LINK
        {
            return Err(wrong("it is a link: name the file that it leads to"));
        }
        let stamp = Stamp {
            length: entry.size,
            modified: member.modified,
            tag: None,
        };
        let block = self
            .archive
            .stream_map
            .file_block_index
            .get(member.number)
            .copied()
            .flatten();
        let Some(block) = block.filter(|_| entry.has_stream) else {
            return MemberFile::unpack(at.to_owned(), stamp, &mut io::empty());
        };
        if self.archive.is_file_encrypted(member.number) {
            return Err(wrong("it is encrypted: unpack it with its password first"));
        }
        let block = self.block(block)?;
        match block.starts.get(&member.number) {
            Some(start) => {
                MemberFile::within(at.to_owned(), stamp, Arc::clone(&block.bytes), *start)
            }
            None => {
                Err(wrong(block.damage.clone().unwrap_or_else(|| {
                    "it is not where the archive says".to_owned()
                })))
            }
        }
    }

    fn block(&self, number: usize) -> io::Result<Arc<Block>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = blocks.iter().position(|(known, _)| *known == number);
        let block = match known.and_then(|at| blocks.remove(at)) {
            Some((_, block)) => block,
            None => Arc::new(self.unpack(number)?),
        };
        blocks.push_front((number, Arc::clone(&block)));
        blocks.truncate(KEPT);
        Ok(block)
    }

    /// Unpacks a block, as far as it holds: members before a damaged byte are whole, each is held against its checksum.
    fn unpack(&self, number: usize) -> io::Result<Block> {
        let mut source = BufReader::with_capacity(1 << 18, self.source.clone());
        let password = Password::empty();
        let decoder = BlockDecoder::new_with_memory_limit(
            1,
            MEMORY,
            number,
            &self.archive,
            &password,
            &mut source,
        );
        let (mut spool, mut starts) = (Spool::default(), HashMap::new());
        let first = self
            .archive
            .stream_map
            .block_first_file_index
            .get(number)
            .copied();
        let mut next =
            first.ok_or_else(|| wrong("its members are packed nowhere: the archive is damaged"))?;
        let unpacked = decoder.for_each_entries(&mut |entry, from| {
            let start = spool.length;
            let length = io::copy(from, &mut spool).map_err(|error| Error::Io(error, "".into()))?;
            // The one that is given is the next one; those without bytes may be left out.
            while self
                .archive
                .files
                .get(next)
                .is_some_and(|known| !std::ptr::eq(known, entry))
            {
                next += 1;
            }
            if length == entry.size {
                starts.insert(next, start);
            }
            next += 1;
            Ok(true)
        });
        Ok(Block {
            bytes: Arc::new(spool.file()),
            starts,
            damage: unpacked.err().map(|error| said(error).to_string()),
        })
    }
}
