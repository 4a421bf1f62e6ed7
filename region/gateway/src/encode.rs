//! Bytes of the messages that are sent for every row or statement, and the fields of errors. The rest is pgwire's encoder.
use crate::session::{Column, Format};
use bytes::{BufMut, BytesMut};
use pgwire::messages::response::{ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus as Letter};
use std::borrow::Cow;
use trivet_types::{PgError, Severity};

use crate::session::TransactionStatus;

/// Type, a length to be patched, body.
pub(crate) fn message(buffer: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    buffer.put_u8(kind);
    buffer.put_i32(0);
    body(buffer);
}

pub(crate) fn patch_length(buffer: &mut BytesMut, start: usize, length: i32) {
    buffer[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

/// A text that ends at its NUL must have none inside.
pub(crate) fn put_text(buffer: &mut BytesMut, text: &str) {
    buffer.put_slice(without_nul(text).as_bytes());
    buffer.put_u8(0);
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// RowDescription's body. `formats` as Bind sends them: none = text, one = for all, else one a column.
pub(crate) fn put_columns(buffer: &mut BytesMut, columns: &[Column], formats: &[Format]) {
    buffer.put_u16(u16::try_from(columns.len()).expect("a row has at most 1664 columns"));
    for (index, column) in columns.iter().enumerate() {
        put_text(buffer, &column.name);
        buffer.put_u32(column.table_oid);
        buffer.put_i16(column.attribute);
        buffer.put_u32(column.type_oid);
        buffer.put_i16(column.type_len);
        buffer.put_i32(column.type_modifier);
        buffer.put_i16(format_code(format_of(formats, index)));
    }
}

fn format_of(formats: &[Format], index: usize) -> Format {
    match formats {
        [] => Format::Text,
        [all] => *all,
        each => each.get(index).copied().unwrap_or(Format::Text),
    }
}

fn format_code(format: Format) -> i16 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

/// Body of CopyInResponse and CopyOutResponse.
pub(crate) fn put_copy_response(buffer: &mut BytesMut, format: Format, column_count: usize) {
    let code = format_code(format);
    buffer.put_i8(code as i8);
    buffer.put_u16(u16::try_from(column_count).expect("a table has at most 1600 columns"));
    for _ in 0..column_count {
        buffer.put_i16(code);
    }
}

pub(crate) fn ready(status: TransactionStatus) -> ReadyForQuery {
    ReadyForQuery::new(match status {
        TransactionStatus::Idle => Letter::Idle,
        TransactionStatus::InBlock => Letter::Transaction,
        TransactionStatus::Failed => Letter::Error,
    })
}

pub(crate) fn error_response(error: &PgError) -> ErrorResponse {
    ErrorResponse::new(fields(error, error.severity))
}

/// A notice whose severity was left at ERROR is shown as a NOTICE: nothing else may travel in this message.
pub(crate) fn notice_response(notice: &PgError) -> NoticeResponse {
    let severity = match notice.severity {
        Severity::Error | Severity::Fatal | Severity::Panic => Severity::Notice,
        severity => severity,
    };
    NoticeResponse::new(fields(notice, severity))
}

/// PostgreSQL's fields in PostgreSQL's order, without file, line and routine.
fn fields(error: &PgError, severity: Severity) -> Vec<(u8, String)> {
    let mut fields = Vec::with_capacity(6);
    let mut put = |letter: u8, text: &str| fields.push((letter, without_nul(text).into_owned()));
    let severity = severity.as_str();
    put(b'S', severity);
    put(b'V', severity);
    put(b'C', error.code.as_str());
    put(b'M', &error.message);
    let position = error.position.map(|position| position.to_string());
    let optional = [
        (b'D', &error.detail),
        (b'H', &error.hint),
        (b'P', &position),
        (b'W', &error.context),
        (b's', &error.schema),
        (b't', &error.table),
        (b'c', &error.column),
        (b'd', &error.data_type),
        (b'n', &error.constraint),
    ];
    for (letter, text) in optional {
        if let Some(text) = text {
            put(letter, text);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwire::messages::Message;
    use trivet_types::sqlstate;

    #[test]
    fn errors_have_postgresqls_fields_in_its_order() {
        let error = PgError::new(sqlstate::UNIQUE_VIOLATION, "duplicate key value violates unique constraint \"a\0b\"")
            .detail("Key (k)=(1) already exists.")
            .hint("Try another.")
            .position(7)
            .table("t")
            .column("k")
            .constraint("t_pkey");
        let letters: Vec<char> = error_response(&error).fields.iter().map(|field| char::from(field.0)).collect();
        assert_eq!(letters, ['S', 'V', 'C', 'M', 'D', 'H', 'P', 't', 'c', 'n']);
        let mut bytes = BytesMut::new();
        error_response(&error).encode(&mut bytes).expect("encodes");
        assert!(bytes.starts_with(b"E\0\0\0"));
        assert!(bytes[5..].starts_with(
            "SERROR\0VERROR\0C23505\0Mduplicate key value violates unique constraint \"a\u{fffd}b\"\0D".as_bytes()
        ));
        assert_eq!(bytes.len(), 1 + i32::from_be_bytes(bytes[1..5].try_into().expect("four bytes")) as usize);
    }

    #[test]
    fn a_notice_is_never_an_error() {
        let notice = PgError::new(sqlstate::SUCCESSFUL_COMPLETION, "hello");
        assert_eq!(notice_response(&notice).fields[0], (b'S', "NOTICE".to_owned()));
        let warning = PgError::new(sqlstate::WARNING, "careful").severity(Severity::Warning);
        assert_eq!(notice_response(&warning).fields[1], (b'V', "WARNING".to_owned()));
    }
}
