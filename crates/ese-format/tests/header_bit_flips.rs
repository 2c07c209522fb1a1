//! Every bit of both copies of a database header, flipped one at a time: none may pass for a good header.

use ese_format::database::{HEADERS_MAX, HeaderCopies, HeaderStatus};
use ese_testkit::fixtures;

#[test]
fn no_flipped_bit_in_either_header_copy_goes_unnoticed() {
    let database = fixtures::testdata_set("clean-p4k").join("state/db.edb");
    let mut start = std::fs::read(database).unwrap();
    start.truncate(HEADERS_MAX);
    let intact = HeaderCopies::read(&start);
    assert_eq!(
        (intact.status, intact.page_size),
        (HeaderStatus::Good, 4096)
    );
    for bit in 0..2 * 4096 * 8 {
        start[bit / 8] ^= 1 << (bit % 8);
        let copies = HeaderCopies::read(&start);
        let expected = if bit < 4096 * 8 {
            HeaderStatus::PrimaryBad
        } else {
            HeaderStatus::ShadowBad
        };
        assert_eq!(copies.status, expected, "bit {bit}");
        // The copy that is still good is found and used all the same.
        assert_eq!(
            copies.good().map(|copy| copy.fields.signature),
            intact.good().map(|copy| copy.fields.signature),
            "bit {bit}"
        );
        start[bit / 8] ^= 1 << (bit % 8);
    }
}
