//! Who a client is: trust, or SCRAM-SHA-256 with PostgreSQL's stored verifiers, so that no password is kept.
//!
//! A role that is not there is walked through the same exchange with a salt that stays the same for its name, and fails at
//! the end like a wrong password (28P01): which roles exist is not told. The arithmetic of SCRAM is pgwire's; what is here
//! decides what it may be asked and turns what it says into PostgreSQL's errors. Channel binding (SCRAM-SHA-256-PLUS) is
//! offered on TLS when the certificate is known.
use crate::cancel::random_bytes;
use crate::login::LoginRole;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use pgwire::api::auth::sasl::scram::{
    ScramSecret, ScramServerAuth, ScramServerAuthWaitingForClientFinal, gen_salted_password,
};
use pgwire::api::auth::sasl::{SCRAM_SHA_256_METHOD, SCRAM_SHA_256_PLUS_METHOD};
use pgwire::error::PgWireError;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use trivet_types::{PgError, PgResult, sqlstate};

/// What a role must show.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Nothing.
    Trust,
    Scram(ScramVerifier),
    /// No such role, or one without a password: asked for a password that does not exist.
    Unknown,
}

/// Who wants in, before anything was shown.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub user: &'a str,
    pub database: &'a str,
    /// `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    pub tls: bool,
}

/// What has to be shown, and by whom.
#[derive(Clone, Debug)]
pub struct Admission {
    pub credential: Credential,
    /// As it was found; `None` where roles are not looked at, and for one that is not there.
    pub role: Option<LoginRole>,
}

impl From<Credential> for Admission {
    fn from(credential: Credential) -> Admission {
        Admission { credential, role: None }
    }
}

/// A place among a role's sessions, given back when it is dropped.
#[derive(Default)]
pub struct Seat {
    _guard: Option<Box<dyn Send + Sync>>,
}

impl Seat {
    pub(crate) fn held(guard: impl Send + Sync + 'static) -> Seat {
        Seat { _guard: Some(Box::new(guard)) }
    }
}

/// Where credentials come from.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// An error is sent as FATAL.
    async fn lookup(&self, candidate: &Candidate<'_>) -> PgResult<Admission>;

    /// The user showed what was asked for: may the role have a session now? An error is sent as FATAL.
    fn enter(&self, _user: &str, _role: Option<LoginRole>) -> PgResult<Seat> {
        Ok(Seat::default())
    }
}

/// Everyone is who they say: for tests and for sockets that the system guards.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust;

#[async_trait]
impl Authenticator for Trust {
    async fn lookup(&self, _candidate: &Candidate<'_>) -> PgResult<Admission> {
        Ok(Credential::Trust.into())
    }
}

/// A fixed list of roles.
#[derive(Clone, Debug, Default)]
pub struct Roles(pub HashMap<String, Credential>);

#[async_trait]
impl Authenticator for Roles {
    async fn lookup(&self, candidate: &Candidate<'_>) -> PgResult<Admission> {
        Ok(self.0.get(candidate.user).cloned().unwrap_or(Credential::Unknown).into())
    }
}

const KEY_SIZE: usize = 32;
const SALT_SIZE: usize = 16;
/// PostgreSQL's default, and what a role that is not there pretends to have.
const ITERATIONS: u32 = 4096;

/// What `pg_authid.rolpassword` holds: `SCRAM-SHA-256$4096:<salt>$<stored key>:<server key>`, base64 each.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_SIZE],
    server_key: [u8; KEY_SIZE],
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifierError {
    #[error("not of the form SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>")]
    Form,
    #[error("iteration count is not a number above zero")]
    Iterations,
    #[error("not base64")]
    Base64,
    #[error("a key is not {KEY_SIZE} bytes long")]
    KeySize,
}

impl ScramVerifier {
    /// Salts and hashes a password, normalized as RFC 5802 asks where that is possible.
    pub fn from_password(password: &str) -> PgResult<ScramVerifier> {
        Ok(ScramVerifier::with_salt(password, random_bytes::<SALT_SIZE>()?.to_vec(), ITERATIONS))
    }

    fn with_salt(password: &str, salt: Vec<u8>, iterations: u32) -> ScramVerifier {
        let salted = gen_salted_password(password, &salt, iterations as usize);
        match ScramSecret::verifier_from_salted_password(salt, salted, iterations as usize) {
            ScramSecret::Verifier { salt, stored_key, server_key, .. } => {
                let key = |bytes: Vec<u8>| bytes.try_into().expect("an SHA-256 hash is 32 bytes");
                ScramVerifier { iterations, salt, stored_key: key(stored_key), server_key: key(server_key) }
            }
            ScramSecret::SaltedPassword { .. } => unreachable!("a verifier was asked for"),
        }
    }

    fn secret(&self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.salt.clone(),
            iterations: self.iterations as usize,
            stored_key: self.stored_key.to_vec(),
            server_key: self.server_key.to_vec(),
        }
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encode = |bytes: &[u8]| BASE64.encode(bytes);
        write!(
            f,
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            encode(&self.salt),
            encode(&self.stored_key),
            encode(&self.server_key)
        )
    }
}

/// Never shows keys.
impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl FromStr for ScramVerifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<ScramVerifier, VerifierError> {
        let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or(VerifierError::Form)?;
        let (head, keys) = rest.split_once('$').ok_or(VerifierError::Form)?;
        let (iterations, salt) = head.split_once(':').ok_or(VerifierError::Form)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(VerifierError::Form)?;
        let iterations = iterations.parse().ok().filter(|count| *count > 0).ok_or(VerifierError::Iterations)?;
        let decode = |text: &str| BASE64.decode(text).map_err(|_| VerifierError::Base64);
        let key = |text: &str| decode(text)?.try_into().map_err(|_| VerifierError::KeySize);
        Ok(ScramVerifier {
            iterations,
            salt: decode(salt)?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }
}

/// What one server's exchanges share: the secret behind made-up salts, the certificate for channel binding.
pub(crate) struct Scram {
    decoy: Bytes,
    plain: ScramServerAuth,
}

/// What binds a proof to a certificate: the server's own, first in its chain. One whose signature pgwire does not know
/// offers none.
pub(crate) fn binding(certificate_pem: &[u8]) -> Option<ScramServerAuth> {
    let mut scram = ScramServerAuth::new();
    match scram.configure_certificate(certificate_pem) {
        Ok(()) => Some(scram),
        Err(error) => {
            tracing::warn!(%error, "no channel binding with this certificate");
            None
        }
    }
}

impl Scram {
    /// `decoy`: the secret behind made-up salts, drawn if there is none.
    pub fn new(decoy: Option<Bytes>) -> PgResult<Scram> {
        let decoy = match decoy {
            Some(decoy) => decoy,
            None => random_bytes::<KEY_SIZE>()?,
        };
        Ok(Scram { decoy, plain: ScramServerAuth::new() })
    }

    /// A verifier that no password fits, with a salt that is always the same for a name.
    fn decoy(&self, user: &str) -> PgResult<ScramVerifier> {
        // One round of PBKDF2 is an HMAC of the name under our secret.
        let mut salt = gen_salted_password(user, &self.decoy, 1);
        salt.truncate(SALT_SIZE);
        let key = random_bytes::<KEY_SIZE>()?;
        let key: [u8; KEY_SIZE] = key.as_ref().try_into().expect("as many bytes as were asked for");
        Ok(ScramVerifier { iterations: ITERATIONS, salt, stored_key: key, server_key: key })
    }

    /// `bound`: of the certificate that this client saw.
    pub fn begin(
        &self,
        user: &str,
        verifier: Option<ScramVerifier>,
        bound: Option<ScramServerAuth>,
    ) -> PgResult<Exchange> {
        let known = verifier.is_some();
        let verifier = match verifier {
            Some(verifier) => verifier,
            None => self.decoy(user)?,
        };
        Ok(Exchange { user: user.to_owned(), known, verifier, plain: self.plain.clone(), bound, waiting: None })
    }
}

/// One client's exchange: mechanisms, then `first`, then `last`.
pub(crate) struct Exchange {
    user: String,
    known: bool,
    verifier: ScramVerifier,
    plain: ScramServerAuth,
    bound: Option<ScramServerAuth>,
    waiting: Option<ScramServerAuthWaitingForClientFinal>,
}

impl Exchange {
    pub fn mechanisms(&self) -> Vec<String> {
        let bound = self.bound.as_ref().map(|_| SCRAM_SHA_256_PLUS_METHOD.to_owned());
        bound.into_iter().chain([SCRAM_SHA_256_METHOD.to_owned()]).collect()
    }

    /// SASLInitialResponse: the mechanism's name, a length, the client's first message. Returns the server's first.
    pub fn first(&mut self, body: &BytesMut) -> PgResult<String> {
        let (mechanism, data) = initial_response(body)?;
        let scram = match mechanism {
            name if name == SCRAM_SHA_256_METHOD.as_bytes() => {
                // With binding on offer, a client that says "I could, but you cannot" was lied to on the way.
                if data.starts_with(b"p") {
                    return Err(malformed(
                        "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes \
                         channel binding data.",
                    ));
                }
                self.bound.as_ref().unwrap_or(&self.plain)
            }
            name if name == SCRAM_SHA_256_PLUS_METHOD.as_bytes() => match &self.bound {
                Some(_) if !data.starts_with(b"p") => {
                    return Err(malformed(
                        "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel \
                         binding data.",
                    ));
                }
                Some(bound) => bound,
                None => return Err(invalid_mechanism()),
            },
            _ => return Err(invalid_mechanism()),
        };
        let (message, waiting) = scram
            .on_client_first_message_with_secret(data, self.verifier.secret())
            .map_err(|error| self.refusal(error))?;
        self.waiting = Some(waiting);
        Ok(message)
    }

    /// SASLResponse: the client's proof. Returns the server's own.
    pub fn last(&mut self, body: &BytesMut) -> PgResult<String> {
        let Some(waiting) = self.waiting.take() else {
            return Err(PgError::fatal(sqlstate::PROTOCOL_VIOLATION, "SASL response before the initial one"));
        };
        let message = waiting.on_client_final_message(body).map_err(|error| self.refusal(error))?;
        if self.known { Ok(message) } else { Err(wrong_password(&self.user)) }
    }

    fn refusal(&self, error: PgWireError) -> Box<PgError> {
        match error {
            PgWireError::InvalidPassword(_) => wrong_password(&self.user),
            PgWireError::InvalidScramMessage(detail) if detail == "Channel binding mismatch" => {
                PgError::fatal(sqlstate::INVALID_AUTHORIZATION_SPECIFICATION, "SCRAM channel binding check failed")
            }
            PgWireError::InvalidScramMessage(detail) if detail == "Nonce mismatch" => {
                PgError::fatal(sqlstate::PROTOCOL_VIOLATION, "invalid SCRAM response").detail("Nonce does not match.")
            }
            // What the client sent is not repeated to it: the text may hold a proof.
            _ => malformed("The message does not follow RFC 5802."),
        }
    }
}

fn wrong_password(user: &str) -> Box<PgError> {
    PgError::fatal(sqlstate::INVALID_PASSWORD, format!("password authentication failed for user \"{user}\""))
}

fn malformed(detail: &str) -> Box<PgError> {
    PgError::fatal(sqlstate::PROTOCOL_VIOLATION, "malformed SCRAM message").detail(detail)
}

fn invalid_mechanism() -> Box<PgError> {
    PgError::fatal(sqlstate::PROTOCOL_VIOLATION, "client selected an invalid SASL authentication mechanism")
}

fn initial_response(body: &[u8]) -> PgResult<(&[u8], &[u8])> {
    let bad = || PgError::fatal(sqlstate::PROTOCOL_VIOLATION, "invalid SASL initial response");
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(bad)?;
    let (length, data) = body[end + 1..].split_first_chunk::<4>().ok_or_else(bad)?;
    match i32::from_be_bytes(*length) {
        // No initial response: our mechanisms need one.
        -1 => Err(bad()),
        length if usize::try_from(length) == Ok(data.len()) => Ok((&body[..end], data)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use proptest::prelude::*;

    /// The example of RFC 7677, section 3: user "user", password "pencil".
    const RFC: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                       wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn verifiers_read_and_print_as_postgresql_stores_them() {
        let verifier: ScramVerifier = RFC.parse().expect("well formed");
        assert_eq!(verifier.to_string(), RFC);
        assert_eq!(ScramVerifier::with_salt("pencil", verifier.salt.clone(), 4096), verifier);
        assert!(!format!("{verifier:?}").contains("WG5d"), "keys are not shown");
        let parse = |text: &str| text.parse::<ScramVerifier>().expect_err("malformed");
        assert_eq!(parse("md5abc"), VerifierError::Form);
        assert_eq!(parse("SCRAM-SHA-256$0:AA==$AA==:AA=="), VerifierError::Iterations);
        assert_eq!(parse("SCRAM-SHA-256$1:!$AA==:AA=="), VerifierError::Base64);
        assert_eq!(parse("SCRAM-SHA-256$1:AA==$AA==:AA=="), VerifierError::KeySize);
    }

    fn initial(mechanism: &str, data: &[u8]) -> BytesMut {
        let mut body = BytesMut::new();
        body.put_slice(mechanism.as_bytes());
        body.put_u8(0);
        body.put_i32(data.len() as i32);
        body.put_slice(data);
        body
    }

    #[test]
    fn a_role_that_is_not_there_looks_like_one_that_is() {
        let scram = Scram::new(None).expect("random bytes");
        let salt = |user: &str| {
            let mut exchange = scram.begin(user, None, None).expect("begins");
            let message = exchange.first(&initial(SCRAM_SHA_256_METHOD, b"n,,n=,r=abc")).expect("goes on");
            let fields: Vec<String> = message.split(',').map(str::to_owned).collect();
            (fields[1].clone(), fields[2].clone())
        };
        assert_eq!(salt("nobody"), salt("nobody"), "the salt stays");
        assert_ne!(salt("nobody").0, salt("someone").0);
        assert_eq!(salt("nobody").1, "i=4096");
        assert_eq!(salt("nobody").0.len(), "s=W22ZaJ0SNY7soEsUEjb6gQ==".len());
    }

    #[test]
    fn mechanisms_and_their_misuse() {
        let scram = Scram::new(None).expect("random bytes");
        let begin = || scram.begin("ann", None, None).expect("begins");
        assert_eq!(begin().mechanisms(), [SCRAM_SHA_256_METHOD]);
        let first = |body: BytesMut| begin().first(&body).expect_err("refused").to_string();
        let invalid = "FATAL: client selected an invalid SASL authentication mechanism (08P01)";
        assert_eq!(first(initial("PLAIN", b"x")), invalid);
        assert_eq!(first(initial(SCRAM_SHA_256_PLUS_METHOD, b"p=tls-server-end-point,,n=,r=a")), invalid);
        let malformed = "FATAL: malformed SCRAM message (08P01)";
        assert_eq!(first(initial(SCRAM_SHA_256_METHOD, b"p=tls-server-end-point,,n=,r=a")), malformed);
        assert_eq!(first(initial(SCRAM_SHA_256_METHOD, b"n,,n=,q=a")), malformed);
        assert_eq!(first(initial(SCRAM_SHA_256_METHOD, b"\xff")), malformed);
        let bad = "FATAL: invalid SASL initial response (08P01)";
        assert_eq!(first(BytesMut::from(&b"SCRAM-SHA-256"[..])), bad);
        assert_eq!(first(BytesMut::from(&b"SCRAM-SHA-256\0\xff\xff\xff\xff"[..])), bad);
        assert_eq!(first(BytesMut::from(&b"SCRAM-SHA-256\0\0\0\0\x09abc"[..])), bad);
        let mut early = begin();
        assert!(early.last(&BytesMut::from(&b"c=biws,r=a,p=b"[..])).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        // G1
        #[test]
        fn no_message_panics(
            one in "(n|y|p=tls-server-end-point|),(a=x)?,(n=[a-z]{0,3}|m=1)(,r=[a-z,]{0,5})?",
            two in "(c=[a-z]{0,4})?,(r=[a-z]{0,6})?(,p=[a-zA-Z0-9+/=]{0,44})?",
            raw in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let scram = Scram::new(None).expect("random bytes");
            let mut exchange = scram.begin("ann", None, None).expect("begins");
            let _ = exchange.first(&initial(SCRAM_SHA_256_METHOD, one.as_bytes()));
            let _ = exchange.last(&BytesMut::from(two.as_bytes()));
            let _ = exchange.first(&initial(SCRAM_SHA_256_METHOD, &raw));
            let _ = exchange.last(&BytesMut::from(&raw[..]));
        }
    }
}
