//! What a region begins with that lost its disk, and with it its term, its votes, and what it acknowledged.
//!
//! It begins as if all of its log had rotted (see `docs/protocol.md`, Rot). Up to where, and in which term, only a leader can
//! say, and only one that has gone on without the lost region:
//!
//! - R1: it leads, and holds a lease although it has not heard the lost region for as long as a promise lasts. So the witness
//!   follows it, in its term: nobody else can have led since, whatever the lost region had voted for.
//! - R2: something of its term is committed. So its log holds all that was ever committed, and all that the lost region can have
//!   helped to commit ends at or below the end of that log.
//! - R3: it is asked after the disk was lost. What it said before binds nobody: the lost region may have led since.
use crate::core::{Core, Role};
use crate::types::*;

/// Starts of it that nobody here may have heard of. (A start that left something in a log is found there.)
const BOOTS_LEFT_OUT: u64 = 256;

/// As the leader of `term` knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rejoin {
    pub term: Term,
    /// All that the lost region may have acknowledged ends at or below this: it votes and acknowledges nothing until it has been
    /// brought there.
    pub rotten_up_to: Index,
    /// Everything up to here may be copied.
    pub commit: Position,
    /// The newest boot of it that this leader heard of: see `boot_above`.
    pub heard: Boot,
}

impl Rejoin {
    /// What the journal of the new disk says of former starts. No start may use a number that an earlier one had: ids are made
    /// of it, and peers are deaf to older ones. `logged`: the newest in this leader's log, to its end. A leader that has heard less
    /// than the one before has a later term.
    pub fn boot_above(&self, logged: Boot) -> Boot {
        Boot(self.heard.max(logged).0 + BOOTS_LEFT_OUT + self.term.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoRejoin {
    #[error("that is not the other region")]
    NotTheOther,
    #[error("this node does not lead: ask the one that does")]
    LeadsNot,
    #[error("the other region was heard a moment ago")]
    Heard,
    #[error("this node leads without a lease: the witness does not answer it")]
    NoLease,
    #[error("nothing of this leader's term is committed yet")]
    NothingCommitted,
}

impl Core {
    /// For region `lost`, whose disk is known to be lost (R3).
    pub fn rejoin(&self, lost: NodeId, now: Nanos) -> Result<Rejoin, NoRejoin> {
        let node = &self.node;
        let contact = node.contact(lost).filter(|contact| contact.kind == NodeKind::Region && node.is_region());
        let contact = contact.ok_or(NoRejoin::NotTheOther)?;
        let heard = contact.heard_at.is_some_and(|at| now.saturating_sub(at) <= node.timing().promise);
        let refusal = match &self.role {
            _ if node.config.sabotage.rejoin_from_anyone => None,
            Role::Follower { .. } | Role::Candidate(_) => Some(NoRejoin::LeadsNot),
            Role::Leader(_) if heard => Some(NoRejoin::Heard),
            Role::Leader(_) if node.stopped || node.failed || !node.leases.valid(now) => Some(NoRejoin::NoLease),
            Role::Leader(_) if node.commit.term != node.term => Some(NoRejoin::NothingCommitted),
            Role::Leader(_) => None,
        };
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Rejoin {
                term: node.term,
                rotten_up_to: node.log.last().index,
                commit: node.commit,
                heard: contact.boot,
            }),
        }
    }
}
