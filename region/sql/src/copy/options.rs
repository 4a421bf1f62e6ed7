//! The options of COPY, checked.
use crate::parser::tree::{CopyOption, CopyValue, Place};
use trivet_types::{PgError, PgResult, sqlstate};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// Columns that an option of CSV names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ForcedColumns {
    #[default]
    None,
    All,
    Named(Vec<String>),
}

impl ForcedColumns {
    /// For each of these columns, whether it is meant. 42703 for a name that none of them has.
    pub fn among(&self, columns: &[String], relation: Option<&str>) -> PgResult<Vec<bool>> {
        match self {
            ForcedColumns::None => Ok(vec![false; columns.len()]),
            ForcedColumns::All => Ok(vec![true; columns.len()]),
            ForcedColumns::Named(names) => {
                if let Some(name) = names.iter().find(|name| !columns.contains(name)) {
                    return Err(match relation {
                        Some(relation) => PgError::new(
                            sqlstate::UNDEFINED_COLUMN,
                            format!("column \"{name}\" of relation \"{relation}\" does not exist"),
                        ),
                        None => PgError::new(sqlstate::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist")),
                    });
                }
                Ok(columns.iter().map(|column| names.contains(column)).collect())
            }
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    /// The header line must name the columns.
    pub header_match: bool,
    pub quote: u8,
    pub escape: u8,
    pub force_quote: ForcedColumns,
    pub force_not_null: ForcedColumns,
    pub force_null: ForcedColumns,
}

fn located(place: Place, error: Box<PgError>) -> Box<PgError> {
    match place.known() {
        Some(place) => error.position(place),
        None => error,
    }
}

impl CopyOptions {
    /// From the names and values of the statement; 42601 for a name that is unknown or given twice.
    pub fn parse(given: &[CopyOption], from_client: bool) -> PgResult<CopyOptions> {
        let mut seen: Vec<&str> = Vec::new();
        let find = |name: &str| given.iter().find(|option| option.name == name);
        let value_of = |name: &str| find(name).and_then(|option| option.value.text());
        for option in given {
            let fail = |code, message: String| Err(located(option.place, PgError::new(code, message)));
            let name = option.name.as_str();
            if seen.contains(&name) {
                return fail(sqlstate::SYNTAX_ERROR, "conflicting or redundant options".into());
            }
            seen.push(name);
            match name {
                "format" | "delimiter" | "null" | "quote" | "escape" if option.value == CopyValue::None => {
                    return Err(PgError::new(sqlstate::SYNTAX_ERROR, format!("{name} requires a parameter")));
                }
                "format" | "delimiter" | "null" | "header" | "quote" | "escape" | "freeze" => {}
                "force_quote" if matches!(option.value, CopyValue::Star | CopyValue::Names(_)) => {}
                "force_not_null" | "force_null" if matches!(option.value, CopyValue::Names(_)) => {}
                "force_quote" | "force_not_null" | "force_null" => {
                    let message = format!("argument to option \"{name}\" must be a list of column names");
                    return fail(sqlstate::INVALID_PARAMETER_VALUE, message);
                }
                "encoding" => {
                    let plain = option.value.text().unwrap_or_default().replace(['-', '_'], "");
                    if !plain.eq_ignore_ascii_case("utf8") && !plain.eq_ignore_ascii_case("unicode") {
                        if crate::settings::is_encoding(&plain) {
                            let error = PgError::unsupported("COPY in another encoding than UTF8");
                            return Err(located(option.place, error));
                        }
                        let message = "argument to option \"encoding\" must be a valid encoding name";
                        return fail(sqlstate::INVALID_PARAMETER_VALUE, message.into());
                    }
                }
                _ => return fail(sqlstate::SYNTAX_ERROR, format!("option \"{name}\" not recognized")),
            }
        }
        let format = match find("format") {
            None => CopyFormat::Text,
            Some(option) => match option.value.text().unwrap_or_default() {
                "text" => CopyFormat::Text,
                "csv" => CopyFormat::Csv,
                "binary" => CopyFormat::Binary,
                other => {
                    let message = format!("COPY format \"{other}\" not recognized");
                    return Err(located(option.place, PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)));
                }
            },
        };
        let csv = format == CopyFormat::Csv;
        let unsupported = |message: String| Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        if format == CopyFormat::Binary {
            for (name, word) in [("delimiter", "DELIMITER"), ("null", "NULL")] {
                if find(name).is_some() {
                    let message = format!("cannot specify {word} in BINARY mode");
                    return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
                }
            }
        }
        let forced = |name: &str| match find(name).map(|option| &option.value) {
            Some(CopyValue::Star) => ForcedColumns::All,
            Some(CopyValue::Names(names)) => ForcedColumns::Named(names.clone()),
            _ => ForcedColumns::None,
        };
        let header = match find("header") {
            None => false,
            Some(option) => match option.value.text().unwrap_or("true").to_ascii_lowercase().as_str() {
                "true" | "on" | "1" => true,
                "false" | "off" | "0" => false,
                "match" if from_client => true,
                "match" => {
                    let message = "cannot use \"match\" with HEADER in COPY TO";
                    return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
                }
                _ => {
                    let error = PgError::new(sqlstate::SYNTAX_ERROR, "header requires a Boolean value or \"match\"");
                    return Err(error);
                }
            },
        };
        let matches = |option: &CopyOption| option.value.text().is_some_and(|text| text.eq_ignore_ascii_case("match"));
        let header_match = find("header").is_some_and(matches);
        let quote = one_byte("quote", value_of("quote").unwrap_or("\""))?;
        let options = CopyOptions {
            format,
            delimiter: one_byte("delimiter", value_of("delimiter").unwrap_or(if csv { "," } else { "\t" }))?,
            null: value_of("null").unwrap_or(if csv { "" } else { "\\N" }).to_owned(),
            header,
            header_match,
            quote,
            escape: value_of("escape").map_or(Ok(quote), |value| one_byte("escape", value))?,
            force_quote: forced("force_quote"),
            force_not_null: forced("force_not_null"),
            force_null: forced("force_null"),
        };
        if format == CopyFormat::Binary && header {
            return unsupported("cannot specify HEADER in BINARY mode".into());
        }
        for name in ["quote", "escape"] {
            if !csv && find(name).is_some() {
                return unsupported(format!("COPY {name} available only in CSV mode"));
            }
        }
        for (name, shown, only_from) in [
            ("force_quote", "force quote", false),
            ("force_not_null", "force not null", true),
            ("force_null", "force null", true),
        ] {
            if find(name).is_none() {
                continue;
            }
            if !csv {
                return unsupported(format!("COPY {shown} available only in CSV mode"));
            }
            if only_from != from_client {
                let direction = if only_from { "FROM" } else { "TO" };
                return unsupported(format!("COPY {shown} only available using COPY {direction}"));
            }
        }
        options.checked()
    }

    fn checked(self) -> PgResult<CopyOptions> {
        let wrong = |message: &str| Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
        if self.format == CopyFormat::Binary {
            return Ok(self);
        }
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
        let refused = |message: &str| Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        if self.null.bytes().any(|byte| byte == self.delimiter) {
            return refused("COPY delimiter must not appear in the NULL specification");
        }
        if self.format == CopyFormat::Csv && self.null.bytes().any(|byte| byte == self.quote) {
            return refused("CSV quote character must not appear in the NULL specification");
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
