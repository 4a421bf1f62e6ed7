//! Ctrl-C and SIGTERM as something to wait for, so that what was broken is mended before the program ends.
//!
//! From [`StopSignals::listen`] on, a signal no longer ends the program by itself: whoever listens must look. A signal
//! that came while nobody looked is heard by the next look.
use anyhow::{Context, Result};
use std::fmt;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

/// The user asked to stop.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}
impl std::error::Error for Interrupted {}

impl StopSignals {
    pub fn listen() -> Result<StopSignals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(StopSignals { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The work's result, or [`Interrupted`]; then the work is dropped where it stands.
    pub async fn unless_heard<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            () = self.heard() => Err(Interrupted.into()),
        }
    }
}
