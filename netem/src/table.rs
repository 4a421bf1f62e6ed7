//! The named links that all routes share: each a model behind a lock, with what was counted and measured.
//!
//! A route takes a link's lock once per batch of packets, never across a system call. A change of settings rings
//! every route of the link, since a stream that waits out a cut has no other reason to wake.
use crate::backend::BackendKind;
use crate::config::LinkConfig;
use crate::control::{Change, ControlError, LaneStatus, Lateness, LinkStatus};
use crate::model::{Fate, Link, Nanos, Reason, StreamFate};
use crate::relay::Bell;
use crate::settings::{Direction, LinkSettings, Way};
use hdrhistogram::Histogram;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::Duration;

/// Lateness is kept from a microsecond to a minute, to two digits.
const LATENESS_MAX_MICROS: u64 = 60_000_000;

#[derive(Debug)]
pub struct Links {
    links: Vec<Arc<SharedLink>>,
}

impl Links {
    pub fn new(seed: u64, configs: &[LinkConfig]) -> Links {
        let links = configs.iter().zip(0..).map(|(config, place)| {
            // Any two links draw from different sequences, whatever the order of their packets.
            let link_seed = seed.wrapping_add(0x5851_f42d_4c95_7f2d_u64.wrapping_mul(place));
            Arc::new(SharedLink::new(link_seed, config))
        });
        Links { links: links.collect() }
    }

    pub fn named(&self, name: &str) -> Result<&Arc<SharedLink>, ControlError> {
        let known = || self.links.iter().map(|link| link.name.as_str());
        self.links.iter().find(|link| link.name == name).ok_or_else(|| unknown_link(name, known()))
    }

    pub fn status(&self, backend: BackendKind) -> Vec<LinkStatus> {
        self.links.iter().map(|link| link.status(backend)).collect()
    }
}

pub fn unknown_link<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> ControlError {
    let known: Vec<&str> = known.collect();
    ControlError::UnknownLink { name: name.to_owned(), known: known.join(", ") }
}

#[derive(Debug)]
pub struct SharedLink {
    name: String,
    initial: [LinkSettings; 2],
    state: Mutex<LinkState>,
    bells: Mutex<Vec<Arc<Bell>>>,
}

impl SharedLink {
    pub fn new(seed: u64, config: &LinkConfig) -> SharedLink {
        let initial = [config.forward.clone(), config.backward.clone()];
        let link = Link::new(seed, initial[0].clone(), initial[1].clone());
        let state = LinkState { link, measured: [Measured::new(), Measured::new()] };
        SharedLink { name: config.name.clone(), initial, state: Mutex::new(state), bells: Mutex::new(Vec::new()) }
    }

    /// `bell` rings whenever the settings change.
    pub fn ring_on_change(&self, bell: Arc<Bell>) {
        self.bells.lock().push(bell);
    }

    pub fn change(&self, direction: Direction, change: &Change) {
        {
            let mut state = self.state.lock();
            for &way in direction.ways() {
                let settings = change.apply(state.link.settings(way), &self.initial[way.slot()]);
                state.link.set(way, settings);
            }
        }
        for bell in self.bells.lock().iter() {
            bell.ring();
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock()
    }

    fn status(&self, backend: BackendKind) -> LinkStatus {
        let state = self.lock();
        LinkStatus {
            name: self.name.clone(),
            backend: backend.name().to_owned(),
            forward: state.lane_status(Way::Forward),
            backward: state.lane_status(Way::Backward),
        }
    }
}

/// A link and its counters, locked.
#[derive(Debug)]
pub struct LinkState {
    link: Link,
    measured: [Measured; 2],
}

impl LinkState {
    pub fn offer(&mut self, now: Nanos, packet_len: usize, way: Way) -> Fate {
        let fate = self.link.offer(now, packet_len, way);
        let measured = &mut self.measured[way.slot()];
        measured.packets += 1;
        measured.bytes += packet_len as u64;
        match fate {
            Fate::Deliver { .. } => {}
            Fate::DeliverTwice { .. } => measured.duplicated += 1,
            Fate::Drop(Reason::Cut) => measured.dropped_by_cut += 1,
            Fate::Drop(Reason::Lost) => measured.dropped_by_loss += 1,
            Fate::Drop(Reason::Overflow) => measured.dropped_by_overflow += 1,
        }
        fate
    }

    /// Counted only once taken: a stream that waits is offered again.
    pub fn offer_stream(&mut self, now: Nanos, len: usize, way: Way, after: Nanos) -> StreamFate {
        let fate = self.link.offer_stream(now, len, way, after);
        if let StreamFate::Deliver { .. } = fate {
            let measured = &mut self.measured[way.slot()];
            measured.packets += 1;
            measured.bytes += len as u64;
        }
        fate
    }

    /// `packets` that were asked to arrive at `asked` were handed on at `now`.
    pub fn delivered(&mut self, way: Way, packets: u64, asked: Nanos, now: Nanos) {
        let late = now.checked_sub(asked).expect("nothing is delivered earlier than asked");
        let measured = &mut self.measured[way.slot()];
        measured.delivered += packets;
        measured.late.saturating_record(late / 1_000);
    }

    /// `packets` found no room: in the relay's memory, or in the receiver's socket.
    pub fn overflowed(&mut self, way: Way, packets: u64) {
        self.measured[way.slot()].dropped_by_overflow += packets;
    }

    pub fn settings(&self, way: Way) -> &LinkSettings {
        self.link.settings(way)
    }

    fn lane_status(&self, way: Way) -> LaneStatus {
        let measured = &self.measured[way.slot()];
        LaneStatus {
            settings: self.link.settings(way).clone(),
            packets: measured.packets,
            bytes: measured.bytes,
            delivered: measured.delivered,
            dropped_by_cut: measured.dropped_by_cut,
            dropped_by_loss: measured.dropped_by_loss,
            dropped_by_overflow: measured.dropped_by_overflow,
            duplicated: measured.duplicated,
            late: Lateness {
                p50: Duration::from_micros(measured.late.value_at_quantile(0.5)),
                p99: Duration::from_micros(measured.late.value_at_quantile(0.99)),
                max: Duration::from_micros(measured.late.max()),
            },
        }
    }
}

/// What one lane saw since the start.
#[derive(Debug)]
struct Measured {
    packets: u64,
    bytes: u64,
    delivered: u64,
    dropped_by_cut: u64,
    dropped_by_loss: u64,
    dropped_by_overflow: u64,
    duplicated: u64,
    late: Histogram<u64>,
}

impl Measured {
    fn new() -> Measured {
        Measured {
            packets: 0,
            bytes: 0,
            delivered: 0,
            dropped_by_cut: 0,
            dropped_by_loss: 0,
            dropped_by_overflow: 0,
            duplicated: 0,
            late: Histogram::new_with_bounds(1, LATENESS_MAX_MICROS, 2).expect("the bounds are in order"),
        }
    }
}
