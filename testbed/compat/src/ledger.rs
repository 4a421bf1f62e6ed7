//! Known differences and their reasons: lines `file:line reason`. An entry whose statement no longer differs, or that has no
//! statement, fails the run; so the list only shrinks.
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<(String, usize), String>,
}

impl Ledger {
    pub fn read(path: &Path) -> Result<Ledger> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ledger::parse(&text).with_context(|| path.display().to_string())
    }

    pub fn parse(text: &str) -> Result<Ledger> {
        let mut entries = BTreeMap::new();
        for (at, entry) in text.lines().enumerate() {
            if entry.trim().is_empty() || entry.starts_with('#') {
                continue;
            }
            let parsed = entry.split_once(' ').and_then(|(place, reason)| {
                let (file, line) = place.rsplit_once(':')?;
                Some(((file.to_owned(), line.parse().ok()?), reason.to_owned()))
            });
            let Some((place, reason)) = parsed else { bail!("line {}: not `file:line reason`", at + 1) };
            if entries.insert(place, reason).is_some() {
                bail!("line {}: listed twice", at + 1);
            }
        }
        Ok(Ledger { entries })
    }

    /// Why this statement may differ.
    pub fn reason(&self, file: &str, line: usize) -> Option<&str> {
        self.entries.get(&(file.to_owned(), line)).map(String::as_str)
    }

    /// Entries of a file for which there is no statement.
    pub fn orphans(&self, file: &str, lines: &[usize]) -> Vec<usize> {
        let of_file = self.entries.keys().filter(|(name, _)| name == file).map(|(_, line)| *line);
        of_file.filter(|line| !lines.contains(line)).collect()
    }

    /// Entries whose file is not among these.
    pub fn strangers(&self, files: &[&str]) -> Vec<String> {
        let all = self.entries.keys().filter(|(name, _)| !files.contains(&name.as_str()));
        all.map(|(name, line)| format!("{name}:{line}")).collect()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_and_are_missed() {
        let ledger = Ledger::parse("# head\na.sql:3 because\n\nb.sql:9 of this").expect("well formed");
        assert_eq!(ledger.reason("a.sql", 3), Some("because"));
        assert_eq!(ledger.reason("a.sql", 4), None);
        assert_eq!(ledger.orphans("a.sql", &[1, 2]), [3]);
        assert_eq!(ledger.strangers(&["a.sql"]), ["b.sql:9"]);
        assert!(Ledger::parse("a.sql:3").is_err());
        assert!(Ledger::parse("a.sql:3 x\na.sql:3 y").is_err());
    }
}
