//! tokio-postgres as a client that knows nothing of us.
use crate::harness::{Certificate, Gateway, certificate, client_tls, eventually, gateway, gateway_with, localhost};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, SinkExt, TryStreamExt, pin_mut};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use trivet_gateway::{Credential, GatewayConfig, Roles, ScramVerifier};

async fn client(gateway: &Gateway) -> Client {
    let config = format!("host=127.0.0.1 port={} user=ann dbname=toy", gateway.address.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn simple_and_prepared() {
    let gateway = gateway().await;
    let client = client(&gateway).await;
    let messages = client.simple_query("select 1, 'a'; begin; commit").await.expect("answered");
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((row.get(0).map(str::to_owned), row.get(1).map(str::to_owned))),
            _ => None,
        })
        .collect();
    assert_eq!(rows, [(Some("1".to_owned()), Some("a".to_owned()))]);

    let statement = client.prepare("select 7, $1").await.expect("prepared");
    let row = client.query_one(&statement, &[&"bound"]).await.expect("one row");
    assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>(1)), (7, "bound"));
    let row = client.query_one(&statement, &[&None::<String>]).await.expect("one row");
    assert_eq!(row.get::<_, Option<String>>(1), None);
    let rows = client.query("rows 300 10", &[]).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());

    let error = client.query("error 23505 duplicate key", &[]).await.expect_err("an error");
    let error = error.as_db_error().expect("the server's");
    assert_eq!((error.code(), error.message()), (&SqlState::UNIQUE_VIOLATION, "duplicate key"));
    assert_eq!((error.detail(), error.hint()), (Some("As asked."), Some("Do not ask.")));
    assert!(client.query_one("select 1", &[]).await.is_ok(), "the connection goes on");
}

#[tokio::test]
async fn pipelined() {
    let gateway = gateway().await;
    let client = client(&gateway).await;
    let statement = client.prepare("select $1").await.expect("prepared");
    let texts: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let answers = join_all(texts.iter().map(|text| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[text]).await.expect("a row").get::<_, String>(0) }
    }))
    .await;
    assert_eq!(answers, texts);
}

#[tokio::test]
async fn portals_in_a_transaction() {
    let gateway = gateway().await;
    let mut client = client(&gateway).await;
    let transaction = client.transaction().await.expect("begun");
    let portal = transaction.bind("rows 25", &[]).await.expect("bound");
    let mut sizes = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 10).await.expect("rows");
        sizes.push(rows.len());
        if rows.len() < 10 {
            break;
        }
    }
    assert_eq!(sizes, [10, 10, 5]);
    transaction.commit().await.expect("committed");
}

#[tokio::test]
async fn copy_both_ways() {
    let gateway = gateway().await;
    let client = client(&gateway).await;
    let sink = client.copy_in("copy in").await.expect("COPY began");
    pin_mut!(sink);
    for number in 0..1000 {
        sink.send(bytes::Bytes::from(format!("{number}\tx\n"))).await.expect("sent");
    }
    assert_eq!(sink.finish().await.expect("COPY ended"), 1000);
    let pieces: Vec<bytes::Bytes> =
        client.copy_out("copy out 500").await.expect("COPY began").try_collect().await.expect("COPY ended");
    assert_eq!(pieces.len(), 500);
    // Dropped halfway: CopyFail, and the connection goes on.
    let sink = client.copy_in::<_, bytes::Bytes>("copy in").await.expect("COPY began");
    drop(sink);
    assert!(client.query_one("select 1", &[]).await.is_ok());
}

#[tokio::test]
async fn cancelled() {
    let gateway = gateway().await;
    let client = client(&gateway).await;
    let token = client.cancel_token();
    let waiting = client.simple_query("wait");
    let cancel = async {
        eventually("the engine waits", || gateway.seen.waiting.load(Ordering::SeqCst) == 1).await;
        token.cancel_query(NoTls).await.expect("sent");
    };
    let (answer, ()) = tokio::join!(waiting, cancel);
    assert_eq!(answer.expect_err("cancelled").code(), Some(&SqlState::QUERY_CANCELED));
    assert!(client.query_one("select 1", &[]).await.is_ok());
}

/// Over TLS, by password, bound to the channel.
#[tokio::test]
async fn over_tls_with_a_password_and_channel_binding() {
    let certificate = certificate();
    let verifier = ScramVerifier::from_password("open sesame").expect("random bytes");
    let roles = Roles(HashMap::from([("ann".to_owned(), Credential::Scram(verifier))]));
    let config = GatewayConfig { tls: Some(certificate.tls.clone()), ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(roles)).await;
    for (binding, honest, works) in
        [("require", true, true), ("prefer", true, true), ("disable", true, true), ("require", false, false)]
    {
        let text = format!(
            "host=localhost hostaddr=127.0.0.1 port={} user=ann dbname=toy password='open sesame' sslmode=require \
             channel_binding={binding}",
            gateway.address.port()
        );
        let connected = tokio_postgres::connect(&text, Tls::new(&certificate, honest)).await;
        match connected {
            Ok((client, connection)) => {
                assert!(works, "a false binding was believed");
                tokio::spawn(connection);
                assert!(client.query_one("select 1", &[]).await.is_ok());
                let cancel = client.cancel_token().cancel_query(Tls::new(&certificate, honest)).await;
                cancel.expect("a cancel request may come over TLS");
            }
            Err(error) => {
                assert!(!works, "{binding}: {error}");
                let error = error.as_db_error().expect("the server's").clone();
                assert_eq!(error.message(), "SCRAM channel binding check failed");
            }
        }
    }
}

/// Each connection is bound to the certificate that its own handshake showed.
#[tokio::test]
async fn a_certificate_is_replaced_while_clients_are_connected() {
    let (old, new) = (certificate(), certificate());
    let verifier = ScramVerifier::from_password("open sesame").expect("random bytes");
    let roles = Roles(HashMap::from([("ann".to_owned(), Credential::Scram(verifier))]));
    let config = GatewayConfig { tls: Some(old.tls.clone()), ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(roles)).await;
    let text = format!(
        "host=localhost hostaddr=127.0.0.1 port={} user=ann dbname=toy password='open sesame' sslmode=require \
         channel_binding=require",
        gateway.address.port()
    );
    let (before, connection) =
        tokio_postgres::connect(&text, Tls::new(&old, true)).await.expect("the old one is shown");
    tokio::spawn(connection);
    assert!(old.tls.replace(new.pem[0].as_bytes(), old.pem[1].as_bytes()).is_err(), "they do not go together");
    assert!(tokio_postgres::connect(&text, Tls::new(&old, true)).await.is_ok(), "what was in use stays in use");
    old.tls.replace(new.pem[0].as_bytes(), new.pem[1].as_bytes()).expect("a pair");
    assert!(tokio_postgres::connect(&text, Tls::new(&old, true)).await.is_err(), "the old one is not shown any more");
    let (after, connection) = tokio_postgres::connect(&text, Tls::new(&new, true)).await.expect("the new one is shown");
    tokio::spawn(connection);
    for client in [before, after] {
        assert!(client.query_one("select 1", &[]).await.is_ok());
    }
}

/// rustls for tokio-postgres.
#[derive(Clone)]
struct Tls {
    connector: tokio_rustls::TlsConnector,
    binding: Vec<u8>,
}

impl Tls {
    /// A dishonest one claims to see another certificate.
    fn new(certificate: &Certificate, honest: bool) -> Tls {
        let mut binding = certificate.fingerprint();
        if !honest {
            binding[0] ^= 1;
        }
        Tls { connector: client_tls(certificate, &[b"postgresql"]), binding }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = TlsStream<S>;
    type TlsConnect = Tls;
    type Error = std::io::Error;

    fn make_tls_connect(&mut self, _domain: &str) -> Result<Tls, std::io::Error> {
        Ok(self.clone())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Tls {
    type Stream = TlsStream<S>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<TlsStream<S>, std::io::Error>>;

    fn connect(self, stream: S) -> Self::Future {
        async move {
            let stream = self.connector.connect(localhost(), stream).await?;
            Ok(TlsStream { stream, binding: self.binding })
        }
        .boxed()
    }
}

struct TlsStream<S> {
    stream: tokio_rustls::client::TlsStream<S>,
    binding: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for TlsStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::tls_server_end_point(self.binding.clone())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
