//! Single faults under load, and how long what was unavailable: the numbers that an operator asks for, as sums of the
//! timing's terms.
//!
//! Unavailable is the longest time between two successes in a row, counted from just before the fault.
use crate::check::Violation;
use crate::world::*;
use trivet_log::Timing;

/// One fault, or one chain of faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    LeaderLost,
    FollowerLost,
    WitnessLost,
    RegionsCut,
    LeaderIsolated,
    FollowerIsolated,
    LeaderToFollowerCut,
    FollowerToLeaderCut,
    LeaderDeaf,
    LeaderRestarts,
    FollowerRestarts,
    AllRestart,
    LeaderPauses,
    HandOver,
    LeaderStops,
    FollowerStops,
    /// An upgrade: a clean stop, and a start two seconds later.
    LeaderUpgraded,
    FollowerUpgraded,
}

impl Fault {
    pub const ALL: [Fault; 18] = [
        Fault::LeaderLost,
        Fault::FollowerLost,
        Fault::WitnessLost,
        Fault::RegionsCut,
        Fault::LeaderIsolated,
        Fault::FollowerIsolated,
        Fault::LeaderToFollowerCut,
        Fault::FollowerToLeaderCut,
        Fault::LeaderDeaf,
        Fault::LeaderRestarts,
        Fault::FollowerRestarts,
        Fault::AllRestart,
        Fault::LeaderPauses,
        Fault::HandOver,
        Fault::LeaderStops,
        Fault::FollowerStops,
        Fault::LeaderUpgraded,
        Fault::FollowerUpgraded,
    ];

    /// The regions, of (leader, follower), that are to serve writes again within the bound while the fault lasts.
    fn serving(self) -> (bool, bool) {
        use Fault::*;
        match self {
            LeaderLost | LeaderIsolated | LeaderStops | LeaderUpgraded => (false, true),
            FollowerLost | RegionsCut | FollowerIsolated | LeaderToFollowerCut | FollowerToLeaderCut
            | FollowerStops | FollowerUpgraded => (true, false),
            // the follower leads, and hears the former leader's proposals, who hears no verdict
            LeaderDeaf => (false, true),
            _ => (true, true),
        }
    }

    /// The region whose lease must lapse, if it is cut off.
    fn cut_off(self, leader: usize, follower: usize) -> Option<usize> {
        use Fault::*;
        match self {
            RegionsCut | FollowerIsolated | LeaderToFollowerCut => Some(follower),
            LeaderIsolated | LeaderDeaf => Some(leader),
            _ => None,
        }
    }

    /// The longest that writes may be away, as a sum of the timing's terms, and how that sum reads.
    pub fn bound(self, timing: &Timing, round_trip: u64) -> (u64, &'static str) {
        use Fault::*;
        let Timing { heartbeat: h, promise: d, election_min, election_max, .. } = *timing;
        let rtt = round_trip;
        // every bound has room for a disk or two, and for the clients' own pauses
        let slack = 60 * MILLISECOND;
        match self {
            // the promise to the lost follower must run out; the witness has everything by then
            FollowerLost | FollowerIsolated | RegionsCut | LeaderToFollowerCut | FollowerToLeaderCut => {
                (d + 2 * h + 3 * rtt + slack, "D + 2 H + 3 RTT")
            }
            // notice, pre-vote, vote, tail, first entry
            LeaderLost | LeaderIsolated => {
                (election_max + 2 * rtt + 4 * rtt + 2 * h + slack, "E_max + 2 RTT + 4 RTT + 2 H")
            }
            AllRestart => {
                (election_max + 2 * rtt + 4 * rtt + 2 * h + slack + short(), "0.3 s down + E_max + 2 RTT + 4 RTT + 2 H")
            }
            // nobody stands while the deaf leader is heard: it must notice first, and says so
            LeaderDeaf => (election_min + 2 * h + 5 * rtt + slack, "E_min + 2 H + 5 RTT"),
            // it says that it leads no more as soon as it is back
            LeaderRestarts => (short() + 2 * h + 6 * rtt + slack, "0.3 s down + 2 H + 6 RTT"),
            LeaderPauses => {
                (election_max + 2 * rtt + 4 * rtt + 2 * h + slack + 500 * MILLISECOND, "E_max + 6 RTT + 2 H + 0.5 s")
            }
            // down for less than it takes to go on without it
            FollowerRestarts => (short() + 2 * h + 4 * rtt + slack, "0.3 s down + 2 H + 4 RTT"),
            WitnessLost => (2 * rtt + slack, "2 RTT"),
            HandOver | LeaderStops | LeaderUpgraded => (4 * rtt + slack, "4 RTT"),
            // its lease is released, and the promise to it ends with that; it acknowledges until the witness has the log
            FollowerStops | FollowerUpgraded => (4 * rtt + slack, "4 RTT"),
        }
    }
}

/// What a fault cost, in nanoseconds. `None`: the region is not to be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    pub leader_writes: Option<u64>,
    pub follower_writes: Option<u64>,
    /// The longest that neither region had a write committed.
    pub any_writes: u64,
    pub any_reads: u64,
    /// From the cut until the lease of the region that was cut off was over.
    pub lease_lapsed: Option<u64>,
}

/// All links have this round trip.
pub const ROUND_TRIP: u64 = 60 * MILLISECOND;
const FAULT_LASTS: u64 = 7 * SECOND;

/// How long a node is down that is soon back.
const fn short() -> u64 {
    300 * MILLISECOND
}

fn settings(seed: u64) -> Settings {
    Settings { seed, propose_every: 15 * MILLISECOND, read_every: 15 * MILLISECOND, keys: 64, ..Settings::default() }
}

/// A healthy world under load, led by A.
fn healthy(settings: Settings) -> Result<World, Violation> {
    let mut world = World::new(settings);
    world.run_until_holds("starts", 10 * SECOND, |world| {
        world.leader().is_some() && world.has_lease(A) && world.has_lease(B)
    })?;
    if world.leader() != Some(A) {
        world.act(Action::HandOver { to: A });
        world.run_until_holds("hands over", 5 * SECOND, |world| world.leader() == Some(A) && world.has_lease(B))?;
    }
    world.run_until(world.time + 3 * SECOND)?;
    Ok(world)
}

/// Puts `fault` to a healthy world and says what it cost.
pub fn outage(seed: u64, fault: Fault) -> Result<Outage, Violation> {
    let mut world = healthy(settings(seed))?;
    let began = world.time;
    let forever = began + FAULT_LASTS;
    let (leader, follower) = (A, B);
    let cut = |world: &mut World, from, to| world.act(Action::Cut { from, to });
    let long = FAULT_LASTS + SECOND;
    let short = short();
    match fault {
        Fault::LeaderLost => world.act(Action::Crash { node: leader, down_for: long, reboot: true }),
        Fault::FollowerLost => world.act(Action::Crash { node: follower, down_for: long, reboot: true }),
        Fault::WitnessLost => world.act(Action::Crash { node: W, down_for: long, reboot: true }),
        Fault::RegionsCut => [(A, B), (B, A)].iter().for_each(|(from, to)| cut(&mut world, *from, *to)),
        Fault::LeaderIsolated | Fault::FollowerIsolated => {
            let node = if fault == Fault::LeaderIsolated { leader } else { follower };
            for other in (0..3).filter(|other| *other != node) {
                cut(&mut world, node, other);
                cut(&mut world, other, node);
            }
        }
        Fault::LeaderToFollowerCut => cut(&mut world, leader, follower),
        Fault::FollowerToLeaderCut => cut(&mut world, follower, leader),
        Fault::LeaderDeaf => [follower, W].iter().for_each(|from| cut(&mut world, *from, leader)),
        Fault::LeaderRestarts => world.act(Action::Crash { node: leader, down_for: short, reboot: false }),
        Fault::FollowerRestarts => world.act(Action::Crash { node: follower, down_for: short, reboot: false }),
        Fault::AllRestart => (0..3).for_each(|node| world.act(Action::Crash { node, down_for: short, reboot: true })),
        Fault::LeaderPauses => world.act(Action::Pause { node: leader, until: began + 2 * SECOND }),
        Fault::HandOver => world.act(Action::HandOver { to: follower }),
        Fault::LeaderStops => world.act(Action::Stop { node: leader, down_for: long }),
        Fault::FollowerStops => world.act(Action::Stop { node: follower, down_for: long }),
        Fault::LeaderUpgraded => world.act(Action::Stop { node: leader, down_for: 2 * SECOND }),
        Fault::FollowerUpgraded => world.act(Action::Stop { node: follower, down_for: 2 * SECOND }),
    }
    let lease_lapsed = match fault.cut_off(leader, follower) {
        Some(node) => Some(world.run_until_holds("lease lapses", 3 * SECOND, move |world| !world.has_lease(node))?),
        None => None,
    };
    world.run_until(forever)?;
    let writes = |regions: &[usize]| {
        let ends = world.operations.values().filter(|op| regions.contains(&op.region) && op.fate == Fate::Committed);
        longest_gap(ends.map(|op| op.ended).collect(), began, forever)
    };
    let reads = world.reads_done.iter().filter(|read| read.served).map(|read| read.ended).collect();
    let serving = fault.serving();
    let result = Outage {
        leader_writes: serving.0.then(|| writes(&[leader])),
        follower_writes: serving.1.then(|| writes(&[follower])),
        any_writes: writes(&[A, B]),
        any_reads: longest_gap(reads, began, forever),
        lease_lapsed,
    };
    Ok(result)
}

/// The longest time between two of `ends` in a row, from the last one before `began` on.
fn longest_gap(mut ends: Vec<u64>, began: u64, until: u64) -> u64 {
    ends.sort_unstable();
    let before = ends.iter().copied().rfind(|end| *end < began).unwrap_or(began);
    let mut last = before;
    let mut longest = 0;
    for end in ends.into_iter().filter(|end| *end >= began && *end <= until) {
        longest = longest.max(end - last);
        last = end;
    }
    longest.max(until - last)
}

/// Times from a proposal to its acknowledgement, sorted, at the leader's region and at the follower's, alone and healthy.
pub fn commit_latencies(seed: u64) -> Result<[Vec<u64>; 2], Violation> {
    let mut world = healthy(Settings {
        propose_every: 30 * MILLISECOND,
        read_every: 0,
        fsync: (MILLISECOND, MILLISECOND),
        ..settings(seed)
    })?;
    let began = world.time;
    world.run_until(began + 10 * SECOND)?;
    let of = |region: usize| {
        let committed = world.operations.values().filter(|op| op.region == region && op.fate == Fate::Committed);
        let mut times: Vec<u64> = committed.filter(|op| op.began > began).map(|op| op.ended - op.began).collect();
        times.sort_unstable();
        times
    };
    Ok([of(A), of(B)])
}

/// What a healthy cluster without clients sends in ten seconds, by kind of message.
pub fn idle_messages(seed: u64) -> Result<Vec<(&'static str, u64)>, Violation> {
    let mut world = healthy(settings(seed))?;
    world.stop_clients();
    world.run_until_holds("settles", 5 * SECOND, World::is_settled)?;
    world.run_until(world.time + 2 * SECOND)?;
    world.sent.clear();
    world.run_until(world.time + 10 * SECOND)?;
    Ok(world.sent.into_iter().collect())
}
