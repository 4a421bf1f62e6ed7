//! Clients with a list of addresses, as libpq goes through it: which region they get.
use crate::harness::{Bed, told};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The port that psql ended up with, or what it said.
fn connected(first: u16, second: u16, attributes: &str) -> Result<u16, String> {
    let target = format!(
        "host=127.0.0.1,127.0.0.1 port={first},{second} user=postgres dbname=postgres connect_timeout=5 \
         target_session_attrs={attributes}"
    );
    let output: Output = Command::new("psql")
        .args(["-X", "-t", "-A", &target, "-c", "\\echo :PORT", "-c", "select 1"])
        .output()
        .expect("psql is installed");
    match output.status.success() {
        true => {
            let text = String::from_utf8(output.stdout).expect("text");
            Ok(text.lines().next().and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("no port in {text:?}")))
        }
        false => Err(told(&output)),
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come true");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_client_with_both_addresses_gets_a_region_that_serves() {
    if Command::new("psql").arg("--version").output().is_err() {
        return eprintln!("left out: psql is not installed");
    }
    let bed = Bed::new();
    bed.up();
    let [a, b] = bed.ports;
    for attributes in ["any", "read-write", "primary", "prefer-standby"] {
        assert_eq!(connected(b, a, attributes), Ok(b), "{attributes}: both serve, the first one is taken");
    }
    for attributes in ["read-only", "standby"] {
        assert!(connected(b, a, attributes).is_err(), "{attributes}: there is none");
    }
    // B hears nobody: it lets clients in, and says that it is not what they want.
    bed.ok("net cut A-B");
    bed.ok("net cut B-W");
    until("read-write passes over a region that is cut off", || connected(b, a, "read-write") == Ok(a));
    bed.ok("net heal");
    until("it is back", || connected(b, a, "read-write") == Ok(b));
    // And one that is not there at all.
    bed.ok("kill A");
    until("the other one serves alone", || connected(a, b, "read-write") == Ok(b));
}
