//! `up` and `down`.
use crate::cli::Up;
use crate::layout::config::Testing;
use crate::layout::{Directory, default_root};
use crate::place::{Link, Place};
use crate::probe::{self, Rtt};
use crate::process::{Condition, ProcessId};
use crate::signals::{Interrupted, StopSignals};
use crate::state::{Registry, State};
use crate::terminal::{Progress, Tone, duration, say, tint};
use crate::testbed::{Options, Testbed};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const WATCH_EVERY: Duration = Duration::from_millis(250);

pub async fn up(data: Option<&Path>, arguments: Up) -> Result<()> {
    let root = match data {
        Some(root) => root.to_path_buf(),
        None => default_root()?,
    };
    let registry = Registry::open()?;
    // Takes what is stale off the list.
    registry.live()?;
    let myself = i32::try_from(std::process::id()).ok().and_then(ProcessId::of_pid);
    let options = Options {
        sql_ports: Some(arguments.ports.0),
        distances: arguments.rtt,
        net: arguments.net,
        testing: Testing::default(),
        auth: arguments.auth,
        keeper: if arguments.detach { None } else { myself },
    };
    let mut asked_to_stop = StopSignals::listen()?;
    // Before the start, so that `status` and `down` find one that does not get ready; and after it, for they take one
    // without processes off the list.
    let directory = Directory::at(&root)?;
    registry.add(&directory)?;
    let progress = Progress::start();
    let starting = Testbed::start(&root, options, &progress);
    let testbed = tokio::select! {
        started = starting => started?,
        () = asked_to_stop.heard() => {
            progress.done();
            return stop_what_started(&root).await;
        }
    };
    progress.done();
    registry.add(testbed.directory())?;
    say(greeting(&testbed, arguments.detach).await?);
    if arguments.detach {
        return Ok(());
    }
    tokio::select! {
        () = watch(&testbed) => say("the testbed was stopped"),
        () = asked_to_stop.heard() => {
            say("stopping");
            testbed.stop().await?;
        }
    }
    registry.remove(testbed.directory())
}

async fn stop_what_started(root: &Path) -> Result<()> {
    if let Ok(testbed) = Testbed::find(Some(root)) {
        testbed.stop().await?;
    }
    Err(Interrupted.into())
}

pub async fn down(data: Option<&Path>) -> Result<()> {
    let testbed = Testbed::find(data)?;
    let progress = Progress::start();
    progress.step("stopping the nodes, then the network");
    testbed.stop().await?;
    progress.done();
    Registry::open()?.remove(testbed.directory())?;
    say(format!("stopped; the data stays in {}", testbed.directory().root().display()));
    Ok(())
}

/// Tells when a node ends, pauses or comes back; returns when the testbed was stopped by another command.
async fn watch(testbed: &Testbed) {
    let mut known: BTreeMap<&'static str, (Option<ProcessId>, Condition)> = BTreeMap::new();
    loop {
        let Ok(state) = testbed.state() else { return };
        let named = Place::ALL.into_iter().map(|place| (place.name(), state.nodes.get(&place).copied()));
        for (name, process) in named.chain([("the network", state.netem)]) {
            let now = (process, process.map_or(Condition::Gone, ProcessId::condition));
            let Some(before) = known.insert(name, now).filter(|before| *before != now) else { continue };
            say(match now.1 {
                Condition::Gone => tint(Tone::Bad, &format!("{name} ended")),
                Condition::Paused => tint(Tone::Odd, &format!("{name} is paused")),
                Condition::Running if before.1 == Condition::Paused => tint(Tone::Good, &format!("{name} goes on")),
                Condition::Running => tint(Tone::Good, &format!("{name} was started")),
            });
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

async fn greeting(testbed: &Testbed, detached: bool) -> Result<String> {
    let state = testbed.state()?;
    let leader = testbed.leader().await;
    let mut lines = vec![tint(Tone::Good, "Trivet is up: one database, two endpoints."), String::new()];
    for (region, endpoint) in &testbed.endpoints()? {
        let leads = if leader == Some(*region) { "  (leads the log)" } else { "" };
        lines.push(format!("  region {region}   {}{leads}", endpoint.connection_string(testbed.directory())));
    }
    lines.push(String::new());
    lines.push(links_line(&state).await);
    let trivet = called();
    if state.net.has_places() {
        lines.push(format!("  network  {}: `{trivet} exec A -- COMMAND` runs a command inside region A", state.net));
    }
    lines.push(format!("  data     {}", testbed.directory().root().display()));
    lines.push(String::new());
    lines.push("Try next".into());
    for (command, what) in [
        ("sql A", format!("psql in region A; `{trivet} sql B` is the other end")),
        ("status", "who leads, who lags, which leases are valid".into()),
        ("net cut A-B", format!("cut the ocean; `{trivet} net heal` mends it")),
        ("kill A", format!("kill a region; `{trivet} restart A` brings it back")),
        ("drill all", "all of that under load, with checks".into()),
        ("bench", "what commits and strong reads cost".into()),
    ] {
        lines.push(format!("  {trivet} {command:<13} {}", tint(Tone::Faint, &what)));
    }
    lines.push(String::new());
    lines.push(match detached {
        true => format!("It runs on; `{trivet} down` stops it."),
        false => "Ctrl-C stops it.".into(),
    });
    Ok(lines.join("\n"))
}

/// What the user types to call this program: the script beside the sources says so of itself.
fn called() -> String {
    std::env::var("TRIVET_COMMAND").unwrap_or_else(|_| "trivet".into())
}

async fn links_line(state: &State) -> String {
    let mut links = Vec::new();
    for link in Link::ALL {
        let measured = probe::measure(state, link, probe::Plan::QUICK).await.ok().as_ref().and_then(Rtt::of);
        links.push(match measured {
            Some(rtt) => format!("{link} {}", duration(rtt.median())),
            None => format!("{link} not measured"),
        });
    }
    format!("  links    {} round trip, measured (asked: {})", links.join(", "), state.link_profile)
}
