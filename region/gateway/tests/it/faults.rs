//! Known ways in which servers of this protocol break, each shown not to be here.
use crate::harness::{eventually, gateway};
use crate::wire::{Wire, bind, execute, message, parse, query, sync};
use std::sync::atomic::Ordering;

/// One Execute with the largest row count must not reserve that many rows.
#[tokio::test]
async fn an_absurd_row_count_costs_nothing() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    for max_rows in [i32::MAX, -1, i32::MIN] {
        let batch = [parse("", "rows 2"), bind("", ""), execute("", max_rows), sync()].concat();
        let answer = wire.ask(&batch).await;
        assert!(answer.contains("CommandComplete \"SELECT 2\""), "{max_rows}: {answer}");
    }
    gateway.serves().await;
}

/// G3: one Parse/Bind/Describe/Execute/Sync is answered in one piece.
#[tokio::test]
async fn one_batch_is_one_send() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    let describe = message(b'D', b"P\0");
    let batch = [parse("", "select 1"), bind("", ""), describe, execute("", 0), sync()].concat();
    let before = gateway.totals().sends;
    for round in 1..=10 {
        let answer = wire.ask(&batch).await;
        assert_eq!(answer.lines().count(), 6, "{answer}");
        assert_eq!(gateway.totals().sends - before, round, "sends");
    }
    // Flush, and an error that no Sync follows yet, do not wait.
    wire.send(&[parse("", "select 1"), message(b'H', b"")].concat()).await;
    wire.until(b'1').await;
    wire.send(&parse("", "selec 1")).await;
    wire.until(b'E').await;
    wire.ask(&sync()).await;
}

/// Rows leave while they are made, in both protocols, and a client that does not read stops the engine.
#[tokio::test]
async fn results_stream_and_wait_for_their_reader() {
    let gateway = gateway().await;
    let total: usize = 40_000;
    let sql = format!("rows {total} 1024");
    let extended = [parse("", &sql), bind("", ""), execute("", 0), sync()].concat();
    for bytes in [query(&sql), extended] {
        let mut wire = gateway.connect().await;
        gateway.seen.rows_written.store(0, Ordering::SeqCst);
        wire.send(&bytes).await;
        wire.until(b'D').await;
        // The system keeps some megabytes for a socket; what is made beyond that waits in the gateway.
        let mut read = 1;
        loop {
            let ahead = gateway.seen.rows_written.load(Ordering::SeqCst).saturating_sub(read);
            assert!(ahead < 24_000, "{ahead} rows of 1 kB were made before they were read");
            match wire.receive().await.expect("the rows go on").kind {
                b'D' => read += 1,
                b'Z' => break,
                _ => {}
            }
        }
        assert_eq!(read, total);
    }
}

#[tokio::test]
async fn output_that_was_seen_is_not_taken_back() {
    let gateway = gateway().await;
    let answer = gateway.connect().await.ask(&query("retry late")).await;
    assert!(answer.contains("ErrorResponse ERROR 40001 M=\"the client has seen rows already\""), "{answer}");
}

/// A cancel that comes while the output is full and nobody reads.
#[tokio::test]
async fn cancel_reaches_a_statement_that_waits_for_its_reader() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    wire.send(&query("rows 100000 1024")).await;
    wire.until(b'D').await;
    let mut canceller = Wire::open(gateway.address).await;
    let body = [&wire.process_id.to_be_bytes()[..], &wire.secret].concat();
    canceller.send(&crate::wire::packet(crate::wire::CANCEL_REQUEST, &body)).await;
    assert_eq!(canceller.receive().await, None);
    let rest = wire.until(b'E').await;
    assert_eq!(rest.last().and_then(|error| error.field(b'C')).as_deref(), Some("57014"));
    assert!(rest.len() < 100_000);
    wire.until(b'Z').await;
}

/// G4: the engine learns that nobody listens any more, though it reads nothing itself.
#[tokio::test]
async fn a_client_that_goes_ends_its_statement() {
    let gateway = gateway().await;
    for sql in ["wait", "spin"] {
        let before = gateway.seen.terminated.load(Ordering::SeqCst);
        gateway.seen.waiting.store(0, Ordering::SeqCst);
        let mut wire = gateway.connect().await;
        wire.send(&query(sql)).await;
        eventually("the engine is busy", || gateway.seen.waiting.load(Ordering::SeqCst) == 1).await;
        drop(wire);
        eventually("the session ended", || gateway.seen.terminated.load(Ordering::SeqCst) == before + 1).await;
        eventually("the connection is gone", || gateway.totals().open == 0).await;
    }
}

/// Read-ahead keeps what arrives while the engine is busy.
#[tokio::test]
async fn nothing_sent_during_a_statement_is_lost() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    let batch: Vec<u8> = (0..2000).flat_map(|number| query(&format!("select {number}"))).collect();
    wire.send(&query("limit 50")).await;
    wire.send(&batch).await;
    wire.until(b'Z').await;
    for number in 0..2000 {
        let answer = wire.until(b'Z').await;
        assert_eq!(answer[1].show(), format!("DataRow \"{number}\""));
    }
}

/// Read-ahead is bounded: a client that sends on while the engine is busy is made to wait.
#[tokio::test]
async fn input_does_not_pile_up() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    let (process_id, secret) = (wire.process_id, wire.secret.clone());
    let before = gateway.totals().bytes_in;
    wire.send(&query("wait")).await;
    let flood = async {
        let batch = query(&format!("select '{}'", "x".repeat(1000)));
        for _ in 0..20_000 {
            wire.send(&batch).await;
        }
    };
    let relieve = async {
        eventually("input was read ahead", || gateway.totals().bytes_in - before >= 64 * 1024).await;
        let read = gateway.totals().bytes_in - before;
        assert!(read < 256 * 1024, "{read} bytes were read ahead");
        let body = [&process_id.to_be_bytes()[..], &secret].concat();
        Wire::open(gateway.address).await.send(&crate::wire::packet(crate::wire::CANCEL_REQUEST, &body)).await;
    };
    let deadline = tokio::time::timeout(crate::wire::PATIENCE, async { tokio::join!(flood, relieve) });
    // The flood itself stops when nobody reads the answers; what matters is that the gateway stood still before.
    tokio::select! {
        _ = deadline => {}
        () = eventually("the statement was cancelled", || gateway.totals().cancels == 1) => {}
    }
}

/// Listening clients are told while they are idle, in the middle of half a message too.
#[tokio::test]
async fn notifications_reach_idle_clients() {
    let gateway = gateway().await;
    let (mut one, mut two) = (gateway.connect().await, gateway.connect().await);
    one.ask(&query("listen")).await;
    two.ask(&query("notify first")).await;
    assert_eq!(one.receive().await.expect("told").show(), "NotificationResponse 7 \"news\" \"first\"");
    let (head, tail) = (&query("select 1")[..3], &query("select 1")[3..]);
    one.send(head).await;
    two.ask(&query("notify second")).await;
    assert_eq!(one.receive().await.expect("told").show(), "NotificationResponse 7 \"news\" \"second\"");
    assert!(one.ask(tail).await.contains("DataRow \"1\""));
    two.ask(&query("notify end")).await;
    assert_eq!(crate::wire::show_all(&one.until_closed().await), "ErrorResponse FATAL 57P02 M=\"listening ended\"");
}

#[tokio::test]
async fn silence_has_its_limits() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    wire.ask(&query("idle in transaction 20")).await;
    wire.ask(&query("begin")).await;
    assert_eq!(
        crate::wire::show_all(&wire.until_closed().await),
        "ErrorResponse FATAL 25P03 M=\"terminating connection due to idle-in-transaction timeout\""
    );
    let mut wire = gateway.connect().await;
    wire.ask(&query("idle 20")).await;
    // Half a message is silence too.
    wire.send(&query("select 1")[..4]).await;
    assert_eq!(
        crate::wire::show_all(&wire.until_closed().await),
        "ErrorResponse FATAL 57P05 M=\"terminating connection due to idle-session timeout\""
    );
    // Outside a block the limit for blocks is not in force: one that began later ends first.
    let mut outside = gateway.connect().await;
    outside.ask(&query("idle in transaction 20")).await;
    let mut inside = gateway.connect().await;
    inside.ask(&query("idle in transaction 20")).await;
    inside.ask(&query("begin")).await;
    inside.until_closed().await;
    assert!(outside.ask(&query("select 1")).await.contains("DataRow"));
}

/// G6
#[tokio::test]
async fn a_panic_ends_its_own_connection() {
    let gateway = gateway().await;
    let mut bystander = gateway.connect().await;
    let words = "ErrorResponse FATAL XX000 M=\"the session failed on a broken invariant and was closed\"";
    for (number, sql) in ["panic", "panic in row"].into_iter().enumerate() {
        let mut wire = gateway.connect().await;
        assert_eq!(wire.last_words(&query(sql)).await, words);
        assert_eq!(gateway.totals().panics, number as u64 + 1);
    }
    let mut wire = Wire::open(gateway.address).await;
    let start = crate::wire::startup(crate::wire::PROTOCOL_3_0, &[("user", "ann"), ("database", "broken")]);
    assert_eq!(wire.last_words(&start).await, format!("Authentication ok\n{words}"));
    assert!(bystander.ask(&query("select 1")).await.contains("DataRow"));
    eventually("all but one are gone", || gateway.totals().open == 1).await;
    assert_eq!(gateway.seen.dropped.load(Ordering::SeqCst), 2, "broken sessions are dropped");
    assert_eq!(gateway.seen.terminated.load(Ordering::SeqCst), 0, "and not asked for anything");
}

/// COPY of many pieces, larger than any buffer.
#[tokio::test]
async fn a_large_copy_passes() {
    let gateway = gateway().await;
    let mut wire = gateway.connect().await;
    wire.send(&query("copy in")).await;
    wire.until(b'G').await;
    let line = [vec![b'x'; 99], vec![b'\n']].concat();
    let piece = message(b'd', &line.repeat(1000));
    for _ in 0..100 {
        wire.send(&piece).await;
    }
    let answer = wire.ask(&message(b'c', b"")).await;
    assert!(answer.contains("COPY 100000"), "{answer}");
    assert_eq!(gateway.seen.copied_bytes.load(Ordering::SeqCst), 10_000_000);
    wire.send(&query("copy out 50000")).await;
    let messages = wire.until(b'Z').await;
    assert_eq!(messages.iter().filter(|message| message.kind == b'd').count(), 50_000);
}
