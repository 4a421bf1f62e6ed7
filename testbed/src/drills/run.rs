//! The phases of one drill.
//!
//! ```text
//!   prepare   the testbed is well; tables; load until both regions read and write
//!   inject    what comes before, the fault, and confirm that it took hold
//!   hold      for the seconds asked, unless the drill is brief
//!   recover   and confirm that the testbed is well and both regions serve
//!   check     stop the load; rows, registers, balances, histories, digests, times
//!   clean     undo the fault whatever happened, drop the tables
//! ```
//!
//! Ctrl-C goes on with *clean*: a drill on a running testbed never leaves it paused, cut or with a node missing.
use super::catalogue::Act;
use super::fault::Lasting;
use super::measure::Phases;
use super::report::{DrillReport, Steps};
use super::watch::{Band, Watch};
use super::{Drill, Plan, measure};
use crate::check::transactions::{Judged, Workload};
use crate::check::{self, Broken, Violation};
use crate::history::{History, Kind, Moment, Operation, Outcome};
use crate::load::{ACCOUNTS, Load, Mix, OPENING_BALANCE, Pulse, Stalls, Tables, UNDEFINED_TABLE};
use crate::place::{Link, Place};
use crate::probe::{self, Rtt};
use crate::signals::StopSignals;
use crate::sql::Endpoint;
use crate::status::{Digest, fetch_digest, hold_digest};
use crate::terminal::Progress;
use crate::testbed::Testbed;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const WELL_WITHIN: Duration = Duration::from_secs(30);
/// A little longer than a region may take, so that one that is late is measured.
const SERVES_WITHIN: Duration = Duration::from_secs(16);
/// Load before the fault and after the recovery, for the picture and for what shows late.
const STEADY: Duration = Duration::from_millis(1500);
/// The longest wait of a client, and some.
const LOAD_ENDS_WITHIN: Duration = Duration::from_secs(20);
const READ_OUT_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub struct Settings {
    /// How long the fault is held.
    pub hold: Duration,
    /// Clients in each region.
    pub clients: usize,
    /// The testbed is this drill's own.
    pub private: bool,
}

/// The histories of the workloads that have one.
pub type Recorded = Vec<(Workload, trivet_history::History)>;

/// An error means that the drill could not be carried out; broken promises are in the report.
pub async fn run(
    drill: Drill,
    testbed: &Testbed,
    settings: &Settings,
    progress: &Progress,
    signals: &mut StopSignals,
) -> Result<(DrillReport, Recorded)> {
    let begun = Instant::now();
    progress.step(format!("{}: the testbed shall be well", drill.name()));
    let leader = signals.unless_heard(testbed.wait_healthy(WELL_WITHIN)).await?;
    let state = testbed.state()?;
    let rtt = Rtt::of(&probe::measure(&state, Link::ALL[0], probe::Plan::QUICK).await?);
    let endpoints = testbed.endpoints()?;
    let plan = drill.plan(leader);
    let tables = Tables::named_at_random();
    let stage = Stage { plan: &plan, testbed, settings, progress, endpoints: &endpoints, tables: &tables };
    let result = signals.unless_heard(stage.play(leader)).await;
    let cleaned = stage.clean(leader).await;
    let mut outcome = result?;
    cleaned.context("the drill could not clean up")?;
    let histories = std::mem::take(&mut outcome.histories);
    Ok((DrillReport::new(&plan, &state.link_profile, rtt, settings, outcome, begun.elapsed()), histories))
}

/// What a played drill knows at its end.
#[derive(Debug)]
pub struct Played {
    pub leaders: (Place, Option<Place>),
    pub phases: Phases,
    pub steps: Steps,
    pub stalls: Stalls,
    pub marks: Vec<(Moment, String)>,
    pub bands: Vec<Band>,
    pub history: Vec<Operation>,
    pub deeds: BTreeMap<&'static str, check::deeds::Count>,
    pub judged: Vec<Judged>,
    pub histories: Recorded,
    pub measured: BTreeMap<Place, super::measure::RegionMeasure>,
    pub fates: check::rows::Fates,
    pub sum: i64,
    pub digests: BTreeMap<Place, Digest>,
    pub violations: Vec<Violation>,
}

/// What was seen while the load ran.
struct Seen {
    leaders: (Place, Option<Place>),
    phases: Phases,
    steps: Steps,
    stalls: Stalls,
    marks: Vec<(Moment, String)>,
    bands: Vec<Band>,
}

struct Stage<'a> {
    plan: &'a Plan,
    testbed: &'a Testbed,
    settings: &'a Settings,
    progress: &'a Progress,
    endpoints: &'a BTreeMap<Place, Endpoint>,
    tables: &'a Tables,
}

impl Stage<'_> {
    async fn play(&self, leader: Place) -> Result<Played> {
        for fault in self.plan.faults() {
            fault.arrange(self.testbed).await.context("the fault cannot be prepared")?;
        }
        // Arranging may have moved the lead: the plan is for the one who leads, so it goes back.
        if self.testbed.wait_healthy(WELL_WITHIN).await? != leader {
            self.testbed.hand_over(WELL_WITHIN).await.context("the lead cannot be put back")?;
            self.testbed.wait_healthy(WELL_WITHIN).await?;
        }
        self.step("tables and load");
        self.tables.create(self.endpoints[&leader]).await?;
        let load = Load::start(self.tables, self.endpoints, Mix::of(self.settings.clients));
        let pulse = Pulse::start(load.history());
        let watch = Watch::start(self.testbed, load.history())?;
        if let Some(missing) = wait_serving(&load, Moment(0)).await {
            bail!("before any fault, {missing}");
        }
        tokio::time::sleep(STEADY).await;

        let mut violations = Vec::new();
        let mut marks: Vec<(Moment, String)> = Vec::new();
        let mut lasting = Vec::new();
        for (act, wait) in &self.plan.before {
            self.step(&act.to_string());
            marks.push((load.history().now(), act.to_string()));
            lasting.extend(self.act(act).await?);
            tokio::time::sleep(*wait).await;
        }
        self.step(&self.plan.fault.to_string());
        let fault = load.history().now();
        marks.push((fault, self.plan.fault.to_string()));
        lasting.push(self.plan.fault.inject(self.testbed).await?);
        let injected = load.history().now();
        for act in &self.plan.after {
            marks.push((load.history().now(), act.to_string()));
            lasting.extend(self.act(act).await?);
        }
        if self.plan.brief {
            // Confirmed by the kill itself, which waits until the processes are gone.
        } else {
            self.plan.fault.confirm(self.testbed).await?;
        }
        let confirmed = load.history().now();
        if !self.plan.brief {
            self.step(&format!("{}; holding it for {} s", self.plan.title, self.settings.hold.as_secs_f64()));
            tokio::time::sleep(self.settings.hold.saturating_sub(confirmed.since(fault))).await;
        }

        self.step(&self.plan.fault.recovery());
        let recovery = load.history().now();
        marks.push((recovery, self.plan.fault.recovery()));
        drop(lasting);
        self.recover().await?;
        let leader_after = match self.testbed.wait_healthy(WELL_WITHIN).await {
            Ok(leader) => Some(leader),
            Err(error) => {
                violations.push(Violation::new(Broken::Unavailable, format!("after the recovery: {error:#}")));
                None
            }
        };
        let well = load.history().now();
        self.step("both regions shall serve again");
        if leader_after.is_some() {
            // What is missing is a violation that the measures will show.
            let _ = wait_serving(&load, recovery).await;
            tokio::time::sleep(STEADY).await;
        }
        let end = load.history().now();

        self.step("checking");
        let phases = Phases { fault, recovery, end };
        let steps = Steps { injected, confirmed, well };
        let stalls = pulse.stalls(fault, end);
        let bands = watch.bands(end);
        let process = load.new_process();
        let history = load.stop(LOAD_ENDS_WITHIN).await;
        let seen = Seen { leaders: (leader, leader_after), phases, steps, stalls, marks, bands };
        self.check(seen, history, process, violations).await
    }

    async fn act(&self, act: &Act) -> Result<Option<Lasting>> {
        Ok(match act {
            Act::Inject(fault) => Some(fault.inject(self.testbed).await?),
            Act::Recover(fault) => {
                fault.recover(self.testbed).await?;
                None
            }
        })
    }

    async fn recover(&self) -> Result<()> {
        for fault in self.plan.faults() {
            fault.recover(self.testbed).await?;
        }
        Ok(())
    }

    async fn check(
        &self,
        seen: Seen,
        history: History,
        process: u64,
        mut violations: Vec<Violation>,
    ) -> Result<Played> {
        let digests = match self.digests().await {
            Ok(digests) => digests,
            Err(error) => {
                violations.push(Violation::new(Broken::Drill, format!("the regions cannot be compared: {error:#}")));
                BTreeMap::new()
            }
        };
        let acknowledged = history
            .with(|all| all.iter().filter(|one| one.is_done() && matches!(one.kind, Kind::Insert { .. })).count());
        // A comparison of nothing would find everything equal.
        for (region, digest) in digests.iter().filter(|(_, digest)| digest.keys < acknowledged as u64) {
            let evidence = format!("the digest of region {region} covers {} keys, too few", digest.keys);
            violations.push(Violation::new(Broken::Drill, evidence));
        }
        if let (Some(a), Some(b)) = (digests.get(&Place::A), digests.get(&Place::B))
            && a != b
        {
            let tell = |digest: &Digest| format!("{} ({} keys)", digest.digest, digest.keys);
            violations.push(Violation::new(
                Broken::Diverged,
                format!("at log index {} region A has {}, region B has {}", a.index, tell(a), tell(b)),
            ));
        }
        let mut rows = BTreeMap::new();
        let mut sums = BTreeMap::new();
        let mut deeds_found = BTreeMap::new();
        for (&region, &address) in self.endpoints {
            let begun = history.now();
            let contents = match self.tables.contents(region, address, READ_OUT_WITHIN).await {
                Ok(contents) => contents,
                Err(error) => {
                    violations.push(Violation::new(
                        Broken::Lost,
                        format!("{acknowledged} acknowledged rows are unaccounted for: {error:#}"),
                    ));
                    continue;
                }
            };
            let ended = history.now();
            for (key, value) in contents.registers {
                let kind = Kind::Read { key, value: Some(value) };
                history.record(Operation { region, kind, begun, ended, outcome: Outcome::Done });
            }
            rows.insert(region, contents.rows);
            sums.insert(region, contents.balance);
            match self.tables.deeds.contents(region, address, READ_OUT_WITHIN, &history, process).await {
                Ok(found) => drop(deeds_found.insert(region, found)),
                // Lost rows of this table have been told above; without the table there is nothing more to compare.
                Err(failure) if failure.code.0 == UNDEFINED_TABLE => {}
                Err(failure) => violations.push(Violation::new(
                    Broken::Drill,
                    format!("the workloads' tables cannot be read in region {region}: {failure}"),
                )),
            }
        }
        let deeds = history.deeds();
        let mut judged = Vec::new();
        let mut histories = Vec::new();
        for workload in Workload::ALL {
            let recorded = check::transactions::history(workload, &deeds, &seen.marks);
            let (verdict, broken) = check::transactions::check(workload, &recorded);
            violations.extend(broken);
            judged.push(verdict);
            histories.push((workload, recorded));
        }
        violations.extend(check::deeds::check(&deeds, &deeds_found));
        let deeds = check::deeds::count(&deeds);
        violations.extend(check::deeds::idle(&deeds));
        let history = history.snapshot();
        let Seen { leaders, phases, steps, stalls, marks, bands } = seen;
        let (fates, row_violations) = check::rows::check(&history, &rows);
        let (measured, measure_violations) = measure::measure(&history, phases, &self.plan.sides, stalls.total());
        let sum = i64::from(ACCOUNTS) * i64::from(OPENING_BALANCE);
        violations.extend(row_violations);
        violations.extend(check::visible::check(&history));
        violations.extend(check::register::check(&history, 0));
        violations.extend(check::balance::check(&history, sum, &sums));
        violations.extend(measure_violations);
        if self.plan.somebody_serves {
            violations.extend(measure::nobody_serves(&history, phases, stalls.total()));
        }
        Ok(Played {
            leaders,
            phases,
            steps,
            stalls,
            marks,
            bands,
            history,
            deeds,
            judged,
            histories,
            measured,
            fates,
            sum,
            digests,
            violations,
        })
    }

    /// Both regions at one place of the log.
    async fn digests(&self) -> Result<BTreeMap<Place, Digest>> {
        let http = self.testbed.state()?.addresses.http;
        let held = Place::REGIONS.map(|place| hold_digest(http[&place], READ_OUT_WITHIN));
        let held = futures::future::try_join_all(held).await?;
        let index = held.iter().map(|held| held.index).max().expect("there are two regions");
        let digests = Place::REGIONS.into_iter().zip(held).map(async |(place, held)| -> Result<(Place, Digest)> {
            Ok((place, fetch_digest(http[&place], held, index, READ_OUT_WITHIN).await?))
        });
        Ok(futures::future::try_join_all(digests).await?.into_iter().collect())
    }

    async fn clean(&self, leader: Place) -> Result<()> {
        self.recover().await?;
        for fault in self.plan.faults() {
            fault.tidy(self.testbed).await?;
        }
        if self.settings.private {
            return Ok(());
        }
        self.step("dropping the drill's tables");
        self.testbed.wait_healthy(WELL_WITHIN).await?;
        self.tables.drop(self.endpoints[&leader]).await
    }

    fn step(&self, text: &str) {
        self.progress.step(format!("{}: {text}", self.plan.drill.name()));
    }
}

/// Waits until every region has answered a write and a read that began at or after `from`; says what is missing.
/// Lost tables do not come back by waiting.
async fn wait_serving(load: &Load, from: Moment) -> Option<String> {
    let begun = Instant::now();
    loop {
        let missing = load.history().with(|history| missing_service(history, from))?;
        if begun.elapsed() > SERVES_WITHIN || missing.contains(UNDEFINED_TABLE) {
            return Some(missing);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn missing_service(history: &[Operation], from: Moment) -> Option<String> {
    for region in Place::REGIONS {
        let recent = || history.iter().rev().filter(|operation| operation.region == region && operation.begun >= from);
        for (name, is_kind) in [("writes", Kind::is_write as fn(&Kind) -> bool), ("strong reads", Kind::is_read)] {
            if !recent().any(|operation| operation.is_done() && is_kind(&operation.kind)) {
                let last = recent().filter(|operation| is_kind(&operation.kind)).find_map(Operation::code);
                let why = last.map_or("no answer".to_owned(), |code| format!("the last answer was {}", code.0));
                return Some(format!("{name} in region {region} do not succeed ({why})"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Code;

    #[test]
    fn what_is_missing_is_named() {
        let done =
            |region, kind: Kind, outcome| Operation { region, kind, begun: Moment(10), ended: Moment(12), outcome };
        let read = Kind::Read { key: 0, value: Some(0) };
        let mut history: Vec<Operation> = Place::REGIONS
            .into_iter()
            .flat_map(|region| [done(region, Kind::Transfer, Outcome::Done), done(region, read.clone(), Outcome::Done)])
            .collect();
        assert_eq!(missing_service(&history, Moment(0)), None);
        assert!(missing_service(&history, Moment(11)).expect("too old").starts_with("writes in region A"));
        history[3].outcome = Outcome::NotDone(Code::of("57P03"));
        let missing = missing_service(&history, Moment(0)).expect("B does not read");
        assert_eq!(missing, "strong reads in region B do not succeed (the last answer was 57P03)");
    }
}
