//! Manifests: written after a copy, or of a file as it is.

use crate::source::{ReadArguments, open, parse_block};
use console::{Exit, Failure, Output, files};
use edb_copy::{
    CopyReport, Manifest, ManifestFile, ReadPolicy, SourceReader, hash_file, hashes_of,
};
use ese_scan::Buffer;
use serde::Serialize;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::LocalDisk;

/// Hash files and write a manifest; a delta from a remote source reads only what the manifest says has changed
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  edbcopy manifest mailbox.edb --output mailbox.json")]
pub(crate) struct Arguments {
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the manifest to this file, and for `sha256sum -c` to this name with .sha256 added
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace a manifest that is there
    #[arg(long)]
    force: bool,
    /// Hash in blocks of this size, not above the chunks of the copy: a delta reads whole blocks
    #[arg(long, value_name = "BYTES", default_value = "16MiB", value_parser = parse_block)]
    chunk: u64,
    #[command(flatten)]
    read: ReadArguments,
}

/// What was written.
#[derive(Serialize)]
struct WrittenManifest<'a> {
    files: &'a [ManifestFile],
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    refuse_to_overwrite(&arguments.output, arguments.force)?;
    let (policy, _control) = arguments.read.policy()?;
    let jobs = arguments.read.jobs(arguments.chunk, 1);
    let mut files = Vec::new();
    for path in &arguments.files {
        let source = open(path, &arguments.read, &policy)?;
        let bar = output.bar(source.stamp().length, &source.name());
        let hashed = hash_file(&source, arguments.chunk, jobs, &policy, &bar)
            .map_err(|error| Failure::of(&error))?;
        let Some(hashed) = hashed else {
            return Err(
                Failure::new(Exit::Interrupted, "interrupted; no manifest was written")
                    .advise("run the same command again"),
            );
        };
        let name = relative_to(path, &arguments.output);
        files.extend(ManifestFile::new(
            name,
            hashed.chunks,
            hashed.hashes,
            hashed.sha256,
        ));
    }
    let manifest = Manifest::new(files);
    write_both(&arguments.output, &manifest)?;
    let lines = manifest.to_sha256sum();
    output.answer(
        "edbkit.manifest-written/1",
        &WrittenManifest {
            files: &manifest.files,
        },
        &lines,
    )?;
    Ok(Exit::Clean)
}

/// Both files of a manifest must be free, unless they may be replaced.
pub(crate) fn refuse_to_overwrite(path: &Path, force: bool) -> Result<(), Failure> {
    for path in [path.to_owned(), sha256_name(path)] {
        if !force && path.exists() {
            let message = format!("{} exists already", path.display());
            return Err(
                Failure::new(Exit::Refused, message).advise("choose another name, or add --force")
            );
        }
    }
    Ok(())
}

/// A copied file, as it is in a manifest.
pub(crate) struct ListedFile {
    target: PathBuf,
    sha256: Option<String>,
}

impl ListedFile {
    pub(crate) fn new(target: &Path, report: &CopyReport) -> Self {
        ListedFile {
            target: target.to_owned(),
            sha256: report.sha256.clone(),
        }
    }
}

/// Writes the manifest of finished copies, from their journals.
pub(crate) fn write(path: &Path, copies: &[ListedFile]) -> Result<(), Failure> {
    let mut files = Vec::new();
    for copy in copies {
        let hashes = hashes_of(&LocalDisk, &copy.target).map_err(|error| Failure::of(&error))?;
        let (Some((chunks, hashes)), Some(sha256)) = (hashes, copy.sha256.clone()) else {
            let message = format!(
                "{} was copied without SHA-256 before: it cannot be listed",
                copy.target.display()
            );
            return Err(Failure::new(Exit::Refused, message)
                .advise("`edbcopy manifest` reads it and lists it"));
        };
        let name = relative_to(&copy.target, path);
        files.extend(ManifestFile::new(name, chunks, hashes, sha256));
    }
    write_both(path, &Manifest::new(files))
}

fn write_both(path: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let json = manifest
        .to_json()
        .map_err(|error| Failure::new(Exit::Io, format!("{}: {error}", path.display())))?;
    replace(path, &json)?;
    replace(&sha256_name(path), manifest.to_sha256sum().as_bytes())
}

/// The name of a file as somebody in the folder of the manifest would write it.
fn relative_to(file: &Path, manifest: &Path) -> String {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let manifest = std::path::absolute(manifest).unwrap_or_else(|_| manifest.to_owned());
    let below = manifest
        .parent()
        .and_then(|folder| file.strip_prefix(folder).ok());
    below.unwrap_or(&file).to_string_lossy().into_owned()
}

fn sha256_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".sha256");
    name.into()
}

fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    files::replace(path, content).map_err(|error| Failure::io(path, &error))
}

/// Reads a manifest.
pub(crate) fn load(path: &Path) -> Result<Manifest, Failure> {
    let text = fs::read(path).map_err(|error| Failure::io(path, &error))?;
    parse(path, &text)
}

/// Reads a manifest that may be beside a remote source.
pub(crate) fn load_from(
    named: &Path,
    read: &ReadArguments,
    policy: &ReadPolicy,
) -> Result<Manifest, Failure> {
    let source = open(named, read, policy)?;
    let text = SourceReader::new(Arc::clone(&source), policy.clone())
        .read(0..source.stamp().length, Buffer::default(), &())
        .map_err(|error| Failure::of(&error))?;
    parse(named, &text)
}

fn parse(path: &Path, text: &[u8]) -> Result<Manifest, Failure> {
    Manifest::parse(text).map_err(|error| {
        Failure::new(Exit::Refused, format!("{}: {error}", path.display()))
            .advise("`edbcopy manifest` writes one")
    })
}
