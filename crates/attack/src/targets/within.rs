//! Files that hold files: archives, disk images and the volumes on them.

use super::choice;
use crate::seeds;
use evidence::{Container, Contents, EvidenceFile, Place, SourceFile, SourceFolder, Stamp};
use evidence_image::shadow::ShadowCopies;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

/// A file in memory, with zeros after its bytes.
#[derive(Debug)]
struct Bytes {
    bytes: Vec<u8>,
    length: u64,
}

impl Bytes {
    fn file(bytes: Vec<u8>, zeros: u64) -> EvidenceFile {
        let length = bytes.len() as u64 + zeros;
        EvidenceFile::of("file".into(), Arc::new(Bytes { bytes, length }))
    }
}

impl SourceFile for Bytes {
    fn name(&self) -> String {
        "a file".to_owned()
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            length: self.length,
            modified: None,
            tag: None,
        }
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        Ok(self.stamp())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.length.saturating_sub(offset);
        let length = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = self.bytes.get(from..).unwrap_or_default();
        let (now, rest) = buffer[..length].split_at_mut(there.len().min(length));
        now.copy_from_slice(&there[..now.len()]);
        rest.fill(0);
        Ok(length)
    }
}

/// An archive; every member is opened and read, and those that are archives, too.
pub(crate) fn archive(bytes: &[u8]) {
    let file = Bytes::file(bytes.to_vec(), 0);
    read_within(&evidence_archive::Archives, &file, 3);
}

fn read_within(kind: &dyn Container, file: &EvidenceFile, levels: usize) {
    let Ok(Some(contents)) = kind.open(file) else {
        return;
    };
    if let Ok(Place::Folder(root)) = contents.place(OsStr::new("")) {
        read_folder(kind, &*root, levels);
    }
}

fn read_folder(kind: &dyn Container, folder: &dyn SourceFolder, levels: usize) {
    for entry in folder.entries().unwrap_or_default() {
        let at = folder.path_of(&entry.name);
        let Ok(file) = folder.open(&entry.name) else {
            continue;
        };
        let mut buffer = vec![0; 4096];
        let _ = file.read_at(&mut buffer, file.stamp().length / 2);
        let inner = EvidenceFile::of(at, file);
        if levels > 0 {
            read_within(kind, &inner, levels - 1);
        }
    }
}

/// A disk image of any kind: what it starts with, and zeros; one byte says how many.
pub(crate) fn image(bytes: &[u8]) {
    let (zeros, bytes) = choice(bytes);
    let zeros = (u64::from(zeros) & 0x0f) << 18;
    let file = Bytes::file(bytes.to_vec(), zeros);
    let Ok(Some(disk)) = evidence_image::container::open(&file) else {
        return;
    };
    let mut buffer = vec![0; 4096];
    let length = disk.bytes.stamp().length;
    for at in [0, 512, length / 2, length.saturating_sub(100), length] {
        let _ = disk.bytes.read_at(&mut buffer, at);
    }
    read_within(&evidence_image::Images, &file, 0);
}

/// Shadow copies: edits to what tells of them, and each is read.
pub(crate) fn copies(bytes: &[u8]) {
    let file = Bytes::file(seeds::copies().edited(bytes), 0);
    let Ok(Some(copies)) = ShadowCopies::of(Arc::clone(file.source())) else {
        return;
    };
    let mut buffer = vec![0; 0x4000];
    for index in 0..copies.copies().len() {
        let Ok(copy) = copies.open(index) else {
            continue;
        };
        for at in (0..copy.stamp().length.min(file.length())).step_by(0x4000) {
            let _ = copy.read_at(&mut buffer, at);
        }
    }
}

/// An NTFS volume: edits to its records, and all of it is read.
pub(crate) fn volume(bytes: &[u8]) {
    let file = Bytes::file(seeds::volume().edited(bytes), 0);
    let Ok(Some(contents)) = evidence_image::Images.open(&file) else {
        return;
    };
    if let Ok(Place::Folder(root)) = contents.clone().place(OsStr::new("")) {
        let mut left = MOST_FILES;
        walk(&contents, &*root, "", &mut left);
    }
}

fn walk(contents: &Arc<dyn Contents>, folder: &dyn SourceFolder, at: &str, left: &mut usize) {
    for entry in folder.entries().unwrap_or_default() {
        let Some(less) = left.checked_sub(1) else {
            return;
        };
        *left = less;
        let at = format!("{at}/{}", entry.name.display());
        match contents.clone().place(OsStr::new(&at)) {
            Ok(Place::Folder(folder)) => walk(contents, &*folder, &at, left),
            Ok(Place::File(file)) => {
                let mut buffer = vec![0; 1 << 16];
                for at in [0, file.length() / 2, file.length()] {
                    let _ = file.read_at(&mut buffer, at);
                }
            }
            Err(_) => {}
        }
    }
}

/// A volume may have millions: nothing is found in them that is not in the first.
const MOST_FILES: usize = 500;
