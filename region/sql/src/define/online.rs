//! CREATE INDEX while both regions write (T21), as several transactions:
//!
//! ```text
//!   1  the index is in the descriptor, Building: every writer keeps it from here on, since whoever planned without it is refused
//!      at his commit (T19); nobody reads it
//!   2  rows that were there before get their entries: plain indexes by each region from its own rows at one version
//!      (`Action::FillIndex`, in step 3's record); unique and computed ones in batches that meet writers key by key
//!   3  Ready: plans use it
//! ```
//! A batch locks its rows SHARE, so that what it wrote entries of is what they still are at its commit. A duplicate ends the
//! building and takes the index away again; so does any other error. A region that dies in between leaves an index that is not
//! valid (`pg_index.indisvalid`), for DROP INDEX.
use super::index::{ROWS_A_STEP, duplicate};
use super::{Definer, already_exists};
use crate::catalog::{DescriptorCache, Found, IndexState, Table};
use crate::execute::stored_row;
use crate::layout::{after, index_range, row_id_of, row_key, table_range};
use crate::parser::tree::CreateIndex;
use crate::plan::TableRules;
use crate::sequence::SessionSequences;
use bytes::Bytes;
use std::sync::Arc;
use trivet_storage::KeyRange;
use trivet_txn::{Action, Database, Isolation, LockStrength, LockWait, Locked, Transaction, WriteKind};
use trivet_types::{Environment, Oid, PgError, PgResult, sqlstate};

/// Tries of one step against writers that are faster.
const TRIES: usize = 100;
/// Rows of a batch: few, so that it seldom meets a writer.
const BATCH_ROWS: usize = 256;

/// What definitions of several transactions share.
pub struct Surroundings<'a> {
    pub database: &'a dyn Database,
    pub cache: &'a DescriptorCache,
    pub search_path: &'a [String],
    pub environment: &'a dyn Environment,
    pub sequences: &'a SessionSequences,
    pub user: &'a str,
    pub session_user: &'a str,
    /// Tables whose rows have checks to come.
    pub pending: &'a [Oid],
}

impl<'a> Surroundings<'a> {
    pub fn definer<'t>(&self, transaction: &'t mut dyn Transaction) -> Definer<'t>
    where
        'a: 't,
    {
        Definer {
            transaction,
            database: self.database,
            cache: self.cache,
            search_path: self.search_path,
            environment: self.environment,
            sequences: self.sequences,
            user: self.user,
            session_user: self.session_user,
            pending: self.pending,
            last: false,
            notices: Vec::new(),
            temporary: false,
            wants_temporary: false,
            roles: None,
        }
    }

    /// Should an index be built in steps? An empty table's is made at once.
    pub async fn builds_online(&self, transaction: &mut dyn Transaction, create: &CreateIndex) -> PgResult<bool> {
        transaction.statement().await?;
        let mut definer = self.definer(transaction);
        match definer.find(&create.table).await? {
            Some(Found::Table(table)) => {
                let rows = definer.transaction.scan(&table_range(table.storage), false, 1).await?;
                Ok(!rows.is_empty() && !table.is_temporary())
            }
            _ => Ok(false),
        }
    }

    /// The notices of the statement.
    pub async fn create_index(&self, create: &CreateIndex) -> PgResult<Vec<Box<PgError>>> {
        let mut announced = None;
        let mut notices = Vec::new();
        for attempt in 1.. {
            let mut transaction = self.begin().await?;
            let mut definer = self.definer(&mut *transaction);
            let made = definer.announce_index(create).await;
            notices = std::mem::take(&mut definer.notices);
            let done = match made {
                Ok(made) => transaction.commit().await.map(|_| announced = made),
                Err(error) => Err(error),
            };
            if self.again(done, attempt, &mut *transaction)? {
                break;
            }
        }
        // IF NOT EXISTS, and there is one.
        let Some((table, index)) = announced else { return Ok(notices) };
        if let Err(error) = self.fill(table, index).await {
            // What cannot be taken away stays, not valid.
            let _ = self.give_up(table, index).await;
            return Err(error);
        }
        Ok(notices)
    }

    async fn begin(&self) -> PgResult<Box<dyn Transaction>> {
        let mut transaction = self.database.begin(Isolation::ReadCommitted, false);
        transaction.statement().await?;
        Ok(transaction)
    }

    /// Whether a step is over; another writer's haste is no failure.
    fn again(&self, done: PgResult<()>, attempt: usize, transaction: &mut dyn Transaction) -> PgResult<bool> {
        match done {
            Ok(()) => Ok(true),
            Err(error) => {
                transaction.rollback();
                if error.code == sqlstate::SERIALIZATION_FAILURE && attempt < TRIES { Ok(false) } else { Err(error) }
            }
        }
    }

    async fn fill(&self, table: Oid, index: Oid) -> PgResult<()> {
        let mut filled = false;
        for attempt in 1.. {
            let mut transaction = self.begin().await?;
            let described = self.definer(&mut *transaction).locked_table(table).await;
            let described = match described {
                Ok(described) => described,
                Err(error) => {
                    self.again(Err(error), attempt, &mut *transaction)?;
                    continue;
                }
            };
            let gone = || PgError::new(sqlstate::UNDEFINED_TABLE, "the table of the index was dropped meanwhile");
            let mut described = Table::clone(&*described.ok_or_else(gone)?);
            let position = described.indexes.iter().position(|found| found.oid == index).ok_or_else(gone)?;
            let plain = {
                let index = &described.indexes[position];
                !index.unique && index.filter.is_none() && index.keys.iter().all(|key| key.expression.is_none())
            };
            if !plain && !filled {
                // Without the descriptor's lock: writers read it, and other definitions may come between.
                transaction.rollback();
                self.fill_by_batches(&described, index).await?;
                filled = true;
                continue;
            }
            if plain {
                let found = &described.indexes[position];
                let spec = described.index_spec(found).encoded();
                let (rows, entries) = (table_range(described.storage), index_range(found.storage));
                transaction.action(Action::FillIndex { table: rows, index: entries, spec });
            }
            described.indexes[position].state = IndexState::Ready;
            self.definer(&mut *transaction).store(described);
            let done = transaction.commit().await.map(|_| ());
            if self.again(done, attempt, &mut *transaction)? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn fill_by_batches(&self, table: &Table, index: Oid) -> PgResult<()> {
        let shared = Arc::new(table.clone());
        let rules = TableRules::of(&shared, self.environment)?;
        let mut range = table_range(table.storage);
        loop {
            let mut next = None;
            for attempt in 1.. {
                let mut transaction = self.begin().await?;
                let done = match self.batch(&mut *transaction, &shared, &rules, index, &range).await {
                    Ok(last) => transaction.commit().await.map(|_| next = last),
                    Err(error) => Err(error),
                };
                if self.again(done, attempt, &mut *transaction)? {
                    break;
                }
            }
            match next {
                Some(last) => range.start = after(&last),
                None => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Entries of the next rows; the last row's key, if there are more.
    async fn batch(
        &self,
        transaction: &mut dyn Transaction,
        table: &Arc<Table>,
        rules: &TableRules,
        index: Oid,
        range: &KeyRange,
    ) -> PgResult<Option<Bytes>> {
        debug_assert!(BATCH_ROWS <= ROWS_A_STEP, "a batch is a small step");
        let position = table.indexes.iter().position(|found| found.oid == index);
        let position = position.ok_or_else(|| PgError::internal("an index that its table does not have"))?;
        // A statement planned under another schema must not pass between ours (T19).
        transaction.guard_schema(crate::catalog::descriptor_key(table.oid));
        let rows = transaction.scan(range, false, BATCH_ROWS).await?;
        for row in &rows {
            let damaged = || PgError::new(sqlstate::DATA_CORRUPTED, "a row's key is damaged");
            let id = row_id_of(&row.key).ok_or_else(damaged)?;
            let key = row_key(table.storage, id);
            let locked = transaction.lock(&key, LockStrength::Share, LockWait::Wait).await?;
            let (Locked::Unchanged(Some(value)) | Locked::Newer(Some(value))) = locked else { continue };
            let values = stored_row(table, &value)?;
            let Some(entry) = rules.entry(table, position, self.environment, &values, id)? else { continue };
            if !entry.exclusive {
                transaction.put(entry.key, Bytes::new(), WriteKind::NoKeyUpdate);
                continue;
            }
            let own = Bytes::copy_from_slice(&id.0.to_be_bytes());
            match transaction.lock_for_insert(&entry.key).await? {
                None => transaction.put(entry.key, own, WriteKind::NoKeyUpdate),
                Some(holder) if holder == own => {}
                Some(_) => return Err(duplicate(table, &table.indexes[position], &values)),
            }
        }
        Ok(rows.last().filter(|_| rows.len() == BATCH_ROWS).map(|last| last.key.clone()))
    }

    async fn give_up(&self, table: Oid, index: Oid) -> PgResult<()> {
        for attempt in 1.. {
            let mut transaction = self.begin().await?;
            let mut definer = self.definer(&mut *transaction);
            let removed = async {
                let Some(found) = definer.locked_table(table).await? else { return Ok(()) };
                let mut found = Table::clone(&found);
                definer.remove_index(&mut found, index).await?;
                definer.store(found);
                Ok(())
            };
            let done = match removed.await {
                Ok(()) => transaction.commit().await.map(|_| ()),
                Err(error) => Err(error),
            };
            if self.again(done, attempt, &mut *transaction)? {
                break;
            }
        }
        Ok(())
    }
}

impl Definer<'_> {
    /// Step 1. `None`: there is one of this name, and IF NOT EXISTS was said.
    async fn announce_index(&mut self, create: &CreateIndex) -> PgResult<Option<(Oid, Oid)>> {
        let mut table = self.indexed_to_change(&create.table).await?;
        if let Some(name) = &create.name {
            let schema = table.schema_name.clone();
            let taken = self.catalog().relation(Some(&schema), &name.text).await?.is_some();
            if taken && create.if_not_exists {
                let message = format!("relation \"{}\" already exists, skipping", name.text);
                self.notice(sqlstate::DUPLICATE_TABLE, message);
                return Ok(None);
            }
            if taken {
                return Err(already_exists(&name.text));
            }
        }
        let new = self.index_of(&table, create)?;
        let index = self.add_index(&mut table, new).await?;
        let building = table.indexes.iter_mut().find(|found| found.oid == index.oid);
        building.into_iter().for_each(|found| found.state = IndexState::Building);
        debug_assert!(table.has_rows(), "only what has rows has indexes");
        let oid = table.oid;
        self.store(table);
        Ok(Some((oid, index.oid)))
    }
}
