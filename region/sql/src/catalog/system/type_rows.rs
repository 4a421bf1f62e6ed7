//! Rows about types: the built-in ones, those of users, those of relations' rows, and enum labels.
use super::VirtualTable;
use super::relations::{acl, collation, storage};
use super::rows::{character, row};
use crate::catalog::{AclItem, CatalogSnapshot, POSTGRES_ROLE, RelationKind, Roles, StoredDomain, Table};
use trivet_types::registry::registry;
use trivet_types::user::claim_of;
use trivet_types::{Datum, Oid, TYPES};

type Rows = Vec<Vec<Datum>>;

pub(super) fn types(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let procedure =
        |name: &str| registry().procedures_named(name).first().map_or(Datum::Oid(0), |found| found.oid.into());
    let mut rows: Rows = TYPES
        .iter()
        .map(|info| {
            row(
                table,
                &[
                    ("oid", info.oid.into()),
                    ("typname", info.name.into()),
                    ("typnamespace", crate::catalog::PG_CATALOG.into()),
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
    let roles = &catalog.roles;
    for of in catalog.tables.iter().filter(|of| of.row_type.is_valid()) {
        let (oid, name, schema, owner) = (row_type(of), of.name.as_str(), of.schema, of.owner);
        let own = Own { oid, name, schema, owner, acl: None, relation: of.oid };
        // A sequence's rows have no arrays.
        rows.extend(with_array(table, &own, of.kind() != RelationKind::Sequence, roles, &procedure));
    }
    for of in &catalog.composites {
        let (oid, name, schema, owner) = (of.oid, of.name.as_str(), of.schema, of.owner);
        let own = Own { oid, name, schema, owner, acl: None, relation: claim_of(of.oid) };
        rows.extend(with_array(table, &own, true, roles, &procedure));
    }
    for stored in &catalog.domains {
        rows.push(domain_type(table, stored, catalog, &procedure));
    }
    for stored in &catalog.types {
        let of = &stored.definition;
        let (oid, name, schema, owner) = (of.oid, of.name.as_str(), of.schema, stored.owner);
        let own = Own { oid, name, schema, owner, acl: stored.acl.as_deref(), relation: Oid(0) };
        rows.extend(with_array(table, &own, true, roles, &procedure));
    }
    rows
}

/// The type of a relation's rows.
pub(super) fn row_type(of: &Table) -> Oid {
    if of.row_type.is_valid() { trivet_types::user::row_of_claim(of.row_type) } else { Oid(0) }
}

/// A user's type: an enum, or of the rows of a relation.
struct Own<'a> {
    oid: Oid,
    name: &'a str,
    schema: Oid,
    owner: Oid,
    acl: Option<&'a [AclItem]>,
    /// Whose rows are of it.
    relation: Oid,
}

/// The type, and that of arrays of it, if there are any.
fn with_array(
    table: &VirtualTable,
    own: &Own<'_>,
    arrays: bool,
    roles: &Roles,
    procedure: &dyn Fn(&str) -> Datum,
) -> Rows {
    let array = trivet_types::array_of(own.oid).unwrap_or_default();
    let array_name: String = format!("_{}", own.name).chars().take(63).collect();
    let both = [(own.oid, own.name), (array, array_name.as_str())];
    let shown = both.into_iter().take(if arrays { 2 } else { 1 }).filter_map(|(oid, name)| {
        let info = trivet_types::type_info(oid)?;
        let is_array = oid == array;
        Some(row(
            table,
            &[
                ("oid", oid.into()),
                ("typname", name.into()),
                ("typnamespace", own.schema.into()),
                ("typowner", own.owner.into()),
                ("typlen", Datum::Int2(info.length)),
                ("typbyval", Datum::Bool(info.by_value)),
                ("typtype", character(info.kind)),
                ("typcategory", character(info.category.0)),
                ("typisdefined", Datum::Bool(true)),
                ("typdelim", character(',')),
                ("typrelid", if is_array { Oid(0) } else { own.relation }.into()),
                ("typelem", if is_array { own.oid } else { Oid(0) }.into()),
                ("typarray", if is_array || !arrays { Oid(0) } else { array }.into()),
                ("typinput", procedure(info.input)),
                ("typoutput", procedure(info.output)),
                ("typreceive", procedure(info.receive)),
                ("typsend", procedure(info.send)),
                ("typalign", character(info.align)),
                ("typstorage", character(storage(oid))),
                ("typtypmod", Datum::Int4(-1)),
                ("typacl", acl(own.acl.filter(|_| !is_array), roles)),
            ],
        ))
    });
    shown.collect()
}

fn domain_type(
    table: &VirtualTable,
    stored: &StoredDomain,
    catalog: &CatalogSnapshot,
    procedure: &dyn Fn(&str) -> Datum,
) -> Vec<Datum> {
    let definition = &stored.definition;
    let info = trivet_types::type_info(definition.base).unwrap_or(&TYPES[0]);
    let modifier = if definition.over == definition.base { definition.modifier } else { -1 };
    row(
        table,
        &[
            ("oid", definition.oid.into()),
            ("typname", definition.name.as_str().into()),
            ("typnamespace", definition.schema.into()),
            ("typowner", stored.owner.into()),
            ("typlen", Datum::Int2(info.length)),
            ("typbyval", Datum::Bool(info.by_value)),
            ("typtype", character('d')),
            ("typcategory", character(info.category.0)),
            ("typisdefined", Datum::Bool(true)),
            ("typdelim", character(',')),
            ("typinput", procedure("domain_in")),
            ("typoutput", procedure(info.output)),
            ("typreceive", procedure("domain_recv")),
            ("typsend", procedure(info.send)),
            ("typalign", character(info.align)),
            ("typstorage", character(storage(definition.base))),
            ("typnotnull", Datum::Bool(definition.not_null)),
            ("typbasetype", definition.over.into()),
            ("typtypmod", Datum::Int4(modifier)),
            ("typndims", Datum::Int4(i32::from(trivet_types::is_array(definition.base)))),
            ("typcollation", collation(definition.base).into()),
            ("typdefaultbin", definition.default.as_deref().into()),
            ("typdefault", definition.default.as_deref().into()),
            ("typacl", acl(stored.acl.as_deref(), &catalog.roles)),
        ],
    )
}

/// Labels have no identity of their own; any number does that stays with the label.
pub(super) fn labels(table: &VirtualTable, catalog: &CatalogSnapshot) -> Rows {
    let mut rows = Vec::new();
    for definition in catalog.types.iter().map(|stored| &stored.definition) {
        for label in &definition.labels {
            let steps = label.position as f64 / trivet_types::user::LABEL_STEP as f64;
            let number = ((label.position >> 16) as u32).wrapping_add(definition.oid.0.wrapping_mul(4099));
            rows.push(row(
                table,
                &[
                    ("oid", Oid(number | 1 << 31).into()),
                    ("enumtypid", definition.oid.into()),
                    ("enumsortorder", Datum::Float4(steps as f32)),
                    ("enumlabel", label.text.as_str().into()),
                ],
            ));
        }
    }
    rows
}
