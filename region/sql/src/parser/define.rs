//! Definitions that are read by hand: sequences, schemas, views, types, comments, DROP. `parse` answers `None` for one that is
//! the library's.
use super::convert::Converter;
use super::cursor::{Cursor, word_is};
use super::tree::*;
use super::{roles, table};
use crate::catalog::CheckOption;
use sqlparser::tokenizer::Token;
use trivet_types::{PgError, PgResult};

pub(super) fn parse(first: &str, rest: &mut Cursor<'_, '_>) -> PgResult<Option<Statement>> {
    match first {
        "create" => create(rest),
        "alter" => alter(rest).map(Some),
        "drop" => drop(rest).map(Some),
        "comment" => comment(rest).map(Some),
        "grant" => roles::grant(rest, false).map(Some),
        "revoke" => roles::grant(rest, true).map(Some),
        "reassign" => {
            rest.expect("owned")?;
            rest.expect("by")?;
            let roles = roles::role_names(rest)?;
            rest.expect("to")?;
            let reassign = Some(roles::role_name(rest)?);
            Ok(Some(definition(Definition::Owned { roles, reassign, cascade: false })))
        }
        _ => Ok(None),
    }
}

fn definition(definition: Definition) -> Statement {
    Statement::Definition(Box::new(definition))
}

/// What PostgreSQL creates, alters or drops and nothing here has: refused by name.
fn refuse_kind(verb: &str, rest: &Cursor<'_, '_>) -> PgResult<()> {
    const KINDS: &[&str] = &[
        "access",
        "aggregate",
        "cast",
        "collation",
        "conversion",
        "database",
        "default",
        "event",
        "extension",
        "foreign",
        "function",
        "language",
        "large",
        "operator",
        "policy",
        "procedural",
        "procedure",
        "publication",
        "routine",
        "rule",
        "server",
        "statistics",
        "subscription",
        "system",
        "tablespace",
        "text",
        "transform",
        "trigger",
        "trusted",
    ];
    let Some(word) = rest.keyword().filter(|word| KINDS.contains(&word.as_str())) else { return Ok(()) };
    const TWO: &[&str] = &["access", "event", "foreign", "large", "text", "default"];
    let second = if TWO.contains(&word.as_str()) {
        let next = Cursor { source: rest.source, tokens: rest.tokens, at: rest.at + 1 };
        next.keyword().map(|word| format!(" {}", word.to_uppercase())).unwrap_or_default()
    } else {
        String::new()
    };
    Err(PgError::unsupported(format!("{verb} {}{second}", word.to_uppercase())))
}

fn create(rest: &mut Cursor<'_, '_>) -> PgResult<Option<Statement>> {
    let or_replace = rest.eat_words(&["or", "replace"]);
    refuse_kind("CREATE", rest)?;
    if rest.is("global") || rest.is("local") {
        rest.at += 1;
    }
    let temporary = rest.eat("temp") || rest.eat("temporary");
    let unlogged = !temporary && rest.eat("unlogged");
    const KINDS: &[&str] = &["table", "sequence", "view", "recursive"];
    if (temporary && !KINDS.iter().any(|kind| rest.is(kind))) || (unlogged && !rest.is("table") && !rest.is("sequence"))
    {
        return Err(rest.error());
    }
    if rest.eat("recursive") {
        rest.expect("view")?;
        return create_recursive_view(rest, or_replace, temporary).map(Some);
    }
    if rest.eat("view") {
        return create_view(rest, or_replace, temporary).map(Some);
    }
    if or_replace {
        return Err(rest.error());
    }
    if rest.eat_words(&["materialized", "view"]) {
        return create_materialized(rest).map(Some);
    }
    let word = rest.keyword().ok_or_else(|| rest.error())?;
    match word.as_str() {
        "table" => {
            rest.at += 1;
            table::create_table(rest, temporary, unlogged)
        }
        "sequence" => {
            rest.at += 1;
            let if_not_exists = rest.eat_words(&["if", "not", "exists"]);
            let name = rest.qualified_name()?;
            let options = sequence_options(rest)?;
            Ok(Some(definition(Definition::CreateSequence(CreateSequence { name, if_not_exists, temporary, options }))))
        }
        "schema" => {
            rest.at += 1;
            create_schema(rest).map(Some)
        }
        "domain" => {
            rest.at += 1;
            let name = rest.qualified_name()?;
            rest.eat("as");
            let named = Name { text: name.last().to_owned(), place: name.place() };
            let ColumnDefinition { data_type, constraints, collation, .. } = table::column_of(rest, named)?;
            if let Some(collation) = collation.filter(|name| !matches!(name.last(), "C" | "POSIX" | "default")) {
                return Err(PgError::unsupported(format!("collation \"{}\"", collation.last())));
            }
            Ok(Some(definition(Definition::CreateDomain(CreateDomain { name, data_type, constraints }))))
        }
        "type" => {
            rest.at += 1;
            let name = rest.qualified_name()?;
            if rest.is("as") && rest.peek(1).is_some_and(|next| next.token == Token::LParen) {
                rest.at += 1;
                return composite(rest, name).map(Some);
            }
            if !rest.eat_words(&["as", "enum"]) {
                return Err(PgError::unsupported("CREATE TYPE of another kind than enum and composite"));
            }
            let inside = rest.parenthesized()?;
            let mut inside = Cursor { source: rest.source, tokens: inside, at: 0 };
            let mut labels = Vec::new();
            while !inside.at_end() {
                labels.push(inside.string()?);
                if !inside.eat_token(&Token::Comma) {
                    break;
                }
            }
            inside.end()?;
            Ok(Some(definition(Definition::CreateEnum { name, labels })))
        }
        "role" | "user" | "group" => {
            rest.at += 1;
            roles::create(rest, word == "user").map(Some)
        }
        "index" | "unique" => Ok(None),
        _ => Err(rest.error()),
    }
}

fn create_view(rest: &mut Cursor<'_, '_>, or_replace: bool, temporary: bool) -> PgResult<Statement> {
    if rest.eat_words(&["if", "not", "exists"]) {
        rest.at -= 3;
        return Err(rest.error());
    }
    let name = rest.qualified_name()?;
    let columns = if rest.peek_is(&Token::LParen) { rest.name_list()? } else { vec![] };
    let mut check_option = None;
    if rest.eat("with") {
        for (name, value) in table::options(rest)? {
            if name == "check_option" {
                check_option = Some(match value.as_str() {
                    "local" => CheckOption::Local,
                    "cascaded" => CheckOption::Cascaded,
                    _ => {
                        let message = format!("invalid value for enum option \"check_option\": {value}");
                        return Err(PgError::new(trivet_types::sqlstate::INVALID_PARAMETER_VALUE, message)
                            .detail("Valid values are \"local\" and \"cascaded\"."));
                    }
                });
            } else if name != "security_barrier" && name != "security_invoker" {
                return Err(PgError::unsupported(format!("the view option {name}")));
            }
        }
    }
    rest.expect("as")?;
    let mut end = rest.tokens.len();
    let word = |at: Option<usize>, word: &str| word_is(at.and_then(|at| rest.tokens.get(at)), word);
    if word(end.checked_sub(1), "option") && word(end.checked_sub(2), "check") {
        let local = word(end.checked_sub(3), "local");
        end -= if local || word(end.checked_sub(3), "cascaded") { 3 } else { 2 };
        if !word(end.checked_sub(1), "with") {
            return Err(rest.error());
        }
        end -= 1;
        check_option = Some(if local { CheckOption::Local } else { CheckOption::Cascaded });
    }
    end = end.max(rest.at);
    let tokens = &rest.tokens[rest.at..end];
    if tokens.is_empty() {
        return Err(rest.error());
    }
    let query_text = rest.text_of(tokens);
    let query = Box::new(super::parse_query(rest.source, tokens)?);
    rest.at = rest.tokens.len();
    Ok(Statement::CreateView { name, columns, query, query_text, or_replace, temporary, check_option })
}

/// `CREATE RECURSIVE VIEW v (a) AS q` is `CREATE VIEW v AS WITH RECURSIVE v (a) AS (q) SELECT a FROM v`.
fn create_recursive_view(rest: &mut Cursor<'_, '_>, or_replace: bool, temporary: bool) -> PgResult<Statement> {
    use trivet_types::functions::string::quote_identifier;
    let view = rest.qualified_name()?;
    let columns = rest.name_list()?;
    rest.expect("as")?;
    let query = rest.remaining();
    if query.is_empty() {
        return Err(rest.error());
    }
    // So that a mistake in it has its place in the statement.
    super::parse_query(rest.source, query)?;
    let names: Vec<String> = columns.iter().map(|column| quote_identifier(&column.text).to_string()).collect();
    let (name, names) = (quote_identifier(view.last()), names.join(", "));
    let query_text = format!("WITH RECURSIVE {name} ({names}) AS ({}) SELECT {names} FROM {name}", rest.text_of(query));
    rest.at = rest.tokens.len();
    let parsed = super::parse(&query_text)?.pop();
    let Some(super::Parsed { statement: Statement::Query(query), .. }) = parsed else {
        return Err(PgError::internal("a recursive view is no query"));
    };
    let (query, columns) = (Box::new(query), vec![]);
    Ok(Statement::CreateView { name: view, columns, query, query_text, or_replace, temporary, check_option: None })
}

fn create_materialized(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let if_not_exists = rest.eat_words(&["if", "not", "exists"]);
    let name = rest.qualified_name()?;
    let columns = if rest.peek_is(&Token::LParen) { rest.name_list()? } else { vec![] };
    if rest.eat("using") && rest.name()?.text != "heap" {
        return Err(PgError::unsupported("another table access method than heap"));
    }
    if rest.eat("with") {
        table::options(rest)?;
    }
    rest.expect("as")?;
    let (tokens, with_data) = table::with_data(rest);
    if tokens.is_empty() {
        return Err(rest.error());
    }
    let query_text = rest.text_of(tokens);
    let query = super::parse_part(rest.source, tokens, |parser| parser.parse_query())?;
    let query = Box::new(Converter::new(rest.source).query(*query)?);
    rest.at = rest.tokens.len();
    Ok(Statement::CreateMaterialized { name, columns, query, query_text, if_not_exists, with_data })
}

/// `REFRESH MATERIALIZED VIEW`
pub(super) fn refresh(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    rest.expect("materialized")?;
    rest.expect("view")?;
    let concurrently = rest.eat("concurrently");
    let name = rest.qualified_name()?;
    let (mut with_data, mut said) = (true, false);
    if rest.eat("with") {
        with_data = !rest.eat("no");
        rest.expect("data")?;
        said = !with_data;
    }
    if concurrently && said {
        let message = "CONCURRENTLY and WITH NO DATA options cannot be used together";
        return Err(PgError::new(trivet_types::sqlstate::SYNTAX_ERROR, message));
    }
    Ok(Statement::Refresh { name, concurrently, with_data })
}

fn create_schema(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let if_not_exists = rest.eat_words(&["if", "not", "exists"]);
    let name = if rest.is("authorization") { None } else { Some(rest.name()?) };
    let owner = if rest.eat("authorization") { Some(roles::role_name(rest)?) } else { None };
    let elements = schema_elements(rest)?;
    if if_not_exists && !elements.is_empty() {
        let message = "CREATE SCHEMA IF NOT EXISTS cannot include schema elements";
        return Err(PgError::new(trivet_types::sqlstate::FEATURE_NOT_SUPPORTED, message));
    }
    Ok(definition(Definition::CreateSchema { name, if_not_exists, owner, elements }))
}

/// What is made together with a schema, one statement behind the other, in the order in which PostgreSQL makes it.
fn schema_elements(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<Statement>> {
    let mut elements = Vec::new();
    while rest.is("create") || rest.is("grant") {
        let mut depth = 0usize;
        let ends = rest.remaining().iter().skip(1).position(|token| {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && (word_is(Some(token), "create") || word_is(Some(token), "grant"))
        });
        let count = ends.map_or(rest.remaining().len(), |ends| ends + 1);
        let element = super::parse_one(rest.source, &rest.remaining()[..count])?;
        rest.at += count;
        let rank = match &element {
            Statement::Definition(definition) => match **definition {
                Definition::CreateSequence(_) => 0,
                Definition::Grant(_) => 4,
                _ => return Err(PgError::unsupported("this in CREATE SCHEMA")),
            },
            Statement::CreateTable(_) => 1,
            Statement::CreateView { .. } => 2,
            Statement::CreateIndex(_) => 3,
            _ => return Err(PgError::unsupported("this in CREATE SCHEMA")),
        };
        elements.push((rank, element));
    }
    elements.sort_by_key(|(rank, _)| *rank);
    Ok(elements.into_iter().map(|(_, element)| element).collect())
}

pub(super) fn sequence_options(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<SequenceOption>> {
    let mut options: Vec<SequenceOption> = Vec::new();
    while !rest.at_end() {
        let place = rest.place();
        let option = sequence_option(rest)?.ok_or_else(|| rest.error())?;
        let same = |other: &SequenceOption| std::mem::discriminant(other) == std::mem::discriminant(&option);
        if options.iter().any(same) {
            let error = PgError::new(trivet_types::sqlstate::SYNTAX_ERROR, "conflicting or redundant options");
            return Err(place.known().map_or(error.clone(), |position| error.position(position)));
        }
        options.push(option);
    }
    Ok(options)
}

pub(super) fn sequence_option(rest: &mut Cursor<'_, '_>) -> PgResult<Option<SequenceOption>> {
    use SequenceOption as O;
    let number = |rest: &mut Cursor<'_, '_>| {
        rest.eat_token(&Token::Plus);
        rest.integer().ok_or_else(|| rest.error())
    };
    Ok(Some(if rest.eat("as") {
        O::Type(rest.type_name()?)
    } else if rest.eat("start") {
        rest.eat("with");
        O::Start(number(rest)?)
    } else if rest.eat("restart") {
        rest.eat("with");
        O::Restart(rest.integer())
    } else if rest.eat("increment") {
        rest.eat("by");
        O::Increment(number(rest)?)
    } else if rest.eat("minvalue") {
        O::Minimum(Some(number(rest)?))
    } else if rest.eat("maxvalue") {
        O::Maximum(Some(number(rest)?))
    } else if rest.eat_words(&["no", "minvalue"]) {
        O::Minimum(None)
    } else if rest.eat_words(&["no", "maxvalue"]) {
        O::Maximum(None)
    } else if rest.eat("cache") {
        O::Cache(number(rest)?)
    } else if rest.eat("cycle") {
        O::Cycle(true)
    } else if rest.eat_words(&["no", "cycle"]) {
        O::Cycle(false)
    } else if rest.eat_words(&["owned", "by"]) {
        if rest.is("none") {
            rest.at += 1;
            O::OwnedBy(None)
        } else {
            O::OwnedBy(Some(rest.qualified_name()?))
        }
    } else if rest.eat_words(&["sequence", "name"]) {
        O::Name(rest.qualified_name()?)
    } else {
        return Ok(None);
    }))
}

fn alter(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    if rest.eat_words(&["default", "privileges"]) {
        return roles::default_privileges(rest);
    }
    if rest.is("database") {
        let mut ahead = Cursor { source: rest.source, tokens: rest.tokens, at: rest.at + 1 };
        if let Some(statement) = roles::alter_database(&mut ahead)? {
            rest.at = ahead.at;
            return Ok(statement);
        }
    }
    refuse_kind("ALTER", rest)?;
    let word = rest.keyword().ok_or_else(|| rest.error())?;
    rest.at += 1;
    match word.as_str() {
        "table" => table::alter(rest, ObjectKind::Table),
        "view" => table::alter(rest, ObjectKind::View),
        "materialized" => {
            rest.expect("view")?;
            table::alter(rest, ObjectKind::MaterializedView)
        }
        "index" => table::alter(rest, ObjectKind::Index),
        "sequence" => {
            let start = rest.at;
            let if_exists = rest.eat_words(&["if", "exists"]);
            let name = rest.qualified_name()?;
            if rest.is("rename") || rest.is("owner") || (rest.is("set") && word_is(rest.peek(1), "schema")) {
                rest.at = start;
                return table::alter(rest, ObjectKind::Sequence);
            }
            let options = sequence_options(rest)?;
            if options.is_empty() {
                return Err(rest.error());
            }
            Ok(definition(Definition::AlterSequence { name, if_exists, options }))
        }
        "schema" => {
            let name = rest.name()?;
            let change = if rest.eat_words(&["rename", "to"]) {
                SchemaChange::Rename(rest.name()?)
            } else {
                rest.expect("owner")?;
                rest.expect("to")?;
                SchemaChange::Owner(roles::role_name(rest)?)
            };
            Ok(definition(Definition::AlterSchema { name, change }))
        }
        "type" => alter_type(rest),
        "domain" => alter_domain(rest),
        "role" | "user" | "group" => roles::alter(rest, word == "group"),
        _ => {
            rest.at -= 1;
            Err(rest.error())
        }
    }
}

/// `(a int, b text COLLATE "C")`
fn composite(rest: &mut Cursor<'_, '_>, name: QualifiedName) -> PgResult<Statement> {
    let mut attributes = Vec::new();
    let empty = rest.peek(1).is_some_and(|next| next.token == Token::RParen);
    let items = if empty { rest.parenthesized().map(|_| vec![])? } else { rest.parenthesized_items()? };
    for tokens in items {
        let mut item = Cursor { source: rest.source, tokens, at: 0 };
        let attribute = item.name()?;
        let type_name = item.type_name()?;
        if item.eat("collate") {
            item.qualified_name()?;
        }
        item.end()?;
        attributes.push((attribute, type_name));
    }
    Ok(definition(Definition::CreateComposite { name, attributes }))
}

fn alter_type(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let name = rest.qualified_name()?;
    if ["add", "drop", "alter", "rename"].iter().any(|word| rest.is(word)) && word_is(rest.peek(1), "attribute") {
        return Err(PgError::unsupported("ALTER TYPE of a composite type's attributes"));
    }
    let change = if rest.eat_words(&["add", "value"]) {
        let if_not_exists = rest.eat_words(&["if", "not", "exists"]);
        let label = rest.string()?;
        let place = if rest.eat("before") {
            Some((true, rest.string()?))
        } else if rest.eat("after") {
            Some((false, rest.string()?))
        } else {
            None
        };
        EnumChange::Add { label, if_not_exists, place }
    } else if rest.eat_words(&["rename", "value"]) {
        let from = rest.string()?;
        rest.expect("to")?;
        EnumChange::RenameValue { from, to: rest.string()? }
    } else if rest.eat_words(&["rename", "to"]) {
        EnumChange::Rename(rest.name()?)
    } else if rest.eat_words(&["owner", "to"]) {
        EnumChange::Owner(roles::role_name(rest)?)
    } else if rest.eat_words(&["set", "schema"]) {
        EnumChange::Schema(rest.name()?)
    } else {
        return Err(rest.error());
    };
    Ok(definition(Definition::AlterEnum { name, change }))
}

fn alter_domain(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let name = rest.qualified_name()?;
    let change = if rest.eat_words(&["set", "default"]) {
        DomainChange::SetDefault(table::default_expression(rest)?)
    } else if rest.eat_words(&["drop", "default"]) {
        DomainChange::DropDefault
    } else if rest.eat_words(&["set", "not", "null"]) {
        DomainChange::SetNotNull
    } else if rest.eat_words(&["drop", "not", "null"]) {
        DomainChange::DropNotNull
    } else if rest.eat("add") {
        let place = rest.place();
        let name = if rest.eat("constraint") { Some(rest.name()?) } else { None };
        let kind = table::column_constraint(rest)?;
        let (timing, no_inherit) = (Timing::default(), false);
        let constraint = ColumnConstraint { name, kind, place, timing, no_inherit };
        DomainChange::Add(constraint, rest.eat_words(&["not", "valid"]))
    } else if rest.eat_words(&["drop", "constraint"]) {
        let if_exists = rest.eat_words(&["if", "exists"]);
        let name = rest.name()?;
        rest.cascades();
        DomainChange::DropConstraint { name, if_exists }
    } else if rest.eat_words(&["rename", "constraint"]) {
        let from = rest.name()?;
        rest.expect("to")?;
        DomainChange::RenameConstraint { from, to: rest.name()? }
    } else if rest.eat_words(&["validate", "constraint"]) {
        DomainChange::Validate(rest.name()?)
    } else if rest.eat_words(&["owner", "to"]) {
        DomainChange::Owner(roles::role_name(rest)?)
    } else if rest.eat_words(&["rename", "to"]) {
        DomainChange::Rename(rest.name()?)
    } else if rest.eat_words(&["set", "schema"]) {
        DomainChange::Schema(rest.name()?)
    } else {
        return Err(rest.error());
    };
    Ok(definition(Definition::AlterDomain { name, change }))
}

fn drop(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    if rest.eat_words(&["owned", "by"]) {
        let roles = roles::role_names(rest)?;
        let cascade = rest.cascades();
        return Ok(definition(Definition::Owned { roles, reassign: None, cascade }));
    }
    let word = rest.keyword().ok_or_else(|| rest.error())?;
    let kind = match word.as_str() {
        "table" => ObjectKind::Table,
        "index" => ObjectKind::Index,
        "view" => ObjectKind::View,
        "materialized" if word_is(rest.peek(1), "view") => {
            rest.at += 1;
            ObjectKind::MaterializedView
        }
        "sequence" => ObjectKind::Sequence,
        "schema" => ObjectKind::Schema,
        "type" => ObjectKind::Type,
        "domain" => ObjectKind::Domain,
        "role" | "user" | "group" => ObjectKind::Role,
        _ => {
            refuse_kind("DROP", rest)?;
            return Err(rest.error());
        }
    };
    rest.at += 1;
    if kind == ObjectKind::Index {
        rest.eat("concurrently");
    }
    let if_exists = rest.eat_words(&["if", "exists"]);
    let names = rest.qualified_names()?;
    let cascade = rest.cascades();
    Ok(Statement::Drop { kind, names, if_exists, cascade })
}

fn comment(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    rest.expect("on")?;
    let word = rest.keyword().ok_or_else(|| rest.error())?;
    let kind = match word.as_str() {
        "table" => ObjectKind::Table,
        "column" => ObjectKind::Column,
        "index" => ObjectKind::Index,
        "view" => ObjectKind::View,
        "materialized" if word_is(rest.peek(1), "view") => {
            rest.at += 1;
            ObjectKind::MaterializedView
        }
        "sequence" => ObjectKind::Sequence,
        "schema" => ObjectKind::Schema,
        "database" => ObjectKind::Database,
        "role" => ObjectKind::Role,
        "type" => ObjectKind::Type,
        "domain" => ObjectKind::Domain,
        "constraint" => ObjectKind::Constraint,
        _ => {
            refuse_kind("COMMENT ON", rest)?;
            return Err(rest.error());
        }
    };
    rest.at += 1;
    let name = rest.qualified_name()?;
    let table = if kind == ObjectKind::Constraint {
        rest.expect("on")?;
        Some(rest.qualified_name()?)
    } else {
        None
    };
    rest.expect("is")?;
    let text = if rest.eat("null") { None } else { Some(rest.string()?) };
    if kind == ObjectKind::Database {
        let name = Name { text: name.last().to_owned(), place: name.place() };
        return Ok(definition(Definition::CommentOnDatabase { name, text }));
    }
    match table {
        Some(table) => {
            let constraint = Name { text: name.last().to_owned(), place: name.place() };
            Ok(definition(Definition::CommentOnConstraint { constraint, table, text }))
        }
        None => Ok(Statement::Comment { kind, name, text }),
    }
}
