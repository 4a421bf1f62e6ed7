//! What clients saw, judged by itself at the end, without a look at any log on the way: strict serializability of
//! appends to keys and reads of them.
//!
//! Every client's request is noted with when it began and ended. At the end the lists of each key are read once more, when all is
//! well. Then:
//!
//! - H1: what was acknowledged is in the final lists, once, in every key that it wrote; what was refused is in none.
//! - H2: each read is a prefix of the final list.
//! - H3: a read has everything that was acknowledged before it began, in either region.
//! - H4: a read has everything that a read had which ended before it began.
//! - H5: of two writes, the one that was acknowledged before the other began comes first.
use crate::check::Violation;
use crate::world::{Fate, Operation};
use std::collections::BTreeMap;
use trivet_log::ProposalId;

/// A read that was served.
#[derive(Clone, Debug)]
pub struct Read {
    pub key: u8,
    pub began: u64,
    pub ended: u64,
    pub seen: Vec<ProposalId>,
}

/// What went wrong, and whether it is a stale answer: the only thing that clocks beyond their bound may cause.
pub struct Finding {
    pub is_stale: bool,
    pub violation: Violation,
}

/// Looks at everything; all findings.
pub fn judge(
    operations: &BTreeMap<ProposalId, Operation>,
    reads: &[Read],
    finals: &BTreeMap<u8, Vec<ProposalId>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |is_stale: bool, rule: &'static str, what: String| {
        findings.push(Finding { is_stale, violation: Violation { rule, what } });
    };
    let mut places: BTreeMap<ProposalId, BTreeMap<u8, usize>> = BTreeMap::new();
    for (key, list) in finals {
        for (at, id) in list.iter().enumerate() {
            if places.entry(*id).or_default().insert(*key, at).is_some() {
                found(false, "H1", format!("{id} is twice in the list of {key}"));
            }
        }
    }
    for (id, operation) in operations {
        let in_lists = places.get(id).map_or(0, BTreeMap::len);
        match operation.fate {
            Fate::Committed if in_lists != operation.keys.len() => {
                found(
                    false,
                    "H1",
                    format!("{id} was acknowledged, and is in {in_lists} of its {} lists", operation.keys.len()),
                );
            }
            Fate::Rejected | Fate::NotSent if in_lists > 0 => {
                found(false, "H1", format!("{id} was refused, and is in {in_lists} lists"));
            }
            _ => {}
        }
    }
    for (key, list) in finals {
        let prefix = |read: &&Read| list.starts_with(&read.seen);
        let of_key = || reads.iter().filter(|read| read.key == *key);
        if let Some(read) = of_key().find(|read| !prefix(read)) {
            found(false, "H2", format!("a read of {key} at {} has {:?}, the end is {list:?}", read.began, read.seen));
            continue;
        }
        // how much of the list was known by when: acknowledged writes, and reads, in the order of their ends
        let acknowledged = list.iter().enumerate().filter_map(|(at, id)| {
            let operation = operations.get(id).filter(|operation| operation.fate == Fate::Committed)?;
            Some((operation.ended, at + 1, "acknowledged"))
        });
        let mut known: Vec<(u64, usize, &str)> =
            acknowledged.chain(of_key().map(|read| (read.ended, read.seen.len(), "read"))).collect();
        known.sort_unstable();
        let mut begins: Vec<&Read> = of_key().collect();
        begins.sort_unstable_by_key(|read| read.began);
        let (mut next, mut least, mut why) = (0, 0, "");
        for read in begins {
            while let Some((ended, length, how)) = known.get(next).filter(|(ended, _, _)| *ended < read.began) {
                if *length > least {
                    (least, why) = (*length, how);
                }
                let _ = ended;
                next += 1;
            }
            if read.seen.len() < least {
                let rule = if why == "read" { "H4" } else { "H3" };
                let what = format!(
                    "a read of {key} at {} has {} of {least} that were {why} before",
                    read.began,
                    read.seen.len()
                );
                found(true, rule, what);
            }
        }
        // H5: along the list, nobody began after a later one was acknowledged
        let mut earliest_end = u64::MAX;
        for id in list.iter().rev() {
            let Some(operation) = operations.get(id) else { continue };
            if operation.began > earliest_end {
                found(false, "H5", format!("{id} comes before a write of {key} that was acknowledged before it began"));
            }
            if operation.fate == Fate::Committed {
                earliest_end = earliest_end.min(operation.ended);
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_log::{Boot, NodeId};

    fn id(sequence: u64) -> ProposalId {
        ProposalId { region: NodeId(1), boot: Boot(1), sequence }
    }

    /// Writes of key 0 as (sequence, began, ended, fate), reads as (began, ended, seen), and the final list.
    fn rules(writes: &[(u64, u64, u64, Fate)], reads: &[(u64, u64, &[u64])], list: &[u64]) -> Vec<&'static str> {
        let operation = |began: u64, ended: u64, fate| Operation { region: 0, began, ended, fate, keys: vec![0] };
        let operations =
            writes.iter().map(|(n, began, ended, fate)| (id(*n), operation(*began, *ended, *fate))).collect();
        let ids = |list: &[u64]| list.iter().map(|n| id(*n)).collect::<Vec<_>>();
        let reads: Vec<Read> = reads
            .iter()
            .map(|(began, ended, seen)| Read { key: 0, began: *began, ended: *ended, seen: ids(seen) })
            .collect();
        let finals = BTreeMap::from([(0, ids(list))]);
        judge(&operations, &reads, &finals).into_iter().map(|finding| finding.violation.rule).collect()
    }

    #[test]
    fn each_kind_of_bad_history_is_named() {
        use Fate::*;
        let good = [(1, 0, 10, Committed), (2, 20, 30, Committed), (3, 40, 50, Rejected), (4, 40, 50, Unknown)];
        assert!(rules(&good, &[(11, 12, &[1]), (25, 35, &[1, 2]), (25, 26, &[1])], &[1, 2]).is_empty());
        assert_eq!(rules(&good, &[], &[1]), ["H1"], "acknowledged and lost");
        assert_eq!(rules(&good, &[], &[1, 2, 3]), ["H1"], "refused and there");
        assert_eq!(rules(&good, &[], &[1, 2, 2]), ["H1"], "there twice");
        assert!(rules(&good, &[], &[1, 2, 4]).is_empty(), "unknown may be there");
        assert_eq!(rules(&good, &[(25, 26, &[2])], &[1, 2]), ["H2"], "not a prefix");
        assert_eq!(rules(&good, &[(31, 32, &[1])], &[1, 2]), ["H3"], "stale");
        assert_eq!(rules(&good, &[(21, 22, &[1, 2]), (23, 24, &[1])], &[1, 2]), ["H4"], "it was seen before");
        assert_eq!(rules(&good, &[], &[2, 1]), ["H5"], "the order of real time");
    }
}
