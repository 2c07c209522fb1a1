//! Activation: what the source still has comes along, what is lost is told, and the result is proved.

mod support;

use ese_format::Generation;
use ese_testkit::rows::{Rows, rows_of};
use jiff::Timestamp;
use standby::activate::{
    ActivateError, ActivateOptions, ActivateReport, activate, preview, take_back,
};
use standby::config::Configuration;
use standby::lag::Lag;
use standby::source::FolderSource;
use standby::state::{Activation, CopyState};
use standby::status::Summary;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use support::Setting;
use support::seed::{Twin, forced, recover};
use target_disk::SharedDisk;

const CLOSED: u32 = 60;

/// A copy that has the logs up to 50 and has replayed those up to 40; the source has ten more and its current log.
fn behind() -> Setting {
    let mut setting = Setting::spread(100);
    setting.config.replay_lag = Lag::ZERO;
    setting.config.truncation_lag = Lag::MAX;
    setting.service.kept_back = 10;
    setting.stream.roll_many(10);
    setting.seed(10);
    setting.restart();
    setting.stream.roll_many(40);
    setting.settle_all();
    setting.stream.roll_many(CLOSED - 50);
    setting.stream.complete();
    setting
}

fn configuration(setting: &Setting) -> Configuration {
    Configuration {
        state: setting.state_folder(),
        service: setting.service.clone(),
        copies: vec![setting.config.clone()],
        disk: SharedDisk::default(),
    }
}

fn run(setting: &mut Setting, options: &ActivateOptions) -> Result<ActivateReport, ActivateError> {
    (setting.copy, setting.replayer) = (None, None);
    let config = &setting.config;
    let source = Box::new(FolderSource::new(&config.source.logs, "E00"));
    activate(
        &configuration(setting),
        config,
        source,
        options,
        &setting.clock,
        &(),
    )
}

fn look(setting: &Setting, options: &ActivateOptions) -> ActivateReport {
    let config = &setting.config;
    let source = Box::new(FolderSource::new(&config.source.logs, "E00"));
    preview(
        &configuration(setting),
        config,
        source,
        options,
        &setting.clock,
        &(),
    )
    .unwrap()
}

/// What one recovery over the source's logs up to `last` gives.
fn expected(setting: &Setting, last: u32) -> Rows {
    let path = setting.folder.path().join("expected.edb");
    recover(&setting.config, last, &path);
    rows_of(&path)
}

/// Every file of the copy, with its bytes.
fn files(setting: &Setting) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![setting.folder.path().join("target"), setting.state_folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    files
}

fn gone(folder: &Path) -> PathBuf {
    let aside = folder.with_extension("gone");
    fs::rename(folder, &aside).unwrap();
    aside
}

fn both(options: &ActivateOptions) -> ActivateOptions {
    ActivateOptions {
        try_source: true,
        ..options.clone()
    }
}

#[test]
fn with_its_source_nothing_is_lost() {
    let mut setting = behind();
    let rows = expected(&setting, CLOSED + 1);
    let before = files(&setting);
    let foretold = look(&setting, &ActivateOptions::default());
    assert!(files(&setting) == before, "a dry run changes nothing");
    let report = run(&mut setting, &ActivateOptions::default()).unwrap();
    assert_eq!(
        (report.mountable, &report.loss, report.fetched),
        (true, &None, 10)
    );
    assert_eq!(report.replayed.last, Some(Generation(CLOSED + 1)));
    assert_eq!(report.source_look.current, Some(Generation(CLOSED + 1)));
    let proof = report.proof.as_ref().unwrap();
    assert_eq!(
        (proof.state.as_str(), proof.holds()),
        ("Clean Shutdown", true)
    );
    assert!(
        report.rolled_back > 0,
        "the set ends with open transactions"
    );
    assert!(rows_of(&report.database) == rows);
    // The dry run told the same, the proof apart.
    let told = ActivateReport {
        proof: None,
        dry_run: true,
        ..report.clone()
    };
    assert_eq!(foretold, told);
    // It is said once more, and the copy is not served any more.
    assert_eq!(
        run(&mut setting, &ActivateOptions::default()).unwrap(),
        report
    );
    let state = setting.state_file().read().unwrap();
    assert_eq!(setting.status(state).summary, Summary::Disabled);
    setting.restart();
    setting.stream.roll_many(1);
    let status = setting.settle_all();
    assert_eq!(
        (status.summary, status.inspected.unwrap().generation),
        (Summary::Disabled, Generation(60))
    );
    assert!(rows_of(&report.database) == rows);
}

#[test]
fn without_its_source_it_wants_to_be_forced_and_tells_what_is_lost() {
    let mut setting = behind();
    setting.settle();
    setting.stream.roll_many(5);
    let rows = expected(&setting, CLOSED);
    let last_seen = setting.state_file().read().unwrap().generated.unwrap();
    let logs = setting.config.source.logs.clone();
    let aside = gone(&logs);
    // Refused: the service goes on as if nothing had been.
    for reason in ["cannot be listed", "had"] {
        let Err(ActivateError::Refused(report)) = run(&mut setting, &ActivateOptions::default())
        else {
            panic!("it is refused");
        };
        let refusal = report.refusal.unwrap();
        assert!(!report.mountable && refusal.advice.contains("--force"));
        assert!(
            refusal.reason.contains(reason) || refusal.reason.contains("could"),
            "{refusal}"
        );
        assert_eq!(setting.state_file().read().unwrap().activation, None);
    }
    let report = run(&mut setting, &both(&forced())).unwrap();
    assert!(report.mountable && rows_of(&report.database) == rows);
    let loss = report.loss.unwrap();
    assert_eq!(
        (loss.first, loss.last_known),
        (Generation(61), Some(Generation(61)))
    );
    assert_eq!(loss.last_seen, Some(last_seen.at));
    assert!(loss.after.is_some());
    assert!(report.source_look.asked && !report.source_look.reached);
    fs::rename(aside, logs).unwrap();
}

#[test]
fn force_alone_does_not_touch_the_source_and_with_try_source_takes_what_is_good() {
    let mut setting = behind();
    let rows = expected(&setting, 50);
    let report = run(&mut setting, &forced()).unwrap();
    assert!(!report.source_look.asked && rows_of(&report.database) == rows);
    assert_eq!(report.loss.unwrap().first, Generation(51));

    let mut setting = behind();
    let rows = expected(&setting, 54);
    let mut log = fs::read(setting.stream.path(55)).unwrap();
    log[9000..9100].fill(0x55);
    fs::write(setting.stream.path(55), log).unwrap();
    assert!(matches!(
        run(&mut setting, &ActivateOptions::default()),
        Err(ActivateError::Refused(_))
    ));
    let options = both(&forced());
    let foretold = look(&setting, &options);
    let report = run(&mut setting, &options).unwrap();
    assert!(report.mountable && rows_of(&report.database) == rows);
    let loss = report.loss.unwrap();
    assert_eq!(
        (loss.first, loss.last_known),
        (Generation(55), Some(Generation(61)))
    );
    assert!(report.source_look.problem.unwrap().contains("damaged"));
    assert_eq!(foretold.loss.unwrap().first, Generation(55));
}

#[test]
fn what_the_database_needs_cannot_be_forced() {
    let mut setting = behind();
    let needed = setting.config.target.logs.join("E0000000028.log");
    fs::remove_file(needed).unwrap();
    fs::remove_file(setting.stream.path(40)).unwrap();
    let before = fs::read(&setting.config.target.database).unwrap();
    let Err(ActivateError::Refused(report)) = run(&mut setting, &both(&forced())) else {
        panic!("it is refused");
    };
    let refusal = report.refusal.unwrap();
    assert!(
        refusal.jet.is_some_and(|jet| jet.code < 0),
        "{:?}",
        refusal.reason
    );
    assert!(fs::read(&setting.config.target.database).unwrap() == before);
}

#[test]
fn what_was_never_seeded_stays_in_service() {
    let mut setting = behind();
    fs::remove_file(&setting.config.target.database).unwrap();
    let before = files(&setting);
    let result = run(&mut setting, &both(&forced()));
    assert!(
        matches!(result, Err(ActivateError::NotSeeded(_))),
        "{result:?}"
    );
    assert!(files(&setting) == before);
}

#[test]
fn the_database_gets_another_name() {
    let mut setting = behind();
    let to = setting.folder.path().join("target/MBX1PORT.edb");
    let rows = expected(&setting, CLOSED + 1);
    let options = ActivateOptions {
        to: Some(to.clone()),
        ..ActivateOptions::default()
    };
    fs::write(&to, b"somebody's file").unwrap();
    assert!(run(&mut setting, &options).is_err());
    assert_eq!(fs::read(&to).unwrap(), b"somebody's file");
    fs::remove_file(&to).unwrap();
    let report = run(&mut setting, &options).unwrap();
    assert_eq!((report.mountable, &report.database), (true, &to));
    assert!(rows_of(&to) == rows);
    assert!(!setting.config.target.database.exists());
}

/// Across file systems the database is written anew, and the old one stays as it was.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs a second file system at /dev/shm"]
fn the_database_goes_to_another_file_system() {
    use std::os::unix::fs::MetadataExt;
    let mut setting = behind();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let memory = Path::new("/dev/shm");
    assert_ne!(device(memory), device(setting.folder.path()));
    let elsewhere = tempfile::tempdir_in(memory).unwrap();
    let to = elsewhere.path().join("MBX1PORT.edb");
    let rows = expected(&setting, CLOSED + 1);
    let before = fs::read(&setting.config.target.database).unwrap();
    let options = ActivateOptions {
        to: Some(to.clone()),
        ..ActivateOptions::default()
    };
    let report = run(&mut setting, &options).unwrap();
    assert_eq!((report.mountable, &report.database), (true, &to));
    assert!(rows_of(&to) == rows);
    assert!(fs::read(&setting.config.target.database).unwrap() == before);
    // As if it had been killed before it was done.
    let unfinish = |state: &mut CopyState| state.activation.as_mut().unwrap().finished = None;
    setting.state_file().update(unfinish).unwrap();
    assert_eq!(run(&mut setting, &options).unwrap(), report);
}

#[test]
fn an_activation_is_taken_back_only_before_the_database_is_recovered() {
    let mut setting = behind();
    let begun = Activation {
        begun: Timestamp::UNIX_EPOCH,
        finished: None,
        from: setting.config.target.database.clone(),
        database: setting.config.target.database.clone(),
        found: None,
    };
    let order = |state: &mut CopyState| state.activation = Some(begun.clone());
    setting.state_file().update(order).unwrap();
    let status = setting.settle_all();
    assert_eq!(
        (status.summary, status.inspected.unwrap().generation),
        (Summary::Disabled, Generation(50))
    );
    take_back(&setting.state_file(), "SG1").unwrap();
    assert_eq!(
        setting.settle_all().inspected.unwrap().generation,
        Generation(CLOSED)
    );
    run(&mut setting, &ActivateOptions::default()).unwrap();
    let unfinish = |state: &mut CopyState| state.activation.as_mut().unwrap().finished = None;
    setting.state_file().update(unfinish).unwrap();
    assert!(take_back(&setting.state_file(), "SG1").is_err());
    assert!(setting.state_file().read().unwrap().activation.is_some());
}

#[test]
fn a_damaged_page_is_not_mountable() {
    const PAGE: usize = 8192;
    let mut setting = behind();
    // A page in use that this recovery does not read: it comes out as it went in.
    let twin = Twin::of(&setting.config, &setting.state_folder());
    let recovered = fs::read(twin.activate(&ActivateOptions::default()).unwrap().database).unwrap();
    let path = &setting.config.target.database;
    let mut file = fs::read(path).unwrap();
    let pages = file
        .chunks(PAGE)
        .zip(recovered.chunks(PAGE))
        .enumerate()
        .skip(2);
    let unread = pages
        .filter(|(_, (before, after))| before == after && before.iter().any(|byte| *byte != 0));
    let candidates: Vec<usize> = unread.map(|(number, _)| number * PAGE).collect();
    let at = candidates[candidates.len() / 2];
    file[at + 5000..at + 5100].fill(0x55);
    fs::write(path, file).unwrap();
    let report = run(&mut setting, &ActivateOptions::default());
    match report {
        Ok(report) => {
            assert!(!report.mountable, "{report}");
            assert_eq!(report.proof.unwrap().findings.len(), 1);
        }
        Err(error) => assert!(error.to_string().contains("checksum"), "{error}"),
    }
    let state = setting.state_file().read().unwrap();
    assert!(
        state
            .activation
            .is_none_or(|activation| activation.finished.is_none())
    );
}

#[test]
fn a_current_log_of_an_earlier_attempt_is_not_taken_for_the_end() {
    let mut setting = behind();
    let stale = setting.config.target.logs.join("E00.log");
    fs::copy(setting.stream.path(45), stale).unwrap();
    let rows = expected(&setting, 50);
    let report = run(&mut setting, &forced()).unwrap();
    assert_eq!(report.replayed.last, Some(Generation(50)));
    assert!(report.mountable && rows_of(&report.database) == rows);
}
