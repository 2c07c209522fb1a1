//! The engine's own streams, revealed log by log: names of both lengths, all log sizes, every kind of record.

mod support;

use ese_format::Generation;
use ese_log::{FileRole, StreamFile, StreamFiles};
use ese_testkit::fixtures;
use ese_testkit::rows::{committed, rows_of};
use jiff::Timestamp;
use rayon::prelude::*;
use standby::activate::ActivateOptions;
use standby::clock::SetClock;
use standby::config::{CopyConfig, Service, SourceConfig, TargetConfig};
use standby::lag::Lag;
use standby::source::FolderSource;
use standby::state::StateFile;
use standby::{Replayer, StandbyCopy};
use std::fs;
use std::path::Path;
use support::seed::{Twin, forced, recover, seed};
use target_disk::SharedDisk;
use tempfile::TempDir;

/// Sets whose logs do not begin with the creation of one database, or do not go on to its end.
const OTHERS: [&str; 6] = [
    "backup-p8k",
    "circ-p4k",
    "lossy-p8k",
    "missingedb-p8k",
    "multidb-p32k",
    "multidb-p8k",
];
/// Newest logs that are not replayed.
const KEPT_BACK: u32 = 2;

#[test]
fn every_set_can_be_activated_while_it_grows() {
    let wanted = std::env::var("EDBKIT_SETS").unwrap_or_default();
    let names = fixtures::engine_set_names();
    let names = names
        .iter()
        .filter(|name| !OTHERS.contains(&name.as_str()) && name.contains(&wanted));
    let names: Vec<&String> = names.collect();
    let results: Vec<(usize, usize)> = names.par_iter().map(|name| reveal(name)).collect();
    let logs: usize = results.iter().map(|(logs, _)| logs).sum();
    let activations: usize = results.iter().map(|(_, activations)| activations).sum();
    println!(
        "{} sets, {logs} logs revealed, {activations} activations",
        names.len()
    );
    assert!(!wanted.is_empty() || activations > fixtures::either(150, 30));
}

/// A copy of the stream of a set.
struct Revealed {
    folder: TempDir,
    config: CopyConfig,
    clock: SetClock,
    logs: Vec<StreamFile>,
    current: StreamFile,
}

impl Revealed {
    fn of(set: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut files = StreamFiles::find(&set.join("state"), None).unwrap();
        fs::create_dir(path("source")).unwrap();
        Revealed {
            config: CopyConfig {
                storage_group: None,
                name: "SG1".into(),
                replay_lag: Lag::ZERO,
                truncation_lag: Lag::ZERO,
                wait_for_backup: false,
                allow: Vec::new(),
                source: SourceConfig {
                    machine: "EXA".into(),
                    base: files.naming.base.clone(),
                    logs: path("source"),
                    system: path("source"),
                    database: path("source/db.edb"),
                    ..SourceConfig::default()
                },
                target: TargetConfig {
                    machine: "EXB".into(),
                    logs: path("target/logs"),
                    system: path("target/logs"),
                    database: path("target/db.edb"),
                    inspector: None,
                },
            },
            clock: SetClock::new(Timestamp::from_second(1_800_000_000).unwrap()),
            current: files.current.remove(0),
            logs: files.logs,
            folder,
        }
    }

    /// Closes one more log at the source: the next one is the current log then.
    fn close(&self, index: usize) {
        let source = &self.config.source.logs;
        let log = &self.logs[index];
        fs::copy(&log.path, source.join(log.name())).unwrap();
        let next = self.logs.get(index + 1).unwrap_or(&self.current);
        fs::copy(&next.path, source.join(self.current.name())).unwrap();
    }

    fn generation(&self, index: usize) -> u32 {
        match self.logs[index].role {
            FileRole::Generation { generation, .. } => generation.0,
            _ => unreachable!("a finished log"),
        }
    }

    fn open(&self) -> (StandbyCopy, Replayer) {
        let source = FolderSource::new(&self.config.source.logs, &self.config.source.base);
        let state = self.folder.path().join("state");
        let state = StateFile::new(&SharedDisk::default(), &state, self.config.file_name());
        let copy = StandbyCopy::open(&self.config, state, Box::new(source), &self.clock).unwrap();
        let replayer = copy.replayer();
        (copy, replayer)
    }
}

/// Reveals the logs of a set one by one; how many, and how often the copy was activated on the way.
fn reveal(name: &str) -> (usize, usize) {
    let set = fixtures::engine_set(name);
    let revealed = Revealed::of(&set);
    let service = Service {
        kept_back: KEPT_BACK,
        ..Service::default()
    };
    // The database is created in the first log.
    revealed.close(0);
    seed(&revealed.config, revealed.generation(0));
    let (mut copy, mut replayer) = revealed.open();
    let mut activations = 0;
    let twin = |options: &ActivateOptions| {
        let twin = Twin::of(&revealed.config, &revealed.folder.path().join("state"));
        let report = twin
            .activate(options)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(report.mountable, "{name}: {report}");
        let rows = rows_of(&report.database);
        (report, rows)
    };
    for index in 1..revealed.logs.len() {
        revealed.close(index);
        let pass = copy.pass(&service, &revealed.clock).unwrap();
        let last = revealed.generation(index);
        assert_eq!(
            pass.state.inspected.unwrap().generation,
            Generation(last),
            "{name}: {:?}",
            pass.state
        );
        while replayer
            .step(&service, &revealed.clock, None, &())
            .unwrap()
            .more
        {}
        if index % 3 == 0 {
            let (report, rows) = twin(&forced());
            assert_eq!(report.replayed.last, Some(Generation(last)), "{name}");
            let once = revealed.folder.path().join(format!("{last}.edb"));
            recover(&revealed.config, last, &once);
            assert!(
                rows_of(&once) == rows,
                "{name}, generation {last}: the rows differ"
            );
            activations += 1;
        }
    }
    let (report, rows) = twin(&ActivateOptions::default());
    assert_eq!(report.loss, None, "{name}");
    assert!(
        rows == committed(&set),
        "{name}: the rows are not the committed ones"
    );
    (revealed.logs.len(), activations + 1)
}
