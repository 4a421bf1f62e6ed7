//! `net`: show and change the links.
use super::play::play;
use crate::cli::{Net, Rate, Which, WhichOrAll};
use crate::distances;
use crate::place::{Lane, Link};
use crate::terminal::{Tone, cell, duration, say, table, tint};
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use comfy_table::Cell;
use std::path::Path;
use std::time::Duration;
use trivet_netem::{BackendKind, Change, Direction, LinkStatus, Way};

pub async fn net(data: Option<&Path>, change: Net) -> Result<()> {
    match change {
        Net::Profiles => {
            say(profile_rows().to_string());
            return Ok(());
        }
        Net::Play { file, keep, print } => return play(data, &file, keep, print).await,
        _ => {}
    }
    let testbed = Testbed::find(data)?;
    match change {
        Net::Profiles | Net::Play { .. } => unreachable!("they are done"),
        Net::Show { json } => show(&testbed, json),
        Net::Cut(which) => apply(&testbed, one(which), Change::Cut),
        Net::Heal(which) => apply(&testbed, one_or_all(which), Change::Heal),
        Net::Restore(which) => apply(&testbed, one_or_all(which), Change::Restore),
        Net::Delay { which, delay } => apply(&testbed, one(which), Change::Delay(delay)),
        Net::Jitter { which, jitter } => apply(&testbed, one(which), Change::Jitter(jitter)),
        Net::Loss { which, loss } => apply(&testbed, one(which), Change::Loss(loss)),
        Net::Rate { which, rate: Rate(rate) } => apply(&testbed, one(which), Change::Rate(rate)),
    }
}

fn one(which: Which) -> Vec<(Link, Direction)> {
    vec![target(which.lane, which.one_way)]
}

fn one_or_all(which: WhichOrAll) -> Vec<(Link, Direction)> {
    match which.lane {
        Some(lane) => vec![target(lane, which.one_way)],
        None => Link::ALL.map(|link| (link, Direction::Both)).to_vec(),
    }
}

fn target(lane: Lane, one_way: bool) -> (Link, Direction) {
    (lane.link(), if one_way { lane.direction() } else { Direction::Both })
}

fn apply(testbed: &Testbed, targets: Vec<(Link, Direction)>, change: Change) -> Result<()> {
    let network = testbed.network()?;
    for (link, direction) in targets {
        network.change(&link.name(), direction, change.clone())?;
    }
    show(testbed, false)
}

fn show(testbed: &Testbed, json: bool) -> Result<()> {
    let links = testbed.network()?.show()?;
    if json {
        say(serde_json::to_string_pretty(&links).context("the links do not serialise")?);
    } else {
        say(link_rows(&links).to_string());
        say(format!("moved by: {}", testbed.state()?.net));
    }
    Ok(())
}

pub fn link_rows(links: &[LinkStatus]) -> comfy_table::Table {
    let mut out =
        table(&["one way", "", "delay", "jitter", "loss", "rate", "packets", "lost", "later than asked: p50", "p99"]);
    for link in links {
        let Ok(forward) = link.name.parse::<Lane>() else { continue };
        for (lane, way) in [(forward, Way::Forward), (forward.reverse(), Way::Backward)] {
            let status = link.lane(way);
            let settings = &status.settings;
            out.add_row(vec![
                cell(Tone::Plain, lane),
                if settings.cut { cell(Tone::Bad, "cut") } else { cell(Tone::Good, "open") },
                cell(Tone::Plain, duration(settings.delay)),
                cell(Tone::Plain, duration(settings.jitter)),
                cell(Tone::Plain, settings.loss),
                cell(Tone::Plain, settings.rate.map_or("unlimited".into(), |rate| format!("{rate} B/s"))),
                cell(Tone::Plain, status.packets),
                cell(Tone::Plain, status.dropped()),
                late(link, status.late.p50),
                late(link, status.late.p99),
            ]);
        }
    }
    out
}

/// The kernel does not say it.
fn late(link: &LinkStatus, late: Duration) -> Cell {
    if link.backend == BackendKind::Tc.name() { cell(Tone::Faint, "-") } else { cell(Tone::Plain, duration(late)) }
}

fn profile_rows() -> comfy_table::Table {
    let mut out = table(&["--rtt", "A-B", "A-W", "B-W", ""]);
    for known in distances::known() {
        let mut row = vec![cell(Tone::Plain, &known.name)];
        row.extend(known.links().map(|(_, profile)| {
            let (there, back) = (profile.forward.delay, profile.backward.delay);
            cell(Tone::Plain, duration(there + back))
        }));
        row.push(cell(Tone::Faint, &known.about));
        out.add_row(row);
    }
    out
}

/// A reminder below a table in which a cut is easily overlooked.
pub fn say_cuts(testbed: &Testbed) {
    let Ok(links) = testbed.network().and_then(|network| Ok(network.show()?)) else { return };
    let cut: Vec<&str> = links
        .iter()
        .filter(|link| link.forward.settings.cut || link.backward.settings.cut)
        .map(|link| link.name.as_str())
        .collect();
    if !cut.is_empty() {
        say(tint(Tone::Odd, &format!("cut: {}; `trivet net heal` mends all links", cut.join(", "))));
    }
}
