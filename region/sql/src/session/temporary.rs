//! A session's temporary tables: made ready when the first is asked for, emptied or dropped at commits, gone with the session.
use super::block::Active;
use super::connection::SqlSession;
use super::environment::search_path;
use crate::define::Surroundings;
use crate::parser::tree::{Definition, QualifiedName, Statement};
use crate::temporary::{self, LayeredDatabase};
use std::sync::Arc;
use trivet_types::PgResult;

/// Will this make something temporary?
fn is_wanted(statement: &Statement) -> bool {
    let own = |name: &QualifiedName| name.schema() == Some(temporary::ALIAS);
    match statement {
        Statement::CreateTable(create) => create.temporary || own(&create.name),
        Statement::CreateTableAs { name, temporary, .. } => *temporary || own(name),
        Statement::CreateView { name, temporary, .. } => *temporary || own(name),
        Statement::Definition(definition) => match &**definition {
            Definition::CreateSequence(create) => create.temporary || own(&create.name),
            _ => false,
        },
        _ => false,
    }
}

impl SqlSession {
    /// Before a statement that makes something temporary: a database of the session's own, also for the open transaction.
    pub(super) fn prepare_temporary(&mut self, statement: &Statement) {
        if self.layered.is_some() || !is_wanted(statement) {
            return;
        }
        let database = Arc::new(LayeredDatabase::new(Arc::clone(&self.engine.database)));
        if let Some(active) = self.block.active() {
            temporary::attach(&database, &mut active.transaction);
        }
        let schema = self.engine.descriptors.next_temporary_schema();
        self.settings_mut().set_temporary_schema(Some(schema));
        self.database = Arc::clone(&database) as _;
        self.layered = Some(database);
    }

    /// Before a commit: ON COMMIT DELETE ROWS and DROP.
    pub(super) async fn on_commit(&mut self, active: &mut Active) -> PgResult<()> {
        if self.layered.is_none() || active.failed {
            return Ok(());
        }
        self.with_definer(active, async |definer| definer.on_commit().await).await
    }

    /// DISCARD TEMP
    pub(super) async fn discard_temporary(&mut self) -> PgResult<()> {
        if self.layered.is_none() {
            return Ok(());
        }
        let Some(mut active) = self.block.take() else {
            self.forget_temporary();
            return Ok(());
        };
        let result = self.with_definer(&mut active, async |definer| definer.drop_temporary().await).await;
        self.block.put_back(active);
        result
    }

    fn forget_temporary(&mut self) {
        self.layered = None;
        self.database = Arc::clone(&self.engine.database);
        self.settings_mut().set_temporary_schema(None);
    }

    /// Work on the catalog within the transaction.
    pub(super) async fn with_definer<T>(
        &mut self,
        active: &mut Active,
        work: impl AsyncFnOnce(&mut crate::define::Definer<'_>) -> PgResult<T>,
    ) -> PgResult<T> {
        let (user, session_user) = (self.current_user(), Arc::clone(&self.user));
        let path = search_path(&self.settings, &user);
        let environment = self.environment();
        let engine = Arc::clone(&self.engine);
        let around = Surroundings {
            database: &*self.database,
            cache: &engine.descriptors,
            search_path: &path,
            environment: &environment,
            sequences: &self.sequences,
            user: &user,
            session_user: &session_user,
            pending: &[],
        };
        let mut definer = around.definer(&mut *active.transaction);
        work(&mut definer).await
    }
}
