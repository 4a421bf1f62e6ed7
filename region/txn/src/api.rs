//! What the SQL engine sees: one `Database` a region, one `Transaction` a client transaction.
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use trivet_storage::{KeyRange, Row};
use trivet_types::PgResult;

/// PostgreSQL's row lock strengths (manual, section 13.3.2), weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LockStrength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockWait {
    Wait,
    NoWait,
    SkipLocked,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// A snapshot: the log index (and its term, T3) that reads see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot {
    pub index: u64,
    pub term: u64,
}

/// A snapshot at which something was found to be true of the watched keys (the catalog).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    pub(crate) at: u64,
    /// Truncations before it: an index means another entry after one.
    pub(crate) epoch: u64,
}

/// What locking a row found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Locked {
    /// Nobody wrote it since the statement's snapshot: `value` is what the statement saw (`None`: no live row).
    Unchanged(Option<Bytes>),
    /// READ COMMITTED: a newer version is there (`None`: it was deleted). Re-evaluate on it; the key's positions have moved (T2).
    Newer(Option<Bytes>),
    /// SKIP LOCKED, and another transaction of this region holds it.
    Skipped,
}

/// How a write conflicts with row locks: UPDATE strength if it deletes or changes a key that others may reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteKind {
    NoKeyUpdate,
    Update,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Savepoint(pub u64);

/// Where a commit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// `None`: nothing was written.
    pub index: Option<u64>,
}

/// Work that a commit asks every region to do with what the log already holds, in log order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Build an index from the rows of `table` as of this record: the table range was read whole and is
    /// certified unwritten since. `spec` is the SQL engine's own bytes, handed to its `IndexBuilder`.
    FillIndex { table: KeyRange, index: KeyRange, spec: Bytes },
    /// The range is dead for every snapshot at or after this record; its bytes go when the horizon passes.
    DropRange { range: KeyRange },
}

/// Turns rows into index entries while an index is filled. Pure; the SQL engine implements it.
pub trait IndexBuilder: Send + Sync + 'static {
    /// Append the (key, value) entries of one row.
    fn entries(&self, spec: &[u8], row: &Row, out: &mut Vec<(Bytes, Bytes)>) -> Result<(), String>;
    /// The keys of [`Transaction::watch`].
    fn watched(&self) -> Option<KeyRange> {
        None
    }
    /// A key in words, for the DETAIL of an error: `table accounts, key (7)`. `None`: show its bytes.
    fn describe_key(&self, _key: &[u8]) -> Option<String> {
        None
    }
}

/// Is told what the store of this region gets, whichever region wrote it, in log order: for guesses, since a restart tells
/// some of it again. Called while entries are applied, so it must be quick and may not wait.
pub trait Observer: Send + Sync + 'static {
    fn written(&self, writes: &[(Bytes, u64, Option<Bytes>)]);
}

#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// No message, no wait: the first statement takes the snapshot.
    fn begin(&self, isolation: Isolation, read_only: bool) -> Box<dyn Transaction>;
    /// Row ids that no other node and no other start of this one hands out: `count` in a row from the returned one.
    fn row_ids(&self, count: u64) -> u64;
    /// Somebody wants to know what is written, from now on.
    fn observe(&self, observer: Arc<dyn Observer>);
    /// About how many bytes of a range lie in files, compressed; what was written lately may be missing.
    fn stored_bytes(&self, range: &KeyRange) -> u64;
    /// 57P03 while this region can neither read strongly nor write.
    fn ready(&self) -> PgResult<()>;
}

/// One transaction. Every error leaves it such that `rollback` and `rollback_to` work.
#[async_trait]
pub trait Transaction: Send {
    fn isolation(&self) -> Isolation;
    fn set_isolation(&mut self, isolation: Isolation) -> PgResult<()>;
    /// Start of a statement. READ COMMITTED takes a new snapshot, the others keep the first (57P03 without a lease).
    async fn statement(&mut self) -> PgResult<Snapshot>;
    fn snapshot(&self) -> Option<Snapshot>;
    /// T23: from now on statements see what was committed at this time, in microseconds since 1970, and nothing may be written
    /// or locked. 22023 if that is too long ago or in the future, 57P03 if only another region could tell.
    async fn read_as_of(&mut self, time: i64) -> PgResult<()>;
    /// Without a lease, statements see what this region has applied, however old that is; a transaction that did so can only
    /// read. Asked for before a statement.
    fn allow_stale(&mut self, allowed: bool);
    /// To be kept with what this statement's snapshot says of the watched keys. `None` if that is not all there is to it:
    /// this transaction has written one itself, or has to tell what it read.
    fn watch(&self) -> Option<Watch>;
    /// What was kept with `since` is true at this statement's snapshot too: nobody wrote a watched key in between. `false` if
    /// it cannot tell. No IO, no wait.
    fn unchanged(&self, since: Watch) -> bool;
    /// Until the next `statement`, `get`, `get_many` and `scan` see own writes as they are now, whatever is written meanwhile:
    /// for a statement whose parts write and read. Locks and `get_newest` see all of them.
    fn hold_view(&mut self);
    fn release_view(&mut self);
    /// The buffer first, then the snapshot. Waits for an unresolved write of the key at or below it.
    async fn get(&mut self, key: &[u8]) -> PgResult<Option<Bytes>>;
    /// Many at once; waits once for all of them.
    async fn get_many(&mut self, keys: &[Bytes]) -> PgResult<Vec<Option<Bytes>>>;
    /// The next rows of the range, at most `limit`, own writes merged in. Continue with a range that starts after the last key.
    async fn scan(&mut self, range: &KeyRange, reverse: bool, limit: usize) -> PgResult<Vec<Row>>;
    /// The newest resolved version at last received (unique probes, referential checks: T10), own writes first.
    async fn get_newest(&mut self, key: &[u8]) -> PgResult<Option<Bytes>>;
    /// Lock first, then read the newest resolved version (T14). 40001 under REPEATABLE READ if it is newer than the
    /// snapshot; 55P03 for NOWAIT; 40P01 for a deadlock. A lock that is to be certified although nothing is written
    /// to the key becomes a guard of the commit record.
    async fn lock(&mut self, key: &[u8], strength: LockStrength, wait: LockWait) -> PgResult<Locked>;
    /// Lock within this region only: nothing is read, nothing is certified. For what other sessions here should wait for.
    async fn lock_here(&mut self, key: &[u8], strength: LockStrength, wait: LockWait) -> PgResult<bool>;
    /// Lock a key that may not exist, for an insert of a unique entry: waits for others that insert it;
    /// returns the newest value, if a live one is there.
    async fn lock_for_insert(&mut self, key: &[u8]) -> PgResult<Option<Bytes>>;
    /// Buffer a write. The key is locked already (`lock`, `lock_for_insert`), or is new to the world (`row_ids`).
    fn put(&mut self, key: Bytes, value: Bytes, kind: WriteKind);
    fn delete(&mut self, key: Bytes);
    /// The commit is rejected if a key of this range was written after this transaction's snapshot.
    fn guard_range(&mut self, range: KeyRange);
    /// The commit is rejected (and the statement replanned or 40001) if this key changed after `version_seen_at`: schema guards, T19.
    fn guard_schema(&mut self, key: Bytes);
    fn action(&mut self, action: Action);
    fn savepoint(&mut self) -> Savepoint;
    /// Undo everything since; the savepoint stays.
    fn rollback_to(&mut self, savepoint: Savepoint);
    /// Forget a savepoint and those after it; what was done stays. Statement savepoints should end here, or the undo log grows.
    fn release(&mut self, savepoint: Savepoint);
    fn has_writes(&self) -> bool;
    /// Bytes buffered. Past a bound the implementation ships parts ahead of the commit by itself (`spill`).
    fn buffered_bytes(&self) -> usize;
    /// Called between batches of a large statement: ships buffered writes as parts when they are many (T8), with flow control.
    async fn spill(&mut self) -> PgResult<()>;
    /// 40001 with key and region in DETAIL; 40003 when the fate is unknown; 57P03 when it was surely not done.
    async fn commit(&mut self) -> PgResult<Committed>;
    /// Begin anew after a 40001, keeping the row locks (T14): nothing buffered, no snapshot.
    fn restart(&mut self);
    fn rollback(&mut self);
}
