//! Rows: compact, decoded column by column.
//!
//! ```text
//!   01   column count (varint)   null bitmap (a bit a column, set = NULL)   values of the others, in order
//! ```
//! Fixed types take their width, little endian; others a varint length and bytes. Columns that were added after the row
//! was written are missing at its end and take the table's stored default. Decoding slices the row: text is not copied.
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::sync::Arc;
use trivet_types::numeric::Numeric;
use trivet_types::user::{is_enum, is_row};
use trivet_types::{
    Array, Datum, Dimension, EnumValue, Interval, Oid, PgError, Record, RecordShape, Text, TimeTz, oid, sqlstate,
};

const FORMAT: u8 = 1;

/// Stored bytes that are not what was written.
#[derive(Debug, thiserror::Error)]
#[error("a stored row is damaged: {0}")]
pub struct Damaged(pub &'static str);

impl From<Damaged> for Box<PgError> {
    fn from(damaged: Damaged) -> Box<PgError> {
        PgError::new(sqlstate::DATA_CORRUPTED, damaged.to_string())
    }
}

fn put_varint(mut value: u64, out: &mut BytesMut) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn take_varint(from: &mut &[u8]) -> Result<u64, Damaged> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = from.split_first().ok_or(Damaged("a length is cut"))?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Damaged("a length is too long"))
}

/// Append a value in its stored form. No NULL, array or record: these are the affair of whoever holds them.
pub(crate) fn put_stored(datum: &Datum, out: &mut BytesMut) {
    put_value(datum, out);
}

/// The next value in its stored form, out of `row`, whose end `rest` is.
pub(crate) fn take_stored(type_oid: Oid, rest: &mut &[u8], row: &Bytes) -> Result<Datum, Damaged> {
    let length = match form(type_oid) {
        Form::Fixed(width) => width,
        Form::Variable => take_varint(rest)? as usize,
    };
    if length > rest.len() {
        return Err(Damaged("a value is cut"));
    }
    let (bytes, after) = rest.split_at(length);
    *rest = after;
    value(type_oid, bytes, row, 0)
}

/// How a column is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Fixed(usize),
    Variable,
}

fn form(type_oid: Oid) -> Form {
    match type_oid {
        oid::BOOL | oid::CHAR => Form::Fixed(1),
        oid::INT2 => Form::Fixed(2),
        oid::INT4 | oid::FLOAT4 | oid::DATE | oid::OID | oid::XID | oid::CID => Form::Fixed(4),
        oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGROLE | oid::REGNAMESPACE => Form::Fixed(4),
        oid::REGPROCEDURE | oid::REGOPER | oid::REGOPERATOR => Form::Fixed(4),
        oid::INT8 | oid::FLOAT8 | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::XID8 => Form::Fixed(8),
        oid::TIMETZ => Form::Fixed(12),
        oid::INTERVAL | oid::UUID => Form::Fixed(16),
        _ if is_enum(type_oid) => Form::Fixed(8),
        _ => Form::Variable,
    }
}

fn put_value(datum: &Datum, out: &mut BytesMut) {
    match datum {
        Datum::Null => unreachable!("NULL is in the bitmap"),
        Datum::Bool(value) => out.put_u8(u8::from(*value)),
        Datum::Char(value) => out.put_u8(*value),
        Datum::Int2(value) => out.put_i16_le(*value),
        Datum::Int4(value) | Datum::Date(value) => out.put_i32_le(*value),
        Datum::Oid(value) => out.put_u32_le(*value),
        Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value) => out.put_i64_le(*value),
        Datum::Float4(value) => out.put_f32_le(*value),
        Datum::Float8(value) => out.put_f64_le(*value),
        Datum::TimeTz(value) => {
            out.put_i64_le(value.microseconds);
            out.put_i32_le(value.west);
        }
        Datum::Interval(value) => {
            out.put_i64_le(value.microseconds);
            out.put_i32_le(value.days);
            out.put_i32_le(value.months);
        }
        Datum::Uuid(value) => out.put_slice(value),
        Datum::Enum(value) => out.put_i64_le(value.position),
        Datum::Text(value) => {
            put_varint(value.len() as u64, out);
            out.put_slice(value.as_bytes());
        }
        Datum::Bytea(value) => {
            put_varint(value.len() as u64, out);
            out.put_slice(value);
        }
        Datum::Numeric(_) | Datum::Array(_) | Datum::Record(_) => {
            let mut bytes = BytesMut::new();
            put_compound(datum, &mut bytes);
            put_varint(bytes.len() as u64, out);
            out.put_slice(&bytes);
        }
    }
}

/// numeric: class, scale, magnitude. Array: element type, dimensions, then a row of its values. Record: the fields' types and names,
/// then a row of them, so that reading one takes no catalog.
fn put_compound(datum: &Datum, out: &mut BytesMut) {
    match datum {
        Datum::Numeric(value) => match value.as_ref() {
            Numeric::Finite { unscaled, scale } => {
                let (sign, magnitude) = unscaled.to_bytes_le();
                out.put_u8(u8::from(sign == num_bigint::Sign::Minus));
                put_varint(u64::from(*scale), out);
                out.put_slice(&magnitude);
            }
            Numeric::NaN => out.put_u8(2),
            Numeric::PositiveInfinity => out.put_u8(3),
            Numeric::NegativeInfinity => out.put_u8(4),
        },
        Datum::Array(array) => {
            out.put_u32_le(array.element.0);
            put_varint(array.dimensions.len() as u64, out);
            for dimension in &array.dimensions {
                put_varint(dimension.length as u64, out);
                out.put_i32_le(dimension.lower);
            }
            encode_row(&array.values, out);
        }
        Datum::Record(record) => {
            put_varint(record.len() as u64, out);
            for at in 0..record.len() {
                let shape = record.shape();
                let type_oid = shape.and_then(|shape| shape.types.get(at)).copied().unwrap_or(oid::TEXT);
                let name = shape.and_then(|shape| shape.names.get(at)).map_or("", String::as_str);
                out.put_u32_le(type_oid.0);
                put_varint(name.len() as u64, out);
                out.put_slice(name.as_bytes());
            }
            let fields: Vec<Datum> = record.iter().cloned().collect();
            encode_row(&fields, out);
        }
        _ => {}
    }
}

/// Append a row.
pub fn encode_row(values: &[Datum], out: &mut BytesMut) {
    out.put_u8(FORMAT);
    put_varint(values.len() as u64, out);
    let bitmap = out.len();
    out.put_bytes(0, values.len().div_ceil(8));
    for (at, value) in values.iter().enumerate() {
        if value.is_null() {
            out[bitmap + at / 8] |= 1 << (at % 8);
        } else {
            put_value(value, out);
        }
    }
}

/// Rows and arrays within one another: composite types do not nest as deep (`define/composite.rs`), and what is damaged must not
/// exhaust the stack.
const DEPTH_MAX: usize = 128;

/// A row's columns, one after the other.
#[derive(Debug)]
pub struct RowDecoder<'a> {
    row: &'a Bytes,
    bitmap: &'a [u8],
    rest: &'a [u8],
    count: usize,
    next: usize,
    /// Values around this row.
    depth: usize,
}

impl<'a> RowDecoder<'a> {
    pub fn new(row: &'a Bytes) -> Result<RowDecoder<'a>, Damaged> {
        let (format, mut rest) = row.split_first().ok_or(Damaged("it is empty"))?;
        if *format != FORMAT {
            return Err(Damaged("its format is unknown"));
        }
        let count = take_varint(&mut rest)? as usize;
        // A bitmap byte holds eight columns, which bounds what the count may claim.
        if count.div_ceil(8) > rest.len() {
            return Err(Damaged("its null bitmap is cut"));
        }
        let (bitmap, rest) = rest.split_at(count.div_ceil(8));
        Ok(RowDecoder { row, bitmap, rest, count, next: 0, depth: 0 })
    }

    /// The row within a value.
    fn within(row: &'a Bytes, depth: usize) -> Result<RowDecoder<'a>, Damaged> {
        if depth > DEPTH_MAX {
            return Err(Damaged("values stand too deep in values"));
        }
        Ok(RowDecoder { depth, ..RowDecoder::new(row)? })
    }

    /// Columns that the row holds.
    pub fn count(&self) -> usize {
        self.count
    }

    fn take(&mut self, type_oid: Oid) -> Result<Option<&'a [u8]>, Damaged> {
        let at = self.next;
        self.next += 1;
        if at >= self.count || self.bitmap[at / 8] & 1 << (at % 8) != 0 {
            return Ok(None);
        }
        let length = match form(type_oid) {
            Form::Fixed(width) => width,
            Form::Variable => take_varint(&mut self.rest)? as usize,
        };
        if length > self.rest.len() {
            return Err(Damaged("a value is cut"));
        }
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(Some(value))
    }

    pub fn skip(&mut self, type_oid: Oid) -> Result<(), Damaged> {
        self.take(type_oid).map(|_| ())
    }

    /// The next column; NULL past the row's end.
    pub fn column(&mut self, type_oid: Oid) -> Result<Datum, Damaged> {
        match self.take(type_oid)? {
            None => Ok(Datum::Null),
            Some(bytes) => value(type_oid, bytes, self.row, self.depth),
        }
    }
}

fn value(type_oid: Oid, mut bytes: &[u8], row: &Bytes, depth: usize) -> Result<Datum, Damaged> {
    Ok(match type_oid {
        oid::BOOL => Datum::Bool(bytes[0] != 0),
        oid::CHAR => Datum::Char(bytes[0]),
        oid::INT2 => Datum::Int2(bytes.get_i16_le()),
        oid::INT4 => Datum::Int4(bytes.get_i32_le()),
        oid::DATE => Datum::Date(bytes.get_i32_le()),
        oid::INT8 | oid::XID8 => Datum::Int8(bytes.get_i64_le()),
        oid::TIME => Datum::Time(bytes.get_i64_le()),
        oid::TIMETZ => Datum::TimeTz(TimeTz { microseconds: bytes.get_i64_le(), west: bytes.get_i32_le() }),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => Datum::Timestamp(bytes.get_i64_le()),
        oid::FLOAT4 => Datum::Float4(bytes.get_f32_le()),
        oid::FLOAT8 => Datum::Float8(bytes.get_f64_le()),
        oid::INTERVAL => Datum::Interval(Interval {
            microseconds: bytes.get_i64_le(),
            days: bytes.get_i32_le(),
            months: bytes.get_i32_le(),
        }),
        oid::UUID => Datum::Uuid(bytes.try_into().map_err(|_| Damaged("a uuid is not 16 bytes"))?),
        oid::BYTEA => Datum::Bytea(row.slice_ref(bytes)),
        _ if is_enum(type_oid) => Datum::Enum(EnumValue { type_oid, position: bytes.get_i64_le() }),
        _ if is_row(type_oid) => Datum::Record(record(row.slice_ref(bytes), depth + 1)?),
        oid::NUMERIC => Datum::numeric(numeric(bytes)?),
        _ if form(type_oid) == Form::Fixed(4) => Datum::Oid(bytes.get_u32_le()),
        _ if trivet_types::element_of(type_oid).is_some() && type_oid != oid::NAME => {
            Datum::Array(Arc::new(array(row.slice_ref(bytes), depth + 1)?))
        }
        _ => Datum::Text(Text::from_utf8(row.slice_ref(bytes)).ok_or(Damaged("text is not UTF-8"))?),
    })
}

fn numeric(mut bytes: &[u8]) -> Result<Numeric, Damaged> {
    let (class, rest) = bytes.split_first().ok_or(Damaged("a numeric is empty"))?;
    bytes = rest;
    let sign = match class {
        0 => num_bigint::Sign::Plus,
        1 => num_bigint::Sign::Minus,
        2 => return Ok(Numeric::NaN),
        3 => return Ok(Numeric::PositiveInfinity),
        4 => return Ok(Numeric::NegativeInfinity),
        _ => return Err(Damaged("a numeric's class is unknown")),
    };
    let scale = u32::try_from(take_varint(&mut bytes)?).map_err(|_| Damaged("a numeric's scale"))?;
    Ok(Numeric::new(num_bigint::BigInt::from_bytes_le(sign, bytes), scale))
}

fn record(bytes: Bytes, depth: usize) -> Result<Record, Damaged> {
    let mut rest = &bytes[..];
    let count = take_varint(&mut rest)? as usize;
    if count > rest.len() {
        return Err(Damaged("a record is cut"));
    }
    let (mut names, mut types) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        if rest.len() < 4 {
            return Err(Damaged("a record is cut"));
        }
        let type_oid = Oid(rest.get_u32_le());
        types.push(type_oid);
        let length = take_varint(&mut rest)? as usize;
        if length > rest.len() {
            return Err(Damaged("a field's name is cut"));
        }
        let (name, after) = rest.split_at(length);
        rest = after;
        names.push(String::from_utf8(name.to_vec()).map_err(|_| Damaged("a field's name is not UTF-8"))?);
    }
    let row = bytes.slice_ref(rest);
    let mut decoder = RowDecoder::within(&row, depth)?;
    let values = types.iter().map(|type_oid| decoder.column(*type_oid)).collect::<Result<Vec<_>, _>>()?;
    Ok(Record::with_shape(values, Arc::new(RecordShape { names, types })))
}

fn array(bytes: Bytes, depth: usize) -> Result<Array, Damaged> {
    let mut rest = &bytes[..];
    if rest.len() < 4 {
        return Err(Damaged("an array is cut"));
    }
    let element = Oid(rest.get_u32_le());
    let dimension_count = take_varint(&mut rest)?;
    if dimension_count > 6 {
        return Err(Damaged("an array has too many dimensions"));
    }
    let mut dimensions = Vec::new();
    for _ in 0..dimension_count {
        let length = take_varint(&mut rest)? as usize;
        if rest.len() < 4 {
            return Err(Damaged("an array is cut"));
        }
        dimensions.push(Dimension { length, lower: rest.get_i32_le() });
    }
    // An array's elements are no arrays themselves.
    if trivet_types::is_array(element) {
        return Err(Damaged("an array of arrays"));
    }
    let values = bytes.slice_ref(rest);
    let mut decoder = RowDecoder::within(&values, depth)?;
    let values = (0..decoder.count()).map(|_| decoder.column(element)).collect::<Result<Vec<_>, _>>()?;
    Ok(Array { element, dimensions, values })
}

/// All columns of the given types.
pub fn decode_row(row: &Bytes, types: &[Oid]) -> Result<Vec<Datum>, Damaged> {
    let mut decoder = RowDecoder::new(row)?;
    types.iter().map(|type_oid| decoder.column(*type_oid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trivet_types::{NoEnvironment, text};

    #[test]
    fn rows_survive() {
        let columns = [
            (oid::INT4, "-5"),
            (oid::TEXT, "h\u{e9}llo"),
            (oid::NUMERIC, "-123456789.50"),
            (oid::BOOL, "t"),
            (oid::TIMESTAMPTZ, "2024-01-01 00:00:00+00"),
            (oid::INT4_ARRAY, "{1,NULL,3}"),
            (oid::BYTEA, "\\x0001"),
            (oid::INTERVAL, "1 mon 2 days"),
            (oid::NAME, "abc"),
            (oid::CHAR, "x"),
            (oid::TIMETZ, "04:05:06.7-03:30"),
            (oid::VARBIT, "10100"),
        ];
        let environment = NoEnvironment::default();
        let mut values: Vec<Datum> =
            columns.iter().map(|(oid, text)| text::input(*oid, -1, text, &environment).expect(text)).collect();
        values.push(Datum::Null);
        let mut types: Vec<Oid> = columns.iter().map(|(oid, _)| *oid).collect();
        types.push(oid::FLOAT8);
        let mut out = BytesMut::new();
        encode_row(&values, &mut out);
        let row = out.freeze();
        assert_eq!(decode_row(&row, &types).expect("what was written"), values);
        // A column that was added later is missing.
        types.push(oid::INT8);
        assert_eq!(decode_row(&row, &types).expect("what was written").last(), Some(&Datum::Null));
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_errors_not_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut framed = vec![FORMAT];
            framed.extend(bytes);
            let types = [oid::INT4, oid::TEXT, oid::NUMERIC, oid::INT4_ARRAY, oid::UUID, oid::BOOL];
            let _ = decode_row(&Bytes::from(framed), &types);
        }
    }
}
