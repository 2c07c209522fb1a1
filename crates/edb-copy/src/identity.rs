//! What a source is, so that a copy is only ever continued with the same one.

use crate::{ChunkHash, CopyError, ReadPolicy, SourceReader};
use ese_format::database::{DatabaseState, HeaderCopies};
use ese_format::{FileKind, Progress, Signature, hex};
use ese_scan::Buffer;
use evidence::{SourceFile, Stamp};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::path::Path;
use std::sync::Arc;
use target_disk::START_BYTES;

/// The identity of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// Path or address, for people: the same source may be reached another way next time.
    pub name: String,
    /// Bytes in it.
    pub length: u64,
    /// When it was last modified, if its store knows.
    pub modified: Option<Timestamp>,
    /// The version that its store gives it, if it does.
    pub tag: Option<String>,
    /// Which kind of file it is.
    pub kind: String,
    /// BLAKE3 of its first 64 KiB, which hold the headers of every kind of file.
    pub start_blake3: ChunkHash,
    /// More, if it is a database.
    pub database: Option<DatabaseIdentity>,
}

/// What the header of a database says of its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseIdentity {
    /// Signature of the database.
    pub signature: StoredSignature,
    /// Signature of its log stream.
    pub log_signature: StoredSignature,
    /// The dbtime of its header.
    pub dbtime: u64,
    /// Its state.
    pub state: String,
    /// Checksum of its header.
    pub header_checksum: u32,
    /// Bytes in a page.
    pub page_size: u32,
    /// Whether a copy of the header can be trusted; the other fields are a guess if not.
    pub trusted: bool,
}

/// A signature, as every document shows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSignature {
    /// When the signed thing was created.
    pub created: StoredTime,
    /// What distinguishes it from others of that time.
    pub random: u32,
    /// A name of a computer; the engine has not written one for long.
    pub computer: String,
}

/// A time of a header, as every document shows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTime {
    /// In RFC 3339, if there is one.
    pub time: Option<String>,
    /// Whether it is in UTC.
    pub utc: bool,
    /// Its bytes.
    pub raw: String,
}

impl From<&Signature> for StoredSignature {
    fn from(signature: &Signature) -> Self {
        let created = signature.created;
        StoredSignature {
            created: StoredTime {
                time: created.rfc3339(),
                utc: created.is_utc(),
                raw: hex::encode(created.0),
            },
            random: signature.random(),
            computer: signature.computer(),
        }
    }
}

impl Display for StoredSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let created = self.created.time.as_deref().unwrap_or("at an unknown time");
        write!(f, "{} created {created}", self.random)
    }
}

/// Whether a source can be used as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum SourceCondition {
    /// A database that was shut down cleanly.
    Clean,
    /// A database that is in use or was not shut down.
    Dirty {
        /// Its state.
        state: String,
        /// First and last log generation that it needs, if any.
        required: Option<(u32, u32)>,
    },
    /// A database without a header that can be trusted.
    Unknown,
    /// Not a database.
    NotADatabase,
}

/// What is known of a source before it is copied.
pub(crate) struct KnownSource {
    pub(crate) identity: SourceIdentity,
    pub(crate) condition: SourceCondition,
    /// The headers of a database.
    pub(crate) headers: Option<HeaderCopies>,
}

impl KnownSource {
    /// Reads the start of `source` and asks what it is.
    pub(crate) fn read(
        source: &Arc<dyn SourceFile>,
        policy: &ReadPolicy,
        progress: &dyn Progress,
    ) -> Result<KnownSource, CopyError> {
        let stamp = source.stamp();
        let most = usize::try_from(stamp.length).unwrap_or(usize::MAX);
        let start = SourceReader::new(Arc::clone(source), policy.clone()).read(
            0..most.min(START_BYTES) as u64,
            Buffer::default(),
            progress,
        )?;
        Ok(Self::of(source.name(), stamp, &start))
    }

    fn of(name: String, stamp: Stamp, start: &[u8]) -> KnownSource {
        let kind = FileKind::detect(start);
        let headers = (kind == FileKind::Database).then(|| HeaderCopies::read(start));
        let identity = SourceIdentity {
            name,
            length: stamp.length,
            modified: stamp.modified,
            tag: stamp.tag,
            kind: kind.to_string(),
            start_blake3: ChunkHash(
                *blake3::hash(&start[..start.len().min(START_BYTES)]).as_bytes(),
            ),
            database: headers.as_ref().map(database_identity),
        };
        KnownSource {
            identity,
            condition: headers
                .as_ref()
                .map_or(SourceCondition::NotADatabase, condition),
            headers,
        }
    }
}

fn database_identity(headers: &HeaderCopies) -> DatabaseIdentity {
    let copy = headers.good().unwrap_or(&headers.primary);
    DatabaseIdentity {
        signature: (&copy.fields.signature).into(),
        log_signature: (&copy.fields.log_signature).into(),
        dbtime: copy.fields.dbtime.0,
        state: copy.fields.state.to_string(),
        header_checksum: copy.computed_checksum,
        page_size: headers.page_size,
        trusted: headers.good().is_some(),
    }
}

fn condition(headers: &HeaderCopies) -> SourceCondition {
    let Some(copy) = headers.good() else {
        return SourceCondition::Unknown;
    };
    let fields = &copy.fields;
    if fields.state == DatabaseState::CLEAN_SHUTDOWN {
        return SourceCondition::Clean;
    }
    let required = (fields.min_required.0, fields.max_required.0);
    SourceCondition::Dirty {
        state: fields.state.to_string(),
        required: (required != (0, 0)).then_some(required),
    }
}

impl SourceIdentity {
    /// Why a copy that began with this source does not go on with `now`, from which it differs: another source, or the
    /// same one that was changed. The same has the same path and, if it is a database, the same signature.
    pub(crate) fn refuse(&self, now: &SourceIdentity, differences: Vec<String>) -> CopyError {
        let signature = |identity: &SourceIdentity| {
            let known = identity.database.as_ref().filter(|known| known.trusted);
            known.map(|known| known.signature.clone())
        };
        let other_database = match (signature(self), signature(now)) {
            (Some(before), Some(after)) => before != after,
            _ => false,
        };
        if other_database || !leads_to_one_place(&self.name, &now.name) {
            return CopyError::OtherSource {
                name: now.name.clone(),
                before: self.name.clone(),
                differences,
            };
        }
        CopyError::SourceChanged {
            name: now.name.clone(),
            differences,
        }
    }

    /// What differs between the source that this identity was taken of and another one, in words; the name may.
    pub fn differences(&self, now: &SourceIdentity) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare =
            |what: &str, before: Option<&dyn Display>, after: Option<&dyn Display>| {
                let text = |value: Option<&dyn Display>| {
                    value.map_or_else(|| "none".to_owned(), ToString::to_string)
                };
                let (before, after) = (text(before), text(after));
                if before != after {
                    found.push(format!("{what} was {before}, is {after}"));
                }
            };
        compare("size", Some(&self.length), Some(&now.length));
        compare(
            "modification time",
            shown(&self.modified),
            shown(&now.modified),
        );
        compare("version", shown(&self.tag), shown(&now.tag));
        compare("kind", Some(&self.kind), Some(&now.kind));
        match (&self.database, &now.database) {
            (Some(before), Some(after)) => {
                compare(
                    "database signature",
                    Some(&before.signature),
                    Some(&after.signature),
                );
                compare(
                    "log signature",
                    Some(&before.log_signature),
                    Some(&after.log_signature),
                );
                compare("dbtime", Some(&before.dbtime), Some(&after.dbtime));
                compare("state", Some(&before.state), Some(&after.state));
                let sums = (before.header_checksum, after.header_checksum);
                compare("header checksum", Some(&sums.0), Some(&sums.1));
            }
            (before, after) => compare(
                "database header",
                before.as_ref().map(|_| &"there" as &dyn Display),
                after.as_ref().map(|_| &"there" as &dyn Display),
            ),
        }
        // Headers that differ have been named already.
        if found.is_empty() && self.start_blake3 != now.start_blake3 {
            found.push("its first 64 KiB differ".into());
        }
        found
    }

    /// What differs between this identity and what the store says of the source now.
    pub(crate) fn stamp_differences(&self, now: &Stamp) -> Vec<String> {
        let now = SourceIdentity {
            length: now.length,
            modified: now.modified,
            tag: now.tag.clone(),
            ..self.clone()
        };
        self.differences(&now)
    }
}

/// Whether two names of sources are of one place. A relative path that was written down elsewhere is taken for the end
/// of an absolute one.
fn leads_to_one_place(before: &str, now: &str) -> bool {
    let (before, now) = (Path::new(before), Path::new(now));
    let real = |path: &Path| path.canonicalize().ok();
    before == now
        || (real(before).is_some() && real(before) == real(now))
        || (before.is_relative() && std::path::absolute(now).is_ok_and(|now| now.ends_with(before)))
        || (now.is_relative() && before.ends_with(now))
}

fn shown<T: Display>(value: &Option<T>) -> Option<&dyn Display> {
    value.as_ref().map(|value| value as &dyn Display)
}
