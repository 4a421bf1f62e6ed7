//! A look at the text before the library cuts it into tokens: where what PostgreSQL's scanner refuses begins, and in which words.
use super::error::Source;
use super::tree::Place;
use trivet_types::{PgError, sqlstate};

/// The first mistake of the text as such, and the byte where its token begins. Text before it may be wrong in other ways.
pub(super) fn mistake(source: &Source<'_>) -> Option<(usize, Box<PgError>)> {
    let text = source.text;
    let bytes = text.as_bytes();
    let error = |what: &str, start: usize, end: usize| {
        let near = text.get(start..end).unwrap_or("");
        let error = PgError::new(sqlstate::SYNTAX_ERROR, format!("{what} at or near \"{near}\""));
        let place = Place(text[..start].chars().count() as u32 + 1);
        Some((start, place.known().map_or(error.clone(), |position| error.position(position))))
    };
    let open = |what: &str, start: usize| error(&format!("unterminated {what}"), start, text.len());
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        match bytes[at] {
            b'-' if next == b'-' => {
                at = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length);
            }
            b'/' if next == b'*' => match comment_end(&bytes[at..]) {
                Some(length) => at += length,
                None => return open("/* comment", start),
            },
            b'\'' => match quoted_end(&bytes[at..], b'\'', false) {
                Some(length) => at += length,
                None => return open("quoted string", start),
            },
            b'"' => match quoted_end(&bytes[at..], b'"', false) {
                Some(2) => return error("zero-length delimited identifier", start, start + 2),
                Some(length) => at += length,
                None => return open("quoted identifier", start),
            },
            b'$' if next == b'$' || begins_name(next) => match dollar_end(text, at) {
                Some(Some(length)) => at += length,
                Some(None) => return open("dollar-quoted string", start),
                None => at += 1,
            },
            b'0'..=b'9' => {
                at += number(&bytes[at..]);
                if bytes.get(at).is_some_and(|byte| begins_name(*byte)) {
                    let rest = bytes[at..].iter().position(|byte| !continues_name(*byte)).unwrap_or(bytes.len() - at);
                    return error("trailing junk after numeric literal", start, at + rest);
                }
            }
            byte if begins_name(byte) => {
                at += bytes[at..].iter().position(|byte| !continues_name(*byte)).unwrap_or(bytes.len() - at);
                let word = &text[start..at];
                // A letter before a quote belongs to the string.
                if bytes.get(at) == Some(&b'\'') && matches!(word, "e" | "E" | "b" | "B" | "x" | "X" | "n" | "N") {
                    let escapes = word.eq_ignore_ascii_case("e");
                    match quoted_end(&bytes[at..], b'\'', escapes) {
                        Some(length) => at += length,
                        None => {
                            let what = match word {
                                "b" | "B" => "bit string literal",
                                "x" | "X" => "hexadecimal string literal",
                                _ => "quoted string",
                            };
                            return open(what, start);
                        }
                    }
                }
            }
            _ => at += 1,
        }
    }
    None
}

fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0x80 || byte == b'_' || byte == 1
}

fn continues_name(byte: u8) -> bool {
    begins_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Bytes of a quoted thing, its quotes included.
fn quoted_end(bytes: &[u8], quote: u8, escapes: bool) -> Option<usize> {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

fn comment_end(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (b'/', b'*') => {
                depth += 1;
                at += 2;
            }
            (b'*', b'/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Bytes of a dollar-quoted string; `Some(None)` if it does not end, `None` if it is none.
fn dollar_end(text: &str, at: usize) -> Option<Option<usize>> {
    let rest = &text[at..];
    let tag = rest[1..].bytes().position(|byte| byte == b'$' || !continues_name(byte))?;
    if rest.as_bytes().get(1 + tag) != Some(&b'$') {
        return None;
    }
    let mark = &rest[..tag + 2];
    Some(rest[mark.len()..].find(mark).map(|length| length + 2 * mark.len()))
}

/// Bytes of a number.
fn number(bytes: &[u8]) -> usize {
    let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let mut at = digits(0);
    if byte(at) == b'.' && byte(at + 1) != b'.' {
        at = digits(at + 1);
    }
    if matches!(byte(at), b'e' | b'E') {
        let sign = usize::from(matches!(byte(at + 1), b'+' | b'-'));
        if byte(at + 1 + sign).is_ascii_digit() {
            at = digits(at + 1 + sign);
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_postgresqls() {
        for (text, expected) in [
            ("select 'a''b', E'\\'', $$ ' $$, \"x\" /* /* */ */ -- '", ""),
            ("select 'open", "unterminated quoted string at or near \"'open\""),
            ("select /* open", "unterminated /* comment at or near \"/* open\""),
            ("select $a$ x $b$", "unterminated dollar-quoted string at or near \"$a$ x $b$\""),
            ("select 123abc", "trailing junk after numeric literal at or near \"123abc\""),
            ("select a1, 1.5e3, $1, 1..2", ""),
            ("select \"\"", "zero-length delimited identifier at or near \"\"\"\""),
        ] {
            let found = mistake(&Source::new(text)).map(|(_, error)| error.message).unwrap_or_default();
            assert_eq!(found, expected, "{text}");
        }
    }
}
