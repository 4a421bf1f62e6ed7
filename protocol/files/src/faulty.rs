//! Faults on demand: the n-th operation of a kind fails, or the device fills up.
use crate::{File, Files, FilesError, Operation, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// ENOSPC. A write leaves its first half behind.
    DiskFull,
    /// EIO. A write leaves its first half behind.
    Broken,
}

/// Fail the `nth` operation of this kind from now on, counted from 1, and `times` in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    pub operation: Operation,
    pub nth: u64,
    pub times: u64,
    pub kind: FaultKind,
}

/// Clones share the plan: keep one to inject while the journal owns the other.
#[derive(Clone)]
pub struct FaultyFiles {
    below: Arc<dyn Files>,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    state: Mutex<PlanState>,
}

#[derive(Default)]
struct PlanState {
    faults: Vec<Fault>,
    counts: HashMap<Operation, u64>,
    /// Bytes by which files may still grow; `None`: no bound.
    room: Option<u64>,
}

impl FaultyFiles {
    pub fn over(below: Arc<dyn Files>) -> FaultyFiles {
        FaultyFiles { below, plan: Arc::default() }
    }

    pub fn inject(&self, fault: Fault) {
        self.plan.state.lock().faults.push(fault);
    }

    /// No faults from now on, and room without bound.
    pub fn heal(&self) {
        let mut state = self.plan.state.lock();
        state.faults.clear();
        state.room = None;
    }

    /// Files may grow by this much in all; then the disk is full. Removing a file gives nothing back: set it again.
    pub fn set_room(&self, bytes: u64) {
        self.plan.state.lock().room = Some(bytes);
    }

    /// How often an operation was asked for.
    pub fn count(&self, operation: Operation) -> u64 {
        self.plan.state.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    fn wrap(&self, name: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(FaultyFile { path: format!("{}/{name}", self.location()), file, plan: Arc::clone(&self.plan) })
    }

    fn step(&self, operation: Operation, name: &str) -> Result<()> {
        match self.plan.step(operation) {
            Some(kind) => Err(kind.error(operation, &format!("{}/{name}", self.location()))),
            None => Ok(()),
        }
    }
}

impl FaultKind {
    fn error(self, operation: Operation, path: &str) -> FilesError {
        let cause = match self {
            FaultKind::DiskFull => io::Error::from(io::ErrorKind::StorageFull),
            FaultKind::Broken => io::Error::other("injected fault"),
        };
        FilesError::new(operation, path, cause)
    }
}

impl Plan {
    fn step(&self, operation: Operation) -> Option<FaultKind> {
        let mut state = self.state.lock();
        *state.counts.entry(operation).or_default() += 1;
        let mut hit = None;
        for fault in state.faults.iter_mut().filter(|fault| fault.operation == operation && fault.times > 0) {
            if fault.nth > 1 {
                fault.nth -= 1;
            } else {
                fault.times -= 1;
                hit = hit.or(Some(fault.kind));
            }
        }
        hit
    }

    fn grow(&self, bytes: u64) -> bool {
        match &mut self.state.lock().room {
            Some(room) if *room < bytes => false,
            Some(room) => {
                *room -= bytes;
                true
            }
            None => true,
        }
    }
}

impl Files for FaultyFiles {
    fn location(&self) -> String {
        self.below.location()
    }

    fn list(&self) -> Result<Vec<String>> {
        self.step(Operation::List, "")?;
        self.below.list()
    }

    fn open(&self, name: &str) -> Result<Arc<dyn File>> {
        self.step(Operation::Open, name)?;
        Ok(self.wrap(name, self.below.open(name)?))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.step(Operation::Create, name)?;
        Ok(self.wrap(name, self.below.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.step(Operation::Rename, from)?;
        self.below.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.step(Operation::Remove, name)?;
        self.below.remove(name)
    }

    fn sync_directory(&self) -> Result<()> {
        self.step(Operation::Sync, "")?;
        self.below.sync_directory()
    }
}

struct FaultyFile {
    path: String,
    file: Arc<dyn File>,
    plan: Arc<Plan>,
}

impl FaultyFile {
    fn step(&self, operation: Operation) -> Result<()> {
        self.plan.step(operation).map_or(Ok(()), |kind| Err(kind.error(operation, &self.path)))
    }

    fn grow(&self, operation: Operation, length: u64) -> Result<()> {
        if self.plan.grow(length.saturating_sub(self.file.length()?)) {
            return Ok(());
        }
        Err(FaultKind::DiskFull.error(operation, &self.path))
    }
}

impl File for FaultyFile {
    fn length(&self) -> Result<u64> {
        self.file.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.step(Operation::Read)?;
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.step(Operation::Write) {
            self.file.write_at(offset, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.grow(Operation::Write, offset + bytes.len() as u64)?;
        self.file.write_at(offset, bytes)
    }

    fn preallocate(&self, length: u64) -> Result<()> {
        self.step(Operation::Preallocate)?;
        self.grow(Operation::Preallocate, length)?;
        self.file.preallocate(length)
    }

    fn set_length(&self, length: u64) -> Result<()> {
        self.step(Operation::SetLength)?;
        self.file.set_length(length)
    }

    fn sync_data(&self) -> Result<()> {
        self.step(Operation::Sync)?;
        self.file.sync_data()
    }
}
