//! The table of a campaign: what happened how often, and what was wrong.

use crate::judge::{Finding, Trial, Wrong};
use ese_testkit::accident::Kind;
use std::collections::BTreeMap;
use std::fmt;

/// Numbers of one kind of accident, or of one kind of scene.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    tried: usize,
    contradictions: usize,
    losses: usize,
    alarms: usize,
    other: usize,
}

/// What came of many trials.
#[derive(Default)]
pub(crate) struct Table {
    accidents: BTreeMap<Kind, Row>,
    scenes: BTreeMap<&'static str, Row>,
    /// What was wrong, with the trials that show it.
    found: BTreeMap<(Wrong, String), Vec<(u64, String)>>,
    trials: usize,
}

/// Trials that are named for each cause.
const NAMED: usize = 12;

impl Row {
    fn add(&mut self, findings: &[Finding]) {
        let has = |wrong: &[Wrong]| {
            usize::from(findings.iter().any(|found| wrong.contains(&found.wrong)))
        };
        self.tried += 1;
        self.contradictions += has(&[Wrong::Contradiction, Wrong::OtherNumber]);
        self.losses += has(&[Wrong::SilentLoss, Wrong::NotNoticed]);
        self.alarms += has(&[Wrong::FalseAlarm]);
        self.other += has(&[Wrong::Harm, Wrong::Culprit]);
    }

    fn and(&mut self, other: &Row) {
        self.tried += other.tried;
        self.contradictions += other.contradictions;
        self.losses += other.losses;
        self.alarms += other.alarms;
        self.other += other.other;
    }
}

impl Table {
    /// The table of one trial.
    pub(crate) fn of(trial: &Trial, findings: Vec<Finding>) -> Self {
        let mut table = Table {
            trials: 1,
            ..Table::default()
        };
        for accident in &trial.accidents {
            table
                .accidents
                .entry(accident.kind())
                .or_default()
                .add(&findings);
        }
        let scene = table.scenes.entry(trial.scene.kind).or_default();
        scene.add(&findings);
        for finding in findings {
            let key = (finding.wrong, finding.what);
            let trials = table.found.entry(key).or_default();
            trials.push((trial.seed, format!("{trial}: \n{}", finding.detail)));
        }
        table
    }

    /// Both together.
    pub(crate) fn and(mut self, other: Table) -> Self {
        self.trials += other.trials;
        for (kind, row) in &other.accidents {
            self.accidents.entry(*kind).or_default().and(row);
        }
        for (kind, row) in &other.scenes {
            self.scenes.entry(kind).or_default().and(row);
        }
        for (key, trials) in other.found {
            self.found.entry(key).or_default().extend(trials);
        }
        self
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accidents: Vec<String> = self.accidents.iter().map(ToString::to_string).collect();
        write!(
            f,
            "{} {}: {}",
            self.seed,
            self.scene.name,
            accidents.join(" + ")
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "tried",
            "contradictions",
            "silent losses",
            "false alarms",
            "other",
        ];
        let [tried, contradictions, losses, alarms, other] = head;
        let mut write = |name: &str, row: &Row| {
            writeln!(
                f,
                "{name:<24}{:>8}{:>16}{:>15}{:>14}{:>8}",
                row.tried, row.contradictions, row.losses, row.alarms, row.other
            )
        };
        for (kind, row) in &self.accidents {
            write(&format!("{kind:?}"), row)?;
        }
        for (kind, row) in &self.scenes {
            write(kind, row)?;
        }
        writeln!(
            f,
            "({tried}, {contradictions}, {losses}, {alarms}, {other}); {} trials",
            self.trials
        )?;
        for ((wrong, what), trials) in &self.found {
            writeln!(f, "\n{wrong:?} ({}): {what}", trials.len())?;
            let mut trials: Vec<_> = trials.iter().collect();
            trials.sort();
            for (_, detail) in trials.iter().take(NAMED) {
                let name = detail.split(": \n").next().unwrap_or_default();
                writeln!(f, "  {name}")?;
            }
            if let Some((_, detail)) = trials.first() {
                let (_, more) = detail.split_once(": \n").unwrap_or_default();
                writeln!(f, "    {more}")?;
            }
        }
        Ok(())
    }
}
