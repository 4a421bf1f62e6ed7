//! GROUP BY and aggregates, by hash.
use super::shape::{RowTable, compare_keys};
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::plan::{AggregateCall, Compiled, GroupingSets};
use crate::planted::{self, Bug};
use async_trait::async_trait;
use trivet_types::functions::aggregate::Accumulator;
use trivet_types::registry::Body;
use trivet_types::{Datum, Oid, PgError, PgResult, oid};

pub(crate) struct AggregateOperator {
    input: Box<dyn Operator>,
    keys: Arc<Vec<(Compiled, Oid)>>,
    types: Vec<Oid>,
    calls: Arc<Vec<AggregateCall>>,
    sets: Option<Arc<GroupingSets>>,
    result: Option<std::vec::IntoIter<Row>>,
}

/// One aggregate of one group.
struct State {
    accumulator: Box<dyn Accumulator>,
    /// Argument lists already seen, for DISTINCT.
    seen: Option<RowTable>,
    /// Sort keys and arguments, for an ORDER BY inside the call.
    ordered: Vec<(Vec<Datum>, Vec<Datum>)>,
}

impl State {
    fn new(call: &AggregateCall) -> PgResult<State> {
        let Body::Aggregate(new) = call.procedure.body else {
            return Err(PgError::internal(format!("{} is no aggregate", call.procedure.name)));
        };
        Ok(State {
            accumulator: new(&call.argument_types),
            seen: (call.distinct && !planted::on(Bug::DistinctIgnored)).then(RowTable::default),
            ordered: Vec::new(),
        })
    }

    fn add(&mut self, call: &AggregateCall, context: &Context<'_>, row: &[Datum]) -> PgResult<()> {
        let eval = context.eval();
        if let Some(filter) = &call.filter {
            if !filter.test(eval, row)? {
                return Ok(());
            }
        }
        // The commonest calls have at most one argument: no list is built for them.
        if let ([only], false, true) = (call.arguments.as_slice(), call.distinct, call.order_by.is_empty()) {
            let value = [only.eval(eval, row)?];
            if call.skips_null && value[0].is_null() {
                return Ok(());
            }
            return self.accumulator.add(context.environment, &value);
        }
        let values = call.arguments.iter().map(|argument| argument.eval(eval, row)).collect::<PgResult<Vec<_>>>()?;
        // Only the first argument of string_agg may not be NULL; a NULL separator is an empty one.
        if call.skips_null && values.first().is_some_and(Datum::is_null) {
            return Ok(());
        }
        if let Some(seen) = &mut self.seen {
            if !seen.insert(values.clone(), &call.argument_types).1 {
                return Ok(());
            }
            if call.order_by.is_empty() {
                // Duplicates are found by sorting, in PostgreSQL, which shows where the order of values does.
                self.ordered.push((Vec::new(), values));
                return Ok(());
            }
        }
        if call.order_by.is_empty() {
            return self.accumulator.add(context.environment, &values);
        }
        let key = call.order_by.iter().map(|key| key.expr.eval(eval, row)).collect::<PgResult<Vec<_>>>()?;
        self.ordered.push((key, values));
        Ok(())
    }

    fn finish(&mut self, call: &AggregateCall, context: &Context<'_>) -> PgResult<Datum> {
        if self.seen.is_some() && call.order_by.is_empty() {
            self.ordered.sort_by(|left, right| {
                let pairs = left.1.iter().zip(&right.1).zip(&call.argument_types);
                let orders = pairs.map(|((left, right), type_oid)| trivet_types::compare(*type_oid, left, right));
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
            });
        } else {
            self.ordered.sort_by(|left, right| compare_keys(&left.0, &right.0, &call.order_by));
        }
        for (_, values) in std::mem::take(&mut self.ordered) {
            self.accumulator.add(context.environment, &values)?;
        }
        self.accumulator.finish()
    }
}

impl AggregateOperator {
    pub fn new(
        input: Box<dyn Operator>,
        keys: Arc<Vec<(Compiled, Oid)>>,
        calls: Arc<Vec<AggregateCall>>,
        sets: Option<Arc<GroupingSets>>,
    ) -> AggregateOperator {
        let mut types: Vec<Oid> = keys.iter().map(|(_, type_oid)| *type_oid).collect();
        if sets.is_some() {
            // The number of the set comes last in a key.
            types.push(oid::INT4);
        }
        AggregateOperator { input, keys, types, calls, sets, result: None }
    }

    fn new_group(&self) -> PgResult<Vec<State>> {
        self.calls.iter().map(State::new).collect()
    }

    /// As `compute`, for several groupings of the same rows.
    async fn compute_sets(&mut self, sets: &GroupingSets, context: &mut Context<'_>) -> PgResult<Vec<Row>> {
        let mut groups = RowTable::default();
        let mut states: Vec<Vec<State>> = Vec::new();
        let number = |at: usize| Datum::Int4(i32::try_from(at).unwrap_or(i32::MAX));
        let of_set = |key: &[Datum], at: usize| -> Row {
            let parts = key.iter().zip(&sets.sets[at]);
            parts.map(|(value, is_in)| if *is_in { value.clone() } else { Datum::Null }).chain([number(at)]).collect()
        };
        // An empty set is one group, even of no rows.
        for (at, set) in sets.sets.iter().enumerate() {
            if !set.contains(&true) {
                groups.insert(of_set(&vec![Datum::Null; self.keys.len()], at), &self.types);
                states.push(self.new_group()?);
            }
        }
        loop {
            let rows = self.input.next(context, BATCH_ROWS).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let eval = context.eval();
                let key = self.keys.iter().map(|(key, _)| key.eval(eval, row)).collect::<PgResult<Vec<_>>>()?;
                for at in 0..sets.sets.len() {
                    let (group, fresh) = groups.insert(of_set(&key, at), &self.types);
                    if fresh {
                        states.push(self.new_group()?);
                    }
                    for (state, call) in states[group].iter_mut().zip(self.calls.iter()) {
                        state.add(call, context, row)?;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        let mut result = Vec::with_capacity(states.len());
        for (mut row, mut states) in groups.rows.into_iter().zip(states) {
            let set = row.pop().and_then(|number| number.as_i64()).and_then(|number| usize::try_from(number).ok());
            let set = &sets.sets[set.ok_or_else(|| PgError::internal("a group has lost its set"))?];
            for (state, call) in states.iter_mut().zip(self.calls.iter()) {
                row.push(state.finish(call, context)?);
            }
            for keys in &sets.groupings {
                let bits = keys.iter().fold(0, |bits, key| bits << 1 | i32::from(!set[*key]));
                row.push(Datum::Int4(bits));
            }
            result.push(row);
        }
        Ok(result)
    }

    async fn compute(&mut self, context: &mut Context<'_>) -> PgResult<Vec<Row>> {
        if let Some(sets) = self.sets.clone() {
            return self.compute_sets(&sets, context).await;
        }
        let mut groups = RowTable::default();
        let mut states: Vec<Vec<State>> = Vec::new();
        if self.keys.is_empty() {
            // Without GROUP BY there is one group, even of no rows.
            groups.insert(Vec::new(), &[]);
            states.push(self.new_group()?);
        }
        loop {
            let rows = self.input.next(context, BATCH_ROWS).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let group = if self.keys.is_empty() {
                    0
                } else {
                    let eval = context.eval();
                    let key = self.keys.iter().map(|(key, _)| key.eval(eval, row)).collect::<PgResult<Vec<_>>>()?;
                    let (group, fresh) = groups.insert(key, &self.types);
                    if fresh {
                        states.push(self.new_group()?);
                    }
                    group
                };
                for (state, call) in states[group].iter_mut().zip(self.calls.iter()) {
                    state.add(call, context, row)?;
                }
            }
            tokio::task::yield_now().await;
        }
        let mut result = Vec::with_capacity(states.len());
        for (mut row, mut states) in groups.rows.into_iter().zip(states) {
            for (state, call) in states.iter_mut().zip(self.calls.iter()) {
                row.push(state.finish(call, context)?);
            }
            result.push(row);
        }
        Ok(result)
    }
}

#[async_trait]
impl Operator for AggregateOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.result.is_none() {
            self.result = Some(self.compute(context).await?.into_iter());
        }
        Ok(self.result.as_mut().expect("computed above").by_ref().take(wanted).collect())
    }
}
