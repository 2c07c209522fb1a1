//! The inspection that a log has to pass before it comes into the log folder of a copy.
//!
//! A log passes when its header and every segment fit their checksums, every record can be read, it has the size and the
//! generation that it should have, it is of the stream and continues the log before it. And its neighbours must not speak
//! against it ([`ese_log::chain::prove`]): this finds a log whose last bytes had not arrived yet, or were lost
//! when it was copied to where it is now. The log after it shows by its header or, where headers keep no checksum, by
//! its first records; and so does this log for the one before it, if that had no log after it when it came.

use crate::trouble::TroubleKind;
use ese_format::log::{LogHeader, PreviousChecksum};
use ese_format::{Explain, Generation, JetError, Lgpos, LogTime, Signature};
use ese_log::chain::{Ending, Opening, Proof, prove};
use ese_log::{BadRecord, LogError, LogImage};
use std::path::Path;
use thiserror::Error;

/// What the next log has to fit to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLink {
    /// Its generation.
    pub generation: Generation,
    /// The stream's signature.
    pub signature: Signature,
    /// When it was begun.
    pub created: LogTime,
    /// Exclusive or of the checksums of its segments; 0 in the older layout.
    pub accumulated_checksum: u64,
    /// Size of every log of the stream in bytes.
    pub file_size: u64,
    /// Page size of the stream's databases.
    pub page_size: u32,
    /// How it ends.
    pub ending: Ending,
    /// Whether it is all that was written to it, as far as the log after it shows.
    pub proof: Proof,
    /// The same for the log before it, as far as this one shows; none if that is not known.
    pub proof_before: Option<Proof>,
}

/// What a log is expected to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExpectedLog<'a> {
    /// Its generation.
    pub generation: Generation,
    /// The log before it.
    pub before: Option<&'a LogLink>,
    /// The stream's signature, if it is known from elsewhere.
    pub signature: Option<Signature>,
    /// How the log after it begins, if that is there.
    pub after: Option<&'a Opening>,
}

/// Why a log does not pass.
#[derive(Debug, Error)]
pub enum Rejection {
    /// Nothing of it can be trusted.
    #[error("{0}")]
    Unreadable(#[from] LogError),
    /// It is cut off, or grew.
    #[error("the file has {size} bytes, its header says {expected}")]
    Size {
        /// Its size.
        size: u64,
        /// What its header says.
        expected: u64,
    },
    /// It has another generation than its name says.
    #[error("the header says generation {found} ({found:#x})")]
    Generation {
        /// What its header says.
        found: Generation,
    },
    /// It is damaged.
    #[error("the log is damaged at {lgpos}: {what}")]
    Damaged {
        /// Where.
        lgpos: Lgpos,
        /// What is wrong there.
        what: String,
    },
    /// It belongs to another stream.
    #[error("log signature is {found}, the stream has {expected}")]
    Foreign {
        /// Its signature.
        found: Signature,
        /// The stream's.
        expected: Signature,
    },
    /// It is of another make than the stream.
    #[error("{what} is {found}, the stream has {expected}")]
    Geometry {
        /// What differs.
        what: &'static str,
        /// What it has.
        found: u64,
        /// What the stream has.
        expected: u64,
    },
    /// It does not continue the log before it.
    #[error("it continues a log created {}, but the one before it was created {}", found.shown(), expected.shown())]
    PreviousCreated {
        /// What it names.
        found: LogTime,
        /// What the one before has.
        expected: LogTime,
    },
    /// It was written after another state of the log before it.
    #[error(
        "it names {found:#018x} as the accumulated checksum of the log before it, which has {expected:#018x}"
    )]
    AccumulatedChecksum {
        /// What it names.
        found: u64,
        /// What the one before has.
        expected: u64,
    },
    /// The log after it speaks against it.
    #[error("{0}")]
    After(Proof),
    /// It speaks against the log before it.
    #[error("the log before it is not whole: {0}")]
    Before(Proof),
}

impl Rejection {
    /// What kind of trouble it makes.
    pub fn kind(&self) -> TroubleKind {
        match self {
            Rejection::Unreadable(_)
            | Rejection::Size { .. }
            | Rejection::Generation { .. }
            | Rejection::Damaged { .. }
            | Rejection::After(_) => TroubleKind::Damaged,
            Rejection::Foreign { .. } | Rejection::Geometry { .. } => TroubleKind::Foreign,
            Rejection::PreviousCreated { .. }
            | Rejection::AccumulatedChecksum { .. }
            | Rejection::Before(_) => TroubleKind::Diverged,
        }
    }

    /// The error that recovery would end with.
    pub fn jet(&self) -> JetError {
        match self {
            Rejection::Unreadable(error) => error.jet().unwrap_or(JetError::LOG_FILE_CORRUPT),
            Rejection::Size { .. } => JetError::LOG_FILE_SIZE_MISMATCH,
            Rejection::Generation { .. } | Rejection::PreviousCreated { .. } => {
                JetError::INVALID_LOG_SEQUENCE
            }
            Rejection::Damaged { .. } => JetError::LOG_FILE_CORRUPT,
            Rejection::Foreign { .. } => JetError::BAD_LOG_SIGNATURE,
            Rejection::Geometry { .. } => JetError::DATABASE_LOG_SET_MISMATCH,
            Rejection::AccumulatedChecksum { .. } => JetError::LOG_SEQUENCE_CHECKSUM_MISMATCH,
            Rejection::After(proof) | Rejection::Before(proof) => {
                proof.jet().unwrap_or(JetError::LOG_FILE_CORRUPT)
            }
        }
    }
}

/// Inspects the closed log at `path`; gives what the next one has to fit to.
pub fn inspect(path: &Path, expected: ExpectedLog<'_>) -> Result<LogLink, Rejection> {
    inspect_as(path, expected, false)
}

/// Inspects the current log at `path`, whose last write may be torn.
pub fn inspect_current(path: &Path, expected: ExpectedLog<'_>) -> Result<LogLink, Rejection> {
    inspect_as(path, expected, true)
}

fn inspect_as(path: &Path, expected: ExpectedLog<'_>, current: bool) -> Result<LogLink, Rejection> {
    let image = LogImage::read(path)?;
    let (ending, bad_record) = Ending::with_first_bad_record(&image);
    let mut link = LogLink {
        generation: image.header.generation,
        signature: image.header.signature,
        created: image.header.created,
        accumulated_checksum: image.body.accumulated_checksum,
        file_size: image.header.file_size(),
        page_size: image.header.page_size(),
        proof: prove(&ending, expected.after),
        ending,
        proof_before: None,
    };
    let size = image.bytes.len() as u64;
    if size != link.file_size {
        return Err(Rejection::Size {
            size,
            expected: link.file_size,
        });
    }
    if link.generation != expected.generation {
        return Err(Rejection::Generation {
            found: link.generation,
        });
    }
    belongs(&link, expected)?;
    undamaged(&image, bad_record, current)?;
    continues(&image.header, expected.before)?;
    // What an activation needs of the log before the current one is judged with the chain.
    if let Some(before) = expected.before.filter(|_| !current) {
        let proof = prove(&before.ending, Some(&Opening::of(&image)));
        if !proof.is_sound() {
            return Err(Rejection::Before(proof));
        }
        link.proof_before = Some(proof);
    }
    if !link.proof.is_sound() {
        return Err(Rejection::After(link.proof));
    }
    Ok(link)
}

fn belongs(link: &LogLink, expected: ExpectedLog<'_>) -> Result<(), Rejection> {
    let signature = expected
        .before
        .map(|before| before.signature)
        .or(expected.signature);
    if let Some(expected) = signature.filter(|expected| *expected != link.signature) {
        return Err(Rejection::Foreign {
            found: link.signature,
            expected,
        });
    }
    let Some(before) = expected.before else {
        return Ok(());
    };
    let geometry = [
        (
            "page size",
            u64::from(link.page_size),
            u64::from(before.page_size),
        ),
        ("log file size", link.file_size, before.file_size),
    ];
    match geometry
        .into_iter()
        .find(|(_, found, expected)| found != expected)
    {
        Some((what, found, expected)) => Err(Rejection::Geometry {
            what,
            found,
            expected,
        }),
        None => Ok(()),
    }
}

fn undamaged(
    image: &LogImage,
    bad_record: Option<BadRecord>,
    current: bool,
) -> Result<(), Rejection> {
    if let Some(damage) = image
        .body
        .damage
        .iter()
        .find(|damage| damage.is_fatal(current))
    {
        let (lgpos, what) = (damage.lgpos(), damage.to_string());
        return Err(Rejection::Damaged { lgpos, what });
    }
    bad_record.map_or(Ok(()), |bad| {
        let (lgpos, what) = (bad.lgpos, bad.problem.to_string());
        Err(Rejection::Damaged { lgpos, what })
    })
}

/// Whether the log with this header continues the one before it.
pub(crate) fn continues(header: &LogHeader, before: Option<&LogLink>) -> Result<(), Rejection> {
    let Some(before) = before else { return Ok(()) };
    if header.previous_created != before.created {
        let (found, expected) = (header.previous_created, before.created);
        return Err(Rejection::PreviousCreated { found, expected });
    }
    let (found, expected) = (
        header.previous_accumulated_checksum,
        before.accumulated_checksum,
    );
    let kept = header.version.previous_checksum();
    if kept == PreviousChecksum::Accumulated && found != expected {
        return Err(Rejection::AccumulatedChecksum { found, expected });
    }
    Ok(())
}
