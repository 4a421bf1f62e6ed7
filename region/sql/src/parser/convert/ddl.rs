//! CREATE INDEX and TRUNCATE: the definitions that the library reads.
use super::super::tree::*;
use super::{Converter, refuse};
use sqlparser::ast;
use trivet_types::{PgError, PgResult};

impl Converter<'_> {
    pub fn create_index(&mut self, create: ast::CreateIndex) -> PgResult<Statement> {
        refuse! {
            create.columns.iter().any(|column| column.operator_class.is_some()) => "operator classes";
        }
        let method = create.using.map(|using| using.to_string().to_ascii_lowercase());
        if let Some(other) = method.as_deref().filter(|method| *method != "btree") {
            return Err(PgError::unsupported(format!("access method \"{other}\"")));
        }
        Ok(Statement::CreateIndex(CreateIndex {
            name: create.name.map(|name| self.single_name(name, "index name")).transpose()?,
            table: self.name(create.table_name)?,
            unique: create.unique,
            if_not_exists: create.if_not_exists,
            concurrently: create.concurrently,
            method,
            keys: create.columns.into_iter().map(|column| self.sort_key(column.column)).collect::<PgResult<_>>()?,
            include: self.identifiers(create.include),
            filter: self.optional(create.predicate)?,
            nulls_collide: create.nulls_distinct == Some(false),
        }))
    }

    pub fn truncate(&mut self, truncate: ast::Truncate) -> PgResult<Statement> {
        refuse! { truncate.partitions.is_some() || truncate.if_exists => "this form of TRUNCATE"; }
        Ok(Statement::Truncate {
            tables: truncate.table_names.into_iter().map(|target| self.name(target.name)).collect::<PgResult<_>>()?,
            restart_identity: matches!(truncate.identity, Some(ast::TruncateIdentityOption::Restart)),
            cascade: matches!(truncate.cascade, Some(ast::CascadeOption::Cascade)),
        })
    }
}
