//! Columns of a table to be: types, defaults, NOT NULL, serial and identity, generated columns.
use super::Definer;
use crate::analyze::{Analyzer, ParameterTypes, Relations, ResolvedType, mentioned_in, print_expr, resolve_type};
use crate::catalog::{Column, Identity, Table};
use crate::parser::tree::{self, ColumnConstraintKind, ColumnDefinition, Name, SequenceOption};
use crate::typed::{Expr, ExprKind};
use std::sync::Arc;
use trivet_types::functions::string::quote_identifier;
use trivet_types::registry::{Volatility, registry};
use trivet_types::user::{is_row, is_row_array};
use trivet_types::{Datum, Environment, Oid, PgError, PgResult, element_of, oid, sqlstate, type_info};

/// What a column asks for that takes its table to be there: a sequence.
#[derive(Clone, Debug)]
pub(super) enum Numbering {
    Serial,
    Identity { always: bool, options: Vec<SequenceOption> },
}

fn serial_type(name: &str) -> Option<Oid> {
    match name {
        "serial" | "serial4" => Some(oid::INT4),
        "bigserial" | "serial8" => Some(oid::INT8),
        "smallserial" | "serial2" => Some(oid::INT2),
        _ => None,
    }
}

impl Definer<'_> {
    /// A column with its type and default, and the domain that its type is. What needs the table comes later (`finish_column`).
    pub(super) async fn column(
        &mut self,
        table: &str,
        definition: &ColumnDefinition,
    ) -> PgResult<(Column, Option<Oid>, Option<Numbering>)> {
        if let Some(collation) = &definition.collation {
            if !matches!(collation.last(), "C" | "POSIX" | "default" | "ucs_basic") {
                return Err(PgError::unsupported(format!("collation \"{}\"", collation.last())));
            }
        }
        let name = &definition.name.text;
        let serial = serial_type(&definition.data_type.name).filter(|_| definition.data_type.schema.is_none());
        let (type_oid, modifier, domain) = match serial {
            Some(_) if definition.data_type.array => {
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "array of serial is not implemented"));
            }
            Some(type_oid) => (type_oid, -1, None),
            None => {
                let ResolvedType { type_oid, modifier, domain } =
                    resolve_type(&definition.data_type, self.environment)?;
                (type_oid, modifier, domain.map(|domain| domain.oid))
            }
        };
        refuse_pseudo_type(name, type_oid, self.environment)?;
        self.share_type(domain.unwrap_or(type_oid)).await?;
        let mut column = Column {
            name: name.clone(),
            type_oid,
            modifier,
            not_null: serial.is_some(),
            default: None,
            identity: None,
            generated: None,
            dropped: false,
            missing: None,
            collation: definition.collation.as_ref().and_then(|collation| match collation.last() {
                "C" => Some(Oid(950)),
                "POSIX" => Some(Oid(951)),
                _ => None,
            }),
            acl: None,
        };
        let mut numbering = serial.map(|_| Numbering::Serial);
        let both = |what: &str| {
            PgError::new(
                sqlstate::SYNTAX_ERROR,
                format!("both {what} specified for column \"{name}\" of table \"{table}\""),
            )
        };
        let twice = |what: &str| {
            let message = format!("multiple {what} specified for column \"{name}\" of table \"{table}\"");
            PgError::new(sqlstate::SYNTAX_ERROR, message)
        };
        let (mut said_null, mut said_not_null, mut has_default, mut is_generated) = (false, false, false, false);
        for constraint in &definition.constraints {
            let at = |error: Box<PgError>| crate::analyze::at(constraint.place, error);
            match &constraint.kind {
                ColumnConstraintKind::NotNull if said_null => return Err(at(conflicting(table, name))),
                ColumnConstraintKind::Null if said_not_null => return Err(at(conflicting(table, name))),
                ColumnConstraintKind::NotNull => {
                    said_not_null = true;
                    column.not_null = true;
                }
                ColumnConstraintKind::PrimaryKey => column.not_null = true,
                ColumnConstraintKind::Null => said_null = true,
                ColumnConstraintKind::Default(value) => {
                    if has_default {
                        return Err(at(twice("default values")));
                    }
                    has_default = true;
                    column.default = self.default(&column, value).await?;
                }
                ColumnConstraintKind::Identity { always, options } => {
                    if !matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8) {
                        let message = "identity column type must be smallint, integer, or bigint";
                        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
                    }
                    if matches!(numbering, Some(Numbering::Identity { .. })) {
                        return Err(at(twice("identity specifications")));
                    }
                    if has_default || matches!(numbering, Some(Numbering::Serial)) {
                        return Err(at(both("default and identity")));
                    }
                    column.not_null = true;
                    numbering = Some(Numbering::Identity { always: *always, options: options.clone() });
                }
                ColumnConstraintKind::Generated(_) => {
                    if has_default {
                        return Err(at(both("default and generation expression")));
                    }
                    is_generated = true;
                }
                // The table's: the caller adds them once all columns are known.
                ColumnConstraintKind::Unique(_)
                | ColumnConstraintKind::Check(_)
                | ColumnConstraintKind::References(_) => {}
            }
        }
        match (&numbering, has_default, is_generated) {
            (Some(Numbering::Serial), true, _) => Err(twice("default values")),
            (Some(Numbering::Identity { .. }), true, _) => Err(both("default and identity")),
            (_, true, true) => Err(both("default and generation expression")),
            (Some(_), _, true) => Err(both("identity and generation expression")),
            _ if said_null && column.not_null => Err(conflicting(table, name)),
            _ => Ok((column, domain, numbering)),
        }
    }

    /// The sequence of a serial or identity column that is now part of `table`.
    pub(super) async fn number_column(&mut self, table: &mut Table, at: usize, numbering: Numbering) -> PgResult<()> {
        let type_oid = table.columns[at].type_oid;
        match numbering {
            Numbering::Serial => {
                let sequence = self.column_sequence(table, at, &[], type_oid, false).await?;
                table.columns[at].default = Some(format!("nextval('{sequence}'::regclass)"));
            }
            Numbering::Identity { always, options } => {
                let sequence = self.column_sequence(table, at, &options, type_oid, true).await?;
                table.columns[at].identity = Some(Identity { always, sequence });
            }
        }
        table.columns[at].not_null = true;
        Ok(())
    }

    /// A generated column's expression, over the other columns of its table.
    pub(super) async fn generation(&mut self, table: &Table, at: usize, value: &tree::Expr) -> PgResult<String> {
        let shared = Arc::new(table.clone());
        let relations = self.relations_in(value).await?;
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let column = &table.columns[at];
        let typed = analyzer.over_row(&shared, value, "column generation expressions")?;
        refuse_subqueries(&typed, "column generation expression")?;
        let mut generated = None;
        typed.any(&mut |part| {
            if let ExprKind::Column { column: used, .. } = part.kind {
                if used == at || shared.columns[used].generated.is_some() {
                    generated = Some((used, part.place));
                }
            }
            false
        });
        if let Some((used, place)) = generated {
            let message = format!(
                "cannot use generated column \"{}\" in column generation expression",
                shared.columns[used].name
            );
            let error = PgError::new(sqlstate::INVALID_OBJECT_DEFINITION, message)
                .detail("A generated column cannot reference another generated column.");
            return Err(crate::analyze::at(place, error));
        }
        if least_volatility(&typed) != Volatility::Immutable {
            return Err(PgError::new(sqlstate::INVALID_OBJECT_DEFINITION, "generation expression is not immutable"));
        }
        let (type_oid, modifier, name) = (column.type_oid, column.modifier, column.name.clone());
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let typed = crate::analyze::assign(&mut analyzer, typed, type_oid, modifier, &name)?;
        Ok(print_over(&typed, table))
    }

    /// The text of a default, once it is known to fit the column. `DEFAULT NULL` is none. What a conversion to the column's
    /// type adds is not part of it, unless the type is all that a literal has.
    pub(super) async fn default(&mut self, column: &Column, value: &tree::Expr) -> PgResult<Option<String>> {
        let Some(typed) = self.typed_default(column, value).await? else { return Ok(None) };
        let relations = self.relations_in(value).await?;
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let given = analyzer.default_as_given(value)?;
        // A row that is given is not of the column's type before its fields are.
        let as_typed = given.type_oid == oid::UNKNOWN || is_row(column.type_oid);
        let shown = if as_typed { &typed } else { &given };
        Ok(Some(print_expr(shown, &|_, _| String::new())))
    }

    /// The default itself; the sequences that it names are kept from being dropped.
    pub(super) async fn typed_default(&mut self, column: &Column, value: &tree::Expr) -> PgResult<Option<Expr>> {
        let relations = self.relations_in(value).await?;
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let typed = analyzer.default_expr(value, column.type_oid, column.modifier, &column.name)?;
        refuse_subqueries(&typed, "DEFAULT expression")?;
        let mut named = Vec::new();
        typed.any(&mut |part| {
            if let (ExprKind::Constant(Datum::Oid(relation)), oid::REGCLASS) = (&part.kind, part.type_oid) {
                named.push(Oid(*relation));
            }
            false
        });
        for relation in named {
            self.shared_table(relation).await?;
        }
        Ok((!typed.is_null_constant()).then_some(typed))
    }

    /// The relations that an expression's constants name (`nextval('s')`).
    pub(super) async fn relations_in(&mut self, expr: &tree::Expr) -> PgResult<Relations> {
        let mut relations = Relations::new();
        let mentioned = mentioned_in(expr);
        for (schema, name) in &mentioned.relations {
            if let Some(found) = self.catalog().relation(schema.as_deref(), name).await? {
                relations.insert((schema.clone(), name.clone()), found);
            }
        }
        mentioned.check_constants(&relations)?;
        Ok(relations)
    }
}

/// A typed expression over one table as text.
pub(super) fn print_over(expr: &Expr, table: &Table) -> String {
    print_expr(expr, &|_, column| quote_identifier(&table.columns[column].name))
}

fn conflicting(table: &str, column: &str) -> Box<PgError> {
    let message = format!("conflicting NULL/NOT NULL declarations for column \"{column}\" of table \"{table}\"");
    PgError::new(sqlstate::SYNTAX_ERROR, message)
}

/// Pseudo-types are no column's, and rows of another relation are none here: their fields would change under the table. Those of a
/// composite type do not.
pub(super) fn refuse_pseudo_type(name: &str, type_oid: Oid, environment: &dyn Environment) -> PgResult<()> {
    let row = if is_row_array(type_oid) { element_of(type_oid).unwrap_or(type_oid) } else { type_oid };
    if is_row(row) && environment.user_types().composite(row).is_none() {
        return Err(PgError::unsupported(format!("column \"{name}\", whose type is a relation's row,")));
    }
    let pseudo = type_info(type_oid).is_some_and(|info| info.kind == 'p');
    if pseudo || type_oid == oid::UNKNOWN {
        let message = format!("column \"{name}\" has pseudo-type {}", trivet_types::display_name(type_oid, -1));
        return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
    }
    Ok(())
}

pub(super) fn refuse_subqueries(expr: &Expr, what: &str) -> PgResult<()> {
    let mut found = None;
    expr.any(&mut |part| {
        let is_subquery = matches!(part.kind, ExprKind::Subquery(_));
        if is_subquery {
            found = Some(part.place);
        }
        is_subquery
    });
    match found {
        None => Ok(()),
        Some(place) => {
            let message = format!("cannot use subquery in {what}");
            Err(crate::analyze::at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)))
        }
    }
}

/// The most volatile thing in an expression.
pub(super) fn least_volatility(expr: &Expr) -> Volatility {
    let mut found = Volatility::Immutable;
    expr.any(&mut |part| {
        let here = match &part.kind {
            ExprKind::Call { procedure, .. } | ExprKind::Quantified { procedure, .. } => procedure.volatility(),
            ExprKind::Convert(operand) if !reads_alike(operand, part.type_oid) => Volatility::Stable,
            _ => Volatility::Immutable,
        };
        found = found.max(here);
        false
    });
    found
}

/// Whether a conversion through the text form gives the same under all settings of a session: neither type's form depends on
/// them, or it is of a literal that can be read in one way only.
fn reads_alike(operand: &Expr, type_oid: Oid) -> bool {
    if let ExprKind::Constant(Datum::Text(text)) = &operand.kind {
        let year_first = text.len() >= 10 && text.bytes().take(4).all(|byte| byte.is_ascii_digit());
        let only = |others: &str| text.chars().all(|char| char.is_ascii_digit() || others.contains(char));
        match type_oid {
            oid::DATE | oid::TIMESTAMP => return year_first && only("-: .T"),
            oid::TIMESTAMPTZ => return year_first && only("-: .T+Z") && (text.contains('+') || text.ends_with('Z')),
            _ => {}
        }
    }
    // As the catalog has it of the functions that read and write the types.
    let is_immutable = |name: &str| {
        let found = registry().procedures_named(name).first();
        found.is_some_and(|procedure| procedure.volatility() == Volatility::Immutable)
    };
    let reading = type_info(type_oid).is_some_and(|info| is_immutable(info.input));
    reading && type_info(operand.type_oid).is_some_and(|info| is_immutable(info.output))
}

/// 42701 for the second of two columns with one name; 42701 for a system column's.
pub(super) fn check_names(columns: &[Column]) -> PgResult<()> {
    const COLUMNS_MAX: usize = 1600;
    const SYSTEM: &[&str] = &["tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"];
    if columns.len() > COLUMNS_MAX {
        let message = format!("tables can have at most {COLUMNS_MAX} columns");
        return Err(PgError::new(sqlstate::TOO_MANY_COLUMNS, message));
    }
    for (at, column) in columns.iter().enumerate() {
        if SYSTEM.contains(&column.name.as_str()) {
            let message = format!("column name \"{}\" conflicts with a system column name", column.name);
            return Err(PgError::new(sqlstate::DUPLICATE_COLUMN, message));
        }
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
