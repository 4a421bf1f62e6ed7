//! From the client's bytes, in chunks of any size, to rows of fields. One buffer, no allocation per row.
use super::options::{CopyFormat, CopyOptions};
use trivet_types::{PgError, PgResult, sqlstate};

/// A row is held in memory whole; PostgreSQL's own bound is 1 GB.
const LINE_BYTES_MAX: usize = 1 << 30;

/// One row's fields, reused from row to row.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    text: Vec<u8>,
    /// (start, end) in `text`; `None` is NULL.
    ranges: Vec<Option<(usize, usize)>>,
}

impl Fields {
    pub fn count(&self) -> usize {
        self.ranges.len()
    }
    /// `None` beyond the last and for NULL. The reader has checked that it is UTF-8.
    pub fn field(&self, at: usize) -> Option<&str> {
        let (start, end) = (*self.ranges.get(at)?)?;
        std::str::from_utf8(&self.text[start..end]).ok()
    }
    fn clear(&mut self) {
        self.text.clear();
        self.ranges.clear();
    }
    fn end_field(&mut self, start: usize, null: bool) {
        self.ranges.push((!null).then_some((start, self.text.len())));
    }
}

/// How lines end, as the first line showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LineEnd {
    Unknown,
    Newline,
    CarriageReturn,
    Both,
}

#[derive(Debug)]
pub struct RowReader {
    options: CopyOptions,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are read.
    consumed: usize,
    /// How far the search for the next line end has got, so that no byte is looked at twice.
    searched: usize,
    in_quotes: bool,
    /// The byte before `searched` escapes the next one.
    escaped: bool,
    line_end: LineEnd,
    /// Lines read so far; the line of the row that `next_row` returned last.
    line: u64,
    input_ended: bool,
    data_ended: bool,
    header_left: bool,
    /// The row that was read last is the header line.
    header_read: bool,
    /// Where the last line is in `buffer`.
    last: (usize, usize),
}

impl RowReader {
    pub fn new(options: CopyOptions) -> RowReader {
        let header_left = options.header;
        RowReader {
            options,
            buffer: Vec::new(),
            consumed: 0,
            searched: 0,
            in_quotes: false,
            escaped: false,
            line_end: LineEnd::Unknown,
            line: 0,
            input_ended: false,
            data_ended: false,
            header_left,
            header_read: false,
            last: (0, 0),
        }
    }

    /// Was the row that was read last the header line, which is to be compared?
    pub fn take_header(&mut self) -> bool {
        std::mem::take(&mut self.header_read)
    }

    /// The line that the last row began on, for `CONTEXT: COPY t, line 3`.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The last line's text, for `CONTEXT: COPY t, line 3: "..."`. Until the next `push`.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.buffer[self.last.0..self.last.1])
    }

    pub fn push(&mut self, data: &[u8]) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.searched -= self.consumed;
            self.last = (0, 0);
            self.consumed = 0;
        }
        self.buffer.extend_from_slice(data);
    }

    /// No more data will come: an unfinished last line is a line.
    pub fn finish(&mut self) {
        self.input_ended = true;
    }

    /// The next row, if a whole one is there.
    pub fn next_row(&mut self, fields: &mut Fields) -> PgResult<bool> {
        loop {
            if self.data_ended {
                return Ok(false);
            }
            let Some((end, next)) = self.find_line()? else { return Ok(false) };
            let start = self.consumed;
            self.consumed = next;
            self.searched = next;
            self.line += 1;
            self.last = (start, end);
            if self.header_left && self.options.header_match {
                self.header_left = false;
                // Whoever reads it knows what the columns are called.
                self.header_read = true;
            } else if std::mem::take(&mut self.header_left) {
                continue;
            }
            if self.buffer[start..end] == *b"\\." {
                self.data_ended = true;
                return Ok(false);
            }
            fields.clear();
            let line = &self.buffer[start..end];
            match self.options.format {
                CopyFormat::Csv => split_csv(line, &self.options, fields)?,
                CopyFormat::Text | CopyFormat::Binary => split_text(line, &self.options, fields)?,
            }
            if let Err(error) = std::str::from_utf8(&fields.text) {
                let wrong = &fields.text[error.valid_up_to()..];
                let shown: Vec<String> =
                    wrong.iter().take(error.error_len().unwrap_or(1)).map(|byte| format!("0x{byte:02x}")).collect();
                let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
                return Err(PgError::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message));
            }
            if fields.text.contains(&0) {
                let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
                return Err(PgError::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message));
            }
            return Ok(true);
        }
    }

    /// (end of the line's content, start of the next line).
    fn find_line(&mut self) -> PgResult<Option<(usize, usize)>> {
        let csv = self.options.format == CopyFormat::Csv;
        while let Some(&byte) = self.buffer.get(self.searched) {
            let at = self.searched;
            if self.escaped {
                self.escaped = false;
                self.searched += 1;
                continue;
            }
            if csv {
                if self.in_quotes && byte == self.options.escape && self.options.escape != self.options.quote {
                    self.escaped = true;
                } else if byte == self.options.quote {
                    self.in_quotes = !self.in_quotes;
                }
            } else if byte == b'\\' {
                self.escaped = true;
            }
            if self.in_quotes || !matches!(byte, b'\n' | b'\r') {
                self.searched += 1;
                continue;
            }
            let next = match (byte, self.buffer.get(at + 1)) {
                (b'\n', _) => at + 1,
                (_, None) if !self.input_ended => return Ok(None),
                (_, Some(b'\n')) => at + 2,
                _ => at + 1,
            };
            self.check_line_end(byte, next - at)?;
            return Ok(Some((at, next)));
        }
        if self.buffer.len() - self.consumed > LINE_BYTES_MAX {
            return Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "a line of COPY data is longer than 1 GB"));
        }
        if !self.input_ended || self.consumed == self.buffer.len() {
            return Ok(None);
        }
        if self.in_quotes {
            self.line += 1;
            return Err(PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field"));
        }
        Ok(Some((self.buffer.len(), self.buffer.len())))
    }

    fn check_line_end(&mut self, byte: u8, length: usize) -> PgResult<()> {
        let found = match (byte, length) {
            (b'\n', _) => LineEnd::Newline,
            (_, 1) => LineEnd::CarriageReturn,
            _ => LineEnd::Both,
        };
        if self.line_end == LineEnd::Unknown {
            self.line_end = found;
        }
        if self.line_end == found {
            return Ok(());
        }
        self.line += 1;
        let quoting = if self.options.format == CopyFormat::Csv { "unquoted" } else { "literal" };
        let (what, hint) = match (found, self.options.format) {
            (LineEnd::Newline, CopyFormat::Csv) => ("newline", "Use quoted CSV field to represent newline."),
            (LineEnd::Newline, _) => ("newline", "Use \"\\n\" to represent newline."),
            (_, CopyFormat::Csv) => ("carriage return", "Use quoted CSV field to represent carriage return."),
            (_, _) => ("carriage return", "Use \"\\r\" to represent carriage return."),
        };
        Err(PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, format!("{quoting} {what} found in data")).hint(hint))
    }
}

/// Text format: fields between delimiters, backslash sequences.
fn split_text(line: &[u8], options: &CopyOptions, fields: &mut Fields) -> PgResult<()> {
    let mut at = 0;
    loop {
        let start = fields.text.len();
        let raw_start = at;
        while let Some(&byte) = line.get(at) {
            if byte == options.delimiter {
                break;
            }
            at += 1;
            if byte == b'\\' && at < line.len() {
                at = unescape(line, at, &mut fields.text);
            } else {
                fields.text.push(byte);
            }
        }
        let null = line[raw_start..at] == *options.null.as_bytes();
        if null {
            fields.text.truncate(start);
        }
        fields.end_field(start, null);
        if at >= line.len() {
            return Ok(());
        }
        at += 1;
    }
}

/// The sequence behind a backslash; returns where it ends.
fn unescape(line: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let digit = |at: usize, base: u32| line.get(at).and_then(|byte| char::from(*byte).to_digit(base));
    let number = |at: usize, base: u32, most: usize| {
        (0..most)
            .map_while(|offset| digit(at + offset, base))
            .fold((0u32, 0usize), |(value, length), digit| (value * base + digit, length + 1))
    };
    let low_byte = |value: u32| (value & 0xff) as u8;
    match line[at] {
        b'b' => out.push(8),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(11),
        b'0'..=b'7' => {
            let (value, length) = number(at, 8, 3);
            out.push(low_byte(value));
            return at + length;
        }
        b'x' if digit(at + 1, 16).is_some() => {
            let (value, length) = number(at + 1, 16, 2);
            out.push(low_byte(value));
            return at + 1 + length;
        }
        other => out.push(other),
    }
    at + 1
}

/// CSV: quoted parts keep everything; an unquoted field equal to the NULL string is NULL.
fn split_csv(line: &[u8], options: &CopyOptions, fields: &mut Fields) -> PgResult<()> {
    let mut at = 0;
    loop {
        let start = fields.text.len();
        let (mut quoted, mut was_quoted) = (false, false);
        while let Some(&byte) = line.get(at) {
            at += 1;
            if quoted
                && byte == options.escape
                && line.get(at).is_some_and(|next| *next == options.escape || *next == options.quote)
            {
                fields.text.push(line[at]);
                at += 1;
            } else if byte == options.quote {
                quoted = !quoted;
                was_quoted = true;
            } else if !quoted && byte == options.delimiter {
                at -= 1;
                break;
            } else {
                fields.text.push(byte);
            }
        }
        if quoted {
            return Err(PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field"));
        }
        let null = !was_quoted && fields.text[start..] == *options.null.as_bytes();
        if null {
            fields.text.truncate(start);
        }
        fields.end_field(start, null);
        if at >= line.len() {
            return Ok(());
        }
        at += 1;
    }
}
