//! A ring of rows, each of which names the next. Three neighbours change places in a transaction that reads them one
//! after the other; whatever happens, whoever walks the ring passes all and comes round.
use super::tables::RING;
use super::{ANSWER_WITHIN, Worker, transaction};
use crate::history::What;
use crate::sql::{Failure, Session, within};
use rand::RngExt;
use tokio_postgres::types::Type;

impl Worker {
    /// Two turns, and a walk.
    pub(super) async fn ring(&self, session: &Session) -> (What, Result<(), Failure>) {
        match self.turn.is_multiple_of(3) {
            true => self.walk(session).await,
            false => (What::Turn, self.swap(session).await),
        }
    }

    async fn walk(&self, session: &Session) -> (What, Result<(), Failure>) {
        let text = format!("SELECT id, next FROM {}", self.tables().ring);
        match within(ANSWER_WITHIN, session.client.query_typed(&text, &[])).await {
            Ok(rows) => (What::Walk(rows.iter().map(|row| (row.get(0), row.get(1))).collect()), Ok(())),
            Err(failure) => (What::Walk(Vec::new()), Err(failure)),
        }
    }

    /// `a b c d` becomes `a c b d`.
    async fn swap(&self, session: &Session) -> Result<(), Failure> {
        let first = rand::rng().random_range(0..RING);
        let table = &self.tables().ring;
        let (select, update) =
            (format!("SELECT next FROM {table} WHERE id = $1"), format!("UPDATE {table} SET next = $1 WHERE id = $2"));
        let next = async |id: i32| -> Result<i32, tokio_postgres::Error> {
            let rows = session.client.query_typed(&select, &[(&id, Type::INT4)]).await?;
            // A row that is gone makes a ring that does not close: the walk will tell.
            Ok(rows.first().map_or(id, |row| row.get(0)))
        };
        let body = async {
            let second = next(first).await?;
            let third = next(second).await?;
            let fourth = next(third).await?;
            for (id, to) in [(first, third), (second, fourth), (third, second)] {
                session.client.execute_typed(&update, &[(&to, Type::INT4), (&id, Type::INT4)]).await?;
            }
            Ok(())
        };
        transaction(session, "REPEATABLE READ", body).await
    }
}
