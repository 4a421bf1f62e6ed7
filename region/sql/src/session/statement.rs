//! Statements that are not queries: transaction control, settings, prepared statements, cursors, DDL, maintenance.
use super::connection::SqlSession;
use super::environment::search_path;
use super::query::{Portal, Progress};
use crate::define::{self, Surroundings};
use crate::parser::Parsed;
use crate::parser::tree::{Discard, Name, SetValue, Statement, TransactionModes};
use crate::settings::Settings;
use std::sync::Arc;
use trivet_gateway::{Client, Column, Format};
use trivet_types::{PgError, PgResult, Severity, oid, sqlstate};

impl SqlSession {
    /// `alone`: nothing shares its message, for the statements that must not be in a transaction.
    pub(super) async fn utility(&mut self, parsed: &Parsed, alone: bool, client: &mut dyn Client) -> PgResult<()> {
        let tag = match &parsed.statement {
            Statement::Begin { modes, tag } => {
                self.begin(*modes, client)?;
                self.read_as_of(modes.as_of).await?;
                (*tag).into()
            }
            Statement::Commit { chain } => return self.commit(*chain, client).await,
            Statement::Rollback { chain } => self.rollback(*chain, client)?,
            Statement::Savepoint(name) => {
                self.require_block("SAVEPOINT")?;
                let settings = Arc::clone(&self.settings);
                self.open().savepoint(name, &settings);
                "SAVEPOINT".into()
            }
            Statement::Release(name) => {
                self.require_block("RELEASE SAVEPOINT")?;
                let level = self.open().release(name)?;
                self.portals.values_mut().for_each(|portal| portal.released(level));
                "RELEASE".into()
            }
            Statement::RollbackTo(name) => self.rollback_to(name)?,
            Statement::SetTransaction { modes, session } => {
                let tag = self.set_transaction(*modes, *session, client)?;
                if self.block.is_explicit() {
                    self.read_as_of(modes.as_of).await?;
                }
                tag
            }
            Statement::SetConstraints { names, deferred } => {
                if self.block.is_explicit() {
                    Box::pin(self.set_constraints(names, *deferred)).await?;
                } else {
                    let message = "SET CONSTRAINTS can only be used in transaction blocks";
                    self.warn(client, sqlstate::NO_ACTIVE_SQL_TRANSACTION, message);
                }
                "SET CONSTRAINTS".into()
            }
            Statement::Set { name, value, local } => {
                if matches!(name.as_str(), "role" | "session_authorization") {
                    self.check_set_role(name, value).await?;
                }
                self.set(name, value, *local, client)?
            }
            Statement::Reset(name) => {
                match name {
                    Some(name) => self.settings_mut().reset(name, false)?,
                    None => self.settings_mut().reset_all(),
                }
                self.settle_settings();
                "RESET".into()
            }
            Statement::Show(name) => return self.show(name.as_deref(), client),
            Statement::Discard(what) => self.discard(*what, alone).await?,
            Statement::Prepare { name, types, statement, text } => {
                self.prepare_statement(name, types, statement, text, parsed).await?;
                "PREPARE".into()
            }
            Statement::Execute { name, arguments } => return self.execute_statement(name, arguments, client).await,
            Statement::Deallocate(name) => self.deallocate(name.as_ref())?,
            Statement::Declare(declare) => {
                self.declare(declare, parsed).await?;
                "DECLARE CURSOR".into()
            }
            Statement::Fetch { cursor, count, moves } => return self.fetch(cursor, *count, *moves, client).await,
            Statement::CloseCursor(None) => {
                self.portals.clear();
                "CLOSE CURSOR ALL".into()
            }
            Statement::CloseCursor(Some(name)) => match self.portals.remove(&name.text) {
                Some(_) => "CLOSE CURSOR".into(),
                None => return Err(no_such_cursor(name)),
            },
            Statement::Explain { statement, analyze, verbose, options } => {
                return self.explain(statement, (*analyze, *verbose), options, client).await;
            }
            Statement::Reindex { relation, index } => {
                self.check_reindex(relation.as_ref(), *index).await?;
                "REINDEX".into()
            }
            Statement::Vacuum { tables, analyze } => {
                if !alone || self.block.is_explicit() {
                    let message = "VACUUM cannot run inside a transaction block";
                    return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
                }
                self.analyze_tables(tables, *analyze, client).await?;
                "VACUUM".into()
            }
            Statement::Analyze { tables } => {
                self.analyze_tables(tables, true, client).await?;
                "ANALYZE".into()
            }
            Statement::Checkpoint => "CHECKPOINT".into(),
            Statement::CreateMaterialized { .. } => Box::pin(self.create_materialized(parsed, client)).await?,
            Statement::Refresh { .. } => Box::pin(self.refresh_materialized(parsed, client)).await?,
            Statement::CreateTableAs { .. } => Box::pin(self.create_table_as(parsed, client)).await?,
            Statement::LockTable { tables, mode, nowait } => {
                self.require_block("LOCK TABLE")?;
                Box::pin(self.lock_tables(tables, mode, *nowait)).await?;
                "LOCK TABLE".into()
            }
            // Nobody listens: drivers that clean up a connection ask for it all the same.
            Statement::Unlisten(_) => "UNLISTEN".into(),
            Statement::Listen(_) | Statement::Notify { .. } => {
                return Err(PgError::unsupported("LISTEN and NOTIFY"));
            }
            definition if define::is_definition(definition) => {
                // Execute may be followed by another before Sync; a simple Query of one statement is all there is.
                let last = alone && self.describes_rows && !self.block.is_open();
                self.define(definition, last, client).await?
            }
            _ => return Err(PgError::internal("a statement that nothing runs")),
        };
        client.command_complete(&tag);
        Ok(())
    }

    fn warn(&self, client: &mut dyn Client, code: trivet_types::SqlState, message: &str) {
        self.tell(&PgError::new(code, message).severity(Severity::Warning), client);
    }

    /// A notice, if the client wants to hear of such.
    pub(super) fn tell(&self, notice: &PgError, client: &mut dyn Client) {
        if self.settings.tells(notice.severity) {
            client.notice(notice);
        }
    }

    fn begin(&mut self, modes: TransactionModes, client: &mut dyn Client) -> PgResult<()> {
        if self.block.is_explicit() {
            self.warn(client, sqlstate::ACTIVE_SQL_TRANSACTION, "there is already a transaction in progress");
        } else {
            self.block.begin(&*self.database, &self.settings, modes)?;
        }
        Ok(())
    }

    /// From here on the transaction reads the past (T23).
    pub(super) async fn read_as_of(&mut self, as_of: Option<crate::parser::AsOf>) -> PgResult<()> {
        let Some(as_of) = as_of else { return Ok(()) };
        let now = super::environment::clock_now().saturating_add(super::environment::POSTGRES_EPOCH);
        let cancel = self.startup.cancel.clone();
        let active = self.open();
        if active.used && active.explicit {
            let message = "AS OF SYSTEM TIME must be set before any query";
            return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
        }
        SqlSession::cancellable(&cancel, active.transaction.read_as_of(as_of.resolve(now))).await?;
        active.read_only = true;
        Ok(())
    }

    async fn commit(&mut self, chain: bool, client: &mut dyn Client) -> PgResult<()> {
        if !self.block.is_explicit() {
            if chain {
                return Err(only_in_block("COMMIT AND CHAIN"));
            }
            self.warn(client, sqlstate::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
            self.end_unit().await?;
            client.command_complete("COMMIT");
            return Ok(());
        }
        let failed = self.block.is_failed();
        let modes = self.block.active().map(|active| active.modes()).unwrap_or_default();
        if failed {
            self.block.roll_back(&mut self.settings);
            self.transaction_ended();
            self.close_portals(false);
        } else {
            self.commit_block().await?;
        }
        if chain {
            self.block.chain(&*self.database, &self.settings, modes);
        }
        client.command_complete(if failed { "ROLLBACK" } else { "COMMIT" });
        Ok(())
    }

    fn rollback(&mut self, chain: bool, client: &mut dyn Client) -> PgResult<String> {
        let explicit = self.block.is_explicit();
        if !explicit {
            if chain {
                return Err(only_in_block("ROLLBACK AND CHAIN"));
            }
            self.warn(client, sqlstate::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
        }
        let modes = self.block.roll_back(&mut self.settings);
        self.transaction_ended();
        self.close_portals(false);
        if let (true, Some(modes)) = (chain, modes) {
            self.block.chain(&*self.database, &self.settings, modes);
        }
        Ok("ROLLBACK".into())
    }

    fn require_block(&self, what: &str) -> PgResult<()> {
        if self.block.is_explicit() { Ok(()) } else { Err(only_in_block(what)) }
    }

    fn rollback_to(&mut self, name: &Name) -> PgResult<String> {
        self.require_block("ROLLBACK TO SAVEPOINT")?;
        let settings = Arc::make_mut(&mut self.settings);
        match self.block.active() {
            Some(active) => {
                let level = active.roll_back_to(name, settings)?;
                self.portals.retain(|_, portal| portal.level() <= level);
            }
            None => return Err(only_in_block("ROLLBACK TO SAVEPOINT")),
        }
        Ok("ROLLBACK".into())
    }

    fn set_transaction(&mut self, modes: TransactionModes, session: bool, client: &mut dyn Client) -> PgResult<String> {
        if session {
            let settings = self.settings_mut();
            if let Some(isolation) = modes.isolation {
                let value = super::block::isolation_name(isolation).to_owned();
                settings.set("default_transaction_isolation", &[value], false)?;
            }
            for (name, value) in [
                ("default_transaction_read_only", modes.read_only),
                ("default_transaction_deferrable", modes.deferrable),
            ] {
                if let Some(on) = value {
                    settings.set(name, &[if on { "on" } else { "off" }.to_owned()], false)?;
                }
            }
            self.settle_settings();
        } else if self.block.is_explicit() {
            self.open().set_modes(modes)?;
        } else {
            self.warn(
                client,
                sqlstate::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            );
        }
        Ok("SET".into())
    }

    fn set(&mut self, name: &str, value: &SetValue, local: bool, client: &mut dyn Client) -> PgResult<String> {
        if local && !self.block.is_explicit() {
            self.warn(client, sqlstate::NO_ACTIVE_SQL_TRANSACTION, "SET LOCAL can only be used in transaction blocks");
            return Ok("SET".into());
        }
        let modes = match (name.to_ascii_lowercase().as_str(), value) {
            ("transaction_isolation", SetValue::Values(values)) => Some(isolation_mode(values)?),
            ("transaction_read_only", SetValue::Values(values)) => {
                let read_only = Some(boolean_mode("transaction_read_only", values)?);
                Some(TransactionModes { read_only, ..TransactionModes::default() })
            }
            ("transaction_deferrable", SetValue::Values(values)) => {
                let deferrable = Some(boolean_mode("transaction_deferrable", values)?);
                Some(TransactionModes { deferrable, ..TransactionModes::default() })
            }
            _ => None,
        };
        if let Some(modes) = modes {
            // Outside of a block it concerns a transaction that is over with the statement: no warning, as in PostgreSQL.
            if !self.block.is_explicit() {
                return Ok("SET".into());
            }
            return self.set_transaction(modes, false, client);
        }
        match value {
            SetValue::Default => self.settings_mut().reset(name, local)?,
            // Each value is one schema's name, whatever it holds.
            SetValue::Values(values) if name.eq_ignore_ascii_case("search_path") => {
                let quoted = |value: &String| format!("\"{}\"", value.replace('"', "\"\""));
                let values: Vec<String> = values.iter().map(quoted).collect();
                self.settings_mut().set(name, &[values.join(", ")], local)?;
            }
            SetValue::Values(values) => self.settings_mut().set(name, values, local)?,
        }
        self.settle_settings();
        Ok("SET".into())
    }

    /// Outside a block a change of settings lasts at once.
    fn settle_settings(&mut self) {
        if !self.block.is_open() {
            self.settings_mut().commit();
        }
    }

    fn show(&mut self, name: Option<&str>, client: &mut dyn Client) -> PgResult<()> {
        let rows: Vec<Vec<String>> = match name {
            Some(name) => {
                if self.describes_rows {
                    client.row_description(&[text_column(&Settings::canonical_name(name))], &[Format::Text]);
                }
                vec![vec![self.setting_shown(name)?]]
            }
            None => {
                let columns = ["name", "setting", "description"].map(text_column);
                if self.describes_rows {
                    client.row_description(&columns, &[Format::Text; 3]);
                }
                let all = self.settings.show_all();
                all.into_iter().map(|(name, value, about)| vec![name.to_owned(), value, about.to_owned()]).collect()
            }
        };
        for row in &rows {
            text_row(client, row);
        }
        client.command_complete("SHOW");
        Ok(())
    }

    fn setting_shown(&mut self, name: &str) -> PgResult<String> {
        match (name.to_ascii_lowercase().as_str(), self.block.active()) {
            ("transaction_isolation", Some(active)) => {
                Ok(super::block::isolation_name(active.transaction.isolation()).to_owned())
            }
            ("transaction_isolation", None) => self.settings.show("default_transaction_isolation"),
            ("transaction_deferrable", Some(active)) => {
                Ok(if active.modes().deferrable == Some(true) { "on" } else { "off" }.to_owned())
            }
            ("transaction_read_only", Some(active)) => Ok(if active.read_only { "on" } else { "off" }.to_owned()),
            _ => self.settings.show(name),
        }
    }

    async fn discard(&mut self, what: Discard, alone: bool) -> PgResult<String> {
        Ok(match what {
            Discard::All => {
                if !alone || self.block.is_explicit() {
                    let message = "DISCARD ALL cannot run inside a transaction block";
                    return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
                }
                self.close_portals(true);
                self.statements.clear();
                self.settings_mut().reset_all();
                self.settle_settings();
                self.sequences.forget();
                let cancel = self.startup.cancel.clone();
                SqlSession::cancellable(&cancel, self.locks.unlock_all()).await?;
                self.discard_temporary().await?;
                "DISCARD ALL".into()
            }
            Discard::Plans => "DISCARD PLANS".into(),
            Discard::Sequences => {
                self.sequences.forget();
                "DISCARD SEQUENCES".into()
            }
            Discard::Temporary => {
                self.discard_temporary().await?;
                "DISCARD TEMP".into()
            }
        })
    }

    async fn prepare_statement(
        &mut self,
        name: &Name,
        types: &[crate::parser::tree::TypeName],
        statement: &Statement,
        text: &str,
        whole: &Parsed,
    ) -> PgResult<()> {
        if self.statements.contains_key(&name.text) {
            let message = format!("prepared statement \"{}\" already exists", name.text);
            return Err(PgError::new(sqlstate::DUPLICATE_PREPARED_STATEMENT, message));
        }
        if types.iter().any(crate::analyze::is_user_type_name) {
            self.load_types().await?;
        }
        let environment = self.environment();
        let types = types
            .iter()
            .map(|name| crate::analyze::resolve_type_name(name, &environment).map(|(oid, _)| oid.0))
            .collect::<PgResult<Vec<_>>>()?;
        let parsed = Parsed::new(statement.clone(), text);
        let prepared = self.prepare(&Arc::new(parsed), Some(&types)).await?;
        let prepared = prepared.shown_as(self.source_text(whole), true);
        self.statements.insert(name.text.clone(), Arc::new(prepared));
        Ok(())
    }

    async fn execute_statement(
        &mut self,
        name: &Name,
        arguments: &[crate::parser::tree::Expr],
        client: &mut dyn Client,
    ) -> PgResult<()> {
        let prepared = self.prepared(&name.text)?;
        let values = self.evaluate_arguments(&name.text, &prepared, arguments)?;
        let mut portal = Portal::new(prepared, values, vec![]);
        if self.describes_rows {
            self.change_first(&mut portal).await?;
            self.show_row_description(&portal, client);
        }
        match self.execute_portal(&mut portal, 0, client).await? {
            Progress::Done | Progress::Suspended => Ok(()),
        }
    }

    fn deallocate(&mut self, name: Option<&Name>) -> PgResult<String> {
        match name {
            None => {
                self.statements.clear();
                Ok("DEALLOCATE ALL".into())
            }
            Some(name) if self.statements.remove(&name.text).is_some() => Ok("DEALLOCATE".into()),
            Some(name) => Err(no_such_statement(&name.text)),
        }
    }

    async fn define(&mut self, statement: &Statement, last: bool, client: &mut dyn Client) -> PgResult<String> {
        self.prepare_temporary(statement);
        let database = Arc::clone(&self.database);
        let user = self.current_user();
        let session_user = Arc::clone(&self.user);
        let sequences = Arc::clone(&self.sequences);
        let path = search_path(&self.settings, &user);
        self.load_types().await?;
        let environment = self.environment();
        let engine = Arc::clone(&self.engine);
        let cancel = self.startup.cancel.clone();
        let explicit = self.block.is_explicit();
        let active = self.open();
        active.check_writable(&definition_tag(statement))?;
        active.used = true;
        let pending = active.deferred.tables();
        let surroundings = Surroundings {
            database: &*database,
            cache: &engine.descriptors,
            search_path: &path,
            environment: &environment,
            sequences: &sequences,
            user: &user,
            session_user: &session_user,
            pending: &pending,
        };
        if let Statement::CreateIndex(create) = statement {
            if create.concurrently && explicit {
                let message = "CREATE INDEX CONCURRENTLY cannot run inside a transaction block";
                return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
            }
            if last && surroundings.builds_online(&mut *active.transaction, create).await? {
                let built = SqlSession::cancellable(&cancel, surroundings.create_index(create)).await;
                built?.iter().for_each(|notice| self.tell(notice, client));
                return Ok("CREATE INDEX".into());
            }
        }
        // A definition that fails half-way leaves nothing of itself in a block that goes on after ROLLBACK TO; the block is
        // failed until then, so no statement savepoint is needed.
        let mut definer = surroundings.definer(&mut *active.transaction);
        definer.last = last;
        let tag = SqlSession::cancellable(&cancel, async {
            definer.transaction.statement().await?;
            define::run(&mut definer, statement).await
        })
        .await?;
        let notices = std::mem::take(&mut definer.notices);
        notices.iter().for_each(|notice| self.tell(notice, client));
        Ok(tag)
    }
}

/// As the error in a read-only transaction names a definition.
fn definition_tag(statement: &Statement) -> String {
    match statement {
        Statement::CreateTable(_) => "CREATE TABLE".into(),
        Statement::CreateIndex(_) => "CREATE INDEX".into(),
        Statement::CreateView { .. } => "CREATE VIEW".into(),
        Statement::AlterTable { kind, .. } => format!("ALTER {}", kind.word().to_uppercase()),
        Statement::Drop { kind, .. } => format!("DROP {}", kind.word().to_uppercase()),
        Statement::Truncate { .. } => "TRUNCATE TABLE".into(),
        Statement::Comment { .. } => "COMMENT".into(),
        _ => "DDL".into(),
    }
}

fn boolean_mode(name: &str, values: &[String]) -> PgResult<bool> {
    let given = values.first().and_then(|value| crate::settings::boolean(value));
    given.ok_or_else(|| {
        let message = format!("parameter \"{name}\" requires a Boolean value");
        PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
    })
}

fn isolation_mode(values: &[String]) -> PgResult<TransactionModes> {
    use trivet_txn::Isolation;
    let isolation = match values.first().map(String::as_str) {
        Some("serializable") => Isolation::Serializable,
        Some("repeatable read") => Isolation::RepeatableRead,
        Some("read committed" | "read uncommitted") => Isolation::ReadCommitted,
        other => {
            let message =
                format!("invalid value for parameter \"transaction_isolation\": \"{}\"", other.unwrap_or_default());
            let levels = "serializable, repeatable read, read committed, read uncommitted";
            return Err(
                PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message).hint(format!("Available values: {levels}."))
            );
        }
    };
    Ok(TransactionModes { isolation: Some(isolation), ..TransactionModes::default() })
}

pub(super) fn only_in_block(what: &str) -> Box<PgError> {
    PgError::new(sqlstate::NO_ACTIVE_SQL_TRANSACTION, format!("{what} can only be used in transaction blocks"))
}

fn no_such_cursor(name: &Name) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_CURSOR_NAME, format!("cursor \"{}\" does not exist", name.text))
}

pub(super) fn no_such_statement(name: &str) -> Box<PgError> {
    let message = format!("prepared statement \"{name}\" does not exist");
    PgError::new(sqlstate::INVALID_SQL_STATEMENT_NAME, message)
}

/// A column of type text that no table has.
pub(super) fn text_column(name: &str) -> Column {
    Column { name: name.to_owned(), table_oid: 0, attribute: 0, type_oid: oid::TEXT.0, type_len: -1, type_modifier: -1 }
}

pub(super) fn text_row(client: &mut dyn Client, fields: &[String]) {
    client.data_row(fields.len(), &mut |buffer| {
        for field in fields {
            bytes::BufMut::put_i32(buffer, i32::try_from(field.len()).unwrap_or(i32::MAX));
            buffer.extend_from_slice(field.as_bytes());
        }
    });
}
