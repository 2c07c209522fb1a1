//! Every node of a database against `eseutil /mn`, the engine's own dump.

use ese_db::btree::Tree;
use ese_db::{Catalog, Database};
use ese_format::Pgno;
use ese_format::page::{Extent, NodeFlags};
use std::collections::BTreeMap;

/// What `/mn` prints of a node: page, line, flags, sizes, and the first bytes of the key or the pages of an extent.
type NodeLine = (u32, usize, String, usize, usize, String);

/// What happens to the versioned flag of nodes: the engine clears it lazily, without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versioned {
    /// The database is the very one that the engine dumped.
    Compared,
    /// The database was recovered by someone else.
    #[allow(dead_code, reason = "not every test that shares this recovers")]
    Ignored,
}

/// Compares every node of every tree, space trees among them, and returns how many there are.
pub(crate) fn compare(
    text: &str,
    db: &Database,
    catalog: &Catalog,
    name: &str,
    versioned: Versioned,
) -> usize {
    let mut expected: BTreeMap<u32, Vec<NodeLine>> = BTreeMap::new();
    let mut headers: Vec<(usize, u32)> = Vec::new();
    for line in text.lines() {
        let indent = line.chars().take_while(|c| *c == '\t').count();
        let rest = line.trim();
        if let Some((_, root)) = rest.split_once(" , ").filter(|_| rest.starts_with('[')) {
            headers.retain(|(at, _)| *at < indent);
            headers.push((indent, root.split(']').next().unwrap().parse().unwrap()));
            expected.entry(headers.last().unwrap().1).or_default();
            continue;
        }
        let parts: Vec<&str> = rest.splitn(6, '|').map(str::trim).collect();
        let (6, Ok(page)) = (parts.len(), parts[0].parse()) else {
            continue;
        };
        // Nodes of a tree come after those of its space trees, less indented than these.
        headers.retain(|(at, _)| *at < indent);
        let node = (
            page,
            parts[1].parse().unwrap(),
            flags_of(parts[2], versioned),
            parts[3].parse().unwrap(),
            parts[4].parse().unwrap(),
            parts[5].to_owned(),
        );
        expected
            .get_mut(&headers.last().unwrap().1)
            .unwrap()
            .push(node);
    }
    let mut compared = 0;
    for (root, expected) in &expected {
        let page = db.page(Pgno(*root)).unwrap();
        let header = page.view().header();
        let space = header
            .flags()
            .contains(ese_format::page::PageFlags::SPACE_TREE);
        let tree = Tree {
            root: Pgno(*root),
            objid: header.objid(),
            is_space: space,
        };
        let mut found = Vec::new();
        let mut leaves = tree.leaves(db);
        for leaf in &mut leaves {
            for (line, node) in leaf.view().nodes().enumerate() {
                let node = node.unwrap();
                let named = [
                    (NodeFlags::COMPRESSED, 'c'),
                    (NodeFlags::DELETED, 'd'),
                    (NodeFlags::VERSIONED, 'v'),
                ];
                let flags = named.iter().filter(|(flag, _)| node.flags.contains(*flag));
                let flags: String = flags.map(|(_, letter)| letter).collect();
                let key = node.key().to_vec();
                let last = if space {
                    let extent = Extent::read(&node).unwrap();
                    let pool = extent.pool.number();
                    format!(
                        "{} - {} ({pool})",
                        extent.last.0 - extent.pages + 1,
                        extent.last
                    )
                } else {
                    let start: Vec<String> = key
                        .iter()
                        .take(8)
                        .map(|byte| format!("{byte:02X}"))
                        .collect();
                    start.join(" ")
                };
                found.push((
                    leaf.pgno().0,
                    line,
                    flags_of(&flags, versioned),
                    key.len(),
                    node.data.len(),
                    last,
                ));
            }
        }
        assert!(leaves.losses.is_empty(), "{name}: tree {root}");
        assert_eq!(leaves.losses.leaves_off_path, 0, "{name}: tree {root}");
        assert_eq!(&found, expected, "{name}: tree {root}");
        compared += found.len();
    }
    let trees = ese_db::space::trees(catalog);
    let missing: Vec<_> = trees
        .iter()
        .filter(|tree| !expected.contains_key(&tree.root.0))
        .collect();
    assert!(
        missing.is_empty(),
        "{name}: the engine does not list {missing:?}"
    );
    compared
}

fn flags_of(letters: &str, versioned: Versioned) -> String {
    let counts =
        |letter: &char| *letter != ' ' && (versioned == Versioned::Compared || *letter != 'v');
    letters.chars().filter(counts).collect()
}
