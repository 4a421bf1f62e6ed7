//! What parses, into what, and what is said of what does not.
use super::tree::*;
use super::*;
use trivet_types::PgError;

fn one(sql: &str) -> Statement {
    let mut parsed = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert_eq!(parsed.len(), 1, "{sql}");
    parsed.remove(0).statement
}

fn error(sql: &str) -> Box<PgError> {
    parse(sql).err().unwrap_or_else(|| panic!("{sql} parsed"))
}

/// An expression with its structure shown by parentheses.
fn shape(sql: &str) -> String {
    let Statement::Query(Query { body: QueryBody::Select(select), .. }) = one(&format!("select {sql}")) else {
        panic!("{sql} is not a SELECT")
    };
    match &select.targets[0] {
        Target::Expr { expr, .. } => show(expr),
        Target::Star { .. } => "*".into(),
    }
}

fn show(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Column(name) => name.shown(),
        ExprKind::Literal(Literal::Number(digits)) => digits.clone(),
        ExprKind::Literal(literal) => format!("{literal:?}"),
        ExprKind::Binary { operator, left, right } => format!("({} {operator} {})", show(left), show(right)),
        ExprKind::Unary { operator, operand } => format!("({operator} {})", show(operand)),
        ExprKind::And(terms) => format!("and[{}]", terms.iter().map(show).collect::<Vec<_>>().join(", ")),
        ExprKind::Or(terms) => format!("or[{}]", terms.iter().map(show).collect::<Vec<_>>().join(", ")),
        ExprKind::Is { operand, test, negated } => format!("({} is {negated} {test:?})", show(operand)),
        ExprKind::Function(call) => format!(
            "{}({})",
            call.name.shown(),
            call.arguments.iter().map(|argument| show(&argument.value)).collect::<Vec<_>>().join(", ")
        ),
        other => format!("{other:?}"),
    }
}

#[test]
fn operators_bind_as_in_postgresql() {
    for (sql, expected) in [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("a ~ b || c", "((a ~ b) || c)"),
        ("a = b ~ c", "(a = (b ~ c))"),
        ("-a ^ b", "((- a) ^ b)"),
        ("-2 ^ 2", "(-2 ^ 2)"),
        ("~a + b", "(~ (a + b))"),
        ("a and b and c or d", "or[and[a, b, c], d]"),
        ("a isnull", "(a is false Null)"),
        ("extract(year from a)", "pg_catalog.extract(String(\"year\"), a)"),
        ("trim(both 'x' from a)", "pg_catalog.btrim(a, String(\"x\"))"),
        ("position('x' in a)", "pg_catalog.position(a, String(\"x\"))"),
    ] {
        assert_eq!(shape(sql), expected, "{sql}");
    }
}

#[test]
fn names_fold_and_keep_their_place() {
    let Statement::Query(Query { body: QueryBody::Select(select), .. }) = one("select\n  Ä.Foo, \"Bar\" from T")
    else {
        panic!("not a SELECT")
    };
    let Target::Expr { expr: Expr { kind: ExprKind::Column(name), place }, .. } = &select.targets[0] else {
        panic!("not a column")
    };
    assert_eq!((name.shown().as_str(), *place), ("Ä.foo", Place(10)));
    let Target::Expr { expr: Expr { kind: ExprKind::Column(name), place }, .. } = &select.targets[1] else {
        panic!("not a column")
    };
    assert_eq!((name.shown().as_str(), *place), ("Bar", Place(17)));
}

#[test]
fn errors_are_postgresqls() {
    for (sql, message, position) in [
        ("select from where", "syntax error at or near \"where\"", None),
        ("selec 1", "syntax error at or near \"selec\"", Some(1)),
        ("select 1 +", "syntax error at end of input", Some(11)),
        ("begin foo", "syntax error at or near \"foo\"", Some(7)),
        ("select 'abc", "unterminated quoted string at or near \"'abc\"", Some(8)),
        ("vacuum 1", "syntax error at or near \"1\"", Some(8)),
        ("copy t from", "syntax error at end of input", Some(12)),
        ("set x", "syntax error at end of input", Some(6)),
    ] {
        let found = error(sql);
        assert_eq!((found.code.as_str(), found.message.as_str()), ("42601", message), "{sql}");
        if position.is_some() {
            assert_eq!(found.position, position, "{sql}");
        }
    }
    assert_eq!(error("create extension foo").code.as_str(), "0A000");
    assert_eq!(error("create extension foo").message, "CREATE EXTENSION is not supported");
}

#[test]
fn statements_are_split_at_semicolons_only() {
    let parsed = parse("select ';' ; ; -- ; comment\n select 2").expect("two statements");
    assert_eq!(parsed.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["select ';'", "select 2"]);
    assert!(parse(" ; -- nothing\n").expect("empty").is_empty());
}

#[test]
fn what_pgbench_sends() {
    for sql in [
        "drop table if exists pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers",
        "create table pgbench_tellers(tid int not null,bid int,tbalance int,filler char(84)) with (fillfactor=100)",
        "create table pgbench_history(tid int,bid int,aid    int,delta int,mtime timestamp,filler char(22))",
        "truncate table pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers",
        "insert into pgbench_accounts(aid,bid,abalance,filler) select aid, (aid - 1) / 100000 + 1, 0, '' from generate_series(1, 1000000) as aid",
        "copy pgbench_accounts from stdin with (freeze on)",
        "copy pgbench_accounts from stdin",
        "vacuum analyze pgbench_branches",
        "alter table pgbench_branches add primary key (bid)",
        "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP)",
        "BEGIN",
        "END",
        "vacuum pgbench_branches",
        "select o.n, p.partstrat, pg_catalog.count(i.inhparent) from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on (n.oid = c.relnamespace) cross join lateral (select pg_catalog.array_position(pg_catalog.current_schemas(true), n.nspname)) as o(n) left join pg_catalog.pg_partitioned_table as p on (p.partrelid = c.oid) left join pg_catalog.pg_inherits as i on (c.oid = i.inhparent) where c.relname = 'pgbench_accounts' and o.n is not null group by 1, 2 order by 1 asc limit 1",
    ] {
        one(sql);
    }
}

#[test]
fn utility_statements() {
    assert_eq!(
        one("start transaction isolation level repeatable read, read only"),
        Statement::Begin {
            modes: TransactionModes {
                as_of: None,
                isolation: Some(trivet_txn::Isolation::RepeatableRead),
                read_only: Some(true),
                deferrable: None
            },
            tag: "START TRANSACTION"
        }
    );
    assert_eq!(
        one("SET search_path TO Public, 'Odd'"),
        Statement::Set {
            name: "search_path".into(),
            value: SetValue::Values(vec!["public".into(), "Odd".into()]),
            local: false
        }
    );
    assert_eq!(one("show transaction isolation level"), Statement::Show(Some("transaction_isolation".into())));
    assert!(matches!(one("fetch all from c"), Statement::Fetch { count: FetchCount::All, .. }));
    assert!(matches!(one("fetch 5 c"), Statement::Fetch { count: FetchCount::Rows(5), .. }));
    assert!(
        matches!(one("prepare p (int, text) as select $1, $2"), Statement::Prepare { types, .. } if types.len() == 2)
    );
    assert!(matches!(one("explain (analyze, costs off) select 1"), Statement::Explain { analyze: true, .. }));
    assert!(matches!(one("explain (select 1)"), Statement::Explain { analyze: false, .. }));
    assert!(matches!(one("rollback to savepoint s"), Statement::RollbackTo(name) if name.text == "s"));
    assert!(
        matches!(one("vacuum (analyze, verbose) a, b"), Statement::Vacuum { analyze: true, tables } if tables.len() == 2)
    );
    let Statement::Copy(copy) = one("copy t (a, b) to stdout csv header delimiter ';'") else { panic!("not a COPY") };
    assert_eq!(copy.options.len(), 3);
}

#[test]
fn no_text_exhausts_the_stack() {
    let long_or = format!("select {}", vec!["a = 1"; 20_000].join(" or "));
    assert!(matches!(one(&long_or), Statement::Query(_)));
    let long_sum = format!("select {}", vec!["1"; 20_000].join(" + "));
    assert_eq!(error(&long_sum).code.as_str(), "54001");
    for (open, close) in [("(", ")"), ("not ", ""), ("- ", ""), ("case when ", " then 1 end"), ("array[", "]")] {
        let nested = format!("select {}1{}", open.repeat(50_000), close.repeat(50_000));
        let code = error(&nested).code.as_str().to_owned();
        assert!(code == "54001" || code == "42601", "{open}: {code}");
    }
    let subqueries = format!("{}select 1{}", "select * from (".repeat(3_000), ") x".repeat(3_000));
    assert_eq!(error(&subqueries).code.as_str(), "54001");
}

#[test]
fn mutations_of_good_statements_never_panic() {
    let good = [
        "select a, count(*) filter (where b > 1) over (partition by c order by d) from t join u using (x) where y in (1,2) group by 1 having sum(z) > 0 order by 1 desc nulls last limit 10 for update",
        "insert into t (a, b) values (1, default) on conflict (a) do update set b = excluded.b returning *",
        "prepare p (int) as update t set a = $1 where b = 'x''y'",
        "copy (select 1) to stdout with (format csv, header true)",
        "create table t (a int primary key, b numeric(10,2) default 1.5 check (b > 0), unique (a, b))",
        "set local timezone = 'UTC'; declare c cursor with hold for select 1; fetch forward 5 from c",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits fit") % below
    };
    let pieces = [
        "(",
        ")",
        "'",
        "\"",
        ";",
        ",",
        "$1",
        "$$",
        "/*",
        "--",
        "\\",
        "é",
        "\0",
        "select",
        "0x",
        "e'",
        "[",
        "::",
        "$99999999999",
    ];
    for round in 0..4_000 {
        let mut characters: Vec<char> = good[round % good.len()].chars().collect();
        for _ in 0..1 + random(3) {
            let at = random(characters.len().max(1)).min(characters.len().saturating_sub(1));
            if characters.is_empty() {
                break;
            }
            match random(3) {
                0 => drop(characters.remove(at)),
                1 => characters.splice(at..at, pieces[random(pieces.len())].chars()).for_each(drop),
                _ => characters.truncate(at.max(1)),
            }
        }
        let _ = parse(&characters.into_iter().collect::<String>());
    }
}

#[test]
fn the_past_is_asked_for_behind_from_or_at_the_end() {
    for (sql, rest) in [
        ("select a from t as of system time '-5s' where b = 1", "select a from t where b = 1"),
        ("select a from t where b = 1 as of system time interval '-5s'", "select a from t where b = 1"),
        ("(select 1) as of system time '-5s'", "(select 1)"),
    ] {
        let (past, now) = (parse(sql).expect(sql), parse(rest).expect(rest));
        assert_eq!(past[0].as_of, Some(AsOf::Ago(5_000_000)), "{sql}");
        let unplaced = |parsed: &Parsed| without_places(&format!("{:?}", parsed.statement));
        assert_eq!(unplaced(&past[0]), unplaced(&now[0]), "{sql}");
    }
    assert_eq!(parse("select 1 as of").expect("of is a name as any other")[0].as_of, None);
    assert_eq!(parse("select 1 from t as of system time now()").expect_err("not a string").code.as_str(), "0A000");
    assert_eq!(parse("select 1 from t as of system time 'x'").expect_err("no time").code.as_str(), "22007");
    assert!(matches!(one("begin as of system time '-1s'"), Statement::Begin { modes, .. } if modes.as_of.is_some()));
}

/// Without places: two texts of the same statement have others.
fn without_places(shown: &str) -> String {
    shown.split("Place(").map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect()
}
