//! Processes that the testbed started: spawn, signal, stop.
//!
//! A process is named by its pid *and* its start time, read from `/proc`. So a pid that the system gave to somebody
//! else meanwhile is never signalled, and a state file that outlived a reboot does no harm.
//!
//! Invariants
//! - **P1** A signal goes only to a process whose start time is the recorded one.
//! - **P2** Each child leads a process group of its own: Ctrl-C in the terminal reaches `trivet`, which stops the
//!   children in order, instead of all of them at once.
use crate::within::Inside;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a wait looks again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A process for good: a pid may be used again, a pid with a start time is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    /// Clock ticks after the machine's start, field 22 of `/proc/PID/stat`.
    pub started: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Running,
    /// Stopped by SIGSTOP.
    Paused,
    Gone,
}

impl ProcessId {
    /// The process that has this pid now.
    pub fn of_pid(pid: i32) -> Option<ProcessId> {
        read_stat(pid).map(|stat| ProcessId { pid, started: stat.started })
    }

    pub fn condition(self) -> Condition {
        match read_stat(self.pid) {
            Some(stat) if stat.started == self.started => match stat.state {
                // The first thread may be gone while others still end: until the last one has, files stay open and locked.
                'Z' | 'X' if !has_threads(self.pid) => {
                    self.reap();
                    Condition::Gone
                }
                'T' | 't' => Condition::Paused,
                _ => Condition::Running,
            },
            _ => Condition::Gone,
        }
    }

    /// `None`: it is gone.
    pub fn used(self) -> Option<Used> {
        let stat = read_stat(self.pid).filter(|stat| stat.started == self.started)?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = resident.split_ascii_whitespace().next()?.parse().ok()?;
        let processor = Duration::from_millis(stat.processor_ticks * 1000 / TICKS_A_SECOND);
        Some(Used { processor, resident_bytes: kilobytes << 10 })
    }

    pub fn is_alive(self) -> bool {
        self.condition() != Condition::Gone
    }

    /// Sends a signal, if the process is still the one that was started (P1). A process that is gone is no error.
    pub fn signal(self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        match kill_process(self.raw(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot send a signal to process {}", self.pid)),
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if !self.wait_gone(Duration::from_secs(10)).await {
            bail!("process {} is still there 10 s after SIGKILL", self.pid);
        }
        Ok(())
    }

    /// SIGTERM, then SIGKILL after `grace`. Says whether the process stopped by itself.
    pub async fn stop(self, grace: Duration) -> Result<bool> {
        if self.condition() == Condition::Paused {
            self.signal(Signal::CONT)?;
        }
        self.signal(Signal::TERM)?;
        if self.wait_gone(grace).await {
            return Ok(true);
        }
        self.kill().await?;
        Ok(false)
    }

    pub async fn wait_gone(self, bound: Duration) -> bool {
        let begun = Instant::now();
        while self.is_alive() {
            if begun.elapsed() >= bound {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        true
    }

    /// A dead child of ours stays a zombie until it is waited for; a process of somebody else's is not ours to wait for.
    fn reap(self) {
        let _ = waitpid(Some(self.raw()), WaitOptions::NOHANG);
    }

    fn raw(self) -> Pid {
        Pid::from_raw(self.pid).expect("a recorded pid is above zero")
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    pub binary: PathBuf,
    pub arguments: Vec<String>,
    /// Output and errors are appended here.
    pub log: PathBuf,
    /// Whose network it has.
    pub inside: Inside,
}

impl Launch {
    pub fn spawn(&self) -> Result<ProcessId> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write the log {}", self.log.display()))?;
        let mut command = Command::new(&self.binary);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log's file")?)
            .stderr(log)
            .process_group(0);
        let child =
            self.inside.run(|| command.spawn()).with_context(|| format!("cannot start {}", self.binary.display()))?;
        let pid = i32::try_from(child.id()).expect("pids fit 31 bits on Linux");
        // Not waited for yet, so even if it died at once its entry is there.
        ProcessId::of_pid(pid).with_context(|| format!("process {pid} is not in /proc"))
    }
}

/// Finds one of the workspace's programs: in TRIVET_BIN_DIR, else beside this program.
pub fn find_binary(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("TRIVET_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => beside_this_program()?,
    };
    let path = folder.join(name);
    if !path.is_file() {
        bail!(
            "{name} is not in {}: build the whole workspace first (./trivet does, or `cargo build --workspace --bins`)",
            folder.display()
        );
    }
    Ok(path)
}

fn beside_this_program() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let folder = program.parent().expect("a program lies in a folder");
    // A test program lies one level below the programs that it tests.
    Ok(if folder.ends_with("deps") { folder.parent().unwrap_or(folder).to_path_buf() } else { folder.to_path_buf() })
}

/// The last lines of a log, for an error message that says why a process ended.
pub fn log_tail(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

struct Stat {
    state: char,
    started: u64,
    processor_ticks: u64,
}

/// Of `/proc/PID/stat`: the kernel tells programs hundredths of a second, whatever it counts in itself.
const TICKS_A_SECOND: u64 = 100;

/// What a process has used of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Its threads' time, in user space and in the kernel.
    pub processor: Duration,
    pub resident_bytes: u64,
}

fn read_stat(pid: i32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Besides the first one, whose entry stays until somebody waits for the process.
fn has_threads(pid: i32) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|tasks| tasks.count() > 1)
}

/// `pid (name) state ppid ...`; the name may hold spaces and brackets, so fields are counted from the last bracket.
fn parse_stat(line: &str) -> Option<Stat> {
    let after_name = &line[line.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
    // Fields 14 and 15, user and system, and 22.
    let processor_ticks = number(10)? + number(0)?;
    let started = number(6)?;
    Some(Stat { state, started, processor_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(folder: &Path, script: &str) -> ProcessId {
        Launch {
            binary: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            log: folder.join("log"),
            inside: Inside::Host,
        }
        .spawn()
        .expect("sh starts")
    }

    async fn until(what: &str, mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{what} did not come true");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    #[test]
    fn stat_lines_with_odd_names_read() {
        let rest = (4..=21).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = parse_stat(&format!("42 (a) b (c) T {rest} 777 0 0")).expect("a stat line");
        assert_eq!((stat.state, stat.started), ('T', 777));
        assert!(parse_stat("").is_none());
        assert!(parse_stat("42 (sh) S 1 2").is_none());
    }

    #[tokio::test]
    async fn a_process_is_paused_continued_and_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let process = launch(folder.path(), "echo heard; while :; do sleep 1; done");
        until("the shell wrote", || log_tail(&folder.path().join("log"), 1) == "heard").await;
        process.signal(Signal::STOP).expect("signal");
        until("paused", || process.condition() == Condition::Paused).await;
        process.signal(Signal::CONT).expect("signal");
        until("running", || process.condition() == Condition::Running).await;
        assert!(process.stop(Duration::from_secs(5)).await.expect("stops"));
        assert_eq!(process.condition(), Condition::Gone);
    }

    #[tokio::test]
    async fn one_that_ignores_sigterm_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let process = launch(folder.path(), "trap '' TERM; echo ready; while :; do sleep 0.05; done");
        until("the shell wrote", || log_tail(&folder.path().join("log"), 1) == "ready").await;
        assert!(!process.stop(Duration::from_millis(50)).await.expect("stops"));
        assert_eq!(process.condition(), Condition::Gone);
    }

    #[tokio::test]
    async fn a_pid_of_somebody_else_is_never_signalled() {
        let folder = tempfile::tempdir().expect("a folder");
        let process = launch(folder.path(), "sleep 60");
        let other = ProcessId { started: process.started + 1, ..process };
        assert_eq!(other.condition(), Condition::Gone);
        other.signal(Signal::KILL).expect("a process that is gone is no error");
        assert!(process.is_alive());
        process.kill().await.expect("dies");
    }
}
