//! What a node's step asks of its world: messages, disk requests, loads, applying.
use crate::check::Violation;
use crate::describe::{body_name, describe_message, describe_output};
use crate::disk::DiskError;
use crate::network::NODES;
use crate::store::AnyMachine;
use crate::world::*;
use bytes::BytesMut;
use trivet_log::Event as Event_;
use trivet_log::*;

impl World {
    pub(crate) fn take_effects(&mut self, place: usize, out: &mut Vec<Output>) {
        for effect in out.drain(..) {
            if self.violation.is_some() {
                continue;
            }
            if self.settings.trace && !matches!(&effect, Output::Send(_)) {
                let line = format!("{} -> {}", name(place), describe_output(&effect));
                self.note(|| line);
            }
            if self.settings.spite > 0 && is_delicate(&effect) && self.random.chance(self.settings.spite) {
                self.spite(place);
            }
            match effect {
                Output::Send(message) => self.send(place, message),
                Output::Persist(request) => self.persist(place, request),
                Output::Load { ticket, from, to, bytes_max } => self.load(place, ticket, from, to, bytes_max),
                Output::Resolved { id, outcome } => self.resolved(id, outcome),
                Output::Apply { entries } => self.apply(place, entries),
                Output::ReadReady { id, position } => self.read_ready(place, id, position),
                Output::Prune { keep_from } => {
                    self.counts.prunes += 1;
                    if let Err(error) = self.nodes[place].disk.prune(keep_from, place != W) {
                        self.disk_error(place, error);
                    }
                }
                Output::Event(event) => self.event(place, event),
                Output::Fatal(what) => {
                    self.fail(Err(Violation { rule: "fatal", what: format!("{}: {what}", name(place)) }))
                }
            }
        }
    }

    /// Breaks something near `place`, now or in a moment.
    fn spite(&mut self, place: usize) {
        let at = self.time + self.random.below(4) * self.random.below(10 * MILLISECOND);
        let node = if self.random.chance(600) { place } else { self.random.below(NODES as u64) as usize };
        let other = (node + 1 + self.random.below(2) as usize) % NODES;
        let lasts = self.random.between(5, 600) * MILLISECOND;
        if self.random.chance(500) {
            let down_for = if self.random.chance(400) { self.random.below(3 * MILLISECOND) } else { lasts / 4 };
            self.act_at(at, Action::Crash { node, down_for, reboot: false });
            return;
        }
        let both = self.random.chance(500);
        for (from, to) in [(node, other), (other, node)].into_iter().take(1 + usize::from(both)) {
            self.act_at(at, Action::Cut { from, to });
            self.act_at(at + lasts, Action::Heal { from, to });
        }
    }

    fn send(&mut self, from: usize, message: Message) {
        self.counts.messages += 1;
        *self.sent.entry(body_name(&message.body)).or_default() += 1;
        if let Body::Append { entries, .. } = &message.body {
            self.counts.references +=
                entries.iter().filter(|entry| matches!(entry, AppendEntry::Reference { .. })).count() as u64;
        }
        let to = place_of(message.to);
        let class = message.body.class();
        let arrivals = self.network.arrivals(from, to, class, self.time, &mut self.random);
        if self.settings.trace {
            let fate = if arrivals.is_empty() { " (lost)" } else { "" };
            let line = format!("{} -> {} {}{fate}", name(from), name(to), describe_message(&message));
            self.note(|| line);
        }
        if arrivals.is_empty() {
            return;
        }
        let mut buffer = BytesMut::new();
        encode_message(&message, &mut buffer);
        let bytes = buffer.freeze();
        for at in arrivals {
            self.at(at, Happening::Deliver { to, bytes: bytes.clone() });
        }
    }

    fn persist(&mut self, place: usize, request: Persist) {
        let node = &mut self.nodes[place];
        if node.disk_is_lost {
            return;
        }
        let result = node.disk.hand_over(request);
        self.fail(result.map_err(|what| Violation { rule: "I6", what }));
        self.sync(place);
    }

    /// Starts an fsync for everything that waits for one, unless one runs.
    pub(crate) fn sync(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if node.disk.start_sync() {
            let (low, high) = node.fsync;
            let at = self.time + self.random.between(low, high);
            let life = node.life;
            self.at(at, Happening::DiskDone { node: place, life });
        }
    }

    pub(crate) fn disk_done(&mut self, place: usize) {
        let done = match self.nodes[place].disk.finish_sync() {
            Ok(done) => done,
            Err(error) => return self.disk_error(place, error),
        };
        if done.iter().any(|request| request.truncate.is_some() || request.base.is_some()) {
            self.check_copies();
        }
        self.sync(place);
        let mut tickets: Vec<Ticket> = done.iter().map(|request| request.ticket).collect();
        // the last ticket covers the others; a journal may also tell each
        if self.random.chance(500) {
            tickets.drain(..tickets.len().saturating_sub(1));
        }
        let life = self.nodes[place].life;
        for ticket in tickets {
            if self.nodes[place].life == life {
                self.step(place, Input::Persisted(ticket));
            }
        }
    }

    /// What a driver does: with a full disk it says goodbye, with a doubtful one nothing more; either way the process ends.
    pub(crate) fn disk_error(&mut self, place: usize, error: DiskError) {
        let down_for = 20 * MILLISECOND + self.random.below(200 * MILLISECOND);
        match error {
            DiskError::Broken(what) => {
                self.fail(Err(Violation { rule: "journal", what: format!("{}: {what}", name(place)) }))
            }
            DiskError::Full => {
                self.counts.disks_full += 1;
                self.note(|| format!("{}'s disk is full", name(place)));
                self.nodes[place].stopped = true;
                self.nodes[place].disk_is_lost = true;
                self.step(place, Input::Stop);
                self.crash(place, down_for, false);
            }
            DiskError::Failed => {
                self.counts.syncs_failed += 1;
                self.note(|| format!("a sync of {} fails", name(place)));
                self.crash(place, down_for, false);
            }
        }
    }

    fn load(&mut self, place: usize, ticket: Ticket, from: Index, to: Index, bytes_max: usize) {
        self.counts.loads += 1;
        let node = &self.nodes[place];
        let entries = match node.disk.load(from, to, bytes_max) {
            Ok(entries) => entries,
            Err(what) => {
                let what = format!("{} loads {} to {}: {what}", name(place), from.0, to.0);
                return self.fail(Err(Violation { rule: "load", what }));
            }
        };
        let life = node.life;
        let at = self.time + self.random.between(MILLISECOND / 10, 3 * MILLISECOND);
        self.at(at, Happening::Loaded { node: place, life, ticket, entries });
    }

    fn apply(&mut self, place: usize, entries: Vec<Entry>) {
        let node = &mut self.nodes[place];
        let AnyMachine::Store(store) = &node.machine else {
            return self.fail(Err(Violation { rule: "apply", what: "a witness applies".into() }));
        };
        for entry in &entries {
            let next = Index(node.applied.len() as u64 + 1);
            let durable = node.disk.durable.entry(entry.index()).is_some_and(|other| other == entry);
            let item = store.item(entry.index()).filter(|item| item.position == entry.position);
            if let (true, true, true, Some(item)) =
                (entry.index() == next, durable, entry.index() <= store.committed(), item)
            {
                node.applied.push(item.clone());
            } else {
                let what = format!("{} applies {} after {}", name(place), entry.position, next.0 - 1);
                return self.fail(Err(Violation { rule: "apply", what }));
            }
        }
        let index = Index(node.applied.len() as u64);
        let life = node.life;
        let at = self.time + self.random.between(MILLISECOND, 300 * MILLISECOND);
        self.at(at, Happening::Applied { node: place, life, index });
    }

    fn event(&mut self, place: usize, event: Event_) {
        let counts = &mut self.counts;
        match &event {
            Event_::BecameLeader { term } => {
                counts.elections += 1;
                self.last_event.insert((place, "leads"), self.time);
                // the no-op is in the log already; what counts is what lies below
                if let AnyMachine::Store(store) = &self.nodes[place].machine {
                    let result = self.checker.leads(place, *term, store);
                    self.fail(result);
                }
            }
            Event_::AdoptedWitnessTail { .. } => counts.adoptions += 1,
            Event_::Truncated { .. } => counts.truncations += 1,
            Event_::WitnessEngaged => {
                counts.engagements += 1;
                self.last_event.insert((place, "engages"), self.time);
            }
            Event_::LeaseActivated { .. } => counts.activations += 1,
            Event_::LeaseLapsed { .. } => {
                counts.lapses += 1;
                self.last_event.insert((place, "lapses"), self.time);
            }
            Event_::RegionEjected { .. } => counts.ejections += 1,
            Event_::RegionReadmitted { .. } => counts.readmissions += 1,
            Event_::Repaired { .. } => counts.repairs += 1,
            Event_::Ignored { reason, .. } => {
                let what = format!("{} finds a message wrong: {reason}", name(place));
                self.fail(Err(Violation { rule: "ignored", what }));
            }
            Event_::TooFarBehind { node } => {
                let what = format!("{} has pruned what {node} lacks", name(place));
                self.fail(Err(Violation { rule: "prune", what }));
            }
            _ => {}
        }
    }
}

/// Moments at which a fault is worth more than at others.
fn is_delicate(effect: &Output) -> bool {
    match effect {
        Output::Event(event) => matches!(
            event,
            Event_::BecameLeader { .. }
                | Event_::Campaigning { .. }
                | Event_::LeaseActivated { .. }
                | Event_::WitnessEngaged
                | Event_::AdoptedWitnessTail { .. }
                | Event_::Truncated { .. }
        ),
        Output::Resolved { outcome: Outcome::Rejected { .. }, .. } => true,
        Output::Send(message) => {
            matches!(message.body, Body::VoteReply { granted: true, .. } | Body::Fetch { .. } | Body::Verdict { .. })
        }
        _ => false,
    }
}
