//! Disks that fill up, fail, or forget.
use crate::cluster::{A, B, Cluster, W, wait};
use bytes::Bytes;
use std::time::Duration;
use trivet_files::{Fault, FaultKind, Operation};
use trivet_log::Outcome;
use trivet_node::Failure;

/// The node says so and ends, the other region takes over, and nothing acknowledged is lost.
#[test]
fn a_full_disk_ends_the_leader_and_loses_nothing() {
    let mut cluster = Cluster::new();
    let files = [A, B].map(|place| cluster.use_faulty_files(place));
    for place in [A, B, W] {
        cluster.up(place);
    }
    let leader = cluster.leader();
    let other = cluster.other(leader);
    let mut written: Vec<Bytes> = [leader, other].map(|place| cluster.write(place)).into();
    files[leader].set_room(0);
    // A segment is reserved ahead: fill it.
    let big = Bytes::from(vec![7; 1 << 20]);
    let failure = wait("the disk to be full", || {
        let outcome = cluster.propose_bytes(leader, big.clone());
        assert!(!matches!(outcome, Outcome::Rejected { .. }), "{outcome:?}");
        cluster.handle(leader).failure()
    });
    assert!(matches!(failure, Failure::DiskFull(_)), "{failure}");
    assert!(cluster.handle(leader).read_begin().is_none());
    assert_eq!(cluster.handle(leader).health().state, trivet_node::Serving::Failed);
    written.push(cluster.write(other));
    assert_eq!(cluster.leader(), other);

    cluster.stop(leader);
    files[leader].heal();
    cluster.up(leader);
    written.push(cluster.write(leader));
    cluster.converge(&written);
}

#[test]
fn a_failed_fsync_ends_the_node_at_once() {
    let mut cluster = Cluster::new();
    let files = cluster.use_faulty_files(A);
    for place in [A, B, W] {
        cluster.up(place);
    }
    cluster.leader();
    let written = cluster.write(A);
    files.inject(Fault { operation: Operation::Sync, nth: 1, times: 1, kind: FaultKind::Broken });
    let _ = cluster.propose_bytes(A, Bytes::from_static(b"in doubt"));
    let failure = cluster.handle(A).wait_failure(Duration::from_secs(20)).expect("a failure");
    assert!(matches!(failure, Failure::Disk(_)), "{failure}");
    assert_eq!(cluster.nodes[A].as_ref().expect("it ran").failures.lock().len(), 1);
    let later = cluster.write(B);
    cluster.kill(A);
    cluster.up(A);
    let last = cluster.write(A);
    cluster.converge(&[written, later, last]);
}

#[test]
fn a_panicking_machine_ends_the_node_with_a_dump() {
    let cluster = Cluster::start();
    let leader = cluster.leader();
    cluster.write(leader);
    let _ = cluster.propose_bytes(leader, Bytes::from_static(b"panic: now"));
    let failure = cluster.handle(leader).wait_failure(Duration::from_secs(20)).expect("a failure");
    let Failure::Bug { message, dump } = failure else { panic!("{failure}") };
    assert!(message.contains("told to panic"), "{message}");
    assert!(dump.contains("role: \"leader\"") && dump.contains("m:AppendAck"), "{dump}");
    cluster.write(cluster.other(leader));
}

/// Every node forgets what was not synced, all at once: what was acknowledged is there.
#[test]
fn what_was_acknowledged_survives_forgetful_disks() {
    let mut cluster = Cluster::new();
    for place in [A, B, W] {
        cluster.extra[place] = "[testing]\nvolatile_files = true\n".to_owned();
        cluster.up(place);
    }
    cluster.leader();
    let mut written: Vec<Bytes> = (0..20).map(|n| cluster.write(if n % 2 == 0 { A } else { B })).collect();
    for place in [A, B, W] {
        cluster.kill(place);
    }
    for place in [A, B, W] {
        cluster.up(place);
    }
    written.push(cluster.write(B));
    cluster.converge(&written);
}

/// The switch that must lose commits does: with nothing on disk, everything is gone after all were killed.
#[test]
fn without_fsync_commits_are_lost() {
    let mut cluster = Cluster::new();
    for place in [A, B, W] {
        cluster.extra[place] = "[testing]\nskip_fsync = true\n".to_owned();
        cluster.up(place);
    }
    cluster.leader();
    let written = cluster.write(A);
    for place in [A, B, W] {
        cluster.kill(place);
        cluster.stores[place] = Default::default();
    }
    for place in [A, B, W] {
        cluster.up(place);
    }
    let later = cluster.write(A);
    cluster.converge(&[later]);
    assert!(!cluster.stores[A].contains(&written) && !cluster.stores[B].contains(&written));
}
