//! Distances and fault scripts from files, and testbeds whose places have networks of their own.
use crate::harness::{Bed, told};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use trivet_netem::{BackendKind, try_out};

fn settings<'a>(links: &'a Value, link: &str, way: &str) -> &'a Value {
    let links = links.as_array().expect("a list of links");
    &links.iter().find(|one| one["name"] == link).expect("a link")[way]["settings"]
}

fn links(bed: &Bed) -> Value {
    serde_json::from_str(&bed.ok("net show --json")).expect("links are JSON")
}

fn until(bed: &Bed, what: &str, condition: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    while !condition(&links(bed)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const SCRIPT: &str = "title = \"a test\"\nlength = \"1s\"\n\
    [[step]]\nat = \"0\"\nlink = \"A-W\"\ndo = \"cut\"\nfor = \"200ms\"\n\
    [[step]]\nat = \"300ms\"\nlink = \"B-A\"\none_way = true\ndelay = \"77ms\"\n";

#[test]
fn distances_and_faults_come_from_files() {
    let bed = Bed::new();
    let distances = bed.file("my.toml");
    std::fs::write(&distances, "[all]\nrtt = \"10ms\"\n[link.A-B]\nforward = { dealy = \"1ms\" }\n").expect("written");
    let up = format!("up --detach --rtt {} --ports {},{}", distances.display(), bed.ports[0], bed.ports[1]);
    let refused = bed.refused(&up);
    assert!(refused.contains("my.toml:4: unknown field `dealy`"), "{refused}");
    std::fs::write(&distances, "[all]\nrtt = \"10ms\"\n[link.A-B]\nforward = { delay = \"1ms\" }\n").expect("written");
    bed.ok(&up);
    let first = links(&bed);
    assert_eq!(settings(&first, "A-B", "forward")["delay"], "1ms");
    assert_eq!(settings(&first, "A-B", "backward")["delay"], "5ms");

    let script = bed.file("faults.toml");
    std::fs::write(&script, SCRIPT.replace("A-W", "A-Z")).expect("written");
    let refused = bed.refused(&format!("net play {}", script.display()));
    assert!(refused.contains("faults.toml:3: there is no link A-Z"), "{refused}");
    std::fs::write(&script, SCRIPT).expect("written");
    assert_eq!(
        bed.ok(&format!("net play --print {}", script.display())),
        "0s A-W both cut\n200ms A-W both heal\n300ms A-B backward delay 77ms\n1.0 s end\n"
    );
    bed.ok("net loss A-B 1%");
    let before = links(&bed);
    let text = bed.ok(&format!("net play {}", script.display()));
    for part in ["a test: 3 steps", "A-W: cut", "A-W: heal", "from B to A: delay 77ms", "as they were before"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let after = links(&bed);
    for way in ["forward", "backward"] {
        for link in ["A-B", "A-W", "B-W"] {
            assert_eq!(settings(&after, link, way), settings(&before, link, way), "{link} {way}");
        }
    }
    assert_eq!(settings(&after, "A-B", "forward")["loss"], 0.01, "as before the script, not as at the start");
    let text = bed.ok(&format!("net play --keep {}", script.display()));
    assert!(text.contains("stay as they are"), "{text}");
    assert_eq!(settings(&links(&bed), "A-B", "backward")["delay"], "77ms");

    std::fs::write(&script, "length = \"60s\"\n[[step]]\nat = \"0\"\nlink = \"A-W\"\ndo = \"cut\"\n").expect("written");
    let mut play = bed.command(&format!("net play {}", script.display()));
    let mut play = play.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("trivet starts");
    until(&bed, "the script cuts", |links| settings(links, "A-W", "forward")["cut"] == true);
    let pid = rustix::process::Pid::from_child(&play);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it plays");
    assert_eq!(play.wait().expect("it is ours").code(), Some(2));
    assert_eq!(settings(&links(&bed), "A-W", "forward")["cut"], false);

    let refused = bed.refused("exec A -- true");
    assert!(refused.contains("--net relay") && refused.contains("--net auto"), "{refused}");
    bed.ok("down");
}

fn devices_of_the_host() -> usize {
    std::fs::read_dir("/sys/class/net").expect("sysfs is there").count()
}

#[test]
fn places_have_networks_of_their_own() {
    for kind in BackendKind::ALL.into_iter().filter(|kind| kind.has_places()) {
        match try_out(kind) {
            Ok(()) => with_networks(kind),
            Err(why) => eprintln!("skipped for {kind}: {why}"),
        }
    }
}

fn with_networks(kind: BackendKind) {
    let bed = Bed::new();
    let devices = devices_of_the_host();
    bed.ok(&format!("up --detach --net {kind} --rtt 20ms --ports {},{}", bed.ports[0], bed.ports[1]));
    assert_eq!(devices_of_the_host(), devices);
    let device = if kind == BackendKind::Tun { "trivet0:" } else { "to-B:" };
    assert!(bed.ok("exec A -- cat /proc/self/net/dev").contains(device));
    let environment = bed.ok("exec A -- env");
    for line in [format!("TRIVET_SQL_A=127.0.0.1:{}", bed.ports[0]), format!("TRIVET_SQL_B=10.83.0.2:{}", bed.ports[1])]
    {
        assert!(environment.contains(&line), "{environment}");
    }

    assert!(bed.ok("net cut A-B --one-way").contains("cut"));
    let shown = links(&bed);
    assert_eq!(settings(&shown, "A-B", "forward")["cut"], true);
    assert_eq!(shown[0]["backend"], kind.name());
    bed.ok("net restore");
    bed.ok("kill B");
    bed.ok("restart B");

    if Path::new("/usr/bin/psql").exists() {
        let psql = |line: String| {
            let output = bed.run(&line);
            assert!(output.status.success(), "{line}: {}", told(&output));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let [a, b] = bed.ports;
        psql("sql A -- -Xq -c create/**/table/**/t(id/**/int/**/primary/**/key)".into());
        psql(format!("exec A -- psql -h 127.0.0.1 -p {a} -U postgres -Xq -c insert/**/into/**/t/**/values(7)"));
        let read = format!("exec A -- psql -h 10.83.0.2 -p {b} -U postgres -XAtq -c select/**/id/**/from/**/t");
        let begun = Instant::now();
        assert_eq!(psql(read), "7");
        // A client in A that talks to B: the handshake, the greeting, the statement.
        assert!(begun.elapsed() >= 3 * Duration::from_millis(20), "{:?}", begun.elapsed());
        assert_eq!(psql("sql B -- -XAtq -c select/**/id/**/from/**/t".into()), "7");
    }
    bed.ok("down");
    assert_eq!(devices_of_the_host(), devices);
}

#[test]
fn a_drill_over_networks_of_their_own() {
    for kind in BackendKind::ALL.into_iter().filter(|kind| kind.has_places()) {
        if let Err(why) = try_out(kind) {
            eprintln!("skipped for {kind}: {why}");
            continue;
        }
        let bed = Bed::new();
        let output = bed.run(&format!("drill cut-regions --private --net {kind} --rtt 20ms --seconds 5 --clients 11"));
        assert_eq!(output.status.code(), Some(0), "{kind}: {}", told(&output));
    }
}
