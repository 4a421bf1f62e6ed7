//! `net play`: the steps of a fault script, each at its time, on the running testbed.
//!
//! The links that it touches are remembered as they are before the first step. At the end, on Ctrl-C and on an error
//! they are put back so, unless they shall be kept; then what they are is said.
use super::net::link_rows;
use crate::distances::link_names;
use crate::signals::{Interrupted, StopSignals};
use crate::terminal::{Progress, say};
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use trivet_netem::faults::{AtEnd, Faults};
use trivet_netem::script::Step;
use trivet_netem::settings::LinkSettings;
use trivet_netem::{Change, ControlClient, Direction};

/// As each link was before the script.
type Before = BTreeMap<String, (LinkSettings, LinkSettings)>;

pub async fn play(data: Option<&Path>, file: &Path, keep: bool, print: bool) -> Result<()> {
    let links = link_names();
    let faults = Faults::read(file, &links.each_ref().map(String::as_str))?;
    if print {
        say(listing(&faults));
        return Ok(());
    }
    let testbed = Testbed::find(data)?;
    let network = testbed.network()?;
    let mut signals = StopSignals::listen()?;
    let before = settings_of_touched(&network, &faults)?;
    say(format!("{}: {} steps, {}", title(&faults, file), faults.script.steps().len(), seconds(faults.length)));
    let progress = Progress::start();
    let played = signals.unless_heard(steps(&network, &faults, &progress)).await;
    progress.done();
    let links: Vec<&str> = before.keys().map(String::as_str).collect();
    if keep || faults.at_end == AtEnd::Keep {
        say(format!("{} stay as they are; `trivet net restore` puts them back as at the start:", links.join(", ")));
    } else {
        put_back(&network, &before)
            .context("the links could not be put back: `trivet net restore` puts them back as at the start")?;
        say(format!("{} are as they were before:", links.join(", ")));
    }
    say(link_rows(&network.show()?).to_string());
    match played {
        Err(error) if error.is::<Interrupted>() => Err(error.context("the script did not end")),
        other => other,
    }
}

fn listing(faults: &Faults) -> String {
    let lines = faults.script.steps().iter().map(Step::to_string);
    lines.chain([format!("{} end", seconds(faults.length))]).collect::<Vec<_>>().join("\n")
}

fn title(faults: &Faults, file: &Path) -> String {
    if faults.title.is_empty() { file.display().to_string() } else { faults.title.clone() }
}

async fn steps(network: &ControlClient, faults: &Faults, progress: &Progress) -> Result<()> {
    let begun = Instant::now();
    let all = faults.script.steps();
    for (step, place) in all.iter().zip(0..) {
        let next = words(step);
        until(
            begun + step.at,
            begun,
            |now| format!("{}   next, at {}: {next}", seconds(now), seconds(step.at)),
            progress,
        )
        .await;
        network.change(&step.link, step.direction, step.change.clone())?;
        progress.line(format!("{:>9}  {next}  ({} of {})", seconds(step.at), place + 1, all.len()));
    }
    let end = seconds(faults.length);
    until(begun + faults.length, begun, |now| format!("{}   ends at {end}", seconds(now)), progress).await;
    Ok(())
}

/// Waits; on a terminal what it waits for is told ten times a second.
async fn until(due: Instant, begun: Instant, told: impl Fn(Duration) -> String, progress: &Progress) {
    const TELL_EVERY: Duration = Duration::from_millis(100);
    while Instant::now() < due {
        progress.moment(told(begun.elapsed()));
        tokio::time::sleep_until(due.min(Instant::now() + TELL_EVERY).into()).await;
    }
}

/// "A-B: cut", "from B to A: delay 90ms".
fn words(step: &Step) -> String {
    let ends = step.link.split_once('-');
    match (step.direction, ends) {
        (Direction::Forward, Some((near, far))) => format!("from {near} to {far}: {}", step.change),
        (Direction::Backward, Some((near, far))) => format!("from {far} to {near}: {}", step.change),
        _ => format!("{}: {}", step.link, step.change),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn settings_of_touched(network: &ControlClient, faults: &Faults) -> Result<Before> {
    let touched = |name: &str| faults.script.steps().iter().any(|step| step.link == name);
    let links = network.show()?.into_iter().filter(|link| touched(&link.name));
    Ok(links.map(|link| (link.name, (link.forward.settings, link.backward.settings))).collect())
}

fn put_back(network: &ControlClient, before: &Before) -> Result<()> {
    for (link, (forward, backward)) in before {
        network.change(link, Direction::Forward, Change::Set(forward.clone()))?;
        network.change(link, Direction::Backward, Change::Set(backward.clone()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_by_who_sends_and_who_hears() {
        let links = ["A-B", "A-W", "B-W"];
        let text = "[[step]]\nat=\"1s\"\nlink=\"B-A\"\none_way=true\ndelay=\"90ms\"\n[[step]]\nat=\"2s\"\nlink=\"A-W\"\ndo=\"cut\"";
        let faults = Faults::parse("f.toml".as_ref(), text, &links).expect("it reads");
        let told: Vec<String> = faults.script.steps().iter().map(words).collect();
        assert_eq!(told, ["from B to A: delay 90ms", "A-W: cut"]);
        assert_eq!(listing(&faults), "1s A-B backward delay 90ms\n2s A-W both cut\n2.0 s end");
    }
}
