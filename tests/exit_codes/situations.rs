//! What people meet, and how each command ends there.

use crate::common::run;
use ese_testkit::fixtures::testdata_set;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The commands that are asked, as a person writes them.
pub(crate) const COMMANDS: [&str; 11] = [
    "edbtool header",
    "edbtool verify",
    "edbtool tables",
    "edbtool export",
    "edbtool export --with-logs",
    "logchain verify --db",
    "edbreplay plan",
    "edbreplay run --to",
    "edbreplay run --until-undo",
    "edbcopy copy",
    "scr restore",
];

/// A folder with a database and its logs, to which something happened.
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    folder: TempDir,
    more: &'static [&'static str],
    /// Whether results are there already.
    is_taken: bool,
}

fn situation(name: &'static str, set: &str, happens: impl FnOnce(&Path)) -> Situation {
    let folder = TempDir::new().expect("a temporary folder can be made");
    for entry in fs::read_dir(testdata_set(set).join("state")).expect("a set has a state") {
        let entry = entry.expect("a directory entry");
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("there is space");
    }
    happens(folder.path());
    Situation {
        name,
        folder,
        more: &[],
        is_taken: false,
    }
}

const CLEAN: &str = "clean-p4k";
const DIRTY: &str = "crash-p8k";

fn write(path: PathBuf, bytes: &[u8]) {
    fs::write(path, bytes).expect("a temporary folder is writable");
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("the file is there");
    change(&mut bytes);
    write(path.to_owned(), &bytes);
}

fn remove(path: PathBuf) {
    fs::remove_file(path).expect("the file is there");
}

/// All of them.
pub(crate) fn all() -> Vec<Situation> {
    let page = 8192;
    let limit: &[&str] = &["--until", "15"];
    vec![
        situation("nothing happened to a clean database", CLEAN, |_| {}),
        situation("nothing happened to a dirty one", DIRTY, |_| {}),
        Situation {
            is_taken: true,
            ..situation("results are there already", DIRTY, |_| {})
        },
        situation("the database is not there", DIRTY, |at| {
            remove(at.join("db.edb"));
        }),
        situation("it is a folder", DIRTY, |at| {
            remove(at.join("db.edb"));
            fs::create_dir(at.join("db.edb")).expect("a temporary folder is writable");
        }),
        situation("it is empty", DIRTY, |at| write(at.join("db.edb"), b"")),
        situation("it is a text", DIRTY, |at| {
            write(at.join("db.edb"), "no database\n".repeat(9999).as_bytes());
        }),
        situation("one copy of its header is damaged", DIRTY, |at| {
            edit(&at.join("db.edb"), |bytes| bytes[60] ^= 8);
        }),
        situation("both copies of its header are damaged", DIRTY, |at| {
            edit(&at.join("db.edb"), |bytes| {
                bytes[60] ^= 8;
                bytes[page + 60] ^= 8;
            });
        }),
        situation("a page that recovery needs is damaged", DIRTY, |at| {
            edit(&at.join("db.edb"), |bytes| {
                for at in (4 * page..bytes.len()).step_by(page) {
                    bytes[at + 3000..at + 3040].fill(0x5a);
                }
            });
        }),
        situation("its end is cut off, and the logs hold it", DIRTY, |at| {
            edit(&at.join("db.edb"), |bytes| bytes.truncate(bytes.len() / 2));
        }),
        situation("its end is cut off, and they do not", CLEAN, |at| {
            edit(&at.join("db.edb"), |bytes| bytes.truncate(bytes.len() / 2));
        }),
        situation("there is no log", DIRTY, |at| {
            for file in fs::read_dir(at).expect("the folder is there").flatten() {
                if file.file_name().to_string_lossy().ends_with(".log") {
                    remove(file.path());
                }
            }
        }),
        situation("a required log is missing", DIRTY, |at| {
            remove(at.join("edb00012.log"));
        }),
        situation("a required log is damaged", DIRTY, |at| {
            edit(&at.join("edb00012.log"), |bytes| bytes[9000..20000].fill(7));
        }),
        situation("a required log is empty", DIRTY, |at| {
            write(at.join("edb00012.log"), b"");
        }),
        situation("a log is of another stream", DIRTY, |at| {
            let other = testdata_set(CLEAN).join("state/edb00002.log");
            write(at.join("edb00012.log"), &fs::read(other).expect("a log"));
        }),
        situation("the current log is missing", DIRTY, |at| {
            remove(at.join("edb.log"));
        }),
        situation("there is no checkpoint", DIRTY, |at| {
            remove(at.join("edb.chk"));
        }),
        Situation {
            more: limit,
            ..situation("a limit before it is consistent", DIRTY, |_| {})
        },
        Situation {
            more: &["--until", "2"],
            ..situation("a limit before a clean one is", CLEAN, |_| {})
        },
    ]
}

impl Situation {
    /// How the command ends: its exit code, and the engine's number where there is one.
    pub(crate) fn ask(&self, command: &str) -> String {
        let out = TempDir::new().expect("a temporary folder can be made");
        let to = out.path().join("result");
        let database = self.folder.path().join("db.edb");
        let logs = self.folder.path();
        let (program, verb) = command.split_once(' ').expect("program and command");
        if self.is_taken {
            match program {
                "edbtool" => {
                    fs::create_dir(&to).expect("a temporary folder is writable");
                    write(to.join("other"), b"");
                }
                _ => write(to.clone(), b"other"),
            }
        }
        let mut words: Vec<&Path> = Vec::new();
        let is_limited = !self.more.is_empty();
        let takes_limits = ["plan", "run --to", "run --until-undo"].contains(&verb);
        let writes = [
            "export",
            "export --with-logs",
            "run --to",
            "run --until-undo",
            "copy",
        ];
        if (is_limited && !takes_limits) || (self.is_taken && !writes.contains(&verb)) {
            return String::new();
        }
        match verb {
            "header" | "verify" | "tables" => words.extend([Path::new(verb), &*database]),
            "export" => words.extend([Path::new(verb), &*database, "--to".as_ref(), &*to]),
            "export --with-logs" => words.extend([
                Path::new("export"),
                &*database,
                "--with-logs".as_ref(),
                logs,
                "--to".as_ref(),
                &*to,
            ]),
            "verify --db" => {
                words.extend([Path::new("verify"), logs, "--db".as_ref(), &*database]);
            }
            "plan" => words.extend([Path::new(verb), &*database, "--logs".as_ref(), logs]),
            "run --to" | "run --until-undo" => {
                words.extend([
                    Path::new("run"),
                    &*database,
                    "--logs".as_ref(),
                    logs,
                    "--to".as_ref(),
                    &*to,
                ]);
                if verb.ends_with("undo") {
                    words.push("--until-undo".as_ref());
                }
            }
            "copy" => words.extend([Path::new(verb), &*database, &*to, "--allow-dirty".as_ref()]),
            "restore" => return self.restore(out.path()),
            other => panic!("how is {other} called?"),
        }
        words.extend(self.more.iter().map(Path::new));
        ended(program, &words)
    }

    /// `scr restore` of a standby that has these files; the source has its current log.
    fn restore(&self, out: &Path) -> String {
        let (logs, source) = (out.join("logs"), out.join("source"));
        for folder in [&logs, &source] {
            fs::create_dir(folder).expect("a temporary folder is writable");
        }
        for file in fs::read_dir(self.folder.path())
            .expect("it is there")
            .flatten()
        {
            let name = file.file_name();
            let text = name.to_string_lossy();
            if text.ends_with(".log") {
                fs::copy(file.path(), logs.join(&name)).expect("there is space");
            }
            if text == "edb.log" {
                fs::copy(file.path(), source.join(&name)).expect("there is space");
            }
        }
        let (from, to) = (self.folder.path().join("db.edb"), out.join("MBX1.edb"));
        if from.is_dir() {
            fs::create_dir(&to).expect("a temporary folder is writable");
        } else if from.exists() {
            fs::copy(&from, &to).expect("there is space");
        }
        let config = out.join("scr.toml");
        let text = format!(
            "state = \"state\"\n[[copy]]\nname = \"SG1\"\nreplay_lag = \"0\"\ntruncation_lag = \"0\"\nwait_for_backup = false\n\
             source = {{ machine = \"EXA\", base = \"edb\", logs = {source:?}, system = {source:?}, database = {from:?} }}\n\
             target = {{ machine = \"EXB\", logs = {logs:?}, system = {logs:?}, database = {to:?} }}\n"
        );
        write(config.clone(), text.as_bytes());
        let words = [
            Path::new("--config"),
            &config,
            Path::new("restore"),
            Path::new("SG1"),
        ];
        ended("scr", &words)
    }
}

/// Runs a program: its exit code, and the engine's number that it gives as the reason.
fn ended(program: &str, words: &[&Path]) -> String {
    let output = run(program, words.iter().chain(&[Path::new("--json")]));
    let exit = output.status.code().unwrap_or(-1);
    if exit == 0 {
        return exit.to_string();
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let document: Value =
        serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_default();
    let places = [
        "/jet",
        "/databases/0/verdict/jet",
        "/databases/0/jet",
        "/refusal/jet",
        "/findings/0/jet",
    ];
    let code = |place: &&str| {
        let jet = document.pointer(place)?;
        jet.as_i64().or_else(|| jet["code"].as_i64())
    };
    match places.iter().find_map(code) {
        Some(jet) => format!("{exit} ({jet})"),
        None => exit.to_string(),
    }
}
