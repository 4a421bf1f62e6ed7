//! Expressions.
use super::scope::find_column;
use super::{Analyzer, ResolvedType, at, resolve_type};
use crate::parser::tree::{self, IsTest, Literal, Place};
use crate::planted::{self, Bug};
use crate::typed::{Expr, ExprKind, RowOperator, Subquery, SubqueryKind};
use trivet_types::registry::{CastContext, Failure, Operator, Resolved, registry};
use trivet_types::{
    Datum, Oid, PgError, PgResult, array_of, display_name, element_of, is_array, numeric::Numeric, oid, sqlstate,
};

pub(super) fn make(kind: ExprKind, type_oid: Oid, place: Place) -> Expr {
    Expr { kind, type_oid, modifier: -1, place }
}

impl Analyzer<'_> {
    pub fn expr(&mut self, expr: &tree::Expr) -> PgResult<Expr> {
        let mut typed = self.deeper(|analyzer| analyzer.expr_here(expr))?;
        // From here on it is the whole that errors point at.
        let leftmost = expr.leftmost();
        if leftmost.known().is_some() {
            typed.place = leftmost;
        }
        Ok(typed)
    }

    fn exprs(&mut self, exprs: &[tree::Expr]) -> PgResult<Vec<Expr>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    /// An operand of WHERE, ON, CHECK ...
    pub(super) fn condition(&mut self, expr: &tree::Expr, what: &str) -> PgResult<Expr> {
        let expr = self.expr(expr)?;
        self.boolean(expr, what)
    }

    fn expr_here(&mut self, expr: &tree::Expr) -> PgResult<Expr> {
        use tree::ExprKind as K;
        let place = expr.place;
        match &expr.kind {
            K::Column(name) => find_column(&self.scopes, name).or_else(|error| self.not_a_column(name, error)),
            K::Parameter(number) => self.parameter(*number, place),
            K::Literal(literal) => literal_expr(literal, place),
            K::Unary { operator, operand } => {
                let operand = self.expr(operand)?;
                self.operator(operator, None, operand, place)
            }
            K::Binary { operator, left, right } => self.binary(operator, left, right, place),
            K::Not(operand) => {
                let operand = self.condition(operand, "NOT")?;
                Ok(make(ExprKind::Not(Box::new(operand)), oid::BOOL, place))
            }
            K::And(terms) => {
                let terms = terms.iter().map(|term| self.condition(term, "AND")).collect::<PgResult<_>>()?;
                Ok(make(ExprKind::And(terms), oid::BOOL, place))
            }
            K::Or(terms) => {
                let terms = terms.iter().map(|term| self.condition(term, "OR")).collect::<PgResult<_>>()?;
                Ok(make(ExprKind::Or(terms), oid::BOOL, place))
            }
            K::Is { operand, test, negated } => self.is(operand, *test, *negated, place),
            K::DistinctFrom { left, right, negated } => self.distinct_from(left, right, *negated, place),
            K::InList { operand, list, negated } => self.in_list(operand, list, *negated, place),
            K::InQuery { operand, query, negated } => {
                let left = match row_items(operand) {
                    Some(items) => self.items(&items)?,
                    None => vec![self.expr(operand)?],
                };
                self.quantified_query(left, "=", query, false, *negated, place)
            }
            K::Between { operand, low, high, negated, symmetric } => {
                let (operand, low, high) = (self.expr(operand)?, self.expr(low)?, self.expr(high)?);
                if !*symmetric {
                    return self.between(&operand, &low, &high, *negated, place);
                }
                let one = self.between(&operand, &low, &high, *negated, place)?;
                let other = self.between(&operand, &high, &low, *negated, place)?;
                let kind = if *negated { ExprKind::And(vec![one, other]) } else { ExprKind::Or(vec![one, other]) };
                Ok(make(kind, oid::BOOL, place))
            }
            K::Quantified { operator, left, right, all } => self.quantified(operator, left, right, *all, place),
            K::Cast { operand, to } => self.cast(operand, to, place),
            K::Function(call) => self.call(call, place),
            K::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), place)
            }
            K::Subquery(query) => {
                let query = self.subquery(query)?;
                let column = single_column(&query, place)?;
                let (type_oid, modifier) = (column.type_oid, column.modifier);
                let subquery = Subquery { query, kind: SubqueryKind::Scalar, shared: None };
                Ok(Expr { kind: ExprKind::Subquery(Box::new(subquery)), type_oid, modifier, place })
            }
            K::Exists(query) => {
                let subquery = Subquery { query: self.subquery(query)?, kind: SubqueryKind::Exists, shared: None };
                Ok(make(ExprKind::Subquery(Box::new(subquery)), oid::BOOL, place))
            }
            K::ArrayQuery(query) => {
                let query = self.subquery(query)?;
                let element = single_column(&query, place)?.type_oid;
                let type_oid = if is_array(element) { Some(element) } else { array_of(element) };
                let type_oid = type_oid.ok_or_else(|| no_array_type(element, place))?;
                let subquery = Subquery { query, kind: SubqueryKind::Array, shared: None };
                Ok(make(ExprKind::Subquery(Box::new(subquery)), type_oid, place))
            }
            K::Star(name) => self.star_as_value(name),
            K::AllFields(operand) => self.row_operand(operand),
            K::Row(items) => {
                let items = self.spread_rows(items)?;
                let items = items.into_iter().map(|item| self.known(item)).collect::<PgResult<_>>()?;
                Ok(make(ExprKind::Row(items), oid::RECORD, place))
            }
            K::Array(items) => {
                let items = self.exprs(items)?;
                if items.is_empty() {
                    let message = "cannot determine type of empty array";
                    return Err(at(place, PgError::new(sqlstate::INDETERMINATE_DATATYPE, message))
                        .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
                }
                let (items, element) = self.unify(items, "ARRAY")?;
                if is_array(element) {
                    return Ok(make(ExprKind::Array(items), element, place));
                }
                let type_oid = array_of(element).ok_or_else(|| no_array_type(element, place))?;
                Ok(make(ExprKind::Array(items), type_oid, place))
            }
            K::Subscript { operand, subscripts } => self.subscript(operand, subscripts, place),
            K::Field { operand, field } => self.field(operand, &field.text, place),
            K::Collate { operand, collation } => {
                let operand = self.expr(operand)?;
                match collation.last() {
                    "C" | "POSIX" | "default" | "ucs_basic" => self.known(operand),
                    name => {
                        let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
                        let place = place.known().map_or(collation.place(), Place);
                        Err(at(place, PgError::new(sqlstate::UNDEFINED_OBJECT, message)))
                    }
                }
            }
            K::Default => {
                let error = PgError::new(sqlstate::SYNTAX_ERROR, "DEFAULT is not allowed in this context");
                Err(at(place, error))
            }
        }
    }

    fn between(&mut self, operand: &Expr, low: &Expr, high: &Expr, negated: bool, place: Place) -> PgResult<Expr> {
        let (first, mut second) = if negated { ("<", ">") } else { (">=", "<=") };
        if planted::on(Bug::BetweenExclusive) && !negated {
            second = "<";
        }
        let terms = vec![
            self.operator(first, Some(operand.clone()), low.clone(), place)?,
            self.operator(second, Some(operand.clone()), high.clone(), place)?,
        ];
        let kind = if negated { ExprKind::Or(terms) } else { ExprKind::And(terms) };
        Ok(make(kind, oid::BOOL, place))
    }

    /// A column's array with another value at a subscript, or other values in a slice; the value is converted to what fits there.
    pub(super) fn with_part(
        &mut self,
        array: Expr,
        column: &crate::catalog::Column,
        subscripts: &[&tree::Subscript],
        value: &tree::Expr,
        place: Place,
    ) -> PgResult<Expr> {
        let type_oid = array.type_oid;
        if type_oid == oid::JSONB {
            return self.with_jsonb_part(array, column, subscripts, value, place);
        }
        let Some(element) = element_of(type_oid).filter(|_| is_array(type_oid)) else {
            let message = format!(
                "cannot subscript type {} because it does not support subscripting",
                display_name(type_oid, -1)
            );
            return Err(at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message)));
        };
        let slice = subscripts.iter().any(|subscript| matches!(subscript, tree::Subscript::Slice(..)));
        let wanted = if slice { type_oid } else { element };
        let value = self.expr(value)?;
        let source = value.type_oid;
        let value = self.coerce(value, wanted, column.modifier, CastContext::Assignment)?.ok_or_else(|| {
            let message = format!(
                "subscripted assignment to \"{}\" requires type {} but expression is of type {}",
                column.name,
                display_name(wanted, -1),
                display_name(source, -1)
            );
            at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
                .hint("You will need to rewrite or cast the expression.")
        })?;
        // Bounds go as pairs; that of a slice which is not said is NULL.
        let none = || make(ExprKind::Constant(Datum::Null), oid::INT4, place);
        let mut bounds = Vec::with_capacity(2 * subscripts.len());
        for subscript in subscripts {
            let (low, high) = match subscript {
                tree::Subscript::Index(index) if slice => {
                    (make(ExprKind::Constant(Datum::Int4(1)), oid::INT4, place), self.array_index(index)?)
                }
                tree::Subscript::Index(index) => {
                    let index = self.array_index(index)?;
                    (index.clone(), index)
                }
                tree::Subscript::Slice(low, high) => {
                    let low = low.as_ref().map(|low| self.array_index(low)).transpose()?;
                    let high = high.as_ref().map(|high| self.array_index(high)).transpose()?;
                    (low.unwrap_or_else(none), high.unwrap_or_else(none))
                }
            };
            bounds.extend([low, high]);
        }
        let procedure = registry().own(if slice { "trivet_array_set_slice" } else { "trivet_array_set" });
        let procedure = procedure.ok_or_else(|| PgError::internal("the registry lacks trivet_array_set()"))?;
        let modifier = array.modifier;
        let element = make(ExprKind::Constant(Datum::Oid(element.0)), oid::OID, place);
        let mut arguments = vec![array, value, element];
        arguments.extend(bounds);
        Ok(Expr { kind: ExprKind::Call { procedure, arguments }, type_oid, modifier, place })
    }

    /// A column's `jsonb` with another value at a subscript.
    fn with_jsonb_part(
        &mut self,
        target: Expr,
        column: &crate::catalog::Column,
        subscripts: &[&tree::Subscript],
        value: &tree::Expr,
        place: Place,
    ) -> PgResult<Expr> {
        let steps = self.jsonb_steps(subscripts, place)?;
        let makes_array = subscripts.first().is_some_and(|first| match first {
            tree::Subscript::Index(index) => matches!(&index.kind, tree::ExprKind::Literal(tree::Literal::Number(_))),
            tree::Subscript::Slice(..) => false,
        });
        let value = self.expr(value)?;
        let source = value.type_oid;
        let value = self.coerce(value, oid::JSONB, -1, CastContext::Assignment)?.ok_or_else(|| {
            let message = format!(
                "subscripted assignment to \"{}\" requires type jsonb but expression is of type {}",
                column.name,
                display_name(source, -1)
            );
            at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
                .hint("You will need to rewrite or cast the expression.")
        })?;
        let procedure = registry().own("trivet_jsonb_assign");
        let procedure = procedure.ok_or_else(|| PgError::internal("the registry lacks trivet_jsonb_assign()"))?;
        let path = make(ExprKind::Array(steps), oid::TEXT_ARRAY, place);
        let makes_array = make(ExprKind::Constant(Datum::Bool(makes_array)), oid::BOOL, place);
        let arguments = vec![target, value, path, makes_array];
        Ok(make(ExprKind::Call { procedure, arguments }, oid::JSONB, place))
    }

    /// A bare name that is no column: `CURRENT_SCHEMA`, or a table's row.
    fn not_a_column(&mut self, name: &tree::QualifiedName, error: Box<PgError>) -> PgResult<Expr> {
        if name.parts.len() != 1 || error.code != sqlstate::UNDEFINED_COLUMN {
            return Err(error);
        }
        if name.last() == "current_schema" {
            return self.builtin("current_schema", name.place());
        }
        self.row_of_table(name).ok_or(error)
    }

    fn parameter(&mut self, number: u32, place: Place) -> PgResult<Expr> {
        if number == 0 || number > 65_535 || !self.parameters.has(number as usize - 1) {
            let error = PgError::new(sqlstate::UNDEFINED_PARAMETER, format!("there is no parameter ${number}"));
            return Err(at(place, error));
        }
        let index = number as usize - 1;
        let type_oid = self.parameters.type_of(index);
        Ok(make(ExprKind::Parameter(index), type_oid, place))
    }

    fn binary(&mut self, operator: &str, left: &tree::Expr, right: &tree::Expr, place: Place) -> PgResult<Expr> {
        match (row_items(left), row_items(right), &right.kind) {
            (Some(left), Some(right), _) => {
                let (left, right) = (self.items(&left)?, self.items(&right)?);
                return self.row_comparison(operator, left, right, place);
            }
            (Some(left), _, tree::ExprKind::Subquery(query)) => {
                let left = self.items(&left)?;
                let right = self.row_subquery(query, left.len(), place)?;
                return self.row_comparison(operator, left, right, place);
            }
            _ => {}
        }
        let left = self.expr(left)?;
        let right = self.expr(right)?;
        self.operator(operator, Some(left), right, place)
    }

    /// A value for what is of a type: constants in a row are not text before they are what the type's fields are.
    pub(super) fn value_for(&mut self, expr: &tree::Expr, target: Oid) -> PgResult<Expr> {
        match row_items(expr).filter(|_| trivet_types::user::is_row(target)) {
            Some(items) => Ok(make(ExprKind::Row(self.items(&items)?), oid::RECORD, expr.place)),
            None => self.expr(expr),
        }
    }

    fn items(&mut self, items: &[&tree::Expr]) -> PgResult<Vec<Expr>> {
        let mut result = Vec::with_capacity(items.len());
        for item in items {
            result.extend(self.spread_rows(std::slice::from_ref(*item))?);
        }
        Ok(result)
    }

    /// The columns of a subquery that gives one row of `count` columns.
    pub(super) fn row_subquery(&mut self, query: &tree::Query, count: usize, place: Place) -> PgResult<Vec<Expr>> {
        let query = self.subquery(query)?;
        let columns: Vec<(Oid, i32)> =
            query.visible_targets().map(|target| (target.expr.type_oid, target.expr.modifier)).collect();
        if columns.len() != count {
            let what = if columns.len() < count { "few" } else { "many" };
            return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, format!("subquery has too {what} columns"))));
        }
        self.next_shared += 1;
        let subquery = Subquery { query, kind: SubqueryKind::Row, shared: Some(self.next_shared) };
        let row = make(ExprKind::Subquery(Box::new(subquery)), oid::RECORD, place);
        let field = |(field, (type_oid, modifier)): (usize, (Oid, i32))| {
            let kind = ExprKind::Field { operand: Box::new(row.clone()), field };
            Expr { kind, type_oid, modifier, place }
        };
        Ok(columns.into_iter().enumerate().map(field).collect())
    }

    fn row_comparison(&mut self, operator: &str, left: Vec<Expr>, right: Vec<Expr>, place: Place) -> PgResult<Expr> {
        if left.len() != right.len() {
            return Err(at(
                place,
                PgError::new(sqlstate::SYNTAX_ERROR, "unequal number of entries in row expressions"),
            ));
        }
        let pairs: Vec<(Expr, Expr)> = left.into_iter().zip(right).collect();
        let strict = match operator {
            "=" | "<>" => None,
            "<" | "<=" => Some("<"),
            ">" | ">=" => Some(">"),
            _ => return Err(at(place, PgError::unsupported(format!("row comparison with {operator}")))),
        };
        let Some(strict) = strict else {
            let terms = pairs.into_iter().map(|(left, right)| self.operator(operator, Some(left), right, place));
            let terms = terms.collect::<PgResult<Vec<_>>>()?;
            let kind = if operator == "=" { ExprKind::And(terms) } else { ExprKind::Or(terms) };
            return Ok(make(kind, oid::BOOL, place));
        };
        // (a, b) < (c, d) is a < c OR (a = c AND b < d).
        let mut result: Option<Expr> = None;
        for (at, (left, right)) in pairs.into_iter().enumerate().rev() {
            let this = if result.is_none() { operator } else { strict };
            let less = self.operator(this, Some(left.clone()), right.clone(), place)?;
            result = Some(match result {
                None => less,
                Some(rest) => {
                    let equal = self.operator("=", Some(left), right, place)?;
                    let both = make(ExprKind::And(vec![equal, rest]), oid::BOOL, place);
                    make(ExprKind::Or(vec![less, both]), oid::BOOL, place)
                }
            });
            debug_assert!(at < 1664, "rows have few columns");
        }
        result.ok_or_else(|| PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "cannot compare rows of zero length"))
    }

    /// Find an operator for operands of these types.
    fn resolve(&self, name: &str, left: Oid, right: Oid, place: Place) -> PgResult<Resolved<&'static Operator>> {
        let name = if name == "!=" { "<>" } else { name };
        registry().resolve_operator(name, left, right).map_err(|failure| {
            let mut shown = if left.is_valid() { format!("{} ", display_name(left, -1)) } else { String::new() };
            shown.push_str(&format!("{name} {}", display_name(right, -1)));
            let error = match failure {
                Failure::NotFound if !left.is_valid() => PgError::new(
                    sqlstate::UNDEFINED_FUNCTION,
                    format!("operator does not exist: {shown}"),
                )
                .hint("No operator matches the given name and argument type. You might need to add an explicit type cast."),
                Failure::NotFound => PgError::new(
                    sqlstate::UNDEFINED_FUNCTION,
                    format!("operator does not exist: {shown}"),
                )
                .hint(if left.is_valid() {
                    "No operator matches the given name and argument types. You might need to add explicit type casts."
                } else {
                    "No operator matches the given name and argument type. You might need to add an explicit type cast."
                }),
                Failure::Ambiguous => {
                    PgError::new(sqlstate::AMBIGUOUS_FUNCTION, format!("operator is not unique: {shown}"))
                        .hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
                }
            };
            at(place, error)
        })
    }

    /// Apply an operator to analyzed operands.
    pub(super) fn operator(&mut self, name: &str, left: Option<Expr>, right: Expr, place: Place) -> PgResult<Expr> {
        let left_type = left.as_ref().map_or(Oid::INVALID, |left| left.type_oid);
        let resolved = self.resolve(name, left_type, right.type_oid, place)?;
        let procedure = registry()
            .procedure(resolved.operator.procedure)
            .ok_or_else(|| PgError::internal("an operator without body"))?;
        let mut arguments = Vec::with_capacity(2);
        for (operand, target) in left.into_iter().chain(Some(right)).zip(&resolved.arguments) {
            arguments.push(self.argument(procedure, operand, *target)?);
        }
        Ok(make(ExprKind::Call { procedure, arguments }, resolved.result, place))
    }

    fn is(&mut self, operand: &tree::Expr, test: IsTest, negated: bool, place: Place) -> PgResult<Expr> {
        let operand = self.expr(operand)?;
        let kind = match test {
            // It tells nothing of a parameter's type.
            IsTest::Null if matches!(operand.kind, ExprKind::Parameter(_)) => {
                if let (ExprKind::Parameter(index), oid::UNKNOWN) = (&operand.kind, operand.type_oid) {
                    self.parameters.undetermined.push((*index, operand.place));
                }
                ExprKind::IsNull { operand: Box::new(operand), negated }
            }
            IsTest::Null => ExprKind::IsNull { operand: Box::new(self.known(operand)?), negated },
            IsTest::Unknown => ExprKind::IsNull { operand: Box::new(self.boolean(operand, "IS UNKNOWN")?), negated },
            IsTest::True | IsTest::False => {
                let value = test == IsTest::True;
                let what = if value { "IS TRUE" } else { "IS FALSE" };
                ExprKind::IsBoolean { operand: Box::new(self.boolean(operand, what)?), value, negated }
            }
        };
        Ok(make(kind, oid::BOOL, place))
    }

    fn distinct_from(&mut self, left: &tree::Expr, right: &tree::Expr, negated: bool, place: Place) -> PgResult<Expr> {
        if let (tree::ExprKind::Row(lefts), tree::ExprKind::Row(rights)) = (&left.kind, &right.kind) {
            if lefts.len() != rights.len() {
                let message = "unequal number of entries in row expressions";
                return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, message)));
            }
            let pairs = lefts.iter().zip(rights);
            let terms = pairs.map(|(left, right)| self.distinct_from(left, right, negated, place));
            let terms = terms.collect::<PgResult<Vec<_>>>()?;
            let kind = if negated { ExprKind::And(terms) } else { ExprKind::Or(terms) };
            return Ok(make(kind, oid::BOOL, place));
        }
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let resolved = self.resolve("=", left.type_oid, right.type_oid, place)?;
        let procedure = registry()
            .procedure(resolved.operator.procedure)
            .ok_or_else(|| PgError::internal("an operator without body"))?;
        let left = self.argument(procedure, left, resolved.arguments[0])?;
        let right = self.argument(procedure, right, resolved.arguments[1])?;
        Ok(make(ExprKind::Distinct { left: Box::new(left), right: Box::new(right), negated }, oid::BOOL, place))
    }

    fn in_list(&mut self, operand: &tree::Expr, list: &[tree::Expr], negated: bool, place: Place) -> PgResult<Expr> {
        if let Some(items) = row_items(operand) {
            let items = self.items(&items)?;
            let mut terms = Vec::with_capacity(list.len());
            for candidate in list {
                let Some(others) = row_items(candidate) else {
                    return Err(at(place, PgError::unsupported("IN of a row and something else")));
                };
                let others = self.items(&others)?;
                terms.push(self.row_comparison("=", items.clone(), others, place)?);
            }
            let any = make(ExprKind::Or(terms), oid::BOOL, place);
            return Ok(if negated { make(ExprKind::Not(Box::new(any)), oid::BOOL, place) } else { any });
        }
        let operand = self.expr(operand)?;
        let items = self.exprs(list)?;
        let depends =
            |expr: &Expr| expr.any(&mut |part| matches!(part.kind, ExprKind::Column { .. } | ExprKind::Subquery(_)));
        let types: Vec<Oid> = std::iter::once(operand.type_oid).chain(items.iter().map(|item| item.type_oid)).collect();
        let common = super::common_type(&types).ok().filter(|common| array_of(*common).is_some() && !is_array(*common));
        if let (Some(common), false) = (common, items.iter().any(depends)) {
            if items.len() > 1 {
                let mut converted = Vec::with_capacity(items.len());
                for item in items {
                    let (item, _) = self
                        .unify(vec![item, Expr::constant(Datum::Null, common)], "IN")
                        .map(|(mut both, kind)| (both.remove(0), kind))?;
                    converted.push(item);
                }
                let array_type = array_of(common).expect("checked above");
                let array = make(ExprKind::Array(converted), array_type, place);
                let any = self.any_of_array(if negated { "<>" } else { "=" }, operand, array, negated, place)?;
                return Ok(any);
            }
            let item =
                items.into_iter().next().ok_or_else(|| PgError::new(sqlstate::SYNTAX_ERROR, "IN needs a list"))?;
            return self.operator(if negated { "<>" } else { "=" }, Some(operand), item, place);
        }
        let name = if negated { "<>" } else { "=" };
        let terms = items.into_iter().map(|item| self.operator(name, Some(operand.clone()), item, place));
        let terms = terms.collect::<PgResult<Vec<_>>>()?;
        Ok(make(if negated { ExprKind::And(terms) } else { ExprKind::Or(terms) }, oid::BOOL, place))
    }

    fn any_of_array(&mut self, operator: &str, left: Expr, right: Expr, all: bool, place: Place) -> PgResult<Expr> {
        let right = if right.type_oid == oid::UNKNOWN {
            // A literal array takes the left operand's type.
            let element = if left.type_oid == oid::UNKNOWN { oid::TEXT } else { left.type_oid };
            let target = array_of(element).ok_or_else(|| no_array_type(element, place))?;
            self.implicit(right, target, "ANY")?
        } else {
            right
        };
        let element = match right.type_oid {
            oid::INT2VECTOR => oid::INT2,
            oid::OIDVECTOR => oid::OID,
            other if is_array(other) => element_of(other).expect("arrays have elements"),
            _ => {
                let message = "op ANY/ALL (array) requires array on right side";
                return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
            }
        };
        let resolved = self.resolve(operator, left.type_oid, element, place)?;
        if resolved.result != oid::BOOL {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
        }
        let procedure = registry()
            .procedure(resolved.operator.procedure)
            .ok_or_else(|| PgError::internal("an operator without body"))?;
        let left = self.argument(procedure, left, resolved.arguments[0])?;
        let wanted = resolved.arguments[1];
        let right = if wanted == element {
            right
        } else {
            let target = array_of(wanted).ok_or_else(|| no_array_type(wanted, place))?;
            self.implicit(right, target, "ANY")?
        };
        Ok(make(
            ExprKind::Quantified { procedure, left: Box::new(left), right: Box::new(right), all },
            oid::BOOL,
            place,
        ))
    }

    fn quantified(
        &mut self,
        operator: &str,
        left: &tree::Expr,
        right: &tree::Expr,
        all: bool,
        place: Place,
    ) -> PgResult<Expr> {
        if let tree::ExprKind::Subquery(query) = &right.kind {
            let left = match row_items(left) {
                Some(items) => self.items(&items)?,
                None => vec![self.expr(left)?],
            };
            return self.quantified_query(left, operator, query, all, false, place);
        }
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        self.any_of_array(operator, left, right, all, place)
    }

    fn quantified_query(
        &mut self,
        left: Vec<Expr>,
        operator: &str,
        query: &tree::Query,
        all: bool,
        negate: bool,
        place: Place,
    ) -> PgResult<Expr> {
        let mut query = self.subquery(query)?;
        let count = query.visible_targets().count();
        if count != left.len() {
            let what = if count < left.len() { "few" } else { "many" };
            return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, format!("subquery has too {what} columns"))));
        }
        let row = match operator {
            _ if count == 1 => RowOperator::All,
            "=" => RowOperator::All,
            "<>" | "!=" => RowOperator::Some,
            "<" | "<=" | ">" | ">=" => {
                RowOperator::Order { less: operator.starts_with('<'), or_equal: operator.ends_with('=') }
            }
            _ => return Err(at(place, PgError::unsupported(format!("row comparison with {operator}")))),
        };
        let mut converted = Vec::with_capacity(left.len());
        let mut procedures = Vec::with_capacity(left.len());
        for (operand, position) in left.into_iter().zip(visible_positions(&query)) {
            let column_type = query.targets[position].expr.type_oid;
            let resolved = self.resolve(operator, operand.type_oid, column_type, place)?;
            let procedure = registry()
                .procedure(resolved.operator.procedure)
                .ok_or_else(|| PgError::internal("an operator without body"))?;
            // Which of two values is the less is asked of values of one type.
            if matches!(row, RowOperator::Order { .. }) && resolved.arguments[0] != resolved.arguments[1] {
                return Err(at(place, PgError::unsupported(format!("{operator} of rows of different types"))));
            }
            converted.push(self.argument(procedure, operand, resolved.arguments[0])?);
            procedures.push(procedure);
            if resolved.arguments[1] != column_type {
                self.convert_target(&mut query, position, resolved.arguments[1])?;
            }
        }
        let kind = SubqueryKind::Quantified { left: converted, procedures, row, all, negate };
        Ok(make(ExprKind::Subquery(Box::new(Subquery { query, kind, shared: None })), oid::BOOL, place))
    }

    fn cast(&mut self, operand: &tree::Expr, to: &tree::TypeName, place: Place) -> PgResult<Expr> {
        let ResolvedType { type_oid, modifier, domain } = resolve_type(to, self.environment)?;
        let value = self.cast_to(operand, (type_oid, modifier), to, place)?;
        match domain {
            Some(domain) => self.to_domain(value, &domain),
            None => Ok(value),
        }
    }

    fn cast_to(
        &mut self,
        operand: &tree::Expr,
        (target, modifier): (Oid, i32),
        to: &tree::TypeName,
        place: Place,
    ) -> PgResult<Expr> {
        if trivet_types::user::is_row(target)
            && let Some(items) = row_items(operand)
        {
            // Constants in it are not text before they are what the fields are.
            let row = make(ExprKind::Row(self.items(&items)?), oid::RECORD, place);
            if let Some(converted) = self.to_row(&row, target, CastContext::Explicit)? {
                return Ok(converted);
            }
        }
        // ARRAY[] takes the cast's type.
        if let (tree::ExprKind::Array(items), true) = (&operand.kind, is_array(target)) {
            let mut known = Vec::with_capacity(items.len());
            for item in items {
                known.push(match &item.kind {
                    tree::ExprKind::Array(_) => self.cast(item, to, place)?,
                    _ => self.expr(item)?,
                });
            }
            // One array among them makes all of them arrays.
            let wanted = match known.iter().any(|item| is_array(item.type_oid)) {
                true => target,
                false => element_of(target).expect("arrays have elements"),
            };
            let converted =
                known.into_iter().map(|item| self.explicit(item, wanted, modifier)).collect::<PgResult<_>>()?;
            return Ok(Expr { kind: ExprKind::Array(converted), type_oid: target, modifier, place });
        }
        let mut operand = self.expr(operand)?;
        if operand.place.known().is_none() {
            operand.place = place;
        }
        let source = operand.type_oid;
        match self.coerce(operand, target, modifier, CastContext::Explicit)? {
            Some(converted) => Ok(converted),
            None => Err(at(place, super::coerce::cannot_cast(source, target))),
        }
    }

    fn case(
        &mut self,
        operand: Option<&tree::Expr>,
        branches: &[(tree::Expr, tree::Expr)],
        otherwise: Option<&tree::Expr>,
        place: Place,
    ) -> PgResult<Expr> {
        let operand = match operand {
            Some(operand) => {
                let operand = self.expr(operand)?;
                Some(self.known(operand)?)
            }
            None => None,
        };
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for (when, then) in branches {
            let condition = match &operand {
                None => self.condition(when, "CASE/WHEN")?,
                Some(operand) => {
                    let value = self.expr(when)?;
                    self.operator("=", Some(operand.clone()), value, place)?
                }
            };
            conditions.push(condition);
            results.push(self.expr(then)?);
        }
        let has_otherwise = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            // ELSE comes first in deciding the type.
            let otherwise = self.expr(otherwise)?;
            results.insert(0, otherwise);
        }
        super::call::refuse_sets(conditions.iter().chain(&results), "CASE")?;
        let (mut results, type_oid) = self.unify(results, "CASE")?;
        let otherwise = has_otherwise.then(|| Box::new(results.remove(0)));
        let modifier = common_modifier(results.iter().chain(otherwise.as_deref()));
        let branches = conditions.into_iter().zip(results).collect();
        Ok(Expr { kind: ExprKind::Case { branches, otherwise }, type_oid, modifier, place })
    }

    fn subscript(&mut self, operand: &tree::Expr, subscripts: &[tree::Subscript], place: Place) -> PgResult<Expr> {
        let operand = self.expr(operand)?;
        if operand.type_oid == oid::JSONB {
            return self.jsonb_subscript(operand, subscripts, place);
        }
        if let (oid::NAME, [tree::Subscript::Index(index)]) = (operand.type_oid, subscripts) {
            // A name's characters, from 0: what pg_dump looks at.
            let index = self.expr(index)?;
            let index = self.implicit(index, oid::INT4, "a subscript")?;
            let procedure = trivet_types::registry::registry().own("trivet_name_character");
            let procedure = procedure.ok_or_else(|| PgError::internal("the registry lacks trivet_name_character()"))?;
            return Ok(make(ExprKind::Call { procedure, arguments: vec![operand, index] }, oid::CHAR, place));
        }
        let Some(element) = element_of(operand.type_oid).filter(|_| operand.type_oid != oid::NAME) else {
            let message = format!(
                "cannot subscript type {} because it does not support subscripting",
                display_name(operand.type_oid, -1)
            );
            return Err(at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message)));
        };
        let modifier = operand.modifier;
        if subscripts.iter().any(|subscript| matches!(subscript, tree::Subscript::Slice(..))) {
            let mut bounds = Vec::with_capacity(subscripts.len());
            for subscript in subscripts {
                // Beside a slice, a lone subscript counts from 1.
                bounds.push(match subscript {
                    tree::Subscript::Index(upper) => {
                        let one = make(ExprKind::Constant(Datum::Int4(1)), oid::INT4, place);
                        (Some(one), Some(self.array_index(upper)?))
                    }
                    tree::Subscript::Slice(lower, upper) => {
                        let lower = lower.as_ref().map(|lower| self.array_index(lower)).transpose()?;
                        (lower, upper.as_ref().map(|upper| self.array_index(upper)).transpose()?)
                    }
                });
            }
            let type_oid = operand.type_oid;
            let kind = ExprKind::Slice { operand: Box::new(operand), bounds };
            return Ok(Expr { kind, type_oid, modifier, place });
        }
        let mut indexes = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            let tree::Subscript::Index(index) = subscript else { continue };
            indexes.push(self.array_index(index)?);
        }
        Ok(Expr {
            kind: ExprKind::Subscript { operand: Box::new(operand), indexes },
            type_oid: element,
            modifier,
            place,
        })
    }

    fn array_index(&mut self, index: &tree::Expr) -> PgResult<Expr> {
        let index = self.expr(index)?;
        let place = index.place;
        self.coerce(index, oid::INT4, -1, CastContext::Assignment)?.ok_or_else(|| {
            at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, "array subscript must have type integer"))
        })
    }

    /// `jsonb['key'][0]`: a path of texts.
    fn jsonb_subscript(&mut self, operand: Expr, subscripts: &[tree::Subscript], place: Place) -> PgResult<Expr> {
        let steps = self.jsonb_steps(&subscripts.iter().collect::<Vec<_>>(), place)?;
        let path = make(ExprKind::Array(steps), oid::TEXT_ARRAY, place);
        self.operator("#>", Some(operand), path, place)
    }

    fn jsonb_steps(&mut self, subscripts: &[&tree::Subscript], place: Place) -> PgResult<Vec<Expr>> {
        let mut steps = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            let step = match subscript {
                tree::Subscript::Index(step) => step,
                tree::Subscript::Slice(low, high) => {
                    let bound = high.as_ref().or(low.as_ref()).map(|bound| self.expr(bound)).transpose()?;
                    let error = PgError::new(sqlstate::DATATYPE_MISMATCH, "jsonb subscript does not support slices");
                    return Err(at(bound.map_or(place, |bound| bound.place), error));
                }
            };
            let step = self.expr(step)?;
            let (source, step_place) = (step.type_oid, step.place);
            let wrong = || {
                let message = format!("subscript type {} is not supported", display_name(source, -1));
                at(step_place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
                    .hint("jsonb subscript must be coercible to either integer or text.")
            };
            let step = if matches!(source, oid::INT2 | oid::INT4 | oid::INT8) {
                self.explicit(step, oid::TEXT, -1)?
            } else {
                self.coerce(step, oid::TEXT, -1, CastContext::Implicit)?.ok_or_else(wrong)?
            };
            steps.push(step);
        }
        Ok(steps)
    }
}

/// What `(a, b)` and `ROW (a, b)` hold.
pub(super) fn row_items(expr: &tree::Expr) -> Option<Vec<&tree::Expr>> {
    match &expr.kind {
        tree::ExprKind::Row(items) => Some(items.iter().collect()),
        tree::ExprKind::Function(call) if call.name.parts.len() == 1 && call.name.last() == "row" => {
            Some(call.arguments.iter().map(|argument| &argument.value).collect())
        }
        _ => None,
    }
}

pub(super) fn visible_positions(query: &crate::typed::Query) -> Vec<usize> {
    query.targets.iter().enumerate().filter(|(_, target)| !target.hidden).map(|(at, _)| at).collect()
}

fn single_column(query: &crate::typed::Query, place: Place) -> PgResult<&Expr> {
    let mut targets = query.visible_targets();
    match (targets.next(), targets.next()) {
        (Some(only), None) => Ok(&only.expr),
        _ => Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, "subquery must return only one column"))),
    }
}

fn no_array_type(element: Oid, place: Place) -> Box<PgError> {
    let message = format!("could not find array type for data type {}", display_name(element, -1));
    at(place, PgError::new(sqlstate::UNDEFINED_OBJECT, message))
}

/// The modifier that all have, or none.
pub(super) fn common_modifier<'e>(exprs: impl Iterator<Item = &'e Expr>) -> i32 {
    let mut common = None;
    for expr in exprs {
        match common {
            None => common = Some(expr.modifier),
            Some(modifier) if modifier == expr.modifier => {}
            Some(_) => return -1,
        }
    }
    common.unwrap_or(-1)
}

fn literal_expr(literal: &Literal, place: Place) -> PgResult<Expr> {
    let constant = |datum, type_oid| Ok(make(ExprKind::Constant(datum), type_oid, place));
    match literal {
        Literal::Null => constant(Datum::Null, oid::UNKNOWN),
        Literal::Boolean(value) => constant(Datum::Bool(*value), oid::BOOL),
        Literal::String(value) => constant(Datum::text(value.as_str()), oid::UNKNOWN),
        Literal::Number(digits) => {
            if let Ok(value) = digits.parse::<i32>() {
                return constant(Datum::Int4(value), oid::INT4);
            }
            if let Ok(value) = digits.parse::<i64>() {
                return constant(Datum::Int8(value), oid::INT8);
            }
            match Numeric::parse(digits) {
                Some(value) => constant(Datum::numeric(value.map_err(|error| at(place, error))?), oid::NUMERIC),
                None => {
                    let message = format!("trailing junk after numeric literal at or near \"{digits}\"");
                    Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, message)))
                }
            }
        }
        Literal::BitString { hexadecimal, digits } => {
            let bits = trivet_types::text::bits_from_literal(*hexadecimal, digits).map_err(|error| at(place, error))?;
            constant(Datum::text(bits), oid::BIT)
        }
    }
}
