//! How much this machine stood still: a thread that only sleeps, and notes when it was woken late.
//!
//! On a busy machine a process may wait for a processor for a second. Whoever measures outages must know that, or blames
//! the database for it. Lateness here stands for lateness anywhere on the machine: it is a sample, not a proof.
use crate::history::{History, Moment};
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const BEAT: Duration = Duration::from_millis(10);
/// Less is what any system does.
const LATE: Duration = Duration::from_millis(30);

/// The machine's own share of what a drill measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Stalls {
    pub longest_ms: u64,
    pub total_ms: u64,
}

impl Stalls {
    pub fn total(self) -> Duration {
        Duration::from_millis(self.total_ms)
    }

    /// Of (end, length), those that ended within [from, to].
    fn between(late: &[(Moment, Duration)], from: Moment, to: Moment) -> Stalls {
        let within = || late.iter().filter(|(end, _)| (from..=to).contains(end)).map(|(_, length)| *length);
        let total: Duration = within().sum();
        Stalls { longest_ms: within().max().unwrap_or_default().as_millis() as u64, total_ms: total.as_millis() as u64 }
    }
}

#[derive(Debug)]
pub struct Pulse {
    late: Arc<Mutex<Vec<(Moment, Duration)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pulse {
    pub fn start(history: &History) -> Pulse {
        let late = Arc::<Mutex<Vec<(Moment, Duration)>>>::default();
        let stop = Arc::<AtomicBool>::default();
        let (clock, noted, stopped) = (history.clone(), late.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut before = clock.now();
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(BEAT);
                let now = clock.now();
                let over = now.since(before).saturating_sub(BEAT);
                if over >= LATE {
                    noted.lock().push((now, over));
                }
                before = now;
            }
        });
        Pulse { late, stop, thread: Some(thread) }
    }

    pub fn stalls(&self, from: Moment, to: Moment) -> Stalls {
        Stalls::between(&self.late.lock(), from, to)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within a beat, and cannot fail.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_counts() {
        let late = [(10, 100), (20, 300), (30, 50)];
        let late = late.map(|(second, ms)| (Moment(second * 1_000_000), Duration::from_millis(ms)));
        let between = |from: u64, to: u64| Stalls::between(&late, Moment(from * 1_000_000), Moment(to * 1_000_000));
        assert_eq!(between(0, 40), Stalls { longest_ms: 300, total_ms: 450 });
        assert_eq!(between(25, 40), Stalls { longest_ms: 50, total_ms: 50 });
        assert_eq!(between(11, 19), Stalls::default());
    }
}
