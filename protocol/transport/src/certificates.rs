//! Makes a cluster's authority and the certificates that it signs: for nodes, and for the servers that clients
//! reach. Operators may use any other authority; what counts is the name in a node's certificate
//! ([`node_name`](crate::node_name)).
use crate::inspect::Day;
use crate::tls::{NODE_SUFFIX, cluster_domain, node_name};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use trivet_log::{ClusterId, NodeId};

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Certificate {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// A cluster's authority. Its name follows from the cluster's id, so these two texts and the id are all of it.
#[derive(Clone)]
pub struct Authority {
    pub cluster: ClusterId,
    pub certificate_pem: String,
    pub key_pem: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("making a certificate failed: {0}")]
    Make(#[from] rcgen::Error),
    #[error("a server certificate may not name {0}: names that end in .{NODE_SUFFIX} are for nodes")]
    NodeName(String),
    #[error("a server certificate needs at least one name or address")]
    NoName,
}

impl Certificate {
    /// Writes both; the key readable by its owner alone.
    pub fn write(&self, certificate: &Path, key: &Path) -> io::Result<()> {
        write_with_mode(certificate, self.certificate_pem.as_bytes(), 0o644)?;
        write_with_mode(key, self.key_pem.as_bytes(), 0o600)
    }
}

impl Certificate {
    /// As `write`, but leaves what is there alone.
    pub fn write_new(&self, certificate: &Path, key: &Path) -> io::Result<()> {
        create_with_mode(key, self.key_pem.as_bytes(), 0o600)?;
        create_with_mode(certificate, self.certificate_pem.as_bytes(), 0o644)
    }

    /// Puts both in the place of older ones, each in one step, so that whoever reads meanwhile reads a whole file.
    pub fn replace(&self, certificate: &Path, key: &Path) -> io::Result<()> {
        for (path, text, mode) in [(certificate, &self.certificate_pem, 0o644), (key, &self.key_pem, 0o600)] {
            let mut next = path.as_os_str().to_owned();
            next.push(".new");
            write_with_mode(Path::new(&next), text.as_bytes(), mode)?;
            std::fs::rename(&next, path)?;
        }
        Ok(())
    }
}

impl Authority {
    /// Writes both; the key readable by its owner alone. Nodes need only the certificate.
    pub fn write(&self, certificate: &Path, key: &Path) -> io::Result<()> {
        write_with_mode(certificate, self.certificate_pem.as_bytes(), 0o644)?;
        write_with_mode(key, self.key_pem.as_bytes(), 0o600)
    }

    /// As `write`, but leaves what is there alone: a key that is overwritten is lost.
    pub fn write_new(&self, certificate: &Path, key: &Path) -> io::Result<()> {
        create_with_mode(key, self.key_pem.as_bytes(), 0o600)?;
        create_with_mode(certificate, self.certificate_pem.as_bytes(), 0o644)
    }

    /// What [`Authority::write`] wrote.
    pub fn read(cluster: ClusterId, certificate: &Path, key: &Path) -> io::Result<Authority> {
        Ok(Authority {
            cluster,
            certificate_pem: std::fs::read_to_string(certificate)?,
            key_pem: std::fs::read_to_string(key)?,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From a moment before now, so that a clock that is a little behind believes it too, until so many days from now.
    Days(u32),
    Between(Day, Day),
}

impl Validity {
    pub const AUTHORITY: Validity = Validity::Days(20 * 365);
    pub const LEAF: Validity = Validity::Days(10 * 365);
    fn apply(self, params: &mut CertificateParams) {
        const DAY: i64 = 24 * 3600;
        let now = Day::now().0;
        let (from, until) = match self {
            Validity::Days(days) => (now - DAY, now + i64::from(days) * DAY),
            Validity::Between(Day(from), Day(until)) => (from, until),
        };
        let at = |seconds: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.unsigned_abs());
        (params.not_before, params.not_after) = (at(from), at(until));
    }
}

/// Draws a new key and signs itself with it.
pub fn make_ca(cluster: ClusterId) -> Result<Authority, CertificateError> {
    make_ca_valid(cluster, Validity::AUTHORITY)
}

pub fn make_ca_valid(cluster: ClusterId, validity: Validity) -> Result<Authority, CertificateError> {
    let key = KeyPair::generate()?;
    let mut params = authority_params(cluster)?;
    validity.apply(&mut params);
    let certificate = params.self_signed(&key)?;
    Ok(Authority { cluster, certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// For one node, both as server and as client of its peers.
pub fn make_node_certificate(authority: &Authority, node: NodeId) -> Result<Certificate, CertificateError> {
    make_node_certificate_valid(authority, node, Validity::LEAF)
}

pub fn make_node_certificate_valid(
    authority: &Authority,
    node: NodeId,
    validity: Validity,
) -> Result<Certificate, CertificateError> {
    let name = node_name(node, authority.cluster);
    let mut params = leaf_params(vec![name.clone()], name)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    sign(authority, params, validity)
}

/// For what clients reach (SQL, HTTP): `names` are host names and addresses. Never passes as a node's.
pub fn make_server_certificate(authority: &Authority, names: &[String]) -> Result<Certificate, CertificateError> {
    make_server_certificate_valid(authority, names, Validity::LEAF)
}

pub fn make_server_certificate_valid(
    authority: &Authority,
    names: &[String],
    validity: Validity,
) -> Result<Certificate, CertificateError> {
    let first = names.first().ok_or(CertificateError::NoName)?.clone();
    let suffix = format!(".{NODE_SUFFIX}");
    if let Some(name) = names.iter().find(|name| name.trim_end_matches('.').to_ascii_lowercase().ends_with(&suffix)) {
        return Err(CertificateError::NodeName(name.clone()));
    }
    let mut params = leaf_params(names.to_vec(), first)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(authority, params, validity)
}

fn sign(
    authority: &Authority,
    mut params: CertificateParams,
    validity: Validity,
) -> Result<Certificate, CertificateError> {
    validity.apply(&mut params);
    let issuer = Issuer::new(authority_params(authority.cluster)?, KeyPair::from_pem(&authority.key_pem)?);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Certificate { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

fn authority_params(cluster: ClusterId) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::OrganizationName, "Trivet");
    params.distinguished_name.push(DnType::CommonName, format!("authority of {}", cluster_domain(cluster)));
    Ok(params)
}

fn leaf_params(names: Vec<String>, common_name: String) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::OrganizationName, "Trivet");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn create_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The mode is set before the first byte is there, and again if the file existed with a wider one.
fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn key_files_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (certificate, key) = (folder.path().join("node.pem"), folder.path().join("node.key"));
        std::fs::write(&key, b"an older, world-readable key").expect("writable");
        let authority = make_ca(ClusterId(7)).expect("an authority");
        make_node_certificate(&authority, NodeId(1)).expect("signed").write(&certificate, &key).expect("written");
        let mode = std::fs::metadata(&key).expect("the key is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(std::fs::read_to_string(&key).expect("readable").starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn a_server_certificate_cannot_name_a_node() {
        let authority = make_ca(ClusterId(7)).expect("an authority");
        for name in [node_name(NodeId(1), ClusterId(7)), "NODE-1.x.TRIVET".to_owned(), "a.trivet.".to_owned()] {
            let refused = make_server_certificate(&authority, &["localhost".to_owned(), name]);
            assert!(matches!(refused, Err(CertificateError::NodeName(_))));
        }
        assert!(matches!(make_server_certificate(&authority, &[]), Err(CertificateError::NoName)));
        make_server_certificate(&authority, &["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("signed");
    }
}
