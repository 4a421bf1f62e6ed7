//! A counterexample as a table: what happened, and the three logs after it.
//!
//! ```text
//!   step                                    A            B            W            exposed  leases
//!      0  the start                         1L 1|        1f 1|        1f 1|        1        A<B B<A
//!      1  A appends an entry                1L 1|1       ...
//! ```
//!
//! A node is drawn as its term, its role (L leader, c candidate, f follower), and its log: the term of each entry, with
//! a bar after what is durable; at the witness, entries without payload are in brackets. `A<B` is a lease of A on B's
//! promise, `A-B` a promise of B to A that binds B without a lease.
use crate::search::Finding;
use crate::state::*;
use std::fmt;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken after {} steps: {}", self.steps.len(), self.invariant.name())?;
        writeln!(
            f,
            "{:>4}  {:<42} {:<14} {:<14} {:<14} {:<9} leases",
            "step", "", NAMES[A], NAMES[B], NAMES[W], "exposed"
        )?;
        draw(f, 0, "the start", &self.initial)?;
        for (place, (action, state)) in self.steps.iter().enumerate() {
            draw(f, place + 1, &action.to_string(), state)?;
        }
        Ok(())
    }
}

fn draw(f: &mut fmt::Formatter<'_>, step: usize, what: &str, state: &State) -> fmt::Result {
    let [a, b, w] = [A, B, W].map(|node| draw_node(&state.nodes[node]));
    let exposed = format!("{}{}", state.seen.log, if state.seen.torn { " torn" } else { "" });
    let leases: Vec<String> =
        (0..NODES).flat_map(|from| REGIONS.map(|to| draw_promise(state, from, to))).flatten().collect();
    writeln!(f, "{step:>4}  {what:<42} {a:<14} {b:<14} {w:<14} {exposed:<9} {}", leases.join(" "))
}

fn draw_node(node: &Node) -> String {
    let role = match node.role {
        Role::Follower => 'f',
        Role::Candidate => 'c',
        Role::Leader => 'L',
    };
    let mut drawing = format!("{}{role} ", node.term);
    for index in 1..=node.log.len() {
        let open = if node.base > 0 && index == 1 { "(" } else { "" };
        let close = if index == node.base { ")" } else { "" };
        let bar = if index == node.durable { "|" } else { "" };
        drawing.push_str(&format!("{open}{:x}{close}{bar}", node.log.at(index)));
    }
    drawing
}

fn draw_promise(state: &State, from: usize, to: usize) -> Option<String> {
    let promise = state.promises[from][to];
    let sign = match promise.claim {
        Claim::Held { .. } => '<',
        _ if promise.binding => '-',
        Claim::Pending { .. } => '?',
        Claim::None => return None,
    };
    let loose = if promise.binding { "" } else { "!" };
    Some(format!("{}{sign}{}{loose}", NAMES[to], NAMES[from]))
}
