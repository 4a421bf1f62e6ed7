//! What a generator carries about: chance, names in scope, and which productions it used.
use super::data::{literals, type_name};
use super::tree::{Kind, Node, Sort};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

/// How often each production was used.
#[derive(Clone, Debug, Default)]
pub struct Coverage(pub BTreeMap<&'static str, usize>);

impl Coverage {
    pub fn note(&mut self, production: &'static str) {
        *self.0.entry(production).or_default() += 1;
    }
}

/// The columns of one FROM.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub columns: Vec<(String, Kind)>,
    /// Columns that order the rows of it totally (rows that tie are equal in every column).
    pub keys: Vec<String>,
}

/// What an expression's leaves may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Columns in scope.
    Plain,
    /// Grouping keys and aggregates.
    Grouped,
}

pub struct Grammar<'a> {
    pub random: SmallRng,
    pub coverage: &'a mut Coverage,
    pub with_json: bool,
    /// Innermost last.
    pub scopes: Vec<Scope>,
    /// Of the query that is being made, as text: what GROUP BY names.
    pub group_keys: Vec<(String, Kind)>,
    pub mode: Mode,
    /// Inside an aggregate: a column of a query around this one would make it that query's aggregate.
    pub own_columns_only: bool,
    pub aliases: usize,
}

impl<'a> Grammar<'a> {
    pub fn new(seed: u64, number: u64, with_json: bool, coverage: &'a mut Coverage) -> Grammar<'a> {
        // Neighbouring numbers must not give neighbouring streams; seed_from_u64 mixes well.
        let random = SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number));
        Grammar {
            random,
            coverage,
            with_json,
            scopes: Vec::new(),
            group_keys: Vec::new(),
            mode: Mode::Plain,
            own_columns_only: false,
            aliases: 0,
        }
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from.choose(&mut self.random).expect("something to choose from")
    }

    /// One of the productions, by weight; noted.
    pub fn production(&mut self, weighted: &[(&'static str, u32)]) -> &'static str {
        let total: u32 = weighted.iter().map(|(_, weight)| weight).sum();
        let mut place = self.random.random_range(0..total);
        for (name, weight) in weighted {
            if place < *weight {
                self.coverage.note(name);
                return name;
            }
            place -= weight;
        }
        unreachable!("a place below the sum of the weights is in one of them")
    }

    pub fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("x{}", self.aliases)
    }

    pub fn kind(&mut self) -> Kind {
        let kinds =
            [Kind::Int, Kind::Int, Kind::Numeric, Kind::Text, Kind::Text, Kind::Date, Kind::Timestamp, Kind::Bool];
        match self.with_json && self.chance(4) {
            true => Kind::Json,
            false => self.pick(&kinds),
        }
    }

    pub fn kinds(&mut self, most: usize) -> Vec<Kind> {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.kind()).collect()
    }

    pub fn literal(&mut self, kind: Kind) -> Node {
        if self.chance(12) {
            self.coverage.note("null");
            return Node::leaf(Sort::Value(kind), format!("null::{}", type_name(kind)));
        }
        Node::leaf(Sort::Value(kind), self.pick(literals(kind)))
    }

    /// A column of the kind: of the query's own FROM, sometimes of one around it.
    pub fn column(&mut self, kind: Kind) -> Option<Node> {
        let depth = self.scopes.len();
        let outer = depth > 1 && self.chance(25);
        let order: Vec<usize> = match (self.own_columns_only, outer) {
            (true, _) => (0..depth).rev().take(1).collect(),
            (false, true) => (0..depth).collect(),
            (false, false) => (0..depth).rev().collect(),
        };
        for at in order {
            // Further in, a merged column's bare name would be somebody else's.
            let fits = |(name, of): &&(String, Kind)| *of == kind && (at + 1 == depth || name.contains('.'));
            let fitting: Vec<String> =
                self.scopes[at].columns.iter().filter(fits).map(|(name, _)| name.clone()).collect();
            if let Some(name) = fitting.choose(&mut self.random) {
                self.coverage.note(if at + 1 < depth { "outer column" } else { "column" });
                return Some(Node::leaf(Sort::Value(kind), name.as_str()));
            }
        }
        None
    }
}
