//! Places that the library does not keep, found again in the text: the parenthesis before a name, the parts of a window.
//!
//! What cannot be found has no place; nothing but an error's position depends on it.
use super::error::Source;
use super::tree::Place;

/// Where a window's definition stands, and its frame's bounds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct WindowPlaces {
    pub parenthesis: Place,
    pub start: Place,
    pub end: Place,
}

/// Words, quoted parts and single characters of a text from a byte on.
struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Words<'t> {
    /// The byte that it begins at, and the part itself.
    type Item = (usize, &'t str);

    fn next(&mut self) -> Option<(usize, &'t str)> {
        let rest = &self.text[self.at..];
        let start = self.at + (rest.len() - rest.trim_start().len());
        let rest = &self.text[start..];
        let first = rest.chars().next()?;
        let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ if is_word(first) => rest.find(|character| !is_word(character)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        self.at = start + length;
        Some((start, &rest[..length]))
    }
}

impl Words<'_> {
    /// Moves behind the parenthesis that is open.
    fn close(&mut self) {
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Some((_, "(")) => depth += 1,
                Some((_, ")")) => depth -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }
}

impl Source<'_> {
    fn byte_of(&self, place: Place) -> Option<usize> {
        let characters = usize::try_from(place.known()?).ok()? - 1;
        if self.is_ascii() {
            return (characters <= self.text.len()).then_some(characters);
        }
        self.text.char_indices().map(|(at, _)| at).nth(characters)
    }

    fn place_at(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or("");
        let characters = if self.is_ascii() { byte } else { before.chars().count() };
        Place(u32::try_from(characters + 1).unwrap_or(0))
    }

    /// The opening parenthesis right before a place.
    pub fn parenthesis_before(&self, place: Place) -> Option<Place> {
        let before = self.text.get(..self.byte_of(place)?)?.trim_end();
        before.ends_with('(').then(|| self.place_at(before.len() - 1))
    }

    /// Where ON CONFLICT begins, the last before a place.
    pub fn on_conflict_before(&self, place: Place) -> Option<Place> {
        let before = self.text.get(..self.byte_of(place)?)?.to_ascii_lowercase();
        let before = before[..before.rfind("conflict")?].trim_end();
        before.ends_with("on").then(|| self.place_at(before.len() - 2))
    }

    /// The window that is defined behind a call, or behind its name in the WINDOW clause.
    pub fn window_behind(&self, name: Place) -> Option<WindowPlaces> {
        let mut words = Words { text: self.text, at: self.byte_of(name)? };
        let (mut over, open) = (
            false,
            loop {
                match words.next()? {
                    (at, "(") => break at,
                    (_, word) if word.eq_ignore_ascii_case("as") => break words.find(|(_, word)| *word == "(")?.0,
                    _ => {}
                }
            },
        );
        let mut open = open;
        let defined =
            self.text.get(..open).is_some_and(|before| before.trim_end().to_ascii_lowercase().ends_with(" as"));
        if !defined {
            words.close();
            loop {
                match words.next()? {
                    (at, "(") if over => {
                        open = at;
                        break;
                    }
                    (_, "(") => words.close(),
                    (_, word) if word.eq_ignore_ascii_case("over") => over = true,
                    (_, word) if ["filter", "within", "group"].iter().any(|one| word.eq_ignore_ascii_case(one)) => {}
                    _ => return None,
                }
            }
        }
        let mut places = WindowPlaces { parenthesis: self.place_at(open), ..WindowPlaces::default() };
        // The last unit at this level is the frame's: an expression may have a column of such a name.
        let (mut depth, mut between, mut bound) = (1, false, None);
        for (at, word) in words {
            match word.to_ascii_lowercase().as_str() {
                "(" => depth += 1,
                ")" => depth -= 1,
                "rows" | "range" | "groups" if depth == 1 => {
                    (bound, between) = (Some(true), false);
                    continue;
                }
                "between" if bound == Some(true) => {
                    between = true;
                    continue;
                }
                "and" if between && depth == 1 => {
                    (bound, between) = (Some(false), false);
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            match bound.take() {
                Some(true) => places.start = self.place_at(at),
                Some(false) => places.end = self.place_at(at),
                None => {}
            }
        }
        Some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_found_behind_their_calls() {
        let source = Source::new(
            "select sum(f(a)) filter (where b) over (order by id rows between 1 preceding and 2 following)",
        );
        let places = source.window_behind(Place(8)).expect("it is there");
        let text = |place: Place| &source.text[place.0 as usize - 1..];
        assert!(text(places.parenthesis).starts_with("(order"));
        assert!(text(places.start).starts_with("1 preceding") && text(places.end).starts_with("2 following"));
        let source = Source::new("select 1 from s window w as (order by id range unbounded preceding)");
        let places = source.window_behind(Place(24)).expect("it is there");
        assert_eq!(places.parenthesis, Place(29));
        assert_eq!(places.start, Place(48));
        assert_eq!(Source::new("select sum(a) from t").window_behind(Place(8)), None);
    }

    #[test]
    fn what_precedes_a_name_is_found() {
        let source = Source::new("insert into t values ('ä') on conflict ( nosuch) do update set a = 1");
        assert_eq!(source.parenthesis_before(Place(42)), Some(Place(40)));
        assert_eq!(source.on_conflict_before(Place(64)), Some(Place(28)));
        assert_eq!(source.parenthesis_before(Place(13)), None);
    }
}
