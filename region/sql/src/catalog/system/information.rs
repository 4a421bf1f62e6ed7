//! `information_schema`.
use super::relations::name_of;
use super::rows::{SessionFacts, row};
use super::{Reader, VirtualTable};
use crate::catalog::{CatalogSnapshot, CheckOption, Column, ConstraintKind, ReferentialAction, RelationKind, Table};
use trivet_types::functions::string::quote_identifier;
use trivet_types::{Datum, Oid, display_name, oid};

type Rows = Vec<Vec<Datum>>;

pub(super) fn rows_of(table: &VirtualTable, catalog: &CatalogSnapshot, facts: &SessionFacts) -> Rows {
    let view = Information { table, catalog, facts };
    match table.name {
        "schemata" => view.schemata(),
        "tables" => view.tables(),
        "columns" => view.columns(),
        "table_constraints" => view.table_constraints(),
        "key_column_usage" => view.key_column_usage(),
        "referential_constraints" => view.referential_constraints(),
        "constraint_column_usage" => view.constraint_column_usage(),
        "check_constraints" => {
            let mut rows = view.check_constraints();
            rows.extend(view.conditions_of_domains());
            rows
        }
        "domains" => view.domains(),
        "domain_constraints" => view.domain_constraints(),
        "column_domain_usage" => view.column_domain_usage(),
        "views" => view.views(),
        "sequences" => view.sequences(),
        "information_schema_catalog_name" => vec![row(table, &[("catalog_name", view.database())])],
        "element_types" => view.element_types(),
        "character_sets" => vec![view.row(&[
            ("character_set_name", "UTF8".into()),
            ("character_repertoire", "UCS".into()),
            ("form_of_use", "UTF8".into()),
            ("default_collate_catalog", view.database()),
            ("default_collate_schema", "pg_catalog".into()),
            ("default_collate_name", "ucs_basic".into()),
        ])],
        "enabled_roles" => vec![row(table, &[("role_name", facts.user.as_str().into())])],
        _ => view.usage(),
    }
}

pub(super) struct Information<'a> {
    pub table: &'a VirtualTable,
    pub catalog: &'a CatalogSnapshot,
    pub facts: &'a SessionFacts,
}

pub(super) fn yes_no(value: bool) -> Datum {
    if value { "YES" } else { "NO" }.into()
}

impl Information<'_> {
    pub(super) fn database(&self) -> Datum {
        Datum::from(self.facts.database.as_str())
    }

    pub(super) fn row(&self, values: &[(&str, Datum)]) -> Vec<Datum> {
        row(self.table, values)
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader::new(self.catalog, self.facts.path())
    }

    fn schemata(&self) -> Rows {
        let shown = self.catalog.schemas.iter().map(|schema| {
            self.row(&[
                ("catalog_name", self.database()),
                ("schema_name", schema.name.as_str().into()),
                ("schema_owner", name_of(&self.catalog.roles, schema.owner)),
            ])
        });
        shown.collect()
    }

    fn tables(&self) -> Rows {
        let push = |schema: &str, name: &str, kind: &str, insertable: bool| {
            self.row(&[
                ("table_catalog", self.database()),
                ("table_schema", schema.into()),
                ("table_name", name.into()),
                ("table_type", kind.into()),
                ("is_insertable_into", yes_no(insertable)),
                ("is_typed", yes_no(false)),
            ])
        };
        let mut rows = Vec::new();
        for of in &self.catalog.tables {
            match of.kind() {
                RelationKind::Table => {
                    let kind = if of.is_temporary() { "LOCAL TEMPORARY" } else { "BASE TABLE" };
                    rows.push(push(&of.schema_name, &of.name, kind, true));
                }
                RelationKind::View => {
                    let updatable = of.view().is_some_and(crate::analyze::is_updatable);
                    rows.push(push(&of.schema_name, &of.name, "VIEW", updatable));
                }
                _ => {}
            }
        }
        for of in super::all() {
            let schema = self.catalog.schema_name(of.schema).unwrap_or("pg_catalog");
            rows.push(push(schema, of.name, if of.view { "VIEW" } else { "BASE TABLE" }, !of.view));
        }
        rows
    }

    fn columns(&self) -> Rows {
        let mut rows = Vec::new();
        for of in &self.catalog.tables {
            if of.kind() == RelationKind::MaterializedView {
                continue;
            }
            for (at, column) in of.live_columns() {
                rows.push(self.column(of, at, column));
            }
        }
        rows
    }

    /// Of the columns that are arrays.
    fn element_types(&self) -> Rows {
        let mut rows = Vec::new();
        for of in self.catalog.tables.iter().filter(|of| matches!(of.kind(), RelationKind::Table | RelationKind::View))
        {
            for (at, column) in of.live_columns().filter(|(_, column)| trivet_types::is_array(column.type_oid)) {
                let Some(element) = trivet_types::element_of(column.type_oid) else { continue };
                let user_type = self.catalog.user_type(element).map(|stored| &stored.definition);
                let schema =
                    user_type.map_or("pg_catalog", |of| self.catalog.schema_name(of.schema).unwrap_or("public"));
                let name = user_type.map(|of| of.name.clone());
                let built_in = || trivet_types::type_info(element).map_or("", |info| info.name).to_owned();
                let data_type = if name.is_some() { "USER-DEFINED".to_owned() } else { display_name(element, -1) };
                rows.push(self.row(&[
                    ("object_catalog", self.database()),
                    ("object_schema", of.schema_name.as_str().into()),
                    ("object_name", of.name.as_str().into()),
                    ("object_type", "TABLE".into()),
                    ("collection_type_identifier", (at + 1).to_string().into()),
                    ("data_type", data_type.into()),
                    ("udt_catalog", self.database()),
                    ("udt_schema", schema.into()),
                    ("udt_name", name.unwrap_or_else(built_in).into()),
                    ("dtd_identifier", format!("a{}", at + 1).into()),
                ]));
            }
        }
        rows
    }

    fn column(&self, of: &Table, at: usize, column: &Column) -> Vec<Datum> {
        let user_type = self.catalog.user_type(column.type_oid).map(|stored| &stored.definition);
        let composite = self.catalog.user_types.composite(column.type_oid);
        let udt_name = match user_type {
            Some(of) if of.oid == column.type_oid => Some(of.name.clone()),
            Some(of) => Some(format!("_{}", of.name)),
            None if composite.is_some() => composite.map(|row| row.name.clone()),
            None => trivet_types::type_info(column.type_oid).map(|info| info.name.to_owned()),
        };
        let data_type = if trivet_types::is_array(column.type_oid) {
            "ARRAY".to_string()
        } else {
            match user_type {
                Some(_) => "USER-DEFINED".to_owned(),
                None if composite.is_some() => "USER-DEFINED".to_owned(),
                None => display_name(column.type_oid, -1),
            }
        };
        let domain = of.domain_of(at).and_then(|oid| self.catalog.user_types.domain(oid));
        let of_domain = |value: &str| Datum::from(domain.map(|_| value.to_owned()));
        let named = |text: &str| self.reader().expression(of.oid, text, false);
        let sequence = column.identity.and_then(|identity| self.catalog.table(identity.sequence)?.sequence());
        let number = |value: Option<i64>| Datum::from(value.map(|value| value.to_string()));
        let mut values = measures(column.type_oid, column.modifier);
        values.extend([
            ("table_catalog", self.database()),
            ("table_schema", of.schema_name.as_str().into()),
            ("table_name", of.name.as_str().into()),
            ("column_name", column.name.as_str().into()),
            ("ordinal_position", Datum::Int4(at as i32 + 1)),
            ("column_default", column.default.as_deref().map(named).into()),
            ("is_nullable", yes_no(!column.not_null && !domain.is_some_and(|domain| domain.not_null))),
            ("data_type", data_type.into()),
            ("udt_catalog", self.database()),
            (
                "udt_schema",
                user_type
                    .map(|of| of.schema_name.as_str())
                    .or_else(|| composite.map(|row| row.schema_name.as_str()))
                    .unwrap_or("pg_catalog")
                    .into(),
            ),
            ("udt_name", udt_name.into()),
            ("dtd_identifier", (at as i32 + 1).to_string().into()),
            ("domain_catalog", of_domain(&self.facts.database)),
            ("domain_schema", domain.map(|domain| domain.schema_name.clone()).into()),
            ("domain_name", domain.map(|domain| domain.name.clone()).into()),
            ("is_self_referencing", yes_no(false)),
            ("is_identity", yes_no(column.identity.is_some())),
            (
                "identity_generation",
                column.identity.map(|identity| if identity.always { "ALWAYS" } else { "BY DEFAULT" }).into(),
            ),
            ("identity_start", number(sequence.map(|sequence| sequence.start))),
            ("identity_increment", number(sequence.map(|sequence| sequence.increment))),
            ("identity_maximum", number(sequence.map(|sequence| sequence.maximum))),
            ("identity_minimum", number(sequence.map(|sequence| sequence.minimum))),
            ("identity_cycle", yes_no(sequence.is_some_and(|sequence| sequence.cycles))),
            ("is_generated", if column.generated.is_some() { "ALWAYS" } else { "NEVER" }.into()),
            ("generation_expression", column.generated.as_deref().map(named).into()),
            ("is_updatable", yes_no(of.is_table() || of.view().is_some_and(crate::analyze::is_updatable))),
        ]);
        self.row(&values)
    }

    /// Where a constraint is, as every view about constraints begins.
    pub(super) fn constraint(&self, of: &Table, name: &str) -> Vec<(&'static str, Datum)> {
        vec![
            ("constraint_catalog", self.database()),
            ("constraint_schema", of.schema_name.as_str().into()),
            ("constraint_name", name.into()),
        ]
    }

    pub(super) fn of_table(&self, of: &Table) -> Vec<(&'static str, Datum)> {
        vec![
            ("table_catalog", self.database()),
            ("table_schema", of.schema_name.as_str().into()),
            ("table_name", of.name.as_str().into()),
        ]
    }

    fn table_constraints(&self) -> Rows {
        let mut rows = Vec::new();
        let mut push = |of: &Table, name: &str, kind: &str, (deferrable, deferred, distinct): (bool, bool, bool)| {
            let mut values = self.constraint(of, name);
            values.extend(self.of_table(of));
            values.extend([
                ("constraint_type", kind.into()),
                ("is_deferrable", yes_no(deferrable)),
                ("initially_deferred", yes_no(deferred)),
                ("enforced", yes_no(true)),
            ]);
            if kind == "UNIQUE" {
                values.push(("nulls_distinct", yes_no(distinct)));
            }
            let known = |(name, _): &(&str, Datum)| self.table.columns.iter().any(|column| column.name == *name);
            values.retain(known);
            rows.push(self.row(&values));
        };
        for of in &self.catalog.tables {
            for constraint in &of.constraints {
                let kind = if constraint.kind == ConstraintKind::PrimaryKey { "PRIMARY KEY" } else { "UNIQUE" };
                let distinct = of.index(constraint.index).is_none_or(|index| !index.nulls_collide);
                let deferrable = of.deferrable(constraint.index);
                push(of, &constraint.name, kind, (deferrable.is_some(), deferrable == Some(true), distinct));
            }
            of.checks.iter().for_each(|check| push(of, &check.name, "CHECK", (false, false, true)));
            for key in &of.foreign_keys {
                push(of, &key.name, "FOREIGN KEY", (key.deferrable, key.deferred, true));
            }
            // A NOT NULL is a CHECK here, under a name that is made of numbers.
            for (at, _) in of.live_columns().filter(|(_, column)| column.not_null && of.is_table()) {
                push(of, &format!("{}_{}_{}_not_null", of.schema, of.oid, at + 1), "CHECK", (false, false, true));
            }
        }
        rows
    }

    fn key_column_usage(&self) -> Rows {
        let mut rows = Vec::new();
        let mut push = |of: &Table, name: &str, ordinal: usize, column: usize, referred: Option<usize>| {
            let mut values = self.constraint(of, name);
            values.extend(self.of_table(of));
            values.extend([
                ("column_name", of.columns[column].name.as_str().into()),
                ("ordinal_position", Datum::Int4(ordinal as i32 + 1)),
                ("position_in_unique_constraint", referred.map(|at| at as i32 + 1).into()),
            ]);
            rows.push(self.row(&values));
        };
        for of in &self.catalog.tables {
            for constraint in &of.constraints {
                let keys = of.index(constraint.index).map_or(&[][..], |index| &index.keys);
                for (ordinal, key) in keys.iter().enumerate() {
                    push(of, &constraint.name, ordinal, key.column, None);
                }
            }
            for key in &of.foreign_keys {
                let parent = self.catalog.table(key.table);
                let index = parent.and_then(|parent| parent.index(key.index));
                for (ordinal, (column, referred)) in key.columns.iter().zip(&key.referred).enumerate() {
                    let at = index.and_then(|index| index.keys.iter().position(|found| found.column == *referred));
                    push(of, &key.name, ordinal, *column, at);
                }
            }
        }
        rows
    }

    fn referential_constraints(&self) -> Rows {
        let word = |action: ReferentialAction| match action {
            ReferentialAction::NoAction => "NO ACTION",
            ReferentialAction::Restrict => "RESTRICT",
            ReferentialAction::Cascade => "CASCADE",
            ReferentialAction::SetNull => "SET NULL",
            ReferentialAction::SetDefault => "SET DEFAULT",
        };
        let mut rows = Vec::new();
        for of in &self.catalog.tables {
            for key in &of.foreign_keys {
                let parent = self.catalog.table(key.table);
                let unique = parent.and_then(|parent| Some((parent, parent.constraint_of(key.index)?)));
                let mut values = self.constraint(of, &key.name);
                if let Some((parent, unique)) = unique {
                    values.extend([
                        ("unique_constraint_catalog", self.database()),
                        ("unique_constraint_schema", parent.schema_name.as_str().into()),
                        ("unique_constraint_name", unique.name.as_str().into()),
                    ]);
                }
                values.extend([
                    ("match_option", if key.full { "FULL" } else { "NONE" }.into()),
                    ("update_rule", word(key.on_update).into()),
                    ("delete_rule", word(key.on_delete).into()),
                ]);
                rows.push(self.row(&values));
            }
        }
        rows
    }

    fn constraint_column_usage(&self) -> Rows {
        let mut rows = Vec::new();
        let mut push = |of: &Table, column: usize, owner: &Table, name: &str| {
            let mut values = self.of_table(of);
            values.push(("column_name", of.columns[column].name.as_str().into()));
            values.extend(self.constraint(owner, name));
            rows.push(self.row(&values));
        };
        for of in &self.catalog.tables {
            for constraint in &of.constraints {
                let keys = of.index(constraint.index).map_or(&[][..], |index| &index.keys);
                keys.iter().for_each(|key| push(of, key.column, of, &constraint.name));
            }
            for check in &of.checks {
                for (at, column) in of.live_columns() {
                    if crate::define::mentions_column(&check.expression, &column.name) {
                        push(of, at, of, &check.name);
                    }
                }
            }
            for key in &of.foreign_keys {
                let Some(parent) = self.catalog.table(key.table) else { continue };
                key.referred.iter().for_each(|column| push(parent, *column, of, &key.name));
            }
        }
        rows
    }

    fn check_constraints(&self) -> Rows {
        let mut rows = Vec::new();
        for of in &self.catalog.tables {
            for check in &of.checks {
                let mut values = self.constraint(of, &check.name);
                let text = self.reader().expression(of.oid, &check.expression, false);
                values.push(("check_clause", format!("({text})").into()));
                rows.push(self.row(&values));
            }
            for (at, column) in of.live_columns().filter(|(_, column)| column.not_null && of.is_table()) {
                let name = format!("{}_{}_{}_not_null", of.schema, of.oid, at + 1);
                let mut values = self.constraint(of, &name);
                values.push(("check_clause", format!("{} IS NOT NULL", quote_identifier(&column.name)).into()));
                rows.push(self.row(&values));
            }
        }
        rows
    }

    fn views(&self) -> Rows {
        let views = self.catalog.tables.iter().filter(|of| of.kind() == RelationKind::View);
        let shown = views.map(|of| {
            let updatable = of.view().is_some_and(crate::analyze::is_updatable);
            let check_option = match of.view().and_then(|view| view.check_option) {
                None => "NONE",
                Some(CheckOption::Local) => "LOCAL",
                Some(CheckOption::Cascaded) => "CASCADED",
            };
            let mut values = self.of_table(of);
            values.extend([
                ("view_definition", self.reader().view(of.oid, false).into()),
                ("check_option", check_option.into()),
                ("is_updatable", yes_no(updatable)),
                ("is_insertable_into", yes_no(updatable)),
                ("is_trigger_updatable", yes_no(false)),
                ("is_trigger_deletable", yes_no(false)),
                ("is_trigger_insertable_into", yes_no(false)),
            ]);
            self.row(&values)
        });
        shown.collect()
    }

    fn sequences(&self) -> Rows {
        let mut rows = Vec::new();
        for of in &self.catalog.tables {
            let Some(sequence) = of.sequence() else { continue };
            // An identity column's is shown with the column.
            if sequence.owned_by.is_some_and(|(_, _, identity)| identity) {
                continue;
            }
            let bits = match sequence.type_oid {
                oid::INT2 => 16,
                oid::INT4 => 32,
                _ => 64,
            };
            rows.push(self.row(&[
                ("sequence_catalog", self.database()),
                ("sequence_schema", of.schema_name.as_str().into()),
                ("sequence_name", of.name.as_str().into()),
                ("data_type", display_name(sequence.type_oid, -1).into()),
                ("numeric_precision", Datum::Int4(bits)),
                ("numeric_precision_radix", Datum::Int4(2)),
                ("numeric_scale", Datum::Int4(0)),
                ("start_value", sequence.start.to_string().into()),
                ("minimum_value", sequence.minimum.to_string().into()),
                ("maximum_value", sequence.maximum.to_string().into()),
                ("increment", sequence.increment.to_string().into()),
                ("cycle_option", yes_no(sequence.cycles)),
            ]));
        }
        rows
    }
}

/// Lengths and digits of a type.
pub(super) fn measures(type_oid: Oid, modifier: i32) -> Vec<(&'static str, Datum)> {
    let (precision, radix, scale) = match type_oid {
        oid::INT2 => (Some(16), Some(2), Some(0)),
        oid::INT4 => (Some(32), Some(2), Some(0)),
        oid::INT8 => (Some(64), Some(2), Some(0)),
        oid::FLOAT4 => (Some(24), Some(2), None),
        oid::FLOAT8 => (Some(53), Some(2), None),
        oid::NUMERIC if modifier >= 4 => {
            let (precision, scale) = trivet_types::numeric::split_modifier(modifier);
            (Some(precision), Some(10), Some(scale))
        }
        oid::NUMERIC => (None, Some(10), None),
        _ => (None, None, None),
    };
    let is_text = matches!(type_oid, oid::VARCHAR | oid::BPCHAR);
    let length = (is_text && modifier >= 4).then_some(modifier - 4);
    // Without a length: as many bytes as a value may have.
    let octets = match type_oid {
        oid::TEXT => Some(1 << 30),
        oid::VARCHAR if length.is_none() => Some(1 << 30),
        _ => length.map(|length| length.saturating_mul(4)),
    };
    let fractions = match type_oid {
        oid::DATE => Some(0),
        oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::TIMETZ | oid::INTERVAL if modifier < 0 => Some(6),
        oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::TIMETZ => Some(modifier),
        _ => None,
    };
    vec![
        ("character_maximum_length", length.into()),
        ("character_octet_length", octets.into()),
        ("numeric_precision", precision.into()),
        ("numeric_precision_radix", radix.into()),
        ("numeric_scale", scale.into()),
        ("datetime_precision", fractions.into()),
    ]
}
