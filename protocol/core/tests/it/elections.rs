//! Standing, voting, adopting, handing over.
use crate::puppet::*;
use trivet_log::*;

#[test]
fn nobody_helps_to_depose_a_leader_that_it_hears() {
    let mut w = Puppet::following(W, &[], 1);
    w.hear(B, 1, Body::PreVote { last: Position::new(9, 9) });
    assert_eq!(w.sent(B), [Body::PreVoteReply { granted: false }]);
    w.wait(1300);
    w.hear(B, 1, Body::PreVote { last: Position::ZERO });
    assert_eq!(w.sent(B), [Body::PreVoteReply { granted: true }]);
}

#[test]
fn a_pre_vote_changes_no_term() {
    let mut b = Puppet::of(B, &[1]);
    b.wait(2000);
    assert_eq!(b.core.status().term, Term(1));
    assert!(b.sent(W).contains(&Body::PreVote { last: Position::new(1, 1) }));
    assert!(b.disk.is_empty());
}

#[test]
fn a_region_votes_only_for_a_log_as_new_as_its_own() {
    let table = [((1, 2), false), ((1, 3), true), ((2, 1), true), ((1, 4), true)];
    for ((term, index), granted) in table {
        let mut b = Puppet::of(B, &[1, 1, 1]);
        b.hear(A, 5, Body::Vote { last: Position::new(term, index) });
        b.sync();
        assert!(matches!(b.sent(A)[..], [Body::VoteReply { granted: g, .. }] if g == granted), "{term}.{index}");
    }
}

#[test]
fn one_vote_a_term_and_none_before_it_is_on_disk() {
    let mut w = Puppet::of(W, &[1, 1, 1]);
    w.hear(A, 5, Body::Vote { last: Position::ZERO });
    assert_eq!(w.sent(A), [], "the vote is not on disk");
    w.sync();
    let [Body::VoteReply { granted: true, last, base, term_starts }] = &w.sent(A)[..] else { panic!("it votes") };
    assert_eq!(
        (*last, *base),
        (Position::new(1, 3), Position::ZERO),
        "though A's log is older, it says how far its own is"
    );
    assert_eq!(*term_starts, [Position::ZERO, Position::new(1, 1)]);
    w.hear(B, 5, Body::Vote { last: Position::new(4, 9) });
    assert!(matches!(w.sent(B)[..], [Body::VoteReply { granted: false, .. }]));
    w.hear(A, 5, Body::Vote { last: Position::ZERO });
    assert!(matches!(w.sent(A)[..], [Body::VoteReply { granted: true, .. }]), "asked again, the same answer");
}

#[test]
fn the_witness_votes_after_its_log_is_on_disk() {
    let mut w = Puppet::following(W, &[], 1);
    w.hear(A, 1, append((0, 0), &[1, 1], 0, 0));
    w.hear(B, 2, Body::Vote { last: Position::ZERO });
    assert_eq!(w.disk.len(), 2);
    let log = w.disk.remove(0);
    w.step(Input::Persisted(log.ticket));
    assert_eq!(w.sent(B), []);
    w.sync();
    assert!(matches!(w.sent(B)[..], [Body::VoteReply { granted: true, .. }]));
}

/// B, with 1.1 and 1.2, stands for term 2; the witness votes, with this log.
fn elected_with(witness: &[u64]) -> Puppet {
    let mut b = Puppet::of(B, &[1, 1]);
    b.wait(2000);
    b.hear(W, 1, Body::PreVoteReply { granted: true });
    b.sync();
    b.sent(W);
    b.hear(W, 2, witness_vote(witness));
    b
}

#[test]
fn a_candidate_with_a_log_as_new_as_the_witnesss_leads_at_once() {
    let b = elected_with(&[1, 1]);
    assert_eq!(b.core.status().role, "leader");
    assert_eq!(b.core.read_view().last, Position::new(2, 3));
}

#[test]
fn a_candidate_adopts_the_witnesss_newer_log_and_leads_when_it_is_on_disk() {
    let mut b = elected_with(&[1, 1, 1, 1]);
    assert_eq!(b.core.status().role, "candidate");
    let last = Position::new(1, 4);
    assert_eq!(b.sent(W), [Body::Fetch { from: Index(3), last }]);
    b.calls();
    b.hear(W, 2, Body::FetchReply { previous: Position::new(1, 2), entries: noops(3, &[1]), last, refused: false });
    assert_eq!(b.sent(W), [Body::Fetch { from: Index(4), last }], "the next part");
    b.hear(W, 2, Body::FetchReply { previous: Position::new(1, 3), entries: noops(4, &[1]), last, refused: false });
    assert_eq!(b.core.status().role, "candidate", "not on disk yet");
    b.sync();
    assert_eq!(b.core.status().role, "leader");
    assert_eq!(b.calls(), ["received 1.3", "received 1.4", "leading 2 true", "received 2.5"]);
}

#[test]
fn adopting_cuts_what_conflicts() {
    let mut b = Puppet::of(B, &[1, 1, 1, 1]);
    b.wait(2000);
    b.hear(W, 1, Body::PreVoteReply { granted: true });
    b.sync();
    b.sent(W);
    // the witness knows of another leader's entries after 1.2; it is in term 3 by now
    let last = Position::new(2, 3);
    let term_starts = vec![Position::ZERO, Position::new(1, 1), Position::new(2, 3)];
    b.hear(W, 2, Body::VoteReply { granted: true, last, base: Position::ZERO, term_starts });
    assert_eq!(b.sent(W), [Body::Fetch { from: Index(3), last }]);
    b.calls();
    b.hear(W, 2, Body::FetchReply { previous: Position::new(1, 2), entries: noops(3, &[2]), last, refused: false });
    assert_eq!(b.calls(), ["truncated 1.2", "received 2.3"]);
}

#[test]
fn a_witness_that_has_moved_on_ends_the_attempt() {
    let mut b = elected_with(&[1, 1, 1]);
    let last = Position::new(1, 9);
    b.hear(W, 2, Body::FetchReply { previous: Position::ZERO, entries: vec![], last, refused: true });
    assert_eq!(b.core.status().role, "follower");
    assert!(b.events().contains(&&Event::AdoptionAbandoned { term: Term(2) }));
    b.sync();
    assert_eq!(b.core.status().role, "follower");
}

#[test]
fn a_witness_serves_its_tail_only_as_it_was_when_it_voted() {
    let mut w = Puppet::of(W, &[1, 1]);
    w.hear(B, 2, Body::Vote { last: Position::ZERO });
    w.sync();
    w.sent(B);
    let last = Position::new(1, 2);
    w.hear(B, 2, Body::Fetch { from: Index(1), last });
    assert!(matches!(&w.sent(B)[..], [Body::FetchReply { entries, refused: false, .. }] if entries.len() == 2));
    w.hear(A, 2, Body::Fetch { from: Index(1), last });
    assert!(matches!(&w.sent(A)[..], [Body::FetchReply { refused: true, .. }]), "it did not vote for A");
    w.hear(A, 3, append((1, 1), &[3], 0, 0));
    w.sync();
    w.hear(B, 3, Body::Fetch { from: Index(1), last });
    assert!(matches!(&w.sent(B)[..], [Body::FetchReply { refused: true, .. }]), "its log has changed");
}

#[test]
fn a_window_jumps_over_a_gap_and_keeps_what_fits() {
    // the witness has 1.1 to 1.3; a base, and where the log begins and ends then
    let table = [((1, 9), (9, 9)), ((1, 2), (2, 3)), ((2, 2), (2, 2)), ((1, 3), (3, 3))];
    for ((term, index), (first, last)) in table {
        let mut w = Puppet::following(W, &[1, 1, 1], 2);
        w.hear(A, 2, Body::Window { base: Position::new(term, index) });
        w.sync();
        let status = w.core.status();
        assert_eq!((status.base.index, status.last.index), (Index(first), Index(last)), "{term}.{index}");
        let acks = w.sent(A);
        assert!(matches!(acks.last(), Some(Body::AppendAck { durable, .. }) if *durable >= Index(index)), "{acks:?}");
        assert_eq!(w.fatal(), None);
    }
}

#[test]
fn a_leader_that_gives_up_is_not_waited_for() {
    let mut b = Puppet::following(B, &[], 1);
    b.wait(10);
    b.hear(A, 1, beat(true, 0, 0));
    b.now += MS;
    b.hear(A, 1, beat(false, 0, 0));
    b.wait(1);
    assert!(b.sent(W).contains(&Body::PreVote { last: Position::ZERO }));
}

#[test]
fn a_leader_without_answers_gives_up() {
    let mut a = Puppet::leading(&[]);
    a.wait(1300);
    assert_eq!(a.core.status().role, "follower");
    assert!(a.calls().contains(&"leading 1 false".to_string()));
}

#[test]
fn a_hand_over_waits_until_the_other_is_level() {
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0b001));
    a.step(Input::Propose(proposal(A, 0, "x")));
    a.step(Input::HandOver(B));
    assert!(!a.sent(B).contains(&Body::TimeoutNow));
    a.step(Input::Propose(proposal(A, 1, "y")));
    assert_eq!(a.core.read_view().last, Position::new(1, 2), "nothing new is appended meanwhile");
    a.hear(B, 1, ack(2, 0b001));
    assert!(a.sent(B).contains(&Body::TimeoutNow));
    let mut b = Puppet::following(B, &[], 1);
    b.hear(A, 1, Body::TimeoutNow);
    b.sync();
    assert!(b.sent(A).contains(&Body::Vote { last: Position::ZERO }), "at once, without asking first");
}
