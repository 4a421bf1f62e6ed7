//! A fault script as a file: timed steps in TOML, made into a [`Script`]. Pure but for reading the file.
//!
//! ```toml
//! title = "the ocean is cut for five seconds"
//! at_end = "restore"            # or "keep": leave what was set
//! length = "12s"                # if it shall last longer than its last step
//!
//! [[step]]
//! at = "2s"
//! link = "A-B"                  # or "all"
//! do = "cut"                    # "cut", "flap", "heal" or "restore"
//! for = "5s"                    # of a cut or a flap: then it is healed
//!
//! [[step]]
//! at = "8s"
//! link = "B-A"
//! one_way = true                # only from the first to the second
//! delay = "90ms"                # one or more of delay, jitter, reorder, loss, duplicate, rate
//! loss = "2%"
//! ```
//!
//! `do = "flap"` with `every = "500ms"` cuts for half of each such period.
use crate::control::Change;
use crate::distances::{named, some_duration, some_rate};
use crate::file::{self, FileError, Source};
use crate::script::{Script, Step};
use crate::settings::{Chance, Direction};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

/// Changes of one script; a flap of a millisecond for a day is a mistake.
const STEPS_MAX: usize = 10_000;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults {
    /// In a sentence; may be empty.
    pub title: String,
    pub script: Script,
    /// From the start to the end.
    pub length: Duration,
    pub at_end: AtEnd,
}

/// What becomes of the links that a script changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtEnd {
    /// As they were before the script.
    #[default]
    Restore,
    /// As the script left them.
    Keep,
}

impl Faults {
    /// A file whose steps are about `links`.
    pub fn read(path: &Path, links: &[&str]) -> Result<Faults, FileError> {
        Faults::parse(path, &file::read(path)?, links)
    }

    /// The same of text; `path` is for errors.
    pub fn parse(path: &Path, text: &str, links: &[&str]) -> Result<Faults, FileError> {
        let source = Source { path, text };
        let file: FaultsText = toml::from_str(text).map_err(|error| source.toml_error(&error))?;
        if file.step.is_empty() {
            return Err(source.error(None, "it has no step: add a section [[step]] with at, link and do"));
        }
        let mut steps = Vec::new();
        let mut last = file.length.unwrap_or_default();
        for step in &file.step {
            let changed = step.get_ref().changes(links).map_err(|message| source.error(Some(step.span()), message))?;
            steps.extend(changed);
            if steps.len() > STEPS_MAX {
                let message =
                    format!("these are more than {STEPS_MAX} changes: flap for a shorter time, or less often");
                return Err(source.error(Some(step.span()), message));
            }
        }
        let script = Script::new(steps);
        last = last.max(script.steps().last().map_or(Duration::ZERO, |step| step.at));
        Ok(Faults { title: file.title, script, length: last, at_end: file.at_end })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultsText {
    #[serde(default)]
    title: String,
    #[serde(default)]
    at_end: AtEnd,
    #[serde(default, deserialize_with = "some_duration")]
    length: Option<Duration>,
    #[serde(default)]
    step: Vec<Spanned<StepText>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verb {
    Cut,
    Flap,
    Heal,
    Restore,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    #[serde(deserialize_with = "some_duration")]
    at: Option<Duration>,
    link: String,
    #[serde(default)]
    one_way: bool,
    #[serde(rename = "do")]
    verb: Option<Verb>,
    #[serde(default, rename = "for", deserialize_with = "some_duration")]
    lasting: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    every: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    delay: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    jitter: Option<Duration>,
    reorder: Option<bool>,
    loss: Option<Chance>,
    duplicate: Option<Chance>,
    #[serde(default, deserialize_with = "some_rate")]
    rate: Option<Option<u64>>,
}

impl StepText {
    /// What it comes to, in order; or what is wrong with it.
    fn changes(&self, links: &[&str]) -> Result<Vec<Step>, String> {
        let lanes = self.lanes(links)?;
        let timed = self.timed()?;
        let step = |(link, direction): &(&str, Direction), (at, change): &(Duration, Change)| Step {
            at: *at,
            link: (*link).to_owned(),
            direction: *direction,
            change: change.clone(),
        };
        Ok(timed.iter().flat_map(|timed| lanes.iter().map(move |lane| step(lane, timed))).collect())
    }

    fn lanes<'a>(&self, links: &[&'a str]) -> Result<Vec<(&'a str, Direction)>, String> {
        if self.link == "all" {
            if self.one_way {
                return Err("one_way needs a link: \"all\" has no direction".into());
            }
            return Ok(links.iter().map(|link| (*link, Direction::Both)).collect());
        }
        let (link, reversed) = named(&self.link, links)
            .ok_or_else(|| format!("there is no link {} (there are {}, and all)", self.link, links.join(", ")))?;
        let direction = match (self.one_way, reversed) {
            (false, _) => Direction::Both,
            (true, false) => Direction::Forward,
            (true, true) => Direction::Backward,
        };
        Ok(vec![(link, direction)])
    }

    fn timed(&self) -> Result<Vec<(Duration, Change)>, String> {
        let at = self.at.unwrap_or_default();
        let settings = self.settings();
        let Some(verb) = self.verb else {
            if settings.is_empty() {
                return Err("the step changes nothing: add do (cut, flap, heal, restore), or one of delay, jitter, \
                            reorder, loss, duplicate, rate"
                    .into());
            }
            if self.lasting.is_some() || self.every.is_some() {
                return Err(
                    "\"for\" and \"every\" belong to do = \"cut\" or \"flap\": add a step that sets it back".into()
                );
            }
            return Ok(settings.into_iter().map(|change| (at, change)).collect());
        };
        if !settings.is_empty() {
            return Err("a step has either do or settings: make two steps of it".into());
        }
        match (verb, self.lasting, self.every) {
            (Verb::Cut, None, None) => Ok(vec![(at, Change::Cut)]),
            (Verb::Cut, Some(lasting), None) => Ok(vec![(at, Change::Cut), (at + lasting, Change::Heal)]),
            (Verb::Flap, Some(lasting), Some(every)) => flap(at, lasting, every),
            (Verb::Flap, ..) => Err("a flap needs \"for\" (how long in all) and \"every\" (how often)".into()),
            (Verb::Heal, None, None) => Ok(vec![(at, Change::Heal)]),
            (Verb::Restore, None, None) => Ok(vec![(at, Change::Restore)]),
            (Verb::Cut, _, Some(_)) => Err("\"every\" belongs to do = \"flap\"".into()),
            (Verb::Heal | Verb::Restore, ..) => Err("\"for\" and \"every\" belong to do = \"cut\" or \"flap\"".into()),
        }
    }

    fn settings(&self) -> Vec<Change> {
        let all = [
            self.delay.map(Change::Delay),
            self.jitter.map(Change::Jitter),
            self.reorder.map(Change::Reorder),
            self.loss.map(Change::Loss),
            self.duplicate.map(Change::Duplicate),
            self.rate.map(Change::Rate),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Cut for the first half of each period; healed at the end.
fn flap(at: Duration, lasting: Duration, every: Duration) -> Result<Vec<(Duration, Change)>, String> {
    if every < Duration::from_millis(1) || every > lasting {
        return Err("\"every\" must be at least 1ms, and at most what \"for\" says".into());
    }
    let count = usize::try_from(lasting.as_nanos() / every.as_nanos()).unwrap_or(usize::MAX);
    if count > STEPS_MAX {
        return Err(format!("these are more than {STEPS_MAX} cuts: flap for a shorter time, or less often"));
    }
    let periods = (0..count as u32).map(|number| at + every * number);
    Ok(periods.flat_map(|from| [(from, Change::Cut), (from + every / 2, Change::Heal)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: [&str; 3] = ["A-B", "A-W", "B-W"];

    fn parse(text: &str) -> Result<Faults, String> {
        Faults::parse(Path::new("f.toml"), text, &LINKS).map_err(|error| error.to_string())
    }

    #[test]
    fn a_script_reads_into_its_changes() {
        let faults = parse(
            "title = \"all kinds\"\nat_end = \"keep\"\nlength = \"9s\"\n\
             [[step]]\nat = \"3s\"\nlink = \"B-A\"\none_way = true\ndelay = \"90ms\"\nloss = \"2%\"\n\
             [[step]]\nat = \"0\"\nlink = \"A-B\"\ndo = \"cut\"\nfor = \"1s\"\n\
             [[step]]\nat = \"4s\"\nlink = \"A-W\"\ndo = \"flap\"\nevery = \"400ms\"\nfor = \"1s\"\n\
             [[step]]\nat = \"8s\"\nlink = \"all\"\ndo = \"restore\"\n",
        )
        .expect("it reads");
        let told: Vec<String> = faults.script.steps().iter().map(Step::to_string).collect();
        assert_eq!(
            told,
            [
                "0s A-B both cut",
                "1s A-B both heal",
                "3s A-B backward delay 90ms",
                "3s A-B backward loss 2%",
                "4s A-W both cut",
                "4200ms A-W both heal",
                "4400ms A-W both cut",
                "4600ms A-W both heal",
                "8s A-B both restore",
                "8s A-W both restore",
                "8s B-W both restore",
            ]
        );
        assert_eq!(told.join("\n").parse::<Script>().expect("lines of a script"), faults.script);
        assert_eq!((faults.length, faults.at_end), (Duration::from_secs(9), AtEnd::Keep));
        let short = parse("[[step]]\nat = \"2s\"\nlink = \"all\"\ndo = \"cut\"\nfor = \"1s\"").expect("it reads");
        assert_eq!((short.length, short.at_end), (Duration::from_secs(3), AtEnd::Restore));
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        let step = |text: &str| format!("title = \"x\"\n[[step]]\nat = \"1s\"\n{text}");
        let table = [
            ("title = \"x\"".to_owned(), "f.toml: it has no step"),
            (step("link = \"A-X\"\ndo = \"cut\""), "f.toml:2: there is no link A-X (there are A-B, A-W, B-W, and all)"),
            (step("link = \"A-B\""), "f.toml:2: the step changes nothing: add do"),
            (step("link = \"A-B\"\ndo = \"explode\""), "f.toml:5: unknown variant `explode`, expected one of `cut`"),
            (step("link = \"A-B\"\ndo = \"cut\"\nloss = \"1%\""), "f.toml:2: a step has either do or settings"),
            (step("link = \"A-B\"\ndo = \"flap\"\nfor = \"1s\""), "f.toml:2: a flap needs"),
            (step("link = \"A-B\"\ndo = \"heal\"\nfor = \"1s\""), "f.toml:2: \"for\" and \"every\" belong"),
            (step("link = \"A-B\"\ndelay = \"1ms\"\nfor = \"1s\""), "f.toml:2: \"for\" and \"every\" belong"),
            (step("link = \"all\"\none_way = true\ndo = \"cut\""), "f.toml:2: one_way needs a link"),
            (step("link = \"A-B\"\ndelay = \"soon\""), "f.toml:5: \"soon\" is not a duration"),
            (
                step("link = \"A-B\"\ndo = \"flap\"\nfor = \"99s\"\nevery = \"1ms\""),
                "f.toml:2: these are more than 10000 cuts",
            ),
            (
                step("link = \"A-B\"\ndo = \"flap\"\nfor = \"1s\"\nevery = \"2s\""),
                "f.toml:2: \"every\" must be at least 1ms, and at most what \"for\" says",
            ),
            ("[[step]]\nlink = \"A-B\"\ndo = \"cut\"".to_owned(), "f.toml:1: missing field `at`"),
        ];
        for (text, message) in table {
            let refused = parse(&text).expect_err(&text);
            assert!(refused.starts_with(message), "{refused}\nis not\n{message}");
        }
    }
}
