//! The client as the engine sees it: [`Client`] over one `Output` and one `Link`.
//!
//! Nothing leaves before `SEND_AT` bytes are there, a Flush, COPY's start or the end of the message (G2, G3).
use crate::cancel::{CONNECTION_FAILURE, CancelToken};
use crate::encode;
use crate::frame::{Frame, LARGE_MAX, Stage};
use crate::link::Link;
use crate::meters::Meters;
use crate::output::Output;
use crate::session::{Client, Column, Format, OutputMark};
use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::extendedquery::PortalSuspended;
use pgwire::messages::response::{EmptyQueryResponse, NotificationResponse};
use pgwire::messages::startup::ParameterStatus;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_types::{PgError, PgResult, sqlstate};

/// Output that `flow` sends. PostgreSQL sends at 8 KiB; a larger step costs nothing but memory.
const SEND_AT: usize = 64 * 1024;

/// The socket takes nothing more.
#[derive(Debug)]
pub(crate) struct Lost;

pub(crate) struct Port {
    pub link: Arc<Link>,
    pub output: Output,
    pub token: CancelToken,
    pub meters: Arc<Meters>,
    pub message_bytes_max: usize,
    /// COPY FROM STDIN met what it cannot skip: the conversation is over once its error was sent.
    pub out_of_step: bool,
}

impl Port {
    pub fn new(link: Arc<Link>, token: CancelToken, meters: Arc<Meters>, message_bytes_max: usize) -> Port {
        let message_bytes_max = message_bytes_max.min(LARGE_MAX);
        Port { link, output: Output::default(), token, meters, message_bytes_max, out_of_step: false }
    }

    pub fn put<M: Message>(&mut self, message: &M) {
        self.output.put(message);
    }

    pub fn error(&mut self, error: &PgError) {
        self.meters.error(error.code);
        self.put(&encode::error_response(error));
    }

    /// Send everything.
    pub async fn flush(&mut self) -> Result<(), Lost> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.meters.sends.add(1);
        let (link, output) = (&self.link, &mut self.output);
        poll_fn(|cx| link.poll_send(cx, output)).await.map_err(|_| Lost)
    }

    pub fn next_frame(&self, stage: Stage) -> PgResult<Option<Frame>> {
        self.link.cut(stage, self.message_bytes_max)
    }

    fn lost() -> Box<PgError> {
        PgError::fatal(CONNECTION_FAILURE, "connection to client lost")
    }

    /// Send everything unless cancelled; what was not sent stays.
    async fn flush_or_cancel(&mut self) -> PgResult<()> {
        let token = self.token.clone();
        tokio::select! {
            biased;
            sent = self.flush() => sent.map_err(|Lost| Port::lost()),
            () = token.cancelled() => Err(token.error()),
        }
    }
}

#[async_trait]
impl Client for Port {
    fn row_description(&mut self, columns: &[Column], formats: &[Format]) {
        self.output.message(b'T', |body| encode::put_columns(body, columns, formats));
    }

    fn data_row(&mut self, field_count: usize, fields: &mut dyn FnMut(&mut BytesMut)) {
        self.output.message(b'D', |body| {
            body.put_u16(u16::try_from(field_count).expect("a row has at most 1664 columns"));
            let start = body.len();
            fields(body);
            debug_assert!(row_is_whole(&body[start..], field_count), "a row's fields do not add up");
        });
    }

    fn command_complete(&mut self, tag: &str) {
        self.output.message(b'C', |body| encode::put_text(body, tag));
    }

    fn empty_query(&mut self) {
        self.put(&EmptyQueryResponse::new());
    }

    fn portal_suspended(&mut self) {
        self.put(&PortalSuspended::new());
    }

    fn notice(&mut self, notice: &PgError) {
        self.put(&encode::notice_response(notice));
    }

    fn parameter_status(&mut self, name: &str, value: &str) {
        self.put(&ParameterStatus::new(name.to_owned(), value.to_owned()));
    }

    async fn flow(&mut self) -> PgResult<()> {
        self.token.check()?;
        if let Some(failure) = self.output.failure() {
            return Err(failure);
        }
        if self.output.unsent().len() >= SEND_AT {
            self.flush_or_cancel().await?;
        }
        // A scan that never waits lets others, and the watch over its own client, have their turn.
        tokio::task::consume_budget().await;
        Ok(())
    }

    fn mark(&self) -> OutputMark {
        self.output.end()
    }

    fn rewind(&mut self, mark: OutputMark) -> bool {
        self.output.rewind(mark)
    }

    fn unsent_since(&self, mark: OutputMark) -> bool {
        self.output.unsent_since(mark)
    }

    async fn copy_in_start(&mut self, format: Format, column_count: usize) -> PgResult<()> {
        self.output.message(b'G', |body| encode::put_copy_response(body, format, column_count));
        self.flush_or_cancel().await
    }

    async fn copy_in_data(&mut self) -> PgResult<Option<Bytes>> {
        loop {
            self.token.check()?;
            let frame = self.next_frame(Stage::CopyIn).inspect_err(|_| self.out_of_step = true)?;
            match frame {
                Some(Frame { kind: b'd', body }) => return Ok(Some(body.freeze())),
                Some(Frame { kind: b'c', .. }) => return Ok(None),
                Some(Frame { kind: b'f', body }) => return Err(copy_failed(&body)),
                // Flush and Sync, from a client that did not know that its command was COPY.
                Some(_) => continue,
                None => {}
            }
            if self.link.ended() {
                return Err(PgError::fatal(
                    CONNECTION_FAILURE,
                    "unexpected EOF on client connection with an open transaction",
                ));
            }
            let known = self.link.buffered();
            tokio::select! {
                biased;
                () = poll_fn(|cx| self.link.poll_more(cx, known)) => {}
                () = self.token.cancelled() => {}
            }
        }
    }

    fn copy_out_start(&mut self, format: Format, column_count: usize) {
        self.output.message(b'H', |body| encode::put_copy_response(body, format, column_count));
    }

    fn copy_out_data(&mut self, data: &[u8]) {
        self.output.message(b'd', |body| body.put_slice(data));
    }

    fn copy_out_end(&mut self) {
        self.output.message(b'c', |_| {});
    }

    fn notification(&mut self, process_id: i32, channel: &str, payload: &str) {
        self.put(&NotificationResponse::new(process_id, channel.to_owned(), payload.to_owned()));
    }

    fn limit_statement(&mut self, limit: Option<Duration>) {
        self.link.set_deadline(limit.map(|limit| Instant::now() + limit));
    }
}

fn copy_failed(body: &[u8]) -> Box<PgError> {
    let Some((0, reason)) = body.split_last() else {
        return PgError::new(sqlstate::PROTOCOL_VIOLATION, "invalid string in message");
    };
    match crate::decode::utf8(reason) {
        Ok(reason) => PgError::new(sqlstate::QUERY_CANCELED, format!("COPY from stdin failed: {reason}")),
        Err(error) => error,
    }
}

/// Each field is a length and as many bytes, and there are as many fields as were announced.
fn row_is_whole(mut fields: &[u8], count: usize) -> bool {
    for _ in 0..count {
        let Some((length, rest)) = fields.split_first_chunk::<4>() else { return false };
        let length = i32::from_be_bytes(*length);
        match usize::try_from(length.max(0)).ok().and_then(|length| rest.get(length..)) {
            Some(rest) if length >= -1 => fields = rest,
            _ => return false,
        }
    }
    fields.is_empty()
}
