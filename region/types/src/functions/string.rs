//! Strings and byte strings.
use super::*;
use crate::error::sqlstate;
use crate::{oid, text as io};

pub fn concatenate(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (left, right) = (text(a, 0)?, text(a, 1)?);
    room::check(environment, left.len() + right.len())?;
    let mut out = String::with_capacity(left.len() + right.len());
    out.push_str(left);
    out.push_str(right);
    Ok(Datum::text(out))
}

/// Letters have case as in the C locale: those of ASCII only.
pub fn upper(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(text(a, 0)?.to_ascii_uppercase()))
}
pub fn lower(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(text(a, 0)?.to_ascii_lowercase()))
}

pub fn initcap(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let mut out = String::new();
    let mut in_word = false;
    for ch in text(a, 0)?.chars() {
        out.push(if in_word { ch.to_ascii_lowercase() } else { ch.to_ascii_uppercase() });
        in_word = ch.is_ascii_alphanumeric();
    }
    Ok(Datum::text(out))
}

pub fn character_length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(text(a, 0)?.chars().count() as i32))
}
pub fn bpchar_length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(crate::trim_blanks(text(a, 0)?).chars().count() as i32))
}
fn byte_count(a: &[Datum]) -> PgResult<usize> {
    match a.first() {
        Some(Datum::Bytea(value)) => Ok(value.len()),
        _ => Ok(text(a, 0)?.len()),
    }
}
pub fn octet_length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(byte_count(a)? as i32))
}
pub fn bit_length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4((byte_count(a)? * 8) as i32))
}

/// The characters from `start` (1-based, may lie before the text), `count` of them.
fn slice(value: &str, start: i64, count: Option<i64>) -> PgResult<&str> {
    let end = match count {
        Some(count) if count < 0 => {
            return Err(PgError::new(crate::error::SqlState(*b"22011"), "negative substring length not allowed"));
        }
        Some(count) => start.saturating_add(count),
        None => i64::MAX,
    };
    let begin = start.max(1);
    if end <= begin {
        return Ok("");
    }
    let byte_at = |character: i64| {
        let skip = usize::try_from(character - 1).unwrap_or(usize::MAX);
        value.char_indices().nth(skip).map_or(value.len(), |(at, _)| at)
    };
    let from = byte_at(begin);
    let to = if end == i64::MAX { value.len() } else { byte_at(end) };
    Ok(&value[from..to])
}

pub fn substring(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let count = if a.len() > 2 { Some(int(a, 2)?) } else { None };
    Ok(Datum::text(slice(text(a, 0)?, int(a, 1)?, count)?))
}

/// `position(needle in haystack)` has its arguments swapped by the grammar: haystack first.
pub fn position(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (haystack, needle) = (text(a, 0)?, text(a, 1)?);
    let found = haystack.find(needle.as_str()).map_or(0, |at| haystack[..at].chars().count() + 1);
    Ok(Datum::Int4(found as i32))
}

fn trim_set(a: &[Datum]) -> PgResult<Vec<char>> {
    if a.len() > 1 { Ok(text(a, 1)?.chars().collect()) } else { Ok(vec![' ']) }
}
pub fn trim_both(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let set = trim_set(a)?;
    Ok(Datum::text(text(a, 0)?.trim_matches(|ch| set.contains(&ch))))
}
pub fn trim_left(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let set = trim_set(a)?;
    Ok(Datum::text(text(a, 0)?.trim_start_matches(|ch| set.contains(&ch))))
}
pub fn trim_right(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let set = trim_set(a)?;
    Ok(Datum::text(text(a, 0)?.trim_end_matches(|ch| set.contains(&ch))))
}

pub fn replace(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, from, to) = (text(a, 0)?, text(a, 1)?, text(a, 2)?);
    if from.is_empty() {
        return Ok(Datum::Text(value.clone()));
    }
    if to.len() > from.len() {
        let count = value.matches(from.as_str()).count();
        room::check(environment, value.len().saturating_add(count.saturating_mul(to.len() - from.len())))?;
    }
    Ok(Datum::text(value.replace(from.as_str(), to)))
}

pub fn translate(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let from: Vec<char> = text(a, 1)?.chars().collect();
    let to: Vec<char> = text(a, 2)?.chars().collect();
    let mapped = text(a, 0)?.chars().filter_map(|ch| match from.iter().position(|other| *other == ch) {
        Some(at) => to.get(at).copied(),
        None => Some(ch),
    });
    Ok(Datum::text(mapped.collect::<String>()))
}

/// The first n characters, or all but the last -n.
pub fn left(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    let count = wanted_length(value, int(a, 1)?);
    Ok(Datum::text(value.chars().take(count).collect::<String>()))
}
pub fn right(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    let length = value.chars().count();
    let count = wanted_length(value, int(a, 1)?);
    Ok(Datum::text(value.chars().skip(length - count.min(length)).collect::<String>()))
}
fn wanted_length(value: &str, count: i64) -> usize {
    if count >= 0 { count as usize } else { (value.chars().count() as i64 + count).max(0) as usize }
}

pub fn repeat(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    let count = int(a, 1)?.max(0) as usize;
    room::check_repeated(environment, value.len(), count)?;
    Ok(Datum::text(value.repeat(count)))
}

pub fn reverse(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(text(a, 0)?.chars().rev().collect::<String>()))
}

/// The characters that are kept, and as many others as are missing.
fn padding(environment: &dyn Environment, a: &[Datum]) -> PgResult<(String, String)> {
    let length = int(a, 1)?.max(0) as usize;
    let fill = if a.len() > 2 { text(a, 2)?.as_str() } else { " " };
    if length > room::BYTES_MAX / 4 {
        return Err(room::too_long());
    }
    let value: String = text(a, 0)?.chars().take(length).collect();
    let missing = if fill.is_empty() { 0 } else { length - value.chars().count() };
    let widest = fill.chars().map(char::len_utf8).max().unwrap_or(0);
    room::check(environment, value.len() + missing * widest)?;
    Ok((value, fill.chars().cycle().take(missing).collect()))
}
pub fn pad_left(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, pad) = padding(environment, a)?;
    Ok(Datum::text(pad + &value))
}
pub fn pad_right(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, pad) = padding(environment, a)?;
    Ok(Datum::text(value + &pad))
}

pub fn split_part(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, separator, field) = (text(a, 0)?, text(a, 1)?, int(a, 2)?);
    if field == 0 {
        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, "field position must not be zero"));
    }
    let parts: Vec<&str> = if separator.is_empty() { vec![value] } else { value.split(separator.as_str()).collect() };
    let at = if field > 0 { field - 1 } else { parts.len() as i64 + field };
    Ok(Datum::text(usize::try_from(at).ok().and_then(|at| parts.get(at)).copied().unwrap_or("")))
}

pub fn ascii(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(text(a, 0)?.chars().next().map_or(0, |ch| ch as i32)))
}
pub fn character(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let code = int(a, 0)?;
    if code < 0 {
        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, "character number must be positive"));
    }
    if code == 0 {
        return Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "null character not permitted"));
    }
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(ch) => Ok(Datum::text(ch.to_string())),
        None => {
            let message = format!("requested character too large for encoding: {code}");
            Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message))
        }
    }
}

pub fn starts_with(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(text(a, 0)?.starts_with(text(a, 1)?.as_str())))
}

/// An identifier as SQL text: quoted unless it is a plain lower-case word that is no reserved word.
pub fn quote_identifier(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
        && !is_reserved(name);
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Words that PostgreSQL's `quote_identifier` quotes: every keyword that is not unreserved.
fn is_reserved(name: &str) -> bool {
    const RESERVED: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
        boolean both case cast char character check coalesce collate collation column concurrently constraint create cross \
        current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal \
        default deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full \
        grant greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull \
        join lateral leading least left like limit localtime localtimestamp national natural nchar none normalize not \
        notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary \
        real references returning right row select session_user setof similar smallint some substring symmetric table \
        tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic \
        verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse \
        xmlpi xmlroot xmlserialize xmltable ";
    RESERVED.contains(&format!(" {name} "))
}

pub fn quote_ident(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(quote_identifier(text(a, 0)?)))
}

/// A string as an SQL literal.
pub fn quoted_literal(value: &str) -> String {
    let doubled = value.replace('\'', "''");
    if value.contains('\\') { format!(" E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}
pub fn quote_literal(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(quoted_literal(text(a, 0)?).trim_start().to_string()))
}
pub fn quote_nullable(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match a.first() {
        Some(Datum::Null) | None => Ok(Datum::text("NULL")),
        _ => quote_literal(environment, a),
    }
}

/// How a value of unlisted type shows inside `concat`: the analyzer has cast every argument to text.
pub fn concat(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let a = spread_texts(environment, a);
    room::check(environment, a.iter().filter_map(Datum::as_str).map(str::len).sum())?;
    let mut out = String::new();
    for value in a.iter().filter_map(Datum::as_str) {
        out.push_str(value);
    }
    Ok(Datum::text(out))
}
pub fn concat_ws(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let a = spread_texts(environment, a);
    let Some(separator) = a.first().and_then(Datum::as_str) else { return Ok(Datum::Null) };
    let parts: Vec<&str> = a[1..].iter().filter_map(Datum::as_str).collect();
    let separators = separator.len().saturating_mul(parts.len());
    room::check(environment, separators.saturating_add(parts.iter().map(|part| part.len()).sum()))?;
    Ok(Datum::text(parts.join(separator)))
}

/// `format('%s %I %L', ...)`; every argument has been cast to text.
pub fn format(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let a = &*spread_texts(environment, a);
    let Some(template) = a.first().and_then(Datum::as_str) else { return Ok(Datum::Null) };
    let bad = |message: &str| PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
    let mut out = String::new();
    let mut next = 1;
    let mut chars = template.chars().peekable();
    while let Some(ch) = chars.next() {
        if ch != '%' {
            out.push(ch);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let unterminated = || bad("unterminated format() type specifier").hint("For a single \"%\" use \"%%\".");
        let digits = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                number.push(digit);
            }
            number
        };
        let place = |number: &str| match number.parse::<usize>() {
            Ok(0) => Err(bad("format specifies argument 0, but arguments are numbered from 1")),
            Ok(at) => Ok(at),
            Err(_) => Err(bad("number is out of range")),
        };
        let mut position = None;
        let mut number = digits(&mut chars);
        if !number.is_empty() && chars.next_if_eq(&'$').is_some() {
            position = Some(place(&number)?);
            number.clear();
        }
        let mut left = false;
        if number.is_empty() {
            while chars.next_if_eq(&'-').is_some() {
                left = true;
            }
            number = digits(&mut chars);
        }
        let mut width: i64 =
            if number.is_empty() { 0 } else { number.parse().map_err(|_| bad("number is out of range"))? };
        if number.is_empty() && chars.next_if_eq(&'*').is_some() {
            let given = digits(&mut chars);
            let at = if given.is_empty() {
                next
            } else {
                chars.next_if_eq(&'$').ok_or_else(|| bad("width argument position must be ended by \"$\""))?;
                place(&given)?
            };
            next = at + 1;
            let shown = a.get(at).ok_or_else(|| bad("too few arguments for format()"))?.as_str().unwrap_or("0");
            width = i64::from(io::parse_integer::<i32>(shown, "integer")?);
            left |= width < 0;
        }
        let conversion = chars.next().ok_or_else(unterminated)?;
        if !matches!(conversion, 's' | 'I' | 'L') {
            return Err(bad(&format!("unrecognized format() type specifier \"{conversion}\""))
                .hint("For a single \"%\" use \"%%\"."));
        }
        let at = position.unwrap_or(next);
        next = at + 1;
        let value = a.get(at).ok_or_else(|| bad("too few arguments for format()"))?.as_str();
        let shown = match (conversion, value) {
            ('s', value) => value.unwrap_or("").to_string(),
            ('I', Some(value)) => quote_identifier(value),
            ('I', None) => {
                let code = crate::error::SqlState(*b"22004");
                return Err(PgError::new(code, "null values cannot be formatted as an SQL identifier"));
            }
            (_, Some(value)) => quoted_literal(value).trim_start().to_string(),
            (_, None) => "NULL".to_string(),
        };
        let missing = (width.unsigned_abs() as usize).saturating_sub(shown.chars().count());
        room::check(environment, missing.saturating_add(out.len() + shown.len()))?;
        let blanks = " ".repeat(missing);
        if left {
            out.push_str(&shown);
            out.push_str(&blanks);
        } else {
            out.push_str(&blanks);
            out.push_str(&shown);
        }
    }
    Ok(Datum::text(out))
}

pub fn encode(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let bytes = bytea(a, 0)?;
    match text(a, 1)?.as_str() {
        "hex" => Ok(Datum::text(io::format_bytea(&bytes, false)[2..].to_string())),
        "escape" => Ok(Datum::text(escaped(&bytes))),
        "base64" => Ok(Datum::text(super::bytes::base64_text(&bytes))),
        other => Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("unrecognized encoding: \"{other}\""))),
    }
}
pub fn decode(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    match text(a, 1)?.as_str() {
        "hex" => Ok(Datum::Bytea(io::bytea_from_text(&format!("\\x{value}"))?)),
        "escape" => Ok(Datum::Bytea(io::bytea_from_text(value)?)),
        "base64" => Ok(Datum::Bytea(super::bytes::base64_bytes(value)?.into())),
        other => Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("unrecognized encoding: \"{other}\""))),
    }
}

/// `encode(bytes, 'escape')`: only zero, bytes above 127 and backslashes are escaped.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
            _ => out.push(char::from(*byte)),
        }
    }
    out
}

/// `unistr`: backslash escapes of code points.
pub fn unistr(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    use crate::text::unicode::{Mistake, unescape};
    let syntax = |message: &str| PgError::new(sqlstate::SYNTAX_ERROR, message);
    unescape(text(a, 0)?, '\\', true).map(Datum::text).map_err(|(_, mistake)| match mistake {
        Mistake::Escape => {
            syntax("invalid Unicode escape").hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
        }
        Mistake::Code(code) => {
            PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("invalid Unicode code point: {code:04X}"))
        }
        Mistake::Pair => syntax("invalid Unicode surrogate pair"),
    })
}

/// `parse_ident(text, strict)`: the parts of a qualified name.
pub fn parse_identifier(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    let strict = if a.len() > 1 { boolean(a, 1)? } else { true };
    let fail =
        || PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("string is not a valid identifier: \"{value}\""));
    let mut parts = Vec::new();
    let mut rest = value.trim_start();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            let mut end = None;
            while let Some((at, ch)) = chars.next() {
                if ch != '"' {
                    name.push(ch);
                } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                    name.push('"');
                } else {
                    end = Some(at + 1);
                    break;
                }
            }
            let end = end.ok_or_else(|| fail().detail("String has unclosed double quotes."))?;
            if name.is_empty() {
                return Err(fail().detail("Quoted identifier must not be empty."));
            }
            parts.push(Datum::text(name));
            rest = &quoted[end..];
        } else {
            let is_part = |ch: char| ch.is_alphanumeric() || ch == '_' || ch == '$' || !ch.is_ascii();
            let length = rest.find(|ch| !is_part(ch)).unwrap_or(rest.len());
            let starts = rest.chars().next().is_some_and(|ch| ch.is_alphabetic() || ch == '_');
            if length == 0 || !starts {
                return Err(match rest.chars().next() {
                    Some('.') => fail().detail("No valid identifier before \".\"."),
                    _ if !parts.is_empty() => fail().detail("No valid identifier after \".\"."),
                    _ => fail(),
                });
            }
            parts.push(Datum::text(rest[..length].to_ascii_lowercase()));
            rest = &rest[length..];
        }
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() || !strict => break,
            None => return Err(fail()),
        }
    }
    Ok(Datum::array(Array::from_values(oid::TEXT, parts)))
}

pub fn bytea_concatenate(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let mut joined = bytea(a, 0)?.to_vec();
    joined.extend_from_slice(&bytea(a, 1)?);
    Ok(Datum::Bytea(joined.into()))
}

/// `pg_encoding_to_char`: only UTF8 is used.
pub fn encoding_name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(match int(a, 0)? {
        0 => "SQL_ASCII",
        6 => "UTF8",
        _ => "",
    }))
}

/// The internal cast of any value to text, used where a function takes `"any"`.
pub fn shown(type_oid: crate::Oid, value: &Datum, environment: &dyn Environment) -> Datum {
    match value {
        Datum::Bool(value) if type_oid == oid::BOOL => Datum::text(if *value { "t" } else { "f" }),
        _ => io::output(type_oid, value, environment).map_or(Datum::Null, Datum::Text),
    }
}

/// `overlay(text placing new from start [for count])`
pub fn overlay(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, new, start) = (text(a, 0)?, text(a, 1)?, int(a, 2)?);
    let count = if a.len() > 3 { int(a, 3)? } else { new.chars().count() as i64 };
    if start <= 0 {
        return Err(PgError::new(crate::error::SqlState(*b"22011"), "negative substring length not allowed"));
    }
    let head = slice(value, 1, Some(start - 1))?;
    let tail = slice(value, start.saturating_add(count), None)?;
    Ok(Datum::text(format!("{head}{new}{tail}")))
}

/// LIKE ... ESCAPE: the pattern with backslash as its escape character.
pub fn like_escape(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (pattern, escape) = (text(a, 0)?, text(a, 1)?);
    let mut escapes = escape.chars();
    let (escape, more) = (escapes.next(), escapes.next());
    if more.is_some() {
        let code = crate::error::SqlState(*b"22025");
        return Err(PgError::new(code, "invalid escape string").hint("Escape string must be empty or one character."));
    }
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(ch) = chars.next() {
        if Some(ch) == escape {
            out.push('\\');
            out.extend(chars.next());
        } else if ch == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(ch);
        }
    }
    Ok(Datum::text(out))
}

pub fn md5(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let digest = match a.first() {
        Some(Datum::Bytea(value)) => super::digest::md5(value),
        _ => super::digest::md5(text(a, 0)?.as_bytes()),
    };
    Ok(Datum::text(io::format_bytea(&digest, false)[2..].to_string()))
}
