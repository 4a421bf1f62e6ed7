//! Cuts the input into frames: one type byte, a length that counts itself, a body. Pure.
//!
//! The type decides the longest length that is believed, as in PostgreSQL: a gigabyte for what carries data, ten
//! thousand bytes for the rest, about a thousand before authentication. A wrong type or length cannot be skipped,
//! since nobody knows where the next message begins: it ends the connection (FATAL 08P01).
use bytes::{Buf, BytesMut};
use trivet_types::{PgError, PgResult, sqlstate};

/// What may come, by how far the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Only an answer to the authentication request.
    Authentication,
    Session,
    /// COPY FROM STDIN is reading.
    CopyIn,
}

/// One message, type and body, without its length.
#[derive(Debug)]
pub(crate) struct Frame {
    pub kind: u8,
    pub body: BytesMut,
}

#[derive(Debug)]
pub(crate) enum Cut {
    Frame(Frame),
    /// The frame at the front is not complete before the input holds this many bytes.
    Need(usize),
}

/// Length word and type byte.
const HEADER: usize = 5;
const LENGTH_WORD: usize = 4;
/// PostgreSQL's PQ_SMALL_MESSAGE_LIMIT.
const SMALL_MAX: usize = 10_000;
/// PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH.
const SASL_MAX: usize = 1024;
/// PostgreSQL's PQ_LARGE_MESSAGE_LIMIT: what one allocation may hold there.
pub(crate) const LARGE_MAX: usize = 0x3fff_fffe;

/// Take the first frame off the input. `large_max` bounds the messages that carry data.
pub(crate) fn cut(input: &mut BytesMut, stage: Stage, large_max: usize) -> PgResult<Cut> {
    let Some(&kind) = input.first() else { return Ok(Cut::Need(HEADER)) };
    let length_max = length_max(kind, stage, large_max)?;
    if input.len() < HEADER {
        return Ok(Cut::Need(HEADER));
    }
    let length = i32::from_be_bytes([input[1], input[2], input[3], input[4]]);
    let length = usize::try_from(length).ok().filter(|length| (LENGTH_WORD..=length_max).contains(length));
    let Some(length) = length else {
        return Err(PgError::fatal(sqlstate::PROTOCOL_VIOLATION, "invalid message length"));
    };
    if input.len() < 1 + length {
        return Ok(Cut::Need(1 + length));
    }
    input.advance(HEADER);
    Ok(Cut::Frame(Frame { kind, body: input.split_to(length - LENGTH_WORD) }))
}

fn length_max(kind: u8, stage: Stage, large_max: usize) -> PgResult<usize> {
    match (stage, kind) {
        (Stage::Authentication, b'p') => Ok(SASL_MAX),
        (Stage::Authentication, _) => Err(PgError::fatal(
            sqlstate::PROTOCOL_VIOLATION,
            format!("expected SASL response, got message type {kind}"),
        )),
        (Stage::CopyIn, b'd') => Ok(large_max),
        (Stage::CopyIn, b'c' | b'f' | b'H' | b'S') => Ok(SMALL_MAX),
        (Stage::CopyIn, _) => Err(PgError::new(
            sqlstate::PROTOCOL_VIOLATION,
            format!("unexpected message type 0x{kind:02X} during COPY from stdin"),
        )),
        (Stage::Session, b'Q' | b'P' | b'B' | b'F' | b'd') => Ok(large_max),
        (Stage::Session, b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f') => Ok(SMALL_MAX),
        (Stage::Session, _) => {
            Err(PgError::fatal(sqlstate::PROTOCOL_VIOLATION, format!("invalid frontend message type {kind}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feed bytes, name what comes out.
    fn outcome(bytes: &[u8], stage: Stage) -> String {
        let mut input = BytesMut::from(bytes);
        match cut(&mut input, stage, 1 << 20) {
            Ok(Cut::Frame(frame)) => {
                format!("{} {:?} then {}", char::from(frame.kind), frame.body, input.len())
            }
            Ok(Cut::Need(count)) => format!("need {count}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn frames_by_type_length_and_stage() {
        use Stage::{Authentication, CopyIn, Session};
        let table: &[(&[u8], Stage, &str)] = &[
            (b"", Session, "need 5"),
            (b"Q", Session, "need 5"),
            (b"Q\0\0\0", Session, "need 5"),
            (b"Q\0\0\0\x08", Session, "need 9"),
            (b"Q\0\0\0\x08a;b\0", Session, "Q b\"a;b\\0\" then 0"),
            (b"S\0\0\0\x04S\0\0\0\x04", Session, "S b\"\" then 5"),
            (b"S\0\0\0\x03", Session, "FATAL: invalid message length (08P01)"),
            (b"Q\0\0\0\0", Session, "FATAL: invalid message length (08P01)"),
            (b"Q\xff\xff\xff\xff", Session, "FATAL: invalid message length (08P01)"),
            (b"Q\x7f\xff\xff\xff", Session, "FATAL: invalid message length (08P01)"),
            (b"Q\0\x10\0\0", Session, "need 1048577"),
            (b"Q\0\x10\0\x01", Session, "FATAL: invalid message length (08P01)"),
            (b"E\0\0\x27\x10", Session, "need 10001"),
            (b"E\0\0\x27\x11", Session, "FATAL: invalid message length (08P01)"),
            (b"z", Session, "FATAL: invalid frontend message type 122 (08P01)"),
            (b"\0", Session, "FATAL: invalid frontend message type 0 (08P01)"),
            (b"p", Session, "FATAL: invalid frontend message type 112 (08P01)"),
            (b"p\0\0\x04\0", Authentication, "need 1025"),
            (b"p\0\0\x04\x01", Authentication, "FATAL: invalid message length (08P01)"),
            (b"Q", Authentication, "FATAL: expected SASL response, got message type 81 (08P01)"),
            (b"d\0\x10\0\0", CopyIn, "need 1048577"),
            (b"Q", CopyIn, "ERROR: unexpected message type 0x51 during COPY from stdin (08P01)"),
        ];
        for (bytes, stage, expected) in table {
            assert_eq!(outcome(bytes, *stage), *expected, "{bytes:?} in {stage:?}");
        }
    }
}
