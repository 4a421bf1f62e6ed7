//! A client that shows what came over the wire: types, tags and the transaction's state included, which drivers hide.
//! Simple protocol only. An answer has a bound, so that a server that says nothing is a difference, not a hang.
use crate::answer::{Answer, ColumnShown, ErrorShown, Piece};
use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A statement that has not answered for this long waits for another session.
const WAITS_AFTER: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    /// The socket file.
    Unix(PathBuf),
}

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: Address,
    pub user: String,
    pub database: String,
    pub password: Option<String>,
}

impl Target {
    pub fn new(address: Address) -> Target {
        Target { address, user: "postgres".into(), database: "postgres".into(), password: None }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One session.
pub struct Connection {
    stream: Box<dyn Stream>,
    input: BytesMut,
    /// What the statement under way has answered so far.
    pieces: Vec<Piece>,
    /// What COPY FROM STDIN is given when it asks.
    copy_data: Option<String>,
    closed: bool,
}

impl Connection {
    pub async fn open(target: &Target) -> Result<Connection> {
        tokio::time::timeout(ANSWER_WITHIN, Connection::start(target)).await.context("no connection in time")?
    }

    async fn start(target: &Target) -> Result<Connection> {
        let stream: Box<dyn Stream> = match &target.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
                stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
                Box::new(stream)
            }
            Address::Unix(path) => {
                Box::new(UnixStream::connect(path).await.with_context(|| format!("cannot reach {}", path.display()))?)
            }
        };
        let mut connection =
            Connection { stream, input: BytesMut::new(), pieces: Vec::new(), copy_data: None, closed: false };
        let mut output = BytesMut::new();
        let parameters =
            [("user", target.user.as_str()), ("database", &target.database), ("application_name", "compat")];
        frontend::startup_message(parameters, &mut output)?;
        connection.write(&output).await?;
        let mut exchange: Option<ScramSha256> = None;
        loop {
            output.clear();
            match connection.message().await?.context("closed before it was ready")? {
                Message::AuthenticationSasl(_) => {
                    let password = target.password.as_deref().context("a password is asked for")?;
                    let scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut output)?;
                    exchange = Some(scram);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = exchange.as_mut().context("SASL out of turn")?;
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut output)?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    exchange.as_mut().context("SASL out of turn")?.finish(body.data())?;
                }
                Message::ErrorResponse(body) => bail!("refused: {}", error_shown(body.fields())?),
                Message::ReadyForQuery(_) => return Ok(connection),
                _ => {}
            }
            if !output.is_empty() {
                connection.write(&output).await?;
            }
        }
    }

    /// Sends a text as one Query.
    pub async fn send(&mut self, sql: &str, copy_data: Option<&str>) -> Result<()> {
        self.copy_data = copy_data.map(str::to_owned);
        let mut output = BytesMut::new();
        frontend::query(sql, &mut output)?;
        self.write(&output).await
    }

    /// The whole answer to what was sent.
    pub async fn answer(&mut self) -> Result<Answer> {
        match tokio::time::timeout(ANSWER_WITHIN, self.collect()).await {
            Ok(answer) => answer,
            Err(_) => {
                self.closed = true;
                Ok(Answer { pieces: vec![Piece::NoAnswer], status: None })
            }
        }
    }

    /// The answer if it comes at once. `None`: it waits; `answer` has it later.
    pub async fn answer_now(&mut self) -> Result<Option<Answer>> {
        tokio::time::timeout(WAITS_AFTER, self.collect()).await.ok().transpose()
    }

    pub async fn ask(&mut self, sql: &str) -> Result<Answer> {
        self.send(sql, None).await?;
        self.answer().await
    }

    /// The session is over; there is nobody to ask.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Cancel-safe: what was read stays in `pieces` and `input`.
    async fn collect(&mut self) -> Result<Answer> {
        loop {
            let Some(message) = self.message().await? else {
                self.closed = true;
                self.pieces.push(Piece::Closed);
                return Ok(Answer { pieces: std::mem::take(&mut self.pieces), status: None });
            };
            match message {
                Message::RowDescription(body) => {
                    let columns = body.fields().map(|field| {
                        Ok(ColumnShown {
                            name: field.name().to_owned(),
                            type_oid: field.type_oid(),
                            type_modifier: field.type_modifier(),
                        })
                    });
                    self.pieces.push(Piece::Columns(columns.collect()?));
                }
                Message::DataRow(body) => {
                    let buffer = body.buffer();
                    let fields = body
                        .ranges()
                        .map(|range| Ok(range.map(|range| String::from_utf8_lossy(&buffer[range]).into_owned())));
                    self.pieces.push(Piece::Row(fields.collect()?));
                }
                Message::CommandComplete(body) => self.pieces.push(Piece::Tag(body.tag()?.to_owned())),
                Message::EmptyQueryResponse => self.pieces.push(Piece::Empty),
                Message::ErrorResponse(body) => self.pieces.push(Piece::Error(error_shown(body.fields())?)),
                Message::NoticeResponse(body) => self.pieces.push(Piece::Notice(error_shown(body.fields())?)),
                Message::CopyInResponse(_) => self.copy_in().await?,
                Message::CopyData(body) => {
                    let text = String::from_utf8_lossy(body.data()).trim_end_matches('\n').to_owned();
                    self.pieces.push(Piece::CopyLine(text));
                }
                Message::ReadyForQuery(body) => {
                    let pieces = std::mem::take(&mut self.pieces);
                    return Ok(Answer { pieces, status: Some(char::from(body.status())) });
                }
                _ => {}
            }
        }
    }

    async fn copy_in(&mut self) -> Result<()> {
        let mut output = BytesMut::new();
        match self.copy_data.take() {
            Some(data) => {
                frontend::CopyData::new(Bytes::from(data))?.write(&mut output);
                frontend::copy_done(&mut output);
            }
            None => frontend::copy_fail("no data", &mut output)?,
        }
        self.write(&output).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("the connection broke")
    }

    /// `None` at the end.
    async fn message(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some(message) = parse(&mut self.input)? {
                return Ok(Some(message));
            }
            // A server that closes with unread input may reset the connection.
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
                read => read.map(drop).context("the connection broke")?,
            }
        }
    }
}

/// The parser knows no NegotiateProtocolVersion; we never ask for more than 3.0, so none comes.
fn parse(input: &mut BytesMut) -> Result<Option<Message>> {
    if input.chunk().is_empty() {
        return Ok(None);
    }
    Message::parse(input).context("not the protocol")
}

fn error_shown(mut fields: ErrorFields<'_>) -> Result<ErrorShown> {
    let mut shown = ErrorShown::default();
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => shown.code = value,
            b'V' => shown.severity = value,
            b'M' => shown.message = value,
            // Places in a server's source, and a translation of the severity.
            b'F' | b'L' | b'R' | b'S' => {}
            letter => {
                let name = match letter {
                    b'D' => "detail",
                    b'H' => "hint",
                    b'P' => "position",
                    b'p' => "internal position",
                    b'q' => "internal query",
                    b'W' => "context",
                    b's' => "schema",
                    b't' => "table",
                    b'c' => "column",
                    b'd' => "type",
                    b'n' => "constraint",
                    _ => "unknown field",
                };
                shown.fields.push((name, value));
            }
        }
    }
    shown.fields.sort();
    Ok(shown)
}
