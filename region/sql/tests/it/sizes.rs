//! Tables that grew after they were first planned for: the planner hears of it, whoever wrote the rows, and what does not fit
//! into `work_mem` goes through files and ends.
use crate::server::{Server, outcome};
use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::Client;
use trivet_sql::EngineOptions;

const ROWS: usize = 100_000;

/// Joins without any index, sorts, groupings.
const QUERIES: &[(&str, &str)] = &[
    ("SELECT count(*) FROM t a JOIN t b ON a.name = b.name", "100000"),
    ("SELECT count(*) FROM t a JOIN t b ON a.name = b.twin", "100000"),
    ("SELECT count(*) FROM t a LEFT JOIN t b ON a.name = b.twin AND b.id % 2 = 0", "100000"),
    ("SELECT count(*) FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE b.twin = a.name)", "100000"),
    ("SELECT count(*) FROM t WHERE twin NOT IN (SELECT name FROM t)", "0"),
    ("SELECT count(*) FROM (SELECT name FROM t ORDER BY twin, name) s", "100000"),
    ("SELECT count(*) FROM (SELECT twin, count(*) FROM t GROUP BY twin) s", "100000"),
    ("SELECT count(DISTINCT twin) FROM t", "100000"),
    ("SELECT count(*) FROM (SELECT name FROM t EXCEPT SELECT twin FROM t) s", "0"),
];

async fn run(client: &Client, sql: &str) -> String {
    let answer = outcome(client, sql).await;
    assert!(!answer.starts_with("ERROR"), "{sql}: {answer}");
    answer
}

/// Each ends long before this, in a build without optimization, too.
const WITHIN: &str = "SET statement_timeout = '30s'; SET work_mem = '1MB'";

async fn server() -> Server {
    Server::with_options(EngineOptions { automatic_statistics: true, ..EngineOptions::default() }).await
}

/// Made, and planned while it is empty, so that plans for an empty table are in the cache.
async fn made(client: &Client) {
    run(client, WITHIN).await;
    run(client, "CREATE TABLE t (id int, name text, twin text)").await;
    run(client, "ANALYZE t").await;
    for (query, _) in QUERIES {
        run(client, query).await;
    }
}

/// As soon as the rows are there. The plans have to be other ones than those of the empty table.
async fn all_end(client: &Client, queries: &[(&str, &str)]) {
    for (query, expected) in queries {
        let answer = run(client, query).await;
        assert_eq!(answer.lines().nth(1), Some(*expected), "{query}");
    }
    let plan = run(client, &format!("EXPLAIN (COSTS OFF) {}", QUERIES[1].0)).await;
    assert!(plan.contains("Hash Join") || plan.contains("Merge Join"), "{plan}");
    if queries.len() < QUERIES.len() {
        return;
    }
    let ran = run(client, &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {}", QUERIES[5].0)).await;
    assert!(ran.contains("Sort Method: external merge"), "{ran}");
    let ran = run(client, &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {}", QUERIES[0].0)).await;
    assert!(!ran.contains("Batches: 1 "), "a hash table of 100,000 rows does not fit into 1 MB: {ran}");
}

const FILL: &str =
    "INSERT INTO t SELECT n, 'name ' || n, 'name ' || (n * 7919) % 100000 + 1 FROM generate_series(1, 100000) n";

#[tokio::test]
async fn a_table_filled_by_one_statement_is_not_taken_for_empty() {
    let server = server().await;
    let client = server.client().await;
    made(&client).await;
    run(&client, FILL).await;
    all_end(&client, QUERIES).await;
}

#[tokio::test]
async fn a_table_filled_within_the_transaction_is_not_taken_for_empty() {
    let server = server().await;
    let client = server.client().await;
    made(&client).await;
    run(&client, "BEGIN").await;
    run(&client, FILL).await;
    all_end(&client, &QUERIES[1..2]).await;
    run(&client, "ROLLBACK").await;
}

#[tokio::test]
async fn a_table_filled_by_copy_is_not_taken_for_empty() {
    let server = server().await;
    let client = server.client().await;
    made(&client).await;
    let sink = client.copy_in::<_, Bytes>("COPY t FROM STDIN").await.expect("it takes rows");
    let mut sink = std::pin::pin!(sink);
    for from in (1..=ROWS).step_by(1000) {
        let lines: String =
            (from..from + 1000).map(|n| format!("{n}\tname {n}\tname {}\n", (n * 7919) % ROWS + 1)).collect();
        sink.send(Bytes::from(lines)).await.expect("it takes rows");
    }
    assert_eq!(sink.as_mut().finish().await.expect("it takes rows"), ROWS as u64);
    all_end(&client, &QUERIES[1..2]).await;
}

/// As another region's transactions would: by another session, little by little.
#[tokio::test]
async fn a_table_filled_by_many_transactions_of_others_is_not_taken_for_empty() {
    let server = server().await;
    let client = server.client().await;
    made(&client).await;
    let other = server.client().await;
    for from in (1..=ROWS).step_by(200) {
        let rows: Vec<String> =
            (from..from + 200).map(|n| format!("({n}, 'name {n}', 'name {}')", (n * 7919) % ROWS + 1)).collect();
        run(&other, &format!("INSERT INTO t VALUES {}", rows.join(", "))).await;
    }
    all_end(&client, &QUERIES[1..2]).await;
}
