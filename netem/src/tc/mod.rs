//! The `tc` backend: a network namespace for each place, a veth pair for each link, and the kernel's own `tc netem`.
//!
//! ```text
//!   namespace A   10.83.0.1 on lo      to-B ==== veth pair ==== to-A      10.83.0.2 on lo   namespace B
//!                                      netem: A to B            netem: B to A
//! ```
//!
//! What one way of a link is asked for is the queueing discipline of the sender's device. This process only gives
//! orders; the kernel moves the packets, on time however busy the machine is.
//!
//! Counters come from the kernel, which counts what it dropped and not why: drops are put down to what was set when
//! they happened (a cut, else loss, else overflow). It does not say how late packets were, nor what it duplicated.
mod discipline;

use crate::backend::{Backend, BackendKind};
use crate::config::{Config, LinkConfig};
use crate::control::{Change, ControlError, LaneStatus, Lateness, LinkStatus, PlaceStatus, RouteStatus};
use crate::settings::{Direction, LinkSettings, Way};
use crate::space::{Entry, Space, SpaceError, ToolError, run};
use crate::table::unknown_link;
use discipline::{Counters, arguments, counters};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct TcNetwork {
    shared: Arc<TcShared>,
    _entries: Vec<Entry>,
}

#[derive(Debug)]
struct TcShared {
    spaces: Vec<Arc<Space>>,
    /// Taken for a change and for a look: what the kernel counted is read before what it shall do is changed.
    links: Mutex<Vec<TcLink>>,
}

#[derive(Debug)]
struct TcLink {
    name: String,
    lanes: [TcLane; 2],
}

/// One way of a link: the device of the sending place.
#[derive(Debug)]
struct TcLane {
    space: Arc<Space>,
    device: String,
    initial: LinkSettings,
    settings: LinkSettings,
    seen: Counters,
    dropped_by_cut: u64,
    dropped_by_loss: u64,
    dropped_by_overflow: u64,
}

impl TcNetwork {
    pub fn open(config: &Config) -> Result<TcNetwork, SpaceError> {
        let spaces: Vec<Arc<Space>> = Space::create_all(config)?.into_iter().map(Arc::new).collect();
        for space in &spaces {
            space.within(|| Ok::<_, SpaceError>(run("ip", &format!("addr add {}/32 dev lo", space.address))?))?;
        }
        let links = config.links.iter().zip(0..).map(|(link, number)| TcLink::create(link, number, &spaces));
        let links = links.collect::<Result<Vec<_>, SpaceError>>()?;
        let entries = Entry::open_all(&config.entries, &spaces)?;
        Ok(TcNetwork { shared: Arc::new(TcShared { spaces, links: Mutex::new(links) }), _entries: entries })
    }

    pub fn backend(&self) -> Arc<dyn Backend> {
        self.shared.clone()
    }
}

impl TcLink {
    fn create(config: &LinkConfig, number: usize, spaces: &[Arc<Space>]) -> Result<TcLink, SpaceError> {
        let (near, far) = config.ends().expect("checked: a link has two ends");
        let space = |name: &str| spaces.iter().find(|space| space.name == name).expect("checked: an end is a place");
        let (near, far) = (space(near), space(far));
        // Known to both without asking: a question could be lost like everything else.
        let mac = |end: usize| format!("02:54:00:00:{number:02x}:{end:02x}");
        near.within(|| {
            let line = format!(
                "link add name to-{} address {} type veth peer name to-{} address {} netns {}",
                far.name,
                mac(0),
                near.name,
                mac(1),
                far.path().display()
            );
            Ok::<_, SpaceError>(run("ip", &line)?)
        })?;
        let lane = |from: &Arc<Space>, to: &Arc<Space>, to_mac: String, settings: &LinkSettings| {
            let device = format!("to-{}", to.name);
            from.within(|| {
                run("ip", &format!("link set {device} up"))?;
                run("ip", &format!("neigh replace {} lladdr {to_mac} dev {device} nud permanent", to.address))?;
                run("ip", &format!("route add {} dev {device} src {}", to.address, from.address))?;
                let line = format!("qdisc add dev {device} root {}", arguments(settings));
                match run("tc", &line) {
                    Err(ToolError::Failed { said, .. }) if said.contains("qdisc kind is unknown") => {
                        Err(SpaceError::NoNetem)
                    }
                    other => Ok(other.map(drop)?),
                }
            })?;
            Ok::<_, SpaceError>(TcLane {
                space: from.clone(),
                device,
                initial: settings.clone(),
                settings: settings.clone(),
                seen: Counters::default(),
                dropped_by_cut: 0,
                dropped_by_loss: 0,
                dropped_by_overflow: 0,
            })
        };
        let lanes = [lane(near, far, mac(1), &config.forward)?, lane(far, near, mac(0), &config.backward)?];
        Ok(TcLink { name: config.name.clone(), lanes })
    }
}

impl TcLane {
    /// Takes in what the kernel has counted since the last look.
    fn look(&mut self, now: Counters) {
        let dropped = now.drops.saturating_sub(self.seen.drops);
        if self.settings.cut {
            self.dropped_by_cut += dropped;
        } else if self.settings.loss > crate::settings::Chance::NEVER {
            self.dropped_by_loss += dropped;
        } else {
            self.dropped_by_overflow += dropped;
        }
        self.seen = now;
    }

    fn change(&mut self, change: &Change) -> Result<(), ToolError> {
        let settings = change.apply(&self.settings, &self.initial);
        let line = format!("qdisc change dev {} root {}", self.device, arguments(&settings));
        run("tc", &line)?;
        self.settings = settings;
        Ok(())
    }

    fn status(&self) -> LaneStatus {
        let dropped = self.dropped_by_cut + self.dropped_by_loss + self.dropped_by_overflow;
        LaneStatus {
            settings: self.settings.clone(),
            // The kernel counts at the far end of the queue.
            packets: self.seen.packets + self.seen.waiting + dropped,
            bytes: self.seen.bytes,
            delivered: self.seen.packets,
            dropped_by_cut: self.dropped_by_cut,
            dropped_by_loss: self.dropped_by_loss,
            dropped_by_overflow: self.dropped_by_overflow,
            duplicated: 0,
            late: Lateness::default(),
        }
    }
}

impl TcShared {
    /// What each device of a place has counted.
    fn counted(space: &Space) -> Result<HashMap<String, Counters>, SpaceError> {
        space.within(|| Ok(counters(&run("tc", "-s -j qdisc show")?)?))
    }
}

fn refused(error: SpaceError) -> ControlError {
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    ControlError::Refused(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
}

impl Backend for TcShared {
    fn kind(&self) -> BackendKind {
        BackendKind::Tc
    }

    fn change(&self, link: &str, direction: Direction, change: &Change) -> Result<(), ControlError> {
        let mut links = self.links.lock();
        let Some(place) = links.iter().position(|known| known.name == link) else {
            return Err(unknown_link(link, links.iter().map(|known| known.name.as_str())));
        };
        for &way in direction.ways() {
            let lane = &mut links[place].lanes[way.slot()];
            let (space, device) = (lane.space.clone(), lane.device.clone());
            space
                .within(|| {
                    // Asked for one device, tc does not say which it shows.
                    let counted = counters(&run("tc", "-s -j qdisc show")?)?;
                    lane.look(counted.get(&device).copied().unwrap_or(lane.seen));
                    Ok(lane.change(change)?)
                })
                .map_err(refused)?;
        }
        Ok(())
    }

    fn show(&self) -> Result<Vec<LinkStatus>, ControlError> {
        let mut links = self.links.lock();
        let mut counted = HashMap::new();
        for space in &self.spaces {
            counted.insert(space.name.clone(), TcShared::counted(space).map_err(refused)?);
        }
        for lane in links.iter_mut().flat_map(|link| &mut link.lanes) {
            let now = counted[&lane.space.name].get(&lane.device).copied().unwrap_or(lane.seen);
            lane.look(now);
        }
        let status = |link: &TcLink| LinkStatus {
            name: link.name.clone(),
            backend: self.kind().name().to_owned(),
            forward: link.lanes[Way::Forward.slot()].status(),
            backward: link.lanes[Way::Backward.slot()].status(),
        };
        Ok(links.iter().map(status).collect())
    }

    fn routes(&self) -> Vec<RouteStatus> {
        Vec::new()
    }

    fn places(&self) -> Vec<PlaceStatus> {
        self.spaces.iter().map(|space| space.status()).collect()
    }
}
