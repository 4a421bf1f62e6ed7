//! What EXPLAIN ANALYZE finds out: rows, loops and times of each node of a running plan.
//!
//! A node is known by its place in memory, which does not change while its plan runs. Operators of other statements are not
//! wrapped and note nothing.
use super::sort::SortFacts;
use super::{Arc, Context, Operator, Row};
use crate::plan::Node;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use trivet_types::PgResult;

/// A node, or a part of one that only it has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Watched(usize);

impl Watched {
    pub fn node(node: &Node) -> Watched {
        Watched(std::ptr::from_ref(node) as usize)
    }
    pub fn of<T>(part: &Arc<T>) -> Watched {
        Watched(Arc::as_ptr(part) as usize)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub loops: u64,
    pub rows: u64,
    /// Until the first rows of each loop, and until its end.
    pub first: Duration,
    pub total: Duration,
    /// Rows that a filter dropped.
    pub removed: u64,
    pub sort: Option<SortFacts>,
    pub hash: Option<HashFacts>,
}

/// How a hash table went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HashFacts {
    pub batches: usize,
    pub kilobytes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Watch {
    found: Mutex<HashMap<Watched, Found>>,
}

impl Watch {
    pub fn note(&self, what: Watched, change: impl FnOnce(&mut Found)) {
        change(self.found.lock().entry(what).or_default());
    }
    pub fn found(&self, what: Watched) -> Found {
        self.found.lock().get(&what).cloned().unwrap_or_default()
    }
}

/// An operator that is watched.
pub(crate) struct WatchedOperator {
    inner: Box<dyn Operator>,
    what: Watched,
    watch: Arc<Watch>,
    begun: bool,
}

impl WatchedOperator {
    pub fn new(inner: Box<dyn Operator>, what: Watched, watch: &Arc<Watch>) -> WatchedOperator {
        WatchedOperator { inner, what, watch: Arc::clone(watch), begun: false }
    }
}

#[async_trait]
impl Operator for WatchedOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let began = Instant::now();
        let rows = self.inner.next(context, wanted).await?;
        let spent = began.elapsed();
        let is_first = !std::mem::replace(&mut self.begun, true);
        self.watch.note(self.what, |found| {
            found.rows += rows.len() as u64;
            found.total += spent;
            if is_first {
                found.loops += 1;
                found.first += spent;
            }
        });
        Ok(rows)
    }
}
