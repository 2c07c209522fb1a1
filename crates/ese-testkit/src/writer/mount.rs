//! A database that is dismounted and mounted again in the middle of its stream.
//!
//! ```text
//! ... commits, rollbacks | ShutDown  Term |           | Init  AttachDB | ...
//! dirty                  |                | clean     |                | dirty
//! ```
//!
//! Facts: the engine-made set `oldcopy-clean-p8k`, which ended cleanly twice and went on; `ErrIOTerm`, `ese/io.cxx`. At
//! the end of an instance whatever is open is rolled back and all pages are written; the place of the mark of the shutdown
//! becomes the place at which the database was last consistent, and the next attach record names it. No record detaches the
//! database: the end of the instance does.

use super::crash::{Base, WrittenLogs};
use super::{DBID, Writer};
use ese_format::database::DatabaseHeader;
use ese_format::record::{AttachDb, AttachDbFlags, FileNames, Record};
use ese_format::{Dbtime, Lgpos, ObjId, ProcId};

const NAME: &str = "C:\\SG\\written.edb";

/// A time for which the database is attached.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The record that attaches it.
    pub attach: usize,
    known: Known,
    /// The end of that time, unless it goes on.
    pub end: Option<Shutdown>,
}

/// The end of an instance.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// The mark of the shutdown.
    pub mark: usize,
    /// The last record of the instance.
    pub term: usize,
    known: Known,
}

/// The highest numbers that were given out.
#[derive(Debug, Clone, Copy)]
struct Known {
    dbtime: u64,
    objid: u32,
}

impl Mount {
    /// What the header of the database says of it.
    pub(super) fn note_in(&self, header: &mut DatabaseHeader) {
        header.dbtime = Dbtime(self.known.dbtime);
        header.last_objid = ObjId(self.known.objid);
    }
}

impl Shutdown {
    /// Whether it is over after so many records.
    pub fn is_over(&self, records: usize) -> bool {
        self.term < records
    }
}

impl Writer {
    /// The times for which the database is attached.
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// The attachment that holds after so many records, or held last, and its number.
    pub(super) fn mount_at(&self, records: usize) -> Option<(usize, &Mount)> {
        let mounts = self.mounts.iter().enumerate();
        mounts.rev().find(|(_, mount)| mount.attach < records)
    }

    fn known(&self) -> Known {
        let objids = self.trees.iter().map(|tree| tree.objid);
        Known {
            dbtime: self.dbtime,
            objid: objids.max().unwrap_or(0),
        }
    }
}

impl Base {
    /// An instance begins and attaches the database.
    pub fn mount(&self, writer: &mut Writer) {
        let start = self.start.clone();
        writer.append(start.expect("an engine was started in the set"));
        let attach = writer.records.len();
        let known = writer.known();
        // Transactions are counted anew.
        writer.trx = 0;
        writer.mounts.push(Mount {
            attach,
            known: Known {
                dbtime: known.dbtime,
                objid: known.objid.max(self.header.last_objid.0),
            },
            end: None,
        });
        // Where the database was last consistent is known when the logs are written.
        writer.append(self.attach_record(self.header.last_consistent));
    }

    /// The instance ends. No transaction may be open, and all pages have to be on disk.
    pub fn dismount(&self, writer: &mut Writer) {
        assert!(
            writer.sessions.values().all(|session| session.level == 0),
            "nothing is open"
        );
        let mark = writer.records.len();
        let known = writer.known();
        writer.log(&Record::ShutDownMark);
        let term = writer.records.len();
        let last = self.term.clone();
        writer.append(last.expect("an engine was shut down in the set"));
        let mount = writer.mounts.last_mut().expect("it is mounted");
        mount.end = Some(Shutdown { mark, term, known });
    }

    /// The record that attaches the database.
    pub(super) fn attach_record(&self, consistent: Lgpos) -> Vec<u8> {
        let names = name_bytes();
        let record = Record::AttachDb(AttachDb {
            procid: ProcId(1),
            dbid: DBID,
            max_pages: 0,
            lgpos_consistent: consistent,
            db_signature: self.header.signature,
            log_signature: self.header.log_signature,
            attach_flags: AttachDbFlags::UNICODE_NAMES,
            names: FileNames {
                unicode: true,
                bytes: &names,
            },
        });
        record.encode().expect("the record fits its fields")
    }

    /// Where the database was last consistent before the mount of this number.
    pub(super) fn consistent_before(
        &self,
        writer: &Writer,
        mount: usize,
        logs: &WrittenLogs,
    ) -> Lgpos {
        let before = mount.checked_sub(1).map(|before| &writer.mounts[before]);
        before.map_or(self.header.last_consistent, |before| {
            let end = before
                .end
                .as_ref()
                .expect("an instance ends before the next");
            logs.place(end.mark)
        })
    }

    /// What the header of a log says of the database that is attached after so many records; nothing if it is not.
    pub(super) fn attachment(
        &self,
        writer: &Writer,
        records: usize,
        logs: &WrittenLogs,
    ) -> Option<Vec<u8>> {
        const UNICODE: u8 = 0x20;
        let (number, mount) = writer.mount_at(records)?;
        if mount.end.as_ref().is_some_and(|end| end.is_over(records)) {
            return None;
        }
        let name = name_bytes();
        let mut entry = vec![DBID, UNICODE];
        entry.extend((name.len() as u16).to_le_bytes());
        entry.extend(mount.known.dbtime.to_le_bytes());
        entry.extend(mount.known.objid.to_le_bytes());
        entry.extend([0; 4]);
        entry.extend(logs.place(mount.attach).to_bytes());
        entry.extend(self.consistent_before(writer, number, logs).to_bytes());
        entry.extend(signature_bytes(&self.header));
        entry.extend(name);
        Some(entry)
    }

    /// The header of the database that an instance has shut down.
    pub(super) fn clean_header(
        &self,
        mount: &Mount,
        end: &Shutdown,
        logs: &WrittenLogs,
    ) -> DatabaseHeader {
        let mark = logs.place(end.mark);
        DatabaseHeader {
            last_attach: logs.place(mount.attach),
            last_consistent: mark,
            last_detach: mark,
            last_resize: mark,
            dbtime: Dbtime(end.known.dbtime),
            last_objid: ObjId(end.known.objid.max(self.header.last_objid.0)),
            ..self.header.clone()
        }
    }
}

fn signature_bytes(header: &DatabaseHeader) -> Vec<u8> {
    const SIGNATURE: std::ops::Range<usize> = 24..52;
    header.to_bytes()[SIGNATURE].to_vec()
}

fn name_bytes() -> Vec<u8> {
    let units = NAME.encode_utf16().chain([0]);
    units.flat_map(u16::to_le_bytes).collect()
}
