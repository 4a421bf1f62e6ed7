//! How long a commit takes, and how long a fault is felt, at a round trip of 60 ms.
use trivet_log::Timing;
use trivet_sim::measure::*;
use trivet_sim::world::{MILLISECOND, SECOND};

fn ms(nanos: u64) -> u64 {
    nanos / MILLISECOND
}

#[test]
fn a_commit_costs_one_round_trip_from_either_region() {
    let fsync = MILLISECOND;
    for (region, times) in ["leader", "follower"].into_iter().zip(commit_latencies(1).expect("a healthy world is well"))
    {
        let median = times[times.len() / 2];
        let worst = *times.last().expect("there were commits");
        // a proposal waits for one fsync at least, for two if one has just begun, on each of two disks
        assert!(median >= ROUND_TRIP, "{region}: {} ms is faster than light", ms(median));
        assert!(median <= ROUND_TRIP + 3 * fsync, "{region}: the median is {} us", median / 1000);
        assert!(worst <= ROUND_TRIP + 6 * fsync, "{region}: the worst is {} us", worst / 1000);
    }
}

#[test]
fn an_idle_cluster_sends_only_heartbeats() {
    let sent = idle_messages(1).expect("an idle world is well");
    let names: Vec<&str> = sent.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Heartbeat"], "{sent:?}");
    let heartbeats = sent[0].1;
    assert!((1150..=1250).contains(&heartbeats), "six a heartbeat in 10 s, not {heartbeats}");
}

/// Each fault, and the longest outage over a few seeds, against the sum of timing terms that bounds it. Printed, too.
#[test]
#[allow(clippy::print_stdout)]
fn every_fault_is_over_within_its_bound() {
    let timing = Timing::default();
    let mut late = Vec::new();
    println!(
        "{:22} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}  bound",
        "ms", "leader", "follower", "any", "reads", "lapse", "bound"
    );
    for fault in Fault::ALL {
        let outages: Vec<Outage> = (1..=4)
            .map(|seed| outage(seed, fault).unwrap_or_else(|violation| panic!("{fault:?}: {violation}")))
            .collect();
        let worst = |of: fn(&Outage) -> Option<u64>| outages.iter().filter_map(of).max();
        let (leader, follower) = (worst(|outage| outage.leader_writes), worst(|outage| outage.follower_writes));
        let any = worst(|outage| Some(outage.any_writes)).expect("there are runs");
        let reads = worst(|outage| Some(outage.any_reads)).expect("there are runs");
        let lapse = worst(|outage| outage.lease_lapsed);
        let (bound, terms) = fault.bound(&timing, ROUND_TRIP);
        let show = |time: Option<u64>| time.map_or("-".to_string(), |time| ms(time).to_string());
        println!(
            "{:22} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}  {terms}",
            format!("{fault:?}"),
            show(leader),
            show(follower),
            ms(any),
            ms(reads),
            show(lapse),
            ms(bound)
        );
        for (what, time) in
            [("the leader's region", leader), ("the follower's region", follower), ("any region", Some(any))]
        {
            let Some(time) = time else { continue };
            if time > bound.min(4 * SECOND) {
                late.push(format!(
                    "{fault:?}: writes of {what} were away for {} ms, more than {terms} = {} ms",
                    ms(time),
                    ms(bound)
                ));
            }
        }
        if lapse.is_some_and(|lapse| lapse > 2 * SECOND) {
            late.push(format!("{fault:?}: the lease lapsed after {} ms", show(lapse)));
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}
