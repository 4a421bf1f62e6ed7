//! `drill`: on the running testbed, or on one of its own.
use super::{start_private, write_json};
use crate::cli::{DrillArguments, DrillChoice};
use crate::distances;
use crate::drills::rolling::{self, RollingReport};
use crate::drills::{Drill, DrillReport, Settings, render, render_summary, run};
use crate::layout::config::{Auth, Testing};
use crate::private::Private;
use crate::signals::{Interrupted, StopSignals};
use crate::state::Registry;
use crate::terminal::{Progress, Tone, say, tint};
use crate::testbed::{Options, Testbed};
use anyhow::{Result, bail};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

#[derive(Serialize)]
struct Written<'a> {
    passed: bool,
    sabotage: Option<String>,
    drills: &'a [DrillReport],
    #[serde(skip_serializing_if = "Option::is_none")]
    rolling_restart: Option<&'a RollingReport>,
    /// Drills that could not be carried out, and why.
    failures: &'a [String],
}

/// What came of the drills so far.
struct Session {
    settings: Settings,
    signals: StopSignals,
    reports: Vec<DrillReport>,
    failures: Vec<String>,
    /// Whether to restart each in turn, at the end, and what came of it.
    rolling: bool,
    rolled: Option<RollingReport>,
}

/// Whether every drill passed.
pub async fn drill(data: Option<&Path>, arguments: DrillArguments) -> Result<bool> {
    let drills: Vec<Drill> = match arguments.drill {
        DrillChoice::One(drill) => vec![drill],
        DrillChoice::Rolling => Vec::new(),
        DrillChoice::All => Drill::ALL.to_vec(),
    };
    let running = running_testbed(data, &arguments)?;
    let mut session = Session {
        settings: Settings {
            hold: Duration::from_secs_f64(arguments.seconds),
            clients: arguments.clients.into(),
            private: running.is_none(),
        },
        signals: StopSignals::listen()?,
        reports: Vec::new(),
        failures: Vec::new(),
        rolling: matches!(arguments.drill, DrillChoice::Rolling | DrillChoice::All),
        rolled: None,
    };
    match running {
        Some(testbed) => session.run_on(&testbed, &drills).await?,
        None => session.run_on_private(&drills, &arguments).await?,
    }
    let Session { reports, failures, rolled, .. } = session;
    if drills.len() > 1 {
        say(render_summary(&reports));
    }
    let passed = failures.is_empty()
        && reports.iter().all(|report| report.passed)
        && rolled.as_ref().is_none_or(|rolled| rolled.passed);
    if let Some(path) = &arguments.json {
        let sabotage = arguments.sabotage.map(|sabotage| format!("{sabotage:?}"));
        write_json(
            path,
            &Written { passed, sabotage, drills: &reports, rolling_restart: rolled.as_ref(), failures: &failures },
        )?;
    }
    Ok(passed)
}

/// None: the drill shall start its own.
fn running_testbed(data: Option<&Path>, arguments: &DrillArguments) -> Result<Option<Testbed>> {
    if arguments.private || arguments.sabotage.is_some() {
        return Ok(None);
    }
    if data.is_none() && Registry::open()?.live()?.is_empty() {
        return Ok(None);
    }
    let testbed = Testbed::find(data)?;
    if arguments.rtt.is_some() {
        bail!("--rtt is for a testbed of the drill's own: add --private, or change the running one with `trivet net`");
    }
    Ok(Some(testbed))
}

impl Session {
    /// Stops at a drill that cannot be carried out: the testbed is somebody's, and not well.
    async fn run_on(&mut self, testbed: &Testbed, drills: &[Drill]) -> Result<()> {
        let root = testbed.directory().root().display();
        say(format!("on the running testbed in {root}: a drill writes only to tables of its own, and drops them"));
        for drill in drills {
            self.carry_out(*drill, testbed).await?;
            if !self.failures.is_empty() {
                break;
            }
        }
        if self.rolling && self.failures.is_empty() {
            self.roll(testbed).await?;
        }
        Ok(())
    }

    /// One testbed for all drills, until one fails: the next one shall not meet what it left behind.
    async fn run_on_private(&mut self, drills: &[Drill], arguments: &DrillArguments) -> Result<()> {
        let testing = Testing { volatile_files: true, ..Testing::default() }.sabotaged(arguments.sabotage);
        let distances = arguments.rtt.clone().unwrap_or_else(distances::default);
        let mut current: Option<Private> = None;
        for drill in drills {
            let private = match current.take() {
                Some(private) => private,
                None => {
                    let (distances, auth) = (distances.clone(), Auth::Trust);
                    let options =
                        Options { sql_ports: None, distances, net: arguments.net, testing, auth, keeper: None };
                    start_private(options, &mut self.signals).await?
                }
            };
            match self.carry_out(*drill, &private.testbed).await {
                Ok(true) => current = Some(private),
                Ok(false) => {
                    let root = private.close_and_keep().await?;
                    say(format!("logs and data are kept in {}", root.display()));
                }
                Err(interrupted) => {
                    private.close().await?;
                    return Err(interrupted);
                }
            }
        }
        if self.rolling {
            let private = match current.take() {
                Some(private) => private,
                None => {
                    let auth = Auth::Trust;
                    let options =
                        Options { sql_ports: None, distances, net: arguments.net, testing, auth, keeper: None };
                    start_private(options, &mut self.signals).await?
                }
            };
            match self.roll(&private.testbed).await {
                Ok(true) => current = Some(private),
                Ok(false) => {
                    let root = private.close_and_keep().await?;
                    say(format!("logs and data are kept in {}", root.display()));
                }
                Err(interrupted) => {
                    private.close().await?;
                    return Err(interrupted);
                }
            }
        }
        match current {
            Some(private) => private.close().await,
            None => Ok(()),
        }
    }

    async fn roll(&mut self, testbed: &Testbed) -> Result<bool> {
        let Settings { clients, private, .. } = self.settings;
        let progress = Progress::start();
        let result = rolling::run(testbed, clients, private, &progress, &mut self.signals).await;
        progress.done();
        match result {
            Ok(report) => {
                say(rolling::render(&report));
                let passed = report.passed;
                self.rolled = Some(report);
                Ok(passed)
            }
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => {
                let failure = format!("rolling-restart could not be carried out: {error:#}");
                say(tint(Tone::Bad, &failure));
                self.failures.push(failure);
                Ok(false)
            }
        }
    }

    /// Whether it passed; an error only if the user asked to stop.
    async fn carry_out(&mut self, drill: Drill, testbed: &Testbed) -> Result<bool> {
        let progress = Progress::start();
        let result = run(drill, testbed, &self.settings, &progress, &mut self.signals).await;
        progress.done();
        match result {
            Ok(report) => {
                say(render(&report));
                let passed = report.passed;
                self.reports.push(report);
                Ok(passed)
            }
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => {
                let failure = format!("{} could not be carried out: {error:#}", drill.name());
                say(tint(Tone::Bad, &failure));
                self.failures.push(failure);
                Ok(false)
            }
        }
    }
}
