//! One client's session: what the gateway calls.
use super::block::{Active, Block, SharedSettings, isolation_name};
use super::copy;
use super::engine::SqlEngine;
use super::environment::{SessionEnvironment, clock_now};
use super::query::{Portal, Prepared, Progress};
use crate::advisory::{LockRules, SessionLocks};
use crate::parser::tree::Statement;
use crate::parser::{self, Parsed};
use crate::sequence::SessionSequences;
use crate::settings::Settings;
use crate::statistics::Expected;
use crate::temporary::LayeredDatabase;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_gateway::{
    Client, Column, Executed, Format, IdleLimits, OutputMark, Parameter, Session, Startup, StatementDescription,
    TransactionStatus,
};
use trivet_txn::Database;
use trivet_types::{PgError, PgResult, UserTypes, sqlstate};

/// How often a unit is run again after 40001 before the client gets the error.
const RETRIES_MAX: usize = 10;

pub(super) struct SqlSession {
    pub engine: Arc<SqlEngine>,
    /// The region's, with the session's own temporary tables if it has any.
    pub database: Arc<dyn Database>,
    pub layered: Option<Arc<LayeredDatabase>>,
    pub startup: Startup,
    pub user: Arc<str>,
    pub region: Arc<str>,
    pub settings: SharedSettings,
    pub block: Block,
    pub statements: HashMap<String, Arc<Prepared>>,
    pub portals: HashMap<String, Portal>,
    /// What `set_config` asked for.
    pub changes: Arc<Mutex<Vec<(String, Option<String>, bool)>>>,
    pub random: Arc<Mutex<Option<trivet_types::Random>>>,
    pub sequences: Arc<SessionSequences>,
    pub locks: Arc<SessionLocks>,
    /// What it has committed lately, for the planner.
    pub written: Expected,
    /// Types that users made, as the last statement that had to do with one saw them.
    pub types: Option<Arc<UserTypes>>,
    /// The rows of the relations that the statement names.
    pub rows: Arc<[trivet_types::user::RowType]>,
    /// The one Execute since the last Sync, if there was just one and nothing was written after it: what may run again.
    last_execute: Option<LastExecute>,
    /// The text of the simple Query at hand, if it prepares or declares something: that is shown later.
    message_text: Option<String>,
    /// When the statement's time is up.
    deadline: Option<Instant>,
    /// The statement at hand is its message's last, so that an implicit transaction ends with it.
    pub ends_unit: bool,
    /// A simple Query describes its rows itself; in the extended protocol Describe does.
    pub describes_rows: bool,
}

struct LastExecute {
    portal: String,
    began: OutputMark,
    ended: OutputMark,
}

/// How one statement may end its unit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Alone in its message: commit after it.
    Single,
    /// One of several; committed after the last.
    Several,
}

impl SqlSession {
    pub fn new(engine: Arc<SqlEngine>, startup: Startup, settings: Settings) -> SqlSession {
        let sequences = SessionSequences::new(Arc::clone(&engine.descriptors));
        let locks = SessionLocks::new(Arc::clone(&engine.database), Arc::clone(&engine.waits));
        let (user, region) = (Arc::from(startup.user.as_str()), Arc::from(engine.region.as_str()));
        SqlSession {
            database: Arc::clone(&engine.database),
            layered: None,
            engine,
            startup,
            user,
            region,
            settings: Arc::new(settings),
            block: Block::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            changes: Arc::default(),
            random: Arc::default(),
            sequences,
            locks,
            written: Expected::default(),
            types: None,
            rows: Arc::default(),
            last_execute: None,
            message_text: None,
            deadline: None,
            ends_unit: false,
            describes_rows: true,
        }
    }

    pub fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    /// The role whose privileges count: SET ROLE's, or the session's own.
    pub fn current_user(&self) -> Arc<str> {
        match self.settings.value("role") {
            "none" => Arc::clone(&self.user),
            role => Arc::from(role),
        }
    }

    /// The transaction, an implicit one if there is none.
    pub fn open(&mut self) -> &mut Active {
        let stale = self.settings.allows_stale_reads();
        let active = self.block.open(&*self.database, &self.settings);
        active.transaction.allow_stale(stale);
        active
    }

    pub fn environment(&mut self) -> SessionEnvironment {
        let settings = Arc::clone(&self.settings);
        self.sequences.act_as(self.current_user());
        let has_written = self.block.active().is_some_and(|active| active.written.tables().next().is_some());
        let (transaction_time, isolation, read_only) = match self.block.active() {
            Some(active) => (active.began_at, isolation_name(active.transaction.isolation()), active.read_only),
            None => (clock_now(), "read committed", false),
        };
        SessionEnvironment {
            settings,
            user: self.current_user(),
            session_user: Arc::clone(&self.user),
            sequences: Arc::clone(&self.sequences),
            region: Arc::clone(&self.region),
            process_id: self.startup.process_id,
            cancel: self.startup.cancel.clone(),
            deadline: self.deadline,
            transaction_time,
            statement_time: clock_now(),
            isolation,
            read_only,
            has_written,
            catalog: None,
            types: self.types.clone(),
            rows: Arc::clone(&self.rows),
            inventory: Vec::new(),
            query: None,
            changes: Arc::clone(&self.changes),
            random: Arc::clone(&self.random),
        }
    }

    /// 25P02 in a failed block, for everything but its end.
    pub fn check_not_failed(&self, statement: &Statement) -> PgResult<()> {
        let ends =
            matches!(statement, Statement::Commit { .. } | Statement::Rollback { .. } | Statement::RollbackTo(_));
        if !self.block.is_failed() || ends {
            return Ok(());
        }
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        Err(PgError::new(sqlstate::IN_FAILED_SQL_TRANSACTION, message))
    }

    /// Tell the client of settings that changed, after doing what `set_config` asked for.
    pub fn report_settings(&mut self, client: &mut dyn Client) {
        let asked = std::mem::take(&mut *self.changes.lock());
        for (name, value, local) in asked {
            // It was tried before it was asked for.
            let _ = self.settings_mut().set_or_reset(&name, value.as_deref(), local);
        }
        if self.settings.has_reports() {
            for (name, value) in self.settings_mut().take_reports() {
                client.parameter_status(name, &value);
            }
        }
    }

    /// Commits an implicit transaction; a block stays.
    pub async fn end_unit(&mut self) -> PgResult<()> {
        if self.block.is_explicit() {
            return Ok(());
        }
        self.commit_active().await
    }

    /// Commits whatever is open. On an error it is rolled back, and an implicit one can be `restart`ed by the caller, who
    /// gets it back.
    async fn commit_active(&mut self) -> PgResult<()> {
        let Some(mut active) = self.block.take() else { return Ok(()) };
        let held: Vec<String> =
            self.portals.iter().filter(|(_, portal)| portal.cursor.is_some()).map(|(name, _)| name.clone()).collect();
        // Not cancellable: once proposed, only the verdict counts (T9).
        let ready = match self.check_deferred(&mut active).await {
            Ok(()) => self.on_commit(&mut active).await,
            failed => failed,
        };
        let committed = match ready {
            Ok(()) => active.transaction.commit().await,
            Err(error) => Err(error),
        };
        self.transaction_ended();
        match committed {
            Ok(_) => {
                self.note_committed(std::mem::take(&mut active.written));
                for name in held {
                    if let Some(portal) = self.portals.get_mut(&name) {
                        portal.committed();
                    }
                }
                self.close_portals(false);
                if self.settings.is_changed() {
                    self.settings_mut().commit();
                }
                Ok(())
            }
            Err(error) => {
                self.close_portals(false);
                if self.settings.is_changed() {
                    self.settings_mut().rollback();
                }
                if error.code == sqlstate::SERIALIZATION_FAILURE && !active.explicit {
                    self.block.put_back(active);
                } else {
                    active.transaction.rollback();
                }
                Err(error)
            }
        }
    }

    pub async fn commit_block(&mut self) -> PgResult<()> {
        self.commit_active().await
    }

    /// What the session kept for its transaction's sake.
    pub fn transaction_ended(&self) {
        self.sequences.transaction_ended();
        self.locks.transaction_ended();
    }

    pub fn lock_rules(&self) -> LockRules {
        let limit = self.settings.milliseconds("lock_timeout");
        LockRules { limit: (limit > 0).then(|| Duration::from_millis(limit)), session: Some(Arc::clone(&self.locks)) }
    }

    /// Portals end with their transaction.
    pub fn close_portals(&mut self, all: bool) {
        self.portals.retain(|_, portal| !all && portal.is_held());
    }

    /// The whole text that a statement came in, as PostgreSQL shows it.
    pub fn source_text<'t>(&'t self, parsed: &'t Parsed) -> &'t str {
        self.message_text.as_deref().unwrap_or(&parsed.text)
    }

    /// May the unit run again? Takes the output back if so.
    fn may_retry(&mut self, error: &PgError, attempt: usize, mark: OutputMark, client: &mut dyn Client) -> bool {
        error.code == sqlstate::SERIALIZATION_FAILURE
            && attempt < RETRIES_MAX
            && !self.locks.is_touched()
            && !self.startup.cancel.is_raised()
            && client.unsent_since(mark)
            && client.rewind(mark)
    }

    /// Prepares the open implicit transaction for another run, with its locks (T14).
    fn restart_unit(&mut self) {
        metrics::counter!("trivet_sql_retries_total").increment(1);
        if self.settings.is_changed() {
            self.settings_mut().rollback();
        }
        if let Some(active) = self.block.active() {
            active.transaction.restart();
            active.used = false;
            active.deferred = Default::default();
        }
    }

    /// Statements that share a transaction unless they end it themselves, run until they are done or really failed.
    async fn run_unit(&mut self, unit: &[Parsed], client: &mut dyn Client) -> PgResult<()> {
        let repeatable = unit.iter().all(|parsed| is_repeatable(&parsed.statement)) && !self.block.is_open();
        let mark = client.mark();
        let kind = if unit.len() == 1 { Unit::Single } else { Unit::Several };
        for attempt in 0.. {
            let result = self.run_once(unit, kind, client).await;
            match result {
                Err(error) if repeatable && self.may_retry(&error, attempt, mark, client) => self.restart_unit(),
                other => return other,
            }
        }
        unreachable!("the loop ends by returning")
    }

    async fn run_once(&mut self, unit: &[Parsed], kind: Unit, client: &mut dyn Client) -> PgResult<()> {
        for (at, parsed) in unit.iter().enumerate() {
            self.check_not_failed(&parsed.statement)?;
            self.limit_statement(client);
            self.ends_unit = at + 1 == unit.len();
            let done = self.statement(parsed, kind == Unit::Single, client).await;
            self.ends_unit = false;
            done?;
            self.report_settings(client);
        }
        self.end_unit().await
    }

    /// `statement_timeout` begins to run.
    fn limit_statement(&mut self, client: &mut dyn Client) {
        let milliseconds = self.settings.milliseconds("statement_timeout");
        let limit = (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        self.deadline = limit.map(|limit| Instant::now() + limit);
        client.limit_statement(limit);
    }

    /// Runs cancellable work: the token ends it at its next wait.
    pub async fn cancellable<T>(
        cancel: &trivet_gateway::CancelToken,
        work: impl std::future::Future<Output = PgResult<T>>,
    ) -> PgResult<T> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(cancel.error()),
            result = work => result,
        }
    }

    async fn statement(&mut self, parsed: &Parsed, alone: bool, client: &mut dyn Client) -> PgResult<()> {
        match &parsed.statement {
            Statement::Query(_)
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_) => {
                let prepared = self.prepare(&Arc::new(parsed.clone()), None).await?;
                let mut portal = Portal::new(Arc::new(prepared), Vec::new(), vec![]);
                self.change_first(&mut portal).await?;
                self.show_row_description(&portal, client);
                match self.run_portal(&mut portal, 0, client).await? {
                    Progress::Done | Progress::Suspended => Ok(()),
                }
            }
            // Rare and large: not a part of every statement's future.
            Statement::Copy(copy) => Box::pin(copy::run(self, copy, parsed, client)).await,
            _ => Box::pin(self.utility(parsed, alone, client)).await,
        }
    }
}

/// Statements of which a second run, after the first was rolled back whole, shows the client the same as one run.
fn is_repeatable(statement: &Statement) -> bool {
    match statement {
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Merge(_) => true,
        Statement::Explain { .. } | Statement::Execute { .. } => true,
        Statement::Copy(copy) => !copy.from_client,
        other => crate::define::is_definition(other),
    }
}

#[async_trait]
impl Session for SqlSession {
    fn transaction_status(&self) -> TransactionStatus {
        self.block.status()
    }

    fn initial_parameters(&self) -> Vec<(String, String)> {
        let mut reported = self.settings.reported();
        // What clients with a list of addresses ask for `target_session_attrs=read-write` look at: a region that does not
        // serve now is not the one they want.
        if self.engine.database.ready().is_err()
            && let Some((_, value)) = reported.iter_mut().find(|(name, _)| name == "in_hot_standby")
        {
            "on".clone_into(value);
        }
        reported
    }

    async fn simple_query(&mut self, sql: &str, client: &mut dyn Client) -> PgResult<()> {
        // A simple Query ends the unnamed statement and portal.
        self.statements.remove("");
        self.portals.remove("");
        self.last_execute = None;
        let parsed = parser::parse(sql)?;
        if parsed.is_empty() {
            client.empty_query();
            return Ok(());
        }
        let shown_later =
            |parsed: &Parsed| matches!(parsed.statement, Statement::Prepare { .. } | Statement::Declare(_));
        self.message_text = parsed.iter().any(shown_later).then(|| sql.to_owned());
        let result = self.run_unit(&parsed, client).await;
        self.message_text = None;
        result.map_err(|error| self.spelled(error))
    }

    async fn parse(&mut self, name: &str, sql: &str, parameter_types: &[u32]) -> PgResult<()> {
        if !name.is_empty() && self.statements.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(PgError::new(sqlstate::DUPLICATE_PREPARED_STATEMENT, message));
        }
        let prepared = match self.engine.texts.parsed(sql)? {
            None => Prepared::empty(),
            Some(only) => {
                self.check_not_failed(&only.statement)?;
                let prepared = self.prepare(&only, Some(parameter_types)).await;
                prepared.map_err(|error| self.spelled(error))?.shown_as(sql, false)
            }
        };
        self.statements.insert(name.to_owned(), Arc::new(prepared));
        Ok(())
    }

    async fn describe_statement(&mut self, name: &str) -> PgResult<StatementDescription> {
        let prepared = self.prepared(name)?;
        Ok(StatementDescription {
            parameter_types: prepared.parameter_types().iter().map(|oid| oid.0).collect(),
            columns: prepared.columns().map(<[Column]>::to_vec),
        })
    }

    async fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        parameters: Vec<Parameter>,
        result_formats: &[Format],
    ) -> PgResult<()> {
        if !portal.is_empty() && self.portals.contains_key(portal) {
            let message = format!("cursor \"{portal}\" already exists");
            return Err(PgError::new(sqlstate::DUPLICATE_CURSOR, message));
        }
        let prepared = self.prepared(statement)?;
        if let Some(statement) = prepared.statement() {
            self.check_not_failed(statement)?;
        }
        let bound =
            self.bind_parameters(statement, &prepared, parameters).await.map_err(|error| self.spelled(error))?;
        let portal_made = Portal::bound(prepared, bound, result_formats)?;
        self.portals.insert(portal.to_owned(), portal_made);
        Ok(())
    }

    async fn describe_portal(&mut self, portal: &str) -> PgResult<Option<(Vec<Column>, Vec<Format>)>> {
        let portal = self.portals.get(portal).ok_or_else(|| no_such_portal(portal))?;
        Ok(portal.columns().map(|columns| (columns.to_vec(), portal.formats().to_vec())))
    }

    async fn execute(&mut self, portal: &str, max_rows: u32, client: &mut dyn Client) -> PgResult<Executed> {
        let began = client.mark();
        self.limit_statement(client);
        let alone = self.last_execute.is_none() && !self.block.is_open();
        let mut taken = self.portals.remove(portal).ok_or_else(|| no_such_portal(portal))?;
        if let Some(statement) = taken.statement() {
            if let Err(error) = self.check_not_failed(statement) {
                self.portals.insert(portal.to_owned(), taken);
                return Err(error);
            }
        }
        let mut attempt = 0;
        let result = loop {
            let result = self.execute_portal(&mut taken, max_rows, client).await;
            match result {
                // A lock met a newer row of the other region, for example: nothing was shown yet, so run it again.
                Err(error) if alone && taken.is_repeatable() && self.may_retry(&error, attempt, began, client) => {
                    attempt += 1;
                    self.restart_unit();
                    taken.rewind();
                }
                other => break other,
            }
        };
        self.report_settings(client);
        // The portal may have ended the transaction it lived in.
        if self.block.is_open() || taken.is_held() {
            let repeatable = alone && taken.is_repeatable();
            self.portals.insert(portal.to_owned(), taken);
            self.last_execute =
                Some(LastExecute { portal: portal.to_owned(), began, ended: client.mark() }).filter(|_| repeatable);
        }
        Ok(match result.map_err(|error| self.spelled(error))? {
            Progress::Done => Executed::Complete,
            Progress::Suspended => Executed::Suspended,
        })
    }

    async fn close_statement(&mut self, name: &str) -> PgResult<()> {
        self.statements.remove(name);
        Ok(())
    }

    async fn close_portal(&mut self, name: &str) -> PgResult<()> {
        self.portals.remove(name);
        Ok(())
    }

    async fn sync(&mut self, client: &mut dyn Client) -> PgResult<()> {
        let last = self.last_execute.take().filter(|last| last.ended == client.mark());
        if self.block.is_explicit() || !self.block.is_open() {
            return Ok(());
        }
        // The portal is kept over the commit, which would close it, for the case that it runs again.
        let mut again = last.and_then(|last| self.portals.remove(&last.portal).map(|portal| (portal, last.began)));
        for attempt in 0.. {
            let error = match self.end_unit().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let Some((portal, began)) = again.as_mut().filter(|(portal, _)| portal.is_repeatable()) else {
                return Err(error);
            };
            if !self.may_retry(&error, attempt, *began, client) {
                return Err(error);
            }
            self.restart_unit();
            portal.rewind();
            self.execute_portal(portal, 0, client).await?;
        }
        unreachable!("the loop ends by returning")
    }

    fn error_sent(&mut self) {
        if !self.block.is_explicit() {
            self.transaction_ended();
        }
        self.last_execute = None;
        self.changes.lock().clear();
        self.block.fail(&mut self.settings);
        if !self.block.is_explicit() {
            self.close_portals(false);
        }
    }

    async fn terminate(&mut self) {
        self.block.roll_back(&mut self.settings);
    }

    fn idle_limits(&self) -> IdleLimits {
        let limit = |name| Some(self.settings.milliseconds(name)).filter(|limit| *limit > 0).map(Duration::from_millis);
        IdleLimits {
            session: limit("idle_session_timeout"),
            in_transaction: limit("idle_in_transaction_session_timeout"),
        }
    }
}

impl Drop for SqlSession {
    /// After a panic the gateway drops the session without a word: locks must not stay behind.
    fn drop(&mut self) {
        if let Some(mut active) = self.block.take() {
            active.transaction.rollback();
        }
    }
}

pub(super) fn no_such_portal(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
