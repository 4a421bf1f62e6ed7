//! The types: one static table, which also is `pg_type`.
//!
//! A row is PostgreSQL's `pg_type` row. Types that are here can be named, shown in the catalog and used in casts of
//! NULL; those for which `text::input` knows a syntax can hold values.
use crate::oid::{self, Oid};
use crate::user::{
    array_of_enum, array_of_row, enum_of_array, is_domain, is_enum, is_enum_array, is_row, is_row_array, row_of_array,
    type_mark,
};
use std::collections::HashMap;
use std::sync::LazyLock;

/// `pg_type.typcategory`, which steers overload resolution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Category(pub char);

impl Category {
    pub const STRING: Category = Category('S');
    pub const UNKNOWN: Category = Category('X');
    pub const NUMERIC: Category = Category('N');
    pub const ARRAY: Category = Category('A');
    pub const PSEUDO: Category = Category('P');
}

/// One row of `pg_type`.
#[derive(Debug)]
pub struct TypeInfo {
    pub oid: Oid,
    /// Internal name (`int4`); `display_name` gives SQL's (`integer`).
    pub name: &'static str,
    pub length: i16,
    pub by_value: bool,
    pub category: Category,
    pub preferred: bool,
    /// b base, p pseudo, e enum, c rows, d domain.
    pub kind: char,
    pub element: Oid,
    pub array: Oid,
    pub align: char,
    pub input: &'static str,
    pub output: &'static str,
    pub receive: &'static str,
    pub send: &'static str,
}

#[allow(clippy::too_many_arguments)]
const fn t(
    oid: u32,
    name: &'static str,
    length: i16,
    by_value: bool,
    category: char,
    preferred: bool,
    kind: char,
    element: u32,
    array: u32,
    align: char,
    input: &'static str,
    output: &'static str,
    receive: &'static str,
    send: &'static str,
) -> TypeInfo {
    TypeInfo {
        oid: Oid(oid),
        name,
        length,
        by_value,
        category: Category(category),
        preferred,
        kind,
        element: Oid(element),
        array: Oid(array),
        align,
        input,
        output,
        receive,
        send,
    }
}

#[rustfmt::skip]
pub static TYPES: &[TypeInfo] = &[
    t(16, "bool", 1, true, 'B', true, 'b', 0, 1000, 'c', "boolin", "boolout", "boolrecv", "boolsend"),
    t(17, "bytea", -1, false, 'U', false, 'b', 0, 1001, 'i', "byteain", "byteaout", "bytearecv", "byteasend"),
    t(18, "char", 1, true, 'Z', false, 'b', 0, 1002, 'c', "charin", "charout", "charrecv", "charsend"),
    t(19, "name", 64, false, 'S', false, 'b', 18, 1003, 'c', "namein", "nameout", "namerecv", "namesend"),
    t(20, "int8", 8, true, 'N', false, 'b', 0, 1016, 'd', "int8in", "int8out", "int8recv", "int8send"),
    t(21, "int2", 2, true, 'N', false, 'b', 0, 1005, 's', "int2in", "int2out", "int2recv", "int2send"),
    t(22, "int2vector", -1, false, 'A', false, 'b', 21, 1006, 'i', "int2vectorin", "int2vectorout", "int2vectorrecv", "int2vectorsend"),
    t(23, "int4", 4, true, 'N', false, 'b', 0, 1007, 'i', "int4in", "int4out", "int4recv", "int4send"),
    t(24, "regproc", 4, true, 'N', false, 'b', 0, 1008, 'i', "regprocin", "regprocout", "regprocrecv", "regprocsend"),
    t(25, "text", -1, false, 'S', true, 'b', 0, 1009, 'i', "textin", "textout", "textrecv", "textsend"),
    t(26, "oid", 4, true, 'N', true, 'b', 0, 1028, 'i', "oidin", "oidout", "oidrecv", "oidsend"),
    t(27, "tid", 6, false, 'U', false, 'b', 0, 1010, 's', "tidin", "tidout", "tidrecv", "tidsend"),
    t(28, "xid", 4, true, 'U', false, 'b', 0, 1011, 'i', "xidin", "xidout", "xidrecv", "xidsend"),
    t(29, "cid", 4, true, 'U', false, 'b', 0, 1012, 'i', "cidin", "cidout", "cidrecv", "cidsend"),
    t(30, "oidvector", -1, false, 'A', false, 'b', 26, 1013, 'i', "oidvectorin", "oidvectorout", "oidvectorrecv", "oidvectorsend"),
    t(114, "json", -1, false, 'U', false, 'b', 0, 199, 'i', "json_in", "json_out", "json_recv", "json_send"),
    t(194, "pg_node_tree", -1, false, 'Z', false, 'b', 0, 0, 'i', "pg_node_tree_in", "pg_node_tree_out", "pg_node_tree_recv", "pg_node_tree_send"),
    t(199, "_json", -1, false, 'A', false, 'b', 114, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(700, "float4", 4, true, 'N', false, 'b', 0, 1021, 'i', "float4in", "float4out", "float4recv", "float4send"),
    t(701, "float8", 8, true, 'N', true, 'b', 0, 1022, 'd', "float8in", "float8out", "float8recv", "float8send"),
    t(705, "unknown", -2, false, 'X', false, 'p', 0, 0, 'c', "unknownin", "unknownout", "unknownrecv", "unknownsend"),
    t(1000, "_bool", -1, false, 'A', false, 'b', 16, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1001, "_bytea", -1, false, 'A', false, 'b', 17, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1002, "_char", -1, false, 'A', false, 'b', 18, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1003, "_name", -1, false, 'A', false, 'b', 19, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1005, "_int2", -1, false, 'A', false, 'b', 21, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1006, "_int2vector", -1, false, 'A', false, 'b', 22, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1007, "_int4", -1, false, 'A', false, 'b', 23, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1008, "_regproc", -1, false, 'A', false, 'b', 24, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1009, "_text", -1, false, 'A', false, 'b', 25, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1010, "_tid", -1, false, 'A', false, 'b', 27, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1011, "_xid", -1, false, 'A', false, 'b', 28, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1012, "_cid", -1, false, 'A', false, 'b', 29, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1013, "_oidvector", -1, false, 'A', false, 'b', 30, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1014, "_bpchar", -1, false, 'A', false, 'b', 1042, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1015, "_varchar", -1, false, 'A', false, 'b', 1043, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1016, "_int8", -1, false, 'A', false, 'b', 20, 0, 'd', "array_in", "array_out", "array_recv", "array_send"),
    t(1021, "_float4", -1, false, 'A', false, 'b', 700, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1022, "_float8", -1, false, 'A', false, 'b', 701, 0, 'd', "array_in", "array_out", "array_recv", "array_send"),
    t(1028, "_oid", -1, false, 'A', false, 'b', 26, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1033, "aclitem", 12, false, 'U', false, 'b', 0, 1034, 'i', "aclitemin", "aclitemout", "-", "-"),
    t(1034, "_aclitem", -1, false, 'A', false, 'b', 1033, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1042, "bpchar", -1, false, 'S', false, 'b', 0, 1014, 'i', "bpcharin", "bpcharout", "bpcharrecv", "bpcharsend"),
    t(1043, "varchar", -1, false, 'S', false, 'b', 0, 1015, 'i', "varcharin", "varcharout", "varcharrecv", "varcharsend"),
    t(1082, "date", 4, true, 'D', false, 'b', 0, 1182, 'i', "date_in", "date_out", "date_recv", "date_send"),
    t(1083, "time", 8, true, 'D', false, 'b', 0, 1183, 'd', "time_in", "time_out", "time_recv", "time_send"),
    t(1114, "timestamp", 8, true, 'D', false, 'b', 0, 1115, 'd', "timestamp_in", "timestamp_out", "timestamp_recv", "timestamp_send"),
    t(1115, "_timestamp", -1, false, 'A', false, 'b', 1114, 0, 'd', "array_in", "array_out", "array_recv", "array_send"),
    t(1182, "_date", -1, false, 'A', false, 'b', 1082, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1183, "_time", -1, false, 'A', false, 'b', 1083, 0, 'd', "array_in", "array_out", "array_recv", "array_send"),
    t(1184, "timestamptz", 8, true, 'D', true, 'b', 0, 1185, 'd', "timestamptz_in", "timestamptz_out", "timestamptz_recv", "timestamptz_send"),
    t(1185, "_timestamptz", -1, false, 'A', false, 'b', 1184, 0, 'd', "array_in", "array_out", "array_recv", "array_send"),
    t(1186, "interval", 16, false, 'T', true, 'b', 0, 1187, 'd', "interval_in", "interval_out", "interval_recv", "interval_send"),
    t(1187, "_interval", -1, false, 'A', false, 'b', 1186, 0, 'd', "array_in", "array_out", "array_recv", "array_send"),
    t(1231, "_numeric", -1, false, 'A', false, 'b', 1700, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1263, "_cstring", -1, false, 'A', false, 'b', 2275, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1266, "timetz", 12, false, 'D', false, 'b', 0, 1270, 'd', "timetz_in", "timetz_out", "timetz_recv", "timetz_send"),
    t(1270, "_timetz", -1, false, 'A', false, 'b', 1266, 0, 'd', "array_in", "array_out", "array_recv", "array_send"),
    t(1560, "bit", -1, false, 'V', false, 'b', 0, 1561, 'i', "bit_in", "bit_out", "bit_recv", "bit_send"),
    t(1561, "_bit", -1, false, 'A', false, 'b', 1560, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1562, "varbit", -1, false, 'V', true, 'b', 0, 1563, 'i', "varbit_in", "varbit_out", "varbit_recv", "varbit_send"),
    t(1563, "_varbit", -1, false, 'A', false, 'b', 1562, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(1700, "numeric", -1, false, 'N', false, 'b', 0, 1231, 'i', "numeric_in", "numeric_out", "numeric_recv", "numeric_send"),
    t(1790, "refcursor", -1, false, 'U', false, 'b', 0, 2201, 'i', "textin", "textout", "textrecv", "textsend"),
    t(2202, "regprocedure", 4, true, 'N', false, 'b', 0, 2207, 'i', "regprocedurein", "regprocedureout", "regprocedurerecv", "regproceduresend"),
    t(2203, "regoper", 4, true, 'N', false, 'b', 0, 2208, 'i', "regoperin", "regoperout", "regoperrecv", "regopersend"),
    t(2204, "regoperator", 4, true, 'N', false, 'b', 0, 2209, 'i', "regoperatorin", "regoperatorout", "regoperatorrecv", "regoperatorsend"),
    t(2205, "regclass", 4, true, 'N', false, 'b', 0, 2210, 'i', "regclassin", "regclassout", "regclassrecv", "regclasssend"),
    t(2206, "regtype", 4, true, 'N', false, 'b', 0, 2211, 'i', "regtypein", "regtypeout", "regtyperecv", "regtypesend"),
    t(2210, "_regclass", -1, false, 'A', false, 'b', 2205, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(2211, "_regtype", -1, false, 'A', false, 'b', 2206, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(2249, "record", -1, false, 'P', false, 'p', 0, 2287, 'd', "record_in", "record_out", "record_recv", "record_send"),
    t(2275, "cstring", -2, false, 'P', false, 'p', 0, 1263, 'c', "cstring_in", "cstring_out", "cstring_recv", "cstring_send"),
    t(2276, "any", 4, true, 'P', false, 'p', 0, 0, 'i', "any_in", "any_out", "-", "-"),
    t(2277, "anyarray", -1, false, 'P', false, 'p', 0, 0, 'd', "anyarray_in", "anyarray_out", "anyarray_recv", "anyarray_send"),
    t(2278, "void", 4, true, 'P', false, 'p', 0, 0, 'i', "void_in", "void_out", "void_recv", "void_send"),
    t(2279, "trigger", 4, true, 'P', false, 'p', 0, 0, 'i', "trigger_in", "trigger_out", "-", "-"),
    t(2280, "language_handler", 4, true, 'P', false, 'p', 0, 0, 'i', "language_handler_in", "language_handler_out", "-", "-"),
    t(2281, "internal", 8, true, 'P', false, 'p', 0, 0, 'd', "internal_in", "internal_out", "-", "-"),
    t(2283, "anyelement", 4, true, 'P', false, 'p', 0, 0, 'i', "anyelement_in", "anyelement_out", "-", "-"),
    t(2287, "_record", -1, false, 'P', false, 'p', 2249, 0, 'd', "array_in", "array_out", "array_recv", "array_send"),
    t(2776, "anynonarray", 4, true, 'P', false, 'p', 0, 0, 'i', "anynonarray_in", "anynonarray_out", "-", "-"),
    t(2950, "uuid", 16, false, 'U', false, 'b', 0, 2951, 'c', "uuid_in", "uuid_out", "uuid_recv", "uuid_send"),
    t(2951, "_uuid", -1, false, 'A', false, 'b', 2950, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(3220, "pg_lsn", 8, true, 'U', false, 'b', 0, 3221, 'd', "pg_lsn_in", "pg_lsn_out", "pg_lsn_recv", "pg_lsn_send"),
    t(3500, "anyenum", 4, true, 'P', false, 'p', 0, 0, 'i', "anyenum_in", "anyenum_out", "-", "-"),
    t(3802, "jsonb", -1, false, 'U', false, 'b', 0, 3807, 'i', "jsonb_in", "jsonb_out", "jsonb_recv", "jsonb_send"),
    t(3807, "_jsonb", -1, false, 'A', false, 'b', 3802, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(3838, "event_trigger", 4, true, 'P', false, 'p', 0, 0, 'i', "event_trigger_in", "event_trigger_out", "-", "-"),
    t(4072, "jsonpath", -1, false, 'U', false, 'b', 0, 4073, 'i', "jsonpath_in", "jsonpath_out", "jsonpath_recv", "jsonpath_send"),
    t(4073, "_jsonpath", -1, false, 'A', false, 'b', 4072, 0, 'i', "array_in", "array_out", "array_recv", "array_send"),
    t(4089, "regnamespace", 4, true, 'N', false, 'b', 0, 4090, 'i', "regnamespacein", "regnamespaceout", "regnamespacerecv", "regnamespacesend"),
    t(4096, "regrole", 4, true, 'N', false, 'b', 0, 4097, 'i', "regrolein", "regroleout", "regrolerecv", "regrolesend"),
    t(5069, "xid8", 8, true, 'U', false, 'b', 0, 271, 'd', "xid8in", "xid8out", "xid8recv", "xid8send"),
    t(5077, "anycompatible", 4, true, 'P', false, 'p', 0, 0, 'i', "anycompatible_in", "anycompatible_out", "-", "-"),
    t(5078, "anycompatiblearray", -1, false, 'P', false, 'p', 0, 0, 'd', "anycompatiblearray_in", "anycompatiblearray_out", "anycompatiblearray_recv", "anycompatiblearray_send"),
    t(5079, "anycompatiblenonarray", 4, true, 'P', false, 'p', 0, 0, 'i', "anycompatiblenonarray_in", "anycompatiblenonarray_out", "-", "-"),
];

static BY_OID: LazyLock<HashMap<Oid, &'static TypeInfo>> =
    LazyLock::new(|| TYPES.iter().map(|info| (info.oid, info)).collect());
static BY_NAME: LazyLock<HashMap<&'static str, &'static TypeInfo>> =
    LazyLock::new(|| TYPES.iter().map(|info| (info.name, info)).collect());

/// What all enums, and all arrays of enums, have in common; OID and name are a type's own.
static ENUM: TypeInfo =
    t(0, "enum", 4, true, 'E', false, 'e', 0, 0, 'i', "enum_in", "enum_out", "enum_recv", "enum_send");
static ENUM_ARRAY: TypeInfo =
    t(0, "_enum", -1, false, 'A', false, 'b', 0, 0, 'i', "array_in", "array_out", "array_recv", "array_send");

/// The same of the rows of relations.
static ROW: TypeInfo =
    t(0, "row", -1, false, 'C', false, 'c', 0, 0, 'd', "record_in", "record_out", "record_recv", "record_send");
static ROW_ARRAY: TypeInfo =
    t(0, "_row", -1, false, 'A', false, 'b', 0, 0, 'd', "array_in", "array_out", "array_recv", "array_send");

/// The same of domains.
static DOMAIN: TypeInfo =
    t(0, "domain", -1, false, 'U', false, 'd', 0, 0, 'i', "domain_in", "domain_out", "domain_recv", "domain_send");

pub fn type_info(oid: Oid) -> Option<&'static TypeInfo> {
    match oid {
        oid if is_domain(oid) => Some(&DOMAIN),
        oid if is_enum(oid) => Some(&ENUM),
        oid if is_enum_array(oid) => Some(&ENUM_ARRAY),
        oid if is_row(oid) => Some(&ROW),
        oid if is_row_array(oid) => Some(&ROW_ARRAY),
        oid => BY_OID.get(&oid).copied(),
    }
}

/// By internal name (`int4`, `_text`).
pub fn type_by_name(name: &str) -> Option<&'static TypeInfo> {
    BY_NAME.get(name).copied()
}

pub fn category(oid: Oid) -> Category {
    type_info(oid).map_or(Category('U'), |info| info.category)
}

pub fn is_preferred(oid: Oid) -> bool {
    type_info(oid).is_some_and(|info| info.preferred)
}

/// The element type of an array (or of `int2vector`, `oidvector`, `name`: types that can be subscripted).
pub fn element_of(oid: Oid) -> Option<Oid> {
    if is_enum_array(oid) {
        return Some(enum_of_array(oid));
    }
    if is_row_array(oid) {
        return Some(row_of_array(oid));
    }
    type_info(oid).map(|info| info.element).filter(|element| element.is_valid())
}

/// The type of arrays of this type.
pub fn array_of(oid: Oid) -> Option<Oid> {
    if is_enum(oid) {
        return Some(array_of_enum(oid));
    }
    if is_row(oid) {
        return Some(array_of_row(oid));
    }
    type_info(oid).map(|info| info.array).filter(|array| array.is_valid())
}

/// A true array: category A with an element.
pub fn is_array(oid: Oid) -> bool {
    oid == oid::RECORD_ARRAY || (category(oid) == Category::ARRAY && element_of(oid).is_some())
}

pub fn is_pseudo(oid: Oid) -> bool {
    type_info(oid).is_some_and(|info| info.kind == 'p')
}

/// Types whose values are `Datum::Text`.
pub fn is_stringlike(oid: Oid) -> bool {
    matches!(oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN | oid::CSTRING)
}

/// SQL's name of a type, as error messages and `format_type` show it; `modifier` -1 shows none.
/// A user's type is shown as a mark (`user`).
pub fn display_name(oid: Oid, modifier: i32) -> String {
    if is_enum(oid) || is_row(oid) || is_domain(oid) {
        return type_mark(oid);
    }
    if is_enum_array(oid) || is_row_array(oid) {
        return format!("{}[]", type_mark(element_of(oid).unwrap_or(oid)));
    }
    let Some(info) = type_info(oid) else {
        return if oid.is_valid() { "???".to_string() } else { "-".to_string() };
    };
    if is_array(oid) {
        return format!("{}[]", display_name(info.element, modifier));
    }
    let length = |name: &str| if modifier >= 4 { format!("{name}({})", modifier - 4) } else { name.to_string() };
    let precision = |name: &str, rest: &str| {
        if modifier >= 0 { format!("{name}({modifier}){rest}") } else { format!("{name}{rest}") }
    };
    match oid {
        oid::BOOL => "boolean".to_string(),
        oid::INT2 => "smallint".to_string(),
        oid::INT4 => "integer".to_string(),
        oid::INT8 => "bigint".to_string(),
        oid::FLOAT4 => "real".to_string(),
        oid::FLOAT8 => "double precision".to_string(),
        oid::CHAR => "\"char\"".to_string(),
        oid::ANY => "\"any\"".to_string(),
        oid::BPCHAR => length("character"),
        oid::VARCHAR => length("character varying"),
        oid::BIT if modifier >= 0 => format!("bit({modifier})"),
        oid::BIT => "bit".to_string(),
        oid::VARBIT if modifier >= 0 => format!("bit varying({modifier})"),
        oid::VARBIT => "bit varying".to_string(),
        oid::NUMERIC if modifier >= 4 => {
            let (precision, scale) = crate::numeric::split_modifier(modifier);
            format!("numeric({precision},{scale})")
        }
        oid::INTERVAL if modifier >= 0 => crate::modifier::interval_shown(modifier),
        oid::TIME => precision("time", " without time zone"),
        oid::TIMETZ => precision("time", " with time zone"),
        oid::TIMESTAMP => precision("timestamp", " without time zone"),
        oid::TIMESTAMPTZ => precision("timestamp", " with time zone"),
        _ => info.name.to_string(),
    }
}

/// The internal name of a type that SQL's grammar or a user names in lower case.
pub fn canonical_name(name: &str) -> &str {
    match name {
        "boolean" => "bool",
        "smallint" => "int2",
        "integer" | "int" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" | "float" => "float8",
        "decimal" | "dec" => "numeric",
        "character varying" => "varchar",
        "bit varying" => "varbit",
        "character" => "bpchar",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_elements_point_at_each_other() {
        for info in TYPES {
            if let Some(array) = array_of(info.oid) {
                if let Some(array_info) = type_info(array) {
                    assert_eq!(array_info.element, info.oid, "array of {}", info.name);
                }
            }
        }
    }

    #[test]
    fn display_names_are_sql_names() {
        let cases = [
            (oid::INT4, -1, "integer"),
            (oid::VARCHAR, 14, "character varying(10)"),
            (oid::NUMERIC, ((10 << 16) | 2) + 4, "numeric(10,2)"),
            (oid::TEXT_ARRAY, -1, "text[]"),
            (oid::TIMESTAMPTZ, 3, "timestamp(3) with time zone"),
            (Oid(0), -1, "-"),
        ];
        for (oid, modifier, expected) in cases {
            assert_eq!(display_name(oid, modifier), expected);
        }
    }
}
