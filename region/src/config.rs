//! The sections that only a region has, beside the node's own (`trivet_node::config`).
//!
//! ```toml
//! [sql]
//! listen = "127.0.0.1:5433"        # the endpoint for applications; nothing else is listened on
//! auth = "scram"                   # or "trust": whoever connects is believed. For loopback and testbeds.
//! certificate = "server.pem"       # TLS for clients; both or none
//! key = "server.key"
//! tls_required = false
//! connections_max = 500
//!
//! [[sql.users]]                    # for "scram": PostgreSQL's verifier, as in pg_authid.rolpassword
//! name = "app"
//! verifier = "SCRAM-SHA-256$4096:..."
//!
//! [storage]                        # optional
//! cache_mb = 256
//! write_buffer_mb = 64
//! ```
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use trivet_node::config::ExtraSections;

#[derive(Clone, Debug, Deserialize)]
pub struct RegionSections {
    pub sql: SqlSection,
    #[serde(default)]
    pub storage: StorageSection,
}

impl ExtraSections for RegionSections {
    const SECTIONS: &'static [&'static str] = &["sql", "storage"];
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    Trust,
    Scram,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlSection {
    pub listen: SocketAddr,
    pub auth: Auth,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    #[serde(default)]
    pub tls_required: bool,
    #[serde(default = "default_connections_max")]
    pub connections_max: usize,
    #[serde(default)]
    pub users: Vec<UserEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    pub name: String,
    pub verifier: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    pub cache_mb: usize,
    pub write_buffer_mb: usize,
}

impl Default for StorageSection {
    fn default() -> StorageSection {
        StorageSection { cache_mb: 256, write_buffer_mb: 64 }
    }
}

fn default_connections_max() -> usize {
    500
}

impl SqlSection {
    /// What the sections cannot say by their shape. The message names key and remedy.
    pub fn check(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("sql.certificate and sql.key go together: give both, or none".into());
        }
        if self.tls_required && self.certificate.is_none() {
            return Err("sql.tls_required needs sql.certificate and sql.key".into());
        }
        if self.auth == Auth::Trust && !is_loopback(self.listen.ip()) {
            return Err(format!(
                "sql.auth = \"trust\" believes whoever connects, and sql.listen = \"{}\" is not a loopback address: use auth = \"scram\"",
                self.listen
            ));
        }
        if self.auth == Auth::Scram && self.users.is_empty() {
            return Err("sql.auth = \"scram\" without any [[sql.users]] lets nobody in".into());
        }
        Ok(())
    }

    /// Paths relative to the configuration file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        for path in [&mut self.certificate, &mut self.key].into_iter().flatten() {
            *path = folder.join(&path);
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}
