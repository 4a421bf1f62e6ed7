//! Files in memory: what was written is "durable" at once. Below [`crate::VolatileFiles`] it makes a disk that
//! can crash thousands of times a second.
use crate::{File, Files, FilesError, Operation, Result, check_name};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Clones share the directory: a second owner after a "restart" finds what the first one left.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: Arc<RwLock<BTreeMap<String, Arc<MemoryFile>>>>,
}

impl MemoryFiles {
    pub fn new() -> MemoryFiles {
        MemoryFiles::default()
    }

    fn find(&self, name: &str) -> Result<Arc<MemoryFile>> {
        self.files.read().get(name).cloned().ok_or_else(|| FilesError::NotFound { path: name.to_string() })
    }

    /// For tests that damage a file behind its owner's back.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        change(&mut self.find(name)?.content.write());
        Ok(())
    }

    /// A copy that later changes do not reach.
    pub fn fork(&self) -> MemoryFiles {
        let copy = |(name, file): (&String, &Arc<MemoryFile>)| {
            let content = RwLock::new(file.content.read().clone());
            (name.clone(), Arc::new(MemoryFile { name: name.clone(), content }))
        };
        MemoryFiles { files: Arc::new(RwLock::new(self.files.read().iter().map(copy).collect())) }
    }
}

impl Files for MemoryFiles {
    fn location(&self) -> String {
        "memory".to_string()
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.files.read().keys().filter(|name| !name.starts_with('.')).cloned().collect())
    }

    fn open(&self, name: &str) -> Result<Arc<dyn File>> {
        check_name(name)?;
        Ok(self.find(name)?)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let mut files = self.files.write();
        if files.contains_key(name) {
            return Err(FilesError::AlreadyExists { path: name.to_string() });
        }
        let file = Arc::new(MemoryFile { name: name.to_string(), content: RwLock::default() });
        files.insert(name.to_string(), Arc::clone(&file));
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut files = self.files.write();
        let file = files.remove(from).ok_or_else(|| FilesError::NotFound { path: from.to_string() })?;
        files.insert(to.to_string(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.files.write().remove(name) {
            Some(_) => Ok(()),
            None => Err(FilesError::NotFound { path: name.to_string() }),
        }
    }

    fn sync_directory(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryFile {
    name: String,
    content: RwLock<Vec<u8>>,
}

impl MemoryFile {
    fn position(&self, operation: Operation, offset: u64) -> Result<usize> {
        usize::try_from(offset).map_err(|_| {
            FilesError::new(operation, &self.name, io::Error::new(io::ErrorKind::FileTooLarge, "beyond memory"))
        })
    }
}

impl File for MemoryFile {
    fn length(&self) -> Result<u64> {
        Ok(self.content.read().len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let content = self.content.read();
        let start = self.position(Operation::Read, offset)?.min(content.len());
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut content = self.content.write();
        let start = self.position(Operation::Write, offset)?;
        if content.len() < start + bytes.len() {
            content.resize(start + bytes.len(), 0);
        }
        content[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn preallocate(&self, length: u64) -> Result<()> {
        let mut content = self.content.write();
        let length = self.position(Operation::Preallocate, length)?;
        if content.len() < length {
            content.resize(length, 0);
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<()> {
        let length = self.position(Operation::SetLength, length)?;
        self.content.write().resize(length, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }
}
