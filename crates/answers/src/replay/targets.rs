//! Where results go, and under which names. No two results ever have one name.

use super::input::{file_name, name_of};
use super::run::RunOptions;
use console::{Exit, Failure};
use ese_format::Signature;
use ese_replay::output::Target;
use ese_replay::recovery::{CreatedDatabase, DatabaseFile, RecoveryPlan};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf, is_separator};

/// Where everything goes.
pub(crate) struct Targets {
    /// One for each database that is given, in their order.
    pub(crate) given: Vec<Target>,
    /// Databases that the logs create and that are to be made.
    pub(crate) created: Vec<(CreatedDatabase, PathBuf)>,
}

/// Whether `--to` means a folder: one that is there, or one that is to be made.
pub(crate) fn is_folder(to: &Path, given: usize) -> bool {
    if to.exists() {
        return to.is_dir();
    }
    let ends_open = to.to_string_lossy().ends_with(is_separator);
    ends_open || given > 1 || (given == 0 && to.extension().is_none())
}

/// Decides where the results go. Nothing is made yet.
pub(crate) fn targets(
    arguments: &RunOptions,
    databases: &[DatabaseFile],
    found: bool,
    plan: &RecoveryPlan,
) -> Result<Targets, Failure> {
    let folder = arguments.to.as_deref();
    let named = arguments.input.databases.len();
    let folder = folder.filter(|to| is_folder(to, named));
    let mut names = Names::default();
    let mut given = Vec::new();
    for database in databases {
        let target = match (&arguments.to, &arguments.overlay, folder) {
            (Some(_), _, Some(folder)) => {
                let name = name_of(database.path());
                let mapped = mapped(&arguments.map, &name.to_string_lossy()).filter(|_| found);
                Target::NewFile(mapped.unwrap_or_else(|| folder.join(name)))
            }
            (Some(to), _, None) => Target::NewFile(to.clone()),
            (None, Some(overlay), _) => Target::Overlay(overlay.clone()),
            (None, None, _) => Target::InPlace,
        };
        if let Target::NewFile(path) = &target
            && !names.take(path)
        {
            let message = format!("two databases would be written to {}", path.display());
            let advice = "recover them in two runs, each with --ignore-missing and its own --to";
            return Err(Failure::new(Exit::Usage, message).advise(advice));
        }
        given.push(target);
    }
    let mut created = Vec::new();
    for creation in plan.created() {
        let is_wanted = !creation.replaced || arguments.deleted;
        let Some(path) = place_for(arguments, creation, folder).filter(|_| is_wanted) else {
            continue;
        };
        // A database that was deleted gives its name to the one that came after it.
        let path = match creation.replaced {
            true => with_signature(&path, creation.signature),
            false => path,
        };
        let path = match names.take(&path) {
            true => path,
            false if folder.is_none() => return Err(one_name_for_two(&path, creation)),
            false => names.free(&path, creation.signature),
        };
        created.push((creation.clone(), path));
    }
    Ok(Targets { given, created })
}

/// Names that are taken; case does not distinguish them.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// Takes a name; `false` if it is taken already.
    fn take(&mut self, path: &Path) -> bool {
        self.0.insert(path.to_string_lossy().to_lowercase())
    }

    /// A name like `path` that is not taken, with the signature in it.
    fn free(&mut self, path: &Path, signature: Signature) -> PathBuf {
        let named = with_signature(path, signature);
        let numbered = (2..).map(|number| with_suffix(&named, &format!("-{number}")));
        let mut all = std::iter::once(named.clone()).chain(numbered);
        all.find(|path| self.take(path)).unwrap_or(named)
    }
}

/// `mail.edb` of the signature 0x1A2B3C4D as `mail-1A2B3C4D.edb`.
fn with_signature(path: &Path, signature: Signature) -> PathBuf {
    with_suffix(path, &format!("-{:08X}", signature.random()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(suffix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name::<&OsStr>(&name)
}

fn one_name_for_two(path: &Path, creation: &CreatedDatabase) -> Failure {
    let message = format!(
        "the logs create several databases that would be written to {}; {} is the second",
        path.display(),
        creation.path
    );
    let advice = "name a folder with --to, or a file for each with --map";
    Failure::new(Exit::Refused, message).advise(advice)
}

/// Where a database goes that the log creates. Where databases are named, only `--map` asks for others.
fn place_for(
    arguments: &RunOptions,
    creation: &CreatedDatabase,
    folder: Option<&Path>,
) -> Option<PathBuf> {
    if let Some(mapped) = mapped(&arguments.map, &creation.path) {
        return Some(mapped);
    }
    if !arguments.input.databases.is_empty() {
        return None;
    }
    match folder {
        // The name comes from the log: only its last part is used, and nothing that leads elsewhere.
        Some(folder) => {
            let name = file_name(&creation.path);
            (!matches!(name, "" | "." | "..")).then(|| folder.join(name))
        }
        None => arguments.to.clone(),
    }
}

/// Where `--map` puts the database of this name or path.
fn mapped(map: &[(String, PathBuf)], logged: &str) -> Option<PathBuf> {
    let mapped = map.iter().find(|(old, _)| {
        old.eq_ignore_ascii_case(logged) || old.eq_ignore_ascii_case(file_name(logged))
    });
    mapped.map(|(_, new)| new.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ese_format::LogTime;

    #[test]
    fn names_stay_apart() {
        let signature = Signature::new(0x1a2b_3c4d, LogTime::default());
        let mut names = Names::default();
        assert!(names.take(Path::new("out/mail.edb")));
        assert!(!names.take(Path::new("out/MAIL.EDB")));
        let second = names.free(Path::new("out/mail.edb"), signature);
        assert_eq!(second, Path::new("out/mail-1A2B3C4D.edb"));
        let third = names.free(Path::new("out/mail.edb"), signature);
        assert_eq!(third, Path::new("out/mail-1A2B3C4D-2.edb"));
    }

    #[test]
    fn a_mapped_name_is_found_by_path_or_file_name() {
        let map = [("MAIL.edb".to_owned(), PathBuf::from("/tmp/x.edb"))];
        assert_eq!(mapped(&map, "D:\\mail.edb"), Some("/tmp/x.edb".into()));
        assert_eq!(mapped(&map, "D:\\other.edb"), None);
    }
}
