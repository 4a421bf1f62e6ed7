//! A path on a value.
//!
//! In lax mode arrays are taken apart and single values count as arrays where a step asks for it, and what is not there is nothing;
//! in strict mode these are errors. Inside of a condition an error makes it unknown.
use super::{Item, Method, Operation, Path, Step};
use crate::are::Options;
use crate::environment::Environment;
use crate::error::{PgError, PgResult, SqlState, sqlstate};
use crate::json::Json;
use crate::numeric::Numeric;
use std::borrow::Cow;
use std::cmp::Ordering;

const MEMBER_NOT_FOUND: SqlState = SqlState(*b"2203A");
const ARRAY_NOT_FOUND: SqlState = SqlState(*b"22039");
const OBJECT_NOT_FOUND: SqlState = SqlState(*b"2203C");
const NUMBER_NOT_FOUND: SqlState = SqlState(*b"2203B");
const INVALID_SUBSCRIPT: SqlState = SqlState(*b"22033");
const NOT_NUMERIC: SqlState = SqlState(*b"22036");
const NOT_SINGLE: SqlState = SqlState(*b"22038");

type Value<'v> = Cow<'v, Json>;

/// Why a path stopped: a mistake that conditions and silent callers pass over, or one that nobody does.
#[derive(Debug)]
pub enum Stop {
    Soft(Box<PgError>),
    Hard(Box<PgError>),
}
type Run<T> = Result<T, Stop>;

fn soft<T>(code: SqlState, message: impl Into<String>) -> Run<T> {
    Err(Stop::Soft(PgError::new(code, message)))
}

/// What a path found, and why it stopped before its end.
#[derive(Debug)]
pub struct Found {
    pub values: Vec<Json>,
    pub error: Option<Box<PgError>>,
}

/// A path with what it is asked about.
pub struct Query<'q> {
    pub path: &'q Path,
    pub root: &'q Json,
    /// An object.
    pub variables: &'q Json,
    pub environment: &'q dyn Environment,
}

#[derive(Clone, Copy)]
struct Scope<'s> {
    current: &'s Json,
    /// Elements of the array whose subscript is computed.
    size: usize,
    /// What a step does not find is passed over, whatever the mode.
    lenient: bool,
}

impl Query<'_> {
    /// All that the path finds.
    pub fn run(&self) -> PgResult<Found> {
        if !matches!(self.variables, Json::Object(_)) {
            let error = PgError::new(sqlstate::INVALID_PARAMETER_VALUE, "\"vars\" argument is not an object");
            return Err(error.detail("Jsonpath parameters should be encoded as key-value pairs of \"vars\" object."));
        }
        let scope = Scope { current: self.root, size: 0, lenient: !self.path.strict };
        let mut values = Vec::new();
        let error = match self.item(&self.path.item, scope, &mut values) {
            Ok(()) => None,
            Err(Stop::Soft(error)) => Some(error),
            Err(Stop::Hard(error)) => return Err(error),
        };
        Ok(Found { values: values.into_iter().map(Cow::into_owned).collect(), error })
    }

    fn lax(&self) -> bool {
        !self.path.strict
    }

    fn item<'s>(&'s self, item: &'s Item, scope: Scope<'s>, out: &mut Vec<Value<'s>>) -> Run<()> {
        self.environment.check_interrupt().map_err(Stop::Hard)?;
        let value = match item {
            Item::Null => Cow::Owned(Json::Null),
            Item::Bool(value) => Cow::Owned(Json::Bool(*value)),
            Item::Number(value) => Cow::Owned(Json::Number(value.clone())),
            Item::String(text) => Cow::Owned(Json::String(text.clone())),
            Item::Variable(name) => match self.variables.field(name) {
                Some(value) => Cow::Borrowed(value),
                None => {
                    let message = format!("could not find jsonpath variable \"{name}\"");
                    return Err(Stop::Hard(PgError::new(sqlstate::UNDEFINED_OBJECT, message)));
                }
            },
            Item::Root => Cow::Borrowed(self.root),
            Item::Current => Cow::Borrowed(scope.current),
            Item::Last => Cow::Owned(Json::Number(Numeric::from(scope.size as i64 - 1))),
            Item::Binary(operation, left, right) if operation.is_arithmetic() => {
                Cow::Owned(Json::Number(self.arithmetic(*operation, left, right, scope)?))
            }
            Item::Signed { negative, operand } => {
                for value in self.unwrapped(operand, scope)? {
                    let Json::Number(number) = value.as_ref() else {
                        let sign = if *negative { '-' } else { '+' };
                        let message = format!("operand of unary jsonpath operator {sign} is not a numeric value");
                        return soft(NUMBER_NOT_FOUND, message);
                    };
                    out.push(Cow::Owned(Json::Number(if *negative { number.negate() } else { number.clone() })));
                }
                return Ok(());
            }
            Item::Access(of, steps) => {
                let mut values = Vec::new();
                self.item(of, scope, &mut values)?;
                return values.into_iter().try_for_each(|value| self.steps(value, steps, scope, self.lax(), out));
            }
            condition => Cow::Owned(self.condition(condition, scope)?.map_or(Json::Null, Json::Bool)),
        };
        out.push(value);
        Ok(())
    }

    /// What an operand finds, arrays taken apart in lax mode.
    fn unwrapped<'s>(&'s self, item: &'s Item, scope: Scope<'s>) -> Run<Vec<Value<'s>>> {
        let mut found = Vec::new();
        self.item(item, scope, &mut found)?;
        if !self.lax() {
            return Ok(found);
        }
        Ok(found.into_iter().flat_map(elements).collect())
    }

    fn operand(&self, item: &Item, scope: Scope<'_>, side: &str, operation: Operation) -> Run<Numeric> {
        match self.unwrapped(item, scope)?.as_slice() {
            [only] => match only.as_ref() {
                Json::Number(value) => Ok(value.clone()),
                _ => self.not_a_number(side, operation),
            },
            _ => self.not_a_number(side, operation),
        }
    }
    fn not_a_number<T>(&self, side: &str, operation: Operation) -> Run<T> {
        let sign = operation.sign();
        soft(NOT_SINGLE, format!("{side} operand of jsonpath operator {sign} is not a single numeric value"))
    }

    fn arithmetic(&self, operation: Operation, left: &Item, right: &Item, scope: Scope<'_>) -> Run<Numeric> {
        let left = self.operand(left, scope, "left", operation)?;
        let right = self.operand(right, scope, "right", operation)?;
        let result = match operation {
            Operation::Add => left.add(&right),
            Operation::Subtract => left.subtract(&right),
            Operation::Multiply => left.multiply(&right),
            Operation::Divide => left.divide(&right),
            _ => left.remainder(&right),
        };
        result.map_err(Stop::Soft)
    }

    /// The rest of the steps on a value. `unwrap`: an array may be taken apart for this step.
    fn steps<'s>(
        &'s self,
        value: Value<'s>,
        steps: &'s [Step],
        scope: Scope<'s>,
        unwrap: bool,
        out: &mut Vec<Value<'s>>,
    ) -> Run<()> {
        self.environment.check_interrupt().map_err(Stop::Hard)?;
        let Some((step, rest)) = steps.split_first() else {
            out.push(value);
            return Ok(());
        };
        let takes_apart = !matches!(
            step,
            Step::AnyElement | Step::Elements(_) | Step::Deep { .. } | Step::Method(Method::Type | Method::Size)
        );
        if unwrap && takes_apart && matches!(value.as_ref(), Json::Array(_)) {
            return elements(value).into_iter().try_for_each(|item| self.steps(item, steps, scope, false, out));
        }
        let lax = self.lax();
        let mut go_on = |value: Value<'s>, scope: Scope<'s>| self.steps(value, rest, scope, lax, out);
        match step {
            Step::Key(name) => match member(&value, name) {
                Some(found) => go_on(found, scope),
                None if scope.lenient => Ok(()),
                None if matches!(value.as_ref(), Json::Object(_)) => {
                    soft(MEMBER_NOT_FOUND, format!("JSON object does not contain key \"{name}\""))
                }
                None => soft(MEMBER_NOT_FOUND, "jsonpath member accessor can only be applied to an object"),
            },
            Step::AnyKey => match value.as_ref() {
                Json::Object(_) => children(value).into_iter().try_for_each(|child| go_on(child, scope)),
                _ if scope.lenient => Ok(()),
                _ => soft(OBJECT_NOT_FOUND, "jsonpath wildcard member accessor can only be applied to an object"),
            },
            Step::AnyElement => match value.as_ref() {
                Json::Array(_) => elements(value).into_iter().try_for_each(|item| go_on(item, scope)),
                _ if lax => go_on(value, scope),
                _ if scope.lenient => Ok(()),
                _ => soft(ARRAY_NOT_FOUND, "jsonpath wildcard array accessor can only be applied to an array"),
            },
            Step::Elements(subscripts) => {
                let items = match value.as_ref() {
                    Json::Array(_) => elements(value),
                    _ if lax => vec![value],
                    _ if scope.lenient => return Ok(()),
                    _ => return soft(ARRAY_NOT_FOUND, "jsonpath array accessor can only be applied to an array"),
                };
                for (from, to) in subscripts {
                    let inside = Scope { size: items.len(), ..scope };
                    let first = self.subscript(from, inside)?;
                    let last = to.as_ref().map_or(Ok(first), |to| self.subscript(to, inside))?;
                    if !scope.lenient && (first < 0 || first > last || last >= items.len() as i64) {
                        return soft(INVALID_SUBSCRIPT, "jsonpath array subscript is out of bounds");
                    }
                    for at in first.max(0)..=last.min(items.len() as i64 - 1) {
                        go_on(items[at as usize].clone(), scope)?;
                    }
                }
                Ok(())
            }
            Step::Deep { first, last } => {
                let lenient = Scope { lenient: true, ..scope };
                if *first == 0 {
                    go_on(value.clone(), lenient)?;
                }
                deep(value, 1, (*first, *last), &mut |value| go_on(value, lenient))
            }
            Step::Filter(condition) => {
                let holds = {
                    let current = value.clone().into_owned();
                    self.condition(condition, Scope { current: &current, ..scope })? == Some(true)
                };
                if holds { go_on(value, scope) } else { Ok(()) }
            }
            Step::Method(method) => {
                let results = self.method(*method, value, scope)?;
                results.into_iter().try_for_each(|value| go_on(Cow::Owned(value), scope))
            }
        }
    }

    fn subscript(&self, item: &Item, scope: Scope<'_>) -> Run<i64> {
        let mut found = Vec::new();
        self.item(item, scope, &mut found)?;
        let [only] = found.as_slice() else {
            return soft(INVALID_SUBSCRIPT, "jsonpath array subscript is not a single numeric value");
        };
        let Json::Number(number) = only.as_ref() else {
            return soft(INVALID_SUBSCRIPT, "jsonpath array subscript is not a single numeric value");
        };
        match number.truncate(0).to_i64().and_then(|at| i32::try_from(at).ok()) {
            Some(at) => Ok(i64::from(at)),
            None => soft(INVALID_SUBSCRIPT, "jsonpath array subscript is out of integer range"),
        }
    }

    fn method(&self, method: Method, value: Value<'_>, scope: Scope<'_>) -> Run<Vec<Json>> {
        let name = method.name();
        let numeric = |apply: fn(&Numeric) -> Numeric| match value.as_ref() {
            Json::Number(number) => Ok(vec![Json::Number(apply(number))]),
            _ => soft(NOT_NUMERIC, format!("jsonpath item method .{name}() can only be applied to a numeric value")),
        };
        match method {
            Method::Type => Ok(vec![Json::String(value.type_name().to_string())]),
            Method::Size => match value.as_ref() {
                Json::Array(items) => Ok(vec![Json::Number(Numeric::from(items.len() as i64))]),
                _ if self.lax() => Ok(vec![Json::Number(Numeric::from(1_i64))]),
                _ if scope.lenient => Ok(Vec::new()),
                _ => soft(ARRAY_NOT_FOUND, format!("jsonpath item method .{name}() can only be applied to an array")),
            },
            Method::Abs => numeric(Numeric::absolute),
            Method::Floor => numeric(Numeric::floor),
            Method::Ceiling => numeric(Numeric::ceiling),
            Method::Double => double(&value).map(|number| vec![Json::Number(number)]),
            Method::KeyValue => match value.as_ref() {
                Json::Object(pairs) => Ok(pairs.iter().map(|(key, value)| key_value(key, value)).collect()),
                _ => soft(OBJECT_NOT_FOUND, format!("jsonpath item method .{name}() can only be applied to an object")),
            },
        }
    }

    /// True, false or unknown.
    fn condition(&self, item: &Item, scope: Scope<'_>) -> Run<Option<bool>> {
        Ok(match item {
            Item::Binary(Operation::And, left, right) => match self.condition(left, scope)? {
                Some(false) => Some(false),
                left => match (left, self.condition(right, scope)?) {
                    (_, Some(false)) => Some(false),
                    (Some(true), right) => right,
                    _ => None,
                },
            },
            Item::Binary(Operation::Or, left, right) => match self.condition(left, scope)? {
                Some(true) => Some(true),
                left => match (left, self.condition(right, scope)?) {
                    (_, Some(true)) => Some(true),
                    (Some(false), right) => right,
                    _ => None,
                },
            },
            Item::Not(inside) => self.condition(inside, scope)?.map(|holds| !holds),
            Item::IsUnknown(inside) => Some(self.condition(inside, scope)?.is_none()),
            Item::Exists(inside) => {
                let mut found = Vec::new();
                match self.item(inside, scope, &mut found) {
                    Err(Stop::Soft(_)) if self.path.strict || found.is_empty() => None,
                    Err(Stop::Hard(error)) => return Err(Stop::Hard(error)),
                    _ => Some(!found.is_empty()),
                }
            }
            Item::Binary(operation, left, right) => {
                let (Some(left), Some(right)) = (self.quietly(left, scope)?, self.quietly(right, scope)?) else {
                    return Ok(None);
                };
                let pairs = left.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
                self.any(pairs.map(|(left, right)| Ok(compared(*operation, left, right))))?
            }
            Item::LikeRegex { operand, pattern, flags } => {
                let Some(values) = self.quietly(operand, scope)? else { return Ok(None) };
                let options = regex_options(flags).map_err(Stop::Hard)?;
                let expression = crate::are::compiled(pattern, options).map_err(Stop::Hard)?;
                self.any(values.iter().map(|value| match value.as_ref() {
                    Json::String(text) => expression.is_match(text, self.environment).map(Some).map_err(Stop::Hard),
                    _ => Ok(None),
                }))?
            }
            _ => None,
        })
    }

    /// What an operand finds; nothing if there was a mistake.
    fn quietly<'s>(&'s self, item: &'s Item, scope: Scope<'s>) -> Run<Option<Vec<Value<'s>>>> {
        match self.unwrapped(item, scope) {
            Ok(values) => Ok(Some(values)),
            Err(Stop::Soft(_)) => Ok(None),
            Err(hard) => Err(hard),
        }
    }

    /// One that holds is enough, in strict mode if none is unknown.
    fn any(&self, answers: impl Iterator<Item = Run<Option<bool>>>) -> Run<Option<bool>> {
        let (mut found, mut unknown) = (false, false);
        for answer in answers {
            match answer? {
                Some(true) if self.lax() => return Ok(Some(true)),
                Some(true) => found = true,
                Some(false) => {}
                None if self.path.strict => return Ok(None),
                None => unknown = true,
            }
        }
        Ok(if found {
            Some(true)
        } else if unknown {
            None
        } else {
            Some(false)
        })
    }
}

/// The flags of `like_regex`: XQuery's, in which `.` does not match a newline by itself.
pub(super) fn regex_options(flags: &str) -> PgResult<Options> {
    if flags.contains('x') && !flags.contains('q') {
        let message = "XQuery \"x\" flag (expanded regular expressions) is not implemented";
        return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
    }
    let literal = flags.contains('q');
    Ok(Options {
        fold_case: flags.contains('i'),
        newline_stops: !literal && !flags.contains('s'),
        newline_anchors: !literal && flags.contains('m'),
        expanded: false,
        literal,
    })
}

fn elements(value: Value<'_>) -> Vec<Value<'_>> {
    match value {
        Cow::Borrowed(Json::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Owned(Json::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        other => vec![other],
    }
}

/// An array's elements, an object's values.
fn children(value: Value<'_>) -> Vec<Value<'_>> {
    match value {
        Cow::Borrowed(Json::Object(pairs)) => pairs.iter().map(|(_, value)| Cow::Borrowed(value)).collect(),
        Cow::Owned(Json::Object(pairs)) => pairs.into_iter().map(|(_, value)| Cow::Owned(value)).collect(),
        value if value.is_scalar() => Vec::new(),
        value => elements(value),
    }
}

fn member<'v>(value: &Value<'v>, name: &str) -> Option<Value<'v>> {
    match value {
        Cow::Borrowed(json) => json.field(name).map(Cow::Borrowed),
        Cow::Owned(json) => json.field(name).cloned().map(Cow::Owned),
    }
}

/// What lies at the levels below a value, each before what is inside it; of `{last}` only what has nothing inside.
fn deep<'v>(
    value: Value<'v>,
    level: u32,
    (first, last): (u32, u32),
    go_on: &mut dyn FnMut(Value<'v>) -> Run<()>,
) -> Run<()> {
    if level > last {
        return Ok(());
    }
    for child in children(value) {
        if level >= first || first == u32::MAX && last == u32::MAX && child.is_scalar() {
            go_on(child.clone())?;
        }
        if level < last && !child.is_scalar() {
            deep(child, level + 1, (first, last), go_on)?;
        }
    }
    Ok(())
}

fn double(value: &Json) -> Run<Numeric> {
    match value {
        Json::Number(number) => match crate::text::parse_float8(&number.to_string(), "double precision") {
            Ok(_) => Ok(number.clone()),
            Err(_) => {
                let message =
                    "numeric argument of jsonpath item method .double() is out of range for type double precision";
                soft(NOT_NUMERIC, message)
            }
        },
        Json::String(text) => match crate::text::parse_float8(text, "double precision") {
            Ok(number) if number.is_finite() => Ok(Numeric::from_f64(number, 15)),
            _ => soft(
                NOT_NUMERIC,
                "string argument of jsonpath item method .double() is not a valid representation of a double precision number",
            ),
        },
        _ => soft(NOT_NUMERIC, "jsonpath item method .double() can only be applied to a string or numeric value"),
    }
}

/// PostgreSQL's `id` is the object's place in the stored value, 0 for the outermost; here it is 0 always.
fn key_value(key: &str, value: &Json) -> Json {
    Json::object(vec![
        ("id".to_string(), Json::Number(Numeric::zero())),
        ("key".to_string(), Json::String(key.to_string())),
        ("value".to_string(), value.clone()),
    ])
}

/// Values of different types do not compare, but that null differs from all others is known.
fn compared(operation: Operation, left: &Json, right: &Json) -> Option<bool> {
    let order = match (left, right) {
        (Json::String(text), Json::String(prefix)) if operation == Operation::StartsWith => {
            return Some(text.starts_with(prefix.as_str()));
        }
        _ if operation == Operation::StartsWith => return None,
        (Json::Null, Json::Null) => Ordering::Equal,
        (Json::Null, _) | (_, Json::Null) => return Some(operation == Operation::NotEqual),
        (Json::Bool(left), Json::Bool(right)) => left.cmp(right),
        (Json::Number(left), Json::Number(right)) => left.cmp(right),
        (Json::String(left), Json::String(right)) => left.chars().cmp(right.chars()),
        _ => return None,
    };
    Some(match operation {
        Operation::Equal => order.is_eq(),
        Operation::NotEqual => order.is_ne(),
        Operation::Less => order.is_lt(),
        Operation::Greater => order.is_gt(),
        Operation::LessOrEqual => order.is_le(),
        _ => order.is_ge(),
    })
}
