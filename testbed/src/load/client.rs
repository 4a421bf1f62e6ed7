//! One client: connects, does its role's operation again and again, records each, connects anew when the connection
//! breaks.
use super::Shared;
use super::tables::{ACCOUNTS, REGISTERS};
use crate::history::{Kind, Moment, Operation, Outcome};
use crate::place::Place;
use crate::sql::Endpoint;
use crate::sql::{Failure, Session, connect, within};
use rand::RngExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_postgres::types::Type;

/// Longer than any fault of a drill (L2).
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Of a look (L3): longer than a region that is cut off may take to refuse, shorter than any fault.
const LOOK_ANSWER_WITHIN: Duration = Duration::from_millis(2500);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// A breath between operations, so that a load on an unthrottled link leaves the processor to the nodes.
const WRITE_EVERY: Duration = Duration::from_millis(8);
const READ_EVERY: Duration = Duration::from_millis(6);
/// It reads every account, and meets a write in flight nearly always.
const SUM_EVERY: Duration = Duration::from_millis(50);
const CONNECT_EVERY: Duration = Duration::from_millis(200);
const AFTER_FAILURE: Duration = Duration::from_millis(25);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Insert,
    Write,
    Transfer,
    Read,
    Look,
    Sum,
    Connect,
}

#[derive(Debug)]
pub(super) struct Client {
    region: Place,
    address: Endpoint,
    role: Role,
    shared: Arc<Shared>,
    session: Option<Session>,
    turn: u64,
}

impl Client {
    pub(super) fn new(region: Place, address: Endpoint, role: Role, shared: Arc<Shared>) -> Client {
        Client { region, address, role, shared, session: None, turn: 0 }
    }

    pub(super) async fn run(mut self) {
        while !self.shared.stopped() {
            let pause = self.once().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// One operation; says how long to rest after it.
    async fn once(&mut self) -> Duration {
        if self.role == Role::Connect {
            self.session = None;
            self.connect().await;
            return CONNECT_EVERY;
        }
        if self.session.as_ref().is_none_or(|session| session.client.is_closed()) && !self.connect().await {
            return AFTER_FAILURE;
        }
        self.turn += 1;
        let begun = self.shared.history.now();
        let session = self.session.as_ref().expect("connected just above");
        let (kind, result) = match self.role {
            Role::Insert => self.insert(session).await,
            Role::Write => self.write(session).await,
            Role::Transfer => (Kind::Transfer, self.transfer(session).await),
            Role::Read => self.read(session).await,
            Role::Look => self.look(session).await,
            Role::Sum => self.sum(session).await,
            Role::Connect => unreachable!("handled above"),
        };
        self.finish(kind, begun, result)
    }

    fn finish(&mut self, kind: Kind, begun: Moment, result: Result<(), Failure>) -> Duration {
        let rest = match (&result, kind.is_write()) {
            (Ok(()), true) => WRITE_EVERY,
            (Ok(()), false) if self.role == Role::Sum => SUM_EVERY,
            (Ok(()), false) => READ_EVERY,
            (Err(_), _) => AFTER_FAILURE,
        };
        let inserted = match kind {
            Kind::Insert { id } if result.is_ok() => Some(id),
            _ => None,
        };
        let outcome = match result {
            Ok(()) => Outcome::Done,
            Err(failure) => {
                if failure.broken {
                    self.session = None;
                }
                failure.outcome()
            }
        };
        let ended = self.shared.history.now();
        self.shared.history.record(Operation { region: self.region, kind, begun, ended, outcome });
        if let Some(id) = inserted {
            // After `ended` was taken: a look that sees this id begins later.
            self.shared.acknowledged_in(self.region).fetch_max(id, Ordering::AcqRel);
        }
        rest
    }

    /// Records the attempt.
    async fn connect(&mut self) -> bool {
        let begun = self.shared.history.now();
        let connected = connect(self.address, CONNECT_WITHIN).await;
        let outcome = match &connected {
            Ok(_) => Outcome::Done,
            Err(failure) => Outcome::NotDone(failure.code.clone()),
        };
        self.session = connected.ok();
        let ended = self.shared.history.now();
        self.shared.history.record(Operation { region: self.region, kind: Kind::Connect, begun, ended, outcome });
        self.session.is_some()
    }

    async fn insert(&self, session: &Session) -> (Kind, Result<(), Failure>) {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let text = format!("INSERT INTO {} (id, region) VALUES ($1, $2)", self.shared.tables.rows);
        let region = self.region.name();
        let answer = async { session.client.execute_typed(&text, &[(&id, Type::INT8), (&region, Type::TEXT)]).await };
        (Kind::Insert { id }, within(ANSWER_WITHIN, answer).await.map(drop))
    }

    async fn write(&self, session: &Session) -> (Kind, Result<(), Failure>) {
        let value = self.shared.next_value.fetch_add(1, Ordering::Relaxed);
        let key = rand::rng().random_range(0..REGISTERS);
        let text = format!("UPDATE {} SET value = $1 WHERE id = $2", self.shared.tables.registers);
        let answer = async { session.client.execute_typed(&text, &[(&value, Type::INT8), (&key, Type::INT4)]).await };
        match within(ANSWER_WITHIN, answer).await {
            // A register whose row is not there is what the checker calls lost.
            Ok(0) => (Kind::Read { key, value: None }, Ok(())),
            other => (Kind::Write { key, value }, other.map(drop)),
        }
    }

    async fn transfer(&self, session: &Session) -> Result<(), Failure> {
        let (from, to, amount) = {
            let mut random = rand::rng();
            let from = random.random_range(0..ACCOUNTS);
            (from, (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS, random.random_range(1..100))
        };
        let client = &session.client;
        // In order of their ids, so that two transfers never wait for each other.
        let mut moves = [(from, -amount), (to, amount)];
        moves.sort();
        let text = format!("UPDATE {} SET balance = balance + $1 WHERE id = $2", self.shared.tables.accounts);
        let before_commit = async {
            client.batch_execute("BEGIN").await?;
            for (id, change) in &moves {
                client.execute_typed(&text, &[(change, Type::INT4), (id, Type::INT4)]).await?;
            }
            Ok(())
        };
        match within(ANSWER_WITHIN, before_commit).await {
            Ok(()) => within(ANSWER_WITHIN, client.batch_execute("COMMIT")).await,
            Err(failure) => {
                if !failure.broken {
                    let _ = within(ANSWER_WITHIN, client.batch_execute("ROLLBACK")).await;
                }
                // COMMIT was not sent.
                Err(Failure { unknown: false, ..failure })
            }
        }
    }

    async fn read(&self, session: &Session) -> (Kind, Result<(), Failure>) {
        let key = rand::rng().random_range(0..REGISTERS);
        let text = format!("SELECT value FROM {} WHERE id = $1", self.shared.tables.registers);
        let answer = within(ANSWER_WITHIN, session.client.query_typed(&text, &[(&key, Type::INT4)])).await;
        let (value, result) = split(answer.map(|rows| rows.first().map(|row| row.get(0))), None);
        (Kind::Read { key, value }, result)
    }

    /// Three times in four for what the other region acknowledged; its own must be there too.
    async fn look(&self, session: &Session) -> (Kind, Result<(), Failure>) {
        let teller = if self.turn.is_multiple_of(4) { self.region } else { self.region.other_region() };
        let id = self.shared.acknowledged_in(teller).load(Ordering::Acquire);
        let text = format!("SELECT id FROM {} WHERE id = $1", self.shared.tables.rows);
        let answer = within(LOOK_ANSWER_WITHIN, session.client.query_typed(&text, &[(&id, Type::INT8)])).await;
        let (found, result) = split(answer.map(|rows| !rows.is_empty()), false);
        (Kind::Look { id, found }, result)
    }

    async fn sum(&self, session: &Session) -> (Kind, Result<(), Failure>) {
        let text = format!("SELECT balance FROM {}", self.shared.tables.accounts);
        let answer = within(ANSWER_WITHIN, session.client.query_typed(&text, &[])).await;
        let sum = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|row| i64::from(row.get::<_, i32>(0))).sum();
        let (sum, result) = split(answer.map(sum), 0);
        (Kind::Sum { sum }, result)
    }
}

fn split<T>(answer: Result<T, Failure>, otherwise: T) -> (T, Result<(), Failure>) {
    match answer {
        Ok(value) => (value, Ok(())),
        Err(failure) => (otherwise, Err(failure)),
    }
}
