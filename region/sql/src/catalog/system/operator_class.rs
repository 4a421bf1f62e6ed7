//! How index keys are ordered: PostgreSQL's B-tree operator classes of the types that there are, with its OIDs.
use super::VirtualTable;
use super::rows::row;
use crate::catalog::{BTREE, POSTGRES_ROLE};
use trivet_types::{Datum, Oid, is_array, oid, type_info};

type Rows = Vec<Vec<Datum>>;

const PG_CATALOG: Oid = Oid(11);
const ANYARRAY: u32 = 2277;
const ANYENUM: u32 = 3500;

struct OperatorClass {
    oid: u32,
    name: &'static str,
    family: u32,
    /// The type it takes, and what can be shown as one.
    takes: u32,
    default: bool,
    /// What is kept, if it is another type.
    keeps: u32,
}

const fn class(oid: u32, name: &'static str, family: u32, takes: u32, default: bool) -> OperatorClass {
    OperatorClass { oid, name, family, takes, default, keeps: 0 }
}

const CLASSES: &[OperatorClass] = &[
    class(10000, "array_ops", 397, ANYARRAY, true),
    class(10003, "bool_ops", 424, 16, true),
    class(10004, "bpchar_ops", 426, 1042, true),
    class(4219, "bpchar_pattern_ops", 2097, 1042, false),
    class(10006, "bytea_ops", 428, 17, true),
    class(10007, "char_ops", 429, 18, true),
    class(3122, "date_ops", 434, 1082, true),
    class(10069, "enum_ops", 3522, ANYENUM, true),
    class(10012, "float4_ops", 1970, 700, true),
    class(3123, "float8_ops", 1970, 701, true),
    class(1979, "int2_ops", 1976, 21, true),
    class(1978, "int4_ops", 1976, 23, true),
    class(3124, "int8_ops", 1976, 20, true),
    class(10022, "interval_ops", 1982, 1186, true),
    class(10088, "jsonb_ops", 4033, 3802, true),
    OperatorClass { oid: 10028, name: "name_ops", family: 1994, takes: 19, default: true, keeps: 2275 },
    class(3125, "numeric_ops", 1988, 1700, true),
    class(1981, "oid_ops", 1989, 26, true),
    class(10034, "record_ops", 2994, 2249, true),
    class(3126, "text_ops", 1994, 25, true),
    class(4217, "text_pattern_ops", 2095, 25, false),
    class(10038, "time_ops", 1996, 1083, true),
    class(3128, "timestamp_ops", 434, 1114, true),
    class(3127, "timestamptz_ops", 434, 1184, true),
    class(10041, "timetz_ops", 2000, 1266, true),
    class(10065, "uuid_ops", 2968, 2950, true),
    class(10044, "varchar_ops", 1994, 25, false),
    class(4218, "varchar_pattern_ops", 2095, 25, false),
];

/// One that orders as the type does, under a name of its own.
pub fn pattern_class(name: &str) -> Option<Oid> {
    let is_it = |class: &&OperatorClass| class.name == name && name.ends_with("_pattern_ops");
    CLASSES.iter().find(is_it).map(|class| Oid(class.oid))
}

pub(super) fn name_of(class: Oid) -> &'static str {
    CLASSES.iter().find(|known| known.oid == class.0).map_or("", |known| known.name)
}

/// The default class for a type: varchar's is text's, an array's is any array's.
pub(super) fn of_type(type_oid: Oid) -> Oid {
    let takes = match type_oid {
        oid::VARCHAR => oid::TEXT.0,
        array if is_array(array) => ANYARRAY,
        // What is no built-in type and has an order is an enum.
        unknown if type_info(unknown).is_none() => ANYENUM,
        other => other.0,
    };
    let found = CLASSES.iter().find(|class| class.default && class.takes == takes);
    Oid(found.map_or(0, |class| class.oid))
}

pub(super) fn rows_of(table: &VirtualTable) -> Option<Rows> {
    match table.name {
        "pg_opclass" => Some(classes(table)),
        "pg_opfamily" => Some(families(table)),
        _ => None,
    }
}

fn classes(table: &VirtualTable) -> Rows {
    let shown = CLASSES.iter().map(|class| {
        row(
            table,
            &[
                ("oid", Oid(class.oid).into()),
                ("opcmethod", BTREE.into()),
                ("opcname", class.name.into()),
                ("opcnamespace", PG_CATALOG.into()),
                ("opcowner", POSTGRES_ROLE.into()),
                ("opcfamily", Oid(class.family).into()),
                ("opcintype", Oid(class.takes).into()),
                ("opcdefault", Datum::Bool(class.default)),
                ("opckeytype", Oid(class.keeps).into()),
            ],
        )
    });
    shown.collect()
}

/// A family has the name of its first class, but for those of several types.
fn families(table: &VirtualTable) -> Rows {
    let mut shown: Vec<u32> = Vec::new();
    let mut rows = Vec::new();
    for class in CLASSES {
        if shown.contains(&class.family) {
            continue;
        }
        shown.push(class.family);
        let name = match class.family {
            434 => "datetime_ops",
            1970 => "float_ops",
            1976 => "integer_ops",
            1994 => "text_ops",
            2095 => "text_pattern_ops",
            _ => class.name,
        };
        rows.push(row(
            table,
            &[
                ("oid", Oid(class.family).into()),
                ("opfmethod", BTREE.into()),
                ("opfname", name.into()),
                ("opfnamespace", PG_CATALOG.into()),
                ("opfowner", POSTGRES_ROLE.into()),
            ],
        ));
    }
    rows
}
