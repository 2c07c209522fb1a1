//! What of earlier runs still stands.
//!
//! A database is done if its source is what it was, its files are what the journal says, byte for byte, all states of its series
//! are done, and the database whose rows stand for its own is. All others are done again.

use super::CollectError;
use super::folder::{CaseFolder, is_hex};
use super::record::{DatabaseRecord, PartRecord};
use ese_export::ExportError;
use ese_format::{Progress, hex};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use target_disk::Disk;

/// No list of values is longer.
const LONGEST: u64 = 4 << 30;

impl CaseFolder {
    /// Keeps of what earlier runs did what still stands. Refused if a source of it is not what it was.
    pub(super) fn keep(
        &mut self,
        begun: &[DatabaseRecord],
        progress: &dyn Progress,
    ) -> Result<(), CollectError> {
        // What this machine could not read is tried again.
        self.known.retain(|_, record| {
            let failure = record.failure.as_ref();
            failure.is_none_or(|failure| !failure.may_pass)
        });
        compare(&self.known, begun)?;
        self.drop_what_is_not_there(progress)?;
        self.drop_what_depends_on_others(begun);
        Ok(())
    }

    /// Databases whose files are not what was written down are not done.
    fn drop_what_is_not_there(&mut self, progress: &dyn Progress) -> Result<(), CollectError> {
        let mut known = std::mem::take(&mut self.known);
        let parts = known.values().flat_map(DatabaseRecord::parts);
        progress.begin(parts.map(|part| part.bytes).sum(), 0);
        let is_there = |part: &PartRecord| {
            progress.advance(part.bytes);
            let path = self.path().join(&part.file);
            !progress.should_stop()
                && is_what(&**self.disk(), &path, Some(part.bytes), &part.sha256)
        };
        known = known
            .into_par_iter()
            .filter(|(_, record)| record.parts().all(is_there))
            .collect();
        // Equal values are one file, which several databases have.
        let mut values: BTreeSet<String> = BTreeSet::new();
        for record in known.values() {
            values.extend(self.values_of(record)?);
        }
        let wrong: BTreeSet<String> = values
            .into_par_iter()
            .filter(|name| {
                progress.should_stop() || !is_what(&**self.disk(), &self.value(name), None, name)
            })
            .collect();
        if progress.should_stop() {
            return Err(ExportError::Stopped.into());
        }
        if !wrong.is_empty() {
            let mut kept = HashMap::new();
            for (id, record) in known {
                if self.values_of(&record)?.is_disjoint(&wrong) {
                    kept.insert(id, record);
                }
            }
            known = kept;
        }
        let mut own_parts = self.ended.iter().flat_map(|ended| &ended.own_parts);
        if !own_parts.all(is_there) {
            self.ended = None;
        }
        self.wrong_values = wrong.iter().map(|name| self.value(name)).collect();
        self.known = known;
        Ok(())
    }

    /// The values of a database that are files.
    fn values_of(&self, record: &DatabaseRecord) -> Result<BTreeSet<String>, CollectError> {
        let Some(list) = &record.long_values else {
            return Ok(BTreeSet::new());
        };
        let path = self.path().join(&list.file);
        let text = self.disk().read(&path, LONGEST);
        let text = text.map_err(|error| ExportError::write(&path, error))?;
        let lines = text.split(|byte| *byte == b'\n');
        let names = lines.map(|name| String::from_utf8_lossy(name).into_owned());
        Ok(names.filter(|name| is_hex(name, 64)).collect())
    }

    /// States of a series are done together; and one whose rows are another's only if that is.
    fn drop_what_depends_on_others(&mut self, begun: &[DatabaseRecord]) {
        loop {
            let before = self.known.len();
            let mut whole: HashMap<&str, bool> = HashMap::new();
            for begun in begun {
                if let Some(series) = &begun.series {
                    let known = self.known.get(&begun.id);
                    let is_done = known.is_some_and(|known| known.series == begun.series);
                    *whole.entry(series).or_insert(true) &= is_done;
                }
            }
            let read = self
                .known
                .values()
                .filter(|record| record.same_as.is_none());
            let read: HashMap<String, Option<String>> = read
                .map(|record| (record.source.clone(), record.content.clone()))
                .collect();
            self.known.retain(|_, record| {
                let series = record.series.as_deref();
                let other = record.same_as.as_ref();
                series.is_none_or(|series| whole.get(series) == Some(&true))
                    && other.is_none_or(|other| read.get(other) == Some(&record.content))
            });
            if self.known.len() == before {
                return;
            }
        }
    }
}

/// What was done is right only while its sources are what they were.
fn compare(
    known: &HashMap<String, DatabaseRecord>,
    begun: &[DatabaseRecord],
) -> Result<(), CollectError> {
    let mut gone: BTreeSet<&str> = known.values().map(|record| &*record.source).collect();
    for found in begun {
        gone.remove(&*found.source);
        let known = known.get(&found.id);
        if let Some(what) = known.and_then(|known| known.difference(found)) {
            return Err(CollectError::SourceChanged {
                source_path: found.source.clone(),
                what,
            });
        }
    }
    match gone.into_iter().next() {
        None => Ok(()),
        Some(source) => Err(CollectError::SourceGone {
            source_path: source.to_owned(),
        }),
    }
}

/// Whether a file has this digest, and this length if one is given.
fn is_what(disk: &dyn Disk, path: &Path, bytes: Option<u64>, sha256: &str) -> bool {
    let digest = || -> io::Result<Option<String>> {
        let file = disk.open_to_read(path)?;
        let length = file.length()?;
        if bytes.is_some_and(|bytes| bytes != length) {
            return Ok(None);
        }
        let (mut hash, mut offset) = (Sha256::new(), 0);
        let mut buffer = vec![0; 1 << 18];
        while offset < length {
            let read = file.read_at(&mut buffer, offset)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            offset += read as u64;
        }
        Ok(Some(hex::encode(hash.finalize())))
    };
    matches!(digest(), Ok(Some(found)) if found == sha256)
}
