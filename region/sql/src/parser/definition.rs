//! What definitions say that the rest of the tree does not need: sequences, roles, grants, types, referential actions.
use super::tree::{ColumnConstraint, Expr, Name, QualifiedName, Timing, TypeName};
use crate::catalog::ObjectClass;

/// Statements that only the catalog knows.
#[derive(Clone, PartialEq, Debug)]
pub enum Definition {
    CreateSequence(CreateSequence),
    AlterSequence {
        name: QualifiedName,
        if_exists: bool,
        options: Vec<SequenceOption>,
    },
    CreateSchema {
        /// `None`: named after the role.
        name: Option<Name>,
        if_not_exists: bool,
        owner: Option<RoleName>,
        /// Tables, views and the like that are made in it.
        elements: Vec<super::tree::Statement>,
    },
    AlterSchema {
        name: Name,
        change: SchemaChange,
    },
    CreateEnum {
        name: QualifiedName,
        labels: Vec<String>,
    },
    AlterEnum {
        name: QualifiedName,
        change: EnumChange,
    },
    CreateComposite {
        name: QualifiedName,
        attributes: Vec<(Name, TypeName)>,
    },
    CreateDomain(CreateDomain),
    AlterDomain {
        name: QualifiedName,
        change: DomainChange,
    },
    CreateRole {
        name: Name,
        /// CREATE USER: may log in.
        user: bool,
        options: Vec<RoleOption>,
    },
    AlterRole {
        role: RoleName,
        options: Vec<RoleOption>,
    },
    RenameRole {
        from: Name,
        to: Name,
    },
    /// `ALTER ROLE ... SET` and `ALTER DATABASE ... SET`; no value: RESET, no name either: RESET ALL.
    SetFor {
        /// `None`: of all roles.
        role: Option<RoleName>,
        /// `None`: in all databases.
        database: Option<Name>,
        setting: Option<String>,
        value: Option<String>,
    },
    Grant(Grant),
    DefaultGrant(DefaultGrant),
    CommentOnDatabase {
        name: Name,
        text: Option<String>,
    },
    GrantRole(GrantRole),
    CommentOnConstraint {
        constraint: Name,
        table: QualifiedName,
        text: Option<String>,
    },
    /// `ALTER TABLE ... ALTER CONSTRAINT` and the like are table actions; this is `REASSIGN OWNED` and `DROP OWNED`.
    Owned {
        roles: Vec<RoleName>,
        /// `None`: drop.
        reassign: Option<RoleName>,
        cascade: bool,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub enum SchemaChange {
    Rename(Name),
    Owner(RoleName),
}

#[derive(Clone, PartialEq, Debug)]
pub enum EnumChange {
    Add {
        label: String,
        if_not_exists: bool,
        /// Before (true) or after another label.
        place: Option<(bool, String)>,
    },
    RenameValue {
        from: String,
        to: String,
    },
    Rename(Name),
    Owner(RoleName),
    Schema(Name),
}

#[derive(Clone, PartialEq, Debug)]
pub struct CreateDomain {
    pub name: QualifiedName,
    pub data_type: TypeName,
    pub constraints: Vec<ColumnConstraint>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum DomainChange {
    SetDefault(Expr),
    DropDefault,
    SetNotNull,
    DropNotNull,
    /// True: NOT VALID.
    Add(ColumnConstraint, bool),
    DropConstraint {
        name: Name,
        if_exists: bool,
    },
    RenameConstraint {
        from: Name,
        to: Name,
    },
    Validate(Name),
    Owner(RoleName),
    Rename(Name),
    Schema(Name),
}

/// A role as a statement names it.
#[derive(Clone, PartialEq, Debug)]
pub enum RoleName {
    Named(Name),
    CurrentUser,
    SessionUser,
    Public,
}

#[derive(Clone, PartialEq, Debug)]
pub enum RoleOption {
    Superuser(bool),
    Inherit(bool),
    CreateRole(bool),
    CreateDatabase(bool),
    Login(bool),
    Replication(bool),
    BypassRowSecurity(bool),
    ConnectionLimit(i64),
    /// `None`: PASSWORD NULL.
    Password(Option<String>),
    ValidUntil(String),
    InRole(Vec<RoleName>),
    /// Members of the new role; `true`: with ADMIN OPTION.
    Members(Vec<RoleName>, bool),
}

/// GRANT and REVOKE on objects.
#[derive(Clone, PartialEq, Debug)]
pub struct Grant {
    pub revoke: bool,
    pub privileges: Vec<GrantedPrivilege>,
    pub target: GrantTarget,
    pub roles: Vec<RoleName>,
    /// WITH GRANT OPTION; for REVOKE: GRANT OPTION FOR.
    pub option: bool,
    pub cascade: bool,
}

/// `SELECT (a, b)`
#[derive(Clone, PartialEq, Debug)]
pub struct GrantedPrivilege {
    /// `None`: ALL.
    pub word: Option<String>,
    /// None: of the whole.
    pub columns: Vec<Name>,
}

/// ALTER DEFAULT PRIVILEGES
#[derive(Clone, PartialEq, Debug)]
pub struct DefaultGrant {
    /// Whose objects; none: the current role's.
    pub of: Vec<RoleName>,
    /// None: in any.
    pub schemas: Vec<Name>,
    pub class: ObjectClass,
    pub revoke: bool,
    pub privileges: Vec<GrantedPrivilege>,
    pub roles: Vec<RoleName>,
    pub option: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum GrantTarget {
    /// Tables and views; sequences, too, without the word.
    Tables(Vec<QualifiedName>),
    Sequences(Vec<QualifiedName>),
    Schemas(Vec<Name>),
    Databases(Vec<Name>),
    Types(Vec<QualifiedName>),
    AllTables(Vec<Name>),
    AllSequences(Vec<Name>),
}

/// GRANT and REVOKE of membership.
#[derive(Clone, PartialEq, Debug)]
pub struct GrantRole {
    pub revoke: bool,
    pub roles: Vec<Name>,
    pub members: Vec<RoleName>,
    pub admin: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct CreateSequence {
    pub name: QualifiedName,
    pub if_not_exists: bool,
    pub temporary: bool,
    pub options: Vec<SequenceOption>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum SequenceOption {
    Type(TypeName),
    Start(i64),
    /// `None`: from its START.
    Restart(Option<i64>),
    Increment(i64),
    /// `None`: NO MINVALUE.
    Minimum(Option<i64>),
    Maximum(Option<i64>),
    Cache(i64),
    Cycle(bool),
    /// `None`: NONE.
    OwnedBy(Option<QualifiedName>),
    /// Of an identity column's sequence.
    Name(QualifiedName),
}

/// What LIKE copies besides columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LikeOptions {
    pub comments: bool,
    pub constraints: bool,
    pub defaults: bool,
    pub generated: bool,
    pub identity: bool,
    pub indexes: bool,
}

/// Actions of ALTER TABLE that came later than the others.
#[derive(Clone, PartialEq, Debug)]
pub enum TableAction {
    RenameConstraint {
        from: Name,
        to: Name,
    },
    ValidateConstraint(Name),
    AlterConstraint {
        name: Name,
        timing: Timing,
    },
    SetSchema(Name),
    SetOptions(Vec<(String, String)>),
    ResetOptions(Vec<String>),
    AddIdentity {
        column: Name,
        always: bool,
        options: Vec<SequenceOption>,
    },
    SetIdentity {
        column: Name,
        always: Option<bool>,
        options: Vec<SequenceOption>,
    },
    DropIdentity {
        column: Name,
        if_exists: bool,
    },
    DropExpression {
        column: Name,
        if_exists: bool,
    },
    /// Statistics, storage, replica identity, CLUSTER ON ...: nothing here depends on them. The column must be there.
    Nothing {
        column: Option<Name>,
    },
}
