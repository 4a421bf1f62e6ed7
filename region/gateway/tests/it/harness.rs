//! A gateway over the toy engine, and waiting for a condition with a bound.
use crate::toy::{Seen, Toy};
use crate::wire::{PATIENCE, Wire};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use trivet_gateway::{Authenticator, GatewayConfig, GatewayHandle, GatewayTls, ListenAddress, Totals, Trust, serve};

pub struct Gateway {
    pub handle: GatewayHandle,
    pub seen: Arc<Seen>,
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
}

pub async fn gateway() -> Gateway {
    gateway_with(GatewayConfig::default(), Arc::new(Trust)).await
}

pub async fn gateway_with(mut config: GatewayConfig, authenticator: Arc<dyn Authenticator>) -> Gateway {
    if config.listen.is_empty() {
        config.listen = vec![ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))];
    }
    let engine = Toy::default();
    let seen = engine.seen.clone();
    let shutdown = CancellationToken::new();
    let handle = serve(config, Arc::new(engine), authenticator, shutdown.clone()).await.expect("the gateway listens");
    let address = handle.local_addr().expect("it listens on TCP");
    Gateway { handle, seen, address, shutdown }
}

impl Gateway {
    pub async fn connect(&self) -> Wire {
        Wire::connect(self.address).await
    }

    pub fn totals(&self) -> Totals {
        self.handle.totals()
    }

    /// A fresh client is served as ever.
    pub async fn serves(&self) {
        let answer = self.connect().await.ask(&crate::wire::query("select 1")).await;
        assert!(answer.contains("DataRow \"1\""), "{answer}");
    }
}

/// Until it holds; the bound is generous, the step small.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub struct Certificate {
    pub tls: GatewayTls,
    /// Certificate and key.
    pub pem: [String; 2],
    pub der: rustls::pki_types::CertificateDer<'static>,
}

impl Certificate {
    /// What channel binding compares: the certificate's hash, SHA-256 since that is what signs it.
    pub fn fingerprint(&self) -> Vec<u8> {
        let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let hash = suite.tls13().expect("a suite of TLS 1.3").common.hash_provider;
        hash.hash(&self.der).as_ref().to_vec()
    }
}

/// Self-signed, for localhost.
pub fn certificate() -> Certificate {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let pem = [pair.cert.pem(), pair.signing_key.serialize_pem()];
    let tls = GatewayTls::from_pem(pem[0].as_bytes(), pem[1].as_bytes());
    Certificate { tls: tls.expect("a TLS configuration"), pem, der: pair.cert.der().clone() }
}

pub fn client_tls(certificate: &Certificate, alpn: &[&[u8]]) -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

pub fn localhost() -> rustls::pki_types::ServerName<'static> {
    rustls::pki_types::ServerName::try_from("localhost").expect("a host name")
}
