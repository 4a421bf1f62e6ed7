//! What arrives, in which order, and what is dropped.
use crate::cluster::{ONE, TWO, pair, pair_with};
use bytes::Bytes;
use std::time::Instant;
use trivet_log::Class;
use trivet_transport::{Limits, Sent};

const CLASSES: [Class; 4] = [Class::Urgent, Class::Append, Class::Proposal, Class::Bulk];

#[test]
fn each_class_keeps_its_order_in_both_directions() {
    let (one, two) = pair();
    const EACH: u32 = 1000;
    for number in 0..EACH {
        for class in CLASSES {
            // Sizes from tiny to many packets, so that frames share packets and straddle them.
            let mut frame = number.to_be_bytes().to_vec();
            frame.resize(4 + (number as usize * 37) % 5000, class as u8);
            for (from, to) in [(&one, TWO), (&two, ONE)] {
                assert_eq!(from.transport.send(to, class, Bytes::from(frame.clone())), Sent::Queued);
            }
        }
    }
    for (node, sender) in [(&one, TWO), (&two, ONE)] {
        let frames = node.inbox.wait_frames(4 * EACH as usize);
        assert!(frames.iter().all(|(from, _, _)| *from == sender));
        for class in CLASSES {
            let numbers: Vec<u32> = frames
                .iter()
                .filter(|(_, other, _)| *other == class)
                .map(|(_, _, frame)| u32::from_be_bytes(frame[..4].try_into().expect("four bytes")))
                .collect();
            assert_eq!(numbers, (0..EACH).collect::<Vec<_>>(), "{class:?}");
        }
    }
}

#[test]
fn urgent_overtakes_fifty_megabytes_of_bulk() {
    let (one, two) = pair();
    const MEGABYTE: usize = 1 << 20;
    let bulk = crate::noise(MEGABYTE);
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(one.transport.send(TWO, Class::Bulk, bulk.clone()), Sent::Queued);
    }
    one.transport.send(TWO, Class::Urgent, Bytes::from_static(b"lease"));
    let bulk_before =
        two.inbox.wait("the urgent frame", |state| (state.count(Class::Urgent) == 1).then(|| state.count(Class::Bulk)));
    let urgent_after = began.elapsed();
    two.inbox.wait("all the bulk", |state| (state.count(Class::Bulk) == 50).then_some(()));
    let all_after = began.elapsed();
    assert!(
        bulk_before < 25,
        "{bulk_before} of 50 MB came before the urgent frame ({urgent_after:?} of {all_after:?})"
    );
}

#[test]
fn a_stuck_receiver_bounds_memory_and_stalls_nothing_urgent() {
    let limits = Limits { stream_window: 1 << 20, queue_append: 1 << 20, inbound_other: 1 << 20, ..Limits::default() };
    let (one, two) = pair_with(limits);
    two.inbox.look(|state| state.hoard = Some(Vec::new()));
    let frame = crate::noise(100 << 10);
    // Lane, stream window and inbound permits hold 3 MB, the send window some more; then frames are dropped.
    let mut queued = 0;
    let mut pause = 0;
    while pause < 200 {
        match one.transport.send(TWO, Class::Append, frame.clone()) {
            Sent::Queued => (queued, pause) = (queued + 1, 0),
            Sent::Full => {
                pause += 1;
                std::thread::yield_now();
                std::thread::park_timeout(std::time::Duration::from_millis(1));
            }
            other => panic!("{other:?}"),
        }
        assert!(queued < 200, "20 MB queued towards a node that takes nothing");
    }
    assert_eq!(one.transport.send(TWO, Class::Urgent, Bytes::from_static(b"lease")), Sent::Queued);
    two.inbox.wait("the urgent frame", |state| (state.count(Class::Urgent) == 1).then_some(()));
    // Once the receiver wakes up, everything that was queued arrives.
    two.inbox.look(|state| state.hoard = None);
    two.inbox.wait("all appends", |state| (state.count(Class::Append) == queued).then_some(()));
}

#[test]
fn frames_that_cannot_be_sent_say_so() {
    let (one, two) = pair_with(Limits { frame_max: 1000, ..Limits::default() });
    let table = [
        (TWO, 1000, Sent::Queued),
        (TWO, 1001, Sent::WrongSize),
        (TWO, 0, Sent::WrongSize),
        (trivet_log::NodeId(9), 1, Sent::NotConnected),
    ];
    for (to, size, sent) in table {
        assert_eq!(one.transport.send(to, Class::Urgent, Bytes::from(vec![1; size])), sent, "{size} bytes to {to:?}");
    }
    assert_eq!(two.inbox.wait_frames(1).len(), 1);
}

#[test]
fn a_panic_in_the_sink_is_told() {
    let (one, two) = pair();
    one.transport.send(TWO, Class::Append, Bytes::from_static(b"?"));
    let told = two.inbox.wait("the panic", |state| state.broken.pop());
    assert_eq!(told, "told to panic");
}
