//! `examples/orders`: a Python program takes orders while the region that leads is killed and brought back; its books balance.
//!
//! Needs Python with the packages of `examples/orders/requirements.txt`: `TRIVET_ORDERS_PYTHON` names one, else `python3`.
//! Where there is none, or the region does not know foreign keys, the test says so and passes.
use crate::harness::{Bed, told};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TRIVET_ORDERS_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let found = Command::new(&python).args(["-c", "import psycopg, sqlalchemy"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(python)
}

#[test]
fn orders_survive_the_leader() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with psycopg and SQLAlchemy (TRIVET_ORDERS_PYTHON)");
        return;
    };
    let bed = Bed::new();
    bed.up();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/orders");
    let conninfo =
        format!("host=127.0.0.1,127.0.0.1 port={},{} user=postgres dbname=postgres", bed.ports[0], bed.ports[1]);
    let mut shop = Command::new(python)
        .arg("shop.py")
        .arg(conninfo)
        .args(["--seconds", "12"])
        .current_dir(example)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut lines = BufReader::new(shop.stdout.take().expect("piped"));
    let mut said = String::new();
    while !said.ends_with("taking orders\n") {
        if lines.read_line(&mut said).expect("text") == 0 {
            let output = shop.wait_with_output().expect("it ended");
            let text = told(&output);
            if text.contains("FeatureNotSupported") {
                eprintln!("skipped: the region does not know what the schema takes: {}", last_line(&text));
                return;
            }
            panic!("the shop did not open:\n{said}{text}");
        }
    }
    let status = bed.status();
    let nodes = status["nodes"].as_array().expect("a list of nodes");
    let leads = |node: &&serde_json::Value| node["status"]["role"] == "leader";
    let leader = nodes.iter().find(leads).and_then(|node| node["place"].as_str()).unwrap_or("A").to_owned();
    bed.ok(&format!("kill {leader}"));
    bed.ok(&format!("restart {leader}"));
    lines.read_to_string(&mut said).expect("text");
    let output = shop.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{said}{}", told(&output));
    assert!(said.ends_with("the books balance\n"), "{said}");
    println!("{said}");
    bed.ok("down");
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| line.contains("FeatureNotSupported")).unwrap_or("")
}
