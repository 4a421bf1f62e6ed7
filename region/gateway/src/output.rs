//! What is to be sent: one growing buffer with absolute positions, so that output that nobody has seen can be taken back.
//!
//! ```text
//!   0 ............ sent ............................ end
//!   (on its way)    |  buffer: whole messages only   |   mark: any position between two messages
//! ```
//!
//! A position never moves: `rewind` is possible exactly while `mark >= sent` (G2). Messages are whole: one that could not
//! be finished (too long, or a panic while a row was written) is cut off again before anything else is written.
use crate::encode;
use crate::session::OutputMark;
use bytes::{Buf, BytesMut};
use pgwire::messages::Message;
use trivet_types::{PgError, sqlstate};

/// What an idle connection's buffer may keep.
const KEEP: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: BytesMut,
    /// Position of the buffer's first byte: everything before it was sent.
    sent: u64,
    /// Longest that the buffer was since `rest`.
    peak: usize,
    /// Where a message begins that is being written.
    open: Option<usize>,
    /// A message that could not be written; told by the next `failure`.
    failure: Option<Box<PgError>>,
}

impl Output {
    pub fn end(&self) -> OutputMark {
        OutputMark(self.sent + self.buffer.len() as u64)
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub fn unsent(&self) -> &[u8] {
        &self.buffer
    }

    /// The socket took this many bytes.
    pub fn taken(&mut self, count: usize) {
        self.peak = self.peak.max(self.buffer.len());
        self.sent += count as u64;
        if count < self.buffer.len() {
            self.buffer.advance(count);
        } else {
            self.buffer.clear();
        }
    }

    /// Nothing is to be sent for a while: give memory back.
    pub fn rest(&mut self) {
        if self.buffer.is_empty() && std::mem::take(&mut self.peak) > KEEP {
            self.buffer = BytesMut::new();
        }
    }

    pub fn unsent_since(&self, mark: OutputMark) -> bool {
        mark.0 >= self.sent
    }

    /// Forget what was written since; false if some of that was sent.
    pub fn rewind(&mut self, mark: OutputMark) -> bool {
        assert!(mark.0 <= self.end().0, "a mark lies beyond the output");
        if !self.unsent_since(mark) {
            return false;
        }
        self.buffer.truncate((mark.0 - self.sent) as usize);
        self.failure = None;
        true
    }

    /// Write one message: type, length, and what `body` appends.
    pub fn message(&mut self, kind: u8, body: impl FnOnce(&mut BytesMut)) {
        let start = self.buffer.len();
        self.open = Some(start);
        encode::message(&mut self.buffer, kind, body);
        self.open = None;
        let length = self.buffer.len() - start - 1;
        if i32::try_from(length).is_err() {
            self.buffer.truncate(start);
            self.fail(length);
        } else {
            encode::patch_length(&mut self.buffer, start, length as i32);
        }
    }

    /// Write a message of pgwire's.
    pub fn put<M: Message>(&mut self, message: &M) {
        let start = self.buffer.len();
        if message.encode(&mut self.buffer).is_err() {
            self.buffer.truncate(start);
            self.fail(message.message_length());
        }
    }

    /// A byte outside any message: the answer to SSLRequest and GSSENCRequest.
    pub fn letter(&mut self, letter: u8) {
        self.buffer.extend_from_slice(&[letter]);
    }

    fn fail(&mut self, length: usize) {
        self.failure.get_or_insert_with(|| {
            PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "message to the client is too long")
                .detail(format!("It would have {length} bytes."))
        });
    }

    /// The first message that could not be written since this was asked last.
    pub fn failure(&mut self) -> Option<Box<PgError>> {
        self.failure.take()
    }

    /// After a panic: no half message stays.
    pub fn cut_open_message(&mut self) {
        if let Some(start) = self.open.take() {
            self.buffer.truncate(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    #[test]
    fn marks_hold_until_sent() {
        let mut output = Output::default();
        output.message(b'1', |_| {});
        let first = output.end();
        output.message(b'2', |_| {});
        assert!(output.unsent_since(first) && output.rewind(first));
        assert_eq!(output.unsent(), b"1\0\0\0\x04");

        output.taken(3);
        assert!(output.rewind(first), "nothing after the mark was sent");
        assert!(!output.rewind(OutputMark(0)), "some of it was sent");
        assert_eq!(output.unsent(), b"\0\x04");

        output.taken(2);
        output.message(b'3', |body| body.put_u8(7));
        assert!(output.rewind(first) && output.is_empty(), "the mark is the end of what was sent");
        output.message(b'3', |_| {});
        output.taken(1);
        assert!(!output.unsent_since(first) && !output.rewind(first));
    }

    #[test]
    fn a_panic_leaves_no_half_message() {
        let mut output = Output::default();
        output.message(b'1', |_| {});
        let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            output.message(b'D', |body| {
                body.put_u8(1);
                panic!("while a row is written");
            });
        }));
        assert!(broken.is_err());
        output.cut_open_message();
        assert_eq!(output.unsent(), b"1\0\0\0\x04");
    }

    #[test]
    fn what_pgwire_refuses_to_encode_is_told_and_leaves_nothing() {
        let mut output = Output::default();
        let tag = pgwire::messages::response::CommandComplete::new("x".repeat(40_000));
        output.put(&tag);
        assert!(output.is_empty());
        assert_eq!(output.failure().expect("told").code, sqlstate::PROGRAM_LIMIT_EXCEEDED);
        assert!(output.failure().is_none(), "told once");
    }
}
