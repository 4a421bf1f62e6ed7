//! Congestion control: cubic with a floor that random loss cannot take away.
//!
//! Cubic reads every loss as congestion. On a long link that loses one packet in a hundred at random it settles at a
//! few packets a round trip, and after a pause of some hundred milliseconds ("persistent congestion") at two: a
//! commit of ten packets then takes five round trips instead of one. BBR would not mind the loss, but quinn's is
//! marked experimental, and a sender that is mostly idle (a log is) teaches it too small a bandwidth.
//!
//! Measured over a relay of 30 ms each way (time until a frame has arrived, median / 90 %):
//!
//! | loss | frame | cubic | bbr | this |
//! | --- | --- | --- | --- | --- |
//! | none | 3 kB | 32 / 32 ms | 32 / 32 ms | 32 / 32 ms |
//! | 1 % | 30 kB | 110 / 189 ms | 32 / 95 ms | 32 / 95 ms |
//! | 2 % | 30 kB | 157 / 283 ms | 63 / 156 ms | 32 / 104 ms |
//! | 1 % | 1 MiB | 3861 / 4771 ms | 164 / 182 ms | 170 / 179 ms |
//! | none | 1 MiB | 48 / 118 ms | 53 / 138 ms | 50 / 107 ms |
//!
//! The link between two places of a cluster is provisioned. So the window never falls below what the operator says
//! is reserved (`reserved_bytes_per_second` times the smallest round trip seen) unless the loss itself says that
//! the reserve is not there: a fifth of what was sent lost means an overflowing queue, not bad luck, and halves the
//! floor; below a tenth it grows back. Above the floor cubic decides alone, so bulk stays fair.
use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, Cubic, CubicConfig};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Window before the first round trip is known: a round of small records fits.
const INITIAL_WINDOW: u64 = 128 << 10;
/// The floor's own limits: enough for a burst of records on loopback, no more than streams may hold at the top.
const FLOOR_MIN: u64 = 64 << 10;
const FLOOR_MAX: u64 = 64 << 20;
/// Loss is judged over at least this many bytes.
const JUDGED_BYTES: u64 = 64 << 10;
const LOSS_HIGH: f64 = 0.20;
const LOSS_LOW: f64 = 0.10;
const SHARE_MIN: f64 = 1.0 / 64.0;

#[derive(Debug)]
pub(crate) struct SteadyConfig {
    reserved_bytes_per_second: u64,
    cubic: Arc<CubicConfig>,
}

impl SteadyConfig {
    pub(crate) fn new(reserved_bytes_per_second: u64) -> SteadyConfig {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(INITIAL_WINDOW);
        SteadyConfig { reserved_bytes_per_second, cubic: Arc::new(cubic) }
    }
}

impl ControllerFactory for SteadyConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Steady {
            cubic: Cubic::new(self.cubic.clone(), now, current_mtu),
            reserved_bytes_per_second: self.reserved_bytes_per_second,
            round_trip: None,
            share: 1.0,
            acked: 0,
            lost: 0,
        })
    }
}

#[derive(Clone, Debug)]
struct Steady {
    cubic: Cubic,
    reserved_bytes_per_second: u64,
    /// The smallest seen: a queue that this sender fills must not raise its own floor.
    round_trip: Option<Duration>,
    /// The part of the reserve that the link has shown to carry.
    share: f64,
    /// Bytes acknowledged and lost since loss was last judged.
    acked: u64,
    lost: u64,
}

impl Steady {
    fn floor(&self) -> u64 {
        let Some(round_trip) = self.round_trip else { return FLOOR_MIN };
        let bytes = self.reserved_bytes_per_second as f64 * round_trip.as_secs_f64() * self.share;
        (bytes as u64).clamp(FLOOR_MIN, FLOOR_MAX)
    }

    fn judge_loss(&mut self) {
        let sent = self.acked + self.lost;
        if sent < JUDGED_BYTES.max(self.floor() / 4) {
            return;
        }
        let loss = self.lost as f64 / sent as f64;
        if loss > LOSS_HIGH {
            self.share = (self.share / 2.0).max(SHARE_MIN);
        } else if loss < LOSS_LOW {
            self.share = (self.share * 1.25).min(1.0);
        }
        (self.acked, self.lost) = (0, 0);
    }
}

impl Controller for Steady {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
        self.round_trip = Some(rtt.min());
        self.acked += bytes;
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
        self.judge_loss();
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.cubic.on_congestion_event(now, sent, is_persistent, lost_bytes);
        self.lost += lost_bytes;
        self.judge_loss();
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().max(self.floor())
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.cubic.metrics();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(share: f64, round_trip: Option<Duration>) -> Steady {
        let config = SteadyConfig::new(16_000_000);
        let cubic = Cubic::new(config.cubic.clone(), Instant::now(), 1200);
        Steady { cubic, reserved_bytes_per_second: 16_000_000, round_trip, share, acked: 0, lost: 0 }
    }

    #[test]
    fn the_floor_is_the_reserve_over_one_round_trip() {
        let table = [
            (None, 1.0, FLOOR_MIN),
            (Some(100), 1.0, FLOOR_MIN),
            (Some(60_000), 1.0, 960_000),
            (Some(60_000), 0.5, 480_000),
            (Some(500_000), 1.0, 8_000_000),
            (Some(60_000_000), 1.0, FLOOR_MAX),
        ];
        for (micros, share, floor) in table {
            assert_eq!(steady(share, micros.map(Duration::from_micros)).floor(), floor, "{micros:?} {share}");
        }
    }

    #[test]
    fn only_heavy_loss_takes_from_the_reserve() {
        // (lost of 100, rounds, share afterwards)
        let table = [(1, 50, 1.0), (15, 50, 1.0), (30, 1, 0.5), (30, 3, 0.125), (84, 50, SHARE_MIN)];
        for (lost, rounds, share) in table {
            let mut steady = steady(1.0, Some(Duration::from_millis(60)));
            for _ in 0..rounds {
                steady.acked += (100 - lost) * 10_000;
                steady.lost += lost * 10_000;
                steady.judge_loss();
            }
            assert_eq!(steady.share, share, "{lost} % for {rounds} rounds");
        }
    }

    #[test]
    fn the_reserve_comes_back() {
        let mut steady = steady(SHARE_MIN, Some(Duration::from_millis(60)));
        for _ in 0..20 {
            steady.acked += 1_000_000;
            steady.judge_loss();
        }
        assert_eq!(steady.share, 1.0);
    }

    #[test]
    fn loss_after_loss_leaves_the_floor() {
        let start = Instant::now();
        let mut steady = steady(1.0, Some(Duration::from_millis(60)));
        for round in 1..100 {
            let now = start + Duration::from_millis(60 * round);
            steady.acked += 99_000;
            steady.on_congestion_event(now, now, true, 1_000);
        }
        assert!(steady.cubic.window() < 10_000, "cubic alone would be down to two packets");
        assert_eq!(steady.window(), 960_000);
    }
}
