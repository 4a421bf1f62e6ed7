//! Runs seeds of the simulator, or replays one with its trace.
#![allow(clippy::print_stdout)]
use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;
use trivet_log::Sabotage;
use trivet_sim::mutation;
use trivet_sim::swarm::{self, Failure, Plan, Profile, Summary};

/// Run the replicated log under faults drawn from seeds
#[derive(Parser)]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Stop after so many minutes
    #[arg(long)]
    minutes: Option<f64>,
    /// What to draw from: any, storm, deposed, disks, lost, clocks; without it each seed has its own
    #[arg(long)]
    profile: Option<String>,
    /// Go on after a failure
    #[arg(long)]
    all: bool,
    /// Run this seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print every input and effect
    #[arg(long)]
    verbose: bool,
    /// A rule to take away, by its name in `Sabotage`
    #[arg(long)]
    sabotage: Option<String>,
    /// Plant seven bugs, one after the other, and count the seeds that find each
    #[arg(long)]
    planted: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match plan(&arguments) {
        Ok(plan) if arguments.planted => planted(&plan),
        Ok(plan) => match arguments.seed {
            Some(seed) => one(seed, &plan, arguments.verbose),
            None => many(&plan),
        },
        Err(what) => {
            println!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn plan(arguments: &Arguments) -> Result<Plan, String> {
    let names = |names: &[&str]| names.join(", ");
    let sabotage = match &arguments.sabotage {
        None => Sabotage::default(),
        Some(name) => mutation::named(name)
            .ok_or_else(|| format!("no such sabotage; there are: {}", names(&mutation::NAMES.map(|(name, _)| name))))?,
    };
    let profile = match &arguments.profile {
        None => None,
        Some(name) => Some(
            Profile::ALL
                .into_iter()
                .find(|profile| profile.name() == name)
                .ok_or_else(|| format!("no such profile; there are: {}", names(&Profile::ALL.map(Profile::name))))?,
        ),
    };
    let within = arguments.minutes.map(|minutes| Duration::from_secs_f64(minutes.max(0.0) * 60.0));
    Ok(Plan { from: arguments.from, seeds: arguments.seeds, within, profile, sabotage, all: arguments.all })
}

fn one(seed: u64, plan: &Plan, verbose: bool) -> ExitCode {
    let profile = plan.profile.unwrap_or_else(|| Profile::of(seed));
    let report = swarm::run(seed, profile, plan.sabotage, verbose);
    report.trace.iter().for_each(|line| println!("{line}"));
    match report.violation {
        Some(violation) => {
            println!("seed {seed}, {}: {violation}", profile.name());
            ExitCode::FAILURE
        }
        None => {
            let healed = report.healed_in / 1_000_000;
            println!("seed {seed}, {}: well, healed in {healed} ms; {:?}", profile.name(), report.counts);
            ExitCode::SUCCESS
        }
    }
}

fn many(plan: &Plan) -> ExitCode {
    let summary = swarm::run_all(plan, |report| {
        if let Some(violation) = &report.violation {
            println!("seed {}: {violation}", report.seed);
        }
    });
    for failure in summary.failures.iter().take(1) {
        explain(failure, plan.sabotage);
    }
    print(&summary);
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The end of a failing seed's trace, and how to have all of it.
fn explain(failure: &Failure, sabotage: Sabotage) {
    const LINES: usize = 60;
    let report = swarm::run(failure.seed, failure.profile, sabotage, true);
    println!("\nthe last {LINES} lines of seed {}:", failure.seed);
    let skip = report.trace.len().saturating_sub(LINES);
    report.trace.iter().skip(skip).for_each(|line| println!("{line}"));
    println!("\n{}\nreplay: {}", failure.violation, failure.replay());
}

fn print(summary: &Summary) {
    let counts = &summary.counts;
    println!("seeds      {} run, {} failed", summary.run, summary.failures.len());
    println!(
        "time       {:.0} s simulated in {:.1} s: {:.0} simulated seconds in a real one",
        summary.simulated as f64 / 1e9,
        summary.elapsed.as_secs_f64(),
        summary.speed()
    );
    println!(
        "log        {} entries exposed, {} elections, {} adoptions",
        counts.exposed, counts.elections, counts.adoptions
    );
    println!(
        "leases     {} activated, {} lapsed; {} reads, {} by asking",
        counts.activations, counts.lapses, counts.reads, counts.reads_asked
    );
    println!(
        "crashes    {}, {} with a part of what was not synced; {} pauses",
        counts.crashes, counts.survivals, counts.pauses
    );
    println!("regions    {} ejected, {} readmitted", counts.ejections, counts.readmissions);
    println!(
        "disks      {} rotted, {} repairs, {} full, {} syncs failed, {} lost, {} begun anew",
        counts.rots, counts.repairs, counts.disks_full, counts.syncs_failed, counts.losses, counts.rejoins
    );
    if counts.excused > 0 {
        println!(
            "clocks     beyond their bound: {} checks found a lease or a strong read wrong, as they then may be, and nothing else",
            counts.excused
        );
    }
}

fn planted(plan: &Plan) -> ExitCode {
    println!("{:30} {:>6} {:>6}  first", "planted", "seeds", "found");
    let mut missed = false;
    for bug in swarm::planted(plan) {
        let first = bug.first.map_or("-".to_owned(), |failure| {
            format!("seed {} ({}), {}", failure.seed, failure.profile.name(), failure.violation.rule)
        });
        println!("{:30} {:>6} {:>6}  {first}\n    {}", bug.name, bug.seeds, bug.found, bug.meaning);
        missed |= bug.found == 0;
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
