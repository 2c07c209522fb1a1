//! Digests of a whole file, computed in file order while it is read.

use crate::Buffer;
use ese_format::{Progress, hex};
use evidence::{EvidenceError, EvidenceFile};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DigestKind {
    /// SHA-256, as `sha256sum` prints it.
    Sha256,
    /// BLAKE3, as `b3sum` prints it.
    Blake3,
}

/// The name as `sha256sum --tag` writes it.
impl fmt::Display for DigestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DigestKind::Sha256 => "SHA256",
            DigestKind::Blake3 => "BLAKE3",
        })
    }
}

/// The digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// The algorithm.
    pub algorithm: DigestKind,
    /// Lower-case hexadecimal.
    pub hex: String,
}

/// Digests under way.
#[derive(Default)]
pub struct Digests {
    sha256: Option<Sha256>,
    blake3: Option<Box<blake3::Hasher>>,
}

impl Digests {
    /// Digests of the given kinds.
    pub fn new(kinds: &[DigestKind]) -> Self {
        Digests {
            sha256: kinds.contains(&DigestKind::Sha256).then(Sha256::new),
            blake3: kinds
                .contains(&DigestKind::Blake3)
                .then(|| Box::new(blake3::Hasher::new())),
        }
    }

    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.sha256.is_none() && self.blake3.is_none()
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(blake3) = &mut self.blake3 {
            blake3.update(bytes);
        }
    }

    /// The digests of everything taken.
    pub fn finish(self) -> Vec<Digest> {
        let sha256 = self.sha256.map(|hasher| Digest {
            algorithm: DigestKind::Sha256,
            hex: hex::encode(hasher.finalize()),
        });
        let blake3 = self.blake3.map(|hasher| Digest {
            algorithm: DigestKind::Blake3,
            hex: hasher.finalize().to_hex().to_string(),
        });
        sha256.into_iter().chain(blake3).collect()
    }
}

/// Digests of a file that is read for nothing else. Empty, without reading, when no kind is asked for.
pub fn digest_file(
    file: &EvidenceFile,
    kinds: &[DigestKind],
    progress: &dyn Progress,
) -> Result<Vec<Digest>, EvidenceError> {
    let mut digests = Digests::new(kinds);
    let mut buffer = Buffer::new(if digests.is_empty() { 0 } else { 1 << 20 });
    let mut offset = 0;
    while !buffer.is_empty() && offset < file.length() {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            file.read_exact_at(&mut buffer[..1], offset)?;
        }
        digests.update(&buffer[..read]);
        progress.advance(read as u64);
        offset += read as u64;
    }
    Ok(digests.finish())
}
