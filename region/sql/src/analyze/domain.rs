//! Domains: a value of one is a value of its base type that was checked when it became one. Nothing else here knows of them: a
//! column of a domain is a column of the base type, and what is assigned to it passes by here.
use super::scope::Scope;
use super::{Analyzer, assign, coerce};
use crate::catalog::Table;
use crate::parser::tree;
use crate::typed::{DomainRules, Expr, ExprKind, Relation, RelationColumn, RelationSource};
use std::sync::Arc;
use trivet_types::user::{DomainType, is_domain};
use trivet_types::{Datum, Environment, Oid, PgError, PgResult};

/// What a type's name in a statement stands for.
#[derive(Clone, Debug)]
pub struct ResolvedType {
    /// Of the values.
    pub type_oid: Oid,
    pub modifier: i32,
    /// The domain that was named.
    pub domain: Option<Arc<DomainType>>,
}

/// Where a domain may be named as well as any other type.
pub fn resolve_type(name: &tree::TypeName, environment: &dyn Environment) -> PgResult<ResolvedType> {
    let (type_oid, modifier) = coerce::resolve_any_type(name, environment)?;
    if !is_domain(type_oid) {
        return Ok(ResolvedType { type_oid, modifier, domain: None });
    }
    let domain = known_domain(type_oid, environment)?;
    Ok(ResolvedType { type_oid: domain.base, modifier: domain.modifier, domain: Some(domain) })
}

fn known_domain(oid: Oid, environment: &dyn Environment) -> PgResult<Arc<DomainType>> {
    let found = environment.user_types().domain(oid).cloned();
    found.ok_or_else(|| PgError::internal(format!("domain {oid} is not known to the statement")))
}

/// A domain and those that it is made over, itself last.
fn lineage(domain: &DomainType, environment: &dyn Environment) -> PgResult<Vec<Arc<DomainType>>> {
    let mut all = vec![Arc::new(domain.clone())];
    let mut over = domain.over;
    while is_domain(over) {
        let next = known_domain(over, environment)?;
        over = next.over;
        all.push(next);
    }
    all.reverse();
    Ok(all)
}

impl Analyzer<'_> {
    /// A value of the base type as one of the domain.
    pub fn to_domain(&mut self, operand: Expr, domain: &DomainType) -> PgResult<Expr> {
        let mut rules = DomainRules {
            domain: domain.oid,
            schema: domain.schema_name.clone(),
            name: domain.name.clone(),
            not_null: false,
            checks: Vec::new(),
        };
        for of in lineage(domain, self.environment)? {
            rules.not_null |= of.not_null;
            for check in &of.checks {
                rules.checks.push((check.name.clone(), self.stored_condition(&of, &check.expression)?));
            }
        }
        let (type_oid, modifier, place) = (domain.base, domain.modifier, operand.place);
        let kind = ExprKind::Domain { operand: Box::new(operand), rules: Arc::new(rules) };
        Ok(Expr { kind, type_oid, modifier, place })
    }

    /// A domain's condition over its value (relation 0, column 0).
    pub fn over_value(&mut self, domain: &DomainType, expr: &tree::Expr) -> PgResult<Expr> {
        let mut scope = Scope { no_aggregates: Some("check constraints"), ..Scope::default() };
        let value =
            RelationColumn { name: "value".into(), type_oid: domain.base, modifier: domain.modifier, hidden: false };
        scope.add_relation(
            Relation {
                alias: String::new(),
                columns: vec![value],
                source: RelationSource::Scalar { value: Expr::constant(Datum::Null, domain.base), ordinality: false },
                lateral: false,
                view: None,
                row_type: None,
            },
            None,
        );
        self.scopes.push(scope);
        let result = self.expr(expr).and_then(|expr| self.boolean(expr, "CHECK"));
        self.scopes.pop();
        result
    }

    /// A value of a column's type as the column takes it.
    pub fn to_column(&mut self, table: &Table, column: usize, value: Expr) -> PgResult<Expr> {
        match table.domain_of(column) {
            None => Ok(value),
            Some(domain) => {
                let domain = known_domain(domain, self.environment)?;
                self.to_domain(value, &domain)
            }
        }
    }

    /// What a column's COLLATE names.
    pub(super) fn collation_of_column(&self, value: &Expr) -> Option<String> {
        let ExprKind::Column { up, relation, column } = &value.kind else { return None };
        let scope = self.scopes.len().checked_sub(up + 1).and_then(|at| self.scopes.get(at))?;
        let RelationSource::Table(table) = &scope.relations.get(*relation)?.source else { return None };
        match table.columns.get(*column)?.collation?.0 {
            950 => Some("C".to_owned()),
            951 => Some("POSIX".to_owned()),
            _ => None,
        }
    }

    /// The domain that a value is known to be of.
    pub(super) fn domain_of(&self, value: &Expr) -> Option<Oid> {
        match &value.kind {
            ExprKind::Domain { rules, .. } => Some(rules.domain),
            ExprKind::Column { up, relation, column } => {
                let scope = self.scopes.len().checked_sub(up + 1).and_then(|at| self.scopes.get(at))?;
                match &scope.relations.get(*relation)?.source {
                    RelationSource::Table(table) => table.domain_of(*column),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// What a domain gives where neither a value nor a default of the column's is.
    pub(super) fn domain_default(&mut self, domain: Oid) -> PgResult<Expr> {
        let domain = known_domain(domain, self.environment)?;
        for of in lineage(&domain, self.environment)?.iter().rev() {
            if let Some(text) = &of.default {
                let expr = self.stored_default(text)?;
                return assign(self, expr, domain.base, domain.modifier, &domain.name);
            }
        }
        Ok(Expr::constant(Datum::Null, domain.base))
    }
}
