//! Rows of the virtual tables.
use super::{VirtualTable, definition};
use crate::catalog::{
    BTREE, CatalogSnapshot, ConstraintKind, DATABASE_NAME, HEAP, Index, PG_CATALOG, POSTGRES_DATABASE, POSTGRES_ROLE,
    ROLE_NAME, Table,
};
use trivet_types::registry::{
    Body, CASTS, CastContext, CastMethod, OPERATORS, Volatility, procedures as all_procedures,
};
use trivet_types::{Array, Datum, Environment, Oid, PgResult, SystemCall, TYPES, display_name, oid};

/// What the session contributes.
pub struct SessionFacts {
    pub database: String,
    pub user: String,
    pub process_id: i32,
    pub settings: Vec<SettingRow>,
    pub now: i64,
}

#[derive(Clone, Debug)]
pub struct SettingRow {
    pub name: String,
    pub value: String,
    pub description: String,
}

impl SessionFacts {
    pub fn ask(environment: &dyn Environment) -> PgResult<SessionFacts> {
        let text =
            |call| -> PgResult<String> { Ok(environment.system(call, &[])?.as_str().unwrap_or_default().to_string()) };
        let mut settings = Vec::new();
        if let Datum::Array(rows) = environment.system(SystemCall::AllSettings, &[])? {
            for row in &rows.values {
                let Datum::Record(fields) = row else { continue };
                let field = |at: usize| fields.get(at).and_then(Datum::as_str).unwrap_or_default().to_string();
                settings.push(SettingRow { name: field(0), value: field(1), description: field(2) });
            }
        }
        Ok(SessionFacts {
            database: text(SystemCall::CurrentDatabase)?,
            user: text(SystemCall::CurrentUser)?,
            process_id: environment.system(SystemCall::BackendPid, &[])?.as_i64().unwrap_or(0) as i32,
            settings,
            now: environment.statement_time(),
        })
    }

    fn setting(&self, name: &str) -> &str {
        self.settings.iter().find(|setting| setting.name == name).map_or("", |setting| &setting.value)
    }
}

/// One row from (column, value) pairs; columns not named get an empty value where NULL is not allowed.
fn row(table: &VirtualTable, values: &[(&str, Datum)]) -> Vec<Datum> {
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

fn character(value: char) -> Datum {
    Datum::Char(value as u8)
}
fn oids(values: impl IntoIterator<Item = Oid>) -> Datum {
    Datum::array(Array::with_lower(oid::OID, values.into_iter().map(Datum::from).collect(), 0))
}
fn int2s(values: impl IntoIterator<Item = i16>) -> Datum {
    Datum::array(Array::with_lower(oid::INT2, values.into_iter().map(Datum::Int2).collect(), 0))
}
fn attribute_number(position: usize) -> i16 {
    i16::try_from(position + 1).expect("tables have at most 1600 columns")
}

/// All rows of a virtual table.
pub fn rows_of(table: &VirtualTable, catalog: &CatalogSnapshot, facts: &SessionFacts) -> Vec<Vec<Datum>> {
    if table.schema != PG_CATALOG {
        return information_schema(table, catalog, facts);
    }
    match table.name {
        "pg_class" => classes(table, catalog),
        "pg_attribute" => attributes(table, catalog),
        "pg_namespace" => {
            let schemas = catalog.schemas.iter();
            schemas
                .map(|schema| {
                    row(
                        table,
                        &[
                            ("oid", schema.oid.into()),
                            ("nspname", schema.name.as_str().into()),
                            ("nspowner", POSTGRES_ROLE.into()),
                        ],
                    )
                })
                .collect()
        }
        "pg_type" => types(table, catalog),
        "pg_index" => indexes(table, catalog),
        "pg_constraint" => constraints(table, catalog),
        "pg_attrdef" => {
            let mut rows = Vec::new();
            for of in &catalog.tables {
                for (at, column) in of.live_columns() {
                    let Some(default) = &column.default else { continue };
                    rows.push(row(
                        table,
                        &[
                            ("oid", default_oid(of, at).into()),
                            ("adrelid", of.oid.into()),
                            ("adnum", attribute_number(at).into()),
                            ("adbin", default.as_str().into()),
                        ],
                    ));
                }
            }
            rows
        }
        "pg_am" => [(HEAP, "heap", "heap_tableam_handler", 't'), (BTREE, "btree", "bthandler", 'i')]
            .into_iter()
            .map(|(oid, name, _, kind)| {
                row(table, &[("oid", oid.into()), ("amname", name.into()), ("amtype", character(kind))])
            })
            .collect(),
        "pg_database" => vec![row(
            table,
            &[
                ("oid", POSTGRES_DATABASE.into()),
                ("datname", DATABASE_NAME.into()),
                ("datdba", POSTGRES_ROLE.into()),
                ("encoding", Datum::Int4(6)),
                ("datlocprovider", character('c')),
                ("datallowconn", Datum::Bool(true)),
                ("datconnlimit", Datum::Int4(-1)),
                ("dattablespace", Oid(1663).into()),
                ("datcollate", "C".into()),
                ("datctype", "C".into()),
            ],
        )],
        "pg_roles" | "pg_authid" => vec![row(
            table,
            &[
                ("oid", POSTGRES_ROLE.into()),
                ("rolname", ROLE_NAME.into()),
                ("rolsuper", Datum::Bool(true)),
                ("rolinherit", Datum::Bool(true)),
                ("rolcreaterole", Datum::Bool(true)),
                ("rolcreatedb", Datum::Bool(true)),
                ("rolcanlogin", Datum::Bool(true)),
                ("rolreplication", Datum::Bool(true)),
                ("rolbypassrls", Datum::Bool(true)),
                ("rolconnlimit", Datum::Int4(-1)),
            ],
        )],
        "pg_user" | "pg_shadow" => vec![row(
            table,
            &[
                ("usename", ROLE_NAME.into()),
                ("usesysid", POSTGRES_ROLE.into()),
                ("usecreatedb", Datum::Bool(true)),
                ("usesuper", Datum::Bool(true)),
                ("userepl", Datum::Bool(true)),
                ("usebypassrls", Datum::Bool(true)),
            ],
        )],
        "pg_settings" => settings(table, facts),
        "pg_tables" => catalog
            .tables
            .iter()
            .map(|of| {
                row(
                    table,
                    &[
                        ("schemaname", of.schema_name.as_str().into()),
                        ("tablename", of.name.as_str().into()),
                        ("tableowner", ROLE_NAME.into()),
                        ("hasindexes", Datum::Bool(!of.indexes.is_empty())),
                        ("hasrules", Datum::Bool(false)),
                        ("hastriggers", Datum::Bool(false)),
                        ("rowsecurity", Datum::Bool(false)),
                    ],
                )
            })
            .collect(),
        "pg_indexes" => with_indexes(catalog)
            .map(|(of, index)| {
                row(
                    table,
                    &[
                        ("schemaname", of.schema_name.as_str().into()),
                        ("tablename", of.name.as_str().into()),
                        ("indexname", index.name.as_str().into()),
                        ("indexdef", definition::index_definition(catalog, index.oid, 0).into()),
                    ],
                )
            })
            .collect(),
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
        "pg_description" => catalog
            .tables
            .iter()
            .filter_map(|of| {
                let comment = of.comment.as_deref()?;
                Some(row(
                    table,
                    &[("objoid", of.oid.into()), ("classoid", Oid(1259).into()), ("description", comment.into())],
                ))
            })
            .collect(),
        "pg_tablespace" => [(1663, "pg_default"), (1664, "pg_global")]
            .into_iter()
            .map(|(oid, name)| {
                row(table, &[("oid", Oid(oid).into()), ("spcname", name.into()), ("spcowner", POSTGRES_ROLE.into())])
            })
            .collect(),
        "pg_collation" => [(100, "default", 'd'), (950, "C", 'c'), (951, "POSIX", 'c')]
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
                        ("collencoding", Datum::Int4(-1)),
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
                ("query_start", Datum::Timestamp(facts.now)),
                ("backend_type", "client backend".into()),
            ],
        )],
        _ => Vec::new(),
    }
}

fn with_indexes(catalog: &CatalogSnapshot) -> impl Iterator<Item = (&Table, &Index)> {
    catalog.tables.iter().flat_map(|table| table.indexes.iter().map(move |index| (table.as_ref(), index)))
}

/// Defaults have no identity of their own; any stable number does.
fn default_oid(table: &Table, column: usize) -> Oid {
    Oid(table.oid.0.wrapping_mul(1601).wrapping_add(column as u32) | 1 << 31)
}

fn options(of: &Table) -> Datum {
    if of.options.is_empty() {
        return Datum::Null;
    }
    let shown = of.options.iter().map(|(name, value)| Datum::from(format!("{name}={value}")));
    Datum::array(Array::from_values(oid::TEXT, shown.collect()))
}

fn classes(table: &VirtualTable, catalog: &CatalogSnapshot) -> Vec<Vec<Datum>> {
    let common = |oid: Oid, name: &str, schema: Oid, kind: char, columns: usize| {
        vec![
            ("oid", oid.into()),
            ("relname", Datum::from(name)),
            ("relnamespace", schema.into()),
            ("relowner", POSTGRES_ROLE.into()),
            ("relkind", character(kind)),
            ("relnatts", Datum::Int2(columns as i16)),
            ("relpersistence", character('p')),
            ("relispopulated", Datum::Bool(true)),
            ("relreplident", character('d')),
        ]
    };
    let mut rows = Vec::new();
    for of in &catalog.tables {
        let mut values = common(of.oid, &of.name, of.schema, 'r', of.columns.len());
        values.extend([
            ("reltype", of.row_type.into()),
            ("relam", HEAP.into()),
            ("relfilenode", Datum::Oid(of.storage.0 as u32)),
            ("reltuples", Datum::Float4(of.row_estimate)),
            ("relhasindex", Datum::Bool(!of.indexes.is_empty())),
            ("relchecks", Datum::Int2(of.checks.len() as i16)),
            ("reloptions", options(of)),
        ]);
        rows.push(row(table, &values));
        for index in &of.indexes {
            let mut values = common(index.oid, &index.name, of.schema, 'i', index.keys.len());
            values.extend([
                ("relam", BTREE.into()),
                ("relreplident", character('n')),
                ("relfilenode", Datum::Oid(index.storage.0 as u32)),
            ]);
            rows.push(row(table, &values));
        }
    }
    for of in super::TABLES {
        let kind = if of.view { 'v' } else { 'r' };
        let mut values = common(of.oid, of.name, of.schema, kind, of.columns.len());
        if !of.view {
            values.push(("relam", HEAP.into()));
        }
        rows.push(row(table, &values));
    }
    rows
}

/// How a type's large values are kept: plain, main or extended.
fn storage(type_oid: Oid) -> char {
    match trivet_types::type_info(type_oid).map_or(0, |info| info.length) {
        -1 if type_oid == oid::NUMERIC => 'm',
        -1 if matches!(type_oid, oid::INT2VECTOR | oid::OIDVECTOR) => 'p',
        -1 => 'x',
        _ => 'p',
    }
}

/// The collation of a type's values: names compare as C, other strings by the default, which is C too.
fn collation(type_oid: Oid) -> Oid {
    let element = trivet_types::element_of(type_oid).filter(|_| trivet_types::is_array(type_oid)).unwrap_or(type_oid);
    match element {
        oid::NAME => Oid(950),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR => Oid(100),
        _ => Oid(0),
    }
}

fn attribute(
    table: &VirtualTable,
    relation: Oid,
    at: usize,
    name: &str,
    type_oid: Oid,
    modifier: i32,
    extra: &[(&'static str, Datum)],
) -> Vec<Datum> {
    let info = trivet_types::type_info(type_oid);
    let mut values = vec![
        ("attrelid", relation.into()),
        ("attname", Datum::from(name)),
        ("atttypid", type_oid.into()),
        ("attlen", Datum::Int2(info.map_or(-1, |info| info.length))),
        ("attnum", attribute_number(at).into()),
        ("attcacheoff", Datum::Int4(-1)),
        ("atttypmod", Datum::Int4(modifier)),
        ("attbyval", Datum::Bool(info.is_some_and(|info| info.by_value))),
        ("attalign", character(info.map_or('i', |info| info.align))),
        ("attstorage", character(storage(type_oid))),
        ("attislocal", Datum::Bool(true)),
        ("attcollation", collation(type_oid).into()),
        ("attstattarget", Datum::Int4(-1)),
    ];
    values.extend(extra.iter().cloned());
    row(table, &values)
}

fn attributes(table: &VirtualTable, catalog: &CatalogSnapshot) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for of in &catalog.tables {
        for (at, column) in of.columns.iter().enumerate() {
            let name =
                if column.dropped { format!("........pg.dropped.{}........", at + 1) } else { column.name.clone() };
            let type_oid = if column.dropped { Oid(0) } else { column.type_oid };
            let extra = [
                ("attnotnull", Datum::Bool(column.not_null)),
                ("atthasdef", Datum::Bool(column.default.is_some())),
                ("attisdropped", Datum::Bool(column.dropped)),
            ];
            rows.push(attribute(table, of.oid, at, &name, type_oid, column.modifier, &extra));
        }
        for index in &of.indexes {
            for (at, key) in index.keys.iter().enumerate() {
                let column = &of.columns[key.column];
                rows.push(attribute(table, index.oid, at, &column.name, column.type_oid, column.modifier, &[]));
            }
        }
    }
    for of in super::TABLES {
        for (at, column) in of.columns.iter().enumerate() {
            let extra = [("attnotnull", Datum::Bool(column.not_null))];
            rows.push(attribute(table, of.oid, at, column.name, column.type_oid, -1, &extra));
        }
    }
    rows
}

fn types(table: &VirtualTable, catalog: &CatalogSnapshot) -> Vec<Vec<Datum>> {
    use trivet_types::registry::registry;
    let procedure =
        |name: &str| registry().procedures_named(name).first().map_or(Datum::Oid(0), |found| found.oid.into());
    let mut rows: Vec<Vec<Datum>> = TYPES
        .iter()
        .map(|info| {
            row(
                table,
                &[
                    ("oid", info.oid.into()),
                    ("typname", info.name.into()),
                    ("typnamespace", PG_CATALOG.into()),
                    ("typowner", POSTGRES_ROLE.into()),
                    ("typlen", Datum::Int2(info.length)),
                    ("typbyval", Datum::Bool(info.by_value)),
                    ("typtype", character(info.kind)),
                    ("typcategory", character(info.category.0)),
                    ("typispreferred", Datum::Bool(info.preferred)),
                    ("typisdefined", Datum::Bool(true)),
                    ("typdelim", character(',')),
                    ("typelem", info.element.into()),
                    ("typarray", info.array.into()),
                    ("typinput", procedure(info.input)),
                    ("typoutput", procedure(info.output)),
                    ("typreceive", procedure(info.receive)),
                    ("typsend", procedure(info.send)),
                    ("typalign", character(info.align)),
                    ("typstorage", character(storage(info.oid))),
                    ("typtypmod", Datum::Int4(-1)),
                    ("typcollation", collation(info.oid).into()),
                ],
            )
        })
        .collect();
    for of in &catalog.tables {
        rows.push(row(
            table,
            &[
                ("oid", of.row_type.into()),
                ("typname", of.name.as_str().into()),
                ("typnamespace", of.schema.into()),
                ("typowner", POSTGRES_ROLE.into()),
                ("typlen", Datum::Int2(-1)),
                ("typtype", character('c')),
                ("typcategory", character('C')),
                ("typisdefined", Datum::Bool(true)),
                ("typdelim", character(',')),
                ("typrelid", of.oid.into()),
                ("typalign", character('d')),
                ("typstorage", character('x')),
                ("typtypmod", Datum::Int4(-1)),
            ],
        ));
    }
    rows
}

fn indexes(table: &VirtualTable, catalog: &CatalogSnapshot) -> Vec<Vec<Datum>> {
    with_indexes(catalog)
        .map(|(of, index)| {
            let option = |key: &crate::catalog::IndexKey| i16::from(key.descending) | i16::from(key.nulls_first) << 1;
            row(
                table,
                &[
                    ("indexrelid", index.oid.into()),
                    ("indrelid", of.oid.into()),
                    ("indnatts", Datum::Int2(index.keys.len() as i16)),
                    ("indnkeyatts", Datum::Int2(index.keys.len() as i16)),
                    ("indisunique", Datum::Bool(index.unique)),
                    ("indisprimary", Datum::Bool(index.primary)),
                    ("indimmediate", Datum::Bool(true)),
                    ("indisvalid", Datum::Bool(true)),
                    ("indisready", Datum::Bool(true)),
                    ("indislive", Datum::Bool(true)),
                    ("indkey", int2s(index.keys.iter().map(|key| attribute_number(key.column)))),
                    ("indcollation", oids(index.keys.iter().map(|_| Oid(0)))),
                    ("indclass", oids(index.keys.iter().map(|_| Oid(0)))),
                    ("indoption", int2s(index.keys.iter().map(option))),
                ],
            )
        })
        .collect()
}

fn constraints(table: &VirtualTable, catalog: &CatalogSnapshot) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for of in &catalog.tables {
        let common = |oid: Oid, name: &str, kind: char| {
            vec![
                ("oid", oid.into()),
                ("conname", Datum::from(name)),
                ("connamespace", of.schema.into()),
                ("contype", character(kind)),
                ("convalidated", Datum::Bool(true)),
                ("conrelid", of.oid.into()),
                ("conislocal", Datum::Bool(true)),
                ("connoinherit", Datum::Bool(kind != 'c')),
                ("confupdtype", character(' ')),
                ("confdeltype", character(' ')),
                ("confmatchtype", character(' ')),
            ]
        };
        for constraint in &of.constraints {
            let kind = match constraint.kind {
                ConstraintKind::PrimaryKey => 'p',
                ConstraintKind::Unique => 'u',
            };
            let mut values = common(constraint.oid, &constraint.name, kind);
            let keys = of.index(constraint.index).map_or(&[][..], |index| &index.keys);
            let numbers = keys.iter().map(|key| Datum::Int2(attribute_number(key.column))).collect();
            values.push(("conindid", constraint.index.into()));
            values.push(("conkey", Datum::array(Array::from_values(oid::INT2, numbers))));
            rows.push(row(table, &values));
        }
        for check in &of.checks {
            let mut values = common(check.oid, &check.name, 'c');
            values.push(("conbin", check.expression.as_str().into()));
            rows.push(row(table, &values));
        }
    }
    rows
}

fn settings(table: &VirtualTable, facts: &SessionFacts) -> Vec<Vec<Datum>> {
    let shown = facts.settings.iter().map(|setting| {
        row(
            table,
            &[
                ("name", setting.name.as_str().into()),
                ("setting", setting.value.as_str().into()),
                ("category", "Trivet".into()),
                ("short_desc", setting.description.as_str().into()),
                ("context", "user".into()),
                ("vartype", "string".into()),
                ("source", "default".into()),
                ("boot_val", setting.value.as_str().into()),
                ("reset_val", setting.value.as_str().into()),
                ("pending_restart", Datum::Bool(false)),
            ],
        )
    });
    shown.collect()
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
                    ("prokind", character(if matches!(procedure.body, Body::Aggregate(_)) { 'a' } else { 'f' })),
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

fn yes_no(value: bool) -> Datum {
    if value { "YES" } else { "NO" }.into()
}

fn information_schema(table: &VirtualTable, catalog: &CatalogSnapshot, facts: &SessionFacts) -> Vec<Vec<Datum>> {
    let database = || Datum::from(facts.database.as_str());
    let mut rows = Vec::new();
    match table.name {
        "schemata" => {
            for schema in &catalog.schemas {
                rows.push(row(
                    table,
                    &[
                        ("catalog_name", database()),
                        ("schema_name", schema.name.as_str().into()),
                        ("schema_owner", ROLE_NAME.into()),
                    ],
                ));
            }
        }
        "tables" => {
            let mut push = |schema: &str, name: &str, kind: &str, insertable: bool| {
                rows.push(row(
                    table,
                    &[
                        ("table_catalog", database()),
                        ("table_schema", schema.into()),
                        ("table_name", name.into()),
                        ("table_type", kind.into()),
                        ("is_insertable_into", yes_no(insertable)),
                        ("is_typed", yes_no(false)),
                    ],
                ));
            };
            catalog.tables.iter().for_each(|of| push(&of.schema_name, &of.name, "BASE TABLE", true));
            for of in super::TABLES {
                let schema = catalog.schema_name(of.schema).unwrap_or("pg_catalog");
                push(schema, of.name, if of.view { "VIEW" } else { "BASE TABLE" }, !of.view);
            }
        }
        "columns" => {
            for of in &catalog.tables {
                for (ordinal, (_, column)) in of.live_columns().enumerate() {
                    rows.push(information_column(table, &database(), of, ordinal, column));
                }
            }
        }
        "table_constraints" => {
            for of in &catalog.tables {
                for constraint in &of.constraints {
                    let kind = if constraint.kind == ConstraintKind::PrimaryKey { "PRIMARY KEY" } else { "UNIQUE" };
                    rows.push(row(
                        table,
                        &[
                            ("constraint_catalog", database()),
                            ("constraint_schema", of.schema_name.as_str().into()),
                            ("constraint_name", constraint.name.as_str().into()),
                            ("table_catalog", database()),
                            ("table_schema", of.schema_name.as_str().into()),
                            ("table_name", of.name.as_str().into()),
                            ("constraint_type", kind.into()),
                            ("is_deferrable", yes_no(false)),
                            ("initially_deferred", yes_no(false)),
                            ("enforced", yes_no(true)),
                        ],
                    ));
                }
            }
        }
        "key_column_usage" => {
            for of in &catalog.tables {
                for constraint in &of.constraints {
                    let keys = of.index(constraint.index).map_or(&[][..], |index| &index.keys);
                    for (ordinal, key) in keys.iter().enumerate() {
                        rows.push(row(
                            table,
                            &[
                                ("constraint_catalog", database()),
                                ("constraint_schema", of.schema_name.as_str().into()),
                                ("constraint_name", constraint.name.as_str().into()),
                                ("table_catalog", database()),
                                ("table_schema", of.schema_name.as_str().into()),
                                ("table_name", of.name.as_str().into()),
                                ("column_name", of.columns[key.column].name.as_str().into()),
                                ("ordinal_position", Datum::Int4(ordinal as i32 + 1)),
                            ],
                        ));
                    }
                }
            }
        }
        "information_schema_catalog_name" => rows.push(row(table, &[("catalog_name", database())])),
        "enabled_roles" => rows.push(row(table, &[("role_name", ROLE_NAME.into())])),
        _ => {}
    }
    rows
}

fn information_column(
    table: &VirtualTable,
    database: &Datum,
    of: &Table,
    ordinal: usize,
    column: &crate::catalog::Column,
) -> Vec<Datum> {
    let (precision, radix, scale) = match column.type_oid {
        oid::INT2 => (Some(16), Some(2), Some(0)),
        oid::INT4 => (Some(32), Some(2), Some(0)),
        oid::INT8 => (Some(64), Some(2), Some(0)),
        oid::FLOAT4 => (Some(24), Some(2), None),
        oid::FLOAT8 => (Some(53), Some(2), None),
        oid::NUMERIC if column.modifier >= 4 => {
            let (precision, scale) = trivet_types::numeric::split_modifier(column.modifier);
            (Some(precision), Some(10), Some(scale))
        }
        oid::NUMERIC => (None, Some(10), None),
        _ => (None, None, None),
    };
    let is_text = matches!(column.type_oid, oid::VARCHAR | oid::BPCHAR);
    let length = (is_text && column.modifier >= 4).then_some(column.modifier - 4);
    let data_type =
        if trivet_types::is_array(column.type_oid) { "ARRAY".to_string() } else { display_name(column.type_oid, -1) };
    row(
        table,
        &[
            ("table_catalog", database.clone()),
            ("table_schema", of.schema_name.as_str().into()),
            ("table_name", of.name.as_str().into()),
            ("column_name", column.name.as_str().into()),
            ("ordinal_position", Datum::Int4(ordinal as i32 + 1)),
            ("column_default", column.default.as_deref().into()),
            ("is_nullable", yes_no(!column.not_null)),
            ("data_type", data_type.into()),
            ("character_maximum_length", length.into()),
            ("character_octet_length", length.map(|length| length.saturating_mul(4)).into()),
            ("numeric_precision", precision.into()),
            ("numeric_precision_radix", radix.into()),
            ("numeric_scale", scale.into()),
            ("udt_catalog", database.clone()),
            ("udt_schema", "pg_catalog".into()),
            ("udt_name", trivet_types::type_info(column.type_oid).map(|info| info.name).into()),
            ("dtd_identifier", (ordinal as i32 + 1).to_string().into()),
            ("is_self_referencing", yes_no(false)),
            ("is_identity", yes_no(false)),
            ("is_generated", "NEVER".into()),
            ("is_updatable", yes_no(true)),
        ],
    )
}
