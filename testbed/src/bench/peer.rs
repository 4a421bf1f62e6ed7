//! The same work here and on PostgreSQL with a synchronous standby, on this machine, in alternating rounds.
//!
//! Both have their disks to wait for and no distance: a testbed without delay, and a primary whose COMMIT waits for one
//! standby's disk. pgbench drives both, prepared statements over TCP. What remains is what the software costs.
use super::Bench;
use crate::distances;
use crate::layout::config::{Auth, Testing};
use crate::place::Place;
use crate::private::Private;
use crate::signals::StopSignals;
use crate::terminal::{Progress, Tone, cell, table};
use crate::testbed::Options;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use trivet_compat::reference::{Reference, binaries, unprivileged};
use trivet_netem::{BackendKind, Choice};

/// pgbench's scale: 100,000 accounts and a branch each.
const SCALE: u32 = 10;
const UPDATE: &str = "\\set aid random(1, 100000 * :scale)\n\
                      UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\n";

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub rounds: usize,
    pub seconds: u64,
    pub clients: usize,
}

#[derive(Debug, Serialize)]
pub struct Comparison {
    pub scale: u32,
    pub rounds: usize,
    pub seconds: u64,
    pub clients: usize,
    pub works: Vec<Work>,
}

#[derive(Debug, Serialize)]
pub struct Work {
    pub name: &'static str,
    pub trivet: Vec<f64>,
    pub postgres: Vec<f64>,
}

/// Name, and what pgbench is told.
const WORKS: [(&str, &[&str]); 3] =
    [("point read", &["-S"]), ("update of one row", &["-f", "update.sql"]), ("TPC-B", &["-b", "tpcb-like"])];

pub async fn run(settings: Settings, progress: &Progress, signals: &mut StopSignals) -> Result<Comparison> {
    if let Err(reason) = Reference::installed() {
        bail!("{reason}; `{}` needs it", Bench::Peer.name());
    }
    progress.step("bench: PostgreSQL and its standby");
    let primary = tokio::task::spawn_blocking(Primary::start).await.context("starting PostgreSQL failed")??;
    let distances = distances::parse("none").expect("a profile that netem knows");
    let options = Options {
        sql_ports: None,
        distances,
        net: Choice::One(BackendKind::Relay),
        testing: Testing::default(),
        auth: Auth::Trust,
        keeper: None,
    };
    let private = signals.unless_heard(Private::start(options, progress)).await?;
    let result = signals.unless_heard(compare(settings, &primary, &private, progress)).await;
    private.close().await?;
    result
}

async fn compare(settings: Settings, primary: &Primary, private: &Private, progress: &Progress) -> Result<Comparison> {
    let trivet = private.testbed.endpoints()?[&Place::A].address.port();
    let folder = primary.folder.path();
    std::fs::write(folder.join("update.sql"), UPDATE).context("cannot write a script")?;
    let scale = SCALE.to_string();
    for (name, port) in [("PostgreSQL", primary.port), ("Trivet", trivet)] {
        progress.step(format!("bench: filling {name}"));
        pgbench(folder, port, &["-i", "-q", "-s", &scale]).await?;
    }
    let mut works = WORKS.map(|(name, _)| Work { name, trivet: Vec::new(), postgres: Vec::new() });
    let (clients, seconds) = (settings.clients.to_string(), settings.seconds.to_string());
    for round in 0..settings.rounds {
        for (work, (name, arguments)) in works.iter_mut().zip(WORKS) {
            progress.step(format!("bench: {name}, round {} of {}", round + 1, settings.rounds));
            let mut common = vec!["-n", "-M", "prepared", "-j", "2", "--max-tries", "100", "-c", &clients];
            common.extend(["-T", &seconds]);
            common.extend(arguments);
            let mut sides = [(trivet, &mut work.trivet), (primary.port, &mut work.postgres)];
            // Who goes first changes, so that neither always finds the machine as the other left it.
            if round % 2 == 1 {
                sides.reverse();
            }
            for (port, rates) in sides {
                rates.push(tps(&pgbench(folder, port, &common).await?)?);
            }
        }
    }
    let Settings { rounds, seconds, clients } = settings;
    Ok(Comparison { scale: SCALE, rounds, seconds, clients, works: works.into() })
}

async fn pgbench(folder: &Path, port: u16, arguments: &[&str]) -> Result<String> {
    let port = port.to_string();
    let output = tokio::process::Command::new(binaries().join("pgbench"))
        .args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port])
        .args(arguments)
        .arg("postgres")
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("pgbench does not start")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || told.lines().any(|line| failed(line)) {
        bail!("pgbench {}: {told}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(told)
}

fn failed(line: &str) -> bool {
    line.strip_prefix("number of failed transactions: ").is_some_and(|rest| !rest.starts_with("0 "))
}

fn tps(told: &str) -> Result<f64> {
    let line = told.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench told no rate")?;
    let number = line.split(' ').next().unwrap_or_default();
    number.parse().with_context(|| format!("pgbench told a rate of '{number}'"))
}

/// A primary and its standby, on free ports, gone when dropped.
struct Primary {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    port: u16,
}

impl Primary {
    fn start() -> Result<Primary> {
        let folder = tempfile::Builder::new().prefix("trivet-peer-").tempdir().context("cannot make a folder")?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))
            .context("cannot open the folder to the one who runs PostgreSQL")?;
        let [port, standby] = free_ports()?;
        let primary = Primary { folder, binaries: binaries(), port };
        let (bin, path) = (primary.binaries.display(), primary.folder.path().display());
        let common = format!(
            "-c listen_addresses=127.0.0.1 -c unix_socket_directories={path} -c shared_buffers=512MB \
             -c max_wal_size=4GB -c max_connections=200"
        );
        let ask = format!("{bin}/psql -h 127.0.0.1 -p {port} -U postgres -Atqc");
        let script = format!(
            "set -e
             {bin}/initdb -D {path}/primary -A trust -U postgres -E UTF8 --locale=C
             {bin}/pg_ctl -D {path}/primary -l {path}/primary.log -w -o '-p {port} {common}' start
             {bin}/pg_basebackup -h 127.0.0.1 -p {port} -U postgres -D {path}/standby -R
             echo \"primary_conninfo = 'host=127.0.0.1 port={port} user=postgres application_name=b'\" \\
                 >> {path}/standby/postgresql.auto.conf
             {bin}/pg_ctl -D {path}/standby -l {path}/standby.log -w -o '-p {standby} {common}' start
             {ask} \"alter system set synchronous_standby_names = 'b'\"
             {ask} 'select pg_reload_conf()'
             for i in $(seq 100); do
                 [ \"$({ask} 'select sync_state from pg_stat_replication')\" = sync ] && exit 0
                 sleep 0.1
             done
             exit 1"
        );
        if !unprivileged(&script).status().context("cannot start a shell")?.success() {
            let log = |name: &str| std::fs::read_to_string(primary.folder.path().join(name)).unwrap_or_default();
            bail!("PostgreSQL and its standby did not start: {}{}", log("primary.log"), log("standby.log"));
        }
        Ok(primary)
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        let (bin, path) = (self.binaries.display(), self.folder.path().display());
        let stop = format!(
            "for node in standby primary; do {bin}/pg_ctl -D {path}/$node -m immediate stop; done
             rm -rf {path}/primary {path}/standby {path}/*.log"
        );
        // Best effort: a folder that stays behind is the system's to clean.
        let _ = unprivileged(&stop).status();
    }
}

/// Held together until both are known, so that they differ.
fn free_ports() -> Result<[u16; 2]> {
    let hold = || TcpListener::bind("127.0.0.1:0").context("no port is free");
    let holders = [hold()?, hold()?];
    let port = |holder: &TcpListener| -> Result<u16> {
        Ok(holder.local_addr().context("a bound port has no address")?.port())
    };
    Ok([port(&holders[0])?, port(&holders[1])?])
}

impl Comparison {
    pub fn render(&self) -> String {
        let mut out = table(&["work", "Trivet, per second", "PostgreSQL + sync standby", "ratio"]);
        for work in &self.works {
            let ratio = median(&work.trivet) / median(&work.postgres);
            out.add_row(vec![
                cell(Tone::Plain, work.name),
                cell(Tone::Plain, spread(&work.trivet)),
                cell(Tone::Plain, spread(&work.postgres)),
                cell(Tone::Plain, format!("{ratio:.2}")),
            ]);
        }
        format!(
            "{out}\nmedian (least to most) of {} rounds of {} s, {} clients, scale {}, no distance\n",
            self.rounds, self.seconds, self.clients, self.scale
        )
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{:.0} ({least:.0} to {most:.0})", median(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbench_tells_is_read() {
        let told = "number of failed transactions: 0 (0.000%)\ntps = 1234.500000 (without initial connection time)\n";
        assert_eq!(tps(told).expect("it is there"), 1234.5);
        assert!(!told.lines().any(failed));
        assert!(failed("number of failed transactions: 3 (0.100%)"));
        assert!(tps("nothing").is_err());
    }

    #[test]
    fn the_middle_and_the_ends() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), "2 (1 to 3)");
    }
}
