//! The nodes of a plan.
use super::access::Access;
use super::expr::Compiled;
use crate::catalog::Table;
use crate::catalog::system::VirtualTable;
use crate::parser::tree::{FrameExclude, FrameUnit, JoinKind, SetOperation};
use crate::statistics::Written;
use crate::typed::RowOperator;
use std::sync::Arc;
use trivet_txn::{LockStrength, LockWait};
use trivet_types::Oid;
use trivet_types::functions::Function;
use trivet_types::registry::Procedure;

/// A column of a result, for RowDescription and output.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultColumn {
    pub name: String,
    pub type_oid: Oid,
    pub modifier: i32,
    pub origin: Option<(Oid, i16)>,
    /// The domain that its values are known to be of, in a query.
    pub domain: Option<Oid>,
}

/// A whole statement's plan.
#[derive(Debug)]
pub struct Plan {
    pub root: Node,
    /// What the client sees; empty for a change without RETURNING.
    pub columns: Vec<ResultColumn>,
    pub returns_rows: bool,
    pub command: Command,
    /// How many outer parameters the nodes use.
    pub outer_count: usize,
    /// Needs the whole catalog in memory: virtual tables, catalog functions.
    pub needs_catalog: bool,
    /// Takes row locks or writes.
    pub writes: bool,
    /// Tables that the plan touches: their descriptors guard what it writes.
    pub tables: Vec<Oid>,
    /// How large they were taken to be.
    pub believed: Vec<crate::statistics::Believed>,
    /// What the foreign keys of changed tables lead to.
    pub related: Arc<super::RelatedTables>,
    /// Calls `nextval` or `setval`.
    pub advances: Option<&'static str>,
    /// Its subqueries are read while it writes, and do not see that.
    pub reads_beside_writes: bool,
    /// Common table expressions that run once, for all that read them.
    pub commons: Vec<CommonPlan>,
    /// The tables of whose rows the ids stand behind the columns: a cursor's.
    pub row_ids: Vec<Oid>,
    /// The cursor on whose row it works; that row's id is behind the parameters.
    pub current_of: Option<String>,
    /// What EXPLAIN shows besides, if it was planned for that.
    pub notes: super::notes::Notes,
    pub settings: super::cost::PlanSettings,
}

#[derive(Debug)]
pub struct CommonPlan {
    pub name: String,
    pub root: Node,
    /// Runs to its end, read or not.
    pub modifies: bool,
    /// How deep queries stand in it, itself included.
    pub nesting: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    Select,
    Insert,
    Update,
    Merge,
    Delete,
}

#[derive(Clone, Debug)]
pub struct SortKey {
    pub expr: Compiled,
    pub type_oid: Oid,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Debug)]
pub struct ScanNode {
    pub table: Arc<Table>,
    pub access: Access,
    pub filter: Option<Compiled>,
    /// Which columns anybody reads.
    pub needed: Vec<bool>,
    /// Columns to decode: up to the last needed one.
    pub decode: usize,
}

#[derive(Debug)]
pub struct AggregateCall {
    pub procedure: &'static Procedure,
    pub arguments: Vec<Compiled>,
    pub argument_types: Vec<Oid>,
    pub distinct: bool,
    pub filter: Option<Compiled>,
    pub order_by: Vec<SortKey>,
    /// Skip rows with a NULL argument.
    pub skips_null: bool,
}

/// Several groupings of the same rows.
#[derive(Debug)]
pub struct GroupingSets {
    /// Per set: is each key in it?
    pub sets: Vec<Vec<bool>>,
    /// The keys of each `GROUPING (...)`, a value after the aggregates.
    pub groupings: Vec<Vec<usize>>,
}

/// Calls over windows of one partitioning and order: each a value after the row's own.
#[derive(Debug)]
pub struct WindowNode {
    pub partition: Vec<SortKey>,
    pub order: Vec<SortKey>,
    pub calls: Vec<WindowCallNode>,
}

#[derive(Debug)]
pub struct WindowCallNode {
    pub procedure: &'static Procedure,
    pub arguments: Vec<Compiled>,
    pub argument_types: Vec<Oid>,
    pub filter: Option<Compiled>,
    pub skips_null: bool,
    pub frame: FrameNode,
}

#[derive(Debug)]
pub struct FrameNode {
    pub unit: FrameUnit,
    pub start: FrameBoundNode,
    pub end: FrameBoundNode,
    pub exclude: FrameExclude,
}

#[derive(Debug)]
pub enum FrameBoundNode {
    UnboundedPreceding,
    Preceding(FrameOffsetNode),
    CurrentRow,
    Following(FrameOffsetNode),
    UnboundedFollowing,
}

#[derive(Debug)]
pub struct FrameOffsetNode {
    pub value: Compiled,
    /// The ordering value less and plus the offset, over the row (ordering value, offset).
    pub moves: Option<(Compiled, Compiled)>,
    /// What these are of.
    pub moved_type: Oid,
}

/// Setting outer parameters from a row: (parameter, slot).
pub type OuterSets = Vec<(usize, usize)>;

#[derive(Debug)]
pub struct Subplan {
    pub root: Arc<Node>,
    pub kind: SubplanKind,
    pub sets: OuterSets,
    /// Depends on nothing outside: run at most once.
    pub constant: bool,
    /// Needed only where all of these are true, over the row with the slots before this one's: branches of CASE, what stands
    /// behind something in COALESCE, AND, OR. NULL elsewhere, where nobody looks.
    pub guards: Vec<Compiled>,
    /// Several expressions look at it, each under conditions of its own.
    pub shared: bool,
}

impl Subplan {
    /// Something that has to wait, and is no query.
    pub fn of_call(kind: SubplanKind) -> Subplan {
        let root = Arc::new(Node::Values { rows: Arc::default(), width: 0 });
        Subplan { root, kind, sets: Vec::new(), constant: false, guards: Vec::new(), shared: false }
    }
}

#[derive(Debug)]
pub enum SubplanKind {
    Scalar,
    /// The row as a record of so many fields.
    Row(usize),
    Exists,
    Array(Oid),
    Quantified {
        left: Vec<Compiled>,
        procedures: Vec<&'static Procedure>,
        row: RowOperator,
        all: bool,
        negate: bool,
        /// `= ANY` of values that hash as they compare: their types.
        hashed: Option<Vec<Oid>>,
    },
    /// No query: a lock that has to be waited for.
    Advisory {
        call: crate::advisory::AdvisoryCall,
        arguments: Vec<Compiled>,
    },
    /// No query: `pg_sleep` and its kin.
    Sleep {
        argument: Compiled,
    },
    /// No query: `nextval`, or `setval`, which have to wait for others.
    Sequence {
        sets: bool,
        arguments: Vec<Compiled>,
    },
    /// No query: `currval` and `lastval`, which tell what the calls of `nextval` before them did.
    Current {
        function: Function,
        arguments: Vec<Compiled>,
    },
}

#[derive(Debug)]
pub struct LockNode {
    pub table: Arc<Table>,
    /// Slot of the table's first column; its row id follows its columns.
    pub offset: usize,
    pub strength: LockStrength,
    pub wait: LockWait,
}

#[derive(Debug)]
pub enum Node {
    /// Rows of expressions; one row without columns for a SELECT without FROM.
    Values {
        rows: Arc<Vec<Vec<Compiled>>>,
        width: usize,
    },
    Scan(Arc<ScanNode>),
    Virtual {
        table: &'static VirtualTable,
        filter: Option<Arc<Compiled>>,
    },
    Function {
        procedure: &'static Procedure,
        arguments: Arc<Vec<Compiled>>,
        ordinality: bool,
        width: usize,
    },
    /// Several functions side by side, the shorter ones filled with NULL.
    Functions {
        calls: Arc<Vec<(SetTarget, usize)>>,
        ordinality: bool,
    },
    /// The rows of a common table expression, by its place in the plan.
    Common {
        slot: usize,
    },
    /// The rows that a recursive one found in its last round.
    Working {
        slot: usize,
    },
    Recursive {
        slot: usize,
        base: Box<Node>,
        step: Arc<Node>,
        all: bool,
        types: Arc<Vec<Oid>>,
    },
    Filter {
        input: Box<Node>,
        predicate: Arc<Compiled>,
    },
    Project {
        input: Box<Node>,
        exprs: Arc<Vec<Compiled>>,
    },
    /// Set-returning functions in a select list: each `Some` yields rows, the others repeat.
    ProjectSet {
        input: Box<Node>,
        exprs: Arc<Vec<SetTarget>>,
    },
    NestedLoop {
        kind: JoinKind,
        left: Box<Node>,
        right: Arc<Node>,
        condition: Option<Arc<Compiled>>,
        /// What of the condition needs no subquery: tested before any of them runs.
        early: Option<Arc<Compiled>>,
        /// What the condition needs of subqueries: further slots of the joined row.
        subplans: Arc<Vec<Subplan>>,
        /// The right side is run anew for each left row with these set; without any it is kept.
        sets: Arc<OuterSets>,
        lateral: bool,
        left_width: usize,
        right_width: usize,
    },
    HashJoin {
        kind: JoinKind,
        left: Box<Node>,
        right: Box<Node>,
        left_keys: Arc<Vec<(Compiled, Oid)>>,
        right_keys: Arc<Vec<(Compiled, Oid)>>,
        condition: Option<Arc<Compiled>>,
        left_width: usize,
        right_width: usize,
    },
    /// Both inputs are sorted by their keys, ascending with NULLs last.
    MergeJoin {
        kind: JoinKind,
        left: Box<Node>,
        right: Box<Node>,
        left_keys: Arc<Vec<(Compiled, Oid)>>,
        right_keys: Arc<Vec<(Compiled, Oid)>>,
        condition: Option<Arc<Compiled>>,
        left_width: usize,
        right_width: usize,
    },
    Apply {
        input: Box<Node>,
        subplans: Arc<Vec<Subplan>>,
    },
    Aggregate {
        input: Box<Node>,
        keys: Arc<Vec<(Compiled, Oid)>>,
        calls: Arc<Vec<AggregateCall>>,
        sets: Option<Arc<GroupingSets>>,
    },
    Window {
        input: Box<Node>,
        window: Arc<WindowNode>,
    },
    Sort {
        input: Box<Node>,
        keys: Arc<Vec<SortKey>>,
        limit: Option<Arc<Compiled>>,
    },
    /// First row of each group of equal values.
    Distinct {
        input: Box<Node>,
        columns: Arc<Vec<(usize, Oid)>>,
    },
    /// As `Distinct`, of rows that come sorted by these columns.
    Unique {
        input: Box<Node>,
        columns: Arc<Vec<(usize, Oid)>>,
    },
    Limit {
        input: Box<Node>,
        limit: Option<Arc<Compiled>>,
        offset: Option<Arc<Compiled>>,
        /// Rows that equal the last one by these come too.
        ties: Option<Arc<Vec<SortKey>>>,
        /// What `limit` and `offset` need of subqueries.
        subplans: Arc<Vec<Subplan>>,
    },
    /// Cut rows to their first columns.
    Cut {
        input: Box<Node>,
        width: usize,
    },
    Set {
        operation: SetOperation,
        all: bool,
        left: Box<Node>,
        right: Box<Node>,
        types: Arc<Vec<Oid>>,
    },
    Lock {
        input: Box<Node>,
        locks: Arc<Vec<LockNode>>,
        recheck: Option<Arc<Compiled>>,
    },
    Insert {
        input: Box<Node>,
        insert: Arc<InsertNode>,
    },
    Update {
        input: Box<Node>,
        update: Arc<UpdateNode>,
    },
    Delete {
        input: Box<Node>,
        delete: Arc<DeleteNode>,
    },
    Merge {
        input: Box<Node>,
        merge: Arc<MergeNode>,
    },
}

impl Plan {
    /// The table that the main statement changes.
    pub fn changed_table(&self) -> Option<(&Arc<Table>, Written)> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Insert { insert, .. } => {
                    let updates = insert.conflict.as_ref().is_some_and(|conflict| conflict.update.is_some());
                    return Some((&insert.table, if updates { Written::Changed } else { Written::Inserted }));
                }
                Node::Update { update, .. } => return Some((&update.table, Written::Changed)),
                Node::Delete { delete, .. } => return Some((&delete.table, Written::Deleted)),
                Node::Merge { merge, .. } => return Some((&merge.table, Written::Changed)),
                Node::Project { input, .. } | Node::Apply { input, .. } | Node::Cut { input, .. } => node = input,
                _ => return None,
            }
        }
    }
}

impl Node {
    /// PostgreSQL's `ExecSupportsBackwardScan`, for the plans that it would make of the same query.
    pub fn scans_backward(&self) -> bool {
        match self {
            Node::Values { .. } | Node::Scan(_) | Node::Virtual { .. } | Node::Function { .. } => true,
            Node::Functions { .. } | Node::Common { .. } | Node::Sort { .. } => true,
            Node::Filter { input, .. }
            | Node::Project { input, .. }
            | Node::Limit { input, .. }
            | Node::Cut { input, .. } => input.scans_backward(),
            _ => false,
        }
    }

    /// Does each row come from one scan as it is? PostgreSQL asks it of a cursor without row locks that WHERE CURRENT OF names.
    pub fn is_plain_scan(&self) -> bool {
        match self {
            Node::Scan(_) => true,
            Node::Filter { input, .. }
            | Node::Project { input, .. }
            | Node::Apply { input, .. }
            | Node::Limit { input, .. }
            | Node::Cut { input, .. } => input.is_plain_scan(),
            _ => false,
        }
    }

    /// The nodes that this one reads.
    pub fn inputs(&self) -> Vec<&Node> {
        match self {
            Node::Values { .. } | Node::Scan(_) | Node::Virtual { .. } | Node::Function { .. } => vec![],
            Node::Functions { .. } | Node::Common { .. } | Node::Working { .. } => vec![],
            Node::Recursive { base, step, .. } => vec![base, step],
            Node::Filter { input, .. }
            | Node::Project { input, .. }
            | Node::ProjectSet { input, .. }
            | Node::Apply { input, .. }
            | Node::Aggregate { input, .. }
            | Node::Window { input, .. }
            | Node::Sort { input, .. }
            | Node::Distinct { input, .. }
            | Node::Unique { input, .. }
            | Node::Limit { input, .. }
            | Node::Cut { input, .. }
            | Node::Lock { input, .. }
            | Node::Insert { input, .. }
            | Node::Update { input, .. }
            | Node::Delete { input, .. }
            | Node::Merge { input, .. } => vec![input],
            Node::NestedLoop { left, right, .. } => vec![left, right],
            Node::HashJoin { left, right, .. } | Node::MergeJoin { left, right, .. } => vec![left, right],
            Node::Set { left, right, .. } => vec![left, right],
        }
    }
}

#[derive(Debug)]
pub enum SetTarget {
    Plain(Compiled),
    Set { procedure: &'static Procedure, arguments: Vec<Compiled> },
}

/// A CHECK, with its name.
#[derive(Debug)]
pub struct CheckExpr {
    pub name: String,
    pub expr: Compiled,
}

#[derive(Debug)]
pub struct InsertNode {
    pub table: Arc<Table>,
    /// One per stored column, over the source row.
    pub values: Vec<Compiled>,
    pub rules: super::TableRules,
    pub conflict: Option<ConflictNode>,
    pub returning: Option<Vec<Compiled>>,
}

#[derive(Debug)]
pub struct ConflictNode {
    pub indexes: Vec<Oid>,
    pub update: Option<ConflictUpdateNode>,
}

/// Over the existing row with its row id, then the proposed row with a NULL for its row id.
#[derive(Debug)]
pub struct ConflictUpdateNode {
    pub assignments: Vec<(usize, Compiled)>,
    pub filter: Option<Compiled>,
    /// What these need of subqueries: further slots.
    pub subplans: Arc<Vec<Subplan>>,
}

/// The target table's row is at `offset` of the input row.
#[derive(Debug)]
pub struct UpdateNode {
    pub table: Arc<Table>,
    pub offset: usize,
    pub assignments: Vec<(usize, Compiled)>,
    pub rules: super::TableRules,
    /// All conditions, to look at a newer version of the row again.
    pub recheck: Option<Compiled>,
    pub returning: Option<Vec<Compiled>>,
    /// The assignments change a column of a unique index.
    pub changes_key: bool,
    /// More than the target table takes part: a row may be met twice.
    pub joined: bool,
}

/// The target's row, or NULLs, is at `offset` of the input row.
#[derive(Debug)]
pub struct MergeNode {
    pub table: Arc<Table>,
    pub offset: usize,
    pub rules: super::TableRules,
    /// What pairs the rows, to look at a newer version of the target's again.
    pub recheck: Option<Compiled>,
    pub clauses: Vec<MergeClauseNode>,
}

#[derive(Debug)]
pub struct MergeClauseNode {
    pub matched: bool,
    pub condition: Option<Compiled>,
    /// What the condition needs of subqueries: further slots.
    pub asks: Arc<Vec<Subplan>>,
    pub work: MergeWork,
    /// What the work needs of them.
    pub computes: Arc<Vec<Subplan>>,
}

#[derive(Debug)]
pub enum MergeWork {
    Nothing,
    Delete,
    Update {
        assignments: Vec<(usize, Compiled)>,
        changes_key: bool,
    },
    /// One per stored column.
    Insert(Vec<Compiled>),
}

#[derive(Debug)]
pub struct DeleteNode {
    pub table: Arc<Table>,
    pub offset: usize,
    pub rules: super::TableRules,
    pub recheck: Option<Compiled>,
    pub returning: Option<Vec<Compiled>>,
    pub joined: bool,
}
