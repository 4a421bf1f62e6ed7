//! The daemon: a network, and a control connection that answers JSON lines.
//!
//! Any number of clients may be connected; each has a thread, and a line is answered before the next is read. Once a
//! change is answered with ok it holds for everything sent afterwards.
use crate::config::Config;
use crate::control::{Request, Response};
use crate::handle::Control;
use crate::network::{Network, NetworkError};
use crate::relay::{Bell, wait};
use rustix::event::{PollFd, PollFlags};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Longest line that is read; a script of some ten thousand steps fits.
const LINE_MAX: u64 = 1 << 20;

#[derive(Debug)]
pub struct Daemon {
    network: Network,
    listener: TcpListener,
    bell: Arc<Bell>,
}

/// Ends a daemon from another thread.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Bell>);

impl Stopper {
    pub fn stop(&self) {
        self.0.stop();
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("cannot listen for control on {address}")]
    Control { address: SocketAddr, source: io::Error },
}

impl Daemon {
    /// Starts the network and binds the control address; port 0 takes any.
    pub fn open(config: &Config, control: SocketAddr) -> Result<Daemon, DaemonError> {
        let network = Network::open(config)?;
        let control_error = |source| DaemonError::Control { address: control, source };
        let listener = TcpListener::bind(control).map_err(control_error)?;
        listener.set_nonblocking(true).map_err(control_error)?;
        let bell = Arc::new(Bell::new().map_err(control_error)?);
        Ok(Daemon { network, listener, bell })
    }

    pub fn control_address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket has an address")
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    pub fn stopper(&self) -> Stopper {
        Stopper(self.bell.clone())
    }

    /// Answers until a client says stop, or a [`Stopper`] does.
    pub fn run(self) {
        while !self.bell.is_stopping() {
            match self.listener.accept() {
                Ok((stream, _)) => self.serve(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&self.bell, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
                    wait(&mut fds, 0, None);
                }
                Err(error) => tracing::warn!(%error, "a control connection was not accepted"),
            }
        }
    }

    fn serve(&self, stream: TcpStream) {
        let control = self.network.control().clone();
        let stopper = self.stopper();
        let serving = std::thread::Builder::new().name("netem-control".to_owned()).spawn(move || {
            if let Err(error) = answer_lines(&stream, &control, &stopper) {
                tracing::debug!(%error, "a control connection ended");
            }
        });
        if let Err(error) = serving {
            tracing::warn!(%error, "no thread for a control connection");
        }
    }
}

fn answer_lines(stream: &TcpStream, control: &Control, stopper: &Stopper) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.by_ref().take(LINE_MAX).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let request = serde_json::from_str::<Request>(&line);
        let is_stop = matches!(request, Ok(Request::Stop));
        let response = match request {
            Ok(request) => control.answer(request),
            Err(error) => Response::Error(format!("not a request: {error}")),
        };
        let mut answer = serde_json::to_string(&response).expect("a response has only string keys");
        answer.push('\n');
        let mut writer = stream;
        writer.write_all(answer.as_bytes())?;
        if is_stop {
            stopper.stop();
            return Ok(());
        }
    }
}
