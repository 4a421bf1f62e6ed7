//! A state of the world: two logs, what is on its way between them, and the sessions.
use super::program::{J, K, Start, World};
use super::session::{Phase, Session, proposal_id};
use super::{Explored, Rejections};
use crate::certifier::{Certifier, Decision};
use crate::record::{Access, Record};
use crate::rules::Rules;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use trivet_log::{Index, Position, Term};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Step(usize),
    /// To the leader of now; again after a change of leader.
    Send(usize),
    /// The leader decides on a proposal that was sent in its term.
    Decide(usize),
    /// A rejection arrives at its origin.
    Hear(usize, u64),
    /// The next entry of the leader's log reaches the other region.
    Ship,
    Commit,
    LearnCommit,
    Elect(usize),
    /// Drop one version of a key at a node.
    Collect(usize, u8, u64),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Logged {
    term: u64,
    /// (session, its record's bytes); `None` for a leader's first entry.
    record: Option<(usize, Bytes)>,
    writes: Vec<(u8, Option<u8>)>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    log: Vec<Arc<Logged>>,
    commit: usize,
    /// (key, version) -> value or tombstone.
    store: BTreeMap<(u8, u64), Option<u8>>,
    certifier: Arc<Certifier>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct State {
    nodes: [Arc<Node>; 2],
    leader: usize,
    term: u64,
    sessions: Vec<Session>,
    /// (session, term) of proposals on their way.
    proposals: BTreeSet<(usize, u64)>,
    /// (session, term) of rejections on their way.
    rejections: BTreeSet<(usize, u64)>,
    pub(super) disagreed: bool,
    pub(super) truncated: bool,
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        (&self.log, self.commit, &self.store, self.certifier.digest())
            == (&other.log, other.commit, &other.store, other.certifier.digest())
    }
}
impl Eq for Node {}
impl Hash for Node {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.log, self.commit, &self.store, self.certifier.digest()).hash(hasher);
    }
}

impl Node {
    pub(super) fn last(&self) -> Position {
        self.position(self.log.len())
    }

    fn position(&self, length: usize) -> Position {
        let term = length.checked_sub(1).map_or(0, |place| self.log[place].term);
        Position { term: Term(term), index: Index(length as u64) }
    }

    /// An entry that writes the key is received and not committed.
    pub(super) fn is_pending(&self, key: u8, at: Index) -> bool {
        self.log[self.commit..at.0 as usize]
            .iter()
            .any(|logged| logged.writes.iter().any(|(written, _)| *written == key))
    }

    fn newest(&self, key: u8, at: Index) -> Option<(u64, Option<u8>)> {
        self.store.range((key, 0)..=(key, at.0)).next_back().map(|((_, version), value)| (*version, *value))
    }

    pub(super) fn newest_version(&self, key: u8, at: Index) -> Index {
        Index(self.newest(key, at).map_or(0, |(version, _)| version))
    }

    pub(super) fn read(&self, key: u8, at: Index) -> Option<u8> {
        self.newest(key, at).and_then(|(_, value)| value)
    }

    fn append(&mut self, logged: Arc<Logged>, rules: Rules) {
        self.log.push(logged.clone());
        let position = self.last();
        let certifier = Arc::make_mut(&mut self.certifier);
        match &logged.record {
            None => certifier.append_no_op(position),
            Some((session, payload)) => {
                let record = Record::decode(payload).expect("encoded by a session");
                let Record::Commit(commit) = &record else { unreachable!("sessions commit") };
                let region = usize::from(commit.transaction.region.0) - 1;
                certifier.append(position, proposal_id(region, *session), &record);
            }
        }
        if !rules.only_committed_applied {
            self.apply(self.log.len());
        }
    }

    /// Put the entry that makes the log this long into the store.
    fn apply(&mut self, length: usize) {
        for (key, value) in &self.log[length - 1].writes {
            self.store.insert((*key, length as u64), *value);
        }
    }

    fn commit_to(&mut self, commit: usize) {
        for length in self.commit + 1..=commit {
            self.apply(length);
        }
        self.commit = commit;
        Arc::make_mut(&mut self.certifier).commit_to(Index(commit as u64));
    }

    /// The committed value of a key, from the log alone.
    fn replay(&self, initially: &[(u8, u8)], key: u8) -> Option<u8> {
        let mut value = initially.iter().find(|(initial, _)| *initial == key).map(|(_, value)| *value);
        for logged in &self.log[..self.commit] {
            for (_, to) in logged.writes.iter().filter(|(written, _)| *written == key) {
                value = *to;
            }
        }
        value
    }
}

impl Logged {
    fn first_of(term: u64) -> Arc<Logged> {
        Arc::new(Logged { term, record: None, writes: Vec::new() })
    }

    fn record(term: u64, session: usize, payload: Bytes) -> Arc<Logged> {
        let Ok(Record::Commit(commit)) = Record::decode(&payload) else { unreachable!("sessions commit") };
        let write = |access: &Access| match access {
            Access::Put { value, .. } => Some(Some(value[0])),
            Access::Delete => Some(None),
            Access::Guard(_) | Access::Void => None,
        };
        let writes = commit.keys.iter().filter_map(|key| Some((key.key[0], write(&key.access)?))).collect();
        Arc::new(Logged { term, record: Some((session, payload)), writes })
    }
}

impl State {
    pub(super) fn new(world: &World, rules: Rules) -> State {
        let store: BTreeMap<_, _> = world.initially.iter().map(|(key, value)| ((*key, 0), Some(*value))).collect();
        let certifier = Arc::new(Certifier::new(rules, Position::default()));
        let node = Arc::new(Node { log: Vec::new(), commit: 0, store, certifier });
        let leader = world.leaders[0].expect("somebody leads first");
        let mut state = State {
            nodes: [node.clone(), node],
            leader,
            term: 1,
            sessions: world.programs.iter().map(|_| Session::new()).collect(),
            proposals: BTreeSet::new(),
            rejections: BTreeSet::new(),
            disagreed: false,
            truncated: false,
        };
        state.node(leader).append(Logged::first_of(1), rules);
        state
    }

    fn node(&mut self, number: usize) -> &mut Node {
        Arc::make_mut(&mut self.nodes[number])
    }

    pub(super) fn actions(&self, model: &Explored, actions: &mut Vec<Action>) {
        for (number, session) in self.sessions.iter().enumerate() {
            let program = &model.world.programs[number];
            match session.phase {
                Phase::Running(at) if at < program.steps.len() => {
                    let may_start = match program.start {
                        Start::Anytime => true,
                        Start::Sent(other) => !matches!(self.sessions[other].phase, Phase::Running(_)),
                        Start::Acked(other) => self.sessions[other].phase == Phase::Acked,
                    };
                    if at > 0 || may_start {
                        actions.push(Action::Step(number));
                    }
                }
                Phase::Running(_) => actions.push(Action::Send(number)),
                Phase::Sent(term) if term < self.term => actions.push(Action::Send(number)),
                _ => {}
            }
        }
        let room = self.nodes[self.leader].log.len() < model.world.log_max;
        let decidable = self.proposals.iter().filter(|(_, term)| room && *term == self.term);
        actions.extend(decidable.map(|(session, _)| Action::Decide(*session)));
        actions.extend(self.rejections.iter().map(|(session, term)| Action::Hear(*session, *term)));
        actions.extend([Action::Ship, Action::Commit, Action::LearnCommit]);
        if let Some(next) = model.world.leaders.get(self.term as usize) {
            let may_lead = |node: &usize| {
                next.is_none_or(|leader| leader == *node) && self.nodes[*node].log.len() < model.world.log_max
            };
            actions.extend((0..2).filter(may_lead).map(Action::Elect));
        }
        if model.world.collects {
            for (number, node) in self.nodes.iter().enumerate() {
                actions.extend(node.store.keys().map(|(key, version)| Action::Collect(number, *key, *version)));
            }
        }
    }

    /// `false`: not possible now, or nothing would change.
    pub(super) fn act(&mut self, model: &Explored, action: Action) -> bool {
        match action {
            Action::Step(number) => {
                let program = &model.world.programs[number];
                let stepped = self.sessions[number].step(number, program, &self.nodes[program.region], model.rules);
                if stepped && model.world.prompt && self.sessions[number].phase == Phase::Running(program.steps.len()) {
                    self.send(number);
                }
                stepped
            }
            Action::Send(number) => self.send(number),
            Action::Decide(number) => self.decide(model, number),
            Action::Hear(number, term) => self.hear(model, number, term),
            Action::Ship => self.ship(model),
            Action::Commit => self.commit(model),
            Action::LearnCommit => self.learn_commit(model),
            Action::Elect(node) => self.elect(model, node),
            Action::Collect(node, key, version) => self.collect(model, node, key, version),
        }
    }

    fn send(&mut self, number: usize) -> bool {
        let session = &mut self.sessions[number];
        session.many_terms = matches!(session.phase, Phase::Sent(_));
        session.phase = Phase::Sent(self.term);
        self.proposals.insert((number, self.term))
    }

    fn decide(&mut self, model: &Explored, number: usize) -> bool {
        self.proposals.remove(&(number, self.term));
        let payload = self.sessions[number].payload.clone();
        let record = Record::decode(&payload).expect("encoded by a session");
        let id = proposal_id(model.world.programs[number].region, number);
        let term = self.term;
        let leader = self.node(self.leader);
        match leader.certifier.certify(id, &record) {
            Decision::Append => leader.append(Logged::record(term, number, payload), model.rules),
            Decision::Reject(_) if model.world.prompt => return self.hear(model, number, term),
            Decision::Reject(_) => drop(self.rejections.insert((number, term))),
            // Its entry will tell.
            Decision::Duplicate(_) => {}
        }
        true
    }

    fn hear(&mut self, model: &Explored, number: usize, term: u64) -> bool {
        self.rejections.remove(&(number, term));
        let Phase::Sent(sent) = self.sessions[number].phase else { return true };
        // T4: with a copy sent in an earlier term, only once that one cannot get into the log any more.
        let origin = &self.nodes[model.world.programs[number].region];
        let settled = || {
            let in_log =
                origin.log.iter().any(|logged| logged.record.as_ref().is_some_and(|(session, _)| *session == number));
            !in_log && origin.log[..origin.commit].iter().any(|logged| logged.term >= term)
        };
        let careful = sent == term && (!self.sessions[number].many_terms || settled());
        let believed = match model.mutation.rejections {
            Rejections::Careful => careful,
            Rejections::OfTheLatestTerm => sent == term,
            Rejections::All => true,
        };
        if believed {
            self.sessions[number].phase = Phase::Failed;
        }
        true
    }

    fn ship(&mut self, model: &Explored) -> bool {
        let (leader, other) = (self.leader, 1 - self.leader);
        let same = self.common();
        if same == self.nodes[leader].log.len() {
            return false;
        }
        let logged = self.nodes[leader].log[same].clone();
        if same < self.nodes[other].log.len() {
            self.truncate(model, other, same);
        }
        if let Some((number, payload)) = &logged.record {
            let record = Record::decode(payload).expect("encoded by a session");
            let id = proposal_id(model.world.programs[*number].region, *number);
            self.disagreed |= self.nodes[other].certifier.recheck(id, &record).is_err() && model.keeps_all();
        }
        self.node(other).append(logged, model.rules);
        true
    }

    fn truncate(&mut self, model: &Explored, at: usize, length: usize) {
        let node = self.node(at);
        assert!(length >= node.commit, "the model truncated below commit");
        node.log.truncate(length);
        let last = node.last();
        Arc::make_mut(&mut node.certifier).truncate(last);
        self.truncated = true;
        if model.rules.terms_checked {
            let here = self.sessions.iter_mut().zip(&model.world.programs).filter(|(_, program)| program.region == at);
            here.for_each(|(session, _)| session.lower(last));
        }
    }

    /// How far the two logs are the same.
    fn common(&self) -> usize {
        let [a, b] = &self.nodes;
        a.log.iter().zip(&b.log).take_while(|(a, b)| a == b).count()
    }

    /// On both regions, and of the leader's own term.
    fn commit(&mut self, model: &Explored) -> bool {
        let same = self.common();
        let leader = &self.nodes[self.leader];
        if same <= leader.commit || leader.log[same - 1].term != self.term {
            return false;
        }
        self.node(self.leader).commit_to(same);
        self.acknowledge(model);
        true
    }

    fn learn_commit(&mut self, model: &Explored) -> bool {
        let commit = self.nodes[self.leader].commit.min(self.common());
        let other = 1 - self.leader;
        if commit <= self.nodes[other].commit {
            return false;
        }
        self.node(other).commit_to(commit);
        self.acknowledge(model);
        true
    }

    fn acknowledge(&mut self, model: &Explored) {
        for (number, session) in self.sessions.iter_mut().enumerate() {
            let origin = &self.nodes[model.world.programs[number].region];
            let committed = origin.log[..origin.commit].iter().filter_map(|logged| logged.record.as_ref());
            if matches!(session.phase, Phase::Sent(_)) && committed.into_iter().any(|(id, _)| *id == number) {
                session.phase = Phase::Acked;
            }
        }
    }

    fn elect(&mut self, model: &Explored, node: usize) -> bool {
        self.term += 1;
        self.leader = node;
        if model.mutation.map_not_loaded {
            let last = self.nodes[node].last();
            let mut empty = Certifier::new(model.rules, Position::default());
            for length in 1..=last.index.0 as usize {
                empty.append_no_op(self.nodes[node].position(length));
            }
            self.node(node).certifier = Arc::new(empty);
        }
        let first = Logged::first_of(self.term);
        self.node(node).append(first, model.rules);
        true
    }

    fn collect(&mut self, model: &Explored, at: usize, key: u8, version: u64) -> bool {
        let live = self.sessions.iter().zip(&model.world.programs).filter(|(_, program)| program.region == at);
        let oldest = live.filter_map(|(session, _)| session.oldest()).map(|position| position.index.0).min();
        let node = self.node(at);
        let horizon = oldest.unwrap_or(u64::MAX).min(node.commit as u64);
        let newer = node.store.range((key, version + 1)..=(key, u64::MAX)).any(|((_, newer), _)| *newer <= horizon);
        let tombstone = node.store[&(key, version)].is_none();
        if newer {
            node.store.remove(&(key, version));
            true
        } else if tombstone && version <= horizon {
            // T11: with everything that it hides, in one batch.
            node.store.retain(|(stored, at), _| {
                *stored != key || *at > version || (*at < version && !model.rules.tombstones_kept)
            });
            true
        } else {
            false
        }
    }

    // ---- what is promised

    fn ahead(&self) -> &Node {
        self.nodes.iter().max_by_key(|node| node.commit).expect("two nodes")
    }

    /// The committed counter.
    pub(super) fn value(&self) -> u8 {
        self.ahead().replay(&[(K, 0)], K).unwrap_or(u8::MAX)
    }

    pub(super) fn acked(&self, model: &Explored) -> u8 {
        if !model.world.counts() {
            return 0;
        }
        let sessions = self.sessions.iter().zip(&model.world.programs);
        sessions.filter(|(session, _)| session.phase == Phase::Acked).map(|(_, program)| program.increments).sum()
    }

    pub(super) fn possible(&self, model: &Explored) -> u8 {
        if !model.world.counts() {
            return u8::MAX;
        }
        let sessions = self.sessions.iter().zip(&model.world.programs);
        sessions.filter(|(session, _)| session.phase != Phase::Failed).map(|(_, program)| program.increments).sum()
    }

    pub(super) fn has_orphan(&self) -> bool {
        let node = self.ahead();
        node.replay(&[], J).is_some() && node.replay(&[(K, 1)], K).is_none()
    }

    /// Every key, at every node, at its commit: the store says what the log says.
    pub(super) fn stores_are_right(&self) -> bool {
        let initially = |node: &Node, key: u8| node.store.get(&(key, 0)).copied().flatten().map(|value| (key, value));
        self.nodes.iter().all(|node| {
            [K, J].into_iter().all(|key| {
                let initial: Vec<(u8, u8)> = initially(node, key).into_iter().collect();
                let written = node.log[..node.commit].iter().any(|logged| logged.writes.iter().any(|(k, _)| *k == key));
                // A key that only the start wrote is nobody's business here.
                (!written && initial.is_empty())
                    || node.read(key, Index(node.commit as u64)) == node.replay(&initial, key)
            })
        })
    }

    pub(super) fn all_acked(&self) -> bool {
        self.sessions.iter().all(|session| session.phase == Phase::Acked)
    }

    pub(super) fn some_failed(&self) -> bool {
        self.sessions.iter().any(|session| session.phase == Phase::Failed)
    }
}
