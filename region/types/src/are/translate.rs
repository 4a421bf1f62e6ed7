//! The syntax of PostgreSQL's regular expressions as that of the `regex` crates.
//!
//! One pass over the characters that also checks what the crates would take in another sense: doubled quantifiers,
//! counts, brackets. Errors have PostgreSQL's words.
use super::invalid;
use crate::error::{PgError, PgResult};
use std::iter::Peekable;
use std::str::Chars;

const REPETITIONS_MAX: u32 = 255;

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

pub(super) struct Translated {
    pub pattern: String,
    pub options: Options,
    /// The expression prefers the shortest match.
    pub shortest: bool,
}

pub(super) fn translate(pattern: &str, options: Options) -> PgResult<Translated> {
    let mut options = options;
    let mut rest = pattern;
    if let Some(literal) = rest.strip_prefix("***=") {
        options.literal = true;
        rest = literal;
    } else if let Some(advanced) = rest.strip_prefix("***:") {
        rest = advanced;
    } else if rest.starts_with("***") {
        return Err(invalid("quantifier operand invalid"));
    }
    if !options.literal {
        if let Some((letters, after)) = rest.strip_prefix("(?").and_then(|tail| tail.split_once(')')) {
            if !letters.is_empty() && letters.chars().all(|letter| letter.is_ascii_alphabetic()) {
                for letter in letters.chars() {
                    if !options.set(letter) {
                        return Err(invalid("invalid embedded option"));
                    }
                }
                rest = after;
            }
        }
    }
    if options.literal {
        return Ok(Translated { pattern: escaped(rest), options, shortest: false });
    }
    let mut translator = Translator { chars: rest.chars().peekable(), out: String::new(), options };
    let shortest = translator.alternatives(0)?;
    Ok(Translated { pattern: translator.out, options, shortest })
}

fn is_special(ch: char) -> bool {
    matches!(
        ch,
        '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' | '#' | '&' | '-' | '~'
    )
}

fn push_escaped(ch: char, out: &mut String) {
    if is_special(ch) {
        out.push('\\');
    }
    out.push(ch);
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    text.chars().for_each(|ch| push_escaped(ch, &mut out));
    out
}

/// A quantifier, as the crates spell it.
struct Quantifier {
    spelled: String,
    lazy: bool,
    /// `{m}` has the preference of what it repeats.
    neutral: bool,
    once: bool,
}

struct Translator<'p> {
    chars: Peekable<Chars<'p>>,
    out: String,
    options: Options,
}

const DEPTH_MAX: usize = 200;

impl Translator<'_> {
    /// `a|b|c` up to a closing parenthesis or the end; true if it prefers the shortest match.
    fn alternatives(&mut self, depth: usize) -> PgResult<bool> {
        if depth > DEPTH_MAX {
            return Err(invalid("regular expression is too complex"));
        }
        let mut shortest = self.branch(depth)?;
        while self.chars.next_if_eq(&'|').is_some() {
            self.out.push('|');
            self.branch(depth)?;
            // Alternatives together are greedy.
            shortest = false;
        }
        if depth == 0 && self.chars.peek().is_some() {
            return Err(invalid("parentheses () not balanced"));
        }
        Ok(shortest)
    }

    fn branch(&mut self, depth: usize) -> PgResult<bool> {
        let mut preference: Option<bool> = None;
        loop {
            self.skip_blanks();
            let Some(ch) = self.chars.next_if(|ch| !matches!(ch, '|' | ')')) else { break };
            let start = self.out.len();
            let (inner, quantifiable) = self.atom(ch, depth)?;
            self.skip_blanks();
            let quantifier = if quantifiable { self.quantifier()? } else { None };
            let own = match quantifier {
                None => inner,
                Some(quantifier) => {
                    if quantifier.once && quantifier.lazy && self.out[start..].starts_with('(') {
                        // All inside is not greedy: the crates have a flag for that.
                        self.prefer_less(start);
                    } else {
                        self.out.push_str(&quantifier.spelled);
                    }
                    self.skip_blanks();
                    if self.chars.peek().is_some_and(|next| matches!(next, '*' | '+' | '?')) {
                        return Err(invalid("quantifier operand invalid"));
                    }
                    if quantifier.neutral { inner } else { Some(quantifier.lazy) }
                }
            };
            preference = preference.or(own);
        }
        Ok(preference.unwrap_or(false))
    }

    /// The group at `start` with its quantifiers turned round.
    fn prefer_less(&mut self, start: usize) {
        let group = self.out.split_off(start);
        match group.strip_prefix("(?:") {
            Some(rest) => self.out.push_str(&format!("(?U:{rest}")),
            None => self.out.push_str(&format!("(?U:{group})")),
        }
    }

    fn skip_blanks(&mut self) {
        while self.options.expanded {
            match self.chars.peek() {
                Some(ch) if ch.is_whitespace() => {
                    self.chars.next();
                }
                Some('#') => while self.chars.next_if(|ch| *ch != '\n').is_some() {},
                _ => return,
            }
        }
    }

    /// Preference of what is inside (of a group), and whether a quantifier may follow.
    fn atom(&mut self, ch: char, depth: usize) -> PgResult<(Option<bool>, bool)> {
        match ch {
            '(' => return self.group(depth),
            '[' => {
                self.bracket()?;
                return Ok((None, true));
            }
            '^' | '$' => {
                self.out.push(ch);
                return Ok((None, false));
            }
            '.' => self.out.push('.'),
            '*' | '+' | '?' => return Err(invalid("quantifier operand invalid")),
            '{' if self.chars.peek().is_some_and(char::is_ascii_digit) => {
                return Err(invalid("quantifier operand invalid"));
            }
            '\\' => return Ok((None, self.escape()?)),
            other => push_escaped(other, &mut self.out),
        }
        Ok((None, true))
    }

    fn group(&mut self, depth: usize) -> PgResult<(Option<bool>, bool)> {
        if self.chars.next_if_eq(&'?').is_some() {
            match self.chars.next() {
                Some(':') => self.out.push_str("(?:"),
                Some('=' | '!' | '<') => return Err(PgError::unsupported("look-around in a regular expression")),
                Some('#') => {
                    while self.chars.next().is_some_and(|ch| ch != ')') {}
                    return Ok((None, false));
                }
                _ => return Err(invalid("quantifier operand invalid")),
            }
        } else {
            self.out.push('(');
        }
        let shortest = self.alternatives(depth + 1)?;
        if self.chars.next() != Some(')') {
            return Err(invalid("parentheses () not balanced"));
        }
        self.out.push(')');
        Ok((shortest.then_some(true), true))
    }

    fn quantifier(&mut self) -> PgResult<Option<Quantifier>> {
        let mut neutral = false;
        let mut once = false;
        let mut spelled = match self.chars.peek() {
            Some('*') => "*".to_string(),
            Some('+') => "+".to_string(),
            Some('?') => "?".to_string(),
            Some('{') => {
                let mut ahead = self.chars.clone();
                ahead.next();
                if !ahead.peek().is_some_and(char::is_ascii_digit) {
                    return Ok(None);
                }
                self.chars.next();
                let low = self.count()?;
                let high = match self.chars.next_if_eq(&',') {
                    None => {
                        neutral = true;
                        Some(low)
                    }
                    Some(_) if self.chars.peek().is_some_and(char::is_ascii_digit) => Some(self.count()?),
                    Some(_) => None,
                };
                match self.chars.peek() {
                    Some('}') => {}
                    None => return Err(invalid("braces {} not balanced")),
                    Some(_) => return Err(invalid("invalid repetition count(s)")),
                }
                if high.is_some_and(|high| high < low) {
                    return Err(invalid("invalid repetition count(s)"));
                }
                once = low == 1 && high == Some(1);
                match high {
                    Some(high) => format!("{{{low},{high}}}"),
                    None => format!("{{{low},}}"),
                }
            }
            _ => return Ok(None),
        };
        self.chars.next();
        let lazy = self.chars.next_if_eq(&'?').is_some();
        if lazy {
            spelled.push('?');
        }
        Ok(Some(Quantifier { spelled, lazy, neutral: neutral && !lazy, once }))
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

    /// The character that an escape names, or the letter of a class or constraint.
    fn escaped_character(&mut self) -> PgResult<Result<char, char>> {
        let ch = self.chars.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        Ok(Ok(match ch {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'B' => '\\',
            'c' => {
                let letter = self.chars.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                char::from_u32(letter as u32 & 0x1f).unwrap_or('\0')
            }
            'u' => self.hexadecimal(4)?,
            'U' => self.hexadecimal(8)?,
            'x' => self.hexadecimal(100)?,
            '0' => {
                let mut code = 0;
                for _ in 0..2 {
                    let Some(digit) = self.chars.next_if(|ch| ('0'..='7').contains(ch)) else { break };
                    code = code * 8 + digit.to_digit(8).unwrap_or(0);
                }
                char::from_u32(code).unwrap_or('\0')
            }
            '1'..='9' => return Err(PgError::unsupported("a back reference in a regular expression")),
            'd' | 's' | 'w' | 'D' | 'S' | 'W' | 'A' | 'm' | 'M' | 'y' | 'Y' | 'Z' => return Ok(Err(ch)),
            letter if letter.is_ascii_alphanumeric() => return Err(invalid("invalid escape \\ sequence")),
            other => other,
        }))
    }

    /// True if a quantifier may follow.
    fn escape(&mut self) -> PgResult<bool> {
        match self.escaped_character()? {
            Ok(ch) => push_escaped(ch, &mut self.out),
            Err(class @ ('d' | 's' | 'w' | 'D' | 'S' | 'W')) => {
                self.out.push('\\');
                self.out.push(class);
            }
            Err(constraint) => {
                self.out.push_str(match constraint {
                    'A' => "\\A",
                    'm' => "\\b{start}",
                    'M' => "\\b{end}",
                    'y' => "\\b",
                    'Y' => "\\B",
                    _ => "\\z",
                });
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// After `[`.
    fn bracket(&mut self) -> PgResult<()> {
        let unbalanced = || invalid("brackets [] not balanced");
        for (edge, spelled) in [("[:<:]]", "\\b{start}"), ("[:>:]]", "\\b{end}")] {
            if self.chars.clone().take(edge.len()).eq(edge.chars()) {
                self.chars.nth(edge.len() - 1);
                self.out.push_str(spelled);
                return Ok(());
            }
        }
        self.out.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
            if self.options.newline_stops {
                self.out.push_str("\\n");
            }
        }
        let mut first = true;
        loop {
            let ch = self.chars.next().ok_or_else(unbalanced)?;
            if ch == ']' && !first {
                break;
            }
            first = false;
            let Some(low) = self.bracket_item(ch)? else { continue };
            // A range, unless the dash is the last item.
            let mut ahead = self.chars.clone();
            if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
                self.chars.next();
                let next = self.chars.next().ok_or_else(unbalanced)?;
                let high = self.bracket_item(next)?.ok_or_else(|| invalid("invalid character range"))?;
                if high < low {
                    return Err(invalid("invalid character range"));
                }
                push_escaped(low, &mut self.out);
                self.out.push('-');
                push_escaped(high, &mut self.out);
            } else {
                push_escaped(low, &mut self.out);
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// A single character, or `None` if a class was written.
    fn bracket_item(&mut self, ch: char) -> PgResult<Option<char>> {
        match (ch, self.chars.peek()) {
            ('[', Some(':')) => {
                self.chars.next();
                let name = self.named_until(':')?;
                self.out.push_str(class_of(&name).ok_or_else(|| invalid("invalid character class"))?);
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
            ('\\', _) => match self.escaped_character()? {
                Ok(ch) => Ok(Some(ch)),
                Err(class @ ('d' | 's' | 'w' | 'D' | 'S' | 'W')) => {
                    self.out.push('\\');
                    self.out.push(class);
                    Ok(None)
                }
                Err(_) => Err(invalid("invalid escape \\ sequence")),
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

fn class_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "alnum" => "\\p{Alphabetic}\\p{Nd}",
        "alpha" => "\\p{Alphabetic}",
        "ascii" => "\\x00-\\x7f",
        "blank" => " \\t",
        "cntrl" => "\\p{Cc}",
        "digit" => "\\d",
        "graph" => "\\p{Alphabetic}\\p{N}\\p{P}\\p{S}\\p{M}",
        "lower" => "\\p{Lowercase}",
        "print" => "\\p{Alphabetic}\\p{N}\\p{P}\\p{S}\\p{M}\\p{Zs}",
        "punct" => "!-/:-@\\[-`{-~",
        "space" => "\\s",
        "upper" => "\\p{Uppercase}",
        "word" => "\\w",
        "xdigit" => "0-9A-Fa-f",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let cases = [
            ("[]a]", "[\\]a]"),
            ("[a-]", "[a\\-]"),
            ("\\yx\\Y", "\\bx\\B"),
            ("a{2}", "a{2,2}"),
            ("a{x", "a\\{x"),
            ("(?x) a b # c", "ab"),
            ("***=a.b", "a\\.b"),
            ("(?:.*){1,1}?(b)", "(?U:.*)(b)"),
            ("\\u00e9", "é"),
        ];
        for (pattern, expected) in cases {
            let translated =
                translate(pattern, Options::default()).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(translated.pattern, expected, "{pattern}");
        }
    }

    #[test]
    fn mistakes_have_postgresqls_words() {
        let cases = [
            ("(", "parentheses () not balanced"),
            (")", "parentheses () not balanced"),
            ("[", "brackets [] not balanced"),
            ("a{2", "braces {} not balanced"),
            ("*a", "quantifier operand invalid"),
            ("a**", "quantifier operand invalid"),
            ("a{3,2}", "invalid repetition count(s)"),
            ("[b-a]", "invalid character range"),
            ("[[:nope:]]", "invalid character class"),
        ];
        for (pattern, what) in cases {
            let error = translate(pattern, Options::default()).err().expect(pattern);
            assert_eq!(error.message, format!("invalid regular expression: {what}"), "{pattern}");
        }
        let unsupported = translate("(a)\\1", Options::default()).err().expect("no back references");
        assert_eq!(unsupported.code, crate::error::sqlstate::FEATURE_NOT_SUPPORTED);
    }
}
