//! Two Exchange servers: SRV1 with a storage group made by the reference engine, SRV2 with a copy of it.

#![allow(dead_code)] // Each test uses its part.

use ese_testkit::fixtures;
use ese_testkit::logs::seal_header;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The set that the storage group comes from: base E00, eleven logs, and a copy of its database taken early.
pub(crate) const SET: &str = "exchange-standby-p8k";
/// The generation of its current log.
pub(crate) const NEWEST: u32 = 11;

pub(crate) struct Exchange {
    pub(crate) folder: TempDir,
    pub(crate) set: PathBuf,
}

impl Exchange {
    /// SRV1 holds its early database, the closed logs before `current`, and that one as `E00.log`.
    pub(crate) fn at(current: u32) -> Self {
        let set = fixtures::engine_set(SET);
        let folder = TempDir::new().unwrap();
        let site = Exchange { folder, set };
        fs::create_dir(site.path("srv1")).unwrap();
        fs::copy(site.original("db.edb.old1"), site.path("srv1/MBX1.edb")).unwrap();
        site.write_until(current);
        fs::write(
            site.path("scr.toml"),
            "state = \"state\"\n\n[service]\nkept_back = 1\nretry = \"0\"\ntruncate = \"0\"\n",
        )
        .unwrap();
        site
    }

    /// The same with the copy enabled, seeded, and served once.
    pub(crate) fn copied_at(current: u32) -> Self {
        let site = Self::at(current);
        site.enable(0, &[]);
        site.run(0, &["run", "--once"]);
        site
    }

    /// SRV1 writes on until `current` is its current log.
    pub(crate) fn write_until(&self, current: u32) {
        for generation in 1..current {
            let to = self.log("srv1", generation);
            if !to.exists() {
                fs::copy(self.generation(generation), to).unwrap();
            }
        }
        fs::copy(self.generation(current), self.path("srv1/E00.log")).unwrap();
    }

    /// A file of the set as the crash left it.
    pub(crate) fn original(&self, name: &str) -> PathBuf {
        self.set.join("state").join(name)
    }

    /// The log with this generation in the set.
    pub(crate) fn generation(&self, generation: u32) -> PathBuf {
        match generation {
            NEWEST => self.original("E00.log"),
            _ => self.original(&format!("E00{generation:08X}.log")),
        }
    }

    /// The log with this generation as another storage group would have it: under another signature.
    pub(crate) fn foreign(&self, generation: u32) -> Vec<u8> {
        let mut log = fs::read(self.generation(generation)).unwrap();
        log[48] ^= 1;
        seal_header(&mut log);
        log
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Where a closed log lies in a folder.
    pub(crate) fn log(&self, folder: &str, generation: u32) -> PathBuf {
        self.path(&format!("{folder}/E00{generation:08X}.log"))
    }

    pub(crate) fn scr(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scr"));
        command.arg("--config").arg(self.path("scr.toml"));
        command.args(arguments).arg("--json").stdin(Stdio::null());
        command
    }

    /// Runs a command; its exit code, its JSON documents, and what it said.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> (i32, Vec<Value>, String) {
        let output = self.scr(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output
            .status
            .code()
            .unwrap_or_else(|| panic!("{arguments:?}: {said}"));
        (code, documents(&output), said)
    }

    /// Runs a command that must end with this exit code; gives its first JSON document and what it said.
    #[track_caller]
    pub(crate) fn run(&self, exit: i32, arguments: &[&str]) -> (Value, String) {
        let (code, documents, said) = self.try_run(arguments);
        assert_eq!(code, exit, "{arguments:?}: {said}{documents:?}");
        (documents.into_iter().next().unwrap_or_default(), said)
    }

    #[track_caller]
    pub(crate) fn enable(&self, exit: i32, more: &[&str]) -> (Value, String) {
        let (logs, database) = (self.text("srv1"), self.text("srv1/MBX1.edb"));
        let (to_logs, to) = (self.text("srv2"), self.text("srv2/MBX1.edb"));
        let arguments = [
            ["enable", "SG1"],
            ["--source", "SRV1"],
            ["--source-logs", &logs],
            ["--source-database", &database],
            ["--standby", "SRV2"],
            ["--logs", &to_logs],
            ["--database", &to],
            ["--replay-lag", "0"],
        ];
        let arguments = arguments.as_flattened().iter().chain(more);
        let arguments: Vec<&str> = arguments.copied().collect();
        self.run(exit, &arguments)
    }

    pub(crate) fn status(&self) -> Value {
        let (_, documents, said) = self.try_run(&["status", "SG1"]);
        documents
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{said}"))
    }

    /// SRV1 goes away, or comes back.
    pub(crate) fn lose_srv1(&self) {
        fs::rename(self.path("srv1"), self.path("lost")).unwrap();
    }

    pub(crate) fn srv1_is_back(&self) {
        fs::rename(self.path("lost"), self.path("srv1")).unwrap();
    }

    /// Every file below the folder, by its path from there.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        files(&self.path(folder))
    }
}

pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    if !root.exists() {
        return BTreeMap::new();
    }
    let name = |path: &Path| {
        path.strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let files = fixtures::files_below(root).into_iter();
    files
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect()
}

pub(crate) fn documents(output: &Output) -> Vec<Value> {
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Runs one of our other programs, which must end with this exit code.
#[track_caller]
pub(crate) fn program(path: &str, exit: i32, arguments: &[&str]) -> String {
    let output = Command::new(path).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Changes of rows that the timeline of these logs tells, as the reports of `scr` count them.
pub(crate) fn rows_told(logs: &Path, is_meant: impl Fn(&Value) -> bool) -> Value {
    let logs = logs.to_str().unwrap();
    let told = program(
        env!("CARGO_BIN_EXE_logchain"),
        0,
        &["timeline", logs, "--format", "jsonl"],
    );
    let mut tables: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for line in told.lines() {
        let change: Value = serde_json::from_str(line).unwrap();
        let operations = ["insert", "update", "delete"];
        let place = operations
            .iter()
            .position(|name| change["operation"] == *name);
        if let Some(place) = place
            && is_meant(&change)
        {
            let table = change["table"].as_str().unwrap().to_owned();
            tables.entry(table).or_default()[place] += 1;
        }
    }
    let tables = tables.into_iter().map(|(table, [inserted, updated, deleted])| {
        json!({"table": table, "inserted": inserted, "updated": updated, "deleted": deleted})
    });
    json!({"tables": tables.collect::<Vec<_>>(), "of_unknown_tables": 0, "problems": []})
}
