//! Strangers, wrong certificates and garbage: refused, counted, and life goes on.
use crate::cluster::{CLUSTER, Node, ONE, Plan, TWO, authority, introduce, pair};
use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;
use trivet_log::{Class, ClusterId, NodeId, NodeKind};
use trivet_transport::certificates::{Authority, Certificate, make_ca, make_node_certificate, make_server_certificate};
use trivet_transport::{Identity, Limits, Patience, Roster, StartError, Transport, TransportConfig, node_name};

/// A QUIC client that knows our handshake and nothing else.
struct Stranger {
    runtime: tokio::runtime::Runtime,
    endpoint: quinn::Endpoint,
}

impl Stranger {
    fn new(authority: &Authority, certificate: Option<&Certificate>) -> Stranger {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).expect("PEM"))
            .expect("an authority");
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring speaks TLS 1.3")
            .with_root_certificates(roots);
        let mut tls = match certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.certificate_pem.as_bytes()).expect("PEM")],
                    PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).expect("PEM"),
                )
                .expect("a pair"),
        };
        tls.alpn_protocols = vec![b"trivet/1".to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3")));
        let mut endpoint = runtime
            .block_on(async { quinn::Endpoint::client("127.0.0.1:0".parse().expect("an address")) })
            .expect("a port");
        endpoint.set_default_client_config(config);
        Stranger { runtime, endpoint }
    }

    /// Connects, lets `speak` say something, and returns why the connection was closed.
    fn closed_because<F: Future<Output = ()>>(
        &self,
        node: &Node,
        speak: impl FnOnce(quinn::Connection) -> F,
    ) -> String {
        self.runtime.block_on(async {
            let address = node.transport.local_address();
            let connecting = self.endpoint.connect(address, &node_name(ONE, CLUSTER)).expect("a name");
            let connection = match connecting.await {
                Ok(connection) => connection,
                Err(error) => return error.to_string(),
            };
            speak(connection.clone()).await;
            let closed = tokio::time::timeout(Duration::from_secs(10), connection.closed()).await;
            closed.expect("the node closes the connection").to_string()
        })
    }
}

/// Nodes 1 and 2 are regions, as the nodes of these tests are told.
fn hello(from: u8, to: u8, cluster: u128, version: u16) -> Vec<u8> {
    hello_of(from, to, cluster, version, &[1, 1, 2, 1])
}

fn hello_of(from: u8, to: u8, cluster: u128, version: u16, roster: &[u8]) -> Vec<u8> {
    let mut bytes = b"TRVTHELO".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend([from, to]);
    bytes.extend((1u32 << 20).to_le_bytes());
    bytes.extend(cluster.to_le_bytes());
    bytes.extend(roster);
    bytes.resize(48, 0);
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

async fn greet(connection: &quinn::Connection, hello: &[u8]) {
    let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
    let _ = send.write_all(hello).await;
    let _ = send.finish();
    let mut welcome = [0; 20];
    let _ = receive.read_exact(&mut welcome).await;
}

/// Still serves its true peer.
fn expect_alive(one: &Node, two: &Node) {
    let before = one.inbox.look(|state| state.frames.len());
    two.transport.send(ONE, Class::Urgent, Bytes::from_static(b"alive"));
    one.inbox.wait("a frame from the true peer", |state| (state.frames.len() > before).then_some(()));
}

#[test]
fn wrong_first_words_close_the_connection_with_a_reason() {
    let authority = authority();
    let (one, two) = (Plan::new(&authority, ONE, TWO).start(), Plan::new(&authority, TWO, ONE).start());
    introduce(&one, &two);
    let stranger = Stranger::new(&authority, Some(&make_node_certificate(&authority, TWO).expect("signed")));
    let table = [
        ("garbage", vec![0x55; 52], "does not begin as one of ours"),
        ("too short", b"TRVT".to_vec(), "could not be read"),
        (
            "flipped",
            {
                let mut bytes = hello(2, 1, CLUSTER.0, 2);
                bytes[20] ^= 1;
                bytes
            },
            "wrong checksum",
        ),
        ("version", hello(2, 1, CLUSTER.0, 7), "speaks version 7"),
        ("cluster", hello(2, 1, 5, 2), "belongs to cluster"),
        ("claim", hello(3, 1, CLUSTER.0, 2), "says that it is node 3"),
        (
            "roster",
            hello_of(2, 1, CLUSTER.0, 2, &[1, 1, 2, 2]),
            "node 2 is a witness in its roster, and a region in the one here: compare the [[roster]]",
        ),
        ("door", hello(2, 3, CLUSTER.0, 2), "wants node 3, this is node 1"),
    ];
    for (name, words, reason) in table {
        let closed = stranger.closed_because(&one, async |connection| greet(&connection, &words).await);
        assert!(closed.contains(reason), "{name}: closed because of: {closed}");
    }
    expect_alive(&one, &two);
}

#[test]
fn wrong_frames_close_the_connection_with_a_reason() {
    let authority = authority();
    let (one, two) = (Plan::new(&authority, ONE, TWO).start(), Plan::new(&authority, TWO, ONE).start());
    introduce(&one, &two);
    let stranger = Stranger::new(&authority, Some(&make_node_certificate(&authority, TWO).expect("signed")));
    let preface = b"TRVS\x02\0\0\0";
    let frame = |length: u32, crc: u32, body: &[u8]| [&length.to_le_bytes()[..], &crc.to_le_bytes(), body].concat();
    let good = b"!not a message";
    let table = [
        ("no preface", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "does not begin as one of ours"),
        ("class", b"TRVS\x02\0\x09\0".to_vec(), "unknown class 9"),
        ("length", [&preface[..], &frame(u32::MAX, 0, b"")].concat(), "longer than"),
        ("empty", [&preface[..], &frame(0, 0, b"")].concat(), "an empty frame"),
        ("block", [b"TRVS\x02\0\x01\0", &frame(3, 100, b"\xff\xff\xff")[..]].concat(), "does not hold what it says"),
        ("bomb", [b"TRVS\x02\0\x03\0", &frame(100, u32::MAX, b"")[..]].concat(), "longer than"),
        ("checksum", [&preface[..], &frame(3, 0, b"abc")].concat(), "checksum is wrong"),
        ("meaning", [&preface[..], &frame(good.len() as u32, crc32fast::hash(good), good)].concat(), "means nothing"),
    ];
    for (name, bytes, reason) in table {
        let closed = stranger.closed_because(&one, async |connection| {
            greet(&connection, &hello(2, 1, CLUSTER.0, 2)).await;
            let mut stream = connection.open_uni().await.expect("a stream");
            let _ = stream.write_all(&bytes).await;
        });
        assert!(closed.contains(reason), "{name}: closed because of: {closed}");
    }
    expect_alive(&one, &two);
}

#[test]
fn strangers_are_refused() {
    let authority = authority();
    let (one, two) = (Plan::new(&authority, ONE, TWO).start(), Plan::new(&authority, TWO, ONE).start());
    introduce(&one, &two);
    let silent = async |_connection: quinn::Connection| {};
    let another = make_ca(CLUSTER).expect("an authority");
    let server = make_server_certificate(&authority, &["localhost".to_owned()]).expect("signed");
    let node = |authority: &Authority, node| make_node_certificate(authority, node).expect("signed");
    let other_cluster = Authority { cluster: ClusterId(5), ..authority.clone() };
    let table = [
        ("no certificate", None, "certificate"),
        ("another authority", Some(node(&another, TWO)), ""),
        ("not in the roster", Some(node(&authority, NodeId(7))), "names no other node"),
        ("the node itself", Some(node(&authority, ONE)), "names no other node"),
        ("another cluster", Some(node(&other_cluster, TWO)), ""),
        ("a server's certificate", Some(server), ""),
    ];
    for (name, certificate, reason) in table {
        let closed = Stranger::new(&authority, certificate.as_ref()).closed_because(&one, silent);
        assert!(closed.contains(reason), "{name}: closed because of: {closed}");
    }
    expect_alive(&one, &two);
}

/// Node 2 has a certificate from another authority: neither side believes the other, and node 1 goes on to
/// serve the true node 2 at once.
#[test]
fn another_authority_is_refused_both_ways() {
    let (authority, another) = (authority(), make_ca(CLUSTER).expect("an authority"));
    let one = Plan::new(&authority, ONE, TWO).start();
    for trusts_us in [false, true] {
        // First it trusts only its own authority; then ours too, so that its dials fail at our side alone.
        let mut plan = Plan::new(&another, TWO, ONE);
        if trusts_us {
            // It believes both, and shows what only one of them signed.
            plan.authority_pem += &authority.certificate_pem;
        }
        plan.peer_address = one.address();
        let impostor = plan.start();
        one.transport.set_peer_address(TWO, &impostor.address());
        one.wait_trouble("its certificate is not signed by this cluster's authority");
        impostor.wait_trouble(match trusts_us {
            false => "its certificate is not signed by this cluster's authority",
            true => "it does not accept this node's certificate",
        });
        assert!(one.inbox.look(|state| state.events.is_empty()));
        assert!(impostor.inbox.look(|state| state.events.is_empty()));
    }
    let two = Plan::new(&authority, TWO, ONE).start();
    introduce(&one, &two);
    expect_alive(&one, &two);
}

/// The roster of node 1 gives the address of node 3 for node 2.
#[test]
fn the_wrong_node_behind_an_address_is_refused() {
    let authority = authority();
    let one = Plan::new(&authority, ONE, TWO).start();
    let mut plan = Plan::new(&authority, NodeId(3), ONE);
    plan.peer_address = one.address();
    let three = plan.start();
    one.transport.set_peer_address(TWO, &three.address());
    one.wait_trouble("its certificate names another node or another cluster");
    three.wait_trouble("names no other node of this cluster");
    assert!(one.inbox.look(|state| state.events.is_empty()));
    let two = Plan::new(&authority, TWO, ONE).start();
    introduce(&one, &two);
    expect_alive(&one, &two);
}

#[test]
fn garbage_datagrams_are_ignored() {
    let (one, two) = pair();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut random = 0x1234_5678_9abc_def1_u64;
    for size in (0..1500).chain(0..1500) {
        let datagram: Vec<u8> = (0..size)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random as u8
            })
            .collect();
        let _ = socket.send_to(&datagram, one.transport.local_address());
    }
    expect_alive(&one, &two);
    assert_eq!(one.transport.links().status()[0].connections_made, 1);
    assert_eq!(two.transport.links().status()[0].connections_made, 1);
}

#[test]
fn a_certificate_for_another_node_stops_the_start() {
    let authority = authority();
    let certificate = make_node_certificate(&authority, TWO).expect("signed");
    let identity = Identity::from_pem(
        authority.certificate_pem.as_bytes(),
        certificate.certificate_pem.as_bytes(),
        certificate.key_pem.as_bytes(),
    );
    let config = TransportConfig {
        me: ONE,
        cluster: CLUSTER,
        roster: Roster::of([(ONE, NodeKind::Region)]),
        listen: crate::cluster::loopback(),
        peers: Vec::new(),
        identity: identity.expect("PEM"),
        limits: Limits::default(),
        patience: Patience::default(),
    };
    let error = Transport::start(config, Arc::new(crate::cluster::Inbox::default())).err().expect("refused");
    assert!(matches!(error, StartError::Tls(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "the node's certificate: the certificate does not name this node: it is for {}, and should be for {}. \
             `trivet cert issue node` makes one, given this node's id",
            node_name(TWO, CLUSTER),
            node_name(ONE, CLUSTER)
        )
    );
}
