//! Counters: for the metrics recorder, and as totals that the server can be asked for.
//!
//! Labels are bounded: message types are PostgreSQL's letters, SQLSTATEs come from the engine and are counted apart for the
//! first `CODES_MAX` that occur, then together as `other`.
use metrics::{Counter, Gauge, counter, gauge};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trivet_types::SqlState;

const CODES_MAX: usize = 128;
const MESSAGE_KINDS: &[u8; 14] = b"QBESPDdHCXcfpF";

pub(crate) struct Tally {
    own: AtomicU64,
    shared: Counter,
}

impl Tally {
    fn new(shared: Counter) -> Tally {
        Tally { own: AtomicU64::new(0), shared }
    }

    pub fn add(&self, count: u64) {
        self.own.fetch_add(count, Ordering::Relaxed);
        self.shared.increment(count);
    }

    fn total(&self) -> u64 {
        self.own.load(Ordering::Relaxed)
    }
}

pub(crate) struct Meters {
    pub accepted: Tally,
    pub refused: Tally,
    pub accept_errors: Tally,
    pub cancels: Tally,
    pub panics: Tally,
    pub bytes_in: Tally,
    pub bytes_out: Tally,
    pub sends: Tally,
    open: AtomicU64,
    open_gauge: Gauge,
    messages: AtomicU64,
    /// In the order of `MESSAGE_KINDS`.
    by_kind: Vec<Counter>,
    errors: AtomicU64,
    by_code: Mutex<HashMap<SqlState, Counter>>,
}

/// Totals since the gateway started, and how many sessions are open now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Sessions that passed the limit of connections and have not ended.
    pub open: u64,
    pub accepted: u64,
    /// Refused for want of a slot.
    pub refused: u64,
    pub accept_errors: u64,
    /// CancelRequests that met their session.
    pub cancels: u64,
    /// Each one is a bug.
    pub panics: u64,
    pub messages: u64,
    pub errors: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// How often output was handed to a socket.
    pub sends: u64,
}

impl Meters {
    pub fn new() -> Meters {
        Meters {
            accepted: Tally::new(counter!("trivet_gateway_connections_total", "outcome" => "accepted")),
            refused: Tally::new(counter!("trivet_gateway_connections_total", "outcome" => "refused")),
            accept_errors: Tally::new(counter!("trivet_gateway_accept_errors_total")),
            cancels: Tally::new(counter!("trivet_gateway_cancels_total")),
            panics: Tally::new(counter!("trivet_gateway_panics_total")),
            bytes_in: Tally::new(counter!("trivet_gateway_bytes_total", "direction" => "in")),
            bytes_out: Tally::new(counter!("trivet_gateway_bytes_total", "direction" => "out")),
            sends: Tally::new(counter!("trivet_gateway_sends_total")),
            open: AtomicU64::new(0),
            open_gauge: gauge!("trivet_gateway_sessions"),
            messages: AtomicU64::new(0),
            by_kind: MESSAGE_KINDS
                .iter()
                .map(|kind| counter!("trivet_gateway_messages_total", "type" => char::from(*kind).to_string()))
                .collect(),
            errors: AtomicU64::new(0),
            by_code: Mutex::default(),
        }
    }

    pub fn error(&self, code: SqlState) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut by_code = self.by_code.lock();
        let room = by_code.len() < CODES_MAX;
        if room || by_code.contains_key(&code) {
            by_code.entry(code).or_insert_with(|| error_counter(code.as_str())).increment(1);
        } else {
            error_counter("other").increment(1);
        }
    }

    pub fn session_opened(&self) {
        self.open_gauge.set((self.open.fetch_add(1, Ordering::Relaxed) + 1) as f64);
    }

    pub fn session_closed(&self) {
        self.open_gauge.set((self.open.fetch_sub(1, Ordering::Relaxed) - 1) as f64);
    }

    pub fn totals(&self) -> Totals {
        Totals {
            open: self.open.load(Ordering::Relaxed),
            accepted: self.accepted.total(),
            refused: self.refused.total(),
            accept_errors: self.accept_errors.total(),
            cancels: self.cancels.total(),
            panics: self.panics.total(),
            messages: self.messages.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.total(),
            bytes_out: self.bytes_out.total(),
            sends: self.sends.total(),
        }
    }
}

/// One connection's messages since it last sent something. Counted here first: every message of every connection on one
/// shared number would be a queue.
pub(crate) struct TakenMessages {
    meters: Arc<Meters>,
    by_kind: [u32; MESSAGE_KINDS.len()],
}

impl TakenMessages {
    pub fn new(meters: Arc<Meters>) -> TakenMessages {
        TakenMessages { meters, by_kind: [0; MESSAGE_KINDS.len()] }
    }

    pub fn add(&mut self, kind: u8) {
        if let Some(index) = MESSAGE_KINDS.iter().position(|one| *one == kind) {
            self.by_kind[index] += 1;
        }
    }

    pub fn publish(&mut self) {
        let counts = std::mem::take(&mut self.by_kind);
        for (count, counter) in counts.iter().zip(&self.meters.by_kind).filter(|(count, _)| **count > 0) {
            counter.increment(u64::from(*count));
            self.meters.messages.fetch_add(u64::from(*count), Ordering::Relaxed);
        }
    }
}

impl Drop for TakenMessages {
    fn drop(&mut self) {
        self.publish();
    }
}

fn error_counter(code: &str) -> Counter {
    counter!("trivet_gateway_errors_total", "sqlstate" => code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_types::sqlstate;

    #[test]
    fn labels_are_bounded() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let meters = Arc::new(Meters::new());
            meters.error(sqlstate::UNIQUE_VIOLATION);
            meters.error(sqlstate::UNIQUE_VIOLATION);
            for number in 0..500u32 {
                let digits = format!("{number:05}");
                meters.error(SqlState(digits.as_bytes().try_into().expect("five digits")));
            }
            meters.error(sqlstate::UNIQUE_VIOLATION);
            let mut taken = TakenMessages::new(meters.clone());
            for kind in [b'Q', b'S', b'Q', 0, 255] {
                taken.add(kind);
            }
            drop(taken);
            assert_eq!((meters.totals().errors, meters.totals().messages), (503, 3));
        });
        let text = recorder.handle().render();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).map(str::to_owned);
        assert_eq!(
            line("trivet_gateway_errors_total{sqlstate=\"23505\"}").as_deref(),
            Some("trivet_gateway_errors_total{sqlstate=\"23505\"} 3")
        );
        assert_eq!(
            line("trivet_gateway_errors_total{sqlstate=\"other\"}").as_deref(),
            Some("trivet_gateway_errors_total{sqlstate=\"other\"} 373")
        );
        assert_eq!(
            line("trivet_gateway_messages_total{type=\"Q\"}").as_deref(),
            Some("trivet_gateway_messages_total{type=\"Q\"} 2")
        );
        assert_eq!(text.matches("trivet_gateway_errors_total{").count(), CODES_MAX + 1);
    }
}
