//! Definitions and what they promise while other sessions work: indexes built under load, foreign keys, sequences, logins.
use crate::server::{Server, describe};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_postgres::Client;
use trivet_sql::{SqlEngine, index_builder};
use trivet_storage::MemoryStore;

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.expect("one row").get(0)
}

async fn code(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err("an error");
    error.code().expect("from the server").code().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_are_built_while_others_write() {
    let server = Server::start().await;
    let client = server.client().await;
    client.batch_execute("create table t (id int primary key, v int, w int)").await.expect("DDL");
    client.batch_execute("insert into t select g, g, g % 7 from generate_series(1, 1500) g").await.expect("rows");
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for worker in 0..3i32 {
        let client = server.client().await;
        let done = Arc::clone(&done);
        writers.push(tokio::spawn(async move {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                round += 1;
                let new = 10_000 * (worker + 1) + round;
                let old = (round * 3 + worker) % 1500 + 1;
                let sql = format!(
                    "insert into t values ({new}, {new}, {round} % 7); update t set v = v + 100000, w = w + 1 where id = {old}; \
                     delete from t where id = {new} and {round} % 2 = 0"
                );
                if let Err(error) = client.batch_execute(&sql).await {
                    let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
                    assert!(["40001", "40P01", "23505"].contains(&code.as_str()), "{}", describe(&error));
                }
            }
        }));
    }
    client.batch_execute("create index by_w on t (w)").await.expect("an index");
    client.batch_execute("create index by_sum on t ((id + w))").await.expect("an index of an expression");
    client.batch_execute("create unique index part on t (id) where w > 2").await.expect("a partial index");
    client.batch_execute("create unique index by_v on t (id, v)").await.expect("a unique index");
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer");
    }
    for w in 0..8 {
        let by_index = number(&client, &format!("select count(*) from t where w = {w}")).await;
        let by_scan = number(&client, &format!("select count(*) from t where w + 0 = {w}")).await;
        assert_eq!(by_index, by_scan, "w = {w}");
    }
    let total = number(&client, "select count(*) from t").await;
    let found =
        number(&client, "select count(*) from t a where exists (select from t b where b.id = a.id and b.v = a.v)");
    assert_eq!(found.await, total);
    let valid = "select count(*) from pg_index where indrelid = 't'::regclass and indisvalid";
    assert_eq!(number(&client, valid).await, 5);
    // A duplicate ends the building, and nothing of the index is left.
    let error = client.batch_execute("create unique index dup on t (w)").await.expect_err("duplicates");
    assert_eq!(error.code().expect("from the server").code(), "23505");
    assert_eq!(number(&client, "select count(*) from pg_class where relname = 'dup'").await, 0);
    client.batch_execute("insert into t values (5000000, 1, 1)").await.expect("writers are free of it");
    assert_eq!(code(&client, "begin; create index concurrently x on t (v)").await, "25001");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_refers_to_one_that_is_gone() {
    let server = Server::start().await;
    let client = server.client().await;
    client
        .batch_execute(
            "create table p (id int primary key, n int); create table c (id serial primary key, p int references p)",
        )
        .await
        .expect("DDL");
    client.batch_execute("insert into p select g, 0 from generate_series(1, 8) g").await.expect("rows");
    let mut tasks = Vec::new();
    for worker in 0..4i32 {
        let client = server.client().await;
        tasks.push(tokio::spawn(async move {
            for round in 0..60i32 {
                let id = (worker * 3 + round) % 8 + 1;
                let sql = match (worker + round) % 4 {
                    0 => format!("delete from p where id = {id}"),
                    1 => format!("insert into p values ({id}, 0) on conflict (id) do update set n = p.n + 1"),
                    2 => format!("delete from c where p = {id}"),
                    _ => format!("insert into c (p) values ({id})"),
                };
                if let Err(error) = client.batch_execute(&sql).await {
                    let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
                    assert!(["23503", "40P01", "40001"].contains(&code.as_str()), "{}", describe(&error));
                }
                let orphans =
                    number(&client, "select count(*) from c where not exists (select from p where p.id = c.p)");
                assert_eq!(orphans.await, 0);
            }
        }));
    }
    for task in tasks {
        task.await.expect("a worker");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequence_gives_each_value_once() {
    let server = Server::start().await;
    let client = server.client().await;
    client.batch_execute("create sequence s").await.expect("DDL");
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let client = server.client().await;
        tasks.push(tokio::spawn(async move {
            let mut values = Vec::new();
            for _ in 0..100 {
                values.push(number(&client, "select nextval('s')").await);
            }
            assert!(values.is_sorted(), "one session's values grow");
            values
        }));
    }
    let mut all = HashSet::new();
    for task in tasks {
        for value in task.await.expect("a session") {
            assert!(all.insert(value), "{value} was given twice");
        }
    }
    assert_eq!(all.len(), 400);
    assert_eq!(all.iter().max(), Some(&400), "one region's sessions share its blocks");
    // A waiting ALTER blocks nextval, and a rolled back one changes nothing.
    client.batch_execute("begin; alter sequence s restart; rollback").await.expect("DDL");
    assert_eq!(number(&client, "select nextval('s')").await, 401);
}

/// Two engines over one log stand for two regions as far as blocks go: neither sees the other's memory.
#[tokio::test]
async fn two_engines_never_give_one_value() {
    let database = trivet_txn::local_database(Arc::new(MemoryStore::new()), index_builder());
    let (one, two) = (Server::of(Arc::clone(&database), "a").await, Server::of(database, "b").await);
    let (a, b) = (one.client().await, two.client().await);
    a.batch_execute("create table t (id serial primary key, v text)").await.expect("DDL");
    let mut seen = HashSet::new();
    for round in 0..100 {
        let client = if round % 3 == 0 { &b } else { &a };
        let id: i32 = client.query_one("insert into t (v) values ('x') returning id", &[]).await.expect("a row").get(0);
        assert!(seen.insert(id), "{id} twice");
    }
    // A new epoch voids the blocks of both.
    a.batch_execute("select setval('t_id_seq', 5000)").await.expect("a new epoch");
    assert_eq!(number(&b, "select nextval('t_id_seq')").await, 5001);
    assert!(number(&a, "select nextval('t_id_seq')").await > 5001);
    b.batch_execute("alter sequence t_id_seq restart with 9000").await.expect("a new epoch");
    assert_eq!(number(&a, "select nextval('t_id_seq')").await, 9000);
}

#[tokio::test]
async fn roles_log_in_by_what_is_stored() {
    let database = trivet_txn::local_database(Arc::new(MemoryStore::new()), index_builder());
    let engine = SqlEngine::new(Arc::clone(&database), "local");
    let server = Server::of(database, "local").await;
    let client = server.client().await;
    client
        .batch_execute(
            "create role ann login password 'secret' connection limit 3 valid until '2001-01-01'; create role nobody; \
             alter role ann set work_mem = '8MB'",
        )
        .await
        .expect("roles");
    let ann = engine.login("ann").await.expect("a look").expect("a role");
    let secret = ann.secret.expect("a password");
    assert!(secret.parse::<trivet_gateway::ScramVerifier>().is_ok(), "{secret}");
    assert!(ann.can_login && !ann.superuser);
    assert_eq!(ann.connection_limit, Some(3));
    let year_2001 = std::time::UNIX_EPOCH + std::time::Duration::from_secs(978_307_200);
    assert_eq!(ann.valid_until, Some(year_2001));
    assert!(!engine.login("nobody").await.expect("a look").expect("a role").can_login);
    assert!(engine.login("postgres").await.expect("a look").expect("a role").superuser);
    assert!(engine.login("stranger").await.expect("a look").is_none());
    let mut config = server.config();
    let ann = crate::server::connect(config.user("ann")).await;
    let row = ann.query_one("select current_user::text, current_setting('work_mem')", &[]).await.expect("a row");
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("ann", "8MB"));
    assert!(config.user("nobody").connect(tokio_postgres::NoTls).await.is_err(), "no LOGIN");
    assert!(config.user("stranger").connect(tokio_postgres::NoTls).await.is_err(), "no such role");
}
