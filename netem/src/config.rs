//! What a backend is started with: links, and the routes that run over them. Read from TOML or JSON.
//!
//! ```toml
//! seed = 7
//!
//! [[link]]
//! name = "A-B"                    # forward is from A to B
//! profile = "cross-country"       # or settings of each way:
//! # forward = { delay = "31ms", jitter = "1ms" }
//! # backward = { delay = "31ms" }
//!
//! [[route]]                       # backend relay: A reaches B's 7001 by sending to 9001; answers travel the other way
//! link = "A-B"
//! way = "forward"
//! transport = "udp"
//! listen = "127.0.0.1:9001"       # port 0: any; ask `routes` which
//! target = "127.0.0.1:7001"
//! ```
//!
//! With `backend = "tun"` or `"tc"` there are places and entries instead of routes, and links are named by places:
//!
//! ```toml
//! backend = "tun"
//! [[place]]
//! name = "A"
//! address = "10.83.0.1"
//! [[entry]]                       # the host reaches A's 5433 by its own
//! place = "A"
//! listen = "127.0.0.1:5433"
//! target = "127.0.0.1:5433"
//! ```
use crate::backend::BackendKind;
use crate::profile::Profile;
use crate::settings::{LinkSettings, Way};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// All luck is drawn from it; the same seed meets the same packets with the same fates.
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub backend: BackendKind,
    /// Of `tun` and `tc`: who has a network namespace.
    #[serde(rename = "place", default)]
    pub places: Vec<PlaceConfig>,
    #[serde(rename = "link", default)]
    pub links: Vec<LinkConfig>,
    /// Of `relay`.
    #[serde(rename = "route", default)]
    pub routes: Vec<RouteConfig>,
    /// Of `tun` and `tc`: how the host, and TCP from other places, gets in.
    #[serde(rename = "entry", default)]
    pub entries: Vec<EntryConfig>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceConfig {
    pub name: String,
    /// All within one network of 24 bits.
    pub address: Ipv4Addr,
}

/// A TCP listener whose connections go on to `target` in the place's namespace, at once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryConfig {
    pub place: String,
    pub listen: SocketAddr,
    /// Whether it listens in the place's namespace; else on the host.
    #[serde(default)]
    pub inside: bool,
    pub target: SocketAddr,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "LinkText")]
pub struct LinkConfig {
    pub name: String,
    pub forward: LinkSettings,
    pub backward: LinkSettings,
}

impl LinkConfig {
    /// The places at its ends, near and far, if its name says: "A-B".
    pub fn ends(&self) -> Option<(&str, &str)> {
        self.name.split_once('-').filter(|(near, far)| near != far)
    }

    pub fn new(name: &str, profile: &Profile) -> LinkConfig {
        LinkConfig { name: name.to_owned(), forward: profile.forward.clone(), backward: profile.backward.clone() }
    }
}

/// As written: a profile, then what differs from it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkText {
    name: String,
    profile: Option<String>,
    forward: Option<LinkSettings>,
    backward: Option<LinkSettings>,
}

impl TryFrom<LinkText> for LinkConfig {
    type Error = ConfigError;

    fn try_from(text: LinkText) -> Result<LinkConfig, ConfigError> {
        let profile = text.profile.as_deref().unwrap_or("none");
        let profile: Profile = profile.parse().map_err(|error| ConfigError::Wrong(format!("{error}")))?;
        Ok(LinkConfig {
            name: text.name,
            forward: text.forward.unwrap_or(profile.forward),
            backward: text.backward.unwrap_or(profile.backward),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

/// What a cut does to TCP connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCut {
    /// Bytes wait, and flow on after the cut, as TCP's own retransmissions would make them.
    #[default]
    Hold,
    /// Both ends see a reset at once, as if a middlebox had lost its state.
    Reset,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    pub link: String,
    /// The direction in which the listener's clients send.
    pub way: Way,
    pub transport: Transport,
    pub listen: SocketAddr,
    pub target: SocketAddr,
    #[serde(default)]
    pub on_cut: OnCut,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not a netem configuration", path.display())]
    Toml { path: PathBuf, source: toml::de::Error },
    #[error("{} is not a netem configuration", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{0}")]
    Wrong(String),
}

impl Config {
    /// JSON if the name ends so, TOML otherwise.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Config = if path.extension().is_some_and(|extension| extension == "json") {
            serde_json::from_str(&text).map_err(|source| ConfigError::Json { path: path.to_owned(), source })?
        } else {
            toml::from_str(&text).map_err(|source| ConfigError::Toml { path: path.to_owned(), source })?
        };
        config.check()?;
        Ok(config)
    }

    /// As TOML, for [`Config::read`].
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration has only string keys")
    }

    /// Every link has its own name, every route a link, every end and entry a place.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut names = HashSet::new();
        for link in &self.links {
            if !names.insert(link.name.as_str()) {
                return Err(ConfigError::Wrong(format!("two links are named \"{}\"", link.name)));
            }
        }
        for route in &self.routes {
            if !names.contains(route.link.as_str()) {
                return Err(ConfigError::Wrong(format!(
                    "the route at {} runs over \"{}\", which is no link",
                    route.listen, route.link
                )));
            }
        }
        if self.backend.has_places() { self.check_places() } else { self.check_no_places() }
    }

    fn check_no_places(&self) -> Result<(), ConfigError> {
        if self.places.is_empty() && self.entries.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Wrong("places and entries are for the backends tun and tc; this is relay".into()))
    }

    fn check_places(&self) -> Result<(), ConfigError> {
        let wrong = |message: String| Err(ConfigError::Wrong(message));
        if !self.routes.is_empty() {
            return wrong(format!("routes are for the backend relay; this is {}", self.backend));
        }
        for (number, place) in self.places.iter().enumerate() {
            let name = &place.name;
            // It is part of a device's name, of which the kernel takes 15 bytes.
            if name.is_empty() || name.len() > 8 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return wrong(format!("\"{name}\" is no name for a place: up to eight letters and digits"));
            }
            if self.places[..number].iter().any(|other| other.name == *name || other.address == place.address) {
                return wrong(format!("the place {name} is there twice, or its address {} is", place.address));
            }
        }
        let is_place = |name: &str| self.places.iter().any(|place| place.name == name);
        for link in &self.links {
            if !link.ends().is_some_and(|(near, far)| is_place(near) && is_place(far)) {
                return wrong(format!("the link \"{}\" is not named by two places, such as A-B", link.name));
            }
        }
        match self.entries.iter().find(|entry| !is_place(&entry.place)) {
            Some(entry) => {
                wrong(format!("the entry at {} leads to \"{}\", which is no place", entry.listen, entry.place))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const EXAMPLE: &str = r#"
        seed = 7
        [[link]]
        name = "A-B"
        profile = "60ms"
        backward = { delay = "40ms", loss = 0.01 }
        [[link]]
        name = "A-W"
        [[route]]
        link = "A-B"
        way = "forward"
        transport = "udp"
        listen = "127.0.0.1:0"
        target = "127.0.0.1:7001"
    "#;

    #[test]
    fn a_file_reads_and_writes_back() {
        let config: Config = toml::from_str(EXAMPLE).expect("the example reads");
        config.check().expect("the example is consistent");
        assert_eq!(config.links[0].forward.delay, Duration::from_millis(30));
        assert_eq!(config.links[0].backward.delay, Duration::from_millis(40));
        assert_eq!(config.links[1].forward, LinkSettings::default());
        assert_eq!(config.routes[0].on_cut, OnCut::Hold);
        let again: Config = toml::from_str(&config.to_toml()).expect("what was written reads");
        assert_eq!(again, config);
        let json = serde_json::to_string(&config).expect("a configuration serialises");
        assert_eq!(serde_json::from_str::<Config>(&json).expect("JSON reads too"), config);
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("[[link]]\nname = \"A\"\n[[link]]\nname = \"A\"", "two links are named \"A\""),
            (
                "[[route]]\nlink = \"X\"\nway = \"forward\"\ntransport = \"tcp\"\nlisten = \"127.0.0.1:1\"\ntarget = \"127.0.0.1:2\"",
                "the route at 127.0.0.1:1 runs over \"X\", which is no link",
            ),
        ];
        for (text, message) in table {
            let config: Config = toml::from_str(text).expect("it reads");
            assert_eq!(config.check().expect_err(text).to_string(), message);
        }
        let places = "backend = \"tun\"\n[[place]]\nname = \"A\"\naddress = \"10.83.0.1\"\n";
        let table = [
            ("[[link]]\nname = \"A-B\"", "the link \"A-B\" is not named by two places, such as A-B"),
            (
                "[[place]]\nname = \"A\"\naddress = \"10.83.0.2\"",
                "the place A is there twice, or its address 10.83.0.2 is",
            ),
            (
                "[[entry]]\nplace = \"C\"\nlisten = \"127.0.0.1:1\"\ntarget = \"127.0.0.1:1\"",
                "the entry at 127.0.0.1:1 leads to \"C\", which is no place",
            ),
            (
                "[[place]]\nname = \"a place\"\naddress = \"10.83.0.2\"",
                "\"a place\" is no name for a place: up to eight letters and digits",
            ),
        ];
        for (text, message) in table {
            let config: Config = toml::from_str(&format!("{places}{text}")).expect("it reads");
            assert_eq!(config.check().expect_err(text).to_string(), message);
        }
        let config: Config = toml::from_str(&places.replace("tun", "relay")).expect("it reads");
        assert!(config.check().is_err(), "relays have no places");
        for text in ["[[link]]\nname = \"A\"\nprofile = \"mars\"", "[[link]]\nnmae = \"A\"", "sead = 1"] {
            assert!(toml::from_str::<Config>(text).is_err(), "{text}");
        }
    }
}
