//! A client made of bytes: sends anything, reads messages, and says what they are in one line each.
use bytes::{Buf, BufMut, BytesMut};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bound of every wait in these tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub struct Wire {
    pub stream: Box<dyn Stream>,
    input: BytesMut,
    pub process_id: i32,
    pub secret: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kind: u8,
    pub body: Vec<u8>,
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.put_i32(4 + body.len() as i32);
    bytes.put_slice(body);
    bytes
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

/// No parameters, results as text.
pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', &[portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0\0\0\0\0"].concat())
}

pub fn execute(portal: &str, max_rows: i32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &max_rows.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// Untyped: start-up, cancel, SSL.
pub fn packet(version: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u32(8 + body.len() as u32);
    bytes.put_u32(version);
    bytes.put_slice(body);
    bytes
}

pub const PROTOCOL_3_0: u32 = 196_608;
pub const PROTOCOL_3_2: u32 = 196_610;
pub const SSL_REQUEST: u32 = 80_877_103;
pub const GSS_REQUEST: u32 = 80_877_104;
pub const CANCEL_REQUEST: u32 = 80_877_102;

pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in parameters {
        body.put_slice(name.as_bytes());
        body.put_u8(0);
        body.put_slice(value.as_bytes());
        body.put_u8(0);
    }
    body.put_u8(0);
    packet(version, &body)
}

impl Wire {
    pub fn over(stream: impl Stream + 'static) -> Wire {
        Wire { stream: Box::new(stream), input: BytesMut::new(), process_id: 0, secret: Vec::new() }
    }

    pub async fn open(address: SocketAddr) -> Wire {
        Wire::over(TcpStream::connect(address).await.expect("the server listens"))
    }

    /// Past the first ReadyForQuery.
    pub async fn connect(address: SocketAddr) -> Wire {
        let mut wire = Wire::open(address).await;
        wire.start(PROTOCOL_3_0).await;
        wire
    }

    pub async fn start(&mut self, version: u32) -> Vec<Message> {
        self.send(&startup(version, &[("user", "ann"), ("database", "toy")])).await;
        self.until(b'Z').await
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// For a server that may have closed already.
    pub async fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// `None`: the server closed.
    pub async fn receive(&mut self) -> Option<Message> {
        tokio::time::timeout(PATIENCE, self.receive_unbounded()).await.expect("an answer in time")
    }

    async fn receive_unbounded(&mut self) -> Option<Message> {
        loop {
            if self.input.len() >= 5 {
                let length = i32::from_be_bytes(self.input[1..5].try_into().expect("four bytes")) as usize;
                assert!(length >= 4, "the server sent a length of {length}");
                if self.input.len() > length {
                    let kind = self.input.get_u8();
                    let body = self.input.split_to(length)[4..].to_vec();
                    if kind == b'K' {
                        self.process_id = i32::from_be_bytes(body[..4].try_into().expect("four bytes"));
                        self.secret = body[4..].to_vec();
                    }
                    return Some(Message { kind, body });
                }
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => {
                    assert!(self.input.is_empty(), "the server closed inside a message: {:?}", self.input);
                    return None;
                }
                Ok(_) => {}
            }
        }
    }

    /// One byte outside any message.
    pub async fn letter(&mut self) -> Option<u8> {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_u8()).await.expect("an answer in time");
        read.ok()
    }

    pub async fn until(&mut self, kind: u8) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.receive().await;
            let message = message.unwrap_or_else(|| panic!("closed before {}: {messages:?}", char::from(kind)));
            let found = message.kind == kind;
            messages.push(message);
            if found {
                return messages;
            }
        }
    }

    pub async fn until_closed(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.receive().await {
            messages.push(message);
        }
        messages
    }

    /// Send, read to ReadyForQuery, show.
    pub async fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes).await;
        show_all(&self.until(b'Z').await)
    }

    /// Send, read to the end, show.
    pub async fn last_words(&mut self, bytes: &[u8]) -> String {
        self.try_send(bytes).await;
        show_all(&self.until_closed().await)
    }
}

pub fn show_all(messages: &[Message]) -> String {
    messages.iter().map(Message::show).collect::<Vec<_>>().join("\n")
}

/// Text as a Rust byte string would show it.
pub fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

impl Message {
    pub fn name(&self) -> &'static str {
        match self.kind {
            b'1' => "ParseComplete",
            b'2' => "BindComplete",
            b'3' => "CloseComplete",
            b'A' => "NotificationResponse",
            b'C' => "CommandComplete",
            b'D' => "DataRow",
            b'E' => "ErrorResponse",
            b'G' => "CopyInResponse",
            b'H' => "CopyOutResponse",
            b'I' => "EmptyQueryResponse",
            b'K' => "BackendKeyData",
            b'N' => "NoticeResponse",
            b'R' => "Authentication",
            b'S' => "ParameterStatus",
            b'T' => "RowDescription",
            b'Z' => "ReadyForQuery",
            b'c' => "CopyDone",
            b'd' => "CopyData",
            b'n' => "NoData",
            b's' => "PortalSuspended",
            b't' => "ParameterDescription",
            b'v' => "NegotiateProtocolVersion",
            _ => "Unknown",
        }
    }

    pub fn show(&self) -> String {
        let mut line = self.name().to_owned();
        let mut body = self.body.as_slice();
        match self.kind {
            b'E' | b'N' => {
                while body.first().is_some_and(|letter| *letter != 0) {
                    let letter = char::from(body.get_u8());
                    let text = cstring(&mut body);
                    if letter == 'V' {
                        continue;
                    }
                    let _ = if matches!(letter, 'S' | 'C') {
                        write!(line, " {}", String::from_utf8_lossy(&text))
                    } else {
                        write!(line, " {letter}={}", quoted(&text))
                    };
                }
            }
            b'T' => {
                for _ in 0..body.get_u16() {
                    let name = String::from_utf8_lossy(&cstring(&mut body)).into_owned();
                    let (_table, _attribute, oid) = (body.get_u32(), body.get_i16(), body.get_u32());
                    let (_length, _modifier, format) = (body.get_i16(), body.get_i32(), body.get_i16());
                    let _ = write!(line, " {name}:{oid}/{}", if format == 0 { "text" } else { "binary" });
                }
            }
            b'D' => {
                for _ in 0..body.get_u16() {
                    let length = body.get_i32();
                    if length < 0 {
                        line.push_str(" null");
                    } else {
                        let (value, rest) = body.split_at(length as usize);
                        line.push_str(&format!(" {}", quoted(value)));
                        body = rest;
                    }
                }
            }
            b'C' => line.push_str(&format!(" {}", quoted(&cstring(&mut body)))),
            b'Z' => line.push_str(&format!(" {}", char::from(body[0]))),
            b'S' => {
                let (name, value) = (cstring(&mut body), cstring(&mut body));
                line.push_str(&format!(" {}={}", String::from_utf8_lossy(&name), quoted(&value)));
            }
            b'K' => line.push_str(&format!(" and a secret of {} bytes", body.len() - 4)),
            b't' => {
                for _ in 0..body.get_u16() {
                    let _ = write!(line, " {}", body.get_u32());
                }
            }
            b'G' | b'H' => {
                let format = body.get_i8();
                let columns: Vec<String> = (0..body.get_u16()).map(|_| body.get_i16().to_string()).collect();
                let _ = write!(line, " format={format} columns=[{}]", columns.join(" "));
            }
            b'd' => line.push_str(&format!(" {}", quoted(body))),
            b'R' => {
                let code = body.get_i32();
                let _ = match code {
                    0 => write!(line, " ok"),
                    10 => write!(line, " sasl {}", quoted(body)),
                    other => write!(line, " {other}"),
                };
            }
            b'A' => {
                let process = body.get_i32();
                let (channel, payload) = (cstring(&mut body), cstring(&mut body));
                let _ = write!(line, " {process} {} {}", quoted(&channel), quoted(&payload));
            }
            b'v' => {
                let version = body.get_i32();
                let options: Vec<String> = (0..body.get_i32()).map(|_| quoted(&cstring(&mut body))).collect();
                let _ = write!(line, " {}.{} without [{}]", version >> 16, version & 0xffff, options.join(" "));
            }
            _ => {}
        }
        line
    }

    /// A field of an error or notice.
    pub fn field(&self, letter: u8) -> Option<String> {
        let mut body = self.body.as_slice();
        while body.first().is_some_and(|letter| *letter != 0) {
            let this = body.get_u8();
            let text = cstring(&mut body);
            if this == letter {
                return Some(String::from_utf8_lossy(&text).into_owned());
            }
        }
        None
    }
}

fn cstring(body: &mut &[u8]) -> Vec<u8> {
    let end = body.iter().position(|byte| *byte == 0).expect("a text ends with NUL");
    let text = body[..end].to_vec();
    body.advance(end + 1);
    text
}
