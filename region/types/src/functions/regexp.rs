//! Functions of regular expressions. How they match says `crate::are`.
use super::*;
use crate::are::{Expression, Options, Spans, compiled};
use crate::error::sqlstate;
use std::rc::Rc;

macro_rules! operators {
    ($($name:ident = $fold_case:expr, $expected:expr;)*) => {
        $(pub fn $name(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            let options = Options { fold_case: $fold_case, ..Options::default() };
            let expression = compiled(text(a, 1)?, options)?;
            Ok(Datum::Bool(expression.is_match(text(a, 0)?, environment)? == $expected))
        })*
    };
}
operators! {
    matches = false, true;
    differs = false, false;
    matches_folded = true, true;
    differs_folded = true, false;
}

/// The letters of a flags argument.
fn flags(letters: &str) -> PgResult<(Options, bool)> {
    let mut options = Options::default();
    let mut global = false;
    for letter in letters.chars() {
        if letter == 'g' {
            global = true;
        } else if !options.set(letter) {
            let message = format!("invalid regular expression option: \"{letter}\"");
            return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
        }
    }
    Ok((options, global))
}

fn no_global(function: &str) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("{function}() does not support the \"global\" option"))
}

/// The expression in argument 1, with the flags in argument `at` if there is one.
fn expression(a: &[Datum], at: usize) -> PgResult<(Rc<Expression>, bool)> {
    let (options, global) = if a.len() > at { flags(text(a, at)?)? } else { Default::default() };
    Ok((compiled(text(a, 1)?, options)?, global))
}

fn not_global(a: &[Datum], at: usize, function: &str) -> PgResult<Rc<Expression>> {
    match expression(a, at)? {
        (_, true) => Err(no_global(function)),
        (expression, false) => Ok(expression),
    }
}

/// An optional number with a least value.
fn bounded(a: &[Datum], at: usize, name: &str, default: i64, least: i64) -> PgResult<i64> {
    if a.len() <= at {
        return Ok(default);
    }
    let value = int(a, at)?;
    if value < least {
        let message = format!("invalid value for parameter \"{name}\": {value}");
        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
    }
    Ok(value)
}

/// The byte where the n-th character (from 1) begins; `None` past the end.
fn byte_of(value: &str, character: i64) -> Option<usize> {
    let skip = usize::try_from(character - 1).unwrap_or(0);
    value.char_indices().map(|(at, _)| at).chain(Some(value.len())).nth(skip)
}

fn slice(value: &str, span: Option<(usize, usize)>) -> Datum {
    span.map_or(Datum::Null, |(from, to)| Datum::text(&value[from..to]))
}

/// `substring(text from pattern)`: the first group, or the whole match.
pub fn substring(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, expression) = (text(a, 0)?, compiled(text(a, 1)?, Options::default())?);
    let found = expression.find_at(value, 0, environment)?;
    Ok(found.map_or(Datum::Null, |spans| slice(value, spans[usize::from(spans.len() > 1)])))
}

/// `substring(text from pattern for escape)`: SQL's own patterns.
pub fn sql_substring(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let pattern = super::pattern::similar_to_escape(environment, &a[1..])?;
    substring(environment, &[a[0].clone(), pattern])
}

/// A replacement's text for one match: `\1` to `\9`, `\&` and `\\` mean something.
fn push_replacement(template: &str, value: &str, spans: &Spans, out: &mut String) {
    let mut chars = template.chars();
    while let Some(ch) = chars.next() {
        if ch != '\\' {
            out.push(ch);
            continue;
        }
        let group = match chars.next() {
            Some('&') => Some(0),
            Some(digit @ '1'..='9') => digit.to_digit(10).map(|digit| digit as usize),
            Some('\\') | None => {
                out.push('\\');
                continue;
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
                continue;
            }
        };
        if let Some((from, to)) = group.and_then(|group| spans.get(group).copied().flatten()) {
            out.push_str(&value[from..to]);
        }
    }
}

/// Replace the n-th match, or all if `nth` is 0.
fn replaced(
    environment: &dyn Environment,
    expression: &Expression,
    value: &str,
    template: &str,
    start: usize,
    nth: i64,
) -> PgResult<Datum> {
    let mut out = String::with_capacity(value.len());
    let mut copied = 0;
    let references = template.matches('\\').count();
    for (spans, count) in expression.find_all(value, start, environment).zip(1..) {
        let spans = spans?;
        if nth > 0 && count < nth {
            continue;
        }
        let (from, to) = spans[0].expect("a match has an extent");
        out.push_str(&value[copied..from]);
        let longest = spans.iter().flatten().map(|(from, to)| to - from).max().unwrap_or(0);
        let most = template.len().saturating_add(references.saturating_mul(longest));
        super::room::check(environment, out.len().saturating_add(most))?;
        push_replacement(template, value, &spans, &mut out);
        copied = to;
        if nth > 0 {
            break;
        }
    }
    out.push_str(&value[copied..]);
    Ok(Datum::text(out))
}

/// `regexp_replace(text, pattern, replacement [, flags])`
pub fn replace(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    if let Some(first) =
        a.get(3).and_then(Datum::as_str).filter(|flags| flags.starts_with(|ch: char| ch.is_ascii_digit()))
    {
        let message = format!("invalid regular expression option: \"{}\"", &first[..1]);
        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message).hint(
            "If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.",
        ));
    }
    let (expression, global) = expression(a, 3)?;
    replaced(environment, &expression, text(a, 0)?, text(a, 2)?, 0, if global { 0 } else { 1 })
}
/// `regexp_replace(text, pattern, replacement, start [, n [, flags]])`
pub fn replace_from(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let start = bounded(a, 3, "start", 1, 1)?;
    let (expression, global) = expression(a, 5)?;
    let nth = bounded(a, 4, "n", if global { 0 } else { 1 }, 0)?;
    let value = text(a, 0)?;
    match byte_of(value, start) {
        Some(start) => replaced(environment, &expression, value, text(a, 2)?, start, nth),
        None => Ok(a[0].clone()),
    }
}

/// A match's groups, or the whole match if there are none.
fn groups(value: &str, spans: &Spans) -> Datum {
    let first = usize::from(spans.len() > 1);
    Datum::array(Array::from_values(crate::oid::TEXT, spans[first..].iter().map(|span| slice(value, *span)).collect()))
}

/// `regexp_match(text, pattern [, flags])`
pub fn first_match(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (expression, global) = expression(a, 2)?;
    if global {
        return Err(no_global("regexp_match").hint("Use the regexp_matches function instead."));
    }
    let value = text(a, 0)?;
    Ok(expression.find_at(value, 0, environment)?.map_or(Datum::Null, |spans| groups(value, &spans)))
}
/// `regexp_matches(text, pattern [, flags])`: a row a match, all of them with the flag g.
pub fn match_rows(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let (expression, global) = expression(a, 2)?;
    let value = text(a, 0)?;
    let limit = if global { usize::MAX } else { 1 };
    let found = expression.find_all(value, 0, environment).take(limit);
    let rows = found.map(|spans| Ok(groups(value, &spans?))).collect::<PgResult<Vec<Datum>>>()?;
    Ok(Box::new(rows.into_iter().map(Ok)))
}

/// Empty matches at the ends or right after another match separate nothing.
fn split(environment: &dyn Environment, a: &[Datum], function: &str) -> PgResult<Vec<Datum>> {
    let expression = not_global(a, 2, function)?;
    let value = text(a, 0)?;
    let mut parts = Vec::new();
    let mut previous = 0;
    for spans in expression.find_all(value, 0, environment) {
        let spans = spans?;
        let (from, to) = spans[0].expect("a match has an extent");
        if from < value.len() && to > previous {
            parts.push(Datum::text(&value[previous..from]));
            previous = to;
        }
    }
    parts.push(Datum::text(&value[previous..]));
    Ok(parts)
}
pub fn split_to_array(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::array(Array::from_values(crate::oid::TEXT, split(environment, a, "regexp_split_to_array")?)))
}
pub fn split_to_rows(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    Ok(Box::new(split(environment, a, "regexp_split_to_table")?.into_iter().map(Ok)))
}

/// `regexp_count(text, pattern [, start [, flags]])`
pub fn count(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let start = bounded(a, 2, "start", 1, 1)?;
    let expression = not_global(a, 3, "regexp_count")?;
    let value = text(a, 0)?;
    let Some(start) = byte_of(value, start) else { return Ok(Datum::Int4(0)) };
    let found = expression.find_all(value, start, environment).map(|spans| spans.map(|_| 1));
    found.sum::<PgResult<i32>>().map(Datum::Int4)
}

/// `regexp_like(text, pattern [, flags])`
pub fn like(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    not_global(a, 2, "regexp_like")?.is_match(text(a, 0)?, environment).map(Datum::Bool)
}

/// The n-th match from a character on: the spans of it, if there is one with that group.
fn nth_match(
    environment: &dyn Environment,
    expression: &Expression,
    value: &str,
    (start, nth, group): (i64, i64, i64),
) -> PgResult<Option<(usize, usize)>> {
    let Some(start) = byte_of(value, start) else { return Ok(None) };
    let spans = expression.find_all(value, start, environment).nth(nth as usize - 1).transpose()?;
    Ok(spans.and_then(|spans| spans.get(group as usize).copied().flatten()))
}

/// `regexp_instr(text, pattern [, start [, n [, end [, flags [, group]]]]])`
pub fn position(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let start = bounded(a, 2, "start", 1, 1)?;
    let nth = bounded(a, 3, "n", 1, 1)?;
    let end = bounded(a, 4, "endoption", 0, 0)?;
    if end > 1 {
        let message = format!("invalid value for parameter \"endoption\": {end}");
        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
    }
    let expression = not_global(a, 5, "regexp_instr")?;
    let group = bounded(a, 6, "subexpr", 0, 0)?;
    let value = text(a, 0)?;
    let found = nth_match(environment, &expression, value, (start, nth, group))?;
    Ok(Datum::Int4(found.map_or(0, |(from, to)| {
        let at = if end == 1 { to } else { from };
        value[..at].chars().count() as i32 + 1
    })))
}

/// `regexp_substr(text, pattern [, start [, n [, flags [, group]]]])`
pub fn nth_substring(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let start = bounded(a, 2, "start", 1, 1)?;
    let nth = bounded(a, 3, "n", 1, 1)?;
    let expression = not_global(a, 4, "regexp_substr")?;
    let group = bounded(a, 5, "subexpr", 0, 0)?;
    let value = text(a, 0)?;
    Ok(slice(value, nth_match(environment, &expression, value, (start, nth, group))?))
}
