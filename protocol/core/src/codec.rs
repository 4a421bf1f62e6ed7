//! Messages and entries as bytes. `docs/formats/wire.md` draws them.
//!
//! Fixed-width little-endian integers; every length is checked against what is left before it is believed, so no bytes,
//! however wrong, panic or allocate more than they occupy. Payloads are slices of the received buffer, not copies.
//! A message ends with a checksum over all before it; an entry has none of its own, since what carries it has one.
//!
//! What is *not* checked here is meaning: whether the sender is known, the term plausible, the indexes in order. That is
//! the core's business.
use crate::message::*;
use crate::types::*;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// The version of both formats, first byte of a message.
pub const WIRE_VERSION: u8 = 1;

/// The smallest message, a heartbeat without echo or promise, is longer than this.
const MESSAGE_MIN: usize = ENVELOPE_LENGTH + CHECKSUM_LENGTH;
const ENVELOPE_LENGTH: usize = 48;
const CHECKSUM_LENGTH: usize = 4;
const POSITION_LENGTH: usize = 16;
const PROPOSAL_ID_LENGTH: usize = 17;
/// Least bytes of one element, to bound the count of a list before it is allocated.
const ENTRY_MIN: usize = 1 + POSITION_LENGTH;
const PROPOSAL_MIN: usize = PROPOSAL_ID_LENGTH + POSITION_LENGTH + 4;

const HAS_ECHO: u8 = 1;
const HAS_PROMISE: u8 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    #[error("ends in the middle of {0}")]
    Truncated(&'static str),
    #[error("bytes left over after the end")]
    TrailingBytes,
    #[error("format version {0} is unknown")]
    Version(u8),
    #[error("{what} has the unknown tag {tag}")]
    Tag { what: &'static str, tag: u8 },
    #[error("checksum differs: found {found:08x}, computed {computed:08x}")]
    Checksum { found: u32, computed: u32 },
    #[error("a reserved field is not zero")]
    Reserved,
}

/// Checksum of the bytes that a proposal id stands for; a reference in an append is believed only if it agrees.
pub fn proposal_checksum(proposal: &Proposal) -> u32 {
    let mut head = [0u8; PROPOSAL_ID_LENGTH + POSITION_LENGTH];
    {
        let mut rest = &mut head[..];
        put_proposal_id(&mut rest, &proposal.id);
        put_position(&mut rest, proposal.snapshot);
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(&proposal.payload);
    hasher.finalize()
}

/// Appends the message to `buffer`.
pub fn encode_message(message: &Message, buffer: &mut BytesMut) {
    let start = buffer.len();
    buffer.reserve(MESSAGE_MIN + 128);
    let flags =
        if message.echo.is_some() { HAS_ECHO } else { 0 } | if message.promise.is_some() { HAS_PROMISE } else { 0 };
    buffer.put_u8(WIRE_VERSION);
    buffer.put_u8(body_tag(&message.body));
    buffer.put_u8(message.from.0);
    buffer.put_u8(message.to.0);
    buffer.put_u8(flags);
    buffer.put_bytes(0, 3);
    buffer.put_u64_le(message.term.0);
    buffer.put_u64_le(message.boot.0);
    buffer.put_u64_le(message.token);
    buffer.put_u64_le(message.low_water.0);
    buffer.put_u64_le(message.echo_age);
    if let Some((boot, token)) = message.echo {
        buffer.put_u64_le(boot.0);
        buffer.put_u64_le(token);
    }
    if let Some(promise) = &message.promise {
        buffer.put_u64_le(promise.length);
        put_position(buffer, promise.last);
        buffer.put_u64_le(promise.boot.0);
        buffer.put_u64_le(promise.token);
    }
    put_body(buffer, &message.body);
    let checksum = crc32fast::hash(&buffer[start..]);
    buffer.put_u32_le(checksum);
}

/// Reads exactly one message: the frame's length says where it ends.
pub fn decode_message(mut bytes: Bytes) -> Result<Message, DecodeError> {
    if bytes.len() < MESSAGE_MIN {
        return Err(DecodeError::Truncated("a message"));
    }
    if bytes[0] != WIRE_VERSION {
        return Err(DecodeError::Version(bytes[0]));
    }
    let end = bytes.len() - CHECKSUM_LENGTH;
    let computed = crc32fast::hash(&bytes[..end]);
    let found = bytes.split_off(end).get_u32_le();
    if found != computed {
        return Err(DecodeError::Checksum { found, computed });
    }
    let input = &mut bytes;
    input.advance(1);
    let tag = take_u8(input, "the body's kind")?;
    let from = NodeId(take_u8(input, "the sender")?);
    let to = NodeId(take_u8(input, "the receiver")?);
    let flags = take_u8(input, "the flags")?;
    if flags & !(HAS_ECHO | HAS_PROMISE) != 0 {
        return Err(DecodeError::Reserved);
    }
    for _ in 0..3 {
        if take_u8(input, "the reserved bytes")? != 0 {
            return Err(DecodeError::Reserved);
        }
    }
    let term = Term(take_u64(input, "the term")?);
    let boot = Boot(take_u64(input, "the boot")?);
    let token = take_u64(input, "the token")?;
    let low_water = Index(take_u64(input, "the low water")?);
    let echo_age = take_u64(input, "the echo's age")?;
    let echo = match flags & HAS_ECHO {
        0 => None,
        _ => Some((Boot(take_u64(input, "the echo")?), take_u64(input, "the echo")?)),
    };
    let promise = match flags & HAS_PROMISE {
        0 => None,
        _ => Some(Promise {
            length: take_u64(input, "the promise")?,
            last: take_position(input)?,
            boot: Boot(take_u64(input, "the promise")?),
            token: take_u64(input, "the promise")?,
        }),
    };
    let body = take_body(input, tag)?;
    if !input.is_empty() {
        return Err(DecodeError::TrailingBytes);
    }
    Ok(Message { from, to, term, boot, token, echo, echo_age, promise, low_water, body })
}

/// Appends the entry to `buffer`. The journal stores the same bytes.
pub fn encode_entry(entry: &Entry, buffer: &mut BytesMut) {
    match &entry.body {
        EntryBody::NoOp => {
            buffer.put_u8(0);
            put_position(buffer, entry.position);
        }
        EntryBody::Record { header, proposal } => {
            buffer.reserve(ENTRY_MIN + PROPOSAL_MIN + 4 + header.len() + proposal.payload.len());
            buffer.put_u8(1);
            put_position(buffer, entry.position);
            put_bytes(buffer, header);
            put_proposal(buffer, proposal);
        }
    }
}

/// Takes one entry off the front of `bytes`. On an error `bytes` is left somewhere in the middle.
pub fn decode_entry(bytes: &mut Bytes) -> Result<Entry, DecodeError> {
    let tag = take_u8(bytes, "an entry")?;
    let position = take_position(bytes)?;
    let body = match tag {
        0 => EntryBody::NoOp,
        1 => EntryBody::Record { header: take_bytes(bytes, "an entry's header")?, proposal: take_proposal(bytes)? },
        tag => return Err(DecodeError::Tag { what: "an entry", tag }),
    };
    Ok(Entry { position, body })
}

fn body_tag(body: &Body) -> u8 {
    match body {
        Body::Heartbeat(_) => 1,
        Body::Propose { .. } => 2,
        Body::Verdict { .. } => 3,
        Body::Append { .. } => 4,
        Body::AppendAck { .. } => 5,
        Body::AppendReject { .. } => 6,
        Body::Durable { .. } => 7,
        Body::Window { .. } => 8,
        Body::ReadIndex { .. } => 9,
        Body::ReadIndexReply { .. } => 10,
        Body::PreVote { .. } => 11,
        Body::PreVoteReply { .. } => 12,
        Body::Vote { .. } => 13,
        Body::VoteReply { .. } => 14,
        Body::Fetch { .. } => 15,
        Body::FetchReply { .. } => 16,
        Body::TimeoutNow => 17,
        Body::LeaseRelease => 18,
    }
}

fn put_body(buffer: &mut BytesMut, body: &Body) {
    match body {
        Body::Heartbeat(heartbeat) => {
            buffer.put_u8(heartbeat.leads as u8);
            buffer.put_u8(heartbeat.mask);
            buffer.put_u64_le(heartbeat.received.0);
            buffer.put_u64_le(heartbeat.durable.0);
            buffer.put_u64_le(heartbeat.commit.0);
            buffer.put_u64_le(heartbeat.settled.0);
        }
        Body::Propose { proposals, lowest } => {
            buffer.put_u64_le(*lowest);
            put_count(buffer, proposals.len());
            for proposal in proposals {
                put_proposal(buffer, proposal);
            }
        }
        Body::Verdict { id, verdict } => {
            put_proposal_id(buffer, id);
            match verdict {
                VerdictMessage::Rejected { reason } => {
                    buffer.put_u8(0);
                    put_bytes(buffer, reason);
                }
                VerdictMessage::Duplicate { position } => {
                    buffer.put_u8(1);
                    put_position(buffer, *position);
                }
                VerdictMessage::Bounced => buffer.put_u8(2),
            }
        }
        Body::Append { previous, entries, commit, durable } => {
            put_position(buffer, *previous);
            buffer.put_u64_le(commit.0);
            buffer.put_u64_le(durable.0);
            put_count(buffer, entries.len());
            for entry in entries {
                match entry {
                    AppendEntry::Full(entry) => {
                        buffer.put_u8(0);
                        encode_entry(entry, buffer);
                    }
                    AppendEntry::Reference { position, header, id, crc } => {
                        buffer.put_u8(1);
                        put_position(buffer, *position);
                        put_bytes(buffer, header);
                        put_proposal_id(buffer, id);
                        buffer.put_u32_le(*crc);
                    }
                }
            }
        }
        Body::AppendAck { durable, received, mask } => {
            buffer.put_u8(*mask);
            buffer.put_u64_le(durable.0);
            buffer.put_u64_le(received.0);
        }
        Body::AppendReject { previous, last, durable, term_starts, missing_payload } => {
            put_position(buffer, *previous);
            put_position(buffer, *last);
            buffer.put_u64_le(durable.0);
            put_positions(buffer, term_starts);
            match missing_payload {
                None => buffer.put_u8(0),
                Some(id) => {
                    buffer.put_u8(1);
                    put_proposal_id(buffer, id);
                }
            }
        }
        Body::Durable { index, commit, mask } => {
            buffer.put_u8(*mask);
            buffer.put_u64_le(index.0);
            buffer.put_u64_le(commit.0);
        }
        Body::Window { base } => put_position(buffer, *base),
        Body::ReadIndex { id } => buffer.put_u64_le(*id),
        Body::ReadIndexReply { id, position } => {
            buffer.put_u64_le(*id);
            match position {
                None => buffer.put_u8(0),
                Some(position) => {
                    buffer.put_u8(1);
                    put_position(buffer, *position);
                }
            }
        }
        Body::PreVote { last } | Body::Vote { last } => put_position(buffer, *last),
        Body::PreVoteReply { granted } => buffer.put_u8(*granted as u8),
        Body::VoteReply { granted, last, base, term_starts } => {
            buffer.put_u8(*granted as u8);
            put_position(buffer, *last);
            put_position(buffer, *base);
            put_positions(buffer, term_starts);
        }
        Body::Fetch { from, last } => {
            buffer.put_u64_le(from.0);
            put_position(buffer, *last);
        }
        Body::FetchReply { previous, entries, last, refused } => {
            buffer.put_u8(*refused as u8);
            put_position(buffer, *previous);
            put_position(buffer, *last);
            put_count(buffer, entries.len());
            for entry in entries {
                encode_entry(entry, buffer);
            }
        }
        Body::TimeoutNow | Body::LeaseRelease => {}
    }
}

fn take_body(input: &mut Bytes, tag: u8) -> Result<Body, DecodeError> {
    Ok(match tag {
        1 => Body::Heartbeat(Heartbeat {
            leads: take_bool(input, "a heartbeat")?,
            mask: take_u8(input, "a heartbeat")?,
            received: take_index(input)?,
            durable: take_index(input)?,
            commit: take_index(input)?,
            settled: take_index(input)?,
        }),
        2 => {
            let lowest = take_u64(input, "a proposal list")?;
            let proposals = take_list(input, PROPOSAL_MIN, take_proposal)?;
            Body::Propose { proposals, lowest }
        }
        3 => {
            let id = take_proposal_id(input)?;
            let verdict = match take_u8(input, "a verdict")? {
                0 => VerdictMessage::Rejected { reason: take_bytes(input, "a reason")? },
                1 => VerdictMessage::Duplicate { position: take_position(input)? },
                2 => VerdictMessage::Bounced,
                tag => return Err(DecodeError::Tag { what: "a verdict", tag }),
            };
            Body::Verdict { id, verdict }
        }
        4 => Body::Append {
            previous: take_position(input)?,
            commit: take_index(input)?,
            durable: take_index(input)?,
            entries: take_list(input, 1 + ENTRY_MIN, take_append_entry)?,
        },
        5 => {
            let mask = take_u8(input, "an acknowledgement")?;
            Body::AppendAck { durable: take_index(input)?, received: take_index(input)?, mask }
        }
        6 => Body::AppendReject {
            previous: take_position(input)?,
            last: take_position(input)?,
            durable: take_index(input)?,
            term_starts: take_list(input, POSITION_LENGTH, take_position)?,
            missing_payload: match take_bool(input, "a rejection")? {
                false => None,
                true => Some(take_proposal_id(input)?),
            },
        },
        7 => {
            let mask = take_u8(input, "a durable notice")?;
            Body::Durable { index: take_index(input)?, commit: take_index(input)?, mask }
        }
        8 => Body::Window { base: take_position(input)? },
        9 => Body::ReadIndex { id: take_u64(input, "a read request")? },
        10 => Body::ReadIndexReply {
            id: take_u64(input, "a read reply")?,
            position: match take_bool(input, "a read reply")? {
                false => None,
                true => Some(take_position(input)?),
            },
        },
        11 => Body::PreVote { last: take_position(input)? },
        12 => Body::PreVoteReply { granted: take_bool(input, "a pre-vote reply")? },
        13 => Body::Vote { last: take_position(input)? },
        14 => Body::VoteReply {
            granted: take_bool(input, "a vote reply")?,
            last: take_position(input)?,
            base: take_position(input)?,
            term_starts: take_list(input, POSITION_LENGTH, take_position)?,
        },
        15 => Body::Fetch { from: take_index(input)?, last: take_position(input)? },
        16 => {
            let refused = take_bool(input, "a fetch reply")?;
            let previous = take_position(input)?;
            let last = take_position(input)?;
            let entries = take_list(input, ENTRY_MIN, decode_entry)?;
            Body::FetchReply { previous, entries, last, refused }
        }
        17 => Body::TimeoutNow,
        18 => Body::LeaseRelease,
        tag => return Err(DecodeError::Tag { what: "a message", tag }),
    })
}

fn take_append_entry(input: &mut Bytes) -> Result<AppendEntry, DecodeError> {
    match take_u8(input, "an appended entry")? {
        0 => Ok(AppendEntry::Full(decode_entry(input)?)),
        1 => Ok(AppendEntry::Reference {
            position: take_position(input)?,
            header: take_bytes(input, "an entry's header")?,
            id: take_proposal_id(input)?,
            crc: take_u32(input, "a reference")?,
        }),
        tag => Err(DecodeError::Tag { what: "an appended entry", tag }),
    }
}

fn put_proposal(buffer: &mut BytesMut, proposal: &Proposal) {
    put_proposal_id(buffer, &proposal.id);
    put_position(buffer, proposal.snapshot);
    put_bytes(buffer, &proposal.payload);
}

fn take_proposal(input: &mut Bytes) -> Result<Proposal, DecodeError> {
    Ok(Proposal {
        id: take_proposal_id(input)?,
        snapshot: take_position(input)?,
        payload: take_bytes(input, "a payload")?,
    })
}

fn put_proposal_id(buffer: &mut impl BufMut, id: &ProposalId) {
    buffer.put_u8(id.region.0);
    buffer.put_u64_le(id.boot.0);
    buffer.put_u64_le(id.sequence);
}

fn take_proposal_id(input: &mut Bytes) -> Result<ProposalId, DecodeError> {
    Ok(ProposalId {
        region: NodeId(take_u8(input, "a proposal id")?),
        boot: Boot(take_u64(input, "a proposal id")?),
        sequence: take_u64(input, "a proposal id")?,
    })
}

fn put_position(buffer: &mut impl BufMut, position: Position) {
    buffer.put_u64_le(position.term.0);
    buffer.put_u64_le(position.index.0);
}

fn take_position(input: &mut Bytes) -> Result<Position, DecodeError> {
    Ok(Position { term: Term(take_u64(input, "a position")?), index: Index(take_u64(input, "a position")?) })
}

fn put_positions(buffer: &mut BytesMut, positions: &[Position]) {
    put_count(buffer, positions.len());
    for position in positions {
        put_position(buffer, *position);
    }
}

fn put_count(buffer: &mut BytesMut, count: usize) {
    buffer.put_u32_le(u32::try_from(count).expect("a batch is bounded far below four billion elements"));
}

fn put_bytes(buffer: &mut BytesMut, bytes: &Bytes) {
    buffer.put_u32_le(u32::try_from(bytes.len()).expect("a payload is bounded far below 4 GiB"));
    buffer.put_slice(bytes);
}

fn take_bytes(input: &mut Bytes, what: &'static str) -> Result<Bytes, DecodeError> {
    let length = take_u32(input, what)? as usize;
    if input.len() < length {
        return Err(DecodeError::Truncated(what));
    }
    Ok(input.split_to(length))
}

fn take_list<T>(
    input: &mut Bytes,
    element_min: usize,
    mut take: impl FnMut(&mut Bytes) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = take_u32(input, "a list")? as usize;
    if count > input.len() / element_min {
        return Err(DecodeError::Truncated("a list"));
    }
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        list.push(take(input)?);
    }
    Ok(list)
}

fn take_index(input: &mut Bytes) -> Result<Index, DecodeError> {
    take_u64(input, "an index").map(Index)
}

fn take_bool(input: &mut Bytes, what: &'static str) -> Result<bool, DecodeError> {
    match take_u8(input, what)? {
        0 => Ok(false),
        1 => Ok(true),
        tag => Err(DecodeError::Tag { what, tag }),
    }
}

fn take_u8(input: &mut Bytes, what: &'static str) -> Result<u8, DecodeError> {
    input.try_get_u8().map_err(|_| DecodeError::Truncated(what))
}

fn take_u32(input: &mut Bytes, what: &'static str) -> Result<u32, DecodeError> {
    input.try_get_u32_le().map_err(|_| DecodeError::Truncated(what))
}

fn take_u64(input: &mut Bytes, what: &'static str) -> Result<u64, DecodeError> {
    input.try_get_u64_le().map_err(|_| DecodeError::Truncated(what))
}

#[cfg(test)]
#[path = "codec_test.rs"]
mod tests;
