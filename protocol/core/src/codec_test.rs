//! Every message survives a round trip; no prefix, flipped bit or random bytes does anything but return an error.
use super::*;
use proptest::prelude::*;

fn position() -> impl Strategy<Value = Position> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, index)| Position::new(term, index))
}

fn index() -> impl Strategy<Value = Index> {
    any::<u64>().prop_map(Index)
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn proposal_id() -> impl Strategy<Value = ProposalId> {
    (any::<u8>(), any::<u64>(), any::<u64>()).prop_map(|(region, boot, sequence)| ProposalId {
        region: NodeId(region),
        boot: Boot(boot),
        sequence,
    })
}

fn proposal() -> impl Strategy<Value = Proposal> {
    (proposal_id(), position(), payload()).prop_map(|(id, snapshot, payload)| Proposal { id, snapshot, payload })
}

fn entry() -> impl Strategy<Value = Entry> {
    let body = prop_oneof![
        Just(EntryBody::NoOp),
        (payload(), proposal()).prop_map(|(header, proposal)| EntryBody::Record { header, proposal })
    ];
    (position(), body).prop_map(|(position, body)| Entry { position, body })
}

fn append_entry() -> impl Strategy<Value = AppendEntry> {
    prop_oneof![
        entry().prop_map(AppendEntry::Full),
        (position(), payload(), proposal_id(), any::<u32>())
            .prop_map(|(position, header, id, crc)| AppendEntry::Reference { position, header, id, crc })
    ]
}

fn positions() -> impl Strategy<Value = Vec<Position>> {
    prop::collection::vec(position(), 0..4)
}

fn body() -> impl Strategy<Value = Body> {
    let verdict = prop_oneof![
        payload().prop_map(|reason| VerdictMessage::Rejected { reason }),
        position().prop_map(|position| VerdictMessage::Duplicate { position }),
        Just(VerdictMessage::Bounced),
    ];
    prop_oneof![
        (any::<bool>(), index(), index(), index(), index(), any::<u8>()).prop_map(
            |(leads, received, durable, commit, settled, mask)| {
                Body::Heartbeat(Heartbeat { leads, received, durable, commit, settled, mask })
            }
        ),
        (prop::collection::vec(proposal(), 0..4), any::<u64>())
            .prop_map(|(proposals, lowest)| Body::Propose { proposals, lowest }),
        (proposal_id(), verdict).prop_map(|(id, verdict)| Body::Verdict { id, verdict }),
        (position(), prop::collection::vec(append_entry(), 0..4), index(), index())
            .prop_map(|(previous, entries, commit, durable)| Body::Append { previous, entries, commit, durable }),
        (index(), index(), any::<u8>()).prop_map(|(durable, received, mask)| Body::AppendAck {
            durable,
            received,
            mask
        }),
        (position(), position(), index(), positions(), prop::option::of(proposal_id())).prop_map(
            |(previous, last, durable, term_starts, missing_payload)| Body::AppendReject {
                previous,
                last,
                durable,
                term_starts,
                missing_payload
            }
        ),
        (index(), index(), any::<u8>()).prop_map(|(index, commit, mask)| Body::Durable { index, commit, mask }),
        position().prop_map(|base| Body::Window { base }),
        any::<u64>().prop_map(|id| Body::ReadIndex { id }),
        (any::<u64>(), prop::option::of(position())).prop_map(|(id, position)| Body::ReadIndexReply { id, position }),
        position().prop_map(|last| Body::PreVote { last }),
        any::<bool>().prop_map(|granted| Body::PreVoteReply { granted }),
        position().prop_map(|last| Body::Vote { last }),
        (any::<bool>(), position(), position(), positions())
            .prop_map(|(granted, last, base, term_starts)| Body::VoteReply { granted, last, base, term_starts }),
        (index(), position()).prop_map(|(from, last)| Body::Fetch { from, last }),
        (position(), prop::collection::vec(entry(), 0..4), position(), any::<bool>())
            .prop_map(|(previous, entries, last, refused)| Body::FetchReply { previous, entries, last, refused }),
        Just(Body::TimeoutNow),
        Just(Body::LeaseRelease),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let promise = (any::<u64>(), position(), any::<u64>(), any::<u64>())
        .prop_map(|(length, last, boot, token)| Promise { length, last, boot: Boot(boot), token });
    let envelope = (any::<u8>(), any::<u8>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), index());
    (envelope, prop::option::of((any::<u64>(), any::<u64>())), prop::option::of(promise), body()).prop_map(
        |((from, to, term, boot, token, echo_age, low_water), echo, promise, body)| Message {
            from: NodeId(from),
            to: NodeId(to),
            term: Term(term),
            boot: Boot(boot),
            token,
            echo: echo.map(|(boot, token)| (Boot(boot), token)),
            echo_age,
            promise,
            low_water,
            body,
        },
    )
}

fn encoded(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    encode_message(message, &mut buffer);
    buffer.freeze()
}

/// The body's bytes with a right checksum, so that what lies behind the checksum is reached.
fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Bytes::from(bytes)
}

proptest! {
    #[test]
    fn a_message_survives_a_round_trip(message in message()) {
        prop_assert_eq!(decode_message(encoded(&message)), Ok(message));
    }

    #[test]
    fn an_entry_survives_a_round_trip_and_leaves_what_follows(entry in entry(), rest in payload()) {
        let mut buffer = BytesMut::new();
        encode_entry(&entry, &mut buffer);
        buffer.extend_from_slice(&rest);
        let mut bytes = buffer.freeze();
        prop_assert_eq!(decode_entry(&mut bytes), Ok(entry));
        prop_assert_eq!(bytes, rest);
    }

    #[test]
    fn no_prefix_of_a_message_is_a_message(message in message(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&message);
        let cut = cut.index(bytes.len());
        prop_assert!(decode_message(bytes.slice(..cut)).is_err());
        // also when the shorter bytes carry a right checksum
        let end = bytes.len() - CHECKSUM_LENGTH;
        let cut = cut.min(end.saturating_sub(1));
        prop_assert!(decode_message(sealed(bytes[..cut].to_vec())).is_err());
    }

    #[test]
    fn a_flipped_bit_is_noticed(message in message(), bit in any::<prop::sample::Index>()) {
        let mut bytes = encoded(&message).to_vec();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decode_message(Bytes::from(bytes)).is_err());
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), tag in 0u8..20, flags in 0u8..4) {
        let _ = decode_message(Bytes::from(bytes.clone()));
        let _ = decode_entry(&mut Bytes::from(bytes.clone()));
        if bytes.len() >= 8 {
            bytes[..8].copy_from_slice(&[WIRE_VERSION, tag, 1, 2, flags, 0, 0, 0]);
        }
        let _ = decode_message(sealed(bytes));
    }

    #[test]
    fn a_changed_byte_behind_a_right_checksum_never_panics(message in message(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let bytes = encoded(&message);
        let mut bytes = bytes[..bytes.len() - CHECKSUM_LENGTH].to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(other) = decode_message(sealed(bytes.clone())) {
            // what decodes is canonical: it encodes to the same bytes
            prop_assert_eq!(encoded(&other), sealed(bytes));
        }
    }
}

#[test]
fn a_count_of_four_billion_allocates_nothing() {
    let message = Message {
        from: NodeId(1),
        to: NodeId(2),
        term: Term(1),
        boot: Boot(1),
        token: 0,
        echo: None,
        echo_age: 0,
        promise: None,
        low_water: Index(0),
        body: Body::FetchReply { previous: Position::ZERO, entries: vec![], last: Position::ZERO, refused: false },
    };
    let bytes = encoded(&message);
    let mut bytes = bytes[..bytes.len() - CHECKSUM_LENGTH].to_vec();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode_message(sealed(bytes)), Err(DecodeError::Truncated("a list")));
}

#[test]
fn the_checksum_of_a_proposal_covers_id_snapshot_and_payload() {
    let id = ProposalId { region: NodeId(1), boot: Boot(2), sequence: 3 };
    let proposal = Proposal { id, snapshot: Position::new(4, 5), payload: Bytes::from_static(b"six") };
    let same = proposal_checksum(&proposal);
    let others = [
        Proposal { id: ProposalId { sequence: 4, ..id }, ..proposal.clone() },
        Proposal { snapshot: Position::new(4, 6), ..proposal.clone() },
        Proposal { payload: Bytes::from_static(b"seven"), ..proposal.clone() },
    ];
    for other in others {
        assert_ne!(proposal_checksum(&other), same, "{other:?}");
    }
}
