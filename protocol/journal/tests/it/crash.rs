//! Crashes anywhere, against a model. What was synced is there; what was not may be, as a prefix; nothing else ever is.
use crate::common::*;
use proptest::prelude::*;
use std::sync::Arc;
use trivet_files::{MemoryFiles, VolatileFiles, VolatileOptions};
use trivet_journal::{Journal, JournalError};
use trivet_log::{Entry, Index, NodeId, Persist, Position, Recovered, Term};

#[derive(Clone, Debug)]
enum Step {
    /// Entries of these sizes, of the current term or the next.
    Append {
        sizes: Vec<usize>,
        next_term: bool,
    },
    /// Back by so many entries, then these instead, in one persist.
    Replace {
        back: u64,
        sizes: Vec<usize>,
    },
    Cut {
        back: u64,
    },
    /// The base moves so far beyond the older of base and floor.
    Base {
        ahead: u64,
    },
    Vote,
    Sync,
    Prune {
        above: u64,
    },
    /// A clean restart, a kill, a loss of power.
    Restart,
    Kill,
    PowerLoss {
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = || prop::collection::vec(prop_oneof![4 => 0..300usize, 1 => 300..6000usize], 1..6);
    prop_oneof![
        8 => (sizes(), prop::bool::weighted(0.3)).prop_map(|(sizes, next_term)| Step::Append { sizes, next_term }),
        2 => (0..8u64, sizes()).prop_map(|(back, sizes)| Step::Replace { back, sizes }),
        1 => (0..8u64).prop_map(|back| Step::Cut { back }),
        1 => (0..12u64).prop_map(|ahead| Step::Base { ahead }),
        1 => Just(Step::Vote),
        6 => Just(Step::Sync),
        1 => (0..20u64).prop_map(|above| Step::Prune { above }),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        3 => any::<u64>().prop_map(|seed| Step::PowerLoss { seed }),
    ]
}

/// What the journal should hold, entry by entry.
#[derive(Clone, PartialEq, Debug, Default)]
struct Log {
    base: Position,
    entries: Vec<Entry>,
}

impl Log {
    fn last(&self) -> Position {
        self.entries.last().map_or(self.base, |entry| entry.position)
    }

    fn position(&self, index: u64) -> Position {
        if index == self.base.index.0 {
            self.base
        } else {
            self.entries[(index - self.base.index.0 - 1) as usize].position
        }
    }
}

struct Model {
    below: MemoryFiles,
    files: Arc<VolatileFiles>,
    journal: Journal,
    /// The log after each frame since the last sync; the first is what is durable.
    logs: Vec<Log>,
    /// Durable, and applied.
    votes: (u64, u64),
    term: u64,
    /// Nothing at or below is cut: it is committed, as it were.
    floor: u64,
    boot: u64,
}

impl Model {
    fn new() -> Model {
        let below = MemoryFiles::new();
        let files = volatile(&below);
        let (journal, _) = open_in(files.clone());
        Model { below, files, journal, logs: vec![Log::default()], votes: (0, 0), term: 1, floor: 0, boot: 1 }
    }

    fn log(&self) -> &Log {
        self.logs.last().expect("there is always one")
    }

    fn grow(&mut self, sizes: &[usize]) -> Vec<Entry> {
        let mut added = Vec::new();
        for &size in sizes {
            let mut log = self.log().clone();
            let next = entry(self.term, log.last().index.0 + 1, size);
            log.entries.push(next.clone());
            added.push(next);
            self.logs.push(log);
        }
        added
    }

    /// The cut's position, if there is anything to cut.
    fn cut(&mut self, back: u64) -> Option<Position> {
        let mut log = self.log().clone();
        let lowest = self.floor.max(log.base.index.0);
        let to = log.last().index.0.saturating_sub(back).max(lowest);
        if to >= log.last().index.0 {
            return None;
        }
        let position = log.position(to);
        log.entries.truncate((to - log.base.index.0) as usize);
        self.logs.push(log);
        Some(position)
    }

    fn apply(&mut self, persist: Persist) {
        self.journal.apply(&persist).expect("the journal is alive");
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Append { sizes, next_term } => {
                self.term += u64::from(next_term);
                let entries = self.grow(&sizes);
                self.apply(Persist { entries, ..persist() });
            }
            Step::Replace { back, sizes } => {
                self.term += 1;
                let truncate = self.cut(back);
                let entries = self.grow(&sizes);
                self.apply(Persist { truncate, entries, ..persist() });
            }
            Step::Cut { back } => {
                let truncate = self.cut(back);
                self.apply(Persist { truncate, ..persist() });
            }
            Step::Base { ahead } => {
                let mut log = self.log().clone();
                let to = log.base.index.0 + ahead;
                let position = if to <= log.last().index.0 { log.position(to) } else { Position::new(self.term, to) };
                log.entries.retain(|entry| entry.index().0 > to);
                log.base = position;
                self.floor = self.floor.max(to);
                self.logs.push(log);
                self.apply(base(position.term.0, position.index.0));
            }
            Step::Vote => {
                self.votes.1 += 1;
                self.apply(vote(self.votes.1, Some((self.votes.1 % 3) as u8)));
            }
            Step::Sync => self.sync(),
            Step::Prune { above } => {
                self.sync();
                let keep_from = (self.log().base.index.0 + above).min(self.log().last().index.0 + 1);
                self.floor = self.floor.max(keep_from.saturating_sub(1));
                self.journal.prune(Index(keep_from)).expect("the disk works");
                self.rebase(self.journal.base());
            }
            Step::Restart => {
                self.sync();
                self.reopen()?;
            }
            Step::Kill => {
                self.logs.truncate(1);
                self.votes.1 = self.votes.0;
                self.reopen()?;
            }
            Step::PowerLoss { seed } => {
                self.files.crash(seed).expect("memory takes what leaks");
                self.reopen()?;
            }
        }
        self.check()
    }

    fn sync(&mut self) {
        let durable = self.journal.sync().expect("the disk works");
        assert_eq!(durable, self.log().last());
        self.logs.drain(..self.logs.len() - 1);
        self.votes.0 = self.votes.1;
    }

    /// The journal may forget more than it was asked to, segment by segment, but nothing above the floor.
    fn rebase(&mut self, base: Position) {
        assert!(base.index.0 <= self.floor.max(self.logs[0].base.index.0), "{base} was still needed");
        for log in &mut self.logs {
            if base.index > log.base.index {
                log.entries.retain(|entry| entry.index() > base.index);
                log.base = base;
            }
        }
    }

    fn reopen(&mut self) -> Result<(), TestCaseError> {
        self.files = volatile(&self.below);
        let (journal, recovered) = open_in(self.files.clone());
        self.journal = journal;
        self.boot += 1;
        prop_assert_eq!(recovered.boot.0, self.boot, "boots are counted");
        prop_assert_eq!(recovered.rotten_up_to, None, "a crash is no rot");
        let vote = recovered.term.0;
        prop_assert!(vote == self.votes.0 || vote == self.votes.1, "term {} came back", vote);
        prop_assert_eq!(recovered.voted_for, (vote > 0).then_some(NodeId((vote % 3) as u8)));
        self.votes = (vote, vote);
        self.settle(&recovered)
    }

    /// The recovered log is one of those since the last sync. (An older base is fine: those entries were not needed.)
    fn settle(&mut self, recovered: &Recovered) -> Result<(), TestCaseError> {
        let found = self.logs.iter().rev().find(|log| {
            let above = log.base.index.max(recovered.base.index);
            let tail =
                |entries: &[Entry]| entries.iter().filter(|entry| entry.index() > above).cloned().collect::<Vec<_>>();
            log.last() == recovered.last && tail(&log.entries) == tail(&recovered.entries)
        });
        prop_assert!(
            found.is_some(),
            "{} is none of {:?}",
            show(recovered),
            self.logs.iter().map(Log::last).collect::<Vec<_>>()
        );
        let log = Log { base: recovered.base, entries: recovered.entries.clone() };
        prop_assert!(log.base.index.0 <= self.floor.max(self.logs[0].base.index.0));
        self.logs = vec![log];
        Ok(())
    }

    /// Readers see the durable log, and the term starts fit the entries.
    fn check(&self) -> Result<(), TestCaseError> {
        let durable = &self.logs[0];
        let first = durable.base.index.next();
        match self.journal.read(first, Index(u64::MAX), usize::MAX) {
            Ok(entries) => prop_assert!(entries == durable.entries, "a reader sees another log"),
            Err(JournalError::Beyond { .. }) => prop_assert!(durable.entries.is_empty()),
            Err(error) => prop_assert!(false, "{}", error),
        }
        prop_assert_eq!(self.journal.last(), self.log().last());
        Ok(())
    }
}

fn volatile(below: &MemoryFiles) -> Arc<VolatileFiles> {
    Arc::new(VolatileFiles::open(Arc::new(below.clone()), VolatileOptions::default()).expect("memory opens"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_synced_is_there_and_nothing_else(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step)?;
        }
        let starts = {
            let recovered = { model.sync(); model.reopen()?; open_in(volatile(&model.below)).1 };
            let mut starts: Vec<Position> = Vec::new();
            if recovered.base.index > Index(0) {
                starts.push(recovered.base);
            }
            for entry in &recovered.entries {
                if starts.last().is_none_or(|start| start.term < entry.term()) {
                    starts.push(entry.position);
                }
            }
            (starts, recovered.term_starts)
        };
        prop_assert_eq!(starts.0, starts.1);
    }
}

/// A batch of many pages is torn in the middle of the preallocated zeros, in every way of keeping some of its sectors.
#[test]
fn a_torn_batch_is_a_tear_on_every_seed() {
    let mut kept = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let below = MemoryFiles::new();
        let files = volatile(&below);
        let (mut journal, _) = open_in(files.clone());
        write(&mut journal, &entries(1, 1..=3, 100));
        // 1300 bytes of frames at a time: the batch spans sectors but stays in the segment.
        for index in 4..=9 {
            journal.apply(&entries(1, index..=index, 200)).expect("alive");
        }
        files.crash_during_sync(&mut journal, seed);
        let (mut journal, recovered) = open_in(volatile(&below));
        assert_eq!(recovered.rotten_up_to, None, "seed {seed}: {}", show(&recovered));
        assert!(recovered.last.index >= Index(3), "seed {seed}: {}", show(&recovered));
        kept.insert(recovered.last.index.0);
        // And the journal goes on from there.
        let next = recovered.last.index.0 + 1;
        write(&mut journal, &entries(2, next..=next, 100));
        let (_, recovered) = open_in(volatile(&below));
        assert_eq!((recovered.last, recovered.rotten_up_to), (Position::new(2, next), None));
    }
    assert!(kept.contains(&3) && kept.contains(&9) && kept.len() > 4, "tears should fall in many places: {kept:?}");
}

/// A sync that never returns: everything is written, power goes before the disk has it all.
trait CrashDuringSync {
    fn crash_during_sync(&self, journal: &mut Journal, seed: u64);
}

impl CrashDuringSync for VolatileFiles {
    fn crash_during_sync(&self, journal: &mut Journal, seed: u64) {
        self.crash_at_next_sync(seed);
        journal.sync().expect_err("power is gone");
    }
}

#[test]
fn a_disk_that_lies_about_syncs_loses_acknowledged_entries() {
    let below = MemoryFiles::new();
    let lying = VolatileOptions { skip_sync: true, ..VolatileOptions::default() };
    let (mut journal, _) = open_in(volatile(&below));
    write(&mut journal, &entries(1, 1..=3, 10));
    let files = Arc::new(VolatileFiles::open(Arc::new(below.clone()), lying).expect("memory opens"));
    let (mut journal, _) = open_in(files);
    write(&mut journal, &entries(1, 4..=4, 10));
    write(&mut journal, &vote(9, None));
    let (_, recovered) = open_in(volatile(&below));
    assert_eq!((recovered.last, recovered.term), (Position::new(1, 3), Term(0)));
}
