//! A TCP route: accepts, connects onward, and carries two streams a connection through the model, chunk by chunk.
//!
//! ```text
//!   t0            client connects; the kernel accepts at once (it cannot be delayed from here)
//!   t0 + d        the target is connected to, as if the SYN had travelled
//!   t0 + rtt      the first byte is read: the answer must come back before a real client sends
//! ```
//!
//! A half-close travels behind the bytes before it, a reset too. Under a cut nothing is read and nothing connects;
//! bytes wait and flow on afterwards, as TCP's own retransmissions would make them (or, if the route says so, both
//! ends are reset). A window bounds the bytes in flight, so a slow reader is felt by the writer.
//!
//! Left out: congestion control and slow start. The kernel's run over loopback and see no delay.
mod connection;
mod pipe;

use super::RouteContext;
use super::pool::Pool;
use super::wait;
use crate::config::OnCut;
use crate::model::Nanos;
use crate::settings::Way;
use connection::{Connection, Fate};
use rustix::event::{PollFd, PollFlags};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;

/// Bytes read at once.
const CHUNK_MAX: usize = 256 << 10;
/// After a failed accept (no descriptors left), this long without another.
const ACCEPT_PAUSE: Nanos = 50_000_000;

pub(crate) struct TcpRoute {
    context: RouteContext,
    on_cut: OnCut,
    listener: TcpListener,
    accept_from: Nanos,
    connections: Vec<Connection>,
    workbench: Workbench,
}

/// What a connection borrows while it works.
struct Workbench {
    pool: Pool,
    scratch: Vec<u8>,
}

/// Which fd of the poll set an event belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Bell,
    Listener,
    Near(usize),
    Far(usize),
}

impl TcpRoute {
    pub fn bind(context: RouteContext, listen: SocketAddr, on_cut: OnCut) -> io::Result<TcpRoute> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let workbench = Workbench { pool: Pool::default(), scratch: vec![0; CHUNK_MAX] };
        Ok(TcpRoute { context, on_cut, listener, accept_from: 0, connections: Vec::new(), workbench })
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub fn run(mut self) {
        let mut ready = Vec::new();
        while !self.context.bell.is_stopping() {
            self.wait(&mut ready);
            for source in ready.drain(..) {
                match source {
                    Source::Bell => {
                        self.context.bell.hush();
                        self.settings_changed();
                    }
                    Source::Listener => self.accept(),
                    // The bell may just have reset them all.
                    Source::Near(place) => {
                        self.connections.get_mut(place).into_iter().for_each(Connection::near_is_ready)
                    }
                    Source::Far(place) => {
                        self.connections.get_mut(place).into_iter().for_each(Connection::far_is_ready)
                    }
                }
            }
            let (context, workbench) = (&self.context, &mut self.workbench);
            self.connections.retain_mut(|connection| connection.work(context, workbench) == Fate::Lives);
            context.flows.store(self.connections.len(), Ordering::Relaxed);
        }
    }

    fn wait(&self, ready: &mut Vec<Source>) {
        let now = self.context.clock.now();
        let mut deadline: Option<Nanos> = None;
        let mut sooner = |at: Nanos| deadline = Some(deadline.map_or(at, |known| known.min(at)));
        let mut fds = vec![PollFd::new(&self.context.bell, PollFlags::IN)];
        let mut sources = vec![Source::Bell];
        if now >= self.accept_from {
            fds.push(PollFd::new(&self.listener, PollFlags::IN));
            sources.push(Source::Listener);
        } else {
            sooner(self.accept_from);
        }
        for (place, connection) in self.connections.iter().enumerate() {
            let interest = connection.interest(now);
            // An fd without interest stays out: poll would report its hang-up again and again.
            if !interest.near.is_empty() {
                fds.push(PollFd::new(connection.near(), interest.near));
                sources.push(Source::Near(place));
            }
            if let Some(far) = connection.far().filter(|_| !interest.far.is_empty()) {
                fds.push(PollFd::new(far, interest.far));
                sources.push(Source::Far(place));
            }
            if let Some(at) = interest.deadline {
                sooner(at);
            }
        }
        wait(&mut fds, now, deadline);
        ready
            .extend(sources.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(source, _)| source));
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((near, client)) => match Connection::accepted(near, self.context.way) {
                    Ok(connection) => self.connections.push(connection),
                    Err(error) => tracing::warn!(%error, %client, "a client's connection cannot be used"),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    self.accept_from = self.context.clock.now() + ACCEPT_PAUSE;
                    return;
                }
            }
        }
    }

    fn settings_changed(&mut self) {
        let is_cut = {
            let link = self.context.link.lock();
            Way::BOTH.iter().any(|&way| link.settings(way).cut)
        };
        if is_cut && self.on_cut == OnCut::Reset {
            for connection in self.connections.drain(..) {
                connection.reset();
            }
        }
        for connection in &mut self.connections {
            connection.settings_changed();
        }
    }
}
