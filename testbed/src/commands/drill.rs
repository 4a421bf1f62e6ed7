//! `drill`: on the running testbed, or on one of its own.
use super::{start_private, write_json};
use crate::cli::{DrillArguments, DrillChoice};
use crate::distances;
use crate::drills::archive::{self, Archive, Line, Run, Spread};
use crate::drills::rolling::{self, RollingReport};
use crate::drills::{Drill, DrillReport, Recorded, Settings, render, render_spreads, render_summary, run};
use crate::layout::config::{Auth, Testing};
use crate::private::Private;
use crate::signals::{Interrupted, StopSignals};
use crate::state::Registry;
use crate::terminal::{Progress, Tone, say, tint};
use crate::testbed::{Options, Testbed};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

#[derive(Serialize)]
struct Written<'a> {
    passed: bool,
    sabotage: Option<String>,
    drills: &'a [serde_json::Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    rolling_restart: Option<&'a serde_json::Value>,
    /// Drills that could not be carried out, and why.
    failures: &'a [String],
}

/// A drill of a run, under the name by which it is kept.
#[derive(Clone, Debug)]
struct Item {
    name: String,
    /// None: each node restarted in turn.
    drill: Option<Drill>,
}

/// What came of the drills so far.
struct Session {
    settings: Settings,
    signals: StopSignals,
    archive: Option<Archive>,
    lines: Vec<Line>,
    reports: Vec<serde_json::Value>,
    rolled: Option<serde_json::Value>,
    failures: Vec<String>,
}

/// Whether every drill passed.
pub async fn drill(data: Option<&Path>, arguments: DrillArguments) -> Result<bool> {
    let items = items(&arguments)?;
    let running = running_testbed(data, &arguments)?;
    let sabotage = arguments.sabotage.map(|sabotage| format!("{sabotage:?}"));
    let archive = match &arguments.report {
        None => None,
        Some(folder) => {
            let run = Run {
                seconds: arguments.seconds,
                clients: arguments.clients.into(),
                distances: match &running {
                    Some(testbed) => testbed.state()?.link_profile,
                    None => arguments.rtt.clone().unwrap_or_else(distances::default).name,
                },
                network: match arguments.net {
                    trivet_netem::Choice::One(kind) => kind.to_string(),
                    trivet_netem::Choice::Auto => "auto".into(),
                },
                sabotage: sabotage.clone(),
            };
            let names = items.iter().map(|item| item.name.clone()).collect();
            Some(Archive::open(folder, run, arguments.resume, names)?)
        }
    };
    let mut session = Session {
        settings: Settings {
            hold: Duration::from_secs_f64(arguments.seconds),
            clients: arguments.clients.into(),
            private: running.is_none(),
        },
        signals: StopSignals::listen()?,
        archive,
        lines: Vec::new(),
        reports: Vec::new(),
        rolled: None,
        failures: Vec::new(),
    };
    let left = session.not_finished(items)?;
    match running {
        Some(testbed) => session.run_on(&testbed, &left).await?,
        None => session.run_on_private(&left, &arguments).await?,
    }
    let Session { lines, reports, rolled, failures, archive, .. } = session;
    if lines.len() > 1 {
        say(render_summary(&lines));
    }
    if let Some(text) = render_spreads(&Spread::of(&lines)) {
        say(text);
    }
    if let Some(archive) = &archive {
        say(format!("report: {}", archive.folder().join("report.html").display()));
    }
    let passed = failures.is_empty() && lines.iter().all(|line| line.passed);
    if let Some(path) = &arguments.json {
        let written =
            Written { passed, sabotage, drills: &reports, rolling_restart: rolled.as_ref(), failures: &failures };
        write_json(path, &written)?;
    }
    Ok(passed)
}

/// The first time under the drill's own name, then with a number.
fn items(arguments: &DrillArguments) -> Result<Vec<Item>> {
    let drills: Vec<Option<Drill>> = match arguments.drill {
        DrillChoice::One(drill) => {
            if let Some(why) = drill.unavailable() {
                bail!("{}: {why}", drill.name());
            }
            vec![Some(drill)]
        }
        DrillChoice::Rolling => vec![None],
        DrillChoice::All => {
            let (here, missing): (Vec<Drill>, Vec<Drill>) =
                Drill::ALL.into_iter().partition(|drill| drill.unavailable().is_none());
            if let Some(why) = missing.first().and_then(|drill| drill.unavailable()) {
                let names: Vec<String> = missing.into_iter().map(Drill::name).collect();
                say(tint(Tone::Odd, &format!("left out: {} ({why})", names.join(", "))));
            }
            here.into_iter().map(Some).chain([None]).collect()
        }
    };
    let times = 1..=arguments.repeat;
    let named = times.flat_map(|time| {
        drills.iter().map(move |drill| {
            let name = drill.map_or("rolling-restart".to_owned(), Drill::name);
            Item { name: if time == 1 { name } else { format!("{name}.{time}") }, drill: *drill }
        })
    });
    Ok(named.collect())
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
    /// Takes over what an earlier run finished; the rest is left to do.
    fn not_finished(&mut self, items: Vec<Item>) -> Result<Vec<Item>> {
        let mut left = Vec::new();
        for item in items {
            let before = match &self.archive {
                Some(archive) => archive.finished(&item.name)?,
                None => None,
            };
            match before {
                None => left.push(item),
                Some((line, report)) => {
                    say(format!("{}: finished before, {}", item.name, if line.passed { "passed" } else { "FAILED" }));
                    self.take(&item, line, report);
                }
            }
        }
        Ok(left)
    }

    fn take(&mut self, item: &Item, line: Line, report: serde_json::Value) {
        self.lines.push(line);
        match item.drill {
            Some(_) => self.reports.push(report),
            None => self.rolled = Some(report),
        }
    }

    /// Stops at a drill that cannot be carried out: the testbed is somebody's, and not well.
    async fn run_on(&mut self, testbed: &Testbed, items: &[Item]) -> Result<()> {
        let root = testbed.directory().root().display();
        say(format!("on the running testbed in {root}: a drill writes only to tables of its own, and drops them"));
        for item in items {
            self.carry_out(item, testbed).await?;
            if !self.failures.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// One testbed for all drills, until one fails: the next one shall not meet what it left behind.
    async fn run_on_private(&mut self, items: &[Item], arguments: &DrillArguments) -> Result<()> {
        let testing = Testing { volatile_files: true, ..Testing::default() }.sabotaged(arguments.sabotage);
        let distances = arguments.rtt.clone().unwrap_or_else(distances::default);
        let mut current: Option<Private> = None;
        for item in items {
            let private = match current.take() {
                Some(private) => private,
                None => {
                    let (distances, auth) = (distances.clone(), Auth::Trust);
                    let options =
                        Options { sql_ports: None, distances, net: arguments.net, testing, auth, keeper: None };
                    start_private(options, &mut self.signals).await?
                }
            };
            match self.carry_out(item, &private.testbed).await {
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

    /// Whether it passed; an error only if the user asked to stop or the result cannot be kept.
    async fn carry_out(&mut self, item: &Item, testbed: &Testbed) -> Result<bool> {
        let progress = Progress::start();
        let done = match item.drill {
            Some(drill) => {
                run(drill, testbed, &self.settings, &progress, &mut self.signals).await.map(Box::new).map(Done::Drill)
            }
            None => {
                let Settings { clients, private, .. } = self.settings;
                rolling::run(testbed, clients, private, &progress, &mut self.signals).await.map(Done::Rolling)
            }
        };
        progress.done();
        match done {
            Ok(done) => self.finish(item, testbed, done),
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => {
                let failure = format!("{} could not be carried out: {error:#}", item.name);
                say(tint(Tone::Bad, &failure));
                self.failures.push(failure);
                Ok(false)
            }
        }
    }

    fn finish(&mut self, item: &Item, testbed: &Testbed, done: Done) -> Result<bool> {
        let (line, report) = match &done {
            Done::Drill(done) => {
                let (report, histories) = &**done;
                say(render(report));
                match &self.archive {
                    Some(archive) => archive.keep(&item.name, report, histories)?,
                    // Whoever must look needs it.
                    None if !report.passed => archive::keep_histories(&testbed.directory().logs(), histories)?,
                    None => {}
                }
                (Line::of(&item.name, report), serde_json::to_value(report))
            }
            Done::Rolling(report) => {
                say(rolling::render(report));
                if let Some(archive) = &self.archive {
                    archive.keep_rolling(&item.name, report)?;
                }
                (Line::of_rolling(&item.name, report), serde_json::to_value(report))
            }
        };
        let passed = line.passed;
        self.take(item, line, report.context("the result does not serialise")?);
        Ok(passed)
    }
}

enum Done {
    Drill(Box<(DrillReport, Recorded)>),
    Rolling(RollingReport),
}
