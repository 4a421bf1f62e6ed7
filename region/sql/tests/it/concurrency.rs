//! Two sessions at once: row locks, re-evaluation, unique values, schema changes.
use crate::server::{Server, describe};
use std::time::Duration;
use tokio_postgres::Client;

async fn two_accounts(server: &Server) -> (Client, Client) {
    let (one, two) = (server.client().await, server.client().await);
    one.batch_execute("create table t (a int primary key, b int); insert into t values (1, 100), (2, 200)")
        .await
        .expect("DDL");
    (one, two)
}

async fn int(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.expect("one row").get(0)
}

/// Runs `sql` while another session holds what it needs; `meanwhile` lets go.
async fn blocked(
    waiter: Client,
    sql: &'static str,
    meanwhile: impl std::future::Future<Output = ()>,
) -> (Client, Result<u64, String>) {
    let task = tokio::spawn(async move {
        let result = waiter.execute(sql, &[]).await.map_err(|error| describe(&error));
        (waiter, result)
    });
    // The waiter's statement is on its way; whether it waits already changes nothing but what is tested.
    tokio::time::timeout(Duration::from_millis(50), futures::future::pending::<()>())
        .await
        .expect_err("nothing to wait for");
    assert!(!task.is_finished(), "the statement waits");
    meanwhile.await;
    tokio::time::timeout(Duration::from_secs(20), task).await.expect("the statement ends").expect("no panic")
}

#[tokio::test]
async fn an_update_waits_and_works_on_the_newest_version() {
    let server = Server::start().await;
    let (one, two) = two_accounts(&server).await;
    one.batch_execute("begin; update t set b = b + 1 where a = 1").await.expect("a lock");
    let (two, result) = blocked(two, "update t set b = b + 10 where a = 1", async {
        one.batch_execute("commit").await.expect("a commit");
    })
    .await;
    assert_eq!(result, Ok(1));
    assert_eq!(int(&two, "select b::int8 from t where a = 1").await, 111);
}

#[tokio::test]
async fn a_row_that_no_longer_matches_is_left_alone() {
    let server = Server::start().await;
    let (one, two) = two_accounts(&server).await;
    one.batch_execute("begin; update t set b = 0 where a = 1").await.expect("a lock");
    let (two, result) = blocked(two, "update t set b = -1 where b = 100", async {
        one.batch_execute("commit").await.expect("a commit");
    })
    .await;
    assert_eq!(result, Ok(0));
    one.batch_execute("begin; delete from t where a = 2").await.expect("a lock");
    let (two, result) = blocked(two, "update t set b = -1 where a = 2", async {
        one.batch_execute("commit").await.expect("a commit");
    })
    .await;
    assert_eq!(result, Ok(0));
    assert_eq!(int(&two, "select count(*) from t").await, 1);
}

#[tokio::test]
async fn a_unique_value_waits_for_who_inserts_it() {
    let server = Server::start().await;
    let (one, two) = two_accounts(&server).await;
    one.batch_execute("begin; insert into t values (3, 0)").await.expect("an insert");
    let (two, result) = blocked(two, "insert into t values (3, 1)", async {
        one.batch_execute("rollback").await.expect("a rollback");
    })
    .await;
    assert_eq!(result, Ok(1));
    one.batch_execute("begin; insert into t values (4, 0)").await.expect("an insert");
    let (_two, result) = blocked(two, "insert into t values (4, 1)", async {
        one.batch_execute("commit").await.expect("a commit");
    })
    .await;
    let error = result.expect_err("a duplicate");
    assert!(error.starts_with("ERROR 23505: duplicate key value violates unique constraint \"t_pkey\"\n  detail: Key (a)=(4) already exists."), "{error}");
}

#[tokio::test]
async fn nowait_and_skip_locked() {
    let server = Server::start().await;
    let (one, two) = two_accounts(&server).await;
    one.batch_execute("begin; select * from t where a = 1 for update").await.expect("a lock");
    let error = two.execute("select * from t where a = 1 for update nowait", &[]).await.expect_err("locked");
    assert_eq!(error.code().expect("from the server").code(), "55P03");
    let rows = two.query("select a from t order by a for update skip locked", &[]).await.expect("the others");
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [2]);
    // A reader does not wait, and key shares do not hinder updates of other columns.
    assert_eq!(int(&two, "select count(*) from t").await, 2);
    one.batch_execute("commit; begin; select * from t where a = 1 for key share").await.expect("a weaker lock");
    assert_eq!(two.execute("update t set b = 1 where a = 1", &[]).await.expect("no conflict"), 1);
    one.batch_execute("commit").await.expect("a commit");
}

#[tokio::test]
async fn repeatable_read_keeps_its_snapshot_and_refuses_to_lose_updates() {
    let server = Server::start().await;
    let (one, two) = two_accounts(&server).await;
    one.batch_execute("begin isolation level repeatable read; select * from t").await.expect("a snapshot");
    two.batch_execute("update t set b = 500 where a = 1; insert into t values (9, 9)").await.expect("changes");
    assert_eq!(int(&one, "select sum(b)::int8 from t").await, 300);
    let error = one.batch_execute("update t set b = b + 1 where a = 1").await.expect_err("a lost update");
    assert_eq!(error.code().expect("from the server").code(), "40001");
    one.batch_execute("rollback").await.expect("a rollback");
    assert_eq!(int(&one, "select sum(b)::int8 from t").await, 709);
}

#[tokio::test]
async fn a_deadlock_is_found() {
    let server = Server::start().await;
    let (one, two) = two_accounts(&server).await;
    one.batch_execute("begin; update t set b = 1 where a = 1").await.expect("a lock");
    two.batch_execute("begin; update t set b = 2 where a = 2").await.expect("a lock");
    let (first, second) = tokio::join!(
        one.batch_execute("update t set b = 1 where a = 2; commit"),
        two.batch_execute("update t set b = 2 where a = 1; commit"),
    );
    let failed: Vec<_> = [first, second].into_iter().filter_map(Result::err).collect();
    assert_eq!(failed.len(), 1, "one of the two goes on");
    assert_eq!(failed[0].code().expect("from the server").code(), "40P01");
}

/// The sum stays whatever the sessions do; none of them ever sees another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_keep_the_sum() {
    let server = Server::start().await;
    let client = server.client().await;
    client.batch_execute("create table t (a int primary key, b int)").await.expect("DDL");
    client.batch_execute("insert into t select g, 100 from generate_series(1, 10) g").await.expect("rows");
    let mut tasks = Vec::new();
    for worker in 0..4i32 {
        let client = server.client().await;
        tasks.push(tokio::spawn(async move {
            for round in 0..50i32 {
                let (from, to) = ((worker * 7 + round * 3) % 10 + 1, (worker + round * 7) % 10 + 1);
                let (low, high) = (from.min(to), from.max(to));
                let sql = format!(
                    "begin; update t set b = b - 1 where a = {low}; update t set b = b + 1 where a = {high}; commit"
                );
                let result = client.batch_execute(&sql).await;
                if let Err(error) = result {
                    assert_eq!(error.code().map(|code| code.code()), Some("40P01"), "{error}");
                    client.batch_execute("rollback").await.expect("a rollback");
                }
                let seen: i64 = client.query_one("select sum(b) from t", &[]).await.expect("a sum").get(0);
                assert_eq!(seen, 1000);
            }
        }));
    }
    for task in tasks {
        task.await.expect("a worker");
    }
}

#[tokio::test]
async fn lock_table_waits_for_writers_and_keeps_them_waiting() {
    let server = Server::start().await;
    let (one, two) = two_accounts(&server).await;
    one.batch_execute("begin; update t set b = 0 where a = 1").await.expect("a change");
    let error = two.batch_execute("begin; lock table t in share mode nowait").await.expect_err("a writer");
    assert_eq!(describe(&error), "ERROR 55P03: could not obtain lock on relation \"t\"\n");
    two.batch_execute(
        "rollback; begin; lock table t in row exclusive mode; lock table t in share update exclusive mode",
    )
    .await
    .expect("weaker modes do not conflict with a writer");
    two.batch_execute("rollback; begin").await.expect("a block");
    let (two, result) = blocked(two, "lock table t in share row exclusive mode", async {
        one.batch_execute("commit").await.expect("a commit");
    })
    .await;
    result.expect("the lock");
    assert_eq!(int(&two, "select sum(b)::int8 from t").await, 200, "what was waited for is seen");
    assert_eq!(int(&one, "select count(*) from t").await, 2, "readers do not wait");
    one.batch_execute("begin; select * from t where a = 2 for update").await.expect("row locks do not conflict");
    one.batch_execute("rollback").await.expect("a rollback");
    let (one, result) = blocked(one, "insert into t values (3, 3)", async {
        two.batch_execute("update t set b = b + 1; commit").await.expect("the locker goes first");
    })
    .await;
    assert_eq!(result, Ok(1));
    assert_eq!(int(&one, "select sum(b)::int8 from t").await, 205);
    two.batch_execute("begin; lock table t; insert into t values (4, 4), (5, 5)").await.expect("a locker's rows");
    let (_one, result) = blocked(one, "delete from t", async {
        two.batch_execute("commit").await.expect("the locker goes first");
    })
    .await;
    assert_eq!(result, Ok(5), "what came while it waited is seen");
}

#[tokio::test]
async fn lock_table_exclusive_keeps_row_lockers_waiting() {
    let server = Server::start().await;
    let (one, two) = two_accounts(&server).await;
    one.batch_execute("begin; lock table t in exclusive mode").await.expect("a lock");
    two.batch_execute("set lock_timeout = '10ms'").await.expect("a limit");
    for sql in ["select * from t for key share", "delete from t", "begin; lock t in row share mode"] {
        let error = two.batch_execute(sql).await.expect_err(sql);
        assert_eq!(describe(&error), "ERROR 55P03: canceling statement due to lock timeout\n", "{sql}");
    }
    two.batch_execute("rollback; begin; lock t in access share mode; commit").await.expect("a reader's mode");
    one.batch_execute("savepoint s; rollback to s; commit").await.expect("a commit");
    two.batch_execute("delete from t").await.expect("nobody is in the way");
}
