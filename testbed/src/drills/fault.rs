//! Faults: how to inject one, how to see that it took hold, how to recover from it.
//!
//! Some go on by themselves while they last (a link that flaps, a process that is held back): injecting one gives
//! something that ends it when it is dropped.
use super::disk;
use crate::place::{Lane, Link, Place};
use crate::process::Condition;
use crate::testbed::Testbed;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use trivet_netem::settings::LinkSettings;
use trivet_netem::{Chance, Change, Direction};

/// Neighbours need some missed heartbeats to notice.
const TAKES_HOLD_WITHIN: Duration = Duration::from_secs(3);
const HANDS_OVER_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// SIGKILL.
    Kill(Vec<Place>),
    /// SIGSTOP.
    Pause(Place),
    /// Nothing passes, in either direction.
    Cut(Vec<Link>),
    /// Nothing passes from the one to the other.
    CutLane(Lane),
    /// Cut and healed in turns, each for so long.
    Flap(Link, Duration),
    /// One way.
    Delay(Vec<Link>, Duration),
    Loss(Vec<Link>, Chance),
    /// The process runs for the first time of each turn, and is stopped for the second.
    Slow(Place, Duration, Duration),
    /// The leader hands over to the other region, as asked.
    HandOver,
    /// No room is left where the node keeps its data.
    FullDisk(Place),
}

/// Goes on until it is dropped.
#[derive(Debug, Default)]
pub struct Lasting(Option<JoinHandle<()>>);

impl Drop for Lasting {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

impl Fault {
    pub async fn inject(&self, testbed: &Testbed) -> Result<Lasting> {
        match self {
            Fault::Kill(places) => {
                // All signals first: "at once" means that none sees another one's end.
                let killed = futures::future::join_all(places.iter().map(|place| testbed.kill(*place))).await;
                killed.into_iter().collect::<Result<()>>()?;
            }
            Fault::Pause(place) => testbed.pause(*place)?,
            Fault::Cut(links) => {
                let network = testbed.network()?;
                for link in links {
                    network.cut(&link.name(), Direction::Both)?;
                }
            }
            Fault::CutLane(lane) => testbed.network()?.cut(&lane.link().name(), lane.direction())?,
            Fault::Flap(link, each) => {
                let (network, name, each) = (testbed.network()?, link.name(), *each);
                return Ok(Lasting(Some(tokio::spawn(async move {
                    for turn in 0u64.. {
                        let change = if turn.is_multiple_of(2) { Change::Cut } else { Change::Heal };
                        if network.change(&name, Direction::Both, change).is_err() {
                            return;
                        }
                        tokio::time::sleep(each).await;
                    }
                }))));
            }
            Fault::Delay(links, delay) => change(testbed, links, &Change::Delay(*delay))?,
            Fault::Loss(links, loss) => change(testbed, links, &Change::Loss(*loss))?,
            Fault::Slow(place, runs, stops) => {
                let process = testbed.process(*place)?.with_context(|| format!("{place} does not run"))?;
                let (runs, stops) = (*runs, *stops);
                return Ok(Lasting(Some(tokio::spawn(async move {
                    while process.signal(rustix::process::Signal::STOP).is_ok() {
                        tokio::time::sleep(stops).await;
                        if process.signal(rustix::process::Signal::CONT).is_err() {
                            return;
                        }
                        tokio::time::sleep(runs).await;
                    }
                }))));
            }
            Fault::HandOver => drop(testbed.hand_over(HANDS_OVER_WITHIN).await?),
            Fault::FullDisk(place) => {
                disk::fill(&testbed.directory().data(*place))?;
                if let Some(endpoint) = testbed.endpoints()?.get(place) {
                    return Ok(Lasting(Some(tokio::spawn(disk::press(*endpoint)))));
                }
            }
        }
        Ok(Lasting::default())
    }

    /// What must be arranged before the load begins.
    pub async fn arrange(&self, testbed: &Testbed) -> Result<()> {
        match self {
            Fault::FullDisk(place) => disk::make_small(testbed, *place).await,
            _ => Ok(()),
        }
    }

    /// Undoes that, and keeps the data.
    pub async fn tidy(&self, testbed: &Testbed) -> Result<()> {
        match self {
            Fault::FullDisk(place) => {
                disk::make_large(testbed, *place).await?;
                disk::forget_press(testbed).await
            }
            _ => Ok(()),
        }
    }

    /// Waits until the fault can be seen from outside, by processes, by netem, and by what the neighbours hear.
    pub async fn confirm(&self, testbed: &Testbed) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.is_there(testbed).await {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > self.takes_hold_within() => {
                    return Err(error).context("the fault did not take hold");
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    fn takes_hold_within(&self) -> Duration {
        match self {
            Fault::FullDisk(_) => disk::FELT_WITHIN,
            _ => TAKES_HOLD_WITHIN,
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
                for lane in links.iter().flat_map(|link| link.lanes()) {
                    is_cut(testbed, lane).await?;
                }
                Ok(())
            }
            Fault::CutLane(lane) => is_cut(testbed, *lane).await,
            Fault::Flap(link, _) => expect_settings(testbed, &[*link], "cut", |settings| settings.cut),
            Fault::Delay(links, delay) => {
                expect_settings(testbed, links, "delayed", |settings| settings.delay == *delay)
            }
            Fault::Loss(links, loss) => expect_settings(testbed, links, "lossy", |settings| settings.loss == *loss),
            Fault::Slow(place, _, _) => expect_condition(testbed, *place, Condition::Paused),
            // Injecting it waits for the other leader.
            Fault::HandOver => Ok(()),
            // The witness writes so little that it may not notice; a region is made to.
            Fault::FullDisk(Place::W) => disk::expect_full(&testbed.directory().data(Place::W)),
            Fault::FullDisk(place) => expect_condition(testbed, *place, Condition::Gone),
        }
    }

    /// Undoes as much of the fault as is there: safe to call at any time, more than once. What lasts must have been
    /// dropped before.
    pub async fn recover(&self, testbed: &Testbed) -> Result<()> {
        match self {
            Fault::Kill(places) => places.iter().try_for_each(|place| start_if_gone(testbed, *place)),
            Fault::Pause(place) | Fault::Slow(place, _, _) => match testbed.condition(*place)? {
                Condition::Paused => testbed.resume(*place),
                Condition::Running | Condition::Gone => Ok(()),
            },
            Fault::Cut(links) => {
                let network = testbed.network()?;
                links.iter().try_for_each(|link| Ok(network.heal(&link.name(), Direction::Both)?))
            }
            Fault::CutLane(lane) => Ok(testbed.network()?.heal(&lane.link().name(), lane.direction())?),
            Fault::Flap(link, _) => Ok(testbed.network()?.heal(&link.name(), Direction::Both)?),
            Fault::Delay(links, _) | Fault::Loss(links, _) => change(testbed, links, &Change::Restore),
            Fault::HandOver => Ok(()),
            Fault::FullDisk(place) => {
                disk::empty(&testbed.directory().data(*place))?;
                // A node may end where it cannot write.
                start_if_gone(testbed, *place)
            }
        }
    }

    /// For the timeline: what recovery is called.
    pub fn recovery(&self) -> String {
        match self {
            Fault::Kill(places) => format!("start {}", names(places)),
            Fault::Pause(place) => format!("resume {place}"),
            Fault::Cut(links) => format!("heal {}", names(links)),
            Fault::CutLane(lane) => format!("heal {} to {}", lane.from, lane.to),
            Fault::Flap(link, _) => format!("heal {link}"),
            Fault::Delay(_, _) => "near again".into(),
            Fault::Loss(_, _) => "no loss".into(),
            Fault::Slow(place, _, _) => format!("let {place} run"),
            Fault::HandOver => "end".into(),
            Fault::FullDisk(place) => format!("room for {place}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(places) => write!(f, "kill {}", names(places)),
            Fault::Pause(place) => write!(f, "pause {place}"),
            Fault::Cut(links) => write!(f, "cut {}", names(links)),
            Fault::CutLane(lane) => write!(f, "cut {} to {}", lane.from, lane.to),
            Fault::Flap(link, each) => write!(f, "flap {link} each {} ms", each.as_millis()),
            Fault::Delay(links, delay) => write!(f, "{} ms round trip on {}", 2 * delay.as_millis(), names(links)),
            Fault::Loss(links, loss) => write!(f, "{loss} loss on {}", names(links)),
            Fault::Slow(place, runs, stops) => {
                write!(f, "{place} runs {} of {} ms", runs.as_millis(), (*runs + *stops).as_millis())
            }
            Fault::HandOver => f.write_str("hand over"),
            Fault::FullDisk(place) => write!(f, "disk of {place} full"),
        }
    }
}

fn names<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn change(testbed: &Testbed, links: &[Link], change: &Change) -> Result<()> {
    let network = testbed.network()?;
    links.iter().try_for_each(|link| Ok(network.change(&link.name(), Direction::Both, change.clone())?))
}

fn start_if_gone(testbed: &Testbed, place: Place) -> Result<()> {
    match testbed.condition(place)? {
        Condition::Gone => testbed.launch(place),
        Condition::Running | Condition::Paused => Ok(()),
    }
}

fn expect_condition(testbed: &Testbed, place: Place, expected: Condition) -> Result<()> {
    let found = testbed.condition(place)?;
    if found != expected {
        bail!("{place} is {found:?}, not {expected:?}");
    }
    Ok(())
}

fn expect_settings(
    testbed: &Testbed,
    links: &[Link],
    word: &str,
    as_expected: impl Fn(&LinkSettings) -> bool,
) -> Result<()> {
    let shown = testbed.network()?.show()?;
    for link in links {
        let status = shown.iter().find(|status| status.name == link.name());
        let status = status.with_context(|| format!("netem knows no link {link}"))?;
        if ![&status.forward, &status.backward].into_iter().all(|lane| as_expected(&lane.settings)) {
            bail!("netem does not show {link} as {word}");
        }
    }
    Ok(())
}

async fn is_cut(testbed: &Testbed, lane: Lane) -> Result<()> {
    let shown = testbed.network()?.show()?;
    let status = shown.iter().find(|status| status.name == lane.link().name());
    let status = status.with_context(|| format!("netem knows no link {}", lane.link()))?;
    let way = if lane.direction() == Direction::Forward { &status.forward } else { &status.backward };
    if !way.settings.cut {
        bail!("netem does not show {lane} as cut");
    }
    if !testbed.status(lane.to).await?.has_lost(lane.from) {
        bail!("{} still hears {}", lane.to, lane.from);
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
