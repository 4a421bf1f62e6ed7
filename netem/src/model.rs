//! The link itself: what happens to a packet, decided when it is offered. Pure: no clock, no socket, no thread.
//!
//! ```text
//!                 cut?      rate: leaves when the wire is free     loss?    delay + jitter       at
//!   offer(now) ---- x -------[ queue, bounded in bytes ]-------------x----------------------------->
//!                  Cut            full: Overflow                    Lost
//! ```
//!
//! Nothing is kept per packet: a limited rate is one number (when the wire is free again), and the order of arrivals is
//! another (when the last one arrives). Each lane draws from its own seeded generator, so what one direction carries
//! never changes the fate of the other.
//!
//! Invariants:
//! - **N1** A packet arrives no earlier than `now + delay`, nor before the rate let it leave.
//! - **N2** Unless `reorder` is set, packets of a lane arrive in the order in which they were offered.
//! - **N3** A cut lane delivers nothing that is offered while it is cut.
//! - **N4** Fates are a function of seed, settings and offers.
//! - **N5** A stream is never reordered, lost or doubled: it waits instead.
//!
//! Left out: corruption (QUIC and TCP would only see loss), and loss in bursts.
use crate::settings::{Chance, LinkSettings, Way};
use std::time::Duration;

/// Nanoseconds since an origin that the caller chose.
pub type Nanos = u64;

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Deliver { at: Nanos },
    DeliverTwice { at: Nanos, again_at: Nanos },
    Drop(Reason),
}

/// Why a packet was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    Cut,
    Lost,
    Overflow,
}

/// What becomes of the next bytes of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamFate {
    Deliver {
        at: Nanos,
    },
    /// Not taken: offer it again at this time, or, if there is none, when the settings change.
    Wait {
        until: Option<Nanos>,
    },
}

/// Bytes of a stream that a network would carry in one packet; each piece may be lost by itself.
const STREAM_SEGMENT: usize = 1448;

/// A lost piece of a stream comes again after a round trip, at least this much later.
const RETRANSMIT_MIN: Nanos = 10_000_000;

/// Both directions of one link.
#[derive(Clone, Debug)]
pub struct Link {
    lanes: [Lane; 2],
}

impl Link {
    /// A link that draws its luck from `seed`.
    pub fn new(seed: u64, forward: LinkSettings, backward: LinkSettings) -> Link {
        let mut seeds = Random(seed);
        Link { lanes: [Lane::new(seeds.next(), forward), Lane::new(seeds.next(), backward)] }
    }

    pub fn settings(&self, way: Way) -> &LinkSettings {
        &self.lanes[way.slot()].settings
    }

    /// From now on. What was offered before keeps its fate.
    pub fn set(&mut self, way: Way, settings: LinkSettings) {
        self.lanes[way.slot()].settings = settings;
    }

    /// Delay there and back, jitter not counted.
    pub fn round_trip(&self) -> Duration {
        self.lanes[0].settings.delay + self.lanes[1].settings.delay
    }

    /// A packet is sent `way` at `now`. Calls come with growing `now`.
    pub fn offer(&mut self, now: Nanos, packet_len: usize, way: Way) -> Fate {
        self.lanes[way.slot()].offer(now, packet_len)
    }

    /// The next `len` bytes of a stream are sent `way` at `now`; the bytes before them arrive at `after`.
    pub fn offer_stream(&mut self, now: Nanos, len: usize, way: Way, after: Nanos) -> StreamFate {
        let retransmission = nanos(self.round_trip()).max(RETRANSMIT_MIN);
        self.lanes[way.slot()].offer_stream(now, len, after, retransmission)
    }
}

#[derive(Clone, Debug)]
struct Lane {
    settings: LinkSettings,
    /// When the wire has sent everything that was offered so far, under a limited rate.
    free_at: Nanos,
    /// The latest arrival so far.
    last_at: Nanos,
    random: Random,
}

impl Lane {
    fn new(seed: u64, settings: LinkSettings) -> Lane {
        Lane { settings, free_at: 0, last_at: 0, random: Random(seed) }
    }

    fn offer(&mut self, now: Nanos, len: usize) -> Fate {
        if self.settings.cut {
            return Fate::Drop(Reason::Cut);
        }
        let Some(left_at) = self.transmit(now, len) else {
            return Fate::Drop(Reason::Overflow);
        };
        if self.random.happens(self.settings.loss) {
            return Fate::Drop(Reason::Lost);
        }
        let at = self.arrival(left_at);
        if self.random.happens(self.settings.duplicate) {
            return Fate::DeliverTwice { at, again_at: self.arrival(left_at) };
        }
        Fate::Deliver { at }
    }

    fn offer_stream(&mut self, now: Nanos, len: usize, after: Nanos, retransmission: Nanos) -> StreamFate {
        if self.settings.cut || self.settings.rate == Some(0) {
            return StreamFate::Wait { until: None };
        }
        let Some(left_at) = self.transmit(now, len) else {
            // Half of the queue has left by then, so a stream moves in pieces worth a wake-up.
            let half = self.free_at.saturating_sub(now) / 2;
            return StreamFate::Wait { until: Some(now + half.max(1)) };
        };
        let loss = self.settings.loss;
        // Every piece draws, so that the number of draws depends on the length alone.
        let lost = (0..len.div_ceil(STREAM_SEGMENT)).filter(|_| self.random.happens(loss)).count();
        let penalty = if lost > 0 { retransmission } else { 0 };
        let at = left_at.saturating_add(self.travel()).saturating_add(penalty);
        StreamFate::Deliver { at: at.max(after) }
    }

    /// When the last byte has left, or `None` if the queue has no room. A packet always fits an empty queue.
    fn transmit(&mut self, now: Nanos, len: usize) -> Option<Nanos> {
        let Some(rate) = self.settings.rate else {
            self.free_at = now;
            return Some(now);
        };
        if rate == 0 {
            return None;
        }
        let begin = self.free_at.max(now);
        let waiting = bytes_in(begin - now, rate);
        if waiting > 0 && waiting.saturating_add(len as u64) > self.settings.queue {
            return None;
        }
        self.free_at = begin.saturating_add(nanos_for(len as u64, rate));
        Some(self.free_at)
    }

    /// Arrival of a packet that left now. // N1, N2
    fn arrival(&mut self, left_at: Nanos) -> Nanos {
        let mut at = left_at.saturating_add(self.travel());
        if !self.settings.reorder {
            at = at.max(self.last_at);
        }
        self.last_at = self.last_at.max(at);
        at
    }

    fn travel(&mut self) -> Nanos {
        nanos(self.settings.delay).saturating_add(self.random.below(nanos(self.settings.jitter)))
    }
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Time to send `bytes` at `rate` bytes a second, rounded up: a limit is never exceeded.
fn nanos_for(bytes: u64, rate: u64) -> Nanos {
    let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(rate));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

fn bytes_in(nanos: Nanos, rate: u64) -> u64 {
    u64::try_from(u128::from(nanos) * u128::from(rate) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every machine and in every release, which N4 needs and
/// `rand`'s small generators do not promise.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..=most`; draws nothing when there is nothing to draw.
    fn below(&mut self, most: u64) -> u64 {
        if most == 0 {
            return 0;
        }
        ((u128::from(self.next()) * (u128::from(most) + 1)) >> 64) as u64
    }

    fn happens(&mut self, chance: Chance) -> bool {
        chance > Chance::NEVER && self.below(999_999) < u64::from(chance.parts_per_million())
    }
}

#[cfg(test)]
mod tests;
