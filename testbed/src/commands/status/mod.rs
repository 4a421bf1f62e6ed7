//! `status`: what every node and link is doing, and what that means. Of the testbed, or of any cluster by its HTTP addresses.
//!
//! ```text
//!   look     asks the nodes
//!   watch    the same as a picture that moves
//! ```
mod look;
mod watch;

use super::net::{self, link_rows};
use crate::cli::StatusArguments;
use crate::diagnosis::{Diagnosis, Level, Seen, diagnose};
use crate::status::{NodeStatus, NodeView};
use crate::terminal::{Tone, cell, duration, say, table, tint};
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use comfy_table::Cell;
use look::Source;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trivet_netem::LinkStatus;

#[derive(Serialize)]
struct Shown {
    data: PathBuf,
    endpoints: std::collections::BTreeMap<crate::place::Place, String>,
    nodes: Vec<NodeView>,
    links: Option<Vec<LinkStatus>>,
    diagnosis: Diagnosis,
}

#[derive(Serialize)]
struct ShownRemote<'a> {
    nodes: Vec<RemoteNode<'a>>,
    diagnosis: Diagnosis,
}

#[derive(Serialize)]
struct RemoteNode<'a> {
    name: &'a str,
    status: Option<&'a NodeStatus>,
}

/// False: of nodes that were named, writes are refused.
pub async fn status(data: Option<&Path>, arguments: StatusArguments) -> Result<bool> {
    let source = match arguments.nodes.as_slice() {
        [] => Source::Testbed(Testbed::find(data)?),
        nodes => Source::nodes(nodes),
    };
    if arguments.watch {
        watch::watch(&source).await?;
        return Ok(true);
    }
    let seen = source.look().await?;
    let diagnosis = diagnose(&seen);
    let level = diagnosis.level;
    match (&source, arguments.json) {
        (Source::Testbed(testbed), true) => {
            let views = source.views(&seen)?;
            let endpoints = testbed.endpoints()?;
            let shown = Shown {
                data: testbed.directory().root().to_path_buf(),
                endpoints: endpoints
                    .iter()
                    .map(|(place, endpoint)| (*place, endpoint.connection_string(testbed.directory())))
                    .collect(),
                nodes: views,
                links: links(testbed),
                diagnosis,
            };
            say_json(&shown)?;
        }
        (Source::Nodes(_), true) => {
            let nodes = seen.iter().map(|node| RemoteNode { name: &node.name, status: node.status.as_ref() }).collect();
            say_json(&ShownRemote { nodes, diagnosis })?;
        }
        (Source::Testbed(testbed), false) => {
            say(told(&diagnosis));
            say(render(&seen).to_string());
            for (place, endpoint) in &testbed.endpoints()? {
                say(format!("region {place}  {}", endpoint.connection_string(testbed.directory())));
            }
            match links(testbed) {
                Some(links) => say(link_rows(&links).to_string()),
                None => say("the network does not answer"),
            }
            net::say_cuts(testbed);
        }
        (Source::Nodes(_), false) => {
            say(told(&diagnosis));
            say(render(&seen).to_string());
        }
    }
    Ok(matches!(source, Source::Testbed(_)) || level != Level::Down)
}

fn say_json(shown: &impl Serialize) -> Result<()> {
    say(serde_json::to_string_pretty(shown).context("the status does not serialise")?);
    Ok(())
}

fn links(testbed: &Testbed) -> Option<Vec<LinkStatus>> {
    testbed.network().and_then(|network| Ok(network.show()?)).ok()
}

fn tone(level: Level) -> Tone {
    match level {
        Level::Well => Tone::Good,
        Level::Degraded => Tone::Odd,
        Level::Down => Tone::Bad,
    }
}

/// In sentences.
fn told(diagnosis: &Diagnosis) -> String {
    let Diagnosis { level, headline, problems, next_loss, advice } = diagnosis;
    let mut lines = vec![tint(tone(*level), headline)];
    lines.extend(problems.iter().map(|problem| format!("  wrong      {problem}")));
    lines.push(format!("  next loss  {next_loss}"));
    lines.extend(advice.iter().map(|advice| format!("  do now     {advice}")));
    lines.join("\n")
}

fn render(nodes: &[Seen]) -> comfy_table::Table {
    let mut out =
        table(&["", "state", "role", "term", "last", "durable", "commit", "stored", "behind", "lease", "hears"]);
    let newest = nodes.iter().filter_map(|node| node.status.as_ref()).map(|status| status.last).max().unwrap_or(0);
    for node in nodes {
        let kind = node.status.as_ref().map_or("", |status| status.kind.as_str());
        let name = if kind.is_empty() { node.name.clone() } else { format!("{} ({kind})", node.name) };
        let mut row = vec![cell(Tone::Plain, name), state_cell(node)];
        match &node.status {
            Some(status) => row.extend(status_cells(nodes, status, newest)),
            None => row.extend((0..9).map(|_| cell(Tone::Faint, "-"))),
        }
        out.add_row(row);
    }
    out
}

fn state_cell(node: &Seen) -> Cell {
    match (&node.status, node.process) {
        (Some(status), _) if status.health.state == "serving" => cell(Tone::Good, "serving"),
        (Some(status), _) => cell(Tone::Odd, &status.health.state),
        (None, Some(process @ ("gone" | "paused"))) => cell(Tone::Bad, process),
        (None, _) => cell(Tone::Bad, "no answer"),
    }
}

fn status_cells(nodes: &[Seen], status: &NodeStatus, newest: u64) -> Vec<Cell> {
    let number = |value: u64| cell(Tone::Plain, value);
    let region = status.kind != "witness";
    let role = match (status.is_leader(), &status.leader) {
        (true, _) => cell(Tone::Good, "leads"),
        (false, Some(leader)) => cell(Tone::Plain, format!("{} {leader}", status.role)),
        (false, None) => cell(Tone::Odd, format!("{}, no leader", status.role)),
    };
    let lease = match (region, status.lease.valid) {
        (false, _) if status.witness_engaged => cell(Tone::Odd, "engaged"),
        (false, _) => cell(Tone::Faint, "-"),
        (true, true) => cell(Tone::Good, format!("{:.0} ms left", status.lease.remaining_ms)),
        (true, false) => cell(Tone::Bad, "none"),
    };
    let others: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).filter(|name| *name != status.node).collect();
    let lost: Vec<&str> = others.iter().copied().filter(|other| status.has_lost_node(other)).collect();
    let hears = match lost.is_empty() {
        true => {
            let rtts: Vec<String> = others
                .iter()
                .filter_map(|other| Some((other, status.peer_named(other)?.rtt_ms?)))
                .map(|(other, rtt)| format!("{other} {}", duration(Duration::from_secs_f64((rtt / 1e3).max(0.0)))))
                .collect();
            cell(Tone::Plain, rtts.join(", "))
        }
        false => cell(Tone::Bad, format!("not {}", lost.join(", "))),
    };
    vec![
        role,
        number(status.term),
        number(status.last),
        number(status.durable),
        number(status.commit),
        if region { number(status.applied) } else { cell(Tone::Faint, "-") },
        if region { number(newest.saturating_sub(status.commit)) } else { cell(Tone::Faint, "-") },
        lease,
        hears,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_node_also_for_one_that_is_gone() {
        let text = r#"{"node":"A","kind":"region","role":"leader","term":3,"leader":"A","last":17,"applied":15,
            "lease":{"valid":true,"remaining_ms":800},"health":{"state":"serving"},
            "peers":[{"node":"B","heard_ms_ago":20,"rtt_ms":60.0}]}"#;
        let status: NodeStatus = serde_json::from_str(text).expect("it reads");
        let gone = |name: &str, process| Seen { name: name.into(), status: None, process };
        let nodes = [
            Seen { name: "A".into(), status: Some(status), process: Some("running") },
            gone("B", Some("gone")),
            gone("W", None),
        ];
        let text = render(&nodes).to_string();
        let row = |name: &str| text.lines().find(|line| line.contains(name)).expect("a row").to_owned();
        for part in ["serving", "leads", "800 ms left", "not W"] {
            assert!(row("A (region)").contains(part), "{part} is missing in {text}");
        }
        assert!(row("│ B").contains("gone") && row("│ W").contains("no answer"), "{text}");
        let told = told(&diagnose(&nodes));
        assert!(told.contains("B does not run") && told.contains("do now     start B"), "{told}");
    }
}
