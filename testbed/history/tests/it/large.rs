//! A hundred thousand transactions are judged in seconds.
use crate::engine::{Engine, Rules, random_history};
use rand::{SeedableRng, rngs::StdRng};
use std::time::{Duration, Instant};
use trivet_history::{Action, Event, History, Level, Process, Seen, Type, check, read, write};

/// Keys that are used for a while and then left, so that lists stay short: as a workload does it.
fn history(transactions: usize, rules: Rules) -> History {
    const BLOCK: usize = 500;
    let mut random = StdRng::seed_from_u64(7);
    let mut events: Vec<Event> = Vec::new();
    for block in 0..transactions / BLOCK {
        let mut part = random_history(Engine::new(rules), &mut random, BLOCK, 24, 20).events;
        for event in &mut part {
            event.time += block as u64 * 1_000_000_000;
            for operation in &mut event.value {
                let trivet_history::Key::Number(key) = operation.key else { unreachable!("keys are numbers") };
                operation.key = (key + block as i64 * 20).into();
            }
        }
        events.extend(part);
    }
    History { events }
}

#[test]
fn a_hundred_thousand_transactions() {
    let history = history(100_000, Rules::Snapshot);
    let begun = Instant::now();
    let text = write(&history);
    assert_eq!(read(&text).expect("it reads"), history);
    let read = begun.elapsed();
    for level in Level::ALL {
        let begun = Instant::now();
        let verdict = check(&history, level).expect("lists only");
        eprintln!(
            "{}: {} in {:.1?}; written and read in {read:.1?}",
            level.words(),
            verdict.committed,
            begun.elapsed()
        );
        assert_eq!(verdict.is_clean(), !level.is_serializable(), "{}", level.words());
        assert!(begun.elapsed() < Duration::from_secs(30), "{} took {:?}", level.words(), begun.elapsed());
    }
}

/// Broken throughout: the search for short cycles must not take for ever either.
#[test]
fn a_hundred_thousand_broken_ones() {
    for rules in [Rules::NoConflicts, Rules::OldSnapshots] {
        let history = history(100_000, rules);
        let begun = Instant::now();
        let verdict = check(&history, Level::StrictSnapshotIsolation).expect("lists only");
        eprintln!("{rules:?}: {} anomalies in {:.1?}", verdict.anomalies.len(), begun.elapsed());
        assert!(!verdict.is_clean());
        assert!(begun.elapsed() < Duration::from_secs(30), "{rules:?} took {:?}", begun.elapsed());
    }
}

/// The same with registers, half of them written blindly.
#[test]
fn a_hundred_thousand_registers() {
    let mut events = Vec::new();
    let mut values = [0i64; 8];
    for number in 0..100_000i64 {
        let key = (number * 7 + number / 11) % 8;
        let process = Process::Client(number as u64 % 16);
        let action = match number % 3 {
            0 => Action::Write(number + 1),
            _ if values[key as usize] == 0 => Action::Read(Seen::Nil),
            _ => Action::Read(Seen::Value(values[key as usize])),
        };
        if let Action::Write(value) = action {
            values[key as usize] = value;
        }
        let asked = match &action {
            Action::Read(_) => Action::Read(Seen::Nil),
            other => other.clone(),
        };
        for (kind, action) in [(Type::Invoke, asked), (Type::Ok, action)] {
            let value = vec![trivet_history::MicroOperation { key: key.into(), action }];
            events.push(Event { kind, process, time: number as u64 * 1000, value, region: None, note: None });
        }
    }
    let history = History { events };
    let begun = Instant::now();
    let verdict = check(&history, Level::StrictSerializability).expect("registers only");
    eprintln!("registers in {:.1?}", begun.elapsed());
    assert!(verdict.is_clean(), "{verdict}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}
