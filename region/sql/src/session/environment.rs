//! What a function may ask of the session that calls it.
use super::block::SharedSettings;
use super::inquiry;
use crate::catalog::{CatalogSnapshot, DATABASE_NAME};
use crate::sequence::SessionSequences;
use crate::temporary::{schema_oid, without_own};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use trivet_gateway::{CancelReason, CancelToken};
use trivet_types::user::{RowType, claim_of, row_of_claim};
use trivet_types::{
    Array, Datum, Environment, FormatSettings, Oid, PgError, PgResult, Random, SystemCall, UserTypes, oid, sqlstate,
};

/// Microseconds between 1970 and 2000.
pub(super) const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Microseconds since 2000-01-01 UTC.
pub(super) fn clock_now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    i64::try_from(since_1970).unwrap_or(i64::MAX).saturating_sub(POSTGRES_EPOCH)
}

/// Made for each statement; shares everything large.
pub(super) struct SessionEnvironment {
    pub settings: SharedSettings,
    /// The current role.
    pub user: Arc<str>,
    pub session_user: Arc<str>,
    pub sequences: Arc<SessionSequences>,
    pub region: Arc<str>,
    pub process_id: i32,
    pub cancel: CancelToken,
    /// When the statement's time is up.
    pub deadline: Option<Instant>,
    pub transaction_time: i64,
    pub statement_time: i64,
    pub isolation: &'static str,
    pub read_only: bool,
    /// The transaction has changed rows.
    pub has_written: bool,
    /// Loaded for statements that look at the catalog.
    pub catalog: Option<Arc<CatalogSnapshot>>,
    /// Loaded for statements that have to do with types that users made.
    pub types: Option<Arc<UserTypes>>,
    /// The rows of the relations that the statement names.
    pub rows: Arc<[RowType]>,
    /// What there is of prepared statements and cursors, for statements that look at the catalog.
    pub inventory: Vec<Datum>,
    /// The text of the message at hand, if it is known.
    pub query: Option<Arc<str>>,
    /// What `set_config` asked for, to be done once the statement is over.
    pub changes: Arc<Mutex<Vec<(String, Option<String>, bool)>>>,
    /// Set once `setseed` or `random` was called.
    pub random: Arc<Mutex<Option<Random>>>,
}

impl SessionEnvironment {
    pub(super) fn catalog(&self) -> PgResult<&CatalogSnapshot> {
        self.catalog
            .as_deref()
            .ok_or_else(|| PgError::internal("a statement that looks at the catalog did not load it"))
    }

    /// The search path with `$user` replaced, as far as the schemas are there.
    pub(super) fn path(&self) -> Vec<String> {
        search_path(&self.settings, &self.user)
    }

    fn setting(&self, name: &str) -> PgResult<String> {
        match name.to_ascii_lowercase().as_str() {
            "transaction_isolation" => Ok(self.isolation.to_owned()),
            "transaction_read_only" => Ok(if self.read_only { "on" } else { "off" }.to_owned()),
            _ => {
                let changes = self.changes.lock();
                if changes.is_empty() {
                    return self.settings.show(name);
                }
                // What the statement itself has set.
                let mut changed = (*self.settings).clone();
                for (name, value, local) in changes.iter() {
                    changed.set_or_reset(name, value.as_deref(), *local)?;
                }
                changed.show(name)
            }
        }
    }

    pub(super) fn relation_shown(&self, relation: Oid) -> Option<String> {
        let catalog = self.catalog.as_deref()?;
        let (schema, name) = catalog.relation_name(relation)?;
        let visible = catalog.is_visible(relation, &self.path()).unwrap_or(false);
        Some(if visible { quoted(name) } else { format!("{}.{}", quoted(catalog.schema_name(schema)?), quoted(name)) })
    }
}

pub(super) fn search_path(settings: &crate::settings::Settings, user: &str) -> Vec<String> {
    let replace = |name: String| if name == "$user" { user.to_owned() } else { name };
    settings.search_path().into_iter().map(replace).collect()
}

pub(super) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|character| matches!(character, 'a'..='z' | '0'..='9' | '_' | '$'));
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

pub(super) fn text(datum: Option<&Datum>) -> &str {
    datum.and_then(Datum::as_str).unwrap_or("")
}

pub(super) fn oid_of(datum: Option<&Datum>) -> Oid {
    Oid(datum.and_then(Datum::as_i64).and_then(|number| u32::try_from(number).ok()).unwrap_or(0))
}

pub(super) fn or_null(text: Option<String>) -> Datum {
    text.map_or(Datum::Null, Datum::from)
}

/// Names for marks, with a type's schema if the path does not find it.
pub(super) fn spelled(text: &str, types: &UserTypes, rows: &[RowType], path: &dyn Fn() -> Vec<String>) -> String {
    trivet_types::user::spelled(text, types, &|oid| {
        if let Some(row) = rows.iter().find(|row| row.oid == oid) {
            let name = quoted(&row.name);
            // The path found it, unless a relation of that name stands before it there: which the statement would have named.
            let visible = path().contains(&row.schema_name);
            return Some(if visible { name } else { format!("{}.{name}", quoted(&row.schema_name)) });
        }
        let (schema, name) = types.name_of(oid)?;
        let found = path().iter().find_map(|schema| types.named(schema, name));
        let visible = found.is_some_and(|found| claim_of(found) == claim_of(oid));
        let name = quoted(name);
        Some(if visible { name } else { format!("{}.{name}", quoted(schema)) })
    })
}

impl Environment for SessionEnvironment {
    fn format(&self) -> &FormatSettings {
        self.settings.format()
    }
    fn transaction_time(&self) -> i64 {
        self.transaction_time
    }
    fn statement_time(&self) -> i64 {
        self.statement_time
    }
    fn clock_time(&self) -> i64 {
        clock_now()
    }
    fn random(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    }
    fn fraction(&self) -> f64 {
        let mut random = self.random.lock();
        random.get_or_insert_with(|| Random::new(self.random())).fraction()
    }
    fn seed(&self, seed: f64) {
        *self.random.lock() = Some(Random::of_fraction(seed));
    }
    fn check_interrupt(&self) -> PgResult<()> {
        // Who would raise the token stands behind this loop in the same task.
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.cancel.raise(CancelReason::StatementTimeout);
        }
        self.cancel.check()
    }
    fn value_bytes_max(&self) -> usize {
        self.settings.limits().statement_bytes
    }
    fn relation_name(&self, relation: Oid) -> Option<String> {
        self.relation_shown(relation)
    }
    fn user_types(&self) -> &UserTypes {
        match (&self.catalog, &self.types) {
            (Some(catalog), _) => &catalog.user_types,
            (None, Some(types)) => types,
            (None, None) => UserTypes::none(),
        }
    }
    fn type_named(&self, schema: Option<&str>, name: &str) -> Option<Oid> {
        let types = self.user_types();
        match schema {
            Some(schema) => types.named(schema, name),
            None => self.path().iter().find_map(|schema| types.named(schema, name)),
        }
        .or_else(|| self.row_named(schema, name))
    }
    fn row_type(&self, oid: Oid) -> Option<&RowType> {
        self.rows.iter().find(|row| row.oid == oid).or_else(|| self.user_types().composite(oid))
    }
    fn spelled(&self, text: &str) -> String {
        if !text.contains('\u{1}') {
            return text.to_owned();
        }
        let Some(catalog) = self.catalog.as_deref() else {
            return spelled(text, self.user_types(), &self.rows, &|| self.path());
        };
        // With the catalog at hand, all relations' rows have names.
        let relations =
            catalog.tables.iter().filter(|table| text.contains(&row_of_claim(table.row_type).0.to_string()));
        let rows: Vec<RowType> = relations.map(|table| table.row()).collect();
        spelled(text, self.user_types(), &rows, &|| self.path())
    }

    fn system(&self, call: SystemCall, arguments: &[Datum]) -> PgResult<Datum> {
        use SystemCall as S;
        let first = arguments.first();
        Ok(match call {
            S::CurrentDatabase => DATABASE_NAME.into(),
            S::CurrentUser => (*self.user).into(),
            S::SessionUser => (*self.session_user).into(),
            S::CurrentSchema => {
                let catalog = self.catalog.as_deref();
                let there = |name: &String| catalog.is_none_or(|catalog| catalog.schema_named(name).is_some());
                // Without the catalog at hand: `public` is always there, the user's own schema seldom.
                let path = self.path();
                let path = without_own(&path).iter().cloned();
                or_null(path.filter(|name| catalog.is_some() || *name != *self.user).find(there))
            }
            S::CurrentSchemas => {
                let all = first.is_some_and(Datum::is_true);
                let path = self.path();
                let mut names = without_own(&path).to_vec();
                if let Some(catalog) = self.catalog.as_deref() {
                    names.retain(|name| catalog.schema_named(name).is_some());
                } else {
                    names.retain(|name| *name != *self.user);
                }
                if all && !names.iter().any(|name| name == "pg_catalog") {
                    names.insert(0, "pg_catalog".to_owned());
                }
                if all {
                    names.splice(0..0, path[..path.len() - without_own(&path).len()].iter().cloned());
                }
                Datum::array(Array::from_values(oid::NAME, names.into_iter().map(Datum::from).collect()))
            }
            S::CurrentSetting => match self.setting(text(first)) {
                Ok(value) => value.into(),
                Err(_) if arguments.get(1).is_some_and(Datum::is_true) => Datum::Null,
                Err(error) => return Err(error),
            },
            S::AllSettings => {
                let row = |fields: Vec<Option<String>>| {
                    Datum::Record(fields.into_iter().map(or_null).collect::<Vec<Datum>>().into())
                };
                let rows = self.settings.rows().into_iter().map(row).collect();
                Datum::array(Array::from_values(oid::RECORD, rows))
            }
            S::Inventory => Datum::array(Array::from_values(oid::RECORD, self.inventory.clone())),
            S::SetConfig => {
                let Some(name) = first.and_then(Datum::as_str).map(str::to_owned) else {
                    return Err(PgError::new(sqlstate::NULL_VALUE_NOT_ALLOWED, "SET requires parameter name"));
                };
                let value = arguments.get(1).and_then(Datum::as_str).map(str::to_owned);
                let local = arguments.get(2).is_some_and(Datum::is_true);
                // Checked here, so that the error is the statement's; done when it is over.
                let mut trial = (*self.settings).clone();
                trial.set_or_reset(&name, value.as_deref(), local)?;
                let shown = trial.show(&name)?;
                self.changes.lock().push((name, value, local));
                shown.into()
            }
            S::BackendPid => self.process_id.into(),
            S::Version => format!(
                "PostgreSQL 15.0 (Trivet {}) on {}-linux, region {}",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::ARCH,
                self.region
            )
            .into(),
            S::Region => (*self.region).into(),
            S::TableIsVisible => {
                self.catalog()?.is_visible(oid_of(first), &self.path()).map_or(Datum::Null, Datum::from)
            }
            S::TypeIsVisible => {
                let shown = self.spelled(&trivet_types::display_name(oid_of(first), -1));
                (!trivet_types::user::is_user_type(oid_of(first)) || !shown.contains('.')).into()
            }
            S::FunctionIsVisible | S::OperatorIsVisible => true.into(),
            S::UserById
            | S::IndexDefinition
            | S::ConstraintDefinition
            | S::ExpressionText
            | S::ViewDefinition
            | S::Description
            | S::ShortDescription
            | S::SharedDescription
            | S::DefaultAcl
            | S::HasTablePrivilege
            | S::HasSequencePrivilege
            | S::HasColumnPrivilege
            | S::HasAnyColumnPrivilege
            | S::HasDatabasePrivilege
            | S::RelationUpdatable
            | S::ColumnUpdatable
            | S::SequenceParameters
            | S::HasSchemaPrivilege
            | S::HasRole
            | S::SerialSequence
            | S::CurrentValue
            | S::LastValue
            | S::SequenceLastValue
            | S::SequenceState => return inquiry::answer(self, call, arguments),
            S::RelationSize => Datum::Int8(0),
            S::CurrentQuery => or_null(self.query.as_deref().map(str::to_owned)),
            S::TemporarySchema => self.path().first().and_then(|own| schema_oid(own)).unwrap_or_default().into(),
            S::HasPrivilege => true.into(),
            S::RegclassIn if arguments.get(1) == Some(&Datum::Oid(oid::REGNAMESPACE.0)) => {
                let missing = || {
                    PgError::new(sqlstate::INVALID_SCHEMA_NAME, format!("schema \"{}\" does not exist", text(first)))
                };
                self.catalog()?.schema_named(text(first)).ok_or_else(missing)?.into()
            }
            S::RegclassIn if arguments.get(1) == Some(&Datum::Oid(oid::REGROLE.0)) => {
                let missing = || {
                    let message = format!("role \"{}\" does not exist", text(first));
                    PgError::new(sqlstate::UNDEFINED_OBJECT, message)
                };
                self.catalog()?.roles.named(text(first)).ok_or_else(missing)?.oid.into()
            }
            S::RegclassIn | S::ToRegclass => {
                let found = self.relation_by_text(text(first))?;
                match found {
                    Some(found) => found.into(),
                    None if call == S::ToRegclass => Datum::Null,
                    None => {
                        let message = format!("relation \"{}\" does not exist", text(first));
                        return Err(PgError::new(sqlstate::UNDEFINED_TABLE, message));
                    }
                }
            }
            S::RegclassOut => {
                let relation = oid_of(first);
                self.relation_shown(relation).unwrap_or_else(|| relation.0.to_string()).into()
            }
            S::RegtypeOut => self.spelled(&trivet_types::display_name(oid_of(first), -1)).into(),
            S::RegprocOut => {
                let procedure = trivet_types::registry::registry().procedure(oid_of(first));
                procedure.map_or_else(|| oid_of(first).0.to_string(), |procedure| procedure.name.to_string()).into()
            }
            S::RegroleOut => {
                let role = oid_of(first);
                let name = self.catalog.as_deref().and_then(|catalog| catalog.roles.name(role));
                name.map_or_else(|| role.0.to_string(), quoted).into()
            }
            S::RegnamespaceOut => {
                let schema = oid_of(first);
                let name = self.catalog.as_deref().and_then(|catalog| catalog.schema_name(schema));
                name.map_or_else(|| schema.0.to_string(), quoted).into()
            }
            S::InRecovery => false.into(),
            S::TransactionId => Datum::Int8(self.transaction_time),
            S::TransactionIdIfAssigned if self.has_written => Datum::Int8(self.transaction_time),
            S::TransactionIdIfAssigned => Datum::Null,
            S::AdvisoryLock => return Err(PgError::unsupported("advisory locks")),
        })
    }
}

impl SessionEnvironment {
    /// The rows of a relation, by its name.
    fn row_named(&self, schema: Option<&str>, name: &str) -> Option<Oid> {
        if let Some(catalog) = self.catalog.as_deref() {
            let relation = catalog.relation(schema, name, &self.path())?;
            let table = catalog.tables.iter().find(|table| table.oid == relation)?;
            return table.row_type.is_valid().then(|| row_of_claim(table.row_type));
        }
        let named = |schema: &str| self.rows.iter().find(|row| row.name == name && row.schema_name == schema);
        let found = match schema {
            Some(schema) => named(schema),
            None => self.path().iter().find_map(|schema| named(schema)),
        };
        found.map(|row| row.oid)
    }

    pub(super) fn relation_by_text(&self, name: &str) -> PgResult<Option<Oid>> {
        let catalog = self.catalog()?;
        if let Ok(number) = name.parse() {
            return Ok(Some(Oid(number)));
        }
        Ok(crate::analyze::regclass_name(name)
            .and_then(|(schema, name)| catalog.relation(schema.as_deref(), &name, &self.path())))
    }
}
