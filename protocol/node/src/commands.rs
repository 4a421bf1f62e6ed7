//! What the core thread is asked to do, from all sides, in one queue with a fast lane.
//!
//! The transport keeps lease traffic apart from bulk, and this queue does not put it back behind it: urgent messages and
//! completed fsyncs are taken before whatever else waits. Order is kept within each lane only, as on the network.
use crate::failure::Failure;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use trivet_log::{Class, Input, Message, Outcome, Position, Proposal};
use trivet_transport::Received;

pub(crate) enum Command {
    /// Something that has happened.
    Input(Input),
    /// A message; its share of the inbound budget goes back when it has been acted upon.
    Receive {
        message: Message,
        received: Received,
    },
    Propose {
        proposal: Proposal,
        began: Instant,
        reply: oneshot::Sender<Outcome>,
    },
    ReadIndex {
        reply: oneshot::Sender<Option<Position>>,
    },
    /// Some thread cannot go on.
    Failed(Failure),
    /// Stop serving, release what is held, end. `done` hears of it (by being dropped, too).
    Stop {
        done: mpsc::Sender<()>,
    },
    /// End at once, saying nothing: as near to a kill as a thread can come. For tests.
    Abandon {
        done: mpsc::Sender<()>,
    },
}

impl Command {
    fn is_urgent(&self) -> bool {
        match self {
            Command::Input(input) => matches!(input, Input::Persisted(_)),
            Command::Receive { received, .. } => received.class == Class::Urgent,
            Command::Propose { .. } | Command::ReadIndex { .. } => false,
            Command::Failed(_) | Command::Stop { .. } | Command::Abandon { .. } => true,
        }
    }
}

/// Bounded by what fills it: permits of received frames, one outstanding proposal a session, the core's own requests.
#[derive(Default)]
pub(crate) struct CommandQueue {
    lanes: Mutex<Lanes>,
    filled: Condvar,
}

#[derive(Default)]
struct Lanes {
    urgent: VecDeque<Command>,
    other: VecDeque<Command>,
    closed: bool,
}

impl CommandQueue {
    /// Gives the command back if the core has ended.
    pub(crate) fn push(&self, command: Command) -> Result<(), Box<Command>> {
        let mut lanes = self.lanes.lock();
        if lanes.closed {
            return Err(Box::new(command));
        }
        match command.is_urgent() {
            true => lanes.urgent.push_back(command),
            false => lanes.other.push_back(command),
        }
        drop(lanes);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for a command, at most so long, then takes up to `max` of what is there. A quarter of them is kept for
    /// those that are not urgent: a flood of heartbeats must not starve proposals.
    pub(crate) fn take(&self, max: usize, timeout: Duration) -> Vec<Command> {
        let deadline = Instant::now() + timeout;
        let mut lanes = self.lanes.lock();
        while lanes.urgent.is_empty() && lanes.other.is_empty() {
            if self.filled.wait_until(&mut lanes, deadline).timed_out() {
                return Vec::new();
            }
        }
        let kept = lanes.other.len().min(max / 4);
        let urgent = lanes.urgent.len().min(max - kept);
        let other = lanes.other.len().min(max - urgent);
        let mut taken = Vec::with_capacity(urgent + other);
        taken.extend(lanes.urgent.drain(..urgent));
        taken.extend(lanes.other.drain(..other));
        taken
    }

    /// The core has ended. What it has not taken was done by nobody, and those who wait are told so.
    pub(crate) fn close(&self) {
        let left = {
            let mut lanes = self.lanes.lock();
            lanes.closed = true;
            [std::mem::take(&mut lanes.urgent), std::mem::take(&mut lanes.other)]
        };
        for command in left.into_iter().flatten() {
            if let Command::Propose { reply, .. } = command {
                let _ = reply.send(Outcome::NotSent); // the session is gone
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use trivet_log::{Boot, Index, NodeId, ProposalId, Ticket};

    fn propose(sequence: u64) -> (Command, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        let id = ProposalId { region: NodeId(1), boot: Boot(1), sequence };
        let proposal = Proposal { id, snapshot: Position::ZERO, payload: Bytes::new() };
        (Command::Propose { proposal, began: Instant::now(), reply }, outcome)
    }

    fn names(commands: &[Command]) -> String {
        let name = |command: &Command| match command {
            Command::Input(Input::Persisted(ticket)) => format!("p{}", ticket.0),
            Command::Input(Input::Applied(index)) => format!("a{}", index.0),
            Command::Propose { proposal, .. } => format!("r{}", proposal.id.sequence),
            _ => "?".to_owned(),
        };
        commands.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn urgent_commands_are_taken_first_and_starve_nobody() {
        let queue = CommandQueue::default();
        for number in 1..=4 {
            assert!(queue.push(Command::Input(Input::Applied(Index(number)))).is_ok());
            assert!(queue.push(Command::Input(Input::Persisted(Ticket(number)))).is_ok());
        }
        let take = |max| names(&queue.take(max, Duration::ZERO));
        assert_eq!(take(4), "p1 p2 p3 a1");
        assert_eq!(take(4), "p4 a2 a3 a4");
        assert_eq!(take(4), "");
    }

    #[test]
    fn a_push_wakes_the_taker() {
        let queue = CommandQueue::default();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| names(&queue.take(8, Duration::from_secs(20))));
            assert!(queue.push(Command::Input(Input::Applied(Index(7)))).is_ok());
            assert_eq!(taker.join().expect("no panic"), "a7");
        });
    }

    #[test]
    fn what_was_not_taken_was_not_sent() {
        let queue = CommandQueue::default();
        let (command, outcome) = propose(1);
        assert!(queue.push(command).is_ok());
        queue.close();
        assert_eq!(outcome.blocking_recv(), Ok(Outcome::NotSent));
        assert!(queue.push(propose(2).0).is_err());
    }
}
