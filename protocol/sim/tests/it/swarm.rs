//! Seeds that must run well. One that fails says how to replay it: `SEED=n cargo nextest run -p trivet-sim one_seed`, or as it
//! prints.
use trivet_log::Sabotage;
use trivet_sim::swarm::{Plan, Profile, Summary, run, run_all};

fn seeds(profile: Option<Profile>, from: u64, seeds: u64) -> Summary {
    let plan = Plan { from, seeds, within: None, profile, sabotage: Sabotage::default(), all: false };
    let summary = run_all(&plan, |_| {});
    if let Some(failure) = summary.failures.first() {
        panic!("seed {}: {}\nreplay: {}", failure.seed, failure.violation, failure.replay());
    }
    summary
}

/// Every corner is visited, not only by luck of one seed.
#[test]
fn seeds_of_everything() {
    let total = seeds(None, 0, 600).counts;
    let corners = [
        ("elections", total.elections),
        ("adoptions of the witness's tail", total.adoptions),
        ("truncations", total.truncations),
        ("engagements of the witness", total.engagements),
        ("leases", total.activations),
        ("crashes", total.crashes),
        ("crashes that left a part of what was not synced", total.survivals),
        ("pauses", total.pauses),
        ("loads from the journal", total.loads),
        ("prunes", total.prunes),
        ("rejections", total.rejected),
        ("unknown outcomes", total.unknown),
        ("reads", total.reads),
        ("reads by asking the leader", total.reads_asked),
        ("entries by reference", total.references),
        ("full disks", total.disks_full),
        ("syncs that failed", total.syncs_failed),
        ("rotten journals", total.rots),
        ("repairs", total.repairs),
        ("ejections", total.ejections),
        ("readmissions", total.readmissions),
    ];
    for (corner, count) in corners {
        assert!(count >= 15, "only {count} {corner}: {total:?}");
    }
}

#[test]
fn seeds_of_storms() {
    let total = seeds(Some(Profile::Storm), 0, 600).counts;
    assert!(total.elections > 3000, "storms change leaders: {total:?}");
}

#[test]
fn seeds_of_deposed_leaders() {
    let total = seeds(Some(Profile::Deposed), 0, 200).counts;
    assert!(total.elections > 800 && total.lapses > 200, "leaders are deposed: {total:?}");
}

#[test]
fn seeds_of_bad_disks() {
    let total = seeds(Some(Profile::Disks), 0, 400).counts;
    assert!(total.rots >= 50 && total.disks_full >= 30 && total.syncs_failed >= 100, "disks are bad: {total:?}");
}

#[test]
fn seeds_of_lost_disks() {
    let total = seeds(Some(Profile::Lost), 0, 400).counts;
    assert!(total.losses >= 400 && total.rejoins >= 400, "disks are lost, and regions come back: {total:?}");
}

/// Beyond the bound a strong read may be stale, and is; nothing else may be wrong.
#[test]
fn seeds_of_wild_clocks() {
    let total = seeds(Some(Profile::Clocks), 0, 300).counts;
    assert!(total.excused > 100, "clocks that are off by so much are noticed: {total:?}");
}

/// `SEED=n` runs that one; without it, a seed that once failed.
#[test]
fn one_seed() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(5066);
    for profile in Profile::ALL {
        let report = run(seed, profile, Sabotage::default(), std::env::var("SEED").is_ok());
        let trace = report.trace.join("\n");
        assert!(report.violation.is_none(), "{trace}\nseed {seed}: {}", report.violation.expect("there is one"));
    }
}

#[test]
fn a_seed_runs_the_same_way_twice() {
    for seed in 0..10 {
        let first = run(seed, Profile::of(seed), Sabotage::default(), true);
        let second = run(seed, Profile::of(seed), Sabotage::default(), true);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}
