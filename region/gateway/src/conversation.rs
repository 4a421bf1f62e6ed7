//! Which message may come when, and what an error does to those behind it. Pure: frames in, steps out.
//!
//! ```text
//!             error in an extended message
//!   Speaking ------------------------------> Skipping: everything but Sync and Terminate is dropped, unread
//!      ^                                        |
//!      +------------------ Sync ----------------+
//! ```
//!
//! A simple Query or a function call that fails is followed by ReadyForQuery; an extended message that fails is followed by
//! silence until its Sync, which ends a batch in any case.
use crate::decode::{Request, decode};
use crate::frame::Frame;
use trivet_types::PgError;

#[derive(Debug)]
pub(crate) enum Step {
    Do(Request),
    /// Answer with this error; `ready`: and with ReadyForQuery.
    Fail {
        error: Box<PgError>,
        ready: bool,
    },
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct Conversation {
    skipping: bool,
}

impl Conversation {
    pub fn receive(&mut self, frame: Frame) -> Step {
        match frame.kind {
            b'S' => self.skipping = false,
            b'X' => {}
            _ if self.skipping => return Step::Nothing,
            _ => {}
        }
        let kind = frame.kind;
        match decode(kind, frame.body) {
            Ok(Request::CopyLeftover) => Step::Nothing,
            Ok(request) => Step::Do(request),
            Err(error) => {
                let ready = answers_alone(kind);
                self.failed(ready);
                Step::Fail { error, ready }
            }
        }
    }

    /// A request failed; `ready`: it was one that ReadyForQuery follows.
    pub fn failed(&mut self, ready: bool) {
        self.skipping = !ready;
    }
}

/// Whether ReadyForQuery follows this message.
fn answers_alone(kind: u8) -> bool {
    // A malformed Sync still ends its batch: the client waits for nothing else.
    matches!(kind, b'Q' | b'F' | b'S')
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    /// Each letter is a message, well formed or (`!` before it) not; each step is one word.
    fn script(messages: &str) -> String {
        let mut conversation = Conversation::default();
        let mut bad = false;
        let mut steps = Vec::new();
        for letter in messages.bytes() {
            if letter == b'!' {
                bad = true;
                continue;
            }
            let body: &[u8] = match letter {
                _ if bad => b"\xff",
                b'Q' => b"\0",
                b'P' => b"\0\0\0\0",
                b'B' => b"\0\0\0\0\0\0\0\0",
                b'D' | b'C' => b"S\0",
                b'E' => b"\0\0\0\0\0",
                _ => b"",
            };
            bad = false;
            steps.push(match conversation.receive(Frame { kind: letter, body: BytesMut::from(body) }) {
                Step::Do(_) => format!("{}", char::from(letter)),
                Step::Fail { ready: true, .. } => "error+ready".to_owned(),
                Step::Fail { ready: false, .. } => "error".to_owned(),
                Step::Nothing => "-".to_owned(),
            });
        }
        steps.join(" ")
    }

    #[test]
    fn what_follows_what() {
        let table = [
            ("PBDES", "P B D E S"),
            ("!PBDESPBES", "error - - - S P B E S"),
            ("P!BDEQFHS", "P error - - - - - S"),
            ("!QQ", "error+ready Q"),
            ("!SP", "error+ready P"),
            ("!BX", "error X"),
            ("!H!HS", "error - S"),
            ("dcfQ", "- - - Q"),
            ("F", "F"),
        ];
        for (messages, expected) in table {
            assert_eq!(script(messages), expected, "{messages}");
        }
    }

    #[test]
    fn a_failed_step_skips_to_sync() {
        let mut conversation = Conversation::default();
        conversation.failed(false);
        let frame = |kind: u8| Frame { kind, body: BytesMut::new() };
        assert!(matches!(conversation.receive(frame(b'H')), Step::Nothing));
        assert!(matches!(conversation.receive(frame(b'S')), Step::Do(Request::Sync)));
        assert!(matches!(conversation.receive(frame(b'H')), Step::Do(Request::Flush)));
    }
}
