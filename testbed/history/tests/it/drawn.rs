//! Histories as one draws them: a transaction a line, when it began and ended, what it was told, what it did.
//!
//! ```text
//!   1-4 ok   [[:r 5 [1]] [:append 5 2]]       milliseconds; each line is a process of its own, T0 first
//!   2-? info [[:append 5 3]]
//! ```
use trivet_history::{Event, History, Process, Type, read};

pub fn history(text: &str) -> History {
    let mut events: Vec<(u64, bool, usize, Event)> = Vec::new();
    for (number, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let (times, rest) = line.trim().split_once(' ').unwrap_or_else(|| panic!("'{line}' has no times"));
        let (kind, value) = rest.trim().split_once(' ').unwrap_or_else(|| panic!("'{line}' has no value"));
        let (begun, ended) = times.split_once('-').unwrap_or_else(|| panic!("'{times}' is no time"));
        let begun: u64 = begun.parse().expect("a number of milliseconds");
        let kind: Type = kind.parse().expect("ok, fail or info");
        let mut push = |time: u64, ends: bool, kind: Type| {
            let text =
                format!("{{:type :{}, :process {number}, :time {}, :value {value}}}", kind.word(), time * 1_000_000);
            let event = read(&text).unwrap_or_else(|error| panic!("'{line}': {error}")).events.remove(0);
            assert_eq!(event.process, Process::Client(number as u64));
            events.push((time, ends, number, event));
        };
        push(begun, false, Type::Invoke);
        if let Ok(ended) = ended.parse() {
            push(ended, true, kind);
        }
    }
    // What ends in the millisecond in which something begins ended after that.
    events.sort_by_key(|(time, ends, number, _)| (*time, *ends, *number));
    History { events: events.into_iter().map(|(_, _, _, event)| event).collect() }
}
