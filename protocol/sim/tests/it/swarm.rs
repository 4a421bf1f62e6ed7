//! Seeds that must run well. One that fails says how to replay it: `SEED=n cargo nextest run -p trivet-sim one_seed`, or
//! `trivet-sim --seed n --verbose`.
use trivet_log::Sabotage;
use trivet_sim::swarm::{Profile, run};
use trivet_sim::world::Counts;

fn sum(total: &mut Counts, counts: &Counts) {
    total.steps += counts.steps;
    total.exposed += counts.exposed;
    total.elections += counts.elections;
    total.adoptions += counts.adoptions;
    total.truncations += counts.truncations;
    total.engagements += counts.engagements;
    total.activations += counts.activations;
    total.lapses += counts.lapses;
    total.crashes += counts.crashes;
    total.loads += counts.loads;
    total.prunes += counts.prunes;
    total.rejected += counts.rejected;
    total.unknown += counts.unknown;
    total.reads += counts.reads;
    total.reads_asked += counts.reads_asked;
    total.references += counts.references;
}

fn seeds(profile: Profile, range: std::ops::Range<u64>) -> Counts {
    let mut total = Counts::default();
    for seed in range {
        let report = run(seed, profile, Sabotage::default(), false);
        if let Some(violation) = report.violation {
            let profile = format!("{profile:?}").to_lowercase();
            panic!("seed {seed}: {violation}\nreplay: trivet-sim --profile {profile} --seed {seed} --verbose");
        }
        sum(&mut total, &report.counts);
    }
    total
}

/// Every corner is visited, not only by luck of one seed.
fn visits_every_corner(total: &Counts) {
    let corners = [
        ("elections", total.elections),
        ("adoptions of the witness's tail", total.adoptions),
        ("truncations", total.truncations),
        ("engagements of the witness", total.engagements),
        ("leases", total.activations),
        ("crashes", total.crashes),
        ("loads from the journal", total.loads),
        ("prunes", total.prunes),
        ("rejections", total.rejected),
        ("unknown outcomes", total.unknown),
        ("reads", total.reads),
        ("reads by asking the leader", total.reads_asked),
        ("entries by reference", total.references),
    ];
    for (corner, count) in corners {
        assert!(count >= 50, "only {count} {corner}: {total:?}");
    }
}

#[test]
fn seeds_of_everything_1() {
    visits_every_corner(&seeds(Profile::Any, 0..500));
}

#[test]
fn seeds_of_everything_2() {
    visits_every_corner(&seeds(Profile::Any, 1_000_000..1_000_500));
}

#[test]
fn seeds_of_storms() {
    let total = seeds(Profile::Storm, 0..1000);
    assert!(total.elections > 5000, "storms change leaders: {total:?}");
}

#[test]
fn seeds_of_deposed_leaders() {
    let total = seeds(Profile::Deposed, 0..200);
    assert!(total.elections > 800 && total.lapses > 200, "leaders are deposed: {total:?}");
}

/// `SEED=n` runs that one; without it, a seed that once failed.
#[test]
fn one_seed() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(5066);
    for profile in [Profile::Any, Profile::Storm, Profile::Deposed] {
        let report = run(seed, profile, Sabotage::default(), std::env::var("SEED").is_ok());
        let trace = report.trace.join("\n");
        assert!(report.violation.is_none(), "{trace}\nseed {seed}: {}", report.violation.expect("there is one"));
    }
}

#[test]
fn a_seed_runs_the_same_way_twice() {
    for seed in 0..10 {
        let first = run(seed, Profile::Any, Sabotage::default(), true);
        let second = run(seed, Profile::Any, Sabotage::default(), true);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}
