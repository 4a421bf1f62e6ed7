//! Files that people write: what is wrong with one, with its line.
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    /// `text` is the line itself.
    #[error("{}:{line}: {message}, in `{text}`", path.display())]
    Line { path: PathBuf, line: usize, message: String, text: String },
    #[error("{}: {message}", path.display())]
    Whole { path: PathBuf, message: String },
}

/// A file's text, for errors that point into it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Source<'_> {
    pub fn toml_error(self, error: &toml::de::Error) -> FileError {
        // Where the file ended too early, the place is behind its last character.
        self.error(error.span(), error.message())
    }

    /// Wrong at `span`; without one, wrong as a whole.
    pub fn error(self, span: Option<Range<usize>>, message: impl Into<String>) -> FileError {
        let (path, message) = (self.path.to_owned(), message.into());
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some(before) = span.and_then(|span| self.text.get(..span.start)) else {
            return FileError::Whole { path, message };
        };
        let line = before.matches('\n').count();
        let text = self.text.lines().nth(line).unwrap_or_default().trim().to_owned();
        FileError::Line { path, line: line + 1, message, text }
    }
}

pub(crate) fn read(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|error| FileError::Read { path: path.to_owned(), error })
}
