use super::*;
use proptest::prelude::*;
use std::fmt::Write;

const MS: u64 = 1_000_000;

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Offers packets of (sent at ms, length) and draws each fate.
fn draw(settings: LinkSettings, seed: u64, packets: &[(u64, usize)]) -> String {
    let mut link = Link::new(seed, settings, LinkSettings::default());
    let mut drawing = String::new();
    for &(sent, len) in packets {
        let fate = match link.offer(sent * MS, len, Way::Forward) {
            Fate::Deliver { at } => format!("arrives {}us", at / 1000),
            Fate::DeliverTwice { at, again_at } => format!("arrives {}us and {}us", at / 1000, again_at / 1000),
            Fate::Drop(reason) => format!("{reason:?}"),
        };
        writeln!(drawing, "at {sent:>3}ms {len:>5}B  {fate}").expect("a string takes all");
    }
    drawing
}

#[test]
fn a_delay_shifts_and_nothing_else() {
    let drawing = draw(LinkSettings::delayed(milliseconds(30)), 1, &[(0, 100), (0, 100), (7, 1400)]);
    assert_eq!(
        drawing,
        "\
at   0ms   100B  arrives 30000us
at   0ms   100B  arrives 30000us
at   7ms  1400B  arrives 37000us
"
    );
}

#[test]
fn a_rate_sends_one_after_another_and_its_queue_is_bounded() {
    let settings = LinkSettings { rate: Some(100_000), queue: 2_000, ..LinkSettings::delayed(milliseconds(10)) };
    let drawing = draw(settings, 1, &[(0, 1000), (0, 1000), (0, 1000), (5, 500), (5, 1), (100, 5000), (100, 1)]);
    assert_eq!(
        drawing,
        "\
at   0ms  1000B  arrives 20000us
at   0ms  1000B  arrives 30000us
at   0ms  1000B  Overflow
at   5ms   500B  arrives 35000us
at   5ms     1B  Overflow
at 100ms  5000B  arrives 160000us
at 100ms     1B  Overflow
"
    );
}

#[test]
fn a_cut_swallows_what_is_sent_and_lets_pass_what_was_in_flight() {
    let mut link = Link::new(1, LinkSettings::delayed(milliseconds(30)), LinkSettings::delayed(milliseconds(30)));
    assert_eq!(link.offer(0, 100, Way::Forward), Fate::Deliver { at: 30 * MS });
    let cut = LinkSettings { cut: true, ..link.settings(Way::Forward).clone() };
    link.set(Way::Forward, cut);
    assert_eq!(link.offer(MS, 100, Way::Forward), Fate::Drop(Reason::Cut));
    assert_eq!(link.offer(MS, 100, Way::Backward), Fate::Deliver { at: 31 * MS }, "the other way is not cut");
    let healed = LinkSettings { cut: false, ..link.settings(Way::Forward).clone() };
    link.set(Way::Forward, healed);
    assert_eq!(link.offer(2 * MS, 100, Way::Forward), Fate::Deliver { at: 32 * MS });
}

#[test]
fn a_shorter_delay_does_not_overtake_unless_reordering_is_asked_for() {
    for (reorder, second) in [(false, 90), (true, 11)] {
        let slow = LinkSettings { reorder, ..LinkSettings::delayed(milliseconds(90)) };
        let mut link = Link::new(1, slow.clone(), LinkSettings::default());
        assert_eq!(link.offer(0, 1, Way::Forward), Fate::Deliver { at: 90 * MS });
        link.set(Way::Forward, LinkSettings { delay: milliseconds(10), ..slow });
        assert_eq!(link.offer(MS, 1, Way::Forward), Fate::Deliver { at: second * MS });
    }
}

#[test]
fn chances_come_out_as_often_as_asked() {
    let settings = LinkSettings {
        loss: Chance::percent(10.0).expect("in range"),
        duplicate: Chance::percent(20.0).expect("in range"),
        ..LinkSettings::default()
    };
    let mut link = Link::new(7, settings, LinkSettings::default());
    let fates: Vec<Fate> = (0..100_000).map(|now| link.offer(now, 100, Way::Forward)).collect();
    let lost = fates.iter().filter(|fate| matches!(fate, Fate::Drop(Reason::Lost))).count();
    let twice = fates.iter().filter(|fate| matches!(fate, Fate::DeliverTwice { .. })).count();
    // Five standard deviations: 0.1 * 0.9 and 0.18 * 0.82 over 100,000 draws.
    assert!((9_525..=10_475).contains(&lost), "{lost} lost");
    assert!((17_390..=18_610).contains(&twice), "{twice} doubled");
}

#[test]
fn jitter_covers_its_range() {
    let settings = LinkSettings { jitter: milliseconds(10), reorder: true, ..LinkSettings::delayed(milliseconds(30)) };
    let mut link = Link::new(3, settings, LinkSettings::default());
    let arrivals: Vec<u64> = (0..10_000)
        .map(|_| match link.offer(0, 100, Way::Forward) {
            Fate::Deliver { at } => at,
            other => panic!("a lossless link answered {other:?}"),
        })
        .collect();
    let least = *arrivals.iter().min().expect("there are arrivals");
    let most = *arrivals.iter().max().expect("there are arrivals");
    assert!((30 * MS..30 * MS + MS / 50).contains(&least), "{least}");
    assert!((40 * MS - MS / 50..=40 * MS).contains(&most), "{most}");
}

#[test]
fn a_stream_waits_where_a_packet_is_dropped() {
    let delayed = LinkSettings::delayed(milliseconds(30));
    let mut link = Link::new(1, LinkSettings { cut: true, ..delayed.clone() }, delayed.clone());
    assert_eq!(link.offer_stream(0, 10, Way::Forward, 0), StreamFate::Wait { until: None });
    link.set(Way::Forward, LinkSettings { rate: Some(1_000_000), queue: 1_000, ..delayed.clone() });
    assert_eq!(link.offer_stream(0, 1_000, Way::Forward, 0), StreamFate::Deliver { at: 31 * MS });
    assert_eq!(link.offer_stream(0, 1_000, Way::Forward, 0), StreamFate::Wait { until: Some(MS / 2) });
    assert_eq!(link.offer_stream(MS, 1_000, Way::Forward, 0), StreamFate::Deliver { at: 32 * MS });
    link.set(Way::Forward, LinkSettings { loss: Chance::ALWAYS, ..delayed.clone() });
    assert_eq!(
        link.offer_stream(2 * MS, 10, Way::Forward, 0),
        StreamFate::Deliver { at: 92 * MS },
        "a lost piece comes again a round trip later"
    );
    link.set(Way::Forward, delayed);
    assert_eq!(
        link.offer_stream(3 * MS, 10, Way::Forward, 92 * MS),
        StreamFate::Deliver { at: 92 * MS },
        "what follows a lost piece waits for it"
    );
}

fn any_settings() -> impl Strategy<Value = LinkSettings> {
    (
        any::<bool>(),
        0..200_000u64,
        0..50_000u64,
        any::<bool>(),
        0..=1_000_000u32,
        0..=1_000_000u32,
        proptest::option::of(1_000..10_000_000u64),
        0..200_000u64,
    )
        .prop_map(|(cut, delay, jitter, reorder, loss, duplicate, rate, queue)| LinkSettings {
            cut: cut && delay % 4 == 0,
            delay: Duration::from_micros(delay),
            jitter: Duration::from_micros(jitter),
            reorder,
            loss: Chance::of(f64::from(loss) / 2e6).expect("in range"),
            duplicate: Chance::of(f64::from(duplicate) / 2e6).expect("in range"),
            rate,
            queue,
        })
}

fn any_offers() -> impl Strategy<Value = Vec<(u64, usize)>> {
    proptest::collection::vec((0..5_000u64, 0..9_000usize), 1..100).prop_map(|steps| {
        let mut now = 0;
        steps
            .into_iter()
            .map(|(step, len)| {
                now += step * 1_000;
                (now, len)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn never_earlier_in_order_and_repeatable(
        seed: u64,
        first in any_settings(),
        second in any_settings(),
        offers in any_offers(),
        change_after in 0..100usize,
    ) {
        let run = || {
            let mut link = Link::new(seed, first.clone(), LinkSettings::default());
            let mut fates = Vec::new();
            for (place, &(now, len)) in offers.iter().enumerate() {
                if place == change_after {
                    link.set(Way::Forward, second.clone());
                }
                let settings = link.settings(Way::Forward).clone();
                fates.push((now, len, settings, link.offer(now, len, Way::Forward)));
            }
            fates
        };
        let fates = run();
        prop_assert_eq!(&fates, &run(), "N4");
        let mut last_at = 0;
        for (now, len, settings, fate) in fates {
            let wire = settings.rate.map_or(0, |rate| nanos_for(len as u64, rate));
            let earliest = now + nanos(settings.delay) + wire;
            let arrivals = match fate {
                Fate::Deliver { at } => vec![at],
                Fate::DeliverTwice { at, again_at } => vec![at, again_at],
                Fate::Drop(_) => vec![],
            };
            prop_assert!(!settings.cut || arrivals.is_empty(), "N3");
            for at in arrivals {
                prop_assert!(at >= earliest, "N1: {at} is before {earliest}");
                prop_assert!(settings.reorder || at >= last_at, "N2: {at} is before {last_at}");
                last_at = last_at.max(at);
            }
        }
    }

    #[test]
    fn a_rate_is_never_exceeded(offers in any_offers(), rate in 1_000..5_000_000u64, queue in 0..100_000u64) {
        let settings = LinkSettings { rate: Some(rate), queue, ..LinkSettings::default() };
        let mut link = Link::new(0, settings, LinkSettings::default());
        let mut free_at = 0;
        for (now, len) in offers {
            if let Fate::Deliver { at } = link.offer(now, len, Way::Forward) {
                let begun = at - nanos_for(len as u64, rate);
                prop_assert!(begun >= free_at, "two packets were on the wire at once");
                prop_assert!(begun >= now);
                prop_assert!(begun == now || bytes_in(begun - now, rate) <= queue.max(1), "the queue is bounded");
                free_at = at;
            }
        }
    }

    #[test]
    fn a_stream_keeps_order_and_is_never_early(
        seed: u64,
        settings in any_settings(),
        offers in any_offers(),
    ) {
        let settings = LinkSettings { cut: false, ..settings };
        let delay = nanos(settings.delay);
        let mut link = Link::new(seed, settings, LinkSettings::default());
        let (mut clock, mut after) = (0, 0);
        for (now, len) in offers {
            clock = now.max(clock);
            let mut tries = 0;
            let at = loop {
                match link.offer_stream(clock, len, Way::Forward, after) {
                    StreamFate::Deliver { at } => break at,
                    StreamFate::Wait { until } => clock = until.expect("an uncut stream is told when to come back"),
                }
                tries += 1;
                prop_assert!(tries < 100, "a stream is let through in the end");
            };
            prop_assert!(at >= clock + delay && at >= after, "N5");
            after = at;
        }
    }
}
