//! Columns of a table to be: types, defaults, NOT NULL.
use super::Definer;
use crate::analyze::{Analyzer, ParameterTypes, Relations, print_expr, resolve_type_name};
use crate::catalog::{Column, Table};
use crate::parser::tree::{self, ColumnConstraintKind, ColumnDefinition, Name};
use trivet_types::{PgError, PgResult, sqlstate};

impl Definer<'_> {
    pub(super) fn column(&mut self, definition: &ColumnDefinition) -> PgResult<Column> {
        if matches!(definition.data_type.name.as_str(), "serial" | "bigserial" | "smallserial" | "serial4" | "serial8")
        {
            return Err(PgError::unsupported(format!("type {}", definition.data_type.name)));
        }
        if let Some(collation) = &definition.collation {
            if !matches!(collation.last(), "C" | "POSIX" | "default") {
                return Err(PgError::unsupported(format!("collation \"{}\"", collation.last())));
            }
        }
        let (type_oid, modifier) = resolve_type_name(&definition.data_type)?;
        let mut column = Column {
            name: definition.name.text.clone(),
            type_oid,
            modifier,
            not_null: false,
            default: None,
            dropped: false,
            missing: None,
        };
        let mut said_null = false;
        for constraint in &definition.constraints {
            match &constraint.kind {
                ColumnConstraintKind::NotNull | ColumnConstraintKind::PrimaryKey => column.not_null = true,
                ColumnConstraintKind::Null => said_null = true,
                ColumnConstraintKind::Default(value) => column.default = self.default(&column, value)?,
                // The table's: the caller adds them once all columns are known.
                ColumnConstraintKind::Unique | ColumnConstraintKind::Check(_) => {}
                ColumnConstraintKind::References(_) => return Err(PgError::unsupported("FOREIGN KEY")),
                ColumnConstraintKind::Identity { .. } => return Err(PgError::unsupported("GENERATED AS IDENTITY")),
                ColumnConstraintKind::Generated(_) => return Err(PgError::unsupported("GENERATED ALWAYS AS")),
            }
        }
        if said_null && column.not_null {
            let message = format!("conflicting NULL/NOT NULL declarations for column \"{}\"", column.name);
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
        }
        Ok(column)
    }

    /// The text of a default, once it is known to fit the column. `DEFAULT NULL` is none.
    pub(super) fn default(&mut self, column: &Column, value: &tree::Expr) -> PgResult<Option<String>> {
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let typed = analyzer.standalone(value, column.type_oid, column.modifier, &column.name)?;
        Ok((!typed.is_null_constant()).then(|| print_expr(&typed, &|_, _| String::new())))
    }
}

/// 42701 for the second of two columns with one name.
pub(super) fn check_names(columns: &[Column]) -> PgResult<()> {
    const COLUMNS_MAX: usize = 1600;
    if columns.len() > COLUMNS_MAX {
        let message = format!("tables can have at most {COLUMNS_MAX} columns");
        return Err(PgError::new(sqlstate::TOO_MANY_COLUMNS, message));
    }
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].iter().any(|earlier| !earlier.dropped && earlier.name == column.name) {
            let message = format!("column \"{}\" specified more than once", column.name);
            return Err(PgError::new(sqlstate::DUPLICATE_COLUMN, message));
        }
    }
    Ok(())
}

/// The position of a key's column.
pub(super) fn key_column(table: &Table, name: &Name) -> PgResult<usize> {
    table.column_named(&name.text).map(|(at, _)| at).ok_or_else(|| {
        let message = format!("column \"{}\" named in key does not exist", name.text);
        let error = PgError::new(sqlstate::UNDEFINED_COLUMN, message);
        match name.place.known() {
            Some(place) => error.position(place),
            None => error,
        }
    })
}
