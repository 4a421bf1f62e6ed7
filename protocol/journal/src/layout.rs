//! Where each entry of the log lies: runs of frames that follow each other in one segment.
//!
//! Append-only files keep entries that were cut since (J1); a reader must not meet them. A cut ends the last run early,
//! and what replaces the tail begins a new one, so the runs are exactly the log. Within a run a few points say
//! where an index lies, and a reader walks the frames from there: a long log costs kilobytes, not an item per entry.
use crate::segment::Segment;
use std::collections::VecDeque;
use trivet_log::Index;

/// A reader walks at most about this many bytes to find its first entry.
const POINT_EVERY: u64 = 32 * 1024;

#[derive(Default)]
pub(crate) struct Layout {
    runs: VecDeque<Run>,
}

pub(crate) struct Run {
    pub segment: Segment,
    pub first: Index,
    pub last: Index,
    /// Where the frame after the run's last one, as written, begins.
    end: u64,
    /// Ascending; the first is the run's first frame as written.
    points: Vec<(Index, u64)>,
}

/// Where to begin reading.
pub(crate) struct Spot {
    pub segment: Segment,
    /// Offset of a frame at or before the one looked for.
    pub offset: u64,
    /// Frames of the run end here.
    pub end: u64,
    /// The run's last entry.
    pub last: Index,
}

impl Layout {
    /// The entry's frame takes `size` bytes at `offset`.
    pub fn append(&mut self, segment: &Segment, index: Index, offset: u64, size: u64) {
        if let Some(run) = self.runs.back_mut()
            && run.segment.sequence == segment.sequence
            && run.end == offset
            && run.last.next() == index
        {
            run.last = index;
            run.end = offset + size;
            if run.points.last().is_none_or(|(_, point)| point + POINT_EVERY <= offset) {
                run.points.push((index, offset));
            }
            return;
        }
        let points = vec![(index, offset)];
        self.runs.push_back(Run { segment: segment.clone(), first: index, last: index, end: offset + size, points });
    }

    /// Every entry above `to` is gone.
    pub fn cut(&mut self, to: Index) {
        while self.runs.back().is_some_and(|run| run.first > to) {
            self.runs.pop_back();
        }
        if let Some(run) = self.runs.back_mut() {
            run.last = run.last.min(to);
            run.points.retain(|(index, _)| *index <= to);
        }
    }

    /// Every entry at or below `to` is gone.
    pub fn rebase(&mut self, to: Index) {
        while self.runs.front().is_some_and(|run| run.last <= to) {
            self.runs.pop_front();
        }
        if let Some(run) = self.runs.front_mut() {
            run.first = run.first.max(to.next());
        }
    }

    pub fn clear(&mut self) {
        self.runs.clear();
    }

    /// The last entry that lies in this segment, if one does.
    pub fn last_in(&self, sequence: u64) -> Option<Index> {
        let after = self.runs.partition_point(|run| run.segment.sequence <= sequence);
        let run = self.runs.get(after.checked_sub(1)?)?;
        (run.segment.sequence == sequence).then_some(run.last)
    }

    pub fn find(&self, index: Index) -> Option<Spot> {
        let run = self.runs.get(self.runs.partition_point(|run| run.last < index))?;
        if run.first > index {
            return None;
        }
        let after = run.points.partition_point(|(point, _)| *point <= index);
        let (_, offset) = *run.points.get(after.checked_sub(1)?)?;
        Some(Spot { segment: run.segment.clone(), offset, end: run.end, last: run.last })
    }
}
