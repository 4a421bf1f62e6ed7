//! Changing `jsonb`: `|| - #-`, `jsonb_set` and its kin.
use super::access::index_of;
use super::*;
use crate::error::SqlState;
use crate::json::{Kind, Node, array_position, parse, write_string};

fn as_items(json: Json) -> Vec<Json> {
    match json {
        Json::Array(items) => items,
        other => vec![other],
    }
}

/// `||`: objects merge, everything else becomes one array.
pub fn jsonb_concatenate(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let joined = match (jsonb(a, 0)?, jsonb(a, 1)?) {
        (Json::Object(mut left), Json::Object(right)) => {
            left.extend(right);
            Json::object(left)
        }
        (left, right) => {
            let mut items = as_items(left);
            items.extend(as_items(right));
            Json::Array(items)
        }
    };
    Ok(shown(&joined))
}

fn without_keys(json: Json, unwanted: &[&str]) -> PgResult<Json> {
    match json {
        Json::Object(pairs) => {
            Ok(Json::Object(pairs.into_iter().filter(|(key, _)| !unwanted.contains(&key.as_str())).collect()))
        }
        Json::Array(items) => {
            let keep = |item: &Json| !matches!(item, Json::String(text) if unwanted.contains(&text.as_str()));
            Ok(Json::Array(items.into_iter().filter(keep).collect()))
        }
        _ => Err(invalid("cannot delete from scalar")),
    }
}
/// `jsonb - text`
pub fn jsonb_delete_key(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(shown(&without_keys(jsonb(a, 0)?, &[text(a, 1)?])?))
}
/// `jsonb - text[]`
pub fn jsonb_delete_keys(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let keys: Vec<&str> = path(a, 1)?.into_iter().flatten().collect();
    Ok(shown(&without_keys(jsonb(a, 0)?, &keys)?))
}
/// `jsonb - integer`
pub fn jsonb_delete_index(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match jsonb(a, 0)? {
        Json::Array(mut items) => {
            if let Some(at) = array_position(items.len(), int(a, 1)?) {
                items.remove(at);
            }
            Ok(shown(&Json::Array(items)))
        }
        Json::Object(_) => Err(invalid("cannot delete from object using integer index")),
        _ => Err(invalid("cannot delete from scalar")),
    }
}

/// What happens at a path's end.
enum Change {
    Delete,
    /// Replace what is there; put it there if nothing is and `create`.
    Set {
        value: Json,
        create: bool,
    },
    Insert {
        value: Json,
        after: bool,
    },
    /// As an assignment to a subscript: what the path lacks is made on the way.
    Assign(Json),
}

struct Steps<'a> {
    path: Vec<Option<&'a str>>,
    change: Change,
}

impl Steps<'_> {
    fn step(&self, depth: usize) -> PgResult<&str> {
        self.path[depth].ok_or_else(|| {
            let code = SqlState(*b"22004");
            PgError::new(code, format!("path element at position {} is null", depth + 1))
        })
    }

    fn apply(&self, json: Json, depth: usize) -> PgResult<Json> {
        let last = depth + 1 == self.path.len();
        match json {
            Json::Object(pairs) => self.apply_to_object(pairs, depth, last),
            Json::Array(items) => self.apply_to_array(items, depth, last),
            _ if matches!(self.change, Change::Assign(_)) => Err(invalid("cannot replace existing key")
                .detail("The path assumes key is a composite object, but it is a scalar value.")),
            scalar => {
                self.step(depth)?;
                Ok(scalar)
            }
        }
    }

    fn apply_to_object(&self, mut pairs: Vec<(String, Json)>, depth: usize, last: bool) -> PgResult<Json> {
        let key = self.step(depth)?;
        let found = pairs.iter().position(|(name, _)| name == key);
        match (found, last, &self.change) {
            (Some(at), false, _) => {
                let inner = std::mem::replace(&mut pairs[at].1, Json::Null);
                pairs[at].1 = self.apply(inner, depth + 1)?;
            }
            (Some(at), true, Change::Delete) => {
                pairs.remove(at);
            }
            (Some(at), true, Change::Set { value, .. } | Change::Assign(value)) => pairs[at].1 = value.clone(),
            (None, _, Change::Assign(value)) => {
                pairs.push((key.to_string(), self.made(value, depth + 1)));
                return Ok(Json::object(pairs));
            }
            (Some(_), true, Change::Insert { .. }) => {
                return Err(invalid("cannot replace existing key")
                    .hint("Try using the function jsonb_set to replace key value."));
            }
            (None, true, Change::Set { value, create: true } | Change::Insert { value, .. }) => {
                pairs.push((key.to_string(), value.clone()));
                return Ok(Json::object(pairs));
            }
            (None, ..) => {}
        }
        Ok(Json::Object(pairs))
    }

    fn apply_to_array(&self, mut items: Vec<Json>, depth: usize, last: bool) -> PgResult<Json> {
        let step = self.step(depth)?;
        let index = index_of(step).ok_or_else(|| {
            let message = format!("path element at position {} is not an integer: \"{step}\"", depth + 1);
            PgError::new(sqlstate::INVALID_TEXT_REPRESENTATION, message)
        })?;
        let found = array_position(items.len(), index);
        if let (None, Change::Assign(value)) = (found, &self.change) {
            let wanted = usize::try_from(index)
                .map_err(|_| invalid(format!("path element at position {} is out of range: {index}", depth + 1)))?;
            items.resize(wanted, Json::Null);
            items.push(self.made(value, depth + 1));
            return Ok(Json::Array(items));
        }
        // Outside of the array: before its first or after its last element.
        let beyond = if index < 0 { 0 } else { items.len() };
        match (found, last, &self.change) {
            (Some(at), false, _) => {
                let inner = std::mem::replace(&mut items[at], Json::Null);
                items[at] = self.apply(inner, depth + 1)?;
            }
            (Some(at), true, Change::Delete) => {
                items.remove(at);
            }
            (Some(at), true, Change::Set { value, .. } | Change::Assign(value)) => items[at] = value.clone(),
            (Some(at), true, Change::Insert { value, after }) => items.insert(at + usize::from(*after), value.clone()),
            (None, true, Change::Set { value, create: true } | Change::Insert { value, .. }) => {
                items.insert(beyond, value.clone());
            }
            (None, ..) => {}
        }
        Ok(Json::Array(items))
    }

    /// A value inside of what the rest of the path asks for: arrays where it has integers.
    fn made(&self, value: &Json, depth: usize) -> Json {
        let Some(step) = self.path.get(depth).copied().flatten() else { return value.clone() };
        let inside = self.made(value, depth + 1);
        match step.parse::<i32>() {
            Ok(index) => {
                let mut items = vec![Json::Null; usize::try_from(index).unwrap_or(0)];
                items.push(inside);
                Json::Array(items)
            }
            Err(_) => Json::Object(vec![(step.to_string(), inside)]),
        }
    }
}

fn changed(a: &[Datum], change: Change, scalar: &str) -> PgResult<Datum> {
    let json = jsonb(a, 0)?;
    if json.is_scalar() {
        return Err(invalid(scalar));
    }
    let steps = Steps { path: texts(a, 1)?, change };
    if steps.path.is_empty() {
        return Ok(a[0].clone());
    }
    Ok(shown(&steps.apply(json, 0)?))
}

/// `#-`
pub fn jsonb_delete_path(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    changed(a, Change::Delete, "cannot delete path in scalar")
}
/// `j['a'][0] = value`; the last argument says that a `j` that is NULL becomes an array.
pub fn jsonb_assign(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let path = texts(a, 2)?;
    if path.iter().any(Option::is_none) {
        return Err(PgError::new(SqlState(*b"22004"), "jsonb subscript in assignment must not be null"));
    }
    if path.iter().flatten().any(|step| step.parse::<i32>().is_ok_and(|index| index > ELEMENTS_MAX)) {
        return Err(PgError::new(
            sqlstate::PROGRAM_LIMIT_EXCEEDED,
            "number of jsonb array elements exceeds the maximum allowed",
        ));
    }
    let value = if a[1].is_null() { Json::Null } else { jsonb(a, 1)? };
    let target = match &a[0] {
        Datum::Null if boolean(a, 3)? => Json::Array(Vec::new()),
        Datum::Null => Json::Object(Vec::new()),
        _ => jsonb(a, 0)?,
    };
    Ok(shown(&Steps { path, change: Change::Assign(value) }.apply(target, 0)?))
}
/// What an assignment may fill up with nulls.
const ELEMENTS_MAX: i32 = 1 << 24;

/// `jsonb_set(target, path, value, create)`
pub fn jsonb_set(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let create = if a.len() > 3 { boolean(a, 3)? } else { true };
    changed(a, Change::Set { value: jsonb(a, 2)?, create }, "cannot set path in scalar")
}
/// `jsonb_insert(target, path, value, after)`
pub fn jsonb_insert(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let after = a.len() > 3 && boolean(a, 3)?;
    changed(a, Change::Insert { value: jsonb(a, 2)?, after }, "cannot set path in scalar")
}
/// `jsonb_set_lax(target, path, value, create, what to do with NULL)`
pub fn jsonb_set_lax(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    if a[0].is_null() || a[1].is_null() || a[3].is_null() {
        return Ok(Datum::Null);
    }
    if a[4].is_null() {
        return Err(invalid(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        ));
    }
    if !a[2].is_null() {
        return jsonb_set(environment, &a[..4]);
    }
    match text(a, 4)?.as_str() {
        "raise_exception" => Err(PgError::new(SqlState(*b"22004"), "JSON value must not be null")
            .detail("Exception was raised because null_value_treatment is \"raise_exception\".")
            .hint(
                "To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.",
            )),
        "use_json_null" => {
            let arguments = [a[0].clone(), a[1].clone(), Datum::text("null"), a[3].clone()];
            jsonb_set(environment, &arguments)
        }
        "delete_key" => jsonb_delete_path(environment, &a[..2]),
        "return_target" => Ok(a[0].clone()),
        _ => Err(invalid(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        )),
    }
}

fn without_nulls(json: Json) -> Json {
    match json {
        Json::Array(items) => Json::Array(items.into_iter().map(without_nulls).collect()),
        Json::Object(pairs) => {
            let kept = pairs.into_iter().filter(|(_, value)| !matches!(value, Json::Null));
            Json::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        scalar => scalar,
    }
}
pub fn jsonb_strip_nulls(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(shown(&without_nulls(jsonb(a, 0)?)))
}

fn write_stripped(node: &Node<'_>, out: &mut String) {
    match &node.kind {
        Kind::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_stripped(item, out);
            }
            out.push(']');
        }
        Kind::Object(pairs) => {
            out.push('{');
            let mut first = true;
            for (key, value) in pairs.iter().filter(|(_, value)| !matches!(value.kind, Kind::Null)) {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_stripped(value, out);
            }
            out.push('}');
        }
        Kind::String(text) => write_string(text, out),
        _ => out.push_str(node.raw),
    }
}
pub fn json_strip_nulls(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let node = parse(text(a, 0)?, true)?;
    let mut out = String::new();
    write_stripped(&node, &mut out);
    Ok(Datum::text(out))
}
