//! Who leads, and what happens to writes and reads when a node goes.
use crate::cluster::{A, B, Cluster, W, id, wait};
use bytes::Bytes;
use std::time::{Duration, Instant};
use trivet_log::Outcome;

#[test]
fn both_regions_write_and_read() {
    let cluster = Cluster::start();
    cluster.leader();
    let written: Vec<Bytes> = (0..50).map(|n| cluster.write(if n % 2 == 0 { A } else { B })).collect();
    assert!(cluster.converge(&written) >= 50);
    for place in [A, B] {
        let begun = wait("a lease", || cluster.handle(place).read_begin());
        let last = cluster.handle(place).gate().view().last;
        assert!(begun.position.index.0 >= 50 && begun.position <= last, "{begun:?} {last}");
    }
}

#[test]
fn rejections_reach_the_region_that_asked() {
    let cluster = Cluster::start();
    cluster.leader();
    for place in [A, B] {
        cluster.write(place);
        let outcome = cluster.propose_bytes(place, Bytes::from_static(b"reject: this"));
        assert_eq!(outcome, Outcome::Rejected { reason: Bytes::from_static(b"told to reject") });
    }
}

#[test]
fn a_killed_leader_is_replaced_and_comes_back() {
    let mut cluster = Cluster::start();
    let first = cluster.leader();
    let second = cluster.other(first);
    let mut written: Vec<Bytes> = [first, second, first].map(|place| cluster.write(place)).into();
    cluster.kill(first);
    written.extend((0..10).map(|_| cluster.write(second)));
    assert_eq!(cluster.leader(), second);
    cluster.up(first);
    written.push(cluster.write(first));
    cluster.converge(&written);
    wait("the lease of the one that came back", || cluster.handle(first).read_begin());
}

#[test]
fn a_killed_follower_costs_a_promise_and_comes_back() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    let follower = cluster.other(leader);
    let mut written = vec![cluster.write(follower)];
    cluster.kill(follower);
    written.extend((0..10).map(|_| cluster.write(leader)));
    assert!(cluster.handle(leader).read_begin().is_some(), "the witness's promise lets the leader read alone");
    cluster.up(follower);
    written.push(cluster.write(follower));
    cluster.converge(&written);
}

#[test]
fn without_the_witness_nothing_changes() {
    let mut cluster = Cluster::start();
    cluster.leader();
    let mut written = vec![cluster.write(A)];
    cluster.kill(W);
    written.extend([A, B].map(|place| cluster.write(place)));
    cluster.up(W);
    written.extend([A, B].map(|place| cluster.write(place)));
    cluster.converge(&written);
}

#[test]
fn a_region_alone_refuses() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    cluster.write(leader);
    cluster.kill(W);
    cluster.kill(cluster.other(leader));
    wait("the lease to lapse", || cluster.handle(leader).read_begin().is_none().then_some(()));
    // Appended perhaps, committed never: nobody knows, and nobody says otherwise.
    let outcome = cluster.propose_bytes(leader, Bytes::from_static(b"lonely"));
    assert!(matches!(outcome, Outcome::Unknown | Outcome::NotSent), "{outcome:?}");
    assert!(!cluster.stores[leader].contains(b"lonely"));
}

#[test]
fn a_clean_stop_stalls_nobody() {
    let mut cluster = Cluster::start();
    let first = cluster.leader();
    let second = cluster.other(first);
    let mut written = vec![cluster.write(second)];
    let began = Instant::now();
    cluster.stop(first);
    written.push(cluster.write(second));
    let stalled = began.elapsed();
    assert_eq!(cluster.leader(), second);
    // An election alone would take 350 to 500 ms after the last word, a lapsing promise 300.
    assert!(stalled < Duration::from_millis(1500), "stop and the next write took {stalled:?}");
    cluster.up(first);
    written.push(cluster.write(first));
    cluster.converge(&written);
}

#[test]
fn the_lead_can_be_handed_over_under_load() {
    let cluster = Cluster::start();
    let mut written = vec![];
    for _ in 0..3 {
        let first = cluster.leader();
        let second = cluster.other(first);
        written.push(cluster.write(first));
        cluster.handle(first).hand_over(None);
        written.push(cluster.write(second));
        wait("the hand-over", || (cluster.handle(second).gate().view().leader == Some(id(second))).then_some(()));
        written.push(cluster.write(first));
    }
    cluster.converge(&written);
}

#[test]
fn all_restart_and_go_on() {
    let mut cluster = Cluster::start();
    cluster.leader();
    let mut written: Vec<Bytes> = [A, B].map(|place| cluster.write(place)).into();
    for place in [A, B, W] {
        cluster.kill(place);
    }
    for place in [W, B, A] {
        cluster.up(place);
    }
    written.extend([A, B].map(|place| cluster.write(place)));
    cluster.converge(&written);
    assert_eq!(cluster.handle(A).boot().0, 2);
}

#[test]
fn a_region_without_a_lease_asks_the_leader() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    cluster.write(leader);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for place in [A, B] {
        let position = wait("the leader's answer", || runtime.block_on(cluster.handle(place).read_index()));
        assert!(position.index.0 >= 1);
    }
}

#[test]
fn watchers_see_commits() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut commits = cluster.handle(cluster.other(leader)).commits();
    let before = *commits.borrow_and_update();
    cluster.write(leader);
    runtime.block_on(async {
        let seen = tokio::time::timeout(Duration::from_secs(20), commits.wait_for(|commit| *commit > before)).await;
        assert!(seen.is_ok_and(|seen| seen.is_ok()), "the follower's commit never moved");
    });
}

/// D4: a region that cannot store as fast as the log grows slows the log down; it does not fill its memory.
#[test]
fn a_slow_applier_slows_the_log() {
    let mut cluster = Cluster::new();
    for place in [A, B, W] {
        cluster.extra[place] = "[limits]\npayload_bytes = 65536\nappend_bytes = 65536\napply_backlog_bytes = 1000000\n\
                                inbound_bytes = 1000000\nstream_window_bytes = 1048576\n"
            .to_owned();
        cluster.up(place);
    }
    let leader = cluster.leader();
    let slow = cluster.other(leader);
    let mut written = vec![cluster.write(leader)];
    wait("the first commit to be applied", || (cluster.handle(slow).apply_backlog() == 0).then_some(()));
    let store = cluster.stores[slow].clone();
    let stuck = store.applied.lock();

    const COUNT: usize = 600; // of 64 KiB: 39 MB
    let payload = Bytes::from(vec![7; 65536]);
    let outcomes: Vec<_> = (0..COUNT).map(|_| cluster.propose_later(leader, payload.clone())).collect();
    let mut most = (0, Instant::now());
    let backlog = wait("the backlog to stop growing", || {
        let backlog = cluster.handle(slow).apply_backlog();
        if backlog > most.0 {
            most = (backlog, Instant::now());
        }
        (backlog > 1_000_000 && most.1.elapsed() > Duration::from_millis(500)).then_some(backlog)
    });
    // The limit, what was let in before it was reached (two frames of the longest kind, here 9 MB, counted in full), and
    // what shared a step with it.
    assert!(backlog < 20_000_000, "{backlog} bytes wait for a stuck applier");
    assert!(cluster.handle(slow).read_begin().is_some(), "lease traffic goes on");

    drop(stuck);
    for outcome in outcomes {
        let outcome = outcome.blocking_recv();
        assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
    }
    written.push(cluster.write(slow));
    cluster.converge(&written);
}
