//! Where the bytes are makes no difference: a set that lies in memory, at an address, gives the same chain, the same
//! verdicts and the same recovery as the set in its folder.

use ese_log::chain::ChainReport;
use ese_log::{StreamChoice, StreamFiles};
use ese_replay::recovery::{DatabaseFile, RecoverOptions, Until, plan, try_out};
use ese_testkit::fixtures;
use ese_testkit::volume::MemoryVolume;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

#[test]
fn a_set_at_an_address_is_the_set_in_its_folder() {
    let volume = MemoryVolume::mounted();
    let names = fixtures::engine_set_names();
    let recovered = names.par_iter().map(|name| {
        let folder = fixtures::engine_set(name).join("state");
        let address = volume.take(name, &folder);
        let (here, here_recovered) = everything_about(&folder);
        let (there, there_recovered) = everything_about(&address);
        let as_there = here.replace(&*folder.to_string_lossy(), &address.to_string_lossy());
        assert_eq!(there, as_there, "{name}");
        assert_eq!(there_recovered, here_recovered, "{name}");
        usize::from(here_recovered)
    });
    let recovered: usize = recovered.sum();
    println!("{recovered} of {} sets were recovered", names.len());
    assert!(recovered * 2 > names.len());
}

/// The chain and the verdicts as text, and whether a recovery of all databases passes.
fn everything_about(place: &Path) -> (String, bool) {
    let choice = StreamChoice::default();
    let streams = StreamFiles::gather_all(&[place.to_owned()], choice.base).unwrap();
    let source = evidence::folder(place).unwrap();
    let mut paths: Vec<PathBuf> = evidence::files_in(&*source).unwrap();
    paths.sort();
    let databases = paths
        .iter()
        .filter_map(|path| DatabaseFile::open(path).ok());
    let databases: Vec<DatabaseFile> = databases.collect();
    let mut text = String::new();
    let mut passes = false;
    for files in streams {
        let chain: Option<ChainReport> = ese_log::chain::verify(&files, None, &()).unwrap();
        text += &serde_json::to_string(&chain.unwrap()).unwrap();
        let until = Until::default();
        let mut plan = plan(&files, None, &databases, &until, &()).unwrap();
        let options = RecoverOptions::default();
        let tried = try_out(&mut plan, &databases, 1 << 24, options, &()).unwrap();
        passes = tried.recovered.is_some();
        for judged in &plan.databases {
            text += &format!("\n{}", serde_json::to_string(&judged.verdict).unwrap());
        }
    }
    (text, passes && !databases.is_empty())
}
