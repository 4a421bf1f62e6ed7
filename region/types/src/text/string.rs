//! Strings, bytes, `"char"` and uuid as text.
use crate::error::{PgError, PgResult, sqlstate};
use bytes::Bytes;
use std::fmt::Write;

/// Bytes that a `name` may have.
pub const IDENTIFIER_BYTES_MAX: usize = 63;

/// Cut at a character's start so that it fits a `name`.
pub fn truncate_identifier(text: &str) -> &str {
    if text.len() <= IDENTIFIER_BYTES_MAX {
        return text;
    }
    let mut end = IDENTIFIER_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `"char"`: the first byte, or `\ooo`.
pub(super) fn parse_char(text: &str) -> u8 {
    let bytes = text.as_bytes();
    let octal = |byte: u8| (b'0'..=b'7').contains(&byte);
    if bytes.len() == 4 && bytes[0] == b'\\' && bytes[1..].iter().all(|byte| octal(*byte)) {
        return bytes[1..].iter().fold(0u8, |value, byte| value.wrapping_mul(8).wrapping_add(byte - b'0'));
    }
    bytes.first().copied().unwrap_or(0)
}

pub(super) fn write_char(value: u8, out: &mut String) {
    match value {
        0 => {}
        value if value < 128 => out.push(char::from(value)),
        value => {
            let _ = write!(out, "\\{value:03o}");
        }
    }
}

/// `\x` and hex digits, or the escape form.
pub fn bytea_from_text(text: &str) -> PgResult<Bytes> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return hex_digits(hex).map(Bytes::from);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
        } else if bytes.get(at + 1) == Some(&b'\\') {
            out.push(b'\\');
            at += 2;
        } else {
            let octal = |at: usize| bytes.get(at).filter(|byte| (b'0'..=b'7').contains(byte)).map(|byte| byte - b'0');
            let (Some(high @ 0..=3), Some(middle), Some(low)) = (octal(at + 1), octal(at + 2), octal(at + 3)) else {
                return Err(PgError::new(sqlstate::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea"));
            };
            out.push(high * 64 + middle * 8 + low);
            at += 4;
        }
    }
    Ok(Bytes::from(out))
}

fn hex_digits(text: &str) -> PgResult<Vec<u8>> {
    let fail = |message: String| PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut pending = None;
    for ch in text.chars() {
        if ch.is_ascii_whitespace() && pending.is_none() {
            continue;
        }
        let digit = ch.to_digit(16).ok_or_else(|| fail(format!("invalid hexadecimal digit: \"{ch}\"")))? as u8;
        match pending.take() {
            None => pending = Some(digit),
            Some(high) => out.push(high * 16 + digit),
        }
    }
    match pending {
        None => Ok(out),
        Some(_) => Err(fail("invalid hexadecimal data: odd number of digits".to_string())),
    }
}

pub fn format_bytea(bytes: &[u8], escape: bool) -> String {
    let mut out = String::with_capacity(bytes.len() * 2 + 2);
    if escape {
        for byte in bytes {
            match byte {
                b'\\' => out.push_str("\\\\"),
                0x20..=0x7e => out.push(char::from(*byte)),
                _ => {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
        }
    } else {
        out.push_str("\\x");
        for byte in bytes {
            let _ = write!(out, "{byte:02x}");
        }
    }
    out
}

/// 32 hex digits, with a dash after any group of four, in braces or not.
pub(super) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let mut digits = Vec::with_capacity(32);
    for (at, ch) in inner.char_indices() {
        match ch {
            '-' if at > 0 && digits.len() % 4 == 0 && digits.len() < 32 => {}
            _ => digits.push(ch.to_digit(16)? as u8),
        }
    }
    if digits.len() != 32 {
        return None;
    }
    let mut out = [0; 16];
    for (at, pair) in digits.chunks_exact(2).enumerate() {
        out[at] = pair[0] * 16 + pair[1];
    }
    Some(out)
}

pub(super) fn write_uuid(value: &[u8; 16], out: &mut String) {
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
}
