//! Searching: the model as stateright sees it, bounds, and what came out.
use crate::action::{Action, apply, enabled, initial};
use crate::invariants::{Coverage, Invariant, Milestone};
use crate::log::LOG_MAX;
use crate::rules::Rules;
use crate::settle::Pace;
use crate::state::{State, TERM_MAX};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::fmt;
use std::time::{Duration, Instant};

/// How far a search goes. Exhaustive within: every order of events.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Bounds {
    /// Highest term; the first is 1.
    pub terms: u8,
    /// Longest log, no-ops included; the first entry is everywhere at the start.
    pub log: u8,
    pub crashes: u8,
    /// Promises made after the start.
    pub grants: u8,
    /// Whether the regions have promised each other at the start.
    pub leases: bool,
    /// Whether a region proposes something, and retries it.
    pub proposes: bool,
    /// Strong reads.
    pub reads: u8,
    pub pace: Pace,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "terms {}, log {}, crashes {}, grants {}, {}{}{}{}",
            self.terms,
            self.log,
            self.crashes,
            self.grants,
            if self.leases { "leases" } else { "no leases" },
            if self.proposes { ", a proposal" } else { "" },
            if self.reads > 0 { ", a read" } else { "" },
            if self.pace == Pace::Lazy { ", lazy" } else { "" }
        )
    }
}

/// One search: bounds, rules, and the machine's share.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    pub bounds: Bounds,
    pub rules: Rules,
    pub threads: usize,
    /// Give up after this long.
    pub within: Duration,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    pub states: usize,
    pub depth: usize,
    pub elapsed: Duration,
    /// Every state within the bounds was visited (or a counterexample ended the search).
    pub complete: bool,
    pub finding: Option<Finding>,
    pub reached: Vec<Milestone>,
}

/// A shortest way to break an invariant.
#[derive(Clone, Debug)]
pub struct Finding {
    pub invariant: Invariant,
    pub initial: State,
    pub steps: Vec<(Action, State)>,
}

#[derive(Clone)]
struct Protocol {
    bounds: Bounds,
    rules: Rules,
    coverage: Coverage,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![initial(&self.bounds, self.rules, &self.coverage)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        enabled(state, &self.bounds, self.rules, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let next = apply(state, action, self.rules, self.bounds.pace, &self.coverage);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        vec![Property::always(SOUND, |_, state| Invariant::broken_by(state).is_none())]
    }
}

const SOUND: &str = "all invariants hold";

impl Search {
    /// Runs to the end, a counterexample or the time limit; `progress` hears of unique states and depth each second.
    pub fn run(&self, mut progress: impl FnMut(usize, usize)) -> Report {
        assert!(self.bounds.terms <= TERM_MAX && self.bounds.log <= LOG_MAX, "the bounds are beyond the model's");
        let begun = Instant::now();
        let coverage = Coverage::default();
        let protocol = Protocol { bounds: self.bounds, rules: self.rules, coverage: coverage.clone() };
        let first = protocol.init_states()[0];
        let checker = protocol
            .checker()
            .threads(self.threads)
            .timeout(self.within)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs();
        let mut told = Instant::now();
        while !checker.is_done() {
            // The checker has no way to wait with a bound; ten milliseconds are nothing beside a search.
            std::thread::sleep(Duration::from_millis(10));
            if told.elapsed() >= Duration::from_secs(1) {
                progress(checker.unique_state_count(), checker.max_depth());
                told = Instant::now();
            }
        }
        let elapsed = begun.elapsed();
        let finding = checker.discovery(SOUND).map(|path| finding(first, path.into_actions(), self));
        Report {
            states: checker.unique_state_count(),
            depth: checker.max_depth(),
            elapsed,
            complete: elapsed < self.within,
            finding,
            reached: coverage.reached(),
        }
    }
}

fn finding(initial: State, actions: Vec<Action>, search: &Search) -> Finding {
    let coverage = Coverage::default();
    let mut steps = Vec::new();
    let mut state = initial;
    for action in actions {
        state = apply(&state, action, search.rules, search.bounds.pace, &coverage);
        steps.push((action, state));
    }
    let invariant = Invariant::broken_by(&state).expect("the last state of a counterexample breaks an invariant");
    Finding { invariant, initial, steps }
}
