//! CREATE, ALTER, DROP, TRUNCATE, COMMENT.
use super::super::tree::*;
use super::{Converter, refuse};
use sqlparser::ast;
use trivet_types::{PgError, PgResult, sqlstate};

impl Converter<'_> {
    pub fn create_table(&mut self, create: ast::CreateTable) -> PgResult<Statement> {
        refuse! {
            create.or_replace => "CREATE OR REPLACE TABLE";
            create.temporary => "CREATE TEMPORARY TABLE";
            create.unlogged => "CREATE UNLOGGED TABLE";
            create.inherits.is_some() => "INHERITS";
            create.partition_by.is_some() || create.partition_of.is_some() => "partitioned tables";
            create.like.is_some() => "CREATE TABLE ... LIKE";
            create.on_commit.is_some() => "ON COMMIT";
            create.external || create.transient || create.clone.is_some() || create.file_format.is_some()
                || create.location.is_some() || create.order_by.is_some() || create.cluster_by.is_some()
                => "this form of CREATE TABLE";
        }
        let options = self.storage_options(create.table_options)?;
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
        Ok(Statement::CreateTable(CreateTable {
            name,
            if_not_exists: create.if_not_exists,
            columns: create
                .columns
                .into_iter()
                .map(|column| self.column_definition(column))
                .collect::<PgResult<_>>()?,
            constraints: create
                .constraints
                .into_iter()
                .map(|constraint| self.table_constraint(constraint))
                .collect::<PgResult<_>>()?,
            options,
        }))
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

    fn column_definition(&mut self, column: ast::ColumnDef) -> PgResult<ColumnDefinition> {
        let mut definition = ColumnDefinition {
            name: self.identifier(column.name),
            data_type: self.type_name(column.data_type)?,
            collation: None,
            constraints: vec![],
        };
        for option in column.options {
            let name = option.name.map(|name| self.identifier(name));
            if let ast::ColumnOption::Collation(collation) = option.option {
                definition.collation = Some(self.name(collation)?);
                continue;
            }
            let kind = self.column_constraint(option.option)?;
            definition.constraints.push(ColumnConstraint { name, kind });
        }
        Ok(definition)
    }

    fn column_constraint(&mut self, option: ast::ColumnOption) -> PgResult<ColumnConstraintKind> {
        use ColumnConstraintKind as K;
        use ast::ColumnOption as O;
        Ok(match option {
            O::Null => K::Null,
            O::NotNull => K::NotNull,
            O::Default(value) => K::Default(self.expr(value)?),
            O::PrimaryKey(_) => K::PrimaryKey,
            O::Unique(_) => K::Unique,
            O::Check(check) => K::Check(self.expr(*check.expr)?),
            O::ForeignKey(key) => K::References(self.references(key)?.1),
            O::Generated { generated_as: ast::GeneratedAs::ExpStored, generation_expr: Some(value), .. } => {
                K::Generated(self.expr(value)?)
            }
            O::Generated { generated_as: ast::GeneratedAs::Always, generation_expr: Some(value), .. } => {
                K::Generated(self.expr(value)?)
            }
            O::Generated { generated_as, generation_expr: None, .. } => {
                K::Identity { always: matches!(generated_as, ast::GeneratedAs::Always) }
            }
            other => return Err(PgError::unsupported(format!("the column option {other}"))),
        })
    }

    fn table_constraint(&mut self, constraint: ast::TableConstraint) -> PgResult<TableConstraint> {
        use ast::TableConstraint as C;
        Ok(match constraint {
            C::PrimaryKey(key) => {
                refuse! {
                    !key.include.is_empty() => "PRIMARY KEY ... INCLUDE";
                    key.characteristics.is_some() => "DEFERRABLE constraints";
                }
                TableConstraint {
                    name: key.name.map(|name| self.identifier(name)),
                    kind: TableConstraintKind::PrimaryKey(self.key_columns(key.columns)?),
                }
            }
            C::Unique(key) => {
                refuse! {
                    !key.include.is_empty() => "UNIQUE ... INCLUDE";
                    key.characteristics.is_some() => "DEFERRABLE constraints";
                    matches!(key.nulls_distinct, ast::NullsDistinctOption::NotDistinct) => "NULLS NOT DISTINCT";
                }
                TableConstraint {
                    name: key.name.map(|name| self.identifier(name)),
                    kind: TableConstraintKind::Unique(self.key_columns(key.columns)?),
                }
            }
            C::Check(check) => TableConstraint {
                name: check.name.map(|name| self.identifier(name)),
                kind: TableConstraintKind::Check(self.expr(*check.expr)?),
            },
            C::ForeignKey(mut key) => {
                let name = key.name.take().map(|name| self.identifier(name));
                let (columns, references) = self.references(key)?;
                TableConstraint { name, kind: TableConstraintKind::ForeignKey { columns, references } }
            }
            other => return Err(PgError::unsupported(format!("the constraint {other}"))),
        })
    }

    fn references(&mut self, key: ast::ForeignKeyConstraint) -> PgResult<(Vec<Name>, References)> {
        refuse! {
            key.on_delete.is_some() || key.on_update.is_some() => "referential actions";
            key.match_kind.is_some() => "MATCH in a foreign key";
            key.characteristics.is_some() => "DEFERRABLE constraints";
        }
        let references =
            References { table: self.name(key.foreign_table)?, columns: self.identifiers(key.referred_columns) };
        Ok((self.identifiers(key.columns), references))
    }

    fn key_columns(&mut self, columns: Vec<ast::IndexColumn>) -> PgResult<Vec<Name>> {
        columns
            .into_iter()
            .map(|column| match column.column.expr {
                ast::Expr::Identifier(name) => Ok(self.identifier(name)),
                _ => Err(PgError::new(sqlstate::SYNTAX_ERROR, "a key constraint takes column names")),
            })
            .collect()
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

    pub fn create_view(&mut self, create: ast::CreateView) -> PgResult<Statement> {
        refuse! {
            create.materialized => "CREATE MATERIALIZED VIEW";
            create.temporary => "CREATE TEMPORARY VIEW";
        }
        let query_text = create.query.to_string();
        Ok(Statement::CreateView {
            name: self.name(create.name)?,
            columns: create.columns.into_iter().map(|column| self.identifier(column.name)).collect(),
            query: self.query(*create.query)?,
            query_text,
            or_replace: create.or_replace,
        })
    }

    pub fn alter_table(&mut self, alter: ast::AlterTable) -> PgResult<Statement> {
        let mut actions = Vec::with_capacity(alter.operations.len());
        for operation in alter.operations {
            self.alter_action(operation, &mut actions)?;
        }
        Ok(Statement::AlterTable { name: self.name(alter.name)?, if_exists: alter.if_exists, actions })
    }

    fn alter_action(&mut self, operation: ast::AlterTableOperation, actions: &mut Vec<AlterTable>) -> PgResult<()> {
        use ast::AlterTableOperation as O;
        let cascades = |behavior: &Option<ast::DropBehavior>| matches!(behavior, Some(ast::DropBehavior::Cascade));
        let action = match operation {
            O::AddConstraint { constraint, not_valid: false } => {
                AlterTable::AddConstraint(self.table_constraint(constraint)?)
            }
            O::AddColumn { column_def, if_not_exists, column_position: None, .. } => {
                AlterTable::AddColumn { column: self.column_definition(column_def)?, if_not_exists }
            }
            O::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                let cascade = cascades(&drop_behavior);
                for name in self.identifiers(column_names) {
                    actions.push(AlterTable::DropColumn { name, if_exists, cascade });
                }
                return Ok(());
            }
            O::DropConstraint { if_exists, name, drop_behavior } => {
                AlterTable::DropConstraint { name: self.identifier(name), if_exists, cascade: cascades(&drop_behavior) }
            }
            O::RenameColumn { old_column_name, new_column_name } => AlterTable::RenameColumn {
                from: self.identifier(old_column_name),
                to: self.identifier(new_column_name),
            },
            O::RenameTable { table_name: ast::RenameTableNameKind::To(name) } => {
                AlterTable::RenameTo(self.single_name(name, "table name here")?)
            }
            O::AlterColumn { column_name, op } => self.alter_column(column_name, op)?,
            O::OwnerTo { new_owner: ast::Owner::Ident(owner) } => AlterTable::OwnerTo(self.identifier(owner)),
            other => return Err(PgError::unsupported(format!("ALTER TABLE ... {other}"))),
        };
        actions.push(action);
        Ok(())
    }

    fn alter_column(&mut self, column: ast::Ident, operation: ast::AlterColumnOperation) -> PgResult<AlterTable> {
        use ast::AlterColumnOperation as O;
        let column = self.identifier(column);
        Ok(match operation {
            O::SetNotNull => AlterTable::SetNotNull { column },
            O::DropNotNull => AlterTable::DropNotNull { column },
            O::SetDefault { value } => AlterTable::SetDefault { column, value: self.expr(value)? },
            O::DropDefault => AlterTable::DropDefault { column },
            O::SetDataType { data_type, using, .. } => {
                AlterTable::SetType { column, data_type: self.type_name(data_type)?, using: self.optional(using)? }
            }
            other => return Err(PgError::unsupported(format!("ALTER TABLE ... ALTER COLUMN ... {other}"))),
        })
    }

    pub fn drop(
        &mut self,
        kind: ast::ObjectType,
        if_exists: bool,
        names: Vec<ast::ObjectName>,
        cascade: bool,
    ) -> PgResult<Statement> {
        let kind = match kind {
            ast::ObjectType::Table => ObjectKind::Table,
            ast::ObjectType::Index => ObjectKind::Index,
            ast::ObjectType::View => ObjectKind::View,
            ast::ObjectType::Sequence => ObjectKind::Sequence,
            ast::ObjectType::Schema => ObjectKind::Schema,
            ast::ObjectType::Type => ObjectKind::Type,
            ast::ObjectType::Database => ObjectKind::Database,
            ast::ObjectType::Role | ast::ObjectType::User => ObjectKind::Role,
            other => return Err(PgError::unsupported(format!("DROP {other}"))),
        };
        Ok(Statement::Drop { kind, names: self.names(names)?, if_exists, cascade })
    }

    pub fn truncate(&mut self, truncate: ast::Truncate) -> PgResult<Statement> {
        refuse! { truncate.partitions.is_some() || truncate.if_exists => "this form of TRUNCATE"; }
        Ok(Statement::Truncate {
            tables: truncate.table_names.into_iter().map(|target| self.name(target.name)).collect::<PgResult<_>>()?,
            restart_identity: matches!(truncate.identity, Some(ast::TruncateIdentityOption::Restart)),
            cascade: matches!(truncate.cascade, Some(ast::CascadeOption::Cascade)),
        })
    }

    pub fn comment(
        &mut self,
        kind: ast::CommentObject,
        name: ast::ObjectName,
        text: Option<String>,
    ) -> PgResult<Statement> {
        let kind = match kind {
            ast::CommentObject::Table => ObjectKind::Table,
            ast::CommentObject::Column => ObjectKind::Column,
            ast::CommentObject::Index => ObjectKind::Index,
            ast::CommentObject::View => ObjectKind::View,
            ast::CommentObject::Sequence => ObjectKind::Sequence,
            ast::CommentObject::Schema => ObjectKind::Schema,
            ast::CommentObject::Database => ObjectKind::Database,
            ast::CommentObject::Role | ast::CommentObject::User => ObjectKind::Role,
            ast::CommentObject::Type => ObjectKind::Type,
            other => return Err(PgError::unsupported(format!("COMMENT ON {other}"))),
        };
        Ok(Statement::Comment { kind, name: self.name(name)?, text })
    }
}
