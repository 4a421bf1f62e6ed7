//! Where strong reads begin, without going through the core's thread (D1, D2).
//!
//! The core thread holds the gate's lock during each step, and leaves the step's read view in it. A reader takes the same
//! lock for well under a microsecond: clock, lease, snapshot. So a reader meets either the state before a step or the one
//! after it, machine and view together, and a step that ends a lease or cuts the log has happened for every reader that
//! begins later.
use crate::clock;
use parking_lot::Mutex;
use trivet_log::{Nanos, Position, ReadView};

/// A strong read has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begun {
    /// The snapshot: the last entry that this region had received.
    pub position: Position,
    /// Raised whenever a lease comes back after a lapse.
    pub epoch: u64,
}

#[derive(Debug)]
pub struct ReadGate {
    state: Mutex<State>,
    /// For drills that must find stale reads.
    lease_unchecked: bool,
}

#[derive(Debug, Default)]
struct State {
    view: ReadView,
    /// The node stops or has failed.
    closed: bool,
    /// After a clock jump: leases that would end before this are distrusted until this. A promise that answers a
    /// token from after the jump runs longer than any that answers an older one.
    distrust: Nanos,
}

impl State {
    fn valid(&self, now: Nanos, lease_unchecked: bool) -> bool {
        if self.closed {
            return false;
        }
        lease_unchecked
            || (now < self.view.lease_until && (now >= self.distrust || self.view.lease_until >= self.distrust))
    }
}

impl ReadGate {
    pub(crate) fn new(lease_unchecked: bool) -> ReadGate {
        ReadGate { state: Mutex::default(), lease_unchecked }
    }

    /// The snapshot of a strong read that begins now; `None` while no lease holds.
    pub fn begin(&self) -> Option<Begun> {
        self.begin_with(|_| ()).map(|(begun, ())| begun)
    }

    /// As `begin`; `register` runs inside, before any step can cut the log. It must be short and must not come back here.
    pub fn begin_with<T>(&self, register: impl FnOnce(Position) -> T) -> Option<(Begun, T)> {
        let state = self.state.lock();
        // After the lock: the request has arrived, and no step comes between the sample and the snapshot.
        if !state.valid(clock::boottime(), self.lease_unchecked) {
            return None;
        }
        let begun = Begun { position: state.view.last, epoch: state.view.lease_epoch };
        let registered = register(begun.position);
        Some((begun, registered))
    }

    /// As of the last step.
    pub fn view(&self) -> ReadView {
        self.state.lock().view
    }

    /// Runs one step of the core and takes the view that it leaves.
    pub(crate) fn step(&self, step: impl FnOnce() -> ReadView) -> ReadView {
        let mut state = self.state.lock();
        state.view = step();
        state.view
    }

    /// From now on no read begins here.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// A clock has jumped: no promise that answers a token from before `now` counts. `held` is for how long one does.
    pub(crate) fn distrust(&self, now: Nanos, held: Nanos) {
        self.state.lock().distrust = now.saturating_add(held);
    }

    /// What is left of the lease; 0 if none holds.
    pub(crate) fn lease_left(&self) -> Nanos {
        let state = self.state.lock();
        let now = clock::boottime();
        if state.valid(now, false) { state.view.lease_until - now } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn view(lease_until: Nanos) -> ReadView {
        ReadView { last: Position::new(3, 7), lease_until, lease_epoch: 5, ..ReadView::default() }
    }

    #[test]
    fn a_read_begins_only_under_a_lease() {
        let now = clock::boottime();
        // (lease until, distrust, closed, begins)
        let table = [
            ("a lease", now + SECOND, 0, false, true),
            ("a lapsed lease", now, 0, false, false),
            ("none yet", 0, 0, false, false),
            ("closed", now + SECOND, 0, true, false),
            ("a lease from before a jump", now + SECOND, now + 2 * SECOND, false, false),
            ("a lease from after a jump", now + 3 * SECOND, now + 2 * SECOND, false, true),
            ("a jump long ago", now + SECOND, now, false, true),
        ];
        for (what, lease_until, distrust, closed, begins) in table {
            let gate = ReadGate::new(false);
            gate.step(|| view(lease_until));
            {
                let mut state = gate.state.lock();
                (state.distrust, state.closed) = (distrust, closed);
            }
            let begun = gate.begin();
            assert_eq!(begun.is_some(), begins, "{what}");
            assert_eq!(gate.lease_left() > 0, begins, "{what}");
            if let Some(begun) = begun {
                assert_eq!(begun, Begun { position: Position::new(3, 7), epoch: 5 });
            }
        }
    }

    #[test]
    fn an_unchecked_gate_serves_without_a_lease_until_it_is_closed() {
        let gate = ReadGate::new(true);
        gate.step(|| view(0));
        assert!(gate.begin().is_some());
        gate.close();
        assert!(gate.begin().is_none());
    }

    /// D2: what is registered is there before the next step.
    #[test]
    fn a_step_waits_for_a_reader_that_registers() {
        let gate = ReadGate::new(false);
        gate.step(|| view(clock::boottime() + 60 * SECOND));
        let open = std::sync::Arc::new(Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        gate.begin_with(|position| open.lock().push(position)).expect("a lease");
                    }
                });
            }
            for index in 8..1000 {
                gate.step(|| {
                    let last = Position::new(3, index);
                    // The machine's cut: every snapshot there is at most the last entry so far.
                    assert!(open.lock().iter().all(|position| position.index.0 < index));
                    ReadView { last, ..view(clock::boottime() + 60 * SECOND) }
                });
            }
        });
    }
}
