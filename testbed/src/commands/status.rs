//! `status`.
use super::net::{self, link_rows};
use crate::place::Place;
use crate::status::{NodeStatus, NodeView};
use crate::terminal::{Tone, cell, duration, say, table};
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use comfy_table::Cell;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trivet_netem::LinkStatus;

#[derive(Serialize)]
struct Shown {
    data: PathBuf,
    endpoints: std::collections::BTreeMap<Place, String>,
    nodes: Vec<NodeView>,
    links: Option<Vec<LinkStatus>>,
}

pub async fn status(data: Option<&Path>, json: bool) -> Result<()> {
    let testbed = Testbed::find(data)?;
    let views = futures::future::join_all(Place::ALL.map(|place| testbed.view(place))).await;
    let nodes: Vec<NodeView> = views.into_iter().collect::<Result<_>>()?;
    let links = testbed.network().and_then(|network| Ok(network.show()?)).ok();
    let endpoints = testbed.endpoints()?;
    if json {
        let shown = Shown {
            data: testbed.directory().root().to_path_buf(),
            endpoints: endpoints
                .iter()
                .map(|(place, endpoint)| (*place, endpoint.connection_string(testbed.directory())))
                .collect(),
            nodes,
            links,
        };
        say(serde_json::to_string_pretty(&shown).context("the status does not serialise")?);
        return Ok(());
    }
    say(render(&nodes).to_string());
    for (place, endpoint) in &endpoints {
        say(format!("region {place}  {}", endpoint.connection_string(testbed.directory())));
    }
    match links {
        Some(links) => say(link_rows(&links).to_string()),
        None => say("the network does not answer"),
    }
    net::say_cuts(&testbed);
    Ok(())
}

fn render(nodes: &[NodeView]) -> comfy_table::Table {
    let mut out =
        table(&["", "process", "role", "term", "last", "durable", "commit", "stored", "behind", "lease", "hears"]);
    let newest = nodes.iter().filter_map(|node| node.status.as_ref()).map(|status| status.last).max().unwrap_or(0);
    for node in nodes {
        let mut row = vec![cell(Tone::Plain, format!("{} ({})", node.place, node.place.kind())), process_cell(node)];
        match &node.status {
            Some(status) => row.extend(status_cells(node.place, status, newest)),
            None => row.extend((0..9).map(|_| cell(Tone::Faint, "-"))),
        }
        out.add_row(row);
    }
    out
}

fn process_cell(node: &NodeView) -> Cell {
    let tone = match (node.condition, &node.status) {
        ("running", Some(_)) => Tone::Good,
        ("gone", _) => Tone::Bad,
        _ => Tone::Odd,
    };
    let silent = if node.condition == "running" && node.status.is_none() { ", no answer" } else { "" };
    match node.pid {
        Some(pid) if node.condition != "gone" => cell(tone, format!("{}{silent} ({pid})", node.condition)),
        _ => cell(tone, node.condition),
    }
}

fn status_cells(place: Place, status: &NodeStatus, newest: u64) -> Vec<Cell> {
    let number = |value: u64| cell(Tone::Plain, value);
    let role = match (status.is_leader(), status.leader()) {
        (true, _) => cell(Tone::Good, "leads"),
        (false, Some(leader)) => cell(Tone::Plain, format!("{} {leader}", status.role)),
        (false, None) => cell(Tone::Odd, format!("{}, no leader", status.role)),
    };
    let lease = match (place.is_region(), status.lease.valid) {
        (false, _) if status.witness_engaged => cell(Tone::Odd, "engaged"),
        (false, _) => cell(Tone::Faint, "-"),
        (true, true) => cell(Tone::Good, format!("{:.0} ms left", status.lease.remaining_ms)),
        (true, false) => cell(Tone::Bad, "none"),
    };
    let lost: Vec<&str> = place.others().filter(|other| status.has_lost(*other)).map(Place::name).collect();
    let hears = match lost.is_empty() {
        true => {
            let rtts: Vec<String> = place
                .others()
                .filter_map(|other| Some((other, status.peer(other)?.rtt_ms?)))
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
        if place.is_region() { number(status.applied) } else { cell(Tone::Faint, "-") },
        if place.is_region() { number(newest.saturating_sub(status.commit)) } else { cell(Tone::Faint, "-") },
        lease,
        hears,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_node_also_for_one_that_is_gone() {
        let text = r#"{"node":"A","role":"leader","term":3,"leader":"A","last":17,"applied":15,
            "lease":{"valid":true,"remaining_ms":800},"peers":[{"node":"B","heard_ms_ago":20,"rtt_ms":60.0}]}"#;
        let status: NodeStatus = serde_json::from_str(text).expect("it reads");
        let nodes = [
            NodeView { place: Place::A, pid: Some(42), condition: "running", status: Some(status) },
            NodeView { place: Place::B, pid: Some(43), condition: "gone", status: None },
        ];
        let text = render(&nodes).to_string();
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("region")).collect();
        assert_eq!(rows.len(), 2, "{text}");
        for part in ["running (42)", "leads", "800 ms left", "not W"] {
            assert!(rows[0].contains(part), "{part} is missing in {}", rows[0]);
        }
        assert!(rows[1].contains("gone") && !rows[1].contains("43"), "{}", rows[1]);
    }
}
