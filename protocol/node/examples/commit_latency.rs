//! How long a commit takes, and what it costs, when the network costs nothing: three nodes in this process over loopback.
//!
//! `cargo run --release -p trivet-node --example commit_latency`
#![allow(clippy::print_stdout)]
#[allow(dead_code)]
#[path = "../tests/it/cluster.rs"]
mod cluster;
#[allow(dead_code)]
#[path = "../tests/it/toy.rs"]
mod toy;

use bytes::Bytes;
use cluster::{A, B, Cluster, W};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use trivet_log::Outcome;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn commit(cluster: &Cluster, place: usize, payload: &Bytes) -> Duration {
    let began = Instant::now();
    let outcome = cluster.propose_bytes(place, payload.clone());
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    began.elapsed()
}

fn measure(what: &str, cluster: &Cluster, place: usize, sessions: usize, each: usize) {
    let payload = Bytes::from(vec![7; 300]);
    let (began, cpu_before) = (Instant::now(), cpu());
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let session = || (0..each).map(|_| commit(cluster, place, &payload)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..sessions).map(|_| scope.spawn(session)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a session")).collect()
    });
    let (took, spent) = (began.elapsed(), cpu() - cpu_before);
    times.sort();
    let count = times.len();
    println!(
        "{what:<44} p50 {:>9.1?}  p99 {:>9.1?}  {:>7.0}/s  {:>7.1?} of CPU each (three nodes and the sessions)",
        times[count / 2],
        times[count * 99 / 100],
        count as f64 / took.as_secs_f64(),
        spent / count as u32,
    );
}

fn main() {
    for memory in [true, false] {
        let mut cluster = Cluster::new();
        for place in [A, B, W] {
            if memory {
                let _ = cluster.use_faulty_files(place);
            }
            cluster.up(place);
        }
        let leader = cluster.leader();
        let follower = cluster.other(leader);
        cluster.write(follower);
        let (began, before) = (Instant::now(), cpu());
        std::thread::sleep(Duration::from_secs(2));
        let share = (cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
        println!("idle, heartbeats of 15 ms: three nodes take {:.1} % of one CPU", share * 100.0);
        let disk = if memory { "memory" } else { "disk" };
        for (name, place) in [("leader", leader), ("follower", follower)] {
            measure(&format!("{disk}, one session at the {name}"), &cluster, place, 1, 500);
            measure(&format!("{disk}, 64 sessions at the {name}"), &cluster, place, 64, 200);
        }
    }
}
