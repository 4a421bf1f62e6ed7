//! The rules that can be taken away, each with what `docs/protocol.md` says.
use std::fmt;
use std::str::FromStr;

/// One rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    GateVisibility,
    OwnPromisesGate,
    WitnessPromisesGate,
    DeposedPromisesGate,
    GateCountsDurable,
    ActivateWithLast,
    PromiserRemembers,
    BootInPromise,
    WitnessPromisesLeader,
    AdoptTail,
    WitnessSyncsBeforeVote,
    DonorUnchanged,
    SyncBeforeLead,
    UpToDateVote,
    VoteDurable,
    AckMatched,
    OwnTermCommit,
    InferLeaderDurable,
    InferOwnDurable,
    InferOwnTerm,
    WindowRegionsDurable,
    WindowCommitted,
    IdOnce,
    DecideOnce,
    RefusalOfLatestTerm,
    RefusalAwaitsCommit,
    ReadWaits,
    ReadAtReceived,
}

use Rule::*;

impl Rule {
    pub const ALL: [Rule; 28] = [
        GateVisibility,
        OwnPromisesGate,
        WitnessPromisesGate,
        DeposedPromisesGate,
        GateCountsDurable,
        ActivateWithLast,
        PromiserRemembers,
        BootInPromise,
        WitnessPromisesLeader,
        AdoptTail,
        WitnessSyncsBeforeVote,
        DonorUnchanged,
        SyncBeforeLead,
        UpToDateVote,
        VoteDurable,
        AckMatched,
        OwnTermCommit,
        InferLeaderDurable,
        InferOwnDurable,
        InferOwnTerm,
        WindowRegionsDurable,
        WindowCommitted,
        IdOnce,
        DecideOnce,
        RefusalOfLatestTerm,
        RefusalAwaitsCommit,
        ReadWaits,
        ReadAtReceived,
    ];

    /// Those of them that are about proposals and reads, which only a search with those can miss.
    pub const OF_CLIENTS: [Rule; 6] =
        [IdOnce, DecideOnce, RefusalOfLatestTerm, RefusalAwaitsCommit, ReadWaits, ReadAtReceived];

    /// As the command line spells it, and what the rule says.
    fn text(self) -> (&'static str, &'static str) {
        match self {
            GateVisibility => ("gate-visibility", "promises gate exposing, not only acknowledging"),
            OwnPromisesGate => ("own-promises-gate", "the leader's own promises are in the gate"),
            WitnessPromisesGate => ("witness-promises-gate", "the witness's promises are in the gate"),
            DeposedPromisesGate => ("deposed-promises-gate", "a promise outlives a change of term"),
            GateCountsDurable => ("gate-counts-durable", "the gate counts what is durable, not what is received"),
            ActivateWithLast => ("activate-with-last", "a promise activates once the log holds its last entry"),
            PromiserRemembers => ("promiser-remembers", "a promise survives the promiser's restart"),
            BootInPromise => ("boot-in-promise", "a promise is for one boot of its holder"),
            WitnessPromisesLeader => ("witness-promises-leader", "the witness promises only the leader of its term"),
            AdoptTail => ("adopt-tail", "a candidate adopts the witness's newer tail"),
            WitnessSyncsBeforeVote => ("witness-syncs-before-vote", "the witness fsyncs its tail before it votes"),
            DonorUnchanged => ("donor-unchanged", "the tail is adopted only as it was when the witness voted"),
            SyncBeforeLead => ("sync-before-lead", "an adopted tail is fsynced before leading"),
            UpToDateVote => ("up-to-date-vote", "a region votes only for a log at least as new as its own"),
            VoteDurable => ("vote-durable", "term and vote are durable before the vote leaves"),
            AckMatched => ("ack-matched", "only entries that match the leader's are acknowledged"),
            OwnTermCommit => ("own-term-commit", "a leader counts only entries of its own term"),
            InferLeaderDurable => ("infer-leader-durable", "inference needs the leader's disk to have the entry"),
            InferOwnDurable => ("infer-own-durable", "inference needs one's own disk to have the entry"),
            InferOwnTerm => ("infer-own-term", "inference only for entries of the current term"),
            WindowRegionsDurable => ("window-regions-durable", "the window's base is durable in every region"),
            WindowCommitted => ("window-committed", "the window's base is committed"),
            IdOnce => ("id-once", "a leader does not append a proposal that its log holds"),
            DecideOnce => ("decide-once", "a leader decides on a proposal once in its term"),
            RefusalOfLatestTerm => ("refusal-of-latest-term", "a refusal counts only in the term of the latest send"),
            RefusalAwaitsCommit => ("refusal-awaits-commit", "after a retry it counts only once its term has a commit"),
            ReadWaits => ("read-waits", "a read waits for what is pending at or below its snapshot"),
            ReadAtReceived => ("read-at-received", "a read at the leader begins at the last entry received"),
        }
    }

    pub fn name(self) -> &'static str {
        self.text().0
    }

    pub fn meaning(self) -> &'static str {
        self.text().1
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Rule, String> {
        Rule::ALL.into_iter().find(|rule| rule.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
            format!("no such rule; there are {}", names.join(", "))
        })
    }
}

/// The rules that hold: all but those taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    removed: u32,
}

impl Rules {
    pub fn all() -> Rules {
        Rules::default()
    }

    pub fn without(rules: &[Rule]) -> Rules {
        Rules { removed: rules.iter().fold(0, |removed, &rule| removed | 1 << rule as u32) }
    }

    pub fn hold(self, rule: Rule) -> bool {
        self.removed & (1 << rule as u32) == 0
    }

    pub fn removed(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |&rule| !self.hold(rule))
    }
}
