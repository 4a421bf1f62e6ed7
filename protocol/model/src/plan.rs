//! The searches that are run by name: what a test has time for, and what a person has.
use crate::rules::Rule;
use crate::search::Bounds;
use crate::settle::Pace;

const LEASES: Bounds =
    Bounds { terms: 2, log: 3, crashes: 1, grants: 1, leases: true, proposes: false, reads: 0, pace: Pace::Eager };
const NO_LEASES: Bounds = Bounds { terms: 3, grants: 0, leases: false, ..LEASES };

/// Less than a minute.
pub const SMALL: [Bounds; 6] = [
    LEASES,
    NO_LEASES,
    Bounds { log: 4, crashes: 0, ..NO_LEASES },
    Bounds { crashes: 0, proposes: true, ..NO_LEASES },
    Bounds { crashes: 0, grants: 0, reads: 1, ..LEASES },
    Bounds { grants: 0, reads: 1, ..LEASES },
];

/// A quarter of an hour, and some gigabytes of memory.
pub const LARGE: [Bounds; 11] = [
    Bounds { crashes: 3, grants: 0, ..LEASES },
    Bounds { crashes: 4, ..NO_LEASES },
    Bounds { log: 4, crashes: 0, terms: 2, proposes: true, ..NO_LEASES },
    Bounds { proposes: true, ..NO_LEASES },
    Bounds { crashes: 0, reads: 1, ..LEASES },
    Bounds { crashes: 2, grants: 0, reads: 2, ..LEASES },
    Bounds { crashes: 2, grants: 2, ..LEASES },
    Bounds { log: 4, crashes: 2, ..NO_LEASES },
    Bounds { log: 4, ..LEASES },
    Bounds { terms: 3, ..LEASES },
    Bounds { terms: 5, log: 4, crashes: 0, ..NO_LEASES },
];

/// Every rule that is missed when it is gone, and the bounds in which it is. Those of `not_missed` stay for other reasons,
/// which `docs/protocol-model.md` gives.
pub fn missed() -> Vec<(Vec<Rule>, Bounds)> {
    let short = Bounds { log: 2, ..LEASES };
    let retried = Bounds { terms: 2, log: 4, crashes: 0, proposes: true, ..NO_LEASES };
    let alone = |rules: &[Rule], bounds: Bounds| rules.iter().map(|rule| (vec![*rule], bounds)).collect::<Vec<_>>();
    let of_leases = [
        Rule::GateVisibility,
        Rule::OwnPromisesGate,
        Rule::WitnessPromisesGate,
        Rule::DeposedPromisesGate,
        Rule::GateCountsDurable,
        Rule::ActivateWithLast,
        Rule::PromiserRemembers,
        Rule::BootInPromise,
        Rule::AdoptTail,
        Rule::UpToDateVote,
        Rule::VoteDurable,
        Rule::AckMatched,
        Rule::InferLeaderDurable,
        Rule::InferOwnDurable,
        Rule::WindowRegionsDurable,
    ];
    let lazy = Bounds { terms: 1, crashes: 0, grants: 0, reads: 1, pace: Pace::Lazy, ..short };
    let pair = vec![Rule::WitnessSyncsBeforeVote, Rule::DonorUnchanged];
    [
        alone(&of_leases, short),
        alone(&[Rule::OwnTermCommit], Bounds { terms: 4, crashes: 0, ..NO_LEASES }),
        alone(&[Rule::IdOnce, Rule::DecideOnce, Rule::RefusalOfLatestTerm], retried),
        alone(&[Rule::RefusalAwaitsCommit], Bounds { terms: 3, log: 3, ..retried }),
        alone(&[Rule::ReadWaits], Bounds { pace: Pace::Eager, ..lazy }),
        // being eager hides it: a leader's commit is behind only if it is late to expose
        alone(&[Rule::ReadAtReceived], lazy),
        vec![(pair, Bounds { terms: 2, ..NO_LEASES })],
    ]
    .concat()
}

/// Rules that may go, alone, without a counterexample.
pub const NOT_MISSED: [Rule; 6] = [
    Rule::WitnessPromisesLeader,
    Rule::WitnessSyncsBeforeVote,
    Rule::DonorUnchanged,
    Rule::SyncBeforeLead,
    Rule::InferOwnTerm,
    Rule::WindowCommitted,
];
