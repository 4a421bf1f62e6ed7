//! A typed tree as PostgreSQL would write it: views, constraints, defaults, index expressions.
//!
//! What is shown is what a text means, not what it was: names are those that relations and columns have now. The layout is
//! ruleutils.c's, so that dumps and psql show what they show of PostgreSQL: with all parentheses, or (`pretty`) with those that
//! its rules ask for. A tree that has something which is not written here yet gives `None`, and the caller shows the text.
mod expr;
mod query;

use crate::typed::{Common, Query};
use trivet_types::{Environment, Oid};

/// Names as the reader has to write them.
pub trait Names {
    /// A relation, with its schema where that is needed.
    fn relation(&self, relation: Oid) -> Option<String>;
    /// A column of a relation, by its position.
    fn column(&self, relation: Oid, column: usize) -> Option<String>;
}

/// A query that is being written: what its relations are called.
struct Level<'q> {
    query: &'q Query,
}

pub struct Deparser<'a, 'q> {
    names: &'a dyn Names,
    environment: &'a dyn Environment,
    pretty: bool,
    out: String,
    indent: i32,
    /// The innermost query last.
    levels: Vec<Level<'q>>,
    commons: &'q [Common],
    /// The one relation of an expression without a query: its columns are written without a qualifier.
    own: Option<Oid>,
}

/// A query's text, ended without a semicolon; `columns`: what its columns are called by.
pub fn query_text(
    query: &Query,
    commons: &[Common],
    columns: &[String],
    names: &dyn Names,
    environment: &dyn Environment,
    pretty: bool,
) -> Option<String> {
    let mut deparser =
        Deparser { names, environment, pretty, out: String::new(), indent: 0, levels: Vec::new(), commons, own: None };
    deparser.query(query, Some(columns), true)?;
    Some(deparser.out)
}

/// The text of an expression over a relation's row.
pub fn expr_text(
    expr: &crate::typed::Expr,
    relation: Oid,
    names: &dyn Names,
    environment: &dyn Environment,
    pretty: bool,
) -> Option<String> {
    let mut deparser = Deparser {
        names,
        environment,
        pretty,
        out: String::new(),
        indent: 0,
        levels: Vec::new(),
        commons: &[],
        own: Some(relation),
    };
    deparser.expr(expr)?;
    Some(deparser.out)
}

/// Up to here lines are indented as deep as they are; beyond, more slowly.
const INDENT_LIMIT: i32 = 40;
const INDENT_STEP: i32 = 8;

impl Deparser<'_, '_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// A keyword on a line of its own.
    fn line(&mut self, keyword: &str, before: i32, after: i32, plus: i32) {
        self.indent += before;
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        self.out.push('\n');
        let depth = if self.indent < INDENT_LIMIT {
            self.indent.max(0)
        } else {
            (INDENT_LIMIT + (self.indent - INDENT_LIMIT) / (INDENT_STEP / 2)) % INDENT_LIMIT
        };
        let depth = usize::try_from(depth + plus).unwrap_or(0);
        self.out.extend(std::iter::repeat_n(' ', depth));
        self.out.push_str(keyword);
        self.indent = (self.indent + after).max(0);
    }

    /// In parentheses, unless these are left out for readers.
    fn wrapped(&mut self, work: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        if !self.pretty {
            self.push("(");
        }
        work(self)?;
        if !self.pretty {
            self.push(")");
        }
        Some(())
    }

    fn enclosed(&mut self, work: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.push("(");
        work(self)?;
        self.push(")");
        Some(())
    }

    fn separated<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T) -> Option<()>) -> Option<()> {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            each(self, item)?;
        }
        Some(())
    }
}
