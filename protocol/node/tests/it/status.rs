//! The HTTP side.
use crate::cluster::{A, B, Cluster, W, wait};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trivet_node::http::{self, HttpOptions};

struct Server {
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
}

impl Server {
    fn start(cluster: &Cluster, place: usize) -> Server {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let node = cluster.handle(place).clone();
        let mut options = HttpOptions::new(std::sync::Arc::new(|| "trivet_term 1\n".to_owned()));
        options.status =
            std::sync::Arc::new(|| [("sql_address".to_owned(), Value::from("127.0.0.1:5432"))].into_iter().collect());
        let more = axum::Router::new().route("/digest", axum::routing::get(async || "abc"));
        let listen = node.config().listen.http;
        let address = runtime.block_on(http::serve(listen, node, options, more)).expect("a free port");
        Server { runtime, address }
    }

    /// The status code and the body.
    fn ask(&self, request: &str) -> (u16, String) {
        self.runtime.block_on(async {
            let mut socket = tokio::net::TcpStream::connect(self.address).await.expect("it listens");
            let text = format!("{request} HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            socket.write_all(text.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.expect("an answer in text");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
            (code, body.to_owned())
        })
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ask("GET /status").1).expect("JSON")
    }
}

#[test]
fn health_status_metrics_and_hand_over() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    let follower = cluster.other(leader);
    cluster.write(follower);
    let servers = [A, B, W].map(|place| Server::start(&cluster, place));

    for server in &servers {
        wait("health", || (server.ask("GET /health") == (200, "serving\n".to_owned())).then_some(()));
        assert_eq!(server.ask("GET /metrics"), (200, "trivet_term 1\n".to_owned()));
        assert_eq!(server.ask("GET /digest"), (200, "abc".to_owned()));
        assert_eq!(server.ask("GET /nothing").0, 404);
    }

    let status = wait("an up-to-date status", || {
        Some(servers[leader].status()).filter(|status| status["commit"].as_u64() >= Some(2))
    });
    let names = ["A", "B", "W"];
    assert_eq!(status["node"], names[leader]);
    assert_eq!(status["kind"], "region");
    assert_eq!(status["cluster"], "00000000000000000000000000c0ffee");
    assert_eq!(status["role"], "leader");
    assert_eq!(status["leader"], names[leader]);
    assert_eq!(status["leads"], true);
    assert_eq!(status["lease"]["valid"], true);
    assert_eq!(status["sql_address"], "127.0.0.1:5432");
    assert_eq!(status["pid"], std::process::id());
    let peers: Vec<&str> =
        status["peers"].as_array().expect("a list").iter().filter_map(|peer| peer["node"].as_str()).collect();
    assert_eq!(peers, [names[follower], "W"]);
    let links = status["links"].as_array().expect("a list");
    assert!(
        links.len() == 2 && links.iter().all(|link| link["connected"] == true && link["trouble"].is_null()),
        "{links:?}"
    );
    let witness = servers[W].status();
    assert_eq!(
        (&witness["kind"], &witness["role"], &witness["lease"]["valid"]),
        (&"witness".into(), &"witness".into(), &false.into())
    );

    assert_eq!(servers[follower].ask("POST /handover").0, 409);
    assert_eq!(servers[leader].ask("POST /handover").0, 202);
    wait("the hand-over", || (servers[leader].status()["leader"] == names[follower]).then_some(()));

    // The one that leads now loses both others: it does not serve, and says why.
    cluster.kill(W);
    cluster.kill(leader);
    let (_, word) = wait("ill health", || Some(servers[follower].ask("GET /health")).filter(|(code, _)| *code == 503));
    assert!(["no-lease", "no-leader"].contains(&word.trim()), "{word:?}");
    let (code, text) = servers[follower].ask("GET /health?json");
    let fields: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &fields["node"]), (503, &names[follower].into()));
    assert!(fields["state"].as_str().is_some_and(|state| state.starts_with("no-lea")), "{fields}");
    assert!(fields["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{fields}");
}
