//! What is watched while the engine works: the client's socket, the server's stop, the statement's time limit.
//!
//! The work is polled first and most messages end there, at once. Only when it has to wait is the rest looked at: input is
//! read ahead, and what ends a statement early raises its token with the reason. The work is never dropped for it: the
//! engine sees the token, undoes what it must, and returns.
use crate::cancel::{CancelReason, CancelToken};
use crate::link::{Filled, Link};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub(crate) struct Watch {
    link: Arc<Link>,
    token: CancelToken,
    stop: CancellationToken,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    stopped: bool,
    drain: CancellationToken,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    gone: bool,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Watch {
    pub fn new(link: Arc<Link>, token: CancelToken, stop: CancellationToken, drain: CancellationToken) -> Watch {
        let stopping = Box::pin(stop.clone().cancelled_owned());
        let draining = Box::pin(drain.clone().cancelled_owned());
        Watch { link, token, stop, stopping, stopped: false, drain, draining, gone: false, timer: None }
    }

    /// The server wants this session to end at its next rest.
    pub fn draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// The same, and wakes when it becomes so. Not asked again once it was true.
    pub fn poll_draining(&mut self, cx: &mut Context<'_>) -> bool {
        self.draining.as_mut().poll(cx).is_ready()
    }

    /// The server was told to stop, as far as was noticed.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// The same, looked up now: a client that never lets its connection go idle must not keep the stop from being seen.
    pub fn stopped_now(&mut self) -> bool {
        self.stopped |= self.stop.is_cancelled();
        self.stopped
    }

    pub fn gone(&self) -> bool {
        self.gone
    }

    /// Run one piece of the engine's work to its end, under watch.
    pub async fn run<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.look(cx);
            Poll::Pending
        })
        .await
    }

    /// A new message starts: what happened to the last one is over, what happened to the connection is not.
    pub fn begin(&mut self) {
        if self.link.has_deadline() {
            self.link.set_deadline(None);
            self.timer = None;
        }
        self.token.clear();
        if self.stopped {
            self.token.raise(CancelReason::Shutdown);
        }
        if self.gone {
            self.token.raise(CancelReason::ClientGone);
        }
    }

    /// Look at everything once, with what follows. Work that used up the task's share of attention (a scan yielding in
    /// `flow`) must not make the watch blind: the socket would not be read, and the client's end not be seen.
    pub fn look(&mut self, cx: &mut Context<'_>) {
        let look = pin!(tokio::task::coop::unconstrained(poll_fn(|cx| {
            self.look_within(cx);
            Poll::Ready(())
        })));
        let _ = look.poll(cx);
    }

    fn look_within(&mut self, cx: &mut Context<'_>) {
        while !self.gone {
            match self.link.poll_fill(cx) {
                Poll::Ready(Filled::More) => {}
                Poll::Ready(Filled::End) => {
                    self.gone = true;
                    self.token.raise(CancelReason::ClientGone);
                }
                Poll::Pending => break,
            }
        }
        if self.poll_stop(cx) {
            self.token.raise(CancelReason::Shutdown);
        }
        self.poll_deadline(cx);
    }

    /// True when the stop is news.
    pub fn poll_stop(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.stopped && self.stopping.as_mut().poll(cx).is_ready() {
            self.stopped = true;
            return true;
        }
        false
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) {
        let deadline = self.link.deadline();
        if self.timer.as_ref().map(|(at, _)| *at) != deadline {
            self.timer = deadline.map(|at| (at, Box::pin(tokio::time::sleep_until(at.into()))));
        }
        if let Some((_, sleep)) = &mut self.timer
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.timer = None;
            self.link.set_deadline(None);
            self.token.raise(CancelReason::StatementTimeout);
        }
    }
}
