//! Runs seeds of the simulator, or replays one with its trace.
use clap::Parser;
use std::process::ExitCode;
use trivet_log::Sabotage;
use trivet_sim::swarm::{self, Profile};

/// Run the replicated log under faults drawn from seeds.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Print every input and effect.
    #[arg(long)]
    verbose: bool,
    /// What to draw from: any, storm, deposed.
    #[arg(long, default_value = "any")]
    profile: String,
    /// A rule to take away, by its name in `Sabotage`.
    #[arg(long)]
    sabotage: Option<String>,
    /// Go on after a failure.
    #[arg(long)]
    all: bool,
}

#[allow(clippy::print_stdout)]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sabotage = match arguments.sabotage.as_deref().map(sabotage_named) {
        None => Sabotage::default(),
        Some(Some(sabotage)) => sabotage,
        Some(None) => {
            println!("no such sabotage; there are: {}", trivet_sim::mutation::NAMES.map(|(name, _)| name).join(", "));
            return ExitCode::FAILURE;
        }
    };
    let profile = match arguments.profile.as_str() {
        "any" => Profile::Any,
        "storm" => Profile::Storm,
        "deposed" => Profile::Deposed,
        other => {
            println!("no such profile: {other}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = 0;
    for seed in arguments.seed..arguments.seed + arguments.count {
        let report = swarm::run(seed, profile, sabotage, arguments.verbose);
        report.trace.iter().for_each(|line| println!("{line}"));
        match &report.violation {
            Some(violation) => println!("seed {seed}: {violation}"),
            None if arguments.count == 1 => {
                println!("seed {seed}: well, healed in {} ms; {:?}", report.healed_in / 1_000_000, report.counts)
            }
            None => {}
        }
        failed += u64::from(report.violation.is_some());
        if failed > 0 && !arguments.all {
            break;
        }
    }
    println!("{failed} of {} seeds failed", arguments.count);
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn sabotage_named(name: &str) -> Option<Sabotage> {
    trivet_sim::mutation::NAMES.iter().find(|(known, _)| *known == name).map(|(_, make)| {
        let mut sabotage = Sabotage::default();
        make(&mut sabotage);
        sabotage
    })
}
