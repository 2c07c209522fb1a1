//! What every program says of itself and of what keeps it from its work, as people read it.

use ese_testkit::fixtures;
use std::fs;
use std::path::Path;

#[test]
fn help_reads_as_written_down() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

/// The cases are in `tests/cmd/messages.md`; they run in a folder with files that are not what they should be, which is
/// made anew.
#[test]
fn refusals_read_as_written_down() {
    let written = Path::new("tests/cmd/messages.md");
    let place = fixtures::build_folder().join("messages");
    if place.exists() {
        fs::remove_dir_all(&place).unwrap();
    }
    let files = place.join("messages.in");
    fs::create_dir_all(files.join("no-logs")).unwrap();
    fs::write(files.join("text.txt"), "not a database\n").unwrap();
    fs::write(files.join("broken.toml"), "state = [\n").unwrap();
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let other = fixtures::testdata_set("clean-p4k").join("state/db.edb");
    fs::copy(other, files.join("clean.edb")).unwrap();
    for folder in ["sg", "gap"] {
        fs::create_dir(files.join(folder)).unwrap();
        for entry in fs::read_dir(&state).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, files.join(folder).join(from.file_name().unwrap())).unwrap();
        }
    }
    fs::remove_file(files.join("gap/edb0000F.log")).unwrap();
    let mut damaged = fs::read(files.join("clean.edb")).unwrap();
    damaged[4096 * 42 + 99] ^= 0xff;
    fs::write(files.join("damaged.edb"), damaged).unwrap();
    let cases = place.join("messages.md");
    fs::copy(written, &cases).unwrap();
    trycmd::TestCases::new().case(&cases).run();
    if std::env::var("TRYCMD").is_ok_and(|asked| asked == "overwrite") {
        fs::copy(&cases, written).unwrap();
    }
}
