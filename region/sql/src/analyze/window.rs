//! Window functions: `f(...) OVER (...)`, the WINDOW clause, frames.
use super::{Analyzer, at};
use crate::parser::tree::{self, FrameUnit, FunctionCall, Place};
use crate::typed::{Expr, ExprKind, Frame, FrameBound, FrameOffset, WindowCall, WindowSpec};
use trivet_types::registry::{CastContext, registry};
use trivet_types::{Oid, PgError, PgResult, SqlState, display_name, oid, sqlstate};

pub(super) const WINDOWING_ERROR: SqlState = SqlState(*b"42P20");

/// The relation number of the pair (ordering value, offset) that a RANGE frame is moved over.
pub const FRAME_ROW: usize = usize::MAX - 1;

/// A window of the WINDOW clause.
#[derive(Clone)]
pub struct NamedWindow {
    name: String,
    spec: WindowSpec,
    has_frame: bool,
}

fn windowing(place: Place, message: impl Into<String>) -> Box<PgError> {
    at(place, PgError::new(WINDOWING_ERROR, message))
}

impl Analyzer<'_> {
    /// The WINDOW clause; its names are then in the scope.
    pub(super) fn named_windows(&mut self, windows: &[(tree::Name, tree::WindowDefinition)]) -> PgResult<()> {
        for (name, definition) in windows {
            if self.scope().named_windows.iter().any(|known| known.name == name.text) {
                let place = definition.places.parenthesis.known().map_or(name.place, Place);
                return Err(windowing(place, format!("window \"{}\" is already defined", name.text)));
            }
            let spec = self.window_spec(definition, name.place)?;
            let has_frame = definition.frame.is_some();
            self.scope().named_windows.push(NamedWindow { name: name.text.clone(), spec, has_frame });
        }
        Ok(())
    }

    pub(super) fn window_call(&mut self, call: &FunctionCall, over: &tree::Window, place: Place) -> PgResult<Expr> {
        let name = call.name.last();
        let unsupported = |what: &str| Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, what)));
        let procedures = registry().procedures_named(name);
        if !procedures.is_empty() && !procedures.iter().any(|one| one.is_window() || one.is_aggregate()) {
            let message = format!("OVER specified, but {name} is not a window function nor an aggregate function");
            return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
        }
        if call.distinct {
            return unsupported("DISTINCT is not implemented for window functions");
        }
        if !call.order_by.is_empty() {
            return unsupported("aggregate ORDER BY is not implemented for window functions");
        }
        if !call.within_group.is_empty() {
            return unsupported(&format!("OVER is not supported for ordered-set aggregate {name}"));
        }
        let scope = self.scope();
        if scope.inside_aggregate {
            let message = "aggregate function calls cannot contain window function calls";
            return Err(at(place, PgError::new(sqlstate::GROUPING_ERROR, message)));
        }
        if let Some(clause) = scope.no_aggregates.or(scope.no_windows) {
            return Err(windowing(place, format!("window functions are not allowed in {clause}")));
        }
        if scope.inside_window {
            let definition = scope.inside_window_definition;
            return Err(windowing(
                place,
                if definition {
                    "window functions are not allowed in window definitions"
                } else {
                    "window function calls cannot be nested"
                },
            ));
        }
        scope.inside_window = true;
        let parts = self.window_parts(call, over, place);
        self.scope().inside_window = false;
        let window_call = parts?;
        let type_oid = window_call.type_oid;
        let scope = self.scope();
        scope.windows.push(window_call);
        Ok(super::expr::make(ExprKind::Window(scope.windows.len() - 1), type_oid, place))
    }

    fn window_parts(&mut self, call: &FunctionCall, over: &tree::Window, place: Place) -> PgResult<WindowCall> {
        let name = call.name.last();
        let arguments = self.argument_exprs(call)?;
        let types: Vec<Oid> = arguments.iter().map(|argument| argument.type_oid).collect();
        let resolved = match registry().resolve_function(name, &types) {
            Ok(resolved) if !call.star || name == "count" => resolved,
            Ok(_) => return Err(self.undefined(call, &[], place, trivet_types::registry::Failure::NotFound)),
            Err(failure) => return Err(self.undefined(call, &arguments, place, failure)),
        };
        if resolved.operator.is_ordered_set() {
            let message = format!("WITHIN GROUP is required for ordered-set aggregate {name}");
            return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
        }
        if arguments.is_empty() && !call.star && name == "count" {
            let message = "count(*) must be used to call a parameterless aggregate function";
            return Err(at(place, PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)));
        }
        let arguments = self.converted_arguments(&resolved, arguments)?;
        let filter = match &call.filter {
            Some(_) if resolved.operator.is_window() => {
                let message = "FILTER is not implemented for non-aggregate window functions";
                return Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)));
            }
            Some(filter) => Some(self.condition(filter, "FILTER")?),
            None => None,
        };
        let window = match over {
            tree::Window::Named(name) => self.named_window(name)?.spec,
            tree::Window::Defined(definition) => self.window_spec(definition, place)?,
        };
        Ok(WindowCall {
            procedure: resolved.operator,
            argument_types: arguments.iter().map(|argument| argument.type_oid).collect(),
            arguments,
            filter,
            type_oid: resolved.result,
            star: call.star,
            window,
        })
    }

    fn named_window(&mut self, name: &tree::Name) -> PgResult<NamedWindow> {
        let found = self.scope().named_windows.iter().find(|known| known.name == name.text).cloned();
        found.ok_or_else(|| {
            let message = format!("window \"{}\" does not exist", name.text);
            at(name.place, PgError::new(sqlstate::UNDEFINED_OBJECT, message))
        })
    }

    fn window_spec(&mut self, definition: &tree::WindowDefinition, place: Place) -> PgResult<WindowSpec> {
        let mut spec = WindowSpec::default();
        let place = definition.places.parenthesis.known().map_or(place, Place);
        if let Some(base) = &definition.base {
            let known = self.named_window(base)?;
            let refuse = |what: &str| Err(windowing(place, format!("{what} of window \"{}\"", base.text)));
            if !definition.partition_by.is_empty() {
                return refuse("cannot override PARTITION BY clause");
            }
            if !definition.order_by.is_empty() && !known.spec.order.is_empty() {
                return refuse("cannot override ORDER BY clause");
            }
            if known.has_frame {
                let message = format!("cannot copy window \"{}\" because it has a frame clause", base.text);
                let error = windowing(place, message);
                let bare = definition.order_by.is_empty() && definition.frame.is_none();
                return Err(if bare { error.hint("Omit the parentheses in this OVER clause.") } else { error });
            }
            (spec.partition, spec.order) = (known.spec.partition, known.spec.order);
        }
        let inside = std::mem::replace(&mut self.scope().inside_window, true);
        self.scope().inside_window_definition = true;
        let filled = self.window_keys(definition, &mut spec);
        self.scope().inside_window_definition = false;
        self.scope().inside_window = inside;
        filled?;
        if let Some(frame) = &definition.frame {
            spec.frame = self.frame(frame, &spec, place, &definition.places)?;
        }
        Ok(spec)
    }

    fn window_keys(&mut self, definition: &tree::WindowDefinition, spec: &mut WindowSpec) -> PgResult<()> {
        for expr in &definition.partition_by {
            let expr = self.expr(expr)?;
            super::sortable::check_equality(expr.type_oid, expr.place)?;
            spec.partition.push(self.known(expr)?);
        }
        for key in &definition.order_by {
            let expr = self.expr(&key.expr)?;
            super::sortable::check_order(expr.type_oid, expr.place)?;
            let nulls_first = key.nulls_first.unwrap_or(key.descending);
            spec.order.push((self.known(expr)?, key.descending, nulls_first));
        }
        Ok(())
    }

    fn frame(
        &mut self,
        frame: &tree::Frame,
        spec: &WindowSpec,
        place: Place,
        places: &tree::WindowPlaces,
    ) -> PgResult<Frame> {
        use tree::FrameBound as B;
        let refusal = match (&frame.start, &frame.end) {
            (B::UnboundedFollowing, _) => Some((places.start, "frame start cannot be UNBOUNDED FOLLOWING")),
            (_, B::UnboundedPreceding) => Some((places.end, "frame end cannot be UNBOUNDED PRECEDING")),
            (B::CurrentRow, B::Preceding(_)) => {
                Some((places.end, "frame starting from current row cannot have preceding rows"))
            }
            (B::Following(_), B::Preceding(_) | B::CurrentRow) => {
                Some((places.end, "frame starting from following row cannot have preceding rows"))
            }
            _ => None,
        };
        if let Some((place, refusal)) = refusal {
            return Err(windowing(place, refusal));
        }
        let offsets = |bound: &B| matches!(bound, B::Preceding(_) | B::Following(_));
        if frame.unit == FrameUnit::Range && (offsets(&frame.start) || offsets(&frame.end)) && spec.order.len() != 1 {
            let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
            return Err(windowing(place, message));
        }
        if frame.unit == FrameUnit::Groups && spec.order.is_empty() {
            return Err(windowing(place, "GROUPS mode requires an ORDER BY clause"));
        }
        Ok(Frame {
            unit: frame.unit,
            start: self.frame_bound(&frame.start, frame.unit, spec)?,
            end: self.frame_bound(&frame.end, frame.unit, spec)?,
            exclude: frame.exclude,
        })
    }

    fn frame_bound(&mut self, bound: &tree::FrameBound, unit: FrameUnit, spec: &WindowSpec) -> PgResult<FrameBound> {
        use tree::FrameBound as B;
        Ok(match bound {
            B::UnboundedPreceding => FrameBound::UnboundedPreceding,
            B::UnboundedFollowing => FrameBound::UnboundedFollowing,
            B::CurrentRow => FrameBound::CurrentRow,
            B::Preceding(offset) => FrameBound::Preceding(self.frame_offset(offset, unit, spec)?),
            B::Following(offset) => FrameBound::Following(self.frame_offset(offset, unit, spec)?),
        })
    }

    fn frame_offset(&mut self, offset: &tree::Expr, unit: FrameUnit, spec: &WindowSpec) -> PgResult<FrameOffset> {
        let clause = match unit {
            FrameUnit::Rows => "ROWS",
            FrameUnit::Groups => "GROUPS",
            FrameUnit::Range => "RANGE",
        };
        let value = self.expr(offset)?;
        if value.any(&mut |part| matches!(part.kind, ExprKind::Column { up: 0, .. })) {
            let message = format!("argument of {clause} must not contain variables");
            return Err(at(value.place, PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message)));
        }
        if unit != FrameUnit::Range {
            let (place, source) = (value.place, value.type_oid);
            let value = self.coerce(value, oid::INT8, -1, CastContext::Assignment)?.ok_or_else(|| {
                let message =
                    format!("argument of {clause} must be type bigint, not type {}", display_name(source, -1));
                at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
            })?;
            return Ok(FrameOffset { value, moves: None });
        }
        self.range_offset(value, spec.order[0].0.type_oid)
    }

    fn range_offset(&mut self, value: Expr, ordering: Oid) -> PgResult<FrameOffset> {
        let integer = |type_oid: Oid| matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8);
        let temporal =
            matches!(ordering, oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::TIME | oid::TIMETZ | oid::INTERVAL);
        let numeric = matches!(ordering, oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC);
        let (place, source) = (value.place, value.type_oid);
        let wanted = match ordering {
            _ if integer(ordering) && integer(source) => source,
            _ if integer(ordering) => ordering,
            _ if temporal => oid::INTERVAL,
            oid::FLOAT4 | oid::FLOAT8 => oid::FLOAT8,
            _ => ordering,
        };
        let unsupported = |what: String| Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, what)));
        if !integer(ordering) && !temporal && !numeric {
            return unsupported(format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                display_name(ordering, -1)
            ));
        }
        let Some(value) = self.coerce(value, wanted, -1, CastContext::Implicit)? else {
            let (ordering, source) = (display_name(ordering, -1), display_name(source, -1));
            return Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {ordering} and offset type {source}"
            )).hint("Cast the offset value to an appropriate type.")));
        };
        if integer(ordering) {
            return Ok(FrameOffset { value, moves: None });
        }
        let slot = |column: usize, type_oid: Oid| {
            super::expr::make(ExprKind::Column { up: 0, relation: FRAME_ROW, column }, type_oid, Place::default())
        };
        let mut moved = |operator: &str| -> PgResult<Expr> {
            let sum = self.operator(operator, Some(slot(0, ordering)), slot(1, wanted), place)?;
            // What is compared is of the ordering's type; a date moved by an interval is a timestamp at midnight or later.
            self.explicit(sum, if ordering == oid::DATE { oid::TIMESTAMP } else { ordering }, -1)
        };
        let moves = Some((moved("-")?, moved("+")?));
        Ok(FrameOffset { value, moves })
    }
}

/// Every expression of a window call.
pub fn window_exprs_mut(call: &mut WindowCall) -> Vec<&mut Expr> {
    let mut exprs: Vec<&mut Expr> = call.arguments.iter_mut().chain(&mut call.filter).collect();
    exprs.extend(call.window.partition.iter_mut());
    exprs.extend(call.window.order.iter_mut().map(|(expr, _, _)| expr));
    for bound in [&mut call.window.frame.start, &mut call.window.frame.end] {
        if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
            exprs.push(&mut offset.value);
        }
    }
    exprs
}

pub fn window_exprs(call: &WindowCall) -> Vec<&Expr> {
    let mut exprs: Vec<&Expr> = call.arguments.iter().chain(&call.filter).collect();
    exprs.extend(&call.window.partition);
    exprs.extend(call.window.order.iter().map(|(expr, _, _)| expr));
    for bound in [&call.window.frame.start, &call.window.frame.end] {
        if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
            exprs.push(&offset.value);
        }
    }
    exprs
}
