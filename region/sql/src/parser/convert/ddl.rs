//! CREATE INDEX and TRUNCATE: the definitions that the library reads.
use super::super::tree::*;
use super::{Converter, refuse};
use sqlparser::ast;
use trivet_types::{PgError, PgResult};

impl Converter<'_> {
    pub fn create_index(&mut self, mut create: ast::CreateIndex) -> PgResult<Statement> {
        let mut classes = Vec::new();
        for (at, column) in create.columns.iter_mut().enumerate() {
            if let Some(class) = column.operator_class.take() {
                let class = self.name(class)?;
                check_operator_class(&class)?;
                classes.push((at, class.last().to_owned()));
            }
        }
        let method = create.using.map(|using| using.to_string().to_ascii_lowercase());
        match method.as_deref() {
            None | Some("btree" | "hash") => {}
            Some(other @ ("gin" | "gist" | "brin" | "spgist")) => {
                return Err(PgError::unsupported(format!("access method \"{other}\"")));
            }
            Some(other) => {
                let message = format!("access method \"{other}\" does not exist");
                return Err(PgError::new(trivet_types::sqlstate::UNDEFINED_OBJECT, message));
            }
        }
        Ok(Statement::CreateIndex(CreateIndex {
            name: create.name.map(|name| self.single_name(name, "index name")).transpose()?,
            table: self.name(create.table_name)?,
            unique: create.unique,
            if_not_exists: create.if_not_exists,
            concurrently: create.concurrently,
            method,
            keys: create.columns.into_iter().map(|column| self.sort_key(column.column)).collect::<PgResult<_>>()?,
            classes,
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

/// Operator classes of btree that order as the types do. Those for patterns are no others where strings order by bytes.
fn check_operator_class(name: &QualifiedName) -> PgResult<()> {
    const KNOWN: &[&str] = &[
        "array_ops",
        "bit_ops",
        "bool_ops",
        "bpchar_ops",
        "bpchar_pattern_ops",
        "bytea_ops",
        "char_ops",
        "date_ops",
        "enum_ops",
        "float4_ops",
        "float8_ops",
        "int2_ops",
        "int4_ops",
        "int8_ops",
        "interval_ops",
        "jsonb_ops",
        "name_ops",
        "numeric_ops",
        "oid_ops",
        "text_ops",
        "text_pattern_ops",
        "time_ops",
        "timestamp_ops",
        "timestamptz_ops",
        "timetz_ops",
        "uuid_ops",
        "varbit_ops",
        "varchar_ops",
        "varchar_pattern_ops",
    ];
    if KNOWN.contains(&name.last()) {
        return Ok(());
    }
    let message = format!("operator class \"{}\" does not exist for access method \"btree\"", name.shown());
    Err(PgError::new(trivet_types::sqlstate::UNDEFINED_OBJECT, message))
}
