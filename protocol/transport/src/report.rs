//! Warnings at a bounded rate: a wrong peer that knocks five times a second gets one line every ten seconds.
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt::Display;
use std::time::{Duration, Instant};
use trivet_log::NodeId;

const QUIET: Duration = Duration::from_secs(10);

/// Kinds of trouble; also the `reason` label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trouble {
    /// A peer of ours could not be reached, or one of us refused the other.
    Dial,
    /// Somebody knocked who is not a peer, or not as it should be.
    Knock,
    /// A connected peer sent what is not in the format.
    Frame,
    /// A frame of our own was not sent.
    Send,
}

impl Trouble {
    fn label(self) -> &'static str {
        match self {
            Trouble::Dial => "dial",
            Trouble::Knock => "knock",
            Trouble::Frame => "frame",
            Trouble::Send => "send",
        }
    }
}

/// When, and how many were held back since.
type LastLine = (Instant, u64);

#[derive(Default)]
pub(crate) struct Reporter {
    /// As many entries as kinds times peers.
    last: Mutex<HashMap<(Trouble, Option<NodeId>), LastLine>>,
}

impl Reporter {
    /// Counts it; logs one line unless one of its kind and peer was logged a moment ago.
    pub(crate) fn warn(&self, trouble: Trouble, peer: Option<NodeId>, line: impl Display) {
        metrics::counter!("trivet_transport_troubles_total", "reason" => trouble.label()).increment(1);
        match self.due(trouble, peer, Instant::now()) {
            Some(0) => tracing::warn!("{line}"),
            Some(suppressed) => tracing::warn!("{line} ({suppressed} more like this in the meantime)"),
            None => tracing::debug!("{line}"),
        }
    }

    /// The number of lines held back since the last, if one is due now.
    fn due(&self, trouble: Trouble, peer: Option<NodeId>, now: Instant) -> Option<u64> {
        let mut last = self.last.lock();
        match last.get_mut(&(trouble, peer)) {
            Some((at, suppressed)) if now.saturating_duration_since(*at) < QUIET => {
                *suppressed += 1;
                None
            }
            Some(entry) => Some(std::mem::replace(entry, (now, 0)).1),
            None => {
                last.insert((trouble, peer), (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_a_kind_and_peer() {
        let reporter = Reporter::default();
        let start = Instant::now();
        let one = Some(NodeId(1));
        let table = [
            (0, Trouble::Knock, one, Some(0)),
            (1, Trouble::Knock, one, None),
            (2, Trouble::Knock, None, Some(0)),
            (3, Trouble::Frame, one, Some(0)),
            (9, Trouble::Knock, one, None),
            (10, Trouble::Knock, one, Some(2)),
            (11, Trouble::Knock, one, None),
        ];
        for (second, trouble, peer, due) in table {
            assert_eq!(reporter.due(trouble, peer, start + Duration::from_secs(second)), due, "second {second}");
        }
    }
}
