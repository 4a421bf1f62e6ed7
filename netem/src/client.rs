//! The other end of the daemon's control connection.
//!
//! Blocking and cheap: a call is one line each way over loopback. From async code, wrap it in `spawn_blocking` or call
//! it where some tens of microseconds do not matter. One client may be shared by threads; calls take turns.
use crate::control::*;
use crate::settings::{Chance, Direction, LinkSettings};
use parking_lot::Mutex;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for an answer. The daemon answers at once or is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct ControlClient {
    /// None once a call failed: a late answer must never be taken for the next one's.
    connection: Mutex<Option<BufReader<TcpStream>>>,
}

impl ControlClient {
    pub fn connect(address: SocketAddr) -> Result<ControlClient, ControlError> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)
            .map_err(|source| ControlError::Connect { address, source })?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(ControlClient { connection: Mutex::new(Some(BufReader::new(stream))) })
    }

    /// Connects to a daemon that is just starting: tries until it answers or `bound` has passed.
    pub fn connect_within(address: SocketAddr, bound: Duration) -> Result<ControlClient, ControlError> {
        let begun = Instant::now();
        loop {
            match ControlClient::connect(address) {
                Err(error) if begun.elapsed() >= bound => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
                connected => return connected,
            }
        }
    }

    /// Black hole: nothing sent from now on arrives.
    pub fn cut(&self, link: &str, direction: Direction) -> Result<(), ControlError> {
        self.change(link, direction, Change::Cut)
    }

    /// Undoes a cut; delay, loss and the rest stay.
    pub fn heal(&self, link: &str, direction: Direction) -> Result<(), ControlError> {
        self.change(link, direction, Change::Heal)
    }

    pub fn delay(&self, link: &str, direction: Direction, delay: Duration) -> Result<(), ControlError> {
        self.change(link, direction, Change::Delay(delay))
    }

    pub fn jitter(&self, link: &str, direction: Direction, jitter: Duration) -> Result<(), ControlError> {
        self.change(link, direction, Change::Jitter(jitter))
    }

    pub fn loss(&self, link: &str, direction: Direction, loss: Chance) -> Result<(), ControlError> {
        self.change(link, direction, Change::Loss(loss))
    }

    pub fn rate(&self, link: &str, direction: Direction, bytes_per_second: Option<u64>) -> Result<(), ControlError> {
        self.change(link, direction, Change::Rate(bytes_per_second))
    }

    /// Replaces all settings of one or both directions.
    pub fn set(&self, link: &str, direction: Direction, settings: LinkSettings) -> Result<(), ControlError> {
        self.change(link, direction, Change::Set(settings))
    }

    /// Back to what the link started with: heals, and undoes every other change.
    pub fn restore(&self, link: &str, direction: Direction) -> Result<(), ControlError> {
        self.change(link, direction, Change::Restore)
    }

    pub fn change(&self, link: &str, direction: Direction, change: Change) -> Result<(), ControlError> {
        self.done(&Request::Change { link: link.to_owned(), direction, change })
    }

    /// Runs a fault script in the daemon, from now on; see [`crate::script`] for its lines.
    pub fn play(&self, script: &str) -> Result<(), ControlError> {
        self.done(&Request::Play { script: script.to_owned() })
    }

    /// Every link with its settings, counters and measured lateness.
    pub fn show(&self) -> Result<Vec<LinkStatus>, ControlError> {
        match self.call(&Request::Show)? {
            Response::Links(links) => Ok(links),
            other => Err(unexpected(other)),
        }
    }

    /// Every listener, with the ports that were really taken.
    pub fn routes(&self) -> Result<Vec<RouteStatus>, ControlError> {
        match self.call(&Request::Routes)? {
            Response::Routes(routes) => Ok(routes),
            other => Err(unexpected(other)),
        }
    }

    /// The places that have a network of their own; none under the `relay` backend.
    pub fn places(&self) -> Result<Vec<PlaceStatus>, ControlError> {
        match self.call(&Request::Places)? {
            Response::Places(places) => Ok(places),
            other => Err(unexpected(other)),
        }
    }

    /// Ends the daemon.
    pub fn stop(&self) -> Result<(), ControlError> {
        self.done(&Request::Stop)
    }

    fn done(&self, request: &Request) -> Result<(), ControlError> {
        match self.call(request)? {
            Response::Ok(_) => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn call(&self, request: &Request) -> Result<Response, ControlError> {
        let mut line = serde_json::to_string(request).expect("a request has only string keys");
        line.push('\n');
        let mut connection = self.connection.lock();
        let answer = exchange(connection.as_mut().ok_or(ControlError::Closed)?, &line);
        if answer.is_err() {
            *connection = None;
        }
        let answer = answer?;
        serde_json::from_str(&answer).map_err(|_| ControlError::Unexpected(answer))
    }
}

fn exchange(connection: &mut BufReader<TcpStream>, line: &str) -> Result<String, ControlError> {
    connection.get_mut().write_all(line.as_bytes())?;
    let mut answer = String::new();
    if connection.read_line(&mut answer)? == 0 {
        return Err(ControlError::Closed);
    }
    Ok(answer)
}

fn unexpected(response: Response) -> ControlError {
    match response {
        Response::Error(message) => ControlError::Refused(message),
        other => ControlError::Unexpected(format!("{other:?}")),
    }
}
