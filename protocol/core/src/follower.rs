//! Following: taking in the leader's entries, acknowledging what is durable, and inferring what is committed.
//!
//! - F1: the log is cut only at an entry that conflicts with the leader's; a match of (index, term) proves all below.
//! - F2: inference needs the message's term, the entry's term and our term to be one, and both disks to have the entry.
//! - F3: a reference to our own proposal is filled in from what we kept, or nacked; nothing stands in for a payload.
use crate::codec::proposal_checksum;
use crate::io::*;
use crate::machine::Machine;
use crate::message::*;
use crate::node::{Effects, Node};
use crate::types::*;

/// Room for what a leader may have on its way.
const EARLY_APPENDS_OF_LARGEST_SIZE: usize = 8;
const EARLY_APPEND_BYTES_MIN: usize = 8 << 10;

/// Entries from the leader of our term.
pub(crate) fn on_append<M: Machine>(
    node: &mut Node,
    fx: &mut Effects<'_, M>,
    from: NodeId,
    mut previous: Position,
    mut entries: Vec<AppendEntry>,
) {
    if let Some(reason) = malformed(node, previous, &entries) {
        fx.event(Event::Ignored { from, reason });
        return;
    }
    let base = node.log.base();
    if node.is_region() && previous.index < base.index {
        // our base is committed, so every leader has it; it asks from where it knows us to be, which may be a lost disk's
        node.matched = node.matched.max(base.index);
        node.ack_due = true;
        let known = entries.iter().take_while(|entry| entry_position(entry).index <= base.index).count();
        entries.drain(..known);
        if entries.is_empty() {
            return;
        }
        previous = base;
    }
    if node.log.contains(previous) {
        take_in(node, fx, from, previous, entries);
        while let Some((previous, entries)) = node.early.next(node.log.last().index)
            && !node.failed
        {
            if node.log.contains(previous) {
                take_in(node, fx, from, previous, entries);
            }
        }
        return;
    }
    // it may be lost, so the leader is told; if it is only late, this is what comes after it
    reject(node, fx, from, previous, None);
    if previous.index > node.log.last().index {
        let room = EARLY_APPENDS_OF_LARGEST_SIZE * node.config.append_bytes_max.max(EARLY_APPEND_BYTES_MIN);
        node.early.keep(previous, entries, room);
    }
}

/// Entries that follow what is here.
fn take_in<M: Machine>(
    node: &mut Node,
    fx: &mut Effects<'_, M>,
    from: NodeId,
    previous: Position,
    entries: Vec<AppendEntry>,
) {
    let mut at = previous;
    let mut grew = false;
    for entry in entries {
        let position = entry_position(&entry);
        if !node.log.contains(position) {
            let entry = match resolve(node, entry) {
                Ok(entry) => entry,
                Err(missing) => {
                    node.matched = node.matched.max(at.index);
                    reject(node, fx, from, at, missing);
                    return;
                }
            };
            if position.index <= node.log.last().index && !node.cut(at.index, fx) {
                return;
            }
            node.append(entry, fx);
            grew = true;
        }
        at = position;
    }
    node.matched = node.matched.max(at.index);
    // what is new is acknowledged when it is durable
    node.ack_due |= !grew;
}

fn entry_position(entry: &AppendEntry) -> Position {
    match entry {
        AppendEntry::Full(entry) => entry.position,
        AppendEntry::Reference { position, .. } => *position,
    }
}

fn malformed(node: &Node, previous: Position, entries: &[AppendEntry]) -> Option<&'static str> {
    let mut before = previous;
    for entry in entries {
        let position = entry_position(entry);
        if Some(position.index.0) != before.index.0.checked_add(1) {
            return Some("appended entries are not contiguous");
        }
        if position.term < before.term || position.term > node.term {
            return Some("appended entries' terms are out of order");
        }
        before = position;
    }
    (previous.term > node.term).then_some("the entry before is of a later term")
}

/// The entry itself, a reference filled in. Fails with the id whose payload is not here.
fn resolve(node: &Node, entry: AppendEntry) -> Result<Entry, Option<ProposalId>> {
    match entry {
        AppendEntry::Full(entry) => Ok(entry),
        AppendEntry::Reference { position, header, id, crc } => {
            let ours = id.region == node.me && id.boot == node.boot;
            let proposal = ours.then(|| node.proposals.get(id.sequence)).flatten();
            match proposal.filter(|proposal| proposal_checksum(proposal) == crc) {
                Some(proposal) => {
                    Ok(Entry { position, body: EntryBody::Record { header, proposal: proposal.clone() } })
                }
                None => Err(Some(id)),
            }
        }
    }
}

fn reject<M: Machine>(
    node: &mut Node,
    fx: &mut Effects<'_, M>,
    to: NodeId,
    previous: Position,
    missing_payload: Option<ProposalId>,
) {
    let last = node.log.last();
    let body = Body::AppendReject {
        previous,
        last,
        durable: node.acknowledged(),
        term_starts: node.log.term_starts(last.index.min(previous.index)),
        missing_payload,
    };
    node.send(to, body, fx.out);
}

/// What the leader says of itself: its disk, and what it knows to be committed. Facts of its term, which is ours.
pub(crate) fn leader_stands_at(node: &mut Node, durable: Index, commit: Index) {
    node.leader_durable = node.leader_durable.max(durable);
    node.leader_commit = node.leader_commit.max(commit);
}

/// The leader of our term, knowing of our present start, says where its log ends. Whatever we acknowledged before and lost is in
/// that log, if it may ever be committed: it was acknowledged to this leader, or before it was elected.
pub(crate) fn leader_reaches(node: &mut Node, last: Index) {
    if node.rotten_up_to.is_some() {
        node.whole_at.get_or_insert(last);
    }
}

/// Ends the rot once the log is whole again: beyond all that is lost, or up to where the leader's log ended since.
pub(crate) fn review_rot<M: Machine>(node: &mut Node, fx: &mut Effects<'_, M>) {
    let Some(rotten) = node.rotten_up_to else { return };
    if node.matched.min(node.disk.durable()) >= node.whole_at.map_or(rotten, |whole| whole.min(rotten)) {
        node.rotten_up_to = None;
        node.ack_due = true;
        fx.event(Event::Repaired { up_to: rotten });
    }
}

/// Commits what the leader says is committed, and what both disks prove (F2).
pub(crate) fn infer_commit<M: Machine>(node: &mut Node, fx: &mut Effects<'_, M>) {
    if node.leader.is_none() {
        return;
    }
    node.advance_commit(node.leader_commit.min(node.matched), fx);
    if !node.is_region() {
        return; // the argument is about the two regions' disks
    }
    let sabotage = node.config.sabotage;
    let mine = if sabotage.infer_without_own_durable { node.matched } else { node.acknowledged() };
    let both = if sabotage.infer_without_leader_durable { mine } else { mine.min(node.leader_durable) };
    if node.log.term_at(both) == Some(node.term) {
        node.advance_commit(both, fx);
    }
}

/// Tells the leader how far we are, if that is due.
pub(crate) fn acknowledge<M: Machine>(node: &mut Node, fx: &mut Effects<'_, M>) {
    let Some(leader) = node.leader.filter(|leader| *leader != node.me) else { return };
    if !node.ack_due || node.disk.barrier().is_some() {
        return;
    }
    node.ack_due = false;
    let durable = if node.config.sabotage.ack_before_fsync { node.matched } else { node.acknowledged() };
    let body = Body::AppendAck { durable, received: node.matched, mask: node.leases.mask(node.clock()) };
    node.send_now(leader, body, fx.out);
}

/// The leader moves the beginning of the witness's log. What is at or below it is committed, and on both regions' disks.
pub(crate) fn on_window<M: Machine>(node: &mut Node, base: Position, fx: &mut Effects<'_, M>) {
    let before = node.log.base();
    if base.index > before.index {
        if !node.log.contains(base) && base.index <= node.log.last().index {
            // another entry is there: what we have from there on is not the leader's, and goes first
            let at = base.index.previous().max(before.index);
            if !node.cut(at, fx) {
                return;
            }
        }
        let jumped = !node.log.contains(base);
        // a jump is a request of its own: nothing may be written across the gap together with it
        node.persist(fx.out);
        node.log.rebase(base);
        node.disk.set_base(base, jumped);
        node.persist(fx.out);
        if base.index > node.commit.index {
            node.commit = base;
        }
        node.matched = node.matched.max(base.index);
    } else {
        // our base is committed, so every leader has it
        node.matched = node.matched.max(before.index);
        node.ack_due = true;
    }
}
