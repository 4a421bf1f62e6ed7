//! The hand-written grammar's place in one statement's tokens.
use super::convert::Converter;
use super::error::Source;
use super::tree::{Name, QualifiedName};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use trivet_types::{PgError, PgResult};

/// A place in one statement's tokens.
pub(super) struct Cursor<'s, 't> {
    pub source: &'s Source<'s>,
    pub tokens: &'t [TokenWithSpan],
    pub at: usize,
}

fn unquoted(token: Option<&TokenWithSpan>) -> Option<&Word> {
    match token.map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word),
        _ => None,
    }
}

pub(super) fn word_is(token: Option<&TokenWithSpan>, word: &str) -> bool {
    unquoted(token).is_some_and(|found| found.value.eq_ignore_ascii_case(word))
}

impl<'s, 't> Cursor<'s, 't> {
    pub fn peek(&self, ahead: usize) -> Option<&'t TokenWithSpan> {
        self.tokens.get(self.at + ahead)
    }
    pub fn peek_is(&self, token: &Token) -> bool {
        self.peek(0).is_some_and(|found| found.token == *token)
    }
    pub fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }
    pub fn remaining(&self) -> &'t [TokenWithSpan] {
        &self.tokens[self.at.min(self.tokens.len())..]
    }
    pub fn error(&self) -> Box<PgError> {
        match self.peek(0) {
            Some(token) => self.source.syntax_error(token),
            None => match self.source.behind(self.tokens) {
                Some(token) => self.source.syntax_error(token),
                None => self.source.syntax_error(&TokenWithSpan::wrap(Token::EOF)),
            },
        }
    }
    pub fn end(&self) -> PgResult<()> {
        if self.at_end() { Ok(()) } else { Err(self.error()) }
    }
    /// The unquoted word here, in lower case.
    pub fn keyword(&self) -> Option<String> {
        unquoted(self.peek(0)).map(|word| word.value.to_ascii_lowercase())
    }
    pub fn is(&self, word: &str) -> bool {
        word_is(self.peek(0), word)
    }
    pub fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }
    pub fn eat_token(&mut self, token: &Token) -> bool {
        let found = self.peek_is(token);
        self.at += usize::from(found);
        found
    }
    pub fn expect(&mut self, word: &str) -> PgResult<()> {
        if self.eat(word) { Ok(()) } else { Err(self.error()) }
    }
    /// `WORK` or `TRANSACTION`, which say nothing.
    pub fn work(&mut self) {
        let _ = self.eat("work") || self.eat("transaction");
    }
    pub fn name(&mut self) -> PgResult<Name> {
        self.qualified_name_of(1)?.parts.pop().ok_or_else(|| self.error())
    }
    pub fn qualified_name(&mut self) -> PgResult<QualifiedName> {
        self.qualified_name_of(usize::MAX)
    }
    pub fn qualified_name_of(&mut self, parts_max: usize) -> PgResult<QualifiedName> {
        let mut parts = Vec::new();
        loop {
            let Some(TokenWithSpan { token: Token::Word(word), span }) = self.peek(0) else { return Err(self.error()) };
            parts.push(Converter::new(self.source).identifier(word.clone().into_ident(*span)));
            self.at += 1;
            if parts.len() >= parts_max || !self.eat_token(&Token::Period) {
                return Ok(QualifiedName { parts });
            }
        }
    }
    pub fn dotted_name(&mut self) -> PgResult<String> {
        self.qualified_name().map(|name| name.shown())
    }
    pub fn string(&mut self) -> PgResult<String> {
        let text = match self.peek(0).map(|token| &token.token) {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => text.clone(),
            Some(Token::DollarQuotedString(quoted)) => quoted.value.clone(),
            _ => return Err(self.error()),
        };
        self.at += 1;
        Ok(text)
    }
    pub fn integer(&mut self) -> Option<i64> {
        let negative = self.peek_is(&Token::Minus);
        let digits = match self.peek(usize::from(negative)).map(|token| &token.token) {
            Some(Token::Number(digits, _)) => digits.parse::<i64>().ok()?,
            _ => return None,
        };
        self.at += 1 + usize::from(negative);
        Some(if negative { -digits } else { digits })
    }
    /// A setting's value: a word, a string, or a number with its sign, as text. Unquoted words fold to lower case.
    pub fn set_value(&mut self) -> PgResult<String> {
        let negative = self.eat_token(&Token::Minus);
        let _ = !negative && self.eat_token(&Token::Plus);
        let text = match self.peek(0).map(|token| &token.token) {
            Some(Token::Number(digits, _)) if negative => format!("-{digits}"),
            Some(Token::Number(digits, _)) => digits.clone(),
            Some(Token::Word(word)) if !negative && word.quote_style.is_some() => word.value.clone(),
            Some(Token::Word(word)) if !negative => word.value.to_ascii_lowercase(),
            _ if !negative => return self.string(),
            _ => return Err(self.error()),
        };
        self.at += 1;
        Ok(text)
    }
    /// The tokens between the parenthesis here and its partner; moves behind it. Anything else here is a mistake.
    pub fn parenthesized(&mut self) -> PgResult<&'t [TokenWithSpan]> {
        if !self.peek_is(&Token::LParen) {
            return Err(self.error());
        }
        let start = self.at + 1;
        let mut depth = 0usize;
        for at in self.at..self.tokens.len() {
            match self.tokens[at].token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                self.at = at + 1;
                return Ok(&self.tokens[start..at]);
            }
        }
        self.at = self.tokens.len();
        Err(self.error())
    }
    /// The same, cut at the commas of its level. Not empty.
    pub fn parenthesized_items(&mut self) -> PgResult<Vec<&'t [TokenWithSpan]>> {
        let inside = self.parenthesized()?;
        let (mut items, mut start, mut depth) = (Vec::new(), 0, 0usize);
        for (at, token) in inside.iter().enumerate() {
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                Token::Comma if depth == 0 => {
                    items.push(&inside[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.push(&inside[start..]);
        if let Some(empty) = items.iter().position(|item| item.is_empty()) {
            // The token that stands where an item should: the comma or the closing parenthesis.
            let before: usize = items[..empty].iter().map(|item| item.len() + 1).sum();
            let at = self.at - 1 - inside.len() + before;
            return Err(self.source.syntax_error(&self.tokens[at.min(self.tokens.len() - 1)]));
        }
        Ok(items)
    }
    pub fn text_of(&self, tokens: &[TokenWithSpan]) -> String {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => self.source.slice(first.span.start, last.span.end).to_owned(),
            _ => String::new(),
        }
    }

    /// Each word in turn, if all of them are here.
    pub fn eat_words(&mut self, words: &[&str]) -> bool {
        let here = words.iter().enumerate().all(|(ahead, word)| word_is(self.peek(ahead), word));
        self.at += if here { words.len() } else { 0 };
        here
    }
    pub fn names(&mut self) -> PgResult<Vec<Name>> {
        let mut names = vec![self.name()?];
        while self.eat_token(&Token::Comma) {
            names.push(self.name()?);
        }
        Ok(names)
    }
    pub fn qualified_names(&mut self) -> PgResult<Vec<QualifiedName>> {
        let mut names = vec![self.qualified_name()?];
        while self.eat_token(&Token::Comma) {
            names.push(self.qualified_name()?);
        }
        Ok(names)
    }
    /// CASCADE or RESTRICT, if one is here.
    pub fn cascades(&mut self) -> bool {
        let cascades = self.eat("cascade");
        if !cascades {
            self.eat("restrict");
        }
        cascades
    }
    /// Runs a part of the library's parser from here on; moves behind what it took.
    pub fn library<T>(
        &mut self,
        parse: impl FnOnce(&mut sqlparser::parser::Parser<'_>) -> Result<T, sqlparser::parser::ParserError>,
    ) -> PgResult<T> {
        let (part, taken) = super::parse_prefix(self.source, self.remaining(), parse)?;
        self.at += taken;
        Ok(part)
    }
}
