//! Counts over the records of a stream.

use crate::RawRecord;
use crate::subject;
use crate::transactions::{OpenTransaction, Transactions};
use ese_format::{Generation, Record, RecordError, RecordType};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashSet};

/// How many records and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }
}

/// What a stream does to one database.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DatabaseStat {
    /// Records about it.
    #[serde(flatten)]
    pub count: Count,
    /// Pages that they change.
    #[serde(rename = "pages", serialize_with = "size_only")]
    pages: HashSet<u32>,
    /// Records by the tree that they change.
    pub objects: BTreeMap<u32, Count>,
}

impl DatabaseStat {
    /// How many pages are changed.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }
}

fn size_only<S: Serializer>(pages: &HashSet<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(pages.len() as u64)
}

/// Counts over records as they go by.
#[derive(Debug, Clone, Default)]
pub struct Stat {
    /// All records.
    pub total: Count,
    /// By type.
    pub types: BTreeMap<RecordType, Count>,
    /// By database, as numbered in the stream.
    pub databases: BTreeMap<u8, DatabaseStat>,
    /// Transactions.
    pub transactions: Transactions,
    /// Records of types that readers skip when they do not know them.
    pub ignorable: u64,
    /// The first and the last generation with a record.
    pub generations: Option<(Generation, Generation)>,
}

impl Stat {
    /// Counts a record. An error says that it cannot be decoded; it is counted by its type all the same.
    pub fn count(&mut self, raw: &RawRecord<'_>) -> Result<(), RecordError> {
        let bytes = raw.bytes.len() as u64;
        self.total.add(bytes);
        self.types.entry(raw.kind).or_default().add(bytes);
        let generation = raw.lgpos.generation;
        let first = self.generations.map_or(generation, |(first, _)| first);
        self.generations = Some((first, generation));
        let record = raw.decode()?;
        self.ignorable += u64::from(matches!(record, Record::Ignored(_)));
        self.transactions.follow(raw.lgpos, &record);
        if let Some(dbid) = subject::database(&record) {
            let database = self.databases.entry(dbid).or_default();
            database.count.add(bytes);
            if let Some(objid) = subject::object(&record) {
                database.objects.entry(objid.0).or_default().add(bytes);
            }
            subject::pages(&record, |pgno| {
                database.pages.insert(pgno.0);
            });
        }
        Ok(())
    }

    /// Transactions that are open at the end.
    pub fn open_transactions(&self) -> Vec<OpenTransaction> {
        self.transactions.open().copied().collect()
    }
}
