//! Bit strings. They are kept as their digits, so that most of this is about strings of `0` and `1`.
use super::aggregate::Accumulator;
use super::*;
use crate::error::{SqlState, sqlstate};
use crate::modifier::{self, Strictness};
use crate::oid::{self, Oid};

fn bits(a: &[Datum], at: usize) -> PgResult<&str> {
    text(a, at).map(|text| text.as_str())
}
fn digit(bit: bool) -> char {
    if bit { '1' } else { '0' }
}

fn combined(left: &str, right: &str, what: &str, combine: fn(bool, bool) -> bool) -> PgResult<Datum> {
    if left.len() != right.len() {
        let message = format!("cannot {what} bit strings of different sizes");
        return Err(PgError::new(SqlState(*b"22026"), message));
    }
    let pairs = left.bytes().zip(right.bytes());
    Ok(Datum::text(pairs.map(|(one, other)| digit(combine(one == b'1', other == b'1'))).collect::<String>()))
}
pub fn and(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    combined(bits(a, 0)?, bits(a, 1)?, "AND", |one, other| one & other)
}
pub fn or(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    combined(bits(a, 0)?, bits(a, 1)?, "OR", |one, other| one | other)
}
pub fn xor(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    combined(bits(a, 0)?, bits(a, 1)?, "XOR", |one, other| one ^ other)
}
pub fn not(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(bits(a, 0)?.bytes().map(|bit| digit(bit == b'0')).collect::<String>()))
}

/// By so many places to the left; the length stays.
fn shifted(value: &str, left: i64) -> Datum {
    let length = value.len();
    let places = usize::try_from(left.unsigned_abs()).unwrap_or(usize::MAX).min(length);
    let zeros = "0".repeat(places);
    Datum::text(if left >= 0 {
        format!("{}{zeros}", &value[places..])
    } else {
        format!("{zeros}{}", &value[..length - places])
    })
}
pub fn shift_left(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(shifted(bits(a, 0)?, int(a, 1)?))
}
pub fn shift_right(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(shifted(bits(a, 0)?, -int(a, 1)?))
}

pub fn length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(bits(a, 0)?.len() as i32))
}
pub fn octet_length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(bits(a, 0)?.len().div_ceil(8) as i32))
}
pub fn count(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int8(bits(a, 0)?.bytes().filter(|bit| *bit == b'1').count() as i64))
}
pub fn position(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(bits(a, 0)?.find(bits(a, 1)?).map_or(0, |at| at as i32 + 1)))
}

/// The bit numbered from 0 at the left.
fn place(value: &str, at: i64) -> PgResult<usize> {
    usize::try_from(at).ok().filter(|at| *at < value.len()).ok_or_else(|| {
        let message = format!("bit index {at} out of valid range (0..{})", value.len() as i64 - 1);
        PgError::new(SqlState(*b"2202E"), message)
    })
}
pub fn bit_at(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = bits(a, 0)?;
    let at = place(value, int(a, 1)?)?;
    Ok(Datum::Int4(i32::from(value.as_bytes()[at] == b'1')))
}
pub fn with_bit(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = bits(a, 0)?;
    let at = place(value, int(a, 1)?)?;
    let bit = int(a, 2)?;
    if !matches!(bit, 0 | 1) {
        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1"));
    }
    Ok(Datum::text(format!("{}{bit}{}", &value[..at], &value[at + 1..])))
}

/// From a place counted from 1, which may lie before the string; `None`: to its end.
fn slice(value: &str, from: i64, count: Option<i64>) -> PgResult<&str> {
    let end = match count {
        Some(count) if count < 0 => {
            return Err(PgError::new(SqlState(*b"22011"), "negative substring length not allowed"));
        }
        Some(count) => from.saturating_add(count),
        None => i64::MAX,
    };
    let within = |at: i64| usize::try_from(at - 1).unwrap_or(0).min(value.len());
    let (start, end) = (within(from), within(end));
    Ok(&value[start.min(end)..end])
}
pub fn substring(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let count = if a.len() > 2 { Some(int(a, 2)?) } else { None };
    Ok(Datum::text(slice(bits(a, 0)?, int(a, 1)?, count)?))
}
pub fn overlay(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, new, from) = (bits(a, 0)?, bits(a, 1)?, int(a, 2)?);
    if from <= 0 {
        return Err(PgError::new(SqlState(*b"22011"), "negative substring length not allowed"));
    }
    let count = if a.len() > 3 { int(a, 3)? } else { new.len() as i64 };
    let before = slice(value, 1, Some(from - 1))?;
    Ok(Datum::text(format!("{before}{new}{}", slice(value, from.saturating_add(count), None)?)))
}

/// An integer's last bits, with its sign before them if more are wanted; `bit` alone is one.
pub fn of_integer(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, wanted) = (int(a, 0)?, int(a, 1)?);
    let length = if wanted <= 0 { 1 } else { wanted };
    let bit = |at: i64| value >> at.min(63) & 1 == 1;
    Ok(Datum::text((0..length).rev().map(|at| digit(bit(at))).collect::<String>()))
}
fn to_integer(value: &str, length_max: usize, type_name: &str) -> PgResult<u64> {
    if value.len() > length_max {
        return Err(PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range")));
    }
    Ok(value.bytes().fold(0, |sum, bit| sum << 1 | u64::from(bit == b'1')))
}
pub fn to_int4(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    to_integer(bits(a, 0)?, 32, "integer").map(|value| Datum::Int4(value as u32 as i32))
}
pub fn to_int8(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    to_integer(bits(a, 0)?, 64, "bigint").map(|value| Datum::Int8(value as i64))
}

fn sized(oid: Oid, a: &[Datum]) -> PgResult<Datum> {
    let strictness = if boolean(a, 2)? { Strictness::Explicit } else { Strictness::Assignment };
    modifier::apply(oid, int(a, 1)? as i32, a[0].clone(), strictness)
}
/// `bit(bit, modifier, explicit)`
pub fn sized_bit(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    sized(oid::BIT, a)
}
pub fn sized_varbit(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    sized(oid::VARBIT, a)
}

/// All values combined, digit by digit.
struct Combination {
    value: Option<Datum>,
    combine: Function,
}
impl Accumulator for Combination {
    fn add(&mut self, environment: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        self.value = Some(match self.value.take() {
            None => a[0].clone(),
            Some(value) => (self.combine)(environment, &[value, a[0].clone()])?,
        });
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Ok(self.value.take().unwrap_or(Datum::Null))
    }
}
pub fn all_and(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Combination { value: None, combine: and })
}
pub fn all_or(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Combination { value: None, combine: or })
}
pub fn all_xor(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Combination { value: None, combine: xor })
}
