//! Each rule, taken away, is missed: some seed breaks an invariant within a bounded number. A checker that stops failing
//! here is a bug in the checker.
use trivet_log::Sabotage;
use trivet_sim::mutation::NAMES;
use trivet_sim::swarm::{Profile, run};

/// The rarest is caught about twice in a thousand.
const SEEDS_MAX: u64 = 6000;

fn is_caught(name: &str, profile: Profile, rules: &[&str]) {
    let (_, take) = NAMES.iter().find(|(known, _)| *known == name).expect("the sabotage has a name");
    let mut sabotage = Sabotage::default();
    take(&mut sabotage);
    let caught = (0..SEEDS_MAX).find_map(|seed| {
        let violation = run(seed, profile, sabotage, false).violation?;
        Some((seed, violation))
    });
    let Some((seed, violation)) = caught else { panic!("{name}: nothing noticed in {SEEDS_MAX} seeds") };
    assert!(rules.contains(&violation.rule), "{name} is caught by something else, seed {seed}: {violation}");
}

macro_rules! mutations {
    ($($name:ident in $profile:ident: $rules:expr;)*) => {
        $(#[test]
        fn $name() {
            is_caught(stringify!($name), Profile::$profile, &$rules);
        })*

        #[test]
        fn every_sabotage_is_tried() {
            let tried = [$(stringify!($name)),*];
            for (name, _) in NAMES {
                assert!(tried.contains(&name), "{name} is not tried");
            }
        }
    };
}

mutations! {
    lease_unchecked in Storm: ["I3", "I5", "I5 stale"];
    ack_before_fsync in Storm: ["I1", "I2", "I3", "I4", "fatal"];
    gate_ignores_masks in Storm: ["I3", "I5", "I5 stale"];
    gate_ignores_own_mask in Storm: ["I3", "I5", "I5 stale"];
    gate_ignores_other_masks in Deposed: ["I3", "I5", "I5 stale"];
    no_adoption in Storm: ["I1", "I2", "I3", "I4", "I6", "fatal"];
    witness_votes_unsynced in Storm: ["one leader", "I1", "I2", "I3", "I4", "fatal"];
    infer_without_own_durable in Storm: ["I1", "I2", "I3", "I4", "fatal"];
    infer_without_leader_durable in Storm: ["I1", "I2", "I3", "I4", "fatal"];
    promises_forgotten_at_restart in Storm: ["I3", "I5", "I5 stale"];
    base_needs_only_leader in Storm: ["I4", "I2", "I6", "prune", "fatal"];
    lease_without_log in Storm: ["I3", "I5", "I5 stale"];
    count_older_terms in Storm: ["I1", "I2", "prune", "fatal"];
    rejection_believed_at_once in Deposed: ["refused"];
    id_taken_twice in Deposed: ["refused", "once", "resolved once"];
    late_completion_counts in Storm: ["I1", "I2", "I3", "I4", "fatal", "apply"];
    rot_holds_leases in Disks: ["I3", "I5", "I5 stale"];
    rot_counts in Lost: ["I1", "I2", "I3", "I4", "one leader", "refused", "fatal", "prune"];
    rejoin_from_anyone in Lost: ["I1", "I2", "I3", "I4", "one leader", "fatal", "prune"];
}
