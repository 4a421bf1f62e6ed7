//! AS OF SYSTEM TIME.
use crate::server::{Server, describe};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Client;
use trivet_sql::index_builder;
use trivet_storage::MemoryStore;
use trivet_txn::{LocalLog, Options};

async fn server() -> Server {
    let options = Options { history: Duration::from_secs(3600), ..Options::default() };
    let store = Arc::new(MemoryStore::new());
    let (database, _) = LocalLog::open(store, index_builder(), Duration::ZERO, options).expect("a new store");
    Server::of(database, "local").await
}

/// A time that everything so far is before, and nothing to come is.
async fn moment(client: &Client) -> String {
    let now = "select clock_timestamp()::text, pg_sleep(0.00001)";
    client.query_one(now, &[]).await.expect("a time").get(0)
}

async fn int(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {}", describe(&error))).get(0)
}

async fn error(client: &Client, sql: &str) -> String {
    describe(&client.batch_execute(sql).await.expect_err(sql))
}

#[tokio::test]
async fn queries_and_blocks_read_the_past() {
    let server = server().await;
    let client = server.client().await;
    // Nothing is known of before the first record.
    client.batch_execute("create table first (a int)").await.expect("a table");
    let empty = moment(&client).await;
    client
        .batch_execute("create table t (a int primary key, b int8); insert into t values (1, 10), (2, 20)")
        .await
        .expect("a table");
    let then = moment(&client).await;
    client
        .batch_execute("update t set b = 11 where a = 1; delete from t where a = 2; alter table t rename b to c")
        .await
        .expect("changes");

    assert_eq!(int(&client, &format!("select sum(b)::int8 from t as of system time '{then}' where a > 0")).await, 30);
    assert_eq!(int(&client, &format!("select b from t where a = 1 as of system time timestamptz '{then}'")).await, 10);
    assert_eq!(int(&client, "select c from t as of system time '-0.000001s'").await, 11);
    assert_eq!(int(&client, "select c from t").await, 11, "the next statement reads what is now");
    let shown = error(&client, &format!("select 1 from t as of system time '{empty}'")).await;
    assert!(shown.starts_with("ERROR 42P01: relation \"t\" does not exist"), "{shown}");
    let shown = error(&client, "select 1 from t as of system time '2038-01-01'").await;
    assert_eq!(shown, "ERROR 22023: AS OF SYSTEM TIME: cannot specify timestamp in the future\n");
    let shown = error(&client, "select 1 from t as of system time '-1 day'").await;
    assert!(shown.starts_with("ERROR 22023: AS OF SYSTEM TIME: the time is too long ago\n  detail:"), "{shown}");

    client.batch_execute(&format!("begin as of system time '{then}'")).await.expect("a block of the past");
    assert_eq!(int(&client, "select count(*) from t").await, 2);
    assert_eq!(int(&client, "select b from t where a = 2").await, 20);
    let shown = error(&client, "insert into t values (3, 3)").await;
    assert_eq!(shown, "ERROR 25006: cannot execute INSERT in a read-only transaction\n");
    client
        .batch_execute(&format!("rollback; begin; set transaction as of system time '{then}'"))
        .await
        .expect("the same");
    assert_eq!(int(&client, "select count(*) from t").await, 2);
    client.batch_execute("commit; begin; select * from t").await.expect("a block");
    let shown = error(&client, &format!("set transaction as of system time '{then}'")).await;
    assert_eq!(shown, "ERROR 25001: AS OF SYSTEM TIME must be set before any query\n");
    client.batch_execute("rollback; begin").await.expect("a block");
    let shown = error(&client, &format!("select * from t as of system time '{then}'")).await;
    assert!(shown.starts_with("ERROR 0A000: AS OF SYSTEM TIME of one query in a transaction block"), "{shown}");
    client.batch_execute("rollback").await.expect("the end");
}

#[tokio::test]
async fn stale_reads_are_a_setting() {
    let server = Server::start().await;
    let client = server.client().await;
    let shown = |sql: &'static str| async { client.query_one(sql, &[]).await.expect(sql).get::<_, String>(0) };
    assert_eq!(shown("select current_setting('trivet.stale_reads')").await, "off");
    client
        .batch_execute("set trivet.stale_reads = on; create table t (n int8); insert into t values (4)")
        .await
        .expect("a lease");
    assert_eq!(shown("select current_setting('trivet.stale_reads')").await, "on");
    assert_eq!(int(&client, "select n from t").await, 4, "with a lease it changes nothing");
}
