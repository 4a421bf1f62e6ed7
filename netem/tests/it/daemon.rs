//! The daemon as a process: control lines, scripts, and its end.
use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use trivet_netem::control::ControlError;
use trivet_netem::{Change, ControlClient, Direction};

struct Process {
    child: Child,
    control: SocketAddr,
    /// Held open: the daemon ends with it.
    stdin: Option<ChildStdin>,
    _directory: tempfile::TempDir,
}

impl Process {
    fn start(config: &Config) -> Process {
        let directory = tempfile::tempdir().expect("there is room for a file");
        let path = directory.path().join("netem.toml");
        std::fs::write(&path, config.to_toml()).expect("there is room for a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_trivet-netem"))
            .args(["serve", "--control", "127.0.0.1:0", "--until-stdin-closes", "--config"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary was built with this test");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it was asked for");
        BufReader::new(stdout).read_line(&mut line).expect("the daemon says where it listens");
        let control = line.trim().strip_prefix("control ").expect("the line starts so").parse();
        let stdin = child.stdin.take();
        Process { child, control: control.expect("an address follows"), stdin, _directory: directory }
    }

    fn wait(mut self) {
        eventually("the daemon ends", || self.child.try_wait().expect("the child is ours").is_some());
        assert!(self.child.wait().expect("the child is ours").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn target() -> UdpSocket {
    let target = UdpSocket::bind(any_port()).expect("loopback has a free port");
    target.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    target
}

fn udp_config(target: &UdpSocket) -> Config {
    let address = target.local_addr().expect("a bound socket has an address");
    config(Transport::Udp, LinkSettings::default(), address)
}

#[test]
fn a_process_is_steered_and_stopped() {
    let target = target();
    let process = Process::start(&udp_config(&target));
    let client = ControlClient::connect_within(process.control, PATIENCE).expect("the daemon answers");
    let entry = client.routes().expect("the daemon answers")[0].listen;
    assert_ne!(entry.port(), 0);

    client.delay("A-B", Direction::Forward, milliseconds(20)).expect("the link exists");
    let sender = UdpSocket::bind(any_port()).expect("loopback has a free port");
    let sent = Instant::now();
    sender.send_to(b"x", entry).expect("loopback sends");
    target.recv(&mut [0; 10]).expect("the packet arrives");
    assert!(sent.elapsed() >= milliseconds(20), "early: {:?}", sent.elapsed());

    client.cut("A-B", Direction::Both).expect("the link exists");
    sender.send_to(b"x", entry).expect("loopback sends");
    eventually("the cut swallows it", || client.show().expect("the daemon answers")[0].forward.dropped_by_cut == 1);
    client.restore("A-B", Direction::Both).expect("the link exists");
    let links = client.show().expect("the daemon answers");
    assert_eq!(links[0].forward.settings, LinkSettings::default());
    assert_eq!(links[0].backend, "relay");
    assert!(links[0].forward.packets == 2 && links[0].forward.bytes == 2);

    let refused = client.heal("A-X", Direction::Both);
    assert!(
        matches!(refused, Err(ControlError::Refused(ref message)) if message.contains("known: A-B")),
        "{refused:?}"
    );
    client.stop().expect("the daemon answers");
    process.wait();
}

#[test]
fn it_ends_with_the_process_that_started_it() {
    let target = target();
    let mut process = Process::start(&udp_config(&target));
    drop(process.stdin.take());
    process.wait();
}

#[test]
fn a_script_plays_and_a_new_one_replaces_it() {
    let target = target();
    let process = Process::start(&udp_config(&target));
    let client = ControlClient::connect(process.control).expect("the daemon answers");
    let forward = || client.show().expect("the daemon answers")[0].forward.settings.clone();
    client.play("0s A-B both delay 7ms\n20ms A-B forward cut\n40ms A-B both restore").expect("a script");
    eventually("the script cuts", || forward().cut);
    eventually("the script restores", || forward() == LinkSettings::default());

    client.play("0s A-B both delay 9ms\n1000s A-B both cut").expect("a script");
    eventually("the second script begins", || forward().delay == milliseconds(9));
    client.play("0s A-B both restore").expect("a script");
    eventually("the third replaces it", || forward() == LinkSettings::default());

    for (script, message) in [("0s A-X both cut", "there is no link \"A-X\""), ("now", "line 1 of the fault script")] {
        let refused = client.play(script).expect_err(script).to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn lines_that_are_no_requests_are_answered_too() {
    let target = target();
    let process = Process::start(&udp_config(&target));
    let mut stream = TcpStream::connect(process.control).expect("the daemon listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    stream
        .write_all(b"hello\n{\"op\":\"show\",\"x\":1}\n{\"op\":\"change\",\"link\":\"A-B\",\"direction\":\"both\",\"change\":{\"loss\":7}}\n\xff\xfe\n")
        .expect("the daemon reads");
    let mut answers = BufReader::new(stream).lines();
    let mut answer = || answers.next().expect("there is an answer").expect("it is text");
    assert!(answer().starts_with("{\"error\":\"not a request"));
    assert!(answer().starts_with("{\"links\":[{\"name\":\"A-B\""));
    assert!(answer().contains("chance 7 is not in 0 to 1"));
}

#[test]
fn a_client_survives_nothing_but_says_so() {
    let target = target();
    let process = Process::start(&udp_config(&target));
    let client = ControlClient::connect(process.control).expect("the daemon answers");
    drop(process);
    let gone = client.change("A-B", Direction::Both, Change::Cut);
    assert!(matches!(gone, Err(ControlError::Closed | ControlError::Io(_))), "{gone:?}");
    let still_gone = client.show();
    assert!(matches!(still_gone, Err(ControlError::Closed)), "{still_gone:?}");
}
