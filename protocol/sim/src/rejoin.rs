//! A region loses its disk and begins anew, as `docs/protocol.md` has it (Rejoin): the other region says what it begins with,
//! if it may; the copy is taken, and is on its way for a while, in which either may be killed; then the node starts from it.
use crate::store::Item;
use crate::world::*;
use trivet_journal::Seed;
use trivet_log::*;

/// How soon whoever brings a region back tries again.
const AGAIN_AFTER: u64 = 50 * MILLISECOND;

/// What the other region gave.
pub(crate) struct Checkpoint {
    ready_at: u64,
    seed: Seed,
    boot: Boot,
    applied: Vec<Item>,
    entries: Vec<Entry>,
}

impl World {
    pub(crate) fn lose_disk(&mut self, place: usize, down_for: u64) {
        // one copy may be lost at a time
        if self.nodes.iter().any(|node| node.disk.is_rotten) {
            return;
        }
        self.crash(place, down_for, false);
        let node = &mut self.nodes[place];
        node.disk.lose(Index(node.applied_durable as u64));
        node.applied.clear();
        node.applied_durable = 0;
        self.counts.losses += 1;
        self.note(|| format!("{} has lost its disk", name(place)));
        self.check_copies();
    }

    /// True once the copy is on the disk of `place`, which may start then.
    pub(crate) fn begin_anew(&mut self, place: usize) -> bool {
        if self.nodes[place].copy.as_ref().is_some_and(|copy| copy.ready_at > self.time) {
            return false; // another start is due then
        }
        match self.nodes[place].copy.take() {
            // killed while the copy was on its way, on either side: it begins from the beginning
            Some(_) if self.random.chance(250) => self.at(self.time + AGAIN_AFTER, Happening::Start { node: place }),
            Some(Checkpoint { seed, boot, applied, entries, .. }) => {
                if let Err(what) = self.nodes[place].disk.begin_anew(&seed, boot, &entries) {
                    self.fail(Err(crate::check::Violation { rule: "journal", what }));
                    return false;
                }
                let node = &mut self.nodes[place];
                node.applied_durable = applied.len();
                node.applied = applied;
                self.counts.rejoins += 1;
                self.note(|| format!("{} begins anew: {seed:?}", name(place)));
                return true;
            }
            None => {
                let copy = self.copy_for(place);
                let at = copy.as_ref().map_or(self.time + AGAIN_AFTER, |copy| copy.ready_at);
                self.nodes[place].copy = copy;
                self.at(at, Happening::Start { node: place });
            }
        }
        false
    }

    fn copy_for(&mut self, place: usize) -> Option<Checkpoint> {
        let other = 1 - place;
        let now = self.clock(other);
        let rejoin = self.nodes[other].core.as_ref()?.rejoin(id_of(place), now).ok()?;
        let durable = self.status(other)?.durable;
        let ready_at = self.time + self.random.below(SECOND);
        let node = &self.nodes[other];
        let applied = node.applied[..node.applied_durable].to_vec();
        let image = &node.disk.durable;
        let lowest = image.base.index.0.min(applied.len() as u64);
        let base = self.random.between(lowest, applied.len() as u64);
        let position = |index: u64| match index {
            0 => Position::ZERO,
            index => applied[index as usize - 1].position,
        };
        let reaches = rejoin.commit.index.min(durable);
        let entries: Vec<Entry> =
            image.entries.iter().filter(|entry| entry.index().0 > base && entry.index() <= reaches).cloned().collect();
        let own = |item: &&Item| item.record.as_ref().is_some_and(|record| record.id.region == id_of(place));
        let boots = self.store(other)?.items().iter().filter(own).filter_map(|item| item.record.as_ref());
        let logged = boots.map(|record| record.id.boot).max().unwrap_or_default();
        let seed = Seed { term: rejoin.term, base: position(base), rotten_up_to: rejoin.rotten_up_to };
        Some(Checkpoint { ready_at, seed, boot: rejoin.boot_above(logged), applied, entries })
    }
}
