//! Any value as JSON text: numbers and truth values as they are, JSON as it is, arrays and rows as containers,
//! dates and times in ISO 8601, everything else as a string of its text form.
use crate::datum::{Array, Record};
use crate::environment::Environment;
use crate::{Datum, Oid, datetime, element_of, oid, text};
use std::fmt::Write;

/// A JSON string.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for ch in text.chars() {
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ch if ch < ' ' => {
                let _ = write!(out, "\\u{:04x}", ch as u32);
            }
            ch => out.push(ch),
        }
    }
    out.push('"');
}

/// Append a value. `pretty` puts the parts of an outermost container on lines of their own.
pub fn write_value(type_oid: Oid, value: &Datum, pretty: bool, environment: &dyn Environment, out: &mut String) {
    match value {
        Datum::Null => out.push_str("null"),
        Datum::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) => text::write(type_oid, value, environment, out),
        Datum::Float4(number) => write_number(f64::from(*number).is_finite(), type_oid, value, environment, out),
        Datum::Float8(number) => write_number(number.is_finite(), type_oid, value, environment, out),
        Datum::Numeric(number) => write_number(number.parts().is_some(), type_oid, value, environment, out),
        Datum::Text(json) if matches!(type_oid, oid::JSON | oid::JSONB) => out.push_str(json),
        Datum::Date(date) => write_string(&datetime::format_date(*date), out),
        Datum::Timestamp(timestamp) => {
            let zone = (type_oid == oid::TIMESTAMPTZ).then_some(&environment.format().time_zone);
            write_string(&datetime::format_timestamp_xsd(*timestamp, zone), out);
        }
        Datum::Array(array) if !matches!(type_oid, oid::INT2VECTOR | oid::OIDVECTOR) => {
            write_array(type_oid, array, pretty, environment, out);
        }
        Datum::Record(record) => write_record(record, pretty, environment, out),
        other => {
            let shown = text::output(type_oid, other, environment).unwrap_or_default();
            write_string(&shown, out);
        }
    }
}

/// NaN and the infinities are no JSON numbers.
fn write_number(finite: bool, type_oid: Oid, value: &Datum, environment: &dyn Environment, out: &mut String) {
    if !finite {
        out.push('"');
    }
    text::write(type_oid, value, environment, out);
    if !finite {
        out.push('"');
    }
}

fn write_array(type_oid: Oid, array: &Array, pretty: bool, environment: &dyn Environment, out: &mut String) {
    let element = element_of(type_oid).unwrap_or(array.element);
    if array.dimensions.is_empty() {
        out.push_str("[]");
        return;
    }
    write_level(element, array, 0, &mut array.values.iter(), pretty, environment, out);
}

fn write_level(
    element: Oid,
    array: &Array,
    depth: usize,
    values: &mut std::slice::Iter<'_, Datum>,
    pretty: bool,
    environment: &dyn Environment,
    out: &mut String,
) {
    out.push('[');
    for at in 0..array.dimensions[depth].length {
        if at > 0 {
            out.push_str(if pretty { ",\n " } else { "," });
        }
        if depth + 1 < array.dimensions.len() {
            write_level(element, array, depth + 1, values, false, environment, out);
        } else {
            write_value(element, values.next().unwrap_or(&Datum::Null), false, environment, out);
        }
    }
    out.push(']');
}

fn write_record(record: &Record, pretty: bool, environment: &dyn Environment, out: &mut String) {
    out.push('{');
    for (at, value) in record.iter().enumerate() {
        if at > 0 {
            out.push_str(if pretty { ",\n " } else { "," });
        }
        write_string(&record.field_name(at), out);
        out.push(':');
        write_value(record.field_type(at), value, false, environment, out);
    }
    out.push('}');
}
