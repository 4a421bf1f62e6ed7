//! PostgreSQL's "advanced regular expressions" (manual, section 9.7.3) on the `regex` crates.
//!
//! `translate` turns the syntax; this runs it. PostgreSQL matches leftmost-longest, or leftmost-shortest if the first
//! quantifier with a preference is not greedy; the crates prefer alternatives in order. So the extent of a match is
//! found by an automaton that knows no preference, and its groups by matching again within that extent.
//!
//! Left out, with 0A000: back references and look-around, which no automaton has.
mod translate;

pub use translate::Options;

use crate::error::{PgError, PgResult, SqlState};
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

const CACHED_EXPRESSIONS_MAX: usize = 64;
/// Bytes that one compiled expression may take.
const EXPRESSION_BYTES_MAX: usize = 4 << 20;

/// Bytes that searching with one may take.
const SEARCH_BYTES_MAX: usize = 256 << 10;

/// Byte ranges of a match and its groups; a group that took no part has none.
pub type Spans = Vec<Option<(usize, usize)>>;

#[derive(Debug)]
pub struct Expression {
    /// In the crate's order of preference: gives groups.
    preferring: Regex,
    /// Without preference: gives extents.
    extent: Regex,
    /// Anchored on both sides, for groups within an extent that `preferring` does not come to by itself.
    whole: Regex,
    shortest: bool,
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

impl Expression {
    fn new(pattern: &str, options: Options) -> PgResult<Expression> {
        let translated = translate::translate(pattern, options)?;
        let syntax = syntax::Config::new()
            .case_insensitive(translated.options.fold_case)
            .dot_matches_new_line(!translated.options.newline_stops)
            .multi_line(translated.options.newline_anchors);
        let build = |pattern: &str, kind: MatchKind| {
            let config = Regex::config()
                .match_kind(kind)
                .nfa_size_limit(Some(EXPRESSION_BYTES_MAX))
                .hybrid_cache_capacity(SEARCH_BYTES_MAX);
            let built = Regex::builder().configure(config).syntax(syntax).build(pattern);
            built.map_err(|error| match error.size_limit() {
                Some(_) => invalid("regular expression is too complex"),
                None => invalid("cannot be compiled"),
            })
        };
        Ok(Expression {
            preferring: build(&translated.pattern, MatchKind::LeftmostFirst)?,
            extent: build(&translated.pattern, MatchKind::All)?,
            whole: build(&format!("\\A(?:{})\\z", translated.pattern), MatchKind::LeftmostFirst)?,
            shortest: translated.shortest,
        })
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.preferring.is_match(text)
    }

    /// Groups, the whole match not counted.
    pub fn group_count(&self) -> usize {
        self.preferring.captures_len() - 1
    }

    /// The first match that starts at `start` or later.
    pub fn find_at(&self, text: &str, start: usize) -> Option<Spans> {
        let mut found = self.preferring.create_captures();
        self.preferring.search_captures(&Input::new(text).span(start..text.len()), &mut found);
        let preferred = found.get_match()?;
        let tail = Input::new(text).span(preferred.start()..text.len()).anchored(Anchored::Yes).earliest(self.shortest);
        let end = self.extent.search_half(&tail).map_or(preferred.end(), |half| half.offset());
        let spans = |captures: &regex_automata::util::captures::Captures, offset: usize| {
            (0..captures.group_len())
                .map(|group| captures.get_group(group).map(|span| (span.start + offset, span.end + offset)))
                .collect::<Spans>()
        };
        if end == preferred.end() {
            return Some(spans(&found, 0));
        }
        if self.group_count() > 0 {
            let mut inside = self.whole.create_captures();
            self.whole.search_captures(&Input::new(&text[preferred.start()..end]), &mut inside);
            if inside.is_match() {
                return Some(spans(&inside, preferred.start()));
            }
        }
        let mut only = vec![None; self.group_count() + 1];
        only[0] = Some((preferred.start(), end));
        Some(only)
    }

    /// All matches, none before `start`. After an empty match the search goes on a character later.
    pub fn find_all<'e>(&'e self, text: &'e str, start: usize) -> impl Iterator<Item = Spans> + 'e {
        let mut next = Some(start);
        std::iter::from_fn(move || {
            let spans = self.find_at(text, next?)?;
            let (from, to) = spans[0].expect("a match has an extent");
            next = if from < to { Some(to) } else { text[to..].chars().next().map(|ch| to + ch.len_utf8()) };
            Some(spans)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(pattern: &str, text: &str) -> Option<Vec<String>> {
        let spans = compiled(pattern, Options::default()).expect(pattern).find_at(text, 0)?;
        Some(spans.into_iter().map(|span| span.map_or("-".to_string(), |(a, b)| text[a..b].to_string())).collect())
    }

    #[test]
    fn the_longest_match_wins() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("foo|foobar", "a foobar", &["foobar"]),
            ("(a|ab)(c|bcd)", "abcd", &["abcd", "a", "bcd"]),
            ("Y*?([0-9]{1,3})", "XY1234Z", &["Y1", "1"]),
            ("Y*([0-9]{1,3})", "XY1234Z", &["Y123", "123"]),
            (".*?b", "aabb", &["aab"]),
            ("\\mbar\\M", "foo bar", &["bar"]),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(groups(pattern, text).expect(pattern), *expected, "{pattern}");
        }
    }

    #[test]
    fn empty_matches_advance() {
        let expression = compiled("x*", Options::default()).expect("valid");
        let found: Vec<_> = expression.find_all("axé", 0).map(|spans| spans[0].expect("an extent")).collect();
        assert_eq!(found, [(0, 0), (1, 2), (2, 2), (4, 4)]);
    }
}
