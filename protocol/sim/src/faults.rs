//! What a seed draws: links, disks, clocks, load, and the faults with their times.
use crate::network::NODES;
use crate::random::Random;
use crate::swarm::Profile;
use crate::world::*;
use trivet_log::*;

/// How long the faults go on at the default timing; half of it at the quick one.
const FAULTS_FOR: u64 = 8 * SECOND;

/// Timing for many elections in a short time. Promises may outlast elections by far: safety is not to rest on which is
/// longer.
fn quick(random: &mut Random) -> Timing {
    Timing {
        heartbeat: 15 * MILLISECOND,
        promise: *random.pick(&[100, 300, 1000, 1000]) * MILLISECOND,
        election_min: 120 * MILLISECOND,
        election_max: 200 * MILLISECOND,
        engage_after: 45 * MILLISECOND,
        eject_after: *random.pick(&[100, 500]) * MILLISECOND,
        readmit_after: 1000 * MILLISECOND,
        propose_give_up: *random.pick(&[150, 400, 1500]) * MILLISECOND,
        ..Timing::default()
    }
}

pub(crate) fn draw(seed: u64, profile: Profile, sabotage: Sabotage, trace: bool) -> World {
    let mut random = Random::new(seed ^ 0x5eed);
    let random = &mut random;
    let storm = profile == Profile::Storm;
    let wild = profile == Profile::Clocks;
    let is_quick = matches!(profile, Profile::Storm | Profile::Deposed) || random.chance(500);
    let timing = if is_quick { quick(random) } else { Timing::default() };
    let round_trip = |random: &mut Random| match is_quick {
        true => *random.pick(&[1, 2, 5, 10]) * MILLISECOND,
        false => *random.pick(&[1, 5, 20, 60, 60, 100]) * MILLISECOND,
    };
    let mut clock = || {
        let rate = *random.pick(match wild {
            false => &[0, 0, -10_000, 10_000, 5_000, -100],
            true => &[0, -400_000, -100_000, 30_000, 200_000, 1_000_000],
        });
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
        segment_bytes: *random.pick(&[4 << 10, 16 << 10, 64 << 10]),
        reconnects: random.chance(500),
        crash_at_output: *random.pick(&[0, 0, 200, 1000]),
        pause_at_step: *random.pick(&[0, 0, 0, 300]),
        // a few go on for long: what a long absence leaves behind is not seen in seconds
        faults_for: match (is_quick, random.chance(30)) {
            (_, true) => 4 * FAULTS_FOR,
            (false, _) => FAULTS_FOR,
            (true, _) => FAULTS_FOR / 2,
        },
        clocks_are_wild: wild,
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
    if matches!(profile, Profile::Deposed | Profile::Clocks) {
        // these are about leases, so both regions must get theirs back each time, however slow a disk is or a clock makes it
        world.settings.timing.eject_after = 1000 * SECOND;
        world.settings.timing.readmit_after = 0;
    }
    match profile {
        Profile::Deposed => {
            world.settings.spite = 0;
            world.settings.crash_at_output = 0;
            world.settings.pause_at_step = 0;
            world.network.each(|link| (link.loss, link.copies, link.jitter) = (0, 200, 8 * MILLISECOND));
        }
        _ => draw_faults(random, &mut world, profile),
    }
    world
}

fn draw_faults(random: &mut Random, world: &mut World, profile: Profile) {
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
    let disks = profile == Profile::Disks;
    let rots = random.chance(if disks { 700 } else { 100 });
    let fills = random.chance(if disks { 500 } else { 100 });
    let sync_fails = random.chance(if disks { 500 } else { 100 });
    let clogs = random.chance(200);
    let jumps = profile == Profile::Clocks && random.chance(500);
    let quick = 1 + u64::from(world.settings.timing.heartbeat < Timing::default().heartbeat);
    let mean = *random.pick(&[150, 400, 1000, 2500]) * MILLISECOND / quick;
    let mut at = random.below(1500) * MILLISECOND;
    let end = world.settings.faults_for;
    if random.chance(60) {
        let node = random.below(NODES as u64) as usize;
        world.act_at(at, Action::Crash { node, down_for: end - at.min(end), reboot: true });
    }
    while at < end {
        let node = random.below(NODES as u64) as usize;
        let other = (node + 1 + random.below(2) as usize) % NODES;
        let lasts = *random.pick(&[100, 300, 1000, 1500, 3000]) * MILLISECOND / quick;
        let lasts = random.between(lasts / 2, lasts);
        let ends = (at + lasts).min(end);
        match random.below(17) {
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
            12 if rots => {
                world.act_at(at, Action::Crash { node, down_for: lasts, reboot: false });
                world.act_at(at + 1, Action::Rot { node });
            }
            13 if fills => {
                world.act_at(at, Action::DiskFull { node, is_full: true });
                world.act_at(ends, Action::DiskFull { node, is_full: false });
            }
            14 if sync_fails => world.act_at(at, Action::FailSync { node }),
            15 if clogs => swizzle(random, world, at, ends),
            16 if jumps => {
                let by = random.between(0, 3000) as i64 - 1500;
                world.act_at(at, Action::ClockJump { node, by: by * MILLISECOND as i64 });
            }
            _ => {}
        }
        at += random.between(mean / 4, mean * 7 / 4);
    }
    if profile == Profile::Lost {
        for _ in 0..random.between(1, 4) {
            let (node, at) = (random.below(2) as usize, random.below(end));
            world.act_at(at, Action::LoseDisk { node, down_for: random.below(2 * SECOND) });
        }
    }
}

/// Swizzled clogging, as FoundationDB's simulator does it: some directions are clogged, one after the other, and freed in
/// another order.
fn swizzle(random: &mut Random, world: &mut World, at: u64, ends: u64) {
    let spread = (ends - at) / 2;
    for from in 0..NODES {
        for to in (0..NODES).filter(|to| *to != from) {
            if random.chance(500) {
                let until = ends - random.below(spread + 1);
                world.act_at(at + random.below(spread + 1), Action::Clog { from, to, until });
            }
        }
    }
}
