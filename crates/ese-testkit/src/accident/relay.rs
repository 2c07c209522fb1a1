//! Streams of engine-made sets, written anew: in the older layout, or one after the other as one stream.
//!
//! Every record keeps its generation and its order; where it stands changes. So everything that names a position is
//! changed with it: the lists of attached databases in the headers of logs, records that attach a database again, and
//! the headers of databases.

use crate::growing::accumulated;
use crate::ledger::Commit;
use crate::logs::{ATTACH_LIST, End, SECTOR, seal_header, write_checksum_records, write_segments};
use byteorder::{ByteOrder, LittleEndian};
use ese_format::database::{DatabaseHeader, HeaderCopies};
use ese_format::log::{Attachment, ChecksumRecord, HEADER_SIZE, LogHeader, SEGMENT_SIZE};
use ese_format::record::{
    AttachDb, CreateDb, CreateDbVersion, DetachDb, FileNames, Record, RecordFormat,
};
use ese_format::{Generation, Lgpos, LogTime, Signature};
use ese_log::{LogImage, Naming, RecordCursor, StreamFiles};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// The signature of the stream.
const SIGNATURE: std::ops::Range<usize> = 44..72;
/// Whether the names of an attach list are UTF-16.
const UNICODE: u8 = 0x20;

/// A log of a stream that is being written anew.
#[derive(Clone)]
struct Log {
    header: Vec<u8>,
    /// The part of the stream that it is of, and its generation there.
    part: usize,
    was: Generation,
    /// Where each record was, and its bytes.
    records: Vec<(Lgpos, Vec<u8>)>,
    attachments: Vec<Attachment>,
}

/// A stream that is being written anew.
#[derive(Clone)]
pub(crate) struct Relay {
    logs: Vec<Log>,
    naming: Naming,
    format: RecordFormat,
    /// How the name of a database changes, by the last part of its path.
    names: HashMap<String, String>,
    /// The version with which databases are created.
    created_as: Option<CreateDbVersion>,
}

/// Where everything is after that.
pub(crate) struct Places {
    records: HashMap<(usize, Lgpos), Lgpos>,
    /// The number that the generations of each part are raised by.
    raised: Vec<u32>,
    created: BTreeMap<Generation, LogTime>,
    form: Form,
}

/// Which layout the logs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Segments,
    /// Version 7.3704.17.
    Older,
}

impl Relay {
    /// The stream in `folder`.
    pub(crate) fn read(folder: &Path) -> Self {
        let files = StreamFiles::find(folder, None).expect("a set has a stream");
        let mut logs = Vec::new();
        let mut format = RecordFormat::NEWEST;
        for file in files.in_order() {
            let image = LogImage::read(&file.path).expect("a log in order");
            format = image.format();
            let mut cursor = RecordCursor::new();
            let mut records = Vec::new();
            while let Some(record) = cursor.next_record(&image).expect("the log is in order") {
                let number = record.kind.number();
                if number != ChecksumRecord::TYPE && number != 0 {
                    records.push((record.lgpos, record.bytes.to_vec()));
                }
            }
            logs.push(Log {
                part: 0,
                was: image.header.generation,
                records,
                attachments: image.header.attachments.databases.clone(),
                header: image.bytes[..HEADER_SIZE].to_vec(),
            });
        }
        Relay {
            logs,
            naming: files.naming,
            format,
            names: HashMap::new(),
            created_as: None,
        }
    }

    /// Appends another stream, whose engine was started when this one had ended.
    pub(crate) fn followed_by(mut self, other: Relay) -> Self {
        let part = self.logs.last().map_or(0, |log| log.part + 1);
        let signature = other.logs[0].header[SIGNATURE].to_vec();
        for log in &mut self.logs {
            log.header[SIGNATURE].copy_from_slice(&signature);
        }
        self.names.extend(other.names);
        self.naming = other.naming;
        self.logs
            .extend(other.logs.into_iter().map(|log| Log { part, ..log }));
        self
    }

    /// Gives the database whose path ends so another path.
    pub(crate) fn rename(mut self, file_name: &str, path: &str) -> Self {
        self.names.insert(file_name.to_owned(), path.to_owned());
        self
    }

    /// Lets databases be created by an engine of this version.
    pub(crate) fn created_as(mut self, version: u16, update_major: u16) -> Self {
        self.created_as = Some(CreateDbVersion {
            version,
            update_major,
        });
        self
    }

    /// The logs by name, and where everything is in them.
    pub(crate) fn lay_out(&self, form: Form) -> (Vec<(String, Vec<u8>)>, Places) {
        let mut places = Places {
            records: HashMap::new(),
            raised: self.raised(),
            created: BTreeMap::new(),
            form,
        };
        // The first time, to see where records come to stand; how long they are does not depend on that.
        let mut logs = Vec::new();
        for _ in 0..2 {
            (logs, places) = self.laid_out(form, &places);
        }
        let last = logs.len() - 1;
        let named = logs.into_iter().enumerate().map(|(number, log)| {
            let header = LogHeader::read(&log).expect("a whole header");
            let generation = header.as_read().generation;
            let name = match number == last {
                true => self.naming.current(),
                false => self.naming.generation(generation),
            };
            (name, log)
        });
        (named.collect(), places)
    }

    /// By how much the generations of each part are raised, so that they follow one another.
    fn raised(&self) -> Vec<u32> {
        let mut raised = Vec::new();
        for (number, log) in self.logs.iter().enumerate() {
            if raised.len() == log.part {
                let first = self.logs[0].was.0 + number as u32;
                raised.push(first - log.was.0);
            }
        }
        raised
    }

    fn laid_out(&self, form: Form, before: &Places) -> (Vec<Vec<u8>>, Places) {
        let mut places = Places {
            records: HashMap::new(),
            raised: self.raised(),
            created: BTreeMap::new(),
            form,
        };
        let mut written: Vec<Vec<u8>> = Vec::new();
        let size = self.logs.iter().map(|log| file_size(&log.header)).max();
        let size = size.expect("a stream has logs");
        for (number, log) in self.logs.iter().enumerate() {
            let mut header = log.header.clone();
            let generation = Generation(log.was.0 + places.raised[log.part]);
            LittleEndian::write_u32(&mut header[4..], generation.0);
            let segments = (size / SEGMENT_SIZE) as u16;
            LittleEndian::write_u16(&mut header[12..], segments);
            if let Some(last) = written.last() {
                let fields = LogHeader::read(last).expect("a whole header");
                header[24..32].copy_from_slice(&fields.as_read().created.0);
                let sum = match form {
                    Form::Segments => accumulated(last),
                    Form::Older => 0,
                };
                LittleEndian::write_u64(&mut header[653..], sum);
            }
            let list: Vec<u8> = (log.attachments.iter())
                .flat_map(|attachment| self.attachment(attachment, log.part, before))
                .collect();
            header[ATTACH_LIST].fill(0);
            header[ATTACH_LIST][..list.len()].copy_from_slice(&list);
            let records = log.records.iter();
            let records: Vec<Vec<u8>> = records
                .map(|(_, bytes)| self.record(bytes, log.part, before))
                .collect();
            let end = match number + 1 == self.logs.len() {
                true => End::Current,
                false => End::Closed,
            };
            let bytes = match form {
                Form::Segments => write_segments(&header, &records),
                // What the checksum records take is more than what the segment headers took.
                Form::Older => {
                    let sectors = size * 12 / 10 / SECTOR;
                    write_checksum_records(&header, &records, sectors as u16, end)
                }
            };
            let image = LogImage::from_bytes(Path::new("log"), bytes.clone());
            let image = image.expect("a log that was just written");
            let mut cursor = RecordCursor::new();
            let mut old = log.records.iter();
            while let Some(record) = cursor.next_record(&image).expect("the log is in order") {
                let number = record.kind.number();
                if number != ChecksumRecord::TYPE && number != 0 {
                    let (was, _) = old.next().expect("as many records as before");
                    places.records.insert((log.part, *was), record.lgpos);
                }
            }
            places.created.insert(generation, image.header.created);
            written.push(bytes);
        }
        (written, places)
    }

    fn path_of(&self, path: &str) -> String {
        let name = path.rsplit('\\').next().unwrap_or(path);
        self.names.get(name).cloned().unwrap_or(path.to_owned())
    }

    /// A record as it is in the new stream.
    fn record(&self, bytes: &[u8], part: usize, places: &Places) -> Vec<u8> {
        let (record, _) = Record::decode(bytes, 0, self.format).expect("a record in order");
        let names = |names: FileNames<'_>| utf16(&self.path_of(&names.first()));
        let of = |bytes| FileNames {
            unicode: true,
            bytes,
        };
        let changed = match record {
            Record::CreateDb(create) => {
                let path = names(create.names);
                let version = self.created_as.or(create.version);
                let names = of(&path);
                let create = CreateDb {
                    names,
                    version,
                    ..create
                };
                Record::CreateDb(create).encode()
            }
            Record::AttachDb(attach) => {
                let path = names(attach.names);
                let names = of(&path);
                let lgpos_consistent = places.find(part, attach.lgpos_consistent);
                let attach = AttachDb {
                    names,
                    lgpos_consistent,
                    ..attach
                };
                Record::AttachDb(attach).encode()
            }
            Record::DetachDb(detach) => {
                let path = names(detach.names);
                let names = of(&path);
                Record::DetachDb(DetachDb { names, ..detach }).encode()
            }
            _ => return bytes.to_vec(),
        };
        changed.expect("it fits its fields")
    }

    /// An entry of an attach list as it is in the new stream.
    fn attachment(&self, attachment: &Attachment, part: usize, places: &Places) -> Vec<u8> {
        let name = utf16(&self.path_of(&attachment.path));
        let mut entry = vec![attachment.dbid, UNICODE];
        entry.extend((name.len() as u16).to_le_bytes());
        entry.extend(attachment.dbtime.0.to_le_bytes());
        entry.extend(attachment.objid_last.0.to_le_bytes());
        entry.extend(attachment.database_size_max.to_le_bytes());
        entry.extend(places.find(part, attachment.last_attach).to_bytes());
        entry.extend(places.find(part, attachment.last_consistent).to_bytes());
        entry.extend(signature_bytes(&attachment.database_signature));
        entry.extend(name);
        entry
    }

    /// The signature of the stream.
    pub(crate) fn signature(&self) -> Signature {
        let header = LogHeader::read(&self.logs[0].header).expect("a whole header");
        header.as_read().signature
    }
}

fn signature_bytes(signature: &Signature) -> Vec<u8> {
    let mut header = DatabaseHeader::from_bytes(&[0; DatabaseHeader::SIZE]);
    header.signature = *signature;
    header.to_bytes()[24..24 + Signature::SIZE].to_vec()
}

fn file_size(header: &[u8]) -> usize {
    let header = LogHeader::read(header).expect("a whole header");
    header.as_read().file_size() as usize
}

fn utf16(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().chain([0]);
    units.flat_map(u16::to_le_bytes).collect()
}

impl Places {
    /// Where a position of a part is now: that of the record there, or of the one before it.
    fn find(&self, part: usize, was: Lgpos) -> Lgpos {
        if was.is_null() || self.records.is_empty() {
            return was;
        }
        if let Some(found) = self.records.get(&(part, was)) {
            return *found;
        }
        let earlier = self.records.iter().filter(|((of, place), _)| {
            *of == part && *place < was && place.generation == was.generation
        });
        let before = earlier.max_by_key(|((_, place), _)| *place);
        let raised = Generation(was.generation.0 + self.raised[part]);
        // After the last record of a log: as far after where that is now.
        match before {
            Some(((_, place), now)) => Lgpos {
                byte: now
                    .byte
                    .saturating_add(was.byte.saturating_sub(place.byte).max(1)),
                ..*now
            },
            None => Lgpos {
                generation: raised,
                ..was
            },
        }
    }

    /// A commit of a part as it is now.
    pub(crate) fn commit(&self, part: usize, was: &Commit) -> Commit {
        Commit::new(
            self.find(part, was.begin),
            was.length,
            self.form == Form::Older,
        )
    }

    /// Where a generation of a part is now.
    fn generation(&self, part: usize, was: Generation) -> Generation {
        match was.0 {
            0 => was,
            was => Generation(was + self.raised[part]),
        }
    }

    /// Writes the database of a part at `from` to `to`, with the header that it has in the new stream.
    pub(crate) fn copy_database(&self, part: usize, from: &Path, to: &Path, stream: Signature) {
        let mut bytes = fs::read(from).expect("a fixture can be read");
        let copies = HeaderCopies::read(&bytes);
        let size = copies.page_size as usize;
        let mut header = copies.good().expect("an intact header").fields.clone();
        let has_created = !header.max_required_created.is_null();
        for place in [
            &mut header.last_attach,
            &mut header.last_consistent,
            &mut header.last_detach,
            &mut header.last_resize,
            &mut header.last_reattach,
        ] {
            *place = self.find(part, *place);
        }
        for generation in [
            &mut header.min_required,
            &mut header.max_required,
            &mut header.max_committed,
            &mut header.min_consistent,
            &mut header.recovering,
            &mut header.pre_redo_min_consistent,
            &mut header.pre_redo_min_required,
        ] {
            *generation = self.generation(part, *generation);
        }
        if has_created {
            let created = |generation| self.created.get(&generation).copied();
            header.max_required_created = created(header.max_required).unwrap_or_default();
            header.max_committed_created = created(header.max_committed).unwrap_or_default();
        }
        header.log_signature = stream;
        for copy in bytes[..2 * size].chunks_exact_mut(size) {
            copy.fill(0);
            ese_format::database::seal_header(&header, copy);
        }
        fs::write(to, bytes).expect("the build folder is writable");
    }

    /// Copies what else lies beside the logs of a part: the checkpoint, which moves to the begin of its generation.
    pub(crate) fn copy_checkpoint(&self, part: usize, from: &Path, to: &Path) {
        let files = StreamFiles::find(from, None).expect("a set has a stream");
        let Some(checkpoint) = files.checkpoints.first() else {
            return;
        };
        let mut bytes = fs::read(&checkpoint.path).expect("a fixture can be read");
        let sectors = match self.form {
            Form::Segments => 1,
            Form::Older => (HEADER_SIZE / SECTOR) as u16,
        };
        for copy in bytes.chunks_exact_mut(HEADER_SIZE) {
            for at in [12, 648] {
                let mut place = [0; Lgpos::SIZE];
                place.copy_from_slice(&copy[at..at + Lgpos::SIZE]);
                let was = Lgpos::from_bytes(place).generation;
                let start = Lgpos::new(self.generation(part, was).0, sectors, 0);
                copy[at..at + Lgpos::SIZE].copy_from_slice(&start.to_bytes());
            }
            seal_header(copy);
        }
        fs::write(to.join(checkpoint.name()), bytes).expect("the build folder is writable");
    }
}
