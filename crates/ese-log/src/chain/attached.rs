//! Whether the records that attach a database again are all there.
//!
//! A copy follows its stream only from the record on that attaches it. Every later log lists in its header which
//! databases were attached when it was begun, and where. So a list that names the database as attached at a place after
//! the copy's own shows that such a record exists; if it is not among the records that can be read, redo would pass over
//! all that follows it. The engine ends with -1216 then (`ErrLGRICheckRedoAttachDb`, `ErrLGRICheckForAttachedDatabaseMismatch`,
//! `ese/_log/logredo.cxx`).
//!
//! Other databases in the list, and databases that are not listed, do not matter here; nor does a list whose place is not
//! after the copy's: a shutdown that goes over the end of a log, or a copy that is newer than the logs.

use super::LogReport;
use crate::limit::Until;
use ese_format::database::DatabaseState;
use ese_format::log::Attachment;
use ese_format::{DatabaseHeader, Generation, JetError, Lgpos, Signature};

/// A record that attaches the database again, and is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostAttach {
    /// Where it stood.
    pub attach: Lgpos,
    /// The log whose header says so.
    pub listed_in: Generation,
    /// Where the copy is.
    pub known: Lgpos,
    /// Where the database was last consistent before it was attached.
    pub consistent: Lgpos,
    /// The engine's error.
    pub jet: JetError,
}

impl std::fmt::Display for LostAttach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "generation {0} ({0:#x}) says that the database was attached again at {1}, after {2} of this copy; the record \
             of that is not in the logs, so that nothing after it could be replayed",
            self.listed_in, self.attach, self.known
        )
    }
}

/// The place after which the database with this header has to be attached again.
pub fn known_place(header: &DatabaseHeader) -> Lgpos {
    match header.state == DatabaseState::CLEAN_SHUTDOWN {
        true => header.last_consistent,
        false => header.last_attach,
    }
}

/// What a list of attached databases says of the database with this header, if it was attached again by then.
pub fn listed_later<'l>(
    list: impl IntoIterator<Item = &'l Attachment>,
    header: &DatabaseHeader,
) -> Option<&'l Attachment> {
    let known = known_place(header);
    list.into_iter().find(|attachment| {
        attachment.database_signature == header.signature && attachment.last_attach > known
    })
}

/// What follows from a list in the header of generation `listed_in` when no record attached the database.
pub fn lost(attachment: &Attachment, listed_in: Generation, header: &DatabaseHeader) -> LostAttach {
    let consistent = attachment.last_consistent;
    LostAttach {
        attach: attachment.last_attach,
        listed_in,
        known: known_place(header),
        consistent,
        jet: match consistent == header.last_consistent {
            true => JetError::ATTACHED_DATABASE_MISMATCH,
            false => JetError::CONSISTENT_TIME_MISMATCH,
        },
    }
}

/// The first record that attaches the database with this header again, that no limit leaves out, and that is not in `logs`,
/// which are replayed in this order. A log after the limit tells of it, too.
pub(super) fn lost_attach<'l>(
    logs: impl Iterator<Item = &'l LogReport>,
    header: &DatabaseHeader,
    until: &Until,
) -> Option<LostAttach> {
    let mut attached: Vec<Lgpos> = Vec::new();
    for log in logs {
        let Ok(content) = &log.content else { continue };
        let list = &content.header.attachments.databases;
        if let Some(listed) = listed_later(list, header)
            && !attached.contains(&listed.last_attach)
            && !until.is_past(listed.last_attach)
        {
            return Some(lost(listed, content.header.generation, header));
        }
        let is_own = |signature: Option<Signature>| signature == Some(header.signature);
        let events = content.databases.iter();
        let own = events.filter(|event| is_own(event.kind.signature()));
        attached.extend(own.map(|event| event.lgpos));
    }
    None
}
