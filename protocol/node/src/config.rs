//! The configuration file, one TOML for regions and the witness.
//!
//! ```toml
//! [node]
//! name = "A"
//! id = 1
//! data_dir = "/var/lib/trivet"
//! cluster_id = "00000000000000000000000000000abc"
//!
//! [[roster]]                       # every node, this one too; the same in all files but for the addresses
//! name = "A"
//! id = 1
//! kind = "region"                  # or "witness"
//! address = "10.0.0.1:7001"        # where *this* node reaches it
//!
//! [listen]
//! quic = "10.0.0.1:7001"
//! http = "127.0.0.1:8001"
//!
//! [tls]
//! ca = "ca.pem"
//! certificate = "node.pem"
//! key = "node.key"
//!
//! [timing]                         # optional, as is every key in it
//! [limits]                         # optional, as is every key in it
//! [testing]                        # optional; drills only, each switch is shouted about
//! ```
//!
//! Relative paths are relative to the file. Every section refuses keys that it does not know. A binary adds sections
//! of its own by [`ExtraSections`]: the text is read once for the common sections and once for the extra ones, and a
//! third look refuses sections that neither knows. (serde's `flatten` would lose both the refusal and the line numbers.)
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use trivet_log::{ClusterId, NodeId, NodeKind, Timing};

/// Sections of one binary, beside the common ones.
pub trait ExtraSections: DeserializeOwned {
    /// The names of the top-level tables that `Self` has as fields. Each should refuse unknown keys; `Self` must not
    /// (the common sections are unknown to it).
    const SECTIONS: &'static [&'static str];
}

/// For a binary that adds none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct NoExtra {}

impl ExtraSections for NoExtra {
    const SECTIONS: &'static [&'static str] = &[];
}

/// The common sections, checked, with the extra ones beside them.
#[derive(Clone, Debug)]
pub struct ConfigFile<Extra> {
    pub common: NodeConfig,
    pub extra: Extra,
}

const COMMON_SECTIONS: [&str; 7] = ["node", "roster", "listen", "tls", "timing", "limits", "testing"];

/// What every node reads. Made only by [`ConfigFile::parse`], which has checked it.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeConfig {
    pub node: NodeSection,
    pub roster: Vec<RosterEntry>,
    pub listen: ListenSection,
    pub tls: TlsSection,
    #[serde(default)]
    pub timing: TimingSection,
    #[serde(default)]
    pub limits: LimitsSection,
    #[serde(default)]
    pub testing: TestingSection,
    /// Where it was read from; none if it was not a file.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    pub name: String,
    #[serde(deserialize_with = "node_id")]
    pub id: NodeId,
    pub data_dir: PathBuf,
    #[serde(deserialize_with = "cluster_id")]
    pub cluster_id: ClusterId,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterEntry {
    pub name: String,
    #[serde(deserialize_with = "node_id")]
    pub id: NodeId,
    #[serde(deserialize_with = "node_kind")]
    pub kind: NodeKind,
    /// `host:port`.
    #[serde(deserialize_with = "address")]
    pub address: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSection {
    /// UDP, to the other nodes.
    pub quic: SocketAddr,
    /// TCP: health, metrics, status. Not encrypted, no passwords: keep it inside.
    pub http: SocketAddr,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// See `trivet_log::Timing` for what each means. All nodes of a cluster should agree on these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingSection {
    pub heartbeat_ms: Option<u64>,
    pub promise_ms: Option<u64>,
    pub drift_permille: Option<u64>,
    pub election_min_ms: Option<u64>,
    pub election_max_ms: Option<u64>,
    pub engage_after_ms: Option<u64>,
    pub eject_after_ms: Option<u64>,
    pub readmit_after_ms: Option<u64>,
    pub propose_give_up_ms: Option<u64>,
    pub durable_notice_delay_us: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Largest payload of one proposal; larger records travel as parts.
    pub payload_bytes: usize,
    /// Largest sum of payloads of one append message.
    pub append_bytes: usize,
    /// A leader stops taking proposals while this much is appended and not committed.
    pub uncommitted_bytes: usize,
    /// Entries kept in memory for followers that are a little behind.
    pub cache_bytes: usize,
    /// A node slows its leader down while this much waits for its disk or its applier.
    pub apply_backlog_bytes: usize,
    /// What was received of one class from one peer and not yet acted upon (but at least two of the longest messages).
    pub inbound_bytes: usize,
    /// What a peer may send on one stream before this node has read it.
    pub stream_window_bytes: u64,
    /// What the link to a peer is provisioned for: random loss alone never slows the sender below this.
    pub link_bytes_per_second: u64,
}

impl Default for LimitsSection {
    fn default() -> LimitsSection {
        LimitsSection {
            payload_bytes: 2 << 20,
            append_bytes: 1 << 20,
            uncommitted_bytes: 256 << 20,
            cache_bytes: 256 << 20,
            apply_backlog_bytes: 256 << 20,
            inbound_bytes: 64 << 20,
            stream_window_bytes: 64 << 20,
            link_bytes_per_second: 16_000_000,
        }
    }
}

/// For drills that must find something. Never in production.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct TestingSection {
    /// Keep what is not synced in memory: a killed process loses exactly that, as at a loss of power.
    pub volatile_files: bool,
    /// Say that the disk has what it has not.
    pub skip_fsync: bool,
    /// Serve reads without a lease.
    pub lease_unchecked: bool,
}

/// `file:line: what is wrong`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {cause}. --config names it; docs/configuration.md describes it", path.display())]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{}:{line}: {message}{}", path.display(), quoted(text))]
    Syntax { path: PathBuf, line: usize, message: String, text: String },
    #[error("{}: {message}", path.display())]
    Meaning { path: PathBuf, message: String },
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(", in `{text}`") }
}

impl<Extra: ExtraSections> ConfigFile<Extra> {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
        let mut config = Self::parse(path, &text)?;
        config.common.file = Some(path.to_owned());
        Ok(config)
    }

    /// `path` is for messages, and what relative paths are relative to.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let syntax = |span: Option<Range<usize>>, message: String| {
            let (line, text) = line_at(text, span.map_or(0, |span| span.start));
            ConfigError::Syntax { path: path.to_owned(), line, message, text }
        };
        let from_toml = |error: toml::de::Error| syntax(error.span(), with_suggestion(error.message()));

        let sections: BTreeMap<Spanned<String>, IgnoredAny> = toml::from_str(text).map_err(from_toml)?;
        for section in sections.keys() {
            let name = section.get_ref().as_str();
            if !COMMON_SECTIONS.contains(&name) && !Extra::SECTIONS.contains(&name) {
                let known = [&COMMON_SECTIONS[..], Extra::SECTIONS].concat().join(", ");
                let likely = likely(name, known.split(", "));
                let message = format!("unknown section `{name}`, expected one of {known}{likely}");
                return Err(syntax(Some(section.span()), message));
            }
        }
        let mut common: NodeConfig = toml::from_str(text).map_err(from_toml)?;
        let extra = toml::from_str(text).map_err(from_toml)?;
        common.check().map_err(|message| ConfigError::Meaning { path: path.to_owned(), message })?;
        common.resolve_paths(path.parent().unwrap_or(Path::new("")));
        Ok(ConfigFile { common, extra })
    }
}

/// serde's message on an unknown key, with the known one that it looks like.
fn with_suggestion(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    let Some((name, known)) = rest.split_once('`') else { return message.to_owned() };
    // Between backticks, every second part is a name.
    let likely = likely(name, known.split('`').skip(1).step_by(2));
    format!("{message}{likely}")
}

fn likely<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    const ALIKE: f64 = 0.85;
    let scored = known.map(|other| (strsim::jaro_winkler(name, other), other)).filter(|(score, _)| *score >= ALIKE);
    let best = scored.max_by(|(left, _), (right, _)| left.total_cmp(right));
    best.map_or_else(String::new, |(_, other)| format!("; did you mean `{other}`?"))
}

/// The number, from 1, and the text of the line that the byte stands in.
fn line_at(text: &str, offset: usize) -> (usize, String) {
    let before = text.get(..offset).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    (number, text.lines().nth(number - 1).unwrap_or_default().trim().to_owned())
}

impl NodeConfig {
    /// What this node is.
    pub fn kind(&self) -> NodeKind {
        let me = self.roster.iter().find(|entry| entry.id == self.node.id);
        me.expect("checked: this node is in the roster").kind
    }

    /// A node's name, for people.
    pub fn name_of(&self, node: NodeId) -> String {
        let entry = self.roster.iter().find(|entry| entry.id == node);
        entry.map_or_else(|| node.to_string(), |entry| entry.name.clone())
    }

    pub fn timing(&self) -> Timing {
        self.timing.resolve()
    }

    fn check(&self) -> Result<(), String> {
        let ids: BTreeSet<NodeId> = self.roster.iter().map(|entry| entry.id).collect();
        let names: BTreeSet<&str> = self.roster.iter().map(|entry| entry.name.as_str()).collect();
        let twice = |count: &dyn Fn(&RosterEntry) -> usize| self.roster.iter().find(|entry| count(entry) > 1);
        if ids.len() != self.roster.len() {
            let entry = twice(&|entry| self.roster.iter().filter(|other| other.id == entry.id).count());
            let id = entry.map_or(0, |entry| entry.id.0);
            return Err(format!("[[roster]]: two nodes have the id {id}: each needs one of its own"));
        }
        if names.len() != self.roster.len() {
            let entry = twice(&|entry| self.roster.iter().filter(|other| other.name == entry.name).count());
            let name = entry.map_or("", |entry| entry.name.as_str());
            return Err(format!("[[roster]]: two nodes are called {name:?}: each needs a name of its own"));
        }
        let count = |kind| self.roster.iter().filter(|entry| entry.kind == kind).count();
        let (regions, witnesses) = (count(NodeKind::Region), count(NodeKind::Witness));
        if (regions, witnesses) != (2, 1) {
            return Err(format!("[[roster]]: expected two regions and one witness, found {regions} and {witnesses}"));
        }
        let me = self.roster.iter().find(|entry| entry.id == self.node.id);
        match me {
            None => {
                return Err(format!(
                    "node.id: {} is not in the [[roster]], which has every node, this one too",
                    self.node.id.0
                ));
            }
            Some(entry) if entry.name != self.node.name => {
                return Err(format!(
                    "node.name: the [[roster]] calls node {} {:?}, not {:?}",
                    self.node.id.0, entry.name, self.node.name
                ));
            }
            Some(_) => {}
        }
        self.timing.check()?;
        self.limits.check()
    }

    fn resolve_paths(&mut self, folder: &Path) {
        for path in [&mut self.node.data_dir, &mut self.tls.ca, &mut self.tls.certificate, &mut self.tls.key] {
            *path = folder.join(&path);
        }
    }
}

impl TimingSection {
    fn resolve(&self) -> Timing {
        const MILLISECOND: u64 = 1_000_000;
        const MICROSECOND: u64 = 1_000;
        let default = Timing::default();
        let time =
            |value: Option<u64>, unit: u64, default: u64| value.map_or(default, |value| value.saturating_mul(unit));
        Timing {
            heartbeat: time(self.heartbeat_ms, MILLISECOND, default.heartbeat),
            promise: time(self.promise_ms, MILLISECOND, default.promise),
            drift_permille: self.drift_permille.unwrap_or(default.drift_permille),
            election_min: time(self.election_min_ms, MILLISECOND, default.election_min),
            election_max: time(self.election_max_ms, MILLISECOND, default.election_max),
            engage_after: time(self.engage_after_ms, MILLISECOND, default.engage_after),
            eject_after: time(self.eject_after_ms, MILLISECOND, default.eject_after),
            readmit_after: time(self.readmit_after_ms, MILLISECOND, default.readmit_after),
            propose_give_up: time(self.propose_give_up_ms, MILLISECOND, default.propose_give_up),
            durable_notice_delay: time(self.durable_notice_delay_us, MICROSECOND, default.durable_notice_delay),
        }
    }

    fn check(&self) -> Result<(), String> {
        let timing = self.resolve();
        let rules = [
            (timing.heartbeat > 0, "timing.heartbeat_ms: must be more than 0"),
            (timing.heartbeat * 3 <= timing.promise, "timing.promise_ms: must be at least three heartbeats"),
            (timing.election_min > timing.promise, "timing.election_min_ms: must be more than promise_ms"),
            (timing.election_max > timing.election_min, "timing.election_max_ms: must be more than election_min_ms"),
            (timing.drift_permille < 500, "timing.drift_permille: must be less than 500"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, message)| Err(message.to_owned()))
    }
}

impl LimitsSection {
    fn check(&self) -> Result<(), String> {
        let rules = [
            (self.payload_bytes >= 64 << 10, "limits.payload_bytes: must be at least 65536"),
            (self.payload_bytes <= 256 << 20, "limits.payload_bytes: must be at most 268435456"),
            (self.append_bytes >= 64 << 10, "limits.append_bytes: must be at least 65536"),
            (self.append_bytes <= 256 << 20, "limits.append_bytes: must be at most 268435456"),
            (self.uncommitted_bytes >= self.payload_bytes, "limits.uncommitted_bytes: must be at least payload_bytes"),
            (self.stream_window_bytes >= 1 << 20, "limits.stream_window_bytes: must be at least 1048576"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, message)| Err(message.to_owned()))
    }

    /// Longer than any message can be: an append may hold one payload more than its bound, and each entry costs some
    /// bytes around its payload.
    pub fn frame_max(&self) -> usize {
        2 * (self.append_bytes + self.payload_bytes) + (4 << 20)
    }
}

fn node_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
    match u8::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("a node's id must be from 1 to 255")),
        id => Ok(NodeId(id)),
    }
}

fn cluster_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ClusterId, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u128::from_str_radix(&text, 16) {
        Ok(id) if digits => Ok(ClusterId(id)),
        _ => Err(serde::de::Error::custom("a cluster's id must be 32 hexadecimal digits")),
    }
}

fn node_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeKind, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "region" => Ok(NodeKind::Region),
        "witness" => Ok(NodeKind::Witness),
        other => Err(serde::de::Error::custom(format!("unknown kind {other:?}, expected \"region\" or \"witness\""))),
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match parts.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(port)) if port > 0 => Ok(text),
        _ => Err(serde::de::Error::custom("an address must be host:port")),
    }
}

/// A duration for logs.
pub(crate) fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"[node]
name = "A"
id = 1
data_dir = "data"
cluster_id = "00000000000000000000000000000abc"

[[roster]]
name = "A"
id = 1
kind = "region"
address = "127.0.0.1:7001"

[[roster]]
name = "B"
id = 2
kind = "region"
address = "b.example:7002"

[[roster]]
name = "W"
id = 3
kind = "witness"
address = "[::1]:7003"

[listen]
quic = "127.0.0.1:7001"
http = "127.0.0.1:8001"

[tls]
ca = "/etc/trivet/ca.pem"
certificate = "node.pem"
key = "node.key"

[timing]
heartbeat_ms = 20

[limits]
payload_bytes = 100000
"#;

    #[derive(Debug, Deserialize)]
    struct WithSql {
        sql: SqlSection,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SqlSection {
        listen: SocketAddr,
    }

    impl ExtraSections for WithSql {
        const SECTIONS: &'static [&'static str] = &["sql"];
    }

    fn parse(text: &str) -> Result<ConfigFile<NoExtra>, String> {
        ConfigFile::parse(Path::new("conf/a.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_good_file() {
        let config = parse(GOOD).expect("it is good").common;
        assert_eq!(config.node.id, NodeId(1));
        assert_eq!(config.node.cluster_id, ClusterId(0xabc));
        assert_eq!(config.node.data_dir, Path::new("conf/data"));
        assert_eq!(config.tls.ca, Path::new("/etc/trivet/ca.pem"));
        assert_eq!(config.kind(), NodeKind::Region);
        assert_eq!(config.timing().heartbeat, 20_000_000);
        assert_eq!(config.timing().promise, Timing::default().promise);
        assert_eq!(config.limits.payload_bytes, 100_000);
        assert_eq!(config.limits.append_bytes, LimitsSection::default().append_bytes);
        assert_eq!(config.testing, TestingSection::default());
    }

    /// (what, text to replace, by what, the whole message)
    #[test]
    fn mistakes_and_what_is_said() {
        let table = [
            (
                "a key misspelt",
                "heartbeat_ms = 20",
                "hartbeat_ms = 20",
                "conf/a.toml:35: unknown field `hartbeat_ms`, expected one of `heartbeat_ms`, `promise_ms`, `drift_permille`, \
              `election_min_ms`, `election_max_ms`, `engage_after_ms`, `eject_after_ms`, `readmit_after_ms`, \
              `propose_give_up_ms`, `durable_notice_delay_us`; did you mean `heartbeat_ms`?, in `hartbeat_ms = 20`",
            ),
            (
                "a section misspelt",
                "[timing]",
                "[timings]",
                "conf/a.toml:34: unknown section `timings`, expected one of node, roster, listen, tls, timing, limits, \
              testing; did you mean `timing`?, in `[timings]`",
            ),
            (
                "a section of another binary",
                "[timing]",
                "[sql]\nlisten = \"127.0.0.1:5432\"\n[timing]",
                "conf/a.toml:34: unknown section `sql`, expected one of node, roster, listen, tls, timing, limits, testing, \
              in `[sql]`",
            ),
            (
                "a wrong type",
                "heartbeat_ms = 20",
                "heartbeat_ms = \"20\"",
                "conf/a.toml:35: invalid type: string \"20\", expected u64, in `heartbeat_ms = \"20\"`",
            ),
            ("a missing key", "data_dir = \"data\"\n", "", "conf/a.toml:1: missing field `data_dir`, in `[node]`"),
            (
                "an address",
                "quic = \"127.0.0.1:7001\"",
                "quic = \"localhost\"",
                "conf/a.toml:26: invalid socket address syntax, in `quic = \"localhost\"`",
            ),
            (
                "a roster address",
                "b.example:7002",
                "b.example",
                "conf/a.toml:17: an address must be host:port, in `address = \"b.example\"`",
            ),
            (
                "a cluster id",
                "0abc\"",
                "0ab\"",
                "conf/a.toml:5: a cluster's id must be 32 hexadecimal digits, in `cluster_id = \"00000000000000000000000000000ab\"`",
            ),
            (
                "a kind",
                "\"witness\"",
                "\"observer\"",
                "conf/a.toml:22: unknown kind \"observer\", expected \"region\" or \"witness\", in `kind = \"observer\"`",
            ),
            ("an id", "id = 3", "id = 300", "conf/a.toml:21: invalid value: integer `300`, expected u8, in `id = 300`"),
            ("not TOML", "[tls]", "[tls", "conf/a.toml:29: unclosed table, expected `]`, in `[tls`"),
            (
                "the id of nobody",
                "name = \"A\"\nid = 1\ndata",
                "name = \"A\"\nid = 9\ndata",
                "conf/a.toml: node.id: 9 is not in the [[roster]], which has every node, this one too",
            ),
            (
                "the name of another",
                "[node]\nname = \"A\"",
                "[node]\nname = \"B\"",
                "conf/a.toml: node.name: the [[roster]] calls node 1 \"A\", not \"B\"",
            ),
            (
                "twins",
                "id = 2",
                "id = 1",
                "conf/a.toml: [[roster]]: two nodes have the id 1: each needs one of its own",
            ),
            (
                "namesakes",
                "name = \"B\"",
                "name = \"A\"",
                "conf/a.toml: [[roster]]: two nodes are called \"A\": each needs a name of its own",
            ),
            (
                "two witnesses",
                "id = 2\nkind = \"region\"",
                "id = 2\nkind = \"witness\"",
                "conf/a.toml: [[roster]]: expected two regions and one witness, found 1 and 2",
            ),
            (
                "an election too early",
                "heartbeat_ms = 20",
                "election_min_ms = 900",
                "conf/a.toml: timing.election_min_ms: must be more than promise_ms",
            ),
            (
                "a tiny payload",
                "payload_bytes = 100000",
                "payload_bytes = 1000",
                "conf/a.toml: limits.payload_bytes: must be at least 65536",
            ),
        ];
        for (what, from, to, message) in table {
            assert!(GOOD.contains(from), "{what}: {from:?} is not in the file");
            let text = GOOD.replacen(from, to, 1);
            assert_eq!(parse(&text).expect_err(what), message, "{what}");
        }
    }

    #[test]
    fn a_binary_adds_sections() {
        let text = format!("{GOOD}\n[sql]\nlisten = \"127.0.0.1:5432\"\n");
        let path = Path::new("a.toml");
        let config: ConfigFile<WithSql> = ConfigFile::parse(path, &text).expect("it is good");
        assert_eq!(config.extra.sql.listen.port(), 5432);
        let typo = text.replace("\nlisten =", "\nlistn =");
        let error = ConfigFile::<WithSql>::parse(path, &typo).expect_err("a typo");
        assert_eq!(
            error.to_string(),
            "a.toml:41: unknown field `listn`, expected `listen`; did you mean `listen`?, in `listn = \"127.0.0.1:5432\"`"
        );
    }
}
