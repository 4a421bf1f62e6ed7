//! Single statements whose answers constraints, sequences and definitions decide.
use super::{ANSWER_WITHIN, Worker, unless};
use crate::history::What;
use crate::sql::{Failure, Session, within};
use rand::RngExt;
use std::sync::atomic::Ordering;
use tokio_postgres::types::{ToSql, Type};

const UNIQUE_VIOLATION: &str = "23505";
const FOREIGN_KEY_VIOLATION: &str = "23503";
/// How often a name is wanted.
const CLAIMS_OF_A_NAME: i64 = 4;
/// Among how many of the last parents one is chosen.
const PARENTS_IN_USE: i64 = 6;

/// Rows of a batch, which together are more than a record may be.
pub const BULK: i64 = 2500;

type Answer = (What, Result<(), Failure>);

impl Worker {
    async fn execute(
        &self,
        session: &Session,
        text: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64, Failure> {
        within(ANSWER_WITHIN, async { session.client.execute_typed(text, parameters).await }).await
    }

    pub(super) async fn claim(&self, session: &Session) -> Answer {
        let id = self.shared.counters.value();
        let name = self.shared.counters.claims.fetch_add(1, Ordering::Relaxed) / CLAIMS_OF_A_NAME;
        let text = format!("INSERT INTO {} (id, name) VALUES ($1, $2)", self.tables().claims);
        let result = self.execute(session, &text, &[(&id, Type::INT8), (&name, Type::INT8)]).await;
        match unless(UNIQUE_VIOLATION, result) {
            Ok(won) => (What::Claim { id, name, won }, Ok(())),
            Err(failure) => (What::Claim { id, name, won: true }, Err(failure)),
        }
    }

    pub(super) async fn family(&self, session: &Session) -> Answer {
        let chance = rand::rng().random_range(0..10);
        let latest = self.shared.counters.parents.load(Ordering::Relaxed);
        if chance < 3 || latest == 0 {
            let id = self.shared.counters.parents.fetch_add(1, Ordering::Relaxed) + 1;
            let text = format!("INSERT INTO {} (id) VALUES ($1)", self.tables().parents);
            return (What::Parent { id }, self.execute(session, &text, &[(&id, Type::INT8)]).await.map(drop));
        }
        let parent = rand::rng().random_range((latest - PARENTS_IN_USE).max(1)..=latest);
        if chance < 7 {
            let child = self.shared.counters.value();
            let text = format!("INSERT INTO {} (id, parent) VALUES ($1, $2)", self.tables().children);
            let result = self.execute(session, &text, &[(&child, Type::INT8), (&parent, Type::INT8)]).await;
            return match unless(FOREIGN_KEY_VIOLATION, result) {
                Ok(done) => (What::Adopt { child, parent, done }, Ok(())),
                Err(failure) => (What::Adopt { child, parent, done: true }, Err(failure)),
            };
        }
        let text = format!("DELETE FROM {} WHERE id = $1", self.tables().parents);
        let result = self.execute(session, &text, &[(&parent, Type::INT8)]).await;
        match unless(FOREIGN_KEY_VIOLATION, result) {
            Ok(done) => (What::Orphan { parent, done }, Ok(())),
            Err(failure) => (What::Orphan { parent, done: true }, Err(failure)),
        }
    }

    pub(super) async fn draw(&self, session: &Session) -> Answer {
        let text = format!("SELECT nextval('{}')", self.tables().draws);
        match within(ANSWER_WITHIN, session.client.query_typed(&text, &[])).await {
            Ok(rows) => (What::Draw { value: rows.first().map_or(0, |row| row.get(0)) }, Ok(())),
            Err(failure) => (What::Draw { value: 0 }, Err(failure)),
        }
    }

    /// A row, then a look for the one that was acknowledged last, in whichever region.
    pub(super) async fn row(&self, session: &Session) -> Answer {
        let wide = &self.tables().wide;
        if self.turn % 2 == 1 {
            let id = self.shared.counters.value();
            let text = format!("INSERT INTO {wide} (id, mark) VALUES ($1, $1)");
            return (What::Mark { id }, self.execute(session, &text, &[(&id, Type::INT8)]).await.map(drop));
        }
        let id = self.shared.counters.marked.load(Ordering::Acquire);
        let text = format!("SELECT id FROM {wide} WHERE mark = $1");
        let answer = async { session.client.query_typed(&text, &[(&id, Type::INT8)]).await };
        match within(ANSWER_WITHIN, answer).await {
            Ok(rows) => (What::Find { id, found: !rows.is_empty() }, Ok(())),
            Err(failure) => (What::Find { id, found: false }, Err(failure)),
        }
    }

    /// A batch, then a look at the one that was begun last, in whichever region: it may be under way.
    pub(super) async fn bulk(&self, session: &Session) -> Answer {
        let bulk = &self.tables().bulk;
        if self.turn % 2 == 1 {
            let batch = self.shared.counters.batches.fetch_add(1, Ordering::Relaxed) + 1;
            let text = format!(
                "INSERT INTO {bulk} (batch, id, filler) SELECT $1, g, repeat(md5(g::text), 20) FROM generate_series(1, {BULK}) AS g"
            );
            return (What::Bulk { batch }, self.execute(session, &text, &[(&batch, Type::INT8)]).await.map(drop));
        }
        let batch = self.shared.counters.batches.load(Ordering::Relaxed);
        let text = format!("SELECT count(*) FROM {bulk} WHERE batch = $1");
        let answer = async { session.client.query_typed(&text, &[(&batch, Type::INT8)]).await };
        match within(ANSWER_WITHIN, answer).await {
            Ok(rows) => (What::Weigh { batch, rows: rows.first().map_or(0, |row| row.get(0)) }, Ok(())),
            Err(failure) => (What::Weigh { batch, rows: 0 }, Err(failure)),
        }
    }

    /// In turns a column and an index come and go, each under a name that is used once.
    pub(super) async fn column(&self, session: &Session) -> Answer {
        let wide = &self.tables().wide;
        let number = match self.turn % 4 {
            1 => self.shared.counters.columns.fetch_add(1, Ordering::Relaxed) + 1,
            // The one that this client made; after a failure there may be none.
            _ => self.shared.counters.columns.load(Ordering::Relaxed),
        };
        let statement = match self.turn % 4 {
            1 => format!("ALTER TABLE {wide} ADD COLUMN extra_{number} integer DEFAULT {number}"),
            2 => format!("CREATE INDEX {wide}_{}_{number} ON {wide} (mark)", self.region.name().to_lowercase()),
            3 => format!("DROP INDEX IF EXISTS {wide}_{}_{number}", self.region.name().to_lowercase()),
            _ => format!("ALTER TABLE {wide} DROP COLUMN IF EXISTS extra_{number}"),
        };
        let result = within(ANSWER_WITHIN, session.client.batch_execute(&statement)).await;
        (What::Define { statement }, result)
    }
}
