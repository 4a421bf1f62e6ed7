//! One client's socket, shared by the loop that watches it and the work that writes to it.
//!
//! Both run in one task, so the lock is never waited for; it is there because two futures cannot borrow one socket. Only
//! `poll_fill` reads the socket: whoever needs input (the loop, or COPY inside the engine's future) registers as the
//! consumer and is woken when something came. So reading goes on while the engine works, up to `READ_AHEAD` bytes or what
//! the frame at the front needs, and the end of the stream is seen at once (G4).
use crate::frame::{self, Cut, Stage};
use crate::meters::{Meters, TakenMessages};
use crate::output::Output;
use bytes::BytesMut;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use tokio_util::io::poll_read_buf;
use trivet_types::PgResult;

/// Input that is kept beyond the frame at the front.
const READ_AHEAD: usize = 64 * 1024;
/// What is asked of the socket at a time.
const READ_STEP: usize = 8 * 1024;
/// What a closing connection reads and forgets, so that its last words are not lost to a reset.
const LINGER_BYTES: usize = 1 << 20;
const LINGER: Duration = Duration::from_secs(1);

pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, into),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What reading brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filled {
    More,
    /// The client closed its side, or the connection broke.
    End,
}

struct State {
    socket: Socket,
    input: BytesMut,
    ended: bool,
    /// How many bytes the frame at the front needs.
    need: usize,
    /// Waits for input.
    consumer: Option<Waker>,
    /// Waits for room.
    reader: Option<Waker>,
    /// When the running statement is out of time.
    deadline: Option<Instant>,
    /// Messages taken off, not yet metered.
    taken: TakenMessages,
}

pub(crate) struct Link {
    state: Mutex<State>,
    /// Told without the lock, since it is asked for every message.
    has_deadline: AtomicBool,
    meters: Arc<Meters>,
}

impl Link {
    pub fn new(socket: Socket, input: BytesMut, meters: Arc<Meters>) -> Link {
        let state = State {
            socket,
            input,
            ended: false,
            need: 0,
            consumer: None,
            reader: None,
            deadline: None,
            taken: TakenMessages::new(meters.clone()),
        };
        Link { state: Mutex::new(state), has_deadline: AtomicBool::new(false), meters }
    }

    /// Read what there is, as far as there is room. Once ended it stays `End`.
    pub fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<Filled> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.ended {
            return Poll::Ready(Filled::End);
        }
        if state.input.len() >= state.need.max(READ_AHEAD) {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // Grows with what came, never with what a length word promises.
        if state.input.capacity() - state.input.len() < READ_STEP {
            state.input.reserve(READ_STEP);
        }
        let read = ready!(poll_read_buf(Pin::new(&mut state.socket), cx, &mut state.input));
        let filled = match read {
            Ok(0) | Err(_) => {
                state.ended = true;
                Filled::End
            }
            Ok(count) => {
                self.meters.bytes_in.add(count as u64);
                Filled::More
            }
        };
        if let Some(consumer) = state.consumer.take() {
            consumer.wake();
        }
        Poll::Ready(filled)
    }

    pub fn ended(&self) -> bool {
        self.state.lock().ended
    }

    /// The next whole message, if it is here.
    pub fn cut(&self, stage: Stage, large_max: usize) -> PgResult<Option<frame::Frame>> {
        let mut state = self.state.lock();
        match frame::cut(&mut state.input, stage, large_max)? {
            Cut::Frame(frame) => {
                state.need = 0;
                if frame.body.len() > READ_AHEAD {
                    // The large piece of memory belongs to the frame alone, and goes with it.
                    state.input = BytesMut::from(&state.input[..]);
                }
                if let Some(reader) = state.reader.take() {
                    reader.wake();
                }
                state.taken.add(frame.kind);
                Ok(Some(frame))
            }
            Cut::Need(count) => {
                state.need = count;
                if state.input.len() < count.max(READ_AHEAD)
                    && let Some(reader) = state.reader.take()
                {
                    reader.wake();
                }
                Ok(None)
            }
        }
    }

    /// For start-up, where packets have no type byte.
    pub fn with_input<T>(&self, act: impl FnOnce(&mut BytesMut) -> T) -> T {
        act(&mut self.state.lock().input)
    }

    /// Resolves once `poll_fill`, polled by someone else in this task, has brought something after `known` bytes.
    pub fn poll_more(&self, cx: &mut Context<'_>, known: usize) -> Poll<()> {
        let mut state = self.state.lock();
        if state.ended || state.input.len() != known {
            return Poll::Ready(());
        }
        state.consumer = Some(cx.waker().clone());
        Poll::Pending
    }

    pub fn buffered(&self) -> usize {
        self.state.lock().input.len()
    }

    /// Send as much as the socket takes; pending while there is more.
    pub fn poll_send(&self, cx: &mut Context<'_>, output: &mut Output) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        state.taken.publish();
        while !output.is_empty() {
            let count = ready!(Pin::new(&mut state.socket).poll_write(cx, output.unsent()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.meters.bytes_out.add(count as u64);
            output.taken(count);
        }
        Pin::new(&mut state.socket).poll_flush(cx)
    }

    pub fn into_socket(self) -> Socket {
        self.state.into_inner().socket
    }

    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.has_deadline.store(deadline.is_some(), Ordering::Relaxed);
        self.state.lock().deadline = deadline;
    }

    /// Whether one was set: asked by the task that sets it.
    pub fn has_deadline(&self) -> bool {
        self.has_deadline.load(Ordering::Relaxed)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.state.lock().deadline
    }

    /// Say that nothing more comes, and if asked read on for a moment: closing a socket with unread input resets it, and a reset
    /// may overtake the error that was just sent.
    pub async fn close(&self, linger: bool) {
        let mut forgotten = 0;
        let linger = async {
            if poll_fn(|cx| Pin::new(&mut self.state.lock().socket).poll_shutdown(cx)).await.is_err() {
                return;
            }
            while linger && forgotten < LINGER_BYTES && !self.ended() {
                forgotten += self.with_input(|input| {
                    let count = input.len();
                    input.clear();
                    count
                });
                poll_fn(|cx| self.poll_fill(cx)).await;
            }
        };
        let _ = tokio::time::timeout(LINGER, linger).await;
    }
}
