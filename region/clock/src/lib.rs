//! Hybrid logical clock: commit timestamps that grow along the log and stay near wall time.
//!
//! The merge rule is that of `hybrid-clocks` (Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in
//! Globally Distributed Databases"); this crate puts the guards around it that it lacks, and fixes its epoch to 0.
//!
//! Only the sequencer stamps; everybody observes the stamps of the log. No correctness rests on these times: they
//! feed commit timestamps, `AS OF SYSTEM TIME` and retention. Rule T23 of `docs/transactions.md` is kept here.
//!
//! Invariants
//! - C1: a stamp is greater than every stamp that this clock gave or observed.
//! - C2: the logical part stays at or below [`LOGICAL_MAX`]; past it the physical part moves on by a nanosecond.
//! - C3: a wall clock that jumps ahead of its own boot-time clock by more than the limit does not pull stamps along.
mod timestamp;

pub use timestamp::{HlcTimestamp, LOGICAL_MAX, TimestampError};

use hybrid_clocks::{Clock, ManualClock, Timestamp};

/// How far wall time may run ahead of elapsed boot time before it is called a jump.
pub const JUMP_MAX_NANOS: u64 = 500_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ObserveError {
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    #[error("timestamp is {ahead_nanos} ns ahead of this node's clock, more than the limit of {limit_nanos} ns")]
    TooFarAhead { ahead_nanos: u64, limit_nanos: u64 },
}

/// The clock of one node's log. The caller passes time in, so that a simulation can pass its own.
pub struct HlcClock {
    clock: Clock<ManualClock>,
    last: HlcTimestamp,
    /// (boot time, wall time) of the newest believed reading.
    anchor: Option<(u64, u64)>,
    jump_max_nanos: u64,
}

impl std::fmt::Debug for HlcClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HlcClock").field("last", &self.last).field("anchor", &self.anchor).finish_non_exhaustive()
    }
}

impl Default for HlcClock {
    fn default() -> Self {
        HlcClock::new(JUMP_MAX_NANOS)
    }
}

impl HlcClock {
    pub fn new(jump_max_nanos: u64) -> HlcClock {
        let clock = Clock::manual(0).expect("a manual clock has no source that can fail");
        HlcClock { clock, last: HlcTimestamp::default(), anchor: None, jump_max_nanos }
    }

    /// The greatest stamp given or observed.
    pub fn last(&self) -> HlcTimestamp {
        self.last
    }

    /// A new stamp above all others (C1). `boottime` and `wall` are two readings of the same moment, in nanoseconds.
    pub fn stamp(&mut self, boottime: u64, wall: u64) -> HlcTimestamp {
        let believed = self.believe(boottime, wall);
        if self.last.logical >= LOGICAL_MAX {
            // C2: the crate would count on and overflow.
            self.raise(HlcTimestamp { physical: self.last.physical.saturating_add(1), logical: 0 });
            return self.last;
        }
        self.clock.set_time(believed);
        let given = self.clock.now().expect("a manual clock has no source that can fail");
        self.last = HlcTimestamp { physical: given.time, logical: given.count };
        self.last
    }

    /// Take note of a stamp that the log holds. It cannot be refused for its distance: it is history.
    pub fn observe(&mut self, stamp: HlcTimestamp) -> Result<(), ObserveError> {
        let stamp = stamp.checked()?;
        if stamp > self.last {
            self.raise(stamp);
        }
        Ok(())
    }

    /// Take note of a stamp that somebody claims, if it is at most `limit_nanos` ahead of `wall`.
    pub fn observe_within(&mut self, stamp: HlcTimestamp, wall: u64, limit_nanos: u64) -> Result<(), ObserveError> {
        let ahead_nanos = stamp.physical.saturating_sub(wall);
        if ahead_nanos > limit_nanos {
            return Err(ObserveError::TooFarAhead { ahead_nanos, limit_nanos });
        }
        self.observe(stamp)
    }

    /// How far the stamps run ahead of this wall clock, in nanoseconds: a gauge for the operator.
    pub fn ahead_of(&self, wall: u64) -> u64 {
        self.last.physical.saturating_sub(wall)
    }

    fn raise(&mut self, stamp: HlcTimestamp) {
        debug_assert!(stamp > self.last, "clock raised downwards");
        // The crate counts on by one when told a greater count of the time that it is at.
        self.clock.observe(&Timestamp { epoch: 0, time: stamp.physical, count: stamp.logical });
        let observed = HlcTimestamp { physical: stamp.physical, logical: stamp.logical.saturating_add(1) };
        self.last = if self.last.physical == stamp.physical { observed } else { stamp };
    }

    /// C3: wall time, unless it ran away from boot time since the last believed reading.
    fn believe(&mut self, boottime: u64, wall: u64) -> u64 {
        let believed = match self.anchor {
            None => wall,
            Some((then_boottime, then_wall)) => {
                let expected = then_wall.saturating_add(boottime.saturating_sub(then_boottime));
                if wall > expected.saturating_add(self.jump_max_nanos) { expected } else { wall }
            }
        };
        self.anchor = Some((boottime, believed));
        believed
    }
}

#[cfg(test)]
mod tests;
