//! Sockets and processes inside a place, where places have networks of their own; on the host where they have not.
use crate::place::Place;
use anyhow::{Context, Result};
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use trivet_netem::{ControlClient, within_path};

/// The network that a place is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inside {
    /// The host's: loopback, shared by all.
    Host,
    /// Its own, by the path of its namespace.
    Own { namespace: PathBuf, address: Ipv4Addr },
}

impl Inside {
    /// As the network's process says.
    pub fn of(place: Place, network: &ControlClient) -> Result<Inside> {
        let own = network.places()?.into_iter().find(|known| known.name == place.name());
        Ok(match own {
            Some(own) => Inside::Own { namespace: own.namespace, address: own.address },
            None => Inside::Host,
        })
    }

    /// Runs `work` there: what it opens stays there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match self {
            Inside::Host => work(),
            Inside::Own { namespace, .. } => within_path(namespace, work),
        }
    }

    /// Moves the calling thread there; what it becomes with `exec` is there, too.
    pub fn enter(&self) -> Result<()> {
        match self {
            Inside::Host => Ok(()),
            Inside::Own { namespace, .. } => trivet_netem::enter_path(namespace)
                .with_context(|| format!("cannot enter the network namespace {} (it needs root)", namespace.display())),
        }
    }

    pub fn address(&self) -> Ipv4Addr {
        match self {
            Inside::Host => Ipv4Addr::LOCALHOST,
            Inside::Own { address, .. } => *address,
        }
    }
}
