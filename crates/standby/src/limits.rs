//! What the documents of the product rule about storage groups, machines and counts, with the reason for each rule.
//!
//! Facts: "Standby Continuous Replication" and "Planning for Standby Continuous Replication" (Exchange 2007 SP1). Where a
//! rule keeps somebody from harm, it refuses; where a person may know better, the copy may `allow` it; the rest is told.

use crate::config::{Configuration, CopyConfig};
use crate::rules::KEPT_BACK;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// More targets of one source than this are not advised.
const ADVISED_TARGETS: usize = 4;
/// Storage groups that a machine serves with the Standard edition of the product.
const STANDARD_GROUPS: usize = 5;
/// Storage groups that a machine serves with the Enterprise edition.
const ENTERPRISE_GROUPS: usize = 50;

/// A rule of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Logs, system files and database have the same paths at the source and at all targets.
    SamePaths,
    /// A recovery storage group is not replicated.
    RecoveryStorageGroup,
    /// Source and target are different machines.
    SameMachine,
    /// A machine that is a target replicates no storage group to itself.
    LocalReplication,
    /// A machine serves so many storage groups and no more.
    Instances,
    /// A source has so many targets and no more.
    ManyTargets,
    /// The newest 50 logs are not replayed.
    KeptBack,
    /// A storage group has one database.
    SeveralDatabases,
}

impl Rule {
    /// All rules that may be allowed to be broken.
    pub const ALL: [Rule; 8] = [
        Rule::SamePaths,
        Rule::RecoveryStorageGroup,
        Rule::SameMachine,
        Rule::LocalReplication,
        Rule::Instances,
        Rule::ManyTargets,
        Rule::KeptBack,
        Rule::SeveralDatabases,
    ];

    /// As it is written in a configuration.
    pub fn key(self) -> &'static str {
        match self {
            Rule::SamePaths => "same-paths",
            Rule::RecoveryStorageGroup => "recovery-storage-group",
            Rule::SameMachine => "same-machine",
            Rule::LocalReplication => "local-replication",
            Rule::Instances => "instances",
            Rule::ManyTargets => "many-targets",
            Rule::KeptBack => "kept-back",
            Rule::SeveralDatabases => "several-databases",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Rule::ALL.into_iter();
        all.find(|rule| rule.key() == text).ok_or_else(|| {
            let keys: Vec<&str> = Rule::ALL.iter().map(|rule| rule.key()).collect();
            format!("{text:?} is not a rule; there are {}", keys.join(", "))
        })
    }
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Which.
    pub rule: Rule,
    /// Whether a copy is not set up with it unless it is allowed.
    pub refuses: bool,
    /// What breaks it, and what follows from that.
    pub reason: String,
}

/// The rules that the copy `config` breaks in this configuration, those that it allows left out.
pub fn breaches(configuration: &Configuration, config: &CopyConfig) -> Vec<Breach> {
    let found = [
        recovery_storage_group(config),
        same_machine(config),
        local_replication(configuration, config),
        instances(configuration, &config.target.machine),
        same_paths(config),
    ];
    let mut found: Vec<Breach> = found.into_iter().flatten().collect();
    found.retain(|breach| !config.allow.contains(&breach.rule));
    found
}

/// What the whole configuration breaks, each thing once, as sentences.
pub fn warnings(configuration: &Configuration) -> Vec<String> {
    let mut found = Vec::new();
    for copy in &configuration.copies {
        // That paths differ is told when a copy is set up, and in its runbooks.
        let own = breaches(configuration, copy).into_iter();
        let own = own.filter(|breach| breach.rule != Rule::SamePaths);
        found.extend(own.map(|breach| match breach.rule {
            Rule::Instances | Rule::LocalReplication => breach.reason,
            _ => format!("{}: {}", copy.name, breach.reason),
        }));
    }
    found.extend(many_targets(configuration));
    found.extend(kept_back(configuration));
    let mut told: Vec<String> = Vec::new();
    for warning in found {
        if !told.contains(&warning) {
            told.push(warning);
        }
    }
    told
}

fn breach(rule: Rule, refuses: bool, reason: String) -> Breach {
    Breach {
        rule,
        refuses,
        reason,
    }
}

fn recovery_storage_group(config: &CopyConfig) -> Option<Breach> {
    let base = &config.source.base;
    let is_one = base.len() == 3 && base.to_ascii_uppercase().starts_with("R0");
    is_one.then(|| {
        let reason = format!(
            "{base} is the base name of a recovery storage group, which is no source: its database is a copy already, and the \
             server writes no logs for it that others need"
        );
        breach(Rule::RecoveryStorageGroup, true, reason)
    })
}

fn same_machine(config: &CopyConfig) -> Option<Breach> {
    let (source, target) = (&config.source.machine, &config.target.machine);
    source.eq_ignore_ascii_case(target).then(|| {
        let reason = format!(
            "source and target are the same machine, {source}: what takes that machine takes both, and a standby copy is there \
             for that"
        );
        breach(Rule::SameMachine, true, reason)
    })
}

fn local_replication(configuration: &Configuration, config: &CopyConfig) -> Option<Breach> {
    let machine = &config.target.machine;
    let is_here = |other: &str| other.eq_ignore_ascii_case(machine);
    let mut copies = configuration.copies.iter();
    let local = copies.find(|copy| is_here(&copy.source.machine) && is_here(&copy.target.machine))?;
    let is_target_too = configuration
        .copies
        .iter()
        .any(|copy| is_here(&copy.target.machine) && !is_here(&copy.source.machine));
    is_target_too.then(|| {
        let reason = format!(
            "{machine} is a target, and {} is replicated from it to itself: on a target the product enables local replication \
             (LCR) for no storage group",
            local.name
        );
        breach(Rule::LocalReplication, false, reason)
    })
}

fn instances(configuration: &Configuration, machine: &str) -> Option<Breach> {
    let copies = configuration.copies.iter();
    let count = copies.filter(|copy| copy.target.machine.eq_ignore_ascii_case(machine)).count();
    if count <= STANDARD_GROUPS {
        return None;
    }
    let too_many = count > ENTERPRISE_GROUPS;
    let reason = if too_many {
        format!(
            "{machine} holds {count} copies: a server takes up to {ENTERPRISE_GROUPS} storage groups (Enterprise edition), and \
             could not mount all of them"
        )
    } else {
        format!(
            "{machine} holds {count} copies: the Standard edition takes up to {STANDARD_GROUPS} storage groups; the Enterprise \
             edition is needed to mount all of them"
        )
    };
    Some(breach(Rule::Instances, too_many, reason))
}

fn same_paths(config: &CopyConfig) -> Option<Breach> {
    let (source, target) = (&config.source, &config.target);
    let pairs = [
        ("logs", &source.logs, &target.logs),
        ("system files", &source.system, &target.system),
        ("database", &source.database, &target.database),
    ];
    let differs = |(_, one, two): &(&str, &std::path::PathBuf, &std::path::PathBuf)| {
        !one.to_string_lossy().eq_ignore_ascii_case(&two.to_string_lossy())
    };
    let differing: Vec<&str> = pairs.iter().filter(|pair| differs(pair)).map(|pair| pair.0).collect();
    (!differing.is_empty()).then(|| {
        let reason = format!(
            "the paths of {} are not the same at source and target, as this machine sees them. If they differ on the servers \
             too, the copy can be mounted through a storage group with paths of its own (database portability, as `scr runbook \
             failover` has it), but the original storage group cannot be pointed to it (`setup /m:RecoverServer`)",
            differing.join(", ")
        );
        breach(Rule::SamePaths, false, reason)
    })
}

fn many_targets(configuration: &Configuration) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&CopyConfig>> = BTreeMap::new();
    for copy in &configuration.copies {
        let group = groups.entry(copy.source.logs.display().to_string()).or_default();
        group.push(copy);
    }
    let allowed = |copies: &[&CopyConfig]| copies.iter().any(|copy| copy.allow.contains(&Rule::ManyTargets));
    let many = groups.into_iter().filter(|(_, copies)| copies.len() > ADVISED_TARGETS && !allowed(copies));
    many.map(|(logs, copies)| {
        format!(
            "{} targets copy {logs}: more than {ADVISED_TARGETS} are not advised; memory, processor and disks of the source \
             have to serve all of them",
            copies.len()
        )
    })
    .collect()
}

fn kept_back(configuration: &Configuration) -> Option<String> {
    let kept = configuration.service.kept_back;
    let allowed = !configuration.copies.is_empty()
        && configuration.copies.iter().all(|copy| copy.allow.contains(&Rule::KeptBack));
    (kept < KEPT_BACK && !allowed).then(|| {
        format!(
            "kept_back = {kept}: the product never replays the newest {KEPT_BACK} logs. A source that loses its newest logs in \
             a lossy failover and goes on then needs a new seed where more than {kept} are lost"
        )
    })
}
