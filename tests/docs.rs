//! The documents say what is so: every command in them gives the output that is below it, the picture shows what the
//! programs print, and lists of programs, commands and schemas are complete.

mod common;

use common::PROGRAMS;
use ese_testkit::fixtures;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn read(path: &str) -> String {
    let file = fixtures::repository().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All pages for users, below the root of the repository.
fn pages() -> Vec<String> {
    let root = fixtures::repository();
    let docs = fixtures::files_below(&root.join("docs")).into_iter();
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let docs = docs.map(|path| {
        path.strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    });
    std::iter::once("README.md".to_owned())
        .chain(docs)
        .collect()
}

/// A command as a person types it, and what is below it.
struct Step {
    command: String,
    expected: Vec<String>,
}

/// The steps of a session: lines that begin with `$ `, and their output.
fn steps(session: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in session.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                command: command.to_owned(),
                expected: Vec::new(),
            }),
            (None, Some(step)) => step.expected.push(line.to_owned()),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    steps
}

/// What stands between "```console" and "```".
fn console_blocks(page: &str) -> Vec<String> {
    let blocks = page.split("```console\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// What all documents speak of: `state` of a server that crashed, `older` of one with an old copy of its database, `srum` of a machine that was switched off, and a
/// clean database at a standby.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &str| {
        fs::create_dir(place.path().join(to)).unwrap();
        for file in fixtures::files_below(from) {
            let name = file.file_name().unwrap();
            fs::copy(&file, place.path().join(to).join(name)).unwrap();
        }
    };
    for (set, name) in [("crash-p8k", "state"), ("efv8520-oldcopy-p4k", "older")] {
        copy(&fixtures::testdata_set(set).join("state"), name);
    }
    let srum = "museum/SRUM/Win11/RathbunVM/Dirty";
    copy(&fixtures::real().join(srum), "srum");
    fs::create_dir(place.path().join("standby")).unwrap();
    fs::create_dir(place.path().join("data")).unwrap();
    let clean = fixtures::testdata_set("clean-p4k").join("state/db.edb");
    fs::copy(clean, place.path().join("standby/mailbox.edb")).unwrap();
    place
}

/// Runs a line in a shell that finds our programs, with everything on standard output.
fn shell(line: &str, folder: &Path) -> Output {
    let bin = Path::new(PROGRAMS[0].1).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = [bin].into_iter().chain(std::env::split_paths(&path));
    Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {line}")])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(paths).unwrap())
        .output()
        .expect("a shell runs")
}

/// Runs the steps one after the other; what they print has to be what is expected. A finding (exit code 1) is what many
/// of them are about.
fn reproduce(page: &str, steps: &[Step], folder: &Path) {
    for Step { command, expected } in steps {
        let output = shell(command, folder);
        let printed = String::from_utf8(output.stdout).unwrap();
        let printed: Vec<&str> = printed.trim_end().lines().collect();
        let expected = expected.join("\n");
        let expected: Vec<&str> = expected.trim_end().lines().collect();
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{page}: {command}\n{}\n{}",
            output.status,
            printed.join("\n")
        );
        assert!(
            lines_match(&expected, &printed),
            "{page}: {command}\n--- stands there:\n{}\n--- is printed:\n{}",
            expected.join("\n"),
            printed.join("\n")
        );
    }
}

/// A line of three dots stands for any number of lines.
fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        [line, rest @ ..] if line.trim() == "..." => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        [line, rest @ ..] => printed
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && lines_match(rest, others)),
    }
}

/// Three dots within a line stand for anything, as for times that are not the same twice.
fn line_matches(expected: &str, printed: &str) -> bool {
    let Some((start, rest)) = expected.split_once("...") else {
        return expected == printed;
    };
    let Some(left) = printed.strip_prefix(start) else {
        return false;
    };
    let ends = left.char_indices().map(|(at, _)| at).chain([left.len()]);
    ends.into_iter().any(|at| line_matches(rest, &left[at..]))
}

#[cfg(unix)]
#[test]
fn every_command_in_the_documents_prints_what_stands_below_it() {
    let mut count = 0;
    for page in pages() {
        let blocks = console_blocks(&read(&page));
        if blocks.is_empty() {
            continue;
        }
        let place = place();
        for block in blocks {
            let steps = steps(&block);
            count += steps.len();
            reproduce(&page, &steps, place.path());
        }
    }
    assert!(count > 15, "{count}");
}

#[cfg(unix)]
#[test]
fn the_picture_shows_what_the_programs_print() {
    let picture = read("docs/session.svg");
    let (_, text) = picture.split_once("<text").unwrap();
    let lines = text.split("<tspan x=").skip(1).map(|line| {
        let (_, line) = line.split_once('>').unwrap();
        let pieces = line.split('<').enumerate();
        let pieces = pieces.map(|(place, piece)| match place {
            0 => piece,
            _ => piece.split_once('>').unwrap().1,
        });
        let line: String = pieces.collect();
        let line = line.replace("&lt;", "<").replace("&gt;", ">");
        line.replace("&quot;", "\"").replace("&amp;", "&")
    });
    let session: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    let steps = steps(session.join("\n").trim());
    assert!(steps.len() > 2);
    assert!(session.iter().all(|line| !line.contains("...")));
    reproduce(
        "docs/session.svg (cargo xtask picture)",
        &steps,
        place().path(),
    );
}

/// The commands that a program has, beside those that all have.
fn commands(program: &str) -> BTreeSet<String> {
    let help = Command::new(program).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let names = list.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty()).then(|| name.to_owned())
    });
    names
        .filter(|name| !["completions", "man", "help"].contains(&&**name))
        .collect()
}

#[test]
fn lists_of_programs_and_commands_are_complete() {
    let folders = fs::read_dir(fixtures::repository().join("src/bin")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let known = PROGRAMS.map(|(name, _)| name.to_owned());
    assert_eq!(folders.collect::<BTreeSet<_>>(), BTreeSet::from(known));
    let readme = read("README.md");
    let architecture = read("ARCHITECTURE.md");
    for (name, program) in PROGRAMS {
        let commands = commands(program);
        let start = format!("| `{name}` | ");
        let row = readme.lines().find_map(|line| line.strip_prefix(&start));
        let row = row.unwrap_or_else(|| panic!("README.md has no row of {name}"));
        let words = row.split('`').skip(1).step_by(2);
        let words = words.filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
        let listed: BTreeSet<String> = words.map(str::to_owned).collect();
        assert_eq!(listed, commands, "README.md: {name}");
        let start = format!("src/bin/{name}/");
        let line = architecture
            .lines()
            .find_map(|line| line.strip_prefix(&start));
        let (_, list) = line.unwrap().split_once(": ").unwrap();
        let listed: BTreeSet<String> = list.split(", ").map(str::to_owned).collect();
        assert_eq!(listed, commands, "ARCHITECTURE.md: {name}");
    }
}

/// Every `edbkit.NAME/N` in a text.
fn schemas(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, start) in text.match_indices("edbkit.") {
        let rest = &text[at + start.len()..];
        let name = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
        let (name, rest) = rest.split_at(name.unwrap_or(rest.len()));
        let digits = rest.strip_prefix('/').unwrap_or_default();
        let digits = digits.split(|letter: char| !letter.is_ascii_digit()).next();
        if let Some(version) = digits.filter(|digits| !digits.is_empty()) {
            found.insert(format!("edbkit.{name}/{version}"));
        }
    }
    found
}

#[test]
fn the_list_of_schemas_is_complete() {
    let root = fixtures::repository();
    let crates = fs::read_dir(root.join("crates")).unwrap();
    let mut folders: Vec<PathBuf> = crates
        .map(|entry| entry.unwrap().path().join("src"))
        .collect();
    folders.push(root.join("src"));
    let files = folders
        .iter()
        .flat_map(|folder| fixtures::files_below(folder));
    let used: BTreeSet<String> = files
        .flat_map(|file| schemas(&fs::read_to_string(file).unwrap()))
        .collect();
    let page = read("docs/json/README.md");
    let (_, table) = page.split_once("## Schemas\n").unwrap();
    let (table, rest) = table.split_once("\n###").unwrap();
    assert_eq!(schemas(table), used);
    for described in schemas(rest) {
        assert!(used.contains(&described), "{described}");
    }
}
