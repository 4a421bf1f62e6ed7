//! Metrics. `docs/metrics.md` lists them; handles are looked up once, when the recorder is installed already.
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::time::Duration;
use trivet_log::{Event, Nanos, NodeId, Outcome, Status};
use trivet_transport::inspect::Day;

/// Until when a certificate is valid.
pub fn certificate(which: &'static str, until: Day) {
    gauge!("trivet_certificate_expiry_timestamp_seconds", "certificate" => which).set(until.0 as f64);
}

/// The core thread's.
pub(crate) struct CoreMeasure {
    commit_seconds: Histogram,
    outcomes: [(Counter, &'static str); 4],
    batch_inputs: Histogram,
    loop_seconds: Histogram,
    term: Gauge,
    leads: Gauge,
    lease_valid: Gauge,
    lease_epoch: Gauge,
    last: Gauge,
    durable: Gauge,
    commit: Gauge,
    applied: Gauge,
    backlog: Gauge,
    engaged: Gauge,
    peers: Vec<PeerMeasure>,
    pub(crate) pauses: Counter,
    pub(crate) clock_jumps: Counter,
    pub(crate) unsent: Counter,
}

struct PeerMeasure {
    node: NodeId,
    durable_lag: Gauge,
    heard_seconds: Gauge,
    rtt_seconds: Gauge,
}

impl CoreMeasure {
    pub(crate) fn new(peers: impl IntoIterator<Item = NodeId>) -> CoreMeasure {
        let outcome = |name: &'static str| (counter!("trivet_proposals_total", "outcome" => name), name);
        let peer = |node: NodeId| {
            let label = node.0.to_string();
            PeerMeasure {
                node,
                durable_lag: gauge!("trivet_peer_durable_lag_entries", "peer" => label.clone()),
                heard_seconds: gauge!("trivet_peer_heard_seconds", "peer" => label.clone()),
                rtt_seconds: gauge!("trivet_peer_rtt_seconds", "peer" => label),
            }
        };
        CoreMeasure {
            commit_seconds: histogram!("trivet_commit_seconds"),
            outcomes: ["committed", "rejected", "not_sent", "unknown"].map(outcome),
            batch_inputs: histogram!("trivet_core_batch_inputs"),
            loop_seconds: histogram!("trivet_core_loop_seconds"),
            term: gauge!("trivet_term"),
            leads: gauge!("trivet_leads"),
            lease_valid: gauge!("trivet_lease_valid"),
            lease_epoch: gauge!("trivet_lease_epoch"),
            last: gauge!("trivet_log_last_index"),
            durable: gauge!("trivet_log_durable_index"),
            commit: gauge!("trivet_log_commit_index"),
            applied: gauge!("trivet_log_applied_index"),
            backlog: gauge!("trivet_apply_backlog_bytes"),
            engaged: gauge!("trivet_witness_engaged"),
            peers: peers.into_iter().map(peer).collect(),
            pauses: counter!("trivet_pauses_total"),
            clock_jumps: counter!("trivet_clock_jumps_total"),
            unsent: counter!("trivet_messages_unsent_total"),
        }
    }

    pub(crate) fn resolved(&self, outcome: &Outcome, after: Duration) {
        let place = match outcome {
            Outcome::Committed(_) => {
                self.commit_seconds.record(after);
                0
            }
            Outcome::Rejected { .. } => 1,
            Outcome::NotSent => 2,
            Outcome::Unknown => 3,
        };
        self.outcomes[place].0.increment(1);
    }

    pub(crate) fn looped(&self, inputs: usize, took: Duration) {
        self.batch_inputs.record(inputs as f64);
        self.loop_seconds.record(took);
    }

    pub(crate) fn status(&self, status: &Status, now: Nanos, leads: bool, lease_left: Nanos, backlog: usize) {
        let seconds = |nanos: Nanos| nanos as f64 / 1e9;
        self.term.set(status.term.0 as f64);
        self.leads.set(f64::from(u8::from(leads)));
        self.lease_valid.set(f64::from(u8::from(lease_left > 0)));
        self.lease_epoch.set(status.lease_epoch as f64);
        self.last.set(status.last.index.0 as f64);
        self.durable.set(status.durable.0 as f64);
        self.commit.set(status.commit.0 as f64);
        self.applied.set(status.applied.0 as f64);
        self.backlog.set(backlog as f64);
        self.engaged.set(f64::from(u8::from(status.witness_engaged)));
        for measure in &self.peers {
            if let Some(peer) = status.peers.iter().find(|peer| peer.node == measure.node) {
                measure.durable_lag.set(status.last.index.0.saturating_sub(peer.durable.0) as f64);
                measure.heard_seconds.set(seconds(now.saturating_sub(peer.heard_at)));
                measure.rtt_seconds.set(seconds(peer.rtt));
            }
        }
    }
}

/// One line in the log an event, and a count.
pub(crate) fn event(event: &Event) {
    let name = match event {
        Event::BecameLeader { .. } => "became_leader",
        Event::SteppedDown { .. } => "stepped_down",
        Event::Campaigning { .. } => "campaigning",
        Event::LeaseActivated { .. } => "lease_activated",
        Event::LeaseLapsed { .. } => "lease_lapsed",
        Event::WitnessEngaged => "witness_engaged",
        Event::WitnessReleased => "witness_released",
        Event::AdoptionAbandoned { .. } => "adoption_abandoned",
        Event::AdoptedWitnessTail { .. } => "adopted_witness_tail",
        Event::Truncated { .. } => "truncated",
        Event::PeerSilent { .. } => "peer_silent",
        Event::PeerBack { .. } => "peer_back",
        Event::TooFarBehind { .. } => "too_far_behind",
        Event::Ignored { .. } => "ignored",
        Event::Repaired { .. } => "repaired",
        Event::RegionEjected { .. } => "region_ejected",
        Event::RegionReadmitted { .. } => "region_readmitted",
        #[allow(unreachable_patterns)] // the core may add to its events before this names them
        _ => "other",
    };
    counter!("trivet_events_total", "event" => name).increment(1);
    match event {
        Event::TooFarBehind { .. } | Event::Ignored { .. } | Event::PeerSilent { .. } => tracing::warn!("{event:?}"),
        _ => tracing::info!("{event:?}"),
    }
}

/// The journal thread's.
pub(crate) struct DiskMeasure {
    fsync_seconds: Histogram,
    group_persists: Histogram,
    bytes: Counter,
    payload_bytes: Counter,
    stored: Gauge,
}

impl DiskMeasure {
    pub(crate) fn new() -> DiskMeasure {
        DiskMeasure {
            fsync_seconds: histogram!("trivet_fsync_seconds"),
            group_persists: histogram!("trivet_fsync_group_persists"),
            bytes: counter!("trivet_journal_written_bytes_total"),
            payload_bytes: counter!("trivet_journal_payload_bytes_total"),
            stored: gauge!("trivet_journal_stored_bytes"),
        }
    }

    pub(crate) fn synced(&self, took: Duration, persists: usize, bytes: usize, payload: usize) {
        self.fsync_seconds.record(took);
        self.group_persists.record(persists as f64);
        self.bytes.increment(bytes as u64);
        self.payload_bytes.increment(payload as u64);
    }

    pub(crate) fn stored(&self, bytes: u64) {
        self.stored.set(bytes as f64);
    }
}
