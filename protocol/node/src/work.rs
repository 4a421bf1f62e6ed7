//! Committed entries on their way to the applier. The core thread never waits for it (D4); what waits is weighed.
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use trivet_log::Entry;

/// Consecutive committed entries, each handed out once, in order.
#[derive(Debug)]
pub struct Work {
    pub entries: Vec<Entry>,
    _weight: Weight,
}

/// Gives its bytes back when the work was taken up and dropped.
#[derive(Debug)]
struct Weight {
    bytes: usize,
    backlog: Arc<Backlog>,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that are committed and that the applier has not finished with.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: AtomicUsize,
}

impl Backlog {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The core's end.
pub(crate) struct ApplySender {
    sender: mpsc::Sender<Work>,
    backlog: Arc<Backlog>,
}

/// The applier's end. Keep each `Work` until it is stored: its bytes count until it is dropped. A node without an
/// applier (the witness) drops this.
#[derive(Debug)]
pub struct ApplyReceiver {
    receiver: Mutex<mpsc::Receiver<Work>>,
}

pub(crate) fn apply_queue() -> (ApplySender, ApplyReceiver, Arc<Backlog>) {
    let (sender, receiver) = mpsc::channel();
    let backlog = Arc::new(Backlog::default());
    let sender = ApplySender { sender, backlog: backlog.clone() };
    (sender, ApplyReceiver { receiver: Mutex::new(receiver) }, backlog)
}

impl ApplySender {
    pub(crate) fn send(&self, entries: Vec<Entry>) {
        let bytes = entries.iter().map(Entry::weight).sum();
        self.backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        let _weight = Weight { bytes, backlog: self.backlog.clone() };
        let _ = self.sender.send(Work { entries, _weight }); // nobody applies: nothing to do
    }
}

impl ApplyReceiver {
    /// Waits; `None` once the node has stopped and all is taken.
    pub fn receive(&self) -> Option<Work> {
        self.receiver.lock().recv().ok()
    }

    /// As `receive`, but gives up after a while: `Err(())` then.
    #[allow(clippy::result_unit_err)]
    pub fn receive_timeout(&self, timeout: Duration) -> Result<Option<Work>, ()> {
        match self.receiver.lock().recv_timeout(timeout) {
            Ok(work) => Ok(Some(work)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(()),
        }
    }

    /// What is there now, if anything.
    pub fn try_receive(&self) -> Option<Work> {
        self.receiver.lock().try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_log::{EntryBody, Position};

    fn entry(index: u64) -> Entry {
        Entry { position: Position::new(1, index), body: EntryBody::NoOp }
    }

    #[test]
    fn work_weighs_until_it_is_dropped() {
        let (sender, receiver, backlog) = apply_queue();
        sender.send(vec![entry(1), entry(2)]);
        sender.send(vec![entry(3)]);
        let all = backlog.bytes();
        let first = receiver.receive().expect("work");
        assert_eq!(first.entries.len(), 2);
        assert_eq!(backlog.bytes(), all);
        drop(first);
        assert_eq!(backlog.bytes(), all / 3);
        drop(sender);
        assert_eq!(receiver.try_receive().map(|work| work.entries.len()), Some(1));
        assert!(receiver.receive().is_none());
        assert_eq!(backlog.bytes(), 0);
    }

    #[test]
    fn without_an_applier_nothing_piles_up() {
        let (sender, receiver, backlog) = apply_queue();
        drop(receiver);
        sender.send(vec![entry(1)]);
        assert_eq!(backlog.bytes(), 0);
    }
}
