//! UDP through a relay: packets, trains, loss, cuts, dead targets.
use super::*;
use std::collections::HashSet;
use std::net::UdpSocket;
use trivet_netem::{Chance, Direction};

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(any_port()).expect("loopback has a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("a bound socket has an address")
}

/// A client whose peer is `entry`.
fn client_of(entry: SocketAddr) -> UdpSocket {
    let client = socket();
    client.connect(entry).expect("loopback connects");
    client
}

#[test]
fn a_packet_and_its_answer_each_take_the_delay() {
    let target = socket();
    let (_relay, entry) = relay(Transport::Udp, LinkSettings::delayed(milliseconds(25)), address(&target));
    let client = client_of(entry);
    let sent = Instant::now();
    client.send(b"question").expect("loopback sends");
    let mut buffer = [0; 100];
    let (count, from) = target.recv_from(&mut buffer).expect("the question arrives");
    assert!(sent.elapsed() >= milliseconds(25), "early: {:?}", sent.elapsed());
    assert_eq!(&buffer[..count], b"question");
    let answered = Instant::now();
    target.send_to(b"answer", from).expect("loopback sends");
    let count = client.recv(&mut buffer).expect("the answer arrives, from the address that was asked");
    assert!(answered.elapsed() >= milliseconds(25), "early: {:?}", answered.elapsed());
    assert_eq!(&buffer[..count], b"answer");
}

#[test]
fn each_client_hears_its_own_answers() {
    let target = socket();
    let (relay, entry) = relay(Transport::Udp, LinkSettings::default(), address(&target));
    let clients: Vec<UdpSocket> = (0..5).map(|_| client_of(entry)).collect();
    for (place, client) in clients.iter().enumerate() {
        client.send(&[place as u8]).expect("loopback sends");
    }
    let mut buffer = [0; 10];
    for _ in &clients {
        let (count, from) = target.recv_from(&mut buffer).expect("every question arrives");
        target.send_to(&buffer[..count], from).expect("loopback sends");
    }
    for (place, client) in clients.iter().enumerate() {
        assert_eq!(client.recv(&mut buffer).expect("every client is answered"), 1);
        assert_eq!(usize::from(buffer[0]), place);
    }
    assert_eq!(relay.control().routes()[0].flows, 5);
}

#[test]
fn packets_of_all_sizes_arrive_whole_and_in_order() {
    let target = socket();
    let settings = LinkSettings { jitter: milliseconds(2), ..LinkSettings::delayed(milliseconds(1)) };
    let (_relay, entry) = relay(Transport::Udp, settings, address(&target));
    let client = client_of(entry);
    let sizes = [0, 1, 7, 1_200, 1_200, 1_200, 1_452, 9_000, 60_000, 3];
    for (place, &size) in sizes.iter().enumerate() {
        client.send(&vec![place as u8; size]).expect("loopback sends");
    }
    let mut buffer = vec![0; 65_536];
    for (place, &size) in sizes.iter().enumerate() {
        let count = target.recv(&mut buffer).expect("every packet arrives");
        assert_eq!(count, size, "the length of packet {place}");
        assert!(buffer[..count].iter().all(|&byte| usize::from(byte) == place), "the bytes of packet {place}");
    }
}

#[test]
fn a_cut_is_a_black_hole_one_way_or_both_until_it_is_healed() {
    let target = socket();
    let (relay, entry) = relay(Transport::Udp, LinkSettings::default(), address(&target));
    let control = relay.control();
    let client = client_of(entry);
    let mut buffer = [0; 10];
    client.send(b"1").expect("loopback sends");
    let (_, flow) = target.recv_from(&mut buffer).expect("before the cut a packet arrives");

    control.cut("A-B", Direction::Forward).expect("the link exists");
    client.send(b"2").expect("loopback sends");
    eventually("the cut swallows a packet", || {
        control.show().expect("relays always show")[0].forward.dropped_by_cut == 1
    });
    target.send_to(b"3", flow).expect("loopback sends");
    client.recv(&mut buffer).expect("the other way is open");
    assert_eq!(buffer[0], b'3');

    control.cut("A-B", Direction::Backward).expect("the link exists");
    target.send_to(b"4", flow).expect("loopback sends");
    eventually("the cut swallows an answer", || {
        control.show().expect("relays always show")[0].backward.dropped_by_cut == 1
    });

    control.heal("A-B", Direction::Both).expect("the link exists");
    client.send(b"5").expect("loopback sends");
    target.recv_from(&mut buffer).expect("after the cut a packet arrives");
    assert_eq!(buffer[0], b'5', "what was sent into the cut is gone");
    target.send_to(b"6", flow).expect("loopback sends");
    client.recv(&mut buffer).expect("after the cut an answer arrives");
    assert_eq!(buffer[0], b'6');
    assert!(control.cut("A-X", Direction::Both).expect_err("no such link").to_string().contains("known: A-B"));
}

#[test]
fn loss_and_duplicates_are_counted_as_they_happen() {
    let target = socket();
    let settings = LinkSettings {
        loss: Chance::percent(30.0).expect("in range"),
        duplicate: Chance::percent(30.0).expect("in range"),
        ..LinkSettings::default()
    };
    let (relay, entry) = relay(Transport::Udp, settings, address(&target));
    let client = client_of(entry);
    let lane = || relay.control().show().expect("relays always show")[0].forward.clone();
    let mut buffer = [0; 10];
    let mut arrived = 0;
    let mut seen = HashSet::new();
    for number in 0..200u8 {
        client.send(&[number]).expect("loopback sends");
        eventually("the packet is seen", || lane().packets == u64::from(number) + 1);
        let lane = lane();
        let due = lane.packets - lane.dropped_by_loss + lane.duplicated;
        while arrived < due {
            target.recv(&mut buffer).expect("what is not lost arrives");
            seen.insert(buffer[0]);
            arrived += 1;
        }
    }
    let lane = lane();
    assert!((30..=90).contains(&lane.dropped_by_loss), "{lane:?}");
    assert!((15..=75).contains(&lane.duplicated), "{lane:?}");
    assert_eq!(seen.len() as u64, 200 - lane.dropped_by_loss);
    eventually("all deliveries are counted", || {
        relay.control().show().expect("relays always show")[0].forward.delivered == arrived
    });
}

#[test]
fn a_dead_target_is_a_black_hole_and_may_come_back() {
    let target = socket();
    let where_it_was = address(&target);
    let (relay, entry) = relay(Transport::Udp, LinkSettings::default(), where_it_was);
    drop(target);
    let client = client_of(entry);
    for sent in 1..=20 {
        client.send(b"anyone?").expect("loopback sends");
        eventually("the packet is taken", || {
            relay.control().show().expect("relays always show")[0].forward.packets == sent
        });
    }
    let target = UdpSocket::bind(where_it_was).expect("the port is free again");
    target.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    client.send(b"again").expect("loopback sends");
    let mut buffer = [0; 10];
    let count = target.recv(&mut buffer).expect("the target is reached again");
    assert_eq!(&buffer[..count], b"again");
}

#[test]
fn trains_keep_every_packet() {
    use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
    let target = socket();
    let (_relay, entry) = relay(Transport::Udp, LinkSettings::delayed(milliseconds(5)), address(&target));
    let client = socket();
    let state = UdpSocketState::new(UdpSockRef::from(&client)).expect("loopback offers what QUIC needs");
    let packets = 20.min(state.max_gso_segments());
    // The last is shorter, as a QUIC sender's is.
    let contents: Vec<u8> = (0..packets * 1_000 - 300).map(|at| (at / 1_000) as u8).collect();
    let transmit =
        Transmit { destination: entry, ecn: None, contents: &contents, segment_size: Some(1_000), src_ip: None };
    state.try_send(UdpSockRef::from(&client), &transmit).expect("loopback sends");
    let mut buffer = [0; 2_000];
    for number in 0..packets {
        let count = target.recv(&mut buffer).expect("every packet of the train arrives");
        assert_eq!(count, if number + 1 == packets { 700 } else { 1_000 });
        assert!(buffer[..count].iter().all(|&byte| usize::from(byte) == number));
    }
}

#[test]
fn probes_are_never_early() {
    use trivet_netem::Profile;
    use trivet_netem::probe::{Plan, measure};
    let profile = Profile::round_trip("test", milliseconds(10), milliseconds(1));
    let plan = Plan { probes: 200, interval: milliseconds(1), len: 100 };
    let measurements = measure(&profile, &plan).expect("loopback can be probed");
    assert_eq!(measurements.len(), 4, "two transports, two ways");
    for one in measurements {
        assert_eq!(one.asked, milliseconds(5));
        // The histogram keeps four digits.
        assert!(one.min + Duration::from_micros(1) >= one.asked, "early: {one:?}");
        assert_eq!((one.sent, one.arrived), (200, 200), "{one:?}");
    }
}
