//! A running network of whichever backend the configuration names.
use crate::backend::{Backend, BackendKind};
use crate::config::{Config, ConfigError, LinkConfig, PlaceConfig};
use crate::handle::Control;
use crate::profile::Profile;
use crate::relay::{OpenError, Relay};
use crate::space::{SpaceError, within_path};
use crate::tc::TcNetwork;
use crate::tun::TunNetwork;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Dropping it ends it; every connection over it breaks.
#[derive(Debug)]
pub struct Network {
    control: Control,
    _moved_by: MovedBy,
}

#[derive(Debug)]
#[allow(dead_code, reason = "held, so that it runs")]
enum MovedBy {
    Relay(Relay),
    Tun(TunNetwork),
    Tc(TcNetwork),
}

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Relay(#[from] OpenError),
    #[error(transparent)]
    Space(#[from] SpaceError),
}

impl Network {
    /// When it returns, packets pass.
    pub fn open(config: &Config) -> Result<Network, NetworkError> {
        config.check()?;
        let with =
            |backend: Arc<dyn Backend>, moved_by| Network { control: Control::new(backend), _moved_by: moved_by };
        Ok(match config.backend {
            BackendKind::Relay => {
                let relay = Relay::open(config)?;
                Network { control: relay.control().clone(), _moved_by: MovedBy::Relay(relay) }
            }
            BackendKind::Tun => {
                let network = TunNetwork::open(config)?;
                with(network.backend(), MovedBy::Tun(network))
            }
            BackendKind::Tc => {
                let network = TcNetwork::open(config)?;
                with(network.backend(), MovedBy::Tc(network))
            }
        })
    }

    pub fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.control.stop_playing();
    }
}

/// Whether this backend works on this machine, for real: two places, a link of 2 ms, and a packet that must arrive, no
/// earlier. What was made for it is gone when it returns. Otherwise why it does not.
pub fn try_out(kind: BackendKind) -> Result<(), String> {
    const ASKED: Duration = Duration::from_millis(2);
    if kind == BackendKind::Relay {
        return Ok(());
    }
    let profile = Profile::round_trip("trial", 2 * ASKED, Duration::ZERO);
    let place = |name: &str, last| PlaceConfig { name: name.into(), address: Ipv4Addr::new(10, 83, 0, last) };
    let config = Config {
        backend: kind,
        places: vec![place("X", 1), place("Y", 2)],
        links: vec![LinkConfig::new("X-Y", &profile)],
        ..Config::default()
    };
    let network = Network::open(&config).map_err(|error| with_causes(&error))?;
    let places = network.control().places();
    let bind = |place: usize| {
        let address = SocketAddr::from((places[place].address, 0));
        within_path(&places[place].namespace, || UdpSocket::bind(address))
    };
    let sent = || -> io::Result<Duration> {
        let (from, to) = (bind(0)?, bind(1)?);
        to.set_read_timeout(Some(Duration::from_secs(2)))?;
        let begun = Instant::now();
        from.send_to(b"trial", to.local_addr()?)?;
        to.recv(&mut [0; 8])?;
        Ok(begun.elapsed())
    };
    match sent() {
        Ok(took) if took >= ASKED => Ok(()),
        Ok(took) => Err(format!("a packet came after {took:?}, earlier than the {ASKED:?} that were asked for")),
        Err(error) => Err(format!("a packet did not arrive: {error}")),
    }
}

/// What was asked for may be one backend, or the best that works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    One(BackendKind),
    Auto,
}

/// The backend, and why it is that one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chosen {
    pub kind: BackendKind,
    pub why: String,
}

impl Choice {
    /// Best first: the kernel's own is on time however busy the machine; a TUN device carries every protocol.
    const BEST_FIRST: [BackendKind; 3] = [BackendKind::Tc, BackendKind::Tun, BackendKind::Relay];

    /// Tries it out; an error says what the machine lacks.
    pub fn settle(self) -> Result<Chosen, String> {
        match self {
            Choice::One(kind) => match try_out(kind) {
                Ok(()) => Ok(Chosen { kind, why: "as asked".into() }),
                Err(why) => Err(format!("the network \"{kind}\" does not work here: {why}")),
            },
            Choice::Auto => {
                let mut refused = Vec::new();
                for kind in Choice::BEST_FIRST {
                    match try_out(kind) {
                        Ok(()) if refused.is_empty() => {
                            return Ok(Chosen { kind, why: "the best, and it works here".into() });
                        }
                        Ok(()) => return Ok(Chosen { kind, why: refused.join("; ") }),
                        Err(why) => refused.push(format!("{kind} does not work here: {why}")),
                    }
                }
                unreachable!("relays need nothing")
            }
        }
    }
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        match text {
            "auto" => Ok(Choice::Auto),
            _ => text.parse().map(Choice::One).map_err(|_| format!("'{text}' is none of relay, tun, tc and auto")),
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
