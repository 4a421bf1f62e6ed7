//! Certificates and the authority itself are replaced under load, without a restart and without a failed commit.
use crate::cluster::{A, B, Cluster, W};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use trivet_log::{ClusterId, Outcome};
use trivet_transport::certificates::make_ca;

#[test]
fn an_authority_is_replaced_under_load() {
    let mut cluster = Cluster::start();
    cluster.leader();
    cluster.write(A);
    cluster.write(B);
    let old = cluster.authority.clone();
    let new = make_ca(ClusterId(0xc0ffee)).expect("an authority");
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writers = [A, B].map(|place| {
            let (cluster, stop) = (&cluster, &stop);
            scope.spawn(move || {
                let mut written = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let payload = Bytes::from(format!("{place} under rotation {}", written.len()));
                    let outcome = cluster.propose_bytes(place, payload.clone());
                    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
                    written.push(payload);
                }
                written
            })
        });
        let steps = [(vec![&old, &new], &old), (vec![&old, &new], &new), (vec![&new], &new)];
        for (believed, signer) in steps {
            for place in [A, B, W] {
                cluster.certify_believing(place, signer, &believed);
                cluster.handle(place).reload_certificates().expect("usable");
            }
        }
        stop.store(true, Ordering::Relaxed);
        writers.map(|writer| writer.join().expect("no commit failed")).concat()
    });
    assert!(!written.is_empty());

    // What cannot be used is refused, and changes nothing.
    let other = make_ca(ClusterId(0xc0ffee)).expect("an authority");
    cluster.certify_believing(A, &other, &[&new]);
    let error = cluster.handle(A).reload_certificates().expect_err("nobody would believe it");
    assert!(error.contains("node.pem: the certificate is not signed by the authority in"), "{error}");
    cluster.certify_believing(A, &new, &[&new]);

    // New connections are made with what is new: the others believe nothing else.
    cluster.stop(B);
    cluster.up(B);
    let last = cluster.write(B);
    cluster.converge(&[written, vec![last]].concat());
}
