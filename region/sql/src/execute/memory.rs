//! What a statement may hold in memory, and on disk beside it.
//!
//! ```text
//!   operator ── Held ──┐
//!   operator ── Held ──┼── StatementMemory (one a running statement)
//!   operator ── Held ──┘     work_mem             per operator: beyond it, rows go to temporary files
//!                            statement_memory     all of it together: beyond it, 53200
//!                            temp_file_limit      bytes in temporary files: beyond it, 53400
//! ```
//! An operator that keeps rows says so through its `Held` before it keeps them. One that can spill does so when its own
//! reaches `work_mem`; one that cannot (an `array_agg`, a partition of a window, a giant value) goes on until the statement's
//! bound refuses it with an error, where the process would otherwise die and take everybody's statements with it.
//!
//! - M1: a `Held` gives back what it took when it is dropped, on whatever way the statement ends.
//! - M2: what is counted is an estimate (`Datum::memory` and the containers' slots), never less than the values' own bytes.
//!
//! Rows on their way between operators are not counted: a batch is bounded by its number of rows.
use super::Row;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use trivet_types::{Datum, PgError, PgResult, SqlState, sqlstate};

const CONFIGURATION_LIMIT_EXCEEDED: SqlState = SqlState(*b"53400");

/// The settings that bound a statement, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub work_bytes: usize,
    pub statement_bytes: usize,
    /// `None`: as much as the disk has.
    pub temporary_bytes: Option<u64>,
}

impl Limits {
    pub const WORK_BYTES: usize = 4 << 20;
    pub const STATEMENT_BYTES: usize = 512 << 20;

    /// A hash table may have twice as much as a sort: `hash_mem_multiplier`'s default.
    pub fn hash_bytes(&self) -> usize {
        self.work_bytes.saturating_mul(2)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { work_bytes: Limits::WORK_BYTES, statement_bytes: Limits::STATEMENT_BYTES, temporary_bytes: None }
    }
}

/// The bounds of one running statement and what it has taken of them.
#[derive(Debug)]
pub(crate) struct StatementMemory {
    pub limits: Limits,
    /// Where temporary files are made.
    pub folder: Arc<PathBuf>,
    held: AtomicUsize,
    temporary: AtomicU64,
}

/// For what keeps no rows, or has not been told of its bounds yet.
pub(crate) fn unbounded() -> &'static Arc<StatementMemory> {
    static UNBOUNDED: LazyLock<Arc<StatementMemory>> = LazyLock::new(|| {
        let limits = Limits { statement_bytes: usize::MAX, ..Limits::default() };
        Arc::new(StatementMemory::new(limits, Arc::new(std::env::temp_dir())))
    });
    &UNBOUNDED
}

impl StatementMemory {
    pub fn new(limits: Limits, folder: Arc<PathBuf>) -> StatementMemory {
        StatementMemory { limits, folder, held: AtomicUsize::new(0), temporary: AtomicU64::new(0) }
    }

    pub fn hold(self: &Arc<Self>) -> Held {
        Held { memory: Arc::clone(self), bytes: 0, most: 0 }
    }

    /// More bytes are about to be written to temporary files. 53400 past the bound.
    pub fn take_temporary(&self, bytes: u64) -> PgResult<()> {
        let taken = self.temporary.fetch_add(bytes, Ordering::Relaxed) + bytes;
        match self.limits.temporary_bytes {
            Some(limit) if taken > limit => {
                self.temporary.fetch_sub(bytes, Ordering::Relaxed);
                let message = format!("temporary file size exceeds temp_file_limit ({}kB)", limit >> 10);
                Err(PgError::new(CONFIGURATION_LIMIT_EXCEEDED, message))
            }
            _ => Ok(()),
        }
    }

    pub fn give_back_temporary(&self, bytes: u64) {
        self.temporary.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one operator holds.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<StatementMemory>,
    bytes: usize,
    most: usize,
}

impl Held {
    /// 53200 if the statement may not hold that much more.
    pub fn grow(&mut self, bytes: usize) -> PgResult<()> {
        let before = self.memory.held.fetch_add(bytes, Ordering::Relaxed);
        let limit = self.memory.limits.statement_bytes;
        if before.saturating_add(bytes) > limit {
            self.memory.held.fetch_sub(bytes, Ordering::Relaxed);
            return Err(out_of_memory(bytes, before, limit));
        }
        self.bytes += bytes;
        self.most = self.most.max(self.bytes);
        Ok(())
    }

    pub fn clear(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }

    pub fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.memory.held.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }

    /// The most that it held at a time.
    pub fn most(&self) -> usize {
        self.most
    }

    pub fn memory(&self) -> &Arc<StatementMemory> {
        &self.memory
    }

    /// A list of rows would rather be in a file.
    pub fn exceeds_work(&self) -> bool {
        self.bytes > self.memory.limits.work_bytes
    }

    /// A hash table would rather be in files.
    pub fn exceeds_hash(&self) -> bool {
        self.bytes > self.memory.limits.hash_bytes()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

fn out_of_memory(asked: usize, held: usize, limit: usize) -> Box<PgError> {
    let kilobytes = |bytes: usize| bytes.div_ceil(1024);
    PgError::new(sqlstate::OUT_OF_MEMORY, "out of memory")
        .detail(format!(
            "The statement holds {} kB and needs {} kB more; trivet.statement_memory allows {} kB.",
            kilobytes(held),
            kilobytes(asked),
            kilobytes(limit)
        ))
        .hint("Make the statement's result or its groups smaller, or raise trivet.statement_memory.")
}

/// What a row takes in a container of rows.
pub(crate) fn row_bytes(row: &[Datum]) -> usize {
    std::mem::size_of::<Row>() + row.iter().map(Datum::memory).sum::<usize>()
}

/// What a row takes in a hash table, with its slot there.
pub(crate) fn entry_bytes(row: &[Datum]) -> usize {
    row_bytes(row) + 2 * std::mem::size_of::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let limits = Limits { work_bytes: 100, statement_bytes: 1000, temporary_bytes: Some(10) };
        let memory = Arc::new(StatementMemory::new(limits, Arc::new(std::env::temp_dir())));
        let mut first = memory.hold();
        let mut second = memory.hold();
        first.grow(600).expect("below the bound");
        assert!(first.exceeds_work() && first.exceeds_hash());
        let error = second.grow(500).expect_err("above the bound");
        assert_eq!(error.code, sqlstate::OUT_OF_MEMORY);
        assert_eq!(second.bytes, 0, "what was refused is not held");
        drop(first);
        second.grow(1000).expect("the first gave back what it held");
        memory.take_temporary(10).expect("as much as the bound");
        assert_eq!(memory.take_temporary(1).expect_err("above the bound").code, CONFIGURATION_LIMIT_EXCEEDED);
        memory.give_back_temporary(5);
        memory.take_temporary(5).expect("there is room again");
    }
}
