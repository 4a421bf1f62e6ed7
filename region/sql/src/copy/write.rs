//! From fields to the bytes that the client gets, a line a row.
use super::options::{CopyFormat, CopyOptions};

pub fn write_header<'a>(options: &CopyOptions, names: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    if options.header {
        write_row(options, names.map(Some), &[], out);
    }
}

/// Appends one line with its newline. `quoted`: fields that CSV quotes whatever they are.
pub fn write_row<'a>(
    options: &CopyOptions,
    fields: impl Iterator<Item = Option<&'a str>>,
    quoted: &[bool],
    out: &mut Vec<u8>,
) {
    let line_start = out.len();
    for (at, field) in fields.enumerate() {
        if at > 0 {
            out.push(options.delimiter);
        }
        match (field, options.format) {
            (None, _) => out.extend_from_slice(options.null.as_bytes()),
            (Some(text), CopyFormat::Csv) => {
                write_csv(text, quoted.get(at).copied().unwrap_or(false), options, out);
            }
            (Some(text), _) => write_text(text, options, out),
        }
    }
    // A lone `\.` would end the data; only a one-column CSV can say it unquoted.
    if options.format == CopyFormat::Csv && out[line_start..] == *b"\\." {
        out.truncate(line_start);
        out.extend_from_slice(&[options.quote, b'\\', b'.', options.quote]);
    }
    out.push(b'\n');
}

fn write_text(text: &str, options: &CopyOptions, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        let escaped = match byte {
            8 => b'b',
            9 => b't',
            10 => b'n',
            11 => b'v',
            12 => b'f',
            13 => b'r',
            b'\\' => b'\\',
            other if other == options.delimiter => other,
            other => {
                out.push(other);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escaped]);
    }
}

fn write_csv(text: &str, forced: bool, options: &CopyOptions, out: &mut Vec<u8>) {
    let special = |byte: u8| byte == options.delimiter || byte == options.quote || matches!(byte, b'\n' | b'\r');
    if !forced && text != options.null && !text.bytes().any(special) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(options.quote);
    for byte in text.bytes() {
        if byte == options.quote || byte == options.escape {
            out.push(options.escape);
        }
        out.push(byte);
    }
    out.push(options.quote);
}
