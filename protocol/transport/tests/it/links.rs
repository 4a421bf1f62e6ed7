//! Connections that come, go and come back.
use crate::cluster::{Node, ONE, Plan, TWO, authority, introduce, pair};
use crate::relay::Relay;
use bytes::Bytes;
use std::time::{Duration, Instant};
use trivet_log::Class;
use trivet_transport::{LinkEvent, Sent};

fn expect_delivery(from: &Node, to: &Node, text: &'static [u8]) {
    let peer = from.transport.links().status()[0].node;
    assert_eq!(from.transport.send(peer, Class::Append, Bytes::from_static(text)), Sent::Queued);
    to.inbox.wait("the frame", |state| state.frames.iter().any(|(_, _, frame)| frame == text).then_some(()));
}

#[test]
fn a_restarted_node_is_found_again() {
    let authority = authority();
    let one = Plan::new(&authority, ONE, TWO).start();
    let two = Plan::new(&authority, TWO, ONE).start();
    introduce(&one, &two);
    let (address, peer_address) = (two.transport.local_address(), one.address());
    two.transport.stop();
    one.inbox.wait_event(LinkEvent::Disconnected(TWO), 1);
    assert_eq!(one.transport.send(TWO, Class::Urgent, Bytes::from_static(b"lost")), Sent::NotConnected);

    let mut plan = Plan::new(&authority, TWO, ONE);
    plan.listen = address;
    plan.peer_address = peer_address;
    let two = plan.start();
    one.inbox.wait_event(LinkEvent::Connected(TWO), 2);
    two.inbox.wait_event(LinkEvent::Connected(ONE), 1);
    expect_delivery(&one, &two, b"1 speaks");
    expect_delivery(&two, &one, b"2 speaks");
    let links = one.transport.links().status();
    assert!(links[0].connected && links[0].connections_made == 2, "{links:?}");
}

#[test]
fn a_cut_heals_soon_whatever_its_length() {
    let authority = authority();
    let (one, two) = (Plan::new(&authority, ONE, TWO).start(), Plan::new(&authority, TWO, ONE).start());
    let relay = Relay::start(two.transport.local_address(), Duration::from_millis(20), 0);
    one.transport.set_peer_address(TWO, &relay.address.to_string());
    two.transport.set_peer_address(ONE, &one.address());
    one.inbox.wait_event(LinkEvent::Connected(TWO), 1);
    expect_delivery(&one, &two, b"1 before");

    relay.cut(true);
    // Full of data that cannot leave: the old connection alone would probe ever more rarely.
    one.transport.send(TWO, Class::Bulk, crate::noise(4 << 20));
    one.inbox.wait_event(LinkEvent::Disconnected(TWO), 1);
    relay.cut(false);
    let healed = Instant::now();
    one.inbox.wait_event(LinkEvent::Connected(TWO), 2);
    expect_delivery(&one, &two, b"1 after");
    // redial_after and two round trips are 280 ms; the rest is a busy machine's.
    assert!(healed.elapsed() < Duration::from_secs(3), "took {:?}", healed.elapsed());
}

#[test]
fn half_a_second_of_round_trip_is_no_fault() {
    let authority = authority();
    let (one, two) = (Plan::new(&authority, ONE, TWO).start(), Plan::new(&authority, TWO, ONE).start());
    let relay = Relay::start(two.transport.local_address(), Duration::from_millis(250), 0);
    one.transport.set_peer_address(TWO, &relay.address.to_string());
    one.inbox.wait_event(LinkEvent::Connected(TWO), 1);
    for _ in 0..6 {
        // Each takes half a second there and back; idle in between but for keep-alives.
        let count = two.inbox.look(|state| state.frames.len());
        one.transport.send(TWO, Class::Urgent, Bytes::from_static(b"beat"));
        two.inbox.wait("a beat", |state| (state.frames.len() > count).then_some(()));
    }
    let link = &one.transport.links().status()[0];
    assert_eq!(link.connections_made, 1, "the connection was given up on a slow link");
    assert!(link.rtt_nanos.is_some_and(|rtt| rtt >= 500_000_000), "{link:?}");
}

/// Small records on a link that loses one packet in fifty: the window must not collapse.
#[test]
fn random_loss_does_not_starve_small_records() {
    let authority = authority();
    let (one, two) = (Plan::new(&authority, ONE, TWO).start(), Plan::new(&authority, TWO, ONE).start());
    let relay = Relay::start(two.transport.local_address(), Duration::from_millis(10), 20_000);
    one.transport.set_peer_address(TWO, &relay.address.to_string());
    one.inbox.wait_event(LinkEvent::Connected(TWO), 1);
    let batch = crate::noise(30_000);
    let mut times = Vec::new();
    for round in 0..100 {
        let began = Instant::now();
        one.transport.send(TWO, Class::Append, batch.clone());
        two.inbox.wait("the batch", |state| (state.frames.len() > round).then_some(()));
        times.push(began.elapsed());
    }
    times.sort();
    // 25 packets at 2 % loss: 40 % of the batches lose one and need a round trip (20 ms) and a bit more.
    assert!(times[50] < Duration::from_millis(80), "median {:?}, worst {:?}", times[50], times[99]);
    assert!(one.transport.links().status()[0].congestion_window >= 64 << 10);
}

#[test]
fn stopping_is_quick_and_delivers_what_was_sent() {
    let (one, two) = pair();
    for class in [Class::Bulk, Class::Append, Class::Proposal, Class::Urgent] {
        assert_eq!(two.transport.send(ONE, class, crate::noise(100_000)), Sent::Queued);
    }
    let began = Instant::now();
    two.transport.stop();
    assert!(began.elapsed() < Duration::from_secs(2), "took {:?}", began.elapsed());
    assert_eq!(one.inbox.wait_frames(4).len(), 4);
    one.inbox.wait_event(LinkEvent::Disconnected(TWO), 1);
}
