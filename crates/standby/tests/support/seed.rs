//! A seed made from the logs themselves, and activation of a copy of a copy.

use ese_format::Generation;
use ese_log::StreamFiles;
use ese_replay::output::RecoveryOutput;
use ese_replay::recovery::{self as replay, EmptyFile, RecoverOptions, Until, plan};
use ese_replay::redo::NewDatabase;
use jiff::Timestamp;
use standby::activate::{ActivateError, ActivateOptions, ActivateReport, activate};
use standby::clock::SetClock;
use standby::config::{Configuration, CopyConfig, Service};
use standby::source::FolderSource;
use std::fs;
use std::path::Path;
use target_disk::SharedDisk;
use tempfile::TempDir;

/// Replays the source's logs up to `last` from nothing, without undo, into the database of the copy.
pub(crate) fn seed(config: &CopyConfig, last: u32) {
    from_nothing(config, last, &config.target.database, false);
}

/// Recovers a database from nothing, in one run over the source's logs up to `last`.
pub(crate) fn recover(config: &CopyConfig, last: u32, path: &Path) {
    from_nothing(config, last, path, true);
}

fn from_nothing(config: &CopyConfig, last: u32, path: &Path, undo: bool) {
    let files = StreamFiles::find(&config.source.logs, Some(&config.source.base)).unwrap();
    let until = Until {
        generation: Some(Generation(last)),
        ..Until::default()
    };
    let plan = plan(&files, None, &[], &until, &()).unwrap();
    let page_size = plan.page_size().unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let [creation] = plan.created() else {
        panic!("the logs create one database");
    };
    let output = RecoveryOutput::create(
        &SharedDisk::default(),
        creation.signature,
        path,
        page_size.bytes(),
        false,
    )
    .unwrap();
    let created = EmptyFile {
        signature: creation.signature,
        file: NewDatabase {
            file: output.pages(),
            page_size,
            cache_pages: 1000,
        },
    };
    let options = RecoverOptions {
        until_undo: !undo,
        ..RecoverOptions::default()
    };
    let recovered = replay::recover(&plan, Vec::new(), vec![created], options, &()).unwrap();
    output.commit(&recovered.databases[0]).unwrap();
}

/// A copy of a target's folders, to be activated while the original goes on.
pub(crate) struct Twin {
    pub(crate) folder: TempDir,
    pub(crate) configuration: Configuration,
}

impl Twin {
    pub(crate) fn of(config: &CopyConfig, state: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = config.clone();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        for entry in fs::read_dir(&config.target.logs).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, logs.join(path.file_name().unwrap())).unwrap();
            }
        }
        let database = folder.path().join("MBX1.edb");
        fs::copy(&config.target.database, &database).unwrap();
        let states = folder.path().join("state");
        fs::create_dir(&states).unwrap();
        let name = format!("{}.json", config.file_name());
        fs::copy(state.join(&name), states.join(name)).unwrap();
        config.target.system = logs.clone();
        config.target.logs = logs;
        config.target.database = database;
        Twin {
            folder,
            configuration: Configuration {
                state: states,
                service: Service::default(),
                copies: vec![config],
                disk: SharedDisk::default(),
            },
        }
    }

    pub(crate) fn activate(
        &self,
        options: &ActivateOptions,
    ) -> Result<ActivateReport, ActivateError> {
        let config = &self.configuration.copies[0];
        let source = FolderSource::new(&config.source.logs, &config.source.base);
        let clock = SetClock::new(Timestamp::from_second(1_900_000_000).unwrap());
        activate(
            &self.configuration,
            config,
            Box::new(source),
            options,
            &clock,
            &(),
        )
    }
}

/// What accepts that the source is lost.
pub(crate) fn forced() -> ActivateOptions {
    ActivateOptions {
        force: true,
        threads: 1,
        ..ActivateOptions::default()
    }
}
