//! An exhaustive model of two regions, two keys and a change of leader with truncation, over the real certifier and
//! the real records. Each rule, taken away, must lead to a state that breaks a promise; with all rules there is none.
//!
//! What is real: records and their bytes, `Certifier` with its truncation, duplicates and terms. What is modelled:
//! the log's core (whatever is on both regions and of the leader's term can be committed; anybody can be elected,
//! since both have all that is committed; messages arrive in any order, late or never), the sessions (`program`),
//! and a store that keeps versions and collects them.
//!
//! A *world* is a handful of small programs and bounds. Worlds are kept apart so that each is explored to its end
//! in seconds; in each, some rule is what stands between the programs and a wrong answer.
mod program;
mod session;
mod state;

use crate::rules::Rules;
use program::World;
use state::{Action, State};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// A world under a set of rules.
struct Explored {
    world: World,
    rules: Rules,
    mutation: Mutation,
}

/// Rules that are kept by the log's core and by how a leader starts, rather than by this crate's `Rules`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Mutation {
    /// T4.
    rejections: Rejections,
    /// T5: a new leader begins with an empty map.
    map_not_loaded: bool,
}

/// Which rejections an origin believes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Rejections {
    /// Those of the term of its latest send; if it has sent in earlier terms, too, only once those copies are settled.
    #[default]
    Careful,
    OfTheLatestTerm,
    All,
}

impl Explored {
    fn keeps_all(&self) -> bool {
        (self.rules, self.mutation) == (Rules::ALL, Mutation::default())
    }
}

impl Model for Explored {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.world, self.rules)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.actions(self, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.act(self, action).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Explored>> {
        vec![
            Property::always(LOST, |model: &Explored, state: &State| state.value() >= state.acked(model)),
            Property::always(TWICE, |model: &Explored, state: &State| state.value() <= state.possible(model)),
            Property::always(ORPHAN, |_, state: &State| !state.has_orphan()),
            Property::always(STORES, |_, state: &State| state.stores_are_right()),
            Property::always("regions agree", |_, state: &State| !state.disagreed),
            Property::sometimes(TRUNCATED, |_, state: &State| state.truncated),
            Property::sometimes(ALL_ACKED, |_, state: &State| state.all_acked()),
            Property::sometimes(REFUSED, |_, state: &State| state.some_failed()),
        ]
    }
}

fn explore(world: World, rules: Rules, mutation: Mutation) -> impl Checker<Explored> {
    let model = Explored { world, rules, mutation };
    let finish = if model.keeps_all() { HasDiscoveries::All } else { HasDiscoveries::AnyFailures };
    model.checker().threads(2).finish_when(finish).spawn_bfs().join()
}

/// With all rules, the world is explored to its end and every promise holds in every state.
fn holds(world: World, reached: &[&'static str]) {
    let checker = explore(world, Rules::ALL, Mutation::default());
    for property in checker.model().properties() {
        match property.expectation {
            stateright::Expectation::Sometimes => {
                if reached.contains(&property.name) {
                    checker.assert_any_discovery(property.name);
                }
            }
            _ => checker.assert_no_discovery(property.name),
        }
    }
    let states = checker.unique_state_count();
    eprintln!("{states} states, {} steps deep", checker.max_depth());
    assert!(states > 100, "the world is too small to mean anything");
}

/// Without the rule, the promise is broken within so many steps.
fn fails(world: World, rules: Rules, mutation: Mutation, promise: &'static str) {
    assert!((rules, mutation) != (Rules::ALL, Mutation::default()), "no rule was taken away");
    let checker = explore(world, rules, mutation);
    let found = checker.discovery(promise);
    let others = || checker.discoveries().into_keys().collect::<Vec<_>>();
    let path = found.unwrap_or_else(|| panic!("nothing notices that the rule is gone; found {:?}", others()));
    assert!(path.into_actions().len() <= 40, "a counterexample is short");
}

const TRUNCATED: &str = "something was truncated";
const ALL_ACKED: &str = "every transaction was acknowledged";
const REFUSED: &str = "a transaction was refused";
const LOST: &str = "no increment is lost";
const TWICE: &str = "no increment is done that was refused";
const ORPHAN: &str = "no child without its parent";
const STORES: &str = "stores hold what is committed";

#[test]
fn t1_guards_leave_a_trace() {
    holds(World::family(), &[REFUSED, TRUNCATED]);
    fails(World::family(), Rules { guards_stamp: false, ..Rules::ALL }, Mutation::default(), ORPHAN);
}

#[test]
fn t2_positions_stay_with_the_first_touch() {
    holds(World::twice(), &[ALL_ACKED, REFUSED]);
    fails(World::twice(), Rules { positions_fixed: false, ..Rules::ALL }, Mutation::default(), LOST);
}

#[test]
fn t3_positions_carry_their_term() {
    holds(World::reused_index(), &[ALL_ACKED, TRUNCATED]);
    fails(World::reused_index(), Rules { terms_checked: false, ..Rules::ALL }, Mutation::default(), LOST);
}

#[test]
fn t4_a_proposal_counts_once() {
    holds(World::duplicate(), &[ALL_ACKED, REFUSED]);
    // Two nets under each other: the window of outcomes, and the origin's care. Without both it falls through.
    let careless = Mutation { rejections: Rejections::OfTheLatestTerm, ..Mutation::default() };
    let forgetful = Rules { duplicates_found: false, ..Rules::ALL };
    fails(World::duplicate(), forgetful, careless, TWICE);
}

#[test]
fn t4_a_late_rejection_is_not_believed() {
    holds(World::late_rejection(), &[REFUSED, TRUNCATED]);
    let mutation = Mutation { rejections: Rejections::All, ..Mutation::default() };
    fails(World::late_rejection(), Rules::ALL, mutation, TWICE);
}

#[test]
fn t5_truncation_gives_the_older_writer_back() {
    holds(World::back_and_forth(), &[TRUNCATED]);
    fails(World::back_and_forth(), Rules { truncation_exact: false, ..Rules::ALL }, Mutation::default(), LOST);
}

#[test]
fn t5_a_leader_knows_the_writers_before_its_term() {
    let mutation = Mutation { map_not_loaded: true, ..Mutation::default() };
    fails(World::duplicate(), Rules::ALL, mutation, LOST);
}

#[test]
fn t6_only_committed_entries_reach_the_store() {
    holds(World::duplicate(), &[TRUNCATED]);
    fails(World::duplicate(), Rules { only_committed_applied: false, ..Rules::ALL }, Mutation::default(), STORES);
}

#[test]
fn t11_a_tombstone_goes_with_what_it_hides() {
    holds(World::collected(), &[ALL_ACKED]);
    fails(World::collected(), Rules { tombstones_kept: false, ..Rules::ALL }, Mutation::default(), STORES);
}
