//! `cargo xtask picture`: draws `docs/session.svg`, the session at the head of README.md, from a real run. A test
//! (`tests/docs.rs`) runs the commands in the picture and compares.

use anstyle_svg::Term;
use ese_testkit::fixtures;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What is typed, in a folder that holds `state`. Nothing in the output may differ from run to run.
const SESSION: [&str; 5] = [
    "edbtool header --summary state/db.edb",
    "logchain verify state --db state/db.edb | tail -7",
    "edbreplay run state/db.edb --logs state --to recovered.edb | grep recovered.edb",
    "edbtool header --summary recovered.edb",
    "edbtool export recovered.edb --to rows",
];

/// Builds the programs, runs the session, and writes the picture.
pub(crate) fn draw() -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // As `cargo test` builds them, so that they are there already.
    build.args(["build", "--workspace", "--bins", "--tests"]);
    let status = build.status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("cargo ended with {status}"));
    }
    let place = tempfile::tempdir().map_err(|error| error.to_string())?;
    let state = place.path().join("state");
    let copied = fs::create_dir(&state).and_then(|()| {
        let from = fixtures::testdata_set("crash-p8k").join("state");
        fixtures::files_below(&from).iter().try_for_each(|file| {
            let name = file.file_name().unwrap_or_default();
            fs::copy(file, state.join(name)).map(drop)
        })
    });
    copied.map_err(|error| error.to_string())?;
    let mut session = String::new();
    for line in SESSION {
        if !session.is_empty() {
            session.push('\n');
        }
        session.push_str(&format!(
            "\x1b[1m$ {line}\x1b[0m\n{}",
            run(line, place.path())?
        ));
    }
    let picture = Term::new().render_svg(session.trim_end());
    let path = fixtures::repository().join("docs/session.svg");
    fs::write(&path, picture).map_err(|error| format!("{}: {error}", path.display()))
}

/// What a line prints at a terminal, colours and all.
fn run(line: &str, folder: &Path) -> Result<String, String> {
    let programs = fixtures::build_folder().join("debug");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = [programs].into_iter().chain(std::env::split_paths(&path));
    let paths = std::env::join_paths(paths).map_err(|error| error.to_string())?;
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1; {line}")]);
    shell.current_dir(folder).env("PATH", paths);
    shell.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
    let output = shell.output().map_err(|error| error.to_string())?;
    match output.status.code() {
        Some(0 | 1) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => Err(format!("{line}: {}", output.status)),
    }
}
