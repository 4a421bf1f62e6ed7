//! The options of COPY, checked.
use trivet_types::{PgError, PgResult, sqlstate};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyFormat {
    Text,
    Csv,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    pub quote: u8,
    pub escape: u8,
}

impl CopyOptions {
    /// From the names and values of the statement; 42601 for a name that is unknown or given twice.
    pub fn parse(given: &[(String, String)]) -> PgResult<CopyOptions> {
        let mut seen: Vec<&str> = Vec::new();
        let value_of = |name: &str| given.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        for (name, value) in given {
            if seen.contains(&name.as_str()) {
                return Err(PgError::new(sqlstate::SYNTAX_ERROR, "conflicting or redundant options"));
            }
            seen.push(name);
            match name.as_str() {
                "format" | "delimiter" | "null" | "header" | "quote" | "escape" | "freeze" => {}
                "encoding" if value.replace('-', "").eq_ignore_ascii_case("utf8") => {}
                "encoding" | "force_quote" | "force_not_null" | "force_null" => {
                    return Err(PgError::unsupported(format!("COPY option \"{name}\"")));
                }
                _ => {
                    let message = format!("option \"{name}\" not recognized");
                    return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
                }
            }
        }
        let format = match value_of("format") {
            None | Some("text") => CopyFormat::Text,
            Some("csv") => CopyFormat::Csv,
            Some("binary") => return Err(PgError::unsupported("COPY in binary format")),
            Some(other) => {
                let message = format!("COPY format \"{other}\" not recognized");
                return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
            }
        };
        let csv = format == CopyFormat::Csv;
        for name in ["quote", "escape"] {
            if !csv && value_of(name).is_some() {
                let message = format!("COPY {name} available only in CSV mode");
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
        }
        let quote = one_byte("quote", value_of("quote").unwrap_or("\""))?;
        let options = CopyOptions {
            format,
            delimiter: one_byte("delimiter", value_of("delimiter").unwrap_or(if csv { "," } else { "\t" }))?,
            null: value_of("null").unwrap_or(if csv { "" } else { "\\N" }).to_owned(),
            header: value_of("header").is_some_and(|value| !matches!(value, "false" | "off" | "0")),
            quote,
            escape: value_of("escape").map_or(Ok(quote), |value| one_byte("escape", value))?,
        };
        options.checked()
    }

    fn checked(self) -> PgResult<CopyOptions> {
        let wrong = |message: &str| Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
        if matches!(self.delimiter, b'\n' | b'\r') {
            return wrong("COPY delimiter cannot be newline or carriage return");
        }
        if self.null.contains(['\n', '\r']) {
            return wrong("COPY null representation cannot use newline or carriage return");
        }
        if self.format == CopyFormat::Text
            && (self.delimiter.is_ascii_alphanumeric() || matches!(self.delimiter, b'\\' | b'.'))
        {
            return wrong(&format!("COPY delimiter cannot be \"{}\"", char::from(self.delimiter)));
        }
        if self.format == CopyFormat::Csv && self.delimiter == self.quote {
            return wrong("COPY delimiter and quote must be different");
        }
        if self.null.bytes().any(|byte| byte == self.delimiter) {
            return wrong("COPY delimiter must not appear in the NULL specification");
        }
        Ok(self)
    }
}

fn one_byte(name: &str, value: &str) -> PgResult<u8> {
    match value.as_bytes() {
        [only] => Ok(*only),
        _ => {
            let message = format!("COPY {name} must be a single one-byte character");
            Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
        }
    }
}
