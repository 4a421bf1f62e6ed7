//! Reads of one region: the pending index first, the store after (T10).
use crate::database::Region;
use crate::errors;
use crate::pending::Wanted;
use crate::snapshots::Snapshot;
use bytes::Bytes;
use tokio::sync::oneshot;
use trivet_log::{Index, Position};
use trivet_storage::{KeyRange, Row, Store, StoreError};
use trivet_types::PgResult;

/// The newest version of a key and where it was read: version 0 for "never written".
pub(crate) struct Newest {
    pub(crate) version: Index,
    pub(crate) value: Option<Bytes>,
    pub(crate) at: Position,
    pub(crate) epoch: u64,
}

impl Region {
    /// Wait until the store has all that `at` may see of this.
    async fn settle(&self, wanted: Wanted<'_>, at: Index) -> PgResult<()> {
        while let Some(blocker) = self.state.pending.blocker(wanted, at) {
            self.wait(blocker).await?;
        }
        Ok(())
    }

    /// T9: the wait ends when the outcome is known, or with an error when nobody can tell it.
    async fn wait(&self, mut blocker: oneshot::Receiver<()>) -> PgResult<()> {
        loop {
            match tokio::time::timeout(self.options.lease_check, &mut blocker).await {
                Ok(_) => return Ok(()),
                Err(_) => self.ready()?,
            }
        }
    }

    /// Read the store at a snapshot, again if the log was truncated meanwhile.
    async fn read<T>(
        &self,
        snapshot: &mut Snapshot,
        wanted: Wanted<'_>,
        read: impl Fn(&dyn Store, u64) -> Result<T, StoreError>,
    ) -> PgResult<T> {
        loop {
            let (at, epoch) = snapshot.current();
            // One uncontended mutex; awaits only if something is in the way.
            self.settle(wanted, at.index).await?;
            let found = read(&*self.store, at.index.0).map_err(errors::storage)?;
            if self.state.snapshots.epoch() == epoch {
                return Ok(found);
            }
        }
    }

    pub(crate) async fn get(&self, snapshot: &mut Snapshot, key: &[u8]) -> PgResult<Option<Bytes>> {
        let found = self.read(snapshot, Wanted::Key(key), |store, at| store.newest(key, at)).await?;
        Ok(found.and_then(|(_, value)| value))
    }

    pub(crate) async fn get_many(&self, snapshot: &mut Snapshot, keys: &[Bytes]) -> PgResult<Vec<Option<Bytes>>> {
        let read = |store: &dyn Store, at: u64| {
            keys.iter().map(|key| Ok(store.newest(key, at)?.and_then(|(_, value)| value))).collect()
        };
        self.read(snapshot, Wanted::Keys(keys), read).await
    }

    pub(crate) async fn scan(
        &self,
        snapshot: &mut Snapshot,
        range: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> PgResult<Vec<Row>> {
        self.read(snapshot, Wanted::Range(range), |store, at| store.scan(range, at, reverse, limit)).await
    }

    /// The newest resolved version at last received. The caller holds a snapshot, which keeps the version alive.
    pub(crate) async fn newest(&self, key: &[u8]) -> PgResult<Newest> {
        loop {
            let epoch = self.state.snapshots.epoch();
            let at = self.last_received().await?;
            self.settle(Wanted::Key(key), at.index).await?;
            let found = self.store.newest(key, at.index.0).map_err(errors::storage)?;
            if self.state.snapshots.epoch() == epoch {
                let (version, value) = found.map_or((0, None), |(version, value)| (version, value));
                return Ok(Newest { version: Index(version), value, at, epoch });
            }
        }
    }
}
