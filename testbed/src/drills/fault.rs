//! Faults: how to inject one, how to see that it took hold, how to recover from it.
use crate::place::{Link, Place};
use crate::process::Condition;
use crate::testbed::Testbed;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::time::{Duration, Instant};
use trivet_netem::Direction;

/// Neighbours need some missed heartbeats to notice.
const TAKES_HOLD_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// SIGKILL.
    Kill(Vec<Place>),
    /// SIGSTOP.
    Pause(Place),
    /// Nothing passes, in either direction.
    Cut(Vec<Link>),
}

impl Fault {
    pub async fn inject(&self, testbed: &Testbed) -> Result<()> {
        match self {
            Fault::Kill(places) => {
                // All signals first: "at once" means that none sees another one's end.
                let killed = futures::future::join_all(places.iter().map(|place| testbed.kill(*place))).await;
                killed.into_iter().collect()
            }
            Fault::Pause(place) => testbed.pause(*place),
            Fault::Cut(links) => {
                let network = testbed.network()?;
                links.iter().try_for_each(|link| Ok(network.cut(&link.name(), Direction::Both)?))
            }
        }
    }

    /// Waits until the fault can be seen from outside, by processes, by netem, and by what the neighbours hear.
    pub async fn confirm(&self, testbed: &Testbed) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.is_there(testbed).await {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > TAKES_HOLD_WITHIN => {
                    return Err(error).context("the fault did not take hold");
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn is_there(&self, testbed: &Testbed) -> Result<()> {
        match self {
            Fault::Kill(places) => {
                for place in places {
                    expect_condition(testbed, *place, Condition::Gone)?;
                }
                neighbours_notice(testbed, places).await
            }
            Fault::Pause(place) => {
                expect_condition(testbed, *place, Condition::Paused)?;
                neighbours_notice(testbed, &[*place]).await
            }
            Fault::Cut(links) => {
                let shown = testbed.network()?.show()?;
                for link in links {
                    let status = shown.iter().find(|status| status.name == link.name());
                    let status = status.with_context(|| format!("netem knows no link {link}"))?;
                    if !(status.forward.settings.cut && status.backward.settings.cut) {
                        bail!("netem does not show {link} as cut");
                    }
                    for lane in link.lanes() {
                        if !testbed.status(lane.to).await?.has_lost(lane.from) {
                            bail!("{} still hears {}", lane.to, lane.from);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Undoes as much of the fault as is there: safe to call at any time, more than once.
    pub async fn recover(&self, testbed: &Testbed) -> Result<()> {
        match self {
            Fault::Kill(places) => places.iter().try_for_each(|place| match testbed.condition(*place)? {
                Condition::Gone => testbed.launch(*place),
                Condition::Running | Condition::Paused => Ok(()),
            }),
            Fault::Pause(place) => match testbed.condition(*place)? {
                Condition::Paused => testbed.resume(*place),
                Condition::Running | Condition::Gone => Ok(()),
            },
            Fault::Cut(links) => {
                let network = testbed.network()?;
                links.iter().try_for_each(|link| Ok(network.heal(&link.name(), Direction::Both)?))
            }
        }
    }

    /// For the timeline: what recovery is called.
    pub fn recovery(&self) -> String {
        match self {
            Fault::Kill(places) => format!("start {}", names(places)),
            Fault::Pause(place) => format!("resume {place}"),
            Fault::Cut(links) => format!("heal {}", names(links)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(places) => write!(f, "kill {}", names(places)),
            Fault::Pause(place) => write!(f, "pause {place}"),
            Fault::Cut(links) => write!(f, "cut {}", names(links)),
        }
    }
}

fn names<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn expect_condition(testbed: &Testbed, place: Place, expected: Condition) -> Result<()> {
    let found = testbed.condition(place)?;
    if found != expected {
        bail!("{place} is {found:?}, not {expected:?}");
    }
    Ok(())
}

async fn neighbours_notice(testbed: &Testbed, silent: &[Place]) -> Result<()> {
    for place in Place::ALL.into_iter().filter(|place| !silent.contains(place)) {
        let status = testbed.status(place).await?;
        if let Some(heard) = silent.iter().find(|other| !status.has_lost(**other)) {
            bail!("{place} still hears {heard}");
        }
    }
    Ok(())
}
