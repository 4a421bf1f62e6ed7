//! Frames to messages and back, between the transport's thread and the core's.
use crate::commands::{Command, CommandQueue};
use crate::failure::Failure;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use trivet_log::{Input, Message, NodeId, decode_message, encode_message};
use trivet_transport::{LinkEvent, Received, Refused, Sink};

pub(crate) fn encode(message: &Message) -> Bytes {
    let mut buffer = BytesMut::new();
    encode_message(message, &mut buffer);
    buffer.freeze()
}

/// Decodes on the transport's thread and queues for the core's.
pub(crate) struct Inbound {
    pub(crate) me: NodeId,
    pub(crate) commands: Arc<CommandQueue>,
}

impl Sink for Inbound {
    fn received(&self, received: Received) -> Result<(), Refused> {
        let message =
            decode_message(received.frame.clone()).map_err(|error| Refused(format!("not a message: {error}")))?;
        if message.from != received.from || message.to != self.me {
            return Err(Refused(format!(
                "a message from {} to {} came over the connection of {} to {}",
                message.from, message.to, received.from, self.me
            )));
        }
        if message.body.class() != received.class {
            return Err(Refused(format!(
                "a {:?} message came on the {:?} stream",
                message.body.class(),
                received.class
            )));
        }
        let _ = self.commands.push(Command::Receive { message, received }); // the node has stopped
        Ok(())
    }

    fn broken(&self, panic: String) {
        let message = format!("the transport panicked: {panic}");
        let _ = self.commands.push(Command::Failed(Failure::Bug { message, dump: String::new() })); // it has ended
    }

    fn event(&self, event: LinkEvent) {
        match event {
            LinkEvent::Connected(peer) => {
                let _ = self.commands.push(Command::Input(Input::Connected(peer)));
            }
            // Silence says the same to the core, and it cannot be mistaken.
            LinkEvent::Disconnected(_) => {}
        }
    }
}
