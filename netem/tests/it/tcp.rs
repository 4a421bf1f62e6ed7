//! TCP through a relay: streams, half-closes, resets, cuts.
use super::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use trivet_netem::{Chance, Direction};

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(any_port()).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    (listener, address)
}

fn connect(entry: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(entry).expect("the relay accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    stream.set_nodelay(true).expect("a socket can do this");
    stream
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("the relay connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    stream.set_nodelay(true).expect("a socket can do this");
    stream
}

fn read_exactly(mut stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut buffer = vec![0; count];
    stream.read_exact(&mut buffer).expect("the bytes arrive");
    buffer
}

#[test]
fn a_connection_and_each_byte_take_their_time() {
    let (listener, address) = listener();
    let (_relay, entry) = relay(Transport::Tcp, LinkSettings::delayed(milliseconds(15)), address);
    let begun = Instant::now();
    let mut client = connect(entry);
    client.write_all(b"question").expect("the relay takes it");
    let mut target = accept(&listener);
    assert!(begun.elapsed() >= milliseconds(15), "the SYN was early: {:?}", begun.elapsed());
    assert_eq!(read_exactly(&target, 8), b"question");
    assert!(begun.elapsed() >= milliseconds(45), "the first byte was early: {:?}", begun.elapsed());
    let answered = Instant::now();
    target.write_all(b"answer").expect("the relay takes it");
    assert_eq!(read_exactly(&client, 6), b"answer");
    assert!(answered.elapsed() >= milliseconds(15), "the answer was early: {:?}", answered.elapsed());
}

#[test]
fn a_half_close_travels_and_the_other_way_stays_open() {
    let (listener, address) = listener();
    let (relay, entry) = relay(Transport::Tcp, LinkSettings::delayed(milliseconds(5)), address);
    let mut client = connect(entry);
    client.write_all(b"all I have").expect("the relay takes it");
    client.shutdown(Shutdown::Write).expect("the stream is open");
    let mut target = accept(&listener);
    let mut heard = Vec::new();
    target.read_to_end(&mut heard).expect("the end arrives");
    assert_eq!(heard, b"all I have");
    target.write_all(b"thanks").expect("this way is open");
    drop(target);
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).expect("the other end arrives");
    assert_eq!(heard, b"thanks");
    eventually("the relay forgets the connection", || relay.control().routes()[0].flows == 0);
}

#[test]
fn megabytes_both_ways_arrive_as_sent() {
    let (listener, address) = listener();
    let settings = LinkSettings {
        jitter: milliseconds(3),
        reorder: true,
        loss: Chance::percent(0.01).expect("in range"),
        duplicate: Chance::percent(50.0).expect("in range"),
        ..LinkSettings::delayed(milliseconds(2))
    };
    let (_relay, entry) = relay(Transport::Tcp, settings, address);
    let bytes: Vec<u8> = (0..20_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let client = connect(entry);
    let target = accept(&listener);
    std::thread::scope(|scope| {
        for (mut writer, reader) in [(&client, &target), (&target, &client)] {
            let bytes = &bytes;
            scope.spawn(move || {
                writer.write_all(bytes).expect("the relay takes them");
            });
            scope
                .spawn(move || assert!(read_exactly(reader, bytes.len()) == *bytes, "the stream is not what was sent"));
        }
    });
}

#[test]
fn a_reader_that_waits_is_felt_by_the_writer() {
    let (listener, address) = listener();
    let (relay, entry) = relay(Transport::Tcp, LinkSettings::default(), address);
    let mut client = connect(entry);
    let _target = accept(&listener);
    client.set_nonblocking(true).expect("a socket can do this");
    let chunk = vec![0; 1 << 20];
    let mut sent = 0;
    let mut taken_at = Instant::now();
    // Full once nothing was taken for a while: the window and the kernel's buffers are bounded.
    while taken_at.elapsed() < milliseconds(300) {
        match client.write(&chunk) {
            Ok(count) => {
                sent += count;
                taken_at = Instant::now();
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(sent < 200 << 20, "nothing holds the writer back");
        std::thread::yield_now();
    }
    assert_eq!(relay.control().routes()[0].flows, 1);
}

#[test]
fn a_cut_holds_the_stream_and_healing_lets_it_flow_on() {
    let (listener, address) = listener();
    let (relay, entry) = relay(Transport::Tcp, LinkSettings::default(), address);
    let control = relay.control();
    let mut client = connect(entry);
    client.write_all(b"before").expect("the relay takes it");
    let mut target = accept(&listener);
    assert_eq!(read_exactly(&target, 6), b"before");

    control.cut("A-B", Direction::Both).expect("the link exists");
    client.write_all(b"during").expect("the kernel takes it");
    target.set_read_timeout(Some(milliseconds(100))).expect("the timeout is not zero");
    let heard = target.read(&mut [0; 10]);
    assert!(matches!(heard.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)));
    let late = connect(entry);

    control.heal("A-B", Direction::Both).expect("the link exists");
    target.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    assert_eq!(read_exactly(&target, 6), b"during");
    target.write_all(b"after").expect("the relay takes it");
    assert_eq!(read_exactly(&client, 5), b"after");
    let second = accept(&listener);
    drop(second);
    drop(late);
}

#[test]
fn a_route_may_reset_its_connections_on_a_cut() {
    let (listener, address) = listener();
    let mut config = config(Transport::Tcp, LinkSettings::default(), address);
    config.routes[0].on_cut = OnCut::Reset;
    let relay = Relay::open(&config).expect("loopback ports are free");
    let mut client = connect(relay.listen_address(0));
    client.write_all(b"x").expect("the relay takes it");
    let mut target = accept(&listener);
    assert_eq!(read_exactly(&target, 1), b"x");
    relay.control().cut("A-B", Direction::Forward).expect("the link exists");
    for stream in [&mut client, &mut target] {
        let heard = stream.read(&mut [0; 10]).map_err(|error| error.kind());
        assert_eq!(heard, Err(ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_reset_travels_and_a_refusal_too() {
    use socket2::SockRef;
    let (listener, address) = listener();
    let (relay, entry) = relay(Transport::Tcp, LinkSettings::delayed(milliseconds(5)), address);
    let client = connect(entry);
    let mut target = accept(&listener);
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("a socket can do this");
    drop(client);
    let heard = target.read(&mut [0; 10]).map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::ConnectionReset));

    drop(listener);
    let begun = Instant::now();
    let mut client = connect(entry);
    let heard = client.read(&mut [0; 10]).map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::ConnectionReset));
    assert!(begun.elapsed() >= milliseconds(10), "the refusal was early: {:?}", begun.elapsed());
    eventually("the relay forgets both", || relay.control().routes()[0].flows == 0);
}

#[test]
fn many_connections_at_once() {
    let (listener, address) = listener();
    let (relay, entry) = relay(Transport::Tcp, LinkSettings::delayed(milliseconds(3)), address);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut answering = Vec::new();
            for _ in 0..50 {
                let mut target = accept(&listener);
                answering.push(scope.spawn(move || {
                    let heard = read_exactly(&target, 4);
                    target.write_all(&heard).expect("the relay takes it");
                }));
            }
        });
        for number in 0..50u32 {
            scope.spawn(move || {
                let mut client = connect(entry);
                client.write_all(&number.to_le_bytes()).expect("the relay takes it");
                assert_eq!(read_exactly(&client, 4), number.to_le_bytes());
            });
        }
    });
    eventually("the relay forgets them all", || relay.control().routes()[0].flows == 0);
}
