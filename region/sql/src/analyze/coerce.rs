//! Conversions: the one place where a type becomes another.
use super::{Analyzer, at};
use crate::parser::tree::TypeName;
use crate::typed::{Expr, ExprKind};
use trivet_types::registry::{CastContext, Coercion, coercion};
use trivet_types::user::{is_domain, marked_type};
use trivet_types::{
    Datum, Environment, Oid, PgError, PgResult, array_of, canonical_name, category, display_name, element_of, is_array,
    is_preferred, modifier, oid, sqlstate, text, type_by_name,
};

/// A type's OID and modifier by the name in a statement, where a domain's conditions would not be looked at.
pub fn resolve_type_name(name: &TypeName, environment: &dyn Environment) -> PgResult<(Oid, i32)> {
    let (type_oid, modifier) = resolve_any_type(name, environment)?;
    if is_domain(type_oid) {
        return Err(at(name.place, PgError::unsupported(format!("domain \"{}\" in this place", name.name))));
    }
    Ok((type_oid, modifier))
}

/// The same, of domains as well.
pub(super) fn resolve_any_type(name: &TypeName, environment: &dyn Environment) -> PgResult<(Oid, i32)> {
    let shown = || match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    };
    let undefined = || {
        let absent = super::absent::absent_type(&name.name);
        if let Some(absent) = absent.filter(|_| matches!(name.schema.as_deref(), None | Some("pg_catalog"))) {
            return at(name.place, absent);
        }
        let suffix = if name.array { "[]" } else { "" };
        at(name.place, PgError::new(sqlstate::UNDEFINED_OBJECT, format!("type \"{}{suffix}\" does not exist", shown())))
    };
    let built_in = match name.schema.as_deref() {
        None | Some("pg_catalog") => type_by_name(canonical_name(&name.name)),
        Some(_) => None,
    };
    let Some(info) = built_in else {
        // A stored expression names a type by its OID.
        let found = marked_type(&name.name).or_else(|| environment.type_named(name.schema.as_deref(), &name.name));
        let found = found.ok_or_else(undefined)?;
        if !name.modifiers.is_empty() {
            let message = format!("type modifier is not allowed for type \"{}\"", name.name);
            return Err(at(name.place, PgError::new(sqlstate::SYNTAX_ERROR, message)));
        }
        if name.array && is_domain(found) {
            return Err(at(name.place, PgError::unsupported("an array of a domain")));
        }
        return Ok((if name.array { array_of(found).ok_or_else(undefined)? } else { found }, -1));
    };
    let arguments: Vec<i64> = name.modifiers.iter().map(|modifier| i64::from(*modifier)).collect();
    let type_modifier = modifier::parse(info.oid, &arguments).map_err(|error| at(name.place, error))?;
    if name.array {
        return Ok((array_of(info.oid).ok_or_else(undefined)?, type_modifier));
    }
    Ok((info.oid, type_modifier))
}

impl Analyzer<'_> {
    /// Convert by the given context's rules; `None` if they do not allow it.
    pub(super) fn coerce(
        &mut self,
        expr: Expr,
        target: Oid,
        modifier: i32,
        context: CastContext,
    ) -> PgResult<Option<Expr>> {
        let place = expr.place;
        if expr.type_oid == target || target == oid::ANY {
            return Ok(Some(self.fit(expr, target, modifier, context)));
        }
        if expr.type_oid == oid::UNKNOWN {
            match &expr.kind {
                ExprKind::Constant(Datum::Null) => {
                    return Ok(Some(Expr { kind: ExprKind::Constant(Datum::Null), type_oid: target, modifier, place }));
                }
                ExprKind::Constant(Datum::Text(literal)) => {
                    return self.literal(literal, target, modifier, context, place).map(Some);
                }
                ExprKind::Parameter(index) => {
                    let index = *index;
                    let known = self.parameters.type_of(index);
                    if known == oid::UNKNOWN {
                        self.parameters.settle(index, target);
                        let parameter =
                            Expr { kind: ExprKind::Parameter(index), type_oid: target, modifier: -1, place };
                        return Ok(Some(self.fit(parameter, target, modifier, context)));
                    }
                    let parameter = Expr { type_oid: known, ..expr };
                    return self.coerce(parameter, target, modifier, context);
                }
                _ => {}
            }
        }
        if trivet_types::user::is_row(target)
            && let Some(row) = self.to_row(&expr, target, context)?
        {
            return Ok(Some(row));
        }
        let Some(way) = coercion(expr.type_oid, target, context) else { return Ok(None) };
        let source_modifier = expr.modifier;
        let kind = match way {
            // The modifier survives a change of name only (varchar to text loses it).
            Coercion::Relabel => ExprKind::Relabel(Box::new(expr)),
            Coercion::Procedure(procedure) if procedure.arguments.len() == 2 => {
                // Some are told of the length that is wanted: the bits of a number are those at its end.
                let wanted = Expr::constant(Datum::Int4(modifier), oid::INT4);
                ExprKind::Call { procedure, arguments: vec![expr, wanted] }
            }
            Coercion::Procedure(procedure) => ExprKind::Call { procedure, arguments: vec![expr] },
            Coercion::Text => ExprKind::Convert(Box::new(expr)),
            Coercion::Elements { .. } => ExprKind::ConvertElements(Box::new(expr)),
        };
        let keeps = matches!((&kind, target), (ExprKind::Relabel(_), oid::VARCHAR)) && source_modifier == modifier;
        let converted = Expr { kind, type_oid: target, modifier: if keeps { modifier } else { -1 }, place };
        Ok(Some(self.fit(converted, target, modifier, context)))
    }

    /// Apply a length or precision, unless the value has it already.
    fn fit(&mut self, expr: Expr, type_oid: Oid, modifier: i32, context: CastContext) -> Expr {
        if modifier < 0 || expr.modifier == modifier || type_oid == oid::ANY {
            return expr;
        }
        let explicit = context == CastContext::Explicit;
        let place = expr.place;
        Expr { kind: ExprKind::Fit { operand: Box::new(expr), explicit }, type_oid, modifier, place }
    }

    /// A string literal takes the type that its context wants, at once.
    fn literal(
        &mut self,
        literal: &str,
        target: Oid,
        modifier: i32,
        context: CastContext,
        place: crate::parser::tree::Place,
    ) -> PgResult<Expr> {
        if category(target) == trivet_types::Category::PSEUDO && target != oid::CSTRING {
            return Ok(Expr {
                kind: ExprKind::Constant(Datum::text(literal)),
                type_oid: oid::TEXT,
                modifier: -1,
                place,
            });
        }
        // What depends on the session or the catalog is read when the statement runs.
        let element = if is_array(target) { element_of(target).unwrap_or(target) } else { target };
        let when_run = matches!(
            element,
            oid::TIMESTAMPTZ
                | oid::TIMESTAMP
                | oid::DATE
                | oid::TIME
                | oid::TIMETZ
                | oid::REGCLASS
                | oid::REGTYPE
                | oid::REGPROC
                | oid::REGROLE
                | oid::REGNAMESPACE
                | oid::REGPROCEDURE
        );
        if target == oid::REGCLASS {
            if let Ok(number) = literal.parse::<u32>() {
                return Ok(Expr { place, ..Expr::constant(Datum::Oid(number), target) });
            }
            // A relation that was looked up with the statement's others is as good as an OID.
            let found = super::regclass_name(literal).and_then(|name| self.relations.get(&name));
            if let Some(found) = found {
                return Ok(Expr { place, ..Expr::constant(found.oid().into(), target) });
            }
        }
        if matches!(target, oid::REGTYPE | oid::REGPROC | oid::REGPROCEDURE | oid::REGOPER | oid::REGOPERATOR) {
            let named = text::input(target, -1, literal, self.environment).map_err(|error| at(place, error))?;
            return Ok(Expr { place, ..Expr::constant(named, target) });
        }
        if when_run {
            // Syntax errors are reported with the literal's place even so, unless the catalog decides.
            if !matches!(
                element,
                oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGROLE | oid::REGNAMESPACE | oid::REGPROCEDURE
            ) {
                text::input(target, modifier, literal, self.environment).map_err(|error| at(place, error))?;
            }
            let constant =
                Expr { kind: ExprKind::Constant(Datum::text(literal)), type_oid: oid::UNKNOWN, modifier: -1, place };
            let converted = Expr { kind: ExprKind::Convert(Box::new(constant)), type_oid: target, modifier: -1, place };
            return Ok(self.fit(converted, target, modifier, context));
        }
        // An interval's fields say what a number alone is.
        let read_under = if target == oid::INTERVAL { modifier } else { -1 };
        let value = text::input(target, read_under, literal, self.environment).map_err(|error| at(place, error))?;
        let strictness = match context {
            CastContext::Explicit => modifier::Strictness::Explicit,
            _ => modifier::Strictness::Assignment,
        };
        let value = if context == CastContext::Assignment {
            // Too long for its column is an error of execution, which has no place.
            let constant = Expr { kind: ExprKind::Constant(value), type_oid: target, modifier: -1, place };
            return Ok(self.fit(constant, target, modifier, context));
        } else {
            modifier::apply(target, modifier, value, strictness)?
        };
        Ok(Expr { kind: ExprKind::Constant(value), type_oid: target, modifier, place })
    }

    /// Convert where only implicit casts may happen, or fail with the types' names.
    pub(super) fn implicit(&mut self, expr: Expr, target: Oid, what: &str) -> PgResult<Expr> {
        let (source, place) = (expr.type_oid, expr.place);
        self.coerce(expr, target, -1, CastContext::Implicit)?.ok_or_else(|| {
            let message = format!(
                "argument of {what} must be type {}, not type {}",
                display_name(target, -1),
                display_name(source, -1)
            );
            at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
        })
    }

    /// The operand of WHERE, AND, CASE WHEN ...
    pub(super) fn boolean(&mut self, expr: Expr, what: &str) -> PgResult<Expr> {
        self.implicit(expr, oid::BOOL, what)
    }

    /// `CAST (x AS type)`
    pub(super) fn explicit(&mut self, expr: Expr, target: Oid, modifier: i32) -> PgResult<Expr> {
        let (source, place) = (expr.type_oid, expr.place);
        self.coerce(expr, target, modifier, CastContext::Explicit)?
            .ok_or_else(|| at(place, cannot_cast(source, target)))
    }

    /// A literal that nothing gave a type is text; so is a parameter.
    pub(super) fn known(&mut self, expr: Expr) -> PgResult<Expr> {
        if expr.type_oid != oid::UNKNOWN {
            return Ok(expr);
        }
        match self.coerce(expr.clone(), oid::TEXT, -1, CastContext::Implicit)? {
            Some(converted) => Ok(converted),
            None => Ok(expr),
        }
    }

    /// The one type of CASE, UNION, VALUES, ARRAY ... branches, and the branches in it.
    pub(super) fn unify(&mut self, exprs: Vec<Expr>, what: &str) -> PgResult<(Vec<Expr>, Oid)> {
        let types: Vec<Oid> = exprs.iter().map(|expr| expr.type_oid).collect();
        let target = match common_type(&types) {
            Ok(target) => target,
            Err((left, right, which)) => {
                let message = format!(
                    "{what} types {} and {} cannot be matched",
                    display_name(left, -1),
                    display_name(right, -1)
                );
                return Err(at(exprs[which].place, PgError::new(sqlstate::DATATYPE_MISMATCH, message)));
            }
        };
        let mut converted = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let (source, place) = (expr.type_oid, expr.place);
            let expr = self.coerce(expr, target, -1, CastContext::Implicit)?.ok_or_else(|| {
                let message = format!(
                    "{what} could not convert type {} to {}",
                    display_name(source, -1),
                    display_name(target, -1)
                );
                at(place, PgError::new(sqlstate::CANNOT_COERCE, message))
            })?;
            converted.push(expr);
        }
        Ok((converted, target))
    }
}

pub(super) fn cannot_cast(source: Oid, target: Oid) -> Box<PgError> {
    let message = format!("cannot cast type {} to {}", display_name(source, -1), display_name(target, -1));
    PgError::new(sqlstate::CANNOT_COERCE, message)
}

/// The type that values of these types meet in (manual, section 10.5); or the two that do not, and which is the later.
pub fn common_type(types: &[Oid]) -> Result<Oid, (Oid, Oid, usize)> {
    let mut chosen = oid::UNKNOWN;
    for (at, candidate) in types.iter().copied().enumerate() {
        if candidate == oid::UNKNOWN || candidate == chosen {
            continue;
        }
        if chosen == oid::UNKNOWN {
            chosen = candidate;
            continue;
        }
        if category(candidate) != category(chosen) {
            return Err((chosen, candidate, at));
        }
        let up = coercion(chosen, candidate, CastContext::Implicit).is_some();
        let down = coercion(candidate, chosen, CastContext::Implicit).is_some();
        if !is_preferred(chosen) && up && !down {
            chosen = candidate;
        }
    }
    Ok(if chosen == oid::UNKNOWN { oid::TEXT } else { chosen })
}

/// A value for a column, by assignment casts.
pub fn assign(analyzer: &mut Analyzer<'_>, expr: Expr, target: Oid, modifier: i32, column: &str) -> PgResult<Expr> {
    let (source, place) = (expr.type_oid, expr.place);
    analyzer.coerce(expr, target, modifier, CastContext::Assignment)?.ok_or_else(|| {
        let message = format!(
            "column \"{column}\" is of type {} but expression is of type {}",
            display_name(target, -1),
            display_name(source, -1)
        );
        at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
            .hint("You will need to rewrite or cast the expression.")
    })
}
