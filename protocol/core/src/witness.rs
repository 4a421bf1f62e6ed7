//! When the leader has the witness keep the log, and from where on.
//!
//! ```text
//!   both regions well:   W: base ........ moves about once a second, no payload
//!   one region missing:  W: base |=======================>  every entry above what that region has
//! ```
//!
//! - W1: a base is committed, and on every region's disk in this term; or it is where our own log begins, which every region
//!   has applied. So the witness lacks nothing that a region lacks.
//! - W2: engaging costs only bytes, so it is done early (a silence of a few heartbeats) and undone late.
use crate::contact::Contact;
use crate::io::*;
use crate::machine::Machine;
use crate::message::*;
use crate::node::{Effects, Node};
use crate::progress::Progress;
use crate::types::*;

/// The regions must be well for this long before the witness is released.
const RELEASE_AFTER: Nanos = 1_000 * MILLISECOND;
/// How often a base that moves is told to a witness that keeps nothing.
const WINDOW_EVERY: Nanos = 1_000 * MILLISECOND;

#[derive(Debug, Default)]
pub(crate) struct Engagement {
    engaged: bool,
    base: Position,
    well_since: Option<Nanos>,
    told_at: Option<Nanos>,
}

impl Engagement {
    pub fn is_engaged(&self) -> bool {
        self.engaged
    }

    /// The last base that the witness was told in this term.
    pub fn base(&self) -> Position {
        self.base
    }

    /// No base lies below where our own log begins: what a witness lost to rot down there, every region has.
    pub fn begin_at(&mut self, base: Position) {
        self.base = self.base.max(base);
    }

    /// Looks after the regions, once a heartbeat, and when one of them says that it stops.
    pub fn review<M: Machine>(&mut self, node: &mut Node, peers: &mut [Progress], fx: &mut Effects<'_, M>) {
        let now = node.clock();
        let well = peers.iter().filter(|peer| peer.kind == NodeKind::Region).all(|peer| {
            let Some(contact) = node.contact(peer.node) else { return false };
            let patience = Contact::patience(contact, node.timing());
            let stays = !node.leases.has_released(peer.node, contact.boot);
            stays && !contact.is_silent(node.timing(), now) && !peer.is_behind(now, patience)
        });
        if !well {
            self.well_since = None;
            if !self.engaged {
                self.engage(node, peers, fx);
            }
            return;
        }
        let since = *self.well_since.get_or_insert(now);
        if self.engaged && now.saturating_sub(since) >= RELEASE_AFTER {
            self.engaged = false;
            fx.event(Event::WitnessReleased);
        }
        if !self.engaged {
            self.move_base(node, peers, fx);
        }
    }

    /// The highest base that W1 allows.
    fn safe_base(node: &Node, peers: &[Progress]) -> Option<Position> {
        let regions = peers.iter().filter(|peer| peer.kind == NodeKind::Region).map(|peer| peer.durable);
        let mut upto = node.commit.index.min(node.disk.durable());
        if !node.config.sabotage.base_needs_only_leader {
            upto = regions.fold(upto, Index::min);
        }
        node.log.position_at(upto)
    }

    fn engage<M: Machine>(&mut self, node: &mut Node, peers: &mut [Progress], fx: &mut Effects<'_, M>) {
        self.engaged = true;
        fx.event(Event::WitnessEngaged);
        if let Some(base) = Self::safe_base(node, peers) {
            self.base = self.base.max(base);
        }
        // every region has settled what we no longer have; a witness whose window rotted away begins there
        self.base = self.base.max(node.log.base());
        let now = node.clock();
        for peer in peers.iter_mut().filter(|peer| peer.kind == NodeKind::Witness) {
            // where nothing is known in this term, a probe from where the term began finds out
            let next = match peer.received.max(self.base.index) {
                Index(0) => peer.next,
                known => known.next(),
            };
            peer.probe(next, now);
        }
    }

    fn move_base<M: Machine>(&mut self, node: &mut Node, peers: &[Progress], fx: &mut Effects<'_, M>) {
        let now = node.clock();
        if self.told_at.is_some_and(|at| now.saturating_sub(at) < WINDOW_EVERY) {
            return;
        }
        let Some(base) = Self::safe_base(node, peers) else { return };
        for peer in peers.iter().filter(|peer| peer.kind == NodeKind::Witness) {
            let stored = node.contact(peer.node).map_or(Index(0), |contact| contact.settled);
            if base.index > stored {
                self.base = self.base.max(base);
                self.told_at = Some(now);
                node.send(peer.node, Body::Window { base }, fx.out);
            }
        }
    }
}
