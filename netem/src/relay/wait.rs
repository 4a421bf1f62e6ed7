//! Sleeping until a socket is ready or a moment has come, with the kernel's own precision.
use crate::clock::until;
use crate::model::Nanos;
use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

/// Returns when an fd is ready, at `deadline`, or earlier for no reason.
pub fn wait(fds: &mut [PollFd<'_>], now: Nanos, deadline: Option<Nanos>) {
    let timeout = deadline.map(|at| {
        let rest = until(now, at);
        Timespec { tv_sec: rest.as_secs() as i64, tv_nsec: i64::from(rest.subsec_nanos()) }
    });
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        // The fds are open and the timeout is in range: nothing else is left but a kernel out of memory.
        Err(error) => {
            tracing::warn!(%error, "poll failed");
            std::thread::yield_now();
        }
    }
}
