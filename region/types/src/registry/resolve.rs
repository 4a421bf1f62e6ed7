//! Overload resolution, as the manual's chapter 10 has it.
//!
//! Candidates are those whose parameters the arguments can become by implicit casts. Of these win, in turn: the most
//! exact matches; the most exact or preferred ones; and where literals of unknown type are left, the string category, or
//! the category that all agree on, and its preferred type; at last, that unknown literals have the known arguments' type.
use super::{CastContext, CastMethod, Operator, Procedure, Registry, registry};
use crate::oid::{self, Oid};
use crate::types::{Category, array_of, category, element_of, is_array, is_preferred, type_info};
use crate::user::{is_enum, is_row};

/// How one type becomes another.
#[derive(Clone, Copy, Debug)]
pub enum Coercion {
    /// The representation is the same.
    Relabel,
    Procedure(&'static Procedure),
    /// Through the text form.
    Text,
    /// Each element, through the text form or a procedure.
    Elements {
        source: Oid,
        target: Oid,
    },
}

/// Why a name did not resolve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    NotFound,
    Ambiguous,
}

/// A function or operator with the types that its arguments take.
#[derive(Clone, Debug)]
pub struct Resolved<T> {
    pub operator: T,
    pub arguments: Vec<Oid>,
    pub result: Oid,
    /// How many trailing arguments a variadic parameter took.
    pub variadic: usize,
}

/// The way from `source` to `target`, if the context allows one.
pub fn coercion(source: Oid, target: Oid, context: CastContext) -> Option<Coercion> {
    if source == target {
        return Some(Coercion::Relabel);
    }
    if let Some(cast) = registry().cast(source, target) {
        if cast.context > context {
            return None;
        }
        return Some(match cast.method {
            CastMethod::Procedure(_) if source == oid::INT2 && is_object_identifier(target) => {
                Coercion::Procedure(registry().own("trivet_oid")?)
            }
            CastMethod::Procedure(oid) => Coercion::Procedure(registry().procedure(oid)?),
            // An int4 is an oid of the same bits, but not the same `Datum`.
            CastMethod::Binary if source == oid::INT4 => Coercion::Procedure(registry().own("trivet_oid")?),
            CastMethod::Binary | CastMethod::Modifier => Coercion::Relabel,
            CastMethod::Text => Coercion::Text,
        });
    }
    if source == oid::UNKNOWN && type_info(target).is_some_and(|info| matches!(info.kind, 'b' | 'c' | 'e')) {
        return Some(Coercion::Text);
    }
    if let (true, true, Some(from), Some(to)) =
        (is_array(source), is_array(target), element_of(source), element_of(target))
    {
        return match coercion(from, to, context)? {
            Coercion::Relabel => Some(Coercion::Relabel),
            _ => Some(Coercion::Elements { source: from, target: to }),
        };
    }
    // The grammar's own vectors are read as arrays of their elements.
    match (source, target) {
        (oid::INT2VECTOR, oid::INT2_ARRAY) | (oid::OIDVECTOR, oid::OID_ARRAY) => return Some(Coercion::Relabel),
        _ => {}
    }
    // Any type becomes a string by assignment, and comes from one by an explicit cast.
    let string = |oid| category(oid) == Category::STRING && type_info(oid).is_some_and(|info| info.kind == 'b');
    let concrete = |oid| type_info(oid).is_some_and(|info| matches!(info.kind, 'b' | 'c' | 'e') || oid == oid::RECORD);
    // Any relation's row is a record.
    if target == oid::RECORD && is_row(source) {
        return Some(Coercion::Relabel);
    }
    if context >= CastContext::Assignment && string(target) && concrete(source) {
        return Some(Coercion::Text);
    }
    if context == CastContext::Explicit && string(source) && concrete(target) {
        return Some(Coercion::Text);
    }
    None
}

fn is_object_identifier(oid: Oid) -> bool {
    oid == oid::OID || type_info(oid).is_some_and(|info| info.name.starts_with("reg"))
}

fn is_polymorphic(oid: Oid) -> bool {
    matches!(
        oid,
        oid::ANYELEMENT
            | oid::ANYARRAY
            | oid::ANYNONARRAY
            | oid::ANYENUM
            | oid::ANYCOMPATIBLE
            | oid::ANYCOMPATIBLEARRAY
            | oid::ANYCOMPATIBLENONARRAY
    )
}

pub fn can_coerce(source: Oid, target: Oid, context: CastContext) -> bool {
    match target {
        _ if source == target || target == oid::ANY || source == oid::UNKNOWN => true,
        oid::ANYELEMENT | oid::ANYCOMPATIBLE => true,
        oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => {
            is_array(source) || matches!(source, oid::INT2VECTOR | oid::OIDVECTOR)
        }
        oid::ANYNONARRAY | oid::ANYCOMPATIBLENONARRAY => !is_array(source),
        oid::ANYENUM => is_enum(source),
        _ => coercion(source, target, context).is_some(),
    }
}

/// A candidate with its parameters spread to the number of arguments.
#[derive(Clone, Debug)]
struct Candidate<T> {
    item: T,
    parameters: Vec<Oid>,
    variadic: usize,
}

/// What the concrete types of polymorphic parameters are; `None` if the arguments disagree.
fn settle_polymorphic(parameters: &[Oid], arguments: &[Oid], result: Oid) -> Option<(Vec<Oid>, Oid)> {
    if !parameters.iter().copied().any(is_polymorphic) && !is_polymorphic(result) {
        return Some((parameters.to_vec(), result));
    }
    // `any...` must agree exactly; `anycompatible...` meet in a common type.
    let mut exact: Option<Oid> = None;
    let mut common: Option<Oid> = None;
    for (parameter, argument) in parameters.iter().zip(arguments) {
        if *argument == oid::UNKNOWN {
            continue;
        }
        let element = match *parameter {
            oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => element_of(*argument)?,
            _ => *argument,
        };
        match *parameter {
            oid::ANYENUM if !is_enum(element) => return None,
            oid::ANYELEMENT | oid::ANYARRAY | oid::ANYNONARRAY | oid::ANYENUM => match exact {
                None => exact = Some(element),
                Some(seen) if seen == element => {}
                Some(_) => return None,
            },
            oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLEARRAY | oid::ANYCOMPATIBLENONARRAY => {
                common = Some(match common {
                    None => element,
                    Some(seen) if seen == element => seen,
                    Some(seen) if coercion(element, seen, CastContext::Implicit).is_some() => seen,
                    Some(seen) if coercion(seen, element, CastContext::Implicit).is_some() => element,
                    Some(_) => return None,
                });
            }
            _ => {}
        }
    }
    let concrete = |oid: Oid| match oid {
        oid::ANYENUM => exact,
        oid::ANYELEMENT | oid::ANYNONARRAY => Some(exact.unwrap_or(oid::TEXT)),
        oid::ANYARRAY => array_of(exact.unwrap_or(oid::TEXT)),
        oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => Some(common.unwrap_or(oid::TEXT)),
        oid::ANYCOMPATIBLEARRAY => array_of(common.unwrap_or(oid::TEXT)),
        other => Some(other),
    };
    let settled = parameters.iter().map(|parameter| concrete(*parameter)).collect::<Option<Vec<_>>>()?;
    Some((settled, concrete(result)?))
}

/// The best of the candidates that fit, or why there is none.
fn select<T: Clone>(candidates: Vec<Candidate<T>>, arguments: &[Oid]) -> Result<Candidate<T>, Failure> {
    let mut candidates: Vec<Candidate<T>> = candidates
        .into_iter()
        .filter(|candidate| {
            let fits = |(argument, parameter): (&Oid, &Oid)| can_coerce(*argument, *parameter, CastContext::Implicit);
            arguments.iter().zip(&candidate.parameters).all(fits)
        })
        .collect();
    let known = |at: usize| arguments[at] != oid::UNKNOWN;
    let keep_best = |candidates: &mut Vec<Candidate<T>>, score: &dyn Fn(usize, Oid) -> bool| {
        let points = |candidate: &Candidate<T>| {
            candidate
                .parameters
                .iter()
                .enumerate()
                .filter(|(at, parameter)| known(*at) && score(*at, **parameter))
                .count()
        };
        let best = candidates.iter().map(points).max().unwrap_or(0);
        candidates.retain(|candidate| points(candidate) == best);
    };
    match candidates.len() {
        0 => return Err(Failure::NotFound),
        1 => return Ok(candidates.remove(0)),
        _ => {}
    }
    keep_best(&mut candidates, &|at, parameter| parameter == arguments[at] || parameter == oid::ANY);
    if candidates.len() == 1 {
        return Ok(candidates.remove(0));
    }
    keep_best(&mut candidates, &|at, parameter| {
        parameter == arguments[at] || (is_preferred(parameter) && category(parameter) == category(arguments[at]))
    });
    if candidates.len() == 1 {
        return Ok(candidates.remove(0));
    }
    if arguments.iter().all(|argument| *argument != oid::UNKNOWN) {
        return Err(Failure::Ambiguous);
    }
    settle_unknown(&mut candidates, arguments);
    if candidates.len() == 1 {
        return Ok(candidates.remove(0));
    }
    // Last: unknown literals are of the one type that the known arguments have.
    let mut known_types = arguments.iter().copied().filter(|argument| *argument != oid::UNKNOWN);
    if let Some(first) = known_types.next().filter(|first| known_types.all(|other| other == *first)) {
        let fits = |candidate: &&Candidate<T>| {
            let assumed = vec![first; candidate.parameters.len()];
            candidate.parameters.iter().all(|parameter| can_coerce(first, *parameter, CastContext::Implicit))
                && settle_polymorphic(&candidate.parameters, &assumed, oid::BOOL).is_some()
        };
        let mut fitting = candidates.iter().filter(fits);
        if let (Some(only), None) = (fitting.next(), fitting.next()) {
            return Ok(only.clone());
        }
    }
    Err(Failure::Ambiguous)
}

/// Decide each unknown argument's category, and its preferred type where candidates have it.
fn settle_unknown<T: Clone>(candidates: &mut Vec<Candidate<T>>, arguments: &[Oid]) {
    let mut decided: Vec<Option<(Category, bool)>> = vec![None; arguments.len()];
    for (at, argument) in arguments.iter().enumerate() {
        if *argument != oid::UNKNOWN {
            continue;
        }
        let mut chosen: Option<Category> = None;
        let mut has_preferred = false;
        let mut conflict = false;
        for candidate in candidates.iter() {
            let parameter = candidate.parameters[at];
            let parameter_category = category(parameter);
            match chosen {
                None => {
                    chosen = Some(parameter_category);
                    has_preferred = is_preferred(parameter);
                }
                Some(seen) if seen == parameter_category => has_preferred |= is_preferred(parameter),
                Some(_) if parameter_category == Category::STRING => {
                    chosen = Some(parameter_category);
                    has_preferred = is_preferred(parameter);
                    conflict = false;
                }
                Some(Category::STRING) => {}
                Some(_) => conflict = true,
            }
        }
        if conflict {
            return;
        }
        decided[at] = chosen.map(|category| (category, has_preferred));
    }
    let agrees = |candidate: &Candidate<T>| {
        candidate.parameters.iter().zip(&decided).all(|(parameter, wanted)| match wanted {
            None => true,
            Some((wanted, preferred)) => category(*parameter) == *wanted && (!preferred || is_preferred(*parameter)),
        })
    };
    if candidates.iter().any(agrees) {
        candidates.retain(agrees);
    }
}

impl Registry {
    /// A function by its arguments' types. A function that takes exactly these types needs no search.
    pub fn resolve_function(&self, name: &str, arguments: &[Oid]) -> Result<Resolved<&'static Procedure>, Failure> {
        let mut candidates = Vec::new();
        for procedure in self.procedures_named(name) {
            let declared = procedure.arguments;
            if declared == arguments && !declared.iter().copied().any(is_polymorphic) {
                return Ok(Resolved {
                    operator: procedure,
                    arguments: declared.to_vec(),
                    result: procedure.result,
                    variadic: 0,
                });
            }
            if declared.len() == arguments.len() && !procedure.is_variadic() {
                candidates.push(Candidate { item: *procedure, parameters: declared.to_vec(), variadic: 0 });
            } else if procedure.is_variadic() && arguments.len() >= declared.len() && !declared.is_empty() {
                let fixed = &declared[..declared.len() - 1];
                let last = declared[declared.len() - 1];
                let element = if last == oid::ANY { oid::ANY } else { element_of(last).unwrap_or(last) };
                let count = arguments.len() - fixed.len();
                let mut parameters = fixed.to_vec();
                parameters.extend(std::iter::repeat_n(element, count));
                candidates.push(Candidate { item: *procedure, parameters, variadic: count });
            }
        }
        let settled = |candidate: &Candidate<&'static Procedure>| {
            settle_polymorphic(&candidate.parameters, arguments, candidate.item.result)
        };
        candidates.retain(|candidate| settled(candidate).is_some());
        let chosen = select(candidates, arguments)?;
        let (parameters, result) = settled(&chosen).ok_or(Failure::NotFound)?;
        Ok(Resolved { operator: chosen.item, arguments: parameters, result, variadic: chosen.variadic })
    }

    /// An operator by its operands' types; a prefix operator has no left one (`Oid::INVALID`).
    pub fn resolve_operator(&self, name: &str, left: Oid, right: Oid) -> Result<Resolved<&'static Operator>, Failure> {
        let prefix = left == Oid::INVALID;
        let operators = self.operators_named(name).iter().filter(|operator| (operator.left == Oid::INVALID) == prefix);
        // A literal beside a known type is of that type, if there is such an operator.
        let (assumed_left, assumed_right) = match (left, right) {
            (oid::UNKNOWN, right) if right != oid::UNKNOWN => (right, right),
            (left, oid::UNKNOWN) if left != oid::UNKNOWN && !prefix => (left, left),
            other => other,
        };
        for operator in operators.clone() {
            if operator.left == assumed_left && operator.right == assumed_right {
                let arguments = if prefix { vec![assumed_right] } else { vec![assumed_left, assumed_right] };
                return Ok(Resolved { operator, arguments, result: operator.result, variadic: 0 });
            }
        }
        let arguments = if prefix { vec![right] } else { vec![left, right] };
        let parameters = |operator: &Operator| {
            if prefix { vec![operator.right] } else { vec![operator.left, operator.right] }
        };
        let candidates: Vec<Candidate<&'static Operator>> = operators
            .map(|operator| Candidate { item: *operator, parameters: parameters(operator), variadic: 0 })
            .filter(|candidate| settle_polymorphic(&candidate.parameters, &arguments, candidate.item.result).is_some())
            .collect();
        let chosen = select(candidates, &arguments)?;
        let settled = settle_polymorphic(&chosen.parameters, &arguments, chosen.item.result);
        let (arguments, result) = settled.ok_or(Failure::NotFound)?;
        Ok(Resolved { operator: chosen.item, arguments, result, variadic: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_resolve_as_postgresql_does() {
        let cases = [
            ("+", oid::INT4, oid::INT4, Ok((oid::INT4, oid::INT4))),
            ("+", oid::INT4, oid::INT8, Ok((oid::INT4, oid::INT8))),
            ("+", oid::INT2, oid::NUMERIC, Ok((oid::NUMERIC, oid::NUMERIC))),
            ("+", oid::INT4, oid::FLOAT8, Ok((oid::FLOAT8, oid::FLOAT8))),
            ("=", oid::TEXT, oid::UNKNOWN, Ok((oid::TEXT, oid::TEXT))),
            ("=", oid::VARCHAR, oid::VARCHAR, Ok((oid::TEXT, oid::TEXT))),
            ("=", oid::BPCHAR, oid::UNKNOWN, Ok((oid::BPCHAR, oid::BPCHAR))),
            ("=", oid::UNKNOWN, oid::UNKNOWN, Ok((oid::TEXT, oid::TEXT))),
            ("||", oid::UNKNOWN, oid::UNKNOWN, Ok((oid::TEXT, oid::TEXT))),
            ("||", oid::TEXT, oid::INT4, Ok((oid::TEXT, oid::INT4))),
            ("=", oid::INT4, oid::TEXT, Err(Failure::NotFound)),
            ("+", oid::UNKNOWN, oid::UNKNOWN, Err(Failure::Ambiguous)),
            ("-", oid::DATE, oid::INT4, Ok((oid::DATE, oid::INT4))),
            ("~~", oid::VARCHAR, oid::UNKNOWN, Ok((oid::TEXT, oid::TEXT))),
            ("=", oid::NAME, oid::TEXT, Ok((oid::NAME, oid::TEXT))),
            ("=", oid::REGCLASS, oid::OID, Ok((oid::OID, oid::OID))),
        ];
        for (name, left, right, expected) in cases {
            let found = registry().resolve_operator(name, left, right);
            let found = found.map(|resolved| (resolved.arguments[0], resolved.arguments[1]));
            assert_eq!(found, expected, "{left} {name} {right}");
        }
    }

    #[test]
    fn functions_resolve_as_postgresql_does() {
        let cases: &[(&str, &[Oid], Result<(&[Oid], Oid), Failure>)] = &[
            ("abs", &[oid::INT4], Ok((&[oid::INT4], oid::INT4))),
            ("round", &[oid::INT4], Ok((&[oid::FLOAT8], oid::FLOAT8))),
            ("upper", &[oid::UNKNOWN], Ok((&[oid::TEXT], oid::TEXT))),
            ("count", &[oid::INT4], Ok((&[oid::ANY], oid::INT8))),
            ("sum", &[oid::INT4], Ok((&[oid::INT4], oid::INT8))),
            ("max", &[oid::VARCHAR], Ok((&[oid::TEXT], oid::TEXT))),
            ("array_position", &[oid::NAME_ARRAY, oid::NAME], Ok((&[oid::NAME_ARRAY, oid::NAME], oid::INT4))),
            ("generate_series", &[oid::INT4, oid::INT8], Ok((&[oid::INT8, oid::INT8], oid::INT8))),
            ("nonesuch", &[], Err(Failure::NotFound)),
            ("upper", &[oid::INT4], Err(Failure::NotFound)),
        ];
        for (name, arguments, expected) in cases {
            let found = registry().resolve_function(name, arguments);
            let found = found.as_ref().map(|resolved| (resolved.arguments.as_slice(), resolved.result)).map_err(|f| *f);
            assert_eq!(found, *expected, "{name}");
        }
    }
}
