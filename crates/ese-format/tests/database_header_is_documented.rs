//! `docs/format/database-header.md` names every field of the header at its offset.

use ese_format::DatabaseHeader;
use ese_testkit::fixtures;

#[test]
fn every_field_stands_in_the_document_at_its_offset() {
    let document = fixtures::repository().join("docs/format/database-header.md");
    let text = std::fs::read_to_string(document).unwrap();
    let mut before = None;
    for offset in 0..DatabaseHeader::SIZE {
        let field = DatabaseHeader::field_at(offset);
        if field != before {
            let name = field.unwrap();
            let row = text
                .lines()
                .find(|line| line.starts_with(&format!("| {offset} |")));
            assert!(
                row.is_some_and(|row| row.contains(&format!("`{name}`"))),
                "{offset} {name}: {row:?}"
            );
        }
        before = field;
    }
}
