//! What the sessions of a world do.
use crate::api::LockStrength;

/// The counter, and in the family world the parent.
pub(super) const K: u8 = b'k';
/// The other key: in the family world the child.
pub(super) const J: u8 = b'j';

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Step {
    /// Lock the row, read its newest version: the statement is re-evaluated on it (READ COMMITTED).
    LockAndRead(u8),
    /// As above, weaker, and as a guard of the record.
    Guard(u8, LockStrength),
    /// Read at last received, relying on nothing (a referential check after the lock).
    Read(u8),
    /// One more than what was read last.
    Increment(u8),
    Set(u8, u8),
    Delete(u8),
    /// Go on only if what was read last is there, or (`false`) is not.
    Require(bool),
}

#[derive(Clone, Debug)]
pub(super) struct Program {
    /// 0 is A, 1 is B.
    pub(super) region: usize,
    pub(super) steps: &'static [Step],
    /// By how much its commit raises the counter.
    pub(super) increments: u8,
    pub(super) start: Start,
}

/// When a program may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    Anytime,
    /// This other program has been proposed.
    Sent(usize),
    /// This other program is acknowledged.
    Acked(usize),
}

impl Step {
    /// Of no concern to anybody else: done together with the step before.
    pub(super) fn is_local(self) -> bool {
        matches!(self, Increment(_) | Set(..) | Delete(_) | Require(_))
    }
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) programs: Vec<Program>,
    /// Who leads each term; `None`: anybody.
    pub(super) leaders: Vec<Option<usize>>,
    pub(super) log_max: usize,
    /// Values at the start.
    pub(super) initially: &'static [(u8, u8)],
    /// Versions are collected.
    pub(super) collects: bool,
    /// Records are sent when they are ready and rejections are heard when they are made: fewer orders to look at.
    pub(super) prompt: bool,
}

use Step::*;

const INCREMENT: &[Step] = &[LockAndRead(K), Increment(K)];

fn increment(region: usize) -> Program {
    Program { region, steps: INCREMENT, increments: 1, start: Start::Anytime }
}

fn other(region: usize, steps: &'static [Step]) -> Program {
    Program { region, steps, increments: 0, start: Start::Anytime }
}

impl World {
    /// Whether the counter is what it is about.
    pub(super) fn counts(&self) -> bool {
        self.programs.iter().any(|program| program.increments > 0)
    }

    fn of(programs: Vec<Program>) -> World {
        World {
            programs,
            leaders: vec![Some(0), None],
            log_max: 5,
            initially: &[(K, 0)],
            collects: false,
            prompt: false,
        }
    }

    /// A inserts a child while B deletes its parent.
    pub(super) fn family() -> World {
        let insert = [Guard(K, LockStrength::KeyShare), Require(true), Set(J, 1)];
        let delete = [LockAndRead(K), Require(true), Read(J), Require(false), Delete(K)];
        World { initially: &[(K, 1)], ..World::of(vec![other(0, insert.leak()), other(1, delete.leak())]) }
    }

    /// A increments twice in one transaction, in two statements; B once.
    pub(super) fn twice() -> World {
        let twice = [LockAndRead(K), Increment(K), LockAndRead(K), Increment(K)];
        let twice = Program { region: 0, steps: twice.leak(), increments: 2, start: Start::Anytime };
        World { leaders: vec![Some(0)], ..World::of(vec![twice, increment(1)]) }
    }

    /// A reads behind entries that are truncated, and the index of its position is used again.
    pub(super) fn reused_index() -> World {
        let behind = Program { start: Start::Sent(0), ..increment(0) };
        World { log_max: 4, prompt: true, ..World::of(vec![other(0, &[Set(J, 1)]), behind, increment(1)]) }
    }

    /// Increments whose answers are lost in a change of leader.
    pub(super) fn duplicate() -> World {
        World::of(vec![increment(0), increment(1)])
    }

    /// B leads first; A is refused for an entry that is then truncated, and leads.
    pub(super) fn late_rejection() -> World {
        World { leaders: vec![Some(1), None], ..World::of(vec![increment(0), increment(1)]) }
    }

    /// The lead goes to and fro, so that a region that truncated leads again.
    pub(super) fn back_and_forth() -> World {
        let again = Program { start: Start::Acked(0), ..increment(0) };
        let leaders = vec![Some(0), Some(1), Some(0)];
        World { leaders, prompt: true, ..World::of(vec![increment(0), again, increment(1)]) }
    }

    /// A row comes and goes while both regions collect.
    pub(super) fn collected() -> World {
        let delete = Program { start: Start::Acked(0), ..other(0, &[LockAndRead(J), Delete(J)]) };
        let again = Program { start: Start::Acked(1), ..other(1, &[LockAndRead(J), Set(J, 3)]) };
        let programs = vec![other(0, &[LockAndRead(J), Set(J, 1)]), delete, again];
        World { leaders: vec![Some(0)], collects: true, ..World::of(programs) }
    }
}

trait Leak {
    fn leak(self) -> &'static [Step];
}

impl<const N: usize> Leak for [Step; N] {
    fn leak(self) -> &'static [Step] {
        Box::leak(Box::new(self))
    }
}
