//! CREATE MATERIALIZED VIEW and REFRESH: the rows are written by an INSERT of the view's own query.
use super::connection::SqlSession;
use super::query::Portal;
use crate::catalog::{MATERIALIZED_QUERY, MATERIALIZED_ROWS};
use crate::parser::Parsed;
use crate::parser::tree::{
    Alias, Insert, InsertSource, Name, Place, QualifiedName, Query, Statement, TableExpr, Target,
};
use std::sync::Arc;
use trivet_gateway::Client;
use trivet_types::{Oid, PgError, PgResult};

impl SqlSession {
    pub(super) async fn create_materialized(&mut self, parsed: &Parsed, client: &mut dyn Client) -> PgResult<String> {
        let Statement::CreateMaterialized { name, columns, query, query_text, if_not_exists, with_data } =
            &parsed.statement
        else {
            return Err(PgError::internal("not CREATE MATERIALIZED VIEW"));
        };
        let made = self
            .defining("CREATE MATERIALIZED VIEW", client, async |definer| {
                definer.create_materialized(name, columns, query, query_text, *if_not_exists).await
            })
            .await?;
        let Some(_) = made else { return Ok("CREATE MATERIALIZED VIEW".into()) };
        if !with_data {
            return Ok("CREATE MATERIALIZED VIEW".into());
        }
        let rows = self.refresh(name, false, true, client).await?;
        Ok(format!("SELECT {rows}"))
    }

    pub(super) async fn refresh_materialized(&mut self, parsed: &Parsed, client: &mut dyn Client) -> PgResult<String> {
        let Statement::Refresh { name, concurrently, with_data } = &parsed.statement else {
            return Err(PgError::internal("not REFRESH MATERIALIZED VIEW"));
        };
        self.refresh(name, *concurrently, *with_data, client).await?;
        Ok("REFRESH MATERIALIZED VIEW".into())
    }

    async fn refresh(
        &mut self,
        name: &QualifiedName,
        concurrently: bool,
        with_data: bool,
        client: &mut dyn Client,
    ) -> PgResult<u64> {
        let oid = self
            .defining("REFRESH MATERIALIZED VIEW", client, async |definer| {
                definer.begin_refresh(name, concurrently, with_data).await
            })
            .await?;
        if !with_data {
            return Ok(0);
        }
        let filling = Parsed::new(filling(oid), format!("refresh {oid}"));
        let prepared = self.prepare(&Arc::new(filling), None).await?;
        let mut portal = Portal::new(Arc::new(prepared), Vec::new(), vec![]);
        while self.next_rows(&mut portal).await?.is_some() {}
        Ok(portal.affected())
    }

    /// Work on the catalog in the open transaction, an implicit one if there is none; notices go to the client.
    async fn defining<T>(
        &mut self,
        tag: &str,
        client: &mut dyn Client,
        work: impl AsyncFnOnce(&mut crate::define::Definer<'_>) -> PgResult<T>,
    ) -> PgResult<T> {
        self.load_types().await?;
        let active = self.open();
        active.check_writable(tag)?;
        active.used = true;
        let Some(mut active) = self.block.take() else {
            return Err(PgError::internal("a transaction was opened and is not there"));
        };
        let mut notices = Vec::new();
        let result = self
            .with_definer(&mut active, async |definer| {
                definer.transaction.statement().await?;
                let done = work(definer).await?;
                notices = std::mem::take(&mut definer.notices);
                Ok(done)
            })
            .await;
        self.block.put_back(active);
        notices.iter().for_each(|notice| self.tell(notice, client));
        result
    }
}

/// `INSERT INTO` the rows `SELECT * FROM` the query.
fn filling(oid: Oid) -> Statement {
    let named = |schema: &str| QualifiedName {
        parts: [schema.to_owned(), oid.0.to_string()]
            .into_iter()
            .map(|text| Name { text, place: Place::default() })
            .collect(),
    };
    let query = Query::of_targets(
        vec![Target::Star { of: None, place: Place::default() }],
        vec![TableExpr::Table { name: named(MATERIALIZED_QUERY), alias: Alias::default(), only: false }],
    );
    Statement::Insert(Insert {
        with: None,
        table: named(MATERIALIZED_ROWS),
        alias: None,
        columns: vec![],
        source: InsertSource::Query(Box::new(query)),
        overriding_system: None,
        on_conflict: None,
        returning: vec![],
    })
}
