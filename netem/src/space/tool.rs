//! `ip` and `tc`, run by this process.
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{tool} is not installed (Debian: apt-get install iproute2)")]
    Missing { tool: &'static str },
    #[error("cannot start {tool}")]
    Start { tool: &'static str, source: io::Error },
    #[error("`{line}` failed: {said}")]
    Failed { line: String, said: String },
    #[error("`{line}` answered what does not read: {source}")]
    Answer { line: String, source: serde_json::Error },
}

/// Runs it in the namespace of the calling thread, with the words of `arguments`; answers what it prints.
pub fn run(tool: &'static str, arguments: &str) -> Result<Vec<u8>, ToolError> {
    let output = Command::new(find(tool)?)
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ToolError::Start { tool, source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(ToolError::Failed {
        line: format!("{tool} {arguments}"),
        said: said.trim().trim_end_matches('.').replace('\n', "; "),
    })
}

/// In the PATH, and where administrators' tools are on systems that keep them out of it.
fn find(tool: &'static str) -> Result<PathBuf, ToolError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(OsStr::new(&path)).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let mut found = folders.map(|folder| folder.join(tool)).filter(|program| program.is_file());
    found.next().ok_or(ToolError::Missing { tool })
}
