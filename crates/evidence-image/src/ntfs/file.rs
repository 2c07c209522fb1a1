//! The bytes of a file.

use super::attribute::{Clusters, Value};
use super::volume::NtfsVolume;
use crate::cache::Cache;
use crate::lznt1;
use evidence::{SourceFile, Stamp, wrong};
use jiff::Timestamp;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// So many units that were unpacked last are kept: as many as a few readers are in at once.
const KEPT: usize = 16;
/// A unit of more bytes than this is of no volume that Windows makes.
const LARGEST_UNIT: u64 = 1 << 20;

/// A file of a volume.
#[derive(Debug)]
pub(crate) struct NtfsFile {
    volume: Arc<NtfsVolume>,
    address: PathBuf,
    stamp: Stamp,
    data: Value,
    unpacked: Cache<u64, Vec<u8>>,
}

impl NtfsFile {
    pub(crate) fn of(
        volume: Arc<NtfsVolume>,
        address: PathBuf,
        data: Value,
        modified: Option<Timestamp>,
    ) -> io::Result<Self> {
        let length = match &data {
            Value::Resident(bytes) => bytes.len() as u64,
            Value::Clusters(clusters) => {
                check(clusters, volume.boot.cluster)?;
                clusters.length
            }
        };
        Ok(NtfsFile {
            volume,
            address,
            stamp: Stamp {
                length,
                modified,
                tag: None,
            },
            data,
            unpacked: Cache::of(KEPT),
        })
    }

    fn read(&self, clusters: &Clusters, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let written = clusters.written.min(clusters.length).saturating_sub(offset);
        let written = usize::try_from(written)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let (buffer, never) = buffer.split_at_mut(written);
        never.fill(0);
        let Some(unit) = clusters.unit else {
            return self.volume.read_clusters(clusters, buffer, offset);
        };
        let size = unit * self.volume.boot.cluster;
        let (mut at, mut left) = (offset, buffer);
        while !left.is_empty() {
            let number = at / size;
            let bytes = (self.unpacked).get_or(number, || self.unpack(clusters, unit, number))?;
            let there = &bytes[(at % size) as usize..];
            let length = there.len().min(left.len());
            let (now, rest) = left.split_at_mut(length);
            now.copy_from_slice(&there[..length]);
            at += length as u64;
            left = rest;
        }
        Ok(())
    }

    /// The clusters that are compressed together, unpacked.
    fn unpack(&self, clusters: &Clusters, unit: u64, number: u64) -> io::Result<Vec<u8>> {
        let size = self.volume.boot.cluster;
        let first = number * unit;
        let mut bytes = vec![0; (unit * size) as usize];
        // What is packed lies in the first clusters of the unit, and the others have no place.
        let there = placed(clusters, first, unit)?;
        if there == 0 {
            return Ok(bytes);
        }
        let mut packed = vec![0; (there * size) as usize];
        self.volume
            .read_clusters(clusters, &mut packed, first * size)?;
        if there == unit {
            return Ok(packed);
        }
        let damaged = |why: &str| {
            let at = first * size;
            wrong(format!(
                "what is compressed from {at:#x} of the file on is damaged: {why}"
            ))
        };
        match lznt1::unpack(&packed, &mut bytes) {
            Ok(0) => Err(damaged("there is nothing to unpack")),
            Ok(_) => Ok(bytes),
            Err(error) => Err(damaged(&error.to_string())),
        }
    }
}

/// How many clusters of a unit have a place: they are its first ones.
fn placed(clusters: &Clusters, first: u64, unit: u64) -> io::Result<u64> {
    let (mut there, mut vcn) = (0, first);
    let place = clusters
        .runs
        .partition_point(|run| run.vcn + run.count <= first);
    let mut is_gap = false;
    for run in &clusters.runs[place..] {
        if vcn >= first + unit {
            break;
        }
        let count = (run.vcn + run.count).min(first + unit) - vcn;
        match run.lcn {
            Some(_) if is_gap => {
                return Err(wrong(format!(
                    "the clusters of a compressed file from {first} on have gaps between them: its record is damaged"
                )));
            }
            Some(_) => there += count,
            None => is_gap = true,
        }
        vcn += count;
    }
    match vcn >= first + unit || there == 0 || vcn >= clusters.end() {
        true => Ok(there),
        false => Err(wrong(
            "a compressed file ends within a part of it: its record is damaged",
        )),
    }
}

fn check(clusters: &Clusters, cluster: u64) -> io::Result<()> {
    if clusters.is_encrypted {
        return Err(wrong(
            "it is encrypted (EFS): the key that its user has is needed",
        ));
    }
    let there = clusters.end().saturating_mul(cluster);
    if clusters.written.min(clusters.length) > there {
        return Err(wrong(format!(
            "it should have {} bytes, and the volume has places for {there}: its record is damaged",
            clusters.length
        )));
    }
    match clusters.unit {
        Some(unit) if unit.saturating_mul(cluster) > LARGEST_UNIT => Err(wrong(format!(
            "its parts that are compressed together should have {} bytes, and no volume has such: its record is damaged",
            unit.saturating_mul(cluster)
        ))),
        _ => Ok(()),
    }
}

impl SourceFile for NtfsFile {
    fn name(&self) -> String {
        self.address.display().to_string()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    /// It changes with the image that it lies in.
    fn stamp_now(&self) -> io::Result<Stamp> {
        let image = self.volume.bytes();
        let is_same = image.stamp_now()? == image.stamp();
        Ok(Stamp {
            tag: (!is_same).then(|| "the image was changed".to_owned()),
            ..self.stamp()
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.stamp.length.saturating_sub(offset);
        let length = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = &mut buffer[..length];
        match &self.data {
            Value::Resident(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                if let Some(there) = bytes.get(start..start.saturating_add(length)) {
                    buffer.copy_from_slice(there);
                }
            }
            Value::Clusters(clusters) => self.read(clusters, buffer, offset)?,
        }
        Ok(length)
    }
}
