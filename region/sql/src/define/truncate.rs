//! TRUNCATE: new, empty storage under the same names. Readers at older snapshots see the old descriptor and the old rows.
use super::Definer;
use crate::layout::{index_range, table_range};
use crate::parser::tree::QualifiedName;
use trivet_txn::Action;
use trivet_types::PgResult;

impl Definer<'_> {
    pub(super) async fn truncate(&mut self, tables: &[QualifiedName]) -> PgResult<()> {
        for name in tables {
            let mut table = self.table_to_change(name).await?;
            let old = std::mem::replace(&mut table.storage, self.new_storage());
            self.transaction.action(Action::DropRange { range: table_range(old) });
            for index in &mut table.indexes {
                let old = std::mem::replace(&mut index.storage, self.new_storage());
                self.transaction.action(Action::DropRange { range: index_range(old) });
            }
            table.row_estimate = 0.0;
            self.store(table);
        }
        Ok(())
    }
}
