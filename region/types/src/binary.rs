//! Binary forms of values, as the extended protocol carries them (network byte order).
use crate::datum::{Array, Datum, Dimension, Interval, TimeTz};
use crate::environment::Environment;
use crate::error::{PgError, PgResult, sqlstate};
use crate::numeric::Numeric;
use crate::{Oid, Text, display_name, element_of, is_array, json, oid};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The one byte before the text of a `jsonb` or a `jsonpath`.
const JSONB_VERSION: u8 = 1;

fn bad() -> Box<PgError> {
    PgError::new(sqlstate::INVALID_BINARY_REPRESENTATION, "incorrect binary data format")
}

fn exact<const N: usize>(bytes: &[u8]) -> PgResult<[u8; N]> {
    bytes.try_into().map_err(|_| bad())
}

/// With the bytes where it begins to be wrong, as many as the first of them promises.
fn invalid_utf8(bytes: &[u8]) -> Box<PgError> {
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |_| bytes.len());
    let wrong = bytes[..valid].iter().position(|byte| *byte == 0).unwrap_or(valid);
    let length = match bytes.get(wrong) {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf7) => 4,
        _ => 1,
    };
    let shown: Vec<String> = bytes[wrong..].iter().take(length).map(|byte| format!("0x{byte:02x}")).collect();
    let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
    PgError::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message)
}

fn utf8(bytes: Bytes) -> PgResult<Text> {
    match Text::from_utf8(bytes.clone()) {
        Some(text) if !text.contains('\0') => Ok(text),
        _ => Err(invalid_utf8(&bytes)),
    }
}

/// Read a value as a client sent it.
pub fn input(oid: Oid, bytes: Bytes, environment: &dyn Environment) -> PgResult<Datum> {
    Ok(match oid {
        oid::BOOL => Datum::Bool(exact::<1>(&bytes)?[0] != 0),
        oid::CHAR => Datum::Char(exact::<1>(&bytes)?[0]),
        oid::INT2 => Datum::Int2(i16::from_be_bytes(exact(&bytes)?)),
        oid::INT4 => Datum::Int4(i32::from_be_bytes(exact(&bytes)?)),
        oid::INT8 | oid::XID8 => Datum::Int8(i64::from_be_bytes(exact(&bytes)?)),
        oid::OID
        | oid::XID
        | oid::CID
        | oid::REGCLASS
        | oid::REGTYPE
        | oid::REGPROC
        | oid::REGPROCEDURE
        | oid::REGOPER
        | oid::REGOPERATOR
        | oid::REGROLE
        | oid::REGNAMESPACE => Datum::Oid(u32::from_be_bytes(exact(&bytes)?)),
        oid::FLOAT4 => Datum::Float4(f32::from_be_bytes(exact(&bytes)?)),
        oid::FLOAT8 => Datum::Float8(f64::from_be_bytes(exact(&bytes)?)),
        oid::NUMERIC => Datum::numeric(numeric_input(&bytes)?),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN | oid::CSTRING => Datum::Text(utf8(bytes)?),
        oid::JSON => {
            let text = utf8(bytes)?;
            json::parse(&text, false)?;
            Datum::Text(text)
        }
        oid::JSONB => {
            let (version, rest) = bytes.split_first().ok_or_else(bad)?;
            if *version != JSONB_VERSION {
                return Err(PgError::internal(format!("unsupported jsonb version number {version}")));
            }
            let text = utf8(bytes.slice_ref(rest))?;
            Datum::text(json::Json::parse(&text)?.to_string())
        }
        oid::JSONPATH => {
            let (version, rest) = bytes.split_first().ok_or_else(bad)?;
            if *version != JSONB_VERSION {
                return Err(PgError::internal(format!("unsupported jsonpath version number: {version}")));
            }
            Datum::text(json::path::Path::parse(&utf8(bytes.slice_ref(rest))?)?.to_string())
        }
        oid::BYTEA => Datum::Bytea(bytes),
        oid::DATE => Datum::Date(i32::from_be_bytes(exact(&bytes)?)),
        oid::TIME => {
            let time = i64::from_be_bytes(exact(&bytes)?);
            if !(0..=crate::datetime::MICROSECONDS_PER_DAY).contains(&time) {
                return Err(PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "time out of range"));
            }
            Datum::Time(time)
        }
        oid::TIMETZ => {
            let mut rest = &exact::<12>(&bytes)?[..];
            let value = TimeTz { microseconds: rest.get_i64(), west: rest.get_i32() };
            if !(0..=crate::datetime::MICROSECONDS_PER_DAY).contains(&value.microseconds) {
                return Err(PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "time out of range"));
            }
            if value.west.unsigned_abs() >= 16 * 3600 {
                let code = crate::error::SqlState(*b"22009");
                return Err(PgError::new(code, "time zone displacement out of range"));
            }
            Datum::TimeTz(value)
        }
        oid::BIT | oid::VARBIT => Datum::text(bits_input(&bytes)?),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            let timestamp = i64::from_be_bytes(exact(&bytes)?);
            if !crate::datetime::is_infinite_timestamp(timestamp) {
                crate::datetime::checked_timestamp(i128::from(timestamp))?;
            }
            Datum::Timestamp(timestamp)
        }
        oid::INTERVAL => {
            let mut rest = &exact::<16>(&bytes)?[..];
            Datum::Interval(Interval { microseconds: rest.get_i64(), days: rest.get_i32(), months: rest.get_i32() })
        }
        oid::UUID => Datum::Uuid(exact(&bytes)?),
        oid::INT2VECTOR => Datum::array(array_input(oid::INT2, bytes, environment)?),
        oid::OIDVECTOR => Datum::array(array_input(oid::OID, bytes, environment)?),
        _ if crate::user::is_enum(oid) => {
            let label = utf8(bytes)?;
            crate::text::input(oid, -1, &label, environment)?
        }
        _ if is_array(oid) => {
            let element = element_of(oid).expect("a true array has an element type");
            Datum::array(array_input(element, bytes, environment)?)
        }
        _ => {
            let message = format!("no binary input function available for type {}", display_name(oid, -1));
            return Err(PgError::new(sqlstate::UNDEFINED_FUNCTION, message));
        }
    })
}

/// Append a value's bytes, without a length. NULL writes nothing.
pub fn output(oid: Oid, datum: &Datum, environment: &dyn Environment, out: &mut BytesMut) {
    match datum {
        Datum::Null => {}
        Datum::Bool(value) => out.put_u8(u8::from(*value)),
        Datum::Char(value) => out.put_u8(*value),
        Datum::Int2(value) => out.put_i16(*value),
        Datum::Int4(value) => out.put_i32(*value),
        Datum::Int8(value) => out.put_i64(*value),
        Datum::Oid(value) => out.put_u32(*value),
        Datum::Float4(value) => out.put_f32(*value),
        Datum::Float8(value) => out.put_f64(*value),
        Datum::Numeric(value) => numeric_output(value, out),
        Datum::Text(value) if matches!(oid, oid::BIT | oid::VARBIT) => bits_output(value, out),
        Datum::Text(value) => {
            if matches!(oid, oid::JSONB | oid::JSONPATH) {
                out.put_u8(JSONB_VERSION);
            }
            out.put_slice(value.as_bytes());
        }
        Datum::Bytea(value) => out.put_slice(value),
        Datum::Date(value) => out.put_i32(*value),
        Datum::Time(value) | Datum::Timestamp(value) => out.put_i64(*value),
        Datum::TimeTz(value) => {
            out.put_i64(value.microseconds);
            out.put_i32(value.west);
        }
        Datum::Interval(value) => {
            out.put_i64(value.microseconds);
            out.put_i32(value.days);
            out.put_i32(value.months);
        }
        Datum::Uuid(value) => out.put_slice(value),
        Datum::Enum(value) => {
            out.put_slice(crate::user::label_text(*value, environment.user_types()).as_bytes());
        }
        Datum::Array(value) => array_output(value, environment, out),
        Datum::Record(values) => {
            out.put_i32(values.len() as i32);
            for (at, value) in values.iter().enumerate() {
                let field = match values.field_type(at) {
                    oid::UNKNOWN => oid::TEXT,
                    known => known,
                };
                out.put_u32(field.0);
                put_sized(field, value, environment, out);
            }
        }
    }
}

fn put_sized(oid: Oid, datum: &Datum, environment: &dyn Environment, out: &mut BytesMut) {
    if datum.is_null() {
        out.put_i32(-1);
        return;
    }
    let at = out.len();
    out.put_i32(0);
    output(oid, datum, environment, out);
    let length = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Elements are never arrays themselves, so this does not nest.
fn array_input(expected: Oid, mut bytes: Bytes, environment: &dyn Environment) -> PgResult<Array> {
    if bytes.len() < 12 {
        return Err(bad());
    }
    let dimension_count = bytes.get_i32();
    bytes.advance(4);
    let element = Oid(bytes.get_u32());
    if element != expected {
        return Err(PgError::new(sqlstate::DATATYPE_MISMATCH, "wrong element type"));
    }
    if !(0..=6).contains(&dimension_count) || bytes.len() < dimension_count as usize * 8 {
        return Err(bad());
    }
    let mut dimensions = Vec::with_capacity(dimension_count as usize);
    let mut total: usize = usize::from(dimension_count > 0);
    for _ in 0..dimension_count {
        let length = usize::try_from(bytes.get_i32()).map_err(|_| bad())?;
        total = total.checked_mul(length).ok_or_else(bad)?;
        let dimension = Dimension { length, lower: bytes.get_i32() };
        if !dimension.in_bounds() {
            let message = format!("array lower bound is too large: {}", dimension.lower);
            return Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
        dimensions.push(dimension);
    }
    // Each value takes four bytes at least, which bounds what the header may claim.
    if total > bytes.len() / 4 {
        return Err(bad());
    }
    let mut values = Vec::with_capacity(total);
    for _ in 0..total {
        if bytes.len() < 4 {
            return Err(bad());
        }
        let length = bytes.get_i32();
        if length < 0 {
            values.push(Datum::Null);
        } else if length as usize > bytes.len() {
            return Err(bad());
        } else {
            values.push(input(element, bytes.split_to(length as usize), environment)?);
        }
    }
    if !bytes.is_empty() {
        return Err(bad());
    }
    if values.is_empty() {
        dimensions.clear();
    }
    Ok(Array { element, dimensions, values })
}

fn array_output(array: &Array, environment: &dyn Environment, out: &mut BytesMut) {
    out.put_i32(array.dimensions.len() as i32);
    out.put_i32(i32::from(array.values.iter().any(Datum::is_null)));
    out.put_u32(array.element.0);
    for dimension in &array.dimensions {
        out.put_i32(dimension.length as i32);
        out.put_i32(dimension.lower);
    }
    for value in &array.values {
        put_sized(array.element, value, environment, out);
    }
}

/// Count of bits, then the bits from the left, the last byte filled up with zeros.
fn bits_input(bytes: &[u8]) -> PgResult<String> {
    let (count, packed) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
    let invalid = || PgError::new(sqlstate::INVALID_BINARY_REPRESENTATION, "invalid length in external bit string");
    let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| invalid())?;
    if packed.len() != count.div_ceil(8) {
        return Err(bad());
    }
    let bit = |at: usize| packed[at / 8] & 0x80 >> (at % 8) != 0;
    Ok((0..count).map(|at| if bit(at) { '1' } else { '0' }).collect())
}

fn bits_output(bits: &str, out: &mut BytesMut) {
    out.put_i32(bits.len() as i32);
    for chunk in bits.as_bytes().chunks(8) {
        let packed = chunk.iter().fold(0, |packed, bit| packed << 1 | u8::from(*bit == b'1'));
        out.put_u8(packed << (8 - chunk.len()));
    }
}

const NUMERIC_POSITIVE: u16 = 0x0000;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_NAN: u16 = 0xc000;
const NUMERIC_POSITIVE_INFINITY: u16 = 0xd000;
const NUMERIC_NEGATIVE_INFINITY: u16 = 0xf000;

/// Count of base-10000 digits, weight of the first, sign, display scale, digits.
fn numeric_input(bytes: &[u8]) -> PgResult<Numeric> {
    if bytes.len() < 8 {
        return Err(bad());
    }
    let mut rest = bytes;
    let count = rest.get_u16() as usize;
    let weight = i64::from(rest.get_i16());
    let sign = rest.get_u16();
    let scale = i64::from(rest.get_u16());
    if rest.len() != count * 2 || scale > i64::from(crate::numeric::SCALE_MAX) {
        return Err(bad());
    }
    match sign {
        NUMERIC_NAN => return Ok(Numeric::NaN),
        NUMERIC_POSITIVE_INFINITY => return Ok(Numeric::PositiveInfinity),
        NUMERIC_NEGATIVE_INFINITY => return Ok(Numeric::NegativeInfinity),
        NUMERIC_POSITIVE | NUMERIC_NEGATIVE => {}
        _ => return Err(bad()),
    }
    let mut digits = String::with_capacity(count * 4 + 1);
    if sign == NUMERIC_NEGATIVE {
        digits.push('-');
    }
    digits.push('0');
    for _ in 0..count {
        let digit = rest.get_u16();
        if digit > 9999 {
            return Err(bad());
        }
        digits.push_str(&format!("{digit:04}"));
    }
    // The digits are an integer times 10000^(weight - count + 1).
    digits.push_str(&format!("e{}", (weight - count as i64 + 1) * 4));
    let value = Numeric::parse(&digits).ok_or_else(bad)??;
    Ok(value.truncate(scale as i32))
}

fn numeric_output(value: &Numeric, out: &mut BytesMut) {
    let special = |sign: u16, out: &mut BytesMut| {
        out.put_u16(0);
        out.put_i16(0);
        out.put_u16(sign);
        // PostgreSQL's infinities come with a scale, of no meaning.
        out.put_u16(if sign == NUMERIC_NAN { 0 } else { 0x20 });
    };
    let Some((sign, digits, scale)) = value.parts() else {
        let sign = match value {
            Numeric::PositiveInfinity => NUMERIC_POSITIVE_INFINITY,
            Numeric::NegativeInfinity => NUMERIC_NEGATIVE_INFINITY,
            _ => NUMERIC_NAN,
        };
        return special(sign, out);
    };
    // Pad to groups of four on both sides of the point.
    let scale_digits = scale as usize;
    let mut padded = if digits.len() > scale_digits { digits } else { format!("{digits:0>0$}", scale_digits + 1) };
    let whole = padded.len() - scale_digits;
    let front = (4 - whole % 4) % 4;
    padded.insert_str(0, &"0".repeat(front));
    let back = (4 - scale_digits % 4) % 4;
    padded.push_str(&"0".repeat(back));
    let groups: Vec<u16> = padded
        .as_bytes()
        .chunks(4)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        .collect();
    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|group| *group != 0).map_or(first, |at| at + 1);
    let weight = ((whole + front) / 4) as i64 - 1 - first as i64;
    let kept = &groups[first..last];
    out.put_u16(kept.len() as u16);
    out.put_i16(if kept.is_empty() { 0 } else { weight as i16 });
    let negative = sign == num_bigint::Sign::Minus;
    out.put_u16(if negative { NUMERIC_NEGATIVE } else { NUMERIC_POSITIVE });
    out.put_u16(scale as u16);
    kept.iter().for_each(|group| out.put_u16(*group));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoEnvironment, text};

    #[test]
    fn values_survive_binary() {
        let cases = [
            (oid::INT4, "-5"),
            (oid::NUMERIC, "0"),
            (oid::NUMERIC, "-12345.6789"),
            (oid::NUMERIC, "0.00001"),
            (oid::NUMERIC, "100000000"),
            (oid::NUMERIC, "1.50"),
            (oid::NUMERIC, "NaN"),
            (oid::FLOAT8, "2.5"),
            (oid::TEXT_ARRAY, "{a,NULL}"),
            (oid::INTERVAL, "1 mon 2 days 03:00:00"),
            (oid::TIMETZ, "04:05:06.7-03:30"),
            (oid::VARBIT, "1010000011"),
            (oid::VARBIT, ""),
            (oid::BYTEA, "\\x00ff"),
            (oid::JSON, "{\"a\":  1}"),
            (oid::JSONB, "{\"a\": 1}"),
            (oid::JSONB_ARRAY, "{\"{\\\"a\\\": 1}\"}"),
        ];
        let environment = NoEnvironment::default();
        for (oid, text) in cases {
            let datum = text::input(oid, -1, text, &environment).expect(text);
            let mut bytes = BytesMut::new();
            output(oid, &datum, &environment, &mut bytes);
            let back = input(oid, bytes.freeze(), &environment).expect(text);
            assert_eq!(text::output(oid, &back, &environment).as_deref(), Some(text));
        }
    }

    #[test]
    fn lies_are_errors() {
        let environment = NoEnvironment::default();
        let array_claims_much = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1];
        assert!(input(oid::INT4_ARRAY, Bytes::copy_from_slice(&array_claims_much), &environment).is_err());
        assert!(input(oid::INT4, Bytes::from_static(b"abc"), &environment).is_err());
        assert!(input(oid::TEXT, Bytes::from_static(b"\xff"), &environment).is_err());
        assert!(input(oid::NUMERIC, Bytes::from_static(b"\0\x05\0\0\0\0\0\0"), &environment).is_err());
    }
}
