//! What is wrong with a configuration, a certificate or a machine is said in one line, which names the file, the line or the
//! peer, and what to do. The files are those of `trivet cluster init`, with one mistake each.
use crate::harness::{Bed, bin};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use trivet_log::{ClusterId, NodeId};
use trivet_transport::certificates::{Authority, Validity, make_node_certificate_valid};
use trivet_transport::inspect::Day;

/// Longer than a process waits for a former one to let go of its files.
const SAID_WITHIN: Duration = Duration::from_secs(30);

/// A cluster's files on this machine's loopback.
struct Files {
    bed: Bed,
}

impl Files {
    fn new() -> Files {
        let bed = Bed::new();
        let root = bed.file("cluster");
        let [quic, sql] = bed.ports;
        bed.ok(&format!(
            "cluster init {} --region A=127.0.0.1 --region B=127.0.0.2 --witness W=127.0.0.3 --data-dir data \
             --open-http --quic-port {quic} --sql-port {sql} --http-port {quic}",
            root.display(),
        ));
        Files { bed }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bed.file("cluster").join(name)
    }

    fn change(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).expect("it is there");
        assert!(text.contains(from), "{from:?} is not in {name}:\n{text}");
        std::fs::write(self.path(name), text.replacen(from, to, 1)).expect("written");
    }

    fn cluster(&self) -> ClusterId {
        let text = std::fs::read_to_string(self.path("A/node.toml")).expect("it is there");
        let digits = &text.split("cluster_id = \"").nth(1).expect("an id")[..32];
        ClusterId(u128::from_str_radix(digits, 16).expect("an id"))
    }

    /// Another authority of the same cluster.
    fn other_authority(&self) -> PathBuf {
        let other = self.bed.file("other");
        self.bed.ok(&format!("cert init {} --cluster-id {:032x}", other.display(), self.cluster().0));
        other
    }

    fn issue(&self, line: &str) {
        self.bed.ok(&format!("cert issue {line}"));
    }

    /// The last line that it says before it ends by itself, with code 1.
    fn refusal(&self, binary: &str, node: &str) -> String {
        let node = Process::start(binary, &self.path(node).join("node.toml"), &self.bed.file("out"));
        node.ends();
        let text = std::fs::read_to_string(self.bed.file("out")).expect("it said something");
        let last = text.lines().rfind(|line| line.contains("ERROR")).unwrap_or_else(|| panic!("no error in:\n{text}"));
        last.to_owned()
    }
}

struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(binary: &str, config: &Path, log: &Path) -> Process {
        let out = std::fs::File::create(log).expect("writable");
        let child = Command::new(bin(binary))
            .args(["--config", config.to_str().expect("a plain path")])
            .env_remove("TRIVET_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .expect("it starts");
        Process { child, log: log.to_owned() }
    }

    fn ends(mut self) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return assert_eq!(status.code(), Some(1), "{}", self.said());
            }
            assert!(begun.elapsed() < SAID_WITHIN, "it does not end:\n{}", self.said());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn says(&self, part: &str) {
        let begun = Instant::now();
        while !self.said().contains(part) {
            assert!(begun.elapsed() < SAID_WITHIN, "it does not say {part:?}:\n{}", self.said());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Mistake = fn(&Files);

#[test]
fn each_mistake_is_told_in_a_line_that_says_what_to_do() {
    let table: [(&str, Mistake, &[&str]); 23] = [
        (
            "no file",
            |files| std::fs::remove_file(files.path("A/node.toml")).expect("removed"),
            &["cannot read the configuration", "A/node.toml: No such file", "docs/configuration.md"],
        ),
        (
            "a key misspelt",
            |files| files.change("A/node.toml", "tls_required", "tls_requird"),
            &["A/node.toml:", "unknown field `tls_requird`", "did you mean `tls_required`?"],
        ),
        (
            "a section misspelt",
            |files| files.change("A/node.toml", "[listen]", "[lisen]"),
            &["A/node.toml:", "unknown section `lisen`", "did you mean `listen`?"],
        ),
        (
            "two nodes of one name",
            |files| files.change("A/node.toml", "name = \"B\"", "name = \"A\""),
            &["A/node.toml: [[roster]]: two nodes are called \"A\""],
        ),
        (
            "a roster without this node",
            |files| files.change("A/node.toml", "id = 1", "id = 7"),
            &["A/node.toml: node.id: 7 is not in the [[roster]]"],
        ),
        (
            "no certificate",
            |files| std::fs::remove_file(files.path("A/node.pem")).expect("removed"),
            &["cannot read", "A/node.pem: No such file", "`trivet cert`"],
        ),
        (
            "a key that all can read",
            |files| {
                let mode = std::fs::Permissions::from_mode(0o644);
                std::fs::set_permissions(files.path("A/node.key"), mode).expect("changed");
            },
            &["A/node.key: the key can be read by others", "0644", "chmod 600"],
        ),
        (
            "the certificate of another node",
            |files| {
                for file in ["node.pem", "node.key"] {
                    std::fs::copy(files.path("B").join(file), files.path("A").join(file)).expect("copied");
                }
            },
            &["A/node.pem: the certificate does not name this node", "node-2.", "should be for node-1."],
        ),
        (
            "a certificate of another cluster",
            |files| {
                let other = files.other_authority();
                files.issue(&format!(
                    "node --id 1 --ca {} --out {} --replace",
                    other.display(),
                    files.path("A").display()
                ));
            },
            &[
                "A/node.pem: the certificate is not signed by the authority in",
                "A/ca.pem",
                "while an authority is replaced",
            ],
        ),
        (
            "a key of another certificate",
            |files| {
                std::fs::copy(files.path("B/node.key"), files.path("A/node.key")).expect("copied");
            },
            &["A/node.pem: the certificate cannot be used with the key", "A/node.key"],
        ),
        (
            "not a certificate",
            |files| std::fs::write(files.path("A/ca.pem"), "hello").expect("written"),
            &["A/ca.pem: it is not PEM as it should be: no certificate in it"],
        ),
        (
            "an authority that is none",
            |files| {
                let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
                std::fs::write(files.path("A/ca.pem"), text).expect("written");
            },
            &["A/ca.pem: it is not PEM as it should be: not a certificate"],
        ),
        (
            "a certificate for clients without its key",
            |files| files.change("A/node.toml", "key = \"server.key\"", ""),
            &["A/node.toml: sql.certificate and sql.key go together: give both, or none"],
        ),
        (
            "TLS for clients without a certificate",
            |files| {
                files.change("A/node.toml", "certificate = \"server.pem\"", "");
                files.change("A/node.toml", "key = \"server.key\"", "");
            },
            &["A/node.toml: sql.tls_required needs sql.certificate and sql.key"],
        ),
        (
            "no time to authenticate",
            |files| files.change("A/node.toml", "[sql]\n", "[sql]\nauthentication_timeout_s = 0\n"),
            &["A/node.toml: sql.authentication_timeout_s is a number from 1 to 600"],
        ),
        (
            "an expired certificate",
            |files| dated(files, -5, -1),
            &["A/node.pem: the certificate expired at", "it is 2", "`trivet cert issue`"],
        ),
        (
            "a clock that is far off",
            |files| dated(files, 5, 9),
            &["A/node.pem: the certificate is valid from", "this machine's clock says", "compare the clocks"],
        ),
        (
            "no certificate for clients",
            |files| std::fs::remove_file(files.path("A/server.pem")).expect("removed"),
            &["sql.certificate: cannot read", "A/server.pem", "`trivet cert issue server`"],
        ),
        (
            "a key of another certificate for clients",
            |files| {
                std::fs::copy(files.path("B/server.key"), files.path("A/server.key")).expect("copied");
            },
            &["A/server.pem", "A/server.key", "both must be of one `trivet cert issue server`"],
        ),
        (
            "an address of another machine",
            |files| files.change("A/node.toml", "quic = \"127.0.0.1", "quic = \"192.0.2.1"),
            &["cannot listen on 192.0.2.1:", "(UDP)", "this machine has no such address"],
        ),
        (
            "data of another node",
            |files| {
                // Its first start, as B, leaves data behind.
                let former = Process::start("trivet-region", &files.path("B/node.toml"), &files.bed.file("former"));
                former.says("is up");
                drop(former);
                std::fs::rename(files.path("B/data"), files.path("A/data")).expect("moved");
            },
            &["belongs to node 2", "not to node 1", "node.data_dir, node.id and node.cluster_id must be of one node"],
        ),
        (
            "a password that is none",
            |files| files.change("A/node.toml", "SCRAM-SHA-256$4096", "SCRAM-SHA-256$none"),
            &["A/node.toml: [[sql.users]] \"postgres\": the verifier is"],
        ),
        (
            "trust for strangers",
            |files| {
                files.change("A/node.toml", "auth = \"scram\"", "auth = \"trust\"");
                files.change("A/node.toml", "[sql]\nlisten = \"127.0.0.1", "[sql]\nlisten = \"192.0.2.1");
            },
            &["A/node.toml: sql.auth = \"trust\" believes whoever connects", "use auth = \"scram\""],
        ),
    ];
    for (what, mistake, parts) in table {
        let files = Files::new();
        mistake(&files);
        let line = files.refusal("trivet-region", "A");
        for part in parts {
            assert!(line.to_lowercase().contains(&part.to_lowercase()), "{what}: {part:?} is missing in\n{line}");
        }
    }
}

/// A's certificate, signed by the cluster's authority, with these days from now as its dates.
fn dated(files: &Files, from: i64, until: i64) {
    let authority =
        Authority::read(files.cluster(), &files.path("ca/ca.pem"), &files.path("ca/ca.key")).expect("there");
    let day = |days: i64| Day(Day::now().0 + days * 24 * 3600);
    let certificate = make_node_certificate_valid(&authority, NodeId(1), Validity::Between(day(from), day(until)));
    let certificate = certificate.expect("signed");
    certificate.replace(&files.path("A/node.pem"), &files.path("A/node.key")).expect("written");
}

#[test]
fn ports_that_are_taken_are_named() {
    let files = Files::new();
    let [quic, sql] = files.bed.ports;
    let taken = UdpSocket::bind(("127.0.0.1", quic)).expect("free");
    let line = files.refusal("trivet-region", "A");
    assert!(
        line.contains(&format!("cannot listen on 127.0.0.1:{quic} (UDP)"))
            && line.contains("does this node run already?"),
        "{line}"
    );
    drop(taken);
    let _sql = TcpListener::bind(("127.0.0.1", sql)).expect("free");
    let line = files.refusal("trivet-region", "A");
    assert!(line.contains(&format!("sql.listen = \"127.0.0.1:{sql}\": Another process listens there")), "{line}");
}

#[test]
fn peers_that_do_not_fit_are_named() {
    // B's file takes W for node 1 and A for node 3: a roster that was written by hand.
    let files = Files::new();
    files.change("B/node.toml", "address = \"127.0.0.1:", "address = \"127.0.0.9:");
    files.change("B/node.toml", "address = \"127.0.0.3:", "address = \"127.0.0.1:");
    let a = Process::start("trivet-region", &files.path("A/node.toml"), &files.bed.file("a"));
    a.says("is up");
    let b = Process::start("trivet-region", &files.path("B/node.toml"), &files.bed.file("b"));
    b.says("no connection to node 3 at 127.0.0.1:");
    b.says("its certificate names another node or another cluster");

    // B's file has the kinds of A and W exchanged: it would count other majorities than A does.
    let files = Files::new();
    files.change("B/node.toml", "id = 1\nkind = \"region\"", "id = 1\nkind = \"witness\"");
    files.change("B/node.toml", "id = 3\nkind = \"witness\"", "id = 3\nkind = \"region\"");
    let a = Process::start("trivet-region", &files.path("A/node.toml"), &files.bed.file("a3"));
    a.says("is up");
    let b = Process::start("trivet-region", &files.path("B/node.toml"), &files.bed.file("b3"));
    a.says("node 1 is a witness in its roster, and a region in the one here: compare the [[roster]] in both configurations");
    b.says("no connection to node 1 at 127.0.0.1:");

    // An authority of another cluster of the same name.
    let files = Files::new();
    let other = files.other_authority();
    files.issue(&format!("node --id 2 --ca {} --out {} --replace", other.display(), files.path("B").display()));
    std::fs::copy(other.join("ca.pem"), files.path("B/ca.pem")).expect("copied");
    let a = Process::start("trivet-region", &files.path("A/node.toml"), &files.bed.file("a2"));
    a.says("is up");
    let _b = Process::start("trivet-region", &files.path("B/node.toml"), &files.bed.file("b2"));
    a.says("no connection to node 2 at 127.0.0.2:");
    a.says("its certificate is not signed by this cluster's authority");
}
