//! Who led and who had a lease while a drill ran: each node is asked for its status all the time.
//!
//! A node that does not answer is neither. The bands are as fine as the questions: what lasts for less than a tenth of a
//! second may be missing.
use crate::history::{History, Moment};
use crate::place::Place;
use crate::status;
use crate::testbed::Testbed;
use anyhow::Result;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_millis(100);
/// Longer, and what is asked next would be late.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Answers,
    Lease,
    Leads,
}

/// A node was so, from a moment to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Band {
    pub place: Place,
    pub state: State,
    pub from: Moment,
    pub to: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    place: Place,
    at: Moment,
    answers: bool,
    lease: bool,
    leads: bool,
}

#[derive(Debug)]
pub struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    pub fn start(testbed: &Testbed, history: &History) -> Result<Watch> {
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let addresses = testbed.state()?.addresses.http;
        let tasks = addresses.into_iter().map(|(place, address)| {
            let (samples, clock) = (samples.clone(), history.clone());
            tokio::spawn(async move {
                loop {
                    let at = clock.now();
                    let status = status::fetch(address, ANSWERS_WITHIN).await.ok();
                    let leads = status.as_ref().is_some_and(|status| status.is_leader());
                    let lease = status.as_ref().is_some_and(|status| status.lease.valid);
                    samples.lock().push(Sample { place, at, answers: status.is_some(), lease, leads });
                    tokio::time::sleep(EVERY).await;
                }
            })
        });
        Ok(Watch { tasks: tasks.collect(), samples })
    }

    pub fn bands(&self, end: Moment) -> Vec<Band> {
        bands(&self.samples.lock(), end)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn bands(samples: &[Sample], end: Moment) -> Vec<Band> {
    let mut bands = Vec::new();
    for place in Place::ALL {
        let own: Vec<&Sample> = samples.iter().filter(|sample| sample.place == place && sample.at <= end).collect();
        type Is = fn(&Sample) -> bool;
        let states: [(State, Is); 3] = [
            (State::Answers, |sample| sample.answers),
            (State::Lease, |sample| sample.lease),
            (State::Leads, |sample| sample.leads),
        ];
        for (state, is_so) in states {
            let mut open: Option<Moment> = None;
            for sample in &own {
                match (open, is_so(sample)) {
                    (None, true) => open = Some(sample.at),
                    (Some(from), false) => {
                        bands.push(Band { place, state, from, to: sample.at });
                        open = None;
                    }
                    _ => {}
                }
            }
            bands.extend(open.map(|from| Band { place, state, from, to: end }));
        }
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_become_bands() {
        let sample = |at, leads| Sample { place: Place::A, at: Moment(at), answers: true, lease: leads, leads };
        let samples = [sample(0, true), sample(10, true), sample(20, false), sample(30, true), sample(99, false)];
        let found = bands(&samples, Moment(50));
        let of = |state| {
            let own = found.iter().filter(|band| band.state == state);
            own.map(|band| (band.from.0, band.to.0)).collect::<Vec<_>>()
        };
        assert_eq!(of(State::Leads), [(0, 20), (30, 50)]);
        assert_eq!(of(State::Answers), [(0, 50)]);
    }
}
