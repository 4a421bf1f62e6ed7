//! Window functions: the whole input, sorted by partition and order (on disk if it is large), each partition by itself. A
//! partition's rows are in memory and count against the statement's bound.
//!
//! Words: *peers* are rows of a partition that are equal by the order; a *frame* is a range of a partition's rows, less what
//! EXCLUDE leaves out. An aggregate whose frame only grows is carried on; for any other frame it is computed anew.
use super::memory::{Held, row_bytes};
use super::sort::{Keyed, Sorted, Sorter, compare_keys, key_of};
use super::watch::Watched;
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::parser::tree::{FrameExclude, FrameUnit};
use crate::plan::{
    Compiled, EvalContext, FrameBoundNode, FrameNode, FrameOffsetNode, SortKey, WindowCallNode, WindowNode,
};
use async_trait::async_trait;
use std::cmp::Ordering;
use std::ops::Range;
use trivet_types::functions::WindowFunction;
use trivet_types::functions::aggregate::Accumulator;
use trivet_types::registry::Body;
use trivet_types::{Datum, Interval, PgError, PgResult, SqlState, compare};

pub(crate) struct WindowOperator {
    input: Box<dyn Operator>,
    node: Arc<WindowNode>,
    /// Partition columns, then the order.
    keys: Arc<Vec<SortKey>>,
    sorted: Option<Sorted>,
    /// The first row of the next partition.
    ahead: Option<Keyed>,
    result: std::vec::IntoIter<Row>,
    held: Option<Held>,
}

impl WindowOperator {
    pub fn new(input: Box<dyn Operator>, node: Arc<WindowNode>) -> WindowOperator {
        let keys = Arc::new(node.partition.iter().chain(&node.order).cloned().collect());
        WindowOperator { input, node, keys, sorted: None, ahead: None, result: Vec::new().into_iter(), held: None }
    }

    async fn sort(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        let mut sorter = Sorter::new(context.memory, Arc::clone(&self.keys), None);
        loop {
            let rows = self.input.next(context, BATCH_ROWS).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let key = key_of(&self.keys, context.eval(), &row)?;
                sorter.push(key, row).await?;
            }
            tokio::task::yield_now().await;
        }
        let (mut sorted, facts) = sorter.finish().await?;
        context.note(Watched::of(&self.node), |found| found.sort = Some(facts));
        self.ahead = sorted.next().await?;
        self.sorted = Some(sorted);
        self.held = Some(context.memory.hold());
        Ok(())
    }

    /// The rows of the next partition, with their values; none: the end.
    async fn partition(&mut self, context: &mut Context<'_>) -> PgResult<Vec<Row>> {
        let (Some(sorted), Some(held)) = (&mut self.sorted, &mut self.held) else { return Ok(Vec::new()) };
        let Some(first) = self.ahead.take() else { return Ok(Vec::new()) };
        let split = self.node.partition.len();
        held.clear();
        let mut rows: Vec<Keyed> = vec![first];
        while let Some(next) = sorted.next().await? {
            if compare_keys(&rows[0].0[..split], &next.0[..split], &self.node.partition).is_ne() {
                self.ahead = Some(next);
                break;
            }
            held.grow(row_bytes(&next.0) + row_bytes(&next.1))?;
            rows.push(next);
        }
        let values = {
            let partition = Partition::new(&rows, split, &self.node.order, context.eval());
            let calls = self.node.calls.iter().map(|call| partition.values(call));
            calls.collect::<PgResult<Vec<_>>>()?
        };
        for (number, (_, row)) in rows.iter_mut().enumerate() {
            row.extend(values.iter().map(|values| values[number].clone()));
        }
        tokio::task::yield_now().await;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

#[async_trait]
impl Operator for WindowOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.sorted.is_none() {
            self.sort(context).await?;
        }
        let mut batch = Vec::new();
        while batch.len() < wanted.min(BATCH_ROWS) {
            match self.result.next() {
                Some(row) => batch.push(row),
                None => {
                    let rows = self.partition(context).await?;
                    if rows.is_empty() {
                        break;
                    }
                    self.result = rows.into_iter();
                }
            }
        }
        Ok(batch)
    }
}

/// The rows of one partition, in order.
struct Partition<'p> {
    rows: &'p [(Vec<Datum>, Row)],
    /// Where the ordering values begin in a row's key.
    split: usize,
    order: &'p [SortKey],
    /// Per row: the number of its group of peers.
    group_of: Vec<usize>,
    groups: Vec<Range<usize>>,
    eval: EvalContext<'p>,
}

fn error(code: [u8; 5], message: impl Into<String>) -> Box<PgError> {
    PgError::new(SqlState(code), message)
}

impl<'p> Partition<'p> {
    fn new(rows: &'p [(Vec<Datum>, Row)], split: usize, order: &'p [SortKey], eval: EvalContext<'p>) -> Partition<'p> {
        let mut group_of = Vec::with_capacity(rows.len());
        let mut groups: Vec<Range<usize>> = Vec::new();
        for at in 0..rows.len() {
            let peer = at > 0 && compare_keys(&rows[at - 1].0[split..], &rows[at].0[split..], order).is_eq();
            match groups.last_mut() {
                Some(group) if peer => group.end = at + 1,
                _ => groups.push(at..at + 1),
            }
            group_of.push(groups.len() - 1);
        }
        Partition { rows, split, order, group_of, groups, eval }
    }

    fn argument(&self, call: &WindowCallNode, argument: usize, at: usize) -> PgResult<Datum> {
        match call.arguments.get(argument) {
            Some(argument) => argument.eval(self.eval, &self.rows[at].1),
            None => Ok(Datum::Null),
        }
    }

    fn peers(&self, at: usize) -> &Range<usize> {
        &self.groups[self.group_of[at]]
    }

    fn values(&self, call: &WindowCallNode) -> PgResult<Vec<Datum>> {
        use WindowFunction as W;
        let count = self.rows.len();
        let function = match call.procedure.body {
            Body::Window(function) => function,
            Body::Aggregate(new) => return self.aggregate(call, &|| new(&call.argument_types)),
            _ => return Err(PgError::internal(format!("{} is no window function", call.procedure.name))),
        };
        let each = |value: &dyn Fn(usize) -> PgResult<Datum>| (0..count).map(value).collect();
        match function {
            W::RowNumber => each(&|at| Ok(Datum::Int8(at as i64 + 1))),
            W::Rank => each(&|at| Ok(Datum::Int8(self.peers(at).start as i64 + 1))),
            W::DenseRank => each(&|at| Ok(Datum::Int8(self.group_of[at] as i64 + 1))),
            W::PercentRank if count <= 1 => each(&|_| Ok(Datum::Float8(0.0))),
            W::PercentRank => each(&|at| Ok(Datum::Float8(self.peers(at).start as f64 / (count - 1) as f64))),
            W::CumeDist => each(&|at| Ok(Datum::Float8(self.peers(at).end as f64 / count as f64))),
            W::Ntile => self.ntile(call),
            W::Lag | W::Lead => each(&|at| self.shifted(call, at, function == W::Lead)),
            W::FirstValue | W::LastValue | W::NthValue => self.framed_values(call, function),
        }
    }

    /// As many rows in each bucket as in any other, the first ones having one more.
    fn ntile(&self, call: &WindowCallNode) -> PgResult<Vec<Datum>> {
        let count = self.rows.len();
        let Some(buckets) = self.argument(call, 0, 0)?.as_i64() else { return Ok(vec![Datum::Null; count]) };
        let buckets = match usize::try_from(buckets) {
            Ok(buckets) if buckets > 0 => buckets,
            _ => return Err(error(*b"22014", "argument of ntile must be greater than zero")),
        };
        let (size, larger) = (count / buckets, count % buckets);
        let boundary = larger * (size + 1);
        let bucket = |at: usize| if at < boundary { at / (size + 1) } else { larger + (at - boundary) / size.max(1) };
        Ok((0..count).map(|at| Datum::Int4(i32::try_from(bucket(at) + 1).unwrap_or(i32::MAX))).collect())
    }

    fn shifted(&self, call: &WindowCallNode, at: usize, forward: bool) -> PgResult<Datum> {
        let offset = match call.arguments.len() {
            0 | 1 => 1,
            _ => match self.argument(call, 1, at)?.as_i64() {
                Some(offset) => offset,
                None => return Ok(Datum::Null),
            },
        };
        let place = at as i64 + if forward { offset } else { -offset };
        match usize::try_from(place) {
            Ok(place) if place < self.rows.len() => self.argument(call, 0, place),
            _ => self.argument(call, 2, at),
        }
    }

    fn framed_values(&self, call: &WindowCallNode, function: WindowFunction) -> PgResult<Vec<Datum>> {
        let frames = Frames::new(self, &call.frame)?;
        let mut values = Vec::with_capacity(self.rows.len());
        for at in 0..self.rows.len() {
            if at % BATCH_ROWS == 0 {
                self.eval.environment.check_interrupt()?;
            }
            let parts = frames.parts(at)?;
            let wanted = match function {
                WindowFunction::FirstValue => parts.iter().flat_map(Range::clone).next(),
                WindowFunction::LastValue => parts.iter().rev().flat_map(|part| part.clone().rev()).next(),
                _ => {
                    let Some(nth) = self.argument(call, 1, at)?.as_i64() else {
                        values.push(Datum::Null);
                        continue;
                    };
                    let nth = usize::try_from(nth - 1)
                        .map_err(|_| error(*b"22016", "argument of nth_value must be greater than zero"))?;
                    parts.iter().flat_map(Range::clone).nth(nth)
                }
            };
            values.push(match wanted {
                Some(place) => self.argument(call, 0, place)?,
                None => Datum::Null,
            });
        }
        Ok(values)
    }

    fn aggregate(&self, call: &WindowCallNode, new: &dyn Fn() -> Box<dyn Accumulator>) -> PgResult<Vec<Datum>> {
        let frames = Frames::new(self, &call.frame)?;
        let grows = matches!(call.frame.start, FrameBoundNode::UnboundedPreceding)
            && call.frame.exclude == FrameExclude::NoOthers
            && finishes_gently(call.procedure.name);
        let mut values: Vec<Datum> = Vec::with_capacity(self.rows.len());
        let mut accumulator = new();
        let mut last: Option<Parts> = None;
        let mut added = 0usize;
        for at in 0..self.rows.len() {
            let parts = frames.parts(at)?;
            if last.as_ref() == Some(&parts) {
                let value = values.last().cloned().expect("the last row has a value");
                values.push(value);
                continue;
            }
            let done = match &last {
                Some(last) if grows && last.end() <= parts.end() => last.end(),
                _ => {
                    accumulator = new();
                    0
                }
            };
            for place in parts.iter().flat_map(Range::clone).filter(|place| *place >= done) {
                self.add(call, &mut *accumulator, place)?;
                added += 1;
                if added % BATCH_ROWS == 0 {
                    self.eval.environment.check_interrupt()?;
                }
            }
            values.push(accumulator.finish()?);
            last = Some(parts);
        }
        Ok(values)
    }

    fn add(&self, call: &WindowCallNode, accumulator: &mut dyn Accumulator, at: usize) -> PgResult<()> {
        let row = &self.rows[at].1;
        if let Some(filter) = &call.filter {
            if !filter.test(self.eval, row)? {
                return Ok(());
            }
        }
        let values =
            call.arguments.iter().map(|argument| argument.eval(self.eval, row)).collect::<PgResult<Vec<_>>>()?;
        if call.skips_null && values.first().is_some_and(Datum::is_null) {
            return Ok(());
        }
        accumulator.add(self.eval.environment, &values)
    }
}

/// Accumulators that can go on after they were asked for their result.
fn finishes_gently(name: &str) -> bool {
    matches!(name, "count" | "sum" | "avg" | "bool_and" | "bool_or" | "every")
        || name.starts_with("stddev")
        || name.starts_with("var")
}

/// A frame's rows: at most three ranges, the current row or its peers being left out between them.
#[derive(PartialEq, Eq)]
struct Parts {
    ranges: [Range<usize>; 3],
}

impl Parts {
    fn iter(&self) -> impl DoubleEndedIterator<Item = &Range<usize>> {
        self.ranges.iter()
    }
    fn end(&self) -> usize {
        self.ranges[2].end
    }
}

struct Frames<'f> {
    partition: &'f Partition<'f>,
    frame: &'f FrameNode,
    start: Option<Offset<'f>>,
    end: Option<Offset<'f>>,
}

/// An offset with its value.
struct Offset<'f> {
    value: Datum,
    node: &'f FrameOffsetNode,
}

fn offset<'f>(
    bound: &'f FrameBoundNode,
    partition: &Partition<'_>,
    unit: FrameUnit,
    side: &str,
) -> PgResult<Option<Offset<'f>>> {
    let (FrameBoundNode::Preceding(node) | FrameBoundNode::Following(node)) = bound else { return Ok(None) };
    let value = node.value.eval(partition.eval, &[])?;
    if value.is_null() {
        return Err(error(*b"22004", format!("frame {side} offset must not be null")));
    }
    let negative = match &value {
        Datum::Float4(value) => *value < 0.0 || value.is_nan(),
        Datum::Float8(value) => *value < 0.0 || value.is_nan(),
        Datum::Numeric(_) => compare(trivet_types::oid::NUMERIC, &value, &Datum::numeric(0i64.into())).is_lt(),
        Datum::Interval(_) => {
            compare(trivet_types::oid::INTERVAL, &value, &Datum::Interval(Interval::default())).is_lt()
        }
        value => value.as_i64().is_some_and(|value| value < 0),
    };
    if negative && unit == FrameUnit::Range {
        return Err(error(*b"22013", "invalid preceding or following size in window function"));
    }
    if negative {
        return Err(error(*b"22013", format!("frame {side} offset must not be negative")));
    }
    Ok(Some(Offset { value, node }))
}

impl<'f> Frames<'f> {
    fn new(partition: &'f Partition<'f>, frame: &'f FrameNode) -> PgResult<Frames<'f>> {
        let start = offset(&frame.start, partition, frame.unit, "starting")?;
        let end = offset(&frame.end, partition, frame.unit, "ending")?;
        Ok(Frames { partition, frame, start, end })
    }

    /// The frame of a row.
    fn parts(&self, at: usize) -> PgResult<Parts> {
        let start = self.bound(at, &self.frame.start, self.start.as_ref(), true)?;
        let end = self.bound(at, &self.frame.end, self.end.as_ref(), false)?.max(start);
        let peers = self.partition.peers(at);
        let cut = |out: Range<usize>| {
            let (from, to) = (out.start.clamp(start, end), out.end.clamp(start, end));
            [start..from, to..to, to..end]
        };
        let ranges = match self.frame.exclude {
            FrameExclude::NoOthers => [start..start, start..start, start..end],
            FrameExclude::CurrentRow => cut(at..at + 1),
            FrameExclude::Group => cut(peers.clone()),
            FrameExclude::Ties => {
                let mut ranges = cut(peers.clone());
                if (start..end).contains(&at) {
                    ranges[1] = at..at + 1;
                }
                ranges
            }
        };
        Ok(Parts { ranges })
    }

    /// Where the frame of a row begins, or ends.
    fn bound(&self, at: usize, bound: &FrameBoundNode, offset: Option<&Offset<'_>>, is_start: bool) -> PgResult<usize> {
        let count = self.partition.rows.len();
        let (forward, offset) = match (bound, offset) {
            (FrameBoundNode::UnboundedPreceding, _) => return Ok(0),
            (FrameBoundNode::UnboundedFollowing, _) => return Ok(count),
            (FrameBoundNode::CurrentRow, _) => {
                let peers = self.partition.peers(at);
                return Ok(match (self.frame.unit, is_start) {
                    (FrameUnit::Rows, true) => at,
                    (FrameUnit::Rows, false) => at + 1,
                    (_, true) => peers.start,
                    (_, false) => peers.end,
                });
            }
            (FrameBoundNode::Preceding(_), Some(offset)) => (false, offset),
            (FrameBoundNode::Following(_), Some(offset)) => (true, offset),
            _ => return Err(PgError::internal("a frame bound has its offset")),
        };
        let moved = |from: usize, count: usize| {
            let by = offset.value.as_i64().and_then(|by| usize::try_from(by).ok()).unwrap_or(usize::MAX);
            let limit = count;
            if forward { from.saturating_add(by).min(limit) as i64 } else { from as i64 - by.min(limit + 1) as i64 }
        };
        match self.frame.unit {
            FrameUnit::Rows => {
                let place = moved(at, count) + i64::from(!is_start);
                Ok(usize::try_from(place).unwrap_or(0).min(count))
            }
            FrameUnit::Groups => {
                let groups = &self.partition.groups;
                let place = moved(self.partition.group_of[at], groups.len());
                Ok(match usize::try_from(place) {
                    Err(_) => 0,
                    Ok(group) if group >= groups.len() => count,
                    Ok(group) if is_start => groups[group].start,
                    Ok(group) => groups[group].end,
                })
            }
            FrameUnit::Range => self.range_bound(at, offset, forward, is_start),
        }
    }

    /// The first row that is not before, or not after, the ordering value moved by the offset.
    fn range_bound(&self, at: usize, offset: &Offset<'_>, forward: bool, is_start: bool) -> PgResult<usize> {
        let partition = self.partition;
        let key = &partition.order[0];
        let value = |row: usize| &partition.rows[row].0[partition.split];
        let current = value(at);
        if current.is_null() {
            let peers = partition.peers(at);
            return Ok(if is_start { peers.start } else { peers.end });
        }
        // Upwards in value is backwards in a descending order.
        let up = forward != key.descending;
        let moved = self.moved(current, offset, up)?;
        let order = |row: usize| -> Ordering {
            if value(row).is_null() {
                return if key.nulls_first { Ordering::Less } else { Ordering::Greater };
            }
            let order = match &moved {
                Moved::Integer(moved) => i128::from(value(row).as_i64().unwrap_or_default()).cmp(moved),
                Moved::Value(moved) => compare(offset.node.moved_type, &comparable(value(row), moved), moved),
            };
            if key.descending { order.reverse() } else { order }
        };
        let (mut low, mut high) = (0, partition.rows.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let before = match order(middle) {
                Ordering::Less => true,
                Ordering::Equal => !is_start,
                Ordering::Greater => false,
            };
            if before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn moved(&self, current: &Datum, offset: &Offset<'_>, up: bool) -> PgResult<Moved> {
        let eval = self.partition.eval;
        Ok(match (&offset.node.moves, current.as_i64(), offset.value.as_i64()) {
            (None, Some(current), Some(by)) => {
                let (current, by) = (i128::from(current), i128::from(by));
                Moved::Integer(if up { current + by } else { current - by })
            }
            (Some((minus, plus)), _, _) => {
                let pair = [current.clone(), offset.value.clone()];
                let expr: &Compiled = if up { plus } else { minus };
                Moved::Value(expr.eval(eval, &pair)?)
            }
            _ => return Err(PgError::internal("a frame offset that nothing moves by")),
        })
    }
}

enum Moved {
    Integer(i128),
    Value(Datum),
}

/// A date beside a timestamp is its midnight.
fn comparable(value: &Datum, beside: &Datum) -> Datum {
    const DAY: i64 = 86_400_000_000;
    match (value, beside) {
        (Datum::Date(i32::MIN), Datum::Timestamp(_)) => Datum::Timestamp(i64::MIN),
        (Datum::Date(i32::MAX), Datum::Timestamp(_)) => Datum::Timestamp(i64::MAX),
        (Datum::Date(days), Datum::Timestamp(_)) => Datum::Timestamp(i64::from(*days).saturating_mul(DAY)),
        (value, _) => value.clone(),
    }
}
