//! Runbooks are run: parsed by a grammar of PowerShell, their cmdlets played against a model of an Exchange organisation,
//! our programs really run. From the first line to the last, twice, and stopped before every command and begun again.

#[path = "common/exchange.rs"]
mod exchange;
#[path = "common/organisation.rs"]
mod organisation;
#[path = "common/powershell.rs"]
mod powershell;

use ese_testkit::rows::{Rows, rows_of};
use exchange::{Exchange, NEWEST};
use organisation::Organisation;
use powershell::{Shell, Stop};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FIRST: &str = "SRV1\\SG1\\MBX1";
const STANDBY: &str = "SRV2\\SG1PORT\\MBX1PORT";

/// The site, its directory, and the file that the standby's database has after a failover.
struct Play {
    site: Exchange,
    organisation: Organisation,
    activated: &'static str,
    /// Our programs run at another machine than the cmdlets, and a person types what the script shows.
    station: bool,
}

impl Play {
    /// `own_group`: the standby's server has a storage group, so that the next one does not write logs named E00.
    fn new(own_group: bool, activated: &'static str) -> Self {
        let site = Exchange::at(6);
        let organisation = Organisation::new(&site, own_group);
        Play {
            site,
            organisation,
            activated,
            station: false,
        }
    }

    fn begin_replication(&self) {
        self.site.enable(0, &[]);
        self.site.run(0, &["run", "--once"]);
    }

    fn script(&self, procedure: &str, more: &[&str]) -> String {
        let folder = |name: &str| format!("{}={}", self.site.text(name), organisation::FOLDER);
        let to = self.site.text(self.activated);
        let output = Command::new(env!("CARGO_BIN_EXE_scr"))
            .arg("--config")
            .arg(self.site.path("scr.toml"))
            .args(["runbook", procedure, "SG1", "--format", "powershell"])
            .args([
                "--map",
                &folder("srv1"),
                "--map",
                &folder("srv2"),
                "--to",
                &to,
            ])
            .args(self.station.then_some("--station"))
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn run(
        &mut self,
        script: &str,
        from: usize,
        fuse: Option<usize>,
    ) -> (Result<(), Stop>, Vec<String>) {
        Shell::run(script, from, fuse, &mut self.organisation)
    }

    #[track_caller]
    fn run_whole(&mut self, script: &str) -> Vec<String> {
        let (result, said) = self.run(script, 1, None);
        assert_eq!(result, Ok(()), "{}", said.join("\n"));
        said
    }

    fn keep(&self, folder: &Path) -> Organisation {
        copy_folder(self.site.folder.path(), folder);
        self.organisation.clone()
    }

    fn restore(&mut self, folder: &Path, organisation: &Organisation) {
        for entry in fs::read_dir(self.site.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
        copy_folder(folder, self.site.folder.path());
        self.organisation = organisation.clone();
    }

    /// Plays a script whole and again, and stopped before every `stride`-th command: begun again from the first step or, in
    /// turn, from the step in which it was stopped.
    #[track_caller]
    fn in_every_way(&mut self, script: &str, stride: usize, right: impl Fn(&Play)) {
        let before = tempfile::tempdir().unwrap();
        let begin = self.keep(before.path());
        let mut fuse = 0;
        loop {
            let (result, said) = self.run(script, 1, Some(fuse));
            let step = match result {
                Ok(()) => break,
                Err(Stop::Interrupted(step)) => step,
                Err(Stop::Error(error)) => panic!("{error}: {}", said.join("\n")),
            };
            let from = if (fuse / stride).is_multiple_of(2) {
                1
            } else {
                step
            };
            let (result, said) = self.run(script, from, None);
            assert_eq!(
                result,
                Ok(()),
                "stopped before command {fuse}: {}",
                said.join("\n")
            );
            right(self);
            self.restore(before.path(), &begin);
            fuse += stride;
        }
        right(self);
        let done = self.organisation.clone();
        self.run_whole(script);
        right(self);
        assert_eq!(self.organisation, done, "run again");
    }

    fn taken_over(&self, rows: &Rows) {
        let organisation = &self.organisation;
        let (first, standby) = (
            &organisation.databases[FIRST],
            &organisation.databases[STANDBY],
        );
        assert!(!first.mounted && standby.mounted);
        assert_eq!(
            standby.file,
            self.activated
                .replace("srv2", organisation::FOLDER)
                .replace('/', "\\")
        );
        assert_eq!(
            (organisation.users_of(FIRST), organisation.users_of(STANDBY)),
            (0, 2)
        );
        assert_eq!(organisation.mailboxes["SystemMailbox"].home, FIRST);
        let file = self.site.path(self.activated);
        assert!(rows_of(&file) == *rows, "the rows differ");
        assert_eq!(self.site.status()["summary"], "disabled");
    }

    /// The first server is lost; its status stays what it was.
    fn taken_over_without_first(&self, rows: &Rows) {
        let standby = &self.organisation.databases[STANDBY];
        assert!(standby.mounted);
        assert_eq!(self.organisation.users_of(STANDBY), 2);
        assert!(self.organisation.groups["SRV1\\SG1"].standbys.is_empty());
        assert!(rows_of(&self.site.path("srv2/MBX1.edb")) == *rows);
    }

    /// The replication goes on with the new stream.
    fn goes_on(&self) {
        self.site.run(0, &["run", "--once"]);
        let status = self.site.status();
        assert_eq!(status["summary"], "healthy", "{status}");
        assert_eq!(status["inspected"]["generation"], 1, "{status}");
    }

    fn is_home(&self, rows: &Rows) {
        let organisation = &self.organisation;
        let (first, standby) = (
            &organisation.databases[FIRST],
            &organisation.databases[STANDBY],
        );
        assert!(first.mounted && !standby.mounted);
        assert_eq!(
            standby.file,
            format!("{}-new\\MBX1PORT.edb", organisation::FOLDER)
        );
        assert_eq!(
            (organisation.users_of(FIRST), organisation.users_of(STANDBY)),
            (2, 0)
        );
        assert_eq!(organisation.mailboxes["SystemMailbox"].home, FIRST);
        assert!(
            rows_of(&self.site.path("srv1/MBX1.edb")) == *rows,
            "the rows differ"
        );
        // The standby has what it has of the copy, and nothing else.
        let prefix = &organisation.groups["SRV2\\SG1PORT"].prefix;
        let left = self.site.files("srv2").into_keys();
        let left: Vec<String> = left.filter(|name| name.starts_with(prefix)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!self.site.path("srv2-before-failover").exists());
        assert!(self.site.files("srv2-new").is_empty());
        assert!(
            rows_of(&self.site.path("srv2/MBX1.edb")) == *rows,
            "the rows of the copy differ"
        );
        assert_eq!(self.site.status()["suspended"], serde_json::Value::Null);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place: PathBuf = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_folder(&path, &place),
            // Times matter to a standby: a log is inspected when it is written.
            false => {
                fs::copy(&path, &place).unwrap();
                let time = fs::metadata(&path).unwrap().modified().unwrap();
                fs::File::options()
                    .write(true)
                    .open(&place)
                    .unwrap()
                    .set_modified(time)
                    .unwrap();
            }
        }
    }
}

/// What the first server's six logs hold.
fn rows_of_six(play: &Play) -> Rows {
    let lone = Exchange::copied_at(6);
    lone.run(0, &["restore", "SG1"]);
    let rows = rows_of(&lone.path("srv2/MBX1.edb"));
    assert!(rows != rows_of(&play.site.original("db.edb.old1")));
    rows
}

/// Preparation, failover and failback in every way; then both once more, with the log stream that the failback began.
fn whole_story(own_group: bool, activated: &'static str, stride: usize) {
    let mut play = Play::new(own_group, activated);
    play.station = !own_group;
    let rows = rows_of_six(&play);
    play.begin_replication();
    let prepare = play.script("prepare", &[]);
    play.in_every_way(&prepare, stride, |play| {
        assert!(!play.organisation.databases[STANDBY].mounted);
        assert!(play.site.files("srv2-new").is_empty());
    });
    let failover = play.script("failover", &[]);
    play.in_every_way(&failover, stride, |play| play.taken_over(&rows));
    let failback = play.script("failback", &[]);
    play.in_every_way(&failback, stride, |play| play.is_home(&rows));
    play.goes_on();
    for (script, right) in [
        (&failover, Play::taken_over as fn(&Play, &Rows)),
        (&failback, Play::is_home),
    ] {
        play.run_whole(script);
        right(&play, &rows);
        play.run_whole(script);
        right(&play, &rows);
    }
    play.goes_on();
}

#[test]
fn the_whole_story() {
    whole_story(true, "srv2/MBX1PORT.edb", 1);
}

/// The standby's server names its logs as the first server does, the database keeps its name, and our programs are run at
/// a station.
#[test]
fn the_whole_story_under_the_same_names() {
    whole_story(false, "srv2/MBX1.edb", 3);
}

/// Nothing was prepared, the first server is lost with logs that were never shipped, and comes back.
#[test]
fn a_lost_server_comes_back() {
    let mut play = Play::new(true, "srv2/MBX1.edb");
    play.begin_replication();
    play.site.lose_srv1();
    // The product replicated, too.
    let group = play.organisation.groups.get_mut("SRV1\\SG1").unwrap();
    group.standbys = vec!["SRV2".into()];
    let failover = play.script("failover", &["--source-lost"]);
    let said = play.run_whole(&failover);
    assert!(said.iter().any(|line| line.contains("FirstLostGeneration")));
    let rows = rows_of(&play.site.path("srv2/MBX1.edb"));
    play.in_every_way(&failover, 3, |play| play.taken_over_without_first(&rows));

    // As the power cut left it.
    play.site.srv1_is_back();
    play.site.write_until(NEWEST);
    fs::copy(
        play.site.original("db.edb"),
        play.site.path("srv1/MBX1.edb"),
    )
    .unwrap();
    play.organisation.databases.get_mut(FIRST).unwrap().mounted = false;
    let failback = play.script("failback", &[]);
    let said = {
        let before = tempfile::tempdir().unwrap();
        let begin = play.keep(before.path());
        let said = play.run_whole(&failback);
        let kept = play.site.files("srv1/diverged");
        assert!(
            kept.keys().any(|name| name.ends_with("MBX1.edb")),
            "the old database is kept"
        );
        play.restore(before.path(), &begin);
        said.join("\n")
    };
    assert!(said.contains("Refused, as said above"), "{said}");
    assert!(
        said.contains("The first server still had generations 6-11"),
        "{said}"
    );
    play.in_every_way(&failback, 3, |play| play.is_home(&rows));
    play.goes_on();
}

/// The standby stays the primary, and the first server takes over again when that fails.
#[test]
fn the_standby_stays_the_primary() {
    let mut play = Play::new(true, "srv2/MBX1PORT.edb");
    let rows = rows_of_six(&play);
    play.begin_replication();
    let failover = play.script("failover", &[]);
    play.run_whole(&failover);
    let reverse = play.script("reverse", &[]);
    play.in_every_way(&reverse, 3, |play| {
        let organisation = &play.organisation;
        assert!(organisation.databases[STANDBY].mounted && !organisation.databases[FIRST].mounted);
        assert_eq!(organisation.users_of(STANDBY), 2);
        assert_eq!(
            organisation.databases[FIRST].file,
            "E:\\SG1-parked\\MBX1.edb"
        );
        assert!(rows_of(&play.site.path("srv1/MBX1.edb")) == rows);
        assert_eq!(play.site.status()["suspended"], serde_json::Value::Null);
    });
    play.goes_on();

    // SRV2 fails: the names of both servers have changed sides.
    play.organisation.here = "SRV1";
    let names = [
        ["--storage-group", "SG1PORT"],
        ["--database", "MBX1PORT"],
        ["--standby-storage-group", "SG1"],
        ["--standby-database", "MBX1"],
    ];
    play.activated = "srv1/MBX1.edb";
    let failover = play.script("failover", names.as_flattened());
    play.run_whole(&failover);
    let organisation = &play.organisation;
    assert!(organisation.databases[FIRST].mounted && !organisation.databases[STANDBY].mounted);
    assert_eq!(organisation.users_of(FIRST), 2);
    assert!(rows_of(&play.site.path("srv1/MBX1.edb")) == rows);
}

/// The model is as strict as a server: scripts that leave out what ours do are stopped by it.
#[test]
fn what_a_server_would_not_do_stops_a_script() {
    let mut play = Play::new(true, "srv2/MBX1PORT.edb");
    play.begin_replication();
    let failover = play.script("failover", &[]);
    let before = tempfile::tempdir().unwrap();
    let begin = play.keep(before.path());
    let stopped = |play: &mut Play, script: &str, from: &str, to: &str| {
        assert!(script.contains(from), "{from}");
        match play.run(&script.replace(from, to), 1, None).0 {
            Err(Stop::Error(error)) => error,
            other => panic!("{from}: {other:?}"),
        }
    };
    // (what is in the script, what is there instead, what comes of it)
    for (from, to, error) in [
        (
            "-AllowFileRestore $true",
            "-AllowFileRestore $false",
            "not the file that was mounted last",
        ),
        (
            "-ConfigurationOnly -Confirm:$false",
            "-ConfigurationOnly",
            "asks whether to go on",
        ),
        ("{ Dismount-Database", "{ Out-Null", "is still mounted"),
        (
            "Mountable +: Yes",
            "Mountable +: No",
            "does not say what it has to",
        ),
        ("-ConfigurationOnly ", "", "-configurationonly is missing"),
        ("scr --config", "edbtool --config", "ended with exit code 2"),
    ] {
        let said = stopped(&mut play, &failover, from, to);
        assert!(said.contains(error), "{from}: {said}");
        play.restore(before.path(), &begin);
    }
    play.run_whole(&failover);
    // A script for another installation does nothing.
    play.activated = "srv2/OTHER.edb";
    let other = play.script("failback", &[]);
    let now = play.organisation.clone();
    let said = stopped(&mut play, &other, "$From = 1", "$From = 1");
    assert!(said.contains("for another installation"), "{said}");
    assert_eq!(play.organisation, now);
    play.activated = "srv2/MBX1PORT.edb";
    let failback = play.script("failback", &[]);
    let dismount = "{ Dismount-Database -Identity 'SRV2";
    let said = stopped(&mut play, &failback, dismount, "{ Out-Null -Identity 'SRV2");
    assert!(
        said.contains("SRV2\\SG1PORT\\MBX1PORT is still mounted"),
        "{said}"
    );
    // Seeded while it is mounted.
    let mounted = failback.replace("throw 'SRV1\\SG1\\MBX1 is still", "Write-Host 'it is");
    let dismount = "{ Dismount-Database -Identity 'SRV1";
    let said = stopped(&mut play, &mounted, dismount, "{ Out-Null -Identity 'SRV1");
    assert!(said.contains("ended with exit code 5"), "{said}");
}

#[test]
fn a_failback_without_the_first_server_is_refused() {
    let play = Play::new(true, "srv2/MBX1.edb");
    play.begin_replication();
    let (_, said) = play
        .site
        .run(5, &["runbook", "failback", "SG1", "--source-lost"]);
    assert!(
        said.contains("needs the first server") && said.contains("runbook reverse"),
        "{said}"
    );
}
