//! Rows about relations and what belongs to them: tables, columns, indexes, constraints, sequences, views, comments, dependencies.
use super::rows::{SessionFacts, attribute_number, character, int2s, oids, row};
use super::{Reader, VirtualTable, definition, operator_class, type_rows};
use crate::catalog::{
    AclItem, BTREE, CatalogSnapshot, CheckOption, Column, ConstraintKind, HASH, HEAP, Index, IndexState, POSTGRES_ROLE,
    ReferentialAction, RelationBody, RelationKind, Roles, Table, Trait, builtin_schema_row,
};
use trivet_types::registry::registry;
use trivet_types::user::claim_of;
use trivet_types::{Array, Datum, Oid, oid};

type Rows = Vec<Vec<Datum>>;

const PG_CLASS: Oid = Oid(1259);
const PG_TYPE: Oid = Oid(1247);
const PG_CONSTRAINT: Oid = Oid(2606);
const PG_NAMESPACE: Oid = Oid(2615);
const PG_ATTRDEF: Oid = Oid(2604);
const PG_REWRITE: Oid = Oid(2618);

/// The rows of a table of this subject; `None`: it is of another.
pub(super) fn rows_of(table: &VirtualTable, catalog: &CatalogSnapshot, facts: &SessionFacts) -> Option<Rows> {
    let reader = || Reader::new(catalog, facts.path());
    Some(match table.name {
        "pg_class" => classes(table, catalog),
        "pg_attribute" => attributes(table, catalog),
        "pg_attrdef" => defaults(table, catalog),
        "pg_namespace" => namespaces(table, catalog),
        "pg_init_privs" => first_privileges(table, catalog),
        "pg_type" => type_rows::types(table, catalog),
        "pg_enum" => type_rows::labels(table, catalog),
        "pg_index" => indexes(table, catalog),
        "pg_constraint" => constraints(table, catalog),
        "pg_sequence" => sequences(table, catalog),
        "pg_sequences" => sequences_shown(table, catalog),
        "pg_tables" => tables_shown(table, catalog),
        "pg_views" => views_shown(table, &reader()),
        "pg_matviews" => materialized_shown(table, &reader()),
        "pg_indexes" => indexes_shown(table, &reader()),
        "pg_rewrite" => rewrites(table, catalog),
        "pg_description" => descriptions(table, catalog),
        "pg_depend" => dependencies(table, catalog),
        _ => return None,
    })
}

pub(super) fn name_of(roles: &Roles, role: Oid) -> Datum {
    roles.name(role).map_or_else(|| format!("unknown (OID={role})"), str::to_owned).into()
}

pub(super) fn acl(items: Option<&[AclItem]>, roles: &Roles) -> Datum {
    match items {
        None => Datum::Null,
        Some(items) => {
            let shown = items.iter().map(|item| Datum::from(item.shown(roles))).collect();
            Datum::array(Array::from_values(oid::ACLITEM, shown))
        }
    }
}

fn with_indexes(catalog: &CatalogSnapshot) -> impl Iterator<Item = (&Table, &Index)> {
    catalog.tables.iter().flat_map(|table| table.indexes.iter().map(move |index| (table.as_ref(), index)))
}

/// Defaults, and rules of views, have no identity of their own; any stable number does.
fn default_oid(table: &Table, column: usize) -> Oid {
    Oid(table.oid.0.wrapping_mul(1601).wrapping_add(column as u32) | 1 << 31)
}

fn rule_oid(table: &Table) -> Oid {
    default_oid(table, 1600)
}

/// A column's default as PostgreSQL keeps it: that of a generated column is its expression.
fn default_text(column: &Column) -> Option<&str> {
    column.default.as_deref().or(column.generated.as_deref())
}

fn options(of: &Table) -> Datum {
    let mut shown: Vec<Datum> = of.options.iter().map(|(name, value)| format!("{name}={value}").into()).collect();
    match of.view().and_then(|view| view.check_option) {
        Some(CheckOption::Local) => shown.push("check_option=local".into()),
        Some(CheckOption::Cascaded) => shown.push("check_option=cascaded".into()),
        None => {}
    }
    if shown.is_empty() { Datum::Null } else { Datum::array(Array::from_values(oid::TEXT, shown)) }
}

fn namespaces(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let shown = catalog.schemas.iter().map(|schema| {
        row(
            table,
            &[
                ("oid", schema.oid.into()),
                ("nspname", schema.name.as_str().into()),
                ("nspowner", schema.owner.into()),
                ("nspacl", acl(schema.acl.as_deref(), &catalog.roles)),
            ],
        )
    });
    shown.collect()
}

/// What was granted from the start, so that a dump leaves it out. Dumps know of `public`.
fn first_privileges(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let first = ["pg_catalog", "information_schema"].into_iter().filter_map(builtin_schema_row);
    let shown = first.filter(|schema| schema.acl.is_some()).map(|schema| {
        row(
            table,
            &[
                ("objoid", schema.oid.into()),
                ("classoid", PG_NAMESPACE.into()),
                ("objsubid", 0.into()),
                ("privtype", character('i')),
                ("initprivs", acl(schema.acl.as_deref(), &catalog.roles)),
            ],
        )
    });
    shown.collect()
}

fn kind_letter(kind: RelationKind) -> char {
    match kind {
        RelationKind::Table => 'r',
        RelationKind::Index => 'i',
        RelationKind::View => 'v',
        RelationKind::MaterializedView => 'm',
        RelationKind::Sequence => 'S',
        RelationKind::Type => 'c',
    }
}

fn classes(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let common = |oid: Oid, name: &str, schema: Oid, owner: Oid, kind: char, columns: usize, persistence: char| {
        vec![
            ("oid", oid.into()),
            ("relname", Datum::from(name)),
            ("relnamespace", schema.into()),
            ("relowner", owner.into()),
            ("relkind", character(kind)),
            ("relnatts", Datum::Int2(columns as i16)),
            ("relpersistence", character(persistence)),
            ("relispopulated", Datum::Bool(true)),
        ]
    };
    let mut rows = Vec::new();
    for of in &catalog.tables {
        let kind = of.kind();
        let columns = if kind == RelationKind::Sequence { 3 } else { of.columns.len() };
        let persistence = match (of.is_temporary(), of.unlogged) {
            (true, _) => 't',
            (false, true) => 'u',
            (false, false) => 'p',
        };
        let mut values = common(of.oid, &of.name, of.schema, of.owner, kind_letter(kind), columns, persistence);
        let is_table = of.has_rows();
        let is_view = kind == RelationKind::View;
        if let RelationBody::Materialized { populated, .. } = &of.body {
            values.retain(|(name, _)| *name != "relispopulated");
            values.push(("relispopulated", Datum::Bool(*populated)));
        }
        values.extend([
            ("relreplident", character(if is_table { 'd' } else { 'n' })),
            ("reltype", type_rows::row_type(of).into()),
            ("relam", if is_table { HEAP } else { Oid(0) }.into()),
            ("relfilenode", Datum::Oid(if is_view { 0 } else { of.storage.0 as u32 })),
            (
                "reltuples",
                Datum::Float4(if is_table {
                    super::statistics::row_count(of, catalog)
                } else if is_view {
                    0.0
                } else {
                    1.0
                }),
            ),
            ("relhasindex", Datum::Bool(!of.indexes.is_empty())),
            ("relchecks", Datum::Int2(of.checks.len() as i16)),
            ("relhasrules", Datum::Bool(of.view().is_some())),
            ("relhastriggers", Datum::Bool(!of.foreign_keys.is_empty() || !of.referenced_by.is_empty())),
            ("relacl", acl(of.acl.as_deref(), &catalog.roles)),
            ("reloptions", options(of)),
        ]);
        rows.push(row(table, &values));
        for index in &of.indexes {
            let count = index.keys.len() + index.include.len();
            let mut values = common(index.oid, &index.name, of.schema, of.owner, 'i', count, persistence);
            values.extend([
                ("relam", if of.has_trait(index.oid, Trait::Hash) { HASH } else { BTREE }.into()),
                ("relreplident", character('n')),
                ("relfilenode", Datum::Oid(index.storage.0 as u32)),
            ]);
            rows.push(row(table, &values));
        }
    }
    for of in &catalog.composites {
        let count = of.attributes.len();
        let mut values = common(claim_of(of.oid), &of.name, of.schema, of.owner, 'c', count, 'p');
        values.extend([("reltype", of.oid.into()), ("relreplident", character('n'))]);
        rows.push(row(table, &values));
    }
    for of in super::all() {
        let kind = if of.view { 'v' } else { 'r' };
        let mut values = common(of.oid, of.name, of.schema, POSTGRES_ROLE, kind, of.columns.len(), 'p');
        values.push(("relreplident", character('n')));
        if !of.view {
            values.push(("relam", HEAP.into()));
        }
        rows.push(row(table, &values));
    }
    rows
}

/// How a type's large values are kept: plain, main or extended.
pub(super) fn storage(type_oid: Oid) -> char {
    match trivet_types::type_info(type_oid).map_or(0, |info| info.length) {
        -1 if type_oid == oid::NUMERIC => 'm',
        -1 if matches!(type_oid, oid::INT2VECTOR | oid::OIDVECTOR) => 'p',
        -1 => 'x',
        _ => 'p',
    }
}

/// The collation of a type's values: names compare as C, other strings by the default, which is C too.
pub(super) fn collation(type_oid: Oid) -> Oid {
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
        ("attndims", Datum::Int4(i32::from(trivet_types::is_array(type_oid)))),
        ("attbyval", Datum::Bool(info.is_some_and(|info| info.by_value))),
        ("attalign", character(info.map_or('i', |info| info.align))),
        ("attstorage", character(storage(type_oid))),
        ("attislocal", Datum::Bool(true)),
        ("attcollation", collation(type_oid).into()),
        ("attstattarget", Datum::Int4(-1)),
    ];
    values.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    values.extend(extra.iter().cloned());
    row(table, &values)
}

/// Columns of every sequence.
const SEQUENCE_COLUMNS: [(&str, Oid); 3] =
    [("last_value", oid::INT8), ("log_cnt", oid::INT8), ("is_called", oid::BOOL)];

/// What PostgreSQL lists of every table; here only `tableoid` can be asked for.
const SYSTEM_COLUMNS: &[(i16, &str, Oid)] = &[
    (-1, "ctid", oid::TID),
    (-2, "xmin", oid::XID),
    (-3, "cmin", oid::CID),
    (-4, "xmax", oid::XID),
    (-5, "cmax", oid::CID),
    (-6, "tableoid", oid::OID),
];

fn attributes(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let mut rows = Vec::new();
    for of in &catalog.tables {
        if of.kind() == RelationKind::Sequence {
            for (at, (name, type_oid)) in SEQUENCE_COLUMNS.iter().enumerate() {
                let extra = [("attnotnull", Datum::Bool(true))];
                rows.push(attribute(table, of.oid, at, name, *type_oid, -1, &extra));
            }
        }
        if of.has_rows() {
            rows.extend(SYSTEM_COLUMNS.iter().map(|(number, name, type_oid)| {
                let extra = [("attnum", Datum::Int2(*number)), ("attnotnull", Datum::Bool(true))];
                attribute(table, of.oid, 0, name, *type_oid, -1, &extra)
            }));
        }
        for (at, column) in of.columns.iter().enumerate() {
            let name =
                if column.dropped { format!("........pg.dropped.{}........", at + 1) } else { column.name.clone() };
            let domain = of.domain_of(at);
            let type_oid = if column.dropped { Oid(0) } else { domain.unwrap_or(column.type_oid) };
            let modifier = if domain.is_some() { -1 } else { column.modifier };
            let identity = column.identity.map(|identity| if identity.always { 'a' } else { 'd' });
            let mut extra = vec![
                ("attnotnull", Datum::Bool(column.not_null)),
                ("atthasdef", Datum::Bool(default_text(column).is_some())),
                ("attacl", acl(column.acl.as_deref(), &catalog.roles)),
                ("attisdropped", Datum::Bool(column.dropped)),
                ("atthasmissing", Datum::Bool(column.missing.is_some())),
            ];
            extra.extend(identity.map(|letter| ("attidentity", character(letter))));
            if let Some(collation) = column.collation {
                extra.retain(|(name, _)| *name != "attcollation");
                extra.push(("attcollation", collation.into()));
            }
            if column.generated.is_some() {
                extra.push(("attgenerated", character('s')));
            }
            if domain.is_some() {
                extra.extend(as_base(column.type_oid));
            }
            rows.push(attribute(table, of.oid, at, &name, type_oid, modifier, &extra));
        }
        for index in &of.indexes {
            for (at, key) in index.keys.iter().enumerate() {
                let (name, type_oid, modifier) = match &key.expression {
                    Some(expression) => (expression.name.as_str(), expression.type_oid, -1),
                    None => {
                        let column = &of.columns[key.column];
                        (column.name.as_str(), column.type_oid, column.modifier)
                    }
                };
                let mut extra = Vec::new();
                if key.expression.is_some() {
                    extra.push(("atthasdef", Datum::Bool(false)));
                }
                rows.push(attribute(table, index.oid, at, name, type_oid, modifier, &extra));
            }
            for (at, column) in index.include.iter().enumerate() {
                let column = &of.columns[*column];
                let at = index.keys.len() + at;
                rows.push(attribute(table, index.oid, at, &column.name, column.type_oid, column.modifier, &[]));
            }
        }
    }
    for of in &catalog.composites {
        for (at, has) in of.attributes.iter().enumerate() {
            rows.push(attribute(table, claim_of(of.oid), at, &has.name, has.type_oid, has.modifier, &[]));
        }
    }
    for of in super::all() {
        for (at, column) in of.columns.iter().enumerate() {
            // The system's own strings order by bytes, whatever the database's do.
            let strings = collation(column.type_oid) == Oid(100)
                || matches!(column.type_oid, oid::PG_NODE_TREE | oid::TEXT_ARRAY);
            let mut extra = vec![("attnotnull", Datum::Bool(column.not_null))];
            if !of.view && strings {
                extra.push(("attcollation", Oid(950).into()));
            }
            rows.push(attribute(table, of.oid, at, column.name, column.type_oid, -1, &extra));
        }
    }
    rows
}

fn defaults(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let mut rows = Vec::new();
    for of in &catalog.tables {
        for (at, column) in of.live_columns() {
            let Some(default) = default_text(column) else { continue };
            rows.push(row(
                table,
                &[
                    ("oid", default_oid(of, at).into()),
                    ("adrelid", of.oid.into()),
                    ("adnum", attribute_number(at).into()),
                    ("adbin", default.into()),
                ],
            ));
        }
    }
    rows
}

/// How a column of a domain is stored: as its base type is.
fn as_base(base: Oid) -> Vec<(&'static str, Datum)> {
    let info = trivet_types::type_info(base);
    vec![
        ("attlen", Datum::Int2(info.map_or(-1, |info| info.length))),
        ("attndims", Datum::Int4(i32::from(trivet_types::is_array(base)))),
        ("attbyval", Datum::Bool(info.is_some_and(|info| info.by_value))),
        ("attalign", character(info.map_or('i', |info| info.align))),
        ("attstorage", character(storage(base))),
        ("attcollation", collation(base).into()),
    ]
}

fn indexes(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    with_indexes(catalog)
        .map(|(of, index)| {
            let option = |key: &crate::catalog::IndexKey| i16::from(key.descending) | i16::from(key.nulls_first) << 1;
            // An expression is no column: 0.
            let number = |key: &crate::catalog::IndexKey| match &key.expression {
                Some(_) => 0,
                None => attribute_number(key.column),
            };
            let expressions: Vec<&str> = index
                .keys
                .iter()
                .filter_map(|key| key.expression.as_ref().map(|expression| expression.text.as_str()))
                .collect();
            let expressions = if expressions.is_empty() { Datum::Null } else { expressions.join(", ").into() };
            let included = index.include.iter().map(|column| attribute_number(*column));
            let ready = index.state == IndexState::Ready;
            row(
                table,
                &[
                    ("indexrelid", index.oid.into()),
                    ("indrelid", of.oid.into()),
                    ("indnatts", Datum::Int2((index.keys.len() + index.include.len()) as i16)),
                    ("indnkeyatts", Datum::Int2(index.keys.len() as i16)),
                    ("indisunique", Datum::Bool(of.is_unique(index))),
                    ("indnullsnotdistinct", Datum::Bool(index.nulls_collide)),
                    ("indisprimary", Datum::Bool(index.primary)),
                    ("indimmediate", Datum::Bool(of.deferrable(index.oid).is_none())),
                    ("indisvalid", Datum::Bool(ready)),
                    ("indisready", Datum::Bool(true)),
                    ("indislive", Datum::Bool(true)),
                    ("indkey", int2s(index.keys.iter().map(number).chain(included))),
                    ("indcollation", oids(index.keys.iter().map(|key| collation(of.key_type(key))))),
                    (
                        "indclass",
                        oids(index.keys.iter().enumerate().map(|(at, key)| {
                            of.class_of(index.oid, at).unwrap_or_else(|| operator_class::of_type(of.key_type(key)))
                        })),
                    ),
                    ("indoption", int2s(index.keys.iter().map(option))),
                    ("indexprs", expressions),
                    ("indpred", index.filter.as_deref().into()),
                ],
            )
        })
        .collect()
}

fn numbers(columns: impl Iterator<Item = usize>) -> Datum {
    Datum::array(Array::from_values(oid::INT2, columns.map(|column| Datum::Int2(attribute_number(column))).collect()))
}

fn action_letter(action: ReferentialAction) -> char {
    match action {
        ReferentialAction::NoAction => 'a',
        ReferentialAction::Restrict => 'r',
        ReferentialAction::Cascade => 'c',
        ReferentialAction::SetNull => 'n',
        ReferentialAction::SetDefault => 'd',
    }
}

fn constraints(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let mut rows = Vec::new();
    for of in &catalog.tables {
        let common = |oid: Oid, name: &str, kind: char| {
            let mut values = vec![
                ("oid", oid.into()),
                ("conname", Datum::from(name)),
                ("connamespace", of.schema.into()),
                ("contype", character(kind)),
                ("conrelid", of.oid.into()),
                ("conislocal", Datum::Bool(true)),
                ("connoinherit", Datum::Bool(kind != 'c')),
            ];
            if kind != 'f' {
                values.extend([
                    ("convalidated", Datum::Bool(true)),
                    ("confupdtype", character(' ')),
                    ("confdeltype", character(' ')),
                    ("confmatchtype", character(' ')),
                ]);
            }
            values
        };
        for constraint in &of.constraints {
            let kind = match constraint.kind {
                ConstraintKind::PrimaryKey => 'p',
                ConstraintKind::Unique => 'u',
            };
            let mut values = common(constraint.oid, &constraint.name, kind);
            let keys = of.index(constraint.index).map_or(&[][..], |index| &index.keys);
            let deferrable = of.deferrable(constraint.index);
            values.push(("condeferrable", Datum::Bool(deferrable.is_some())));
            values.push(("condeferred", Datum::Bool(deferrable == Some(true))));
            values.push(("conindid", constraint.index.into()));
            values.push(("conkey", numbers(keys.iter().map(|key| key.column))));
            rows.push(row(table, &values));
        }
        for check in &of.checks {
            let mut values = common(check.oid, &check.name, 'c');
            values.retain(|(name, _)| !matches!(*name, "convalidated" | "connoinherit"));
            values.push(("convalidated", Datum::Bool(check.validated)));
            values.push(("connoinherit", Datum::Bool(of.has_trait(check.oid, Trait::NoInherit))));
            values.push(("conbin", check.expression.as_str().into()));
            let used = of
                .live_columns()
                .filter(|(_, column)| crate::define::mentions_column(&check.expression, &column.name))
                .map(|(at, _)| at);
            values.push(("conkey", numbers(used)));
            rows.push(row(table, &values));
        }
        for key in &of.foreign_keys {
            let mut values = common(key.oid, &key.name, 'f');
            let equal = |type_oid: Oid| registry().equality(type_oid).map_or(Oid(0), |operator| operator.oid);
            let operators = || {
                let of_columns = key.columns.iter().map(|column| equal(of.columns[*column].type_oid).into()).collect();
                Datum::array(Array::from_values(oid::OID, of_columns))
            };
            values.extend([
                ("convalidated", Datum::Bool(key.validated)),
                ("condeferrable", Datum::Bool(key.deferrable)),
                ("condeferred", Datum::Bool(key.deferred)),
                ("conindid", key.index.into()),
                ("confrelid", key.table.into()),
                ("confupdtype", character(action_letter(key.on_update))),
                ("confdeltype", character(action_letter(key.on_delete))),
                ("confmatchtype", character(if key.full { 'f' } else { 's' })),
                ("conkey", numbers(key.columns.iter().copied())),
                ("confkey", numbers(key.referred.iter().copied())),
                ("conpfeqop", operators()),
                ("conppeqop", operators()),
                ("conffeqop", operators()),
            ]);
            if !key.set_columns.is_empty() {
                values.push(("confdelsetcols", numbers(key.set_columns.iter().copied())));
            }
            rows.push(row(table, &values));
        }
    }
    for domain in catalog.domains.iter().map(|stored| &stored.definition) {
        for check in &domain.checks {
            rows.push(row(
                table,
                &[
                    ("oid", check.oid.into()),
                    ("conname", check.name.as_str().into()),
                    ("connamespace", domain.schema.into()),
                    ("contype", character('c')),
                    ("convalidated", Datum::Bool(check.validated)),
                    ("contypid", domain.oid.into()),
                    ("confupdtype", character(' ')),
                    ("confdeltype", character(' ')),
                    ("confmatchtype", character(' ')),
                    ("conislocal", Datum::Bool(true)),
                    ("connoinherit", Datum::Bool(false)),
                    ("conbin", check.expression.as_str().into()),
                ],
            ));
        }
    }
    rows
}

fn sequences(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let of_table = |of: &std::sync::Arc<Table>| {
        let sequence = of.sequence()?;
        Some(row(
            table,
            &[
                ("seqrelid", of.oid.into()),
                ("seqtypid", sequence.type_oid.into()),
                ("seqstart", Datum::Int8(sequence.start)),
                ("seqincrement", Datum::Int8(sequence.increment)),
                ("seqmax", Datum::Int8(sequence.maximum)),
                ("seqmin", Datum::Int8(sequence.minimum)),
                ("seqcache", Datum::Int8(sequence.cache)),
                ("seqcycle", Datum::Bool(sequence.cycles)),
            ],
        ))
    };
    catalog.tables.iter().filter_map(of_table).collect()
}

fn sequences_shown(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let of_table = |of: &std::sync::Arc<Table>| {
        let sequence = of.sequence()?;
        let state = catalog.sequences.get(&of.oid).filter(|state| state.is_called);
        Some(row(
            table,
            &[
                ("schemaname", of.schema_name.as_str().into()),
                ("sequencename", of.name.as_str().into()),
                ("sequenceowner", name_of(&catalog.roles, of.owner)),
                ("data_type", sequence.type_oid.into()),
                ("start_value", Datum::Int8(sequence.start)),
                ("min_value", Datum::Int8(sequence.minimum)),
                ("max_value", Datum::Int8(sequence.maximum)),
                ("increment_by", Datum::Int8(sequence.increment)),
                ("cycle", Datum::Bool(sequence.cycles)),
                ("cache_size", Datum::Int8(sequence.cache)),
                ("last_value", state.map_or(Datum::Null, |state| Datum::Int8(state.last_value))),
            ],
        ))
    };
    catalog.tables.iter().filter_map(of_table).collect()
}

fn tables_shown(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let stored = catalog.tables.iter().filter(|of| of.is_table());
    let mut rows: Rows = stored
        .map(|of| {
            row(
                table,
                &[
                    ("schemaname", of.schema_name.as_str().into()),
                    ("tablename", of.name.as_str().into()),
                    ("tableowner", name_of(&catalog.roles, of.owner)),
                    ("hasindexes", Datum::Bool(!of.indexes.is_empty())),
                    ("hasrules", Datum::Bool(false)),
                    ("hastriggers", Datum::Bool(!of.foreign_keys.is_empty() || !of.referenced_by.is_empty())),
                    ("rowsecurity", Datum::Bool(false)),
                ],
            )
        })
        .collect();
    rows.extend(super::all().filter(|of| !of.view).map(|of| {
        let schema = catalog.schema_name(of.schema).unwrap_or("pg_catalog");
        row(
            table,
            &[
                ("schemaname", schema.into()),
                ("tablename", of.name.into()),
                ("tableowner", name_of(&catalog.roles, POSTGRES_ROLE)),
                ("hasindexes", Datum::Bool(true)),
                ("hasrules", Datum::Bool(false)),
                ("hastriggers", Datum::Bool(false)),
                ("rowsecurity", Datum::Bool(false)),
            ],
        )
    }));
    rows
}

fn views_shown(table: &VirtualTable, reader: &Reader<'_>) -> Rows {
    let catalog = reader.catalog;
    let views = catalog.tables.iter().filter(|of| of.kind() == RelationKind::View);
    views
        .map(|of| {
            row(
                table,
                &[
                    ("schemaname", of.schema_name.as_str().into()),
                    ("viewname", of.name.as_str().into()),
                    ("viewowner", name_of(&catalog.roles, of.owner)),
                    ("definition", reader.view(of.oid, false).into()),
                ],
            )
        })
        .collect()
}

fn materialized_shown(table: &VirtualTable, reader: &Reader<'_>) -> Rows {
    let catalog = reader.catalog;
    let shown = catalog.tables.iter().filter_map(|of| {
        let RelationBody::Materialized { populated, .. } = &of.body else { return None };
        Some(row(
            table,
            &[
                ("schemaname", of.schema_name.as_str().into()),
                ("matviewname", of.name.as_str().into()),
                ("matviewowner", name_of(&catalog.roles, of.owner)),
                ("hasindexes", Datum::Bool(!of.indexes.is_empty())),
                ("ispopulated", Datum::Bool(*populated)),
                ("definition", reader.view(of.oid, false).into()),
            ],
        ))
    });
    shown.collect()
}

fn indexes_shown(table: &VirtualTable, reader: &Reader<'_>) -> Rows {
    let catalog = reader.catalog;
    with_indexes(catalog)
        .map(|(of, index)| {
            row(
                table,
                &[
                    ("schemaname", of.schema_name.as_str().into()),
                    ("tablename", of.name.as_str().into()),
                    ("indexname", index.name.as_str().into()),
                    ("indexdef", definition::index_definition(reader, index.oid, 0, false).into()),
                ],
            )
        })
        .collect()
}

fn rewrites(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let views = catalog.tables.iter().filter(|of| of.view().is_some());
    views
        .map(|of| {
            row(
                table,
                &[
                    ("oid", rule_oid(of).into()),
                    ("rulename", "_RETURN".into()),
                    ("ev_class", of.oid.into()),
                    ("ev_type", character('1')),
                    ("ev_enabled", character('O')),
                    ("is_instead", Datum::Bool(true)),
                    ("ev_qual", "<>".into()),
                    ("ev_action", "<>".into()),
                ],
            )
        })
        .collect()
}

fn descriptions(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let mut rows = Vec::new();
    let mut push = |object: Oid, class: Oid, column: i16, text: &str| {
        rows.push(row(
            table,
            &[
                ("objoid", object.into()),
                ("classoid", class.into()),
                ("objsubid", Datum::Int4(column.into())),
                ("description", text.into()),
            ],
        ));
    };
    for of in &catalog.tables {
        for comment in &of.comments {
            let (object, class) = match comment.object {
                Oid(0) => (of.oid, PG_CLASS),
                object if of.index(object).is_some() => (object, PG_CLASS),
                object => (object, PG_CONSTRAINT),
            };
            push(object, class, comment.column, &comment.text);
        }
    }
    for stored in &catalog.types {
        if let Some(comment) = &stored.comment {
            push(stored.definition.oid, PG_TYPE, 0, comment);
        }
    }
    for stored in &catalog.composites {
        if let Some(comment) = &stored.comment {
            push(stored.oid, PG_TYPE, 0, comment);
        }
    }
    for stored in &catalog.domains {
        if let Some(comment) = &stored.comment {
            push(stored.definition.oid, PG_TYPE, 0, comment);
        }
    }
    for schema in &catalog.schemas {
        if let Some(comment) = &schema.comment {
            push(schema.oid, PG_NAMESPACE, 0, comment);
        }
    }
    rows
}

/// What depends on what, as far as pg_dump and those who order objects by it ask.
fn dependencies(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let mut rows = Vec::new();
    let mut push = |(class, object, sub): (Oid, Oid, i32), (on_class, on, on_sub): (Oid, Oid, i32), kind: char| {
        rows.push(row(
            table,
            &[
                ("classid", class.into()),
                ("objid", object.into()),
                ("objsubid", Datum::Int4(sub)),
                ("refclassid", on_class.into()),
                ("refobjid", on.into()),
                ("refobjsubid", Datum::Int4(on_sub)),
                ("deptype", character(kind)),
            ],
        ));
    };
    let number = |column: usize| i32::from(attribute_number(column));
    for of in &catalog.tables {
        push((PG_CLASS, of.oid, 0), (PG_NAMESPACE, of.schema, 0), 'n');
        if let Some((owner, column, identity)) = of.sequence().and_then(|sequence| sequence.owned_by) {
            let kind = if identity { 'i' } else { 'a' };
            push((PG_CLASS, of.oid, 0), (PG_CLASS, owner, number(column)), kind);
        }
        for (at, column) in of.live_columns() {
            if trivet_types::user::is_user_type(column.type_oid) {
                push((PG_CLASS, of.oid, number(at)), (PG_TYPE, column.type_oid, 0), 'n');
            }
            let Some(text) = default_text(column) else { continue };
            let own = (PG_ATTRDEF, default_oid(of, at), 0);
            push(own, (PG_CLASS, of.oid, number(at)), 'a');
            for sequence in crate::define::regclass_oids(text) {
                push(own, (PG_CLASS, sequence, 0), 'n');
            }
        }
        for index in &of.indexes {
            match of.constraint_of(index.oid) {
                Some(constraint) => push((PG_CLASS, index.oid, 0), (PG_CONSTRAINT, constraint.oid, 0), 'i'),
                None => {
                    for key in index.keys.iter().filter(|key| key.expression.is_none()) {
                        push((PG_CLASS, index.oid, 0), (PG_CLASS, of.oid, number(key.column)), 'a');
                    }
                }
            }
        }
        for constraint in &of.constraints {
            push((PG_CONSTRAINT, constraint.oid, 0), (PG_CLASS, of.oid, 0), 'a');
        }
        for check in &of.checks {
            push((PG_CONSTRAINT, check.oid, 0), (PG_CLASS, of.oid, 0), 'a');
        }
        for key in &of.foreign_keys {
            push((PG_CONSTRAINT, key.oid, 0), (PG_CLASS, of.oid, 0), 'a');
            push((PG_CONSTRAINT, key.oid, 0), (PG_CLASS, key.index, 0), 'n');
        }
        if let Some(view) = of.view() {
            let rule = (PG_REWRITE, rule_oid(of), 0);
            push(rule, (PG_CLASS, of.oid, 0), 'i');
            push(rule, (PG_CLASS, of.oid, 0), 'n');
            for reference in view.references.iter().filter(|reference| catalog.table(reference.relation).is_some()) {
                if reference.used.is_empty() {
                    push(rule, (PG_CLASS, reference.relation, 0), 'n');
                }
                for column in &reference.used {
                    push(rule, (PG_CLASS, reference.relation, number(*column)), 'n');
                }
            }
        }
    }
    rows
}
