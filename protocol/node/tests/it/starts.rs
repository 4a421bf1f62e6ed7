//! Starts that must not succeed, and strangers.
use crate::cluster::{A, B, Cluster, W, wait};
use bytes::Bytes;
use trivet_log::{ClusterId, Index};
use trivet_node::{Serving, StartError};
use trivet_transport::certificates::make_ca;

fn refusal(cluster: &mut Cluster, place: usize) -> String {
    match cluster.try_up(place) {
        Ok(()) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_data_of_another_node_is_refused() {
    let mut cluster = Cluster::start();
    cluster.leader();
    cluster.write(A);
    cluster.stop(A);
    cluster.stop(B);
    std::fs::rename(cluster.home(A).join("data"), cluster.home(A).join("kept")).expect("moved");
    std::fs::rename(cluster.home(B).join("data"), cluster.home(A).join("data")).expect("moved");
    let error = refusal(&mut cluster, A);
    assert!(error.contains("belongs to node 2") && error.contains("not to node 1"), "{error}");
}

#[test]
fn a_lost_disk_is_noticed() {
    let mut cluster = Cluster::start();
    cluster.leader();
    cluster.stop(W);
    std::fs::remove_dir_all(cluster.home(W).join("data")).expect("removed");
    let error = refusal(&mut cluster, W);
    assert!(error.contains("under a new id"), "{error}");
}

#[test]
fn a_data_directory_in_use_is_refused() {
    let mut cluster = Cluster::start();
    let error = refusal(&mut cluster, A);
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn a_state_ahead_of_its_log_is_refused() {
    let mut cluster = Cluster::start();
    cluster.leader();
    cluster.write(A);
    cluster.stop(A);
    *cluster.stores[A].applied.lock() = Index(1000);
    assert!(matches!(cluster.try_up(A), Err(StartError::Ahead { applied: Index(1000), .. })));
}

#[test]
fn a_certificate_of_another_node_is_refused() {
    let mut cluster = Cluster::new();
    for file in ["node.pem", "node.key"] {
        std::fs::copy(cluster.home(B).join(file), cluster.home(A).join(file)).expect("copied");
    }
    let error = refusal(&mut cluster, A);
    assert!(error.contains("does not name this node"), "{error}");
}

/// The others go on without it, it never has a say, and with the right certificate it is back.
#[test]
fn a_node_with_a_foreign_certificate_stays_outside() {
    let mut cluster = Cluster::new();
    let foreign = make_ca(ClusterId(0xc0ffee)).expect("an authority");
    cluster.certify(B, &foreign);
    for place in [A, B, W] {
        cluster.up(place);
    }
    assert_eq!(cluster.leader(), A);
    let mut written: Vec<Bytes> = (0..3).map(|_| cluster.write(A)).collect();
    assert!(cluster.handle(B).read_begin().is_none());
    assert_eq!(cluster.handle(B).health().state, Serving::NoLeader);
    assert_eq!(cluster.stores[B].applied(), Index(0));
    cluster.stop(B);
    cluster.certify(B, &cluster.authority);
    cluster.up(B);
    written.push(cluster.write(B));
    cluster.converge(&written);
    wait("health", || cluster.handle(B).health().serves().then_some(()));
}
