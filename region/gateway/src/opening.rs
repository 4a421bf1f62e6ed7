//! From an accepted socket to a session: TLS, the start-up packet, authentication, the engine's consent, the first
//! ReadyForQuery.
//!
//! Nothing that arrived in clear text is believed after TLS began (G5): a byte that lies behind an SSLRequest when it is
//! read was put there before the handshake, by a client that breaks the protocol or by someone in between. Errors here are
//! FATAL. A packet that is not this protocol at all is answered by closing, as PostgreSQL does.
use crate::authentication::{Candidate, Credential, Exchange, ScramVerifier, Seat};
use crate::cancel::{CancelToken, Registration};
use crate::encode;
use crate::frame::{Frame, Stage};
use crate::link::{Filled, Link, Socket};
use crate::output::Output;
use crate::port::{Lost, Port};
use crate::server::Server;
use crate::session::{Client as _, Session, Startup};
use crate::startup::{Opening, StartRequest, read_opening};
use crate::tls::{ALPN, Shown};
use crate::watch::Watch;
use bytes::BytesMut;
use pgwire::messages::response::SslResponse;
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use trivet_types::{PgError, Severity, sqlstate};

/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

pub(crate) enum Arrival {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Arrival {
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Arrival::Tcp(_, peer) => Some(*peer),
            Arrival::Unix(_) => None,
        }
    }
}

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum Parting {
    /// Terminate.
    Done,
    /// Nobody is there to be told.
    Gone,
    /// Told first; made FATAL if it is not.
    Error(Box<PgError>),
}

impl From<Box<PgError>> for Parting {
    fn from(error: Box<PgError>) -> Parting {
        Parting::Error(error)
    }
}

impl From<Lost> for Parting {
    fn from(_: Lost) -> Parting {
        Parting::Gone
    }
}

/// A client that sent its StartupMessage.
pub(crate) struct Greeted {
    pub link: Link,
    pub request: StartRequest,
    /// What its handshake showed, if it speaks TLS.
    pub tls: Option<Arc<Shown>>,
}

/// Read packets until one opens a session. `None`: the connection is done with.
pub(crate) async fn greet(server: &Server, arrival: Arrival) -> Option<Greeted> {
    let unix = matches!(arrival, Arrival::Unix(_));
    let (socket, mut tls) = match arrival {
        Arrival::Tcp(stream, _) => first_socket(server, stream).await?,
        Arrival::Unix(stream) => (Socket::Unix(stream), None),
    };
    let mut link = Link::new(socket, BytesMut::new(), server.meters.clone());
    let mut output = Output::default();
    let (mut ssl_open, mut gss_open) = (tls.is_none(), tls.is_none());
    loop {
        let opening = link.with_input(|input| read_opening(input, ssl_open, gss_open));
        match opening {
            Opening::Incomplete => {
                if poll_fn(|cx| link.poll_fill(cx)).await == Filled::End {
                    return None;
                }
            }
            Opening::Ssl => {
                ssl_open = false;
                refuse_early_bytes(&link, &mut output, "SSL request").await?;
                match server.config.tls.as_ref().filter(|_| !unix && tls.is_none()) {
                    None => answer(&link, &mut output, SslResponse::BYTE_REFUSE).await?,
                    Some(with) => {
                        answer(&link, &mut output, SslResponse::BYTE_ACCEPT).await?;
                        let Socket::Tcp(stream) = link.into_socket() else { return None };
                        let shown = with.shown();
                        let stream = shown.acceptor.accept(stream).await.inspect_err(log_handshake).ok()?;
                        link = Link::new(Socket::Tls(Box::new(stream)), BytesMut::new(), server.meters.clone());
                        (tls, gss_open) = (Some(shown), false);
                    }
                }
            }
            Opening::GssEncryption => {
                gss_open = false;
                refuse_early_bytes(&link, &mut output, "GSSAPI encryption request").await?;
                answer(&link, &mut output, SslResponse::BYTE_REFUSE).await?;
            }
            Opening::Cancel { process_id, secret } => {
                if server.cancels.cancel(process_id, &secret) {
                    server.meters.cancels.add(1);
                } else {
                    tracing::debug!(process_id, "cancel request for nobody");
                }
                return None;
            }
            Opening::Start(request) => {
                if server.config.tls_required && tls.is_none() && !unix {
                    let error = PgError::fatal(
                        sqlstate::INVALID_AUTHORIZATION_SPECIFICATION,
                        "connection is not encrypted, and this server takes encrypted connections only",
                    );
                    refuse(&link, &mut output, &error, server).await;
                    return None;
                }
                return Some(Greeted { link, request, tls });
            }
            Opening::Refuse(error) => {
                refuse(&link, &mut output, &error, server).await;
                return None;
            }
            Opening::Garbage(why) => {
                tracing::debug!(why, "not a start-up packet");
                return None;
            }
        }
    }
}

/// Direct TLS, where the first byte is a handshake's, needs the protocol named by ALPN: else a web browser's handshake
/// would be taken for a database client's.
async fn first_socket(server: &Server, stream: TcpStream) -> Option<(Socket, Option<Arc<Shown>>)> {
    let Some(with) = &server.config.tls else { return Some((Socket::Tcp(stream), None)) };
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first[0] == TLS_HANDSHAKE => {
            let shown = with.shown();
            let stream = shown.acceptor.accept(stream).await.inspect_err(log_handshake).ok()?;
            if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
                tracing::debug!("direct TLS without the ALPN name of the protocol");
                return None;
            }
            Some((Socket::Tls(Box::new(stream)), Some(shown)))
        }
        Ok(1) => Some((Socket::Tcp(stream), None)),
        _ => None,
    }
}

fn log_handshake(error: &std::io::Error) {
    tracing::debug!(%error, "TLS handshake failed");
}

/// G5
async fn refuse_early_bytes(link: &Link, output: &mut Output, request: &str) -> Option<()> {
    if link.buffered() == 0 {
        return Some(());
    }
    let error = PgError::fatal(sqlstate::PROTOCOL_VIOLATION, format!("received unencrypted data after {request}"))
        .detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.");
    tracing::info!(%error, "connection refused");
    output.put(&encode::error_response(&error));
    let _ = poll_fn(|cx| link.poll_send(cx, output)).await;
    link.close(true).await;
    None
}

async fn answer(link: &Link, output: &mut Output, letter: u8) -> Option<()> {
    output.letter(letter);
    poll_fn(|cx| link.poll_send(cx, output)).await.ok()
}

async fn refuse(link: &Link, output: &mut Output, error: &PgError, server: &Server) {
    server.meters.error(error.code);
    output.put(&encode::error_response(error));
    if poll_fn(|cx| link.poll_send(cx, output)).await.is_ok() {
        link.close(true).await;
    }
}

/// What a session needs to go on.
pub(crate) struct Opened {
    pub session: Box<dyn Session>,
    /// Kept as long as the session can be cancelled.
    pub _registration: Registration,
    /// Kept as long as the session counts.
    pub _slot: OwnedSemaphorePermit,
    /// Kept as long as the session counts among its role's.
    pub _seat: Seat,
}

/// Find a slot, authenticate, ask the engine, send what a client waits for.
pub(crate) async fn open(
    server: &Arc<Server>,
    port: &mut Port,
    watch: &mut Watch,
    request: StartRequest,
    tls: Option<Arc<Shown>>,
    peer: Option<SocketAddr>,
    deadline: tokio::time::Instant,
) -> Result<Opened, Parting> {
    if let Some(unsupported_options) = request.negotiate {
        // Never higher than what was asked for: a client takes that for an attack.
        port.put(&NegotiateProtocolVersion::new(i32::from(request.protocol), unsupported_options));
    }
    if server.closing.is_cancelled() {
        return Err(PgError::fatal(sqlstate::CANNOT_CONNECT_NOW, "the database system is shutting down").into());
    }
    let Ok(slot) = server.slots.clone().try_acquire_owned() else {
        server.meters.refused.add(1);
        return Err(PgError::fatal(sqlstate::TOO_MANY_CONNECTIONS, "sorry, too many clients already").into());
    };
    let candidate = Candidate { user: &request.user, database: &request.database, peer, tls: tls.is_some() };
    let authentication = authenticate(server, port, &candidate, tls.as_deref());
    let seat = match tokio::time::timeout_at(deadline, authentication).await {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(PgError::fatal(sqlstate::QUERY_CANCELED, "canceling authentication due to timeout").into());
        }
    };
    let registration = server.cancels.register(request.protocol, port.token.clone())?;
    let startup = Startup {
        user: request.user,
        database: request.database,
        parameters: request.parameters,
        process_id: registration.process_id,
        peer,
        cancel: port.token.clone(),
    };
    watch.begin();
    let session = watch.run(server.engine.connect(startup)).await?;
    for (name, value) in session.initial_parameters() {
        port.parameter_status(&name, &value);
    }
    port.put(&BackendKeyData::new(registration.process_id, registration.secret_key()));
    port.put(&encode::ready(session.transaction_status()));
    if let Some(failure) = port.output.failure() {
        return Err(failure.into());
    }
    Ok(Opened { session, _registration: registration, _slot: slot, _seat: seat })
}

async fn authenticate(
    server: &Server,
    port: &mut Port,
    candidate: &Candidate<'_>,
    tls: Option<&Shown>,
) -> Result<Seat, Parting> {
    let admission = server.authenticator.lookup(candidate).await?;
    let Candidate { user, .. } = *candidate;
    match admission.credential {
        Credential::Trust => {}
        Credential::Scram(verifier) => scram(server, port, user, Some(verifier), tls).await?,
        Credential::Unknown => scram(server, port, user, None, tls).await?,
    }
    port.put(&Authentication::Ok);
    Ok(server.authenticator.enter(user, admission.role)?)
}

async fn scram(
    server: &Server,
    port: &mut Port,
    user: &str,
    verifier: Option<ScramVerifier>,
    tls: Option<&Shown>,
) -> Result<(), Parting> {
    let mut exchange: Exchange = server.scram.begin(user, verifier, tls.and_then(|shown| shown.binding.clone()))?;
    port.put(&Authentication::SASL(exchange.mechanisms()));
    port.flush().await?;
    let first = exchange.first(&response(port).await?.body)?;
    port.put(&Authentication::SASLContinue(first.into()));
    port.flush().await?;
    let last = exchange.last(&response(port).await?.body)?;
    // Sent together with AuthenticationOk.
    port.put(&Authentication::SASLFinal(last.into()));
    Ok(())
}

async fn response(port: &mut Port) -> Result<Frame, Parting> {
    loop {
        if let Some(frame) = port.next_frame(Stage::Authentication)? {
            return Ok(frame);
        }
        if poll_fn(|cx| port.link.poll_fill(cx)).await == Filled::End {
            return Err(Parting::Gone);
        }
    }
}

/// Say why, and close in order. Who was told of an error is waited for, unless the server stops: unread input would turn
/// the closing into a reset, which may overtake the error.
pub(crate) async fn part(server: &Server, port: &mut Port, parting: Parting) {
    let linger = match parting {
        Parting::Error(error) => {
            let error = match error.severity {
                Severity::Fatal | Severity::Panic => error,
                _ => error.severity(Severity::Fatal),
            };
            port.error(&error);
            !server.stop.is_cancelled()
        }
        Parting::Done => false,
        Parting::Gone => return,
    };
    if port.flush().await.is_ok() {
        port.link.close(linger).await;
    }
}

/// For the one who makes the port.
pub(crate) fn new_port(server: &Server, link: Link) -> Port {
    Port::new(Arc::new(link), CancelToken::default(), server.meters.clone(), server.config.message_bytes_max)
}
