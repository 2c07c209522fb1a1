//! Databases that the log creates, attaches and detaches.
//!
//! A database is known by its signature, never by its path. What its header says about its last attach decides from
//! which record on the log is meant for it (`ErrLGRICheckRedoAttachDb`, `ErrLGRICheckRedoCreateDb`):
//!
//! | last attach of the header | the log's attach is | |
//! |---|---|---|
//! | same place, header dirty | the one the header knows | attach; redo begins after it |
//! | same place, header clean | over again | wait for a later one |
//! | before, header clean at the place that the record names | newer | attach, and the header takes it over |
//! | before, clean elsewhere | newer | mismatch: this is not the copy that the log continues |
//! | after | of the past | wait for a later one |

use super::{Redo, RedoOutcome};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::pages::{PageFile, Pages};
use crate::tree;
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::page::PageSize;
use ese_format::record::{AttachDb, CreateDb, DetachDb};
use ese_format::{Dbtime, Generation, Lgpos, LogTime, ObjId, Pgno, Signature};
use ese_log::chain::attached::known_place;

/// The root of the whole database, and of the tree of pages that it owns.
const OWNED_EXTENTS_ROOT: Pgno = Pgno(2);
/// The revision that every database has until its first version record (`InitDBDbfilehdr`, `ese/db.cxx`).
const CREATED_FORMAT: (u32, u32) = (0x620, 0x14);
/// The only version of logged creation: everything but the file's first pages is in the log (`usDAECreateDbVersion`).
const LOGGED_CREATION: u16 = 2;
/// `JET_bitDbShadowingOff`.
const NO_SHADOW: u32 = 0x80;

/// Makes the file of a database that the log creates and nobody offered; `None` leaves it out.
pub type Creator = Box<dyn FnMut(&CreateDb<'_>) -> Option<NewDatabase> + Send>;

/// An empty file for a database that the log creates.
pub struct NewDatabase {
    /// Where its pages go.
    pub file: Box<dyn PageFile>,
    /// Size of its pages.
    pub page_size: PageSize,
    /// Pages to keep in memory.
    pub cache_pages: usize,
}

/// What the log says of an attachment, in a record or in an attach list.
#[derive(Debug, Clone)]
pub struct LoggedAttach {
    /// The number that the database has from here on.
    pub dbid: u8,
    /// Its signature.
    pub signature: Signature,
    /// Where it was attached.
    pub attach: Lgpos,
    /// Where it had last been consistent.
    pub consistent: Lgpos,
    /// The highest dbtime given out by then; 0 if not known.
    pub dbtime: Dbtime,
    /// The last object id given out by then; 0 if not known.
    pub objid_last: ObjId,
    /// Its name on the writing machine.
    pub name: String,
}

/// A database that the log changes and nobody offered.
#[derive(Debug, Clone)]
pub struct MissingDatabase {
    /// What the log says of it.
    pub logged: LoggedAttach,
}

/// A database that was offered, while the log has it attached otherwise than its header knows.
#[derive(Debug, Clone)]
pub struct PassedOverDatabase {
    /// The database.
    pub signature: Signature,
    /// The place up to which it holds everything.
    pub known: Lgpos,
    /// The first record after that place.
    pub first: Lgpos,
    /// How many there are.
    pub records: u64,
}

impl Redo {
    /// Offers a database; it takes part from the record on that attaches it.
    pub fn offer(&mut self, database: ReplayDatabase) {
        self.waiting.push(database);
        self.share_out();
    }

    /// Says how databases are made that the log creates.
    pub fn create_with(&mut self, creator: Creator) {
        self.creator = Some(creator);
    }

    /// Databases that were offered and are not attached now.
    pub fn waiting(&self) -> &[ReplayDatabase] {
        &self.waiting
    }

    /// Offered databases that records after their place went past, because nothing had attached them.
    pub fn lost_records(&self) -> impl Iterator<Item = &PassedOverDatabase> {
        let now = self.passed_over.values();
        let all = self.lost_records.iter().chain(now);
        all.filter(|passed| passed.records > 0)
    }

    /// Takes note of a record about a database that is not attached: one that holds it already, or one that is not
    /// replayed.
    pub(super) fn pass_over(&mut self, dbid: u8) {
        let lgpos = self.lgpos;
        let passed = self.passed_over.get_mut(&dbid);
        self.elsewhere = passed.as_ref().is_none_or(|passed| lgpos > passed.known);
        if let Some(passed) = passed.filter(|passed| lgpos > passed.known) {
            if passed.records == 0 {
                passed.first = lgpos;
            }
            passed.records += 1;
        }
    }

    /// The attachment under this number ends.
    fn end_passing(&mut self, dbid: u8) {
        let passed = self.passed_over.remove(&dbid);
        let lost = passed.filter(|passed| passed.records > 0);
        self.lost_records.extend(lost);
    }

    /// Takes all databases out, attached or not.
    pub fn take_databases(&mut self) -> Vec<ReplayDatabase> {
        let attached = std::mem::take(&mut self.databases).into_values();
        attached.chain(std::mem::take(&mut self.waiting)).collect()
    }

    /// Databases that the log changes and nobody offered, as of now.
    pub fn missing(&self) -> impl Iterator<Item = &MissingDatabase> {
        self.missing.values()
    }

    /// Takes over an attachment that began before the replay does.
    pub fn begin_attached(&mut self, logged: LoggedAttach) -> Result<(), Problem> {
        self.attach(logged, false).map(|_| ())
    }

    /// Attaches the offered database that the log means, if there is one; `new` is an attach record.
    fn attach(&mut self, logged: LoggedAttach, new: bool) -> Result<RedoOutcome, Problem> {
        let place = (self.waiting.iter())
            .position(|database| database.header.signature == logged.signature);
        self.end_passing(logged.dbid);
        let Some(place) = place else {
            self.missing.insert(logged.dbid, MissingDatabase { logged });
            return Ok(RedoOutcome::Elsewhere);
        };
        let header = &self.waiting[place].header;
        let clean = header.state == DatabaseState::CLEAN_SHUTDOWN;
        let known = header.last_attach == logged.attach && !clean;
        let newer = new && header.last_attach < logged.attach;
        let follows =
            header.last_consistent == logged.consistent || header.last_consistent.is_null();
        let attached = self.databases.len();
        let is_past = newer && !follows && header.last_consistent > logged.attach;
        if (!known && !newer) || is_past {
            let passed = PassedOverDatabase {
                signature: logged.signature,
                known: known_place(header),
                first: Lgpos::NULL,
                records: 0,
            };
            self.passed_over.insert(logged.dbid, passed);
            return Ok(RedoOutcome::InPlace);
        }
        if newer && !follows {
            return Err(Problem::ConsistentTimeMismatch {
                found: header.last_consistent,
                logged: logged.consistent,
            });
        }
        let mut database = self.waiting.remove(place);
        if newer {
            database.attached_at(logged.attach, logged.dbid);
        }
        database.touched = true;
        database.note(logged.dbtime, logged.objid_last);
        self.missing.remove(&logged.dbid);
        self.databases.insert(logged.dbid, database);
        self.show_attached(logged.dbid, &logged.name);
        Ok((self.databases.len() > attached).into())
    }

    pub(super) fn attach_db(&mut self, record: &AttachDb<'_>) -> Result<RedoOutcome, Problem> {
        let attach = self.lgpos;
        // A place in the future is of another log stream.
        let consistent = Some(record.lgpos_consistent).filter(|consistent| *consistent < attach);
        let logged = LoggedAttach {
            dbid: record.dbid,
            signature: record.db_signature,
            attach,
            consistent: consistent.unwrap_or(Lgpos::NULL),
            dbtime: Dbtime(0),
            objid_last: ObjId(0),
            name: record.names.first(),
        };
        self.attach(logged, true)
    }

    pub(super) fn create_db(&mut self, record: &CreateDb<'_>) -> Result<RedoOutcome, Problem> {
        let logged = LoggedAttach {
            dbid: record.dbid,
            signature: record.signature,
            attach: self.lgpos,
            consistent: Lgpos::NULL,
            dbtime: Dbtime(0),
            objid_last: ObjId(0),
            name: record.names.first(),
        };
        if self
            .waiting
            .iter()
            .any(|database| database.header.signature == record.signature)
        {
            return self.attach(logged, false);
        }
        self.end_passing(record.dbid);
        let made = self.creator.as_mut().and_then(|creator| creator(record));
        let Some(new) = made else {
            self.missing.insert(record.dbid, MissingDatabase { logged });
            return Ok(RedoOutcome::Elsewhere);
        };
        let version = record.version.map_or(0, |version| version.version);
        if version != LOGGED_CREATION {
            return Err(Problem::CreateVersion { version });
        }
        let mut header = created_header(record, &new, self.lgpos);
        header.log_signature = self.log_signature;
        header.engine_version = self.engine_version;
        let pages = Pages::new(new.file, new.page_size, Pgno::NULL, new.cache_pages);
        let mut database = ReplayDatabase::new(header, pages);
        database.required_until = Generation(0);
        database.touched = true;
        self.databases.insert(record.dbid, database);
        self.show_attached(record.dbid, &logged.name);
        self.share_out();
        Ok(RedoOutcome::Applied)
    }

    pub(super) fn detach_db(&mut self, record: &DetachDb<'_>) -> Result<RedoOutcome, Problem> {
        self.missing.remove(&record.dbid);
        self.end_passing(record.dbid);
        let Some(mut database) = self.databases.remove(&record.dbid) else {
            return Ok(RedoOutcome::Elsewhere);
        };
        database.detached_at(self.lgpos)?;
        self.waiting.push(database);
        Ok(RedoOutcome::Applied)
    }

    /// Makes the databases that are still attached clean as of `end`, as the end of a recovery does.
    pub(crate) fn detach_rest(&mut self, end: Lgpos) -> Result<(), Problem> {
        for (_, mut database) in std::mem::take(&mut self.databases) {
            database.detached_at(end)?;
            self.waiting.push(database);
        }
        Ok(())
    }

    /// An engine instance ended, or a recovery did: all databases are clean as of the mark of its shutdown.
    pub(super) fn detach_all(&mut self) -> Result<RedoOutcome, Problem> {
        self.missing.clear();
        let passed: Vec<u8> = self.passed_over.keys().copied().collect();
        passed.into_iter().for_each(|dbid| self.end_passing(dbid));
        let any = !self.databases.is_empty();
        for (_, mut database) in std::mem::take(&mut self.databases) {
            if self.lgpos > database.header.last_attach {
                database.detached_at(self.shutdown_mark)?;
            }
            self.waiting.push(database);
        }
        let ended = self.end_sessions()?;
        Ok(if any { RedoOutcome::Applied } else { ended })
    }
}

fn created_header(record: &CreateDb<'_>, new: &NewDatabase, lgpos: Lgpos) -> DatabaseHeader {
    let mut header = DatabaseHeader::from_bytes(&[0; DatabaseHeader::SIZE]);
    header.magic = DatabaseHeader::MAGIC;
    (header.version, header.update_major) = CREATED_FORMAT;
    (header.created_version, header.created_update) = CREATED_FORMAT;
    header.flags = u32::from(record.grbit & NO_SHADOW != 0);
    header.dbid = record.dbid.into();
    header.signature = record.signature;
    header.state = DatabaseState::JUST_CREATED;
    header.stored_page_size = new.page_size.bytes();
    header.file_type = 1;
    header.last_attach = lgpos;
    header.min_required = lgpos.generation;
    header.max_required = lgpos.generation;
    header.max_committed = lgpos.generation;
    header.min_consistent = lgpos.generation;
    header
}

impl ReplayDatabase {
    /// The header takes over an attach (`DBISetHeaderAfterAttach`, `ese/db.cxx`).
    fn attached_at(&mut self, lgpos: Lgpos, dbid: u8) {
        let header = &mut self.header;
        header.state = DatabaseState::DIRTY_SHUTDOWN;
        header.dbid = dbid.into();
        header.last_attach = lgpos;
        header.last_attach_time = LogTime::default();
        header.last_detach = Lgpos::NULL;
        header.last_detach_time = LogTime::default();
        header.min_required = lgpos.generation;
        header.min_consistent = lgpos.generation;
        header.max_required = lgpos.generation;
        header.max_committed = lgpos.generation;
        self.required_until = Generation(0);
        self.note_resize(lgpos);
    }

    /// The database became clean: what nothing explained is an error, and the file is cut to what is owned.
    fn detached_at(&mut self, lgpos: Lgpos) -> Result<(), Problem> {
        if !self.in_required_range(lgpos.generation)
            && let Some(skipped) = self.take_unexplained()
        {
            return Err(skipped.problem);
        }
        if self.header.state == DatabaseState::DIRTY_SHUTDOWN {
            self.cut_to_owned()?;
        }
        let header = &mut self.header;
        header.state = DatabaseState::CLEAN_SHUTDOWN;
        header.last_consistent = lgpos;
        header.last_detach = lgpos;
        header.dbtime = header.dbtime.max(self.dbtime);
        header.last_objid = header.last_objid.max(self.last_objid);
        header.min_required = Generation(0);
        header.max_required = Generation(0);
        header.max_committed = Generation(0);
        header.min_consistent = Generation(0);
        self.required_until = Generation(0);
        self.note_resize(lgpos);
        Ok(())
    }

    /// Makes the file as long as the pages that the database owns (`ErrLGICheckDatabaseFileSize`).
    pub(crate) fn cut_to_owned(&mut self) -> Result<(), Problem> {
        if let Some(last) = tree::last_owned_page(&mut self.pages, OWNED_EXTENTS_ROOT)?
            && last != self.pages.last()
        {
            self.pages.resize(last)?;
        }
        Ok(())
    }
}
