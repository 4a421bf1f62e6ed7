//! The typed tree: what a statement means. Names are resolved, every expression has a type, every conversion is spelled out.
//!
//! A query is a list of relations, a join tree over them, and what is computed from their columns. A column is named by
//! how many queries out, which relation, which column; the planner turns that into places in rows.
use crate::catalog::Table;
use crate::catalog::system::VirtualTable;
use crate::parser::tree::{FrameExclude, FrameUnit, JoinKind, Place, SetOperation};
use std::sync::Arc;
use trivet_txn::{LockStrength, LockWait};
use trivet_types::registry::Procedure;
use trivet_types::{Datum, Oid};

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub type_oid: Oid,
    pub modifier: i32,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Constant(Datum),
    /// 0-based.
    Parameter(usize),
    Column {
        up: usize,
        relation: usize,
        column: usize,
    },
    /// The n-th aggregate of this query.
    Aggregate(usize),
    /// The n-th grouping expression of this query.
    GroupKey(usize),
    /// The n-th window function call of this query.
    Window(usize),
    /// `GROUPING (...)`, until its arguments are known to be grouping expressions.
    Grouping(Vec<Expr>),
    /// The n-th `GROUPING (...)` of this query.
    GroupingValue(usize),
    /// A field of a record.
    Field {
        operand: Box<Expr>,
        field: usize,
    },
    Call {
        procedure: &'static Procedure,
        arguments: Vec<Expr>,
    },
    /// Through the text form, to this expression's type.
    Convert(Box<Expr>),
    /// Each element of an array, to this expression's element type.
    ConvertElements(Box<Expr>),
    /// Another type with the same representation.
    Relabel(Box<Expr>),
    /// Apply this expression's type modifier.
    /// A value of a domain's base type that has to meet the domain's conditions.
    Domain {
        operand: Box<Expr>,
        rules: Arc<DomainRules>,
    },
    Fit {
        operand: Box<Expr>,
        explicit: bool,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    /// `IS [NOT] TRUE`, `IS [NOT] FALSE`
    IsBoolean {
        operand: Box<Expr>,
        value: bool,
        negated: bool,
    },
    /// `equals` compares values of the operands' type.
    Distinct {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Coalesce(Vec<Expr>),
    /// GREATEST or LEAST.
    Extreme {
        arguments: Vec<Expr>,
        greatest: bool,
    },
    /// `left op ANY (array)`
    Quantified {
        procedure: &'static Procedure,
        left: Box<Expr>,
        right: Box<Expr>,
        all: bool,
    },
    Array(Vec<Expr>),
    Subscript {
        operand: Box<Expr>,
        indexes: Vec<Expr>,
    },
    /// `array[lower:upper]`
    Slice {
        operand: Box<Expr>,
        bounds: Vec<(Option<Expr>, Option<Expr>)>,
    },
    Row(Vec<Expr>),
    /// A row whose fields have names.
    NamedRow {
        names: Arc<[String]>,
        items: Vec<Expr>,
        /// NULL if all its fields are: the row of a relation that an outer join may not have found.
        nullable: bool,
    },
    Subquery(Box<Subquery>),
}

#[derive(Clone, Debug)]
pub struct Subquery {
    pub query: Query,
    pub kind: SubqueryKind,
    /// Subqueries of one number are one: it runs once for a row, whoever shows its fields.
    pub shared: Option<usize>,
}

/// How the operators of a row's columns make one comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowOperator {
    /// All must hold: `=`, and whatever compares one column.
    All,
    /// One must hold: `<>`.
    Some,
    /// The first columns that are not equal decide: `<` and its kin.
    Order { less: bool, or_equal: bool },
}

#[derive(Clone, Debug)]
pub enum SubqueryKind {
    Scalar,
    /// The one row as a record; NULLs if there is none.
    Row,
    Exists,
    Array,
    /// `left op ANY/ALL (query)`
    Quantified {
        left: Vec<Expr>,
        procedures: Vec<&'static Procedure>,
        row: RowOperator,
        all: bool,
        negate: bool,
    },
}

/// Something with columns, in FROM or the target of a statement.
#[derive(Clone, Debug)]
pub struct Relation {
    /// What qualifies its columns.
    pub alias: String,
    pub columns: Vec<RelationColumn>,
    pub source: RelationSource,
    pub lateral: bool,
    /// The view whose query this is.
    pub view: Option<Oid>,
    /// What was claimed for the type of its rows, if it is a table or a view.
    pub row_type: Option<Oid>,
}

#[derive(Clone, Debug)]
pub struct RelationColumn {
    pub name: String,
    pub type_oid: Oid,
    pub modifier: i32,
    /// Neither `*` nor a name finds it: dropped columns.
    pub hidden: bool,
}

#[derive(Clone, Debug)]
pub enum RelationSource {
    Table(Arc<Table>),
    Virtual(&'static VirtualTable),
    Query(Box<Query>),
    /// One call; its columns are the function's, then the ordinality.
    Function {
        procedure: &'static Procedure,
        arguments: Vec<Expr>,
        ordinality: bool,
    },
    /// A function that returns one value, used as a relation of one row.
    Scalar {
        value: Expr,
        ordinality: bool,
    },
    /// Several calls side by side, each as in `Function` or `Scalar`: (value, columns that it fills).
    Functions {
        calls: Vec<(Expr, usize)>,
        ordinality: bool,
    },
    /// A common table expression, by its number in `Statement::With`.
    /// `working`: inside its own recursive step, the rows of the last round.
    Common {
        id: usize,
        working: bool,
    },
}

/// A common table expression.
#[derive(Clone, Debug)]
pub struct Common {
    pub id: usize,
    pub name: String,
    pub body: CommonBody,
    pub materialized: Option<bool>,
    /// How often the statement names it.
    pub references: usize,
    /// In the query of a view: what it reads is the view's affair.
    pub of_view: bool,
}

impl Common {
    /// The queries of one that changes nothing.
    pub fn queries(&self) -> Vec<&Query> {
        match &self.body {
            CommonBody::Query(query) => vec![query],
            CommonBody::Recursive { base, step, .. } => vec![base, step],
            CommonBody::Statement(_) | CommonBody::Open => vec![],
        }
    }
}

#[derive(Clone, Debug)]
pub enum CommonBody {
    Query(Arc<Query>),
    /// Rows of `base`, then of `step` over the rows that were new the last time, until there are none.
    Recursive {
        base: Query,
        step: Query,
        all: bool,
    },
    Statement(Box<Statement>),
    /// Not analyzed to its end yet.
    Open,
}

#[derive(Clone, Debug)]
pub enum From {
    Relation(usize),
    Join { kind: JoinKind, left: Box<From>, right: Box<From>, condition: Option<Expr> },
}

#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub expr: Expr,
    /// Only there to sort or group by.
    pub hidden: bool,
    /// The table column that it shows, for RowDescription.
    pub origin: Option<(Oid, i16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortTarget {
    pub target: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug)]
pub struct Aggregate {
    pub procedure: &'static Procedure,
    pub arguments: Vec<Expr>,
    pub argument_types: Vec<Oid>,
    pub distinct: bool,
    pub filter: Option<Expr>,
    pub order_by: Vec<(Expr, bool, bool)>,
    pub type_oid: Oid,
    /// `count(*)`: nothing to skip NULLs of.
    pub star: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Grouping {
    /// Those of the clause, and behind them columns that have one value a group for they depend on a primary key.
    pub keys: Vec<Expr>,
    /// How many the clause has.
    pub written: usize,
    pub aggregates: Vec<Aggregate>,
    pub having: Option<Expr>,
    /// The keys of each grouping set; `None`: one set, of all keys.
    pub sets: Option<Vec<Vec<usize>>>,
    /// The keys of each `GROUPING (...)`.
    pub groupings: Vec<Vec<usize>>,
}

/// A window function, or an aggregate over a window.
#[derive(Clone, Debug)]
pub struct WindowCall {
    pub procedure: &'static Procedure,
    pub arguments: Vec<Expr>,
    pub argument_types: Vec<Oid>,
    pub filter: Option<Expr>,
    pub type_oid: Oid,
    pub star: bool,
    pub window: WindowSpec,
}

#[derive(Clone, Debug, Default)]
pub struct WindowSpec {
    pub partition: Vec<Expr>,
    /// (expression, descending, nulls first)
    pub order: Vec<(Expr, bool, bool)>,
    pub frame: Frame,
}

#[derive(Clone, Debug)]
pub struct Frame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclude: FrameExclude,
}

impl Default for Frame {
    fn default() -> Frame {
        Frame {
            unit: FrameUnit::Range,
            start: FrameBound::UnboundedPreceding,
            end: FrameBound::CurrentRow,
            exclude: FrameExclude::NoOthers,
        }
    }
}

#[derive(Clone, Debug)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(FrameOffset),
    CurrentRow,
    Following(FrameOffset),
    UnboundedFollowing,
}

#[derive(Clone, Debug)]
pub struct FrameOffset {
    pub value: Expr,
    /// RANGE: how to move the ordering value by the offset, as (minus, plus); `None`: integers, or a number of rows or groups.
    pub moves: Option<(Expr, Expr)>,
}
#[derive(Clone, Debug)]
pub enum DistinctOn {
    All,
    /// Targets.
    Targets(Vec<usize>),
}

#[derive(Clone, Debug)]
pub struct RowLock {
    pub relation: usize,
    pub strength: LockStrength,
    pub wait: LockWait,
}

#[derive(Clone, Debug)]
pub enum Body {
    Select { from: Vec<From>, filter: Option<Expr>, grouping: Option<Grouping> },
    Values(Vec<Vec<Expr>>),
    Set { operation: SetOperation, all: bool, left: Box<Query>, right: Box<Query> },
}

#[derive(Clone, Debug)]
pub struct Query {
    pub relations: Vec<Relation>,
    pub body: Body,
    pub targets: Vec<Target>,
    pub distinct: Option<DistinctOn>,
    pub sort: Vec<SortTarget>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    /// Rows equal to the last one by `sort` come too.
    pub with_ties: bool,
    pub locks: Vec<RowLock>,
    pub windows: Vec<WindowCall>,
    /// The tables whose rows' ids the last visible targets are, for a cursor's sake.
    pub row_ids: Vec<Oid>,
}

impl Query {
    pub fn visible_targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| !target.hidden)
    }

    /// The domain that a column's values are known to be of.
    pub fn domain_of_column(&self, column: usize) -> Option<Oid> {
        if !matches!(self.body, Body::Select { .. }) {
            return None;
        }
        match &self.visible_targets().nth(column)?.expr.kind {
            ExprKind::Domain { rules, .. } => Some(rules.domain),
            ExprKind::Column { up: 0, relation, column } => match &self.relations.get(*relation)?.source {
                RelationSource::Table(table) => table.domain_of(*column),
                RelationSource::Query(query) => query.domain_of_column(*column),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What a domain asks of its values, those that it is made over included.
#[derive(Clone, Debug)]
pub struct DomainRules {
    pub domain: Oid,
    pub schema: String,
    pub name: String,
    pub not_null: bool,
    /// By name, over the value (relation 0, column 0).
    pub checks: Vec<(String, Expr)>,
}

/// INSERT, with values for every live column in table order.
#[derive(Clone, Debug)]
pub struct Insert {
    pub table: Arc<Table>,
    pub source: Query,
    /// For each column of the table: the source's column and its assignment to the column's type, or the default.
    pub values: Vec<InsertValue>,
    pub rules: TableRules,
    pub on_conflict: Option<OnConflict>,
    pub returning: Option<Vec<Target>>,
    /// The view that the statement names, if it is one.
    pub view: Option<Arc<Table>>,
}

/// What a table's rows must obey and have computed from them; every expression is over the row (relation 0).
#[derive(Clone, Debug, Default)]
pub struct TableRules {
    pub checks: Vec<(String, Expr)>,
    /// (column, value)
    pub generated: Vec<(usize, Expr)>,
    pub indexes: Vec<IndexRule>,
}

/// An index that is not over plain columns of all rows.
#[derive(Clone, Debug)]
pub struct IndexRule {
    /// Its position among the table's.
    pub index: usize,
    /// `None`: the column itself.
    pub keys: Vec<Option<Expr>>,
    pub filter: Option<Expr>,
}

#[derive(Clone, Debug)]
pub enum InsertValue {
    /// An expression over the source's row (relation 0).
    Expr(Expr),
    /// Dropped columns.
    Null,
}

#[derive(Clone, Debug)]
pub struct OnConflict {
    /// The unique indexes that arbitrate; empty: all.
    pub indexes: Vec<Oid>,
    /// Over the existing row (relation 0) and the proposed one (relation 1); `None`: do nothing.
    pub update: Option<ConflictUpdate>,
}

#[derive(Clone, Debug)]
pub struct ConflictUpdate {
    pub assignments: Vec<(usize, Expr)>,
    pub filter: Option<Expr>,
}

/// UPDATE; relation 0 of `query` is the table.
#[derive(Clone, Debug)]
pub struct Update {
    pub table: Arc<Table>,
    pub query: Query,
    pub assignments: Vec<(usize, Expr)>,
    pub rules: TableRules,
    /// The cursor on whose row it works: nothing else chooses rows then.
    pub current_of: Option<String>,
    pub returning: Option<Vec<Target>>,
    /// The view that the statement names, if it is one.
    pub view: Option<Arc<Table>>,
}

/// DELETE; relation 0 of `query` is the table.
#[derive(Clone, Debug)]
pub struct Delete {
    pub table: Arc<Table>,
    pub query: Query,
    pub rules: TableRules,
    /// The cursor on whose row it works: nothing else chooses rows then.
    pub current_of: Option<String>,
    pub returning: Option<Vec<Target>>,
    /// The view that the statement names, if it is one.
    pub view: Option<Arc<Table>>,
}

/// MERGE; relation 0 of `query` is the table, which the source is joined with.
#[derive(Clone, Debug)]
pub struct Merge {
    pub table: Arc<Table>,
    pub query: Query,
    pub clauses: Vec<MergeClause>,
    pub rules: TableRules,
}

#[derive(Clone, Debug)]
pub struct MergeClause {
    pub matched: bool,
    pub condition: Option<Expr>,
    pub action: MergeAction,
}

#[derive(Clone, Debug)]
pub enum MergeAction {
    Nothing,
    Delete,
    Update(Vec<(usize, Expr)>),
    /// For each column of the table, over the query's row.
    Insert(Vec<InsertValue>),
}

#[derive(Clone, Debug)]
pub enum Statement {
    Query(Query),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Merge(Box<Merge>),
    /// Common table expressions, each over the ones before it, and the statement over them.
    With(Vec<Common>, Box<Statement>),
}

impl InsertValue {
    pub fn expr(&self) -> Option<&Expr> {
        match self {
            InsertValue::Expr(expr) => Some(expr),
            InsertValue::Null => None,
        }
    }
}

impl Expr {
    pub fn constant(datum: Datum, type_oid: Oid) -> Expr {
        Expr { kind: ExprKind::Constant(datum), type_oid, modifier: -1, place: Place::default() }
    }
    pub fn is_null_constant(&self) -> bool {
        matches!(self.kind, ExprKind::Constant(Datum::Null))
    }

    /// The direct operands; a subquery's inside is not entered, but what it compares with is.
    pub fn children(&self) -> Vec<&Expr> {
        use ExprKind::*;
        match &self.kind {
            Constant(_) | Parameter(_) | Column { .. } | Aggregate(_) | GroupKey(_) | Window(_) | GroupingValue(_) => {
                vec![]
            }
            Call { arguments, .. } | Extreme { arguments, .. } => arguments.iter().collect(),
            And(list) | Or(list) | Coalesce(list) | Array(list) | Row(list) | Grouping(list) => list.iter().collect(),
            NamedRow { items: list, .. } => list.iter().collect(),
            Convert(operand) | ConvertElements(operand) | Relabel(operand) | Not(operand) => vec![operand],
            Fit { operand, .. } | IsNull { operand, .. } | IsBoolean { operand, .. } | Field { operand, .. } => {
                vec![operand]
            }
            Domain { operand, .. } => vec![operand],
            Distinct { left, right, .. } | Quantified { left, right, .. } => vec![left, right],
            Case { branches, otherwise } => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
            }
            Subscript { operand, indexes } => std::iter::once(operand.as_ref()).chain(indexes).collect(),
            Slice { operand, bounds } => std::iter::once(operand.as_ref())
                .chain(bounds.iter().flat_map(|(lower, upper)| lower.iter().chain(upper)))
                .collect(),
            Subquery(subquery) => match &subquery.kind {
                SubqueryKind::Quantified { left, .. } => left.iter().collect(),
                _ => vec![],
            },
        }
    }

    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        use ExprKind::*;
        match &mut self.kind {
            Constant(_) | Parameter(_) | Column { .. } | Aggregate(_) | GroupKey(_) | Window(_) | GroupingValue(_) => {
                vec![]
            }
            Call { arguments, .. } | Extreme { arguments, .. } => arguments.iter_mut().collect(),
            And(list)
            | Or(list)
            | Coalesce(list)
            | Array(list)
            | Row(list)
            | Grouping(list)
            | NamedRow { items: list, .. } => list.iter_mut().collect(),
            Convert(operand) | ConvertElements(operand) | Relabel(operand) | Not(operand) => vec![operand],
            Fit { operand, .. } | IsNull { operand, .. } | IsBoolean { operand, .. } | Field { operand, .. } => {
                vec![operand]
            }
            Domain { operand, .. } => vec![operand],
            Distinct { left, right, .. } | Quantified { left, right, .. } => vec![left, right],
            Case { branches, otherwise } => {
                branches.iter_mut().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref_mut()).collect()
            }
            Subscript { operand, indexes } => std::iter::once(operand.as_mut()).chain(indexes).collect(),
            Slice { operand, bounds } => std::iter::once(operand.as_mut())
                .chain(bounds.iter_mut().flat_map(|(lower, upper)| lower.iter_mut().chain(upper)))
                .collect(),
            Subquery(subquery) => match &mut subquery.kind {
                SubqueryKind::Quantified { left, .. } => left.iter_mut().collect(),
                _ => vec![],
            },
        }
    }

    /// True if the test holds here or in any operand.
    pub fn any(&self, test: &mut impl FnMut(&Expr) -> bool) -> bool {
        test(self) || self.children().into_iter().any(|child| child.any(test))
    }
}
