//! CREATE, ALTER ROLE; GRANT and REVOKE.
use super::cursor::{Cursor, word_is};
use super::tree::*;
use crate::catalog::ObjectClass;
use sqlparser::tokenizer::Token;
use trivet_types::{PgError, PgResult};

fn definition(definition: Definition) -> Statement {
    Statement::Definition(Box::new(definition))
}

pub(super) fn role_name(rest: &mut Cursor<'_, '_>) -> PgResult<RoleName> {
    rest.eat("group");
    if rest.eat("current_user") || rest.eat("current_role") {
        return Ok(RoleName::CurrentUser);
    }
    if rest.eat("session_user") {
        return Ok(RoleName::SessionUser);
    }
    if rest.eat("public") {
        return Ok(RoleName::Public);
    }
    rest.name().map(RoleName::Named)
}

pub(super) fn role_names(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<RoleName>> {
    let mut names = vec![role_name(rest)?];
    while rest.eat_token(&Token::Comma) {
        names.push(role_name(rest)?);
    }
    Ok(names)
}

pub(super) fn create(rest: &mut Cursor<'_, '_>, user: bool) -> PgResult<Statement> {
    let name = rest.name()?;
    let options = options(rest)?;
    Ok(definition(Definition::CreateRole { name, user, options }))
}

fn options(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<RoleOption>> {
    use RoleOption as O;
    rest.eat("with");
    let mut options = Vec::new();
    while !rest.at_end() {
        let word = rest.keyword().ok_or_else(|| rest.error())?;
        rest.at += 1;
        options.push(match word.as_str() {
            "superuser" => O::Superuser(true),
            "nosuperuser" => O::Superuser(false),
            "inherit" => O::Inherit(true),
            "noinherit" => O::Inherit(false),
            "createrole" => O::CreateRole(true),
            "nocreaterole" => O::CreateRole(false),
            "createdb" => O::CreateDatabase(true),
            "nocreatedb" => O::CreateDatabase(false),
            "login" => O::Login(true),
            "nologin" => O::Login(false),
            "replication" => O::Replication(true),
            "noreplication" => O::Replication(false),
            "bypassrls" => O::BypassRowSecurity(true),
            "nobypassrls" => O::BypassRowSecurity(false),
            "connection" => {
                rest.expect("limit")?;
                O::ConnectionLimit(rest.integer().ok_or_else(|| rest.error())?)
            }
            "encrypted" => {
                rest.expect("password")?;
                O::Password(Some(rest.string()?))
            }
            "password" if rest.eat("null") => O::Password(None),
            "password" => O::Password(Some(rest.string()?)),
            "valid" => {
                rest.expect("until")?;
                O::ValidUntil(rest.string()?)
            }
            "in" => {
                if !rest.eat("role") {
                    rest.expect("group")?;
                }
                O::InRole(role_names(rest)?)
            }
            "role" | "user" => O::Members(role_names(rest)?, false),
            "admin" => O::Members(role_names(rest)?, true),
            "sysid" => {
                rest.integer().ok_or_else(|| rest.error())?;
                continue;
            }
            _ => {
                rest.at -= 1;
                return Err(rest.error());
            }
        });
    }
    Ok(options)
}

pub(super) fn alter(rest: &mut Cursor<'_, '_>, group: bool) -> PgResult<Statement> {
    if rest.eat("all") {
        let database = if rest.eat_words(&["in", "database"]) { Some(rest.name()?) } else { None };
        return settings_for(rest, None, database);
    }
    let role = role_name(rest)?;
    if rest.eat_words(&["rename", "to"]) {
        let RoleName::Named(from) = role else { return Err(rest.error()) };
        return Ok(definition(Definition::RenameRole { from, to: rest.name()? }));
    }
    if group {
        let add = rest.eat("add");
        if !add {
            rest.expect("drop")?;
        }
        rest.expect("user")?;
        let RoleName::Named(name) = role else { return Err(rest.error()) };
        let members = role_names(rest)?;
        return Ok(definition(Definition::GrantRole(GrantRole {
            revoke: !add,
            roles: vec![name],
            members,
            admin: false,
        })));
    }
    let database = if rest.eat_words(&["in", "database"]) { Some(rest.name()?) } else { None };
    if database.is_some() || rest.is("set") || rest.is("reset") {
        return settings_for(rest, Some(role), database);
    }
    let options = options(rest)?;
    Ok(definition(Definition::AlterRole { role, options }))
}

/// SET or RESET, of a role, in a database.
fn settings_for(rest: &mut Cursor<'_, '_>, role: Option<RoleName>, database: Option<Name>) -> PgResult<Statement> {
    if rest.eat("reset") {
        let setting = if rest.eat("all") { None } else { Some(super::utility::setting_name(rest)?) };
        return Ok(definition(Definition::SetFor { role, database, setting, value: None }));
    }
    rest.expect("set")?;
    let setting = Some(super::utility::setting_name(rest)?);
    let is_zone = setting.as_deref() == Some("timezone");
    if !rest.eat("to") && !rest.eat_token(&Token::Eq) && !is_zone {
        return Err(rest.error());
    }
    if rest.eat("default") {
        return Ok(definition(Definition::SetFor { role, database, setting, value: None }));
    }
    let mut value = rest.set_value()?;
    while rest.eat_token(&Token::Comma) {
        value.push_str(", ");
        value.push_str(&rest.set_value()?);
    }
    Ok(definition(Definition::SetFor { role, database, setting, value: Some(value) }))
}

/// ALTER DATABASE: only its settings.
pub(super) fn alter_database(rest: &mut Cursor<'_, '_>) -> PgResult<Option<Statement>> {
    let name = rest.name()?;
    if !rest.is("set") && !rest.is("reset") || word_is(rest.peek(1), "tablespace") {
        return Ok(None);
    }
    settings_for(rest, None, Some(name)).map(Some)
}

pub(super) fn grant(rest: &mut Cursor<'_, '_>, revoke: bool) -> PgResult<Statement> {
    let option_for = revoke && rest.eat_words(&["grant", "option", "for"]);
    let admin_for = revoke && rest.eat_words(&["admin", "option", "for"]);
    // With ON it is about objects, without about roles.
    let mut ahead = Cursor { source: rest.source, tokens: rest.tokens, at: rest.at };
    let about_objects = loop {
        if ahead.at_end() {
            break false;
        }
        if ahead.is("on") {
            break true;
        }
        ahead.at += 1;
    };
    if !about_objects {
        let roles = rest.names()?;
        rest.expect(if revoke { "from" } else { "to" })?;
        let members = role_names(rest)?;
        let admin = admin_for || rest.eat_words(&["with", "admin", "option"]);
        granted_by(rest)?;
        rest.cascades();
        return Ok(definition(Definition::GrantRole(GrantRole { revoke, roles, members, admin })));
    }
    let privileges = privileges(rest)?;
    rest.expect("on")?;
    let target = target(rest)?;
    rest.expect(if revoke { "from" } else { "to" })?;
    let roles = role_names(rest)?;
    let option = option_for || rest.eat_words(&["with", "grant", "option"]);
    granted_by(rest)?;
    let cascade = rest.cascades();
    Ok(definition(Definition::Grant(Grant { revoke, privileges, target, roles, option, cascade })))
}

fn granted_by(rest: &mut Cursor<'_, '_>) -> PgResult<()> {
    if rest.eat_words(&["granted", "by"]) {
        role_name(rest)?;
    }
    Ok(())
}

fn privileges(rest: &mut Cursor<'_, '_>) -> PgResult<Vec<GrantedPrivilege>> {
    let columns =
        |rest: &mut Cursor<'_, '_>| if rest.peek_is(&Token::LParen) { rest.name_list() } else { Ok(Vec::new()) };
    if rest.eat("all") {
        rest.eat("privileges");
        return Ok(vec![GrantedPrivilege { word: None, columns: columns(rest)? }]);
    }
    let mut all = Vec::new();
    loop {
        let word = Some(rest.keyword().ok_or_else(|| rest.error())?);
        rest.at += 1;
        all.push(GrantedPrivilege { word, columns: columns(rest)? });
        if !rest.eat_token(&Token::Comma) {
            return Ok(all);
        }
    }
}

/// `ALTER DEFAULT PRIVILEGES`, read up to here.
pub(super) fn default_privileges(rest: &mut Cursor<'_, '_>) -> PgResult<Statement> {
    let (mut of, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if rest.eat_words(&["for", "role"]) || rest.eat_words(&["for", "user"]) {
            of.extend(role_names(rest)?);
        } else if rest.eat_words(&["in", "schema"]) {
            schemas.extend(rest.names()?);
        } else {
            break;
        }
    }
    let revoke = rest.eat("revoke");
    if !revoke {
        rest.expect("grant")?;
    }
    let option_for = revoke && rest.eat_words(&["grant", "option", "for"]);
    let privileges = privileges(rest)?;
    rest.expect("on")?;
    const CLASSES: &[(&str, ObjectClass)] = &[
        ("tables", ObjectClass::Relation),
        ("sequences", ObjectClass::Sequence),
        ("functions", ObjectClass::Function),
        ("routines", ObjectClass::Function),
        ("types", ObjectClass::Type),
        ("schemas", ObjectClass::Schema),
    ];
    let class = CLASSES.iter().find(|(word, _)| rest.eat(word)).ok_or_else(|| rest.error())?.1;
    rest.expect(if revoke { "from" } else { "to" })?;
    let roles = role_names(rest)?;
    let option = option_for || rest.eat_words(&["with", "grant", "option"]);
    rest.cascades();
    let grant = DefaultGrant { of, schemas, class, revoke, privileges, roles, option };
    Ok(definition(Definition::DefaultGrant(grant)))
}

fn target(rest: &mut Cursor<'_, '_>) -> PgResult<GrantTarget> {
    if rest.eat_words(&["all", "tables", "in", "schema"]) {
        return Ok(GrantTarget::AllTables(rest.names()?));
    }
    if rest.eat_words(&["all", "sequences", "in", "schema"]) {
        return Ok(GrantTarget::AllSequences(rest.names()?));
    }
    let next_is_name = |rest: &Cursor<'_, '_>| {
        rest.peek(1).is_some_and(|token| matches!(token.token, Token::Word(_)))
            && !word_is(rest.peek(1), "to")
            && !word_is(rest.peek(1), "from")
    };
    if next_is_name(rest) {
        let word = rest.keyword().unwrap_or_default();
        rest.at += 1;
        return match word.as_str() {
            "table" => Ok(GrantTarget::Tables(rest.qualified_names()?)),
            "sequence" => Ok(GrantTarget::Sequences(rest.qualified_names()?)),
            "schema" => Ok(GrantTarget::Schemas(rest.names()?)),
            "database" => Ok(GrantTarget::Databases(rest.names()?)),
            "type" => Ok(GrantTarget::Types(rest.qualified_names()?)),
            "all" | "domain" | "foreign" | "function" | "language" | "large" | "parameter" | "procedure"
            | "routine" | "tablespace" => Err(PgError::unsupported(format!("GRANT ON {}", word.to_uppercase()))),
            _ => {
                rest.at -= 1;
                Err(rest.error())
            }
        };
    }
    Ok(GrantTarget::Tables(rest.qualified_names()?))
}
