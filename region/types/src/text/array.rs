//! Arrays and records as text: `{1,2}`, `[0:1]={a,"b c"}`, `(1,,x)`.
use crate::datum::{Array, Dimension, Record};
use crate::environment::Environment;
use crate::error::{PgError, PgResult, sqlstate};
use crate::{Datum, Oid, element_of};

/// PostgreSQL's MAXDIM.
const DIMENSIONS_MAX: usize = 6;

fn malformed(text: &str, detail: &str) -> Box<PgError> {
    let code = sqlstate::INVALID_TEXT_REPRESENTATION;
    PgError::new(code, format!("malformed array literal: \"{text}\"")).detail(detail)
}

pub fn array_from_text(array: Oid, modifier: i32, text: &str, environment: &dyn Environment) -> PgResult<Array> {
    let element = element_of(array).ok_or_else(|| PgError::internal("not an array type"))?;
    let mut reader = Reader { text, rest: text.trim_start(), element, modifier, environment, values: Vec::new() };
    let bounds = reader.bounds()?;
    if !reader.rest.starts_with('{') {
        return Err(malformed(text, "Array value must start with \"{\" or dimension information."));
    }
    let mut lengths = Vec::new();
    reader.level(0, &mut lengths)?;
    if !reader.rest.trim().is_empty() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    if reader.values.is_empty() {
        return Ok(Array { element, dimensions: Vec::new(), values: Vec::new() });
    }
    let lengths: Vec<usize> = lengths.into_iter().map(|length| length.unwrap_or(0)).collect();
    let lowers = match bounds {
        Some(bounds) => {
            let said: Vec<usize> = bounds.iter().map(|(lower, upper)| (upper - lower + 1).max(0) as usize).collect();
            if said != lengths {
                return Err(malformed(text, "Specified array dimensions do not match array contents."));
            }
            bounds.into_iter().map(|(lower, _)| lower).collect()
        }
        None => vec![1; lengths.len()],
    };
    let dimensions = lengths.into_iter().zip(lowers).map(|(length, lower)| Dimension { length, lower }).collect();
    Ok(Array { element, dimensions, values: reader.values })
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    element: Oid,
    modifier: i32,
    environment: &'a dyn Environment,
    values: Vec<Datum>,
}

impl Reader<'_> {
    /// `[1:2][0:3]=`
    fn bounds(&mut self) -> PgResult<Option<Vec<(i32, i32)>>> {
        if !self.rest.starts_with('[') {
            return Ok(None);
        }
        let fail = || malformed(self.text, "Missing \"=\" after array dimensions.");
        let (head, tail) = self.rest.split_once('=').ok_or_else(fail)?;
        let mut bounds = Vec::new();
        for piece in head.trim().split_inclusive(']') {
            let inner = piece.strip_prefix('[').and_then(|piece| piece.strip_suffix(']')).ok_or_else(fail)?;
            let (lower, upper) = inner.split_once(':').unwrap_or(("1", inner));
            let number = |text: &str| text.trim().parse::<i32>().map_err(|_| fail());
            let (lower, upper) = (number(lower)?, number(upper)?);
            if upper == i32::MAX {
                let message = format!("array upper bound is too large: {upper}");
                return Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
            }
            if upper < lower || i64::from(upper) - i64::from(lower) > 100_000_000 {
                return Err(PgError::new(
                    crate::error::SqlState(*b"2202E"),
                    "upper bound cannot be less than lower bound",
                ));
            }
            bounds.push((lower, upper));
        }
        self.rest = tail.trim_start();
        Ok(Some(bounds))
    }

    /// One `{...}`; `lengths[depth]` is the length that every array at this depth has.
    fn level(&mut self, depth: usize, lengths: &mut Vec<Option<usize>>) -> PgResult<()> {
        if depth >= DIMENSIONS_MAX {
            let message = format!("number of array dimensions ({}) exceeds the maximum allowed (6)", depth + 1);
            return Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
        if lengths.len() == depth {
            lengths.push(None);
        }
        self.rest = self.rest[1..].trim_start();
        let mut count = 0;
        if self.rest.starts_with('}') && depth == 0 {
            self.rest = &self.rest[1..];
            return Ok(());
        }
        loop {
            if self.rest.starts_with('{') {
                if count > 0 && lengths.len() == depth + 1 {
                    return Err(malformed(self.text, "Unexpected \"{\" character."));
                }
                self.level(depth + 1, lengths)?;
            } else {
                if lengths.len() > depth + 1 {
                    return Err(malformed(self.text, "Unexpected array element."));
                }
                let value = self.element()?;
                self.values.push(value);
            }
            count += 1;
            self.rest = self.rest.trim_start();
            match self.rest.chars().next() {
                Some(',') => self.rest = self.rest[1..].trim_start(),
                Some('}') => {
                    self.rest = &self.rest[1..];
                    break;
                }
                None => return Err(malformed(self.text, "Unexpected end of input.")),
                Some(_) => return Err(malformed(self.text, "Unexpected array element.")),
            }
        }
        match lengths[depth] {
            None => lengths[depth] = Some(count),
            Some(length) if length != count => {
                return Err(malformed(
                    self.text,
                    "Multidimensional arrays must have sub-arrays with matching dimensions.",
                ));
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn element(&mut self) -> PgResult<Datum> {
        let mut value = String::new();
        let mut quoted = false;
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        let mut in_quotes = false;
        // Length up to the last character that is not an unquoted blank.
        let mut significant = 0;
        while let Some((at, ch)) = chars.next() {
            match ch {
                '\\' => {
                    let Some((_, escaped)) = chars.next() else {
                        return Err(malformed(self.text, "Unexpected end of input."));
                    };
                    value.push(escaped);
                    quoted = true;
                    significant = value.len();
                }
                '"' => {
                    in_quotes = !in_quotes;
                    quoted = true;
                    significant = value.len();
                }
                ',' | '}' if !in_quotes => {
                    end = at;
                    break;
                }
                '{' if !in_quotes => return Err(malformed(self.text, "Unexpected \"{\" character.")),
                _ => {
                    value.push(ch);
                    if in_quotes || !ch.is_ascii_whitespace() {
                        significant = value.len();
                    }
                }
            }
        }
        if in_quotes || end == self.rest.len() {
            return Err(malformed(self.text, "Unexpected end of input."));
        }
        self.rest = &self.rest[end..];
        value.truncate(significant);
        if !quoted && value.is_empty() {
            return Err(malformed(self.text, &format!("Unexpected \"{}\" character.", &self.rest[..1])));
        }
        if !quoted && value.eq_ignore_ascii_case("null") {
            return Ok(Datum::Null);
        }
        super::input(self.element, self.modifier, &value, self.environment)
    }
}

/// True if the element must be quoted in an array's text.
fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case("null")
        || text
            .chars()
            .any(|ch| matches!(ch, '"' | '\\' | '{' | '}' | ',') || ch.is_ascii_whitespace() || ch == '\u{b}')
}

pub fn quote_array_element(text: &str, out: &mut String) {
    if !needs_quotes(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for ch in text.chars() {
        if matches!(ch, '"' | '\\') {
            out.push('\\');
        }
        out.push(ch);
    }
    out.push('"');
}

pub(super) fn write_array(array: &Array, environment: &dyn Environment, out: &mut String) {
    if array.dimensions.is_empty() {
        out.push_str("{}");
        return;
    }
    if array.dimensions.iter().any(|dimension| dimension.lower != 1) {
        for dimension in &array.dimensions {
            out.push_str(&format!("[{}:{}]", dimension.lower, dimension.upper()));
        }
        out.push('=');
    }
    write_level(array, 0, &mut array.values.iter(), environment, out);
}

fn write_level(
    array: &Array,
    depth: usize,
    values: &mut std::slice::Iter<'_, Datum>,
    environment: &dyn Environment,
    out: &mut String,
) {
    out.push('{');
    for at in 0..array.dimensions[depth].length {
        if at > 0 {
            out.push(',');
        }
        if depth + 1 < array.dimensions.len() {
            write_level(array, depth + 1, values, environment, out);
            continue;
        }
        match values.next() {
            None | Some(Datum::Null) => out.push_str("NULL"),
            Some(value) => {
                let text = super::output(array.element, value, environment).expect("not NULL");
                quote_array_element(&text, out);
            }
        }
    }
    out.push('}');
}

pub(super) fn write_record(record: &Record, environment: &dyn Environment, out: &mut String) {
    out.push('(');
    for (at, value) in record.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let Some(text) = super::output(record.field_type(at), value, environment) else { continue };
        let special = |ch: char| matches!(ch, '"' | '\\' | '(' | ')' | ',') || ch.is_ascii_whitespace();
        if !text.is_empty() && !text.contains(special) {
            out.push_str(&text);
            continue;
        }
        out.push('"');
        for ch in text.chars() {
            if matches!(ch, '"' | '\\') {
                out.push(ch);
            }
            out.push(ch);
        }
        out.push('"');
    }
    out.push(')');
}
