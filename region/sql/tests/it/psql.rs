//! psql and pg_dump of PostgreSQL 15, on PostgreSQL and here: what they print must be the same.
//!
//! `tests/psql/schema.sql` is made on both sides. `commands.txt` lists backslash commands whose output is compared, one a line;
//! what is left out there, and why, is said there. A dump of either side is restored into the other and dumped again.
use crate::server::Server;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use trivet_compat::{Address, Reference, Side, Target};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/psql")
}

/// `None`, with a word about it: no PostgreSQL is installed.
fn reference() -> Option<Reference> {
    match Reference::installed() {
        Ok(()) => Some(Reference::start().expect("an installed PostgreSQL starts")),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

/// A program of PostgreSQL that connects to a side.
fn program(name: &str, target: &Target) -> Command {
    let mut command = Command::new(trivet_compat::reference::binaries().join(name));
    match &target.address {
        Address::Tcp(address) => {
            command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
        }
        Address::Unix(socket) => {
            command.arg("-h").arg(socket.parent().expect("a socket in a folder"));
            command.args(["-p", "5432"]);
        }
    }
    command.args(["-U", "postgres", "-d", "postgres"]);
    command.env("PGTZ", "UTC").env("LC_ALL", "C").env_remove("PGOPTIONS");
    command
}

/// What a program prints, errors included, given this to read.
async fn output(mut command: Command, input: String) -> String {
    let run = move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a program of PostgreSQL starts");
        let mut stdin = child.stdin.take().expect("its input is ours");
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, input.as_bytes()));
        let output = child.wait_with_output().expect("it ends");
        let _ = writer.join();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    tokio::task::spawn_blocking(run).await.expect("nothing panics")
}

async fn psql(target: &Target, input: &str) -> String {
    let mut command = program("psql", target);
    command.args(["-X", "-q"]);
    output(command, input.to_owned()).await
}

/// Both sides with the schema, which they take without a word.
async fn with_schema(reference: &mut Reference, server: &Server) -> (Target, Target) {
    let theirs = reference.fresh().await.expect("an empty database");
    let ours = server.target();
    let schema = std::fs::read_to_string(folder().join("schema.sql")).expect("the schema");
    for target in [&theirs, &ours] {
        assert_eq!(psql(target, &schema).await, "", "making the schema");
    }
    (theirs, ours)
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_shows_what_it_shows_of_postgresql() {
    let Some(mut reference) = reference() else { return };
    let server = Server::start().await;
    let (theirs, ours) = with_schema(&mut reference, &server).await;
    let commands = std::fs::read_to_string(folder().join("commands.txt")).expect("the commands");
    let mut differences = String::new();
    let mut count = 0;
    for line in commands.lines().filter(|line| line.starts_with('\\')) {
        count += 1;
        let (expected, found) = (psql(&theirs, line).await, psql(&ours, line).await);
        if expected != found {
            differences.push_str(&format!("{line}\nPostgreSQL:\n{expected}\nhere:\n{found}\n"));
        }
    }
    println!("{count} commands");
    assert!(count > 80, "the commands were read");
    assert!(differences.is_empty(), "\n{differences}");
}

/// A dump without what tells one run from another.
fn comparable(dump: &str) -> String {
    let own = |line: &&str| {
        !line.starts_with("-- Dumped") && !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")
    };
    dump.lines().filter(own).collect::<Vec<_>>().join("\n")
}

async fn dump(target: &Target, arguments: &[&str]) -> String {
    let mut command = program("pg_dump", target);
    command.args(arguments);
    output(command, String::new()).await
}

async fn restore_archive(from: &Target, to: &Target, path: &Path) -> String {
    let mut command = program("pg_dump", from);
    command.arg("-Fc").arg("-f").arg(path);
    let dumped = output(command, String::new()).await;
    assert_eq!(dumped, "", "an archive is written");
    let mut command = program("pg_restore", to);
    command.arg(path);
    output(command, String::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_are_restored_on_the_other_side() {
    let Some(mut reference) = reference() else { return };
    let roles = "create role reader; create role writer; create role boss;";
    let data = std::fs::read_to_string(folder().join("data.sql")).expect("the data");
    let server = Server::start().await;
    let (theirs, ours) = with_schema(&mut reference, &server).await;
    for target in [&theirs, &ours] {
        assert_eq!(psql(target, &data).await, "", "filling the tables");
    }
    for arguments in [&[][..], &["--schema-only"], &["--data-only"], &["--inserts"], &["--column-inserts"]] {
        let (expected, found) = (dump(&theirs, arguments).await, dump(&ours, arguments).await);
        assert_eq!(comparable(&found), comparable(&expected), "pg_dump {arguments:?}");
    }
    let original = dump(&theirs, &[]).await;
    let copies = tempfile::tempdir().expect("a folder");
    for inserts in [false, true] {
        let text = if inserts { dump(&ours, &["--inserts"]).await } else { original.clone() };
        let copy = Server::start().await;
        assert_eq!(psql(&copy.target(), roles).await, "");
        let said = psql(&copy.target(), &text).await;
        assert!(!said.contains("ERROR"), "restoring here, inserts {inserts}: {said}");
        assert_eq!(comparable(&dump(&copy.target(), &[]).await), comparable(&original), "restored here");
    }
    let copy = Server::start().await;
    assert_eq!(psql(&copy.target(), roles).await, "");
    let said = restore_archive(&ours, &copy.target(), &copies.path().join("ours")).await;
    assert_eq!(said, "", "an archive is restored here");
    assert_eq!(comparable(&dump(&copy.target(), &[]).await), comparable(&original), "an archive, restored here");
    let ours_dumped = dump(&ours, &[]).await;
    let back = reference.fresh().await.expect("an empty database");
    assert_eq!(psql(&back, roles).await, "");
    let said = psql(&back, &ours_dumped).await;
    assert!(!said.contains("ERROR"), "restoring into PostgreSQL: {said}");
    assert_eq!(comparable(&dump(&back, &[]).await), comparable(&original), "restored into PostgreSQL");
}
