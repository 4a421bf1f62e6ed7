//! `bench`: on the running testbed, or on one of its own.
use super::{start_private, write_json};
use crate::bench::{Bench, Settings, peer, run};
use crate::cli::BenchArguments;
use crate::distances;
use crate::layout::config::{Auth, Testing};
use crate::signals::StopSignals;
use crate::state::Registry;
use crate::terminal::{Progress, say};
use crate::testbed::{Options, Testbed};
use anyhow::{Result, bail};
use std::path::Path;

pub async fn bench(data: Option<&Path>, arguments: BenchArguments) -> Result<()> {
    if arguments.bench == Some(Bench::Peer) {
        return peer(&arguments).await;
    }
    let own = arguments.private || (data.is_none() && Registry::open()?.live()?.is_empty());
    if !own {
        if arguments.rtt.is_some() {
            bail!(
                "--rtt is for a testbed of the bench's own: add --private, or change the running one with `trivet net`"
            );
        }
        return on(&Testbed::find(data)?, &arguments, &mut StopSignals::listen()?).await;
    }
    let distances = arguments.rtt.clone().unwrap_or_else(distances::default);
    // Real files: a commit here costs what the disk costs.
    let options = Options {
        sql_ports: None,
        distances,
        net: arguments.net,
        testing: Testing::default(),
        auth: Auth::Trust,
        keeper: None,
    };
    let mut signals = StopSignals::listen()?;
    let private = start_private(options, &mut signals).await?;
    let result = on(&private.testbed, &arguments, &mut signals).await;
    private.close().await?;
    result
}

async fn peer(arguments: &BenchArguments) -> Result<()> {
    if arguments.rtt.is_some() {
        bail!("`bench peer` compares what the software costs: it takes no --rtt");
    }
    let settings =
        peer::Settings { rounds: arguments.rounds, seconds: arguments.seconds, clients: arguments.clients.into() };
    let progress = Progress::start();
    let result = peer::run(settings, &progress, &mut StopSignals::listen()?).await;
    progress.done();
    let comparison = result?;
    say(comparison.render());
    match &arguments.json {
        Some(path) => write_json(path, &comparison),
        None => Ok(()),
    }
}

async fn on(testbed: &Testbed, arguments: &BenchArguments, signals: &mut StopSignals) -> Result<()> {
    let benches = match arguments.bench {
        Some(bench) => vec![bench],
        None => Bench::ALL.to_vec(),
    };
    let settings = Settings {
        seconds: arguments.seconds,
        clients: arguments.clients.into(),
        rows: arguments.rows,
        checks: arguments.checks,
        sweep: arguments.sweep,
    };
    let progress = Progress::start();
    let result = run(&benches, testbed, settings, &progress, signals).await;
    progress.done();
    let (report, text) = result?;
    say(format!(
        "links {}; {} clients in each region, {} s a run, {} rows",
        report.link_profile, report.clients, report.seconds, report.rows
    ));
    say(text);
    if let Some(path) = &arguments.json {
        write_json(path, &report)?;
    }
    if report.stale() {
        bail!("a strong read was stale");
    }
    if report.off() {
        bail!("a link is not within what it was asked for");
    }
    Ok(())
}
