//! A proposal's way, and its one outcome.
use crate::puppet::*;
use trivet_log::*;

fn sequences(bodies: &[Body]) -> Vec<u64> {
    let proposals = bodies.iter().filter_map(|body| match body {
        Body::Propose { proposals, .. } => Some(proposals),
        _ => None,
    });
    proposals.flatten().map(|proposal| proposal.id.sequence).collect()
}

fn verdict(sequence: u64, verdict: VerdictMessage) -> Body {
    Body::Verdict { id: proposal(B, sequence, "").id, verdict }
}

fn rejected(sequence: u64) -> Body {
    verdict(sequence, VerdictMessage::Rejected { reason: "conflict".into() })
}

/// The leader's append of B's own proposal, by reference.
fn by_reference(previous: (u64, u64), term: u64, of: &Proposal, crc: u32) -> Body {
    let position = Position::new(term, previous.1 + 1);
    let entries = vec![AppendEntry::Reference { position, header: "h".into(), id: of.id, crc }];
    Body::Append { previous: Position::new(previous.0, previous.1), entries, commit: Index(0), durable: Index(0) }
}

#[test]
fn a_proposal_goes_to_the_leader_comes_back_by_reference_and_is_inferred() {
    let mut b = Puppet::following(B, &[], 1);
    let x = proposal(B, 0, "x");
    b.step(Input::Propose(x.clone()));
    assert_eq!(sequences(&b.sent(A)), [0]);
    b.hear(A, 1, by_reference((0, 0), 1, &x, codec::proposal_checksum(&x)));
    b.sync();
    assert_eq!(b.resolved(), []);
    b.hear(A, 1, Body::Durable { index: Index(1), commit: Index(0), mask: 0 });
    assert_eq!(b.resolved(), [(0, Outcome::Committed(Position::new(1, 1)))]);
    let applied = b.out.iter().find_map(|effect| match effect {
        Output::Apply { entries } => entries[0].proposal().cloned(),
        _ => None,
    });
    assert_eq!(applied, Some(x), "with its payload");
}

#[test]
fn a_reference_without_its_payload_is_asked_for_in_full() {
    let mut b = Puppet::following(B, &[], 1);
    let x = proposal(B, 0, "x");
    for crc in [codec::proposal_checksum(&x), 0] {
        b.hear(A, 1, by_reference((0, 0), 1, &x, crc));
        assert_eq!(b.core.read_view().last, Position::ZERO, "nothing is received");
        let [Body::AppendReject { missing_payload, .. }] = &b.sent(A)[..] else { panic!("it is rejected") };
        assert_eq!(*missing_payload, Some(x.id));
        b.step(Input::Propose(x.clone())); // and with the wrong checksum
        b.sent(A);
    }
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0));
    a.hear(B, 1, Body::Propose { proposals: vec![x.clone()], lowest: 0 });
    let [Body::Append { entries, previous, .. }] = &a.sent(B)[..] else { panic!("it is appended") };
    assert!(matches!(entries[..], [AppendEntry::Reference { .. }]), "to its own region by reference");
    let missing = Body::AppendReject {
        previous: *previous,
        last: *previous,
        durable: Index(1),
        term_starts: vec![],
        missing_payload: Some(x.id),
    };
    a.hear(B, 1, missing);
    let [Body::Append { entries, .. }] = &a.sent(B)[..] else { panic!("it is sent again") };
    assert!(matches!(entries[..], [AppendEntry::Full(_)]));
}

#[test]
fn a_rejection_is_believed_for_the_latest_send_only() {
    let mut b = Puppet::following(B, &[], 1);
    b.step(Input::Propose(proposal(B, 0, "x")));
    b.hear(A, 2, beat(true, 0, 0));
    b.sync();
    assert_eq!(sequences(&b.sent(A)), [0, 0], "sent again in the new term, with the same id");
    b.hear(A, 1, rejected(0));
    assert_eq!(b.resolved(), [], "of term 1");
    b.hear(A, 2, rejected(0));
    assert_eq!(b.resolved(), [], "the copy of term 1 may still win");
    b.hear(A, 2, append((0, 0), &[2], 1, 1));
    b.sync();
    assert!(matches!(b.resolved()[..], [(0, Outcome::Rejected { .. })]), "an entry of term 2 is committed");
    b.hear(A, 3, beat(true, 0, 0));
    b.sync();
    assert_eq!(sequences(&b.sent(A)), [0; 0], "never sent again");
}

#[test]
fn a_leader_answers_an_id_the_same_way_for_its_term() {
    let mut a = Puppet::leading(&[]);
    let no = proposal(B, 0, "no");
    for _ in 0..2 {
        a.hear(B, 1, Body::Propose { proposals: vec![no.clone()], lowest: 0 });
        assert!(matches!(a.sent(B)[..], [Body::Verdict { verdict: VerdictMessage::Rejected { .. }, .. }]));
    }
    let certified = a.calls().iter().filter(|call| call.starts_with("certify")).count();
    assert_eq!(certified, 1);
    a.hear(B, 1, Body::Propose { proposals: vec![proposal(B, 1, "x")], lowest: 1 });
    a.hear(B, 1, Body::Propose { proposals: vec![no], lowest: 1 });
    assert_eq!(
        a.sent(B).iter().filter(|body| matches!(body, Body::Verdict { .. })).count(),
        0,
        "a late copy is dropped"
    );
}

#[test]
fn another_terms_proposals_bounce() {
    let mut a = Puppet::leading(&[1]);
    a.hear(B, 1, Body::Propose { proposals: vec![proposal(B, 0, "x")], lowest: 0 });
    assert!(matches!(a.sent(B)[..], [Body::Verdict { verdict: VerdictMessage::Bounced, .. }]));
    assert_eq!(a.core.read_view().last, Position::new(2, 2));
}

#[test]
fn without_room_local_proposals_wait_and_remote_ones_bounce() {
    let mut small = config(A);
    small.uncommitted_bytes_max = 100;
    let mut a = Puppet::leading_with(small, &[]);
    a.hear(B, 1, ack(1, 0));
    for sequence in 0..4 {
        a.step(Input::Propose(proposal(A, sequence, "some payload")));
    }
    assert_eq!(a.core.read_view().last.index, Index(3), "two fit");
    a.hear(B, 1, Body::Propose { proposals: vec![proposal(B, 0, "x")], lowest: 0 });
    assert!(a.sent(B).iter().any(|body| matches!(body, Body::Verdict { verdict: VerdictMessage::Bounced, .. })));
    a.sync();
    a.hear(B, 1, ack(3, 0));
    assert_eq!(a.resolved().len(), 2);
    assert_eq!(a.core.read_view().last.index, Index(5), "the others follow");
}

#[test]
fn what_bounced_is_sent_again() {
    let mut b = Puppet::following(B, &[], 1);
    b.step(Input::Propose(proposal(B, 0, "x")));
    b.sent(A);
    b.hear(A, 1, verdict(0, VerdictMessage::Bounced));
    assert_eq!(sequences(&b.sent(A)), [0; 0], "not at once");
    b.wait(60);
    assert_eq!(sequences(&b.sent(A)), [0]);
}

#[test]
fn without_anybody_to_answer_a_proposal_ends_honestly() {
    let mut b = Puppet::of(B, &[]);
    b.step(Input::Propose(proposal(B, 0, "never left")));
    b.wait(1600);
    assert_eq!(b.resolved(), [(0, Outcome::NotSent)]);
    let mut b = Puppet::following(B, &[], 1);
    b.step(Input::Propose(proposal(B, 0, "sent")));
    b.wait(3500);
    assert_eq!(b.resolved(), [(0, Outcome::Unknown)]);
}

#[test]
fn a_reconnect_sends_again_what_may_be_lost() {
    let mut b = Puppet::following(B, &[], 1);
    b.step(Input::Propose(proposal(B, 0, "x")));
    b.sent(A);
    b.step(Input::Connected(A));
    assert_eq!(sequences(&b.sent(A)), [0]);
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0));
    a.step(Input::Propose(proposal(A, 0, "x")));
    a.sent(B);
    a.step(Input::Connected(B));
    assert!(
        matches!(&a.sent(B)[..], [Body::Append { previous, .. }] if previous.index == Index(1)),
        "from what is acknowledged"
    );
}

#[test]
fn an_own_proposal_that_was_cut_is_offered_to_the_new_leader() {
    let mut a = Puppet::leading(&[]);
    a.step(Input::Propose(proposal(A, 0, "x")));
    assert_eq!(a.core.read_view().last, Position::new(1, 2));
    a.hear(B, 2, beat(true, 0, 0));
    a.sync();
    assert_eq!(sequences(&a.sent(B)), [0; 0], "it is in our log, and may be in theirs");
    a.hear(B, 2, append((1, 1), &[2], 0, 0));
    a.sync();
    assert_eq!(sequences(&a.sent(B)), [0], "cut: offered, with the same id");
    assert_eq!(a.resolved(), []);
}

#[test]
fn a_proposal_that_is_not_ours_or_too_large_is_refused() {
    let mut b = Puppet::following(B, &[], 1);
    b.step(Input::Propose(proposal(A, 0, "x")));
    let mut old = proposal(B, 1, "x");
    old.id.boot = Boot(1);
    b.step(Input::Propose(old));
    let mut large = proposal(B, 2, "");
    large.payload = vec![0; 1 << 17].into();
    b.step(Input::Propose(large));
    let outcomes: Vec<Outcome> = b.resolved().into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, [Outcome::NotSent, Outcome::NotSent, Outcome::NotSent]);
    assert_eq!(sequences(&b.sent(A)), [0; 0]);
}

#[test]
fn inputs_that_come_together_share_an_append_and_a_request() {
    let mut a = Puppet::leading(&[]);
    a.hear(B, 1, ack(1, 0));
    a.out.clear();
    let inputs = (0..5).map(|sequence| Input::Propose(proposal(A, sequence, "x")));
    a.core.step_all(Now { boottime: a.now, wall: 0 }, inputs, &mut a.machine, &mut a.out);
    let requests =
        a.out.iter().filter(|effect| matches!(effect, Output::Persist(request) if request.entries.len() == 5));
    assert_eq!(requests.count(), 1);
    assert!(matches!(&a.sent(B)[..], [Body::Append { entries, .. }] if entries.len() == 5));
}
