//! Volumes and shadow copies of an image, as the walk sees them: by the addresses alone.

use ese_case::find::{FindOptions, Found, FoundDatabase, LogsFrom, find};
use ese_log::chain::Readiness;
use ese_testkit::fixtures;
use evidence::{
    EvidenceError, EvidenceFile, FolderEntry, LocalFile, Place, SourceFile, SourceFolder, Volume,
};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image whose volumes and shadow copies are folders of this machine: `p1`, `p2`, `p2.vss1` ...
struct Image {
    path: PathBuf,
    root: PathBuf,
}

const MARK: &[u8] = b"AN IMAGE FOR A TEST";

#[derive(Debug)]
struct Folder {
    address: String,
    /// Names in it, and whether they are files.
    entries: Vec<(OsString, bool)>,
    disk: PathBuf,
}

fn missing(path: &Path) -> EvidenceError {
    EvidenceError::io(path)(io::Error::new(io::ErrorKind::NotFound, "nothing there"))
}

impl Image {
    fn parts(&self, is_part: impl Fn(&str) -> bool) -> Vec<String> {
        let names = fs::read_dir(&self.root).unwrap().map(|entry| {
            let name = entry.unwrap().file_name();
            name.into_string().unwrap()
        });
        names.filter(|name| is_part(name)).collect()
    }
}

impl Volume for Image {
    fn holds(&self, path: &Path) -> bool {
        let text = path.to_str().unwrap_or_default();
        text.starts_with(&format!("{}::", self.path.display()))
    }

    fn is_within_files(&self) -> bool {
        true
    }

    fn outermost(&self, path: &Path) -> Option<PathBuf> {
        self.holds(path).then(|| self.path.clone())
    }

    fn holds_files(&self, file: &EvidenceFile) -> Result<bool, EvidenceError> {
        Ok(file.start(MARK.len())? == MARK)
    }

    fn place(&self, path: &Path) -> Result<Place, EvidenceError> {
        let text = path.to_str().unwrap();
        let (_, inner) = text.split_once("::").unwrap();
        let folder = |entries, disk: &Path| {
            Ok(Place::Folder(Arc::new(Folder {
                address: text.to_owned(),
                entries,
                disk: disk.to_owned(),
            })))
        };
        let listed = |parts: Vec<String>| {
            let names = parts
                .into_iter()
                .map(|part| (format!("{part}:").into(), false));
            folder(names.collect(), &self.root)
        };
        if inner.is_empty() {
            return listed(self.parts(|name| !name.contains('.')));
        }
        let inner = inner.trim_start_matches('/');
        let (volume, rest) = inner.split_once(':').ok_or_else(|| missing(path))?;
        if rest == "vss*:" {
            let prefix = format!("{volume}.");
            let copies = self.parts(|name| name.starts_with(&prefix)).into_iter();
            return listed(copies.map(|copy| copy[prefix.len()..].to_owned()).collect());
        }
        let (disk, rest) = match rest.split_once(':') {
            Some((copy, rest)) => (self.root.join(format!("{volume}.{copy}")), rest),
            None => (self.root.join(volume), rest),
        };
        let disk = disk.join(rest.trim_matches('/'));
        if disk.is_dir() {
            let entries = fs::read_dir(&disk).unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name(), entry.path().is_file())
            });
            return folder(entries.collect(), &disk);
        }
        let file = LocalFile::open(disk).map_err(|_| missing(path))?;
        Ok(Place::File(EvidenceFile::of(
            path.to_owned(),
            Arc::new(file),
        )))
    }

    fn shown(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

impl SourceFolder for Folder {
    fn name(&self) -> String {
        self.address.clone()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        let entries = self.entries.iter().map(|(name, is_file)| FolderEntry {
            name: name.clone(),
            is_file: *is_file,
        });
        Ok(entries.collect())
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        let name = name.to_str().unwrap();
        let address = self.address.trim_end_matches("vss*:").trim_end_matches('/');
        let between = if name.ends_with(':') { "" } else { "/" };
        PathBuf::from(format!("{address}{between}{name}"))
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        Ok(Arc::new(LocalFile::open(self.disk.join(name))?))
    }

    fn is_of_image(&self) -> bool {
        true
    }
}

/// Copies the set to a volume, but for these files.
fn put(root: &Path, volume: &str, without: &[&str]) {
    let folder = root.join(volume).join("data");
    fs::create_dir_all(&folder).unwrap();
    for file in fixtures::files_below(&fixtures::testdata_set("crash-p8k").join("state")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !without.contains(&name) {
            fs::copy(&file, folder.join(name)).unwrap();
        }
    }
}

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(volumes: &[(&str, &[&str])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("volumes");
        fs::create_dir_all(root.join("p1")).unwrap();
        for (volume, without) in volumes {
            put(&root, volume, without);
        }
        let path = folder.path().join("evidence/disk.img");
        fs::create_dir(folder.path().join("evidence")).unwrap();
        fs::write(&path, [MARK, &[0; 9000]].concat()).unwrap();
        evidence::mount(Arc::new(Image { path, root }));
        Case { folder }
    }

    fn find(&self, shadow_copies: bool) -> Found {
        self.find_at("evidence", shadow_copies)
    }

    fn find_at(&self, name: &str, shadow_copies: bool) -> Found {
        let mut options = FindOptions::default();
        options.shadow_copies = shadow_copies;
        let found = find(&[self.folder.path().join(name)], &options, &()).unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        found
    }
}

fn outcome(database: &FoundDatabase) -> (Option<Readiness>, LogsFrom) {
    (database.verdict.readiness, database.logs.from)
}

#[test]
fn each_state_keeps_its_own_logs() {
    let all: &[&str] = &[];
    let case = Case::new(&[
        ("p2", all),
        ("p2.vss1", all),
        ("p2.vss10", all),
        ("p2.vss2", all),
    ]);
    let found = case.find(true);
    assert_eq!(found.looked.shadow_copies, 3);
    let paths = found.databases.iter();
    let paths = paths.map(|one| one.file.path.to_str().unwrap());
    let paths: Vec<&str> = paths.map(|path| path.split_once("::").unwrap().1).collect();
    assert_eq!(
        paths,
        [
            "p2:/data/db.edb",
            "p2:vss1:/data/db.edb",
            "p2:vss2:/data/db.edb",
            "p2:vss10:/data/db.edb"
        ]
    );
    for database in &found.databases {
        let expected = (Some(Readiness::Ready), LogsFrom::SameFolder);
        assert_eq!(outcome(database), expected);
        assert_eq!(
            database.logs.folders,
            std::slice::from_ref(&database.file.folder)
        );
        let checkpoint = database.checkpoint.as_ref().unwrap();
        assert_eq!(checkpoint.folder, database.file.folder);
    }
    // A volume that is named by itself has them, too.
    let volume = case.find_at("evidence/disk.img::p2:", true);
    let places = |found: &Found| {
        let files = found.databases.iter().map(|one| &one.file);
        let places = files.map(|file| (file.path.clone(), file.origin.clone()));
        places.collect::<Vec<_>>()
    };
    assert_eq!(places(&volume), places(&found));
    let without = case.find(false);
    assert_eq!(without.databases.len(), 1);
    assert_eq!(without.looked.shadow_copies_not_searched, 3);
}

#[test]
fn logs_of_one_time_are_taken_before_logs_of_several() {
    let lost = ["edb0000F.log", "edb00010.log"];
    let case = Case::new(&[("p2", &lost), ("p2.vss1", &lost[..1]), ("p2.vss2", &[])]);
    let found = case.find(true);
    let live = &found.databases[0];
    let expected = (Some(Readiness::Ready), LogsFrom::OtherFolder);
    assert_eq!(outcome(live), expected);
    let [folder] = &live.logs.folders[..] else {
        panic!("{:?}", live.logs.folders);
    };
    assert!(folder.to_str().unwrap().contains("p2:vss2:"), "{folder:?}");
}

#[test]
fn logs_of_several_times_are_taken_where_no_time_has_all() {
    let case = Case::new(&[
        ("p2", &["edb0000F.log", "edb00010.log"]),
        ("p2.vss1", &["edb0000F.log"]),
        ("p2.vss2", &["edb00010.log"]),
    ]);
    let found = case.find(true);
    for database in &found.databases {
        let expected = (Some(Readiness::Ready), LogsFrom::Mixed);
        assert_eq!(outcome(database), expected);
        assert!(database.logs.missing.is_empty());
        // Its own are kept, and only what is missing comes from elsewhere.
        let logs = database.logs.paths.iter();
        let foreign = logs.filter(|path| !path.starts_with(&database.file.folder));
        let foreign = foreign.count();
        assert!((1..=2).contains(&foreign), "{:?}", database.logs.paths);
    }
}
