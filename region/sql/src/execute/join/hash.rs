//! A join by hash: the right side goes into a table, the left side looks its rows up in it.
//!
//! ```text
//!   fits      right ──> table          left ──> probe ──> rows
//!   does not  right ──> 16 files       left ──> 16 files
//!             then file by file: a chunk of right rows that fits ──> table, the left file ──> probe ──> rows
//! ```
//! A right file that does not fit either (one key may have any number of rows) is taken chunk by chunk, and the left file is
//! read once for each: nothing has to fit, and no number of equal keys makes it go on for ever.
//!
//! - H1: a left row is done with in the last chunk only; what it matched before is remembered by its number in the file.
//! - H2: a left row with a NULL in its key matches nothing and never goes to a file; such a right one is kept if the join gives
//!   right rows that match nothing.
use super::{Pending, is_half, joined, keeps_left, keeps_right, keys_of};
use crate::execute::distinct::RowTable;
use crate::execute::memory::{Held, entry_bytes};
use crate::execute::spill::{OwnedReader, Partitions, SpillFile, SpillReader};
use crate::execute::watch::{HashFacts, Watched};
use crate::execute::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::parser::tree::JoinKind;
use crate::plan::{Compiled, Node};
use crate::planted::{self, Bug};
use async_trait::async_trait;
use smallvec::SmallVec;
use trivet_types::{Oid, PgResult};

/// Pairs of rows that are looked at before others get their turn.
const PAIRS_MAX: usize = 8 * BATCH_ROWS;

type Keys = Arc<Vec<(Compiled, Oid)>>;

pub(crate) struct HashJoin {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    left_keys: Keys,
    right_keys: Keys,
    key_types: Vec<Oid>,
    condition: Option<Arc<Compiled>>,
    left_width: usize,
    right_width: usize,
    table: Table,
    held: Option<Held>,
    stage: Stage,
    left_rows: std::vec::IntoIter<Row>,
    probing: Option<Probing>,
    pending: Pending,
}

/// Right rows by key.
#[derive(Default)]
struct Table {
    keys: RowTable,
    /// Rows of each key.
    rows_of: Vec<SmallVec<[u32; 4]>>,
    rows: Vec<Row>,
    matched: Vec<bool>,
}

impl Table {
    fn clear(&mut self) {
        self.keys.clear();
        self.rows_of.clear();
        self.rows.clear();
        self.matched.clear();
    }
}

enum Stage {
    Start,
    /// All in memory: left rows come from the operator.
    Probe,
    /// Left rows go to files.
    Deal {
        right: Vec<SpillFile>,
        left: Partitions,
    },
    /// Pairs of files that are left, last first.
    Files {
        pairs: Vec<(SpillFile, SpillFile)>,
        current: Option<Box<Pair>>,
    },
    End,
}

/// Two files of equal hashes at work.
struct Pair {
    right: OwnedReader,
    left: SpillFile,
    left_reader: Option<SpillReader>,
    /// Per left row: it matched something in this chunk or one before (H1).
    left_matched: Vec<bool>,
    /// The next left row's number.
    number: usize,
    /// No more right rows after this chunk.
    last: bool,
}

/// The left row at hand.
struct Probing {
    row: Row,
    place: Option<usize>,
    /// Which of the key's rows comes next.
    at: usize,
    any: bool,
    /// Its number in the left file.
    number: usize,
}

impl HashJoin {
    pub fn new(node: &Node, left: Box<dyn Operator>, right: Box<dyn Operator>) -> HashJoin {
        let Node::HashJoin { kind, left_keys, right_keys, condition, left_width, right_width, .. } = node else {
            unreachable!("built of a hash join")
        };
        HashJoin {
            kind: *kind,
            left,
            right,
            key_types: left_keys.iter().map(|(_, type_oid)| *type_oid).collect(),
            left_keys: Arc::clone(left_keys),
            right_keys: Arc::clone(right_keys),
            condition: condition.clone(),
            left_width: *left_width,
            right_width: *right_width,
            table: Table::default(),
            held: None,
            stage: Stage::Start,
            left_rows: Vec::new().into_iter(),
            probing: None,
            pending: Pending::default(),
        }
    }

    /// Put a right row into the table.
    fn add(&mut self, key: Option<Row>, row: Row) -> PgResult<()> {
        if key.is_none() && !keeps_right(self.kind) {
            return Ok(());
        }
        let at = self.table.rows.len() as u32;
        let held = self.held.as_mut().expect("held from the start");
        held.grow(entry_bytes(&row) + key.as_deref().map_or(0, entry_bytes))?;
        self.table.rows.push(row);
        self.table.matched.push(false);
        let Some(key) = key else { return Ok(()) };
        let (place, fresh) = self.table.keys.insert(key, &self.key_types);
        if fresh {
            self.table.rows_of.push(SmallVec::new());
        }
        self.table.rows_of[place].push(at);
        Ok(())
    }

    fn hash_of(&self, key: Option<&Row>) -> u64 {
        key.map_or(0, |key| self.table.keys.hash(key, &self.key_types))
    }

    async fn build(&mut self, context: &mut Context<'_>) -> PgResult<Stage> {
        self.held = Some(context.memory.hold());
        let mut files: Option<Partitions> = None;
        loop {
            let rows = self.right.next(context, BATCH_ROWS).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let key = keys_of(&self.right_keys, context, &row)?;
                match &mut files {
                    None => self.add(key, row)?,
                    Some(_) if key.is_none() && !keeps_right(self.kind) => {}
                    Some(files) => files.push(self.hash_of(key.as_ref()), &row).await?,
                }
                if files.is_none() && self.held.as_ref().is_some_and(Held::exceeds_hash) {
                    let mut dealt = Partitions::new(context.memory, 0);
                    for row in std::mem::take(&mut self.table.rows) {
                        let key = keys_of(&self.right_keys, context, &row)?;
                        dealt.push(self.hash_of(key.as_ref()), &row).await?;
                    }
                    self.table.clear();
                    self.held.as_mut().expect("held above").clear();
                    files = Some(dealt);
                }
            }
            tokio::task::yield_now().await;
        }
        let batches = files.as_ref().map_or(1, |_| super::super::spill::PARTITIONS);
        let kilobytes = self.held.as_ref().map_or(0, Held::most).div_ceil(1024);
        context.note(Watched::of(&self.right_keys), |found| found.hash = Some(HashFacts { batches, kilobytes }));
        Ok(match files {
            None => Stage::Probe,
            Some(right) => Stage::Deal { right: right.into_files(), left: Partitions::new(context.memory, 0) },
        })
    }

    fn begin(&mut self, context: &Context<'_>, row: Row, any: bool, number: usize) -> PgResult<()> {
        let key = keys_of(&self.left_keys, context, &row)?;
        let place = key.and_then(|key| self.table.keys.find(&key, &self.key_types));
        self.probing = Some(Probing { row, place, at: 0, any, number });
        Ok(())
    }

    /// Go on with the left row at hand; `false`: enough is pending and it is not done.
    fn go_on(&mut self, context: &Context<'_>, wanted: usize) -> PgResult<bool> {
        let Some(probing) = &mut self.probing else { return Ok(true) };
        let rows: &[u32] = probing.place.map_or(&[], |place| &self.table.rows_of[place]);
        let enough = probing.at + PAIRS_MAX;
        while probing.at < rows.len() && !(probing.any && is_half(self.kind)) {
            if self.pending.rows.len() >= wanted || probing.at >= enough {
                return Ok(false);
            }
            let at = rows[probing.at] as usize;
            probing.at += 1;
            let both = joined(&probing.row, &self.table.rows[at]);
            let passes = match &self.condition {
                Some(condition) => condition.test(context.eval(), &both)?,
                None => true,
            };
            if passes {
                probing.any = true;
                self.table.matched[at] = true;
                if !is_half(self.kind) {
                    self.pending.rows.push_back(both);
                }
            }
        }
        Ok(true)
    }

    /// The left row at hand is done with in this chunk.
    fn finish_left(&mut self, last: bool) {
        let Some(probing) = self.probing.take() else { return };
        let preserved = matches!(self.kind, JoinKind::Left | JoinKind::Full);
        let any = probing.any || (preserved && planted::on(Bug::OuterJoinFilters));
        if last {
            self.pending.finish_left(self.kind, probing.row, any, self.right_width);
        }
    }

    fn give_unmatched(&mut self) {
        if !keeps_right(self.kind) {
            return;
        }
        for (row, matched) in self.table.rows.iter().zip(&self.table.matched) {
            if !matched {
                self.pending.push_right(self.left_width, row);
            }
        }
    }

    /// All in memory: one more left row, or a batch of them.
    async fn probe(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<()> {
        if self.probing.is_some() {
            if self.go_on(context, wanted)? {
                self.finish_left(true);
            } else {
                tokio::task::yield_now().await;
            }
            return Ok(());
        }
        if let Some(row) = self.left_rows.next() {
            return self.begin(context, row, false, 0);
        }
        let nothing = self.table.rows.is_empty() && !keeps_left(self.kind);
        let rows = if nothing { Vec::new() } else { self.left.next(context, wanted).await? };
        if rows.is_empty() {
            self.give_unmatched();
            self.stage = Stage::End;
        }
        self.left_rows = rows.into_iter();
        Ok(())
    }

    /// Deal a batch of left rows out to files.
    async fn deal(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        let rows = self.left.next(context, BATCH_ROWS).await?;
        let Stage::Deal { left, .. } = &mut self.stage else { return Ok(()) };
        if rows.is_empty() {
            let Stage::Deal { right, left } = std::mem::replace(&mut self.stage, Stage::End) else { return Ok(()) };
            let pairs = right.into_iter().zip(left.into_files()).rev().collect();
            self.stage = Stage::Files { pairs, current: None };
            return Ok(());
        }
        for row in rows {
            match keys_of(&self.left_keys, context, &row)? {
                Some(key) => left.push(self.table.keys.hash(&key, &self.key_types), &row).await?,
                None => self.pending.finish_left(self.kind, row, false, self.right_width),
            }
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Fill the table with right rows of the pair at hand.
    async fn load(&mut self, context: &mut Context<'_>, pair: &mut Pair) -> PgResult<()> {
        self.table.clear();
        self.held.as_mut().expect("held from the start").clear();
        while !self.held.as_ref().is_some_and(Held::exceeds_hash) {
            let rows = pair.right.batch(64).await?;
            if rows.is_empty() {
                pair.last = true;
                break;
            }
            for row in rows {
                let key = keys_of(&self.right_keys, context, &row)?;
                self.add(key, row)?;
            }
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    /// One step with the files.
    async fn work(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<()> {
        let Stage::Files { pairs, current } = &mut self.stage else { return Ok(()) };
        let Some(mut pair) = current.take() else {
            let Some((right, mut left)) = pairs.pop() else {
                self.table.clear();
                self.stage = Stage::End;
                return Ok(());
            };
            if (left.rows() == 0 && !keeps_right(self.kind)) || (right.rows() == 0 && !keeps_left(self.kind)) {
                return Ok(());
            }
            left.flush().await?;
            let left_matched = vec![false; left.rows() as usize];
            let right = right.into_reader().await?;
            let pair = Pair { right, left, left_reader: None, left_matched, number: 0, last: false };
            *current = Some(Box::new(pair));
            return Ok(());
        };
        let result = self.work_pair(context, &mut pair, wanted).await;
        if !result? {
            if let Stage::Files { current, .. } = &mut self.stage {
                *current = Some(pair);
            }
        }
        Ok(())
    }

    /// `true`: the pair is done with.
    async fn work_pair(&mut self, context: &mut Context<'_>, pair: &mut Pair, wanted: usize) -> PgResult<bool> {
        if self.probing.is_some() {
            if self.go_on(context, wanted)? {
                if let Some(probing) = &self.probing {
                    pair.left_matched[probing.number] = probing.any;
                }
                self.finish_left(pair.last);
            } else {
                tokio::task::yield_now().await;
            }
            return Ok(false);
        }
        if let Some(row) = self.left_rows.next() {
            let number = pair.number;
            pair.number += 1;
            let any = pair.left_matched[number];
            self.begin(context, row, any, number)?;
            return Ok(false);
        }
        match &mut pair.left_reader {
            None => {
                self.load(context, pair).await?;
                pair.number = 0;
                pair.left_reader = Some(pair.left.reader(0, pair.left.position()));
            }
            Some(reader) => {
                let rows = reader.batch(wanted.max(64)).await?;
                if rows.is_empty() {
                    self.give_unmatched();
                    pair.left_reader = None;
                    return Ok(pair.last);
                }
                self.left_rows = rows.into_iter();
            }
        }
        Ok(false)
    }
}

#[async_trait]
impl Operator for HashJoin {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        while self.pending.rows.len() < wanted {
            match &self.stage {
                Stage::Start => self.stage = self.build(context).await?,
                Stage::Probe => self.probe(context, wanted).await?,
                Stage::Deal { .. } => self.deal(context).await?,
                Stage::Files { .. } => self.work(context, wanted).await?,
                Stage::End => break,
            }
        }
        Ok(self.pending.take(wanted))
    }
}
