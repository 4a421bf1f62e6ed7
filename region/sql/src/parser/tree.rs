//! Our own syntax tree: what a statement says, before anybody knows what its names mean.
//!
//! It is PostgreSQL's grammar and nothing else; what the tree cannot express is refused while converting (0A000).
//! Names are folded already (unquoted ones to lower case). Places are 1-based characters of the query text.
pub use super::definition::*;
pub use super::place::WindowPlaces;
pub use super::table_definition::*;
use crate::catalog::{CheckOption, OnCommit};
use trivet_txn::{Isolation, LockStrength, LockWait};

/// Where something stands in the query text: 1-based, in characters; 0 when the parser did not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place(pub u32);

impl Place {
    pub fn known(self) -> Option<u32> {
        (self.0 > 0).then_some(self.0)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    pub text: String,
    pub place: Place,
}

/// A possibly qualified name, in order: `schema`, `table` ... At least one part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QualifiedName {
    pub parts: Vec<Name>,
}

impl QualifiedName {
    pub fn last(&self) -> &str {
        &self.parts.last().expect("a qualified name has at least one part").text
    }
    /// The part before the last, if there is one.
    pub fn schema(&self) -> Option<&str> {
        self.parts.len().checked_sub(2).map(|at| self.parts[at].text.as_str())
    }
    pub fn place(&self) -> Place {
        self.parts.first().map(|name| name.place).unwrap_or_default()
    }
    /// As PostgreSQL shows it in messages: parts joined by dots, unquoted.
    pub fn shown(&self) -> String {
        self.parts.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(".")
    }
}

/// `numeric(10,2)[]`, `timestamp(3) with time zone`, `"char"` ...: the name PostgreSQL knows the type by, lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeName {
    /// Unqualified internal or SQL name: `int4`, `bpchar`, `timestamptz` for the built-in spellings.
    pub name: String,
    pub schema: Option<String>,
    pub modifiers: Vec<i32>,
    /// Array of it.
    pub array: bool,
    pub place: Place,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub place: Place,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// `a`, `t.a`, `s.t.a`.
    Column(QualifiedName),
    /// `t.*`
    Star(QualifiedName),
    /// `(row).*`
    AllFields(Box<Expr>),
    /// `$1`; 1-based.
    Parameter(u32),
    Literal(Literal),
    /// Prefix operator by its PostgreSQL name: `-`, `+`, `~`, `@` ...
    Unary {
        operator: String,
        operand: Box<Expr>,
    },
    /// Infix operator by its PostgreSQL name: `+`, `=`, `<>`, `||`, `~~` (LIKE), `!~~`, `~~*` ...
    Binary {
        operator: String,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Not(Box<Expr>),
    /// Two operands or more: chains are flat, so that ten thousand terms are not ten thousand levels.
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Is {
        operand: Box<Expr>,
        test: IsTest,
        negated: bool,
    },
    DistinctFrom {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    InList {
        operand: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    InQuery {
        operand: Box<Expr>,
        query: Box<Query>,
        negated: bool,
    },
    Between {
        operand: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
        symmetric: bool,
    },
    /// `left op ANY (right)`; `right` is an array expression or a [`ExprKind::Subquery`].
    Quantified {
        operator: String,
        left: Box<Expr>,
        right: Box<Expr>,
        all: bool,
    },
    Cast {
        operand: Box<Expr>,
        to: TypeName,
    },
    Function(FunctionCall),
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Subquery(Box<Query>),
    Exists(Box<Query>),
    Row(Vec<Expr>),
    Array(Vec<Expr>),
    ArrayQuery(Box<Query>),
    Subscript {
        operand: Box<Expr>,
        subscripts: Vec<Subscript>,
    },
    /// `(composite).field`
    Field {
        operand: Box<Expr>,
        field: Name,
    },
    Collate {
        operand: Box<Expr>,
        collation: QualifiedName,
    },
    /// `DEFAULT` in VALUES and SET.
    Default,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Subscript {
    Index(Expr),
    Slice(Option<Expr>, Option<Expr>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IsTest {
    Null,
    True,
    False,
    Unknown,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    Null,
    Boolean(bool),
    /// Digits as written: an int4, int8 or numeric by size and shape, the analyzer says which.
    Number(String),
    /// A string of type unknown, until its context decides.
    String(String),
    /// `B'...'` or `X'...'`, digits only.
    BitString {
        hexadecimal: bool,
        digits: String,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub struct FunctionCall {
    pub name: QualifiedName,
    pub arguments: Vec<Argument>,
    /// `count(*)`
    pub star: bool,
    pub distinct: bool,
    /// The last argument is the list of those that repeat.
    pub variadic: bool,
    pub order_by: Vec<SortKey>,
    pub filter: Option<Box<Expr>>,
    pub over: Option<Window>,
    pub within_group: Vec<SortKey>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Argument {
    /// `name => value`
    pub name: Option<String>,
    pub value: Expr,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Window {
    Named(Name),
    Defined(WindowDefinition),
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct WindowDefinition {
    pub base: Option<Name>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortKey>,
    pub frame: Option<Frame>,
    pub places: WindowPlaces,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Frame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclude: FrameExclude,
}

/// Rows around the current one that a frame leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FrameExclude {
    #[default]
    NoOthers,
    CurrentRow,
    Group,
    Ties,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameUnit {
    Rows,
    Range,
    Groups,
}

#[derive(Clone, PartialEq, Debug)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Box<Expr>),
    CurrentRow,
    Following(Box<Expr>),
    UnboundedFollowing,
}

#[derive(Clone, PartialEq, Debug)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
    /// `None`: PostgreSQL's default, last for ascending and first for descending.
    pub nulls_first: Option<bool>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    pub with: Option<With>,
    pub body: QueryBody,
    pub order_by: Vec<SortKey>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub with_ties: bool,
    pub locking: Vec<Locking>,
}

impl Query {
    /// A query of nothing but its body.
    pub fn of(body: QueryBody) -> Query {
        Query { with: None, body, order_by: vec![], limit: None, offset: None, with_ties: false, locking: vec![] }
    }

    /// `SELECT targets FROM from`
    pub fn of_targets(targets: Vec<Target>, from: Vec<TableExpr>) -> Query {
        Query::of(QueryBody::Select(Box::new(Select::of(targets, from))))
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct With {
    pub recursive: bool,
    pub tables: Vec<CommonTable>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct CommonTable {
    pub name: Name,
    pub columns: Vec<Name>,
    pub materialized: Option<bool>,
    /// A [`Statement::Query`], or a data-modifying one.
    pub statement: Box<Statement>,
    pub search: Option<SearchClause>,
    pub cycle: Option<CycleClause>,
}

/// `SEARCH BREADTH FIRST BY by SET sequence`
#[derive(Clone, PartialEq, Debug)]
pub struct SearchClause {
    pub place: Place,
    pub breadth: bool,
    pub by: Vec<Name>,
    pub sequence: Name,
}

/// `CYCLE columns SET mark TO value DEFAULT otherwise USING path`
#[derive(Clone, PartialEq, Debug)]
pub struct CycleClause {
    pub place: Place,
    pub columns: Vec<Name>,
    pub mark: Name,
    /// TRUE and FALSE if none are written.
    pub values: Option<Box<(Expr, Expr)>>,
    pub path: Name,
}

#[derive(Clone, PartialEq, Debug)]
pub enum QueryBody {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    /// A parenthesised query with its own ORDER BY or LIMIT.
    Query(Box<Query>),
    SetOperation {
        operation: SetOperation,
        all: bool,
        left: Box<QueryBody>,
        right: Box<QueryBody>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetOperation {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Select {
    pub distinct: Option<Distinct>,
    pub targets: Vec<Target>,
    pub from: Vec<TableExpr>,
    pub filter: Option<Expr>,
    pub group_by: Vec<GroupBy>,
    /// `GROUP BY DISTINCT`: each set of keys once.
    pub group_distinct: bool,
    pub having: Option<Expr>,
    pub windows: Vec<(Name, WindowDefinition)>,
}

impl Select {
    /// `SELECT targets FROM from`
    pub fn of(targets: Vec<Target>, from: Vec<TableExpr>) -> Select {
        Select {
            distinct: None,
            targets,
            from,
            filter: None,
            group_by: vec![],
            group_distinct: false,
            having: None,
            windows: vec![],
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Distinct {
    All,
    On(Vec<Expr>),
}

#[derive(Clone, PartialEq, Debug)]
pub enum GroupBy {
    Expr(Expr),
    Rollup(Vec<Vec<Expr>>),
    Cube(Vec<Vec<Expr>>),
    Sets(Vec<Vec<Expr>>),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    Expr {
        expr: Expr,
        alias: Option<Name>,
    },
    /// `*`, `t.*`
    Star {
        of: Option<QualifiedName>,
        place: Place,
    },
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Alias {
    pub name: Option<Name>,
    pub columns: Vec<Name>,
    /// `AS f(a int, b text)`
    pub types: Vec<Option<TypeName>>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum TableExpr {
    Table {
        name: QualifiedName,
        alias: Alias,
        only: bool,
    },
    Query {
        query: Box<Query>,
        alias: Alias,
        lateral: bool,
    },
    Function {
        call: FunctionCall,
        place: Place,
        alias: Alias,
        lateral: bool,
        ordinality: bool,
    },
    /// `ROWS FROM (f(), g())`
    RowsFrom {
        calls: Vec<(FunctionCall, Alias)>,
        place: Place,
        alias: Alias,
        ordinality: bool,
    },
    Join {
        kind: JoinKind,
        left: Box<TableExpr>,
        right: Box<TableExpr>,
        condition: JoinCondition,
        alias: Alias,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
    /// The planner's own: left rows that match something, and that match nothing.
    Semi,
    Anti,
}

#[derive(Clone, PartialEq, Debug)]
pub enum JoinCondition {
    None,
    On(Box<Expr>),
    /// `USING (...) AS alias`
    Using(Vec<Name>, Option<Name>),
    Natural,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Locking {
    pub strength: LockStrength,
    pub of: Vec<QualifiedName>,
    pub wait: LockWait,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Statement {
    Query(Query),
    Insert(Insert),
    Update(Update),
    Merge(Box<Merge>),
    Delete(Delete),
    Copy(Copy),
    CreateTable(CreateTable),
    CreateTableAs {
        name: QualifiedName,
        columns: Vec<Name>,
        query: Query,
        if_not_exists: bool,
        with_data: bool,
        temporary: bool,
        on_commit: Option<OnCommit>,
    },
    /// CREATE MATERIALIZED VIEW
    CreateMaterialized {
        name: QualifiedName,
        columns: Vec<Name>,
        query: Box<Query>,
        query_text: String,
        if_not_exists: bool,
        with_data: bool,
    },
    /// REFRESH MATERIALIZED VIEW
    Refresh {
        name: QualifiedName,
        concurrently: bool,
        with_data: bool,
    },
    CreateIndex(CreateIndex),
    CreateView {
        name: QualifiedName,
        columns: Vec<Name>,
        query: Box<Query>,
        query_text: String,
        or_replace: bool,
        temporary: bool,
        check_option: Option<CheckOption>,
    },
    Definition(Box<Definition>),
    /// Also of views, sequences and indexes, as far as they have the action.
    AlterTable {
        kind: ObjectKind,
        name: QualifiedName,
        if_exists: bool,
        actions: Vec<AlterTable>,
    },
    Drop {
        kind: ObjectKind,
        names: Vec<QualifiedName>,
        if_exists: bool,
        cascade: bool,
    },
    Truncate {
        tables: Vec<QualifiedName>,
        restart_identity: bool,
        cascade: bool,
    },
    Comment {
        kind: ObjectKind,
        name: QualifiedName,
        text: Option<String>,
    },
    Explain {
        statement: Box<Statement>,
        analyze: bool,
        verbose: bool,
        options: Vec<(String, String)>,
    },
    Begin {
        modes: TransactionModes,
        /// As it was written: BEGIN or START TRANSACTION.
        tag: &'static str,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(Name),
    Release(Name),
    RollbackTo(Name),
    SetTransaction {
        modes: TransactionModes,
        session: bool,
    },
    /// No names: ALL.
    SetConstraints {
        names: Vec<QualifiedName>,
        deferred: bool,
    },
    Set {
        name: String,
        value: SetValue,
        local: bool,
    },
    /// `None`: ALL.
    Show(Option<String>),
    Reset(Option<String>),
    Discard(Discard),
    Prepare {
        name: Name,
        types: Vec<TypeName>,
        statement: Box<Statement>,
        text: String,
    },
    Execute {
        name: Name,
        arguments: Vec<Expr>,
    },
    /// `None`: ALL.
    Deallocate(Option<Name>),
    Declare(Declare),
    Fetch {
        cursor: Name,
        count: FetchCount,
        moves: bool,
    },
    CloseCursor(Option<Name>),
    /// Entries of an index are never out of order here.
    Reindex {
        /// Of a relation; else of all.
        relation: Option<QualifiedName>,
        index: bool,
    },
    Vacuum {
        tables: Vec<AnalyzedTable>,
        analyze: bool,
    },
    Analyze {
        tables: Vec<AnalyzedTable>,
    },
    Checkpoint,
    LockTable {
        tables: Vec<QualifiedName>,
        mode: String,
        nowait: bool,
    },
    Listen(Name),
    Unlisten(Option<Name>),
    Notify {
        channel: Name,
        payload: Option<String>,
    },
}

/// `DECLARE name CURSOR FOR query`
#[derive(Clone, PartialEq, Debug)]
pub struct Declare {
    pub name: Name,
    pub query: Box<Query>,
    pub hold: bool,
    /// `None`: if the plan can go backward without further ado.
    pub scroll: Option<bool>,
    /// Its rows are shown in binary format.
    pub binary: bool,
}

/// A table of ANALYZE; no columns: all of them.
#[derive(Clone, PartialEq, Debug)]
pub struct AnalyzedTable {
    pub name: QualifiedName,
    pub columns: Vec<Name>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchCount {
    /// Rows forward; negative is backward.
    Rows(i64),
    All,
    BackwardAll,
    /// The row of this number; negative counts from the end.
    Absolute(i64),
    /// So many rows further on; negative is backward.
    Relative(i64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discard {
    All,
    Plans,
    Sequences,
    Temporary,
}

#[derive(Clone, PartialEq, Debug)]
pub enum SetValue {
    Default,
    /// Each value as text, with whether it was a quoted string.
    Values(Vec<String>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransactionModes {
    pub as_of: Option<super::AsOf>,
    pub isolation: Option<Isolation>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectKind {
    Table,
    Index,
    View,
    MaterializedView,
    Sequence,
    Schema,
    Column,
    Type,
    Domain,
    Database,
    Role,
    Constraint,
}

impl ObjectKind {
    pub fn word(self) -> &'static str {
        match self {
            ObjectKind::Table => "table",
            ObjectKind::Index => "index",
            ObjectKind::View => "view",
            ObjectKind::MaterializedView => "materialized view",
            ObjectKind::Sequence => "sequence",
            ObjectKind::Schema => "schema",
            ObjectKind::Column => "column",
            ObjectKind::Type => "type",
            ObjectKind::Domain => "domain",
            ObjectKind::Database => "database",
            ObjectKind::Role => "role",
            ObjectKind::Constraint => "constraint",
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Insert {
    pub with: Option<With>,
    pub table: QualifiedName,
    pub alias: Option<Name>,
    pub columns: Vec<Name>,
    pub source: InsertSource,
    /// `OVERRIDING SYSTEM VALUE` / `USER VALUE`
    pub overriding_system: Option<bool>,
    pub on_conflict: Option<OnConflict>,
    pub returning: Vec<Target>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum InsertSource {
    DefaultValues,
    Query(Box<Query>),
}

#[derive(Clone, PartialEq, Debug)]
pub struct OnConflict {
    /// Of the target's parenthesis, or of the clause.
    pub place: Place,
    pub target: Option<ConflictTarget>,
    pub action: ConflictAction,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ConflictTarget {
    /// What a unique index is over, and the predicate of a partial one.
    Keys(Vec<ConflictKey>, Option<Expr>),
    Constraint(Name),
}

#[derive(Clone, PartialEq, Debug)]
pub enum ConflictKey {
    Column(Name),
    Expression(Expr),
}

#[derive(Clone, PartialEq, Debug)]
pub enum ConflictAction {
    Nothing,
    Update { assignments: Vec<Assignment>, filter: Option<Expr> },
}

#[derive(Clone, PartialEq, Debug)]
pub struct Assignment {
    pub columns: Vec<Name>,
    /// What of the one column is assigned; empty: the whole.
    pub path: Vec<AssignedPart>,
    /// Written with parentheses: `(a) = ROW (1)`.
    pub is_row: bool,
    /// One value for one column; a row or subquery for several.
    pub value: Expr,
}

#[derive(Clone, PartialEq, Debug)]
pub enum AssignedPart {
    Subscript(Subscript),
    Field(Name),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Update {
    pub with: Option<With>,
    pub table: QualifiedName,
    pub alias: Option<Name>,
    pub assignments: Vec<Assignment>,
    pub from: Vec<TableExpr>,
    pub filter: Option<Expr>,
    /// `WHERE CURRENT OF cursor`
    pub current_of: Option<Name>,
    pub returning: Vec<Target>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Delete {
    pub with: Option<With>,
    pub table: QualifiedName,
    pub alias: Option<Name>,
    pub using: Vec<TableExpr>,
    pub filter: Option<Expr>,
    /// `WHERE CURRENT OF cursor`
    pub current_of: Option<Name>,
    pub returning: Vec<Target>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Merge {
    pub with: Option<With>,
    pub table: QualifiedName,
    pub alias: Option<Name>,
    pub source: Vec<TableExpr>,
    pub condition: Expr,
    pub clauses: Vec<MergeClause>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct MergeClause {
    pub place: Place,
    pub matched: bool,
    pub condition: Option<Expr>,
    pub action: MergeAction,
}

#[derive(Clone, PartialEq, Debug)]
pub enum MergeAction {
    Nothing,
    Delete,
    Update(Vec<Assignment>),
    Insert {
        columns: Vec<Name>,
        overriding_system: Option<bool>,
        /// `None`: DEFAULT VALUES.
        values: Option<Vec<Expr>>,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub struct Copy {
    pub source: CopySource,
    pub from_client: bool,
    /// Lower-case option names with their value as text (`format` -> `csv`, `delimiter`, `null`, `header`, `freeze` ...).
    pub options: Vec<CopyOption>,
    /// Of rows from the client, only these.
    pub filter: Option<Expr>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct CopyOption {
    pub name: String,
    pub value: CopyValue,
    pub place: Place,
}

#[derive(Clone, PartialEq, Debug)]
pub enum CopyValue {
    /// Only its name was written.
    None,
    Text(String),
    Star,
    Names(Vec<String>),
}

impl CopyValue {
    pub fn text(&self) -> Option<&str> {
        match self {
            CopyValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum CopySource {
    Table {
        name: QualifiedName,
        columns: Vec<Name>,
    },
    Query(Box<Query>),
    /// A data change with RETURNING.
    Change(Box<Statement>),
}
