//! A run as a folder, so that it can be looked at, judged again, and gone on with.
//!
//! ```text
//!   FOLDER/run.json                  how the drills are run; a run is gone on with only as it was begun
//!   FOLDER/report.html               all of it as one page, written anew after each drill
//!   FOLDER/kill-leader/report.json   the result
//!   FOLDER/kill-leader/line.json     its line of the table: written last, so who has one is finished
//!   FOLDER/kill-leader/section.html  its part of the page
//!   FOLDER/kill-leader/*.edn         the histories: docs/formats/history.md
//!   FOLDER/kill-leader.2/...         the second time, with --repeat
//! ```
use super::DrillReport;
use super::measure::RegionMeasure;
use super::page::{self, page};
use super::rolling::RollingReport;
use crate::check::transactions::Workload;
use crate::drills::Side;
use crate::terminal::duration;
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A drill's line in tables.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    pub passed: bool,
    pub writes_away: String,
    pub reads_away: String,
    /// Of the region that must serve; none where none must.
    pub writes_away_ms: Option<f64>,
    pub reads_away_ms: Option<f64>,
    pub acknowledged: usize,
    pub lost: usize,
    pub unknown: usize,
    pub violations: usize,
    /// In words, such as "clean".
    pub histories: String,
    pub seconds: f64,
}

impl Line {
    pub fn of(name: &str, report: &DrillReport) -> Line {
        let worst = |away: fn(&RegionMeasure) -> Duration| {
            let serving = report.regions.values().filter(|measured| measured.side == Side::Serves);
            serving.map(away).max()
        };
        let (writes, reads) = (worst(|measured| measured.writes.away), worst(|measured| measured.reads.away));
        let told = |away: Option<Duration>| away.map_or("-".into(), duration);
        let milliseconds = |away: Option<Duration>| away.map(|away| away.as_micros() as f64 / 1e3);
        let anomalies: usize = report.histories.iter().map(|judged| judged.anomalies.len()).sum();
        Line {
            name: name.to_owned(),
            passed: report.passed,
            writes_away: told(writes),
            reads_away: told(reads),
            writes_away_ms: milliseconds(writes),
            reads_away_ms: milliseconds(reads),
            acknowledged: report.rows.acknowledged,
            lost: report.rows.lost,
            unknown: report.rows.unknown,
            violations: report.violation_count,
            histories: if anomalies == 0 { "clean".into() } else { format!("{anomalies} anomalies") },
            seconds: report.seconds,
        }
    }

    pub fn of_rolling(name: &str, report: &RollingReport) -> Line {
        Line {
            name: name.to_owned(),
            passed: report.passed,
            writes_away: "-".into(),
            reads_away: "-".into(),
            acknowledged: report.totals.statements,
            lost: report.totals.wrong.len(),
            violations: report.violations.len(),
            histories: "-".into(),
            seconds: report.seconds,
            ..Line::default()
        }
    }
}

/// How a drill that was run several times came out.
#[derive(Clone, PartialEq, Debug)]
pub struct Spread {
    pub drill: String,
    pub times: usize,
    pub failed: usize,
    pub lost: usize,
    /// Median, 95 of 100, and the worst, in milliseconds.
    pub writes_away: Option<[f64; 3]>,
    pub reads_away: Option<[f64; 3]>,
}

impl Spread {
    /// Of the drills that were run more than once, in the order of the lines.
    pub fn of(lines: &[Line]) -> Vec<Spread> {
        let drill = |line: &Line| line.name.split('.').next().unwrap_or_default().to_owned();
        let mut names: Vec<String> = Vec::new();
        for line in lines {
            let name = drill(line);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let spreads = names.into_iter().map(|name| {
            let own: Vec<&Line> = lines.iter().filter(|line| drill(line) == name).collect();
            Spread {
                times: own.len(),
                failed: own.iter().filter(|line| !line.passed).count(),
                lost: own.iter().map(|line| line.lost).sum(),
                writes_away: spread(own.iter().filter_map(|line| line.writes_away_ms).collect()),
                reads_away: spread(own.iter().filter_map(|line| line.reads_away_ms).collect()),
                drill: name,
            }
        });
        spreads.filter(|spread| spread.times > 1).collect()
    }
}

fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    // The least value that so many of all do not exceed.
    let at = |share: f64| values[((values.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last)];
    Some([at(0.5), at(0.95), values[last]])
}

/// How the drills of a run are run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Run {
    pub seconds: f64,
    pub clients: usize,
    pub distances: String,
    pub network: String,
    pub sabotage: Option<String>,
}

#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    run: Run,
    /// In the order in which they are asked for.
    names: Vec<String>,
}

const RUN: &str = "run.json";
const LINE: &str = "line.json";
const REPORT: &str = "report.json";
const SECTION: &str = "section.html";

impl Archive {
    /// A new run, or one that is gone on with.
    pub fn open(folder: &Path, run: Run, resume: bool, names: Vec<String>) -> Result<Archive> {
        let file = folder.join(RUN);
        match (resume, file.exists()) {
            (true, true) => {
                let before: Run = read(&file)?;
                if before != run {
                    bail!("the run in {} was begun as {before:?}, and cannot go on as {run:?}", folder.display());
                }
            }
            (true, false) => bail!("there is no run to go on with in {}", folder.display()),
            (false, true) => {
                bail!(
                    "there is a run in {} already: --resume goes on with it, or name another folder",
                    folder.display()
                )
            }
            (false, false) => {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                write(&file, &json(&run)?)?;
            }
        }
        Ok(Archive { folder: folder.to_owned(), run, names })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// None: it is yet to be done.
    pub fn finished(&self, name: &str) -> Result<Option<(Line, serde_json::Value)>> {
        let folder = self.folder.join(name);
        if !folder.join(LINE).exists() {
            return Ok(None);
        }
        Ok(Some((read(&folder.join(LINE))?, read(&folder.join(REPORT))?)))
    }

    pub fn keep(
        &self,
        name: &str,
        report: &DrillReport,
        histories: &[(Workload, trivet_history::History)],
    ) -> Result<()> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        keep_histories(&folder, histories)?;
        self.finish(&folder, &json(report)?, &page::section(name, report)?, &Line::of(name, report))
    }

    pub fn keep_rolling(&self, name: &str, report: &RollingReport) -> Result<()> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let section = page::rolling_section(name, report);
        self.finish(&folder, &json(report)?, &section, &Line::of_rolling(name, report))
    }

    fn finish(&self, folder: &Path, report: &str, section: &str, line: &Line) -> Result<()> {
        write(&folder.join(REPORT), report)?;
        // The page lies one level higher than the histories.
        let name = &line.name;
        let section = Workload::ALL.iter().fold(section.to_owned(), |section, workload| {
            let file = format!("{}.edn", workload.name());
            section.replace(&format!("href=\"{file}\""), &format!("href=\"{name}/{file}\""))
        });
        write(&folder.join(SECTION), &section)?;
        write(&folder.join(LINE), &json(line)?)?;
        self.write_page()
    }

    fn write_page(&self) -> Result<()> {
        let mut lines = Vec::new();
        let mut sections = Vec::new();
        for name in &self.names {
            if let Some((line, _)) = self.finished(name)? {
                lines.push(line);
                let file = self.folder.join(name).join(SECTION);
                sections.push(fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?);
            }
        }
        let Run { seconds, clients, distances, network, sabotage } = &self.run;
        let mut subtitle = format!(
            "Distances {distances}, network {network}, each fault held for {seconds} s, {clients} clients in each region beside the workloads that histories are recorded of."
        );
        if let Some(sabotage) = sabotage {
            subtitle += &format!(" The nodes were told to break a rule: {sabotage}.");
        }
        write(&self.folder.join("report.html"), &page(&subtitle, &lines, &sections))
    }
}

pub fn keep_histories(folder: &Path, histories: &[(Workload, trivet_history::History)]) -> Result<()> {
    histories.iter().try_for_each(|(workload, history)| {
        write(&folder.join(format!("{}.edn", workload.name())), &trivet_history::write(history))
    })
}

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).context("the result does not serialise")? + "\n")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} does not read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run { seconds: 6.0, clients: 12, distances: "60ms".into(), network: "relay".into(), sabotage: None }
    }

    #[test]
    fn repeats_are_counted_together() {
        let line = |name: String, away: f64, passed| Line {
            name,
            passed,
            writes_away_ms: Some(away),
            lost: usize::from(!passed),
            ..Line::default()
        };
        let mut lines = vec![line("kill-leader".into(), 100.0, true), line("cut-regions".into(), 1.0, true)];
        lines.extend((2..=100).map(|time| line(format!("kill-leader.{time}"), f64::from(time) * 100.0, time != 7)));
        let found = Spread::of(&lines);
        let expected = Spread {
            drill: "kill-leader".into(),
            times: 100,
            failed: 1,
            lost: 1,
            writes_away: Some([5000.0, 9500.0, 10_000.0]),
            reads_away: None,
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_run_goes_on_only_as_it_was_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |run, resume| Archive::open(folder.path(), run, resume, vec!["kill-leader".into()]);
        assert!(open(run(), true).expect_err("nothing is there").to_string().contains("no run to go on with"));
        open(run(), false).expect("a new run");
        assert!(open(run(), false).expect_err("it is there").to_string().contains("--resume"));
        let other = Run { seconds: 9.0, ..run() };
        assert!(open(other, true).expect_err("another run").to_string().contains("cannot go on"));
        let archive = open(run(), true).expect("the same run");
        assert_eq!(archive.finished("kill-leader").expect("it can be asked"), None);
    }
}
