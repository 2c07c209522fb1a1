//! Replay and activation by the program, killed at any moment.
//!
//! `EDBKIT_KILLS` says how often; a campaign takes 300.

#[allow(dead_code)]
#[path = "../crates/standby/tests/support/seed.rs"]
mod seed;
#[path = "common/scr.rs"]
mod site;

use ese_testkit::random::Random;
use ese_testkit::rows::{history, rows_of};
use serde_json::Value;
use site::{SPREAD_SET, Site, logs, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SERVICE: &str =
    "state = \"state\"\n[service]\npoll = \"0\"\nretry = \"0\"\ntruncate = \"0\"\nkept_back = 10\n";
const SEED: u32 = 40;

fn kills() -> u32 {
    let wish = std::env::var("EDBKIT_KILLS");
    wish.map_or(15, |count| count.parse().expect("a number of kills"))
}

/// A copy that replays without lag, seeded from the first logs.
fn site(count: u32) -> Site {
    let mut site = Site::spread(count as usize);
    fs::write(site.path("scr.toml"), SERVICE).unwrap();
    let enabled = site.enable("SG1", &["--replay-lag", "0"]);
    assert_eq!(enabled.status.code(), Some(0), "{}", text(&enabled.stderr));
    site.stream.roll_many(SEED);
    seed::seed(&site.config("SG1"), SEED);
    site
}

/// The configuration, state and target of a site as they are now, the source apart.
struct Copied(TempDir);

impl Copied {
    fn of(site: &Site) -> Self {
        let folder = TempDir::new().unwrap();
        for part in ["state", "exb/SG1"] {
            copy_all(&site.path(part), &folder.path().join(part));
        }
        let old = site.folder.path().to_str().unwrap();
        let config = fs::read_to_string(site.path("scr.toml")).unwrap();
        let target = format!("{old}/exb");
        let config = config.replace(&target, &format!("{}/exb", folder.path().display()));
        fs::write(folder.path().join("scr.toml"), config).unwrap();
        Copied(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scr"));
        command.arg("--config").arg(self.0.path().join("scr.toml"));
        command.args(arguments).arg("--json");
        command
    }

    /// The answer of an activation that must succeed.
    fn restore(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).output().unwrap();
        answer(&output)
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("exb/SG1/MBX1.edb")
    }
}

fn answer(output: &Output) -> Value {
    let error = text(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{error}{}",
        text(&output.stdout)
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["schema"], "edbkit.scr-restore/1");
    assert_eq!(answer["mountable"], true, "{answer}");
    answer
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_all(&path, &place),
            false => drop(fs::copy(&path, place).unwrap()),
        }
    }
}

/// Killed again and again while it ships, replays and deletes, the copy can be activated at every one of these moments
/// and holds exactly what its logs commit; at the end it is what an undisturbed service makes.
#[test]
fn killed_at_any_moment_the_copy_can_be_activated() {
    let kills = kills();
    let count = 200 + 4 * kills;
    let mut site = site(count);
    let history = history(&ese_testkit::fixtures::testdata_set(SPREAD_SET));
    let mut random = Random(0x2545_f491);
    let (mut before, mut newest) = (0, 0);
    for kill in 0..kills {
        let mut service = site
            .command(&["run"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        site.stream.roll_many(4);
        std::thread::sleep(random.shorter_than(Duration::from_millis(250)));
        service.kill().unwrap();
        service.wait().unwrap();
        if kill % 5 != 4 {
            continue;
        }
        let copied = Copied::of(&site);
        let report = copied.restore(&["restore", "SG1", "--force"]);
        let last = report["replayed"]["last"].as_u64().unwrap() as u32;
        assert!(last >= newest, "a log was lost");
        newest = last;
        let rows = rows_of(&copied.database());
        let after = history[before..].iter().position(|state| *state == rows);
        before += after.unwrap_or_else(|| panic!("kill {kill}: no committed state"));
        let once = copied.0.path().join("once.edb");
        seed::recover(&site.config("SG1"), last, &once);
        assert!(
            rows_of(&once) == rows,
            "kill {kill}, generation {last}: the rows differ"
        );
    }
    assert!(newest > SEED, "the service had no chance to work: {newest}");
    site.stream.roll_many(count - site.stream.closed());
    site.stream.complete();
    let status = &site.json(0, &["run", "--once"])[0];
    assert_eq!(
        (&status["summary"], &status["replay_queue_length"]),
        (&"healthy".into(), &10.into())
    );
    let (source, target) = (logs(&site.path("exa")), logs(&site.path("exb/SG1")));
    let target: Vec<_> = target
        .iter()
        .filter(|(name, _)| name.starts_with("E00"))
        .collect();
    let first = u32::from_str_radix(&target[0].0[3..11], 16).unwrap();
    assert_eq!(target.len() as u32, count - first + 1, "logs without a gap");
    assert!(
        target.iter().all(|(name, log)| source[*name] == **log),
        "a log differs"
    );
    let report = answer(
        &site
            .command(&["restore", "SG1", "--json"])
            .output()
            .unwrap(),
    );
    assert!(report["loss"].is_null());
    assert!(rows_of(&site.path("exb/SG1/MBX1.edb")) == history[history.len() - 1]);
}

/// One process ships, inspects and replays for 50 copies, in little memory.
#[cfg(target_os = "linux")]
#[test]
fn fifty_copies_are_served_by_one_process() {
    const LOGS: u32 = 60;
    const MOST_KIB: u64 = 512 << 10;
    let mut site = site(LOGS);
    let names: Vec<String> = (1..=50).map(|number| format!("SG{number}")).collect();
    let seeded = site.config("SG1").target.database;
    for name in &names[1..] {
        site.enable(name, &["--replay-lag", "0"]);
        let database = site.config(name).target.database;
        fs::create_dir_all(database.parent().unwrap()).unwrap();
        fs::copy(&seeded, database).unwrap();
    }
    let mut service = site
        .command(&["run"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    site.stream.roll_many(LOGS - SEED);
    let begun = Instant::now();
    let done = |copy: &Value| copy["replayed"]["generation"] == LOGS - 10;
    loop {
        let statuses = site.json(0, &["status"]);
        assert_eq!(statuses.len(), names.len());
        if statuses.iter().all(done) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{statuses:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let memory = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    service.kill().unwrap();
    service.wait().unwrap();
    let peak = memory
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("50 copies, all replayed: {peak} KiB at most");
    assert!(peak < MOST_KIB);
}

/// An activation that is killed goes on with the same command, and ends with the same answer and the same pages.
#[test]
fn a_killed_activation_goes_on() {
    let mut site = site(200);
    site.stream.roll_many(150 - SEED);
    site.stream.complete();
    site.json(0, &["run", "--once"]);
    site.stream.roll_many(30);
    site.stream.complete();
    let undisturbed = Copied::of(&site);
    let begun = Instant::now();
    let expected = undisturbed.restore(&["restore", "SG1"]);
    let takes = begun.elapsed();
    let pages = |path: PathBuf| fs::read(path).unwrap().split_off(2 * 8192);
    let expected_pages = pages(undisturbed.database());
    let mut random = Random(0x1357_9bdf);
    for number in 0..kills() {
        let copied = Copied::of(&site);
        let to = copied.0.path().join("exb/SG1/MBX1PORT.edb");
        let elsewhere = ["restore", "SG1", "--to", to.to_str().unwrap()];
        let (order, database) = match number % 2 {
            0 => (&elsewhere[..2], copied.database()),
            _ => (&elsewhere[..], to.clone()),
        };
        for _ in 0..1 + random.below(3) {
            let mut command = copied.command(order);
            let mut restore = command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(random.shorter_than(takes));
            restore.kill().unwrap();
            restore.wait().unwrap();
        }
        let report = copied.restore(order);
        for part in ["loss", "rolled_back", "proof"] {
            assert_eq!(report[part], expected[part], "{part}, {number}");
        }
        assert_eq!(report["replayed"]["last"], expected["replayed"]["last"]);
        assert!(
            pages(database) == expected_pages,
            "{number}: the pages differ"
        );
        let status = copied.command(&["status"]).output().unwrap();
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["summary"], "disabled");
    }
}
