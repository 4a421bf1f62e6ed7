//! Conversations as text: what the client sends, what must come back, to the letter.
//!
//! ```text
//! > Query "select 1"            send (any number; bytes outside UTF-8 as \xff)
//! until ReadyForQuery           read; the indented lines below are what came
//!   RowDescription ?column?:23/text
//! on two                        go on with another connection, opened when first named
//! cancel one                    a CancelRequest for a connection
//! wait                          until the engine is busy waiting for somebody
//! ```
//!
//! `TRIVET_REWRITE=1 cargo nextest run -p trivet-gateway transcripts` writes what came into the files: read the diff.
use crate::harness::{Gateway, eventually, gateway};
use crate::wire::{CANCEL_REQUEST, PROTOCOL_3_0, Wire, message, packet, startup};
use bytes::BufMut;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn all_transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/transcripts");
    let rewrite = std::env::var_os("TRIVET_REWRITE").is_some();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of transcripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut different = Vec::new();
    for file in files {
        let expected = std::fs::read_to_string(&file).expect("a transcript");
        let actual = run(&expected).await;
        if actual != expected {
            if rewrite {
                std::fs::write(&file, actual).expect("the transcript can be written");
            } else {
                different.push(format!("{}\n{}", file.display(), difference(&expected, &actual)));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

fn difference(expected: &str, actual: &str) -> String {
    let mut lines = Vec::new();
    let (mut old, mut new) = (expected.lines().peekable(), actual.lines().peekable());
    let mut number = 0;
    while old.peek().is_some() || new.peek().is_some() {
        number += 1;
        let (before, after) = (old.next(), new.next());
        if before != after {
            lines.push(format!("{number}: expected {before:?}\n{number}: actual   {after:?}"));
        }
    }
    lines.truncate(8);
    lines.join("\n")
}

async fn run(script: &str) -> String {
    let gateway = gateway().await;
    let mut wires: HashMap<String, Wire> = HashMap::new();
    let mut name = "one".to_owned();
    let mut output = String::new();
    let mut line = |text: &str| {
        output.push_str(text);
        output.push('\n');
    };
    for text in script.lines() {
        if text.starts_with("  ") {
            continue;
        }
        line(text);
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "on" => {
                name = rest.to_owned();
                connection(&gateway, &mut wires, &name).await;
            }
            ">" => {
                let bytes = compose(rest);
                let wire = if rest.starts_with("Startup") {
                    wires.insert(name.clone(), Wire::open(gateway.address).await);
                    wires.get_mut(&name).expect("just inserted")
                } else {
                    connection(&gateway, &mut wires, &name).await
                };
                wire.try_send(&bytes).await;
            }
            "until" => {
                let wire = connection(&gateway, &mut wires, &name).await;
                loop {
                    match wire.receive().await {
                        None => {
                            line("  closed");
                            break;
                        }
                        Some(message) => {
                            line(&format!("  {}", message.show()));
                            if message.name() == rest {
                                break;
                            }
                        }
                    }
                }
            }
            "cancel" => {
                let wire = connection(&gateway, &mut wires, rest).await;
                let body = [&wire.process_id.to_be_bytes()[..], &wire.secret].concat();
                let mut canceller = Wire::open(gateway.address).await;
                canceller.send(&packet(CANCEL_REQUEST, &body)).await;
                assert_eq!(canceller.receive().await, None, "a cancel request is answered by closing");
            }
            "wait" => {
                eventually("the engine waits", || gateway.seen.waiting.load(Ordering::SeqCst) > 0).await;
                gateway.seen.waiting.store(0, Ordering::SeqCst);
            }
            _ => assert!(text.is_empty() || text.starts_with('#'), "what is {text:?}"),
        }
    }
    output
}

async fn connection<'a>(gateway: &Gateway, wires: &'a mut HashMap<String, Wire>, name: &str) -> &'a mut Wire {
    if !wires.contains_key(name) {
        wires.insert(name.to_owned(), gateway.connect().await);
    }
    wires.get_mut(name).expect("just inserted")
}

/// A message in words.
fn compose(text: &str) -> Vec<u8> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut arguments = Arguments(rest);
    let mut body = Vec::new();
    let kind = match name {
        "Startup" => {
            let mut parameters = Vec::new();
            let version = arguments.number_or(i64::from(PROTOCOL_3_0));
            while !arguments.is_empty() {
                let pair = (arguments.text(), arguments.text());
                parameters.push((utf8(pair.0), utf8(pair.1)));
            }
            let parameters: Vec<(&str, &str)> =
                parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            return startup(version as u32, &parameters);
        }
        "Raw" => return arguments.text(),
        "Query" | "CopyFail" => {
            arguments.string(&mut body);
            if name == "Query" { b'Q' } else { b'f' }
        }
        "Parse" => {
            arguments.string(&mut body);
            arguments.string(&mut body);
            let types = arguments.numbers();
            body.put_u16(types.len() as u16);
            types.iter().for_each(|oid| body.put_u32(*oid as u32));
            b'P'
        }
        "Bind" => {
            arguments.string(&mut body);
            arguments.string(&mut body);
            let formats = arguments.numbers();
            body.put_u16(formats.len() as u16);
            formats.iter().for_each(|code| body.put_i16(*code as i16));
            let values = arguments.values();
            body.put_u16(values.len() as u16);
            for value in values {
                match value {
                    None => body.put_i32(-1),
                    Some(value) => {
                        body.put_i32(value.len() as i32);
                        body.put_slice(&value);
                    }
                }
            }
            let formats = arguments.numbers();
            body.put_u16(formats.len() as u16);
            formats.iter().for_each(|code| body.put_i16(*code as i16));
            b'B'
        }
        "Describe" | "Close" => {
            body.put_u8(arguments.word().as_bytes()[0]);
            arguments.string(&mut body);
            if name == "Describe" { b'D' } else { b'C' }
        }
        "Execute" => {
            arguments.string(&mut body);
            body.put_i32(arguments.number_or(0) as i32);
            b'E'
        }
        "CopyData" => {
            body = arguments.text();
            b'd'
        }
        "CopyDone" => b'c',
        "Sync" => b'S',
        "Flush" => b'H',
        "Terminate" => b'X',
        "FunctionCall" => b'F',
        _ => panic!("what is {text:?}"),
    };
    message(kind, &body)
}

fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

struct Arguments<'a>(&'a str);

impl<'a> Arguments<'a> {
    fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    fn word(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find([' ', ']']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }

    fn number_or(&mut self, default: i64) -> i64 {
        match self.0.trim_start().chars().next() {
            Some(character) if character.is_ascii_digit() || character == '-' => self.word().parse().expect("a number"),
            _ => default,
        }
    }

    fn string(&mut self, body: &mut Vec<u8>) {
        body.extend(self.text());
        body.push(0);
    }

    /// `"..."` with \n, \t, \", \\, \0 and \xff.
    fn text(&mut self) -> Vec<u8> {
        let mut rest = self.0.trim_start().strip_prefix('"').expect("a quoted text").chars();
        let mut bytes = Vec::new();
        loop {
            match rest.next().expect("a text ends with a quote") {
                '"' => break,
                '\\' => match rest.next().expect("an escape") {
                    'n' => bytes.push(b'\n'),
                    't' => bytes.push(b'\t'),
                    '0' => bytes.push(0),
                    'x' => {
                        let digits: String = rest.by_ref().take(2).collect();
                        bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
                    }
                    other => bytes.extend(other.to_string().into_bytes()),
                },
                other => bytes.extend(other.to_string().into_bytes()),
            }
        }
        self.0 = rest.as_str();
        bytes
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        let Some(rest) = self.0.trim_start().strip_prefix('[') else { return items };
        self.0 = rest;
        loop {
            if let Some(rest) = self.0.trim_start().strip_prefix(']') {
                self.0 = rest;
                return items;
            }
            items.push(item(self));
        }
    }

    fn numbers(&mut self) -> Vec<i64> {
        self.list(|arguments| arguments.word().parse().expect("a number"))
    }

    fn values(&mut self) -> Vec<Option<Vec<u8>>> {
        self.list(|arguments| match arguments.0.trim_start().strip_prefix("null") {
            Some(rest) => {
                arguments.0 = rest;
                None
            }
            None => Some(arguments.text()),
        })
    }
}
