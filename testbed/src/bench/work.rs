//! Closed-loop clients, and what they measured.
use crate::history::Code;
use crate::sql::Endpoint;
use crate::sql::{Failure, connect, within};
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rand::RngExt;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const WARM_UP: Duration = Duration::from_secs(1);
/// A client whose every statement fails shall not spin.
const AFTER_FAILURE: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statement {
    Update,
    Read,
    /// Of a row with a number and so many letters of the client's; the key is the server's.
    Insert {
        filler: usize,
    },
}

/// What one group of clients does.
#[derive(Clone, Debug)]
pub struct Work {
    pub address: Endpoint,
    pub clients: usize,
    pub statement: Statement,
    pub table: String,
    pub ids: Range<i32>,
}

#[derive(Clone, Debug)]
pub struct Samples {
    /// Microseconds of each success.
    latency: Histogram<u64>,
    errors: BTreeMap<Code, u64>,
    elapsed: Duration,
}

impl Samples {
    pub(super) fn new() -> Samples {
        let latency = Histogram::new_with_max(120_000_000, 3).expect("the bounds are in order");
        Samples { latency, errors: BTreeMap::new(), elapsed: Duration::ZERO }
    }

    pub(super) fn add(&mut self, other: Samples) {
        self.latency.add(other.latency).expect("both have the same bounds");
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// One statement, begun at `at`. `false`: it failed, and the connection is still of use.
    pub(super) fn take(&mut self, at: Instant, answer: Result<(), Failure>) -> Result<bool> {
        match answer {
            Ok(()) => {
                self.latency.saturating_record(at.elapsed().as_micros() as u64);
                Ok(true)
            }
            Err(Failure { broken: true, message, .. }) => {
                anyhow::bail!("a client of the bench lost its connection: {message}")
            }
            Err(failure) => {
                *self.errors.entry(failure.code).or_default() += 1;
                Ok(false)
            }
        }
    }

    pub(super) fn lasted(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    pub fn count(&self) -> u64 {
        self.latency.len()
    }

    pub fn per_second(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.count() as f64 / self.elapsed.as_secs_f64() }
    }

    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(quantile))
    }

    pub fn max(&self) -> Duration {
        Duration::from_micros(self.latency.max())
    }

    pub fn errors(&self) -> String {
        let told: Vec<String> = self.errors.iter().map(|(code, count)| format!("{} {count}x", code.0)).collect();
        if told.is_empty() { "none".into() } else { told.join(", ") }
    }
}

impl Serialize for Samples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            count: u64,
            per_second: f64,
            p50_us: u64,
            p90_us: u64,
            p99_us: u64,
            max_us: u64,
            errors: &'a BTreeMap<Code, u64>,
        }
        let at = |quantile| self.latency.value_at_quantile(quantile);
        Shown {
            count: self.count(),
            per_second: self.per_second(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            max_us: self.latency.max(),
            errors: &self.errors,
        }
        .serialize(serializer)
    }
}

/// Runs all groups at once, for a second of warm-up and then `seconds`; the answers in the same order.
pub async fn run(works: &[Work], seconds: u64) -> Result<Vec<Samples>> {
    let measured_from = Instant::now() + WARM_UP;
    let until = measured_from + Duration::from_secs(seconds);
    let groups = works.iter().map(async |work| -> Result<Samples> {
        let clients: Vec<_> =
            (0..work.clients).map(|_| tokio::spawn(client(work.clone(), measured_from, until))).collect();
        let mut all = Samples::new();
        for client in futures::future::join_all(clients).await {
            all.add(client.context("a client of the bench panicked")??);
        }
        Ok(all)
    });
    futures::future::join_all(groups).await.into_iter().collect()
}

async fn client(work: Work, measured_from: Instant, until: Instant) -> Result<Samples> {
    let session = connect(work.address, ANSWER_WITHIN).await.context("a client of the bench cannot connect")?;
    let text = match work.statement {
        Statement::Update => format!("UPDATE {} SET value = value + 1 WHERE id = $1", work.table),
        Statement::Read => format!("SELECT value FROM {} WHERE id = $1", work.table),
        Statement::Insert { .. } => format!("INSERT INTO {} (number, filler) VALUES ($1, $2)", work.table),
    };
    let statement = within(ANSWER_WITHIN, session.client.prepare(&text)).await?;
    let mut samples = Samples::new();
    loop {
        let begun = Instant::now();
        if begun >= until {
            samples.elapsed = until - measured_from;
            return Ok(samples);
        }
        let id = rand::rng().random_range(work.ids.clone());
        let answer = match work.statement {
            Statement::Update => within(ANSWER_WITHIN, session.client.execute(&statement, &[&id])).await,
            Statement::Insert { filler } => {
                let letters = letters(filler);
                within(ANSWER_WITHIN, session.client.execute(&statement, &[&id, &letters])).await
            }
            Statement::Read => {
                within(ANSWER_WITHIN, session.client.query(&statement, &[&id])).await.map(|rows| rows.len() as u64)
            }
        };
        let is_measured = begun >= measured_from;
        match answer {
            Ok(1) if is_measured => samples.latency.saturating_record(begun.elapsed().as_micros() as u64),
            Ok(1) => {}
            Ok(count) => anyhow::bail!("row {id} of the bench's table was there {count} times"),
            Err(Failure { broken: true, message, .. }) => {
                anyhow::bail!("a client of the bench lost its connection: {message}")
            }
            Err(failure) => {
                if is_measured {
                    *samples.errors.entry(failure.code).or_default() += 1;
                }
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// Each as likely as any other, so that LZ4 finds nothing in them.
fn letters(count: usize) -> String {
    let mut random = rand::rng();
    (0..count).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_clients_add_up() {
        let mut all = Samples::new();
        for client in 1..=2u64 {
            let mut samples = Samples::new();
            (0..50).for_each(|_| samples.latency.saturating_record(client * 1000));
            samples.errors.insert(Code::of("40001"), client);
            samples.elapsed = Duration::from_secs(2);
            all.add(samples);
        }
        assert_eq!(all.per_second(), 50.0);
        assert_eq!(all.errors(), "40001 3x");
        assert!((all.quantile(0.99).as_micros() as i64 - 2000).abs() <= 2);
    }
}
