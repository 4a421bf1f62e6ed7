//! Statements that are planned: preparing them, binding them, running them, showing their rows.
//!
//! A plan is shared by all sessions that send the same text under the same search path. It says which catalog rows it relied
//! on; before it runs, those are read again at the statement's snapshot, writes in flight included (T10), and if one changed it is
//! made anew. What it writes is guarded by the descriptors of its tables (T19).
use super::connection::SqlSession;
use super::cursor::{CursorState, Holding};
use super::environment::{SessionEnvironment, search_path};
use super::inventory::Origin;
use super::statement::{no_such_statement, text_column};
use super::table_lock;
use crate::analyze::{Analyzer, ParameterTypes, Relations, mentioned, with_room};
use crate::catalog::{Catalog, CatalogSnapshot, Dependency, Found, Relied, descriptor_key};
use crate::execute::{Row, Run};
use crate::parser::Parsed;
use crate::parser::tree::{self, Statement};
use crate::plan::{Command, Plan, PlanSettings, Planning, plan_statement};
use bytes::{BufMut, Bytes, BytesMut};
use quick_cache::sync::Cache;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use trivet_gateway::{Client, Column, Format, Parameter};
use trivet_types::user::is_user_type;
use trivet_types::{Datum, Environment, Oid, PgError, PgResult, UserTypes, binary, oid, sqlstate, text, type_info};

/// Plans that a region keeps.
const PLANS_MAX: usize = 4096;

/// What a plan was made of; equal keys give equal plans as long as what they rely on holds.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PlanKey {
    text: Arc<str>,
    parameter_types: Option<Vec<u32>>,
    search_path: String,
    /// Constants are read with these: DateStyle, TimeZone.
    format: Arc<str>,
    /// Whose privileges were checked.
    user: Arc<str>,
    planning: PlanSettings,
    /// For EXPLAIN, with notes.
    explains: bool,
}

pub(super) struct CachedPlan {
    /// What it takes of tables, for LOCK TABLE's sake.
    held: Vec<(Oid, trivet_txn::LockStrength)>,
    plan: Arc<Plan>,
    parameter_types: Vec<Oid>,
    columns: Option<Vec<Column>>,
    relied: Relied,
    /// If it has to do with types that users made.
    types: Option<Arc<UserTypes>>,
    /// The rows of the relations that it names.
    rows: Arc<[trivet_types::user::RowType]>,
    /// Descriptors of the plan's tables: what its writes are guarded by.
    guards: Vec<Bytes>,
    /// The settings that it was made under.
    search_path: String,
    format: Arc<str>,
    user: Arc<str>,
    planning: PlanSettings,
    /// As of when the statistics were.
    statistics_epoch: AtomicU64,
}

pub(super) struct PlanCache {
    plans: Cache<PlanKey, Arc<CachedPlan>>,
}

impl Default for PlanCache {
    fn default() -> Self {
        PlanCache { plans: Cache::new(PLANS_MAX) }
    }
}

/// Texts that Parse brought lately, as trees.
pub(super) struct TextCache {
    texts: Cache<String, Arc<Parsed>>,
}

impl Default for TextCache {
    fn default() -> Self {
        TextCache { texts: Cache::new(PLANS_MAX) }
    }
}

/// Longer texts are seldom sent twice.
const CACHED_TEXT_BYTES_MAX: usize = 16 << 10;

impl TextCache {
    /// The one statement of a text; `None` if it is empty, 42601 if there are several.
    pub fn parsed(&self, sql: &str) -> PgResult<Option<Arc<Parsed>>> {
        if let Some(parsed) = self.texts.get(sql) {
            return Ok(Some(parsed));
        }
        let mut parsed = crate::parser::parse(sql)?;
        let Some(only) = parsed.pop() else { return Ok(None) };
        if !parsed.is_empty() {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
        }
        let only = Arc::new(only);
        if sql.len() <= CACHED_TEXT_BYTES_MAX {
            self.texts.insert(sql.to_owned(), Arc::clone(&only));
        }
        Ok(Some(only))
    }
}

/// A prepared statement.
pub(super) struct Prepared {
    /// `None`: an empty query.
    parsed: Option<Arc<Parsed>>,
    given_types: Option<Vec<u32>>,
    kind: PreparedKind,
    /// For `pg_prepared_statements`.
    pub origin: Origin,
}

enum PreparedKind {
    Planned(Arc<CachedPlan>),
    /// Runs without a plan; what its rows look like, if it has any.
    Utility(Option<Vec<Column>>),
}

impl Prepared {
    pub fn empty() -> Prepared {
        Prepared { parsed: None, given_types: None, kind: PreparedKind::Utility(None), origin: Origin::default() }
    }
    /// `text`: the whole text that it was prepared with.
    pub fn shown_as(mut self, text: &str, from_sql: bool) -> Prepared {
        self.origin = Origin { text: text.to_owned(), from_sql, at: super::environment::clock_now() };
        self
    }
    pub fn statement(&self) -> Option<&Statement> {
        self.parsed.as_deref().map(|parsed| &parsed.statement)
    }
    pub fn parameter_types(&self) -> &[Oid] {
        match &self.kind {
            PreparedKind::Planned(cached) => &cached.parameter_types,
            PreparedKind::Utility(_) => &[],
        }
    }
    pub fn plan(&self) -> Option<&Plan> {
        match &self.kind {
            PreparedKind::Planned(cached) => Some(&cached.plan),
            PreparedKind::Utility(_) => None,
        }
    }
    /// Its plan gives its rows backward without further ado, as PostgreSQL would say.
    pub fn scans_backward(&self) -> bool {
        matches!(&self.kind, PreparedKind::Planned(cached) if cached.plan.root.scans_backward())
    }
    pub fn columns(&self) -> Option<&[Column]> {
        match &self.kind {
            PreparedKind::Planned(cached) => cached.columns.as_deref(),
            PreparedKind::Utility(columns) => columns.as_deref(),
        }
    }
}

/// A bound statement on its way through its rows.
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    parameters: Arc<Vec<Datum>>,
    formats: Vec<Format>,
    run: Option<Run>,
    /// What the statement loaded of the catalog: `reg*` columns are shown with it.
    catalog: Option<Arc<CatalogSnapshot>>,
    /// Rows that were computed and not yet shown. A portal that pauses computes the rest at once: the transaction's
    /// snapshot moves on with the next statement.
    kept: VecDeque<Row>,
    begun: bool,
    /// Declared as a cursor, or fetched from as one.
    pub cursor: Option<CursorState>,
}

/// What a query shows.
pub(super) struct PreparedQuery {
    pub columns: Vec<crate::plan::ResultColumn>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    Done,
    Suspended,
}

impl Prepared {
    /// Its statement, and the types that its parameters were given.
    pub fn source(&self) -> Option<(Arc<Parsed>, Option<Vec<u32>>)> {
        self.parsed.as_ref().map(|parsed| (Arc::clone(parsed), self.given_types.clone()))
    }
}

impl Portal {
    pub fn new(prepared: Arc<Prepared>, parameters: Vec<Datum>, formats: Vec<Format>) -> Portal {
        let count = prepared.columns().map_or(0, <[Column]>::len);
        let formats = match formats.as_slice() {
            [] => vec![Format::Text; count],
            [one] => vec![*one; count],
            _ => formats,
        };
        Portal {
            prepared,
            parameters: Arc::new(parameters),
            formats,
            run: None,
            catalog: None,
            kept: VecDeque::new(),
            begun: false,
            cursor: None,
        }
    }

    /// As Bind sends it; 08P01 for a wrong number of formats.
    pub fn bound(prepared: Arc<Prepared>, parameters: Vec<Datum>, formats: &[Format]) -> PgResult<Portal> {
        let count = prepared.columns().map_or(0, <[Column]>::len);
        if formats.len() > 1 && formats.len() != count {
            let message = format!("bind message has {} result formats but query has {count} columns", formats.len());
            return Err(PgError::new(sqlstate::PROTOCOL_VIOLATION, message));
        }
        Ok(Portal::new(prepared, parameters, formats.to_vec()))
    }

    pub fn statement(&self) -> Option<&Statement> {
        self.prepared.statement()
    }
    /// Rows changed so far.
    pub fn affected(&self) -> u64 {
        self.run.as_ref().map_or(0, Run::affected)
    }
    pub fn columns(&self) -> Option<&[Column]> {
        self.prepared.columns()
    }
    pub fn plan(&self) -> Option<&Plan> {
        self.prepared.plan()
    }
    pub fn writes(&self) -> bool {
        portal_writes(self)
    }
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }
    /// Outlives its transaction.
    pub fn is_held(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.holding == Holding::Yes)
    }
    /// Its transaction is committed.
    pub fn committed(&mut self) {
        if let Some(cursor) = self.cursor.as_mut().filter(|cursor| cursor.holding == Holding::IfCommitted) {
            cursor.holding = Holding::Yes;
        }
    }
    /// How many savepoints there were when it was declared.
    pub fn level(&self) -> usize {
        self.cursor.as_ref().filter(|cursor| cursor.holding != Holding::Yes).map_or(0, |cursor| cursor.level)
    }
    /// Savepoints were released: so many are left.
    pub fn released(&mut self, level: usize) {
        if let Some(cursor) = &mut self.cursor {
            cursor.level = cursor.level.min(level);
        }
    }
    /// A second run after a rollback shows the client what one run would.
    pub fn is_repeatable(&self) -> bool {
        matches!(self.prepared.kind, PreparedKind::Planned(_))
            || self.statement().is_some_and(crate::define::is_definition)
    }
    pub fn rewind(&mut self) {
        self.run = None;
        self.kept.clear();
        self.begun = false;
    }
}

impl SqlSession {
    pub(super) fn prepared(&self, name: &str) -> PgResult<Arc<Prepared>> {
        if name.is_empty() {
            let missing =
                || PgError::new(sqlstate::INVALID_SQL_STATEMENT_NAME, "unnamed prepared statement does not exist");
            return self.statements.get(name).cloned().ok_or_else(missing);
        }
        self.statements.get(name).cloned().ok_or_else(|| no_such_statement(name))
    }

    /// Plans a statement, or finds out that it needs none.
    /// `given_types`: `None` if the statement may have no parameters.
    pub(super) async fn prepare(&mut self, parsed: &Arc<Parsed>, given_types: Option<&[u32]>) -> PgResult<Prepared> {
        if parsed.as_of.is_some() {
            Box::pin(self.enter_past(parsed)).await?;
        }
        let kind = match &parsed.statement {
            Statement::Query(_)
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_) => {
                let cancel = self.startup.cancel.clone();
                PreparedKind::Planned(SqlSession::cancellable(&cancel, self.plan(parsed, given_types, None)).await?)
            }
            other => PreparedKind::Utility(self.utility_columns(other)),
        };
        Ok(Prepared {
            parsed: Some(Arc::clone(parsed)),
            given_types: given_types.map(<[u32]>::to_vec),
            kind,
            origin: Origin::default(),
        })
    }

    /// A query with AS OF SYSTEM TIME is planned and run in a transaction of its own, of the past.
    async fn enter_past(&mut self, parsed: &Parsed) -> PgResult<()> {
        if parsed.as_of.is_some() && self.block.is_explicit() {
            return Err(PgError::unsupported("AS OF SYSTEM TIME of one query in a transaction block")
                .hint("Use SET TRANSACTION AS OF SYSTEM TIME, or BEGIN AS OF SYSTEM TIME."));
        }
        self.read_as_of(parsed.as_of).await
    }

    /// A query, planned only to know its columns.
    pub(super) async fn prepare_query(&mut self, parsed: &Arc<Parsed>) -> PgResult<PreparedQuery> {
        let prepared = self.prepare(parsed, None).await?;
        let PreparedKind::Planned(cached) = &prepared.kind else {
            return Err(PgError::internal("a query without a plan"));
        };
        let columns = cached.plan.columns.iter();
        let columns = columns.cloned().collect();
        Ok(PreparedQuery { columns })
    }

    fn utility_columns(&self, statement: &Statement) -> Option<Vec<Column>> {
        match statement {
            Statement::Show(Some(name)) => Some(vec![text_column(&crate::settings::Settings::canonical_name(name))]),
            Statement::Show(None) => Some(["name", "setting", "description"].map(text_column).to_vec()),
            Statement::Explain { .. } => Some(vec![text_column("QUERY PLAN")]),
            Statement::Execute { name, .. } => {
                self.statements.get(&name.text).and_then(|prepared| prepared.columns()).map(<[Column]>::to_vec)
            }
            Statement::Fetch { cursor, moves: false, .. } => {
                self.portals.get(&cursor.text).and_then(Portal::columns).map(<[Column]>::to_vec)
            }
            _ => None,
        }
    }

    fn plan_key(&self, parsed: &Parsed, given_types: Option<&[u32]>) -> PlanKey {
        let format = Arc::clone(self.settings.format_key());
        PlanKey {
            text: Arc::from(parsed.text.as_str()),
            parameter_types: given_types.map(<[u32]>::to_vec),
            search_path: self.settings.path_key().into_owned(),
            format,
            user: self.current_user(),
            planning: self.settings.planning(),
            explains: false,
        }
    }

    /// A plan that is valid at a new statement snapshot of the open transaction; the one that is known, if it still is.
    async fn plan(
        &mut self,
        parsed: &Parsed,
        given_types: Option<&[u32]>,
        known: Option<&Arc<CachedPlan>>,
    ) -> PgResult<Arc<CachedPlan>> {
        let engine = Arc::clone(&self.engine);
        let settings = Arc::clone(&self.settings);
        let user = self.current_user();
        let expected = self.expected();
        let active = self.open();
        active.transaction.statement().await?;
        let same_settings = |cached: &&Arc<CachedPlan>| {
            cached.search_path == settings.path_key()
                && cached.format == *settings.format_key()
                && cached.user == user
                && cached.planning == settings.planning()
        };
        let up_to_date = |cached: &&Arc<CachedPlan>| {
            engine.still_believes(&cached.statistics_epoch, &cached.plan.believed, &expected)
        };
        let transaction = &mut *active.transaction;
        if let Some(cached) = known.filter(same_settings).filter(up_to_date) {
            if cached.relied.still_holds(transaction).await? {
                if cached.types.is_some() {
                    self.types.clone_from(&cached.types);
                }
                self.rows.clone_from(&cached.rows);
                return Ok(Arc::clone(cached));
            }
        }
        let key = self.plan_key(parsed, given_types);
        if let Some(cached) = engine.plans.plans.get(&key).filter(|cached| up_to_date(&cached)) {
            let active = self.open();
            if cached.relied.still_holds(&mut *active.transaction).await? {
                if cached.types.is_some() {
                    self.types.clone_from(&cached.types);
                }
                self.rows.clone_from(&cached.rows);
                return Ok(cached);
            }
        }
        Box::pin(self.plan_anew(key, parsed, given_types)).await
    }

    async fn plan_anew(
        &mut self,
        key: PlanKey,
        parsed: &Parsed,
        given_types: Option<&[u32]>,
    ) -> PgResult<Arc<CachedPlan>> {
        let engine = Arc::clone(&self.engine);
        let path = search_path(&self.settings, &self.current_user());
        let mut environment = self.environment();
        let active = self.open();
        let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
        let mut relations = Relations::new();
        let mentioned = mentioned(&parsed.statement);
        for (schema, name) in &mentioned.relations {
            if let Some(found) = catalog.relation(schema.as_deref(), name).await? {
                relations.insert((schema.clone(), name.clone()), found);
            }
        }
        mentioned.check_constants(&relations)?;
        let given_user_type = given_types.is_some_and(|types| types.iter().any(|given| is_user_type(Oid(*given))));
        let types = if mentioned.user_types || given_user_type || relations.values().any(Found::uses_user_types) {
            Some(catalog.user_types().await?)
        } else {
            None
        };
        environment.types.clone_from(&types);
        let rows: Arc<[trivet_types::user::RowType]> = crate::analyze::row_types(&relations).into();
        environment.rows.clone_from(&rows);
        let dependencies = std::mem::take(&mut catalog.dependencies);
        if types.is_some() {
            self.types.clone_from(&types);
        }
        self.rows.clone_from(&rows);
        for found in relations.values() {
            if let Found::Table(table) = found {
                engine.refresh_if_wanted(table, engine.statistics.counts(table.storage));
            }
        }
        let depth = mentioned.depth;
        let analyze = |environment: &SessionEnvironment| {
            with_room(depth, || {
                let parameters = given_types.map_or_else(ParameterTypes::none, ParameterTypes::new);
                let mut analyzer = Analyzer::new(&relations, environment, parameters).with_depth(depth);
                let typed = analyzer.statement(&parsed.statement)?;
                let parameter_types = std::mem::take(&mut analyzer.parameters).finish()?;
                Ok((typed, parameter_types))
            })
        };
        let (typed, parameter_types) = match analyze(&environment) {
            // A constant like 'pg_class'::regclass looks at the catalog while it is read.
            Err(error) if error.code == sqlstate::INTERNAL_ERROR => {
                let snapshot = CatalogSnapshot::load(&mut *self.open().transaction, &engine.descriptors).await?;
                environment.catalog = Some(Arc::new(snapshot));
                analyze(&environment)?
            }
            other => other?,
        };
        let access = self.check_access(&typed).await?;
        let mut typed = typed;
        if parsed.for_cursor {
            crate::analyze::show_row_ids(&mut typed);
        }
        let (related, more) = self.related(&typed, &environment).await?;
        let dependencies: Vec<Dependency> = dependencies.into_iter().chain(access).chain(more).collect();
        let has_types = types.is_some() || related.values().any(|related| related.table.uses_user_types());
        let planning = Planning {
            settings: self.settings.planning(),
            statistics: Arc::clone(&engine.statistics),
            expected: self.expected(),
            explains: key.explains,
        };
        let epoch = engine.statistics.epoch();
        let plan = with_room(depth, || plan_statement(typed, related, &planning))?;
        let plan = Arc::new(plan);
        let columns = plan.returns_rows.then(|| plan.columns.iter().map(column).collect());
        let cached = Arc::new(CachedPlan {
            guards: {
                let related = plan.related.keys().filter(|table| !plan.tables.contains(table));
                plan.tables.iter().chain(related).map(|table| descriptor_key(*table)).collect()
            },
            held: table_lock::held_by(&plan),
            plan,
            parameter_types,
            columns,
            relied: Relied::new(dependencies),
            types: self.types.clone().filter(|_| has_types),
            rows,
            search_path: self.settings.path_key().into_owned(),
            format: Arc::clone(self.settings.format_key()),
            user: self.current_user(),
            planning: self.settings.planning(),
            statistics_epoch: AtomicU64::new(epoch),
        });
        if !key.explains {
            engine.plans.plans.insert(key, Arc::clone(&cached));
        }
        Ok(cached)
    }

    /// The types that users made, at a new statement snapshot.
    pub(super) async fn load_types(&mut self) -> PgResult<()> {
        let engine = Arc::clone(&self.engine);
        let path = search_path(&self.settings, &self.current_user());
        let active = self.open();
        active.transaction.statement().await?;
        let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
        let types = catalog.user_types().await?;
        self.types = Some(types);
        // Those of the statement before are not this one's.
        self.rows = Arc::default();
        Ok(())
    }

    /// An error as the client sees it: with names for the marks of users' types.
    pub(super) fn spelled(&self, mut error: Box<PgError>) -> Box<PgError> {
        let types = self.types.as_deref().unwrap_or(UserTypes::none());
        let path = || search_path(&self.settings, &self.current_user());
        let spell = |text: &mut String| {
            if text.contains('\u{1}') {
                *text = super::environment::spelled(text, types, &self.rows, &path);
            }
        };
        spell(&mut error.message);
        [&mut error.detail, &mut error.hint].into_iter().flatten().for_each(spell);
        error
    }

    pub(super) async fn bind_parameters(
        &mut self,
        name: &str,
        prepared: &Prepared,
        parameters: Vec<Parameter>,
    ) -> PgResult<Vec<Datum>> {
        let types = prepared.parameter_types();
        if parameters.len() != types.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{name}\" requires {}",
                parameters.len(),
                types.len()
            );
            return Err(PgError::new(sqlstate::PROTOCOL_VIOLATION, message));
        }
        if types.is_empty() {
            return Ok(Vec::new());
        }
        if types.iter().any(|type_oid| {
            is_user_type(*type_oid)
                || trivet_types::user::is_row(*type_oid)
                || trivet_types::user::is_row_array(*type_oid)
        }) {
            self.load_types().await?;
        }
        let mut environment = self.environment();
        let named = |type_oid: &Oid| matches!(*type_oid, oid::REGCLASS | oid::REGNAMESPACE | oid::REGROLE);
        if types.iter().any(named) {
            // Names are values of these types: they are looked up now.
            let engine = Arc::clone(&self.engine);
            let active = self.open();
            active.transaction.statement().await?;
            let snapshot = CatalogSnapshot::load(&mut *active.transaction, &engine.descriptors).await?;
            environment.catalog = Some(Arc::new(snapshot));
        }
        let bind = |(parameter, type_oid): (Parameter, &Oid)| match (parameter.value, parameter.format) {
            (None, _) => Ok(Datum::Null),
            (Some(bytes), Format::Binary) => binary::input(*type_oid, bytes, &environment),
            (Some(bytes), Format::Text) => {
                let given = std::str::from_utf8(&bytes).map_err(|_| {
                    PgError::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
                })?;
                text::input(*type_oid, -1, given, &environment)
            }
        };
        parameters.into_iter().zip(types).map(bind).collect()
    }

    /// EXECUTE's arguments, which may be any expression without columns.
    pub(super) fn evaluate_arguments(
        &mut self,
        name: &str,
        prepared: &Prepared,
        arguments: &[tree::Expr],
    ) -> PgResult<Vec<Datum>> {
        let types = prepared.parameter_types();
        // PostgreSQL does not look at them.
        if types.is_empty() {
            return Ok(Vec::new());
        }
        if arguments.len() != types.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, message).detail(format!(
                "Expected {} parameters but got {}.",
                types.len(),
                arguments.len()
            )));
        }
        let environment = self.environment();
        let relations = Relations::new();
        let mut values = Vec::with_capacity(arguments.len());
        for (at, (argument, type_oid)) in arguments.iter().zip(types).enumerate() {
            let mut analyzer = Analyzer::new(&relations, &environment, ParameterTypes::default());
            let typed = analyzer.execute_argument(argument, *type_oid, &format!("${}", at + 1))?;
            values.push(crate::plan::plan_expr(&typed)?.evaluate_alone(&environment)?);
        }
        Ok(values)
    }

    pub(super) fn show_row_description(&self, portal: &Portal, client: &mut dyn Client) {
        if let Some(columns) = portal.columns() {
            client.row_description(columns, portal.formats());
        }
    }

    /// Execute, of anything.
    pub(super) async fn execute_portal(
        &mut self,
        portal: &mut Portal,
        max_rows: u32,
        client: &mut dyn Client,
    ) -> PgResult<Progress> {
        match (&portal.prepared.kind, &portal.prepared.parsed) {
            (_, None) => {
                client.empty_query();
                Ok(Progress::Done)
            }
            (PreparedKind::Planned(_), _) => self.run_portal(portal, max_rows, client).await,
            (PreparedKind::Utility(_), Some(parsed)) => {
                let parsed = Arc::clone(parsed);
                let alone = !self.block.is_open();
                self.describes_rows = false;
                let result = match &parsed.statement {
                    Statement::Copy(copy) => Box::pin(super::copy::run(self, copy, &parsed, client)).await,
                    _ => Box::pin(self.utility(&parsed, alone, client)).await,
                };
                self.describes_rows = true;
                result.map(|()| Progress::Done)
            }
        }
    }

    /// A change runs to its end before anything of it is shown: if it fails, there were no rows.
    pub(super) async fn change_first(&mut self, portal: &mut Portal) -> PgResult<()> {
        let PreparedKind::Planned(cached) = &portal.prepared.kind else { return Ok(()) };
        let changes =
            cached.plan.command != Command::Select || cached.plan.commons.iter().any(|common| common.modifies);
        if changes && cached.plan.returns_rows { self.keep_rest(portal).await } else { Ok(()) }
    }

    /// Runs a planned portal, or goes on with it, and shows at most `max_rows` rows (0: all) and the command tag.
    pub(super) async fn run_portal(
        &mut self,
        portal: &mut Portal,
        max_rows: u32,
        client: &mut dyn Client,
    ) -> PgResult<Progress> {
        let limit = if max_rows == 0 { u64::MAX } else { u64::from(max_rows) };
        self.change_first(portal).await?;
        let mut environment = self.environment();
        let types = output_types(portal);
        let writes = portal_writes(portal);
        let mut shown = 0u64;
        loop {
            environment.catalog.clone_from(&portal.catalog);
            while shown < limit {
                let Some(row) = portal.kept.pop_front() else { break };
                show_row(client, &row, &types, &portal.formats, &environment);
                shown += 1;
            }
            if shown == limit && max_rows > 0 {
                // A portal that pauses ends exactly at its last row only by being asked again, as in PostgreSQL.
                self.keep_rest(portal).await?;
                client.portal_suspended();
                return Ok(Progress::Suspended);
            }
            // Rows of a statement that writes wait for the verdict (T16).
            if !writes {
                client.flow().await?;
            }
            let rows = self.next_rows(portal).await;
            self.locks.take_notices().iter().for_each(|notice| client.notice(notice));
            match rows? {
                Some(rows) => portal.kept.extend(rows),
                None => break,
            }
        }
        if self.ends_unit {
            self.check_before_end().await?;
        }
        client.command_complete(&tag(portal, shown));
        Ok(Progress::Done)
    }

    /// All rows that a portal has left.
    pub(super) async fn all_rows(&mut self, portal: &mut Portal) -> PgResult<Vec<Row>> {
        self.keep_rest(portal).await?;
        Ok(std::mem::take(&mut portal.kept).into())
    }

    pub(super) fn show_rows<'r>(
        &mut self,
        portal: &Portal,
        rows: impl Iterator<Item = &'r Row>,
        client: &mut dyn Client,
    ) {
        let mut environment = self.environment();
        environment.catalog.clone_from(&portal.catalog);
        let types = output_types(portal);
        rows.for_each(|row| show_row(client, row, &types, &portal.formats, &environment));
    }

    async fn keep_rest(&mut self, portal: &mut Portal) -> PgResult<()> {
        let bytes_max = self.settings.limits().statement_bytes;
        let mut bytes: usize = portal.kept.iter().map(row_memory).sum();
        while let Some(rows) = self.next_rows(portal).await? {
            bytes += rows.iter().map(row_memory).sum::<usize>();
            if bytes > bytes_max {
                return Err(PgError::new(
                    sqlstate::OUT_OF_MEMORY,
                    "the rest of a paused result does not fit in memory",
                )
                .hint("Fetch all rows at once, or fewer with LIMIT."));
            }
            portal.kept.extend(rows);
        }
        Ok(())
    }

    /// The next batch of a planned portal's rows; begins it if need be.
    pub(super) async fn next_rows(&mut self, portal: &mut Portal) -> PgResult<Option<Vec<Row>>> {
        let cancel = self.startup.cancel.clone();
        let engine = Arc::clone(&self.engine);
        SqlSession::cancellable(&cancel, async {
            if !portal.begun {
                self.begin_run(portal).await?;
            }
            let Some(run) = portal.run.as_mut() else { return Ok(None) };
            let active = self.open();
            let rows = run.next(&mut *active.transaction).await?;
            active.deferred.checks.append(&mut run.take_deferred());
            if rows.is_none() && run.affected() > 0 {
                if let Some((table, written)) = run.plan().changed_table() {
                    active.written.note(table, written, run.affected(), &engine.statistics);
                }
            }
            Ok(rows)
        })
        .await
    }

    async fn begin_run(&mut self, portal: &mut Portal) -> PgResult<()> {
        let prepared = Arc::clone(&portal.prepared);
        let (Some(parsed), PreparedKind::Planned(known)) = (&prepared.parsed, &prepared.kind) else {
            return Err(PgError::internal("a statement without a plan was run"));
        };
        if parsed.as_of.is_some() {
            Box::pin(self.enter_past(parsed)).await?;
        }
        let mut cached = self.plan(parsed, prepared.given_types.as_deref(), Some(known)).await?;
        while !cached.held.is_empty() && self.hold_tables(&cached.held).await? {
            cached = self.plan(parsed, prepared.given_types.as_deref(), Some(&cached)).await?;
        }
        if cached.types.is_some() {
            self.types.clone_from(&cached.types);
        }
        self.rows.clone_from(&cached.rows);
        if !same_result(cached.columns.as_deref(), portal.columns()) {
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "cached plan must not change result type"));
        }
        if let Some(cursor) = &cached.plan.current_of {
            let row = self.current_row(cursor, &cached.plan)?;
            let parameters = Arc::make_mut(&mut portal.parameters);
            parameters.truncate(cached.parameter_types.len());
            parameters.push(Datum::Int8(row.0 as i64));
        }
        let engine = Arc::clone(&self.engine);
        let mut environment = self.environment();
        let sequences = Arc::clone(&self.sequences);
        let database = Arc::clone(&self.database);
        let rules = self.lock_rules();
        environment.query = Some(Arc::from(self.source_text(parsed)));
        if cached.plan.needs_catalog {
            environment.inventory = self.inventory();
        }
        let active = self.open();
        active.used = true;
        if cached.plan.writes {
            active.check_writable(command_word(cached.plan.command))?;
            for key in &cached.guards {
                active.transaction.guard_schema(key.clone());
            }
        }
        if let Some(call) = cached.plan.advances {
            active.check_writable(call)?;
        }
        if cached.plan.needs_catalog {
            let snapshot = CatalogSnapshot::load(&mut *active.transaction, &engine.descriptors).await?;
            environment.catalog = Some(Arc::new(snapshot));
        }
        let catalog = environment.catalog.clone();
        portal.catalog.clone_from(&catalog);
        let environment: Arc<dyn Environment> = Arc::new(environment);
        let mut run = Run::new(
            Arc::clone(&cached.plan),
            Arc::clone(&portal.parameters),
            environment,
            catalog,
            database,
            sequences,
            active.deferred.modes.clone(),
        );
        run.set_locks(rules);
        run.limit_memory(self.settings.limits(), Arc::clone(&engine.temporary_folder));
        portal.run = Some(run);
        portal.begun = true;
        Ok(())
    }

    /// A statement planned for EXPLAIN, with notes; its plan is nobody else's.
    pub(super) async fn prepare_explained(
        &mut self,
        parsed: &Arc<Parsed>,
        given_types: Option<&[u32]>,
    ) -> PgResult<(Arc<Prepared>, Arc<Plan>)> {
        if !matches!(
            parsed.statement,
            Statement::Query(_)
                | Statement::Insert(_)
                | Statement::Update(_)
                | Statement::Delete(_)
                | Statement::Merge(_)
        ) {
            return Err(PgError::unsupported("EXPLAIN of a statement without a plan"));
        }
        self.open().transaction.statement().await?;
        let key = PlanKey { explains: true, ..self.plan_key(parsed, given_types) };
        let cached = Box::pin(self.plan_anew(key, parsed, given_types)).await?;
        let plan = Arc::clone(&cached.plan);
        let kind = PreparedKind::Planned(cached);
        let given_types = given_types.map(<[u32]>::to_vec);
        let parsed = Some(Arc::clone(parsed));
        Ok((Arc::new(Prepared { parsed, given_types, kind, origin: Origin::default() }), plan))
    }

    /// Begin to run a portal with all its nodes watched.
    pub(super) async fn begin_watched(&mut self, portal: &mut Portal) -> PgResult<Arc<crate::execute::Watch>> {
        self.begin_run(portal).await?;
        let run = portal.run.as_mut().ok_or_else(|| PgError::internal("a portal that began does not run"))?;
        Ok(run.watched())
    }
}

fn column(column: &crate::plan::ResultColumn) -> Column {
    let (table_oid, attribute) = column.origin.map_or((0, 0), |(table, attribute)| (table.0, attribute));
    Column {
        name: column.name.clone(),
        table_oid,
        attribute,
        type_oid: column.type_oid.0,
        type_len: type_info(column.type_oid).map_or(-1, |info| info.length),
        type_modifier: column.modifier,
    }
}

/// Names and types are what a client was told; which table they come from may change.
fn same_result(left: Option<&[Column]>, right: Option<&[Column]>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return left.is_some() == right.is_some() };
    let told = |column: &Column| (column.name.clone(), column.type_oid, column.type_modifier);
    left.iter().map(told).eq(right.iter().map(told))
}

fn output_types(portal: &Portal) -> Vec<Oid> {
    portal.columns().unwrap_or_default().iter().map(|column| Oid(column.type_oid)).collect()
}

fn portal_writes(portal: &Portal) -> bool {
    matches!(&portal.prepared.kind, PreparedKind::Planned(cached) if cached.plan.writes)
}

fn row_memory(row: &Row) -> usize {
    row.iter().map(Datum::memory).sum()
}

fn command_word(command: Command) -> &'static str {
    match command {
        Command::Select => "SELECT FOR UPDATE",
        Command::Insert => "INSERT",
        Command::Update => "UPDATE",
        Command::Merge => "MERGE",
        Command::Delete => "DELETE",
    }
}

fn tag(portal: &Portal, shown: u64) -> String {
    let PreparedKind::Planned(cached) = &portal.prepared.kind else { return String::new() };
    let affected = portal.run.as_ref().map_or(0, Run::affected);
    match cached.plan.command {
        Command::Select => format!("SELECT {shown}"),
        Command::Insert => format!("INSERT 0 {affected}"),
        Command::Update => format!("UPDATE {affected}"),
        Command::Merge => format!("MERGE {affected}"),
        Command::Delete => format!("DELETE {affected}"),
    }
}

/// One DataRow, straight into the connection's buffer.
fn show_row(client: &mut dyn Client, row: &Row, types: &[Oid], formats: &[Format], environment: &SessionEnvironment) {
    let mut scratch = String::new();
    client.data_row(types.len(), &mut |buffer| {
        for ((value, type_oid), format) in row.iter().zip(types).zip(formats) {
            if value.is_null() {
                buffer.put_i32(-1);
                continue;
            }
            let at = buffer.len();
            buffer.put_i32(0);
            match format {
                Format::Binary => binary::output(*type_oid, value, environment, buffer),
                Format::Text => {
                    scratch.clear();
                    text::write(*type_oid, value, environment, &mut scratch);
                    buffer.extend_from_slice(scratch.as_bytes());
                }
            }
            set_length(buffer, at);
        }
    });
}

fn set_length(buffer: &mut BytesMut, at: usize) {
    let length = i32::try_from(buffer.len() - at - 4).unwrap_or(i32::MAX);
    buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
}
