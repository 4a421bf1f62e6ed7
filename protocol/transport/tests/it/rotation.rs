//! Certificates, and the authority itself, are replaced while frames pass.
use crate::cluster::{Node, ONE, Plan, TWO, authority, introduce};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use trivet_log::{Class, NodeId};
use trivet_transport::certificates::{
    Authority, Certificate, Validity, make_ca, make_node_certificate, make_node_certificate_valid,
};
use trivet_transport::inspect::{Day, Standing, inspect_pem};
use trivet_transport::{Identity, LinkEvent, Sent, TlsError};

fn identity(authorities: &[&Authority], certificate: &Certificate) -> Identity {
    let believed: String = authorities.iter().map(|authority| authority.certificate_pem.as_str()).collect();
    let Certificate { certificate_pem, key_pem } = certificate;
    Identity::from_pem(believed.as_bytes(), certificate_pem.as_bytes(), key_pem.as_bytes()).expect("PEM")
}

fn issued(authority: &Authority, node: NodeId) -> Certificate {
    make_node_certificate(authority, node).expect("signed")
}

/// How often `inbox` has seen the peer connect.
fn connections(node: &Node) -> u64 {
    node.transport.links().status()[0].connections_made
}

/// One frame after the other, each once the last has arrived.
fn flow(from: &Node, to: &Node, name: NodeId, stop: &AtomicBool) -> usize {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        if from.transport.send(name, Class::Append, Bytes::from_static(b"a frame")) == Sent::Queued {
            sent += 1;
            to.inbox.wait("the frame", |state| (state.count(Class::Append) >= sent).then_some(()));
        }
    }
    sent
}

#[test]
fn an_authority_is_replaced_in_three_steps_and_no_frame_is_lost() {
    let (old, new) = (authority(), make_ca(crate::cluster::CLUSTER).expect("an authority"));
    let one = Plan::new(&old, ONE, TWO).start();
    let two = Plan::new(&old, TWO, ONE).start();
    introduce(&one, &two);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flows = [scope.spawn(|| flow(&one, &two, TWO, &stop)), scope.spawn(|| flow(&two, &one, ONE, &stop))];
        let rotations = [one.transport.rotation(), two.transport.rotation()];
        let steps: [(&[&Authority], &Authority); 3] = [(&[&old, &new], &old), (&[&old, &new], &new), (&[&new], &new)];
        for (believed, signer) in steps {
            for (rotation, me) in rotations.iter().zip([ONE, TWO]) {
                rotation.replace(&identity(believed, &issued(signer, me))).expect("usable");
            }
            for node in [&one, &two] {
                let count = node.inbox.wait("a count", |state| Some(state.count(Class::Append)));
                node.inbox.wait("the next frame", |state| (state.count(Class::Append) > count).then_some(()));
            }
        }
        stop.store(true, Ordering::Relaxed);
        for flow in flows {
            assert!(flow.join().expect("frames pass") > 0);
        }
    });
    // The connections that stood went on.
    assert_eq!((connections(&one), connections(&two)), (1, 1));

    // A new connection uses what is new: the other side believes nothing else any more.
    let (address, peer_address) = (two.transport.local_address(), one.address());
    two.transport.stop();
    one.inbox.wait_event(LinkEvent::Disconnected(TWO), 1);
    let mut plan = Plan::new(&new, TWO, ONE);
    (plan.listen, plan.peer_address) = (address, peer_address);
    let two = plan.start();
    one.inbox.wait_event(LinkEvent::Connected(TWO), 2);
    two.inbox.wait_event(LinkEvent::Connected(ONE), 1);
}

#[test]
fn what_peers_would_refuse_is_refused_here() {
    let (authority, another) = (authority(), make_ca(crate::cluster::CLUSTER).expect("an authority"));
    let one = Plan::new(&authority, ONE, TWO).start();
    let two = Plan::new(&authority, TWO, ONE).start();
    let rotation = one.transport.rotation();
    let expired = make_node_certificate_valid(&authority, ONE, Validity::Days(0)).expect("signed");
    let mixed = Certificate { key_pem: issued(&authority, ONE).key_pem, ..issued(&authority, ONE) };
    // It is valid to the second it was made in.
    let facts = inspect_pem(expired.certificate_pem.as_bytes()).expect("it reads").remove(0);
    while facts.standing(Day::now()) != Standing::Expired {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    let table = [
        ("another authority", issued(&another, ONE), "is not signed by the authority in"),
        ("another node", issued(&authority, TWO), "does not name this node"),
        ("expired", expired, "the certificate expired at"),
        ("another key", mixed, "cannot be used with the key"),
    ];
    for (what, certificate, message) in table {
        let error: TlsError = rotation.replace(&identity(&[&authority], &certificate)).expect_err(what);
        assert!(error.to_string().contains(message), "{what}: {error}");
    }
    // What was in use is in use.
    introduce(&one, &two);
}
