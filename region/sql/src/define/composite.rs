//! CREATE TYPE ... AS (...). A composite type keeps its attributes as long as it is there: stored values have them, too.
use super::types::{NewType, no_such_type, type_exists};
use super::{Definer, columns};
use crate::analyze::resolve_type_name;
use crate::catalog::{Attribute, ObjectClass, RelationKind, StoredComposite, composite_key};
use crate::parser::tree::{EnumChange, Name, QualifiedName, TypeName};
use std::collections::HashMap;
use trivet_txn::{LockStrength, LockWait, Locked, WriteKind};
use trivet_types::user::{claim_of, is_row_array, row_of_claim};
use trivet_types::{Environment, Oid, PgError, PgResult, element_of, sqlstate};

/// Composite types within one another.
const DEPTH_MAX: usize = 32;

/// How many composite types a type's values pass through. `known`: of those that were looked at.
fn depth_of(type_oid: Oid, environment: &dyn Environment, known: &mut HashMap<Oid, usize>) -> usize {
    let row = if is_row_array(type_oid) { element_of(type_oid).unwrap_or(type_oid) } else { type_oid };
    if let Some(depth) = known.get(&row) {
        return *depth;
    }
    let Some(composite) = environment.user_types().composite(row) else { return 0 };
    let deepest = composite.shape.types.iter().map(|attribute| depth_of(*attribute, environment, known)).max();
    let depth = 1 + deepest.unwrap_or(0);
    known.insert(row, depth);
    depth
}

impl Definer<'_> {
    pub(super) async fn create_composite(
        &mut self,
        name: &QualifiedName,
        attributes: &[(Name, TypeName)],
    ) -> PgResult<()> {
        let NewType { schema, schema_name, claimed } = self.new_type(name).await?;
        let mut stored = StoredComposite {
            oid: row_of_claim(claimed),
            schema,
            schema_name,
            name: name.last().to_owned(),
            attributes: Vec::with_capacity(attributes.len()),
            owner: self.current_role().await?.oid,
            acl: None,
            comment: None,
        };
        for (attribute, type_name) in attributes {
            if stored.attributes.iter().any(|known| known.name == attribute.text) {
                let message = format!("column \"{}\" specified more than once", attribute.text);
                return Err(PgError::new(sqlstate::DUPLICATE_COLUMN, message));
            }
            let (type_oid, modifier) = resolve_type_name(type_name, self.environment)?;
            if depth_of(type_oid, self.environment, &mut HashMap::new()) >= DEPTH_MAX {
                let message = "composite types cannot be nested deeper";
                return Err(PgError::new(sqlstate::STATEMENT_TOO_COMPLEX, message));
            }
            columns::refuse_pseudo_type(&attribute.text, type_oid, self.environment)?;
            self.share_type(type_oid).await?;
            stored.attributes.push(Attribute { name: attribute.text.clone(), type_oid, modifier });
        }
        stored.acl = self.new_acl(ObjectClass::Type, stored.owner, schema).await?;
        self.store_composite(&stored);
        Ok(())
    }

    fn store_composite(&mut self, stored: &StoredComposite) {
        let stamp = self.stamp();
        self.transaction.put(stored.key(), stored.encode(stamp), WriteKind::Update);
        self.types_changed();
    }

    pub(super) async fn lock_composite(
        &mut self,
        oid: Oid,
        strength: LockStrength,
    ) -> PgResult<Option<StoredComposite>> {
        match self.transaction.lock(&composite_key(claim_of(oid)), strength, LockWait::Wait).await? {
            Locked::Unchanged(Some(bytes)) | Locked::Newer(Some(bytes)) => StoredComposite::decode(&bytes).map(Some),
            _ => Ok(None),
        }
    }

    /// A composite type that a statement names, locked; 42501.
    pub(super) async fn composite_to_change(&mut self, oid: Oid) -> PgResult<Option<StoredComposite>> {
        let Some(stored) = self.lock_composite(oid, LockStrength::Update).await? else { return Ok(None) };
        if !self.owns(stored.owner).await? {
            return Err(super::access::denied(format!("must be owner of type {}", stored.name)));
        }
        Ok(Some(stored))
    }

    /// What ALTER TYPE changes of one.
    pub(super) async fn alter_composite(
        &mut self,
        name: &QualifiedName,
        oid: Oid,
        change: &EnumChange,
    ) -> PgResult<()> {
        let mut stored = self.composite_to_change(oid).await?.ok_or_else(|| no_such_type(name))?;
        match change {
            EnumChange::Rename(to) => {
                let claimed = claim_of(oid);
                if !self.claim_name(stored.schema, &to.text, RelationKind::Type, claimed, claimed).await? {
                    return Err(type_exists(&to.text));
                }
                self.free_name(stored.schema, &stored.name).await?;
                stored.name.clone_from(&to.text);
            }
            EnumChange::Owner(owner) => {
                let owner = self.role_named(owner).await?;
                self.check_new_owner(&owner).await?;
                stored.owner = owner.oid;
            }
            EnumChange::Schema(_) => return Err(PgError::unsupported("SET SCHEMA of a composite type")),
            EnumChange::Add { .. } | EnumChange::RenameValue { .. } => {
                let message = format!("\"{}\" is not an enum", name.shown());
                return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
            }
        }
        self.store_composite(&stored);
        Ok(())
    }

    pub(super) async fn remove_composite(&mut self, oid: Oid) -> PgResult<()> {
        let Some(stored) = self.lock_composite(oid, LockStrength::Update).await? else { return Ok(()) };
        self.forget_type(oid, stored.schema, &stored.name, stored.key()).await
    }

    pub(super) async fn comment_on_composite(&mut self, oid: Oid, text: Option<String>) -> PgResult<()> {
        let Some(mut stored) = self.composite_to_change(oid).await? else { return Ok(()) };
        stored.comment = text;
        self.store_composite(&stored);
        Ok(())
    }

    /// The schema of these types has another name.
    pub(super) async fn composites_move(&mut self, schema: Oid, name: &str) -> PgResult<()> {
        let types = self.catalog().user_types().await?;
        for found in types.composites.iter().filter(|found| found.schema == schema) {
            let Some(mut stored) = self.lock_composite(found.row.oid, LockStrength::Update).await? else { continue };
            stored.schema_name = name.to_owned();
            self.store_composite(&stored);
        }
        Ok(())
    }
}
