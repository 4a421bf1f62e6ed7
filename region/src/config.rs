//! The sections that only a region has, beside the node's own (`trivet_node::config`).
//!
//! ```toml
//! [sql]
//! listen = "127.0.0.1:5433"        # the endpoint for applications
//! socket = "/run/trivet/.s.PGSQL.5433"   # optional: a Unix socket too; nothing else is listened on
//! auth = "scram"                   # or "trust": whoever connects is believed. For loopback and testbeds. Or [[sql.hba]].
//! certificate = "server.pem"       # TLS for clients; both or none
//! key = "server.key"
//! tls_required = false
//! connections_max = 500
//! authentication_timeout_s = 60
//! history_s = 10
//!
//! [[sql.hba]]                      # in the place of `auth`: the first rule that fits decides (access.rs)
//! type = "hostssl"
//! address = "10.0.0.0/8"
//! method = "scram-sha-256"
//!
//! [[sql.users]]                    # roles that log in by what stands here: PostgreSQL's verifier, as in pg_authid.rolpassword
//! name = "app"
//! verifier = "SCRAM-SHA-256$4096:..."
//!
//! [storage]                        # optional
//! cache_mb = 192
//! row_cache_mb = 512
//! write_buffer_mb = 64
//! ```
use crate::access::HbaEntry;
use serde::Deserialize;
use std::net::SocketAddr;
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
    pub socket: Option<PathBuf>,
    pub auth: Option<Auth>,
    #[serde(default)]
    pub hba: Vec<HbaEntry>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    #[serde(default)]
    pub tls_required: bool,
    #[serde(default = "default_connections_max")]
    pub connections_max: usize,
    #[serde(default = "default_authentication_timeout_s")]
    pub authentication_timeout_s: u64,
    /// How long a clean stop waits for statements and transactions that are open.
    #[serde(default = "default_stop_grace_s")]
    pub stop_grace_s: u64,
    #[serde(default)]
    pub users: Vec<UserEntry>,
    /// How long versions are kept for AS OF SYSTEM TIME.
    #[serde(default = "default_history_s")]
    pub history_s: u64,
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
    pub row_cache_mb: usize,
    pub write_buffer_mb: usize,
    /// Where statements put what is larger than `work_mem`; `tmp` in the data directory if it is not given.
    pub temporary_dir: Option<PathBuf>,
}

impl Default for StorageSection {
    fn default() -> StorageSection {
        StorageSection { cache_mb: 192, row_cache_mb: 512, write_buffer_mb: 64, temporary_dir: None }
    }
}

fn default_stop_grace_s() -> u64 {
    10
}
fn default_history_s() -> u64 {
    10
}
fn default_connections_max() -> usize {
    500
}

fn default_authentication_timeout_s() -> u64 {
    60
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
        if !(1..=600).contains(&self.authentication_timeout_s) {
            return Err("sql.authentication_timeout_s is a number from 1 to 600".into());
        }
        self.check_access()?;
        Ok(())
    }

    /// Paths relative to the configuration file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        for path in [&mut self.certificate, &mut self.key, &mut self.socket].into_iter().flatten() {
            *path = folder.join(&path);
        }
    }
}
