//! `verify`: hands over to the simulator or the model, which are programs of their own, or judges recorded histories.
use crate::cli::Verify;
use crate::process::find_binary;
use crate::terminal::{Tone, say, tint};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use trivet_history::Level;

/// Whether nothing was found.
pub fn verify(what: Verify) -> Result<bool> {
    match what {
        Verify::Sim { arguments } => hand_over("trivet-sim", &arguments),
        Verify::Model { arguments } => hand_over("trivet-model", &arguments),
        Verify::History { files, level } => {
            let mut clean = true;
            for file in &files {
                clean &= history(file, level)?;
            }
            Ok(clean)
        }
    }
}

/// Becomes the other program: its exit code, output and signals are its own.
fn hand_over(program: &str, arguments: &[String]) -> Result<bool> {
    let path = find_binary(program)?;
    Err(Command::new(&path).args(arguments).exec()).with_context(|| format!("cannot run {}", path.display()))
}

fn history(file: &Path, level: Level) -> Result<bool> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let history = trivet_history::read(&text).with_context(|| format!("{} is no history", file.display()))?;
    let verdict =
        trivet_history::check(&history, level).with_context(|| format!("{} cannot be judged", file.display()))?;
    let tone = if verdict.is_clean() { Tone::Good } else { Tone::Bad };
    let told = verdict.to_string();
    let (first, rest) = told.split_once('\n').unwrap_or((&told, ""));
    say(format!("{}: {}", file.display(), tint(tone, first)));
    if !rest.is_empty() {
        say(rest);
    }
    Ok(verdict.is_clean())
}
