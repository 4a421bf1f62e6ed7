//! One connection from its first byte to its last: the loop that takes a message, has the engine do it, answers.
//!
//! Errors: one that the engine returns is sent, the engine is told that it was (`error_sent`), and what follows is the
//! conversation's business. An error of severity FATAL, a broken frame, a stop of the server end the connection. A panic is
//! caught here, is a bug, and costs its own connection only (G6).
use crate::cancel::shutdown_error;
use crate::conversation::{Conversation, Step};
use crate::decode::{Request, Target};
use crate::encode;
use crate::frame::{Frame, Stage};
use crate::link::Filled;
use crate::opening::{Arrival, Greeted, Opened, Parting, greet, new_port, open, part};
use crate::port::Port;
use crate::server::Server;
use crate::session::{Client as _, Session, TransactionStatus};
use crate::startup::StartRequest;
use crate::tls::Shown;
use crate::watch::Watch;
use futures::FutureExt;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use trivet_types::{PgError, PgResult, Severity, SqlState, sqlstate};

const IDLE_SESSION_TIMEOUT: SqlState = SqlState(*b"57P05");
const IDLE_IN_TRANSACTION_SESSION_TIMEOUT: SqlState = SqlState(*b"25P03");

/// Runs until the client is done, the server stops, or `kill`. `place`: among those that have not started yet.
pub(crate) async fn serve_client(server: Arc<Server>, arrival: Arrival, place: OwnedSemaphorePermit) {
    let kill = server.kill.child_token();
    tokio::select! {
        biased;
        () = kill.cancelled() => {}
        () = whole_life(server, arrival, place) => {}
    }
}

async fn whole_life(server: Arc<Server>, arrival: Arrival, place: OwnedSemaphorePermit) {
    let peer = arrival.peer();
    let deadline = Instant::now() + server.config.startup_timeout;
    let greeting = AssertUnwindSafe(greet(&server, arrival)).catch_unwind();
    let greeted = tokio::select! {
        biased;
        greeted = tokio::time::timeout_at(deadline, greeting) => greeted,
        () = server.stop.cancelled() => return,
    };
    let Greeted { link, request, tls } = match greeted {
        Ok(Ok(Some(greeted))) => greeted,
        Ok(Ok(None)) => return,
        Ok(Err(panic)) => return note_panic(&server, &*panic),
        Err(_elapsed) => return,
    };
    drop(place);
    let mut port = new_port(&server, link);
    let life = session_life(&server, &mut port, request, tls, peer, deadline);
    let parting = match AssertUnwindSafe(life).catch_unwind().await {
        Ok(parting) => parting,
        Err(panic) => {
            note_panic(&server, &*panic);
            port.output.cut_open_message();
            let message = "the session failed on a broken invariant and was closed";
            Parting::Error(PgError::fatal(sqlstate::INTERNAL_ERROR, message))
        }
    };
    let parted = part(&server, &mut port, parting);
    let _ = tokio::time::timeout(server.config.shutdown_grace, parted).await;
}

fn note_panic(server: &Server, panic: &(dyn std::any::Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(message, "a session panicked: its connection is closed");
    server.meters.panics.add(1);
}

async fn session_life(
    server: &Arc<Server>,
    port: &mut Port,
    request: StartRequest,
    tls: Option<Arc<Shown>>,
    peer: Option<SocketAddr>,
    deadline: Instant,
) -> Parting {
    // A child of its own: the parent's list of waiters would be a lock that all connections share.
    let stop = server.stop.child_token();
    let mut watch = Watch::new(port.link.clone(), port.token.clone(), stop, server.drain.child_token());
    let opening = open(server, port, &mut watch, request, tls, peer, deadline);
    let opened = tokio::select! {
        biased;
        opened = opening => opened,
        () = server.stop.cancelled() => return Parting::Error(shutdown_error()),
    };
    let Opened { mut session, _registration, _slot, _seat } = match opened {
        Ok(opened) => opened,
        Err(parting) => return parting,
    };
    let _open = OpenSession::new(server);
    let parting = converse(port, session.as_mut(), &mut watch).await;
    session.terminate().await;
    parting
}

/// Counts a session, also when it ends by a panic.
struct OpenSession<'a>(&'a Server);

impl<'a> OpenSession<'a> {
    fn new(server: &'a Server) -> OpenSession<'a> {
        server.meters.session_opened();
        OpenSession(server)
    }
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        self.0.meters.session_closed();
    }
}

async fn converse(port: &mut Port, session: &mut dyn Session, watch: &mut Watch) -> Parting {
    let mut conversation = Conversation::default();
    // Everything that was asked is answered, up to ReadyForQuery.
    let mut at_rest = true;
    loop {
        let frame = match next_message(port, session, watch, at_rest).await {
            Ok(frame) => frame,
            Err(parting) => return parting,
        };
        at_rest = false;
        watch.begin();
        let (result, ready) = match conversation.receive(frame) {
            Step::Nothing => continue,
            Step::Fail { error, ready } => (Err(error), ready),
            Step::Do(Request::Terminate) => return Parting::Done,
            Step::Do(Request::Flush) => match send(port, watch).await {
                Ok(()) => continue,
                Err(parting) => return parting,
            },
            Step::Do(request) => {
                let ready = matches!(request, Request::Query { .. } | Request::Sync | Request::FunctionCall);
                let done = watch.run(perform(request, session, port)).await;
                (done.and_then(|()| port.output.failure().map_or(Ok(()), Err)), ready)
            }
        };
        if let Err(error) = result {
            if let Some(parting) = last_error(port, watch, &error) {
                return parting;
            }
            port.error(&error);
            session.error_sent();
            conversation.failed(ready);
        }
        if ready {
            port.put(&encode::ready(session.transaction_status()));
            if let Err(parting) = send(port, watch).await {
                return parting;
            }
            at_rest = true;
        }
    }
}

/// Whether the connection ends with this error.
fn last_error(port: &mut Port, watch: &Watch, error: &PgError) -> Option<Parting> {
    if port.out_of_step {
        port.error(error);
        let lost = "terminating connection because protocol synchronization was lost";
        return Some(Parting::Error(PgError::fatal(sqlstate::PROTOCOL_VIOLATION, lost)));
    }
    if watch.gone() {
        return Some(Parting::Gone);
    }
    if watch.stopped() && [sqlstate::QUERY_CANCELED, sqlstate::ADMIN_SHUTDOWN].contains(&error.code) {
        return Some(Parting::Error(shutdown_error()));
    }
    matches!(error.severity, Severity::Fatal | Severity::Panic).then(|| Parting::Error(Box::new(error.clone())))
}

async fn perform(request: Request, session: &mut dyn Session, port: &mut Port) -> PgResult<()> {
    match request {
        Request::Query { sql } => session.simple_query(&sql, port).await,
        Request::Parse { statement, sql, parameter_types } => {
            session.parse(&statement, &sql, &parameter_types).await?;
            port.put(&ParseComplete::new());
            Ok(())
        }
        Request::Bind { portal, statement, parameters, result_formats } => {
            session.bind(&portal, &statement, parameters, &result_formats).await?;
            port.put(&BindComplete::new());
            Ok(())
        }
        Request::Describe { target: Target::Statement, name } => {
            let description = session.describe_statement(&name).await?;
            port.put(&ParameterDescription::new(description.parameter_types));
            match description.columns {
                Some(columns) => port.row_description(&columns, &[]),
                None => port.put(&NoData::new()),
            }
            Ok(())
        }
        Request::Describe { target: Target::Portal, name } => {
            match session.describe_portal(&name).await? {
                Some((columns, formats)) => port.row_description(&columns, &formats),
                None => port.put(&NoData::new()),
            }
            Ok(())
        }
        Request::Execute { portal, max_rows } => session.execute(&portal, max_rows, port).await.map(|_| ()),
        Request::Close { target, name } => {
            match target {
                Target::Statement => session.close_statement(&name).await?,
                Target::Portal => session.close_portal(&name).await?,
            }
            port.put(&CloseComplete::new());
            Ok(())
        }
        Request::Sync => session.sync(port).await,
        Request::FunctionCall => Err(PgError::unsupported("the function call message")),
        Request::Flush | Request::Terminate | Request::CopyLeftover => Ok(()),
    }
}

/// Send everything; a stop of the server ends the wait for a client that does not read.
async fn send(port: &mut Port, watch: &mut Watch) -> Result<(), Parting> {
    if port.output.is_empty() {
        return Ok(());
    }
    port.meters.sends.add(1);
    poll_fn(|cx| {
        if let Poll::Ready(sent) = port.link.poll_send(cx, &mut port.output) {
            return Poll::Ready(sent.map_err(|_| Parting::Gone));
        }
        watch.look(cx);
        if watch.stopped() { Poll::Ready(Err(Parting::Error(shutdown_error()))) } else { Poll::Pending }
    })
    .await
}

enum Event {
    Input,
    End,
    Stop,
    TimedOut,
    Woken(PgResult<()>),
}

/// The next message, or why there is none: the connection is idle in here. A graceful shutdown ends it here, once it is at
/// rest outside of a transaction and nothing more has come: whatever comes later was not begun.
async fn next_message(
    port: &mut Port,
    session: &mut dyn Session,
    watch: &mut Watch,
    at_rest: bool,
) -> Result<Frame, Parting> {
    let may_end = at_rest && session.transaction_status() == TransactionStatus::Idle;
    let mut patience: Option<Patience> = None;
    loop {
        if watch.stopped_now() {
            return Err(Parting::Error(shutdown_error()));
        }
        // What a client sent behind the message during which it went is not started.
        if watch.gone() {
            return Err(Parting::Gone);
        }
        if let Some(frame) = port.next_frame(Stage::Session)? {
            return Ok(frame);
        }
        if port.link.ended() {
            return Err(Parting::Gone);
        }
        if may_end && watch.draining() {
            return Err(Parting::Error(shutdown_error()));
        }
        // An error's answer must not wait for a Sync that may never come.
        send(port, watch).await?;
        port.output.rest();
        let patience = patience.get_or_insert_with(|| Patience::of(session));
        match idle(port, session, watch, patience, may_end).await {
            Event::Input | Event::End | Event::Stop => {}
            Event::TimedOut => return Err(Parting::Error(patience.error())),
            Event::Woken(Ok(())) => {}
            Event::Woken(Err(error)) => match error.severity {
                Severity::Fatal | Severity::Panic => return Err(Parting::Error(error)),
                _ => port.error(&error),
            },
        }
    }
}

async fn idle(
    port: &mut Port,
    session: &mut dyn Session,
    watch: &mut Watch,
    patience: &mut Patience,
    may_end: bool,
) -> Event {
    let link = port.link.clone();
    let mut listening = if session.listening() { Some(session.idle(port)) } else { None };
    poll_fn(|cx| {
        match link.poll_fill(cx) {
            Poll::Ready(Filled::More) => return Poll::Ready(Event::Input),
            Poll::Ready(Filled::End) => return Poll::Ready(Event::End),
            Poll::Pending => {}
        }
        if watch.poll_stop(cx) || (may_end && watch.poll_draining(cx)) {
            return Poll::Ready(Event::Stop);
        }
        if let Some(sleep) = &mut patience.sleep
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::TimedOut);
        }
        if let Some(listening) = &mut listening
            && let Poll::Ready(woken) = listening.as_mut().poll(cx)
        {
            return Poll::Ready(Event::Woken(woken));
        }
        Poll::Pending
    })
    .await
}

/// How long this client may still say nothing; counted from when the last message ended.
struct Patience {
    in_transaction: bool,
    sleep: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl Patience {
    fn of(session: &dyn Session) -> Patience {
        let in_transaction = session.transaction_status() != TransactionStatus::Idle;
        let limits = session.idle_limits();
        let limit = if in_transaction { limits.in_transaction } else { limits.session };
        Patience { in_transaction, sleep: limit.map(|limit| Box::pin(tokio::time::sleep(limit))) }
    }

    fn error(&self) -> Box<PgError> {
        if self.in_transaction {
            let message = "terminating connection due to idle-in-transaction timeout";
            PgError::fatal(IDLE_IN_TRANSACTION_SESSION_TIMEOUT, message)
        } else {
            PgError::fatal(IDLE_SESSION_TIMEOUT, "terminating connection due to idle-session timeout")
        }
    }
}
