//! The seven ways to ask what a recovery comes to, and what each of them answers.

use crate::common::command;
use ese_log::{FileRole, LogFileName};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What an answer means to a person who acts on it.
///
/// | class | `verify --db`, `plan` | `run --to`, `export --with-logs` | `run --until-undo` | `scr restore` |
/// |---|---|---|---|---|
/// | ready | READY; `plan` ends with 0 | 0 | 0 | 0, mountable, no loss |
/// | with loss | READY WITH LOSS, 1 | 5 (`run --lossy`: 1) | 0, or 5 | 5 |
/// | refused | NOT READY, 1 | 5 | 5 | 5 |
/// | not ESE | 4 | 4 | 4 | 4 |
///
/// Where a program only refuses, it may mean "with loss" as well as "refused".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    Ready,
    WithLoss,
    Refused,
    NotEse,
    Usage,
    Io,
    /// It ended with 1, but nothing was written: a refusal by another name.
    Finding,
    /// A panic, a signal, or an answer that does not fit its exit code.
    Broken,
}

/// What a program said of one or more databases.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) program: &'static str,
    pub(crate) class: Class,
    pub(crate) exit: i32,
    pub(crate) jet: Option<i64>,
    /// Words for a person who looks into it.
    pub(crate) text: String,
    /// Whether it was told to accept a loss.
    pub(crate) forced: bool,
    /// The generation that it says recovery stops at.
    pub(crate) culprit: Option<u32>,
}

/// A process that has ended.
struct Ended {
    exit: i32,
    document: Value,
    stderr: String,
}

fn run(program: &str, arguments: &[&str], threads: &str) -> Ended {
    let output = command(program)
        .args(arguments)
        .args(["--json", "--threads", threads])
        .output()
        .expect("the program starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let document = stdout.lines().last().unwrap_or_default();
    Ended {
        exit: output.status.code().unwrap_or(-1),
        document: serde_json::from_str(document).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn code(jet: &Value) -> Option<i64> {
    jet["code"].as_i64().or_else(|| jet.as_i64())
}

impl Ended {
    fn class(&self) -> Class {
        match self.exit {
            0 => Class::Ready,
            1 => Class::Finding,
            2 => Class::Usage,
            3 => Class::Io,
            4 => Class::NotEse,
            5 => Class::Refused,
            _ => Class::Broken,
        }
    }

    fn answer(self, program: &'static str, class: Class) -> Answer {
        let jet = code(&self.document["jet"]);
        Answer {
            program,
            class,
            exit: self.exit,
            jet,
            text: self.stderr,
            forced: false,
            culprit: None,
        }
    }
}

/// Everything that the programs are asked about at one time.
pub(crate) struct Question<'a> {
    pub(crate) logs: &'a Path,
    pub(crate) base: &'a str,
    pub(crate) databases: Vec<&'a Path>,
    /// Where results go.
    pub(crate) out: &'a Path,
    pub(crate) threads: &'a str,
}

impl Question<'_> {
    fn texts(&self) -> Vec<&str> {
        let paths = self.databases.iter();
        paths.map(|path| path.to_str().expect("UTF-8")).collect()
    }

    fn logs(&self) -> &str {
        self.logs.to_str().expect("UTF-8")
    }

    /// Which stream is meant, where no database tells.
    fn choice(&self) -> Vec<&str> {
        match self.databases.is_empty() {
            true => vec!["--base", self.base],
            false => Vec::new(),
        }
    }

    /// `logchain verify --db`.
    pub(crate) fn verify(&self) -> Answer {
        let mut arguments = vec!["verify", self.logs()];
        for path in self.texts() {
            arguments.extend(["--db", path]);
        }
        let ended = run("logchain", &arguments, self.threads);
        verdicts(ended, "logchain verify")
    }

    /// `edbreplay plan`.
    pub(crate) fn plan(&self) -> Answer {
        let mut arguments = vec!["plan"];
        arguments.extend(self.texts());
        arguments.extend(["--logs", self.logs()]);
        arguments.extend(self.choice());
        let ended = run("edbreplay", &arguments, self.threads);
        let (exit, problem) = (ended.exit, ended.document["problem"].clone());
        let has_verdict = ended.document["databases"].is_array();
        let mut answer = verdicts(ended, "edbreplay plan");
        // Without a verdict, of no database or of one that cannot be read, there is only the exit code.
        if answer.class == Class::Finding {
            answer.class = Class::Refused;
        }
        if self.databases.is_empty() || !has_verdict {
            return answer;
        }
        // Its exit code is about the databases alone.
        if (answer.class == Class::Ready && problem.is_null()) != (exit == 0) {
            answer.text += &format!("\nit ends with {exit}, problem {problem}");
            answer.class = Class::Broken;
        }
        answer
    }

    /// `edbreplay run`, with more arguments; results go to the folder `to`.
    fn replay(&self, program: &'static str, to: &Path, more: &[&str]) -> Answer {
        fs::create_dir_all(to).expect("a temporary folder is writable");
        let mut arguments = vec!["run"];
        arguments.extend(self.texts());
        let to_text = to.to_str().expect("UTF-8");
        arguments.extend(["--logs", self.logs(), "--to", to_text, "--no-hash"]);
        arguments.extend(self.choice());
        arguments.extend(more);
        let ended = run("edbreplay", &arguments, self.threads);
        let class = ended.class();
        let mut answer = ended.answer(program, class);
        let written = fs::read_dir(to).expect("the folder is there").count();
        if class != Class::Ready && class != Class::Finding && written > 0 {
            answer.text += "\nit left something behind";
            answer.class = Class::Broken;
        }
        answer
    }

    /// `edbreplay run --to`.
    pub(crate) fn run(&self) -> Answer {
        self.replay("edbreplay run", &self.out.join("run"), &[])
    }

    /// `edbreplay run --until-undo`.
    pub(crate) fn until_undo(&self) -> Answer {
        let to = self.out.join("undo");
        self.replay("run --until-undo", &to, &["--until-undo"])
    }

    /// `edbreplay run --to` of what `--until-undo` left.
    pub(crate) fn run_again(&self) -> Answer {
        let undone: Vec<PathBuf> = self
            .databases
            .iter()
            .map(|path| {
                let name = path.file_name().expect("a file has a name");
                self.out.join("undo").join(name)
            })
            .collect();
        let again = Question {
            logs: self.logs,
            base: self.base,
            databases: undone.iter().map(|path| &**path).collect(),
            out: self.out,
            threads: self.threads,
        };
        again.replay(
            "edbreplay run, again",
            &self.out.join("again"),
            &["--force"],
        )
    }

    /// `edbtool export --with-logs` of the only database.
    pub(crate) fn export(&self) -> Answer {
        let rows = self.out.join("rows");
        export(self.databases[0], Some(self.logs), &rows, self.threads)
    }

    /// `scr restore`, as a rehearsal and for real, of a copy that has all logs; its source has deleted the closed ones.
    ///
    /// A source without a current log is one that is lost: then the order has to say so, and a loss is always told.
    pub(crate) fn restore(&self) -> [Answer; 2] {
        let place = self.out.join("scr");
        let (logs, source) = (place.join("logs"), place.join("source"));
        for folder in [&logs, &source] {
            fs::create_dir_all(folder).expect("a temporary folder is writable");
        }
        let mut has_current = false;
        for entry in fs::read_dir(self.logs).expect("the folder is there") {
            let path = entry.expect("a directory entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let Some(parsed) = LogFileName::parse(name) else {
                continue;
            };
            let is_own = parsed.base.eq_ignore_ascii_case(self.base);
            let places: &[&PathBuf] = match parsed.role {
                FileRole::Current if is_own => {
                    has_current = true;
                    &[&source, &logs]
                }
                FileRole::Generation { .. } => &[&logs],
                _ => continue,
            };
            for place in places {
                fs::copy(&path, place.join(name)).expect("there is space");
            }
        }
        let database = place.join("MBX1.edb");
        fs::copy(self.databases[0], &database).expect("there is space");
        let config = place.join("scr.toml");
        let text = |path: &'_ Path| path.to_str().expect("UTF-8").to_owned();
        let (source, target) = (text(&source), text(&logs));
        let (from, to) = (self.texts()[0], database.to_str().expect("UTF-8"));
        let text = format!(
            "state = \"state\"\n[[copy]]\nname = \"SG1\"\nreplay_lag = \"0\"\ntruncation_lag = \"0\"\n\
             wait_for_backup = false\n\
             source = {{ machine = \"EXA\", base = \"{}\", logs = \"{source}\", system = \"{source}\", database = \"{from}\" }}\n\
             target = {{ machine = \"EXB\", logs = \"{target}\", system = \"{target}\", database = \"{to}\" }}\n",
            self.base
        );
        fs::write(&config, text).expect("a temporary folder is writable");
        let config = config.to_str().expect("UTF-8");
        let mut arguments = vec!["--config", config, "restore", "SG1"];
        if !has_current {
            arguments.push("--force");
        }
        let rehearsal = [&arguments[..], &["--dry-run"]].concat();
        let dry = run("scr", &rehearsal, self.threads);
        let real = run("scr", &arguments, self.threads);
        [
            restored(dry, "scr restore --dry-run", has_current),
            restored(real, "scr restore", has_current),
        ]
    }

    /// The database that `scr restore` recovered.
    pub(crate) fn restored(&self) -> PathBuf {
        self.out.join("scr/MBX1.edb")
    }
}

/// `edbtool export` of a database, with logs if they are given.
pub(crate) fn export(database: &Path, logs: Option<&Path>, to: &Path, threads: &str) -> Answer {
    let text = |path: &'_ Path| path.to_str().expect("UTF-8").to_owned();
    let (database, to) = (text(database), text(to));
    let logs = logs.map(text);
    let mut arguments = vec!["export", &*database, "--to", &*to];
    if let Some(logs) = &logs {
        arguments.extend(["--with-logs", logs]);
    }
    let ended = run("edbtool", &arguments, threads);
    let class = ended.class();
    ended.answer("export --with-logs", class)
}

/// The worst of the verdicts that an answer holds.
fn verdicts(ended: Ended, program: &'static str) -> Answer {
    let databases = ended.document["databases"].as_array().cloned();
    let databases = databases.filter(|databases| !databases.is_empty());
    let Some(databases) = databases else {
        let class = ended.class();
        return ended.answer(program, class);
    };
    let mut worst = (Class::Ready, None, Value::Null);
    for database in databases {
        let verdict = &database["verdict"];
        let class = match verdict["readiness"].as_str() {
            Some("ready" | "ready_without_replay") => Class::Ready,
            Some("ready_with_loss") => Class::WithLoss,
            Some("not_ready") => Class::Refused,
            Some(_) => Class::Broken,
            None if code(&database["jet"]) == Some(-1812) => Class::NotEse,
            None => Class::Refused,
        };
        let jet = code(&verdict["jet"]).or_else(|| code(&database["jet"]));
        // One that cannot be read is missing for the others.
        let unread = verdict.is_null() && class == worst.0;
        if class > worst.0 || worst.2.is_null() || unread {
            worst = (class, jet, database);
        }
    }
    let (class, jet, database) = worst;
    let mut answer = ended.answer(program, class);
    answer.jet = jet;
    let stop = &database["verdict"]["reach"]["stop"]["generation"];
    answer.culprit = stop.as_u64().map(|generation| generation as u32);
    for part in [&database["verdict"], &database] {
        for words in ["reasons", "advice", "problem"] {
            if !part[words].is_null() {
                answer.text += &format!("{words}: {}\n", part[words]);
            }
        }
    }
    if class != Class::Ready && answer.exit == 0 {
        answer.class = Class::Broken;
        answer.text += "it ends with 0\n";
    }
    answer
}

fn restored(ended: Ended, program: &'static str, has_current: bool) -> Answer {
    let document = &ended.document;
    let mountable = document["mountable"] == true;
    let class = match ended.exit {
        0 if mountable => Class::Ready,
        0 => Class::Broken,
        1 if mountable && !has_current => Class::Ready,
        _ => ended.class(),
    };
    let jet = code(&document["refusal"]["jet"]).or_else(|| code(&document["jet"]));
    let loss = document["loss"].to_string();
    let refusal = document["refusal"]["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut answer = ended.answer(program, class);
    answer.jet = jet;
    answer.forced = !has_current;
    answer.text += &format!("{refusal} loss {loss}");
    answer
}
