//! Whatever the bytes, decoding a record ends with an answer inside the bytes or with an error.

use ese_format::record::{CreateDbFlags, CreateDbVersion, Diff, measure};
use ese_format::{Record, RecordFormat, RecordType};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that are mostly zero, so that lengths made of them often fit.
fn sparse_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0..1500)
}

/// A record of any number whose lengths often fit.
fn record_bytes() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![9 => 0..RecordType::COUNT as u8, 1 => any::<u8>()];
    (number, sparse_bytes()).prop_map(|(number, mut bytes)| {
        bytes.insert(0, number);
        bytes
    })
}

fn formats() -> impl Strategy<Value = RecordFormat> {
    (0u32..7, 0u32..20).prop_map(|(major, minor)| RecordFormat::of_log_version(major, minor))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_stays_inside_its_bytes_and_is_written_back_as_it_was(
        bytes in record_bytes(),
        format in formats(),
    ) {
        let measured = measure(&bytes, 0);
        let Ok((record, size)) = Record::decode(&bytes, 0, format) else {
            return Ok(());
        };
        prop_assert!((1..=bytes.len()).contains(&size));
        prop_assert_eq!(measured, Ok((record.record_type(), size)));
        // What a record shows is bounded by its bytes.
        prop_assert!(serde_json::to_string(&record).unwrap().len() < 2000 + 200 * size);
        let written = record.encode().unwrap();
        prop_assert_eq!(Record::decode(&written, 0, format), Ok((record, written.len())));
        match record.record_type() {
            // Bytes past the known fields are skipped and so not written.
            ignorable if ignorable.is_ignorable() => {
                prop_assert_eq!(&written[5..], &bytes[5..written.len()]);
            }
            // One bit of its length field means something in a ReplaceDelta only.
            RecordType::Replace => prop_assert_eq!(&written[46..], &bytes[46..size]),
            _ => prop_assert_eq!(written, &bytes[..size]),
        }
    }

    #[test]
    fn a_cut_record_is_an_error(bytes in record_bytes(), cut in any::<prop::sample::Index>()) {
        if let Ok((record_type, size)) = measure(&bytes, 0) {
            let cut = cut.index(size);
            prop_assert!(record_type == RecordType::Nop || measure(&bytes[..cut], 0).is_err());
        }
    }

    #[test]
    fn a_difference_makes_no_more_than_allowed(
        bytes in sparse_bytes(),
        old in vec(any::<u8>(), 0..600),
        wide in any::<bool>(),
        limit in 0usize..1000,
    ) {
        let diff = Diff { wide, bytes: &bytes };
        prop_assert!(diff.steps().count() <= bytes.len());
        if let Ok(new) = diff.apply(&old, limit) {
            prop_assert!(new.len() <= limit);
        }
    }
}

/// The keys of a JSON object, as written.
#[derive(Debug)]
struct Keys(Vec<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, serde_json::Value>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[test]
fn no_two_fields_of_a_record_share_a_name() {
    for kind in RecordType::ALL {
        let mut bytes = vec![0; 600];
        bytes[0] = kind.number();
        if kind.is_ignorable() {
            bytes[1] = 100;
        }
        let Ok((record, _)) = Record::decode(&bytes, 0, RecordFormat::NEWEST) else {
            continue;
        };
        let json = serde_json::to_string(&record).unwrap();
        let Keys(mut keys) = serde_json::from_str(&json).unwrap();
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count, "{json}");
    }
}

#[test]
fn a_record_that_contradicts_itself_is_not_written() {
    let mut bytes = [0; 43];
    bytes[0] = RecordType::CreateDb.number();
    let format = RecordFormat::of_log_version(7, 0);
    let Ok((Record::CreateDb(record), _)) = Record::decode(&bytes, 0, format) else {
        panic!("a record of zeros");
    };
    assert_eq!(Record::CreateDb(record).encode().unwrap(), bytes);
    let mut flagged = record;
    flagged.create_flags = CreateDbFlags::VERSION_INFO;
    let mut versioned = record;
    versioned.version = Some(CreateDbVersion::from_bytes(&[1; 4]));
    let mut wide = record;
    wide.names.unicode = true;
    let mut named = wide;
    named.create_flags = CreateDbFlags::UNICODE_NAMES;
    assert!(Record::CreateDb(named).encode().is_ok());
    for refused in [flagged, versioned, wide] {
        assert!(Record::CreateDb(refused).encode().is_err(), "{refused:?}");
    }
}
