//! Function calls: ordinary ones, aggregates, and those that SQL's grammar gives a form of their own.
use super::expr::{common_modifier, make};
use super::sortable::{check_equality, check_order};
use super::{Analyzer, at};
use crate::parser::tree::{self, FunctionCall, Place};
use crate::typed::{Aggregate, Expr, ExprKind};
use trivet_types::functions::string::quote_identifier;
use trivet_types::registry::{CastContext, Failure, Procedure, Resolved, parameters, registry};
use trivet_types::{
    Datum, Oid, PgError, PgResult, SqlState, canonical_name, display_name, oid, sqlstate, type_by_name,
};

/// Bodies that show their arguments: whatever these are, they become text first.
fn wants_text(procedure: &Procedure) -> bool {
    matches!(procedure.name, "concat" | "concat_ws" | "format" | "textanycat" | "anytextcat")
        || matches!(procedure.name, "quote_literal" | "quote_nullable")
}

/// `anyelement` and its kin take their type from an argument: a literal of unknown type gives none.
fn check_polymorphic(procedure: &Procedure, types: &[Oid]) -> PgResult<()> {
    let is_any = |parameter: &Oid| matches!(*parameter, oid::ANYELEMENT | oid::ANYARRAY | oid::ANYNONARRAY);
    let mut any = procedure.arguments.iter().zip(types).filter(|(parameter, _)| is_any(parameter)).peekable();
    if any.peek().is_none() || wants_text(procedure) || any.any(|(_, given)| *given != oid::UNKNOWN) {
        return Ok(());
    }
    let message = "could not determine polymorphic type because input has type unknown";
    Err(PgError::new(sqlstate::DATATYPE_MISMATCH, message))
}

impl Analyzer<'_> {
    pub(super) fn call(&mut self, call: &FunctionCall, place: Place) -> PgResult<Expr> {
        if call.variadic {
            return match self.spread(call, place)? {
                Some(spread) => self.call(&spread, place),
                None => self.call_with_list(call, place),
            };
        }
        let qualified = call.name.schema();
        if qualified.is_some_and(|schema| !matches!(schema, "pg_catalog" | "information_schema")) {
            let schema = Datum::text(qualified.unwrap_or_default());
            let wanted = [schema, Datum::Oid(oid::REGNAMESPACE.0)];
            // Without the catalog at hand nobody knows: whoever asked loads it and asks again.
            self.environment.system(trivet_types::SystemCall::RegclassIn, &wanted).map_err(|error| at(place, error))?;
            let arguments = self.argument_exprs(call)?;
            return Err(self.undefined(call, &arguments, place, Failure::NotFound));
        }
        if let Some(over) = &call.over {
            return self.window_call(call, over, place);
        }
        if qualified.is_none() || call.name.parts.iter().all(|part| part.place.known().is_none()) {
            if let Some(expr) = self.special_form(call, place)? {
                return Ok(expr);
            }
        }
        self.ordinary(call, place)
    }

    /// `f(VARIADIC ARRAY[a, b])` is `f(a, b)`; nothing if the list is no constructor, whose length is not known yet.
    fn spread(&mut self, call: &FunctionCall, place: Place) -> PgResult<Option<FunctionCall>> {
        let variadic = registry().procedures_named(call.name.last()).iter().any(|one| one.is_variadic());
        let mut spread = FunctionCall { variadic: false, ..call.clone() };
        let list = spread.arguments.pop().ok_or_else(|| PgError::internal("VARIADIC without an argument"))?;
        if !variadic {
            let arguments = self.argument_exprs(&FunctionCall { variadic: false, ..call.clone() })?;
            return Err(self.undefined(call, &arguments, place, Failure::NotFound));
        }
        let mut value = &list.value;
        while let tree::ExprKind::Cast { operand, .. } = &value.kind {
            value = operand;
        }
        let tree::ExprKind::Array(items) = &value.kind else { return Ok(None) };
        spread.arguments.extend(items.iter().map(|item| tree::Argument { name: None, value: item.clone() }));
        Ok(Some(spread))
    }

    /// `f(a, VARIADIC list)`: the body takes the list as one argument.
    fn call_with_list(&mut self, call: &FunctionCall, place: Place) -> PgResult<Expr> {
        let mut arguments = self.argument_exprs(&FunctionCall { variadic: false, ..call.clone() })?;
        let count = arguments.len();
        let fits = |one: &&&'static Procedure| one.is_variadic() && one.arguments.len() == count;
        let Some(procedure) = registry().procedures_named(call.name.last()).iter().find(fits).copied() else {
            return Err(self.undefined(call, &arguments, place, Failure::NotFound));
        };
        let list = arguments.pop().ok_or_else(|| PgError::internal("VARIADIC without an argument"))?;
        let wanted = procedure.arguments[count - 1];
        let list = if wanted != oid::ANY {
            let (source, list_place) = (list.type_oid, list.place);
            self.coerce(list, wanted, -1, CastContext::Implicit)?.ok_or_else(|| {
                let message = format!("cannot spread type {}", display_name(source, -1));
                at(list_place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
            })?
        } else if list.type_oid == oid::UNKNOWN || !trivet_types::is_array(list.type_oid) {
            let error = PgError::new(sqlstate::DATATYPE_MISMATCH, "VARIADIC argument must be an array");
            return Err(at(list.place, error));
        } else {
            list
        };
        let mut converted = Vec::with_capacity(count);
        for (argument, target) in arguments.into_iter().zip(procedure.arguments) {
            converted.push(self.argument(procedure, argument, *target)?);
        }
        converted.push(list);
        let procedure = match procedure.name {
            "num_nulls" => registry().own("trivet_nulls_in").unwrap_or(procedure),
            "num_nonnulls" => registry().own("trivet_nonnulls_in").unwrap_or(procedure),
            _ => procedure,
        };
        Ok(make(ExprKind::Call { procedure, arguments: converted }, procedure.result, place))
    }

    pub(super) fn argument_exprs(&mut self, call: &FunctionCall) -> PgResult<Vec<Expr>> {
        if call.arguments.iter().any(|argument| argument.name.is_some()) {
            // Those that have names for their parameters were tried before.
            let mut shown = Vec::with_capacity(call.arguments.len());
            for argument in &call.arguments {
                let named = argument.name.as_ref().map(|name| format!("{name} => ")).unwrap_or_default();
                shown.push(format!("{named}{}", display_name(self.expr(&argument.value)?.type_oid, -1)));
            }
            let message = format!("function {}({}) does not exist", call.name.shown(), shown.join(", "));
            let error = PgError::new(sqlstate::UNDEFINED_FUNCTION, message).hint(
                "No function matches the given name and argument types. You might need to add explicit type casts.",
            );
            return Err(at(call.name.place(), error));
        }
        call.arguments.iter().map(|argument| self.expr(&argument.value)).collect()
    }

    /// `COALESCE`, `CURRENT_TIMESTAMP` ...: what the grammar makes of these words.
    fn special_form(&mut self, call: &FunctionCall, place: Place) -> PgResult<Option<Expr>> {
        let name = call.name.last();
        Ok(Some(match name {
            "coalesce" => {
                let arguments = self.argument_exprs(call)?;
                refuse_sets(&arguments, "COALESCE")?;
                let (arguments, type_oid) = self.unify(arguments, "COALESCE")?;
                let modifier = common_modifier(arguments.iter());
                Expr { kind: ExprKind::Coalesce(arguments), type_oid, modifier, place }
            }
            "greatest" | "least" => {
                let arguments = self.argument_exprs(call)?;
                let (arguments, type_oid) = self.unify(arguments, &name.to_ascii_uppercase())?;
                make(ExprKind::Extreme { arguments, greatest: name == "greatest" }, type_oid, place)
            }
            "nullif" if call.arguments.len() == 2 => {
                let mut arguments = self.argument_exprs(call)?;
                let right = arguments.remove(1);
                let left = arguments.remove(0);
                let equal = self.operator("=", Some(left), right, place)?;
                // The result is the left operand as the comparison takes it.
                let ExprKind::Call { arguments: compared, .. } = &equal.kind else {
                    return Err(PgError::internal("a comparison is no call"));
                };
                let left = compared.first().cloned().ok_or_else(|| PgError::internal("a comparison of nothing"))?;
                let (type_oid, modifier) = (left.type_oid, left.modifier);
                let null = Expr { kind: ExprKind::Constant(Datum::Null), type_oid, modifier, place };
                let kind = ExprKind::Case { branches: vec![(equal, null)], otherwise: Some(Box::new(left)) };
                Expr { kind, type_oid, modifier, place }
            }
            "current_timestamp" => self.now_as(oid::TIMESTAMPTZ, call, place)?,
            "localtimestamp" => self.now_as(oid::TIMESTAMP, call, place)?,
            "localtime" => self.now_as(oid::TIME, call, place)?,
            "current_date" if call.arguments.is_empty() => self.now_as(oid::DATE, call, place)?,
            "current_time" => self.now_as(oid::TIMETZ, call, place)?,
            "current_role" | "user" | "current_user" => self.builtin("current_user", place)?,
            "session_user" => self.builtin("session_user", place)?,
            "current_catalog" => self.builtin("current_database", place)?,
            "current_schema" if call.arguments.is_empty() => self.builtin("current_schema", place)?,
            "row" => {
                let items: Vec<tree::Expr> = call.arguments.iter().map(|argument| argument.value.clone()).collect();
                let items = self.spread_rows(&items)?;
                let items = items.into_iter().map(|item| self.known(item)).collect::<PgResult<_>>()?;
                make(ExprKind::Row(items), oid::RECORD, place)
            }
            "grouping" => {
                let scope = self.scope();
                if let Some(clause) = scope.no_aggregates {
                    let message = format!("grouping operations are not allowed in {clause}");
                    return Err(at(place, PgError::new(sqlstate::GROUPING_ERROR, message)));
                }
                scope.has_grouping_call = true;
                if call.arguments.len() > 31 {
                    let error = PgError::new(SqlState(*b"54023"), "GROUPING must have fewer than 32 arguments");
                    return Err(at(place, error));
                }
                let arguments = self.argument_exprs(call)?;
                make(ExprKind::Grouping(arguments), oid::INT4, place)
            }
            "pg_typeof" if call.arguments.len() == 1 => {
                let argument = self.expr(&call.arguments[0].value)?;
                let shown = self.domain_of(&argument).unwrap_or(argument.type_oid);
                make(ExprKind::Constant(Datum::Oid(shown.0)), oid::REGTYPE, place)
            }
            "pg_collation_for" if call.arguments.len() == 1 => self.collation_for(&call.arguments[0].value, place)?,
            "array" if matches!(call.arguments.as_slice(), [tree::Argument { value, .. }] if matches!(value.kind, tree::ExprKind::ArrayQuery(_))) => {
                self.expr(&call.arguments[0].value)?
            }
            _ => return Ok(None),
        }))
    }

    /// `COLLATION FOR (x)`: nothing is computed, its collation is known by now.
    fn collation_for(&mut self, operand: &tree::Expr, place: Place) -> PgResult<Expr> {
        let value = self.expr(operand)?;
        let explicit = match &operand.kind {
            tree::ExprKind::Collate { collation, .. } => Some(collation.last().to_owned()),
            _ => self.collation_of_column(&value),
        };
        let is_array = trivet_types::is_array(value.type_oid);
        let element = trivet_types::element_of(value.type_oid).filter(|_| is_array).unwrap_or(value.type_oid);
        let name = match element {
            oid::UNKNOWN => None,
            oid::NAME => Some("C".to_owned()),
            oid::TEXT | oid::VARCHAR | oid::BPCHAR => Some(explicit.unwrap_or_else(|| "default".to_owned())),
            _ => {
                let message = format!("collations are not supported by type {}", display_name(value.type_oid, -1));
                return Err(PgError::new(sqlstate::DATATYPE_MISMATCH, message));
            }
        };
        let shown = name.map_or(Datum::Null, |name| Datum::text(quote_identifier(&name)));
        Ok(make(ExprKind::Constant(shown), oid::TEXT, place))
    }

    /// A call without arguments of a function that surely is there.
    pub(super) fn builtin(&mut self, name: &str, place: Place) -> PgResult<Expr> {
        let resolved = registry().resolve_function(name, &[]);
        let resolved = resolved.map_err(|_| PgError::internal(format!("the registry lacks {name}()")))?;
        let kind = ExprKind::Call { procedure: resolved.operator, arguments: vec![] };
        Ok(make(kind, resolved.result, place))
    }

    fn now_as(&mut self, type_oid: Oid, call: &FunctionCall, place: Place) -> PgResult<Expr> {
        let modifier = match call.arguments.as_slice() {
            [] => -1,
            [
                tree::Argument {
                    value: tree::Expr { kind: tree::ExprKind::Literal(tree::Literal::Number(digits)), .. },
                    ..
                },
            ] => digits.parse::<i32>().unwrap_or(6).clamp(0, 6),
            _ => return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, "syntax error at or near \"(\""))),
        };
        let now = self.builtin("trivet_current_timestamp", place)?;
        self.explicit(now, type_oid, modifier)
    }

    fn ordinary(&mut self, call: &FunctionCall, place: Place) -> PgResult<Expr> {
        let name = call.name.last();
        let procedures = registry().procedures_named(name);
        let is_aggregate = procedures.iter().any(|procedure| procedure.is_aggregate());
        let is_window = procedures.iter().any(|procedure| procedure.is_window());
        if is_window && (!is_aggregate || call.within_group.is_empty() && call.arguments.is_empty()) {
            let message = format!("window function {name} requires an OVER clause");
            return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
        }
        if is_aggregate {
            return self.aggregate(call, place);
        }
        if call.star
            || call.distinct
            || !call.order_by.is_empty()
            || !call.within_group.is_empty()
            || call.filter.is_some()
        {
            let what = if !call.within_group.is_empty() {
                format!("WITHIN GROUP specified, but {name} is not an aggregate function")
            } else if call.star && registry().resolve_function(name, &[]).is_err() {
                return Err(self.undefined(call, &[], place, Failure::NotFound));
            } else if call.star {
                format!("{name}(*) specified, but {name} is not an aggregate function")
            } else if call.distinct {
                format!("DISTINCT specified, but {name} is not an aggregate function")
            } else if call.filter.is_some() {
                format!("FILTER specified, but {name} is not an aggregate function")
            } else {
                format!("ORDER BY specified, but {name} is not an aggregate function")
            };
            return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, what)));
        }
        if let Some(populated) = self.populated(call, place)? {
            return Ok(populated);
        }
        let arguments = match self.completed_arguments(call, place)? {
            Some(arguments) => arguments,
            None => self.argument_exprs(call)?,
        };
        let types: Vec<Oid> = arguments.iter().map(|argument| argument.type_oid).collect();
        // `date('2024-01-01')`: a type's name applied to a literal is a cast.
        if let ([only], Some(target)) = (types.as_slice(), type_by_name(canonical_name(name))) {
            let is_row = *only == oid::RECORD || trivet_types::user::is_row(*only);
            let shows_row = is_row && trivet_types::category(target.oid) == trivet_types::Category::STRING;
            if !shows_row && (*only == oid::UNKNOWN || registry().resolve_function(name, &types).is_err()) {
                let argument = arguments.into_iter().next().expect("one argument");
                return self.explicit(argument, target.oid, -1);
            }
        }
        let resolved = match registry().resolve_function(name, &types) {
            Ok(resolved) => resolved,
            Err(failure) => {
                return match self.field_as_call(name, &arguments) {
                    Some(field) => Ok(Expr { place, ..field }),
                    None => Err(self.undefined(call, &arguments, place, failure)),
                };
            }
        };
        check_polymorphic(resolved.operator, &types)?;
        let mut arguments = self.converted_arguments(&resolved, arguments)?;
        if matches!(resolved.operator.name, "enum_first" | "enum_last" | "enum_range") {
            let of = arguments.first().map_or(oid::UNKNOWN, |argument| argument.type_oid);
            arguments.push(make(ExprKind::Constant(Datum::Oid(of.0)), oid::OID, place));
        }
        if resolved.operator.returns_set() {
            self.check_set_allowed(place)?;
        }
        let kind = ExprKind::Call { procedure: resolved.operator, arguments };
        Ok(make(kind, resolved.result, place))
    }

    fn check_set_allowed(&mut self, place: Place) -> PgResult<()> {
        if self.scopes.last().is_some_and(|scope| scope.inside_aggregate) {
            let message = "aggregate function calls cannot contain set-returning function calls";
            return Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message).hint(SET_ELSEWHERE)));
        }
        match self.scopes.last().and_then(|scope| scope.no_aggregates) {
            Some(clause) if !matches!(clause, "functions in FROM" | "GROUP BY") => {
                let message = format!("set-returning functions are not allowed in {clause}");
                Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn converted_arguments(
        &mut self,
        resolved: &Resolved<&'static Procedure>,
        arguments: Vec<Expr>,
    ) -> PgResult<Vec<Expr>> {
        let pairs = arguments.into_iter().zip(&resolved.arguments);
        pairs.map(|(argument, target)| self.argument(resolved.operator, argument, *target)).collect()
    }

    /// One argument in the type that a function takes.
    pub(super) fn argument(&mut self, procedure: &'static Procedure, argument: Expr, target: Oid) -> PgResult<Expr> {
        if wants_text(procedure) && argument.type_oid != oid::TEXT {
            let argument = self.known(argument)?;
            if argument.type_oid == oid::TEXT {
                return Ok(argument);
            }
            // These cast to text, the others show: true is `true` here and `t` there.
            if matches!(procedure.name, "quote_literal" | "quote_nullable" | "textanycat" | "anytextcat") {
                return self.explicit(argument, oid::TEXT, -1);
            }
            let place = argument.place;
            return Ok(make(ExprKind::Convert(Box::new(argument)), oid::TEXT, place));
        }
        if procedure.takes_json() {
            return self.as_json(argument);
        }
        if target == oid::ANY {
            return self.known(argument);
        }
        let source = argument.type_oid;
        // Vectors go where arrays are taken, as they are.
        if matches!(source, oid::INT2VECTOR | oid::OIDVECTOR) && trivet_types::is_array(target) {
            return Ok(argument);
        }
        self.coerce(argument, target, -1, CastContext::Implicit)?.ok_or_else(|| {
            let (source, target) = (display_name(source, -1), display_name(target, -1));
            PgError::internal(format!("resolution promised a cast from {source} to {target}"))
        })
    }

    /// A value of any type as JSON text, for functions that build JSON.
    fn as_json(&mut self, argument: Expr) -> PgResult<Expr> {
        let argument = self.known(argument)?;
        let place = argument.place;
        let procedure = registry().procedures_named("trivet_json").first().copied();
        let procedure = procedure.ok_or_else(|| PgError::internal("the registry lacks trivet_json()"))?;
        let type_oid = make(ExprKind::Constant(Datum::Oid(argument.type_oid.0)), oid::OID, place);
        Ok(make(ExprKind::Call { procedure, arguments: vec![argument, type_oid] }, oid::JSON, place))
    }

    /// Arguments in order, by position, name or default; `None` if nothing is known of the function's parameters.
    fn completed_arguments(&mut self, call: &FunctionCall, place: Place) -> PgResult<Option<Vec<Expr>>> {
        let Some(parameters) = parameters(call.name.last()) else { return Ok(None) };
        if call.arguments.len() > parameters.len() {
            return Ok(None);
        }
        let mut slots: Vec<Option<Expr>> = vec![None; parameters.len()];
        for (position, argument) in call.arguments.iter().enumerate() {
            let slot = match &argument.name {
                None => Some(position),
                Some(name) => parameters.iter().position(|parameter| parameter.name == name),
            };
            let Some(slot) = slot.filter(|slot| slots[*slot].is_none()) else { return Ok(None) };
            slots[slot] = Some(self.expr(&argument.value)?);
        }
        let mut arguments = Vec::with_capacity(slots.len());
        for (slot, parameter) in slots.into_iter().zip(parameters) {
            arguments.push(match (slot, parameter.default) {
                (Some(argument), _) => argument,
                (None, Some(default)) => make(ExprKind::Constant(Datum::text(default)), oid::UNKNOWN, place),
                (None, None) => return Ok(None),
            });
        }
        Ok(Some(arguments))
    }

    pub(super) fn undefined(
        &mut self,
        call: &FunctionCall,
        arguments: &[Expr],
        place: Place,
        failure: Failure,
    ) -> Box<PgError> {
        if let Some(absent) = super::absent::absent_function(call.name.last())
            .filter(|_| matches!(call.name.schema(), None | Some("pg_catalog")))
        {
            return at(place, absent);
        }
        let shown: Vec<String> = arguments.iter().map(|argument| display_name(argument.type_oid, -1)).collect();
        let visible_name = if call.name.place().known().is_none() {
            format!("pg_catalog.{}", call.name.last())
        } else {
            call.name.shown()
        };
        let signature = format!("{visible_name}({})", shown.join(", "));
        let error = match failure {
            Failure::NotFound => {
                let error = PgError::new(sqlstate::UNDEFINED_FUNCTION, format!("function {signature} does not exist"));
                error.hint(
                    "No function matches the given name and argument types. You might need to add explicit type casts.",
                )
            }
            Failure::Ambiguous => {
                let error = PgError::new(sqlstate::AMBIGUOUS_FUNCTION, format!("function {signature} is not unique"));
                error.hint("Could not choose a best candidate function. You might need to add explicit type casts.")
            }
        };
        at(place, error)
    }

    /// What is wrong with the arguments comes first, then that the call may not be here.
    fn aggregate(&mut self, call: &FunctionCall, place: Place) -> PgResult<Expr> {
        let nested = std::mem::replace(&mut self.scope().inside_aggregate, true);
        let parts = self.aggregate_parts(call, place);
        let scope = self.scope();
        scope.inside_aggregate = nested;
        let aggregate = parts?;
        let misplaced = match scope.no_aggregates {
            Some(clause) => Some(format!("aggregate functions are not allowed in {clause}")),
            None => nested.then(|| "aggregate function calls cannot be nested".to_owned()),
        };
        if let Some(message) = misplaced {
            return Err(at(place, PgError::new(sqlstate::GROUPING_ERROR, message)));
        }
        let type_oid = aggregate.type_oid;
        scope.aggregates.push(aggregate);
        Ok(make(ExprKind::Aggregate(scope.aggregates.len() - 1), type_oid, place))
    }

    fn aggregate_parts(&mut self, call: &FunctionCall, place: Place) -> PgResult<Aggregate> {
        let name = call.name.last();
        let arguments = self.argument_exprs(call)?;
        if arguments.is_empty() && !call.star && name == "count" {
            let message = "count(*) must be used to call a parameterless aggregate function";
            return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
        }
        if !call.within_group.is_empty() {
            return self.ordered_set(call, arguments, place);
        }
        let types: Vec<Oid> = arguments.iter().map(|argument| argument.type_oid).collect();
        let resolved = match registry().resolve_function(name, &types) {
            Ok(resolved) if call.star && name != "count" => {
                return Err(self.undefined(
                    call,
                    &[],
                    place,
                    match resolved.variadic {
                        _ => Failure::NotFound,
                    },
                ));
            }
            Ok(resolved) => resolved,
            Err(failure) => return Err(self.undefined(call, &arguments, place, failure)),
        };
        if resolved.operator.is_ordered_set() {
            let message = format!("WITHIN GROUP is required for ordered-set aggregate {name}");
            return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
        }
        let arguments = self.converted_arguments(&resolved, arguments)?;
        let before = self.scope().no_aggregates.replace("FILTER");
        let filter = call.filter.as_ref().map(|filter| self.condition(filter, "FILTER")).transpose();
        self.scope().no_aggregates = before;
        let filter = filter?;
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for key in &call.order_by {
            let expr = self.expr(&key.expr)?;
            check_order(expr.type_oid, expr.place)?;
            if call.distinct && !arguments.iter().any(|argument| super::group::same_expr(argument, &expr)) {
                let message = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
                return Err(at(expr.place, PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message)));
            }
            order_by.push((self.known(expr)?, key.descending, key.nulls_first.unwrap_or(key.descending)));
        }
        if call.distinct {
            arguments.iter().try_for_each(|argument| check_equality(argument.type_oid, argument.place))?;
        }
        Ok(Aggregate {
            procedure: resolved.operator,
            argument_types: arguments.iter().map(|argument| argument.type_oid).collect(),
            arguments,
            distinct: call.distinct,
            filter,
            order_by,
            type_oid: resolved.result,
            star: call.star,
        })
    }

    /// `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)`
    fn ordered_set(&mut self, call: &FunctionCall, direct: Vec<Expr>, place: Place) -> PgResult<Aggregate> {
        let name = call.name.last();
        let mut all = direct;
        let direct_count = all.len();
        let mut order = Vec::with_capacity(call.within_group.len());
        for key in &call.within_group {
            all.push(self.expr(&key.expr)?);
            order.push((key.descending, key.nulls_first.unwrap_or(key.descending)));
        }
        let wrong = |message: String| Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
        if call.distinct {
            return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, "cannot use DISTINCT with WITHIN GROUP")));
        }
        if !call.order_by.is_empty() {
            return wrong("cannot use multiple ORDER BY clauses with WITHIN GROUP".to_string());
        }
        let hypothetical = registry().procedures_named(name).iter().find(|procedure| procedure.is_hypothetical());
        if let Some(procedure) = hypothetical {
            return self.hypothetical(call, procedure, all, direct_count, &order, place);
        }
        let types: Vec<Oid> = all.iter().map(|argument| argument.type_oid).collect();
        let resolved = match registry().resolve_function(name, &types) {
            Ok(resolved) => resolved,
            Err(failure) => return Err(self.undefined(call, &all, place, failure)),
        };
        if !resolved.operator.is_ordered_set() {
            return wrong(format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"));
        }
        let arguments = self.converted_arguments(&resolved, all)?;
        let filter = match &call.filter {
            Some(filter) => Some(self.condition(filter, "FILTER")?),
            None => None,
        };
        let order_by = arguments[direct_count..]
            .iter()
            .cloned()
            .zip(order)
            .map(|(expr, (down, nulls))| (expr, down, nulls))
            .collect();
        Ok(Aggregate {
            procedure: resolved.operator,
            argument_types: arguments.iter().map(|argument| argument.type_oid).collect(),
            arguments,
            distinct: false,
            filter,
            order_by,
            type_oid: resolved.result,
            star: false,
        })
    }

    /// `rank(x) WITHIN GROUP (ORDER BY a)`: as many direct arguments as there are keys, each of its key's type.
    fn hypothetical(
        &mut self,
        call: &FunctionCall,
        procedure: &'static Procedure,
        all: Vec<Expr>,
        direct: usize,
        order: &[(bool, bool)],
        place: Place,
    ) -> PgResult<Aggregate> {
        if direct != order.len() {
            let name = call.name.last();
            let hint = format!(
                "To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments (here {direct}) \
                 must match the number of ordering columns (here {}).",
                order.len()
            );
            return Err(self.undefined(call, &all, place, Failure::NotFound).hint(hint));
        }
        let mut arguments = all;
        let keys = arguments.split_off(direct);
        let (mut direct, mut order_by) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        for ((argument, key), (descending, nulls_first)) in arguments.into_iter().zip(keys).zip(order) {
            let (pair, _) = self.unify(vec![argument, key], "WITHIN GROUP")?;
            let mut pair = pair.into_iter();
            direct.extend(pair.next());
            order_by.extend(pair.next().map(|key| (key, *descending, *nulls_first)));
        }
        let filter = match &call.filter {
            Some(filter) => Some(self.condition(filter, "FILTER")?),
            None => None,
        };
        Ok(Aggregate {
            procedure,
            argument_types: direct.iter().map(|argument| argument.type_oid).collect(),
            arguments: direct,
            distinct: false,
            filter,
            order_by,
            type_oid: procedure.result,
            star: false,
        })
    }
}

const SET_ELSEWHERE: &str = "You might be able to move the set-returning function into a LATERAL FROM item.";

/// 0A000: what is evaluated for one value, or for none, has no place for several.
pub(super) fn refuse_sets<'e>(exprs: impl IntoIterator<Item = &'e Expr>, what: &str) -> PgResult<()> {
    let mut found = None;
    for expr in exprs {
        expr.any(&mut |part| {
            let is_set = matches!(&part.kind, ExprKind::Call { procedure, .. } if procedure.returns_set());
            if is_set {
                found = Some(part.place);
            }
            is_set
        });
    }
    let Some(place) = found else { return Ok(()) };
    let message = format!("set-returning functions are not allowed in {what}");
    Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message).hint(SET_ELSEWHERE)))
}
