//! Reading and showing a setting's value.
use super::definitions::{Definition, Kind};
use trivet_types::{PgError, PgResult, datetime::TimeZone, sqlstate};

/// What was given, checked, in the one form that is stored; `current` is what there was.
pub(super) fn canonical(definition: &Definition, current: &str, values: &[String]) -> PgResult<String> {
    let single = || match values {
        [only] => Ok(only.trim()),
        _ => {
            let message = format!("SET {} takes only one argument", definition.name);
            Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message))
        }
    };
    match definition.kind {
        Kind::Bool => boolean(single()?).map(|on| if on { "on" } else { "off" }.to_owned()).ok_or_else(|| {
            let message = format!("parameter \"{}\" requires a Boolean value", definition.name);
            PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
        }),
        Kind::Integer(low, high) => {
            let given = single()?;
            let number: i64 = given.parse().map_err(|_| invalid(definition, given))?;
            within(definition, number, low, high, "")
        }
        Kind::Milliseconds => {
            let given = single()?;
            let units = "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".";
            let number = duration_ms(given).ok_or_else(|| invalid_unit(definition, given, units))?;
            within(definition, number, 0, i64::from(i32::MAX), " ms")
        }
        Kind::Blocks(low, high) => {
            let given = single()?;
            let known = "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".";
            // A number without a unit is one of blocks.
            let units = [("TB", 1 << 27), ("GB", 1 << 17), ("MB", 1 << 7), ("", 1)];
            let number = match with_unit(given, &[("kB", 1)]) {
                Some(kilobytes) => Some(kilobytes.div_euclid(8)),
                None => with_unit(given, &units),
            };
            within(definition, number.ok_or_else(|| invalid_unit(definition, given, known))?, low, high, " 8kB")
        }
        Kind::Kilobytes | Kind::KilobytesFrom(_) | Kind::KilobytesOrNone => {
            let given = single()?;
            let or_none = definition.kind == Kind::KilobytesOrNone;
            if or_none && given == "-1" {
                return Ok(given.to_owned());
            }
            let units = [("TB", 1 << 30), ("GB", 1 << 20), ("MB", 1 << 10), ("kB", 1), ("", 1)];
            let known = "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".";
            let number = with_unit(given, &units).ok_or_else(|| invalid_unit(definition, given, known))?;
            let low = definition.bounds().map_or(64, |(low, _)| low);
            within(definition, number, low, i64::from(i32::MAX), " kB")
        }
        Kind::Real => {
            let given = single()?;
            match given.parse::<f64>() {
                Ok(number) if number.is_finite() && number >= 0.0 => Ok(number.to_string()),
                _ => Err(invalid(definition, given)),
            }
        }
        Kind::Choice(choices) => {
            let given = single()?;
            let synonym = match given.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" if choices.contains(&"on") => "on".to_owned(),
                "false" | "no" | "0" if choices.contains(&"off") => "off".to_owned(),
                other => other.to_owned(),
            };
            let found = choices.iter().find(|choice| choice.eq_ignore_ascii_case(&synonym));
            found.map(|choice| (*choice).to_owned()).ok_or_else(|| {
                // Named as it is typed, which is in lower case.
                let name = definition.name.to_ascii_lowercase();
                let message = format!("invalid value for parameter \"{name}\": \"{given}\"");
                let error = PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
                error.hint(format!("Available values: {}.", choices.join(", ")))
            })
        }
        Kind::Text => Ok(values.join(", ")),
        // The one schema whose name is empty, which there is not.
        Kind::NameList if matches!(values, [only] if only.trim() == "\"\"") => Ok("\"\"".to_owned()),
        Kind::NameList => Ok(values
            .iter()
            .flat_map(|value| if values.len() == 1 { list(value) } else { vec![value.clone()] })
            .map(|name| quoted(&name))
            .collect::<Vec<_>>()
            .join(", ")),
        Kind::DateStyle => date_style(definition, current, values),
        Kind::TimeZone => {
            let given = single()?;
            let zone = TimeZone::of_setting(given).ok_or_else(|| invalid(definition, given))?;
            Ok(match zone {
                // A spelling with a colon is kept; a plain number of hours is shown as POSIX has it.
                TimeZone::Fixed(_) if given.parse::<f64>().is_err() && given.starts_with(['+', '-']) => {
                    given.to_owned()
                }
                zone => zone.name(),
            })
        }
        Kind::Encoding => {
            let given = single()?;
            let plain: String = given.chars().filter(char::is_ascii_alphanumeric).collect();
            match plain.to_ascii_uppercase().as_str() {
                "UTF8" | "UNICODE" => Ok("UTF8".to_owned()),
                "SQLASCII" => Ok("SQL_ASCII".to_owned()),
                _ if is_encoding(&plain) => {
                    Err(invalid(definition, given).detail("Trivet speaks UTF8 to its clients."))
                }
                _ => Err(invalid(definition, given)),
            }
        }
    }
}

/// As SHOW prints it: with the largest unit that divides.
pub(super) fn shown(definition: &Definition, value: &str) -> String {
    let units: &[(&str, i64)] = match definition.kind {
        Kind::Milliseconds => &[("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)],
        Kind::Blocks(..) => {
            let kilobytes = value.parse::<i64>().map_or_else(|_| value.to_owned(), |blocks| (blocks * 8).to_string());
            return with_largest_unit(&kilobytes, KILOBYTES);
        }
        Kind::Kilobytes | Kind::KilobytesFrom(_) | Kind::KilobytesOrNone => KILOBYTES,
        _ => return value.to_owned(),
    };
    with_largest_unit(value, units)
}

const KILOBYTES: &[(&str, i64)] = &[("TB", 1 << 30), ("GB", 1 << 20), ("MB", 1 << 10), ("kB", 1)];

fn with_largest_unit(value: &str, units: &[(&str, i64)]) -> String {
    match value.parse::<i64>() {
        Ok(number) if number > 0 => {
            let (unit, size) = units.iter().find(|(_, size)| number % size == 0).expect("the last unit is 1");
            format!("{}{unit}", number / size)
        }
        _ => value.to_owned(),
    }
}

/// `5s`, `100`, `1.5 min` in milliseconds.
pub fn duration_ms(text: &str) -> Option<i64> {
    with_unit(text, &[("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("", 1)])
}

fn with_unit(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let text = text.trim();
    let end = text.find(|character: char| !matches!(character, '0'..='9' | '.' | '-' | '+')).unwrap_or(text.len());
    let (number, unit) = (text[..end].parse::<f64>().ok()?, text[end..].trim());
    let size = units.iter().find(|(name, _)| *name == unit)?.1;
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let scaled = (number * size as f64).round();
    (scaled.abs() < 9e15).then_some(scaled as i64)
}

fn within(definition: &Definition, number: i64, low: i64, high: i64, unit: &str) -> PgResult<String> {
    if (low..=high).contains(&number) {
        return Ok(number.to_string());
    }
    let message =
        format!("{number}{unit} is outside the valid range for parameter \"{}\" ({low} .. {high})", definition.name);
    Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message))
}

/// A number with a unit that is none gets a hint; anything else is just wrong.
fn invalid_unit(definition: &Definition, given: &str, units: &str) -> Box<PgError> {
    let error = invalid(definition, given);
    let is_number = given.trim().trim_start_matches(['-', '+']).starts_with(|first: char| first.is_ascii_digit());
    if is_number { error.hint(units) } else { error }
}

fn invalid(definition: &Definition, given: &str) -> Box<PgError> {
    let message = format!("invalid value for parameter \"{}\": \"{given}\"", definition.name);
    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

/// PostgreSQL's words for true and false, and their unambiguous beginnings.
pub fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(text.as_str());
    if begins("true", 1) || begins("yes", 1) || text == "on" || text == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// A style and an order, in any order; what is not given stays as it was.
fn date_style(definition: &Definition, current: &str, values: &[String]) -> PgResult<String> {
    let was = |at: usize| current.split(", ").nth(at).unwrap_or_default();
    let (mut style, mut order, mut by_style) = (None, None, None);
    let mut base = (was(0), was(1));
    let wrong = |detail: String| Err(invalid(definition, &values.join(", ")).detail(detail));
    for word in values.iter().flat_map(|value| value.split(',')) {
        let word = word.trim();
        let upper = word.to_ascii_uppercase();
        let (place, value) = match upper.as_str() {
            "ISO" => (&mut style, "ISO"),
            "SQL" => (&mut style, "SQL"),
            "GERMAN" => {
                by_style = Some("DMY");
                (&mut style, "German")
            }
            _ if upper.starts_with("POSTGRES") => (&mut style, "Postgres"),
            "YMD" => (&mut order, "YMD"),
            "MDY" | "US" => (&mut order, "MDY"),
            "DMY" => (&mut order, "DMY"),
            _ if upper.starts_with("EURO") => (&mut order, "DMY"),
            _ if upper.starts_with("NONEURO") => (&mut order, "MDY"),
            "DEFAULT" => {
                base = ("ISO", "MDY");
                continue;
            }
            _ => return wrong(format!("Unrecognized key word: \"{}\".", word.to_ascii_lowercase())),
        };
        if place.replace(value).is_some_and(|before| before != value) {
            return wrong("Conflicting \"datestyle\" specifications.".to_owned());
        }
    }
    Ok(format!("{}, {}", style.unwrap_or(base.0), order.or(by_style).unwrap_or(base.1)))
}

/// One of PostgreSQL's other encodings.
pub fn is_encoding(plain: &str) -> bool {
    let plain = plain.to_ascii_uppercase();
    let families = [
        "LATIN", "WIN", "ISO8859", "EUC", "KOI8", "SJIS", "SHIFTJIS", "BIG5", "GBK", "GB18030", "JOHAB", "UHC", "MULE",
    ];
    families.iter().any(|family| plain.starts_with(family))
}

/// Names of a comma-separated list, quotes taken off.
pub(super) fn list(text: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            blank if !quoted && blank.is_whitespace() => {}
            other => name.push(other),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

fn quoted(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|character| matches!(character, 'a'..='z' | '0'..='9' | '_'));
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
