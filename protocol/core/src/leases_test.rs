//! Promises by the clock: when they begin, when they end, and what does not count.
use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const W: NodeId = NodeId(3);
const BOOT: Boot = Boot(5);
const MS: Nanos = 1_000_000;

fn config(me: NodeId) -> Config {
    Config {
        me,
        roster: vec![(A, NodeKind::Region), (B, NodeKind::Region), (W, NodeKind::Witness)],
        timing: Timing::default(),
        payload_max: 1 << 20,
        append_bytes_max: 1 << 20,
        uncommitted_bytes_max: 1 << 20,
        cache_bytes_max: 1 << 20,
        sabotage: Sabotage::default(),
    }
}

fn log(terms: &[u64]) -> Log {
    let mut log = Log::recover(Position::ZERO, &[], vec![], Position::ZERO).expect("an empty log");
    for (n, term) in terms.iter().enumerate() {
        log.push(Entry { position: Position::new(*term, n as u64 + 1), body: EntryBody::NoOp });
    }
    log
}

fn promise(token: Nanos, last: Position) -> Promise {
    Promise { length: 1000 * MS, last, boot: BOOT, token }
}

struct Holder {
    leases: Leases,
    log: Log,
    commit: Index,
}

impl Holder {
    fn new(terms: &[u64]) -> Holder {
        Holder { leases: Leases::new(&config(A), 0), log: log(terms), commit: Index(0) }
    }

    fn take(&mut self, now: Nanos, promise: Promise) -> bool {
        self.leases.take(B, &promise, BOOT, now, &Timing::default());
        self.at(now)
    }

    fn at(&mut self, now: Nanos) -> bool {
        self.leases.update(&self.log, self.commit, now, &mut Vec::new());
        self.leases.valid(now)
    }
}

#[test]
fn a_hold_ends_before_the_promise_whatever_the_rates() {
    let timing = Timing::default();
    for length in [100 * MS, 500 * MS, 1000 * MS, 10_000 * MS] {
        let held = timing.held_for(length) as f64;
        let rho = timing.drift_permille as f64 / 1000.0;
        let slowest_holder = held / (1.0 - rho);
        let fastest_promiser = length as f64 / (1.0 + rho);
        assert!(slowest_holder < fastest_promiser, "{length}: {slowest_holder} against {fastest_promiser}");
    }
}

#[test]
fn a_hold_counts_from_the_token_not_from_the_arrival() {
    let mut holder = Holder::new(&[1]);
    assert!(holder.take(400 * MS, promise(100 * MS, Position::new(1, 1))));
    let end = 100 * MS + Timing::default().held_for(1000 * MS);
    assert!(holder.at(end - 1));
    assert!(!holder.at(end));
}

#[test]
fn a_hold_waits_for_the_givers_last_entry() {
    let mut holder = Holder::new(&[1]);
    assert!(!holder.take(10 * MS, promise(0, Position::new(1, 2))), "1.2 is missing");
    assert!(!holder.take(60 * MS, promise(50 * MS, Position::new(1, 3))), "and more so 1.3");
    holder.log.push(Entry { position: Position::new(1, 2), body: EntryBody::NoOp });
    assert!(holder.at(70 * MS), "the first promise was kept all along");
    assert_eq!(holder.leases.until(), 50 * MS + Timing::default().held_for(1000 * MS));
}

#[test]
fn another_entry_at_the_same_index_does_not_do() {
    let mut holder = Holder::new(&[1, 2]);
    assert!(!holder.take(10 * MS, promise(0, Position::new(1, 2))), "ours is 2.2");
    holder.commit = Index(2);
    assert!(holder.at(20 * MS), "but once index 2 is committed here, what the giver had there was never exposed");
}

#[test]
fn a_renewal_extends_without_the_log_and_a_lapse_asks_again() {
    let mut holder = Holder::new(&[1]);
    assert!(holder.take(10 * MS, promise(0, Position::new(1, 1))));
    assert_eq!(holder.leases.epoch(), 1);
    assert!(holder.take(500 * MS, promise(490 * MS, Position::new(1, 9))));
    let end = 490 * MS + Timing::default().held_for(1000 * MS);
    assert!(!holder.at(end));
    assert!(!holder.take(end + MS, promise(end, Position::new(1, 9))), "after a lapse the log counts again");
    assert_eq!(holder.leases.epoch(), 1);
}

#[test]
fn promises_to_another_boot_or_from_the_future_are_void() {
    let mut holder = Holder::new(&[1]);
    assert!(!holder.take(10 * MS, Promise { boot: Boot(4), ..promise(0, Position::ZERO) }));
    assert!(!holder.take(10 * MS, promise(11 * MS, Position::ZERO)));
    assert!(!holder.take(2000 * MS, promise(0, Position::ZERO)), "late: over before it came");
}

#[test]
fn a_node_that_starts_assumes_that_it_had_promised_every_region() {
    let leases = Leases::new(&config(W), 7 * MS);
    assert_eq!(leases.mask(7 * MS), 0b011);
    assert_eq!(leases.mask(1007 * MS), 0b011);
    assert_eq!(leases.mask(1007 * MS + 1), 0);
    assert_eq!(Leases::new(&config(B), 0).mask(0), 0b001, "none to itself, none to the witness");
}

#[test]
fn a_release_ends_the_promise_to_that_boot_and_no_later_one() {
    let mut leases = Leases::new(&config(B), 0);
    leases.make(A, BOOT, 2000 * MS);
    assert!(!leases.release(A, Boot(4), true, 10 * MS), "an earlier boot's release");
    assert!(leases.release(A, BOOT, true, 10 * MS));
    assert_eq!(leases.mask(10 * MS), 0);
    assert!(!leases.may_promise(A, BOOT), "it will not serve again");
    assert!(leases.may_promise(A, Boot(6)));
}

#[test]
fn an_assumed_promise_ends_only_by_a_release_that_knows_of_our_start() {
    let mut leases = Leases::new(&config(B), 0);
    assert!(
        !leases.release(A, BOOT, false, 10 * MS),
        "a late message; a newer boot may hold our former self's promise"
    );
    assert_ne!(leases.mask(10 * MS), 0);
    assert!(leases.release(A, BOOT, true, 10 * MS));
}

/// A clock that is `ppm` millionths fast.
#[derive(Clone, Copy, Debug)]
struct Clock {
    offset: Nanos,
    ppm: i64,
}

impl Clock {
    fn read(self, time: Nanos) -> Nanos {
        self.offset + (time as i128 * (1_000_000 + self.ppm as i128) / 1_000_000) as Nanos
    }

    /// The last time at which it shows less than `reading`.
    fn before(self, reading: Nanos) -> Nanos {
        let since = reading.saturating_sub(self.offset) as i128;
        (since * 1_000_000 / (1_000_000 + self.ppm as i128)).saturating_sub(1) as Nanos
    }
}

/// A promises B something, again and again: round trips as (token taken, A answers so much later, B hears that so much
/// later still). Returns a time at which B relies on a promise that binds A no more, if there is one.
fn outlives(length: Nanos, holder: Clock, promiser: Clock, rounds: &[(Nanos, Nanos, Nanos)]) -> Option<Nanos> {
    let timing = Timing::default();
    let mut made = Leases::new(&config(A), promiser.read(0));
    made.release(B, Boot(4), true, promiser.read(0)); // what is assumed at the start would hide a promise that ends early
    let mut held = Leases::new(&config(B), holder.read(0));
    let log = log(&[1]);
    let mut events: Vec<(Nanos, usize, bool)> = Vec::new();
    for (round, (token, answer, arrive)) in rounds.iter().enumerate() {
        events.push((token + answer, round, false));
        events.push((token + answer + arrive, round, true));
    }
    events.sort_unstable();
    let mut late = None;
    for (place, (time, round, arrives)) in events.iter().enumerate() {
        match arrives {
            false => made.make(B, BOOT, promiser.read(*time) + length),
            true => {
                let token = holder.read(rounds[*round].0);
                let promise = Promise { length, last: Position::new(1, 1), boot: BOOT, token };
                let now = holder.read(*time);
                held.take(A, &promise, BOOT, now, &timing);
                held.update(&log, Index(0), now, &mut Vec::new());
            }
        }
        // until the next event nothing changes but the clocks: the end of the reliance is the moment to look at
        let next = events.get(place + 1).map_or(Nanos::MAX, |(next, _, _)| *next);
        let end = holder.before(held.until()).min(next);
        if end >= *time && held.valid(holder.read(end)) && made.mask(promiser.read(end)) & 0b010 == 0 {
            late = late.or(Some(end));
        }
    }
    late
}

mod lemma {
    use super::*;
    use proptest::prelude::*;

    fn clock(bound_ppm: i64) -> impl Strategy<Value = Clock> {
        let edges = prop_oneof![Just(-bound_ppm), Just(bound_ppm), -bound_ppm..=bound_ppm];
        (0..1_000_000 * MS, edges).prop_map(|(offset, ppm)| Clock { offset, ppm })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Whatever the rates within the bound, the delays, and the order in which answers arrive: who relies on a promise
        /// does so only while it binds.
        #[test]
        fn reliance_ends_before_the_promise(
            length in prop_oneof![100 * MS..2000 * MS, 2000 * MS..60_000 * MS],
            holder in clock(10_000),
            promiser in clock(10_000),
            rounds in proptest::collection::vec((0..5000 * MS, 0..800 * MS, 0..3000 * MS), 1..8),
        ) {
            prop_assert_eq!(outlives(length, holder, promiser, &rounds), None);
        }
    }

    #[test]
    fn beyond_the_bound_it_does_not() {
        let (slow, fast) = (Clock { offset: 0, ppm: -15_000 }, Clock { offset: 0, ppm: 15_000 });
        assert_eq!(outlives(1000 * MS, slow, slow, &[(0, 0, 0)]), None);
        assert!(outlives(1000 * MS, slow, fast, &[(0, 0, 0)]).is_some(), "a slow holder, a fast promiser");
        assert_eq!(outlives(1000 * MS, fast, slow, &[(0, 0, 0)]), None, "the other way it is only cautious");
    }
}
