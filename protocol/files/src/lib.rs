//! The file layer below the journal: one flat directory of files, with every step towards durability explicit.
//!
//! ```text
//!   Journal
//!      |            File: write_at, read_at, preallocate, set_length, sync_data
//!    Files          Files: create, open, rename, remove, list, sync_directory
//!      |
//!   FaultyFiles     (tests) fails the n-th operation, or fills up
//!      |
//!   VolatileFiles   (test mode) keeps all that is not synced in memory: a killed process loses exactly that
//!      |
//!   OsFiles | MemoryFiles
//! ```
//!
//! What is promised, by every implementation:
//! * **D1** Written bytes are durable once `sync_data` of their file has returned, and the name of the file once
//!   `sync_directory` has. Before that a crash may keep any part of them, or nothing.
//! * **D2** A failed sync is final ([`FilesError::SyncFailed`]): the kernel may have dropped the bytes and would say
//!   "done" the next time. The process must stop and look at its disk again.
//! * **D3** A directory belongs to one process at a time.
//!
//! Names are plain: no separators, and not beginning with a dot, which is for this layer's own files.
//! What it leaves out: paths, permissions, reading by line, async. The journal is driven by one thread.
mod error;
mod faulty;
mod memory;
mod os;
mod volatile;

pub use error::{FilesError, Operation};
pub use faulty::{Fault, FaultKind, FaultyFiles};
pub use memory::MemoryFiles;
pub use os::OsFiles;
pub use volatile::{VolatileFiles, VolatileOptions};

use std::sync::Arc;

pub type Result<T> = std::result::Result<T, FilesError>;

/// One flat directory.
pub trait Files: Send + Sync + 'static {
    /// Where this is, for messages.
    fn location(&self) -> String;
    /// Names of the files, sorted.
    fn list(&self) -> Result<Vec<String>>;
    fn open(&self, name: &str) -> Result<Arc<dyn File>>;
    /// Makes an empty file; an error if the name is taken.
    fn create(&self, name: &str) -> Result<Arc<dyn File>>;
    /// Takes the place of what is called `to`, if anything is. Files that are open stay open.
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    /// Files that are open stay readable.
    fn remove(&self, name: &str) -> Result<()>;
    /// Makes names durable: creations, renames and removals.
    fn sync_directory(&self) -> Result<()>;

    /// The whole content, or `None` if there is no such file.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self.open(name) {
            Ok(file) => {
                let mut content = vec![0; usize::try_from(file.length()?).expect("a file read whole fits in memory")];
                let length = file.read_at(0, &mut content)?;
                content.truncate(length);
                Ok(Some(content))
            }
            Err(FilesError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file's content at once: after a crash it is the old or the new, and after a return the new.
    fn replace(&self, name: &str, content: &[u8]) -> Result<()> {
        let draft = format!("{name}{DRAFT}");
        match self.remove(&draft) {
            Ok(()) | Err(FilesError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let file = self.create(&draft)?;
        file.write_at(0, content)?;
        file.sync_data()?;
        self.rename(&draft, name)?;
        self.sync_directory()
    }
}

/// What `replace` adds to a name while it writes. A file so called was left by a crash and means nothing.
pub const DRAFT: &str = ".draft";

/// One open file. Shared between threads; writes to one file come from one thread.
pub trait File: Send + Sync {
    fn length(&self) -> Result<u64>;
    /// Reads until the buffer is full or the file ends; returns how much was read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;
    /// Writes all of it, or fails with some of it written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;
    /// Reserves space: the file is at least this long from now on, new bytes read as zeros, and writing them later
    /// will not find the disk full (where the file system can promise that).
    fn preallocate(&self, length: u64) -> Result<()>;
    /// Cuts, or extends with zeros that have no space yet.
    fn set_length(&self, length: u64) -> Result<()>;
    fn sync_data(&self) -> Result<()>;
}

/// A name is ours to use if it cannot leave the directory nor meet this layer's own files.
fn check_name(name: &str) -> Result<()> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if plain { Ok(()) } else { Err(FilesError::BadName { name: name.to_string() }) }
}
