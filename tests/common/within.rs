//! Sources that lie within files: what all programs say of them.

use crate::common::{exit, run};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// What a program answers, with the folder's name taken out.
fn answer(program: &str, arguments: &[&OsStr], folder: &Path) -> (i32, String, String) {
    let output = run(program, arguments);
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.replace(folder.to_str().unwrap(), "FOLDER")
    };
    (exit(&output), text(&output.stdout), text(&output.stderr))
}

/// What all programs say of the files in a folder, and the database that a recovery makes of them.
pub(crate) fn answers(folder: &Path) -> Vec<(i32, String, String)> {
    let database = folder.join("db.edb");
    let (logs, db) = (folder.as_os_str(), database.as_os_str());
    let aside = TempDir::new().unwrap();
    let new = aside.path().join("new.edb");
    let copy = aside.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let commands: [(&str, Vec<&OsStr>); 9] = [
        ("edbtool", vec!["header".as_ref(), db]),
        ("edbtool", vec!["verify".as_ref(), logs]),
        (
            "edbtool",
            vec!["tables".as_ref(), db, "--with-logs".as_ref(), logs],
        ),
        (
            "edbtool",
            vec![
                "rows".as_ref(),
                db,
                "Items".as_ref(),
                "--with-logs".as_ref(),
                logs,
            ],
        ),
        ("logchain", vec!["verify".as_ref(), logs]),
        (
            "logchain",
            vec!["timeline".as_ref(), logs, "--db".as_ref(), db],
        ),
        ("edbreplay", vec!["plan".as_ref(), db]),
        (
            "edbreplay",
            vec![
                "run".as_ref(),
                db,
                "--quiet".as_ref(),
                "--to".as_ref(),
                new.as_os_str(),
            ],
        ),
        (
            "edbcopy",
            vec![
                "copy".as_ref(),
                db,
                copy.as_os_str(),
                "--allow-dirty".as_ref(),
                "--quiet".as_ref(),
            ],
        ),
    ];
    let mut all: Vec<_> = commands
        .iter()
        .map(|(program, arguments)| {
            let (code, text, said) = answer(program, arguments, folder);
            let own = aside.path().to_str().unwrap();
            // How fast it went is another matter.
            let lines = text.lines().filter(|line| !line.contains("B/s"));
            let text = lines.collect::<Vec<_>>().join("\n").replace(own, "NEW");
            (code, text, said)
        })
        .collect();
    for made in [new, copy.join("db.edb")] {
        let bytes = fs::read(&made).unwrap_or_default();
        assert!(!bytes.is_empty(), "{}: {all:?}", made.display());
        all.push((0, blake3::hash(&bytes).to_string(), String::new()));
    }
    all
}
