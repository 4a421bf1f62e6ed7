//! Tokens that PostgreSQL's grammar never lets stand beside each other in queries and data changes.
//!
//! The library backtracks, so it often names a token behind the one at which a statement goes wrong, and it takes some that
//! PostgreSQL does not. A comma before FROM, an operator before a parenthesis that closes, a second `)`: that much is seen from two
//! neighbours, the parentheses around them, and what kind of statement it is. **Only what is surely wrong is named here**; the
//! rest is the library's to find.
use super::keywords::{Class, classify};
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Reserved words that an expression may begin with.
const BEGIN_EXPRESSION: &[&str] = &[
    "not",
    "case",
    "cast",
    "array",
    "true",
    "false",
    "null",
    "default",
    "user",
    "session_user",
    "current_user",
    "current_role",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_catalog",
    "localtime",
    "localtimestamp",
];
/// Behind these words stands an expression.
const BEFORE_EXPRESSION: &[&str] =
    &["where", "and", "or", "having", "when", "then", "else", "limit", "offset", "by", "not"];
/// Words that begin a clause of a query, which stand in no parentheses but those of a query.
const CLAUSES: &[&str] = &["where", "having", "limit", "offset", "union", "intersect", "except"];

/// A token, as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// An unquoted word, in lower case.
    Word(String, Class),
    /// A word that is surely a name: quoted, behind a period or behind AS.
    Name,
    Number,
    Text,
    Parameter,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Comma,
    Period,
    Star,
    /// A sign or another operator that may stand in front of its operand.
    Prefix,
    /// An operator that only stands between operands.
    Infix,
    Cast,
    Other,
}

impl Kind {
    fn word(&self) -> &str {
        match self {
            Kind::Word(word, _) => word,
            _ => "",
        }
    }
    fn is(&self, word: &str) -> bool {
        self.word() == word
    }
    fn is_one_of(&self, words: &[&str]) -> bool {
        matches!(self, Kind::Word(word, _) if words.contains(&word.as_str()))
    }
    fn is_reserved(&self) -> bool {
        matches!(self, Kind::Word(_, Class::Reserved))
    }
    /// May no expression begin with it?
    fn cannot_begin(&self) -> bool {
        match self {
            Kind::Word(_, Class::Reserved) => !self.is_one_of(BEGIN_EXPRESSION),
            Kind::Close | Kind::CloseBracket | Kind::Comma | Kind::Infix | Kind::Cast | Kind::Period => true,
            _ => false,
        }
    }
}

fn kinds(tokens: &[TokenWithSpan]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let named = match kinds.last() {
            Some(Kind::Period) => true,
            Some(before) => before.is("as"),
            None => false,
        };
        kinds.push(match &token.token {
            Token::Word(word) if word.quote_style.is_some() || named => Kind::Name,
            Token::Word(word) => {
                let lower = word.value.to_ascii_lowercase();
                let (class, _) = classify(&lower);
                Kind::Word(lower, class)
            }
            Token::Number(..) => Kind::Number,
            Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DollarQuotedString(_) => Kind::Text,
            Token::Placeholder(_) => Kind::Parameter,
            Token::LParen => Kind::Open,
            Token::RParen => Kind::Close,
            Token::LBracket => Kind::OpenBracket,
            Token::RBracket => Kind::CloseBracket,
            Token::Comma => Kind::Comma,
            Token::Period => Kind::Period,
            Token::Mul => Kind::Star,
            Token::DoubleColon => Kind::Cast,
            Token::Eq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::Neq
            | Token::Div
            | Token::Mod
            | Token::Caret => Kind::Infix,
            Token::Plus
            | Token::Minus
            | Token::Tilde
            | Token::AtSign
            | Token::StringConcat
            | Token::Pipe
            | Token::Ampersand
            | Token::Sharp
            | Token::Arrow
            | Token::LongArrow
            | Token::HashArrow
            | Token::HashLongArrow
            | Token::ShiftLeft
            | Token::ShiftRight => Kind::Prefix,
            _ => Kind::Other,
        });
    }
    kinds
}

/// What a parenthesis or bracket holds.
struct Inside {
    /// The token that opened it.
    at: usize,
    bracket: bool,
    /// A query: clauses may stand in it.
    query: bool,
    /// FROM may stand in it without a query: EXTRACT and its like.
    from: bool,
    /// CASEs that are open in it.
    cases: usize,
}

/// Where a statement is surely wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Misplaced {
    /// This token cannot stand where it stands.
    Token(usize),
    /// It ends too early.
    End,
    /// It ends too early, unless its last word is a name after all.
    PerhapsEnd,
}

/// Did the library come back to here from a place further on? It tries the forms that words like CASE begin, and reads them as
/// names if that fails.
pub(super) fn is_doubtful(tokens: &[TokenWithSpan], at: usize) -> bool {
    let kinds = kinds(tokens);
    const TRIED: &[&str] =
        &["case", "array", "cast", "extract", "substring", "trim", "position", "overlay", "when", "else"];
    kinds.get(at).is_some_and(|kind| kind.is_one_of(&["order", "group", "default"]))
        || (at.saturating_sub(3)..=at).any(|near| kinds.get(near).is_some_and(|kind| kind.is_one_of(TRIED)))
}

/// The first place where the statement surely goes wrong.
pub(super) fn misplaced(tokens: &[TokenWithSpan]) -> Option<Misplaced> {
    let first = tokens.first().map(|token| token.token.to_string().to_ascii_lowercase())?;
    if first == "create" {
        // Of CREATE INDEX, only its neighbours.
        let kinds = kinds(tokens);
        let is_index = (1..3).any(|at| kinds.get(at).is_some_and(|kind| kind.is("index")));
        return (is_index).then(|| (1..kinds.len()).find(|at| beside(&kinds, *at)).map(Misplaced::Token)).flatten();
    }
    misplaced_in_query(tokens)
}

fn misplaced_in_query(tokens: &[TokenWithSpan]) -> Option<Misplaced> {
    let kinds = kinds(tokens);
    let first = kinds.first()?;
    const QUERIES: &[&str] = &["select", "with", "values", "table"];
    let changes = first.is_one_of(&["update", "delete"]);
    if !first.is_one_of(QUERIES) && !changes && !first.is("insert") && *first != Kind::Open {
        return None;
    }
    let columns_of_insert =
        |open: &Inside| open.at.checked_sub(1).is_some_and(|target| is_insert_target(&kinds, target)) && !open.query;
    let mut open: Vec<Inside> = vec![Inside { at: 0, bracket: false, query: true, from: false, cases: 0 }];
    for (at, kind) in kinds.iter().enumerate() {
        if at > 0 && beside(&kinds, at) {
            return Some(Misplaced::Token(at));
        }
        let depth = open.len();
        let inside = open.last_mut()?;
        let before = |back: usize| at.checked_sub(back).and_then(|at| kinds.get(at));
        match kind {
            Kind::Open | Kind::OpenBracket => {
                let next = kinds.get(at + 1);
                let called = before(1).map_or("", Kind::word);
                let query = next.is_some_and(|next| {
                    next.is_one_of(QUERIES)
                        || next.is_one_of(&["insert", "update", "delete", "merge"])
                        || *next == Kind::Open
                });
                let from = matches!(called, "extract" | "substring" | "trim" | "overlay" | "position" | "filter");
                open.push(Inside { at, bracket: *kind == Kind::OpenBracket, query, from, cases: 0 });
            }
            Kind::Close | Kind::CloseBracket => {
                if depth == 1 || inside.bracket != (*kind == Kind::CloseBracket) || inside.cases > 0 {
                    return Some(Misplaced::Token(at));
                }
                let opened = inside.at;
                open.pop();
                if kinds.get(at + 1) == Some(&Kind::OpenBracket) && takes_no_subscript(&kinds, opened) {
                    return Some(Misplaced::Token(at + 1));
                }
            }
            Kind::Comma if inside.cases > 0 => return Some(Misplaced::Token(at)),
            Kind::Word(word, _) => {
                let distinct_from = word == "from" && before(1).is_some_and(|before| before.is("distinct"));
                match word.as_str() {
                    // The columns of an INSERT end before its rows.
                    "values" | "select" if depth > 1 && columns_of_insert(inside) => return Some(Misplaced::Token(at)),
                    "case" => inside.cases += 1,
                    "end" if inside.cases > 0 => inside.cases -= 1,
                    "from" if !distinct_from && (inside.cases > 0 || !(inside.query || inside.from)) => {
                        return Some(Misplaced::Token(at));
                    }
                    _ if CLAUSES.contains(&word.as_str()) => {
                        if inside.cases > 0 || !(inside.query || inside.from) {
                            return Some(Misplaced::Token(at));
                        }
                        // An UPDATE and a DELETE have no such clauses of their own.
                        if changes && depth == 1 && word != "where" {
                            return Some(Misplaced::Token(at));
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let last = kinds.last()?;
    // What is open is closed at the end at the latest.
    let sure = open.len() > 1
        || open[0].cases > 0
        || matches!(last, Kind::Comma | Kind::Cast | Kind::Period)
        // ORDER BY ... USING ends in an operator.
        || (*last == Kind::Infix && !kinds.iter().rev().nth(1).is_some_and(|before| before.is("using")))
        || (last.is_reserved() && last.is_one_of(BEFORE_EXPRESSION));
    let perhaps = last.is_one_of(BEFORE_EXPRESSION) || last.is_one_of(&["from", "join", "into", "set", "as"]);
    match (sure, perhaps) {
        (true, _) => Some(Misplaced::End),
        (false, true) => Some(Misplaced::PerhapsEnd),
        (false, false) => None,
    }
}

/// Is what a parenthesis or bracket opens an ARRAY constructor or a function's arguments? Their values are subscripted in
/// parentheses only.
fn takes_no_subscript(kinds: &[Kind], opened: usize) -> bool {
    let Some(called) = opened.checked_sub(1).and_then(|at| kinds.get(at)) else { return false };
    let before = opened.checked_sub(2).and_then(|at| kinds.get(at));
    let begins = matches!(before, Some(Kind::Open | Kind::Comma | Kind::Prefix | Kind::Infix))
        || before.is_some_and(|before| before.is_reserved() && !before.is("as"));
    match called {
        Kind::Word(word, _) if word == "array" => true,
        _ if kinds[opened] == Kind::OpenBracket => false,
        // A type may have its length in parentheses.
        Kind::Word(_, Class::None) => begins,
        _ => begins && called.is_one_of(&["coalesce", "greatest", "least", "nullif"]),
    }
}

/// May this token not stand behind the one before it?
fn beside(kinds: &[Kind], at: usize) -> bool {
    let (before, here) = (&kinds[at - 1], &kinds[at]);
    let earlier = at.checked_sub(2).and_then(|at| kinds.get(at));
    let earlier_is = |words: &[&str]| earlier.is_some_and(|earlier| earlier.is_one_of(words));
    // `a NOT NULL` is a constraint, no test.
    if here.is("not") && kinds.get(at + 1).is_some_and(|next| next.is("null")) && ends_operand(before) {
        return true;
    }
    match before {
        Kind::Comma => here.cannot_begin() && !here.is_one_of(&["lateral", "only", "variadic"]),
        // ORDER BY ... USING takes an operator, OPERATOR () holds one.
        Kind::Infix | Kind::Prefix if earlier_is(&["using"]) || matches!(earlier, Some(Kind::Open | Kind::Period)) => {
            false
        }
        Kind::Infix | Kind::Prefix => here.cannot_begin() && !here.is_one_of(&["any", "all", "some"]),
        Kind::Cast => !matches!(here, Kind::Word(..) | Kind::Name | Kind::Other) || here.is_reserved(),
        // `* form t`: the columns have no other name.
        Kind::Star => {
            (earlier_is(&["select", "all", "distinct"]) || earlier == Some(&Kind::Comma))
                && matches!(here, Kind::Name | Kind::Word(_, Class::None | Class::Unreserved | Class::ColumnName))
        }
        Kind::Open => match here {
            // `WITH x (SELECT 1)`
            Kind::Word(word, _) if at == 3 && kinds[0].is("with") && !earlier_is(&["as"]) => word == "select",
            Kind::Comma => true,
            Kind::Close => {
                earlier_is(&[
                    "in", "values", "using", "from", "exists", "any", "all", "some", "coalesce", "greatest", "least",
                    "cast", "extract",
                ]) || at.checked_sub(2).is_some_and(|target| is_insert_target(kinds, target))
            }
            Kind::Infix | Kind::Cast | Kind::Period | Kind::CloseBracket => !earlier_is(&["operator"]),
            _ if earlier_is(&["filter"]) && at >= 3 && kinds[at - 3] == Kind::Close => !here.is("where"),
            Kind::Word(_, Class::Reserved) => {
                here.cannot_begin()
                    && !here.is_one_of(&[
                        "select", "with", "table", "distinct", "all", "variadic", "order", "where", "leading",
                        "trailing", "both", "only", "lateral",
                    ])
            }
            _ => false,
        },
        Kind::OpenBracket => matches!(here, Kind::Comma | Kind::Infix | Kind::Close),
        // A constant ends an operand: another cannot follow.
        Kind::Number => matches!(here, Kind::Number | Kind::Text | Kind::Parameter | Kind::Open),
        Kind::Text => matches!(here, Kind::Number | Kind::Text | Kind::Parameter | Kind::Open),
        Kind::Parameter => matches!(here, Kind::Number | Kind::Text | Kind::Parameter | Kind::Open),
        Kind::CloseBracket => matches!(here, Kind::Number | Kind::Parameter),
        Kind::Word(word, class) => behind_word(kinds, at, word, *class),
        _ => false,
    }
}

/// Does an operand surely end here?
fn ends_operand(kind: &Kind) -> bool {
    matches!(kind, Kind::Name | Kind::Number | Kind::Text | Kind::Parameter | Kind::Close | Kind::CloseBracket)
        || matches!(kind, Kind::Word(_, Class::None | Class::Unreserved | Class::ColumnName))
}

fn behind_word(kinds: &[Kind], at: usize, word: &str, class: Class) -> bool {
    let here = &kinds[at];
    let earlier = at.checked_sub(2).and_then(|at| kinds.get(at));
    let earlier_is = |words: &[&str]| earlier.is_some_and(|earlier| earlier.is_one_of(words));
    match word {
        "where" | "and" | "or" | "having" | "when" | "then" | "else" | "like" | "ilike" => {
            (here.cannot_begin() || *here == Kind::Star) && !here.is_one_of(&["any", "all", "some", "do"])
        }
        "limit" | "offset" => (here.cannot_begin() || *here == Kind::Star) && !here.is("all"),
        "between" => here.cannot_begin() && !here.is_one_of(&["symmetric", "asymmetric"]),
        "not" => matches!(here, Kind::Close | Kind::CloseBracket | Kind::Comma | Kind::Infix | Kind::Cast | Kind::Star),
        "by" if earlier_is(&["order", "group", "partition"]) => {
            here.cannot_begin() && !here.is_one_of(&["all", "distinct"])
        }
        "order" => !here.is("by"),
        "group" => !here.is("by") && !earlier_is(&["within", "exclude"]),
        "from" | "join" => {
            (here.cannot_begin() && !here.is_one_of(&["only", "lateral"]))
                || matches!(here, Kind::Star | Kind::Text if word == "join")
        }
        "into" => {
            matches!(here, Kind::Open | Kind::Number | Kind::Text | Kind::Comma)
                || (here.is_reserved() && !here.is("table"))
        }
        "select" => {
            matches!(here, Kind::Comma | Kind::Infix | Kind::Cast | Kind::Period)
                || (here.is_reserved()
                    && !here.is_one_of(BEGIN_EXPRESSION)
                    && !here.is_one_of(CLAUSES)
                    && !here
                        .is_one_of(&["all", "distinct", "from", "into", "group", "window", "order", "fetch", "for"]))
        }
        "set" if kinds[0].is_one_of(&["update", "insert", "with"]) => {
            here.is_reserved() || matches!(here, Kind::Comma | Kind::Infix | Kind::Number | Kind::Text)
        }
        "as" => matches!(
            here,
            Kind::Number | Kind::Text | Kind::Close | Kind::Comma | Kind::Infix | Kind::Star | Kind::Parameter
        ),
        "with" if at == 1 => here.is_reserved() || matches!(here, Kind::Open | Kind::Number | Kind::Text),
        "insert" if at == 1 => !here.is("into"),
        "delete" if at == 1 => !here.is("from"),
        "on" if here.is("duplicate") => kinds[0].is("insert"),
        "default" if at >= 2 && is_insert_target(kinds, at - 2) => !here.is("values"),
        "filter" | "within" | "over" if earlier == Some(&Kind::Close) => match word {
            "filter" => *here != Kind::Open,
            "within" => !here.is("group"),
            _ => {
                here.is_reserved()
                    || matches!(here, Kind::Comma | Kind::Close | Kind::Number | Kind::Text | Kind::Infix)
            }
        },
        // `date 2024-01-01`, `interval 1 day`
        _ if *here == Kind::Number => class == Class::None || matches!(word, "interval" | "timestamp" | "time"),
        // `EXTRACT (year now ())`
        _ if at >= 3 && kinds[at - 2] == Kind::Open && kinds[at - 3].is("extract") => !here.is("from"),
        // `FROM t, JOIN u`: such a word can only be a function's name there.
        _ if earlier == Some(&Kind::Comma)
            && matches!(word, "join" | "inner" | "cross" | "natural" | "full" | "left" | "right") =>
        {
            *here != Kind::Open
        }
        // `TABLE t u`
        _ if earlier_is(&["table"]) && !kinds[0].is("insert") && !kinds[0].is("select") => {
            matches!(here, Kind::Word(_, Class::None | Class::Unreserved | Class::ColumnName) | Kind::Name)
        }
        _ if here.is("outer") => !matches!(word, "left" | "right" | "full"),
        // `INSERT INTO t value (1)`
        _ => {
            is_insert_target(kinds, at - 1)
                && !matches!(here, Kind::Open | Kind::Period)
                && !here.is_one_of(&["as", "values", "select", "with", "table", "default", "overriding"])
        }
    }
}

/// Does the name of the table that the statement inserts into end here?
fn is_insert_target(kinds: &[Kind], at: usize) -> bool {
    let mut at = at;
    while at >= 2 && kinds[at - 1] == Kind::Period {
        at -= 2;
    }
    at == 2 && kinds[0].is("insert") && kinds[1].is("into")
}

#[cfg(test)]
mod tests {
    use super::super::{DIALECT, Tokenizer};
    use super::*;

    fn found(text: &str) -> Option<String> {
        let tokens = Tokenizer::new(&DIALECT, text).tokenize_with_location().expect("tokens");
        let tokens: Vec<TokenWithSpan> =
            tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
        Some(match misplaced(&tokens)? {
            Misplaced::Token(at) => tokens[at].token.to_string(),
            Misplaced::End | Misplaced::PerhapsEnd => "the end".to_owned(),
        })
    }

    #[test]
    fn neighbours_that_cannot_be() {
        for (text, expected) in [
            ("select id, name, from t", "from"),
            ("select id,, name from t", ","),
            ("select id from from t", "from"),
            ("select id from t where and id = 1", "and"),
            ("select id from t where id = = 1", "="),
            ("select id from t order id", "id"),
            ("select id from t where id in ()", ")"),
            ("select case when id = 1 then 'x' from t", "from"),
            ("select (id from t", "from"),
            ("select id) from t", ")"),
            ("select * from (select 1", "the end"),
            ("select f(1,)", ")"),
            ("select sum(id) over from t", "from"),
            ("insert into t value (1)", "value"),
            ("update t set id = 1 limit 1", "limit"),
            ("select date 2024", "2024"),
            ("select id as 1 from t", "1"),
            ("select array[1, 2][1]", "["),
            ("select a, lower(b)[1] from t", "["),
        ] {
            assert_eq!(found(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_right_is_left_alone() {
        for text in [
            "select a, -b, *, not c, case when d then e else f end from t, lateral (select 1) x where (a, b) in ((1, 2)) order by 1 using >",
            "select extract(year from now()), trim(both from ' x '), substring('a' from 1 for 2), count(*) filter (where a is distinct from b)",
            "select percentile_cont(0.5) within group (order by a) over (), sum(a) over w from t window w as (order by a exclude group)",
            "insert into s.t as x (a) overriding user value values (1, default) on conflict (a) where b do update set a = excluded.a returning *",
            "with recursive x(n) as (values (1) union all select n + 1 from x where n < 5) select * from x order by n limit all offset 1",
            "select 1 as from, t.order, \"select\" from t group by (), grouping sets ((a), ()), all_of",
            "select 1 operator(pg_catalog.+) 2, numeric(10,2) '1.5', date '2024-01-01', array[]::int[], a[1:2]",
            "select a from t group by distinct a union select 1 except (select 2) for update of t",
            "select b[1:2][1], (f(a))[1], a.b[1][2], x::varchar(3)[], cast(x as bpchar(3)[]), (array[1])[1], array[[1], [2]] from t",
            "update t set (a, b) = (select 1, 2), c = default from u where t.a = any (array[1]) or a <> all (select 1)",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
