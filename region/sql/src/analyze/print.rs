//! A typed expression as SQL text that reads back the same: for stored defaults and checks, and `pg_get_expr`.
use crate::typed::{Expr, ExprKind};
use trivet_types::functions::string::quote_identifier;
use trivet_types::registry::{OPERATORS, Procedure};
use trivet_types::{Datum, Environment, NoEnvironment, display_name, oid, text};

/// Column names by (relation, column).
pub fn print_expr(expr: &Expr, columns: &dyn Fn(usize, usize) -> String) -> String {
    print_names(expr, &|_, relation, column| columns(relation, column), &|_| None, &|_| None)
}

/// Column names by (queries out, relation, column); grouping keys and aggregates by number, if somebody knows them.
pub fn print_names(
    expr: &Expr,
    columns: &dyn Fn(usize, usize, usize) -> String,
    keys: &dyn Fn(usize) -> Option<String>,
    aggregates: &dyn Fn(usize) -> Option<String>,
) -> String {
    let print = |expr: &Expr| print_names(expr, columns, keys, aggregates);
    let list = |exprs: &[Expr]| exprs.iter().map(print).collect::<Vec<_>>().join(", ");
    let joined = |exprs: &[Expr], word: &str| format!("({})", exprs.iter().map(print).collect::<Vec<_>>().join(word));
    if let Some(word) = grammar_word(expr) {
        return word;
    }
    match &expr.kind {
        ExprKind::Constant(datum) => constant(datum, expr, &NoEnvironment::default()),
        ExprKind::Parameter(index) => format!("${}", index + 1),
        ExprKind::Column { up, relation, column } => columns(*up, *relation, *column),
        ExprKind::Aggregate(index) => aggregates(*index).unwrap_or_else(|| format!("aggregate{index}")),
        ExprKind::GroupKey(index) => keys(*index).unwrap_or_else(|| format!("key{index}")),
        ExprKind::Window(index) => format!("window{index}"),
        ExprKind::Grouping(list) => format!("GROUPING({})", joined(list, ", ")),
        ExprKind::GroupingValue(index) => format!("grouping{index}"),
        ExprKind::Field { operand, field } => format!("({}).f{}", print(operand), field + 1),
        ExprKind::Call { procedure, arguments } => call(procedure, arguments, expr, &print),
        ExprKind::Convert(operand) => match &operand.kind {
            ExprKind::Constant(Datum::Text(literal)) if operand.type_oid == oid::UNKNOWN => {
                format!("{}::{}", literal_text(literal), display_name(expr.type_oid, expr.modifier))
            }
            _ => format!("({})::{}", print(operand), display_name(expr.type_oid, expr.modifier)),
        },
        ExprKind::ConvertElements(operand) | ExprKind::Relabel(operand) => {
            format!("({})::{}", print(operand), display_name(expr.type_oid, expr.modifier))
        }
        ExprKind::Domain { operand, rules } => match &operand.kind {
            ExprKind::Constant(Datum::Text(literal)) => {
                format!("{}::{}", literal_text(literal), display_name(rules.domain, -1))
            }
            _ => format!("({})::{}", print(operand), display_name(rules.domain, -1)),
        },
        // A constant's length is applied again where it is stored.
        ExprKind::Fit { operand, .. } if matches!(operand.kind, ExprKind::Constant(_)) => print(operand),
        ExprKind::Fit { operand, .. } => {
            format!("({})::{}", print(operand), display_name(expr.type_oid, expr.modifier))
        }
        ExprKind::And(terms) => joined(terms, " AND "),
        ExprKind::Or(terms) => joined(terms, " OR "),
        ExprKind::Not(operand) => format!("(NOT {})", print(operand)),
        ExprKind::IsNull { operand, negated } => {
            format!("({} IS {}NULL)", print(operand), if *negated { "NOT " } else { "" })
        }
        ExprKind::IsBoolean { operand, value, negated } => {
            let value = if *value { "TRUE" } else { "FALSE" };
            format!("({} IS {}{value})", print(operand), if *negated { "NOT " } else { "" })
        }
        ExprKind::Distinct { left, right, negated } => {
            format!("({} IS {}DISTINCT FROM {})", print(left), if *negated { "NOT " } else { "" }, print(right))
        }
        ExprKind::Case { branches, otherwise } => {
            let mut text = String::from("CASE");
            for (when, then) in branches {
                text.push_str(&format!(" WHEN {} THEN {}", print(when), print(then)));
            }
            if let Some(otherwise) = otherwise {
                text.push_str(&format!(" ELSE {}", print(otherwise)));
            }
            text + " END"
        }
        ExprKind::Coalesce(arguments) => format!("COALESCE({})", list(arguments)),
        ExprKind::Extreme { arguments, greatest } => {
            format!("{}({})", if *greatest { "GREATEST" } else { "LEAST" }, list(arguments))
        }
        ExprKind::Quantified { procedure, left, right, all } => {
            let word = if *all { "ALL" } else { "ANY" };
            format!("({} {} {word} ({}))", print(left), operator_name(procedure).unwrap_or("="), print(right))
        }
        ExprKind::Array(items) => format!("ARRAY[{}]", list(items)),
        ExprKind::Subscript { operand, indexes } => {
            let indexes: String = indexes.iter().map(|index| format!("[{}]", print(index))).collect();
            format!("({}){indexes}", print(operand))
        }
        ExprKind::Row(items) | ExprKind::NamedRow { items, .. } => format!("ROW({})", list(items)),
        ExprKind::Slice { operand, bounds } => {
            let bound = |bound: &Option<Expr>| bound.as_ref().map(&print).unwrap_or_default();
            let shown_bounds = bounds.iter().map(|(lower, upper)| format!("[{}:{}]", bound(lower), bound(upper)));
            format!("{}{}", print(operand), shown_bounds.collect::<String>())
        }
        ExprKind::Subquery(_) => "(SubPlan)".to_string(),
    }
}

pub(super) fn constant(datum: &Datum, expr: &Expr, environment: &dyn Environment) -> String {
    // `character` without a length would be one of 1.
    let type_name = || match (expr.type_oid, expr.modifier) {
        (oid::BPCHAR, -1) => "bpchar".to_owned(),
        _ => display_name(expr.type_oid, expr.modifier),
    };
    match datum {
        Datum::Null if expr.type_oid == oid::UNKNOWN => "NULL".to_string(),
        Datum::Null => format!("NULL::{}", type_name()),
        Datum::Bool(value) => value.to_string(),
        Datum::Int4(value) if *value >= 0 => value.to_string(),
        Datum::Numeric(value)
            if expr.modifier < 0 && value.to_string().contains('.') && !value.to_string().starts_with('-') =>
        {
            value.to_string()
        }
        _ => {
            let text = text::output(expr.type_oid, datum, environment).unwrap_or_default();
            let literal = literal_text(&text);
            if expr.type_oid == oid::UNKNOWN { literal } else { format!("{literal}::{}", type_name()) }
        }
    }
}

/// A constant as PostgreSQL writes it in definitions: backslashes are nothing special there.
pub(super) fn literal_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn operator_name(procedure: &Procedure) -> Option<&'static str> {
    OPERATORS.iter().find(|operator| operator.procedure == procedure.oid).map(|operator| operator.name)
}

/// `CURRENT_TIMESTAMP(3)` and the other words that stand for a call.
pub(super) fn grammar_word(expr: &Expr) -> Option<String> {
    let is_now = |expr: &Expr| matches!(&expr.kind, ExprKind::Call { procedure, .. } if procedure.name == NOW);
    let precise = |word: &str| match expr.modifier {
        0.. => format!("{word}({})", expr.modifier),
        _ => word.to_owned(),
    };
    match &expr.kind {
        ExprKind::Call { procedure, arguments } if arguments.is_empty() => match procedure.name {
            NOW => Some("CURRENT_TIMESTAMP".to_owned()),
            "current_user" => Some("CURRENT_USER".to_owned()),
            "session_user" => Some("SESSION_USER".to_owned()),
            _ => None,
        },
        ExprKind::Call { arguments, .. } => match arguments.as_slice() {
            [now, ..] if is_now(now) => match expr.type_oid {
                oid::DATE => Some("CURRENT_DATE".to_owned()),
                oid::TIME => Some("LOCALTIME".to_owned()),
                oid::TIMESTAMP => Some("LOCALTIMESTAMP".to_owned()),
                _ => None,
            },
            _ => None,
        },
        ExprKind::Fit { operand, .. } => match (expr.type_oid, grammar_word(operand).as_deref()) {
            (oid::TIMESTAMPTZ, Some(word @ "CURRENT_TIMESTAMP")) => Some(precise(word)),
            (oid::TIMESTAMP, Some(word @ "LOCALTIMESTAMP")) => Some(precise(word)),
            (oid::TIME, Some(word @ "LOCALTIME")) => Some(precise(word)),
            _ => None,
        },
        _ => None,
    }
}

/// What CURRENT_TIMESTAMP is made of.
const NOW: &str = "trivet_current_timestamp";

fn call(procedure: &Procedure, arguments: &[Expr], expr: &Expr, print: &dyn Fn(&Expr) -> String) -> String {
    // Casts that a function performs read back as casts.
    if let [only] = arguments {
        let is_cast = trivet_types::registry::registry().cast(only.type_oid, expr.type_oid).is_some_and(
            |cast| matches!(cast.method, trivet_types::registry::CastMethod::Procedure(oid) if oid == procedure.oid),
        );
        if is_cast {
            return format!("({})::{}", print(only), display_name(expr.type_oid, expr.modifier));
        }
    }
    match (operator_name(procedure), arguments) {
        (Some(operator), [left, right]) => format!("({} {operator} {})", print(left), print(right)),
        (Some(operator), [operand]) => format!("({operator} {})", print(operand)),
        _ => {
            let arguments: Vec<String> = arguments.iter().map(print).collect();
            format!("{}({})", quote_identifier(procedure.name), arguments.join(", "))
        }
    }
}
