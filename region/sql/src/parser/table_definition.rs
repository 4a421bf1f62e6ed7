//! Tables to be: columns, constraints, indexes, and what ALTER TABLE does to them.
use super::tree::*;
use crate::catalog::{OnCommit, ReferentialAction};

#[derive(Clone, PartialEq, Debug)]
pub struct CreateTable {
    pub name: QualifiedName,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDefinition>,
    pub constraints: Vec<TableConstraint>,
    /// `LIKE`, each with the number of columns before it.
    pub likes: Vec<(usize, QualifiedName, LikeOptions)>,
    /// `WITH (fillfactor = 100)`: names and values as text.
    pub options: Vec<(String, String)>,
    pub temporary: bool,
    pub unlogged: bool,
    pub on_commit: Option<OnCommit>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ColumnDefinition {
    pub name: Name,
    pub data_type: TypeName,
    pub collation: Option<QualifiedName>,
    pub constraints: Vec<ColumnConstraint>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ColumnConstraint {
    pub name: Option<Name>,
    pub kind: ColumnConstraintKind,
    pub place: Place,
    /// Of a key; a foreign key has its own.
    pub timing: Timing,
    /// CHECK ... NO INHERIT
    pub no_inherit: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ColumnConstraintKind {
    NotNull,
    Null,
    Default(Expr),
    PrimaryKey,
    /// True: NULLS NOT DISTINCT.
    Unique(bool),
    Check(Expr),
    References(References),
    /// `GENERATED ALWAYS AS IDENTITY` (true) or `BY DEFAULT`.
    Identity {
        always: bool,
        options: Vec<SequenceOption>,
    },
    Generated(Expr),
}

#[derive(Clone, PartialEq, Debug)]
pub struct References {
    pub table: QualifiedName,
    pub columns: Vec<Name>,
    pub on_update: ReferentialAction,
    pub on_delete: ReferentialAction,
    /// `ON DELETE SET NULL (a, b)`
    pub set_columns: Vec<Name>,
    pub full: bool,
    pub timing: Timing,
}

/// DEFERRABLE and INITIALLY DEFERRED.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timing {
    pub deferrable: bool,
    pub deferred: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct TableConstraint {
    pub name: Option<Name>,
    pub kind: TableConstraintKind,
    pub place: Place,
    /// Of a key; a foreign key has its own.
    pub timing: Timing,
    /// CHECK ... NO INHERIT
    pub no_inherit: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum TableConstraintKind {
    PrimaryKey(Vec<Name>),
    /// True: NULLS NOT DISTINCT.
    Unique(Vec<Name>, bool),
    /// True: NOT VALID.
    Check(Expr, bool),
    ForeignKey {
        columns: Vec<Name>,
        references: References,
        not_valid: bool,
    },
    /// `UNIQUE USING INDEX i`; true: PRIMARY KEY.
    UsingIndex {
        index: Name,
        primary: bool,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub struct CreateIndex {
    pub name: Option<Name>,
    pub table: QualifiedName,
    pub unique: bool,
    pub if_not_exists: bool,
    pub concurrently: bool,
    pub method: Option<String>,
    pub keys: Vec<SortKey>,
    /// Operator classes that order as the types do but have names of their own: by the key's place.
    pub classes: Vec<(usize, String)>,
    pub include: Vec<Name>,
    pub filter: Option<Expr>,
    /// NULLS NOT DISTINCT.
    pub nulls_collide: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum AlterTable {
    AddConstraint(TableConstraint),
    AddColumn { column: ColumnDefinition, if_not_exists: bool },
    DropColumn { name: Name, if_exists: bool, cascade: bool },
    DropConstraint { name: Name, if_exists: bool, cascade: bool },
    RenameColumn { from: Name, to: Name },
    RenameTo(Name),
    SetDefault { column: Name, value: Expr },
    DropDefault { column: Name },
    SetNotNull { column: Name },
    DropNotNull { column: Name },
    SetType { column: Name, data_type: TypeName, using: Option<Expr> },
    OwnerTo(RoleName),
    Other(TableAction),
}
