//! What is in flight: items by due time; those of one time in the order in which they came.
use crate::model::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Debug)]
pub struct Delays<T> {
    heap: BinaryHeap<Reverse<Delayed<T>>>,
    pushed: u64,
}

#[derive(Debug)]
struct Delayed<T> {
    at: Nanos,
    order: u64,
    item: T,
}

impl<T> Delays<T> {
    pub fn new() -> Delays<T> {
        Delays { heap: BinaryHeap::new(), pushed: 0 }
    }

    pub fn push(&mut self, at: Nanos, item: T) {
        self.heap.push(Reverse(Delayed { at, order: self.pushed, item }));
        self.pushed += 1;
    }

    pub fn next_at(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse(first)| first.at)
    }

    /// The first item, with the time it was asked for, if that has come.
    pub fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, T)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(first)| (first.at, first.item))
    }
}

impl<T> PartialEq for Delayed<T> {
    fn eq(&self, other: &Delayed<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Delayed<T> {}

impl<T> PartialOrd for Delayed<T> {
    fn partial_cmp(&self, other: &Delayed<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Delayed<T> {
    fn cmp(&self, other: &Delayed<T>) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_time_then_by_arrival_and_never_early() {
        let mut delays = Delays::new();
        for (at, item) in [(20, 'c'), (10, 'a'), (20, 'd'), (10, 'b'), (30, 'e')] {
            delays.push(at, item);
        }
        assert_eq!(delays.pop_due(9), None);
        let mut popped = String::new();
        while let Some((at, item)) = delays.pop_due(29) {
            assert!(at <= 29);
            popped.push(item);
        }
        assert_eq!(popped, "abcd");
        assert_eq!(delays.next_at(), Some(30));
    }
}
