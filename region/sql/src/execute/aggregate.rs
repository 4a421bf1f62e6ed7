//! GROUP BY and aggregates, by hash.
//!
//! When the groups have grown to their bound, those that are there go on, and rows of groups that are not go to files by the
//! hash of their key; each file is then gone through in the same way, with a table of its own. What one group collects
//! (`array_agg`, DISTINCT, ORDER BY) stays in memory and counts against the statement's bound.
use super::distinct::{DEPTH_MAX, RowTable};
use super::memory::{Held, entry_bytes, row_bytes};
use super::sort::{compare_keys, key_of};
use super::spill::{OwnedReader, Partitions, SpillFile};
use super::watch::{HashFacts, Watched};
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::plan::{AggregateCall, Compiled, GroupingSets};
use crate::planted::{self, Bug};
use async_trait::async_trait;
use trivet_types::functions::aggregate::Accumulator;
use trivet_types::registry::{Body, Procedure};
use trivet_types::{Datum, Oid, PgError, PgResult, oid};

pub(crate) struct AggregateOperator {
    input: Box<dyn Operator>,
    keys: Arc<Vec<(Compiled, Oid)>>,
    types: Vec<Oid>,
    calls: Arc<Vec<AggregateCall>>,
    sets: Option<Arc<GroupingSets>>,
    groups: RowTable,
    states: Vec<Vec<State>>,
    held: Option<Held>,
    depth: usize,
    later: Option<Partitions>,
    files: Vec<(SpillFile, usize)>,
    dealt: usize,
    stage: Stage,
}

enum Stage {
    Start,
    /// Rows of a file are grouped.
    File(OwnedReader),
    /// Groups that are complete.
    Give(std::iter::Zip<std::vec::IntoIter<Row>, std::vec::IntoIter<Vec<State>>>),
    End,
}

/// About what an accumulator takes.
const STATE_BYTES: usize = 128;

/// Does an aggregate keep what it is given?
fn collects(procedure: &Procedure) -> bool {
    procedure.name.contains("agg") || procedure.is_ordered_set() || procedure.name == "mode"
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

    fn add(&mut self, call: &AggregateCall, context: &Context<'_>, row: &[Datum], held: &mut Held) -> PgResult<()> {
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
            if collects(call.procedure) {
                held.grow(row_bytes(&value))?;
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
            held.grow(entry_bytes(&values))?;
            if call.order_by.is_empty() {
                // Duplicates are found by sorting, in PostgreSQL, which shows where the order of values does.
                self.ordered.push((Vec::new(), values));
                return Ok(());
            }
        }
        if collects(call.procedure) {
            held.grow(row_bytes(&values))?;
        }
        if call.order_by.is_empty() {
            return self.accumulator.add(context.environment, &values);
        }
        let key = key_of(&call.order_by, eval, row)?;
        held.grow(row_bytes(&key) + row_bytes(&values))?;
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
        if call.procedure.is_hypothetical() {
            return super::hypothetical::place(call, &self.ordered);
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
        AggregateOperator {
            input,
            keys,
            types,
            calls,
            sets,
            groups: RowTable::default(),
            states: Vec::new(),
            held: None,
            depth: 0,
            later: None,
            files: Vec::new(),
            dealt: 0,
            stage: Stage::Start,
        }
    }

    fn new_group(&mut self, hash: u64, key: Row) -> PgResult<usize> {
        let held = self.held.as_mut().expect("held from the start");
        held.grow(entry_bytes(&key) + self.calls.len() * STATE_BYTES)?;
        self.states.push(self.calls.iter().map(State::new).collect::<PgResult<_>>()?);
        Ok(self.groups.insert_new(hash, key, &self.types))
    }

    /// Groups that are there without any row: the only one of no GROUP BY, and those of empty sets.
    fn begin(&mut self) -> PgResult<()> {
        match self.sets.clone() {
            None if self.keys.is_empty() => {
                let hash = self.groups.hash(&[], &self.types);
                self.new_group(hash, Vec::new())?;
            }
            None => {}
            Some(sets) => {
                for (at, _) in sets.sets.iter().enumerate().filter(|(_, set)| !set.contains(&true)) {
                    let key = of_set(&sets, &vec![Datum::Null; self.keys.len()], at);
                    let hash = self.groups.hash(&key, &self.types);
                    self.new_group(hash, key)?;
                }
            }
        }
        Ok(())
    }

    /// Add a row to the group of a key; if there is no room for a new one, the row (as it goes to a file) waits.
    async fn add(&mut self, context: &mut Context<'_>, key: Row, row: &[Datum], set: Option<usize>) -> PgResult<()> {
        let hash = self.groups.hash(&key, &self.types);
        let group = match self.groups.find_hashed(hash, &key, &self.types) {
            Some(group) => group,
            None => {
                let full = self.held.as_ref().is_some_and(Held::exceeds_hash) && self.depth < DEPTH_MAX;
                if full && self.later.is_none() {
                    self.later = Some(Partitions::new(context.memory, self.depth));
                }
                if let Some(later) = &mut self.later {
                    return match set {
                        None => later.push(hash, row).await,
                        Some(set) => {
                            let mut numbered = vec![set_number(set)];
                            numbered.extend_from_slice(row);
                            later.push(hash, &numbered).await
                        }
                    };
                }
                self.new_group(hash, key)?
            }
        };
        let held = self.held.as_mut().expect("held from the start");
        for (state, call) in self.states[group].iter_mut().zip(self.calls.iter()) {
            state.add(call, context, row, held)?;
        }
        Ok(())
    }

    async fn add_rows(&mut self, context: &mut Context<'_>, rows: Vec<Row>, from_file: bool) -> PgResult<()> {
        let (keys, sets) = (Arc::clone(&self.keys), self.sets.clone());
        let key_of = |context: &Context<'_>, row: &[Datum]| {
            let eval = context.eval();
            keys.iter().map(|(key, _)| key.eval(eval, row)).collect::<PgResult<Row>>()
        };
        for row in &rows {
            match &sets {
                None => {
                    let key = key_of(context, row)?;
                    self.add(context, key, row, None).await?;
                }
                Some(sets) if from_file => {
                    let lost = || PgError::internal("a row has lost its grouping set");
                    let (number, row) = row.split_first().ok_or_else(lost)?;
                    let set = number.as_i64().and_then(|number| usize::try_from(number).ok()).ok_or_else(lost)?;
                    let key = of_set(sets, &key_of(context, row)?, set);
                    self.add(context, key, row, Some(set)).await?;
                }
                Some(sets) => {
                    let key = key_of(context, row)?;
                    for set in 0..sets.sets.len() {
                        self.add(context, of_set(sets, &key, set), row, Some(set)).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn absorb(&mut self, context: &mut Context<'_>, mut file: Option<OwnedReader>) -> PgResult<()> {
        let from_file = file.is_some();
        loop {
            let rows = match &mut file {
                Some(file) => file.batch(BATCH_ROWS).await?,
                None => self.input.next(context, BATCH_ROWS).await?,
            };
            if rows.is_empty() {
                break;
            }
            self.add_rows(context, rows, from_file).await?;
            tokio::task::yield_now().await;
        }
        if let Some(later) = self.later.take() {
            let depth = self.depth + 1;
            let files = later.into_files().into_iter().filter(|file| file.rows() > 0);
            self.files.extend(files.map(|file| (file, depth)));
            self.dealt += self.files.len();
        }
        let rows = std::mem::take(&mut self.groups.rows);
        self.groups.clear();
        self.stage = Stage::Give(rows.into_iter().zip(std::mem::take(&mut self.states)));
        Ok(())
    }

    fn finish_group(&self, context: &Context<'_>, mut row: Row, mut states: Vec<State>) -> PgResult<Row> {
        let set = match &self.sets {
            None => None,
            Some(sets) => {
                let set = row.pop().and_then(|number| number.as_i64()).and_then(|number| usize::try_from(number).ok());
                Some((sets, set.ok_or_else(|| PgError::internal("a group has lost its set"))?))
            }
        };
        for (state, call) in states.iter_mut().zip(self.calls.iter()) {
            row.push(state.finish(call, context)?);
        }
        if let Some((sets, set)) = set {
            for keys in &sets.groupings {
                let bits = keys.iter().fold(0, |bits, key| bits << 1 | i32::from(!sets.sets[set][*key]));
                row.push(Datum::Int4(bits));
            }
        }
        Ok(row)
    }

    /// The next file, if one is left.
    async fn next_file(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        let held = self.held.as_mut().expect("held from the start");
        let kilobytes = held.most().div_ceil(1024);
        held.clear();
        match self.files.pop() {
            Some((file, depth)) => {
                self.depth = depth;
                self.stage = Stage::File(file.into_reader().await?);
            }
            None => {
                let batches = self.dealt + 1;
                context.note(Watched::of(&self.keys), |found| found.hash = Some(HashFacts { batches, kilobytes }));
                self.stage = Stage::End;
            }
        }
        Ok(())
    }
}

fn set_number(set: usize) -> Datum {
    Datum::Int4(i32::try_from(set).unwrap_or(i32::MAX))
}

/// The key in one grouping set: NULL for what is not in it, and the set's number.
fn of_set(sets: &GroupingSets, key: &[Datum], set: usize) -> Row {
    let parts = key.iter().zip(&sets.sets[set]);
    parts.map(|(value, is_in)| if *is_in { value.clone() } else { Datum::Null }).chain([set_number(set)]).collect()
}

#[async_trait]
impl Operator for AggregateOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::End) {
                Stage::Start => {
                    self.held = Some(context.memory.hold());
                    self.begin()?;
                    self.absorb(context, None).await?;
                }
                Stage::File(file) => self.absorb(context, Some(file)).await?,
                Stage::Give(mut groups) => {
                    let mut result = Vec::new();
                    while result.len() < wanted.min(BATCH_ROWS) {
                        let Some((row, states)) = groups.next() else { break };
                        result.push(self.finish_group(context, row, states)?);
                    }
                    if !result.is_empty() {
                        self.stage = Stage::Give(groups);
                        return Ok(result);
                    }
                    self.next_file(context).await?;
                }
                Stage::End => return Ok(Vec::new()),
            }
        }
    }
}
