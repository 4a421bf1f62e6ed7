//! A testbed's own authority and the certificates that it signs: made at the first start, kept after.
use super::Directory;
use crate::place::Place;
use anyhow::{Context, Result};
use trivet_log::{ClusterId, NodeId};
use trivet_transport::certificates::{Authority, make_ca, make_node_certificate, make_server_certificate};

pub const NODE_CERTIFICATE: &str = "node.pem";
pub const NODE_KEY: &str = "node.key";
/// What a region shows to its SQL clients.
pub const SERVER_CERTIFICATE: &str = "server.pem";
pub const SERVER_KEY: &str = "server.key";
pub const AUTHORITY: &str = "ca.pem";

/// Makes what is missing. A key is written after its certificate, so what has a key is whole.
pub fn ensure(directory: &Directory, cluster: u128) -> Result<()> {
    let cluster = ClusterId(cluster);
    let (certificate, key) = (directory.root().join(AUTHORITY), directory.root().join("ca.key"));
    let authority = if key.exists() {
        Authority::read(cluster, &certificate, &key).context("cannot read the testbed's authority")?
    } else {
        let authority = make_ca(cluster).context("cannot make an authority")?;
        authority.write(&certificate, &key).context("cannot write the testbed's authority")?;
        authority
    };
    for place in Place::ALL {
        let folder = directory.node(place);
        let (certificate, key) = (folder.join(NODE_CERTIFICATE), folder.join(NODE_KEY));
        if !key.exists() {
            make_node_certificate(&authority, NodeId(place.id()))
                .with_context(|| format!("cannot make a certificate for {place}"))?
                .write(&certificate, &key)
                .with_context(|| format!("cannot write the certificate of {place}"))?;
        }
        let (certificate, key) = (folder.join(SERVER_CERTIFICATE), folder.join(SERVER_KEY));
        if place.is_region() && !key.exists() {
            make_server_certificate(&authority, &["localhost", "127.0.0.1", "::1"].map(str::to_owned))
                .with_context(|| format!("cannot make a certificate for the clients of {place}"))?
                .write(&certificate, &key)
                .with_context(|| format!("cannot write the certificate for the clients of {place}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Directory::create(folder.path()).expect("made");
        ensure(&directory, 7).expect("made");
        let first = std::fs::read(directory.node(Place::B).join(NODE_KEY)).expect("there");
        ensure(&directory, 7).expect("kept");
        assert_eq!(std::fs::read(directory.node(Place::B).join(NODE_KEY)).expect("there"), first);
    }
}
