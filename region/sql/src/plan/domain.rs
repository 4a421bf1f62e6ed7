//! The conditions of a domain, compiled: over a row that has nothing but the value.
use super::expr::Compiled;
use crate::typed::DomainRules;
use trivet_types::{Datum, Environment, Oid, PgError, PgResult, display_name, sqlstate};

#[derive(Debug)]
pub struct CompiledDomain {
    domain: Oid,
    schema: String,
    name: String,
    not_null: bool,
    checks: Vec<(String, Compiled)>,
}

impl CompiledDomain {
    pub fn of(rules: &DomainRules) -> PgResult<CompiledDomain> {
        let compiled =
            |(name, check): &(String, crate::typed::Expr)| Ok((name.clone(), super::planner::plan_row_expr(check)?));
        Ok(CompiledDomain {
            domain: rules.domain,
            schema: rules.schema.clone(),
            name: rules.name.clone(),
            not_null: rules.not_null,
            checks: rules.checks.iter().map(compiled).collect::<PgResult<_>>()?,
        })
    }

    /// The value, if it is one of the domain. 23502, 23514.
    pub fn checked(&self, environment: &dyn Environment, value: Datum) -> PgResult<Datum> {
        let placed = |mut error: Box<PgError>| {
            error.data_type = Some(self.name.clone());
            error.schema(self.schema.clone())
        };
        if self.not_null && value.is_null() {
            let message = format!("domain {} does not allow null values", display_name(self.domain, -1));
            return Err(placed(PgError::new(sqlstate::NOT_NULL_VIOLATION, message)));
        }
        if self.checks.is_empty() {
            return Ok(value);
        }
        let row = [value];
        for (name, check) in &self.checks {
            if check.evaluate_row(environment, &row)? == Datum::Bool(false) {
                let domain = display_name(self.domain, -1);
                let message = format!("value for domain {domain} violates check constraint \"{name}\"");
                return Err(placed(PgError::new(sqlstate::CHECK_VIOLATION, message)).constraint(name.clone()));
            }
        }
        let [value] = row;
        Ok(value)
    }
}
