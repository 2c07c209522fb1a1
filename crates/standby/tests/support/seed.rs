//! A seed made from the logs themselves, and activation of a copy of a copy.

use ese_format::record::CreateDb;
use ese_format::{Generation, LogTime};
use ese_log::StreamFiles;
use ese_replay::Redo;
use ese_replay::output::NewFile;
use ese_replay::recovery::{Until, finish_clean, finish_dirty, plan, replay, survey};
use ese_replay::redo::NewDatabase;
use jiff::Timestamp;
use standby::activate::{ActivateError, Report, Wish, activate};
use standby::clock::SetClock;
use standby::config::{Configuration, CopyConfig, Service};
use standby::source::FolderSource;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
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
    let mut until = Until {
        generation: Some(Generation(last)),
        ..Until::default()
    };
    let plan = plan(&files, None, &[], &until, &()).unwrap();
    if !undo {
        until.before = survey(&mut plan.records(), &until, &()).unwrap().hold_at();
    }
    let page_size = plan.page_size().unwrap();
    let path = path.to_owned();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let made = Arc::new(Mutex::new(None));
    let mut redo = Redo::new();
    let keep = Arc::clone(&made);
    redo.create_with(Box::new(move |_: &CreateDb<'_>| {
        let file = NewFile::create(&path, page_size.bytes()).unwrap();
        let pages = Box::new(file.pages());
        *keep.lock().unwrap() = Some(file);
        Some(NewDatabase {
            file: pages,
            page_size,
            cache_pages: 1000,
        })
    }));
    let ran = replay(&mut redo, &mut plan.records(), &until, &()).unwrap();
    let now = LogTime::default();
    let finished = match undo {
        true => finish_clean(&mut redo, &ran, now),
        false => finish_dirty(&mut redo, &ran, Generation(last), now),
    };
    let finished = finished.unwrap();
    let [database] = &finished.databases[..] else {
        panic!("the logs create one database");
    };
    let file = made.lock().unwrap().take().unwrap();
    file.commit(&database.header).unwrap();
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
            },
        }
    }

    pub(crate) fn activate(&self, wish: &Wish) -> Result<Report, ActivateError> {
        let config = &self.configuration.copies[0];
        let source = FolderSource::new(&config.source.logs, &config.source.base);
        let clock = SetClock::new(Timestamp::from_second(1_900_000_000).unwrap());
        activate(
            &self.configuration,
            config,
            Box::new(source),
            wish,
            &clock,
            &(),
        )
    }
}

/// What accepts that the source is lost.
pub(crate) fn forced() -> Wish {
    Wish {
        force: true,
        threads: 1,
        ..Wish::default()
    }
}
