//! `information_schema`: who may what, and what uses what.
use super::information::{Information, yes_no};
use super::relations::name_of;
use crate::catalog::{
    AclItem, ObjectClass, PUBLIC_GRANTEE, Privileges, RelationKind, Role, Table, default_acl, first_acl,
};
use trivet_types::{Datum, Oid};

type Rows = Vec<Vec<Datum>>;

impl Information<'_> {
    /// The rows of a view of this subject; none if it is of another, or has nothing to show.
    pub(super) fn usage(&self) -> Rows {
        match self.table.name {
            "applicable_roles" | "administrable_role_authorizations" => self.applicable_roles(),
            "table_privileges" | "role_table_grants" => self.table_privileges(),
            "column_privileges" | "role_column_grants" => self.column_privileges(),
            "usage_privileges" | "role_usage_grants" => self.usage_privileges(),
            "constraint_table_usage" => self.constraint_table_usage(),
            "view_table_usage" => self.view_usage(false),
            "view_column_usage" => self.view_usage(true),
            "column_udt_usage" => self.column_types(),
            "collations" | "collation_character_set_applicability" => self.collations(),
            _ => Vec::new(),
        }
    }

    fn current_role(&self) -> Option<&Role> {
        self.catalog.roles.named(&self.facts.user)
    }

    fn applicable_roles(&self) -> Rows {
        let roles = &self.catalog.roles;
        let Some(own) = self.current_role() else { return vec![] };
        let mut rows = Vec::new();
        for member in roles.iter().filter(|member| roles.has_privileges_of(own.oid, member.oid)) {
            for held in &member.member_of {
                if self.table.name == "administrable_role_authorizations" && !held.admin {
                    continue;
                }
                rows.push(self.row(&[
                    ("grantee", member.name.as_str().into()),
                    ("role_name", name_of(roles, held.role)),
                    ("is_grantable", yes_no(held.admin)),
                ]));
            }
        }
        rows
    }

    fn grantee(&self, item: &AclItem) -> Datum {
        match item.grantee {
            PUBLIC_GRANTEE => "PUBLIC".into(),
            role => name_of(&self.catalog.roles, role),
        }
    }

    fn grant(&self, item: &AclItem, privilege: Privileges, word: &str, owner: Oid) -> Vec<(&'static str, Datum)> {
        vec![
            ("grantor", name_of(&self.catalog.roles, item.grantor)),
            ("grantee", self.grantee(item)),
            ("privilege_type", word.into()),
            ("is_grantable", yes_no(item.grantable.contains(privilege) || item.grantee == owner)),
        ]
    }

    fn table_privileges(&self) -> Rows {
        let mut rows = Vec::new();
        for of in self.catalog.tables.iter().filter(|of| of.kind() != RelationKind::Sequence) {
            for item in table_acl(of) {
                for (privilege, word) in item.privileges.words() {
                    let mut values = self.of_table(of);
                    values.extend(self.grant(&item, privilege, word, of.owner));
                    values.push(("with_hierarchy", yes_no(privilege == Privileges::SELECT)));
                    rows.push(self.row(&values));
                }
            }
        }
        rows
    }

    /// What is granted on a table is granted on each of its columns.
    fn column_privileges(&self) -> Rows {
        let mut rows = Vec::new();
        for of in self.catalog.tables.iter().filter(|of| of.kind() != RelationKind::Sequence) {
            let whole = table_acl(of);
            for (_, column) in of.live_columns() {
                let mut items: Vec<AclItem> = Vec::new();
                for item in whole.iter().chain(column.acl.iter().flatten()) {
                    let same = |held: &&mut AclItem| held.grantee == item.grantee && held.grantor == item.grantor;
                    match items.iter_mut().find(same) {
                        Some(held) => {
                            held.privileges = held.privileges.with(item.privileges);
                            held.grantable = held.grantable.with(item.grantable);
                        }
                        None => items.push(*item),
                    }
                }
                for item in items {
                    for (privilege, word) in item.privileges.only(Privileges::COLUMN).words() {
                        let mut values = self.of_table(of);
                        values.push(("column_name", column.name.as_str().into()));
                        values.extend(self.grant(&item, privilege, word, of.owner));
                        rows.push(self.row(&values));
                    }
                }
            }
        }
        rows
    }

    fn usage_privileges(&self) -> Rows {
        let mut rows = Vec::new();
        for of in self.catalog.tables.iter().filter(|of| of.kind() == RelationKind::Sequence) {
            let acl = of.acl.clone().unwrap_or_else(|| first_acl(ObjectClass::Sequence, of.owner));
            for item in acl.iter().filter(|item| item.privileges.contains(Privileges::USAGE)) {
                let mut values = vec![
                    ("object_catalog", self.database()),
                    ("object_schema", of.schema_name.as_str().into()),
                    ("object_name", of.name.as_str().into()),
                    ("object_type", "SEQUENCE".into()),
                ];
                values.extend(self.grant(item, Privileges::USAGE, "USAGE", of.owner));
                rows.push(self.row(&values));
            }
        }
        rows
    }

    fn constraint_table_usage(&self) -> Rows {
        let mut rows = Vec::new();
        let mut push = |of: &Table, owner: &Table, name: &str| {
            let mut values = self.of_table(of);
            values.extend(self.constraint(owner, name));
            rows.push(self.row(&values));
        };
        for of in &self.catalog.tables {
            of.constraints.iter().for_each(|constraint| push(of, of, &constraint.name));
            for key in &of.foreign_keys {
                if let Some(parent) = self.catalog.table(key.table) {
                    push(parent, of, &key.name);
                }
            }
        }
        rows
    }

    fn view_usage(&self, columns: bool) -> Rows {
        let mut rows = Vec::new();
        for view in &self.catalog.tables {
            let Some(definition) = view.view() else { continue };
            for reference in &definition.references {
                let Some(of) = self.catalog.table(reference.relation) else { continue };
                let mut values = vec![
                    ("view_catalog", self.database()),
                    ("view_schema", view.schema_name.as_str().into()),
                    ("view_name", view.name.as_str().into()),
                ];
                values.extend(self.of_table(of));
                if !columns {
                    rows.push(self.row(&values));
                    continue;
                }
                for column in reference.used.iter().filter_map(|at| of.columns.get(*at)) {
                    let mut values = values.clone();
                    values.push(("column_name", column.name.as_str().into()));
                    rows.push(self.row(&values));
                }
            }
        }
        rows
    }

    /// Columns and their types, as far as the current role owns the types.
    fn column_types(&self) -> Rows {
        let mut rows = Vec::new();
        for of in &self.catalog.tables {
            for (_, column) in of.live_columns() {
                let user_type = self.catalog.user_type(column.type_oid).map(|stored| &stored.definition);
                let name = match user_type {
                    Some(of) if of.oid == column.type_oid => Some(of.name.clone()),
                    Some(of) => Some(format!("_{}", of.name)),
                    None => trivet_types::type_info(column.type_oid).map(|info| info.name.to_owned()),
                };
                let mut values = self.of_table(of);
                values.extend([
                    ("column_name", column.name.as_str().into()),
                    ("udt_catalog", self.database()),
                    ("udt_schema", user_type.map_or("pg_catalog", |of| &of.schema_name).into()),
                    ("udt_name", name.into()),
                ]);
                rows.push(self.row(&values));
            }
        }
        rows
    }

    fn collations(&self) -> Rows {
        let shown = ["default", "C", "POSIX"].into_iter().map(|name| {
            let mut values = vec![
                ("collation_catalog", self.database()),
                ("collation_schema", "pg_catalog".into()),
                ("collation_name", name.into()),
            ];
            if self.table.name == "collations" {
                values.push(("pad_attribute", "NO PAD".into()));
            } else {
                values.push(("character_set_name", "UTF8".into()));
            }
            self.row(&values)
        });
        shown.collect()
    }
}

fn table_acl(of: &Table) -> Vec<AclItem> {
    of.acl.clone().unwrap_or_else(|| default_acl(of.owner, Privileges::of_relation(of.kind())))
}
