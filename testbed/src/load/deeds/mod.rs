//! Transactional workloads, each with a table, clients in both regions and a checker of its own. None needs to know what
//! a sound database would have answered.
//!
//! ```text
//!   lists     appends to lists and reads of them, REPEATABLE READ     strict snapshot isolation, by trivet-history
//!   cells     writes of registers and reads of them, SERIALIZABLE     strict serializability, by trivet-history
//!   ring      three neighbours change places                          whoever walks it comes round (FoundationDB's Cycle)
//!   claims    both regions want the same names                        a name is given once
//!   family    parents come and go, children are adopted               no child without its parent
//!   draws     values of a sequence                                    each is given once
//!   columns   a table is written and read while columns and indexes   no row is lost to a definition
//!             come and go
//!   bulk      transactions of megabytes, which travel in parts        all of it or nothing
//! ```
//!
//! L1 and L2 of [`super`] hold here too. Workers rest between deeds: they are there to be judged, not to fill the machine.
mod lists;
mod ring;
mod rows;
mod tables;

pub use rows::BULK;
pub use tables::{DeedContents, DeedTables, RING};

use super::Shared;
use crate::history::{Deed, Moment, Outcome, What};
use crate::place::Place;
use crate::sql::{Endpoint, Failure, Session, connect, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use trivet_history::{Action, MicroOperation};

/// Longer than any fault of a drill (L2).
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const AFTER_FAILURE: Duration = Duration::from_millis(60);
/// Locks of sessions in both regions may wait for each other; then one gives up.
const SESSION: &str = "SET lock_timeout = '3s'";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Craft {
    Lists,
    Cells,
    Ring,
    Claims,
    Family,
    Draws,
    Rows,
    Columns,
    Bulk,
}

impl Craft {
    /// And how many in each region.
    pub(super) const ALL: [(Craft, usize); 9] = [
        (Craft::Lists, 3),
        (Craft::Cells, 2),
        (Craft::Ring, 1),
        (Craft::Claims, 1),
        (Craft::Family, 1),
        (Craft::Draws, 1),
        (Craft::Rows, 1),
        (Craft::Columns, 1),
        (Craft::Bulk, 1),
    ];

    fn rest(self) -> Duration {
        Duration::from_millis(match self {
            Craft::Lists | Craft::Cells => 15,
            Craft::Ring | Craft::Claims | Craft::Family | Craft::Rows => 25,
            Craft::Draws => 40,
            // Of both regions: a definition waits for those who use the table, and they for it.
            Craft::Columns => 900,
            Craft::Bulk => 400,
        })
    }
}

/// What the workers of a load share.
#[derive(Debug)]
pub(super) struct Counters {
    process: AtomicU64,
    /// Appends, writes, ids: each number is used once.
    value: AtomicI64,
    claims: AtomicI64,
    parents: AtomicI64,
    /// The row that was acknowledged last, for whoever looks.
    marked: AtomicI64,
    columns: AtomicI64,
    /// The batch that was begun last.
    batches: AtomicI64,
}

impl Counters {
    pub(super) fn new() -> Counters {
        let zero = || AtomicI64::new(0);
        // 0 wrote the registers as they were at first.
        let process = AtomicU64::new(1);
        Counters {
            process,
            value: AtomicI64::new(1),
            claims: zero(),
            parents: zero(),
            marked: zero(),
            columns: zero(),
            batches: zero(),
        }
    }

    pub(super) fn process(&self) -> u64 {
        self.process.fetch_add(1, Ordering::Relaxed)
    }

    fn value(&self) -> i64 {
        self.value.fetch_add(1, Ordering::Relaxed)
    }
}

/// The registers as they were before anybody wrote.
pub(super) fn beginning() -> Deed {
    let write = |key: i32| MicroOperation { key: i64::from(key).into(), action: Action::Write(0) };
    Deed {
        process: 0,
        region: Place::A,
        what: What::Cells((0..tables::CELLS).map(write).collect()),
        begun: Moment(0),
        ended: Moment(0),
        outcome: Outcome::Done,
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    region: Place,
    address: Endpoint,
    craft: Craft,
    shared: Arc<Shared>,
    session: Option<Session>,
    process: u64,
    turn: u64,
}

impl Worker {
    pub(super) fn new(region: Place, address: Endpoint, craft: Craft, shared: Arc<Shared>) -> Worker {
        let process = shared.counters.process();
        Worker { region, address, craft, shared, session: None, process, turn: 0 }
    }

    pub(super) async fn run(mut self) {
        while !self.shared.stopped() {
            let rest = self.once().await;
            tokio::time::sleep(rest).await;
        }
    }

    /// One deed; says how long to rest after it.
    async fn once(&mut self) -> Duration {
        if self.session.as_ref().is_none_or(|session| session.client.is_closed()) && !self.connect().await {
            return AFTER_FAILURE;
        }
        self.turn += 1;
        let begun = self.shared.history.now();
        let session = self.session.as_ref().expect("connected just above");
        let (what, result) = match self.craft {
            Craft::Lists => self.lists(session).await,
            Craft::Cells => self.cells(session).await,
            Craft::Ring => self.ring(session).await,
            Craft::Claims => self.claim(session).await,
            Craft::Family => self.family(session).await,
            Craft::Draws => self.draw(session).await,
            Craft::Rows => self.row(session).await,
            Craft::Columns => self.column(session).await,
            Craft::Bulk => self.bulk(session).await,
        };
        let ended = self.shared.history.now();
        let marked = match what {
            What::Mark { id } if result.is_ok() => Some(id),
            _ => None,
        };
        let (outcome, rest) = match result {
            Ok(()) => (Outcome::Done, self.craft.rest()),
            Err(failure) => {
                if failure.broken {
                    self.session = None;
                }
                (failure.outcome(), AFTER_FAILURE)
            }
        };
        let unknown = matches!(outcome, Outcome::Unknown(_));
        self.shared.history.record_deed(Deed {
            process: self.process,
            region: self.region,
            what,
            begun,
            ended,
            outcome,
        });
        if unknown {
            self.process = self.shared.counters.process();
        }
        if let Some(id) = marked {
            // After `ended` was taken: who looks for it begins later.
            self.shared.counters.marked.fetch_max(id, Ordering::AcqRel);
        }
        rest
    }

    async fn connect(&mut self) -> bool {
        let session = match connect(self.address, CONNECT_WITHIN).await {
            Ok(session) => session,
            Err(_) => return false,
        };
        if within(CONNECT_WITHIN, session.client.batch_execute(SESSION)).await.is_err() {
            return false;
        }
        self.session = Some(session);
        true
    }

    fn tables(&self) -> &DeedTables {
        &self.shared.tables.deeds
    }
}

/// BEGIN, `body`, COMMIT. What fails before COMMIT is sent did not happen.
async fn transaction<T>(
    session: &Session,
    level: &str,
    body: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    let before_commit = async {
        session.client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}")).await?;
        body.await
    };
    match within(ANSWER_WITHIN, before_commit).await {
        Ok(value) => within(ANSWER_WITHIN, session.client.batch_execute("COMMIT")).await.map(|()| value),
        Err(failure) => {
            if !failure.broken {
                let _ = within(ANSWER_WITHIN, session.client.batch_execute("ROLLBACK")).await;
            }
            Err(Failure { unknown: false, ..failure })
        }
    }
}

/// The server's refusal of this one row counts as an answer.
fn unless(code: &str, result: Result<u64, Failure>) -> Result<bool, Failure> {
    match result {
        Ok(count) => Ok(count > 0),
        Err(failure) if failure.code.0 == code => Ok(false),
        Err(failure) => Err(failure),
    }
}
