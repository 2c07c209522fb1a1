//! Log headers and checkpoints, line by line as the reference engine prints them.

use ese_format::Lgpos;
use ese_format::log::{CheckpointCopy, CheckpointFile, LogHeader};
use ese_testkit::fixtures;
use std::fs;
use std::path::Path;

/// The lines of a dump from the one with `first` to the next blank line.
fn lines_from<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    lines
        .skip_while(|line| !line.contains(first))
        .take_while(|line| !line.is_empty())
        .collect()
}

/// The checkpoint that the engine found beside the log and printed in its second line.
fn printed_checkpoint(lines: &[&str]) -> Option<Lgpos> {
    let value = lines[1].trim().strip_prefix("Checkpoint: ").unwrap();
    value.parse().ok()
}

/// Compares one log; `false` where the recorded text holds nothing of the engine's.
fn compare_log(file: &Path, text: &Path) -> bool {
    let bytes = fs::read(file).unwrap();
    let text = String::from_utf8_lossy(&fs::read(text).unwrap()).into_owned();
    let mut expected = lines_from(&text, "lGeneration:");
    if expected.is_empty() {
        return false;
    }
    // Verbose dumps go on with the end of the log where the others have a blank line.
    if let Some(end) = expected.iter().position(|line| line.contains("Last Lgpos")) {
        expected.truncate(end);
    }
    let header = LogHeader::read(&bytes).unwrap();
    assert!(header.is_intact(), "{}", file.display());
    let header = header.as_read();
    assert_eq!(header.file_size(), bytes.len() as u64, "{}", file.display());
    header.check().unwrap();
    let ours = ese_text::log_header(header, printed_checkpoint(&expected)).to_string();
    let ours: Vec<&str> = ours.lines().collect();
    assert_eq!(ours, expected, "{}", file.display());
    true
}

fn compare_checkpoint(file: &Path, text: &Path) {
    let checkpoint = CheckpointFile::read(&fs::read(file).unwrap());
    let text = fs::read_to_string(text).unwrap();
    let ours = ese_text::checkpoint(checkpoint.current().unwrap().0).to_string();
    let ours: Vec<&str> = ours.lines().collect();
    let expected = lines_from(&text, "LastFullBackupCheckpoint:");
    assert_eq!(ours, expected, "{}", file.display());
}

#[test]
fn every_engine_made_log_header_and_checkpoint_reads_as_the_engine_reads_it() {
    let (mut logs, mut checkpoints) = (0, 0);
    for set in fixtures::engine_set_names() {
        let folder = fixtures::engine_set(&set);
        let state = fixtures::files_below(&folder.join("state"));
        let checkpoint = state.iter().find(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("chk" | "jcp")) && path.parent() == Some(&folder.join("state"))
        });
        for text in fs::read_dir(folder.join("expected")).unwrap() {
            let text = text.unwrap().path();
            let name = text.file_name().unwrap().to_str().unwrap();
            let log = name
                .strip_prefix("ml-")
                .and_then(|name| name.strip_suffix(".txt"));
            if let Some(log) = log.filter(|log| *log != "all") {
                let compared = compare_log(&folder.join("state").join(log), &text);
                // The recording of this one failed before the engine printed anything.
                assert!(
                    compared || (set == "missingedb-p8k" && log == "edb.log"),
                    "{set} {log}"
                );
                logs += usize::from(compared);
            } else if name == "mk.txt" {
                compare_checkpoint(checkpoint.unwrap(), &text);
                checkpoints += 1;
            }
        }
    }
    let least = fixtures::either((700, 60), (150, 18));
    assert!(
        logs >= least.0 && checkpoints >= least.1,
        "{logs} {checkpoints}"
    );
}

#[test]
fn every_log_header_and_checkpoint_of_windows_reads_as_the_engine_reads_it() {
    let real = fixtures::real();
    let win10 = "museum/SRUM/Win10/APTSimulatorVM/Clean";
    let win11 = "museum/SRUM/Win11/RathbunVM/Dirty";
    let streams = [
        (win10, format!("{win10}/logs"), "SRU.chk"),
        (win11, format!("{win11}/logs"), "SRU.chk"),
    ];
    let xp = fixtures::windows_xp().map(|_| ("xp-catroot2", "xp-catroot2".to_owned(), "edb.chk"));
    let mut logs = 0;
    for (files, texts, checkpoint) in streams.into_iter().chain(xp) {
        let (files, texts) = (real.join(files), real.join("expected").join(texts));
        compare_checkpoint(&files.join(checkpoint), &texts.join("mk.txt"));
        for text in fixtures::files_below(&texts) {
            let name = text.file_name().unwrap().to_str().unwrap();
            let Some(log) = name.strip_prefix("ml-v-") else {
                continue;
            };
            // The engine looked at copies named with eight digits.
            let log = log.trim_end_matches(".txt").replacen("000", "", 1);
            assert!(compare_log(&files.join(&log), &text), "{log}");
            logs += 1;
        }
    }
    assert_eq!(logs, fixtures::either(20, 14));
}

#[test]
fn one_changed_bit_shows_in_either_copy_of_a_checkpoint() {
    let real = fixtures::real();
    let mut bytes = fs::read(real.join("museum/SRUM/Win11/RathbunVM/Dirty/SRU.chk")).unwrap();
    let whole = CheckpointFile::read(&bytes);
    assert!(whole.copies_agree);
    assert_eq!(whole.current().unwrap().1, CheckpointCopy::Primary);
    for length in 0..bytes.len() {
        let current = CheckpointFile::read(&bytes[..length]).current().is_ok();
        assert_eq!(current, length >= 4096, "{length}");
    }
    bytes[300] ^= 8;
    let damaged = CheckpointFile::read(&bytes);
    assert!(!damaged.primary.as_ref().unwrap().is_intact());
    assert!(!damaged.copies_agree);
    assert_eq!(damaged.current().unwrap().1, CheckpointCopy::Shadow);
    bytes[4096 + 300] ^= 8;
    assert!(CheckpointFile::read(&bytes).current().is_err());
}
