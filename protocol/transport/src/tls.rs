//! Mutual TLS: which authority is believed, which node a certificate names, and what can be wrong with either.
use crate::config::Identity;
use crate::inspect::{Day, Facts, Standing, inspect};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore};
use std::any::Any;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trivet_log::{ClusterId, NodeId};

/// The protocol's name in the handshake: anything else that speaks QUIC stops there.
const ALPN: &[u8] = b"trivet/1";

pub(crate) const NODE_SUFFIX: &str = "trivet";

/// Each names the file, and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {cause}{}", path.display(), what_to_do(cause))]
    Read { path: PathBuf, cause: io::Error },
    #[error(
        "{}: the key can be read by others than its owner (its mode is {mode:04o}): chmod 600 it, and if it was so on a machine with other users, issue another",
        path.display()
    )]
    Mode { path: PathBuf, mode: u32 },
    #[error("{file}: it is not PEM as it should be: {detail}")]
    Pem { file: String, detail: String },
    #[error("{file}: the authority's certificate cannot be used: {detail}")]
    Authority { file: String, detail: String },
    #[error("{file}: the certificate cannot be used with the key {key}: {detail}")]
    Certificate { file: String, key: String, detail: String },
    #[error(
        "{file}: the certificate does not name this node: it is for {found}, and should be for {expected}. `trivet cert issue node` makes one, given this node's id"
    )]
    NotMine { file: String, found: String, expected: String },
    #[error("{file}: the certificate expired at {until}; it is {now} now. Issue another: `trivet cert issue`")]
    Expired { file: String, until: Day, now: Day },
    #[error("{file}: the certificate is valid from {from} on, and this machine's clock says {now}: compare the clocks")]
    Early { file: String, from: Day, now: Day },
    #[error(
        "{file}: the certificate is not signed by the authority in {authority}: {detail}. Both must be of one cluster; while an authority is replaced, that file holds the old one and the new one"
    )]
    Untrusted { file: String, authority: String, detail: String },
}

fn what_to_do(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => ". `trivet cert` makes such files, [tls] says where they are",
        io::ErrorKind::PermissionDenied => ". It must be readable by the user that this process runs as",
        _ => "",
    }
}

/// The name that a node's certificate bears, for example `node-1.00000000000000000000000000000007.trivet`.
pub fn node_name(node: NodeId, cluster: ClusterId) -> String {
    format!("node-{}.{}", node.0, cluster_domain(cluster))
}

pub(crate) fn cluster_domain(cluster: ClusterId) -> String {
    format!("{:032x}.{NODE_SUFFIX}", cluster.0)
}

/// Which of `nodes` the other side's verified certificate names.
pub(crate) fn named_node(
    identity: Option<Box<dyn Any>>,
    nodes: impl IntoIterator<Item = NodeId>,
    cluster: ClusterId,
) -> Option<NodeId> {
    let chain = identity?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let leaf = ParsedCertificate::try_from(chain.first()?).ok()?;
    nodes.into_iter().find(|node| names(&leaf, *node, cluster))
}

fn names(leaf: &ParsedCertificate<'_>, node: NodeId, cluster: ClusterId) -> bool {
    ServerName::try_from(node_name(node, cluster)).is_ok_and(|name| verify_server_name(leaf, &name).is_ok())
}

/// What new connections are made with.
pub(crate) struct Tls {
    pub(crate) server: Arc<QuicServerConfig>,
    pub(crate) client: Arc<QuicClientConfig>,
}

impl Tls {
    /// Everything that peers would find wrong with this identity is found here first.
    pub(crate) fn new(me: NodeId, cluster: ClusterId, identity: &Identity) -> Result<Tls, TlsError> {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let certificate = |error: &dyn Display| TlsError::Certificate {
            file: identity.certificate_file.clone(),
            key: identity.key_file.clone(),
            detail: error.to_string(),
        };
        let untrusted = |detail: String| TlsError::Authority { file: identity.authority_file.clone(), detail };

        let leaf = identity.chain.first().ok_or_else(|| certificate(&"no certificate"))?;
        let facts = inspect(leaf).map_err(|error| certificate(&error))?;
        check_name(me, cluster, identity, leaf, &facts)?;
        check_dates(&facts, &identity.certificate_file)?;

        let mut roots = RootCertStore::empty();
        for authority in &identity.authority {
            roots.add(authority.clone()).map_err(|error| untrusted(error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| untrusted(error.to_string()))?;
        check_chain(&*verifier, identity)?;

        let mut server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| certificate(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|error| certificate(&error))?;
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.max_early_data_size = 0;
        server.send_tls13_tickets = 0;

        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| certificate(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|error| certificate(&error))?;
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.enable_early_data = false;
        client.resumption = Resumption::disabled();

        Ok(Tls {
            server: Arc::new(QuicServerConfig::try_from(server).map_err(|error| certificate(&error))?),
            client: Arc::new(QuicClientConfig::try_from(client).map_err(|error| certificate(&error))?),
        })
    }
}

fn check_name(
    me: NodeId,
    cluster: ClusterId,
    identity: &Identity,
    leaf: &CertificateDer<'_>,
    facts: &Facts,
) -> Result<(), TlsError> {
    let parsed = ParsedCertificate::try_from(leaf);
    match parsed.is_ok_and(|parsed| names(&parsed, me, cluster)) {
        true => Ok(()),
        false => Err(TlsError::NotMine {
            file: identity.certificate_file.clone(),
            found: if facts.names.is_empty() { "nobody".to_owned() } else { facts.names.join(", ") },
            expected: node_name(me, cluster),
        }),
    }
}

/// Whether a certificate may be shown now.
pub fn check_dates(facts: &Facts, file: &str) -> Result<(), TlsError> {
    let (now, file) = (Day::now(), file.to_owned());
    match facts.standing(now) {
        Standing::Early => Err(TlsError::Early { file, from: facts.from, now }),
        Standing::Expired => Err(TlsError::Expired { file, until: facts.until, now }),
        Standing::Valid { .. } => Ok(()),
    }
}

fn check_chain(verifier: &dyn ClientCertVerifier, identity: &Identity) -> Result<(), TlsError> {
    let (leaf, others) = identity.chain.split_first().expect("looked at before");
    match verifier.verify_client_cert(leaf, others, UnixTime::now()) {
        Ok(_) => Ok(()),
        Err(error) => {
            let detail = match &error {
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                    "another authority signed it".to_owned()
                }
                rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
                    "an authority of the same name, with another key, signed it".to_owned()
                }
                other => other.to_string(),
            };
            Err(TlsError::Untrusted {
                file: identity.certificate_file.clone(),
                authority: identity.authority_file.clone(),
                detail,
            })
        }
    }
}

/// PostgreSQL's rule: nobody else may read it, but that of root may be read by a group.
pub fn check_key_mode(key: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(key).map_err(|cause| TlsError::Read { path: key.to_owned(), cause })?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    match metadata.mode() & forbidden {
        0 => Ok(()),
        _ => Err(TlsError::Mode { path: key.to_owned(), mode: metadata.mode() & 0o7777 }),
    }
}
