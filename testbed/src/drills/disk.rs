//! A disk that can be full: a file system of its own, small and in memory, where one node keeps its data for a drill.
//!
//! Mounting takes root (CAP_SYS_ADMIN). There is no other way to a true ENOSPC for one process: limits of a process give
//! EFBIG, quotas take root too, and a full disk of the machine is not a drill's to make.
//!
//! ```text
//!   make_small   stop the node, copy its data aside, mount a tmpfs there, copy it back, start the node
//!   fill         a file that takes all that is left
//!   press        large rows through that region: a node has its next 64 MB of log already, and would not notice for long
//!   empty        remove it
//!   make_large   stop the node, copy the data out, unmount, put it in place, start the node
//! ```
use crate::place::Place;
use crate::process::Condition;
use crate::sql::{self, Endpoint};
use crate::testbed::Testbed;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio_postgres::types::Type;

const SIZE: &str = "512m";
const BALLAST: &str = "ballast-of-a-drill";
const WELL_WITHIN: Duration = Duration::from_secs(60);
/// Until a region that is pressed has ended.
pub const FELT_WITHIN: Duration = Duration::from_secs(60);
const PRESSED: &str = "trivet_drill_ballast";
const PRESSED_ROW: usize = 512 << 10;
const PRESSED_WITHIN: Duration = Duration::from_secs(10);

/// Why a disk cannot be made full here.
pub fn unavailable() -> Option<String> {
    let is_root = rustix::process::geteuid().is_root();
    (!is_root).then(|| "a full disk takes a file system of its own, and mounting one takes root".to_owned())
}

fn mounted(data: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == data.to_str())
}

pub async fn make_small(testbed: &Testbed, place: Place) -> Result<()> {
    let data = testbed.directory().data(place);
    if mounted(&data) {
        return Ok(());
    }
    stop(testbed, place).await?;
    let aside = aside(&data);
    fs::rename(&data, &aside).with_context(|| format!("cannot move {} aside", data.display()))?;
    fs::create_dir(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let size = format!("size={SIZE}");
    run("mount", &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), size.as_ref(), "tmpfs".as_ref(), &data])?;
    run("cp", &["-a".as_ref(), aside.join(".").as_path(), &data])?;
    fs::remove_dir_all(&aside).with_context(|| format!("cannot remove {}", aside.display()))?;
    testbed.launch(place)?;
    testbed.wait_healthy(WELL_WITHIN).await?;
    Ok(())
}

pub async fn make_large(testbed: &Testbed, place: Place) -> Result<()> {
    let data = testbed.directory().data(place);
    if !mounted(&data) {
        return Ok(());
    }
    stop(testbed, place).await?;
    empty(&data)?;
    let aside = aside(&data);
    fs::create_dir_all(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
    run("cp", &["-a".as_ref(), data.join(".").as_path(), &aside])?;
    run("umount", &[&data])?;
    fs::remove_dir(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    fs::rename(&aside, &data).with_context(|| format!("cannot put {} back", data.display()))?;
    testbed.launch(place)?;
    testbed.wait_healthy(WELL_WITHIN).await?;
    Ok(())
}

/// Ends what a drill left mounted in a directory that nobody wants any more.
pub fn unmount(data: &Path) {
    if mounted(data) {
        // Whoever removes the directory next will say what is in the way.
        let _ = run("umount", &[data]);
    }
}

/// Writes until nothing more goes in.
pub fn fill(data: &Path) -> Result<()> {
    if !mounted(data) {
        bail!("{} is not a file system of a drill's own", data.display());
    }
    let mut file = File::create(data.join(BALLAST)).context("cannot make the file that fills the disk")?;
    for piece in [1 << 20, 1 << 12] {
        let zeros = vec![0; piece];
        loop {
            match file.write_all(&zeros) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error).context("the file that fills the disk cannot be written"),
            }
        }
    }
    Ok(())
}

/// Writes rows that are long and do not compress, until it is ended or nobody answers.
pub async fn press(endpoint: Endpoint) {
    let table = format!("CREATE TABLE IF NOT EXISTS {PRESSED} (id bigint PRIMARY KEY, filler text NOT NULL)");
    if sql::run(endpoint, &table, PRESSED_WITHIN).await.is_err() {
        return;
    }
    let insert = format!("INSERT INTO {PRESSED} (id, filler) VALUES ($1, $2)");
    while let Ok(session) = sql::connect(endpoint, PRESSED_WITHIN).await {
        loop {
            let id = rand::random::<i64>();
            let filler: String = (0..PRESSED_ROW / 16).map(|_| format!("{:016x}", rand::random::<u64>())).collect();
            let row =
                async { session.client.execute_typed(&insert, &[(&id, Type::INT8), (&filler, Type::TEXT)]).await };
            if sql::within(PRESSED_WITHIN, row).await.is_err_and(|failure| failure.broken) {
                break;
            }
        }
    }
}

pub async fn forget_press(testbed: &Testbed) -> Result<()> {
    let leader = testbed.wait_healthy(WELL_WITHIN).await?;
    sql::run(testbed.endpoints()?[&leader], &format!("DROP TABLE IF EXISTS {PRESSED}"), WELL_WITHIN).await
}

pub fn expect_full(data: &Path) -> Result<()> {
    let free = rustix::fs::statvfs(data).with_context(|| format!("cannot ask {}", data.display()))?;
    if free.f_bavail * free.f_frsize > 1 << 16 {
        bail!("{} has {} bytes left", data.display(), free.f_bavail * free.f_frsize);
    }
    Ok(())
}

pub fn empty(data: &Path) -> Result<()> {
    match fs::remove_file(data.join(BALLAST)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).context("cannot remove the file that fills the disk")
        }
        _ => Ok(()),
    }
}

fn aside(data: &Path) -> PathBuf {
    data.with_file_name("data-aside")
}

async fn stop(testbed: &Testbed, place: Place) -> Result<()> {
    if testbed.condition(place)? == Condition::Paused {
        testbed.resume(place)?;
    }
    if let Some(process) = testbed.process(place)? {
        process.stop(Duration::from_secs(20)).await?;
    }
    Ok(())
}

fn run(program: &str, arguments: &[&Path]) -> Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
