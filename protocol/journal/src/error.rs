//! Why a journal cannot be opened, written or read.
use crate::state::Identity;
use trivet_files::FilesError;
use trivet_log::{Boot, Index};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("{location} belongs to {found}, not to {expected}")]
    Foreign { location: String, found: Identity, expected: Identity },
    /// J5. To bring this node back, give the machine a new node id and let it join.
    #[error(
        "{location} holds no journal, but {expected} is expected to have one: a node that lost its disk must come back \
         under a new id"
    )]
    Missing { location: String, expected: Identity },
    #[error("{location} already holds the journal of {found}, started {} times", boot.0)]
    AlreadyThere { location: String, found: Identity, boot: Boot },
    #[error("{location}: {name} was written by a newer release (format {version})")]
    NewerFormat { location: String, name: String, version: u32 },
    /// Nothing of the node's past can be trusted: as `Missing`.
    #[error("{location}: {name} is damaged: {what}")]
    Damaged { location: String, name: String, what: String },
    #[error("entry {} is not in the journal any more, which begins after {}", from.0, base.0)]
    Pruned { from: Index, base: Index },
    #[error("entry {} is not in the journal yet, which ends at {}", from.0, last.0)]
    Beyond { from: Index, last: Index },
    #[error("the journal failed before, and what is on disk is in doubt")]
    Failed,
}

impl JournalError {
    /// The process must stop: what is on disk is not known any more (J6).
    pub fn is_final(&self) -> bool {
        match self {
            JournalError::Files(error) => error.is_final(),
            JournalError::Failed => true,
            _ => false,
        }
    }

    /// Nothing was promised and nothing is lost; the same call works once there is room (J6).
    pub fn is_disk_full(&self) -> bool {
        matches!(self, JournalError::Files(error) if error.is_disk_full())
    }
}
