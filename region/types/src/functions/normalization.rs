//! Unicode's normal forms (manual, section 9.4: `normalize`, `IS NORMALIZED`).
use super::{room, text};
use crate::Datum;
use crate::environment::Environment;
use crate::error::{PgError, PgResult, sqlstate};
use unicode_normalization::UnicodeNormalization;

/// The text's characters in the form that the second argument names.
fn normal<'a>(a: &'a [Datum]) -> PgResult<Box<dyn Iterator<Item = char> + 'a>> {
    let (value, form) = (text(a, 0)?.as_str(), text(a, 1)?.as_str());
    Ok(match form.to_ascii_uppercase().as_str() {
        "NFC" => Box::new(value.nfc()),
        "NFD" => Box::new(value.nfd()),
        "NFKC" => Box::new(value.nfkc()),
        "NFKD" => Box::new(value.nfkd()),
        _ => {
            let message = format!("invalid normalization form: {form}");
            return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
        }
    })
}

pub fn normalize(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let bytes = normal(a)?.map(char::len_utf8).sum();
    room::check(environment, bytes)?;
    let mut out = String::with_capacity(bytes);
    out.extend(normal(a)?);
    Ok(Datum::text(out))
}

pub fn is_normalized(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(normal(a)?.eq(text(a, 0)?.chars())))
}
