//! Constraints that wait for their transaction's end: what it still has to check, and SET CONSTRAINTS.
use super::block::Active;
use super::connection::SqlSession;
use super::environment::search_path;
use crate::catalog::CatalogSnapshot;
use crate::execute::{ConstraintModes, DeferredCheck, Surroundings, check_deferred};
use crate::parser::tree::QualifiedName;
use std::sync::Arc;
use trivet_types::{Oid, PgError, PgResult, sqlstate};

/// What a transaction has put off. A savepoint takes it back with all else.
#[derive(Clone, Default)]
pub(super) struct Deferred {
    pub checks: Vec<DeferredCheck>,
    pub modes: ConstraintModes,
}

/// Where it stood at a savepoint.
#[derive(Clone)]
pub(super) struct DeferredMark {
    count: usize,
    modes: ConstraintModes,
}

impl Deferred {
    pub fn mark(&self) -> DeferredMark {
        DeferredMark { count: self.checks.len(), modes: self.modes.clone() }
    }
    pub fn roll_back_to(&mut self, mark: &DeferredMark) {
        self.checks.truncate(mark.count);
        self.modes = mark.modes.clone();
    }
    /// Checks of rows of these tables wait.
    pub fn tables(&self) -> Vec<Oid> {
        let mut tables: Vec<Oid> = Vec::new();
        for check in &self.checks {
            if !tables.contains(&check.table()) {
                tables.push(check.table());
            }
        }
        tables
    }
}

impl SqlSession {
    /// Before a commit: 23503 or 23505 if what was put off does not hold.
    pub(super) async fn check_deferred(&mut self, active: &mut Active) -> PgResult<()> {
        let checks = std::mem::take(&mut active.deferred.checks);
        self.run_checks(&checks, active).await
    }

    /// The end of an implicit transaction's last statement: what fails now fails the statement, whose tag is not sent yet.
    pub(super) async fn check_before_end(&mut self) -> PgResult<()> {
        if self.block.is_explicit() || self.block.active().is_none_or(|active| active.deferred.checks.is_empty()) {
            return Ok(());
        }
        let Some(mut active) = self.block.take() else { return Ok(()) };
        let result = self.check_deferred(&mut active).await;
        self.block.put_back(active);
        result
    }

    async fn run_checks(&mut self, checks: &[DeferredCheck], active: &mut Active) -> PgResult<()> {
        if checks.is_empty() {
            return Ok(());
        }
        let environment = self.environment();
        let engine = Arc::clone(&self.engine);
        let around = Surroundings {
            database: &*self.database,
            cache: &engine.descriptors,
            environment: &environment,
            sequences: &self.sequences,
        };
        let cancel = self.startup.cancel.clone();
        let work = check_deferred(checks, &mut *active.transaction, &around);
        SqlSession::cancellable(&cancel, work).await
    }

    /// SET CONSTRAINTS in a block. What becomes immediate is checked at once.
    pub(super) async fn set_constraints(&mut self, names: &[QualifiedName], deferred: bool) -> PgResult<()> {
        let mut named = Vec::new();
        if !names.is_empty() {
            let path = search_path(&self.settings, &self.current_user());
            let engine = Arc::clone(&self.engine);
            let active = self.open();
            active.transaction.statement().await?;
            let snapshot = CatalogSnapshot::load(&mut *active.transaction, &engine.descriptors).await?;
            for name in names {
                named.extend(constraints_named(&snapshot, name, &path)?);
            }
        }
        let Some(mut active) = self.block.take() else { return Ok(()) };
        let modes = &mut active.deferred.modes;
        match names {
            [] => modes.set_all(deferred),
            _ => named.iter().for_each(|constraint| modes.set(*constraint, deferred)),
        }
        let mut result = Ok(());
        if !deferred {
            let due = |check: &&DeferredCheck| names.is_empty() || named.contains(&check.key());
            let checks: Vec<DeferredCheck> = active.deferred.checks.iter().filter(due).cloned().collect();
            result = self.run_checks(&checks, &mut active).await;
            // After a savepoint what was found may be taken back: it is looked at again at the end.
            if result.is_ok() && !active.has_savepoints() {
                active.deferred.checks.retain(|check| !names.is_empty() && !named.contains(&check.key()));
            }
        }
        self.block.put_back(active);
        result
    }
}

/// The constraints of this name: of the named schema, or the first of the search path that has one.
fn constraints_named(catalog: &CatalogSnapshot, name: &QualifiedName, path: &[String]) -> PgResult<Vec<Oid>> {
    let schemas = match name.schema() {
        Some(schema) => {
            let missing = || PgError::new(sqlstate::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"));
            vec![catalog.schema_named(schema).ok_or_else(missing)?]
        }
        None => catalog.path_oids(path),
    };
    for schema in schemas {
        let tables = catalog.tables.iter().filter(|table| table.schema == schema && table.has_constraint(name.last()));
        let mut found = Vec::new();
        for table in tables {
            let foreign = table.foreign_keys.iter().find(|key| key.name == name.last() && key.deferrable);
            let key = table.constraints.iter().find(|key| key.name == name.last());
            let key = key.filter(|key| table.deferrable(key.index).is_some());
            found.push(foreign.map(|key| key.oid).or(key.map(|key| key.oid)).ok_or_else(|| {
                let message = format!("constraint \"{}\" is not deferrable", name.last());
                PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)
            })?);
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(PgError::new(sqlstate::UNDEFINED_OBJECT, format!("constraint \"{}\" does not exist", name.last())))
}
