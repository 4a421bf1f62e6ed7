//! What clients did, as a list in the order in which it happened.
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A history. The order of `events` is the order in time: a transaction whose completion stands before the invocation
/// of another one ended before that began.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    pub events: Vec<Event>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub kind: Type,
    pub process: Process,
    /// Nanoseconds since the history began.
    pub time: u64,
    pub value: Vec<MicroOperation>,
    /// Where the client was.
    pub region: Option<Arc<str>>,
    /// SQLSTATE or a word, of what did not succeed; for the nemesis, what it did.
    pub note: Option<Arc<str>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Process {
    /// One client; after an `info` it goes on under a new number, because the old one may still be at work.
    Client(u64),
    /// Who breaks things; its events order nothing.
    Nemesis,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen and never will.
    Fail,
    /// Nobody knows.
    Info,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MicroOperation {
    pub key: Key,
    pub action: Action,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// To the end of the key's list.
    Append(i64),
    /// In the place of the key's value.
    Write(i64),
    Read(Seen),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Nothing was read, or it is not yet known what; also the register that nobody wrote and the empty list.
    Nil,
    Value(i64),
    List(Vec<i64>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    Number(i64),
    Name(Arc<str>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    ListAppend,
    Register,
}

impl History {
    /// By what it writes. Without any write it does not matter.
    pub fn workload(&self) -> Workload {
        let operations = self.events.iter().flat_map(|event| &event.value);
        let is_append = |operation: &MicroOperation| match &operation.action {
            Action::Append(_) | Action::Read(Seen::List(_)) => Some(true),
            Action::Write(_) | Action::Read(Seen::Value(_)) => Some(false),
            Action::Read(Seen::Nil) => None,
        };
        match operations.filter_map(is_append).next() {
            Some(false) => Workload::Register,
            _ => Workload::ListAppend,
        }
    }
}

impl From<i64> for Key {
    fn from(number: i64) -> Key {
        Key::Number(number)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Number(number) => write!(f, "{number}"),
            Key::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Nil => f.write_str("nil"),
            Seen::Value(value) => write!(f, "{value}"),
            Seen::List(list) => {
                let items: Vec<String> = list.iter().map(i64::to_string).collect();
                write!(f, "[{}]", items.join(" "))
            }
        }
    }
}

impl fmt::Display for MicroOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let mark = if matches!(key, Key::Name(_)) { ":" } else { "" };
        match &self.action {
            Action::Append(value) => write!(f, "[:append {mark}{key} {value}]"),
            Action::Write(value) => write!(f, "[:w {mark}{key} {value}]"),
            Action::Read(seen) => write!(f, "[:r {mark}{key} {seen}]"),
        }
    }
}

impl Type {
    pub fn word(self) -> &'static str {
        match self {
            Type::Invoke => "invoke",
            Type::Ok => "ok",
            Type::Fail => "fail",
            Type::Info => "info",
        }
    }
}

impl FromStr for Type {
    type Err = ();

    fn from_str(text: &str) -> Result<Type, ()> {
        [Type::Invoke, Type::Ok, Type::Fail, Type::Info].into_iter().find(|kind| kind.word() == text).ok_or(())
    }
}
