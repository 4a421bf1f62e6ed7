use super::*;
use proptest::prelude::*;

fn positions() -> impl Strategy<Value = Position> {
    (0..3u64, prop_oneof![0..5u64, any::<u64>()])
        .prop_map(|(term, index)| Position { term: Term(term), index: Index(index) })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn ranges() -> impl Strategy<Value = KeyRange> {
    (bytes(), bytes()).prop_map(|(start, end)| {
        let end = if start < end { end } else { Bytes::new() };
        KeyRange { start, end }
    })
}

fn accesses(in_part: bool) -> impl Strategy<Value = Access> {
    let write_kind = prop_oneof![Just(WriteKind::NoKeyUpdate), Just(WriteKind::Update)];
    prop_oneof![
        4 => (bytes(), write_kind).prop_map(|(value, kind)| Access::Put { value, kind }),
        1 => Just(Access::Delete),
        1 => (0..4usize).prop_map(|strength| Access::Guard(STRENGTHS[strength])),
        1 => Just(if in_part { Access::Void } else { Access::Delete }),
    ]
}

fn keys(in_part: bool) -> impl Strategy<Value = Vec<KeyAccess>> {
    prop::collection::btree_map(
        bytes(),
        (accesses(in_part), positions(), positions(), prop::option::of(positions())),
        0..8,
    )
    .prop_map(|keys| {
        keys.into_iter()
            .map(|(key, (access, read_at, lock_at, key_at))| KeyAccess { key, access, read_at, lock_at, key_at })
            .collect()
    })
}

fn transactions() -> impl Strategy<Value = TransactionId> {
    (any::<u8>(), any::<u64>(), any::<u64>()).prop_map(|(region, boot, sequence)| TransactionId {
        region: NodeId(region),
        boot: Boot(boot),
        sequence,
    })
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        (ranges(), ranges(), bytes()).prop_map(|(table, index, spec)| Action::FillIndex { table, index, spec }),
        ranges().prop_map(|range| Action::DropRange { range }),
    ]
}

fn records() -> impl Strategy<Value = Record> {
    let commits = (
        (transactions(), positions(), any::<u64>(), 0..3u32),
        keys(false),
        prop::collection::vec((bytes(), positions()), 0..3),
        prop::collection::vec((ranges(), positions()), 0..3),
        prop::collection::vec(actions(), 0..3),
    )
        .prop_map(|((transaction, snapshot, low_water, parts), keys, schema_guards, ranges, actions)| {
            Record::Commit(CommitRecord {
                transaction,
                snapshot,
                low_water,
                parts,
                keys,
                reads: schema_guards
                    .iter()
                    .map(|(key, read_at)| KeyGuard { key: key.clone(), read_at: *read_at })
                    .collect(),
                schema_guards: schema_guards.into_iter().map(|(key, read_at)| KeyGuard { key, read_at }).collect(),
                ranges: ranges.into_iter().map(|(range, read_at)| RangeGuard { range, read_at }).collect(),
                actions,
            })
        });
    let parts =
        (transactions(), any::<u64>(), any::<u32>(), keys(true)).prop_map(|(transaction, low_water, number, keys)| {
            Record::Part(PartRecord { transaction, low_water, number, ranges: covering_ranges(&keys), keys })
        });
    prop_oneof![
        4 => commits,
        2 => parts,
        1 => (transactions(), any::<u64>()).prop_map(|(transaction, low_water)| Record::Abandon { transaction, low_water }),
        1 => (positions(), any::<u64>(), any::<u64>()).prop_map(|(horizon, low_water, rules)| Record::Horizon { horizon, low_water, rules }),
    ]
}

proptest! {
    #[test]
    fn records_survive_the_trip(record in records()) {
        let bytes = record.encode();
        prop_assert_eq!(Record::decode(&bytes), Ok(record.clone()));
        if let Record::Part(part) = record {
            prop_assert_eq!(part_ranges(&bytes), Ok(part.ranges));
        }
    }

    /// Any one byte changed is noticed; any bytes at all, even under a right checksum, are read without panic.
    #[test]
    fn damage_is_noticed_and_nonsense_is_refused(record in records(), at in any::<prop::sample::Index>(), by in 1..=255u8) {
        let bytes = record.encode();
        let mut damaged = bytes.to_vec();
        damaged[at.index(bytes.len())] ^= by;
        prop_assert!(Record::decode(&Bytes::from(damaged.clone())).is_err());
        let body = damaged.len() - CRC_LENGTH;
        let crc = crc32fast::hash(&damaged[..body]).to_le_bytes();
        damaged[body..].copy_from_slice(&crc);
        let damaged = Bytes::from(damaged);
        if let Ok(other) = Record::decode(&damaged) {
            // R4, up to the spelling of numbers and of the position table.
            prop_assert_eq!(Record::decode(&other.encode()), Ok(other));
        }
        let _ = part_ranges(&damaged);
    }

    #[test]
    fn covering_ranges_cover(keys in keys(true)) {
        let ranges = covering_ranges(&keys);
        prop_assert!(ranges.len() <= PART_RANGES_MAX);
        prop_assert!(keys.iter().all(|key| ranges.iter().filter(|range| range.contains(&key.key)).count() == 1));
    }
}

#[test]
fn the_bytes_of_version_1_stay_readable() {
    let position = |term, index| Position { term: Term(term), index: Index(index) };
    let record = Record::Commit(CommitRecord {
        transaction: TransactionId { region: NodeId(1), boot: Boot(2), sequence: 300 },
        snapshot: position(3, 1000),
        low_water: 299,
        parts: 0,
        keys: vec![
            KeyAccess {
                key: Bytes::from_static(b"a"),
                access: Access::Put { value: Bytes::from_static(b"1"), kind: WriteKind::NoKeyUpdate },
                read_at: position(3, 1000),
                lock_at: position(3, 1000),
                key_at: None,
            },
            KeyAccess {
                key: Bytes::from_static(b"b"),
                access: Access::Guard(LockStrength::KeyShare),
                read_at: position(3, 1000),
                lock_at: position(3, 1004),
                key_at: None,
            },
        ],
        schema_guards: vec![],
        reads: vec![],
        ranges: vec![RangeGuard { range: KeyRange::new("t", ""), read_at: position(3, 1000) }],
        actions: vec![],
    });
    let hex: String = record.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "5401010102ac02ab020203e80703ec07020161800131016204000100000101740000007f67a78a");
}

#[test]
fn ranges_are_cut_where_keys_have_least_in_common() {
    let put = |key: &'static str| KeyAccess {
        key: Bytes::from_static(key.as_bytes()),
        access: Access::Delete,
        read_at: Position::default(),
        lock_at: Position::default(),
        key_at: None,
    };
    let keys = ["table1/0001", "table1/0002", "table1/0003", "table2/red", "table2/reds"].map(put);
    let ranges = covering_ranges(&keys);
    assert!(ranges.iter().any(|range| range.contains(b"table1/0002") && !range.contains(b"table2/r")));
}
