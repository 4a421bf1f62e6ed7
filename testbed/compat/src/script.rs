//! Files of statements.
//!
//! A statement ends with a semicolon at a line's end. Lines that begin with `--` between statements are comments, but for:
//!
//! ```text
//!   -- session b        what follows is said by another session (the first is `a`)
//!   -- waits            the next statement waits for another session; its answer is looked at when its session is
//!                       spoken to again, or at the end
//! ```
//!
//! The lines behind `copy ... from stdin;` up to `\.` are its data.
use anyhow::{Context, Result};
use std::path::Path;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// Where it begins, from 1.
    pub line: usize,
    pub session: String,
    pub sql: String,
    pub copy_data: Option<String>,
    pub waits: bool,
}

#[derive(Clone, Debug)]
pub struct Script {
    /// The file's name.
    pub name: String,
    pub statements: Vec<Statement>,
}

impl Script {
    pub fn read(path: &Path) -> Result<Script> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_name().with_context(|| format!("{} is no file", path.display()))?;
        Ok(Script { name: name.to_string_lossy().into_owned(), statements: statements(&text) })
    }

    /// All `.sql` files of a folder, by name.
    pub fn read_folder(folder: &Path) -> Result<Vec<Script>> {
        let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Script::read(path)).collect()
    }
}

pub fn statements(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let (mut session, mut waits) = ("a".to_owned(), false);
    let mut current = String::new();
    let mut began = 0;
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if current.is_empty() {
            if let Some(comment) = line.strip_prefix("--") {
                let mut words = comment.split_whitespace();
                match (words.next(), words.next(), words.next()) {
                    (Some("session"), Some(name), None) => session = name.to_owned(),
                    (Some("waits"), None, None) => waits = true,
                    _ => {}
                }
                continue;
            }
            if line.trim().is_empty() {
                continue;
            }
            began = at + 1;
        } else {
            current.push('\n');
        }
        current.push_str(line);
        if line.trim_end().ends_with(';') {
            let sql = std::mem::take(&mut current);
            let copy_data = reads_input(&sql).then(|| {
                let data = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "\\.");
                data.map(|line| format!("{line}\n")).collect()
            });
            let waits = std::mem::take(&mut waits);
            statements.push(Statement { line: began, session: session.clone(), sql, copy_data, waits });
        }
    }
    if !current.is_empty() {
        statements.push(Statement { line: began, session, sql: current, copy_data: None, waits });
    }
    statements
}

fn reads_input(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    lower.trim_start().starts_with("copy") && lower.contains("from stdin")
}

/// Whether a statement says how its rows are ordered: ORDER BY outside of parentheses, quotes and comments.
pub fn is_ordered(sql: &str) -> bool {
    let mut depth = 0usize;
    let mut words: Vec<String> = Vec::new();
    let mut characters = sql.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '\'' | '"' => {
                characters.by_ref().find(|next| *next == character);
                words.push(String::new());
            }
            '-' if characters.peek() == Some(&'-') => {
                characters.by_ref().find(|next| *next == '\n');
            }
            _ if character.is_alphabetic() && depth == 0 => {
                let mut word = character.to_ascii_lowercase().to_string();
                while let Some(next) = characters.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    word.push(next.to_ascii_lowercase());
                }
                words.push(word);
            }
            _ => {}
        }
    }
    // FETCH, EXECUTE and the like run a statement that stands elsewhere, SHOW and EXPLAIN have an order of their own.
    let first = words.first().map_or("", String::as_str);
    matches!(first, "fetch" | "execute" | "explain" | "show" | "copy")
        || words.windows(2).any(|pair| pair[0] == "order" && pair[1] == "by")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_sessions_and_data() {
        let text = "-- a comment\nselect 1;\n\nselect\n  2;\n-- session b\n-- waits\nupdate t set a = 1;\ncopy t from stdin;\n1\tx\n\\.\n-- session a\ncommit;\nselect 3";
        let shown: Vec<String> = statements(text)
            .iter()
            .map(|one| format!("{} {} {:?} {:?} {}", one.line, one.session, one.sql, one.copy_data, one.waits))
            .collect();
        assert_eq!(
            shown,
            [
                "2 a \"select 1;\" None false",
                "4 a \"select\\n  2;\" None false",
                "8 b \"update t set a = 1;\" None true",
                "9 b \"copy t from stdin;\" Some(\"1\\tx\\n\") false",
                "13 a \"commit;\" None false",
                "14 a \"select 3\" None false",
            ]
        );
    }

    #[test]
    fn order_is_told_from_orders_elsewhere() {
        assert!(is_ordered("select * from t ORDER\nBY 1"));
        assert!(is_ordered("(select 1) union select 2 order by 1;"));
        assert!(!is_ordered("select * from (select 1 order by 1) t"));
        assert!(!is_ordered("select 'order by' -- order by\n from \"order by\""));
        assert!(!is_ordered("select row_number() over (order by a) from t"));
        assert!(is_ordered("fetch 3 from c"));
    }
}
