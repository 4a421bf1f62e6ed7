//! A list of rows that moves into a file when it grows past `work_mem`.
use super::{CHUNK_BYTES, SpillFile, SpillReader};
use crate::execute::memory::{Held, StatementMemory, row_bytes};
use crate::execute::{Context, Operator, Row};
use std::sync::Arc;
use trivet_types::PgResult;

pub(crate) struct RowStore {
    memory: Arc<StatementMemory>,
    rows: Vec<Row>,
    held: Held,
    file: Option<SpillFile>,
}

impl RowStore {
    pub fn new(memory: &Arc<StatementMemory>) -> RowStore {
        RowStore { memory: Arc::clone(memory), rows: Vec::new(), held: memory.hold(), file: None }
    }

    /// All rows that an operator has left.
    pub async fn gather(operator: &mut dyn Operator, context: &mut Context<'_>) -> PgResult<RowStore> {
        let mut store = RowStore::new(context.memory);
        loop {
            let rows = operator.next(context, super::super::BATCH_ROWS).await?;
            if rows.is_empty() {
                store.finish().await?;
                return Ok(store);
            }
            store.extend(rows).await?;
            tokio::task::yield_now().await;
        }
    }

    pub fn len(&self) -> usize {
        self.file.as_ref().map_or(self.rows.len(), |file| file.rows() as usize)
    }

    #[cfg(test)]
    pub fn is_spilled(&self) -> bool {
        self.file.is_some()
    }

    pub async fn extend(&mut self, rows: Vec<Row>) -> PgResult<()> {
        for row in rows {
            self.push(row).await?;
        }
        Ok(())
    }

    pub async fn push(&mut self, row: Row) -> PgResult<()> {
        if let Some(file) = &mut self.file {
            return file.push(&row).await;
        }
        self.held.grow(row_bytes(&row))?;
        self.rows.push(row);
        if self.held.exceeds_work() {
            let mut file = SpillFile::with_chunk(&self.memory, CHUNK_BYTES);
            for row in std::mem::take(&mut self.rows) {
                file.push(&row).await?;
            }
            self.held.clear();
            self.file = Some(file);
        }
        Ok(())
    }

    /// What was pushed can be read from now on; more may follow.
    pub async fn finish(&mut self) -> PgResult<()> {
        match &mut self.file {
            Some(file) => file.flush().await,
            None => Ok(()),
        }
    }
}

/// A place in a store. A store that moves to a file meanwhile takes its readers along.
#[derive(Default)]
pub(crate) struct RowReader {
    given: usize,
    file: Option<SpillReader>,
}

impl RowReader {
    /// The next rows, of those that were there at the last `finish`.
    pub async fn next(&mut self, store: &RowStore, wanted: usize) -> PgResult<Vec<Row>> {
        let Some(file) = &store.file else {
            let end = self.given.saturating_add(wanted).min(store.rows.len());
            let batch = store.rows[self.given.min(end)..end].to_vec();
            self.given = end;
            return Ok(batch);
        };
        let end = file.position();
        let reader = match &mut self.file {
            Some(reader) => {
                reader.extend_to(end);
                reader
            }
            None => {
                let mut reader = file.reader(0, end);
                for _ in 0..self.given {
                    reader.next().await?;
                }
                self.file.insert(reader)
            }
        };
        let batch = reader.batch(wanted).await?;
        self.given += batch.len();
        Ok(batch)
    }
}

impl SpillReader {
    /// The file has grown.
    fn extend_to(&mut self, end: u64) {
        self.end = end;
    }
}
