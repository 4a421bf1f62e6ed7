//! Reading JSON, with PostgreSQL's words for what is wrong.
//!
//! The result is a tree of slices: `json` keeps the spelling of its parts, so a part's raw text must be at hand.
use crate::error::{PgError, PgResult, SqlState, sqlstate};

/// Deeper nesting than this is refused, as PostgreSQL's stack depth does.
const DEPTH_MAX: usize = 1000;
/// Bytes of the line that an error shows.
const CONTEXT_BYTES: usize = 50;

/// A value, and how it was spelled.
#[derive(Debug)]
pub struct Node<'a> {
    pub raw: &'a str,
    pub kind: Kind<'a>,
}

#[derive(Debug)]
pub enum Kind<'a> {
    Null,
    Bool(bool),
    /// `raw` has its digits.
    Number,
    /// Without quotes and escapes (with them, if escapes were not asked for).
    String(String),
    Array(Vec<Node<'a>>),
    Object(Vec<(String, Node<'a>)>),
}

/// Read a text. `decode`: strings are wanted too, so an escape that names no character is an error.
pub fn parse(text: &str, decode: bool) -> PgResult<Node<'_>> {
    let mut parser = Parser {
        text,
        at: 0,
        line: 1,
        line_start: 0,
        start: 0,
        end: 0,
        token: Token::End,
        string: String::new(),
        decode,
    };
    parser.advance()?;
    let node = parser.value(0)?;
    parser.expect_end()?;
    Ok(node)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Punctuation(u8),
    String,
    Number,
    True,
    False,
    Null,
    End,
}

struct Parser<'a> {
    text: &'a str,
    /// Where the next token is looked for.
    at: usize,
    line: usize,
    line_start: usize,
    /// The current token.
    token: Token,
    start: usize,
    end: usize,
    /// What the current token says, if it is a string.
    string: String,
    decode: bool,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

impl<'a> Parser<'a> {
    fn invalid(&self, detail: String) -> Box<PgError> {
        self.error(sqlstate::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json", detail)
    }

    fn error(&self, code: SqlState, message: &str, detail: String) -> Box<PgError> {
        let mut error = PgError::new(code, message).detail(detail);
        error.context = Some(self.context());
        error
    }

    /// The line up to the token, without its beginning if that is long.
    fn context(&self) -> String {
        let mut start = self.line_start;
        while self.end - start >= CONTEXT_BYTES {
            start += self.text[start..].chars().next().map_or(1, char::len_utf8);
        }
        if start - self.line_start <= 3 {
            start = self.line_start;
        }
        let before = if start > self.line_start { "..." } else { "" };
        let rest = &self.text.as_bytes()[self.end..];
        let more = self.token != Token::End && rest.first().is_some_and(|byte| !matches!(byte, b'\n' | b'\r'));
        let after = if more { "..." } else { "" };
        format!("JSON data, line {}: {before}{}{after}", self.line, &self.text[start..self.end])
    }

    fn unexpected(&self, wanted: &str) -> Box<PgError> {
        if self.token == Token::End {
            return self.invalid("The input string ended unexpectedly.".to_string());
        }
        self.invalid(format!("Expected {wanted}, but found \"{}\".", &self.text[self.start..self.end]))
    }

    fn bad_token(&mut self, end: usize) -> Box<PgError> {
        self.end = end;
        // Any token but the end of input: more text may follow.
        self.token = Token::Null;
        self.invalid(format!("Token \"{}\" is invalid.", &self.text[self.start..end]))
    }

    fn advance(&mut self) -> PgResult<()> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at).filter(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
            if *byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
        self.start = self.at;
        let Some(first) = bytes.get(self.at) else {
            self.end = self.at;
            self.token = Token::End;
            return Ok(());
        };
        match first {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {
                self.end = self.at + 1;
                self.token = Token::Punctuation(*first);
            }
            b'"' => self.lex_string()?,
            b'-' | b'0'..=b'9' => self.lex_number()?,
            _ => {
                let length = bytes[self.at..].iter().take_while(|byte| is_word(**byte)).count();
                if length == 0 {
                    return Err(self.bad_token(self.at + 1));
                }
                let end = self.at + length;
                self.token = match &self.text[self.at..end] {
                    "true" => Token::True,
                    "false" => Token::False,
                    "null" => Token::Null,
                    _ => return Err(self.bad_token(end)),
                };
                self.end = end;
            }
        }
        self.at = self.end;
        Ok(())
    }

    fn lex_number(&mut self) -> PgResult<()> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + usize::from(bytes[self.at] == b'-');
        let digits = |at: &mut usize| {
            let before = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at > before
        };
        let mut valid = true;
        if bytes.get(at) == Some(&b'0') {
            at += 1;
        } else {
            valid &= digits(&mut at);
        }
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            valid &= digits(&mut at);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(bytes.get(at), Some(b'+' | b'-')) {
                at += 1;
            }
            valid &= digits(&mut at);
        }
        while bytes.get(at).is_some_and(|byte| is_word(*byte)) {
            valid = false;
            at += 1;
        }
        if !valid {
            return Err(self.bad_token(at));
        }
        self.token = Token::Number;
        self.end = at;
        Ok(())
    }

    fn lex_string(&mut self) -> PgResult<()> {
        self.token = Token::String;
        self.string.clear();
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let mut high_surrogate: Option<u32> = None;
        loop {
            let Some(byte) = bytes.get(at).copied() else { return Err(self.bad_token(at)) };
            if high_surrogate.is_some() && byte != b'\\' {
                return Err(self.bad_surrogate(at));
            }
            match byte {
                b'"' => break,
                0..=0x1f => {
                    self.end = at;
                    return Err(self.invalid(format!("Character with value 0x{byte:02x} must be escaped.")));
                }
                b'\\' => at = self.lex_escape(at, &mut high_surrogate)?,
                _ => {
                    let rest = &self.text[at..];
                    let length = rest.find(|ch: char| ch < ' ' || ch == '"' || ch == '\\').unwrap_or(rest.len());
                    self.string.push_str(&rest[..length]);
                    at += length;
                }
            }
        }
        self.end = at + 1;
        Ok(())
    }

    fn bad_surrogate(&mut self, at: usize) -> Box<PgError> {
        self.end = (at + self.text[at..].chars().next().map_or(0, char::len_utf8)).min(self.text.len());
        self.invalid("Unicode low surrogate must follow a high surrogate.".to_string())
    }

    /// The escape at `at`; where the text goes on.
    fn lex_escape(&mut self, at: usize, high: &mut Option<u32>) -> PgResult<usize> {
        let Some(escaped) = self.text[at + 1..].chars().next() else { return Err(self.bad_token(at + 1)) };
        if escaped != 'u' {
            if self.decode && high.is_some() {
                return Err(self.bad_surrogate(at + 1));
            }
            self.string.push(match escaped {
                '"' | '\\' | '/' => escaped,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                _ => {
                    self.start = at + 1;
                    self.end = at + 1 + escaped.len_utf8();
                    return Err(self.invalid(format!("Escape sequence \"\\{escaped}\" is invalid.")));
                }
            });
            return Ok(at + 2);
        }
        let mut code = 0;
        for offset in 0..4 {
            let place = at + 2 + offset;
            let Some(digit) = self.text[place.min(self.text.len())..].chars().next() else {
                return Err(self.bad_token(self.text.len()));
            };
            let Some(value) = digit.to_digit(16) else {
                self.end = place + digit.len_utf8();
                return Err(self.invalid("\"\\u\" must be followed by four hexadecimal digits.".to_string()));
            };
            code = code * 16 + value;
        }
        let after = at + 6;
        if !self.decode {
            return Ok(after);
        }
        self.end = after;
        match (high.take(), code) {
            (Some(_), 0xd800..=0xdbff) => {
                return Err(self.invalid("Unicode high surrogate must not follow a high surrogate.".to_string()));
            }
            (None, 0xd800..=0xdbff) => *high = Some(code),
            (None, 0xdc00..=0xdfff) => {
                return Err(self.invalid("Unicode low surrogate must follow a high surrogate.".to_string()));
            }
            (Some(first), 0xdc00..=0xdfff) => {
                let combined = 0x10000 + ((first - 0xd800) << 10) + (code - 0xdc00);
                self.string.push(char::from_u32(combined).expect("surrogates combine to a character"));
            }
            (Some(_), _) => {
                return Err(self.invalid("Unicode low surrogate must follow a high surrogate.".to_string()));
            }
            (None, 0) => {
                let message = "unsupported Unicode escape sequence";
                return Err(self.error(
                    SqlState(*b"22P05"),
                    message,
                    "\\u0000 cannot be converted to text.".to_string(),
                ));
            }
            (None, _) => self.string.push(char::from_u32(code).expect("neither a surrogate nor too large")),
        }
        Ok(after)
    }

    fn value(&mut self, depth: usize) -> PgResult<Node<'a>> {
        if depth > DEPTH_MAX {
            return Err(PgError::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        let start = self.start;
        let mut end = self.end;
        let kind = match self.token {
            Token::Null => Kind::Null,
            Token::True => Kind::Bool(true),
            Token::False => Kind::Bool(false),
            Token::Number => Kind::Number,
            Token::String => Kind::String(std::mem::take(&mut self.string)),
            Token::Punctuation(b'[') => {
                self.advance()?;
                let items = self.items(depth)?;
                end = self.end;
                Kind::Array(items)
            }
            Token::Punctuation(b'{') => {
                self.advance()?;
                let pairs = self.pairs(depth)?;
                end = self.end;
                Kind::Object(pairs)
            }
            _ => return Err(self.unexpected("JSON value")),
        };
        self.advance()?;
        Ok(Node { raw: &self.text[start..end], kind })
    }

    /// Up to the closing bracket, which stays the current token.
    fn items(&mut self, depth: usize) -> PgResult<Vec<Node<'a>>> {
        let mut items = Vec::new();
        if self.token == Token::Punctuation(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.token {
                Token::Punctuation(b',') => self.advance()?,
                Token::Punctuation(b']') => return Ok(items),
                _ => return Err(self.unexpected("\",\" or \"]\"")),
            }
        }
    }

    /// Up to the closing brace, which stays the current token.
    fn pairs(&mut self, depth: usize) -> PgResult<Vec<(String, Node<'a>)>> {
        let mut pairs = Vec::new();
        match self.token {
            Token::Punctuation(b'}') => return Ok(pairs),
            Token::String => {}
            _ => return Err(self.unexpected("string or \"}\"")),
        }
        loop {
            if self.token != Token::String {
                return Err(self.unexpected("string"));
            }
            let key = std::mem::take(&mut self.string);
            self.advance()?;
            if self.token != Token::Punctuation(b':') {
                return Err(self.unexpected("\":\""));
            }
            self.advance()?;
            pairs.push((key, self.value(depth + 1)?));
            match self.token {
                Token::Punctuation(b',') => self.advance()?,
                Token::Punctuation(b'}') => return Ok(pairs),
                _ => return Err(self.unexpected("\",\" or \"}\"")),
            }
        }
    }

    fn expect_end(&mut self) -> PgResult<()> {
        if self.token == Token::End { Ok(()) } else { Err(self.unexpected("end of input")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_and_where() {
        let cases = [
            ("", "The input string ended unexpectedly.", "JSON data, line 1: "),
            ("{\"a\"}", "Expected \":\", but found \"}\".", "JSON data, line 1: {\"a\"}"),
            ("[1,]", "Expected JSON value, but found \"]\".", "JSON data, line 1: [1,]"),
            ("{a:1}", "Token \"a\" is invalid.", "JSON data, line 1: {a..."),
            ("[1 2]", "Expected \",\" or \"]\", but found \"2\".", "JSON data, line 1: [1 2..."),
            ("\"\\x\"", "Escape sequence \"\\x\" is invalid.", "JSON data, line 1: \"\\x..."),
            ("[1]\n 2", "Expected end of input, but found \"2\".", "JSON data, line 2:  2"),
        ];
        for (text, detail, context) in cases {
            let error = parse(text, true).expect_err(text);
            assert_eq!((error.detail.as_deref(), error.context.as_deref()), (Some(detail), Some(context)), "{text}");
        }
        assert!(parse(&"[".repeat(5000), false).is_err(), "depth is bounded");
    }
}
