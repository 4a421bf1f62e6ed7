//! Transactions of a few reads and appends of lists, or of a few reads and writes of registers.
use super::tables::{CELLS, items, read};
use super::{Worker, transaction};
use crate::history::What;
use crate::sql::{Failure, Session};
use rand::RngExt;
use std::sync::atomic::Ordering;
use tokio_postgres::types::Type;
use trivet_history::{Action, Key, MicroOperation, Seen};

/// Lists in use at a time, and how long they become before others take their place.
const LISTS: i64 = 10;
const LENGTH: i64 = 60;
const OPERATIONS_MAX: usize = 4;

impl Worker {
    pub(super) async fn lists(&self, session: &Session) -> (What, Result<(), Failure>) {
        let block = self.shared.counters.value.load(Ordering::Relaxed) / (LISTS * LENGTH) * LISTS;
        let draw = |_| {
            let (key, appends) = {
                let mut random = rand::rng();
                (block + random.random_range(0..LISTS), random.random_bool(0.5))
            };
            match appends {
                true => MicroOperation { key: key.into(), action: Action::Append(self.shared.counters.value()) },
                false => read(key, Seen::Nil),
            }
        };
        let asked: Vec<MicroOperation> = (0..operations()).map(draw).collect();
        let table = &self.tables().lists;
        let append = format!(
            "INSERT INTO {table} AS list (id, items) VALUES ($1, $2) \
             ON CONFLICT (id) DO UPDATE SET items = list.items || ' ' || excluded.items"
        );
        let select = format!("SELECT items FROM {table} WHERE id = $1");
        let body = async {
            let mut told = asked.clone();
            for operation in &mut told {
                let key = number(&operation.key);
                match &mut operation.action {
                    Action::Append(value) => {
                        let item = value.to_string();
                        session.client.execute_typed(&append, &[(&key, Type::INT8), (&item, Type::TEXT)]).await?;
                    }
                    Action::Read(seen) => {
                        let rows = session.client.query_typed(&select, &[(&key, Type::INT8)]).await?;
                        *seen = Seen::List(items(rows.first().map(|row| row.get(0))));
                    }
                    Action::Write(_) => unreachable!("lists are appended to"),
                }
            }
            Ok(told)
        };
        let result = transaction(session, "REPEATABLE READ", body).await;
        finish(asked, result, What::Lists)
    }

    pub(super) async fn cells(&self, session: &Session) -> (What, Result<(), Failure>) {
        let draw = |_| {
            let (key, writes) = {
                let mut random = rand::rng();
                (i64::from(random.random_range(0..CELLS)), random.random_bool(0.4))
            };
            match writes {
                true => MicroOperation { key: key.into(), action: Action::Write(self.shared.counters.value()) },
                false => read(key, Seen::Nil),
            }
        };
        let asked: Vec<MicroOperation> = (0..operations()).map(draw).collect();
        let table = &self.tables().cells;
        let update = format!("UPDATE {table} SET value = $1 WHERE id = $2");
        let select = format!("SELECT value FROM {table} WHERE id = $1");
        let body = async {
            let mut told = asked.clone();
            for operation in &mut told {
                let key = i32::try_from(number(&operation.key)).expect("registers have small numbers");
                match &mut operation.action {
                    Action::Write(value) => {
                        let parameters = [(&*value as &(dyn tokio_postgres::types::ToSql + Sync), Type::INT8)];
                        let parameters = [parameters[0].clone(), (&key, Type::INT4)];
                        session.client.execute_typed(&update, &parameters).await?;
                    }
                    Action::Read(seen) => {
                        let rows = session.client.query_typed(&select, &[(&key, Type::INT4)]).await?;
                        *seen = rows.first().map_or(Seen::Nil, |row| Seen::Value(row.get(0)));
                    }
                    Action::Append(_) => unreachable!("registers are written"),
                }
            }
            Ok(told)
        };
        let result = transaction(session, "SERIALIZABLE", body).await;
        finish(asked, result, What::Cells)
    }
}

fn operations() -> usize {
    rand::rng().random_range(1..=OPERATIONS_MAX)
}

fn number(key: &Key) -> i64 {
    match key {
        Key::Number(number) => *number,
        Key::Name(_) => unreachable!("the load's keys are numbers"),
    }
}

fn finish(
    asked: Vec<MicroOperation>,
    result: Result<Vec<MicroOperation>, Failure>,
    what: fn(Vec<MicroOperation>) -> What,
) -> (What, Result<(), Failure>) {
    match result {
        Ok(told) => (what(told), Ok(())),
        Err(failure) => (what(asked), Err(failure)),
    }
}
