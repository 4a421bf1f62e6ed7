//! One direction of a connection: what was read, until it is due at the other side.
//!
//! Invariants:
//! - **P1** Items leave in the order in which they were read, each no earlier than the model said.
//! - **P2** `End` or `Reset` is the last item; nothing is read after it.
//! - **P3** At most `WINDOW` bytes, plus one chunk, are held.
use super::Workbench;
use crate::model::{Nanos, StreamFate};
use crate::relay::RouteContext;
use crate::settings::Way;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

/// Bytes that may be in flight: half a gigabyte a second at 30 ms.
const WINDOW: usize = 16 << 20;
/// Chunks read in one turn, so that one stream does not starve the others.
const TURN_CHUNKS: usize = 8;

pub(super) struct Pipe {
    way: Way,
    in_flight: VecDeque<Flying>,
    in_flight_bytes: usize,
    /// Read, and not yet taken by the link.
    offered: Option<Item>,
    /// With `offered`: when to offer again; none means after a change of settings.
    offer_at: Option<Nanos>,
    last_at: Nanos,
    /// Nothing is read before.
    read_from: Nanos,
    readable: bool,
    writable: bool,
    ended: bool,
}

struct Flying {
    at: Nanos,
    item: Item,
    /// Bytes of the item that are written already.
    written: usize,
}

enum Item {
    Bytes(Vec<u8>),
    /// The sender has shut down its side.
    End,
    /// The sender is gone without a good-bye.
    Reset,
}

/// What `deliver` came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Delivery {
    /// More may come.
    Open,
    /// The end was handed on, or the receiver takes nothing any more.
    Ended,
    /// A reset is due at the receiver.
    Reset,
}

impl Pipe {
    pub fn new(way: Way) -> Pipe {
        Pipe {
            way,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            offered: None,
            offer_at: None,
            last_at: 0,
            read_from: 0,
            readable: true,
            writable: true,
            ended: false,
        }
    }

    /// The source can send nothing before this time.
    pub fn read_from(&mut self, at: Nanos) {
        self.read_from = at;
    }

    /// The source may have bytes.
    pub fn source_is_ready(&mut self) {
        self.readable = true;
    }

    /// The destination may take bytes.
    pub fn destination_is_ready(&mut self) {
        self.writable = true;
    }

    pub fn settings_changed(&mut self) {
        if self.offered.is_some() {
            self.offer_at = Some(0);
        }
    }

    /// Whether to poll the source for bytes.
    pub fn wants_to_read(&self, now: Nanos) -> bool {
        self.may_read(now) && !self.readable
    }

    /// Whether to poll the destination for room.
    pub fn wants_to_write(&self) -> bool {
        !self.writable && !self.in_flight.is_empty()
    }

    /// When there is something to do without any fd being ready.
    pub fn deadline(&self, now: Nanos) -> Option<Nanos> {
        let due = self.in_flight.front().filter(|_| self.writable).map(|first| first.at);
        let offer = if self.offered.is_some() { self.offer_at } else { None };
        let read = (self.readable && self.room() && now < self.read_from).then_some(self.read_from);
        let read_on = (self.readable && self.may_read(now)).then_some(now);
        [due, offer, read, read_on].into_iter().flatten().min()
    }

    fn room(&self) -> bool {
        !self.ended && self.offered.is_none() && self.in_flight_bytes < WINDOW
    }

    fn may_read(&self, now: Nanos) -> bool {
        self.room() && now >= self.read_from
    }

    /// The source is known to be dead, though nothing was read from it: no target, for one.
    pub fn source_is_gone(&mut self, context: &RouteContext) {
        if !self.ended {
            self.ended = true;
            self.offer(Item::Reset, context);
        }
    }

    /// Offers again what the link did not take, if it is time.
    pub fn retry(&mut self, context: &RouteContext) {
        if self.offer_at.is_some_and(|at| at <= context.clock.now())
            && let Some(item) = self.offered.take()
        {
            self.offer(item, context);
        }
    }

    /// Takes bytes from `source` and sends them on their way.
    pub fn read(&mut self, mut source: &TcpStream, context: &RouteContext, workbench: &mut Workbench) {
        self.retry(context);
        for _ in 0..TURN_CHUNKS {
            if !self.readable || !self.may_read(context.clock.now()) {
                return;
            }
            if context.link.lock().settings(self.way).cut {
                // Stay deaf; `settings_changed` brings us back through the bell.
                self.wait_for_change();
                return;
            }
            match source.read(&mut workbench.scratch) {
                Ok(0) => {
                    self.ended = true;
                    self.offer(Item::End, context);
                }
                Ok(len) => self.offer(Item::Bytes(workbench.pool.copy_of(&workbench.scratch[..len])), context),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.ended = true;
                    self.offer(Item::Reset, context);
                }
            }
        }
    }

    /// An empty offer stands for "not read yet", so that a cut needs no state of its own.
    fn wait_for_change(&mut self) {
        self.offered = Some(Item::Bytes(Vec::new()));
        self.offer_at = None;
    }

    fn offer(&mut self, item: Item, context: &RouteContext) {
        let len = match &item {
            Item::Bytes(bytes) if bytes.is_empty() => {
                self.offer_at = None;
                return;
            }
            Item::Bytes(bytes) => bytes.len(),
            // A FIN or RST is a small packet.
            Item::End | Item::Reset => 40,
        };
        let now = context.clock.now();
        match context.link.lock().offer_stream(now, len, self.way, self.last_at) {
            StreamFate::Deliver { at } => {
                self.last_at = at;
                self.offer_at = None;
                self.in_flight_bytes += item.len();
                self.in_flight.push_back(Flying { at, item, written: 0 });
            }
            StreamFate::Wait { until } => {
                self.offered = Some(item);
                self.offer_at = until;
            }
        }
    }

    /// Hands on what is due. // P1
    pub fn deliver(
        &mut self,
        mut destination: &TcpStream,
        context: &RouteContext,
        workbench: &mut Workbench,
    ) -> Delivery {
        while self.writable {
            let now = context.clock.now();
            let Some(first) = self.in_flight.front_mut().filter(|first| first.at <= now) else { break };
            let bytes = match &first.item {
                Item::Bytes(bytes) => bytes,
                Item::End => {
                    // An error means that the receiver is gone, which its own direction tells.
                    let _ = destination.shutdown(Shutdown::Write);
                    self.abandon();
                    return Delivery::Ended;
                }
                Item::Reset => return Delivery::Reset,
            };
            match destination.write(&bytes[first.written..]) {
                Ok(len) => {
                    if first.written == 0 {
                        context.link.lock().delivered(self.way, 1, first.at, now);
                    }
                    first.written += len;
                    if first.written == bytes.len() {
                        self.in_flight_bytes -= bytes.len();
                        if let Some(Flying { item: Item::Bytes(bytes), .. }) = self.in_flight.pop_front() {
                            workbench.pool.give_back(bytes);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.abandon();
                    return Delivery::Ended;
                }
            }
        }
        Delivery::Open
    }

    /// The receiver takes nothing any more, or was told the end.
    fn abandon(&mut self) {
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.offered = None;
        self.ended = true;
    }
}

impl Item {
    fn len(&self) -> usize {
        match self {
            Item::Bytes(bytes) => bytes.len(),
            Item::End | Item::Reset => 0,
        }
    }
}
