//! 7z archives. Their members may be packed together, so that one can be unpacked only with those before it.

use crate::tree::{Member, Node};
use crate::unpacked::{MemberFile, Spool};
use evidence::{Reading, SourceFile, Stamp, wrong};
use jiff::Timestamp;
use sevenz_rust2::{Archive, BlockDecoder, Error, Password};
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader, Read};
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

    /// Whether a member is a link.
    pub(crate) fn is_link(&self, member: Member) -> bool {
        let entry = &self.archive.files[member.number];
        let attributes = entry.windows_attributes;
        entry.has_windows_attributes
            && attributes & UNIX != 0
            && (attributes >> 16) & 0o170_000 == LINK
    }

    /// What is said of a member that can be read, and the block in which its bytes are.
    fn look(&self, member: Member) -> io::Result<(Stamp, Option<usize>)> {
        let entry = &self.archive.files[member.number];
        if self.is_link(member) {
            return Err(wrong("it is a link: name the file that it leads to"));
        }
        let blocks = &self.archive.stream_map.file_block_index;
        let block = blocks.get(member.number).copied().flatten();
        let block = block.filter(|_| entry.has_stream);
        if block.is_some() && self.archive.is_file_encrypted(member.number) {
            return Err(wrong("it is encrypted: unpack it with its password first"));
        }
        let stamp = Stamp {
            length: entry.size,
            modified: member.modified,
            tag: None,
        };
        Ok((stamp, block))
    }

    /// The first bytes of a member that is packed alone: nothing more is unpacked, and they are not held against its checksum.
    pub(crate) fn start(
        &self,
        member: Member,
        most: usize,
    ) -> io::Result<Option<(Stamp, Vec<u8>)>> {
        let (stamp, block) = self.look(member)?;
        // Members that are packed together follow each other.
        let blocks = &self.archive.stream_map.file_block_index;
        let before = blocks[..member.number].iter().rev().flatten().next();
        let after = blocks[member.number + 1..].iter().flatten().next();
        let is_alone = |block: &usize| before != Some(block) && after != Some(block);
        let Some(block) = block.filter(is_alone) else {
            return Ok(None);
        };
        let mut start = Vec::new();
        let most = (most as u64).min(stamp.length);
        self.decode(block, |_, from| {
            from.take(most).read_to_end(&mut start)?;
            Ok(false)
        })?;
        match start.len() as u64 == most {
            true => Ok(Some((stamp, start))),
            false => Err(wrong(format!(
                "it has {} bytes, and the archive says {}",
                start.len(),
                stamp.length
            ))),
        }
    }

    /// A member, unpacked with those that are packed with it.
    pub(crate) fn member(&self, member: Member, at: &Path) -> io::Result<MemberFile> {
        let (stamp, block) = self.look(member)?;
        let Some(block) = block else {
            return MemberFile::unpack(at.to_owned(), stamp, &mut io::empty());
        };
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

    /// Shows each member of a block, by its number, until that wants no more.
    fn decode(
        &self,
        number: usize,
        mut each: impl FnMut(usize, &mut dyn Read) -> io::Result<bool>,
    ) -> io::Result<()> {
        let mut source = BufReader::with_capacity(1 << 18, self.source.clone());
        let (archive, password) = (&self.archive, Password::empty());
        let first = archive
            .stream_map
            .block_first_file_index
            .get(number)
            .copied();
        let mut next =
            first.ok_or_else(|| wrong("its block is not there: the archive is damaged"))?;
        let decoder =
            BlockDecoder::new_with_memory_limit(1, MEMORY, number, archive, &password, &mut source);
        let decoded = decoder.for_each_entries(&mut |entry, from| {
            // Those without bytes may be left out.
            let is_it = |known| std::ptr::eq(known, entry);
            while archive.files.get(next).is_some_and(|known| !is_it(known)) {
                next += 1;
            }
            next += 1;
            each(next - 1, from).map_err(|error| Error::Io(error, "".into()))
        });
        decoded.map(drop).map_err(said)
    }

    /// Unpacks a block, as far as it holds: members before a damaged byte are whole, each is held against its checksum.
    fn unpack(&self, number: usize) -> io::Result<Block> {
        let (mut spool, mut starts) = (Spool::default(), HashMap::new());
        let unpacked = self.decode(number, |member, from| {
            let start = spool.length;
            if io::copy(from, &mut spool)? == self.archive.files[member].size {
                starts.insert(member, start);
            }
            Ok(true)
        });
        Ok(Block {
            bytes: Arc::new(spool.file()),
            starts,
            damage: unpacked.err().map(|error| error.to_string()),
        })
    }
}
