//! `tests/transcripts/*.test`: statements, each followed by what it answered. Regenerate with `TRIVET_REGENERATE=1`.
//!
//! ```text
//! select 1 as a;
//! ----
//! [a]
//! 1
//! (1)
//!
//! ```
use crate::server::{Server, outcome};
use std::fmt::Write;
use std::path::PathBuf;

const RULE: &str = "----";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

/// The statements of a transcript, without their answers; lines before a statement that begin with `#` are its title.
fn questions(transcript: &str) -> Vec<String> {
    let mut questions = Vec::new();
    let mut current: Vec<&str> = Vec::new();
    let mut in_answer = false;
    for line in transcript.lines() {
        if in_answer {
            in_answer = !line.is_empty();
        } else if line == RULE {
            questions.push(std::mem::take(&mut current).join("\n"));
            in_answer = true;
        } else if !(line.is_empty() && current.is_empty()) {
            current.push(line);
        }
    }
    // New statements at the end need no rule, only a blank line between them.
    let new = current.join("\n");
    questions.extend(new.split("\n\n").filter(|question| !question.trim().is_empty()).map(str::to_string));
    questions
}

async fn run(transcript: &str) -> String {
    let server = Server::start().await;
    let client = server.client().await;
    let mut out = String::new();
    for question in questions(transcript) {
        let sql: String = question.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        let answer = outcome(&client, &sql).await;
        write!(out, "{question}\n{RULE}\n{answer}\n").expect("writing to a string");
    }
    out
}

#[tokio::test]
async fn transcripts_hold() {
    let regenerate = std::env::var_os("TRIVET_REGENERATE").is_some();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the transcripts' folder")
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there are transcripts");
    for file in files {
        let expected = std::fs::read_to_string(&file).expect("a transcript");
        let found = run(&expected).await;
        if regenerate {
            std::fs::write(&file, found).expect("a writable transcript");
        } else {
            assert!(found == expected, "{} differs; it now reads:\n{found}", file.display());
        }
    }
}
