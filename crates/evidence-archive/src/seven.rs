//! 7z archives. Their members may be packed together, so that one can be unpacked only with those before it.

use crate::tree::{Member, Names};
use crate::unpacked::{MemberFile, Pile};
use evidence::{Reading, SourceFile, Stamp, wrong};
use jiff::Timestamp;
use sevenz_rust2::{Archive, BlockDecoder, Error, Password};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What a dictionary of a packer may need, in KiB: twice that of the largest level of 7-Zip.
const MEMORY: usize = 512 << 10;
/// What the directory may need, in KiB: an eighth of the archive, but no less and no more than this. Packed, a few kilobytes may say that
/// there are millions of members.
const DIRECTORY: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 10;
/// A link of Unix, in the attributes that 7-Zip writes there.
const UNIX: u32 = 0x8000;
const LINK: u32 = 0o120_000;

/// A 7z archive.
#[derive(Debug)]
pub(crate) struct Seven {
    source: Reading,
    archive: Archive,
    /// How many members are in each block.
    members: Vec<usize>,
    blocks: Mutex<Blocks>,
}

/// The blocks that were unpacked. Whoever goes through the folders of an archive comes back to each of them many times.
#[derive(Debug, Default)]
struct Blocks {
    pile: Pile,
    known: HashMap<usize, Arc<Block>>,
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
    let encrypted = "it is encrypted: unpack it with its password first";
    let damaged = "the archive is damaged: ";
    wrong(match error {
        Error::Io(error, _) | Error::FileOpen(error, _) => return error,
        Error::PasswordRequired | Error::MaybeBadPassword(_) => encrypted.to_owned(),
        Error::UnsupportedCompressionMethod(method) => {
            format!("it is packed in a way that is not read here ({method}): unpack it first")
        }
        Error::Unsupported(what) => format!("the archive is not read here: {what}"),
        Error::UnsupportedVersion { major, minor } => {
            format!("the archive is of version {major}.{minor}, which is not read here")
        }
        Error::ExternalUnsupported => {
            "the archive keeps its directory in a way that is not read here".to_owned()
        }
        Error::MaxMemLimited { max_kb, actaul_kb } => format!(
            "unpacking it needs {actaul_kb} KiB of memory, and more than {max_kb} are not taken for it"
        ),
        Error::Other(what) => format!("{damaged}{what}"),
        Error::ChecksumVerificationFailed | Error::NextHeaderCrcMismatch => {
            format!("{damaged}a checksum does not fit")
        }
        Error::BadSignature(_)
        | Error::BadTerminatedStreamsInfo(_)
        | Error::BadTerminatedUnpackInfo
        | Error::BadTerminatedPackInfo(_)
        | Error::BadTerminatedSubStreamsInfo
        | Error::BadTerminatedHeader(_)
        | Error::FileNotFound => format!("{damaged}its directory makes no sense"),
    })
}

/// The same of the directory.
fn said_of_directory(error: Error) -> io::Error {
    match error {
        Error::MaxMemLimited { max_kb, .. } => wrong(format!(
            "its directory needs more than {max_kb} KiB of memory, which is more than an archive of this length is given: unpack it first"
        )),
        other => said(other),
    }
}

impl Seven {
    /// What a 7z archive begins with.
    pub(crate) const START: &[u8] = b"7z\xbc\xaf\x27\x1c";

    /// Reads the directory of an archive.
    pub(crate) fn of(source: Reading) -> io::Result<(Self, Names)> {
        let mut directory = BufReader::new(source.clone());
        let limit = source.file().stamp().length >> 13;
        let limit = limit.clamp(*DIRECTORY.start(), *DIRECTORY.end()) as usize;
        let archive = Archive::read_with_memory_limit(&mut directory, &Password::empty(), limit)
            .map_err(said_of_directory)?;
        let mut names = Names::new();
        for (number, entry) in archive
            .files
            .iter()
            .enumerate()
            .filter(|(_, entry)| !entry.is_anti_item)
        {
            let name = entry.name.as_bytes();
            if entry.is_directory {
                names.add_folder(name);
                continue;
            }
            let modified = entry
                .has_last_modified_date
                .then(|| u64::from(entry.last_modified_date));
            let modified = modified.and_then(|ticks| {
                let nanoseconds = i128::from(ticks) * 100 - 11_644_473_600_000_000_000;
                Timestamp::from_nanosecond(nanoseconds).ok()
            });
            names.add_file(name, Member { number, modified });
        }
        let mut members = vec![0; archive.blocks.len()];
        for block in archive.stream_map.file_block_index.iter().flatten() {
            members[*block] += 1;
        }
        let seven = Seven {
            source,
            archive,
            members,
            blocks: Mutex::default(),
        };
        Ok((seven, names))
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
        let Some(block) = block.filter(|block| self.members[*block] == 1) else {
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

    /// A member, unpacked alone or with those that are packed with it.
    pub(crate) fn member(&self, member: Member, at: &Path) -> io::Result<MemberFile> {
        let (stamp, block) = self.look(member)?;
        let Some(block) = block else {
            return MemberFile::unpack(at.to_owned(), stamp, &mut io::empty());
        };
        if self.members[block] == 1 {
            let mut file = None;
            self.decode(block, |number, from| {
                if number == member.number {
                    file = Some(MemberFile::unpack(at.to_owned(), stamp.clone(), from)?);
                }
                Ok(true)
            })?;
            return file.ok_or_else(|| wrong(NOT_THERE));
        }
        let block = self.block(block)?;
        match block.starts.get(&member.number) {
            Some(start) => {
                MemberFile::within(at.to_owned(), stamp, Arc::clone(&block.bytes), *start)
            }
            None => Err(wrong(block.damage.as_deref().unwrap_or(NOT_THERE))),
        }
    }

    fn block(&self, number: usize) -> io::Result<Arc<Block>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let Blocks { pile, known } = &mut *blocks;
        Ok(match known.entry(number) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => Arc::clone(new.insert(Arc::new(self.unpack(number, pile)))),
        })
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
    fn unpack(&self, number: usize, pile: &mut Pile) -> Block {
        let (first, mut starts) = (pile.length, HashMap::new());
        let unpacked = self.decode(number, |member, from| {
            let start = pile.length - first;
            if io::copy(from, pile)? == self.archive.files[member].size {
                starts.insert(member, start);
            }
            Ok(true)
        });
        Block {
            bytes: Arc::new(pile.since(first)),
            starts,
            damage: unpacked.err().map(|error| error.to_string()),
        }
    }
}

const NOT_THERE: &str = "it is not where the archive says";
