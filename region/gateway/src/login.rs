//! Roles that log in: where they are kept, what each may, and the rules of access over them.
//!
//! The [`Gatekeeper`] is the authenticator of a real server: the rules say how, the [`LoginSource`] says who. A role is
//! asked for once, before the exchange; what it may (`LOGIN`, `CONNECTION LIMIT`) is looked at only after the exchange, so
//! that nobody without the password learns of it. A password that is past its `VALID UNTIL` fails as a wrong one does.
use crate::authentication::{Admission, Authenticator, Candidate, Credential, ScramVerifier, Seat};
use crate::hba::{HbaMethod, HbaRules};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;
use trivet_types::{PgError, PgResult, sqlstate};

/// What of a role concerns logging in.
#[derive(Clone, Debug)]
pub struct LoginRole {
    /// `pg_authid.rolpassword`. Anything but a SCRAM verifier fits no password.
    pub secret: Option<String>,
    pub can_login: bool,
    /// Concerns the password only, as in PostgreSQL.
    pub valid_until: Option<SystemTime>,
    /// Sessions at a time on this server; `None`: as many as there is room for. Superusers are not limited.
    pub connection_limit: Option<u32>,
    pub superuser: bool,
}

/// Where roles are kept.
#[async_trait]
pub trait LoginSource: Send + Sync + 'static {
    /// `None`: no such role. An error is sent as FATAL.
    async fn login(&self, user: &str) -> PgResult<Option<LoginRole>>;
}

/// A list that is known from the start, such as the configuration's.
#[derive(Clone, Debug, Default)]
pub struct FixedLogins(pub HashMap<String, LoginRole>);

#[async_trait]
impl LoginSource for FixedLogins {
    async fn login(&self, user: &str) -> PgResult<Option<LoginRole>> {
        Ok(self.0.get(user).cloned())
    }
}

/// The first source that knows a role speaks for it.
pub struct LoginSources(pub Vec<Arc<dyn LoginSource>>);

#[async_trait]
impl LoginSource for LoginSources {
    async fn login(&self, user: &str) -> PgResult<Option<LoginRole>> {
        for source in &self.0 {
            if let Some(role) = source.login(user).await? {
                return Ok(Some(role));
            }
        }
        Ok(None)
    }
}

/// Rules over roles.
pub struct Gatekeeper {
    rules: HbaRules,
    source: Arc<dyn LoginSource>,
    present: Arc<Present>,
}

/// How many sessions each role that has a limit has.
#[derive(Default)]
struct Present(Mutex<HashMap<String, u32>>);

struct PresentGuard {
    present: Arc<Present>,
    user: String,
}

impl Drop for PresentGuard {
    fn drop(&mut self) {
        let mut counts = self.present.0.lock();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

impl Gatekeeper {
    pub fn new(rules: HbaRules, source: Arc<dyn LoginSource>) -> Gatekeeper {
        Gatekeeper { rules, source, present: Arc::default() }
    }
}

/// What the role must show. Why a secret is of no use is for the log, not for the client.
fn credential(user: &str, role: Option<&LoginRole>) -> Credential {
    let Some(role) = role else { return Credential::Unknown };
    let Some(secret) = &role.secret else {
        tracing::info!(user, "a role without a password was asked for one");
        return Credential::Unknown;
    };
    if role.valid_until.is_some_and(|until| until < SystemTime::now()) {
        tracing::info!(user, "the role's password has expired");
        return Credential::Unknown;
    }
    match secret.parse::<ScramVerifier>() {
        Ok(verifier) => Credential::Scram(verifier),
        Err(error) => {
            tracing::warn!(user, %error, "the role's password is not stored as a SCRAM verifier");
            Credential::Unknown
        }
    }
}

#[async_trait]
impl Authenticator for Gatekeeper {
    async fn lookup(&self, candidate: &Candidate<'_>) -> PgResult<Admission> {
        let method = self.rules.decide(candidate)?;
        let role = self.source.login(candidate.user).await?;
        let credential = match method {
            HbaMethod::Trust => Credential::Trust,
            HbaMethod::ScramSha256 => credential(candidate.user, role.as_ref()),
            HbaMethod::Reject => unreachable!("a rejection is an error of the decision"),
        };
        Ok(Admission { credential, role })
    }

    /// A role that nobody knows is the engine's to refuse: only trust lets one come here.
    fn enter(&self, user: &str, role: Option<LoginRole>) -> PgResult<Seat> {
        let Some(role) = role else { return Ok(Seat::default()) };
        if !role.can_login {
            return Err(PgError::fatal(
                sqlstate::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("role \"{user}\" is not permitted to log in"),
            ));
        }
        // Counted also without a limit: ALTER ROLE may set one while sessions are open.
        let mut counts = self.present.0.lock();
        let count = counts.entry(user.to_owned()).or_default();
        match role.connection_limit {
            Some(limit) if *count >= limit && !role.superuser => {
                if *count == 0 {
                    counts.remove(user);
                }
                let message = format!("too many connections for role \"{user}\"");
                Err(PgError::fatal(sqlstate::TOO_MANY_CONNECTIONS, message))
            }
            _ => {
                *count += 1;
                drop(counts);
                Ok(Seat::held(PresentGuard { present: self.present.clone(), user: user.to_owned() }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn role() -> LoginRole {
        let verifier = ScramVerifier::from_password("x").expect("random bytes").to_string();
        LoginRole {
            secret: Some(verifier),
            can_login: true,
            valid_until: None,
            connection_limit: None,
            superuser: false,
        }
    }

    #[test]
    fn secrets_of_no_use_look_like_none() {
        let shown = |role: &LoginRole| match credential("ann", Some(role)) {
            Credential::Scram(_) => "scram",
            Credential::Unknown => "unknown",
            Credential::Trust => "trust",
        };
        let now = SystemTime::now();
        assert_eq!(shown(&role()), "scram");
        assert_eq!(shown(&LoginRole { valid_until: Some(now + Duration::from_secs(600)), ..role() }), "scram");
        assert_eq!(shown(&LoginRole { valid_until: Some(now - Duration::from_secs(600)), ..role() }), "unknown");
        assert_eq!(shown(&LoginRole { secret: None, ..role() }), "unknown");
        assert_eq!(shown(&LoginRole { secret: Some("md5abc".into()), ..role() }), "unknown");
        assert!(matches!(credential("nobody", None), Credential::Unknown));
    }

    #[test]
    fn seats_are_counted_and_given_back() {
        let gatekeeper = Gatekeeper::new(HbaRules::everyone(HbaMethod::Trust), Arc::new(FixedLogins::default()));
        let limited = || Some(LoginRole { connection_limit: Some(2), ..role() });
        let first = gatekeeper.enter("ann", limited()).expect("a seat");
        let _second = gatekeeper.enter("ann", limited()).expect("a seat");
        let error = gatekeeper.enter("ann", limited()).err().expect("full");
        assert_eq!(error.to_string(), "FATAL: too many connections for role \"ann\" (53300)");
        drop(first);
        let _third = gatekeeper.enter("ann", limited()).expect("a seat again");
        let _boss = gatekeeper
            .enter("ann", Some(LoginRole { connection_limit: Some(0), superuser: true, ..role() }))
            .expect("superusers are not limited");
        let error = gatekeeper.enter("eve", Some(LoginRole { can_login: false, ..role() })).err().expect("no login");
        assert_eq!(error.to_string(), "FATAL: role \"eve\" is not permitted to log in (28000)");
        assert!(gatekeeper.enter("zero", Some(LoginRole { connection_limit: Some(0), ..role() })).is_err());
        assert_eq!(gatekeeper.present.0.lock().len(), 1, "who has no session is forgotten");
    }
}
