//! The HTML report of a run: one file that needs no other, a section for each drill.
use super::DrillReport;
use super::archive::{Line, Spread};
use super::chart::{Picture, draw};
use super::rolling::{self, RollingReport};
use crate::check::transactions::Judged;
use crate::drills::Side;
use crate::place::Place;
use crate::terminal::duration;
use anyhow::Result;
use std::fmt::Write;

const STYLE: &str = "
:root { --ink: #1f2733; --soft: #5c6675; --line: #e3e7ed; --a: #2563b4; --b: #d67814; --good: #1d7f4e; --bad: #c22f2f; }
body { margin: 0; background: #f5f6f8; color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 25px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 0; }
p { margin: 2px 0 10px; color: var(--soft); }
section, .card { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 18px 22px; margin: 20px 0; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 500; } th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
a { color: inherit; text-decoration-color: #b9c1cc; }
.head { display: flex; gap: 12px; align-items: baseline; }
.verdict { font-size: 12px; font-weight: 600; border-radius: 20px; padding: 1px 10px; color: #fff; white-space: nowrap; }
.passed { background: var(--good); } .failed { background: var(--bad); }
.timeline { width: 100%; height: auto; margin: 6px 0 2px; }
.key { font-size: 12.5px; color: var(--soft); margin: 0 0 10px; } .key i { display: inline-block; width: 22px; height: 9px; border-radius: 2px; margin: 0 5px 0 14px; }
pre { background: #fbf3f2; border: 1px solid #f0d5d2; border-radius: 8px; padding: 10px 14px; font-size: 12.5px; overflow-x: auto; white-space: pre-wrap; }
.wide { overflow-x: auto; } .wide + .wide { margin-top: 18px; } .deeds { font-size: 13px; margin-top: 12px; }
";

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn verdict(passed: bool) -> &'static str {
    match passed {
        true => "<span class=\"verdict passed\">passed</span>",
        false => "<span class=\"verdict failed\">FAILED</span>",
    }
}

fn row(kind: &str, cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("<{kind}>{cell}</{kind}>")).collect();
    format!("<tr>{}</tr>\n", cells.concat())
}

/// All of it. `sections` go below the table, in its order.
pub fn page(subtitle: &str, lines: &[Line], sections: &[String]) -> String {
    let failed = lines.iter().filter(|line| !line.passed).count();
    let told = match failed {
        0 if lines.len() == 1 => "One drill, and every promise held.".to_owned(),
        0 => format!("{} drills, and every promise held.", lines.len()),
        _ => format!("{failed} of {} drills found something broken.", lines.len()),
    };
    let header = ["drill", "", "writes away", "reads away", "acknowledged", "lost", "unknown", "histories", "took"];
    let mut table = row("th", &header.map(String::from));
    for line in lines {
        let name = escape(&line.name);
        table += &row(
            "td",
            &[
                format!("<a href=\"#{name}\">{name}</a>"),
                verdict(line.passed).into(),
                line.writes_away.clone(),
                line.reads_away.clone(),
                line.acknowledged.to_string(),
                line.lost.to_string(),
                line.unknown.to_string(),
                line.histories.clone(),
                format!("{:.0} s", line.seconds),
            ],
        );
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Trivet drills</title><style>{STYLE}</style></head><body><main>\n\
         <h1>Trivet drills</h1><p>{} {}</p>\n<div class=\"card wide\"><table>{table}</table></div>\n{}{}\n</main></body></html>\n",
        told,
        escape(subtitle),
        spreads(&Spread::of(lines)),
        sections.join("\n")
    )
}

fn spreads(spreads: &[Spread]) -> String {
    if spreads.is_empty() {
        return String::new();
    }
    let header =
        ["drill", "times", "failed", "lost", "writes away: p50", "p95", "worst", "reads away: p50", "p95", "worst"];
    let mut table = row("th", &header.map(String::from));
    for spread in spreads {
        let counts = [spread.times, spread.failed, spread.lost].map(|count| count.to_string());
        let cells = [escape(&spread.drill)].into_iter().chain(counts).chain(spread.times_told());
        table += &row("td", &cells.collect::<Vec<_>>());
    }
    format!("<div class=\"card wide\"><table>{table}</table></div>\n")
}

pub fn section(name: &str, report: &DrillReport) -> Result<String> {
    let picture = Picture {
        series: &report.series,
        bands: &report.bands,
        marks: &report.marks,
        fault: (report.phases.fault, report.phases.recovery),
        end: report.phases.end,
    };
    let mut html = String::new();
    let (id, title) = (escape(name), escape(&report.title));
    let _ = write!(html, "<section id=\"{id}\"><div class=\"head\"><h2>{id}</h2>{}</div>", verdict(report.passed));
    let rtt = report.rtt.map_or("unknown".into(), |rtt| duration(rtt.median()));
    let after = report.leader_after.map_or("none", Place::name);
    let _ = write!(
        html,
        "<p>{}. Round trip A-B {rtt}; leader {} &rarr; {after}; fault held {:.1} s.</p>",
        upper(&title),
        report.leader_before,
        report.phases.recovery.since(report.phases.fault).as_secs_f64()
    );
    html += &draw(&picture)?;
    html += "<p class=\"key\"><i style=\"background:#2563b4\"></i>region A<i style=\"background:#d67814\"></i>region B\
             <i style=\"background:#2563b4;height:13px\"></i>leads<i style=\"background:#c3d4ea\"></i>has a lease\
             <i style=\"background:#aeb5bf;height:2px;vertical-align:middle\"></i>answers<i style=\"background:#fbeaea\"></i>fault</p>";
    html += &regions(report);
    html += &histories(&report.histories);
    let deeds: Vec<String> = report.deeds.iter().map(|(kind, count)| format!("{kind} {}", count.done)).collect();
    let _ = write!(html, "<p class=\"deeds\">Workloads, done: {}.</p>", deeds.join(", "));
    if report.stalls.total_ms > 100 {
        let _ = write!(
            html,
            "<p>This machine stood still for {} ms at a time, {} ms in all; the bars allow for it.</p>",
            report.stalls.longest_ms, report.stalls.total_ms
        );
    }
    if !report.violations.is_empty() {
        let told: Vec<String> = report.violations.iter().map(|violation| escape(&violation.to_string())).collect();
        let _ = write!(html, "<pre>{}</pre>", told.join("\n\n"));
    }
    Ok(html + "</section>")
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn regions(report: &DrillReport) -> String {
    let header = ["region", "meanwhile", "writes", "away", "back", "strong reads", "away", "back", "errors"];
    let mut table = row("th", &header.map(String::from));
    for (region, measured) in &report.regions {
        let away = |away| match measured.side {
            Side::Serves | Side::Free => duration(away),
            Side::Refuses | Side::Gone => "&ndash;".into(),
        };
        let back = |back: Option<_>| back.map_or("never".into(), duration);
        let errors: Vec<String> =
            measured.errors.iter().map(|(code, count)| format!("{} {count}&times;", escape(&code.0))).collect();
        table += &row(
            "td",
            &[
                region.to_string(),
                measured.side.word().into(),
                measured.writes.done.to_string(),
                away(measured.writes.away),
                back(measured.writes.back),
                measured.reads.done.to_string(),
                away(measured.reads.away),
                back(measured.reads.back),
                if errors.is_empty() { "none".into() } else { errors.join(", ") },
            ],
        );
    }
    format!("<div class=\"wide\"><table>{table}</table></div>")
}

fn histories(judged: &[Judged]) -> String {
    let header = ["history", "judged under", "", "committed", "aborted", "unknown", "of which seen"];
    let mut table = row("th", &header.map(String::from));
    for one in judged {
        table += &row(
            "td",
            &[
                format!("<a href=\"{0}.edn\">{0}</a>", one.workload),
                one.level.into(),
                if one.clean {
                    "clean".into()
                } else {
                    format!("<b style=\"color:var(--bad)\">{} anomalies</b>", one.anomalies.len())
                },
                one.committed.to_string(),
                one.aborted.to_string(),
                (one.unknown + one.recovered).to_string(),
                one.recovered.to_string(),
            ],
        );
    }
    format!("<div class=\"wide\"><table>{table}</table></div>")
}

pub fn rolling_section(name: &str, report: &RollingReport) -> String {
    let header = [
        "restarted",
        "stop",
        "start",
        "clients of",
        "statements",
        "answered elsewhere",
        "failed",
        "writes pause",
        "reads pause",
    ];
    let mut table = row("th", &header.map(String::from));
    for restarted in &report.restarts {
        for (home, felt) in &restarted.clients {
            let ms = |value: f64| format!("{value:.0} ms");
            table += &row(
                "td",
                &[
                    format!("{}{}", restarted.node, if restarted.led { ", led" } else { "" }),
                    ms(restarted.stop_ms),
                    ms(restarted.start_ms),
                    home.to_string(),
                    felt.statements.to_string(),
                    felt.away.to_string(),
                    felt.failed.to_string(),
                    ms(felt.writes_pause_ms),
                    ms(felt.reads_pause_ms),
                ],
            );
        }
    }
    let bar = rolling::PAUSE_AT_MOST.as_millis();
    let broken = match report.violations.is_empty() {
        true => String::new(),
        false => format!("<pre>{}</pre>", escape(&report.violations.join("\n"))),
    };
    format!(
        "<section id=\"{0}\"><div class=\"head\"><h2>{0}</h2>{1}</div><p>Each node stopped in order and started again; no statement \
         may fail, and the other region's clients may wait for {bar} ms.</p><div class=\"wide\"><table>{table}</table></div>{broken}</section>",
        escape(name),
        verdict(report.passed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_no_other_file_and_shows_what_failed() {
        let line =
            |name: &str, passed| Line { name: name.into(), passed, writes_away: "1.2 s".into(), ..Line::default() };
        let html = page(
            "round trip <60 ms>",
            &[line("kill-leader", true), line("cut-regions", false)],
            &["<section/>".into()],
        );
        assert!(html.contains("1 of 2 drills found something broken. round trip &lt;60 ms&gt;"), "{html}");
        assert!(html.contains("<a href=\"#kill-leader\">kill-leader</a>"), "{html}");
        assert!(!html.contains("src=") && !html.contains("http"), "{html}");
    }
}
