//! `trivet-model`: searches the protocol's states, further than a test has time for.
use clap::Parser;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;
use trivet_model::plan;
use trivet_model::{Bounds, Pace, Report, Rule, Rules, Search};

/// Search every order of events of the log protocol, up to a bound, for a broken invariant
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Searches by name, instead of the bounds below: small (a minute) or large (many)
    #[arg(long, value_name = "NAME")]
    bound: Option<String>,
    /// Highest term
    #[arg(long, default_value_t = 3)]
    terms: u8,
    /// Longest log
    #[arg(long, default_value_t = 3)]
    log: u8,
    /// Crashes in all
    #[arg(long, default_value_t = 1)]
    crashes: u8,
    /// Promises made after the start
    #[arg(long, default_value_t = 1)]
    grants: u8,
    /// Begin without the two promises between the regions
    #[arg(long)]
    no_leases: bool,
    /// A region proposes something, and sends it again to each leader
    #[arg(long)]
    proposes: bool,
    /// Strong reads in all
    #[arg(long, default_value_t = 0)]
    reads: u8,
    /// Acknowledge, activate and expose at any time, not as soon as possible: for small bounds
    #[arg(long)]
    lazy: bool,
    /// Take this rule away; may be given again
    #[arg(long = "remove", value_name = "RULE")]
    removed: Vec<Rule>,
    /// Print the rules that can be taken away, and end
    #[arg(long)]
    rules: bool,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut out = io::stdout().lock();
    if arguments.rules {
        for rule in Rule::ALL {
            writeln!(out, "{rule:<26} {}", rule.meaning())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    match arguments.bound.as_deref() {
        None => {}
        Some("small") => return run_plan(&mut out, &plan::SMALL, &arguments),
        Some("large") => return run_plan(&mut out, &plan::LARGE, &arguments),
        Some(other) => {
            writeln!(out, "no such bound: {other}; there are small and large")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let search = Search {
        bounds: Bounds {
            terms: arguments.terms,
            log: arguments.log,
            crashes: arguments.crashes,
            grants: arguments.grants,
            leases: !arguments.no_leases,
            proposes: arguments.proposes,
            reads: arguments.reads,
            pace: if arguments.lazy { Pace::Lazy } else { Pace::Eager },
        },
        rules: Rules::without(&arguments.removed),
        threads: arguments.threads,
        within: Duration::from_secs(arguments.seconds),
    };
    let watched = io::stderr().is_terminal();
    let report = search.run(|states, depth| {
        if watched {
            let _ = write!(io::stderr(), "\r{states:>12} states, depth {depth} ");
        }
    });
    if watched {
        writeln!(io::stderr())?;
    }
    print(&mut out, &search, &report)?;
    Ok(if report.finding.is_none() && report.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One search after the other, a row each; then each rule taken away.
fn run_plan(out: &mut impl Write, plan: &[Bounds], arguments: &Arguments) -> io::Result<ExitCode> {
    let within = Duration::from_secs(arguments.seconds);
    let search = |bounds: Bounds, removed: &[Rule]| {
        Search { bounds, rules: Rules::without(removed), threads: arguments.threads, within }.run(|_, _| {})
    };
    let mut failed = false;
    writeln!(out, "{:<60} {:>11} {:>5} {:>7}  result", "every order of events within", "states", "depth", "seconds")?;
    for bounds in plan {
        let report = search(*bounds, &[]);
        let sound = report.finding.is_none() && report.complete;
        let result = match (&report.finding, report.complete) {
            (Some(finding), _) => finding.invariant.name(),
            (None, true) => "sound",
            (None, false) => "not finished",
        };
        let Report { states, depth, elapsed, .. } = report;
        writeln!(out, "{:<60} {states:>11} {depth:>5} {:>7.1}  {result}", bounds.to_string(), elapsed.as_secs_f64())?;
        out.flush()?;
        failed |= !sound;
    }
    writeln!(out, "\n{:<60} {:>11} {:>5} {:>7}  caught by", "without", "states", "steps", "seconds")?;
    for (removed, bounds) in plan::missed() {
        let report = search(bounds, &removed);
        let names: Vec<&str> = removed.iter().map(|rule| rule.name()).collect();
        let (steps, by) = match &report.finding {
            Some(finding) => (finding.steps.len(), finding.invariant.name()),
            None => (0, "nothing: this is a failure"),
        };
        let Report { states, elapsed, .. } = report;
        writeln!(out, "{:<60} {states:>11} {steps:>5} {:>7.1}  {by}", names.join(" and "), elapsed.as_secs_f64())?;
        out.flush()?;
        failed |= steps == 0;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(out: &mut impl Write, search: &Search, report: &Report) -> io::Result<()> {
    let removed: Vec<&str> = search.rules.removed().map(Rule::name).collect();
    writeln!(out, "bounds     {}", search.bounds)?;
    writeln!(out, "without    {}", if removed.is_empty() { "-".to_owned() } else { removed.join(", ") })?;
    writeln!(out, "states     {}, depth {}", report.states, report.depth)?;
    writeln!(out, "time       {:.1} s, {} threads", report.elapsed.as_secs_f64(), search.threads)?;
    let result = match (&report.finding, report.complete) {
        (Some(_), _) => "broken",
        (None, true) => "all invariants hold in every state",
        (None, false) => "no invariant broken, but not every state was visited",
    };
    writeln!(out, "result     {result}")?;
    for milestone in &report.reached {
        writeln!(out, "reached    {milestone}")?;
    }
    if let Some(finding) = &report.finding {
        writeln!(out, "\n{finding}")?;
    }
    Ok(())
}
