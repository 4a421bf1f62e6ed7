//! A testbed of a drill's own: in a temporary directory, on free ports, gone at the end.
//!
//! It must not outlive the drill, not even one that is killed. So a second process, the *guard*, reads from a pipe that
//! nobody writes to; when the drill is gone, for whatever reason, the pipe ends, and the guard ends the testbed's
//! processes and removes its directory. It is `trivet guard`, in a process group of its own.
use crate::terminal::Progress;
use crate::testbed::{Options, Testbed};
use anyhow::{Context, Result};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[derive(Debug)]
pub struct Private {
    pub testbed: Testbed,
    guard: Guard,
}

impl Private {
    pub async fn start(options: Options, progress: &Progress) -> Result<Private> {
        let root = tempfile::Builder::new()
            .prefix("trivet-drill-")
            .tempdir()
            .context("cannot make a temporary directory")?
            .keep();
        let guard = Guard::start(&root)?;
        let testbed = Testbed::start(&root, options, progress).await?;
        Ok(Private { testbed, guard })
    }

    /// Ends the testbed and waits until its directory is gone. Dropping does the same, without waiting.
    pub async fn close(self) -> Result<()> {
        self.testbed.destroy().await?;
        let Guard { mut process } = self.guard;
        drop(process.stdin.take());
        tokio::task::spawn_blocking(move || process.wait())
            .await
            .context("waiting for the guard failed")?
            .context("waiting for the guard failed")?;
        Ok(())
    }

    /// Leaves the logs and the data where they are and says where; the processes end.
    pub async fn close_and_keep(self) -> Result<PathBuf> {
        let root = self.testbed.directory().root().to_path_buf();
        std::fs::write(root.join(KEEP), "").context("cannot mark the directory")?;
        self.close().await?;
        Ok(root)
    }
}

/// In a directory that shall stay.
const KEEP: &str = "keep";

#[derive(Debug)]
struct Guard {
    process: Child,
}

impl Guard {
    fn start(root: &Path) -> Result<Guard> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let process = Command::new(program)
            .arg("guard")
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the guard of a private testbed")?;
        Ok(Guard { process })
    }
}

/// What the guard does: returns when the one who holds the pipe is gone and all is cleaned.
pub async fn guard(root: &Path) -> Result<()> {
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .context("the guard's wait failed")?
        .context("the guard cannot read its pipe")?;
    if let Ok(testbed) = Testbed::find(Some(root)) {
        testbed.destroy().await?;
    }
    if !root.join(KEEP).exists() {
        std::fs::remove_dir_all(root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    Ok(())
}
