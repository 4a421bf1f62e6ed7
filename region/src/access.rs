//! Who may log in, as the configuration says it: `[[sql.hba]]` and `[[sql.users]]`, turned into the gateway's rules.
//!
//! ```toml
//! [[sql.hba]]
//! type = "hostssl"                 # local (the Unix socket), host, hostssl, hostnossl
//! database = ["shop", "sameuser"]  # one or several; default "all"
//! user = "ann"                     # one or several; default "all"
//! address = "10.0.0.0/8"           # an address, a network or "all"; not for local
//! method = "scram-sha-256"         # or trust, reject
//! ```
//!
//! The first entry that fits a connection decides; a connection that none fits is refused. Without entries, `sql.auth` is one
//! for everyone.
use crate::config::{Auth, SqlSection};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use trivet_gateway::{
    AddressMatch, DatabaseMatch, FixedLogins, HbaKind, HbaMethod, HbaRule, HbaRules, LoginRole, LoginSource,
    ScramVerifier,
};
use trivet_sql::SqlEngine;
use trivet_types::PgResult;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HbaEntry {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    database: Names,
    #[serde(default)]
    user: Names,
    address: Option<String>,
    method: Method,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Local,
    Host,
    HostSsl,
    HostNoSsl,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
enum Method {
    #[serde(rename = "trust")]
    Trust,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[serde(rename = "reject")]
    Reject,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

/// The catalog's roles. A region that cannot read now lets those in whom it has let in before, as they were then: they may
/// connect, and hear from their first statement that it cannot serve.
pub struct CatalogLogins {
    engine: Arc<SqlEngine>,
    known: Mutex<HashMap<String, LoginRole>>,
}

impl CatalogLogins {
    pub fn new(engine: Arc<SqlEngine>) -> CatalogLogins {
        CatalogLogins { engine, known: Mutex::default() }
    }
}

#[async_trait]
impl LoginSource for CatalogLogins {
    async fn login(&self, user: &str) -> PgResult<Option<LoginRole>> {
        match self.engine.login(user).await {
            Ok(Some(role)) => {
                let trivet_sql::LoginRole { secret, can_login, valid_until, connection_limit, superuser } = role;
                let role = LoginRole { secret, can_login, valid_until, connection_limit, superuser };
                self.known.lock().insert(user.to_owned(), role.clone());
                Ok(Some(role))
            }
            Ok(None) => {
                self.known.lock().remove(user);
                Ok(None)
            }
            Err(error) => match self.known.lock().get(user) {
                Some(role) => Ok(Some(role.clone())),
                // Under a rule of trust it needs no role.
                None if user == trivet_sql::catalog::ROLE_NAME => Ok(None),
                None => Err(error),
            },
        }
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::One("all".into())
    }
}

impl Names {
    fn list(&self) -> &[String] {
        match self {
            Names::One(name) => std::slice::from_ref(name),
            Names::Several(names) => names,
        }
    }
}

impl HbaEntry {
    fn rule(&self) -> Result<HbaRule, String> {
        let address = match (&self.address, self.kind) {
            (Some(_), Kind::Local) => return Err("a rule of type \"local\" has no address".into()),
            (None, Kind::Local) => AddressMatch::All,
            (Some(address), _) => address.parse().map_err(|error| format!("address: {error}"))?,
            (None, _) => return Err("address is missing: an address, a network, or \"all\"".into()),
        };
        let users = self.user.list().iter().map(|user| user.parse().map_err(|error| format!("user: {error}")));
        let users = users.collect::<Result<Vec<_>, _>>()?;
        let databases: Vec<_> = self.database.list().iter().map(|name| DatabaseMatch::from(name.as_str())).collect();
        if users.is_empty() || databases.is_empty() {
            return Err("user and database must not be empty lists".into());
        }
        Ok(HbaRule {
            kind: match self.kind {
                Kind::Local => HbaKind::Local,
                Kind::Host => HbaKind::Host,
                Kind::HostSsl => HbaKind::HostSsl,
                Kind::HostNoSsl => HbaKind::HostNoSsl,
            },
            databases,
            users,
            address,
            method: match self.method {
                Method::Trust => HbaMethod::Trust,
                Method::ScramSha256 => HbaMethod::ScramSha256,
                Method::Reject => HbaMethod::Reject,
            },
        })
    }
}

impl SqlSection {
    pub fn rules(&self) -> Result<HbaRules, String> {
        match (self.auth, self.hba.is_empty()) {
            (Some(Auth::Trust), true) => Ok(HbaRules::everyone(HbaMethod::Trust)),
            (Some(Auth::Scram), true) => Ok(HbaRules::everyone(HbaMethod::ScramSha256)),
            (None, true) => Err("give sql.auth, or [[sql.hba]] rules".into()),
            (Some(_), false) => Err("sql.auth and [[sql.hba]] exclude each other: the rules say it all".into()),
            (None, false) => {
                let named = |(at, entry): (usize, &HbaEntry)| {
                    entry.rule().map_err(|error| format!("[[sql.hba]], rule {}: {error}", at + 1))
                };
                Ok(HbaRules(self.hba.iter().enumerate().map(named).collect::<Result<_, _>>()?))
            }
        }
    }

    /// The roles that stand in the file. Their names are roles of the database; only how they log in is the file's.
    pub fn fixed_logins(&self) -> Result<FixedLogins, String> {
        let mut roles = HashMap::new();
        for user in &self.users {
            let verifier: ScramVerifier = user
                .verifier
                .parse()
                .map_err(|error| format!("[[sql.users]] \"{}\": the verifier is {error}", user.name))?;
            let role = LoginRole {
                secret: Some(verifier.to_string()),
                can_login: true,
                valid_until: None,
                connection_limit: None,
                superuser: true,
            };
            if roles.insert(user.name.clone(), role).is_some() {
                return Err(format!("[[sql.users]] \"{}\" is there twice", user.name));
            }
        }
        Ok(FixedLogins(roles))
    }

    pub fn check_access(&self) -> Result<(), String> {
        let rules = self.rules()?;
        self.fixed_logins()?;
        if self.auth == Some(Auth::Trust) && !self.listen.ip().is_loopback() {
            return Err(format!(
                "sql.auth = \"trust\" believes whoever connects, and sql.listen = \"{}\" is not a loopback address: use auth = \"scram\"",
                self.listen
            ));
        }
        if self.certificate.is_none() && rules.0.iter().any(|rule| rule.kind == HbaKind::HostSsl) {
            return Err("a rule of type \"hostssl\" needs sql.certificate and sql.key".into());
        }
        if self.socket.is_none() && self.hba.iter().any(|entry| entry.kind == Kind::Local) {
            return Err("a rule of type \"local\" needs sql.socket".into());
        }
        Ok(())
    }

    /// Rules that let strangers in, for a word in the log.
    pub fn trusts_strangers(&self) -> bool {
        let strangers = |rule: &HbaRule| {
            let from_here = match rule.address {
                AddressMatch::All => self.listen.ip().is_loopback(),
                AddressMatch::Network(network) => network.is_loopback() || self.listen.ip().is_loopback(),
            };
            rule.method == HbaMethod::Trust && rule.kind != HbaKind::Local && !from_here
        };
        self.rules().is_ok_and(|rules| rules.0.iter().any(strangers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "[[users]]\nname = \"ann\"\nverifier = \"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\"\n";

    fn section(text: &str) -> Result<SqlSection, String> {
        let section: SqlSection = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        section.check().map(|()| section)
    }

    #[test]
    fn rules_read() {
        let text = "listen = \"127.0.0.1:0\"\nsocket = \"s\"\n\
            [[hba]]\ntype = \"local\"\nmethod = \"trust\"\n\
            [[hba]]\ntype = \"host\"\ndatabase = [\"shop\", \"sameuser\"]\nuser = \"ann\"\naddress = \"10.0.0.0/8\"\nmethod = \"scram-sha-256\"\n";
        let section = section(&format!("{text}{USER}")).expect("well formed");
        let rules = section.rules().expect("checked");
        assert_eq!(rules.0[0].kind, HbaKind::Local);
        assert_eq!(rules.0[1].databases, [DatabaseMatch::Name("shop".into()), DatabaseMatch::SameUser]);
        assert_eq!(rules.0[1].method, HbaMethod::ScramSha256);
        assert!(!section.trusts_strangers());
        assert!(section.fixed_logins().expect("checked").0.contains_key("ann"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let host = "[[hba]]\ntype = \"host\"\n";
        let table = [
            ("".to_owned(), "give sql.auth"),
            (format!("auth = \"trust\"\n{host}address = \"all\"\nmethod = \"trust\""), "exclude each other"),
            (format!("{host}method = \"trust\""), "rule 1: address is missing"),
            (format!("{host}address = \"all\"\nmethod = \"md5\""), "unknown variant `md5`"),
            (format!("{host}address = \"here\"\nmethod = \"trust\""), "no address"),
            (format!("{host}address = \"all\"\nuser = []\nmethod = \"trust\""), "empty lists"),
            (format!("{host}address = \"all\"\nuser = \"+x\"\nmethod = \"trust\""), "members of a role"),
            ("[[hba]]\ntype = \"local\"\nmethod = \"trust\"".to_owned(), "needs sql.socket"),
            ("[[hba]]\ntype = \"hostssl\"\naddress = \"all\"\nmethod = \"trust\"".to_owned(), "needs sql.certificate"),
            (format!("auth = \"scram\"\n{}", USER.replace("4096", "none")), "the verifier is iteration count"),
            (format!("auth = \"scram\"\n{USER}{USER}"), "twice"),
            ("auth = \"scram\"\nauthentication_timeout_s = 0".to_owned(), "authentication_timeout_s"),
        ];
        for (text, expected) in table {
            let error = section(&format!("listen = \"127.0.0.1:0\"\n{text}")).expect_err(&text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = section("listen = \"10.0.0.1:5433\"\nauth = \"trust\"").expect_err("strangers");
        assert!(error.contains("not a loopback address"), "{error}");
    }
}
