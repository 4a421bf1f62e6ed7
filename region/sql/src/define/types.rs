//! CREATE TYPE ... AS ENUM, ALTER TYPE.
//!
//! A type's row is locked and changed like a table's descriptor; what comes to use the type locks it KEY SHARE, so that it cannot be
//! dropped meanwhile. A label's position never changes: rows keep theirs whatever is added or renamed (`trivet_types::user`).
use super::access::denied;
use super::depend::Object;
use super::schema::no_such_schema;
use super::{Definer, already_exists};
use crate::catalog::{AclItem, ObjectClass, Privileges, RelationKind, StoredType, type_key, types_stamp_key};
use crate::parser::tree::{EnumChange, ObjectKind, QualifiedName, RoleName};
use bytes::Bytes;
use trivet_txn::{LockStrength, LockWait, Locked, WriteKind};
use trivet_types::user::{
    CLAIMED_OID_END, Label, claim_of, enum_of_claim, is_domain, is_row, is_row_array, is_user_type,
};
use trivet_types::{EnumType, Oid, PgError, PgResult, sqlstate};

/// A label is a `name`.
const LABEL_BYTES_MAX: usize = 63;

pub(super) fn no_such_type(name: &QualifiedName) -> Box<PgError> {
    PgError::new(sqlstate::UNDEFINED_OBJECT, format!("type \"{}\" does not exist", name.shown()))
}

pub(super) fn type_exists(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::DUPLICATE_OBJECT, format!("type \"{name}\" already exists"))
}

fn check_label(label: &str) -> PgResult<()> {
    if label.len() <= LABEL_BYTES_MAX {
        return Ok(());
    }
    Err(PgError::new(sqlstate::INVALID_NAME, format!("invalid enum label \"{label}\""))
        .detail("Labels must be 63 bytes or less."))
}

fn no_such_label(label: &str) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("\"{label}\" is not an existing enum label"))
}

/// The place of a type that is being made.
pub(super) struct NewType {
    pub schema: Oid,
    pub schema_name: String,
    /// As it was claimed.
    pub claimed: Oid,
}

impl Definer<'_> {
    /// Claims the name and an OID.
    pub(super) async fn new_type(&mut self, name: &QualifiedName) -> PgResult<NewType> {
        let (schema, schema_name) = self.creation_schema(name).await?;
        if self.temporary {
            return Err(PgError::unsupported("a temporary type"));
        }
        let claimed = self.new_oid().await?;
        if claimed.0 >= CLAIMED_OID_END {
            return Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "no OID for a type is left"));
        }
        if !self.claim_name(schema, name.last(), RelationKind::Type, claimed, claimed).await? {
            return Err(type_exists(name.last()));
        }
        Ok(NewType { schema, schema_name, claimed })
    }

    /// The end of a type: its name and OID are free, what is stored is gone.
    pub(super) async fn forget_type(&mut self, oid: Oid, schema: Oid, name: &str, key: Bytes) -> PgResult<()> {
        self.free_name(schema, name).await?;
        self.free_oid(claim_of(oid)).await?;
        self.transaction.delete(key);
        self.types_changed();
        Ok(())
    }

    pub(super) async fn create_enum(&mut self, name: &QualifiedName, labels: &[String]) -> PgResult<()> {
        let NewType { schema, schema_name, claimed } = self.new_type(name).await?;
        let oid = enum_of_claim(claimed);
        let mut definition = EnumType {
            oid,
            schema,
            schema_name,
            name: name.last().to_owned(),
            labels: Vec::with_capacity(labels.len()),
        };
        for label in labels {
            check_label(label)?;
            if definition.position(label).is_some() {
                let message = "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"";
                let error = PgError::new(sqlstate::UNIQUE_VIOLATION, message)
                    .detail(format!("Key (enumtypid, enumlabel)=({oid}, {label}) already exists."));
                return Err(error.schema("pg_catalog").table("pg_enum").constraint("pg_enum_typid_label_index"));
            }
            let end = definition_end(&definition);
            add_label(&mut definition, end, label)?;
        }
        let owner = self.current_role().await?.oid;
        let acl = self.new_acl(ObjectClass::Type, owner, schema).await?;
        self.store_type(&StoredType { definition, owner, acl, comment: None });
        Ok(())
    }

    pub(super) fn store_type(&mut self, stored: &StoredType) {
        let stamp = self.stamp();
        self.transaction.put(stored.key(), stored.encode(stamp), WriteKind::Update);
        self.types_changed();
    }

    /// Plans that rely on types are made anew.
    pub(super) fn types_changed(&mut self) {
        let stamp = self.stamp();
        self.transaction.put(types_stamp_key(), crate::catalog::encode_row(stamp, &()), WriteKind::NoKeyUpdate);
    }

    /// The type that a name stands for.
    pub(super) async fn find_type(&mut self, name: &QualifiedName) -> PgResult<Option<Oid>> {
        let types = self.catalog().user_types().await?;
        let path = match name.schema() {
            Some(schema) => vec![schema.to_owned()],
            None => self.search_path.to_vec(),
        };
        Ok(path.iter().find_map(|schema| types.named(schema, name.last())))
    }

    async fn lock_type(&mut self, oid: Oid, strength: LockStrength) -> PgResult<Option<StoredType>> {
        match self.transaction.lock(&type_key(claim_of(oid)), strength, LockWait::Wait).await? {
            Locked::Unchanged(Some(bytes)) | Locked::Newer(Some(bytes)) => StoredType::decode(&bytes).map(Some),
            _ => Ok(None),
        }
    }

    /// Something comes to be of a type: if a user made it, it must stay.
    pub(super) async fn share_type(&mut self, type_oid: Oid) -> PgResult<()> {
        if is_domain(type_oid) {
            if let Some(stored) = self.lock_domain(type_oid, LockStrength::KeyShare).await? {
                return self.check_type_usage(stored.owner, stored.acl.as_deref(), &stored.definition.name).await;
            }
        } else if is_row(type_oid) || is_row_array(type_oid) {
            if let Some(stored) = self.lock_composite(type_oid, LockStrength::KeyShare).await? {
                return self.check_type_usage(stored.owner, stored.acl.as_deref(), &stored.name).await;
            }
        } else if !is_user_type(type_oid) {
            return Ok(());
        }
        if let Some(stored) = self.lock_type(type_oid, LockStrength::KeyShare).await? {
            return self.check_type_usage(stored.owner, stored.acl.as_deref(), &stored.definition.name).await;
        }
        let message = format!("type \"{}\" does not exist", trivet_types::display_name(type_oid, -1));
        Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message))
    }

    /// A type that a statement names, locked; 42704, 42501.
    pub(super) async fn type_to_change(&mut self, name: &QualifiedName) -> PgResult<Option<StoredType>> {
        let Some(oid) = self.find_type(name).await? else { return Ok(None) };
        if is_domain(oid) || is_row(oid) {
            let message = format!("\"{}\" is not an enum", name.shown());
            return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
        }
        let Some(stored) = self.lock_type(oid, LockStrength::Update).await? else { return Ok(None) };
        if !self.owns(stored.owner).await? {
            return Err(denied(format!("must be owner of type {}", stored.definition.name)));
        }
        Ok(Some(stored))
    }

    /// DROP TYPE takes domains, too.
    pub(super) async fn type_to_drop(&mut self, kind: ObjectKind, name: &QualifiedName) -> PgResult<Option<Object>> {
        let found = self.find_type(name).await?;
        if let Some(oid) = found.filter(|oid| kind == ObjectKind::Type && is_row(*oid)) {
            return Ok(self.composite_to_change(oid).await?.map(|stored| Object::Type(stored.oid)));
        }
        let domain = kind == ObjectKind::Domain || found.is_some_and(is_domain);
        let oid = match domain {
            true => self.domain_to_change(name).await?.map(|stored| stored.definition.oid),
            false => self.type_to_change(name).await?.map(|stored| stored.definition.oid),
        };
        Ok(oid.map(Object::Type))
    }

    /// A type that a statement grants something on, locked.
    pub(super) async fn type_to_grant(&mut self, name: &QualifiedName) -> PgResult<StoredType> {
        let oid = self.find_type(name).await?.ok_or_else(|| no_such_type(name))?;
        self.lock_type(oid, LockStrength::Update).await?.ok_or_else(|| no_such_type(name))
    }

    /// What is granted to a role on a type is granted no longer.
    pub(super) async fn forget_on_type(&mut self, oid: Oid, role: Oid) -> PgResult<()> {
        let Some(mut stored) = self.lock_type(oid, LockStrength::Update).await? else { return Ok(()) };
        stored.acl.iter_mut().for_each(|acl| acl.retain(|item| item.grantee != role));
        self.store_type(&stored);
        Ok(())
    }

    /// 42501 unless the current role may use a type that a user made.
    async fn check_type_usage(&mut self, owner: Oid, acl: Option<&[AclItem]>, name: &str) -> PgResult<()> {
        let Some(acl) = acl else { return Ok(()) };
        let role = self.current_role().await?;
        let usage = Privileges::USAGE;
        if self.roles().await?.granted(role.oid, owner, acl, usage) == usage {
            return Ok(());
        }
        Err(denied(format!("permission denied for type {name}")))
    }

    pub(super) async fn alter_enum(&mut self, name: &QualifiedName, change: &EnumChange) -> PgResult<()> {
        if let Some(oid) = self.find_type(name).await?.filter(|oid| is_row(*oid)) {
            return self.alter_composite(name, oid, change).await;
        }
        let mut stored = self.type_to_change(name).await?.ok_or_else(|| no_such_type(name))?;
        let definition = &mut stored.definition;
        match change {
            EnumChange::Add { label, if_not_exists, place } => {
                check_label(label)?;
                if definition.position(label).is_some() {
                    let message = format!("enum label \"{label}\" already exists");
                    if *if_not_exists {
                        self.notice(sqlstate::DUPLICATE_OBJECT, format!("{message}, skipping"));
                        return Ok(());
                    }
                    return Err(PgError::new(sqlstate::DUPLICATE_OBJECT, message));
                }
                let at = match place {
                    None => definition_end(definition),
                    Some((before, neighbour)) => {
                        let at = definition.labels.iter().position(|found| found.text == *neighbour);
                        at.ok_or_else(|| no_such_label(neighbour))? + usize::from(!before)
                    }
                };
                add_label(definition, at, label)?;
            }
            EnumChange::RenameValue { from, to } => {
                check_label(to)?;
                let at = definition.labels.iter().position(|found| found.text == *from);
                let at = at.ok_or_else(|| no_such_label(from))?;
                if definition.position(to).is_some() {
                    let message = format!("enum label \"{to}\" already exists");
                    return Err(PgError::new(sqlstate::DUPLICATE_OBJECT, message));
                }
                definition.labels[at].text.clone_from(to);
            }
            EnumChange::Rename(to) => {
                let claimed = claim_of(definition.oid);
                if !self.claim_name(definition.schema, &to.text, RelationKind::Type, claimed, claimed).await? {
                    return Err(type_exists(&to.text));
                }
                self.free_name(definition.schema, &definition.name).await?;
                definition.name.clone_from(&to.text);
            }
            EnumChange::Owner(owner) => self.give_type(&mut stored, owner).await?,
            EnumChange::Schema(to) => {
                let missing = || no_such_schema(&to.text);
                let schema = self.catalog().schema(&to.text).await?.ok_or_else(missing)?;
                let row = self.shared_schema(&to.text).await?;
                self.check_schema(&row, Privileges::CREATE).await?;
                let claimed = claim_of(definition.oid);
                if schema == definition.schema {
                    return Ok(());
                }
                if !self.claim_name(schema, &definition.name, RelationKind::Type, claimed, claimed).await? {
                    let message = format!("type \"{}\" already exists in schema \"{}\"", definition.name, to.text);
                    return Err(PgError::new(sqlstate::DUPLICATE_OBJECT, message));
                }
                self.free_name(definition.schema, &definition.name).await?;
                definition.schema = schema;
                definition.schema_name.clone_from(&to.text);
            }
        }
        self.store_type(&stored);
        Ok(())
    }

    async fn give_type(&mut self, stored: &mut StoredType, owner: &RoleName) -> PgResult<()> {
        let owner = self.role_named(owner).await?;
        self.check_new_owner(&owner).await?;
        stored.owner = owner.oid;
        Ok(())
    }

    pub(super) async fn comment_on_type(&mut self, name: &QualifiedName, text: Option<String>) -> PgResult<()> {
        if let Some(oid) = self.find_type(name).await?.filter(|oid| is_row(*oid)) {
            return self.comment_on_composite(oid, text).await;
        }
        let mut stored = self.type_to_change(name).await?.ok_or_else(|| no_such_type(name))?;
        stored.comment = text;
        self.store_type(&stored);
        Ok(())
    }

    /// The schema of these types has another name.
    pub(super) async fn types_move(&mut self, schema: Oid, name: &str) -> PgResult<()> {
        let types = self.catalog().user_types().await?;
        for found in types.enums.iter().filter(|found| found.schema == schema) {
            let Some(mut stored) = self.lock_type(found.oid, LockStrength::Update).await? else { continue };
            stored.definition.schema_name = name.to_owned();
            self.store_type(&stored);
        }
        Ok(())
    }

    pub(super) async fn remove_type(&mut self, oid: Oid) -> PgResult<()> {
        if is_domain(oid) {
            return self.remove_domain(oid).await;
        }
        if is_row(oid) {
            return self.remove_composite(oid).await;
        }
        let Some(stored) = self.lock_type(oid, LockStrength::Update).await? else { return Ok(()) };
        self.forget_type(oid, stored.definition.schema, &stored.definition.name, stored.key()).await
    }

    /// What to say of a relation's name that is taken: a type's name is one of the relations', too.
    pub(super) async fn name_is_taken(&mut self, schema: Oid, name: &str) -> PgResult<Box<PgError>> {
        let types = self.catalog().user_types().await?;
        Ok(match types.is_taken(schema, name) {
            false => already_exists(name),
            true => type_exists(name).hint(
                "A relation has an associated type of the same name, so you must use a name that doesn't conflict \
                 with any existing type.",
            ),
        })
    }
}

fn definition_end(definition: &EnumType) -> usize {
    definition.labels.len()
}

fn add_label(definition: &mut EnumType, at: usize, label: &str) -> PgResult<()> {
    let none_left = || {
        let message = format!("no position is left for enum label \"{label}\"");
        PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
            .detail("Too many labels were added between the same two.")
    };
    let position = definition.position_at(at).ok_or_else(none_left)?;
    definition.labels.insert(at, Label { position, text: label.to_owned() });
    Ok(())
}
