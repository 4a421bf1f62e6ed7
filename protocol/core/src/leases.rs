//! Promises made to regions, and promises held, which are read leases.
//!
//! ```text
//!   v (gives)        clock starts here:  |------------ D ------------->|   made
//!                                       /
//!   R (holds)   token taken here: |----/-------- D' --------->|            held
//! ```
//!
//! R counts on its own clock from the token that v answered, which it took before v started to count, and for less than
//! v does. So R stops first, whatever the delay and whatever the clocks' rates within the bound.
//!
//! - P1: a promise made is forgotten only by time, by the holder's release, never by a change of term.
//! - P2: a hold begins (or begins again after a lapse) only once the log holds the giver's last entry of when it promised.
//! - P3: a promise to a former boot is worth nothing.
//! - P4: so is one to a region whose log is rotten: what was exposed with its own copy, which is gone, no promise waited for.
use crate::io::*;
use crate::log::Log;
use crate::message::*;
use crate::types::*;

#[derive(Debug)]
pub(crate) struct Leases {
    made: Vec<Made>,
    held: Vec<Held>,
    /// How many of `held` make a majority together with ourselves.
    needed: usize,
    epoch: u64,
    without_log: bool,
}

#[derive(Debug)]
struct Made {
    to: NodeId,
    place: u8,
    until: Nanos,
    /// The newest boot that it was made to; `None` if it was assumed at our start, to whichever boot then was.
    boot: Option<Boot>,
    /// This boot has stopped serving for good, and every earlier one.
    released: Option<Boot>,
}

#[derive(Debug)]
struct Held {
    from: NodeId,
    hold: Hold,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Hold {
    None,
    /// In time, but the log does not yet hold what the giver had when it promised: at first, or as told most lately. Either
    /// will do, since the promise was kept without a gap between them.
    Pending {
        until: Nanos,
        first: Position,
        newest: Position,
    },
    Active {
        until: Nanos,
    },
}

impl Leases {
    pub fn new(config: &Config, now: Nanos) -> Leases {
        let others = || config.roster.iter().enumerate().filter(|(_, (node, _))| *node != config.me);
        let until = match config.sabotage.promises_forgotten_at_restart {
            true => 0,
            false => now + config.timing.promise,
        };
        Leases {
            made: others()
                .filter(|(_, (_, kind))| *kind == NodeKind::Region)
                .map(|(place, (to, _))| Made { to: *to, place: place as u8, until, boot: None, released: None })
                .collect(),
            held: others().map(|(_, (from, _))| Held { from: *from, hold: Hold::None }).collect(),
            needed: config.roster.len() / 2,
            epoch: 0,
            without_log: config.sabotage.lease_without_log,
        }
    }

    /// The regions with an unexpired promise of ours, a bit for each place.
    pub fn mask(&self, now: Nanos) -> u8 {
        self.made.iter().filter(|made| made.until >= now && made.until > 0).fold(0, |mask, made| mask | 1 << made.place)
    }

    /// When the next promise of ours runs out.
    pub fn next_lapse_made(&self, now: Nanos) -> Option<Nanos> {
        self.made.iter().filter(|made| made.until >= now && made.until > 0).map(|made| made.until + 1).min()
    }

    pub fn next_lapse_held(&self) -> Option<Nanos> {
        self.held
            .iter()
            .filter_map(|held| match held.hold {
                Hold::Active { until } => Some(until),
                _ => None,
            })
            .min()
    }

    pub fn made(&self) -> Vec<(NodeId, Nanos)> {
        self.made.iter().map(|made| (made.to, made.until)).collect()
    }

    /// May that boot of the region be promised anything? Not once it has said that it stopped serving.
    pub fn may_promise(&self, to: NodeId, boot: Boot) -> bool {
        self.made.iter().any(|made| made.to == to && made.released.is_none_or(|released| boot > released))
    }

    /// Has that boot of the region stopped serving for good?
    pub fn has_released(&self, region: NodeId, boot: Boot) -> bool {
        self.made.iter().any(|made| made.to == region && made.released.is_some_and(|released| boot <= released))
    }

    /// Is a promise of ours to that boot of the region in force? One that is only assumed does not count.
    pub fn is_promised(&self, to: NodeId, boot: Boot, now: Nanos) -> bool {
        self.made.iter().any(|made| made.to == to && made.boot == Some(boot) && made.until >= now && made.until > 0)
    }

    pub fn make(&mut self, to: NodeId, boot: Boot, until: Nanos) {
        let made = self.made.iter_mut().find(|made| made.to == to).expect("promises are made to regions of the roster");
        made.until = made.until.max(until);
        // an assumed promise may be to any boot until it has run out, but a newer boot includes it
        made.boot = made.boot.max(Some(boot));
    }

    /// The region has said that `boot` serves no more. `since_our_start`: it said so knowing of our present boot, so no
    /// later boot of its can hold a promise from before. True if a promise ended by it.
    pub fn release(&mut self, from: NodeId, boot: Boot, since_our_start: bool, now: Nanos) -> bool {
        let Some(made) = self.made.iter_mut().find(|made| made.to == from) else { return false };
        made.released = made.released.max(Some(boot));
        let ours = made.boot.is_none_or(|promised| promised <= boot);
        let ended = ours && since_our_start && made.until >= now;
        if ended {
            made.until = 0;
        }
        ended
    }

    /// A promise to us has arrived.
    pub fn take(&mut self, from: NodeId, promise: &Promise, my_boot: Boot, now: Nanos, timing: &Timing) {
        if promise.boot != my_boot || promise.token > now {
            return; // P3; or not our clock
        }
        let Some(held) = self.held.iter_mut().find(|held| held.from == from) else { return };
        let until = promise.token.saturating_add(timing.held_for(promise.length));
        if until <= now {
            return;
        }
        held.hold = match held.hold {
            Hold::Active { until: before } if before > now => Hold::Active { until: before.max(until) },
            Hold::Pending { until: before, first, .. } if before > now => {
                Hold::Pending { until: before.max(until), first, newest: promise.last }
            }
            _ => Hold::Pending { until, first: promise.last, newest: promise.last },
        };
    }

    /// Turns holds on whose condition the log meets (P2), and off whose time is over. Call after the log grew.
    pub fn update(&mut self, log: &Log, commit: Index, now: Nanos, out: &mut Vec<Output>) {
        for held in &mut self.held {
            match held.hold {
                Hold::Active { until } if until <= now => {
                    held.hold = Hold::None;
                    out.push(Output::Event(Event::LeaseLapsed { from: held.from }));
                }
                Hold::Pending { until, .. } if until <= now => held.hold = Hold::None,
                Hold::Pending { until, first, newest } => {
                    // everything exposed that the giver had lies at or below its last entry: either it is in our log, or
                    // we know all that is exposed up to there
                    let covers = |last: Position| last.index <= commit || log.contains(last);
                    if covers(first) || covers(newest) || self.without_log {
                        held.hold = Hold::Active { until };
                        self.epoch += 1;
                        out.push(Output::Event(Event::LeaseActivated { from: held.from, epoch: self.epoch }));
                    }
                }
                _ => {}
            }
        }
    }

    /// Until when enough others' promises stand that they and we are a majority; 0 if they do not.
    pub fn until(&self) -> Nanos {
        if self.needed == 0 {
            return u64::MAX;
        }
        let mut untils: Vec<Nanos> = self
            .held
            .iter()
            .filter_map(|held| match held.hold {
                Hold::Active { until } => Some(until),
                _ => None,
            })
            .collect();
        untils.sort_unstable_by(|a, b| b.cmp(a));
        untils.get(self.needed - 1).copied().unwrap_or(0)
    }

    pub fn valid(&self, now: Nanos) -> bool {
        now < self.until()
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// We serve no more.
    pub fn drop_held(&mut self) {
        for held in &mut self.held {
            held.hold = Hold::None;
        }
    }
}

#[cfg(test)]
#[path = "leases_test.rs"]
mod tests;
