//! PostgreSQL's "advanced regular expressions" (manual, section 9.7.3).
//!
//! `parse` reads the syntax. PostgreSQL matches leftmost-longest, or leftmost-shortest if the first quantifier with a
//! preference is not greedy. Most patterns are found by the automata of `regex-automata`, which are told the sets of characters
//! and know no preference: one finds where a match begins, one how far it reaches. What each group took is found within
//! that extent (`dissect`). A pattern with back references or look-around is found by our own programs alone (`program`).
mod dissect;
mod parse;
mod program;
mod set;
mod spell;

pub use dissect::Spans;
pub use parse::Options;

use crate::environment::Environment;
use crate::error::{PgError, PgResult, SqlState};
use dissect::Part;
use program::Subject;
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input, MatchKind};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

const CACHED_EXPRESSIONS_MAX: usize = 64;
/// Bytes that one compiled expression may take.
const EXPRESSION_BYTES_MAX: usize = 4 << 20;
/// Bytes that searching with one may take.
const SEARCH_BYTES_MAX: usize = 256 << 10;

#[derive(Debug)]
pub struct Expression {
    /// Nothing if the pattern has what no automaton can do.
    automata: Option<Automata>,
    /// Nothing if the automata say it all.
    part: Option<Part>,
    groups: usize,
    shortest: bool,
}

#[derive(Debug)]
struct Automata {
    /// Finds where a match begins.
    first: Regex,
    /// Without preference: finds how far it reaches.
    extent: Regex,
}

thread_local! {
    static EXPRESSIONS: RefCell<HashMap<(String, Options), Rc<Expression>>> = RefCell::new(HashMap::new());
}

fn invalid(what: &str) -> Box<PgError> {
    PgError::new(SqlState(*b"2201B"), format!("invalid regular expression: {what}"))
}

/// The compiled form, from a small cache per thread.
pub fn compiled(pattern: &str, options: Options) -> PgResult<Rc<Expression>> {
    EXPRESSIONS.with_borrow_mut(|cache| {
        let key = (pattern.to_string(), options);
        if let Some(known) = cache.get(&key) {
            return Ok(known.clone());
        }
        let expression = Rc::new(Expression::new(pattern, options)?);
        if cache.len() >= CACHED_EXPRESSIONS_MAX {
            cache.clear();
        }
        cache.insert(key, expression.clone());
        Ok(expression)
    })
}

impl Automata {
    fn new(pattern: &str) -> PgResult<Automata> {
        let build = |kind: MatchKind| {
            let config = Regex::config()
                .match_kind(kind)
                .nfa_size_limit(Some(EXPRESSION_BYTES_MAX))
                .hybrid_cache_capacity(SEARCH_BYTES_MAX);
            Regex::builder().configure(config).build(pattern).map_err(|error| match error.size_limit() {
                Some(_) => invalid("regular expression is too complex"),
                None => invalid("cannot be compiled"),
            })
        };
        Ok(Automata { first: build(MatchKind::LeftmostFirst)?, extent: build(MatchKind::All)? })
    }

    fn find(&self, text: &str, start: usize, shortest: bool) -> Option<(usize, usize)> {
        let found = self.first.find(Input::new(text).span(start..text.len()))?;
        let tail = Input::new(text).span(found.start()..text.len()).anchored(Anchored::Yes).earliest(shortest);
        Some((found.start(), self.extent.search_half(&tail).map_or(found.end(), |half| half.offset())))
    }
}

impl Expression {
    fn new(pattern: &str, options: Options) -> PgResult<Expression> {
        let parsed = parse::parse(pattern, options)?;
        let automata = spell::spelled(&parsed.node).map(|spelled| Automata::new(&spelled)).transpose()?;
        let part = Part::new(&parsed.node)?;
        let shortest = part.prefers_shortest();
        let part = Some(part).filter(|_| automata.is_none() || parsed.groups > 0);
        Ok(Expression { automata, part, groups: parsed.groups, shortest })
    }

    pub fn is_match(&self, text: &str, environment: &dyn Environment) -> PgResult<bool> {
        match &self.automata {
            Some(automata) => Ok(automata.first.is_match(text)),
            None => Ok(self.find_at(text, 0, environment)?.is_some()),
        }
    }

    /// The first match that starts at `start` or later.
    pub fn find_at(&self, text: &str, start: usize, environment: &dyn Environment) -> PgResult<Option<Spans>> {
        let mut subject = Subject::new(text, environment);
        let mut spans = vec![None; self.groups + 1];
        let Some(automata) = &self.automata else {
            let Some(part) = &self.part else { return Ok(None) };
            return self.search(part, &mut subject, start);
        };
        let Some((from, to)) = automata.find(text, start, self.shortest) else { return Ok(None) };
        if let Some(part) = &self.part {
            part.dissect(&mut subject, from, to, &mut spans)?;
        }
        spans[0] = Some((from, to));
        Ok(Some(spans))
    }

    /// Where nothing but our own programs can tell.
    fn search(&self, part: &Part, subject: &mut Subject<'_>, start: usize) -> PgResult<Option<Spans>> {
        let text = subject.text;
        let starts = text[start..].char_indices().map(|(at, _)| start + at).chain([text.len()]);
        for from in starts {
            let (mut least, mut most) = (from, text.len());
            loop {
                let end = if self.shortest {
                    subject.shortest(part.program(), from, least, most)?
                } else {
                    subject.longest(part.program(), from, most)?
                };
                let Some(to) = end else { break };
                let mut spans = vec![None; self.groups + 1];
                if part.dissect(subject, from, to, &mut spans)? {
                    spans[0] = Some((from, to));
                    return Ok(Some(spans));
                }
                // Another extent from here may suit the back references.
                if !part.refers() || to == if self.shortest { text.len() } else { from } {
                    break;
                }
                let step = |ch: Option<char>| ch.map_or(1, char::len_utf8);
                if self.shortest {
                    least = to + step(text[to..].chars().next());
                } else {
                    most = to - step(text[..to].chars().next_back());
                }
            }
        }
        Ok(None)
    }

    /// All matches, none before `start`. After an empty match the search goes on a character later.
    pub fn find_all<'e>(
        &'e self,
        text: &'e str,
        start: usize,
        environment: &'e dyn Environment,
    ) -> impl Iterator<Item = PgResult<Spans>> + 'e {
        let mut next = Some(start);
        std::iter::from_fn(move || {
            let spans = match self.find_at(text, next?, environment) {
                Ok(spans) => spans?,
                Err(error) => {
                    next = None;
                    return Some(Err(error));
                }
            };
            let (from, to) = spans[0].expect("a match has an extent");
            next = if from < to { Some(to) } else { text[to..].chars().next().map(|ch| to + ch.len_utf8()) };
            Some(Ok(spans))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoEnvironment;

    fn groups(pattern: &str, text: &str) -> Option<Vec<String>> {
        let expression = compiled(pattern, Options::default()).expect(pattern);
        let spans = expression.find_at(text, 0, &NoEnvironment::default()).expect("no interrupt")?;
        Some(spans.into_iter().map(|span| span.map_or("-".to_string(), |(a, b)| text[a..b].to_string())).collect())
    }

    #[test]
    fn groups_take_what_postgresql_gives_them() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("foo|foobar", "a foobar", &["foobar"]),
            ("(a|ab)(c|bcd)", "abcd", &["abcd", "a", "bcd"]),
            ("(a|ab)(.*)", "abcd", &["abcd", "ab", "cd"]),
            ("Y*?([0-9]{1,3})", "XY1234Z", &["Y1", "1"]),
            ("Y*([0-9]{1,3})", "XY1234Z", &["Y123", "123"]),
            (".*?b", "aabb", &["aab"]),
            ("\\mbar\\M", "foo bar", &["bar"]),
            ("(.*)(\\d+)", "foo123", &["foo123", "foo12", "3"]),
            ("(?:(.*?)(\\d+)){1,1}", "foo123", &["foo123", "foo", "123"]),
            ("(x)?(y)?(a)?", "xay", &["xa", "x", "-", "a"]),
            ("((a)|(b))*", "ab", &["ab", "b", "-", "b"]),
            ("(?:.*){1,1}?(b)", "aab", &["aab", "b"]),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(groups(pattern, text).expect(pattern), *expected, "{pattern}");
        }
    }

    #[test]
    fn what_no_automaton_can_do() {
        let cases: &[(&str, &str, Option<&[&str]>)] = &[
            ("(a)(b)\\2", "abb", Some(&["abb", "a", "b"])),
            ("(a)(b)\\2", "aba", None),
            ("(\\w+) \\1", "one two two", Some(&["two two", "two"])),
            ("foo(?=bar)", "foobaz foobar", Some(&["foo"])),
            ("foo(?!bar)", "foobar foobaz", Some(&["foo"])),
            ("(?<=\\$)\\d+", "12 $34", Some(&["34"])),
            ("(?<!a)\\d", "a1b2", Some(&["2"])),
            ("\\Yb", "b ab", Some(&["b"])),
            ("^(.+)\\1+$", "abababab", Some(&["abababab", "abab"])),
        ];
        for (pattern, text, expected) in cases {
            let expected = expected.map(|parts| parts.iter().map(|part| part.to_string()).collect::<Vec<_>>());
            assert_eq!(groups(pattern, text), expected, "{pattern}");
        }
    }

    #[test]
    fn empty_matches_advance() {
        let expression = compiled("x*", Options::default()).expect("valid");
        let environment = NoEnvironment::default();
        let found: Vec<_> = expression
            .find_all("axé", 0, &environment)
            .map(|spans| spans.expect("no interrupt")[0].expect("an extent"))
            .collect();
        assert_eq!(found, [(0, 0), (1, 2), (2, 2), (4, 4)]);
    }
}
