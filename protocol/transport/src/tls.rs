//! Mutual TLS: which authority is believed, and which node a certificate names.
use crate::config::TransportConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::RootCertStore;
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trivet_log::{ClusterId, NodeId};

/// The protocol's name in the handshake: anything else that speaks QUIC stops there.
const ALPN: &[u8] = b"trivet/1";

pub(crate) const NODE_SUFFIX: &str = "trivet";

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("{what} is not PEM as it should be: {detail}")]
    Pem { what: &'static str, detail: String },
    #[error("the authority's certificate cannot be used: {0}")]
    Authority(String),
    #[error("the node's certificate and key cannot be used: {0}")]
    Certificate(String),
    #[error("the certificate does not name this node: it should be for {expected}")]
    NotMine { expected: String },
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

pub(crate) struct Tls {
    pub(crate) server: Arc<QuicServerConfig>,
    pub(crate) client: Arc<QuicClientConfig>,
}

impl Tls {
    pub(crate) fn new(config: &TransportConfig) -> Result<Tls, TlsError> {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let identity = &config.identity;
        let certificate = |error: &dyn std::fmt::Display| TlsError::Certificate(error.to_string());

        let leaf = identity.chain.first().ok_or_else(|| certificate(&"no certificate"))?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| certificate(&error))?;
        if !names(&parsed, config.me, config.cluster) {
            return Err(TlsError::NotMine { expected: node_name(config.me, config.cluster) });
        }

        let mut roots = RootCertStore::empty();
        for authority in &identity.authority {
            roots.add(authority.clone()).map_err(|error| TlsError::Authority(error.to_string()))?;
        }
        let roots = Arc::new(roots);

        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| TlsError::Authority(error.to_string()))?;
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

pub(crate) fn warn_if_readable_by_others(key: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(metadata) = std::fs::metadata(key)
        && metadata.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(path = %key.display(), "the key file can be read by others than its owner: chmod 600 it");
    }
}
