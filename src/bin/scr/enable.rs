//! `scr enable`: adds a copy to the configuration, as Enable-StorageGroupCopy does.

use crate::copies::{load, logs_of, state_of, variable};
use crate::update::{answer, bring};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use console::{Exit, Failure, Output};
use edb_copy::ReadPolicy;
use serde::Serialize;
use standby::BringError;
use standby::config::{Configuration, CopyConfig, SourceConfig, TargetConfig, add_copy, with_copy};
use standby::enable::check;
use standby::lag::Lag;
use standby::product::{ProductRule, broken_rules};
use standby::seed::SeedOptions;
use standby::source::is_address;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use target_disk::LocalDisk;

const USAGE: &str = "\
scr enable --source <MACHINE> --source-logs <FOLDER>
           --source-database <FILE> --standby <MACHINE>
           --logs <FOLDER> --database <FILE> [OPTIONS] <NAME>";

/// Set up a copy of a storage group (Enable-StorageGroupCopy); `scr run` then serves it
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = "Example:\n  scr enable SG1 --source EXA --source-logs /mnt/exa/sg1 \\\n    --source-database /mnt/exa/sg1/MBX1.edb --standby EXB \\\n    --logs /srv/scr/sg1 --database /srv/scr/sg1/MBX1.edb")]
pub(crate) struct Arguments {
    /// Name of the copy, unique in the configuration
    name: String,
    /// The storage group that is copied, if its name is not that of the copy
    #[arg(long, value_name = "NAME")]
    storage_group: Option<String>,
    /// The server that is copied, by the name people use
    #[arg(long, value_name = "MACHINE")]
    source: String,
    /// Folder of its logs: local, mounted, or an address (sftp://, s3://, azblob://, gcs://, webdav://)
    #[arg(long, value_name = "FOLDER")]
    source_logs: PathBuf,
    /// Folder of its checkpoint (default: that of the logs)
    #[arg(long, value_name = "FOLDER")]
    source_system: Option<PathBuf>,
    /// Its database
    #[arg(long, value_name = "FILE")]
    source_database: PathBuf,
    /// Base name of its logs, three characters
    #[arg(long, value_name = "NAME", default_value = "E00")]
    base: String,
    /// Its engine uses circular logging: no log there waits for a backup
    #[arg(long)]
    circular: bool,
    /// The server that holds the copy, by the name people use
    #[arg(long, value_name = "MACHINE")]
    standby: String,
    /// Folder for the copy's logs
    #[arg(long, value_name = "FOLDER")]
    logs: PathBuf,
    /// Folder for its checkpoint (default: that of the logs)
    #[arg(long, value_name = "FOLDER")]
    system: Option<PathBuf>,
    /// The copy's database
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// How old a log must be to be replayed: Days.Hours:Minutes:Seconds, up to 7.00:00:00
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1.00:00:00",
        allow_hyphen_values = true
    )]
    replay_lag: Lag,
    /// How much older a log must be to be deleted from the copy
    #[arg(
        long,
        value_name = "TIME",
        default_value = "0.00:00:00",
        allow_hyphen_values = true
    )]
    truncation_lag: Lag,
    /// Do not seed the database now: `scr update` does it later
    #[arg(long)]
    seeding_postponed: bool,
    /// Seed from this database: a backup, a snapshot, another copy (default: that of the source)
    #[arg(long, value_name = "FILE", conflicts_with = "seeding_postponed")]
    seed_from: Option<PathBuf>,
    /// Break this rule of the product on purpose: no refusal and no more warnings
    #[arg(long, value_name = "RULE", value_parser = rule())]
    allow: Vec<ProductRule>,
}

/// The rules that may be broken, by their names.
fn rule() -> impl TypedValueParser<Value = ProductRule> {
    PossibleValuesParser::new(ProductRule::ALL.map(ProductRule::name)).map(|name| {
        let mut all = ProductRule::ALL.into_iter();
        all.find(|rule| rule.name() == name)
            .expect("a possible value")
    })
}

impl Arguments {
    /// Relative paths are of the folder in which the command is given; the configuration is read elsewhere.
    fn with_absolute_paths(mut self) -> Self {
        let here = |path: &mut PathBuf| {
            if !is_address(path)
                && let Ok(whole) = std::path::absolute(&*path)
            {
                *path = whole;
            }
        };
        here(&mut self.source_logs);
        here(&mut self.source_database);
        here(&mut self.logs);
        here(&mut self.database);
        self.source_system.as_mut().map(here);
        self.system.as_mut().map(here);
        self.seed_from.as_mut().map(here);
        self
    }
}

#[derive(Debug, Serialize)]
struct Enabled {
    copy: CopyConfig,
    config: PathBuf,
    warnings: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(
    config: &Path,
    arguments: Arguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let arguments = arguments.with_absolute_paths();
    let copy = CopyConfig {
        name: arguments.name,
        storage_group: arguments.storage_group,
        replay_lag: arguments.replay_lag,
        truncation_lag: arguments.truncation_lag,
        wait_for_backup: false,
        allow: arguments.allow,
        source: SourceConfig {
            machine: arguments.source,
            base: arguments.base,
            system: arguments
                .source_system
                .unwrap_or_else(|| arguments.source_logs.clone()),
            logs: arguments.source_logs,
            database: arguments.source_database,
            closed_logs_only: false,
            circular: arguments.circular,
        },
        target: TargetConfig {
            machine: arguments.standby,
            system: arguments.system.unwrap_or_else(|| arguments.logs.clone()),
            logs: arguments.logs,
            database: arguments.database,
            inspector: None,
        },
    };
    let planned = with_copy(config, &copy).map_err(|error| Failure::of(&error))?;
    refuse_what_the_product_forbids(&planned, &copy)?;
    let source = logs_of(&planned, &copy);
    let found =
        check(&copy, &planned.state_of(&copy), &*source).map_err(|error| Failure::of(&error))?;
    add_copy(&LocalDisk, config, &copy).map_err(|error| Failure::of(&error))?;
    let configuration = load(config)?;
    let known = state_of(&configuration, &copy).update(|_| ());
    known.map_err(|error| Failure::of(&error))?;
    let there = copy.target.database.exists();
    let seeded = (!arguments.seeding_postponed && !there).then(|| {
        let options = SeedOptions {
            from: arguments.seed_from,
            delete_existing: false,
            manual_resume: false,
            not_in_use: false,
            read: ReadPolicy::default(),
            variables: variable,
        };
        bring(&configuration, &copy, &options, output)
    });
    let mut enabled = Enabled {
        copy,
        config: config.to_owned(),
        warnings: configuration.warnings(),
    };
    let is_there = found.source_problem.is_none();
    enabled.warnings.extend(found.source_problem);
    if let Some(Err(error)) = &seeded {
        enabled.warnings.push(match found.begins {
            true => format!("not seeded: {error}; its database will be made from the logs, which begin with the first"),
            false => format!("not seeded: {error}; `scr update` seeds it"),
        });
    }
    output.answer("edbkit.scr-enable/1", &enabled, &enabled)?;
    match seeded {
        None if is_there => Ok(Exit::Clean),
        None => Ok(Exit::Finding),
        Some(Ok(report)) => answer(&report, output),
        Some(Err(BringError::Interrupted)) => Ok(Exit::Interrupted),
        Some(Err(_)) => Ok(Exit::Finding),
    }
}

fn refuse_what_the_product_forbids(
    planned: &Configuration,
    copy: &CopyConfig,
) -> Result<(), Failure> {
    let mut broken = broken_rules(planned).into_iter();
    let refused = broken.find(|broken| broken.is_refused && broken.copies.contains(&copy.name));
    refused.map_or(Ok(()), |broken| {
        let advice = format!("`--allow {}` if you know better", broken.rule.name());
        Err(Failure::new(Exit::Refused, broken.reason).advise(advice))
    })
}

impl Display for Enabled {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Enabled {
            copy,
            config,
            warnings,
        } = self;
        let (source, target) = (&copy.source, &copy.target);
        writeln!(
            f,
            "{}: logs of {} go from {} to {}",
            copy.name,
            source.machine,
            source.logs.display(),
            target.logs.display()
        )?;
        writeln!(
            f,
            "ReplayLagTime {}, TruncationLagTime {}; written to {}",
            copy.replay_lag,
            copy.truncation_lag,
            config.display()
        )?;
        if !target.database.exists() {
            writeln!(
                f,
                "Not seeded yet: a copy of {} belongs to {}",
                source.database.display(),
                target.database.display()
            )?;
        }
        warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "Warning: {warning}"))
    }
}
