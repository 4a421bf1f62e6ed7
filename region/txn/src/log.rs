//! What a database needs of the log below it. The region's process adapts its node to this; `LocalLog` is one in memory.
use futures::FutureExt;
use futures::future::BoxFuture;
use trivet_log::{Boot, NodeId, Outcome, Position, Proposal};
use trivet_types::PgResult;

pub trait Log: Send + Sync + 'static {
    /// This node and its start: the first two thirds of every id it hands out.
    fn region(&self) -> NodeId;
    fn boot(&self) -> Boot;
    /// Where a strong read that begins now reads: the last received entry, if a lease is valid at this very moment.
    /// Everything at or below it is in the pending index already.
    fn read_begin(&self) -> Option<Position>;
    /// The same without a lease: asks the leader, and waits until this node has received that much.
    fn read_index(&self) -> BoxFuture<'static, Option<Position>>;
    /// The call itself hands the proposal over, in the order of ids, and must not wait; the future is its outcome, once.
    /// Dropping the future does not take the proposal back.
    fn propose(&self, proposal: Proposal) -> BoxFuture<'static, Outcome>;
    /// Resolves when the log is not behind with what it has: proposers wait for it before they add to that.
    fn room(&self) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
    /// 57P03, with the reason, while this region can neither read strongly nor write.
    fn ready(&self) -> PgResult<()> {
        match self.read_begin() {
            Some(_) => Ok(()),
            None => Err(crate::errors::no_lease()),
        }
    }
}
