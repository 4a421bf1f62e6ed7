//! What PostgreSQL answered, kept beside the scripts for machines that have none.
//!
//! ```text
//!   == 1f0c9a6e2b3d4c55       the statement: a hash of its session, text and data
//!   = columns a|b             a line of the answer that both levels look at
//!   ! ERROR: ...              one for the stricter level alone
//! ```
//!
//! In the order of the script. A statement that changed finds no answer, and is counted as not compared.
use crate::answer::{Line, Shown};
use crate::script::Statement;
use anyhow::{Context, Result, bail};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// A statement may stand in a script more than once.
    answers: HashMap<u64, VecDeque<Shown>>,
}

/// FNV-1a, which no version of anything changes.
pub fn key(statement: &Statement) -> u64 {
    let parts = [statement.session.as_str(), &statement.sql, statement.copy_data.as_deref().unwrap_or("")];
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Beside the scripts: `recorded/queries.txt` for `queries.sql`.
pub fn path(folder: &Path, script: &str) -> PathBuf {
    folder.join("recorded").join(Path::new(script).with_extension("txt"))
}

pub fn write(answers: &[(u64, Shown)]) -> String {
    let mut text = String::new();
    for (key, shown) in answers {
        text.push_str(&format!("== {key:016x}\n"));
        for line in &shown.0 {
            text.push_str(if line.strict { "! " } else { "= " });
            text.push_str(&line.text);
            text.push('\n');
        }
    }
    text
}

impl Recorded {
    pub fn parse(text: &str) -> Result<Recorded> {
        let mut recorded = Recorded::default();
        let mut current: Option<u64> = None;
        for (at, line) in text.lines().enumerate() {
            let Some((mark, rest)) = line.split_once(' ') else { bail!("line {}: no mark", at + 1) };
            if mark == "==" {
                let key = u64::from_str_radix(rest, 16).with_context(|| format!("line {}: no hash", at + 1))?;
                recorded.answers.entry(key).or_default().push_back(Shown::default());
                current = Some(key);
                continue;
            }
            let answer = current.and_then(|key| recorded.answers.get_mut(&key)?.back_mut());
            let Some(answer) = answer else { bail!("line {}: belongs to no statement", at + 1) };
            answer.0.push(Line { strict: mark == "!", text: rest.to_owned() });
        }
        Ok(recorded)
    }

    pub fn take(&mut self, statement: &Statement) -> Option<Shown> {
        self.answers.get_mut(&key(statement))?.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let statement = &crate::script::statements("select 1;")[0];
        let line = |strict, text: &str| Line { strict, text: text.into() };
        let one = Shown(vec![line(false, "row  1"), line(true, "ERROR: = x")]);
        let two = Shown(vec![line(false, "status I")]);
        let text = write(&[(key(statement), one.clone()), (key(statement), two.clone())]);
        let mut recorded = Recorded::parse(&text).expect("well formed");
        assert_eq!(recorded.take(statement), Some(one));
        assert_eq!(recorded.take(statement), Some(two));
        assert_eq!(recorded.take(statement), None);
        assert!(Recorded::parse("= lost").is_err());
    }
}
