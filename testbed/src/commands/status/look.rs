//! Asks the nodes what they do: those of a testbed, or those at addresses that were given.
use crate::diagnosis::Seen;
use crate::http;
use crate::place::Place;
use crate::status::{NodeStatus, NodeView, fetch};
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::Duration;

const ANSWERS_WITHIN: Duration = Duration::from_millis(1500);

pub enum Source {
    Testbed(Testbed),
    /// `host:port` of each node's HTTP.
    Nodes(Vec<String>),
}

impl Source {
    pub fn nodes(addresses: &[String]) -> Source {
        Source::Nodes(addresses.to_vec())
    }

    pub async fn look(&self) -> Result<Vec<Seen>> {
        match self {
            Source::Testbed(testbed) => {
                let views = futures::future::join_all(Place::ALL.map(|place| testbed.view(place))).await;
                let seen = |view: NodeView| Seen {
                    name: view.place.name().to_owned(),
                    status: view.status,
                    process: Some(view.condition),
                };
                Ok(views.into_iter().collect::<Result<Vec<_>>>()?.into_iter().map(seen).collect())
            }
            Source::Nodes(addresses) => {
                let answers = futures::future::join_all(addresses.iter().map(|address| ask(address))).await;
                let mut seen: Vec<Seen> = addresses
                    .iter()
                    .zip(answers)
                    .map(|(address, status)| {
                        let name = status.as_ref().map_or(address, |status| &status.node).clone();
                        Seen { name, status, process: None }
                    })
                    .collect();
                name_the_silent(&mut seen);
                Ok(seen)
            }
        }
    }

    /// Of a testbed, with what its processes do.
    pub fn views(&self, seen: &[Seen]) -> Result<Vec<NodeView>> {
        let Source::Testbed(testbed) = self else { return Ok(Vec::new()) };
        let view = |(place, seen): (Place, &Seen)| -> Result<NodeView> {
            Ok(NodeView {
                place,
                pid: testbed.process(place)?.map(|process| process.pid),
                condition: seen.process.unwrap_or("gone"),
                status: seen.status.clone(),
            })
        };
        Place::ALL.into_iter().zip(seen).map(view).collect()
    }

    /// `/metrics` of each, in the order of `look`.
    pub async fn metrics(&self) -> Result<Vec<Option<String>>> {
        let addresses: Vec<String> = match self {
            Source::Testbed(testbed) => {
                let http = testbed.state()?.addresses.http;
                Place::ALL.iter().map(|place| http[place].to_string()).collect()
            }
            Source::Nodes(addresses) => addresses.clone(),
        };
        let texts = addresses.iter().map(async |address| {
            let address = resolve(address).await.ok()?;
            let body = http::get(address, "/metrics", ANSWERS_WITHIN).await.ok()?;
            String::from_utf8(body).ok()
        });
        Ok(futures::future::join_all(texts).await)
    }
}

async fn ask(address: &str) -> Option<NodeStatus> {
    fetch(resolve(address).await.ok()?, ANSWERS_WITHIN).await.ok()
}

async fn resolve(address: &str) -> Result<SocketAddr> {
    let found = tokio::net::lookup_host(address).await.with_context(|| format!("'{address}' cannot be looked up"))?;
    found.into_iter().next().with_context(|| format!("'{address}' names no host"))
}

/// Those that answer know the others by name: the one at the same host, or the only one that is left.
fn name_the_silent(seen: &mut [Seen]) {
    let known: Vec<String> = seen.iter().filter(|node| node.status.is_some()).map(|node| node.name.clone()).collect();
    let links: Vec<_> =
        seen.iter().filter_map(|node| node.status.as_ref()).flat_map(|status| status.links.clone()).collect();
    let mut missing: Vec<(String, String)> = links
        .into_iter()
        .filter(|link| !known.contains(&link.node))
        .map(|link| (link.node, host(&link.address).to_owned()))
        .collect();
    missing.sort();
    missing.dedup_by(|one, two| one.0 == two.0);
    let silent = seen.iter().filter(|node| node.status.is_none()).count();
    for node in seen.iter_mut().filter(|node| node.status.is_none()) {
        let here = host(&node.name).to_owned();
        let place = match missing.iter().position(|(_, host)| *host == here) {
            Some(place) => place,
            None if silent == 1 && missing.len() == 1 => 0,
            None => continue,
        };
        node.name = missing.remove(place).0;
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Link;

    #[test]
    fn a_silent_node_gets_its_name_from_the_others() {
        let link = |node: &str, address: &str| Link { node: node.into(), address: address.into(), ..Link::default() };
        let links = vec![link("B", "10.0.0.2:7001"), link("W", "w.example.org:7001")];
        let answering = NodeStatus { node: "A".into(), links, ..NodeStatus::default() };
        let a = || Seen { name: "A".into(), status: Some(answering.clone()), process: None };
        let silent = |name: &str| Seen { name: name.into(), status: None, process: None };
        let table = [
            (vec![a(), silent("10.0.0.2:8001"), silent("10.0.0.3:8001")], ["A", "B", "10.0.0.3:8001"]),
            (vec![a(), silent("w.example.org:8001"), silent("10.0.0.2:8001")], ["A", "W", "B"]),
        ];
        for (mut seen, names) in table {
            name_the_silent(&mut seen);
            assert_eq!(seen.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), names);
        }
    }
}
