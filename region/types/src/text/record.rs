//! Rows of a relation from text: `(1,,"a b")`, as PostgreSQL's `record_in` reads them.
use crate::datum::Record;
use crate::environment::Environment;
use crate::error::{PgError, PgResult, sqlstate};
use crate::user::RowType;
use crate::{Datum, Oid, display_name};

fn malformed(text: &str, detail: &str) -> Box<PgError> {
    let code = sqlstate::INVALID_TEXT_REPRESENTATION;
    PgError::new(code, format!("malformed record literal: \"{text}\"")).detail(detail)
}

pub fn row_from_text(oid: Oid, text: &str, environment: &dyn Environment) -> PgResult<Datum> {
    let Some(RowType { shape, modifiers, .. }) = environment.row_type(oid) else {
        return Err(PgError::unsupported(format!("reading a value of type {}", display_name(oid, -1))));
    };
    let Some(mut rest) = text.trim_start().strip_prefix('(') else {
        return Err(malformed(text, "Missing left parenthesis."));
    };
    let mut values = Vec::with_capacity(shape.types.len());
    for (at, type_oid) in shape.types.iter().enumerate() {
        if at > 0 {
            rest = rest.strip_prefix(',').ok_or_else(|| malformed(text, "Too few columns."))?;
        }
        let (field, behind) = field(rest).ok_or_else(|| malformed(text, "Unexpected end of input."))?;
        rest = behind;
        let modifier = modifiers.get(at).copied().unwrap_or(-1);
        values.push(match field {
            Some(field) => super::input(*type_oid, modifier, &field, environment)?,
            None => Datum::Null,
        });
    }
    if rest.starts_with(',') {
        return Err(malformed(text, "Too many columns."));
    }
    let rest = rest.strip_prefix(')').ok_or_else(|| malformed(text, "Unexpected end of input."))?;
    if !rest.trim().is_empty() {
        return Err(malformed(text, "Junk after right parenthesis."));
    }
    Ok(Datum::Record(Record::with_shape(values, shape.clone())))
}

/// One field up to the comma or parenthesis that ends it; NULL if there is nothing. `None`: the text ends first.
fn field(text: &str) -> Option<(Option<String>, &str)> {
    if text.starts_with([',', ')']) {
        return Some((None, text));
    }
    let mut value = String::new();
    let mut quoted = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | ')' if !quoted => return Some((Some(value), &text[at..])),
            '\\' => value.push(characters.next()?.1),
            '"' if quoted && matches!(characters.peek(), Some((_, '"'))) => {
                characters.next();
                value.push('"');
            }
            '"' => quoted = !quoted,
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_at_commas_outside_of_quotes() {
        assert_eq!(field("a b,c)"), Some((Some("a b".into()), ",c)")));
        assert_eq!(field(",c)"), Some((None, ",c)")));
        assert_eq!(field("\"a,\"\"b\\)\")"), Some((Some("a,\"b)".into()), ")")));
        assert_eq!(field("\"a"), None);
    }
}
