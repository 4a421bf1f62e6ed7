//! A door into a place: a TCP listener, on the host or in the place, whose connections are handed on inside at once.
//!
//! SQL and HTTP of a node listen on the loopback device of their place. One door lets the host in by the same port; one
//! on the place's own address lets the other places in, whose bytes have come over the emulated link by then.
use super::{Space, SpaceError};
use crate::clock::Clock;
use crate::config::{EntryConfig, LinkConfig, OnCut};
use crate::relay::{Bell, RouteContext, TcpRoute, spawn_punctual};
use crate::settings::Way;
use crate::table::SharedLink;
use std::sync::Arc;
use std::thread::JoinHandle;

#[derive(Debug)]
pub(crate) struct Entry {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Entry {
    pub fn open(config: &EntryConfig, space: &Arc<Space>) -> Result<Entry, SpaceError> {
        let listen_error = |source| SpaceError::Listen { address: config.listen, source };
        let bell = Arc::new(Bell::new().map_err(listen_error)?);
        let context = RouteContext {
            clock: Clock::start(),
            link: Arc::new(SharedLink::new(0, &LinkConfig { name: "entry".into(), ..LinkConfig::default() })),
            way: Way::Forward,
            target: config.target,
            bell: bell.clone(),
            flows: Arc::default(),
        };
        let bind = || TcpRoute::bind(context, config.listen, OnCut::Hold).map_err(listen_error);
        let route = if config.inside { space.within(bind)? } else { bind()? };
        let inside = space.clone();
        let thread = spawn_punctual(format!("entry-{}", config.listen.port()), move || {
            // Its connections onward are made where the thread is.
            match inside.enter() {
                Ok(()) => route.run(),
                Err(error) => tracing::error!(%error, "an entry is closed"),
            }
        });
        Ok(Entry { bell, thread: Some(thread.map_err(SpaceError::Thread)?) })
    }

    pub fn open_all(configs: &[EntryConfig], spaces: &[Arc<Space>]) -> Result<Vec<Entry>, SpaceError> {
        let space = |config: &EntryConfig| {
            spaces.iter().find(|space| space.name == config.place).expect("checked: every entry has its place")
        };
        configs.iter().map(|config| Entry::open(config, space(config))).collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.bell.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("an entry's thread had panicked");
        }
    }
}
