//! Rows of the virtual tables.
use super::{VirtualTable, activity, information, operator_class, relations, roles, statistics};
use crate::catalog::{BTREE, CatalogSnapshot, DATABASE_NAME, HASH, HEAP, PG_CATALOG, POSTGRES_DATABASE, POSTGRES_ROLE};
use trivet_types::registry::{
    Body, CASTS, CastContext, CastMethod, OPERATORS, Volatility, procedures as all_procedures,
};
use trivet_types::{Array, Datum, Environment, Oid, PgResult, SystemCall, oid};

/// What the session contributes.
pub struct SessionFacts {
    pub database: String,
    pub user: String,
    pub process_id: i32,
    pub settings: Vec<SettingRow>,
    pub now: i64,
    /// What the session runs.
    pub query: Option<String>,
    /// Records of the session's own views, each beginning with the view's name.
    pub inventory: Vec<Vec<Datum>>,
}

#[derive(Clone, Debug)]
pub struct SettingRow(Vec<Datum>);

impl SessionFacts {
    pub fn ask(environment: &dyn Environment) -> PgResult<SessionFacts> {
        let text =
            |call| -> PgResult<String> { Ok(environment.system(call, &[])?.as_str().unwrap_or_default().to_string()) };
        let mut settings = Vec::new();
        if let Datum::Array(rows) = environment.system(SystemCall::AllSettings, &[])? {
            for row in &rows.values {
                let Datum::Record(fields) = row else { continue };
                settings.push(SettingRow(fields.to_vec()));
            }
        }
        let mut inventory = Vec::new();
        if let Datum::Array(rows) = environment.system(SystemCall::Inventory, &[])? {
            let records = rows.values.iter();
            inventory.extend(records.filter_map(|row| match row {
                Datum::Record(fields) => Some(fields.to_vec()),
                _ => None,
            }));
        }
        Ok(SessionFacts {
            database: text(SystemCall::CurrentDatabase)?,
            user: text(SystemCall::CurrentUser)?,
            process_id: environment.system(SystemCall::BackendPid, &[])?.as_i64().unwrap_or(0) as i32,
            settings,
            now: environment.statement_time(),
            query: environment.system(SystemCall::CurrentQuery, &[])?.as_str().map(str::to_owned),
            inventory,
        })
    }

    /// The search path, as far as its text tells.
    pub(super) fn path(&self) -> Vec<String> {
        self.setting("search_path").split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
    }

    pub(super) fn setting(&self, name: &str) -> &str {
        let is_it = |SettingRow(fields): &&SettingRow| fields.first().and_then(Datum::as_str) == Some(name);
        let found = self.settings.iter().find(is_it);
        found.and_then(|SettingRow(fields)| fields.get(1)).and_then(Datum::as_str).unwrap_or_default()
    }
}

/// One row from (column, value) pairs; columns not named get an empty value where NULL is not allowed.
pub(super) fn row(table: &VirtualTable, values: &[(&str, Datum)]) -> Vec<Datum> {
    debug_assert!(
        values.iter().all(|(name, _)| table.columns.iter().any(|column| column.name == *name)),
        "a value for a column that {} does not have",
        table.name
    );
    let value_of = |name: &str| values.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone());
    let filled = table.columns.iter().map(|column| match value_of(column.name) {
        Some(value) => value,
        None if column.not_null => empty(column.type_oid),
        None => Datum::Null,
    });
    filled.collect()
}

fn empty(type_oid: Oid) -> Datum {
    match type_oid {
        oid::BOOL => Datum::Bool(false),
        oid::INT2 => Datum::Int2(0),
        oid::INT4 => Datum::Int4(0),
        oid::INT8 => Datum::Int8(0),
        oid::FLOAT4 => Datum::Float4(0.0),
        oid::CHAR => Datum::Char(0),
        oid::NAME | oid::TEXT | oid::VARCHAR => Datum::text(""),
        oid::INT2VECTOR => Datum::array(Array::with_lower(oid::INT2, vec![], 0)),
        oid::OIDVECTOR => Datum::array(Array::with_lower(oid::OID, vec![], 0)),
        _ => Datum::Oid(0),
    }
}

/// `prokind`
fn kind_of(body: Body) -> char {
    match body {
        Body::Aggregate(_) => 'a',
        Body::Window(_) => 'w',
        Body::Scalar(_) | Body::Set(_) => 'f',
    }
}

pub(super) fn character(value: char) -> Datum {
    Datum::Char(value as u8)
}
pub(super) fn oids(values: impl IntoIterator<Item = Oid>) -> Datum {
    Datum::array(Array::with_lower(oid::OID, values.into_iter().map(Datum::from).collect(), 0))
}
pub(super) fn int2s(values: impl IntoIterator<Item = i16>) -> Datum {
    Datum::array(Array::with_lower(oid::INT2, values.into_iter().map(Datum::Int2).collect(), 0))
}
pub(super) fn attribute_number(position: usize) -> i16 {
    i16::try_from(position + 1).expect("tables have at most 1600 columns")
}

/// All rows of a virtual table.
pub fn rows_of(table: &VirtualTable, catalog: &CatalogSnapshot, facts: &SessionFacts) -> Vec<Vec<Datum>> {
    if table.schema != PG_CATALOG {
        return information::rows_of(table, catalog, facts);
    }
    let found = relations::rows_of(table, catalog, facts).or_else(|| roles::rows_of(table, catalog));
    if let Some(rows) = found
        .or_else(|| operator_class::rows_of(table))
        .or_else(|| statistics::rows_of(table, catalog))
        .or_else(|| activity::rows_of(table, catalog))
    {
        return rows;
    }
    match table.name {
        "pg_am" => [(HEAP, "heap", 't'), (BTREE, "btree", 'i'), (HASH, "hash", 'i')]
            .into_iter()
            .map(|(oid, name, kind)| {
                row(table, &[("oid", oid.into()), ("amname", name.into()), ("amtype", character(kind))])
            })
            .collect(),
        "pg_database" => vec![row(
            table,
            &[
                ("oid", POSTGRES_DATABASE.into()),
                ("datname", DATABASE_NAME.into()),
                ("datdba", catalog.database.owner.into()),
                ("datacl", relations::acl(catalog.database.acl.as_deref(), &catalog.roles)),
                ("encoding", Datum::Int4(6)),
                ("datlocprovider", character('c')),
                ("datallowconn", Datum::Bool(true)),
                ("datconnlimit", Datum::Int4(-1)),
                ("dattablespace", Oid(1663).into()),
                ("datcollate", "C".into()),
                ("datctype", "C".into()),
            ],
        )],
        "pg_settings" => settings(table, facts),
        "pg_prepared_statements" | "pg_cursors" => of_session(table, facts),
        "pg_proc" => procedures(table),
        "pg_operator" => operators(table),
        "pg_cast" => casts(table),
        "pg_aggregate" => all_procedures()
            .filter(|procedure| procedure.is_aggregate())
            .map(|procedure| {
                row(
                    table,
                    &[
                        ("aggfnoid", procedure.oid.into()),
                        ("aggkind", character('n')),
                        ("aggtranstype", procedure.result.into()),
                    ],
                )
            })
            .collect(),
        "pg_tablespace" => [(1663, "pg_default"), (1664, "pg_global")]
            .into_iter()
            .map(|(oid, name)| {
                row(table, &[("oid", Oid(oid).into()), ("spcname", name.into()), ("spcowner", POSTGRES_ROLE.into())])
            })
            .collect(),
        "pg_collation" => [(100, "default", 'd'), (950, "C", 'c'), (951, "POSIX", 'c'), (12340, "ucs_basic", 'c')]
            .into_iter()
            .map(|(oid, name, provider)| {
                row(
                    table,
                    &[
                        ("oid", Oid(oid).into()),
                        ("collname", name.into()),
                        ("collnamespace", PG_CATALOG.into()),
                        ("collowner", POSTGRES_ROLE.into()),
                        ("collprovider", character(provider)),
                        ("collisdeterministic", Datum::Bool(true)),
                        ("collencoding", Datum::Int4(if name == "ucs_basic" { 6 } else { -1 })),
                    ],
                )
            })
            .collect(),
        "pg_language" => [(12, "internal"), (13, "c"), (14, "sql")]
            .into_iter()
            .map(|(oid, name)| {
                row(table, &[("oid", Oid(oid).into()), ("lanname", name.into()), ("lanowner", POSTGRES_ROLE.into())])
            })
            .collect(),
        "pg_stat_activity" => vec![row(
            table,
            &[
                ("datid", POSTGRES_DATABASE.into()),
                ("datname", facts.database.as_str().into()),
                ("pid", Datum::Int4(facts.process_id)),
                ("usesysid", POSTGRES_ROLE.into()),
                ("usename", facts.user.as_str().into()),
                ("application_name", facts.setting("application_name").into()),
                ("state", "active".into()),
                ("query", facts.query.as_deref().into()),
                ("query_start", Datum::Timestamp(facts.now)),
                ("backend_type", "client backend".into()),
            ],
        )],
        _ => Vec::new(),
    }
}

fn settings(table: &VirtualTable, facts: &SessionFacts) -> Vec<Vec<Datum>> {
    const COLUMNS: [&str; 13] = [
        "name",
        "setting",
        "short_desc",
        "unit",
        "category",
        "vartype",
        "min_val",
        "max_val",
        "enumvals",
        "boot_val",
        "reset_val",
        "context",
        "source",
    ];
    let shown = facts.settings.iter().map(|SettingRow(fields)| {
        let value = |(at, column): (usize, &&'static str)| {
            let field = fields.get(at).cloned().unwrap_or_default();
            let choices = field.as_str().filter(|_| *column == "enumvals");
            let list = choices.map(|choices| choices.split(',').map(Datum::from).collect());
            (*column, list.map_or(field.clone(), |list| Datum::array(Array::from_values(oid::TEXT, list))))
        };
        let mut values: Vec<(&str, Datum)> = COLUMNS.iter().enumerate().map(value).collect();
        values.push(("pending_restart", Datum::Bool(false)));
        row(table, &values)
    });
    shown.collect()
}

/// What a session has of its own, in the columns that its view names.
fn of_session(table: &VirtualTable, facts: &SessionFacts) -> Vec<Vec<Datum>> {
    let columns: &[&str] = match table.name {
        "pg_prepared_statements" => {
            &["name", "statement", "prepare_time", "parameter_types", "from_sql", "generic_plans", "custom_plans"]
        }
        _ => &["name", "statement", "creation_time", "is_holdable", "is_scrollable", "is_binary"],
    };
    let of_view = facts.inventory.iter().filter(|fields| fields.first().and_then(Datum::as_str) == Some(table.name));
    of_view
        .map(|fields| {
            let values: Vec<(&str, Datum)> = columns.iter().copied().zip(fields[1..].iter().cloned()).collect();
            row(table, &values)
        })
        .collect()
}

fn procedures(table: &VirtualTable) -> Vec<Vec<Datum>> {
    all_procedures()
        .map(|procedure| {
            let volatility = match procedure.volatility() {
                Volatility::Immutable => 'i',
                Volatility::Stable => 's',
                Volatility::Volatile => 'v',
            };
            row(
                table,
                &[
                    ("oid", procedure.oid.into()),
                    ("proname", procedure.name.into()),
                    ("pronamespace", PG_CATALOG.into()),
                    ("proowner", POSTGRES_ROLE.into()),
                    ("prolang", Oid(12).into()),
                    ("procost", Datum::Float4(1.0)),
                    ("prorows", Datum::Float4(if procedure.returns_set() { 1000.0 } else { 0.0 })),
                    ("prokind", character(kind_of(procedure.body))),
                    ("proisstrict", Datum::Bool(procedure.is_strict())),
                    ("proretset", Datum::Bool(procedure.returns_set())),
                    ("provolatile", character(volatility)),
                    ("proparallel", character('s')),
                    ("pronargs", Datum::Int2(procedure.arguments.len() as i16)),
                    ("prorettype", procedure.result.into()),
                    ("proargtypes", oids(procedure.arguments.iter().copied())),
                    ("prosrc", procedure.name.into()),
                ],
            )
        })
        .collect()
}

fn operators(table: &VirtualTable) -> Vec<Vec<Datum>> {
    OPERATORS
        .iter()
        .map(|operator| {
            row(
                table,
                &[
                    ("oid", operator.oid.into()),
                    ("oprname", operator.name.into()),
                    ("oprnamespace", PG_CATALOG.into()),
                    ("oprowner", POSTGRES_ROLE.into()),
                    ("oprkind", character(if operator.left.is_valid() { 'b' } else { 'l' })),
                    ("oprleft", operator.left.into()),
                    ("oprright", operator.right.into()),
                    ("oprresult", operator.result.into()),
                    ("oprcom", operator.commutator.into()),
                    ("oprnegate", operator.negator.into()),
                    ("oprcode", operator.procedure.into()),
                ],
            )
        })
        .collect()
}

fn casts(table: &VirtualTable) -> Vec<Vec<Datum>> {
    CASTS
        .iter()
        .map(|cast| {
            let (function, method) = match cast.method {
                CastMethod::Procedure(oid) => (oid, 'f'),
                CastMethod::Binary => (Oid(0), 'b'),
                CastMethod::Text => (Oid(0), 'i'),
                CastMethod::Modifier => (Oid(0), 'f'),
            };
            let context = match cast.context {
                CastContext::Implicit => 'i',
                CastContext::Assignment => 'a',
                CastContext::Explicit => 'e',
            };
            row(
                table,
                &[
                    ("oid", cast.oid.into()),
                    ("castsource", cast.source.into()),
                    ("casttarget", cast.target.into()),
                    ("castfunc", function.into()),
                    ("castcontext", character(context)),
                    ("castmethod", character(method)),
                ],
            )
        })
        .collect()
}
