//! Messages that no correct node sends. They may be dropped, and may stop the node loudly; they never panic.
use crate::puppet::*;
use proptest::prelude::*;
use trivet_log::*;

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0u64..7, 1 => any::<u64>()]
}

fn position() -> impl Strategy<Value = Position> {
    (small(), small()).prop_map(|(term, index)| Position::new(term, index))
}

fn index() -> impl Strategy<Value = Index> {
    small().prop_map(Index)
}

fn any_proposal() -> impl Strategy<Value = Proposal> {
    (1u8..5, 6u64..9, small(), position()).prop_map(|(region, boot, sequence, snapshot)| Proposal {
        id: ProposalId { region: NodeId(region), boot: Boot(boot), sequence },
        snapshot,
        payload: "x".into(),
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let body = prop_oneof![
        Just(EntryBody::NoOp),
        any_proposal().prop_map(|proposal| EntryBody::Record { header: "h".into(), proposal })
    ];
    (position(), body).prop_map(|(position, body)| Entry { position, body })
}

/// Entries, mostly contiguous.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    (prop::collection::vec(entry(), 0..4), any::<bool>()).prop_map(|(mut entries, contiguous)| {
        if let (Some(first), true) = (entries.first().map(|entry| entry.position), contiguous) {
            for (n, entry) in entries.iter_mut().enumerate() {
                entry.position = Position { term: first.term, index: Index(first.index.0.saturating_add(n as u64)) };
            }
        }
        entries
    })
}

fn append_entry() -> impl Strategy<Value = AppendEntry> {
    prop_oneof![
        3 => entry().prop_map(AppendEntry::Full),
        1 => (position(), any_proposal()).prop_map(|(position, proposal)| AppendEntry::Reference {
            position,
            header: "h".into(),
            id: proposal.id,
            crc: 0,
        })
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let reject = (position(), position(), index(), prop::collection::vec(position(), 0..4), any::<bool>());
    let verdict = prop_oneof![
        Just(VerdictMessage::Rejected { reason: "r".into() }),
        position().prop_map(|position| VerdictMessage::Duplicate { position }),
        Just(VerdictMessage::Bounced),
    ];
    let follow = prop_oneof![
        (any::<bool>(), index(), index(), index(), index(), any::<u8>()).prop_map(
            |(leads, received, durable, commit, settled, mask)| {
                Body::Heartbeat(Heartbeat { leads, received, durable, commit, settled, mask })
            }
        ),
        (position(), entries(), index(), index()).prop_map(|(previous, entries, commit, durable)| {
            let entries = entries.into_iter().map(AppendEntry::Full).collect();
            Body::Append { previous, entries, commit, durable }
        }),
        (position(), prop::collection::vec(append_entry(), 0..3), index(), index())
            .prop_map(|(previous, entries, commit, durable)| Body::Append { previous, entries, commit, durable }),
        (index(), index(), any::<u8>()).prop_map(|(index, commit, mask)| Body::Durable { index, commit, mask }),
        position().prop_map(|base| Body::Window { base }),
        Just(Body::TimeoutNow),
    ];
    let lead = prop_oneof![
        (prop::collection::vec(any_proposal(), 0..3), small())
            .prop_map(|(proposals, lowest)| Body::Propose { proposals, lowest }),
        (any_proposal(), verdict).prop_map(|(proposal, verdict)| Body::Verdict { id: proposal.id, verdict }),
        (index(), index(), any::<u8>()).prop_map(|(durable, received, mask)| Body::AppendAck {
            durable,
            received,
            mask
        }),
        reject.prop_map(|(previous, last, durable, term_starts, missing)| Body::AppendReject {
            previous,
            last,
            durable,
            term_starts,
            missing_payload: missing.then(|| proposal(B, 0, "").id),
        }),
        small().prop_map(|id| Body::ReadIndex { id }),
        (small(), prop::option::of(position())).prop_map(|(id, position)| Body::ReadIndexReply { id, position }),
        Just(Body::LeaseRelease),
    ];
    let elect = prop_oneof![
        position().prop_map(|last| Body::PreVote { last }),
        any::<bool>().prop_map(|granted| Body::PreVoteReply { granted }),
        position().prop_map(|last| Body::Vote { last }),
        (any::<bool>(), position(), position(), prop::collection::vec(position(), 0..4))
            .prop_map(|(granted, last, base, term_starts)| Body::VoteReply { granted, last, base, term_starts }),
        (index(), position()).prop_map(|(from, last)| Body::Fetch { from, last }),
        (position(), entries(), position(), any::<bool>())
            .prop_map(|(previous, entries, last, refused)| Body::FetchReply { previous, entries, last, refused }),
    ];
    prop_oneof![follow, lead, elect]
}

#[derive(Clone, Debug)]
enum Move {
    Hear { from: u8, term: u64, boot: u64, body: Body, promise: Option<(u64, u64, Position)> },
    Propose(u64),
    Sync,
    Wait(u64),
    Loaded(Vec<Entry>),
    Applied(u64),
    Connected(u8),
}

fn any_move() -> impl Strategy<Value = Move> {
    let promise = prop::option::of((small(), small(), position()));
    prop_oneof![
        8 => (1u8..5, small(), 6u64..9, body(), promise)
            .prop_map(|(from, term, boot, body, promise)| Move::Hear { from, term, boot, body, promise }),
        1 => (0u64..5).prop_map(Move::Propose),
        2 => Just(Move::Sync),
        2 => (0u64..2000).prop_map(Move::Wait),
        1 => entries().prop_map(Move::Loaded),
        1 => small().prop_map(Move::Applied),
        1 => (1u8..5).prop_map(Move::Connected),
    ]
}

fn play(puppet: &mut Puppet, moves: Vec<Move>) {
    for one in moves {
        match one {
            Move::Hear { from, term, boot, body, promise } => {
                let mut message = puppet.message(NodeId(from), term, body);
                message.boot = Boot(boot);
                message.promise = promise.map(|(length, token, last)| Promise { length, last, boot: BOOT, token });
                puppet.step(Input::Receive(message));
            }
            Move::Propose(sequence) => puppet.step(Input::Propose(proposal(puppet.me, sequence, "x"))),
            Move::Sync => puppet.sync(),
            Move::Wait(milliseconds) => puppet.wait(milliseconds),
            Move::Loaded(entries) => {
                let ticket = puppet.out.iter().rev().find_map(|effect| match effect {
                    Output::Load { ticket, .. } => Some(*ticket),
                    _ => None,
                });
                puppet.step(Input::Loaded { ticket: ticket.unwrap_or(Ticket(0)), entries });
            }
            Move::Applied(index) => puppet.step(Input::Applied(Index(index))),
            Move::Connected(node) => puppet.step(Input::Connected(NodeId(node))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_messages_panic_a_follower(moves in prop::collection::vec(any_move(), 1..30)) {
        play(&mut Puppet::of(B, &[1, 1, 2]), moves);
    }

    #[test]
    fn no_messages_panic_a_leader(moves in prop::collection::vec(any_move(), 1..30)) {
        let mut small = config(A);
        small.cache_bytes_max = 0;
        play(&mut Puppet::leading_with(small, &[1, 1, 2]), moves);
    }

    #[test]
    fn no_messages_panic_a_witness(moves in prop::collection::vec(any_move(), 1..30)) {
        let mut small = config(W);
        small.cache_bytes_max = 0;
        play(&mut Puppet::new(small, journal(&[1, 1, 2])), moves);
    }

    #[test]
    fn no_messages_panic_a_candidate(moves in prop::collection::vec(any_move(), 1..30)) {
        let mut puppet = Puppet::of(B, &[1, 1, 2]);
        puppet.wait(2000);
        puppet.hear(W, 2, Body::PreVoteReply { granted: true });
        puppet.sync();
        play(&mut puppet, moves);
    }
}
