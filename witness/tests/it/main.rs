//! The witness as a process.
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use trivet_log::{ClusterId, NodeId};
use trivet_transport::certificates::{make_ca, make_node_certificate};

const BOUND: Duration = Duration::from_secs(20);
const CLUSTER: ClusterId = ClusterId(0xbeef);

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = make_ca(CLUSTER).expect("an authority");
        std::fs::write(folder.path().join("ca.pem"), &authority.certificate_pem).expect("writable");
        let certificate = make_node_certificate(&authority, NodeId(3)).expect("signed");
        certificate.write(&folder.path().join("node.pem"), &folder.path().join("node.key")).expect("written");
        Home { folder }
    }

    fn config(&self, id: u8, change: impl FnOnce(String) -> String) -> PathBuf {
        let name = ["A", "B", "W"][usize::from(id) - 1];
        let text = format!(
            "[node]\nname = \"{name}\"\nid = {id}\ndata_dir = \"data\"\ncluster_id = \"{:032x}\"\n\
             [[roster]]\nname = \"A\"\nid = 1\nkind = \"region\"\naddress = \"127.0.0.1:9\"\n\
             [[roster]]\nname = \"B\"\nid = 2\nkind = \"region\"\naddress = \"127.0.0.1:9\"\n\
             [[roster]]\nname = \"W\"\nid = 3\nkind = \"witness\"\naddress = \"127.0.0.1:9\"\n\
             [listen]\nquic = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [tls]\nca = \"ca.pem\"\ncertificate = \"node.pem\"\nkey = \"node.key\"\n",
            CLUSTER.0
        );
        let path = self.folder.path().join("witness.toml");
        std::fs::write(&path, change(text)).expect("writable");
        path
    }
}

struct Witness {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: Vec<String>,
}

impl Witness {
    fn start(config: &Path, arguments: &[&str]) -> Witness {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trivet-witness"))
            .arg("--config")
            .arg(config)
            .args(arguments)
            .env_remove("TRIVET_LOG")
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was built");
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || errors.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Witness { child, lines, log: Vec::new() }
    }

    /// Waits for a line with this in it.
    fn says(&mut self, part: &str) -> String {
        let deadline = Instant::now() + BOUND;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("it never said {part:?}, only:\n{}", self.log.join("\n")));
            self.log.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Where it serves HTTP.
    fn http(&mut self) -> String {
        let line = self.says("the witness is up");
        let address = line.split("http=").nth(1).and_then(|rest| rest.split(' ').next());
        address.expect("the line tells the address").to_owned()
    }

    fn ends(&mut self) -> ExitStatus {
        let deadline = Instant::now() + BOUND;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("it listens");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: witness\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer in text");
    answer
}

#[test]
fn it_starts_answers_and_stops_on_a_signal() {
    let home = Home::new();
    let config = home.config(3, |text| text);
    for (boot, signal) in [(1, Signal::TERM), (2, Signal::INT)] {
        let mut witness = Witness::start(&config, &[]);
        let http = witness.http();
        let health = get(&http, "/health");
        assert!(health.starts_with("HTTP/1.1 503 ") && health.ends_with("no-leader\n"), "{health}");
        let status = get(&http, "/status");
        assert!(status.contains("\"kind\":\"witness\"") && status.contains(&format!("\"boot\":{boot},")), "{status}");
        let metrics = get(&http, "/metrics");
        assert!(
            metrics.contains("trivet_term 0") && metrics.contains("trivet_transport_dropped_frames_total"),
            "{metrics}"
        );
        witness.signal(signal);
        assert!(witness.ends().success(), "{:?}", witness.log);
        witness.says("stopped");
    }
}

#[test]
fn it_survives_a_kill() {
    let home = Home::new();
    let config = home.config(3, |text| text);
    let mut witness = Witness::start(&config, &[]);
    witness.http();
    witness.signal(Signal::KILL);
    assert!(!witness.ends().success());
    let mut witness = Witness::start(&config, &[]);
    let http = witness.http();
    assert!(get(&http, "/status").contains("\"boot\":2,"));
}

#[test]
fn mistakes_are_told_in_one_line() {
    type Change = fn(String) -> String;
    let table: [(&str, u8, Change, &str); 5] = [
        (
            "a typo",
            3,
            |text| text.replace("quic =", "qiuc ="),
            "witness.toml:22: unknown field `qiuc`, expected `quic` or `http`; did you mean `quic`?, in `qiuc = \"127.0.0.1:0\"`",
        ),
        ("a region", 1, |text| text, "node A is a region, not a witness"),
        ("no key", 3, |text| text.replace("node.key", "none.key"), "cannot read"),
        (
            "the certificate of another",
            3,
            |text| text.replace("beef", "beee"),
            "the certificate does not name this node",
        ),
        ("a section of a region", 3, |text| text + "[sql]\nlisten = \"127.0.0.1:5432\"\n", "unknown section `sql`"),
    ];
    for (what, id, change, message) in table {
        let home = Home::new();
        let mut witness = Witness::start(&home.config(id, change), &[]);
        assert_eq!(witness.ends().code(), Some(1), "{what}");
        let line = witness.says("ERROR");
        assert!(line.contains(message), "{what}: {line}");
    }
}

#[test]
fn flags_override_the_file() {
    let home = Home::new();
    let config = home.config(3, |text| text.replace("127.0.0.1:0", "192.0.2.1:1"));
    let data = home.folder.path().join("elsewhere");
    let data = data.to_str().expect("a plain path");
    let listen = ["--listen-quic", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--data-dir", data, "--log", "debug"];
    let mut witness = Witness::start(&config, &listen);
    witness.http();
    assert!(Path::new(data).join("log").is_dir());
    let mut second = Witness::start(&config, &listen);
    assert_eq!(second.ends().code(), Some(1));
    second.says("in use by another process");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let home = Home::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let mut witness = Witness::start(&home.config(3, |text| text), &["--listen-quic", &address]);
    assert_eq!(witness.ends().code(), Some(1));
    witness.says(&format!("cannot listen on {address} (UDP): "));
}
