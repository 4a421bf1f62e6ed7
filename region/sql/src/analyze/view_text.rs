//! A view's text for a reader with another search path, or after its tables were renamed: the names in FROM are written as the
//! reader would have to write them, all else stays as it was typed.
use super::names::named_tables;
use crate::catalog::View;
use crate::parser::parse;
use crate::parser::tree::{QualifiedName, Statement};
use trivet_types::Oid;
use trivet_types::functions::string::quote_identifier;

/// `shown` writes a relation's name, with its schema where the reader needs that.
pub fn view_text(view: &View, shown: &dyn Fn(Oid) -> Option<String>) -> String {
    let parsed = parse(&view.query).ok().filter(|parsed| parsed.len() == 1).and_then(|mut parsed| parsed.pop());
    let Some(Statement::Query(query)) = parsed.map(|parsed| parsed.statement) else { return view.query.clone() };
    let mut replacements: Vec<(usize, usize, String)> = Vec::new();
    for (name, has_alias) in named_tables(&query) {
        let named = |schema: &Option<String>| schema.as_deref() == name.schema();
        let reference = view.references.iter().find(|known| known.name == name.last() && named(&known.schema));
        let Some(mut text) = reference.and_then(|reference| shown(reference.relation)) else { continue };
        let Some((start, end)) = extent(&view.query, &name) else { continue };
        // Other parts of the text go on calling it by its old name.
        let last = quote_identifier(name.last());
        if !has_alias && text != *last && !text.ends_with(&format!(".{last}")) {
            text = format!("{text} {last}");
        }
        if view.query[start..end] != text {
            replacements.push((start, end, text));
        }
    }
    replacements.sort_unstable();
    replacements.dedup();
    let mut text = view.query.clone();
    for (start, end, replacement) in replacements.into_iter().rev() {
        text.replace_range(start..end, &replacement);
    }
    text
}

/// Where a name begins and ends, in bytes.
fn extent(text: &str, name: &QualifiedName) -> Option<(usize, usize)> {
    let offset = |place: u32| text.char_indices().map(|(at, _)| at).nth(place as usize - 1);
    let first = offset(name.parts.first()?.place.known()?)?;
    let last = offset(name.parts.last()?.place.known()?)?;
    let rest = &text[last..];
    let length = match rest.strip_prefix('"') {
        // The end of a quoted name: a quote that is not doubled.
        Some(quoted) => {
            let mut at = 0;
            loop {
                at += quoted[at..].find('"')? + 1;
                if !quoted[at..].starts_with('"') {
                    break at + 1;
                }
                at += 1;
            }
        }
        None => rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len()),
    };
    (length > 0).then_some((first, last + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ViewReference;

    fn shown(query: &str, names: &[(&str, &str)]) -> String {
        let reference = |(at, (name, _)): (usize, &(&str, &str))| ViewReference {
            schema: None,
            name: (*name).to_owned(),
            relation: Oid(at as u32),
            columns: vec![],
            used: vec![],
        };
        let view = View {
            query: query.into(),
            references: names.iter().enumerate().map(reference).collect(),
            check_option: None,
        };
        view_text(&view, &|oid| names.get(oid.0 as usize).map(|(_, shown)| (*shown).to_owned()))
    }

    #[test]
    fn names_in_from_get_their_schema() {
        let query =
            "select a.x, (select max(y) from b) from a join b as c on a.id = c.id where a.x in (select x from a)";
        assert_eq!(
            shown(query, &[("a", "s.a"), ("b", "s.b")]),
            "select a.x, (select max(y) from s.b) from s.a join s.b as c on a.id = c.id where a.x in (select x from s.a)"
        );
        assert_eq!(shown(query, &[("a", "a"), ("b", "b")]), query);
    }

    #[test]
    fn what_was_renamed_keeps_its_name_inside() {
        let names = [("a", "s.\"New\""), ("Größe", "\"Größe\"")];
        assert_eq!(shown("select 'ü', a.x from a, \"Größe\"", &names), "select 'ü', a.x from s.\"New\" a, \"Größe\"");
        assert_eq!(shown("select b.x from a b", &names), "select b.x from s.\"New\" b");
    }

    #[test]
    fn a_common_table_is_no_relation() {
        let query = "with a as (select 1 as x) select a.x from a";
        assert_eq!(shown(query, &[("a", "s.a")]), query);
    }
}
