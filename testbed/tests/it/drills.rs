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

/// Transactions were recorded, and judged as their isolation level promises.
fn histories_are_clean(drill: &Value, text: &str) {
    let histories = drill["histories"].as_array().expect("a list of histories");
    assert_eq!(histories.len(), 2, "{text}");
    for history in histories {
        assert_eq!(history["clean"], true, "{text}");
        assert!(history["committed"].as_u64().expect("a count") > 50, "{text}");
    }
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
    histories_are_clean(drill, &text);
}

#[test]
fn killing_all_at_once_loses_nothing() {
    let bed = Bed::new();
    let (result, passed, text) = drill(&bed, "restart-all --seconds 5");
    assert!(passed, "{text}");
    assert_eq!(result["drills"][0]["rows"]["lost"], 0);
}

/// Also: what is kept can be judged again, and a run that was ended goes on with what is missing.
#[test]
fn what_only_the_witness_holds_is_not_lost() {
    let bed = Bed::new();
    let folder = bed.file("report");
    let line = format!("suffix-at-witness --seconds 5 --report {}", folder.display());
    let (result, passed, text) = drill(&bed, &line);
    assert!(passed, "{text}");
    histories_are_clean(&result["drills"][0], &text);
    let kept = folder.join("suffix-at-witness");
    let files = ["append.edn", "register.edn"].map(|name| kept.join(name).display().to_string());
    let told = bed.ok(&format!("verify history {} {}", files[0], files[1]));
    assert_eq!(told.matches("clean under strict snapshot isolation").count(), 2, "{told}");
    let page = std::fs::read_to_string(folder.join("report.html")).expect("a page");
    assert!(page.contains("<svg class=\"timeline\"") && page.contains("heal A-B"), "{page}");
    let (again, passed, text) = drill(&bed, &format!("{line} --resume"));
    assert!(passed && text.contains("finished before, passed"), "{text}");
    assert_eq!(again["drills"], result["drills"]);
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
    let histories = result["drills"][0]["histories"].as_array().expect("a list of histories");
    assert!(histories.iter().any(|history| history["clean"] == false), "{text}");
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
