//! The statements that are read by hand: transaction control, settings, cursors, COPY, maintenance. The library rejects many of them or
//! loses a part; each is a short fixed grammar. `parse` answers `None` for a statement that is the library's.
use super::convert::Converter;
use super::error::Source;
use super::tree::*;
use super::{parse_part, parse_with_library};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use trivet_txn::Isolation;
use trivet_types::{PgError, PgResult};

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
        _ => return Ok(None),
    };
    cursor.end()?;
    Ok(Some(statement))
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
    if rest.is("constraints") {
        return Err(PgError::unsupported("SET CONSTRAINTS"));
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
        return Ok(Statement::SetTransaction { modes: modes(rest)?, session: false });
    }
    let name = if rest.eat("time") {
        rest.expect("zone")?;
        let value = match rest.keyword().as_deref() {
            Some("local" | "default") => {
                rest.at += 1;
                SetValue::Default
            }
            _ => SetValue::Values(vec![rest.set_value()?]),
        };
        return Ok(Statement::Set { name: "timezone".into(), value, local });
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
    if rest.eat("all") {
        return Ok(None);
    }
    if rest.eat("time") {
        rest.expect("zone")?;
        return Ok(Some("timezone".into()));
    }
    rest.dotted_name().map(Some)
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
            arguments.push(expression(rest.source, item)?);
        }
    }
    Ok(Statement::Execute { name, arguments })
}

fn expression(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Expr> {
    let expr = parse_part(source, tokens, |parser| parser.parse_expr())?;
    Converter::new(source).expr(expr)
}

fn query(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Query> {
    let query = parse_part(source, tokens, |parser| parser.parse_query())?;
    Converter::new(source).query(*query)
}

fn declare(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let name = rest.name()?;
    let (mut hold, mut scroll) = (false, false);
    loop {
        if rest.eat("binary") {
            return Err(PgError::unsupported("DECLARE ... BINARY CURSOR"));
        } else if rest.eat("insensitive") || rest.eat("asensitive") {
        } else if rest.eat("no") {
            rest.expect("scroll")?;
        } else if rest.eat("scroll") {
            scroll = true;
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
    let query = query(rest.source, rest.remaining())?;
    rest.at = rest.tokens.len();
    Ok(Statement::Declare { name, query, hold, scroll })
}

fn fetch(rest: &mut Cursor<'_, '_>, moves: bool) -> PgResult<Statement> {
    let count = if rest.eat("next") {
        FetchCount::Rows(1)
    } else if rest.eat("prior") {
        FetchCount::Rows(-1)
    } else if rest.eat("all") {
        FetchCount::All
    } else if rest.is("first") || rest.is("last") || rest.is("absolute") || rest.is("relative") {
        return Err(PgError::unsupported("FETCH by position"));
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

/// Tables, each with an optional list of columns, which is passed over.
fn table_list(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<QualifiedName>> {
    let mut tables = Vec::new();
    while !rest.at_end() {
        tables.push(rest.qualified_name()?);
        if rest.peek_is(&Token::LParen) {
            rest.parenthesized_items()?;
        }
        if !rest.eat_token(&Token::Comma) {
            break;
        }
    }
    Ok(tables)
}

fn lock(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    rest.eat("table");
    rest.eat("only");
    let mut tables = vec![rest.qualified_name()?];
    while rest.eat_token(&Token::Comma) {
        tables.push(rest.qualified_name()?);
    }
    let mut mode = "ACCESS EXCLUSIVE".to_owned();
    if rest.eat("in") {
        let mut words = Vec::new();
        while let Some(word) = rest.keyword().filter(|word| word != "mode") {
            words.push(word.to_ascii_uppercase());
            rest.at += 1;
        }
        rest.expect("mode")?;
        mode = words.join(" ");
    }
    let nowait = rest.eat("nowait");
    Ok(Statement::LockTable { tables, mode, nowait })
}

fn copy(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    rest.eat("binary");
    let copied = if rest.peek_is(&Token::LParen) {
        let inner = rest.parenthesized()?;
        CopySource::Query(Box::new(query(rest.source, inner)?))
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
    let from_client = if rest.eat("from") {
        true
    } else {
        rest.expect("to")?;
        false
    };
    if from_client && matches!(copied, CopySource::Query(_)) {
        return Err(rest.error());
    }
    if rest.is("program") || matches!(rest.peek(0).map(|token| &token.token), Some(Token::SingleQuotedString(_))) {
        return Err(PgError::unsupported("COPY with a file or program on the server")
            .hint("Use COPY FROM STDIN or TO STDOUT, or psql's \\copy."));
    }
    rest.expect(if from_client { "stdin" } else { "stdout" })?;
    rest.eat("with");
    let options = if rest.peek_is(&Token::LParen) { copy_options(rest)? } else { old_copy_options(rest)? };
    if rest.is("where") {
        return Err(PgError::unsupported("COPY ... WHERE"));
    }
    Ok(Statement::Copy(Copy { source: copied, from_client, options }))
}

fn copy_options(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<(String, String)>> {
    let mut options = Vec::new();
    for item in rest.parenthesized_items()? {
        let mut inside = Cursor { source: rest.source, tokens: item, at: 0 };
        let name = inside.name()?.text;
        let value = if inside.at_end() { "true".to_owned() } else { inside.set_value()? };
        inside.end()?;
        options.push((name, value));
    }
    Ok(options)
}

/// The syntax from before PostgreSQL 9.0, which clients still send: `DELIMITER ',' NULL '' CSV HEADER`.
fn old_copy_options(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<(String, String)>> {
    let mut options = Vec::new();
    while let Some(word) = rest.keyword().filter(|word| word != "where") {
        rest.at += 1;
        match word.as_str() {
            "csv" | "binary" => options.push(("format".to_owned(), word)),
            "header" | "freeze" => options.push((word, "true".to_owned())),
            "delimiter" | "delimiters" | "null" | "quote" | "escape" | "encoding" => {
                rest.eat("as");
                let name = if word == "delimiters" { "delimiter".to_owned() } else { word };
                options.push((name, rest.string()?));
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
            let name = inside.name()?.text;
            let value = if inside.at_end() { "true".to_owned() } else { inside.set_value()? };
            let on = !matches!(value.as_str(), "false" | "off" | "0");
            match name.as_str() {
                "analyze" => analyze = on,
                "verbose" => verbose = on,
                _ => options.push((name, value)),
            }
        }
    } else {
        analyze = rest.eat("analyze") || rest.eat("analyse");
        verbose = rest.eat("verbose");
    }
    let statement = Box::new(parse_one_inner(rest.source, rest.remaining())?);
    rest.at = rest.tokens.len();
    Ok(Statement::Explain { statement, analyze, verbose, options })
}

/// A place in one statement's tokens.
struct Cursor<'s, 't> {
    source: &'s Source<'s>,
    tokens: &'t [TokenWithSpan],
    at: usize,
}

fn unquoted(token: Option<&TokenWithSpan>) -> Option<&Word> {
    match token.map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word),
        _ => None,
    }
}

fn word_is(token: Option<&TokenWithSpan>, word: &str) -> bool {
    unquoted(token).is_some_and(|found| found.value.eq_ignore_ascii_case(word))
}

impl<'s, 't> Cursor<'s, 't> {
    fn peek(&self, ahead: usize) -> Option<&'t TokenWithSpan> {
        self.tokens.get(self.at + ahead)
    }
    fn peek_is(&self, token: &Token) -> bool {
        self.peek(0).is_some_and(|found| found.token == *token)
    }
    fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }
    fn remaining(&self) -> &'t [TokenWithSpan] {
        &self.tokens[self.at.min(self.tokens.len())..]
    }
    fn error(&self) -> Box<PgError> {
        match self.peek(0) {
            Some(token) => self.source.syntax_error(token),
            None => self.source.syntax_error(&TokenWithSpan::wrap(Token::EOF)),
        }
    }
    fn end(&self) -> PgResult<()> {
        if self.at_end() { Ok(()) } else { Err(self.error()) }
    }
    /// The unquoted word here, in lower case.
    fn keyword(&self) -> Option<String> {
        unquoted(self.peek(0)).map(|word| word.value.to_ascii_lowercase())
    }
    fn is(&self, word: &str) -> bool {
        word_is(self.peek(0), word)
    }
    fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }
    fn eat_token(&mut self, token: &Token) -> bool {
        let found = self.peek_is(token);
        self.at += usize::from(found);
        found
    }
    fn expect(&mut self, word: &str) -> PgResult<()> {
        if self.eat(word) { Ok(()) } else { Err(self.error()) }
    }
    /// `WORK` or `TRANSACTION`, which say nothing.
    fn work(&mut self) {
        let _ = self.eat("work") || self.eat("transaction");
    }
    fn name(&mut self) -> PgResult<Name> {
        self.qualified_name_of(1)?.parts.pop().ok_or_else(|| self.error())
    }
    fn qualified_name(&mut self) -> PgResult<QualifiedName> {
        self.qualified_name_of(usize::MAX)
    }
    fn qualified_name_of(&mut self, parts_max: usize) -> PgResult<QualifiedName> {
        let mut parts = Vec::new();
        loop {
            let Some(TokenWithSpan { token: Token::Word(word), span }) = self.peek(0) else { return Err(self.error()) };
            parts.push(Converter::new(self.source).identifier(word.clone().into_ident(*span)));
            self.at += 1;
            if parts.len() >= parts_max || !self.eat_token(&Token::Period) {
                return Ok(QualifiedName { parts });
            }
        }
    }
    fn dotted_name(&mut self) -> PgResult<String> {
        self.qualified_name().map(|name| name.shown())
    }
    fn string(&mut self) -> PgResult<String> {
        let text = match self.peek(0).map(|token| &token.token) {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => text.clone(),
            Some(Token::DollarQuotedString(quoted)) => quoted.value.clone(),
            _ => return Err(self.error()),
        };
        self.at += 1;
        Ok(text)
    }
    fn integer(&mut self) -> Option<i64> {
        let negative = self.peek_is(&Token::Minus);
        let digits = match self.peek(usize::from(negative)).map(|token| &token.token) {
            Some(Token::Number(digits, _)) => digits.parse::<i64>().ok()?,
            _ => return None,
        };
        self.at += 1 + usize::from(negative);
        Some(if negative { -digits } else { digits })
    }
    /// A setting's value: a word, a string, or a number with its sign, as text. Unquoted words fold to lower case.
    fn set_value(&mut self) -> PgResult<String> {
        let negative = self.eat_token(&Token::Minus);
        let _ = !negative && self.eat_token(&Token::Plus);
        let text = match self.peek(0).map(|token| &token.token) {
            Some(Token::Number(digits, _)) if negative => format!("-{digits}"),
            Some(Token::Number(digits, _)) => digits.clone(),
            Some(Token::Word(word)) if !negative && word.quote_style.is_some() => word.value.clone(),
            Some(Token::Word(word)) if !negative => word.value.to_ascii_lowercase(),
            _ if !negative => return self.string(),
            _ => return Err(self.error()),
        };
        self.at += 1;
        Ok(text)
    }
    /// The tokens between the parenthesis here and its partner; moves behind it.
    fn parenthesized(&mut self) -> PgResult<&'t [TokenWithSpan]> {
        let start = self.at + 1;
        let mut depth = 0usize;
        for at in self.at..self.tokens.len() {
            match self.tokens[at].token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                self.at = at + 1;
                return Ok(&self.tokens[start..at]);
            }
        }
        self.at = self.tokens.len();
        Err(self.error())
    }
    /// The same, cut at the commas of its level. Not empty.
    fn parenthesized_items(&mut self) -> PgResult<Vec<&'t [TokenWithSpan]>> {
        let inside = self.parenthesized()?;
        let (mut items, mut start, mut depth) = (Vec::new(), 0, 0usize);
        for (at, token) in inside.iter().enumerate() {
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                Token::Comma if depth == 0 => {
                    items.push(&inside[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.push(&inside[start..]);
        if let Some(empty) = items.iter().position(|item| item.is_empty()) {
            // The token that stands where an item should: the comma or the closing parenthesis.
            let before: usize = items[..empty].iter().map(|item| item.len() + 1).sum();
            let at = self.at - 1 - inside.len() + before;
            return Err(self.source.syntax_error(&self.tokens[at.min(self.tokens.len() - 1)]));
        }
        Ok(items)
    }
    fn text_of(&self, tokens: &[TokenWithSpan]) -> String {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => self.source.slice(first.span.start, last.span.end).to_owned(),
            _ => String::new(),
        }
    }
}
