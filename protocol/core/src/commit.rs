//! The commit rule: how far may a leader expose its log?
//!
//! An index may be exposed when a majority Q holds it durably, and so does every region to which a member of Q has an
//! unexpired promise, but for the leader itself, which has it in memory for as long as it has its leases. (That the entry
//! is of the leader's own term is the caller's check.) Voters are few: every minimal majority is looked at, each time.
use crate::types::*;

/// What the leader knows of one voter in its term.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voter {
    pub durable: Index,
    /// Places of the regions that it had promised something when it said so; for the leader: now.
    pub mask: u8,
    pub leads: bool,
}

/// The highest index that the rule allows. `voters` are in the roster's order, as the bits of a mask are.
pub(crate) fn committable(voters: &[Voter]) -> Index {
    let majority = voters.len() / 2 + 1;
    (0u32..1 << voters.len())
        .filter(|quorum| quorum.count_ones() as usize == majority)
        .map(|quorum| allowed_by(voters, quorum))
        .max()
        .unwrap_or_default()
}

fn allowed_by(voters: &[Voter], quorum: u32) -> Index {
    let members = |bits: u32| {
        voters.iter().enumerate().filter(move |(place, _)| bits & (1 << place) != 0).map(|(_, voter)| voter)
    };
    let promised = members(quorum).fold(0, |mask, voter| mask | voter.mask as u32);
    let holders = members(promised).filter(|holder| !holder.leads);
    members(quorum).chain(holders).map(|voter| voter.durable).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A9:b` is region A, durable at 9, with a promise to b. A leads; the order is A, B, W.
    fn voters(drawn: &str) -> Vec<Voter> {
        drawn
            .split_whitespace()
            .enumerate()
            .map(|(place, word)| {
                let (durable, mask) = word[1..].split_once(':').expect("a voter is drawn as A9:b");
                let mask = mask.bytes().map(|letter| 1 << (letter - b'a')).sum();
                Voter { durable: Index(durable.parse().expect("an index")), mask, leads: place == 0 }
            })
            .collect()
    }

    #[test]
    fn what_may_be_exposed() {
        let table = [
            ("A9:b B9:a W0:a", 9, "the healthy state: both regions have it"),
            ("A9:b B5:a W9:a", 5, "A's promise to B gates {A, W}"),
            ("A9: B5:a W9:a", 9, "A's promise has lapsed: {A, W} go on"),
            ("A9: B5:a W9:ab", 5, "the witness still promises B, from when B led"),
            ("A3: B9:a W9:a", 9, "{B, W} may carry it; A leads, and has it in memory"),
            ("A3:b B9:a W9:a", 9, "A's mask does not matter where A is not in Q"),
            ("A9: B0: W0:", 0, "no majority"),
            ("A7: B5: W6:", 6, "the best of the three majorities"),
            ("A9:b B7:a W8:a", 7, "the slowest holder decides"),
        ];
        for (drawn, expected, why) in table {
            assert_eq!(committable(&voters(drawn)), Index(expected), "{drawn}: {why}");
        }
    }

    #[test]
    fn one_more_promise_never_allows_more() {
        for mask in 0..64u8 {
            let base = |extra: u8| {
                [
                    Voter { durable: Index(9), mask: (mask & 3) | extra, leads: true },
                    Voter { durable: Index(4), mask: mask >> 2 & 3, leads: false },
                    Voter { durable: Index(7), mask: mask >> 4 & 3, leads: false },
                ]
            };
            assert!(committable(&base(2)) <= committable(&base(0)));
        }
    }
}
