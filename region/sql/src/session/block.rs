//! The transaction that a session is in.
//!
//! ```text
//!              a statement                     BEGIN
//!   idle  ------------------> implicit  ------------------> block
//!    ^                            | end of the unit, Sync     |  error
//!    |                            v commit                    v
//!    +------- COMMIT, ROLLBACK ---+---------------------- failed block
//! ```
use super::constraints::{Deferred, DeferredMark};
use crate::parser::tree::{Name, TransactionModes};
use crate::settings::{Settings, SettingsMark};
use crate::statistics::Expected;
use std::sync::Arc;
use trivet_gateway::TransactionStatus;
use trivet_txn::{Database, Isolation, Savepoint, Transaction};
use trivet_types::{PgError, PgResult, sqlstate};

/// A transaction, and what a session must know of it.
pub(super) struct Active {
    pub transaction: Box<dyn Transaction>,
    /// Opened by BEGIN; an implicit one ends by itself.
    pub explicit: bool,
    pub failed: bool,
    pub read_only: bool,
    /// `now()`: microseconds since 2000-01-01 UTC.
    pub began_at: i64,
    savepoints: Vec<Mark>,
    /// Checks that wait for the end.
    pub deferred: Deferred,
    /// A statement has run: the isolation level is settled.
    pub used: bool,
    /// What it has written, for the planner.
    pub written: Expected,
    /// COMMIT and ROLLBACK AND CHAIN begin the next one like this.
    modes: TransactionModes,
}

struct Mark {
    name: String,
    savepoint: Savepoint,
    settings: SettingsMark,
    deferred: DeferredMark,
}

#[derive(Default)]
pub(super) struct Block {
    active: Option<Active>,
}

impl Block {
    pub fn status(&self) -> TransactionStatus {
        match &self.active {
            Some(active) if active.explicit && active.failed => TransactionStatus::Failed,
            Some(active) if active.explicit => TransactionStatus::InBlock,
            _ => TransactionStatus::Idle,
        }
    }

    pub fn active(&mut self) -> Option<&mut Active> {
        self.active.as_mut()
    }

    pub fn is_explicit(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.explicit)
    }

    pub fn is_failed(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.failed)
    }

    pub fn is_open(&self) -> bool {
        self.active.is_some()
    }

    /// The transaction, an implicit one if there is none.
    pub fn open(&mut self, database: &dyn Database, settings: &Settings) -> &mut Active {
        self.active.get_or_insert_with(|| begin(database, settings, TransactionModes::default(), false))
    }

    pub fn begin(&mut self, database: &dyn Database, settings: &Settings, modes: TransactionModes) -> PgResult<()> {
        match &mut self.active {
            // BEGIN in the middle of an implicit transaction makes it a block, as in PostgreSQL.
            Some(active) => {
                active.explicit = true;
                active.set_modes(modes)
            }
            none => {
                *none = Some(begin(database, settings, modes, true));
                Ok(())
            }
        }
    }

    pub fn take(&mut self) -> Option<Active> {
        self.active.take()
    }

    pub fn put_back(&mut self, active: Active) {
        self.active = Some(active);
    }

    /// Begin the next one with the modes of the last: AND CHAIN.
    pub fn chain(&mut self, database: &dyn Database, settings: &Settings, modes: TransactionModes) {
        self.active = Some(begin(database, settings, modes, true));
    }

    /// An error was sent to the client.
    pub fn fail(&mut self, settings: &mut SharedSettings) {
        match &mut self.active {
            Some(active) if active.explicit => active.fail(),
            Some(_) => {
                self.roll_back(settings);
            }
            None => {}
        }
    }

    pub fn roll_back(&mut self, settings: &mut SharedSettings) -> Option<TransactionModes> {
        let mut active = self.active.take()?;
        active.transaction.rollback();
        // Shared with running statements' environments: copied only for a reason.
        if settings.is_changed() {
            Arc::make_mut(settings).rollback();
        }
        Some(active.modes)
    }
}

fn begin(database: &dyn Database, settings: &Settings, modes: TransactionModes, explicit: bool) -> Active {
    let isolation = modes.isolation.unwrap_or_else(|| isolation(settings.value("default_transaction_isolation")));
    let read_only = modes.read_only.unwrap_or_else(|| settings.is_on("default_transaction_read_only"));
    Active {
        transaction: database.begin(isolation, read_only),
        explicit,
        failed: false,
        read_only,
        began_at: super::environment::clock_now(),
        savepoints: Vec::new(),
        deferred: Deferred::default(),
        used: false,
        written: Expected::default(),
        modes: TransactionModes { isolation: Some(isolation), read_only: Some(read_only), ..modes },
    }
}

fn isolation(name: &str) -> Isolation {
    match name {
        "serializable" => Isolation::Serializable,
        "repeatable read" => Isolation::RepeatableRead,
        _ => Isolation::ReadCommitted,
    }
}

pub(super) fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}

impl Active {
    pub fn modes(&self) -> TransactionModes {
        self.modes
    }

    /// SET TRANSACTION, or BEGIN with modes.
    pub fn set_modes(&mut self, modes: TransactionModes) -> PgResult<()> {
        if let Some(isolation) = modes.isolation {
            if isolation != self.transaction.isolation() {
                if self.used {
                    let message = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
                    return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
                }
                self.transaction.set_isolation(isolation)?;
            }
            self.modes.isolation = Some(isolation);
        }
        if let Some(read_only) = modes.read_only {
            if self.read_only && !read_only && self.used {
                let message = "transaction read-write mode must be set before any query";
                return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
            }
            self.read_only = read_only;
            self.modes.read_only = Some(read_only);
        }
        if let Some(deferrable) = modes.deferrable {
            if self.used {
                let message = "SET TRANSACTION [NOT] DEFERRABLE must be called before any query";
                return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
            }
            self.modes.deferrable = Some(deferrable);
        }
        Ok(())
    }

    /// What the block did since its last savepoint is undone at once: others wait for its locks, and a block that failed
    /// may stay open for as long as its client likes.
    fn fail(&mut self) {
        if self.failed {
            return;
        }
        self.failed = true;
        match self.savepoints.last() {
            Some(mark) => self.transaction.rollback_to(mark.savepoint),
            None => self.transaction.rollback(),
        }
    }

    /// 25006 for a statement that writes.
    pub fn check_writable(&self, tag: &str) -> PgResult<()> {
        if !self.read_only {
            return Ok(());
        }
        let message = format!("cannot execute {tag} in a read-only transaction");
        Err(PgError::new(sqlstate::READ_ONLY_SQL_TRANSACTION, message))
    }

    pub fn savepoint(&mut self, name: &Name, settings: &Settings) {
        let savepoint = self.transaction.savepoint();
        let (settings, deferred) = (settings.mark(), self.deferred.mark());
        self.savepoints.push(Mark { name: name.text.clone(), savepoint, settings, deferred });
    }

    pub fn has_savepoints(&self) -> bool {
        !self.savepoints.is_empty()
    }

    fn find(&self, name: &Name) -> PgResult<usize> {
        const NO_SUCH_SAVEPOINT: trivet_types::SqlState = trivet_types::SqlState(*b"3B001");
        self.savepoints
            .iter()
            .rposition(|mark| mark.name == name.text)
            .ok_or_else(|| PgError::new(NO_SUCH_SAVEPOINT, format!("savepoint \"{}\" does not exist", name.text)))
    }

    /// How many savepoints there are.
    pub fn level(&self) -> usize {
        self.savepoints.len()
    }

    /// How many savepoints stay.
    pub fn release(&mut self, name: &Name) -> PgResult<usize> {
        let at = self.find(name)?;
        self.transaction.release(self.savepoints[at].savepoint);
        self.savepoints.truncate(at);
        Ok(at)
    }

    /// The savepoint stays, what came after it goes. How many savepoints there were when it was made.
    pub fn roll_back_to(&mut self, name: &Name, settings: &mut Settings) -> PgResult<usize> {
        let at = self.find(name)?;
        self.savepoints.truncate(at + 1);
        self.transaction.rollback_to(self.savepoints[at].savepoint);
        settings.rollback_to(self.savepoints[at].settings);
        self.deferred.roll_back_to(&self.savepoints[at].deferred);
        self.failed = false;
        Ok(at)
    }
}

/// The settings as a statement's environment shares them.
pub(super) type SharedSettings = Arc<Settings>;
