//! What all sessions of a region share.
use super::connection::SqlSession;
use crate::advisory::{self, Waits};
use crate::catalog::{DATABASE_NAME, DatabaseRow, DescriptorCache, Role, damaged, database_key, find_role};
use crate::layout::RowIndexBuilder;
use crate::settings::Settings;
use crate::statistics::Statistics;
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trivet_gateway::{Engine, Session, Startup};
use trivet_txn::{Database, IndexBuilder, Isolation};
use trivet_types::{PgError, PgResult, sqlstate};

/// For the applier: turns rows into index entries.
pub fn index_builder() -> Arc<dyn IndexBuilder> {
    Arc::new(RowIndexBuilder)
}

pub struct SqlEngine {
    pub(super) database: Arc<dyn Database>,
    pub(super) descriptors: Arc<DescriptorCache>,
    pub(super) plans: super::query::PlanCache,
    pub(super) texts: super::query::TextCache,
    /// Sessions that wait for each other's advisory locks.
    pub(super) waits: Arc<Waits>,
    /// This region's name, for `trivet_region()` and messages.
    pub(super) region: String,
    /// Where temporary files are made.
    pub(super) temporary_folder: Arc<PathBuf>,
    pub(super) statistics: Arc<Statistics>,
}

/// What a region may choose; the defaults are for an engine in memory.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Made at the start if need be; by default the system's.
    pub temporary_folder: Option<PathBuf>,
    /// Refresh the planner's statistics of a table when enough of it has changed.
    pub automatic_statistics: bool,
}

impl SqlEngine {
    pub fn new(database: Arc<dyn Database>, region: impl Into<String>) -> Arc<SqlEngine> {
        SqlEngine::of(database, region.into(), std::env::temp_dir(), EngineOptions::default())
    }

    /// With choices of its own. Fails if the folder for temporary files cannot be made or emptied.
    pub fn with_options(
        database: Arc<dyn Database>,
        region: impl Into<String>,
        options: EngineOptions,
    ) -> std::io::Result<Arc<SqlEngine>> {
        let folder = match &options.temporary_folder {
            None => std::env::temp_dir(),
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                // What a process that was killed left, where files cannot be made without a name. Nothing else is touched.
                for entry in std::fs::read_dir(folder)? {
                    let entry = entry?;
                    let ours = entry.file_name().to_string_lossy().starts_with(".tmp");
                    if ours && entry.file_type()?.is_file() {
                        std::fs::remove_file(entry.path())?;
                    }
                }
                folder.clone()
            }
        };
        Ok(SqlEngine::of(database, region.into(), folder, options))
    }

    fn of(database: Arc<dyn Database>, region: String, folder: PathBuf, options: EngineOptions) -> Arc<SqlEngine> {
        let statistics = Statistics::of(&database, options.automatic_statistics);
        Arc::new(SqlEngine {
            database,
            descriptors: Arc::new(DescriptorCache::new(Arc::clone(&statistics))),
            plans: super::query::PlanCache::default(),
            texts: super::query::TextCache::default(),
            waits: Arc::default(),
            region,
            temporary_folder: Arc::new(folder),
            statistics,
        })
    }

    /// Give back the advisory locks that sessions of this region's earlier boots held. An error means: again later.
    pub async fn release_old_locks(&self) -> PgResult<()> {
        advisory::release_old(&self.database).await
    }

    /// A role as the catalog has it now; `None`: there is none.
    pub(super) async fn role(&self, name: &str) -> PgResult<Option<Role>> {
        let mut transaction = self.database.begin(Isolation::ReadCommitted, true);
        transaction.statement().await?;
        let role = find_role(&mut *transaction, name).await?;
        transaction.rollback();
        Ok(role)
    }

    /// A role and what settings are at first for it, as the catalog has them now; `None`: there is no such role.
    async fn role_with_settings(&self, name: &str) -> PgResult<Option<(Role, Vec<(String, String)>)>> {
        let mut transaction = self.database.begin(Isolation::ReadCommitted, true);
        transaction.statement().await?;
        let role = find_role(&mut *transaction, name).await?;
        let row = transaction.get(&database_key()).await?;
        transaction.rollback();
        let database = DatabaseRow::decode(row.as_deref()).map_err(|error| damaged(&error))?;
        Ok(role.map(|role| {
            let settings = database.settings_of(&role);
            (role, settings)
        }))
    }

    /// What of a role concerns logging in; `None`: there is no such role. Needs this region to be able to read strongly.
    pub async fn login(&self, user: &str) -> PgResult<Option<LoginRole>> {
        Ok(self.role(user).await?.map(|role| LoginRole {
            can_login: role.login,
            valid_until: role.valid_until.and_then(system_time),
            connection_limit: u32::try_from(role.connection_limit).ok(),
            superuser: role.superuser,
            secret: role.secret,
        }))
    }
}

/// What of a role concerns logging in.
#[derive(Clone, Debug)]
pub struct LoginRole {
    /// `pg_authid.rolpassword`: a SCRAM verifier.
    pub secret: Option<String>,
    pub can_login: bool,
    /// Concerns the password only, as in PostgreSQL.
    pub valid_until: Option<SystemTime>,
    /// Sessions at a time; `None`: any number.
    pub connection_limit: Option<u32>,
    pub superuser: bool,
}

/// Microseconds since 2000 as a time; `None` for infinity.
fn system_time(microseconds: i64) -> Option<SystemTime> {
    if microseconds == i64::MAX {
        return None;
    }
    let since_1970 = microseconds.saturating_add(super::environment::POSTGRES_EPOCH);
    let span = Duration::from_micros(since_1970.unsigned_abs());
    if since_1970 < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) }
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
        // The first role can do without a look at the catalog: it connects to a region that cannot read, too.
        let mut own_settings = Vec::new();
        if startup.user != crate::catalog::ROLE_NAME {
            let fatal = |error: Box<PgError>| error.severity(trivet_types::Severity::Fatal);
            let found = self.0.role_with_settings(&startup.user).await.map_err(fatal)?;
            let Some((role, settings)) = found else {
                let message = format!("role \"{}\" does not exist", startup.user);
                return Err(PgError::fatal(sqlstate::INVALID_AUTHORIZATION_SPECIFICATION, message));
            };
            if !role.login {
                let message = format!("role \"{}\" is not permitted to log in", startup.user);
                return Err(PgError::fatal(sqlstate::INVALID_AUTHORIZATION_SPECIFICATION, message));
            }
            own_settings = settings;
        } else if self.0.database.ready().is_ok()
            && let Ok(Some((_, settings))) = self.0.role_with_settings(&startup.user).await
        {
            own_settings = settings;
        }
        let mut settings = Settings::at_start(&startup.user, &startup.parameters)
            .map_err(|error| error.severity(trivet_types::Severity::Fatal))?;
        for (name, value) in own_settings {
            // A setting that is no longer one does not keep its role out.
            let given = startup.parameters.iter().any(|(parameter, _)| parameter.eq_ignore_ascii_case(&name));
            if !given {
                let _ = settings.set(&name, &[value], false);
            }
        }
        settings.commit();
        Ok(Box::new(SqlSession::new(Arc::clone(&self.0), startup, settings)))
    }
}
