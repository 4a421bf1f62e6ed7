//! The parts of a transaction that is too large for one record (T8): shipped ahead of the commit, a few at a time.
//!
//! Rows that were shipped stay in the buffer, since the transaction reads them: its memory is bounded by what it
//! writes, about 300 bytes a row beside the row itself. What shipping bounds is everything else: the size of a
//! record, of a message, of a step of the core, and the time that anybody waits behind it.
use crate::buffer::Buffer;
use crate::database::Region;
use crate::errors;
use crate::record::{PartRecord, Record, TransactionId, covering_ranges};
use crate::rejection::Rejection;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use tokio::task::JoinHandle;
use trivet_log::{Outcome, Position};
use trivet_types::{PgError, PgResult};

#[derive(Default)]
pub(crate) struct Spill {
    transaction: Option<TransactionId>,
    parts: u32,
    in_flight: FuturesUnordered<JoinHandle<Outcome>>,
}

impl Spill {
    pub(crate) fn transaction(&self) -> Option<TransactionId> {
        self.transaction
    }
    pub(crate) fn parts(&self) -> u32 {
        self.parts
    }

    /// Ship while more than a part is left.
    pub(crate) async fn ship(
        &mut self,
        region: &Arc<Region>,
        buffer: &mut Buffer,
        snapshot: Position,
        bytes: usize,
    ) -> PgResult<()> {
        while buffer.unshipped_bytes() >= bytes {
            self.ship_part(region, buffer, snapshot, bytes).await?;
        }
        Ok(())
    }

    /// Ship all but less than a part, and wait until every part is committed.
    pub(crate) async fn finish(
        &mut self,
        region: &Arc<Region>,
        buffer: &mut Buffer,
        snapshot: Position,
        bytes: usize,
    ) -> PgResult<()> {
        self.ship(region, buffer, snapshot, bytes).await?;
        while let Some(outcome) = self.in_flight.next().await {
            self.landed(region, outcome)?;
        }
        Ok(())
    }

    async fn ship_part(
        &mut self,
        region: &Arc<Region>,
        buffer: &mut Buffer,
        snapshot: Position,
        bytes: usize,
    ) -> PgResult<()> {
        while self.in_flight.len() >= region.options.parts_in_flight_max {
            let outcome = self.in_flight.next().await.expect("more than none are in flight");
            self.landed(region, outcome)?;
        }
        let keys = buffer.ship(bytes, &region.state.snapshots);
        if keys.is_empty() {
            return Ok(());
        }
        let transaction = *self.transaction.get_or_insert_with(|| region.state.ids.transaction());
        let low_water = region.state.ids.low_water();
        let part = PartRecord { transaction, low_water, number: self.parts, ranges: covering_ranges(&keys), keys };
        self.parts += 1;
        let payload = region.encode(&Record::Part(part))?;
        region.log.room().await;
        self.in_flight.push(tokio::spawn(region.propose(snapshot, payload).1));
        Ok(())
    }

    /// A part alone does nothing: whatever became of it, an error here means "not done".
    fn landed(&self, region: &Region, outcome: Result<Outcome, tokio::task::JoinError>) -> PgResult<()> {
        match outcome {
            Ok(Outcome::Committed(_)) => Ok(()),
            Ok(Outcome::Rejected { reason }) => match Rejection::decode(&reason) {
                Some(Rejection::Stale) | None => Err(errors::not_sent()),
                rejection => Err(errors::rejected(&region.names(), rejection, "of a part")),
            },
            Ok(Outcome::NotSent | Outcome::Unknown) => Err(errors::not_sent()),
            Err(error) => Err(PgError::internal(format!("shipping a part: {error}"))),
        }
    }

    /// The transaction is over; without final (`abandoned`), its parts may go.
    pub(crate) fn end(&mut self, region: &Arc<Region>, abandoned: bool) {
        let in_flight = std::mem::take(&mut self.in_flight);
        self.parts = 0;
        let Some(transaction) = self.transaction.take().filter(|_| abandoned) else { return };
        let region = region.clone();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // A part that lands after the abandon would be kept until this boot ends.
            in_flight.for_each(|_| async {}).await;
            let record = Record::Abandon { transaction, low_water: region.state.ids.low_water() };
            // Lost: the parts stay until this boot ends.
            let _ = region.propose(Position::default(), record.encode()).1.await;
        });
    }
}
