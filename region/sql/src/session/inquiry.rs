//! What catalog functions answer: definitions, comments, privileges, where sequences stand.
use super::environment::{SessionEnvironment, oid_of, or_null, quoted, text};
use crate::analyze::is_updatable;
use crate::catalog::system::{Reader, constraint_definition, index_definition};
use crate::catalog::{
    AclItem, DATABASE_NAME, POSTGRES_DATABASE, PUBLIC_GRANTEE, Privileges, RelationKind, Table, default_acl,
};
use trivet_types::{Array, Datum, Environment, Oid, PgError, PgResult, SystemCall, oid, sqlstate};

pub(super) fn answer(session: &SessionEnvironment, call: SystemCall, arguments: &[Datum]) -> PgResult<Datum> {
    // Definitions have marks for users' types.
    Ok(match answered(session, call, arguments)? {
        Datum::Text(text) if text.contains('\u{1}') => session.spelled(&text).into(),
        answer => answer,
    })
}

fn answered(session: &SessionEnvironment, call: SystemCall, arguments: &[Datum]) -> PgResult<Datum> {
    use SystemCall as S;
    let first = arguments.first();
    let object = oid_of(first);
    let catalog = || session.catalog();
    let reader = || Ok::<_, Box<PgError>>(Reader::new(session.catalog()?, session.path()));
    Ok(match call {
        S::UserById => {
            let unknown = || format!("unknown (OID={object})");
            catalog()?.roles.name(object).map_or_else(unknown, str::to_owned).into()
        }
        S::IndexDefinition => {
            let column = arguments.get(1).and_then(Datum::as_i64).unwrap_or(0);
            or_null(index_definition(&reader()?, object, column, pretty(arguments)))
        }
        S::ConstraintDefinition => or_null(constraint_definition(&reader()?, object, pretty(arguments))),
        // A node tree is its own text here; what it names by OID gets its name.
        S::ExpressionText => match first.and_then(Datum::as_str) {
            Some(expression) => reader()?.expression(oid_of(arguments.get(1)), expression, pretty(arguments)).into(),
            None => Datum::Null,
        },
        S::ViewDefinition => {
            // A column to wrap at asks for the layout that is easy to read.
            let wraps = matches!(arguments.get(1), Some(Datum::Int4(_)));
            let view = match first {
                Some(Datum::Text(name)) => session.relation_by_text(name)?.ok_or_else(|| {
                    PgError::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
                })?,
                _ => object,
            };
            let is_view = catalog()?.table(view).is_some_and(|table| table.view().is_some());
            or_null(if is_view { reader()?.view(view, wraps || pretty(arguments)) } else { None })
        }
        S::Description | S::ShortDescription => or_null(description(session, object, arguments)?),
        S::SharedDescription if object == POSTGRES_DATABASE => or_null(catalog()?.database.comment.clone()),
        S::SharedDescription => or_null(catalog()?.roles.get(object).and_then(|role| role.comment.clone())),
        S::DefaultAcl => default_grants(session, arguments)?,
        S::HasTablePrivilege => has_relation_privilege(session, arguments, false)?,
        S::HasSequencePrivilege => has_relation_privilege(session, arguments, true)?,
        S::HasColumnPrivilege => has_column_privilege(session, arguments)?,
        S::HasAnyColumnPrivilege => has_any_column_privilege(session, arguments)?,
        S::HasDatabasePrivilege => has_database_privilege(session, arguments)?,
        S::RelationUpdatable => {
            let known = catalog()?.table(object);
            let updatable = |table: &Table| {
                table.is_table() || (table.kind() == RelationKind::View && table.view().is_some_and(is_updatable))
            };
            Datum::Int4(known.map_or(0, |table| if updatable(table) { 28 } else { 0 }))
        }
        S::ColumnUpdatable => {
            let at = arguments.get(1).and_then(Datum::as_i64).and_then(|number| usize::try_from(number - 1).ok());
            let table = catalog()?.table(object).filter(|table| table.is_table());
            table.zip(at).is_some_and(|(table, at)| table.columns.get(at).is_some_and(|column| !column.dropped)).into()
        }
        S::SequenceParameters => sequence_parameters(session, object)?,
        S::HasSchemaPrivilege => has_schema_privilege(session, arguments)?,
        S::HasRole => has_role(session, arguments)?,
        S::SerialSequence => serial_sequence(session, text(first), text(arguments.get(1)))?,
        S::CurrentValue => {
            check_reads_sequence(session, object)?;
            let shown = || catalog().ok().and_then(|catalog| catalog.relation_name(object)).map(|(_, name)| name);
            let undefined = || {
                let message = format!(
                    "currval of sequence \"{}\" is not yet defined in this session",
                    shown().unwrap_or_default()
                );
                PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            };
            Datum::Int8(session.sequences.current(object).ok_or_else(undefined)?)
        }
        S::LastValue => {
            let message = "lastval is not yet defined in this session";
            let undefined = || PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
            Datum::Int8(session.sequences.last().ok_or_else(undefined)?)
        }
        S::SequenceLastValue => {
            let state = catalog()?.sequences.get(&object).filter(|state| state.is_called);
            state.map_or(Datum::Null, |state| Datum::Int8(state.last_value))
        }
        S::SequenceState => {
            let gone = || PgError::internal("a sequence that is not there was shown");
            let state = catalog()?.sequences.get(&object).ok_or_else(gone)?;
            let fields = vec![Datum::Int8(state.last_value), Datum::Int8(0), Datum::Bool(state.is_called)];
            Datum::Record(fields.into())
        }
        other => return Err(PgError::internal(format!("no answer to {other:?}"))),
    })
}

/// The last argument of a definition's function: with fewer parentheses.
fn pretty(arguments: &[Datum]) -> bool {
    matches!(arguments.last(), Some(Datum::Bool(true)))
}

/// `acldefault`
fn default_grants(session: &SessionEnvironment, arguments: &[Datum]) -> PgResult<Datum> {
    let owner = oid_of(arguments.get(1));
    let Some(Datum::Char(kind)) = arguments.first() else { return Ok(Datum::Null) };
    let none = Privileges::NONE;
    let usage = Privileges::USAGE;
    let (everyone, own) = match kind {
        b'r' => (none, Privileges::of_relation(RelationKind::Table)),
        b's' => (none, Privileges::of_relation(RelationKind::Sequence)),
        b'n' => (none, Privileges::SCHEMA),
        b'd' => (Privileges::TEMPORARY.with(Privileges::CONNECT), Privileges::DATABASE),
        b'f' => (Privileges::EXECUTE, Privileges::EXECUTE),
        b'T' | b'l' => (usage, usage),
        b'F' | b'S' => (none, usage),
        b'L' => (none, Privileges::SELECT.with(Privileges::UPDATE)),
        b't' => (none, Privileges::CREATE),
        b'c' => (none, none),
        other => {
            let message = format!("unrecognized object type abbreviation: {}", char::from(*other));
            return Err(PgError::new(sqlstate::INTERNAL_ERROR, message));
        }
    };
    let mut items = Vec::new();
    let grants = [(PUBLIC_GRANTEE, everyone), (owner, own)];
    for (grantee, privileges) in grants.into_iter().filter(|(_, privileges)| !privileges.is_empty()) {
        items.push(AclItem { grantee, grantor: owner, privileges, grantable: none });
    }
    let roles = &session.catalog()?.roles;
    let shown = items.iter().map(|item| Datum::from(item.shown(roles))).collect();
    Ok(Datum::array(Array::from_values(oid::ACLITEM, shown)))
}

fn description(session: &SessionEnvironment, object: Oid, arguments: &[Datum]) -> PgResult<Option<String>> {
    let catalog = session.catalog()?;
    let column = match arguments.get(1) {
        Some(Datum::Int4(column)) => i16::try_from(*column).unwrap_or(0),
        _ => 0,
    };
    if let Some(table) = catalog.table(object) {
        return Ok(table.comment_on(Oid(0), column).map(str::to_owned));
    }
    if let Some(schema) = catalog.schemas.iter().find(|schema| schema.oid == object) {
        return Ok(schema.comment.clone());
    }
    if let Some(found) = catalog.user_type(object) {
        return Ok(found.comment.clone());
    }
    if let Some(found) = catalog.composites.iter().find(|found| found.oid == object) {
        return Ok(found.comment.clone());
    }
    if let Some(found) = catalog.domains.iter().find(|found| found.definition.oid == object) {
        return Ok(found.comment.clone());
    }
    Ok(catalog.tables.iter().find_map(|table| table.comment_on(object, 0)).map(str::to_owned))
}

/// The role that a privilege function asks about, and the arguments after it.
fn role_argument<'a>(
    session: &SessionEnvironment,
    arguments: &'a [Datum],
    count: usize,
) -> PgResult<(Oid, &'a [Datum])> {
    let roles = &session.catalog()?.roles;
    let named = |name: &str| {
        let missing = || PgError::new(sqlstate::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"));
        roles.named(name).map(|role| role.oid).ok_or_else(missing)
    };
    if arguments.len() < count {
        return Ok((named(&session.user)?, arguments));
    }
    let role = match &arguments[0] {
        Datum::Text(name) if &**name == "public" => crate::catalog::PUBLIC_GRANTEE,
        Datum::Text(name) => named(name)?,
        other => oid_of(Some(other)),
    };
    Ok((role, &arguments[1..]))
}

/// `SELECT, INSERT WITH GRANT OPTION`: any one of them will do.
fn wanted(text: &str) -> PgResult<Vec<Privileges>> {
    let mut wanted = Vec::new();
    for word in text.split(',') {
        let upper = word.trim().to_uppercase();
        let plain = upper.strip_suffix(" WITH GRANT OPTION").unwrap_or(&upper).trim();
        let unknown = || {
            let message = format!("unrecognized privilege type: \"{}\"", word.trim());
            PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
        };
        wanted.push(
            Privileges::named(plain)
                .or(match plain {
                    "RULE" => Some(Privileges::NONE),
                    _ => None,
                })
                .ok_or_else(unknown)?,
        );
    }
    Ok(wanted)
}

fn has_relation_privilege(session: &SessionEnvironment, arguments: &[Datum], sequence: bool) -> PgResult<Datum> {
    let (role, rest) = role_argument(session, arguments, 3)?;
    let catalog = session.catalog()?;
    let relation = match rest.first() {
        Some(Datum::Text(name)) => session
            .relation_by_text(name)?
            .ok_or_else(|| PgError::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist")))?,
        other => oid_of(other),
    };
    let wanted = wanted(text(rest.get(1)))?;
    let Some(table) = catalog.table(relation) else {
        // Everyone reads the system's catalogs; other OIDs are nobody's.
        let readable = wanted.contains(&Privileges::SELECT) || catalog.roles.is_superuser(role);
        return Ok(catalog.relation_name(relation).map_or(Datum::Null, |_| readable.into()));
    };
    if sequence && table.sequence().is_none() {
        let message = format!("\"{}\" is not a sequence", table.name);
        return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
    }
    let default;
    let acl = match &table.acl {
        Some(acl) => acl,
        None => {
            default = default_acl(table.owner, Privileges::of_relation(table.kind()));
            &default
        }
    };
    let has = |privilege: &Privileges| !catalog.roles.granted(role, table.owner, acl, *privilege).is_empty();
    Ok(wanted.iter().any(has).into())
}

/// The column that a privilege function asks about, by name or number; `None`: there is no such number.
fn column_argument(table: &Table, argument: Option<&Datum>) -> PgResult<Option<usize>> {
    match argument {
        Some(Datum::Text(name)) => {
            let missing = || {
                let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                PgError::new(sqlstate::UNDEFINED_COLUMN, message)
            };
            table.column_named(name).map(|(at, _)| Some(at)).ok_or_else(missing)
        }
        other => {
            let at = other.and_then(Datum::as_i64).and_then(|number| usize::try_from(number - 1).ok());
            Ok(at.filter(|at| table.columns.get(*at).is_some_and(|column| !column.dropped)))
        }
    }
}

fn has_column_privilege(session: &SessionEnvironment, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role_argument(session, arguments, 4)?;
    let of_whole = [&[Datum::Oid(role.0)][..], &rest[..1], &rest[2..]].concat();
    let whole = has_relation_privilege(session, &of_whole, false)?;
    let catalog = session.catalog()?;
    let relation = match rest.first() {
        Some(Datum::Text(name)) => session.relation_by_text(name)?.unwrap_or_default(),
        other => oid_of(other),
    };
    let Some(table) = catalog.table(relation) else { return Ok(whole) };
    let Some(at) = column_argument(table, rest.get(1))? else { return Ok(Datum::Null) };
    let acl = table.columns[at].acl.as_deref().unwrap_or_default();
    let has = |privilege: &Privileges| !catalog.roles.granted(role, table.owner, acl, *privilege).is_empty();
    Ok((whole.is_true() || wanted(text(rest.get(2)))?.iter().any(has)).into())
}

fn has_any_column_privilege(session: &SessionEnvironment, arguments: &[Datum]) -> PgResult<Datum> {
    let whole = has_relation_privilege(session, arguments, false)?;
    let (role, rest) = role_argument(session, arguments, 3)?;
    let catalog = session.catalog()?;
    let relation = match rest.first() {
        Some(Datum::Text(name)) => session.relation_by_text(name)?.unwrap_or_default(),
        other => oid_of(other),
    };
    let Some(table) = catalog.table(relation) else { return Ok(whole) };
    let wanted = wanted(text(rest.get(1)))?;
    let granted = |acl: &Vec<AclItem>| {
        let has = |privilege: &Privileges| !catalog.roles.granted(role, table.owner, acl, *privilege).is_empty();
        wanted.iter().any(has)
    };
    Ok((whole.is_true() || table.columns.iter().filter_map(|column| column.acl.as_ref()).any(granted)).into())
}

fn has_database_privilege(session: &SessionEnvironment, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role_argument(session, arguments, 3)?;
    match rest.first() {
        Some(Datum::Text(name)) if **name != *DATABASE_NAME => {
            let message = format!("database \"{name}\" does not exist");
            return Err(PgError::new(sqlstate::INVALID_CATALOG_NAME, message));
        }
        Some(Datum::Text(_)) => {}
        other if oid_of(other) == POSTGRES_DATABASE => {}
        _ => return Ok(Datum::Null),
    }
    let catalog = session.catalog()?;
    let acl = catalog.database.grants();
    let owner = catalog.database.owner;
    let wanted = wanted(text(rest.get(1)))?;
    let has = |privilege: &Privileges| !catalog.roles.granted(role, owner, &acl, *privilege).is_empty();
    Ok(wanted.iter().any(has).into())
}

/// `pg_sequence_parameters`
fn sequence_parameters(session: &SessionEnvironment, oid: Oid) -> PgResult<Datum> {
    let missing = || PgError::new(sqlstate::UNDEFINED_TABLE, format!("could not open relation with OID {oid}"));
    let table = session.catalog()?.table(oid).ok_or_else(missing)?;
    let Some(sequence) = table.sequence() else {
        let message = format!("\"{}\" is not a sequence", table.name);
        return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
    };
    let fields = vec![
        Datum::Int8(sequence.start),
        Datum::Int8(sequence.minimum),
        Datum::Int8(sequence.maximum),
        Datum::Int8(sequence.increment),
        Datum::Bool(sequence.cycles),
        Datum::Int8(sequence.cache),
        sequence.type_oid.into(),
    ];
    Ok(Datum::Record(fields.into()))
}

/// 42501 unless the current role may ask where a sequence stands.
fn check_reads_sequence(session: &SessionEnvironment, sequence: Oid) -> PgResult<()> {
    let catalog = session.catalog()?;
    let Some(table) = catalog.table(sequence) else { return Ok(()) };
    let acl = table.acl.clone().unwrap_or_else(|| default_acl(table.owner, Privileges::of_relation(table.kind())));
    let role = catalog.roles.named(&session.user).map(|role| role.oid).unwrap_or_default();
    let any = Privileges::SELECT.with(Privileges::USAGE);
    if !catalog.roles.granted(role, table.owner, &acl, any).is_empty() {
        return Ok(());
    }
    let message = format!("permission denied for sequence {}", table.name);
    Err(PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message))
}

fn has_schema_privilege(session: &SessionEnvironment, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role_argument(session, arguments, 3)?;
    let catalog = session.catalog()?;
    let schema = match rest.first() {
        Some(Datum::Text(name)) => {
            let missing = || PgError::new(sqlstate::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"));
            catalog.schemas.iter().find(|schema| schema.name == **name).ok_or_else(missing)?
        }
        other => match catalog.schemas.iter().find(|schema| schema.oid == oid_of(other)) {
            Some(schema) => schema,
            None => return Ok(Datum::Null),
        },
    };
    let acl = schema.acl.clone().unwrap_or_else(|| default_acl(schema.owner, Privileges::SCHEMA));
    let wanted = wanted(text(rest.get(1)))?;
    let has = |privilege: &Privileges| !catalog.roles.granted(role, schema.owner, &acl, *privilege).is_empty();
    Ok(wanted.iter().any(has).into())
}

fn has_role(session: &SessionEnvironment, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role_argument(session, arguments, 3)?;
    let roles = &session.catalog()?.roles;
    let target = match rest.first() {
        Some(Datum::Text(name)) => {
            let missing = || PgError::new(sqlstate::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"));
            roles.named(name).ok_or_else(missing)?.oid
        }
        other => oid_of(other),
    };
    let usage = text(rest.get(1)).trim().to_uppercase().starts_with("USAGE");
    Ok(if usage { roles.has_privileges_of(role, target) } else { roles.is_member(role, target) }.into())
}

/// `pg_get_serial_sequence`
fn serial_sequence(session: &SessionEnvironment, table: &str, column: &str) -> PgResult<Datum> {
    let catalog = session.catalog()?;
    let missing = || PgError::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{table}\" does not exist"));
    let found = session.relation_by_text(table)?.and_then(|oid| catalog.table(oid)).ok_or_else(missing)?;
    let Some((at, _)) = found.column_named(column) else {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", found.name);
        return Err(PgError::new(sqlstate::UNDEFINED_COLUMN, message));
    };
    let owned = |sequence: &&std::sync::Arc<Table>| {
        let owner = sequence.sequence().and_then(|sequence| sequence.owned_by);
        owner.is_some_and(|(table, column, _)| table == found.oid && column == at)
    };
    let sequence = catalog.tables.iter().find(owned);
    Ok(or_null(sequence.map(|sequence| format!("{}.{}", quoted(&sequence.schema_name), quoted(&sequence.name)))))
}
