//! `examples/orders` as it is, with a password and TLS: a Python program takes orders while the region that leads is killed and
//! brought back; its books balance. Then psql looks at it in both regions, and `pg_dump` carries it to PostgreSQL and back.
//!
//! `./trivet setup` makes the Python that `TRIVET_ORDERS_PYTHON` names, with the packages of `requirements.txt`; without it,
//! and without PostgreSQL's programs, what needs them says so and is left out.
use crate::harness::{Bed, told};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use trivet_compat::{Address, Reference};

const TABLES: [&str; 6] = ["migration", "customer", "product", "stock", "purchase", "purchase_line"];

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TRIVET_ORDERS_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let found = Command::new(&python).args(["-c", "import psycopg, sqlalchemy"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(python)
}

/// One of PostgreSQL's own programs; what it says.
fn client(program: &str, arguments: &[&dyn AsRef<OsStr>]) -> Result<String, String> {
    let mut command = Command::new(trivet_compat::reference::binaries().join(program));
    command.args(arguments.iter().map(|argument| argument.as_ref())).env_clear().stdin(Stdio::null());
    let output = command.output().expect("PostgreSQL's programs are installed together");
    if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into_owned()) } else { Err(told(&output)) }
}

fn psql(conninfo: &str, sql: &str) -> Result<String, String> {
    client("psql", &[&"-XAtq", &"-v", &"ON_ERROR_STOP=1", &"-c", &sql, &conninfo])
}

fn run_file(conninfo: &str, file: &Path) {
    let output = client("psql", &[&"-Xq", &"-v", &"ON_ERROR_STOP=1", &"-f", &file, &conninfo]);
    output.unwrap_or_else(|error| panic!("{} in {conninfo}: {error}", file.display()));
}

fn dump(conninfo: &str, what: &str, file: &Path) {
    let output = client("pg_dump", &[&what, &"-f", &file, &"-d", &conninfo]);
    output.unwrap_or_else(|error| panic!("pg_dump {what} of {conninfo}: {error}"));
}

/// All rows of all tables, in the order of their text.
fn contents(conninfo: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for table in TABLES {
        let text = psql(conninfo, &format!("select * from {table}")).expect("a table is read");
        let mut lines: Vec<String> = text.lines().map(|line| format!("{table}: {line}")).collect();
        lines.sort_unstable();
        rows.extend(lines);
    }
    rows
}

#[test]
fn orders_survive_the_leader() {
    let bed = Bed::new();
    bed.ok(&format!("up --detach --auth scram --rtt 10ms --ports {},{}", bed.ports[0], bed.ports[1]));
    let password = std::fs::read_to_string(bed.data().join("password")).expect("`up --auth scram` draws a password");
    let tls = format!("dbname=postgres sslmode=verify-full sslrootcert={}", bed.data().join("ca.pem").display());
    let region = |at: usize, user: &str, password: &str| {
        format!("host=127.0.0.1 port={} user={user} password={password} {tls}", bed.ports[at])
    };
    let admin = [0, 1].map(|at| region(at, "postgres", password.trim()));
    let has_psql = match Reference::installed() {
        Ok(()) => {
            users(&bed, &admin, &region);
            true
        }
        Err(reason) => {
            eprintln!("psql and pg_dump are left out: {reason}");
            false
        }
    };
    match python() {
        Some(python) => {
            let (user, password) = if has_psql { ("shop", "it's a secret") } else { ("postgres", password.trim()) };
            let password = password.replace('\\', "\\\\").replace('\'', "\\'");
            let both = format!(
                "host=127.0.0.1,127.0.0.1 port={},{} user={user} password='{password}' {tls}",
                bed.ports[0], bed.ports[1]
            );
            take_orders(&bed, &python, &both);
        }
        None => eprintln!("the shop is left out: no Python with psycopg and SQLAlchemy (TRIVET_ORDERS_PYTHON)"),
    }
    if let (true, Some(python)) = (has_psql, python()) {
        there_and_back(&bed, &python, &admin);
    }
    bed.ok("down");
}

/// A role of the catalog logs in to both regions, by its password and over TLS only.
fn users(bed: &Bed, admin: &[String; 2], region: &impl Fn(usize, &str, &str) -> String) {
    psql(&admin[0], "create role shop login password 'it''s a secret'; grant create on schema public to shop")
        .expect("a role is made");
    for at in [0, 1] {
        let shop = region(at, "shop", "'it\\'s a secret'");
        let told = psql(&shop, "\\conninfo").expect("it logs in");
        assert!(told.contains("as user \"shop\"") && told.contains("SSL connection (protocol: TLSv1.3"), "{told}");
        let refused = psql(&region(at, "shop", "guess"), "select 1").expect_err("a wrong password");
        assert!(refused.contains("password authentication failed for user \"shop\""), "{refused}");
        let described = psql(&shop, "\\du shop").expect("psql describes");
        assert!(described.starts_with("shop|"), "{described}");
    }
    let plain = format!("host=127.0.0.1 port={} user=shop dbname=postgres sslmode=disable", bed.ports[0]);
    let refused = psql(&plain, "select 1").expect_err("no password");
    assert!(refused.contains("no password supplied"), "{refused}");
}

fn take_orders(bed: &Bed, python: &Path, conninfo: &str) {
    let mut shop = Command::new(python)
        .arg("shop.py")
        .arg(conninfo)
        .args(["--seconds", "12"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/orders"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut lines = BufReader::new(shop.stdout.take().expect("piped"));
    let mut said = String::new();
    while !said.ends_with("taking orders\n") {
        if lines.read_line(&mut said).expect("text") == 0 {
            let output = shop.wait_with_output().expect("it ended");
            panic!("the shop did not open:\n{said}{}", told(&output));
        }
    }
    let status = bed.status();
    let nodes = status["nodes"].as_array().expect("a list of nodes");
    let leads = |node: &&serde_json::Value| node["status"]["role"] == "leader";
    let leader = nodes.iter().find(leads).and_then(|node| node["place"].as_str()).unwrap_or("A").to_owned();
    bed.ok(&format!("kill {leader}"));
    bed.ok(&format!("restart {leader}"));
    lines.read_to_string(&mut said).expect("text");
    let output = shop.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{said}{}", told(&output));
    assert!(said.ends_with("the books balance\n"), "{said}");
    println!("{said}");
}

/// Out of one region into PostgreSQL, and from there into the other.
fn there_and_back(bed: &Bed, python: &Path, admin: &[String; 2]) {
    let before = contents(&admin[0]);
    assert!(before.len() > 100, "the shop sold something: {before:?}");
    assert_eq!(before, contents(&admin[1]), "both regions say the same");
    let listed = client("psql", &[&"-Xq", &"-c", &"\\d purchase_line", &admin[1]]).expect("psql describes");
    assert!(listed.contains("purchase_line_pkey") && listed.contains("ON DELETE CASCADE"), "{listed}");

    let postgres = Reference::start().expect("an installed PostgreSQL starts");
    let Address::Unix(socket) = postgres.target().address else { panic!("it is on a socket") };
    let folder = socket.parent().expect("a socket lies in a folder").display().to_string();
    let postgres_conninfo = format!("host={folder} user=postgres dbname=postgres");
    psql(&postgres_conninfo, "create role shop").expect("the tables' owner");
    let files = ["schema.sql", "data.sql", "schema-back.sql", "data-back.sql"].map(|name| bed.file(name));
    dump(&admin[0], "--schema-only", &files[0]);
    dump(&admin[1], "--data-only", &files[1]);
    run_file(&postgres_conninfo, &files[0]);
    run_file(&postgres_conninfo, &files[1]);
    assert_eq!(before, contents(&postgres_conninfo), "what PostgreSQL has");

    let reflected = reflection(python, &postgres_conninfo);
    for region in admin {
        assert_eq!(reflection(python, region), reflected);
    }

    dump(&postgres_conninfo, "--schema-only", &files[2]);
    dump(&postgres_conninfo, "--data-only", &files[3]);
    assert_eq!(statements(&files[0]), statements(&files[2]), "both have the same definitions");
    psql(&admin[0], &format!("drop table {}", TABLES.join(", "))).expect("the tables are dropped");
    run_file(&admin[1], &files[2]);
    run_file(&admin[0], &files[3]);
    assert_eq!(before, contents(&admin[0]), "what came back");
    assert_eq!(before, contents(&admin[1]), "what came back, in the other region");
}

/// What SQLAlchemy's reflection finds: tables, columns, types, keys, checks, indexes.
const REFLECT: &str = r#"
import sys, psycopg
from sqlalchemy import create_engine, inspect
look = inspect(create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(sys.argv[1])))
for table in sorted(look.get_table_names()):
    for column in look.get_columns(table):
        print(table, sorted((name, str(value)) for name, value in column.items()))
    print(table, look.get_pk_constraint(table))
    for find in (look.get_foreign_keys, look.get_unique_constraints, look.get_check_constraints, look.get_indexes):
        print(table, sorted(str(sorted(one.items(), key=str)) for one in find(table)))
print(look.get_view_names(), look.get_sequence_names(), look.get_schema_names(), look.default_schema_name)
"#;

fn reflection(python: &Path, conninfo: &str) -> String {
    let output = Command::new(python).args(["-c", REFLECT, conninfo]).output().expect("Python starts");
    assert!(output.status.success(), "{conninfo}: {}", told(&output));
    told(&output)
}

/// A dump without comments and the words that are drawn anew for each.
fn statements(dump: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dump).expect("a dump is text");
    let says = |line: &&str| !(line.is_empty() || line.starts_with("--") || line.starts_with('\\'));
    text.lines().filter(says).map(str::to_owned).collect()
}
