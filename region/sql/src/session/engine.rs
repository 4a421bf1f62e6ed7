//! What all sessions of a region share.
use super::connection::SqlSession;
use crate::catalog::{DATABASE_NAME, DescriptorCache, ROLE_NAME};
use crate::layout::RowIndexBuilder;
use crate::settings::Settings;
use async_trait::async_trait;
use std::sync::Arc;
use trivet_gateway::{Engine, Session, Startup};
use trivet_txn::{Database, IndexBuilder};
use trivet_types::{PgError, PgResult, sqlstate};

/// For the applier: turns rows into index entries.
pub fn index_builder() -> Arc<dyn IndexBuilder> {
    Arc::new(RowIndexBuilder)
}

pub struct SqlEngine {
    pub(super) database: Arc<dyn Database>,
    pub(super) descriptors: DescriptorCache,
    pub(super) plans: super::query::PlanCache,
    pub(super) texts: super::query::TextCache,
    /// This region's name, for `trivet_region()` and messages.
    pub(super) region: String,
}

impl SqlEngine {
    pub fn new(database: Arc<dyn Database>, region: impl Into<String>) -> Arc<SqlEngine> {
        Arc::new(SqlEngine {
            database,
            descriptors: DescriptorCache::default(),
            plans: super::query::PlanCache::default(),
            texts: super::query::TextCache::default(),
            region: region.into(),
        })
    }
}

/// Shares the engine with its sessions: `Engine` is called through one `Arc`, sessions keep another.
pub struct SharedEngine(pub Arc<SqlEngine>);

#[async_trait]
impl Engine for SharedEngine {
    async fn connect(&self, startup: Startup) -> PgResult<Box<dyn Session>> {
        if startup.database != DATABASE_NAME {
            let message = format!("database \"{}\" does not exist", startup.database);
            return Err(PgError::fatal(sqlstate::INVALID_CATALOG_NAME, message));
        }
        if startup.user != ROLE_NAME {
            let message = format!("role \"{}\" does not exist", startup.user);
            return Err(PgError::fatal(sqlstate::INVALID_AUTHORIZATION_SPECIFICATION, message));
        }
        let settings = Settings::at_start(&startup.user, &startup.parameters)
            .map_err(|error| error.severity(trivet_types::Severity::Fatal))?;
        Ok(Box::new(SqlSession::new(Arc::clone(&self.0), startup, settings)))
    }
}
