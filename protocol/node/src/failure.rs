//! How a node ends that cannot go on. Never by hanging: the other nodes take over from a process that is gone.
use std::fmt::Write as _;
use std::path::Path;

/// Exit codes, from `sysexits.h`: an input/output error, and a temporary failure that room on the disk ends.
pub const EXIT_DISK: i32 = 74;
pub const EXIT_DISK_FULL: i32 = 75;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// An invariant is broken, or a thread panicked: our mistake. The process aborts, for a core file.
    #[error("{message}")]
    Bug { message: String, dump: String },
    /// What is on disk is in doubt. The process exits at once; a restart looks at the disk afresh.
    #[error("the disk failed, this process must end: {0}")]
    Disk(String),
    /// Nothing is lost and nothing was promised that is not kept. Leases were released before this is reported.
    #[error("the disk is full, this node stops; everything acknowledged is safe, make room and start it again: {0}")]
    DiskFull(String),
}

impl Failure {
    /// What a process does with it, unless it is a test.
    pub fn end_process(&self, data_dir: &Path) -> ! {
        match self {
            Failure::Bug { message, dump } => {
                tracing::error!("broken invariant, aborting: {message}");
                match write_dump(data_dir, message, dump) {
                    Ok(path) => tracing::error!("dump: {}", path.display()),
                    Err(error) => tracing::error!("no dump could be written ({error}); it would say:\n{dump}"),
                }
                std::process::abort()
            }
            Failure::Disk(_) => {
                tracing::error!("{self}");
                std::process::exit(EXIT_DISK)
            }
            Failure::DiskFull(_) => {
                tracing::error!("{self}");
                std::process::exit(EXIT_DISK_FULL)
            }
        }
    }
}

fn write_dump(data_dir: &Path, message: &str, dump: &str) -> std::io::Result<std::path::PathBuf> {
    let seconds = crate::clock::now().wall / 1_000_000_000;
    let path = data_dir.join(format!("dump-{seconds}.txt"));
    let mut text = String::new();
    let _ = writeln!(text, "trivet-node {} stopped on a broken invariant\n\n{message}\n", env!("CARGO_PKG_VERSION"));
    text.push_str(dump);
    std::fs::write(&path, text)?;
    Ok(path)
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}
