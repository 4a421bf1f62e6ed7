//! Compiled expressions: names are slots, functions are pointers. Evaluation neither waits nor looks anything up.
use super::domain::CompiledDomain;
use super::membership::Membership;
use crate::planted::{self, Bug};
use std::sync::Arc;
use trivet_types::functions::Function;
use trivet_types::functions::array::slice;
use trivet_types::modifier::{self, Strictness};
use trivet_types::{
    Array, Datum, Dimension, Environment, Oid, PgError, PgResult, Record, RecordShape, compare, same, text,
};

/// What an expression sees besides its row.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    pub environment: &'a dyn Environment,
    pub parameters: &'a [Datum],
    pub outer: &'a [Datum],
}

#[derive(Clone, Debug)]
pub enum Compiled {
    Constant(Datum),
    Parameter(usize),
    /// A column of the row.
    Slot(usize),
    /// A value that a row further out gave.
    Outer(usize),
    Call {
        function: Function,
        strict: bool,
        arguments: Vec<Compiled>,
    },
    Convert {
        operand: Box<Compiled>,
        source: Oid,
        target: Oid,
    },
    ConvertElements {
        operand: Box<Compiled>,
        source: Oid,
        target: Oid,
        way: ElementWay,
    },
    Fit {
        operand: Box<Compiled>,
        target: Oid,
        modifier: i32,
        strictness: Strictness,
    },
    /// Only values that are the domain's.
    Domain {
        operand: Box<Compiled>,
        domain: Arc<CompiledDomain>,
    },
    And(Vec<Compiled>),
    Or(Vec<Compiled>),
    Not(Box<Compiled>),
    IsNull {
        operand: Box<Compiled>,
        negated: bool,
    },
    IsBoolean {
        operand: Box<Compiled>,
        value: bool,
        negated: bool,
    },
    Distinct {
        left: Box<Compiled>,
        right: Box<Compiled>,
        type_oid: Oid,
        negated: bool,
    },
    Case {
        branches: Vec<(Compiled, Compiled)>,
        otherwise: Option<Box<Compiled>>,
    },
    Coalesce(Vec<Compiled>),
    Extreme {
        arguments: Vec<Compiled>,
        type_oid: Oid,
        greatest: bool,
    },
    Quantified {
        function: Function,
        left: Box<Compiled>,
        right: Box<Compiled>,
        all: bool,
        /// If a hash table can answer it.
        membership: Option<Membership>,
    },
    Array {
        element: Oid,
        items: Vec<Compiled>,
        /// The items are arrays themselves, and together they make one of a dimension more.
        nested: bool,
    },
    Subscript {
        operand: Box<Compiled>,
        indexes: Vec<Compiled>,
    },
    Slice {
        operand: Box<Compiled>,
        bounds: Vec<(Option<Compiled>, Option<Compiled>)>,
    },
    Row {
        items: Vec<Compiled>,
        shape: Arc<RecordShape>,
        /// NULL if all items are.
        nullable: bool,
    },
    Field {
        operand: Box<Compiled>,
        field: usize,
    },
}

/// How each element of an array is converted.
#[derive(Clone, Copy, Debug)]
pub enum ElementWay {
    Text,
    Function(Function),
    Keep,
}

impl Compiled {
    pub fn eval(&self, context: EvalContext<'_>, row: &[Datum]) -> PgResult<Datum> {
        Ok(match self {
            Compiled::Constant(datum) => datum.clone(),
            Compiled::Slot(slot) => row[*slot].clone(),
            Compiled::Parameter(index) => context.parameters[*index].clone(),
            Compiled::Outer(index) => context.outer[*index].clone(),
            Compiled::Call { function, strict, arguments } => return call(*function, *strict, arguments, context, row),
            Compiled::Convert { operand, source, target } => {
                let value = operand.eval(context, row)?;
                return convert(value, *source, *target, context.environment);
            }
            Compiled::ConvertElements { operand, source, target, way } => match operand.eval(context, row)? {
                Datum::Array(array) => convert_elements(&array, *source, *target, *way, context.environment)?,
                other => other,
            },
            Compiled::Fit { operand, target, modifier, strictness } => {
                let value = operand.eval(context, row)?;
                return if value.is_null() {
                    Ok(value)
                } else {
                    modifier::apply(*target, *modifier, value, *strictness)
                };
            }
            Compiled::Domain { operand, domain } => {
                let value = operand.eval(context, row)?;
                return domain.checked(context.environment, value);
            }
            Compiled::And(terms) => return all_terms(terms, false, context, row),
            Compiled::Or(terms) => return all_terms(terms, true, context, row),
            Compiled::Not(operand) => match operand.eval(context, row)? {
                Datum::Bool(value) => Datum::Bool(!value),
                other => other,
            },
            Compiled::IsNull { operand, negated } => {
                let value = operand.eval(context, row)?;
                let null = match &value {
                    // A row is null if all its fields are, and not null if none is.
                    Datum::Record(fields) if *negated => fields.iter().any(Datum::is_null),
                    Datum::Record(fields) => fields.iter().all(Datum::is_null),
                    value => value.is_null(),
                };
                Datum::Bool(null != *negated)
            }
            Compiled::IsBoolean { operand, value, negated } => {
                let is = operand.eval(context, row)? == Datum::Bool(*value);
                Datum::Bool(is != *negated)
            }
            Compiled::Distinct { left, right, type_oid, negated } => {
                let (left, right) = (left.eval(context, row)?, right.eval(context, row)?);
                let distinct = left.is_null() != right.is_null() || !same(*type_oid, &left, &right);
                Datum::Bool(distinct != *negated)
            }
            Compiled::Case { branches, otherwise } => {
                if planted::on(Bug::EagerCase) {
                    let all = branches.iter().map(|(_, then)| then).chain(otherwise.as_deref());
                    all.map(|expr| expr.eval(context, row)).collect::<PgResult<Vec<_>>>()?;
                }
                for (when, then) in branches {
                    if when.eval(context, row)?.is_true() {
                        return then.eval(context, row);
                    }
                }
                return otherwise.as_ref().map_or(Ok(Datum::Null), |otherwise| otherwise.eval(context, row));
            }
            Compiled::Coalesce(arguments) => {
                for argument in arguments {
                    let value = argument.eval(context, row)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Datum::Null
            }
            Compiled::Extreme { arguments, type_oid, greatest } => {
                let mut best = Datum::Null;
                for argument in arguments {
                    let value = argument.eval(context, row)?;
                    if value.is_null() {
                        continue;
                    }
                    let order = compare(*type_oid, &value, &best);
                    if best.is_null() || (if *greatest { order.is_gt() } else { order.is_lt() }) {
                        best = value;
                    }
                }
                best
            }
            Compiled::Quantified { function, left, right, all, membership } => {
                let left = left.eval(context, row)?;
                let right = right.eval(context, row)?;
                let Datum::Array(array) = right else { return Ok(Datum::Null) };
                if let Some(answer) = membership.as_ref().and_then(|membership| membership.answer(&left, &array)) {
                    return Ok(answer);
                }
                return quantified(*function, left, &array.values, *all, context.environment);
            }
            Compiled::Array { element, items, nested } => {
                let values = items.iter().map(|item| item.eval(context, row)).collect::<PgResult<Vec<_>>>()?;
                if *nested {
                    return nested_array(*element, &values);
                }
                Datum::array(Array::from_values(*element, values))
            }
            Compiled::Slice { operand, bounds } => {
                let Datum::Array(array) = operand.eval(context, row)? else { return Ok(Datum::Null) };
                let mut wanted = Vec::with_capacity(bounds.len());
                for (lower, upper) in bounds {
                    let mut pair = [None, None];
                    for (place, bound) in pair.iter_mut().zip([lower, upper]) {
                        let Some(bound) = bound else { continue };
                        match bound.eval(context, row)?.as_i64() {
                            Some(bound) => *place = Some(bound),
                            None => return Ok(Datum::Null),
                        }
                    }
                    wanted.push((pair[0], pair[1]));
                }
                Datum::array(slice(&array, &wanted))
            }
            Compiled::Subscript { operand, indexes } => {
                let Datum::Array(array) = operand.eval(context, row)? else { return Ok(Datum::Null) };
                let mut wanted = Vec::with_capacity(indexes.len());
                for index in indexes {
                    match index.eval(context, row)?.as_i64() {
                        Some(index) => wanted.push(index),
                        None => return Ok(Datum::Null),
                    }
                }
                element(&array, &wanted)
            }
            Compiled::Row { items, shape, nullable } => {
                let values = items.iter().map(|item| item.eval(context, row)).collect::<PgResult<Vec<_>>>()?;
                if *nullable && values.iter().all(Datum::is_null) {
                    return Ok(Datum::Null);
                }
                Datum::Record(Record::with_shape(values, shape.clone()))
            }
            Compiled::Field { operand, field } => match operand.eval(context, row)? {
                Datum::Record(values) => values.get(*field).cloned().unwrap_or_default(),
                _ => Datum::Null,
            },
        })
    }

    /// Without a row and parameters.
    pub fn evaluate_alone(&self, environment: &dyn Environment) -> PgResult<Datum> {
        self.eval(EvalContext { environment, parameters: &[], outer: &[] }, &[])
    }

    /// A condition: NULL is false.
    pub fn test(&self, context: EvalContext<'_>, row: &[Datum]) -> PgResult<bool> {
        Ok(self.eval(context, row)?.is_true())
    }
}

fn call(
    function: Function,
    strict: bool,
    arguments: &[Compiled],
    context: EvalContext<'_>,
    row: &[Datum],
) -> PgResult<Datum> {
    // The commonest shapes keep their arguments on the stack.
    match arguments {
        [left, right] => {
            let values = [left.eval(context, row)?, right.eval(context, row)?];
            if strict && (values[0].is_null() || values[1].is_null()) {
                return Ok(Datum::Null);
            }
            function(context.environment, &values)
        }
        [only] => {
            let values = [only.eval(context, row)?];
            if strict && values[0].is_null() {
                return Ok(Datum::Null);
            }
            function(context.environment, &values)
        }
        _ => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                let value = argument.eval(context, row)?;
                if strict && value.is_null() {
                    return Ok(Datum::Null);
                }
                values.push(value);
            }
            function(context.environment, &values)
        }
    }
}

/// AND (decided by false) and OR (decided by true), with NULL as unknown.
fn all_terms(terms: &[Compiled], decisive: bool, context: EvalContext<'_>, row: &[Datum]) -> PgResult<Datum> {
    let mut unknown = false;
    for term in terms {
        match term.eval(context, row)? {
            Datum::Bool(value) if value == decisive => return Ok(Datum::Bool(decisive)),
            Datum::Bool(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(!decisive) })
}

/// Through the text form.
pub fn convert(value: Datum, source: Oid, target: Oid, environment: &dyn Environment) -> PgResult<Datum> {
    match text::output(source, &value, environment) {
        None => Ok(Datum::Null),
        Some(shown) => text::input(target, -1, &shown, environment),
    }
}

fn convert_elements(
    array: &Array,
    source: Oid,
    target: Oid,
    way: ElementWay,
    environment: &dyn Environment,
) -> PgResult<Datum> {
    let mut values = Vec::with_capacity(array.values.len());
    for value in &array.values {
        values.push(match way {
            _ if value.is_null() => Datum::Null,
            ElementWay::Text => convert(value.clone(), source, target, environment)?,
            ElementWay::Function(function) => function(environment, std::slice::from_ref(value))?,
            ElementWay::Keep => value.clone(),
        });
    }
    Ok(Datum::array(Array { element: target, dimensions: array.dimensions.clone(), values }))
}

/// `left op ANY/ALL (values)`: NULLs make the answer unknown unless another value decides it.
pub fn quantified(
    function: Function,
    left: Datum,
    values: &[Datum],
    all: bool,
    environment: &dyn Environment,
) -> PgResult<Datum> {
    if values.is_empty() {
        return Ok(Datum::Bool(all));
    }
    if left.is_null() {
        return Ok(Datum::Null);
    }
    let mut unknown = false;
    let mut pair = [left, Datum::Null];
    for value in values {
        if value.is_null() {
            unknown = true;
            continue;
        }
        pair[1] = value.clone();
        match function(environment, &pair)? {
            Datum::Bool(value) if value != all => return Ok(Datum::Bool(!all)),
            Datum::Bool(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(all) })
}

/// Arrays of one shape as an array of a dimension more.
pub fn nested_array(element: Oid, arrays: &[Datum]) -> PgResult<Datum> {
    let mismatch = || {
        let message = "multidimensional arrays must have array expressions with matching dimensions";
        PgError::new(trivet_types::SqlState(*b"2202E"), message)
    };
    let mut shape: Option<&[Dimension]> = None;
    let mut values = Vec::new();
    for array in arrays {
        let inner = match array {
            Datum::Array(array) => array,
            _ => return Err(mismatch()),
        };
        match shape {
            None => shape = Some(&inner.dimensions),
            Some(shape) if *shape == *inner.dimensions => {}
            Some(_) => return Err(mismatch()),
        }
        values.extend(inner.values.iter().cloned());
    }
    if values.is_empty() {
        return Ok(Datum::array(Array::from_values(element, values)));
    }
    let mut dimensions = vec![Dimension { length: arrays.len(), lower: 1 }];
    dimensions.extend_from_slice(shape.unwrap_or(&[]));
    Ok(Datum::array(Array { element, dimensions, values }))
}

/// The element at these subscripts; NULL outside.
fn element(array: &Array, wanted: &[i64]) -> Datum {
    if wanted.len() != array.dimensions.len() {
        return Datum::Null;
    }
    let mut position = 0usize;
    for (index, dimension) in wanted.iter().zip(&array.dimensions) {
        match usize::try_from(index - i64::from(dimension.lower)) {
            Ok(at) if at < dimension.length => position = position * dimension.length + at,
            _ => return Datum::Null,
        }
    }
    array.values.get(position).cloned().unwrap_or_default()
}

/// A LIMIT or OFFSET: NULL means none.
pub fn row_count(expr: &Compiled, context: EvalContext<'_>, row: &[Datum], what: &str) -> PgResult<Option<usize>> {
    match expr.eval(context, row)? {
        Datum::Null => Ok(None),
        value => {
            let count = value.as_i64().ok_or_else(|| PgError::internal("a row count is a bigint"))?;
            usize::try_from(count).map(Some).map_err(|_| {
                let code = if what == "LIMIT" { *b"2201W" } else { *b"2201X" };
                PgError::new(trivet_types::SqlState(code), format!("{what} must not be negative"))
            })
        }
    }
}
