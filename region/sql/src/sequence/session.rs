//! What a session knows of sequences, and the functions that move them.
use super::block::{SequenceState, Surrendered, gone, locked_state, newest_sequence, put_state};
use crate::catalog::{
    DescriptorCache, ObjectClass, Privileges, ROLE_NAME, damaged, decode_row, descriptor_key, encode_row, first_acl,
    load_roles, roles_stamp_key, sequence_epoch_key, stamp_of,
};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use trivet_txn::{Database, Isolation, Transaction, WriteKind};
use trivet_types::{Oid, PgError, PgResult, sqlstate};

/// `currval`, `lastval`, and which sequences the open transaction made or altered.
pub struct SessionSequences {
    pub cache: Arc<DescriptorCache>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    current: HashMap<Oid, i64>,
    last: Option<Oid>,
    /// Epochs that are not committed yet.
    own_epochs: HashSet<u64>,
    /// How far sequences with such an epoch went: a savepoint that is rolled back to does not take values back.
    own_states: HashMap<Oid, SequenceState>,
    surrendered: Vec<Surrendered>,
    /// The current role.
    user: Option<Arc<str>>,
    /// What was found to be allowed, by the stamps of the sequence and of all roles.
    allowed: HashSet<(Oid, Option<u64>, Option<u64>, Privileges)>,
}

impl SessionSequences {
    pub fn new(cache: Arc<DescriptorCache>) -> Arc<SessionSequences> {
        Arc::new(SessionSequences { cache, memory: Mutex::default() })
    }

    /// The role whose privileges count from now on.
    pub fn act_as(&self, user: Arc<str>) {
        let mut memory = self.memory.lock();
        if memory.user.as_ref() != Some(&user) {
            memory.allowed.clear();
            memory.user = Some(user);
        }
    }

    /// 42501 unless the current role has one of the privileges. An identity column's sequence is its table's affair.
    async fn check(&self, transaction: &mut dyn Transaction, sequence: Oid, any: Privileges) -> PgResult<()> {
        let Some(user) = self.memory.lock().user.clone().filter(|user| **user != *ROLE_NAME) else { return Ok(()) };
        let Some(bytes) = transaction.get_newest(&descriptor_key(sequence)).await? else { return Ok(()) };
        let of_roles = transaction.get(&roles_stamp_key()).await?;
        let known = (sequence, stamp_of(&bytes), of_roles.as_deref().and_then(stamp_of), any);
        if self.memory.lock().allowed.contains(&known) {
            return Ok(());
        }
        let table = self.cache.table(&bytes)?;
        let is_identity =
            table.sequence().and_then(|sequence| sequence.owned_by).is_some_and(|(_, _, identity)| identity);
        let roles = load_roles(transaction).await?;
        let acl = table.acl.clone().unwrap_or_else(|| first_acl(ObjectClass::Sequence, table.owner));
        let role = roles.named(&user).map(|role| role.oid).unwrap_or_default();
        if !is_identity && roles.granted(role, table.owner, &acl, any).is_empty() {
            let message = format!("permission denied for sequence {}", table.name);
            return Err(PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message));
        }
        self.memory.lock().allowed.insert(known);
        Ok(())
    }

    /// The open transaction gave a sequence a new epoch.
    pub fn made(&self, epoch: u64) {
        self.memory.lock().own_epochs.insert(epoch);
    }
    /// The open transaction is over.
    pub fn transaction_ended(&self) {
        let mut memory = self.memory.lock();
        for block in memory.surrendered.drain(..) {
            self.cache.sequences.restore(&block);
        }
        if !memory.own_epochs.is_empty() {
            memory.own_epochs.clear();
            memory.own_states.clear();
        }
    }
    /// The open transaction, which holds the state's row, counts on from what was handed out.
    pub fn surrender(&self, sequence: Oid, state: &mut SequenceState) {
        let surrendered = self.cache.sequences.surrender(sequence, state);
        self.memory.lock().surrendered.extend(surrendered);
    }
    /// DISCARD SEQUENCES
    pub fn forget(&self) {
        let mut memory = self.memory.lock();
        memory.current.clear();
        memory.last = None;
    }
    pub fn current(&self, sequence: Oid) -> Option<i64> {
        self.memory.lock().current.get(&sequence).copied()
    }
    pub fn last(&self) -> Option<i64> {
        let memory = self.memory.lock();
        memory.last.and_then(|sequence| memory.current.get(&sequence).copied())
    }
    fn is_own(&self, epoch: u64) -> bool {
        self.memory.lock().own_epochs.contains(&epoch)
    }
    fn note(&self, sequence: Oid, value: i64) {
        let mut memory = self.memory.lock();
        memory.current.insert(sequence, value);
        memory.last = Some(sequence);
    }
}

/// The epoch at last received, own writes first.
async fn epoch_of(transaction: &mut dyn Transaction, cache: &DescriptorCache, sequence: Oid) -> PgResult<u64> {
    match transaction.get_newest(&sequence_epoch_key(sequence)).await? {
        Some(bytes) => decode_row(&bytes).map_err(|error| damaged(&error)),
        None => {
            // Another relation, or none: this says which.
            newest_sequence(transaction, cache, sequence).await?;
            Err(gone(sequence))
        }
    }
}

/// `nextval`
pub async fn next_value(
    session: &SessionSequences,
    database: &dyn Database,
    transaction: &mut dyn Transaction,
    sequence: Oid,
) -> PgResult<i64> {
    let cache = &*session.cache;
    let epoch = epoch_of(transaction, cache, sequence).await?;
    session.check(transaction, sequence, Privileges::USAGE.with(Privileges::UPDATE)).await?;
    let value = if session.is_own(epoch) {
        let mut state = locked_state(transaction, sequence).await?;
        let furthest = session.memory.lock().own_states.get(&sequence).copied();
        if let Some(furthest) = furthest.filter(|furthest| furthest.epoch == state.epoch) {
            state = furthest;
        }
        let table = newest_sequence(transaction, cache, sequence).await?;
        let options = table.sequence().expect("newest_sequence gives sequences");
        let (value, _) = state.advance(&table.name, options, 1)?;
        put_state(transaction, sequence, &state);
        session.memory.lock().own_states.insert(sequence, state);
        value
    } else {
        let block = cache.sequences.block(sequence);
        let mut block = block.lock().await;
        match block.take(epoch) {
            Some(value) => value,
            None => {
                block.refill(database, cache, sequence).await?;
                block.take_any().ok_or_else(|| PgError::internal("a new block of a sequence is empty"))?
            }
        }
    };
    session.note(sequence, value);
    Ok(value)
}

/// `setval`: at once, whatever becomes of the transaction around it, as in PostgreSQL.
pub async fn set_value(
    session: &SessionSequences,
    database: &dyn Database,
    transaction: &mut dyn Transaction,
    sequence: Oid,
    value: i64,
    is_called: bool,
) -> PgResult<i64> {
    const TRIES: usize = 100;
    let epoch = epoch_of(transaction, &session.cache, sequence).await?;
    session.check(transaction, sequence, Privileges::UPDATE).await?;
    if session.is_own(epoch) {
        let epoch = set_within(session, database, transaction, sequence, value, is_called).await?;
        session.made(epoch);
    } else {
        for attempt in 1.. {
            let mut own = database.begin(Isolation::ReadCommitted, false);
            own.statement().await?;
            let done = match set_within(session, database, &mut *own, sequence, value, is_called).await {
                Ok(_) => own.commit().await.map(|_| ()),
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => break,
                Err(error) if error.code == sqlstate::SERIALIZATION_FAILURE && attempt < TRIES => own.rollback(),
                Err(error) => {
                    own.rollback();
                    return Err(error);
                }
            }
        }
    }
    if is_called {
        session.memory.lock().current.insert(sequence, value);
    }
    Ok(value)
}

/// Writes the new state under a new epoch, which is returned.
async fn set_within(
    session: &SessionSequences,
    database: &dyn Database,
    transaction: &mut dyn Transaction,
    sequence: Oid,
    value: i64,
    is_called: bool,
) -> PgResult<u64> {
    let mut state = locked_state(transaction, sequence).await?;
    let table = newest_sequence(transaction, &session.cache, sequence).await?;
    let options = table.sequence().expect("newest_sequence gives sequences");
    if !(options.minimum..=options.maximum).contains(&value) {
        let message = format!(
            "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
            table.name, options.minimum, options.maximum
        );
        return Err(PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    state.epoch = database.row_ids(1);
    state.last_value = value;
    state.is_called = is_called;
    put_state(transaction, sequence, &state);
    put_epoch(transaction, sequence, state.epoch);
    Ok(state.epoch)
}

/// The state's row must be locked: it guards the epoch, too.
pub(crate) fn put_epoch(transaction: &mut dyn Transaction, sequence: Oid, epoch: u64) {
    transaction.put(sequence_epoch_key(sequence), encode_row(epoch, &epoch), WriteKind::NoKeyUpdate);
}
