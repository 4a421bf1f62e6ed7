//! What sits on the log. Called by the core inside a step, synchronously, in this order and no other:
//! `certify` (leader only), then `received` for the entry at its index; `truncated` before any entry that replaces
//! the cut ones; `committed` with growing indexes. A witness runs [`NoMachine`].
use crate::types::*;
use bytes::Bytes;

/// A leader's answer to a proposal. A pure function of the log below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Append it, with this header.
    Append { header: Bytes },
    /// Refuse it; the reason travels to the proposer.
    Reject { reason: Bytes },
    /// The id is in the log already.
    Duplicate { position: Position },
}

/// The state machine above the log. Pure: what it needs of the world comes in `now`.
pub trait Machine {
    /// Leader only: decide on a proposal that would be appended at `at`. On `Append`, `received` follows at once.
    fn certify(&mut self, now: Now, at: Position, proposal: &Proposal) -> Verdict;
    /// The entry is in this node's log, not yet resolved. Before any ack for it can leave.
    fn received(&mut self, entry: &Entry);
    /// Every received entry above `last` is gone. Never below `committed`.
    fn truncated(&mut self, last: Position);
    /// Everything up to `position` is committed: exposed for good.
    fn committed(&mut self, position: Position);
    /// This node leads from now on (`true`) or no longer does. On `true` it has received all of its log.
    fn leading(&mut self, _now: Now, _term: Term, _leads: bool) {}
    /// The lowest index that this node's readers and proposals still need; the journal keeps it.
    fn low_water(&self) -> Index {
        Index(u64::MAX)
    }
    /// The lowest `low_water` of all live regions, as a leader heard it; only a leader is told.
    fn low_water_of_all(&mut self, _index: Index) {}
}

/// A machine that keeps nothing: the witness's.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoMachine;

impl Machine for NoMachine {
    fn certify(&mut self, _: Now, _: Position, _: &Proposal) -> Verdict {
        Verdict::Reject { reason: Bytes::from_static(b"a witness does not lead") }
    }
    fn received(&mut self, _: &Entry) {}
    fn truncated(&mut self, _: Position) {}
    fn committed(&mut self, _: Position) {}
}
