//! What every engine does.
use crate::engines::*;
use bytes::Bytes;
use trivet_storage::{Batch, KeyRange, StoreError, digest};

#[test]
fn a_snapshot_sees_the_newest_version_at_or_below_it() {
    everywhere(|which, store| {
        put(store, 10, &[("a", "one"), ("b", "uno")]);
        put(store, 20, &[("a", "two")]);
        put(store, 30, &[("a", ""), ("c", "tre")]);
        let at = |key: &str, at| store.newest(key.as_bytes(), at).expect("readable");
        assert_eq!(at("a", 9), None, "{which}");
        assert_eq!(at("a", 10), Some((10, Some(bytes("one")))), "{which}");
        assert_eq!(at("a", 29), Some((20, Some(bytes("two")))), "{which}");
        assert_eq!(at("a", 30), Some((30, None)), "{which}: a tombstone is told from nothing");
        assert_eq!(at("a", u64::MAX), Some((30, None)), "{which}");
        assert_eq!(at("", 30), None, "{which}");
        assert_eq!(at("aa", 30), None, "{which}");
        assert_eq!(all(store, 9), "", "{which}");
        assert_eq!(all(store, 25), "a=two@20 b=uno@10", "{which}");
        assert_eq!(all(store, u64::MAX), "b=uno@10 c=tre@30", "{which}");
        assert_eq!(store.applied(), 30, "{which}");
    });
}

#[test]
fn scans_keep_to_range_direction_and_limit() {
    everywhere(|which, store| {
        put(store, 1, &[("a", "1"), ("b", "2"), ("ba", "3"), ("c", "4"), ("d", "5")]);
        put(store, 2, &[("b", "22"), ("c", "")]);
        let cases = [
            (range("", ""), 2, false, 9, "a=1@1 b=22@2 ba=3@1 d=5@1"),
            (range("", ""), 2, true, 9, "d=5@1 ba=3@1 b=22@2 a=1@1"),
            (range("b", "d"), 2, false, 9, "b=22@2 ba=3@1"),
            (range("b", "d"), 2, true, 9, "ba=3@1 b=22@2"),
            (range("b", "d"), 1, true, 9, "c=4@1 ba=3@1 b=2@1"),
            (range("b", "d"), 2, true, 1, "ba=3@1"),
            (range("b", "d"), 2, false, 1, "b=22@2"),
            (range("b", "d"), 2, false, 0, ""),
            (range("c", "d"), 2, false, 9, ""),
            (range("c", "d"), 2, true, 9, ""),
            (range("d", "b"), 2, false, 9, ""),
            (range("b", "b"), 2, true, 9, ""),
            (range("x", ""), 2, true, 9, ""),
            (range("", "a"), 2, true, 9, ""),
            (range("d", ""), 2, false, 9, "d=5@1"),
        ];
        for (range, at, reverse, limit, want) in cases {
            assert_eq!(show(store, &range, at, reverse, limit), want, "{which}: {range:?} at {at} reverse {reverse}");
        }
    });
}

/// Keys of any bytes: those that end in zeros, that begin with other keys, that look like versions.
#[test]
fn no_key_is_mistaken_for_another() {
    everywhere(|which, store| {
        let keys: Vec<Vec<u8>> = vec![
            b"".into(),
            b"\0".into(),
            b"\0\0".into(),
            b"k".into(),
            b"k\0".into(),
            b"k\0\0\0\0\0\0\0".into(),
            b"k\0\0\0\0\0\0\0\0".into(),
            b"k\xff\xff\xff\xff\xff\xff\xff".into(),
            b"k\xff\xff\xff\xff\xff\xff\xff\xf7".into(),
            b"k\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".into(),
            b"l".into(),
            vec![0xff; 7],
            vec![0xff; 8],
            vec![0xff; 40],
        ];
        for (at, key) in keys.iter().enumerate() {
            for version in [5, 7 + at as u64, 100] {
                let value = format!("{at}@{version}").into();
                let batch = Batch { writes: vec![(key.clone().into(), version, Some(value))], ..Batch::default() };
                store.apply(batch).expect("applied");
            }
        }
        for snapshot in [5, 50, 100] {
            let rows = store.scan(&KeyRange::all(), snapshot, false, 100).expect("readable");
            let found: Vec<&[u8]> = rows.iter().map(|row| &*row.key).collect();
            assert_eq!(found, keys, "{which}");
            let mut reversed = store.scan(&KeyRange::all(), snapshot, true, 100).expect("readable");
            reversed.reverse();
            assert_eq!(reversed, rows, "{which}");
            for (at, key) in keys.iter().enumerate() {
                let version = if snapshot == 50 { 7 + at as u64 } else { snapshot };
                let want = Some((version, Some(Bytes::from(format!("{at}@{version}")))));
                assert_eq!(store.newest(key, snapshot).expect("readable"), want, "{which}: {key:?} at {snapshot}");
            }
        }
    });
}

#[test]
fn keys_with_thousands_of_versions_are_skipped_over() {
    everywhere(|which, store| {
        for version in 1..=3000 {
            put(store, version, &[("hot", "x"), ("hotter", if version % 2 == 0 { "" } else { "y" })]);
            if version == 1500 {
                put(store, 1500, &[("cold", "z")]);
            }
        }
        for at in [1, 2, 3, 1499, 1501, 2999, 3000] {
            let hotter = if at % 2 == 0 { String::new() } else { format!(" hotter=y@{at}") };
            let cold = if at < 1500 { "" } else { "cold=z@1500 " };
            assert_eq!(all(store, at), format!("{cold}hot=x@{at}{hotter}"), "{which}");
            let reverse = show(store, &KeyRange::all(), at, true, 9);
            let mut words: Vec<&str> = reverse.split(' ').collect();
            words.reverse();
            assert_eq!(words.join(" "), all(store, at), "{which}");
        }
    });
}

#[test]
fn pages_of_a_scan_continue_after_the_last_key() {
    everywhere(|which, store| {
        let keys: Vec<String> = (0..57).map(|at| format!("k{at:02}")).collect();
        put(store, 1, &keys.iter().map(|key| (key.as_str(), "v")).collect::<Vec<_>>());
        for reverse in [false, true] {
            let mut rest = KeyRange::prefix(bytes("k"));
            let mut found = Vec::new();
            loop {
                let rows = store.scan(&rest, 1, reverse, 10).expect("readable");
                let Some(last) = rows.last() else { break };
                rest = if reverse { rest.before(&last.key) } else { rest.after(&last.key) };
                found.extend(rows.iter().map(|row| String::from_utf8_lossy(&row.key).into_owned()));
            }
            if reverse {
                found.reverse();
            }
            assert_eq!(found, keys, "{which}");
        }
    });
}

#[test]
fn local_keys_are_apart_and_ranges_go_first() {
    everywhere(|which, store| {
        let local = |writes: &[(&str, Option<&str>)], ranges: &[KeyRange]| {
            let local = writes.iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect();
            store.apply(Batch { local, local_ranges: ranges.to_vec(), ..Batch::default() }).expect("applied");
        };
        let show = |range: &KeyRange| {
            let rows = store.local_scan(range, 100).expect("readable");
            let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
            rows.iter().map(|(key, value)| format!("{}={}", text(key), text(value))).collect::<Vec<_>>().join(" ")
        };
        put(store, 1, &[("data", "1")]);
        local(
            &[("", Some("empty")), ("a", Some("1")), ("part/1", Some("x")), ("part/2", Some("y")), ("z", Some("9"))],
            &[],
        );
        assert_eq!(show(&KeyRange::all()), "=empty a=1 part/1=x part/2=y z=9", "{which}");
        local(&[("part/3", Some("new")), ("a", None)], &[KeyRange::prefix(bytes("part/"))]);
        assert_eq!(show(&KeyRange::all()), "=empty part/3=new z=9", "{which}");
        assert_eq!(store.local(b"z").expect("readable"), Some(bytes("9")), "{which}");
        assert_eq!(store.local(b"part/1").expect("readable"), None, "{which}");
        assert_eq!(store.local_scan(&KeyRange::all(), 1).expect("readable").len(), 1, "{which}");
        assert_eq!(show(&range("z", "a")), "", "{which}");
        local(&[], &[KeyRange::all()]);
        assert_eq!(show(&KeyRange::all()), "", "{which}");
        assert_eq!((all(store, 1).as_str(), store.applied()), ("data=1@1", 1), "{which}: the rest is untouched");
    });
}

#[test]
fn a_large_local_range_goes_at_once() {
    everywhere(|which, store| {
        let local = (0..5000).map(|at| (bytes(&format!("p{at:05}")), Some(bytes("v")))).collect();
        store.apply(Batch { local, ..Batch::default() }).expect("applied");
        let batch = Batch {
            local_ranges: vec![range("p00100", "p04900")],
            local: vec![(bytes("p00200"), Some(bytes("new")))],
            ..Batch::default()
        };
        store.apply(batch).expect("applied");
        assert_eq!(store.local_scan(&KeyRange::all(), 9999).expect("readable").len(), 201, "{which}");
        assert_eq!(store.local(b"p00200").expect("readable"), Some(bytes("new")), "{which}");
    });
}

#[test]
fn writing_a_version_again_overwrites_it() {
    everywhere(|which, store| {
        put(store, 5, &[("k", "first"), ("k", "second")]);
        assert_eq!(all(store, 5), "k=second@5", "{which}");
        put(store, 5, &[("k", "")]);
        assert_eq!(store.newest(b"k", 5).expect("readable"), Some((5, None)), "{which}");
        put(store, 3, &[("k", "late")]);
        assert_eq!((all(store, 4).as_str(), all(store, 5).as_str()), ("k=late@3", ""), "{which}");
    });
}

#[test]
fn collection_drops_what_no_snapshot_can_see() {
    everywhere(|which, store| {
        put(store, 3, &[("k", "3"), ("m", "3"), ("n", "3"), ("o", "3")]);
        put(store, 9, &[("k", "9"), ("m", "9")]);
        put(store, 15, &[("m", "")]);
        put(store, 18, &[("k", "18"), ("o", "")]);
        put(store, 25, &[("k", "25"), ("m", "25")]);
        let before: Vec<String> = (20..30).map(|at| all(store, at)).collect();
        assert_eq!(collect_all(store, 100), 0, "{which}: no horizon, nothing to drop");
        store.set_horizon(20);
        assert_eq!(collect_all(store, 100), 7, "{which}: k9 k3 m15 m9 m3 o18 o3");
        assert_eq!(collect_all(store, 100), 0, "{which}: once is enough");
        assert_eq!((20..30).map(|at| all(store, at)).collect::<Vec<_>>(), before, "{which}");
        assert_eq!(store.newest(b"m", 20).expect("readable"), None, "{which}");
        assert_eq!(store.newest(b"o", 99).expect("readable"), None, "{which}");
        for result in [store.newest(b"k", 19).map(|_| ()), store.scan(&KeyRange::all(), 19, false, 1).map(|_| ())] {
            assert!(matches!(result, Err(StoreError::SnapshotTooOld { at: 19, horizon: 20 })), "{which}: {result:?}");
        }
        store.set_horizon(10);
        assert_eq!(store.horizon(), 20, "{which}: the horizon never moves back");
    });
}

/// Small slices, many versions of one key, a tombstone on top of most of them.
#[test]
fn collection_in_slices_never_brings_a_row_back() {
    everywhere(|which, store| {
        for version in 1..=400 {
            put(store, version, &[("dead", "x"), ("hot", "y")]);
        }
        put(store, 401, &[("dead", "")]);
        for version in 402..=800 {
            put(store, version, &[("hot", "y"), ("zero", "z")]);
        }
        store.set_horizon(600);
        let mut dropped = 0;
        let mut slices = 0;
        loop {
            let slice = store.collect(20).expect("collects");
            dropped += slice.dropped;
            slices += 1;
            assert_eq!(all(store, 600), "hot=y@600 zero=z@600", "{which}: after slice {slices}");
            if slice.pass_ended {
                break;
            }
            assert!(slices < 10_000, "{which}: collection makes no progress");
        }
        assert_eq!(dropped, 401 + 598 + 198, "{which}");
        assert_eq!(all(store, u64::MAX), "hot=y@800 zero=z@800", "{which}");
    });
}

#[test]
fn a_dropped_range_is_gone_at_every_snapshot() {
    everywhere(|which, store| {
        put(store, 1, &[("a", "1"), ("t1/a", "1"), ("t1/b", "1"), ("t2/a", "1")]);
        put(store, 2, &[("t1/a", "2")]);
        store.flush().expect("flushes");
        put(store, 3, &[("t1/c", "3")]);
        store.drop_range(&KeyRange::prefix(bytes("t1/"))).expect("drops");
        for at in 1..=4 {
            assert_eq!(all(store, at), "a=1@1 t2/a=1@1", "{which} at {at}");
        }
        put(store, 4, &[("t1/a", "again")]);
        assert_eq!(all(store, 4), "a=1@1 t1/a=again@4 t2/a=1@1", "{which}");
        store.drop_range(&range("t", "")).expect("drops to the end");
        store.drop_range(&range("x", "b")).expect("an empty range is nothing");
        assert_eq!(all(store, 4), "a=1@1", "{which}");
        store.drop_range(&KeyRange::all()).expect("drops all");
        store.drop_range(&KeyRange::all()).expect("drops nothing");
        assert_eq!(all(store, 4), "", "{which}");
    });
}

#[test]
fn digests_tell_what_is_live() {
    let mut digests = Vec::new();
    let digests_of = std::sync::Mutex::new(&mut digests);
    everywhere(|which, store| {
        let keys: Vec<String> = (0..3000).map(|at| format!("k{at:05}")).collect();
        put(store, 1, &keys.iter().map(|key| (key.as_str(), "v")).collect::<Vec<_>>());
        put(store, 2, &[("k00007", "w"), ("k00008", "")]);
        let of = |range: &KeyRange, at| digest(store, range, at).expect("readable");
        let first = of(&KeyRange::all(), 1);
        assert_eq!(first.rows, 3000, "{which}");
        let second = of(&KeyRange::all(), 2);
        assert_eq!(second.rows, 2999, "{which}");
        assert_ne!(first.hash, second.hash, "{which}");
        assert_eq!(of(&range("k00009", ""), 1), of(&range("k00009", ""), 2), "{which}");
        put(store, 3, &[("k00007", "v"), ("k00008", "v")]);
        assert_eq!(of(&KeyRange::all(), 3), first, "{which}: versions do not count");
        store.set_horizon(3);
        collect_all(store, 1000);
        assert_eq!(of(&KeyRange::all(), 3), first, "{which}: nor does what was collected");
        digests_of.lock().expect("no panic holds it").push(second);
    });
    assert_eq!(digests[0], digests[1], "engines agree");
}

#[test]
fn applied_and_flushed_say_what_they_know() {
    everywhere(|which, store| {
        assert_eq!((store.applied(), store.flushed()), (0, 0), "{which}");
        put(store, 7, &[("a", "1")]);
        assert_eq!((store.applied(), store.flushed()), (7, 0), "{which}");
        store.flush().expect("flushes");
        assert_eq!((store.applied(), store.flushed()), (7, 7), "{which}");
        let batch = Batch { applied: Some(9), ..Batch::default() };
        store.apply(batch).expect("an entry may write nothing");
        assert_eq!((store.applied(), store.flushed()), (9, 7), "{which}");
        store.flush().expect("flushes");
        assert_eq!(store.flushed(), 9, "{which}");
        store.flush().expect("nothing to flush");
    });
}

#[test]
fn what_a_range_takes_is_told_roughly() {
    everywhere(|which, store| {
        let value = "v".repeat(100);
        let keys: Vec<String> = (0..4000).map(|at| format!("k{at:05}")).collect();
        let rows: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), value.as_str())).collect();
        put(store, 1, &rows);
        put(store, 2, &[("a", "1")]);
        store.flush().expect("flushes");
        let of = |start: &str, end: &str| store.stored_bytes(&range(start, end));
        let all = of("", "");
        assert!(all > 4000, "{which}: {all}");
        assert!(of("k", "l") > all / 2, "{which}");
        let half = of("k02000", "l");
        assert!(half > all / 4 && half < all * 3 / 4, "{which}: {half} of {all}");
        assert_eq!(of("x", "y"), 0, "{which}");
        assert_eq!(of("y", "x"), 0, "{which}");
    });
}
