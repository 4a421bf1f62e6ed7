//! A session's settings: SET, SET LOCAL, SHOW, RESET, with PostgreSQL's names, units, errors and transaction rules.
//!
//! A value lives three lives: what is *current*, what stays after the transaction commits, and what comes back when it
//! (or a savepoint) rolls back. SET changes the first two, SET LOCAL the first; an undo log serves the third.
//!
//! ```text
//!   BEGIN; SET x = 1; SAVEPOINT s; SET LOCAL x = 2; ROLLBACK TO s; COMMIT;
//!   current   1                              2          1           1
//!   lasting   1                              1          1           1
//! ```
mod category;
mod definitions;
mod others;
mod value;

use crate::execute::Limits;
use crate::plan::PlanSettings;
use definitions::{DEFINITIONS, Definition};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use trivet_types::{
    DateOrder, DateStyle, FormatSettings, IntervalStyle, PgError, PgResult, Severity, SqlState, datetime::TimeZone,
    sqlstate,
};
pub use value::{boolean, duration_ms, is_encoding};
use value::{canonical, shown};

const CANNOT_CHANGE_NOW: SqlState = SqlState(*b"55P02");

/// Which setting: a place in the table, or a name with a dot that an extension or user made up.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Key {
    Known(usize),
    Custom(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Undo {
    key: Key,
    current: Option<String>,
    lasting: Option<String>,
}

/// How far the undo log has got; a savepoint keeps one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct SettingsMark(usize);

#[derive(Clone, Debug)]
pub struct Settings {
    /// Canonical values by place in the table.
    current: Vec<String>,
    lasting: Vec<String>,
    /// What RESET goes back to: the default, or what the client asked for when it connected.
    initial: Vec<String>,
    custom: BTreeMap<String, String>,
    custom_lasting: BTreeMap<String, String>,
    undo: Vec<Undo>,
    /// Reported settings that changed since `take_reports`.
    unreported: Vec<usize>,
    format: FormatSettings,
    limits: Limits,
    planning: PlanSettings,
    /// Once the session has made a temporary table.
    temporary_schema: Option<String>,
    /// What of the settings decides how values are read and shown.
    format_key: Arc<str>,
    stale_reads: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let defaults: Vec<String> = DEFINITIONS.iter().map(|definition| definition.default.to_owned()).collect();
        let mut settings = Settings {
            current: defaults.clone(),
            lasting: defaults.clone(),
            initial: defaults,
            custom: BTreeMap::new(),
            custom_lasting: BTreeMap::new(),
            undo: Vec::new(),
            unreported: Vec::new(),
            format: FormatSettings::default(),
            limits: Limits::default(),
            planning: PlanSettings::default(),
            temporary_schema: None,
            format_key: Arc::from(""),
            stale_reads: false,
        };
        settings.refresh();
        settings
    }
}

impl Settings {
    /// With what the client sent at start-up; a wrong value there is fatal to the connection, as in PostgreSQL.
    pub fn at_start(user: &str, parameters: &[(String, String)]) -> PgResult<Settings> {
        let mut settings = Settings::default();
        let identity = if user == "postgres" { "on" } else { "off" };
        for (name, value) in [("session_authorization", user), ("is_superuser", identity)] {
            let at = place(name).expect("the table has these");
            settings.current[at] = value.to_owned();
        }
        for (name, value) in parameters {
            match name.as_str() {
                "options" => {
                    for (name, value) in options(value)? {
                        settings.set(&name, &[value], false)?;
                    }
                }
                _ if name.starts_with("_pq_.") => {}
                _ => settings.set(name, std::slice::from_ref(value), false)?,
            }
        }
        settings.lasting = settings.current.clone();
        settings.initial = settings.current.clone();
        settings.custom_lasting = settings.custom.clone();
        settings.undo.clear();
        settings.unreported.clear();
        Ok(settings)
    }

    /// Every reported setting, for after authentication.
    pub fn reported(&self) -> Vec<(String, String)> {
        let reported = |(at, definition): (usize, &Definition)| {
            definition.reported.then(|| (definition.name.to_owned(), shown(definition, &self.current[at])))
        };
        DEFINITIONS.iter().enumerate().filter_map(reported).collect()
    }

    /// Reported settings that changed since the last call.
    pub fn take_reports(&mut self) -> Vec<(&'static str, String)> {
        let mut changed = std::mem::take(&mut self.unreported);
        changed.sort_unstable();
        changed.dedup();
        changed.into_iter().map(|at| (DEFINITIONS[at].name, shown(&DEFINITIONS[at], &self.current[at]))).collect()
    }

    pub fn set(&mut self, name: &str, values: &[String], local: bool) -> PgResult<()> {
        let key = key(name)?;
        let value = match &key {
            Key::Custom(_) => values.join(", "),
            Key::Known(at) => {
                let definition = &DEFINITIONS[*at];
                if definition.fixed {
                    return Err(fixed(definition));
                }
                canonical(definition, &self.current[*at], values)?
            }
        };
        self.change(key, Some(value), local);
        Ok(())
    }

    /// As `set_config` does it: without a value it is the default.
    pub fn set_or_reset(&mut self, name: &str, value: Option<&str>, local: bool) -> PgResult<()> {
        match value {
            Some(value) => self.set(name, &[value.to_owned()], local),
            None => self.reset(name, local),
        }
    }

    /// `SET x TO DEFAULT` and `RESET x`.
    pub fn reset(&mut self, name: &str, local: bool) -> PgResult<()> {
        match key(name)? {
            Key::Known(at) if DEFINITIONS[at].fixed => Err(fixed(&DEFINITIONS[at])),
            Key::Known(at) => {
                let value = self.initial[at].clone();
                self.change(Key::Known(at), Some(value), local);
                Ok(())
            }
            custom => {
                self.change(custom, None, local);
                Ok(())
            }
        }
    }

    pub fn reset_all(&mut self) {
        for at in 0..DEFINITIONS.len() {
            if !DEFINITIONS[at].fixed && !DEFINITIONS[at].transactional && self.current[at] != self.initial[at] {
                let value = self.initial[at].clone();
                self.change(Key::Known(at), Some(value), false);
            }
        }
        for name in self.custom.keys().cloned().collect::<Vec<_>>() {
            self.change(Key::Custom(name), None, false);
        }
    }

    /// Does the client want to hear of what is so severe? (`client_min_messages`)
    pub fn tells(&self, severity: Severity) -> bool {
        let rank = match severity {
            Severity::Debug => 0,
            Severity::Log => 1,
            Severity::Notice => 2,
            Severity::Warning => 3,
            // INFO is what was asked for.
            Severity::Info | Severity::Error | Severity::Fatal | Severity::Panic => return true,
        };
        rank >= match self.value("client_min_messages") {
            "log" => 1,
            "notice" => 2,
            "warning" => 3,
            "error" => 4,
            _ => 0,
        }
    }

    /// As SHOW prints it.
    pub fn show(&self, name: &str) -> PgResult<String> {
        match key(name)? {
            Key::Known(at) => Ok(shown(&DEFINITIONS[at], &self.current[at])),
            Key::Custom(name) => self.custom.get(&name).cloned().ok_or_else(|| unrecognized(&name)),
        }
    }

    /// (name, value, description) of all settings, by name.
    pub fn show_all(&self) -> Vec<(&'static str, String, &'static str)> {
        DEFINITIONS
            .iter()
            .enumerate()
            .map(|(at, definition)| (definition.name, shown(definition, &self.current[at]), definition.description))
            .collect()
    }

    /// What `pg_settings` shows: name, value, description, unit, category, type, bounds, choices, defaults, context, source.
    pub fn rows(&self) -> Vec<Vec<Option<String>>> {
        let row = |(at, definition): (usize, &Definition)| {
            let bounds = definition.bounds();
            let choices = definition.choices();
            let text = |text: &str| Some(text.to_owned());
            vec![
                text(definition.name),
                text(&self.current[at]),
                text(definition.description),
                definition.unit().map(str::to_owned),
                text(category::category(definition.name)),
                text(definition.value_type()),
                bounds.map(|(low, _)| low.to_string()),
                bounds.map(|(_, high)| high.to_string()),
                (!choices.is_empty()).then(|| choices.join(",")),
                text(definition.default),
                text(&self.initial[at]),
                text(if definition.fixed { "internal" } else { "user" }),
                text(if self.current[at] == definition.default {
                    "default"
                } else if self.current[at] == self.initial[at] {
                    "client"
                } else {
                    "session"
                }),
            ]
        };
        DEFINITIONS.iter().enumerate().map(row).collect()
    }

    /// How the column of SHOW is called: the setting's name as PostgreSQL writes it (`TimeZone`, `DateStyle`).
    pub fn canonical_name(name: &str) -> String {
        place(name).map_or_else(|| name.to_owned(), |at| DEFINITIONS[at].name.to_owned())
    }

    /// A known setting's canonical value.
    pub fn value(&self, name: &'static str) -> &str {
        &self.current[place(name).expect("asked for a setting that the table has")]
    }

    pub fn is_on(&self, name: &'static str) -> bool {
        self.value(name) == "on"
    }

    /// A setting of time, in milliseconds; 0 is "none".
    pub fn milliseconds(&self, name: &'static str) -> u64 {
        self.value(name).parse().unwrap_or(0)
    }

    /// Schemas in order, `"$user"` as it stands.
    /// The schemas to look in, the session's own for temporary tables first, if it has one.
    pub fn search_path(&self) -> Vec<String> {
        let mut path = value::list(self.value("search_path"));
        if let Some(own) = &self.temporary_schema {
            path.retain(|name| name != crate::temporary::ALIAS && name != own);
            path.insert(0, own.clone());
        }
        path
    }
    pub fn set_temporary_schema(&mut self, name: Option<String>) {
        self.temporary_schema = name;
    }
    /// What relation names are looked up with.
    pub fn path_key(&self) -> Cow<'_, str> {
        let value = self.value("search_path");
        match &self.temporary_schema {
            None => Cow::Borrowed(value),
            Some(own) => Cow::Owned(format!("{own}, {value}")),
        }
    }

    pub fn format(&self) -> &FormatSettings {
        &self.format
    }

    /// What bounds a statement's memory.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What plans are made by.
    pub fn planning(&self) -> PlanSettings {
        self.planning
    }

    /// Constants in a plan were read and shown under these settings: another key, another plan.
    pub fn format_key(&self) -> &Arc<str> {
        &self.format_key
    }

    /// `trivet.stale_reads`
    pub fn allows_stale_reads(&self) -> bool {
        self.stale_reads
    }

    pub fn mark(&self) -> SettingsMark {
        SettingsMark(self.undo.len())
    }

    /// Does a commit or rollback have anything to do?
    pub fn is_changed(&self) -> bool {
        !self.undo.is_empty()
    }

    pub fn has_reports(&self) -> bool {
        !self.unreported.is_empty()
    }

    pub fn rollback_to(&mut self, mark: SettingsMark) {
        while self.undo.len() > mark.0 {
            let undo = self.undo.pop().expect("longer than the mark");
            self.put(&undo.key, undo.current);
            self.put_lasting(&undo.key, undo.lasting);
        }
        self.refresh();
    }

    pub fn rollback(&mut self) {
        self.rollback_to(SettingsMark(0));
    }

    /// SET LOCAL ends here.
    pub fn commit(&mut self) {
        for undo in std::mem::take(&mut self.undo) {
            let lasting = match &undo.key {
                Key::Known(at) => Some(self.lasting[*at].clone()),
                Key::Custom(name) => self.custom_lasting.get(name).cloned(),
            };
            self.put(&undo.key, lasting);
        }
        self.refresh();
    }

    fn change(&mut self, key: Key, value: Option<String>, local: bool) {
        let (current, lasting) = match &key {
            Key::Known(at) => (Some(self.current[*at].clone()), Some(self.lasting[*at].clone())),
            Key::Custom(name) => (self.custom.get(name).cloned(), self.custom_lasting.get(name).cloned()),
        };
        self.put(&key, value.clone());
        if !local {
            self.put_lasting(&key, value);
        }
        self.undo.push(Undo { key, current, lasting });
        self.refresh();
    }

    fn put(&mut self, key: &Key, value: Option<String>) {
        match (key, value) {
            (Key::Known(at), value) => {
                let value = value.expect("a known setting always has a value");
                if DEFINITIONS[*at].reported && self.current[*at] != value {
                    self.unreported.push(*at);
                }
                self.current[*at] = value;
            }
            // A name that was used once stays known, with nothing in it.
            (Key::Custom(name), value) => drop(self.custom.insert(name.clone(), value.unwrap_or_default())),
        }
    }

    fn put_lasting(&mut self, key: &Key, value: Option<String>) {
        match (key, value) {
            (Key::Known(at), value) => self.lasting[*at] = value.expect("a known setting always has a value"),
            (Key::Custom(name), Some(value)) => drop(self.custom_lasting.insert(name.clone(), value)),
            (Key::Custom(name), None) => drop(self.custom_lasting.remove(name)),
        }
    }

    /// Keep at hand what every statement asks for.
    fn refresh(&mut self) {
        let kilobytes = |name| self.value(name).parse::<u64>().ok().map(|kilobytes| kilobytes << 10);
        let bytes = |name, default| kilobytes(name).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(default);
        self.limits = Limits {
            work_bytes: bytes("work_mem", Limits::WORK_BYTES),
            statement_bytes: bytes("trivet.statement_memory", Limits::STATEMENT_BYTES),
            temporary_bytes: kilobytes("temp_file_limit"),
        };
        self.planning = PlanSettings {
            sequential_scan: self.is_on("enable_seqscan"),
            index_scan: self.is_on("enable_indexscan"),
            nested_loop: self.is_on("enable_nestloop"),
            hash_join: self.is_on("enable_hashjoin"),
            merge_join: self.is_on("enable_mergejoin"),
            sort: self.is_on("enable_sort"),
            work_bytes: self.limits.work_bytes,
        };
        self.format = FormatSettings {
            time_zone: TimeZone::of_shown(self.value("TimeZone")).unwrap_or(TimeZone::UTC),
            extra_float_digits: self.value("extra_float_digits").parse().unwrap_or(1),
            bytea_escape: self.value("bytea_output") == "escape",
            date_order: match self.value("DateStyle").rsplit(' ').next() {
                Some("YMD") => DateOrder::YearMonthDay,
                Some("DMY") => DateOrder::DayMonthYear,
                _ => DateOrder::MonthDayYear,
            },
            date_style: match self.value("DateStyle").split(',').next() {
                Some("SQL") => DateStyle::Sql,
                Some("Postgres") => DateStyle::Postgres,
                Some("German") => DateStyle::German,
                _ => DateStyle::Iso,
            },
            interval_style: match self.value("IntervalStyle") {
                "postgres_verbose" => IntervalStyle::PostgresVerbose,
                "sql_standard" => IntervalStyle::SqlStandard,
                "iso_8601" => IntervalStyle::Iso8601,
                _ => IntervalStyle::Postgres,
            },
        };
        self.stale_reads = self.is_on("trivet.stale_reads");
        const NAMES: [&str; 5] = ["DateStyle", "IntervalStyle", "TimeZone", "extra_float_digits", "bytea_output"];
        let key = NAMES.map(|name| self.value(name)).join(";");
        if *self.format_key != *key {
            self.format_key = Arc::from(key);
        }
    }
}

/// Places by name, as written in the table and in lower case.
static PLACES: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    let names = DEFINITIONS.iter().enumerate();
    names
        .flat_map(|(at, definition)| [(definition.name.to_string(), at), (definition.name.to_ascii_lowercase(), at)])
        .collect()
});

fn place(name: &str) -> Option<usize> {
    PLACES.get(name).or_else(|| PLACES.get(&name.to_ascii_lowercase())).copied()
}

fn key(name: &str) -> PgResult<Key> {
    match place(name) {
        Some(at) => Ok(Key::Known(at)),
        None if name.contains('.') => Ok(Key::Custom(name.to_ascii_lowercase())),
        None => Err(unrecognized(name)),
    }
}

/// 55P02: PostgreSQL knows settings that nothing changes, and those of its configuration file.
fn fixed(definition: &Definition) -> Box<PgError> {
    let how = if definition.name == "max_connections" { " without restarting the server" } else { "" };
    PgError::new(CANNOT_CHANGE_NOW, format!("parameter \"{}\" cannot be changed{how}", definition.name))
}

fn unrecognized(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

/// The start-up parameter `options`: `-c name=value` and `--name=value`, backslash before a blank.
fn options(text: &str) -> PgResult<Vec<(String, String)>> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut().expect("never empty").extend(characters.next()),
            ' ' | '\t' | '\n' => words.push(String::new()),
            other => words.last_mut().expect("never empty").push(other),
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut read = Vec::new();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--") {
            Some(long) => long.to_owned(),
            None => match word.strip_prefix("-c") {
                Some("") => words.next().unwrap_or_default(),
                Some(rest) => rest.to_owned(),
                None => String::new(),
            },
        };
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            ));
        };
        read.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
