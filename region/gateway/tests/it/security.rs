//! TLS, passwords, secrets.
use crate::harness::{Gateway, certificate, client_tls, eventually, gateway, gateway_with, localhost};
use crate::wire::{
    CANCEL_REQUEST, GSS_REQUEST, PROTOCOL_3_0, PROTOCOL_3_2, SSL_REQUEST, Wire, message, packet, query, startup,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use trivet_gateway::{
    Credential, DatabaseMatch, FixedLogins, Gatekeeper, GatewayConfig, HbaKind, HbaMethod, HbaRule, HbaRules,
    LoginRole, Roles, ScramVerifier, Trust,
};

fn roles() -> Arc<Roles> {
    let verifier = ScramVerifier::from_password("open sesame").expect("random bytes");
    Arc::new(Roles(HashMap::from([
        ("ann".to_owned(), Credential::Scram(verifier)),
        ("bob".to_owned(), Credential::Trust),
    ])))
}

/// G5
#[tokio::test]
async fn nothing_sent_before_tls_is_believed() {
    let certificate = certificate();
    let config = GatewayConfig { tls: Some(certificate.tls.clone()), ..GatewayConfig::default() };
    let with_tls = gateway_with(config, Arc::new(Trust)).await;
    let without = gateway().await;
    let injected = startup(PROTOCOL_3_0, &[("user", "INJECTED")]);
    for gateway in [&with_tls, &without] {
        for (request, name) in [(SSL_REQUEST, "SSL request"), (GSS_REQUEST, "GSSAPI encryption request")] {
            let mut wire = Wire::open(gateway.address).await;
            let answer = wire.last_words(&[packet(request, b""), injected.clone()].concat()).await;
            let expected = format!("ErrorResponse FATAL 08P01 M=\"received unencrypted data after {name}\"");
            assert!(answer.starts_with(&expected), "{answer}");
        }
    }
    // What is injected after the answer is taken for a broken handshake.
    let mut wire = Wire::open(with_tls.address).await;
    wire.send(&packet(SSL_REQUEST, b"")).await;
    assert_eq!(wire.letter().await, Some(b'S'));
    wire.try_send(&injected).await;
    let _ = tokio::time::timeout(crate::wire::PATIENCE, async { while wire.letter().await.is_some() {} }).await;
    assert_eq!(with_tls.totals().open, 0);
    with_tls.serves().await;
}

#[tokio::test]
async fn encryption_is_negotiated() {
    let plain = gateway().await;
    let mut wire = Wire::open(plain.address).await;
    wire.send(&packet(GSS_REQUEST, b"")).await;
    assert_eq!(wire.letter().await, Some(b'N'));
    wire.send(&packet(SSL_REQUEST, b"")).await;
    assert_eq!(wire.letter().await, Some(b'N'));
    wire.start(PROTOCOL_3_0).await;
    assert!(wire.ask(&query("select 1")).await.contains("DataRow"));

    let mut twice = Wire::open(plain.address).await;
    twice.send(&packet(SSL_REQUEST, b"")).await;
    assert_eq!(twice.letter().await, Some(b'N'));
    let answer = twice.last_words(&packet(SSL_REQUEST, b"")).await;
    assert!(answer.contains("unsupported frontend protocol 1234.5679"), "{answer}");

    let certificate = certificate();
    let config = GatewayConfig { tls: Some(certificate.tls.clone()), tls_required: true, ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    let mut wire = Wire::open(gateway.address).await;
    wire.send(&packet(GSS_REQUEST, b"")).await;
    assert_eq!(wire.letter().await, Some(b'N'));
    let mut stream = TcpStream::connect(gateway.address).await.expect("it listens");
    stream.write_all(&packet(SSL_REQUEST, b"")).await.expect("it reads");
    assert_eq!(tokio::io::AsyncReadExt::read_u8(&mut stream).await.ok(), Some(b'S'));
    let stream = client_tls(&certificate, &[]).connect(localhost(), stream).await.expect("a handshake");
    let mut wire = Wire::over(stream);
    wire.start(PROTOCOL_3_2).await;
    assert!(wire.ask(&query("rows 1000 1000")).await.ends_with("ReadyForQuery I"));

    let mut clear = Wire::open(gateway.address).await;
    let answer = clear.last_words(&startup(PROTOCOL_3_0, &[("user", "ann")])).await;
    assert!(answer.starts_with("ErrorResponse FATAL 28000"), "{answer}");
}

#[tokio::test]
async fn direct_tls_needs_the_protocols_name() {
    let certificate = certificate();
    let config = GatewayConfig { tls: Some(certificate.tls.clone()), ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    let dial = async |alpn: &[&[u8]]| {
        let stream = TcpStream::connect(gateway.address).await.expect("it listens");
        client_tls(&certificate, alpn).connect(localhost(), stream).await
    };
    let mut wire = Wire::over(dial(&[b"postgresql"]).await.expect("a handshake"));
    wire.start(PROTOCOL_3_0).await;
    assert!(wire.ask(&query("select 1")).await.contains("DataRow"));
    assert!(dial(&[b"h2"]).await.is_err(), "another protocol's name");
    let mut nameless = Wire::over(dial(&[]).await.expect("a handshake"));
    nameless.try_send(&startup(PROTOCOL_3_0, &[("user", "ann")])).await;
    assert_eq!(nameless.receive().await, None);
    // Encryption inside encryption is refused.
    let mut twice = Wire::over(dial(&[b"postgresql"]).await.expect("a handshake"));
    let answer = twice.last_words(&packet(SSL_REQUEST, b"")).await;
    assert!(answer.contains("unsupported frontend protocol"), "{answer}");
}

async fn authentication_of(gateway: &Gateway, user: &str, password: &str) -> Result<(), tokio_postgres::Error> {
    let config = format!("host=127.0.0.1 port={} user={user} dbname=toy password='{password}'", gateway.address.port());
    let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await?;
    let running = tokio::spawn(connection);
    drop(client);
    running.await.expect("the connection's task ends")
}

#[tokio::test]
async fn passwords_and_those_who_have_none() {
    let gateway = gateway_with(GatewayConfig::default(), roles()).await;
    authentication_of(&gateway, "ann", "open sesame").await.expect("the right password");
    authentication_of(&gateway, "bob", "").await.expect("trusted");
    for (user, password) in [("ann", "open says me"), ("nobody", "open sesame"), ("nobody", "")] {
        let error = authentication_of(&gateway, user, password).await.expect_err("refused");
        let Some(error) = error.as_db_error() else {
            assert!(password.is_empty(), "{error}");
            continue;
        };
        assert_eq!(error.code().code(), "28P01");
        assert_eq!(error.message(), format!("password authentication failed for user \"{user}\""));
        assert_eq!(error.severity(), "FATAL");
    }
    eventually("nobody is left", || gateway.totals().open == 0).await;
}

#[tokio::test]
async fn authentication_is_bounded_in_kind_size_and_time() {
    let config = GatewayConfig { startup_timeout: Duration::from_millis(300), ..GatewayConfig::default() };
    let gateway = gateway_with(config, roles()).await;
    let start = startup(PROTOCOL_3_0, &[("user", "ann")]);
    let table = [
        (query("select 1"), "ErrorResponse FATAL 08P01 M=\"expected SASL response, got message type 81\""),
        (message(b'p', &[b'x'; 2000]), "ErrorResponse FATAL 08P01 M=\"invalid message length\""),
        (message(b'p', b"\0"), "ErrorResponse FATAL 08P01 M=\"invalid SASL initial response\""),
        (Vec::new(), "ErrorResponse FATAL 57014 M=\"canceling authentication due to timeout\""),
    ];
    for (bytes, expected) in table {
        let mut wire = Wire::open(gateway.address).await;
        let answer = wire.last_words(&[start.clone(), bytes].concat()).await;
        assert_eq!(answer, format!("Authentication sasl \"SCRAM-SHA-256\\0\\0\"\n{expected}"));
    }
}

#[tokio::test]
async fn a_secret_is_needed_to_cancel() {
    let gateway = gateway().await;
    let mut old = gateway.connect().await;
    let mut new = Wire::open(gateway.address).await;
    new.start(PROTOCOL_3_2).await;
    assert_eq!((old.secret.len(), new.secret.len()), (4, 32));
    assert_ne!(old.process_id, new.process_id);
    for wire in [&mut old, &mut new] {
        gateway.seen.waiting.store(0, Ordering::SeqCst);
        wire.send(&query("wait")).await;
        eventually("the engine waits", || gateway.seen.waiting.load(Ordering::SeqCst) == 1).await;
        let mut wrong = wire.secret.clone();
        wrong[3] ^= 1;
        let before = gateway.totals().cancels;
        for secret in [&wrong[..], &wire.secret[..3], &[0; 4], &[0; 256], &[0; 257]] {
            let body = [&wire.process_id.to_be_bytes()[..], secret].concat();
            let mut canceller = Wire::open(gateway.address).await;
            canceller.send(&packet(CANCEL_REQUEST, &body)).await;
            assert_eq!(canceller.receive().await, None);
        }
        assert_eq!(gateway.totals().cancels, before, "nobody was cancelled");
        let body = [&wire.process_id.to_be_bytes()[..], &wire.secret].concat();
        Wire::open(gateway.address).await.send(&packet(CANCEL_REQUEST, &body)).await;
        let answer = wire.until(b'Z').await;
        assert_eq!(answer[0].field(b'M').as_deref(), Some("canceling statement due to user request"));
        assert_eq!(gateway.totals().cancels, before + 1);
    }
}

fn role(password: Option<&str>) -> LoginRole {
    let verifier = |password| ScramVerifier::from_password(password).expect("random bytes").to_string();
    LoginRole {
        secret: password.map(verifier),
        can_login: true,
        valid_until: None,
        connection_limit: None,
        superuser: false,
    }
}

#[tokio::test]
async fn rules_decide_and_roles_have_limits() {
    let rule = |address: &str, user: &str, method| HbaRule {
        kind: HbaKind::Host,
        databases: vec![DatabaseMatch::All],
        users: vec![user.parse().expect("a user")],
        address: address.parse().expect("an address"),
        method,
    };
    let rules = HbaRules(vec![
        rule("all", "mallory", HbaMethod::Reject),
        rule("127.0.0.0/8", "eve", HbaMethod::Trust),
        rule("127.0.0.1", "all", HbaMethod::ScramSha256),
    ]);
    let expired = std::time::SystemTime::now().checked_sub(Duration::from_secs(60));
    let logins = FixedLogins(HashMap::from([
        ("ann".to_owned(), LoginRole { connection_limit: Some(1), ..role(Some("open sesame")) }),
        ("old".to_owned(), LoginRole { valid_until: expired, ..role(Some("open sesame")) }),
        ("group".to_owned(), LoginRole { can_login: false, ..role(Some("open sesame")) }),
        ("eve".to_owned(), LoginRole { can_login: false, ..role(None) }),
        ("blank".to_owned(), role(None)),
    ]));
    let gatekeeper = Gatekeeper::new(rules, Arc::new(logins));
    let gateway = gateway_with(GatewayConfig::default(), Arc::new(gatekeeper)).await;
    let wrong = |user: &str| format!("28P01 password authentication failed for user \"{user}\"");
    let table = [
        ("mallory", "x", "28000 sql.hba rejects connection for host \"127.0.0.1\", user \"mallory\", database \"toy\", no encryption".to_owned()),
        ("eve", "", "28000 role \"eve\" is not permitted to log in".to_owned()),
        ("group", "open sesame", "28000 role \"group\" is not permitted to log in".to_owned()),
        ("group", "wrong", wrong("group")),
        ("old", "open sesame", wrong("old")),
        ("blank", "x", wrong("blank")),
        ("nobody", "x", wrong("nobody")),
    ];
    for (user, password, expected) in table {
        let error = authentication_of(&gateway, user, password).await.expect_err("refused");
        let error = error.as_db_error().expect("from the server");
        assert_eq!(format!("{} {}", error.code().code(), error.message()), expected);
        assert_eq!(error.severity(), "FATAL");
    }
    let config = format!("host=127.0.0.1 port={} user=ann dbname=toy password='open sesame'", gateway.address.port());
    let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.expect("the one seat");
    let running = tokio::spawn(connection);
    let error = authentication_of(&gateway, "ann", "open sesame").await.expect_err("one too many");
    let error = error.as_db_error().expect("from the server");
    assert_eq!((error.code().code(), error.message()), ("53300", "too many connections for role \"ann\""));
    drop(client);
    running.await.expect("the connection's task ends").expect("in order");
    eventually("the seat is free", || gateway.totals().open == 0).await;
    authentication_of(&gateway, "ann", "open sesame").await.expect("a seat again");
}
