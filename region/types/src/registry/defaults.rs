//! Parameters with names and defaults: functions that may be called with fewer arguments, or with arguments by name.

/// A parameter; one without default must be given.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    /// SQL text of the default, a literal of the parameter's type.
    pub default: Option<&'static str>,
}

const fn given(name: &'static str) -> Parameter {
    Parameter { name, default: None }
}
const fn with(name: &'static str, default: &'static str) -> Parameter {
    Parameter { name, default: Some(default) }
}

const PATH: &[Parameter] = &[given("target"), given("path"), with("vars", "{}"), with("silent", "false")];

static PARAMETERS: &[(&str, &[Parameter])] = &[
    (
        "make_interval",
        &[
            with("years", "0"),
            with("months", "0"),
            with("weeks", "0"),
            with("days", "0"),
            with("hours", "0"),
            with("mins", "0"),
            with("secs", "0.0"),
        ],
    ),
    ("make_date", &[given("year"), given("month"), given("day")]),
    ("make_time", &[given("hour"), given("min"), given("sec")]),
    ("make_timestamp", &[given("year"), given("month"), given("mday"), given("hour"), given("min"), given("sec")]),
    ("jsonb_set", &[given("jsonb_in"), given("path"), given("replacement"), with("create_if_missing", "true")]),
    (
        "jsonb_set_lax",
        &[
            given("jsonb_in"),
            given("path"),
            given("replacement"),
            with("create_if_missing", "true"),
            with("null_value_treatment", "use_json_null"),
        ],
    ),
    ("jsonb_insert", &[given("jsonb_in"), given("path"), given("replacement"), with("insert_after", "false")]),
    ("jsonb_path_exists", PATH),
    ("jsonb_path_exists_tz", PATH),
    ("jsonb_path_match", PATH),
    ("jsonb_path_match_tz", PATH),
    ("jsonb_path_query", PATH),
    ("jsonb_path_query_tz", PATH),
    ("jsonb_path_query_array", PATH),
    ("jsonb_path_query_array_tz", PATH),
    ("jsonb_path_query_first", PATH),
    ("jsonb_path_query_first_tz", PATH),
    ("parse_ident", &[given("str"), with("strict", "true")]),
    // Without names.
    ("normalize", &[given(""), with("", "NFC")]),
    ("is_normalized", &[given(""), with("", "NFC")]),
];

/// What is known of a function's parameters.
pub fn parameters(function: &str) -> Option<&'static [Parameter]> {
    PARAMETERS.iter().find(|(name, _)| *name == function).map(|(_, parameters)| *parameters)
}
