//! A fault script: what happens to which link, and when. Pure; [`crate::Control::play`] runs one.
//!
//! ```text
//! # time  link  direction  change
//! 0s      A-B   both       cut
//! 2s      A-B   both       heal
//! 2500ms  A-W   forward    loss 5%
//! 3s      B-W   backward   delay 90ms
//! 4s      B-W   both       restore
//! ```
//!
//! [`crate::faults`] is the same as a file with more comfort.
//!
//! Changes: `cut`, `heal`, `restore`, `delay T`, `jitter T`, `reorder on|off`, `loss P`, `duplicate P`,
//! `rate BYTES_PER_SECOND|unlimited`. Times count from the start of the script and need not be in order.
use crate::control::Change;
use crate::settings::{Direction, ParseSettingError, format_duration, parse_duration, parse_rate};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub at: Duration,
    pub link: String,
    pub direction: Direction,
    pub change: Change,
}

impl fmt::Display for Step {
    /// As a line of a script.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Both => "both",
            Direction::Forward => "forward",
            Direction::Backward => "backward",
        };
        write!(f, "{} {} {direction} {}", format_duration(self.at), self.link, self.change)
    }
}

/// Steps in the order in which they happen; those of one time in the order in which they were written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Script {
    steps: Vec<Step>,
}

impl Script {
    pub fn new(mut steps: Vec<Step>) -> Script {
        steps.sort_by_key(|step| step.at);
        Script { steps }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// A line that does not read as a step.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line} of the fault script: {problem}")]
pub struct ParseScriptError {
    line: usize,
    problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    #[error("expected \"time link direction change\"")]
    Shape,
    #[error("\"{0}\" is not a change")]
    Change(String),
    #[error(transparent)]
    Setting(#[from] ParseSettingError),
}

impl FromStr for Script {
    type Err = ParseScriptError;

    fn from_str(text: &str) -> Result<Script, ParseScriptError> {
        let mut steps = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            if line.trim().is_empty() {
                continue;
            }
            steps.push(parse_step(line).map_err(|problem| ParseScriptError { line: place + 1, problem })?);
        }
        Ok(Script::new(steps))
    }
}

fn parse_step(line: &str) -> Result<Step, Problem> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [at, link, direction, change @ ..] = words.as_slice() else {
        return Err(Problem::Shape);
    };
    Ok(Step {
        at: parse_duration(at)?,
        link: (*link).to_owned(),
        direction: direction.parse()?,
        change: parse_change(change)?,
    })
}

/// Reads the last words of a line: `delay 30ms`.
pub fn parse_change(words: &[&str]) -> Result<Change, Problem> {
    Ok(match words {
        [] => return Err(Problem::Shape),
        ["cut"] => Change::Cut,
        ["heal"] => Change::Heal,
        ["restore"] => Change::Restore,
        ["delay", delay] => Change::Delay(parse_duration(delay)?),
        ["jitter", jitter] => Change::Jitter(parse_duration(jitter)?),
        ["reorder", "on"] => Change::Reorder(true),
        ["reorder", "off"] => Change::Reorder(false),
        ["loss", chance] => Change::Loss(chance.parse()?),
        ["duplicate", chance] => Change::Duplicate(chance.parse()?),
        ["rate", rate] => Change::Rate(parse_rate(rate)?),
        _ => return Err(Problem::Change(words.join(" "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Chance;

    #[test]
    fn steps_are_read_and_put_in_order() {
        let script: Script = "\
            # a cut, healed late\n\
            2s     A-B both     heal   # the end\n\
            0      A-B both     cut\n\
            \n\
            1500ms A-W forward  loss 5%\n\
            1500ms B-W backward rate unlimited\n"
            .parse()
            .expect("the script is well formed");
        let drawn: Vec<String> = script
            .steps()
            .iter()
            .map(|step| format!("{:?} {} {:?} {:?}", step.at, step.link, step.direction, step.change))
            .collect();
        let loss = Chance::percent(5.0).expect("in range");
        assert_eq!(
            drawn,
            [
                "0ns A-B Both Cut".to_owned(),
                format!("1.5s A-W Forward Loss({loss:?})"),
                "1.5s B-W Backward Rate(None)".to_owned(),
                "2s A-B Both Heal".to_owned(),
            ]
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        let table = [
            ("0s A-B both", "line 1 of the fault script: expected \"time link direction change\""),
            ("\n0s A-B both explode", "line 2 of the fault script: \"explode\" is not a change"),
            (
                "soon A-B both cut",
                "line 1 of the fault script: \"soon\" is not a duration: expected a number with s, ms, us or ns",
            ),
            (
                "0s A-B up cut",
                "line 1 of the fault script: \"up\" is not a direction: expected both, forward or backward",
            ),
            (
                "0s A-B both rate fast",
                "line 1 of the fault script: \"fast\" is not a rate: expected bytes a second above 0, such as 1000000, \
                 12MB/s or 100Mbit/s, or unlimited",
            ),
        ];
        for (text, message) in table {
            assert_eq!(text.parse::<Script>().expect_err(text).to_string(), message);
        }
    }
}
