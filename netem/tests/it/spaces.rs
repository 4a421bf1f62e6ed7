//! Places with networks of their own, under every backend that has them and works here. They need root: elsewhere each
//! test says why it is skipped.
use super::*;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use trivet_netem::{
    BackendKind, Chance, Direction, EntryConfig, LinkStatus, Network, PlaceConfig, try_out, within_path,
};

const DELAY: Duration = Duration::from_millis(20);

/// For each backend that works here.
fn for_each_backend(test: &str, run: impl Fn(BackendKind)) {
    for kind in BackendKind::ALL.into_iter().filter(|kind| kind.has_places()) {
        match try_out(kind) {
            Ok(()) => run(kind),
            Err(why) => eprintln!("{test} is skipped for {kind}: {why}"),
        }
    }
}

fn config(backend: BackendKind, entries: Vec<EntryConfig>) -> Config {
    let place = |name: &str, last| PlaceConfig { name: name.into(), address: Ipv4Addr::new(10, 83, 0, last) };
    let link = |name: &str| {
        let settings = LinkSettings::delayed(DELAY);
        LinkConfig { name: name.into(), forward: settings.clone(), backward: settings }
    };
    Config {
        backend,
        places: vec![place("A", 1), place("B", 2), place("W", 3)],
        links: vec![link("A-B"), link("A-W"), link("B-W")],
        entries,
        ..Config::default()
    }
}

fn open(config: &Config) -> Network {
    Network::open(config).expect("the backend works here")
}

/// The namespace and the address of a place.
fn place(network: &Network, name: &str) -> (PathBuf, Ipv4Addr) {
    let places = network.control().places();
    let found = places.into_iter().find(|place| place.name == name).expect("a place");
    (found.namespace, found.address)
}

fn udp(network: &Network, name: &str) -> UdpSocket {
    let (namespace, address) = place(network, name);
    let socket = within_path(&namespace, || UdpSocket::bind((address, 0))).expect("a port is free inside");
    socket.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("a bound socket has an address")
}

fn link(network: &Network, name: &str) -> LinkStatus {
    let links = network.control().show().expect("the links can be seen");
    links.into_iter().find(|link| link.name == name).expect("a link")
}

#[test]
fn datagrams_and_streams_take_the_delay() {
    for_each_backend("datagrams_and_streams_take_the_delay", |kind| {
        let network = open(&config(kind, Vec::new()));
        let (near, far) = (udp(&network, "A"), udp(&network, "B"));
        let sent = Instant::now();
        near.send_to(b"x", address(&far)).expect("it is sent");
        let (_, from) = far.recv_from(&mut [0; 10]).expect("it arrives");
        assert!(sent.elapsed() >= DELAY, "{kind}: early: {:?}", sent.elapsed());
        assert_eq!(from, address(&near), "addresses are the places' own");

        let (namespace, at) = place(&network, "W");
        let listener = within_path(&namespace, || TcpListener::bind((at, 0))).expect("a port is free inside");
        let target = listener.local_addr().expect("bound");
        let begun = Instant::now();
        let (namespace, _) = place(&network, "B");
        let mut stream = within_path(&namespace, || TcpStream::connect(target)).expect("W is reached");
        assert!(begun.elapsed() >= 2 * DELAY, "{kind}: the handshake was early: {:?}", begun.elapsed());
        let (mut accepted, _) = listener.accept().expect("a connection");
        let bytes: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stream.write_all(&bytes).expect("W reads");
                drop(stream);
            });
            let mut received = Vec::new();
            accepted.read_to_end(&mut received).expect("B sends");
            assert!(received == bytes, "{kind}: what arrives is what was sent");
        });
        assert!(link(&network, "B-W").forward.packets > 200, "{kind}: packets are counted");
        assert_eq!(link(&network, "A-W").forward.packets, 0, "{kind}: nothing else is");
    });
}

#[test]
fn a_cut_holds_one_way_and_is_counted_until_it_is_healed() {
    for_each_backend("a_cut_holds_one_way_and_is_counted_until_it_is_healed", |kind| {
        let network = open(&config(kind, Vec::new()));
        let control = network.control();
        let (near, far) = (udp(&network, "A"), udp(&network, "B"));
        let mut buffer = [0; 10];
        control.cut("A-B", Direction::Forward).expect("a link");
        near.send_to(b"1", address(&far)).expect("it is sent");
        eventually("the cut swallows a packet", || link(&network, "A-B").forward.dropped_by_cut == 1);
        far.send_to(b"2", address(&near)).expect("it is sent");
        near.recv(&mut buffer).expect("the other way is open");
        assert_eq!(buffer[0], b'2');
        assert!(link(&network, "A-B").forward.settings.cut && !link(&network, "A-B").backward.settings.cut);
        control.heal("A-B", Direction::Both).expect("a link");
        near.send_to(b"3", address(&far)).expect("it is sent");
        far.recv(&mut buffer).expect("the link is healed");
        assert_eq!(buffer[0], b'3', "{kind}: what was sent into the cut is gone");

        let more = trivet_netem::Change::Delay(3 * DELAY);
        control.change("A-B", Direction::Backward, more).expect("a link");
        let sent = Instant::now();
        far.send_to(b"4", address(&near)).expect("it is sent");
        near.recv(&mut buffer).expect("it arrives");
        assert!(sent.elapsed() >= 3 * DELAY, "{kind}: early: {:?}", sent.elapsed());

        let loss = trivet_netem::Change::Loss(Chance::percent(50.0).expect("in range"));
        control.change("A-B", Direction::Forward, loss).expect("a link");
        for _ in 0..200 {
            near.send_to(b"5", address(&far)).expect("it is sent");
        }
        eventually("all are delivered or lost", || {
            let lane = link(&network, "A-B").forward;
            lane.delivered - 1 + lane.dropped_by_loss == 200
        });
        let lost = link(&network, "A-B").forward.dropped_by_loss;
        assert!((60..=140).contains(&lost), "{kind}: {lost} of 200");
        control.change("A-B", Direction::Both, trivet_netem::Change::Restore).expect("a link");
        assert_eq!(link(&network, "A-B").backward.settings, LinkSettings::delayed(DELAY));
        let unknown = control.cut("A-X", Direction::Both).expect_err("no such link").to_string();
        assert!(unknown.contains("known: A-B, A-W, B-W"), "{unknown}");
    });
}

#[test]
fn the_host_and_other_places_get_in_by_entries() {
    for_each_backend("the_host_and_other_places_get_in_by_entries", |kind| {
        let holder = TcpListener::bind(any_port()).expect("loopback has a free port");
        let port = holder.local_addr().expect("bound").port();
        drop(holder);
        let local: SocketAddr = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into();
        let inside: SocketAddr = SocketAddrV4::new(Ipv4Addr::new(10, 83, 0, 2), port).into();
        let entry = |listen, inside| EntryConfig { place: "B".into(), listen, inside, target: local };
        let network = open(&config(kind, vec![entry(local, false), entry(inside, true)]));
        let (namespace, _) = place(&network, "B");
        // The same port again: another loopback device.
        let listener = within_path(&namespace, || TcpListener::bind(local)).expect("B's loopback is its own");
        let answer = |mut stream: TcpStream| {
            stream.write_all(b"hello").expect("the entry reads");
            let (mut accepted, _) = listener.accept().expect("handed on");
            let mut buffer = [0; 5];
            accepted.read_exact(&mut buffer).expect("bytes follow");
            assert_eq!(&buffer, b"hello");
            accepted.write_all(b"HELLO").expect("the entry reads");
            stream.read_exact(&mut buffer).expect("bytes come back");
            assert_eq!(&buffer, b"HELLO");
        };
        answer(TcpStream::connect(local).expect("the host gets in"));
        let (from_a, _) = place(&network, "A");
        let begun = Instant::now();
        answer(within_path(&from_a, || TcpStream::connect(inside)).expect("A gets in"));
        // There and back for the handshake, and again for the words.
        assert!(begun.elapsed() >= 4 * DELAY, "{kind}: A's client crosses the link: {:?}", begun.elapsed());
        let nobody = within_path(&from_a, || TcpStream::connect_timeout(&local, PATIENCE));
        assert!(nobody.is_err(), "{kind}: A's loopback is not B's, nor the host's");
    });
}

fn devices_of_the_host() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .expect("sysfs is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Also with two networks at once, and when the daemon is killed: everything is the kernel's to end.
#[test]
fn nothing_is_made_outside_and_nothing_is_left() {
    for_each_backend("nothing_is_made_outside_and_nothing_is_left", |kind| {
        let before = devices_of_the_host();
        let config = config(kind, Vec::new());
        let one = open(&config);
        let two = open(&config);
        let (near, far) = (udp(&two, "A"), udp(&two, "W"));
        near.send_to(b"x", address(&far)).expect("it is sent");
        far.recv(&mut [0; 10]).expect("each has its own");
        assert_eq!(link(&one, "A-W").forward.packets, 0);
        assert_eq!(devices_of_the_host(), before, "{kind}");
        drop((one, two));

        let folder = tempfile::tempdir().expect("there is room for a file");
        let path = folder.path().join("netem.toml");
        std::fs::write(&path, config.to_toml()).expect("there is room for a file");
        for _ in 0..2 {
            let mut daemon = Command::new(env!("CARGO_BIN_EXE_trivet-netem"))
                .args(["serve", "--control", "127.0.0.1:0", "--config"])
                .arg(&path)
                .stdout(Stdio::piped())
                .spawn()
                .expect("the binary was built with this test");
            let mut said = [0; 8];
            daemon.stdout.take().expect("piped").read_exact(&mut said).expect("it says where it listens");
            assert_eq!(&said, b"control ");
            daemon.kill().expect("it runs");
            daemon.wait().expect("it is ours");
        }
        assert_eq!(devices_of_the_host(), before, "{kind}");
    });
}
