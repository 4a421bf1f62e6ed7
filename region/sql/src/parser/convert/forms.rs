//! Forms that SQL's grammar gives some functions: where they stand, which the library does not tell, and their keywords.
use super::super::places::first_token;
use super::super::tree::*;
use super::Converter;
use sqlparser::ast;
use sqlparser::tokenizer::Token;
use trivet_types::{PgError, PgResult, sqlstate};

impl Converter<'_> {
    /// The place of the last of these words, which stand right before an operand, from it backwards; "" is any token.
    pub(super) fn place_before_operand(&self, operand: &ast::Expr, words: &[&str]) -> Place {
        let Some(mut at) = first_token(operand).and_then(|first| self.source.token_at(first)) else {
            return Place::default();
        };
        for word in words {
            match at.checked_sub(1) {
                Some(before) if word.is_empty() || self.source.token_is(before, word) => at = before,
                _ => return Place::default(),
            }
        }
        self.source.place_of_token(at)
    }

    /// `ARRAY[]`, which has nothing whose place is known, if the text has just one and is not long.
    pub(super) fn only_empty_array(&self) -> Option<usize> {
        const TOKENS_LOOKED_AT: usize = 4096;
        if self.source.tokens.len() > TOKENS_LOOKED_AT {
            return None;
        }
        let is_empty = |at: &usize| {
            let next = self.source.token(at + 2).map(|token| &token.token);
            self.source.token_is(*at, "array") && self.source.token_is(at + 1, "[") && next == Some(&Token::RBracket)
        };
        let mut found = (0..self.source.tokens.len()).filter(is_empty);
        found.next().filter(|_| found.next().is_none())
    }

    /// `normalize(text, NFC)`: the form is a keyword.
    pub(super) fn read_normal_form(&self, call: &mut FunctionCall) -> PgResult<()> {
        let ([name], [_, form]) = (call.name.parts.as_slice(), call.arguments.as_mut_slice()) else { return Ok(()) };
        if name.text != "normalize" {
            return Ok(());
        }
        match &form.value.kind {
            ExprKind::Column(word) if matches!(word.last(), "nfc" | "nfd" | "nfkc" | "nfkd") => {
                form.value.kind = ExprKind::Literal(Literal::String(word.last().to_ascii_uppercase()));
                Ok(())
            }
            _ => {
                let written =
                    self.source.tokens.iter().find(|token| self.source.place_of(token.span) == form.value.place);
                Err(written.map_or_else(
                    || PgError::new(sqlstate::SYNTAX_ERROR, "syntax error"),
                    |at| self.source.syntax_error(at),
                ))
            }
        }
    }
}
