//! A table by area, one figure, and what differs.
use crate::answer::Agreement;
use crate::run::{Compared, Comparison, Outcome};
use comfy_table::{CellAlignment, Table, presets};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub statements: usize,
    pub identical: usize,
    /// But for words.
    pub same: usize,
    /// Differing for a reason that the ledger gives.
    pub listed: usize,
    pub different: usize,
    pub not_compared: usize,
}

impl Counts {
    pub fn of(comparison: &Comparison) -> Counts {
        let count = |wanted: fn(&Outcome) -> bool| comparison.count(wanted);
        Counts {
            statements: comparison.statements.len(),
            identical: count(|outcome| {
                matches!(outcome, Outcome::Agrees(Agreement::Identical) | Outcome::NoLongerDiffers)
            }),
            same: count(|outcome| *outcome == Outcome::Agrees(Agreement::Same)),
            listed: count(|outcome| matches!(outcome, Outcome::Listed(_))),
            different: count(|outcome| *outcome == Outcome::Agrees(Agreement::Different)),
            not_compared: count(|outcome| *outcome == Outcome::NotCompared),
        }
    }

    fn add(&mut self, other: Counts) {
        self.statements += other.statements;
        self.identical += other.identical;
        self.same += other.same;
        self.listed += other.listed;
        self.different += other.different;
        self.not_compared += other.not_compared;
    }

    /// Of what was compared.
    pub fn percent_identical(&self) -> f64 {
        let compared = self.statements - self.not_compared;
        if compared == 0 { 0.0 } else { 100.0 * self.identical as f64 / compared as f64 }
    }
}

pub fn total(comparisons: &[Comparison]) -> Counts {
    let mut total = Counts::default();
    comparisons.iter().for_each(|comparison| total.add(Counts::of(comparison)));
    total
}

/// By area, with a sum.
pub fn table(comparisons: &[Comparison]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["area", "statements", "identical", "but for words", "listed", "different", "not compared", "%"]);
    let mut row = |name: &str, counts: Counts| {
        table.add_row(vec![
            name.to_owned(),
            counts.statements.to_string(),
            counts.identical.to_string(),
            counts.same.to_string(),
            counts.listed.to_string(),
            counts.different.to_string(),
            counts.not_compared.to_string(),
            format!("{:.1}", counts.percent_identical()),
        ]);
    };
    for comparison in comparisons {
        row(comparison.file.trim_end_matches(".sql"), Counts::of(comparison));
    }
    row("all", total(comparisons));
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table.trim_fmt()
}

pub fn figure(comparisons: &[Comparison]) -> String {
    let total = total(comparisons);
    format!(
        "{:.1} % of {} statements are answered as PostgreSQL 15 answers them",
        total.percent_identical(),
        total.statements - total.not_compared
    )
}

/// What fails the run, at most `limit` statements in full.
pub fn failures(comparisons: &[Comparison], limit: usize) -> String {
    let mut text = String::new();
    let mut count = 0;
    for comparison in comparisons {
        for compared in comparison.failures() {
            count += 1;
            if count <= limit {
                text.push_str(&failure(&comparison.file, compared));
            }
        }
        for line in &comparison.orphans {
            text.push_str(&format!("{}:{line} is listed, but no statement begins there\n", comparison.file));
        }
    }
    if count > limit {
        text.push_str(&format!("and {} more\n", count - limit));
    }
    text
}

fn failure(file: &str, compared: &Compared) -> String {
    let place = format!("{file}:{}", compared.statement.line);
    if compared.outcome == Outcome::NoLongerDiffers {
        return format!("{place} no longer differs: take it off the list\n");
    }
    let Compared { statement, expected, found, .. } = compared;
    format!("{place} {}\n  PostgreSQL:\n{expected}  here:\n{found}", statement.sql)
}
