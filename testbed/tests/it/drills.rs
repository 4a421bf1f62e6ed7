//! Drills pass on a sound build, and fail on one that breaks a rule. The second half is what makes the first worth
//! anything.
use crate::harness::{Bed, read_json, told};
use serde_json::Value;

/// The drill's result, and whether it passed.
fn drill(bed: &Bed, line: &str) -> (Value, bool, String) {
    let file = bed.file("drill.json");
    let output = bed.run(&format!("drill {line} --rtt 20ms --clients 11 --json {}", file.display()));
    let text = told(&output);
    let passed = match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        other => panic!("the drill could not be carried out ({other:?}):\n{text}"),
    };
    (read_json(&file), passed, text)
}

fn broken(result: &Value) -> Vec<&str> {
    let violations = result["drills"][0]["violations"].as_array().expect("a list of violations");
    violations.iter().map(|violation| violation["what"].as_str().expect("a word")).collect()
}

#[test]
fn killing_the_leader_loses_nothing() {
    let bed = Bed::new();
    let (result, passed, text) = drill(&bed, "kill-leader --seconds 5");
    assert!(passed, "{text}");
    let drill = &result["drills"][0];
    assert_eq!(drill["rows"]["lost"], 0);
    assert!(drill["rows"]["acknowledged"].as_u64().expect("a count") > 100, "{text}");
    assert_eq!(drill["digests"]["A"], drill["digests"]["B"]);
    assert_ne!(drill["leader_before"], drill["leader_after"], "the survivor leads on");
}

#[test]
fn killing_all_at_once_loses_nothing() {
    let bed = Bed::new();
    let (result, passed, text) = drill(&bed, "restart-all --seconds 5");
    assert!(passed, "{text}");
    assert_eq!(result["drills"][0]["rows"]["lost"], 0);
}

#[test]
fn a_build_that_does_not_sync_loses_what_it_acknowledged() {
    let bed = Bed::new();
    let (result, passed, text) = drill(&bed, "restart-all --seconds 5 --sabotage skip-fsync");
    assert!(!passed, "{text}");
    assert!(broken(&result).contains(&"lost"), "{text}");
    assert!(result["drills"][0]["rows"]["lost"].as_u64().is_some_and(|lost| lost > 0), "{text}");
}

#[test]
fn a_build_that_serves_without_a_lease_is_caught_reading_stale() {
    let bed = Bed::new();
    let (result, passed, text) = drill(&bed, "isolate-leader --seconds 6 --sabotage lease-unchecked");
    assert!(!passed, "{text}");
    assert!(broken(&result).contains(&"stale"), "{text}");
}

#[test]
fn a_drill_on_a_running_testbed_cleans_up_and_leaves_it_running() {
    let bed = Bed::new();
    bed.up();
    let file = bed.file("drill.json");
    let text = bed.ok(&format!("drill cut-regions --seconds 5 --clients 11 --json {}", file.display()));
    assert!(text.contains("on the running testbed"), "{text}");
    let status = bed.status();
    assert_eq!(status["links"][0]["forward"]["settings"]["cut"], false);
    bed.ok("down");
}
