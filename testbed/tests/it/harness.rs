//! Runs `trivet` with a state folder and a temporary folder of the test's own, and ends what it left running.
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct Bed {
    folder: tempfile::TempDir,
    pub ports: [u16; 2],
}

impl Bed {
    pub fn new() -> Bed {
        need_binaries();
        Bed { folder: tempfile::tempdir().expect("a temporary folder"), ports: free_ports() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trivet"));
        command
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env("TRIVET_STATE_DIR", self.file("state"))
            .env("TRIVET_DATA", self.data())
            // A drill that fails keeps its logs: in here, so that they go with the test.
            .env("TMPDIR", self.folder.path())
            .env("NO_COLOR", "1");
        command
    }

    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("trivet starts")
    }

    /// What a command that succeeds prints.
    pub fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        let text = told(&output);
        assert!(output.status.success(), "trivet {line} failed:\n{text}");
        String::from_utf8(output.stdout).expect("trivet prints text")
    }

    /// What a command that fails says.
    pub fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        let text = told(&output);
        assert_eq!(
            output.status.code(),
            Some(2),
            "trivet {line} did not fail as a command that cannot be done:\n{text}"
        );
        text
    }

    pub fn up(&self) {
        self.ok(&format!("up --detach --rtt 10ms --ports {},{}", self.ports[0], self.ports[1]));
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.ok("status --json")).expect("the status is JSON")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Nothing runs if the test went well; then this is refused.
        let _ = self.command("down").output();
    }
}

pub fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("the result is JSON")
}

/// Where a program of ours is.
pub fn bin(name: &str) -> PathBuf {
    folder().join(name)
}

fn folder() -> PathBuf {
    match std::env::var_os("TRIVET_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_BIN_EXE_trivet")).parent().expect("a program lies in a folder").to_path_buf(),
    }
}

fn need_binaries() {
    let folder = folder();
    for name in ["trivet-netem", "trivet-region", "trivet-witness"] {
        assert!(
            folder.join(name).is_file(),
            "{name} is not in {}: run `cargo build --workspace --bins` (or ./trivet test) first",
            folder.display()
        );
    }
}

/// Held together until both are known, so that they differ.
fn free_ports() -> [u16; 2] {
    let holders = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    holders.each_ref().map(|holder| holder.local_addr().expect("bound").port())
}
