//! One slice of collection: S4.
//!
//! ```text
//!   horizon 20      key k:  v25  v22 | v18  v9  v3     v18 stays, v9 and v3 go
//!                   key m:  v25      | x15  v9  v3     v9 and v3 go, and x15 with the last of them
//!                   key n:           | v18             nothing
//! ```
//! The next slice begins at the key where this one ended, so a key with more old versions than a slice takes several.
use super::cursor::{RawIterator, item};
use super::encoding::{self, push_version, split};
use crate::{Collected, StoreError, Version};

/// Less would not be sure to make progress: versions above the horizon are stepped over first.
const BUDGET_MIN: usize = 16;
/// Steps over versions above the horizon before a seek.
const STEPS_MAX: usize = 4;

pub(crate) struct Slice {
    pub collected: Collected,
    /// Encoded key where the next slice begins; empty: from the start.
    pub next: Vec<u8>,
    /// Stored keys to delete, all of them at once.
    pub doomed: Vec<Vec<u8>>,
}

/// Examines about `budget` versions from the iterator's place on.
pub(crate) fn slice(iterator: &mut RawIterator<'_>, horizon: Version, budget: usize) -> Result<Slice, StoreError> {
    let budget = budget.max(BUDGET_MIN);
    let mut slice = Slice { collected: Collected::default(), next: Vec::new(), doomed: Vec::new() };
    let mut key = Vec::new();
    let mut hidden = Hidden::No;
    let mut steps = 0;
    loop {
        let Some((stored, value)) = item(iterator)? else {
            hidden.finish(&mut slice.doomed);
            slice.collected.pass_ended = true;
            break;
        };
        let (found, version) = split(stored)?;
        if found != key.as_slice() {
            hidden.finish(&mut slice.doomed);
            key.clear();
            key.extend_from_slice(found);
            (hidden, steps) = (Hidden::No, 0);
        }
        if slice.collected.examined >= budget {
            // A tombstone that is not followed through waits for the next slice.
            slice.next = key;
            break;
        }
        slice.collected.examined += 1;
        if version > horizon {
            steps += 1;
            if steps <= STEPS_MAX {
                iterator.next();
            } else {
                let length = key.len();
                push_version(horizon, &mut key);
                iterator.seek(&key);
                key.truncate(length);
            }
            continue;
        }
        hidden = match hidden {
            Hidden::No if encoding::is_tombstone(value) => Hidden::ByTombstone(stored.to_vec()),
            Hidden::No => Hidden::ByValue,
            other => {
                slice.doomed.push(stored.to_vec());
                other
            }
        };
        iterator.next();
    }
    slice.collected.dropped = slice.doomed.len();
    Ok(slice)
}

/// What the newest version at or below the horizon says about older ones.
enum Hidden {
    No,
    ByValue,
    ByTombstone(Vec<u8>),
}

impl Hidden {
    /// The key's last version has been seen: a tombstone hides nothing any more.
    fn finish(&mut self, doomed: &mut Vec<Vec<u8>>) {
        if let Hidden::ByTombstone(stored) = std::mem::replace(self, Hidden::No) {
            doomed.push(stored);
        }
    }
}
