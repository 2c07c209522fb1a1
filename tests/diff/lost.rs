//! What cannot be read, is missing, or stands where it does not belong.

use super::{PAGE, clean, count, diff, obeys, pages_of, spoil, with_page};
use crate::common::{edbtool, exit, stderr, stdout};
use ese_testkit::campaign;
use ese_testkit::random::Random;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Rows on a page that is lost are not called deleted, and the databases not the same.
#[test]
fn what_is_lost_is_neither_a_difference_nor_the_absence_of_one() {
    let pages = pages_of("Items");
    assert!(pages.len() > 2);
    for page in &pages {
        let damaged = with_page(*page, false, spoil);
        for (a, b) in [
            (clean(), damaged.path().to_owned()),
            (damaged.path().to_owned(), clean()),
        ] {
            let found = diff(&a, &b);
            let what = format!("page {page}: {}", found.account);
            assert_eq!(found.exit, 1, "{what}");
            assert_eq!(found.account["verdict"], "unknown", "{what}");
            assert!(!found.of("unknown").is_empty(), "{what}");
            assert_eq!(found.rows.len(), found.of("unknown").len(), "{what}");
            let output = edbtool([Path::new("diff"), &a, &b]);
            assert_eq!(exit(&output), 1);
            assert!(
                !stdout(&output).contains("No difference"),
                "{}",
                stdout(&output)
            );
            assert!(
                stderr(&output).contains(&format!("page {page}")),
                "{}",
                stderr(&output)
            );
        }
        // The same page is lost in both: nobody knows what it held.
        let found = diff(damaged.path(), damaged.path());
        assert_eq!(
            (found.exit, &found.account["verdict"]),
            (1, &Json::from("unknown"))
        );
    }
}

/// A long value changes without its row, and is lost without its row.
#[test]
fn long_values_are_compared_though_the_row_is_the_same() {
    let db = ese_db::Database::open(clean()).unwrap();
    let catalog = db.catalog().unwrap();
    let tree = catalog.table("Items").unwrap().long_values.unwrap();
    let leaves = ese_db::btree::Tree::new(tree.root, tree.objid).leaves(&db);
    let pages: Vec<u32> = leaves.map(|page| page.pgno().0).collect();
    let (mut changed, mut lost) = (0, 0);
    for page in pages {
        // The last byte of the last piece of a value on the page.
        let view = db.page(ese_format::Pgno(page)).unwrap();
        let view = view.view();
        let mut nodes = (0..view.node_count()).map(|line| view.node(line).unwrap());
        let Some(piece) = nodes.rfind(|node| node.key().len() == 12) else {
            continue;
        };
        let bytes = fs::read(clean()).unwrap();
        let whole = &bytes[(page as usize + 1) * PAGE..][..PAGE];
        let at = whole
            .windows(piece.data.len())
            .position(|bytes| bytes == piece.data);
        let end = at.unwrap() + piece.data.len() - 1;
        let other = with_page(page, true, |page| page[end] ^= 1);
        obeys(&clean(), other.path(), true);
        let found = diff(&clean(), other.path());
        let columns = |op: &str, list: &str| -> BTreeSet<String> {
            let rows = found
                .of(op)
                .into_iter()
                .filter(|row| row["table"] == "Items");
            let names = rows.flat_map(|row| row[list].as_array().unwrap());
            names
                .map(|name| name.as_str().unwrap().to_owned())
                .collect()
        };
        let long = BTreeSet::from(["lb", "lt", "lbc", "uni", "tags", "lmv"].map(str::to_owned));
        assert_eq!(found.exit, 1);
        assert!(
            columns("changed", "changed").is_subset(&long),
            "{:?}",
            found.rows
        );
        // What is packed may not unpack any more.
        changed += found.of("changed").len();
        assert!(!found.rows.is_empty(), "page {page}");

        let damaged = with_page(page, false, spoil);
        let found = diff(&clean(), damaged.path());
        assert_eq!(
            (found.exit, &found.account["verdict"]),
            (1, &Json::from("unknown"))
        );
        lost += found.of("unknown").len();
        let summary = edbtool([
            Path::new("diff"),
            Path::new("--summary"),
            &clean(),
            damaged.path(),
        ]);
        assert_eq!(exit(&summary), 1);
        assert!(stdout(&summary).contains("not everything could be compared"));
    }
    assert!(changed > 0 && lost > 0, "{changed} {lost}");
}

/// Pages with right checksums and wrong content: whatever they hold, the laws hold.
#[test]
fn the_laws_hold_whatever_pages_hold() {
    let bytes = fs::read(clean()).unwrap();
    let used: Vec<u32> = (1..bytes.len() / PAGE - 1)
        .filter(|page| {
            bytes[(page + 1) * PAGE..][..PAGE]
                .iter()
                .any(|byte| *byte != 0)
        })
        .map(|page| page as u32)
        .collect();
    let played = campaign::play(40, |number| {
        let mut random = Random(number);
        let page = used[random.below(used.len())];
        let changed = with_page(page, true, |page| {
            for _ in 0..=random.below(4) {
                page[8 + random.below(PAGE - 8)] = random.number() as u8;
            }
        });
        Ok(obeys(&clean(), changed.path(), false).pairs)
    });
    assert!(played > 0);
}

/// A page of the catalog and its shadow are lost: tables that are not known any more are not called deleted.
#[test]
fn a_table_that_the_catalog_may_have_lost_is_in_doubt() {
    let bytes = fs::read(clean()).unwrap();
    let names_log = |page: &u32| {
        let page = &bytes[(*page as usize + 1) * PAGE..][..PAGE];
        page.windows(3).any(|found| found == b"Log")
    };
    let mut damaged = bytes.clone();
    for table in ["MSysObjects", "MSysObjectsShadow"] {
        for page in pages_of(table).into_iter().filter(names_log) {
            spoil(&mut damaged[(page as usize + 1) * PAGE..][..PAGE]);
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), damaged).unwrap();
    let found = diff(&clean(), file.path());
    let log = found.table("Log");
    assert_eq!(
        (&log["in"], &log["in_doubt"]),
        (&Json::from("a"), &Json::from(true))
    );
    assert_eq!(count(&log["unknown"]), count(&log["rows"]["a"]));
    assert_eq!(
        (found.exit, &found.account["verdict"]),
        (1, &Json::from("unknown"))
    );
    assert_eq!(found.rows.len(), found.of("unknown").len());
    let text = edbtool([
        Path::new("diff"),
        Path::new("--summary"),
        &clean(),
        file.path(),
    ]);
    assert!(
        stdout(&text).contains("the catalog has lost something"),
        "{}",
        stdout(&text)
    );
}

/// The tag of a node in a page: where it stands, and its flags.
fn tag(line: usize) -> std::ops::Range<usize> {
    let start = PAGE - 4 * (line + 2);
    start..start + 4
}

/// A copy of [`clean`] in which nodes of these pages are marked deleted.
fn without_nodes(
    pages: &BTreeSet<u32>,
    is_meant: impl Fn(&[u8]) -> bool,
) -> tempfile::NamedTempFile {
    let db = ese_db::Database::open(clean()).unwrap();
    let mut bytes = fs::read(clean()).unwrap();
    let mut marked = 0;
    for pgno in pages {
        let page = db.page(ese_format::Pgno(*pgno)).unwrap();
        let view = page.view();
        let changed = &mut bytes[(*pgno as usize + 1) * PAGE..][..PAGE];
        for line in 0..view.node_count() {
            if is_meant(&view.node(line).unwrap().key().to_vec()) {
                changed[tag(line).end - 1] |= 0x40;
                marked += 1;
            }
        }
        assert!(ese_checksum::seal_page(changed, *pgno));
    }
    assert!(marked > 0);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

/// Pages that are whole, and in both databases the same values are not there: that is not the same as equal.
#[test]
fn long_values_that_neither_database_has_are_not_the_same() {
    let db = ese_db::Database::open(clean()).unwrap();
    let catalog = db.catalog().unwrap();
    let tree = catalog.table("Items").unwrap().long_values.unwrap();
    let leaves = ese_db::btree::Tree::new(tree.root, tree.objid).leaves(&db);
    let leaves: BTreeSet<u32> = leaves.map(|page| page.pgno().0).collect();
    let mut of_catalog = pages_of("MSysObjects");
    of_catalog.extend(pages_of("MSysObjectsShadow"));
    for file in [
        without_nodes(&leaves, |key| key.len() == 12),
        without_nodes(&leaves, |key| key.len() == 8),
        // Names of trees of long values, so that no table has one.
        without_nodes(&of_catalog, |key| {
            key.get(5..8) == Some(&[0x7f, 0x80, 0x04])
        }),
    ] {
        let found = diff(file.path(), file.path());
        let losses = &found.table("Items")["losses"];
        assert_eq!(
            (found.exit, &found.account["verdict"]),
            (1, &Json::from("unknown"))
        );
        assert!(count(&losses["a"]["values"]) > 0, "{losses}");
        assert_eq!(losses["a"], losses["b"]);
        assert!(!found.rows.is_empty());
        for row in &found.rows {
            let names = |list: &str| -> BTreeSet<String> {
                let names = row[list].as_array().unwrap().iter();
                names
                    .map(|name| name.as_str().unwrap().to_owned())
                    .collect()
            };
            assert_eq!(names("unknown"), names("unreadable"), "{row}");
        }
        for more in ["--summary", "--inline-limit=1"] {
            let words = [Path::new("diff"), Path::new(more), file.path(), file.path()];
            let output = edbtool(words);
            assert_eq!(exit(&output), 1, "{}", stdout(&output));
            assert!(!stdout(&output).contains("No difference"));
            let said = stderr(&output);
            assert!(said.contains("values that do not decode"), "{said}");
        }
        let output = edbtool([Path::new("diff"), file.path(), file.path()]);
        let said = stdout(&output);
        assert!(
            said.contains(": (cannot be read) -> (cannot be read)"),
            "{said}"
        );
        let csv = ["-q", "diff", "--summary", "--format=csv"].map(Path::new);
        let csv = edbtool(csv.into_iter().chain([file.path(), file.path()]));
        let mut lines = stdout(&csv).lines();
        let names = lines.next().unwrap().split(',');
        let fields = lines.next().unwrap().split(',');
        let lost = names.zip(fields).find(|(name, _)| *name == "values_lost_b");
        assert_eq!(lost.unwrap().1, losses["b"]["values"].to_string());
    }
}

/// The first and the last row of a page in each other's place: all but one of its rows come too late, and none of them is
/// missing.
#[test]
fn a_row_out_of_order_is_neither_inserted_nor_deleted() {
    for page in pages_of("Items") {
        let db = ese_db::Database::open(clean()).unwrap();
        let last = db.page(ese_format::Pgno(page)).unwrap().view().node_count() - 1;
        let other = with_page(page, true, |page| {
            let (first, last) = (tag(0), tag(last));
            let kept = page[first.clone()].to_vec();
            page.copy_within(last.clone(), first.start);
            page[last].copy_from_slice(&kept);
        });
        for (a, b, side) in [
            (clean(), other.path().to_owned(), "b"),
            (other.path().to_owned(), clean(), "a"),
        ] {
            let found = diff(&a, &b);
            let table = found.table("Items");
            assert_eq!(count(&table["out_of_order"][side]), last, "{table}");
            assert_eq!(
                (found.exit, &found.account["verdict"]),
                (1, &Json::from("unknown"))
            );
            assert_eq!(found.of("unknown").len(), last, "page {page}: {table}");
            assert_eq!(found.rows.len(), last);
            assert!(
                found
                    .rows
                    .iter()
                    .all(|row| row["out_of_order"] == serde_json::json!([side]))
            );
            let output = edbtool([Path::new("diff"), &a, &b]);
            let name = side.to_uppercase();
            let said = stdout(&output);
            assert_eq!(
                said.matches(&format!("(out of order in {name})")).count(),
                last
            );
            assert!(
                said.contains(&format!("{last} rows of {name} are not in the order")),
                "{said}"
            );
        }
    }
}
