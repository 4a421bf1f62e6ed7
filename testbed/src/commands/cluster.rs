//! `cluster init`: everything that three machines need before their first start, drawn in one folder.
//!
//! ```text
//!   FOLDER/ca/ca.pem, ca.key    the authority; the key signs, and goes to no node
//!   FOLDER/password             of the role postgres, the first superuser
//!   FOLDER/A/                   becomes /etc/trivet on A's machine: node.toml, ca.pem, node.pem, node.key,
//!                               and for a region server.pem, server.key
//! ```
use super::cert::{self, CA_CERTIFICATE, make_folder};
use crate::cli::{ClusterInit, NamedHost};
use crate::layout::password::Password;
use crate::terminal::say;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use trivet_log::{ClusterId, NodeId};
use trivet_transport::certificates::{Authority, Validity, make_node_certificate_valid, make_server_certificate_valid};

const AUTHORITY: Validity = Validity::Days(7300);

pub fn init(arguments: &ClusterInit) -> Result<()> {
    let folder = &arguments.folder;
    check(arguments)?;
    if folder.exists() {
        bail!("{} is there already: a cluster is drawn once, into a folder of its own", folder.display());
    }
    make_folder(folder)?;
    let cluster = ClusterId(rand::random());
    let authority = cert::init(&folder.join("ca"), cluster, AUTHORITY)?;
    let password = Password::draw();
    write(&folder.join("password"), &format!("{}\n", password.text()), 0o600)?;
    // One for both regions: what a client proves is the same in each.
    let verifier = password.verifier();
    for node in nodes(arguments) {
        write_node(arguments, &authority, &node, &verifier)?;
    }
    say(format!("cluster {:032x}", cluster.0));
    for node in nodes(arguments) {
        let to = format!("{}:/etc/trivet", node.at.host);
        say(format!("{:<28}  becomes {to}", folder.join(&node.at.name).display().to_string() + "/"));
    }
    say(format!("{:<28}  of the role postgres", folder.join("password").display().to_string()));
    say(format!(
        "{:<28}  signs certificates: keep it safe, and away from the nodes",
        folder.join("ca/ca.key").display()
    ));
    Ok(())
}

/// One of the three.
struct Node<'a> {
    id: u8,
    region: bool,
    at: &'a NamedHost,
}

fn nodes(arguments: &ClusterInit) -> Vec<Node<'_>> {
    let all = arguments.regions.iter().map(|at| (true, at)).chain([(false, &arguments.witness)]);
    all.zip(1..).map(|((region, at), id)| Node { id, region, at }).collect()
}

fn check(arguments: &ClusterInit) -> Result<()> {
    let [one, two] = arguments.regions.as_slice() else {
        bail!("a cluster has two regions: give --region twice, --witness once");
    };
    let three = &arguments.witness;
    for (left, right) in [(one, two), (one, three), (two, three)] {
        if left.name.eq_ignore_ascii_case(&right.name) {
            bail!("two nodes are called {}: each needs a name of its own", right.name);
        }
        if left.host == right.host {
            bail!("{} and {} are both on {}: each place needs a machine of its own", left.name, right.name, left.host);
        }
    }
    if let Some(taken) =
        arguments.regions.iter().chain([three]).find(|at| ["ca", "password"].contains(&at.name.as_str()))
    {
        bail!("a node cannot be called {}: a file beside its folder is", taken.name);
    }
    Ok(())
}

fn write_node(arguments: &ClusterInit, authority: &Authority, node: &Node<'_>, verifier: &str) -> Result<()> {
    let folder = arguments.folder.join(&node.at.name);
    let failed = || format!("cannot write to {}", folder.display());
    let validity = Validity::Days(arguments.days);
    make_folder(&folder)?;
    write(&folder.join(CA_CERTIFICATE), &authority.certificate_pem, 0o644)?;
    make_node_certificate_valid(authority, NodeId(node.id), validity)?
        .write_new(&folder.join("node.pem"), &folder.join("node.key"))
        .with_context(failed)?;
    if node.region {
        let own = [node.at.host.clone(), "localhost".into(), "127.0.0.1".into(), "::1".into()];
        let names: Vec<String> = own.into_iter().chain(arguments.server_names.iter().cloned()).collect();
        make_server_certificate_valid(authority, &names, validity)?
            .write_new(&folder.join("server.pem"), &folder.join("server.key"))
            .with_context(failed)?;
    }
    write(&folder.join("node.toml"), &node_toml(arguments, authority.cluster, node, verifier), 0o640)
}

fn node_toml(arguments: &ClusterInit, cluster: ClusterId, node: &Node<'_>, verifier: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = format!(
        "# Made by `trivet cluster init`. docs/configuration.md describes every key.\n\
         [node]\nname = {}\nid = {}\ndata_dir = {}\ncluster_id = \"{:032x}\"\n",
        quoted(&node.at.name),
        node.id,
        quoted(&arguments.data_dir.display().to_string()),
        cluster.0
    );
    for other in nodes(arguments) {
        let kind = if other.region { "region" } else { "witness" };
        let address = join(&other.at.host, arguments.quic_port);
        let _ = write!(
            text,
            "\n[[roster]]\nname = {}\nid = {}\nkind = \"{kind}\"\naddress = \"{address}\"\n",
            quoted(&other.at.name),
            other.id
        );
    }
    let everywhere = listen_host(&node.at.host);
    let http = if arguments.open_http { everywhere.as_str() } else { "127.0.0.1" };
    let _ = write!(
        text,
        "\n[listen]\nquic = \"{}\"       # UDP, to the other nodes\nhttp = \"{}\"       # health, metrics, status: no passwords\n\
         \n[tls]\nca = \"ca.pem\"\ncertificate = \"node.pem\"\nkey = \"node.key\"\n",
        join(&everywhere, arguments.quic_port),
        join(http, arguments.http_port),
    );
    if node.region {
        let _ = write!(
            text,
            "\n[sql]\nlisten = \"{}\"\nauth = \"scram\"\ncertificate = \"server.pem\"\nkey = \"server.key\"\ntls_required = true\n\
             \n[[sql.users]]                  # until ALTER ROLE postgres PASSWORD: then take it out of both regions' files\n\
             name = \"postgres\"\nverifier = \"{}\"\n",
            join(&everywhere, arguments.sql_port),
            verifier
        );
    }
    text
}

/// An address is listened on as it is; a name may mean another address here, so everything is.
fn listen_host(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => "0.0.0.0".into(),
    }
}

fn join(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Cluster, Command};
    use clap::Parser;

    fn arguments(folder: &Path, more: &str) -> ClusterInit {
        let line = format!("trivet cluster init {} {more}", folder.display());
        let cli = Cli::try_parse_from(line.split_whitespace()).expect("it reads");
        let Command::Cluster { what: Cluster::Init(arguments) } = cli.command else { panic!("not an init") };
        arguments
    }

    #[test]
    fn three_folders_that_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("new");
        let hosts = "--region A=10.0.0.1 --region B=b.example.org --witness W=fd00::3 --server-name db.example.org";
        init(&arguments(&root, hosts)).expect("drawn");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
        let files: Vec<toml::Table> = ["A", "B", "W"]
            .iter()
            .map(|name| toml::from_str(&read(&format!("{name}/node.toml"))).expect("TOML"))
            .collect();
        for (file, id) in files.iter().zip(1..) {
            assert_eq!(file["node"]["id"].as_integer(), Some(id));
            assert_eq!(file["roster"], files[0]["roster"]);
            assert_eq!(file["node"]["cluster_id"], files[0]["node"]["cluster_id"]);
        }
        assert_eq!(files[0]["roster"][2]["address"].as_str(), Some("[fd00::3]:7001"));
        assert_eq!(files[0]["listen"]["quic"].as_str(), Some("10.0.0.1:7001"));
        assert_eq!(files[1]["listen"]["quic"].as_str(), Some("0.0.0.0:7001"));
        assert_eq!(files[1]["listen"]["http"].as_str(), Some("127.0.0.1:8001"));
        assert!(!files[2].contains_key("sql"));
        assert_eq!(files[0]["sql"]["users"], files[1]["sql"]["users"], "one password for both");
        assert!(!read("A/node.toml").contains(read("password").trim()), "the password itself is in no node's file");
        let facts = trivet_transport::inspect::inspect_pem(read("B/server.pem").as_bytes()).expect("it reads");
        assert_eq!(facts[0].names, ["b.example.org", "localhost", "127.0.0.1", "::1", "db.example.org"]);
        let error = init(&arguments(&root, hosts)).expect_err("drawn already").to_string();
        assert!(error.contains("is there already"), "{error}");
    }

    #[test]
    fn what_cannot_be_a_cluster_is_said() {
        let table = [
            ("--region A=a --witness W=w", "two regions"),
            ("--region A=a --region a=b --witness W=w", "two nodes are called a"),
            ("--region A=a --region B=a --witness W=w", "are both on a"),
            ("--region A=a --region B=b --witness ca=w", "cannot be called ca"),
        ];
        for (line, message) in table {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().join("new");
            let error = init(&arguments(&root, line)).expect_err(line).to_string();
            assert!(error.contains(message), "{line}: {error}");
            assert!(!root.exists(), "{line}: nothing is left behind");
        }
    }
}
