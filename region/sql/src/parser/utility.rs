//! The statements that are read by hand: transaction control, settings, cursors, COPY, maintenance. The library rejects many of them or
//! loses a part; each is a short fixed grammar. `parse` answers `None` for a statement that is the library's.
use super::convert::Converter;
use super::cursor::{Cursor, word_is};
use super::error::Source;
use super::tree::*;
use super::{parse_part, parse_with_library};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use trivet_txn::Isolation;
use trivet_types::{PgError, PgResult, sqlstate};

pub(super) fn parse(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Option<Statement>> {
    let mut cursor = Cursor { source, tokens, at: 0 };
    let Some(first) = cursor.keyword() else { return Ok(None) };
    let rest = &mut cursor;
    rest.at = 1;
    let statement = match first.as_str() {
        "begin" => begin(rest)?,
        "start" => {
            rest.expect("transaction")?;
            Statement::Begin { modes: modes(rest)?, tag: "START TRANSACTION" }
        }
        "commit" | "end" => {
            if rest.is("prepared") {
                return Err(PgError::unsupported("COMMIT PREPARED"));
            }
            rest.work();
            Statement::Commit { chain: chain(rest)? }
        }
        "rollback" | "abort" => rollback(rest)?,
        "savepoint" => Statement::Savepoint(rest.name()?),
        "release" => {
            rest.eat("savepoint");
            Statement::Release(rest.name()?)
        }
        "set" => set(rest)?,
        "show" => show(rest)?,
        "reset" => Statement::Reset(setting_name_or_all(rest)?),
        "discard" => discard(rest)?,
        "prepare" => prepare(rest)?,
        "execute" => execute(rest)?,
        "deallocate" => {
            rest.eat("prepare");
            Statement::Deallocate(if rest.eat("all") { None } else { Some(rest.name()?) })
        }
        "declare" => declare(rest)?,
        "fetch" => fetch(rest, false)?,
        "move" => fetch(rest, true)?,
        "close" => Statement::CloseCursor(if rest.eat("all") { None } else { Some(rest.name()?) }),
        "vacuum" => vacuum(rest)?,
        "reindex" => reindex(rest)?,
        "analyze" | "analyse" => analyze(rest)?,
        "checkpoint" => Statement::Checkpoint,
        "lock" => lock(rest)?,
        "listen" => Statement::Listen(rest.name()?),
        "unlisten" => Statement::Unlisten(if rest.eat_token(&Token::Mul) { None } else { Some(rest.name()?) }),
        "notify" => {
            let channel = rest.name()?;
            let payload = if rest.eat_token(&Token::Comma) { Some(rest.string()?) } else { None };
            Statement::Notify { channel, payload }
        }
        "copy" => copy(rest)?,
        "explain" => explain(rest)?,
        "refresh" => super::define::refresh(rest)?,
        "create" | "alter" | "drop" | "comment" | "grant" | "revoke" | "reassign" => {
            match super::define::parse(&first, rest)? {
                Some(statement) => statement,
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    cursor.end()?;
    Ok(Some(statement))
}

fn reindex(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    if rest.peek_is(&Token::LParen) {
        rest.parenthesized()?;
    }
    let kind = rest.keyword().ok_or_else(|| rest.error())?;
    let (of_relation, index) = match kind.as_str() {
        "index" => (true, true),
        "table" => (true, false),
        "schema" | "database" | "system" => (false, false),
        _ => return Err(rest.error()),
    };
    rest.at += 1;
    rest.eat("concurrently");
    let name = rest.qualified_name()?;
    Ok(Statement::Reindex { relation: of_relation.then_some(name), index })
}

fn begin(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    rest.work();
    Ok(Statement::Begin { modes: modes(rest)?, tag: "BEGIN" })
}

fn chain(rest: &mut Cursor<'_, '_>) -> PgResult<bool> {
    if !rest.eat("and") {
        return Ok(false);
    }
    let no = rest.eat("no");
    rest.expect("chain")?;
    Ok(!no)
}

fn rollback(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    if rest.is("prepared") {
        return Err(PgError::unsupported("ROLLBACK PREPARED"));
    }
    rest.work();
    if rest.eat("to") {
        rest.eat("savepoint");
        return Ok(Statement::RollbackTo(rest.name()?));
    }
    Ok(Statement::Rollback { chain: chain(rest)? })
}

fn modes(rest: &mut Cursor<'_, '_>) -> PgResult<TransactionModes> {
    let mut modes = TransactionModes::default();
    while !rest.at_end() {
        if rest.eat("isolation") {
            rest.expect("level")?;
            modes.isolation = Some(isolation(rest)?);
        } else if rest.eat("read") {
            modes.read_only = Some(if rest.eat("only") {
                true
            } else {
                rest.expect("write")?;
                false
            });
        } else if rest.eat_words(&["as", "of", "system", "time"]) {
            modes.as_of = Some(super::as_of::time(rest)?);
        } else if rest.eat("not") {
            rest.expect("deferrable")?;
            modes.deferrable = Some(false);
        } else if rest.eat("deferrable") {
            modes.deferrable = Some(true);
        } else {
            return Err(rest.error());
        }
        rest.eat_token(&Token::Comma);
    }
    Ok(modes)
}

fn isolation(rest: &mut Cursor<'_, '_>) -> PgResult<Isolation> {
    if rest.eat("serializable") {
        return Ok(Isolation::Serializable);
    }
    if rest.eat("repeatable") {
        rest.expect("read")?;
        return Ok(Isolation::RepeatableRead);
    }
    rest.expect("read")?;
    // PostgreSQL treats READ UNCOMMITTED as READ COMMITTED (manual, section 13.2).
    if rest.eat("committed") || rest.eat("uncommitted") { Ok(Isolation::ReadCommitted) } else { Err(rest.error()) }
}

fn set(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    if rest.is("constraints") && !matches!(rest.peek(1).map(|token| &token.token), Some(Token::Eq)) {
        rest.at += 1;
        let names = if rest.eat("all") { vec![] } else { rest.qualified_names()? };
        let deferred = rest.eat("deferred");
        if !deferred {
            rest.expect("immediate")?;
        }
        return Ok(Statement::SetConstraints { names, deferred });
    }
    let local = rest.eat("local");
    let session = !local && rest.eat("session");
    if session && rest.eat("characteristics") {
        rest.expect("as")?;
        rest.expect("transaction")?;
        return Ok(Statement::SetTransaction { modes: modes(rest)?, session: true });
    }
    if rest.is("transaction") {
        rest.at += 1;
        if rest.is("snapshot") {
            return Err(PgError::unsupported("SET TRANSACTION SNAPSHOT"));
        }
        if rest.at_end() {
            return Err(rest.error());
        }
        return Ok(Statement::SetTransaction { modes: modes(rest)?, session: false });
    }
    let name = if rest.eat("time") {
        rest.expect("zone")?;
        let value = match rest.keyword().as_deref() {
            Some("local" | "default") => {
                rest.at += 1;
                SetValue::Default
            }
            Some("interval") => SetValue::Values(vec![interval_zone(rest)?]),
            _ => SetValue::Values(vec![rest.set_value()?]),
        };
        return Ok(Statement::Set { name: "timezone".into(), value, local });
    } else if rest.is("schema") && matches!(rest.peek(1).map(|token| &token.token), Some(Token::SingleQuotedString(_)))
    {
        rest.at += 1;
        let value = SetValue::Values(vec![rest.string()?]);
        return Ok(Statement::Set { name: "search_path".into(), value, local });
    } else if rest.eat("names") {
        let value = if rest.at_end() || rest.eat("default") {
            SetValue::Default
        } else {
            SetValue::Values(vec![rest.set_value()?])
        };
        return Ok(Statement::Set { name: "client_encoding".into(), value, local });
    } else if session && rest.eat("authorization") {
        "session_authorization".to_owned()
    } else if rest.is("role") && !matches!(rest.peek(1).map(|token| &token.token), Some(Token::Eq)) {
        rest.at += 1;
        "role".to_owned()
    } else {
        let name = rest.dotted_name()?;
        if !rest.eat("to") && !rest.eat_token(&Token::Eq) {
            return Err(rest.error());
        }
        name
    };
    if rest.eat("default") {
        return Ok(Statement::Set { name, value: SetValue::Default, local });
    }
    let mut values = vec![rest.set_value()?];
    while rest.eat_token(&Token::Comma) {
        values.push(rest.set_value()?);
    }
    Ok(Statement::Set { name, value: SetValue::Values(values), local })
}

/// `INTERVAL '-08:00' HOUR TO MINUTE`: as hours.
fn interval_zone(rest: &mut Cursor<'_, '_>) -> PgResult<String> {
    rest.at += 1;
    let error = rest.error();
    let text = rest.string()?;
    if rest.eat("hour") && rest.eat("to") {
        rest.expect("minute")?;
    }
    let (negative, digits) = match text.trim().strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.trim().trim_start_matches('+')),
    };
    let mut parts = digits.split(':').map(|part| part.parse::<f64>().ok());
    let hours = parts.next().flatten();
    let minutes = parts.next().unwrap_or(Some(0.0));
    let (Some(hours), Some(minutes)) = (hours, minutes) else { return Err(error) };
    let hours = hours + minutes / 60.0;
    Ok(if negative { format!("-{hours}") } else { hours.to_string() })
}

fn show(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    if rest.eat("transaction") {
        rest.expect("isolation")?;
        rest.expect("level")?;
        return Ok(Statement::Show(Some("transaction_isolation".into())));
    }
    if rest.eat("session") {
        rest.expect("authorization")?;
        return Ok(Statement::Show(Some("session_authorization".into())));
    }
    Ok(Statement::Show(setting_name_or_all(rest)?))
}

fn setting_name_or_all(rest: &mut Cursor<'_, '_>) -> PgResult<Option<String>> {
    if rest.eat("all") { Ok(None) } else { setting_name(rest).map(Some) }
}

pub(super) fn setting_name(rest: &mut Cursor<'_, '_>) -> PgResult<String> {
    if rest.eat("time") {
        rest.expect("zone")?;
        return Ok("timezone".into());
    }
    rest.dotted_name()
}

fn discard(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let word = rest.keyword().ok_or_else(|| rest.error())?;
    let what = match word.as_str() {
        "all" => Discard::All,
        "plans" => Discard::Plans,
        "sequences" => Discard::Sequences,
        "temp" | "temporary" => Discard::Temporary,
        _ => return Err(rest.error()),
    };
    rest.at += 1;
    Ok(Statement::Discard(what))
}

fn prepare(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    if rest.is("transaction") {
        return Err(PgError::unsupported("PREPARE TRANSACTION"));
    }
    let name = rest.name()?;
    let mut types = Vec::new();
    if rest.peek_is(&Token::LParen) {
        for item in rest.parenthesized_items()? {
            let data_type = parse_part(rest.source, item, |parser| parser.parse_data_type())?;
            types.push(Converter::new(rest.source).type_name(data_type)?);
        }
    }
    rest.expect("as")?;
    let inner = rest.remaining();
    let text = rest.text_of(inner);
    if !begins_query(rest.peek(0)) && !["insert", "update", "delete", "merge"].iter().any(|word| rest.is(word)) {
        return Err(rest.error());
    }
    let statement = Box::new(parse_one_inner(rest.source, inner)?);
    rest.at = rest.tokens.len();
    Ok(Statement::Prepare { name, types, statement, text })
}

/// A statement inside another one: only what PostgreSQL allows there comes from the library.
fn parse_one_inner(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Statement> {
    if let Some(Token::Word(word)) = tokens.first().map(|token| &token.token)
        && word.quote_style.is_none()
        && word.value.eq_ignore_ascii_case("execute")
        && let Some(statement) = parse(source, tokens)?
    {
        return Ok(statement);
    }
    if tokens.is_empty() {
        return Err(source.syntax_error(&TokenWithSpan::wrap(Token::EOF)));
    }
    parse_with_library(source, tokens)
}

fn execute(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let name = rest.name()?;
    let mut arguments = Vec::new();
    if rest.peek_is(&Token::LParen) {
        for item in rest.parenthesized_items()? {
            if item[0].token == Token::LParen && begins_query(item.get(1)) {
                let error = PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "cannot use subquery in EXECUTE parameter");
                return Err(match rest.source.place_of(item[0].span).known() {
                    Some(place) => error.position(place),
                    None => error,
                });
            }
            arguments.push(expression(rest.source, item)?);
        }
    }
    Ok(Statement::Execute { name, arguments })
}

/// The word that a query begins with, in parentheses or not.
fn begins_query(token: Option<&TokenWithSpan>) -> bool {
    ["select", "with", "values", "table"].iter().any(|word| word_is(token, word))
        || token.is_some_and(|token| token.token == Token::LParen)
}

fn expression(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Expr> {
    let expr = parse_part(source, tokens, |parser| parser.parse_expr())?;
    Converter::new(source).expr(expr)
}

fn query(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Query> {
    super::parse_query(source, tokens)
}

fn declare(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let name = rest.name()?;
    let (mut hold, mut scroll, mut binary) = (false, None, false);
    loop {
        if rest.eat("binary") {
            binary = true;
        } else if rest.eat("insensitive") || rest.eat("asensitive") {
        } else if rest.eat("no") {
            rest.expect("scroll")?;
            scroll = Some(false);
        } else if rest.eat("scroll") {
            scroll = Some(true);
        } else {
            break;
        }
    }
    rest.expect("cursor")?;
    if rest.eat("with") {
        rest.expect("hold")?;
        hold = true;
    } else if rest.eat("without") {
        rest.expect("hold")?;
    }
    rest.expect("for")?;
    if !begins_query(rest.peek(0)) {
        return Err(rest.error());
    }
    let query = query(rest.source, rest.remaining())?;
    rest.at = rest.tokens.len();
    Ok(Statement::Declare(Declare { name, query: Box::new(query), hold, scroll, binary }))
}

fn fetch(rest: &mut Cursor<'_, '_>, moves: bool) -> PgResult<Statement> {
    let count = if rest.eat("next") {
        FetchCount::Rows(1)
    } else if rest.eat("prior") {
        FetchCount::Rows(-1)
    } else if rest.eat("all") {
        FetchCount::All
    } else if rest.eat("first") {
        FetchCount::Absolute(1)
    } else if rest.eat("last") {
        FetchCount::Absolute(-1)
    } else if rest.eat("absolute") {
        FetchCount::Absolute(rest.integer().ok_or_else(|| rest.error())?)
    } else if rest.eat("relative") {
        FetchCount::Relative(rest.integer().ok_or_else(|| rest.error())?)
    } else if rest.eat("forward") {
        match rest.integer() {
            Some(rows) => FetchCount::Rows(rows),
            None if rest.eat("all") => FetchCount::All,
            None => FetchCount::Rows(1),
        }
    } else if rest.eat("backward") {
        match rest.integer() {
            Some(rows) => FetchCount::Rows(rows.saturating_neg()),
            None if rest.eat("all") => FetchCount::BackwardAll,
            None => FetchCount::Rows(-1),
        }
    } else {
        FetchCount::Rows(rest.integer().unwrap_or(1))
    };
    let _ = rest.eat("from") || rest.eat("in");
    Ok(Statement::Fetch { cursor: rest.name()?, count, moves })
}

fn vacuum(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let mut analyze = false;
    if rest.peek_is(&Token::LParen) {
        for item in rest.parenthesized_items()? {
            analyze |=
                word_is(item.first(), "analyze") && !word_is(item.get(1), "false") && !word_is(item.get(1), "off");
        }
    } else {
        loop {
            if rest.eat("full") || rest.eat("freeze") || rest.eat("verbose") {
            } else if rest.eat("analyze") || rest.eat("analyse") {
                analyze = true;
            } else {
                break;
            }
        }
    }
    Ok(Statement::Vacuum { tables: table_list(rest)?, analyze })
}

fn analyze(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    if rest.peek_is(&Token::LParen) {
        rest.parenthesized_items()?;
    } else {
        rest.eat("verbose");
    }
    Ok(Statement::Analyze { tables: table_list(rest)? })
}

/// Tables, each with an optional list of columns.
fn table_list(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<AnalyzedTable>> {
    let mut tables = Vec::new();
    while !rest.at_end() {
        let name = rest.qualified_name()?;
        let mut columns = Vec::new();
        if rest.peek_is(&Token::LParen) {
            for item in rest.parenthesized_items()? {
                let mut inside = Cursor { source: rest.source, tokens: item, at: 0 };
                columns.push(inside.name()?);
            }
        }
        tables.push(AnalyzedTable { name, columns });
        if !rest.eat_token(&Token::Comma) {
            break;
        }
    }
    Ok(tables)
}

/// The modes of LOCK TABLE, weakest first.
const LOCK_MODES: [&[&str]; 8] = [
    &["access", "share"],
    &["row", "share"],
    &["row", "exclusive"],
    &["share", "update", "exclusive"],
    &["share", "row", "exclusive"],
    &["share"],
    &["exclusive"],
    &["access", "exclusive"],
];

fn lock(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    rest.eat("table");
    let mut tables = Vec::new();
    loop {
        rest.eat("only");
        tables.push(rest.qualified_name()?);
        rest.eat_token(&Token::Mul);
        if !rest.eat_token(&Token::Comma) {
            break;
        }
    }
    let mut mode = "ACCESS EXCLUSIVE".to_owned();
    if rest.eat("in") {
        let found = LOCK_MODES.iter().find(|words| rest.eat_words(words));
        mode = found.ok_or_else(|| rest.error())?.join(" ").to_ascii_uppercase();
        rest.expect("mode")?;
    }
    let nowait = rest.eat("nowait");
    Ok(Statement::LockTable { tables, mode, nowait })
}

fn copy(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let binary_place = rest.peek(0).map(|token| rest.source.place_of(token.span)).unwrap_or_default();
    let binary = rest.eat("binary");
    let copied = if rest.peek_is(&Token::LParen) {
        let inner = rest.parenthesized()?;
        if ["insert", "update", "delete"].iter().any(|word| word_is(inner.first(), word)) {
            CopySource::Change(Box::new(parse_with_library(rest.source, inner)?))
        } else {
            CopySource::Query(Box::new(query(rest.source, inner)?))
        }
    } else {
        let name = rest.qualified_name()?;
        let mut columns = Vec::new();
        if rest.peek_is(&Token::LParen) {
            let inner = rest.parenthesized()?;
            let mut inside = Cursor { source: rest.source, tokens: inner, at: 0 };
            columns.push(inside.name()?);
            while inside.eat_token(&Token::Comma) {
                columns.push(inside.name()?);
            }
            inside.end()?;
        }
        CopySource::Table { name, columns }
    };
    if rest.is("from") && !matches!(copied, CopySource::Table { .. }) {
        return Err(rest.error());
    }
    let from_client = if rest.eat("from") {
        true
    } else {
        rest.expect("to")?;
        false
    };
    if rest.is("program") || matches!(rest.peek(0).map(|token| &token.token), Some(Token::SingleQuotedString(_))) {
        return Err(PgError::unsupported("COPY with a file or program on the server")
            .hint("Use COPY FROM STDIN or TO STDOUT, or psql's \\copy."));
    }
    rest.expect(if from_client { "stdin" } else { "stdout" })?;
    rest.eat("with");
    let mut options = if rest.peek_is(&Token::LParen) { copy_options(rest)? } else { old_copy_options(rest)? };
    if binary {
        options.push(CopyOption {
            name: "format".to_owned(),
            value: CopyValue::Text("binary".to_owned()),
            place: binary_place,
        });
    }
    let mut filter = None;
    if rest.is("where") {
        if !from_client {
            let error = PgError::new(sqlstate::SYNTAX_ERROR, "WHERE clause not allowed with COPY TO");
            let place = rest.peek(0).map(|token| rest.source.place_of(token.span)).unwrap_or_default();
            return Err(place.known().map_or(error.clone(), |position| error.position(position)));
        }
        rest.at += 1;
        filter = Some(expression(rest.source, rest.remaining())?);
        rest.at = rest.tokens.len();
    }
    Ok(Statement::Copy(Copy { source: copied, from_client, options, filter }))
}

fn copy_options(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<CopyOption>> {
    let mut options = Vec::new();
    for item in rest.parenthesized_items()? {
        let mut inside = Cursor { source: rest.source, tokens: item, at: 0 };
        let name = inside.name()?;
        const BARE: &[&str] = &["freeze", "header"];
        let value = if inside.at_end() && !BARE.contains(&name.text.as_str()) {
            CopyValue::None
        } else if inside.at_end() {
            CopyValue::Text("true".to_owned())
        } else if inside.eat_token(&Token::Mul) {
            CopyValue::Star
        } else if inside.peek_is(&Token::LParen) {
            copy_columns(&mut inside)?
        } else {
            CopyValue::Text(inside.set_value()?)
        };
        inside.end()?;
        options.push(CopyOption { name: name.text, value, place: name.place });
    }
    Ok(options)
}

fn copy_columns(rest: &mut Cursor<'_, '_>) -> PgResult<CopyValue> {
    let inner = rest.parenthesized()?;
    let mut inside = Cursor { source: rest.source, tokens: inner, at: 0 };
    let names = inside.names()?;
    inside.end()?;
    Ok(CopyValue::Names(names.into_iter().map(|name| name.text).collect()))
}

/// The syntax from before PostgreSQL 9.0, which clients still send: `DELIMITER ',' NULL '' CSV HEADER FORCE QUOTE a, b`.
fn old_copy_options(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<CopyOption>> {
    let mut options = Vec::new();
    while let Some(word) = rest.keyword().filter(|word| word != "where") {
        let place = rest.peek(0).map(|token| rest.source.place_of(token.span)).unwrap_or_default();
        let mut push = |name: &str, value| options.push(CopyOption { name: name.to_owned(), value, place });
        rest.at += 1;
        match word.as_str() {
            "csv" | "binary" => push("format", CopyValue::Text(word)),
            "header" | "freeze" => push(&word, CopyValue::Text("true".to_owned())),
            "delimiter" | "delimiters" | "null" | "quote" | "escape" | "encoding" => {
                rest.eat("as");
                let name = if word == "delimiters" { "delimiter" } else { word.as_str() };
                push(name, CopyValue::Text(rest.string()?));
            }
            "force" => {
                let name = match () {
                    () if rest.eat("quote") => "force_quote",
                    () if rest.eat_words(&["not", "null"]) => "force_not_null",
                    () if rest.eat("null") => "force_null",
                    () => return Err(rest.error()),
                };
                let value = if rest.eat_token(&Token::Mul) {
                    CopyValue::Star
                } else {
                    CopyValue::Names(rest.names()?.into_iter().map(|name| name.text).collect())
                };
                push(name, value);
            }
            _ => {
                rest.at -= 1;
                return Err(rest.error());
            }
        }
    }
    Ok(options)
}

fn explain(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let (mut analyze, mut verbose, mut options) = (false, false, Vec::new());
    let is_option_list = rest.peek_is(&Token::LParen)
        && !rest.peek(1).is_some_and(|token| {
            ["select", "with", "values", "table"].iter().any(|word| word_is(Some(token), word))
                || token.token == Token::LParen
        });
    if is_option_list {
        for item in rest.parenthesized_items()? {
            let mut inside = Cursor { source: rest.source, tokens: item, at: 0 };
            let name = inside.name()?;
            let value = if inside.at_end() { "true".to_owned() } else { inside.set_value()? };
            inside.end()?;
            check_explain_option(&name, &value)?;
            let on = !matches!(value.to_ascii_lowercase().as_str(), "false" | "off" | "0");
            match name.text.as_str() {
                "analyze" => analyze = on,
                "verbose" => verbose = on,
                _ => options.push((name.text, value)),
            }
        }
    } else {
        analyze = rest.eat("analyze") || rest.eat("analyse");
        verbose = rest.eat("verbose");
    }
    const EXPLAINED: &[&str] = &["insert", "update", "delete", "merge", "execute", "declare", "create", "refresh"];
    if !begins_query(rest.peek(0)) && !EXPLAINED.iter().any(|word| rest.is(word)) {
        return Err(rest.error());
    }
    let statement = if rest.is("create") || rest.is("declare") {
        let explained = super::parse_one(rest.source, rest.remaining())?;
        let known = matches!(
            explained,
            Statement::CreateTableAs { .. } | Statement::CreateMaterialized { .. } | Statement::Declare(_)
        );
        if !known {
            return Err(rest.error());
        }
        Box::new(explained)
    } else {
        Box::new(parse_one_inner(rest.source, rest.remaining())?)
    };
    rest.at = rest.tokens.len();
    Ok(Statement::Explain { statement, analyze, verbose, options })
}

/// What can be said of an option of EXPLAIN where it stands.
fn check_explain_option(name: &Name, value: &str) -> PgResult<()> {
    const SWITCHES: &[&str] = &["analyze", "verbose", "costs", "settings", "buffers", "wal", "timing", "summary"];
    let located = |error: Box<PgError>| match name.place.known() {
        Some(place) => error.position(place),
        None => error,
    };
    let value = value.to_ascii_lowercase();
    match name.text.as_str() {
        "format" if ["text", "xml", "json", "yaml"].contains(&value.as_str()) => Ok(()),
        "format" => {
            let message = format!("unrecognized value for EXPLAIN option \"format\": \"{value}\"");
            Err(located(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)))
        }
        switch if SWITCHES.contains(&switch) => match value.as_str() {
            "true" | "false" | "on" | "off" | "1" | "0" => Ok(()),
            _ => Err(PgError::new(sqlstate::SYNTAX_ERROR, format!("{switch} requires a Boolean value"))),
        },
        other => {
            let message = format!("unrecognized EXPLAIN option \"{other}\"");
            Err(located(PgError::new(sqlstate::SYNTAX_ERROR, message)))
        }
    }
}
