//! Files in archives are read as loose ones: the same answers, pages and exit codes, and nothing that is wrong with an archive
//! is taken for an answer.
#![cfg(feature = "archives")]

mod common;
#[path = "common/within.rs"]
mod within;

use common::{exit, run, stderr};
use ese_testkit::fixtures;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use within::answers;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Where the files of a set lie in each archive.
const FOLDER: &str = "C/Windows/System32/sru";

/// The files of a set.
fn files(set: &str) -> Vec<(String, Vec<u8>)> {
    let files = fixtures::files_below(&fixtures::engine_set(set).join("state"));
    let files = files.into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    });
    files.collect()
}

fn zipped(members: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tarred(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    ruzstd::encoding::compress_to_vec(bytes, level)
}

/// A set in archives of all kinds; the address of the folder with its files in each.
fn archives(set: &str, to: &Path) -> Vec<PathBuf> {
    let members = files(set);
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, bytes)| (format!("{FOLDER}/{name}"), bytes))
        .collect();
    let backslashes: Vec<_> = members
        .iter()
        .map(|(name, bytes)| (name.replace('/', "\\"), bytes.clone()))
        .collect();
    let tar = tarred(&members);
    let deflated = zipped(&members, CompressionMethod::Deflated);
    let made = [
        ("stored.zip", zipped(&members, CompressionMethod::Stored)),
        ("xz.zip", zipped(&members, CompressionMethod::Xz)),
        ("bzip2.zip", zipped(&members, CompressionMethod::Bzip2)),
        (
            "backslashes.zip",
            zipped(&backslashes, CompressionMethod::Deflated),
        ),
        (
            "outer.zip",
            zipped(
                &[("in/deflated.zip".to_owned(), deflated.clone())],
                CompressionMethod::Deflated,
            ),
        ),
        ("deflated.zip", deflated),
        ("files.tar.gz", gzipped(&tar)),
        ("files.tar.zst", zstandard(&tar)),
        ("files.tar", tar),
    ];
    let made = made.into_iter().map(|(name, bytes)| {
        let path = to.join(name);
        fs::write(&path, bytes).unwrap();
        let nested = if name == "outer.zip" {
            "::in/deflated.zip"
        } else {
            ""
        };
        // As Windows would find it.
        let folder = if name == "files.tar" {
            "c/WINDOWS/system32/SRU"
        } else {
            FOLDER
        };
        PathBuf::from(format!("{}{nested}::{folder}", path.display()))
    });
    made.collect()
}

#[test]
fn archives_of_all_kinds_are_read_as_loose_files() {
    for set in ["crash-p8k", "clean-p4k"] {
        let folder = TempDir::new().unwrap();
        let loose = folder.path().join("loose");
        fs::create_dir(&loose).unwrap();
        for (name, bytes) in files(set) {
            fs::write(loose.join(name), bytes).unwrap();
        }
        let expected = answers(&loose);
        for archive in archives(set, folder.path()) {
            let found = answers(&archive);
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{}", archive.display());
            }
        }
    }
}

#[test]
fn every_member_of_an_export_is_the_one_of_the_loose_file() {
    let folder = TempDir::new().unwrap();
    let rows = |from: &Path, to: &str| {
        let to = folder.path().join(to);
        let database = from.join("db.edb");
        let words: [&OsStr; 6] = [
            "export".as_ref(),
            database.as_os_str(),
            "--with-logs".as_ref(),
            from.as_os_str(),
            "--to".as_ref(),
            to.as_os_str(),
        ];
        let out = run("edbtool", words);
        assert_eq!(exit(&out), 0, "{}", stderr(&out));
        let mut files = fixtures::files_below(&to);
        files.retain(|file| file.file_name() != Some("manifest.json".as_ref()));
        files.sort();
        let read = |file: PathBuf| {
            (
                file.strip_prefix(&to).unwrap().to_owned(),
                fs::read(&file).unwrap(),
            )
        };
        files.into_iter().map(read).collect::<Vec<_>>()
    };
    let loose = rows(&fixtures::engine_set("crash-p8k").join("state"), "loose");
    for (number, archive) in archives("crash-p8k", folder.path()).iter().enumerate() {
        assert!(
            rows(archive, &format!("rows-{number}")) == loose,
            "{}",
            archive.display()
        );
    }
}

#[test]
fn what_lies_in_no_folder_is_copied_under_its_own_name_and_finds_its_logs() {
    let folder = TempDir::new().unwrap();
    let members = files("crash-p8k");
    let inner = zipped(&members, CompressionMethod::Deflated);
    let outer = [("inner.zip".to_owned(), inner.clone())];
    fs::write(folder.path().join("root.zip"), inner).unwrap();
    let outer = zipped(&outer, CompressionMethod::Stored);
    fs::write(folder.path().join("outer.zip"), outer).unwrap();
    let database = &members.iter().find(|(name, _)| name == "db.edb").unwrap().1;
    for (number, archive) in ["root.zip", "outer.zip::inner.zip"].iter().enumerate() {
        let mut address = folder.path().join(archive).into_os_string();
        address.push("::db.edb");
        let plan = run("edbreplay", ["plan".as_ref(), address.as_os_str()]);
        assert_eq!(exit(&plan), 0, "{}", stderr(&plan));
        let to = folder.path().join(format!("to-{number}"));
        fs::create_dir(&to).unwrap();
        let words = [
            "copy".as_ref(),
            address.as_os_str(),
            to.as_os_str(),
            "--allow-dirty".as_ref(),
        ];
        let copy = run("edbcopy", words);
        assert_eq!(exit(&copy), 0, "{}", stderr(&copy));
        assert!(fs::read(to.join("db.edb")).unwrap() == *database);
    }
}

fn header_of(archive: &Path, member: &str) -> Output {
    let mut address = OsString::from(archive);
    address.push(format!("::{member}"));
    run("edbtool", ["header".as_ref(), address.as_os_str()])
}

#[test]
fn names_are_data() {
    let folder = TempDir::new().unwrap();
    let database = files("clean-p4k")
        .into_iter()
        .find(|(name, _)| name == "db.edb")
        .unwrap()
        .1;
    let archive = folder.path().join("names.tar");
    // A tar holds names that a zip writer refuses.
    let mut tar = tar::Builder::new(File::create(&archive).unwrap());
    for name in [
        "../../../../tmp/escaped.edb",
        "/absolute.edb",
        "Case.edb",
        "case.edb",
        "twice.edb",
        "twice.edb",
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(database.len() as u64);
        header.set_mode(0o644);
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, &database[..]).unwrap();
    }
    tar.finish().unwrap();
    let good = |member: &str| {
        let out = header_of(&archive, member);
        assert_eq!(exit(&out), 0, "{member}: {}", stderr(&out));
    };
    good("../../../../tmp/escaped.edb");
    good("absolute.edb");
    good("Case.edb");
    assert!(!Path::new("/tmp/escaped.edb").exists());
    for (member, words) in [
        ("CASE.edb", "several members of this name but for case"),
        ("twice.edb", "the archive has 2 members of this name"),
        ("tmp/escaped.edb", "no member of this name"),
        ("absolute.edb::x.edb", "not an archive that is read here"),
    ] {
        let out = header_of(&archive, member);
        assert_eq!(exit(&out), 3, "{member}");
        assert!(stderr(&out).contains(words), "{member}: {}", stderr(&out));
    }
    // A file of this machine is itself, whatever its name.
    let odd = folder.path().join("names.tar::odd.edb");
    fs::write(&odd, &database).unwrap();
    assert_eq!(
        exit(&run("edbtool", ["header".as_ref(), odd.as_os_str()])),
        0
    );
}

/// A byte of an archive that is wrong gives an error or the right answer, never another one.
#[test]
fn damaged_archives_are_said() {
    let folder = TempDir::new().unwrap();
    let database = files("clean-p4k")
        .into_iter()
        .find(|(name, _)| name == "db.edb")
        .unwrap()
        .1;
    let members = [("sru/db.edb".to_owned(), database)];
    let tar = tarred(&members);
    let (mut wrong, mut right) = (0, 0);
    for (name, bytes, member) in [
        (
            "d.zip",
            zipped(&members, CompressionMethod::Deflated),
            "sru/db.edb",
        ),
        (
            "s.zip",
            zipped(&members, CompressionMethod::Stored),
            "sru/db.edb",
        ),
        ("f.tar.gz", gzipped(&tar), "sru/db.edb"),
        ("f.tar.zst", zstandard(&tar), "sru/db.edb"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        let whole = header_of(&path, member);
        assert_eq!(exit(&whole), 0, "{}", stderr(&whole));
        for number in 1..40 {
            let mut other = bytes.clone();
            let at = bytes.len() * number / 40;
            match number % 2 {
                0 => other.truncate(at),
                _ => other[at] ^= 0x10,
            }
            fs::write(&path, other).unwrap();
            let out = header_of(&path, member);
            match exit(&out) {
                3 => wrong += 1,
                _ => {
                    assert_eq!(out.stdout, whole.stdout, "{name}, {at}");
                    right += 1;
                }
            }
        }
    }
    assert!(wrong > 80, "{wrong} errors, {right} answers");
}

#[test]
fn what_is_left_of_a_tar_is_read_and_not_taken_for_all_of_it() {
    let folder = TempDir::new().unwrap();
    let members = files("crash-p8k");
    let whole = tarred(&members);
    let path = folder.path().join("files.tar");
    let mut root = path.clone().into_os_string();
    root.push("::");
    let verify = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        run("logchain", ["verify".as_ref(), root.as_os_str()])
    };
    assert_eq!(exit(&verify(&whole)), 0);
    // Between two members, and in the midst of one.
    let ends = members.iter().scan(0, |end, (_, bytes)| {
        *end += 512 + bytes.len().next_multiple_of(512);
        Some(*end)
    });
    let between = ends.take(members.len() / 2).last().unwrap();
    let last = &members[members.len() - 1].0;
    for cut in [between, between + 700] {
        let out = verify(&whole[..cut]);
        assert_eq!(exit(&out), 3, "{cut}: {}", stderr(&out));
        assert!(
            stderr(&out).contains("the archive is cut off"),
            "{}",
            stderr(&out)
        );
        let out = header_of(&path, last);
        assert_eq!(exit(&out), 3);
        assert!(
            stderr(&out).contains("it may have been there"),
            "{}",
            stderr(&out)
        );
        let first = run(
            "edbtool",
            [
                "header".as_ref(),
                {
                    let mut address = root.clone();
                    address.push(&members[0].0);
                    address
                }
                .as_os_str(),
            ],
        );
        assert_ne!(exit(&first), 3, "{}", stderr(&first));
    }
}

#[test]
fn what_is_not_unpacked_is_refused() {
    let folder = TempDir::new().unwrap();
    let members = [("db.edb".to_owned(), vec![7; 5000])];
    let plain = zipped(&members, CompressionMethod::Stored);
    let path = folder.path().join("x.zip");
    // The flag of encryption, in the member's header and in the directory.
    let mut encrypted = plain.clone();
    let directory = plain
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .unwrap();
    encrypted[6] |= 1;
    encrypted[directory + 8] |= 1;
    // A length that only a bomb has.
    let mut bomb = zipped(&members, CompressionMethod::Deflated);
    let directory = bomb
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
        .unwrap();
    bomb[directory + 24..directory + 28].copy_from_slice(&0xf000_0000u32.to_le_bytes());
    let twice = [
        ("twiceA.edb".to_owned(), vec![7; 5000]),
        ("twiceB.edb".to_owned(), vec![8; 5000]),
    ];
    let mut twice = zipped(&twice, CompressionMethod::Stored);
    let names: Vec<usize> = (0..twice.len() - 10)
        .filter(|at| &twice[*at..at + 10] == b"twiceB.edb")
        .collect();
    names.iter().for_each(|at| twice[at + 5] = b'A');
    fs::write(&path, twice).unwrap();
    let out = header_of(&path, "twiceA.edb");
    assert_eq!(exit(&out), 3);
    let words = "the archive has 2 members of this name";
    assert!(stderr(&out).contains(words), "{}", stderr(&out));
    for (bytes, words) in [
        (encrypted, "it is encrypted"),
        (bomb, "it has less than the 4026531840 bytes"),
    ] {
        fs::write(&path, bytes).unwrap();
        let out = header_of(&path, "db.edb");
        assert_eq!(exit(&out), 3);
        assert!(stderr(&out).contains(words), "{}", stderr(&out));
    }
}

/// Archives that other programs made.
#[test]
#[ignore = "needs zip, 7z, tar, gzip and zstd"]
fn archives_of_other_programs_are_read_as_loose_files() {
    let folder = TempDir::new().unwrap();
    let loose = folder.path().join("in").join(FOLDER);
    fs::create_dir_all(&loose).unwrap();
    for (name, bytes) in files("crash-p8k") {
        fs::write(loose.join(name), bytes).unwrap();
    }
    let expected = answers(&loose);
    let made = folder.path().join("made");
    fs::create_dir(&made).unwrap();
    for (name, command) in [
        ("plain.zip", "zip -q -r $TO ."),
        ("stored.zip", "zip -q -0 -r $TO ."),
        // As a stream: sizes come after the bytes, and have eight bytes.
        ("stream.zip", "zip -q -r - . | cat > $TO"),
        ("bzip2.zip", "zip -q -Z bzip2 -r $TO ."),
        ("deflate64.zip", "7z a -bso0 -tzip -mm=Deflate64 $TO ."),
        ("lzma.zip", "7z a -bso0 -tzip -mm=LZMA $TO ."),
        ("solid.7z", "7z a -bso0 $TO ."),
        ("each.7z", "7z a -bso0 -ms=off -mx1 $TO ."),
        ("ppmd.7z", "7z a -bso0 -m0=PPMd $TO ."),
        ("bzip2.7z", "7z a -bso0 -m0=BZip2 $TO ."),
        ("gnu.tar", "tar --format=gnu -cf $TO ."),
        ("posix.tar", "tar --format=posix -cf $TO ."),
        ("ustar.tar", "tar --format=ustar -cf $TO C"),
        ("files.tar.gz", "tar -czf $TO C"),
        // Several frames.
        ("files.tar.zst", "tar -cf - C | zstd -q -T2 -B1M > $TO"),
    ] {
        let archive = made.join(name);
        let out = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder.path().join("in"))
            .env("TO", &archive)
            .output()
            .unwrap();
        assert!(out.status.success(), "{name}: {}", stderr(&out));
        let found = answers(&PathBuf::from(format!("{}::{FOLDER}", archive.display())));
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{name}");
        }
    }
}

/// What is packed together is unpacked once, in whatever order the folders of an archive come back to it.
#[test]
#[ignore = "needs 7z"]
fn a_7z_of_many_blocks_costs_no_more_than_one_of_one_block() {
    let folder = TempDir::new().unwrap();
    let loose = folder.path().join("in");
    let mut seed = 1_u64;
    for number in 0..24 {
        let sub = loose.join(format!("d{number}"));
        fs::create_dir_all(&sub).unwrap();
        for kind in 0..6 {
            let bytes = (0..60_000).map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            });
            fs::write(sub.join(format!("a.t{kind}")), bytes.collect::<Vec<u8>>()).unwrap();
        }
    }
    let mut times = Vec::new();
    // Sorted by type, a block has a file of each folder.
    for solid in ["-ms=on", "-ms=24f"] {
        let archive = folder.path().join("a.7z");
        let _ = fs::remove_file(&archive);
        let made = Command::new("7z")
            .args(["a", "-bso0", "-m0=BZip2", "-mqs=on", solid])
            .args([&archive, &loose])
            .status();
        assert!(made.unwrap().success());
        let start = std::time::Instant::now();
        let out = run("edbtool", ["find".as_ref(), archive.as_os_str()]);
        times.push(start.elapsed());
        assert_eq!(exit(&out), 4, "{}", stderr(&out));
        assert!(common::stdout(&out).contains("looked at 145 files"));
    }
    assert!(times[1] < times[0] * 5, "{times:?}");
}
