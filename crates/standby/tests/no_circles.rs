//! The modules of this crate use each other in one direction only, so that each can be understood with those below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The modules that a module names after `crate::`, but for comments.
fn used(text: &str) -> BTreeSet<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<&str> = code.collect();
    let code = code.join(" ");
    let names = code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
        rest[..end.unwrap_or(rest.len())].to_owned()
    });
    names.collect()
}

/// All source files of a module: its own and those in its folder.
fn texts(source: &Path, module: &str) -> String {
    let mut text = fs::read_to_string(source.join(format!("{module}.rs"))).unwrap();
    for file in fs::read_dir(source.join(module)).into_iter().flatten() {
        text += &fs::read_to_string(file.unwrap().path()).unwrap();
    }
    text
}

#[test]
fn no_module_uses_one_that_uses_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = fs::read_dir(&source).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let is_module = path.extension().is_some_and(|extension| extension == "rs");
        let name = path.file_stem()?.to_str()?.to_owned();
        (is_module && name != "lib").then_some(name)
    });
    let names: BTreeSet<String> = names.collect();
    assert!(names.len() > 30, "{names:?}");
    let mut left: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in &names {
        let mut used = used(&texts(&source, name));
        used.retain(|other| names.contains(other) && other != name);
        left.insert(name.clone(), used);
    }
    assert!(left["copy"].contains("place") && left["activate"].contains("copy"));
    // Those that use nothing that is left go, until none does.
    loop {
        let free = left
            .iter()
            .filter(|(_, used)| used.iter().all(|other| !left.contains_key(other)));
        let free: Vec<String> = free.map(|(name, _)| name.clone()).collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|name| drop(left.remove(name)));
    }
    assert!(left.is_empty(), "in a circle, or above one: {left:#?}");
}
