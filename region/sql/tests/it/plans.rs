//! Plans: the same rows whatever way is taken, and the ways that are expected.
use crate::server::{Server, connect, outcome};
use tokio_postgres::{Client, Config};
use trivet_compat::Reference;
use trivet_sql::EngineOptions;

/// A generator that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len() as u64) as usize]
    }
    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

const TABLES: &[&str] = &["a", "b", "c", "v", "u", "w"];

async fn setup(client: &Client) {
    for statement in [
        "CREATE TABLE a (id int PRIMARY KEY, x int, y bigint, s text)",
        "CREATE TABLE b (id int PRIMARY KEY, x int, y bigint, s text)",
        "CREATE TABLE c (id int, x int, y bigint, s text)",
        "CREATE INDEX a_x ON a (x, y)",
        "CREATE INDEX b_s ON b (s)",
        "CREATE INDEX b_y ON b (y DESC)",
        "CREATE UNIQUE INDEX c_id ON c (id)",
        "INSERT INTO a SELECT n, CASE WHEN n % 7 > 0 THEN n % 23 END, n % 11, 's' || n % 40 FROM generate_series(1, 300) n",
        "INSERT INTO b SELECT n, n % 31, CASE WHEN n % 5 > 0 THEN n % 13 END, 's' || n % 50 FROM generate_series(1, 120) n",
        "INSERT INTO c SELECT n, n % 3, n % 4, CASE WHEN n % 3 > 0 THEN 's' || n % 9 END FROM generate_series(1, 25) n",
        "CREATE VIEW v AS SELECT id, x, y, s FROM a WHERE y > 2",
        "CREATE VIEW w AS SELECT a.id, c.x, a.y, a.s FROM a JOIN c ON a.x = c.id WHERE c.y < 3",
        "CREATE VIEW u AS SELECT id, x, y, s FROM b UNION ALL SELECT id, x, y, s FROM c WHERE id > 5",
    ] {
        let answer = outcome(client, statement).await;
        assert!(!answer.starts_with("ERROR"), "{statement}: {answer}");
    }
}

fn column(random: &mut Random, of: &str) -> String {
    format!("{of}.{}", random.of(&["id", "x", "y"]))
}

fn condition(random: &mut Random, names: &[String], depth: usize) -> String {
    let of = names[random.below(names.len() as u64) as usize].clone();
    let other = names[random.below(names.len() as u64) as usize].clone();
    let number = random.below(30);
    match random.below(if depth > 1 { 11 } else { 17 }) {
        0 => format!("{} = {number}", column(random, &of)),
        1 => format!("{} {} {number}", column(random, &of), random.of(&["<", "<=", ">", ">="])),
        2 => format!("{} = {}", column(random, &of), column(random, &other)),
        3 => format!("{}.s = {}.s", of, other),
        4 => format!("{}.s LIKE 's{}%'", of, random.below(5)),
        5 => format!("{} IN ({number}, {}, {})", column(random, &of), number / 2, number + 3),
        6 => format!("({c} = {number} OR {c} = {})", number + 1, c = column(random, &of)),
        7 => format!("{} IS {}NULL", column(random, &of), random.of(&["", "NOT "])),
        8 => format!("{} BETWEEN {number} AND {}", column(random, &of), number + random.below(10)),
        9 => format!("{} < {}", column(random, &of), column(random, &other)),
        10 => format!("{}.s > 's2'", of),
        11 | 12 => {
            let inner = random.of(TABLES);
            let name = format!("q{depth}");
            let inside = condition(random, &[name.clone(), of.clone()], depth + 1);
            let joins = format!("{} = {}", column(random, &name), column(random, &of));
            let not = random.of(&["", "NOT "]);
            format!("{not}EXISTS (SELECT 1 FROM {inner} {name} WHERE {joins} AND {inside})")
        }
        13 | 14 => {
            let inner = random.of(TABLES);
            let name = format!("q{depth}");
            let inside = condition(random, &[name.clone()], depth + 1);
            let not = random.of(&["", "", "NOT "]);
            let of_inner = column(random, &name);
            format!("{} {not}IN (SELECT {of_inner} FROM {inner} {name} WHERE {inside})", column(random, &of))
        }
        15 => {
            let (left, right) = (condition(random, names, depth + 1), condition(random, names, depth + 1));
            format!("({left} OR {right})")
        }
        _ => format!("NOT ({})", condition(random, names, depth + 1)),
    }
}

fn source(random: &mut Random, name: &str) -> String {
    let table = random.of(TABLES);
    match random.below(8) {
        0 => format!("(SELECT id, x, y, s FROM {table} WHERE id > {}) {name}", random.below(40)),
        1 => format!("(SELECT max(id) AS id, x, min(y) AS y, s FROM {table} GROUP BY x, s) {name}"),
        2 => format!("(SELECT DISTINCT x AS id, x, y, s FROM {table}) {name}"),
        _ => format!("{table} {name}"),
    }
}

fn query(random: &mut Random) -> String {
    let count = 1 + random.below(4) as usize;
    let mut names = vec!["t0".to_owned()];
    let mut from = source(random, "t0");
    for at in 1..count {
        let name = format!("t{at}");
        let kind = random.of(&["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let other = names[random.below(names.len() as u64) as usize].clone();
        names.push(name.clone());
        let mut on = format!("{} = {}", column(random, &name), column(random, &other));
        if random.chance(40) {
            let more = condition(random, &[name.clone(), other], 2);
            on = format!("{on} AND {more}");
        }
        // A full join takes equalities only.
        if kind == "FULL JOIN" {
            on = on.split(" AND ").next().unwrap_or("true").to_owned();
        }
        from = format!("{from} {kind} {} ON {on}", source(random, &name));
    }
    let mut conditions = Vec::new();
    for _ in 0..random.below(4) {
        conditions.push(condition(random, &names, 0));
    }
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let all: Vec<String> =
        names.iter().flat_map(|name| ["id", "x", "y", "s"].map(|column| format!("{name}.{column}"))).collect();
    match random.below(6) {
        0 => {
            let key = column(random, "t0");
            format!("SELECT {key}, count(*), sum(t0.id), min(t0.s) FROM {from}{filter} GROUP BY {key}")
        }
        1 => format!("SELECT count(*), min(t0.x), max(t0.y) FROM {from}{filter}"),
        2 => format!("SELECT DISTINCT {} FROM {from}{filter}", column(random, "t0")),
        3 => {
            let direction = random.of(&["", " DESC"]);
            let order: Vec<String> = all.iter().map(|column| format!("{column}{direction}")).collect();
            let limit = random.below(20);
            format!("SELECT {} FROM {from}{filter} ORDER BY {} LIMIT {limit}", all.join(", "), order.join(", "))
        }
        4 => format!("SELECT min(id), max(id), min(x), max(y) FROM {}", random.of(&["a", "b", "c"])),
        _ => format!("SELECT {} FROM {from}{filter}", all.join(", ")),
    }
}

/// The rows in no order.
async fn rows(client: &Client, query: &str) -> Vec<String> {
    let mut lines: Vec<String> = outcome(client, query).await.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Each a way of making plans.
const WAYS: &[&[&str]] = &[
    &[],
    &["enable_hashjoin"],
    &["enable_mergejoin", "enable_nestloop"],
    &["enable_hashjoin", "enable_mergejoin"],
    &["enable_hashjoin", "enable_nestloop"],
    &["enable_seqscan"],
    &["enable_indexscan"],
    &["enable_sort"],
    &["enable_indexscan", "enable_hashjoin", "enable_mergejoin"],
];

const QUERIES: usize = 120;

#[tokio::test]
async fn every_way_gives_the_same_rows() {
    let server = Server::start().await;
    let client = server.client().await;
    setup(&client).await;
    // What is rewritten is rewritten whatever the settings are: PostgreSQL says what is right.
    let reference = match Reference::installed() {
        Ok(()) => Some(Reference::start().expect("an installed PostgreSQL starts")),
        Err(_) => None,
    };
    let mut theirs = None;
    if let Some(reference) = &reference {
        let mut config = Config::new();
        config.host_path(reference.folder()).port(5432).user("postgres").dbname("postgres");
        let client = connect(&config).await;
        setup(&client).await;
        theirs = Some(client);
    }
    let mut random = Random(0x5eed_1234);
    let mut answered = 0;
    for number in 0..QUERIES {
        if number == QUERIES / 2 {
            // From here on with statistics.
            client.simple_query("ANALYZE").await.expect("statistics");
        }
        let query = query(&mut random);
        let expected = rows(&client, &query).await;
        if let Some(theirs) = &theirs {
            let right = rows(theirs, &query).await;
            if right != expected {
                let plan = outcome(&client, &format!("EXPLAIN (COSTS OFF) {query}")).await;
                let (found, wanted) = (expected.len(), right.len());
                panic!("query {number} has {found} lines, PostgreSQL's answer {wanted}:\n{query}\n{plan}");
            }
        }
        answered += usize::from(!expected.iter().any(|line| line.starts_with("ERROR")));
        for way in &WAYS[1..] {
            for setting in *way {
                client.simple_query(&format!("SET {setting} = off")).await.expect("a setting");
            }
            client.simple_query("SET work_mem = '64kB'").await.expect("a setting");
            let found = rows(&client, &query).await;
            if found != expected {
                let plan = outcome(&client, &format!("EXPLAIN (COSTS OFF) {query}")).await;
                client.simple_query("RESET ALL").await.expect("settings");
                let usual = outcome(&client, &format!("EXPLAIN (COSTS OFF) {query}")).await;
                panic!(
                    "query {number} without {way:?} has {} lines instead of {}:\n{query}\n{plan}\nusually:\n{usual}",
                    found.len(),
                    expected.len()
                );
            }
            client.simple_query("RESET ALL").await.expect("settings");
        }
    }
    assert!(answered > QUERIES * 9 / 10, "only {answered} of the queries are answered");
}

#[tokio::test]
async fn statistics_follow_the_table_by_themselves() {
    let server = Server::with_options(EngineOptions { automatic_statistics: true, ..EngineOptions::default() }).await;
    let client = server.client().await;
    client.simple_query("CREATE TABLE t (id int PRIMARY KEY, x int)").await.expect("a table");
    let wait_for = async |rows: &str| {
        let mut shown = String::new();
        for _ in 0..10_000 {
            shown = outcome(&client, "SELECT reltuples FROM pg_class WHERE relname = 't'").await;
            if shown.lines().nth(1) == Some(rows) {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("there are {rows} rows, and pg_class says {shown}");
    };
    client.simple_query("INSERT INTO t SELECT n, n % 10 FROM generate_series(1, 500) n").await.expect("rows");
    wait_for("500").await;
    // Out of all proportion: at once.
    client.simple_query("INSERT INTO t SELECT n, n % 10 FROM generate_series(501, 20000) n").await.expect("rows");
    wait_for("20000").await;
    let shown = outcome(&client, "SELECT n_distinct FROM pg_stats WHERE tablename = 't' AND attname = 'x'").await;
    assert_eq!(shown.lines().nth(1), Some("10"));
    client.simple_query("TRUNCATE t").await.expect("an empty table");
    wait_for("-1").await;
}

/// The ways that somebody who knows PostgreSQL expects.
#[tokio::test]
async fn expected_ways_are_taken() {
    let server = Server::start().await;
    let client = server.client().await;
    for statement in [
        "CREATE TABLE p (id int PRIMARY KEY, a int, placed timestamptz, day date, note text)",
        "INSERT INTO p SELECT n, n % 500, now() - n * interval '1 minute', date '2024-01-01' + n % 365, 'note ' || n \
         FROM generate_series(1, 20000) n",
        "CREATE INDEX p_a ON p (a, id)",
        "CREATE INDEX p_placed ON p (placed)",
        "CREATE INDEX p_day ON p (day)",
        "ANALYZE",
    ] {
        let answer = outcome(&client, statement).await;
        assert!(!answer.starts_with("ERROR"), "{statement}: {answer}");
    }
    for (query, expected) in [
        ("SELECT * FROM p WHERE (a, id) > (250, 1000) ORDER BY a, id LIMIT 10", "Index Scan using p_a"),
        ("SELECT * FROM p WHERE (a, id) < (2, 100)", "Index Scan using p_a"),
        ("SELECT * FROM p WHERE (a > 498 OR (a = 498 AND id > 3))", "Index Scan using p_a"),
        ("SELECT * FROM p WHERE placed > now() - interval '1 hour'", "Index Scan using p_placed"),
        ("SELECT * FROM p WHERE placed > now() - interval '30 days'", "Seq Scan on p"),
        ("SELECT * FROM p WHERE day = '2024-03-01'", "Index Scan using p_day"),
        ("SELECT * FROM p WHERE day >= '2024-12-28'", "Index Scan using p_day"),
        ("SELECT * FROM p WHERE day >= '2024-01-02'", "Seq Scan on p"),
        ("WITH w AS (SELECT * FROM p WHERE day >= '2024-12-28') SELECT count(*) FROM w", "Index Scan using p_day"),
    ] {
        let plan = outcome(&client, &format!("EXPLAIN {query}")).await;
        assert!(plan.contains(expected), "{query}: {expected} was expected\n{plan}");
    }
    let found = outcome(&client, "SELECT a, id FROM p WHERE (a, id) > (499, 19000) ORDER BY a, id").await;
    assert_eq!(found, "[a|id]\n499|19499\n499|19999\n(2)\n");
}
