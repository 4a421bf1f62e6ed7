//! What a person wants to know at 3 a.m.: who leads, who serves, what is wrong, what the next loss would do, what to do now.
//!
//! A pure function of what the nodes say. It believes the nodes that answer about those that do not.
use crate::status::NodeStatus;
use serde::Serialize;

/// Longer ago than any node would let pass on a link that works.
const SILENT_MS: f64 = 1000.0;
const BACKLOG_LARGE: u64 = 64 << 20;

/// One of the three, as it was reached.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How it was asked for; its name if that is known.
    pub name: String,
    /// None: no answer.
    pub status: Option<NodeStatus>,
    /// What is known of its process besides: "gone", "paused".
    pub process: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Well,
    /// It serves, and something is missing.
    Degraded,
    /// No writes.
    Down,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnosis {
    pub level: Level,
    pub headline: String,
    pub problems: Vec<String>,
    pub next_loss: String,
    pub advice: Vec<String>,
}

pub fn diagnose(nodes: &[Seen]) -> Diagnosis {
    let leader = leader(nodes);
    let serving: Vec<&str> = regions(nodes).filter(|(_, status)| serves(status)).map(|(name, _)| name).collect();
    let mut found = Found::default();
    for node in nodes {
        match &node.status {
            None => found.silent_node(node, nodes),
            Some(status) => found.of_node(&node.name, status),
        }
    }
    found.links(nodes);
    if leader.is_none() {
        found.problem(
            "nobody leads",
            "two of the three must reach each other: look at those that do not answer, then at the links",
        );
    }
    let level = match (&leader, serving.len(), found.problems.is_empty()) {
        (None, _, _) | (_, 0, _) => Level::Down,
        (_, _, true) => Level::Well,
        _ => Level::Degraded,
    };
    let who = match (&leader, serving.as_slice()) {
        (None, []) => "no region serves".to_owned(),
        (None, _) => format!("{} may still read, nobody leads", list(&serving)),
        (Some(leader), []) => format!("{leader} leads, no region serves"),
        (Some(leader), [one]) => format!("{leader} leads, {one} serves"),
        (Some(leader), _) => format!("{leader} leads, {} serve", list(&serving)),
    };
    let headline = match level {
        Level::Well => format!("all is well: {who}"),
        Level::Degraded => format!("DEGRADED: {who}"),
        Level::Down => format!("DOWN: {who}; writes are refused"),
    };
    let Found { problems, mut advice } = found;
    if advice.is_empty() {
        advice.push("nothing".to_owned());
    }
    Diagnosis { level, headline, problems, next_loss: next_loss(nodes, level), advice }
}

fn regions(nodes: &[Seen]) -> impl Iterator<Item = (&str, &NodeStatus)> {
    let answers = nodes.iter().filter_map(|node| Some((node.name.as_str(), node.status.as_ref()?)));
    answers.filter(|(_, status)| status.kind == "region")
}

fn serves(status: &NodeStatus) -> bool {
    // A node of before there was a word for it.
    if status.health.state.is_empty() { status.lease.valid } else { status.health.state == "serving" }
}

/// Who says that it leads, in the highest term.
fn leader(nodes: &[Seen]) -> Option<String> {
    let leads = regions(nodes).filter(|(_, status)| status.is_leader());
    leads.max_by_key(|(_, status)| status.term).map(|(name, _)| name.to_owned())
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "nobody".into(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[derive(Default)]
struct Found {
    problems: Vec<String>,
    advice: Vec<String>,
}

impl Found {
    fn problem(&mut self, problem: impl Into<String>, advice: impl Into<String>) {
        self.problems.push(problem.into());
        let advice = advice.into();
        if !advice.is_empty() && !self.advice.contains(&advice) {
            self.advice.push(advice);
        }
    }

    fn silent_node(&mut self, node: &Seen, nodes: &[Seen]) {
        let name = &node.name;
        let hears = |other: &Seen| other.status.as_ref().is_some_and(|status| heard(status, name));
        let heard_by: Vec<&str> = nodes.iter().filter(|other| hears(other)).map(|other| other.name.as_str()).collect();
        match (node.process, heard_by.as_slice()) {
            (Some("gone"), _) => self.problem(
                format!("{name} does not run"),
                format!("start {name}, and read the end of its log if it does not stay up"),
            ),
            (Some("paused"), _) => self.problem(format!("{name} is paused"), format!("let {name} go on")),
            (_, []) => self.problem(
                format!("{name} does not answer, and no other node hears it"),
                format!("look at {name}'s machine: does it run, is it reachable? Start the node if it does not run"),
            ),
            (_, others) => self.problem(
                format!(
                    "{name} does not answer here, but {} hear{} it",
                    list(others),
                    if others.len() == 1 { "s" } else { "" }
                ),
                format!("it is at work: only this machine cannot reach {name}'s HTTP port (firewall, listen.http)"),
            ),
        }
    }

    fn of_node(&mut self, name: &str, status: &NodeStatus) {
        let reason = &status.health.reason;
        match status.health.state.as_str() {
            "serving" | "" => {}
            "catching-up" => self.problem(
                format!("{name} catches up: {reason}"),
                format!("wait for {name}; do not stop another node meanwhile"),
            ),
            "no-lease" => self.problem(
                format!("{name} refuses reads: {reason}"),
                format!("clients of {name} belong to the other region now: its links are what to look at"),
            ),
            "no-leader" => self.problem(format!("{name} knows no leader"), ""),
            "stopping" => {
                self.problem(format!("{name} is stopping"), format!("wait until {name} has stopped, then start it"))
            }
            _ => self.problem(
                format!("{name} has failed: {reason}"),
                format!("read the end of {name}'s log; restart it once the cause is gone"),
            ),
        }
        if status.apply_backlog_bytes > BACKLOG_LARGE {
            let backlog = status.apply_backlog_bytes >> 20;
            self.problem(
                format!("{name} stores more slowly than is committed: {backlog} MiB wait"),
                format!("look at {name}'s disk"),
            );
        }
    }

    /// Pairs of which both answer here, and one does not hear the other.
    fn links(&mut self, nodes: &[Seen]) {
        for node in nodes {
            let Some(status) = &node.status else { continue };
            let answering = nodes.iter().filter(|other| other.name != node.name && other.status.is_some());
            for other in answering.filter(|other| !heard(status, &other.name)) {
                let link = status.links.iter().find(|link| link.node == other.name);
                let why = link.and_then(|link| link.trouble.as_deref());
                let at = link.map_or_else(String::new, |link| format!(" at {}", link.address));
                let why = why.map_or_else(String::new, |why| format!(" ({why})"));
                self.problem(
                    format!("{} does not hear {}{at}{why}", node.name, other.name),
                    format!(
                        "the link between {} and {}: routes, firewall (UDP), certificates",
                        left(&node.name, &other.name).0,
                        left(&node.name, &other.name).1
                    ),
                );
            }
        }
    }
}

fn left<'a>(one: &'a str, two: &'a str) -> (&'a str, &'a str) {
    if one < two { (one, two) } else { (two, one) }
}

fn heard(status: &NodeStatus, other: &str) -> bool {
    let peer = status.peers.iter().find(|peer| peer.node.as_deref() == Some(other));
    peer.and_then(|peer| peer.heard_ms_ago).is_some_and(|ago| ago < SILENT_MS)
}

fn next_loss(nodes: &[Seen], level: Level) -> String {
    let answers = |node: &&Seen| node.status.is_some();
    let reachable = |node: &&Seen| {
        answers(node) || nodes.iter().any(|other| other.status.as_ref().is_some_and(|status| heard(status, &node.name)))
    };
    let there: Vec<&str> = nodes.iter().filter(reachable).map(|node| node.name.as_str()).collect();
    let behind: Vec<&str> =
        regions(nodes).filter(|(_, status)| status.health.state == "catching-up").map(|(name, _)| name).collect();
    match (level, there.len(), behind.as_slice()) {
        (Level::Down, _, _) => {
            "there is nothing more to lose: what was acknowledged is on the disks of two of the three".into()
        }
        (_, 3, []) if level == Level::Well => {
            "any one of the three may be lost: nothing is lost with it, and the other two go on after a second or two"
                .into()
        }
        (_, 3, [one]) => format!(
            "while {one} catches up: if the other region is lost, {one} gets what it lacks from the witness first"
        ),
        (_, 3, _) => "one more link or node may be too much: writes could stop until it is back".into(),
        (_, _, _) => format!(
            "{} are all there is: if one of them is lost, writes and strong reads stop until two are back",
            list(&there)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Health, Lease, Link, Peer};

    /// A node that hears these others.
    fn node(name: &str, role: &str, state: &str, hears: &[&str]) -> Seen {
        let peer = |other: &str| Peer { node: Some(other.into()), heard_ms_ago: Some(20.0), ..Peer::default() };
        let link = |other: &str| Link {
            node: other.into(),
            address: format!("{other}:7001"),
            connected: hears.contains(&other),
            trouble: (!hears.contains(&other)).then(|| "no answer".into()),
            ..Link::default()
        };
        let others = ["A", "B", "W"].into_iter().filter(|other| *other != name);
        let status = NodeStatus {
            node: name.into(),
            kind: if name == "W" { "witness" } else { "region" }.into(),
            role: role.into(),
            term: 3,
            lease: Lease { valid: state == "serving", ..Lease::default() },
            health: Health { state: state.into(), reason: if state == "serving" { "" } else { "some reason" }.into() },
            peers: hears.iter().map(|other| peer(other)).collect(),
            links: others.map(link).collect(),
            ..NodeStatus::default()
        };
        Seen { name: name.into(), status: Some(status), process: None }
    }

    fn gone(name: &str, process: Option<&'static str>) -> Seen {
        Seen { name: name.into(), status: None, process }
    }

    #[test]
    fn what_is_said_of_a_cluster() {
        let a = || node("A", "leader", "serving", &["B", "W"]);
        let b = || node("B", "follower", "serving", &["A", "W"]);
        let w = || node("W", "witness", "serving", &["A", "B"]);
        let table = [
            (
                "well",
                vec![a(), b(), w()],
                Level::Well,
                "all is well: A leads, A and B serve",
                vec![],
                "any one of the three may be lost",
                "nothing",
            ),
            (
                "B is gone",
                vec![
                    node("A", "leader", "serving", &["W"]),
                    gone("B", Some("gone")),
                    node("W", "witness", "serving", &["A"]),
                ],
                Level::Degraded,
                "DEGRADED: A leads, A serves",
                vec!["B does not run"],
                "A and W are all there is",
                "start B",
            ),
            (
                "W cannot be reached from here",
                vec![a(), b(), gone("W", None)],
                Level::Degraded,
                "DEGRADED: A leads, A and B serve",
                vec!["W does not answer here, but A and B hear it"],
                "one more link or node",
                "only this machine cannot reach W's HTTP port",
            ),
            (
                "the regions do not hear each other",
                vec![
                    node("A", "leader", "serving", &["W"]),
                    node("B", "follower", "no-lease", &["W"]),
                    node("W", "witness", "serving", &["A", "B"]),
                ],
                Level::Degraded,
                "DEGRADED: A leads, A serves",
                vec![
                    "B refuses reads: some reason",
                    "A does not hear B at B:7001 (no answer)",
                    "B does not hear A at A:7001 (no answer)",
                ],
                "one more link or node",
                "clients of B belong to the other region now",
            ),
            (
                "B is back and behind",
                vec![a(), node("B", "follower", "catching-up", &["A", "W"]), w()],
                Level::Degraded,
                "DEGRADED: A leads, A serves",
                vec!["B catches up: some reason"],
                "while B catches up",
                "wait for B; do not stop another node meanwhile",
            ),
            (
                "only A is left",
                vec![node("A", "follower", "no-leader", &[]), gone("B", None), gone("W", None)],
                Level::Down,
                "DOWN: no region serves; writes are refused",
                vec![
                    "A knows no leader",
                    "B does not answer, and no other node hears it",
                    "W does not answer, and no other node hears it",
                    "nobody leads",
                ],
                "there is nothing more to lose",
                "look at B's machine",
            ),
        ];
        for (what, nodes, level, headline, problems, next_loss, advice) in table {
            let found = diagnose(&nodes);
            assert_eq!((found.level, found.headline.as_str()), (level, headline), "{what}");
            assert_eq!(found.problems, problems, "{what}");
            assert!(found.next_loss.starts_with(next_loss), "{what}: {}", found.next_loss);
            assert!(found.advice[0].contains(advice), "{what}: {:?}", found.advice);
        }
    }
}
