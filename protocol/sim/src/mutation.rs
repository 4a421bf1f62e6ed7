//! Rules that can be taken away, one at a time, by name. A swarm must notice each.
use trivet_log::Sabotage;

type Take = fn(&mut Sabotage);

pub const NAMES: [(&str, Take); 16] = [
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
];
