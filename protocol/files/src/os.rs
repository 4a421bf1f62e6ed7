//! The operating system's files.
use crate::{File, Files, FilesError, Operation, Result, check_name};
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LOCK: &str = ".lock";

/// A directory, locked for as long as this value lives (D3).
#[derive(Debug)]
pub struct OsFiles {
    directory: PathBuf,
    handle: fs::File,
    _lock: fs::File,
}

impl OsFiles {
    /// Takes the directory, making it if it is not there.
    pub fn open(directory: impl Into<PathBuf>) -> Result<OsFiles> {
        let directory = directory.into();
        let path = directory.display().to_string();
        make_directory(&directory)?;
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(directory.join(LOCK))
            .map_err(|cause| FilesError::new(Operation::Lock, &path, cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(FilesError::InUse { path }),
            Err(fs::TryLockError::Error(cause)) => return Err(FilesError::new(Operation::Lock, path, cause)),
        }
        let handle = fs::File::open(&directory).map_err(|cause| FilesError::new(Operation::Open, &path, cause))?;
        Ok(OsFiles { directory, handle, _lock: lock })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// As the trait's functions of the same names, for this layer's own (dotted) names too.
    pub(crate) fn create_any(&self, name: &str) -> Result<Arc<dyn File>> {
        let path = self.path(name);
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        OsFile::wrap(Operation::Create, path, file)
    }
}

/// Makes the directory and those above it, each durable in its parent.
fn make_directory(directory: &Path) -> Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let fail = |operation| {
        let path = directory.display().to_string();
        move |cause| FilesError::new(operation, path, cause)
    };
    let parent = directory.parent().unwrap_or(Path::new("/"));
    make_directory(parent)?;
    match fs::create_dir(directory) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(fail(Operation::Create)(cause)),
        _ => {}
    }
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(fail(Operation::Sync))
}

impl Files for OsFiles {
    fn location(&self) -> String {
        self.directory.display().to_string()
    }

    fn list(&self) -> Result<Vec<String>> {
        let fail = |cause| FilesError::new(Operation::List, self.location(), cause);
        let mut names = Vec::new();
        for item in fs::read_dir(&self.directory).map_err(fail)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = item.map_err(fail)?.file_name().into_string()
                && !name.starts_with('.')
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, name: &str) -> Result<Arc<dyn File>> {
        check_name(name)?;
        let path = self.path(name);
        let file = fs::OpenOptions::new().read(true).write(true).open(&path);
        OsFile::wrap(Operation::Open, path, file)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        check_name(name)?;
        self.create_any(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(to)?;
        let path = self.path(from);
        fs::rename(&path, self.path(to))
            .map_err(|cause| FilesError::new(Operation::Rename, path.display().to_string(), cause))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(|cause| FilesError::new(Operation::Remove, path.display().to_string(), cause))
    }

    fn sync_directory(&self) -> Result<()> {
        self.handle.sync_all().map_err(|cause| FilesError::new(Operation::Sync, self.location(), cause))
    }
}

struct OsFile {
    path: PathBuf,
    file: fs::File,
}

impl OsFile {
    fn wrap(operation: Operation, path: PathBuf, file: io::Result<fs::File>) -> Result<Arc<dyn File>> {
        match file {
            Ok(file) => Ok(Arc::new(OsFile { path, file })),
            Err(cause) => Err(FilesError::new(operation, path.display().to_string(), cause)),
        }
    }

    fn error(&self, operation: Operation, cause: io::Error) -> FilesError {
        FilesError::new(operation, self.path.display().to_string(), cause)
    }

    /// For file systems that cannot reserve: real zeros.
    fn fill(&self, length: u64) -> Result<()> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut at = self.length()?;
        while at < length {
            let count = usize::try_from(length - at).map_or(ZEROS.len(), |rest| rest.min(ZEROS.len()));
            self.file.write_all_at(&ZEROS[..count], at).map_err(|cause| self.error(Operation::Preallocate, cause))?;
            at += count as u64;
        }
        Ok(())
    }
}

impl File for OsFile {
    fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|cause| self.error(Operation::Read, cause))?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.error(Operation::Read, cause)),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|cause| self.error(Operation::Write, cause))
    }

    fn preallocate(&self, length: u64) -> Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        if self.length()? >= length {
            return Ok(());
        }
        loop {
            match fallocate(&self.file, FallocateFlags::empty(), 0, length) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.fill(length),
                Err(errno) => return Err(self.error(Operation::Preallocate, errno.into())),
            }
        }
    }

    fn set_length(&self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(|cause| self.error(Operation::SetLength, cause))
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(|cause| self.error(Operation::Sync, cause))
    }
}
