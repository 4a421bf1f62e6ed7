//! One region's database over its log, its store and the state it shares with the core thread and the applier.
use crate::api::*;
use crate::errors::{self, DescribeKey, Names};
use crate::history::{NotThen, PastHold};
use crate::log::Log;
use crate::record::{CommitRecord, RULES_VERSION, Record};
use crate::snapshots::{Behind, Snapshot as LiveSnapshot};
use crate::state::RegionState;
use crate::transaction::RegionTransaction;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trivet_log::{NodeId, Outcome, Position, ProposalId};
use trivet_storage::{KeyRange, Store};
use trivet_types::PgResult;

/// A row id: 6 bits of region, 18 of boot, 40 of a counter.
const COUNTER_BITS: u32 = 40;
const BOOT_BITS: u32 = 18;
/// Fewer bits than a row id's 64, more tries than the core needs to publish a step.
const BEHIND_TRIES: u32 = 1_000;
/// Entries that a reader of a time has committed before it gives up: each is a round trip later than the one before.
const BEACONS_MAX: u32 = 4;

#[derive(Clone, Debug)]
pub struct Options {
    /// Names for error details.
    pub regions: Vec<(NodeId, String)>,
    /// A transaction with more than this leaves as parts (T8).
    pub commit_bytes_max: usize,
    /// About the size of a part.
    pub part_bytes: usize,
    /// The log takes no larger proposal.
    pub record_bytes_max: usize,
    /// Parts on their way at once.
    pub parts_in_flight_max: usize,
    /// How often a waiting reader looks whether this region can still be told the outcome (T9).
    pub lease_check: Duration,
    /// How long versions are kept for readers of the past (T23).
    pub history: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            regions: Vec::new(),
            commit_bytes_max: 512 << 10,
            part_bytes: 256 << 10,
            record_bytes_max: 2 << 20,
            parts_in_flight_max: 16,
            lease_check: Duration::from_millis(250),
            history: Duration::ZERO,
        }
    }
}

pub(crate) struct Region {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) state: Arc<RegionState>,
    pub(crate) options: Options,
    describe_key: Box<DescribeKey>,
    row_ids: AtomicU64,
    row_id_base: u64,
}

/// [`Database`] of one region.
pub struct RegionDatabase {
    region: Arc<Region>,
}

impl RegionDatabase {
    pub fn new(
        log: Arc<dyn Log>,
        state: Arc<RegionState>,
        store: Arc<dyn Store>,
        builder: Arc<dyn IndexBuilder>,
        options: Options,
    ) -> Arc<RegionDatabase> {
        state.history.keep_for(options.history);
        let (node, boot) = (u64::from(log.region().0), log.boot().0);
        assert!(node < 1 << (64 - BOOT_BITS - COUNTER_BITS), "node ids have run out: row ids hold 64 of them");
        assert!(boot < 1 << BOOT_BITS, "boots have run out: row ids hold 262144 of them");
        let row_id_base = (node << BOOT_BITS | boot) << COUNTER_BITS;
        let describe_key = Box::new(move |key: &[u8]| builder.describe_key(key));
        let region = Region { log, store, state, options, describe_key, row_ids: AtomicU64::new(1), row_id_base };
        Arc::new(RegionDatabase { region: Arc::new(region) })
    }

    pub fn state(&self) -> &Arc<RegionState> {
        &self.region.state
    }

    /// Propose a horizon if that is useful now. Call about once a second in every region; only the leader's does something.
    pub async fn propose_horizon(&self) {
        let view = self.region.state.horizon_view();
        if !view.is_useful() || self.region.state.halted().is_some() {
            return;
        }
        let low_water = self.region.state.ids.low_water();
        let record = Record::Horizon { horizon: view.target, low_water, rules: RULES_VERSION };
        // Refused or lost: the next call tries again with what is true then.
        let _ = self.region.propose(view.target, record.encode()).1.await;
    }
}

impl Database for RegionDatabase {
    fn begin(&self, isolation: Isolation, read_only: bool) -> Box<dyn Transaction> {
        Box::new(RegionTransaction::new(self.region.clone(), isolation, read_only))
    }

    fn row_ids(&self, count: u64) -> u64 {
        let first = self.region.row_ids.fetch_add(count, Ordering::Relaxed);
        assert!(first + count < 1 << COUNTER_BITS, "row ids of this boot have run out");
        self.region.row_id_base | first
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        self.region.state.observe(observer);
    }

    fn stored_bytes(&self, range: &KeyRange) -> u64 {
        self.region.store.stored_bytes(range)
    }

    fn ready(&self) -> PgResult<()> {
        self.region.ready()
    }
}

impl Region {
    pub(crate) fn ready(&self) -> PgResult<()> {
        match self.state.halted() {
            Some(reason) => Err(errors::halted(reason)),
            None => self.log.ready(),
        }
    }

    pub(crate) fn names(&self) -> Names<'_> {
        Names { describe_key: &*self.describe_key, regions: &self.options.regions }
    }

    /// A record's bytes, unless the log would not take them.
    pub(crate) fn encode(&self, record: &Record) -> PgResult<Bytes> {
        let payload = record.encode();
        match payload.len() <= self.options.record_bytes_max {
            true => Ok(payload),
            false => Err(errors::too_large(payload.len(), self.options.record_bytes_max)),
        }
    }

    /// Hand a record to the log. Whoever awaits the outcome, the id is settled with it.
    pub(crate) fn propose(
        self: &Arc<Self>,
        snapshot: Position,
        payload: Bytes,
    ) -> (ProposalId, impl Future<Output = Outcome> + use<>) {
        let (id, outcome) = self.state.ids.propose(&*self.log, snapshot, payload);
        let state = self.state.clone();
        let settled = async move {
            let outcome = outcome.await;
            state.ids.settle(id);
            outcome
        };
        (id, settled)
    }

    /// The last received position, strongly: with a lease at once, else by asking the leader.
    pub(crate) async fn last_received(&self) -> PgResult<Position> {
        if let Some(reason) = self.state.halted() {
            return Err(errors::halted(reason));
        }
        match self.log.read_begin() {
            Some(position) => Ok(position),
            None => self.log.read_index().await.ok_or_else(errors::no_lease),
        }
    }

    /// T23: the last entry at a time, in microseconds since 1970.
    pub(crate) async fn hold_past(self: Arc<Self>, time: i64) -> PgResult<PastHold> {
        let history = &self.state.history;
        let refuse = |why| errors::not_then(why, history.kept_for());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let Ok(time) = u64::try_from(time) else { return Err(refuse(NotThen::TooOld)) };
        if u128::from(time) > now {
            return Err(refuse(NotThen::NotYet));
        }
        // The end of that microsecond.
        let nanoseconds = time.saturating_mul(1000).saturating_add(999);
        for _ in 0..BEACONS_MAX {
            match history.hold(nanoseconds) {
                Err(NotThen::NotYet) => self.propose_beacon().await?,
                found => return found.map_err(refuse),
            }
        }
        // The leader's clock is behind this region's.
        Err(refuse(NotThen::NotYet))
    }

    /// An entry that says nothing but that its time has come; back once it is applied here.
    async fn propose_beacon(self: &Arc<Self>) -> PgResult<()> {
        self.ready()?;
        let position = self.last_received().await?;
        let record = Record::Commit(CommitRecord {
            transaction: self.state.ids.transaction(),
            snapshot: position,
            low_water: self.state.ids.low_water(),
            parts: 0,
            keys: Vec::new(),
            schema_guards: Vec::new(),
            reads: Vec::new(),
            ranges: Vec::new(),
            actions: Vec::new(),
        });
        let payload = self.encode(&record)?;
        match self.propose(position, payload).1.await {
            Outcome::Committed(position) => {
                while self.state.applied() < position.index {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    self.ready()?;
                }
                Ok(())
            }
            Outcome::Rejected { .. } => Ok(()),
            Outcome::NotSent | Outcome::Unknown => Err(errors::no_lease()),
        }
    }

    pub(crate) async fn begin_snapshot(&self) -> PgResult<LiveSnapshot> {
        let snapshots = &self.state.snapshots;
        for _ in 0..BEHIND_TRIES {
            // The epoch first: a truncation after it makes the position one to be asked for again.
            let epoch = snapshots.epoch();
            let position = self.last_received().await?;
            let begun = snapshots.begin(position, epoch);
            match begun {
                Ok(snapshot) => return Ok(snapshot),
                Err(Behind) => tokio::task::yield_now().await,
            }
        }
        Err(errors::no_lease())
    }
}
