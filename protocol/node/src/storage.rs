//! Which files a node uses, and whether it has a past.
//!
//! A node that comes back with an empty disk under its old id would have forgotten its votes and what it acknowledged,
//! and could help to lose a commit. An empty directory alone cannot tell a first start from a lost disk. So at its
//! first start a node leaves a mark beside its configuration file, which usually is on another disk, and from then on
//! refuses to start without its journal.
use crate::config::NodeConfig;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_files::{Files, FilesError, OsFiles, VolatileFiles, VolatileOptions};
use trivet_journal::{Identity, Journal, JournalConfig, JournalError, Start};
use trivet_log::{Index, Recovered};

const FORMER_PROCESS_ENDS_WITHIN: Duration = Duration::from_secs(5);
/// The journal's folder in the data directory.
const LOG_FOLDER: &str = "log";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make the folder {}: {cause}", path.display())]
    Folder { path: PathBuf, cause: std::io::Error },
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("{cause}{}", what_to_do(cause))]
    Journal {
        #[from]
        cause: JournalError,
    },
}

fn what_to_do(error: &JournalError) -> &'static str {
    match error {
        JournalError::Foreign { .. } => ". node.data_dir, node.id and node.cluster_id must be of one node",
        _ => "",
    }
}

/// The journal's files, as `[testing]` wants them.
pub(crate) fn open_files(config: &NodeConfig) -> Result<Arc<dyn Files>, OpenError> {
    let folder = config.node.data_dir.join(LOG_FOLDER);
    std::fs::create_dir_all(&folder).map_err(|cause| OpenError::Folder { path: folder.clone(), cause })?;
    let files: Arc<dyn Files> = Arc::new(take_folder(folder)?);
    let testing = config.testing;
    if testing.volatile_files || testing.skip_fsync {
        let options = VolatileOptions { skip_sync: testing.skip_fsync, ..VolatileOptions::default() };
        return Ok(Arc::new(VolatileFiles::open(files, options)?));
    }
    Ok(files)
}

/// A process that was killed holds its lock until its last thread is gone, which a supervisor may not wait for.
fn take_folder(folder: PathBuf) -> Result<OsFiles, FilesError> {
    let begun = Instant::now();
    loop {
        match OsFiles::open(folder.clone()) {
            Err(FilesError::InUse { .. }) if begun.elapsed() < FORMER_PROCESS_ENDS_WITHIN => {
                std::thread::sleep(Duration::from_millis(50));
            }
            opened => return opened,
        }
    }
}

/// Opens the journal, as the mark allows, and leaves the mark.
pub(crate) fn open_journal(
    config: &NodeConfig,
    files: Arc<dyn Files>,
    replay_from: Index,
) -> Result<(Journal, Recovered), OpenError> {
    let identity = Identity { cluster: config.node.cluster_id, node: config.node.id };
    let mark = mark_path(config);
    let start = match &mark {
        Some(mark) if mark.exists() => Start::Again,
        _ => Start::Any,
    };
    let opened = Journal::open(files, JournalConfig::new(identity, start), replay_from)?;
    if let Some(mark) = mark.filter(|_| start == Start::Any)
        && let Err(error) = std::fs::write(&mark, format!("{identity} has started; do not delete while it is in use\n"))
    {
        tracing::warn!(
            "cannot write {} ({error}): if this node loses its disk it will not notice; never restart it with an empty one",
            mark.display()
        );
    }
    Ok(opened)
}

/// Beside the configuration; none if there is no such file (a test). What is not on disk when it is said to be leaves no
/// mark either: such a node comes back empty by design.
fn mark_path(config: &NodeConfig) -> Option<PathBuf> {
    let file = config.file.as_ref().filter(|_| !config.testing.skip_fsync)?;
    Some(file.with_extension("started"))
}
