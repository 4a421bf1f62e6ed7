//! Byte strings, digests and encodings.
use super::*;
use crate::error::{SqlState, sqlstate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

macro_rules! digests {
    ($($name:ident = $digest:ty;)*) => {
        $(pub fn $name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            Ok(Datum::Bytea(<$digest>::digest(bytea(a, 0)?).to_vec().into()))
        })*
    };
}
digests! { sha224 = sha2::Sha224; sha256 = sha2::Sha256; sha384 = sha2::Sha384; sha512 = sha2::Sha512; }

fn index_error(index: i64, length: usize) -> Box<PgError> {
    let message = format!("index {index} out of valid range, 0..{}", length as i64 - 1);
    PgError::new(SqlState(*b"2202E"), message)
}
fn at(index: i64, length: usize) -> PgResult<usize> {
    usize::try_from(index).ok().filter(|at| *at < length).ok_or_else(|| index_error(index, length))
}
pub fn byte_at(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = bytea(a, 0)?;
    Ok(Datum::Int4(i32::from(value[at(int(a, 1)?, value.len())?])))
}
pub fn set_byte(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let mut value = bytea(a, 0)?.to_vec();
    let place = at(int(a, 1)?, value.len())?;
    value[place] = int(a, 2)? as u8;
    Ok(Datum::Bytea(value.into()))
}
pub fn bit_at(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = bytea(a, 0)?;
    let place = at(int(a, 1)?, value.len() * 8)?;
    Ok(Datum::Int4(i32::from(value[place / 8] >> (place % 8) & 1)))
}
pub fn set_bit(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let mut value = bytea(a, 0)?.to_vec();
    let place = at(int(a, 1)?, value.len() * 8)?;
    match int(a, 2)? {
        0 => value[place / 8] &= !(1 << (place % 8)),
        1 => value[place / 8] |= 1 << (place % 8),
        _ => return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1")),
    }
    Ok(Datum::Bytea(value.into()))
}
pub fn bit_count(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int8(bytea(a, 0)?.iter().map(|byte| i64::from(byte.count_ones())).sum()))
}

/// The bytes from `start` (1-based, may lie before the value), `count` of them.
fn slice(value: &::bytes::Bytes, start: i64, count: Option<i64>) -> PgResult<::bytes::Bytes> {
    let end = match count {
        Some(count) if count < 0 => {
            return Err(PgError::new(SqlState(*b"22011"), "negative substring length not allowed"));
        }
        Some(count) => start.saturating_add(count),
        None => i64::MAX,
    };
    let place = |position: i64| (position.max(1) - 1).min(value.len() as i64) as usize;
    let (from, to) = (place(start), place(end));
    Ok(if from < to { value.slice(from..to) } else { ::bytes::Bytes::new() })
}
pub fn substring(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let count = if a.len() > 2 { Some(int(a, 2)?) } else { None };
    slice(&bytea(a, 0)?, int(a, 1)?, count).map(Datum::Bytea)
}
pub fn position(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, wanted) = (bytea(a, 0)?, bytea(a, 1)?);
    let found =
        if wanted.is_empty() { Some(0) } else { value.windows(wanted.len()).position(|window| window == &wanted[..]) };
    Ok(Datum::Int4(found.map_or(0, |at| at as i32 + 1)))
}
pub fn overlay(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, new, start) = (bytea(a, 0)?, bytea(a, 1)?, int(a, 2)?);
    let count = if a.len() > 3 { int(a, 3)? } else { new.len() as i64 };
    if start <= 0 {
        return Err(PgError::new(SqlState(*b"22011"), "negative substring length not allowed"));
    }
    let mut out = slice(&value, 1, Some(start - 1))?.to_vec();
    out.extend_from_slice(&new);
    out.extend_from_slice(&slice(&value, start.saturating_add(count), None)?);
    Ok(Datum::Bytea(out.into()))
}

fn trimmed(a: &[Datum], left: bool, right: bool) -> PgResult<Datum> {
    let (value, set) = (bytea(a, 0)?, bytea(a, 1)?);
    let outside = |byte: &u8| !set.contains(byte);
    let from = if left { value.iter().position(outside).unwrap_or(value.len()) } else { 0 };
    let to = if right { value.iter().rposition(outside).map_or(from, |at| at + 1) } else { value.len() };
    Ok(Datum::Bytea(value.slice(from..to.max(from))))
}
pub fn trim_both(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    trimmed(a, true, true)
}
pub fn trim_left(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    trimmed(a, true, false)
}
pub fn trim_right(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    trimmed(a, false, true)
}

/// Lines of 76 characters, as MIME has them.
pub(super) fn base64_text(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    lines.join("\n")
}
pub(super) fn base64_bytes(text: &str) -> PgResult<Vec<u8>> {
    let fail = |message: String| PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
    let plain: String = text.chars().filter(|ch| !matches!(ch, ' ' | '\t' | '\n' | '\r')).collect();
    let known = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '+' | '/' | '=');
    if let Some(ch) = plain.chars().find(|ch| !known(*ch)) {
        return Err(fail(format!("invalid symbol \"{ch}\" found while decoding base64 sequence")));
    }
    STANDARD.decode(plain).map_err(|_| {
        fail("invalid base64 end sequence".to_string())
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted.")
    })
}

/// The encodings that text is converted from and to.
enum Encoding {
    Utf8,
    Latin1,
}
fn encoding(name: &str, which: &str) -> PgResult<Encoding> {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    match letters.to_ascii_lowercase().as_str() {
        "utf8" | "unicode" => Ok(Encoding::Utf8),
        "latin1" | "iso88591" => Ok(Encoding::Latin1),
        _ => Err(other_encoding(name, which)),
    }
}
fn no_equivalent(ch: char, encoding: &str) -> Box<PgError> {
    let bytes = ch.to_string().bytes().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(" ");
    let message = format!(
        "character with byte sequence {bytes} in encoding \"UTF8\" has no equivalent in encoding \"{encoding}\""
    );
    PgError::new(SqlState(*b"22P05"), message)
}
fn other_encoding(name: &str, which: &str) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("invalid {which} encoding name \"{name}\""))
}
/// `convert_from(bytes, encoding)`
pub fn to_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match encoding(text(a, 1)?, "source")? {
        Encoding::Utf8 => crate::binary::input(crate::oid::TEXT, bytea(a, 0)?, &crate::NoEnvironment::default()),
        Encoding::Latin1 => {
            let text: String = bytea(a, 0)?.iter().map(|byte| char::from(*byte)).collect();
            crate::binary::input(crate::oid::TEXT, text.into(), &crate::NoEnvironment::default())
        }
    }
}
/// `convert_to(text, encoding)`
pub fn from_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    match encoding(text(a, 1)?, "destination")? {
        Encoding::Utf8 => Ok(Datum::Bytea(value.clone().into_bytes())),
        Encoding::Latin1 => {
            let byte = |ch: char| u8::try_from(u32::from(ch)).map_err(|_| no_equivalent(ch, "LATIN1"));
            Ok(Datum::Bytea(value.chars().map(byte).collect::<PgResult<Vec<u8>>>()?.into()))
        }
    }
}
/// `convert(bytes, from, to)`
pub fn convert(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let decoded = to_text(environment, a)?;
    from_text(environment, &[decoded, Datum::Text(text(a, 2)?.clone())])
}
/// `length(bytes, encoding)`
pub fn length_in(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    super::string::character_length(environment, &[to_text(environment, a)?])
}
