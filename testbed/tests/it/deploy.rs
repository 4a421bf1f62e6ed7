//! What a deployment leans on: pages, alerts and units agree with the programs; a release is whole; the page's commands work.
use crate::harness::{Bed, bin, told};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate of the workspace")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(checkout().join(path)).expect(path)
}

/// Every word that begins with `trivet_` and goes on with small letters.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '_'));
    words.filter(|word| word.starts_with("trivet_")).map(str::to_owned).collect()
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        match entry.extension() {
            _ if entry.is_dir() => sources(&entry, text),
            Some(extension) if extension == "rs" => *text += &std::fs::read_to_string(&entry).expect("text"),
            _ => {}
        }
    }
}

#[test]
fn every_metric_of_the_alerts_and_of_the_page_is_there() {
    let mut code = String::new();
    for folder in ["protocol/node/src", "protocol/transport/src", "region"] {
        sources(&checkout().join(folder), &mut code);
    }
    let is_made = |name: &str| code.contains(&format!("\"{name}\""));
    let page = read("docs/metrics.md");
    let described: BTreeSet<String> = metric_names(&page);
    for name in described.iter().filter(|name| !is_made(name)) {
        panic!("docs/metrics.md describes {name}, which nothing makes");
    }
    let alerts = read("deploy/alerts.yml");
    let expressions: Vec<&str> = alerts.split("- alert:").skip(1).collect();
    assert!(expressions.len() > 10, "the alerts do not read");
    for alert in expressions {
        let name = alert.lines().next().expect("a name").trim();
        let (expression, _) = alert.split_once("labels:").expect("labels");
        for metric in metric_names(expression) {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(&metric);
            assert!(described.contains(base), "{name} uses {metric}, which docs/metrics.md does not describe");
        }
        assert!(alert.contains("severity: page") || alert.contains("severity: ticket"), "{name} has no severity");
        assert!(read("docs/deploy.md").contains(name), "docs/deploy.md does not say what to do about {name}");
    }
}

/// The keys that a section knows are those that the program names when it meets one that it does not know.
#[test]
fn every_key_of_the_configuration_is_described() {
    let bed = Bed::new();
    let root = bed.file("cluster");
    bed.ok(&format!("cluster init {} --region A=127.0.0.1 --region B=127.0.0.2 --witness W=127.0.0.3", root.display()));
    let good = std::fs::read_to_string(root.join("A/node.toml")).expect("there");
    let page = read("docs/configuration.md");
    let table = [
        ("node", "[node]\n"),
        ("[[roster]]", "[[roster]]\n"),
        ("listen", "[listen]\n"),
        ("tls", "[tls]\n"),
        ("timing", ""),
        ("limits", ""),
        ("testing", ""),
        ("sql", "[sql]\n"),
        ("[[sql.users]]", "verifier = "),
        ("storage", ""),
    ];
    let mut count = 0;
    for (section, before) in table {
        let text = match before {
            "" => format!("{good}\n[{section}]\nzz = 1\n"),
            "verifier = " => good.replacen(before, "zz = 1\nverifier = ", 1),
            _ => good.replacen(before, &format!("{before}zz = 1\n"), 1),
        };
        assert_ne!(text, good, "{section}");
        let path = root.join("A/other.toml");
        std::fs::write(&path, text).expect("written");
        let output =
            Command::new(bin("trivet-region")).args(["--check", "--config"]).arg(&path).output().expect("starts");
        let said = told(&output);
        let (_, known) = said.split_once("unknown field `zz`").unwrap_or_else(|| panic!("{section}: {said}"));
        let (known, _) = known.split_once(", in `zz").unwrap_or_else(|| panic!("{section}: {said}"));
        for key in known.split('`').skip(1).step_by(2) {
            count += 1;
            let named = match section.starts_with('[') {
                true => page.contains(&format!("`{section}`")) && page.contains(&format!("`{key}`")),
                false => {
                    page.contains(&format!("`{section}.{key}`"))
                        || (*section == *"sql" && page.contains(&format!("`[[sql.{key}]]`")))
                }
            };
            assert!(named, "docs/configuration.md does not describe {key} of {section}");
        }
    }
    assert!(count > 40, "only {count} keys were found");
}

#[test]
fn the_units_start_what_a_release_has() {
    for (unit, program) in [("trivet-region", "trivet-region"), ("trivet-witness", "trivet-witness")] {
        let text = read(&format!("deploy/{unit}.service"));
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).map(str::to_owned);
        assert_eq!(value("ExecStart"), Some(format!("/usr/local/bin/{program} --config /etc/trivet/node.toml")));
        assert_eq!(value("Type").as_deref(), Some("notify"));
        assert!(value("NoNewPrivileges").is_some() && value("ProtectSystem").as_deref() == Some("strict"), "{unit}");
    }
}

fn dist(binaries: &Path, out: &Path) -> Output {
    Command::new(checkout().join("tools/dist")).arg(binaries).arg(out).output().expect("bash runs")
}

fn tarball(out: &Path) -> PathBuf {
    let files = std::fs::read_dir(out).expect("a folder").map(|entry| entry.expect("an entry").path());
    files.into_iter().find(|path| path.to_string_lossy().ends_with(".tar.gz")).expect("a tarball")
}

/// The release of the dev profile, which is the one that tests have.
fn release(bed: &Bed, name: &str) -> PathBuf {
    let binaries = bin("trivet");
    let output = dist(binaries.parent().expect("a folder"), &bed.file(name));
    assert!(output.status.success(), "{}", told(&output));
    tarball(&bed.file(name))
}

#[test]
fn a_release_is_whole_and_the_same_each_time() {
    let bed = Bed::new();
    let [one, two] = ["one", "two"].map(|name| release(&bed, name));
    assert_eq!(std::fs::read(&one).expect("there"), std::fs::read(&two).expect("there"), "the bytes differ");
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(one.parent().expect("a folder")).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{program} {arguments:?}: {}", told(&output));
        String::from_utf8(output.stdout).expect("text")
    };
    let name = one.file_name().expect("a name").to_str().expect("text");
    run("sha256sum", &["--check", &format!("{name}.sha256")]);
    let listed = run("tar", &["-tzf", name]);
    for part in [
        "bin/trivet",
        "bin/trivet-region",
        "bin/trivet-witness",
        "lib/systemd/system/trivet-region.service",
        "share/trivet/alerts.yml",
        "share/doc/trivet/deploy.md",
        "share/doc/trivet/LICENSE",
        "share/doc/trivet/GLIBC",
    ] {
        assert!(listed.lines().any(|line| line.ends_with(&format!("/{part}"))), "{part} is missing in\n{listed}");
    }
    run("tar", &["-xzf", name, "--strip-components=1"]);
    let unpacked = one.parent().expect("a folder");
    let version = run(unpacked.join("bin/trivet").to_str().expect("text"), &["--version"]);
    assert!(name.contains(version.trim().trim_start_matches("trivet ")), "{name} holds {version}");
    let glibc = std::fs::read_to_string(unpacked.join("share/doc/trivet/GLIBC")).expect("there");
    assert!(glibc.starts_with("2."), "{glibc}");
}

/// Three machines, each a network namespace, set up by the commands of docs/deploy.md; certificates and the authority
/// replaced under load.
#[test]
fn the_page_about_three_machines_works() {
    let bed = Bed::new();
    let tarball = release(&bed, "release");
    let script = checkout().join("tools/deploy-test");
    let output = Command::new(script).arg(tarball).env("TRIVET_DEPLOY_SECONDS", "12").output().expect("bash runs");
    let text = told(&output);
    match output.status.code() {
        Some(77) => eprintln!("left out: {text}"),
        _ => assert!(output.status.success() && text.contains("none failed"), "{text}"),
    }
}

/// Each node restarted in order under load: see docs/drills.md. How long the others paused is the drill's to judge, on a
/// machine that does nothing else.
#[test]
fn a_rolling_restart_fails_no_statement() {
    let bed = Bed::new();
    let file = bed.file("drill.json");
    let output = bed.run(&format!("drill rolling-restart --rtt 20ms --clients 6 --json {}", file.display()));
    let result = crate::harness::read_json(&file);
    let totals = &result["rolling_restart"]["totals"];
    assert_eq!((&totals["failed"], &totals["wrong"]), (&0.into(), &serde_json::json!([])), "{}", told(&output));
    assert!(totals["away"].as_u64().is_some_and(|away| away > 0), "{}", told(&output));
}
