//! What nodes say to each other, written down. `UPDATE_TRANSCRIPTS=1 cargo nextest run -p trivet-sim transcripts` writes the
//! files anew; read the difference as a reviewer would.
//!
//! Times are milliseconds since the scene began, all round trips 60 ms, every fsync 1 ms. Left out: heartbeats, arrivals (a
//! message arrives 30 ms after it left), what is lost, and pre-votes that are refused.
use std::fmt::Write as _;
use trivet_sim::world::*;

fn scene() -> World {
    let mut world = World::new(Settings {
        propose_every: 0,
        read_every: 0,
        fsync: (MILLISECOND, MILLISECOND),
        trace: true,
        seed: 4,
        ..Settings::default()
    });
    world
        .run_until_holds("starts", 10 * SECOND, |world| {
            world.leader().is_some() && world.has_lease(A) && world.has_lease(B)
        })
        .expect("a world without faults starts");
    if world.leader() != Some(A) {
        world.act(Action::HandOver { to: A });
        world.run_until_holds("hands over", SECOND, |world| world.leader() == Some(A)).expect("A leads");
    }
    world.run_until(world.time + 2500 * MILLISECOND).expect("nothing is broken");
    world.trace.clear();
    world
}

fn compare(file: &str, title: &str, world: &World, began: u64) {
    let mut text = format!("# {title}\n");
    for line in &world.trace {
        let (time, rest) = line.trim_start().split_once(' ').expect("a line begins with its time");
        let hidden = [
            "Heartbeat",
            " <- ",
            "Applied",
            "Apply",
            "Prune",
            "Peer",
            "Lease",
            "Window",
            "PreVote {",
            "granted: false",
            "(lost)",
        ];
        let kept = ["<- Propose", "WitnessEngaged", "AdoptedWitness"];
        if hidden.iter().any(|word| rest.contains(word)) && !kept.iter().any(|word| rest.contains(word)) {
            continue;
        }
        let seconds: f64 = time.parse().expect("the time is a number");
        writeln!(text, "{:>8.1}  {rest}", (seconds - began as f64 / 1e9) * 1000.0)
            .expect("writing to a string succeeds");
    }
    let path = format!("{}/tests/it/transcripts/{file}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("UPDATE_TRANSCRIPTS").is_ok() {
        std::fs::write(&path, &text).expect("the transcript is written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(known, text, "{path} differs; UPDATE_TRANSCRIPTS=1 writes it anew");
}

#[test]
fn a_commit_from_each_region() {
    let mut world = scene();
    let began = world.time;
    world.propose_keys(B, &[1]).expect("B runs");
    world.run_until(began + 200 * MILLISECOND).expect("nothing is broken");
    world.propose_keys(A, &[2]).expect("A runs");
    world.run_until(began + 400 * MILLISECOND).expect("nothing is broken");
    compare(
        "commit",
        "One commit from the follower's region, then one from the leader's: a round trip each",
        &world,
        began,
    );
}

#[test]
fn a_leader_is_lost_after_the_follower_was_cut_off() {
    let mut world = scene();
    let began = world.time;
    for (from, to) in [(A, B), (B, A)] {
        world.act(Action::Cut { from, to });
    }
    world.run_until(began + 500 * MILLISECOND).expect("nothing is broken");
    world.propose_keys(A, &[1]).expect("A runs");
    world.run_until(began + 1500 * MILLISECOND).expect("nothing is broken");
    world.act(Action::Crash { node: A, down_for: 60 * SECOND, reboot: false });
    world.run_until(began + 3600 * MILLISECOND).expect("nothing is broken");
    compare(
        "adoption",
        "B is cut off from A, who commits with the witness; A is lost; B takes the witness's log and leads",
        &world,
        began,
    );
}

#[test]
fn two_regions_write_the_same_key() {
    let mut world = scene();
    let began = world.time;
    world.propose_keys(A, &[1]).expect("A runs");
    world.propose_keys(B, &[1]).expect("B runs");
    world.run_until(began + 200 * MILLISECOND).expect("nothing is broken");
    compare(
        "conflict",
        "Both regions write a key at once: the second in the log's order is refused, in one round trip",
        &world,
        began,
    );
}
