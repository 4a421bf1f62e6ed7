//! What becomes of temporary tables: at a commit, and when all are discarded.
use super::Definer;
use super::depend::Object;
use crate::catalog::{OnCommit, Table, descriptor_key, descriptor_range};
use crate::layout::table_range;
use crate::temporary;
use std::sync::Arc;
use trivet_storage::KeyRange;
use trivet_types::PgResult;

/// A session seldom has more.
const RELATIONS_MAX: usize = 100_000;

impl Definer<'_> {
    async fn temporary_relations(&mut self) -> PgResult<Vec<Arc<Table>>> {
        let range = KeyRange { start: descriptor_key(temporary::object_oid(0)), end: descriptor_range().end };
        let rows = self.transaction.scan(&range, false, RELATIONS_MAX).await?;
        rows.iter().map(|row| self.cache.table(&row.value)).collect()
    }

    /// ON COMMIT DELETE ROWS, and DROP.
    pub async fn on_commit(&mut self) -> PgResult<()> {
        self.transaction.statement().await?;
        let mut gone = Vec::new();
        for table in self.temporary_relations().await? {
            match table.on_commit {
                OnCommit::PreserveRows => {}
                OnCommit::Drop => gone.push(Object::Relation(table.oid)),
                OnCommit::DeleteRows => {
                    let rows = self.transaction.scan(&table_range(table.storage), false, 1).await?;
                    if !rows.is_empty() {
                        self.empty(Table::clone(&table));
                    }
                }
            }
        }
        self.drop_objects(&gone, true).await
    }

    /// All relations of the session's own schema.
    pub async fn drop_temporary(&mut self) -> PgResult<()> {
        self.transaction.statement().await?;
        let internal = |table: &Table| table.sequence().is_some_and(|sequence| sequence.owned_by.is_some());
        let relations = self.temporary_relations().await?;
        let roots: Vec<Object> =
            relations.iter().filter(|table| !internal(table)).map(|table| Object::Relation(table.oid)).collect();
        self.drop_objects(&roots, true).await
    }
}
