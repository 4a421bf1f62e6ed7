//! CREATE TABLE AS and SELECT INTO: the table is made of the query's columns, then filled by an INSERT of the same query.
use super::connection::SqlSession;
use super::environment::search_path;
use super::query::{Portal, PreparedQuery};
use crate::define::Surroundings;
use crate::parser::Parsed;
use crate::parser::tree::{Insert, InsertSource, Statement};
use std::sync::Arc;
use trivet_gateway::Client;
use trivet_types::{PgError, PgResult, oid, sqlstate};

impl SqlSession {
    pub(super) async fn create_table_as(&mut self, parsed: &Parsed, client: &mut dyn Client) -> PgResult<String> {
        let Statement::CreateTableAs { name, columns, query, if_not_exists, with_data, temporary, on_commit } =
            &parsed.statement
        else {
            return Err(PgError::internal("not CREATE TABLE AS"));
        };
        self.prepare_temporary(&parsed.statement);
        let of_query = Parsed::new(Statement::Query(query.clone()), format!("{}\n--query", parsed.text));
        let PreparedQuery { columns: shown, .. } = self.prepare_query(&Arc::new(of_query)).await?;
        if columns.len() > shown.len() {
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, "too many column names were specified"));
        }
        let mut of_table = shown;
        for (at, column) in of_table.iter_mut().enumerate() {
            if let Some(name) = columns.get(at) {
                column.name.clone_from(&name.text);
            }
            if column.type_oid == oid::UNKNOWN {
                column.type_oid = oid::TEXT;
            }
        }
        let user = self.current_user();
        let session_user = Arc::clone(&self.user);
        let sequences = Arc::clone(&self.sequences);
        let path = search_path(&self.settings, &user);
        self.load_types().await?;
        let environment = self.environment();
        let engine = Arc::clone(&self.engine);
        let database = Arc::clone(&self.database);
        let cancel = self.startup.cancel.clone();
        let active = self.open();
        active.check_writable("CREATE TABLE AS")?;
        active.used = true;
        let surroundings = Surroundings {
            database: &*database,
            cache: &engine.descriptors,
            search_path: &path,
            environment: &environment,
            sequences: &sequences,
            user: &user,
            session_user: &session_user,
            pending: &[],
        };
        let mut definer = surroundings.definer(&mut *active.transaction);
        let made = SqlSession::cancellable(&cancel, async {
            definer.transaction.statement().await?;
            definer.create_table_of(name, of_table, *if_not_exists, (*temporary, *on_commit)).await
        })
        .await?;
        let notices = std::mem::take(&mut definer.notices);
        notices.iter().for_each(|notice| self.tell(notice, client));
        if made.is_none() || !*with_data {
            return Ok("CREATE TABLE AS".into());
        }
        let insert = Insert {
            with: None,
            table: name.clone(),
            alias: None,
            columns: vec![],
            source: InsertSource::Query(Box::new(query.clone())),
            overriding_system: None,
            on_conflict: None,
            returning: vec![],
        };
        let filling = Parsed::new(Statement::Insert(insert), format!("{}\n--rows", parsed.text));
        let prepared = self.prepare(&Arc::new(filling), None).await?;
        let mut portal = Portal::new(Arc::new(prepared), Vec::new(), vec![]);
        while self.next_rows(&mut portal).await?.is_some() {}
        Ok(format!("SELECT {}", portal.affected()))
    }
}
