//! Unicode escapes: `\0061`, `\+000061`, and what `unistr` takes besides, with pairs of surrogates (manual, section 4.1.2.3).
use std::iter::Peekable;
use std::str::CharIndices;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// No escape begins like this.
    Escape,
    /// No character has this code.
    Code(u32),
    /// Half of a pair of surrogates.
    Pair,
}

/// The text without its escapes, or the byte where a mistake is. `long`: also `\u0061` and `\U00000061`.
pub fn unescape(text: &str, escape: char, long: bool) -> Result<String, (usize, Mistake)> {
    let mut out = String::with_capacity(text.len());
    let mut high: Option<u32> = None;
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        let code = match character == escape {
            false => None,
            true if rest.next_if(|(_, next)| *next == escape).is_some() => None,
            true => Some(escaped(&mut rest, long).ok_or((at, Mistake::Escape))?),
        };
        let code = match (high.take(), code) {
            (Some(high), Some(low @ 0xdc00..=0xdfff)) => 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00),
            (Some(_), _) | (None, Some(0xdc00..=0xdfff)) => return Err((at, Mistake::Pair)),
            (None, Some(first @ 0xd800..=0xdbff)) => {
                high = Some(first);
                continue;
            }
            (None, Some(code)) => code,
            (None, None) => u32::from(character),
        };
        match char::from_u32(code) {
            Some('\0') | None => return Err((at, Mistake::Code(code))),
            Some(character) => out.push(character),
        }
    }
    match high {
        Some(_) => Err((text.len(), Mistake::Pair)),
        None => Ok(out),
    }
}

/// The code behind an escape character.
fn escaped(rest: &mut Peekable<CharIndices<'_>>, long: bool) -> Option<u32> {
    let digits = match rest.peek()?.1 {
        '+' => 6,
        'u' if long => 4,
        'U' if long => 8,
        _ => 0,
    };
    if digits > 0 {
        rest.next();
    }
    let mut code = 0u32;
    for _ in 0..digits.max(4) {
        let (_, digit) = rest.next()?;
        code = (code << 4) | digit.to_digit(16)?;
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        for (text, escape, long, expected) in [
            (r"d\0061t\+000061", '\\', false, Ok("data".to_owned())),
            ("d!0061t!!\\", '!', false, Ok("dat!\\".to_owned())),
            (r"\D83D\DE00\+00D83D\DE00", '\\', false, Ok("😀😀".to_owned())),
            (r"\u0061\U00000062", '\\', true, Ok("ab".to_owned())),
            (r"x\u0061", '\\', false, Err((1, Mistake::Escape))),
            (r"x\006", '\\', false, Err((1, Mistake::Escape))),
            (r"\0000", '\\', false, Err((0, Mistake::Code(0)))),
            (r"\+110000", '\\', false, Err((0, Mistake::Code(0x110000)))),
            (r"\UFFFFFFFF", '\\', true, Err((0, Mistake::Code(u32::MAX)))),
            (r"\D83Dx", '\\', false, Err((5, Mistake::Pair))),
            (r"\D83D", '\\', false, Err((5, Mistake::Pair))),
            (r"\DE00", '\\', false, Err((0, Mistake::Pair))),
        ] {
            assert_eq!(unescape(text, escape, long), expected, "{text}");
        }
    }
}
