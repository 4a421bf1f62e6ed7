//! Each file draws histories and holds what the checker says of them, under every level that the file names.
//! `UPDATE=1 cargo test -p trivet-history transcripts` writes them anew: read the diff.
use crate::drawn;
use std::fmt::Write;
use std::path::Path;
use trivet_history::{Level, check};

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/transcripts");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(files.len() >= 15, "transcripts are missing");
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("it reads");
        let again = play(&text);
        if again == text {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, again).expect("it can be written");
        } else {
            wrong.push(format!("{}:\n{again}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "these differ (UPDATE=1 writes them anew):\n{}", wrong.join("\n"));
}

/// Blocks are separated by blank lines: `# words`, a drawing, and after `> level` what is said of the drawing above.
fn play(text: &str) -> String {
    let mut out = String::new();
    let mut drawing = String::new();
    let mut skipping = false;
    for line in text.lines() {
        if line.starts_with("> ") {
            let name = line.trim_start_matches("> ");
            let level = Level::ALL.into_iter().find(|level| level.name() == name);
            let level = level.unwrap_or_else(|| panic!("'{name}' is no level"));
            let verdict = check(&drawn::history(&drawing), level).expect("one workload");
            let _ = writeln!(out, "{line}\n{verdict}");
            skipping = true;
        } else if line.is_empty() {
            out.push('\n');
            (skipping, drawing) = (false, String::new());
        } else if !skipping {
            if !line.starts_with('#') {
                drawing.push_str(line);
                drawing.push('\n');
            }
            let _ = writeln!(out, "{line}");
        }
    }
    out
}
