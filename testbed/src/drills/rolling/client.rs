//! A client with a list of addresses, as applications have: its own region first, the other one second.
//!
//! It moves on when it is told 57P01, which a region that stops in order says only where nothing of what was sent since the
//! last answer was begun; so it repeats its statement elsewhere. Were that wrong, an insert would meet its own row, and a
//! counter would be one too high: the drill looks. Every other error is a failure.
use crate::history::{History, Moment};
use crate::place::Place;
use crate::sql::{Endpoint, Failure, Session, connect, within};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio_postgres::types::Type;

const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Moves of one statement, and attempts to connect for one move, before it counts as failed.
const MOVES_MAX: u32 = 8;
const ATTEMPTS_MAX: u32 = 200;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(20);
const WRITE_EVERY: Duration = Duration::from_millis(8);
const READ_EVERY: Duration = Duration::from_millis(6);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A row with an id that is used once.
    Insert,
    /// Adds one to a counter that only this client changes.
    Update,
    /// Its own newest row.
    Read,
}

impl Role {
    pub fn of(number: usize) -> Role {
        [Role::Insert, Role::Update, Role::Read][number % 3]
    }

    pub fn is_write(self) -> bool {
        self != Role::Read
    }
}

/// One statement, with all of its moves.
#[derive(Clone, Debug)]
pub struct Done {
    pub home: Place,
    pub role: Role,
    pub id: i64,
    pub begun: Moment,
    pub ended: Moment,
    /// It was answered by the other region.
    pub away: bool,
    pub failure: Option<String>,
}

#[derive(Debug)]
pub struct Shared {
    table: String,
    pub history: History,
    stopped: AtomicBool,
    /// How often every region was well again: clients that are away go home then, as pools do in time.
    well: AtomicU64,
    next_id: AtomicI64,
    done: Mutex<Vec<Done>>,
}

impl Shared {
    pub fn new(table: String) -> Shared {
        Shared {
            table,
            history: History::begin(),
            stopped: AtomicBool::new(false),
            well: AtomicU64::new(0),
            next_id: AtomicI64::new(1),
            done: Mutex::default(),
        }
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn all_well(&self) {
        self.well.fetch_add(1, Ordering::Relaxed);
    }

    pub fn with<T>(&self, look: impl FnOnce(&[Done]) -> T) -> T {
        look(&self.done.lock())
    }
}

pub struct Client {
    home: Place,
    hosts: [Endpoint; 2],
    role: Role,
    shared: Arc<Shared>,
    session: Option<Session>,
    /// Of the last connection: where the next round begins.
    host: usize,
    /// The row that this one counts in, or has inserted last.
    row: Option<i64>,
}

impl Client {
    pub fn new(home: Place, hosts: [Endpoint; 2], role: Role, shared: Arc<Shared>) -> Client {
        Client { home, hosts, role, shared, session: None, host: 0, row: None }
    }

    pub async fn run(mut self) {
        let mut well = 0;
        while !self.shared.stopped.load(Ordering::Relaxed) {
            let now = self.shared.well.load(Ordering::Relaxed);
            if std::mem::replace(&mut well, now) != now && self.host != 0 {
                (self.session, self.host) = (None, 0);
            }
            // A reader and a counter begin with a row of their own.
            let role = if self.row.is_none() { Role::Insert } else { self.role };
            let id = match role {
                Role::Insert => self.shared.next_id.fetch_add(1, Ordering::Relaxed),
                _ => self.row.expect("looked at just above"),
            };
            let begun = self.shared.history.now();
            let result = self.until_answered(role, id).await;
            let ended = self.shared.history.now();
            if result.is_ok() {
                self.row = Some(id);
            } else {
                self.session = None;
            }
            let failure = result.err().map(|failure| failure.to_string());
            let away = self.host != 0;
            self.shared.done.lock().push(Done { home: self.home, role, id, begun, ended, away, failure });
            tokio::time::sleep(if role.is_write() { WRITE_EVERY } else { READ_EVERY }).await;
        }
    }

    async fn until_answered(&mut self, role: Role, id: i64) -> Result<(), Failure> {
        let mut moves = 0;
        loop {
            if self.session.as_ref().is_none_or(|session| session.client.is_closed()) {
                self.connect_somewhere().await?;
            }
            let session = self.session.as_ref().expect("connected just above");
            match self.once(session, role, id).await {
                Err(failure) if moves_on(&failure) && moves < MOVES_MAX => {
                    moves += 1;
                    self.session = None;
                    self.host = (self.host + 1) % self.hosts.len();
                }
                result => return result,
            }
        }
    }

    /// Round and round the list, as libpq goes through it once.
    async fn connect_somewhere(&mut self) -> Result<(), Failure> {
        let mut attempts = 0;
        loop {
            match connect(self.hosts[self.host], CONNECT_WITHIN).await {
                Ok(session) => {
                    self.session = Some(session);
                    return Ok(());
                }
                Err(failure) if attempts >= ATTEMPTS_MAX => return Err(failure),
                Err(_) => {
                    attempts += 1;
                    self.host = (self.host + 1) % self.hosts.len();
                    if self.host == 0 {
                        tokio::time::sleep(BETWEEN_ROUNDS).await;
                    }
                }
            }
        }
    }

    async fn once(&self, session: &Session, role: Role, id: i64) -> Result<(), Failure> {
        let table = &self.shared.table;
        let text = match role {
            Role::Insert => format!("INSERT INTO {table} (id, value) VALUES ($1, 0)"),
            Role::Update => format!("UPDATE {table} SET value = value + 1 WHERE id = $1"),
            Role::Read => format!("SELECT value FROM {table} WHERE id = $1"),
        };
        let parameters: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = &[(&id, Type::INT8)];
        let rows = match role.is_write() {
            true => within(ANSWER_WITHIN, session.client.execute_typed(&text, parameters)).await?,
            false => within(ANSWER_WITHIN, session.client.query_typed(&text, parameters)).await?.len() as u64,
        };
        match rows {
            1 => Ok(()),
            // Acknowledged before, and not there.
            rows => Err(Failure { message: format!("{role:?} of row {id} found {rows} rows"), ..Failure::timeout() }),
        }
    }
}

/// The region says that it stops, or has closed a connection on which nothing was under way.
fn moves_on(failure: &Failure) -> bool {
    failure.code.0 == "57P01" || (failure.code.0 == "connection" && failure.broken)
}
