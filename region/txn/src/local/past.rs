//! Readers of the past and of what is stale (T23).
use super::tests::*;
use super::*;
use crate::api::{Isolation, LockStrength, LockWait, WriteKind};
use std::sync::atomic::Ordering;
use trivet_types::sqlstate;

fn micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64
}

/// A time that everything so far is at or before, and nothing to come is.
fn moment() -> i64 {
    let now = micros();
    while micros() <= now + 1 {
        std::hint::spin_loop();
    }
    now + 1
}

fn keeping(history: Duration) -> Fixture {
    fixture(Duration::ZERO, Options { history, ..Options::default() })
}

async fn then(fixture: &Fixture, time: i64, key: &'static str) -> PgResult<Option<bytes::Bytes>> {
    let mut transaction = fixture.begin();
    transaction.read_as_of(time).await?;
    transaction.statement().await?;
    transaction.get(key.as_bytes()).await
}

use trivet_types::PgResult;

#[tokio::test]
async fn a_time_shows_what_was_committed_then() {
    let fixture = keeping(Duration::from_secs(3600));
    let before = moment();
    fixture.set("k", "one").await;
    let first = moment();
    fixture.set("k", "two").await;
    fixture.set("x", "there").await;
    let second = moment();
    for value in ["three", "four"] {
        fixture.time_passes(value).await;
    }
    assert_eq!(then(&fixture, first, "k").await.expect("kept"), Some(b("one")));
    assert_eq!(then(&fixture, first, "x").await.expect("kept"), None);
    assert_eq!(then(&fixture, second, "k").await.expect("kept"), Some(b("two")));
    // Nothing was committed since: an entry says that its time has come.
    let last = moment();
    assert_eq!(then(&fixture, last, "k").await.expect("now"), Some(b("four")));
    fixture.set("k", "five").await;
    assert_eq!(then(&fixture, last, "k").await.expect("it stays so"), Some(b("four")));
    let error = then(&fixture, before - 1_000_000, "k").await.expect_err("before the start");
    assert_eq!(
        (error.code, error.message.as_str()),
        (sqlstate::INVALID_PARAMETER_VALUE, "AS OF SYSTEM TIME: the time is too long ago")
    );
    let error = then(&fixture, micros() + 60_000_000, "k").await.expect_err("the future");
    assert_eq!(error.message, "AS OF SYSTEM TIME: cannot specify timestamp in the future");
    assert!(then(&fixture, -5, "k").await.is_err());
}

#[tokio::test]
async fn a_reader_of_the_past_holds_it_and_writes_nothing() {
    let fixture = keeping(Duration::from_secs(3600));
    fixture.set("k", "old").await;
    let first = moment();
    fixture.set("k", "new").await;
    let mut reader = fixture.begin();
    reader.read_as_of(first).await.expect("kept");
    fixture.database.state().history.keep_for(Duration::ZERO);
    for value in ["newer", "newest"] {
        fixture.time_passes(value).await;
    }
    reader.statement().await.expect("the past needs no lease");
    assert_eq!(reader.get(b"k").await.expect("held"), Some(b("old")));
    reader.statement().await.expect("and stays");
    assert_eq!(reader.get(b"k").await.expect("held"), Some(b("old")));
    let error = reader.lock(b"k", LockStrength::Share, LockWait::Wait).await.expect_err("it only reads");
    assert_eq!(error.code, sqlstate::READ_ONLY_SQL_TRANSACTION);
    reader.put(b("k"), b("mine"), WriteKind::NoKeyUpdate);
    assert_eq!(reader.commit().await.expect_err("it only reads").code, sqlstate::READ_ONLY_SQL_TRANSACTION);
    drop(reader);
    fixture.time_passes("latest").await;
    assert!(then(&fixture, first, "k").await.is_err(), "nobody kept it");
    let mut writer = fixture.begin();
    writer.lock(b"k", LockStrength::NoKeyUpdate, LockWait::Wait).await.expect("free");
    let error = writer.read_as_of(micros()).await.expect_err("it has locked");
    assert_eq!(error.code, sqlstate::ACTIVE_SQL_TRANSACTION);
}

#[tokio::test]
async fn without_a_lease_stale_answers_are_for_those_who_asked() {
    let fixture = keeping(Duration::ZERO);
    fixture.set("k", "old").await;
    fixture.log.without_lease.store(true, Ordering::SeqCst);
    let refused = fixture.begin().get(b"k").await.expect_err("no lease");
    assert_eq!(refused.code, sqlstate::CANNOT_CONNECT_NOW);
    let mut stale = fixture.begin();
    stale.allow_stale(true);
    stale.statement().await.expect("old answers will do");
    assert_eq!(stale.get(b"k").await.expect("applied"), Some(b("old")));
    assert_eq!(
        stale.lock(b"k", LockStrength::Update, LockWait::Wait).await.expect_err("it only reads").code,
        sqlstate::READ_ONLY_SQL_TRANSACTION
    );
    let mut repeatable = fixture.database.begin(Isolation::RepeatableRead, true);
    repeatable.allow_stale(true);
    repeatable.statement().await.expect("old answers will do");
    // The lease is back: READ COMMITTED goes on with what is new, the other keeps its snapshot.
    fixture.log.without_lease.store(false, Ordering::SeqCst);
    fixture.set("k", "new").await;
    assert_eq!(stale.get(b"k").await.expect("the statement goes on"), Some(b("old")));
    stale.statement().await.expect("a lease");
    assert_eq!(stale.get(b"k").await.expect("a lease"), Some(b("new")));
    stale.lock(b"k", LockStrength::Update, LockWait::Wait).await.expect("it is as any other now");
    repeatable.statement().await.expect("its snapshot");
    assert_eq!(repeatable.get(b"k").await.expect("its snapshot"), Some(b("old")));
    // With a lease nobody reads what is stale.
    let mut strong = fixture.begin();
    strong.allow_stale(true);
    assert_eq!(strong.get(b"k").await.expect("a lease"), Some(b("new")));
}
