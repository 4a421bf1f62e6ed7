//! The applier's thread: committed entries first, a slice of background work between them, tidying now and then.
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trivet_log::{Entry, Index};
use trivet_node::{ApplyReceiver, NodeHandle, Work};
use trivet_storage::{Store, StoreError};
use trivet_txn::{Applier, ApplyError, Slice};

const TIDY_EVERY: Duration = Duration::from_millis(100);
/// A store that has not flushed by itself for this long is asked to, so that the journal can be pruned.
const FLUSH_AFTER: Duration = Duration::from_secs(10);
/// Entries that share one pass: after so many a slice of background work gets its turn.
const ENTRIES_A_PASS: usize = 4_096;

pub fn spawn(
    applier: Applier,
    store: Arc<dyn Store>,
    queue: ApplyReceiver,
    node: NodeHandle,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("applier".into()).spawn(move || {
        if let Err(error) = run(applier, &*store, &queue, &node) {
            if let ApplyError::Store(StoreError::DiskFull(detail)) = &error {
                return node.stop_for_room(detail.clone());
            }
            // Shown in /health by itself; the log and the vote stay up (T5), but whoever can apply should lead. What is still
            // handed over is thrown away.
            tracing::error!("applying has stopped: {error}");
            node.hand_over(None);
            while queue.receive().is_some() {}
        }
    })
}

fn run(mut applier: Applier, store: &dyn Store, queue: &ApplyReceiver, node: &NodeHandle) -> Result<(), ApplyError> {
    let (mut tidied, mut flushed_at) = (Instant::now(), Instant::now());
    let mut reported = Index(0);
    let mut busy = true;
    loop {
        let first = if busy { Ok(queue.try_receive()) } else { queue.receive_timeout(TIDY_EVERY) };
        match first {
            Ok(Some(work)) => apply(&mut applier, work, queue)?,
            Ok(None) if busy => {}
            Ok(None) => return Ok(()), // the node has ended and all is applied
            Err(()) => {}
        }
        busy = applier.work()? == Slice::More;
        if tidied.elapsed() >= TIDY_EVERY {
            tidied = Instant::now();
            applier.tidy()?;
            if flushed_at.elapsed() >= FLUSH_AFTER {
                flushed_at = Instant::now();
                if Index(store.flushed()) < applier.applied() {
                    applier.flush()?;
                }
            }
        }
        let durable = applier.durable();
        if durable > reported {
            reported = durable;
            node.applied(durable);
        }
    }
}

/// This work and whatever else waits, in one batch: many small commits share one write to the store.
fn apply(applier: &mut Applier, first: Work, queue: &ApplyReceiver) -> Result<(), ApplyError> {
    let mut works = vec![first];
    let mut count = works[0].entries.len();
    while count < ENTRIES_A_PASS {
        let Some(work) = queue.try_receive() else { break };
        count += work.entries.len();
        works.push(work);
    }
    if let [only] = works.as_slice() {
        return applier.apply(&only.entries);
    }
    let entries: Vec<Entry> = works.iter().flat_map(|work| work.entries.iter().cloned()).collect();
    applier.apply(&entries)
}
