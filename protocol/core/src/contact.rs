//! What this node knows of each other node, whatever anyone's role: its start, its clock reading, the round trip.
//!
//! A *token* is a node's clock reading when it sent a message; an *echo* is the newest token it had seen of the receiver. An
//! echo proves that the link works in both directions and was alive after the token was taken. Tokens are compared only
//! with tokens of the same node and boot.
use crate::io::*;
use crate::message::*;
use crate::types::*;

/// Round trips are believed up to here, so that one bad sample delays no election for long.
const ROUND_TRIP_MAX: Nanos = 2_000 * MILLISECOND;

#[derive(Debug)]
pub(crate) struct Contact {
    pub node: NodeId,
    pub kind: NodeKind,
    /// Its place in the roster: its bit in masks.
    pub place: u8,
    pub boot: Boot,
    /// The newest token of `boot`, and when it arrived.
    pub token: Nanos,
    pub token_at: Nanos,
    /// Our own token that the message with the newest token echoed.
    pub token_echo: Option<Nanos>,
    /// The newest of our tokens that it ever echoed in our boot: the link was alive in both directions then.
    pub echoed: Option<Nanos>,
    pub heard_at: Option<Nanos>,
    pub round_trip: Nanos,
    pub low_water: Index,
    pub low_water_at: Option<Nanos>,
    /// It never asks for entries up to here again.
    pub settled: Index,
    /// The token that our last promise to it answered.
    pub answered: Option<(Boot, Nanos)>,
    /// For events.
    pub silent: bool,
    /// A heartbeat is due to it at once.
    pub greet: bool,
}

impl Contact {
    pub fn new(node: NodeId, kind: NodeKind, place: u8) -> Contact {
        Contact {
            node,
            kind,
            place,
            boot: Boot(0),
            token: 0,
            token_at: 0,
            token_echo: None,
            echoed: None,
            heard_at: None,
            round_trip: 0,
            low_water: Index(0),
            low_water_at: None,
            settled: Index(0),
            answered: None,
            silent: true,
            greet: true,
        }
    }

    /// Takes in a message's envelope. False if the message is of a former boot, and void.
    pub fn heard(&mut self, message: &Message, my_boot: Boot, now: Nanos) -> bool {
        if message.boot < self.boot {
            return false;
        }
        if message.boot > self.boot {
            self.boot = message.boot;
            self.token = 0;
            self.token_echo = None;
            self.greet = true;
        }
        self.heard_at = Some(now);
        let echo = message.echo.filter(|(boot, token)| *boot == my_boot && *token <= now).map(|(_, token)| token);
        if message.token >= self.token {
            self.token = message.token;
            self.token_at = now;
            self.token_echo = echo;
            self.low_water = message.low_water;
            self.low_water_at = Some(now);
        }
        if let Some(echo) = echo {
            self.echoed = self.echoed.max(Some(echo));
            let sample = (now - echo).saturating_sub(message.echo_age).min(ROUND_TRIP_MAX);
            self.round_trip = match self.round_trip {
                0 => sample,
                before => (before * 7 + sample) / 8,
            };
        }
        if let Body::Heartbeat(heartbeat) = &message.body {
            self.settled = self.settled.max(heartbeat.settled);
        }
        true
    }

    /// What a message to it echoes.
    pub fn echo(&self, now: Nanos) -> (Option<(Boot, Nanos)>, Nanos) {
        match self.heard_at {
            None => (None, 0),
            Some(_) => (Some((self.boot, self.token)), now.saturating_sub(self.token_at)),
        }
    }

    /// How long it may say nothing before it counts as silent: as long as the witness waits to be engaged.
    pub fn patience(&self, timing: &Timing) -> Nanos {
        timing.engage_after.max(2 * self.round_trip)
    }

    pub fn is_silent(&self, timing: &Timing, now: Nanos) -> bool {
        self.heard_at.is_none_or(|at| now.saturating_sub(at) > self.patience(timing))
    }
}
