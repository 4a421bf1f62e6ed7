//! The syntax of PostgreSQL's advanced regular expressions (manual, section 9.7.3) as a tree.
//!
//! One pass over the characters. Case folding and the newline options are worked into the sets of characters here, so that
//! nobody behind this needs to know the options. Errors have PostgreSQL's words.
use super::invalid;
use super::set::CharSet;
use crate::error::PgResult;
use std::iter::Peekable;
use std::str::Chars;

const REPETITIONS_MAX: u32 = 255;
const DEPTH_MAX: usize = 200;

/// How an expression is read and matched: the letters of a flags argument or of a leading `(?...)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Options {
    pub fold_case: bool,
    /// `.` and `[^...]` do not match a newline.
    pub newline_stops: bool,
    /// `^` and `$` match at newlines.
    pub newline_anchors: bool,
    /// Blanks and comments do not count.
    pub expanded: bool,
    /// No character is special.
    pub literal: bool,
}

impl Options {
    /// Take a letter; false if there is no such option.
    pub fn set(&mut self, letter: char) -> bool {
        match letter {
            'i' => self.fold_case = true,
            'c' => self.fold_case = false,
            'n' | 'm' => (self.newline_stops, self.newline_anchors) = (true, true),
            'p' => (self.newline_stops, self.newline_anchors) = (true, false),
            's' => (self.newline_stops, self.newline_anchors) = (false, false),
            'w' => (self.newline_stops, self.newline_anchors) = (false, true),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'e' | 'b' => self.literal = false,
            _ => return false,
        }
        true
    }
}

/// What holds between two characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assertion {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordStart,
    WordEnd,
    WordEdge,
    NoWordEdge,
}

/// Which match a quantifier takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preference {
    Longest,
    Shortest,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Node {
    Set(CharSet),
    Assert(Assertion),
    Look {
        behind: bool,
        negative: bool,
        inside: Box<Node>,
    },
    /// Without a number it only holds together.
    Group {
        number: Option<usize>,
        inside: Box<Node>,
    },
    /// What a group matched, in any case if `folded`.
    Back {
        group: usize,
        folded: bool,
    },
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeat {
        inside: Box<Node>,
        least: u32,
        most: Option<u32>,
        preference: Option<Preference>,
    },
}

#[derive(Debug)]
pub struct Parsed {
    pub node: Node,
    /// Groups with a number.
    pub groups: usize,
}

pub fn parse(pattern: &str, options: Options) -> PgResult<Parsed> {
    let mut options = options;
    let mut rest = pattern;
    if options.literal {
    } else if let Some(literal) = rest.strip_prefix("***=") {
        options.literal = true;
        rest = literal;
    } else if let Some(advanced) = rest.strip_prefix("***:") {
        rest = advanced;
    } else if rest.starts_with("***") {
        return Err(invalid("quantifier operand invalid"));
    }
    if !options.literal {
        let embedded = rest.strip_prefix("(?").filter(|tail| tail.starts_with(|ch: char| ch.is_ascii_alphabetic()));
        if let Some(tail) = embedded {
            let letters = tail.find(|ch: char| !ch.is_ascii_alphabetic()).unwrap_or(tail.len());
            let known = tail[..letters].chars().all(|letter| options.set(letter));
            match tail[letters..].strip_prefix(')') {
                Some(after) if known => rest = after,
                _ => return Err(invalid("invalid embedded option")),
            }
        }
    }
    let mut parser = Parser { chars: rest.chars().peekable(), options, groups: 0, closed: Vec::new(), looking: false };
    let node = if options.literal {
        Node::Sequence(rest.chars().map(|ch| parser.character(ch)).collect())
    } else {
        parser.alternatives(0)?
    };
    Ok(Parsed { node, groups: parser.groups })
}

struct Parser<'p> {
    chars: Peekable<Chars<'p>>,
    options: Options,
    groups: usize,
    /// Numbers of the groups that are complete, which may be referred to.
    closed: Vec<usize>,
    /// Inside a look-around, where nothing is captured.
    looking: bool,
}

/// What an escape stands for.
enum Escape {
    Character(char),
    Set(CharSet),
    Assert(Assertion),
    Back(usize),
}

impl Parser<'_> {
    fn character(&self, ch: char) -> Node {
        self.set(CharSet::one(ch))
    }

    fn set(&self, set: CharSet) -> Node {
        Node::Set(if self.options.fold_case { set.folded() } else { set })
    }

    /// `a|b|c` up to a closing parenthesis or the end.
    fn alternatives(&mut self, depth: usize) -> PgResult<Node> {
        if depth > DEPTH_MAX {
            return Err(invalid("regular expression is too complex"));
        }
        let mut branches = vec![self.branch(depth)?];
        while self.chars.next_if_eq(&'|').is_some() {
            branches.push(self.branch(depth)?);
        }
        if depth == 0 && self.chars.peek().is_some() {
            return Err(invalid("parentheses () not balanced"));
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Choice(branches) })
    }

    fn branch(&mut self, depth: usize) -> PgResult<Node> {
        let mut items = Vec::new();
        loop {
            self.skip_blanks();
            let Some(ch) = self.chars.next_if(|ch| !matches!(ch, '|' | ')')) else { break };
            let Some((atom, quantifiable)) = self.atom(ch, depth)? else { continue };
            self.skip_blanks();
            items.push(if quantifiable { self.quantified(atom)? } else { atom });
        }
        Ok(Node::Sequence(items))
    }

    fn skip_blanks(&mut self) {
        while self.options.expanded {
            match self.chars.peek() {
                Some(ch) if ch.is_ascii_whitespace() || *ch == '\u{b}' => {
                    self.chars.next();
                }
                Some('#') => while self.chars.next_if(|ch| *ch != '\n').is_some() {},
                _ => return,
            }
        }
    }

    /// An atom, and whether a quantifier may follow; nothing for a comment.
    fn atom(&mut self, ch: char, depth: usize) -> PgResult<Option<(Node, bool)>> {
        let newline_anchors = self.options.newline_anchors;
        let assertion = |plain, at_lines| Node::Assert(if newline_anchors { at_lines } else { plain });
        Ok(Some(match ch {
            '(' => return self.group(depth),
            '[' => return self.bracket().map(Some),
            '^' => (assertion(Assertion::TextStart, Assertion::LineStart), false),
            '$' => (assertion(Assertion::TextEnd, Assertion::LineEnd), false),
            '.' if self.options.newline_stops => (Node::Set(CharSet::any().without('\n')), true),
            '.' => (Node::Set(CharSet::any()), true),
            '*' | '+' | '?' => return Err(invalid("quantifier operand invalid")),
            '{' if self.chars.peek().is_some_and(char::is_ascii_digit) => {
                return Err(invalid("quantifier operand invalid"));
            }
            '\\' => match self.escape()? {
                Escape::Character(ch) => (self.character(ch), true),
                Escape::Set(set) => (self.set(set), true),
                Escape::Assert(assertion) => (Node::Assert(assertion), false),
                Escape::Back(group) if self.looking || !self.closed.contains(&group) => {
                    return Err(invalid("invalid backreference number"));
                }
                Escape::Back(group) => (Node::Back { group, folded: self.options.fold_case }, true),
            },
            other => (self.character(other), true),
        }))
    }

    fn group(&mut self, depth: usize) -> PgResult<Option<(Node, bool)>> {
        let mut number = None;
        let mut look = None;
        if self.chars.next_if_eq(&'?').is_some() {
            match self.chars.next() {
                Some(':') => {}
                Some('=') => look = Some((false, false)),
                Some('!') => look = Some((false, true)),
                Some('<') => match self.chars.next() {
                    Some('=') => look = Some((true, false)),
                    Some('!') => look = Some((true, true)),
                    _ => return Err(invalid("quantifier operand invalid")),
                },
                Some('#') => {
                    while self.chars.next().is_some_and(|ch| ch != ')') {}
                    return Ok(None);
                }
                _ => return Err(invalid("quantifier operand invalid")),
            }
        } else if !self.looking {
            self.groups += 1;
            number = Some(self.groups);
        }
        let outside = self.looking;
        self.looking |= look.is_some();
        let inside = Box::new(self.alternatives(depth + 1)?);
        self.looking = outside;
        if self.chars.next() != Some(')') {
            return Err(invalid("parentheses () not balanced"));
        }
        self.closed.extend(number);
        Ok(Some(match look {
            Some((behind, negative)) => (Node::Look { behind, negative, inside }, false),
            None => (Node::Group { number, inside }, true),
        }))
    }

    /// The atom with the quantifier behind it, if there is one.
    fn quantified(&mut self, atom: Node) -> PgResult<Node> {
        let (least, most, prefers) = match self.chars.peek() {
            Some('*') => (0, None, true),
            Some('+') => (1, None, true),
            Some('?') => (0, Some(1), true),
            Some('{') => match self.bounds()? {
                Some(bounds) => bounds,
                None => return Ok(atom),
            },
            _ => return Ok(atom),
        };
        self.chars.next();
        let lazy = self.chars.next_if_eq(&'?').is_some();
        self.skip_blanks();
        if self.chars.peek().is_some_and(|next| matches!(next, '*' | '+' | '?')) {
            return Err(invalid("quantifier operand invalid"));
        }
        // `{m}` has the preference of what it repeats.
        let preference = prefers.then_some(if lazy { Preference::Shortest } else { Preference::Longest });
        Ok(Node::Repeat { inside: Box::new(atom), least, most, preference })
    }

    /// `{2,5}` up to the closing brace; nothing if the brace is an ordinary character.
    fn bounds(&mut self) -> PgResult<Option<(u32, Option<u32>, bool)>> {
        let mut ahead = self.chars.clone();
        ahead.next();
        if !ahead.peek().is_some_and(char::is_ascii_digit) {
            return Ok(None);
        }
        self.chars.next();
        let least = self.count()?;
        let (most, prefers) = match self.chars.next_if_eq(&',') {
            None => (Some(least), false),
            Some(_) if self.chars.peek().is_some_and(char::is_ascii_digit) => (Some(self.count()?), true),
            Some(_) => (None, true),
        };
        match self.chars.peek() {
            Some('}') if most.is_none_or(|most| most >= least) => Ok(Some((least, most, prefers))),
            None => Err(invalid("braces {} not balanced")),
            Some(_) => Err(invalid("invalid repetition count(s)")),
        }
    }

    fn count(&mut self) -> PgResult<u32> {
        let mut count = 0u32;
        while let Some(digit) = self.chars.next_if(char::is_ascii_digit) {
            count = count.saturating_mul(10).saturating_add(digit.to_digit(10).unwrap_or(0));
        }
        if count > REPETITIONS_MAX { Err(invalid("invalid repetition count(s)")) } else { Ok(count) }
    }

    fn hexadecimal(&mut self, digits_max: usize) -> PgResult<char> {
        let mut code = 0u32;
        let mut seen = 0;
        while seen < digits_max {
            let Some(digit) = self.chars.next_if(char::is_ascii_hexdigit) else { break };
            code = code.saturating_mul(16).saturating_add(digit.to_digit(16).unwrap_or(0));
            seen += 1;
        }
        let bad = || invalid("invalid escape \\ sequence");
        if seen == 0 || (digits_max < 100 && seen < digits_max) {
            return Err(bad());
        }
        char::from_u32(code).ok_or_else(bad)
    }

    /// Up to three octal digits that make no more than a byte.
    fn octal(&mut self, first: char) -> char {
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.chars.peek().and_then(|ch| ch.to_digit(8)).filter(|digit| code * 8 + digit <= 0xff)
            else {
                break;
            };
            self.chars.next();
            code = code * 8 + digit;
        }
        char::from_u32(code).unwrap_or('\0')
    }

    /// `\1`, or an octal code if there are not so many groups yet.
    fn back(&mut self, first: char) -> PgResult<Escape> {
        let mut ahead = self.chars.clone();
        let mut number = first.to_digit(10).unwrap_or(0) as usize;
        let mut digits = 1;
        while let Some(digit) = ahead.next_if(char::is_ascii_digit) {
            number = number.saturating_mul(10).saturating_add(digit.to_digit(10).unwrap_or(0) as usize);
            digits += 1;
        }
        if digits == 1 || number <= self.groups {
            self.chars = ahead;
            return Ok(Escape::Back(number));
        }
        if first >= '8' {
            return Err(invalid("invalid escape \\ sequence"));
        }
        Ok(Escape::Character(self.octal(first)))
    }

    fn escape(&mut self) -> PgResult<Escape> {
        let bad = || invalid("invalid escape \\ sequence");
        let ch = self.chars.next().ok_or_else(bad)?;
        if let Some(set) = CharSet::escape(ch) {
            return Ok(Escape::Set(set));
        }
        Ok(match ch {
            'A' => Escape::Assert(Assertion::TextStart),
            'Z' => Escape::Assert(Assertion::TextEnd),
            'm' => Escape::Assert(Assertion::WordStart),
            'M' => Escape::Assert(Assertion::WordEnd),
            'y' => Escape::Assert(Assertion::WordEdge),
            'Y' => Escape::Assert(Assertion::NoWordEdge),
            '1'..='9' => self.back(ch)?,
            _ => Escape::Character(match ch {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'e' => '\u{1b}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                'B' => '\\',
                'c' => char::from_u32(self.chars.next().ok_or_else(bad)? as u32 & 0x1f).unwrap_or('\0'),
                'u' => self.hexadecimal(4)?,
                'U' => self.hexadecimal(8)?,
                'x' => self.hexadecimal(255)?,
                '0' => self.octal('0'),
                letter if letter.is_ascii_alphanumeric() => return Err(bad()),
                other => other,
            }),
        })
    }

    /// After `[`.
    fn bracket(&mut self) -> PgResult<(Node, bool)> {
        let unbalanced = || invalid("brackets [] not balanced");
        for (spelled, edge) in [("[:<:]]", Assertion::WordStart), ("[:>:]]", Assertion::WordEnd)] {
            if self.chars.clone().take(spelled.len()).eq(spelled.chars()) {
                self.chars.nth(spelled.len() - 1);
                return Ok((Node::Assert(edge), false));
            }
        }
        let negative = self.chars.next_if_eq(&'^').is_some();
        let mut set = CharSet::default();
        let mut first = true;
        loop {
            let ch = self.chars.next().ok_or_else(unbalanced)?;
            if ch == ']' && !first {
                break;
            }
            first = false;
            let Some(low) = self.bracket_item(ch, &mut set)? else { continue };
            // A range, unless the dash is the last item.
            let mut ahead = self.chars.clone();
            if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
                self.chars.next();
                let next = self.chars.next().ok_or_else(unbalanced)?;
                let high = self.bracket_item(next, &mut set)?.filter(|high| *high >= low);
                set.add(low, high.ok_or_else(|| invalid("invalid character range"))?);
            } else {
                set.add(low, low);
            }
        }
        if self.options.fold_case {
            set = set.folded();
        }
        if negative {
            set = set.complement();
            if self.options.newline_stops {
                set = set.without('\n');
            }
        }
        Ok((Node::Set(set), true))
    }

    /// A single character, or `None` if it was a class, which is in the set then.
    fn bracket_item(&mut self, ch: char, set: &mut CharSet) -> PgResult<Option<char>> {
        match (ch, self.chars.peek()) {
            ('[', Some(':')) => {
                self.chars.next();
                let name = self.named_until(':')?;
                set.join(&CharSet::class(&name).ok_or_else(|| invalid("invalid character class"))?);
                Ok(None)
            }
            ('[', Some(kind @ ('.' | '='))) => {
                let kind = *kind;
                self.chars.next();
                let name = self.named_until(kind)?;
                let mut named = name.chars();
                match (named.next(), named.next()) {
                    (Some(only), None) => Ok(Some(only)),
                    _ => Err(invalid("invalid collating element")),
                }
            }
            ('\\', _) => match self.escape()? {
                Escape::Character(ch) => Ok(Some(ch)),
                Escape::Set(class) => {
                    set.join(&class);
                    Ok(None)
                }
                Escape::Assert(_) | Escape::Back(_) => Err(invalid("invalid escape \\ sequence")),
            },
            (ch, _) => Ok(Some(ch)),
        }
    }

    /// The name in `[:name:]`, after its opening.
    fn named_until(&mut self, kind: char) -> PgResult<String> {
        let mut name = String::new();
        loop {
            let ch = self.chars.next().ok_or_else(|| invalid("brackets [] not balanced"))?;
            if ch == kind && self.chars.next_if_eq(&']').is_some() {
                return Ok(name);
            }
            name.push(ch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_postgresqls_words() {
        let cases = [
            ("(", "parentheses () not balanced"),
            (")", "parentheses () not balanced"),
            ("[", "brackets [] not balanced"),
            ("a{2", "braces {} not balanced"),
            ("*a", "quantifier operand invalid"),
            ("a**", "quantifier operand invalid"),
            ("^*", "quantifier operand invalid"),
            ("a{3,2}", "invalid repetition count(s)"),
            ("a{256}", "invalid repetition count(s)"),
            ("[b-a]", "invalid character range"),
            ("[[:nope:]]", "invalid character class"),
            ("\\1(a)", "invalid backreference number"),
            ("(a)(?=\\1)", "invalid backreference number"),
            ("(?k)a", "invalid embedded option"),
            ("\\q", "invalid escape \\ sequence"),
        ];
        for (pattern, what) in cases {
            let error = parse(pattern, Options::default()).err().expect(pattern);
            assert_eq!(error.message, format!("invalid regular expression: {what}"), "{pattern}");
        }
    }

    #[test]
    fn braces_and_digits_are_sometimes_ordinary() {
        let text = |pattern: &str| parse(pattern, Options::default()).expect(pattern).node;
        assert_eq!(text("a{x"), text("a\\{x"));
        assert_eq!(text("\\101"), text("A"));
        assert_eq!(text("(?x) a b # c"), text("ab"));
        assert_eq!(text("***=a.b"), text("a\\.b"));
        assert_eq!(text("\\u00e9"), text("é"));
    }
}
