//! The core's thread: takes commands, steps the core, carries out what it says, in the order in which it says it.
use crate::clock::{self, Jump, Sample, Tripwire};
use crate::commands::{Command, CommandQueue};
use crate::config::nanos;
use crate::disk::{Disk, LoadRequest};
use crate::failure::{Failure, panic_text};
use crate::handle::Shared;
use crate::measure::{self, CoreMeasure};
use crate::wire;
use crate::work::ApplySender;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use trivet_log::{Class, Core, Input, Machine, Nanos, Outcome, Output, Position, ProposalId, ReadView};
use trivet_transport::{Received, Transport};

/// Inputs that share a step and its effects: bounds what the first of them waits, and how long readers are kept out.
const BATCH_MAX: usize = 64;
/// A status and metrics are left for others this often, at least.
const STATUS_EVERY: Nanos = 20_000_000;
/// Waking up this much too late means that the process was stopped or starved.
const PAUSE: Nanos = 500_000_000;
/// The clocks want to be looked at this often even if nothing is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Steps kept for a dump.
const TRACE_LENGTH: usize = 256;

pub(crate) struct Driver<M> {
    pub(crate) core: Core,
    pub(crate) machine: M,
    pub(crate) commands: Arc<CommandQueue>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) transport: Transport,
    pub(crate) disk: Disk,
    pub(crate) apply: ApplySender,
    pub(crate) apply_backlog_max: usize,
    pub(crate) heartbeat: Nanos,
    /// How long a promise is relied upon, for the tripwire.
    pub(crate) promise_held: Nanos,
    pub(crate) measure: CoreMeasure,
}

/// Those who wait for an answer of the core.
#[derive(Default)]
struct Waiters {
    proposals: HashMap<ProposalId, (Instant, oneshot::Sender<Outcome>)>,
    reads: HashMap<u64, oneshot::Sender<Option<Position>>>,
    last_read: u64,
}

/// The last steps, in few words, for a dump.
#[derive(Default)]
struct Trace {
    steps: VecDeque<(Nanos, Vec<&'static str>, Vec<&'static str>)>,
}

enum Ending {
    /// Asked for.
    Stop {
        done: mpsc::Sender<()>,
    },
    Failed(Failure),
    /// Say nothing more.
    Abandoned {
        done: mpsc::Sender<()>,
    },
}

impl<M: Machine> Driver<M> {
    /// Runs until stopped; `started` are the effects of the core's making.
    pub(crate) fn run(mut self, started: Vec<Output>) {
        let mut state = Running::new();
        let mut out = started;
        let view = self.shared.gate.view();
        let mut ending = self.carry_out(&mut state, &mut out, view);
        while ending.is_none() {
            let turn = catch_unwind(AssertUnwindSafe(|| self.turn(&mut state, &mut out)));
            ending = turn.unwrap_or_else(|panic| {
                self.shared.gate.close();
                let message = format!("the core's thread panicked: {}", panic_text(&*panic));
                Some(Ending::Failed(self.bug(&state, message)))
            });
        }
        self.end(state, ending.expect("the loop ends with one"));
    }

    /// One wake-up: what is there becomes one step of the core, whose effects are then carried out.
    fn turn(&mut self, state: &mut Running, out: &mut Vec<Output>) -> Option<Ending> {
        let deadline = self.core.next_deadline();
        let left = deadline.saturating_sub(clock::boottime());
        let commands = self.commands.take(BATCH_MAX, nanos(left).min(LOOK_EVERY));
        self.watch_clocks(state, deadline);
        let began = Instant::now();
        let mut inputs = Vec::with_capacity(commands.len());
        let mut ending = None;
        for command in commands {
            match self.input(state, command) {
                Ok(input) => inputs.push(input),
                // What was taken with a stop is still done. A failure outweighs it.
                Err(end @ Ending::Stop { .. }) => ending = ending.or(Some(end)),
                Err(end) => ending = Some(end),
            }
        }
        if matches!(ending, Some(Ending::Abandoned { .. } | Ending::Failed(_))) {
            return ending;
        }
        let taken = inputs.len();
        let view = self.step(state, inputs, out);
        let broken = self.carry_out(state, out, view);
        self.hold_back(state);
        self.measure.looped(taken, began.elapsed());
        broken.or(ending)
    }

    /// What a command means to the core. `Err` ends the thread.
    fn input(&mut self, state: &mut Running, command: Command) -> Result<Input, Ending> {
        Ok(match command {
            Command::Input(input) => input,
            Command::Receive { message, received } => {
                state.received.push(received);
                Input::Receive(message)
            }
            Command::Propose { proposal, began, reply } => {
                if state.waiters.proposals.contains_key(&proposal.id) {
                    let failure = self.bug(state, format!("proposal {} was made twice at a time", proposal.id));
                    return Err(Ending::Failed(failure));
                }
                state.waiters.proposals.insert(proposal.id, (began, reply));
                Input::Propose(proposal)
            }
            Command::ReadIndex { reply } => {
                state.waiters.last_read += 1;
                let id = state.waiters.last_read;
                state.waiters.reads.insert(id, reply);
                Input::ReadIndex { id }
            }
            Command::Failed(failure) => return Err(Ending::Failed(failure)),
            Command::Abandon { done } => return Err(Ending::Abandoned { done }),
            Command::Stop { done } => return Err(Ending::Stop { done }),
        })
    }

    /// D1, D2: the machine and the view change together, under the gate's lock, and before anything leaves.
    fn step(&mut self, state: &mut Running, inputs: Vec<Input>, out: &mut Vec<Output>) -> ReadView {
        let names = inputs.iter().map(input_name).collect();
        let before = out.len();
        let now = clock::now();
        let view = self.shared.gate.step(|| {
            self.core.step_all(now, inputs, &mut self.machine, out);
            self.core.read_view()
        });
        state.trace.push(now.boottime, names, &out[before..]);
        view
    }

    /// Effects in their order. `Some` ends the thread.
    fn carry_out(&mut self, state: &mut Running, out: &mut Vec<Output>, view: ReadView) -> Option<Ending> {
        let mut told = false;
        let mut ending = None;
        for output in out.drain(..) {
            match output {
                Output::Send(message) => {
                    let class = message.body.class();
                    let sent = self.transport.send(message.to, class, wire::encode(&message));
                    if sent != trivet_transport::Sent::Queued {
                        self.measure.unsent.increment(1);
                    }
                }
                Output::Persist(persist) => self.disk.persist(persist),
                Output::Prune { keep_from } => self.disk.prune(keep_from),
                Output::Load { ticket, from, to, bytes_max } => {
                    self.disk.load(LoadRequest { ticket, from, to, bytes_max });
                }
                Output::Resolved { id, outcome } => {
                    if let Some((began, reply)) = state.waiters.proposals.remove(&id) {
                        self.measure.resolved(&outcome, began.elapsed());
                        let _ = reply.send(outcome); // the session is gone
                    }
                }
                Output::ReadReady { id, position } => {
                    if let Some(reply) = state.waiters.reads.remove(&id) {
                        let _ = reply.send(position);
                    }
                }
                Output::Apply { entries } => self.apply.send(entries),
                Output::Event(event) => {
                    told = true;
                    measure::event(&event);
                }
                Output::Fatal(broken) => {
                    let failure = self.bug(state, broken);
                    ending = ending.or(Some(Ending::Failed(failure)));
                }
            }
        }
        self.publish(state, view, told);
        ending
    }

    fn bug(&self, state: &Running, message: String) -> Failure {
        // After a panic in the core its state may be anything.
        let status = catch_unwind(AssertUnwindSafe(|| self.core.status()));
        let mut dump = status.map_or_else(|_| "no status\n\n".to_owned(), |status| format!("{status:#?}\n\n"));
        state.trace.write(&mut dump);
        Failure::Bug { message, dump }
    }

    /// For those who watch. Readers have had the view since the step.
    fn publish(&mut self, state: &mut Running, view: ReadView, told: bool) {
        self.shared.views.send_if_modified(|published| std::mem::replace(published, view) != view);
        self.shared.commits.send_if_modified(|published| std::mem::replace(published, view.commit) != view.commit);
        let now = clock::boottime();
        if told || now.saturating_sub(state.status_at) >= STATUS_EVERY {
            state.status_at = now;
            let status = self.core.status();
            let leads = view.leader == Some(self.shared.me);
            let backlog = self.shared.backlog.bytes();
            self.measure.status(&status, now, leads, self.shared.gate.lease_left(), backlog);
            *self.shared.status.lock() = status;
        }
    }

    /// D4: while too much waits for the disk or the applier, what peers sent keeps its share of the inbound budget, until
    /// they feel it. Heartbeats and acknowledgements have a budget of their own and are not held.
    fn hold_back(&self, state: &mut Running) {
        if self.disk.unsynced_bytes() + self.shared.backlog.bytes() > self.apply_backlog_max {
            state.received.retain(|received| received.class == Class::Append);
        } else {
            state.received.clear();
        }
    }

    fn watch_clocks(&mut self, state: &mut Running, deadline: Nanos) {
        let sample = Sample::take();
        let late = sample.boottime.saturating_sub(deadline.max(state.woke_at));
        if late > PAUSE && state.woke_at > 0 {
            self.measure.pauses.increment(1);
            tracing::warn!("this process did not run for about {:?}", nanos(late));
        }
        state.woke_at = sample.boottime;
        let Some(jump) = state.tripwire.look(sample) else { return };
        self.measure.clock_jumps.increment(1);
        self.shared.gate.distrust(sample.boottime, self.promise_held);
        match jump {
            Jump::Slept(time) => tracing::warn!("the machine slept for {time:?}: leases are asked for anew"),
            Jump::WallMoved { by, ahead } => tracing::warn!(
                "the wall clock moved {} by {by:?} against the boot clock: leases are asked for anew",
                if ahead { "ahead" } else { "back" }
            ),
        }
    }

    fn end(mut self, mut state: Running, ending: Ending) {
        self.shared.gate.close();
        // Whoever waits for the end is told, by its drop, when all is closed.
        let mut _done = None;
        match ending {
            Ending::Stop { done } => {
                self.say_goodbye(&mut state, |_| true);
                self.linger(&mut state);
                self.transport.stop();
                _done = Some(done);
            }
            Ending::Abandoned { done } => {
                drop(self.transport);
                _done = Some(done);
            }
            Ending::Failed(failure @ Failure::DiskFull(_)) => {
                // The journal takes nothing more, but the peers need not wait for our promises to run out.
                self.say_goodbye(&mut state, |output| !matches!(output, Output::Persist(_)));
                self.transport.stop();
                self.shared.fail(failure);
            }
            // A bug or a doubtful disk: not one word more. A process ends here.
            Ending::Failed(failure) => self.shared.fail(failure),
        }
        self.commands.close();
        self.disk.finish();
        // Those who still wait for an outcome learn that nobody knows: their senders are dropped with `state`.
    }

    /// A region that stops goes on acknowledging for some round trips: what was on its way when it gave its lease back is
    /// committed with it, and does not wait until it counts as silent.
    fn linger(&mut self, state: &mut Running) {
        let view = self.shared.gate.view();
        let follows = view.leader.is_some_and(|leader| leader != self.shared.me);
        let status = self.core.status();
        if !follows || status.role == "witness" {
            return;
        }
        let round_trip = status.peers.iter().map(|peer| peer.rtt).max().unwrap_or(0);
        let until = clock::boottime() + 4 * round_trip + 2 * self.heartbeat;
        let mut out = Vec::new();
        while clock::boottime() < until {
            // A second stop ends the first; a failure tells of itself.
            match self.turn(state, &mut out) {
                None => {}
                Some(Ending::Stop { .. } | Ending::Abandoned { .. }) => return,
                Some(Ending::Failed(failure)) => return self.shared.fail(failure),
            }
        }
    }

    /// Releases leases, now that nothing is served under them.
    fn say_goodbye(&mut self, state: &mut Running, keep: impl Fn(&Output) -> bool) {
        let mut out = Vec::new();
        let view = self.step(state, vec![Input::Stop], &mut out);
        out.retain(keep);
        let _ = self.carry_out(state, &mut out, view);
    }
}

/// What the loop keeps between turns.
struct Running {
    waiters: Waiters,
    trace: Trace,
    tripwire: Tripwire,
    /// Shares of the inbound budget of what was acted upon in this turn.
    received: Vec<Received>,
    status_at: Nanos,
    woke_at: Nanos,
}

impl Running {
    fn new() -> Running {
        Running {
            waiters: Waiters::default(),
            trace: Trace::default(),
            tripwire: Tripwire::new(Sample::take()),
            received: Vec::new(),
            status_at: 0,
            woke_at: 0,
        }
    }
}

impl Trace {
    fn push(&mut self, at: Nanos, inputs: Vec<&'static str>, outputs: &[Output]) {
        if self.steps.len() == TRACE_LENGTH {
            self.steps.pop_front();
        }
        self.steps.push_back((at, inputs, outputs.iter().map(output_name).collect()));
    }

    fn write(&self, text: &mut String) {
        let _ =
            writeln!(text, "the last {} steps, oldest first (boot clock in ms, inputs, effects):", self.steps.len());
        for (at, inputs, outputs) in &self.steps {
            let _ = writeln!(text, "{:>14.3} {} -> {}", *at as f64 / 1e6, inputs.join(" "), outputs.join(" "));
        }
    }
}

fn input_name(input: &Input) -> &'static str {
    match input {
        Input::Tick => "Tick",
        Input::Receive(message) => message_name(message),
        Input::Propose(_) => "Propose",
        Input::Persisted(_) => "Persisted",
        Input::Loaded { .. } => "Loaded",
        Input::Applied(_) => "Applied",
        Input::ReadIndex { .. } => "ReadIndex",
        Input::Connected(_) => "Connected",
        Input::HandOver(_) => "HandOver",
        Input::Stop => "Stop",
        #[allow(unreachable_patterns)] // the core may learn more before this names it
        _ => "other",
    }
}

fn output_name(output: &Output) -> &'static str {
    match output {
        Output::Send(message) => message_name(message),
        Output::Persist(_) => "Persist",
        Output::Load { .. } => "Load",
        Output::Resolved { .. } => "Resolved",
        Output::Apply { .. } => "Apply",
        Output::ReadReady { .. } => "ReadReady",
        Output::Prune { .. } => "Prune",
        Output::Event(_) => "Event",
        Output::Fatal(_) => "Fatal",
    }
}

fn message_name(message: &trivet_log::Message) -> &'static str {
    use trivet_log::Body;
    match message.body {
        Body::Heartbeat { .. } => "m:Heartbeat",
        Body::Propose { .. } => "m:Propose",
        Body::Verdict { .. } => "m:Verdict",
        Body::Append { .. } => "m:Append",
        Body::AppendAck { .. } => "m:AppendAck",
        Body::AppendReject { .. } => "m:AppendReject",
        Body::Durable { .. } => "m:Durable",
        Body::Window { .. } => "m:Window",
        Body::ReadIndex { .. } => "m:ReadIndex",
        Body::ReadIndexReply { .. } => "m:ReadIndexReply",
        Body::PreVote { .. } => "m:PreVote",
        Body::PreVoteReply { .. } => "m:PreVoteReply",
        Body::Vote { .. } => "m:Vote",
        Body::VoteReply { .. } => "m:VoteReply",
        Body::Fetch { .. } => "m:Fetch",
        Body::FetchReply { .. } => "m:FetchReply",
        Body::TimeoutNow => "m:TimeoutNow",
        Body::LeaseRelease => "m:LeaseRelease",
        #[allow(unreachable_patterns)] // as above
        _ => "m:other",
    }
}
