use super::*;
use LockStrength::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use proptest::prelude::*;

fn table() -> Arc<LockTable> {
    Arc::new(LockTable::default())
}

/// Polls once: `Some` if it is done.
macro_rules! poll {
    ($future:expr) => {
        (&mut $future).now_or_never()
    };
}

#[test]
fn writers_queue_in_order_and_a_dropped_wait_leaves_no_trace() {
    let table = table();
    let (mut a, mut b, mut c) = (table.owner(), table.owner(), table.owner());
    assert_eq!(a.acquire(b"k", Update, LockWait::Wait).now_or_never(), Some(Ok(None)));
    let mut b_waits = Box::pin(b.acquire(b"k", NoKeyUpdate, LockWait::Wait));
    assert_eq!(poll!(b_waits), None);
    let mut c_waits = Box::pin(c.acquire(b"k", KeyShare, LockWait::Wait));
    assert_eq!(poll!(c_waits), None);
    drop(b_waits);
    drop(a);
    assert_eq!(poll!(c_waits), Some(Ok(None)));
    drop(c_waits);
    assert_eq!(c.held(b"k"), Some(KeyShare));
    drop((b, c));
    assert_eq!(table.count(), 0);
}

#[test]
fn a_grant_that_nobody_took_is_given_on() {
    let table = table();
    let (mut a, mut b, mut c) = (table.owner(), table.owner(), table.owner());
    assert!(a.acquire(b"k", Update, LockWait::Wait).now_or_never().is_some());
    let mut b_waits = Box::pin(b.acquire(b"k", Update, LockWait::Wait));
    let mut c_waits = Box::pin(c.acquire(b"k", Update, LockWait::Wait));
    assert!(poll!(b_waits).is_none() && poll!(c_waits).is_none());
    drop(a);
    // b has it, and is dropped before it hears.
    drop(b_waits);
    assert_eq!(poll!(c_waits), Some(Ok(None)));
}

#[test]
fn nowait_and_skip_locked_do_not_queue() {
    let table = table();
    let (mut a, mut b) = (table.owner(), table.owner());
    assert!(a.acquire(b"k", Share, LockWait::Wait).now_or_never().is_some());
    assert_eq!(b.acquire(b"k", KeyShare, LockWait::NoWait).now_or_never(), Some(Ok(None)));
    assert_eq!(b.acquire(b"k", Update, LockWait::NoWait).now_or_never(), Some(Err(LockError::NotAvailable)));
    assert_eq!(b.acquire(b"k", Update, LockWait::SkipLocked).now_or_never(), Some(Err(LockError::Skipped)));
    assert_eq!(b.held(b"k"), Some(KeyShare), "what it had stays");
}

#[test]
fn a_reader_does_not_overtake_a_waiting_writer_but_a_holder_may_want_more() {
    let table = table();
    let (mut a, mut b, mut c) = (table.owner(), table.owner(), table.owner());
    assert!(a.acquire(b"k", Share, LockWait::Wait).now_or_never().is_some());
    let mut b_waits = Box::pin(b.acquire(b"k", Update, LockWait::Wait));
    assert_eq!(poll!(b_waits), None);
    assert_eq!(c.acquire(b"k", Share, LockWait::NoWait).now_or_never(), Some(Err(LockError::NotAvailable)));
    assert_eq!(a.acquire(b"k", Update, LockWait::Wait).now_or_never(), Some(Ok(Some(Share))), "an upgrade goes first");
    a.restore(b"k", None);
    assert_eq!(poll!(b_waits), Some(Ok(None)));
}

#[test]
fn two_that_want_more_of_what_both_hold_are_a_deadlock() {
    let table = table();
    let (mut a, mut b) = (table.owner(), table.owner());
    assert!(a.acquire(b"k", Share, LockWait::Wait).now_or_never().is_some());
    assert!(b.acquire(b"k", Share, LockWait::Wait).now_or_never().is_some());
    let mut a_waits = Box::pin(a.acquire(b"k", Update, LockWait::Wait));
    assert_eq!(poll!(a_waits), None);
    let failed = b.acquire(b"k", Update, LockWait::Wait).now_or_never().expect("found at once");
    assert!(matches!(failed, Err(LockError::Deadlock(ref cycle)) if cycle.len() == 2));
    assert_eq!(poll!(a_waits), None);
    drop(b);
    assert_eq!(poll!(a_waits), Some(Ok(Some(Share))));
}

#[test]
fn a_cycle_over_three_keys_names_who_waits_for_whom() {
    let table = table();
    let mut owners: Vec<Locks> = (0..3).map(|_| table.owner()).collect();
    for (owner, key) in owners.iter_mut().zip([b"x", b"y", b"z"]) {
        assert!(owner.acquire(key, Update, LockWait::Wait).now_or_never().is_some());
    }
    let ids: Vec<OwnerId> = owners.iter().map(Locks::id).collect();
    let [a, b, c] = owners.get_disjoint_mut([0, 1, 2]).expect("three owners");
    let mut a_waits = Box::pin(a.acquire(b"y", Update, LockWait::Wait));
    let mut b_waits = Box::pin(b.acquire(b"z", Update, LockWait::Wait));
    assert!(poll!(a_waits).is_none() && poll!(b_waits).is_none());
    let Some(Err(LockError::Deadlock(cycle))) = c.acquire(b"x", Update, LockWait::Wait).now_or_never() else {
        panic!("c closes a cycle");
    };
    let names: Vec<_> = cycle.iter().map(|(waiter, _, key, blocker)| (*waiter, key.clone(), *blocker)).collect();
    let key = |name: &'static str| Bytes::from_static(name.as_bytes());
    assert_eq!(names, [(ids[2], key("x"), ids[0]), (ids[0], key("y"), ids[1]), (ids[1], key("z"), ids[2])]);
}

#[test]
fn locks_of_a_commit_stay_until_it_is_applied() {
    let table = table();
    let (mut a, mut b) = (table.owner(), table.owner());
    assert!(a.acquire(b"k", Update, LockWait::Wait).now_or_never().is_some());
    a.set_committing(true);
    table.doom(b"k", Update, Index(6), NodeId(2));
    assert_eq!(a.doomed(), None, "too late");
    table.release_when_applied(Index(7), a);
    let mut waits = Box::pin(b.acquire(b"k", Update, LockWait::Wait));
    table.applied(Index(6));
    assert_eq!(poll!(waits), None);
    table.applied(Index(7));
    assert_eq!(poll!(waits), Some(Ok(None)));
    drop(waits);
    table.doom(b"k", KeyShare, Index(9), NodeId(2));
    assert_eq!(b.doomed(), Some(&Doom { key: Bytes::from_static(b"k"), at: Index(9), region: NodeId(2) }));
    b.forgive();
    assert_eq!(b.doomed(), None);
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(usize, u8, LockStrength),
    DropWait(usize),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let strength = prop_oneof![Just(KeyShare), Just(Share), Just(NoKeyUpdate), Just(Update)];
    prop_oneof![
        6 => (0..4usize, 0..3u8, strength).prop_map(|(o, k, s)| Step::Acquire(o, k, s)),
        1 => (0..4usize).prop_map(Step::DropWait),
        2 => (0..4usize).prop_map(Step::Release),
    ]
}

type Waiting = BoxFuture<'static, (Locks, Result<Option<LockStrength>, LockError>)>;

enum Session {
    Free(Locks),
    Waiting(Waiting),
    Gone,
}

proptest! {
    /// L1 to L3 under any mix of requests, withdrawals and releases: no conflicting holders, and once all that
    /// can run have released, nobody waits and nothing is left.
    #[test]
    fn nobody_conflicts_and_nobody_is_left_behind(steps in prop::collection::vec(steps(), 1..60)) {
        let table = table();
        let mut sessions: Vec<Session> = (0..4).map(|_| Session::Free(table.owner())).collect();
        let settle = |sessions: &mut Vec<Session>| {
            for session in sessions.iter_mut() {
                if let Session::Waiting(waiting) = session {
                    if let Some((locks, result)) = waiting.now_or_never() {
                        *session = if result.is_ok() { Session::Free(locks) } else { Session::Free(table.owner()) };
                    }
                }
            }
        };
        for step in steps {
            match step {
                Step::Acquire(owner, key, strength) => {
                    match std::mem::replace(&mut sessions[owner], Session::Gone) {
                        Session::Free(mut locks) => {
                            sessions[owner] = Session::Waiting(Box::pin(async move {
                                let result = locks.acquire(&[key], strength, LockWait::Wait).await;
                                (locks, result)
                            }));
                        }
                        other => sessions[owner] = other,
                    }
                }
                Step::DropWait(owner) => {
                    if matches!(sessions[owner], Session::Waiting(_)) {
                        sessions[owner] = Session::Free(table.owner());
                    }
                }
                Step::Release(owner) => {
                    if matches!(sessions[owner], Session::Free(_)) {
                        sessions[owner] = Session::Free(table.owner());
                    }
                }
            }
            settle(&mut sessions);
            let inner = table.inner.lock();
            for lock in inner.keys.values() {
                for (i, (first, strength)) in lock.holders.iter().enumerate() {
                    for (second, other) in &lock.holders[i + 1..] {
                        prop_assert!(first != second && !strength.conflicts_with(*other));
                    }
                }
            }
        }
        for _ in 0..8 {
            for session in sessions.iter_mut() {
                if matches!(session, Session::Free(_)) {
                    *session = Session::Gone;
                }
            }
            settle(&mut sessions);
        }
        prop_assert!(sessions.iter().all(|s| matches!(s, Session::Gone)), "somebody waits for nobody");
        prop_assert_eq!(table.count(), 0);
    }
}
