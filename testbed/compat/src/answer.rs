//! What a statement answered, as lines of two kinds, and how far two answers agree.
use std::fmt;

/// As it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    Columns(Vec<ColumnShown>),
    Row(Vec<Option<String>>),
    Tag(String),
    Empty,
    CopyLine(String),
    Error(ErrorShown),
    Notice(ErrorShown),
    /// The server closed the connection.
    Closed,
    NoAnswer,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ColumnShown {
    pub name: String,
    pub type_oid: u32,
    pub type_modifier: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ErrorShown {
    pub code: String,
    pub severity: String,
    pub message: String,
    /// Everything else, sorted by name.
    pub fields: Vec<(&'static str, String)>,
}

impl fmt::Display for ErrorShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.severity, self.message, self.code)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    pub pieces: Vec<Piece>,
    /// The transaction's: I, T or E; `None` after the end of the connection.
    pub status: Option<char>,
}

/// The first type of a user. Numbers from here on say nothing.
const FIRST_USER_OID: u32 = 16384;

/// One line of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Only the stricter level looks at it.
    pub strict: bool,
    pub text: String,
}

/// An answer in the form that is compared and recorded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown(pub Vec<Line>);

/// How far two answers agree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Agreement {
    Different,
    /// But for words.
    Same,
    Identical,
}

impl Answer {
    pub fn error(&self) -> Option<&ErrorShown> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Error(error) => Some(error),
            _ => None,
        })
    }

    /// `ordered`: the order of rows counts. Columns that an error follows at once are left out: whether they were described
    /// before it says only whether the error was found by folding constants or by running.
    pub fn show(&self, ordered: bool) -> Shown {
        let mut lines = Vec::new();
        let mut rows = Vec::new();
        for (at, piece) in self.pieces.iter().enumerate() {
            if let (Piece::Columns(_), Some(Piece::Error(_))) = (piece, self.pieces.get(at + 1)) {
                continue;
            }
            if let Piece::Row(fields) = piece {
                let shown: Vec<&str> = fields.iter().map(|field| field.as_deref().unwrap_or("<null>")).collect();
                rows.push(Line { strict: false, text: format!("row {}", one_line(&shown.join("|"))) });
                continue;
            }
            put_rows(&mut lines, &mut rows, ordered);
            put_piece(&mut lines, piece);
        }
        put_rows(&mut lines, &mut rows, ordered);
        if let Some(status) = self.status {
            lines.push(Line { strict: false, text: format!("status {status}") });
        }
        Shown(lines)
    }
}

fn put_rows(lines: &mut Vec<Line>, rows: &mut Vec<Line>, ordered: bool) {
    if !ordered {
        rows.sort_by(|one, other| one.text.cmp(&other.text));
    }
    lines.append(rows);
}

fn put_piece(lines: &mut Vec<Line>, piece: &Piece) {
    let mut put = |strict, text: String| lines.push(Line { strict, text: one_line(&text) });
    match piece {
        Piece::Row(_) => {}
        Piece::Columns(columns) => {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            put(false, format!("columns {}", names.join("|")));
            let types = columns.iter().map(|column| match column.type_oid {
                FIRST_USER_OID.. => "own".to_owned(),
                oid => oid.to_string(),
            });
            put(false, format!("types {}", types.collect::<Vec<_>>().join(" ")));
            if columns.iter().any(|column| column.type_modifier != -1) {
                let modifiers: Vec<String> = columns.iter().map(|column| column.type_modifier.to_string()).collect();
                put(true, format!("modifiers {}", modifiers.join(" ")));
            }
        }
        Piece::Tag(tag) => put(false, format!("tag {tag}")),
        Piece::Empty => put(false, "empty".into()),
        Piece::CopyLine(text) => put(false, format!("copy {text}")),
        Piece::Closed => put(false, "closed".into()),
        Piece::NoAnswer => put(false, "no answer in time".into()),
        Piece::Error(error) => {
            put(false, format!("error {}", error.code));
            put(true, format!("{}: {}", error.severity, error.message));
            error.fields.iter().for_each(|(name, value)| put(true, format!("  {name}: {value}")));
        }
        Piece::Notice(notice) => {
            put(true, format!("{} {}: {}", notice.severity, notice.code, notice.message));
            notice.fields.iter().for_each(|(name, value)| put(true, format!("  {name}: {value}")));
        }
    }
}

fn one_line(text: &str) -> String {
    if text.contains(['\n', '\r']) { text.replace('\n', "\\n").replace('\r', "\\r") } else { text.to_owned() }
}

impl Shown {
    pub fn agreement(&self, other: &Shown) -> Agreement {
        let loose = |shown: &'_ Shown| -> Vec<String> {
            shown.0.iter().filter(|line| !line.strict).map(|line| line.text.clone()).collect()
        };
        match (self == other, loose(self) == loose(other)) {
            (true, _) => Agreement::Identical,
            (false, true) => Agreement::Same,
            (false, false) => Agreement::Different,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "    {}", line.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[&str], error: Option<&str>) -> Answer {
        let mut pieces: Vec<Piece> = rows.iter().map(|row| Piece::Row(vec![Some((*row).to_owned()), None])).collect();
        if let Some(message) = error {
            pieces.push(Piece::Error(ErrorShown {
                code: "22012".into(),
                severity: "ERROR".into(),
                message: message.into(),
                fields: vec![("hint", "two\nlines".into())],
            }));
        }
        Answer { pieces, status: Some('I') }
    }

    #[test]
    fn order_counts_where_it_was_asked_for() {
        let (one, other) = (answer(&["b", "a"], None), answer(&["a", "b"], None));
        assert_eq!(one.show(false).agreement(&other.show(false)), Agreement::Identical);
        assert_eq!(one.show(true).agreement(&other.show(true)), Agreement::Different);
        assert_eq!(one.show(true).to_string(), "    row b|<null>\n    row a|<null>\n    status I\n");
    }

    #[test]
    fn words_are_the_stricter_level() {
        let (one, other) = (answer(&[], Some("division by zero")), answer(&[], Some("divided by nothing")));
        assert_eq!(one.show(false).agreement(&other.show(false)), Agreement::Same);
        assert_eq!(one.show(false).agreement(&answer(&[], None).show(false)), Agreement::Different);
        assert!(one.show(false).to_string().contains("hint: two\\nlines"));
    }
}
