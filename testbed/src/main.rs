//! `trivet`: runs a whole cluster on one machine, breaks it, checks it, measures it.
//!
//! ```text
//!   cli, commands     what the user asked for
//!   testbed           netem and three nodes as processes; private: one that cleans up after itself
//!   distances         how far the places are from each other, by name or from a file
//!   layout            directories, addresses, certificates, configuration files
//!   within            the network that a place is in
//!   process, state    processes by pid and start time; who runs now; signals: the user asks to stop
//!   status, http      what a node says about itself; metrics: what it did between two looks; diagnosis: what it means
//!   sql, load         clients; history: what they saw
//!   check             pure checkers over a history
//!   drills            faults under load, measured and checked
//!   bench, probe      what commits, reads and links cost
//!   terminal          tables, progress, small pictures
//! ```
//!
//! Exit codes: 0 done, 1 a drill found something broken, 2 the command could not be carried out.
mod bench;
mod check;
mod cli;
mod commands;
mod diagnosis;
mod distances;
mod drills;
mod history;
mod http;
mod layout;
mod load;
mod metrics;
mod place;
mod private;
mod probe;
mod process;
mod signals;
mod sql;
mod state;
mod status;
mod terminal;
mod testbed;
mod within;

use clap::Parser;
use cli::{Cli, Command};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("TRIVET_LOG").unwrap_or_else(|_| EnvFilter::new("trivet=info,warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    let cli = Cli::parse();
    match run(cli).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// False: it was done, and something is broken.
async fn run(cli: Cli) -> anyhow::Result<bool> {
    let data = cli.data.as_deref();
    match cli.command {
        Command::Up(arguments) => commands::up::up(data, arguments).await?,
        Command::Down => commands::up::down(data).await?,
        Command::Net { change } => commands::net::net(data, change).await?,
        Command::Status(arguments) => return commands::status::status(data, arguments).await,
        Command::Kill { place } => commands::nodes::kill(data, place).await?,
        Command::Pause { place } => commands::nodes::pause(data, place)?,
        Command::Resume { place } => commands::nodes::resume(data, place)?,
        Command::Restart { place } => commands::nodes::restart(data, place).await?,
        Command::Handover => commands::nodes::hand_over(data).await?,
        Command::Exec { place, command } => commands::nodes::exec(data, place, &command)?,
        Command::Cert { what } => return commands::cert::cert(what),
        Command::Cluster { what: cli::Cluster::Init(arguments) } => commands::cluster::init(&arguments)?,
        Command::Sql { place, arguments } => commands::nodes::sql(data, place, &arguments)?,
        Command::Drill(arguments) => return commands::drill::drill(data, arguments).await,
        Command::Bench(arguments) => commands::bench::bench(data, arguments).await?,
        Command::Compat(arguments) => return commands::compat::compat(arguments).await,
        Command::Verify { what } => return commands::verify::verify(what),
        Command::Guard { root } => private::guard(&root).await?,
    }
    Ok(true)
}
