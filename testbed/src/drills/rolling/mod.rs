//! `rolling-restart`: each node is stopped in order and started again, one after the other, under load, as an upgrade does.
//!
//! ```text
//!   for the witness, the region that leads, and the region that leads then:
//!     SIGTERM, wait until the process is gone, start it, wait until all is well, a breath
//! ```
//!
//! What is asked: no statement fails, whatever the server did about it; a client whose region stops goes on in the other
//! one, by its list of addresses; the other region's clients are told nothing and wait for less than [`PAUSE_AT_MOST`];
//! nothing is lost or done twice.
mod client;
mod report;

pub use report::{RollingReport, render};

use crate::history::{History, Moment};
use crate::load::Pulse;
use crate::place::{Link, Place};
use crate::probe::{self, Rtt};
use crate::signals::StopSignals;
use crate::sql::{self, Endpoint, connect, within};
use crate::terminal::Progress;
use crate::testbed::Testbed;
use anyhow::{Context, Result, bail};
use client::{Client, Done, Role, Shared};
use report::{Restarted, Totals};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a planned stop may cost the clients of the other region.
pub const PAUSE_AT_MOST: Duration = Duration::from_millis(300);
const WELL_WITHIN: Duration = Duration::from_secs(60);
/// Longer than the statements that a node waits for.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
/// Load before the first and after each restart; the witness is released meanwhile.
const STEADY: Duration = Duration::from_millis(2500);
const LOAD_ENDS_WITHIN: Duration = Duration::from_secs(20);
const READ_OUT_WITHIN: Duration = Duration::from_secs(30);

pub async fn run(
    testbed: &Testbed,
    clients: usize,
    private: bool,
    progress: &Progress,
    signals: &mut StopSignals,
) -> Result<RollingReport> {
    let begun = Instant::now();
    progress.step("rolling-restart: the testbed shall be well");
    let leader = signals.unless_heard(testbed.wait_healthy(WELL_WITHIN)).await?;
    let state = testbed.state()?;
    let rtt = Rtt::of(&probe::measure(&state, Link::ALL[0], probe::Plan::QUICK).await?);
    let endpoints = testbed.endpoints()?;
    let stage = Stage { testbed, endpoints, progress, table: format!("trivet_drill_{:08x}", rand::random::<u32>()) };
    let played = signals.unless_heard(stage.play(leader, clients)).await;
    let cleaned = stage.clean(private).await;
    let (restarts, totals) = played?;
    cleaned.context("the drill could not clean up")?;
    Ok(RollingReport::new(&state.link_profile, rtt, clients, restarts, totals, begun.elapsed()))
}

struct Stage<'a> {
    testbed: &'a Testbed,
    endpoints: BTreeMap<Place, Endpoint>,
    progress: &'a Progress,
    table: String,
}

impl Stage<'_> {
    async fn play(&self, leader: Place, clients: usize) -> Result<(Vec<Restarted>, Totals)> {
        self.step("table and load");
        let create = format!("CREATE TABLE {} (id bigint PRIMARY KEY, value bigint NOT NULL)", self.table);
        sql::run(self.endpoints[&leader], &create, READ_OUT_WITHIN).await?;
        let shared = Arc::new(Shared::new(self.table.clone()));
        let mut tasks = Vec::new();
        for home in Place::REGIONS {
            for number in 0..clients {
                let hosts = [home, home.other_region()].map(|place| self.endpoints[&place]);
                let client = Client::new(home, hosts, Role::of(number), shared.clone());
                tasks.push(tokio::spawn(client.run()));
            }
        }
        // Ends the clients also where this is dropped half way.
        let load = Load { shared: shared.clone(), tasks };
        let pulse = Pulse::start(&shared.history);
        self.wait_all_done(&shared.history, Moment(0), &load).await?;
        tokio::time::sleep(STEADY).await;
        let mut restarts = Vec::new();
        for turn in 0..3 {
            let place = if turn == 0 { Place::W } else { self.leader().await? };
            restarts.push(self.restart(place, &load, &pulse).await?);
        }
        self.step("checking");
        let done = load.end().await?;
        let missing = self.compare(&done).await?;
        let restarts = restarts.into_iter().map(|restarted| restarted.judged(&done)).collect();
        Ok((restarts, Totals::of(&done, missing)))
    }

    async fn leader(&self) -> Result<Place> {
        self.testbed.leader().await.context("no region leads")
    }

    async fn restart(&self, place: Place, load: &Load, pulse: &Pulse) -> Result<Restarted> {
        let led = self.testbed.leader().await == Some(place);
        self.step(&format!("stopping {place}{}", if led { ", which leads" } else { "" }));
        let history = &load.shared.history;
        let process = self.testbed.process(place)?.with_context(|| format!("{place} does not run"))?;
        let asked = history.now();
        process.signal(rustix::process::Signal::TERM)?;
        if !process.wait_gone(STOPS_WITHIN).await {
            bail!("{place} did not stop within {} s", STOPS_WITHIN.as_secs());
        }
        let gone = history.now();
        self.step(&format!("starting {place}"));
        self.testbed.launch(place)?;
        self.testbed.wait_answers(place, WELL_WITHIN).await?;
        self.testbed.wait_healthy(WELL_WITHIN).await?;
        let well = history.now();
        load.shared.all_well();
        tokio::time::sleep(STEADY).await;
        let end = history.now();
        let stalls = pulse.stalls(asked, end);
        Ok(Restarted::new(place, led, [asked, gone, well, end], stalls))
    }

    /// Until a statement of each region that began after `from` is done.
    async fn wait_all_done(&self, history: &History, from: Moment, load: &Load) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < WELL_WITHIN {
            let served =
                |home| load.shared.with(|all| all.iter().any(|done: &Done| done.home == home && done.begun > from));
            if Place::REGIONS.into_iter().all(served) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the regions do not answer the drill's clients within {} s of {:?}", WELL_WITHIN.as_secs(), history.now())
    }

    /// Rows that are missing, or too many, or have another value than their only client left, in either region.
    async fn compare(&self, done: &[Done]) -> Result<Vec<String>> {
        let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
        for one in done.iter().filter(|one| one.failure.is_none()) {
            match one.role {
                Role::Insert => drop(expected.insert(one.id, 0)),
                Role::Update => *expected.entry(one.id).or_default() += 1,
                Role::Read => {}
            }
        }
        let mut wrong = Vec::new();
        for (place, endpoint) in &self.endpoints {
            let session = connect(*endpoint, READ_OUT_WITHIN).await?;
            let text = format!("SELECT id, value FROM {}", self.table);
            let rows = within(READ_OUT_WITHIN, session.client.query_typed(&text, &[])).await?;
            let found: BTreeMap<i64, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            wrong.extend(report::differences(*place, &expected, &found));
        }
        Ok(wrong)
    }

    async fn clean(&self, private: bool) -> Result<()> {
        for place in Place::ALL {
            if self.testbed.condition(place)? == crate::process::Condition::Gone {
                self.testbed.launch(place)?;
            }
        }
        if private {
            return Ok(());
        }
        let leader = self.testbed.wait_healthy(WELL_WITHIN).await?;
        sql::run(self.endpoints[&leader], &format!("DROP TABLE IF EXISTS {}", self.table), READ_OUT_WITHIN).await
    }

    fn step(&self, text: &str) {
        self.progress.step(format!("rolling-restart: {text}"));
    }
}

struct Load {
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn end(mut self) -> Result<Vec<Done>> {
        self.shared.stop();
        let ended = futures::future::join_all(&mut self.tasks);
        tokio::time::timeout(LOAD_ENDS_WITHIN, ended).await.context("a client has no answer")?;
        Ok(self.shared.with(|all| all.to_vec()))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop();
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
