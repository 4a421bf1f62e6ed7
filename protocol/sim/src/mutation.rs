//! Rules that can be taken away, one at a time, by name. A swarm must notice each.
use trivet_log::Sabotage;

type Take = fn(&mut Sabotage);

pub const NAMES: [(&str, Take); 19] = [
    ("lease_unchecked", |s| s.lease_unchecked = true),
    ("ack_before_fsync", |s| s.ack_before_fsync = true),
    ("gate_ignores_masks", |s| s.gate_ignores_masks = true),
    ("gate_ignores_own_mask", |s| s.gate_ignores_own_mask = true),
    ("gate_ignores_other_masks", |s| s.gate_ignores_other_masks = true),
    ("no_adoption", |s| s.no_adoption = true),
    ("witness_votes_unsynced", |s| s.witness_votes_unsynced = true),
    ("infer_without_own_durable", |s| s.infer_without_own_durable = true),
    ("infer_without_leader_durable", |s| s.infer_without_leader_durable = true),
    ("promises_forgotten_at_restart", |s| s.promises_forgotten_at_restart = true),
    ("base_needs_only_leader", |s| s.base_needs_only_leader = true),
    ("lease_without_log", |s| s.lease_without_log = true),
    ("count_older_terms", |s| s.count_older_terms = true),
    ("rejection_believed_at_once", |s| s.rejection_believed_at_once = true),
    ("id_taken_twice", |s| s.id_taken_twice = true),
    ("late_completion_counts", |s| s.late_completion_counts = true),
    ("rot_holds_leases", |s| s.rot_holds_leases = true),
    ("rot_counts", |s| s.rot_counts = true),
    ("rejoin_from_anyone", |s| s.rejoin_from_anyone = true),
];

/// Seven that others have had, from the list of traps, and what each is.
pub const PLANTED: [(&str, &str); 7] = [
    ("late_completion_counts", "a late fsync vouches for an entry that took another's place"),
    ("gate_ignores_own_mask", "the commit rule forgets the leader's own promises"),
    ("promises_forgotten_at_restart", "a node that restarts forgets what it promised"),
    ("witness_votes_unsynced", "the witness votes before its log is on disk"),
    ("rejection_believed_at_once", "a retried proposal is called refused while a copy may still commit"),
    ("rot_counts", "a node that lost its disk votes and acknowledges at once"),
    ("rejoin_from_anyone", "a node that lost its disk begins with the copy of whichever region"),
];

pub fn named(name: &str) -> Option<Sabotage> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, take)| {
        let mut sabotage = Sabotage::default();
        take(&mut sabotage);
        sabotage
    })
}
