//! One registry of functions, operators, casts and aggregates.
//!
//! Expressions are resolved against it (`resolve`), and the catalog's tables `pg_proc`, `pg_operator`, `pg_cast` and
//! `pg_aggregate` show it: **what resolves is what the catalog lists**. The tables are static; this indexes them once.
mod casts;
mod chapters;
mod defaults;
mod operators;
mod procedures;
mod resolve;

pub use casts::CASTS;
pub use defaults::{Parameter, parameters};
pub use operators::OPERATORS;
pub use resolve::{Coercion, Failure, Resolved, can_coerce, coercion};

use crate::functions::aggregate::NewAccumulator;
use crate::functions::{Function, SetFunction, WindowFunction};
use crate::oid::Oid;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a function does.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    Scalar(Function),
    Set(SetFunction),
    Aggregate(NewAccumulator),
    /// Called with OVER only.
    Window(WindowFunction),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// One row of `pg_proc`.
#[derive(Debug)]
pub struct Procedure {
    pub oid: Oid,
    pub name: &'static str,
    pub arguments: &'static [Oid],
    pub result: Oid,
    pub(self) flags: u8,
    pub body: Body,
}

impl Procedure {
    /// NULL in, NULL out, without a call.
    pub fn is_strict(&self) -> bool {
        self.flags & procedures::NULLS == 0
    }
    pub fn volatility(&self) -> Volatility {
        if self.flags & procedures::VOLATILE != 0 {
            Volatility::Volatile
        } else if self.flags & procedures::STABLE != 0 {
            Volatility::Stable
        } else {
            Volatility::Immutable
        }
    }
    pub fn is_variadic(&self) -> bool {
        self.flags & procedures::VARIADIC != 0
    }
    pub fn is_aggregate(&self) -> bool {
        matches!(self.body, Body::Aggregate(_))
    }
    /// An aggregate that is told of NULLs too.
    pub fn takes_nulls(&self) -> bool {
        const TAKERS: [&str; 5] = ["array_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg"];
        TAKERS.contains(&self.name)
    }
    /// Takes its last argument sorted, by WITHIN GROUP.
    pub fn is_ordered_set(&self) -> bool {
        matches!(self.name, "mode" | "percentile_cont" | "percentile_disc") || self.is_hypothetical()
    }
    /// Where a row of its arguments would stand among the rows, by WITHIN GROUP.
    pub fn is_hypothetical(&self) -> bool {
        self.is_aggregate() && matches!(self.name, "rank" | "dense_rank" | "percent_rank" | "cume_dist")
    }
    /// Takes each argument of any type as JSON text, with its type noted (`trivet_json`).
    pub fn takes_json(&self) -> bool {
        const TAKERS: [&str; 6] =
            ["to_json", "to_jsonb", "json_build_array", "jsonb_build_array", "json_build_object", "jsonb_build_object"];
        TAKERS.contains(&self.name)
    }
    pub fn is_window(&self) -> bool {
        matches!(self.body, Body::Window(_))
    }
    pub fn returns_set(&self) -> bool {
        matches!(self.body, Body::Set(_))
    }
}

/// One row of `pg_operator`.
#[derive(Debug)]
pub struct Operator {
    pub oid: Oid,
    pub name: &'static str,
    /// Invalid for a prefix operator.
    pub left: Oid,
    pub right: Oid,
    pub result: Oid,
    pub procedure: Oid,
    pub commutator: Oid,
    pub negator: Oid,
}

/// Where a cast may happen by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CastContext {
    Implicit,
    Assignment,
    Explicit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CastMethod {
    Procedure(Oid),
    /// Same representation.
    Binary,
    /// Through text.
    Text,
    /// To the same type: only applies a type modifier.
    Modifier,
}

/// One row of `pg_cast`.
#[derive(Debug)]
pub struct Cast {
    pub oid: Oid,
    pub source: Oid,
    pub target: Oid,
    pub context: CastContext,
    pub method: CastMethod,
}

#[derive(Debug)]
pub struct Registry {
    procedures: HashMap<Oid, &'static Procedure>,
    procedures_by_name: HashMap<&'static str, Vec<&'static Procedure>>,
    operators: HashMap<Oid, &'static Operator>,
    operators_by_name: HashMap<&'static str, Vec<&'static Operator>>,
    casts: HashMap<(Oid, Oid), &'static Cast>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry {
        procedures: HashMap::new(),
        procedures_by_name: HashMap::new(),
        operators: HashMap::new(),
        operators_by_name: HashMap::new(),
        casts: CASTS.iter().map(|cast| ((cast.source, cast.target), cast)).collect(),
    };
    for procedure in procedures() {
        registry.procedures.insert(procedure.oid, procedure);
        registry.procedures_by_name.entry(procedure.name).or_default().push(procedure);
    }
    for operator in OPERATORS {
        registry.operators.insert(operator.oid, operator);
        registry.operators_by_name.entry(operator.name).or_default().push(operator);
    }
    registry
});

/// All functions: `pg_proc`.
pub fn procedures() -> impl Iterator<Item = &'static Procedure> {
    chapters::CHAPTERS.iter().flat_map(|chapter| chapter.iter())
}

pub fn registry() -> &'static Registry {
    &REGISTRY
}

impl Registry {
    pub fn procedure(&self, oid: Oid) -> Option<&'static Procedure> {
        self.procedures.get(&oid).copied()
    }
    pub fn procedures_named(&self, name: &str) -> &[&'static Procedure] {
        self.procedures_by_name.get(name).map_or(&[], Vec::as_slice)
    }
    /// One of our own functions, by its name.
    pub fn own(&self, name: &str) -> Option<&'static Procedure> {
        self.procedures_named(name).first().copied()
    }
    pub fn operator(&self, oid: Oid) -> Option<&'static Operator> {
        self.operators.get(&oid).copied()
    }
    pub fn operators_named(&self, name: &str) -> &[&'static Operator] {
        self.operators_by_name.get(name).map_or(&[], Vec::as_slice)
    }
    pub fn cast(&self, source: Oid, target: Oid) -> Option<&'static Cast> {
        self.casts.get(&(source, target)).copied()
    }
    /// The `=` of two values of one type, as joins and IN use it.
    pub fn equality(&self, oid: Oid) -> Option<&'static Operator> {
        let exact = self.operators_named("=").iter().find(|operator| operator.left == oid && operator.right == oid);
        exact.copied().or_else(|| self.resolve_operator("=", oid, oid).ok().map(|resolved| resolved.operator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_point_at_rows_that_are_there() {
        let registry = registry();
        assert_eq!(registry.procedures.len(), procedures().count(), "procedure OIDs are unique");
        for operator in OPERATORS {
            let procedure = registry.procedure(operator.procedure).expect("an operator's procedure");
            assert_eq!(procedure.result, operator.result, "{}", operator.name);
        }
        for cast in CASTS {
            if let CastMethod::Procedure(oid) = cast.method {
                assert!(registry.procedure(oid).is_some(), "cast {} -> {}", cast.source, cast.target);
            }
        }
    }
}
