//! What PostgreSQL's own machinery is made of and users call as well: orders as numbers, hashes, binary forms.
use super::*;
use crate::oid::{self, Oid};
use crate::{binary, compare, compare_floats};
use std::cmp::Ordering;

fn pair(arguments: &[Datum]) -> PgResult<(&Datum, &Datum)> {
    match arguments {
        [left, right] => Ok((left, right)),
        _ => Err(wrong(None)),
    }
}

/// -1, 0 or 1.
fn sign(order: Ordering) -> Datum {
    Datum::Int4(order as i32)
}
pub fn order(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    pair(a).map(|(left, right)| sign(compare(oid::UNKNOWN, left, right)))
}
pub fn bpchar_order(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    pair(a).map(|(left, right)| sign(compare(oid::BPCHAR, left, right)))
}
pub fn jsonb_order(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    pair(a).map(|(left, right)| sign(compare(oid::JSONB, left, right)))
}
pub fn float_order(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(sign(compare_floats(double(a, 0)?, double(a, 1)?)))
}

fn chosen(type_oid: Oid, a: &[Datum], wanted: Ordering) -> PgResult<Datum> {
    let (left, right) = pair(a)?;
    Ok(if compare(type_oid, left, right) == wanted { left.clone() } else { right.clone() })
}
pub fn larger(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    chosen(oid::UNKNOWN, a, Ordering::Greater)
}
pub fn smaller(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    chosen(oid::UNKNOWN, a, Ordering::Less)
}
pub fn bpchar_larger(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    chosen(oid::BPCHAR, a, Ordering::Greater)
}
pub fn bpchar_smaller(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    chosen(oid::BPCHAR, a, Ordering::Less)
}

fn sent(type_oid: Oid, environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = a.first().ok_or_else(|| wrong(None))?;
    let mut out = ::bytes::BytesMut::new();
    binary::output(type_oid, value, environment, &mut out);
    Ok(Datum::Bytea(out.freeze()))
}
/// `int4send` and its kin: the binary form.
pub fn send(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    sent(oid::TEXT, environment, a)
}
pub fn send_jsonb(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    sent(oid::JSONB, environment, a)
}
pub fn send_bits(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    sent(oid::VARBIT, environment, a)
}

/// Bob Jenkins' hash, as PostgreSQL uses it: what it gives is stored by applications, as numbers of advisory locks.
#[derive(Clone, Copy)]
struct Jenkins {
    a: u32,
    b: u32,
    c: u32,
}

impl Jenkins {
    fn new(length: usize, seed: u64) -> Jenkins {
        let start = 0x9e37_79b9_u32.wrapping_add(length as u32).wrapping_add(3_923_095);
        let mut state = Jenkins { a: start, b: start, c: start };
        if seed != 0 {
            state.a = state.a.wrapping_add((seed >> 32) as u32);
            state.b = state.b.wrapping_add(seed as u32);
            state.mix();
        }
        state
    }

    fn mix(&mut self) {
        let Jenkins { mut a, mut b, mut c } = *self;
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        *self = Jenkins { a, b, c };
    }

    fn finish(self) -> u64 {
        let Jenkins { mut a, mut b, mut c } = self;
        c = (c ^ b).wrapping_sub(b.rotate_left(14));
        a = (a ^ c).wrapping_sub(c.rotate_left(11));
        b = (b ^ a).wrapping_sub(a.rotate_left(25));
        c = (c ^ b).wrapping_sub(b.rotate_left(16));
        a = (a ^ c).wrapping_sub(c.rotate_left(4));
        b = (b ^ a).wrapping_sub(a.rotate_left(14));
        c = (c ^ b).wrapping_sub(b.rotate_left(24));
        u64::from(b) << 32 | u64::from(c)
    }

    fn of_bytes(bytes: &[u8], seed: u64) -> u64 {
        let mut state = Jenkins::new(bytes.len(), seed);
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let mut chunks = bytes.chunks_exact(12);
        for chunk in &mut chunks {
            state.a = state.a.wrapping_add(word(&chunk[..4]));
            state.b = state.b.wrapping_add(word(&chunk[4..8]));
            state.c = state.c.wrapping_add(word(&chunk[8..]));
            state.mix();
        }
        let rest = chunks.remainder();
        let part = |from: usize, to: usize| word(&rest[from.min(rest.len())..to.min(rest.len())]);
        state.a = state.a.wrapping_add(part(0, 4));
        state.b = state.b.wrapping_add(part(4, 8));
        // The lowest byte of the third word is the length's.
        state.c = state.c.wrapping_add(part(8, 11) << 8);
        state.finish()
    }

    fn of_word(word: u32, seed: u64) -> u64 {
        let mut state = Jenkins::new(4, seed);
        state.a = state.a.wrapping_add(word);
        state.finish()
    }

    /// Numbers that an int4 can hold hash as that.
    fn of_integer(value: i64, seed: u64) -> u64 {
        let high = (value >> 32) as u32;
        Jenkins::of_word(value as u32 ^ if value >= 0 { high } else { !high }, seed)
    }

    fn of_float(value: f64, seed: u64) -> u64 {
        if value == 0.0 {
            return seed;
        }
        let value = if value.is_nan() { f64::NAN } else { value };
        Jenkins::of_bytes(&value.to_le_bytes(), seed)
    }
}

fn hash(datum: Option<&Datum>, blank_padded: bool, seed: u64) -> PgResult<u64> {
    Ok(match datum {
        Some(Datum::Text(value)) if blank_padded => Jenkins::of_bytes(crate::trim_blanks(value).as_bytes(), seed),
        Some(Datum::Text(value)) => Jenkins::of_bytes(value.as_bytes(), seed),
        Some(Datum::Bytea(value)) => Jenkins::of_bytes(value, seed),
        Some(Datum::Uuid(value)) => Jenkins::of_bytes(value, seed),
        Some(Datum::Int2(value)) => Jenkins::of_word(i32::from(*value) as u32, seed),
        Some(Datum::Int4(value) | Datum::Date(value)) => Jenkins::of_word(*value as u32, seed),
        Some(Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value)) => Jenkins::of_integer(*value, seed),
        Some(Datum::Oid(value)) => Jenkins::of_word(*value, seed),
        Some(Datum::Bool(value)) => Jenkins::of_word(u32::from(*value), seed),
        Some(Datum::Char(value)) => Jenkins::of_word(i32::from(*value as i8) as u32, seed),
        Some(Datum::Float4(value)) => Jenkins::of_float(f64::from(*value), seed),
        Some(Datum::Float8(value)) => Jenkins::of_float(*value, seed),
        Some(Datum::Interval(value)) => Jenkins::of_integer(crate::interval_length(value) as i64, seed),
        other => return Err(wrong(other)),
    })
}
/// `hashtext` and its kin.
pub fn hash_of(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(hash(a.first(), false, 0)? as u32 as i32))
}
pub fn bpchar_hash(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(hash(a.first(), true, 0)? as u32 as i32))
}
/// `hashtextextended` and its kin: 64 bits, with a seed.
pub fn seeded_hash(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int8(hash(a.first(), false, int(a, 1)? as u64)? as i64))
}
pub fn bpchar_seeded_hash(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int8(hash(a.first(), true, int(a, 1)? as u64)? as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 15 answers.
    #[test]
    fn hashes_are_postgresqls() {
        assert_eq!(Jenkins::of_bytes(b"hello", 0) as u32 as i32, HELLO);
        assert_eq!(Jenkins::of_bytes(b"hello", 0) as i64, HELLO_EXTENDED);
        assert_eq!(Jenkins::of_integer(42, 0) as u32 as i32, FORTY_TWO);
        assert_eq!(Jenkins::of_bytes(b"a longer text than twelve", 7) as i64, LONGER_SEEDED);
    }
    const HELLO: i32 = -1870292951;
    const HELLO_EXTENDED: i64 = 3449563369152288809;
    const FORTY_TWO: i32 = 1509752520;
    const LONGER_SEEDED: i64 = -1016719133062889393;
}
