//! `= ANY (array)` and `<> ALL (array)` of long arrays: the array becomes a hash table, once, where comparing one by one would cost
//! rows times elements.
//!
//! The table is kept with the array that it was made of. As long as it is kept that array stays where it is, so another array
//! at the same place is the same array. A constant, a parameter and a subquery's array are one for all rows; an array that is made
//! anew for each row is compared one by one, for a table would never be used twice.
use hashbrown::HashTable;
use parking_lot::Mutex;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use trivet_types::{Array, Datum, Oid, hash_into, same};

/// Below this, comparing is as quick: PostgreSQL's `MIN_ARRAY_SIZE_FOR_HASHED_SAOP`.
const ELEMENTS_MIN: usize = 9;

/// How an expression with such a comparison remembers.
#[derive(Debug)]
pub struct Membership {
    type_oid: Oid,
    /// Not equal to any, instead of equal to some.
    negated: bool,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// The last array that was asked about, and its table if it was asked about before.
    array: Option<Arc<Array>>,
    table: Option<Arc<Elements>>,
}

#[derive(Debug)]
struct Elements {
    places: HashTable<usize>,
    hasher: foldhash::fast::RandomState,
    has_null: bool,
}

impl Clone for Membership {
    fn clone(&self) -> Membership {
        Membership::new(self.type_oid, self.negated)
    }
}

impl Membership {
    pub fn new(type_oid: Oid, negated: bool) -> Membership {
        Membership { type_oid, negated, last: Mutex::default() }
    }

    /// The comparison's answer; `None`: compare one by one.
    pub fn answer(&self, left: &Datum, array: &Arc<Array>) -> Option<Datum> {
        if array.values.len() < ELEMENTS_MIN {
            return None;
        }
        let elements = self.elements(array)?;
        if left.is_null() {
            return Some(Datum::Null);
        }
        let found = elements.has(self.type_oid, left, &array.values);
        Some(match (found, elements.has_null) {
            (true, _) => Datum::Bool(!self.negated),
            (false, true) => Datum::Null,
            (false, false) => Datum::Bool(self.negated),
        })
    }

    fn elements(&self, array: &Arc<Array>) -> Option<Arc<Elements>> {
        let mut last = self.last.lock();
        if !last.array.as_ref().is_some_and(|known| Arc::ptr_eq(known, array)) {
            *last = Last { array: Some(Arc::clone(array)), table: None };
            return None;
        }
        let table = last.table.get_or_insert_with(|| Arc::new(Elements::of(self.type_oid, &array.values)));
        Some(Arc::clone(table))
    }
}

impl Elements {
    fn of(type_oid: Oid, values: &[Datum]) -> Elements {
        let mut elements =
            Elements { places: HashTable::with_capacity(values.len()), hasher: Default::default(), has_null: false };
        for (place, value) in values.iter().enumerate() {
            if value.is_null() {
                elements.has_null = true;
                continue;
            }
            let hasher = elements.hasher.clone();
            let hash = |value: &Datum| hash_of(&hasher, type_oid, value);
            let is_known = |other: &usize| same(type_oid, value, &values[*other]);
            if elements.places.find(hash(value), is_known).is_none() {
                elements.places.insert_unique(hash(value), place, |place| hash(&values[*place]));
            }
        }
        elements
    }

    fn has(&self, type_oid: Oid, value: &Datum, values: &[Datum]) -> bool {
        let is_it = |place: &usize| same(type_oid, value, &values[*place]);
        self.places.find(hash_of(&self.hasher, type_oid, value), is_it).is_some()
    }
}

fn hash_of(hasher: &foldhash::fast::RandomState, type_oid: Oid, value: &Datum) -> u64 {
    let mut state = hasher.build_hasher();
    hash_into(type_oid, value, &mut state);
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_types::oid;

    fn array(values: impl IntoIterator<Item = Option<i32>>) -> Arc<Array> {
        let values = values.into_iter().map(|value| value.map_or(Datum::Null, Datum::Int4)).collect();
        Arc::new(Array::from_values(oid::INT4, values))
    }

    #[test]
    fn a_table_answers_from_the_second_time_on() {
        let long = array((0..100).map(|n| Some(n % 50)));
        let with_null = array((0..100).map(|n| (n > 0).then_some(n)));
        let (any, all) = (Membership::new(oid::INT4, false), Membership::new(oid::INT4, true));
        assert_eq!(any.answer(&Datum::Int4(7), &long), None, "an array that may be this row's alone");
        assert_eq!(any.answer(&Datum::Int4(7), &long), Some(Datum::Bool(true)));
        assert_eq!(any.answer(&Datum::Int8(7), &long), Some(Datum::Bool(true)), "integers of another width");
        assert_eq!(any.answer(&Datum::Int4(77), &long), Some(Datum::Bool(false)));
        assert_eq!(any.answer(&Datum::Null, &long), Some(Datum::Null));
        assert_eq!(any.answer(&Datum::Int4(77), &with_null), None, "another array");
        assert_eq!(any.answer(&Datum::Int4(77), &with_null), Some(Datum::Bool(true)));
        assert_eq!(any.answer(&Datum::Int4(777), &with_null), Some(Datum::Null));
        assert_eq!(all.answer(&Datum::Int4(77), &long), None);
        assert_eq!(all.answer(&Datum::Int4(77), &long), Some(Datum::Bool(true)));
        assert_eq!(all.answer(&Datum::Int4(7), &long), Some(Datum::Bool(false)));
        let short = array([Some(1), Some(2)]);
        assert_eq!(any.answer(&Datum::Int4(1), &short), None);
        assert_eq!(any.answer(&Datum::Int4(1), &short), None);
    }
}
