//! LIKE and SIMILAR TO.
use super::*;

/// `%` any run, `_` any character, `escape` takes the next one as it is.
pub fn matches_like(value: &str, pattern: &str, escape: Option<char>, fold_case: bool) -> PgResult<bool> {
    if fold_case {
        return matches_like(&value.to_ascii_lowercase(), &pattern.to_ascii_lowercase(), escape, false);
    }
    let mut buffer = [0; 4];
    let escape: &[u8] = escape.map_or(&[], |escape| escape.encode_utf8(&mut buffer).as_bytes());
    like_bytes(value.as_bytes(), pattern.as_bytes(), escape)
}

/// On UTF-8, where equal characters are equal bytes. Greedy with one point to go back to: the last `%`.
fn like_bytes(value: &[u8], pattern: &[u8], escape: &[u8]) -> PgResult<bool> {
    let (mut at, mut next) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < value.len() {
        let rest = &pattern[next..];
        let (same, length) = match rest.first() {
            Some(_) if !escape.is_empty() && rest.starts_with(escape) => {
                let taken = &rest[escape.len()..];
                let Some(first) = taken.first() else {
                    let code = crate::error::SqlState(*b"22025");
                    return Err(PgError::new(code, "LIKE pattern must not end with escape character"));
                };
                let taken = &taken[..character_bytes(*first)];
                (value[at..].starts_with(taken).then_some(taken.len()), escape.len() + taken.len())
            }
            Some(b'%') => {
                retry = Some((at, next + 1));
                next += 1;
                continue;
            }
            Some(b'_') => (Some(character_bytes(value[at])), 1),
            Some(byte) => ((*byte == value[at]).then_some(1), 1),
            None => (None, 0),
        };
        match (same, retry) {
            (Some(bytes), _) => (at, next) = (at + bytes, next + length),
            (None, Some((from, run))) => {
                at = from + character_bytes(value[from]);
                retry = Some((at, run));
                next = run;
            }
            (None, None) => return Ok(false),
        }
    }
    Ok(pattern[next..].iter().all(|byte| *byte == b'%') && !(escape == b"%" && next < pattern.len()))
}

/// Bytes of the UTF-8 character that begins with this one.
fn character_bytes(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// The third argument, if there is one, is the escape character (empty: none).
fn like(a: &[Datum], fold_case: bool) -> PgResult<bool> {
    let escape = if a.len() > 2 { text(a, 2)?.chars().next() } else { Some('\\') };
    matches_like(text(a, 0)?, text(a, 1)?, escape, fold_case)
}

pub fn like_matches(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(like(a, false)?))
}
pub fn like_differs(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(!like(a, false)?))
}
pub fn ilike_matches(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(like(a, true)?))
}
pub fn ilike_differs(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(!like(a, true)?))
}

/// LIKE on byte strings: bytes are the characters.
fn bytea_like(a: &[Datum]) -> PgResult<bool> {
    let characters = |bytes: ::bytes::Bytes| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    matches_like(&characters(bytea(a, 0)?), &characters(bytea(a, 1)?), Some('\\'), false)
}
pub fn bytea_like_matches(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(bytea_like(a)?))
}
pub fn bytea_like_differs(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(!bytea_like(a)?))
}

/// `similar_to_escape(pattern [, escape])`: a pattern of SIMILAR TO as a regular expression. Two escaped double quotes
/// cut the pattern of SUBSTRING in three, of which the middle one is wanted and the first takes as little as it can.
pub fn similar_to_escape(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let pattern = text(a, 0)?;
    let escape = match a.get(1) {
        None => Some('\\'),
        Some(_) => {
            let mut given = text(a, 1)?.chars();
            let escape = given.next();
            if given.next().is_some() {
                let code = crate::error::SqlState(*b"22025");
                return Err(
                    PgError::new(code, "invalid escape string").hint("Escape string must be empty or one character.")
                );
            }
            escape
        }
    };
    let mut out = String::from("^(?:");
    let mut separators = 0;
    let mut in_class = false;
    let mut chars = pattern.chars();
    while let Some(ch) = chars.next() {
        if Some(ch) == escape {
            match chars.next() {
                Some('"') if !in_class => {
                    out.push_str(match separators {
                        0 => "){1,1}?(",
                        1 => "){1,1}(?:",
                        _ => {
                            let code = crate::error::SqlState(*b"2200C");
                            let message =
                                "SQL regular expression may not contain more than two escape-double-quote separators";
                            return Err(PgError::new(code, message));
                        }
                    });
                    separators += 1;
                }
                escaped => {
                    out.push('\\');
                    out.extend(escaped);
                }
            }
            continue;
        }
        match ch {
            _ if in_class => {
                if ch == '\\' {
                    out.push('\\');
                }
                out.push(ch);
                in_class = ch != ']';
            }
            '[' => {
                out.push(ch);
                in_class = true;
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '\\' | '.' | '^' | '$' => {
                out.push('\\');
                out.push(ch);
            }
            _ => out.push(ch),
        }
    }
    out.push_str(")$");
    Ok(Datum::text(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "_b_", true),
            ("abc", "%c%", true),
            ("abc", "b", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("", "%", true),
            ("aaab", "%a%b", true),
            ("mississippi", "m%iss%ppi", true),
        ];
        for (value, pattern, expected) in cases {
            assert_eq!(
                matches_like(value, pattern, Some('\\'), false).expect("valid"),
                expected,
                "{value} like {pattern}"
            );
        }
        assert!(matches_like("ab", "a\\", Some('\\'), false).is_err());
        assert!(!matches_like("a", "a\\", Some('\\'), false).expect("the value ends first"));
    }
}
