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

/// A few bytes of SQL that ask for values of gigabytes: refused before they are made.
#[tokio::test]
async fn giant_values_are_refused_before_they_are_made() {
    let server = Server::start().await;
    let client = server.client().await;
    client.batch_execute("set trivet.statement_memory = '64MB'; set statement_timeout = '20s'").await.expect("limits");
    for sql in [
        "select repeat('x', 1000000000)",
        "select lpad('x', 100000000)",
        "select rpad('x', 100000000, 'é')",
        "select replace(repeat('a', 1000000), 'a', repeat('b', 1000000))",
        "select regexp_replace(repeat('a', 100000), 'a', repeat('b', 100000), 'g')",
        "select regexp_replace(repeat('a', 10000), '.*', repeat('\\&', 10000))",
        "select array_to_string(array_fill('a'::text, array[1000000]), repeat('b', 100000))",
        "select array_fill(1, array[16000000])",
        "select format('%1000000000s', 'x')",
        "select concat_ws(repeat(',', 60000000), 'a', 'b', 'c')",
        "select concat(repeat('x', 40000000), repeat('y', 40000000))",
        "select repeat('x', 40000000) || repeat('y', 40000000)",
        "with recursive r as (select repeat('x', 1000000) s, 1 n union all select s || s, n + 1 from r where n < 40) select max(length(s)) from r",
        "select string_agg(repeat('x', 1000000), ',') from generate_series(1, 2000)",
        "select array_agg(n) from generate_series(1, 100000000) n",
        "select jsonb_agg(n) from generate_series(1, 100000000) n",
        "select sum(n) over () from generate_series(1, 1000000) n",
    ] {
        let error = client.batch_execute(sql).await.expect_err(sql);
        let shown = describe(&error);
        assert!(shown.starts_with("ERROR 53200: out of memory"), "{sql}: {shown}");
    }
    for sql in ["select repeat('x', 2000000000)", "select lpad('x', 2000000000)", "select repeat('é', 1000000000)"] {
        let shown = describe(&client.batch_execute(sql).await.expect_err(sql));
        assert!(shown.starts_with("ERROR 54000: requested length too large"), "{sql}: {shown}");
    }
}

/// What is long without being deep.
#[tokio::test]
async fn long_statements_are_answered_in_time() {
    let server = Server::start().await;
    let client = server.client().await;
    client
        .batch_execute(
            "set statement_timeout = '20s'; create table t (id int primary key, s text); \
             insert into t select n, 'note ' || n from generate_series(1, 20000) n; analyze t",
        )
        .await
        .expect("a table");
    let numbers = (0..50_000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let texts = (0..50_000).map(|n| format!("'note {n}'")).collect::<Vec<_>>().join(", ");
    let terms = (0..10_000).map(|n| format!("id <> {}", n + 100)).collect::<Vec<_>>().join(" and ");
    let either = (0..10_000).map(|n| format!("id = {n}")).collect::<Vec<_>>().join(" or ");
    let rows = (0..50_000).map(|n| format!("({n}, 'x')")).collect::<Vec<_>>().join(", ");
    for (sql, expected) in [
        (format!("select count(*) from t where id in ({numbers})"), 20_000),
        (format!("select count(*) from t where id not in ({numbers})"), 0),
        (format!("select count(*) from t where s in ({texts})"), 20_000),
        (format!("select count(*) from t where s || '' not in ({texts})"), 0),
        (format!("select count(*) from t where id < 200 and {terms}"), 99),
        (format!("select count(*) from t where {either}"), 9_999),
        (format!("select count(*) from (values {rows}) v"), 50_000),
    ] {
        let row =
            client.query_one(&sql, &[]).await.unwrap_or_else(|error| panic!("{}: {}", &sql[..60], describe(&error)));
        assert_eq!(row.get::<_, i64>(0), expected, "{}...", &sql[..60]);
    }
    let wanted: Vec<i32> = (0..50_000).collect();
    let row = client.query_one("select count(*) from t where id + 0 = any ($1)", &[&wanted]).await.expect("a count");
    assert_eq!(row.get::<_, i64>(0), 20_000);
}

/// A value of 100 MB is made and sent; a row as large is refused in words, for the log takes no such record.
#[tokio::test]
async fn a_large_value_is_sent_and_not_stored() {
    let server = Server::start().await;
    let client = server.client().await;
    client.batch_execute("create table t (v text)").await.expect("a table");
    let value = "0123456789".repeat(10_000_000);
    let row = client.query_one("select $1 || '!'", &[&value]).await.expect("a value");
    assert!(row.get::<_, &str>(0).strip_suffix('!') == Some(&value));
    let error = client.execute("insert into t values ($1)", &[&value]).await.expect_err("too large");
    assert!(describe(&error).starts_with("ERROR 54000: row is too big: size 100000084"), "{}", describe(&error));
    let row = client.query_one("select count(*) from t", &[]).await.expect("it goes on");
    assert_eq!(row.get::<_, i64>(0), 0);
}
