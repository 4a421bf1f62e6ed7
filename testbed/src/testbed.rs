//! One testbed: netem and three nodes as processes, in one directory.
//!
//! A [`Testbed`] holds no process handles. What runs is in the state file, so any `trivet` command can work on a
//! testbed that another one started, and a start that is interrupted leaves nothing that `down` cannot find.
use crate::drills::disk;
use crate::http;
use crate::layout::addresses::Addresses;
use crate::layout::config::{Auth, Testing};
use crate::layout::password::Password;
use crate::layout::{Directory, certificates, config};
use crate::place::Place;
use crate::process::{Condition, Launch, ProcessId, find_binary, log_tail};
use crate::sql::{self, Endpoint};
use crate::state::{Registry, State};
use crate::status::{self, NodeStatus, NodeView, condition_word};
use crate::terminal::Progress;
use crate::within::Inside;
use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use trivet_netem::{Choice, Chosen, ControlClient, Distances};

/// From the first process to the first write through both regions.
const SERVING_WITHIN: Duration = Duration::from_secs(60);
/// Places with networks of their own take some dozen system commands to make.
const NETWORK_WITHIN: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(8);
const STATUS_WITHIN: Duration = Duration::from_millis(1500);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOG_LINES_SHOWN: usize = 12;

#[derive(Clone, Debug)]
pub struct Options {
    /// The SQL ports of A and B; free ones if not told.
    pub sql_ports: Option<[u16; 2]>,
    pub distances: Distances,
    pub net: Choice,
    pub testing: Testing,
    pub auth: Auth,
    pub keeper: Option<ProcessId>,
}

#[derive(Clone, Debug)]
pub struct Testbed {
    directory: Directory,
}

impl Testbed {
    /// Starts everything and waits until both regions read and write. What was started is stopped again on an error.
    pub async fn start(root: &Path, options: Options, progress: &Progress) -> Result<Testbed> {
        let directory = Directory::create(root)?;
        if State::read(&directory)?.is_some_and(|state| state.is_live()) {
            bail!(
                "a testbed is already running in {}: `trivet status` shows it, `trivet down` stops it",
                directory.root().display()
            );
        }
        let netem = find_binary("trivet-netem")?;
        for place in Place::ALL {
            find_binary(place.binary())?;
        }
        let net = settle(options.net).await?;
        let addresses = Addresses::choose(options.sql_ports, net.kind)?;
        addresses.check_sql_ports()?;
        progress.step("certificates and configuration");
        let cluster = directory.cluster_id()?;
        certificates::ensure(&directory, cluster)?;
        let password = match options.auth {
            Auth::Trust => None,
            Auth::Scram => Some(Password::ensure(&directory)?),
        };
        config::write(&directory, cluster, &addresses, (&options.distances, net.kind), options.testing, password)?;
        let mut state = State::new(addresses.clone(), &options.distances.name, net.kind, options.testing);
        state.keeper = options.keeper;
        state.auth = options.auth;
        state.create(&directory)?;
        let testbed = Testbed { directory };
        let started = async {
            progress.step(format!("network {} ({}), distances {}", net.kind, net.why, options.distances.name));
            testbed.launch_netem(&netem, &addresses)?;
            progress.step("nodes A, B and W");
            for place in Place::ALL {
                testbed.launch(place)?;
            }
            testbed.wait_serving(progress).await
        };
        match started.await {
            Ok(()) => Ok(testbed),
            Err(error) => {
                testbed.stop().await?;
                Err(error)
            }
        }
    }

    /// The testbed in `root`, or the only one that runs.
    pub fn find(root: Option<&Path>) -> Result<Testbed> {
        let directory = match root {
            Some(root) => Directory::at(root)?,
            None => {
                let mut live = Registry::open()?.live()?;
                match live.len() {
                    0 => bail!("no testbed is running: `trivet up` starts one"),
                    1 => live.remove(0),
                    _ => {
                        let roots: Vec<String> =
                            live.iter().map(|directory| directory.root().display().to_string()).collect();
                        bail!("{} testbeds are running: choose one with --data ({})", live.len(), roots.join(", "))
                    }
                }
            }
        };
        let testbed = Testbed { directory };
        if !testbed.state()?.is_live() {
            bail!("the testbed in {} is not running: `trivet up` starts it", testbed.directory.root().display());
        }
        Ok(testbed)
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    pub fn state(&self) -> Result<State> {
        State::read(&self.directory)?
            .with_context(|| format!("there is no testbed in {}", self.directory.root().display()))
    }

    /// Where each region speaks SQL.
    pub fn endpoints(&self) -> Result<BTreeMap<Place, Endpoint>> {
        let state = self.state()?;
        let password = match state.auth {
            Auth::Trust => None,
            Auth::Scram => Some(Password::read(&self.directory)?),
        };
        Ok(state.addresses.sql.into_iter().map(|(place, address)| (place, Endpoint { address, password })).collect())
    }

    pub fn network(&self) -> Result<ControlClient> {
        let address = self.state()?.addresses.control;
        ControlClient::connect(address).context("the network of the testbed does not answer")
    }

    /// The network that a place is in.
    pub fn inside(&self, place: Place) -> Result<Inside> {
        if !self.state()?.net.has_places() {
            return Ok(Inside::Host);
        }
        Inside::of(place, &self.network()?)
    }

    // ---- nodes

    pub fn process(&self, place: Place) -> Result<Option<ProcessId>> {
        Ok(self.state()?.nodes.get(&place).copied())
    }

    pub fn condition(&self, place: Place) -> Result<Condition> {
        Ok(self.process(place)?.map_or(Condition::Gone, ProcessId::condition))
    }

    /// Starts a node that does not run.
    pub fn launch(&self, place: Place) -> Result<()> {
        if self.condition(place)? != Condition::Gone {
            bail!("{place} runs already");
        }
        let launch = Launch {
            binary: find_binary(place.binary())?,
            arguments: vec!["--config".into(), self.directory.config(place).display().to_string()],
            log: self.directory.log(place.name()),
            inside: self.inside(place)?,
        };
        let process = launch.spawn()?;
        State::update(&self.directory, |state| {
            state.nodes.insert(place, process);
        })?;
        Ok(())
    }

    fn launch_netem(&self, binary: &Path, addresses: &Addresses) -> Result<()> {
        let log = self.directory.log("netem");
        let launch = Launch {
            binary: binary.to_path_buf(),
            arguments: vec![
                "serve".into(),
                "--config".into(),
                self.directory.netem_config().display().to_string(),
                "--control".into(),
                addresses.control.to_string(),
            ],
            log: log.clone(),
            inside: Inside::Host,
        };
        let process = launch.spawn()?;
        State::update(&self.directory, |state| state.netem = Some(process))?;
        let begun = Instant::now();
        loop {
            match ControlClient::connect_within(addresses.control, Duration::from_millis(500)) {
                Ok(_) => return Ok(()),
                Err(_) if process.is_alive() && begun.elapsed() < patient(NETWORK_WITHIN) => {}
                Err(error) => {
                    let tail = log_tail(&log, LOG_LINES_SHOWN);
                    return Err(error).with_context(|| format!("the network did not start; its log ends\n{tail}"));
                }
            }
        }
    }

    pub async fn kill(&self, place: Place) -> Result<()> {
        match self.process(place)? {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    pub fn pause(&self, place: Place) -> Result<()> {
        self.signal(place, Signal::STOP)
    }

    pub fn resume(&self, place: Place) -> Result<()> {
        self.signal(place, Signal::CONT)
    }

    fn signal(&self, place: Place, signal: Signal) -> Result<()> {
        match self.process(place)? {
            Some(process) if process.is_alive() => process.signal(signal),
            _ => bail!("{place} does not run: `trivet restart {place}` starts it"),
        }
    }

    /// Stops the node in order, if it runs, and starts it.
    pub async fn restart(&self, place: Place) -> Result<()> {
        if let Some(process) = self.process(place)? {
            process.stop(STOP_GRACE).await?;
        }
        self.launch(place)
    }

    // ---- status

    pub async fn status(&self, place: Place) -> Result<NodeStatus> {
        let address = self.state()?.addresses.http[&place];
        status::fetch(address, STATUS_WITHIN).await
    }

    pub async fn view(&self, place: Place) -> Result<NodeView> {
        let process = self.process(place)?;
        let condition = self.condition(place)?;
        let status = match condition {
            Condition::Running => self.status(place).await.ok(),
            Condition::Paused | Condition::Gone => None,
        };
        Ok(NodeView { place, pid: process.map(|process| process.pid), condition: condition_word(condition), status })
    }

    pub async fn wait_answers(&self, place: Place, bound: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.status(place).await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > bound => return Err(error),
                Err(_) => self.check_processes()?,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The region that says it leads in the highest term.
    pub async fn leader(&self) -> Option<Place> {
        let mut best = None;
        for place in Place::REGIONS {
            if let Ok(status) = self.status(place).await
                && status.is_leader()
            {
                best = best.max(Some((status.term, place)));
            }
        }
        best.map(|(_, place)| place)
    }

    /// Asks the leader to hand the lead to the other region; waits until another one leads.
    pub async fn hand_over(&self, bound: Duration) -> Result<(Place, Place)> {
        let from = self.leader().await.context("no region leads")?;
        http::post(self.state()?.addresses.http[&from], "/handover", STATUS_WITHIN).await?;
        let begun = Instant::now();
        loop {
            match self.leader().await {
                Some(leader) if leader != from => return Ok((from, leader)),
                _ if begun.elapsed() > bound => bail!("region {from} still leads after {} s", bound.as_secs()),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Waits until one region leads and both have a valid lease.
    pub async fn wait_healthy(&self, bound: Duration) -> Result<Place> {
        let begun = Instant::now();
        let mut reason = String::new();
        while begun.elapsed() < bound {
            match self.health().await {
                Ok(leader) => return Ok(leader),
                Err(error) => reason = format!("{error:#}"),
            }
            self.check_processes()?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the testbed is not well after {} s: {reason}", bound.as_secs())
    }

    async fn health(&self) -> Result<Place> {
        let mut leaders = Vec::new();
        for place in Place::ALL {
            let status = self.status(place).await?;
            if let Some(lost) = place.others().find(|other| status.has_lost(*other)) {
                bail!("{place} does not hear {lost}");
            }
            if place.is_region() && !status.lease.valid {
                bail!("{place} has no lease");
            }
            leaders.push(status.leader().with_context(|| format!("{place} knows no leader"))?);
        }
        leaders.dedup();
        match leaders[..] {
            [leader] => Ok(leader),
            _ => bail!("the nodes do not agree who leads"),
        }
    }

    async fn wait_serving(&self, progress: &Progress) -> Result<()> {
        let begun = Instant::now();
        let endpoints = self.endpoints()?;
        let mut reason = String::from("nothing was tried");
        progress.step("a leader and read leases");
        let within = patient(SERVING_WITHIN);
        while begun.elapsed() < within {
            self.check_processes()?;
            match self.health().await {
                Ok(leader) => {
                    progress.step(format!("region {leader} leads; a write and a strong read in both regions"));
                    match try_serving(&endpoints).await {
                        Ok(()) => return Ok(()),
                        Err(error) => reason = format!("{error:#}"),
                    }
                }
                Err(error) => reason = format!("{error:#}"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!(
            "the testbed does not serve after {} s: {reason}. The logs are in {}",
            within.as_secs(),
            self.directory.logs().display()
        )
    }

    fn check_processes(&self) -> Result<()> {
        let state = self.state()?;
        let named = state.nodes.iter().map(|(place, process)| (place.name(), *process));
        for (name, process) in named.chain(state.netem.map(|process| ("netem", process))) {
            if !process.is_alive() {
                let tail = log_tail(&self.directory.log(name), LOG_LINES_SHOWN);
                bail!("{name} ended; its log ({}) ends\n{tail}", self.directory.log(name).display());
            }
        }
        Ok(())
    }

    // ---- the end

    /// Stops the nodes, then the network, and forgets the state. Data stays.
    pub async fn stop(&self) -> Result<()> {
        let state = self.state()?;
        let nodes = futures::future::join_all(state.nodes.values().map(|process| process.stop(STOP_GRACE))).await;
        nodes.into_iter().collect::<Result<Vec<_>>>()?;
        if let Some(netem) = state.netem {
            netem.stop(STOP_GRACE).await?;
        }
        State::remove(&self.directory)
    }

    /// Ends every process at once: for testbeds whose data nobody wants.
    pub async fn destroy(&self) -> Result<()> {
        let state = self.state()?;
        let ended = futures::future::join_all(state.processes().map(ProcessId::kill)).await;
        ended.into_iter().collect::<Result<Vec<_>>>()?;
        Place::ALL.into_iter().for_each(|place| disk::unmount(&self.directory.data(place)));
        State::remove(&self.directory)
    }
}

/// A start may take so many times longer on a machine that is slow beyond measure, such as an emulated one.
fn patient(bound: Duration) -> Duration {
    let times = std::env::var("TRIVET_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    bound * u32::clamp(times, 1, 100)
}

/// Finds out what works here, away from the runtime's threads: it waits for packets.
async fn settle(choice: Choice) -> Result<Chosen> {
    let settled =
        tokio::task::spawn_blocking(move || choice.settle()).await.context("trying out the network failed")?;
    settled.map_err(|why| anyhow!("{why}. `--net relay` needs nothing, `--net auto` takes the best that works"))
}

/// A table of its own, written through both regions, each write read through the other, and dropped.
async fn try_serving(endpoints: &BTreeMap<Place, Endpoint>) -> Result<()> {
    let within = patient(Duration::from_secs(10));
    let table = format!("trivet_up_{:08x}", rand::random::<u32>());
    let first = endpoints[&Place::A];
    let exchange = async {
        sql::run(first, &format!("CREATE TABLE {table} (id integer PRIMARY KEY)"), within).await?;
        for (place, endpoint) in endpoints {
            sql::run(*endpoint, &format!("INSERT INTO {table} (id) VALUES ({})", place.id()), within).await?;
            let reader = endpoints[&place.other_region()];
            let session = sql::connect(reader, within).await?;
            let text = format!("SELECT id FROM {table} WHERE id = {}", place.id());
            let rows = sql::within(within, session.client.query_typed(&text, &[])).await?;
            if rows.len() != 1 {
                bail!("a row written in region {place} is not seen in region {}", place.other_region());
            }
        }
        Ok(())
    };
    let result = exchange.await;
    let dropped = sql::run(first, &format!("DROP TABLE IF EXISTS {table}"), within).await;
    result.and(dropped)
}
