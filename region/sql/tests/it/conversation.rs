//! The extended protocol: parameters, formats, portals, cached plans.
use crate::server::{Server, describe};
use futures::TryStreamExt;
use tokio_postgres::types::Type;

#[tokio::test]
async fn parameters_and_binary_values() {
    let server = Server::start().await;
    let client = server.client().await;
    client.batch_execute("create table t (a int primary key, b text, c numeric, d timestamptz)").await.expect("DDL");
    let insert = client.prepare("insert into t values ($1, $2, $3::text::numeric, now())").await.expect("a statement");
    assert_eq!(insert.params(), [Type::INT4, Type::TEXT, Type::TEXT]);
    for at in 0..10i32 {
        assert_eq!(client.execute(&insert, &[&at, &format!("row {at}"), &"1.50"]).await.expect("an insert"), 1);
    }
    let select = client.prepare("select a, b, a + $2 from t where a = $1").await.expect("a statement");
    assert_eq!(select.params(), [Type::INT4, Type::INT4]);
    let row = client.query_one(&select, &[&3i32, &4i32]).await.expect("one row");
    assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1), row.get::<_, i32>(2)), (3, "row 3", 7));
    assert!(client.query_opt(&select, &[&99i32, &0i32]).await.expect("no row").is_none());
    let rows = client.query("select a from t where a = any($1) order by a", &[&vec![1i32, 5, 77]]).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1, 5]);
}

#[tokio::test]
async fn types_that_nothing_determines() {
    let server = Server::start().await;
    let client = server.client().await;
    let statement = client.prepare("select $1").await.expect("text by default");
    assert_eq!(statement.params(), [Type::TEXT]);
    let error = client.prepare("select $2").await.map(|_| ()).expect_err("$1 has no type");
    assert_eq!(describe(&error), "ERROR 42P18: could not determine data type of parameter $1\n");
    let error = client.execute("select 1 + $1", &[&"x"]).await.expect_err("a wrong type");
    assert!(error.as_db_error().is_none(), "the client refuses: {error}");
}

#[tokio::test]
async fn a_plan_is_made_anew_when_its_table_changed() {
    let server = Server::start().await;
    let (client, other) = (server.client().await, server.client().await);
    client.batch_execute("create table t (a int primary key, b int); insert into t values (1, 10)").await.expect("DDL");
    let select = client.prepare("select b from t where a = $1").await.expect("a statement");
    assert_eq!(client.query_one(&select, &[&1i32]).await.expect("a row").get::<_, i32>(0), 10);
    other.batch_execute("alter table t add column c int default 5; create index on t (b)").await.expect("DDL");
    assert_eq!(client.query_one(&select, &[&1i32]).await.expect("a row").get::<_, i32>(0), 10);
    other
        .batch_execute("drop table t; create table t (a int primary key, b int); insert into t values (1, 20)")
        .await
        .expect("DDL");
    assert_eq!(client.query_one(&select, &[&1i32]).await.expect("a row").get::<_, i32>(0), 20);
    other.batch_execute("drop table t; create table t (a int primary key, b text)").await.expect("DDL");
    let error = client.query_opt(&select, &[&1i32]).await.map(|_| ()).expect_err("another type");
    assert_eq!(error.as_db_error().expect("from the server").message(), "cached plan must not change result type");
}

#[tokio::test]
async fn portals_pause_and_go_on() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let transaction = client.transaction().await.expect("a block");
    let portal = transaction.bind("select g from generate_series(1, 10) g", &[]).await.expect("a portal");
    for (wanted, expected) in [(3, 3), (5, 5), (5, 2), (5, 0)] {
        let rows = transaction.query_portal(&portal, wanted).await.expect("rows");
        assert_eq!(rows.len(), expected);
    }
    transaction.commit().await.expect("a commit");
}

#[tokio::test]
async fn copy_in_and_out() {
    use bytes::Bytes;
    use futures::SinkExt;
    let server = Server::start().await;
    let client = server.client().await;
    client.batch_execute("create table t (a int primary key, b text)").await.expect("DDL");
    let sink = client.copy_in("copy t from stdin").await.expect("COPY");
    let mut sink = std::pin::pin!(sink);
    let lines: String = (1..=5000).map(|at| format!("{at}\trow {at}\n")).collect();
    sink.send(Bytes::from(lines)).await.expect("data");
    sink.send(Bytes::from("5001\t\\N\n5002\ttab\\there\n")).await.expect("data");
    assert_eq!(sink.finish().await.expect("the end"), 5002);
    let out: Vec<Bytes> = client.copy_out("copy t to stdout").await.expect("COPY").try_collect().await.expect("data");
    let text = String::from_utf8(out.concat()).expect("text");
    assert!(text.ends_with("5001\t\\N\n5002\ttab\\there\n"), "{}", &text[text.len() - 40..]);
    let sink = client.copy_in("copy t from stdin").await.expect("COPY");
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from("6000\tx\n6001\n")).await.expect("data");
    let error = sink.finish().await.expect_err("a missing column");
    assert_eq!(describe(&error), "ERROR 22P04: missing data for column \"b\"\n  context: COPY t, line 2: \"6001\"\n");
    let count = client.query_one("select count(*) from t", &[]).await.expect("a row").get::<_, i64>(0);
    assert_eq!(count, 5002, "a failed COPY leaves nothing");
}
