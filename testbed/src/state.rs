//! Who runs now: `testbed.json` in the testbed's directory, and one list of the directories that are in use.
//!
//! So `trivet status` finds a testbed from anywhere without being told where it lives. The list is
//! `$XDG_STATE_HOME/trivet/running.json` (TRIVET_STATE_DIR overrides the folder). It may be out of date; what counts is
//! whether the recorded processes are alive (process.rs, P1). A directory whose processes are all gone is taken off.
//!
//! Invariants
//! - **S1** A state file is replaced whole, under the directory's lock: a reader sees one write or the other.
//! - **S2** A process is recorded before anything waits for it, so it can be stopped whatever happens to its starter.
use crate::layout::addresses::Addresses;
use crate::layout::config::{Auth, Testing};
use crate::layout::{Directory, user_folder};
use crate::place::Place;
use crate::process::ProcessId;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use trivet_netem::BackendKind;

/// Raised when fields change meaning: an old `trivet` refuses a newer file instead of misreading it.
const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub version: u32,
    pub addresses: Addresses,
    /// As it was asked for: "60ms", "transatlantic".
    pub link_profile: String,
    /// What moves the bytes between places.
    #[serde(default)]
    pub net: BackendKind,
    pub testing: Testing,
    #[serde(default)]
    pub auth: Auth,
    /// The program that stops it on Ctrl-C or at the end of a drill; none when detached.
    pub keeper: Option<ProcessId>,
    pub netem: Option<ProcessId>,
    pub nodes: BTreeMap<Place, ProcessId>,
}

impl State {
    pub fn new(addresses: Addresses, link_profile: &str, net: BackendKind, testing: Testing) -> State {
        State {
            version: VERSION,
            addresses,
            link_profile: link_profile.to_owned(),
            net,
            testing,
            auth: Auth::default(),
            keeper: None,
            netem: None,
            nodes: BTreeMap::new(),
        }
    }

    pub fn processes(&self) -> impl Iterator<Item = ProcessId> {
        self.nodes.values().copied().chain(self.netem)
    }

    pub fn is_live(&self) -> bool {
        self.processes().any(ProcessId::is_alive)
    }

    /// None if there is no file.
    pub fn read(directory: &Directory) -> Result<Option<State>> {
        let state: Option<State> = read_json(&directory.state())?;
        match state {
            Some(state) if state.version != VERSION => bail!(
                "{} is of version {}, this program knows version {VERSION}",
                directory.state().display(),
                state.version
            ),
            state => Ok(state),
        }
    }

    /// Reads, changes and writes under the directory's lock (S1).
    pub fn update(directory: &Directory, change: impl FnOnce(&mut State)) -> Result<State> {
        let _lock = lock(&directory.lock())?;
        let mut state = State::read(directory)?
            .with_context(|| format!("there is no testbed in {}", directory.root().display()))?;
        change(&mut state);
        write_json(&directory.state(), &state)?;
        Ok(state)
    }

    pub fn create(&self, directory: &Directory) -> Result<()> {
        let _lock = lock(&directory.lock())?;
        write_json(&directory.state(), self)
    }

    pub fn remove(directory: &Directory) -> Result<()> {
        let _lock = lock(&directory.lock())?;
        remove_if_there(&directory.state())
    }
}

/// The testbeds that commands without `--data` find.
#[derive(Debug)]
pub struct Registry {
    folder: PathBuf,
}

impl Registry {
    pub fn open() -> Result<Registry> {
        let folder = match std::env::var_os("TRIVET_STATE_DIR") {
            Some(folder) => folder.into(),
            None => user_folder("XDG_STATE_HOME", ".local/state")?.join("trivet"),
        };
        Registry::at(folder)
    }

    pub fn at(folder: PathBuf) -> Result<Registry> {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Registry { folder })
    }

    pub fn add(&self, directory: &Directory) -> Result<()> {
        self.change(|list| {
            if !list.iter().any(|listed| listed == directory.root()) {
                list.push(directory.root().to_path_buf());
            }
        })
    }

    pub fn remove(&self, directory: &Directory) -> Result<()> {
        self.change(|list| list.retain(|listed| listed != directory.root()))
    }

    /// Those with a process that is alive. Others are taken off the list, and their state files removed.
    pub fn live(&self) -> Result<Vec<Directory>> {
        let mut live = Vec::new();
        let listed: Vec<PathBuf> = read_json(&self.list())?.unwrap_or_default();
        for root in listed {
            let directory = Directory::at(&root)?;
            match State::read(&directory) {
                Ok(Some(state)) if state.is_live() => live.push(directory),
                Ok(found) => {
                    if found.is_some() {
                        State::remove(&directory)?;
                    }
                    self.remove(&directory)?;
                }
                // Somebody else's newer file is not ours to clean.
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
        Ok(live)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<PathBuf>)) -> Result<()> {
        let _lock = lock(&self.folder.join("lock"))?;
        let mut list: Vec<PathBuf> = read_json(&self.list())?.unwrap_or_default();
        change(&mut list);
        write_json(&self.list(), &list)
    }

    fn list(&self) -> PathBuf {
        self.folder.join("running.json")
    }
}

/// Held until it is dropped.
fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let read = serde_json::from_slice(&bytes).with_context(|| format!("{} does not read", path.display()))?;
            Ok(Some(read))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).context("the state does not serialise")?;
    let aside = path.with_extension("new");
    std::fs::write(&aside, text).with_context(|| format!("cannot write {}", aside.display()))?;
    std::fs::rename(&aside, path).with_context(|| format!("cannot replace {}", path.display()))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> State {
        let addresses = Addresses::choose(None, BackendKind::Relay).expect("ports are free");
        State::new(addresses, "60ms", BackendKind::Relay, Testing::default())
    }

    #[test]
    fn a_live_testbed_is_found_and_a_stale_one_is_cleaned() {
        let folder = tempfile::tempdir().expect("a folder");
        let registry = Registry::at(folder.path().join("state")).expect("made");
        let [live, stale] = ["live", "stale"].map(|name| Directory::create(&folder.path().join(name)).expect("made"));
        let myself = ProcessId::of_pid(std::process::id() as i32).expect("this process runs");
        let mut state = sample();
        state.nodes.insert(Place::A, myself);
        state.create(&live).expect("written");
        state.nodes.insert(Place::A, ProcessId { started: myself.started + 1, ..myself });
        state.create(&stale).expect("written");
        registry.add(&live).expect("listed");
        registry.add(&stale).expect("listed");
        registry.add(&live).expect("listed once");
        let found = registry.live().expect("read");
        assert_eq!(found.iter().map(Directory::root).collect::<Vec<_>>(), [live.root()]);
        assert!(State::read(&stale).expect("read").is_none());
    }

    #[test]
    fn updates_are_kept_and_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Directory::create(folder.path()).expect("made");
        assert!(State::read(&directory).expect("no file").is_none());
        assert!(State::update(&directory, |_| ()).is_err());
        sample().create(&directory).expect("written");
        State::update(&directory, |state| state.link_profile = "5ms".into()).expect("changed");
        assert_eq!(State::read(&directory).expect("read").expect("there").link_profile, "5ms");
        State::update(&directory, |state| state.version = 9).expect("changed");
        assert!(State::read(&directory).is_err());
    }
}
