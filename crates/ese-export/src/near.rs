//! Names that somebody may have meant.

/// The most names that are given.
const MOST: usize = 5;
/// How alike two names have to be, from 0 to 1.
const ALIKE: f64 = 0.7;

/// Names among `all` that are near `name`, the nearest first: those that it is a part of, and those that are spelt alike.
pub(crate) fn near<'n>(name: &str, all: impl Iterator<Item = &'n str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let likeness = |other: &str| {
        let other = other.to_lowercase();
        let part = wanted.chars().count() > 2 && other.contains(&wanted);
        let spelt = strsim::jaro_winkler(&wanted, &other);
        if part { spelt.max(ALIKE) } else { spelt }
    };
    let mut found: Vec<(f64, &str)> = all
        .map(|other| (likeness(other), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    found.truncate(MOST);
    found.into_iter().map(|(_, name)| name.to_owned()).collect()
}
