//! Manifests: what was copied, with the hashes that prove it.
//!
//! A manifest is a JSON document (`edbkit.manifest/1`). Beside it stands the same list in the form that
//! `sha256sum -c` reads.

use crate::{ChunkHash, Chunks};
use serde::{Deserialize, Serialize};
use std::path::Path;
use thiserror::Error;

/// What the document calls itself.
const SCHEMA: &str = "edbkit.manifest/1";

/// A list of files with their hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    schema: String,
    /// The files.
    pub files: Vec<ManifestFile>,
}

/// A file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path, as somebody in the folder of the manifest would write it.
    pub path: String,
    /// Bytes in it.
    pub size: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// BLAKE3.
    pub blake3: ChunkHash,
    /// Bytes in a chunk, or in a block finer than that.
    pub chunk_size: u64,
    /// The subtree of each of them in the BLAKE3 tree of the file.
    pub chunks: Vec<ChunkHash>,
}

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is no JSON document of this kind.
    #[error("not a manifest: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It is of another version.
    #[error("it calls itself {found:?}, {SCHEMA:?} is needed")]
    Schema {
        /// What it calls itself.
        found: String,
    },
    /// A file's chunk hashes do not give its hash.
    #[error("{path}: its {} chunk hashes do not give the hash of the file", chunks)]
    Inconsistent {
        /// The file.
        path: String,
        /// How many chunk hashes there are.
        chunks: usize,
    },
    /// The file is not in it.
    #[error("there is no file {name:?} in it")]
    NoSuchFile {
        /// The name that was looked for.
        name: String,
    },
}

impl Manifest {
    /// A manifest of these files.
    pub fn new(files: Vec<ManifestFile>) -> Self {
        Manifest {
            schema: SCHEMA.into(),
            files,
        }
    }

    /// Reads a manifest, and makes sure that its hashes fit together.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Manifest = serde_json::from_slice(text)?;
        if manifest.schema != SCHEMA {
            return Err(ManifestError::Schema {
                found: manifest.schema,
            });
        }
        for file in &manifest.files {
            if file.cut().and_then(|chunks| chunks.file_hash(&file.chunks)) != Some(file.blake3) {
                return Err(ManifestError::Inconsistent {
                    path: file.path.clone(),
                    chunks: file.chunks.len(),
                });
            }
        }
        Ok(manifest)
    }

    /// The document.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The list that `sha256sum -c` reads.
    pub fn to_sha256sum(&self) -> String {
        self.files.iter().map(sha256sum_line).collect()
    }

    /// The only file of the manifest, or the one of this name (by its last part).
    pub fn find(&self, name: &Path) -> Result<&ManifestFile, ManifestError> {
        if let [only] = self.files.as_slice() {
            return Ok(only);
        }
        let wanted = name.file_name();
        let found = self
            .files
            .iter()
            .find(|file| Path::new(&file.path).file_name() == wanted);
        found.ok_or_else(|| ManifestError::NoSuchFile {
            name: wanted.unwrap_or_default().to_string_lossy().into_owned(),
        })
    }
}

impl ManifestFile {
    /// The entry of a file with these hashes; `None` unless there is one for each chunk.
    pub fn new(
        path: String,
        chunks: Chunks,
        hashes: Vec<ChunkHash>,
        sha256: String,
    ) -> Option<Self> {
        Some(ManifestFile {
            path,
            size: chunks.length(),
            sha256,
            blake3: chunks.file_hash(&hashes)?,
            chunk_size: chunks.size(),
            chunks: hashes,
        })
    }

    /// How the file is cut; `None` if that cannot be.
    pub fn cut(&self) -> Option<Chunks> {
        Chunks::blocks(self.size, self.chunk_size)
    }
}

/// A name with a line break or a backslash is escaped, and the line marked, as `sha256sum` does it.
fn sha256sum_line(file: &ManifestFile) -> String {
    let escaped = file
        .path
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r");
    let mark = if escaped == file.path { "" } else { "\\" };
    format!("{mark}{}  {escaped}\n", file.sha256)
}
