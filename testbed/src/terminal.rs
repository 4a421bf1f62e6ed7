//! What the commands print: tables, progress, colours and small pictures. Colours and moving progress only on a terminal;
//! NO_COLOR is respected.
#![allow(clippy::print_stdout, reason = "this is where a command's answer is printed")]
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use std::io::IsTerminal;
use std::time::Duration;

pub fn say(text: impl AsRef<str>) {
    use std::io::Write;
    // A reader that went away (a closed pipe) is no reason to stop a drill half way.
    let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
}

pub fn is_colourful() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    Good,
    Bad,
    Odd,
    Faint,
    Plain,
}

/// Text in a line, coloured if that is wanted.
pub fn tint(tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "1;31",
        Tone::Odd => "33",
        Tone::Faint => "2",
        Tone::Plain => return text.to_owned(),
    };
    if is_colourful() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

pub fn cell(tone: Tone, text: impl ToString) -> Cell {
    let cell = Cell::new(text.to_string());
    match tone {
        Tone::Good => cell.fg(Color::Green),
        Tone::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        Tone::Odd => cell.fg(Color::Yellow),
        Tone::Faint => cell.add_attribute(Attribute::Dim),
        Tone::Plain => cell,
    }
}

pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    if !is_colourful() {
        table.force_no_tty();
    }
    table.set_header(header.iter().map(|text| cell(Tone::Plain, text)).collect::<Vec<_>>());
    table
}

/// "63.4 ms", "1.21 s", "310 us".
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        _ if seconds >= 10.0 => format!("{seconds:.1} s"),
        _ if seconds >= 1.0 => format!("{seconds:.2} s"),
        _ if seconds >= 0.1 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds >= 0.001 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.0} us", seconds * 1e6),
    }
}

/// One character a value, from blank (nothing at all) to full (the largest).
pub fn sparkline(values: &[u64], largest: u64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    values
        .iter()
        .map(|&value| match value {
            0 => '·',
            _ => BARS[((value * 8).div_ceil(largest.max(1)) as usize).clamp(1, 8) - 1],
        })
        .collect()
}

/// A line that says what is going on: moving on a terminal, one line a step elsewhere.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    last: Mutex<String>,
}

impl Progress {
    pub fn start() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is well formed"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Progress { bar, last: Mutex::default() }
    }

    pub fn step(&self, text: impl Into<String>) {
        let text = text.into();
        let mut last = self.last.lock();
        if *last == text {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.clone()),
            None => tracing::info!("{text}"),
        }
        *last = text;
    }

    /// What is true only for a moment: shown on a terminal, nowhere else.
    pub fn moment(&self, text: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.into());
        }
    }

    /// A line that stays.
    pub fn line(&self, text: impl AsRef<str>) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    pub fn done(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let table = [
            (31_000_000u64, "31.0 s"),
            (1_214_000, "1.21 s"),
            (634_000, "634 ms"),
            (63_400, "63.4 ms"),
            (6_340, "6.3 ms"),
            (310, "310 us"),
        ];
        for (micros, text) in table {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn sparklines_tell_nothing_from_little() {
        assert_eq!(sparkline(&[0, 1, 50, 100], 100), "·▁▄█");
        assert_eq!(sparkline(&[0, 0], 0), "··");
    }
}
