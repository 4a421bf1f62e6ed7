//! What lies where: directories, ports, certificates and configuration files of one testbed.
//!
//! ```text
//!   DIR/cluster            the cluster's id, drawn once
//!   DIR/ca.pem, ca.key     its authority
//!   DIR/A/node.toml        written anew at each start, for ports may change
//!   DIR/A/node.pem, .key   kept
//!   DIR/A/server.pem, .key what region A shows to its clients
//!   DIR/password           of `up --auth scram`
//!   DIR/A/data/            the node's own: journal, tables
//!   DIR/netem.toml
//!   DIR/logs/A.log ...     appended to
//!   DIR/testbed.json       who runs now (see state.rs)
//! ```
pub mod addresses;
pub mod certificates;
pub mod config;
pub mod password;

use crate::place::Place;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Makes what is missing.
    pub fn create(root: &Path) -> Result<Directory> {
        let directory = Directory::at(root)?;
        for folder in Place::ALL.map(|place| directory.data(place)).iter().chain([&directory.logs()]) {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(directory)
    }

    pub fn at(root: &Path) -> Result<Directory> {
        let root = std::path::absolute(root).with_context(|| format!("'{}' is not a path", root.display()))?;
        Ok(Directory { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn node(&self, place: Place) -> PathBuf {
        self.root.join(place.name())
    }
    pub fn data(&self, place: Place) -> PathBuf {
        self.node(place).join("data")
    }
    pub fn config(&self, place: Place) -> PathBuf {
        self.node(place).join("node.toml")
    }
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }
    pub fn netem_config(&self) -> PathBuf {
        self.root.join("netem.toml")
    }
    pub fn state(&self) -> PathBuf {
        self.root.join("testbed.json")
    }
    /// What clients check a region's certificate with.
    pub fn authority(&self) -> PathBuf {
        self.root.join(certificates::AUTHORITY)
    }
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// 32 hexadecimal digits, the same at every start.
    pub fn cluster_id(&self) -> Result<u128> {
        let path = self.root.join("cluster");
        if !path.exists() {
            let id: u128 = rand::random();
            std::fs::write(&path, format!("{id:032x}\n"))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        u128::from_str_radix(text.trim(), 16).with_context(|| format!("{} holds no cluster id", path.display()))
    }
}

/// Where a testbed lives unless told: TRIVET_DATA; `.trivet` of the checkout that one is in; else the user's data folder.
pub fn default_root() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TRIVET_DATA") {
        return Ok(path.into());
    }
    if let Some(checkout) = checkout()? {
        return Ok(checkout.join(".trivet"));
    }
    Ok(user_folder("XDG_DATA_HOME", ".local/share")?.join("trivet"))
}

/// The checkout of the sources that one is in.
pub fn checkout() -> Result<Option<PathBuf>> {
    let here = std::env::current_dir().context("cannot tell the current directory")?;
    Ok(here.ancestors().find(|folder| is_checkout(folder)).map(Path::to_path_buf))
}

/// A folder of the XDG base directory specification.
pub fn user_folder(variable: &str, below_home: &str) -> Result<PathBuf> {
    match (std::env::var_os(variable), std::env::var_os("HOME")) {
        (Some(folder), _) if Path::new(&folder).is_absolute() => Ok(folder.into()),
        (_, Some(home)) => Ok(Path::new(&home).join(below_home)),
        _ => anyhow::bail!("neither {variable} nor HOME is set: say where with --data"),
    }
}

fn is_checkout(folder: &Path) -> bool {
    folder.join("trivet").is_file() && folder.join("testbed/Cargo.toml").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_id_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Directory::create(folder.path()).expect("made");
        let id = directory.cluster_id().expect("drawn");
        assert_eq!(Directory::create(folder.path()).expect("there").cluster_id().expect("read"), id);
        for place in Place::ALL {
            assert!(directory.data(place).is_dir());
        }
    }
}
