//! The simulated world: three nodes that run the real core, their disks, clocks and links, and clients; one thread, one
//! queue of events in time order, all chance from one seed.
//!
//! A node's step is followed by every check of [`crate::check`], before any of its effects leaves. Messages cross the links as
//! bytes of the real codec.
use crate::check::{Checker, OnDisk, Seen, Violation};
use crate::describe::{describe_input, shorten};
use crate::disk::{Disk, DiskError};
use crate::history::Read;
use crate::network::{NODES, Network};
use crate::random::Random;
use crate::rejoin::Checkpoint;
use crate::store::{AnyMachine, Item, Store};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use trivet_log::*;

pub const MILLISECOND: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MILLISECOND;

pub const A: usize = 0;
pub const B: usize = 1;
pub const W: usize = 2;

/// A node's clock: where it began, and how fast it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    pub offset: i128,
    /// Parts per million faster than time.
    pub rate: i128,
}

impl Clock {
    pub fn read(&self, time: u64) -> Nanos {
        (self.offset + time as i128 * (1_000_000 + self.rate) / 1_000_000).max(1) as Nanos
    }

    /// The first time at which the clock shows `reading` or more.
    fn when(&self, reading: Nanos) -> u64 {
        if reading == Nanos::MAX {
            return u64::MAX;
        }
        let since = (reading as i128 - self.offset) * 1_000_000 / (1_000_000 + self.rate) + 1;
        since.clamp(0, u64::MAX as i128) as u64
    }
}

/// What a world is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub timing: Timing,
    pub sabotage: Sabotage,
    /// Round trips: A-B, A-W, B-W.
    pub round_trips: [u64; 3],
    pub clocks: [Clock; NODES],
    /// How long an fsync takes, at least and at most.
    pub fsync: (u64, u64),
    /// Mean time between two proposals of a region; 0: none.
    pub propose_every: u64,
    pub read_every: u64,
    /// How many keys the clients write; few, for many conflicts.
    pub keys: u8,
    pub payload: usize,
    pub append_bytes_max: usize,
    pub uncommitted_bytes_max: usize,
    pub cache_bytes_max: usize,
    /// What a segment of the journals reserves.
    pub segment_bytes: u64,
    /// Links that come back are told to both ends.
    pub reconnects: bool,
    /// Steps after which a node stops in the middle of its effects, in a million.
    pub crash_at_output: u64,
    /// Steps after which a node stands still for a while, in a million.
    pub pause_at_step: u64,
    /// How long the faults go on.
    pub faults_for: u64,
    /// Clocks run beyond their bound: leases may be wrong, and strong reads stale; nothing else.
    pub clocks_are_wild: bool,
    /// Of a thousand delicate moments (a vote, a new leader, a lease that begins): those at which something breaks.
    pub spite: u64,
    pub trace: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seed: 1,
            timing: Timing::default(),
            sabotage: Sabotage::default(),
            round_trips: [60 * MILLISECOND; 3],
            clocks: [Clock::default(); NODES],
            fsync: (MILLISECOND / 2, 2 * MILLISECOND),
            propose_every: 40 * MILLISECOND,
            read_every: 40 * MILLISECOND,
            keys: 8,
            payload: 100,
            append_bytes_max: 1 << 20,
            uncommitted_bytes_max: 16 << 20,
            cache_bytes_max: 16 << 20,
            segment_bytes: 64 << 10,
            reconnects: true,
            crash_at_output: 0,
            pause_at_step: 0,
            faults_for: 0,
            clocks_are_wild: false,
            spite: 0,
            trace: false,
        }
    }
}

/// Something that is done to the world.
#[derive(Clone, Debug)]
pub enum Action {
    Cut {
        from: usize,
        to: usize,
    },
    Heal {
        from: usize,
        to: usize,
    },
    /// The machine stops; what was not synced is lost. `reboot`: its clock begins anew.
    Crash {
        node: usize,
        down_for: u64,
        reboot: bool,
    },
    Pause {
        node: usize,
        until: u64,
    },
    Fsync {
        node: usize,
        range: (u64, u64),
    },
    HandOver {
        to: usize,
    },
    /// A clean stop, and a start later.
    Stop {
        node: usize,
        down_for: u64,
    },
    /// While it is down, some bytes of its journal change.
    Rot {
        node: usize,
    },
    /// A region loses its disk, and begins anew with a copy from the other one (`rejoin`).
    LoseDisk {
        node: usize,
        down_for: u64,
    },
    /// Files cannot grow any more; or they can again.
    DiskFull {
        node: usize,
        is_full: bool,
    },
    /// The next sync says that it failed, which ends the process.
    FailSync {
        node: usize,
    },
    /// What leaves meanwhile arrives afterwards.
    Clog {
        from: usize,
        to: usize,
        until: u64,
    },
    /// The clock shows something else from one moment to the next: a suspended machine, or one restored from an image.
    ClockJump {
        node: usize,
        by: i64,
    },
    HealAll,
}

#[derive(Debug)]
pub(crate) enum Happening {
    Deliver { to: usize, bytes: Bytes },
    DiskDone { node: usize, life: u32 },
    Loaded { node: usize, life: u32, ticket: Ticket, entries: Vec<Entry> },
    Applied { node: usize, life: u32, index: Index },
    Timer { node: usize, life: u32 },
    Connected { node: usize, peer: usize },
    Start { node: usize },
    Exit { node: usize, life: u32, down_for: u64 },
    Resume { node: usize },
    Client { node: usize },
    Reader { node: usize },
    Act(Action),
}

#[derive(Debug)]
pub(crate) struct Event {
    at: u64,
    order: u64,
    what: Happening,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// A strong read that has its snapshot, and waits for pending writers of its key.
#[derive(Debug)]
pub(crate) struct OpenRead {
    pub key: u8,
    pub floor: Index,
    pub snapshot: Index,
    pub began: u64,
}

/// A strong read that asked the leader.
#[derive(Debug)]
pub(crate) struct AskedRead {
    pub key: u8,
    pub floor: Index,
    pub began: u64,
}

pub(crate) struct Node {
    pub core: Option<Core>,
    pub machine: AnyMachine,
    pub disk: Disk,
    pub clock: Clock,
    /// Counts starts of the simulated process, to void what was meant for a former one.
    pub life: u32,
    pub fsync: (u64, u64),
    pub paused_until: Option<u64>,
    pub backlog: Vec<Happening>,
    pub timer_at: u64,
    pub sequence: u64,
    /// Handed out for applying.
    pub applied: Vec<Item>,
    /// Of those, stored for good.
    pub applied_durable: usize,
    pub reads: Vec<OpenRead>,
    pub asked: BTreeMap<u64, AskedRead>,
    pub next_read: u64,
    pub stopped: bool,
    /// What it begins with after its disk was lost.
    pub copy: Option<Checkpoint>,
    /// Its journal takes nothing more, and it only says goodbye.
    pub disk_is_lost: bool,
}

/// What became of a client's request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Open,
    Committed,
    Rejected,
    NotSent,
    Unknown,
    /// The region that it was sent through crashed.
    Lost,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub region: usize,
    pub began: u64,
    pub ended: u64,
    pub fate: Fate,
    pub keys: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadDone {
    pub region: usize,
    pub began: u64,
    pub ended: u64,
    pub served: bool,
}

/// Counts of what happened, to see that the faults bite.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Counts {
    pub steps: u64,
    pub messages: u64,
    pub exposed: u64,
    pub elections: u64,
    pub adoptions: u64,
    pub truncations: u64,
    pub engagements: u64,
    pub activations: u64,
    pub lapses: u64,
    pub crashes: u64,
    pub loads: u64,
    pub prunes: u64,
    pub rejected: u64,
    pub unknown: u64,
    pub reads: u64,
    pub reads_asked: u64,
    pub references: u64,
    pub disks_full: u64,
    pub syncs_failed: u64,
    /// Journals that rotted, and those whose rot a leader repaired.
    pub rots: u64,
    pub repairs: u64,
    /// Disks that were lost, and regions that began anew for it.
    pub losses: u64,
    pub rejoins: u64,
    pub ejections: u64,
    pub readmissions: u64,
    /// Checks that failed as they may under clocks beyond their bound.
    pub excused: u64,
    /// Starts at which the journal held a part of what was on its way.
    pub survivals: u64,
    pub pauses: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        let pairs: [(&mut u64, u64); 28] = [
            (&mut self.steps, other.steps),
            (&mut self.messages, other.messages),
            (&mut self.exposed, other.exposed),
            (&mut self.elections, other.elections),
            (&mut self.adoptions, other.adoptions),
            (&mut self.truncations, other.truncations),
            (&mut self.engagements, other.engagements),
            (&mut self.activations, other.activations),
            (&mut self.lapses, other.lapses),
            (&mut self.crashes, other.crashes),
            (&mut self.loads, other.loads),
            (&mut self.prunes, other.prunes),
            (&mut self.rejected, other.rejected),
            (&mut self.unknown, other.unknown),
            (&mut self.reads, other.reads),
            (&mut self.reads_asked, other.reads_asked),
            (&mut self.references, other.references),
            (&mut self.disks_full, other.disks_full),
            (&mut self.syncs_failed, other.syncs_failed),
            (&mut self.rots, other.rots),
            (&mut self.repairs, other.repairs),
            (&mut self.losses, other.losses),
            (&mut self.rejoins, other.rejoins),
            (&mut self.excused, other.excused),
            (&mut self.ejections, other.ejections),
            (&mut self.readmissions, other.readmissions),
            (&mut self.survivals, other.survivals),
            (&mut self.pauses, other.pauses),
        ];
        pairs.into_iter().for_each(|(own, other)| *own += other);
    }
}

pub struct World {
    pub time: u64,
    pub settings: Settings,
    pub network: Network,
    pub random: Random,
    pub checker: Checker,
    pub counts: Counts,
    pub operations: BTreeMap<ProposalId, Operation>,
    pub reads_done: Vec<ReadDone>,
    /// What served reads saw.
    pub history: Vec<Read>,
    pub trace: Vec<String>,
    /// Messages sent, by name of their body.
    pub sent: BTreeMap<&'static str, u64>,
    pub violation: Option<Violation>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) queue: BinaryHeap<Reverse<Event>>,
    pub(crate) order: u64,
    pub(crate) clients_until: u64,
    pub(crate) out: Vec<Output>,
    pub(crate) last_event: BTreeMap<(usize, &'static str), u64>,
}

const ROSTER: [(NodeId, NodeKind); NODES] =
    [(NodeId(1), NodeKind::Region), (NodeId(2), NodeKind::Region), (NodeId(3), NodeKind::Witness)];

pub(crate) fn id_of(node: usize) -> NodeId {
    ROSTER[node].0
}

pub(crate) fn place_of(id: NodeId) -> usize {
    ROSTER.iter().position(|(member, _)| *member == id).expect("only members are named")
}

pub fn name(node: usize) -> char {
    ['A', 'B', 'W'][node]
}

impl World {
    pub fn new(settings: Settings) -> World {
        let [regions, witness_a, witness_b] = settings.round_trips;
        let node = |place: usize| Node {
            core: None,
            machine: AnyMachine::None(NoMachine),
            disk: Disk::new(id_of(place), settings.segment_bytes),
            clock: settings.clocks[place],
            life: 0,
            fsync: settings.fsync,
            paused_until: None,
            backlog: Vec::new(),
            timer_at: u64::MAX,
            sequence: 0,
            applied: Vec::new(),
            applied_durable: 0,
            reads: Vec::new(),
            asked: BTreeMap::new(),
            next_read: 0,
            stopped: false,
            copy: None,
            disk_is_lost: false,
        };
        let mut world = World {
            time: 0,
            network: Network::new(regions, witness_a, witness_b),
            random: Random::new(settings.seed),
            checker: Checker::default(),
            counts: Counts::default(),
            operations: BTreeMap::new(),
            reads_done: Vec::new(),
            history: Vec::new(),
            trace: Vec::new(),
            sent: BTreeMap::new(),
            violation: None,
            nodes: (0..NODES).map(node).collect(),
            queue: BinaryHeap::new(),
            order: 0,
            clients_until: u64::MAX,
            out: Vec::new(),
            last_event: BTreeMap::new(),
            settings,
        };
        for place in 0..NODES {
            world.at(0, Happening::Start { node: place });
        }
        for region in [A, B] {
            if world.settings.propose_every > 0 {
                world.at(0, Happening::Client { node: region });
            }
            if world.settings.read_every > 0 {
                world.at(0, Happening::Reader { node: region });
            }
        }
        world
    }

    // ---- running

    pub(crate) fn at(&mut self, at: u64, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Event { at, order: self.order, what }));
    }

    pub fn act_at(&mut self, at: u64, action: Action) {
        self.at(at, Happening::Act(action));
    }

    /// Runs until `until`, or until a rule is broken.
    pub fn run_until(&mut self, until: u64) -> Result<(), Violation> {
        while self.violation.is_none() && self.queue.peek().is_some_and(|Reverse(event)| event.at <= until) {
            let Reverse(event) = self.queue.pop().expect("there is a next event");
            self.time = self.time.max(event.at);
            self.happen(event.what);
        }
        self.time = self.time.max(until);
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// Runs until `holds`, and returns how long that took; or a violation of `rule` after `bound`.
    pub fn run_until_holds(
        &mut self,
        rule: &'static str,
        bound: u64,
        holds: impl Fn(&World) -> bool,
    ) -> Result<u64, Violation> {
        let began = self.time;
        while !holds(self) {
            if self.time >= began + bound {
                return Err(Violation {
                    rule,
                    what: format!("not within {} ms: {}", bound / MILLISECOND, self.describe()),
                });
            }
            self.run_until(self.time + 5 * MILLISECOND)?;
        }
        Ok(self.time - began)
    }

    pub(crate) fn fail(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result
            && self.violation.is_none()
        {
            if self.settings.clocks_are_wild && matches!(violation.rule, "I3" | "I5 stale") {
                self.counts.excused += 1;
                return;
            }
            self.note(|| format!("VIOLATION {violation}"));
            self.violation = Some(violation);
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.settings.trace {
            self.trace.push(format!("{:>12.6} {}", self.time as f64 / 1e9, shorten(&line())));
        }
    }

    fn happen(&mut self, what: Happening) {
        let target = match &what {
            Happening::Deliver { to, .. } => Some(*to),
            Happening::DiskDone { node, .. }
            | Happening::Loaded { node, .. }
            | Happening::Applied { node, .. }
            | Happening::Timer { node, .. }
            | Happening::Connected { node, .. } => Some(*node),
            _ => None,
        };
        if let Some(node) = target
            && self.nodes[node].paused_until.is_some()
        {
            if !matches!(what, Happening::Timer { .. }) {
                self.nodes[node].backlog.push(what);
            }
            return;
        }
        match what {
            Happening::Deliver { to, bytes } => {
                if self.nodes[to].core.is_none() {
                    return;
                }
                match decode_message(bytes) {
                    Ok(message) => self.step(to, Input::Receive(message)),
                    Err(error) => self.fail(Err(Violation { rule: "codec", what: error.to_string() })),
                }
            }
            Happening::DiskDone { node, life } => {
                if self.nodes[node].life == life {
                    self.disk_done(node);
                }
            }
            Happening::Loaded { node, life, ticket, entries } => {
                if self.nodes[node].life == life {
                    self.step(node, Input::Loaded { ticket, entries });
                }
            }
            Happening::Applied { node, life, index } => {
                let this = &mut self.nodes[node];
                if this.life == life {
                    this.applied_durable = this.applied_durable.max(index.0 as usize);
                    self.step(node, Input::Applied(index));
                }
            }
            Happening::Timer { node, life } => {
                if self.nodes[node].life == life && self.nodes[node].timer_at <= self.time {
                    self.nodes[node].timer_at = u64::MAX;
                    self.step(node, Input::Tick);
                }
            }
            Happening::Connected { node, peer } => {
                if !self.network.is_cut(node, peer) && !self.network.is_cut(peer, node) {
                    self.step(node, Input::Connected(id_of(peer)));
                }
            }
            Happening::Start { node } => self.start(node),
            Happening::Exit { node, life, down_for } => {
                if self.nodes[node].life == life {
                    self.crash(node, down_for, false);
                }
            }
            Happening::Resume { node } => self.resume(node),
            Happening::Client { node } => {
                self.propose(node);
                let mean = self.settings.propose_every;
                let next = self.time + self.random.between(mean / 4, mean * 7 / 4);
                if next < self.clients_until {
                    self.at(next, Happening::Client { node });
                }
            }
            Happening::Reader { node } => {
                self.read(node);
                let mean = self.settings.read_every;
                let next = self.time + self.random.between(mean / 4, mean * 7 / 4);
                if next < self.clients_until {
                    self.at(next, Happening::Reader { node });
                }
            }
            Happening::Act(action) => self.act(action),
        }
    }

    pub fn act(&mut self, action: Action) {
        self.note(|| format!("  ! {action:?}"));
        match action {
            Action::Cut { from, to } => self.network.cut(from, to, true),
            Action::Heal { from, to } => {
                self.network.cut(from, to, false);
                self.reconnect(from, to);
            }
            Action::Crash { node, down_for, reboot } => self.crash(node, down_for, reboot),
            Action::Pause { node, until } => {
                let this = &mut self.nodes[node];
                if this.core.is_some() && this.paused_until.is_none() && until > self.time {
                    this.paused_until = Some(until);
                    self.counts.pauses += 1;
                    self.at(until, Happening::Resume { node });
                }
            }
            Action::Fsync { node, range } => self.nodes[node].fsync = range,
            Action::HandOver { to } => {
                for node in [A, B] {
                    self.step(node, Input::HandOver(id_of(to)));
                }
            }
            Action::Stop { node, down_for } => {
                let life = self.nodes[node].life;
                if self.nodes[node].core.is_some() && !self.nodes[node].stopped {
                    self.nodes[node].stopped = true;
                    self.step(node, Input::Stop);
                    // as the driver: it goes on acknowledging what was on its way
                    let round_trip = 2 * self.network.link(node, 1 - node.min(1)).delay;
                    let at = self.time + 4 * round_trip + 2 * self.settings.timing.heartbeat;
                    self.at(at, Happening::Exit { node, life, down_for });
                }
            }
            Action::Rot { node } => {
                // one copy may be lost at a time, and what is applied is not the journal's alone
                let keep = if node == W { Index(0) } else { Index(self.nodes[node].applied_durable as u64) };
                if self.nodes.iter().all(|node| !node.disk.is_rotten) {
                    match self.nodes[node].disk.rot(&mut self.random, keep) {
                        Ok(rotted) => self.counts.rots += u64::from(rotted),
                        Err(what) => self.fail(Err(Violation { rule: "journal", what })),
                    }
                }
            }
            Action::LoseDisk { node, down_for } => self.lose_disk(node, down_for),
            Action::DiskFull { node, is_full } => self.nodes[node].disk.is_full = is_full,
            Action::FailSync { node } => self.nodes[node].disk.fail_next_sync(),
            Action::Clog { from, to, until } => self.network.link(from, to).clogged_until = until,
            Action::ClockJump { node, by } => {
                self.nodes[node].clock.offset += by as i128;
                self.set_timer(node);
            }
            Action::HealAll => {
                self.settings.pause_at_step = 0;
                self.network.each(|link| link.clogged_until = 0);
                self.nodes.iter_mut().for_each(|node| node.disk.heal());
                for from in 0..NODES {
                    for to in 0..NODES {
                        if self.network.is_cut(from, to) {
                            self.network.cut(from, to, false);
                            self.reconnect(from, to);
                        }
                    }
                }
                let fsync = (MILLISECOND / 2, 4 * MILLISECOND);
                self.settings.crash_at_output = 0;
                self.settings.spite = 0;
                self.nodes.iter_mut().for_each(|node| node.fsync = fsync);
                self.network.each(|link| {
                    link.loss = 0;
                    link.copies = 0;
                    link.ordered = true;
                });
            }
        }
    }

    fn reconnect(&mut self, from: usize, to: usize) {
        if self.settings.reconnects {
            let at = self.time + 2 * self.network.link(from, to).delay;
            self.at(at, Happening::Connected { node: from, peer: to });
            self.at(at, Happening::Connected { node: to, peer: from });
        }
    }

    pub fn stop_clients(&mut self) {
        self.clients_until = self.time;
    }

    // ---- a node's life

    fn start(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if node.core.is_some() || (node.disk.is_lost && !self.begin_anew(place)) {
            return;
        }
        let node = &mut self.nodes[place];
        let journal = match node.disk.start() {
            Ok(journal) => journal,
            Err(DiskError::Broken(what)) => {
                return self.fail(Err(Violation { rule: "journal", what: format!("{}: {what}", name(place)) }));
            }
            // whoever watches over it tries again
            Err(_) => return self.at(self.time + 100 * MILLISECOND, Happening::Start { node: place }),
        };
        node.life += 1;
        node.stopped = false;
        node.disk_is_lost = false;
        node.sequence = 0;
        node.applied.truncate(node.applied_durable);
        let applied = Index(node.applied_durable as u64);
        // a journal gives what is not applied, and perhaps more
        let more = self.random.below(8);
        let needed = match ROSTER[place].1 {
            NodeKind::Region => applied.0,
            NodeKind::Witness => journal.last.index.0,
        };
        let from = needed.saturating_sub(more).max(journal.base.index.0);
        self.counts.survivals += u64::from(node.disk.has_survivors);
        let mut recovered = Recovered { applied, seed: self.random.draw(), ..journal };
        recovered.entries.retain(|entry| entry.index().0 > from);
        node.machine = match ROSTER[place].1 {
            NodeKind::Region => AnyMachine::Store(Store::recovered(&node.applied)),
            NodeKind::Witness => AnyMachine::None(NoMachine),
        };
        let config = Config {
            me: id_of(place),
            roster: ROSTER.to_vec(),
            timing: self.settings.timing,
            payload_max: 1 << 20,
            append_bytes_max: self.settings.append_bytes_max,
            uncommitted_bytes_max: self.settings.uncommitted_bytes_max,
            cache_bytes_max: self.settings.cache_bytes_max,
            sabotage: self.settings.sabotage,
        };
        let clock = node.clock.read(self.time);
        let now = Now { boottime: clock, wall: self.time };
        let mut out = std::mem::take(&mut self.out);
        let core = Core::new(config, recovered, now, &mut node.machine, &mut out);
        node.core = Some(core);
        self.checker.restarted(place);
        self.note(|| format!("{} starts", name(place)));
        self.check_copies();
        self.take_effects(place, &mut out);
        self.out = out;
        self.set_timer(place);
        for peer in (0..NODES).filter(|peer| *peer != place) {
            self.reconnect(place, peer);
        }
    }

    pub(crate) fn crash(&mut self, place: usize, down_for: u64, reboot: bool) {
        if self.nodes[place].core.is_none() {
            return;
        }
        self.counts.crashes += 1;
        let node = &mut self.nodes[place];
        node.core = None;
        node.life += 1;
        node.paused_until = None;
        node.backlog.clear();
        node.timer_at = u64::MAX;
        node.reads.clear();
        node.asked.clear();
        let result = node.disk.crash(&mut self.random);
        if reboot {
            node.clock.offset = -(self.time as i128 * (1_000_000 + node.clock.rate) / 1_000_000) + 1;
        }
        for operation in self.operations.values_mut() {
            if operation.region == place && operation.fate == Fate::Open {
                operation.fate = Fate::Lost;
                operation.ended = self.time;
            }
        }
        self.note(|| format!("{} crashes", name(place)));
        self.fail(result.map_err(|what| Violation { rule: "I6", what }));
        self.check_copies();
        let at = self.time + down_for;
        self.at(at, Happening::Start { node: place });
    }

    fn resume(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if node.paused_until.is_none_or(|until| until > self.time) {
            return;
        }
        node.paused_until = None;
        let backlog = std::mem::take(&mut node.backlog);
        if self.random.chance(500) {
            // a timer may fire before anything that has arrived meanwhile
            self.step(place, Input::Tick);
        }
        for what in backlog {
            self.happen(what);
        }
        self.step(place, Input::Tick);
    }

    pub(crate) fn set_timer(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let Some(core) = &node.core else { return };
        let at = node.clock.when(core.next_deadline()).max(self.time);
        if at < node.timer_at || node.timer_at < self.time {
            node.timer_at = at;
            let life = node.life;
            self.at(at, Happening::Timer { node: place, life });
        } else if at > node.timer_at {
            node.timer_at = node.timer_at.min(at);
        }
    }

    // ---- a step

    pub(crate) fn step(&mut self, place: usize, input: Input) {
        if self.violation.is_some() || self.nodes[place].paused_until.is_some() {
            return;
        }
        if self.nodes[place].core.is_none() {
            return;
        }
        self.counts.steps += 1;
        if self.settings.trace && !matches!(input, Input::Tick) {
            let line = format!("{} <- {}", name(place), describe_input(&input));
            self.note(|| line);
        }
        let mut out = std::mem::take(&mut self.out);
        let node = &mut self.nodes[place];
        let now = Now { boottime: node.clock.read(self.time), wall: self.time };
        let core = node.core.as_mut().expect("it runs");
        core.step(now, input, &mut node.machine, &mut out);
        self.check(place);
        if self.settings.crash_at_output > 0 && self.random.below(1_000_000) < self.settings.crash_at_output {
            let keep = self.random.below(out.len() as u64 + 1) as usize;
            out.truncate(keep);
            self.take_effects(place, &mut out);
            self.out = out;
            let down_for = self.random.below(2 * SECOND);
            self.crash(place, down_for, false);
            return;
        }
        self.take_effects(place, &mut out);
        self.out = out;
        self.set_timer(place);
        if self.settings.pause_at_step > 0 && self.random.below(1_000_000) < self.settings.pause_at_step {
            let until = self.time + self.random.below(3 * SECOND / 2);
            self.act(Action::Pause { node: place, until });
        }
    }

    fn check(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if let AnyMachine::Store(store) = &mut node.machine
            && let Some(what) = store.violations.pop()
        {
            return self.fail(Err(Violation { rule: "machine", what }));
        }
        let disks: Vec<OnDisk<'_>> = self.nodes.iter().map(on_disk).collect();
        let mut result = Ok(());
        if let Some(seen) = seen(&self.nodes[place], place) {
            result = self.checker.commits(&seen, &disks);
        }
        for region in [A, B] {
            if let (Ok(()), Some(seen)) = (&result, seen(&self.nodes[region], region)) {
                result = self.checker.lease(&seen, self.nodes[region].clock.read(self.time));
            }
        }
        self.counts.exposed = self.checker.exposed().0;
        self.fail(result);
        self.finish_reads(place);
    }

    pub(crate) fn check_copies(&mut self) {
        let disks: Vec<OnDisk<'_>> = self.nodes.iter().map(on_disk).collect();
        let result = self.checker.all_copies(&disks);
        self.fail(result);
    }

    /// When the node last did that: "leads", "engages", "lapses".
    pub fn last_event(&self, node: usize, what: &'static str) -> Option<u64> {
        self.last_event.get(&(node, what)).copied()
    }

    // ---- looking

    pub fn status(&self, node: usize) -> Option<Status> {
        self.nodes[node].core.as_ref().map(Core::status)
    }

    pub fn clock(&self, node: usize) -> Nanos {
        self.nodes[node].clock.read(self.time)
    }

    pub fn has_lease(&self, node: usize) -> bool {
        let core = self.nodes[node].core.as_ref();
        core.is_some_and(|core| self.clock(node) < core.read_view().lease_until)
    }

    pub fn leader(&self) -> Option<usize> {
        let leads = |node: &usize| self.status(*node).is_some_and(|status| status.role == "leader");
        let term = |node: &usize| self.status(*node).map(|status| status.term);
        [A, B].into_iter().filter(leads).max_by_key(term)
    }

    pub fn store(&self, node: usize) -> Option<&Store> {
        match (&self.nodes[node].machine, &self.nodes[node].core) {
            (AnyMachine::Store(store), Some(_)) => Some(store),
            _ => None,
        }
    }

    pub fn disk(&self, node: usize) -> &Disk {
        &self.nodes[node].disk
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].core.is_some() && self.nodes[node].paused_until.is_none()
    }

    /// Everything is well: all run, agree, hold leases, and have nothing open.
    pub fn is_settled(&self) -> bool {
        let exposed = self.checker.exposed();
        (0..NODES).all(|node| self.is_up(node) && !self.nodes[node].stopped)
            && [A, B].iter().all(|node| {
                self.has_lease(*node)
                    && self
                        .store(*node)
                        .is_some_and(|store| store.committed() == exposed && store.last().index == exposed)
                    && self.nodes[*node].reads.is_empty()
                    && self.nodes[*node].asked.is_empty()
            })
            && self.operations.values().all(|operation| operation.fate != Fate::Open)
    }

    /// What clients saw, now that all is well (see [`crate::history`]).
    pub fn judge_history(&mut self) -> Result<(), Violation> {
        let Some(store) = self.store(A) else { return Ok(()) };
        let finals = (0..self.settings.keys).map(|key| (key, store.list(key))).collect();
        for finding in crate::history::judge(&self.operations, &self.history, &finals) {
            if !(self.settings.clocks_are_wild && finding.is_stale) {
                return Err(finding.violation);
            }
            self.counts.excused += 1;
        }
        Ok(())
    }

    pub fn describe(&self) -> String {
        let mut text = format!("at {} ms, exposed {}", self.time / MILLISECOND, self.checker.exposed().0);
        for node in 0..NODES {
            match self.status(node) {
                None => text += &format!("; {} is down", name(node)),
                Some(status) => {
                    text += &format!(
                        "; {} {} term {} last {} durable {} commit {} lease {}",
                        name(node),
                        status.role,
                        status.term.0,
                        status.last,
                        status.durable.0,
                        status.commit.0,
                        self.has_lease(node),
                    )
                }
            }
        }
        let open = self.operations.values().filter(|operation| operation.fate == Fate::Open).count();
        text + &format!("; {open} proposals open")
    }
}

fn on_disk(node: &Node) -> OnDisk<'_> {
    let disk = &node.disk;
    let applied = Index(node.applied_durable as u64).max(disk.lost_applied);
    OnDisk { image: &disk.durable, applied, rotten: &disk.rotten }
}

fn seen(node: &Node, place: usize) -> Option<Seen<'_>> {
    let core = node.core.as_ref()?;
    let view = core.read_view();
    let store = match &node.machine {
        AnyMachine::Store(store) => Some(store),
        AnyMachine::None(_) => None,
    };
    Some(Seen { place, term: view.term, store, view })
}
