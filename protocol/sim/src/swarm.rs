//! A swarm: each seed draws its own links, disks, clocks, load and mix of faults, runs under them for a while, and then must
//! heal. (Groce et al., *Swarm Testing*, 2012: many lopsided mixes find more than one balanced mix.)
use crate::check::Violation;
use crate::faults::draw;
use crate::mutation;
use crate::network::NODES;
use crate::world::*;
use std::time::{Duration, Instant};
use trivet_log::*;

/// Within this after the last fault all nodes agree and both regions serve.
pub const HEALS_WITHIN: u64 = 10 * SECOND;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    pub seed: u64,
    pub counts: Counts,
    pub violation: Option<Violation>,
    pub trace: Vec<String>,
    /// From the last fault until all was well.
    pub healed_in: u64,
    /// Nanoseconds of the world's time.
    pub simulated: u64,
}

/// What a seed draws from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Everything.
    Any,
    /// Short timing, and faults at the moments when leaders change: what only elections can break breaks soonest here.
    Storm,
    /// Leaders that are deposed while they still hold leases or proposals, and come back: the two ways to get there that
    /// chance alone seldom finds.
    Deposed,
    /// Everything, and disks that rot, fill up, and fail to sync.
    Disks,
    /// Everything, and regions whose disks are lost, which begin anew with a copy from the other one.
    Lost,
    /// Everything, and clocks beyond their bound, which jump too: strong reads may be stale, and nothing else may be wrong.
    Clocks,
}

impl Profile {
    pub const ALL: [Profile; 6] =
        [Profile::Any, Profile::Storm, Profile::Deposed, Profile::Disks, Profile::Lost, Profile::Clocks];

    pub fn name(self) -> &'static str {
        match self {
            Profile::Any => "any",
            Profile::Storm => "storm",
            Profile::Deposed => "deposed",
            Profile::Disks => "disks",
            Profile::Lost => "lost",
            Profile::Clocks => "clocks",
        }
    }

    /// Where a swarm without a profile runs a seed.
    pub fn of(seed: u64) -> Profile {
        match seed % 10 {
            9 if seed % 20 == 19 => Profile::Lost,
            0..=3 => Profile::Any,
            4 | 5 => Profile::Storm,
            6 => Profile::Deposed,
            7 | 8 => Profile::Disks,
            _ => Profile::Clocks,
        }
    }
}

/// Draws a world and its faults from `seed`, and runs them.
pub fn run(seed: u64, profile: Profile, sabotage: Sabotage, trace: bool) -> Report {
    let mut world = draw(seed, profile, sabotage, trace);
    let result = match profile {
        Profile::Deposed => depose(&mut world).and_then(|()| live(&mut world)),
        _ => live(&mut world),
    };
    let violation = result.as_ref().err().cloned();
    if let (Some(violation), true) = (&violation, trace) {
        world.trace.push(format!("ends: {violation}; {}", world.describe()));
    }
    Report {
        seed,
        counts: world.counts,
        violation,
        trace: std::mem::take(&mut world.trace),
        healed_in: result.unwrap_or(0),
        simulated: world.time,
    }
}

/// A region that was ejected must first have been near for a while, by the leader's clock.
fn heals_within(world: &World) -> u64 {
    let slowness = if world.settings.clocks_are_wild { 2 } else { 1 };
    HEALS_WITHIN + slowness * world.settings.timing.readmit_after
}

/// Deposes whoever leads, a few times.
fn depose(world: &mut World) -> Result<(), Violation> {
    let both = |a: usize, b: usize| [(a, b), (b, a)];
    for _ in 0..4 {
        let led = |world: &World| world.leader().is_some() && world.has_lease(A) && world.has_lease(B);
        world.run_until_holds("liveness", heals_within(world), led)?;
        world.run_until(world.time + world.random.clone().below(200) * MILLISECOND)?;
        let Some(leader) = world.leader() else { continue };
        let other = 1 - leader;
        if world.random.chance(500) {
            // it is heard by nobody, and still takes the other's proposals; the other leads, for a moment
            for peer in [other, W] {
                world.act(Action::Cut { from: leader, to: peer });
            }
            let _ = world.run_until_holds("", 3 * SECOND, |world| {
                world.status(other).is_some_and(|status| status.role == "leader")
            });
            let moment = world.random.below(3 * MILLISECOND);
            world.run_until(world.time + moment)?;
            world.act(Action::Crash { node: other, down_for: SECOND, reboot: false });
        } else {
            // the other cannot have its promise any more, and then the witness has another leader
            let apart = world.settings.timing.promise;
            for (from, to) in both(leader, other) {
                world.act(Action::Cut { from, to });
            }
            let until = world.time + apart * 3 / 4 + world.random.below(apart / 2);
            world.run_until(until)?;
            for (from, to) in both(leader, W) {
                world.act(Action::Cut { from, to });
            }
            world.run_until(world.time + apart)?;
        }
        for (from, to) in both(leader, other).into_iter().chain(both(leader, W)) {
            world.act(Action::Heal { from, to });
        }
        let gone = world.random.below(600) * MILLISECOND;
        world.run_until(world.time + gone)?;
    }
    Ok(())
}

fn live(world: &mut World) -> Result<u64, Violation> {
    world.run_until(world.settings.faults_for)?;
    world.act(Action::HealAll);
    // nodes that are down or paused come back within 3 s by themselves
    let ready = |world: &World| (0..NODES).all(|node| world.is_up(node));
    world.run_until_holds("comes back", 6 * SECOND, ready)?;
    let healed_at = world.time;
    world.run_until(world.time + world.settings.faults_for.min(8 * SECOND) / 6)?;
    world.stop_clients();
    world.run_until_holds("liveness", heals_within(world), World::is_settled)?;
    let healed_in = world.time - healed_at;
    // both regions write
    for region in [A, B] {
        let id = world.propose_keys(region, &[0]).ok_or(Violation { rule: "liveness", what: "no region".into() })?;
        world.run_until_holds("liveness", SECOND, |world| world.fate(&id) != Some(Fate::Open))?;
        if !matches!(world.fate(&id), Some(Fate::Committed | Fate::Rejected)) {
            return Err(Violation { rule: "liveness", what: format!("a write ends as {:?}", world.fate(&id)) });
        }
        world.run_until_holds("liveness", SECOND, World::is_settled)?;
    }
    world.judge_history()?;
    Ok(healed_in)
}

/// Which seeds to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub from: u64,
    pub seeds: u64,
    /// Stop after this much real time, if not done before.
    pub within: Option<Duration>,
    /// `None`: each seed has its own ([`Profile::of`]).
    pub profile: Option<Profile>,
    pub sabotage: Sabotage,
    /// Go on after a failure.
    pub all: bool,
}

/// A seed that broke a rule.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub profile: Profile,
    pub violation: Violation,
}

impl Failure {
    pub fn replay(&self) -> String {
        format!("trivet-sim --profile {} --seed {} --verbose", self.profile.name(), self.seed)
    }
}

/// What a swarm came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub run: u64,
    pub failures: Vec<Failure>,
    pub counts: Counts,
    /// Nanoseconds of the worlds' time, and how long that took.
    pub simulated: u64,
    pub elapsed: Duration,
}

impl Summary {
    /// Simulated seconds in a real one.
    pub fn speed(&self) -> f64 {
        self.simulated as f64 / 1e9 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Runs one seed after the other; `each` hears of every one.
pub fn run_all(plan: &Plan, mut each: impl FnMut(&Report)) -> Summary {
    let begun = Instant::now();
    let mut summary = Summary::default();
    for seed in plan.from..plan.from.saturating_add(plan.seeds) {
        if plan.within.is_some_and(|within| begun.elapsed() >= within) {
            break;
        }
        let profile = plan.profile.unwrap_or_else(|| Profile::of(seed));
        let report = run(seed, profile, plan.sabotage, false);
        each(&report);
        summary.run += 1;
        summary.simulated += report.simulated;
        summary.counts.add(&report.counts);
        if let Some(violation) = report.violation {
            summary.failures.push(Failure { seed, profile, violation });
            if !plan.all {
                break;
            }
        }
    }
    summary.elapsed = begun.elapsed();
    summary
}

/// A bug that was planted, and the seeds that found it.
#[derive(Clone, Debug)]
pub struct Planted {
    pub name: &'static str,
    pub meaning: &'static str,
    pub seeds: u64,
    pub found: u64,
    pub first: Option<Failure>,
}

/// Plants each of the bugs of [`mutation::PLANTED`] and counts who of the plan's seeds notices.
pub fn planted(plan: &Plan) -> Vec<Planted> {
    let bug = |(name, meaning): &(&'static str, &'static str)| {
        let sabotage = mutation::named(name).expect("what is planted has a name");
        let summary = run_all(&Plan { sabotage, all: true, ..*plan }, |_| {});
        let found = summary.failures.len() as u64;
        Planted { name, meaning, seeds: summary.run, found, first: summary.failures.into_iter().next() }
    };
    mutation::PLANTED.iter().map(bug).collect()
}
