//! The clocks, and a tripwire between them.
//!
//! Leases count CLOCK_BOOTTIME, which goes on while the machine sleeps and which nobody sets. What it cannot notice is
//! a virtual machine restored from an image of its memory, or a hypervisor that stops its clock: then it disagrees
//! with the wall clock, and what was promised to this node before is not to be relied upon.
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use trivet_log::{Nanos, Now};

/// A difference up to this much is a clock being set gently, or a slow system call.
const JUMP_MIN: i128 = 250_000_000;
/// Beyond that, up to one part in this many of the time between two looks is drift.
const DRIFT_PART: i128 = 50;

/// The time of a step.
pub fn now() -> Now {
    Now { boottime: boottime(), wall: nanos(ClockId::Realtime) }
}

pub(crate) fn boottime() -> Nanos {
    nanos(ClockId::Boottime)
}

fn nanos(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// One look at all clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) boottime: Nanos,
    pub(crate) monotonic: Nanos,
    pub(crate) wall: Nanos,
}

impl Sample {
    pub(crate) fn take() -> Sample {
        Sample { boottime: boottime(), monotonic: nanos(ClockId::Monotonic), wall: nanos(ClockId::Realtime) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jump {
    /// The machine slept for this long.
    Slept(Duration),
    /// The wall clock went this much further (`ahead`) or less far than the boot clock.
    WallMoved { by: Duration, ahead: bool },
}

/// Compares successive samples.
#[derive(Debug)]
pub(crate) struct Tripwire {
    last: Sample,
}

impl Tripwire {
    pub(crate) fn new(first: Sample) -> Tripwire {
        Tripwire { last: first }
    }

    pub(crate) fn look(&mut self, sample: Sample) -> Option<Jump> {
        let since = |then: Nanos, now: Nanos| i128::from(now) - i128::from(then);
        let boot = since(self.last.boottime, sample.boottime);
        let awake = since(self.last.monotonic, sample.monotonic);
        let wall = since(self.last.wall, sample.wall);
        self.last = sample;
        let tolerated = JUMP_MIN.max(boot.abs() / DRIFT_PART);
        if boot - awake > tolerated {
            return Some(Jump::Slept(duration(boot - awake)));
        }
        let moved = wall - boot;
        (moved.abs() > tolerated).then(|| Jump::WallMoved { by: duration(moved.abs()), ahead: moved > 0 })
    }
}

fn duration(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_forward() {
        let (first, second) = (Sample::take(), Sample::take());
        assert!(first.boottime > 0 && first.wall > first.boottime);
        assert!(second.boottime >= first.boottime && second.monotonic >= first.monotonic);
    }

    #[test]
    fn what_trips() {
        const S: u64 = 1_000_000_000;
        let millis = Duration::from_millis;
        let wall = |by, ahead| Some(Jump::WallMoved { by, ahead });
        // seconds between two looks by (boottime, monotonic, wall), in milliseconds
        let table = [
            ("nothing", (50, 50, 50), None),
            ("a slow look", (5_000, 5_000, 5_000), None),
            ("a clock being slewed", (100_000, 100_000, 100_050), None),
            ("a step forward", (50, 50, 3_650), wall(millis(3_600), true)),
            ("a step back", (50, 50, -950), wall(millis(1_000), false)),
            ("sleep", (10_000, 50, 10_000), Some(Jump::Slept(millis(9_950)))),
            ("a restored image", (50, 50, 60_000), wall(millis(59_950), true)),
        ];
        for (what, (boottime, monotonic, wall), jump) in table {
            let first = Sample { boottime: 100 * S, monotonic: 90 * S, wall: 1_000 * S };
            let after = |clock: u64, millis: i64| clock.checked_add_signed(millis * 1_000_000).expect("in range");
            let second = Sample {
                boottime: after(first.boottime, boottime),
                monotonic: after(first.monotonic, monotonic),
                wall: after(first.wall, wall),
            };
            assert_eq!(Tripwire::new(first).look(second), jump, "{what}");
        }
    }
}
