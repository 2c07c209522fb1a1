//! `logchain stat`: what a stream consists of.

use crate::stream::{StreamArguments, check_interrupt};
use console::{Exit, Failure, Output};
use ese_format::{Explain, Generation, JetSuffix, Progress, RecordType};
use ese_log::LogError;
use ese_log::stat::{Count, DatabaseStat, Stat};
use ese_log::transactions::OpenTransaction;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// Count records, bytes, pages and transactions of a stream
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  logchain stat /evidence/sg1")]
pub(crate) struct Arguments {
    #[command(flatten)]
    stream: StreamArguments,
    /// List at most this many trees for each database, the busiest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    objects: usize,
}

/// Runs the command. What was counted before a place that cannot be read is printed all the same.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let stream = arguments.stream.open()?;
    let mut records = stream.records(Generation(0));
    let mut stat = Stat::default();
    let mut undecoded = 0u64;
    let files = stream.files().in_order();
    let total = files
        .filter_map(|file| evidence::length_of(&file.path))
        .sum();
    let bar = output.bar(total, "Reading logs");
    let mut current = Generation(0);
    let stopped = loop {
        let generation = match records.next_record() {
            Ok(Some(raw)) => {
                undecoded += u64::from(stat.count(&raw).is_err());
                raw.lgpos.generation
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        if generation != current {
            current = generation;
            bar.advance(records.image().map_or(0, |image| image.bytes.len() as u64));
        }
        if stat.total.records.is_multiple_of(4096) {
            check_interrupt(output)?;
        }
    };
    drop(bar);
    let report = Report {
        folder: arguments.stream.folder.clone(),
        base: stream.files().naming.base.clone(),
        first_generation: stat.generations.map(|(first, _)| first),
        last_generation: stat.generations.map(|(_, last)| last),
        open: stat.open_transactions(),
        committed: stat.transactions.committed,
        rolled_back: stat.transactions.rolled_back,
        began_before: stat.transactions.began_before,
        ignorable: stat.ignorable,
        unfinished: records.unfinished(),
        total: stat.total,
        types: stat.types,
        databases: stat.databases,
        undecoded,
        stopped: stopped.as_ref().map(told),
        objects_shown: arguments.objects,
    };
    output.answer("edbkit.log-stat/2", &report, &report)?;
    match stopped {
        Some(error) => {
            output.flush()?;
            Err(Failure::of(&error))
        }
        None if undecoded > 0 => Ok(Exit::Finding),
        None => Ok(Exit::Clean),
    }
}

/// An error with the engine's number, where it has one.
fn told(error: &LogError) -> String {
    format!("{error}{}", JetSuffix(error.jet()))
}

#[derive(Debug, Serialize)]
struct Report {
    folder: PathBuf,
    base: String,
    first_generation: Option<Generation>,
    last_generation: Option<Generation>,
    total: Count,
    types: BTreeMap<RecordType, Count>,
    databases: BTreeMap<u8, DatabaseStat>,
    committed: u64,
    rolled_back: u64,
    /// Ends of transactions that began before the first record.
    began_before: u64,
    open: Vec<OpenTransaction>,
    ignorable: u64,
    unfinished: u64,
    undecoded: u64,
    stopped: Option<String>,
    #[serde(skip)]
    objects_shown: usize,
}

impl Report {
    fn share(&self, bytes: u64) -> f64 {
        100.0 * bytes as f64 / self.total.bytes.max(1) as f64
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (first, last) = (
            self.first_generation.unwrap_or_default(),
            self.last_generation.unwrap_or_default(),
        );
        writeln!(
            f,
            "Log stream {}, generations {first}-{last} ({first:#x}-{last:#x})\n",
            self.base
        )?;
        writeln!(f, "Op         # Records          Bytes  Avg. Size   Share")?;
        for (kind, count) in &self.types {
            let Count { records, bytes } = *count;
            let (average, share) = (bytes / records.max(1), self.share(bytes));
            let name = kind.dump_name();
            writeln!(
                f,
                "{name:<9} {records:>10} {bytes:>14} {average:>10} {share:>6.1}%"
            )?;
        }
        let Count { records, bytes } = self.total;
        writeln!(f, "{:<9} {records:>10} {bytes:>14}\n", "Total")?;
        for (dbid, database) in &self.databases {
            self.write_database(f, *dbid, database)?;
        }
        writeln!(f, "\nTransactions")?;
        writeln!(f, "      Committed: {}", self.committed)?;
        writeln!(f, "    Rolled back: {}", self.rolled_back)?;
        writeln!(f, "    Open at end: {}", self.open.len())?;
        for open in &self.open {
            writeln!(
                f,
                "    session {}, transaction {:#x}, since {}, level {}",
                open.procid, open.trx, open.began, open.level
            )?;
        }
        for (count, what) in [
            (
                self.began_before,
                "end a transaction that began before the first log",
            ),
            (self.ignorable, "are of types that readers skip"),
            (self.unfinished, "were not finished when their log ended"),
            (self.undecoded, "COULD NOT BE DECODED"),
        ] {
            if count > 0 {
                writeln!(f, "{count} records {what}")?;
            }
        }
        match &self.stopped {
            Some(stopped) => writeln!(f, "STOPPED: {stopped}"),
            None => Ok(()),
        }
    }
}

impl Report {
    fn write_database(&self, f: &mut Formatter<'_>, dbid: u8, stat: &DatabaseStat) -> fmt::Result {
        let Count { records, bytes } = stat.count;
        writeln!(
            f,
            "Database {dbid}: {records} records, {bytes} bytes, {} pages",
            stat.pages()
        )?;
        let mut objects: Vec<_> = stat.objects.iter().collect();
        objects.sort_by_key(|(objid, count)| (std::cmp::Reverse(count.records), **objid));
        for (objid, count) in objects.iter().take(self.objects_shown) {
            let Count { records, bytes } = count;
            writeln!(
                f,
                "    objid {objid:<8} {records:>10} records {bytes:>14} bytes"
            )?;
        }
        match objects.len().saturating_sub(self.objects_shown) {
            0 => Ok(()),
            more => writeln!(f, "    and {more} more"),
        }
    }
}
