//! EDN, as much of it as histories use: nil, booleans, numbers, strings, keywords, symbols, vectors, lists, sets, maps,
//! comments, discards. A tag (`#jepsen.history.Op`) is read over; what it stands before is kept.
use std::iter::Peekable;
use std::str::CharIndices;

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Edn {
    Nil,
    Integer(i64),
    /// A number that is none of those above, as it stands.
    Number(String),
    Text(String),
    /// Without its colon.
    Keyword(String),
    Symbol(String),
    /// A vector, list or set.
    Items(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
}

impl Edn {
    pub(crate) fn field(&self, name: &str) -> Option<&Edn> {
        let Edn::Map(pairs) = self else { return None };
        pairs.iter().find(|(key, _)| matches!(key, Edn::Keyword(word) if word == name)).map(|(_, value)| value)
    }
}

/// One after the other, until the text ends. An error is a place (in bytes) and a sentence.
pub(crate) struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    depth: usize,
}

pub(crate) type Wrong = (usize, String);

/// Deeper than any history; a text of ten thousand brackets shall not end the stack.
const DEPTH_MAX: usize = 64;

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Reader<'a> {
        Reader { text, rest: text.char_indices().peekable(), depth: 0 }
    }

    pub(crate) fn place(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(place, _)| *place)
    }

    /// None at the end of the text.
    pub(crate) fn next(&mut self) -> Result<Option<Edn>, Wrong> {
        loop {
            self.skip_blank();
            let Some(&(place, letter)) = self.rest.peek() else { return Ok(None) };
            match letter {
                '#' => {
                    self.rest.next();
                    match self.rest.peek() {
                        Some((_, '_')) => {
                            self.rest.next();
                            self.nested(place)?;
                        }
                        Some((_, '{')) => {
                            self.rest.next();
                            return self.items('}', place).map(Some);
                        }
                        // A tag.
                        _ => drop(self.word()),
                    }
                }
                ')' | ']' | '}' => return Err((place, format!("'{letter}' closes nothing"))),
                _ => return self.value(place, letter).map(Some),
            }
        }
    }

    fn value(&mut self, place: usize, letter: char) -> Result<Edn, Wrong> {
        match letter {
            '[' | '(' => {
                self.rest.next();
                self.items(if letter == '[' { ']' } else { ')' }, place)
            }
            '{' => {
                self.rest.next();
                let Edn::Items(items) = self.items('}', place)? else { unreachable!("items are items") };
                if items.len() % 2 == 1 {
                    return Err((place, "a map needs a value for each key".into()));
                }
                let mut pairs = Vec::with_capacity(items.len() / 2);
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Ok(Edn::Map(pairs))
            }
            '"' => self.string(place),
            ':' => {
                self.rest.next();
                Ok(Edn::Keyword(self.word().to_owned()))
            }
            _ => match self.word() {
                "" => Err((place, format!("'{letter}' begins nothing that is known"))),
                "nil" => Ok(Edn::Nil),
                word => Ok(match word.trim_end_matches('N').parse() {
                    Ok(number) => Edn::Integer(number),
                    Err(_) if word.parse::<f64>().is_ok() => Edn::Number(word.to_owned()),
                    Err(_) => Edn::Symbol(word.to_owned()),
                }),
            },
        }
    }

    fn items(&mut self, end: char, begun: usize) -> Result<Edn, Wrong> {
        let mut items = Vec::new();
        loop {
            self.skip_blank();
            match self.rest.peek() {
                None => return Err((begun, format!("what begins here is not closed by '{end}'"))),
                Some((_, letter)) if *letter == end => {
                    self.rest.next();
                    return Ok(Edn::Items(items));
                }
                Some(_) => items.extend(self.deeper()?),
            }
        }
    }

    /// None: what stood there was discarded, and the next thing closes.
    fn deeper(&mut self) -> Result<Option<Edn>, Wrong> {
        let place = self.place();
        if self.depth == DEPTH_MAX {
            return Err((place, format!("more than {DEPTH_MAX} levels deep")));
        }
        self.depth += 1;
        // `#_ x` before a closing bracket: nothing is left to read.
        let discards = self.text[place..].starts_with("#_");
        let result = if discards {
            self.rest.next();
            self.rest.next();
            self.nested(place).map(|_| None)
        } else {
            self.next()
        };
        self.depth -= 1;
        result
    }

    fn nested(&mut self, begun: usize) -> Result<Edn, Wrong> {
        self.skip_blank();
        self.deeper()?.ok_or((begun, "nothing follows".into()))
    }

    fn string(&mut self, begun: usize) -> Result<Edn, Wrong> {
        self.rest.next();
        let mut text = String::new();
        while let Some((_, letter)) = self.rest.next() {
            match letter {
                '"' => return Ok(Edn::Text(text)),
                '\\' => match self.rest.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                _ => text.push(letter),
            }
        }
        Err((begun, "the text that begins here is not closed".into()))
    }

    fn word(&mut self) -> &'a str {
        let begun = self.place();
        while let Some((_, letter)) = self.rest.peek()
            && !letter.is_whitespace()
            && !matches!(letter, ',' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | ';')
        {
            self.rest.next();
        }
        let end = self.place();
        &self.text[begun..end]
    }

    fn skip_blank(&mut self) {
        while let Some((_, letter)) = self.rest.peek() {
            match letter {
                ';' => while self.rest.next_if(|(_, letter)| *letter != '\n').is_some() {},
                letter if letter.is_whitespace() || *letter == ',' => drop(self.rest.next()),
                _ => return,
            }
        }
    }
}

/// A string as EDN writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ => out.push(letter),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Edn>, Wrong> {
        let mut reader = Reader::new(text);
        let mut found = Vec::new();
        while let Some(value) = reader.next()? {
            found.push(value);
        }
        Ok(found)
    }

    #[test]
    fn values_read() {
        let keyword = |word: &str| Edn::Keyword(word.into());
        let table: [(&str, Vec<Edn>); 9] = [
            ("", vec![]),
            (
                "nil 7 -7 7N 1.5",
                vec![Edn::Nil, Edn::Integer(7), Edn::Integer(-7), Edn::Integer(7), Edn::Number("1.5".into())],
            ),
            (":a, :b ; and no more :c\n:d", vec![keyword("a"), keyword("b"), keyword("d")]),
            (
                "[1 (2 3) #{4}]",
                vec![Edn::Items(vec![
                    Edn::Integer(1),
                    Edn::Items(vec![Edn::Integer(2), Edn::Integer(3)]),
                    Edn::Items(vec![Edn::Integer(4)]),
                ])],
            ),
            (
                "{:a 1 :b [nil]}",
                vec![Edn::Map(vec![(keyword("a"), Edn::Integer(1)), (keyword("b"), Edn::Items(vec![Edn::Nil]))])],
            ),
            (r#""a \"b\" \\ c""#, vec![Edn::Text(r#"a "b" \ c"#.into())]),
            ("#jepsen.history.Op{:a 1}", vec![Edn::Map(vec![(keyword("a"), Edn::Integer(1))])]),
            ("[1 #_2 3 #_ [4]]", vec![Edn::Items(vec![Edn::Integer(1), Edn::Integer(3)])]),
            ("#_ 1 true", vec![Edn::Symbol("true".into())]),
        ];
        for (text, expected) in table {
            assert_eq!(all(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, place) in [("[1 2", 0), ("1 ]", 2), ("{:a}", 0), ("\"a", 0), (&"[".repeat(100_000), DEPTH_MAX + 1)] {
            assert_eq!(all(text).expect_err(text).0, place);
        }
    }
}
