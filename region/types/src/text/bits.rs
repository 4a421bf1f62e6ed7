//! Bit strings: kept as their digits, `0` and `1`.
use crate::error::{PgError, PgResult, sqlstate};

/// Bits, after a `b` perhaps, or hexadecimal digits after an `x`.
pub(super) fn bits_from_text(text: &str) -> PgResult<String> {
    match text.as_bytes().first() {
        Some(b'b' | b'B') => bits_from_literal(false, &text[1..]),
        Some(b'x' | b'X') => bits_from_literal(true, &text[1..]),
        _ => bits_from_literal(false, text),
    }
}

/// The digits of `B'...'` or `X'...'`.
pub fn bits_from_literal(hexadecimal: bool, digits: &str) -> PgResult<String> {
    let (radix, kind) = if hexadecimal { (16, "hexadecimal") } else { (2, "binary") };
    let mut bits = String::with_capacity(digits.len() * if hexadecimal { 4 } else { 1 });
    for digit in digits.chars() {
        let value = digit.to_digit(radix).ok_or_else(|| {
            let message = format!("\"{digit}\" is not a valid {kind} digit");
            PgError::new(sqlstate::INVALID_TEXT_REPRESENTATION, message)
        })?;
        bits.push_str(&if hexadecimal { format!("{value:04b}") } else { value.to_string() });
    }
    Ok(bits)
}
