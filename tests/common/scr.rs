//! A site with a source that grows and copies of it, worked on with `scr`.

#![allow(dead_code)] // Each test uses its part.

use ese_testkit::growing::GrowingStream;
use serde_json::Value;
use standby::config::{Configuration, CopyConfig};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The set whose records are spread.
pub(crate) const SPREAD_SET: &str = "crash-p8k";
/// Bytes of a log.
pub(crate) const LOG_SIZE: usize = 16 * 4096;

/// A source with logs, a place for copies, and a configuration.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) stream: GrowingStream,
}

impl Site {
    pub(crate) fn new(logs: u32) -> Self {
        let mut site = Self::with(|source| GrowingStream::begin(source, LOG_SIZE));
        site.stream.roll_many(logs);
        site
    }

    /// A source whose logs hold the records of an engine-made set, spread over `logs` of them, none closed yet.
    pub(crate) fn spread(logs: usize) -> Self {
        let state = ese_testkit::fixtures::testdata_set(SPREAD_SET).join("state");
        Self::with(|source| GrowingStream::begin_spread(source, &state, LOG_SIZE, logs))
    }

    fn with(begin: impl FnOnce(&Path) -> GrowingStream) -> Self {
        let folder = TempDir::new().unwrap();
        let source = folder.path().join("exa");
        fs::create_dir(&source).unwrap();
        let stream = begin(&source);
        Site { folder, stream }
    }

    /// The configuration of a copy, as the program reads it.
    pub(crate) fn config(&self, name: &str) -> CopyConfig {
        let configuration = Configuration::load(&self.path("scr.toml")).unwrap();
        configuration.copy(name).unwrap().clone()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scr"));
        command
            .arg("--config")
            .arg(self.path("scr.toml"))
            .args(arguments);
        command
    }

    pub(crate) fn scr(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must end with this exit code; gives its JSON documents.
    pub(crate) fn json(&self, exit: i32, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(arguments).arg("--json").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{arguments:?}: {error}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn enable(&self, name: &str, more: &[&str]) -> Output {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let source = text(self.path("exa"));
        let logs = text(self.path(&format!("exb/{name}")));
        let (from, to) = (format!("{source}/MBX1.edb"), format!("{logs}/MBX1.edb"));
        let arguments = [
            "enable",
            name,
            "--source",
            "EXA",
            "--source-logs",
            &source,
            "--source-database",
            &from,
            "--standby",
            "EXB",
            "--logs",
            &logs,
            "--database",
            &to,
            "--seeding-postponed",
        ];
        let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
        self.scr(&arguments)
    }

    /// The copy has the closed logs of the source, byte by byte, and nothing else.
    pub(crate) fn assert_whole(&self, name: &str) {
        let mut source = logs(&self.path("exa"));
        source.remove("E00.log");
        let target = logs(&self.path(&format!("exb/{name}")));
        let names = |logs: &BTreeMap<String, Vec<u8>>| logs.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&target), names(&source));
        assert!(target == source, "the logs differ");
    }
}

pub(crate) fn logs(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files
        .filter(|path| path.is_file())
        .map(|path| (name(&path), fs::read(path).unwrap()))
        .collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
