//! Sources stay as they are: every reading command runs on a read-only mount, under a tracer that sees each file it
//! opens, makes or changes. And names that are in the files are never opened, and never reach a terminal raw.

use ese_log::{LogImage, StreamFiles};
use ese_testkit::damage::WorkingCopy;
use ese_testkit::fixtures::{files_below, read_zst, repository, testdata_set};
use ese_testkit::growing::accumulated;
use ese_testkit::logs::{records_of, write_segments};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;
use tempfile::TempDir;

/// A folder that cannot be written to, as long as this lives.
struct ReadOnly {
    folder: TempDir,
    mounted: bool,
}

impl ReadOnly {
    /// Mounts `source` over a folder of its own; where that is not allowed (only root may), says so.
    fn of(source: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let mount = |arguments: &[&str]| {
            let mut mount = Command::new("mount");
            mount.args(arguments).args([source, folder.path()]);
            mount
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let mounted = mount(&["--bind", "-o", "ro"]);
        if !mounted {
            eprintln!(
                "no right to mount: the tracer alone watches {}",
                source.display()
            );
            for file in files_below(source) {
                fs::create_dir_all(folder.path()).unwrap();
                fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
            }
        }
        ReadOnly { folder, mounted }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        if self.mounted {
            let done = Command::new("umount").arg(self.folder.path()).status();
            assert!(done.is_ok_and(|status| status.success()), "the mount stays");
        }
    }
}

/// Names, contents and times of all files.
fn state_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
    let files = files_below(folder).into_iter();
    let mut state: Vec<_> = files
        .map(|path| {
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            let digest = Sha256::digest(fs::read(&path).unwrap());
            (path, digest.to_vec(), modified)
        })
        .collect();
    state.sort();
    state
}

/// Runs a program under `strace`; returns its output, and every call that opens for writing, makes, renames or deletes.
fn traced(program: &str, arguments: &[&Path], temporary: &Path) -> (Output, Vec<String>) {
    let trace = temporary.join("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "4096", "-e", "signal=none"])
        .args([
            "-e",
            "trace=%file,ftruncate,fallocate,fchmod,fchown,fsetxattr",
        ])
        .arg("-o")
        .args([&trace, Path::new(program)])
        .args(arguments)
        .env("TMPDIR", temporary)
        .output()
        .expect("strace is installed");
    let lines = fs::read_to_string(&trace).unwrap();
    (output, lines.lines().map(str::to_owned).collect())
}

/// Whether a traced call may change something: it opens for writing, or is none of those that only look.
fn changes(line: &str) -> bool {
    let call = line
        .split_once(' ')
        .map_or(line, |(_, call)| call.trim_start());
    let looks = [
        "stat",
        "lstat",
        "access",
        "faccessat",
        "newfstatat",
        "statx",
        "readlink",
        "execve",
        "getcwd",
        "chdir",
        "statfs",
        "getxattr",
        "lgetxattr",
        // No calls: the end of one whose begin has been seen, exits and signals, a thread that ended with the program.
        "<...",
        "+++",
        "---",
        "???(",
    ];
    match call.starts_with("open") {
        true => ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"]
            .iter()
            .any(|flag| call.contains(flag)),
        false => !looks.iter().any(|look| call.starts_with(look)),
    }
}

/// Programs and their arguments; `OUT` is where writing is allowed.
const READING: [(&str, &str); 32] = [
    (env!("CARGO_BIN_EXE_edbtool"), "find ."),
    (env!("CARGO_BIN_EXE_edbtool"), "find --try ."),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "header db.edb edb.chk edb.log edb00010.log",
    ),
    (env!("CARGO_BIN_EXE_edbtool"), "verify db.edb --hash sha256"),
    (env!("CARGO_BIN_EXE_edbtool"), "verify ."),
    (env!("CARGO_BIN_EXE_edbtool"), "tables db.edb --count"),
    (env!("CARGO_BIN_EXE_edbtool"), "schema db.edb"),
    (env!("CARGO_BIN_EXE_edbtool"), "page db.edb 5"),
    (env!("CARGO_BIN_EXE_edbtool"), "space db.edb"),
    (env!("CARGO_BIN_EXE_edbtool"), "export db.edb --to OUT/rows"),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "export db.edb --with-logs . --format parquet --to OUT/recovered-rows",
    ),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "export --recursive . --to OUT/all-rows",
    ),
    (env!("CARGO_BIN_EXE_edbtool"), "collect . --to OUT/case"),
    (env!("CARGO_BIN_EXE_edbtool"), "rows db.edb Items --limit 9"),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "rows db.edb Items --with-logs . --format table",
    ),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "header --summary --recursive .",
    ),
    (env!("CARGO_BIN_EXE_edbtool"), "tables db.edb --with-logs ."),
    (env!("CARGO_BIN_EXE_edbtool"), "verify db.edb --with-logs ."),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "tables db.edb --with-logs . --as-of 23",
    ),
    (env!("CARGO_BIN_EXE_logchain"), "header ."),
    (env!("CARGO_BIN_EXE_logchain"), "verify . --db db.edb"),
    (env!("CARGO_BIN_EXE_logchain"), "records ."),
    (
        env!("CARGO_BIN_EXE_logchain"),
        "records . --times --table Items --catalog db.edb",
    ),
    (env!("CARGO_BIN_EXE_logchain"), "stat ."),
    (env!("CARGO_BIN_EXE_logchain"), "diff . ."),
    (env!("CARGO_BIN_EXE_edbreplay"), "plan db.edb --logs ."),
    (
        env!("CARGO_BIN_EXE_edbreplay"),
        "run db.edb --logs . --to OUT/recovered.edb",
    ),
    (
        env!("CARGO_BIN_EXE_edbreplay"),
        "run db.edb --logs . --overlay OUT/overlay",
    ),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "tables db.edb --overlay OUT/overlay",
    ),
    (
        env!("CARGO_BIN_EXE_edbcopy"),
        "copy . OUT/folder --allow-dirty",
    ),
    (
        env!("CARGO_BIN_EXE_edbcopy"),
        "manifest db.edb edb.log --output OUT/manifest.json",
    ),
    (
        env!("CARGO_BIN_EXE_edbcopy"),
        "verify db.edb OUT/folder/db.edb",
    ),
];

/// The same of what lies within files: `v.raw` is an image, `f.zip` an archive.
const READING_WITHIN: [(&str, &str); 9] = [
    (env!("CARGO_BIN_EXE_edbtool"), "find v.raw::/pieces f.zip"),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "collect v.raw::/packed f.zip --to OUT/case",
    ),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "tables v.raw::/pieces/db.edb --with-logs v.raw::/pieces",
    ),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "export f.zip::db.edb --with-logs f.zip:: --to OUT/zip-rows",
    ),
    (
        env!("CARGO_BIN_EXE_logchain"),
        "verify v.raw::packed --db v.raw::packed/db.edb",
    ),
    (
        env!("CARGO_BIN_EXE_edbreplay"),
        "run f.zip::db.edb --to OUT/zip.edb",
    ),
    (
        env!("CARGO_BIN_EXE_edbreplay"),
        "run v.raw::packed/db.edb --to OUT/image.edb",
    ),
    (
        env!("CARGO_BIN_EXE_edbcopy"),
        "copy v.raw::/pieces OUT/from-image --allow-dirty",
    ),
    (
        env!("CARGO_BIN_EXE_edbtool"),
        "verify v.raw::/Windows/System32/sru/db.edb",
    ),
];

/// Runs commands on a source that nothing may write to.
fn watch(source: &ReadOnly, commands: &[(&str, &str)]) {
    let before = state_of(source.folder.path());
    let out = TempDir::new().unwrap();
    for (program, arguments) in commands {
        let arguments: Vec<PathBuf> = arguments
            .split(' ')
            .map(|word| match word.strip_prefix("OUT/") {
                Some(name) => out.path().join(name),
                None if word == "." => source.folder.path().to_owned(),
                None if word.contains('.') => source.join(word),
                None => word.into(),
            })
            .collect();
        let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
        let (output, calls) = traced(program, &arguments, out.path());
        let text = format!(
            "{program} {arguments:?}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // 1 says that the database is dirty; anything else is a failure.
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{:?} {text}",
            output.status
        );
        let allowed = out.path().to_str().unwrap();
        for call in calls.iter().filter(|call| changes(call)) {
            let harmless = ["/dev/null", "/dev/tty", "/proc/self/"];
            let fine = call.contains(allowed) || harmless.iter().any(|path| call.contains(path));
            assert!(fine, "{text}\n{call}");
        }
        assert!(
            calls.iter().any(|call| call.contains("openat")),
            "{text}: nothing was traced"
        );
    }
    assert_eq!(
        before,
        state_of(source.folder.path()),
        "the source is as it was"
    );
}

#[test]
#[ignore = "needs strace"]
fn no_reading_command_touches_its_source() {
    let set = testdata_set("crash-p8k").join("state");
    watch(&ReadOnly::of(&set), &READING);
}

#[test]
#[cfg(all(feature = "archives", feature = "images"))]
#[ignore = "needs strace"]
fn no_reading_command_touches_the_file_that_its_source_lies_in() {
    let folder = TempDir::new().unwrap();
    let image = repository().join("testdata/images/crash-p8k.raw.zst");
    fs::write(folder.path().join("v.raw"), read_zst(&image)).unwrap();
    let zip = fs::File::create(folder.path().join("f.zip")).unwrap();
    let mut zip = zip::ZipWriter::new(zip);
    for path in files_below(&testdata_set("crash-p8k").join("state")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(&fs::read(&path).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    watch(&ReadOnly::of(folder.path()), &READING_WITHIN);
}

/// A stream whose every path was replaced by `evil`, which has as many characters.
fn poisoned(evil: &str) -> WorkingCopy {
    const PATH: &str = "C:\\SG\\crash-p8k\\state\\db.edb";
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let evil: String = evil.chars().cycle().take(PATH.chars().count()).collect();
    let [old, new] = [wide(PATH), wide(&evil)];
    let replace = |bytes: &mut [u8]| {
        let mut found = 0;
        for at in 0..bytes.len().saturating_sub(old.len()) {
            if bytes[at..].starts_with(&old) {
                bytes[at..at + new.len()].copy_from_slice(&new);
                found += 1;
            }
        }
        found
    };
    let copy = WorkingCopy::of(&testdata_set("crash-p8k").join("state"));
    let logs = StreamFiles::find(copy.path(), None).unwrap();
    let (mut found, mut sum) = (0, 0);
    for log in logs.in_order() {
        let image = LogImage::read(&log.path).unwrap();
        let mut header = image.bytes[..4096].to_vec();
        let mut records = records_of(&image);
        found += replace(&mut header);
        found += records
            .iter_mut()
            .map(|record| replace(record))
            .sum::<usize>();
        // A log carries the sum of the one before it.
        header[653..661].copy_from_slice(&u64::to_le_bytes(sum));
        let poisoned = write_segments(&header, &records);
        sum = accumulated(&poisoned);
        fs::write(&log.path, poisoned).unwrap();
    }
    assert!(found > 20, "{found} paths in the stream");
    copy
}

#[test]
#[ignore = "needs strace"]
fn paths_in_the_logs_are_neither_opened_nor_printed_raw() {
    let out = TempDir::new().unwrap();
    let target = out.path().join("victim");
    fs::write(&target, "precious").unwrap();
    let evil = [
        "/etc/edbkit-must-not-exist/x",
        "../../../../../../edbkit-evil",
        "\\\\.\\PhysicalDrive0\\edbkit-evil",
        "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\nedbkit-evil",
        "\u{fffe}\u{1}\u{2}\u{202e}edbkit-evil%n%s\0",
    ];
    for evil in evil {
        let stream = poisoned(evil);
        let database = stream.path().join("db.edb");
        for (program, arguments) in [
            (env!("CARGO_BIN_EXE_logchain"), vec!["header", "."]),
            (
                env!("CARGO_BIN_EXE_logchain"),
                vec!["verify", ".", "--db", "DB"],
            ),
            (env!("CARGO_BIN_EXE_logchain"), vec!["records", "."]),
            (env!("CARGO_BIN_EXE_logchain"), vec!["stat", "."]),
            (env!("CARGO_BIN_EXE_edbtool"), vec!["header", "./edb.log"]),
            (
                env!("CARGO_BIN_EXE_edbreplay"),
                vec!["plan", "DB", "--logs", "."],
            ),
            (
                env!("CARGO_BIN_EXE_edbreplay"),
                vec!["run", "DB", "--logs", ".", "--to", "OUT"],
            ),
        ] {
            let to = out.path().join("recovered.edb");
            let arguments: Vec<PathBuf> = arguments
                .iter()
                .map(|word| match *word {
                    "DB" => database.clone(),
                    "OUT" => to.clone(),
                    _ if word.starts_with('.') => stream.path().join(word),
                    _ => PathBuf::from(word),
                })
                .collect();
            let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
            let (output, calls) = traced(program, &arguments, out.path());
            let _ = fs::remove_file(&to);
            let text = format!("{program} {arguments:?} {evil:?}");
            assert!(
                output.status.code().is_some_and(|code| code < 3),
                "{text}: {output:?}"
            );
            for stream in [&output.stdout, &output.stderr] {
                let printed = String::from_utf8_lossy(stream);
                let raw = printed
                    .chars()
                    .find(|c| (c.is_control() && !"\n\t".contains(*c)) || *c == '\u{202e}');
                assert_eq!(
                    raw,
                    None,
                    "{text}: {:?}",
                    printed
                        .lines()
                        .find(|line| line.contains(raw.unwrap_or('\0')))
                );
            }
            let opened = calls.iter().find(|call| {
                ["edbkit-", "owned", "PhysicalDrive"]
                    .iter()
                    .any(|evil| call.contains(evil))
            });
            assert_eq!(opened, None, "{text}");
        }
    }
}
