use super::*;
use proptest::prelude::*;
use trivet_log::{Index, Term};

fn at(index: u64) -> Position {
    Position { term: Term(1), index: Index(index) }
}

fn key(n: u8) -> Bytes {
    Bytes::from(vec![b'k', n])
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Lock(u8, LockStrength),
    Savepoint,
    RollbackTo(usize),
    Release(usize),
    Ship,
}

fn steps() -> impl Strategy<Value = Step> {
    let strength =
        prop_oneof![Just(LockStrength::KeyShare), Just(LockStrength::NoKeyUpdate), Just(LockStrength::Update)];
    prop_oneof![
        4 => (0..5u8, any::<u8>()).prop_map(|(k, v)| Step::Put(k, v)),
        2 => (0..5u8).prop_map(Step::Delete),
        2 => (0..5u8, strength).prop_map(|(k, s)| Step::Lock(k, s)),
        2 => Just(Step::Savepoint),
        1 => (0..4usize).prop_map(Step::RollbackTo),
        1 => (0..4usize).prop_map(Step::Release),
        2 => Just(Step::Ship),
    ]
}

/// What a transaction says of a key, shipped or not: (value or tombstone or guard, position).
type Said = BTreeMap<Bytes, (Option<Option<Bytes>>, Position)>;

fn said(buffer: &Buffer, snapshots: &Snapshots) -> Said {
    let entries = buffer.entries.iter().filter(|(_, entry)| entry.write != Some(Write::Void));
    let say = |(key, entry): (&Bytes, &BufferEntry)| {
        let write = entry.write.as_ref().map(|_| buffer.own(key).expect("not void"));
        (key.clone(), (write, buffer.current(entry.positions.read_at, snapshots)))
    };
    entries.map(say).collect()
}

proptest! {
    /// Savepoints bring back writes, guards and positions exactly, and what parts said plus what is left over is
    /// always what the buffer says.
    #[test]
    fn savepoints_and_parts_agree_with_copies(steps in prop::collection::vec(steps(), 1..60)) {
        let snapshots = Snapshots::default();
        let mut buffer = Buffer::default();
        let mut copies: Vec<(u64, Said)> = Vec::new();
        let mut shipped: BTreeMap<Bytes, KeyAccess> = BTreeMap::new();
        for (now, step) in steps.into_iter().enumerate() {
            let id = buffer.position(at(now as u64), 0);
            let positions = Positions::all(id);
            match step {
                Step::Put(k, v) => buffer.write(key(k), Write::Put(Bytes::from(vec![v]), WriteKind::NoKeyUpdate), positions),
                Step::Delete(k) => buffer.write(key(k), Write::Delete, positions),
                Step::Lock(k, strength) => buffer.lock(&key(k), strength, positions),
                Step::Savepoint => copies.push((buffer.savepoint(), said(&buffer, &snapshots))),
                Step::RollbackTo(which) if which < copies.len() => {
                    buffer.rollback_to(copies[which].0, |_, _| {});
                    copies.truncate(which + 1);
                    prop_assert_eq!(&said(&buffer, &snapshots), &copies[which].1);
                }
                Step::Release(which) if which < copies.len() => {
                    let before = said(&buffer, &snapshots);
                    buffer.release(copies[which].0);
                    copies.truncate(which);
                    prop_assert_eq!(said(&buffer, &snapshots), before);
                }
                Step::RollbackTo(_) | Step::Release(_) => {}
                Step::Ship => {
                    for access in buffer.ship(400, &snapshots) {
                        shipped.insert(access.key.clone(), access);
                    }
                }
            }
            let mut record = shipped.clone();
            record.extend(buffer.rest(&snapshots).into_iter().map(|access| (access.key.clone(), access)));
            let record: Said = record
                .into_iter()
                .filter_map(|(key, access)| match access.access {
                    Access::Put { value, .. } => Some((key, (Some(Some(value)), access.read_at))),
                    Access::Delete => Some((key, (Some(None), access.read_at))),
                    Access::Guard(_) => Some((key, (None, access.read_at))),
                    Access::Void => None,
                })
                .collect();
            prop_assert_eq!(record, said(&buffer, &snapshots));
        }
        let writes = buffer.entries.values().filter(|entry| entry.writes()).count();
        prop_assert_eq!(buffer.writes, writes);
        let bytes: usize = buffer.entries.iter().map(|(key, entry)| cost(key, entry)).sum();
        prop_assert_eq!(buffer.bytes(), bytes);
    }
}

#[test]
fn positions_are_fixed_by_the_first_touch_and_lowered_by_truncation() {
    let snapshots = Snapshots::default();
    let mut buffer = Buffer::default();
    let early = buffer.position(at(10), 0);
    let late = buffer.position(at(20), 0);
    let positions = Positions::all;
    buffer.lock(b"k", LockStrength::KeyShare, positions(early));
    buffer.write(Bytes::from_static(b"k"), Write::Delete, positions(late));
    buffer.write(Bytes::from_static(b"new"), Write::Delete, Positions::FIRST);
    buffer.begun(at(15), 0);
    let read_at = |buffer: &Buffer| buffer.rest(&snapshots).iter().map(|access| access.read_at).collect::<Vec<_>>();
    assert_eq!(read_at(&buffer), [at(10), at(15)]);
    snapshots.truncated(at(12));
    assert_eq!(read_at(&buffer), [at(10), at(12)]);
}

#[test]
fn a_held_view_does_not_see_what_is_written_after_it() {
    let (mut buffer, all) = (Buffer::default(), KeyRange { start: Bytes::new(), end: Bytes::new() });
    let put = |value: &'static str| Write::Put(Bytes::from_static(value.as_bytes()), WriteKind::NoKeyUpdate);
    let key = |name: &'static str| Bytes::from_static(name.as_bytes());
    buffer.write(key("a"), put("1"), Positions::FIRST);
    buffer.write(key("b"), put("1"), Positions::FIRST);
    buffer.hold_view();
    buffer.write(key("a"), put("2"), Positions::FIRST);
    buffer.write(key("a"), Write::Delete, Positions::FIRST);
    buffer.write(key("c"), put("2"), Positions::FIRST);
    assert_eq!(buffer.seen(b"a"), Some(Some(key("1"))));
    assert_eq!((buffer.own(b"a"), buffer.seen(b"c"), buffer.own(b"c")), (Some(None), None, Some(Some(key("2")))));
    let seen: Vec<_> = buffer.seen_in(&all).into_iter().map(|(key, value)| (key.clone(), value.cloned())).collect();
    assert_eq!(seen, [(key("a"), Some(key("1"))), (key("b"), Some(key("1")))]);
    buffer.release_view();
    assert_eq!((buffer.seen(b"a"), buffer.seen(b"c")), (Some(None), Some(Some(key("2")))));
}
