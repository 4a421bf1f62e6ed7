//! Subqueries in expressions: their values become further slots of the row.
use super::distinct::RowTable;
use super::memory::{Held, entry_bytes};
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::plan::{Subplan, SubplanKind, nested_array};
use crate::planted::{self, Bug};
use crate::typed::RowOperator;
use async_trait::async_trait;
use trivet_types::functions::Function;
use trivet_types::registry::{Body, Procedure};
use trivet_types::{Array, Datum, Oid, PgError, PgResult, SqlState};

pub(crate) struct ApplyOperator {
    input: Box<dyn Operator>,
    subqueries: Subqueries,
}

/// The subqueries of some expressions, with what is known of them for good.
pub(crate) struct Subqueries {
    subplans: Arc<Vec<Subplan>>,
    /// Values of subqueries that depend on nothing, and rows of those that are compared with.
    constant: Vec<Option<Constant>>,
    /// What these rows take.
    held: Vec<Held>,
}

enum Constant {
    Value(Datum),
    Rows(Listed),
}

/// A list that values are looked for in, by hash where that gives the answer.
struct Listed {
    rows: Vec<Row>,
    table: Option<(RowTable, Vec<Oid>)>,
}

impl Listed {
    fn new(rows: Vec<Row>, types: Option<Vec<Oid>>) -> Listed {
        // With a NULL in the list "not found" is unknown.
        let whole = !rows.iter().flatten().any(Datum::is_null);
        let table = types.filter(|_| whole).map(|types| {
            let mut table = RowTable::default();
            rows.iter().for_each(|row| {
                table.insert(row.clone(), &types);
            });
            (table, types)
        });
        Listed { rows, table }
    }

    /// Is it there? `None`: that has to be found out one by one.
    fn find(&self, left: &[Datum]) -> Option<bool> {
        let (table, types) = self.table.as_ref().filter(|_| !left.iter().any(Datum::is_null))?;
        Some(table.find(left, types).is_some())
    }
}

impl ApplyOperator {
    pub fn new(input: Box<dyn Operator>, subplans: Arc<Vec<Subplan>>) -> ApplyOperator {
        ApplyOperator { input, subqueries: Subqueries::new(subplans) }
    }
}

impl Subqueries {
    pub fn new(subplans: Arc<Vec<Subplan>>) -> Subqueries {
        let constant = subplans.iter().map(|_| None).collect();
        Subqueries { subplans, constant, held: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.subplans.is_empty()
    }

    /// Put the values of all of them after the row.
    pub async fn extend(&mut self, context: &mut Context<'_>, row: &mut Row) -> PgResult<()> {
        for at in 0..self.subplans.len() {
            let value = self.value(at, context, row).await?;
            row.push(value);
        }
        Ok(())
    }

    async fn value(&mut self, at: usize, context: &mut Context<'_>, row: &[Datum]) -> PgResult<Datum> {
        let subplans = Arc::clone(&self.subplans);
        let subplan = &subplans[at];
        for guard in &subplan.guards {
            if !guard.test(context.eval(), row)? {
                return Ok(Datum::Null);
            }
        }
        for (parameter, slot) in &subplan.sets {
            context.outer[*parameter] = row[*slot].clone();
        }
        match &subplan.kind {
            SubplanKind::Sequence { .. } => sequence_value(subplan, context, row).await,
            SubplanKind::Current { function, arguments } => {
                let eval = context.eval();
                let values = arguments.iter().map(|argument| argument.eval(eval, row)).collect::<PgResult<Vec<_>>>()?;
                if values.iter().any(Datum::is_null) { Ok(Datum::Null) } else { function(context.environment, &values) }
            }
            SubplanKind::Advisory { call, arguments } => {
                let eval = context.eval();
                let values = arguments.iter().map(|argument| argument.eval(eval, row)).collect::<PgResult<Vec<_>>>()?;
                let Some(session) = &context.locks.session else {
                    return Err(PgError::unsupported("an advisory lock in this place"));
                };
                session.call(*call, context.locks, context.transaction, &values).await
            }
            SubplanKind::Sleep { argument } => {
                let value = argument.eval(context.eval(), row)?;
                sleep(&value, context.environment.clock_time()).await
            }
            SubplanKind::Quantified { left, procedures, row: operator, all, negate, hashed } => {
                let left = {
                    let eval = context.eval();
                    left.iter().map(|expr| expr.eval(eval, row)).collect::<PgResult<Vec<_>>>()?
                };
                let functions = procedures.iter().map(|procedure| match procedure.body {
                    Body::Scalar(function) => Ok(function),
                    _ => Err(PgError::internal("an operator that is no scalar function")),
                });
                let functions = functions.collect::<PgResult<Vec<Function>>>()?;
                let comparison = Comparison { functions: &functions, operator: *operator, procedures };
                let answer = if subplan.constant {
                    if self.constant[at].is_none() {
                        let mut held = context.memory.hold();
                        let rows = super::gather(&mut *context.build(&subplan.root), context, &mut held).await?;
                        if hashed.is_some() {
                            held.grow(rows.iter().map(|row| entry_bytes(row)).sum())?;
                        }
                        self.held.push(held);
                        self.constant[at] = Some(Constant::Rows(Listed::new(rows, hashed.clone())));
                    }
                    let Some(Constant::Rows(rows)) = &self.constant[at] else {
                        return Err(PgError::internal("a constant subquery has rows"));
                    };
                    let mut answer = Answer::new(*all);
                    let found = rows.find(&left);
                    found.into_iter().for_each(|found| {
                        answer.take(Some(found));
                    });
                    let one_by_one = if found.is_some() { &[] } else { rows.rows.as_slice() };
                    for candidate in one_by_one {
                        if answer.take(compare(comparison, &left, candidate, context)?) {
                            break;
                        }
                    }
                    answer
                } else {
                    let mut operator = context.build(&subplan.root);
                    let mut answer = Answer::new(*all);
                    'rows: loop {
                        let rows = operator.next(context, BATCH_ROWS).await?;
                        if rows.is_empty() {
                            break;
                        }
                        for candidate in &rows {
                            if answer.take(compare(comparison, &left, candidate, context)?) {
                                break 'rows;
                            }
                        }
                    }
                    answer
                };
                Ok(match (answer.datum(), negate) {
                    (Datum::Bool(value), true) => Datum::Bool(!value),
                    (Datum::Null, true) if planted::on(Bug::NotInNull) => Datum::Bool(true),
                    (value, _) => value,
                })
            }
            kind => {
                if let Some(Constant::Value(value)) = &self.constant[at] {
                    return Ok(value.clone());
                }
                let value = run(subplan, kind, context).await?;
                if subplan.constant {
                    self.constant[at] = Some(Constant::Value(value.clone()));
                }
                Ok(value)
            }
        }
    }
}

/// `nextval` and `setval`. They are strict.
pub(super) async fn sequence_value(subplan: &Subplan, context: &mut Context<'_>, row: &[Datum]) -> PgResult<Datum> {
    let SubplanKind::Sequence { sets, arguments } = &subplan.kind else {
        return Err(PgError::internal("not a sequence's call"));
    };
    let arguments = {
        let eval = context.eval();
        arguments.iter().map(|argument| argument.eval(eval, row)).collect::<PgResult<Vec<_>>>()?
    };
    let wrong = || PgError::internal("a sequence's call got an argument of another type");
    if arguments.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let Some(Datum::Oid(sequence)) = arguments.first() else { return Err(wrong()) };
    let sequence = trivet_types::Oid(*sequence);
    let value = if *sets {
        let value = arguments.get(1).and_then(Datum::as_i64).ok_or_else(wrong)?;
        let is_called = arguments.get(2).is_none_or(Datum::is_true);
        let session = context.sequences;
        crate::sequence::set_value(session, context.database, context.transaction, sequence, value, is_called).await?
    } else {
        crate::sequence::next_value(context.sequences, context.database, context.transaction, sequence).await?
    };
    Ok(Datum::Int8(value))
}

/// `pg_sleep`, `pg_sleep_for`, `pg_sleep_until`. They are strict.
async fn sleep(length: &Datum, now: i64) -> PgResult<Datum> {
    let seconds = match length {
        Datum::Float8(seconds) => *seconds,
        // As `extract(epoch from interval)` counts them.
        Datum::Interval(span) => {
            let (years, months) = (f64::from(span.months / 12), f64::from(span.months % 12));
            years * 365.25 * 86_400.0
                + months * 30.0 * 86_400.0
                + f64::from(span.days) * 86_400.0
                + span.microseconds as f64 / 1e6
        }
        Datum::Timestamp(until) => until.saturating_sub(now) as f64 / 1e6,
        _ => return Ok(Datum::Null),
    };
    // A year is as good as for ever.
    let seconds = seconds.clamp(0.0, 365.0 * 86_400.0);
    tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
    Ok(Datum::text(""))
}

async fn run(subplan: &Subplan, kind: &SubplanKind, context: &mut Context<'_>) -> PgResult<Datum> {
    let mut operator = context.build(&subplan.root);
    match kind {
        SubplanKind::Exists => Ok(Datum::Bool(!operator.next(context, 1).await?.is_empty())),
        SubplanKind::Scalar => {
            let mut rows = operator.next(context, 2).await?;
            if rows.len() == 1 {
                rows.extend(operator.next(context, 1).await?);
            }
            match rows.len() {
                0 => Ok(Datum::Null),
                1 => Ok(rows.remove(0).into_iter().next().unwrap_or_default()),
                _ => {
                    let code = SqlState(*b"21000");
                    Err(PgError::new(code, "more than one row returned by a subquery used as an expression"))
                }
            }
        }
        SubplanKind::Row(width) => {
            let mut rows = operator.next(context, 2).await?;
            if rows.len() == 1 {
                rows.extend(operator.next(context, 1).await?);
            }
            match rows.len() {
                0 => Ok(Datum::Record(vec![Datum::Null; *width].into())),
                1 => Ok(Datum::Record(rows.remove(0).into())),
                _ => {
                    let code = SqlState(*b"21000");
                    Err(PgError::new(code, "more than one row returned by a subquery used as an expression"))
                }
            }
        }
        SubplanKind::Array(element) => {
            let mut held = context.memory.hold();
            let rows = super::gather(&mut *operator, context, &mut held).await?;
            let values: Vec<Datum> = rows.into_iter().map(|row| row.into_iter().next().unwrap_or_default()).collect();
            if values.iter().any(|value| matches!(value, Datum::Array(_))) {
                return nested_array(*element, &values);
            }
            Ok(Datum::array(Array::from_values(*element, values)))
        }
        SubplanKind::Quantified { .. }
        | SubplanKind::Sequence { .. }
        | SubplanKind::Advisory { .. }
        | SubplanKind::Current { .. }
        | SubplanKind::Sleep { .. } => Err(PgError::internal("what is no query has its own way")),
    }
}

/// Three-valued ANY or ALL.
struct Answer {
    all: bool,
    unknown: bool,
    decided: bool,
}

impl Answer {
    fn new(all: bool) -> Answer {
        Answer { all, unknown: false, decided: false }
    }
    /// True once nothing can change the answer.
    fn take(&mut self, matches: Option<bool>) -> bool {
        match matches {
            None => self.unknown = true,
            Some(value) => self.decided |= value != self.all,
        }
        self.decided
    }
    fn datum(&self) -> Datum {
        if self.decided {
            Datum::Bool(!self.all)
        } else if self.unknown {
            Datum::Null
        } else {
            Datum::Bool(self.all)
        }
    }
}

/// How a row and a row of the subquery are compared.
#[derive(Clone, Copy)]
struct Comparison<'p> {
    functions: &'p [Function],
    procedures: &'p [&'static Procedure],
    operator: RowOperator,
}

/// `None`: unknown.
fn compare(
    comparison: Comparison<'_>,
    left: &[Datum],
    right: &[Datum],
    context: &Context<'_>,
) -> PgResult<Option<bool>> {
    let (decisive, otherwise) = match comparison.operator {
        RowOperator::All => (false, true),
        RowOperator::Some => (true, false),
        RowOperator::Order { less, or_equal } => {
            return Ok(in_order(comparison.procedures, left, right, less, or_equal));
        }
    };
    let mut unknown = false;
    for ((function, left), right) in comparison.functions.iter().zip(left).zip(right) {
        if left.is_null() || right.is_null() {
            unknown = true;
            continue;
        }
        match function(context.environment, &[left.clone(), right.clone()])? {
            Datum::Bool(value) if value == decisive => return Ok(Some(decisive)),
            Datum::Bool(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(otherwise) })
}

/// The first columns that are not equal decide, and unknown ones before them leave it unknown.
fn in_order(
    procedures: &[&'static Procedure],
    left: &[Datum],
    right: &[Datum],
    less: bool,
    or_equal: bool,
) -> Option<bool> {
    for ((procedure, left), right) in procedures.iter().zip(left).zip(right) {
        if left.is_null() || right.is_null() {
            return None;
        }
        let type_oid = procedure.arguments.first().copied().unwrap_or_default();
        match trivet_types::compare(type_oid, left, right) {
            std::cmp::Ordering::Equal => {}
            order => return Some(order.is_lt() == less),
        }
    }
    Some(or_equal)
}

#[async_trait]
impl Operator for ApplyOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let mut rows = self.input.next(context, wanted).await?;
        for row in &mut rows {
            self.subqueries.extend(context, row).await?;
        }
        Ok(rows)
    }
}
