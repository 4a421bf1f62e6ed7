//! A swarm: each seed draws its own links, disks, clocks, load and mix of faults, runs under them for a while, and then must
//! heal. (Groce et al., *Swarm Testing*, 2012: many lopsided mixes find more than one balanced mix.)
use crate::check::Violation;
use crate::network::NODES;
use crate::random::Random;
use crate::world::*;
use trivet_log::*;

/// How long the faults go on, at the default timing and at the quick one.
const FAULTS_FOR: u64 = 8 * SECOND;
const FAULTS_FOR_QUICK: u64 = 4 * SECOND;
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
    }
}

/// Deposes whoever leads, a few times.
fn depose(world: &mut World) -> Result<(), Violation> {
    let both = |a: usize, b: usize| [(a, b), (b, a)];
    for _ in 0..4 {
        let led = |world: &World| world.leader().is_some() && world.has_lease(A) && world.has_lease(B);
        world.run_until_holds("liveness", HEALS_WITHIN, led)?;
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
    world.run_until(faults_for(world))?;
    world.act(Action::HealAll);
    // nodes that are down or paused come back within 3 s by themselves
    let ready = |world: &World| (0..NODES).all(|node| world.is_up(node));
    world.run_until_holds("comes back", 6 * SECOND, ready)?;
    let healed_at = world.time;
    world.run_until(world.time + faults_for(world) / 6)?;
    world.stop_clients();
    world.run_until_holds("liveness", HEALS_WITHIN, World::is_settled)?;
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
    Ok(healed_in)
}

fn faults_for(world: &World) -> u64 {
    match world.settings.timing.heartbeat < Timing::default().heartbeat {
        true => FAULTS_FOR_QUICK,
        false => FAULTS_FOR,
    }
}

/// Timing for many elections in a short time. Promises may outlast elections by far: safety is not to rest on which is
/// longer.
fn quick(random: &mut Random) -> Timing {
    Timing {
        heartbeat: 15 * MILLISECOND,
        promise: *random.pick(&[100, 300, 1000, 1000]) * MILLISECOND,
        election_min: 120 * MILLISECOND,
        election_max: 200 * MILLISECOND,
        engage_after: 45 * MILLISECOND,
        propose_give_up: *random.pick(&[150, 400, 1500]) * MILLISECOND,
        ..Timing::default()
    }
}

fn draw(seed: u64, profile: Profile, sabotage: Sabotage, trace: bool) -> World {
    let mut random = Random::new(seed ^ 0x5eed);
    let random = &mut random;
    let storm = profile == Profile::Storm;
    let is_quick = profile != Profile::Any || random.chance(500);
    let timing = if is_quick { quick(random) } else { Timing::default() };
    let round_trip = |random: &mut Random| match is_quick {
        true => *random.pick(&[1, 2, 5, 10]) * MILLISECOND,
        false => *random.pick(&[1, 5, 20, 60, 60, 100]) * MILLISECOND,
    };
    let mut clock = || {
        let rate = *random.pick(&[0, 0, -10_000, 10_000, 5_000, -100]);
        Clock { offset: random.below(1000) as i128 * SECOND as i128, rate }
    };
    let clocks = [clock(), clock(), clock()];
    let payload = *random.pick(&[0, 100, 1000]);
    let append_bytes_max = *random.pick(&[1 << 20, 1 << 20, 700 + 8 * payload, if is_quick { 1 } else { 1 << 20 }]);
    let append_bytes_max = if storm && random.chance(500) { 1 } else { append_bytes_max };
    let settings = Settings {
        seed,
        timing,
        sabotage,
        trace,
        spite: if storm { *random.pick(&[100, 300, 500]) } else { *random.pick(&[0, 0, 50, 300]) },
        round_trips: [round_trip(random), round_trip(random), round_trip(random)],
        clocks,
        fsync: *random.pick(&[
            (MILLISECOND / 10, MILLISECOND),
            (MILLISECOND, 4 * MILLISECOND),
            (MILLISECOND, 40 * MILLISECOND),
            (20 * MILLISECOND, 120 * MILLISECOND),
        ]),
        propose_every: *random.pick(if storm { &[15, 15, 40] } else { &[15, 40, 40, 150] }) * MILLISECOND,
        keys: if profile == Profile::Any { 8 } else { *random.pick(&[2, 8, 64]) },
        read_every: *random.pick(&[20, 60, 200]) * MILLISECOND,
        payload,
        append_bytes_max,
        uncommitted_bytes_max: *random.pick(&[600, 4 << 20]),
        cache_bytes_max: *random.pick(&[0, 2000, 4 << 20]),
        reconnects: random.chance(500),
        crash_at_output: *random.pick(&[0, 0, 200, 1000]),
    };
    let mut world = World::new(settings);
    let loss = *random.pick(&[0, 0, 0, 1, 10, 100, 250]);
    let copies = *random.pick(&[0, 0, 10, 200]);
    let ordered = random.chance(500);
    let jitter = *random.pick(&[0, 0, 1, if is_quick { 5 } else { 10 }, if is_quick { 10 } else { 80 }]) * MILLISECOND;
    world.network.each(|link| {
        link.loss = loss;
        link.copies = copies;
        link.ordered = ordered;
        link.jitter = jitter;
    });
    if storm {
        world.network.each(|link| link.loss = link.loss.min(10));
        if random.chance(400) {
            let range = (15 * MILLISECOND, 60 * MILLISECOND);
            world.act_at(0, Action::Fsync { node: random.below(2) as usize, range });
        }
    }
    match profile {
        Profile::Deposed => {
            world.settings.spite = 0;
            world.settings.crash_at_output = 0;
            world.network.each(|link| (link.loss, link.copies, link.jitter) = (0, 200, 8 * MILLISECOND));
        }
        _ => draw_faults(random, &mut world),
    }
    world
}

fn draw_faults(random: &mut Random, world: &mut World) {
    // which kinds there are in this run, and how often one comes
    let cuts = random.chance(500);
    let one_way = random.chance(400);
    let crashes = random.chance(500);
    let everyone = random.chance(150);
    let pauses = random.chance(250);
    let slow_disks = random.chance(250);
    let hand_overs = random.chance(200);
    let stops = random.chance(200);
    let flaps = random.chance(200);
    let mutes = random.chance(300);
    let steps = random.chance(300);
    let quick = 1 + u64::from(faults_for(world) == FAULTS_FOR_QUICK);
    let mean = *random.pick(&[150, 400, 1000, 2500]) * MILLISECOND / quick;
    let mut at = random.below(1500) * MILLISECOND;
    let end = faults_for(world);
    while at < end {
        let node = random.below(NODES as u64) as usize;
        let other = (node + 1 + random.below(2) as usize) % NODES;
        let lasts = *random.pick(&[100, 300, 1000, 1500, 3000]) * MILLISECOND / quick;
        let lasts = random.between(lasts / 2, lasts);
        let ends = (at + lasts).min(end);
        match random.below(12) {
            0 | 1 if cuts => {
                for (from, to) in [(node, other), (other, node)] {
                    world.act_at(at, Action::Cut { from, to });
                    world.act_at(ends, Action::Heal { from, to });
                }
            }
            2 if one_way => {
                world.act_at(at, Action::Cut { from: node, to: other });
                world.act_at(ends, Action::Heal { from: node, to: other });
            }
            3 if crashes => {
                let reboot = random.chance(300);
                world.act_at(at, Action::Crash { node, down_for: lasts, reboot });
            }
            4 if everyone => {
                for node in 0..NODES {
                    let down_for = random.below(lasts);
                    world.act_at(at, Action::Crash { node, down_for, reboot: random.chance(300) });
                }
            }
            5 if pauses => world.act_at(at, Action::Pause { node, until: ends }),
            6 if slow_disks => {
                let range = (10 * MILLISECOND, *random.pick(&[50, 400, 1500]) * MILLISECOND);
                world.act_at(at, Action::Fsync { node, range });
                world.act_at(ends, Action::Fsync { node, range: world.settings.fsync });
            }
            7 if hand_overs => world.act_at(at, Action::HandOver { to: node % 2 }),
            7 if stops => world.act_at(at, Action::Stop { node, down_for: lasts }),
            8 if flaps => {
                let mut flap = at;
                while flap < ends {
                    let (from, to) = (node, other);
                    world.act_at(flap, Action::Cut { from, to });
                    world.act_at(flap + 60 * MILLISECOND, Action::Heal { from, to });
                    flap += 120 * MILLISECOND;
                }
            }
            // it is not heard any more, though it hears; or hears nothing, though it is heard
            9 | 10 if mutes => {
                let deaf = random.chance(300);
                for peer in (0..NODES).filter(|peer| *peer != node) {
                    let (from, to) = if deaf { (peer, node) } else { (node, peer) };
                    world.act_at(at, Action::Cut { from, to });
                    world.act_at(ends, Action::Heal { from, to });
                }
            }
            // one region is cut off from the other, then from the witness too
            11 if steps => {
                let region = node % 2;
                let later = random.between(at, ends);
                for (peer, since) in [(1 - region, at), (W, later)] {
                    for (from, to) in [(region, peer), (peer, region)] {
                        world.act_at(since, Action::Cut { from, to });
                        world.act_at(ends, Action::Heal { from, to });
                    }
                }
            }
            _ => {}
        }
        at += random.between(mean / 4, mean * 7 / 4);
    }
}
