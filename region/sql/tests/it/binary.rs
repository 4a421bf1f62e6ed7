//! Values in the binary format, both ways. What PostgreSQL 15 sends (its `*send` functions, as hex) is what is sent here, and
//! what is taken for a parameter.
use crate::server::Server;
use std::error::Error;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};

/// The bytes of a value, of any type.
#[derive(Debug, PartialEq, Eq)]
struct Raw(Vec<u8>);

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Raw, Box<dyn Error + Sync + Send>> {
        Ok(Raw(raw.to_vec()))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }
    to_sql_checked!();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits")).collect()
}

/// Type, text, and what PostgreSQL sends for it.
#[rustfmt::skip]
const VALUES: &[(&str, &str, &str)] = &[
    ("bool", "true", "01"),
    ("int2", "-5", "fffb"),
    ("int4", "123456", "0001e240"),
    ("int8", "-9000000000", "fffffffde78ee600"),
    ("float4", "1.5", "3fc00000"),
    ("float8", "-2.25", "c002000000000000"),
    ("numeric", "0", "0000000000000000"),
    ("numeric", "-12345.6789", "0003000140000004000109291a85"),
    ("numeric", "0.00001", "0001fffe0000000503e8"),
    ("numeric", "100000000", "00010002000000000001"),
    ("numeric", "1.50", "000200000000000200011388"),
    ("numeric", "NaN", "00000000c0000000"),
    ("numeric", "Infinity", "00000000d0000020"),
    ("numeric", "-Infinity", "00000000f0000020"),
    ("text", "héllo", "68c3a96c6c6f"),
    ("varchar(5)", "ab", "6162"),
    ("char(4)", "ab", "61622020"),
    ("name", "nm", "6e6d"),
    ("bytea", "\\x00ff10", "00ff10"),
    ("date", "2024-02-29", "00002279"),
    ("date", "infinity", "7fffffff"),
    ("date", "0044-03-15 BC", "fff49d7b"),
    ("time", "10:20:30.456789", "00000008ab1bafd5"),
    ("timestamp", "2024-02-29 10:20:30.5", "0002b58160a8b8a0"),
    ("timestamp", "-infinity", "8000000000000000"),
    ("timestamptz", "2024-02-29 10:20:30.5+00", "0002b58160a8b8a0"),
    ("interval", "1 year 2 mons 3 days 04:05:06.7", "000000036c966ee0000000030000000e"),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    ("json", "{\"a\":  1}", "7b2261223a2020317d"),
    ("jsonb", "{\"a\": [1, 2.50, null]}", "017b2261223a205b312c20322e35302c206e756c6c5d7d"),
    ("int4[]", "{1,NULL,3}", "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003"),
    ("text[]", "{a,\"b c\",NULL}", "0000000100000001000000190000000300000001000000016100000003622063ffffffff"),
    ("int4[]", "{{1,2},{3,4}}", "000000020000000000000017000000020000000100000002000000010000000400000001000000040000000200000004000000030000000400000004"),
    ("int4[]", "[2:3]={1,2}", "000000010000000000000017000000020000000200000004000000010000000400000002"),
    ("int4[]", "{}", "000000000000000000000017"),
    ("numeric[]", "{1.5,2}", "0000000100000000000006a400000002000000010000000c0002000000000001000113880000000a00010000000000000002"),
    ("jsonb[]", "{\"{\\\"a\\\": 1}\"}", "000000010000000000000eda000000010000000100000009017b2261223a20317d"),
    ("timestamptz[]", "{\"2024-01-01 00:00:00+00\"}", "0000000100000000000004a00000000100000001000000080002b0d5d4e94000"),
    ("uuid[]", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "000000010000000000000b86000000010000000100000010a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    ("oid", "42", "0000002a"),
    ("bool[]", "{t,f}", "000000010000000000000010000000020000000100000001010000000100"),
];

#[tokio::test]
async fn values_are_sent_and_taken_as_postgresql_does() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut failures = String::new();
    for (type_name, text, expected) in VALUES {
        let literal = text.replace('\'', "''");
        let sent = client.query_one(&format!("select '{literal}'::{type_name}"), &[]).await;
        let sent = sent.unwrap_or_else(|error| panic!("{type_name} {text}: {error}")).get::<_, Raw>(0);
        if hex(&sent.0) != *expected {
            failures.push_str(&format!("{type_name} {text}: {} sent, PostgreSQL: {expected}\n", hex(&sent.0)));
        }
        let parameter = Raw(unhex(expected));
        let taken = client.query_one(&format!("select ($1::{type_name})::text"), &[&parameter]).await;
        let taken = taken.unwrap_or_else(|error| panic!("{type_name} {text} as a parameter: {error}"));
        let shown: String = taken.get(0);
        if shown.trim_end() != if *type_name == "bool" { "true" } else { text } {
            failures.push_str(&format!("{type_name} {text}: taken as {shown}\n"));
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[tokio::test]
async fn bytes_that_are_no_value_are_refused() {
    let server = Server::start().await;
    let client = server.client().await;
    let cases: &[(&str, &[u8], &str)] = &[
        ("int4", b"abc", "22P03"),
        ("bool", b"", "22P03"),
        ("text", b"\xff", "22021"),
        ("uuid", b"123", "22P03"),
        ("json", b"{", "22P02"),
        ("jsonb", b"\x01{", "22P02"),
        ("numeric", b"\x00\x05\x00\x00", "22P03"),
        ("int4[]", b"\x00\x00\x00\x01", "22P03"),
        ("timestamp", b"\x7f\xff\xff\xff\xff\xff\xff\xfe", "22008"),
    ];
    for (type_name, bytes, code) in cases {
        let parameter = Raw(bytes.to_vec());
        let error = client.query_one(&format!("select $1::{type_name}"), &[&parameter]).await.expect_err(type_name);
        assert_eq!(error.code().map(|state| state.code()), Some(*code), "{type_name}: {error}");
    }
}
