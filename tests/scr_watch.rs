//! A service and a watched status that run on and on: what they tell stays right, and they do not grow.
//!
//! `EDBKIT_LOOKS` sets how many logs are closed, about one in a second.
#![cfg(target_os = "linux")]

#[path = "common/scr.rs"]
mod site;

use serde_json::Value;
use site::Site;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const COPIES: usize = 8;
/// Within this, everybody knows of a log that was closed.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a process may grow by, whose every look makes and drops more than this.
const GROWS_MOST: u64 = 2 << 10;

/// What a process holds when it rests: KiB in memory, and descriptors.
fn held(process: &Child) -> (u64, usize) {
    let own = format!("/proc/{}", process.id());
    let memory = || -> Option<u64> {
        let status = fs::read_to_string(format!("{own}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let descriptors = |_| {
        std::thread::sleep(Duration::from_millis(20));
        fs::read_dir(format!("{own}/fd")).expect("it runs").count()
    };
    let descriptors = (0..20).map(descriptors).min();
    (memory().expect("it runs"), descriptors.expect("looks"))
}

/// What the watched status told last of each copy.
struct Told {
    lines: Receiver<Value>,
    last: BTreeMap<String, Value>,
}

impl Told {
    fn by(watch: &mut Child) -> Self {
        let stdout = watch.stdout.take().expect("a pipe");
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let value = serde_json::from_str(&line.expect("text")).expect("JSON");
                if tell.send(value).is_err() {
                    return;
                }
            }
        });
        Told {
            lines,
            last: BTreeMap::new(),
        }
    }

    /// Reads on until every copy has come to this log. Nothing that is told on the way is ahead of what is so, nor falls back.
    fn wait_for(&mut self, generation: u64) {
        let number = |status: &Value, what: &str| status[what]["generation"].as_u64().unwrap_or(0);
        let is_there = |told: &Told| {
            let there = |status: &&Value| {
                number(status, "replayed") == generation && status["summary"] == "healthy"
            };
            told.last.values().filter(there).count() == COPIES
        };
        let begun = Instant::now();
        while !is_there(self) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let status = self.lines.recv_timeout(left).expect("the watch tells it");
            let name = status["name"].as_str().expect("a name").to_owned();
            let order = ["replayed", "inspected", "generated"].map(|what| number(&status, what));
            assert!(order.is_sorted() && order[2] <= generation, "{status}");
            assert!(status["trouble"].is_null(), "{status}");
            let waiting = status["replay_queue_length"].as_u64();
            assert_eq!(waiting, Some(order[1] - order[0]), "{status}");
            if let Some(before) = self.last.insert(name, status.clone()) {
                let before =
                    ["replayed", "inspected", "generated"].map(|what| number(&before, what));
                let fell_back = before.iter().zip(order).any(|(before, now)| *before > now);
                assert!(!fell_back, "{before:?}, then {status}");
            }
        }
    }
}

#[test]
fn a_service_and_its_watched_status_stay_right_and_do_not_grow() {
    let looks = std::env::var("EDBKIT_LOOKS").ok();
    let looks: u64 = looks.map_or(8, |looks| looks.parse().expect("a number"));
    // Fewer logs would not hold all records of the set.
    let mut site = Site::spread((looks as usize + 12).max(120));
    fs::write(
        site.path("scr.toml"),
        "state = \"state\"\n[service]\nkept_back = 0\npoll = \"0\"\ntruncate = \"0\"\n",
    )
    .unwrap();
    for copy in 0..COPIES {
        let enabled = site.enable(&format!("SG1-{copy}"), &["--replay-lag", "0.00:00:00"]);
        assert_eq!(enabled.status.code(), Some(0));
    }
    site.stream.roll_many(10);
    let metrics = site.path("scr.prom");
    let run = ["run", "--metrics", metrics.to_str().unwrap()];
    let service = site.command(&run).stderr(Stdio::null()).spawn().unwrap();
    let mut watch = site
        .command(&["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = Told::by(&mut watch);
    let mut warm = None;
    for look in 0..=looks {
        let closed = u64::from(site.stream.closed());
        told.wait_for(closed);
        // The metrics are written after the same state, within a round.
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(&metrics).unwrap_or_default();
            let of = |name: &str| {
                let mut lines = text.lines().filter(|line| line.starts_with(name));
                lines.all(|line| line.ends_with(&format!(" {closed}")))
            };
            if !text.is_empty() && of("scr_inspected_generation{") && of("scr_replayed_generation{")
            {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
        if look == looks / 2 {
            warm = Some((held(&service), held(&watch)));
        }
        if look < looks {
            site.stream.roll();
        }
    }
    let warm = warm.expect("half of the looks");
    let end = (held(&service), held(&watch));
    println!("service, watch: {warm:?} after half of {looks} logs, {end:?} at the end");
    for (warm, end) in [(warm.0, end.0), (warm.1, end.1)] {
        assert_eq!(warm.1, end.1, "descriptors");
        assert!(end.0 < warm.0 + GROWS_MOST, "{warm:?}, then {end:?}");
    }
    for mut process in [service, watch] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
