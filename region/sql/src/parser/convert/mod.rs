//! The library's tree into ours. What ours cannot say is refused here, by name (0A000); nothing is dropped in silence.
mod ddl;
mod dml;
mod expr;
mod forms;
mod query;
mod sample;
mod types;

use super::error::{Source, too_deep};
use super::tree::*;
use sqlparser::ast;
use std::collections::VecDeque;
use trivet_txn::LockStrength;
use trivet_types::{PgError, PgResult};

/// Operator chains and nesting, counted while converting: what comes after recurses over our tree with a frame a level.
const DEPTH_MAX: usize = 400;
/// PostgreSQL's NAMEDATALEN - 1.
const NAME_BYTES_MAX: usize = 63;

pub(super) struct Converter<'a> {
    pub(super) source: &'a Source<'a>,
    depth: usize,
    /// Strengths of the row locks in the statement, in order: the library knows only two.
    pub(in crate::parser) lock_strengths: VecDeque<LockStrength>,
}

impl<'a> Converter<'a> {
    pub fn new(source: &'a Source<'a>) -> Self {
        Converter { source, depth: 0, lock_strengths: VecDeque::new() }
    }

    /// Does `word` follow the token, which is a `first`? If nobody knows which token it was, no text that says both is taken.
    fn says(&self, token: Option<usize>, first: &str, word: &str) -> PgResult<bool> {
        let follows = |at: usize| self.source.token_is(at + 1, word);
        match token {
            Some(at) => Ok(follows(at)),
            None if (0..self.source.tokens.len()).any(|at| self.source.token_is(at, first) && follows(at)) => {
                let shown = format!("{} {} of this expression", first.to_uppercase(), word.to_uppercase());
                Err(PgError::unsupported(shown))
            }
            None => Ok(false),
        }
    }

    /// Runs a conversion one level down.
    fn deeper<T>(&mut self, convert: impl FnOnce(&mut Self) -> PgResult<T>) -> PgResult<T> {
        if self.depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        let converted = convert(self);
        self.depth -= 1;
        converted
    }

    pub fn statement(&mut self, statement: ast::Statement) -> PgResult<Statement> {
        use ast::Statement as S;
        match statement {
            S::Query(query) => self.query_statement(*query),
            S::Insert(insert) => self.insert(insert, None),
            S::Update(update) => self.update(update, None),
            S::Delete(delete) => self.delete(delete, None),
            S::CreateIndex(create) => self.create_index(create),
            S::Truncate(truncate) => self.truncate(truncate),
            other => Err(PgError::unsupported(first_words(&other))),
        }
    }

    pub fn identifier(&self, ident: ast::Ident) -> Name {
        let place = self.source.place_of(ident.span);
        let text = match ident.quote_style {
            Some(_) => ident.value,
            None => ident.value.to_ascii_lowercase(),
        };
        Name { text: truncated(text), place }
    }

    pub(super) fn identifiers(&self, idents: Vec<ast::Ident>) -> Vec<Name> {
        idents.into_iter().map(|ident| self.identifier(ident)).collect()
    }

    pub fn name(&self, name: ast::ObjectName) -> PgResult<QualifiedName> {
        let mut parts = Vec::with_capacity(name.0.len());
        for part in name.0 {
            match part {
                ast::ObjectNamePart::Identifier(ident) => parts.push(self.identifier(ident)),
                ast::ObjectNamePart::Function(_) => return Err(PgError::unsupported("a function as a part of a name")),
            }
        }
        assert!(!parts.is_empty(), "the library gave a name without parts");
        Ok(QualifiedName { parts })
    }

    fn single_name(&self, name: ast::ObjectName, what: &str) -> PgResult<Name> {
        let mut name = self.name(name)?;
        match (name.parts.len(), name.parts.pop()) {
            (1, Some(only)) => Ok(only),
            _ => Err(PgError::unsupported(format!("a qualified {what}"))),
        }
    }
}

fn truncated(mut text: String) -> String {
    if text.len() > NAME_BYTES_MAX {
        let mut end = NAME_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// Name of a statement that is not supported: its leading upper-case words, as the library prints it.
fn first_words(statement: &ast::Statement) -> String {
    let printed = statement.to_string();
    let words: Vec<&str> = printed
        .split_whitespace()
        .take(4)
        .take_while(|word| word.chars().all(|character| character.is_ascii_uppercase() || character == '_'))
        .collect();
    if words.is_empty() { "this statement".to_owned() } else { words.join(" ") }
}

/// `refuse!(condition, "what")`: 0A000 if the condition holds.
macro_rules! refuse {
    ($($condition:expr => $what:expr;)*) => {
        $(if $condition { return Err(trivet_types::PgError::unsupported($what)); })*
    };
}
use refuse;
