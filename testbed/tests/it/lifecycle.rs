//! Start, look, break by hand, stop, start again.
use crate::harness::{Bed, told};
use serde_json::Value;
use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn node<'a>(status: &'a Value, place: &str) -> &'a Value {
    let nodes = status["nodes"].as_array().expect("a list of nodes");
    nodes.iter().find(|node| node["place"] == place).expect("every place has a node")
}

fn until(bed: &Bed, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = bed.status();
        if condition(&status) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come true: {status:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One that ended and was not waited for has no command line any more.
fn is_running(pid: i64) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn a_testbed_starts_is_seen_broken_mended_and_stopped() {
    let bed = Bed::new();
    for line in ["status", "down", "net show", "kill A"] {
        let told = bed.refused(line);
        assert!(told.contains("no testbed is running"), "{line}: {told}");
    }
    bed.up();

    let told = bed.refused("up");
    assert!(told.contains("already running"), "{told}");
    let other = bed.file("other");
    let told = bed.refused(&format!("up --data {} --ports {},{}", other.display(), bed.ports[0], bed.ports[1]));
    assert!(told.contains(&format!("port {} for region A", bed.ports[0])), "{told}");

    let status = until(&bed, "all is well", |status| {
        ["A", "B", "W"].iter().all(|place| node(status, place)["status"]["leader"].is_string())
            && ["A", "B"].iter().all(|place| node(status, place)["status"]["lease"]["valid"] == true)
    });
    assert!(status["endpoints"]["B"].as_str().expect("an endpoint").ends_with(&format!(":{}/postgres", bed.ports[1])));
    assert!(bed.ok("status").contains("leads"));

    assert!(bed.ok("net cut A-B --one-way").contains("cut"));
    let links = until(&bed, "the cut is there", |status| status["links"][0]["forward"]["settings"]["cut"] == true);
    assert_eq!(links["links"][0]["backward"]["settings"]["cut"], false);
    bed.ok("net heal");
    bed.ok("net delay A-B 7ms");
    until(&bed, "the delay is there", |status| status["links"][0]["backward"]["settings"]["delay"] == "7ms");
    bed.ok("net restore");
    until(&bed, "all is as before", |status| status["links"][0]["backward"]["settings"]["delay"] == "5ms");

    bed.ok("kill W");
    until(&bed, "W is gone", |status| node(status, "W")["condition"] == "gone");
    bed.ok("restart W");
    until(&bed, "W is back", |status| node(status, "W")["status"]["leader"].is_string());
    bed.ok("pause B");
    until(&bed, "B is paused", |status| node(status, "B")["condition"] == "paused");
    bed.ok("resume B");
    until(&bed, "B has a lease again", |status| node(status, "B")["status"]["lease"]["valid"] == true);

    let pids: Vec<i64> =
        ["A", "B", "W"].iter().map(|place| node(&bed.status(), place)["pid"].as_i64().expect("a pid")).collect();
    bed.ok("down");
    for pid in pids {
        assert!(!is_running(pid), "process {pid} is still there");
    }
    assert!(bed.refused("status").contains("no testbed is running"));

    bed.up();
    bed.ok("down");
}

/// The one private testbed in the bed's temporary folder, once all its processes are recorded.
fn private_testbed(bed: &Bed) -> (std::path::PathBuf, Vec<i64>) {
    let folder = bed.file("").canonicalize().expect("the folder is there");
    let begun = Instant::now();
    loop {
        let roots = std::fs::read_dir(&folder).expect("the folder reads").filter_map(|entry| {
            let path = entry.ok()?.path();
            path.file_name()?.to_str()?.starts_with("trivet-drill-").then_some(path)
        });
        for root in roots {
            let Ok(text) = std::fs::read_to_string(root.join("testbed.json")) else { continue };
            let state: Value = serde_json::from_str(&text).expect("a state file is replaced whole");
            let nodes = state["nodes"].as_object().expect("nodes by name");
            if nodes.len() == 3 {
                let all = nodes.values().chain([&state["netem"]]);
                return (root, all.map(|process| process["pid"].as_i64().expect("a pid")).collect());
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no private testbed in {}", folder.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_private_testbed_does_not_outlive_a_drill_that_is_killed() {
    let bed = Bed::new();
    let mut drill = bed
        .command("drill kill-witness --rtt 10ms")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("trivet starts");
    let (root, pids) = private_testbed(&bed);
    drill.kill().expect("the drill runs");
    drill.wait().expect("the drill is ours");
    let begun = Instant::now();
    while root.exists() || pids.iter().any(|pid| is_running(*pid)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} or its processes {pids:?} are left", root.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_interrupted_drill_mends_what_it_broke() {
    let bed = Bed::new();
    bed.up();
    let mut drill = bed
        .command("drill cut-regions --seconds 60")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("trivet starts");
    until(&bed, "the drill cuts the link", |status| status["links"][0]["forward"]["settings"]["cut"] == true);
    let pid = rustix::process::Pid::from_child(&drill);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the drill runs");
    assert_eq!(drill.wait().expect("the drill is ours").code(), Some(2));
    assert_eq!(bed.status()["links"][0]["forward"]["settings"]["cut"], false);
    bed.ok("down");
}

#[test]
fn a_testbed_in_the_foreground_stops_on_a_signal() {
    let bed = Bed::new();
    let mut up = bed
        .command(&format!("up --rtt 10ms --ports {},{}", bed.ports[0], bed.ports[1]))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("trivet starts");
    let mut lines = std::io::BufReader::new(up.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text") == "Ctrl-C stops it."), "it says when it is up");
    let pids: Vec<i64> =
        ["A", "B", "W"].iter().map(|place| node(&bed.status(), place)["pid"].as_i64().expect("a pid")).collect();
    let pid = rustix::process::Pid::from_child(&up);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(up.wait().expect("it is ours").code(), Some(0));
    for pid in pids {
        assert!(!is_running(pid), "process {pid} is still there");
    }
}

/// What `up --auth scram` prints is what psql needs, over TLS with a name that is checked; nothing else comes in.
#[test]
fn a_testbed_that_asks_for_a_password() {
    let bed = Bed::new();
    bed.ok(&format!("up --detach --auth scram --rtt 1ms --ports {},{}", bed.ports[0], bed.ports[1]));
    let status = bed.status();
    let address = status["endpoints"]["A"].as_str().expect("an address").to_owned();
    assert!(address.contains("sslmode=verify-full&sslrootcert="), "{address}");
    if !Path::new("/usr/bin/psql").exists() {
        eprintln!("skipped in part: psql is not installed");
        return;
    }
    let psql = |target: &str| {
        let mut psql = Command::new("/usr/bin/psql");
        psql.args([target, "-XAt", "-c", "select 1"]).env("HOME", "/nonexistent").env("PGCONNECT_TIMEOUT", "10");
        told(&psql.stdin(Stdio::null()).output().expect("psql starts"))
    };
    assert_eq!(psql(&address), "1\n");
    let wrong = address.replace("postgres:", "postgres:X");
    assert!(psql(&wrong).contains("FATAL:  password authentication failed for user \"postgres\""), "{}", psql(&wrong));
    assert!(psql(&wrong.replace("postgres:", "nobody:")).contains("authentication failed for user \"nobody\""));
    let output = bed.run("sql B -- -XAt -c select(2)");
    assert_eq!(told(&output), "2\n");
    bed.ok("down");
}
