//! Statements from a seed, asked of both sides, until one is answered differently; that one is made small.
//!
//! Statement `k` of seed `n` depends on both numbers only, so any one can be asked again by itself. Changes are taken back, so
//! statements do not depend on each other. What our side refuses as not supported (0A000) is counted, and is no difference.
mod data;
mod functions;
mod grammar;
mod more;
mod query;
mod shrink;
mod tree;
mod values;
mod wider;

pub use grammar::Coverage;

use crate::answer::{Agreement, Answer, Piece};
use crate::script::is_ordered;
use crate::wire::{Connection, Target};
use anyhow::{Context, Result, bail};
use grammar::Grammar;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tree::Node;

const UNSUPPORTED: &str = "0A000";
const CANCELED: &str = "57014";
/// A statement that takes longer is ended by its own side. One that does not even hear of that is given up on later.
const STATEMENT_WITHIN: &str = "set statement_timeout = '10s'";
/// Statements that shrinking may try, and how long it may take.
const TRIES_MAX: usize = 3000;
const SHRINK_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Which statements: from, and before.
    pub numbers: (u64, u64),
    /// Stop after so many differences.
    pub differences_max: usize,
}

#[derive(Debug)]
pub struct Difference {
    pub number: u64,
    pub original: String,
    pub shrunk: String,
    pub expected: String,
    pub found: String,
}

#[derive(Debug, Default)]
pub struct Report {
    pub asked: u64,
    pub coverage: Coverage,
    /// What was refused as not supported, and how often.
    pub unsupported: BTreeMap<String, usize>,
    /// Statements that PostgreSQL answers with an error: a generator's slips. The rest tells something.
    pub errors: BTreeMap<String, usize>,
    pub differences: Vec<Difference>,
}

/// What became of one statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Agrees,
    Unsupported,
    /// Both have rows.
    Rows,
    OnlyTheyFail,
    OnlyWeFail,
    /// With different codes.
    BothFail,
    /// Only PostgreSQL answers in time.
    TooSlow,
}

impl Verdict {
    fn differs(self) -> bool {
        !matches!(self, Verdict::Agrees | Verdict::Unsupported)
    }
}

struct Pair {
    targets: [Target; 2],
    theirs: Connection,
    ours: Connection,
}

impl Pair {
    async fn open(theirs: Target, ours: Target) -> Result<Pair> {
        let pair = Pair {
            theirs: connect(&theirs).await.context("PostgreSQL")?,
            ours: connect(&ours).await.context("our side")?,
            targets: [theirs, ours],
        };
        Ok(pair)
    }

    async fn ask(&mut self, sql: &str) -> Result<(Answer, Answer)> {
        let (theirs, ours) = tokio::join!(self.theirs.ask(sql), self.ours.ask(sql));
        let answers = (theirs.context("PostgreSQL")?, ours.context("our side")?);
        if self.theirs.is_closed() {
            self.theirs = connect(&self.targets[0]).await?;
        }
        if self.ours.is_closed() {
            self.ours = connect(&self.targets[1]).await?;
        }
        // A text of several statements that failed in the middle.
        if answers.0.status != Some('I') {
            self.theirs.ask("rollback").await?;
        }
        if answers.1.status != Some('I') {
            self.ours.ask("rollback").await?;
        }
        Ok(answers)
    }

    async fn judge(&mut self, sql: &str) -> Result<(Verdict, Answer, Answer)> {
        let (theirs, ours) = self.ask(sql).await?;
        let ordered = says_order(sql);
        let late = |answer: &Answer| {
            answer.pieces.contains(&Piece::NoAnswer) || answer.error().is_some_and(|error| error.code == CANCELED)
        };
        let verdict = match (theirs.error(), ours.error()) {
            // What takes both too long says nothing.
            _ if late(&theirs) => Verdict::Agrees,
            _ if late(&ours) => Verdict::TooSlow,
            (_, Some(error)) if error.code == UNSUPPORTED => Verdict::Unsupported,
            _ if theirs.show(ordered).agreement(&ours.show(ordered)) != Agreement::Different => Verdict::Agrees,
            // 0.0 and 0.00 are equal: which comes first, or stands for both, is nobody's business.
            _ if chooses_among_equals(sql) && scaled(&theirs).show(ordered) == scaled(&ours).show(ordered) => {
                Verdict::Agrees
            }
            (None, None) => Verdict::Rows,
            (Some(_), None) => Verdict::OnlyTheyFail,
            (None, Some(_)) => Verdict::OnlyWeFail,
            (Some(_), Some(_)) => Verdict::BothFail,
        };
        Ok((verdict, theirs, ours))
    }

    /// Makes the tables; says whether both have jsonb.
    async fn set_up(&mut self, seed: u64) -> Result<bool> {
        let (theirs, ours) = self.ask("select '{\"a\": 1}'::jsonb ->> 'a'").await?;
        let with_json = theirs.error().is_none() && ours.error().is_none();
        for sql in data::setup(seed, with_json) {
            let (theirs, ours) = self.ask(&sql).await?;
            if let Some(error) = theirs.error() {
                bail!("PostgreSQL refuses the tables: {error}: {sql}");
            }
            if let Some(error) = ours.error() {
                bail!("our side refuses the tables: {error}: {sql}");
            }
        }
        Ok(with_json)
    }

    /// The smallest statement that was found to differ in the same way.
    async fn shrink(&mut self, node: Node, verdict: Verdict) -> Result<Node> {
        let mut smallest = node;
        let mut tries = 0;
        let begun = Instant::now();
        if verdict == Verdict::TooSlow {
            return Ok(smallest);
        }
        'again: loop {
            let length = smallest.to_string().len();
            for candidate in shrink::candidates(&smallest) {
                let text = candidate.to_string();
                if text.len() >= length {
                    continue;
                }
                tries += 1;
                if tries > TRIES_MAX || begun.elapsed() > SHRINK_WITHIN {
                    return Ok(smallest);
                }
                if self.judge(&text).await?.0 == verdict {
                    smallest = candidate;
                    continue 'again;
                }
            }
            return Ok(smallest);
        }
    }
}

async fn connect(target: &Target) -> Result<Connection> {
    let mut connection = Connection::open(target).await?;
    if let Some(error) = connection.ask(STATEMENT_WITHIN).await?.error() {
        bail!("no limit of time: {error}");
    }
    Ok(connection)
}

/// A change's text goes on with a query that is ordered; what the change returns is not.
fn says_order(sql: &str) -> bool {
    !sql.starts_with("begin;") && is_ordered(sql)
}

fn chooses_among_equals(sql: &str) -> bool {
    ["order by", "distinct", "union", "intersect", "except", "group by"].iter().any(|words| sql.contains(words))
}

/// Without zeros at the end of decimal fractions.
fn scaled(answer: &Answer) -> Answer {
    let mut scaled = answer.clone();
    for piece in &mut scaled.pieces {
        let Piece::Row(fields) = piece else { continue };
        for field in fields.iter_mut().flatten() {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let is_decimal = field
                .trim_start_matches('-')
                .split_once('.')
                .is_some_and(|(whole, fraction)| digits(whole) && digits(fraction));
            if is_decimal {
                *field = field.trim_end_matches('0').trim_end_matches('.').to_owned();
            }
        }
    }
    scaled
}

/// Both targets are fresh databases. `step` is told how many were asked, after each.
pub async fn compare(theirs: Target, ours: Target, plan: Plan, step: impl Fn(u64)) -> Result<Report> {
    let mut pair = Pair::open(theirs, ours).await?;
    let with_json = pair.set_up(plan.seed).await?;
    let mut report = Report::default();
    for number in plan.numbers.0..plan.numbers.1 {
        let node = Grammar::new(plan.seed, number, with_json, &mut report.coverage).statement();
        let sql = node.to_string();
        let (verdict, theirs, ours) = pair.judge(&sql).await.with_context(|| format!("statement {number}: {sql}"))?;
        report.asked += 1;
        step(report.asked);
        if let Some(error) = theirs.error() {
            *report.errors.entry(format!("{} {}", error.code, error.message)).or_default() += 1;
        }
        if let (Verdict::Unsupported, Some(error)) = (verdict, ours.error()) {
            *report.unsupported.entry(error.message.clone()).or_default() += 1;
        }
        if verdict.differs() {
            let shrunk = pair.shrink(node, verdict).await?.to_string();
            let (_, theirs, ours) = pair.judge(&shrunk).await?;
            let ordered = says_order(&shrunk);
            let mut found = ours.show(ordered).to_string();
            if verdict == Verdict::TooSlow {
                let plan = pair.ours.ask(&format!("explain {shrunk}")).await?;
                found.push_str(&plan.show(true).to_string());
            }
            report.differences.push(Difference {
                number,
                original: sql,
                expected: theirs.show(ordered).to_string(),
                found,
                shrunk,
            });
            if report.differences.len() >= plan.differences_max {
                break;
            }
        }
    }
    Ok(report)
}

/// Without asking anybody: for looking at what a seed makes.
pub fn statements(plan: Plan) -> Vec<String> {
    let mut coverage = Coverage::default();
    let numbers = plan.numbers.0..plan.numbers.1;
    numbers.map(|number| Grammar::new(plan.seed, number, true, &mut coverage).statement().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_it_all() {
        let plan = Plan { seed: 7, numbers: (0, 300), differences_max: 1 };
        let all = statements(plan);
        assert_eq!(all, statements(plan));
        assert_eq!(all[123], statements(Plan { seed: 7, numbers: (123, 124), ..plan })[0]);
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert!(different.len() > 280, "{} of 300 differ", different.len());
    }

    #[test]
    fn equal_numbers_may_look_different() {
        let row = |field: &str| Answer { pieces: vec![Piece::Row(vec![Some(field.into())])], status: Some('I') };
        assert_eq!(scaled(&row("-1.50")), row("-1.5"));
        assert_eq!(scaled(&row("2.00")), row("2"));
        for same in ["100", "a.0", "1.0.0", "."] {
            assert_eq!(scaled(&row(same)), row(same));
        }
    }

    #[test]
    fn every_production_is_used() {
        let mut coverage = Coverage::default();
        for number in 0..20_000 {
            Grammar::new(1, number, true, &mut coverage).statement();
        }
        assert!(coverage.0.len() > 380, "{} productions", coverage.0.len());
        assert!(coverage.0.values().all(|count| *count >= 3), "{coverage:?}");
    }
}
