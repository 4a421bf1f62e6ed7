//! A transaction over the region's database and a session's own.
use super::{BYTES_MAX, is_own, sides};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use trivet_storage::{KeyRange, MemoryStore, Row};
use trivet_txn::{
    Action, Committed, Database, Isolation, LockStrength, LockWait, Locked, Observer, Savepoint, Snapshot, Transaction,
    Watch, WriteKind,
};
use trivet_types::{PgError, PgResult, sqlstate};

/// The region's database with a session's own on top.
pub struct LayeredDatabase {
    main: Arc<dyn Database>,
    own: Arc<dyn Database>,
    room: Arc<Room>,
}

/// What the session's own database takes.
struct Room {
    store: Arc<MemoryStore>,
    /// Written since it was last counted, on top of what was counted then.
    bytes: Mutex<usize>,
}

impl Room {
    fn add(&self, bytes: usize) {
        *self.bytes.lock() += bytes;
    }

    /// 53200 beyond the bound. What was overwritten counts until it is collected.
    fn check(&self) -> PgResult<()> {
        let mut bytes = self.bytes.lock();
        if *bytes <= BYTES_MAX {
            return Ok(());
        }
        *bytes = self.store.stored_bytes();
        if *bytes <= BYTES_MAX {
            return Ok(());
        }
        let message = "temporary tables of this session take too much memory";
        Err(PgError::new(sqlstate::OUT_OF_MEMORY, message)
            .detail(format!("They take {} MB of at most {}.", *bytes >> 20, BYTES_MAX >> 20))
            .hint("Truncate or drop some, or use DISCARD TEMP."))
    }
}

impl LayeredDatabase {
    pub fn new(main: Arc<dyn Database>) -> LayeredDatabase {
        let store = Arc::new(MemoryStore::new());
        let own = trivet_txn::local_database(store.clone(), crate::index_builder());
        LayeredDatabase { main, own, room: Arc::new(Room { store, bytes: Mutex::new(0) }) }
    }

    fn layer(&self, main: Box<dyn Transaction>) -> Box<dyn Transaction> {
        let mut own = self.own.begin(Isolation::ReadCommitted, false);
        let first = own.savepoint();
        Box::new(Layered { main, own, first, marks: Vec::new(), room: Arc::clone(&self.room) })
    }
}

/// Goes on with a transaction that began before the session had temporary tables.
pub fn attach(database: &LayeredDatabase, transaction: &mut Box<dyn Transaction>) {
    // Nothing is sent for a transaction that does nothing.
    let placeholder = database.main.begin(Isolation::ReadCommitted, true);
    let main = std::mem::replace(transaction, placeholder);
    *transaction = database.layer(main);
}

impl Database for LayeredDatabase {
    fn begin(&self, isolation: Isolation, read_only: bool) -> Box<dyn Transaction> {
        self.layer(self.main.begin(isolation, read_only))
    }
    fn row_ids(&self, count: u64) -> u64 {
        self.main.row_ids(count)
    }
    fn ready(&self) -> PgResult<()> {
        self.main.ready()
    }
    /// What is the session's own is counted by its session.
    fn observe(&self, observer: Arc<dyn Observer>) {
        self.main.observe(observer);
    }
    fn stored_bytes(&self, range: &KeyRange) -> u64 {
        self.main.stored_bytes(range)
    }
}

struct Layered {
    main: Box<dyn Transaction>,
    own: Box<dyn Transaction>,
    /// Before anything was written to `own`.
    first: Savepoint,
    /// Savepoints of both, by main's.
    marks: Vec<(Savepoint, Savepoint)>,
    room: Arc<Room>,
}

impl Layered {
    fn side(&mut self, key: &[u8]) -> &mut Box<dyn Transaction> {
        if is_own(key) { &mut self.own } else { &mut self.main }
    }

    /// Own statements see what is there now: nobody else writes it.
    async fn own_statement(&mut self) -> PgResult<()> {
        self.own.statement().await.map(|_| ())
    }
}

#[async_trait]
impl Transaction for Layered {
    fn isolation(&self) -> Isolation {
        self.main.isolation()
    }
    fn set_isolation(&mut self, isolation: Isolation) -> PgResult<()> {
        self.main.set_isolation(isolation)
    }
    async fn statement(&mut self) -> PgResult<Snapshot> {
        self.room.check()?;
        self.own_statement().await?;
        self.main.statement().await
    }
    fn snapshot(&self) -> Option<Snapshot> {
        self.main.snapshot()
    }
    async fn read_as_of(&mut self, time: i64) -> PgResult<()> {
        self.main.read_as_of(time).await
    }
    fn allow_stale(&mut self, allowed: bool) {
        self.main.allow_stale(allowed);
    }
    /// Main's snapshot says nothing of what is the session's own.
    fn watch(&self) -> Option<Watch> {
        None
    }
    fn unchanged(&self, _since: Watch) -> bool {
        false
    }
    fn hold_view(&mut self) {
        self.main.hold_view();
        self.own.hold_view();
    }
    fn release_view(&mut self) {
        self.main.release_view();
        self.own.release_view();
    }
    async fn get(&mut self, key: &[u8]) -> PgResult<Option<Bytes>> {
        self.side(key).get(key).await
    }
    async fn get_many(&mut self, keys: &[Bytes]) -> PgResult<Vec<Option<Bytes>>> {
        let (own, main): (Vec<Bytes>, Vec<Bytes>) = keys.iter().cloned().partition(|key| is_own(key));
        if own.is_empty() {
            return self.main.get_many(keys).await;
        }
        let mut of_own = self.own.get_many(&own).await?.into_iter();
        let mut of_main = self.main.get_many(&main).await?.into_iter();
        let next = keys.iter().map(|key| if is_own(key) { of_own.next() } else { of_main.next() });
        Ok(next.map(Option::flatten).collect())
    }
    async fn scan(&mut self, range: &KeyRange, reverse: bool, limit: usize) -> PgResult<Vec<Row>> {
        let (first, second) = match sides(&range.start, &range.end) {
            (true, false) => return self.main.scan(range, reverse, limit).await,
            (false, _) => return self.own.scan(range, reverse, limit).await,
            // Own keys are the greater ones.
            (true, true) if reverse => (&mut self.own, &mut self.main),
            (true, true) => (&mut self.main, &mut self.own),
        };
        let mut rows = first.scan(range, reverse, limit).await?;
        if rows.len() < limit {
            rows.extend(second.scan(range, reverse, limit - rows.len()).await?);
        }
        Ok(rows)
    }
    async fn get_newest(&mut self, key: &[u8]) -> PgResult<Option<Bytes>> {
        self.side(key).get_newest(key).await
    }
    async fn lock(&mut self, key: &[u8], strength: LockStrength, wait: LockWait) -> PgResult<Locked> {
        self.side(key).lock(key, strength, wait).await
    }
    async fn lock_here(&mut self, key: &[u8], strength: LockStrength, wait: LockWait) -> PgResult<bool> {
        self.side(key).lock_here(key, strength, wait).await
    }
    async fn lock_for_insert(&mut self, key: &[u8]) -> PgResult<Option<Bytes>> {
        self.side(key).lock_for_insert(key).await
    }
    fn put(&mut self, key: Bytes, value: Bytes, kind: WriteKind) {
        if is_own(&key) {
            self.room.add(key.len() + value.len());
            self.own.put(key, value, kind);
        } else {
            self.main.put(key, value, kind);
        }
    }
    fn delete(&mut self, key: Bytes) {
        if is_own(&key) {
            self.own.delete(key);
        } else {
            self.main.delete(key);
        }
    }
    fn guard_range(&mut self, range: KeyRange) {
        // What is the session's own nobody else can change.
        if sides(&range.start, &range.end).0 {
            self.main.guard_range(range);
        }
    }
    fn guard_schema(&mut self, key: Bytes) {
        if !is_own(&key) {
            self.main.guard_schema(key);
        }
    }
    fn action(&mut self, action: Action) {
        let range = match &action {
            Action::FillIndex { table, .. } => table,
            Action::DropRange { range } => range,
        };
        if is_own(&range.start) { self.own.action(action) } else { self.main.action(action) }
    }
    fn savepoint(&mut self) -> Savepoint {
        let (main, own) = (self.main.savepoint(), self.own.savepoint());
        self.marks.push((main, own));
        main
    }
    fn rollback_to(&mut self, savepoint: Savepoint) {
        self.main.rollback_to(savepoint);
        match self.marks.iter().position(|(main, _)| *main == savepoint) {
            Some(at) => {
                self.own.rollback_to(self.marks[at].1);
                self.marks.truncate(at + 1);
            }
            // Older than the session's own database.
            None => {
                self.own.rollback_to(self.first);
                self.marks.clear();
            }
        }
    }
    fn release(&mut self, savepoint: Savepoint) {
        self.main.release(savepoint);
        if let Some(at) = self.marks.iter().position(|(main, _)| *main == savepoint) {
            self.own.release(self.marks[at].1);
            self.marks.truncate(at);
        }
    }
    fn has_writes(&self) -> bool {
        self.main.has_writes() || self.own.has_writes()
    }
    fn buffered_bytes(&self) -> usize {
        self.main.buffered_bytes() + self.own.buffered_bytes()
    }
    async fn spill(&mut self) -> PgResult<()> {
        self.room.check()?;
        self.own.spill().await?;
        self.main.spill().await
    }
    async fn commit(&mut self) -> PgResult<Committed> {
        let committed = self.main.commit().await?;
        self.own.commit().await?;
        Ok(committed)
    }
    fn restart(&mut self) {
        self.main.restart();
        self.own.restart();
        self.first = self.own.savepoint();
        self.marks.clear();
    }
    fn rollback(&mut self) {
        self.main.rollback();
        self.own.rollback();
        self.marks.clear();
    }
}
