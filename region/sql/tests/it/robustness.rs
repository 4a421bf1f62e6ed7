//! Nothing that a client sends may hurt the server.
use crate::server::{Server, outcome};

/// Deep nesting of every recursive construct ends in an answer or in 54001, never in a crash.
#[tokio::test]
async fn deep_nesting_is_answered() {
    let server = Server::start().await;
    let client = server.client().await;
    let depths = [50, 110, 300, 1000, 20_000];
    for depth in depths {
        let nested = |open: &str, inner: &str, close: &str| {
            format!("select {}{inner}{}", open.repeat(depth), close.repeat(depth))
        };
        let texts = [
            nested("(", "1", ")"),
            nested("abs(", "1", ")"),
            nested("(select ", "1", ")"),
            nested("not ", "true", ""),
            nested("case when true then ", "1", " end"),
            nested("1 + ", "1", ""),
            nested("- ", "1", ""),
            format!("select {}", vec!["true"; depth].join(" and ")),
            format!("select {}", vec!["1"; depth].join(" + ")),
            format!("select 1{}", "::int".repeat(depth)),
            format!("select * from {}(select 1) a{}", "(select * from ".repeat(depth), ") a".repeat(depth)),
            format!("select 1{}", " union all select 1".repeat(depth.min(2000))),
            format!("select array{}1{}", "[".repeat(depth), "]".repeat(depth)),
            format!("select '{}1{}'::int[]", "{".repeat(depth), "}".repeat(depth)),
        ];
        for text in texts {
            let answer = outcome(&client, &text).await;
            let refused =
                ["54001", "42601", "0A000", "54000", "22P02", "42804"].iter().any(|code| answer.contains(code));
            assert!(
                refused || answer.contains("(1)") || answer.contains("rows") || answer.starts_with('['),
                "{depth} of {}...: {answer}",
                &text[..60.min(text.len())]
            );
        }
        assert_eq!(outcome(&client, "select 1 as alive").await, "[alive]\n1\n(1)\n");
    }
}

/// What nests without looking so: WITH queries that read each other, in every way in which they are run.
#[tokio::test]
async fn chains_of_queries_are_answered() {
    let server = Server::start().await;
    let client = server.client().await;
    for (how, body) in [
        ("", "select * from {}"),
        ("materialized", "select * from {}"),
        ("materialized", "select max(a.x) as x from {} a join {} b using (x) group by b.x order by 1 limit 5"),
        ("", "select x from (select x, count(*) over () from {} group by x order by x limit 3) s"),
        ("", "select x from {} where exists (select 1 from {} e where e.x = 1)"),
        ("", "select x from (select * from {} union select 1) u where x in (select * from (values (1)) v)"),
    ] {
        for count in [20, 60, 110, 250, 1000] {
            let mut text = "with c0 as (select 1 as x)".to_owned();
            for at in 1..count {
                let before = format!("c{}", at - 1);
                text.push_str(&format!(", c{at} as {how} ({})", body.replace("{}", &before)));
            }
            text.push_str(&format!(" select * from c{}", count - 1));
            let answer = outcome(&client, &text).await;
            let refused = answer.starts_with("ERROR 54001: stack depth limit exceeded");
            assert!(answer == "[x]\n1\n(1)\n" || refused, "{count} of {how} {body}: {answer}");
            assert!(!refused || count > 20, "{count} of {how} {body} are few");
        }
    }
}

#[tokio::test]
async fn odd_texts_are_answered() {
    let server = Server::start().await;
    let client = server.client().await;
    let texts = [
        "",
        ";",
        ";;",
        "--",
        "/*",
        "'",
        "\"",
        "$$",
        "select $1",
        "select $0",
        "select $99999999999",
        "\u{feff}select 1",
        "select 'a' 'b'",
        "select 1 from",
        "insert",
        "update t",
        "delete from",
        "create",
        "alter table",
        "drop",
        "select * from t t t",
        "select (((",
        "select 1 as",
        "values",
        "with",
        "copy",
        "begin begin",
        "set",
        "show",
        "explain",
        "prepare",
        "execute",
        "select '\u{1F600}' || \u{1F600}",
        "select 1e999999",
        "select 1e-999999",
        "select '1e999999'::numeric",
        "select 10.0 ^ 100000.0",
        "select 2 ^ 100000",
        "select repeat('x', 2000000000)",
        "select lpad('x', 2000000000)",
        "select '\\x' || repeat('00', 10)",
        "select generate_series(1, 3, 0)",
        "select substring('x', -2147483648, 2147483647)",
        "select (array[1])[2147483648]",
        "select date '9999999-01-01'",
        "select timestamp '294277-01-01'",
        "select interval '999999999 years'",
        "select make_date(2147483647, 1, 1)",
        "select -9223372036854775808 / -1",
        "select (-9223372036854775808)::int8 % -1",
        "select 1 << 100",
        "select chr(-1)",
        "select '[1:99999999]={1}'::int[]",
        "select round(1.5, 2147483647)",
        "select round(1.5, -2147483648)",
        "select 1.5 ^ 1000000000",
        "select factorial(100000)",
        "select '{\"a'::text[]",
        "select exp(10000.0)",
        "select '2024-01-01 25:61:61'::timestamp",
        "select extract(nonsense from now())",
        "select ''::interval",
        "select date '2024-01-01' + 2147483647",
        "select date '2024-01-01' + interval '178000000 years'",
        "select to_timestamp(1e300)",
        "select 'abc' ~ '('",
        "select 'abc' like 'a\\'",
        "select '\\xz'::bytea",
        "select 1 where exists (select)",
        "select count(*) from generate_series(1, 10) g where g::text ~ '1'",
        "select 0.0000000000000000000000000001 / 3",
        "select 1 / 0.0000000000000000000000000000001",
    ];
    for text in texts {
        let answer = outcome(&client, text).await;
        assert!(!answer.contains("XX000"), "{text:?}: {answer}");
        assert!(!answer.contains("client:"), "{text:?}: {answer}");
        client.batch_execute("rollback").await.expect("still there");
    }
}
