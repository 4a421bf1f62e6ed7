//! What a session holds, and how it waits.
use super::ticket::{self, Taken, Ticket};
use super::{AdvisoryCall, LockName, Verb, mode_name};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use trivet_txn::{Database, LockStrength, LockWait, Locked, Transaction};
use trivet_types::{Datum, PgError, PgResult, Severity, sqlstate};

const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How a statement may lock: for how long, and for which session.
#[derive(Clone, Default)]
pub struct LockRules {
    /// `lock_timeout`
    pub limit: Option<Duration>,
    /// `None`: no session asks, as when an index is filled.
    pub session: Option<Arc<SessionLocks>>,
}

impl LockRules {
    /// 55P03 if it takes longer.
    pub async fn within<T>(&self, work: impl Future<Output = PgResult<T>>) -> PgResult<T> {
        let Some(limit) = self.limit else { return work.await };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(PgError::new(sqlstate::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")),
        }
    }
}

/// Which sessions of this region wait for which others' tickets.
#[derive(Default)]
pub struct Waits {
    edges: Mutex<HashMap<u64, Vec<u64>>>,
}

impl Waits {
    /// A way from one of the blockers back to the waiter.
    fn closes_circle(&self, waiter: u64, blockers: Vec<u64>) -> bool {
        let mut edges = self.edges.lock();
        let mut to_visit = blockers.clone();
        let mut visited = HashSet::new();
        while let Some(session) = to_visit.pop() {
            if session == waiter {
                return true;
            }
            if visited.insert(session) {
                to_visit.extend(edges.get(&session).into_iter().flatten());
            }
        }
        edges.insert(waiter, blockers);
        false
    }

    fn over(&self, waiter: u64) {
        self.edges.lock().remove(&waiter);
    }
}

/// Ends a wait, however it ends.
struct Waiting<'a>(&'a Waits, u64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.over(self.1);
    }
}

/// A session's locks. Its last drop gives back what is left.
pub struct SessionLocks {
    database: Arc<dyn Database>,
    waits: Arc<Waits>,
    number: OnceLock<u64>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// By name and whether it is shared: how often, with which ticket.
    locks: HashMap<(LockName, bool), (u64, u64)>,
    /// What the open transaction has locked for itself.
    of_transaction: HashSet<LockName>,
    /// Something was taken or given back since the last transaction ended: the statement must not run twice (T16).
    touched: bool,
    notices: Vec<PgError>,
}

impl SessionLocks {
    pub fn new(database: Arc<dyn Database>, waits: Arc<Waits>) -> Arc<SessionLocks> {
        Arc::new(SessionLocks { database, waits, number: OnceLock::new(), held: Mutex::default() })
    }

    fn number(&self) -> u64 {
        *self.number.get_or_init(|| self.database.row_ids(1))
    }

    pub fn is_touched(&self) -> bool {
        self.held.lock().touched
    }

    pub fn transaction_ended(&self) {
        let mut held = self.held.lock();
        held.of_transaction.clear();
        held.touched = false;
    }

    pub fn take_notices(&self) -> Vec<PgError> {
        std::mem::take(&mut self.held.lock().notices)
    }

    /// One of the functions. They are strict.
    pub async fn call(
        &self,
        call: AdvisoryCall,
        rules: &LockRules,
        transaction: &mut dyn Transaction,
        arguments: &[Datum],
    ) -> PgResult<Datum> {
        if arguments.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        let shared = call.shared;
        let name = match arguments {
            [] if call.verb == Verb::UnlockAll => {
                self.unlock_all().await?;
                return Ok(Datum::text(""));
            }
            [Datum::Int8(number)] => LockName::One(*number),
            [Datum::Int4(first), Datum::Int4(second)] => LockName::Pair(*first, *second),
            _ => return Err(PgError::internal("an advisory lock on something else than one or two numbers")),
        };
        let (taken, attempt) = match call.verb {
            Verb::LockForTransaction { attempt } => {
                (rules.within(self.lock_for_transaction(transaction, name, shared, attempt)).await?, attempt)
            }
            Verb::LockForSession { attempt } => (rules.within(self.lock(name, shared, attempt)).await?, attempt),
            Verb::Unlock => (self.unlock(name, shared).await?, true),
            Verb::UnlockAll => return Err(PgError::internal("all locks have no number")),
        };
        // What `void` shows is nothing.
        Ok(if attempt { Datum::Bool(taken) } else { Datum::text("") })
    }

    async fn lock_for_transaction(
        &self,
        transaction: &mut dyn Transaction,
        name: LockName,
        shared: bool,
        attempt: bool,
    ) -> PgResult<bool> {
        let (key, session) = (name.guard(), self.number());
        let strength = if shared { LockStrength::Share } else { LockStrength::Update };
        let wait = if attempt { LockWait::SkipLocked } else { LockWait::Wait };
        let mut pause = PAUSE_FIRST;
        let _waiting = Waiting(&self.waits, session);
        loop {
            let savepoint = transaction.savepoint();
            let locked = transaction.lock(&key, strength, wait).await?;
            if locked == Locked::Skipped {
                transaction.release(savepoint);
                return Ok(false);
            }
            let blockers = ticket::blockers(&ticket::newest(transaction, name).await?, session, shared, session);
            if blockers.is_empty() {
                transaction.release(savepoint);
                self.held.lock().of_transaction.insert(name);
                return Ok(true);
            }
            transaction.rollback_to(savepoint);
            transaction.release(savepoint);
            if attempt {
                return Ok(false);
            }
            self.pause(name, shared, blockers, &mut pause).await?;
        }
    }

    async fn lock(&self, name: LockName, shared: bool, attempt: bool) -> PgResult<bool> {
        if let Some((count, _)) = self.held.lock().locks.get_mut(&(name, shared)) {
            *count += 1;
            return Ok(true);
        }
        if self.held.lock().of_transaction.contains(&name) {
            // The ticket would have to outlive a lock that it waits for.
            return Err(PgError::unsupported(
                "a session's advisory lock on what the open transaction has locked already",
            ));
        }
        let ticket = Ticket { id: self.database.row_ids(1), session: self.number(), shared };
        let wait = if attempt { LockWait::SkipLocked } else { LockWait::Wait };
        let mut pause = PAUSE_FIRST;
        let _waiting = Waiting(&self.waits, ticket.session);
        loop {
            match ticket::take(&self.database, name, ticket, wait).await? {
                Taken::Yes => break,
                Taken::Skipped => return Ok(false),
                Taken::No(_) if attempt => return Ok(false),
                Taken::No(blockers) => self.pause(name, shared, blockers, &mut pause).await?,
            }
        }
        let mut held = self.held.lock();
        held.locks.insert((name, shared), (1, ticket.id));
        held.touched = true;
        Ok(true)
    }

    async fn pause(&self, name: LockName, shared: bool, blockers: Vec<u64>, pause: &mut Duration) -> PgResult<()> {
        let blocker = blockers.first().copied().unwrap_or_default();
        if self.waits.closes_circle(self.number(), blockers) {
            let detail = format!(
                "Session {} waits for {} on advisory lock {}; blocked by session {blocker}.",
                self.number(),
                mode_name(shared),
                name.shown()
            );
            return Err(PgError::new(sqlstate::DEADLOCK_DETECTED, "deadlock detected")
                .detail(detail)
                .hint("See server log for query details."));
        }
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSE_MAX);
        Ok(())
    }

    async fn unlock(&self, name: LockName, shared: bool) -> PgResult<bool> {
        let given_back = {
            let mut held = self.held.lock();
            held.touched = true;
            match held.locks.get_mut(&(name, shared)) {
                None => {
                    let message = format!("you don't own a lock of type {}", mode_name(shared));
                    held.notices.push(*PgError::new(sqlstate::WARNING, message).severity(Severity::Warning));
                    return Ok(false);
                }
                Some((count, _)) if *count > 1 => {
                    *count -= 1;
                    return Ok(true);
                }
                Some(_) => held.locks.remove(&(name, shared)),
            }
        };
        let Some((_, id)) = given_back else { return Ok(false) };
        self.give_back(vec![(name, id)]).await;
        Ok(true)
    }

    /// `pg_advisory_unlock_all`, DISCARD ALL.
    pub async fn unlock_all(&self) -> PgResult<()> {
        let tickets = self.take_all();
        if !tickets.is_empty() {
            self.held.lock().touched = true;
            self.give_back(tickets).await;
        }
        Ok(())
    }

    fn take_all(&self) -> Vec<(LockName, u64)> {
        self.held.lock().locks.drain().map(|((name, _), (_, id))| (name, id)).collect()
    }

    /// Goes on though nobody waits for it.
    async fn give_back(&self, tickets: Vec<(LockName, u64)>) {
        let database = Arc::clone(&self.database);
        let task = tokio::spawn(async move { ticket::give_back(&database, tickets).await });
        // A panic there was reported where it happened.
        let _ = task.await;
    }
}

impl Drop for SessionLocks {
    fn drop(&mut self) {
        let tickets = self.take_all();
        // Without a runtime the process ends, and with it the boot that the tickets name.
        if let (false, Ok(runtime)) = (tickets.is_empty(), tokio::runtime::Handle::try_current()) {
            let database = Arc::clone(&self.database);
            runtime.spawn(async move { ticket::give_back(&database, tickets).await });
        }
    }
}
