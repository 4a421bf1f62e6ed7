//! What a name that is not there may have been meant to be: PostgreSQL's hints on columns.
use super::scope::Scope;
use crate::parser::tree::QualifiedName;
use trivet_types::PgError;

/// Edits that still make a guess.
const DISTANCE_MAX: usize = 3;

/// A hint for 42703, if a column has nearly the name.
pub(super) fn with_suggestion(error: Box<PgError>, scopes: &[Scope], name: &QualifiedName) -> Box<PgError> {
    let column = name.last();
    let wanted: Vec<char> = column.chars().collect();
    let mut best = DISTANCE_MAX + 1;
    let mut found: Vec<(&str, &str)> = Vec::new();
    for scope in scopes.iter().rev() {
        for relation in &scope.relations {
            let penalty = match name.schema() {
                Some(table) => distance(table, &relation.alias),
                None => 0,
            };
            if penalty > best {
                continue;
            }
            for candidate in relation.columns.iter().filter(|candidate| !candidate.hidden) {
                if candidate.name == column && penalty == 0 {
                    return error.hint(elsewhere(column, &relation.alias));
                }
                let edits = distance(&candidate.name, column);
                if edits > wanted.len() / 2 {
                    continue;
                }
                match (edits + penalty).cmp(&best) {
                    std::cmp::Ordering::Less => {
                        best = edits + penalty;
                        found = vec![(&relation.alias, &candidate.name)];
                    }
                    std::cmp::Ordering::Equal => found.push((&relation.alias, &candidate.name)),
                    std::cmp::Ordering::Greater => {}
                }
            }
        }
    }
    match found.as_slice() {
        _ if best > DISTANCE_MAX => error,
        [(table, column)] => error.hint(format!("Perhaps you meant to reference the column \"{table}.{column}\".")),
        [(table, column), (other, second)] => error.hint(format!(
            "Perhaps you meant to reference the column \"{table}.{column}\" or the column \"{other}.{second}\"."
        )),
        _ => error,
    }
}

pub(super) fn elsewhere(column: &str, table: &str) -> String {
    format!(
        "There is a column named \"{column}\" in table \"{table}\", but it cannot be referenced from this part of the query."
    )
}

/// Levenshtein's, by characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, character) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn edits_are_counted() {
        for (left, right, edits) in [("", "abc", 3), ("kitten", "sitting", 3), ("name", "name", 0), ("ab", "ba", 2)] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }
}
