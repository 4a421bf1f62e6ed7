//! Transcripts of single rules, and the certifier against a naive reading of the whole log.
use super::*;
use crate::api::{LockStrength, WriteKind};
use crate::record::{Access, KeyGuard, RangeGuard};
use proptest::prelude::*;
use trivet_log::{Boot, Term};
use trivet_storage::KeyRange;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn at(term: u64, index: u64) -> Position {
    Position { term: Term(term), index: Index(index) }
}

fn id(region: NodeId, sequence: u64) -> ProposalId {
    ProposalId { region, boot: Boot(1), sequence }
}

fn transaction(region: NodeId, sequence: u64) -> TransactionId {
    TransactionId { region, boot: Boot(1), sequence }
}

fn access(key: &str, access: Access, read_at: Position, lock_at: Position) -> KeyAccess {
    KeyAccess { key: Bytes::copy_from_slice(key.as_bytes()), access, read_at, lock_at, key_at: None }
}

fn write(key: &str, position: Position) -> KeyAccess {
    access(key, Access::Put { value: Bytes::from_static(b"v"), kind: WriteKind::NoKeyUpdate }, position, position)
}

fn delete(key: &str, position: Position) -> KeyAccess {
    access(key, Access::Delete, position, position)
}

fn guard(key: &str, strength: LockStrength, position: Position) -> KeyAccess {
    access(key, Access::Guard(strength), position, position)
}

fn commit_record(snapshot: Position, keys: Vec<KeyAccess>) -> CommitRecord {
    CommitRecord {
        transaction: transaction(A, 0),
        snapshot,
        low_water: 1,
        parts: 0,
        keys,
        schema_guards: vec![],
        reads: vec![],
        ranges: vec![],
        actions: vec![],
    }
}

fn commit(snapshot: Position, keys: Vec<KeyAccess>) -> Record {
    Record::Commit(commit_record(snapshot, keys))
}

/// A certifier and its log's end; each line of a transcript offers a record and appends it if it is accepted.
struct Script {
    certifier: Certifier,
    sequence: u64,
}

impl Script {
    fn new() -> Script {
        Script { certifier: Certifier::new(Rules::ALL, Position::default()), sequence: 0 }
    }

    /// `n` entries that touch nothing.
    fn fill(&mut self, term: u64, n: u64) {
        for _ in 0..n {
            self.certifier.append_no_op(at(term, self.certifier.last().index.0 + 1));
        }
    }

    fn offer(&mut self, region: NodeId, record: Record) -> Result<Index, Rejection> {
        self.sequence += 1;
        let id = id(region, self.sequence);
        match self.certifier.certify(id, &record) {
            Decision::Append => {
                let position = at(self.certifier.last().term.0, self.certifier.last().index.0 + 1);
                self.certifier.append(position, id, &record);
                Ok(position.index)
            }
            Decision::Reject(rejection) => Err(rejection),
            Decision::Duplicate(_) => panic!("ids of a script are new"),
        }
    }
}

fn conflict(key: &'static str, index: u64, region: NodeId) -> Result<Index, Rejection> {
    Err(Rejection::Conflict { key: Bytes::from_static(key.as_bytes()), at: Index(index), region })
}

#[test]
fn t1_an_orphan_and_an_overdraft_are_refused_and_a_harmless_update_is_not() {
    let mut script = Script::new();
    script.fill(1, 10);
    let s = at(1, 10);
    // A inserts a child and keeps the parent's key; B, having looked at 10 too, deletes the parent.
    assert_eq!(
        script.offer(A, commit(s, vec![write("child", s), guard("parent", LockStrength::KeyShare, s)])),
        Ok(Index(11))
    );
    assert_eq!(script.offer(B, commit(s, vec![delete("parent", s)])), conflict("parent", 11, A));
    assert_eq!(script.offer(B, commit(s, vec![write("parent", s)])), Ok(Index(12)), "no key changes");
    assert_eq!(
        script.offer(A, commit(s, vec![guard("parent", LockStrength::KeyShare, s)])),
        Ok(Index(13)),
        "nor for children"
    );
    // Two regions lock one account, and each inserts a withdrawal.
    assert_eq!(
        script.offer(A, commit(s, vec![guard("account", LockStrength::Update, s), write("w1", s)])),
        Ok(Index(14))
    );
    assert_eq!(
        script.offer(B, commit(s, vec![guard("account", LockStrength::Update, s), write("w2", s)])),
        conflict("account", 14, A)
    );
    let seen = at(1, 14);
    assert_eq!(
        script.offer(B, commit(seen, vec![guard("account", LockStrength::Update, seen), write("w2", s)])),
        Ok(Index(15))
    );
}

#[test]
fn t1_a_lock_that_was_granted_later_than_the_read_passes_guards_in_between_but_no_writer() {
    let mut script = Script::new();
    script.fill(1, 10);
    let s = at(1, 10);
    assert_eq!(script.offer(B, commit(s, vec![guard("k", LockStrength::Update, s)])), Ok(Index(11)));
    let locked_later = |read: u64| access("k", Access::Delete, at(1, read), at(1, 11));
    assert_eq!(script.offer(A, commit(s, vec![locked_later(10)])), Ok(Index(12)));
    assert_eq!(script.offer(A, commit(s, vec![locked_later(11)])), conflict("k", 12, A));
}

#[test]
fn t2_a_key_share_lock_that_grew_on_a_newer_version_still_keeps_the_key() {
    let mut script = Script::new();
    script.fill(1, 10);
    let s = at(1, 10);
    assert_eq!(script.offer(B, commit(s, vec![write("parent", s)])), Ok(Index(11)));
    let grown = |key_at| KeyAccess { key_at: Some(key_at), ..write("parent", at(1, 11)) };
    assert_eq!(script.offer(A, commit(s, vec![grown(s)])), Ok(Index(12)));
    assert_eq!(script.offer(B, commit(s, vec![delete("parent", at(1, 12))])), Ok(Index(13)));
    let late = KeyAccess { key_at: Some(s), ..write("parent", at(1, 13)) };
    assert_eq!(script.offer(A, commit(s, vec![late])), conflict("parent", 13, B));
}

#[test]
fn t3_positions_of_another_term_and_positions_beyond_the_end_are_refused() {
    let mut script = Script::new();
    script.fill(1, 3);
    script.fill(2, 2);
    for (position, expected) in [
        (at(1, 3), Ok(())),
        (at(1, 4), Err(Rejection::SnapshotLost)),
        (at(2, 4), Ok(())),
        (at(2, 3), Err(Rejection::SnapshotLost)),
        (at(2, 99), Err(Rejection::SnapshotLost)),
        (at(0, 0), Ok(())),
    ] {
        let offered = script.certifier.check(&commit(position, vec![write("k", position)]));
        assert_eq!(offered, expected, "{position:?}");
    }
}

#[test]
fn t4_an_id_is_appended_once_and_is_stale_once_its_origin_has_settled_it() {
    let mut script = Script::new();
    let record = commit(Position::default(), vec![]);
    script.certifier.append(at(1, 1), id(A, 5), &record);
    assert_eq!(script.certifier.certify(id(A, 5), &record), Decision::Duplicate(at(1, 1)));
    assert_eq!(script.certifier.certify(id(B, 5), &record), Decision::Append);
    let mut settled = commit_record(Position::default(), vec![]);
    settled.low_water = 8;
    script.certifier.append(at(1, 2), id(A, 9), &Record::Commit(settled));
    assert_eq!(script.certifier.certify(id(A, 7), &record), Decision::Reject(Rejection::Stale));
    script.certifier.truncate(at(1, 1));
    assert_eq!(script.certifier.certify(id(A, 7), &record), Decision::Append, "the mark went with its record");
    let next_boot = ProposalId { region: A, boot: Boot(2), sequence: 1 };
    script.certifier.append(at(1, 2), next_boot, &record);
    assert_eq!(script.certifier.certify(id(A, 10), &record), Decision::Reject(Rejection::Stale));
}

#[test]
fn t5_truncation_gives_the_older_writer_back() {
    let mut script = Script::new();
    script.fill(1, 1);
    let s = at(1, 1);
    assert_eq!(script.offer(A, commit(s, vec![write("k", s)])), Ok(Index(2)));
    assert_eq!(script.offer(A, commit(s, vec![write("k", at(1, 2))])), Ok(Index(3)));
    script.certifier.truncate(at(1, 2));
    assert_eq!(script.offer(B, commit(s, vec![write("k", s)])), conflict("k", 2, A));
}

#[test]
fn t5_a_horizon_refuses_what_is_below_and_lets_the_map_forget() {
    let mut script = Script::new();
    script.fill(1, 1);
    for _ in 0..10 {
        let last = script.certifier.last();
        assert!(script.offer(A, commit(last, vec![write("k", last)])).is_ok());
    }
    let horizon = |index| Record::Horizon { horizon: at(1, index), low_water: 1, rules: 1 };
    assert_eq!(script.offer(A, horizon(8)), Ok(Index(12)));
    assert_eq!(script.offer(A, horizon(7)), Err(Rejection::Horizon));
    let old = at(1, 7);
    assert_eq!(
        script.offer(B, commit(old, vec![write("x", old)])),
        Err(Rejection::SnapshotTooOld { horizon: Index(8) })
    );
    assert_eq!(script.certifier.remembered(), 12, "not committed yet");
    script.certifier.truncate(at(1, 11));
    assert_eq!(script.offer(B, commit(old, vec![write("x", old)])), Ok(Index(12)), "the horizon went with its record");
    assert_eq!(script.offer(A, horizon(8)), Ok(Index(13)));
    script.certifier.commit_to(Index(13));
    assert_eq!(script.certifier.remembered(), 5);
    assert_eq!(script.offer(B, commit(at(1, 8), vec![write("k", at(1, 8))])), conflict("k", 9, A));
}

#[test]
fn ranges_and_schema_keys_are_guarded_against_writers_only() {
    let mut script = Script::new();
    script.fill(1, 1);
    let s = at(1, 1);
    assert_eq!(script.offer(B, commit(s, vec![guard("t/1", LockStrength::Update, s), write("u", s)])), Ok(Index(2)));
    let mut record = commit_record(s, vec![]);
    record.ranges.push(RangeGuard { range: KeyRange::prefix("t/"), read_at: s });
    record.schema_guards.push(KeyGuard { key: Bytes::from_static(b"schema"), read_at: s });
    assert_eq!(script.offer(A, Record::Commit(record.clone())), Ok(Index(3)));
    assert_eq!(script.offer(B, commit(s, vec![write("t/2", s)])), Ok(Index(4)));
    assert_eq!(script.offer(A, Record::Commit(record.clone())), conflict("t/2", 4, B));
    record.ranges.clear();
    assert_eq!(script.offer(B, commit(s, vec![write("schema", s)])), Ok(Index(5)));
    let changed = Rejection::SchemaChanged { key: Bytes::from_static(b"schema"), at: Index(5), region: B };
    assert_eq!(script.offer(A, Record::Commit(record)), Err(changed));
}

// ---- against a naive reading of the whole log

#[derive(Clone, Debug)]
struct Logged {
    position: Position,
    entry: Option<(ProposalId, Record)>,
}

/// Knows the rule and nothing of how to be fast: every question reads the log from the start.
#[derive(Default)]
struct Oracle {
    log: Vec<Logged>,
}

impl Oracle {
    fn last(&self) -> Position {
        self.log.last().map_or(Position::default(), |logged| logged.position)
    }

    fn records(&self, below: usize) -> impl DoubleEndedIterator<Item = (Index, ProposalId, &Record)> {
        self.log[..below].iter().filter_map(|l| l.entry.as_ref().map(|(id, record)| (l.position.index, *id, record)))
    }

    fn horizon(&self, below: usize) -> Index {
        let horizons = self.records(below).filter_map(|(_, _, record)| match record {
            Record::Horizon { horizon, .. } => Some(horizon.index),
            _ => None,
        });
        horizons.max().unwrap_or(Index(0))
    }

    fn believes(&self, position: Position, below: usize) -> bool {
        let known = match position.index.0 {
            0 => position == Position::default(),
            index => self.log[..below].get(index as usize - 1).is_some_and(|logged| logged.position == position),
        };
        known && position.index >= self.horizon(below)
    }

    fn believes_all(&self, key: &KeyAccess, below: usize) -> bool {
        [key.read_at, key.lock_at].into_iter().chain(key.key_at).all(|position| self.believes(position, below))
    }

    /// The parts of a transaction since it last ended.
    fn parts(&self, transaction: TransactionId, below: usize) -> Vec<(usize, &PartRecord)> {
        let mut parts = Vec::new();
        for (place, logged) in self.log[..below].iter().enumerate() {
            match logged.entry.as_ref().map(|(_, record)| record) {
                Some(Record::Part(part)) if part.transaction == transaction => parts.push((place, part)),
                Some(Record::Abandon { transaction: ended, .. }) if *ended == transaction => parts.clear(),
                Some(Record::Commit(commit)) if commit.parts > 0 && commit.transaction == transaction => parts.clear(),
                _ => {}
            }
        }
        parts
    }

    /// The parts that the final at `index` ended.
    fn parts_of_final(&self, commit: &CommitRecord, index: Index) -> Vec<(usize, &PartRecord)> {
        if commit.parts > 0 { self.parts(commit.transaction, index.0 as usize - 1) } else { vec![] }
    }

    /// Everything in the log that did something to this key: (index, mark).
    fn marks(&self, key: &Bytes, below: usize) -> Vec<(Index, Mark)> {
        let mut marks = Vec::new();
        for (index, _, record) in self.records(below) {
            if let Record::Commit(commit) = record {
                let parts = self.parts_of_final(commit, index);
                let all = commit.keys.iter().chain(parts.iter().flat_map(|(_, part)| &part.keys));
                marks.extend(all.filter(|k| k.key == *key).filter_map(|k| Some((index, k.access.mark()?))));
            }
        }
        marks
    }

    fn key_is_free(&self, key: &KeyAccess, below: usize) -> bool {
        let Some(mark) = key.access.mark() else { return true };
        self.marks(&key.key, below).into_iter().all(|(index, theirs)| {
            let relied_on = if theirs.writes { key.read_at } else { key.lock_at };
            let kept_key = key.key_at.is_none_or(|key_at| {
                !theirs.writes || theirs.strength != LockStrength::Update || index <= key_at.index
            });
            kept_key && (index <= relied_on.index || !theirs.strength.conflicts_with(mark.strength))
        })
    }

    fn range_is_free(&self, guard: &RangeGuard, below: usize) -> bool {
        self.records(below).filter(|(index, _, _)| *index > guard.read_at.index).all(
            |(index, _, record)| match record {
                Record::Commit(commit) => {
                    let writes = |k: &KeyAccess| k.access.mark().is_some_and(|mark| mark.writes);
                    let parts = self.parts_of_final(commit, index);
                    !commit.keys.iter().any(|k| writes(k) && guard.range.contains(&k.key))
                        && !parts.iter().flat_map(|(_, p)| &p.ranges).any(|r| crate::keyset::overlap(r, &guard.range))
                }
                _ => true,
            },
        )
    }

    fn accepts(&self, id: ProposalId, record: &Record) -> bool {
        let end = self.log.len();
        let of_origin = || self.records(end).filter(|(_, known, _)| (known.region, known.boot) == (id.region, id.boot));
        if of_origin().any(|(_, known, _)| known == id) || of_origin().any(|(_, _, r)| r.low_water() > id.sequence) {
            return false;
        }
        if self.records(end).any(|(_, known, _)| known.region == id.region && known.boot > id.boot) {
            return false;
        }
        match record {
            Record::Commit(commit) => self.accepts_commit(commit, end),
            Record::Part(part) => self.parts(part.transaction, end).iter().all(|(_, p)| p.number != part.number),
            Record::Abandon { .. } => true,
            Record::Horizon { horizon, .. } => {
                horizon.index >= self.horizon(end) && (horizon.index.0 == 0 || self.believes(*horizon, end))
            }
        }
    }

    fn accepts_commit(&self, commit: &CommitRecord, end: usize) -> bool {
        let keys = commit.keys.iter().all(|k| self.believes_all(k, end) && self.key_is_free(k, end));
        let guards = commit.schema_guards.iter().chain(&commit.reads).all(|guard| {
            let unwritten =
                self.marks(&guard.key, end).iter().all(|(i, mark)| *i <= guard.read_at.index || !mark.writes);
            self.believes(guard.read_at, end) && unwritten
        });
        let ranges =
            commit.ranges.iter().all(|guard| self.believes(guard.read_at, end) && self.range_is_free(guard, end));
        let parts = self.parts(commit.transaction, end);
        let parts_free = commit.parts == 0
            || (parts.len() == commit.parts as usize
                && parts.iter().all(|(_, part)| part.number < commit.parts)
                && parts.iter().all(|(place, part)| {
                    part.keys.iter().all(|k| self.believes_all(k, *place) && self.key_is_free(k, end))
                }));
        self.believes(commit.snapshot, end) && keys && guards && ranges && parts_free
    }
}

#[derive(Clone, Debug)]
enum Step {
    Offer { region: u8, boot: u64, record: Shape, low_water: u64, again: bool },
    NoOp { new_term: bool },
    Truncate { keep: u64 },
    Commit { share: u64 },
}

/// A record whose positions count back from the log's end, so that they stay near it.
#[derive(Clone, Debug)]
enum Shape {
    Commit { keys: Vec<(u8, u8, u64, u64)>, range: Option<(u8, u64)>, schema: Option<(u8, u64)>, back: u64 },
    Part { transaction: u64, number: u32, keys: Vec<(u8, u8, u64, u64)> },
    Final { transaction: u64, parts: u32, keys: Vec<(u8, u8, u64, u64)> },
    Abandon { transaction: u64 },
    Horizon { back: u64 },
}

fn keys() -> impl Strategy<Value = Vec<(u8, u8, u64, u64)>> {
    prop::collection::vec((0..6u8, 0..7u8, 0..6u64, 0..6u64), 1..4)
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        8 => (keys(), prop::option::weighted(0.2, (0..6u8, 0..6u64)), prop::option::weighted(0.2, (0..6u8, 0..6u64)), 0..6u64)
            .prop_map(|(keys, range, schema, back)| Shape::Commit { keys, range, schema, back }),
        3 => (0..3u64, 0..3u32, keys()).prop_map(|(transaction, number, keys)| Shape::Part { transaction, number, keys }),
        2 => (0..3u64, 1..3u32, keys()).prop_map(|(transaction, parts, keys)| Shape::Final { transaction, parts, keys }),
        1 => (0..3u64).prop_map(|transaction| Shape::Abandon { transaction }),
        1 => (0..8u64).prop_map(|back| Shape::Horizon { back }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1..3u8, prop::bool::weighted(0.03), shapes(), 1..4u64, prop::bool::weighted(0.1)).prop_map(|(region, boot, record, low_water, again)| {
            Step::Offer { region, boot: 1 + u64::from(boot), record, low_water, again }
        }),
        1 => any::<bool>().prop_map(|new_term| Step::NoOp { new_term }),
        1 => (0..5u64).prop_map(|keep| Step::Truncate { keep }),
        2 => (0..5u64).prop_map(|share| Step::Commit { share }),
    ]
}

fn key_name(key: u8) -> Bytes {
    Bytes::from(format!("k{key}"))
}

impl Oracle {
    /// The position `back` entries below the end; sometimes of a term that never was.
    fn back(&self, back: u64) -> Position {
        let index = self.last().index.0.saturating_sub(back);
        match index.checked_sub(1) {
            None => Position::default(),
            Some(place) if back == 5 => at(self.log[place as usize].position.term.0 + 1, index),
            Some(place) => self.log[place as usize].position,
        }
    }

    fn accesses(&self, keys: &[(u8, u8, u64, u64)], in_part: bool) -> Vec<KeyAccess> {
        let mut all = BTreeMap::new();
        for (key, kind, read, lock) in keys {
            let value = Bytes::from_static(b"v");
            let access = match kind {
                0 => Access::Put { value, kind: WriteKind::NoKeyUpdate },
                1 => Access::Put { value, kind: WriteKind::Update },
                2 => Access::Delete,
                3 if in_part => Access::Void,
                strength => Access::Guard(crate::keyset::STRENGTHS[usize::from(*strength) % 4]),
            };
            let key = key_name(*key);
            let (read_at, lock_at) = (self.back(*read), self.back(*lock));
            let key_at = (read + lock == 5).then(|| self.back(lock + 1));
            all.insert(key.clone(), KeyAccess { key, access, read_at, lock_at, key_at });
        }
        all.into_values().collect()
    }

    fn build(&self, region: NodeId, boot: Boot, low_water: u64, shape: &Shape) -> Record {
        // A boot speaks for its own transactions only.
        let named = |sequence| TransactionId { boot, ..transaction(region, sequence) };
        match shape {
            Shape::Commit { keys, range, schema, back } => Record::Commit(CommitRecord {
                transaction: named(99),
                snapshot: self.back(*back),
                low_water,
                parts: 0,
                keys: self.accesses(keys, false),
                schema_guards: schema
                    .iter()
                    .map(|(k, b)| KeyGuard { key: key_name(*k), read_at: self.back(*b) })
                    .collect(),
                reads: schema.iter().map(|(k, b)| KeyGuard { key: key_name(k ^ 1), read_at: self.back(*b) }).collect(),
                ranges: range
                    .iter()
                    .map(|(k, b)| RangeGuard {
                        range: KeyRange::new(key_name(*k), key_name(*k + 2)),
                        read_at: self.back(*b),
                    })
                    .collect(),
                actions: vec![],
            }),
            Shape::Part { transaction, number, keys } => {
                let keys = self.accesses(keys, true);
                let ranges = crate::record::covering_ranges(&keys);
                Record::Part(PartRecord { transaction: named(*transaction), low_water, number: *number, ranges, keys })
            }
            Shape::Final { transaction, parts, keys } => Record::Commit(CommitRecord {
                transaction: named(*transaction),
                parts: *parts,
                low_water,
                ..commit_record(self.back(0), self.accesses(keys, false))
            }),
            Shape::Abandon { transaction } => Record::Abandon { transaction: named(*transaction), low_water },
            Shape::Horizon { back } => Record::Horizon { horizon: self.back(*back), low_water, rules: 1 },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// K1 to K3: whatever was truncated, committed and forgotten, every verdict is that of the whole log.
    #[test]
    fn verdicts_are_those_of_the_whole_log(steps in prop::collection::vec(steps(), 1..70)) {
        let mut certifier = Certifier::new(Rules::ALL, Position::default());
        let mut oracle = Oracle::default();
        let (mut term, mut sequence) = (1u64, 10u64);
        for step in steps {
            let next = |term: u64, oracle: &Oracle| at(term, oracle.last().index.0 + 1);
            match step {
                Step::Offer { region, boot, record, low_water, again } => {
                    sequence += 1;
                    let low_water = sequence.saturating_sub(low_water * 4).max(1);
                    let named = ProposalId { region: NodeId(region), boot: Boot(boot), sequence: if again { sequence - 2 } else { sequence } };
                    let record = oracle.build(NodeId(region), Boot(boot), low_water, &record);
                    let position = next(term, &oracle);
                    let decision = certifier.certify(named, &record);
                    let accepted = decision == Decision::Append;
                    // A horizon above commit is the leader's business, not the rule's.
                    let above = matches!(&record, Record::Horizon { horizon, .. } if horizon.index > certifier.commit());
                    prop_assert_eq!(accepted, oracle.accepts(named, &record), "{:?} for {:?}", decision, record);
                    prop_assert_eq!(accepted, certifier.recheck(named, &record).is_ok());
                    if accepted && !above {
                        certifier.append(position, named, &record);
                        oracle.log.push(Logged { position, entry: Some((named, record)) });
                    }
                }
                Step::NoOp { new_term } => {
                    term += u64::from(new_term);
                    let position = next(term, &oracle);
                    certifier.append_no_op(position);
                    oracle.log.push(Logged { position, entry: None });
                }
                Step::Truncate { keep } => {
                    let (commit, last) = (certifier.commit().0, oracle.last().index.0);
                    let keep = commit + (last - commit) * keep / 5;
                    oracle.log.truncate(keep as usize);
                    certifier.truncate(oracle.last());
                    // A new leader begins with an entry of its own.
                    term += 1;
                    let position = next(term, &oracle);
                    certifier.append_no_op(position);
                    oracle.log.push(Logged { position, entry: None });
                }
                Step::Commit { share } => {
                    let (commit, last) = (certifier.commit().0, oracle.last().index.0);
                    certifier.commit_to(Index(commit + (last - commit) * share / 4));
                }
            }
        }
    }
}
