//! Where things are in the text, and what to say of what is wrong there, in PostgreSQL's words.
use super::tree::Place;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, TokenizerError};
use trivet_types::{PgError, sqlstate};

/// A query text with its line starts: the library counts lines and columns, PostgreSQL characters.
pub(super) struct Source<'a> {
    pub text: &'a str,
    /// Per line: byte offset and 0-based character offset of its first character.
    lines: Vec<(usize, u32)>,
    /// Characters are bytes: a place is found without counting.
    ascii: bool,
    /// Without blanks and comments, as they were written.
    pub tokens: &'a [TokenWithSpan],
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut lines = vec![(0, 0)];
        let mut characters = 0;
        for (at, character) in text.char_indices() {
            characters += 1;
            if character == '\n' {
                lines.push((at + 1, characters));
            }
        }
        Source { text, lines, ascii: text.is_ascii(), tokens: &[] }
    }

    pub fn with_tokens<'t>(self, tokens: &'t [TokenWithSpan]) -> Source<'t>
    where
        'a: 't,
    {
        Source { tokens, ..self }
    }

    /// The token behind these, which are some of the text's in a row.
    pub fn behind(&self, tokens: &[TokenWithSpan]) -> Option<&'a TokenWithSpan> {
        let key = |token: &TokenWithSpan| (token.span.start.line, token.span.start.column);
        let at = match tokens.last() {
            Some(last) => self.tokens.partition_point(|token| key(token) <= key(last)),
            None => {
                let bytes = (tokens.as_ptr() as usize).checked_sub(self.tokens.as_ptr() as usize)?;
                bytes / std::mem::size_of::<TokenWithSpan>()
            }
        };
        self.tokens.get(at).filter(|token| token.token != Token::EOF)
    }

    pub fn is_ascii(&self) -> bool {
        self.ascii
    }

    fn line(&self, location: Location) -> Option<&(usize, u32)> {
        self.lines.get(usize::try_from(location.line.checked_sub(1)?).ok()?)
    }

    pub fn place(&self, location: Location) -> Place {
        let column = u32::try_from(location.column).unwrap_or(0);
        Place(self.line(location).map_or(0, |(_, characters)| characters + column))
    }

    pub fn place_of(&self, span: Span) -> Place {
        if span.start.line == 0 { Place(0) } else { self.place(span.start) }
    }

    fn byte_offset(&self, location: Location) -> usize {
        let Some((start, _)) = self.line(location) else { return self.text.len() };
        let column = usize::try_from(location.column).unwrap_or(1).saturating_sub(1);
        if self.ascii {
            return (start + column).min(self.text.len());
        }
        self.text[*start..].char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }

    /// At most so many bytes of text before a location; none where finding it would take long.
    pub fn before(&self, end: Location, bytes: usize) -> &'a str {
        const CHARACTERS_COUNTED: u64 = 4096;
        if !self.ascii && end.column > CHARACTERS_COUNTED {
            return "";
        }
        let end = self.byte_offset(end);
        let mut start = end.saturating_sub(bytes);
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        self.text.get(start..end).unwrap_or("")
    }

    /// At most so many bytes of text from a location on.
    pub fn after(&self, start: Location, bytes: usize) -> &'a str {
        let start = self.byte_offset(start);
        let mut end = (start + bytes).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.get(start..end).unwrap_or("")
    }

    /// The text from one location up to, not including, another.
    pub fn slice(&self, start: Location, end: Location) -> &'a str {
        let (start, end) = (self.byte_offset(start), self.byte_offset(end));
        self.text.get(start..end.max(start)).unwrap_or("")
    }

    pub fn syntax_error(&self, at: &TokenWithSpan) -> Box<PgError> {
        if at.token == Token::EOF {
            let end = u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX - 1);
            return PgError::new(sqlstate::SYNTAX_ERROR, "syntax error at end of input").position(end + 1);
        }
        let shown = self.slice(at.span.start, at.span.end);
        let error = PgError::new(sqlstate::SYNTAX_ERROR, format!("syntax error at or near \"{shown}\""));
        match self.place_of(at.span).known() {
            Some(place) => error.position(place),
            None => error,
        }
    }

    pub fn parser_error(&self, error: &ParserError, at: &TokenWithSpan) -> Box<PgError> {
        match error {
            ParserError::RecursionLimitExceeded => too_deep(),
            ParserError::TokenizerError(_) | ParserError::ParserError(_) => self.syntax_error(at),
        }
    }

    pub fn tokenizer_error(&self, error: &TokenizerError) -> Box<PgError> {
        let place = self.place(error.location);
        let rest = self.slice(error.location, Location { line: u64::MAX, column: 1 });
        let message = error.message.to_ascii_lowercase();
        let what = if message.contains("unterminated") && message.contains("comment") {
            "unterminated /* comment"
        } else if message.contains("unterminated string") || message.contains("unterminated") && rest.starts_with('\'')
        {
            "unterminated quoted string"
        } else if message.contains("unterminated dollar") || rest.starts_with('$') {
            "unterminated dollar-quoted string"
        } else if message.contains("close delimiter") || rest.starts_with('"') {
            "unterminated quoted identifier"
        } else {
            "syntax error"
        };
        let error = PgError::new(sqlstate::SYNTAX_ERROR, format!("{what} at or near \"{rest}\""));
        match place.known() {
            Some(place) => error.position(place),
            None => error,
        }
    }
}

/// 54001.
pub(crate) fn too_deep() -> Box<PgError> {
    PgError::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded").hint(
        "The statement nests too deeply. Write it flatter, for example with a list instead of a chain of operators.",
    )
}
