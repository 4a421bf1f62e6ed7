//! Sets of characters, as ranges. Case and classes are those of the C locale: of ASCII.

/// Ranges in order, none touching the next.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CharSet(Vec<(char, char)>);

const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

impl CharSet {
    pub fn of(ranges: &[(char, char)]) -> CharSet {
        let mut set = CharSet::default();
        ranges.iter().for_each(|(low, high)| set.add(*low, *high));
        set
    }
    pub fn one(ch: char) -> CharSet {
        CharSet(vec![(ch, ch)])
    }
    pub fn any() -> CharSet {
        CharSet(vec![('\0', char::MAX)])
    }
    /// `[[:name:]]`
    pub fn class(name: &str) -> Option<CharSet> {
        Some(CharSet::of(match name {
            "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
            "alpha" => &[('A', 'Z'), ('a', 'z')],
            "ascii" => &[('\0', '\x7f')],
            "blank" => &[('\t', '\t'), (' ', ' ')],
            "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
            "digit" => &[('0', '9')],
            "graph" => &[('!', '~')],
            "lower" => &[('a', 'z')],
            "print" => &[(' ', '~')],
            "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
            "space" => &[('\t', '\r'), (' ', ' ')],
            "upper" => &[('A', 'Z')],
            "word" => WORD,
            "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
            _ => return None,
        }))
    }
    /// `\d`, `\S` ...
    pub fn escape(letter: char) -> Option<CharSet> {
        let class = CharSet::class(match letter.to_ascii_lowercase() {
            'd' => "digit",
            's' => "space",
            'w' => "word",
            _ => return None,
        })?;
        Some(if letter.is_ascii_uppercase() { class.complement() } else { class })
    }

    pub fn ranges(&self) -> &[(char, char)] {
        &self.0
    }
    pub fn contains(&self, ch: char) -> bool {
        match self.0.as_slice() {
            [(low, high)] => *low <= ch && ch <= *high,
            ranges => {
                let after = ranges.partition_point(|(low, _)| *low <= ch);
                after > 0 && ch <= ranges[after - 1].1
            }
        }
    }
    pub fn add(&mut self, low: char, high: char) {
        self.0.push((low, high));
        self.0.sort_unstable();
        let mut joined: Vec<(char, char)> = Vec::with_capacity(self.0.len());
        for (low, high) in self.0.drain(..) {
            match joined.last_mut() {
                Some((_, last)) if low <= *last || next(*last) == Some(low) => *last = high.max(*last),
                _ => joined.push((low, high)),
            }
        }
        self.0 = joined;
    }
    pub fn join(&mut self, other: &CharSet) {
        other.0.iter().for_each(|(low, high)| self.add(*low, *high));
    }
    pub fn complement(&self) -> CharSet {
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some('\0');
        for (low, high) in &self.0 {
            if let (Some(start), Some(end)) = (from, previous(*low)) {
                if start <= end {
                    rest.push((start, end));
                }
            }
            from = next(*high);
        }
        rest.extend(from.map(|start| (start, char::MAX)));
        CharSet(rest)
    }
    pub fn without(&self, ch: char) -> CharSet {
        let mut outside = self.complement();
        outside.add(ch, ch);
        outside.complement()
    }
    /// With the other case of each letter.
    pub fn folded(&self) -> CharSet {
        let mut folded = self.clone();
        for letter in ('A'..='Z').chain('a'..='z') {
            if self.contains(letter) {
                let other =
                    if letter.is_ascii_uppercase() { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() };
                folded.add(other, other);
            }
        }
        folded
    }
}

pub fn is_word(ch: char) -> bool {
    ch.is_ascii_alphanumeric() || ch == '_'
}

fn next(ch: char) -> Option<char> {
    if ch == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(ch as u32 + 1) }
}
fn previous(ch: char) -> Option<char> {
    if ch == '\u{e000}' { Some('\u{d7ff}') } else { (ch as u32).checked_sub(1).and_then(char::from_u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_what_is_outside_them() {
        let mut set = CharSet::of(&[('c', 'd'), ('a', 'b'), ('x', 'x')]);
        assert_eq!(set.ranges(), [('a', 'd'), ('x', 'x')]);
        assert!(set.contains('d') && !set.contains('e'));
        assert_eq!(set.complement().complement(), set);
        set.add('\u{d7ff}', '\u{e000}');
        assert_eq!(set.complement().complement(), set);
        assert_eq!(CharSet::any().complement().ranges(), []);
        assert!(CharSet::one('k').folded().contains('K'));
        assert!(!CharSet::any().without('\n').contains('\n'));
    }
}
