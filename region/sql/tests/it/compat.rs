//! The same scripts here and on PostgreSQL 15: `testbed/compat` compares every field of what both answer.
//!
//! Known differences are in `tests/compat/differences.txt` with their reasons; an entry that no longer differs fails the run,
//! so the list only shrinks. Without PostgreSQL the answers in `tests/compat/recorded` stand for it; `TRIVET_COMPAT_RECORD=1`
//! (or `trivet compat --record`) writes them anew.
use crate::server::Server;
use std::path::PathBuf;
use trivet_compat::recorded::{self, Recorded};
use trivet_compat::run::Expected;
use trivet_compat::{Comparison, Ledger, Reference, Script, Side, compare_file, random, report};
use trivet_sql::planted::{Bug, plant};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

fn reference() -> Option<Reference> {
    match Reference::installed() {
        Ok(()) => Some(Reference::start().expect("an installed PostgreSQL starts")),
        Err(reason) => {
            eprintln!("{reason}");
            None
        }
    }
}

#[tokio::test]
async fn answers_are_postgresqls() {
    let mut reference = reference();
    let ledger = Ledger::read(&folder().join("differences.txt")).expect("the list of differences");
    let mut scripts = Script::read_folder(&folder()).expect("the scripts");
    // For trying: only these files, by the beginnings of their names.
    if let Ok(only) = std::env::var("TRIVET_COMPAT_ONLY") {
        scripts.retain(|script| only.split(',').any(|wanted| script.name.starts_with(wanted)));
    }
    let record = std::env::var_os("TRIVET_COMPAT_RECORD").is_some();
    let mut comparisons: Vec<Comparison> = Vec::new();
    for script in &scripts {
        let server = Server::start().await;
        let path = recorded::path(&folder(), &script.name);
        let mut answers;
        let expected = match &mut reference {
            Some(reference) => Expected::Live(reference.fresh().await.expect("an empty database")),
            None => {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                answers = Recorded::parse(&text).expect("what was recorded");
                Expected::Recorded(&mut answers)
            }
        };
        let comparison = compare_file(script, expected, server.target(), &ledger).await.expect("both sides answer");
        if record && reference.is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, comparison.record()).expect("recorded");
        }
        comparisons.push(comparison);
    }
    println!("{}\n{}", report::table(&comparisons), report::figure(&comparisons));
    let mut failures = report::failures(&comparisons, 200);
    let names: Vec<&str> = scripts.iter().map(|script| script.name.as_str()).collect();
    let all = std::env::var_os("TRIVET_COMPAT_ONLY").is_none();
    for entry in ledger.strangers(&names).into_iter().filter(|_| all) {
        failures.push_str(&format!("{entry} is listed, but there is no such file\n"));
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[tokio::test]
async fn random_statements_answer_as_postgresql_does() {
    let Some(mut reference) = reference() else {
        eprintln!("skipped: it takes a PostgreSQL that answers what nobody has asked before");
        return;
    };
    // For trying: "20 30 500" are seeds 20 to 29 with 500 statements each, of which all that differ are shown.
    let asked: Option<Vec<u64>> = std::env::var("TRIVET_COMPAT_SEEDS")
        .ok()
        .map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect());
    let (seeds, count, shown_max) = match asked.as_deref() {
        Some([from, before, count]) => (*from..*before, *count, 40),
        _ => (1..4, 400, 1),
    };
    let mut all = String::new();
    for seed in seeds {
        let server = Server::start().await;
        let theirs = reference.fresh().await.expect("an empty database");
        let plan = random::Plan { seed, numbers: (0, count), differences_max: shown_max };
        let report = random::compare(theirs, server.target(), plan, |_| ()).await.expect("both sides answer");
        for difference in &report.differences {
            all.push_str(&format!(
                "seed {seed}, statement {}:\n{}\nshrunk: {}\nPostgreSQL:\n{}here:\n{}\n",
                difference.number, difference.original, difference.shrunk, difference.expected, difference.found
            ));
        }
        println!("seed {seed}: {} asked, refused {:?}, errors {:?}", report.asked, report.unsupported, report.errors);
    }
    assert!(all.is_empty(), "{all}");
}

/// Statements of a seed, while a bug is planted or none is, until one is answered differently.
async fn until_different(
    reference: &mut Reference,
    bug: Option<Bug>,
    seed: u64,
    numbers: (u64, u64),
) -> random::Report {
    // A server on this thread, which is the only one that the switch concerns.
    let server = Server::start().await;
    let theirs = reference.fresh().await.expect("an empty database");
    plant(bug);
    let plan = random::Plan { seed, numbers, differences_max: 1 };
    let report = random::compare(theirs, server.target(), plan, |_| ()).await.expect("both sides answer");
    plant(None);
    report
}

/// Each is found within so many statements of its seed, by a statement that is answered alike without it, and made small.
#[tokio::test]
async fn planted_bugs_are_found() {
    let Some(mut reference) = reference() else {
        eprintln!("skipped: it takes a PostgreSQL that answers what nobody has asked before");
        return;
    };
    for (at, bug) in Bug::ALL.into_iter().enumerate() {
        let seed = 100 + at as u64;
        let mut from = 0;
        let difference = loop {
            let report = until_different(&mut reference, Some(bug), seed, (from, 3000)).await;
            let Some(difference) = report.differences.into_iter().next() else { panic!("{bug:?} was not found") };
            let number = difference.number;
            let without = until_different(&mut reference, None, seed, (number, number + 1)).await;
            if without.differences.is_empty() {
                break difference;
            }
            from = number + 1;
        };
        println!("{bug:?}, statement {}: {}", difference.number, difference.shrunk);
        let words = difference.shrunk.split_whitespace().count();
        assert!(words <= 60, "{bug:?} is not small: {}", difference.shrunk);
    }
}
