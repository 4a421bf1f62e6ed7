//! A history as EDN, one event a line: `docs/formats/history.md`.
use crate::edn::{Edn, Reader, quoted};
use crate::event::{Action, Event, History, Key, MicroOperation, Process, Seen};
use std::fmt::Write;
use std::sync::Arc;

/// Why a text is no history. `line` counts from 1.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct FormatError {
    pub line: usize,
    pub why: String,
}

/// As text.
pub fn write(history: &History) -> String {
    let mut out = String::with_capacity(history.events.len() * 120);
    for (index, event) in history.events.iter().enumerate() {
        let Event { kind, process, time, value, region, note } = event;
        let _ = write!(out, "{{:index {index}, :time {time}, :type :{}", kind.word());
        match process {
            Process::Client(number) => {
                let _ = write!(out, ", :process {number}, :f :txn, :value [");
                for (place, operation) in value.iter().enumerate() {
                    let _ = write!(out, "{}{operation}", if place == 0 { "" } else { " " });
                }
                out.push(']');
            }
            Process::Nemesis => out.push_str(", :process :nemesis, :f :fault, :value nil"),
        }
        if let Some(region) = region {
            let _ = write!(out, ", :region {}", quoted(region));
        }
        if let Some(note) = note {
            let _ = write!(out, ", :error {}", quoted(note));
        }
        out.push_str("}\n");
    }
    out
}

/// Maps one after the other, or one vector of them. Fields that are not known are read over.
pub fn read(text: &str) -> Result<History, FormatError> {
    let mut reader = Reader::new(text);
    let mut events = Vec::new();
    loop {
        // The reader stops behind what it has read, so an error in a value names the line on which that began.
        let place = {
            let from = reader.place();
            from + text[from..].len() - text[from..].trim_start().len()
        };
        let at = |why: String| FormatError { line: line_of(text, place), why };
        let value = reader.next().map_err(|(place, why)| FormatError { line: line_of(text, place), why })?;
        match value {
            None => return Ok(History { events }),
            Some(Edn::Items(items)) if events.is_empty() => {
                for (number, item) in items.iter().enumerate() {
                    events.push(event(item).map_err(|why| at(format!("event {number}: {why}")))?);
                }
            }
            Some(value) => events.push(event(&value).map_err(at)?),
        }
    }
}

fn line_of(text: &str, place: usize) -> usize {
    text.as_bytes()[..place.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn event(value: &Edn) -> Result<Event, String> {
    if !matches!(value, Edn::Map(_)) {
        return Err("an event is a map, such as {:type :invoke, :process 0, :value [[:r 1 nil]]}".into());
    }
    let kind = match value.field("type") {
        Some(Edn::Keyword(word)) => word.parse().ok(),
        _ => None,
    };
    let kind = kind.ok_or(":type is :invoke, :ok, :fail or :info")?;
    let process = match value.field("process") {
        Some(Edn::Integer(number)) => {
            Process::Client(u64::try_from(*number).map_err(|_| ":process is a number from 0".to_owned())?)
        }
        Some(Edn::Keyword(_)) => Process::Nemesis,
        _ => return Err(":process is a number or :nemesis".into()),
    };
    let time = match value.field("time") {
        Some(Edn::Integer(time)) => u64::try_from(*time).unwrap_or(0),
        _ => 0,
    };
    let operations = match (process, value.field("value")) {
        (Process::Nemesis, _) | (_, Some(Edn::Nil) | None) => Vec::new(),
        (_, Some(Edn::Items(items))) => items.iter().map(micro_operation).collect::<Result<_, _>>()?,
        _ => return Err(":value is a vector of micro-operations".into()),
    };
    let text = |name| match value.field(name) {
        Some(Edn::Text(text) | Edn::Keyword(text)) => Some(Arc::from(text.as_str())),
        _ => None,
    };
    Ok(Event { kind, process, time, value: operations, region: text("region"), note: text("error") })
}

fn micro_operation(value: &Edn) -> Result<MicroOperation, String> {
    let known = || "a micro-operation is [:r KEY SEEN], [:append KEY NUMBER] or [:w KEY NUMBER]".to_owned();
    let Edn::Items(items) = value else { return Err(known()) };
    let [Edn::Keyword(verb), key, value] = &items[..] else { return Err(known()) };
    let key = match key {
        Edn::Integer(number) => Key::Number(*number),
        Edn::Keyword(name) | Edn::Text(name) => Key::Name(Arc::from(name.as_str())),
        _ => return Err("a key is a number or a keyword".into()),
    };
    let number = |value: &Edn| match value {
        Edn::Integer(number) => Ok(*number),
        _ => Err("a value is a whole number".to_owned()),
    };
    let action = match (verb.as_str(), value) {
        ("append", value) => Action::Append(number(value)?),
        ("w", value) => Action::Write(number(value)?),
        ("r", Edn::Nil) => Action::Read(Seen::Nil),
        ("r", Edn::Items(list)) => Action::Read(Seen::List(list.iter().map(number).collect::<Result<_, _>>()?)),
        ("r", value) => Action::Read(Seen::Value(number(value)?)),
        _ => return Err(known()),
    };
    Ok(MicroOperation { key, action })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Type;

    #[test]
    fn what_is_written_reads_back() {
        let client = |kind, time, value: Vec<MicroOperation>| Event {
            kind,
            process: Process::Client(3),
            time,
            value,
            region: Some("A".into()),
            note: None,
        };
        let operation = |key: i64, action| MicroOperation { key: key.into(), action };
        let asked = vec![operation(5, Action::Append(1)), operation(5, Action::Read(Seen::Nil))];
        let told = vec![operation(5, Action::Append(1)), operation(5, Action::Read(Seen::List(vec![1])))];
        let named = MicroOperation { key: Key::Name("x".into()), action: Action::Read(Seen::Value(-4)) };
        let nemesis = Event {
            kind: Type::Info,
            process: Process::Nemesis,
            time: 15,
            value: vec![],
            region: None,
            note: Some("kill \"A\"".into()),
        };
        let events = vec![
            client(Type::Invoke, 10, asked),
            nemesis,
            client(Type::Ok, 20, told),
            client(Type::Info, 30, vec![named, operation(7, Action::Write(2))]),
        ];
        let history = History { events };
        let text = write(&history);
        assert_eq!(read(&text).expect("it reads"), history);
        assert_eq!(
            text.lines().next().expect("a line"),
            "{:index 0, :time 10, :type :invoke, :process 3, :f :txn, :value [[:append 5 1] [:r 5 nil]], :region \"A\"}"
        );
        assert_eq!(read(&format!("[{text}]")).expect("a vector of them reads"), history);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let good = "{:type :invoke, :process 0, :value [[:r 1 nil]]}\n";
        for (bad, expected) in [
            ("{:type :odd, :process 0}", "line 2: :type is :invoke, :ok, :fail or :info"),
            (
                "{:type :ok, :process 0, :value [[:inc 1 1]]}",
                "line 2: a micro-operation is [:r KEY SEEN], [:append KEY NUMBER] or [:w KEY NUMBER]",
            ),
            ("{:type :ok, :process 0, :value [[:r 1 [:x]]]}", "line 2: a value is a whole number"),
            ("{:type :ok", "line 2: what begins here is not closed by '}'"),
            ("7", "line 2: an event is a map, such as {:type :invoke, :process 0, :value [[:r 1 nil]]}"),
        ] {
            assert_eq!(read(&format!("{good}{bad}")).expect_err(bad).to_string(), expected);
        }
    }
}
