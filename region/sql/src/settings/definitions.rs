//! The settings there are: PostgreSQL's, as far as drivers and tools send or read them. One that nothing here obeys is
//! listed only where obeying would change nothing.
use std::sync::LazyLock;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Bool,
    /// Plain whole number within bounds.
    Integer(i64, i64),
    /// Whole milliseconds; other units are converted.
    Milliseconds,
    /// Whole kilobytes; other units are converted.
    Kilobytes,
    /// As `Kilobytes`, with a least value of its own.
    KilobytesFrom(i64),
    /// As `Kilobytes`, or -1: no bound.
    KilobytesOrNone,
    /// Blocks of 8 kB within bounds; other units are converted.
    Blocks(i64, i64),
    Real,
    Choice(&'static [&'static str]),
    /// Taken as it is; several values are joined.
    Text,
    /// Names, each quoted when it has to be.
    NameList,
    DateStyle,
    TimeZone,
    Encoding,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Definition {
    pub name: &'static str,
    pub default: &'static str,
    pub kind: Kind,
    /// Told to the client when it changes.
    pub reported: bool,
    /// SET is an error.
    pub fixed: bool,
    /// Ends with the transaction; RESET ALL leaves it.
    pub transactional: bool,
    pub description: &'static str,
}

pub(super) const fn setting(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
) -> Definition {
    Definition { name, default, kind, reported: false, fixed: false, transactional: false, description }
}
const fn reported(definition: Definition) -> Definition {
    Definition { reported: true, ..definition }
}
const fn fixed(definition: Definition) -> Definition {
    Definition { fixed: true, ..definition }
}
const fn transactional(definition: Definition) -> Definition {
    Definition { transactional: true, ..definition }
}

const ISOLATION: Kind = Kind::Choice(&["serializable", "repeatable read", "read committed", "read uncommitted"]);
const MESSAGE_LEVEL: Kind =
    Kind::Choice(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]);

/// In PostgreSQL's order, by name without regard to case.
pub(super) static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let mut all = [OWN, super::others::OTHERS].concat();
    all.sort_by_key(|definition| definition.name.to_ascii_lowercase());
    all
});

const OWN: &[Definition] = &[
    reported(setting(
        "application_name",
        "",
        Kind::Text,
        "Sets the application name to be reported in statistics and logs.",
    )),
    setting("backslash_quote", "safe_encoding", Kind::Text, "Sets whether \"\\'\" is allowed in string literals."),
    fixed(setting("block_size", "8192", Kind::Integer(0, 8192), "Shows the size of a disk block.")),
    setting("bytea_output", "hex", Kind::Choice(&["escape", "hex"]), "Sets the output format for bytea."),
    setting(
        "check_function_bodies",
        "on",
        Kind::Bool,
        "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.",
    ),
    reported(setting("client_encoding", "UTF8", Kind::Encoding, "Sets the client's character set encoding.")),
    setting("client_min_messages", "notice", MESSAGE_LEVEL, "Sets the message levels that are sent to the client."),
    reported(setting("DateStyle", "ISO, MDY", Kind::DateStyle, "Sets the display format for date and time values.")),
    setting(
        "deadlock_timeout",
        "1000",
        Kind::Milliseconds,
        "Sets the time to wait on a lock before checking for deadlock.",
    ),
    setting("default_table_access_method", "heap", Kind::Text, "Sets the default table access method for new tables."),
    setting("default_tablespace", "", Kind::Text, "Sets the default tablespace to create tables and indexes in."),
    setting("default_text_search_config", "pg_catalog.simple", Kind::Text, "Sets default text search configuration."),
    setting(
        "default_transaction_deferrable",
        "off",
        Kind::Bool,
        "Sets the default deferrable status of new transactions.",
    ),
    setting(
        "default_transaction_isolation",
        "read committed",
        ISOLATION,
        "Sets the transaction isolation level of each new transaction.",
    ),
    reported(setting(
        "default_transaction_read_only",
        "off",
        Kind::Bool,
        "Sets the default read-only status of new transactions.",
    )),
    setting("enable_hashjoin", "on", Kind::Bool, "Enables the planner's use of hash join plans."),
    setting("enable_indexscan", "on", Kind::Bool, "Enables the planner's use of index-scan plans."),
    setting("enable_mergejoin", "on", Kind::Bool, "Enables the planner's use of merge join plans."),
    setting("enable_nestloop", "on", Kind::Bool, "Enables the planner's use of nested-loop join plans."),
    setting("enable_seqscan", "on", Kind::Bool, "Enables the planner's use of sequential-scan plans."),
    setting("enable_sort", "on", Kind::Bool, "Enables the planner's use of explicit sort steps."),
    setting("escape_string_warning", "on", Kind::Bool, "Warn about backslash escapes in ordinary string literals."),
    setting(
        "extra_float_digits",
        "1",
        Kind::Integer(-15, 3),
        "Sets the number of digits displayed for floating-point values.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        Kind::Milliseconds,
        "Sets the maximum allowed idle time between queries, when in a transaction.",
    ),
    setting(
        "idle_session_timeout",
        "0",
        Kind::Milliseconds,
        "Sets the maximum allowed idle time between queries, when not in a transaction.",
    ),
    reported(fixed(setting("in_hot_standby", "off", Kind::Bool, "Shows whether hot standby is currently active."))),
    reported(fixed(setting("integer_datetimes", "on", Kind::Bool, "Shows whether datetimes are integer based."))),
    reported(setting(
        "IntervalStyle",
        "postgres",
        Kind::Choice(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "Sets the display format for interval values.",
    )),
    reported(fixed(setting("is_superuser", "on", Kind::Bool, "Shows whether the current user is a superuser."))),
    setting("jit", "off", Kind::Bool, "Allow JIT compilation."),
    fixed(setting("lc_collate", "C", Kind::Text, "Shows the collation order locale.")),
    fixed(setting("lc_ctype", "C", Kind::Text, "Shows the character classification and case conversion locale.")),
    setting("lc_messages", "C", Kind::Text, "Sets the language in which messages are displayed."),
    setting("lc_monetary", "C", Kind::Text, "Sets the locale for formatting monetary amounts."),
    setting("lc_numeric", "C", Kind::Text, "Sets the locale for formatting numbers."),
    setting("lc_time", "C", Kind::Text, "Sets the locale for formatting date and time values."),
    setting("lock_timeout", "0", Kind::Milliseconds, "Sets the maximum allowed duration of any wait for a lock."),
    fixed(setting(
        "max_connections",
        "100",
        Kind::Integer(1, 262_143),
        "Sets the maximum number of concurrent connections.",
    )),
    fixed(setting("max_identifier_length", "63", Kind::Integer(63, 63), "Shows the maximum identifier length.")),
    fixed(setting("max_index_keys", "32", Kind::Integer(32, 32), "Shows the maximum number of index keys.")),
    setting(
        "max_parallel_workers_per_gather",
        "0",
        Kind::Integer(0, 1024),
        "Sets the maximum number of parallel processes per executor node.",
    ),
    setting(
        "password_encryption",
        "scram-sha-256",
        Kind::Choice(&["scram-sha-256"]),
        "Chooses the algorithm for encrypting passwords.",
    ),
    setting(
        "plan_cache_mode",
        "auto",
        Kind::Choice(&["auto", "force_generic_plan", "force_custom_plan"]),
        "Controls the planner's selection of custom or generic plan.",
    ),
    setting("quote_all_identifiers", "off", Kind::Bool, "When generating SQL fragments, quote all identifiers."),
    setting(
        "random_page_cost",
        "4",
        Kind::Real,
        "Sets the planner's estimate of the cost of a nonsequentially fetched disk page.",
    ),
    setting("role", "none", Kind::Text, "Sets the current role."),
    setting("row_security", "on", Kind::Bool, "Enable row security."),
    setting(
        "search_path",
        "\"$user\", public",
        Kind::NameList,
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    setting(
        "seq_page_cost",
        "1",
        Kind::Real,
        "Sets the planner's estimate of the cost of a sequentially fetched disk page.",
    ),
    fixed(setting("server_encoding", "UTF8", Kind::Text, "Shows the server (database) character set encoding."))
        .also_reported(),
    fixed(setting(
        "server_version",
        concat!("15.0 (Trivet ", env!("CARGO_PKG_VERSION"), ")"),
        Kind::Text,
        "Shows the server version.",
    ))
    .also_reported(),
    fixed(setting(
        "server_version_num",
        "150000",
        Kind::Integer(150_000, 150_000),
        "Shows the server version as an integer.",
    )),
    reported(setting("session_authorization", "postgres", Kind::Text, "Sets the session user name.")),
    setting(
        "session_replication_role",
        "origin",
        Kind::Choice(&["origin", "replica", "local"]),
        "Sets the session's behavior for triggers and rewrite rules.",
    ),
    reported(setting(
        "standard_conforming_strings",
        "on",
        Kind::Choice(&["on"]),
        "Causes '...' strings to treat backslashes literally.",
    )),
    setting("statement_timeout", "0", Kind::Milliseconds, "Sets the maximum allowed duration of any statement."),
    setting("synchronize_seqscans", "on", Kind::Bool, "Enable synchronized sequential scans."),
    setting(
        "synchronous_commit",
        "on",
        Kind::Choice(&["local", "remote_write", "remote_apply", "on", "off"]),
        "Sets the current transaction's synchronization level.",
    ),
    setting(
        "temp_file_limit",
        "-1",
        Kind::KilobytesOrNone,
        "Limits the total size of all temporary files used by each process.",
    ),
    reported(setting(
        "TimeZone",
        "UTC",
        Kind::TimeZone,
        "Sets the time zone for displaying and interpreting time stamps.",
    )),
    transactional(setting(
        "transaction_deferrable",
        "off",
        Kind::Bool,
        "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures.",
    )),
    transactional(setting(
        "transaction_isolation",
        "read committed",
        ISOLATION,
        "Sets the current transaction's isolation level.",
    )),
    transactional(setting(
        "transaction_read_only",
        "off",
        Kind::Bool,
        "Sets the current transaction's read-only status.",
    )),
    setting(
        "trivet.stale_reads",
        "off",
        Kind::Bool,
        "Reads what this region has, however old, while it cannot read what is newest.",
    ),
    setting(
        "trivet.statement_memory",
        "524288",
        Kind::Kilobytes,
        "Sets the maximum memory that one statement may hold before it is refused with an error.",
    ),
    setting("work_mem", "4096", Kind::Kilobytes, "Sets the maximum memory to be used for query workspaces."),
    setting(
        "xmloption",
        "content",
        Kind::Choice(&["content", "document"]),
        "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments.",
    ),
];

impl Definition {
    /// `pg_settings.vartype`
    pub fn value_type(&self) -> &'static str {
        match self.kind {
            Kind::Bool => "bool",
            Kind::Integer(..) | Kind::Milliseconds | Kind::Kilobytes | Kind::KilobytesFrom(_) => "integer",
            Kind::KilobytesOrNone | Kind::Blocks(..) => "integer",
            Kind::Real => "real",
            Kind::Choice(_) => "enum",
            Kind::Text | Kind::NameList | Kind::DateStyle | Kind::TimeZone | Kind::Encoding => "string",
        }
    }
    pub fn unit(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Milliseconds => Some("ms"),
            Kind::Kilobytes | Kind::KilobytesFrom(_) | Kind::KilobytesOrNone => Some("kB"),
            Kind::Blocks(..) => Some("8kB"),
            _ => None,
        }
    }
    /// The least and the greatest value of a number.
    pub fn bounds(&self) -> Option<(i64, i64)> {
        const MAX: i64 = i32::MAX as i64;
        match self.kind {
            Kind::Integer(low, high) | Kind::Blocks(low, high) => Some((low, high)),
            Kind::Milliseconds => Some((0, MAX)),
            Kind::Kilobytes => Some((64, MAX)),
            Kind::KilobytesFrom(low) => Some((low, MAX)),
            Kind::KilobytesOrNone => Some((-1, MAX)),
            _ => None,
        }
    }
    pub fn choices(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Choice(choices) => choices,
            _ => &[],
        }
    }
    const fn also_reported(self) -> Definition {
        reported(self)
    }
}
