//! CREATE TABLE's elements and ALTER TABLE's actions. Types and expressions in them are the library's to read.
use super::convert::Converter;
use super::cursor::{Cursor, word_is};
use super::tree::*;
use crate::catalog::{OnCommit, ReferentialAction};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use trivet_types::{PgError, PgResult, sqlstate};

/// `CREATE [...] TABLE`, read up to here. `None`: a form that the library reads (AS query).
pub(super) fn create_table(rest: &mut Cursor<'_, '_>, temporary: bool, unlogged: bool) -> PgResult<Option<Statement>> {
    let if_not_exists = rest.eat_words(&["if", "not", "exists"]);
    let name = rest.qualified_name()?;
    if rest.is("partition") {
        return Err(PgError::unsupported("partitioned tables"));
    }
    if rest.is("of") {
        return Err(PgError::unsupported("CREATE TABLE ... OF"));
    }
    if !rest.peek_is(&Token::LParen) {
        return create_as(rest, name, vec![], if_not_exists, temporary).map(Some);
    }
    let mut create = CreateTable {
        name,
        if_not_exists,
        columns: vec![],
        constraints: vec![],
        likes: vec![],
        options: vec![],
        temporary,
        unlogged,
        on_commit: None,
    };
    let inside_at = rest.at;
    let inside = rest.parenthesized()?;
    if rest.is("as") || (rest.is("with") && has_as(rest)) {
        let mut inside = Cursor { source: rest.source, tokens: inside, at: 0 };
        let columns = inside.names()?;
        inside.end()?;
        let CreateTable { name, if_not_exists, .. } = create;
        return create_as(rest, name, columns, if_not_exists, temporary).map(Some);
    }
    if !inside.is_empty() {
        rest.at = inside_at;
        let items = rest.parenthesized_items()?;
        // Names alone would be the columns of CREATE TABLE AS.
        if items.iter().all(|item| matches!(item, [TokenWithSpan { token: Token::Word(_), .. }])) {
            return Err(rest.error());
        }
        for item in items {
            element(&mut Cursor { source: rest.source, tokens: item, at: 0 }, &mut create)?;
        }
    }
    if rest.is("inherits") {
        return Err(PgError::unsupported("INHERITS"));
    }
    if rest.is("partition") {
        return Err(PgError::unsupported("partitioned tables"));
    }
    if rest.eat("using") && rest.name()?.text != "heap" {
        return Err(PgError::unsupported("another table access method than heap"));
    }
    if rest.eat("with") {
        create.options = options(rest)?;
    } else {
        rest.eat_words(&["without", "oids"]);
    }
    create.on_commit = on_commit(rest)?;
    if rest.eat("tablespace") {
        tablespace(rest)?;
    }
    Ok(Some(Statement::CreateTable(create)))
}

/// The rest of CREATE TABLE AS.
fn create_as(
    rest: &mut Cursor<'_, '_>,
    name: QualifiedName,
    columns: Vec<Name>,
    if_not_exists: bool,
    temporary: bool,
) -> PgResult<Statement> {
    if rest.eat("using") && rest.name()?.text != "heap" {
        return Err(PgError::unsupported("another table access method than heap"));
    }
    if rest.is("with") {
        rest.at += 1;
        options(rest)?;
    }
    let on_commit = on_commit(rest)?;
    if rest.eat("tablespace") {
        tablespace(rest)?;
    }
    rest.expect("as")?;
    if rest.is("execute") {
        return Err(PgError::unsupported("CREATE TABLE AS EXECUTE"));
    }
    let (tokens, with_data) = with_data(rest);
    if tokens.is_empty() {
        return Err(rest.error());
    }
    let query = super::parse_query(rest.source, tokens)?;
    rest.at = rest.tokens.len();
    Ok(Statement::CreateTableAs { name, columns, query, if_not_exists, with_data, temporary, on_commit })
}

/// A query up to WITH [NO] DATA, and whether data is wanted.
pub(super) fn with_data<'t>(rest: &Cursor<'_, 't>) -> (&'t [TokenWithSpan], bool) {
    let (start, end) = (rest.at, rest.tokens.len());
    let word = |at: usize, word: &str| word_is(rest.tokens.get(at), word);
    if end >= start + 3 && word(end - 1, "data") && word(end - 2, "no") && word(end - 3, "with") {
        return (&rest.tokens[start..end - 3], false);
    }
    let said = end >= start + 2 && word(end - 1, "data") && word(end - 2, "with");
    (&rest.tokens[start..if said { end - 2 } else { end }], true)
}

/// `ON COMMIT DROP`
fn on_commit(rest: &mut Cursor<'_, '_>) -> PgResult<Option<OnCommit>> {
    if !rest.eat_words(&["on", "commit"]) {
        return Ok(None);
    }
    if rest.eat("drop") {
        return Ok(Some(OnCommit::Drop));
    }
    let kept = rest.eat("preserve");
    if !kept {
        rest.expect("delete")?;
    }
    rest.expect("rows")?;
    Ok(Some(if kept { OnCommit::PreserveRows } else { OnCommit::DeleteRows }))
}

/// `WITH (...) AS`
fn has_as(rest: &Cursor<'_, '_>) -> bool {
    let mut ahead = Cursor { source: rest.source, tokens: rest.tokens, at: rest.at + 1 };
    ahead.parenthesized().is_ok() && ahead.is("as")
}

fn tablespace(rest: &mut Cursor<'_, '_>) -> PgResult<()> {
    match rest.name()?.text.as_str() {
        "pg_default" => Ok(()),
        _ => Err(PgError::unsupported("TABLESPACE")),
    }
}

/// `(fillfactor = 100, autovacuum_enabled)`
pub(super) fn options(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<(String, String)>> {
    let mut read = Vec::new();
    for item in rest.parenthesized_items()? {
        let mut inside = Cursor { source: rest.source, tokens: item, at: 0 };
        let name = inside.dotted_name()?;
        let value = if inside.eat_token(&Token::Eq) { inside.set_value()? } else { "true".to_owned() };
        inside.end()?;
        read.push((name, value));
    }
    Ok(read)
}

fn element(item: &mut Cursor<'_, '_>, create: &mut CreateTable) -> PgResult<()> {
    if item.eat("like") {
        let table = item.qualified_name()?;
        let before = create.columns.len();
        create.likes.push((before, table, like_options(item)?));
        return item.end();
    }
    if begins_constraint(item) {
        let constraint = table_constraint(item)?;
        create.constraints.push(constraint);
        return item.end();
    }
    let column = column(item)?;
    create.columns.push(column);
    item.end()
}

fn like_options(item: &mut Cursor<'_, '_>) -> PgResult<LikeOptions> {
    let mut options = LikeOptions::default();
    loop {
        let on = if item.eat("including") {
            true
        } else if item.eat("excluding") {
            false
        } else {
            return Ok(options);
        };
        let word = item.keyword().ok_or_else(|| item.error())?;
        match word.as_str() {
            "all" => {
                options = LikeOptions {
                    comments: on,
                    constraints: on,
                    defaults: on,
                    generated: on,
                    identity: on,
                    indexes: on,
                }
            }
            "comments" => options.comments = on,
            "constraints" => options.constraints = on,
            "defaults" => options.defaults = on,
            "generated" => options.generated = on,
            "identity" => options.identity = on,
            "indexes" => options.indexes = on,
            "compression" | "statistics" | "storage" => {}
            _ => return Err(item.error()),
        }
        item.at += 1;
    }
}

fn begins_constraint(item: &Cursor<'_, '_>) -> bool {
    let word = |at: usize, word: &str| word_is(item.peek(at), word);
    let parenthesis = |at: usize| item.peek(at).is_some_and(|token| token.token == Token::LParen);
    word(0, "constraint")
        || (word(0, "primary") && word(1, "key"))
        || (word(0, "foreign") && word(1, "key"))
        || (word(0, "unique") && (parenthesis(1) || word(1, "using") || word(1, "nulls")))
        || (word(0, "check") && parenthesis(1))
        || (word(0, "exclude") && (parenthesis(1) || word(1, "using")))
}

/// `a numeric(10,2) COLLATE "C" CONSTRAINT x NOT NULL DEFAULT 1 ...`
pub(super) fn column(item: &mut Cursor<'_, '_>) -> PgResult<ColumnDefinition> {
    let name = item.name()?;
    column_of(item, name)
}

/// What stands behind a column's name, or a domain's.
pub(super) fn column_of(item: &mut Cursor<'_, '_>, name: Name) -> PgResult<ColumnDefinition> {
    let data_type = item.type_name()?;
    let mut column = ColumnDefinition { name, data_type, collation: None, constraints: vec![] };
    while !item.at_end() {
        if item.eat("collate") {
            column.collation = Some(item.qualified_name()?);
            continue;
        }
        let place = item.place();
        let name = if item.eat("constraint") { Some(item.name()?) } else { None };
        let mut kind = column_constraint(item)?;
        let no_inherit = matches!(kind, ColumnConstraintKind::Check(_)) && item.eat_words(&["no", "inherit"]);
        let (at, timing) = (item.at, characteristics(item)?);
        match &mut kind {
            ColumnConstraintKind::References(references) => references.timing = timing,
            ColumnConstraintKind::PrimaryKey | ColumnConstraintKind::Unique(_) => {}
            _ if item.at > at => {
                item.at = at;
                return Err(misplaced(item));
            }
            _ => {}
        }
        column.constraints.push(ColumnConstraint { name, kind, place, timing, no_inherit });
    }
    Ok(column)
}

pub(super) fn column_constraint(item: &mut Cursor<'_, '_>) -> PgResult<ColumnConstraintKind> {
    use ColumnConstraintKind as K;
    if item.eat_words(&["not", "null"]) {
        return Ok(K::NotNull);
    }
    if item.eat("null") {
        return Ok(K::Null);
    }
    if item.eat("default") {
        return Ok(K::Default(default_expression(item)?));
    }
    if item.eat_words(&["primary", "key"]) {
        index_parameters(item)?;
        return Ok(K::PrimaryKey);
    }
    if item.eat("unique") {
        let nulls_collide = nulls_collide(item);
        index_parameters(item)?;
        return Ok(K::Unique(nulls_collide));
    }
    if item.eat("check") {
        return Ok(K::Check(item.parenthesized_expr()?));
    }
    if item.eat("references") {
        return Ok(K::References(references(item)?));
    }
    if item.eat("generated") {
        let always = item.eat("always");
        if !always {
            item.expect("by")?;
            item.expect("default")?;
        }
        item.expect("as")?;
        if item.eat("identity") {
            return Ok(K::Identity { always, options: identity_options(item)? });
        }
        let expr = item.parenthesized_expr()?;
        item.expect("stored")?;
        return Ok(K::Generated(expr));
    }
    Err(item.error())
}

fn identity_options(item: &mut Cursor<'_, '_>) -> PgResult<Vec<SequenceOption>> {
    if !item.peek_is(&Token::LParen) {
        return Ok(vec![]);
    }
    let inside = item.parenthesized()?;
    let mut inside = Cursor { source: item.source, tokens: inside, at: 0 };
    super::define::sequence_options(&mut inside)
}

/// A default ends where the next constraint begins: what may stand there without parentheses has no NOT NULL in it.
pub(super) fn default_expression(item: &mut Cursor<'_, '_>) -> PgResult<Expr> {
    let start = item.at;
    let (mut depth, mut cases) = (0usize, 0usize);
    while let Some(token) = item.peek(0) {
        match &token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::Word(_) if word_is(Some(token), "case") => cases += 1,
            Token::Word(_) if word_is(Some(token), "end") => cases = cases.saturating_sub(1),
            Token::Word(_) if depth == 0 && cases == 0 && item.at > start && begins_column_constraint(item) => break,
            _ => {}
        }
        item.at += 1;
    }
    item.expr_of(&item.tokens[start..item.at])
}

fn begins_column_constraint(item: &Cursor<'_, '_>) -> bool {
    const WORDS: &[&str] = &[
        "constraint",
        "null",
        "unique",
        "primary",
        "check",
        "references",
        "default",
        "generated",
        "collate",
        "deferrable",
        "initially",
    ];
    WORDS.iter().any(|word| item.is(word)) || (item.is("not") && !word_is(item.peek(1), "in"))
}

/// `NULLS NOT DISTINCT`
fn nulls_collide(item: &mut Cursor<'_, '_>) -> bool {
    let collide = item.eat_words(&["nulls", "not", "distinct"]);
    if !collide {
        item.eat_words(&["nulls", "distinct"]);
    }
    collide
}

/// What may follow a key: INCLUDE is refused, the rest changes nothing here.
fn index_parameters(item: &mut Cursor<'_, '_>) -> PgResult<()> {
    if item.is("include") {
        return Err(PgError::unsupported("a key constraint with INCLUDE"));
    }
    if item.eat("with") {
        options(item)?;
    }
    if item.eat_words(&["using", "index", "tablespace"]) {
        tablespace(item)?;
    }
    Ok(())
}

/// DEFERRABLE and its kin.
pub(super) fn characteristics(item: &mut Cursor<'_, '_>) -> PgResult<Timing> {
    let (mut deferrable, mut deferred) = (None, None);
    loop {
        let at = item.at;
        let conflicts = if item.eat_words(&["not", "deferrable"]) {
            deferrable.replace(false).is_some() || deferred == Some(true)
        } else if item.eat("deferrable") {
            deferrable.replace(true).is_some()
        } else if item.eat_words(&["initially", "immediate"]) {
            deferred.replace(false).is_some()
        } else if item.eat_words(&["initially", "deferred"]) {
            deferred.replace(true).is_some() || deferrable == Some(false)
        } else {
            let deferred = deferred.unwrap_or(false);
            return Ok(Timing { deferrable: deferrable.unwrap_or(deferred), deferred });
        };
        if conflicts {
            let both = deferrable == Some(false) && deferred == Some(true);
            let message = if both {
                "constraint declared INITIALLY DEFERRED must be DEFERRABLE"
            } else if item.tokens[at..item.at].iter().any(|token| word_is(Some(token), "initially")) {
                "multiple INITIALLY IMMEDIATE/DEFERRED clauses not allowed"
            } else {
                "multiple DEFERRABLE/NOT DEFERRABLE clauses not allowed"
            };
            item.at = at;
            return Err(placed(PgError::new(sqlstate::SYNTAX_ERROR, message), item));
        }
    }
}

fn placed(error: Box<PgError>, item: &Cursor<'_, '_>) -> Box<PgError> {
    match item.place().known() {
        Some(place) => error.position(place),
        None => error,
    }
}

/// DEFERRABLE behind what cannot be.
fn misplaced(item: &Cursor<'_, '_>) -> Box<PgError> {
    let not = if item.is("not") { "NOT " } else { "" };
    let message = if item.is("initially") {
        let which = if word_is(item.peek(1), "deferred") { "DEFERRED" } else { "IMMEDIATE" };
        format!("misplaced INITIALLY {which} clause")
    } else {
        format!("misplaced {not}DEFERRABLE clause")
    };
    placed(PgError::new(sqlstate::SYNTAX_ERROR, message), item)
}

/// What may follow a table's constraint: NOT VALID, and when it is checked.
fn constraint_end(item: &mut Cursor<'_, '_>) -> PgResult<(bool, Timing)> {
    let before = item.eat_words(&["not", "valid"]);
    let timing = characteristics(item)?;
    Ok((item.eat_words(&["not", "valid"]) || before, timing))
}

fn references(item: &mut Cursor<'_, '_>) -> PgResult<References> {
    let table = item.qualified_name()?;
    let columns = if item.peek_is(&Token::LParen) { item.name_list()? } else { vec![] };
    let mut references = References {
        table,
        columns,
        on_update: ReferentialAction::NoAction,
        on_delete: ReferentialAction::NoAction,
        set_columns: vec![],
        full: false,
        timing: Timing::default(),
    };
    loop {
        if item.eat("match") {
            if item.eat("full") {
                references.full = true;
            } else if item.eat("partial") {
                return Err(PgError::unsupported("MATCH PARTIAL"));
            } else {
                item.expect("simple")?;
            }
        } else if item.eat_words(&["on", "delete"]) {
            references.on_delete = action(item)?;
            if item.peek_is(&Token::LParen) {
                references.set_columns = item.name_list()?;
            }
        } else if item.eat_words(&["on", "update"]) {
            references.on_update = action(item)?;
        } else {
            return Ok(references);
        }
    }
}

fn action(item: &mut Cursor<'_, '_>) -> PgResult<ReferentialAction> {
    const ACTIONS: &[(&[&str], ReferentialAction)] = &[
        (&["no", "action"], ReferentialAction::NoAction),
        (&["restrict"], ReferentialAction::Restrict),
        (&["cascade"], ReferentialAction::Cascade),
        (&["set", "null"], ReferentialAction::SetNull),
        (&["set", "default"], ReferentialAction::SetDefault),
    ];
    let found = ACTIONS.iter().find(|(words, _)| item.eat_words(words));
    found.map(|(_, action)| *action).ok_or_else(|| item.error())
}

pub(super) fn table_constraint(item: &mut Cursor<'_, '_>) -> PgResult<TableConstraint> {
    use TableConstraintKind as K;
    let place = item.place();
    let name = if item.eat("constraint") { Some(item.name()?) } else { None };
    let mut no_inherit = false;
    let kind = if item.eat_words(&["primary", "key"]) {
        key(item, true)?
    } else if item.eat("unique") {
        let nulls_collide = nulls_collide(item);
        match key(item, false)? {
            K::Unique(columns, _) => K::Unique(columns, nulls_collide),
            other => other,
        }
    } else if item.eat("check") {
        let expr = item.parenthesized_expr()?;
        no_inherit = item.eat_words(&["no", "inherit"]);
        K::Check(expr, false)
    } else if item.eat_words(&["foreign", "key"]) {
        let columns = item.name_list()?;
        item.expect("references")?;
        K::ForeignKey { columns, references: references(item)?, not_valid: false }
    } else if item.is("exclude") {
        return Err(PgError::unsupported("EXCLUDE constraints"));
    } else {
        return Err(item.error());
    };
    let (not_valid, timing) = constraint_end(item)?;
    let kind = match kind {
        K::ForeignKey { columns, mut references, .. } => {
            references.timing = timing;
            K::ForeignKey { columns, references, not_valid }
        }
        K::Check(..) if timing.deferrable => {
            let message = "CHECK constraints cannot be marked DEFERRABLE";
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        K::Check(expr, _) => K::Check(expr, not_valid),
        other => other,
    };
    Ok(TableConstraint { name, kind, place, timing, no_inherit })
}

fn key(item: &mut Cursor<'_, '_>, primary: bool) -> PgResult<TableConstraintKind> {
    if item.eat_words(&["using", "index"]) {
        return Ok(TableConstraintKind::UsingIndex { index: item.name()?, primary });
    }
    let columns = item.name_list()?;
    index_parameters(item)?;
    Ok(if primary { TableConstraintKind::PrimaryKey(columns) } else { TableConstraintKind::Unique(columns, false) })
}

/// `ALTER TABLE` and its kin, read up to the name.
pub(super) fn alter(rest: &mut Cursor<'_, '_>, kind: ObjectKind) -> PgResult<Statement> {
    if rest.eat_words(&["all", "in", "tablespace"]) {
        return Err(PgError::unsupported("ALTER ... ALL IN TABLESPACE"));
    }
    let if_exists = rest.eat_words(&["if", "exists"]);
    rest.eat("only");
    let name = rest.qualified_name()?;
    rest.eat_token(&Token::Mul);
    let mut actions = Vec::new();
    loop {
        let (mut end, mut depth) = (rest.at, 0usize);
        while let Some(token) = rest.tokens.get(end) {
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                Token::Comma if depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        let mut item = Cursor { source: rest.source, tokens: &rest.tokens[..end], at: rest.at };
        // These stand alone: PostgreSQL's grammar has them beside the list.
        let alone = item.is("rename") || (item.is("set") && word_is(item.peek(1), "schema"));
        if alone && !actions.is_empty() {
            item.at += usize::from(item.is("set"));
            return Err(item.error());
        }
        let done = table_action(&mut item).and_then(|action| item.end().map(|()| action));
        actions.push(done?);
        rest.at = end;
        if alone && end < rest.tokens.len() {
            return Err(rest.error());
        }
        if !rest.eat_token(&Token::Comma) {
            break;
        }
    }
    Ok(Statement::AlterTable { kind, name, if_exists, actions })
}

fn table_action(item: &mut Cursor<'_, '_>) -> PgResult<AlterTable> {
    let first = item.keyword().ok_or_else(|| item.error())?;
    item.at += 1;
    match first.as_str() {
        "add" => {
            if begins_constraint(item) {
                return Ok(AlterTable::AddConstraint(table_constraint(item)?));
            }
            item.eat("column");
            let if_not_exists = item.eat_words(&["if", "not", "exists"]);
            Ok(AlterTable::AddColumn { column: column(item)?, if_not_exists })
        }
        "drop" => {
            if item.eat("constraint") {
                let if_exists = item.eat_words(&["if", "exists"]);
                let name = item.name()?;
                return Ok(AlterTable::DropConstraint { name, if_exists, cascade: item.cascades() });
            }
            item.eat("column");
            let if_exists = item.eat_words(&["if", "exists"]);
            let name = item.name()?;
            Ok(AlterTable::DropColumn { name, if_exists, cascade: item.cascades() })
        }
        "alter" => {
            if item.is("constraint") && item.peek(1).is_some_and(|token| matches!(token.token, Token::Word(_))) {
                item.at += 1;
                let name = item.name()?;
                let timing = characteristics(item)?;
                return Ok(AlterTable::Other(TableAction::AlterConstraint { name, timing }));
            }
            item.eat("column");
            let column = item.name()?;
            column_action(item, column)
        }
        "rename" => {
            if item.eat("to") {
                return Ok(AlterTable::RenameTo(item.name()?));
            }
            if item.eat("constraint") {
                let from = item.name()?;
                item.expect("to")?;
                return Ok(AlterTable::Other(TableAction::RenameConstraint { from, to: item.name()? }));
            }
            item.eat("column");
            let from = item.name()?;
            item.expect("to")?;
            Ok(AlterTable::RenameColumn { from, to: item.name()? })
        }
        "owner" => {
            item.expect("to")?;
            Ok(AlterTable::OwnerTo(super::roles::role_name(item)?))
        }
        "set" => {
            if item.eat("schema") {
                return Ok(AlterTable::Other(TableAction::SetSchema(item.name()?)));
            }
            if item.peek_is(&Token::LParen) {
                return Ok(AlterTable::Other(TableAction::SetOptions(options(item)?)));
            }
            if item.eat("tablespace") {
                tablespace(item)?;
            } else if !item.eat("logged")
                && !item.eat_words(&["without", "cluster"])
                && !item.eat_words(&["without", "oids"])
            {
                return Err(PgError::unsupported("this form of ALTER TABLE ... SET"));
            }
            Ok(nothing(None))
        }
        "reset" => {
            let names = options(item)?.into_iter().map(|(name, _)| name).collect();
            Ok(AlterTable::Other(TableAction::ResetOptions(names)))
        }
        "validate" => {
            item.expect("constraint")?;
            Ok(AlterTable::Other(TableAction::ValidateConstraint(item.name()?)))
        }
        "cluster" => {
            item.expect("on")?;
            item.name()?;
            Ok(nothing(None))
        }
        "replica" => {
            item.at = item.tokens.len();
            Ok(nothing(None))
        }
        "enable" | "disable" | "force" | "no" | "inherit" | "of" | "attach" | "detach" => {
            Err(PgError::unsupported(format!("ALTER TABLE ... {}", first.to_uppercase())))
        }
        _ => {
            item.at -= 1;
            Err(item.error())
        }
    }
}

fn nothing(column: Option<Name>) -> AlterTable {
    AlterTable::Other(TableAction::Nothing { column })
}

fn column_action(item: &mut Cursor<'_, '_>, column: Name) -> PgResult<AlterTable> {
    if item.eat_words(&["set", "data", "type"]) || item.eat("type") {
        let data_type = item.type_name()?;
        if item.eat("collate") {
            item.qualified_name()?;
        }
        let using = if item.eat("using") {
            let expr = item.expr_of(item.remaining())?;
            item.at = item.tokens.len();
            Some(expr)
        } else {
            None
        };
        return Ok(AlterTable::SetType { column, data_type, using });
    }
    if item.eat_words(&["set", "default"]) {
        let value = item.expr_of(item.remaining())?;
        item.at = item.tokens.len();
        return Ok(AlterTable::SetDefault { column, value });
    }
    if item.eat_words(&["drop", "default"]) {
        return Ok(AlterTable::DropDefault { column });
    }
    if item.eat_words(&["set", "not", "null"]) {
        return Ok(AlterTable::SetNotNull { column });
    }
    if item.eat_words(&["drop", "not", "null"]) {
        return Ok(AlterTable::DropNotNull { column });
    }
    if item.eat_words(&["drop", "identity"]) {
        let if_exists = item.eat_words(&["if", "exists"]);
        return Ok(AlterTable::Other(TableAction::DropIdentity { column, if_exists }));
    }
    if item.eat_words(&["drop", "expression"]) {
        let if_exists = item.eat_words(&["if", "exists"]);
        return Ok(AlterTable::Other(TableAction::DropExpression { column, if_exists }));
    }
    if item.eat_words(&["add", "generated"]) {
        let always = item.eat("always");
        if !always {
            item.expect("by")?;
            item.expect("default")?;
        }
        item.expect("as")?;
        item.expect("identity")?;
        let options = identity_options(item)?;
        return Ok(AlterTable::Other(TableAction::AddIdentity { column, always, options }));
    }
    if item.is("restart") || word_is(item.peek(1), "generated") || is_sequence_set(item) {
        return set_identity(item, column);
    }
    if item.eat_words(&["set", "statistics"]) || item.eat_words(&["set", "storage"]) {
        item.at = item.tokens.len();
        return Ok(nothing(Some(column)));
    }
    if item.eat_words(&["set", "compression"]) || (item.is("set") || item.is("reset")) {
        item.at = item.tokens.len();
        return Ok(nothing(Some(column)));
    }
    Err(item.error())
}

fn is_sequence_set(item: &Cursor<'_, '_>) -> bool {
    const WORDS: &[&str] = &["start", "increment", "minvalue", "maxvalue", "cache", "cycle", "no", "restart"];
    item.is("set") && WORDS.iter().any(|word| word_is(item.peek(1), word))
}

/// `SET GENERATED ALWAYS SET INCREMENT BY 2 RESTART`
fn set_identity(item: &mut Cursor<'_, '_>, column: Name) -> PgResult<AlterTable> {
    let (mut always, mut options) = (None, Vec::new());
    while !item.at_end() {
        let set = item.eat("set");
        if set && item.eat("generated") {
            always = Some(item.eat("always"));
            if always == Some(false) {
                item.expect("by")?;
                item.expect("default")?;
            }
            continue;
        }
        match super::define::sequence_option(item)? {
            Some(option) => options.push(option),
            None => return Err(item.error()),
        }
    }
    Ok(AlterTable::Other(TableAction::SetIdentity { column, always, options }))
}

impl<'t> Cursor<'_, 't> {
    /// Where the next token stands.
    pub fn place(&self) -> Place {
        self.peek(0).map_or(Place::default(), |token| self.source.place_of(token.span))
    }
    pub fn type_name(&mut self) -> PgResult<TypeName> {
        if self.at_end() {
            return Err(self.error());
        }
        let first = self.peek(0).map(|token| self.source.place_of(token.span)).unwrap_or_default();
        let data_type = self.library(|parser| parser.parse_data_type())?;
        let mut name = Converter::new(self.source).type_name(data_type)?;
        if name.place == Place::default() {
            name.place = first;
        }
        Ok(name)
    }
    pub fn expr_of(&self, tokens: &[TokenWithSpan]) -> PgResult<Expr> {
        if tokens.is_empty() {
            return Err(self.error());
        }
        let expr = super::parse_part(self.source, tokens, |parser| parser.parse_expr())?;
        Converter::new(self.source).expr(expr)
    }
    pub fn parenthesized_expr(&mut self) -> PgResult<Expr> {
        let inside = self.parenthesized()?;
        self.expr_of(inside)
    }
    /// `(a, b)`
    pub fn name_list(&mut self) -> PgResult<Vec<Name>> {
        let inside = self.parenthesized()?;
        let mut inside = Cursor { source: self.source, tokens: inside, at: 0 };
        let names = inside.names()?;
        inside.end()?;
        Ok(names)
    }
}
