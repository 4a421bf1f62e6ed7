//! The tickets of a session-level lock, and the small transactions that add and remove them.
use super::{LockName, all_tickets};
use crate::catalog::{damaged, decode_row, encode_row};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use trivet_txn::{Database, Isolation, LockStrength, LockWait, Locked, Transaction, WriteKind};
use trivet_types::{PgError, PgResult, sqlstate};

/// A ticket and a session are numbered as rows are: 24 bits of region and boot, 40 of a counter.
const COUNTER_BITS: u32 = 40;
const BOOT_BITS: u32 = 18;
/// How often a commit that met another is tried again.
const TRIES: usize = 1_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Ticket {
    pub id: u64,
    pub session: u64,
    pub shared: bool,
}

impl Ticket {
    /// Given out by an earlier boot of the region that `now` was numbered by.
    fn is_old(&self, now: u64) -> bool {
        let (own, ours) = (self.id >> COUNTER_BITS, now >> COUNTER_BITS);
        own >> BOOT_BITS == ours >> BOOT_BITS && own != ours
    }
}

fn decode(value: Option<&Bytes>) -> PgResult<Vec<Ticket>> {
    value.map_or(Ok(Vec::new()), |value| decode_row(value).map_err(|error| damaged(&error)))
}

fn write(transaction: &mut dyn Transaction, key: Bytes, tickets: &Vec<Ticket>) {
    match tickets.as_slice() {
        [] => transaction.delete(key),
        [.., last] => transaction.put(key, encode_row(last.id, tickets), WriteKind::NoKeyUpdate),
    }
}

/// Sessions with tickets that a lock of this kind has to wait for.
pub fn blockers(tickets: &[Ticket], session: u64, shared: bool, now: u64) -> Vec<u64> {
    let blocking = |ticket: &&Ticket| ticket.session != session && !(shared && ticket.shared) && !ticket.is_old(now);
    tickets.iter().filter(blocking).map(|ticket| ticket.session).collect()
}

/// The tickets as they are now.
pub async fn newest(transaction: &mut dyn Transaction, name: LockName) -> PgResult<Vec<Ticket>> {
    let value = transaction.get_newest(&name.tickets()).await?;
    decode(value.as_ref())
}

pub enum Taken {
    Yes,
    /// These sessions have it.
    No(Vec<u64>),
    /// Another transaction of this region has it.
    Skipped,
}

/// Try once to add a ticket. Dropping the future adds none, or takes it back.
pub async fn take(database: &Arc<dyn Database>, name: LockName, ticket: Ticket, wait: LockWait) -> PgResult<Taken> {
    for _ in 0..TRIES {
        let mut transaction = database.begin(Isolation::ReadCommitted, false);
        transaction.statement().await?;
        let strength = if ticket.shared { LockStrength::Share } else { LockStrength::Update };
        if transaction.lock(&name.guard(), strength, wait).await? == Locked::Skipped {
            return Ok(Taken::Skipped);
        }
        let key = name.tickets();
        let found = transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
        let (Locked::Unchanged(value) | Locked::Newer(value)) = found else {
            return Err(PgError::internal("a lock that waits was skipped"));
        };
        let mut tickets = decode(value.as_ref())?;
        tickets.retain(|other| !other.is_old(ticket.id));
        let blockers = blockers(&tickets, ticket.session, ticket.shared, ticket.id);
        if !blockers.is_empty() {
            return Ok(Taken::No(blockers));
        }
        tickets.push(ticket);
        write(&mut *transaction, key, &tickets);
        match commit(database, transaction, name, ticket).await {
            Err(error) if error.code == sqlstate::SERIALIZATION_FAILURE => tokio::task::yield_now().await,
            other => return other.map(|()| Taken::Yes),
        }
    }
    Err(PgError::new(sqlstate::LOCK_NOT_AVAILABLE, "could not take an advisory lock: others were faster each time"))
}

/// In a task of its own: once proposed, the ticket may be there, whatever becomes of who asked for it.
async fn commit(
    database: &Arc<dyn Database>,
    mut transaction: Box<dyn Transaction>,
    name: LockName,
    ticket: Ticket,
) -> PgResult<()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let database = Arc::clone(database);
    tokio::spawn(async move {
        let committed = transaction.commit().await.map(|_| ());
        let unknown = matches!(&committed, Err(error) if error.code == sqlstate::STATEMENT_COMPLETION_UNKNOWN);
        let unheard = sender.send(committed).is_err();
        if unknown || unheard {
            give_back(&database, vec![(name, ticket.id)]).await;
        }
    });
    receiver.await.unwrap_or_else(|_| Err(PgError::internal("the commit of an advisory lock ended without a word")))
}

/// Remove a ticket, once.
async fn remove(database: &Arc<dyn Database>, name: LockName, is_gone: impl Fn(&Ticket) -> bool) -> PgResult<()> {
    for _ in 0..TRIES {
        let mut transaction = database.begin(Isolation::ReadCommitted, false);
        transaction.statement().await?;
        let key = name.tickets();
        let found = transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
        let (Locked::Unchanged(value) | Locked::Newer(value)) = found else {
            return Err(PgError::internal("a lock that waits was skipped"));
        };
        let mut tickets = decode(value.as_ref())?;
        let before = tickets.len();
        tickets.retain(|ticket| !is_gone(ticket));
        if tickets.len() == before {
            return Ok(());
        }
        write(&mut *transaction, key, &tickets);
        match transaction.commit().await {
            Ok(_) => return Ok(()),
            Err(error) if error.code == sqlstate::SERIALIZATION_FAILURE => tokio::task::yield_now().await,
            Err(error) => return Err(error),
        }
    }
    Err(PgError::new(
        sqlstate::SERIALIZATION_FAILURE,
        "could not give an advisory lock back: others were faster each time",
    ))
}

pub async fn give_one_back(database: &Arc<dyn Database>, name: LockName, id: u64) -> PgResult<()> {
    remove(database, name, |ticket| ticket.id == id).await
}

/// Until it is done: a region that cannot write now will be able to, or its next boot does it.
pub async fn give_back(database: &Arc<dyn Database>, tickets: Vec<(LockName, u64)>) {
    const PAUSE: Duration = Duration::from_millis(200);
    for (name, id) in tickets {
        while give_one_back(database, name, id).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What an earlier boot of this region left. For a region that has just started; an error means: again later.
pub async fn release_old(database: &Arc<dyn Database>) -> PgResult<()> {
    let now = database.row_ids(1);
    let mut transaction = database.begin(Isolation::ReadCommitted, true);
    transaction.statement().await?;
    let rows = transaction.scan(&all_tickets(), false, usize::MAX).await?;
    transaction.rollback();
    for row in rows {
        let tickets = decode(Some(&row.value))?;
        if let (true, Some(name)) = (tickets.iter().any(|ticket| ticket.is_old(now)), name_of(&row.key)) {
            remove(database, name, |ticket| ticket.is_old(now)).await?;
        }
    }
    Ok(())
}

fn name_of(key: &[u8]) -> Option<LockName> {
    let (kind, number) = key.get(2..)?.split_first()?;
    let number: [u8; 8] = number.try_into().ok()?;
    let whole = i64::from_be_bytes(number);
    Some(match kind {
        1 => LockName::One(whole),
        _ => LockName::Pair((whole >> 32) as i32, whole as i32),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_of_their_keys() {
        for name in [LockName::One(-7), LockName::One(i64::MAX), LockName::Pair(-1, 2), LockName::Pair(3, -4)] {
            assert_eq!(name_of(&name.tickets()), Some(name));
        }
    }

    #[test]
    fn a_ticket_of_an_earlier_boot_of_the_same_region_is_old() {
        let of = |region: u64, boot: u64| (region << BOOT_BITS | boot) << COUNTER_BITS | 5;
        let ticket = |id| Ticket { id, session: id, shared: false };
        assert!(ticket(of(1, 3)).is_old(of(1, 4)));
        assert!(!ticket(of(1, 4)).is_old(of(1, 4)));
        assert!(!ticket(of(2, 3)).is_old(of(1, 4)), "another region's boots are its own affair");
    }
}
