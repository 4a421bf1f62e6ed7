//! Promises of SQL that hold over two regions at once, each with its own processes and a link between them: sequences, unique
//! and foreign keys, definitions while both write, locks, isolation, the past.
use crate::harness::Bed;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinSet;
use trivet_compat::answer::{ErrorShown, Piece};
use trivet_compat::{Address, Answer, Connection, Target};

const REGIONS: [usize; 2] = [0, 1];

struct Session(Connection);

impl Session {
    async fn open(bed: &Bed, region: usize) -> Session {
        let address = SocketAddr::from(([127, 0, 0, 1], bed.ports[region]));
        Session(Connection::open(&Target::new(Address::Tcp(address))).await.expect("the region lets us in"))
    }

    async fn ask(&mut self, sql: &str) -> Result<Answer, ErrorShown> {
        let answer = self.0.ask(sql).await.expect("the region answers");
        assert!(
            !answer.pieces.iter().any(|piece| matches!(piece, Piece::NoAnswer | Piece::Closed)),
            "{sql}: {answer:?}"
        );
        match answer.error() {
            Some(error) => Err(error.clone()),
            None => Ok(answer),
        }
    }

    /// Again and again while it is refused as a conflict; what it is at the end.
    async fn try_hard(&mut self, sql: &str) -> Result<Answer, ErrorShown> {
        for _ in 0..200 {
            match self.ask(sql).await {
                Err(error) if ["40001", "40P01"].contains(&error.code.as_str()) => {}
                other => return other,
            }
        }
        panic!("{sql} was refused 200 times");
    }

    async fn must(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let answer = self.try_hard(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let row = |piece| if let Piece::Row(row) = piece { Some(row) } else { None };
        answer.pieces.into_iter().filter_map(row).collect()
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let rows = self.must(sql).await;
        let first = rows.first().and_then(|row| row.first()).and_then(Option::as_deref);
        first.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{sql} gave {rows:?}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_hold_over_both_regions() {
    let bed = Bed::new();
    bed.up();
    sequences(&bed).await;
    unique_keys(&bed).await;
    foreign_keys(&bed).await;
    definitions_under_load(&bed).await;
    advisory_locks(&bed).await;
    table_locks(&bed).await;
    skipped_rows(&bed).await;
    write_skew(&bed).await;
    the_past(&bed).await;
    bed.ok("down");
}

/// No value comes twice, and each session's rise.
async fn sequences(bed: &Bed) {
    let mut a = Session::open(bed, 0).await;
    a.must("create sequence tickets; create table ticket (id int generated always as identity primary key, place int)")
        .await;
    let mut takers = JoinSet::new();
    for region in REGIONS.repeat(3) {
        let mut session = Session::open(bed, region).await;
        takers.spawn(async move {
            let mut values = Vec::new();
            for _ in 0..100 {
                values.push(session.number("select nextval('tickets')").await);
                session.must(&format!("insert into ticket (place) values ({region})")).await;
            }
            assert!(values.is_sorted(), "{values:?}");
            values
        });
    }
    let all: Vec<i64> = takers.join_all().await.concat();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 600, "a value came twice");
    for region in REGIONS {
        let mut session = Session::open(bed, region).await;
        assert_eq!(session.number("select count(distinct id) from ticket").await, 600);
    }
}

/// Of all that insert a key, one does.
async fn unique_keys(bed: &Bed) {
    let mut a = Session::open(bed, 0).await;
    a.must("create table claimed (key int primary key, name text unique, place int)").await;
    let mut claimers = JoinSet::new();
    for region in REGIONS.repeat(2) {
        let mut session = Session::open(bed, region).await;
        claimers.spawn(async move {
            let mut won = 0_i64;
            for key in 0..60 {
                let sql = format!("insert into claimed values ({key}, 'name {}', {region})", 59 - key);
                match session.try_hard(&sql).await {
                    Ok(_) => won += 1,
                    Err(error) => assert_eq!(error.code, "23505", "{error}"),
                }
            }
            won
        });
    }
    let won: i64 = claimers.join_all().await.into_iter().sum();
    for region in REGIONS {
        let mut session = Session::open(bed, region).await;
        assert_eq!(session.number("select count(*) from claimed").await, won);
        assert_eq!(session.number("select count(distinct name) from claimed").await, won);
        assert!(session.number("select count(*) from claimed where key + substr(name, 6)::int = 59").await == won);
    }
}

/// A session's lock keeps the other region's sessions out until it is given back or its session ends; of two transactions that
/// take one in both regions, one commits.
async fn advisory_locks(bed: &Bed) {
    let (mut a, mut b) = (Session::open(bed, 0).await, Session::open(bed, 1).await);
    let tries = "select pg_try_advisory_lock(41)::int";
    a.must("select pg_advisory_lock(41)").await;
    assert_eq!(b.number(tries).await, 0, "B took what A holds");
    assert_eq!(b.number("select pg_try_advisory_lock_shared(41)::int").await, 0);
    assert_eq!(b.number("select pg_try_advisory_lock(42)::int").await, 1, "another key is free");
    // Who waits in B goes on when A gives it back.
    let waiting = tokio::spawn(async move {
        b.must("select pg_advisory_lock(41)").await;
        b
    });
    let mut other = Session::open(bed, 1).await;
    assert_eq!(other.number(tries).await, 0);
    assert!(!waiting.is_finished(), "B went on although A holds it");
    assert_eq!(a.number("select pg_advisory_unlock(41)::int").await, 1);
    let mut b = waiting.await.expect("the waiting session goes on");
    assert_eq!(a.number(tries).await, 0, "A took what B holds");
    assert_eq!(b.number("select pg_advisory_unlock(41)::int").await, 1);
    // A lock goes with its session.
    a.must("select pg_advisory_lock(43)").await;
    assert_eq!(b.number("select pg_try_advisory_lock(43)::int").await, 0);
    drop(a);
    b.must("select pg_advisory_lock(43)").await;
    assert_eq!(b.number("select count(*) from (select pg_advisory_unlock_all()) x").await, 1);
    // Locks of transactions meet at their commits.
    let (mut a, mut b) = (Session::open(bed, 0).await, Session::open(bed, 1).await);
    a.must("create table guarded (place int)").await;
    for (session, place) in [(&mut a, 0), (&mut b, 1)] {
        session.must("begin").await;
        session.must("select pg_advisory_xact_lock(44)").await;
        session.must(&format!("insert into guarded values ({place})")).await;
    }
    let first = a.ask("commit").await.map(|_| ());
    let second = b.ask("commit").await.map(|_| ());
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second.expect_err("both held it").code, "40001");
    assert_eq!(a.number("select count(*) from guarded").await, 1);
}

/// LOCK TABLE in one region and a row written in the other: one of them does not commit.
async fn table_locks(bed: &Bed) {
    let (mut a, mut b) = (Session::open(bed, 0).await, Session::open(bed, 1).await);
    a.must("create table locked (n int)").await;
    a.must("insert into locked values (0)").await;
    assert_eq!(b.number("select count(*) from locked").await, 1);
    a.must("begin").await;
    a.must("lock table locked in exclusive mode").await;
    let seen = a.number("select count(*) from locked").await;
    b.must("insert into locked values (1)").await;
    a.must(&format!("insert into locked values ({})", 100 + seen)).await;
    assert_eq!(a.ask("commit").await.expect_err("B wrote under A's lock").code, "40001");
    assert_eq!(a.number("select count(*) from locked where n >= 100").await, 0);
    // Within a region it waits.
    let mut other = Session::open(bed, 0).await;
    a.must("begin").await;
    a.must("lock table locked in exclusive mode").await;
    let refused = other.ask("lock table locked in share mode nowait").await.map(|_| ());
    assert_eq!(refused.expect_err("outside of a block").code, "25P01");
    other.must("begin").await;
    let refused = other.ask("lock table locked in share mode nowait").await.map(|_| ());
    assert_eq!(refused.expect_err("A holds it").code, "55P03");
    other.must("rollback").await;
    a.must("commit").await;
}

/// SKIP LOCKED passes over what sessions of its own region hold; what the other region took first is refused at COMMIT.
async fn skipped_rows(bed: &Bed) {
    let (mut a, mut b) = (Session::open(bed, 0).await, Session::open(bed, 1).await);
    a.must("create table job (id int primary key, taken_by int)").await;
    a.must("insert into job select g, null from generate_series(1, 20) g").await;
    const NEXT: &str = "select id from job where taken_by is null order by id limit 1 for update skip locked";
    let mut other = Session::open(bed, 0).await;
    a.must("begin").await;
    other.must("begin").await;
    assert_eq!((a.number(NEXT).await, other.number(NEXT).await), (1, 2));
    a.must("rollback").await;
    other.must("rollback").await;
    // The other region does not see the lock, and then not the commit.
    a.must("begin").await;
    b.must("begin").await;
    let (first, second) = (a.number(NEXT).await, b.number(NEXT).await);
    assert_eq!((first, second), (1, 1));
    a.must(&format!("update job set taken_by = 0 where id = {first}")).await;
    b.must(&format!("update job set taken_by = 1 where id = {second}")).await;
    a.must("commit").await;
    assert_eq!(b.ask("commit").await.expect_err("A took it").code, "40001");
    // Workers of both regions share the rest out: each job is done once.
    let mut workers = JoinSet::new();
    for region in REGIONS.repeat(2) {
        let mut session = Session::open(bed, region).await;
        workers.spawn(async move {
            let take = format!(
                "update job set taken_by = {region} where id = (select id from job where taken_by is null order by id limit 1 for update skip locked) returning id"
            );
            let mut done = 0;
            while !session.must(&take).await.is_empty() {
                done += 1;
            }
            done
        });
    }
    let done: i64 = workers.join_all().await.into_iter().sum();
    assert_eq!(done, 19, "a job was done twice or never");
    assert_eq!(b.number("select count(*) from job where taken_by is null").await, 0);
}

/// Two doctors, one in each region, each go off duty because the other is on: under SERIALIZABLE one of them is refused.
async fn write_skew(bed: &Bed) {
    let (mut a, mut b) = (Session::open(bed, 0).await, Session::open(bed, 1).await);
    a.must("create table doctor (name text primary key, on_duty bool not null)").await;
    for (isolation, refused) in [("serializable", true), ("repeatable read", false)] {
        a.must("delete from doctor").await;
        a.must("insert into doctor values ('a', true), ('b', true)").await;
        for (session, name) in [(&mut a, "a"), (&mut b, "b")] {
            session.must(&format!("begin isolation level {isolation}")).await;
            assert_eq!(session.number("select count(*) from doctor where on_duty").await, 2);
            session.must(&format!("update doctor set on_duty = false where name = '{name}'")).await;
        }
        let outcomes = [a.ask("commit").await.map(|_| ()), b.ask("commit").await.map(|_| ())];
        let codes: Vec<&str> =
            outcomes.iter().filter_map(|one| one.as_ref().err()).map(|one| one.code.as_str()).collect();
        assert_eq!(codes, if refused { vec!["40001"] } else { vec![] }, "{isolation}");
        let left = a.number("select count(*) from doctor where on_duty").await;
        assert_eq!(left, i64::from(refused), "{isolation}");
    }
}

/// What was committed in one region is the past of the other, too.
async fn the_past(bed: &Bed) {
    let (mut a, mut b) = (Session::open(bed, 0).await, Session::open(bed, 1).await);
    a.must("create table told (n int)").await;
    a.must("insert into told values (1)").await;
    let before = a.must("select clock_timestamp()::text, pg_sleep(0.2)").await[0][0].clone().expect("a time");
    b.must("insert into told values (2)").await;
    for session in [&mut a, &mut b] {
        assert_eq!(session.number("select count(*) from told").await, 2);
        let then = format!("select count(*) from told as of system time '{before}'");
        assert_eq!(session.number(&then).await, 1, "what came later is seen in the past");
    }
    let refused = b.ask(&format!("begin as of system time '{before}'; insert into told values (3)")).await.map(|_| ());
    assert_eq!(refused.expect_err("the past is read only").code, "25006");
    b.ask("rollback").await.expect("the block ends");
}

/// Parents go in one region while children come in the other: no child is left alone.
async fn foreign_keys(bed: &Bed) {
    let mut a = Session::open(bed, 0).await;
    a.must("create table parent (id int primary key, name text)").await;
    a.must("create table child (id bigserial primary key, parent int not null references parent)").await;
    a.must("create table leaf (id bigserial primary key, parent int references parent on delete cascade)").await;
    a.must("insert into parent select g, 'parent ' || g from generate_series(1, 40) g").await;
    let mut writers = JoinSet::new();
    for (seed, region) in REGIONS.repeat(3).into_iter().enumerate() {
        let mut session = Session::open(bed, region).await;
        writers.spawn(async move {
            let mut random = SmallRng::seed_from_u64(seed as u64);
            let mut refused = 0;
            for _ in 0..60 {
                let parent = random.random_range(1..=40);
                let sql = match random.random_range(0..6) {
                    0 | 1 => format!("delete from parent where id = {parent}"),
                    2 => format!("insert into parent values ({parent}, 'again') on conflict do nothing"),
                    3 => format!("insert into child (parent) values ({parent})"),
                    4 => format!("delete from child where parent = {parent}"),
                    _ => format!("insert into leaf (parent) values ({parent})"),
                };
                if let Err(error) = session.try_hard(&sql).await {
                    assert_eq!(error.code, "23503", "{sql}: {error}");
                    refused += 1;
                }
            }
            refused
        });
    }
    let refused: usize = writers.join_all().await.into_iter().sum();
    assert!(refused > 0, "nobody met a key of another");
    for region in REGIONS {
        let mut session = Session::open(bed, region).await;
        for table in ["child", "leaf"] {
            let alone =
                format!("select count(*) from {table} c where not exists (select from parent where id = c.parent)");
            assert_eq!(session.number(&alone).await, 0, "rows of {table} without a parent in region {region}");
        }
    }
}

/// A table is altered and indexed while both regions write it. Each statement sees it before or after; nothing is lost.
async fn definitions_under_load(bed: &Bed) {
    let mut a = Session::open(bed, 0).await;
    let mut b = Session::open(bed, 1).await;
    a.must("create table busy (id bigint primary key, place int, amount int not null)").await;
    let (stop, inserted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for (number, region) in REGIONS.repeat(2).into_iter().enumerate() {
        let mut session = Session::open(bed, region).await;
        let (stop, inserted) = (Arc::clone(&stop), Arc::clone(&inserted));
        writers.spawn(async move {
            let mut id = number as u64;
            while !stop.load(Ordering::Relaxed) {
                session.must(&format!("insert into busy (id, place, amount) values ({id}, {region}, 1)")).await;
                session.must(&format!("update busy set amount = amount + 1 where id = {id}")).await;
                inserted.fetch_add(1, Ordering::Relaxed);
                id += 4;
            }
        });
    }
    let definitions = [
        (0, "alter table busy add column note text default 'none'"),
        (1, "create index busy_by_place on busy (place, amount)"),
        (0, "alter table busy alter column note set default 'some'"),
        (1, "alter table busy add column extra int"),
        (0, "create unique index busy_id_note on busy (id, note)"),
        (1, "alter table busy drop column extra"),
        (0, "alter table busy rename column note to remark"),
        (1, "create view busier as select place, count(*) as rows, sum(amount) as amount from busy group by place"),
    ];
    for (region, sql) in definitions {
        // Not before everybody has written since the last one.
        let before = inserted.load(Ordering::Relaxed);
        while inserted.load(Ordering::Relaxed) < before + 8 {
            a.must("select 1").await;
        }
        [&mut a, &mut b][region].must(sql).await;
    }
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    let inserted = inserted.load(Ordering::Relaxed) as i64;
    let questions = [
        ("select count(*) from busy", inserted),
        ("select sum(amount) from busier", 2 * inserted),
        ("select count(*) from busy where remark in ('none', 'some')", inserted),
        // By the index, and not.
        ("select count(*) from busy where place = 0 and amount = 2", -1),
        ("select count(*) from busy where place + 0 = 0 and amount + 0 = 2", -1),
    ];
    let mut answers = Vec::new();
    for session in [&mut a, &mut b] {
        for (sql, expected) in questions {
            let found = session.number(sql).await;
            assert!(expected < 0 || found == expected, "{sql}: {found}, not {expected}");
            answers.push(found);
        }
    }
    assert_eq!(answers[3], answers[4], "the index has what the table has");
    assert_eq!(answers[..5], answers[5..], "both regions say the same");
}
