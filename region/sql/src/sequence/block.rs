//! Where a sequence stands, and the blocks that this region has taken.
use crate::catalog::{
    DescriptorCache, Sequence, Table, damaged, decode_row, descriptor_key, encode_row, sequence_state_key,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_txn::{Database, Isolation, LockStrength, LockWait, Locked, Transaction, WriteKind};
use trivet_types::{Oid, PgError, PgResult, SqlState, sqlstate};

/// Values in a block of a sequence without a CACHE of its own: what one round trip buys.
const BLOCK_VALUES: u64 = 32;
/// A block grows up to this while blocks are used up quickly, so that a large INSERT does not wait for each few rows.
const BLOCK_VALUES_MAX: u64 = 8192;
const QUICKLY: Duration = Duration::from_secs(1);
/// Tries to take a block while the other region takes one, too.
const TRIES: usize = 100;

const LIMIT_REACHED: SqlState = SqlState(*b"2200H");

/// The stored state of a sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SequenceState {
    pub epoch: u64,
    pub last_value: i64,
    /// False: `last_value` itself comes next.
    pub is_called: bool,
}

impl SequenceState {
    pub fn start(epoch: u64, sequence: &Sequence) -> SequenceState {
        SequenceState { epoch, last_value: sequence.start, is_called: false }
    }

    /// The next `wanted` values, fewer if the sequence ends or turns before: the first, and how many.
    pub fn advance(&mut self, name: &str, sequence: &Sequence, wanted: u64) -> PgResult<(i64, u64)> {
        let step = sequence.increment;
        let first = if self.is_called {
            match self.last_value.checked_add(step).filter(|next| (sequence.minimum..=sequence.maximum).contains(next))
            {
                Some(next) => next,
                None if sequence.cycles && step > 0 => sequence.minimum,
                None if sequence.cycles => sequence.maximum,
                None => return Err(limit_reached(name, sequence)),
            }
        } else {
            self.last_value
        };
        let room = if step > 0 { sequence.maximum.abs_diff(first) } else { first.abs_diff(sequence.minimum) };
        let count = wanted.clamp(1, room / step.unsigned_abs() + 1);
        let span = i64::try_from(count - 1).unwrap_or(i64::MAX).saturating_mul(step);
        self.last_value = first.saturating_add(span);
        self.is_called = true;
        Ok((first, count))
    }
}

fn limit_reached(name: &str, sequence: &Sequence) -> Box<PgError> {
    let (word, limit) =
        if sequence.increment > 0 { ("maximum", sequence.maximum) } else { ("minimum", sequence.minimum) };
    PgError::new(LIMIT_REACHED, format!("nextval: reached {word} value of sequence \"{name}\" ({limit})"))
}

/// Values that are committed to this region.
#[derive(Debug, Default)]
pub(super) struct Block {
    epoch: u64,
    next: i64,
    left: u64,
    step: i64,
    size: u64,
    taken_at: Option<Instant>,
}

impl Block {
    pub fn take(&mut self, epoch: u64) -> Option<i64> {
        if self.left == 0 || self.epoch != epoch {
            return None;
        }
        let value = self.next;
        self.left -= 1;
        self.next = self.next.wrapping_add(self.step);
        Some(value)
    }

    /// After a refill: whatever its epoch, it is the newest.
    pub fn take_any(&mut self) -> Option<i64> {
        self.take(self.epoch)
    }

    /// Fills the block by a transaction of its own.
    pub async fn refill(&mut self, database: &dyn Database, cache: &DescriptorCache, sequence: Oid) -> PgResult<()> {
        let quickly = self.taken_at.is_some_and(|taken| taken.elapsed() < QUICKLY);
        let size = if quickly { (self.size * 2).min(BLOCK_VALUES_MAX) } else { BLOCK_VALUES };
        for _ in 0..TRIES {
            let mut transaction = database.begin(Isolation::ReadCommitted, false);
            match take_block(&mut *transaction, cache, sequence, size).await {
                Ok((state, step, first, count)) => {
                    let taken_at = Some(Instant::now());
                    *self = Block { epoch: state.epoch, next: first, left: count, step, size: size.max(1), taken_at };
                    return Ok(());
                }
                // The other region was first, or nobody knows: at worst a block is never used.
                Err(error)
                    if matches!(
                        error.code,
                        sqlstate::SERIALIZATION_FAILURE | sqlstate::STATEMENT_COMPLETION_UNKNOWN
                    ) =>
                {
                    transaction.rollback();
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    transaction.rollback();
                    return Err(error);
                }
            }
        }
        Err(PgError::new(
            sqlstate::SERIALIZATION_FAILURE,
            "could not take a block of a sequence: others were faster each time",
        ))
    }
}

async fn take_block(
    transaction: &mut dyn Transaction,
    cache: &DescriptorCache,
    sequence: Oid,
    size: u64,
) -> PgResult<(SequenceState, i64, i64, u64)> {
    transaction.statement().await?;
    let mut state = locked_state(transaction, sequence).await?;
    let table = newest_sequence(transaction, cache, sequence).await?;
    let options = table.sequence().expect("newest_sequence gives sequences");
    let wanted = if options.cache > 1 { options.cache.unsigned_abs() } else { size };
    let (first, count) = state.advance(&table.name, options, wanted)?;
    put_state(transaction, sequence, &state);
    transaction.commit().await?;
    Ok((state, options.increment, first, count))
}

/// The newest state, locked against all who take blocks.
pub(crate) async fn locked_state(transaction: &mut dyn Transaction, sequence: Oid) -> PgResult<SequenceState> {
    let key = sequence_state_key(sequence);
    let state = match transaction.lock(&key, LockStrength::Update, LockWait::Wait).await? {
        Locked::Unchanged(Some(bytes)) | Locked::Newer(Some(bytes)) => bytes,
        _ => return Err(gone(sequence)),
    };
    decode_row(&state).map_err(|error| damaged(&error))
}

pub(crate) fn put_state(transaction: &mut dyn Transaction, sequence: Oid, state: &SequenceState) {
    transaction.put(sequence_state_key(sequence), encode_row(state.epoch, state), WriteKind::NoKeyUpdate);
}

/// The sequence's descriptor in its newest version; 42809 if it is another relation.
pub(super) async fn newest_sequence(
    transaction: &mut dyn Transaction,
    cache: &DescriptorCache,
    oid: Oid,
) -> PgResult<Arc<Table>> {
    let bytes = transaction.get_newest(&descriptor_key(oid)).await?.ok_or_else(|| gone(oid))?;
    let table = cache.table(&bytes)?;
    match table.sequence() {
        Some(_) => Ok(table),
        None => Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, format!("\"{}\" is not a sequence", table.name))),
    }
}

pub(super) fn gone(sequence: Oid) -> Box<PgError> {
    PgError::new(sqlstate::UNDEFINED_TABLE, format!("could not open relation with OID {sequence}"))
}

/// The rest of a block that nobody may take of until a transaction is over.
#[derive(Debug)]
pub(super) struct Surrendered {
    sequence: Oid,
    epoch: u64,
    left: u64,
}

/// The blocks of a region, by sequence. A block is refilled by one session at a time; the others wait for it.
#[derive(Debug, Default)]
pub struct BlockCache {
    blocks: Mutex<HashMap<Oid, Arc<tokio::sync::Mutex<Block>>>>,
}

impl BlockCache {
    pub(super) fn block(&self, sequence: Oid) -> Arc<tokio::sync::Mutex<Block>> {
        Arc::clone(self.blocks.lock().entry(sequence).or_default())
    }

    /// What to show of a state: not the end of this region's block, but what of it was handed out.
    pub fn shown(&self, sequence: Oid, state: &mut SequenceState) {
        let Some(block) = self.blocks.lock().get(&sequence).cloned() else { return };
        let Ok(block) = block.try_lock() else { return };
        block.correct(state);
    }

    /// Gives back what of the newest block was not handed out. The caller holds the state's row lock, so nobody takes another
    /// block before it is done. A block that is in use is left alone: then the gap is its
    /// rest. (Waiting for it could be for ever: whoever takes a block waits for the row.)
    pub(super) fn surrender(&self, sequence: Oid, state: &mut SequenceState) -> Option<Surrendered> {
        let block = self.block(sequence);
        let mut block = block.try_lock().ok()?;
        block.correct(state);
        let left = std::mem::take(&mut block.left);
        (left > 0).then_some(Surrendered { sequence, epoch: block.epoch, left })
    }

    /// The transaction that a block was given up for is over. If it failed the block is as good as before; if not, its epoch is
    /// past and nobody takes of it.
    pub(super) fn restore(&self, surrendered: &Surrendered) {
        let block = self.block(surrendered.sequence);
        if let Ok(mut block) = block.try_lock() {
            if block.left == 0 && block.epoch == surrendered.epoch {
                block.left = surrendered.left;
            }
        }
    }
}

impl Block {
    /// If this is the block that a state ends with: the last value that was handed out of it.
    fn correct(&self, state: &mut SequenceState) {
        let left = i64::try_from(self.left).unwrap_or(i64::MAX);
        let end = self.next.wrapping_add(self.step.wrapping_mul(left.wrapping_sub(1)));
        if self.left > 0 && self.epoch == state.epoch && state.is_called && end == state.last_value {
            state.last_value = self.next.wrapping_sub(self.step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_types::oid;

    fn sequence(increment: i64, minimum: i64, maximum: i64, cycles: bool) -> Sequence {
        let start = if increment > 0 { minimum } else { maximum };
        Sequence { type_oid: oid::INT8, start, increment, minimum, maximum, cache: 1, cycles, owned_by: None }
    }

    #[test]
    fn blocks_follow_each_other_and_end_at_the_limit() {
        let limited = sequence(3, 1, 10, false);
        let mut state = SequenceState::start(1, &limited);
        assert_eq!(state.advance("s", &limited, 2).expect("room"), (1, 2));
        assert_eq!(state.advance("s", &limited, 32).expect("room"), (7, 2));
        assert_eq!(state.last_value, 10);
        let error = state.advance("s", &limited, 1).expect_err("the end");
        assert_eq!(error.message, "nextval: reached maximum value of sequence \"s\" (10)");
    }

    #[test]
    fn a_cycle_turns_at_either_end() {
        let down = sequence(-1, -3, -1, true);
        let mut state = SequenceState::start(1, &down);
        assert_eq!(state.advance("s", &down, 32).expect("room"), (-1, 3));
        assert_eq!(state.advance("s", &down, 2).expect("it turns"), (-1, 2));
        let whole = sequence(i64::MAX, i64::MIN, i64::MAX, false);
        let mut state = SequenceState::start(1, &whole);
        assert_eq!(state.advance("s", &whole, 32).expect("room"), (i64::MIN, 3));
    }
}
