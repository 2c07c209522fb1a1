//! What a search comes to.

use ese_format::DatabaseHeader;
use ese_format::database::HeaderStatus;
use ese_format::flush_map::FlushMapHeader;
use ese_format::log::Attachment;
use ese_format::{Class, Generation, JetError, Lgpos, Signature};
use ese_log::chain::Readiness;
use ese_log::{FileRole, StreamFiles};
use ese_replay::recovery::DatabasePlan;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// All that a search found. Nothing that was found is in none of the lists.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Found {
    /// The databases, each with what belongs to it.
    pub databases: Vec<FoundDatabase>,
    /// Logs that belong to none of the databases, by stream.
    pub streams: Vec<LogStreamFound>,
    /// Checkpoints and flush maps that belong to nothing here, and files of other kinds.
    pub others: Vec<FoundFile>,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
    /// How much was looked at.
    pub looked: Looked,
}

/// Where a file was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Origin {
    /// The outermost file that holds it: an archive or an image; none for a file in a folder.
    pub container: Option<PathBuf>,
    /// What tells its time from others: the address of the shadow copy, or of the innermost archive or volume, in which it
    /// lies; the path that was searched where it lies in none. Files of one state were there at the same time.
    pub state: PathBuf,
    /// Whether that is a shadow copy.
    pub is_shadow_copy: bool,
    /// When that shadow copy was made.
    pub moment: Option<Timestamp>,
}

/// An ESE file.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FoundFile {
    /// Its path or address, which can be opened.
    pub path: PathBuf,
    /// The folder in which it lies.
    pub folder: PathBuf,
    /// Its bytes.
    pub length: u64,
    /// When it was last modified, as its place says.
    pub modified: Option<Timestamp>,
    /// Where it was found.
    pub origin: Origin,
    /// What it is.
    pub content: Content,
}

impl FoundFile {
    /// What is wrong with it, if it is no database: what it should be is lost.
    pub fn problem(&self) -> Option<String> {
        match &self.content {
            Content::Log(log) => log.problem.clone(),
            Content::Checkpoint(checkpoint) => checkpoint.problem.clone(),
            Content::FlushMap(map) => map.problem.clone(),
            Content::Ruin { named, why } => Some(format!("its name is that of {named}: {why}")),
            Content::Database(_) | Content::Other { .. } => None,
        }
    }

    /// Whether something is wrong with it, and it is not a log that is being prepared, in which nothing is needed.
    pub(super) fn is_damaged(&self) -> bool {
        let is_spare = matches!(
            &self.content,
            Content::Log(LogLook {
                role: Some(FileRole::Temporary | FileRole::Reserve),
                ..
            })
        );
        !is_spare && self.problem().is_some()
    }
}

/// What an ESE file says of itself.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "file", rename_all = "snake_case")]
pub enum Content {
    /// A database.
    Database(Box<DatabaseLook>),
    /// A log.
    Log(LogLook),
    /// A checkpoint.
    Checkpoint(CheckpointLook),
    /// A flush map.
    FlushMap(FlushMapLook),
    /// A file of ESE's that is not looked into: a revert snapshot, a streaming file, a temporary or reserve log.
    Other {
        /// Its kind.
        what: &'static str,
    },
    /// Its name is that of one of ESE's, and nothing in it is.
    Ruin {
        /// What it should be.
        named: &'static str,
        /// What is in it.
        why: String,
    },
}

/// What a database says of itself.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DatabaseLook {
    /// Which copies of the header are good.
    pub headers: HeaderStatus,
    /// The header that can be trusted, if one can.
    #[serde(skip)]
    pub header: Option<DatabaseHeader>,
    /// Its state, in words.
    pub state: String,
    /// Version and revisions of its format: `0x620,20`.
    pub format: Option<String>,
    /// Size of a page.
    pub page_size: u32,
    /// The program that it belongs to.
    #[serde(flatten)]
    pub kind: DatabaseKind,
    /// What is wrong with it, as far as headers, length and catalog show.
    pub findings: Vec<String>,
}

/// The program that a database belongs to, judged by its tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseKind {
    /// What it is called; none if its tables are those of no known program, or could not be read.
    pub kind: Option<&'static str>,
    /// Why its tables could not be read.
    pub kind_unknown_because: Option<String>,
}

/// What a log says of itself.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LogLook {
    /// Its generation, if its header can be trusted.
    pub generation: Option<Generation>,
    /// The signature of its stream, likewise.
    pub signature: Option<Signature>,
    /// What it is by its name, where that is one of a log.
    pub role: Option<FileRole>,
    /// Version of its format.
    pub format: Option<String>,
    /// Why its header cannot be trusted.
    pub problem: Option<String>,
    /// The databases that were attached when it was begun.
    #[serde(skip)]
    pub attachments: Vec<Attachment>,
}

/// What a checkpoint says of itself.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CheckpointLook {
    /// The signature of its stream, if a copy can be trusted.
    pub signature: Option<Signature>,
    /// Where recovery would start.
    pub position: Option<Lgpos>,
    /// Why neither copy can be trusted.
    pub problem: Option<String>,
}

/// What a flush map says of itself.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FlushMapLook {
    /// Its header, if it can be trusted.
    #[serde(skip)]
    pub header: Option<Box<FlushMapHeader>>,
    /// Whether it was closed cleanly.
    pub is_clean: Option<bool>,
    /// Why its header cannot be trusted.
    pub problem: Option<String>,
}

/// A database and what belongs to it.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FoundDatabase {
    /// The database.
    pub file: FoundFile,
    /// Its logs.
    pub logs: DatabaseLogs,
    /// The checkpoint of its stream: the one that lies nearest.
    pub checkpoint: Option<FoundFile>,
    /// Its flush map.
    pub flush_map: Option<FoundFile>,
    /// Other logs and checkpoints of its stream: copies that lie elsewhere, temporary ones.
    pub unused: Vec<PathBuf>,
    /// Files of all these in which something is wrong, if it may matter what is in them.
    pub damaged: Vec<FoundFile>,
    /// What recovery would come to.
    pub verdict: Verdict,
    /// The computer that its signatures name.
    pub host: Option<String>,
}

/// The logs of a database.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct DatabaseLogs {
    /// The generations that it needs, those that only committed work needs included; none if it needs no log.
    #[serde(serialize_with = "one_range")]
    pub needs: Option<RangeInclusive<Generation>>,
    /// How many of them are there.
    pub there: u64,
    /// Those that are not, as ranges.
    #[serde(serialize_with = "ranges")]
    pub missing: Vec<RangeInclusive<Generation>>,
    /// Where the logs were taken from.
    pub from: LogsFrom,
    /// The folders in which they lie.
    pub folders: Vec<PathBuf>,
    /// The logs with which its recovery was planned, one for each generation, and the checkpoint.
    #[serde(skip)]
    pub stream: Option<StreamFiles>,
    /// Where they lie.
    pub paths: Vec<PathBuf>,
    /// The bytes of each, and when it was last modified, as far as the search knows.
    #[serde(skip)]
    pub stamps: Vec<Option<(u64, Option<Timestamp>)>>,
}

/// Where the logs of a database were taken from: the first of these that gives all that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogsFrom {
    /// There are none.
    Nowhere,
    /// The folder of the database.
    SameFolder,
    /// Another folder.
    OtherFolder,
    /// Several folders of one state: of one shadow copy, archive or volume.
    SameState,
    /// Several states, since none of them has all. What proves that they fit is the chain alone.
    Mixed,
}

/// What recovery of a database would come to.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// In a few words.
    pub words: String,
    /// Whether recovery would succeed; none of a temporary database, of which nothing is needed.
    pub readiness: Option<Readiness>,
    /// What `edbreplay plan` says; none if there could be no plan.
    pub plan: Option<DatabasePlan>,
    /// Databases of the same stream that have to be recovered together with it.
    pub together_with: Vec<PathBuf>,
    /// Whether the recovery was tried, pages and all. If not, no page was looked at.
    pub tried: bool,
    /// Why there is no plan.
    pub problem: Option<String>,
    /// The engine's number for that.
    pub jet: Option<JetError>,
}

/// `{"first", "last"}`.
#[derive(Serialize)]
struct Generations {
    first: Generation,
    last: Generation,
}

impl Generations {
    fn of(range: &RangeInclusive<Generation>) -> Self {
        Generations {
            first: *range.start(),
            last: *range.end(),
        }
    }
}

fn one_range<S: Serializer>(
    range: &Option<RangeInclusive<Generation>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    range.as_ref().map(Generations::of).serialize(serializer)
}

fn ranges<S: Serializer>(
    ranges: &[RangeInclusive<Generation>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ranges.iter().map(Generations::of))
}

/// Logs of one stream that belong to none of the databases.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct LogStreamFound {
    /// The signature of the stream; none for a log whose header cannot be trusted.
    pub signature: Option<Signature>,
    /// The first and the last generation.
    #[serde(serialize_with = "one_range")]
    pub generations: Option<RangeInclusive<Generation>>,
    /// Those between them that are not there, as ranges.
    #[serde(serialize_with = "ranges")]
    pub missing: Vec<RangeInclusive<Generation>>,
    /// The logs, by generation and place.
    pub logs: Vec<FoundFile>,
    /// The checkpoints of the stream.
    pub checkpoints: Vec<FoundFile>,
    /// The computer that the signature names.
    pub host: Option<String>,
    /// The databases that the logs speak of, by their paths on the machine that wrote them.
    pub databases: Vec<String>,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub message: String,
    /// How a program ends on it.
    #[serde(skip)]
    pub class: Class,
    /// The engine's number.
    pub jet: Option<JetError>,
    /// What to do about it.
    pub advice: Option<String>,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Looked {
    /// Files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Archives and images.
    pub containers: u64,
    /// Shadow copies that were searched.
    pub shadow_copies: u64,
    /// Shadow copies that were there and not searched.
    pub shadow_copies_not_searched: u64,
    /// Bytes that were read to know what the files are.
    pub bytes: u64,
    /// Links, which were not followed.
    pub links: u64,
    /// Devices, pipes and sockets, and files of Windows that have no content, which were not read.
    pub special: u64,
    /// Files that Windows compressed for the system or has in a cloud, which were not read.
    pub unread: u64,
}
