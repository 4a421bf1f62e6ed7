//! `compat`: the same statements here and on PostgreSQL 15. The comparing is `trivet-compat`'s; here is where both come from.
use super::start_private;
use crate::cli::{CompatArguments, CompatCommand, CompatFuzz, CompatRandom, CompatServer};
use crate::distances;
use crate::layout::checkout;
use crate::layout::config::{Auth, Testing};
use crate::place::Place;
use crate::private::Private;
use crate::signals::StopSignals;
use crate::terminal::{Progress, say};
use crate::testbed::Options;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use trivet_compat::fuzz;
use trivet_compat::random::{self, Plan, Report};
use trivet_compat::recorded::{self, Recorded};
use trivet_compat::run::Expected;
use trivet_compat::side::Running;
use trivet_compat::{Address, Ledger, Reference, Script, Side, Target, compare_file, report};
use trivet_netem::{BackendKind, Choice};

/// Beside the scripts.
const LEDGER: &str = "differences.txt";
/// Statements between two looks at how far it is.
const STEP: u64 = 250;

/// False: there are differences.
pub async fn compat(arguments: CompatArguments) -> Result<bool> {
    let mut signals = StopSignals::listen()?;
    match &arguments.random {
        Some(CompatCommand::Random(arguments)) => signals.unless_heard(random(arguments)).await,
        // Tells what it found so far.
        Some(CompatCommand::Fuzz(arguments)) => broken(arguments, signals).await,
        None => signals.unless_heard(scripts(&arguments)).await,
    }
}

/// Our side: a server that is told, or a testbed that goes with this.
struct Ours {
    side: Running,
    private: Option<Private>,
}

impl Ours {
    async fn start(server: &CompatServer) -> Result<Ours> {
        if let Some(address) = server.address {
            return Ok(Ours { side: Running::new(Target::new(Address::Tcp(address))), private: None });
        }
        let distances = distances::parse("same-zone").expect("a profile that netem knows");
        // Nobody wants the data, so nothing waits for a disk.
        let testing = Testing { skip_fsync: true, ..Testing::default() };
        let options = Options {
            sql_ports: None,
            distances,
            net: Choice::One(BackendKind::Relay),
            testing,
            auth: Auth::Trust,
            keeper: None,
        };
        let private = start_private(options, &mut StopSignals::listen()?).await?;
        let address = private.testbed.endpoints()?[&Place::A].address;
        Ok(Ours { side: Running::new(Target::new(Address::Tcp(address))), private: Some(private) })
    }

    async fn stop(self) -> Result<()> {
        match self.private {
            Some(private) => private.close().await,
            None => Ok(()),
        }
    }
}

async fn scripts(arguments: &CompatArguments) -> Result<bool> {
    let paths = script_paths(&arguments.files)?;
    let mut ours = Ours::start(&arguments.server).await?;
    let done = compare_scripts(arguments, &paths, &mut ours.side).await;
    // As it was found.
    ours.side.fresh().await?;
    ours.stop().await?;
    done
}

async fn compare_scripts(arguments: &CompatArguments, paths: &[PathBuf], ours: &mut Running) -> Result<bool> {
    let mut reference = if arguments.recorded { None } else { Some(Reference::start()?) };
    let mut ledgers = BTreeSet::new();
    let mut comparisons = Vec::new();
    let progress = Progress::start();
    for path in paths {
        let script = Script::read(path)?;
        progress.step(format!("{}, {} statements", script.name, script.statements.len()));
        let folder = path.parent().unwrap_or(Path::new("."));
        let ledger_path = arguments.ledger.clone().unwrap_or_else(|| folder.join(LEDGER));
        let ledger = if ledger_path.exists() { Ledger::read(&ledger_path)? } else { Ledger::default() };
        ledgers.insert(ledger_path);
        let record_path = recorded::path(folder, &script.name);
        let mut answers;
        let expected = match &mut reference {
            Some(reference) => Expected::Live(reference.fresh().await?),
            None => {
                let text = std::fs::read_to_string(&record_path)
                    .with_context(|| format!("cannot read {}: --record writes it", record_path.display()))?;
                answers = Recorded::parse(&text).with_context(|| record_path.display().to_string())?;
                Expected::Recorded(&mut answers)
            }
        };
        let comparison = compare_file(&script, expected, ours.fresh().await?, &ledger).await?;
        if arguments.record {
            let parent = record_path.parent().expect("a file in a folder");
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            std::fs::write(&record_path, comparison.record())
                .with_context(|| format!("cannot write {}", record_path.display()))?;
        }
        comparisons.push(comparison);
    }
    progress.done();
    let failures = report::failures(&comparisons, arguments.show);
    if !failures.is_empty() {
        say(&failures);
    }
    say(report::table(&comparisons));
    for ledger in ledgers {
        say(format!("known differences and their reasons: {}", ledger.display()));
    }
    say(report::figure(&comparisons));
    Ok(failures.is_empty())
}

fn script_paths(files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if !files.is_empty() {
        return Ok(files.to_vec());
    }
    let Some(checkout) = checkout()? else {
        bail!("name the scripts: the suite lies in a checkout of the sources, which this is not")
    };
    let folder = checkout.join("region/sql/tests/compat");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

async fn random(arguments: &CompatRandom) -> Result<bool> {
    let numbers = match arguments.only {
        Some(number) => (number, number + 1),
        None => (0, arguments.queries),
    };
    let plan = Plan { seed: arguments.seed, numbers, differences_max: arguments.differences };
    if arguments.print {
        random::statements(plan).iter().for_each(|statement| say(format!("{statement};")));
        return Ok(true);
    }
    let mut ours = Ours::start(&arguments.server).await?;
    let begun = Instant::now();
    let done = ask_random(plan, &mut ours.side).await;
    ours.stop().await?;
    let report = done?;
    say(shown(&report, arguments.only.is_none()));
    say(format!("{} statements of seed {} in {:.1} s", report.asked, plan.seed, begun.elapsed().as_secs_f64()));
    for difference in &report.differences {
        let server = arguments.server.address.map_or_else(String::new, |address| format!(" --address {address}"));
        say(format!(
            "\nstatement {} differs:\n{};\n\nmade small:\n{};\n\nPostgreSQL:\n{}here:\n{}\nagain: trivet compat random --seed {} --only {}{server}",
            difference.number,
            difference.original,
            difference.shrunk,
            difference.expected,
            difference.found,
            plan.seed,
            difference.number
        ));
    }
    Ok(report.differences.is_empty())
}

/// The suite's statements, broken.
async fn broken(arguments: &CompatFuzz, mut signals: StopSignals) -> Result<bool> {
    let mut corpus = Vec::new();
    for path in script_paths(&[])? {
        let statements = Script::read(&path)?.statements.into_iter().map(|statement| statement.sql);
        corpus.extend(statements.filter(|sql| fuzz::is_harmless(sql)));
    }
    let mut ours = Ours::start(&arguments.server).await?;
    let target = ours.side.fresh().await?;
    let until = Instant::now() + Duration::from_secs_f64(arguments.minutes * 60.0);
    let stopped = Arc::new(AtomicBool::new(false));
    let listener = tokio::spawn({
        let stopped = stopped.clone();
        async move {
            signals.heard().await;
            stopped.store(true, Ordering::Relaxed);
        }
    });
    let progress = Progress::start();
    let step = |asked: u64| {
        if asked.is_multiple_of(STEP) {
            progress.step(format!("{asked} statements"));
        }
        !stopped.load(Ordering::Relaxed)
    };
    let done = fuzz::fuzz(&target, &corpus, arguments.seed, until, arguments.findings, step).await;
    progress.done();
    listener.abort();
    ours.stop().await?;
    let report = done?;
    for finding in &report.findings {
        say(format!("\n{}:\n{}", finding.what, finding.sql));
    }
    let codes = report.codes.iter().map(|(code, count)| match code.as_str() {
        "" => format!("{count} without error"),
        code => format!("{code} {count}"),
    });
    say(codes.collect::<Vec<_>>().join(", "));
    say(format!(
        "{} statements, the slowest took {:.1} s, {} findings",
        report.asked,
        report.slowest.as_secs_f64(),
        report.findings.len()
    ));
    Ok(report.findings.is_empty())
}

async fn ask_random(plan: Plan, ours: &mut Running) -> Result<Report> {
    let mut reference = Reference::start()?;
    let (theirs, target) = (reference.fresh().await?, ours.fresh().await?);
    let progress = Progress::start();
    let step = |asked: u64| {
        if asked.is_multiple_of(STEP) {
            progress.step(format!("{asked} statements"));
        }
    };
    let report = random::compare(theirs, target, plan, step).await;
    progress.done();
    // As it was found.
    ours.fresh().await?;
    report
}

fn shown(report: &Report, with_coverage: bool) -> String {
    let mut lines = Vec::new();
    if with_coverage {
        lines.push(format!("{} productions used:", report.coverage.0.len()));
        let counts: Vec<String> = report.coverage.0.iter().map(|(name, count)| format!("{name} {count}")).collect();
        lines.extend(counts.chunks(8).map(|chunk| format!("  {}", chunk.join(", "))));
    }
    for (title, counts) in [("not supported here", &report.unsupported), ("errors of PostgreSQL", &report.errors)] {
        if !counts.is_empty() {
            lines.push(format!("{title}:"));
            lines.extend(counts.iter().map(|(message, count)| format!("  {count} {message}")));
        }
    }
    lines.join("\n")
}
