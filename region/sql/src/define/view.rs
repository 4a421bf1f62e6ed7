//! CREATE VIEW. A view keeps its query's text, and for each name in it the relation that it stood for, with the columns as they
//! were: so the text means the same for ever, whatever is renamed or added.
use super::{Definer, already_exists};
use crate::analyze::{Analyzer, ParameterTypes, Relations, mentioned_in_query};
use crate::catalog::{CheckOption, Column, Found, Privileges, RelationBody, RelationKind, Table, View, ViewReference};
use crate::parser::tree::{Name, ObjectKind, QualifiedName, Query, Statement};
use crate::typed;
use std::collections::{HashMap, HashSet};
use trivet_types::{Oid, PgError, PgResult, display_name, oid, sqlstate};

/// What a view's query gives.
struct ViewColumns {
    columns: Vec<Column>,
    /// As a table has them.
    domains: Vec<(usize, Oid)>,
}

impl ViewColumns {
    fn give(self, view: &mut Table) {
        view.columns = self.columns;
        view.domains = self.domains;
    }
}

impl Definer<'_> {
    pub(super) async fn create_view(
        &mut self,
        name: &QualifiedName,
        columns: &[Name],
        query: &Query,
        text: &str,
        (or_replace, check_option): (bool, Option<CheckOption>),
    ) -> PgResult<()> {
        let (mut view, view_columns) = self.view_of(query, text, columns).await?;
        view.check_option = check_option;
        if check_option.is_some() && !crate::analyze::is_updatable(&view) {
            let message = "WITH CHECK OPTION is supported only on automatically updatable views";
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        let temporary = view.references.iter().any(|reference| crate::temporary::is_temporary(reference.relation));
        if temporary && !self.wants_temporary {
            self.notice(sqlstate::SUCCESSFUL_COMPLETION, format!("view \"{}\" will be a temporary view", name.last()));
        }
        self.wants_temporary |= temporary;
        if or_replace {
            if let Some(found) = self.find_in_creation_schema(name).await? {
                return self.replace_view(name, found, view, view_columns).await;
            }
        }
        let Some(mut table) = self.new_relation(name, RelationKind::View, false).await? else {
            return Err(already_exists(name.last()));
        };
        view_columns.give(&mut table);
        table.body = RelationBody::View(view);
        self.store(table);
        Ok(())
    }

    /// A query as a view keeps it, and the columns that it gives.
    async fn view_of(&mut self, query: &Query, text: &str, columns: &[Name]) -> PgResult<(View, ViewColumns)> {
        let mentioned = mentioned_in_query(query);
        let mut relations = Relations::new();
        for (schema, name) in &mentioned.relations {
            if let Some(found) = self.catalog().relation(schema.as_deref(), name).await? {
                if let Some(table) = found.table() {
                    self.shared_table(table.oid).await?;
                    self.check_table(table, Privileges::SELECT).await?;
                }
                relations.insert((schema.clone(), name.clone()), found);
            }
        }
        let environment = self.environment;
        let typed = crate::analyze::with_room(mentioned.depth, || {
            let mut analyzer =
                Analyzer::new(&relations, environment, ParameterTypes::none()).with_depth(mentioned.depth);
            analyzer.statement(&Statement::Query(query.clone()))
        })?;
        let (commons, typed) = match typed {
            typed::Statement::With(commons, statement) => (commons, *statement),
            statement => (Vec::new(), statement),
        };
        if commons.iter().any(|common| matches!(common.body, typed::CommonBody::Statement(_))) {
            let message = "views must not contain data-modifying statements in WITH";
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        let typed::Statement::Query(typed) = typed else {
            return Err(PgError::internal("a view's query is no query"));
        };
        let mut of_view: Vec<(String, Oid, i32)> = Vec::new();
        for target in typed.visible_targets() {
            let type_oid = if target.expr.type_oid == oid::UNKNOWN { oid::TEXT } else { target.expr.type_oid };
            of_view.push((target.name.clone(), type_oid, target.expr.modifier));
        }
        if columns.len() > of_view.len() {
            let message = "CREATE VIEW specifies more column names than columns";
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
        }
        for (column, name) in of_view.iter_mut().zip(columns) {
            column.0.clone_from(&name.text);
        }
        let mut view_columns = Vec::with_capacity(of_view.len());
        let mut domains = Vec::new();
        for (at, (name, type_oid, modifier)) in of_view.into_iter().enumerate() {
            view_columns.push(super::create::plain_column(name, type_oid, modifier));
            if let Some(domain) = typed.domain_of_column(at) {
                self.share_type(domain).await?;
                domains.push((at, domain));
            }
        }
        super::columns::check_names(&view_columns)?;
        let view =
            View { query: text.to_owned(), references: references(&relations, &commons, &typed), check_option: None };
        Ok((view, ViewColumns { columns: view_columns, domains }))
    }

    /// A materialized view without rows; its OID. `None`: there is one, and IF NOT EXISTS was said.
    pub async fn create_materialized(
        &mut self,
        name: &QualifiedName,
        columns: &[Name],
        query: &Query,
        text: &str,
        if_not_exists: bool,
    ) -> PgResult<Option<Oid>> {
        let (view, view_columns) = self.view_of(query, text, columns).await?;
        if view.references.iter().any(|reference| crate::temporary::is_temporary(reference.relation)) {
            let message = "materialized views must not use temporary tables or views";
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        let kind = RelationKind::MaterializedView;
        let Some(mut table) = self.new_relation(name, kind, if_not_exists).await? else { return Ok(None) };
        view_columns.give(&mut table);
        table.body = RelationBody::Materialized { view, populated: false };
        let oid = table.oid;
        self.store(table);
        Ok(Some(oid))
    }

    /// Its old rows go; new ones are the caller's to write. The OID.
    pub async fn begin_refresh(&mut self, name: &QualifiedName, concurrently: bool, filled: bool) -> PgResult<Oid> {
        let mut table = match self.find(name).await? {
            None => return Err(crate::analyze::undefined_table(name)),
            Some(found) if found.kind() != RelationKind::MaterializedView => {
                let message = format!("\"{}\" is not a materialized view", name.last());
                return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
            }
            Some(_) => self.relation_to_change(name, ObjectKind::MaterializedView).await?,
        };
        let RelationBody::Materialized { populated, .. } = &mut table.body else {
            return Err(PgError::internal("a materialized view without a query"));
        };
        if concurrently && !*populated {
            let message = "CONCURRENTLY cannot be used when the materialized view is not populated";
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        *populated = filled;
        if concurrently && !table.indexes.iter().any(|index| index.unique && index.is_plain()) {
            let message =
                format!("cannot refresh materialized view \"{}.{}\" concurrently", table.schema_name, table.name);
            return Err(PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Create a unique index with no WHERE clause on one or more columns of the materialized view."));
        }
        let oid = table.oid;
        self.empty(table);
        Ok(oid)
    }

    async fn find_in_creation_schema(&mut self, name: &QualifiedName) -> PgResult<Option<Found>> {
        let (_, schema) = self.catalog().creation_schema(name.schema()).await?;
        self.catalog().relation(Some(&schema), name.last()).await
    }

    /// The columns that were there stay, with their types; more may follow.
    async fn replace_view(
        &mut self,
        name: &QualifiedName,
        found: Found,
        view: View,
        new_columns: ViewColumns,
    ) -> PgResult<()> {
        let columns = &new_columns.columns;
        let Found::View(_) = &found else {
            return Err(super::wrong_kind(name, RelationKind::View));
        };
        let gone = || crate::analyze::undefined_table(name);
        let table = self.locked_table(found.oid()).await?.ok_or_else(gone)?;
        self.check_owner(&table).await?;
        let mut table = Table::clone(&table);
        if view.references.iter().any(|reference| reference.relation == table.oid) {
            let message = format!("infinite recursion detected in rules for relation \"{}\"", table.name);
            return Err(PgError::new(sqlstate::INVALID_OBJECT_DEFINITION, message));
        }
        if columns.len() < table.columns.len() {
            return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, "cannot drop columns from view"));
        }
        for (old, new) in table.columns.iter().zip(columns) {
            if old.name != new.name {
                let message = format!("cannot change name of view column \"{}\" to \"{}\"", old.name, new.name);
                return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message)
                    .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
            }
            if old.type_oid != new.type_oid || old.modifier != new.modifier {
                let message = format!(
                    "cannot change data type of view column \"{}\" from {} to {}",
                    old.name,
                    display_name(old.type_oid, old.modifier),
                    display_name(new.type_oid, new.modifier)
                );
                return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
            }
        }
        new_columns.give(&mut table);
        table.body = RelationBody::View(view);
        self.store(table);
        Ok(())
    }
}

/// The relations that a query's names stand for, with the columns that it uses.
fn references(relations: &Relations, commons: &[typed::Common], query: &typed::Query) -> Vec<ViewReference> {
    let mut used: HashMap<Oid, HashSet<usize>> = HashMap::new();
    let of_commons = commons.iter().filter(|common| !common.of_view).flat_map(typed::Common::queries);
    for query in of_commons.chain([query]) {
        crate::plan::used_columns(query, &mut |relation, column| {
            used.entry(relation).or_default().insert(column);
        });
    }
    let mut all: Vec<ViewReference> = relations
        .iter()
        .map(|((schema, name), found)| {
            let columns = match found {
                Found::Table(table) | Found::Sequence(table) => names(table),
                Found::View(view) => names(&view.table),
                Found::Index(..) | Found::Virtual(_) => Vec::new(),
            };
            let mut used: Vec<usize> = used.get(&found.oid()).into_iter().flatten().copied().collect();
            used.sort_unstable();
            ViewReference { schema: schema.clone(), name: name.clone(), relation: found.oid(), columns, used }
        })
        .collect();
    all.sort_by(|one, other| one.relation.cmp(&other.relation).then_with(|| one.name.cmp(&other.name)));
    all
}

fn names(table: &Table) -> Vec<String> {
    table.columns.iter().map(|column| column.name.clone()).collect()
}
