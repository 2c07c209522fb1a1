//! Whatever the bytes of a record, its text is bounded by them.

use ese_format::{Record, RecordFormat, RecordType};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_shows_no_more_than_it_holds(
        number in 0..RecordType::COUNT as u8,
        // Mostly zero, so that lengths made of them often fit.
        mut bytes in vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0..1500),
        (major, minor) in (0u32..7, 0u32..20),
    ) {
        bytes.insert(0, number);
        let format = RecordFormat::of_log_version(major, minor);
        if let Ok((record, size)) = Record::decode(&bytes, 0, format) {
            prop_assert!(ese_text::record(&record).to_string().len() < 2000 + 200 * size);
        }
    }
}
