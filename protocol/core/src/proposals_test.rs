//! What an origin may believe, and what a leader must remember.
use super::*;

fn proposal(sequence: u64) -> Proposal {
    let id = ProposalId { region: NodeId(2), boot: Boot(1), sequence };
    Proposal { id, snapshot: Position::ZERO, payload: Bytes::from(sequence.to_string()) }
}

fn sent_in(terms: &[u64]) -> Proposals {
    let mut proposals = Proposals::new(&Sabotage::default());
    assert!(proposals.open(proposal(1), 0));
    for term in terms {
        proposals.offer_all();
        assert!(proposals.next_to_send(Term(*term), 0).is_some());
    }
    proposals
}

#[test]
fn which_rejections_are_believed() {
    let reason = Bytes::from_static(b"conflict");
    let table: [(&[u64], u64, u64, bool, &str); 6] = [
        (&[1], 1, 0, true, "the only send was answered"),
        (&[1, 2], 1, 1, false, "not the latest send"),
        (&[1, 2], 2, 1, false, "the copy of term 1 may still be in somebody's log, and win"),
        (&[1, 2], 2, 2, true, "an entry of term 2 is committed: logs agree below it"),
        (&[1, 1], 1, 0, true, "sent twice in one term: the leader takes an id once a term"),
        (&[], 1, 1, false, "never sent"),
    ];
    for (terms, verdict_term, commit_term, believed, why) in table {
        let mut proposals = sent_in(terms);
        assert_eq!(proposals.rejected(1, Term(verdict_term), &reason, Term(commit_term)), believed, "{why}");
    }
}

#[test]
fn a_rejection_waits_for_a_commit_of_its_term() {
    let mut proposals = sent_in(&[1, 2]);
    assert!(!proposals.rejected(1, Term(2), &Bytes::from_static(b"conflict"), Term(1)));
    assert!(proposals.believe_rejections(Term(1)).is_empty());
    assert_eq!(proposals.believe_rejections(Term(2)).len(), 1);
    assert!(proposals.is_empty());
}

#[test]
fn a_waiting_rejection_is_void_once_the_entry_shows_up() {
    let mut proposals = sent_in(&[1, 2]);
    assert!(!proposals.rejected(1, Term(2), &Bytes::new(), Term(1)));
    proposals.appeared(1, Index(7));
    assert!(proposals.believe_rejections(Term(3)).is_empty());
    assert!(proposals.close(1), "it commits");
}

#[test]
fn a_cut_entry_is_offered_again() {
    let mut proposals = sent_in(&[1]);
    proposals.appeared(1, Index(7));
    assert!(proposals.next_to_send(Term(1), 0).is_none());
    proposals.cut(Index(6));
    assert!(proposals.next_to_send(Term(2), 0).is_some());
}

#[test]
fn only_what_was_never_sent_is_not_sent() {
    let mut proposals = sent_in(&[1]);
    proposals.open(proposal(2), 0);
    let ends = proposals.give_up(100, 50, 50);
    assert_eq!(ends, [(proposal(1).id, Outcome::Unknown), (proposal(2).id, Outcome::NotSent)]);
}

#[test]
fn patience_counts_from_when_service_ended() {
    let mut proposals = sent_in(&[1]);
    assert!(proposals.give_up(149, 100, 50).is_empty());
    assert_eq!(proposals.give_up(150, 100, 50).len(), 1);
}

#[test]
fn a_sequence_that_was_declared_resolved_is_not_taken() {
    let mut proposals = sent_in(&[1]);
    assert_eq!(proposals.announce_lowest(), 1);
    proposals.close(1);
    assert_eq!(proposals.announce_lowest(), 2);
    assert!(!proposals.open(proposal(1), 0), "no leader would look at it");
    assert!(proposals.open(proposal(2), 0));
}

#[test]
fn a_leader_answers_an_id_once_a_term() {
    let mut intake = Intake::new(NodeId(2), &Sabotage::default());
    intake.settle(Boot(1), 1);
    assert_eq!(intake.admit(Boot(1), 1), Admission::New);
    let verdict = VerdictMessage::Rejected { reason: Bytes::new() };
    intake.decided(1, verdict.clone());
    assert_eq!(intake.admit(Boot(1), 1), Admission::Known(verdict), "the same answer again");
    intake.settle(Boot(1), 2);
    assert_eq!(intake.admit(Boot(1), 1), Admission::Late, "a copy that the network kept");
    intake.settle(Boot(2), 0);
    assert_eq!(intake.admit(Boot(2), 1), Admission::New, "a new boot counts anew");
    assert_eq!(intake.admit(Boot(1), 9), Admission::Late);
}
