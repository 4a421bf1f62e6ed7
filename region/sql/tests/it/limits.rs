//! Limits of time: statements that never wait end, too.
use crate::server::{Server, describe};

/// Statements that would go on for hours, each in its own way.
const ENDLESS: [&str; 12] = [
    "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b",
    "select count(*) from generate_series(1, 100000) a join generate_series(1, 100000) b on a + b < 0",
    "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where a * b < 0",
    "select count(*) from generate_series(1, 10000000000)",
    "select count(*) from (select generate_series(1, 10000000000)) s",
    "with recursive t(n) as (select 1 union all select n from t) select max(n) from t where n > 1",
    "with recursive t(n) as (select 1 union select (n + 1) % 1000000007 from t) select count(*) from t where n < 0",
    "select a from generate_series(1, 100000) a where not exists (select 1 from generate_series(1, 100000) b where b < a - 100000)",
    "select max(s) from (select sum(a) over (order by a rows between 50000 preceding and 50000 following exclude current row) s \
     from generate_series(1, 200000) a) t",
    "select pg_sleep(3600)",
    "select count(*) from (values (1)) v(x) join lateral (select * from generate_series(1, 10000000000) g where g < 0) s on true",
    "update t set n = (select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b)",
];

#[tokio::test]
async fn statement_timeout_ends_what_never_waits() {
    let server = Server::start().await;
    let client = server.client().await;
    client.batch_execute("create table t (n int8); insert into t values (1)").await.expect("a table");
    client.batch_execute("set statement_timeout = '30ms'").await.expect("a limit");
    for sql in ENDLESS {
        let error = client.batch_execute(sql).await.expect_err(sql);
        let shown = describe(&error);
        assert!(shown.starts_with("ERROR 57014: canceling statement due to statement timeout"), "{sql}: {shown}");
    }
    client
        .batch_execute("set statement_timeout = 0; select count(*) from generate_series(1, 10000)")
        .await
        .expect("it goes on");
}

#[tokio::test]
async fn an_idle_transaction_is_ended() {
    let server = Server::start().await;
    let client = server.client().await;
    client
        .batch_execute("create table t (n int8); set idle_in_transaction_session_timeout = '20ms'")
        .await
        .expect("a table");
    client.batch_execute("begin; insert into t values (1)").await.expect("a block");
    let other = server.client().await;
    while !client.is_closed() {
        tokio::task::yield_now().await;
    }
    // What it had locked and written is gone with it.
    let row = other.query_one("select count(*) from t", &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 0);
}
