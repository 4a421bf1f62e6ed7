//! The one clock of the backends: nanoseconds since the relay began, monotone.
use crate::model::Nanos;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    pub fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    pub fn now(&self) -> Nanos {
        u64::try_from(self.origin.elapsed().as_nanos()).expect("a process lives less than 584 years")
    }
}

/// How long from `now` until `at`; zero if it has come.
pub fn until(now: Nanos, at: Nanos) -> Duration {
    Duration::from_nanos(at.saturating_sub(now))
}
