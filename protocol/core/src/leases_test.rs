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
