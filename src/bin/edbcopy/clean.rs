//! `edbcopy clean`: removes the journals of finished copies.

use crate::status::targets_in;
use crate::words::count;
use console::{Exit, Failure, Output};
use edb_copy::{Cleaned, KeptReason, clean};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use target_disk::LocalDisk;

/// Remove the journals of finished copies: `verify` and `--trust-journal` need them, nothing else does
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbcopy clean /data/mailbox.edb\n  edbcopy clean /data/sg1 --dry-run"
)]
pub(crate) struct Arguments {
    /// Copies, or folders of copies
    #[arg(required = true)]
    targets: Vec<PathBuf>,
    /// Also remove journals whose copies have changed since
    #[arg(long)]
    force: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Exit 0 when no journal is left, 1 when one stays because something needs it, 3 when there is none.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let mut targets = Vec::new();
    for named in &arguments.targets {
        let found = match named.is_dir() {
            true => targets_in(named)?,
            false => vec![named.clone()],
        };
        if found.is_empty() {
            let message = format!("{}: there is no journal here", named.display());
            return Err(
                Failure::new(Exit::Io, message).advise("name a copy, or a folder of copies")
            );
        }
        targets.extend(found);
    }
    let mut exit = Exit::Clean;
    let (mut removed, mut bytes) = (0, 0);
    for target in &targets {
        let cleaned = match clean(&LocalDisk, target, arguments.force, arguments.dry_run) {
            Ok(cleaned) => cleaned,
            Err(error) => {
                let failure = Failure::of(&error);
                exit = exit.and(failure.exit);
                output.failure(&failure)?;
                continue;
            }
        };
        exit = exit.and(match cleaned.kept {
            None => Exit::Clean,
            Some(KeptReason::NoJournal) => Exit::Io,
            Some(_) => Exit::Finding,
        });
        match cleaned.kept {
            None => {
                removed += 1;
                bytes += cleaned.bytes;
                if output.is_json() {
                    output.document("edbkit.copy-clean/1", &cleaned)?;
                }
            }
            Some(why) => {
                let shown = KeptJournal(&cleaned, why);
                output.answer("edbkit.copy-clean/1", &cleaned, &shown)?;
            }
        }
    }
    if !output.is_json() {
        let verb = if arguments.dry_run {
            "would be removed"
        } else {
            "removed"
        };
        let journals = count(removed, "journal", "journals");
        output.text(&format_args!("{journals} {verb} ({bytes} bytes)\n"))?;
    }
    Ok(exit)
}

/// A journal that is not removed.
struct KeptJournal<'a>(&'a Cleaned, KeptReason);

impl Display for KeptJournal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let why = match self.1 {
            KeptReason::NoJournal => "there is none",
            KeptReason::Running => "a copy is under way",
            KeptReason::UnderWay => {
                "the copy is not complete: the same copy command goes on from it"
            }
            KeptReason::Unreadable => "it cannot be read: which copy it belongs to is not known",
            KeptReason::CopyGone => "the copy is gone: this is all that is known of it",
            KeptReason::CopyChanged => "the copy has changed since; --force removes the journal",
        };
        writeln!(f, "{} stays: {why}", self.0.journal.display())
    }
}
