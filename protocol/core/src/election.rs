//! Votes: whom a node helps to lead. The candidate's side is in `candidate`.
//!
//! - E1: a region helps only a candidate whose log is at least as new as its own; the witness helps any, and lends its log.
//! - E2: nobody helps while it hears a leader (pre-votes only: a vote asked for by hand-over is not refused).
//! - E3: the witness's log and vote are on disk before it answers. Requests complete in order, so waiting for the vote is
//!   waiting for the log.
use crate::io::*;
use crate::machine::Machine;
use crate::message::*;
use crate::node::{Effects, FetchLoad, Node};
use crate::types::*;

fn is_region(node: &Node, id: NodeId) -> bool {
    node.config.roster.iter().any(|(member, kind)| *member == id && *kind == NodeKind::Region)
}

fn would_help(node: &Node, last: Position) -> bool {
    node.rotten_up_to.is_none() && (node.kind == NodeKind::Witness || last >= node.log.last())
}

pub(crate) fn on_pre_vote<M: Machine>(
    node: &mut Node,
    fx: &mut Effects<'_, M>,
    from: NodeId,
    last: Position,
    leads: bool,
) {
    let heard = node.leader_heard_at.is_some_and(|at| node.clock() < at.saturating_add(node.timing().election_min));
    let hears_leader = leads || heard;
    let granted = !hears_leader && is_region(node, from) && would_help(node, last);
    node.send(from, Body::PreVoteReply { granted }, fx.out);
}

/// A vote in our term is asked for. True if it was granted just now or before.
pub(crate) fn on_vote<M: Machine>(node: &mut Node, fx: &mut Effects<'_, M>, from: NodeId, last: Position) -> bool {
    let free = node.voted_for.is_none_or(|before| before == from) && node.leader.is_none();
    let granted = free && is_region(node, from) && would_help(node, last);
    if granted {
        node.vote_for(from);
    }
    let (base, term_starts) = match (granted, node.kind) {
        (true, NodeKind::Witness) => (node.log.base(), node.log.term_starts(node.log.last().index)),
        _ => (Position::ZERO, Vec::new()),
    };
    let body = Body::VoteReply { granted, last: node.log.last(), base, term_starts };
    if granted && node.kind == NodeKind::Witness && node.config.sabotage.witness_votes_unsynced {
        node.send_now(from, body, fx.out);
    } else {
        node.send(from, body, fx.out); // N1, E3
    }
    granted
}

/// A candidate that we elected asks for our tail, from `from` to the log's end as it was when we voted.
pub(crate) fn on_fetch<M: Machine>(node: &mut Node, fx: &mut Effects<'_, M>, to: NodeId, from: Index, last: Position) {
    let previous = node.log.position_at(from.previous());
    let unchanged = node.voted_for == Some(to) && node.leader.is_none() && node.log.last() == last;
    let (Some(previous), true) = (previous, unchanged && from <= last.index && from.0 > 0) else {
        let body = Body::FetchReply { previous: Position::ZERO, entries: vec![], last: node.log.last(), refused: true };
        node.send(to, body, fx.out);
        return;
    };
    if from >= node.log.cached_from() {
        let mut room = node.config.append_bytes_max;
        let mut entries: Vec<Entry> = Vec::new();
        for entry in node.log.cached_above(previous.index) {
            if !entries.is_empty() && entry.weight() > room {
                break;
            }
            room = room.saturating_sub(entry.weight());
            entries.push(entry.clone());
        }
        node.send(to, Body::FetchReply { previous, entries, last, refused: false }, fx.out);
    } else {
        let ticket = node.disk.ticket();
        let up_to = node.log.cached_from().previous();
        fx.out.push(Output::Load { ticket, from, to: up_to, bytes_max: node.config.append_bytes_max });
        node.fetch_load = Some(FetchLoad { ticket, to, previous, last, term: node.term });
    }
}

/// What `on_fetch` asked of the journal has come.
pub(crate) fn on_fetch_loaded<M: Machine>(node: &mut Node, fx: &mut Effects<'_, M>, entries: Vec<Entry>) {
    let Some(load) = node.fetch_load.take() else { return };
    let fits = entries.first().is_some_and(|entry| entry.index() == load.previous.index.next())
        && entries.iter().all(|entry| node.log.contains(entry.position));
    if fits && load.term == node.term && node.leader.is_none() && node.log.last() == load.last {
        let body = Body::FetchReply { previous: load.previous, entries, last: load.last, refused: false };
        node.send(load.to, body, fx.out);
    }
}
