//! psql and pgbench, where they are installed.
use crate::harness::{certificate, gateway, gateway_with};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokio::process::Command;
use trivet_gateway::{Credential, GatewayConfig, Roles, ScramVerifier, Trust};

/// Output of a program, or `None` with a printed reason when it is not here.
async fn output(
    program: &str,
    arguments: &[&str],
    address: std::net::SocketAddr,
    environment: &[(&str, &str)],
) -> Option<String> {
    if !Path::new(program).exists() {
        eprintln!("skipped: {program} is not installed");
        return None;
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", address.port().to_string())
        .env("PGUSER", "ann")
        .env("PGDATABASE", "toy")
        .env("PGCONNECT_TIMEOUT", "10")
        .env("HOME", "/nonexistent")
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::piped());
    let output = tokio::time::timeout(crate::wire::PATIENCE, command.output()).await;
    let output = output.expect("the program ends in time").expect("the program starts");
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn psql_talks_to_us() {
    let gateway = gateway().await;
    let run = async |arguments: &[&str]| output("/usr/bin/psql", arguments, gateway.address, &[]).await;
    let Some(text) = run(&["-XAt", "-c", "select 1, 'a', null", "-c", "rows 3 2"]).await else { return };
    assert_eq!(text, "1|a|\n0|xx\n1|xx\n2|xx\n");
    let text = run(&["-X", "-v", "VERBOSITY=verbose", "-c", "error 23505 duplicate key"]).await.expect("it is here");
    assert_eq!(text, "ERROR:  23505: duplicate key\nDETAIL:  As asked.\nHINT:  Do not ask.\n");
    let text = run(&["-XAt", "-c", "copy out 3"]).await.expect("it is here");
    assert_eq!(text, "line 0\nline 1\nline 2\n");
    let text = run(&["-XAt", "-v", "FETCH_COUNT=2", "-c", "notice hello"]).await.expect("it is here");
    assert_eq!(text, "NOTICE\nNOTICE:  hello\n");
}

#[tokio::test]
async fn psql_over_tls() {
    let certificate = certificate();
    let config = GatewayConfig { tls: Some(certificate.tls.clone()), tls_required: true, ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(Trust)).await;
    let mode = [("PGSSLMODE", "require")];
    let Some(text) = output("/usr/bin/psql", &["-XAt", "-c", "select 1"], gateway.address, &mode).await else { return };
    assert_eq!(text, "1\n");
    let mode = [("PGSSLMODE", "disable")];
    let text = output("/usr/bin/psql", &["-XAt", "-c", "select 1"], gateway.address, &mode).await.expect("it is here");
    assert!(text.contains("FATAL:  connection is not encrypted"), "{text}");
}

#[tokio::test]
async fn psql_with_a_password() {
    let certificate = certificate();
    let verifier = ScramVerifier::from_password("open sesame").expect("random bytes");
    let roles = Roles(HashMap::from([("ann".to_owned(), Credential::Scram(verifier))]));
    let config = GatewayConfig { tls: Some(certificate.tls.clone()), ..GatewayConfig::default() };
    let gateway = gateway_with(config, Arc::new(roles)).await;
    let table = [
        ("open sesame", "require", "require", "1\n"),
        ("open sesame", "disable", "disable", "1\n"),
        ("wrong", "disable", "disable", "FATAL:  password authentication failed for user \"ann\""),
    ];
    for (password, tls, binding, expected) in table {
        let environment = [("PGPASSWORD", password), ("PGSSLMODE", tls), ("PGCHANNELBINDING", binding)];
        let arguments = ["-XAt", "-c", "select 1"];
        let Some(text) = output("/usr/bin/psql", &arguments, gateway.address, &environment).await else { return };
        assert!(text.contains(expected), "{password}, {tls}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pgbench_in_every_mode() {
    let gateway = gateway().await;
    let script = std::env::temp_dir().join(format!("trivet-gateway-{}.sql", std::process::id()));
    std::fs::write(&script, "\\set n 1\nselect :n;\n").expect("a script");
    let script_path = script.to_str().expect("a readable path");
    for mode in ["simple", "extended", "prepared"] {
        let arguments = ["-n", "-M", mode, "-f", script_path, "-c", "4", "-t", "50"];
        let Some(text) = output("/usr/bin/pgbench", &arguments, gateway.address, &[]).await else { return };
        assert!(text.contains("number of transactions actually processed: 200/200"), "{mode}: {text}");
    }
    std::fs::remove_file(&script).expect("the script goes");
}
