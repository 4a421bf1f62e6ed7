//! `trivet-netem`: the relays as a process, and a hand on their control.
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use trivet_netem::config::Config;
use trivet_netem::control::LaneStatus;
use trivet_netem::faults::{AtEnd, Faults};
use trivet_netem::probe::{self, Load, Plan};
use trivet_netem::settings::format_duration;
use trivet_netem::{BackendKind, ControlClient, Daemon, Profile, Transport, script};

/// Links between places, made slow and broken on purpose.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relays of a configuration until told to stop
    Serve {
        /// TOML, or JSON if the name ends in .json
        #[arg(long)]
        config: PathBuf,
        /// Where to answer control lines; port 0 takes any, and the first line of output says which
        #[arg(long)]
        control: SocketAddr,
        /// Stop when standard input ends: with the process that started this one
        #[arg(long)]
        until_stdin_closes: bool,
    },
    /// Print every link: settings, counters, lateness
    Show(Target),
    /// Change a link, in the words of a fault script: `change A-B both delay 30ms`
    Change {
        #[command(flatten)]
        target: Target,
        link: String,
        direction: String,
        #[arg(required = true)]
        change: Vec<String>,
    },
    /// Run a fault script in the daemon: lines, or TOML if the name ends in .toml
    Play {
        #[command(flatten)]
        target: Target,
        script: PathBuf,
    },
    /// End the daemon
    Stop(Target),
    /// Which backends work on this machine, tried out for real
    Backends,
    /// Measure relays of this process: delay asked against measured, and throughput
    Probe {
        /// A profile's name, or a round trip such as 60ms
        #[arg(long, default_value = "60ms")]
        profile: Profile,
        #[arg(long, default_value_t = 500)]
        probes: usize,
        /// Seconds of full load each way of moving bytes; 0 skips it
        #[arg(long, default_value_t = 1)]
        load_seconds: u64,
    },
}

#[derive(Args)]
struct Target {
    /// The daemon's control address
    #[arg(long)]
    control: SocketAddr,
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let mut out = io::stdout().lock();
    match Arguments::parse().command {
        Command::Serve { config, control, until_stdin_closes } => {
            abort_on_panic();
            let daemon = Daemon::open(&Config::read(&config)?, control)?;
            writeln!(out, "control {}", daemon.control_address())?;
            out.flush()?;
            if until_stdin_closes {
                let stopper = daemon.stopper();
                std::thread::spawn(move || {
                    // An error ends it as well: nobody is there.
                    let _ = io::stdin().read_to_end(&mut Vec::new());
                    stopper.stop();
                });
            }
            daemon.run();
        }
        Command::Show(target) => show(&mut out, &ControlClient::connect(target.control)?)?,
        Command::Change { target, link, direction, change } => {
            let words: Vec<&str> = change.iter().map(String::as_str).collect();
            let change = script::parse_change(&words)?;
            ControlClient::connect(target.control)?.change(&link, direction.parse()?, change)?;
        }
        Command::Play { target, script } => {
            let client = ControlClient::connect(target.control)?;
            client.play(&script_lines(&script, &client)?)?;
        }
        Command::Stop(target) => ControlClient::connect(target.control)?.stop()?,
        Command::Backends => {
            for kind in BackendKind::ALL {
                let found =
                    trivet_netem::try_out(kind).err().map_or("works".into(), |why| format!("does not work: {why}"));
                writeln!(out, "{:<6} {found}", kind.name())?;
            }
        }
        Command::Probe { profile, probes, load_seconds } => {
            let plan = Plan { probes, ..Plan::default() };
            measure(&mut out, &profile, &plan, load_seconds)?;
        }
    }
    Ok(())
}

/// What the daemon reads: a file's steps, and its end.
fn script_lines(path: &Path, client: &ControlClient) -> Result<String, Box<dyn Error>> {
    if path.extension().is_none_or(|extension| extension != "toml") {
        return Ok(std::fs::read_to_string(path)?);
    }
    let links = client.show()?;
    let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    let faults = Faults::read(path, &names)?;
    let mut lines: Vec<String> = faults.script.steps().iter().map(ToString::to_string).collect();
    if faults.at_end == AtEnd::Restore {
        let touched: BTreeSet<&str> = faults.script.steps().iter().map(|step| step.link.as_str()).collect();
        let end = format_duration(faults.length);
        lines.extend(touched.into_iter().map(|link| format!("{end} {link} both restore")));
    }
    Ok(lines.join("\n"))
}

/// A route whose thread died would be a black hole that nobody asked for: end loudly instead.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

fn show(out: &mut impl Write, client: &ControlClient) -> Result<(), Box<dyn Error>> {
    writeln!(
        out,
        "{:<8} {:<9} {:>5} {:>9} {:>9} {:>6} {:>11} {:>14} {:>9} {:>10} {:>10}",
        "link", "way", "state", "delay", "jitter", "loss", "packets", "bytes", "dropped", "late p50", "late p99"
    )?;
    for link in client.show()? {
        for (way, lane) in [("forward", &link.forward), ("backward", &link.backward)] {
            show_lane(out, &link.name, way, lane)?;
        }
    }
    for place in client.places()? {
        writeln!(out, "place {} {} (nsenter --net={})", place.name, place.address, place.namespace.display())?;
    }
    for route in client.routes()? {
        writeln!(
            out,
            "route {} {:?} {} {} -> {} ({} alive)",
            route.link, route.way, route.transport, route.listen, route.target, route.flows
        )?;
    }
    Ok(())
}

fn show_lane(out: &mut impl Write, link: &str, way: &str, lane: &LaneStatus) -> io::Result<()> {
    let settings = &lane.settings;
    writeln!(
        out,
        "{link:<8} {way:<9} {:>5} {:>9} {:>9} {:>6} {:>11} {:>14} {:>9} {:>10} {:>10}",
        if settings.cut { "cut" } else { "up" },
        format!("{:?}", settings.delay),
        format!("{:?}", settings.jitter),
        settings.loss.to_string(),
        lane.packets,
        lane.bytes,
        lane.dropped(),
        format!("{:?}", lane.late.p50),
        format!("{:?}", lane.late.p99),
    )
}

fn measure(out: &mut impl Write, profile: &Profile, plan: &Plan, load_seconds: u64) -> Result<(), Box<dyn Error>> {
    writeln!(
        out,
        "{:<4} {:<9} {:>10} {:>12} {:>12} {:>12} {:>12} {:>9}",
        "", "way", "asked", "min", "p50", "p99", "max", "arrived"
    )?;
    for one in probe::measure(profile, plan)? {
        writeln!(
            out,
            "{:<4} {:<9} {:>10} {:>12} {:>12} {:>12} {:>12} {:>4}/{}",
            one.transport.name(),
            format!("{:?}", one.way).to_lowercase(),
            format!("{:?}", one.asked),
            format!("{:.3?}", one.min),
            format!("{:.3?}", one.p50),
            format!("{:.3?}", one.p99),
            format!("{:.3?}", one.max),
            one.arrived,
            one.sent
        )?;
    }
    if load_seconds > 0 {
        let load = Load { duration: std::time::Duration::from_secs(load_seconds), ..Load::default() };
        for transport in [Transport::Udp, Transport::Tcp] {
            let result = probe::throughput(profile, transport, &load)?;
            writeln!(
                out,
                "{:<4} {:.0} MB/s through, {:.0} MB/s offered",
                transport.name(),
                result.received_bytes_per_second() / 1e6,
                result.sent_bytes as f64 / result.elapsed.as_secs_f64() / 1e6
            )?;
        }
    }
    Ok(())
}
