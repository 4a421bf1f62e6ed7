//! The command line.
use crate::bench::Bench;
use crate::distances;
use crate::drills::Drill;
use crate::layout::config::{Auth, Sabotage};
use crate::place::{Lane, Place};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use trivet_netem::settings::{parse_duration, parse_rate};
use trivet_netem::{Chance, Choice, Distances};

/// Trivet: a PostgreSQL-compatible database, active in two regions at once. This runs both regions and the witness on
/// one machine, with a network between them that is as slow and as broken as you ask.
#[derive(Debug, Parser)]
#[command(name = "trivet", version, max_term_width = 110, arg_required_else_help = true)]
pub struct Cli {
    /// The testbed's directory; found by itself while one testbed runs
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start two regions, a witness and the network between them
    Up(Up),
    /// Stop the testbed; its data stays
    Down,
    /// Who leads, who serves, what is wrong, what the next loss would do, and what to do now
    Status(StatusArguments),
    /// Show and change the links between A, B and W
    Net {
        #[command(subcommand)]
        change: Net,
    },
    /// End a node at once (SIGKILL)
    Kill { place: Place },
    /// Stop a node's clock, as a machine that hangs (SIGSTOP)
    Pause { place: Place },
    /// Let a paused node go on (SIGCONT)
    Resume { place: Place },
    /// Stop a node in order, if it runs, and start it
    Restart { place: Place },
    /// Let the other region lead the log
    Handover,
    /// Run a command in the network of a place: what it connects to is as far away as from there
    Exec {
        place: Place,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Make and look at the certificates of a cluster
    Cert {
        #[command(subcommand)]
        what: Cert,
    },
    /// Files for a new cluster on three machines
    Cluster {
        #[command(subcommand)]
        what: Cluster,
    },
    /// Open psql
    Sql {
        /// The region
        #[arg(default_value = "A")]
        place: Place,
        /// What psql is given beside the address
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Break something under load, recover, and check that nothing was lost
    Drill(DrillArguments),
    /// Measure what commits and strong reads cost
    Bench(BenchArguments),
    /// The same statements here and on PostgreSQL 15, and every difference
    Compat(CompatArguments),
    /// Look for what is wrong without a cluster: seeds of the simulator, states of the model, a recorded history
    Verify {
        #[command(subcommand)]
        what: Verify,
    },
    /// Ends a private testbed when its drill is gone
    #[command(hide = true)]
    Guard { root: PathBuf },
}

#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Of a cluster that is no testbed: HTTP addresses (listen.http) of its nodes
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// A picture that moves: throughput, latency, links, leases, lag
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

#[derive(Debug, Subcommand)]
pub enum Cert {
    /// Draw the key of a cluster's authority and its certificate: FOLDER/ca.key and FOLDER/ca.pem
    Init {
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// 32 hexadecimal digits; drawn if left out. Give the old one when an authority is replaced
        #[arg(long, value_name = "HEX", value_parser = parse_cluster_id)]
        cluster_id: Option<u128>,
        #[arg(long, default_value_t = 7300, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// Sign a certificate
    Issue {
        #[command(subcommand)]
        what: CertIssue,
    },
    /// What certificates say, and how long they are valid; exit code 1 if one is not, or ends within 14 days
    Show {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum CertIssue {
    /// For a node, towards the others: FOLDER/node.pem and FOLDER/node.key
    Node {
        /// node.id of its configuration
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
        id: u8,
        #[command(flatten)]
        common: CertCommon,
    },
    /// For a region, towards its clients: FOLDER/server.pem and FOLDER/server.key
    Server {
        /// A host name or an address by which clients connect; several times for several
        #[arg(long = "name", value_name = "NAME", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        common: CertCommon,
    },
}

#[derive(Debug, Args)]
pub struct CertCommon {
    /// Where `cert init` put the authority
    #[arg(long, value_name = "FOLDER")]
    pub ca: PathBuf,
    /// Where the certificate goes
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    #[arg(long, default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub days: u32,
    /// Put it in the place of the one that is there
    #[arg(long)]
    pub replace: bool,
}

#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Draw a cluster: its id, its authority, its first password, and for each node a folder that becomes /etc/trivet there
    Init(ClusterInit),
}

#[derive(Debug, Args)]
pub struct ClusterInit {
    /// What must not be there yet
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// A region, and the host name or address by which everybody reaches it; twice
    #[arg(long = "region", value_name = "NAME=HOST", required = true, value_parser = parse_named_host)]
    pub regions: Vec<NamedHost>,
    /// The witness, likewise
    #[arg(long, value_name = "NAME=HOST", value_parser = parse_named_host)]
    pub witness: NamedHost,
    /// Between the nodes (UDP)
    #[arg(long, default_value_t = 7001)]
    pub quic_port: u16,
    /// For clients (TCP)
    #[arg(long, default_value_t = 5432)]
    pub sql_port: u16,
    /// Health, metrics and status (TCP)
    #[arg(long, default_value_t = 8001)]
    pub http_port: u16,
    /// HTTP on the node's address, for load balancers and Prometheus, not on loopback only. It has no passwords: keep a
    /// firewall around it
    #[arg(long)]
    pub open_http: bool,
    /// One more name by which clients reach the regions, such as a load balancer's; several times for several
    #[arg(long = "server-name", value_name = "NAME")]
    pub server_names: Vec<String>,
    /// Where the nodes keep their data
    #[arg(long, default_value = "/var/lib/trivet", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// Of the certificates
    #[arg(long, default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub days: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedHost {
    pub name: String,
    pub host: String,
}

#[derive(Debug, Args)]
pub struct Up {
    /// How far the places are from each other: a round trip between any two (60ms), a name (`trivet net profiles` lists
    /// them), or a TOML file of your own
    #[arg(long, visible_alias = "profile", default_value = "60ms", value_parser = distances::parse)]
    pub rtt: Distances,
    /// What moves the bytes between places: relays on loopback; "tun" or "tc", which give each place a network namespace
    /// (root); or "auto", the best that works here
    #[arg(long, env = "TRIVET_NET", default_value = "relay", value_name = "relay|tun|tc|auto")]
    pub net: Choice,
    /// SQL ports of A and B
    #[arg(long, default_value = "5433,5434", value_parser = parse_ports)]
    pub ports: Ports,
    /// How clients show who they are: "scram" makes a password and certificates, and prints them in the addresses
    #[arg(long, value_enum, default_value_t)]
    pub auth: Auth,
    /// Return when it serves, and leave it running
    #[arg(long)]
    pub detach: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports(pub [u16; 2]);

#[derive(Debug, Subcommand)]
pub enum Net {
    /// The links, what they were asked and what they did
    Show {
        #[arg(long)]
        json: bool,
    },
    /// Nothing passes
    Cut(Which),
    /// No longer cut; delay and loss stay
    Heal(WhichOrAll),
    /// As the testbed was started
    Restore(WhichOrAll),
    /// One-way delay, such as 30ms
    Delay {
        #[command(flatten)]
        which: Which,
        #[arg(value_parser = parse_duration)]
        delay: Duration,
    },
    /// Up to this much later, each packet by itself
    Jitter {
        #[command(flatten)]
        which: Which,
        #[arg(value_parser = parse_duration)]
        jitter: Duration,
    },
    /// Share of packets that are lost, such as 1% or 0.01
    Loss {
        #[command(flatten)]
        which: Which,
        loss: Chance,
    },
    /// Bytes a second, 100Mbit/s, 12MB/s, or "none"
    Rate {
        #[command(flatten)]
        which: Which,
        #[arg(value_parser = |text: &str| parse_rate(text).map(Rate))]
        rate: Rate,
    },
    /// Play a fault script: timed steps in a TOML file, such as those in testbed/faults
    Play {
        file: PathBuf,
        /// Leave the links as the script left them
        #[arg(long)]
        keep: bool,
        /// Show the steps, change nothing
        #[arg(long)]
        print: bool,
    },
    /// The distances that `--rtt` knows by name
    Profiles,
}

/// A link, or one direction of it.
#[derive(Debug, Args)]
pub struct Which {
    /// A-B, A-W or B-W
    #[arg(value_name = "LINK")]
    pub lane: Lane,
    /// Only from the first to the second
    #[arg(long)]
    pub one_way: bool,
}

#[derive(Debug, Args)]
pub struct WhichOrAll {
    /// A-B, A-W or B-W; all links if left out
    #[arg(value_name = "LINK")]
    pub lane: Option<Lane>,
    /// Only from the first to the second
    #[arg(long, requires = "lane")]
    pub one_way: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate(pub Option<u64>);

#[derive(Debug, Args)]
pub struct DrillArguments {
    /// Which; "all" runs one after the other
    #[arg(value_enum, value_name = "NAME")]
    pub drill: DrillChoice,
    /// Write the full result here
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep each drill's result and histories in this folder, and a page with pictures: report.html
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,
    /// Go on with the run in the folder: what is finished there is not done again
    #[arg(long, requires = "report")]
    pub resume: bool,
    /// Each so many times
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Distances as of `up`, of a testbed that the drill starts for itself [default: 60ms]
    #[arg(long, visible_alias = "profile", value_parser = distances::parse)]
    pub rtt: Option<Distances>,
    /// Network as of `up`, of a testbed that the drill starts for itself
    #[arg(long, env = "TRIVET_NET", default_value = "relay", value_name = "relay|tun|tc|auto")]
    pub net: Choice,
    /// How long the fault is held
    #[arg(long, default_value_t = 6.0, value_name = "SECONDS", value_parser = parse_seconds)]
    pub seconds: f64,
    /// Clients in each region
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(6..=256))]
    pub clients: u16,
    /// Start a testbed of the drill's own even if one is running
    #[arg(long)]
    pub private: bool,
    /// Make a testbed of the drill's own break a rule
    #[arg(long, hide = true, value_enum)]
    pub sabotage: Option<Sabotage>,
}

/// A drill, or all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DrillChoice {
    One(Drill),
    Rolling,
    All,
}

impl ValueEnum for DrillChoice {
    fn value_variants<'a>() -> &'a [DrillChoice] {
        const CHOICES: [DrillChoice; Drill::ALL.len() + 2] = {
            let mut choices = [DrillChoice::All; Drill::ALL.len() + 2];
            let mut index = 0;
            while index < Drill::ALL.len() {
                choices[index] = DrillChoice::One(Drill::ALL[index]);
                index += 1;
            }
            choices[index] = DrillChoice::Rolling;
            choices
        };
        &CHOICES
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        match self {
            DrillChoice::One(drill) => drill.to_possible_value(),
            DrillChoice::Rolling => {
                let help = "Each node is stopped in order and started again, one after the other";
                Some(clap::builder::PossibleValue::new("rolling-restart").help(help))
            }
            DrillChoice::All => {
                Some(clap::builder::PossibleValue::new("all").help("All of these, one after the other"))
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Verify {
    /// The real log core under faults drawn from seeds, such as --seeds 500 --from 1 --minutes 10 (`verify sim --help`)
    #[command(disable_help_flag = true)]
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Every order of events of the log's rules up to a bound, such as --bound small (`verify model --help`)
    #[command(disable_help_flag = true)]
    Model {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// A recorded history (EDN, as drills keep it and Elle reads it) under an isolation level
    History {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// snapshot-isolation, strict-snapshot-isolation, serializability or strict-serializability
        #[arg(long, default_value = "strict-snapshot-isolation", value_parser = parse_level)]
        level: trivet_history::Level,
    },
}

#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Which; all if left out
    #[arg(value_enum)]
    pub bench: Option<Bench>,
    /// Write the full result here
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How long each run is measured
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Clients in each region
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub clients: u16,
    /// Rows of the table
    #[arg(long, default_value_t = crate::bench::ROWS, value_parser = clap::value_parser!(i32).range(2..))]
    pub rows: i32,
    /// Reads that `fresh` checks, each way
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    pub checks: u64,
    /// `net` also at 10, 60 and 150 ms and at the distances of real places, each within 2 ms of asked or it fails
    #[arg(long)]
    pub sweep: bool,
    /// How often `peer` measures each side
    #[arg(long, default_value_t = 5, value_parser = parse_rounds)]
    pub rounds: usize,
    /// Distances as of `up`, of a testbed that the bench starts for itself [default: 60ms]
    #[arg(long, visible_alias = "profile", value_parser = distances::parse)]
    pub rtt: Option<Distances>,
    /// Network as of `up`, of a testbed that the bench starts for itself
    #[arg(long, env = "TRIVET_NET", default_value = "relay", value_name = "relay|tun|tc|auto")]
    pub net: Choice,
    /// Start a testbed of the bench's own even if one is running
    #[arg(long)]
    pub private: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CompatArguments {
    #[command(subcommand)]
    pub random: Option<CompatCommand>,
    /// Scripts; all of region/sql/tests/compat if left out
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Known differences [default: differences.txt beside the scripts]
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Write what PostgreSQL answers beside the scripts, for machines that have none
    #[arg(long)]
    pub record: bool,
    /// Compare with what was written by --record, not with a PostgreSQL
    #[arg(long, conflicts_with = "record")]
    pub recorded: bool,
    /// How many differences are shown in full
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub show: usize,
    #[command(flatten)]
    pub server: CompatServer,
}

#[derive(Debug, Args)]
pub struct CompatServer {
    /// A server that runs already and has nothing in it, instead of a testbed that is started for this
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<std::net::SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub enum CompatCommand {
    /// Statements from a grammar, over random data, until one is answered differently
    Random(CompatRandom),
    /// Broken statements: each must be answered, in time, and not with an internal error
    Fuzz(CompatFuzz),
}

#[derive(Debug, Args)]
pub struct CompatFuzz {
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[arg(long, default_value_t = 10.0)]
    pub minutes: f64,
    /// Stop after so many findings
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub findings: usize,
    #[command(flatten)]
    pub server: CompatServer,
}

#[derive(Debug, Args)]
pub struct CompatRandom {
    /// Says everything: the same seed makes the same data and statements
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[arg(long, default_value_t = 5000)]
    pub queries: u64,
    /// Stop after so many differences
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub differences: usize,
    /// Only this statement of the seed
    #[arg(long, value_name = "NUMBER")]
    pub only: Option<u64>,
    /// Print the statements and ask nobody
    #[arg(long)]
    pub print: bool,
    #[command(flatten)]
    pub server: CompatServer,
}

fn parse_ports(text: &str) -> Result<Ports, String> {
    let refused = || format!("'{text}' is not two ports, such as 5433,5434");
    let (a, b) = text.split_once(',').ok_or_else(refused)?;
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(refused);
    Ok(Ports([port(a)?, port(b)?]))
}

fn parse_cluster_id(text: &str) -> Result<u128, String> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u128::from_str_radix(text, 16) {
        Ok(id) if digits => Ok(id),
        _ => Err("a cluster's id is 32 hexadecimal digits".into()),
    }
}

fn parse_named_host(text: &str) -> Result<NamedHost, String> {
    let refused = || format!("'{text}' is not NAME=HOST, such as A=10.0.0.1 or B=b.example.org, without a port");
    let (name, host) = text.split_once('=').ok_or_else(refused)?;
    let plain = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_host = host.parse::<std::net::IpAddr>().is_ok() || plain(host, "-.");
    match plain(name, "-_") && is_host {
        true => Ok(NamedHost { name: name.to_owned(), host: host.to_owned() }),
        false => Err(refused()),
    }
}

fn parse_level(text: &str) -> Result<trivet_history::Level, String> {
    let levels = trivet_history::Level::ALL;
    let names = levels.map(trivet_history::Level::name).join(", ");
    levels.into_iter().find(|level| level.name() == text).ok_or(format!("there are {names}"))
}

fn parse_rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=100) => Ok(rounds),
        _ => Err("a number from 1 to 100".into()),
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (5.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 5 (an outage of 4 s must fit in) to 3600".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_read() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let up = parse("trivet up --rtt transatlantic --ports 6001,6002 --detach --data /tmp/x").expect("it reads");
        let Command::Up(up) = up.command else { panic!("not up") };
        assert_eq!((up.rtt.name.as_str(), up.ports, up.detach), ("transatlantic", Ports([6001, 6002]), true));
        let Command::Net { change: Net::Cut(which) } = parse("trivet net cut B-A --one-way").expect("reads").command
        else {
            panic!("not a cut")
        };
        assert_eq!((which.lane, which.one_way), (Lane { from: Place::B, to: Place::A }, true));
        let Command::Drill(drill) = parse("trivet drill all --sabotage skip-fsync").expect("it reads").command else {
            panic!("not a drill")
        };
        assert_eq!((drill.drill, drill.sabotage), (DrillChoice::All, Some(Sabotage::SkipFsync)));
        let line = "trivet verify sim --seeds 10 --from 3 --minutes 2";
        let Command::Verify { what: Verify::Sim { arguments } } = parse(line).expect("it reads").command else {
            panic!("not a simulation")
        };
        assert_eq!(arguments, ["--seeds", "10", "--from", "3", "--minutes", "2"]);
        let Command::Up(up) = parse("trivet up --auth scram").expect("it reads").command else { panic!("not up") };
        assert_eq!(up.auth, Auth::Scram);
        let init = "trivet cluster init /tmp/x --region A=10.0.0.1 --region B=b.example.org --witness W=::1";
        let Command::Cluster { what: Cluster::Init(init) } = parse(init).expect("it reads").command else {
            panic!("not an init")
        };
        assert_eq!(init.regions[1], NamedHost { name: "B".into(), host: "b.example.org".into() });
        assert_eq!(init.witness.host, "::1");
        for wrong in [
            "trivet cert init x --cluster-id abc",
            "trivet cert issue server --ca x --out y",
            "trivet cert issue node --id 0 --ca x --out y",
            "trivet cluster init x --region A=10.0.0.1:7001 --region B=b --witness W=w",
            "trivet cluster init x --region A=a --region B=b",
            "trivet",
            "trivet up --auth md5",
            "trivet kill X",
            "trivet up --ports 5433",
            "trivet up --rtt mars",
            "trivet drill",
            "trivet drill nothing",
            "trivet drill all --seconds 1",
            "trivet drill all --resume",
            "trivet verify history",
            "trivet verify history x.edn --level read-committed",
            "trivet up --profile nowhere/my.toml",
            "trivet up --net carrier-pigeon",
            "trivet exec A",
            "trivet net rate A-B 0",
            "trivet net loss A-B 200%",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
