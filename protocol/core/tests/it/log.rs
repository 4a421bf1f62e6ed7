//! Taking in, acknowledging, committing, cutting.
use crate::puppet::*;
use trivet_log::*;

#[test]
fn a_follower_infers_a_commit_only_from_both_disks_and_its_own_term() {
    // entries by term, whether ours are synced, what the leader's disk has; the commit
    let table: [(&[u64], bool, u64, u64, &str); 6] = [
        (&[2, 2], true, 3, 3, "both disks have 2.3"),
        (&[2, 2], true, 2, 2, "the leader's disk has only 2.2"),
        (&[2, 2], false, 3, 0, "our disk has neither"),
        (&[2, 2], true, 0, 0, "the leader has sent, not synced"),
        (&[], true, 1, 0, "1.1 is of an older term"),
        (&[2, 2], true, 9, 3, "the leader is further than it has told us"),
    ];
    for (terms, synced, durable, expected, why) in table {
        let mut b = Puppet::following(B, &[1], 2);
        b.hear(A, 2, append((1, 1), terms, 0, 0));
        if synced {
            b.sync();
        }
        b.hear(A, 2, Body::Durable { index: Index(durable), commit: Index(0), mask: 0 });
        assert_eq!(b.commit(), expected, "{why}");
    }
}

#[test]
fn a_notice_of_another_term_proves_nothing() {
    let mut b = Puppet::following(B, &[1], 2);
    b.hear(A, 2, append((1, 1), &[2], 0, 0));
    b.sync();
    b.hear(A, 1, Body::Durable { index: Index(2), commit: Index(2), mask: 0 });
    assert_eq!(b.commit(), 0);
    b.hear(A, 3, beat(true, 2, 0));
    assert_eq!(b.commit(), 0, "in term 3 our log is not known to match");
}

#[test]
fn a_commit_beyond_our_log_counts_as_far_as_it_matches() {
    let mut b = Puppet::following(B, &[1, 1], 2);
    b.hear(A, 2, beat(true, 0, 0));
    let Body::Heartbeat(heartbeat) = beat(true, 0, 0) else { unreachable!() };
    b.hear(A, 2, Body::Heartbeat(Heartbeat { commit: Index(99), ..heartbeat }));
    assert_eq!(b.commit(), 0, "nothing is known to match yet");
    b.hear(A, 2, append((1, 1), &[], 99, 0));
    assert_eq!(b.commit(), 1, "matched up to 1.1");
    assert_eq!(b.fatal(), None);
}

#[test]
fn nothing_is_acknowledged_before_it_is_on_disk_and_the_machine_has_seen_it() {
    let mut b = Puppet::following(B, &[], 1);
    b.calls();
    b.hear(A, 1, append((0, 0), &[1, 1], 0, 0));
    assert_eq!(b.calls(), ["received 1.1", "received 1.2"]);
    assert_eq!(b.sent(A), [], "not on disk yet");
    b.sync();
    assert!(matches!(b.sent(A)[..], [Body::AppendAck { durable: Index(2), received: Index(2), .. }]));
}

#[test]
fn a_conflict_is_cut_before_the_new_entry_is_received() {
    let mut b = Puppet::following(B, &[1, 1, 1], 2);
    b.calls();
    b.hear(A, 2, append((1, 1), &[2], 0, 0));
    assert_eq!(b.calls(), ["truncated 1.1", "received 2.2"]);
    let request = &b.disk[0];
    assert_eq!(request.truncate, Some(Position::new(1, 1)));
    assert_eq!(request.entries.len(), 1);
}

#[test]
fn an_fsync_of_replaced_entries_acknowledges_nothing() {
    let mut b = Puppet::following(B, &[], 1);
    b.hear(A, 1, append((0, 0), &[1, 1, 1], 0, 0));
    let late = b.disk.remove(0);
    // a new leader replaces 1.2 and 1.3 before they were synced
    b.hear(A, 2, append((1, 1), &[2, 2], 0, 0));
    b.out.clear();
    b.step(Input::Persisted(late.ticket));
    assert_eq!(b.core.status().durable, Index(1));
    b.sync();
    assert_eq!(b.core.status().durable, Index(3));
    assert!(b.sent(A).iter().any(|body| matches!(body, Body::AppendAck { durable: Index(3), .. })));
}

#[test]
fn cutting_below_commit_stops_the_node() {
    let mut b = Puppet::following(B, &[], 1);
    b.hear(A, 1, append((0, 0), &[1, 1], 2, 2));
    b.sync();
    assert_eq!(b.commit(), 2);
    b.hear(A, 2, append((1, 1), &[2], 0, 0));
    assert_eq!(b.fatal(), Some("log truncated to 1 below commit 1.2 in term 2"));
    b.out.clear();
    b.wait(5000);
    b.hear(A, 3, beat(true, 0, 0));
    assert!(b.out.is_empty(), "it says nothing more");
}

#[test]
fn two_leaders_in_a_term_stop_the_node() {
    let mut w = Puppet::following(W, &[], 1);
    w.hear(B, 1, beat(true, 0, 0));
    assert_eq!(w.fatal(), Some("two leaders in term 1: n1 and n2"));
}

#[test]
fn a_gap_is_rejected_with_what_finds_the_match() {
    let mut b = Puppet::following(B, &[1, 1, 2], 3);
    b.hear(A, 3, append((2, 7), &[3], 0, 0));
    let [Body::AppendReject { last, term_starts, .. }] = &b.sent(A)[..] else { panic!("it is rejected") };
    assert_eq!(*last, Position::new(2, 3));
    assert_eq!(*term_starts, [Position::ZERO, Position::new(1, 1), Position::new(2, 3)]);
}

#[test]
fn appends_out_of_order_are_taken_in_once_the_gap_is_filled() {
    let mut b = Puppet::following(B, &[1], 1);
    b.calls();
    b.hear(A, 1, append((1, 3), &[1], 0, 0));
    b.hear(A, 1, append((1, 2), &[1], 0, 0));
    let rejects = b.sent(A).into_iter().filter(|body| matches!(body, Body::AppendReject { .. })).count();
    assert_eq!((rejects, b.calls()), (2, vec![]), "what comes before may be lost, so the leader is told");
    b.hear(A, 1, append((1, 1), &[1], 0, 0));
    assert_eq!(b.calls(), ["received 1.2", "received 1.3", "received 1.4"]);
    b.sync();
    assert!(b.sent(A).contains(&ack(4, 0b001)));
}

#[test]
fn what_came_early_is_forgotten_with_its_term() {
    let mut b = Puppet::following(B, &[1], 1);
    b.hear(A, 1, append((1, 2), &[1], 0, 0));
    b.hear(A, 2, append((1, 1), &[2], 0, 0));
    assert_eq!(b.core.read_view().last, Position::new(2, 2));
}

#[test]
fn a_leader_finds_the_match_and_sends_from_there() {
    let mut a = Puppet::leading(&[1, 1, 2]);
    a.sent(B);
    a.now += MS;
    a.step(Input::Connected(B));
    let previous = Position::new(2, 3);
    assert!(matches!(&a.sent(B)[..], [Body::Append { previous: p, .. }] if *p == previous));
    let term_starts = vec![Position::ZERO, Position::new(1, 1)];
    let last = Position::new(1, 5);
    a.hear(B, 3, Body::AppendReject { previous, last, durable: Index(0), term_starts, missing_payload: None });
    let [Body::Append { previous, entries, .. }] = &a.sent(B)[..] else { panic!("it is sent again") };
    assert_eq!((*previous, entries.len()), (Position::new(1, 2), 2), "2.3 and 3.4 follow 1.2");
}

#[test]
fn a_leader_commits_by_disks_and_promises() {
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0b001));
    assert_eq!(a.commit(), 1, "both regions have 1.1");
    // a promise to B gates what A and the witness have
    a.step(Input::Propose(proposal(A, 0, "x")));
    a.sync();
    a.hear(W, 1, ack(2, 0b001));
    assert_eq!(a.commit(), 1, "at our start we may have promised B, until D from then");
    a.now += MS;
    a.hear(W, 1, ack(2, 0b011));
    a.wait(1050);
    assert_eq!(a.commit(), 1, "the witness still promises B");
    a.hear(W, 1, ack(2, 0b001));
    assert_eq!(a.commit(), 2);
}

#[test]
fn a_leader_answers_for_its_disk_only_what_is_on_it() {
    let mut a = Puppet::leading(&[]);
    a.wait(5);
    a.hear(B, 1, ack(1, 0b001));
    a.sent(B);
    a.step(Input::Propose(proposal(A, 0, "x")));
    let [Body::Append { durable, .. }] = &a.sent(B)[..] else { panic!("it leaves while our disk writes") };
    assert_eq!(*durable, Index(1));
    a.hear(B, 1, ack(2, 0b001));
    assert_eq!(a.commit(), 1, "one disk has it");
    a.sync();
    assert_eq!(a.commit(), 2);
    assert_eq!(a.sent(B), [], "the notice waits for an append");
    a.wait(1);
    assert!(matches!(a.sent(B)[..], [Body::Durable { index: Index(2), .. }]));
}

#[test]
fn entries_of_older_terms_commit_only_with_one_of_ours() {
    let mut a = Puppet::leading(&[1, 1]);
    a.hear(B, 2, ack(2, 0b001));
    assert_eq!(a.commit(), 0);
    a.hear(B, 2, ack(3, 0b001));
    assert_eq!(a.commit(), 3);
}

#[test]
fn a_start_commits_what_is_applied_and_no_more() {
    let mut machine = Recorder::default();
    let mut out = Vec::new();
    let recovered = Recovered { applied: Index(2), ..journal(&[1, 1, 1]) };
    let core = Core::new(config(B), recovered, Now::default(), &mut machine, &mut out);
    assert_eq!(machine.calls, ["received 1.1", "received 1.2", "received 1.3", "committed 1.2"]);
    assert_eq!(core.read_view().commit, Position::new(1, 2));
    assert_eq!(core.read_view().lease_until, 0);
}

#[test]
fn applied_beyond_the_journal_is_refused() {
    let recovered = Recovered { applied: Index(9), ..journal(&[1]) };
    let b = Puppet::new(config(B), recovered);
    assert_eq!(b.fatal(), Some("applied 9 lies outside the journal, 0.0 to 1.1"));
}

#[test]
fn a_rotten_log_neither_votes_nor_acknowledges_until_it_is_repaired() {
    let recovered = Recovered { rotten_up_to: Some(Index(3)), ..journal(&[1]) };
    let mut b = Puppet::new(config(B), recovered);
    b.hear(A, 2, Body::Vote { last: Position::new(1, 9) });
    b.sync();
    assert!(matches!(b.sent(A)[..], [Body::VoteReply { granted: false, .. }]));
    b.hear(A, 2, append((1, 1), &[1], 0, 2));
    b.sync();
    assert!(matches!(b.sent(A).last(), Some(Body::AppendAck { durable: Index(0), received: Index(2), .. })));
    assert_eq!(b.commit(), 0);
    b.hear(A, 2, append((1, 2), &[2], 0, 3));
    b.sync();
    assert!(b.sent(A).iter().any(|body| matches!(body, Body::AppendAck { durable: Index(3), .. })));
    assert_eq!(b.commit(), 3);
}

/// B's journal is rotten up to 9; all that there is by now are three entries.
fn rotten() -> Puppet {
    let mut b = Puppet::new(config(B), Recovered { rotten_up_to: Some(Index(9)), ..journal(&[1]) });
    b.hear(A, 2, append((1, 1), &[1, 2], 0, 3));
    b.sync();
    b.sent(A);
    b
}

#[test]
fn a_rotten_log_is_whole_again_where_the_leaders_ends() {
    let mut b = rotten();
    // the first message of a leader may be from before the rot: it knows of no start of ours
    let mut old = b.message(A, 2, beat(true, 3, 0));
    old.echo = Some((Boot(BOOT.0 - 1), 5));
    b.step(Input::Receive(old));
    assert!(!b.sent(A).iter().any(|body| matches!(body, Body::AppendAck { durable: Index(3), .. })));
    b.hear(A, 2, beat(true, 3, 0));
    assert!(b.sent(A).iter().any(|body| matches!(body, Body::AppendAck { durable: Index(3), .. })));
    assert_eq!(b.commit(), 3);
}

#[test]
fn a_rotten_region_relies_on_no_promise() {
    let mut b = rotten();
    let promise = |b: &mut Puppet| {
        let mut message = b.message(A, 2, append((2, 3), &[], 0, 3));
        message.promise = Some(Promise { length: 1000 * MS, last: Position::new(1, 1), boot: BOOT, token: b.now });
        b.step(Input::Receive(message));
        b.core.read_view().lease_until > b.now
    };
    assert!(!promise(&mut b), "an entry that was exposed with its own copy is not in its log any more");
    b.hear(A, 2, beat(true, 3, 0));
    assert!(promise(&mut b), "it is whole again");
}

#[test]
fn what_left_memory_is_read_from_the_journal_for_a_region_that_returns() {
    let mut small = config(A);
    small.cache_bytes_max = 0;
    let mut a = Puppet::leading_with(small, &[]);
    a.hear(B, 1, ack(1, 0b001));
    for sequence in 0..4 {
        a.step(Input::Propose(proposal(A, sequence, "x")));
    }
    a.sync();
    a.hear(B, 1, ack(5, 0b001));
    assert_eq!(a.commit(), 5);
    a.sent(B);
    // B starts anew, and turns out to have lost all but 1.1
    let mut message = a.message(B, 1, beat(false, 0, 0));
    message.boot = Boot(BOOT.0 + 1);
    a.step(Input::Receive(message));
    let [Body::Append { previous, .. }] = &a.sent(B)[..] else { panic!("it is probed") };
    let reject = Body::AppendReject {
        previous: *previous,
        last: Position::new(1, 1),
        durable: Index(1),
        term_starts: vec![Position::ZERO, Position::new(1, 1)],
        missing_payload: None,
    };
    let mut message = a.message(B, 1, reject);
    message.boot = Boot(BOOT.0 + 1);
    a.step(Input::Receive(message));
    let load = a.out.iter().find_map(|effect| match effect {
        Output::Load { ticket, from, to, .. } => Some((*ticket, *from, *to)),
        _ => None,
    });
    let (ticket, from, to) = load.expect("memory has nothing");
    assert_eq!((from, to), (Index(2), Index(5)));
    let entries = noops(2, &[1, 1]);
    a.step(Input::Loaded { ticket, entries });
    let [Body::Append { previous, entries, .. }] = &a.sent(B)[..] else { panic!("it is sent") };
    assert_eq!((*previous, entries.len()), (Position::new(1, 1), 2));
}

#[test]
fn the_journal_is_pruned_only_below_what_everybody_has() {
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0b001));
    a.step(Input::Propose(proposal(A, 0, "x")));
    a.sync();
    a.hear(B, 1, ack(2, 0b001));
    a.step(Input::Applied(Index(2)));
    let prunes = |a: &Puppet| a.out.iter().filter(|effect| matches!(effect, Output::Prune { .. })).count();
    let settled = |settled: u64| {
        Body::Heartbeat(Heartbeat {
            settled: Index(settled),
            received: Index(2),
            durable: Index(2),
            ..Heartbeat::default()
        })
    };
    a.hear(B, 1, settled(2));
    a.wait(60);
    assert_eq!(prunes(&a), 0, "the witness's window begins at 0");
    let Body::Heartbeat(witness) = settled(1) else { unreachable!() };
    a.hear(W, 1, Body::Heartbeat(Heartbeat { received: Index(1), durable: Index(1), ..witness }));
    a.wait(60);
    assert!(a.out.iter().any(|effect| matches!(effect, Output::Prune { keep_from: Index(2) })));
}
