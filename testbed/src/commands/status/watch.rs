//! `status --watch`: the nodes, their throughput and latency, links, leases and lag, looked at each second. q ends it.
use super::look::Source;
use crate::diagnosis::{Diagnosis, Level, Seen, diagnose};
use crate::metrics::{Metrics, Rates};
use crate::terminal::duration;
use anyhow::{Context, Result};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table, Wrap};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Seconds that the small pictures show.
const HISTORY: usize = 240;

/// What is on the screen.
#[derive(Default)]
struct Picture {
    seen: Vec<Seen>,
    diagnosis: Option<Diagnosis>,
    /// By name, of the last second.
    rates: BTreeMap<String, Rates>,
    /// Commits a second, by name, oldest first.
    commits: BTreeMap<String, VecDeque<u64>>,
    before: BTreeMap<String, (Instant, Metrics)>,
}

pub async fn watch(source: &Source) -> Result<()> {
    let mut picture = Picture::default();
    picture.look(source).await?;
    let mut terminal =
        ratatui::try_init().context("this is no terminal: `trivet status` without --watch prints once")?;
    let watched = run(source, &mut picture, &mut terminal).await;
    ratatui::restore();
    watched
}

async fn run(source: &Source, picture: &mut Picture, terminal: &mut ratatui::DefaultTerminal) -> Result<()> {
    loop {
        terminal.draw(|frame| picture.draw(frame)).context("cannot draw")?;
        let looked = Instant::now();
        while looked.elapsed() < LOOK_EVERY {
            let left = LOOK_EVERY.saturating_sub(looked.elapsed());
            // The terminal's events block: on a thread of their own.
            let wanted = tokio::task::spawn_blocking(move || wanted(left)).await.context("reading keys failed")??;
            match wanted {
                Wanted::Nothing => {}
                Wanted::End => return Ok(()),
                Wanted::Draw => drop(terminal.draw(|frame| picture.draw(frame)).context("cannot draw")?),
            }
        }
        picture.look(source).await?;
    }
}

enum Wanted {
    Nothing,
    Draw,
    End,
}

fn wanted(within: Duration) -> Result<Wanted> {
    if !event::poll(within).context("cannot read keys")? {
        return Ok(Wanted::Nothing);
    }
    Ok(match event::read().context("cannot read keys")? {
        Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
            KeyCode::Char('q') | KeyCode::Esc => Wanted::End,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wanted::End,
            _ => Wanted::Nothing,
        },
        Event::Resize(..) => Wanted::Draw,
        _ => Wanted::Nothing,
    })
}

impl Picture {
    async fn look(&mut self, source: &Source) -> Result<()> {
        let (seen, texts) = futures::future::try_join(source.look(), source.metrics()).await?;
        let now = Instant::now();
        for (node, text) in seen.iter().zip(texts) {
            let Some(metrics) = text.as_deref().map(Metrics::parse) else {
                self.before.remove(&node.name);
                self.rates.remove(&node.name);
                continue;
            };
            if let Some((at, before)) = self.before.get(&node.name) {
                let rates = Rates::between(before, &metrics, now.duration_since(*at));
                let commits = self.commits.entry(node.name.clone()).or_default();
                commits.push_back(rates.commits.round() as u64);
                while commits.len() > HISTORY {
                    commits.pop_front();
                }
                self.rates.insert(node.name.clone(), rates);
            }
            self.before.insert(node.name.clone(), (now, metrics));
        }
        self.diagnosis = Some(diagnose(&seen));
        self.seen = seen;
        Ok(())
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let Some(diagnosis) = &self.diagnosis else { return };
        let told = told(diagnosis);
        let height = u16::try_from(told.len()).unwrap_or(8) + 2;
        let regions: Vec<&Seen> = self.seen.iter().filter(|node| !is_witness(node)).collect();
        let [top, nodes, links, commits, foot] = Layout::vertical([
            Constraint::Length(height.min(12)),
            Constraint::Length(u16::try_from(self.seen.len()).unwrap_or(3) + 3),
            Constraint::Length(2 * u16::try_from(self.seen.len()).unwrap_or(3) + 3),
            Constraint::Min(4),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(
            Paragraph::new(told).wrap(Wrap { trim: false }).block(Block::bordered().title(" trivet ")),
            top,
        );
        frame.render_widget(self.nodes(), nodes);
        frame.render_widget(self.links(), links);
        self.draw_commits(frame, commits, &regions);
        frame.render_widget(Line::styled(" q ends; looks each second", Style::new().add_modifier(Modifier::DIM)), foot);
    }

    fn nodes(&self) -> Table<'_> {
        let header = [
            "",
            "state",
            "role",
            "commits/s",
            "p50",
            "p99",
            "statements/s",
            "sessions",
            "lease",
            "behind",
            "to apply",
            "fsync p99",
        ];
        let newest =
            self.seen.iter().filter_map(|node| node.status.as_ref()).map(|status| status.last).max().unwrap_or(0);
        let rows = self.seen.iter().map(|node| {
            let rates = self.rates.get(&node.name).cloned().unwrap_or_default();
            let rate = |value: f64| Cell::from(format!("{value:.0}"));
            let time = |value: Option<f64>| {
                Cell::from(value.map_or("-".into(), |seconds| duration(Duration::from_secs_f64(seconds))))
            };
            let Some(status) = &node.status else {
                let state = node.process.filter(|process| *process != "running").unwrap_or("no answer");
                return Row::new([Cell::from(node.name.clone()), Cell::from(state).style(Style::new().fg(Color::Red))]);
            };
            let witness = is_witness(node);
            let blank = || Cell::from("-").style(Style::new().add_modifier(Modifier::DIM));
            let lease = match status.lease.valid {
                true => Cell::from(format!("{:.0} ms", status.lease.remaining_ms)).style(Style::new().fg(Color::Green)),
                false => Cell::from("none").style(Style::new().fg(Color::Red)),
            };
            let role = if status.is_leader() { "leads".to_owned() } else { status.role.clone() };
            let mut cells = vec![Cell::from(node.name.clone()), state_cell(&status.health.state), Cell::from(role)];
            match witness {
                true => cells.extend((0..7).map(|_| blank())),
                false => cells.extend([
                    rate(rates.commits),
                    time(rates.commit_p50),
                    time(rates.commit_p99),
                    rate(rates.statements),
                    rate(rates.sessions),
                    lease,
                    Cell::from(format!("{} entries", newest.saturating_sub(status.commit))),
                ]),
            }
            cells.push(if witness { blank() } else { Cell::from(format!("{} KiB", status.apply_backlog_bytes >> 10)) });
            cells.push(time(rates.fsync_p99));
            Row::new(cells)
        });
        let widths = [8, 12, 9, 10, 9, 9, 13, 9, 8, 12, 10, 10].map(Constraint::Length);
        Table::new(rows, widths)
            .header(Row::new(header).style(Style::new().add_modifier(Modifier::DIM)))
            .block(Block::bordered().title(" nodes "))
    }

    fn links(&self) -> Table<'_> {
        let rows = self.seen.iter().flat_map(|node| {
            let links = node.status.iter().flat_map(|status| status.links.iter());
            links.map(|link| {
                let rtt = link.rtt_ms.map_or("-".into(), |ms| duration(Duration::from_secs_f64(ms.max(0.0) / 1e3)));
                let to =
                    self.seen.iter().filter_map(|other| other.status.as_ref()).find(|status| status.node == link.node);
                let rates =
                    self.rates.get(&node.name).zip(to).and_then(|(rates, to)| rates.sent.get(&to.id.to_string()));
                let sent = rates.map_or("-".into(), |bytes| format!("{:.1} kB/s", bytes / 1e3));
                let state = match (&link.trouble, link.connected) {
                    (None, true) => Cell::from("connected").style(Style::new().fg(Color::Green)),
                    (trouble, _) => {
                        let trouble = trouble.clone().unwrap_or_else(|| "not connected".into());
                        Cell::from(trouble).style(Style::new().fg(Color::Red))
                    }
                };
                let name = format!("{} > {}", node.name, link.node);
                Row::new([Cell::from(name), Cell::from(rtt), Cell::from(sent), state])
            })
        });
        let widths = [Constraint::Length(10), Constraint::Length(9), Constraint::Length(12), Constraint::Min(20)];
        Table::new(rows, widths)
            .header(Row::new(["", "rtt", "sends", ""]).style(Style::new().add_modifier(Modifier::DIM)))
            .block(Block::bordered().title(" links "))
    }

    fn draw_commits(&self, frame: &mut Frame<'_>, area: Rect, regions: &[&Seen]) {
        let areas = Layout::horizontal(regions.iter().map(|_| Constraint::Fill(1))).split(area);
        for (node, area) in regions.iter().zip(areas.iter()) {
            let all: Vec<u64> =
                self.commits.get(&node.name).map(|commits| commits.iter().copied().collect()).unwrap_or_default();
            let room = usize::from(area.width.saturating_sub(2));
            let shown = &all[all.len().saturating_sub(room)..];
            let title = format!(" {}: commits a second, at most {} ", node.name, shown.iter().max().unwrap_or(&0));
            let block = Block::bordered().title(title);
            frame.render_widget(
                Sparkline::default().data(shown).style(Style::new().fg(Color::Cyan)).block(block),
                *area,
            );
        }
    }
}

fn is_witness(node: &Seen) -> bool {
    node.status.as_ref().is_some_and(|status| status.kind == "witness") || (node.status.is_none() && node.name == "W")
}

fn state_cell(state: &str) -> Cell<'static> {
    let colour = if state == "serving" { Color::Green } else { Color::Yellow };
    Cell::from(state.to_owned()).style(Style::new().fg(colour))
}

fn told(diagnosis: &Diagnosis) -> Vec<Line<'static>> {
    let colour = match diagnosis.level {
        Level::Well => Color::Green,
        Level::Degraded => Color::Yellow,
        Level::Down => Color::Red,
    };
    let line = |what: &'static str, text: &str| {
        Line::from(vec![Span::styled(what, Style::new().add_modifier(Modifier::DIM)), Span::raw(text.to_owned())])
    };
    let mut lines =
        vec![Line::styled(diagnosis.headline.clone(), Style::new().fg(colour).add_modifier(Modifier::BOLD))];
    lines.extend(diagnosis.problems.iter().map(|problem| line("wrong      ", problem)));
    lines.push(line("next loss  ", &diagnosis.next_loss));
    lines.extend(diagnosis.advice.iter().map(|advice| line("do now     ", advice)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Health, NodeStatus};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    #[test]
    fn a_picture_fits_a_usual_terminal() {
        let status = NodeStatus {
            node: "A".into(),
            kind: "region".into(),
            role: "leader".into(),
            health: Health { state: "serving".into(), reason: String::new() },
            ..NodeStatus::default()
        };
        let seen = vec![
            Seen { name: "A".into(), status: Some(status), process: None },
            Seen { name: "B".into(), status: None, process: Some("gone") },
            Seen { name: "W".into(), status: None, process: None },
        ];
        let mut picture = Picture { diagnosis: Some(diagnose(&seen)), seen, ..Picture::default() };
        let rates = Rates { commits: 321.0, commit_p50: Some(0.0623), ..Rates::default() };
        picture.rates.insert("A".into(), rates);
        picture.commits.insert("A".into(), [100, 321].into());
        let mut terminal = Terminal::new(TestBackend::new(140, 40)).expect("a terminal in memory");
        terminal.draw(|frame| picture.draw(frame)).expect("drawn");
        let text = terminal.backend().to_string();
        for part in
            ["DEGRADED: A leads, A serves", "B does not run", "321", "62.3 ms", "at most 321", "no answer", "q ends"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
