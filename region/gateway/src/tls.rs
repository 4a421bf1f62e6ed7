//! TLS for clients: a certificate chain and key, and the ALPN name that direct TLS (without SSLRequest) demands.
//!
//! A certificate may be replaced while the gateway runs. A connection keeps what its handshake showed: the proof of a
//! password may be bound to that very certificate.
use crate::authentication::binding;
use parking_lot::RwLock;
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

pub(crate) const ALPN: &[u8] = b"postgresql";

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("certificate chain is not PEM")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    #[error("certificate chain is empty")]
    NoCertificate,
    #[error("private key is not PEM")]
    Key(#[source] rustls::pki_types::pem::Error),
    #[error("certificate and key do not go together")]
    Configuration(#[source] rustls::Error),
}

/// What the gateway needs to speak TLS. Clones share it.
#[derive(Clone)]
pub struct GatewayTls {
    shown: Arc<RwLock<Arc<Shown>>>,
}

/// A certificate and what goes with it.
pub(crate) struct Shown {
    pub(crate) acceptor: TlsAcceptor,
    /// One whose signature pgwire does not know offers no binding.
    pub(crate) binding: Option<ScramServerAuth>,
}

impl std::fmt::Debug for GatewayTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayTls").finish_non_exhaustive()
    }
}

impl GatewayTls {
    /// TLS 1.2 and 1.3 with ring; no client certificates are asked for.
    pub fn from_pem(certificate_chain: &[u8], private_key: &[u8]) -> Result<GatewayTls, TlsError> {
        let shown = Arc::new(Shown::from_pem(certificate_chain, private_key)?);
        Ok(GatewayTls { shown: Arc::new(RwLock::new(shown)) })
    }

    /// For handshakes from now on. On an error nothing changes.
    pub fn replace(&self, certificate_chain: &[u8], private_key: &[u8]) -> Result<(), TlsError> {
        let shown = Arc::new(Shown::from_pem(certificate_chain, private_key)?);
        *self.shown.write() = shown;
        Ok(())
    }

    /// What the next handshake shows.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        self.shown.read().clone()
    }
}

impl Shown {
    fn from_pem(certificate_chain: &[u8], private_key: &[u8]) -> Result<Shown, TlsError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate_chain)
            .collect::<Result<_, _>>()
            .map_err(TlsError::Certificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(private_key).map_err(TlsError::Key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Configuration)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Configuration)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Shown { acceptor: TlsAcceptor::from(Arc::new(config)), binding: binding(certificate_chain) })
    }
}
