//! The process's log: lines on standard error, filtered as `--log` says, and as somebody says later (`POST /log`).
use std::io::IsTerminal;
use std::sync::Arc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is no filter ({cause}): a level (error, warn, info, debug, trace), or parts such as `info,trivet_txn=debug`"
)]
pub struct FilterError {
    text: String,
    cause: tracing_subscriber::filter::ParseError,
}

/// Changes what is logged.
#[derive(Clone)]
pub struct LogControl {
    handle: Handle<EnvFilter, Registry>,
    first: Arc<str>,
}

/// Once a process, before anything is logged.
pub fn install(filter: &str) -> Result<LogControl, FilterError> {
    let (layer, handle) = reload::Layer::new(parse(filter)?);
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(layer).with(lines).init();
    Ok(LogControl { handle, first: filter.into() })
}

fn parse(text: &str) -> Result<EnvFilter, FilterError> {
    EnvFilter::try_new(text).map_err(|cause| FilterError { text: text.to_owned(), cause })
}

impl LogControl {
    /// From now on; an empty text is what the process was started with.
    pub fn set(&self, text: &str) -> Result<String, FilterError> {
        let text = if text.trim().is_empty() { &*self.first } else { text.trim() };
        let filter = parse(text)?;
        let _ = self.handle.reload(filter); // fails only if the subscriber is gone, and nobody logs then
        tracing::warn!("what is logged was changed to {text}");
        Ok(text.to_owned())
    }

    pub fn now(&self) -> String {
        self.handle.with_current(ToString::to_string).unwrap_or_default()
    }
}
