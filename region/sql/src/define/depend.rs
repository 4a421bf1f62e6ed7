//! What depends on what, and how PostgreSQL names it. Looked up in the whole catalog, which is small.
use crate::catalog::{CatalogSnapshot, Column, RelationKind, Table};
use std::collections::HashSet;
use trivet_types::functions::string::quote_identifier;
use trivet_types::user::{claim_of, is_domain, is_row, is_row_array, is_user_type, marked_types};
use trivet_types::{Oid, PgError, PgResult, Severity, is_array, sqlstate};

fn is_user_made(type_oid: Oid) -> bool {
    is_user_type(type_oid) || is_domain(type_oid) || is_row(type_oid) || is_row_array(type_oid)
}

/// Something that can be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Object {
    Schema(Oid),
    Relation(Oid),
    /// A type that a user made.
    Type(Oid),
    Column(Oid, usize),
    /// Of a composite type.
    Attribute(Oid, usize),
    /// A column's default.
    Default(Oid, usize),
    /// Of a table, by the constraint's OID.
    Constraint(Oid, Oid),
    Index(Oid, Oid),
}

/// An object that goes with another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dependent {
    pub object: Object,
    pub on: Object,
    /// Goes without being asked: it is a part, or belongs to what goes.
    pub silent: bool,
}

/// A relation's kind and name, with its schema if the path does not find it.
pub(super) fn relation_shown(snapshot: &CatalogSnapshot, table: &Table, path: &[String]) -> String {
    format!("{} {}", table.kind().word(), qualified(snapshot, table, path))
}

pub(super) fn qualified(snapshot: &CatalogSnapshot, table: &Table, path: &[String]) -> String {
    match snapshot.is_visible(table.oid, path) {
        Some(true) => quote_identifier(&table.name),
        _ => format!("{}.{}", quote_identifier(&table.schema_name), quote_identifier(&table.name)),
    }
}

/// OIDs that a stored expression names as `'16384'::regclass`.
pub(crate) fn regclass_oids(text: &str) -> Vec<Oid> {
    const CAST: &str = "'::regclass";
    let mut found = Vec::new();
    for (at, _) in text.match_indices(CAST) {
        let digits = text[..at].rsplit('\'').next().unwrap_or("");
        if let Ok(oid) = digits.parse() {
            found.push(Oid(oid));
        }
    }
    found
}

impl Object {
    /// As `getObjectDescription` has it.
    pub fn shown(self, snapshot: &CatalogSnapshot, path: &[String]) -> String {
        let of = |table: Oid| match snapshot.table(table) {
            Some(table) => relation_shown(snapshot, table, path),
            None => format!("relation {table}"),
        };
        match self {
            Object::Schema(oid) => format!("schema {}", snapshot.schema_name(oid).unwrap_or_default()),
            Object::Relation(oid) => of(oid),
            Object::Type(oid) => {
                let Some((schema, name)) = snapshot.user_types.name_of(oid) else {
                    return format!("type {oid}");
                };
                let first = path.iter().find_map(|schema| snapshot.user_types.named(schema, name));
                let visible = first.is_some_and(|first| claim_of(first) == claim_of(oid));
                let brackets = if is_array(oid) { "[]" } else { "" };
                let name = format!("{}{brackets}", quote_identifier(name));
                if visible { format!("type {name}") } else { format!("type {}.{name}", quote_identifier(schema)) }
            }
            Object::Attribute(of, at) => {
                let stored = snapshot.composites.iter().find(|stored| stored.oid == of);
                let name = stored.and_then(|stored| stored.attributes.get(at)).map(|attribute| attribute.name.as_str());
                let shown = Object::Type(of).shown(snapshot, path);
                let of = shown.strip_prefix("type ").unwrap_or(&shown);
                format!("column {} of composite type {of}", quote_identifier(name.unwrap_or_default()))
            }
            Object::Column(table, at) => format!("column {} of {}", column_name(snapshot, table, at), of(table)),
            Object::Default(table, at) => {
                format!("default value for column {} of {}", column_name(snapshot, table, at), of(table))
            }
            Object::Constraint(table, oid) => {
                let found = snapshot.table(table);
                let name = found.and_then(|table| constraint_name(table, oid)).unwrap_or_default();
                format!("constraint {name} on {}", of(table))
            }
            Object::Index(table, oid) => {
                let index = snapshot.table(table).and_then(|table| table.index(oid));
                format!("index {}", index.map(|index| index.name.as_str()).unwrap_or_default())
            }
        }
    }

    /// What goes with this object, the newest first.
    fn dependents(self, snapshot: &CatalogSnapshot) -> Vec<(Object, Object, bool)> {
        let mut found: Vec<(Oid, Object, Object, bool)> = Vec::new();
        for table in &snapshot.tables {
            self.dependents_in(table, snapshot, &mut found);
        }
        if let Object::Schema(schema) = self {
            for stored in snapshot.types.iter().filter(|stored| stored.definition.schema == schema) {
                found.push((claim_of(stored.definition.oid), Object::Type(stored.definition.oid), self, false));
            }
        }
        for stored in &snapshot.composites {
            let of = |type_oid: Oid, oid: Oid| is_user_made(type_oid) && claim_of(type_oid) == claim_of(oid);
            if matches!(self, Object::Schema(schema) if stored.schema == schema) {
                found.push((claim_of(stored.oid), Object::Type(stored.oid), self, false));
            }
            if let Object::Type(oid) = self {
                for (at, _) in stored.attributes.iter().enumerate().filter(|(_, has)| of(has.type_oid, oid)) {
                    found.push((claim_of(stored.oid), Object::Attribute(stored.oid, at), self, false));
                }
            }
        }
        for domain in snapshot.domains.iter().map(|stored| &stored.definition) {
            let depends = match self {
                Object::Schema(schema) => domain.schema == schema,
                Object::Type(oid) => claim_of(domain.over) == claim_of(oid) && is_user_made(domain.over),
                _ => false,
            };
            if depends {
                found.push((claim_of(domain.oid), Object::Type(domain.oid), self, false));
            }
        }
        found.sort_by_key(|(oid, ..)| std::cmp::Reverse(*oid));
        found.into_iter().map(|(_, object, on, silent)| (object, on, silent)).collect()
    }

    fn dependents_in(self, table: &Table, snapshot: &CatalogSnapshot, found: &mut Vec<(Oid, Object, Object, bool)>) {
        let relation = Object::Relation(table.oid);
        match self {
            Object::Schema(schema) => {
                let owned = table.sequence().is_some_and(|sequence| sequence.owned_by.is_some());
                if table.schema == schema && !owned {
                    found.push((table.oid, relation, self, false));
                }
            }
            Object::Relation(oid) => {
                if let Some(view) = table.view() {
                    if view.references.iter().any(|reference| reference.relation == oid) {
                        found.push((table.oid, relation, self, false));
                    }
                }
                if let Some(sequence) = table.sequence() {
                    if sequence.owned_by.is_some_and(|(owner, _, _)| owner == oid) {
                        found.push((table.oid, relation, self, true));
                    }
                }
                for key in table.foreign_keys.iter().filter(|key| key.table == oid && table.oid != oid) {
                    found.push((key.oid, Object::Constraint(table.oid, key.oid), self, false));
                }
                for (at, column) in table.live_columns() {
                    let uses = column.default.as_deref().is_some_and(|text| regclass_oids(text).contains(&oid));
                    if uses {
                        found.push((table.oid, Object::Default(table.oid, at), self, false));
                    }
                }
            }
            Object::Column(oid, at) => {
                if let Some(view) = table.view() {
                    let uses = |reference: &&crate::catalog::ViewReference| {
                        reference.relation == oid && reference.used.contains(&at)
                    };
                    if view.references.iter().any(|reference| uses(&reference)) {
                        found.push((table.oid, relation, self, false));
                    }
                }
                if let Some(sequence) = table.sequence() {
                    if sequence.owned_by.is_some_and(|(owner, column, _)| owner == oid && column == at) {
                        found.push((table.oid, relation, self, true));
                    }
                }
                for key in table.foreign_keys.iter().filter(|key| key.table == oid && key.referred.contains(&at)) {
                    found.push((key.oid, Object::Constraint(table.oid, key.oid), self, false));
                }
                if table.oid == oid {
                    own_parts(self, table, at, found);
                }
            }
            Object::Constraint(oid, constraint) => {
                let index = snapshot.table(oid).and_then(|table| {
                    table.constraints.iter().find(|found| found.oid == constraint).map(|found| found.index)
                });
                if let Some(index) = index {
                    for key in table.foreign_keys.iter().filter(|key| key.index == index) {
                        let on = Object::Index(oid, index);
                        found.push((key.oid, Object::Constraint(table.oid, key.oid), on, false));
                    }
                }
            }
            Object::Index(_, index) => {
                for key in table.foreign_keys.iter().filter(|key| key.index == index) {
                    found.push((key.oid, Object::Constraint(table.oid, key.oid), self, false));
                }
            }
            Object::Type(oid) => of_type(self, oid, table, found),
            Object::Default(..) | Object::Attribute(..) => {}
        }
    }
}

/// What of a table is of a user's type, or has to do with one.
fn of_type(user_type: Object, oid: Oid, table: &Table, found: &mut Vec<(Oid, Object, Object, bool)>) {
    if table.view().is_some() {
        return;
    }
    let names = |text: &str| marked_types(text).into_iter().any(|marked| claim_of(marked) == claim_of(oid));
    let is_of = |type_oid: Oid| is_user_made(type_oid) && claim_of(type_oid) == claim_of(oid);
    for (at, column) in table.live_columns().filter(|(_, column)| is_of(column.type_oid)) {
        // An array is of a type of its own.
        found.push((table.oid, Object::Column(table.oid, at), Object::Type(column.type_oid), false));
    }
    for (at, _) in table.domains.iter().filter(|(_, domain)| *domain == oid) {
        found.push((table.oid, Object::Column(table.oid, *at), user_type, false));
    }
    let mut push = |at: Oid, object: Object| found.push((at, object, user_type, false));
    let of_it = |at: usize, column: &Column| is_of(column.type_oid) || table.domain_of(at) == Some(oid);
    for (at, column) in table.live_columns().filter(|(at, column)| !of_it(*at, column)) {
        if column.generated.as_deref().is_some_and(names) {
            push(table.oid, Object::Column(table.oid, at));
        } else if column.default.as_deref().is_some_and(names) {
            push(table.oid, Object::Default(table.oid, at));
        }
    }
    for check in table.checks.iter().filter(|check| names(&check.expression)) {
        push(check.oid, Object::Constraint(table.oid, check.oid));
    }
    for index in &table.indexes {
        let keys = index.keys.iter().filter_map(|key| key.expression.as_ref());
        let texts = keys.map(|expression| expression.text.as_str()).chain(index.filter.as_deref());
        if texts.into_iter().any(names) && table.constraint_of(index.oid).is_none() {
            push(index.oid, Object::Index(table.oid, index.oid));
        }
    }
}

/// Keys, checks and generated columns of a column's own table.
fn own_parts(column: Object, table: &Table, at: usize, found: &mut Vec<(Oid, Object, Object, bool)>) {
    for (other, generated) in table.live_columns().filter(|(other, _)| *other != at) {
        if generated.generated.as_deref().is_some_and(|text| mentions_column(text, &table.columns[at].name)) {
            found.push((table.oid, Object::Column(table.oid, other), column, false));
        }
    }
    for key in table.foreign_keys.iter().filter(|key| key.columns.contains(&at)) {
        let referred = key.table == table.oid && key.referred.contains(&at);
        if !referred {
            found.push((key.oid, Object::Constraint(table.oid, key.oid), column, true));
        }
    }
    for check in &table.checks {
        if mentions_column(&check.expression, &table.columns[at].name) {
            found.push((check.oid, Object::Constraint(table.oid, check.oid), column, true));
        }
    }
    for index in &table.indexes {
        let in_text = |text: &String| mentions_column(text, &table.columns[at].name);
        let uses = index.include.contains(&at)
            || index.filter.as_ref().is_some_and(in_text)
            || index.keys.iter().any(|key| match &key.expression {
                Some(expression) => in_text(&expression.text),
                None => key.column == at,
            });
        if uses {
            let object = match table.constraint_of(index.oid) {
                Some(constraint) => Object::Constraint(table.oid, constraint.oid),
                None => Object::Index(table.oid, index.oid),
            };
            found.push((index.oid, object, column, true));
        }
    }
}

/// Is the column named in a stored expression? Stored text quotes by `quote_identifier`, so a name stands whole or not at all.
pub(crate) fn mentions_column(text: &str, column: &str) -> bool {
    let name = quote_identifier(column);
    let part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$' | '"');
    text.match_indices(&name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        // A quote within a literal is doubled, so that parity tells.
        let inside = text[..at].matches('\'').count() % 2 == 1;
        // A call of a function, or a type after a cast, is no column.
        let other = after == Some('(') || text[..at].ends_with("::");
        !inside && !other && before.is_none_or(|c| !part(c)) && after.is_none_or(|c| !part(c))
    })
}

fn column_name(snapshot: &CatalogSnapshot, table: Oid, at: usize) -> String {
    let column = snapshot.table(table).and_then(|table| table.columns.get(at));
    column.map(|column| quote_identifier(&column.name)).unwrap_or_default()
}

fn constraint_name(table: &Table, oid: Oid) -> Option<String> {
    let check = table.checks.iter().find(|check| check.oid == oid).map(|check| &check.name);
    let key = || table.constraints.iter().find(|found| found.oid == oid).map(|found| &found.name);
    let foreign = || table.foreign_key(oid).map(|key| &key.name);
    check.or_else(key).or_else(foreign).map(|name| quote_identifier(name))
}

/// Everything that goes with `roots`, each after what it depends on, in PostgreSQL's order: it goes deep first, to the newest
/// dependents first, notes an object when it has seen all that depend on it, and tells of them from the last to the first.
pub(super) fn closure(snapshot: &CatalogSnapshot, roots: &[Object]) -> Vec<Dependent> {
    let mut seen: HashSet<Object> = roots.iter().copied().collect();
    let mut all = Vec::new();
    for root in roots {
        follow(snapshot, *root, &mut seen, &mut all);
    }
    all.reverse();
    // What goes as a part of something that goes needs no mention, whatever else it depends on.
    let gone: Vec<Object> = all.iter().map(|dependent| dependent.object).chain(roots.iter().copied()).collect();
    let goes_whole = |object: Object| matches!(object, Object::Attribute(of, _) if gone.contains(&Object::Type(of)));
    all.retain(|dependent| !goes_whole(dependent.object));
    let parts: HashSet<Object> = gone
        .into_iter()
        .flat_map(|object| object.dependents(snapshot))
        .filter(|(_, _, silent)| *silent)
        .map(|(part, ..)| part)
        .collect();
    all.iter_mut().for_each(|dependent| dependent.silent |= parts.contains(&dependent.object));
    all
}

fn follow(snapshot: &CatalogSnapshot, object: Object, seen: &mut HashSet<Object>, all: &mut Vec<Dependent>) {
    for (dependent, on, silent) in object.dependents(snapshot) {
        // A part of what goes as a whole needs no mention.
        let whole = match dependent {
            Object::Column(table, _) | Object::Default(table, _) | Object::Constraint(table, _) => {
                seen.contains(&Object::Relation(table))
            }
            _ => false,
        };
        if whole || !seen.insert(dependent) {
            continue;
        }
        follow(snapshot, dependent, seen, all);
        all.push(Dependent { object: dependent, on, silent });
    }
}

/// 2BP01 unless CASCADE was said; the NOTICE if it was.
pub(super) fn tell(
    snapshot: &CatalogSnapshot,
    roots: &[Object],
    dependents: &[Dependent],
    cascade: bool,
    path: &[String],
) -> PgResult<Option<Box<PgError>>> {
    let told: Vec<&Dependent> = dependents.iter().filter(|dependent| !dependent.silent).collect();
    if told.is_empty() {
        return Ok(None);
    }
    if !cascade {
        let line = |dependent: &&Dependent| {
            format!("{} depends on {}", dependent.object.shown(snapshot, path), dependent.on.shown(snapshot, path))
        };
        let message = match roots {
            [only] => format!("cannot drop {} because other objects depend on it", only.shown(snapshot, path)),
            _ => "cannot drop desired object(s) because other objects depend on them".to_owned(),
        };
        return Err(PgError::new(sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message)
            .detail(told.iter().map(line).collect::<Vec<_>>().join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    let line = |dependent: &&Dependent| format!("drop cascades to {}", dependent.object.shown(snapshot, path));
    let notice = match told.as_slice() {
        [only] => PgError::new(sqlstate::SUCCESSFUL_COMPLETION, line(only)),
        many => {
            let message = format!("drop cascades to {} other objects", many.len());
            let lines = many.iter().map(line).collect::<Vec<_>>().join("\n");
            PgError::new(sqlstate::SUCCESSFUL_COMPLETION, message).detail(lines)
        }
    };
    Ok(Some(notice.severity(Severity::Notice)))
}

/// Is this a relation that DROP may name? Sequences of identity columns go with their column only.
pub(super) fn refuse_internal(snapshot: &CatalogSnapshot, table: &Table, path: &[String]) -> PgResult<()> {
    let Some((owner, column, true)) = table.sequence().and_then(|sequence| sequence.owned_by) else { return Ok(()) };
    let shown = Object::Column(owner, column).shown(snapshot, path);
    let message = format!("cannot drop {} because {shown} requires it", relation_shown(snapshot, table, path));
    Err(PgError::new(sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message).hint(format!("You can drop {shown} instead.")))
}

/// What a name in DROP stands for, when it is another kind than the statement says.
pub(super) fn other_kind(name: &str, wanted: RelationKind, found: RelationKind) -> Box<PgError> {
    let article = |kind: RelationKind| if kind == RelationKind::Index { "an" } else { "a" };
    let message = format!("\"{name}\" is not {} {}", article(wanted), wanted.word());
    let hint = format!("Use DROP {} to remove {} {}.", found.word().to_uppercase(), article(found), found.word());
    PgError::new(sqlstate::WRONG_OBJECT_TYPE, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_expressions() {
        assert!(mentions_column("(a > 0)", "a"));
        assert!(mentions_column("(\"A b\" > 0)", "A b"));
        assert!(!mentions_column("(ab > 0)", "a"));
        assert!(!mentions_column("('a'::text = b)", "a"));
        assert!(!mentions_column("(lower(b) = c)", "lower"));
        assert!(!mentions_column("((b)::date = c)", "date"));
        assert_eq!(regclass_oids("nextval('16385'::regclass)"), [Oid(16385)]);
    }
}
