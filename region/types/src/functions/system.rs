//! Functions that ask the session and its catalog.
use super::*;
use crate::environment::SystemCall;
use crate::{Oid, display_name};

macro_rules! calls {
    ($($name:ident = $call:ident;)*) => {
        $(pub fn $name(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            environment.system(SystemCall::$call, a)
        })*
    };
}
calls! {
    current_database = CurrentDatabase;
    current_schema = CurrentSchema;
    current_schemas = CurrentSchemas;
    current_setting = CurrentSetting;
    current_user = CurrentUser;
    session_user = SessionUser;
    set_config = SetConfig;
    backend_pid = BackendPid;
    version = Version;
    region = Region;
    table_is_visible = TableIsVisible;
    type_is_visible = TypeIsVisible;
    function_is_visible = FunctionIsVisible;
    operator_is_visible = OperatorIsVisible;
    user_by_id = UserById;
    index_definition = IndexDefinition;
    constraint_definition = ConstraintDefinition;
    expression_text = ExpressionText;
    view_definition = ViewDefinition;
    description = Description;
    short_description = ShortDescription;
    relation_size = RelationSize;
    has_privilege = HasPrivilege;
    has_table_privilege = HasTablePrivilege;
    has_sequence_privilege = HasSequencePrivilege;
    has_schema_privilege = HasSchemaPrivilege;
    has_role = HasRole;
    shared_description = SharedDescription;
    default_acl = DefaultAcl;
    current_value = CurrentValue;
    last_value = LastValue;
    sequence_last_value = SequenceLastValue;
    to_regclass = ToRegclass;
    in_recovery = InRecovery;
    advisory_lock = AdvisoryLock;
    transaction_id = TransactionId;
    transaction_id_if_assigned = TransactionIdIfAssigned;
    serial_sequence = SerialSequence;
    current_query = CurrentQuery;
    my_temporary_schema = TemporarySchema;
    relation_is_updatable = RelationUpdatable;
    column_is_updatable = ColumnUpdatable;
    has_column_privilege = HasColumnPrivilege;
    has_any_column_privilege = HasAnyColumnPrivilege;
    has_database_privilege = HasDatabasePrivilege;
}

/// As `sequence_elsewhere`: `pg_sleep` and its kin.
pub fn waits_elsewhere(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Err(PgError::unsupported("a function that waits in this place"))
}
/// `nextval` and `setval` have to wait for others: whoever runs expressions calls them by other means where they may stand.
pub fn sequence_elsewhere(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Err(PgError::unsupported("a sequence function in this place"))
}

/// `age(xid)`: how many transactions ago it was, as a transaction's number is counted here.
pub fn transaction_age(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    // Those below are no transaction's.
    const FIRST_NORMAL: u32 = 3;
    let given = u32::try_from(int(a, 0)?).unwrap_or(0);
    let now = environment.system(SystemCall::TransactionId, &[])?.as_i64().unwrap_or(0) as u32;
    // Half of all numbers are in the past.
    Ok(Datum::Int4(if given < FIRST_NORMAL { i32::MAX } else { (now.wrapping_sub(given) & 0x7fff_ffff) as i32 }))
}

/// `to_regtype` and its kin: NULL for a name that is none.
pub fn to_regtype(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(crate::text::input(crate::oid::REGTYPE, -1, text(a, 0)?, environment).unwrap_or(Datum::Null))
}
pub fn to_regnamespace(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(crate::text::input(crate::oid::REGNAMESPACE, -1, text(a, 0)?, environment).unwrap_or(Datum::Null))
}
pub fn to_regrole(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(crate::text::input(crate::oid::REGROLE, -1, text(a, 0)?, environment).unwrap_or(Datum::Null))
}

/// A byte of a name, counted from 0; NULL past its end.
pub fn name_character(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let byte = usize::try_from(int(a, 1)?).ok().and_then(|at| text(a, 0).ok()?.as_bytes().get(at).copied());
    Ok(byte.map_or(Datum::Null, Datum::Char))
}

/// Of what there is none: partitions, options of foreign data.
pub fn no_rows(_: &dyn Environment, _: &[Datum]) -> PgResult<Rows> {
    Ok(Box::new(std::iter::empty()))
}

/// The one row that SELECT shows of a sequence.
pub fn sequence_state(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let state = environment.system(SystemCall::SequenceState, a)?;
    Ok(Box::new(std::iter::once(Ok(state))))
}

/// `format_type(oid, modifier)`; not strict in the modifier.
pub fn format_type(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(oid) = a.first().and_then(Datum::as_i64) else { return Ok(Datum::Null) };
    let modifier = a.get(1).and_then(Datum::as_i64).unwrap_or(-1);
    Ok(Datum::text(environment.spelled(&display_name(Oid(oid as u32), modifier as i32))))
}

pub fn size_pretty(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    // Wider than its argument: the smallest has no absolute value among its own.
    let mut size = i128::from(int(a, 0)?);
    let mut unit = "bytes";
    for larger in ["kB", "MB", "GB", "TB", "PB"] {
        if size.abs() < 10 * 1024 {
            break;
        }
        size = (size + 512 * size.signum()) / 1024;
        unit = larger;
    }
    Ok(Datum::text(format!("{size} {unit}")))
}

/// `pg_size_pretty(numeric)`
pub fn numeric_size_pretty(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let half_up = |value: &Numeric| value.round(0);
    let mut size = number(a, 0)?.clone();
    let limit = Numeric::from(10 * 1024_i64);
    let below = |size: &Numeric| size < &limit && *size > limit.negate();
    if size.parts().is_none() || below(&size) {
        return Ok(Datum::text(format!("{size} bytes")));
    }
    let step = Numeric::from(1024_i64);
    let units = ["kB", "MB", "GB", "TB", "PB"];
    for (at, unit) in units.iter().enumerate() {
        size = size.divide(&step)?;
        if at + 1 == units.len() || below(&half_up(&size)) {
            return Ok(Datum::text(format!("{} {unit}", half_up(&size))));
        }
    }
    Ok(Datum::Null)
}

/// Start, least, greatest, increment, cycle, cache and type of a sequence.
pub fn sequence_parameters(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let parameters = environment.system(SystemCall::SequenceParameters, a)?;
    Ok(Box::new(std::iter::once(Ok(parameters))))
}
/// `to_regproc`, `to_regprocedure`
pub fn to_regproc(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(crate::text::input(crate::oid::REGPROC, -1, text(a, 0)?, environment).unwrap_or(Datum::Null))
}
pub fn to_regprocedure(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(crate::text::input(crate::oid::REGPROCEDURE, -1, text(a, 0)?, environment).unwrap_or(Datum::Null))
}
pub fn to_regoper(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(crate::text::input(crate::oid::REGOPER, -1, text(a, 0)?, environment).unwrap_or(Datum::Null))
}
pub fn to_regoperator(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(crate::text::input(crate::oid::REGOPERATOR, -1, text(a, 0)?, environment).unwrap_or(Datum::Null))
}
/// `pg_encoding_max_length`
pub fn encoding_width(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(match int(a, 0)? {
        6 => Datum::Int4(4),
        0 | 8..=34 => Datum::Int4(1),
        _ => Datum::Null,
    })
}
pub fn no_processes(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::array(Array::from_values(crate::oid::INT4, Vec::new())))
}
/// `to_ascii`: not of this database's encoding.
pub fn to_ascii(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    let message = "encoding conversion from UTF8 to ASCII not supported";
    Err(PgError::new(crate::error::sqlstate::FEATURE_NOT_SUPPORTED, message))
}

/// There are no triggers.
pub fn no_depth(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(0))
}
pub fn always_null(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Null)
}
/// `pg_get_viewdef ('name')`
pub fn view_definition_by_name(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let view = crate::text::input(crate::oid::REGCLASS, -1, text(a, 0)?, environment)?;
    let mut arguments = a.to_vec();
    arguments[0] = view;
    view_definition(environment, &arguments)
}
/// The tablespaces that there are have no place of their own.
pub fn no_location(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(""))
}
pub fn always_true(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(true))
}
pub fn always_false(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(false))
}
pub fn utf8(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text("UTF8"))
}

/// How many arguments are NULL.
pub fn count_nulls(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(a.iter().filter(|value| value.is_null()).count() as i32))
}
pub fn count_not_nulls(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(a.iter().filter(|value| !value.is_null()).count() as i32))
}
/// Of the elements of an array.
pub fn count_nulls_in(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    if a[0].is_null() { Ok(Datum::Null) } else { count_nulls(environment, &array_at(a, 0)?.values) }
}
pub fn count_not_nulls_in(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    if a[0].is_null() { Ok(Datum::Null) } else { count_not_nulls(environment, &array_at(a, 0)?.values) }
}
/// Version 4.
pub fn random_uuid(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&environment.random().to_be_bytes());
    bytes[8..].copy_from_slice(&environment.random().to_be_bytes());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(Datum::Uuid(bytes))
}
pub fn no_oid(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Oid(0))
}

fn procedure_of(a: &[Datum]) -> PgResult<Option<&'static crate::registry::Procedure>> {
    Ok(crate::registry::registry().procedure(Oid(int(a, 0)? as u32)))
}
/// `pg_get_function_result`
pub fn function_result(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(procedure_of(a)?
        .map(|procedure| {
            let set = if procedure.returns_set() { "SETOF " } else { "" };
            format!("{set}{}", display_name(procedure.result, -1))
        })
        .into())
}
/// `pg_get_function_arguments` and its kin
pub fn function_arguments(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(procedure_of(a)?
        .map(|procedure| {
            let last = procedure.arguments.len().saturating_sub(1);
            let shown = procedure.arguments.iter().enumerate().map(|(at, argument)| {
                let variadic = if procedure.is_variadic() && at == last { "VARIADIC " } else { "" };
                format!("{variadic}{}", display_name(*argument, -1))
            });
            shown.collect::<Vec<_>>().join(", ")
        })
        .into())
}
/// `pg_char_to_encoding`
pub fn encoding_number(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(match text(a, 0)?.to_ascii_uppercase().replace(['-', '_'], "").as_str() {
        "UTF8" | "UNICODE" => 6,
        "SQLASCII" => 0,
        _ => -1,
    }))
}
