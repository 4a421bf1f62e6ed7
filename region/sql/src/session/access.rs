//! What a statement needs besides its plan: the privileges of its role, and the tables that its foreign keys lead to.
use super::connection::SqlSession;
use super::environment::{SessionEnvironment, search_path};
use crate::catalog::{
    Catalog, Dependency, Privileges, ROLE_NAME, Roles, Table, default_acl, load_roles, roles_stamp_key, stamp_of,
};
use crate::parser::tree::SetValue;
use crate::plan::{Related, RelatedTables, RowChange, used_columns};
use crate::typed::{self, Query, RelationSource, Statement};
use std::sync::Arc;
use trivet_txn::LockStrength;
use trivet_types::{Oid, PgError, PgResult, sqlstate};

/// One relation, and what is done with it.
struct Need {
    relation: Arc<Table>,
    privileges: Privileges,
}

/// A table of the catalog, its foreign keys' tables, and what a change of it asks for.
fn changes(statement: &Statement) -> Vec<(Arc<Table>, RowChange)> {
    let generated = |table: &Table| -> Vec<usize> {
        table.live_columns().filter(|(_, column)| column.generated.is_some()).map(|(at, _)| at).collect()
    };
    match statement {
        Statement::Query(_) => vec![],
        Statement::Insert(insert) => {
            let mut all = vec![(Arc::clone(&insert.table), RowChange::Insert)];
            if let Some(update) = insert.on_conflict.as_ref().and_then(|conflict| conflict.update.as_ref()) {
                let mut columns: Vec<usize> = update.assignments.iter().map(|(column, _)| *column).collect();
                columns.extend(generated(&insert.table));
                all.push((Arc::clone(&insert.table), RowChange::Update(columns)));
            }
            all
        }
        Statement::Update(update) => {
            let mut columns: Vec<usize> = update.assignments.iter().map(|(column, _)| *column).collect();
            columns.extend(generated(&update.table));
            vec![(Arc::clone(&update.table), RowChange::Update(columns))]
        }
        Statement::Delete(delete) => vec![(Arc::clone(&delete.table), RowChange::Delete)],
        Statement::With(commons, statement) => {
            let parts = commons.iter().filter_map(changed_by).chain([&**statement]);
            parts.flat_map(changes).collect()
        }
    }
}

/// The data change that a WITH query is.
fn changed_by(common: &typed::Common) -> Option<&Statement> {
    match &common.body {
        typed::CommonBody::Statement(statement) => Some(statement),
        _ => None,
    }
}

/// Everything that a query reads; what a view reads is checked as its owner.
fn read_by(query: &Query, needs: &mut Vec<Need>) {
    for (at, relation) in query.relations.iter().enumerate() {
        match &relation.source {
            RelationSource::Table(table) => {
                let mut privileges = Privileges::SELECT;
                if query.locks.iter().any(|lock| lock.relation == at && lock.strength >= LockStrength::KeyShare) {
                    privileges = privileges.with(Privileges::UPDATE);
                }
                needs.push(Need { relation: Arc::clone(table), privileges });
            }
            RelationSource::Query(inner) if relation.view.is_none() => read_by(inner, needs),
            _ => {}
        }
    }
    if let typed::Body::Set { left, right, .. } = &query.body {
        read_by(left, needs);
        read_by(right, needs);
    }
    crate::plan::for_each_subquery(query, &mut |inner| read_by(inner, needs));
}

fn needs_of(statement: &Statement) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut target = |table: &Arc<Table>, query: Option<&Query>, privileges: Privileges, reads: bool| {
        needs.push(Need { relation: Arc::clone(table), privileges });
        let mut others = Vec::new();
        query.into_iter().for_each(|query| read_by(query, &mut others));
        // The changed table stands among the query's own, where nothing may be read of it.
        if query.is_some() && !reads {
            let own = others.iter().position(|need| need.relation.oid == table.oid);
            own.into_iter().for_each(|own| {
                others.remove(own);
            });
        }
        needs.extend(others);
    };
    match statement {
        Statement::Query(query) => read_by(query, &mut needs),
        Statement::Insert(insert) => {
            let mut privileges = Privileges::INSERT;
            if insert.returning.is_some() {
                privileges = privileges.with(Privileges::SELECT);
            }
            match &insert.on_conflict {
                Some(conflict) if conflict.update.is_some() => {
                    privileges = privileges.with(Privileges::UPDATE).with(Privileges::SELECT);
                }
                Some(conflict) if !conflict.indexes.is_empty() => privileges = privileges.with(Privileges::SELECT),
                _ => {}
            }
            needs.push(Need { relation: Arc::clone(&insert.table), privileges });
            read_by(&insert.source, &mut needs);
        }
        Statement::Update(update) => {
            let reads = update.returning.is_some() || uses(&update.query, &update.table) || {
                let own = |part: &typed::Expr| matches!(part.kind, typed::ExprKind::Column { up: 0, relation: 0, .. });
                update.assignments.iter().any(|(_, value)| value.any(&mut |part| own(part)))
            };
            target(&update.table, Some(&update.query), Privileges::UPDATE, reads);
        }
        Statement::Delete(delete) => {
            let reads = delete.returning.is_some() || uses(&delete.query, &delete.table);
            target(&delete.table, Some(&delete.query), Privileges::DELETE, reads);
        }
        Statement::With(commons, statement) => {
            for common in commons.iter().filter(|common| !common.of_view) {
                common.queries().into_iter().for_each(|query| read_by(query, &mut needs));
                needs.extend(changed_by(common).into_iter().flat_map(needs_of));
            }
            needs.extend(needs_of(statement));
        }
    }
    needs
}

fn uses(query: &Query, table: &Table) -> bool {
    let mut found = false;
    used_columns(query, &mut |relation, _| found |= relation == table.oid);
    found
}

fn check(roles: &Roles, role: Oid, need: &Need) -> PgResult<()> {
    let relation = &need.relation;
    let default;
    let acl = match &relation.acl {
        Some(acl) => acl,
        None => {
            default = default_acl(relation.owner, Privileges::of_relation(relation.kind()));
            &default
        }
    };
    if roles.granted(role, relation.owner, acl, need.privileges) == need.privileges {
        return Ok(());
    }
    let message = format!("permission denied for {} {}", relation.kind().word(), relation.name);
    Err(PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message))
}

impl SqlSession {
    /// 42501 unless the current role may do all that a statement does. What the answer relied on.
    pub(super) async fn check_access(&mut self, statement: &Statement) -> PgResult<Vec<Dependency>> {
        let user = self.current_user();
        // The first role stays a superuser.
        if &*user == ROLE_NAME {
            return Ok(Vec::new());
        }
        let engine = Arc::clone(&self.engine);
        let path = search_path(&self.settings, &user);
        let active = self.open();
        let roles = load_roles(&mut *active.transaction).await?;
        let stamp = active.transaction.get(&roles_stamp_key()).await?;
        let dependency = Dependency { key: roles_stamp_key(), stamp: stamp.as_deref().and_then(stamp_of) };
        let role = roles.named(&user).map(|role| role.oid).ok_or_else(|| no_such_role(&user))?;
        let mut dependencies = vec![dependency];
        if roles.is_superuser(role) {
            return Ok(dependencies);
        }
        for need in needs_of(statement) {
            let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
            check_schema(&mut catalog, &roles, role, &need.relation).await?;
            check(&roles, role, &need)?;
        }
        let mut views = Vec::new();
        views_of(statement, &mut views);
        for view in views {
            let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
            check_view(&mut catalog, &roles, role, view, 0).await?;
            dependencies.append(&mut catalog.dependencies);
        }
        Ok(dependencies)
    }

    pub(super) async fn check_table_access(&mut self, table: &Arc<Table>, privileges: Privileges) -> PgResult<()> {
        let user = self.current_user();
        if &*user == ROLE_NAME {
            return Ok(());
        }
        let roles = load_roles(&mut *self.open().transaction).await?;
        let role = roles.named(&user).map(|role| role.oid).ok_or_else(|| no_such_role(&user))?;
        check(&roles, role, &Need { relation: Arc::clone(table), privileges })
    }

    /// The tables that a statement's foreign keys lead to, and what finding them relied on.
    pub(super) async fn related(
        &mut self,
        statement: &Statement,
        environment: &SessionEnvironment,
    ) -> PgResult<(Arc<RelatedTables>, Vec<Dependency>)> {
        self.follow(changes(statement), environment).await
    }

    pub(super) async fn related_of(
        &mut self,
        table: &Arc<Table>,
        change: RowChange,
        environment: &SessionEnvironment,
    ) -> PgResult<Arc<RelatedTables>> {
        let (related, _) = self.follow(vec![(Arc::clone(table), change)], environment).await?;
        Ok(related)
    }

    async fn follow(
        &mut self,
        changes: Vec<(Arc<Table>, RowChange)>,
        environment: &SessionEnvironment,
    ) -> PgResult<(Arc<RelatedTables>, Vec<Dependency>)> {
        let referential = |table: &Table| !table.foreign_keys.is_empty() || !table.referenced_by.is_empty();
        if !changes.iter().any(|(table, _)| referential(table)) {
            return Ok((Arc::default(), Vec::new()));
        }
        let engine = Arc::clone(&self.engine);
        let mut own = self.environment();
        own.catalog.clone_from(&environment.catalog);
        let active = self.open();
        let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &[]);
        let mut related = Related::new(&mut catalog);
        for (table, change) in changes {
            related.follow(table, change).await?;
        }
        let mut types = None;
        if related.use_user_types() {
            types = Some(related.catalog.user_types().await?);
            own.types.clone_from(&types);
        }
        let related = Arc::new(related.compiled(&own)?);
        let dependencies = std::mem::take(&mut catalog.dependencies);
        if types.is_some() {
            self.types = types;
        }
        Ok((related, dependencies))
    }

    /// SET ROLE and SET SESSION AUTHORIZATION: to whom.
    pub(super) async fn check_set_role(&mut self, name: &str, value: &SetValue) -> PgResult<()> {
        let SetValue::Values(values) = value else { return Ok(()) };
        let Some(wanted) = values.first().filter(|wanted| *wanted != "none") else { return Ok(()) };
        let session_user = Arc::clone(&self.user);
        if name == "session_authorization" {
            if **wanted == *session_user {
                return Ok(());
            }
            return Err(PgError::unsupported("SET SESSION AUTHORIZATION"));
        }
        let active = self.open();
        active.transaction.statement().await?;
        let roles = load_roles(&mut *active.transaction).await?;
        let target = roles.named(wanted).ok_or_else(|| {
            PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("role \"{wanted}\" does not exist"))
        })?;
        let own = roles.named(&session_user).ok_or_else(|| no_such_role(&session_user))?;
        if roles.is_member(own.oid, target.oid) {
            return Ok(());
        }
        let message = format!("permission denied to set role \"{wanted}\"");
        Err(PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message))
    }
}

fn no_such_role(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

fn views_of(statement: &Statement, views: &mut Vec<Oid>) {
    match statement {
        Statement::Query(query) => views_in(query, views),
        Statement::Insert(insert) => views_in(&insert.source, views),
        Statement::Update(update) => views_in(&update.query, views),
        Statement::Delete(delete) => views_in(&delete.query, views),
        Statement::With(commons, statement) => {
            for common in commons.iter().filter(|common| !common.of_view) {
                common.queries().into_iter().for_each(|query| views_in(query, views));
                changed_by(common).into_iter().for_each(|statement| views_of(statement, views));
            }
            views_of(statement, views);
        }
    }
}

fn views_in(query: &Query, views: &mut Vec<Oid>) {
    for relation in &query.relations {
        match &relation.source {
            RelationSource::Query(inner) => match relation.view {
                Some(view) => views.push(view),
                None => views_in(inner, views),
            },
            _ => {}
        }
    }
    if let typed::Body::Set { left, right, .. } = &query.body {
        views_in(left, views);
        views_in(right, views);
    }
    crate::plan::for_each_subquery(query, &mut |inner| views_in(inner, views));
}

async fn check_schema(catalog: &mut Catalog<'_>, roles: &Roles, role: Oid, table: &Table) -> PgResult<()> {
    let Some(schema) = catalog.schema_row(&table.schema_name).await? else { return Ok(()) };
    let acl = schema.acl.clone().unwrap_or_else(|| default_acl(schema.owner, Privileges::SCHEMA));
    if roles.granted(role, schema.owner, &acl, Privileges::USAGE) == Privileges::USAGE {
        return Ok(());
    }
    let message = format!("permission denied for schema {}", schema.name);
    Err(PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message))
}

/// The role must be allowed the view, and the view's owner what the view reads.
async fn check_view(catalog: &mut Catalog<'_>, roles: &Roles, role: Oid, view: Oid, depth: usize) -> PgResult<()> {
    const DEPTH_MAX: usize = 64;
    let Some(table) = catalog.table(view).await? else { return Ok(()) };
    check_schema(catalog, roles, role, &table).await?;
    check(roles, role, &Need { relation: Arc::clone(&table), privileges: Privileges::SELECT })?;
    let Some(definition) = table.view().filter(|_| depth < DEPTH_MAX) else { return Ok(()) };
    for reference in &definition.references {
        let Some(read) = catalog.table(reference.relation).await? else { continue };
        if read.view().is_some() {
            Box::pin(check_view(catalog, roles, table.owner, read.oid, depth + 1)).await?;
        } else {
            check(roles, table.owner, &Need { relation: read, privileges: Privileges::SELECT })?;
        }
    }
    Ok(())
}
