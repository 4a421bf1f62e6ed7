//! CREATE TABLE AS, CREATE INDEX, TRUNCATE: the definitions that the library reads.
use super::super::tree::*;
use super::{Converter, refuse};
use sqlparser::ast;
use trivet_types::{PgError, PgResult};

impl Converter<'_> {
    pub fn create_table(&mut self, create: ast::CreateTable) -> PgResult<Statement> {
        refuse! {
            create.or_replace => "CREATE OR REPLACE TABLE";
            create.temporary => "CREATE TEMPORARY TABLE";
            create.unlogged => "CREATE UNLOGGED TABLE";
            create.inherits.is_some() => "INHERITS";
            create.partition_by.is_some() || create.partition_of.is_some() => "partitioned tables";
            create.on_commit.is_some() => "ON COMMIT";
            create.external || create.transient || create.clone.is_some() || create.file_format.is_some()
                || create.location.is_some() || create.order_by.is_some() || create.cluster_by.is_some()
                => "this form of CREATE TABLE";
        }
        self.storage_options(create.table_options)?;
        let name = self.name(create.name)?;
        if let Some(query) = create.query {
            refuse! { !create.constraints.is_empty() => "constraints in CREATE TABLE AS"; }
            return Ok(Statement::CreateTableAs {
                name,
                columns: create.columns.into_iter().map(|column| self.identifier(column.name)).collect(),
                query: self.query(*query)?,
                if_not_exists: create.if_not_exists,
                with_data: create.with_data.is_none_or(|with| with.data),
            });
        }
        Err(PgError::internal("CREATE TABLE with columns is read by hand"))
    }

    fn storage_options(&mut self, options: ast::CreateTableOptions) -> PgResult<Vec<(String, String)>> {
        let given = match options {
            ast::CreateTableOptions::None => return Ok(vec![]),
            ast::CreateTableOptions::With(given) => given,
            _ => return Err(PgError::unsupported("these table options")),
        };
        let mut read = Vec::with_capacity(given.len());
        for option in given {
            read.push(match option {
                ast::SqlOption::KeyValue { key, value } => (self.name(key)?.shown(), value.to_string()),
                ast::SqlOption::Ident(name) => (self.name(name)?.shown(), "true".to_owned()),
                other => return Err(PgError::unsupported(format!("the table option {other}"))),
            });
        }
        Ok(read)
    }

    pub fn create_index(&mut self, create: ast::CreateIndex) -> PgResult<Statement> {
        refuse! {
            create.nulls_distinct == Some(false) => "NULLS NOT DISTINCT";
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
