use super::*;
use crate::parser::tree::{CopyOption, CopyValue, Place};
use trivet_types::PgResult;

fn options(given: &[(&str, &str)]) -> CopyOptions {
    CopyOptions::parse(&given_options(given), true).expect("valid options")
}

fn given_options(given: &[(&str, &str)]) -> Vec<CopyOption> {
    let option = |(name, value): &(&str, &str)| CopyOption {
        name: (*name).to_owned(),
        value: CopyValue::Text((*value).to_owned()),
        place: Place::default(),
    };
    given.iter().map(option).collect()
}

/// All rows of `data`, given in chunks of `chunk` bytes.
fn read(options: &CopyOptions, data: &[u8], chunk: usize) -> PgResult<Vec<Vec<Option<String>>>> {
    let (mut reader, mut fields, mut rows) = (RowReader::new(options.clone()), Fields::default(), Vec::new());
    let mut drain = |reader: &mut RowReader| -> PgResult<()> {
        while reader.next_row(&mut fields)? {
            rows.push((0..fields.count()).map(|at| fields.field(at).map(str::to_owned)).collect());
        }
        Ok(())
    };
    for part in data.chunks(chunk) {
        reader.push(part);
        drain(&mut reader)?;
    }
    reader.finish();
    drain(&mut reader)?;
    Ok(rows)
}

fn shown(rows: &[Vec<Option<String>>]) -> Vec<String> {
    rows.iter()
        .map(|row| row.iter().map(|field| field.as_deref().unwrap_or("<null>")).collect::<Vec<_>>().join("|"))
        .collect()
}

#[test]
fn rows_are_the_same_whatever_the_chunks() {
    let text = options(&[]);
    let csv = options(&[("format", "csv"), ("header", "true")]);
    for (options, data, expected) in [
        (&text, &b"1\ta b\t\\N\n2\t\\tx\\\\\\x41\\101\t\n\\.\nignored\n"[..], &["1|a b|<null>", "2|\tx\\AA|"][..]),
        (&text, b"1\\\n2\tx", &["1\n2|x"]),
        (&text, b"a\r\nb\r\n", &["a", "b"]),
        (&text, b"\n\n", &["", ""]),
        (&csv, b"h1,h2\n1,\"a,\"\"b\"\"\nc\"\n,\"\"\n", &["1|a,\"b\"\nc", "<null>|"]),
    ] {
        for chunk in [1, 2, 3, 7, 1000] {
            assert_eq!(shown(&read(options, data, chunk).expect("good data")), expected, "chunks of {chunk}");
        }
    }
}

#[test]
fn errors_are_postgresqls() {
    let text = options(&[]);
    let csv = options(&[("format", "csv")]);
    for (options, data, code, message) in [
        (&text, &b"a\nb\rc\n"[..], "22P04", "literal carriage return found in data"),
        (&text, b"a\rb\n", "22P04", "literal newline found in data"),
        (&csv, b"a,\"b\n", "22P04", "unterminated CSV quoted field"),
        (&text, b"\xff\n", "22021", "invalid byte sequence for encoding \"UTF8\": 0xff"),
    ] {
        let error = read(options, data, 1000).expect_err(message);
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, message));
    }
    for (given, message) in [
        (vec![("nope", "1")], "option \"nope\" not recognized"),
        (vec![("format", "xml")], "COPY format \"xml\" not recognized"),
        (vec![("delimiter", "ab")], "COPY delimiter must be a single one-byte character"),
        (vec![("delimiter", "a")], "COPY delimiter cannot be \"a\""),
        (vec![("quote", "x")], "COPY quote available only in CSV mode"),
        (vec![("null", "a"), ("null", "b")], "conflicting or redundant options"),
    ] {
        assert_eq!(CopyOptions::parse(&given_options(&given), true).expect_err(message).message, message);
    }
}

#[test]
fn what_is_written_reads_back() {
    let awkward = ["", "\\.", "\\N", "a\tb", "line\nbreak", "\"quoted\"", ",", "back\\slash", "é\r", "\u{b}\u{c}\u{8}"];
    for options in [
        options(&[]),
        options(&[("format", "csv")]),
        options(&[("format", "csv"), ("escape", "\\"), ("delimiter", ";")]),
    ] {
        let mut out = Vec::new();
        for field in awkward {
            write_row(&options, [Some(field), None, Some(field)].into_iter(), &[], &mut out);
        }
        let rows = read(&options, &out, 5).expect("own output");
        let expected: Vec<_> =
            awkward.iter().map(|field| vec![Some((*field).to_owned()), None, Some((*field).to_owned())]).collect();
        assert_eq!(rows, expected, "{options:?}");
    }
}
