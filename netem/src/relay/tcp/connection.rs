//! A relayed connection: the client's socket (near), the target's (far), and a pipe each way.
use super::Workbench;
use super::pipe::{Delivery, Pipe};
use crate::model::{Nanos, StreamFate};
use crate::relay::RouteContext;
use crate::settings::Way;
use rustix::event::PollFlags;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Length of a SYN to the model.
const SYN_LEN: usize = 60;

pub(super) struct Connection {
    near: TcpStream,
    far: Far,
    onward: Pipe,
    back: Pipe,
    onward_ended: bool,
    back_ended: bool,
}

/// The target's side.
enum Far {
    /// The SYN is not taken by the link yet; offer it again at this time, or after a change of settings.
    Offered {
        again_at: Option<Nanos>,
    },
    /// The SYN is on its way.
    Travels {
        arrives_at: Nanos,
    },
    /// The kernel connects.
    Connecting {
        stream: TcpStream,
        answered: bool,
    },
    Open(TcpStream),
    /// There is nobody; a reset is on its way back.
    Refused,
}

/// Whether a connection is still needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Lives,
    Over,
}

/// What to poll for.
pub(super) struct Interest {
    pub near: PollFlags,
    pub far: PollFlags,
    pub deadline: Option<Nanos>,
}

impl Connection {
    pub fn accepted(near: TcpStream, way: Way) -> io::Result<Connection> {
        near.set_nonblocking(true)?;
        near.set_nodelay(true)?;
        Ok(Connection {
            near,
            far: Far::Offered { again_at: Some(0) },
            onward: Pipe::new(way),
            back: Pipe::new(way.reverse()),
            onward_ended: false,
            back_ended: false,
        })
    }

    pub fn near(&self) -> &TcpStream {
        &self.near
    }

    pub fn far(&self) -> Option<&TcpStream> {
        match &self.far {
            Far::Connecting { stream, .. } | Far::Open(stream) => Some(stream),
            Far::Offered { .. } | Far::Travels { .. } | Far::Refused => None,
        }
    }

    pub fn near_is_ready(&mut self) {
        self.onward.source_is_ready();
        self.back.destination_is_ready();
    }

    pub fn far_is_ready(&mut self) {
        if let Far::Connecting { answered, .. } = &mut self.far {
            *answered = true;
        }
        self.back.source_is_ready();
        self.onward.destination_is_ready();
    }

    pub fn settings_changed(&mut self) {
        if let Far::Offered { again_at } = &mut self.far {
            *again_at = Some(0);
        }
        self.onward.settings_changed();
        self.back.settings_changed();
    }

    pub fn interest(&self, now: Nanos) -> Interest {
        let mut near = PollFlags::empty();
        let mut far = PollFlags::empty();
        let mut deadlines = [None; 3];
        near.set(PollFlags::OUT, self.back.wants_to_write());
        deadlines[0] = self.back.deadline(now);
        match &self.far {
            Far::Offered { again_at } => deadlines[1] = *again_at,
            Far::Travels { arrives_at } => deadlines[1] = Some(*arrives_at),
            Far::Connecting { .. } => far.insert(PollFlags::OUT),
            Far::Open(_) => {
                near.set(PollFlags::IN, self.onward.wants_to_read(now));
                far.set(PollFlags::OUT, self.onward.wants_to_write());
                far.set(PollFlags::IN, self.back.wants_to_read(now));
                deadlines[2] = self.onward.deadline(now);
            }
            Far::Refused => {}
        }
        // Until the target is there, nothing can be read from it.
        if !matches!(self.far, Far::Open(_) | Far::Refused) {
            deadlines[0] = None;
        }
        Interest { near, far, deadline: deadlines.into_iter().flatten().min() }
    }

    /// Does everything that can be done now.
    pub fn work(&mut self, context: &RouteContext, workbench: &mut Workbench) -> Fate {
        self.open(context);
        if let Far::Open(far) = &self.far {
            if !self.onward_ended {
                self.onward.read(&self.near, context, workbench);
                match self.onward.deliver(far, context, workbench) {
                    Delivery::Open => {}
                    Delivery::Ended => self.onward_ended = true,
                    Delivery::Reset => {
                        linger_not(far);
                        return Fate::Over;
                    }
                }
            }
            if !self.back_ended {
                self.back.read(far, context, workbench);
            }
        } else if let Far::Refused = self.far {
            self.back.retry(context);
        }
        if !self.back_ended {
            match self.back.deliver(&self.near, context, workbench) {
                Delivery::Open => {}
                Delivery::Ended => self.back_ended = true,
                Delivery::Reset => {
                    linger_not(&self.near);
                    return Fate::Over;
                }
            }
        }
        if self.onward_ended && self.back_ended { Fate::Over } else { Fate::Lives }
    }

    /// Ends both sides at once, without a good-bye.
    pub fn reset(self) {
        linger_not(&self.near);
        if let Some(far) = self.far() {
            linger_not(far);
        }
    }

    /// Moves the opening on as far as time allows.
    fn open(&mut self, context: &RouteContext) {
        let now = context.clock.now();
        if let Far::Offered { again_at: Some(at) } = self.far
            && at <= now
        {
            self.far = match context.link.lock().offer_stream(now, SYN_LEN, context.way, 0) {
                StreamFate::Deliver { at } => Far::Travels { arrives_at: at },
                StreamFate::Wait { until } => Far::Offered { again_at: until },
            };
        }
        if let Far::Travels { arrives_at } = self.far
            && arrives_at <= now
        {
            self.far = match connect(context.target) {
                Ok(stream) => Far::Connecting { stream, answered: false },
                Err(error) => self.refused(context, &error),
            };
        }
        if let Far::Connecting { answered: true, .. } = self.far {
            let Far::Connecting { stream, .. } = std::mem::replace(&mut self.far, Far::Refused) else {
                unreachable!("just matched");
            };
            self.far = match stream.take_error() {
                Ok(None) => {
                    // The answer to the SYN travels back before the client can send.
                    let back = context.link.lock().settings(context.way.reverse()).delay;
                    self.onward.read_from(now.saturating_add(u64::try_from(back.as_nanos()).unwrap_or(u64::MAX)));
                    Far::Open(stream)
                }
                Ok(Some(error)) | Err(error) => self.refused(context, &error),
            };
        }
    }

    fn refused(&mut self, context: &RouteContext, error: &io::Error) -> Far {
        tracing::debug!(%error, target = %context.target, "the target cannot be connected to");
        self.back.source_is_gone(context);
        Far::Refused
    }
}

/// Closing sends a reset.
fn linger_not(stream: &TcpStream) {
    // A socket that cannot do this is closed in the ordinary way.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&target.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}
