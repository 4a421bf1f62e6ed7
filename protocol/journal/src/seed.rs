//! The journal of a node that lost its disk, as another node writes it: what of the log it is given, and what it owes.
//!
//! Whoever opens it finds a rotten log (J3): until it is whole again the node neither votes nor acknowledges. The state is
//! written last, so a directory that was left half-way holds a journal that was never started under this identity's boots.
use crate::journal::{Journal, JournalConfig, Start};
use crate::state::State;
use crate::{JournalError, Result};
use std::sync::Arc;
use trivet_files::Files;
use trivet_log::{Boot, Entry, HardState, Index, Persist, Position, Term, Ticket};

/// What such a node begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed {
    pub term: Term,
    /// Everything at or below is not in the journal.
    pub base: Position,
    /// It may have acknowledged everything up to here.
    pub rotten_up_to: Index,
}

/// A journal that is being written for another node.
pub struct Seedling {
    journal: Journal,
    files: Arc<dyn Files>,
    /// But for the boot.
    state: State,
}

impl Journal {
    /// Begins it; the directory must hold no journal.
    pub fn begin_anew(files: Arc<dyn Files>, config: JournalConfig, seed: &Seed) -> Result<Seedling> {
        let identity = config.identity;
        if let Some(state) = State::read(&*files)? {
            let location = files.location();
            return Err(JournalError::AlreadyThere { location, found: state.identity, boot: state.boot });
        }
        let config = JournalConfig { start: Start::First, ..config };
        let (journal, _) = Journal::open(files.clone(), config, Index(0))?;
        let hard = HardState { term: seed.term, voted_for: None };
        let state = State { identity, boot: Boot(0), hard, rotten_up_to: Some(seed.rotten_up_to) };
        let mut seedling = Seedling { journal, files, state };
        let base = Some(seed.base).filter(|base| base.index.0 > 0);
        seedling.write(Persist { hard_state: Some(hard), base, ..nothing() })?;
        Ok(seedling)
    }
}

impl Seedling {
    /// The next entries, from the base's next on.
    pub fn add(&mut self, entries: &[Entry]) -> Result<()> {
        self.write(Persist { entries: entries.to_vec(), ..nothing() })
    }

    fn write(&mut self, persist: Persist) -> Result<()> {
        self.journal.apply(&persist)?;
        self.journal.sync().map(drop)
    }

    /// The last entry so far.
    pub fn last(&self) -> Position {
        self.journal.last()
    }

    /// From now on it is that node's, whose next start is the one after `boot`.
    pub fn finish(self, boot: Boot) -> Result<()> {
        State { boot, ..self.state }.write(&*self.files)
    }
}

fn nothing() -> Persist {
    Persist { ticket: Ticket(0), hard_state: None, truncate: None, entries: Vec::new(), base: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Identity;
    use bytes::Bytes;
    use trivet_files::MemoryFiles;
    use trivet_log::{ClusterId, EntryBody, NodeId, Proposal, ProposalId};

    fn entry(index: u64) -> Entry {
        let id = ProposalId { region: NodeId(1), boot: Boot(1), sequence: index };
        let proposal = Proposal { id, snapshot: Position::ZERO, payload: Bytes::from_static(b"payload") };
        Entry { position: Position::new(3, index), body: EntryBody::Record { header: Bytes::new(), proposal } }
    }

    #[test]
    fn what_is_written_for_another_node_is_found_by_it_as_rotten() {
        let files: Arc<dyn Files> = Arc::new(MemoryFiles::new());
        let config = JournalConfig::new(Identity { cluster: ClusterId(7), node: NodeId(2) }, Start::Any);
        let seed = Seed { term: Term(4), base: Position::new(3, 9), rotten_up_to: Index(12) };
        let mut seedling = Journal::begin_anew(files.clone(), config.clone(), &seed).expect("the directory is empty");
        seedling.add(&[entry(10), entry(11)]).expect("it fits");
        assert_eq!(seedling.last(), Position::new(3, 11));
        seedling.finish(Boot(300)).expect("the disk works");
        assert!(Journal::begin_anew(files.clone(), config.clone(), &seed).is_err(), "there is a journal now");

        let config = JournalConfig { start: Start::Again, ..config };
        for start in 1..3 {
            let (mut journal, found) =
                Journal::open(files.clone(), config.clone(), Index(0)).expect("it is a node's journal");
            assert_eq!((found.boot, found.term, found.voted_for), (Boot(300 + start), Term(4), None));
            assert_eq!((found.base, found.last), (seed.base, Position::new(3, 11)));
            assert_eq!(found.entries, [entry(10), entry(11)]);
            assert_eq!(found.rotten_up_to, Some(Index(12)), "over restarts");
            if start == 2 {
                let entries = vec![entry(12), entry(13)];
                journal.apply(&Persist { entries, ..nothing() }).expect("they follow");
                journal.sync().expect("the disk works");
                assert_eq!(journal.rotten_up_to(), None, "an entry beyond it is there");
            }
        }
    }
}
