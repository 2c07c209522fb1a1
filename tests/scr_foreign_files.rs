//! No file that `scr` did not make is changed or removed without an order that names it: tried over random histories of
//! commands and accidents, with files of other people planted everywhere.
//!
//! `EDBKIT_HISTORIES` says how many histories are tried, `EDBKIT_HISTORY` tries only this one.

#[path = "common/exchange.rs"]
mod exchange;

use ese_testkit::fixtures;
use ese_testkit::random::Random;
use exchange::{Exchange, NEWEST, files};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const STEPS: usize = 30;

/// Files by their path below the site.
type Files = BTreeMap<String, Vec<u8>>;

struct History {
    site: Exchange,
    random: Random,
    /// The newest log of SRV1.
    current: u32,
    away: bool,
    /// Files that were planted, and those of SRV1: nobody may touch them.
    foreign: Files,
    told: Vec<String>,
}

/// What the order that was given allows.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Allowed {
    /// The database of the copy may be put aside.
    standby_database: bool,
    /// The files of the server to which the database goes may be put aside, and its database be brought up to date if it
    /// is an older state. After a failback that is the other one.
    first_server: bool,
    /// Closed logs of SRV1 may be deleted.
    truncates_source: bool,
}

impl History {
    fn new(seed: u64) -> Option<History> {
        let current = 6;
        let site = Exchange::at(current)?;
        let mut history = History {
            foreign: Files::new(),
            random: Random(seed.wrapping_mul(0xd134_2543_de82_ef95)),
            told: Vec::new(),
            away: false,
            current,
            site,
        };
        fs::create_dir_all(history.site.path("backup")).unwrap();
        fs::copy(
            history.site.original("db.edb.old1"),
            history.site.path("backup/MBX1.edb"),
        )
        .unwrap();
        history.take_note("srv1");
        history.take_note("backup");
        Some(history)
    }

    /// All that lies in this folder is somebody's.
    fn take_note(&mut self, folder: &str) {
        let found = files(&self.site.path(folder));
        self.foreign
            .retain(|path, _| !path.starts_with(&format!("{folder}/")));
        let named = found
            .into_iter()
            .map(|(name, bytes)| (format!("{folder}/{name}"), bytes));
        self.foreign.extend(named);
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.random.below(all.len())]
    }

    /// Something happens that is no command.
    fn accident(&mut self) {
        let what = self.random.below(10);
        match what {
            0 | 1 if !self.away && self.current < NEWEST && self.site.path("srv1").exists() => {
                // Only where it still works on what it worked on.
                let last = self.site.log("srv1", self.current - 1);
                if last.exists() {
                    self.current += 1;
                    self.told
                        .push(format!("SRV1 writes on to {}", self.current));
                    let before = files(&self.site.path("srv1"));
                    self.site.write_until(self.current);
                    let after = files(&self.site.path("srv1"));
                    let new = after
                        .into_iter()
                        .filter(|(name, bytes)| before.get(name) != Some(bytes));
                    let new = new.map(|(name, bytes)| (format!("srv1/{name}"), bytes));
                    self.foreign.extend(new);
                }
            }
            2 => {
                self.away = !self.away;
                self.told.push(format!("SRV1 away: {}", self.away));
                let (from, to) = if self.away {
                    ("srv1", "lost")
                } else {
                    ("lost", "srv1")
                };
                if self.site.path(to).exists() {
                    // The replication went the other way meanwhile, and made the folder.
                    let made = format!("made{}", self.told.len());
                    fs::rename(self.site.path(to), self.site.path(&made)).unwrap();
                }
                fs::rename(self.site.path(from), self.site.path(to)).unwrap();
                let moved = std::mem::take(&mut self.foreign).into_iter();
                let moved =
                    moved.map(
                        |(path, bytes)| match path.strip_prefix(&format!("{from}/")) {
                            Some(rest) => (format!("{to}/{rest}"), bytes),
                            None => (path, bytes),
                        },
                    );
                self.foreign = moved.collect();
            }
            3 if !self.away => {
                self.told.push("SRV1 loses its E00.log".into());
                let _ = fs::remove_file(self.site.path("srv1/E00.log"));
                self.foreign.remove("srv1/E00.log");
            }
            _ => self.plant(),
        }
    }

    /// Somebody puts a file where nothing is called so.
    fn plant(&mut self) {
        let generation = 1 + self.random.below(12) as u32;
        let log = format!("E00{generation:08X}.log");
        let server = self.one_of(&["srv2", "srv2", "srv2", "srv1"]);
        let names = [
            &*log,
            &log,
            &log,
            "E00.log",
            "E00.chk",
            "E00tmp.log",
            "MBX1.edb",
            "MBX1.jfm",
            "MBX1.edb.partial",
            "MBX1.edb.edbcopy",
            "MBX1.edb.edbreplay-journal",
            "MBX1.edb.failback",
            "MBX1.edb.failback.partial",
            "MBX1PORT.edb",
            "notes of Eva.txt",
            "inspector/notes",
            "diverged/notes",
            "state/notes",
        ];
        let mut name = self.one_of(&names).to_owned();
        if self.random.below(5) == 0 && name.ends_with(".log") {
            name = format!("inspector/{name}");
        }
        let folder = if name.starts_with("state/") {
            String::new()
        } else {
            format!("{server}/")
        };
        if self.away && server == "srv1" {
            return;
        }
        let path = format!("{folder}{name}");
        let place = self.site.path(&path);
        if place.exists() {
            return;
        }
        let theirs = fixtures::engine_set("exchange-p8k").unwrap().join("state");
        let other_log = theirs.join(format!("E00{:08X}.log", generation.min(9)));
        let own_log = self.site.generation(generation.min(NEWEST));
        // A database that logs can be replayed onto would be a seed, and would be meant to be changed.
        let database = fixtures::testdata_set("clean-p4k").join("state/db.edb");
        let what = if name.ends_with("MBX1.edb") || name.ends_with("PORT.edb") {
            self.one_of(&["text", "database"])
        } else {
            self.one_of(&["text", "other log", "own log", "nothing"])
        };
        let content = match what {
            "text" => b"a mail of 2007 that exists only here".to_vec(),
            "other log" => fs::read(other_log).unwrap(),
            "own log" => fs::read(own_log).unwrap(),
            "database" => fs::read(database).unwrap(),
            _ => Vec::new(),
        };
        self.told.push(format!("planted: {path} ({what})"));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, &content).unwrap();
        self.foreign.insert(path, content);
    }

    fn command(&mut self) {
        let backup = self.site.text("backup/MBX1.edb");
        let port = self.site.text("srv2/MBX1PORT.edb");
        let (old, folder) = (self.site.text("srv1/MBX1.edb"), self.site.text("srv1"));
        let plain = Allowed::default();
        let replaces = Allowed {
            standby_database: true,
            ..plain
        };
        let returns = Allowed {
            first_server: true,
            ..plain
        };
        let truncates = Allowed {
            truncates_source: true,
            ..plain
        };
        let orders: [(&[&str], Allowed); 26] = [
            (&["run", "--once"], plain),
            (&["run", "--once"], plain),
            (&["run", "--once"], plain),
            (&["run", "--once", "--truncate-source"], truncates),
            (&["status"], plain),
            (&["check"], plain),
            (&["suspend", "SG1"], plain),
            (&["resume", "SG1"], plain),
            (&["resume", "SG1"], plain),
            (&["update", "SG1"], plain),
            (&["update", "SG1", "--from", &backup], plain),
            (&["update", "SG1", "--delete-existing-files"], replaces),
            (
                &[
                    "update",
                    "SG1",
                    "--from",
                    &backup,
                    "--delete-existing-files",
                ],
                replaces,
            ),
            (&["restore", "SG1", "--dry-run"], plain),
            (
                &["restore", "SG1", "--force", "--try-source", "--dry-run"],
                plain,
            ),
            (&["restore", "SG1"], plain),
            (&["restore", "SG1", "--force"], plain),
            (&["restore", "SG1", "--force", "--try-source"], plain),
            (
                &["restore", "SG1", "--force", "--try-source", "--to", &port],
                plain,
            ),
            (&["failback", "SG1", "--home", "--dry-run"], plain),
            (&["failback", "SG1", "--home", "--yes"], returns),
            (&["failback", "SG1", "--yes"], returns),
            (
                &[
                    "failback",
                    "SG1",
                    "--home",
                    "--yes",
                    "--put-aside",
                    &old,
                    "--put-aside",
                    &folder,
                ],
                returns,
            ),
            (&["disable", "SG1"], plain),
            (&["runbook", "failover", "SG1"], plain),
            (&["enable"], plain),
        ];
        let number = self.random.below(orders.len() + 3);
        let (order, allowed) = orders[number.min(orders.len() - 1)];
        let (code, said) = if order == ["enable"] {
            let (code, said) = self.enable();
            (code, said)
        } else {
            let (code, _, said) = self.site.try_run(order);
            (code, said)
        };
        self.told.push(format!(
            "scr {} -> {code} {}",
            order.join(" "),
            said.lines().next().unwrap_or_default()
        ));
        self.check(allowed);
    }

    fn enable(&mut self) -> (i32, String) {
        let (logs, database) = (self.site.text("srv1"), self.site.text("srv1/MBX1.edb"));
        let (to_logs, to) = (self.site.text("srv2"), self.site.text("srv2/MBX1.edb"));
        let (code, _, said) = self.site.try_run(&[
            "enable",
            "SG1",
            "--source",
            "SRV1",
            "--source-logs",
            &logs,
            "--source-database",
            &database,
            "--standby",
            "SRV2",
            "--logs",
            &to_logs,
            "--database",
            &to,
            "--replay-lag",
            "0",
            "--circular",
        ]);
        (code, said)
    }

    /// What is somebody's is as it was, or where the order allowed it to go.
    fn check(&mut self, allowed: Allowed) {
        let root = self.site.folder.path().to_owned();
        let mut moved = Files::new();
        let mut gone = Vec::new();
        for (path, content) in &self.foreign {
            let place = root.join(path);
            if fs::read(&place).is_ok_and(|found| found == *content) {
                continue;
            }
            let is_log = |name: &str| name.starts_with("srv1/E000") && name.ends_with(".log");
            if allowed.truncates_source && is_log(path) && !place.exists() {
                gone.push(path.clone());
                continue;
            }
            let server = path.split('/').next().unwrap();
            let may_move = (allowed.standby_database && path == "srv2/MBX1.edb")
                || allowed.first_server;
            if may_move && let Some(to) = kept_in(&root.join(server), content) {
                let to = to.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                moved.insert(to, content.clone());
                gone.push(path.clone());
                continue;
            }
            // An older state of the database that goes back, with nothing beyond it: brought up to date.
            let is_older = path == "srv1/MBX1.edb"
                && *content == fs::read(self.site.original("db.edb.old1")).unwrap();
            if allowed.first_server && is_older {
                gone.push(path.clone());
                continue;
            }
            panic!("{path} was changed or removed:\n{}", self.told.join("\n"));
        }
        gone.iter().for_each(|path| drop(self.foreign.remove(path)));
        self.foreign.extend(moved);
    }
}

/// Where a file with this content lies below `diverged` in a folder.
fn kept_in(folder: &Path, content: &[u8]) -> Option<PathBuf> {
    let diverged = folder.join("diverged");
    let all = diverged.exists().then(|| fixtures::files_below(&diverged));
    let mut all = all.unwrap_or_default().into_iter();
    all.find(|path| fs::read(path).is_ok_and(|found| found == content))
}

#[test]
fn what_scr_did_not_make_stays() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().unwrap())
    };
    let only = number("EDBKIT_HISTORY");
    let count = number("EDBKIT_HISTORIES").unwrap_or(40);
    let seeds = only.map_or(0..count, |seed| seed..seed + 1);
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    for seed in seeds {
        let Some(mut history) = History::new(seed) else {
            return;
        };
        history.told.push(format!("history {seed}"));
        history.enable();
        history.check(Allowed::default());
        for _ in 0..STEPS {
            match history.random.below(3) {
                0 => history.accident(),
                _ => history.command(),
            }
        }
        for line in &history.told {
            let Some((order, rest)) = line.split_once(" -> ") else {
                continue;
            };
            let code = rest.split(' ').next().unwrap();
            let words: Vec<&str> = order.split(' ').take(2).collect();
            *codes
                .entry(format!("{} {code}", words.join(" ")))
                .or_default() += 1;
        }
        if only.is_some() {
            println!("{}", history.told.join("\n"));
        }
    }
    println!("{codes:#?}");
    // The histories got somewhere.
    if only.is_none() && count >= 40 {
        for step in [
            "scr run 0",
            "scr run 1",
            "scr restore 0",
            "scr restore 1",
            "scr update 0",
            "scr update 5",
            "scr failback 0",
        ] {
            assert!(codes.contains_key(step), "{step} never came");
        }
    }
}
