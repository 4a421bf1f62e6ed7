//! The same scripts here and on a real PostgreSQL 15: rows, column types, every field of every error must agree.
//!
//! Known differences are listed in `tests/compat/differences.txt` with their reasons; an entry that no longer differs
//! fails the run, so the list only shrinks. Without PostgreSQL's binaries the test says so and passes.
use crate::server::{Server, connect, outcome, statements};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio_postgres::{Client, Config};

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// A PostgreSQL of our own, gone when dropped.
struct Reference {
    folder: tempfile::TempDir,
}

/// PostgreSQL refuses to run as root.
fn as_postgres(command: &str) -> Command {
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0);
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
    fn start() -> Option<Reference> {
        if !Path::new(BINARIES).join("initdb").exists() {
            return None;
        }
        let folder = tempfile::tempdir().ok()?;
        let path = folder.path().display().to_string();
        let mut permissions = std::fs::metadata(folder.path()).ok()?.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o777);
        std::fs::set_permissions(folder.path(), permissions).ok()?;
        let options = format!("-c listen_addresses= -c unix_socket_directories={path} -c fsync=off -c timezone=UTC");
        let script = format!(
            "{BINARIES}/initdb -D {path}/data -A trust -U postgres -E UTF8 --locale=C --no-sync && \
             {BINARIES}/pg_ctl -D {path}/data -l {path}/log -w -o '{options}' start"
        );
        let started = as_postgres(&script).status().ok()?.success();
        started.then_some(Reference { folder })
    }

    fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).port(5432).user("postgres").dbname(database);
        config
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let path = self.folder.path().display().to_string();
        // Best effort: a folder that stays behind is the system's to clean.
        let _ =
            as_postgres(&format!("{BINARIES}/pg_ctl -D {path}/data -m immediate stop; rm -rf {path}/data")).status();
    }
}

/// Everything that a statement answers, its columns' types included.
async fn answer(client: &Client, sql: &str) -> String {
    let mut shown = outcome(client, sql).await;
    let first_word = sql.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
    let has_rows = matches!(first_word.as_str(), "select" | "values" | "with" | "(select");
    let single = sql.trim_end().trim_end_matches(';').find(';').is_none();
    if has_rows && single && shown.starts_with('[') {
        match client.prepare(sql).await {
            Ok(statement) => {
                let types: Vec<String> =
                    statement.columns().iter().map(|column| column.type_().oid().to_string()).collect();
                shown.push_str(&format!("types {}\n", types.join(" ")));
            }
            Err(error) => shown.push_str(&format!("prepare: {}", crate::server::describe(&error))),
        }
    }
    shown
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

/// `file:line reason`
fn known_differences() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder().join("differences.txt")).expect("the list of differences");
    let entries = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries
        .map(|line| {
            let (place, reason) = line.split_once(' ').expect("an entry has a reason");
            (place.to_string(), reason.to_string())
        })
        .collect()
}

#[tokio::test]
async fn answers_are_postgresqls() {
    let Some(reference) = Reference::start() else {
        eprintln!("skipped: no PostgreSQL 15 in {BINARIES}, or it does not start");
        return;
    };
    let known = known_differences();
    let admin = connect(&reference.config("postgres")).await;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the scripts' folder")
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    let mut failures = String::new();
    let mut unused: Vec<String> = known.keys().cloned().collect();
    for file in files {
        let name = file.file_name().expect("a file's name").to_string_lossy().into_owned();
        let script = std::fs::read_to_string(&file).expect("a script");
        admin.batch_execute("drop database if exists compared").await.expect("a scratch database");
        admin.batch_execute("create database compared template template0").await.expect("a scratch database");
        let theirs = connect(&reference.config("compared")).await;
        let server = Server::start().await;
        let ours = server.client().await;
        for (line, sql) in statements(&script) {
            let (expected, found) = (answer(&theirs, &sql).await, answer(&ours, &sql).await);
            let place = format!("{name}:{line}");
            let listed = known.contains_key(&place);
            unused.retain(|entry| *entry != place);
            match (expected == found, listed) {
                (true, true) => failures.push_str(&format!("{place} no longer differs: take it off the list\n")),
                (false, false) => {
                    failures.push_str(&format!("{place} {sql}\n  PostgreSQL:\n{expected}  here:\n{found}\n"));
                }
                _ => {}
            }
        }
    }
    unused.iter().for_each(|entry| failures.push_str(&format!("{entry} is listed, but there is no such statement\n")));
    assert!(failures.is_empty(), "\n{failures}");
}
