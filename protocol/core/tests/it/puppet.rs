//! One core whose whole world is in the test's hands.
use bytes::Bytes;
use trivet_log::*;

pub const A: NodeId = NodeId(1);
pub const B: NodeId = NodeId(2);
pub const W: NodeId = NodeId(3);
pub const MS: Nanos = 1_000_000;
pub const BOOT: Boot = Boot(7);

/// Notes what it is told, in order; certifies everything but payloads that begin with `no`.
#[derive(Debug, Default)]
pub struct Recorder {
    pub calls: Vec<String>,
}

impl Machine for Recorder {
    fn certify(&mut self, _: Now, at: Position, proposal: &Proposal) -> Verdict {
        self.calls.push(format!("certify {at}"));
        match proposal.payload.starts_with(b"no") {
            true => Verdict::Reject { reason: Bytes::from_static(b"said so") },
            false => Verdict::Append { header: Bytes::from_static(b"h") },
        }
    }
    fn received(&mut self, entry: &Entry) {
        self.calls.push(format!("received {}", entry.position));
    }
    fn truncated(&mut self, last: Position) {
        self.calls.push(format!("truncated {last}"));
    }
    fn committed(&mut self, position: Position) {
        self.calls.push(format!("committed {position}"));
    }
    fn leading(&mut self, _: Now, term: Term, leads: bool) {
        self.calls.push(format!("leading {} {leads}", term.0));
    }
}

pub struct Puppet {
    pub core: Core,
    pub machine: Recorder,
    pub out: Vec<Output>,
    pub me: NodeId,
    pub now: Nanos,
    /// Requests to the disk that are not done.
    pub disk: Vec<Persist>,
    /// What a peer's messages echo; by default the newest token that it was sent.
    pub echo: Vec<(NodeId, Nanos)>,
}

pub fn config(me: NodeId) -> Config {
    Config {
        me,
        roster: vec![(A, NodeKind::Region), (B, NodeKind::Region), (W, NodeKind::Witness)],
        timing: Timing::default(),
        payload_max: 1 << 16,
        append_bytes_max: 1 << 20,
        uncommitted_bytes_max: 1 << 20,
        cache_bytes_max: 1 << 20,
        sabotage: Sabotage::default(),
    }
}

/// A journal of no-ops, written as their terms: `1 1 2` is 1.1, 1.2, 2.3.
pub fn journal(terms: &[u64]) -> Recovered {
    let entries: Vec<Entry> = noops(1, terms);
    Recovered {
        boot: BOOT,
        term: Term(terms.last().copied().unwrap_or(0)),
        last: entries.last().map_or(Position::ZERO, |entry| entry.position),
        entries,
        term_starts: vec![Position::ZERO],
        ..Recovered::default()
    }
}

/// No-ops from `first` on, of these terms.
pub fn noops(first: u64, terms: &[u64]) -> Vec<Entry> {
    let entry =
        |(n, term): (usize, &u64)| Entry { position: Position::new(*term, first + n as u64), body: EntryBody::NoOp };
    terms.iter().enumerate().map(entry).collect()
}

pub fn append(previous: (u64, u64), terms: &[u64], commit: u64, durable: u64) -> Body {
    let entries = noops(previous.1 + 1, terms).into_iter().map(AppendEntry::Full).collect();
    let previous = Position::new(previous.0, previous.1);
    Body::Append { previous, entries, commit: Index(commit), durable: Index(durable) }
}

pub fn beat(leads: bool, durable: u64, mask: u8) -> Body {
    let durable = Index(durable);
    Body::Heartbeat(Heartbeat { leads, received: durable, durable, commit: Index(0), settled: Index(0), mask })
}

pub fn ack(durable: u64, mask: u8) -> Body {
    Body::AppendAck { durable: Index(durable), received: Index(durable), mask }
}

pub fn proposal(region: NodeId, sequence: u64, payload: &'static str) -> Proposal {
    let id = ProposalId { region, boot: BOOT, sequence };
    Proposal { id, snapshot: Position::ZERO, payload: Bytes::from_static(payload.as_bytes()) }
}

impl Puppet {
    pub fn new(config: Config, recovered: Recovered) -> Puppet {
        let me = config.me;
        let mut machine = Recorder::default();
        let mut out = Vec::new();
        let now = 1000 * MS;
        let core = Core::new(config, recovered, Now { boottime: now, wall: 0 }, &mut machine, &mut out);
        machine.calls.clear();
        Puppet { core, machine, out, me, now, disk: Vec::new(), echo: Vec::new() }
    }

    pub fn of(me: NodeId, terms: &[u64]) -> Puppet {
        Puppet::new(config(me), journal(terms))
    }

    /// A follower region, B unless said otherwise, that has heard from leader A in `term`.
    pub fn following(me: NodeId, terms: &[u64], term: u64) -> Puppet {
        let mut puppet = Puppet::of(me, terms);
        puppet.hear(A, term, beat(true, 0, 0));
        puppet.sync();
        puppet.out.clear();
        puppet
    }

    /// Leader A of the term after the journal's, elected by B, its first entry on its own disk.
    pub fn leading(terms: &[u64]) -> Puppet {
        Puppet::leading_with(config(A), terms)
    }

    pub fn leading_with(config: Config, terms: &[u64]) -> Puppet {
        let mut puppet = Puppet::new(config, journal(terms));
        let term = terms.last().copied().unwrap_or(0) + 1;
        puppet.wait(2000);
        puppet.hear(B, term - 1, Body::PreVoteReply { granted: true });
        puppet.sync();
        puppet.hear(B, term, vote(true));
        assert_eq!(puppet.core.status().role, "leader");
        puppet.sync();
        puppet.out.clear();
        puppet
    }

    pub fn step(&mut self, input: Input) {
        let now = Now { boottime: self.now, wall: 0 };
        let before = self.out.len();
        self.core.step(now, input, &mut self.machine, &mut self.out);
        for effect in &self.out[before..] {
            match effect {
                Output::Persist(request) => self.disk.push(request.clone()),
                Output::Send(message) => {
                    self.echo.retain(|(node, _)| *node != message.to);
                    self.echo.push((message.to, message.token));
                }
                _ => {}
            }
        }
    }

    /// A message from a peer in `term`.
    pub fn hear(&mut self, from: NodeId, term: u64, body: Body) {
        let message = self.message(from, term, body);
        self.step(Input::Receive(message));
    }

    pub fn message(&self, from: NodeId, term: u64, body: Body) -> Message {
        let echo = self.echo.iter().find(|(node, _)| *node == from).map(|(_, token)| (BOOT, *token));
        Message {
            from,
            to: self.me,
            term: Term(term),
            boot: BOOT,
            token: self.now,
            echo,
            // as if it had seen that token at once
            echo_age: echo.map_or(0, |(_, token)| self.now - token),
            promise: None,
            low_water: Index(0),
            body,
        }
    }

    /// Everything that was handed to the disk is on it.
    pub fn sync(&mut self) {
        while !self.disk.is_empty() {
            let request = self.disk.remove(0);
            self.step(Input::Persisted(request.ticket));
        }
    }

    /// Time passes, in steps of a millisecond.
    pub fn wait(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += MS;
            if self.core.next_deadline() <= self.now {
                self.step(Input::Tick);
            }
        }
    }

    /// The bodies sent to `to` since this was last asked, heartbeats left out.
    pub fn sent(&mut self, to: NodeId) -> Vec<Body> {
        let mut bodies = Vec::new();
        self.out.retain(|effect| match effect {
            Output::Send(message) if message.to == to => {
                if !matches!(message.body, Body::Heartbeat(_)) {
                    bodies.push(message.body.clone());
                }
                false
            }
            _ => true,
        });
        bodies
    }

    /// The promises sent to `to` since this was last asked.
    pub fn promised(&mut self, to: NodeId) -> Vec<Promise> {
        let mut promises = Vec::new();
        self.out.retain(|effect| match effect {
            Output::Send(message) if message.to == to => {
                promises.extend(message.promise);
                false
            }
            _ => true,
        });
        promises
    }

    pub fn resolved(&mut self) -> Vec<(u64, Outcome)> {
        let mut outcomes = Vec::new();
        self.out.retain(|effect| match effect {
            Output::Resolved { id, outcome } => {
                outcomes.push((id.sequence, outcome.clone()));
                false
            }
            _ => true,
        });
        outcomes
    }

    pub fn fatal(&self) -> Option<&str> {
        self.out.iter().find_map(|effect| match effect {
            Output::Fatal(broken) => Some(broken.as_str()),
            _ => None,
        })
    }

    pub fn events(&self) -> Vec<&Event> {
        let events = self.out.iter().filter_map(|effect| match effect {
            Output::Event(event) => Some(event),
            _ => None,
        });
        events.collect()
    }

    pub fn commit(&self) -> u64 {
        self.core.read_view().commit.index.0
    }

    pub fn calls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.machine.calls)
    }
}

pub fn vote(granted: bool) -> Body {
    Body::VoteReply { granted, last: Position::ZERO, base: Position::ZERO, term_starts: vec![] }
}

/// A witness's vote: its log is `terms`, from index 1.
pub fn witness_vote(terms: &[u64]) -> Body {
    let entries = noops(1, terms);
    let mut term_starts = vec![Position::ZERO];
    for entry in &entries {
        if entry.term() > term_starts[term_starts.len() - 1].term {
            term_starts.push(entry.position);
        }
    }
    let last = entries.last().map_or(Position::ZERO, |entry| entry.position);
    Body::VoteReply { granted: true, last, base: Position::ZERO, term_starts }
}
