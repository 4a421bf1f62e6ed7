//! The drills by name.
use super::fault::Fault;
use crate::place::{Lane, Link, Place};
use clap::ValueEnum;
use rand::RngExt;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use trivet_netem::Chance;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, ValueEnum)]
pub enum Drill {
    /// The leading region is killed
    KillLeader,
    /// The other region is killed
    KillFollower,
    /// The witness is killed
    KillWitness,
    /// The regions no longer hear each other; both hear the witness
    CutRegions,
    /// The leading region hears nobody
    IsolateLeader,
    /// The other region's process is paused
    PauseFollower,
    /// The leading region's process is paused, and goes on later
    PauseLeader,
    /// All three are killed at once and started again
    RestartAll,
    /// The leading region is no longer heard by the other one, and hears it
    CutFromLeader,
    /// The leading region no longer hears the other one, and is heard by it
    CutToLeader,
    /// The link between the regions comes and goes
    FlapRegions,
    /// The regions are 10 ms apart, and then 200
    LatencyStep,
    /// Every link loses 5 % of its packets
    LossyLinks,
    /// The other region's process gets a quarter of its time
    SlowRegion,
    /// The leading region is killed and started, and the next one killed 1 to 30 s later
    KillTwice,
    /// The leading region writes with the witness alone and is killed: only the witness has what it wrote
    SuffixAtWitness,
    /// The leading region hands over to the other one
    HandOver,
    /// The leading region's disk is full (root)
    FullDiskLeader,
    /// The other region's disk is full (root)
    FullDiskFollower,
    /// The witness's disk is full (root)
    FullDiskWitness,
}

/// What is asked of a region while the fault lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Writes and strong reads go on after a short outage.
    Serves,
    /// Cut off: it lets clients connect, and refuses reads and writes soon and clearly.
    Refuses,
    /// It may serve or refuse; whatever it says must be true.
    Free,
    /// Not there.
    Gone,
}

impl Side {
    pub fn word(self) -> &'static str {
        match self {
            Side::Serves => "serves",
            Side::Refuses => "refuses",
            Side::Free => "may do either",
            Side::Gone => "is gone",
        }
    }
}

/// What comes before or right after the fault.
#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    Inject(Fault),
    Recover(Fault),
}

impl Act {
    pub fn fault(&self) -> &Fault {
        match self {
            Act::Inject(fault) | Act::Recover(fault) => fault,
        }
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Act::Inject(fault) => fault.fmt(f),
            Act::Recover(fault) => f.write_str(&fault.recovery()),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub drill: Drill,
    pub title: String,
    /// In order, and how long to wait after each. Not measured, but checked like everything else.
    pub before: Vec<(Act, Duration)>,
    pub fault: Fault,
    /// At once after the fault.
    pub after: Vec<Act>,
    pub sides: BTreeMap<Place, Side>,
    /// Whichever region it is.
    pub somebody_serves: bool,
    /// Recover at once instead of holding the fault.
    pub brief: bool,
}

impl Plan {
    /// Everything that may have to be undone.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        let others = self.before.iter().map(|(act, _)| act).chain(&self.after).map(Act::fault);
        [&self.fault].into_iter().chain(others)
    }
}

/// Another fault comes so much later: long enough to write something, short enough that nobody has noticed.
const WRITES_MEANWHILE: Duration = Duration::from_secs(3);
const GAP_MIN: f64 = 1.0;
const GAP_MAX: f64 = 30.0;

impl Drill {
    pub const ALL: [Drill; 20] = [
        Drill::KillLeader,
        Drill::KillFollower,
        Drill::KillWitness,
        Drill::CutRegions,
        Drill::IsolateLeader,
        Drill::PauseFollower,
        Drill::PauseLeader,
        Drill::RestartAll,
        Drill::CutFromLeader,
        Drill::CutToLeader,
        Drill::FlapRegions,
        Drill::LatencyStep,
        Drill::LossyLinks,
        Drill::SlowRegion,
        Drill::KillTwice,
        Drill::SuffixAtWitness,
        Drill::HandOver,
        Drill::FullDiskLeader,
        Drill::FullDiskFollower,
        Drill::FullDiskWitness,
    ];

    pub fn name(self) -> String {
        self.to_possible_value().expect("no drill is hidden").get_name().to_owned()
    }

    /// Why it cannot be done here.
    pub fn unavailable(self) -> Option<String> {
        match self {
            Drill::FullDiskLeader | Drill::FullDiskFollower | Drill::FullDiskWitness => super::disk::unavailable(),
            _ => None,
        }
    }

    /// What happens, given who leads now.
    pub fn plan(self, leader: Place) -> Plan {
        use Side::{Free, Gone, Refuses, Serves};
        let follower = leader.other_region();
        let regions = Link::between(leader, follower).expect("two regions");
        let to_witness = Link::between(leader, Place::W).expect("a region is not the witness");
        let milliseconds = Duration::from_millis;
        let mut before = Vec::new();
        let mut after = Vec::new();
        let (title, fault, leader_side, follower_side) = match self {
            Drill::KillLeader => {
                (format!("kill -9 of region {leader}, which leads"), Fault::Kill(vec![leader]), Gone, Serves)
            }
            Drill::KillFollower => {
                (format!("kill -9 of region {follower}, which follows"), Fault::Kill(vec![follower]), Serves, Gone)
            }
            Drill::KillWitness => ("kill -9 of the witness".into(), Fault::Kill(vec![Place::W]), Serves, Serves),
            Drill::CutRegions => (
                format!("the link {regions} is cut; region {leader} leads"),
                Fault::Cut(vec![regions]),
                Serves,
                Refuses,
            ),
            Drill::IsolateLeader => (
                format!("region {leader}, which leads, is cut off from everybody"),
                Fault::Cut(vec![regions, to_witness]),
                Refuses,
                Serves,
            ),
            Drill::PauseFollower => {
                (format!("region {follower}, which follows, is paused"), Fault::Pause(follower), Serves, Gone)
            }
            Drill::PauseLeader => {
                (format!("region {leader}, which leads, is paused"), Fault::Pause(leader), Gone, Serves)
            }
            Drill::RestartAll => ("kill -9 of all three at once".into(), Fault::Kill(Place::ALL.to_vec()), Gone, Gone),
            Drill::CutFromLeader => (
                format!("region {follower} no longer hears region {leader}, which leads and hears it"),
                Fault::CutLane(Lane { from: leader, to: follower }),
                Free,
                Free,
            ),
            Drill::CutToLeader => (
                format!("region {leader}, which leads, no longer hears region {follower}, which hears it"),
                Fault::CutLane(Lane { from: follower, to: leader }),
                Free,
                Free,
            ),
            Drill::FlapRegions => (
                format!("the link {regions} is cut and healed every 0.7 s; region {leader} leads"),
                Fault::Flap(regions, milliseconds(700)),
                Free,
                Free,
            ),
            Drill::LatencyStep => {
                before.push((Act::Inject(Fault::Delay(vec![regions], milliseconds(5))), WRITES_MEANWHILE));
                let fault = Fault::Delay(vec![regions], milliseconds(100));
                (format!("the round trip on {regions} steps from 10 to 200 ms"), fault, Serves, Serves)
            }
            Drill::LossyLinks => {
                let loss = Chance::percent(5.0).expect("5 % is a chance");
                ("every link loses 5 % of its packets".into(), Fault::Loss(Link::ALL.to_vec(), loss), Serves, Serves)
            }
            Drill::SlowRegion => (
                format!("region {follower}, which follows, runs a quarter of the time"),
                Fault::Slow(follower, milliseconds(20), milliseconds(60)),
                Serves,
                Free,
            ),
            Drill::KillTwice => {
                // As many short gaps as long ones.
                let gap = Duration::from_secs_f64(
                    rand::rng().random_range(GAP_MIN.ln()..GAP_MAX.ln()).exp().clamp(GAP_MIN, GAP_MAX),
                );
                let first = Fault::Kill(vec![leader]);
                before.push((Act::Inject(first.clone()), milliseconds(500)));
                before.push((Act::Recover(first), gap));
                let title = format!(
                    "kill -9 of region {leader}, which leads; it starts again, and {:.1} s later kill -9 of region {follower}",
                    gap.as_secs_f64()
                );
                (title, Fault::Kill(vec![follower]), Free, Gone)
            }
            Drill::SuffixAtWitness => {
                let cut = Fault::Cut(vec![regions]);
                before.push((Act::Inject(cut.clone()), WRITES_MEANWHILE));
                after.push(Act::Recover(cut));
                let title = format!(
                    "region {leader} leads and writes with the witness while {regions} is cut, and is killed: the rest is at the witness"
                );
                (title, Fault::Kill(vec![leader]), Gone, Serves)
            }
            Drill::HandOver => (
                format!("region {leader}, which leads, hands over to region {follower}"),
                Fault::HandOver,
                Serves,
                Serves,
            ),
            Drill::FullDiskLeader => {
                (format!("the disk of region {leader}, which leads, is full"), Fault::FullDisk(leader), Gone, Serves)
            }
            Drill::FullDiskFollower => (
                format!("the disk of region {follower}, which follows, is full"),
                Fault::FullDisk(follower),
                Serves,
                Gone,
            ),
            Drill::FullDiskWitness => {
                ("the disk of the witness is full".into(), Fault::FullDisk(Place::W), Serves, Serves)
            }
        };
        Plan {
            drill: self,
            title,
            before,
            fault,
            after,
            sides: [(leader, leader_side), (follower, follower_side)].into(),
            somebody_serves: matches!(self, Drill::CutFromLeader | Drill::CutToLeader),
            brief: self == Drill::RestartAll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drill_has_its_own_name_and_a_side_for_each_region() {
        let names: std::collections::BTreeSet<String> = Drill::ALL.into_iter().map(Drill::name).collect();
        assert_eq!(names.len(), Drill::value_variants().len());
        for drill in Drill::ALL {
            for leader in Place::REGIONS {
                let plan = drill.plan(leader);
                assert_eq!(plan.sides.keys().copied().collect::<Vec<_>>(), Place::REGIONS);
            }
        }
    }

    #[test]
    fn the_one_who_leads_is_the_one_who_is_hit() {
        let plan = Drill::IsolateLeader.plan(Place::B);
        assert_eq!(plan.sides, [(Place::A, Side::Serves), (Place::B, Side::Refuses)].into());
        assert_eq!(plan.fault.to_string(), "cut A-B, B-W");
        assert_eq!(Drill::KillFollower.plan(Place::B).fault.to_string(), "kill A");
    }
}
