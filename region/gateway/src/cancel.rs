//! Cancelling: the token that a session's work watches, and the table that finds it for a CancelRequest.
//!
//! A CancelRequest comes on a connection of its own and is answered by nothing. It names a process id and a secret that
//! was drawn from the operating system's random source for that session: 4 bytes in protocol 3.0, 32 in 3.2. Secrets are
//! compared in constant time, and a wrong one is not told from an unknown process id.
//!
//! The token is level-triggered for its holder (`is_raised`, `cancelled`) and cleared by the connection's loop when it
//! starts the next message; a CancelRequest that meets an idle connection is thereby lost, as PostgreSQL loses it.
use bytes::Bytes;
use parking_lot::Mutex;
use pgwire::messages::ProtocolVersion;
use pgwire::messages::startup::SecretKey;
use rand::TryRng;
use rand::rngs::SysRng;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use tokio::sync::Notify;
use trivet_types::{PgError, PgResult, SqlState, sqlstate};

pub(crate) const CONNECTION_FAILURE: SqlState = SqlState(*b"08006");

/// Why a token was raised; a later one outranks an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CancelReason {
    UserRequest = 1,
    StatementTimeout = 2,
    /// The server stops.
    Shutdown = 3,
    /// Nobody reads the answer.
    ClientGone = 4,
}

/// Raised by a CancelRequest, a time limit, a shutdown or a client that has gone; cleared by the gateway when a new message starts.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    pub raised: Arc<AtomicBool>,
    pub notify: Arc<Notify>,
    reason: Arc<AtomicU8>,
}

impl CancelToken {
    pub fn raise(&self, reason: CancelReason) {
        self.reason.fetch_max(reason as u8, Ordering::SeqCst);
        self.raised.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    pub fn clear(&self) {
        if self.is_raised() {
            self.raised.store(false, Ordering::SeqCst);
            self.reason.store(0, Ordering::SeqCst);
        }
    }

    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Why, if it is raised.
    pub fn reason(&self) -> Option<CancelReason> {
        self.is_raised().then(|| match self.reason.load(Ordering::SeqCst) {
            2 => CancelReason::StatementTimeout,
            3 => CancelReason::Shutdown,
            4 => CancelReason::ClientGone,
            _ => CancelReason::UserRequest,
        })
    }

    /// Resolves once the token is raised; to be selected on beside a wait for a lock, a verdict or another region.
    pub async fn cancelled(&self) {
        loop {
            let notified = self.notify.notified();
            tokio::pin!(notified);
            // Registered before the flag is read, so that a raise between the two is not missed.
            notified.as_mut().enable();
            if self.is_raised() {
                return;
            }
            notified.await;
        }
    }

    /// For loops that do not wait: the error once the token is raised.
    pub fn check(&self) -> PgResult<()> {
        if self.is_raised() { Err(self.error()) } else { Ok(()) }
    }

    /// What a cancelled statement returns.
    pub fn error(&self) -> Box<PgError> {
        match self.reason() {
            None | Some(CancelReason::UserRequest) => {
                PgError::new(sqlstate::QUERY_CANCELED, "canceling statement due to user request")
            }
            Some(CancelReason::StatementTimeout) => {
                PgError::new(sqlstate::QUERY_CANCELED, "canceling statement due to statement timeout")
            }
            Some(CancelReason::Shutdown) => shutdown_error(),
            Some(CancelReason::ClientGone) => PgError::fatal(CONNECTION_FAILURE, "connection to client lost"),
        }
    }
}

pub(crate) fn shutdown_error() -> Box<PgError> {
    PgError::fatal(sqlstate::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}

struct Entry {
    secret: Bytes,
    token: CancelToken,
}

#[derive(Default)]
struct Table {
    entries: HashMap<i32, Entry>,
    last: i32,
}

/// Who can be cancelled: one entry a session, by process id.
#[derive(Default)]
pub(crate) struct CancelTable(Mutex<Table>);

impl CancelTable {
    /// A process id that nobody here has, and a fresh secret. The entry goes with the registration.
    pub fn register(self: &Arc<Self>, protocol: ProtocolVersion, token: CancelToken) -> PgResult<Registration> {
        let secret = match protocol {
            ProtocolVersion::PROTOCOL3_0 => random_bytes::<4>()?,
            ProtocolVersion::PROTOCOL3_2 | ProtocolVersion::PROTOCOL3_9999 => random_bytes::<32>()?,
        };
        let mut table = self.0.lock();
        let mut process_id = table.last;
        loop {
            process_id = if process_id == i32::MAX { 1 } else { process_id + 1 };
            if !table.entries.contains_key(&process_id) {
                break;
            }
        }
        table.last = process_id;
        table.entries.insert(process_id, Entry { secret: secret.clone(), token });
        Ok(Registration { table: self.clone(), process_id, secret })
    }

    /// True if someone was cancelled.
    pub fn cancel(&self, process_id: i32, secret: &[u8]) -> bool {
        let table = self.0.lock();
        match table.entries.get(&process_id) {
            Some(entry) if same_secret(&entry.secret, secret) => {
                entry.token.raise(CancelReason::UserRequest);
                true
            }
            _ => false,
        }
    }
}

/// A session's place in the table.
pub(crate) struct Registration {
    table: Arc<CancelTable>,
    pub process_id: i32,
    secret: Bytes,
}

impl Registration {
    pub fn secret_key(&self) -> SecretKey {
        SecretKey::Bytes(self.secret.clone())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.table.0.lock().entries.remove(&self.process_id);
    }
}

/// Takes as long for a wrong secret as for the right one; only the length may be told.
fn same_secret(ours: &[u8], theirs: &[u8]) -> bool {
    let difference = ours.iter().zip(theirs).fold(0u8, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    ours.len() == theirs.len() && difference == 0
}

pub(crate) fn random_bytes<const N: usize>() -> PgResult<Bytes> {
    let mut bytes = [0u8; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|cause| {
        PgError::fatal(sqlstate::INTERNAL_ERROR, format!("no random bytes from the system: {cause}"))
    })?;
    Ok(Bytes::copy_from_slice(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cancels_its_own_session_only() {
        let table = Arc::new(CancelTable::default());
        let (one, two) = (CancelToken::default(), CancelToken::default());
        let first = table.register(ProtocolVersion::PROTOCOL3_0, one.clone()).expect("random bytes");
        let second = table.register(ProtocolVersion::PROTOCOL3_2, two.clone()).expect("random bytes");
        assert_eq!((first.secret.len(), second.secret.len()), (4, 32));
        assert_ne!(first.process_id, second.process_id);

        assert!(!table.cancel(first.process_id, &second.secret));
        assert!(!table.cancel(first.process_id, &[]));
        assert!(!table.cancel(first.process_id, &first.secret[..3]));
        assert!(!table.cancel(9999, &first.secret));
        assert!(!one.is_raised() && !two.is_raised());

        assert!(table.cancel(second.process_id, &second.secret));
        assert!(!one.is_raised() && two.is_raised());

        let (id, secret) = (first.process_id, first.secret.clone());
        drop(first);
        assert!(!table.cancel(id, &secret), "a session that has ended cannot be cancelled");
    }

    #[test]
    fn process_ids_wrap_and_skip_those_in_use() {
        let table = Arc::new(CancelTable::default());
        let first = table.register(ProtocolVersion::PROTOCOL3_0, CancelToken::default()).expect("random bytes");
        table.0.lock().last = i32::MAX;
        let next = table.register(ProtocolVersion::PROTOCOL3_0, CancelToken::default()).expect("random bytes");
        assert_eq!((first.process_id, next.process_id), (1, 2));
    }

    #[tokio::test]
    async fn waiting_ends_when_raised_before_or_after() {
        let token = CancelToken::default();
        assert!(token.check().is_ok());
        let waiter = tokio::spawn({
            let token = token.clone();
            async move { token.cancelled().await }
        });
        token.raise(CancelReason::UserRequest);
        waiter.await.expect("the waiter ends");
        token.cancelled().await;
        token.raise(CancelReason::Shutdown);
        token.raise(CancelReason::StatementTimeout);
        assert_eq!(token.reason(), Some(CancelReason::Shutdown), "the stronger reason stays");
        token.clear();
        assert_eq!(token.reason(), None);
    }
}
