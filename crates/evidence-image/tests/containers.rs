//! Disks in images of all kinds: every byte is that of the disk, or there is an error.

use evidence::{
    EvidenceError, EvidenceFile, FolderEntry, Place, SourceFile, SourceFolder, Stamp, Volume,
};
use evidence_image::container::{self, DiskImage};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const MIB: usize = 1 << 20;

/// Numbers that follow from the first.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A disk with a partition, and with stretches of zeros, of what can be packed and of what cannot.
fn disk(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut disk = vec![0; length];
    let mut at = 512;
    while at < length {
        let end = (at + 512 * (1 + random.below(900))).min(length);
        match random.below(3) {
            0 => {}
            1 => disk[at..end].fill_with(|| random.next() as u8),
            _ => {
                for (number, byte) in disk[at..end].iter_mut().enumerate() {
                    *byte = (number / 7 % 251) as u8;
                }
            }
        }
        at = end;
    }
    let sectors = (length / 512 - 63) as u32;
    disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 7, 0, 0, 0, 63, 0, 0, 0, 0, 0, 0, 0]);
    disk[458..462].copy_from_slice(&sectors.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

fn open(path: &Path) -> Result<Option<DiskImage>, EvidenceError> {
    container::open(&EvidenceFile::open(path)?)
}

fn refusal(path: &Path) -> String {
    open(path).expect_err("it was opened").to_string()
}

/// What has to be read is what the disk has, wherever a read begins and ends, by two threads at once.
fn compare(image: &DiskImage, disk: &[u8]) {
    let length = image.bytes.stamp().length as usize;
    // Some formats round up.
    assert!((disk.len()..disk.len() + MIB).contains(&length), "{length}");
    assert_eq!(image.bytes.stamp_now().unwrap(), image.bytes.stamp());
    let read = |seed: u64| {
        let mut random = Random(seed);
        for round in 0..300 {
            let from = random.below(length + 4096);
            let most = if round % 10 == 0 { 3 * MIB } else { 70_000 };
            let mut buffer = vec![0xaa; random.below(most)];
            let read = image.bytes.read_at(&mut buffer, from as u64).unwrap();
            assert_eq!(read, buffer.len().min(length.saturating_sub(from)));
            let there = disk.get(from..).unwrap_or_default();
            let common = there.len().min(read);
            assert!(buffer[..common] == there[..common], "{from} + {read}");
            assert!(buffer[common..read].iter().all(|byte| *byte == 0));
        }
    };
    std::thread::scope(|scope| {
        for seed in [5, 6] {
            scope.spawn(move || read(seed));
        }
    });
    let mut whole = vec![0; disk.len()];
    image.bytes.read_exact_at(&mut whole, 0).unwrap();
    assert!(whole == disk);
}

fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Makes an image of every kind of the disk in `dir/disk.raw`; what they are called, and their kind.
fn images(dir: &Path, disk: &[u8]) -> Vec<(PathBuf, &'static str)> {
    let raw = dir.join("disk.raw");
    fs::write(&raw, disk).unwrap();
    let mut images = vec![(raw.clone(), "raw")];
    for (name, kind, options) in [
        ("plain.qcow2", "QCOW2", "-O qcow2"),
        (
            "old.qcow2",
            "QCOW2",
            "-O qcow2 -o compat=0.10,cluster_size=4k",
        ),
        ("packed.qcow2", "QCOW2", "-O qcow2 -c"),
        (
            "zstd.qcow2",
            "QCOW2",
            "-O qcow2 -c -o compression_type=zstd",
        ),
        (
            "sub.qcow2",
            "QCOW2",
            "-O qcow2 -o extended_l2=on,cluster_size=128k",
        ),
        (
            "sparse.vmdk",
            "VMDK",
            "-O vmdk -o subformat=monolithicSparse",
        ),
        (
            "stream.vmdk",
            "VMDK",
            "-O vmdk -o subformat=streamOptimized",
        ),
        ("flat.vmdk", "VMDK", "-O vmdk -o subformat=monolithicFlat"),
        (
            "split.vmdk",
            "VMDK",
            "-O vmdk -o subformat=twoGbMaxExtentSparse",
        ),
        (
            "splitflat.vmdk",
            "VMDK",
            "-O vmdk -o subformat=twoGbMaxExtentFlat",
        ),
        ("fixed.vhd", "VHD", "-O vpc -o subformat=fixed"),
        ("dynamic.vhd", "VHD", "-O vpc -o subformat=dynamic"),
        ("fixed.vhdx", "VHDX", "-O vhdx -o subformat=fixed"),
        (
            "dynamic.vhdx",
            "VHDX",
            "-O vhdx -o subformat=dynamic,block_size=2M",
        ),
    ] {
        let path = dir.join(name);
        run(Command::new("qemu-img")
            .args(["convert", "-f", "raw"])
            .args(options.split(' '))
            .args([&raw, &path]));
        images.push((path, kind));
    }
    for (name, first, options) in [
        ("none", "E01", "-c none -S 1572864 -b 64"),
        ("fast", "E01", "-c deflate:fast -S 4MiB -b 128"),
        ("best", "E01", "-c deflate:best -S 1GiB -b 32"),
        ("empty", "E01", "-c empty-block -S 5MiB -f encase5"),
        ("ftk", "E01", "-c deflate:best -S 8MiB -f ftk"),
        ("linen", "E01", "-c deflate:fast -S 8MiB -f linen7"),
        ("ewfx", "e01", "-c deflate:fast -S 8MiB -f ewfx"),
        ("smart", "s01", "-c deflate:fast -S 8MiB -f smart"),
    ] {
        run(Command::new("ewfacquire")
            .args(["-u", "-q", "-t"])
            .arg(dir.join(name))
            .args(options.split(' '))
            .arg(&raw));
        images.push((dir.join(format!("{name}.{first}")), "E01"));
    }
    run(Command::new("split")
        .args(["-b", "1700000", "-d", "-a3", "--numeric-suffixes=1"])
        .arg(&raw)
        .arg(dir.join("parts.dd.")));
    images.push((dir.join("parts.dd.001"), "split raw"));
    images
}

#[test]
#[ignore = "needs qemu-img and ewfacquire"]
fn every_kind_of_image_has_the_bytes_of_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(40 * MIB + 3 * 512, 11);
    for (path, kind) in images(dir.path(), &disk) {
        let file = EvidenceFile::open(&path).unwrap();
        assert!(container::is_likely(&file).unwrap(), "{path:?}");
        assert!(!container::is_later_part(&file).unwrap(), "{path:?}");
        let image = container::open(&file).unwrap();
        let image = image.unwrap_or_else(|| panic!("{path:?} is no image"));
        assert_eq!(image.kind, kind, "{path:?}");
        assert_eq!(image.bytes.name(), path.display().to_string());
        println!("{path:?}");
        compare(&image, &disk);
    }
    for later in [
        "none.E02",
        "none.E28",
        "fast.E02",
        "parts.dd.002",
        "parts.dd.017",
        "flat-flat.vmdk",
        "split-s001.vmdk",
        "splitflat-f001.vmdk",
    ] {
        let file = EvidenceFile::open(dir.path().join(later)).unwrap();
        assert!(container::is_later_part(&file).unwrap(), "{later}");
    }
    for (later, why) in [
        ("none.E02", "is segment 2"),
        ("parts.dd.003", "name its first part, parts.dd.001"),
        ("split-s001.vmdk", "one of the extents of a disk"),
    ] {
        let said = refusal(&dir.path().join(later));
        assert!(said.contains(why), "{said}");
    }
    for (gone, first) in [
        ("none.E07", "none.E01"),
        ("parts.dd.005", "parts.dd.001"),
        ("flat-flat.vmdk", "flat.vmdk"),
        ("split-s001.vmdk", "split.vmdk"),
    ] {
        fs::remove_file(dir.path().join(gone)).unwrap();
        let said = refusal(&dir.path().join(first));
        assert!(said.contains(&format!("{gone} is missing")), "{said}");
    }
}

#[test]
#[ignore = "needs qemu-img and ewfacquire"]
fn what_holds_only_changes_or_is_encrypted_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let create = |options: &str, name: &str, more: &[&str]| {
        run(Command::new("qemu-img")
            .current_dir(dir.path())
            .args(["create", "-q"])
            .args(options.split(' '))
            .arg(name)
            .args(more));
    };
    create("-f qcow2", "base.qcow2", &["8M"]);
    create("-f qcow2 -F qcow2 -b base.qcow2", "child.qcow2", &[]);
    assert!(refusal(&at("child.qcow2")).contains("only what changed since its parent"));
    create("-f vmdk", "base.vmdk", &["8M"]);
    create("-f vmdk -F vmdk -b base.vmdk", "child.vmdk", &[]);
    assert!(refusal(&at("child.vmdk")).contains("only what changed since its parent"));
    let secret = "--object secret,id=s,data=x -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s";
    create(secret, "secret.qcow2", &["8M"]);
    assert!(refusal(&at("secret.qcow2")).contains("encrypted"));
    create("-f qcow2 -o data_file=data.raw", "external.qcow2", &["8M"]);
    assert!(refusal(&at("external.qcow2")).contains("data is in another file"));

    // The header of a dynamic VHD, as one with a parent.
    create("-f vpc", "base.vhd", &["8M"]);
    let mut child = fs::read(at("base.vhd")).unwrap();
    child[60..64].copy_from_slice(&4_u32.to_be_bytes());
    child[64..68].fill(0);
    let sum: u32 = child[..512].iter().map(|byte| u32::from(*byte)).sum();
    child[64..68].copy_from_slice(&(!sum).to_be_bytes());
    fs::write(at("child.vhd"), child).unwrap();
    assert!(refusal(&at("child.vhd")).contains("only what changed since its parent"));
    // The parameters of a VHDX, as of one with a parent; they have no checksum.
    create("-f vhdx", "base.vhdx", &["8M"]);
    let mut child = fs::read(at("base.vhdx")).unwrap();
    let parameters = b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
    let mut windows = child.windows(16);
    let entry = windows.position(|found| found == parameters).unwrap();
    let table = entry - entry % 65_536;
    let offset = u32::from_le_bytes(child[entry + 16..entry + 20].try_into().unwrap());
    child[table + offset as usize + 4] |= 2;
    fs::write(at("child.vhdx"), child).unwrap();
    assert!(refusal(&at("child.vhdx")).contains("only what changed since its parent"));
}

/// Reads all of a damaged image; whether that went well. No byte is handed out that was not read.
fn survives(path: &Path, disk: &[u8], is_checked: bool) -> bool {
    let image = match open(path) {
        Ok(Some(image)) => image,
        Ok(None) => return false,
        Err(_) => return false,
    };
    let length = image.bytes.stamp().length;
    if is_checked {
        assert_eq!(length, disk.len() as u64, "{path:?}");
    }
    let mut is_whole = true;
    let mut buffer = vec![0; MIB / 2];
    for offset in (0..length.min(disk.len() as u64 + 4096)).step_by(buffer.len()) {
        match image.bytes.read_at(&mut buffer, offset) {
            Ok(read) => {
                assert_eq!(read as u64, (length - offset).min(buffer.len() as u64));
                let from = offset as usize;
                let is_same = disk.get(from..from + read) == Some(&buffer[..read]);
                assert!(
                    is_same || !is_checked,
                    "{path:?}: other bytes at {offset:#x}"
                );
            }
            Err(_) => is_whole = false,
        }
    }
    let end = length.saturating_sub(1);
    is_whole &= image.bytes.read_at(&mut buffer[..1], end).is_ok();
    is_whole
}

#[test]
#[ignore = "needs qemu-img and ewfacquire"]
fn a_damaged_image_is_an_error_and_nothing_worse() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(3 * MIB, 23);
    let mut random = Random(99);
    for (path, kind) in images(dir.path(), &disk) {
        let is_checked = kind == "E01";
        let whole = fs::read(&path).unwrap();
        // Headers and tables are where it matters; they are at the start or the end.
        let mut places: Vec<usize> = (0..25).map(|_| random.below(whole.len())).collect();
        places.extend((0..15).map(|_| random.below(whole.len().min(2048))));
        places.extend((0..10).map(|_| whole.len() - 1 - random.below(whole.len().min(70_000))));
        for at in places {
            let mut other = whole.clone();
            other[at] ^= 1 << random.below(8);
            fs::write(&path, &other).unwrap();
            survives(&path, &disk, is_checked);
            let number = random.next();
            let end = (at + 8).min(other.len());
            other[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            fs::write(&path, &other).unwrap();
            survives(&path, &disk, is_checked);
            fs::write(&path, &whole[..at]).unwrap();
            let is_whole = survives(&path, &disk, is_checked);
            assert!(!is_whole || !is_checked, "{path:?} cut at {at}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(survives(&path, &disk, kind != "VHD"), "{path:?}");
    }
}

#[test]
#[ignore = "needs qemu-img and ewfacquire"]
fn a_table_of_an_e01_is_read_from_its_copy() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(5 * MIB, 3);
    let images = images(dir.path(), &disk);
    let (path, _) = images
        .iter()
        .find(|(path, _)| path.ends_with("best.E01"))
        .unwrap();
    let whole = fs::read(path).unwrap();
    let mut windows = whole.windows(6);
    let table = windows.position(|found| found == b"table\0").unwrap();
    for at in [table + 76, table + 76 + 9, table + 76 + 24 + 13] {
        let mut other = whole.clone();
        other[at] ^= 4;
        fs::write(path, &other).unwrap();
        assert!(survives(path, &disk, true), "{at:#x}");
        // Its copy is damaged too.
        let mut windows = whole.windows(7);
        let copy = windows.position(|found| found == b"table2\0").unwrap();
        other[copy + at - table] ^= 4;
        fs::write(path, &other).unwrap();
        assert!(!survives(path, &disk, true), "{at:#x}");
    }
}

/// A VHDX that was not closed: changes of its disk, of its table of blocks and zeros are in the log alone. QEMU makes them, too.
#[test]
#[ignore = "needs qemu-img and ewfacquire"]
fn the_log_of_a_vhdx_is_read_as_qemu_replays_it() {
    read_with_log(false);
    // QEMU starts at the wrong entry if the log goes over the end of its ring.
    read_with_log(true);
}

fn read_with_log(is_round: bool) {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(8 * MIB, 8);
    let path = dir.path().join("dirty.vhdx");
    fs::write(dir.path().join("disk.raw"), &disk).unwrap();
    run(Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "vhdx", "-o", "block_size=1M"])
        .args([&dir.path().join("disk.raw"), &path]));
    let mut image = fs::read(&path).unwrap();
    let u32_at =
        |image: &[u8], at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    let u64_at =
        |image: &[u8], at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
    let seal = |bytes: &mut [u8]| {
        bytes[4..8].fill(0);
        let crc = bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
            })
        });
        bytes[4..8].copy_from_slice(&(!crc).to_le_bytes());
    };
    let (header, other) = match u64_at(&image, 65_544) > u64_at(&image, 131_080) {
        true => (65_536, 131_072),
        false => (131_072, 65_536),
    };
    let (log_length, log) = (
        u32_at(&image, header + 68),
        u64_at(&image, header + 72) as usize,
    );
    let owner = [7; 16];
    for at in [header, other] {
        image[at + 48..at + 64].copy_from_slice(&owner);
        seal(&mut image[at..at + 4096]);
    }
    let blocks = b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
    let entry = image[196_608..]
        .windows(16)
        .position(|found| found == blocks);
    let table = u64_at(&image, 196_608 + entry.unwrap() + 16);
    let block =
        |image: &[u8], number: u64| u64_at(image, (table + number * 8) as usize) & !0xf_ffff;
    // The first two blocks change places; the third has zeros, but for a sector in their midst.
    let mut blocks = image[table as usize..table as usize + 4096].to_vec();
    let (first, second) = (block(&image, 0) | 6, block(&image, 1) | 6);
    blocks[..8].copy_from_slice(&second.to_le_bytes());
    blocks[8..16].copy_from_slice(&first.to_le_bytes());
    let third = block(&image, 2);
    let length = image.len() as u64;
    type Change<'a> = (u64, Result<&'a [u8], u64>);
    let sector: Vec<u8> = (0..4096_u32).map(|number| (number * 7) as u8).collect();
    let entries: [&[Change<'_>]; 3] = [
        &[(table, Ok(&blocks)), (third + 8192, Ok(&sector))],
        &[(third, Err(1 << 20))],
        &[
            (third + 4096 * 5, Ok(&sector)),
            (third + 4096 * 9, Ok(&blocks)),
        ],
    ];
    let mut at = match is_round {
        true => log_length as usize - 4096 * 4,
        false => 4096 * 8,
    };
    let tail = at as u32;
    for (number, changes) in (100_u64..).zip(entries) {
        let mut entry = vec![0; 4096];
        for (place, (offset, change)) in changes.iter().enumerate() {
            let into = &mut entry[64 + place * 32..][..32];
            match change {
                Ok(bytes) => {
                    into[..4].copy_from_slice(b"desc");
                    into[4..8].copy_from_slice(&bytes[4092..]);
                    into[8..16].copy_from_slice(&bytes[..8]);
                }
                Err(zeros) => {
                    into[..4].copy_from_slice(b"zero");
                    into[8..16].copy_from_slice(&zeros.to_le_bytes());
                }
            }
            into[16..24].copy_from_slice(&offset.to_le_bytes());
            into[24..32].copy_from_slice(&number.to_le_bytes());
        }
        for (_, change) in changes {
            if let Ok(bytes) = change {
                let mut data = bytes.to_vec();
                data[..4].copy_from_slice(b"data");
                data[4..8].copy_from_slice(&((number >> 32) as u32).to_le_bytes());
                data[4092..].copy_from_slice(&(number as u32).to_le_bytes());
                entry.extend(data);
            }
        }
        let entry_length = entry.len() as u32;
        entry[..4].copy_from_slice(b"loge");
        entry[8..12].copy_from_slice(&entry_length.to_le_bytes());
        entry[12..16].copy_from_slice(&tail.to_le_bytes());
        entry[16..24].copy_from_slice(&number.to_le_bytes());
        entry[24..28].copy_from_slice(&(changes.len() as u32).to_le_bytes());
        entry[32..48].copy_from_slice(&owner);
        entry[48..56].copy_from_slice(&length.to_le_bytes());
        entry[56..64].copy_from_slice(&length.to_le_bytes());
        seal(&mut entry);
        for sector in entry.chunks_exact(4096) {
            image[log + at..log + at + 4096].copy_from_slice(sector);
            at = (at + 4096) % log_length as usize;
        }
    }
    fs::write(&path, &image).unwrap();
    let mut expected = disk.clone();
    expected[..MIB].copy_from_slice(&disk[MIB..2 * MIB]);
    expected[MIB..2 * MIB].copy_from_slice(&disk[..MIB]);
    expected[2 * MIB..3 * MIB].fill(0);
    expected[2 * MIB + 4096 * 5..][..4096].copy_from_slice(&sector);
    expected[2 * MIB + 4096 * 9..][..4096].copy_from_slice(&blocks);
    let read = open(&path).unwrap().unwrap();
    compare(&read, &expected);
    assert!(fs::read(&path).unwrap() == image);

    // A log that is not whole says so.
    let mut torn = image.clone();
    torn[log + tail as usize + 5000] ^= 1;
    let torn_path = dir.path().join("torn.vhdx");
    fs::write(&torn_path, torn).unwrap();
    let said = refusal(&torn_path);
    assert!(said.contains("its log is damaged"), "{said}");

    if is_round {
        return;
    }
    let out = dir.path().join("replayed.raw");
    run(Command::new("qemu-img")
        .args(["check", "-q", "-r", "all", "-f", "vhdx"])
        .arg(&path));
    run(Command::new("qemu-img")
        .args(["convert", "-f", "vhdx", "-O", "raw"])
        .args([&path, &out]));
    let replayed = fs::read(out).unwrap();
    let other = replayed.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(other, None, "QEMU sees another disk");
}

/// Folders of files in memory, at addresses `mem://FOLDER/FILE`.
#[derive(Debug)]
struct Memory(BTreeMap<&'static str, BTreeMap<String, Arc<[u8]>>>);

#[derive(Debug, Clone)]
struct MemoryFile(String, Arc<[u8]>);

impl SourceFile for MemoryFile {
    fn name(&self) -> String {
        self.0.clone()
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            length: self.1.len() as u64,
            modified: None,
            tag: None,
        }
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        Ok(self.stamp())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let there = self.1.get(offset as usize..).unwrap_or_default();
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        Ok(length)
    }
}

#[derive(Debug)]
struct MemoryFolder(String, BTreeMap<String, Arc<[u8]>>);

impl SourceFolder for MemoryFolder {
    fn name(&self) -> String {
        self.0.clone()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        let entry = |name: &String| FolderEntry {
            name: name.into(),
            is_file: true,
        };
        Ok(self.1.keys().map(entry).collect())
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        Path::new(&self.0).join(name)
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        let path = self.path_of(name);
        let bytes = name.to_str().and_then(|name| self.1.get(name));
        let bytes =
            bytes.ok_or_else(|| EvidenceError::io(&path)(io::ErrorKind::NotFound.into()))?;
        Ok(Arc::new(MemoryFile(
            path.display().to_string(),
            Arc::clone(bytes),
        )))
    }
}

impl Volume for Memory {
    fn holds(&self, path: &Path) -> bool {
        path.starts_with("mem:")
    }

    fn place(&self, path: &Path) -> Result<Place, EvidenceError> {
        let mut names = path.to_str().unwrap()["mem://".len()..].split('/');
        let folder = names.next().unwrap();
        let folder = MemoryFolder(format!("mem://{folder}"), self.0[folder].clone());
        match names.next() {
            None => Ok(Place::Folder(Arc::new(folder))),
            Some(name) => {
                let file = folder.open(OsStr::new(name))?;
                Ok(Place::File(EvidenceFile::of(path.to_owned(), file)))
            }
        }
    }

    fn shown(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

fn fixed_vhd(disk: &[u8]) -> Vec<u8> {
    let mut footer = [0; 512];
    footer[..8].copy_from_slice(b"conectix");
    footer[12..16].copy_from_slice(&0x1_0000_u32.to_be_bytes());
    footer[48..56].copy_from_slice(&(disk.len() as u64).to_be_bytes());
    footer[60..64].copy_from_slice(&2_u32.to_be_bytes());
    let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    [disk, &footer].concat()
}

#[test]
fn parts_are_found_beside_an_image_wherever_it_is() {
    let disk = disk(3 * MIB, 17);
    let mut folders: BTreeMap<_, BTreeMap<String, Arc<[u8]>>> = BTreeMap::new();
    let mut add = |folder, name: &str, bytes: &[u8]| {
        folders
            .entry(folder)
            .or_default()
            .insert(name.to_owned(), bytes.into());
    };
    for (number, part) in disk.chunks(1_000_000).enumerate() {
        add("whole", &format!("a.{:03}", number + 1), part);
        add(
            "upper",
            &format!("{}.{:03}", if number == 1 { "A" } else { "a" }, number + 1),
            part,
        );
        if number != 2 {
            add("gap", &format!("a.{:03}", number + 1), part);
        }
        let part = if number == 1 { &part[1..] } else { part };
        add("short", &format!("a.{:03}", number + 1), part);
    }
    for (number, part) in fixed_vhd(&disk).chunks(1_000_000).enumerate() {
        add("vhd", &format!("a.vhd.{number:04}"), part);
    }
    let lines = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n\nRW 2048 FLAT \"a-f001.vmdk\" 0\nRW 3000 FLAT \"a-f002.vmdk\" 8\nRW 1096 ZERO\n";
    add("vmdk", "a.vmdk", lines.as_bytes());
    add("vmdk", "a-f001.vmdk", &disk[..MIB]);
    add(
        "vmdk",
        "a-f002.vmdk",
        &[&[9; 4096], &disk[MIB..MIB + 3000 * 512]].concat(),
    );
    add("others", "log.001", b"a line");
    add("others", "log.003", b"another line");
    add("others", "disk.001", &disk);
    add("others", "disk.002", &disk);
    evidence::mount(Arc::new(Memory(folders)));
    assert!(open(Path::new("mem://others/log.001")).unwrap().is_none());

    let opened = |path: &str| open(Path::new(path));
    for (path, kind) in [
        ("mem://whole/a.001", "split raw"),
        ("mem://upper/a.001", "split raw"),
        ("mem://vhd/a.vhd.0000", "VHD"),
    ] {
        let image = opened(path).unwrap().unwrap();
        assert_eq!(image.kind, kind);
        compare(&image, &disk);
    }
    let mut zeros_at_end = disk.clone();
    zeros_at_end.truncate(MIB + 3000 * 512);
    zeros_at_end.resize(MIB + 4096 * 512, 0);
    compare(
        &opened("mem://vmdk/a.vmdk").unwrap().unwrap(),
        &zeros_at_end,
    );
    for (path, why) in [
        ("mem://gap/a.001", "a.003 is missing"),
        (
            "mem://short/a.001",
            "a.002 has 999999 bytes, and the first part 1000000",
        ),
        ("mem://whole/a.002", "name its first part, a.001"),
    ] {
        let said = opened(path).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    for (path, is_later) in [
        ("mem://whole/a.001", false),
        ("mem://whole/a.002", true),
        ("mem://vhd/a.vhd.0001", true),
        ("mem://others/log.003", false),
        ("mem://others/disk.002", false),
        ("mem://vmdk/a.vmdk", false),
        ("mem://vmdk/a-f002.vmdk", true),
    ] {
        let file = EvidenceFile::open(path).unwrap();
        assert_eq!(container::is_later_part(&file).unwrap(), is_later, "{path}");
    }
}

#[test]
fn raw_images_are_told_by_what_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let disk = disk(2 * MIB, 4);
    let write = |at: usize, bytes: &[u8]| {
        let mut other = vec![0; MIB];
        other[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, other).unwrap();
    };
    for (at, bytes, is_image) in [
        (3, &b"NTFS    "[..], true),
        (3, b"-FVE-FS-", true),
        (3, b"ReFS\0\0\0\0", true),
        (512, b"EFI PART", true),
        (4096, b"EFI PART", true),
        (0, &disk[..512], true),
        // A record without partitions, and a database.
        (510, &[0x55, 0xaa], false),
        (4, &[0xef, 0xcd, 0xab, 0x89], false),
        (0, b"PK\x03\x04", false),
    ] {
        write(at, bytes);
        let file = EvidenceFile::open(&path).unwrap();
        assert_eq!(container::is_likely(&file).unwrap(), is_image, "{at}");
        assert_eq!(open(&path).unwrap().is_some(), is_image, "{at}");
    }
    for start in [&b"PK\x03\x04"[..], &[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]] {
        let mut packed = disk[..MIB].to_vec();
        packed[..start.len()].copy_from_slice(start);
        fs::write(&path, packed).unwrap();
        assert!(open(&path).unwrap().is_none(), "{start:?}");
    }
    fs::write(&path, fixed_vhd(&disk)).unwrap();
    let image = open(&path).unwrap().unwrap();
    assert_eq!(image.kind, "VHD");
    compare(&image, &disk);
    fs::write(&path, b"other").unwrap();
    assert_ne!(image.bytes.stamp_now().unwrap(), image.bytes.stamp());
    for empty in [
        &b""[..],
        b"E",
        b"KDMV",
        b"vhdxfile",
        b"QFI\xfb",
        b"conectix",
        b"EVF\x09\x0d\x0a\xff\x00",
    ] {
        fs::write(&path, empty).unwrap();
        let _ = open(&path);
    }
}

/// Whatever numbers a header has, nothing is taken for granted that they say.
#[test]
fn headers_that_lie_do_no_harm() {
    let mut random = Random(77);
    let starts: [&[u8]; 6] = [
        b"KDMV\x01\0\0\0",
        b"QFI\xfb\0\0\0\x03",
        b"QFI\xfb\0\0\0\x02",
        b"conectix",
        b"vhdxfile",
        b"EVF\x09\x0d\x0a\xff\x00\x01\x01\0",
    ];
    for round in 0..6000 {
        let start = starts[round % starts.len()];
        let mut bytes = vec![0; 512 * (1 + random.below(8))];
        bytes[..start.len()].copy_from_slice(start);
        for field in bytes[start.len()..].chunks_mut(4) {
            let number = match random.below(6) {
                0 => random.next() as u32,
                1 => u32::MAX,
                2 => 0x0900_0000,
                3 => 1 << random.below(32),
                _ => 0,
            };
            let number = number.to_le_bytes();
            field.copy_from_slice(&number[..field.len()]);
        }
        let file = Arc::new(MemoryFile("x".to_owned(), bytes.into()));
        let file = EvidenceFile::of("x".into(), file);
        let Ok(Some(image)) = container::open(&file) else {
            continue;
        };
        let length = image.bytes.stamp().length;
        for offset in [0, length / 2, length.saturating_sub(1)] {
            let _ = image.bytes.read_at(&mut [0; 4096], offset);
        }
    }
}
