//! From what a statement says to what it means: names, types, conversions.
//!
//! Two steps, since the catalog is read asynchronously and everything else is not: `names` collects the relations that a
//! statement mentions, the caller looks them up, and `Analyzer` works on the result. It knows the catalog's tables and
//! the registry, and nothing of storage or plans.
mod absent;
mod call;
mod coerce;
mod composite;
mod conflict;
mod deparse;
mod dml;
mod domain;
mod expr;
mod from;
mod group;
mod merge;
mod names;
mod print;
mod query;
mod row_ids;
mod rules;
mod same;
mod scope;
mod sortable;
mod suggest;
mod traversal;
mod updatable;
mod view;
mod view_text;
mod window;
mod with;

pub use coerce::{assign, common_type, resolve_type_name};
pub use composite::row_types;
pub use deparse::{Names, expr_text, query_text};
pub use domain::{ResolvedType, resolve_type};
pub use group::{GROUPED_ROW, same_expr};
pub use names::{
    Mentioned, RelationNames, is_user_type_name, mentioned, mentioned_in, mentioned_in_query, regclass_name,
};
pub use print::{print_expr, print_names};
pub use row_ids::show_row_ids;
pub(crate) use sortable::has_order;
pub use updatable::{CHECK_OPTION, is_updatable};
pub use view::{SEQUENCE_ROW, analyzed_view};
pub use view_text::view_text;
pub use window::{FRAME_ROW, window_exprs, window_exprs_mut};

use crate::catalog::Found;
use crate::parser::tree::{self, Place, QualifiedName};
use crate::typed::{Common, Expr, Statement};
use scope::Scope;
use std::collections::HashMap;
use std::sync::Arc;
use trivet_types::{Environment, Oid, PgError, PgResult, oid, sqlstate};

/// Relations by (schema, name) as the statement spells them; a name that is missing was not found.
pub type Relations = HashMap<(Option<String>, String), Found>;

/// Nesting of queries and expressions that fits any thread's stack, and that fits `with_room`'s.
pub const DEPTH_SMALL: usize = 80;
const DEPTH_LARGE: usize = 420;
const ROOM_BYTES: usize = 64 << 20;

/// Run deep work where it has room. For shallow work, `depth` up to `DEPTH_SMALL`, the caller's stack does.
pub fn with_room<T: Send>(depth: usize, work: impl FnOnce() -> PgResult<T> + Send) -> PgResult<T> {
    if depth <= DEPTH_SMALL {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("analyze".into()).stack_size(ROOM_BYTES);
        let spawned = thread.spawn_scoped(scope, work).map_err(|error| {
            PgError::new(sqlstate::OUT_OF_MEMORY, format!("could not analyze a deeply nested query: {error}"))
        })?;
        spawned.join().unwrap_or_else(|_| Err(PgError::internal("the analyzer failed")))
    })
}

/// The types of `$1`, `$2` ...: given by the client, or inferred from where they stand.
#[derive(Clone, Debug, Default)]
pub struct ParameterTypes {
    types: Vec<Oid>,
    /// More may be found.
    open: bool,
    /// Where one stood that nothing had determined yet, nor its place did.
    undetermined: Vec<(usize, Place)>,
}

impl ParameterTypes {
    pub fn new(given: &[u32]) -> ParameterTypes {
        let known = |number: &u32| if *number == 0 { oid::UNKNOWN } else { Oid(*number) };
        ParameterTypes { types: given.iter().map(known).collect(), open: true, undetermined: Vec::new() }
    }
    /// A statement without parameters.
    pub fn none() -> ParameterTypes {
        ParameterTypes::default()
    }
    fn has(&self, index: usize) -> bool {
        self.open || index < self.types.len()
    }
    fn type_of(&mut self, index: usize) -> Oid {
        if index >= self.types.len() {
            self.types.resize(index + 1, oid::UNKNOWN);
        }
        self.types[index]
    }
    fn settle(&mut self, index: usize, type_oid: Oid) {
        self.type_of(index);
        self.types[index] = type_oid;
    }
    /// All types, once analysis is over. 42P18 for one that nothing determined, 42P08 for one that was determined too late.
    pub fn finish(self) -> PgResult<Vec<Oid>> {
        let late = |(index, _): &&(usize, Place)| self.types.get(*index).is_some_and(|found| *found != oid::UNKNOWN);
        if let Some((index, place)) = self.undetermined.iter().find(late) {
            let message = format!("could not determine data type of parameter ${}", index + 1);
            return Err(at(*place, PgError::new(sqlstate::AMBIGUOUS_PARAMETER, message)));
        }
        match self.types.iter().position(|type_oid| *type_oid == oid::UNKNOWN) {
            None => Ok(self.types),
            Some(at) => {
                let message = format!("could not determine data type of parameter ${}", at + 1);
                Err(PgError::new(sqlstate::INDETERMINATE_DATATYPE, message))
            }
        }
    }
}

pub struct Analyzer<'a> {
    pub relations: &'a Relations,
    pub environment: &'a dyn Environment,
    pub parameters: ParameterTypes,
    /// The innermost query last.
    scopes: Vec<Scope>,
    /// Common table expressions in sight, innermost last.
    common: Vec<scope::CommonTable>,
    depth: usize,
    depth_max: usize,
    /// The INSERT that is analyzed says OVERRIDING.
    overriding: bool,
    /// All common table expressions of the statement.
    commons: Vec<Common>,
    /// The number of the first of them: inside a view there are some around it.
    common_base: usize,
    /// How many of them we are inside of.
    common_depth: usize,
    /// Tables of a WITH that are not in sight yet.
    pending_with: Vec<String>,
    /// Numbers for subqueries that several expressions share.
    next_shared: usize,
}

/// Puts a position on an error that has none.
pub(crate) fn at(place: Place, error: Box<PgError>) -> Box<PgError> {
    match (place.known(), error.position) {
        (Some(position), None) => error.position(position),
        _ => error,
    }
}

impl<'a> Analyzer<'a> {
    pub fn new(relations: &'a Relations, environment: &'a dyn Environment, parameters: ParameterTypes) -> Analyzer<'a> {
        Analyzer {
            relations,
            environment,
            parameters,
            scopes: Vec::new(),
            common: Vec::new(),
            depth: 0,
            depth_max: DEPTH_SMALL * 2,
            overriding: false,
            commons: Vec::new(),
            common_base: 0,
            common_depth: 0,
            pending_with: Vec::new(),
            next_shared: 0,
        }
    }

    /// On a stack of `with_room`.
    pub fn with_depth(mut self, depth: usize) -> Self {
        if depth > DEPTH_SMALL {
            self.depth_max = DEPTH_LARGE * 2;
        }
        self
    }

    pub fn statement(&mut self, statement: &tree::Statement) -> PgResult<Statement> {
        let typed = self.statement_here(statement)?;
        let commons = std::mem::take(&mut self.commons);
        Ok(if commons.is_empty() { typed } else { Statement::With(commons, Box::new(typed)) })
    }

    fn statement_here(&mut self, statement: &tree::Statement) -> PgResult<Statement> {
        match statement {
            tree::Statement::Query(query) => {
                let query = self.query(query)?;
                Ok(Statement::Query(self.settled(query)?))
            }
            tree::Statement::Insert(insert) => Ok(Statement::Insert(Box::new(self.insert(insert)?))),
            tree::Statement::Update(update) => Ok(Statement::Update(Box::new(self.update(update)?))),
            tree::Statement::Merge(merge) => Ok(Statement::Merge(Box::new(self.merge(merge)?))),
            tree::Statement::Delete(delete) => Ok(Statement::Delete(Box::new(self.delete(delete)?))),
            _ => Err(PgError::internal("only queries and data changes are analyzed")),
        }
    }

    /// An expression without any relation, assigned to a type: defaults, EXECUTE's arguments, LIMIT.
    pub fn standalone(&mut self, expr: &tree::Expr, type_oid: Oid, modifier: i32, what: &str) -> PgResult<Expr> {
        self.scopes.push(Scope::default());
        let result = self.value_for(expr, type_oid).and_then(|expr| assign(self, expr, type_oid, modifier, what));
        self.scopes.pop();
        result
    }

    /// One of EXECUTE's arguments.
    pub fn execute_argument(&mut self, expr: &tree::Expr, type_oid: Oid, what: &str) -> PgResult<Expr> {
        self.scopes.push(Scope { no_aggregates: Some("EXECUTE parameters"), ..Scope::default() });
        let result = self.expr(expr).and_then(|expr| assign(self, expr, type_oid, -1, what));
        self.scopes.pop();
        result
    }

    /// An expression over one table's columns (relation 0): CHECK.
    pub fn over_table(&mut self, table: &Arc<crate::catalog::Table>, expr: &tree::Expr) -> PgResult<Expr> {
        self.scopes.push(Scope::over_table(table));
        let result = self.expr(expr).and_then(|expr| self.boolean(expr, "CHECK"));
        self.scopes.pop();
        result
    }

    /// COPY's WHERE, over one table's columns (relation 0).
    pub fn copy_condition(&mut self, table: &Arc<crate::catalog::Table>, expr: &tree::Expr) -> PgResult<Expr> {
        self.scopes.push(Scope { no_aggregates: Some("COPY FROM WHERE conditions"), ..Scope::over_table(table) });
        let result = self.condition(expr, "WHERE");
        self.scopes.pop();
        result
    }

    /// Run one level deeper, or refuse.
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> PgResult<T>) -> PgResult<T> {
        if self.depth >= self.depth_max {
            return Err(PgError::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn scope(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("expressions are analyzed inside a query")
    }

    /// The relation that a name stands for, or 42P01.
    fn found(&self, name: &QualifiedName) -> PgResult<&'a Found> {
        if let [.., database, _, _] = name.parts.as_slice()
            && (name.parts.len() > 3 || database.text != crate::catalog::DATABASE_NAME)
        {
            let (code, message) = if name.parts.len() > 3 {
                let message = format!("improper qualified name (too many dotted names): {}", name.shown());
                (sqlstate::SYNTAX_ERROR, message)
            } else {
                let message = format!("cross-database references are not implemented: \"{}\"", name.shown());
                (sqlstate::FEATURE_NOT_SUPPORTED, message)
            };
            return Err(at(name.place(), PgError::new(code, message)));
        }
        let key = (name.schema().map(str::to_string), name.last().to_string());
        self.relations.get(&key).ok_or_else(|| at(name.place(), undefined_table(name)))
    }
}

pub fn undefined_table(name: &QualifiedName) -> Box<PgError> {
    PgError::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", name.shown()))
}
