//! The node's log as transactions see it.
use futures::future::{BoxFuture, FutureExt};
use trivet_log::{Boot, NodeId, Outcome, Position, Proposal};
use trivet_node::NodeHandle;
use trivet_txn::Log;

/// How long a read without a lease waits for what the leader told it to read.
const CATCH_UP: std::time::Duration = std::time::Duration::from_millis(1500);

pub struct NodeLog {
    node: NodeHandle,
}

impl NodeLog {
    pub fn new(node: NodeHandle) -> NodeLog {
        NodeLog { node }
    }
}

impl Log for NodeLog {
    fn region(&self) -> NodeId {
        self.node.id()
    }

    fn boot(&self) -> Boot {
        self.node.boot()
    }

    fn read_begin(&self) -> Option<Position> {
        self.node.read_begin().map(|begun| begun.position)
    }

    fn read_index(&self) -> BoxFuture<'static, Option<Position>> {
        let node = self.node.clone();
        async move {
            let position = node.read_index().await?;
            // Committed here, not merely received: without a lease the end of this log may be of a leader that is gone, and
            // an index alone would not tell. What is committed at or above the leader's end holds all that was exposed.
            let mut commits = node.commits();
            let reached = commits.wait_for(|commit| commit.index >= position.index);
            let commit = *tokio::time::timeout(CATCH_UP, reached).await.ok()?.ok()?;
            Some(commit)
        }
        .boxed()
    }

    fn propose(&self, proposal: Proposal) -> BoxFuture<'static, Outcome> {
        let outcome = self.node.propose(proposal);
        // The node ended before it could say: the fate is not known here (T9).
        async move { outcome.await.unwrap_or(Outcome::Unknown) }.boxed()
    }
}
