//! CREATE DOMAIN, ALTER DOMAIN.
//!
//! A domain's row is locked and changed like a type's. A condition that comes later reads every table with a column of the domain,
//! and stores the table's descriptor anew: who wrote it under the old conditions is guarded by that row (T19).
use super::columns::refuse_subqueries;
use super::schema::no_such_schema;
use super::types::{NewType, no_such_type, type_exists};
use super::{Definer, derived_name};
use crate::analyze::{Analyzer, ParameterTypes, Relations, print_expr, resolve_type};
use crate::catalog::{ObjectClass, Privileges, RelationKind, StoredDomain, Table, domain_key};
use crate::parser::tree::{
    self, ColumnConstraint, ColumnConstraintKind, CreateDomain, DomainChange, Name, QualifiedName,
};
use std::sync::Arc;
use trivet_txn::{LockStrength, LockWait, Locked, WriteKind};
use trivet_types::user::{DomainCheck, DomainType, claim_of, domain_of_claim, is_domain, is_row};
use trivet_types::{Datum, Oid, PgError, PgResult, display_name, is_pseudo, sqlstate};

fn not_a_domain(name: &QualifiedName) -> Box<PgError> {
    PgError::new(sqlstate::WRONG_OBJECT_TYPE, format!("\"{}\" is not a domain", name.shown()))
}

fn impossible(what: &str) -> Box<PgError> {
    PgError::new(sqlstate::SYNTAX_ERROR, format!("{what} constraints not possible for domains"))
}

impl Definer<'_> {
    pub(super) async fn create_domain(&mut self, create: &CreateDomain) -> PgResult<()> {
        let name = &create.name;
        let NewType { schema, schema_name, claimed } = self.new_type(name).await?;
        let over = resolve_type(&create.data_type, self.environment)?;
        if is_pseudo(over.type_oid) {
            let shown = display_name(over.type_oid, -1);
            let message = format!("\"{shown}\" is not a valid base type for a domain");
            return Err(crate::analyze::at(create.data_type.place, PgError::new(sqlstate::DATATYPE_MISMATCH, message)));
        }
        if is_row(over.type_oid) {
            return Err(PgError::unsupported("a domain over a composite type"));
        }
        let parent = over.domain.as_ref().map(|domain| domain.oid);
        self.share_type(parent.unwrap_or(over.type_oid)).await?;
        let mut definition = DomainType {
            oid: domain_of_claim(claimed),
            schema,
            schema_name,
            name: name.last().to_owned(),
            over: parent.unwrap_or(over.type_oid),
            base: over.type_oid,
            modifier: over.modifier,
            not_null: false,
            default: None,
            checks: Vec::new(),
            collation: None,
        };
        let (mut said_null, mut said_default) = (None, false);
        for constraint in &create.constraints {
            let at = |error: Box<PgError>| crate::analyze::at(constraint.place, error);
            match &constraint.kind {
                ColumnConstraintKind::NotNull | ColumnConstraintKind::Null => {
                    let null = matches!(constraint.kind, ColumnConstraintKind::Null);
                    if said_null.is_some_and(|said| said != null) {
                        return Err(PgError::new(sqlstate::SYNTAX_ERROR, "conflicting NULL/NOT NULL constraints"));
                    }
                    said_null = Some(null);
                    definition.not_null = !null;
                }
                ColumnConstraintKind::Default(value) => {
                    if std::mem::replace(&mut said_default, true) {
                        return Err(PgError::new(sqlstate::SYNTAX_ERROR, "multiple default expressions"));
                    }
                    definition.default = self.default_of_domain(&definition, value).await?;
                }
                ColumnConstraintKind::Check(expr) => {
                    self.add_domain_check(&mut definition, constraint.name.as_ref(), expr).await?;
                }
                ColumnConstraintKind::PrimaryKey => return Err(at(impossible("primary key"))),
                ColumnConstraintKind::Unique(_) => return Err(at(impossible("unique"))),
                ColumnConstraintKind::References(_) => return Err(at(impossible("foreign key"))),
                ColumnConstraintKind::Identity { .. } | ColumnConstraintKind::Generated(_) => {
                    let message = "specifying GENERATED not supported for domains";
                    return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
                }
            }
        }
        let owner = self.current_role().await?.oid;
        let acl = self.new_acl(ObjectClass::Type, owner, schema).await?;
        self.store_domain(&StoredDomain { definition, owner, acl, comment: None });
        Ok(())
    }

    fn store_domain(&mut self, stored: &StoredDomain) {
        let stamp = self.stamp();
        self.transaction.put(stored.key(), stored.encode(stamp), WriteKind::Update);
        self.types_changed();
    }

    async fn default_of_domain(&mut self, domain: &DomainType, value: &tree::Expr) -> PgResult<Option<String>> {
        let column = super::create::plain_column(domain.name.clone(), domain.base, domain.modifier);
        self.default(&column, value).await
    }

    async fn add_domain_check(
        &mut self,
        domain: &mut DomainType,
        name: Option<&Name>,
        expr: &tree::Expr,
    ) -> PgResult<()> {
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let typed = analyzer.over_value(domain, expr)?;
        refuse_subqueries(&typed, "check constraint")?;
        let taken = |name: &str| domain.checks.iter().any(|check| check.name == name);
        let wanted = match name {
            Some(name) if taken(&name.text) => {
                let message = format!("constraint \"{}\" for domain \"{}\" already exists", name.text, domain.name);
                return Err(PgError::new(sqlstate::DUPLICATE_OBJECT, message));
            }
            Some(name) => name.text.clone(),
            None => {
                let base = derived_name(&domain.name, &[], "check");
                let numbered = (0..).map(|number| if number == 0 { base.clone() } else { format!("{base}{number}") });
                numbered.into_iter().find(|name| !taken(name)).expect("numbers do not end")
            }
        };
        let check = DomainCheck {
            oid: self.new_oid().await?,
            name: wanted,
            expression: print_expr(&typed, &|_, _| "VALUE".to_owned()),
            validated: true,
        };
        let at = domain.checks.partition_point(|other| other.name < check.name);
        domain.checks.insert(at, check);
        Ok(())
    }

    pub(super) async fn lock_domain(&mut self, oid: Oid, strength: LockStrength) -> PgResult<Option<StoredDomain>> {
        match self.transaction.lock(&domain_key(claim_of(oid)), strength, LockWait::Wait).await? {
            Locked::Unchanged(Some(bytes)) | Locked::Newer(Some(bytes)) => StoredDomain::decode(&bytes).map(Some),
            _ => Ok(None),
        }
    }

    /// A domain that a statement names, locked; 42704, 42809, 42501.
    pub(super) async fn domain_to_change(&mut self, name: &QualifiedName) -> PgResult<Option<StoredDomain>> {
        let Some(oid) = self.find_type(name).await? else { return Ok(None) };
        if !is_domain(oid) {
            return Err(not_a_domain(name));
        }
        let Some(stored) = self.lock_domain(oid, LockStrength::Update).await? else { return Ok(None) };
        if !self.owns(stored.owner).await? {
            return Err(super::access::denied(format!("must be owner of type {}", stored.definition.name)));
        }
        Ok(Some(stored))
    }

    pub(super) async fn alter_domain(&mut self, name: &QualifiedName, change: &DomainChange) -> PgResult<()> {
        let mut stored = self.domain_to_change(name).await?.ok_or_else(|| no_such_type(name))?;
        let definition = &mut stored.definition;
        match change {
            DomainChange::SetDefault(value) => {
                definition.default = self.default_of_domain(definition, value).await?;
            }
            DomainChange::DropDefault => definition.default = None,
            DomainChange::DropNotNull => definition.not_null = false,
            DomainChange::SetNotNull => {
                if !definition.not_null {
                    definition.not_null = true;
                    self.check_columns(definition, None).await?;
                }
            }
            DomainChange::Add(constraint, not_valid) => {
                self.add_domain_constraint(definition, constraint, *not_valid).await?;
            }
            DomainChange::DropConstraint { name: constraint, if_exists } => {
                let found = definition.checks.iter().position(|check| check.name == constraint.text);
                match found {
                    Some(at) => {
                        let check = definition.checks.remove(at);
                        self.free_oid(check.oid).await?;
                    }
                    None => {
                        let message = no_such_constraint(constraint, definition);
                        if *if_exists {
                            self.skipping(message);
                            return Ok(());
                        }
                        return Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message));
                    }
                }
            }
            DomainChange::RenameConstraint { from, to } => {
                let missing = || {
                    let message = format!("constraint \"{}\" for domain {} does not exist", from.text, definition.name);
                    PgError::new(sqlstate::UNDEFINED_OBJECT, message)
                };
                let at = definition.checks.iter().position(|check| check.name == from.text).ok_or_else(missing)?;
                let mut check = definition.checks.remove(at);
                check.name.clone_from(&to.text);
                let at = definition.checks.partition_point(|other| other.name < check.name);
                definition.checks.insert(at, check);
            }
            DomainChange::Validate(constraint) => {
                let found = definition.checks.iter().position(|check| check.name == constraint.text);
                let missing = || PgError::new(sqlstate::UNDEFINED_OBJECT, no_such_constraint(constraint, definition));
                let at = found.ok_or_else(missing)?;
                if !definition.checks[at].validated {
                    self.check_columns(definition, Some(at)).await?;
                    definition.checks[at].validated = true;
                }
            }
            DomainChange::Owner(owner) => {
                let owner = self.role_named(owner).await?;
                self.check_new_owner(&owner).await?;
                stored.owner = owner.oid;
            }
            DomainChange::Rename(to) => {
                let claimed = claim_of(definition.oid);
                if !self.claim_name(definition.schema, &to.text, RelationKind::Type, claimed, claimed).await? {
                    return Err(type_exists(&to.text));
                }
                self.free_name(definition.schema, &definition.name).await?;
                definition.name.clone_from(&to.text);
            }
            DomainChange::Schema(to) => {
                let schema = self.catalog().schema(&to.text).await?.ok_or_else(|| no_such_schema(&to.text))?;
                let row = self.shared_schema(&to.text).await?;
                self.check_schema(&row, Privileges::CREATE).await?;
                if schema == definition.schema {
                    return Ok(());
                }
                let claimed = claim_of(definition.oid);
                if !self.claim_name(schema, &definition.name, RelationKind::Type, claimed, claimed).await? {
                    let message = format!("type \"{}\" already exists in schema \"{}\"", definition.name, to.text);
                    return Err(PgError::new(sqlstate::DUPLICATE_OBJECT, message));
                }
                self.free_name(definition.schema, &definition.name).await?;
                definition.schema = schema;
                definition.schema_name.clone_from(&to.text);
            }
        }
        self.store_domain(&stored);
        Ok(())
    }

    async fn add_domain_constraint(
        &mut self,
        domain: &mut DomainType,
        constraint: &ColumnConstraint,
        not_valid: bool,
    ) -> PgResult<()> {
        let ColumnConstraintKind::Check(expr) = &constraint.kind else {
            return Err(match &constraint.kind {
                ColumnConstraintKind::PrimaryKey => impossible("primary key"),
                ColumnConstraintKind::Unique(_) => impossible("unique"),
                ColumnConstraintKind::References(_) => impossible("foreign key"),
                _ => PgError::unsupported("this constraint of a domain"),
            });
        };
        let before: Vec<Oid> = domain.checks.iter().map(|check| check.oid).collect();
        self.add_domain_check(domain, constraint.name.as_ref(), expr).await?;
        let at = domain.checks.iter().position(|check| !before.contains(&check.oid)).expect("it was just added");
        domain.checks[at].validated = !not_valid;
        if not_valid { Ok(()) } else { self.check_columns(domain, Some(at)).await }
    }

    /// 23514, 23502 if a column of the domain has values that it does not allow: one check, or NOT NULL. Its tables are stored anew.
    async fn check_columns(&mut self, domain: &DomainType, check: Option<usize>) -> PgResult<()> {
        let snapshot = self.snapshot().await?;
        let mut family = vec![domain.oid];
        while let Some(more) = snapshot
            .domains
            .iter()
            .map(|stored| &stored.definition)
            .find(|other| family.contains(&other.over) && !family.contains(&other.oid))
        {
            family.push(more.oid);
        }
        let compiled = match check {
            None => None,
            Some(at) => {
                let relations = Relations::new();
                let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
                let stored = analyzer.stored_condition(domain, &domain.checks[at].expression)?;
                Some(crate::plan::plan_row_expr(&stored)?)
            }
        };
        let using = snapshot
            .tables
            .iter()
            .filter(|table| table.has_rows() && table.domains.iter().any(|(_, found)| family.contains(found)));
        for oid in using.map(|table| table.oid).collect::<Vec<_>>() {
            let Some(table) = self.locked_table(oid).await? else { continue };
            let columns: Vec<usize> =
                table.domains.iter().filter(|(_, found)| family.contains(found)).map(|(at, _)| *at).collect();
            let environment = self.environment;
            let shared = Arc::clone(&table);
            self.each_row(&table, |row| {
                let values = crate::execute::stored_row(&shared, &row.value)?;
                for column in &columns {
                    let value = values.get(*column).cloned().unwrap_or_default();
                    let wrong = match &compiled {
                        None => value.is_null(),
                        Some(check) => check.evaluate_row(environment, &[value])? == Datum::Bool(false),
                    };
                    if wrong {
                        return Err(violated(&shared, *column, compiled.is_some()));
                    }
                }
                Ok(())
            })
            .await?;
            self.transaction.guard_range(crate::layout::table_range(table.storage));
            self.store(Table::clone(&table));
        }
        Ok(())
    }

    pub(super) async fn remove_domain(&mut self, oid: Oid) -> PgResult<()> {
        let Some(stored) = self.lock_domain(oid, LockStrength::Update).await? else { return Ok(()) };
        for check in &stored.definition.checks {
            self.free_oid(check.oid).await?;
        }
        self.forget_type(oid, stored.definition.schema, &stored.definition.name, stored.key()).await
    }

    pub(super) async fn comment_on_domain(&mut self, name: &QualifiedName, text: Option<String>) -> PgResult<()> {
        let mut stored = self.domain_to_change(name).await?.ok_or_else(|| no_such_type(name))?;
        stored.comment = text;
        self.store_domain(&stored);
        Ok(())
    }

    /// The schema of these domains has another name.
    pub(super) async fn domains_move(&mut self, schema: Oid, name: &str) -> PgResult<()> {
        let types = self.catalog().user_types().await?;
        for found in types.domains.iter().filter(|found| found.schema == schema) {
            let Some(mut stored) = self.lock_domain(found.oid, LockStrength::Update).await? else { continue };
            stored.definition.schema_name = name.to_owned();
            self.store_domain(&stored);
        }
        Ok(())
    }
}

fn no_such_constraint(constraint: &Name, domain: &DomainType) -> String {
    format!("constraint \"{}\" of domain \"{}\" does not exist", constraint.text, domain.name)
}

fn violated(table: &Table, column: usize, check: bool) -> Box<PgError> {
    let name = &table.columns[column].name;
    let error = if check {
        let message =
            format!("column \"{name}\" of table \"{}\" contains values that violate the new constraint", table.name);
        PgError::new(sqlstate::CHECK_VIOLATION, message)
    } else {
        let message = format!("column \"{name}\" of table \"{}\" contains null values", table.name);
        PgError::new(sqlstate::NOT_NULL_VIOLATION, message)
    };
    error.schema(table.schema_name.clone()).table(table.name.clone()).column(name.clone())
}
