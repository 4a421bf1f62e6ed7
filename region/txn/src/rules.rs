//! Switches for the rules of `docs/transactions.md`, and PostgreSQL's lock conflict matrix.
use crate::api::LockStrength;

/// Which rules are kept. All of them, always, except in the tests that show that each is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// T1: guards stamp the map, so that later records meet them.
    pub guards_stamp: bool,
    /// T2: a key's positions stay where its first lock, guard or write put them.
    pub positions_fixed: bool,
    /// T3: a position is believed only if the log still has its term at its index.
    pub terms_checked: bool,
    /// T4: a proposal id that the log holds is not appended again.
    pub duplicates_found: bool,
    /// T5: truncation takes away what the dropped entries stamped, and nothing underneath.
    pub truncation_exact: bool,
    /// T6: only committed entries reach the store.
    pub only_committed_applied: bool,
    /// T11: collection never drops a tombstone that still hides an older version.
    pub tombstones_kept: bool,
}

impl Rules {
    pub const ALL: Rules = Rules {
        guards_stamp: true,
        positions_fixed: true,
        terms_checked: true,
        duplicates_found: true,
        truncation_exact: true,
        only_committed_applied: true,
        tombstones_kept: true,
    };
}

impl Default for Rules {
    fn default() -> Self {
        Rules::ALL
    }
}

impl LockStrength {
    /// PostgreSQL's matrix (manual, table 13.3):
    ///
    /// ```text
    ///                    KS  S  NKU  U
    ///  FOR KEY SHARE                 x
    ///  FOR SHARE                x    x
    ///  FOR NO KEY UPDATE     x  x    x
    ///  FOR UPDATE         x  x  x    x
    /// ```
    ///
    /// Each row contains the one above: a stronger lock conflicts with all that a weaker one does.
    pub fn conflicts_with(self, other: LockStrength) -> bool {
        self as u8 + other as u8 >= 3
    }

    /// As PostgreSQL's messages and queries name it.
    pub fn clause(self) -> &'static str {
        match self {
            LockStrength::KeyShare => "FOR KEY SHARE",
            LockStrength::Share => "FOR SHARE",
            LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
            LockStrength::Update => "FOR UPDATE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LockStrength::*;

    #[test]
    fn the_matrix_is_postgresqls() {
        let table = [
            (KeyShare, [false, false, false, true]),
            (Share, [false, false, true, true]),
            (NoKeyUpdate, [false, true, true, true]),
            (Update, [true, true, true, true]),
        ];
        for (row, cells) in table {
            for (column, conflict) in [KeyShare, Share, NoKeyUpdate, Update].into_iter().zip(cells) {
                assert_eq!(row.conflicts_with(column), conflict, "{row:?} against {column:?}");
            }
        }
    }
}
