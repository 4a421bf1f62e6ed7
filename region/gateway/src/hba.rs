//! Who may come from where, and how they show who they are: PostgreSQL's host-based rules (`pg_hba.conf`), as values.
//!
//! The first rule that fits decides; none is a refusal. There is no fall-through: a rule that asks for a password and does
//! not get it refuses, whatever the rules behind it say. What a client is told names what it came as, never which rule.
//! Left out: host names, role membership (`+role`), regular expressions, the methods that ask another service.
use crate::authentication::Candidate;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use trivet_types::{PgError, sqlstate};

/// How a connection came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HbaKind {
    /// Over a Unix socket.
    Local,
    /// Over TCP, encrypted or not.
    Host,
    HostSsl,
    HostNoSsl,
}

/// How the client shows who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HbaMethod {
    Trust,
    ScramSha256,
    Reject,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabaseMatch {
    All,
    /// The one that is called as the user.
    SameUser,
    Name(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserMatch {
    All,
    Name(String),
}

/// Addresses that agree in their first bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressMatch {
    All,
    Network(Network),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HbaRule {
    pub kind: HbaKind,
    pub databases: Vec<DatabaseMatch>,
    pub users: Vec<UserMatch>,
    /// Not looked at for [`HbaKind::Local`].
    pub address: AddressMatch,
    pub method: HbaMethod,
}

/// In order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HbaRules(pub Vec<HbaRule>);

impl HbaRules {
    /// Everyone from everywhere, by one method.
    pub fn everyone(method: HbaMethod) -> HbaRules {
        let rule = |kind| HbaRule {
            kind,
            databases: vec![DatabaseMatch::All],
            users: vec![UserMatch::All],
            address: AddressMatch::All,
            method,
        };
        HbaRules(vec![rule(HbaKind::Local), rule(HbaKind::Host)])
    }

    /// How this client has to show who it is; else what it is told.
    pub(crate) fn decide(&self, candidate: &Candidate<'_>) -> Result<HbaMethod, Box<PgError>> {
        match self.0.iter().find(|rule| rule.fits(candidate)).map(|rule| rule.method) {
            Some(HbaMethod::Reject) => Err(refusal("sql.hba rejects connection for", candidate)),
            Some(method) => Ok(method),
            None => Err(refusal("no sql.hba entry for", candidate)),
        }
    }
}

impl HbaRule {
    fn fits(&self, candidate: &Candidate<'_>) -> bool {
        let came_so = match (self.kind, candidate.peer) {
            (HbaKind::Local, peer) => peer.is_none(),
            (_, None) => false,
            (HbaKind::Host, Some(_)) => true,
            (HbaKind::HostSsl, Some(_)) => candidate.tls,
            (HbaKind::HostNoSsl, Some(_)) => !candidate.tls,
        };
        let from_there = match (self.address, candidate.peer) {
            (AddressMatch::Network(network), Some(peer)) => network.contains(peer.ip()),
            (AddressMatch::All, _) | (_, None) => true,
        };
        came_so
            && from_there
            && self.databases.iter().any(|database| match database {
                DatabaseMatch::All => true,
                DatabaseMatch::SameUser => candidate.database == candidate.user,
                DatabaseMatch::Name(name) => candidate.database == name,
            })
            && self.users.iter().any(|user| match user {
                UserMatch::All => true,
                UserMatch::Name(name) => candidate.user == name,
            })
    }
}

/// PostgreSQL's words, with our file's section in the place of its file's name.
fn refusal(what: &str, candidate: &Candidate<'_>) -> Box<PgError> {
    let host = candidate.peer.map_or_else(|| "[local]".to_owned(), |peer| peer.ip().to_canonical().to_string());
    let encryption = if candidate.tls { "SSL encryption" } else { "no encryption" };
    let Candidate { user, database, .. } = candidate;
    PgError::fatal(
        sqlstate::INVALID_AUTHORIZATION_SPECIFICATION,
        format!("{what} host \"{host}\", user \"{user}\", database \"{database}\", {encryption}"),
    )
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        // A client of IPv4 may come as ::ffff:10.0.0.1.
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.checked_shr(32 - u32::from(self.prefix_bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.checked_shr(128 - u32::from(self.prefix_bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Every address in it is this machine's own.
    pub fn is_loopback(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => address.is_loopback() && self.prefix_bits >= 8,
            IpAddr::V6(address) => address.is_loopback() && self.prefix_bits == 128,
        }
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    #[error("\"{0}\" is no address: \"all\", an address, or a network such as \"10.0.0.0/8\"")]
    Address(String),
    #[error("\"{0}\" has bits behind its prefix: a network ends in zeros")]
    BitsBehindPrefix(String),
    #[error("\"{0}\" names the members of a role, which rules cannot: name the users")]
    Membership(String),
}

impl FromStr for Network {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Network, RuleError> {
        let wrong = || RuleError::Address(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= bits_max).ok_or_else(wrong)?,
            None => bits_max,
        };
        let bits_behind = match address {
            IpAddr::V4(address) => address.to_bits().checked_shl(u32::from(prefix_bits)).unwrap_or(0) != 0,
            IpAddr::V6(address) => address.to_bits().checked_shl(u32::from(prefix_bits)).unwrap_or(0) != 0,
        };
        if bits_behind {
            return Err(RuleError::BitsBehindPrefix(text.to_owned()));
        }
        Ok(Network { address, prefix_bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl FromStr for AddressMatch {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<AddressMatch, RuleError> {
        if text == "all" { Ok(AddressMatch::All) } else { Ok(AddressMatch::Network(text.parse()?)) }
    }
}

impl FromStr for UserMatch {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<UserMatch, RuleError> {
        match text {
            "all" => Ok(UserMatch::All),
            _ if text.starts_with('+') => Err(RuleError::Membership(text.to_owned())),
            _ => Ok(UserMatch::Name(text.to_owned())),
        }
    }
}

impl From<&str> for DatabaseMatch {
    fn from(text: &str) -> DatabaseMatch {
        match text {
            "all" => DatabaseMatch::All,
            "sameuser" => DatabaseMatch::SameUser,
            _ => DatabaseMatch::Name(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kind databases users address method`, as PostgreSQL's file has it.
    fn rule(line: &str) -> HbaRule {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, databases, users, address, method] = words[..] else { panic!("five words") };
        HbaRule {
            kind: match kind {
                "local" => HbaKind::Local,
                "host" => HbaKind::Host,
                "hostssl" => HbaKind::HostSsl,
                "hostnossl" => HbaKind::HostNoSsl,
                _ => panic!("a kind"),
            },
            databases: databases.split(',').map(DatabaseMatch::from).collect(),
            users: users.split(',').map(|user| user.parse().expect("a user")).collect(),
            address: address.parse().expect("an address"),
            method: match method {
                "trust" => HbaMethod::Trust,
                "scram" => HbaMethod::ScramSha256,
                "reject" => HbaMethod::Reject,
                _ => panic!("a method"),
            },
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = HbaRules(
            [
                "local     all      all      all          trust",
                "hostnossl all      root     all          reject",
                "host      shop     ann,bob  10.1.0.0/16  trust",
                "hostssl   sameuser all      all          scram",
                "host      all      carl     ::1          trust",
            ]
            .map(rule)
            .to_vec(),
        );
        let none = "no sql.hba entry for host";
        let rejects = "sql.hba rejects connection for host";
        #[rustfmt::skip]
        let table = [
            ("",                 "ann",  "x",    false, Ok(HbaMethod::Trust)),
            ("10.1.2.3",         "ann",  "shop", false, Ok(HbaMethod::Trust)),
            ("::ffff:10.1.2.3",  "bob",  "shop", false, Ok(HbaMethod::Trust)),
            ("10.2.2.3",         "ann",  "shop", false, Err(format!("{none} \"10.2.2.3\", user \"ann\", database \"shop\", no encryption"))),
            ("10.2.2.3",         "ann",  "ann",  true,  Ok(HbaMethod::ScramSha256)),
            ("10.2.2.3",         "ann",  "ann",  false, Err(format!("{none} \"10.2.2.3\", user \"ann\", database \"ann\", no encryption"))),
            ("10.1.2.3",         "root", "root", true,  Ok(HbaMethod::ScramSha256)),
            ("10.1.2.3",         "root", "shop", false, Err(format!("{rejects} \"10.1.2.3\", user \"root\", database \"shop\", no encryption"))),
            ("::1",              "carl", "shop", true,  Ok(HbaMethod::Trust)),
            ("::2",              "carl", "shop", true,  Err(format!("{none} \"::2\", user \"carl\", database \"shop\", SSL encryption"))),
        ];
        for (address, user, database, tls, expected) in table {
            let peer = (!address.is_empty()).then(|| (address.parse::<IpAddr>().expect("an address"), 5000).into());
            let decided = rules.decide(&Candidate { user, database, peer, tls });
            assert_eq!(decided.map_err(|error| error.message.to_string()), expected, "{address} {user} {database}");
        }
        let local = Candidate { user: "ann", database: "x", peer: None, tls: false };
        let error = HbaRules::default().decide(&local).expect_err("no rule");
        assert_eq!(
            error.to_string(),
            "FATAL: no sql.hba entry for host \"[local]\", user \"ann\", database \"x\", no encryption (28000)"
        );
    }

    #[test]
    fn networks() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "::1"), "IPv4 only");
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("192.168.4.0/22", "192.168.7.255"));
        assert!(!contains("192.168.4.0/22", "192.168.8.0"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("127.0.0.1", "127.0.0.2"));
        let refused = |text: &str| text.parse::<Network>().expect_err("no network").to_string();
        assert!(refused("10.0.0.0/33").contains("no address"));
        assert!(refused("localhost").contains("no address"));
        assert!(refused("10.0.0.1/8").contains("bits behind"));
        assert!("127.0.0.0/8".parse::<Network>().expect("a network").is_loopback());
        assert!(!"0.0.0.0/0".parse::<Network>().expect("a network").is_loopback());
        assert!("+staff".parse::<UserMatch>().is_err());
    }
}
