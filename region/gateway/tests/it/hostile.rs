//! Clients that mean harm, or are broken: whatever they send, others are served.
use crate::harness::{Gateway, eventually, gateway, gateway_with};
use crate::wire::{
    PROTOCOL_3_0, PROTOCOL_3_2, SSL_REQUEST, Wire, bind, execute, message, packet, parse, query, startup, sync,
};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trivet_gateway::{Credential, GatewayConfig, Roles, Trust};

/// Send, close the sending side, read to the end without minding what comes.
async fn shout(gateway: &Gateway, bytes: &[u8]) -> usize {
    let Ok(mut stream) = TcpStream::connect(gateway.address).await else { return 0 };
    let conversation = async {
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer.len()
    };
    tokio::time::timeout(crate::wire::PATIENCE, conversation).await.expect("the server closes in time")
}

#[tokio::test]
async fn garbage_is_closed_on() {
    let gateway = gateway().await;
    let long = vec![0xffu8; 1 << 20];
    let samples: Vec<&[u8]> = vec![
        b"",
        b"\0",
        b"\0\0\0\0\0\0\0\0",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff\0\x03\0\0",
        b"\0\0\0\x08\x04\xd2\x16\x2e",
        b"\0\0\x27\x10\0\x03\0\0user\0",
        &long,
    ];
    for sample in samples {
        shout(&gateway, sample).await;
        gateway.serves().await;
    }
    assert_eq!(gateway.totals().panics, 0);
}

/// A length is a promise of bytes, not a reason to set memory aside.
#[tokio::test]
async fn a_promised_gigabyte_costs_what_arrives() {
    let gateway = gateway().await;
    let mut wires = Vec::new();
    for _ in 0..50 {
        let mut wire = gateway.connect().await;
        wire.send(b"Q\x3f\xff\xff\xfeselect").await;
        wires.push(wire);
    }
    gateway.serves().await;
    let resident = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: usize = resident.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    assert!(pages * 4096 < 1 << 30, "{pages} pages are resident");
    drop(wires);
    eventually("all are gone", || gateway.totals().open == 0).await;
}

#[tokio::test]
async fn messages_over_the_limit_are_refused_at_their_length() {
    let config = GatewayConfig { message_bytes_max: 1 << 20, ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    let fits = query(&format!("select '{}'", "x".repeat(1_000_000)));
    let mut wire = gateway.connect().await;
    assert!(wire.ask(&fits).await.contains("SELECT 1"));
    let answer = wire.last_words(b"Q\0\x20\0\0").await;
    assert_eq!(answer, "ErrorResponse FATAL 08P01 M=\"invalid message length\"");
}

/// One byte at a time is slow, not wrong.
#[tokio::test]
async fn a_dripping_client_is_served() {
    let gateway = gateway().await;
    let mut wire = Wire::open(gateway.address).await;
    let conversation = [
        startup(PROTOCOL_3_2, &[("user", "ann")]),
        query("select 1"),
        [parse("", "select 2"), bind("", ""), execute("", 0), sync()].concat(),
    ]
    .concat();
    for byte in conversation {
        wire.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    wire.until(b'Z').await;
    wire.until(b'Z').await;
    assert!(crate::wire::show_all(&wire.until(b'Z').await).contains("DataRow \"2\""));
}

/// Many half-open starts do not keep others out: those over the bound are just closed.
#[tokio::test]
async fn a_crowd_at_the_door_does_not_block_it() {
    let config =
        GatewayConfig { connections_max: 4, startup_timeout: Duration::from_millis(500), ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(gateway.address).await.expect("it listens");
        let _ = stream.write_all(b"\0\0\0").await;
        crowd.push(stream);
    }
    eventually("some were turned away", || gateway.totals().refused > 0).await;
    let turned_away = gateway.totals().refused;
    assert!(turned_away >= 200 - 72, "{turned_away}");
    // When the time of the others is up there is room again.
    let deadline = Instant::now() + crate::wire::PATIENCE;
    loop {
        let mut wire = Wire::open(gateway.address).await;
        wire.try_send(&startup(PROTOCOL_3_0, &[("user", "ann")])).await;
        if wire.receive().await.is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "the door stays blocked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn valid_conversations() -> Vec<Vec<u8>> {
    let start = startup(PROTOCOL_3_0, &[("user", "ann"), ("database", "toy"), ("application_name", "fuzz")]);
    let parameters = message(b'B', b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\0\x01\0\x01");
    let typed = message(b'P', b"s\0select $1, $2\0\0\x02\0\0\0\x17\0\0\0\x19");
    let conversations: Vec<Vec<Vec<u8>>> = vec![
        vec![query("select 1"), query("rows 20 20"), query("error 22012 x"), query("begin"), query("rollback")],
        vec![typed, message(b'D', b"Ss\0"), parameters, message(b'D', b"P\0"), execute("", 0), sync()],
        vec![parse("", "rows 50"), bind("c", ""), execute("c", 7), message(b'H', b""), execute("c", 7), sync()],
        vec![query("copy in"), message(b'd', b"1\n2\n"), message(b'c', b""), query("select 1")],
        vec![query("copy in"), message(b'f', b"no\0"), message(b'C', b"Ss\0"), sync()],
        vec![query("copy out 5"), query("retry"), query("notice x"), message(b'X', b"")],
    ];
    let scram = [
        startup(PROTOCOL_3_0, &[("user", "sam")]),
        message(b'p', b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd"),
        message(b'p', b"c=biws,r=abcd,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ];
    let opened = conversations.into_iter().map(|messages| [start.clone(), messages.concat()].concat());
    opened.chain([scram.concat(), [packet(SSL_REQUEST, b""), start.clone()].concat()]).collect()
}

fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..6) {
        if bytes.is_empty() {
            return;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..7) {
            0 => bytes[at] = random.next_u32() as u8,
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.next_u32() as u8),
            4 => {
                bytes.remove(at);
            }
            5 => {
                let end = (at + random.random_range(1..30)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                let value: u32 = [0, 1, 3, 4, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff][random.random_range(0..7)];
                let end = (at + 4).min(bytes.len());
                bytes.splice(at..end, value.to_be_bytes());
            }
        }
    }
}

/// Seeded changes to valid conversations, for a few seconds. `TRIVET_FUZZ_SEED` and `TRIVET_FUZZ_SECONDS` choose others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_conversations_break_nothing() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (first, seconds) = (number("TRIVET_FUZZ_SEED", 1), number("TRIVET_FUZZ_SECONDS", 3));
    let roles = Roles(HashMap::from([("ann".to_owned(), Credential::Trust)]));
    let gateway = gateway_with(GatewayConfig::default(), Arc::new(roles)).await;
    let mut good = gateway.connect().await;
    let valid = valid_conversations();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed = first;
    while Instant::now() < end {
        let batch = (0..16).map(|offset| {
            let mut random = StdRng::seed_from_u64(seed + offset);
            let mut bytes = valid[random.random_range(0..valid.len())].clone();
            mutate(&mut bytes, &mut random);
            (seed + offset, bytes)
        });
        let batch: Vec<(u64, Vec<u8>)> = batch.collect();
        futures::future::join_all(batch.iter().map(|(_, bytes)| shout(&gateway, bytes))).await;
        let panics = gateway.totals().panics;
        assert_eq!(panics, 0, "one of the seeds {seed}..{} made it panic", seed + 16);
        let answer = good.ask(&query("select 1")).await;
        assert!(answer.contains("DataRow \"1\""), "after seed {seed}: {answer}");
        seed += 16;
    }
    assert!(seed - first >= 64, "only {} conversations in {seconds} s", seed - first);
    eventually("only the good client is left", || gateway.totals().open == 1).await;
}
