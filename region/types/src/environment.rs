//! What a function may ask of the session that calls it.
use crate::datetime::TimeZone;
use crate::user::RowType;
use crate::{Datum, Oid, PgError, PgResult, UserTypes};

/// How values are read and shown. The settings of the session that matter to types.
#[derive(Clone, Debug)]
pub struct FormatSettings {
    pub time_zone: TimeZone,
    /// Below 1: fewer digits of floats, as `extra_float_digits`.
    pub extra_float_digits: i32,
    /// `bytea_output = escape`.
    pub bytea_escape: bool,
    /// `DateStyle`'s order for ambiguous dates.
    pub date_order: DateOrder,
    pub date_style: DateStyle,
    pub interval_style: IntervalStyle,
}

/// How dates and timestamps are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateStyle {
    Iso,
    Sql,
    Postgres,
    German,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntervalStyle {
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateOrder {
    YearMonthDay,
    DayMonthYear,
    MonthDayYear,
}

impl Default for FormatSettings {
    fn default() -> FormatSettings {
        FormatSettings {
            time_zone: TimeZone::UTC,
            extra_float_digits: 1,
            bytea_escape: false,
            date_order: DateOrder::MonthDayYear,
            date_style: DateStyle::Iso,
            interval_style: IntervalStyle::Postgres,
        }
    }
}

/// Questions that only a session with its catalog can answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SystemCall {
    CurrentDatabase,
    CurrentSchema,
    CurrentSchemas,
    CurrentSetting,
    /// An array of (name, value, description).
    AllSettings,
    /// An array of what `pg_prepared_statements` and `pg_cursors` show.
    Inventory,
    CurrentUser,
    SessionUser,
    SetConfig,
    BackendPid,
    Version,
    Region,
    TableIsVisible,
    TypeIsVisible,
    FunctionIsVisible,
    OperatorIsVisible,
    UserById,
    IndexDefinition,
    ConstraintDefinition,
    ExpressionText,
    ViewDefinition,
    Description,
    ShortDescription,
    RelationSize,
    HasPrivilege,
    HasTablePrivilege,
    HasSequencePrivilege,
    HasColumnPrivilege,
    HasAnyColumnPrivilege,
    HasDatabasePrivilege,
    /// The text of the statement.
    CurrentQuery,
    /// The OID of the session's own schema, or 0.
    TemporarySchema,
    /// (relation, triggers, too): bits of `1 << command`.
    RelationUpdatable,
    ColumnUpdatable,
    SequenceParameters,
    HasSchemaPrivilege,
    HasRole,
    SharedDescription,
    /// `acldefault`: what is granted where nothing was.
    DefaultAcl,
    CurrentValue,
    LastValue,
    /// `pg_sequence_last_value`: NULL before the first.
    SequenceLastValue,
    /// A record: last value, count of logged values, whether it was called.
    SequenceState,
    RegclassIn,
    RegclassOut,
    RegtypeOut,
    RegprocOut,
    RegroleOut,
    RegnamespaceOut,
    ToRegclass,
    InRecovery,
    AdvisoryLock,
    TransactionId,
    TransactionIdIfAssigned,
    SerialSequence,
}

/// A session, seen from a function. Cheap to ask.
pub trait Environment: Send + Sync {
    fn format(&self) -> &FormatSettings;
    /// `now()`: microseconds since 2000-01-01 UTC.
    fn transaction_time(&self) -> i64;
    fn statement_time(&self) -> i64;
    fn clock_time(&self) -> i64;
    /// Nobody can foretell it.
    fn random(&self) -> u64;
    /// The next of `random()`.
    fn fraction(&self) -> f64 {
        (self.random() >> 12) as f64 / (1_u64 << 52) as f64
    }
    /// `setseed`: what `fraction` gives from now on.
    fn seed(&self, _seed: f64) {}
    fn system(&self, call: SystemCall, arguments: &[Datum]) -> PgResult<Datum>;
    /// An error if the statement was cancelled, or its time is up: for long loops that never wait.
    fn check_interrupt(&self) -> PgResult<()> {
        Ok(())
    }
    /// Bytes that one value may have in memory.
    fn value_bytes_max(&self) -> usize {
        crate::functions::room::BYTES_MAX
    }
    /// A name that `regclass` and the like can show without a session.
    fn relation_name(&self, _relation: Oid) -> Option<String> {
        None
    }
    /// The types that users made, if the statement has anything to do with one.
    fn user_types(&self) -> &UserTypes {
        UserTypes::none()
    }
    /// The rows of a relation that the statement names.
    fn row_type(&self, _oid: Oid) -> Option<&RowType> {
        None
    }
    /// A user's type by name.
    fn type_named(&self, _schema: Option<&str>, _name: &str) -> Option<Oid> {
        None
    }
    /// A text with the names of users' types for the marks that stand for them (`user`).
    fn spelled(&self, text: &str) -> String {
        let types = self.user_types();
        let name = |oid| {
            let found = types.name_of(oid).map(|(_, name)| name.to_owned());
            found.or_else(|| self.row_type(oid).map(|found| found.name.clone()))
        };
        crate::user::spelled(text, types, &name)
    }
}

/// No session: constants folded in tests, index fills.
#[derive(Debug, Default)]
pub struct NoEnvironment(pub FormatSettings);

impl Environment for NoEnvironment {
    fn format(&self) -> &FormatSettings {
        &self.0
    }
    fn transaction_time(&self) -> i64 {
        0
    }
    fn statement_time(&self) -> i64 {
        0
    }
    fn clock_time(&self) -> i64 {
        0
    }
    fn random(&self) -> u64 {
        0
    }
    fn system(&self, call: SystemCall, _arguments: &[Datum]) -> PgResult<Datum> {
        Err(PgError::internal(format!("no session to ask for {call:?}")))
    }
}
