//! An invocation with its completion.
use crate::event::{Event, History, MicroOperation, Process, Type};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// T7 is the eighth that was invoked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Number(pub u32);

impl Number {
    pub(crate) fn place(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

/// When, by place in the history, which is exact, and by clock, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct When {
    pub(crate) place: u32,
    pub(crate) time: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Committed,
    Aborted,
    /// Until somebody is found who saw a write of it.
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) process: u64,
    pub(crate) region: Option<Arc<str>>,
    pub(crate) begun: When,
    /// Of one whose fate is known.
    pub(crate) ended: Option<When>,
    pub(crate) fate: Fate,
    /// As completed if it is committed, else as invoked.
    pub(crate) operations: Vec<MicroOperation>,
}

impl Transaction {
    /// "t 3 [:r 5 [1 2]] ..." for people.
    pub(crate) fn words(&self) -> String {
        let operations: Vec<String> = self.operations.iter().map(short).collect();
        let region = self.region.as_ref().map_or(String::new(), |region| format!(", region {region}"));
        let until = match (self.ended, self.fate) {
            (Some(ended), _) => format!("to {}", seconds(ended.time)),
            (None, _) => "without an answer".to_owned(),
        };
        format!("[{}]   process {}{region}, {} {until}", operations.join(" "), self.process, seconds(self.begun.time))
    }
}

/// Lists can be long; what matters is their end.
fn short(operation: &MicroOperation) -> String {
    let text = operation.to_string();
    const SHOWN: usize = 60;
    match text.chars().count() {
        ..=SHOWN => text,
        letters => {
            let head: String = text.chars().take(16).collect();
            let tail: String = text.chars().skip(letters - 36).collect();
            let tail = tail.split_once(' ').map_or(tail.as_str(), |(_, whole)| whole);
            let head = head.rsplit_once(' ').map_or(head.as_str(), |(whole, _)| whole);
            format!("{head} ... {tail}")
        }
    }
}

pub(crate) fn seconds(nanoseconds: u64) -> String {
    format!("{:.4} s", nanoseconds as f64 / 1e9)
}

/// In the order of their invocations. A completion without an invocation counts from its own place.
pub(crate) fn pair(history: &History) -> Vec<Transaction> {
    let mut transactions: Vec<Transaction> = Vec::with_capacity(history.events.len() / 2);
    let mut open: HashMap<u64, usize> = HashMap::new();
    for (place, event) in history.events.iter().enumerate() {
        let Event { kind, process: Process::Client(process), time, value, region, .. } = event else { continue };
        let when = When { place: u32::try_from(place).expect("a history of fewer than 4 billion events"), time: *time };
        if *kind == Type::Invoke {
            open.insert(*process, transactions.len());
            transactions.push(Transaction {
                process: *process,
                region: region.clone(),
                begun: when,
                ended: None,
                fate: Fate::Unknown,
                operations: value.clone(),
            });
            continue;
        }
        let Some(index) = open.remove(process) else {
            if *kind == Type::Ok {
                transactions.push(Transaction {
                    process: *process,
                    region: region.clone(),
                    begun: when,
                    ended: Some(when),
                    fate: Fate::Committed,
                    operations: value.clone(),
                });
            }
            continue;
        };
        let transaction = &mut transactions[index];
        match kind {
            Type::Ok => {
                transaction.operations.clone_from(value);
                (transaction.fate, transaction.ended) = (Fate::Committed, Some(when));
            }
            Type::Fail => (transaction.fate, transaction.ended) = (Fate::Aborted, Some(when)),
            Type::Info => {}
            Type::Invoke => unreachable!("handled above"),
        }
    }
    transactions
}
