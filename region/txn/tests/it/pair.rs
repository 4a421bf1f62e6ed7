//! A scripted pair of regions. The test plays the log's core: it says who leads, what arrives where and what is
//! committed; machine, pending index, snapshots, locks, applier and store are the real ones.
//!
//! Commands, one a line; effects are printed below each, indented. `R` is A or B, a position is `term.index`.
//!
//! ```text
//!  lead R                      R leads the next term and appends its first, empty entry
//!  propose R ACCESS.. @ POS    offer a record of R to the leader: k=v  k-  k!KS|S|NKU|U (a guard)  [a..b] (a range)
//!  again R N                   offer R's proposal number N again, the same bytes
//!  horizon N                   offer a horizon at index N
//!  part R T N ACCESS.. @ POS   offer part N of R's transaction T;  final R T N @ POS: its final;  abandon R T
//!  forge R ACCESS.. @ POS      the leader appends without asking
//!  ship R                      R receives what the leader has, after cutting what differs
//!  commit R N                  R learns that N is committed;  apply R: it applies that;  work R: its background work
//!  read R KEY [POS]            at last received, or at a position
//!  snapshot R NAME             begin one;  snapshots R: where they are now;  end R NAME
//!  lock R KEY STRENGTH         a session of R locks a row;  doomed R: those whose commit would fail
//!  flush R, crash R            the store goes to disk;  everything else is lost and the journal replayed
//!  tidy R                      low-water mark and the store's horizon
//!  verdict ACCESS.. @ POS      what either region would say to a new record, without appending it
//! ```
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use trivet_log::{Boot, Entry, EntryBody, Index, Machine, NodeId, Now, Position, Proposal, ProposalId, Term, Verdict};
use trivet_storage::{KeyRange, MemoryStore, Row, Store};
use trivet_txn::*;

struct NoIndexes;

impl IndexBuilder for NoIndexes {
    fn entries(&self, _: &[u8], _: &Row, _: &mut Vec<(Bytes, Bytes)>) -> Result<(), String> {
        Err("no index in these transcripts".into())
    }
}

struct Region {
    name: &'static str,
    node: NodeId,
    boot: u64,
    sequence: u64,
    /// The journal: it survives a crash.
    log: Vec<Entry>,
    committed: Index,
    store: Arc<MemoryStore>,
    state: Arc<RegionState>,
    machine: RegionMachine,
    applier: Applier,
    snapshots: BTreeMap<String, SnapshotGuard>,
    locks: Vec<(String, LockGuard)>,
}

impl Region {
    fn new(name: &'static str, node: u8) -> Region {
        let store = Arc::new(MemoryStore::crashable());
        let state = RegionState::new(NodeId(node), Boot(1));
        let machine = RegionMachine::new(state.clone(), Rules::ALL, Position::default(), None, Index(0));
        let applier = Applier::open(state.clone(), store.clone(), Arc::new(NoIndexes)).expect("a new store");
        Region {
            name,
            node: NodeId(node),
            boot: 1,
            sequence: 0,
            log: Vec::new(),
            committed: Index(0),
            store,
            state,
            machine,
            applier,
            snapshots: BTreeMap::new(),
            locks: Vec::new(),
        }
    }

    fn last(&self) -> Position {
        self.log.last().map_or(Position::default(), |entry| entry.position)
    }

    fn append(&mut self, entry: Entry) {
        self.machine.received(&entry);
        self.log.push(entry);
    }

    /// What a process finds when it starts again: the journal, and the store as it was flushed.
    fn crash(&mut self) -> Result<String, String> {
        self.store.crash();
        self.snapshots.clear();
        self.locks.clear();
        self.boot += 1;
        self.sequence = 0;
        let applied = Index(self.store.applied());
        let stored = stored_state(&*self.store).map_err(|error| error.to_string())?;
        let from = stored.as_ref().map_or(Index(0), |stored| stored.horizon.index).min(applied);
        self.state = RegionState::new(self.node, Boot(self.boot));
        self.machine = RegionMachine::new(self.state.clone(), Rules::ALL, Position::default(), stored, applied);
        self.applier =
            Applier::open(self.state.clone(), self.store.clone(), Arc::new(NoIndexes)).map_err(|e| e.to_string())?;
        for entry in self.log.iter().filter(|entry| entry.position.index > from) {
            self.machine.received(entry);
        }
        self.committed = applied;
        self.machine.committed(self.log[..applied.0 as usize].last().map_or(Position::default(), |e| e.position));
        Ok(format!("applied {}, journal from {} to {}", applied.0, from.0 + 1, self.last().index.0))
    }
}

pub struct Pair {
    regions: [Region; 2],
    term: u64,
    leader: usize,
    proposals: BTreeMap<(usize, u64), Proposal>,
    now: u64,
}

/// Runs a script and returns it with every effect below its command.
pub fn run(script: &str) -> String {
    let mut pair = Pair {
        regions: [Region::new("A", 1), Region::new("B", 2)],
        term: 0,
        leader: 0,
        proposals: BTreeMap::new(),
        now: 1_000_000,
    };
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(out, "{line}").expect("a string");
        if line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for effect in pair.command(&words).lines() {
            writeln!(out, "    {effect}").expect("a string");
        }
    }
    out
}

fn region(word: &str) -> usize {
    match word {
        "A" => 0,
        "B" => 1,
        other => panic!("no region {other}"),
    }
}

fn position(word: &str) -> Position {
    let (term, index) = word.split_once('.').expect("term.index");
    Position { term: Term(term.parse().expect("a term")), index: Index(index.parse().expect("an index")) }
}

fn strength(word: &str) -> LockStrength {
    match word {
        "KS" => LockStrength::KeyShare,
        "S" => LockStrength::Share,
        "NKU" => LockStrength::NoKeyUpdate,
        "U" => LockStrength::Update,
        other => panic!("no strength {other}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

/// `ACCESS.. @ POS`
fn accesses(words: &[&str]) -> (Vec<KeyAccess>, Vec<RangeGuard>, Position) {
    let (accesses, at) = words.split_at(words.iter().position(|word| *word == "@").expect("@ position"));
    let at = position(at[1]);
    let mut keys = BTreeMap::new();
    let mut ranges = Vec::new();
    for word in accesses {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        if let Some((start, end)) =
            word.strip_prefix('[').and_then(|w| w.strip_suffix(']')).and_then(|w| w.split_once(".."))
        {
            ranges.push(RangeGuard { range: KeyRange::new(bytes(start), bytes(end)), read_at: at });
            continue;
        }
        let (key, access) = if let Some((key, value)) = word.split_once('=') {
            (key, Access::Put { value: bytes(value), kind: WriteKind::NoKeyUpdate })
        } else if let Some((key, held)) = word.split_once('!') {
            (key, Access::Guard(strength(held)))
        } else {
            (word.strip_suffix('-').expect("an access"), Access::Delete)
        };
        keys.insert(bytes(key), KeyAccess { key: bytes(key), access, read_at: at, lock_at: at, key_at: None });
    }
    (keys.into_values().collect(), ranges, at)
}

fn show(rejection: Option<Rejection>) -> String {
    let name = |region: NodeId| ["?", "A", "B"][usize::from(region.0)];
    match rejection {
        Some(Rejection::Conflict { key, at, region }) => {
            format!("conflict on {} with {} of {}", String::from_utf8_lossy(&key), at.0, name(region))
        }
        other => format!("{other:?}").trim_start_matches("Some(").trim_end_matches(')').to_owned(),
    }
}

impl Pair {
    fn command(&mut self, words: &[&str]) -> String {
        match (words[0], &words[1..]) {
            ("lead", [name]) => self.lead(region(name)),
            ("propose", [name, rest @ ..]) => {
                let record = self.commit_record(region(name), rest, None);
                self.propose(region(name), record)
            }
            ("again", [name, number_of]) => {
                let proposal = self.proposals[&(region(name), number(number_of))].clone();
                self.offer(proposal)
            }
            ("horizon", [index]) => {
                let leader = self.leader;
                let at = self.regions[leader].log[number(index) as usize - 1].position;
                let record = Record::Horizon { horizon: at, low_water: self.low_water(leader), rules: 1 };
                self.propose(leader, record)
            }
            ("part", [name, transaction, part, rest @ ..]) => {
                let keys = accesses(rest).0;
                let (transaction, low_water) =
                    (self.transaction(region(name), transaction), self.low_water(region(name)));
                let ranges = keys
                    .iter()
                    .map(|key| KeyRange::new(key.key.clone(), KeyRange::prefix(key.key.clone()).end))
                    .collect();
                let part = PartRecord { transaction, low_water, number: number(part) as u32, ranges, keys };
                self.propose(region(name), Record::Part(part))
            }
            ("final", [name, transaction, parts, rest @ ..]) => {
                let large = (self.transaction(region(name), transaction), number(parts) as u32);
                let record = self.commit_record(region(name), rest, Some(large));
                self.propose(region(name), record)
            }
            ("abandon", [name, transaction]) => {
                let transaction = self.transaction(region(name), transaction);
                let low_water = self.low_water(region(name));
                self.propose(region(name), Record::Abandon { transaction, low_water })
            }
            ("forge", [name, rest @ ..]) => {
                let record = self.commit_record(region(name), rest, None);
                self.forge(region(name), record)
            }
            ("ship", [name]) => self.ship(region(name)),
            ("commit", [name, index]) => {
                let region = &mut self.regions[region(name)];
                region.committed = Index(number(index));
                let at = region.log[region.committed.0 as usize - 1].position;
                region.machine.committed(at);
                String::new()
            }
            ("apply", [name]) => {
                let region = &mut self.regions[region(name)];
                let entries = &region.log[..region.committed.0 as usize];
                match region.applier.apply(entries) {
                    Ok(()) => format!("applied {}", region.state.applied().0),
                    Err(_) => {
                        format!("stopped at {}: {}", region.state.applied().0, region.state.halted().unwrap_or("?"))
                    }
                }
            }
            ("work", [name]) => {
                let region = &mut self.regions[region(name)];
                while region.applier.work().expect("sound parts") == Slice::More {}
                String::new()
            }
            ("read", [name, key, rest @ ..]) => {
                let at = rest.first().map(|at| position(at));
                self.read(region(name), key, at)
            }
            ("snapshot", [name, snapshot]) => {
                let region = &mut self.regions[region(name)];
                let last = region.last();
                let begun = begin_snapshot(&region.state, last).expect("the newest position");
                region.snapshots.insert((*snapshot).to_owned(), begun);
                format!("{} at {}.{}", snapshot, last.term.0, last.index.0)
            }
            ("snapshots", [name]) => {
                let snapshots = &self.regions[region(name)].snapshots;
                let at = |(name, guard): (&String, &SnapshotGuard)| {
                    format!("{name} at {}.{}", guard.position().term.0, guard.position().index.0)
                };
                snapshots.iter().map(at).collect::<Vec<_>>().join("\n")
            }
            ("end", [name, snapshot]) => {
                self.regions[region(name)].snapshots.remove(*snapshot);
                String::new()
            }
            ("lock", [name, key, held]) => {
                let region = &mut self.regions[region(name)];
                let guard = lock_row(&region.state, key.as_bytes(), strength(held)).expect("free");
                region.locks.push(((*key).to_owned(), guard));
                String::new()
            }
            ("doomed", [name]) => {
                let locks = &self.regions[region(name)].locks;
                let doomed =
                    locks.iter().filter_map(|(key, guard)| Some(format!("{key} by entry {}", guard.doomed_at()?.0)));
                doomed.collect::<Vec<_>>().join("\n")
            }
            ("flush", [name]) => {
                let region = &mut self.regions[region(name)];
                region.applier.flush().expect("in memory");
                format!("durable {}", region.applier.durable().0)
            }
            ("crash", [name]) => self.regions[region(name)].crash().unwrap_or_else(|error| error),
            ("tidy", [name]) => {
                let region = &mut self.regions[region(name)];
                region.applier.tidy().expect("in memory");
                format!(
                    "low-water mark {}, the store's horizon {}",
                    region.machine.low_water().0,
                    region.store.horizon()
                )
            }
            ("verdict", rest) => self.verdict(rest),
            _ => panic!("no command {words:?}"),
        }
    }

    fn lead(&mut self, leader: usize) -> String {
        self.term += 1;
        self.leader = leader;
        let now = self.tick();
        let region = &mut self.regions[leader];
        region.machine.leading(now, Term(self.term), true);
        let position = Position { term: Term(self.term), index: Index(region.last().index.0 + 1) };
        region.append(Entry { position, body: EntryBody::NoOp });
        format!("{} leads term {}, first entry {}", region.name, self.term, position.index.0)
    }

    fn tick(&mut self) -> Now {
        self.now += 1_000;
        Now { boottime: self.now, wall: self.now }
    }

    /// Every proposal of a script is settled at once, but for the newest few.
    fn low_water(&self, region: usize) -> u64 {
        self.regions[region].sequence.saturating_sub(2).max(1)
    }

    fn transaction(&self, region: usize, word: &str) -> TransactionId {
        let Region { node, boot, .. } = self.regions[region];
        TransactionId { region: node, boot: Boot(boot), sequence: number(word.trim_start_matches('T')) }
    }

    fn commit_record(&self, region: usize, words: &[&str], large: Option<(TransactionId, u32)>) -> Record {
        let (keys, ranges, snapshot) = accesses(words);
        let (transaction, parts) = large.unwrap_or((self.transaction(region, "0"), 0));
        let low_water = self.low_water(region);
        Record::Commit(CommitRecord {
            transaction,
            snapshot,
            low_water,
            parts,
            keys,
            schema_guards: vec![],
            reads: vec![],
            ranges,
            actions: vec![],
        })
    }

    fn name(&mut self, region: usize, record: &Record) -> Proposal {
        let origin = &mut self.regions[region];
        origin.sequence += 1;
        let id = ProposalId { region: origin.node, boot: Boot(origin.boot), sequence: origin.sequence };
        let proposal = Proposal { id, snapshot: Position::default(), payload: record.encode() };
        self.proposals.insert((region, id.sequence), proposal.clone());
        proposal
    }

    fn propose(&mut self, region: usize, record: Record) -> String {
        let proposal = self.name(region, &record);
        self.offer(proposal)
    }

    fn offer(&mut self, proposal: Proposal) -> String {
        let now = self.tick();
        let region = &mut self.regions[self.leader];
        let position = Position { term: Term(self.term), index: Index(region.last().index.0 + 1) };
        match region.machine.certify(now, position, &proposal) {
            Verdict::Append { header } => {
                region.append(Entry { position, body: EntryBody::Record { header, proposal } });
                format!("{}.{} in the log of {}", position.term.0, position.index.0, region.name)
            }
            Verdict::Reject { reason } => format!("refused: {}", show(Rejection::decode(&reason))),
            Verdict::Duplicate { position } => format!("is {}.{} already", position.term.0, position.index.0),
        }
    }

    fn forge(&mut self, region: usize, record: Record) -> String {
        let honest = Record::Abandon { transaction: self.transaction(region, "0"), low_water: 1 };
        let now = self.tick();
        let leader = &mut self.regions[self.leader];
        let position = Position { term: Term(self.term), index: Index(leader.last().index.0 + 1) };
        let id = ProposalId { region: leader.node, boot: Boot(leader.boot), sequence: 1_000 };
        let asked = Proposal { id, snapshot: Position::default(), payload: honest.encode() };
        let Verdict::Append { header } = leader.machine.certify(now, position, &asked) else {
            panic!("an abandon is harmless")
        };
        let proposal = self.name(region, &record);
        // The entry goes into the leader's log only: its machine is as good as dead.
        self.regions[self.leader].log.push(Entry { position, body: EntryBody::Record { header, proposal } });
        format!("{}.{} in the log of {}, unasked", position.term.0, position.index.0, self.regions[self.leader].name)
    }

    fn ship(&mut self, to: usize) -> String {
        let source = self.regions[self.leader].log.clone();
        let region = &mut self.regions[to];
        let same = source.iter().zip(&region.log).take_while(|(a, b)| a.position == b.position).count();
        let mut effects = String::new();
        if same < region.log.len() {
            region.log.truncate(same);
            region.machine.truncated(region.last());
            writeln!(effects, "{} cut to {same}", region.name).expect("a string");
        }
        let now = self.now;
        region.machine.leading(Now { boottime: now, wall: now }, Term(self.term), false);
        source[same..].iter().for_each(|entry| region.append(entry.clone()));
        writeln!(effects, "{} received up to {}", region.name, region.last().index.0).expect("a string");
        effects
    }

    fn read(&mut self, region: usize, key: &str, at: Option<Position>) -> String {
        let region = &self.regions[region];
        let at = at.unwrap_or(region.last());
        if is_waiting(&region.state, key.as_bytes(), at.index) {
            return format!("waits, at {}.{}", at.term.0, at.index.0);
        }
        match region.store.newest(key.as_bytes(), at.index.0) {
            Ok(Some((version, Some(value)))) => format!("{} of {version}", String::from_utf8_lossy(&value)),
            Ok(Some((version, None))) => format!("nothing since {version}"),
            Ok(None) => "nothing".into(),
            Err(error) => error.to_string(),
        }
    }

    fn verdict(&mut self, words: &[&str]) -> String {
        let record = self.commit_record(0, words, None);
        let id = ProposalId { region: NodeId(1), boot: Boot(u64::MAX), sequence: u64::MAX };
        let say = |region: &Region| match region.machine.certifier().certify(id, &record) {
            Decision::Append => "yes".to_owned(),
            Decision::Reject(rejection) => show(Some(rejection)),
            Decision::Duplicate(_) => "duplicate".to_owned(),
        };
        format!("A: {}\nB: {}", say(&self.regions[0]), say(&self.regions[1]))
    }
}
