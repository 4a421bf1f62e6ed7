//! A node's disk: what is on it for sure, and what was handed to it and may or may not survive a crash.
use crate::random::Random;
use std::collections::VecDeque;
use trivet_log::*;

/// What a journal holds: hard state, the log above a base.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub boot: Boot,
    pub term: Term,
    pub voted_for: Option<NodeId>,
    pub base: Position,
    /// Contiguous above the base.
    pub entries: VecDeque<Entry>,
}

impl Image {
    pub fn last(&self) -> Position {
        self.entries.back().map_or(self.base, |entry| entry.position)
    }

    pub fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.entries.get(at as usize)
    }

    fn cut(&mut self, last: Index) {
        while self.entries.back().is_some_and(|entry| entry.index() > last) {
            self.entries.pop_back();
        }
    }

    fn rebase(&mut self, base: Position) {
        let holds = self.entry(base.index).is_some_and(|entry| entry.position == base) || self.base == base;
        match holds {
            true => {
                while self.entries.front().is_some_and(|entry| entry.index() <= base.index) {
                    self.entries.pop_front();
                }
            }
            false => self.entries.clear(),
        }
        self.base = base;
    }

    /// Writes a request, or (torn) only what comes first in it: `keep` of its entries, and no base.
    fn write(&mut self, request: &Persist, keep: Option<usize>) -> Result<(), String> {
        if let Some(HardState { term, voted_for }) = request.hard_state {
            if term < self.term || (term == self.term && self.voted_for.is_some() && self.voted_for != voted_for) {
                return Err(format!(
                    "hard state goes from {:?} {:?} to {term:?} {voted_for:?}",
                    self.term, self.voted_for
                ));
            }
            (self.term, self.voted_for) = (term, voted_for);
        }
        if let Some(last) = request.truncate {
            if last.index < self.base.index {
                return Err(format!("cut to {last} below the base {}", self.base));
            }
            self.cut(last.index);
            if self.last() != last {
                return Err(format!("cut to {last}, but {} is there", self.last()));
            }
        }
        for entry in request.entries.iter().take(keep.unwrap_or(usize::MAX)) {
            if entry.index() != self.last().index.next() || entry.term() < self.last().term {
                return Err(format!("{} is written after {}", entry.position, self.last()));
            }
            self.entries.push_back(entry.clone());
        }
        if let (Some(base), None) = (request.base, keep) {
            if base.index < self.base.index {
                return Err(format!("the base falls from {} to {base}", self.base));
            }
            self.rebase(base);
        }
        Ok(())
    }

    /// The first position of each term, from the base on.
    pub fn term_starts(&self) -> Vec<Position> {
        let mut starts = vec![self.base];
        for entry in &self.entries {
            if entry.term() > starts.last().expect("it begins with the base").term {
                starts.push(entry.position);
            }
        }
        starts
    }
}

#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// On disk for sure.
    pub durable: Image,
    /// With everything that was handed over.
    pub handed: Image,
    pending: VecDeque<Persist>,
    /// How many of the pending requests the running fsync covers.
    syncing: usize,
}

impl Disk {
    pub fn hand_over(&mut self, request: Persist) -> Result<(), String> {
        self.handed.write(&request, None)?;
        self.pending.push_back(request);
        Ok(())
    }

    /// Begins an fsync over all that is pending. False if one runs, or nothing is pending.
    pub fn start_sync(&mut self) -> bool {
        let starts = self.syncing == 0 && !self.pending.is_empty();
        if starts {
            self.syncing = self.pending.len();
        }
        starts
    }

    /// The running fsync is done: the next request that it covers.
    pub fn complete_synced(&mut self) -> Option<Result<Persist, String>> {
        self.syncing = self.syncing.checked_sub(1)?;
        Some(self.complete())
    }

    /// The oldest request is done.
    fn complete(&mut self) -> Result<Persist, String> {
        let request = self.pending.pop_front().ok_or("a request is done that was not made")?;
        self.durable.write(&request, None)?;
        Ok(request)
    }

    /// Forgets what is below `keep_from`.
    pub fn prune(&mut self, keep_from: Index) -> Result<(), String> {
        for image in [&mut self.durable, &mut self.handed] {
            if keep_from <= image.base.index {
                continue;
            }
            let last = image.entry(keep_from.previous()).ok_or("a prune goes beyond the log")?.position;
            image.rebase(last);
        }
        Ok(())
    }

    /// The power fails: of what was not synced some prefix is there, its last request perhaps torn.
    pub fn crash(&mut self, random: &mut Random) -> Result<(), String> {
        let written = random.below(self.pending.len() as u64 + 1);
        for _ in 0..written {
            self.complete()?;
        }
        if let Some(torn) = self.pending.pop_front()
            && random.chance(500)
        {
            let keep = random.below(torn.entries.len() as u64 + 1) as usize;
            let torn_base = Persist { base: None, ..torn };
            self.durable.write(&torn_base, Some(keep))?;
        }
        self.pending.clear();
        self.handed = self.durable.clone();
        self.syncing = 0;
        Ok(())
    }
}
