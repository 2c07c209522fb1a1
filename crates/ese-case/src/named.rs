//! What the name of a file says that it is.
//!
//! The content says what a file is. Where the content says nothing, a name decides whether that is a loss: a file
//! called `MBX1.edb` in which no database can be found is a loss, a file called `notes.txt` is not an ESE file.

use ese_format::foreign::{ACCESS, APPLE_DOUBLE, looks_like};
use ese_format::{FileKind, JetError};
use ese_log::{FileRole, LogFileName, StreamFiles};
use std::path::Path;

/// What a file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A database.
    Database,
    /// A finished log, or the current one.
    Log,
    /// A log that is being prepared, or space that is reserved: nothing in it is needed, whatever it holds.
    Spare,
    /// A checkpoint.
    Checkpoint,
    /// A flush map.
    FlushMap,
    /// A streaming file of Exchange 2000 and 2003, which edbkit does not read.
    StreamingFile,
    /// A revert snapshot, which edbkit does not read.
    RevertSnapshot,
}

/// Extensions that databases have and hardly anything else.
const DATABASE_EXTENSIONS: [&str; 5] = ["edb", "dit", "jdb", "mdb", "msmessagestore"];

/// Databases of Windows whose extension says nothing.
const DATABASES: [&str; 5] = ["srudb.dat", "qmgr.db", "secedit.sdb", "store.vol", "catdb"];

/// Base names of streams that Windows and Exchange use, besides `E00` and its like. Many programs call a text file
/// `abc.log`.
const BASES: [&str; 6] = ["edb", "j50", "mss", "sru", "svc", "uss"];

impl Named {
    /// What the name of `path` says; `None` where it says nothing. `abc.log` says something where its neighbours do.
    pub fn of(path: &Path) -> Option<Self> {
        Self::of_name_with(path, |base| is_of_stream(path, base))
    }

    /// The same by the name alone: nothing is looked up.
    pub fn of_name(path: &Path) -> Option<Self> {
        Self::of_name_with(path, is_base)
    }

    fn of_name_with(path: &Path, is_log: impl FnOnce(&str) -> bool) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if let Some(parsed) = LogFileName::parse(name) {
            return match parsed.role {
                FileRole::Generation { .. } => Some(Named::Log),
                FileRole::Current if is_log(&parsed.base) => Some(Named::Log),
                FileRole::Current => None,
                FileRole::Temporary | FileRole::Reserve => Some(Named::Spare),
                FileRole::Checkpoint => Some(Named::Checkpoint),
            };
        }
        let name = name.to_ascii_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension {
            "jfm" => Some(Named::FlushMap),
            "stm" => Some(Named::StreamingFile),
            "rbs" => Some(Named::RevertSnapshot),
            _ if DATABASE_EXTENSIONS.contains(&extension) => Some(Named::Database),
            _ if DATABASES.contains(&name.as_str()) || is_web_cache(&name) => Some(Named::Database),
            _ => None,
        }
    }

    /// Whether content of this kind is what the name promises.
    pub fn fits(self, kind: FileKind) -> bool {
        match self {
            Named::Database => kind == FileKind::Database,
            Named::Log => kind == FileKind::Log,
            Named::Spare => true,
            Named::Checkpoint => kind == FileKind::Checkpoint,
            Named::FlushMap => kind == FileKind::FlushMap,
            // Its header is that of a database.
            Named::StreamingFile => kind == FileKind::Database,
            Named::RevertSnapshot => kind == FileKind::RevertSnapshot,
        }
    }

    /// How a sentence begins about a file that is not what its name says.
    pub fn promise(self) -> String {
        format!("its name is that of {}: ", self.noun())
    }

    /// What it should be, with its article.
    pub fn noun(self) -> &'static str {
        match self {
            Named::Database => "a database",
            Named::Log => "a log",
            Named::Spare => "a temporary or reserve log",
            Named::Checkpoint => "a checkpoint",
            Named::FlushMap => "a flush map",
            Named::StreamingFile => "a streaming file",
            Named::RevertSnapshot => "a revert snapshot",
        }
    }

    /// The engine's error for a file of this name that is something else, or nothing.
    pub fn jet(self) -> Option<JetError> {
        match self {
            Named::Database => Some(JetError::DATABASE_CORRUPTED),
            Named::Log => Some(JetError::LOG_FILE_CORRUPT),
            Named::Checkpoint => Some(JetError::CHECKPOINT_CORRUPT),
            Named::Spare | Named::FlushMap | Named::StreamingFile | Named::RevertSnapshot => None,
        }
    }

    /// Whether `start`, in which nothing of ESE's was found, is something else that goes by such a name: Access calls its
    /// databases `.mdb` as well, and where a Mac copied files, `._MBX1.edb` holds what it knows about `MBX1.edb`.
    pub fn is_of_others(self, start: &[u8]) -> bool {
        match looks_like(start) {
            Some(ACCESS) => self == Named::Database,
            what => what == Some(APPLE_DOUBLE),
        }
    }
}

/// `WebCacheV01.dat`, with any number.
fn is_web_cache(name: &str) -> bool {
    let number = name.strip_prefix("webcachev");
    let number = number.and_then(|rest| rest.strip_suffix(".dat"));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `abc.log` is the current log of a stream: its base name is one that streams have, or other files of the stream
/// lie beside it.
fn is_of_stream(path: &Path, base: &str) -> bool {
    if is_base(base) {
        return true;
    }
    let folder = &evidence::folder_of(path);
    let Ok(source) = evidence::folder(folder) else {
        return false;
    };
    let stream = StreamFiles::in_folder(&*source, folder, base);
    stream.ok().flatten().is_some_and(|stream| {
        !stream.logs.is_empty() || !stream.leftovers.is_empty() || !stream.checkpoints.is_empty()
    })
}

/// Whether streams have this base name.
fn is_base(base: &str) -> bool {
    let lower = base.to_ascii_lowercase();
    let numbered = matches!(lower.as_bytes(), [b'e' | b'r' | b'v', b'0'..=b'9', last] if last.is_ascii_hexdigit());
    numbered || BASES.contains(&lower.as_str())
}
