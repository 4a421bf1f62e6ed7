//! What a statement needs besides its plan: the privileges of its role, and the tables that its foreign keys lead to.
use super::connection::SqlSession;
use super::environment::{SessionEnvironment, search_path};
use crate::analyze::SEQUENCE_ROW;
use crate::catalog::{
    Catalog, Dependency, Privileges, ROLE_NAME, RelationKind, Roles, Table, default_acl, load_roles, roles_stamp_key,
    stamp_of,
};
use crate::parser::tree::SetValue;
use crate::plan::{Related, RelatedTables, RowChange, used_columns};
use crate::typed::{self, MergeAction, Query, RelationSource, Statement};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use trivet_txn::LockStrength;
use trivet_types::{Datum, Oid, PgError, PgResult, sqlstate};

/// One relation, and what is done with it.
struct Need {
    relation: Arc<Table>,
    privileges: Privileges,
    /// The columns that are written.
    writes: Vec<usize>,
    /// What is under the view, which its owner must be allowed.
    below: Option<Arc<Table>>,
}

/// The columns that a statement reads, by relation.
type Reads = HashMap<Oid, HashSet<usize>>;

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
        Statement::Merge(merge) => {
            let change = |clause: &typed::MergeClause| match &clause.action {
                MergeAction::Nothing => None,
                MergeAction::Delete => Some(RowChange::Delete),
                MergeAction::Insert(_) => Some(RowChange::Insert),
                MergeAction::Update(assignments) => {
                    let mut columns: Vec<usize> = assignments.iter().map(|(column, _)| *column).collect();
                    columns.extend(generated(&merge.table));
                    Some(RowChange::Update(columns))
                }
            };
            merge.clauses.iter().filter_map(change).map(|change| (Arc::clone(&merge.table), change)).collect()
        }
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
                needs.push(Need { relation: Arc::clone(table), privileges, writes: vec![], below: None });
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
    let mut target = |table: &Arc<Table>,
                      view: &Option<Arc<Table>>,
                      query: Option<&Query>,
                      privileges,
                      reads: bool,
                      writes: Vec<usize>| {
        needs.push(changing(table, view, privileges, writes));
        let mut others = Vec::new();
        query.into_iter().for_each(|query| read_by(query, &mut others));
        // The changed table stands among the query's own, where nothing may be read of it.
        if query.is_some() && (!reads || view.is_some()) {
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
            needs.push(changing(&insert.table, &insert.view, privileges, inserted(insert)));
            read_by(&insert.source, &mut needs);
        }
        Statement::Update(update) => {
            let reads = update.returning.is_some() || uses(&update.query, &update.table) || {
                let own = |part: &typed::Expr| matches!(part.kind, typed::ExprKind::Column { up: 0, relation: 0, .. });
                update.assignments.iter().any(|(_, value)| value.any(&mut |part| own(part)))
            };
            let writes = update.assignments.iter().map(|(column, _)| *column).collect();
            target(&update.table, &update.view, Some(&update.query), Privileges::UPDATE, reads, writes);
        }
        Statement::Merge(merge) => {
            let mut privileges = Privileges::SELECT;
            let mut writes = Vec::new();
            for clause in &merge.clauses {
                match &clause.action {
                    MergeAction::Nothing => {}
                    MergeAction::Delete => privileges = privileges.with(Privileges::DELETE),
                    MergeAction::Insert(_) => privileges = privileges.with(Privileges::INSERT),
                    MergeAction::Update(assignments) => {
                        privileges = privileges.with(Privileges::UPDATE);
                        writes.extend(assignments.iter().map(|(column, _)| *column));
                    }
                }
            }
            needs.push(changing(&merge.table, &None, privileges, writes));
            read_by(&merge.query, &mut needs);
        }
        Statement::Delete(delete) => {
            let reads = delete.returning.is_some() || uses(&delete.query, &delete.table);
            target(&delete.table, &delete.view, Some(&delete.query), Privileges::DELETE, reads, vec![]);
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

/// A view is changed as oneself, the table under it as the view's owner.
fn changing(table: &Arc<Table>, view: &Option<Arc<Table>>, privileges: Privileges, writes: Vec<usize>) -> Need {
    match view {
        None => Need { relation: Arc::clone(table), privileges, writes, below: None },
        Some(view) => Need { relation: Arc::clone(view), privileges, writes: vec![], below: Some(Arc::clone(table)) },
    }
}

fn uses(query: &Query, table: &Table) -> bool {
    let mut found = false;
    used_columns(query, &mut |relation, _| found |= relation == table.oid);
    found
}

/// The columns that an INSERT gives values to.
fn inserted(insert: &typed::Insert) -> Vec<usize> {
    let given = |value: &typed::InsertValue| match value {
        typed::InsertValue::Expr(expr) => {
            expr.any(&mut |part| matches!(part.kind, typed::ExprKind::Column { up: 0, relation: 0, .. }))
        }
        typed::InsertValue::Null => false,
    };
    insert.values.iter().enumerate().filter(|(_, value)| given(value)).map(|(at, _)| at).collect()
}

/// The columns that a statement reads.
fn reads_of(statement: &Statement, reads: &mut Reads) {
    fn of_query(query: &Query, reads: &mut Reads) {
        used_columns(query, &mut |relation, column| {
            reads.entry(relation).or_default().insert(column);
        });
    }
    fn of_exprs<'e>(
        exprs: impl Iterator<Item = &'e typed::Expr>,
        reads: &mut Reads,
        table: &dyn Fn(usize) -> Option<Oid>,
    ) {
        for expr in exprs {
            expr.any(&mut |part| {
                if let typed::ExprKind::Column { up: 0, relation, column } = part.kind {
                    if let Some(table) = table(relation) {
                        reads.entry(table).or_default().insert(column);
                    }
                }
                false
            });
        }
    }
    let returned = |returning: &Option<Vec<typed::Target>>| -> Vec<typed::Expr> {
        returning.iter().flatten().map(|target| target.expr.clone()).collect()
    };
    let of_relations = |query: &Query| -> Vec<Option<Oid>> {
        let source = |relation: &typed::Relation| match &relation.source {
            RelationSource::Table(table) => Some(table.oid),
            _ => relation.view,
        };
        query.relations.iter().map(source).collect()
    };
    match statement {
        Statement::Query(query) => of_query(query, reads),
        Statement::Insert(insert) => {
            of_query(&insert.source, reads);
            let own = |_: usize| Some(insert.table.oid);
            of_exprs(returned(&insert.returning).iter(), reads, &own);
            if let Some(conflict) = &insert.on_conflict {
                if let Some(update) = &conflict.update {
                    let values = update.assignments.iter().map(|(_, value)| value);
                    of_exprs(values.chain(&update.filter), reads, &own);
                }
                let arbiters = insert.table.indexes.iter().filter(|index| conflict.indexes.contains(&index.oid));
                let keys = arbiters.flat_map(|index| &index.keys).filter(|key| key.expression.is_none());
                reads.entry(insert.table.oid).or_default().extend(keys.map(|key| key.column));
            }
        }
        Statement::Update(update) => {
            of_query(&update.query, reads);
            let tables = of_relations(&update.query);
            let table = |relation: usize| tables.get(relation).copied().flatten();
            of_exprs(update.assignments.iter().map(|(_, value)| value), reads, &table);
            of_exprs(returned(&update.returning).iter(), reads, &table);
        }
        Statement::Merge(merge) => {
            of_query(&merge.query, reads);
            let tables = of_relations(&merge.query);
            for clause in &merge.clauses {
                let table = |relation: usize| tables.get(relation).copied().flatten();
                of_exprs(clause.exprs().into_iter(), reads, &table);
            }
        }
        Statement::Delete(delete) => {
            of_query(&delete.query, reads);
            let tables = of_relations(&delete.query);
            of_exprs(returned(&delete.returning).iter(), reads, &|relation| tables.get(relation).copied().flatten());
        }
        Statement::With(commons, statement) => {
            for common in commons.iter().filter(|common| !common.of_view) {
                common.queries().into_iter().for_each(|query| of_query(query, reads));
                changed_by(common).into_iter().for_each(|statement| reads_of(statement, reads));
            }
            reads_of(statement, reads);
        }
    }
}

fn check(roles: &Roles, role: Oid, need: &Need, reads: &dyn Fn() -> Reads) -> PgResult<()> {
    let relation = &need.relation;
    let default;
    let acl = match &relation.acl {
        Some(acl) => acl,
        None => {
            default = default_acl(relation.owner, Privileges::of_relation(relation.kind()));
            &default
        }
    };
    let missing = need.privileges.without(roles.granted(role, relation.owner, acl, need.privileges));
    if missing.is_empty() {
        return Ok(());
    }
    let by_columns = relation.columns.iter().any(|column| column.acl.is_some())
        && missing.words().all(|(privilege, _)| {
            let read;
            let columns: Vec<usize> = match privilege {
                Privileges::SELECT => {
                    read = reads();
                    read.get(&relation.oid).into_iter().flatten().copied().collect()
                }
                Privileges::INSERT | Privileges::UPDATE => need.writes.clone(),
                _ => return false,
            };
            let granted = |at: usize| {
                let acl = relation.columns.get(at).and_then(|column| column.acl.as_deref()).unwrap_or_default();
                !roles.granted(role, relation.owner, acl, privilege).is_empty()
            };
            // Nothing of any column: a privilege on one will do.
            if columns.is_empty() { (0..relation.columns.len()).any(granted) } else { columns.into_iter().all(granted) }
        });
    if by_columns {
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
        let reads = || {
            let mut reads = Reads::new();
            reads_of(statement, &mut reads);
            reads
        };
        for need in needs_of(statement) {
            let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
            check_schema(&mut catalog, &roles, role, &need.relation).await?;
            check(&roles, role, &need, &reads)?;
            if let Some(table) = &need.below {
                let privileges = need.privileges;
                let below = Need { relation: Arc::clone(table), privileges, writes: vec![], below: None };
                check(&roles, need.relation.owner, &below, &Reads::new)?;
            }
        }
        let mut views = Vec::new();
        views_of(statement, &mut views);
        for view in views {
            let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
            let used = reads().remove(&view).unwrap_or_default();
            check_view(&mut catalog, &roles, role, (view, used), 0).await?;
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
        let need = Need { relation: Arc::clone(table), privileges, writes: vec![], below: None };
        check(&roles, role, &need, &Reads::new)
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
        Statement::Merge(merge) => views_in(&merge.query, views),
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
            // What is shown of a sequence is its own row.
            RelationSource::Function { procedure, arguments, .. } if procedure.oid == SEQUENCE_ROW => {
                let sequence = arguments.first().and_then(|argument| match &argument.kind {
                    typed::ExprKind::Constant(Datum::Oid(oid)) => Some(Oid(*oid)),
                    _ => None,
                });
                views.extend(sequence);
            }
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
async fn check_view(
    catalog: &mut Catalog<'_>,
    roles: &Roles,
    role: Oid,
    (view, used): (Oid, HashSet<usize>),
    depth: usize,
) -> PgResult<()> {
    const DEPTH_MAX: usize = 64;
    let Some(table) = catalog.table(view).await? else { return Ok(()) };
    check_schema(catalog, roles, role, &table).await?;
    let need = |relation: Arc<Table>| Need { relation, privileges: Privileges::SELECT, writes: vec![], below: None };
    check(roles, role, &need(Arc::clone(&table)), &|| Reads::from([(view, used.clone())]))?;
    let Some(definition) = table.view().filter(|_| depth < DEPTH_MAX) else { return Ok(()) };
    for reference in &definition.references {
        let Some(read) = catalog.table(reference.relation).await? else { continue };
        if read.kind() == RelationKind::View {
            let used = reference.used.iter().copied().collect();
            Box::pin(check_view(catalog, roles, table.owner, (read.oid, used), depth + 1)).await?;
        } else {
            let used = || Reads::from([(reference.relation, reference.used.iter().copied().collect())]);
            check(roles, table.owner, &need(read), &used)?;
        }
    }
    Ok(())
}
