//! The table in `docs/format/log-records.md` says of each record type what the code says.

use ese_format::RecordType;
use ese_testkit::fixtures;

#[test]
fn the_table_agrees_with_the_types() {
    let path = fixtures::repository().join("docs/format/log-records.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let number: u8 = cells.next()?.parse().ok()?;
        let ours = cells.next()?.to_owned();
        let theirs = cells.next()?.trim_matches('`').to_owned();
        let fixed: Option<usize> = cells.next()?.parse().ok();
        Some((number, ours, theirs, fixed))
    });
    // Tables of offsets inside records come before the one of the types.
    let rows: Vec<_> = rows.skip_while(|(_, ours, ..)| ours != "Nop").collect();
    let types: Vec<_> = RecordType::ALL
        .iter()
        .map(|kind| {
            let (number, ours) = (kind.number(), format!("{kind:?}"));
            (number, ours, kind.dump_name().to_owned(), kind.fixed_size())
        })
        .collect();
    assert_eq!(rows, types);
}
