//! Network namespaces, one a place, and the ways into them.
//!
//! A namespace here has no name: it lives as long as a process runs in it or a descriptor of this process holds it, and
//! its devices end with it. So there is nothing to clean up, whatever ends in whatever order, nothing of two testbeds
//! can collide, and nothing outside is ever touched. Others enter by the path of our descriptor, `/proc/PID/fd/N`.
//!
//! A namespace is a property of a thread: each is made, and entered, on a thread of its own, which ends afterwards; the
//! sockets and processes that it made stay where they were made.
mod entry;
mod tool;

pub(crate) use entry::Entry;
pub(crate) use tool::{ToolError, run};

use crate::config::{Config, PlaceConfig};
use crate::control::PlaceStatus;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

/// A network namespace of this process's making.
#[derive(Debug)]
pub(crate) struct Space {
    pub name: String,
    pub address: Ipv4Addr,
    file: File,
}

/// Why a place has no network.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    #[error("a network namespace cannot be made: {0} (it needs root)")]
    Unshare(io::Error),
    #[error("the network namespace of {place} cannot be entered")]
    Enter { place: String, source: io::Error },
    #[error("cannot listen on {address}")]
    Listen { address: std::net::SocketAddr, source: io::Error },
    #[error("/dev/net/tun gives no TUN device: {0}")]
    Tun(io::Error),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("this kernel has no sch_netem, or may not load it (Debian: it comes with linux-image-amd64)")]
    NoNetem,
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl Space {
    /// An empty network with a loopback device.
    pub fn create(place: &PlaceConfig) -> Result<Space, SpaceError> {
        let made: Result<File, SpaceError> = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare_network().map_err(SpaceError::Unshare)?;
                    let file = File::open("/proc/thread-self/ns/net").map_err(SpaceError::Unshare)?;
                    // Neighbour discovery and the like would be counted as traffic. A kernel without IPv6 has no such file.
                    for which in ["all", "default"] {
                        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
                    }
                    run("ip", "link set lo up")?;
                    Ok(file)
                })
                .join()
                .expect("making a namespace does not panic")
        });
        Ok(Space { name: place.name.clone(), address: place.address, file: made? })
    }

    /// One for each place of the configuration.
    pub fn create_all(config: &Config) -> Result<Vec<Space>, SpaceError> {
        config.places.iter().map(Space::create).collect()
    }

    /// Runs `work` on a thread inside. Sockets and processes that it makes are inside, too.
    pub fn within<T: Send, E: From<SpaceError> + Send>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter()?;
                    work()
                })
                .join()
                .expect("what runs in a namespace does not panic")
        })
    }

    /// Moves the calling thread for good.
    fn enter(&self) -> Result<(), SpaceError> {
        enter(&self.file).map_err(|source| SpaceError::Enter { place: self.name.clone(), source })
    }

    /// Where others open it, as long as this process lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    pub fn status(&self) -> PlaceStatus {
        PlaceStatus { name: self.name.clone(), address: self.address, namespace: self.path() }
    }
}

/// The thread gets a network of its own.
#[allow(deprecated, reason = "unsound only for CLONE_FILES, says rustix; this is CLONE_NEWNET")]
fn unshare_network() -> io::Result<()> {
    Ok(rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET)?)
}

fn enter(namespace: impl AsFd) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Moves the calling thread into the namespace of this path, for good. What it starts then runs there.
pub fn enter_path(namespace: &Path) -> io::Result<()> {
    enter(File::open(namespace)?)
}

/// Runs `work` on a thread in the namespace of this path.
pub fn within_path<T: Send>(namespace: &Path, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                enter_path(namespace)?;
                work()
            })
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("what ran in the namespace panicked")))
    })
}
