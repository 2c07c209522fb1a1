//! Files in disk images are read as loose ones: the same answers, pages and exit codes, whatever holds the volume; and what is
//! not read is said.
#![cfg(feature = "images")]

mod common;
#[path = "common/within.rs"]
mod within;

use common::{exit, run, stderr};
use ese_testkit::fixtures;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use within::answers;

/// The set whose files are on the volume that is shipped.
const SET: &str = "crash-p8k";
const SECTOR: u64 = 512;

/// The volume that is shipped.
fn volume() -> Vec<u8> {
    let packed = fixtures::repository().join(format!("testdata/images/{SET}.raw.zst"));
    fixtures::read_zst(&packed)
}

fn loose(set: &str, to: &Path) -> PathBuf {
    let folder = to.join("loose");
    fs::create_dir_all(&folder).unwrap();
    for path in fixtures::files_below(&fixtures::engine_set(set).join("state")) {
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn within(image: &Path, name: &str) -> PathBuf {
    let mut address = image.as_os_str().to_owned();
    address.push("::");
    address.push(name);
    address.into()
}

/// An entry of an MBR: kind, first sector, sectors.
fn entry(kind: u8, start: u64, count: u64) -> [u8; 16] {
    let mut entry = [0; 16];
    entry[4] = kind;
    entry[8..12].copy_from_slice(&(start as u32).to_le_bytes());
    entry[12..].copy_from_slice(&(count as u32).to_le_bytes());
    entry
}

fn table(entries: &[[u8; 16]]) -> Vec<u8> {
    let mut sector = vec![0; SECTOR as usize];
    for (number, entry) in entries.iter().enumerate() {
        sector[446 + 16 * number..][..16].copy_from_slice(entry);
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// A disk with the volume as its second partition and as a logical drive, and something that is no file system as its first.
fn partitioned(volume: &[u8], path: &Path) {
    let count = volume.len() as u64 / SECTOR;
    let (other, first, extended) = (64, 2048, 2048 + count + 2048);
    let mut disk = File::create(path).unwrap();
    let mut put = |sector: u64, bytes: &[u8]| {
        disk.seek(SeekFrom::Start(sector * SECTOR)).unwrap();
        disk.write_all(bytes).unwrap();
    };
    let entries = [
        entry(0x83, other, 100),
        entry(0x07, first, count),
        entry(0x0f, extended, count + 64),
    ];
    put(0, &table(&entries));
    put(first, volume);
    put(extended, &table(&[entry(0x07, 64, count)]));
    put(extended + 64, volume);
}

#[test]
fn files_of_a_volume_are_read_as_loose_ones() {
    let folder = TempDir::new().unwrap();
    let expected = answers(&loose(SET, folder.path()));
    let raw = folder.path().join("raw");
    fs::write(&raw, volume()).unwrap();
    let disk = folder.path().join("disk");
    partitioned(&volume(), &disk);
    for (image, name) in [
        (&raw, "/Windows/System32/sru"),
        (&raw, "windows\\SYSTEM32\\Sru"),
        (&raw, "/packed"),
        (&raw, "pieces"),
        (&disk, "p2:/Windows/System32/sru"),
        (&disk, "p5:/pieces"),
    ] {
        let found = answers(&within(image, name));
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{name}");
        }
    }
}

fn header_of(image: &Path, name: &str) -> (i32, String) {
    let address = within(image, name);
    let out = run("edbtool", ["header".as_ref(), address.as_os_str()]);
    (exit(&out), stderr(&out))
}

#[test]
fn what_is_not_read_is_said() {
    let folder = TempDir::new().unwrap();
    let raw = folder.path().join("raw");
    let mut bytes = volume();
    fs::write(&raw, &bytes).unwrap();
    let disk = folder.path().join("disk");
    partitioned(&bytes, &disk);
    let cases = [
        (&raw, "links/link", "it is a link to C:\\a"),
        (&raw, "links/compact", "CompactOS"),
        (&raw, "links/other", "a reparse point without content"),
        (&raw, "packed/none.edb", "nothing of this name"),
        (&raw, "p1:/packed/db.edb", "the disk has no partitions"),
        (
            &raw,
            "vss1:/packed/db.edb",
            "the volume has no shadow copy 1: it has 0",
        ),
        (
            &disk,
            "p7:/packed/db.edb",
            "the disk has no partition 7; it has p1: p2: p5:",
        ),
        (
            &disk,
            "p1:/packed/db.edb",
            "no file system that is read here",
        ),
        (
            &disk,
            "packed/db.edb",
            "several volumes of the disk have this name: write p2: or p5: before it",
        ),
        (&disk, "p2:p5:/packed/db.edb", "more than one partition"),
        (&raw, "packed/db.edb::x", "it is not"),
    ];
    for (image, name, words) in cases {
        let (code, said) = header_of(image, name);
        assert_eq!(code, 3, "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
    for (name, words) in [
        (b"-FVE-FS-", "BitLocker"),
        (b"ReFS\0\0\0\0", "ReFS"),
        (b"EXFAT   ", "exFAT"),
    ] {
        bytes[3..11].copy_from_slice(name);
        let image = folder.path().join(words);
        partitioned(&bytes, &image);
        let (code, said) = header_of(&image, "p2:/packed/db.edb");
        assert_eq!(code, 3, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

fn find(paths: &[&Path]) -> (i32, Vec<serde_json::Value>, String) {
    let mut words: Vec<&OsStr> = vec!["--json".as_ref(), "find".as_ref()];
    words.extend(paths.iter().map(|path| path.as_os_str()));
    let out = run("edbtool", words);
    (exit(&out), common::documents(&out), stderr(&out))
}

/// The same bytes with another name of a file in them, as long as the first.
fn renamed(volume: &[u8], from: &str, to: &str) -> Vec<u8> {
    let wide = |name: &str| {
        name.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    let (from, to) = (wide(from), wide(to));
    let mut bytes = volume.to_vec();
    let places: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(&from))
        .collect();
    assert!(places.len() > 1);
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(&to);
    }
    bytes
}

/// A file that Windows keeps compressed may be a database.
#[test]
fn files_that_are_not_read_are_no_proof_that_there_is_no_database() {
    let folder = TempDir::new().unwrap();
    let raw = folder.path().join("raw");
    fs::write(&raw, volume()).unwrap();
    let (code, documents, said) = find(&[&within(&raw, "links")]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("1 file that Windows compressed"), "{said}");
    assert_eq!(documents.last().unwrap()["unread"], 1);
    assert_eq!(find(&[&raw]).0, 0);
    fs::write(&raw, renamed(&volume(), "compact", "abc.edb")).unwrap();
    let (code, _, said) = find(&[&raw]);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("links/abc.edb: its name is that of a database"),
        "{said}"
    );
}

/// What lies beside the first part of an image is searched with it.
#[test]
fn later_parts_of_images_are_no_errors_where_the_first_is() {
    let folder = TempDir::new().unwrap();
    let description = format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
         RW {} FLAT \"disk-flat.vmdk\" 0\n",
        volume().len() as u64 / SECTOR
    );
    let flat = folder.path().join("disk-flat.vmdk");
    fs::write(&flat, volume()).unwrap();
    let disk = folder.path().join("disk.vmdk");
    fs::write(&disk, description).unwrap();
    let (code, documents, said) = find(&[folder.path()]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(documents.last().unwrap()["containers"], 1);
    assert_eq!(documents.last().unwrap()["databases"], 3);
}

/// A fixed VHD begins with its disk, whatever that is, and says only at its end what it is.
#[test]
fn an_image_that_is_known_by_its_end_is_not_passed_over() {
    let folder = TempDir::new().unwrap();
    let mut bytes = vec![0; 3 << 20];
    let end = bytes.len() - 512;
    bytes[end..end + 8].copy_from_slice(b"conectix");
    fs::write(folder.path().join("x"), bytes).unwrap();
    let (code, _, said) = find(&[folder.path()]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("the footer of this VHD"), "{said}");
}

/// A volume of which a part is wrong or missing gives an error or the right bytes, as far as NTFS can tell.
#[test]
fn damaged_volumes_are_said() {
    let folder = TempDir::new().unwrap();
    let whole = volume();
    let image = folder.path().join("image");
    let copy = |name: &str| {
        let to = TempDir::new_in(folder.path()).unwrap();
        let from = within(&image, name);
        let words = [
            "copy".as_ref(),
            from.as_os_str(),
            to.path().as_os_str(),
            "--allow-dirty".as_ref(),
        ];
        let out = run("edbcopy", words);
        (exit(&out), fs::read(to.path().join("db.edb")).ok())
    };
    fs::write(&image, &whole).unwrap();
    let (_, right) = copy("pieces/db.edb");
    assert!(right.is_some());
    let mut errors = 0;
    for cut in (1..20).map(|number| whole.len() * number / 20) {
        fs::write(&image, &whole[..cut]).unwrap();
        for name in ["pieces/db.edb", "packed/db.edb"] {
            let (code, found) = copy(name);
            assert!(code == 0 && found == right || code == 3, "{cut}: {code}");
            errors += u32::from(code == 3);
        }
    }
    assert!(errors > 20, "{errors}");
    // One record in turn of those that tell where the files are: their own, and those in which they go on. A sector of it is of
    // another write.
    let start = u64::from_le_bytes(whole[48..56].try_into().unwrap()) as usize * 4096;
    let name: Vec<u8> = "db.edb".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut errors = 0;
    let records = (0..1500).map(|record| start + record * 1024);
    let tells = |at: &usize| {
        let record = &whole[*at..*at + 1024];
        let goes_on = record[32..40] != [0; 8];
        record.starts_with(b"FILE")
            && (goes_on || record.windows(name.len()).any(|part| part == name))
    };
    for at in records.filter(tells).collect::<Vec<_>>() {
        let mut bytes = whole.clone();
        bytes[at + 511] ^= 0x40;
        fs::write(&image, bytes).unwrap();
        let (code, found) = copy("pieces/db.edb");
        assert!(code == 0 && found == right || code == 3, "{at:#x}: {code}");
        errors += u32::from(code == 3);
    }
    assert!(errors > 1, "{errors}");
}

mod with_tools {
    use super::*;

    fn tool(program: &str, arguments: &[&OsStr]) {
        let out = Command::new(program).args(arguments).output();
        let out = out.unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(
            out.status.success(),
            "{program} {arguments:?}: {}",
            stderr(&out)
        );
    }

    /// A disk with two partitions of the system and the volume as its third.
    fn gpt(volume: &Path, to: &Path) -> PathBuf {
        let disk = to.join("gpt");
        let length = fs::metadata(volume).unwrap().len();
        File::create(&disk)
            .unwrap()
            .set_len(length + (8 << 20))
            .unwrap();
        let script = to.join("table");
        let sectors = length / SECTOR;
        fs::write(
            &script,
            format!(
                "label: gpt\nsize=2048, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\nsize=2048, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n\
                 size={sectors}, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n"
            ),
        )
        .unwrap();
        let shell = format!(
            "sfdisk -q {} < {} && sfdisk -d {}",
            disk.display(),
            script.display(),
            disk.display()
        );
        let out = Command::new("sh").args(["-c", &shell]).output().unwrap();
        assert!(out.status.success(), "{}", stderr(&out));
        let dump = common::stdout(&out);
        let start = dump.lines().last().unwrap().split("start=").nth(1).unwrap();
        let start: u64 = start.split(',').next().unwrap().trim().parse().unwrap();
        let mut file = File::options().write(true).open(&disk).unwrap();
        file.seek(SeekFrom::Start(start * SECTOR)).unwrap();
        file.write_all(&fs::read(volume).unwrap()).unwrap();
        disk
    }

    /// The disk in images of all kinds.
    fn images(disk: &Path, to: &Path) -> Vec<PathBuf> {
        let mut made = Vec::new();
        for (name, format, options) in [
            ("plain.qcow2", "qcow2", ""),
            ("sparse.vmdk", "vmdk", "subformat=monolithicSparse"),
            ("stream.vmdk", "vmdk", "subformat=streamOptimized"),
            ("flat.vmdk", "vmdk", "subformat=monolithicFlat"),
            ("parts.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse"),
            ("dynamic.vhd", "vpc", "subformat=dynamic"),
            ("fixed.vhd", "vpc", "subformat=fixed,force_size=on"),
            ("dynamic.vhdx", "vhdx", "subformat=dynamic"),
            ("fixed.vhdx", "vhdx", "subformat=fixed"),
        ] {
            let image = to.join(name);
            let mut words: Vec<&OsStr> = vec!["convert".as_ref(), "-O".as_ref(), format.as_ref()];
            if !options.is_empty() {
                words.extend::<[&OsStr; 2]>(["-o".as_ref(), options.as_ref()]);
            }
            words.extend([disk.as_os_str(), image.as_os_str()]);
            tool("qemu-img", &words);
            made.push(image);
        }
        let packed = to.join("packed.qcow2");
        tool(
            "qemu-img",
            &[
                "convert".as_ref(),
                "-c".as_ref(),
                "-O".as_ref(),
                "qcow2".as_ref(),
                disk.as_os_str(),
                packed.as_os_str(),
            ],
        );
        made.push(packed);
        made.push(e01(disk, to));
        let parts = to.join("dd.");
        tool(
            "split",
            &[
                "-b9M".as_ref(),
                "-a3".as_ref(),
                "--numeric-suffixes=1".as_ref(),
                disk.as_os_str(),
                parts.as_os_str(),
            ],
        );
        made.push(to.join("dd.001"));
        made
    }

    fn e01(disk: &Path, to: &Path) -> PathBuf {
        let target = to.join("image");
        tool(
            "ewfacquire",
            &[
                "-u".as_ref(),
                "-q".as_ref(),
                "-S".as_ref(),
                "5MiB".as_ref(),
                "-t".as_ref(),
                target.as_os_str(),
                disk.as_os_str(),
            ],
        );
        to.join("image.E01")
    }

    #[test]
    #[ignore = "needs qemu-img, ewfacquire and sfdisk"]
    fn parts_of_images_are_searched_with_the_first_or_said() {
        let folder = TempDir::new().unwrap();
        let raw = folder.path().join("raw");
        fs::write(&raw, volume()).unwrap();
        let made = folder.path().join("made");
        fs::create_dir(&made).unwrap();
        let firsts = images(&gpt(&raw, folder.path()), &made);
        let files = fixtures::files_below(&made).len();
        assert!(files > firsts.len() + 4, "{files}");
        let (code, documents, said) = find(&[&made]);
        assert_eq!(code, 0, "{said}");
        let totals = documents.last().unwrap();
        assert_eq!(totals["containers"], firsts.len());
        assert_eq!(totals["databases"], 3 * firsts.len());
        // Without its first part, each of the others is an error.
        fs::remove_file(made.join("image.E01")).unwrap();
        fs::remove_file(made.join("parts.vmdk")).unwrap();
        let (code, _, said) = find(&[&made]);
        assert_eq!(code, 3);
        assert!(
            said.contains("image.E02") && said.contains("parts-s001.vmdk"),
            "{said}"
        );
    }

    #[test]
    #[ignore = "needs qemu-img, ewfacquire and sfdisk"]
    fn images_of_all_kinds_are_read_as_loose_files() {
        let folder = TempDir::new().unwrap();
        let expected = answers(&loose(SET, folder.path()));
        let raw = folder.path().join("raw");
        fs::write(&raw, volume()).unwrap();
        let disk = gpt(&raw, folder.path());
        let mut places = vec![(disk.clone(), "/Windows/System32/sru".to_owned())];
        for (number, image) in images(&disk, folder.path()).into_iter().enumerate() {
            let within = ["pieces", "p3:/packed", "/Windows/System32/sru"][number % 3];
            places.push((image, within.to_owned()));
        }
        // An image in an archive.
        let zip = folder.path().join("images.zip");
        let parts = fixtures::files_below(folder.path());
        let parts = parts
            .iter()
            .filter(|path| path.to_string_lossy().contains("/image.E"));
        let words: Vec<OsString> = ["-q", "-j"].map(OsString::from).into_iter().collect();
        let words: Vec<_> = words
            .into_iter()
            .chain([zip.clone().into()])
            .chain(parts.map(OsString::from))
            .collect();
        tool(
            "zip",
            &words.iter().map(OsString::as_os_str).collect::<Vec<_>>(),
        );
        places.push((zip, "/image.E01::pieces".to_owned()));
        for (image, name) in places {
            let found = answers(&within(&image, &name));
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{}", image.display());
            }
        }
    }

    #[test]
    #[ignore = "needs ntfs-3g, ewfacquire and zip"]
    fn recoveries_of_all_sets_end_with_the_same_pages_from_zip_and_e01() {
        let folder = TempDir::new().unwrap();
        let sets = folder.path().join("sets");
        let mut names = Vec::new();
        for name in fixtures::engine_set_names() {
            let state = fixtures::engine_set(&name).join("state");
            let files = fixtures::files_below(&state);
            let to = sets.join(&name);
            for file in &files {
                let to = to.join(file.strip_prefix(&state).unwrap());
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(file, to).unwrap();
            }
            names.push(name);
        }
        let raw = folder.path().join("raw");
        let make = fixtures::repository().join("testdata/images/make");
        tool(
            make.to_str().unwrap(),
            &[
                sets.as_os_str(),
                raw.as_os_str(),
                "2500".as_ref(),
                "plain".as_ref(),
            ],
        );
        let image = e01(&raw, folder.path());
        let zip = folder.path().join("sets.zip");
        let shell = format!("cd {} && zip -q -r {} .", sets.display(), zip.display());
        tool("sh", &["-c".as_ref(), shell.as_ref()]);
        let mut recovered = 0;
        for name in &names {
            let databases = fixtures::files_below(&sets.join(name));
            let databases = databases
                .iter()
                .filter(|path| path.extension() == Some("edb".as_ref()));
            for database in databases {
                let rest = database.strip_prefix(&sets).unwrap().to_str().unwrap();
                let outcome = |from: &Path| {
                    let to = TempDir::new_in(folder.path()).unwrap();
                    let new = to.path().join("new.edb");
                    let words = [
                        "run".as_ref(),
                        from.as_os_str(),
                        "--quiet".as_ref(),
                        "--to".as_ref(),
                        new.as_os_str(),
                    ];
                    let out = run("edbreplay", words);
                    let pages = fs::read(&new).map(|bytes| blake3::hash(&bytes).to_string());
                    (exit(&out), pages.ok())
                };
                let expected = outcome(database);
                assert_eq!(outcome(&within(&zip, rest)), expected, "{rest} in a zip");
                let on_volume = format!("/Windows/System32/sru/{rest}");
                assert_eq!(
                    outcome(&within(&image, &on_volume)),
                    expected,
                    "{rest} in an E01"
                );
                recovered += u32::from(expected.1.is_some());
            }
        }
        println!(
            "{} sets, {recovered} databases recovered from each",
            names.len()
        );
        assert!(recovered >= fixtures::either(50, 10), "{recovered}");
    }

    #[test]
    #[ignore = "needs the right to make loop devices"]
    fn a_block_device_is_read_as_an_image() {
        let folder = TempDir::new().unwrap();
        let raw = folder.path().join("raw");
        fs::write(&raw, volume()).unwrap();
        let out = Command::new("losetup")
            .args(["-r", "-f", "--show"])
            .arg(&raw)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", stderr(&out));
        let device = PathBuf::from(common::stdout(&out).trim());
        let found = answers(&within(&device, "pieces"));
        tool("losetup", &["-d".as_ref(), device.as_os_str()]);
        assert_eq!(found, answers(&loose(SET, folder.path())));
    }
}
