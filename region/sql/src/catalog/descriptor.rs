//! Catalog rows: what is stored of schemas, tables and names.
//!
//! ```text
//!   03   stamp (8, little endian)   body (postcard)
//! ```
use super::{AclItem, RelationKind};
use crate::layout::{IndexSpec, RowDecoder, StorageId, Unique};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use trivet_types::{Datum, Oid};

const FORMAT: u8 = 3;
const HEADER_BYTES: usize = 9;

#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    #[error("a catalog row is cut or of an unknown format")]
    Format,
    #[error("a catalog row does not decode: {0}")]
    Body(#[from] postcard::Error),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
    /// `None`: what is granted by default.
    pub acl: Option<Vec<AclItem>>,
    pub comment: Option<String>,
}

/// `GENERATED ... AS IDENTITY`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub always: bool,
    pub sequence: Oid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub type_oid: Oid,
    pub modifier: i32,
    pub not_null: bool,
    /// SQL text of the default, as the typed tree prints it.
    pub default: Option<String>,
    pub identity: Option<Identity>,
    /// SQL text over the row's other columns: `GENERATED ALWAYS AS (...) STORED`.
    pub generated: Option<String>,
    /// Dropped columns keep their place in stored rows.
    pub dropped: bool,
    /// What rows that were written before this column was added have in it: an encoded row of one value.
    pub missing: Option<Vec<u8>>,
    /// COLLATE, if it is another than the type's own. All of them order by bytes.
    pub collation: Option<Oid>,
    /// What is granted on it beyond what is on the table.
    pub acl: Option<Vec<AclItem>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexKey {
    /// Position among the table's columns, dropped ones included; of an expression, none that there is.
    pub column: usize,
    pub descending: bool,
    /// Shown only: entries are in the default order, NULLs last, or first if descending.
    pub nulls_first: bool,
    pub expression: Option<IndexExpression>,
}

impl IndexKey {
    /// Where an expression has its column.
    pub const NO_COLUMN: usize = usize::MAX;

    pub fn column(column: usize) -> IndexKey {
        IndexKey { column, descending: false, nulls_first: false, expression: None }
    }
}

/// A key that is computed from the row: SQL text, and its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexExpression {
    pub text: String,
    pub type_oid: Oid,
    /// What `pg_attribute` calls it: a function's name, or `expr`.
    pub name: String,
}

/// Who looks at an index, and who keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexState {
    /// Complete: plans use it.
    Ready,
    /// Every writer keeps it and nobody reads it: it is being filled (T21), or its filling was given up.
    Building,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    pub oid: Oid,
    pub name: String,
    pub storage: StorageId,
    pub unique: bool,
    /// NULLS NOT DISTINCT: two rows with NULL in a key collide like any other two.
    pub nulls_collide: bool,
    pub primary: bool,
    pub keys: Vec<IndexKey>,
    /// INCLUDE: shown, and not stored.
    pub include: Vec<usize>,
    /// SQL text of a partial index's condition.
    pub filter: Option<String>,
    pub state: IndexState,
}

impl Index {
    /// Plain columns, all rows, complete: what plans may use and foreign keys may point at.
    pub fn is_plain(&self) -> bool {
        self.state == IndexState::Ready && self.filter.is_none() && self.keys.iter().all(|key| key.expression.is_none())
    }
    pub fn uniqueness(&self) -> Unique {
        match (self.unique, self.nulls_collide) {
            (false, _) => Unique::No,
            (true, false) => Unique::Values,
            (true, true) => Unique::All,
        }
    }
    /// Are its keys these columns, in any order?
    pub fn covers(&self, columns: &[usize]) -> bool {
        self.keys.len() == columns.len() && self.keys.iter().all(|key| columns.contains(&key.column))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintKind {
    PrimaryKey,
    Unique,
}

/// A constraint that an index enforces; it bears the index's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    pub oid: Oid,
    pub name: String,
    pub kind: ConstraintKind,
    pub index: Oid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub oid: Oid,
    pub name: String,
    pub expression: String,
    /// Not so after NOT VALID: rows that were there may violate it.
    pub validated: bool,
}

/// What happens to rows that refer to a row which goes, or whose key changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// A foreign key, kept by the table that refers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub oid: Oid,
    pub name: String,
    pub columns: Vec<usize>,
    pub table: Oid,
    /// The columns referred to, in the order of `columns`.
    pub referred: Vec<usize>,
    /// The unique index over them.
    pub index: Oid,
    pub on_update: ReferentialAction,
    pub on_delete: ReferentialAction,
    /// `ON DELETE SET NULL (a, b)`; empty: all columns.
    pub set_columns: Vec<usize>,
    /// MATCH FULL.
    pub full: bool,
    pub validated: bool,
    /// DEFERRABLE: its check may wait for the transaction's end.
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    pub deferred: bool,
}

/// A comment on a part of a table: a column by its number, an index or a constraint by its OID; (0, 0) is the table itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comment {
    pub object: Oid,
    pub column: i16,
    pub text: String,
}

/// A sequence's parameters. Where it stands is not in the descriptor (`keys::sequence_state_key`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    pub type_oid: Oid,
    pub start: i64,
    pub increment: i64,
    pub minimum: i64,
    pub maximum: i64,
    pub cache: i64,
    pub cycles: bool,
    /// OWNED BY: table, column, and whether it is an identity's.
    pub owned_by: Option<(Oid, usize, bool)>,
}

/// A relation that a view reads, as it was when the view was made: so the view's text means the same under any search path and
/// after any renaming.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewReference {
    pub schema: Option<String>,
    pub name: String,
    pub relation: Oid,
    /// Names of its columns by position; later columns are not seen.
    pub columns: Vec<String>,
    /// The columns that the view uses.
    pub used: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The query's text.
    pub query: String,
    pub references: Vec<ViewReference>,
    pub check_option: Option<CheckOption>,
}

/// WITH CHECK OPTION: new rows must satisfy the view's own condition, or also those of views below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckOption {
    Local,
    Cascaded,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RelationBody {
    Table,
    View(View),
    Sequence(Sequence),
    /// The rows that its query gave when it was last refreshed.
    Materialized {
        view: View,
        populated: bool,
    },
}

/// What becomes of a temporary table when a transaction commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCommit {
    PreserveRows,
    DeleteRows,
    Drop,
}

/// A table, view or sequence with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Changes with every change of the table, and never repeats.
    pub stamp: u64,
    pub oid: Oid,
    pub schema: Oid,
    pub schema_name: String,
    pub name: String,
    /// The row type's OID.
    pub row_type: Oid,
    pub owner: Oid,
    /// `None`: what is granted by default.
    pub acl: Option<Vec<AclItem>>,
    pub body: RelationBody,
    /// Shown only: an unlogged table is kept like any other.
    pub unlogged: bool,
    pub on_commit: OnCommit,
    pub storage: StorageId,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub constraints: Vec<Constraint>,
    pub checks: Vec<Check>,
    pub foreign_keys: Vec<ForeignKey>,
    /// Foreign keys that refer here: (table, constraint).
    pub referenced_by: Vec<(Oid, Oid)>,
    /// `WITH (...)`, as given.
    pub options: Vec<(String, String)>,
    /// Rows as of the last ANALYZE; negative: never.
    pub row_estimate: f32,
    pub comments: Vec<Comment>,
    /// Columns of a domain, with it; their type is the domain's base. Rows that were stored before there were domains end before this.
    pub domains: Vec<(usize, Oid)>,
    /// What else is said of its indexes and constraints, by their OIDs. Rows that were stored before there were any end before this.
    pub traits: Vec<(Oid, Trait)>,
}

/// What is said of an index or a constraint beyond what most have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trait {
    /// The index of a key constraint that is DEFERRABLE; true: INITIALLY DEFERRED. It is `unique` to readers of the catalog only: its
    /// entries bear their rows' ids, and who writes one looks for others (`execute::deferred`).
    Deferrable(bool),
    /// CREATE INDEX ... USING hash.
    Hash,
    /// CHECK ... NO INHERIT.
    NoInherit,
    /// The operator class of an index's key, by its place, where it is not the type's own.
    Class(u16, Oid),
}

impl Table {
    pub fn domain_of(&self, column: usize) -> Option<Oid> {
        self.domains.iter().find(|(at, _)| *at == column).map(|(_, domain)| *domain)
    }
    /// The column is of this domain, or of none.
    pub fn set_domain(&mut self, column: usize, domain: Option<Oid>) {
        self.domains.retain(|(at, _)| *at != column);
        self.domains.extend(domain.map(|domain| (column, domain)));
    }
    /// One without columns.
    pub fn new(
        oid: Oid,
        (schema, schema_name): (Oid, String),
        name: String,
        owner: Oid,
        row_type: Oid,
        storage: StorageId,
    ) -> Table {
        Table {
            stamp: 0,
            oid,
            schema,
            schema_name,
            name,
            row_type,
            owner,
            acl: None,
            body: RelationBody::Table,
            unlogged: false,
            on_commit: OnCommit::PreserveRows,
            storage,
            columns: vec![],
            indexes: vec![],
            constraints: vec![],
            checks: vec![],
            foreign_keys: vec![],
            referenced_by: vec![],
            options: vec![],
            row_estimate: -1.0,
            comments: vec![],
            domains: vec![],
            traits: vec![],
        }
    }
    /// The index of a DEFERRABLE key; true: it is INITIALLY DEFERRED.
    pub fn deferrable(&self, index: Oid) -> Option<bool> {
        self.traits.iter().find_map(|(of, found)| match found {
            Trait::Deferrable(deferred) if *of == index => Some(*deferred),
            _ => None,
        })
    }
    pub fn has_trait(&self, object: Oid, wanted: Trait) -> bool {
        self.traits.contains(&(object, wanted))
    }
    /// May no two rows have the same keys, when all is said and done?
    pub fn is_unique(&self, index: &Index) -> bool {
        index.unique || self.deferrable(index.oid).is_some()
    }
    /// The operator class that a key of an index was given.
    pub fn class_of(&self, index: Oid, key: usize) -> Option<Oid> {
        self.traits.iter().find_map(|(of, found)| match found {
            Trait::Class(at, class) if *of == index && usize::from(*at) == key => Some(*class),
            _ => None,
        })
    }
    /// The access method that an index is shown with.
    pub fn method_of(&self, index: &Index) -> &'static str {
        if self.has_trait(index.oid, Trait::Hash) { "hash" } else { "btree" }
    }
    /// Live columns with their positions.
    pub fn live_columns(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| !column.dropped)
    }
    /// The type of its rows.
    pub fn row(&self) -> trivet_types::user::RowType {
        let live = || self.live_columns().map(|(_, column)| column);
        let shape = trivet_types::RecordShape {
            names: live().map(|column| column.name.clone()).collect(),
            types: live().map(|column| column.type_oid).collect(),
        };
        trivet_types::user::RowType {
            oid: trivet_types::user::row_of_claim(self.row_type),
            schema_name: self.schema_name.clone(),
            name: self.name.clone(),
            shape: std::sync::Arc::new(shape),
            modifiers: live().map(|column| column.modifier).collect(),
        }
    }
    pub fn column_named(&self, name: &str) -> Option<(usize, &Column)> {
        self.live_columns().find(|(_, column)| column.name == name)
    }
    pub fn primary_key(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| index.primary)
    }
    pub fn is_temporary(&self) -> bool {
        crate::temporary::is_temporary(self.oid)
    }
    /// Has it rows of its own?
    pub fn has_rows(&self) -> bool {
        matches!(self.body, RelationBody::Table | RelationBody::Materialized { .. })
    }
    pub fn is_table(&self) -> bool {
        matches!(self.body, RelationBody::Table)
    }
    pub fn index(&self, oid: Oid) -> Option<&Index> {
        self.indexes.iter().find(|index| index.oid == oid)
    }
    pub fn constraint_of(&self, index: Oid) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.index == index)
    }
    /// Does a change of this column change what others may refer to or collide with?
    pub fn is_in_unique_index(&self, column: usize) -> bool {
        let computed = |index: &Index| index.filter.is_some() || index.keys.iter().any(|key| key.expression.is_some());
        self.indexes
            .iter()
            .any(|index| index.unique && (computed(index) || index.keys.iter().any(|key| key.column == column)))
    }
    pub fn kind(&self) -> RelationKind {
        match self.body {
            RelationBody::Table => RelationKind::Table,
            RelationBody::View(_) => RelationKind::View,
            RelationBody::Sequence(_) => RelationKind::Sequence,
            RelationBody::Materialized { .. } => RelationKind::MaterializedView,
        }
    }
    pub fn sequence(&self) -> Option<&Sequence> {
        match &self.body {
            RelationBody::Sequence(sequence) => Some(sequence),
            _ => None,
        }
    }
    /// The definition of a view, materialized or not.
    pub fn view(&self) -> Option<&View> {
        match &self.body {
            RelationBody::View(view) | RelationBody::Materialized { view, .. } => Some(view),
            _ => None,
        }
    }
    pub fn foreign_key(&self, oid: Oid) -> Option<&ForeignKey> {
        self.foreign_keys.iter().find(|key| key.oid == oid)
    }
    pub fn comment_on(&self, object: Oid, column: i16) -> Option<&str> {
        let found = self.comments.iter().find(|comment| comment.object == object && comment.column == column);
        found.map(|comment| comment.text.as_str())
    }
    /// The type of an index's key.
    pub fn key_type(&self, key: &IndexKey) -> Oid {
        match &key.expression {
            Some(expression) => expression.type_oid,
            None => self.columns[key.column].type_oid,
        }
    }
    /// An index's key as definitions and errors name it.
    pub fn key_name(&self, key: &IndexKey) -> String {
        match &key.expression {
            Some(expression) => expression.text.clone(),
            None => self.columns[key.column].name.clone(),
        }
    }
    /// Names of constraints that the table has, of whatever kind.
    pub fn has_constraint(&self, name: &str) -> bool {
        self.checks.iter().any(|check| check.name == name)
            || self.constraints.iter().any(|constraint| constraint.name == name)
            || self.foreign_keys.iter().any(|key| key.name == name)
    }
    /// The value that rows lack which were written before this column was added.
    pub fn missing_value(&self, column: usize) -> Datum {
        let Some(column) = self.columns.get(column) else { return Datum::Null };
        let Some(encoded) = &column.missing else { return Datum::Null };
        let encoded = Bytes::copy_from_slice(encoded);
        let decoded = RowDecoder::new(&encoded).and_then(|mut decoder| decoder.column(column.type_oid));
        decoded.unwrap_or_default()
    }
    pub fn index_spec(&self, index: &Index) -> IndexSpec {
        debug_assert!(index.filter.is_none(), "a partial index is filled row by row");
        let last = index.keys.iter().map(|key| key.column).max().unwrap_or(0);
        let stored = &self.columns[..self.columns.len().min(last + 1)];
        let missing = stored.iter().enumerate().filter_map(|(at, column)| Some((at, column.missing.clone()?)));
        IndexSpec {
            storage: index.storage,
            unique: index.uniqueness(),
            stored_types: stored.iter().map(|column| column.type_oid).collect(),
            columns: index.keys.iter().map(|key| (key.column, key.descending)).collect(),
            missing: missing.collect(),
        }
    }
}

fn encode(stamp: u64, body: &impl Serialize) -> Bytes {
    let body = postcard::to_allocvec(body).expect("catalog rows have no unserializable part");
    let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
    out.put_u8(FORMAT);
    out.put_u64_le(stamp);
    out.put_slice(&body);
    out.freeze()
}

fn body(bytes: &[u8]) -> Result<&[u8], DescriptorError> {
    match bytes {
        [FORMAT, rest @ ..] if rest.len() >= 8 => Ok(&rest[8..]),
        _ => Err(DescriptorError::Format),
    }
}

/// The stamp of any catalog row.
pub fn stamp_of(bytes: &[u8]) -> Option<u64> {
    let stamp = bytes.get(1..HEADER_BYTES)?;
    Some(u64::from_le_bytes(stamp.try_into().expect("eight bytes")))
}

/// Any catalog row.
pub fn encode_row(stamp: u64, value: &impl Serialize) -> Bytes {
    encode(stamp, value)
}
pub fn decode_row<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, DescriptorError> {
    Ok(postcard::from_bytes(body(bytes)?)?)
}
pub fn encode_table(table: &Table) -> Bytes {
    encode(table.stamp, table)
}
pub fn decode_table(bytes: &[u8]) -> Result<Table, DescriptorError> {
    // Older rows lack the last one or two lists: an empty one is a zero, which a newer row does not read.
    let mut body = body(bytes)?.to_vec();
    body.extend([0, 0]);
    Ok(postcard::from_bytes(&body)?)
}
pub fn encode_schema(stamp: u64, schema: &Schema) -> Bytes {
    encode(stamp, schema)
}
pub fn decode_schema(bytes: &[u8]) -> Result<Schema, DescriptorError> {
    decode_row(bytes)
}
/// A name's row: what it stands for, the table it belongs to, its own OID.
pub fn encode_name(stamp: u64, kind: RelationKind, table: Oid, own: Oid) -> Bytes {
    encode(stamp, &(kind, table, own))
}
pub fn decode_name(bytes: &[u8]) -> Result<(RelationKind, Oid, Oid), DescriptorError> {
    decode_row(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let schema = (Oid(2200), "public".to_owned());
        Table { stamp: 1, ..Table::new(Oid(20_000), schema, "t".into(), Oid(10), Oid(0), StorageId(7)) }
    }

    #[test]
    fn older_rows_lack_their_last_lists() {
        let row = encode_table(&table());
        for missing in 0..=2 {
            let older = &row[..row.len() - missing];
            let decoded = decode_table(older).expect("an older row is read");
            assert_eq!(Table { stamp: 1, ..decoded }, table(), "without {missing}");
        }
    }

    #[test]
    fn traits_are_kept() {
        let traits =
            vec![(Oid(1), Trait::Deferrable(true)), (Oid(1), Trait::Class(2, Oid(4217))), (Oid(2), Trait::Hash)];
        let table = Table { traits, ..table() };
        let decoded = decode_table(&encode_table(&table)).expect("it is read");
        assert_eq!(decoded.traits, table.traits);
        assert_eq!(decoded.deferrable(Oid(1)), Some(true));
        assert_eq!(decoded.class_of(Oid(1), 2), Some(Oid(4217)));
    }
}
