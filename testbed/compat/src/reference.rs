//! A PostgreSQL 15 of our own: in a temporary folder, on a Unix socket that nobody else finds, gone when dropped.
//!
//! Pinned: UTF8, locale C, UTC, trust, no fsync. It refuses to run as root, so root runs it as `postgres`.
use crate::side::Side;
use crate::wire::{Address, Connection, Target};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Debian puts it; `TRIVET_POSTGRES_BIN` says otherwise.
const BINARIES: &str = "/usr/lib/postgresql/15/bin";
const MAJOR: &str = "15";

#[derive(Debug)]
pub struct Reference {
    folder: tempfile::TempDir,
    binaries: PathBuf,
}

/// Where the programs of PostgreSQL are looked for.
pub fn binaries() -> PathBuf {
    std::env::var_os("TRIVET_POSTGRES_BIN").map_or_else(|| PathBuf::from(BINARIES), PathBuf::from)
}

/// A shell command by somebody whom PostgreSQL accepts.
pub fn unprivileged(command: &str) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    let mut process = if is_root {
        let mut process = Command::new("su");
        process.args(["-s", "/bin/sh", "postgres", "-c", command]);
        process
    } else {
        let mut process = Command::new("sh");
        process.args(["-c", command]);
        process
    };
    process.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    process
}

impl Reference {
    /// Whether one is installed; else why not.
    pub fn installed() -> Result<(), String> {
        let binaries = binaries();
        let version = Command::new(binaries.join("postgres")).arg("--version").output();
        let Ok(version) = version else {
            return Err(format!("no PostgreSQL {MAJOR} in {} (TRIVET_POSTGRES_BIN)", binaries.display()));
        };
        let text = String::from_utf8_lossy(&version.stdout).into_owned();
        match text.split_whitespace().nth(2).and_then(|number| number.split('.').next()) {
            Some(MAJOR) => Ok(()),
            _ => Err(format!("{} is not PostgreSQL {MAJOR} but {}", binaries.display(), text.trim())),
        }
    }

    pub fn start() -> Result<Reference> {
        if let Err(reason) = Reference::installed() {
            bail!(reason);
        }
        let folder = tempfile::Builder::new().prefix("trivet-pg-").tempdir().context("cannot make a folder")?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))
            .context("cannot open the folder to the one who runs PostgreSQL")?;
        let binaries = binaries();
        let (bin, path) = (binaries.display(), folder.path().display());
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={path} -c fsync=off -c timezone=UTC -c max_connections=50 \
             -c autovacuum=off -c jit=off"
        );
        let script = format!(
            "{bin}/initdb -D {path}/data -A trust -U postgres -E UTF8 --locale=C --no-sync && \
             {bin}/pg_ctl -D {path}/data -l {path}/log -w -o '{options}' start"
        );
        let started = unprivileged(&script).status().context("cannot start a shell")?.success();
        let reference = Reference { folder, binaries };
        if !started {
            let log = std::fs::read_to_string(reference.folder.path().join("log")).unwrap_or_default();
            bail!("PostgreSQL did not start: {log}");
        }
        Ok(reference)
    }

    pub fn target(&self) -> Target {
        Target::new(Address::Unix(self.folder.path().join(".s.PGSQL.5432")))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let (bin, path) = (self.binaries.display(), self.folder.path().display());
        // Best effort: a folder that stays behind is the system's to clean.
        let stop = format!("{bin}/pg_ctl -D {path}/data -m immediate stop; rm -rf {path}/data {path}/log");
        let _ = unprivileged(&stop).status();
    }
}

#[async_trait]
impl Side for Reference {
    fn name(&self) -> String {
        format!("PostgreSQL {MAJOR}")
    }

    async fn fresh(&mut self) -> Result<Target> {
        let mut admin = Connection::open(&Target { database: "template1".into(), ..self.target() }).await?;
        let leftovers = "do $$ declare name text; begin for name in select rolname from pg_roles where oid >= 16384 \
                         loop execute format('drop owned by %I cascade', name); execute format('drop role %I', name); \
                         end loop; end $$";
        for sql in ["drop database postgres with (force)", leftovers, "create database postgres template template0"] {
            if let Some(error) = admin.ask(sql).await?.error() {
                bail!("PostgreSQL cannot be made empty: {error}");
            }
        }
        Ok(self.target())
    }
}
