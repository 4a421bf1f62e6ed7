//! A path's normal text: keys in quotes, parentheses where operators of lower rank are inside.
use super::{Item, Operation, Path, Step};
use crate::json::write_string;
use std::fmt::{self, Display, Write};

impl Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        if self.strict {
            out.push_str("strict ");
        }
        write_item(&self.item, true, &mut out);
        f.write_str(&out)
    }
}

fn rank(item: &Item) -> u8 {
    match item {
        Item::Binary(operation, ..) => match operation {
            Operation::Or => 0,
            Operation::And => 1,
            Operation::Add | Operation::Subtract => 3,
            Operation::Multiply | Operation::Divide | Operation::Modulo => 4,
            _ => 2,
        },
        Item::Signed { .. } => 5,
        _ => 6,
    }
}

/// An operand, in parentheses if it binds no tighter than the item around it.
fn write_operand(operand: &Item, around: &Item, out: &mut String) {
    write_item(operand, rank(operand) <= rank(around), out);
}

fn write_item(item: &Item, parentheses: bool, out: &mut String) {
    let enclosed = parentheses && matches!(item, Item::Binary(..) | Item::Signed { .. } | Item::LikeRegex { .. });
    if enclosed {
        out.push('(');
    }
    match item {
        Item::Null => out.push_str("null"),
        Item::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Item::Number(value) => out.push_str(&value.to_string()),
        Item::String(text) => write_string(text, out),
        Item::Variable(name) => {
            out.push('$');
            write_string(name, out);
        }
        Item::Root => out.push('$'),
        Item::Current => out.push('@'),
        Item::Last => out.push_str("last"),
        Item::Binary(operation, left, right) => {
            write_operand(left, item, out);
            let _ = write!(out, " {} ", operation.sign());
            write_operand(right, item, out);
        }
        Item::Signed { negative, operand } => {
            out.push(if *negative { '-' } else { '+' });
            write_operand(operand, item, out);
        }
        Item::Not(inside) => write_in("!(", inside, ")", out),
        Item::IsUnknown(inside) => write_in("(", inside, ") is unknown", out),
        Item::Exists(inside) => write_in("exists (", inside, ")", out),
        Item::LikeRegex { operand, pattern, flags } => {
            write_operand(operand, item, out);
            out.push_str(" like_regex ");
            write_string(pattern, out);
            if !flags.is_empty() {
                let _ = write!(out, " flag \"{flags}\"");
            }
        }
        Item::Access(of, steps) => {
            let number = matches!(**of, Item::Number(_));
            if number {
                write_in("(", of, ")", out);
            } else {
                write_item(of, true, out);
            }
            steps.iter().for_each(|step| write_step(step, out));
        }
    }
    if enclosed {
        out.push(')');
    }
}

fn write_in(before: &str, item: &Item, after: &str, out: &mut String) {
    out.push_str(before);
    write_item(item, false, out);
    out.push_str(after);
}

fn write_step(step: &Step, out: &mut String) {
    match step {
        Step::Key(name) => {
            out.push('.');
            write_string(name, out);
        }
        Step::AnyKey => out.push_str(".*"),
        Step::AnyElement => out.push_str("[*]"),
        Step::Elements(subscripts) => {
            out.push('[');
            for (at, (from, to)) in subscripts.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_item(from, false, out);
                if let Some(to) = to {
                    out.push_str(" to ");
                    write_item(to, false, out);
                }
            }
            out.push(']');
        }
        Step::Deep { first, last } => {
            let level = |level: u32| if level == u32::MAX { "last".to_string() } else { level.to_string() };
            let _ = match (*first, *last) {
                (0, u32::MAX) => write!(out, ".**"),
                (first, last) if first == last => write!(out, ".**{{{}}}", level(first)),
                (first, last) => write!(out, ".**{{{} to {}}}", level(first), level(last)),
            };
        }
        Step::Filter(condition) => write_in("?(", condition, ")", out),
        Step::Method(method) => {
            let _ = write!(out, ".{}()", method.name());
        }
    }
}
