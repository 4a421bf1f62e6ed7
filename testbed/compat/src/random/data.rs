//! The tables that random statements are about: small, full of NULLs, of values that meet.
use super::tree::Kind;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

pub const TABLES: [&str; 3] = ["ta", "tb", "tc"];
/// The first is the key and never NULL.
pub const COLUMNS: [(&str, Kind, &str); 8] = [
    ("id", Kind::Int, "int primary key"),
    ("i", Kind::Int, "int"),
    ("n", Kind::Numeric, "numeric"),
    ("s", Kind::Text, "text"),
    ("d", Kind::Date, "date"),
    ("ts", Kind::Timestamp, "timestamp"),
    ("f", Kind::Bool, "bool"),
    ("j", Kind::Json, "jsonb"),
];

/// Columns whose type the other side has too.
pub fn columns(with_json: bool) -> impl Iterator<Item = (&'static str, Kind, &'static str)> {
    COLUMNS.into_iter().filter(move |(_, kind, _)| with_json || *kind != Kind::Json)
}

pub fn literals(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Int => &["0", "1", "2", "3", "5", "7", "-1", "-2"],
        Kind::Numeric => &["0.0", "0.5", "1.25", "2.50", "-3.1", "10.00", "7.0"],
        Kind::Text => &["''::text", "'a'::text", "'b'::text", "'ab'::text", "'B'::text", "'a%'::text", "'1'::text"],
        Kind::Date => &["date '2024-01-31'", "date '2024-02-29'", "date '1999-12-31'", "date '2024-02-01'"],
        Kind::Timestamp => {
            &["timestamp '2024-01-31 00:00:00'", "timestamp '2024-02-29 12:30:15.5'", "timestamp '1999-12-31 23:59:59'"]
        }
        Kind::Bool => &["true", "false"],
        Kind::Json => &["'{}'::jsonb", "'{\"a\": 1}'::jsonb", "'[1, null]'::jsonb", "'\"a\"'::jsonb"],
    }
}

pub fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "int",
        Kind::Numeric => "numeric",
        Kind::Text => "text",
        Kind::Date => "date",
        Kind::Timestamp => "timestamp",
        Kind::Bool => "bool",
        Kind::Json => "jsonb",
    }
}

/// Statements that make and fill the tables.
pub fn setup(seed: u64, with_json: bool) -> Vec<String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut statements = vec![super::more::ENUM.to_owned()];
    for (at, table) in TABLES.iter().enumerate() {
        let shown: Vec<String> =
            columns(with_json).map(|(name, _, definition)| format!("{name} {definition}")).collect();
        statements.push(format!("create table {table} ({})", shown.join(", ")));
        let row_count = [9, 6, 3][at] + random.random_range(0..4);
        let rows: Vec<String> = (1..=row_count)
            .map(|id| {
                let values: Vec<String> = columns(with_json)
                    .skip(1)
                    .map(|(_, kind, _)| match random.random_ratio(3, 10) {
                        true => "null".to_owned(),
                        false => (*literals(kind).choose(&mut random).expect("every type has literals")).to_owned(),
                    })
                    .collect();
                format!("({id}, {})", values.join(", "))
            })
            .collect();
        statements.push(format!("insert into {table} values {}", rows.join(", ")));
    }
    statements.push("create index ta_i on ta (i)".into());
    statements.push("create index tb_s on tb (s, d)".into());
    statements
}
