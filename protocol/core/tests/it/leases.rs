//! Promises: when one is made, and what it takes to stop.
use crate::puppet::*;
use trivet_log::*;

const D: u64 = 1000;

#[test]
fn a_promise_answers_a_fresh_round_trip_and_no_other() {
    let mut a = Puppet::leading(&[]);
    a.wait(10);
    a.promised(B);
    a.hear(B, 1, beat(false, 1, 0b001));
    a.wait(50);
    let promises = a.promised(B);
    assert_eq!(promises.len(), 1);
    assert_eq!((promises[0].boot, promises[0].last), (BOOT, Position::new(1, 1)));
    a.wait(200);
    assert_eq!(a.promised(B), [], "no new token has come");
    // B still sends, but hears nothing: it echoes what it heard long ago
    let old = a.echo.iter().find(|(node, _)| *node == B).expect("B was sent something").1 - 300 * MS;
    for _ in 0..10 {
        a.echo = vec![(B, old)];
        a.hear(B, 1, beat(false, 1, 0b001));
        a.wait(50);
        assert_eq!(a.promised(B), [], "a link that works one way renews nothing");
    }
}

/// B is heard every 50 ms for `milliseconds`, durable up to `durable`; whether it was promised anything.
fn is_promised(a: &mut Puppet, durable: u64, milliseconds: u64) -> bool {
    a.promised(B);
    for _ in 0..milliseconds / 50 {
        a.hear(B, 2, beat(false, durable, 0b001));
        a.wait(50);
    }
    !a.promised(B).is_empty()
}

#[test]
fn a_region_that_returns_is_promised_nothing_until_it_is_near() {
    let mut a = Puppet::leading(&[1, 1, 1, 1, 1]);
    assert!(!is_promised(&mut a, 2, 500), "whatever is committed would wait for it");
    assert!(!is_promised(&mut a, 4, 900));
    assert!(is_promised(&mut a, 6, 100), "it has all");
    assert!(is_promised(&mut a, 6, 500), "and keeps it");
}

#[test]
fn a_region_that_comes_no_nearer_is_promised_something_all_the_same() {
    let mut a = Puppet::leading(&[1, 1, 1, 1, 1]);
    assert!(!is_promised(&mut a, 2, 900), "its first word was a step forward");
    assert!(!is_promised(&mut a, 2, 900));
    assert!(is_promised(&mut a, 2, 500), "from then on the others wait for it");
}

#[test]
fn a_candidate_promises_nothing() {
    let mut b = Puppet::following(B, &[], 1);
    b.hear(A, 1, beat(false, 0, 0));
    b.wait(50);
    assert_eq!(b.promised(A).len(), 1, "a follower does");
    b.wait(2000);
    b.hear(W, 1, Body::PreVoteReply { granted: true });
    b.sync();
    assert_eq!(b.core.status().role, "candidate");
    b.promised(A);
    b.hear(A, 1, beat(false, 0, 0));
    b.wait(100);
    assert_eq!(b.promised(A), []);
}

#[test]
fn the_witness_promises_only_the_leader_of_its_term() {
    let mut w = Puppet::following(W, &[], 1);
    w.hear(B, 1, beat(false, 0, 0));
    w.hear(A, 1, beat(true, 0, 0));
    w.wait(50);
    assert_eq!(w.promised(B), []);
    assert_eq!(w.promised(A).len(), 1);
}

#[test]
fn a_promise_outlives_its_holders_leadership() {
    let mut w = Puppet::following(W, &[], 1);
    w.wait(D + 100);
    let mask = |w: &mut Puppet| {
        w.out.clear();
        w.wait(50);
        let masks = w.out.iter().filter_map(|effect| match effect {
            Output::Send(Message { body: Body::Heartbeat(heartbeat), .. }) => Some(heartbeat.mask),
            _ => None,
        });
        masks.last().expect("it sends heartbeats")
    };
    assert_eq!(mask(&mut w), 0);
    w.hear(A, 1, beat(true, 0, 0));
    assert_eq!(mask(&mut w), 0b001);
    w.hear(B, 2, beat(true, 0, 0));
    w.sync();
    assert_eq!(mask(&mut w), 0b011, "A led term 1, and may still serve");
    w.wait(D);
    w.hear(B, 2, beat(true, 0, 0));
    assert_eq!(mask(&mut w), 0b010, "the heartbeats say that it is over");
}

#[test]
fn a_clean_stop_releases_promises_and_serves_no_more() {
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0b001));
    let mut message = a.message(B, 1, beat(false, 1, 0b001));
    message.promise = Some(Promise { length: D * MS, last: Position::new(1, 1), boot: BOOT, token: a.now });
    a.step(Input::Receive(message));
    assert!(a.core.read_view().lease_until > a.now);
    a.sent(B);
    a.step(Input::Stop);
    assert_eq!(a.core.read_view().lease_until, 0);
    let sent = a.sent(B);
    assert!(sent.contains(&Body::LeaseRelease) && sent.contains(&Body::TimeoutNow), "{sent:?}");
    a.step(Input::Propose(proposal(A, 9, "x")));
    assert_eq!(a.resolved(), [(9, Outcome::NotSent)]);
}

#[test]
fn a_release_unblocks_the_others_at_once() {
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0b001));
    a.hear(B, 1, Body::LeaseRelease);
    a.step(Input::Propose(proposal(A, 0, "x")));
    a.sync();
    a.hear(W, 1, ack(2, 0b001));
    assert_eq!(a.commit(), 2, "nobody waits for B");
    a.hear(B, 1, beat(false, 1, 0));
    a.promised(B);
    a.wait(60);
    assert_eq!(a.promised(B), [], "that boot of B is not promised anything again");
}

#[test]
fn the_snapshot_of_a_read_is_what_is_received_at_the_leader_too() {
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0b001));
    a.step(Input::Propose(proposal(A, 0, "x")));
    assert_eq!(a.core.read_view().last, Position::new(1, 2), "B may have acknowledged it by now");
    assert_eq!(a.commit(), 1);
}

#[test]
fn a_read_without_a_lease_asks_the_leader_and_waits_for_its_position() {
    let mut b = Puppet::following(B, &[], 1);
    b.step(Input::ReadIndex { id: 42 });
    let [Body::ReadIndex { id }] = b.sent(A)[..] else { panic!("the leader is asked") };
    b.hear(A, 1, Body::ReadIndexReply { id, position: Some(Position::new(1, 1)) });
    let ready =
        |b: &Puppet| b.out.iter().any(|effect| matches!(effect, Output::ReadReady { id: 42, position: Some(_) }));
    assert!(!ready(&b), "1.1 is not here yet");
    b.hear(A, 1, append((0, 0), &[1], 0, 0));
    assert!(ready(&b));
}

#[test]
fn a_leader_without_a_lease_answers_no_reads() {
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, Body::ReadIndex { id: 5 });
    assert!(a.sent(B).contains(&Body::ReadIndexReply { id: 5, position: None }));
}
