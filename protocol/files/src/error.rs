//! What can go wrong with a file, by what the caller can do about it.
use std::{fmt, io};

/// What was being done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    List,
    Open,
    Create,
    Read,
    Write,
    Preallocate,
    SetLength,
    Sync,
    Rename,
    Remove,
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::List => "list",
            Operation::Open => "open",
            Operation::Create => "create",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Preallocate => "reserve space for",
            Operation::SetLength => "set the length of",
            Operation::Sync => "sync",
            Operation::Rename => "rename",
            Operation::Remove => "remove",
            Operation::Lock => "lock",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("{path}: no such file")]
    NotFound { path: String },
    #[error("{path}: a file of this name is there already")]
    AlreadyExists { path: String },
    #[error("cannot {operation} {path}: no space left on the device")]
    DiskFull { operation: Operation, path: String },
    /// Final (D2): bytes written before are in doubt and a second try would lie. Stop the process.
    #[error("cannot make {path} durable, what was written to it is in doubt: {cause}")]
    SyncFailed { path: String, cause: io::Error },
    /// Another process, or another part of this one, has the directory.
    #[error("{path} is in use by another process")]
    InUse { path: String },
    #[error("{name:?} cannot be the name of a file here")]
    BadName { name: String },
    #[error("cannot {operation} {path}: {cause}")]
    Io { operation: Operation, path: String, cause: io::Error },
}

impl FilesError {
    pub(crate) fn new(operation: Operation, path: impl Into<String>, cause: io::Error) -> FilesError {
        let path = path.into();
        match cause.kind() {
            _ if operation == Operation::Sync => FilesError::SyncFailed { path, cause },
            io::ErrorKind::NotFound => FilesError::NotFound { path },
            io::ErrorKind::AlreadyExists => FilesError::AlreadyExists { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FilesError::DiskFull { operation, path },
            _ => FilesError::Io { operation, path, cause },
        }
    }

    /// The process must stop: what is on disk is not known any more.
    pub fn is_final(&self) -> bool {
        matches!(self, FilesError::SyncFailed { .. })
    }

    /// The same call may work once there is room.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, FilesError::DiskFull { .. })
    }
}
