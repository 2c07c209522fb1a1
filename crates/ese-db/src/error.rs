//! What can go wrong while a database is read.

use ese_format::explain::advise;
use ese_format::page::PageError;
use ese_format::{Class, Explain, FormatError, JetError, ObjId, Pgno};
use evidence::EvidenceError;
use std::borrow::Cow;
use std::path::PathBuf;
use thiserror::Error;

/// A part of a database that cannot be read.
#[derive(Debug, Error)]
pub enum DbError {
    /// The file cannot be read.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The file is not an ESE database.
    #[error("{}: not an ESE database: {reason}", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What gave it away.
        reason: String,
    },
    /// A page number outside the database.
    #[error("page {pgno} does not exist; pages are numbered 1 to {last}")]
    NoSuchPage {
        /// The number.
        pgno: Pgno,
        /// The last page there is.
        last: Pgno,
    },
    /// A page whose checksum does not fit its bytes.
    #[error("page {pgno}: checksum is {stored:#018x}, its bytes give {computed:#018x}")]
    Checksum {
        /// The page.
        pgno: Pgno,
        /// What the page says (first block).
        stored: u64,
        /// What its bytes give (first block).
        computed: u64,
    },
    /// A page of zeros where a used one is needed.
    #[error("page {pgno} is blank")]
    Blank {
        /// The page.
        pgno: Pgno,
    },
    /// A page of another tree, or of the wrong level.
    #[error("page {pgno} is not {expected}: it is {found}")]
    WrongPage {
        /// The page.
        pgno: Pgno,
        /// What is needed.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A page that the walk has seen before.
    #[error("page {pgno} is linked twice in tree {objid}")]
    Cycle {
        /// The page.
        pgno: Pgno,
        /// The tree.
        objid: ObjId,
    },
    /// A page's content does not fit the page.
    #[error(transparent)]
    Page(#[from] PageError),
    /// Bytes that cannot be what they should.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A record whose parts do not fit together.
    #[error("record: {what} at {offset:#x} needs {needed} bytes, {found} are there")]
    Record {
        /// The part.
        what: &'static str,
        /// Offset in the record.
        offset: usize,
        /// Bytes it takes.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A long value that is not there, or not whole.
    #[error("long value {lid:#x}: {what}")]
    LongValue {
        /// Its id.
        lid: u64,
        /// What is wrong.
        what: String,
    },
    /// Compressed bytes that do not unpack.
    #[error("{scheme} data does not unpack: {what}")]
    Compression {
        /// The scheme.
        scheme: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The catalog holds something that cannot be.
    #[error("catalog: {what}")]
    Catalog {
        /// What is wrong.
        what: String,
    },
}

impl Explain for DbError {
    fn class(&self) -> Class {
        match self {
            DbError::Evidence(error) => error.class(),
            DbError::NotADatabase { .. } => Class::NotEse,
            DbError::NoSuchPage { .. }
            | DbError::Checksum { .. }
            | DbError::Blank { .. }
            | DbError::WrongPage { .. }
            | DbError::Cycle { .. }
            | DbError::Page(_)
            | DbError::Format(_)
            | DbError::Record { .. }
            | DbError::LongValue { .. }
            | DbError::Compression { .. }
            | DbError::Catalog { .. } => Class::Finding,
        }
    }

    fn jet(&self) -> Option<JetError> {
        Some(match self {
            DbError::Evidence(error) => return error.jet(),
            DbError::NotADatabase { .. } => JetError::FILE_INVALID_TYPE,
            DbError::NoSuchPage { .. } | DbError::Cycle { .. } => JetError::BAD_PAGE_LINK,
            DbError::Checksum { .. } => JetError::READ_VERIFY_FAILURE,
            DbError::Blank { .. } => JetError::PAGE_NOT_INITIALIZED,
            DbError::WrongPage { .. } => JetError::BAD_PARENT_PAGE_LINK,
            DbError::Page(error) => error.jet(),
            DbError::LongValue { .. } => JetError::LV_CORRUPTED,
            DbError::Compression { .. } => JetError::DECOMPRESSION_FAILED,
            DbError::Catalog { .. } => JetError::CATALOG_CORRUPTED,
            DbError::Format(_) | DbError::Record { .. } => return None,
        })
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            DbError::Evidence(error) => error.advice(),
            DbError::NotADatabase { .. } => advise("`edbtool header` says what kind of file it is"),
            DbError::Catalog { .. } => advise(
                "check the pages with `edbtool verify`; a temporary database of the engine has no catalog",
            ),
            _ => None,
        }
    }
}
