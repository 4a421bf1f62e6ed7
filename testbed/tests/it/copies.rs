//! A copy of all directories, taken while every process stands still.
use crate::harness::Bed;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

async fn connect(port: u16) -> Client {
    let config = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("the region lets us in");
    tokio::spawn(connection);
    client
}

/// What was acknowledged by one region while the load ran.
#[derive(Clone, Default)]
struct Writer {
    acknowledged: Arc<Mutex<Vec<i64>>>,
    stopped: Arc<AtomicBool>,
}

impl Writer {
    async fn run(self, port: u16, first: i64) {
        let client = connect(port).await;
        let statement = client.prepare("INSERT INTO kept VALUES ($1)").await.expect("the table is there");
        for id in (first..).step_by(2) {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            // A conflict or a lapse of the lease may refuse one: it is not acknowledged then.
            if client.execute(&statement, &[&id]).await.is_ok() {
                self.acknowledged.lock().expect("no writer panics while it holds this").push(id);
            }
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no writer panics while it holds this").len()
    }
}

#[test]
fn a_copy_taken_while_all_stand_still_starts_clean() {
    let bed = Bed::new();
    bed.up();
    let runtime = Runtime::new().expect("a runtime");
    let writers: Vec<Writer> = runtime.block_on(async {
        connect(bed.ports[0])
            .await
            .batch_execute("CREATE TABLE kept (id bigint PRIMARY KEY)")
            .await
            .expect("it is new");
        let writers = [Writer::default(), Writer::default()];
        for (first, writer) in writers.iter().enumerate() {
            for client in 0..4 {
                let first = first as i64 + client * 1_000_000;
                tokio::spawn(writer.clone().run(bed.ports[(first % 2) as usize], first));
            }
        }
        writers.into()
    });
    let begun = Instant::now();
    while writers.iter().any(|writer| writer.count() < 100) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the regions do not take rows");
        std::thread::sleep(Duration::from_millis(10));
    }

    for place in ["A", "W", "B"] {
        bed.ok(&format!("pause {place}"));
    }
    let acknowledged: BTreeSet<i64> = writers
        .iter()
        .flat_map(|writer| writer.acknowledged.lock().expect("no writer panics while it holds this").clone())
        .collect();
    let copy = bed.file("copy");
    let copied = Command::new("cp").arg("-a").arg(bed.data()).arg(&copy).status().expect("cp is there");
    assert!(copied.success());
    for place in ["A", "W", "B"] {
        bed.ok(&format!("resume {place}"));
    }
    writers.iter().for_each(|writer| writer.stopped.store(true, Ordering::Relaxed));
    bed.ok("down");

    bed.ok(&format!("up --detach --rtt 10ms --data {} --ports {},{}", copy.display(), bed.ports[0], bed.ports[1]));
    let found: Vec<BTreeSet<i64>> = runtime.block_on(async {
        let mut found = Vec::new();
        for port in bed.ports {
            let rows = connect(port).await.query("SELECT id FROM kept", &[]).await.expect("both regions read");
            found.push(rows.iter().map(|row| row.get(0)).collect());
        }
        found
    });
    assert!(acknowledged.is_subset(&found[0]), "lost: {:?}", acknowledged.difference(&found[0]).collect::<Vec<_>>());
    assert_eq!(found[0], found[1]);
    runtime.block_on(async {
        let written = connect(bed.ports[1]).await.execute("INSERT INTO kept VALUES (-1)", &[]).await;
        assert_eq!(written.expect("it serves"), 1);
    });
    bed.ok(&format!("down --data {}", copy.display()));
}
