//! The three places of a testbed, and the links between them.
//!
//! A link is named by its two ends in roster order: "A-B", "A-W", "B-W". A [`Lane`] is one direction of it.
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use trivet_netem::Direction;

/// Where a node runs. The order is the roster's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Place {
    A,
    B,
    W,
}

impl Place {
    pub const ALL: [Place; 3] = [Place::A, Place::B, Place::W];
    pub const REGIONS: [Place; 2] = [Place::A, Place::B];

    pub fn name(self) -> &'static str {
        match self {
            Place::A => "A",
            Place::B => "B",
            Place::W => "W",
        }
    }

    /// The node's id in the roster.
    pub fn id(self) -> u8 {
        match self {
            Place::A => 1,
            Place::B => 2,
            Place::W => 3,
        }
    }

    pub fn kind(self) -> &'static str {
        match self {
            Place::A | Place::B => "region",
            Place::W => "witness",
        }
    }

    pub fn is_region(self) -> bool {
        self != Place::W
    }

    /// What the node's program is called.
    pub fn binary(self) -> &'static str {
        match self {
            Place::A | Place::B => "trivet-region",
            Place::W => "trivet-witness",
        }
    }

    /// The place of a roster name or id, as a node's status gives it.
    pub fn of_name(name: &str) -> Option<Place> {
        Place::ALL.into_iter().find(|place| place.name() == name)
    }

    /// The other region.
    pub fn other_region(self) -> Place {
        match self {
            Place::A => Place::B,
            Place::B => Place::A,
            Place::W => panic!("the witness has no other region"),
        }
    }

    pub fn others(self) -> impl Iterator<Item = Place> {
        Place::ALL.into_iter().filter(move |place| *place != self)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        Place::of_name(&text.to_ascii_uppercase()).ok_or_else(|| format!("'{text}' is not a place: A, B or W"))
    }
}

/// One direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lane {
    pub from: Place,
    pub to: Place,
}

impl Lane {
    pub fn reverse(self) -> Lane {
        Lane { from: self.to, to: self.from }
    }

    pub fn link(self) -> Link {
        Link::between(self.from, self.to).expect("a lane has two ends")
    }

    /// The direction of [`Lane::link`] that this lane is.
    pub fn direction(self) -> Direction {
        if self.from < self.to { Direction::Forward } else { Direction::Backward }
    }
}

impl FromStr for Lane {
    type Err = String;

    /// "A-B" means from A to B.
    fn from_str(text: &str) -> Result<Lane, String> {
        let (from, to) = text.split_once('-').ok_or_else(|| format!("'{text}' is not a link: A-B, A-W or B-W"))?;
        let (from, to) = (from.parse()?, to.parse()?);
        if from == to {
            return Err(format!("'{text}' leads from a place to itself"));
        }
        Ok(Lane { from, to })
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

/// Both directions between two places; `near` comes first in the roster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Link {
    near: Place,
    far: Place,
}

impl Link {
    pub const ALL: [Link; 3] = [
        Link { near: Place::A, far: Place::B },
        Link { near: Place::A, far: Place::W },
        Link { near: Place::B, far: Place::W },
    ];

    pub fn between(one: Place, other: Place) -> Option<Link> {
        (one != other).then(|| Link { near: one.min(other), far: one.max(other) })
    }

    pub fn forward(self) -> Lane {
        Lane { from: self.near, to: self.far }
    }

    pub fn lanes(self) -> [Lane; 2] {
        [self.forward(), self.forward().reverse()]
    }

    /// The name that netem knows it by.
    pub fn name(self) -> String {
        self.forward().to_string()
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.forward().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_read_in_both_directions_and_share_a_link() {
        let there: Lane = "a-w".parse().expect("a lane");
        let back: Lane = "W-A".parse().expect("a lane");
        assert_eq!(there.reverse(), back);
        assert_eq!(there.link(), back.link());
        assert_eq!(there.link().name(), "A-W");
        assert_eq!((there.direction(), back.direction()), (Direction::Forward, Direction::Backward));
        for wrong in ["A", "A-A", "A-X", "", "A-B-W"] {
            assert!(wrong.parse::<Lane>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_pair_of_places_has_one_link() {
        for one in Place::ALL {
            for other in one.others() {
                let link = Link::between(one, other).expect("two places");
                assert!(Link::ALL.contains(&link));
            }
            assert_eq!(Link::between(one, one), None);
        }
    }
}
