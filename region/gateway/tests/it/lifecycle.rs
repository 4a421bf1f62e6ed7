//! Limits, listening, stopping.
use crate::harness::{eventually, gateway, gateway_with};
use crate::wire::{CANCEL_REQUEST, PROTOCOL_3_0, SSL_REQUEST, Wire, packet, parse, query, show_all, startup};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use trivet_gateway::{BoundAddress, Drained, GatewayConfig, ListenAddress, ShutdownMode, Trust};

const ADMIN: &str = "ErrorResponse FATAL 57P01 M=\"terminating connection due to administrator command\"";

#[tokio::test]
async fn a_full_server_says_so_and_can_be_relieved() {
    let config = GatewayConfig { connections_max: 2, ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    let (mut one, two) = (gateway.connect().await, gateway.connect().await);
    let mut three = Wire::open(gateway.address).await;
    assert_eq!(
        three.last_words(&startup(PROTOCOL_3_0, &[("user", "ann")])).await,
        "ErrorResponse FATAL 53300 M=\"sorry, too many clients already\""
    );
    assert_eq!(gateway.totals().refused, 1);
    // A cancel request needs no slot.
    one.send(&query("wait")).await;
    eventually("the engine waits", || gateway.seen.waiting.load(Ordering::SeqCst) == 1).await;
    let body = [&one.process_id.to_be_bytes()[..], &one.secret].concat();
    Wire::open(gateway.address).await.send(&packet(CANCEL_REQUEST, &body)).await;
    one.until(b'Z').await;
    drop(two);
    eventually("a slot is free", || gateway.totals().open == 1).await;
    gateway.serves().await;
}

#[tokio::test]
async fn a_slow_start_is_cut_off() {
    let tls = Some(crate::harness::certificate().tls);
    let config = GatewayConfig { tls, startup_timeout: Duration::from_millis(50), ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    // In the middle of a TLS handshake, asked for or begun directly, it counts too.
    let mut shaking = Wire::open(gateway.address).await;
    shaking.send(&packet(SSL_REQUEST, b"")).await;
    assert_eq!(shaking.letter().await, Some(b'S'));
    assert_eq!(shaking.letter().await, None);
    let mut direct = Wire::open(gateway.address).await;
    direct.send(&[0x16, 3, 1]).await;
    assert_eq!(direct.letter().await, None);
    let mut silent = Wire::open(gateway.address).await;
    let mut slow = Wire::open(gateway.address).await;
    slow.send(&startup(PROTOCOL_3_0, &[("user", "ann")])[..11]).await;
    assert_eq!(silent.receive().await, None);
    assert_eq!(slow.receive().await, None);
    let mut patient = gateway.connect().await;
    let mut later = Wire::open(gateway.address).await;
    assert_eq!(later.receive().await, None);
    assert!(patient.ask(&query("select 1")).await.contains("DataRow"), "the limit ends with authentication");
}

#[tokio::test]
async fn it_listens_where_it_was_told() {
    let folder = std::env::temp_dir().join(format!("trivet-gateway-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the socket");
    let path = folder.join(".s.PGSQL.5432");
    // A file that a dead server left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket file"));
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = GatewayConfig {
        listen: vec![
            ListenAddress::Tcp(loopback),
            ListenAddress::Unix(path.clone()),
            ListenAddress::Tcp("[::1]:0".parse().expect("an address")),
        ],
        ..GatewayConfig::default()
    };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    for address in gateway.handle.addresses() {
        let mut wire = match address {
            BoundAddress::Tcp(address) => Wire::open(*address).await,
            BoundAddress::Unix(path) => Wire::over(UnixStream::connect(path).await.expect("it listens")),
        };
        wire.start(PROTOCOL_3_0).await;
        assert!(wire.ask(&query("select 1")).await.contains("DataRow"), "{address:?}");
    }
    let taken = GatewayConfig { listen: vec![ListenAddress::Unix(path.clone())], ..GatewayConfig::default() };
    let engine = Arc::new(crate::toy::Toy::default());
    let second = trivet_gateway::serve(taken, engine, Arc::new(Trust), Default::default()).await;
    assert!(second.is_err(), "a socket in use is not taken over");
    gateway.handle.shutdown(ShutdownMode::Fast).await;
    assert!(!path.exists(), "the socket file goes with its listener");
    std::fs::remove_dir_all(folder).expect("the folder goes too");
}

#[tokio::test]
async fn a_fast_shutdown_tells_everyone_and_ends() {
    let gateway = gateway().await;
    let mut idle = gateway.connect().await;
    let mut waiting = gateway.connect().await;
    waiting.send(&query("wait")).await;
    let mut spinning = gateway.connect().await;
    spinning.send(&query("spin")).await;
    let mut copying = gateway.connect().await;
    copying.send(&query("copy in")).await;
    copying.until(b'G').await;
    let mut unread = gateway.connect().await;
    unread.send(&query("rows 100000 1024")).await;
    unread.until(b'D').await;
    let starting = Wire::open(gateway.address).await;
    eventually("the engine is busy", || gateway.seen.waiting.load(Ordering::SeqCst) == 2).await;

    let shutdown = gateway.handle.shutdown(ShutdownMode::Fast);
    let clients = async {
        for wire in [&mut idle, &mut waiting, &mut spinning, &mut copying] {
            assert_eq!(show_all(&wire.until_closed().await), ADMIN);
        }
        assert_eq!(unread.until_closed().await.last().map(|message| message.show()).as_deref(), Some(ADMIN));
    };
    let (drained, ()) = tokio::join!(shutdown, clients);
    assert_eq!(drained, Drained { cut: 0 });
    assert_eq!(gateway.seen.terminated.load(Ordering::SeqCst), 5, "every session was ended in order");
    assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err(), "nobody listens");
    drop(starting);
}

#[tokio::test]
async fn a_smart_shutdown_waits_for_clients() {
    let gateway = gateway().await;
    let mut client = gateway.connect().await;
    let mut late = Wire::open(gateway.address).await;
    eventually("the late one was accepted", || gateway.totals().accepted == 2).await;
    let shutdown = gateway.handle.shutdown(ShutdownMode::Smart);
    let rest = async {
        let refused = late.last_words(&startup(PROTOCOL_3_0, &[("user", "ann")])).await;
        assert_eq!(refused, "ErrorResponse FATAL 57P03 M=\"the database system is shutting down\"");
        assert!(client.ask(&query("select 1")).await.contains("DataRow"));
        client.send(b"X\0\0\0\x04").await;
        assert_eq!(client.receive().await, None);
    };
    let (drained, ()) = tokio::join!(shutdown, rest);
    assert_eq!(drained, Drained { cut: 0 });
}

#[tokio::test]
async fn a_graceful_shutdown_lets_what_runs_end() {
    let gateway = gateway().await;
    let mut idle = gateway.connect().await;
    let mut in_block = gateway.connect().await;
    assert!(in_block.ask(&query("begin")).await.contains("CommandComplete"));
    let mut half_way = gateway.connect().await;
    half_way.send(&parse("", "select 1")).await;
    half_way.send(b"H\0\0\0\x04").await;
    half_way.until(b'1').await;
    let shutdown = gateway.handle.shutdown(ShutdownMode::Graceful(Duration::from_secs(60)));
    let clients = async {
        assert_eq!(show_all(&idle.until_closed().await), ADMIN, "who is at rest is told");
        assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err(), "nobody listens");
        assert!(in_block.ask(&query("select 1")).await.contains("DataRow"), "a transaction goes on");
        in_block.send(&query("commit")).await;
        let last = show_all(&in_block.until_closed().await);
        assert!(last.contains("CommandComplete") && last.ends_with(ADMIN), "{last}");
        half_way.send(b"S\0\0\0\x04").await;
        let last = show_all(&half_way.until_closed().await);
        assert!(last.contains("ReadyForQuery") && last.ends_with(ADMIN), "{last}");
    };
    let (drained, ()) = tokio::join!(shutdown, clients);
    assert_eq!(drained, Drained { cut: 0 });
}

#[tokio::test]
async fn a_graceful_shutdown_ends() {
    let gateway = gateway().await;
    let mut in_block = gateway.connect().await;
    assert!(in_block.ask(&query("begin")).await.contains("CommandComplete"));
    let shutdown = gateway.handle.shutdown(ShutdownMode::Graceful(Duration::from_millis(50)));
    let (drained, last) = tokio::join!(shutdown, in_block.until_closed());
    assert_eq!((drained, show_all(&last).as_str()), (Drained { cut: 0 }, ADMIN));
}

#[tokio::test]
async fn what_ignores_a_shutdown_is_cut() {
    let config = GatewayConfig { shutdown_grace: Duration::from_millis(50), ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    let mut wire = gateway.connect().await;
    wire.send(&query("stubborn")).await;
    eventually("the engine is busy", || gateway.seen.waiting.load(Ordering::SeqCst) == 1).await;
    assert_eq!(gateway.handle.shutdown(ShutdownMode::Fast).await, Drained { cut: 1 });
    assert_eq!(wire.receive().await, None);
    assert_eq!(gateway.seen.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_token_from_outside_stops_it_too() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    gateway.shutdown.cancel();
    assert_eq!(show_all(&wire.until_closed().await), ADMIN);
    assert_eq!(gateway.handle.shutdown(ShutdownMode::Smart).await, Drained { cut: 0 });
}

/// A client that sends without a pause gives its connection no idle moment.
#[tokio::test]
async fn a_flood_does_not_hold_up_a_shutdown() {
    let gateway = gateway().await;
    let stream = tokio::net::TcpStream::connect(gateway.address).await.expect("it listens");
    let (mut reader, mut writer) = stream.into_split();
    let flood = tokio::spawn(async move {
        let batch = query("select 1").repeat(500);
        let start = startup(PROTOCOL_3_0, &[("user", "ann")]);
        let mut sent = writer.write_all(&start).await;
        while sent.is_ok() {
            sent = writer.write_all(&batch).await;
        }
    });
    let drain = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    eventually("the flood runs", || gateway.totals().messages > 5000).await;
    let stopped = tokio::time::timeout(crate::wire::PATIENCE, gateway.handle.shutdown(ShutdownMode::Fast)).await;
    assert_eq!(stopped, Ok(Drained { cut: 0 }));
    flood.await.expect("the flood ends");
    let _ = drain.await.expect("the answers end");
}

/// A batch that was not finished by its Sync is not committed because the server stops.
#[tokio::test]
async fn an_open_batch_ends_without_its_sync() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    wire.send(&[crate::wire::parse("", "doom"), crate::wire::bind("", ""), crate::wire::execute("", 0)].concat()).await;
    wire.send(b"H\0\0\0\x04").await;
    wire.until(b'C').await;
    gateway.shutdown.cancel();
    assert_eq!(show_all(&wire.until_closed().await), ADMIN);
}

#[tokio::test]
async fn totals_count() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    let before = gateway.totals();
    wire.ask(&query("select 1")).await;
    wire.ask(&query("error 22012 division by zero")).await;
    let after = gateway.totals();
    assert_eq!(after.open, 1);
    assert_eq!(after.messages - before.messages, 2);
    assert_eq!(after.errors - before.errors, 1);
    assert_eq!(
        after.bytes_in - before.bytes_in,
        (query("select 1").len() + query("error 22012 division by zero").len()) as u64
    );
    assert!(after.bytes_out > before.bytes_out && after.sends - before.sends == 2);
}
