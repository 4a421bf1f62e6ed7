//! Advisory locks between sessions, over the end of a session and of a boot.
use crate::server::{Server, describe};
use std::sync::Arc;
use tokio_postgres::Client;
use trivet_sql::{SqlEngine, index_builder};
use trivet_storage::MemoryStore;
use trivet_txn::local_database;

async fn yes(client: &Client, sql: &str) -> bool {
    client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {}", describe(&error))).get(0)
}

async fn code(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err("an error");
    error.code().expect("from the server").code().to_owned()
}

#[tokio::test]
async fn a_sessions_lock_outlives_transactions_and_ends_with_the_session() {
    let server = Server::start().await;
    let (one, two) = (server.client().await, server.client().await);
    one.batch_execute("begin; select pg_advisory_lock(7), pg_advisory_lock_shared(8); rollback").await.expect("locks");
    assert!(!yes(&two, "select pg_try_advisory_lock(7)").await);
    assert!(!yes(&two, "select pg_try_advisory_xact_lock(7)").await);
    assert!(!yes(&two, "select pg_try_advisory_lock_shared(7)").await);
    assert!(!yes(&two, "select pg_try_advisory_lock(8)").await);
    assert!(yes(&two, "select pg_try_advisory_lock_shared(8)").await);
    assert!(yes(&two, "select pg_try_advisory_lock(0, 7)").await, "a pair is not a number");
    assert!(yes(&one, "select pg_try_advisory_xact_lock(7)").await, "one's own does not hinder");
    assert_eq!(code(&two, "set lock_timeout = '20ms'; select pg_advisory_lock(7)").await, "55P03");
    assert_eq!(code(&two, "select pg_advisory_xact_lock(7)").await, "55P03");
    drop(one);
    two.batch_execute("set lock_timeout = '20s'; select pg_advisory_lock(7)").await.expect("the session is over");
    assert!(yes(&two, "select pg_advisory_unlock_shared(8)").await);
    assert!(yes(&two, "select pg_try_advisory_lock(8)").await);
}

#[tokio::test]
async fn locks_are_counted_and_given_back() {
    let server = Server::start().await;
    let (one, two) = (server.client().await, server.client().await);
    one.batch_execute("select pg_advisory_lock(1); select pg_advisory_lock(1); select pg_advisory_unlock(1)")
        .await
        .expect("two locks");
    assert!(!yes(&two, "select pg_try_advisory_lock(1)").await);
    assert!(yes(&one, "select pg_advisory_unlock(1)").await);
    assert!(!yes(&one, "select pg_advisory_unlock(1)").await);
    assert!(yes(&two, "select pg_try_advisory_lock(1)").await);
    one.batch_execute("select pg_advisory_lock(2); select pg_advisory_lock(3, 3)").await.expect("two locks");
    one.batch_execute("discard all").await.expect("no locks left");
    assert!(yes(&two, "select pg_try_advisory_lock(2) and pg_try_advisory_lock(3, 3)").await);
    two.batch_execute("select pg_advisory_unlock_all()").await.expect("no locks left");
    assert!(yes(&one, "select pg_try_advisory_lock(2) and pg_try_advisory_lock(1)").await);
}

#[tokio::test]
async fn a_sessions_lock_waits_for_a_transactions() {
    let server = Server::start().await;
    let (one, two) = (server.client().await, server.client().await);
    one.batch_execute("begin; select pg_advisory_xact_lock(5)").await.expect("a lock");
    assert!(!yes(&two, "select pg_try_advisory_lock(5)").await);
    assert_eq!(code(&one, "select pg_advisory_lock(5)").await, "0A000", "it would wait for itself");
    one.batch_execute("rollback").await.expect("the end");
    assert!(yes(&two, "select pg_try_advisory_lock(5)").await);
}

#[tokio::test]
async fn sessions_that_wait_for_each_other_are_told() {
    let server = Server::start().await;
    let (one, two) = (server.client().await, server.client().await);
    one.batch_execute("select pg_advisory_lock(1)").await.expect("a lock");
    two.batch_execute("select pg_advisory_lock(2)").await.expect("a lock");
    let (first, second) = tokio::join!(one.batch_execute("select pg_advisory_lock(2)"), async {
        let result = two.batch_execute("select pg_advisory_lock(1)").await;
        two.batch_execute("select pg_advisory_unlock_all()").await.expect("all given back");
        if result.is_ok() {
            one.batch_execute("select pg_advisory_unlock_all()").await.expect("all given back")
        }
        result
    });
    let codes: Vec<_> = [first, second].into_iter().filter_map(Result::err).filter_map(|e| e.code().cloned()).collect();
    assert_eq!(codes.iter().map(|code| code.code()).collect::<Vec<_>>(), ["40P01"], "one of the two");
}

#[tokio::test]
async fn what_an_earlier_boot_held_is_free() {
    let store = Arc::new(MemoryStore::new());
    {
        let server = Server::of(local_database(store.clone(), index_builder()), "local").await;
        let one = server.client().await;
        one.batch_execute("select pg_advisory_lock(1); select pg_advisory_lock_shared(2, 3)").await.expect("locks");
        // As if the process had ended: nobody gives them back.
        std::mem::forget(one);
        std::mem::forget(server);
    }
    let database = local_database(store, index_builder());
    let server = Server::of(Arc::clone(&database), "local").await;
    let two = server.client().await;
    assert!(yes(&two, "select pg_try_advisory_lock(1)").await, "a ticket of an earlier boot is nobody's");
    SqlEngine::new(database, "local").release_old_locks().await.expect("the region can write");
    assert!(!yes(&server.client().await, "select pg_try_advisory_lock(1)").await, "this boot's are kept");
    assert!(yes(&two, "select pg_try_advisory_lock(2, 3)").await);
}
