//! SQL text of catalog objects, as `pg_get_indexdef` and its like give it.
use super::Reader;
use crate::catalog::{ConstraintKind, ForeignKey, Index, IndexExpression, ReferentialAction, Table, Trait};
use trivet_types::Oid;
use trivet_types::functions::string::quote_identifier;

fn computed(reader: &Reader<'_>, table: &Table, expression: &IndexExpression, pretty: bool) -> String {
    parenthesized(&reader.expression(table.oid, &expression.text, pretty))
}

fn key_columns(reader: &Reader<'_>, table: &Table, index: &Index, with_order: bool, pretty: bool) -> String {
    let shown = index.keys.iter().enumerate().map(|(at, key)| {
        let mut text = match &key.expression {
            Some(expression) => computed(reader, table, expression, pretty),
            None => quote_identifier(&table.columns[key.column].name),
        };
        if let Some(class) = table.class_of(index.oid, at).filter(|_| with_order) {
            text.push(' ');
            text.push_str(super::operator_class::name_of(class));
        }
        if with_order && key.descending {
            text.push_str(" DESC");
        }
        if with_order && key.nulls_first != key.descending {
            text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
        text
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// A function's call stands as it is, anything else in parentheses.
fn parenthesized(text: &str) -> String {
    let is_call = text.ends_with(')')
        && text.split('(').next().is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '"'))
        });
    if is_call { text.to_owned() } else { format!("({text})") }
}

/// `CREATE UNIQUE INDEX ...`; with a column number, only that key.
pub fn index_definition(reader: &Reader<'_>, oid: Oid, column: i64, pretty: bool) -> Option<String> {
    let table = reader.catalog.table_of_index(oid)?;
    let index = table.index(oid)?;
    if column > 0 {
        let at = usize::try_from(column - 1).ok()?;
        let Some(key) = index.keys.get(at) else {
            let included = at.checked_sub(index.keys.len()).and_then(|at| index.include.get(at));
            return included.map(|column| quote_identifier(&table.columns[*column].name));
        };
        return Some(match &key.expression {
            Some(expression) => computed(reader, table, expression, pretty),
            None => quote_identifier(&table.columns[key.column].name),
        });
    }
    let unique = if table.is_unique(index) { "UNIQUE " } else { "" };
    let mut text = format!(
        "CREATE {unique}INDEX {} ON {}.{} USING {} ({})",
        quote_identifier(&index.name),
        quote_identifier(&table.schema_name),
        quote_identifier(&table.name),
        table.method_of(index),
        key_columns(reader, table, index, true, pretty)
    );
    if !index.include.is_empty() {
        text.push_str(&format!(" INCLUDE ({})", column_list(table, &index.include)));
    }
    if index.nulls_collide {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(filter) = &index.filter {
        let filter = reader.expression(table.oid, filter, pretty);
        text.push_str(&format!(" WHERE {}", if pretty { filter } else { in_parentheses(&filter) }));
    }
    Some(text)
}

/// A condition as definitions show it: in one pair of parentheses.
fn in_parentheses(text: &str) -> String {
    if text.starts_with('(') && text.ends_with(')') && matching(text) == Some(text.len() - 1) {
        text.to_owned()
    } else {
        format!("({text})")
    }
}

/// Where the parenthesis at the text's start is closed.
fn matching(text: &str) -> Option<usize> {
    let (mut depth, mut quoted) = (0usize, false);
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn column_list(table: &Table, columns: &[usize]) -> String {
    let names = columns.iter().map(|column| quote_identifier(&table.columns[*column].name));
    names.collect::<Vec<_>>().join(", ")
}

/// `PRIMARY KEY (a, b)`
pub fn constraint_definition(reader: &Reader<'_>, oid: Oid, pretty: bool) -> Option<String> {
    for table in &reader.catalog.tables {
        if let Some(constraint) = table.constraints.iter().find(|constraint| constraint.oid == oid) {
            let index = table.index(constraint.index)?;
            let word = match constraint.kind {
                ConstraintKind::PrimaryKey => "PRIMARY KEY",
                ConstraintKind::Unique if index.nulls_collide => "UNIQUE NULLS NOT DISTINCT",
                ConstraintKind::Unique => "UNIQUE",
            };
            let waits = match table.deferrable(index.oid) {
                None => "",
                Some(false) => " DEFERRABLE",
                Some(true) => " DEFERRABLE INITIALLY DEFERRED",
            };
            return Some(format!("{word} ({}){waits}", key_columns(reader, table, index, false, pretty)));
        }
        if let Some(check) = table.checks.iter().find(|check| check.oid == oid) {
            let not_valid = if check.validated { "" } else { " NOT VALID" };
            let no_inherit = if table.has_trait(check.oid, Trait::NoInherit) { " NO INHERIT" } else { "" };
            let text = reader.expression(table.oid, &check.expression, pretty);
            return Some(format!("CHECK ({text}){no_inherit}{not_valid}"));
        }
        if let Some(key) = table.foreign_key(oid) {
            return foreign_key_definition(reader, table, key);
        }
    }
    let mut domains = reader.catalog.domains.iter().map(|stored| &stored.definition);
    let (domain, check) =
        domains.find_map(|domain| Some((domain, domain.checks.iter().find(|check| check.oid == oid)?)))?;
    let not_valid = if check.validated { "" } else { " NOT VALID" };
    Some(format!("CHECK ({}){not_valid}", reader.condition(domain, &check.expression, pretty)))
}

fn foreign_key_definition(reader: &Reader<'_>, table: &Table, key: &ForeignKey) -> Option<String> {
    let parent = reader.catalog.table(key.table)?;
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}({})",
        column_list(table, &key.columns),
        reader.shown(parent.oid)?,
        column_list(parent, &key.referred)
    );
    if key.full {
        text.push_str(" MATCH FULL");
    }
    let word = |action: ReferentialAction| match action {
        ReferentialAction::NoAction => None,
        ReferentialAction::Restrict => Some("RESTRICT"),
        ReferentialAction::Cascade => Some("CASCADE"),
        ReferentialAction::SetNull => Some("SET NULL"),
        ReferentialAction::SetDefault => Some("SET DEFAULT"),
    };
    if let Some(word) = word(key.on_update) {
        text.push_str(&format!(" ON UPDATE {word}"));
    }
    if let Some(word) = word(key.on_delete) {
        text.push_str(&format!(" ON DELETE {word}"));
        if !key.set_columns.is_empty() {
            text.push_str(&format!(" ({})", column_list(table, &key.set_columns)));
        }
    }
    if key.deferrable {
        text.push_str(" DEFERRABLE");
    }
    if key.deferred {
        text.push_str(" INITIALLY DEFERRED");
    }
    if !key.validated {
        text.push_str(" NOT VALID");
    }
    Some(text)
}

/// A stored expression with the names of relations that it has by OID: `nextval('16384'::regclass)`.
pub fn names_for_oids(text: &str, shown: &dyn Fn(Oid) -> Option<String>) -> String {
    const CAST: &str = "'::regclass";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find(CAST) {
        let start = rest[..end].rfind('\'').map_or(0, |quote| quote + 1);
        let name = rest[start..end].parse().ok().and_then(|oid| shown(Oid(oid)));
        out.push_str(&rest[..start]);
        match name {
            Some(name) => out.push_str(&name.replace('\'', "''")),
            None => out.push_str(&rest[start..end]),
        }
        out.push_str(CAST);
        rest = &rest[end + CAST.len()..];
    }
    out.push_str(rest);
    out
}

/// Constants and names lose the parentheses that only casts of larger things need; a CHECK keeps one pair.
pub(super) fn prettied(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('(') {
        out.push_str(&rest[..start]);
        let inner = &rest[start + 1..];
        let plain = inner.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(inner.len());
        match inner[plain..].strip_prefix(")::") {
            Some(after) if plain > 0 => {
                out.push_str(&inner[..plain]);
                out.push_str("::");
                rest = after;
            }
            _ => {
                out.push('(');
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    // An index's condition: its parentheses are the definition's own.
    if let Some((definition, condition)) = out.split_once(" WHERE (") {
        return format!("{definition} WHERE {}", without_parentheses(&format!("({condition}")));
    }
    match out.strip_prefix("CHECK (").and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => format!("CHECK ({})", without_parentheses(inner)),
        None => out,
    }
}

/// Without the pair of parentheses around the whole.
pub(super) fn without_parentheses(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) else { return text };
    let (mut depth, mut quoted) = (0i32, false);
    for character in inner.chars() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return text;
        }
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_parentheses() {
        assert_eq!(prettied("CHECK ((salary > (0)::numeric))"), "CHECK (salary > 0::numeric)");
        assert_eq!(prettied("CHECK (((a > 0) AND (b < 'x)'::text)))"), "CHECK ((a > 0) AND (b < 'x)'::text))");
        assert_eq!(without_parentheses("(a) OR (b)"), "(a) OR (b)");
        assert_eq!(without_parentheses("(note IS NOT NULL)"), "note IS NOT NULL");
    }
}
