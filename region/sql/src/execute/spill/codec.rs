//! Rows in temporary files.
//!
//! ```text
//!   row     length (4, little endian)   count (4)   values
//!   value   kind (1)   then, by kind: nothing (NULL)
//!                                     stored form, as in stored rows (`layout::row`)
//!                                     array: element type (4), dimensions (4, each 8 + 4), values
//!                                     record: shape (4, + 1; 0: none), fields (4), values
//!                                     enum: type (4), position (8)
//! ```
//! Operators do not know the types of their rows, so each value says what it is: by the type whose stored form it has.
//! Such a file lives no longer than its statement in this process: its format may change with any build.
use crate::layout::{Damaged, put_stored, take_stored};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use std::sync::Arc;
use trivet_types::{Array, Datum, Dimension, EnumValue, Oid, Record, RecordShape, oid};

const NULL: u8 = 0;
const ARRAY: u8 = 1;
const RECORD: u8 = 2;
const ENUM: u8 = 3;
/// Kinds from here on are places in `FORMS`.
const FIRST_FORM: u8 = 4;

/// One type for each way in which a value is represented.
const FORMS: &[Oid] = &[
    oid::BOOL,
    oid::CHAR,
    oid::INT2,
    oid::INT4,
    oid::INT8,
    oid::OID,
    oid::FLOAT4,
    oid::FLOAT8,
    oid::NUMERIC,
    oid::TEXT,
    oid::BYTEA,
    oid::DATE,
    oid::TIME,
    oid::TIMETZ,
    oid::TIMESTAMP,
    oid::INTERVAL,
    oid::UUID,
];

fn form(datum: &Datum) -> Oid {
    match datum {
        Datum::Bool(_) => oid::BOOL,
        Datum::Char(_) => oid::CHAR,
        Datum::Int2(_) => oid::INT2,
        Datum::Int4(_) => oid::INT4,
        Datum::Int8(_) => oid::INT8,
        Datum::Oid(_) => oid::OID,
        Datum::Float4(_) => oid::FLOAT4,
        Datum::Float8(_) => oid::FLOAT8,
        Datum::Numeric(_) => oid::NUMERIC,
        Datum::Text(_) => oid::TEXT,
        Datum::Bytea(_) => oid::BYTEA,
        Datum::Date(_) => oid::DATE,
        Datum::Time(_) => oid::TIME,
        Datum::TimeTz(_) => oid::TIMETZ,
        Datum::Timestamp(_) => oid::TIMESTAMP,
        Datum::Interval(_) => oid::INTERVAL,
        Datum::Uuid(_) => oid::UUID,
        Datum::Null | Datum::Array(_) | Datum::Record(_) | Datum::Enum(_) => {
            unreachable!("these have kinds of their own")
        }
    }
}

/// The shapes of records in a file, by number.
pub(super) type Shapes = Arc<Mutex<Vec<Arc<RecordShape>>>>;

fn number_of(shape: &Arc<RecordShape>, shapes: &Shapes) -> u32 {
    let mut shapes = shapes.lock();
    let at = shapes.iter().position(|known| Arc::ptr_eq(known, shape)).unwrap_or_else(|| {
        shapes.push(Arc::clone(shape));
        shapes.len() - 1
    });
    at as u32 + 1
}

/// Append a row with its length.
pub(super) fn encode(row: &[Datum], shapes: &Shapes, out: &mut BytesMut) {
    let start = out.len();
    out.put_u32_le(0);
    out.put_u32_le(row.len() as u32);
    row.iter().for_each(|datum| put(datum, shapes, out));
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn put(datum: &Datum, shapes: &Shapes, out: &mut BytesMut) {
    match datum {
        Datum::Null => out.put_u8(NULL),
        Datum::Array(array) => {
            out.put_u8(ARRAY);
            out.put_u32_le(array.element.0);
            out.put_u32_le(array.dimensions.len() as u32);
            for dimension in &array.dimensions {
                out.put_u64_le(dimension.length as u64);
                out.put_i32_le(dimension.lower);
            }
            out.put_u32_le(array.values.len() as u32);
            array.values.iter().for_each(|value| put(value, shapes, out));
        }
        Datum::Record(record) => {
            out.put_u8(RECORD);
            out.put_u32_le(record.shape().map_or(0, |shape| number_of(shape, shapes)));
            out.put_u32_le(record.len() as u32);
            record.iter().for_each(|value| put(value, shapes, out));
        }
        Datum::Enum(value) => {
            out.put_u8(ENUM);
            out.put_u32_le(value.type_oid.0);
            out.put_i64_le(value.position);
        }
        datum => {
            let type_oid = form(datum);
            let at = FORMS.iter().position(|known| *known == type_oid).expect("every form is in the list");
            out.put_u8(FIRST_FORM + at as u8);
            put_stored(datum, out);
        }
    }
}

/// A row without its length. Its values keep `row` alive, and nothing more.
pub(super) fn decode(row: &Bytes, shapes: &Shapes) -> Result<Vec<Datum>, Damaged> {
    let mut rest = &row[..];
    let count = number(&mut rest)?;
    let mut values = Vec::with_capacity(count.min(row.len()));
    for _ in 0..count {
        values.push(take(&mut rest, row, shapes)?);
    }
    Ok(values)
}

fn number(rest: &mut &[u8]) -> Result<usize, Damaged> {
    if rest.len() < 4 {
        return Err(Damaged("a count is cut"));
    }
    Ok(rest.get_u32_le() as usize)
}

fn take(rest: &mut &[u8], row: &Bytes, shapes: &Shapes) -> Result<Datum, Damaged> {
    let (kind, after) = rest.split_first().ok_or(Damaged("a value is cut"))?;
    *rest = after;
    match *kind {
        NULL => Ok(Datum::Null),
        ARRAY => {
            let element = Oid(number(rest)? as u32);
            let mut dimensions = Vec::new();
            for _ in 0..number(rest)? {
                if rest.len() < 12 {
                    return Err(Damaged("a dimension is cut"));
                }
                dimensions.push(Dimension { length: rest.get_u64_le() as usize, lower: rest.get_i32_le() });
            }
            let mut values = Vec::new();
            for _ in 0..number(rest)? {
                values.push(take(rest, row, shapes)?);
            }
            Ok(Datum::array(Array { element, dimensions, values }))
        }
        RECORD => {
            let shape = number(rest)?;
            let mut values = Vec::new();
            for _ in 0..number(rest)? {
                values.push(take(rest, row, shapes)?);
            }
            if shape == 0 {
                return Ok(Datum::Record(values.into()));
            }
            let shape = shapes.lock().get(shape - 1).cloned().ok_or(Damaged("a record's shape is unknown"))?;
            Ok(Datum::Record(Record::with_shape(values, shape)))
        }
        ENUM => {
            let type_oid = Oid(number(rest)? as u32);
            if rest.len() < 8 {
                return Err(Damaged("an enum's position is cut"));
            }
            Ok(Datum::Enum(EnumValue { type_oid, position: rest.get_i64_le() }))
        }
        kind => {
            let at = usize::from(kind - FIRST_FORM);
            let type_oid = FORMS.get(at).ok_or(Damaged("a value's kind is unknown"))?;
            take_stored(*type_oid, rest, row)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_types::{Interval, NoEnvironment, text};

    #[test]
    fn rows_of_all_kinds_survive() {
        let environment = NoEnvironment::default();
        let of = |type_oid, given| text::input(type_oid, -1, given, &environment).expect(given);
        let shape = Arc::new(RecordShape { names: vec!["a".into()], types: vec![oid::INT4] });
        let row = vec![
            Datum::Null,
            Datum::Bool(true),
            Datum::Char(b'x'),
            Datum::Int2(-2),
            Datum::Int4(4),
            Datum::Int8(i64::MIN),
            Datum::Oid(7),
            Datum::Float4(1.5),
            Datum::Float8(f64::NEG_INFINITY),
            of(oid::NUMERIC, "-123.4500"),
            Datum::text("gr\u{fc}n"),
            of(oid::BYTEA, "\\x00ff"),
            Datum::Date(5),
            Datum::Time(6),
            Datum::TimeTz(trivet_types::TimeTz { microseconds: 6, west: -3600 }),
            Datum::Timestamp(7),
            Datum::Interval(Interval { microseconds: 1, days: -2, months: 3 }),
            Datum::Uuid([9; 16]),
            Datum::Enum(EnumValue { type_oid: Oid(20000), position: -3 }),
            of(oid::INT4_ARRAY, "{{1,NULL},{3,4}}"),
            Datum::Record(vec![Datum::Int4(1), Datum::Null].into()),
            Datum::Record(Record::with_shape(vec![Datum::Int4(1)], shape)),
        ];
        let shapes = Shapes::default();
        let mut out = BytesMut::new();
        encode(&row, &shapes, &mut out);
        encode(&[], &shapes, &mut out);
        let mut bytes = out.freeze();
        let length = bytes.get_u32_le() as usize;
        let first = bytes.split_to(length);
        assert_eq!(decode(&first, &shapes).expect("what was written"), row);
        assert_eq!(bytes.get_u32_le(), 4);
        assert_eq!(decode(&bytes, &shapes).expect("what was written"), Vec::<Datum>::new());
        for length in 0..first.len() {
            assert!(decode(&first.slice(..length), &shapes).is_err(), "cut to {length} bytes");
        }
    }
}
