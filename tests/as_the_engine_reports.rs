//! `edbtool header` and `edbtool verify` against the reference engine's own reports, on every database there is.

mod common;

use common::{edbtool, stdout};
use ese_testkit::fixtures::{ReferenceDatabase, engine_databases, real_databases};
use rayon::prelude::*;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The engine's dump of a header: the lines from its checksums to the end, blank ones in between included.
fn engine_header(text: &str) -> Option<Vec<&str>> {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_end_matches('\r'))
        .collect();
    let start = lines
        .iter()
        .position(|line| *line == "Checksum Information:")?;
    let length = lines[start..]
        .iter()
        .position(|line| line.starts_with("Operation ") || line.starts_with("WARNING: "))?;
    Some(trimmed(&lines[start..start + length]))
}

/// Our dump of the same: what we add begins with the line about both copies.
fn our_header(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines
        .iter()
        .position(|line| *line == "Checksum Information:")
        .expect("a header is printed");
    let length = lines[start..]
        .iter()
        .position(|line| line.starts_with("   Header Copies: "))
        .expect("what is added is printed");
    trimmed(&lines[start..start + length])
}

fn trimmed<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let end = lines.iter().rposition(|line| !line.is_empty());
    lines[..end.map_or(0, |last| last + 1)].to_vec()
}

fn all_databases() -> Vec<ReferenceDatabase> {
    let mut databases = engine_databases();
    databases.extend(real_databases());
    databases
}

#[test]
fn every_header_reads_line_by_line_as_the_engine_prints_it() {
    let compared = AtomicUsize::new(0);
    all_databases().par_iter().for_each(|database| {
        let text = String::from_utf8_lossy(&fs::read(&database.header_text).unwrap()).into_owned();
        let expected = engine_header(&text)
            .unwrap_or_else(|| panic!("{} holds no header", database.header_text.display()));
        let output = edbtool(["header".as_ref(), database.file.as_os_str()]);
        let ours = stdout(&output);
        assert_eq!(our_header(ours), expected, "{}", database.file.display());
        let dirty = !ours.contains("State: Clean Shutdown");
        let remarkable = ours.contains("WARNING: ");
        assert_eq!(
            output.status.code(),
            Some(i32::from(dirty || remarkable)),
            "{}",
            database.file.display()
        );
        compared.fetch_add(1, Ordering::Relaxed);
    });
    println!("{} headers compared", compared.into_inner());
}

/// The report of `eseutil /k`.
struct EngineScan {
    /// Counts that the engine keeps exactly.
    exact: Vec<(&'static str, u64)>,
    /// Counts that several of its threads raise without a lock (`ProcessESEPages`), so that now and then one page is
    /// missing from them: the count of the same file differs from run to run, and is never too high.
    at_most: Vec<(&'static str, u64)>,
    /// Numbers of the pages whose checksum failed, as far as the recording kept them: both output channels went to one
    /// file there, and the later one overwrote a few of these lines.
    bad_pages: Vec<i64>,
}

/// How many pages the engine's counts were seen to miss.
const LOST_COUNTS: u64 = 4;

impl EngineScan {
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let count = |label: &str| -> Option<u64> {
            let line = lines.iter().find_map(|line| line.strip_suffix(label))?;
            line.trim().parse().ok()
        };
        let highest = lines.iter().find(|line| line.contains("highest dbtime"))?;
        let (dbtime, pgno) = highest.split_once(" highest dbtime (pgno ")?;
        let hexadecimal = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        let bad_page = |line: &&str| {
            let number = line.strip_prefix("ERROR: page ")?.split(' ').next()?;
            number.parse().ok()
        };
        let bad_pages = lines.iter().filter_map(bad_page).collect();
        Some(EngineScan {
            exact: vec![
                ("correctable_checksums", count(" correctable checksums")?),
                ("wrong_page_numbers", count(" wrong page numbers")?),
                ("highest_dbtime", hexadecimal(dbtime)?),
                (
                    "highest_dbtime_pgno",
                    hexadecimal(pgno.trim_end_matches(')'))?,
                ),
            ],
            at_most: vec![
                ("pages_seen", count(" pages seen")?),
                ("bad_checksums", count(" bad checksums")?),
                ("uninitialized_pages", count(" uninitialized pages")?),
            ],
            bad_pages,
        })
    }
}

/// Pages of a file, and those of them that are all zero.
fn pages_by_hand(file: &std::path::Path, page_size: usize) -> (u64, u64) {
    let bytes = fs::read(file).unwrap();
    let blank = |page: &&[u8]| page.iter().all(|byte| *byte == 0);
    let pages = bytes.chunks_exact(page_size);
    (pages.len() as u64, pages.filter(blank).count() as u64)
}

#[test]
fn every_scan_finds_what_the_engine_finds() {
    let (compared, without) = (AtomicUsize::new(0), AtomicUsize::new(0));
    all_databases().par_iter().for_each(|database| {
        let Ok(text) = fs::read(&database.checksum_text) else {
            without.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let name = database.file.display();
        let expected = EngineScan::parse(&String::from_utf8_lossy(&text))
            .unwrap_or_else(|| panic!("{} holds no report", database.checksum_text.display()));
        let output = edbtool([
            "verify".as_ref(),
            "--json".as_ref(),
            database.file.as_os_str(),
        ]);
        let document: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
        let ours = &document["pages"];
        for (field, value) in expected.exact {
            assert_eq!(ours[field], value, "{field} of {name}");
        }
        for (field, value) in expected.at_most {
            let count = ours[field].as_u64().unwrap();
            assert!(
                (value..=value + LOST_COUNTS).contains(&count),
                "{field} of {name}: {count}, the engine has {value}"
            );
        }
        let page_size = usize::try_from(document["page_size"].as_u64().unwrap()).unwrap();
        let (pages, blank) = pages_by_hand(&database.file, page_size);
        assert_eq!(ours["pages_seen"], pages, "{name}");
        assert_eq!(ours["uninitialized_pages"], blank, "{name}");
        let bad_pages: Vec<i64> = document["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["position"]["page"].as_i64().unwrap())
            .collect();
        for page in expected.bad_pages {
            assert!(
                bad_pages.contains(&page),
                "page {page} of {name} is bad to the engine"
            );
        }
        assert_eq!(ours["bad_checksums"], bad_pages.len() as u64, "{name}");
        let damaged = i32::from(!bad_pages.is_empty());
        assert_eq!(output.status.code(), Some(damaged), "{name}");
        compared.fetch_add(1, Ordering::Relaxed);
    });
    println!("{compared:?} scans compared, {without:?} databases without a recorded scan");
}
