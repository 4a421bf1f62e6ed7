//! The SQL/JSON path language (manual, section 9.16.2): the type `jsonpath`.
//!
//! A value is kept as its normal text; `parse` makes the tree of it, `show` writes it, `run` looks into a `jsonb`.
//! Left out, with 0A000: the method `.datetime()`.
mod parse;
mod run;
mod show;

pub use run::{Found, Query};

use crate::error::{PgError, PgResult};
use crate::numeric::Numeric;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

const CACHED_PATHS_MAX: usize = 64;

#[derive(Clone, PartialEq, Debug)]
pub struct Path {
    pub strict: bool,
    pub item: Item,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    StartsWith,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    Null,
    Bool(bool),
    Number(Numeric),
    String(String),
    Variable(String),
    Root,
    /// `@`
    Current,
    /// The last subscript.
    Last,
    Binary(Operation, Box<Item>, Box<Item>),
    Signed {
        negative: bool,
        operand: Box<Item>,
    },
    Not(Box<Item>),
    IsUnknown(Box<Item>),
    Exists(Box<Item>),
    LikeRegex {
        operand: Box<Item>,
        pattern: String,
        flags: String,
    },
    Access(Box<Item>, Vec<Step>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Type,
    Size,
    Double,
    Ceiling,
    Floor,
    Abs,
    KeyValue,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    Key(String),
    AnyKey,
    AnyElement,
    /// Single subscripts, or from one to another.
    Elements(Vec<(Item, Option<Item>)>),
    /// `**{first to last}`; the greatest number is `last`.
    Deep {
        first: u32,
        last: u32,
    },
    Filter(Item),
    Method(Method),
}

impl Item {
    /// True, false or unknown; not a value.
    fn is_predicate(&self) -> bool {
        match self {
            Item::Not(_) | Item::IsUnknown(_) | Item::Exists(_) | Item::LikeRegex { .. } => true,
            Item::Binary(operation, ..) => !operation.is_arithmetic(),
            _ => false,
        }
    }
}

impl Operation {
    fn is_arithmetic(self) -> bool {
        matches!(
            self,
            Operation::Add | Operation::Subtract | Operation::Multiply | Operation::Divide | Operation::Modulo
        )
    }
    fn sign(self) -> &'static str {
        match self {
            Operation::And => "&&",
            Operation::Or => "||",
            Operation::Equal => "==",
            Operation::NotEqual => "!=",
            Operation::Less => "<",
            Operation::Greater => ">",
            Operation::LessOrEqual => "<=",
            Operation::GreaterOrEqual => ">=",
            Operation::StartsWith => "starts with",
            Operation::Add => "+",
            Operation::Subtract => "-",
            Operation::Multiply => "*",
            Operation::Divide => "/",
            Operation::Modulo => "%",
        }
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Type => "type",
            Method::Size => "size",
            Method::Double => "double",
            Method::Ceiling => "ceiling",
            Method::Floor => "floor",
            Method::Abs => "abs",
            Method::KeyValue => "keyvalue",
        }
    }
}

impl Path {
    pub fn parse(text: &str) -> PgResult<Path> {
        parse::parse(text)
    }

    /// A stored path, from a small cache per thread.
    pub fn of_stored(text: &str) -> PgResult<Rc<Path>> {
        thread_local! {
            static PATHS: RefCell<HashMap<String, Rc<Path>>> = RefCell::new(HashMap::new());
        }
        PATHS.with_borrow_mut(|cache| {
            if let Some(known) = cache.get(text) {
                return Ok(known.clone());
            }
            let path = Rc::new(Path::parse(text)?);
            if cache.len() >= CACHED_PATHS_MAX {
                cache.clear();
            }
            cache.insert(text.to_string(), path.clone());
            Ok(path)
        })
    }
}

fn unsupported() -> Box<PgError> {
    PgError::unsupported("the jsonpath item method .datetime()")
}
