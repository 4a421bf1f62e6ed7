//! From a frame to a request. Pure.
//!
//! Two passes: a shape check of ours over the whole body, then pgwire's decoder. Pgwire reads counts and lengths without
//! asking whether so many bytes are there and replaces what is not UTF-8; a body that passed the check gives it no
//! occasion (G1). What the check refuses is an ERROR, not FATAL: the frame's end is known, so the conversation goes on.
use crate::session::{Format, Parameter};
use bytes::BytesMut;
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Parse};
use pgwire::messages::simplequery::Query;
use pgwire::messages::{DecodeContext, Message, ProtocolVersion};
use trivet_types::{PgError, PgResult, sqlstate};

/// What a client asks, checked.
#[derive(Debug)]
pub(crate) enum Request {
    Query {
        sql: String,
    },
    Parse {
        statement: String,
        sql: String,
        parameter_types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        parameters: Vec<Parameter>,
        result_formats: Vec<Format>,
    },
    Describe {
        target: Target,
        name: String,
    },
    Execute {
        portal: String,
        max_rows: u32,
    },
    Close {
        target: Target,
        name: String,
    },
    Flush,
    Sync,
    Terminate,
    FunctionCall,
    /// CopyData, CopyDone or CopyFail outside COPY: the client had not heard yet that its COPY failed.
    CopyLeftover,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Statement,
    Portal,
}

/// `kind` is one that `frame::cut` lets pass in a session.
pub(crate) fn decode(kind: u8, body: BytesMut) -> PgResult<Request> {
    match kind {
        b'Q' => query(body),
        b'P' => parse(body),
        b'B' => bind(body),
        b'D' => {
            let target = target(&body, "DESCRIBE")?;
            Ok(Request::Describe { target, name: pgwire::<Describe>(body).name.unwrap_or_default() })
        }
        b'C' => {
            let target = target(&body, "CLOSE")?;
            Ok(Request::Close { target, name: pgwire::<Close>(body).name.unwrap_or_default() })
        }
        b'E' => execute(body),
        b'H' => Shape(&body).end().map(|()| Request::Flush),
        b'S' => Shape(&body).end().map(|()| Request::Sync),
        b'X' => Ok(Request::Terminate),
        b'F' => Ok(Request::FunctionCall),
        b'd' | b'c' | b'f' => Ok(Request::CopyLeftover),
        _ => Err(PgError::fatal(sqlstate::PROTOCOL_VIOLATION, format!("invalid frontend message type {kind}"))),
    }
}

/// Pgwire's decoder, on a body whose shape was checked.
fn pgwire<M: Message>(mut body: BytesMut) -> M {
    let length = body.len() + 4;
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
    M::decode_body(&mut body, length, &context).expect("the shape was checked before")
}

fn query(body: BytesMut) -> PgResult<Request> {
    let mut shape = Shape(&body);
    let sql = shape.string()?;
    shape.end()?;
    utf8(sql)?;
    Ok(Request::Query { sql: pgwire::<Query>(body).query })
}

fn parse(body: BytesMut) -> PgResult<Request> {
    let mut shape = Shape(&body);
    let texts = [shape.string()?, shape.string()?];
    let count = shape.int16()?;
    shape.take(usize::from(count) * 4)?;
    shape.end()?;
    for text in texts {
        utf8(text)?;
    }
    let parse = pgwire::<Parse>(body);
    Ok(Request::Parse { statement: parse.name.unwrap_or_default(), sql: parse.query, parameter_types: parse.type_oids })
}

fn bind(body: BytesMut) -> PgResult<Request> {
    let mut shape = Shape(&body);
    let (portal, statement) = (shape.string()?, shape.string()?);
    let portal = utf8(portal)?;
    utf8(statement)?;
    let format_count = usize::from(shape.int16()?);
    shape.take(format_count * 2)?;
    let parameter_count = usize::from(shape.int16()?);
    if format_count > 1 && format_count != parameter_count {
        return Err(violation(format!(
            "bind message has {format_count} parameter formats but {parameter_count} parameters"
        )));
    }
    for index in 0..parameter_count {
        let length = shape.int32()?;
        if length != -1 {
            let length = usize::try_from(length).map_err(|_| violation(INSUFFICIENT));
            length.and_then(|length| shape.take(length)).map_err(|error| in_parameter(error, portal, index))?;
        }
    }
    let result_count = shape.int16()?;
    shape.take(usize::from(result_count) * 2)?;
    shape.end()?;
    let bind = pgwire::<Bind>(body);
    let portal = bind.portal_name.unwrap_or_default();
    let mut parameters = Vec::with_capacity(bind.parameters.len());
    for (index, value) in bind.parameters.into_iter().enumerate() {
        let code = match bind.parameter_format_codes.as_slice() {
            [] => 0,
            [all] => *all,
            each => each[index],
        };
        let format = format(code).map_err(|error| in_parameter(error, &portal, index))?;
        if let (Format::Text, Some(value)) = (format, &value) {
            utf8(value).map_err(|error| in_parameter(error, &portal, index))?;
        }
        parameters.push(Parameter { format, value });
    }
    let result_formats = bind.result_column_format_codes.into_iter().map(format).collect::<PgResult<Vec<Format>>>()?;
    Ok(Request::Bind { portal, statement: bind.statement_name.unwrap_or_default(), parameters, result_formats })
}

/// Says which parameter it was, as PostgreSQL does.
fn in_parameter(mut error: Box<PgError>, portal: &str, index: usize) -> Box<PgError> {
    let number = index + 1;
    error.context = Some(match portal {
        "" => format!("unnamed portal parameter ${number}"),
        _ => format!("portal \"{portal}\" parameter ${number}"),
    });
    error
}

fn execute(body: BytesMut) -> PgResult<Request> {
    let mut shape = Shape(&body);
    let name = shape.string()?;
    shape.int32()?;
    shape.end()?;
    utf8(name)?;
    let execute = pgwire::<Execute>(body);
    // PostgreSQL: zero or less is all.
    let max_rows = u32::try_from(execute.max_rows).unwrap_or(0);
    Ok(Request::Execute { portal: execute.name.unwrap_or_default(), max_rows })
}

fn target(body: &[u8], message: &str) -> PgResult<Target> {
    let mut shape = Shape(body);
    let letter = shape.take(1)?[0];
    let name = shape.string()?;
    shape.end()?;
    let target = match letter {
        b'S' => Target::Statement,
        b'P' => Target::Portal,
        _ => return Err(violation(format!("invalid {message} message subtype {letter}"))),
    };
    utf8(name)?;
    Ok(target)
}

fn format(code: i16) -> PgResult<Format> {
    match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        _ => Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("unsupported format code: {code}"))),
    }
}

const INSUFFICIENT: &str = "insufficient data left in message";

fn violation(message: impl Into<String>) -> Box<PgError> {
    PgError::new(sqlstate::PROTOCOL_VIOLATION, message)
}

/// Walks a body and complains as PostgreSQL's `pq_getmsg*` do.
struct Shape<'a>(&'a [u8]);

impl<'a> Shape<'a> {
    fn take(&mut self, count: usize) -> PgResult<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| violation(INSUFFICIENT))?;
        self.0 = rest;
        Ok(taken)
    }

    fn int16(&mut self) -> PgResult<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn int32(&mut self) -> PgResult<i32> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Up to the next NUL, which is not part of it.
    fn string(&mut self) -> PgResult<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(|| violation("invalid string in message"))?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Ok(text)
    }

    fn end(&self) -> PgResult<()> {
        if self.0.is_empty() { Ok(()) } else { Err(violation("invalid message format")) }
    }
}

/// UTF-8 without NUL, or 22021 with the bytes that PostgreSQL would show.
pub(crate) fn utf8(bytes: &[u8]) -> PgResult<&str> {
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) => match bytes.iter().position(|byte| *byte == 0) {
            None => return Ok(text),
            Some(nul) => nul,
        },
        Err(error) => {
            let bad = error.valid_up_to();
            bytes[..bad].iter().position(|byte| *byte == 0).unwrap_or(bad)
        }
    };
    // As many bytes as the first one announces.
    let announced = match bytes[bad] {
        byte if byte & 0xe0 == 0xc0 => 2,
        byte if byte & 0xf0 == 0xe0 => 3,
        byte if byte & 0xf8 == 0xf0 => 4,
        _ => 1,
    };
    let shown: Vec<String> = bytes[bad..].iter().take(announced).map(|byte| format!("0x{byte:02x}")).collect();
    let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
    Err(PgError::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(kind: u8, body: &[u8]) -> String {
        match decode(kind, BytesMut::from(body)) {
            Ok(request) => format!("{request:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn bodies_and_what_they_mean() {
        let table: &[(u8, &[u8], &str)] = &[
            (b'Q', b"select 1\0", "Query { sql: \"select 1\" }"),
            (b'Q', b"\0", "Query { sql: \"\" }"),
            (b'Q', b"", "ERROR: invalid string in message (08P01)"),
            (b'Q', b"select 1", "ERROR: invalid string in message (08P01)"),
            (b'Q', b"a\0b\0", "ERROR: invalid message format (08P01)"),
            (b'Q', b"\xff\0", "ERROR: invalid byte sequence for encoding \"UTF8\": 0xff (22021)"),
            (b'Q', b"a\xe2\x28\xa1z\0", "ERROR: invalid byte sequence for encoding \"UTF8\": 0xe2 0x28 0xa1 (22021)"),
            (b'Q', b"\xc3\0", "ERROR: invalid byte sequence for encoding \"UTF8\": 0xc3 (22021)"),
            (
                b'P',
                b"s\0select $1\0\0\x01\0\0\0\x17",
                "Parse { statement: \"s\", sql: \"select $1\", parameter_types: [23] }",
            ),
            (b'P', b"\0\0\0\0", "Parse { statement: \"\", sql: \"\", parameter_types: [] }"),
            (b'P', b"\0\0\0\x02\0\0\0\x17", "ERROR: insufficient data left in message (08P01)"),
            (b'P', b"\0\0\xff\xff", "ERROR: insufficient data left in message (08P01)"),
            (b'P', b"\0\0\0", "ERROR: insufficient data left in message (08P01)"),
            (b'P', b"\xc3(\0\0\0\0", "ERROR: invalid byte sequence for encoding \"UTF8\": 0xc3 0x28 (22021)"),
            (
                b'B',
                b"p\0s\0\0\0\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\x01\0\x01",
                "Bind { portal: \"p\", statement: \"s\", parameters: [Parameter { format: Text, value: Some(b\"a\") }, \
                 Parameter { format: Text, value: None }], result_formats: [Binary] }",
            ),
            (b'B', b"\0\0\0\x02\0\0\0\0\0\x03", "ERROR: bind message has 2 parameter formats but 3 parameters (08P01)"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0", "ERROR: insufficient data left in message (08P01)"),
            (b'B', b"\0\0\0\0\0\x01\x80\0\0\0\0\0", "ERROR: insufficient data left in message (08P01)"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0", "ERROR: insufficient data left in message (08P01)"),
            (b'B', b"\0\0\0\0\0\0\0\x01\0\x02", "ERROR: unsupported format code: 2 (22023)"),
            (b'B', b"\0\0\0\x01\xff\xff\0\x01\xff\xff\xff\xff\0\0", "ERROR: unsupported format code: -1 (22023)"),
            (b'B', b"\0\0\0\0\0\0\0\0junk", "ERROR: invalid message format (08P01)"),
            (
                b'B',
                b"\0\0\0\0\0\x01\0\0\0\x01\0\0\0",
                "ERROR: invalid byte sequence for encoding \"UTF8\": 0x00 (22021)",
            ),
            (
                b'B',
                b"\0\0\0\x01\0\x01\0\x01\0\0\0\x01\xff\0\0",
                "Bind { portal: \"\", statement: \"\", parameters: [Parameter { format: Binary, value: Some(b\"\\xff\") }], \
                 result_formats: [] }",
            ),
            (b'D', b"Ss\0", "Describe { target: Statement, name: \"s\" }"),
            (b'D', b"Q\0", "ERROR: invalid DESCRIBE message subtype 81 (08P01)"),
            (b'D', b"", "ERROR: insufficient data left in message (08P01)"),
            (b'C', b"P\0", "Close { target: Portal, name: \"\" }"),
            (b'C', b"x\0", "ERROR: invalid CLOSE message subtype 120 (08P01)"),
            (b'E', b"\0\0\0\0\0", "Execute { portal: \"\", max_rows: 0 }"),
            (b'E', b"\0\x7f\xff\xff\xff", "Execute { portal: \"\", max_rows: 2147483647 }"),
            (b'E', b"\0\xff\xff\xff\xff", "Execute { portal: \"\", max_rows: 0 }"),
            (b'E', b"\0\0\0", "ERROR: insufficient data left in message (08P01)"),
            (b'S', b"", "Sync"),
            (b'S', b"x", "ERROR: invalid message format (08P01)"),
            (b'H', b"", "Flush"),
            (b'c', b"", "CopyLeftover"),
        ];
        for (kind, body, expected) in table {
            assert_eq!(outcome(*kind, body), *expected, "{} {body:?}", char::from(*kind));
        }
    }

    fn any_kind() -> impl Strategy<Value = u8> {
        prop::sample::select(b"QPBDCEHSXFdcf".to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        // G1: whatever the body, decoding returns.
        #[test]
        fn no_body_panics(kind in any_kind(), body in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..40)) {
            let _ = decode(kind, BytesMut::from(&body[..]));
        }

        // What pgwire encodes is decoded to the same thing.
        #[test]
        fn binds_come_back(
            portal in "[a-z]{0,5}", statement in "[a-zé]{0,5}",
            values in prop::collection::vec(prop::option::of("[^\0]{0,9}"), 0..6),
        ) {
            let parameters: Vec<Option<bytes::Bytes>> =
                values.iter().map(|value| value.clone().map(bytes::Bytes::from)).collect();
            let message = Bind::new(Some(portal.clone()), Some(statement.clone()), vec![0], parameters.clone(), vec![1, 0]);
            let mut body = BytesMut::new();
            message.encode_body(&mut body).expect("encodes");
            match decode(b'B', body) {
                Ok(Request::Bind { portal: p, statement: s, parameters: got, result_formats }) => {
                    prop_assert_eq!((p, s), (portal, statement));
                    prop_assert_eq!(got.into_iter().map(|one| one.value).collect::<Vec<_>>(), parameters);
                    prop_assert_eq!(result_formats, vec![Format::Binary, Format::Text]);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
