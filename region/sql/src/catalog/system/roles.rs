//! Rows about roles.
use super::VirtualTable;
use super::rows::row;
use crate::catalog::{CatalogSnapshot, Role};
use trivet_types::{Array, Datum, oid};

type Rows = Vec<Vec<Datum>>;

pub(super) fn rows_of(table: &VirtualTable, catalog: &CatalogSnapshot) -> Option<Rows> {
    let roles = &catalog.roles;
    Some(match table.name {
        "pg_authid" => roles.iter().map(|role| authid(table, role)).collect(),
        "pg_roles" => roles.iter().map(|role| shown(table, role)).collect(),
        "pg_user" | "pg_shadow" => {
            roles.iter().filter(|role| role.login).map(|role| user(table, role, table.name == "pg_shadow")).collect()
        }
        "pg_group" => {
            let groups = roles.iter().filter(|role| !role.login).map(|role| {
                let members = roles.iter().filter(|member| member.member_of.iter().any(|held| held.role == role.oid));
                let members = members.map(|member| Datum::from(member.oid)).collect();
                row(
                    table,
                    &[
                        ("groname", role.name.as_str().into()),
                        ("grosysid", role.oid.into()),
                        ("grolist", Datum::array(Array::from_values(oid::OID, members))),
                    ],
                )
            });
            groups.collect()
        }
        "pg_auth_members" => {
            let mut rows = Vec::new();
            for member in roles.iter() {
                for held in &member.member_of {
                    rows.push(row(
                        table,
                        &[
                            ("roleid", held.role.into()),
                            ("member", member.oid.into()),
                            ("grantor", held.grantor.into()),
                            ("admin_option", Datum::Bool(held.admin)),
                        ],
                    ));
                }
            }
            rows
        }
        "pg_default_acl" => {
            let entries = catalog.database.defaults.iter().map(|entry| {
                row(
                    table,
                    &[
                        ("oid", entry.oid.into()),
                        ("defaclrole", entry.role.into()),
                        ("defaclnamespace", entry.schema.into()),
                        ("defaclobjtype", Datum::Char(entry.class.letter() as u8)),
                        ("defaclacl", super::relations::acl(Some(&entry.acl), roles)),
                    ],
                )
            });
            entries.collect()
        }
        "pg_shdescription" => {
            let commented = roles.iter().filter_map(|role| {
                let text = role.comment.as_deref()?;
                Some(row(
                    table,
                    &[
                        ("objoid", role.oid.into()),
                        ("classoid", trivet_types::Oid(1260).into()),
                        ("description", text.into()),
                    ],
                ))
            });
            let of_database = catalog.database.comment.as_deref().map(|text| {
                row(
                    table,
                    &[
                        ("objoid", crate::catalog::POSTGRES_DATABASE.into()),
                        ("classoid", trivet_types::Oid(1262).into()),
                        ("description", text.into()),
                    ],
                )
            });
            commented.chain(of_database).collect()
        }
        "pg_db_role_setting" => {
            let with_settings = roles
                .iter()
                .filter(|role| !role.settings.is_empty())
                .map(|role| row(table, &[("setrole", role.oid.into()), ("setconfig", settings(&role.settings))]));
            let in_database = catalog.database.settings.iter().map(|entry| {
                let database = if entry.here { crate::catalog::POSTGRES_DATABASE } else { trivet_types::Oid(0) };
                let values = [
                    ("setdatabase", database.into()),
                    ("setrole", entry.role.into()),
                    ("setconfig", settings(&entry.values)),
                ];
                row(table, &values)
            });
            with_settings.chain(in_database).collect()
        }
        _ => return None,
    })
}

fn attributes(role: &Role) -> Vec<(&'static str, Datum)> {
    vec![
        ("oid", role.oid.into()),
        ("rolname", role.name.as_str().into()),
        ("rolsuper", Datum::Bool(role.superuser)),
        ("rolinherit", Datum::Bool(role.inherit)),
        ("rolcreaterole", Datum::Bool(role.create_role)),
        ("rolcreatedb", Datum::Bool(role.create_database)),
        ("rolcanlogin", Datum::Bool(role.login)),
        ("rolreplication", Datum::Bool(role.replication)),
        ("rolbypassrls", Datum::Bool(role.bypass_row_security)),
        ("rolconnlimit", Datum::Int4(role.connection_limit)),
        ("rolvaliduntil", valid_until(role)),
    ]
}

fn valid_until(role: &Role) -> Datum {
    role.valid_until.map_or(Datum::Null, Datum::Timestamp)
}

fn settings(values: &[(String, String)]) -> Datum {
    if values.is_empty() {
        return Datum::Null;
    }
    let shown = values.iter().map(|(name, value)| Datum::from(format!("{name}={value}"))).collect();
    Datum::array(Array::from_values(oid::TEXT, shown))
}

fn authid(table: &VirtualTable, role: &Role) -> Vec<Datum> {
    let mut values = attributes(role);
    values.push(("rolpassword", role.secret.as_deref().into()));
    row(table, &values)
}

fn shown(table: &VirtualTable, role: &Role) -> Vec<Datum> {
    let mut values = attributes(role);
    values.push(("rolpassword", "********".into()));
    values.push(("rolconfig", settings(&role.settings)));
    row(table, &values)
}

fn user(table: &VirtualTable, role: &Role, with_secret: bool) -> Vec<Datum> {
    let secret = if with_secret { role.secret.as_deref().into() } else { Datum::from("********") };
    row(
        table,
        &[
            ("usename", role.name.as_str().into()),
            ("usesysid", role.oid.into()),
            ("usecreatedb", Datum::Bool(role.create_database)),
            ("usesuper", Datum::Bool(role.superuser)),
            ("userepl", Datum::Bool(role.replication)),
            ("usebypassrls", Datum::Bool(role.bypass_row_security)),
            ("passwd", secret),
            ("valuntil", valid_until(role)),
            ("useconfig", settings(&role.settings)),
        ],
    )
}
