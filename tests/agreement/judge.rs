//! What is wrong with the answers about one site: they contradict each other, or the bytes.

use crate::programs::{Answer, Class, Question, export};
use ese_format::Generation;
use ese_testkit::accident::scene::{Scene, SceneDatabase, header_of};
use ese_testkit::accident::truth::{Expected, Truth};
use ese_testkit::accident::{Accident, Site};
use ese_testkit::ledger::Ledger;
use ese_testkit::rows::Rows;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What kind of wrong it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Wrong {
    /// Success, and committed rows are missing, or others are there.
    SilentLoss,
    /// Success, though logs that are needed are not there as they were.
    NotNoticed,
    /// No success, though nothing that is needed is missing.
    FalseAlarm,
    /// Two programs answer differently.
    Contradiction,
    /// Two programs name different errors of the engine.
    OtherNumber,
    /// A good log is blamed.
    Culprit,
    /// The evidence was changed, or a program broke.
    Harm,
}

/// Something wrong.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) wrong: Wrong,
    /// In few words that are the same for all cases of one cause.
    pub(crate) what: String,
    /// More, for a person who looks into it.
    pub(crate) detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}\n    {}", self.wrong, self.what, self.detail)
    }
}

/// A trial: a scene, what happens, and what comes of it.
pub(crate) struct Trial {
    pub(crate) scene: Scene,
    pub(crate) accidents: Vec<Accident>,
    pub(crate) seed: u64,
}

/// Answers with their classes, put as those of a loss where another program says that there is one: the refusal of one
/// that only refuses, and the success of `--until-undo`, whose result still needs the logs that are missing.
fn put_together(answers: &[Answer]) -> Vec<(Class, &Answer)> {
    let loss = answers.iter().any(|answer| answer.class == Class::WithLoss);
    let class = |answer: &Answer| match (answer.class, answer.program) {
        (Class::Refused, "logchain verify" | "edbreplay plan") => Class::Refused,
        (Class::Refused, _) | (Class::Ready, "run --until-undo") if loss => Class::WithLoss,
        (Class::Ready, _) if loss && answer.forced => Class::WithLoss,
        (class, _) => class,
    };
    answers
        .iter()
        .map(|answer| (class(answer), answer))
        .collect()
}

impl Trial {
    /// Lets it happen, asks all programs, and judges.
    pub(crate) fn carry_out(&self) -> Vec<Finding> {
        let mut site = Site::of(&self.scene);
        for accident in &self.accidents {
            site.suffer(accident, &self.scene);
        }
        let before = contents(site.path());
        let mut findings = Vec::new();
        let all: Vec<usize> = (0..site.databases.len()).collect();
        match all.is_empty() {
            true => self.ask_for_nothing(&site, &mut findings),
            false => self.ask(&site, &all, &mut findings),
        }
        if site.databases.len() > 1 {
            let one = self.seed as usize % site.databases.len();
            if all != [one] {
                self.ask(&site, &[one], &mut findings);
            }
        }
        if contents(site.path()) != before {
            findings.push(Finding {
                wrong: Wrong::Harm,
                what: "the sources were changed".to_owned(),
                detail: String::new(),
            });
        }
        findings
    }

    /// Asks what the logs alone come to.
    fn ask_for_nothing(&self, site: &Site, findings: &mut Vec<Finding>) {
        let out = TempDir::new().expect("a temporary folder can be made");
        let question = Question {
            logs: site.path(),
            base: &site.base,
            databases: Vec::new(),
            out: out.path(),
            threads: "1",
        };
        let answers = [question.plan(), question.run()];
        let mut find = |wrong, what: String, detail: String| {
            let what = format!("{what}, from nothing");
            findings.push(Finding {
                wrong,
                what,
                detail,
            });
        };
        compare(&answers, &mut find);
        let truth = Truth::of(&self.scene, site.path(), &site.base);
        against(
            truth.expected_from_nothing(&self.scene),
            &answers,
            &mut find,
        );
        if answers[1].class != Class::Ready {
            return;
        }
        for made in &self.scene.made {
            let (least, most) = truth.committed_from_nothing(&made.ledger);
            let result = out.path().join("run").join(&made.name);
            // Where the logs end before it was created, they leave an earlier one of its name, or none.
            let other = header_of(&result).is_some_and(|header| header.signature != made.signature);
            let born = made.ledger.commits().first();
            let unborn = born.is_some_and(|born| truth.newest() < Some(born.begin.generation));
            if (other && truth.newest() < Some(self.scene.newest())) || (unborn && !result.exists())
            {
                continue;
            }
            if let Err(problem) = right(&made.ledger, &made.name, &result, least, most) {
                find(Wrong::SilentLoss, "edbreplay run: rows".to_owned(), problem);
            }
        }
    }

    /// Asks all programs about these databases of the site.
    fn ask(&self, site: &Site, which: &[usize], findings: &mut Vec<Finding>) {
        let given: Vec<&(PathBuf, SceneDatabase)> =
            which.iter().map(|at| &site.databases[*at]).collect();
        let out = TempDir::new().expect("a temporary folder can be made");
        let threads = if self.seed.is_multiple_of(2) {
            "1"
        } else {
            "2"
        };
        let question = Question {
            logs: site.path(),
            base: &site.base,
            databases: given.iter().map(|(path, _)| &**path).collect(),
            out: out.path(),
            threads,
        };
        let mut answers = vec![
            question.verify(),
            question.plan(),
            question.run(),
            question.until_undo(),
        ];
        let truth = Truth::of(&self.scene, site.path(), &site.base);
        let mut standby = Vec::new();
        if given.len() == 1 {
            answers.push(question.export());
            let restored = question.restore();
            // A copy that needs no log, or is ahead of its source, is one that cannot be continued where a log is
            // damaged: that is more than whether it can be recovered.
            let needs = given
                .iter()
                .all(|(_, given)| given.first_needed().is_some());
            // And a repaired database belongs to no stream: a standby has nothing that could continue it.
            let header = header_of(given[0].0.as_path());
            let repaired = header.is_some_and(|header| header.log_signature.is_null());
            let whole = truth.all_whole() && self.scene.kind != "newer than the logs";
            // What it fetches is joined to its own chain, from the first log that its database is in to the newest closed
            // one, needed or not.
            let chain = truth.logs.iter().rev().skip(1);
            let first = given[0].1.header.last_consistent.generation;
            let first = given[0]
                .1
                .first_needed()
                .map_or(first, |needed| needed.min(first));
            let mut chain = chain.take_while(|(generation, _)| **generation >= first);
            let joins = chain.all(|(generation, _)| truth.is_whole(*generation));
            let closed = truth.logs.keys().rev().nth(1);
            let joins = joins && closed.is_none_or(|closed| truth.is_whole(*closed));
            match !repaired && joins && (needs || whole) {
                true => answers.extend(restored),
                false => standby.extend(restored),
            }
        }
        let scope = match (given.len(), self.scene.databases.len()) {
            (one, all) if one < all => ", one of several databases",
            _ => "",
        };
        let mut find = |wrong, what: String, detail: String| {
            let what = format!("{what}{scope}");
            findings.push(Finding {
                wrong,
                what,
                detail,
            });
        };
        compare(&answers, &mut find);
        compare(&standby, &mut find);
        let mut expected = Expected::Ready;
        for (path, given) in &given {
            expected = expected.max(match header_of(path) {
                None => Expected::Refused,
                // The others are attached in the logs, too.
                Some(_) if !scope.is_empty() => Expected::Open,
                Some(_) => truth.expected(&self.scene, given),
            });
            let (least, most) = truth.committed(given);
            let rows_are_right =
                |place: &Path| right(&given.ledger, &given.name, place, least, most);
            self.law(&question, &answers, path, &rows_are_right, &mut find);
        }
        against(expected, &answers, &mut find);
        for answer in &answers {
            blamed(&truth, answer, &mut find);
        }
    }

    /// Success means that every transaction is there that was committed and is not lost.
    fn law(
        &self,
        question: &Question<'_>,
        answers: &[Answer],
        database: &Path,
        rows_are_right: &dyn Fn(&Path) -> Result<(), String>,
        find: &mut dyn FnMut(Wrong, String, String),
    ) {
        let ready = |program: &str| {
            let mut found = answers.iter().filter(|answer| answer.program == program);
            found
                .next()
                .is_some_and(|answer| answer.class == Class::Ready)
        };
        let name = database.file_name().expect("a file has a name");
        let result = question.out.join("run").join(name);
        let mut check = |program: &str, path: &Path| {
            if let Err(problem) = rows_are_right(path) {
                find(Wrong::SilentLoss, format!("{program}: rows"), problem);
            }
        };
        if ready("edbreplay run") {
            check("edbreplay run", &result);
        }
        let restored = question.restored();
        let forced = |answer: &&Answer| answer.program == "scr restore" && answer.forced;
        if answers.iter().any(|answer| forced(&answer)) && !ready("edbreplay run") {
            // What it gives up it has told.
        } else if ready("scr restore")
            && !(ready("edbreplay run") && same_pages(&restored, &result))
        {
            check("scr restore", &restored);
        }
        // The rows that are exported are compared with those of the result, which have been judged.
        let expected = question.out.join("rows-of-result");
        let told = match ready("edbreplay run") {
            true => export(&result, None, &expected, question.threads).exit == 0,
            false => false,
        };
        if told && ready("export --with-logs") {
            let rows = question.out.join("rows");
            if let Some(what) = other_rows(&rows, &expected) {
                find(
                    Wrong::SilentLoss,
                    "export --with-logs: rows".to_owned(),
                    what,
                );
            }
        }
        if ready("edbreplay run") && ready("run --until-undo") {
            let again = question.out.join("again").join(name);
            let answer = question.run_again();
            if answer.class != Class::Ready {
                let what = "what --until-undo leaves cannot be recovered with the same logs";
                let what = format!("{what}: {:?} {:?}", answer.class, answer.jet);
                find(Wrong::Contradiction, what, answer.text);
            } else if !same_pages(&again, &result) {
                let what = "run --until-undo, and run: other pages than run".to_owned();
                let rows = rows_are_right(&again);
                let detail = format!("rows: {rows:?}");
                match rows {
                    Ok(()) => find(Wrong::Contradiction, what, detail),
                    Err(_) => find(Wrong::SilentLoss, what, detail),
                }
            }
        }
    }
}

/// All answers are of one class and name one error.
fn compare(answers: &[Answer], find: &mut dyn FnMut(Wrong, String, String)) {
    let broken = answers
        .iter()
        .filter(|answer| answer.class == Class::Broken);
    for answer in broken {
        let what = format!(
            "{} is at odds with itself (exit {})",
            answer.program, answer.exit
        );
        find(Wrong::Harm, what, answer.text.clone());
    }
    let mut camps: BTreeMap<Class, Vec<&Answer>> = BTreeMap::new();
    for (class, answer) in put_together(answers) {
        camps.entry(class).or_default().push(answer);
    }
    if camps.len() > 1 {
        let said = camps.iter().map(|(class, camp)| {
            let programs: Vec<&str> = camp.iter().map(|answer| answer.program).collect();
            let jet = camp.iter().find_map(|answer| answer.jet);
            let jet = jet.map(|jet| format!(" {jet}")).unwrap_or_default();
            format!("{class:?}{jet}: {}", programs.join(", "))
        });
        let said: Vec<String> = said.collect();
        find(Wrong::Contradiction, said.join(" | "), details(answers));
        return;
    }
    let mut numbers: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    // `scr` counts only logs of its copy's stream: where another one, a copy or a wrong name is in the way, it may name
    // what is missing then.
    let is_missing = |answer: &&Answer| {
        let missing = [-528, -543, -582];
        answer.program.starts_with("scr") && answer.jet.is_some_and(|jet| missing.contains(&jet))
    };
    for answer in answers.iter().filter(|answer| !is_missing(answer)) {
        if let Some(jet) = answer.jet {
            numbers.entry(jet).or_default().push(answer.program);
        }
    }
    if numbers.len() > 1 {
        let said = numbers.iter();
        let said: Vec<String> = said
            .map(|(jet, programs)| format!("{jet}: {}", programs.join(", ")))
            .collect();
        find(Wrong::OtherNumber, said.join(" | "), details(answers));
    }
}

fn details(answers: &[Answer]) -> String {
    let lines = answers.iter().map(|answer| {
        let text = answer.text.trim().replace('\n', "; ");
        let jet = answer.jet.map_or(String::new(), |jet| format!(" {jet}"));
        let (program, class, exit) = (answer.program, answer.class, answer.exit);
        format!("{program}: {class:?} (exit {exit}){jet} {text}")
    });
    lines.collect::<Vec<_>>().join("\n    ")
}

/// What the bytes say the answers must be.
fn against(expected: Expected, answers: &[Answer], find: &mut dyn FnMut(Wrong, String, String)) {
    let wrong: Vec<Answer> = answers
        .iter()
        .filter(|answer| {
            let success = answer.class == Class::Ready;
            let told = answer.forced || answer.program == "run --until-undo";
            match expected {
                Expected::Ready => !success,
                Expected::Refused => success,
                Expected::NotWhole => success && !told,
                Expected::Open => false,
            }
        })
        .cloned()
        .collect();
    if wrong.is_empty() {
        return;
    }
    let said = wrong.iter().map(|answer| {
        let jet = answer.jet.map_or(String::new(), |jet| format!(" {jet}"));
        format!("{} {:?}{jet}", answer.program, answer.class)
    });
    let said: Vec<String> = said.collect();
    let kind = match expected {
        Expected::Ready => Wrong::FalseAlarm,
        _ => Wrong::NotNoticed,
    };
    find(
        kind,
        format!("{expected:?} is right: {}", said.join(", ")),
        details(&wrong),
    );
}

/// A log that is as it was is not to blame.
fn blamed(truth: &Truth, answer: &Answer, find: &mut dyn FnMut(Wrong, String, String)) {
    if let Some(culprit) = answer.culprit.map(Generation)
        && truth.is_whole(culprit)
        // A log is judged by the header of the next one.
        && !truth.other_versions.contains(&Generation(culprit.0 + 1))
    {
        let what = format!("{} blames a log that is whole", answer.program);
        find(Wrong::Culprit, what, details(std::slice::from_ref(answer)));
    }
}

/// Whether the rows are those after so many transactions.
fn right(
    ledger: &Ledger,
    name: &str,
    place: &Path,
    least: usize,
    most: usize,
) -> Result<(), String> {
    let rows = catch_unwind(AssertUnwindSafe(|| ledger.read_rows(place)));
    let rows: Rows = rows.map_err(|_| "the result cannot be read".to_owned())?;
    for count in (least..=most).rev() {
        if *ledger.rows(name, count) == rows {
            return Ok(());
        }
    }
    let all = ledger.transactions();
    let found = match ledger.numbers_of(name, &rows) {
        Some((first, last)) => format!("those after {first}-{last}"),
        None => {
            let wanted = ledger.rows(name, most);
            let others = rows
                .iter()
                .filter(|(place, row)| wanted.get(place) != Some(row));
            let missing = wanted.keys().filter(|place| !rows.contains_key(place));
            let (others, missing) = (others.count(), missing.count());
            format!("those of no moment ({others} other, {missing} missing)")
        }
    };
    let count = rows.len();
    Err(format!(
        "{count} rows, {found}; right are those after {least}-{most} of {all} transactions"
    ))
}

/// What differs between the exports in two folders, if anything.
fn other_rows(one: &Path, other: &Path) -> Option<String> {
    let (one, other) = (contents(one), contents(other));
    let tables = |files: &BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, Vec<u8>> {
        let files = files.iter();
        let files = files.filter(|(path, _)| !path.ends_with("manifest.json"));
        files
            .map(|(path, bytes)| (path.clone(), bytes.clone()))
            .collect()
    };
    let (one, other) = (tables(&one), tables(&other));
    if one.keys().ne(other.keys()) {
        return Some(format!("{:?} and {:?}", one.keys(), other.keys()));
    }
    let mut differ = one.iter().filter(|(path, bytes)| other[*path] != **bytes);
    differ
        .next()
        .map(|(path, _)| format!("{} differs", path.display()))
}

/// Whether two databases are the same after their headers.
fn same_pages(one: &Path, other: &Path) -> bool {
    let pages = |path: &Path| {
        let header = header_of(path)?;
        let bytes = fs::read(path).ok()?;
        bytes
            .get(2 * header.page_size() as usize..)
            .map(<[u8]>::to_vec)
    };
    pages(one).is_some_and(|pages_of_one| pages(other) == Some(pages_of_one))
}

/// The files below a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = ese_testkit::fixtures::files_below(folder).into_iter();
    let named = files.map(|path| {
        let name = path.strip_prefix(folder).expect("it is below").to_owned();
        (name, fs::read(&path).expect("it can be read"))
    });
    named.collect()
}
