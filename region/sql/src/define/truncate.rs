//! TRUNCATE: new, empty storage under the same names. Readers at older snapshots see the old descriptor and the old rows.
use super::Definer;
use crate::catalog::Table;
use crate::layout::{index_range, table_range};
use crate::parser::tree::QualifiedName;
use std::collections::VecDeque;
use trivet_txn::Action;
use trivet_types::{Oid, PgError, PgResult, sqlstate};

impl Definer<'_> {
    pub(super) async fn truncate(
        &mut self,
        tables: &[QualifiedName],
        restart_identity: bool,
        cascade: bool,
    ) -> PgResult<()> {
        let mut all: Vec<Table> = Vec::with_capacity(tables.len());
        for name in tables {
            let found = self.find(name).await?.ok_or_else(|| crate::analyze::undefined_table(name))?;
            let crate::catalog::Found::Table(found) = found else {
                return Err(super::wrong_kind(name, crate::catalog::RelationKind::Table));
            };
            if !found.is_table() {
                return Err(super::wrong_kind(name, crate::catalog::RelationKind::Table));
            }
            let undefined = || crate::analyze::undefined_table(name);
            let table = self.locked_table(found.oid).await?.ok_or_else(undefined)?;
            self.check_truncate(&table).await?;
            self.check_settled(&table, "TRUNCATE")?;
            if !all.iter().any(|other| other.oid == table.oid) {
                all.push(Table::clone(&table));
            }
        }
        // Tables that refer to an emptied one must be emptied with it.
        let mut left: VecDeque<(Oid, String)> = VecDeque::new();
        let referring = |table: &Table| {
            let referring = table.referenced_by.iter().map(|(child, _)| (*child, table.name.clone()));
            referring.collect::<Vec<_>>()
        };
        all.iter().for_each(|table| left.extend(referring(table)));
        while let Some((child, parent)) = left.pop_front() {
            if all.iter().any(|table| table.oid == child) {
                continue;
            }
            let Some(table) = self.locked_table(child).await? else { continue };
            if !cascade {
                let message = "cannot truncate a table referenced in a foreign key constraint";
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .detail(format!("Table \"{}\" references \"{parent}\".", table.name))
                    .hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        table.name
                    )));
            }
            self.check_truncate(&table).await?;
            self.notice(sqlstate::SUCCESSFUL_COMPLETION, format!("truncate cascades to table \"{}\"", table.name));
            left.extend(referring(&table));
            all.push(Table::clone(&table));
        }
        for table in &all {
            if restart_identity {
                for sequence in self.owned_sequences(table.oid).await? {
                    self.restart_sequence(sequence).await?;
                }
            }
        }
        for table in all {
            self.empty(table);
        }
        Ok(())
    }

    /// The table's descriptor is locked.
    pub(super) fn empty(&mut self, mut table: Table) {
        let old = std::mem::replace(&mut table.storage, self.new_storage(table.oid));
        self.transaction.action(Action::DropRange { range: table_range(old) });
        for index in &mut table.indexes {
            let old = std::mem::replace(&mut index.storage, self.new_storage(index.oid));
            self.transaction.action(Action::DropRange { range: index_range(old) });
        }
        table.row_estimate = 0.0;
        self.store(table);
    }
}
