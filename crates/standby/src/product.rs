//! Rules of the product that a configuration may break, if a person knows better.
//!
//! Each broken rule is a warning with its reason, in `scr enable`, `check` and `run`. Two that the product never allows are
//! refused when a copy is set up. `allow` in a copy (`scr enable --allow`) says that a rule is broken on purpose: it is
//! reported no more.
//!
//! Facts: "Planning for Standby Continuous Replication", "Standby Continuous Replication" (Exchange 2007 SP1).

pub use crate::config::ProductRule;
use crate::config::{Configuration, CopyConfig};
use crate::rules::KEPT_BACK;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// More targets of one source than this are not advised.
const ADVISED_TARGETS: usize = 4;
/// Copies on one machine with the Enterprise edition.
const ENTERPRISE_COPIES: usize = 50;
/// Copies on one machine with the Standard edition.
const STANDARD_COPIES: usize = 5;

/// A rule that is broken, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRule {
    /// The rule.
    pub rule: ProductRule,
    /// What breaks it, and what then does not work.
    pub reason: String,
    /// Whether the product never allows it, so that a copy is not set up like this unless a person allows it.
    pub is_refused: bool,
    /// The copies that break it.
    pub copies: Vec<String>,
}

impl fmt::Display for BrokenRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (--allow {})", self.reason, self.rule.name())
    }
}

/// The rules that the configuration breaks, without those that one of the copies concerned allows.
pub fn broken_rules(configuration: &Configuration) -> Vec<BrokenRule> {
    let copies = &configuration.copies;
    let mut broken = Vec::new();
    for copy in copies {
        broken.extend(paths_that_differ(copy));
        broken.extend(one_machine(copy, copies));
    }
    broken.extend(many_targets(copies));
    broken.extend(many_copies(copies));
    broken.extend(few_kept_back(configuration));
    broken.retain(|broken| {
        let mut concerned = copies
            .iter()
            .filter(|copy| broken.copies.contains(&copy.name));
        !concerned.any(|copy| copy.allow.contains(&broken.rule))
    });
    broken
}

/// What the end of two paths has in common is compared: how a machine's disks are reached from here says nothing about their
/// paths there.
fn paths_that_differ(copy: &CopyConfig) -> Option<BrokenRule> {
    let (source, target) = (&copy.source, &copy.target);
    let folder = |path: &Path| path.parent().and_then(Path::file_name).map(OsStr::to_owned);
    let same = |one: Option<&OsStr>, other: Option<&OsStr>| match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => true,
    };
    let differs = if !same(source.database.file_name(), target.database.file_name())
        || !same(
            folder(&source.database).as_deref(),
            folder(&target.database).as_deref(),
        ) {
        ("database", &source.database, &target.database)
    } else if !same(source.logs.file_name(), target.logs.file_name()) {
        ("logs", &source.logs, &target.logs)
    } else if !same(source.system.file_name(), target.system.file_name()) {
        ("checkpoint", &source.system, &target.system)
    } else {
        return None;
    };
    let (what, there, here) = differs;
    Some(BrokenRule {
        rule: ProductRule::SamePaths,
        reason: format!(
            "{}: the {what} is in {} at {} and in {} at {}: the product wants the same paths on both; `scr restore` does not need them, but a server that mounts the copy dirty, or `eseutil /r`, looks for the database under the path in its logs",
            copy.name,
            there.display(),
            source.machine,
            here.display(),
            target.machine
        ),
        is_refused: false,
        copies: vec![copy.name.clone()],
    })
}

fn one_machine(copy: &CopyConfig, all: &[CopyConfig]) -> Vec<BrokenRule> {
    let machine = &copy.target.machine;
    if !copy.source.machine.eq_ignore_ascii_case(machine) {
        return Vec::new();
    }
    let mut broken = vec![BrokenRule {
        rule: ProductRule::TwoMachines,
        reason: format!(
            "{}: source and standby are one machine, {machine}: if it is lost, both are",
            copy.name
        ),
        is_refused: false,
        copies: vec![copy.name.clone()],
    }];
    let is_standby = |other: &&CopyConfig| {
        other.target.machine.eq_ignore_ascii_case(machine)
            && !other.source.machine.eq_ignore_ascii_case(machine)
    };
    if let Some(other) = all.iter().find(is_standby) {
        broken.push(BrokenRule {
            rule: ProductRule::NoLcrOnTarget,
            reason: format!(
                "{}: a copy on its own machine (LCR), and {machine} is the standby of {}: the product allows that for no group there",
                copy.name, other.name
            ),
            is_refused: true,
            copies: vec![copy.name.clone(), other.name.clone()],
        });
    }
    broken
}

fn many_targets(copies: &[CopyConfig]) -> Vec<BrokenRule> {
    let mut sources: BTreeMap<&Path, Vec<String>> = BTreeMap::new();
    for copy in copies {
        let names = sources.entry(&copy.source.logs).or_default();
        names.push(copy.name.clone());
    }
    let many = sources
        .into_iter()
        .filter(|(_, copies)| copies.len() > ADVISED_TARGETS);
    many.map(|(logs, copies)| BrokenRule {
        rule: ProductRule::FewTargets,
        reason: format!(
            "{} targets copy {}: more than {ADVISED_TARGETS} are not advised: memory, processors and disks of the source must suffice",
            copies.len(),
            logs.display()
        ),
        is_refused: false,
        copies,
    })
    .collect()
}

fn many_copies(copies: &[CopyConfig]) -> Vec<BrokenRule> {
    let mut machines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for copy in copies {
        let machine = copy.target.machine.to_ascii_lowercase();
        machines.entry(machine).or_default().push(copy.name.clone());
    }
    let broken = machines.into_iter().filter_map(|(machine, copies)| {
        let count = copies.len();
        let (limit, consequence) = match count > ENTERPRISE_COPIES {
            true => (ENTERPRISE_COPIES, "are not supported on one machine"),
            false => (STANDARD_COPIES, "need the Enterprise edition there"),
        };
        (count > STANDARD_COPIES).then(|| BrokenRule {
            rule: ProductRule::FewCopies,
            reason: format!("{machine} holds {count} copies: more than {limit} {consequence}"),
            is_refused: count > ENTERPRISE_COPIES,
            copies,
        })
    });
    broken.collect()
}

fn few_kept_back(configuration: &Configuration) -> Option<BrokenRule> {
    let kept_back = configuration.service.kept_back;
    (kept_back < KEPT_BACK).then(|| BrokenRule {
        rule: ProductRule::KeptBack,
        reason: format!(
            "kept_back is {kept_back}: with fewer than {KEPT_BACK} logs kept back, a source that loses its newest logs may force a new seed"
        ),
        is_refused: false,
        copies: configuration.copies.iter().map(|copy| copy.name.clone()).collect(),
    })
}

impl Configuration {
    /// The rules of the product that it breaks and nobody allowed, as sentences.
    pub fn warnings(&self) -> Vec<String> {
        let broken = broken_rules(self);
        broken.iter().map(ToString::to_string).collect()
    }
}
