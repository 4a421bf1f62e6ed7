//! Memory-comparable column values: byte order is SQL's order, and equal values have equal bytes.
//!
//! A column starts with a marker: 01 a value, 02 NULL (so NULLs come last). A descending column has all its bytes
//! flipped, marker included (so NULLs come first). No column's bytes are a prefix of another value's of that column.
//!
//! ```text
//!   integers, enums ...   big endian, sign bit flipped
//!   floats                sign-magnitude turned into that order; -0 is 0, NaN is the largest
//!   text, bytea           bytes with 00 written 00 FF, ended by 00 01; character(n) without blanks at its end
//!   numeric               class (below zero, zero, above ...), exponent, two decimal digits a byte, ended by 00
//!   timetz                its moment in Greenwich, seconds west
//!   interval              its length, 16 bytes
//!   jsonb                 type, then containers by count and part by part, scalars as above
//!   array                 elements as columns, ended by 00; then dimension count
//! ```
use bytes::{BufMut, BytesMut};
use trivet_types::json::Json;
use trivet_types::numeric::Numeric;
use trivet_types::{Datum, Oid, interval_length, oid, trim_blanks};

const VALUE: u8 = 1;
const NULL: u8 = 2;

/// One end of a range over an index: columns that are equal, then maybe a bound on the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBound {
    pub bytes: bytes::Bytes,
}

/// The smallest key that is greater than every key with this prefix; empty if there is none.
pub fn prefix_end(prefix: &[u8]) -> bytes::Bytes {
    let mut end = BytesMut::from(prefix);
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end.freeze();
        }
        end.truncate(end.len() - 1);
    }
    bytes::Bytes::new()
}

/// Append one column of an index key.
pub fn encode_column(type_oid: Oid, datum: &Datum, descending: bool, out: &mut BytesMut) {
    let start = out.len();
    if datum.is_null() {
        out.put_u8(NULL);
    } else {
        out.put_u8(VALUE);
        encode_value(type_oid, datum, out);
    }
    if descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

fn put_float(value: f64, out: &mut BytesMut) {
    let canonical = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
    let bits = canonical.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.put_u64(ordered);
}

fn put_escaped(bytes: &[u8], out: &mut BytesMut) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == 0) {
        out.put_slice(&rest[..at]);
        out.put_slice(&[0, 0xff]);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
    out.put_slice(&[0, 1]);
}

fn encode_value(type_oid: Oid, datum: &Datum, out: &mut BytesMut) {
    match datum {
        Datum::Null => unreachable!("a NULL has only its marker"),
        Datum::Bool(value) => out.put_u8(u8::from(*value)),
        Datum::Char(value) => out.put_u8(*value),
        Datum::Int2(value) => out.put_u16(*value as u16 ^ 1 << 15),
        Datum::Int4(value) | Datum::Date(value) => out.put_u32(*value as u32 ^ 1 << 31),
        Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value) => out.put_u64(*value as u64 ^ 1 << 63),
        Datum::Oid(value) => out.put_u32(*value),
        Datum::Float4(value) => put_float(f64::from(*value), out),
        Datum::Float8(value) => put_float(*value, out),
        Datum::Numeric(value) => encode_numeric(value, out),
        Datum::Text(value) if type_oid == oid::BPCHAR => put_escaped(trim_blanks(value).as_bytes(), out),
        Datum::Text(value) if type_oid == oid::JSONB => match Json::of_stored(value) {
            Ok(json) => encode_json(&json, true, out),
            Err(_) => put_escaped(value.as_bytes(), out),
        },
        Datum::Text(value) => put_escaped(value.as_bytes(), out),
        Datum::Bytea(value) => put_escaped(value, out),
        Datum::TimeTz(value) => {
            out.put_u64(value.greenwich() as u64 ^ 1 << 63);
            out.put_u32(value.west as u32 ^ 1 << 31);
        }
        Datum::Interval(value) => out.put_u128(interval_length(value) as u128 ^ 1 << 127),
        Datum::Uuid(value) => out.put_slice(value),
        Datum::Enum(value) => out.put_u64(value.position as u64 ^ 1 << 63),
        Datum::Array(array) => {
            array.values.iter().for_each(|value| encode_column(array.element, value, false, out));
            out.put_u8(0);
            out.put_u8(array.dimensions.len() as u8);
        }
        Datum::Record(values) => {
            values.iter().enumerate().for_each(|(at, value)| encode_column(values.field_type(at), value, false, out));
            out.put_u8(0);
        }
    }
}

/// btree's order of `jsonb`: by type, containers by size first. On top scalars lie between an empty array and others.
fn encode_json(json: &Json, top: bool, out: &mut BytesMut) {
    if top {
        out.put_u8(match json {
            Json::Array(items) if items.is_empty() => 1,
            Json::Array(_) => 3,
            Json::Object(_) => 4,
            _ => 2,
        });
    }
    match json {
        Json::Null => out.put_u8(1),
        Json::String(text) => {
            out.put_u8(2);
            put_escaped(text.as_bytes(), out);
        }
        Json::Number(value) => {
            out.put_u8(3);
            encode_numeric(value, out);
        }
        Json::Bool(value) => out.put_slice(&[4, u8::from(*value)]),
        Json::Array(items) => {
            out.put_u8(5);
            out.put_u32(items.len() as u32);
            items.iter().for_each(|item| encode_json(item, false, out));
        }
        Json::Object(pairs) => {
            out.put_u8(6);
            out.put_u32(pairs.len() as u32);
            for (key, value) in pairs {
                put_escaped(key.as_bytes(), out);
                encode_json(value, false, out);
            }
        }
    }
}

const NEGATIVE_INFINITY: u8 = 1;
const BELOW_ZERO: u8 = 2;
const ZERO: u8 = 3;
const ABOVE_ZERO: u8 = 4;
const POSITIVE_INFINITY: u8 = 5;
const NOT_A_NUMBER: u8 = 6;

/// 0.d1d2... times 100^exponent; pairs of digits are stored plus one, so that the end marker 00 is below them all.
fn encode_numeric(value: &Numeric, out: &mut BytesMut) {
    let Some((sign, digits, scale)) = value.parts() else {
        out.put_u8(match value {
            Numeric::NaN => NOT_A_NUMBER,
            Numeric::PositiveInfinity => POSITIVE_INFINITY,
            _ => NEGATIVE_INFINITY,
        });
        return;
    };
    if value.is_zero() {
        out.put_u8(ZERO);
        return;
    }
    let negative = sign == num_bigint::Sign::Minus;
    out.put_u8(if negative { BELOW_ZERO } else { ABOVE_ZERO });
    let start = out.len();
    // Digits before the point, rounded up to whole pairs.
    let before = digits.len() as i64 - i64::from(scale);
    let exponent = (before + 1).div_euclid(2);
    let padded = if before.rem_euclid(2) == 1 { format!("0{digits}") } else { digits };
    let significant = padded.trim_end_matches('0');
    out.put_u32((exponent as i32) as u32 ^ 1 << 31);
    for pair in significant.as_bytes().chunks(2) {
        let low = pair.get(1).map_or(0, |digit| digit - b'0');
        out.put_u8((pair[0] - b'0') * 10 + low + 1);
    }
    out.put_u8(0);
    if negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_types::{NoEnvironment, compare, text};

    fn encoded(type_oid: Oid, datum: &Datum, descending: bool) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode_column(type_oid, datum, descending, &mut out);
        out.to_vec()
    }

    #[test]
    fn byte_order_is_sql_order() {
        let cases: &[(Oid, &[&str])] = &[
            (oid::INT4, &["-2147483648", "-1", "0", "1", "2147483647"]),
            (oid::INT8, &["-9223372036854775808", "-256", "255", "256"]),
            (oid::FLOAT8, &["-Infinity", "-1.5", "-0", "0", "1e-300", "2", "Infinity", "NaN"]),
            (oid::TEXT, &["", "a", "a\u{1}", "aa", "b", "\u{e9}"]),
            (oid::BPCHAR, &["a", "a  ", "b "]),
            (
                oid::NUMERIC,
                &[
                    "-Infinity",
                    "-100",
                    "-99.9",
                    "-1",
                    "-0.01",
                    "0",
                    "0.00",
                    "0.001",
                    "0.01",
                    "0.1",
                    "1",
                    "1.00",
                    "1.01",
                    "9",
                    "10",
                    "99",
                    "100",
                    "12345678901234567890",
                    "Infinity",
                    "NaN",
                ],
            ),
            (oid::VARBIT, &["", "0", "00", "01", "1", "10", "101", "11"]),
            (oid::TIMETZ, &["00:00:00+15", "10:00:00+02", "09:00:00+01", "10:00:00+01", "24:00:00-15"]),
            (oid::BYTEA, &["\\x", "\\x00", "\\x0000", "\\x0001", "\\x01"]),
            (oid::BOOL, &["f", "t"]),
            (oid::INTERVAL, &["-1 day", "00:00:01", "23:59:59", "1 day", "24:00:00", "1 mon"]),
            (oid::TIMESTAMPTZ, &["-infinity", "1999-01-01", "2024-01-01", "infinity"]),
            (oid::TEXT_ARRAY, &["{}", "{a}", "{a,b}", "{b}"]),
        ];
        let environment = NoEnvironment::default();
        for (type_oid, texts) in cases {
            let mut values: Vec<Datum> =
                texts.iter().map(|text| text::input(*type_oid, -1, text, &environment).expect(text)).collect();
            values.push(Datum::Null);
            for left in &values {
                for right in &values {
                    let wanted = compare(*type_oid, left, right);
                    assert_eq!(
                        encoded(*type_oid, left, false).cmp(&encoded(*type_oid, right, false)),
                        wanted,
                        "{left:?} {right:?}"
                    );
                    assert_eq!(encoded(*type_oid, right, true).cmp(&encoded(*type_oid, left, true)), wanted);
                }
            }
        }
    }

    #[test]
    fn prefix_ends() {
        assert_eq!(&prefix_end(&[1, 2])[..], &[1, 3]);
        assert_eq!(&prefix_end(&[1, 0xff])[..], &[2]);
        assert!(prefix_end(&[0xff]).is_empty());
    }
}
