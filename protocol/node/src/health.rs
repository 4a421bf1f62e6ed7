//! Whether a node serves, in one word for machines and a sentence for people.
use serde::Serialize;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serving {
    /// A region: reads and writes. A witness: it votes, and hears a leader.
    Serving,
    /// A region that has come back and has yet to get what it missed.
    CatchingUp,
    /// A region that may not serve strong reads: it does not hear enough of the others.
    NoLease,
    /// Nobody leads, as far as this node knows.
    NoLeader,
    /// Asked to stop: what runs is brought to its end.
    Stopping,
    /// It cannot go on; a person must look.
    Failed,
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Serving::Serving => "serving",
            Serving::CatchingUp => "catching-up",
            Serving::NoLease => "no-lease",
            Serving::NoLeader => "no-leader",
            Serving::Stopping => "stopping",
            Serving::Failed => "failed",
        })
    }
}

/// `reason` is empty while it serves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Health {
    pub state: Serving,
    pub reason: String,
}

impl Health {
    pub(crate) fn serving() -> Health {
        Health { state: Serving::Serving, reason: String::new() }
    }

    pub(crate) fn of(state: Serving, reason: impl Into<String>) -> Health {
        Health { state, reason: reason.into() }
    }

    pub fn serves(&self) -> bool {
        self.state == Serving::Serving
    }
}
