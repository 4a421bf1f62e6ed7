//! Grants as rows: `aclexplode`. A grant is a text here, `ann=r*w/postgres`.
use super::{Rows, array_at};
use crate::environment::Environment;
use crate::error::{PgError, PgResult, sqlstate};
use crate::{Datum, oid, text};

/// In the order of PostgreSQL's bits.
const PRIVILEGES: &[(char, &str)] = &[
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
];

/// Rows of (grantor, grantee, privilege_type, is_grantable).
pub fn explode(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let mut rows = Vec::new();
    for item in &array_at(a, 0)?.values {
        let Datum::Text(item) = item else {
            return Err(PgError::new(sqlstate::NULL_VALUE_NOT_ALLOWED, "ACL arrays must not contain null values"));
        };
        let damaged = || PgError::internal(format!("a grant that cannot be read: {item}"));
        let (grantee, rest) = split_unquoted(item, '=').ok_or_else(damaged)?;
        let (letters, grantor) = rest.split_once('/').ok_or_else(damaged)?;
        let role = |name: &str| match name {
            "" => Ok(Datum::Oid(0)),
            name => text::input(oid::REGROLE, -1, name, environment),
        };
        let (grantor, grantee) = (role(grantor)?, role(grantee)?);
        for (letter, name) in PRIVILEGES {
            let Some(at) = letters.find(*letter) else { continue };
            let grantable = letters[at + 1..].starts_with('*');
            let fields = vec![grantor.clone(), grantee.clone(), Datum::text(*name), Datum::Bool(grantable)];
            rows.push(Ok(Datum::Record(fields.into())));
        }
    }
    Ok(Box::new(rows.into_iter()))
}

/// What stands before and behind a character that is in no quotes.
fn split_unquoted(text: &str, separator: char) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            other if other == separator && !quoted => return Some((&text[..at], &text[at + other.len_utf8()..])),
            _ => {}
        }
    }
    None
}
