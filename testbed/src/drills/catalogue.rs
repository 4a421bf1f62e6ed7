//! The drills by name.
use super::fault::Fault;
use crate::place::{Link, Place};
use clap::ValueEnum;
use serde::Serialize;
use std::collections::BTreeMap;

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
}

/// What is asked of a region while the fault lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Writes and strong reads go on after a short outage.
    Serves,
    /// Cut off: it lets clients connect, and refuses reads and writes soon and clearly.
    Refuses,
    /// Not there.
    Gone,
}

impl Side {
    pub fn word(self) -> &'static str {
        match self {
            Side::Serves => "serves",
            Side::Refuses => "refuses",
            Side::Gone => "is gone",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub drill: Drill,
    pub title: String,
    pub fault: Fault,
    pub sides: BTreeMap<Place, Side>,
    /// Recover at once instead of holding the fault.
    pub brief: bool,
}

impl Drill {
    pub const ALL: [Drill; 8] = [
        Drill::KillLeader,
        Drill::KillFollower,
        Drill::KillWitness,
        Drill::CutRegions,
        Drill::IsolateLeader,
        Drill::PauseFollower,
        Drill::PauseLeader,
        Drill::RestartAll,
    ];

    pub fn name(self) -> String {
        self.to_possible_value().expect("no drill is hidden").get_name().to_owned()
    }

    /// What happens, given who leads now.
    pub fn plan(self, leader: Place) -> Plan {
        use Side::{Gone, Refuses, Serves};
        let follower = leader.other_region();
        let regions = Link::between(leader, follower).expect("two regions");
        let to_witness = Link::between(leader, Place::W).expect("a region is not the witness");
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
        };
        Plan {
            drill: self,
            title,
            fault,
            sides: [(leader, leader_side), (follower, follower_side)].into(),
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
