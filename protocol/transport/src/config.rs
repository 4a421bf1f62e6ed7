//! What a transport is started with. Defaults suit two regions up to half a second apart.
use crate::inspect::{Day, inspect};
use crate::roster::Roster;
use crate::tls::TlsError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use trivet_log::{Class, ClusterId, NodeId};

const MEBIBYTE: usize = 1 << 20;

#[derive(Debug)]
pub struct TransportConfig {
    pub me: NodeId,
    pub cluster: ClusterId,
    /// Everybody, this node too. A peer that was told otherwise is refused.
    pub roster: Roster,
    /// The only address that is bound. Dialling leaves from it too. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Everybody else. A connection that names another node is refused.
    pub peers: Vec<PeerAddress>,
    pub identity: Identity,
    pub limits: Limits,
    pub patience: Patience,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    pub node: NodeId,
    /// `host:port`, as this node reaches it; a name is looked up at each dial.
    pub address: String,
}

/// A node's certificate and key, and the authority (or authorities) that it trusts. For messages, where each was read.
#[derive(Debug)]
pub struct Identity {
    pub(crate) authority: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) authority_file: String,
    pub(crate) certificate_file: String,
    pub(crate) key_file: String,
}

impl Identity {
    /// Reads three PEM files: the cluster's authority, this node's certificate, this node's key.
    pub fn read(authority: &Path, certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|cause| TlsError::Read { path: path.to_owned(), cause });
        let texts = [read(authority)?, read(certificate)?, read(key)?];
        crate::tls::check_key_mode(key)?;
        Identity::of(&texts, [authority, certificate, key].map(|path| path.display().to_string()))
    }

    pub fn from_pem(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
        let files = ["the authority", "the node's certificate", "the node's key"].map(str::to_owned);
        Identity::of(&[authority, certificate, key], files)
    }

    fn of(texts: &[impl AsRef<[u8]>; 3], files: [String; 3]) -> Result<Identity, TlsError> {
        let [authority, certificate, key] = texts.each_ref().map(AsRef::as_ref);
        let [authority_file, certificate_file, key_file] = files;
        Ok(Identity {
            authority: certificates(&authority_file, authority)?,
            chain: certificates(&certificate_file, certificate)?,
            key: PrivateKeyDer::from_pem_slice(key)
                .map_err(|source| TlsError::Pem { file: key_file.clone(), detail: source.to_string() })?,
            authority_file,
            certificate_file,
            key_file,
        })
    }

    /// Until when the node's certificate is valid, and until when the one of the authorities that lasts longest.
    pub fn expiry(&self) -> Result<[Day; 2], TlsError> {
        let until = |certificate: Option<&CertificateDer<'_>>, file: &String| {
            let facts = certificate.ok_or_else(|| "no certificate".to_owned()).and_then(inspect);
            let facts = facts.map_err(|detail| TlsError::Pem { file: file.clone(), detail })?;
            Ok(facts.until)
        };
        let authorities: Result<Vec<Day>, TlsError> =
            self.authority.iter().map(|authority| until(Some(authority), &self.authority_file)).collect();
        let last = authorities?.into_iter().max().unwrap_or(Day(0));
        Ok([until(self.chain.first(), &self.certificate_file)?, last])
    }
}

impl Clone for Identity {
    fn clone(&self) -> Identity {
        Identity {
            authority: self.authority.clone(),
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            authority_file: self.authority_file.clone(),
            certificate_file: self.certificate_file.clone(),
            key_file: self.key_file.clone(),
        }
    }
}

fn certificates(file: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let refused = |detail: String| TlsError::Pem { file: file.to_owned(), detail };
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refused("no certificate in it".to_owned())),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Bounds on memory. All in bytes unless they say otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest frame, either way. Must exceed the largest message.
    pub frame_max: usize,
    /// What a peer may send on one stream before this node has read it: round trip times bandwidth, or more.
    /// 64 MiB is 128 MB/s at 500 ms.
    pub stream_window: u64,
    /// Frames accepted by `send` and not yet taken by the stream, per class and peer.
    pub queue_urgent: usize,
    pub queue_append: usize,
    pub queue_proposal: usize,
    pub queue_bulk: usize,
    /// Frames handed to the sink and not yet dropped by it, per peer: for urgent ones, and for each other class.
    pub inbound_urgent: usize,
    pub inbound_other: usize,
    /// Handshakes under way at once; from half of it on, a stranger must first prove its address.
    pub handshakes_max: usize,
    /// Connections that one peer may hold open here; the oldest goes first.
    pub connections_per_peer_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_max: 16 * MEBIBYTE,
            stream_window: 64 << 20,
            queue_urgent: 4 * MEBIBYTE,
            queue_append: 64 * MEBIBYTE,
            queue_proposal: 64 * MEBIBYTE,
            queue_bulk: 64 * MEBIBYTE,
            inbound_urgent: 4 * MEBIBYTE,
            inbound_other: 64 * MEBIBYTE,
            handshakes_max: 64,
            connections_per_peer_max: 40,
        }
    }
}

impl Limits {
    pub(crate) fn queue(&self, class: Class) -> usize {
        match class {
            Class::Urgent => self.queue_urgent,
            Class::Append => self.queue_append,
            Class::Proposal => self.queue_proposal,
            Class::Bulk => self.queue_bulk,
        }
    }

    pub(crate) fn inbound(&self, class: Class) -> usize {
        match class {
            Class::Urgent => self.inbound_urgent,
            _ => self.inbound_other,
        }
    }
}

/// How long things may take, and how hard the link is driven.
#[derive(Clone, Debug)]
pub struct Patience {
    /// A ping leaves when nothing else did for this long.
    pub keep_alive: Duration,
    /// A connection on which nothing arrives for this long is closed. At least three round trips.
    pub idle_timeout: Duration,
    /// A dial without an answer is given up; others start meanwhile, so this may be generous.
    pub handshake_deadline: Duration,
    /// A connection that has been silent for this long (and three round trips) is doubted: dials start beside it.
    pub silent_after: Duration,
    /// Time between two dials to a peer that is away, at first and once it has been away for a minute.
    pub redial_after: Duration,
    pub redial_after_long: Duration,
    /// Guess before the first round trip was measured. Too low costs a repeated handshake packet, too high a second.
    pub initial_rtt: Duration,
    /// What the link between two nodes is provisioned for: random loss alone never slows the sender below this.
    pub reserved_bytes_per_second: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            keep_alive: Duration::from_millis(250),
            idle_timeout: Duration::from_secs(2),
            handshake_deadline: Duration::from_secs(3),
            silent_after: Duration::from_millis(500),
            redial_after: Duration::from_millis(200),
            redial_after_long: Duration::from_secs(1),
            initial_rtt: Duration::from_millis(60),
            reserved_bytes_per_second: 16_000_000,
        }
    }
}
