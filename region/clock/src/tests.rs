use super::*;
use crate::timestamp::PHYSICAL_MAX;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn at(physical: u64, logical: u32) -> HlcTimestamp {
    HlcTimestamp { physical, logical }
}

#[test]
fn stamps_follow_the_wall_and_count_when_it_stands_still() {
    let mut clock = HlcClock::default();
    assert_eq!(clock.stamp(0, 1000), at(1000, 0));
    assert_eq!(clock.stamp(0, 1000), at(1000, 1));
    assert_eq!(clock.stamp(5, 900), at(1000, 2), "the wall stepped back");
    assert_eq!(clock.stamp(9, 1009), at(1009, 0));
}

#[test]
fn a_new_leader_stamps_above_its_log() {
    let mut clock = HlcClock::default();
    clock.observe(at(5000, 7)).expect("a sound stamp");
    assert!(clock.stamp(0, 4000) > at(5000, 7));
    assert_eq!(clock.ahead_of(4000), 1000);
}

#[test]
fn a_wall_clock_that_jumps_ahead_is_not_followed() {
    let mut clock = HlcClock::default();
    clock.stamp(0, 10 * SECOND);
    let jumped = clock.stamp(SECOND, 3_600 * SECOND);
    assert_eq!(jumped, at(11 * SECOND, 0));
    // It goes on at the rate of boot time, and believes the wall again once that is near.
    assert_eq!(clock.stamp(2 * SECOND, 3_601 * SECOND), at(12 * SECOND, 0));
    assert_eq!(clock.stamp(3 * SECOND, 13 * SECOND + 7), at(13 * SECOND + 7, 0));
}

#[test]
fn the_logical_part_is_bounded() {
    let mut clock = HlcClock::default();
    clock.observe(at(100, LOGICAL_MAX)).expect("at the bound");
    assert_eq!(clock.stamp(0, 50), at(101, 0));
    assert_eq!(
        clock.observe(at(200, LOGICAL_MAX + 2)),
        Err(ObserveError::Timestamp(TimestampError::LogicalTooLarge(LOGICAL_MAX + 2)))
    );
    assert_eq!(
        clock.observe_within(at(10 * SECOND, 0), SECOND, SECOND),
        Err(ObserveError::TooFarAhead { ahead_nanos: 9 * SECOND, limit_nanos: SECOND })
    );
    assert_eq!(clock.last(), at(101, 0), "a refused stamp leaves no trace");
}

#[derive(Clone, Debug)]
enum Step {
    Stamp { boottime: u64, wall: u64 },
    Observe(HlcTimestamp),
    Restart,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..200u64, 0..200u64).prop_map(|(boottime, wall)| Step::Stamp { boottime, wall }),
        (0..200u64, prop_oneof![0..4u32, LOGICAL_MAX - 1..LOGICAL_MAX + 2]).prop_map(|(p, l)| Step::Observe(at(p, l))),
        Just(Step::Restart),
    ]
}

proptest! {
    /// C1 and C2 under clocks that step anywhere and restarts that remember only what the log holds.
    #[test]
    fn stamps_grow(steps in prop::collection::vec(steps(), 1..80)) {
        let mut clock = HlcClock::new(50);
        let mut log_max = HlcTimestamp::default();
        for step in steps {
            match step {
                Step::Stamp { boottime, wall } => {
                    let given = clock.stamp(boottime, wall);
                    prop_assert!(given > log_max, "{given} after {log_max}");
                    prop_assert!(given.logical <= LOGICAL_MAX + 1);
                    log_max = given;
                }
                Step::Observe(stamp) => {
                    clock.observe(stamp).expect("within bounds");
                    log_max = log_max.max(stamp);
                }
                Step::Restart => {
                    clock = HlcClock::new(50);
                    clock.observe(log_max).expect("what it gave itself");
                }
            }
        }
    }

    #[test]
    fn bytes_sort_as_stamps_do(a in (0..=PHYSICAL_MAX, 0..=LOGICAL_MAX), b in (0..=PHYSICAL_MAX, 0..=LOGICAL_MAX)) {
        let (a, b) = (at(a.0, a.1), at(b.0, b.1));
        prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        prop_assert_eq!(HlcTimestamp::from_bytes(&a.to_bytes()), Ok(a));
    }
}
