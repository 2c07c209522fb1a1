//! Which shadow copies a volume has, and where each keeps what it needs.

use super::ShadowCopy;
use super::blocks::{BLOCK, Chain, Guid, HEADER, IDENTIFIER, Kind, Volume, guid_at};
use crate::numbers::{u16_at, u32_at, u64_at};
use evidence::{ReadError, ReadErrorKind, wrong};
use jiff::Timestamp;
use std::collections::HashMap;
use std::io;

/// Where the volume header of shadow copies is.
const VOLUME_HEADER: u64 = 0x1e00;
const VOLUME_HEADER_LENGTH: usize = 512;
const ENTRY: usize = 128;
/// Windows keeps no more of one volume ("Shadow Copies and Shadow Copy Sets", MSDN).
const MOST_COPIES: usize = 512;
/// 1601 to 1970, in units of 100 ns.
const FILETIME_OF_1970: i128 = 116_444_736_000_000_000;

/// Where a store keeps what it needs: offsets in the volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) block_list: u64,
    pub(super) header: u64,
    pub(super) bitmap: u64,
    /// 0 if there is none.
    pub(super) previous_bitmap: u64,
}

/// What the catalog says, oldest copy first.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) copies: Vec<ShadowCopy>,
    /// Of each copy; none if the catalog does not say.
    pub(super) places: Vec<Option<Places>>,
    /// Why it is not known in which order stores lie over each other.
    pub(super) trouble: Option<String>,
}

struct Entry {
    store: Guid,
    volume_size: u64,
    created: u64,
}

impl Catalog {
    /// None if the volume has no shadow copies.
    pub(super) fn of(volume: &Volume) -> io::Result<Option<Self>> {
        let Some(start) = catalog_offset(volume)? else {
            return Ok(None);
        };
        let (mut entries, mut places) = (Vec::new(), HashMap::new());
        let mut trouble = None;
        let mut chain = Chain::new(volume, Kind::Catalog, start);
        while let Some((offset, block)) = chain.next()? {
            for (number, entry) in block[HEADER..].chunks_exact(ENTRY).enumerate() {
                let at = offset + (HEADER + number * ENTRY) as u64;
                let store = guid_at(entry, 16);
                match u64_at(entry, 0) {
                    0 | 1 => {}
                    2 => entries.push(Entry {
                        store,
                        volume_size: u64_at(entry, 8),
                        created: u64_at(entry, 48),
                    }),
                    3 => {
                        let known = places.insert(
                            store,
                            Places {
                                block_list: u64_at(entry, 8),
                                header: u64_at(entry, 32),
                                bitmap: u64_at(entry, 48),
                                previous_bitmap: u64_at(entry, 72),
                            },
                        );
                        if known.is_some() {
                            trouble = Some(format!("it has the store {store} twice"));
                        }
                    }
                    other => {
                        return Err(wrong(format!(
                            "the catalog of shadow copies has an entry of type {other:#x} at offset {at:#x}, and only 0 to 3 are known"
                        )));
                    }
                }
                if entries.len().max(places.len()) > MOST_COPIES {
                    return Err(wrong(format!(
                        "the catalog of shadow copies has more than {MOST_COPIES}: Windows keeps no more"
                    )));
                }
            }
        }
        entries.sort_by_key(|entry: &Entry| entry.created);
        if let Some(pair) = entries
            .windows(2)
            .find(|pair| pair[0].created == pair[1].created)
        {
            trouble = Some(format!(
                "the stores {} and {} were created at the same time",
                pair[0].store, pair[1].store
            ));
        }
        let mut catalog = Catalog {
            copies: Vec::new(),
            places: Vec::new(),
            trouble,
        };
        let mut lists = HashMap::new();
        for entry in &entries {
            let places = places.remove(&entry.store);
            let list = places
                .map(|places| places.block_list)
                .filter(|list| *list != 0);
            if let Some(other) = list.and_then(|list| lists.insert(list, entry.store)) {
                let why = format!(
                    "the stores {other} and {} have the same block list",
                    entry.store
                );
                catalog.trouble = Some(why);
            }
            catalog.copies.push(copy_of(volume, entry, places)?);
            catalog.places.push(places);
        }
        if let Some(store) = places.keys().next() {
            let why = format!("it has the store {store}, and not when that was created");
            catalog.trouble = Some(why);
        }
        match (catalog.copies.is_empty(), &catalog.trouble) {
            (true, None) => Ok(None),
            (true, Some(trouble)) => Err(in_catalog(trouble)),
            _ => Ok(Some(catalog)),
        }
    }
}

/// What keeps the catalog from being used.
pub(super) fn in_catalog(trouble: &str) -> io::Error {
    wrong(format!(
        "the catalog of shadow copies is damaged: {trouble}"
    ))
}

/// Where the catalog begins; none if there is none.
fn catalog_offset(volume: &Volume) -> io::Result<Option<u64>> {
    if volume.length < VOLUME_HEADER + VOLUME_HEADER_LENGTH as u64 {
        return Ok(None);
    }
    let mut header = [0; VOLUME_HEADER_LENGTH];
    let what = "the volume header of shadow copies";
    volume.read(&mut header, VOLUME_HEADER, what)?;
    let (version, record) = (u32_at(&header, 16), u32_at(&header, 20));
    let is_known = record == 1 && matches!(version, 1 | 2);
    if !header.starts_with(&IDENTIFIER) {
        let is_here = [24, 32]
            .map(|at| u64_at(&header, at))
            .contains(&VOLUME_HEADER);
        return match is_known && is_here {
            true => Err(wrong(format!(
                "{what} at offset {VOLUME_HEADER:#x} has not the identifier that it should have: it is damaged"
            ))),
            false => Ok(None),
        };
    }
    if !is_known {
        return Err(wrong(format!(
            "{what} at offset {VOLUME_HEADER:#x} is of type {record} and version {version}, and only type 1 and versions 1 and 2 are known"
        )));
    }
    Ok(Some(u64_at(&header, 48)).filter(|offset| *offset != 0))
}

/// What is known of a copy. Only a read that may succeed later fails.
fn copy_of(volume: &Volume, entry: &Entry, places: Option<Places>) -> io::Result<ShadowCopy> {
    let mut copy = ShadowCopy {
        created: timestamp(entry.created)?,
        store: entry.store.to_string(),
        volume_size: entry.volume_size,
        id: String::new(),
        set: String::new(),
        machine: None,
        service_machine: None,
        attributes: 0,
        problem: None,
    };
    let described = match places {
        Some(places) => describe(volume, places.header, &mut copy),
        None => Err(wrong("the catalog does not say where its store is")),
    };
    match described {
        Err(error) if ReadError::from_io(&error).kind == ReadErrorKind::Passing => Err(error),
        Err(error) => {
            copy.problem = Some(error.to_string());
            Ok(copy)
        }
        Ok(()) if copy.volume_size == 0 => {
            copy.problem = Some("the catalog says that its volume had 0 bytes".to_owned());
            Ok(copy)
        }
        Ok(()) => Ok(copy),
    }
}

/// Reads the store information, which follows the store header.
fn describe(volume: &Volume, header: u64, copy: &mut ShadowCopy) -> io::Result<()> {
    let mut chain = Chain::new(volume, Kind::StoreHeader, header);
    let Some((_, block)) = chain.next()? else {
        return Err(wrong("the catalog does not say where its store header is"));
    };
    let information = &block[HEADER..];
    let (machine, next) = text_at(header, information, 64)?;
    let (service_machine, _) = text_at(header, information, next)?;
    copy.id = guid_at(information, 16).to_string();
    copy.set = guid_at(information, 32).to_string();
    copy.attributes = u32_at(information, 56);
    copy.machine = machine;
    copy.service_machine = service_machine;
    Ok(())
}

/// A text after its length in bytes, and where it ends.
fn text_at(header: u64, bytes: &[u8], at: usize) -> io::Result<(Option<String>, usize)> {
    let start = at + 2;
    let length = bytes.get(at..start).map(|length| u16_at(length, 0));
    let end = start + usize::from(length.unwrap_or(2));
    let Some(text) = bytes.get(start..end) else {
        return Err(wrong(format!(
            "the store header of a shadow copy at offset {header:#x} should have the name of a machine at {at:#x} + {} of {}",
            end - at,
            BLOCK - HEADER
        )));
    };
    let units = text.chunks_exact(2).map(|unit| u16_at(unit, 0));
    let text: String = char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Ok((Some(text).filter(|text| !text.is_empty()), end))
}

fn timestamp(filetime: u64) -> io::Result<Timestamp> {
    let since_1970 = (i128::from(filetime) - FILETIME_OF_1970) * 100;
    Timestamp::from_nanosecond(since_1970).map_err(|_| {
        let why = format!("a shadow copy was created at {filetime:#x}, which is not a time");
        in_catalog(&why)
    })
}
