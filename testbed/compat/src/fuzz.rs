//! Broken SQL: statements of the suite cut, mixed and repeated from a seed. Whatever it makes, the server must answer, in time,
//! and not with an internal error.
//!
//! Of three statements one is broken anywhere, which mostly tries the parser. In the other two a name gives way to a name, a
//! number to a number, a string to a string and a function to a function: most still parse, and go deep.
use crate::answer::Piece;
use crate::wire::{Connection, Target};
use anyhow::{Context, Result};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What statements may take on our side; an answer is waited for much longer.
const STATEMENT_TIMEOUT: &str = "set statement_timeout = '3s'";
const INTERNAL: &str = "XX000";
/// So deep a nesting at once, at most.
const NESTING_MAX: usize = 20_000;
/// Longer texts are cut.
const LENGTH_MAX: usize = 200_000;

/// In the place of a number or a string.
const NASTY_VALUES: &[&str] = &[
    "0",
    "-1",
    "32768",
    "2147483647",
    "-2147483648",
    "(-9223372036854775808)",
    "9223372036854775807",
    "1e308",
    "-1e-307",
    "1e131071",
    "'NaN'",
    "'-infinity'",
    "'infinity'",
    "null",
    "''",
    "'{}'",
    "'[]'",
    "'{NULL}'",
    "'\u{1F600}'",
    "'%'",
    "'\\'",
    "'294276-12-31 23:59:59'",
    "'4714-11-24 BC'",
    "'178000000 years'",
    "repeat('ab', 100000)",
    "(select null)",
    "array[null]",
    "0.00000000000000000001",
];

/// Where mistakes lie in wait.
const NASTY: &[&str] = &[
    "''",
    "0",
    "-1",
    "2147483648",
    "-9223372036854775808",
    "9223372036854775807",
    "1e308",
    "1e-400",
    "'NaN'",
    "'infinity'",
    "null",
    "$1",
    "(",
    ")",
    "[",
    "]",
    "::int[]",
    "::jsonb",
    "::text",
    "::numeric(1000, 999)",
    "::interval",
    "::oid",
    "E'\\x'",
    "U&'\\0000'",
    "B'01'",
    "X'1f'",
    "'{'",
    "'{{1},{2,3}}'",
    "'\u{1F600}'",
    "\"\"",
    "/*",
    "--",
    ";",
    "..",
    "||",
    "%",
    "*",
    "within group (order by 1)",
    "over ()",
    "filter (where true)",
    "with recursive x as (select 1 union all select * from x)",
    "limit 9223372036854775807",
    "offset -1",
    "generate_series(1, 1e15::bigint)",
    "repeat('x', 2147483647)",
    "returning *",
    "lateral",
    "for update",
    "order by 99999",
    "interval '178000000 years'",
    "timestamp '294276-12-31'",
    "'0001-01-01 BC'",
];

#[derive(Clone, Debug)]
pub struct Finding {
    pub what: String,
    pub sql: String,
}

#[derive(Debug, Default)]
pub struct Report {
    pub asked: u64,
    /// SQLSTATEs, and how often; empty: no error.
    pub codes: BTreeMap<String, u64>,
    pub slowest: Duration,
    pub findings: Vec<Finding>,
}

/// Statements of a suite that can be broken without locking everybody out.
pub fn is_harmless(sql: &str) -> bool {
    let lower = sql.to_lowercase();
    !["role", "user", "password", "timeout", "owned", "pg_sleep"].iter().any(|word| lower.contains(word))
}

/// `step` is told how many were asked, and says whether to go on. Stops at the deadline, or at so many findings, too.
pub async fn fuzz(
    target: &Target,
    corpus: &[String],
    seed: u64,
    until: Instant,
    findings_max: usize,
    step: impl Fn(u64) -> bool,
) -> Result<Report> {
    let mut random = SmallRng::seed_from_u64(seed);
    let corpus = Corpus::of(corpus);
    let mut report = Report::default();
    let mut connection = open(target).await?;
    while Instant::now() < until && report.findings.len() < findings_max {
        let sql = corpus.statement(&mut random);
        let begun = Instant::now();
        connection.send(&sql, Some("1\t2\n\\N\tx\n\n\\.\n")).await.ok();
        let answer = connection.answer().await;
        report.slowest = report.slowest.max(begun.elapsed());
        report.asked += 1;
        let go_on = step(report.asked);
        let mut reopen = connection.is_closed();
        let mut found = |what: String| report.findings.push(Finding { what, sql: sql.clone() });
        match &answer {
            Err(error) => {
                found(format!("the connection broke: {error:#}"));
                reopen = true;
            }
            Ok(answer) => {
                let code = answer.error().map_or(String::new(), |error| error.code.clone());
                match answer.error() {
                    Some(error) if error.code == INTERNAL => found(error.to_string()),
                    None if answer.pieces.contains(&Piece::Closed) => found("the connection was closed".into()),
                    _ if answer.pieces.contains(&Piece::NoAnswer) => found("no answer in time".into()),
                    _ => {}
                }
                *report.codes.entry(code).or_default() += 1;
                if answer.status.is_some_and(|status| status != 'I') {
                    connection.ask("rollback").await.ok();
                }
            }
        }
        if !go_on {
            break;
        }
        if reopen || report.asked.is_multiple_of(500) {
            connection = open(target).await.with_context(|| format!("nobody answers any more, after: {sql}"))?;
        }
    }
    Ok(report)
}

async fn open(target: &Target) -> Result<Connection> {
    let mut connection = Connection::open(target).await?;
    connection.ask(STATEMENT_TIMEOUT).await?;
    Ok(connection)
}

/// Words, numbers, strings and signs, with the white space before each.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut characters = sql.chars().peekable();
    while let Some(first) = characters.next() {
        let mut token = String::from(first);
        if first == '\'' || first == '"' {
            while let Some(next) = characters.next() {
                token.push(next);
                if next == first {
                    break;
                }
            }
        } else if first.is_alphanumeric() || first == '_' {
            while let Some(next) = characters.next_if(|next| next.is_alphanumeric() || *next == '_') {
                token.push(next);
            }
        }
        match tokens.last_mut() {
            Some(last) if last.trim().is_empty() => last.push_str(&token),
            _ => tokens.push(token),
        }
    }
    tokens
}

/// What a token may be exchanged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    /// A word before a parenthesis.
    Call,
    Name,
    Number,
    Text,
    Sign,
    /// A word of the grammar, white space: not exchanged.
    Fixed,
}

const GRAMMAR: &[&str] = &[
    "all",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "check",
    "create",
    "cross",
    "default",
    "delete",
    "desc",
    "distinct",
    "do",
    "drop",
    "else",
    "end",
    "except",
    "exists",
    "filter",
    "for",
    "from",
    "full",
    "group",
    "having",
    "if",
    "in",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "join",
    "key",
    "lateral",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "primary",
    "recursive",
    "references",
    "returning",
    "right",
    "rows",
    "select",
    "set",
    "table",
    "then",
    "to",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "view",
    "when",
    "where",
    "window",
    "with",
];

fn kind(token: &str, next: Option<&String>) -> Kind {
    let word = token.trim_start();
    match word.chars().next() {
        Some('\'') => Kind::Text,
        Some('0'..='9') => Kind::Number,
        Some('"') => Kind::Name,
        Some(first) if first.is_alphabetic() || first == '_' => {
            if GRAMMAR.contains(&word.to_lowercase().as_str()) {
                Kind::Fixed
            } else if next.is_some_and(|next| next.trim_start().starts_with('(')) {
                Kind::Call
            } else {
                Kind::Name
            }
        }
        Some('+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '|' | '&' | '#' | '~' | '@' | '?') => Kind::Sign,
        _ => Kind::Fixed,
    }
}

/// The suite's statements as tokens, and the tokens of each kind.
struct Corpus {
    statements: Vec<Vec<String>>,
    kinds: BTreeMap<Kind, Vec<String>>,
}

impl Corpus {
    fn of(statements: &[String]) -> Corpus {
        let statements: Vec<Vec<String>> =
            statements.iter().map(|sql| tokens(sql)).filter(|tokens| !tokens.is_empty()).collect();
        let mut kinds: BTreeMap<Kind, BTreeSet<&str>> = BTreeMap::new();
        for tokens in &statements {
            for (at, token) in tokens.iter().enumerate() {
                kinds.entry(kind(token, tokens.get(at + 1))).or_default().insert(token.trim_start());
            }
        }
        let kinds = kinds.into_iter().map(|(kind, tokens)| (kind, tokens.into_iter().map(String::from).collect()));
        Corpus { kinds: kinds.collect(), statements }
    }

    fn statement(&self, random: &mut SmallRng) -> String {
        let tokens =
            if random.random_range(0..3) == 0 { broken(&self.statements, random) } else { self.exchanged(random) };
        let mut sql = tokens.concat().replace('\0', "");
        if sql.len() > LENGTH_MAX {
            let end = (0..=LENGTH_MAX).rev().find(|at| sql.is_char_boundary(*at)).unwrap_or(0);
            sql.truncate(end);
        }
        sql
    }

    /// Tokens exchanged for others of their kind, from anywhere or from the list of nasty ones.
    fn exchanged(&self, random: &mut SmallRng) -> Vec<String> {
        let mut tokens = self.statements.choose(random).cloned().unwrap_or_default();
        let kinds: Vec<Kind> = (0..tokens.len()).map(|at| kind(&tokens[at], tokens.get(at + 1))).collect();
        let places: Vec<usize> = (0..tokens.len()).filter(|at| kinds[*at] != Kind::Fixed).collect();
        for _ in 0..random.random_range(1..=3) {
            let Some(at) = places.choose(random).copied() else { break };
            let is_value = matches!(kinds[at], Kind::Number | Kind::Text);
            let other = if is_value && random.random_range(0..4) == 0 {
                NASTY_VALUES.choose(random).copied()
            } else {
                self.kinds.get(&kinds[at]).and_then(|others| others.choose(random)).map(String::as_str)
            };
            let space = &tokens[at][..tokens[at].len() - tokens[at].trim_start().len()];
            tokens[at] = format!("{space}{}", other.unwrap_or("null"));
        }
        tokens
    }
}

/// Broken anywhere.
fn broken(corpus: &[Vec<String>], random: &mut SmallRng) -> Vec<String> {
    let mut tokens = corpus.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..tokens.len().max(1)).min(tokens.len());
        let other = corpus.choose(random).map_or(&[][..], Vec::as_slice);
        match random.random_range(0..9) {
            0 if at < tokens.len() => drop(tokens.remove(at)),
            1 if at < tokens.len() => tokens.insert(at, tokens[at].clone()),
            2 if at < tokens.len() => {
                let with = random.random_range(0..tokens.len());
                tokens.swap(at, with);
            }
            3 => tokens.insert(at, format!(" {} ", NASTY.choose(random).unwrap_or(&""))),
            4 if at < tokens.len() => tokens[at] = format!(" {} ", NASTY.choose(random).unwrap_or(&"")),
            5 => {
                // The rest of another one.
                tokens.truncate(at);
                tokens.extend_from_slice(&other[random.random_range(0..=other.len())..]);
            }
            6 if !other.is_empty() => tokens.insert(at, other[random.random_range(0..other.len())].clone()),
            7 if random.random_range(0..20) == 0 => {
                let depth = random.random_range(1..NESTING_MAX);
                let (open, close) =
                    *[("(", ")"), ("not ", ""), ("- ", ""), ("[", "]"), ("(select ", ")"), ("case ", "end ")]
                        .choose(random)
                        .unwrap_or(&("", ""));
                tokens.insert(at, open.repeat(depth));
                let end = random.random_range(at..=tokens.len());
                tokens.insert(end.max(at + 1).min(tokens.len()), close.repeat(depth));
            }
            _ if at < tokens.len() => {
                // A part again and again.
                let end = (at + random.random_range(1..6)).min(tokens.len());
                let part = tokens[at..end].concat();
                tokens.insert(at, part.repeat(random.random_range(1..40)));
            }
            _ => {}
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_it_all_and_nothing_is_lost_in_tokens() {
        let sql = "select 'it''s', \"A b\" from t1 -- x\n where a_b>=1.5;";
        assert_eq!(tokens(sql).concat(), sql);
        let corpus = Corpus::of(&[sql.to_string(), "insert into t values (1, coalesce(2, b))".to_string()]);
        let make = || {
            let mut random = SmallRng::seed_from_u64(3);
            (0..200).map(|_| corpus.statement(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(make(), make());
    }

    #[test]
    fn what_is_exchanged_keeps_its_kind() {
        let corpus = Corpus::of(&["select sum(a), 'x' from t where a > 1".to_string()]);
        let mut random = SmallRng::seed_from_u64(1);
        for _ in 0..100 {
            let made = corpus.exchanged(&mut random);
            assert_eq!(made.first().map(String::as_str), Some("select"), "{made:?}");
            assert!(made.iter().any(|token| token.trim() == "from"), "{made:?}");
        }
    }
}
