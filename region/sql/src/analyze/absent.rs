//! PostgreSQL's types and functions that are not there by decision: refused by their feature's name (0A000), unlike a misspelled
//! one, unless a user made something of that name.
use trivet_types::PgError;

/// Types, by feature.
const TYPES: &[(&str, &[&str])] = &[
    ("the money type", &["money"]),
    ("network address types", &["inet", "cidr", "macaddr", "macaddr8"]),
    ("geometric types", &["point", "line", "lseg", "box", "path", "polygon", "circle"]),
    ("text search", &["tsvector", "tsquery", "regconfig", "regdictionary"]),
    ("XML", &["xml"]),
    (
        "range types",
        &[
            "int4range",
            "int8range",
            "numrange",
            "tsrange",
            "tstzrange",
            "daterange",
            "int4multirange",
            "int8multirange",
            "nummultirange",
            "tsmultirange",
            "tstzmultirange",
            "datemultirange",
        ],
    ),
];

/// Functions that do not have a type's name, by feature.
const FUNCTIONS: &[(&str, &[&str])] = &[
    (
        "text search",
        &[
            "to_tsvector",
            "to_tsquery",
            "plainto_tsquery",
            "phraseto_tsquery",
            "websearch_to_tsquery",
            "array_to_tsvector",
            "tsvector_to_array",
            "ts_rank",
            "ts_rank_cd",
            "ts_headline",
            "ts_rewrite",
            "ts_lexize",
            "ts_debug",
            "ts_parse",
            "ts_stat",
            "setweight",
            "get_current_ts_config",
            "json_to_tsvector",
            "jsonb_to_tsvector",
        ],
    ),
    ("LISTEN and NOTIFY", &["pg_notify"]),
    (
        "network address types",
        &["inet_client_addr", "inet_server_addr", "inet_merge", "inet_same_family", "set_masklen"],
    ),
    (
        "XML",
        &[
            "xmlcomment",
            "xmlagg",
            "xml_is_well_formed",
            "xml_is_well_formed_document",
            "xml_is_well_formed_content",
            "xpath",
            "xpath_exists",
            "table_to_xml",
            "query_to_xml",
            "cursor_to_xml",
            "schema_to_xml",
            "database_to_xml",
        ],
    ),
    ("range types", &["range_merge", "range_intersect_agg", "multirange"]),
    (
        "replication commands",
        &[
            "pg_create_physical_replication_slot",
            "pg_create_logical_replication_slot",
            "pg_drop_replication_slot",
            "pg_logical_slot_get_changes",
            "pg_logical_slot_peek_changes",
            "pg_logical_emit_message",
        ],
    ),
];

fn refused(features: &[(&str, &[&str])], name: &str) -> Option<Box<PgError>> {
    let found = features.iter().find(|(_, names)| names.contains(&name));
    found.map(|(feature, _)| PgError::new(trivet_types::sqlstate::FEATURE_NOT_SUPPORTED, told(feature)))
}

fn told(feature: &str) -> String {
    let verb = if feature.ends_with("types") || feature.contains(" and ") || feature.ends_with("commands") {
        "are"
    } else {
        "is"
    };
    format!("{feature} {verb} not supported")
}

pub(super) fn absent_type(name: &str) -> Option<Box<PgError>> {
    refused(TYPES, name)
}

/// A type's name is that of the function that makes its values, too.
pub(super) fn absent_function(name: &str) -> Option<Box<PgError>> {
    refused(FUNCTIONS, name).or_else(|| absent_type(name))
}
