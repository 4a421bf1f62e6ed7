//! A script on two sides, statement by statement, each waiting for both answers.
use crate::answer::{Agreement, Answer, Shown};
use crate::ledger::Ledger;
use crate::recorded::{self, Recorded};
use crate::script::{Script, Statement, is_ordered};
use crate::wire::{Connection, Target};
use anyhow::{Context, Result};
use std::collections::HashMap;

/// What PostgreSQL answers comes from here.
pub enum Expected<'a> {
    Live(Target),
    Recorded(&'a mut Recorded),
}

/// How one statement fared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Agrees(Agreement),
    /// It differs, and the ledger says why.
    Listed(String),
    /// It is identical, but the ledger says that it differs.
    NoLongerDiffers,
    /// No answer is recorded.
    NotCompared,
}

#[derive(Clone, Debug)]
pub struct Compared {
    pub statement: Statement,
    pub expected: Shown,
    pub found: Shown,
    pub outcome: Outcome,
}

/// A script's.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub file: String,
    pub statements: Vec<Compared>,
    /// Lines in the ledger at which no statement begins.
    pub orphans: Vec<usize>,
}

impl Comparison {
    pub fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.statements.iter().filter(|compared| wanted(&compared.outcome)).count()
    }

    /// What makes the run fail.
    pub fn failures(&self) -> impl Iterator<Item = &Compared> {
        self.statements.iter().filter(|compared| {
            matches!(
                compared.outcome,
                Outcome::Agrees(Agreement::Different | Agreement::Same) | Outcome::NoLongerDiffers
            )
        })
    }

    /// For machines without PostgreSQL.
    pub fn record(&self) -> String {
        let answers: Vec<_> = self
            .statements
            .iter()
            .map(|compared| (recorded::key(&compared.statement), compared.expected.clone()))
            .collect();
        recorded::write(&answers)
    }
}

/// A server's sessions, by name.
struct Sessions {
    target: Target,
    open: HashMap<String, Connection>,
    /// Statements that wait, by session: their place in the script.
    waiting: HashMap<String, usize>,
    answers: Vec<Answer>,
}

impl Sessions {
    fn new(target: Target, statements: usize) -> Sessions {
        let answers = vec![Answer::default(); statements];
        Sessions { target, open: HashMap::new(), waiting: HashMap::new(), answers }
    }

    async fn perform(&mut self, at: usize, statement: &Statement) -> Result<()> {
        self.finish(&statement.session).await?;
        if self.open.get(&statement.session).is_none_or(Connection::is_closed) {
            self.open.insert(statement.session.clone(), Connection::open(&self.target).await?);
        }
        let connection = self.open.get_mut(&statement.session).expect("opened just above");
        connection.send(&statement.sql, statement.copy_data.as_deref()).await?;
        if statement.waits {
            match connection.answer_now().await? {
                Some(answer) => self.answers[at] = answer,
                None => drop(self.waiting.insert(statement.session.clone(), at)),
            }
        } else {
            self.answers[at] = connection.answer().await?;
        }
        Ok(())
    }

    /// The answer of a statement that waited.
    async fn finish(&mut self, session: &str) -> Result<()> {
        if let Some(at) = self.waiting.remove(session) {
            let connection = self.open.get_mut(session).expect("it was sent a statement");
            self.answers[at] = connection.answer().await?;
        }
        Ok(())
    }

    async fn run(mut self, statements: &[Statement]) -> Result<Vec<Answer>> {
        for (at, statement) in statements.iter().enumerate() {
            self.perform(at, statement).await.with_context(|| format!("at line {}", statement.line))?;
        }
        let waiting: Vec<String> = self.waiting.keys().cloned().collect();
        for session in waiting {
            self.finish(&session).await?;
        }
        Ok(self.answers)
    }
}

pub async fn compare_file(
    script: &Script,
    expected: Expected<'_>,
    ours: Target,
    ledger: &Ledger,
) -> Result<Comparison> {
    let statements = &script.statements;
    let show = |answers: Vec<Answer>| -> Vec<Shown> {
        let shown = answers.iter().zip(statements).map(|(answer, statement)| answer.show(is_ordered(&statement.sql)));
        shown.collect()
    };
    let found = Sessions::new(ours, statements.len()).run(statements);
    let (expected, found) = match expected {
        Expected::Live(target) => {
            let theirs = Sessions::new(target, statements.len()).run(statements);
            let (expected, found) = tokio::join!(theirs, found);
            let expected = expected.with_context(|| format!("{} on PostgreSQL", script.name))?;
            (show(expected).into_iter().map(Some).collect::<Vec<_>>(), found)
        }
        Expected::Recorded(recorded) => {
            (statements.iter().map(|statement| recorded.take(statement)).collect(), found.await)
        }
    };
    let found = show(found.with_context(|| format!("{} here", script.name))?);
    let compared = statements.iter().zip(expected).zip(found).map(|((statement, expected), found)| {
        let reason = ledger.reason(&script.name, statement.line);
        let outcome = match (&expected, reason) {
            (None, _) => Outcome::NotCompared,
            (Some(expected), reason) => match (expected.agreement(&found), reason) {
                (Agreement::Identical, Some(_)) => Outcome::NoLongerDiffers,
                (Agreement::Identical, None) => Outcome::Agrees(Agreement::Identical),
                (_, Some(reason)) => Outcome::Listed(reason.to_owned()),
                (agreement, None) => Outcome::Agrees(agreement),
            },
        };
        Compared { statement: statement.clone(), expected: expected.unwrap_or_default(), found, outcome }
    });
    let lines: Vec<usize> = statements.iter().map(|statement| statement.line).collect();
    Ok(Comparison {
        file: script.name.clone(),
        statements: compared.collect(),
        orphans: ledger.orphans(&script.name, &lines),
    })
}
