//! Types that users make: enums, domains, and with each table the type of its rows.
//!
//! What kind of type an OID is can be told from the OID alone, so that rows, keys, comparisons and overload resolution need no
//! catalog:
//!
//! ```text
//!   0000_0000 ..     types that are built in, and n, the OID that a type claimed (below 1000_0000)
//!   4000_0000 + n    an enum
//!   5000_0000 + n    arrays of it
//!   6000_0000 + n    the rows of a table or view
//!   7000_0000 + n    arrays of them
//!   8000_0000 + n    a domain
//! ```
//!
//! A domain is a name for another type with conditions: its values are that type's, and nothing that computes with them sees the
//! domain. An enum's value is its label's position on the type's axis, which nothing changes: a label that is added between two others
//! gets a position between theirs. **Only what labels and types are called takes the catalog**, and whoever shows a value has an
//! `Environment` that knows it. Where none is at hand (messages that name a type, stored expressions), the text has a mark in the
//! name's place, `\u{1}t` OID `\u{1}` or `\u{1}e` OID `.` position `\u{1}`, which `spelled` replaces before anybody sees it.
use crate::{Oid, RecordShape, Text};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};

/// OIDs that are claimed end here.
pub const CLAIMED_OID_END: u32 = 1 << 28;
const ENUM: u32 = 4 << 28;
const ENUM_ARRAY: u32 = 5 << 28;
const ROW: u32 = 6 << 28;
const ROW_ARRAY: u32 = 7 << 28;
const DOMAIN: u32 = 8 << 28;
const KIND: u32 = 0xf << 28;

/// Distance of labels that were not put between others.
pub const LABEL_STEP: i64 = 1 << 32;
const MARK: char = '\u{1}';

/// The enum type that goes with a claimed OID.
pub fn enum_of_claim(claimed: Oid) -> Oid {
    debug_assert!(claimed.0 < CLAIMED_OID_END, "an OID was claimed beyond its range");
    Oid(ENUM | claimed.0)
}

/// The OID that was claimed for a type.
pub fn claim_of(type_oid: Oid) -> Oid {
    Oid(type_oid.0 & !KIND)
}

pub fn is_enum(oid: Oid) -> bool {
    oid.0 & KIND == ENUM
}
pub fn is_enum_array(oid: Oid) -> bool {
    oid.0 & KIND == ENUM_ARRAY
}
/// The type of a relation's rows that goes with a claimed OID.
pub fn row_of_claim(claimed: Oid) -> Oid {
    debug_assert!(claimed.0 < CLAIMED_OID_END, "an OID was claimed beyond its range");
    Oid(ROW | claimed.0)
}
/// The rows of a relation.
pub fn is_row(oid: Oid) -> bool {
    oid.0 & KIND == ROW
}
pub fn is_row_array(oid: Oid) -> bool {
    oid.0 & KIND == ROW_ARRAY
}
pub(crate) fn array_of_row(oid: Oid) -> Oid {
    Oid(ROW_ARRAY | claim_of(oid).0)
}
pub(crate) fn row_of_array(oid: Oid) -> Oid {
    Oid(ROW | claim_of(oid).0)
}
/// The domain that goes with a claimed OID.
pub fn domain_of_claim(claimed: Oid) -> Oid {
    debug_assert!(claimed.0 < CLAIMED_OID_END, "an OID was claimed beyond its range");
    Oid(DOMAIN | claimed.0)
}
pub fn is_domain(oid: Oid) -> bool {
    oid.0 & KIND == DOMAIN
}
/// An enum, or arrays of one.
pub fn is_user_type(oid: Oid) -> bool {
    is_enum(oid) || is_enum_array(oid)
}
pub(crate) fn array_of_enum(oid: Oid) -> Oid {
    Oid(ENUM_ARRAY | claim_of(oid).0)
}
pub(crate) fn enum_of_array(oid: Oid) -> Oid {
    Oid(ENUM | claim_of(oid).0)
}

/// A value of an enum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EnumValue {
    pub type_oid: Oid,
    pub position: i64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Label {
    pub position: i64,
    pub text: String,
}

/// What the catalog knows of an enum.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EnumType {
    pub oid: Oid,
    pub schema: Oid,
    pub schema_name: String,
    pub name: String,
    /// By position.
    pub labels: Vec<Label>,
}

impl EnumType {
    pub fn position(&self, label: &str) -> Option<i64> {
        self.labels.iter().find(|found| found.text == label).map(|found| found.position)
    }
    pub fn label(&self, position: i64) -> Option<&str> {
        let at = self.labels.binary_search_by_key(&position, |label| label.position).ok()?;
        Some(&self.labels[at].text)
    }
    pub fn value(&self, position: i64) -> EnumValue {
        EnumValue { type_oid: self.oid, position }
    }
    /// A position at this index among the labels: after all others, before them, or in the middle of two. `None`: none is left.
    pub fn position_at(&self, index: usize) -> Option<i64> {
        let before = index.checked_sub(1).and_then(|at| self.labels.get(at)).map(|label| label.position);
        let after = self.labels.get(index).map(|label| label.position);
        match (before, after) {
            (None, None) => Some(LABEL_STEP),
            (Some(before), None) => before.checked_add(LABEL_STEP),
            (None, Some(after)) => after.checked_sub(LABEL_STEP),
            (Some(before), Some(after)) => Some(before + (after - before) / 2).filter(|middle| *middle != before),
        }
    }
}

/// A condition that a domain's values meet: SQL text over `VALUE`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DomainCheck {
    pub oid: Oid,
    pub name: String,
    pub expression: String,
    /// Not so after NOT VALID: values that were there may violate it.
    pub validated: bool,
}

/// What the catalog knows of a domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DomainType {
    pub oid: Oid,
    pub schema: Oid,
    pub schema_name: String,
    pub name: String,
    /// The type that it was declared over, which may be a domain.
    pub over: Oid,
    /// The type of its values, which is none.
    pub base: Oid,
    pub modifier: i32,
    pub not_null: bool,
    /// SQL text.
    pub default: Option<String>,
    /// By name.
    pub checks: Vec<DomainCheck>,
    pub collation: Option<Oid>,
}

/// What a statement knows of the rows of a relation that it names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowType {
    pub oid: Oid,
    pub schema_name: String,
    pub name: String,
    pub shape: Arc<RecordShape>,
    /// Of each field.
    pub modifiers: Vec<i32>,
}

/// A composite type of one's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Composite {
    pub schema: Oid,
    pub row: RowType,
}

/// The types that users made, as a statement sees them.
#[derive(Clone, Debug, Default)]
pub struct UserTypes {
    pub enums: Vec<Arc<EnumType>>,
    pub domains: Vec<Arc<DomainType>>,
    pub composites: Vec<Arc<Composite>>,
}

static NONE: LazyLock<UserTypes> = LazyLock::new(UserTypes::default);

impl UserTypes {
    pub fn none() -> &'static UserTypes {
        &NONE
    }
    /// An enum, by its own OID or that of its arrays.
    pub fn find(&self, oid: Oid) -> Option<&Arc<EnumType>> {
        if !is_user_type(oid) {
            return None;
        }
        self.enums.iter().find(|found| claim_of(found.oid) == claim_of(oid))
    }
    pub fn domain(&self, oid: Oid) -> Option<&Arc<DomainType>> {
        if !is_domain(oid) {
            return None;
        }
        self.domains.iter().find(|found| found.oid == oid)
    }
    /// A composite type, by its own OID.
    pub fn composite(&self, oid: Oid) -> Option<&RowType> {
        self.composites.iter().map(|found| &found.row).find(|row| row.oid == oid)
    }
    /// Schema and name of a type, by its own OID or that of its arrays.
    pub fn name_of(&self, oid: Oid) -> Option<(&str, &str)> {
        let of_enum = self.find(oid).map(|found| (found.schema_name.as_str(), found.name.as_str()));
        let of_domain = || self.domain(oid).map(|found| (found.schema_name.as_str(), found.name.as_str()));
        let row = if is_row_array(oid) { row_of_array(oid) } else { oid };
        let composite = || self.composite(row).map(|row| (row.schema_name.as_str(), row.name.as_str()));
        of_enum.or_else(of_domain).or_else(composite)
    }
    /// Has a type of the schema this name? Composite types count among relations.
    pub fn is_taken(&self, schema: Oid, name: &str) -> bool {
        self.enums.iter().any(|found| found.schema == schema && found.name == name)
            || self.domains.iter().any(|found| found.schema == schema && found.name == name)
    }
    /// A type by schema and name.
    pub fn named(&self, schema: &str, name: &str) -> Option<Oid> {
        let of_enum = self.enums.iter().find(|found| found.name == name && found.schema_name == schema);
        let domain = || self.domains.iter().find(|found| found.name == name && found.schema_name == schema);
        let rows = || self.composites.iter().map(|found| &found.row);
        let composite = || rows().find(|row| row.name == name && row.schema_name == schema);
        of_enum
            .map(|found| found.oid)
            .or_else(|| domain().map(|found| found.oid))
            .or_else(|| composite().map(|row| row.oid))
    }
    pub fn label(&self, value: EnumValue) -> Option<&str> {
        self.find(value.type_oid)?.label(value.position)
    }
}

/// What stands for a type's name where nobody knows it.
pub(crate) fn type_mark(oid: Oid) -> String {
    format!("{MARK}t{}{MARK}", oid.0)
}

/// What stands for a label where nobody knows it.
pub(crate) fn label_mark(value: EnumValue) -> String {
    format!("{MARK}e{}.{}{MARK}", value.type_oid.0, value.position)
}

/// The type that a mark stands for.
pub fn marked_type(mark: &str) -> Option<Oid> {
    let digits = mark.strip_prefix(MARK)?.strip_suffix(MARK)?.strip_prefix('t')?;
    digits.parse().ok().map(Oid)
}

/// The value that a mark stands for.
pub(crate) fn marked_label(mark: &str) -> Option<EnumValue> {
    let (type_oid, position) = mark.strip_prefix(MARK)?.strip_suffix(MARK)?.strip_prefix('e')?.split_once('.')?;
    Some(EnumValue { type_oid: Oid(type_oid.parse().ok()?), position: position.parse().ok()? })
}

/// The enums that a stored expression has marks of.
pub fn marked_types(text: &str) -> Vec<Oid> {
    let parts = text.split(MARK).skip(1).step_by(2);
    let oids = parts.filter_map(|part| {
        let digits = part.get(1..)?.split('.').next()?;
        digits.parse().ok().map(Oid)
    });
    oids.collect()
}

/// A text with names for the marks in it.
pub fn spelled(text: &str, types: &UserTypes, type_name: &dyn Fn(Oid) -> Option<String>) -> String {
    if !text.contains(MARK) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for (at, part) in text.split(MARK).enumerate() {
        if at % 2 == 0 {
            out.push_str(part);
            continue;
        }
        let mark = format!("{MARK}{part}{MARK}");
        if let Some(name) = marked_type(&mark).and_then(type_name) {
            out.push_str(&name);
        } else if let Some(label) = marked_label(&mark).and_then(|value| types.label(value)) {
            out.push_str(&label.replace('\'', "''"));
        } else {
            out.push_str("???");
        }
    }
    out
}

/// A label as a client's text gives it.
pub(crate) fn label_text(value: EnumValue, types: &UserTypes) -> Text {
    match types.label(value) {
        Some(label) => Text::from(label),
        None => Text::from(label_mark(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mood(labels: &[(i64, &str)]) -> EnumType {
        let labels = labels.iter().map(|(position, text)| Label { position: *position, text: (*text).to_owned() });
        EnumType {
            oid: enum_of_claim(Oid(16400)),
            schema: Oid(2200),
            schema_name: "public".into(),
            name: "mood".into(),
            labels: labels.collect(),
        }
    }

    #[test]
    fn positions_leave_the_others_where_they_are() {
        let two = mood(&[(LABEL_STEP, "a"), (2 * LABEL_STEP, "c")]);
        assert_eq!(two.position_at(2), Some(3 * LABEL_STEP));
        assert_eq!(two.position_at(0), Some(0));
        assert_eq!(two.position_at(1), Some(LABEL_STEP + LABEL_STEP / 2));
        assert_eq!(mood(&[(7, "a"), (8, "b")]).position_at(1), None);
        assert_eq!(mood(&[(i64::MAX, "a")]).position_at(1), None);
    }

    #[test]
    fn marks_are_spelled() {
        let types = UserTypes { enums: vec![Arc::new(mood(&[(LABEL_STEP, "it's")]))], ..UserTypes::default() };
        let oid = types.enums[0].oid;
        let text = format!("'{}'::{}", label_mark(types.enums[0].value(LABEL_STEP)), type_mark(oid));
        let name = |oid| types.find(oid).map(|found| found.name.clone());
        assert_eq!(spelled(&text, &types, &name), "'it''s'::mood");
        assert_eq!(marked_types(&text), [oid, oid]);
        assert_eq!(crate::element_of(crate::array_of(oid).expect("enums have arrays")), Some(oid));
        assert!(crate::is_array(crate::array_of(oid).expect("enums have arrays")) && !crate::is_array(oid));
    }
}
