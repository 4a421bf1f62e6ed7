//! What a statement may hold in memory: beyond `work_mem` rows go to temporary files and the answer is the same; beyond
//! `trivet.statement_memory` and `temp_file_limit` the statement is refused, and nothing else is.
use crate::server::{Server, outcome};
use tokio_postgres::Client;
use trivet_sql::EngineOptions;

/// Rows in the order in which they came, and with `ORDER BY` in the query that is an answer.
const QUERIES: &[&str] = &[
    "SELECT id, pad FROM big ORDER BY grp, id DESC",
    "SELECT id FROM big ORDER BY pad DESC, id LIMIT 2500",
    "SELECT count(*), sum(a.id), sum(b.id) FROM big a JOIN big b ON a.twin = b.id",
    "SELECT a.id, b.id FROM big a LEFT JOIN big b ON a.twin = b.id AND b.id % 3 = 0 ORDER BY 1, 2",
    "SELECT a.id, b.id FROM big a FULL JOIN (SELECT id FROM big WHERE id % 2 = 0) b ON a.id = b.id + 1 ORDER BY 1, 2",
    "SELECT count(*), count(a.id), count(b.id) FROM big a FULL JOIN big b ON a.sparse = b.sparse",
    "SELECT grp, count(*), sum(id), min(pad), max(pad) FROM big GROUP BY grp ORDER BY grp",
    "SELECT pad, count(*), count(DISTINCT grp) FROM big GROUP BY pad ORDER BY pad",
    "SELECT grp, id % 7, count(*), grouping(grp) FROM big GROUP BY CUBE (grp, id % 7) ORDER BY 1, 2, 4, 3",
    "SELECT DISTINCT pad, grp FROM big ORDER BY 1, 2",
    "SELECT DISTINCT ON (grp) grp, id FROM big ORDER BY grp, id DESC",
    "SELECT count(*) FROM (SELECT DISTINCT ON (grp) grp, id FROM big) d",
    "SELECT pad FROM big UNION SELECT pad || 'x' FROM big ORDER BY 1",
    "SELECT id, pad FROM big INTERSECT SELECT id + 1, pad FROM big ORDER BY 1, 2",
    "SELECT id, sparse FROM big EXCEPT SELECT id * 2, sparse FROM big ORDER BY 1, 2",
    "SELECT grp FROM big INTERSECT ALL SELECT id % 1500 FROM big ORDER BY 1",
    "SELECT grp FROM big EXCEPT ALL SELECT id % 1500 FROM big ORDER BY 1",
    "SELECT id, row_number() OVER (PARTITION BY grp ORDER BY id), sum(id) OVER (PARTITION BY grp) FROM big ORDER BY id",
    "WITH w AS MATERIALIZED (SELECT * FROM big) SELECT count(*), count(DISTINCT a.id) FROM w a JOIN w b ON a.id = b.twin",
    "SELECT count(*) FROM (SELECT * FROM big WHERE id <= 300) a JOIN (SELECT * FROM big WHERE id <= 900) b ON a.id < b.id",
    "SELECT a.id, count(b.id) FROM (SELECT * FROM big WHERE id <= 60) a FULL JOIN big b ON a.id = b.grp \
     GROUP BY a.id ORDER BY a.id",
];

async fn setup(client: &Client, rows: u32) {
    let made = "CREATE TABLE big (id int PRIMARY KEY, twin int, grp int, sparse int, pad text)";
    client.simple_query(made).await.expect("a table");
    client
        .simple_query(&format!(
            "INSERT INTO big SELECT n, (n * 7919) % {rows} + 1, n % 1000, CASE WHEN n % 4 = 0 THEN n END, \
             'row ' || (n * 31) % 2000 || repeat('.', n % 20) FROM generate_series(1, {rows}) n"
        ))
        .await
        .expect("rows");
}

#[tokio::test]
async fn little_memory_gives_the_same_answers() {
    let server = Server::start().await;
    let client = server.client().await;
    setup(&client, 6000).await;
    let mut expected = Vec::new();
    client.simple_query("SET work_mem = '256MB'").await.expect("a setting");
    for query in QUERIES {
        let answer = outcome(&client, query).await;
        assert!(!answer.starts_with("ERROR"), "{query}: {answer}");
        expected.push(answer);
    }
    client.simple_query("SET work_mem = '64kB'").await.expect("a setting");
    for (query, expected) in QUERIES.iter().zip(&expected) {
        let answer = outcome(&client, query).await;
        assert!(answer == *expected, "with little memory another answer: {query}\n{}", difference(expected, &answer));
    }
}

/// The first lines that differ.
fn difference(expected: &str, found: &str) -> String {
    let mut lines = expected.lines().zip(found.lines()).enumerate().filter(|(_, (left, right))| left != right);
    match lines.next() {
        Some((at, (left, right))) => format!("line {at}: {left}\n     now: {right}"),
        None => format!("{} lines, now {}", expected.lines().count(), found.lines().count()),
    }
}

#[tokio::test]
async fn changes_read_through_files_what_they_then_change() {
    let server = Server::start().await;
    let client = server.client().await;
    setup(&client, 4000).await;
    client.simple_query("SET work_mem = '64kB'").await.expect("a setting");
    let changed = outcome(&client, "UPDATE big SET grp = b.id FROM big b WHERE big.twin = b.id AND b.id % 2 = 0").await;
    let counted = outcome(&client, "SELECT count(*) FROM big WHERE grp = twin AND twin % 2 = 0").await;
    assert_eq!(changed, "(2000)\n");
    assert!(counted.contains("2000"), "{counted}");
    let copied = outcome(&client, "INSERT INTO big SELECT id + 10000, twin, grp, sparse, pad FROM big").await;
    assert_eq!(copied, "(4000)\n");
    let deleted = outcome(&client, "DELETE FROM big USING big b WHERE big.id = b.id + 10000").await;
    assert_eq!(deleted, "(4000)\n");
}

#[tokio::test]
async fn what_cannot_go_to_disk_is_refused_before_memory_runs_out() {
    let server = Server::start().await;
    let client = server.client().await;
    setup(&client, 4000).await;
    client.simple_query("SET trivet.statement_memory = '256kB'").await.expect("a setting");
    for query in [
        "SELECT array_agg(pad) FROM big",
        "SELECT string_agg(pad, ',' ORDER BY id) FROM big",
        "SELECT json_agg(pad) FROM big",
        "SELECT count(DISTINCT pad || id) FROM big",
        "SELECT ARRAY(SELECT pad FROM big)",
        "SELECT sum(id) OVER () FROM big",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r) SELECT count(*) FROM r",
    ] {
        let answer = outcome(&client, query).await;
        assert!(answer.starts_with("ERROR 53200: out of memory\n  detail: The statement holds "), "{query}: {answer}");
        assert!(answer.contains("trivet.statement_memory allows 256 kB"), "{query}: {answer}");
    }
    // What can, does.
    client.simple_query("SET work_mem = '64kB'").await.expect("a setting");
    let answer = outcome(&client, "SELECT count(*) FROM (SELECT pad FROM big ORDER BY pad) s").await;
    assert!(answer.contains("4000"), "{answer}");
    client.simple_query("SET temp_file_limit = '100kB'").await.expect("a setting");
    let answer = outcome(&client, "SELECT a.pad FROM big a, big b WHERE a.id = b.twin ORDER BY a.pad || b.pad").await;
    assert_eq!(answer, "ERROR 53400: temporary file size exceeds temp_file_limit (100kB)\n");
    client.simple_query("RESET temp_file_limit").await.expect("a setting");
    let answer = outcome(&client, "SHOW temp_file_limit").await;
    assert!(answer.starts_with("[temp_file_limit]\n-1\n"), "{answer}");
}

#[tokio::test]
async fn temporary_files_leave_nothing_behind_and_touch_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("tmp");
    std::fs::create_dir(&inside).expect("a folder");
    std::fs::write(inside.join(".tmpLeft"), "of a process that was killed").expect("a file");
    std::fs::write(inside.join("precious"), "of somebody else").expect("a file");
    let options = EngineOptions { temporary_folder: Some(inside.clone()), ..EngineOptions::default() };
    let server = Server::with_options(options).await;
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&inside).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(), ["precious"]);
    let client = server.client().await;
    setup(&client, 3000).await;
    client.simple_query("SET work_mem = '64kB'").await.expect("a setting");
    let answer = outcome(&client, "SELECT count(*) FROM (SELECT pad FROM big ORDER BY pad) s").await;
    assert!(answer.contains("3000"), "{answer}");
    // In the middle of its runs.
    client.simple_query("SET statement_timeout = '30ms'").await.expect("a setting");
    let answer = outcome(&client, "SELECT a.pad FROM big a, big b, big c ORDER BY a.pad || b.pad").await;
    assert!(answer.starts_with("ERROR 57014"), "{answer}");
    assert_eq!(names(), ["precious"]);
}
