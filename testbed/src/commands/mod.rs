//! One file a command, or a few that belong together.
pub mod bench;
pub mod cert;
pub mod cluster;
pub mod compat;
pub mod drill;
pub mod net;
pub mod nodes;
mod play;
pub mod status;
pub mod up;
pub mod verify;

use crate::private::Private;
use crate::signals::StopSignals;
use crate::terminal::Progress;
use crate::testbed::Options;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::Path;

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("the result does not serialise")?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// An interrupted start is cleaned up by the guard.
async fn start_private(options: Options, signals: &mut StopSignals) -> Result<Private> {
    let progress = Progress::start();
    let private = signals.unless_heard(Private::start(options, &progress)).await;
    progress.done();
    private
}
