//! Rows that come from no table: VALUES, virtual tables, functions.
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::catalog::system::{SessionFacts, VirtualTable, rows_of};
use crate::plan::{Compiled, SetTarget};
use async_trait::async_trait;
use trivet_types::functions::Rows;
use trivet_types::registry::{Body, Procedure};
use trivet_types::{Datum, Environment, PgError, PgResult};

pub(crate) struct ValuesOperator {
    rows: Arc<Vec<Vec<Compiled>>>,
    next: usize,
}

impl ValuesOperator {
    pub fn new(rows: Arc<Vec<Vec<Compiled>>>) -> ValuesOperator {
        ValuesOperator { rows, next: 0 }
    }
}

#[async_trait]
impl Operator for ValuesOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let end = (self.next + wanted).min(self.rows.len());
        let batch = &self.rows[self.next..end];
        self.next = end;
        let eval = context.eval();
        batch.iter().map(|row| row.iter().map(|expr| expr.eval(eval, &[])).collect()).collect()
    }
}

pub(crate) struct VirtualOperator {
    table: &'static VirtualTable,
    filter: Option<Arc<Compiled>>,
    rows: Option<std::vec::IntoIter<Row>>,
}

impl VirtualOperator {
    pub fn new(table: &'static VirtualTable, filter: Option<Arc<Compiled>>) -> VirtualOperator {
        VirtualOperator { table, filter, rows: None }
    }
}

#[async_trait]
impl Operator for VirtualOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.rows.is_none() {
            let catalog =
                context.catalog.ok_or_else(|| PgError::internal("a virtual table is read without the catalog"))?;
            let facts = SessionFacts::ask(context.environment)?;
            self.rows = Some(spelled_rows(rows_of(self.table, catalog, &facts), context.environment).into_iter());
        }
        let rows = self.rows.as_mut().expect("filled above");
        let mut batch = Vec::new();
        let eval = context.eval();
        for row in rows.by_ref() {
            let keep = match &self.filter {
                Some(filter) => filter.test(eval, &row)?,
                None => true,
            };
            if keep {
                batch.push(row);
                if batch.len() == wanted {
                    break;
                }
            }
        }
        Ok(batch)
    }
}

pub(crate) struct FunctionOperator {
    procedure: &'static Procedure,
    arguments: Arc<Vec<Compiled>>,
    ordinality: bool,
    width: usize,
    rows: Option<Rows>,
    count: i64,
}

impl FunctionOperator {
    pub fn new(
        procedure: &'static Procedure,
        arguments: Arc<Vec<Compiled>>,
        ordinality: bool,
        width: usize,
    ) -> FunctionOperator {
        FunctionOperator { procedure, arguments, ordinality, width, rows: None, count: 0 }
    }
}

/// Call a set-returning function.
pub(crate) fn call_set(procedure: &'static Procedure, arguments: &[Datum], context: &Context<'_>) -> PgResult<Rows> {
    let Body::Set(function) = procedure.body else {
        return Err(PgError::internal(format!("{} returns no set", procedure.name)));
    };
    if procedure.is_strict() && arguments.iter().any(Datum::is_null) {
        return Ok(Box::new(std::iter::empty()));
    }
    function(context.environment, arguments)
}

#[async_trait]
impl Operator for FunctionOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.rows.is_none() {
            let eval = context.eval();
            let arguments =
                self.arguments.iter().map(|argument| argument.eval(eval, &[])).collect::<PgResult<Vec<_>>>()?;
            self.rows = Some(call_set(self.procedure, &arguments, context)?);
        }
        let rows = self.rows.as_mut().expect("filled above");
        let columns = self.width - usize::from(self.ordinality);
        let mut batch = Vec::with_capacity(wanted.min(BATCH_ROWS));
        while batch.len() < wanted {
            let Some(value) = rows.next() else { break };
            let mut row = match value? {
                Datum::Record(fields) if columns > 1 => fields.to_vec(),
                Datum::Null if columns > 1 => vec![Datum::Null; columns],
                value => vec![value],
            };
            if self.ordinality {
                self.count += 1;
                row.push(Datum::Int8(self.count));
            }
            batch.push(row);
        }
        context.breathe(batch.len()).await;
        Ok(batch)
    }
}

/// Functions side by side; the shorter ones are filled with NULL.
pub(crate) struct FunctionsOperator {
    calls: Arc<Vec<(SetTarget, usize)>>,
    ordinality: bool,
    rows: Option<Vec<Rows>>,
    count: i64,
}

impl FunctionsOperator {
    pub fn new(calls: Arc<Vec<(SetTarget, usize)>>, ordinality: bool) -> FunctionsOperator {
        FunctionsOperator { calls, ordinality, rows: None, count: 0 }
    }

    fn open(&self, context: &Context<'_>) -> PgResult<Vec<Rows>> {
        let eval = context.eval();
        let mut all: Vec<Rows> = Vec::with_capacity(self.calls.len());
        for (call, _) in self.calls.iter() {
            all.push(match call {
                SetTarget::Plain(expr) => Box::new(std::iter::once(expr.eval(eval, &[]))),
                SetTarget::Set { procedure, arguments } => {
                    let values =
                        arguments.iter().map(|argument| argument.eval(eval, &[])).collect::<PgResult<Vec<_>>>()?;
                    call_set(procedure, &values, context)?
                }
            });
        }
        Ok(all)
    }
}

#[async_trait]
impl Operator for FunctionsOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.rows.is_none() {
            self.rows = Some(self.open(context)?);
        }
        let all = self.rows.as_mut().expect("opened above");
        let mut batch = Vec::new();
        while batch.len() < wanted {
            let mut row = Vec::new();
            let mut any = false;
            for (rows, (_, width)) in all.iter_mut().zip(self.calls.iter()) {
                let value = rows.next().transpose()?;
                any |= value.is_some();
                match value {
                    Some(Datum::Record(fields)) if *width > 1 => row.extend(fields.iter().cloned()),
                    Some(value) => row.push(value),
                    None => row.extend(std::iter::repeat_n(Datum::Null, *width)),
                }
            }
            if !any {
                break;
            }
            if self.ordinality {
                self.count += 1;
                row.push(Datum::Int8(self.count));
            }
            batch.push(row);
        }
        context.breathe(batch.len()).await;
        Ok(batch)
    }
}

/// Definitions have marks for users' types; whoever reads them sees names.
fn spelled_rows(mut rows: Vec<Row>, environment: &dyn Environment) -> Vec<Row> {
    for value in rows.iter_mut().flatten() {
        if let Datum::Text(text) = value {
            if text.contains('\u{1}') {
                *value = environment.spelled(text).into();
            }
        }
    }
    rows
}
