//! Our settings in the words of `tc ... netem`, and the kernel's counters. Pure.
use crate::settings::{Chance, LinkSettings};
use crate::space::ToolError;
use serde::Deserialize;
use std::collections::HashMap;

/// Packets that may be under way on an unlimited link.
const LIMIT: u64 = 200_000;
const PACKET_LEN: u64 = 1500;
/// So fast that it delays nothing, and a rate all the same: with one, netem keeps packets in order.
const IN_ORDER: &str = "rate 100gbit";

/// Everything behind `root`.
pub(super) fn arguments(settings: &LinkSettings) -> String {
    let mut words = vec![format!("netem limit {}", limit(settings))];
    let (delay, jitter) = (settings.delay.as_nanos().div_ceil(1000), settings.jitter.as_nanos().div_ceil(2000));
    // The kernel's jitter is around the delay, ours comes on top of it: the middle is half of ours later. A jitter that
    // was set once is kept by a change that does not say it is none.
    words.push(format!("delay {}us {jitter}us", delay + jitter));
    // Said even if it is none, for the same reason.
    let loss = if settings.cut || settings.rate == Some(0) { Chance::ALWAYS } else { settings.loss };
    words.push(format!("loss {loss}"));
    words.push(format!("duplicate {}", settings.duplicate));
    match settings.rate {
        Some(rate) if rate > 0 => words.push(format!("rate {}bit", u128::from(rate) * 8)),
        _ if settings.jitter.is_zero() || !settings.reorder => words.push(IN_ORDER.to_owned()),
        _ => words.push("rate 0bit".to_owned()),
    }
    words.join(" ")
}

/// The kernel counts what waits for the rate and what travels in one queue, in packets.
fn limit(settings: &LinkSettings) -> u64 {
    match settings.rate {
        Some(rate) => {
            let travels = u128::from(rate) * (settings.delay + settings.jitter).as_nanos() / 1_000_000_000;
            let bytes = u64::try_from(travels).unwrap_or(u64::MAX).saturating_add(settings.queue);
            bytes.div_ceil(PACKET_LEN).clamp(1, LIMIT)
        }
        None => LIMIT,
    }
}

/// Of one device, since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counters {
    /// That left the queue at its far end.
    pub packets: u64,
    pub bytes: u64,
    pub drops: u64,
    /// In the queue.
    pub waiting: u64,
}

/// By device, from what `tc -s -j qdisc show` prints.
pub(super) fn counters(json: &[u8]) -> Result<HashMap<String, Counters>, ToolError> {
    #[derive(Deserialize)]
    struct Shown {
        kind: String,
        #[serde(default)]
        dev: String,
        #[serde(default)]
        packets: u64,
        #[serde(default)]
        bytes: u64,
        #[serde(default)]
        drops: u64,
        #[serde(default)]
        qlen: u64,
    }
    let shown: Vec<Shown> = serde_json::from_slice(json)
        .map_err(|source| ToolError::Answer { line: "tc -s -j qdisc show".to_owned(), source })?;
    let netem = shown.into_iter().filter(|shown| shown.kind == "netem");
    Ok(netem
        .map(|shown| {
            let Shown { packets, bytes, drops, qlen, .. } = shown;
            (shown.dev, Counters { packets, bytes, drops, waiting: qlen })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn settings_in_the_kernels_words() {
        let milliseconds = Duration::from_millis;
        let plain = LinkSettings::delayed(milliseconds(30));
        let table = [
            (plain.clone(), "netem limit 200000 delay 30000us 0us loss 0% duplicate 0% rate 100gbit"),
            (
                LinkSettings {
                    jitter: milliseconds(4),
                    loss: Chance::percent(1.5).expect("in range"),
                    ..plain.clone()
                },
                "netem limit 200000 delay 32000us 2000us loss 1.5% duplicate 0% rate 100gbit",
            ),
            (
                LinkSettings { jitter: milliseconds(4), reorder: true, ..plain.clone() },
                "netem limit 200000 delay 32000us 2000us loss 0% duplicate 0% rate 0bit",
            ),
            (
                LinkSettings { cut: true, ..plain.clone() },
                "netem limit 200000 delay 30000us 0us loss 100% duplicate 0% rate 100gbit",
            ),
            (
                LinkSettings { rate: Some(1_000_000), queue: 150_000, ..plain.clone() },
                "netem limit 120 delay 30000us 0us loss 0% duplicate 0% rate 8000000bit",
            ),
            // Never earlier than asked.
            (
                LinkSettings::delayed(Duration::from_nanos(1_500)),
                "netem limit 200000 delay 2us 0us loss 0% duplicate 0% rate 100gbit",
            ),
        ];
        for (settings, words) in table {
            assert_eq!(arguments(&settings), words);
        }
    }

    #[test]
    fn counters_of_netem_are_found_by_device() {
        let json =
            br#"[{"kind":"noqueue","handle":"0:","dev":"lo","root":true,"refcnt":2,"options":{},"bytes":0,"packets":0,
            "drops":0,"overlimits":0,"requeues":0,"backlog":0,"qlen":0},
            {"kind":"netem","handle":"8001:","dev":"to-B","root":true,"refcnt":2,"options":{"limit":1000},"bytes":980,
            "packets":10,"drops":3,"overlimits":0,"requeues":0,"backlog":98,"qlen":1}]"#;
        let counted = counters(json).expect("it reads");
        assert_eq!(counted.len(), 1);
        assert_eq!(counted["to-B"], Counters { packets: 10, bytes: 980, drops: 3, waiting: 1 });
        assert!(counters(b"nothing").is_err());
    }
}
